import type { FleetRowFragment } from '@/gql/generated/graphql';
import type { Order } from './order';

/** A machine of one's own that may be deployed. */
export type RackRow = Pick<FleetRowFragment, 'id' | 'name' | 'macAddresses' | 'serial' | 'managementIp' | 'clusterName' | 'labels' | 'state' | 'protected'>;

/** Registered machines that nothing is installed on, by name: never deployed, or cleaned up. */
export function rackRows(rows: Iterable<FleetRowFragment>): RackRow[] {
  return [...rows].filter(({ provider, state }) => provider === 'RACK' && (state === null || state === 'CLEANED_UP')).sort((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }));
}

/** Those that have each of the words in their name, MAC addresses, serial number or address. */
export function rackMatches(rows: readonly RackRow[], text: string): RackRow[] {
  const words = text.toLowerCase().split(/\s+/).filter((word) => word !== '');
  return rows.filter(({ name, macAddresses, serial, managementIp }) => {
    const all = [name, ...macAddresses, serial, managementIp].join('\n').toLowerCase();
    return words.every((word) => all.includes(word) || all.includes(word.replaceAll('-', ':')));
  });
}

/** A machine in a line, by what tells it from others. */
export function rackText({ name, macAddresses, serial, managementIp }: RackRow): string {
  return [name, macAddresses[0], serial === null ? undefined : `serial ${serial}`, managementIp].filter((part) => part != null).join(' · ');
}

/** The order with what is known of a machine; what is not known stays as it was typed. */
export function withMachine(order: Order, { name, macAddresses, serial, managementIp, clusterName, labels }: RackRow): Order {
  return {
    ...order,
    name,
    mac: macAddresses[0] ?? '',
    serial: serial ?? '',
    managementIp: managementIp ?? order.managementIp,
    clusterName: clusterName ?? order.clusterName,
    labels: labels.length > 0 ? labels.map(({ key, value }) => `${key}=${value}`).join(', ') : order.labels,
  };
}
