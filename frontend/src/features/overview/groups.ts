import type { FleetRowFragment, Phase } from '@/gql/generated/graphql';
import { phaseLabel, phaseOrder } from '@/lib/phases';
import { rowKind } from '@/lib/states';

/** Nodes that failed in the same way. */
export interface FailureGroup {
  /** One for each phase and code. */
  key: string;
  phase: Phase;
  phaseKey: string;
  code: string;
  /** Of the newest of them. */
  hint: string | null;
  message: string;
  /** Trying again may help with at least one of them. */
  retryable: boolean;
  /** When the newest of them failed. */
  newestAt: string;
  /** The newest first. */
  rows: FleetRowFragment[];
}

const failedAt = (row: FleetRowFragment): string => row.currentDeployment?.failure?.at ?? '';

/** The fleet's failures by phase and code, the largest group first; of equal ones the newest. */
export function failureGroups(rows: Iterable<FleetRowFragment>): FailureGroup[] {
  const byKey = new Map<string, FleetRowFragment[]>();
  for (const row of rows) {
    const failure = row.state === 'FAILED' ? row.currentDeployment?.failure : null;
    if (!failure) continue;
    const key = `${failure.phaseKey} ${failure.code}`;
    const group = byKey.get(key);
    if (group) group.push(row);
    else byKey.set(key, [row]);
  }
  const groups: FailureGroup[] = [];
  for (const [key, members] of byKey) {
    members.sort((a, b) => (failedAt(a) < failedAt(b) ? 1 : failedAt(a) > failedAt(b) ? -1 : a.name < b.name ? -1 : 1));
    const newest = members[0]?.currentDeployment?.failure;
    if (!newest) continue;
    const { phase, phaseKey, code, hint, message, at } = newest;
    groups.push({ key, phase, phaseKey, code, hint, message, newestAt: at, retryable: members.some((row) => row.currentDeployment?.failure?.retryable), rows: members });
  }
  return groups.sort((a, b) => b.rows.length - a.rows.length || (a.newestAt < b.newestAt ? 1 : a.newestAt > b.newestAt ? -1 : a.key < b.key ? -1 : 1));
}

/** Those that need a look: stalled ones, the longest silent first, then late ones, the latest first. */
export function needLook(rows: Iterable<FleetRowFragment>): FleetRowFragment[] {
  const stalled: FleetRowFragment[] = [];
  const late: FleetRowFragment[] = [];
  for (const row of rows) {
    const kind = rowKind(row);
    if (kind === 'stalled') stalled.push(row);
    else if (kind === 'late') late.push(row);
  }
  const by = (value: (row: FleetRowFragment) => string) => (a: FleetRowFragment, b: FleetRowFragment) => (value(a) < value(b) ? -1 : value(a) > value(b) ? 1 : a.name < b.name ? -1 : 1);
  return [...stalled.sort(by((row) => row.lastSeenAt ?? '')), ...late.sort(by((row) => row.currentDeployment?.estimatedFinishAt ?? ''))];
}

/** How many are in a phase. */
export interface PhaseLoad {
  phaseKey: string;
  label: string;
  count: number;
}

/** How many machines are in which phase, in the order of the phases; those without any are left out. */
export function phaseLoads(rows: Iterable<FleetRowFragment>): PhaseLoad[] {
  const loads = new Map<string, PhaseLoad & { ordinal: number }>();
  for (const { state, currentDeployment: card } of rows) {
    if (!card || (state !== 'RUNNING' && state !== 'QUEUED' && state !== 'CANCELING')) continue;
    const load = loads.get(card.phaseKey);
    if (load) load.count += 1;
    else loads.set(card.phaseKey, { phaseKey: card.phaseKey, label: phaseLabel(card.phase, card.phaseKey), count: 1, ordinal: phaseOrder(card.provider).indexOf(card.phase) });
  }
  return [...loads.values()].sort((a, b) => a.ordinal - b.ordinal).map(({ ordinal: _, ...load }) => load);
}

/** Those under way that will end next, by their estimate. */
export function nextToEnd(rows: Iterable<FleetRowFragment>, most: number): FleetRowFragment[] {
  const end = (row: FleetRowFragment): string => row.currentDeployment?.estimatedFinishAt ?? '~';
  return [...rows]
    .filter((row) => rowKind(row) === 'running' && row.currentDeployment?.estimatedFinishAt != null)
    .sort((a, b) => (end(a) < end(b) ? -1 : end(a) > end(b) ? 1 : a.name < b.name ? -1 : 1))
    .slice(0, most);
}
