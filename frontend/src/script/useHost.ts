import { skipToken, useApolloClient, useFragment, useQuery } from '@apollo/client/react';
import { useEffect, useMemo, useRef, useState } from 'react';

import { useStream } from '@/app/services';
import { RunLiveFragmentDoc, RunPageDocument, ScriptDeploymentDocument, type FleetRowFragment, type RunLiveFragment, type RunPageQuery } from '@/gql/generated/graphql';
import { isOver } from '@/lib/states';
import { useStore } from '@/lib/store';
import { notify } from './notices';

export type RunDetails = NonNullable<RunPageQuery['scriptRun']>;

/** A run with what it stored. */
export function useRun(id: string | undefined) {
  const query = useQuery(RunPageDocument, id === undefined ? skipToken : { variables: { id }, fetchPolicy: 'cache-and-network', nextFetchPolicy: 'cache-first' });
  const run = query.data?.scriptRun ?? null;
  // Where the first read of this run stood: other reads of the summary move what the cache holds, and events
  // between would be passed over.
  const [first, setFirst] = useState<{ id: string; cursor: string } | null>(null);
  if (query.data && run !== null && first?.id !== run.id) setFirst({ id: run.id, cursor: query.data.fleetSummary.cursor });
  return { run, cursor: first?.id === run?.id ? (first?.cursor ?? null) : null, missing: query.data !== undefined && run === null, error: query.error, refetch: query.refetch };
}

/** A run as the stream has it now. */
export function useRunNow(run: RunLiveFragment): RunLiveFragment {
  const { data, dataState } = useFragment({ fragment: RunLiveFragmentDoc, fragmentName: 'RunLive', from: { __typename: 'ScriptRun', id: run.id } });
  return dataState === 'complete' ? (data) : run;
}

/** The deployment of a host, with the run that covers its present attempt. */
export function useHostDeployment(id: string) {
  const query = useQuery(ScriptDeploymentDocument, { variables: { id }, fetchPolicy: 'cache-and-network', nextFetchPolicy: 'cache-first' });
  const deployment = query.data?.deployment ?? null;
  // Another attempt may have another run, which no event carries.
  const attempt = deployment?.attempt;
  const before = useRef(attempt);
  const { refetch } = query;
  useEffect(() => {
    const changed = before.current !== undefined && attempt !== undefined && before.current !== attempt;
    before.current = attempt;
    if (changed) void refetch();
  }, [attempt, refetch]);
  return { deployment, error: query.error, refetch };
}

export type HostDeployment = NonNullable<ReturnType<typeof useHostDeployment>['deployment']>;

/** Follows the attempts to reach hosts while this page is open. */
export function useProbes(): void {
  const stream = useStream();
  useEffect(() => stream.watchProbes(), [stream]);
}

/** The fleet's rows of a run's deployments, by deployment. */
export function useRowsOf(deploymentIds: readonly string[]): ReadonlyMap<string, FleetRowFragment> {
  const stream = useStream();
  const { rows, revision } = useStore(stream.fleet);
  return useMemo(() => {
    const wanted = new Set(deploymentIds);
    const found = new Map<string, FleetRowFragment>();
    for (const row of rows.values()) if (row.currentDeployment && wanted.has(row.currentDeployment.id)) found.set(row.currentDeployment.id, row);
    return found;
    // The map is changed in place; its revision tells.
    // eslint-disable-next-line react-hooks/exhaustive-deps -- see above
  }, [rows, revision, deploymentIds]);
}

/** Follows the events of the hosts of a run, from where the run was read; tells how each of them ended. */
export function useRunEvents(run: RunDetails | null, cursor: string | null, rows: ReadonlyMap<string, FleetRowFragment>): void {
  const stream = useStream();
  const client = useApolloClient();
  const nodeIds = [...rows.values()].map(({ id }) => id).sort().join(' ');
  useEffect(() => {
    if (nodeIds === '' || cursor === null) return;
    // A host may have been read before the run was: what happened between is behind the cursor, and before the read.
    void client.refetchQueries({ include: [ScriptDeploymentDocument] });
    return stream.watchNodes(nodeIds.split(' '), cursor, {
      events: () => undefined,
      reset: () => void client.refetchQueries({ include: [ScriptDeploymentDocument] }),
    });
  }, [stream, client, nodeIds, cursor]);

  const before = useRef(new Map<string, string>());
  const runId = run?.id ?? null;
  useEffect(() => {
    for (const [id, { name, currentDeployment }] of rows) {
      if (!currentDeployment) continue;
      const { state, failure } = currentDeployment;
      const was = before.current.get(id);
      before.current.set(id, state);
      if (was === undefined || was === state || !isOver(state)) continue;
      if (state === 'SUCCEEDED') notify('succeeded', `${name} is back and healthy`, { runId });
      else if (state === 'FAILED') notify('failed', `${name} failed: ${failure?.message ?? 'no reason was given'}`, { detail: failure?.hint ?? null, runId });
      else notify('told', `${name} was canceled`, { runId });
    }
  }, [rows, runId]);
}
