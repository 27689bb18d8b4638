import { uniqueKey } from '@/lib/key';
import { addressless } from './schema';

/** How a node's networks are laid out: two interfaces, or one for each of four purposes. */
export type Mode = 'default' | 'segregated';

/** An interface, or a bond of two, as it is typed. Empty = not given. */
export interface Row {
  id: string;
  type: string;
  bonded: boolean;
  /** Of a plain interface. */
  name: string;
  bondName: string;
  /** Of a bond; two, unless a file brought others. */
  members: readonly string[];
  address: string;
  mask: string;
  dns: string;
  vlan: string;
  mtu: string;
}

/** Whether there is a provider network: not said, said that there is none, or given. */
export type ProviderKind = 'unsaid' | 'none' | 'given';

/** What the nodes of the first cloud have besides. */
export interface Cloud {
  vip: string;
  provider: ProviderKind;
  providerCidr: string;
  providerGateway: string;
  providerStart: string;
  providerEnd: string;
  tenantCidr: string;
  tenantGateway: string;
  tenantNameserver: string;
}

/** A node, as it is filled in. */
export interface Card {
  id: string;
  /** The address or name that the node is known by now, if it is another than the new one. */
  key: string;
  hostname: string;
  mode: Mode;
  rows: readonly Row[];
  gateway: string;
  /** The row whose gateway it is; null: the first with an address. */
  gatewayRow: string | null;
  /** One a line. */
  disks: string;
  roles: readonly string[];
  cloud: Cloud;
  collapsed: boolean;
  /** When it was last changed by hand, ISO. */
  changedAt: string;
  /** What a file had that has no place in a card, in words. */
  leftOut: readonly string[];
  /** The rows of the other mode as they were left, for whoever goes back to it. */
  other: readonly Row[] | null;
}

/** The types of each mode, in the order of its rows. */
export const modeTypes: Record<Mode, readonly string[]> = {
  default: ['Primary', 'Secondary'],
  segregated: ['Mgmt', 'VXLAN', 'Storage', 'External_Traffic'],
};

/** Fewest and most rows of a mode. */
export const rowLimits: Record<Mode, readonly [number, number]> = { default: [1, 2], segregated: [4, 4] };

export const noCloud: Cloud = { vip: '', provider: 'unsaid', providerCidr: '', providerGateway: '', providerStart: '', providerEnd: '', tenantCidr: '', tenantGateway: '', tenantNameserver: '' };

export const newRow = (type = '', bonded = false, bondName = ''): Row => ({ id: uniqueKey(), type, bonded, name: '', bondName, members: ['', ''], address: '', mask: '', dns: '', vlan: '', mtu: '' });

const rowsOf = (mode: Mode, bonded: boolean): Row[] => modeTypes[mode].map((type, i) => newRow(type, bonded, `bond${i}`));

export function newCard(over: Partial<Card> = {}): Card {
  return {
    id: uniqueKey(), key: '', hostname: '', mode: 'default', rows: rowsOf('default', false), gateway: '', gatewayRow: null, disks: '', roles: [], cloud: noCloud, collapsed: false,
    changedAt: new Date().toISOString(), leftOut: [], other: null, ...over,
  };
}

const noNetwork = { address: '', mask: '', dns: '', mtu: '' };

export const isBonded = (card: Card): boolean => card.rows.some(({ bonded }) => bonded);

/** Whether a row has a place for an address. What was typed before stays in sight until it is taken away. */
export const hasAddress = (row: Row): boolean => !addressless.has(row.type) || [row.address, row.mask, row.dns, row.mtu].some((value) => value !== '');

/** The row whose gateway a node's is. */
export function gatewayRow(card: Card): Row | null {
  return card.rows.find(({ id }) => id === card.gatewayRow) ?? card.rows.find(({ type }) => !addressless.has(type)) ?? null;
}

/** Changes the layout. Going back finds what was there; else names and addresses stay with the row at the same place. */
export function withMode(card: Card, mode: Mode): Card {
  if (mode === card.mode) return card;
  if (card.other) return { ...withBonds({ ...card, mode, rows: card.other }, isBonded(card)), gatewayRow: null, other: card.rows };
  const wanted = modeTypes[mode];
  const [least] = rowLimits[mode];
  const count = Math.max(least, Math.min(wanted.length, card.rows.length));
  const bonded = isBonded(card);
  const rows = wanted.slice(0, count).map((type, i) => ({ ...(card.rows[i] ?? newRow('', bonded, `bond${i}`)), ...(addressless.has(type) ? noNetwork : {}), type }));
  return { ...card, mode, rows, gatewayRow: null, other: card.rows };
}

/** Makes every row a bond, or none. */
export function withBonds(card: Card, on: boolean): Card {
  const rows = card.rows.map((row, i) => {
    if (row.bonded === on) return row;
    // What was typed goes along: the interface is the bond's first member, and back.
    if (on) return { ...row, bonded: true, bondName: row.bondName === '' ? `bond${i}` : row.bondName, members: row.name === '' ? row.members : [row.name, ...row.members.slice(1)] };
    return { ...row, bonded: false, name: row.members[0] ?? row.name };
  });
  return { ...card, rows };
}

/**
 * Gives a row a type. The row that had it takes the old one, and, where one of
 * the two has no address, the address goes to the row that needs one.
 */
export function withType(card: Card, index: number, type: string): Card {
  const row = card.rows[index];
  if (!row || row.type === type) return card;
  const other = card.rows.findIndex((each) => each.type === type);
  const holder = card.rows[other];
  const moves = holder !== undefined && addressless.has(type) !== addressless.has(row.type);
  const network = ({ address, mask, dns, mtu }: Row) => ({ address, mask, dns, mtu });
  const rows = card.rows.map((each, i) => {
    if (i === index) return { ...each, type, ...(moves ? network(holder) : {}) };
    if (i === other) return { ...each, type: row.type, ...(moves ? network(row) : {}) };
    return each;
  });
  return { ...card, rows };
}

export function withRow(card: Card, index: number, change: Partial<Row>): Card {
  return { ...card, rows: card.rows.map((row, i) => (i === index ? { ...row, ...change } : row)) };
}

/** Another row, of the first type that is not there yet. */
export function addRow(card: Card): Card {
  const type = modeTypes[card.mode].find((each) => !card.rows.some((row) => row.type === each)) ?? '';
  return { ...card, rows: [...card.rows, newRow(type, isBonded(card), `bond${card.rows.length}`)] };
}

export function removeRow(card: Card, index: number): Card {
  return { ...card, rows: card.rows.filter((_, i) => i !== index) };
}

/** "SQDN-009" after "SQDN-008"; empty where there is no number to go on from. */
export function nextName(name: string, taken: ReadonlySet<string>): string {
  const found = /^(.*?)(\d+)$/.exec(name);
  if (!found) return '';
  const [, stem = '', digits = ''] = found;
  for (let n = Number(digits) + 1; n < Number(digits) + 10_000; n++) {
    const next = `${stem}${String(n).padStart(digits.length, '0')}`;
    if (!taken.has(next.toLowerCase())) return next;
  }
  return '';
}

/** A card for another node like this one: what each node has for itself is left to be filled in. */
export function copyOf(card: Card, cards: readonly Card[]): Card {
  const taken = new Set(cards.map(({ hostname }) => hostname.toLowerCase()));
  const only = card.cloud;
  return {
    ...card,
    id: uniqueKey(),
    key: '',
    hostname: nextName(card.hostname, taken),
    rows: card.rows.map((row) => ({ ...row, id: uniqueKey(), address: '' })),
    gatewayRow: null,
    disks: '',
    // The networks of the cloud stand at one node only.
    cloud: { ...noCloud, vip: only.vip },
    collapsed: false,
    changedAt: new Date().toISOString(),
    leftOut: [],
    other: null,
  };
}

/** What a card is called on the page. */
export function nameOf(card: Card, index: number): string {
  return card.hostname.trim() || card.key.trim() || `Node ${index + 1}`;
}
