import { Link } from '@tanstack/react-router';
import { createColumnHelper, tableFeatures } from '@tanstack/react-table';
import type { ReactNode } from 'react';

import type { FleetRowFragment } from '@/gql/generated/graphql';
import { rowEta } from '@/lib/eta';
import { phaseLabel } from '@/lib/phases';
import { providerName } from '@/lib/providers';
import { rowKind } from '@/lib/states';
import { EtaMark, Instant, Progress, StatusMark } from '@/ui';
import classes from './FleetTable.module.css';
import { columnIds, type ColumnId, type SortKey } from './filters';
import { PhaseStrip } from './PhaseStrip';

/** What the table holds of a row: its id. All else is read from the cache where it is drawn. */
export interface RowRef {
  id: string;
}

interface Column {
  title: string;
  sort: SortKey;
  /** Its share of the table's width, for a grid. */
  width: string;
  /** Dropped when the window is narrower than this, px. */
  from?: number;
  cell: (row: FleetRowFragment) => ReactNode;
}

function Phase({ row }: { row: FleetRowFragment }) {
  const card = row.currentDeployment;
  if (!card) return <span className={classes.quiet}>Never deployed</span>;
  const { failure } = card;
  const text = failure ? `${phaseLabel(failure.phase, failure.phaseKey)} · ${failure.code.replaceAll('_', ' ')}` : phaseLabel(card.phase, card.phaseKey);
  return (
    <span className={classes.phase}>
      <span className={classes.phaseName} title={failure?.message ?? undefined}>
        <span className={classes.phaseText}>{text}</span>
        {card.attempt > 1 ? <span className={classes.again}>· attempt {card.attempt}</span> : null}
        {card.phaseStatus === 'WAITING' && card.state === 'RUNNING' ? <span className={classes.quiet}>· waiting</span> : null}
      </span>
      <PhaseStrip card={card} stale={row.stale || row.stalled} />
    </span>
  );
}

/** The columns, by id, in their order. */
export const columnKit = {
  state: { title: 'State', sort: 'attention', width: '112px', cell: (row) => <StatusMark kind={rowKind(row)} /> },
  name: {
    title: 'Name',
    sort: 'name',
    width: 'minmax(120px, 1.15fr)',
    cell: (row) => (
      <Link to="/nodes/$nodeId" params={{ nodeId: row.id }} className={classes.name} data-row-link>
        {row.name}
      </Link>
    ),
  },
  profile: { title: 'Profile', sort: 'profile', width: 'minmax(110px, 1.15fr)', from: 1120, cell: (row) => <span className={classes.cut} title={row.serverProfile}>{row.serverProfile === '' ? '–' : row.serverProfile}</span> },
  ip: { title: 'IP address', sort: 'ip', width: '114px', from: 920, cell: (row) => <span className={classes.mono}>{row.managementIp ?? '–'}</span> },
  phase: { title: 'Phase', sort: 'phase', width: 'minmax(190px, 1.5fr)', cell: (row) => <Phase row={row} /> },
  progress: {
    title: 'Progress',
    sort: 'progress',
    width: 'minmax(104px, 0.8fr)',
    cell: (row) =>
      row.currentDeployment ? <Progress value={row.currentDeployment.progress} kind={rowKind(row)} label={`Progress of ${row.name}`} /> : <span className={classes.quiet}>–</span>,
  },
  eta: {
    title: 'Expected end',
    sort: 'eta',
    width: '128px',
    from: 1000,
    cell: (row) => (row.state === 'RUNNING' ? <EtaMark of={(now) => rowEta(row, now)} none={<span className={classes.quiet}>–</span>} /> : <span className={classes.quiet}>–</span>),
  },
  attempt: {
    title: 'Attempt',
    sort: 'attempt',
    width: '64px',
    from: 920,
    cell: (row) => <span className={row.currentDeployment && row.currentDeployment.attempt > 1 ? classes.again : undefined}>{row.currentDeployment?.attempt ?? '–'}</span>,
  },
  server: { title: 'Server', sort: 'server', width: '100px', from: 920, cell: (row) => <span className={classes.cut}>{row.serverStatus ?? '–'}</span> },
  provider: { title: 'Provider', sort: 'provider', width: '112px', from: 920, cell: (row) => <span className={classes.cut}>{providerName(row.provider)}</span> },
  created: { title: 'Registered', sort: 'created', width: '150px', from: 920, cell: (row) => <Instant at={row.createdAt} className={classes.seen} /> },
  seen: { title: 'Last seen', sort: 'seen', width: '112px', cell: (row) => <Instant at={row.lastSeenAt} className={row.stale ? classes.stale : classes.seen} /> },
} satisfies Record<ColumnId, Column>;

export const columnOf = (id: ColumnId): Column => columnKit[id];

export const features = tableFeatures({});

const helper = createColumnHelper<typeof features, RowRef>();

export const columns = helper.columns(
  columnIds.map((id) => helper.display({ id, header: columnKit[id].title })),
);
