import type { Card, Row } from './card';
import type { Field } from './document';

const names: Record<string, string> = {
  key: 'Known by now as', hostname: 'Host name', gateway: 'Default gateway', disks: 'Disks', roles: 'Roles', vip: 'VIP of the cloud',
  providerCidr: 'Provider network', providerGateway: 'Provider gateway', providerStart: 'First address', providerEnd: 'Last address',
  tenantCidr: 'Tenant network', tenantGateway: 'Tenant gateway', tenantNameserver: 'Tenant name server',
};

/** What the fields of a row are called. */
export const rowNames: Record<keyof Pick<Row, 'type' | 'name' | 'bondName' | 'address' | 'mask' | 'dns' | 'vlan' | 'mtu'>, string> = {
  type: 'Type', name: 'Interface', bondName: 'Bond', address: 'IP address', mask: 'Subnet mask', dns: 'DNS server', vlan: 'VLAN', mtu: 'MTU',
};

/** What a field is called on the page: of a row with the row's type. */
export function fieldName(card: Card, field: Field): string {
  const found = /^rows\.(\d+)\.(\w+)(?:\.(\d+))?$/.exec(field);
  if (!found) return names[field] ?? field;
  const [, at = '0', part = '', member] = found;
  const type = card.rows[Number(at)]?.type ?? '';
  const row = type === '' ? `Interface ${Number(at) + 1}` : type.replaceAll('_', ' ');
  const own = part === 'members' ? `Member ${Number(member) + 1}` : ((rowNames as Partial<Record<string, string>>)[part] ?? part);
  return `${row}: ${own}`;
}

/** What is typed in a field, as text; of a card as it was checked and as it is, it tells whether an error is still about it. */
export function valueAt(card: Card, field: Field): string {
  const found = /^rows\.(\d+)\.(\w+)(?:\.(\d+))?$/.exec(field);
  if (found) {
    const row = card.rows[Number(found[1])];
    if (!row) return '';
    const value = row[found[2] as keyof Row];
    return typeof value === 'object' ? (value[Number(found[3])] ?? '') : String(value);
  }
  if (field === 'roles') return card.roles.join(' ');
  if (field in card.cloud) return card.cloud[field as keyof Card['cloud']];
  const value = (card as unknown as Record<string, unknown>)[field];
  return typeof value === 'string' ? value : '';
}

/** The id of a field on the page. */
export const fieldId = (cardId: string, field: Field): string => `${cardId}.${field}`;
