import type { DeploymentEventFilter, EventSource, Phase, PhaseStatus } from '@/gql/generated/graphql';
import { allPhases } from '@/lib/phases';

/** What the URL of the history says. Everything left out is not narrowed. */
export interface HistorySearch {
  /** Part of the name or address of machines. */
  q?: string;
  phase?: Phase;
  status?: PhaseStatus;
  source?: EventSource;
  /** Only of this deployment, by its id. */
  deployment?: string;
  /** Only of this batch, by its id. */
  batch?: string;
  /** Refused reports as well. */
  refused?: true;
  /** The event that is selected, by its id. It narrows nothing. */
  event?: string;
}

/** Phases to choose from, in order. */
export const phases: readonly Phase[] = allPhases;
export const statuses: readonly PhaseStatus[] = ['WAITING', 'IN_PROGRESS', 'SUCCEEDED', 'FAILED', 'TIMED_OUT', 'SKIPPED', 'CANCELED'];
export const eventSources: readonly EventSource[] = ['ORCHESTRATOR', 'CLOUD_API', 'BOOT_SERVICE', 'INSTALLER_SCRIPT', 'USER'];

const one = <T extends string>(list: readonly T[], value: unknown): T | undefined => list.find((each) => each === value);

/** Reads the URL; what makes no sense is left out. */
export function parseHistorySearch(raw: Record<string, unknown>): HistorySearch {
  const search: HistorySearch = {};
  if ((typeof raw.q === 'string' || typeof raw.q === 'number') && String(raw.q) !== '') search.q = String(raw.q);
  const phase = one(phases, raw.phase);
  const status = one(statuses, raw.status);
  const source = one(eventSources, raw.source);
  if (phase) search.phase = phase;
  if (status) search.status = status;
  if (source) search.source = source;
  if (typeof raw.deployment === 'string' && /^dep_\d+$/.test(raw.deployment)) search.deployment = raw.deployment;
  if (typeof raw.batch === 'string' && /^bat_\d+$/.test(raw.batch)) search.batch = raw.batch;
  if (typeof raw.event === 'string' && /^evt_\d+$/.test(raw.event)) search.event = raw.event;
  if (raw.refused === true || raw.refused === 'true') search.refused = true;
  return search;
}

/** The most machines that a question may name. */
export const mostNodes = 100;

/** Machines that the words of a question mean; null when it names none. */
export function namedNodes(q: string | undefined, rows: Iterable<{ id: string; name: string; managementIp: string | null }>): string[] | null {
  const words = (q ?? '').toLowerCase().split(/\s+/).filter((word) => word !== '');
  if (words.length === 0) return null;
  const ids: string[] = [];
  for (const row of rows) {
    const text = `${row.name} ${row.managementIp ?? ''} ${row.id}`.toLowerCase();
    if (words.every((word) => text.includes(word))) ids.push(row.id);
  }
  return ids;
}

/** The same question for the server. */
export function eventFilter(search: HistorySearch, nodeIds: readonly string[] | null): DeploymentEventFilter {
  return {
    ...(nodeIds === null ? {} : { nodeIds: nodeIds.slice(0, mostNodes) }),
    ...(search.phase === undefined ? {} : { phases: [search.phase] }),
    ...(search.status === undefined ? {} : { statuses: [search.status] }),
    ...(search.source === undefined ? {} : { sources: [search.source] }),
    ...(search.deployment === undefined ? {} : { deploymentIds: [search.deployment] }),
    ...(search.batch === undefined ? {} : { batchId: search.batch }),
    includeRefused: search.refused === true,
  };
}
