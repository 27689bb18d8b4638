import { useQuery } from '@apollo/client/react';
import { Link } from '@tanstack/react-router';
import { useState } from 'react';

import { ErrorPage } from '@/app/ErrorPage';
import { useTitle } from '@/app/useTitle';
import { RunsDocument, type RunLiveFragment } from '@/gql/generated/graphql';
import { formatDuration } from '@/lib/format';
import { runEnd, runKind, runNumber } from '@/script/hostState';
import { useRunNow } from '@/script/useHost';
import { Button, EmptyState, Instant, Panel, StatusMark } from '@/ui';
import classes from './ApplyPage.module.css';

const pageSize = 30;

/** Every run of the deployment script, the newest first. */
export function RunsPage() {
  useTitle('Runs of the deployment script');
  const [older, setOlder] = useState<readonly RunLiveFragment[]>([]);
  const [end, setEnd] = useState<{ after: string | null; more: boolean } | null>(null);
  const { data, error, refetch, fetchMore } = useQuery(RunsDocument, { variables: { first: pageSize, after: null }, fetchPolicy: 'cache-and-network' });
  const first = data?.scriptRuns;
  const page = end ?? { after: first?.pageInfo.endCursor ?? null, more: first?.pageInfo.hasNextPage ?? false };
  const more = async (): Promise<void> => {
    const { data: next } = await fetchMore({ variables: { first: pageSize, after: page.after }, updateQuery: (previous) => previous });
    setOlder((before) => [...before, ...next.scriptRuns.nodes]);
    setEnd({ after: next.scriptRuns.pageInfo.endCursor, more: next.scriptRuns.pageInfo.hasNextPage });
  };
  const seen = new Set(first?.nodes.map(({ id }) => id));
  const runs = [...(first?.nodes ?? []), ...older.filter(({ id }) => !seen.has(id))];
  return (
    <>
      <nav aria-label="Breadcrumb" className={classes.crumbs}>
        <Link to="/">Fleet</Link>
        <span aria-hidden="true">/</span>
        <Link to="/apply">Apply changes</Link>
        <span aria-hidden="true">/</span>
        <span aria-current="page">Runs</span>
      </nav>
      <div className={classes.page}>
        <h1 className={classes.title}>Runs of the deployment script</h1>
        {first === undefined ? (
          error ? (
            <ErrorPage page={false} error={error} retry={() => void refetch().catch(() => undefined)} />
          ) : (
            <div className={classes.loading} role="status" aria-label="Reading the runs" />
          )
        ) : runs.length === 0 ? (
          <EmptyState title="No runs yet">
            <p>A run begins when configurations are applied to nodes.</p>
            <Link to="/apply">Apply changes</Link>
          </EmptyState>
        ) : (
          <Panel title="Runs" flush>
            <div className={classes.scroll}>
              <table className={classes.runs}>
                <thead>
                  <tr>
                    <th scope="col">Run</th>
                    <th scope="col">State</th>
                    <th scope="col">Nodes</th>
                    <th scope="col">Requested by</th>
                    <th scope="col">Accepted</th>
                    <th scope="col">Took</th>
                    <th scope="col">End</th>
                  </tr>
                </thead>
                <tbody>
                  {runs.map((run) => (
                    <RunRow key={run.id} run={run} />
                  ))}
                </tbody>
              </table>
            </div>
            {page.more ? (
              <div className={classes.more}>
                <Button size="xs" variant="default" onClick={() => void more()}>
                  Older runs
                </Button>
              </div>
            ) : null}
          </Panel>
        )}
      </div>
    </>
  );
}

function RunRow({ run: read }: { run: RunLiveFragment }) {
  const run = useRunNow(read);
  const { kind, word } = runKind(run);
  return (
    <tr>
      <td>
        <Link to="/apply/runs/$runId" params={{ runId: run.id }}>
          Run {runNumber(run.id)}
        </Link>
      </td>
      <td>
        <StatusMark kind={kind} word={word} />
      </td>
      <td>{run.nodeCount}</td>
      <td>{run.requestedBy.name}</td>
      <td>
        <Instant at={run.createdAt} />
      </td>
      <td>{formatDuration(run.duration)}</td>
      <td>
        {runEnd(run) ?? '–'}
        {run.problem === null || run.problem === '' ? null : <p className={classes.problem}>{run.problem}</p>}
      </td>
    </tr>
  );
}
