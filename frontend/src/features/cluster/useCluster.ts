import { useApolloClient, useQuery } from '@apollo/client/react';
import { useCallback, useEffect, useMemo, useRef, useState } from 'react';

import { announce } from '@/app/announcer';
import { useStream } from '@/app/services';
import { useFleet } from '@/features/fleet/useFleet';
import { ClusterNowDocument, ClustersDocument, PhaseCatalogDocument, type ClusterFilter, type ClusterLiveFragment, type ClusterRowFragment } from '@/gql/generated/graphql';
import type { Typical } from './lanes';
import { clusterState } from './words';

/** A cluster, kept as it is by its stream. */
export function useCluster(id: string) {
  const stream = useStream();
  const query = useQuery(ClusterNowDocument, { variables: { id }, fetchPolicy: 'cache-and-network', nextFetchPolicy: 'cache-first' });
  const cluster = query.data?.cluster ?? null;
  // The stream begins after the read: what it brings is never older than what is shown.
  const followed = cluster !== null && !query.loading;
  useEffect(() => (followed ? stream.watchCluster(id) : undefined), [followed, id, stream]);

  const said = useRef<{ id: string; state: string } | null>(null);
  const state = cluster?.state;
  useEffect(() => {
    if (state === undefined) return;
    if (said.current !== null && said.current.id === id && said.current.state !== state) announce(`The cluster: ${clusterState(state).word.toLowerCase()}`);
    said.current = { id, state };
  }, [id, state]);
  return { cluster, missing: query.data !== undefined && cluster === null, error: query.error, refetch: query.refetch };
}

/** How long each phase before the barrier usually takes, as the provider of the cluster's nodes tells. */
export function useTypical(cluster: ClusterLiveFragment): Typical {
  const provider = cluster.members.find(({ state }) => state === 'MEMBER')?.node.provider ?? 'IBM_VPC';
  const { data } = useQuery(PhaseCatalogDocument, { variables: { provider } });
  return useMemo(() => {
    const phases = (data?.phaseCatalog ?? []).filter(({ terminal }) => !terminal).toSorted((a, b) => a.ordinal - b.ordinal);
    const barrier = phases.findIndex(({ key }) => key === 'cluster_formation');
    return new Map(phases.slice(0, Math.max(0, barrier)).map(({ key, typicalDuration }) => [key, typicalDuration]));
  }, [data]);
}

/** Clusters of a page; each "more" asks for as many again. */
const pageSize = 50;
/** The list is read again at most this often when nodes of clusters change, in ms. */
const readEvery = 2000;

interface Held {
  of: string;
  clusters: readonly ClusterRowFragment[];
  more: boolean;
}

/** Something that changes whenever a node of any cluster does, in what the list shows of it. */
function useClustered(): string {
  const fleet = useFleet();
  return useMemo(() => {
    const parts: string[] = [];
    for (const { clusterName, id, state, currentDeployment } of fleet.rows.values()) if (clusterName !== null) parts.push(`${id} ${state ?? ''} ${currentDeployment?.phaseKey ?? ''}`);
    return parts.join('\n');
  }, [fleet]);
}

/** Clusters that match, the newest first; read again when the stream says that one of their nodes has moved. */
export function useClusters(filter: ClusterFilter) {
  const client = useApolloClient();
  const changed = useClustered();
  const [wanted, setWanted] = useState(pageSize);
  const [held, setHeld] = useState<Held | null>(null);
  const [failure, setFailure] = useState<{ of: string; error: unknown } | null>(null);
  const [tries, setTries] = useState(0);
  const question = JSON.stringify(filter);
  const last = useRef({ at: Number.NEGATIVE_INFINITY, of: '' });
  useEffect(() => {
    let over = false;
    // What somebody asked for comes at once; what merely changed may wait.
    const of = `${question} ${wanted} ${tries}`;
    const wait = last.current.of === of ? Math.max(0, last.current.at + readEvery - performance.now()) : 0;
    const timer = setTimeout(() => {
      last.current = { at: performance.now(), of };
      void (async () => {
        try {
          const clusters: ClusterRowFragment[] = [];
          let more = true;
          for (let after: string | null = null; more && clusters.length < wanted; ) {
            const variables: { first: number; after: string | null; filter: ClusterFilter } = { first: pageSize, after, filter: JSON.parse(question) as ClusterFilter };
            const { data, error } = await client.query({ query: ClustersDocument, variables, fetchPolicy: 'no-cache' });
            if (data === undefined) throw error instanceof Error ? error : new Error('The answer has no data.');
            clusters.push(...data.clusters.nodes);
            after = data.clusters.pageInfo.endCursor;
            more = data.clusters.pageInfo.hasNextPage && after !== null;
          }
          if (over) return;
          setHeld({ of: question, clusters, more });
          setFailure(null);
        } catch (error) {
          if (!over) setFailure({ of: question, error });
        }
      })();
    }, wait);
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, [client, question, wanted, tries, changed]);
  const again = useCallback(() => setTries((n) => n + 1), []);
  return {
    clusters: held?.clusters ?? null,
    /** What is shown answers another question. */
    behind: held !== null && held.of !== question,
    more: held?.more ?? false,
    error: failure?.of === question ? failure.error : null,
    onMore: () => setWanted(wanted + pageSize),
    again,
  };
}
