// The protocol on the wire, as no client would speak it: close codes
// (PROTOCOL.md of enisdenjo/graphql-ws), subprotocols, and limits.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import { after, before, describe, test } from 'node:test';

import { withDeadline } from './support/mailbox.mjs';
import { Raw } from './support/raw.mjs';
import { eventsDocument, Server, WebSocket } from './support/slipway.mjs';

let server;
before(async () => {
  server = await Server.start();
});
after(() => server?.stop());

const subscribe = (id, query = eventsDocument) => ({ id, type: 'subscribe', payload: { query } });

describe('close codes', { concurrency: true }, () => {
  for (const [what, bad] of [
    ['no JSON', 'hello'],
    ['no message', '[]'],
    ['an unknown type', { type: 'start', id: '1' }],
    ['a subscribe without an id', { type: 'subscribe', payload: { query: eventsDocument } }],
  ]) {
    test(`4400: ${what}`, async () => {
      const raw = await Raw.ready(server.ws, server.operator);
      raw.send(bad);
      assert.equal((await raw.close()).code, 4400);
    });
  }

  test('4401: subscribe before connection_ack', async () => {
    const raw = await Raw.open(server.ws);
    raw.send(subscribe('1'));
    assert.deepEqual(await raw.close(), { code: 4401, reason: 'Unauthorized' });
  });

  test('4403: a bad token', async () => {
    const raw = await Raw.open(server.ws);
    raw.send({ type: 'connection_init', payload: { authorization: 'Bearer slw_wrong' } });
    assert.deepEqual(await raw.close(), { code: 4403, reason: 'Forbidden' });
  });

  test('4403: none at all', async () => {
    const raw = await Raw.open(server.ws);
    raw.send({ type: 'connection_init' });
    assert.equal((await raw.close()).code, 4403);
  });

  test('4403: the token expires while the socket is open', async () => {
    const raw = await Raw.ready(server.ws, await server.token('viewer', '--for=20s'));
    raw.send(subscribe('1'));
    await raw.messages.take();
    assert.equal((await raw.close()).code, 4403);
  });

  test('4408: no connection_init', async () => {
    const raw = await Raw.open(server.ws);
    assert.deepEqual(await raw.close(), { code: 4408, reason: 'Connection initialisation timeout' });
  });

  test('4409: an id that is in use', async () => {
    const raw = await Raw.ready(server.ws, server.operator);
    raw.send(subscribe('same'));
    raw.send(subscribe('same'));
    assert.deepEqual(await raw.close(), { code: 4409, reason: 'Subscriber for same already exists' });
  });

  test('4429: a second connection_init', async () => {
    const raw = await Raw.ready(server.ws, server.operator);
    raw.send({ type: 'connection_init' });
    assert.deepEqual(await raw.close(), { code: 4429, reason: 'Too many initialisation requests' });
  });

  test('an id is free again after its complete', async () => {
    const raw = await Raw.ready(server.ws, server.operator);
    for (let i = 0; i < 5; i += 1) {
      raw.send(subscribe('again', 'query { __typename }'));
      assert.equal((await raw.messages.take()).type, 'next');
      assert.equal((await raw.messages.take()).type, 'complete');
    }
    raw.end();
  });
});

describe('subprotocols', () => {
  for (const protocol of ['graphql-ws', 'graphql-transport-wss', 'mqtt', undefined]) {
    test(`${protocol ?? 'none'} is refused`, async () => {
      const socket = protocol ? new WebSocket(server.ws, protocol) : new WebSocket(server.ws);
      socket.on('error', () => {}); // the refusal itself
      const [, answer] = await withDeadline('the refusal', once(socket, 'unexpected-response'));
      assert.equal(answer.statusCode, 400);
      socket.terminate();
    });
  }

  test('among others, ours is chosen', async () => {
    const raw = await Raw.open(server.ws, ['graphql-ws', 'graphql-transport-ws']);
    assert.equal(raw.socket.protocol, 'graphql-transport-ws');
    raw.end();
  });
});

/** A POST whose body may be refused before all of it was sent; undefined if the connection was cut before its answer was read. */
async function post(path, chunk, times) {
  const headers = { authorization: `Bearer ${server.operator}`, 'content-type': 'application/json', 'content-length': chunk.length * times };
  const call = request(server.url + path, { method: 'POST', headers });
  call.setMaxListeners(0);
  call.on('error', () => {}); // the server stops reading once it has refused
  let answer;
  const answered = once(call, 'response').then(
    ([first]) => (answer = first),
    () => undefined,
  );
  for (let i = 0; i < times && !answer && !call.destroyed; i += 1) {
    if (!call.write(chunk)) await Promise.race([new Promise((resolve) => call.once('drain', resolve)), answered]);
  }
  call.end();
  await withDeadline('the answer', answered);
  answer?.resume();
  call.destroy();
  return answer?.statusCode;
}

describe('limits', () => {
  // 5,000 tokens are a document's limit; both are far beyond, the second one is
  // just small enough to be read.
  for (const [what, query] of [
    ['100,000 aliases', `{${Array.from({ length: 100_000 }, (_, i) => `a${i}:__typename`).join(' ')}}`],
    ['60,000 aliases of one name', `{${'a:id '.repeat(50_000)}}`],
  ]) {
    test(`${what} are refused at once`, async () => {
      const before = await server.worked();
      const answer = await server.graphql(query);
      assert.ok(answer.status >= 400 && answer.status < 500, `${answer.status}`);
      await answer.text();
      const first = await server.worked();
      assert.ok(first - before < 2, `the server has worked on it for ${first - before} s`);

      const raw = await Raw.ready(server.ws, server.operator);
      raw.send({ id: '1', type: 'subscribe', payload: { query } });
      const how = await Promise.race([raw.close(), raw.messages.take()]);
      assert.ok(how.type === 'error' || how.code === 1009, JSON.stringify(how));
      const second = await server.worked();
      assert.ok(second - first < 2, `the server has worked on it for ${second - first} s`);
      raw.end();
    });
  }

  for (const path of ['/graphql', '/api/status/phase', '/api/config/nodes']) {
    test(`a body of 64 MB to ${path} is refused`, async () => {
      // Who still sends when the server closes may lose its answer to that.
      let status;
      for (let i = 0; i < 10 && status === undefined; i += 1) status = await post(path, Buffer.alloc(1 << 20, ' '), 64);
      assert.equal(status, 413);
    });
  }

  test('10,000 subscriptions on a socket: twenty run, the others are refused', async () => {
    const raw = await Raw.ready(server.ws, server.operator);
    for (let i = 0; i < 10_000; i += 1) raw.send(subscribe(String(i)));
    const kinds = { next: new Set(), refused: new Set() };
    let over;
    void raw.closed.then((how) => (over = how));
    while (kinds.refused.size < 9_980 && !over) {
      const message = await Promise.race([raw.messages.take(), raw.closed]);
      if (message.type === 'error') {
        assert.equal(message.payload[0].extensions.code, 'RATE_LIMITED');
        kinds.refused.add(message.id);
      } else if (message.type === 'next') kinds.next.add(message.id);
    }
    // One that does not read its refusals as fast as it provokes them is cut.
    assert.ok(kinds.next.size <= 20, `${kinds.next.size} run`);
    assert.ok(kinds.refused.size > 0 || over, 'nothing was refused');
    raw.end();
    // All of it cost the others nothing.
    const other = await Raw.ready(server.ws, server.operator);
    other.send(subscribe('1'));
    assert.equal((await other.messages.take()).type, 'next');
    other.end();
  });
});

test('a stop closes sockets with 1012, and ends', async () => {
  const sockets = await Promise.all(Array.from({ length: 20 }, () => Raw.ready(server.ws, server.operator)));
  for (const raw of sockets) raw.send(subscribe('1'));
  await Promise.all(sockets.map((raw) => raw.messages.take())); // all streams stand
  server.process.child.kill('SIGTERM');
  for (const { code } of await Promise.all(sockets.map((raw) => raw.close()))) assert.equal(code, 1012);
  const { code } = await withDeadline('the end of the process', server.process.ended);
  assert.equal(code, 0);
});
