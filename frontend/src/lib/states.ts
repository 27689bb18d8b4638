import type { DeploymentState, FleetRowFragment, PhaseStatus } from '@/gql/generated/graphql';

/**
 * What a row, a deployment or a phase run is, for a person: one kind, one
 * shape, one word, one colour. Never colour alone.
 */
export type StatusKind =
  | 'registered'
  | 'queued'
  | 'waiting'
  | 'running'
  | 'late'
  | 'stalled'
  | 'succeeded'
  | 'failed'
  | 'canceling'
  | 'canceled'
  | 'cleaning'
  | 'cleaned'
  | 'skipped'
  | 'unknown';

export const statusWords: Record<StatusKind, string> = {
  registered: 'Registered',
  queued: 'Queued',
  waiting: 'Waiting',
  running: 'Running',
  late: 'Late',
  stalled: 'Stalled',
  succeeded: 'Deployed',
  failed: 'Failed',
  canceling: 'Canceling',
  canceled: 'Canceled',
  cleaning: 'Cleaning up',
  cleaned: 'Cleaned up',
  skipped: 'Skipped',
  unknown: 'Unknown',
};

const byState: Record<DeploymentState, StatusKind> = {
  QUEUED: 'queued',
  RUNNING: 'running',
  SUCCEEDED: 'succeeded',
  FAILED: 'failed',
  CANCELING: 'canceling',
  CANCELED: 'canceled',
  CLEANING_UP: 'cleaning',
  CLEANED_UP: 'cleaned',
};

/** The kind of a deployment's state; a state of a newer server is unknown, not an error. */
export function stateKind(state: DeploymentState | null | undefined): StatusKind {
  if (state == null) return 'registered';
  return (byState as Partial<Record<string, StatusKind>>)[state] ?? 'unknown';
}

/** What a machine's row says of how it comes along. */
export type RowFacts = Pick<FleetRowFragment, 'state' | 'stale'> & Partial<Pick<FleetRowFragment, 'stalled' | 'late'>>;

/**
 * The kind of a machine's row: the state of its deployment, unless it is
 * stalled (silent for too long, or past a deadline) or, which is less, late
 * (slower than 95 in 100 of its kind).
 */
export function rowKind(row: RowFacts): StatusKind {
  const kind = stateKind(row.state);
  if (kind !== 'running' && kind !== 'canceling' && kind !== 'cleaning') return kind;
  if (row.stale || row.stalled) return 'stalled';
  return row.late && kind === 'running' ? 'late' : kind;
}

const byStatus: Record<PhaseStatus, StatusKind> = {
  WAITING: 'waiting',
  IN_PROGRESS: 'running',
  SUCCEEDED: 'succeeded',
  FAILED: 'failed',
  TIMED_OUT: 'failed',
  SKIPPED: 'skipped',
  CANCELED: 'canceled',
};

const statusWordsOfRuns: Record<PhaseStatus, string> = {
  WAITING: 'Waiting',
  IN_PROGRESS: 'Running',
  SUCCEEDED: 'Done',
  FAILED: 'Failed',
  TIMED_OUT: 'Timed out',
  SKIPPED: 'Skipped',
  CANCELED: 'Canceled',
};

/** Kind and word of a phase run's status. */
export function phaseStatus(status: PhaseStatus): { kind: StatusKind; word: string } {
  const kind = (byStatus as Partial<Record<string, StatusKind>>)[status] ?? 'unknown';
  const word = (statusWordsOfRuns as Partial<Record<string, string>>)[status] ?? statusWords.unknown;
  return { kind, word };
}

/** Whether nothing more happens to such a deployment by itself. */
export function isOver(state: DeploymentState): boolean {
  return state === 'SUCCEEDED' || state === 'FAILED' || state === 'CANCELED' || state === 'CLEANED_UP';
}
