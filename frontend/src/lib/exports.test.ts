import { expect, it } from 'vitest';

import { eventsExport, nodesExport } from './exports';

it('exports the events that are filtered, in the spelling of reports', () => {
  expect(eventsExport({ includeRefused: false }, 'csv')).toBe('/api/export/events.csv');
  expect(eventsExport({ nodeIds: ['node_1', 'node_2'], phases: ['IMAGE_DOWNLOAD'], statuses: ['SUCCEEDED'], sources: ['CLOUD_API'], deploymentIds: ['dep_3'], batchId: 'bat_4', includeRefused: true }, 'ndjson')).toBe(
    '/api/export/events.ndjson?node=node_1%2Cnode_2&deployment=dep_3&batch=bat_4&phase=image_download&status=success&source=cloud_api&include=refused',
  );
});

it('exports the machines that are filtered', () => {
  expect(nodesExport({ text: '', states: [] }, 'csv')).toBe('/api/export/nodes.csv');
  expect(nodesExport({ text: 'a&b', states: ['FAILED', 'RUNNING'], late: true }, 'csv')).toBe('/api/export/nodes.csv?text=a%26b&state=failed%2Crunning&late=true');
  expect(nodesExport({ serverProfiles: ['a, b', 'c'], labels: [{ key: 'row', value: '7' }], stalled: false }, 'csv')).toBe('/api/export/nodes.csv?server_profile=a%2C+b&server_profile=c&label=row%3D7&stalled=false');
});
