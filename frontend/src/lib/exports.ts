import type { BareMetalNodeFilter, DeploymentEventFilter, PhaseStatus } from '@/gql/generated/graphql';

/** A table for people, or one JSON object a line for programs. */
export type ExportFormat = 'csv' | 'ndjson';

// Statuses have another spelling there, that of reports.
const statusKeys: Record<PhaseStatus, string> = {
  WAITING: 'waiting',
  IN_PROGRESS: 'in_progress',
  SUCCEEDED: 'success',
  FAILED: 'failed',
  TIMED_OUT: 'timed_out',
  SKIPPED: 'skipped',
  CANCELED: 'canceled',
};

function url(name: string, format: ExportFormat, parameters: Record<string, string | undefined>): string {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(parameters)) if (value !== undefined && value !== '') query.set(key, value);
  const text = query.toString();
  return `/api/export/${name}.${format}${text === '' ? '' : `?${text}`}`;
}

const lower = (list: readonly string[] | null | undefined): string | undefined => list?.map((each) => each.toLowerCase()).join(',');

/** Where the server gives all events that match, as a file; the oldest first. */
export function eventsExport(filter: DeploymentEventFilter, format: ExportFormat): string {
  return url('events', format, {
    node: filter.nodeIds?.join(','),
    deployment: filter.deploymentIds?.join(','),
    batch: filter.batchId == null ? undefined : String(filter.batchId),
    phase: lower(filter.phases),
    status: filter.statuses?.map((status) => statusKeys[status]).join(','),
    source: lower(filter.sources),
    include: filter.includeRefused ? 'refused' : undefined,
  });
}

/** Where the server gives all machines that match, as a file; by name. */
export function nodesExport(filter: Pick<BareMetalNodeFilter, 'text' | 'states' | 'stale' | 'late'>, format: ExportFormat): string {
  return url('nodes', format, {
    text: filter.text ?? undefined,
    state: lower(filter.states),
    stale: filter.stale == null ? undefined : String(filter.stale),
    late: filter.late == null ? undefined : String(filter.late),
  });
}
