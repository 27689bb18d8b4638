import { isAddress } from '@/features/deploy/address';
import { fieldError, type Said } from '@/features/deploy/fieldError';
import { emptyOrder, inputsOf, type Order } from '@/features/deploy/order';
import type { CheckRowFragment, ClusterNodeInput, ClusterOperation, DeployClusterInput, FleetRowFragment } from '@/gql/generated/graphql';

/** Where a node of a cluster comes from. */
export type Source = 'IBM_VPC' | 'RACK' | 'DEPLOYED';

/** A node, as it is typed. */
export interface NodeForm {
  source: Source;
  /** A node that is deployed and becomes a member as it is, by its id. */
  nodeId: string;
  /** What is ordered otherwise. An empty name is made of the cluster's, an empty profile is that of all. */
  order: Order;
}

/** A cluster, as it is typed. Empty = the server's own setting, or none. */
export interface ClusterForm {
  operation: ClusterOperation;
  /** The cluster to join, by its id. */
  clusterId: string;
  name: string;
  address: string;
  /** Apart by commas. */
  dnsServers: string;
  ntpServers: string;
  skipDiscovery: boolean;
  maintenance: boolean;
  /** What all servers that are ordered have alike. */
  common: Order;
  nodes: readonly NodeForm[];
}

/** How many nodes a new cluster may have. */
export const sizes = [1, 3, 4] as const;

export const emptyNode: NodeForm = { source: 'IBM_VPC', nodeId: '', order: emptyOrder };

export const emptyForm: ClusterForm = { operation: 'CREATE_NEW', clusterId: '', name: '', address: '', dnsServers: '', ntpServers: '', skipDiscovery: false, maintenance: false, common: emptyOrder, nodes: [emptyNode, emptyNode, emptyNode] };

/** The form with another number of nodes; what was typed of those that stay is kept. */
export function resized(form: ClusterForm, count: number): ClusterForm {
  const last = form.nodes.at(-1) ?? emptyNode;
  return { ...form, nodes: Array.from({ length: count }, (_, i) => form.nodes[i] ?? { ...emptyNode, source: last.source === 'DEPLOYED' ? 'IBM_VPC' : last.source }) };
}

const orNull = (text: string): string | null => (text.trim() === '' ? null : text.trim());
const list = (text: string): string[] => text.split(/[\s,]+/).filter((each) => each !== '');

/** The name that a node gets: as typed, else the cluster's with its place. */
export function nodeName(form: Pick<ClusterForm, 'name'>, node: NodeForm, index: number, first = 1): string {
  const own = node.order.name.trim();
  return own !== '' || form.name.trim() === '' ? own : `${form.name.trim().toLowerCase()}-${index + first}`;
}

/** A node as the server is asked for it. */
export function nodeInput(node: NodeForm, name: string, common: Order = emptyOrder): ClusterNodeInput {
  if (node.source === 'DEPLOYED') return { nodeId: node.nodeId };
  const { order } = node;
  const asked: Order =
    node.source === 'RACK'
      ? { ...order, ground: 'RACK', table: false, name, installer: common.installer }
      : {
          ...common,
          ground: 'IBM_VPC',
          name,
          profile: order.profile === '' ? common.profile : order.profile,
          managementIp: order.managementIp,
          ahvIp: order.ahvIp,
          cvmIp: order.cvmIp,
        };
  const [input] = inputsOf(asked);
  const rack = input?.spec.rack;
  if (rack == null) return { name, ...(input === undefined ? {} : { spec: input.spec }) };
  return { name, spec: { rack: { ...rack, cvmIp: orNull(order.cvmIp), ahvIp: orNull(order.ahvIp) } } };
}

/** How many copies of the data such a cluster keeps. */
export const redundancyOf = (nodes: number): number => (nodes === 1 ? 1 : 2);

/** What the server is asked for; the key makes that asking twice makes one cluster. */
export function inputOf(form: ClusterForm, key?: string, first = 1): DeployClusterInput {
  const joins = form.operation === 'JOIN_EXISTING';
  const nodes = form.nodes.map((node, i) => nodeInput(node, nodeName(form, node, i, first), form.common));
  if (joins) return { operation: 'JOIN_EXISTING', clusterId: form.clusterId, nodes, ...(form.maintenance ? { maintenance: true } : {}) };
  return {
    operation: 'CREATE_NEW',
    name: form.name.trim(),
    type: form.nodes.length === 1 ? 'SINGLE_NODE' : 'MULTI_NODE',
    redundancyFactor: redundancyOf(form.nodes.length),
    ...(orNull(form.address) === null ? {} : { address: form.address.trim() }),
    ...(list(form.dnsServers).length === 0 ? {} : { dnsServers: list(form.dnsServers) }),
    ...(list(form.ntpServers).length === 0 ? {} : { ntpServers: list(form.ntpServers) }),
    ...(form.skipDiscovery ? { skipDiscovery: true } : {}),
    ...(form.maintenance ? { maintenance: true } : {}),
    nodes,
    ...(key === undefined ? {} : { idempotencyKey: key }),
  };
}

/** What is still to be filled in before it is of use to ask the server; empty when nothing is. */
export function missing(form: ClusterForm): string[] {
  const wants: string[] = [];
  if (form.operation === 'CREATE_NEW' && form.name.trim() === '') wants.push('the name');
  if (form.operation === 'JOIN_EXISTING' && form.clusterId === '') wants.push('the cluster to join');
  if (form.nodes.some(({ source, order }) => source === 'IBM_VPC' && order.profile === '' && form.common.profile === '')) wants.push('the profile of the servers');
  form.nodes.forEach(({ source, order, nodeId }, i) => {
    if (source === 'RACK' && (order.managementIp.trim() === '' || (order.mac.trim() === '' && order.serial.trim() === ''))) wants.push(`the machine of node ${i + 1}`);
    if (source === 'DEPLOYED' && nodeId === '') wants.push(`node ${i + 1}`);
  });
  return wants;
}

/** Nodes that are deployed and may become members as they are; who is one already, the server says. */
export function deployedRows(rows: Iterable<FleetRowFragment>): FleetRowFragment[] {
  return [...rows].filter(({ state, provider }) => state === 'SUCCEEDED' && provider !== 'SCRIPT').sort((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }));
}

export type { Said };

/** What is said of exactly this path and nothing below it. */
export const exactly = (said: Said, ...path: string[]): string | undefined => said.find(({ field }) => field?.length === path.length && path.every((part, i) => field[i] === part))?.message;

/** What is said of a node's field: by its own path, wherever it lies below the node. */
export const ofNode = (said: Said, index: number, ...path: string[]): string | undefined => fieldError(said.filter(({ field }) => field?.[0] === 'nodes' && field[1] === String(index)), ...path);

/** What is said of a field of the cluster itself. */
export const ofCluster = (said: Said, ...path: string[]): string | undefined => fieldError(said.filter(({ field }) => field?.[0] !== 'nodes'), ...path);

/** What is said of a field that all servers have alike: of any node. */
export const ofAny = (said: Said, ...path: string[]): string | undefined => fieldError(said.filter(({ field }) => field?.[0] === 'nodes'), ...path);

/**
 * What is wrong that the server could not even read: addresses that are none.
 * The paths are those of its own words.
 */
export function ownErrors(form: ClusterForm): { field: string[]; message: string }[] {
  const errors: { field: string[]; message: string }[] = [];
  const look = (text: string, ...field: string[]): void => {
    if (text.trim() !== '' && !isAddress(text.trim())) errors.push({ field, message: 'This is no address.' });
  };
  if (form.operation === 'CREATE_NEW') {
    look(form.address, 'address');
    list(form.dnsServers).forEach((each, i) => look(each, 'dnsServers', String(i)));
  }
  form.nodes.forEach(({ source, order }, i) => {
    if (source === 'DEPLOYED') return;
    for (const field of ['managementIp', 'ahvIp', 'cvmIp', ...(source === 'RACK' ? (['gateway'] as const) : [])] as const) look(order[field], 'nodes', String(i), 'spec', field);
  });
  return errors;
}

const fieldNames: Record<string, string> = {
  name: 'Name', address: 'Cluster address', clusterId: 'Cluster', dnsServers: 'DNS servers', ntpServers: 'Time servers', redundancyFactor: 'Redundancy factor', type: 'Type', nodes: 'Nodes',
  cvmIp: 'Controller VM IP', ahvIp: 'Hypervisor IP', managementIp: 'Management IP', serverProfile: 'Profile', installer: 'Installer', mac: 'MAC address', serial: 'Serial number', zone: 'Zone', managementSubnet: 'Management subnet',
};

// The core names the field at the beginning of what it says: "nodes.1.spec.cvm_ip is required".
const named = /^[a-z_]+(?:\.[a-z0-9_]+)* (?=[a-z])/;

/** A check of the cluster as people read it: which field of which node, and what is wrong with it. */
export function readable(check: CheckRowFragment): CheckRowFragment {
  const { field } = check;
  if (check.passed || field === null || field.length === 0) return check;
  const message = check.message.replace(named, '');
  const node = field[0] === 'nodes' && field[1] !== undefined ? `Node ${Number(field[1]) + 1}` : null;
  const last = fieldNames[field.at(-1) ?? ''] ?? (field[0] === 'nodes' ? null : (fieldNames[field[0] ?? ''] ?? null));
  const label = [node, node !== null && field.length === 2 ? null : last].filter((part) => part !== null).join(', ');
  return { ...check, label: label === '' ? check.label : label, message: message.charAt(0).toUpperCase() + message.slice(1) };
}
