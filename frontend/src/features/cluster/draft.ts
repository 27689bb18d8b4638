import { readDraft } from '@/features/deploy/draft';
import { emptyForm, emptyNode, sizes, type ClusterForm, type NodeForm } from './form';

/** Where the form is kept between visits. It has no secrets: passwords are only ever named. */
const place = 'slipway.cluster.draft';

type Kept = Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>;

// A browser may refuse to keep anything; the form then lives as long as the page.
function storage(): Kept | null {
  try {
    return globalThis.localStorage;
  } catch {
    return null;
  }
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);
const text = (value: unknown): string => (typeof value === 'string' ? value : '');
const order = (value: unknown): NodeForm['order'] => readDraft(JSON.stringify(value ?? null));

function node(raw: unknown): NodeForm {
  if (!isObject(raw)) return emptyNode;
  return { source: raw.source === 'RACK' || raw.source === 'DEPLOYED' ? raw.source : 'IBM_VPC', nodeId: text(raw.nodeId), order: order(raw.order) };
}

/** Reads a draft; what an older or newer app has kept differently is left out. */
export function readClusterDraft(kept: string): ClusterForm {
  let raw: unknown;
  try {
    raw = JSON.parse(kept);
  } catch {
    return emptyForm;
  }
  if (!isObject(raw)) return emptyForm;
  const operation = raw.operation === 'JOIN_EXISTING' ? 'JOIN_EXISTING' : 'CREATE_NEW';
  const nodes = Array.isArray(raw.nodes) ? raw.nodes.map(node) : [];
  return {
    operation,
    clusterId: text(raw.clusterId),
    name: text(raw.name),
    address: text(raw.address),
    dnsServers: text(raw.dnsServers),
    ntpServers: text(raw.ntpServers),
    skipDiscovery: raw.skipDiscovery === true,
    maintenance: raw.maintenance === true,
    common: order(raw.common),
    nodes: sizes.some((size) => size === nodes.length) ? nodes : emptyForm.nodes,
  };
}

/** The form as it was left; null when it was left empty. */
export function loadDraft(from: Kept | null = storage()): ClusterForm | null {
  const kept = from?.getItem(place) ?? null;
  return kept === null ? null : readClusterDraft(kept);
}

/** Keeps the form over a reload; what cannot be kept is not worth an error. */
export function saveDraft(form: ClusterForm, to: Kept | null = storage()): void {
  try {
    to?.setItem(place, JSON.stringify(form));
  } catch {
    // Full, or not allowed.
  }
}

/** It was ordered, or given up. */
export function dropDraft(from: Kept | null = storage()): void {
  try {
    from?.removeItem(place);
  } catch {
    // As above.
  }
}
