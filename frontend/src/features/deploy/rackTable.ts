import { isAddress, isMac } from './address';

/** A machine of one's own in a line of a table. */
export interface RackLine {
  /** From 1 on, as an editor counts. */
  line: number;
  name: string;
  mac: string;
  serial: string;
  managementIp: string;
  /** Of its board management controller; empty: none is named. */
  controller: string;
  /** What is wrong with the line as it stands; null: nothing that is known here. */
  wrong: string | null;
}

/** The most machines of one table: each of them is checked before. */
export const mostLines = 50;

const apart = (text: string): string[] => {
  // What comes from a spreadsheet is apart by tabs, and then cells may have spaces in them.
  const cells = text.includes('\t') ? text.split('\t') : /[,;]/.test(text) ? text.split(/[,;]/) : text.trim().split(/\s+/);
  return cells.map((cell) => cell.trim());
};

const isName = (text: string): boolean => text.length <= 40 && /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/.test(text) && /[a-z]/.test(text);

function wrongWith({ name, managementIp, controller }: RackLine, who: string, cells: readonly string[], byController: boolean): string | null {
  const most = byController ? 4 : 3;
  if (cells.length > most) return `There are ${cells.length} columns; ${byController ? 'name, MAC address or serial number, management IP and controller' : 'name, MAC address or serial number, and management IP'} are meant.`;
  if (name === '') return 'The name is missing.';
  if (!isName(name)) return `“${name}” is no name: lower-case letters, digits and hyphens, at most 40, with a letter.`;
  if (who === '') return 'The MAC address or the serial number is missing.';
  if (who.includes(':') && !isMac(who)) return `“${who}” is not a MAC address.`;
  if (managementIp === '') return 'The management IP is missing.';
  if (!isAddress(managementIp)) return `“${managementIp}” is not an IP address.`;
  if (byController && controller === '') return 'The address of its controller is missing.';
  return null;
}

/**
 * Reads a table of machines: name, MAC address or serial number, management
 * IP; with controllers also where each one's is. Empty lines and those that
 * begin with "#" are no machines.
 */
export function readTable(text: string, byController = false): RackLine[] {
  const taken = new Map<string, number>();
  const lines: RackLine[] = [];
  text.split(/\r?\n/).forEach((raw, at) => {
    if (raw.trim() === '' || raw.trim().startsWith('#')) return;
    const cells = apart(raw);
    while (cells.length > 3 && cells.at(-1) === '') cells.pop();
    const [name = '', who = '', managementIp = '', controller = ''] = cells;
    const machine: RackLine = { line: at + 1, name, mac: isMac(who) ? who : '', serial: isMac(who) ? '' : who, managementIp, controller, wrong: null };
    machine.wrong = wrongWith(machine, who, cells, byController);
    const own: [string, string][] = [['name', name], ['machine', who.toLowerCase().replaceAll('-', ':')], ['address', managementIp], ['controller', controller]];
    for (const [what, value] of own) {
      if (value === '') continue;
      const before = taken.get(`${what} ${value}`);
      if (before === undefined) taken.set(`${what} ${value}`, at + 1);
      else machine.wrong ??= `The same ${what} stands in line ${before}.`;
    }
    if (lines.length >= mostLines) machine.wrong ??= `At most ${mostLines} machines are ordered at once.`;
    lines.push(machine);
  });
  return lines;
}
