import { noCloud, modeTypes, newCard, newRow, type Card, type Cloud, type Mode, type Row } from './card';
import { addedRoles, addressless, roles, types, wordsOf } from './schema';

/** What was read of a file: cards, or why there are none. */
export type Imported = { cards: readonly Card[]; problem: null } | { cards: readonly []; problem: string };

type Plain = Record<string, unknown>;
const isPlain = (value: unknown): value is Plain => typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * Reads the body of a request, or one document alone. Lenient: whatever has a
 * place in a card is put there, right or wrong, so that its error is told at its
 * field; what has none is told in `leftOut`.
 */
export function readRequest(text: string): Imported {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { cards: [], problem: `This ${wordsOf('json_malformed', { reason: error instanceof Error ? error.message : '' })}` };
  }
  if (isPlain(value) && 'using_interfaces' in value) return { cards: [readCard(value, '')], problem: null };
  const entries: [string, unknown][] = Array.isArray(value) ? value.map((each: unknown) => ['', each]) : isPlain(value) ? Object.entries(value) : [];
  if (entries.length === 0) return { cards: [], problem: `This ${wordsOf('no_cards')}.` };
  return { cards: entries.map(([key, document]) => (isPlain(document) ? readCard(document, key) : newCard({ key, leftOut: [`the node is no document but ${JSON.stringify(document)}`] }))), problem: null };
}

/** Reads one document, such as was stored; null if it is none. */
export function readDocument(text: string): Card | null {
  const { cards } = readRequest(text);
  return cards[0] ?? null;
}

class Reader {
  readonly leftOut: string[] = [];

  /** The text of a value; a number is one, null and NULL are none. */
  text(value: unknown, path: string): string {
    if (value === undefined || value === null) return '';
    if (typeof value === 'string') return value.trim();
    if (typeof value === 'number') return String(value);
    this.out(path, `${wordsOf('wrong_type', { expected: 'a text' })}: ${JSON.stringify(value)}`);
    return '';
  }

  optional(value: unknown, path: string): string {
    const text = this.text(value, path);
    return text.toUpperCase() === 'NULL' ? '' : text;
  }

  list(value: unknown, path: string): string[] {
    if (value === undefined || value === null) return [];
    if (!Array.isArray(value)) return [this.text(value, path)].filter((each) => each !== '');
    return value.map((each: unknown, i) => this.text(each, `${path}.${i}`)).filter((each) => each !== '');
  }

  out(path: string, why: string): void {
    this.leftOut.push(`${path} ${why}`);
  }

  unknown(value: Plain, known: readonly string[], path: string): void {
    for (const name of Object.keys(value)) if (!known.includes(name)) this.out(path === '' ? name : `${path}.${name}`, wordsOf('unknown_field'));
  }
}

const aliases: Record<string, string> = { management: 'Mgmt' };
const plain = (word: string): string => word.toLowerCase().replaceAll(/[\s_-]/g, '');

/** A type or role as the document spells it; anything else as it came. */
function spelled(word: string, known: readonly string[]): string {
  return known.find((each) => plain(each) === plain(word)) ?? aliases[plain(word)] ?? word;
}

const cloudNames: readonly (readonly [string, Exclude<keyof Cloud, 'provider'>])[] = [
  ['server_vip', 'vip'], ['provider_cidr', 'providerCidr'], ['provider_gateway', 'providerGateway'], ['provider_startingip', 'providerStart'], ['provider_endingip', 'providerEnd'],
  ['tenant_cidr', 'tenantCidr'], ['tenant_gateway', 'tenantGateway'], ['tenant_nameserver', 'tenantNameserver'],
];

function readCard(document: Plain, key: string): Card {
  const reader = new Reader();
  const interfaces = readInterfaces(reader, document.using_interfaces);
  const cloud = readCloud(reader, document);
  reader.unknown(document, ['using_interfaces', 'hostname', 'disk', 'roles', ...cloudNames.map(([name]) => name)], '');
  const card = newCard({
    key,
    hostname: reader.text(document.hostname, 'hostname'),
    disks: reader.list(document.disk, 'disk').join('\n'),
    roles: reader.list(document.roles, 'roles').map((role) => spelled(role, [...roles, ...addedRoles])).filter((role) => !addedRoles.includes(role)),
    cloud,
    ...interfaces,
  });
  return { ...card, key: ownKey(card) ? '' : key, leftOut: reader.leftOut };
}

/** A key that says what the document says itself is not shown twice. */
function ownKey(card: Card): boolean {
  return card.key !== '' && (card.key === ownAddress(card) || card.key === card.hostname);
}

/** The address that a node will be reached at: the Primary's, or Mgmt's. */
export function ownAddress(card: Card): string {
  const wanted = card.mode === 'segregated' ? 'Mgmt' : 'Primary';
  return card.rows.find(({ type }) => type === wanted)?.address.trim() ?? '';
}



function readCloud(reader: Reader, document: Plain): Cloud {
  const read = Object.fromEntries(cloudNames.map(([name, field]) => [field, reader.text(document[name], name)])) as Omit<Cloud, 'provider'>;
  const parts = [read.providerCidr, read.providerGateway, read.providerStart, read.providerEnd];
  const none = (part: string): boolean => part.toUpperCase() === 'N/A';
  if (parts.every(none)) return { ...noCloud, ...read, providerCidr: '', providerGateway: '', providerStart: '', providerEnd: '', provider: 'none' };
  return { ...noCloud, ...read, provider: parts.some((part) => part !== '') ? 'given' : 'unsaid' };
}

interface Entry {
  name: string;
  /** Number among the interfaces; a bond's is that of its first member. */
  order: number;
  value: Plain;
}

const lowest = Number.MAX_SAFE_INTEGER / 2;

function readInterfaces(reader: Reader, value: unknown): Pick<Card, 'rows' | 'mode' | 'gateway' | 'gatewayRow'> {
  const entries: Entry[] = [];
  const bonds: Entry[] = [];
  for (const [name, each] of Object.entries(isPlain(value) ? value : {})) {
    const path = `using_interfaces.${name}`;
    const found = /^(interface_|bond)0*(\d+)$/.exec(name);
    if (!found || !isPlain(each)) {
      reader.out(path, found ? wordsOf('wrong_type', { expected: 'an object' }) : wordsOf('unknown_field'));
      continue;
    }
    if (found[1] === 'bond') bonds.push({ name, order: lowest + Number(found[2]), value: each });
    else entries.push({ name, order: Number(found[2]), value: each });
  }
  const isMember = ({ value: each }: Entry): boolean => reader.text(each.Bond_Slave, '').toUpperCase() === 'YES' || 'Bond_Interface_Name' in each;
  const members = entries.filter(isMember).sort((a, b) => a.order - b.order);
  const rows: { order: number; row: Row; gateway: string }[] = entries.filter((each) => !isMember(each)).map((each) => ({ order: each.order, ...readRow(reader, each, null) }));
  const bondName = (each: Entry): string => reader.text(each.value.interface_name, '');
  for (const bond of bonds) {
    const own = members.filter(({ value: each }) => reader.text(each.Bond_Interface_Name, '') === bondName(bond));
    rows.push({ order: own[0]?.order ?? bond.order, ...readRow(reader, bond, own) });
  }
  // A member whose bond is not there is told at the name of a bond of its own.
  const homeless = members.filter(({ value: each }) => !bonds.some((bond) => bondName(bond) === reader.text(each.Bond_Interface_Name, '')));
  for (const name of new Set(homeless.map(({ value: each }) => reader.text(each.Bond_Interface_Name, '')))) {
    const own = homeless.filter(({ value: each }) => reader.text(each.Bond_Interface_Name, '') === name);
    rows.push({ order: own[0]?.order ?? lowest, row: { ...newRow('', true, name), members: membersOf(reader, own) }, gateway: '' });
  }
  rows.sort((a, b) => a.order - b.order);
  return { ...laidOut(rows.map(({ row }) => row)), ...readGateway(reader, rows) };
}

function laidOut(rows: readonly Row[]): Pick<Card, 'rows' | 'mode'> {
  const mode: Mode = rows.length > 2 || rows.some(({ type }) => modeTypes.segregated.includes(type)) ? 'segregated' : 'default';
  return { mode, rows: rows.length > 0 ? rows : [newRow('Primary')] };
}

function membersOf(reader: Reader, own: readonly Entry[]): string[] {
  for (const { name, value } of own) reader.unknown(value, ['interface_name', 'Bond_Slave', 'Bond_Interface_Name'], `using_interfaces.${name}`);
  const names = own.map(({ name, value }) => reader.text(value.interface_name, `using_interfaces.${name}.interface_name`));
  return [...names, '', ''].slice(0, Math.max(2, names.length));
}

function readRow(reader: Reader, { name, value }: Entry, bond: readonly Entry[] | null): { row: Row; gateway: string } {
  const path = `using_interfaces.${name}`;
  reader.unknown(value, ['interface_name', 'type', 'vlan_id', 'Bond_Slave', 'Properties'], path);
  const [type = '', ...more] = reader.list(value.type, `${path}.type`);
  if (more.length > 0) reader.out(`${path}.type`, `${wordsOf('type_several')}: ${more.join(', ')}`);
  const own = isPlain(value.Properties) ? value.Properties : {};
  if (value.Properties !== undefined && value.Properties !== null && !isPlain(value.Properties)) reader.out(`${path}.Properties`, wordsOf('wrong_type', { expected: 'an object' }));
  const at = `${path}.Properties`;
  reader.unknown(own, ['IP_ADDRESS', 'Netmask', 'DNS', 'mtu', 'gateway'], at);
  const called = reader.text(value.interface_name, `${path}.interface_name`);
  const kind = spelled(type, types);
  const row: Row = {
    ...newRow(kind, bond !== null, bond === null ? '' : called),
    ...(bond === null ? { name: called } : { members: membersOf(reader, bond) }),
    address: reader.text(own.IP_ADDRESS, `${at}.IP_ADDRESS`),
    mask: reader.text(own.Netmask, `${at}.Netmask`),
    dns: reader.text(own.DNS, `${at}.DNS`),
    mtu: reader.optional(own.mtu, `${at}.mtu`),
    vlan: reader.optional(value.vlan_id, `${path}.vlan_id`),
  };
  return { row, gateway: reader.text(own.gateway, `${at}.gateway`) };
}

function readGateway(reader: Reader, rows: readonly { row: Row; gateway: string }[]): Pick<Card, 'gateway' | 'gatewayRow'> {
  const [held, ...more] = rows.filter(({ gateway }) => gateway !== '');
  if (!held) return { gateway: '', gatewayRow: null };
  for (const { row, gateway } of more) reader.out(`the gateway ${gateway} of ${row.type || 'an interface'}`, wordsOf('gateway_several', { other: held.row.type || 'another interface' }));
  const first = rows.find(({ row }) => !addressless.has(row.type))?.row;
  return { gateway: held.gateway, gatewayRow: held.row === first ? null : held.row.id };
}
