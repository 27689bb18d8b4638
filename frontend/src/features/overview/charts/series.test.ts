import { describe, expect, it } from 'vitest';

import { at } from '@/test/fixtures';
import { durationTicks, median, points, profileRates, type Ended } from './series';

const ended = (number: number, over: Partial<Ended> = {}, profile = 'bx2d'): Ended => ({
  __typename: 'Deployment', id: `dep_${number}`, number, state: 'SUCCEEDED', createdAt: at(0), finishedAt: at(number * 10), duration: number * 1000, version: 1,
  node: { __typename: 'BareMetalNode', id: `node_${number}`, name: `metal-${number}`, serverProfile: profile, version: 1 }, ...over,
} as Ended);

describe('the chart of durations', () => {
  it('has those that ran, the oldest first', () => {
    const list = points([ended(3), ended(1), ended(2, { state: 'FAILED' }), ended(4, { finishedAt: null }), ended(5, { duration: null })]);
    expect(list.map(({ number, succeeded }) => [number, succeeded])).toEqual([[1, true], [2, false], [3, true]]);
  });

  it('has round ticks that reach beyond the longest', () => {
    expect(durationTicks(42 * 60_000, 5)).toEqual([0, 10, 20, 30, 40, 50].map((minutes) => minutes * 60_000));
    for (const longest of [0, 1, 900, 61_000, 9e6, 9e9]) {
      const ticks = durationTicks(longest, 5);
      expect(ticks.at(-1)).toBeGreaterThanOrEqual(longest);
      expect(ticks.length).toBeLessThanOrEqual(6);
    }
  });
});

describe('the success of profiles', () => {
  it('counts, with the most used first, and takes the median of those that succeeded', () => {
    expect(profileRates([ended(1), ended(2), ended(30, { state: 'FAILED' }), ended(4, { state: 'FAILED' }, 'cx2d')])).toEqual([
      { profile: 'bx2d', succeeded: 2, total: 3, median: 1500 },
      { profile: 'cx2d', succeeded: 0, total: 1, median: null },
    ]);
  });

  it('has a middle', () => {
    expect(median([])).toBeNull();
    expect(median([5, 1, 3])).toBe(3);
    expect(median([4, 1, 2, 10])).toBe(3);
  });
});
