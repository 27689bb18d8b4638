import { buildSchema, parse, validate } from 'graphql';
import { describe, expect, it } from 'vitest';

import { handoffDeployment, handoffFleet, handoffHistory, handoffNode, shellWord } from './handoff';

const origin = 'http://slipway.example:8080';
// The server's own schema.
const files = import.meta.glob<string>('../../../graph/schema/*.graphqls', { query: '?raw', import: 'default', eager: true });
const schema = buildSchema(Object.values(files).join('\n'));

const all = [
  handoffNode(origin, { id: 'node_7', name: 'metal-7' }),
  handoffDeployment(origin, { id: 'dep_12', node: { id: 'node_7' } }),
  handoffFleet(origin, {}),
  handoffHistory(origin, { includeRefused: true, phases: ['IPXE_BOOT'], statuses: ['FAILED'], sources: ['USER'], nodeIds: ['node_1'], deploymentIds: ['dep_12'], batchId: 'bat_1' }),
  handoffFleet(origin, { text: `it's "odd"`, groups: ['FAILED', 'RUNNING'], phases: ['IPXE_BOOT'], failurePhases: ['INSTALLATION'], failureCodes: ['no_disk'], serverProfiles: ['a, b'], clusterNames: ['c'], labels: [{ key: 'row', value: '7' }] }),
];

describe('what is copied', () => {
  it.each(all)('is GraphQL that the server takes: $title', ({ graphql }) => {
    expect(validate(schema, parse(graphql))).toEqual([]);
  });

  it('never has a token in it', () => {
    for (const { curl } of all) expect(curl).toContain('"Authorization: Bearer $SLIPWAY_TOKEN"');
  });

  it('names what the page shows', () => {
    expect(all[0]?.curl).toMatch(/ http:\/\/slipway\.example:8080\/api\/status\/nodes\/node_7$/);
    expect(all[1]?.curl).toContain("'http://slipway.example:8080/api/status/history/node_7?deployment=dep_12&include=refused'");
    expect(all[1]?.cli).toBe('slipway watch dep_12');
    expect(all[2]?.cli).toBe('slipway nodes');
    expect(all[4]?.graphql).toContain('groups: [FAILED, RUNNING]');
    expect(all[4]?.cli).toBe(`slipway nodes --group=failed --group=running --phase=ipxe_boot --failure-phase=installation --failure-code=no_disk '--profile=a, b' --cluster=c --label=row=7 ${String.raw`'it'\''s "odd"'`}`);
    expect(all[4]?.curl).toContain('/api/export/nodes.ndjson?text=it%27s+%22odd%22&group=failed%2Crunning&phase=ipxe_boot&failure_phase=installation&failure_code=no_disk&server_profile=a%2C+b&cluster_name=c&label=row%3D7');
    expect(all[3]?.curl).toContain('/api/export/events.ndjson?node=node_1&deployment=dep_12');
  });

  it('offers no command line that would do something else', () => {
    expect(all[3]?.cli).toBeNull();
    expect(handoffHistory(origin, { includeRefused: false }).cli).toBeNull();
    expect(handoffHistory(origin, { includeRefused: true, deploymentIds: ['dep_12'] }).cli).toBe('slipway watch dep_12');
    expect(handoffFleet(origin, { text: '-x' }).cli).toBe('slipway nodes -- -x');
  });

  it('is safe in a shell, whatever is in it', () => {
    expect(shellWord('metal-1')).toBe('metal-1');
    expect(shellWord('$(rm -rf /)')).toBe("'$(rm -rf /)'");
    expect(shellWord("it's")).toBe(String.raw`'it'\''s'`);
    expect(shellWord('')).toBe("''");
  });
});
