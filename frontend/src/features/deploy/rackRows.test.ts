import { expect, it } from 'vitest';

import { row } from '@/test/fixtures';
import { emptyOrder } from './order';
import { rackMatches, rackRows, rackText, withMachine } from './rackRows';

const registered = row('node_10', { name: 'rack-10', provider: 'RACK', state: null, currentDeployment: null, macAddresses: ['52:54:00:12:34:56'], serial: '7CX1Y23', managementIp: null, labels: [{ __typename: 'Label', key: 'row', value: '7' }] as never });
const rows = [registered, row('node_2', { name: 'rack-2', provider: 'RACK', state: 'CLEANED_UP' }), row('node_3', { provider: 'RACK' }), row('node_4', { state: null })];

it('offers own machines that nothing is installed on, in natural order', () => {
  expect(rackRows(rows).map(({ name }) => name)).toEqual(['rack-2', 'rack-10']);
});

it('finds them by name, MAC address or serial number', () => {
  for (const text of ['rack-10', '52-54-00', '7cx', 'rack 7CX1Y23']) expect(rackMatches(rackRows(rows), text).map(({ name }) => name)).toEqual(['rack-10']);
  expect(rackMatches(rackRows(rows), 'nobody')).toEqual([]);
  expect(rackText(registered)).toBe('rack-10 · 52:54:00:12:34:56 · serial 7CX1Y23');
});

it('fills in what is known and keeps what was typed', () => {
  expect(withMachine({ ...emptyOrder, managementIp: '10.0.8.20', gateway: '10.0.8.1' }, registered)).toMatchObject({ name: 'rack-10', mac: '52:54:00:12:34:56', serial: '7CX1Y23', managementIp: '10.0.8.20', gateway: '10.0.8.1', labels: 'row=7' });
});
