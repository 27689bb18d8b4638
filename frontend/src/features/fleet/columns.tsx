import { Link } from '@tanstack/react-router';
import { createColumnHelper, tableFeatures } from '@tanstack/react-table';
import type { ReactNode } from 'react';

import type { FleetRowFragment } from '@/gql/generated/graphql';
import { phaseLabel } from '@/lib/phases';
import { rowKind } from '@/lib/states';
import { Instant, Progress, StatusMark } from '@/ui';
import classes from './FleetTable.module.css';
import type { SortKey } from './filters';
import { PhaseStrip } from './PhaseStrip';

/** What the table holds of a row: its id. All else is read from the cache where it is drawn. */
export interface RowRef {
  id: string;
}

interface Column {
  title: string;
  sort: SortKey;
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
        {text}
        {card.phaseStatus === 'WAITING' && card.state === 'RUNNING' ? <span className={classes.quiet}> · waiting</span> : null}
      </span>
      <PhaseStrip card={card} stale={row.stale} />
    </span>
  );
}

/** The columns, by id, in their order. */
export const columnKit = {
  state: { title: 'State', sort: 'attention', cell: (row) => <StatusMark kind={rowKind(row)} /> },
  name: {
    title: 'Name',
    sort: 'name',
    cell: (row) => (
      <Link to="/nodes/$nodeId" params={{ nodeId: row.id }} className={classes.name} data-row-link>
        {row.name}
      </Link>
    ),
  },
  profile: { title: 'Profile', sort: 'profile', cell: (row) => <span className={classes.cut} title={row.serverProfile}>{row.serverProfile}</span> },
  ip: { title: 'IP address', sort: 'ip', cell: (row) => <span className={classes.mono}>{row.managementIp ?? '–'}</span> },
  phase: { title: 'Phase', sort: 'phase', cell: (row) => <Phase row={row} /> },
  progress: {
    title: 'Progress',
    sort: 'progress',
    cell: (row) =>
      row.currentDeployment ? <Progress value={row.currentDeployment.progress} kind={rowKind(row)} label={`Progress of ${row.name}`} /> : <span className={classes.quiet}>–</span>,
  },
  attempt: {
    title: 'Attempt',
    sort: 'attempt',
    cell: (row) => <span className={row.currentDeployment && row.currentDeployment.attempt > 1 ? classes.again : undefined}>{row.currentDeployment?.attempt ?? '–'}</span>,
  },
  seen: { title: 'Last seen', sort: 'seen', cell: (row) => <Instant at={row.lastSeenAt} className={row.stale ? classes.stale : classes.seen} /> },
} satisfies Record<string, Column>;

export type ColumnId = keyof typeof columnKit;

export const features = tableFeatures({});

const helper = createColumnHelper<typeof features, RowRef>();

export const columns = helper.columns(
  (Object.keys(columnKit) as ColumnId[]).map((id) => helper.display({ id, header: columnKit[id].title })),
);
