import { Link } from '@tanstack/react-router';
import { Suspense, useMemo, type ReactNode } from 'react';

import { useStream } from '@/app/services';
import { useTitle } from '@/app/useTitle';
import { countGroups, groups as fleetGroups, groupWords } from '@/features/fleet/filters';
import { PhaseStrip } from '@/features/fleet/PhaseStrip';
import { useFleet } from '@/features/fleet/useFleet';
import type { FleetRowFragment } from '@/gql/generated/graphql';
import { rowEta } from '@/lib/eta';
import { formatDuration, plural } from '@/lib/format';
import { phaseLabel } from '@/lib/phases';
import { useStore } from '@/lib/store';
import { Button, EmptyState, EtaMark, Panel, StatusMark, lazyPart } from '@/ui';
import { Failures } from './Failures';
import { needLook, nextToEnd, phaseLoads, type PhaseLoad } from './groups';
import classes from './OverviewPage.module.css';

const Trends = lazyPart(() => import('@/features/charts/Trends').then(({ Trends: component }) => component));

const mostRows = 8;

/** The whole at a glance: failures first, then what may become one, then what is under way. */
export function OverviewPage() {
  const fleet = useFleet();
  const { rows, complete, numbers } = fleet;
  // The map of rows is one and the same; the snapshot around it is new after a change.
  const counts = useMemo(() => countGroups(fleet.rows.values()), [fleet]);
  const look = useMemo(() => needLook(fleet.rows.values()), [fleet]);
  const loads = useMemo(() => phaseLoads(fleet.rows.values()), [fleet]);
  const next = useMemo(() => nextToEnd(fleet.rows.values(), mostRows), [fleet]);
  useTitle(counts.failed > 0 ? `${counts.failed} failed` : counts.stalled > 0 ? `${counts.stalled} stalled` : 'Overview');
  const { mode } = useStore(useStream().status);

  if (!complete) {
    return mode === 'offline' ? (
      <Offline />
    ) : (
      <div role="status" aria-label="Loading the overview" className={classes.loading}>
        <div />
        <div />
      </div>
    );
  }
  return (
    <>
      <div className={classes.top}>
        <h1 className={classes.title}>Overview</h1>
        <p className={classes.numbers}>
          {plural(rows.size, 'node')}
          {numbers === null ? null : ` · last 24 h: ${numbers.succeededLast24h.toLocaleString('en')} deployed, ${numbers.failedLast24h.toLocaleString('en')} failed`}
          {numbers?.durationP50 == null ? null : ` · median ${formatDuration(numbers.durationP50)}`}
        </p>
      </div>
      <ul className={classes.counts} aria-label="Nodes by state">
        {fleetGroups
          .filter((group) => counts[group] > 0 || group === 'failed' || group === 'stalled' || group === 'late' || group === 'running')
          .map((group) => (
            <li key={group}>
              <Link to="/" search={{ show: group }} className={classes.count}>
                <StatusMark kind={groupWords[group].kind} word={groupWords[group].word} />
                <span className={classes.number}>{counts[group].toLocaleString('en')}</span>
              </Link>
            </li>
          ))}
      </ul>
      <Failures fleet={fleet} />
      <div className={classes.columns}>
        <Panel title="Stalled and late" tone={look.some((row) => row.stalled || row.stale) ? 'stalled' : 'plain'} flush actions={look.length > mostRows ? <Link to="/" search={{ show: 'stalled,late' }}>All {look.length.toLocaleString('en')}</Link> : null}>
          {look.length === 0 ? (
            <EmptyState title="Nothing is stalled or late">
              <p>Every machine under way has been heard of, and none takes unusually long.</p>
            </EmptyState>
          ) : (
            <Rows rows={look.slice(0, mostRows)} label="Stalled and late nodes" />
          )}
        </Panel>
        <Panel title="Under way" flush>
          {loads.length === 0 ? (
            <EmptyState title="Nothing is under way">
              <p>No machine is being deployed now.</p>
            </EmptyState>
          ) : (
            <>
              <Loads loads={loads} />
              {next.length === 0 ? null : <Rows rows={next} label="Nodes that end next" />}
            </>
          )}
        </Panel>
      </div>
      <Suspense fallback={<div className={classes.trends} role="status" aria-label="Loading the charts" />}>
        <Trends />
      </Suspense>
    </>
  );
}

function Offline() {
  const stream = useStream();
  return (
    <>
      <div className={classes.top}>
        <h1 className={classes.title}>Overview</h1>
      </div>
      <EmptyState title="The server does not answer" mark={<StatusMark kind="stalled" word="Not reachable" />}>
        <p>Nothing has been loaded yet. The connection is tried again by itself.</p>
        <Button size="xs" variant="default" onClick={stream.hurry}>
          Try now
        </Button>
      </EmptyState>
    </>
  );
}

function Rows({ rows, label }: { rows: readonly FleetRowFragment[]; label: string }) {
  return (
    <ul className={classes.rows} aria-label={label}>
      {rows.map((row) => (
        <li key={row.id} className={classes.row}>
          <Link to="/nodes/$nodeId" params={{ nodeId: row.id }} className={classes.name}>
            {row.name}
          </Link>
          <span className={classes.phase}>
            {row.currentDeployment === null ? null : (
              <>
                <span className={classes.quiet}>{phaseLabel(row.currentDeployment.phase, row.currentDeployment.phaseKey)}</span>
                <PhaseStrip card={row.currentDeployment} stale={row.stale || row.stalled} />
              </>
            )}
          </span>
          <span className={classes.eta}>
            <EtaMark of={(now) => rowEta(row, now)} />
          </span>
        </li>
      ))}
    </ul>
  );
}

function Loads({ loads }: { loads: readonly PhaseLoad[] }): ReactNode {
  const most = Math.max(...loads.map(({ count }) => count));
  return (
    <ul className={classes.loads} aria-label="Nodes by phase">
      {loads.map(({ phase, phaseKey, label, count }) => (
        <li key={phaseKey}>
          <Link to="/" search={{ phase }} className={classes.load}>
            <span>{label}</span>
            <svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true" className={classes.bar}>
              <rect width={Math.max(1, (count / most) * 100)} height="8" />
            </svg>
            <span className={classes.loadCount}>{count.toLocaleString('en')}</span>
          </Link>
        </li>
      ))}
    </ul>
  );
}
