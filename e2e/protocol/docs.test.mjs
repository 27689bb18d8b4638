// The program in docs/graphql.md, as it stands there.
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { Process } from '../browser/support/process.mjs';
import { root } from '../browser/support/slipway.mjs';
import { Server } from './support/slipway.mjs';

describe('the program in docs/graphql.md', () => {
  let server;
  let dir;
  before(async () => {
    server = await Server.start();
    dir = await mkdtemp(join(tmpdir(), 'slipway-docs-'));
    const [, program] = /```js\n([\s\S]*?)```/.exec(await readFile(join(root, 'docs', 'graphql.md'), 'utf8'));
    await writeFile(join(dir, 'deploy.mjs'), program);
    await symlink(join(root, 'frontend', 'node_modules'), join(dir, 'node_modules'));
  });
  after(async () => {
    await server?.stop();
    if (dir) await rm(dir, { recursive: true, force: true });
  });

  const machine = (n) => ({ ip: `127.64.202.${n}`, name: `doc-${n}`, mac: `52:54:00:00:02:${n.toString(16).padStart(2, '0')}` });
  const program = (input) => new Process(process.execPath, [join(dir, 'deploy.mjs'), JSON.stringify(input)], { name: 'deploy.mjs', env: { SLIPWAY: server.url, TOKEN: server.operator } });
  const order = ({ name, mac, ip }, more = {}) => ({ name, spec: { rack: { mac, managementIp: ip } }, idempotencyKey: `docs/${name}`, ...more });
  const ordered = (name) => server.graphql('query ($name: String!) { bareMetalNode(by: {name: $name}) { deployments(first: 5) { nodes { id state } } } }', { name }).then(async (answer) => (await answer.json()).data.bareMetalNode.deployments.nodes);

  test('follows a deployment to its end, although the server is killed, and orders once', async () => {
    const it = machine(1);
    const run = program(order(it));
    try {
      await run.printed(/^monitoring_start /);
      await server.say(it, 'before the kill');
      await run.printed(/^note in_progress before the kill$/);
      await server.process.signal('SIGKILL');
      await server.run();
      await server.say(it, 'after the kill');
      await run.printed(/^note in_progress after the kill$/);
      await server.end(it);
      const { code } = await run.ended;
      assert.equal(code, 1, run.tail());
      assert.match(run.tail(), /^FAILED \{/m);
      assert.match(run.tail(), /the test has ended it/);
      assert.equal(run.lines.filter((line) => line.endsWith(' before the kill')).length, 1, run.tail());
    } finally {
      await run.stop();
    }
    assert.equal((await ordered(it.name)).length, 1);
    // The same once more: nothing new is made, and how it ended is known at once.
    const again = program(order(it));
    try {
      assert.equal((await again.ended).code, 1, again.tail());
      assert.match(again.tail(), /^FAILED \{/m);
    } finally {
      await again.stop();
    }
    assert.equal((await ordered(it.name)).length, 1);
  });

  test('says why an order was refused', async () => {
    const run = program(order(machine(2), { name: 'Not A Name' }));
    try {
      assert.equal((await run.ended).code, 1, run.tail());
      assert.match(run.tail(), /^INVALID name /m);
    } finally {
      await run.stop();
    }
  });
});
