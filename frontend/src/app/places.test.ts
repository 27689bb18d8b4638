import { expect, it } from 'vitest';

import { placeOf, placesFor } from './places';

const labels = (role: 'viewer' | 'operator' | 'admin') => placesFor((needed) => role === 'admin' || (role === 'operator' && needed === 'operator')).map(({ label }) => label);

it('shows everybody what may be looked at, and runs to viewers too', () => {
  expect(labels('viewer')).toEqual(['Overview', 'Fleet', 'Clusters', 'History', 'Insights', 'Runs', 'Bulk', 'Artifacts']);
  expect(labels('operator')).toEqual(['Overview', 'Fleet', 'Clusters', 'History', 'Insights', 'Deploy', 'Apply', 'Runs', 'Bulk', 'Artifacts']);
  expect(labels('admin')).toContain('Orphans');
});

it.each([
  ['/', '/'],
  ['/nodes/node_1', '/'],
  ['/deployments/dep_1', '/'],
  ['/batches/bat_1', '/'],
  ['/bulk/blk_1', '/bulk'],
  ['/clusters/new', '/clusters'],
  ['/clusters/clu_1', '/clusters'],
  ['/apply', '/apply'],
  ['/apply/', '/apply'],
  ['/apply/runs', '/apply/runs'],
  ['/apply/runs/run_1', '/apply/runs'],
  ['/settings', null],
  ['/insightsful', null],
] as const)('knows where %s is', (pathname, place) => {
  expect(placeOf(pathname)).toBe(place);
});
