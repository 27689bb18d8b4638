import { addressless, addedRoles } from './schema';
import { gatewayRow, type Card, type Row } from './card';

/** The document of a node, as it is sent and stored. */
export type NodeDocument = Record<string, unknown>;

/**
 * A field of a card: "hostname", "rows.0.mask", "rows.1.members.0". It is also
 * the end of the field's id on the page.
 */
export type Field = string;

/** A card's document, and which field stands behind each path in it. */
export interface Written {
  document: NodeDocument;
  /** The longest part of a path that is here tells the field. */
  places: ReadonlyMap<string, Field>;
}

const two = (n: number): string => String(n).padStart(2, '0');
const or = (text: string, none: string): string => (text.trim() === '' ? none : text.trim());
/** Canonical forms of what one may type: fe80::A as fe80::a, /24 as 24. */
const address = (text: string): string => text.trim().toLowerCase();
const mask = (text: string): string => address(text).replace(/^\//, '');

const given = (fields: Record<string, string>): Record<string, string> => Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== ''));

/** The names of the cloud's fields in the document. */
const cloudFields = [
  ['provider_cidr', 'providerCidr'], ['provider_gateway', 'providerGateway'], ['provider_startingip', 'providerStart'], ['provider_endingip', 'providerEnd'],
  ['tenant_cidr', 'tenantCidr'], ['tenant_gateway', 'tenantGateway'], ['tenant_nameserver', 'tenantNameserver'],
] as const;

/** Says that there is no provider network, in each of its fields. */
const notGiven = 'N/A';

export const diskList = (disks: string): string[] => disks.split('\n').map((each) => each.trim()).filter((each) => each !== '');

function properties(row: Row, gateway: string | null): Record<string, string> | null {
  const fields = given({ IP_ADDRESS: address(row.address), Netmask: mask(row.mask), DNS: address(row.dns) });
  if (addressless.has(row.type) && Object.keys(fields).length === 0 && row.mtu === '' && gateway === null) return null;
  return { ...fields, mtu: or(row.mtu, 'NULL'), ...(gateway === null ? {} : { gateway }) };
}

/** Writes a card as its document. What is empty is left out, so that it is told as missing. */
export function toDocument(card: Card): Written {
  const places = new Map<string, Field>([['using_interfaces', 'rows.0.type'], ['key', 'key']]);
  const entries: Record<string, unknown> = {};
  const holder = gatewayRow(card);
  const gateway = address(card.gateway);
  let interfaces = 0;
  let bonds = 0;
  card.rows.forEach((row, i) => {
    const field = (name: string): string => `rows.${i}.${name}`;
    const own = properties(row, gateway !== '' && row === holder ? gateway : null);
    const settings = { ...(row.type === '' ? {} : { type: [row.type] }), vlan_id: or(row.vlan, 'NULL') };
    const name = row.bonded ? `bond${++bonds}` : `interface_${two(++interfaces)}`;
    const at = `using_interfaces.${name}`;
    const names = given({ interface_name: (row.bonded ? row.bondName : row.name).trim() });
    entries[name] = { ...names, ...settings, ...(row.bonded ? {} : { Bond_Slave: 'NO' }), ...(own === null ? {} : { Properties: own }) };
    places.set(at, row.bonded ? field('members.0') : field('name'));
    places.set(`${at}.interface_name`, row.bonded ? field('bondName') : field('name'));
    for (const [part, to] of [['type', 'type'], ['vlan_id', 'vlan'], ['Properties', 'address'], ['Properties.IP_ADDRESS', 'address'], ['Properties.Netmask', 'mask'], ['Properties.DNS', 'dns'], ['Properties.mtu', 'mtu']] as const) places.set(`${at}.${part}`, field(to));
    places.set(`${at}.Properties.gateway`, 'gateway');
    if (!row.bonded) return;
    row.members.forEach((member, j) => {
      const slave = `interface_${two(++interfaces)}`;
      entries[slave] = { ...given({ interface_name: member.trim() }), Bond_Slave: 'YES', Bond_Interface_Name: row.bondName.trim() };
      places.set(`using_interfaces.${slave}`, field(`members.${j}`));
      places.set(`using_interfaces.${slave}.Bond_Interface_Name`, field('bondName'));
    });
  });
  places.set('hostname', 'hostname').set('disk', 'disks').set('roles', 'roles').set('server_vip', 'vip');
  for (const [name, field] of cloudFields) places.set(name, field);
  const document: NodeDocument = {
    using_interfaces: entries,
    ...given({ hostname: card.hostname.trim() }),
    disk: diskList(card.disks),
    roles: [...card.roles, ...addedRoles],
    ...given({ server_vip: address(card.cloud.vip) }),
    ...cloudOf(card),
  };
  return { document, places };
}

function cloudOf({ cloud }: Card): Record<string, string> {
  return given(
    Object.fromEntries(
      cloudFields.map(([name, field]) => {
        if (!name.startsWith('provider_')) return [name, address(cloud[field])];
        return [name, cloud.provider === 'none' ? notGiven : cloud.provider === 'given' ? address(cloud[field]) : ''];
      }),
    ),
  );
}

/** The field of a path in a card's document; null where there is none for it. */
export function fieldOf(path: string, places: ReadonlyMap<string, Field>): Field | null {
  // Other faces of the server may spell names their own way.
  const plain = (text: string): string => text.replaceAll('_', '').toLowerCase();
  const wanted = plain(path);
  let best: { length: number; field: Field } | null = null;
  for (const [place, field] of places) {
    const each = plain(place);
    if ((wanted === each || wanted.startsWith(`${each}.`)) && each.length > (best?.length ?? -1)) best = { length: each.length, field };
  }
  return best?.field ?? null;
}
