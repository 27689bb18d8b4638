import { expect, it } from 'vitest';

import type { BatchMemberFragment } from '@/gql/generated/graphql';
import { card } from '@/test/fixtures';
import { batchProgress, memberCounts, sortMembers } from './counts';

const member = (name: string, over: Partial<BatchMemberFragment> = {}, node: Partial<BatchMemberFragment['node']> = {}): BatchMemberFragment =>
  ({ ...card({ id: `dep_${name}` }), node: { __typename: 'BareMetalNode', id: `node_${name}`, name, serverProfile: 'bx2d', stale: false, late: false, stalled: false, version: 1, ...node }, ...over }) as BatchMemberFragment;

const members = [
  member('metal-10', { state: 'SUCCEEDED', progress: 1 }),
  member('metal-2', { state: 'SUCCEEDED', progress: 1 }),
  member('metal-3', { progress: 0.5 }),
  member('metal-4', { progress: 0.5 }, { stale: true }),
  member('metal-5', { state: 'FAILED', progress: 0.2 }),
];

it('counts by kind, what needs attention first', () => {
  expect(memberCounts(members).map(({ word, count }) => [word, count])).toEqual([['Failed', 1], ['Stalled', 1], ['Running', 1], ['Deployed', 2]]);
});

it('lists what needs attention first, then by natural name', () => {
  expect(sortMembers(members).map(({ node }) => node.name)).toEqual(['metal-5', 'metal-4', 'metal-3', 'metal-2', 'metal-10']);
});

it('has come as far as its members; what failed is over', () => {
  expect(batchProgress(members)).toBeCloseTo(4 / 5);
  expect(batchProgress([])).toBe(0);
});
