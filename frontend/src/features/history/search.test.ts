import { expect, it } from 'vitest';

import { row } from '@/test/fixtures';
import { eventFilter, namedNodes, parseHistorySearch } from './search';

it('reads the URL and leaves out what makes no sense', () => {
  expect(parseHistorySearch({ q: 7, phase: 'IPXE_BOOT', status: 'FAILED', source: 'nobody', deployment: 'dep_1; drop', batch: 'bat_3', refused: 'true' })).toEqual({
    q: '7',
    phase: 'IPXE_BOOT',
    status: 'FAILED',
    batch: 'bat_3',
    refused: true,
  });
  expect(parseHistorySearch({ q: '', phase: 'ipxe_boot', refused: false })).toEqual({});
});

it('survives being written and read again', () => {
  const search = parseHistorySearch({ q: 'metal', phase: 'DEPLOYED', source: 'USER', deployment: 'dep_12' });
  expect(parseHistorySearch({ ...search })).toEqual(search);
});

it('means machines by every word of name and address', () => {
  const rows = [row('node_1'), row('node_10'), row('node_2')];
  expect(namedNodes(undefined, rows)).toBeNull();
  expect(namedNodes('  ', rows)).toBeNull();
  expect(namedNodes('METAL-1', rows)).toEqual(['node_1', 'node_10']);
  expect(namedNodes('metal 10.0.0.2', rows)).toEqual(['node_2']);
  expect(namedNodes('nobody', rows)).toEqual([]);
});

it('asks the server the same', () => {
  expect(eventFilter({}, null)).toEqual({ includeRefused: false });
  expect(eventFilter({ phase: 'IPXE_BOOT', status: 'FAILED', source: 'USER', deployment: 'dep_1', batch: 'bat_1', refused: true }, ['node_1'])).toEqual({
    nodeIds: ['node_1'],
    phases: ['IPXE_BOOT'],
    statuses: ['FAILED'],
    sources: ['USER'],
    deploymentIds: ['dep_1'],
    batchId: 'bat_1',
    includeRefused: true,
  });
});

it('keeps the selected event in the URL, and asks the server the same with it', () => {
  expect(parseHistorySearch({ event: 'evt_12', phase: 'DEPLOYED' })).toEqual({ event: 'evt_12', phase: 'DEPLOYED' });
  expect(parseHistorySearch({ event: 'evt_x' })).toEqual({});
  expect(eventFilter({ event: 'evt_12' }, null)).toEqual(eventFilter({}, null));
});
