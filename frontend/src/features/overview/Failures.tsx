import { useQuery } from '@apollo/client/react';
import { Link } from '@tanstack/react-router';
import { useMemo } from 'react';

import { useAgain } from '@/features/charts/useAgain';
import { FailureGroupsDocument, type FailureGroupsQuery } from '@/gql/generated/graphql';
import { problemsOf } from '@/gql/client/ask';
import { plural } from '@/lib/format';
import { phaseLabel } from '@/lib/phases';
import type { FleetSnapshot } from '@/stream';
import { Button, EmptyState, Instant, Panel, Problems, StatusMark } from '@/ui';
import { failuresOf } from './groups';
import classes from './OverviewPage.module.css';

type FailureGroup = FailureGroupsQuery['failureGroups'][number];

/** Names that a group of failures shows; the rest is one click away. */
const mostNames = 6;
/** While machines go on failing the groups are read again at most this often, ms. */
const groupsEvery = 3000;

/** Why machines have failed, as the server groups it; read again when another has failed, or one of them has not any more. */
export function Failures({ fleet }: { fleet: FleetSnapshot }) {
  const { data, previousData, error, refetch } = useQuery(FailureGroupsDocument, { variables: { names: mostNames }, fetchPolicy: 'network-only', nextFetchPolicy: 'cache-first' });
  const { count, mark } = useMemo(() => failuresOf(fleet.rows.values()), [fleet]);
  const again = (): void => void refetch().catch(() => undefined);
  useAgain(mark, groupsEvery, again);
  // About as high as they will be, so that what follows stays where it is.
  const kinds = useMemo(() => new Set([...fleet.rows.values()].flatMap(({ state, currentDeployment }) => (state === 'FAILED' && currentDeployment?.failure ? [`${currentDeployment.failure.phaseKey} ${currentDeployment.failure.code}`] : []))).size, [fleet]);
  // How many is what the table would show at this moment; the groups follow.
  const groups = count === 0 ? [] : ((data ?? previousData)?.failureGroups ?? []);
  return (
    <div className={classes.space}>
      <Panel title={count === 0 ? 'Failures' : `Failures: ${plural(count, 'node')}`} tone={count > 0 ? 'failed' : 'plain'} flush>
        {error && count > 0 ? (
          <div className={classes.problems}>
            <Problems title="Why they failed could not be read" problems={problemsOf(error)} />
            <Button size="xs" variant="default" onClick={again}>
              Try again
            </Button>
          </div>
        ) : null}
        {count === 0 ? <NoFailures /> : null}
        {count > 0 && groups.length === 0 && !error ? <div role="status" aria-label="Loading the failures" className={classes.awaited} style={{ minHeight: kinds * 113 }} /> : null}
        {groups.length === 0 ? null : (
          <ul className={classes.groups} aria-label="Failures by phase and code">
            {groups.map((group) => (
              <Group key={`${group.phaseKey} ${group.code}`} group={group} />
            ))}
          </ul>
        )}
      </Panel>
    </div>
  );
}

function NoFailures() {
  return (
    <EmptyState title="No failures" mark={<StatusMark kind="succeeded" word="Good" />}>
      <p>No node’s current deployment has failed.</p>
    </EmptyState>
  );
}

function Group({ group }: { group: FailureGroup }) {
  const { count, phase, phaseKey, code, hint, message, newestAt, retryable, nodes } = group;
  const search = { show: 'failed', failure_phase: phase, failure_code: code };
  return (
    <li className={classes.group}>
      <Link to="/" search={search} className={classes.size} aria-label={`${plural(count, 'node')} failed in ${phaseLabel(phase, phaseKey)} with ${code}: show them`}>
        <span className={classes.number}>{count.toLocaleString('en')}</span>
      </Link>
      <div className={classes.what}>
        <p className={classes.line}>
          <StatusMark kind="failed" word={`in ${phaseLabel(phase, phaseKey)}`} /> <code className={classes.code}>{code}</code>
          <span className={classes.quiet}>{retryable ? 'a retry may help' : 'a retry alone will not help'}</span>
          <Instant at={newestAt} className={classes.when} />
        </p>
        <p>{message}</p>
        {hint === null || hint === '' ? null : (
          <p className={classes.quiet}>
            <strong>What to do:</strong> {hint}
          </p>
        )}
        <p className={classes.names}>
          {nodes.nodes.map(({ id, name }) => (
            <Link key={id} to="/nodes/$nodeId" params={{ nodeId: id }}>
              {name}
            </Link>
          ))}
          {count > nodes.nodes.length ? (
            <Link to="/" search={search}>
              and {(count - nodes.nodes.length).toLocaleString('en')} more
            </Link>
          ) : null}
        </p>
      </div>
    </li>
  );
}
