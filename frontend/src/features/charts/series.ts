import type { DurationSeriesQuery, SuccessSeriesQuery } from '@/gql/generated/graphql';
import type { InsightsSearch, Span } from './search';

export type DurationBucket = DurationSeriesQuery['durationSeries'][number];
export type SuccessSeries = SuccessSeriesQuery['successSeries'][number];

const hour = 3_600_000;
const day = 24 * hour;

/** How long a span is, and into what it is divided, in ms. */
export const spanLength: Record<Span, { length: number; bucket: number; word: string; each: string }> = {
  '24h': { length: day, bucket: hour, word: '24 hours', each: 'hour' },
  '7d': { length: 7 * day, bucket: 6 * hour, word: '7 days', each: '6 hours' },
  '30d': { length: 30 * day, bucket: day, word: '30 days', each: 'day' },
  '90d': { length: 90 * day, bucket: 3 * day, word: '90 days', each: '3 days' },
};

export interface Range {
  from: string;
  to: string;
  /** In ms. */
  bucket: number;
}

/** The time to ask for: whole buckets that end after now, so that asking again a moment later asks for the same. */
export function rangeOf({ span }: Pick<InsightsSearch, 'span'>, now: number): Range {
  const { length, bucket } = spanLength[span ?? '7d'];
  const to = (Math.floor(now / bucket) + 1) * bucket;
  return { from: new Date(to - length).toISOString(), to: new Date(to).toISOString(), bucket };
}

const minute = 60_000;
// None but whole minutes from a minute on: an axis has one unit for a tick.
const steps = [100, 200, 500, 1000, 2000, 5000, 10_000, minute, 2 * minute, 5 * minute, 10 * minute, 15 * minute, 30 * minute, hour, 2 * hour, 4 * hour, 8 * hour, day];

/** Round lengths of time from 0 to at least `longest`, at most `most` of them above 0. */
export function ticksOf(longest: number, most: number): number[] {
  const step = steps.find((each) => longest / each <= most) ?? Math.ceil(longest / most / day) * day;
  const count = Math.max(1, Math.ceil(longest / step));
  return Array.from({ length: count + 1 }, (_, i) => i * step);
}

/** How many ended how. */
export interface Ends {
  succeeded: number;
  failed: number;
  canceled: number;
}

/** All ends of a series together. */
export function endsOf({ buckets }: Pick<SuccessSeries, 'buckets'>): Ends {
  const sum = { succeeded: 0, failed: 0, canceled: 0 };
  for (const { succeeded, failed, canceled } of buckets) {
    sum.succeeded += succeeded;
    sum.failed += failed;
    sum.canceled += canceled;
  }
  return sum;
}

/** The part that succeeded, of those that were not canceled; null when there was none. */
export function rateOf({ succeeded, failed }: Ends): number | null {
  return succeeded + failed === 0 ? null : succeeded / (succeeded + failed);
}

/** Neighbouring buckets in which something ended: a line is drawn through each run, and not over a gap. */
export function runsOf(buckets: readonly DurationBucket[]): { index: number; p50: number; p95: number }[][] {
  const runs: { index: number; p50: number; p95: number }[][] = [];
  let open: { index: number; p50: number; p95: number }[] | null = null;
  buckets.forEach(({ p50, p95 }, index) => {
    if (p50 === null || p95 === null) {
      open = null;
      return;
    }
    if (open === null) runs.push((open = []));
    open.push({ index, p50, p95 });
  });
  return runs;
}

/** The only bucket in which something ended, if there is but one: a first day. */
export function onlyOf(runs: ReturnType<typeof runsOf>): { index: number; p50: number; p95: number } | null {
  const [run] = runs;
  return runs.length === 1 && run?.length === 1 ? (run[0] ?? null) : null;
}
