import { expect, it } from 'vitest';

import { card, row } from '@/test/fixtures';
import { chosenParts, offered, withPart } from './parts';

const rows = [
  row('node_1', { clusterName: 'Frankfurt', labels: [{ __typename: 'Label', key: 'row', value: '7' }] as never }),
  row('node_2', { serverProfile: 'r740', clusterName: 'Frankfurt' }),
  row('node_3', { state: 'FAILED', currentDeployment: card({ state: 'FAILED', phase: 'FAILED', phaseKey: 'failed', failure: { phase: 'INSTALLATION', phaseKey: 'installation', code: 'no_disk', message: '', hint: null, retryable: true, at: '' } as never }) }),
];

it('adds to a question and takes away from it', () => {
  const one = withPart({ q: 'x' }, 'profile', 'a, b', true);
  expect(one).toEqual({ q: 'x', profile: ['a, b'] });
  const two = withPart(one, 'phase', 'IPXE_BOOT', true);
  expect(chosenParts(two)).toEqual([{ name: 'phase', value: 'IPXE_BOOT' }, { name: 'profile', value: 'a, b' }]);
  expect(withPart(withPart(two, 'profile', 'a, b', false), 'phase', 'IPXE_BOOT', false)).toEqual({ q: 'x' });
  expect(withPart(two, 'phase', 'PENDING', true).phase).toBe('PENDING,IPXE_BOOT');
});

it('offers what there is, the most frequent first, and not what was chosen', () => {
  const found = offered(rows, { profile: ['r740'] });
  expect(found.profile).toEqual([{ value: 'bx2d-metal-96x384', count: 2 }]);
  expect(found.cluster).toEqual([{ value: 'Frankfurt', count: 2 }]);
  expect(found.label).toEqual([{ value: 'row=7', count: 1 }]);
  expect(found.failure_code).toEqual([{ value: 'no_disk', count: 1 }]);
  expect(found.failure_phase).toEqual([{ value: 'INSTALLATION', count: 1 }]);
  expect(found.phase.map(({ value }) => value)).toEqual(['IMAGE_DOWNLOAD', 'FAILED']);
});
