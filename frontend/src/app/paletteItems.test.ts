import { expect, it } from 'vitest';

import { row } from '@/test/fixtures';
import { paletteItems } from './paletteItems';

const rows = [row('node_1'), row('node_10'), row('node_2', { state: 'FAILED' }), ...Array.from({ length: 30 }, (_, i) => row(`node_${i + 100}`))];
const labels = (typed: string, role: 'viewer' | 'operator' | 'admin' = 'admin') =>
  paletteItems(typed, rows, (needed) => role === 'admin' || (role === 'operator' && needed === 'operator')).map(({ label }) => label);

it('offers pages at first, and only those that one may use', () => {
  expect(labels('')).toContain('Orphans at the provider');
  expect(labels('', 'operator')).toContain('Deploy a node');
  expect(labels('', 'operator')).not.toContain('Orphans at the provider');
  expect(labels('', 'viewer')).not.toContain('Deploy a node');
  expect(labels('')).not.toContain('metal-1');
});

it('reaches every page, and what a pasted id names', () => {
  expect(labels('', 'viewer')).toEqual(expect.arrayContaining(['Insights: durations and success rates', 'Bulk operations', 'Runs of the deployment script']));
  expect(labels('', 'viewer')).not.toContain('Apply changes');
  expect(labels('dep_12')).toEqual(['Deployment dep_12']);
  expect(labels('blk_3')[0]).toBe('Bulk operation blk_3');
  expect(labels('evt_3')[0]).toBe('Event evt_3');
});

it('finds a node by name, address or id, the exact one first', () => {
  expect(labels('METAL-1')[0]).toBe('metal-1');
  expect(labels('metal-1')[1]).toBe('metal-10');
  expect(labels('10.0.0.2')).toEqual(['metal-2']);
  expect(labels('node_10')).toContain('metal-10');
});

it('offers a dozen nodes at most', () => {
  expect(labels('metal')).toHaveLength(12);
});

it('narrows pages by every word', () => {
  expect(labels('nodes failed')).toEqual(['Nodes that failed']);
  expect(labels('nothing like this')).toEqual([]);
});
