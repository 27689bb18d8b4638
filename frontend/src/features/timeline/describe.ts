import { formatDuration } from '@/lib/format';
import { phaseStatus } from '@/lib/states';
import type { Bar } from './geometry';

/** The lengths of a bar in words, from what is drawn of it. */
export interface BarFacts {
  word: string;
  waited: string | null;
  ran: string | null;
  typical: string | null;
  /** "in 4 min 10 s" or "passed 20 s ago". */
  deadline: string | null;
}

export function factsOf(bar: Bar, now: number): BarFacts {
  const { run } = bar;
  const length = (span: { from: number; to: number } | null): string | null => (span === null ? null : formatDuration(span.to - span.from));
  const left = bar.deadline === null ? null : bar.deadline - now;
  return {
    word: phaseStatus(run.status).word,
    waited: bar.waiting !== null && bar.waiting.to - bar.waiting.from >= 1000 ? length(bar.waiting) : null,
    ran: length(bar.running),
    typical: run.typicalDuration === null ? null : formatDuration(run.typicalDuration),
    deadline: left === null ? null : left >= 0 ? `in ${formatDuration(left)}` : `passed ${formatDuration(-left)} ago`,
  };
}

/** How long a bar has been running; nobody says "ran" of what is still under way. */
export const ranWords = ({ open }: Bar, ran: string | null): string | null => (ran === null ? null : open ? `${ran} so far` : `ran ${ran}`);

/** A bar as one sentence, for those who do not see it. */
export function describeBar(bar: Bar, now: number): string {
  const { word, waited, ran, typical, deadline } = factsOf(bar, now);
  return [
    `${bar.run.label}, attempt ${bar.run.attempt}: ${word.toLowerCase()}`,
    waited === null ? '' : `waited ${waited}`,
    ranWords(bar, ran) ?? '',
    typical === null ? '' : `typically ${typical}`,
    deadline === null ? '' : `deadline ${deadline}`,
  ]
    .filter((part) => part !== '')
    .join(', ');
}
