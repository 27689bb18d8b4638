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
  handoffFleet(origin, { text: '', states: [] }),
  handoffHistory(origin, { includeRefused: true, phases: ['IPXE_BOOT'], statuses: ['FAILED'], sources: ['USER'], nodeIds: ['node_1'], deploymentIds: ['dep_12'], batchId: 'bat_1' }),
  handoffFleet(origin, { text: `it's "odd"`, states: ['FAILED', 'RUNNING'] }),
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
    expect(all[4]?.graphql).toContain('states: [FAILED, RUNNING]');
  });

  it('is safe in a shell, whatever is in it', () => {
    expect(shellWord('metal-1')).toBe('metal-1');
    expect(shellWord('$(rm -rf /)')).toBe("'$(rm -rf /)'");
    expect(shellWord("it's")).toBe(String.raw`'it'\''s'`);
    expect(shellWord('')).toBe("''");
  });
});
