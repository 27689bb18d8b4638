import { mostLines, readTable } from './rackTable';
import type { DeployNodeInput, OfferQuery, RackBootFrom, RackBootMode, RackPowerInput } from '@/gql/generated/graphql';

export type Offer = OfferQuery['providerOffer'];

/** What machines are deployed on. */
export type Ground = 'IBM_VPC' | 'RACK';

/** A network over a VLAN, as it is typed. */
export interface Vlan {
  id: string;
  subnet: string;
  float: boolean;
}

/** How a machine of one's own is switched on and off, as it is typed. */
export interface Power {
  byController: boolean;
  url: string;
  username: string;
  /** Name of a secret that the server holds; never a password. */
  passwordRef: string;
  systemId: string;
  caFile: string;
  insecureTls: boolean;
  bootFrom: RackBootFrom;
  bootMode: RackBootMode | '';
  offAtRelease: boolean;
}

/** The form of a new deployment, as it is typed. Empty = the server's own setting. */
export interface Order {
  ground: Ground;
  /** With "#" for several: their numbers go there. */
  name: string;
  count: string;
  first: string;
  /** How many of several are on their way at once. */
  parallel: string;
  /** After how many failures no further one is begun; empty: never. */
  stopAfter: string;
  clusterName: string;
  /** "key=value", apart by commas. */
  labels: string;
  installer: string;
  maintenance: boolean;
  dnsServers: string;
  managementIp: string;
  // A server that is ordered.
  profile: string;
  zone: string;
  managementSubnet: string;
  workloadSubnets: readonly string[];
  vlans: readonly Vlan[];
  image: string;
  /** Ids; empty: those of the server's settings. */
  keys: readonly string[];
  securityGroups: readonly string[];
  ahvIp: string;
  cvmIp: string;
  // A machine of one's own.
  mac: string;
  serial: string;
  netmask: string;
  gateway: string;
  power: Power;
  /** Several of them stand in `rows`, a line each; then name, MAC, serial and address above are none's. */
  table: boolean;
  rows: string;
}

export const emptyPower: Power = { byController: false, url: '', username: '', passwordRef: '', systemId: '', caFile: '', insecureTls: false, bootFrom: 'PXE', bootMode: '', offAtRelease: false };

export const emptyOrder: Order = {
  ground: 'IBM_VPC', name: '', count: '2', first: '1', parallel: '10', stopAfter: '', clusterName: '', labels: '', installer: '', maintenance: false, dnsServers: '', managementIp: '',
  profile: '', zone: '', managementSubnet: '', workloadSubnets: [], vlans: [], image: '', keys: [], securityGroups: [], ahvIp: '', cvmIp: '', mac: '', serial: '', netmask: '', gateway: '', power: emptyPower, table: false, rows: '',
};

/** The most machines that are ordered from this page at once: each of them is checked before. */
export const mostAtOnce = 50;

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
    vlans: order.vlans.map((vlan) => (there.has(vlan.subnet) ? vlan : { ...vlan, subnet: '' })),
  };
}

const orNull = (text: string): string | null => (text.trim() === '' ? null : text.trim());
const list = (text: string): string[] => text.split(/[\s,]+/).filter((each) => each !== '');
const whole = (text: string): number => (/^\d+$/.test(text.trim()) ? Number(text.trim()) : Number.NaN);

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

/** Whether it is of several machines: by the name, or, since machines of one's own differ in more than their number, by a table. */
export const isSeveral = ({ ground, name, table }: Pick<Order, 'ground' | 'name' | 'table'>): boolean => (ground === 'RACK' ? table : name.includes('#'));

/** The lines of the table of machines. */
export const linesOf = (order: Pick<Order, 'rows' | 'power'>) => readTable(order.rows, order.power.byController);

/** The names that are ordered: "metal-##" from 8, three of them, is metal-08, metal-09, metal-10. */
export function namesOf(order: Order): string[] {
  const name = order.name.trim();
  if (!isSeveral(order)) return [name];
  if (order.ground === 'RACK') return linesOf(order).slice(0, mostLines).map((line) => line.name);
  const [count, first] = [whole(order.count), whole(order.first)];
  if (!(count >= 1 && count <= mostAtOnce) || Number.isNaN(first)) return [];
  return Array.from({ length: count }, (_, i) => name.replace(/#+/, (marks) => String(first + i).padStart(marks.length, '0')).replaceAll('#', ''));
}

/** What is wrong with what only this page knows. */
export function formErrors(order: Order): { count?: string; first?: string; parallel?: string; stopAfter?: string; name?: string; vlans: (string | null)[] } {
  const errors: ReturnType<typeof formErrors> = { vlans: order.ground === 'IBM_VPC' ? order.vlans.map(({ id, subnet }) => (!(whole(id) >= 1 && whole(id) <= 4094) ? 'A VLAN from 1 to 4094.' : subnet === '' ? 'Choose its subnet.' : null)) : [] };
  if (!isSeveral(order)) return errors;
  if (order.ground === 'IBM_VPC' && (order.name.match(/#+/g) ?? []).length > 1) errors.name = 'The number can stand in one place only.';
  if (order.ground === 'IBM_VPC' && !(whole(order.count) >= 1 && whole(order.count) <= mostAtOnce)) errors.count = `A number from 1 to ${mostAtOnce}.`;
  if (order.ground === 'IBM_VPC' && Number.isNaN(whole(order.first))) errors.first = 'A number.';
  if (!(whole(order.parallel) >= 1 && whole(order.parallel) <= 500)) errors.parallel = 'A number from 1 to 500.';
  if (order.stopAfter.trim() !== '' && !(whole(order.stopAfter) >= 1)) errors.stopAfter = 'A number, or nothing.';
  return errors;
}

function powerInput(power: Power): RackPowerInput {
  return {
    type: 'REDFISH',
    url: orNull(power.url),
    username: orNull(power.username),
    passwordRef: orNull(power.passwordRef),
    systemId: orNull(power.systemId),
    caFile: orNull(power.caFile),
    insecureTls: power.insecureTls,
    bootFrom: power.bootFrom,
    offAtRelease: power.offAtRelease,
    ...(power.bootMode === '' ? {} : { bootMode: power.bootMode }),
  };
}

function specOf(order: Order, several: boolean): DeployNodeInput['spec'] {
  const installer = orNull(order.installer);
  const dnsServers = list(order.dnsServers);
  if (order.ground === 'RACK') {
    return {
      rack: {
        mac: orNull(order.mac),
        serial: orNull(order.serial),
        managementIp: order.managementIp.trim(),
        netmask: orNull(order.netmask),
        gateway: orNull(order.gateway),
        ...(installer === null ? {} : { installer }),
        ...(dnsServers.length > 0 ? { dnsServers } : {}),
        ...(order.power.byController ? { power: powerInput(order.power) } : {}),
      },
    };
  }
  // Of several, no two can have the same address.
  const network = several ? {} : { managementIp: orNull(order.managementIp), ahvIp: orNull(order.ahvIp), cvmIp: orNull(order.cvmIp) };
  const given = Object.values(network).some((ip) => ip !== null) || dnsServers.length > 0;
  return {
    ibmVpc: {
      serverProfile: order.profile,
      zone: orNull(order.zone),
      managementSubnet: orNull(order.managementSubnet),
      ...(order.workloadSubnets.length > 0 ? { workloadSubnets: [...order.workloadSubnets] } : {}),
      ...(order.vlans.length > 0 ? { vlans: order.vlans.map(({ id, subnet, float }) => ({ id: whole(id), subnet, float })) } : {}),
      ...(orNull(order.image) === null ? {} : { image: order.image.trim() }),
      ...(order.keys.length > 0 ? { keys: [...order.keys] } : {}),
      ...(order.securityGroups.length > 0 ? { securityGroups: [...order.securityGroups] } : {}),
      ...(installer === null ? {} : { installer }),
      ...(given ? { network: { ...network, ...(dnsServers.length > 0 ? { dnsServers } : {}) } } : {}),
    },
  };
}

/** What the server is asked for, a machine each. */
export function inputsOf(order: Order): DeployNodeInput[] {
  const labels = parseLabels(order.labels);
  const several = isSeveral(order);
  const input = (name: string, spec: DeployNodeInput['spec']): DeployNodeInput => ({
    name,
    clusterName: orNull(order.clusterName),
    ...(labels.length > 0 ? { labels } : {}),
    ...(order.maintenance ? { maintenance: true } : {}),
    spec,
  });
  if (!several || order.ground === 'IBM_VPC') return namesOf(order).map((name) => input(name, specOf(order, several)));
  return linesOf(order)
    .slice(0, mostLines)
    .map(({ name, mac, serial, managementIp, controller }) => input(name, specOf({ ...order, mac, serial, managementIp, power: { ...order.power, url: controller } }, several)));
}

/** A batch of them. */
export function batchOf(order: Order, idempotencyKey: string) {
  return {
    nodes: inputsOf(order),
    ...(order.name.trim() === '' ? {} : { batchName: order.name.trim() }),
    maxParallel: whole(order.parallel),
    ...(order.stopAfter.trim() === '' ? {} : { stopOnFailureCount: whole(order.stopAfter) }),
    idempotencyKey,
  };
}
