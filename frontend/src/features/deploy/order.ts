import type { DeployNodeInput, OfferQuery } from '@/gql/generated/graphql';

export type Offer = OfferQuery['providerOffer'];

/** The form of a new deployment, as it is typed. Empty = the server's own setting. */
export interface Order {
  name: string;
  profile: string;
  zone: string;
  managementSubnet: string;
  workloadSubnets: readonly string[];
  managementIp: string;
  ahvIp: string;
  cvmIp: string;
  clusterName: string;
  /** "key=value", apart by commas. */
  labels: string;
}

export const emptyOrder: Order = { name: '', profile: '', zone: '', managementSubnet: '', workloadSubnets: [], managementIp: '', ahvIp: '', cvmIp: '', clusterName: '', labels: '' };

/** Subnets that a server has in one zone: those of the chosen one, or of all while none is. */
export function subnetsIn(offer: Offer | null, zone: string): Offer['subnets'] {
  return (offer?.subnets ?? []).filter((subnet) => zone === '' || subnet.zone === zone);
}

/** Changes the zone; what lies in another one is let go. */
export function inZone(order: Order, zone: string, offer: Offer | null): Order {
  const there = new Set(subnetsIn(offer, zone).map(({ id }) => id));
  return {
    ...order,
    zone,
    managementSubnet: there.has(order.managementSubnet) ? order.managementSubnet : '',
    workloadSubnets: order.workloadSubnets.filter((id) => there.has(id)),
  };
}

const orNull = (text: string): string | null => (text.trim() === '' ? null : text.trim());

/** Reads "rack=7, site=fra"; what has no "=" is a key without a value. */
export function parseLabels(text: string): { key: string; value: string }[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .map((part) => {
      const at = part.indexOf('=');
      return at < 0 ? { key: part, value: '' } : { key: part.slice(0, at).trim(), value: part.slice(at + 1).trim() };
    });
}

/** What the server is asked for. */
export function inputOf(order: Order, idempotencyKey: string | null = null): DeployNodeInput {
  const network = { managementIp: orNull(order.managementIp), ahvIp: orNull(order.ahvIp), cvmIp: orNull(order.cvmIp) };
  const labels = parseLabels(order.labels);
  return {
    name: order.name.trim(),
    clusterName: orNull(order.clusterName),
    ...(labels.length > 0 ? { labels } : {}),
    ...(idempotencyKey === null ? {} : { idempotencyKey }),
    spec: {
      ibmVpc: {
        serverProfile: order.profile,
        zone: orNull(order.zone),
        managementSubnet: orNull(order.managementSubnet),
        ...(order.workloadSubnets.length > 0 ? { workloadSubnets: [...order.workloadSubnets] } : {}),
        ...(Object.values(network).some((ip) => ip !== null) ? { network } : {}),
      },
    },
  };
}
