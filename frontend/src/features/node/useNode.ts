import { skipToken, useQuery } from '@apollo/client/react';
import { useEffect, useMemo, useRef } from 'react';

import { announce } from '@/app/announcer';
import { useStream } from '@/app/services';
import { DeploymentPageDocument, NodePageDocument, PhaseCatalogDocument, type NodePageQuery, type Provider } from '@/gql/generated/graphql';
import { phaseLabel, phaseOrder } from '@/lib/phases';
import { phaseStatus } from '@/lib/states';
import { gapOf, insist } from './gaps';

/** Events that a page reads at once, of the newest; older ones come on demand. */
export const eventPage = 100;
/** Events that are read at once where some are missing in between. */
const gapPage = 200;

export type NodeDetails = Extract<NonNullable<NodePageQuery['node']>, { __typename: 'BareMetalNode' }>;

/** One machine with its deployments. */
export function useNodeDetails(id: string) {
  const query = useQuery(NodePageDocument, { variables: { id }, fetchPolicy: 'cache-and-network', nextFetchPolicy: 'cache-first' });
  const node = query.data?.node;
  const details: NodeDetails | null = node?.__typename === 'BareMetalNode' ? node : null;

  // A deployment that began while the page is open is not in the list yet.
  const { refetch } = query;
  const currentId = details?.currentDeployment?.id;
  const listed = currentId === undefined || details === null || details.deployments.nodes.some(({ id: each }) => each === currentId);
  useEffect(() => {
    if (!listed) void refetch();
  }, [listed, refetch]);

  return { details, missing: query.data !== undefined && details === null, error: query.error, refetch };
}

/** One deployment with its phases and newest events. */
export function useDeployment(id: string | undefined) {
  const query = useQuery(
    DeploymentPageDocument,
    // What was read before is kept when it is read again.
    id === undefined ? skipToken : { variables: { id, last: eventPage }, fetchPolicy: 'cache-and-network', nextFetchPolicy: 'cache-first', refetchWritePolicy: 'merge' },
  );
  const { fetchMore } = query;
  // The newest events may have come without those before them: after a reset of the stream, or a long absence.
  const gap = gapOf(query.data?.deployment?.events.nodes ?? []);
  useEffect(() => {
    if (gap === null) return;
    const page = new AbortController();
    void insist(() => fetchMore({ variables: { before: gap, last: gapPage } }), page.signal);
    return () => page.abort();
  }, [gap, id, fetchMore]);
  return { deployment: query.data?.deployment ?? null, missing: query.data !== undefined && query.data.deployment === null, error: query.error, refetch: query.refetch, fetchMore: query.fetchMore };
}

export type DeploymentDetails = NonNullable<ReturnType<typeof useDeployment>['deployment']>;

/** Follows the machine's events from where the first read stands; what they did not tell is read again. */
export function useNodeEvents(nodeId: string, cursor: string | null | undefined, ...rereads: (() => Promise<unknown>)[]): void {
  const stream = useStream();
  const reread = useRef(rereads);
  const start = useRef(cursor);
  useEffect(() => {
    reread.current = rereads;
    start.current = cursor;
  });
  // From then on the stream keeps its own place: later reads do not move it.
  const ready = cursor !== undefined;
  useEffect(() => {
    if (!ready) return;
    const page = new AbortController();
    const unwatch = stream.watchNode(nodeId, start.current ?? null, {
      events: (events) => {
        const last = events.at(-1);
        if (last && last.status !== 'IN_PROGRESS') announce(`${phaseLabel(last.phase, last.phaseKey)}: ${phaseStatus(last.status).word.toLowerCase()}`);
      },
      reset: () => void insist(() => Promise.all(reread.current.map((read) => read())), page.signal),
    });
    return () => {
      page.abort();
      unwatch();
    };
  }, [ready, nodeId, stream]);
}

interface Phases {
  /** In order and without the final ones. */
  known: readonly { key: string; label: string }[];
  /** How long all of them take together, in ms; null while too little is known. */
  typical: number | null;
}

/**
 * The provider's phases; what the app knows itself until they came. How long they take is
 * taken from the deployment, which knows it of its own profile, else from the provider.
 */
export function usePhases(provider: Provider, runs: DeploymentDetails['phases'] = []): Phases {
  const { data } = useQuery(PhaseCatalogDocument, { variables: { provider } });
  const catalog = data?.phaseCatalog;
  return useMemo(() => {
    if (!catalog) return { known: phaseOrder(provider).map((phase) => ({ key: phase.toLowerCase(), label: phaseLabel(phase, phase.toLowerCase()) })), typical: null };
    const wanted = catalog.filter(({ terminal, phase }) => !terminal && phase !== 'CLEANUP');
    const lengths = wanted.map(({ key, typicalDuration }) => runs.find(({ phaseKey }) => phaseKey === key)?.typicalDuration ?? typicalDuration ?? 0);
    const whole = lengths.reduce((sum, length) => sum + length, 0);
    return { known: wanted.map(({ key, label }) => ({ key, label })), typical: whole > 0 ? whole : null };
  }, [catalog, provider, runs]);
}
