import type { EndedDeploymentsQuery } from '@/gql/generated/graphql';

export type Ended = EndedDeploymentsQuery['deployments']['nodes'][number];

/** One ended deployment on the chart of durations. */
export interface Point {
  id: string;
  name: string;
  number: number;
  /** When it ended, ms since the epoch. */
  at: number;
  /** How long it took, ms. */
  took: number;
  succeeded: boolean;
}

/** Those of which it is known when they ended and how long they took, the oldest first. */
export function points(ended: readonly Ended[]): Point[] {
  return ended
    .flatMap(({ id, number, state, finishedAt, duration, node }) =>
      finishedAt === null || duration === null ? [] : [{ id, name: node.name, number, at: Date.parse(finishedAt), took: duration, succeeded: state === 'SUCCEEDED' }],
    )
    .sort((a, b) => a.at - b.at);
}

/** The middle of some numbers; null when there are none. */
export function median(values: readonly number[]): number | null {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle];
  if (upper === undefined) return null;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
}

/** How deployments of one profile ended. */
export interface ProfileRate {
  profile: string;
  succeeded: number;
  total: number;
  /** Of those that succeeded; null when none did. */
  median: number | null;
}

/** Success by profile, the most used first. */
export function profileRates(ended: readonly Ended[]): ProfileRate[] {
  const byProfile = new Map<string, Ended[]>();
  for (const deployment of ended) {
    const { serverProfile } = deployment.node;
    const list = byProfile.get(serverProfile);
    if (list) list.push(deployment);
    else byProfile.set(serverProfile, [deployment]);
  }
  return [...byProfile]
    .map(([profile, list]) => {
      const good = list.filter(({ state }) => state === 'SUCCEEDED');
      return { profile, succeeded: good.length, total: list.length, median: median(good.flatMap(({ duration }) => duration ?? [])) };
    })
    .sort((a, b) => b.total - a.total || (a.profile < b.profile ? -1 : 1));
}

const minute = 60_000;
const steps = [1000, 2000, 5000, 10_000, 30_000, minute, 2 * minute, 5 * minute, 10 * minute, 15 * minute, 30 * minute, 60 * minute, 120 * minute, 240 * minute, 480 * minute, 1440 * minute];

/** Round lengths of time from 0 to at least `longest`, at most `most` of them above 0. */
export function durationTicks(longest: number, most: number): number[] {
  const step = steps.find((each) => longest / each <= most) ?? Math.ceil(longest / most / (1440 * minute)) * 1440 * minute;
  const count = Math.max(1, Math.ceil(longest / step));
  return Array.from({ length: count + 1 }, (_, i) => i * step);
}
