import type { ClusterState } from '@/gql/generated/graphql';

/** What the URL of a cluster's page says. */
export interface ClusterSearch {
  /** The lanes as a table. */
  view?: 'table';
  /** The node that is selected, by its id. */
  node?: string;
}

/** Reads the URL; what makes no sense is left out. */
export function parseClusterSearch(raw: Record<string, unknown>): ClusterSearch {
  return {
    ...(raw.view === 'table' ? { view: 'table' as const } : {}),
    ...(typeof raw.node === 'string' && /^node_\d+$/.test(raw.node) ? { node: raw.node } : {}),
  };
}

const states = ['queued', 'installing', 'forming', 'validating', 'growing', 'deployed', 'blocked', 'canceled', 'cleaning_up', 'cleaned_up'] as const;

/** What the URL of the list says. */
export interface ClustersSearch {
  /** Part of a name or address. */
  q?: string;
  /** Only clusters in this state, in lower case. */
  state?: (typeof states)[number];
}

export function parseClustersSearch(raw: Record<string, unknown>): ClustersSearch {
  const state = states.find((each) => each === raw.state);
  const q = typeof raw.q === 'string' || typeof raw.q === 'number' ? String(raw.q).slice(0, 200) : '';
  return { ...(q === '' ? {} : { q }), ...(state === undefined ? {} : { state }) };
}

/** The same state for the server. */
export const stateOf = (state: NonNullable<ClustersSearch['state']>): ClusterState => state.toUpperCase() as ClusterState;

/** What the URL of the form says. */
export interface NewClusterSearch {
  /** The cluster to join, by its id. */
  join?: string;
}

export function parseNewClusterSearch(raw: Record<string, unknown>): NewClusterSearch {
  return typeof raw.join === 'string' && /^clu_\d+$/.test(raw.join) ? { join: raw.join } : {};
}
