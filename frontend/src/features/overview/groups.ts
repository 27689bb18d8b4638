import type { FleetRowFragment, Phase } from '@/gql/generated/graphql';
import { phaseLabel, phaseOrder } from '@/lib/phases';
import { rowKind } from '@/lib/states';

/** How many current deployments have failed, and a mark that changes when it is not the same ones any more. */
export function failuresOf(rows: Iterable<FleetRowFragment>): { count: number; mark: string } {
  let count = 0;
  let sum = 0;
  let newest = '';
  for (const { id, state, currentDeployment } of rows) {
    const failure = state === 'FAILED' ? currentDeployment?.failure : null;
    if (!failure) continue;
    count += 1;
    // Which ones, too: one may come as another goes.
    sum += Number(id.replace(/\D/g, ''));
    if (failure.at > newest) newest = failure.at;
  }
  return { count, mark: `${count} ${sum} ${newest}` };
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
  phase: Phase;
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
    else loads.set(card.phaseKey, { phase: card.phase, phaseKey: card.phaseKey, label: phaseLabel(card.phase, card.phaseKey), count: 1, ordinal: phaseOrder(card.provider).indexOf(card.phase) });
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
