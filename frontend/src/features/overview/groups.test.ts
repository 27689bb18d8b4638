import { expect, it } from 'vitest';

import type { FleetRowFragment } from '@/gql/generated/graphql';
import { at, card, row } from '@/test/fixtures';
import { failuresOf, needLook, nextToEnd, phaseLoads } from './groups';

const failed = (id: string, second: number) =>
  row(id, {
    state: 'FAILED',
    currentDeployment: card({ id: `dep_${id}`, state: 'FAILED', failure: { phase: 'IPXE_BOOT', phaseKey: 'ipxe_boot', code: 'deadline_passed', message: 'm', hint: null, retryable: true, at: at(second) } }),
  });

const markOf = (rows: FleetRowFragment[]): string => failuresOf(rows).mark;

it('knows whether other nodes have failed than before, and no more than that', () => {
  const mark = markOf([failed('node_1', 10), failed('node_2', 20), row('node_5')]);
  expect(markOf([row('node_5', { version: 9 }), failed('node_2', 20), failed('node_1', 10)])).toBe(mark);
  for (const others of [
    [failed('node_1', 10)],
    [failed('node_1', 10), failed('node_3', 20)],
    [failed('node_1', 10), failed('node_2', 30)],
    // Deployed again: it failed once, but has not now.
    [failed('node_1', 10), { ...failed('node_2', 20), state: 'RUNNING' as const }],
  ]) {
    expect(markOf(others)).not.toBe(mark);
  }
});

it('puts the longest silent first, then the latest', () => {
  const rows = [
    row('node_1', { late: true, currentDeployment: card({ estimatedFinishAt: at(50) }) }),
    row('node_2', { late: true, currentDeployment: card({ estimatedFinishAt: at(5) }) }),
    row('node_3', { stale: true, lastSeenAt: at(9) }),
    row('node_4', { stalled: true, lastSeenAt: at(2) }),
    row('node_5'),
  ];
  expect(needLook(rows).map(({ id }) => id)).toEqual(['node_4', 'node_3', 'node_2', 'node_1']);
});

it('counts who is in which phase, in the order of the phases', () => {
  const boot = card({ phase: 'IPXE_BOOT', phaseKey: 'ipxe_boot' });
  expect(phaseLoads([row('node_1'), row('node_2', { currentDeployment: boot }), row('node_3'), row('node_4', { state: 'SUCCEEDED' })])).toEqual([
    { phase: 'IPXE_BOOT', phaseKey: 'ipxe_boot', label: 'Network boot', count: 1 },
    { phase: 'IMAGE_DOWNLOAD', phaseKey: 'image_download', label: 'Image download', count: 2 },
  ]);
});

it('knows who ends next', () => {
  const rows = [row('node_1', { currentDeployment: card({ estimatedFinishAt: at(90) }) }), row('node_2', { currentDeployment: card({ estimatedFinishAt: at(30) }) }), row('node_3')];
  expect(nextToEnd(rows, 5).map(({ id }) => id)).toEqual(['node_2', 'node_1']);
});
