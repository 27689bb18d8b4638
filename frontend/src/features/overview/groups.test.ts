import { describe, expect, it } from 'vitest';

import { at, card, row } from '@/test/fixtures';
import { failureGroups, needLook, nextToEnd, phaseLoads } from './groups';

const failed = (id: string, second: number, phaseKey: 'image_download' | 'ipxe_boot', code: string, retryable = true) =>
  row(id, {
    state: 'FAILED',
    currentDeployment: card({
      id: `dep_${id}`,
      state: 'FAILED',
      phase: 'FAILED',
      phaseKey: 'failed',
      failure: { phase: phaseKey === 'ipxe_boot' ? 'IPXE_BOOT' : 'IMAGE_DOWNLOAD', phaseKey, code, message: `message ${second}`, hint: null, retryable, at: at(second) },
    }),
  });

describe('the failures of a fleet', () => {
  it('are one group for each phase and code, the largest first, with the newest in front', () => {
    const groups = failureGroups([
      failed('node_1', 10, 'ipxe_boot', 'deadline_passed'),
      failed('node_2', 20, 'image_download', 'checksum_mismatch', false),
      failed('node_3', 30, 'image_download', 'checksum_mismatch'),
      failed('node_4', 40, 'image_download', 'deadline_passed'),
      row('node_5'),
    ]);
    expect(groups.map(({ key, rows, newestAt }) => [key, rows.map(({ id }) => id), newestAt])).toEqual([
      ['image_download checksum_mismatch', ['node_3', 'node_2'], at(30)],
      ['image_download deadline_passed', ['node_4'], at(40)],
      ['ipxe_boot deadline_passed', ['node_1'], at(10)],
    ]);
    expect(groups[0]).toMatchObject({ message: 'message 30', retryable: true });
  });

  it('do not count what failed once and is being deployed again', () => {
    const again = failed('node_1', 10, 'ipxe_boot', 'deadline_passed');
    expect(failureGroups([{ ...again, state: 'RUNNING' }])).toEqual([]);
  });
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
    { phaseKey: 'ipxe_boot', label: 'Network boot', count: 1 },
    { phaseKey: 'image_download', label: 'Image download', count: 2 },
  ]);
});

it('knows who ends next', () => {
  const rows = [row('node_1', { currentDeployment: card({ estimatedFinishAt: at(90) }) }), row('node_2', { currentDeployment: card({ estimatedFinishAt: at(30) }) }), row('node_3')];
  expect(nextToEnd(rows, 5).map(({ id }) => id)).toEqual(['node_2', 'node_1']);
});
