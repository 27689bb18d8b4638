import type { DeploymentCardFragment, FleetRowFragment } from '@/gql/generated/graphql';
import { formatRough } from './format';
import type { StatusKind } from './states';

/** What an estimate is made from. */
export type EtaFacts = Pick<DeploymentCardFragment, 'state' | 'estimatedFinishAt' | 'late' | 'stalled'>;

/** When something will end, as a shape and words. */
export interface Eta {
  /** `waiting` (a clock) while all is well, `late` or `stalled` when it is not. */
  kind: Extract<StatusKind, 'waiting' | 'late' | 'stalled'>;
  word: string;
}

/**
 * Three different things, of which the worst is said: *stalled* means that
 * nothing is heard or a deadline has passed, so that an end cannot be told;
 * *late* that it takes longer than 95 in 100 did; else how long it will
 * probably take. Null when nothing is under way, or too little is known.
 */
export function etaOf(facts: EtaFacts, now: number): Eta | null {
  if (facts.state !== 'RUNNING') return null;
  if (facts.stalled) return { kind: 'stalled', word: 'Stalled' };
  const left = facts.estimatedFinishAt === null ? null : Date.parse(facts.estimatedFinishAt) - now;
  // An estimate that has just run out is about to be made anew: it says nothing.
  if (facts.late) return { kind: 'late', word: left === null || Math.abs(left) < 1000 ? 'Late' : left < 0 ? `${formatRough(-left)} late` : `Late, ${formatRough(left)} left` };
  if (left === null) return null;
  // The estimate has run out and that is not yet unusual.
  return { kind: 'waiting', word: left < 1000 ? 'any moment' : `${formatRough(left)} left` };
}

/** The same of a row, whose machine may be silent. */
export function rowEta(row: Pick<FleetRowFragment, 'stale' | 'stalled' | 'late' | 'currentDeployment'>, now: number): Eta | null {
  const { currentDeployment: card } = row;
  return card === null ? null : etaOf({ ...card, late: row.late, stalled: row.stalled || row.stale }, now);
}
