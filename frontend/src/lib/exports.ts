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

type Parameter = string | boolean | readonly string[] | null | undefined;

/** A parameter with a list is repeated: its entries may have commas. */
function url(name: string, format: ExportFormat, parameters: Record<string, Parameter>): string {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(parameters)) {
    if (Array.isArray(value)) for (const each of value as readonly string[]) query.append(key, each);
    else if (value != null && value !== '') query.set(key, String(value));
  }
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
export function nodesExport(filter: BareMetalNodeFilter, format: ExportFormat): string {
  return url('nodes', format, {
    text: filter.text,
    group: lower(filter.groups),
    state: lower(filter.states),
    phase: lower(filter.phases),
    failure_phase: lower(filter.failurePhases),
    failure_code: filter.failureCodes?.join(','),
    server_profile: filter.serverProfiles,
    cluster_name: filter.clusterNames,
    label: filter.labels?.map(({ key, value }) => `${key}=${value}`),
    stale: filter.stale,
    stalled: filter.stalled,
    late: filter.late,
  });
}
