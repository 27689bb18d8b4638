import { skipToken, useQuery } from '@apollo/client/react';
import { useEffect, useRef } from 'react';

import { announce } from '@/app/announcer';
import { useStream } from '@/app/services';
import { DeploymentPageDocument, NodePageDocument, PhaseCatalogDocument, type NodePageQuery, type Provider } from '@/gql/generated/graphql';
import { phaseLabel } from '@/lib/phases';
import { phaseStatus } from '@/lib/states';

/** Events that a page reads at once, of the newest; older ones come on demand. */
export const eventPage = 100;

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
    id === undefined ? skipToken : { variables: { id, last: eventPage }, fetchPolicy: 'cache-and-network', nextFetchPolicy: 'cache-first' },
  );
  return { deployment: query.data?.deployment ?? null, error: query.error, refetch: query.refetch, fetchMore: query.fetchMore };
}

export type DeploymentDetails = NonNullable<ReturnType<typeof useDeployment>['deployment']>;

/** Follows the machine's events from where the first read stands. */
export function useNodeEvents(nodeId: string, cursor: string | null | undefined, refetch: () => unknown): void {
  const stream = useStream();
  const reread = useRef(refetch);
  const start = useRef(cursor);
  useEffect(() => {
    reread.current = refetch;
    start.current = cursor;
  });
  // From then on the stream keeps its own place: later reads do not move it.
  const ready = cursor !== undefined;
  useEffect(() => {
    if (!ready) return;
    return stream.watchNode(nodeId, start.current ?? null, {
      events: (events) => {
        const last = events.at(-1);
        if (last && last.status !== 'IN_PROGRESS') announce(`${phaseLabel(last.phase, last.phaseKey)}: ${phaseStatus(last.status).word.toLowerCase()}`);
      },
      reset: () => void reread.current(),
    });
  }, [ready, nodeId, stream]);
}

/** The provider's phases, in order and without the final ones; what the app knows itself until they came. */
export function usePhaseCatalog(provider: Provider | undefined) {
  const { data } = useQuery(PhaseCatalogDocument, provider === undefined ? skipToken : { variables: { provider } });
  return data?.phaseCatalog ?? null;
}
