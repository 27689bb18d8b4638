// The official clients of graphql-transport-ws against a real server.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Mailbox, withDeadline } from './support/mailbox.mjs';
import { ApolloClient, createClient, eventsDocument, fleetDocument, gql, GraphQLWsLink, InMemoryCache, Server, WebSocket } from './support/slipway.mjs';

const steps = (events) => events.filter((event) => event.phaseKey === 'note').map((event) => event.message);

/** A graphql-ws client that comes back for ever. */
function connect(server, options = {}) {
  const seen = { connecting: 0, opened: 0, closes: new Mailbox(), pongs: new Mailbox(), connected: new Mailbox() };
  const client = createClient({
    url: server.ws,
    webSocketImpl: WebSocket,
    connectionParams: { authorization: `Bearer ${server.operator}` },
    retryAttempts: Infinity,
    shouldRetry: () => true,
    retryWait: () => new Promise((resolve) => setTimeout(resolve, 100)),
    ...options,
    on: {
      connecting: () => (seen.connecting += 1),
      opened: () => (seen.opened += 1),
      connected: () => seen.connected.put(true),
      closed: (event) => seen.closes.put(event.code),
      pong: (received) => received && seen.pongs.put(true),
    },
  });
  return { client, seen };
}

/**
 * Subscribes to events. The client subscribes anew by itself after a reconnect
 * and sends the payload as it is then, so the last cursor is kept in it.
 */
function subscribe(client, variables = {}, document = eventsDocument, field = 'deploymentEvents') {
  const stream = { messages: new Mailbox(), ended: undefined, variables: { ...variables } };
  stream.ended = new Promise((resolve, reject) => {
    stream.stop = client.subscribe(
      { query: document, variables: stream.variables },
      {
        next: ({ data, errors }) => {
          if (errors) throw new Error(JSON.stringify(errors));
          stream.variables.after = data[field].cursor;
          stream.messages.put(data[field]);
        },
        error: reject,
        complete: resolve,
      },
    );
  });
  stream.ended.catch(() => {}); // who cares awaits it
  return stream;
}

/** The steps up to a message, in order. */
async function stepsUntil(stream, last) {
  const messages = await stream.messages.until(`the event ${last}`, (message) => {
    assert.notEqual(message.__typename, 'StreamReset', message.reason);
    return message.events?.some((event) => event.message === last);
  });
  return steps(messages.flatMap((message) => message.events ?? []));
}

describe('graphql-ws', () => {
  let server;
  let machine;
  before(async () => {
    server = await Server.start();
    machine = await server.order(1);
  });
  after(() => server?.stop());

  test('live events, a replay after a cursor, and the end of all named deployments', async () => {
    const { client } = connect(server);
    try {
      const live = subscribe(client);
      await live.messages.take(); // the stream stands
      const begin = live.variables.after;
      const said = Array.from({ length: 12 }, (_, i) => `live-${i}`);
      for (const text of said) await server.say(machine, text);
      assert.deepEqual(await stepsUntil(live, said.at(-1)), said);

      const replay = subscribe(client, { after: begin });
      assert.deepEqual(await stepsUntil(replay, said.at(-1)), said);

      const doomed = await server.order(2);
      const named = subscribe(client, { filter: { deploymentIds: [doomed.deployment] } });
      await named.messages.take();
      await server.end(doomed);
      await withDeadline('complete', named.ended);
      const last = named.messages.items.flatMap((message) => message.events ?? []).at(-1);
      assert.equal(last?.message, 'the test has ended it');

      live.stop();
      replay.stop();
      await withDeadline('complete by the client', Promise.all([live.ended, replay.ended]));
    } finally {
      await client.dispose();
    }
  });

  test("the fleet's snapshot, then what changes", async () => {
    const { client } = connect(server);
    try {
      const fleet = subscribe(client, {}, fleetDocument, 'fleetChanges');
      const pages = await fleet.messages.until('the last page', (message) => message.last);
      assert.ok(pages.flatMap(({ nodes }) => nodes).some(({ id }) => id === machine.node));
      const added = await server.order(3);
      await fleet.messages.until('the new machine', (message) => message.changed?.some(({ id, name }) => id === added.node && name === 'rack-3'));
      fleet.stop();
    } finally {
      await client.dispose();
    }
  });

  test('errors have a code, and end their operation only', async () => {
    const { client } = connect(server);
    try {
      for (const [document, variables, code] of [
        [eventsDocument, { after: 'not a cursor' }, 'INVALID'],
        ['subscription { nothing }', {}, 'GRAPHQL_VALIDATION_FAILED'],
        ['subscription {', {}, 'GRAPHQL_PARSE_FAILED'],
      ]) {
        const stream = subscribe(client, variables, document);
        const errors = await stream.ended.then(
          () => assert.fail('it completed'),
          (error) => error,
        );
        assert.ok(Array.isArray(errors), String(errors));
        assert.equal(errors[0].extensions.code, code);
        assert.equal(typeof errors[0].message, 'string');
      }
      const good = subscribe(client);
      await good.messages.take();
      good.stop();
    } finally {
      await client.dispose();
    }
  });

  test('lazy: false connects at once, and pings are answered', async () => {
    const { client, seen } = connect(server, { lazy: false, keepAlive: 50, onNonLazyError: () => {} });
    try {
      await seen.connected.take('connection_ack without any subscription');
      for (let i = 0; i < 3; i += 1) await seen.pongs.take('a pong');
    } finally {
      await client.dispose();
    }
  });

  for (const [how, signal, code] of [
    ['stopped', 'SIGTERM', 1012],
    ['killed', 'SIGKILL', 1006],
  ]) {
    test(`the server is ${how} and comes back: no event is lost`, async () => {
      const { client, seen } = connect(server);
      try {
        const stream = subscribe(client);
        await stream.messages.take();
        const said = [];
        const say = async (count) => {
          for (let i = 0; i < count; i += 1) {
            said.push(`${how}-${said.length}`);
            await server.say(machine, said.at(-1));
          }
        };
        await say(10); // on their way when it ends
        const { code: exit } = await server.process.signal(signal);
        assert.equal(await seen.closes.take('the close'), code);
        if (signal === 'SIGTERM') assert.equal(exit, 0);
        await server.run();
        await say(10);
        assert.deepEqual(await stepsUntil(stream, said.at(-1)), said);
        stream.stop();
      } finally {
        await client.dispose();
      }
    });
  }
});

describe('Apollo Client on graphql-ws', () => {
  let server;
  let machine;
  before(async () => {
    server = await Server.start();
    machine = await server.order(1);
  });
  after(() => server?.stop());

  const events = gql(eventsDocument);
  const fleet = gql(fleetDocument);

  function apollo(options) {
    const { client, seen } = connect(server, options);
    return { seen, socket: client, client: new ApolloClient({ link: new GraphQLWsLink(client), cache: new InMemoryCache() }) };
  }

  test('subscriptions, with errors as results', async () => {
    const { client, socket } = apollo();
    try {
      const box = new Mailbox();
      const both = [
        client.subscribe({ query: events }).subscribe((result) => box.put(result.data.deploymentEvents)),
        client.subscribe({ query: fleet }).subscribe((result) => box.put(result.data.fleetChanges)),
      ];
      const begun = await box.until('both streams', (message) => message.last);
      if (begun.every((message) => message.__typename === 'FleetSnapshotPage')) await box.take('the events stream');
      await server.say(machine, 'through Apollo');
      await box.until('the event', (message) => message.events?.some((event) => event.message === 'through Apollo'));
      for (const one of both) one.unsubscribe();

      const refused = new Mailbox();
      client.subscribe({ query: events, variables: { after: 'not a cursor' } }).subscribe({ next: (result) => refused.put(result.error), error: (error) => refused.put(error) });
      const error = await refused.take('the error');
      assert.equal(error.errors[0].extensions.code, 'INVALID');
    } finally {
      client.stop();
      await socket.dispose();
    }
  });

  test('the server comes back: subscribing anew with the last cursor loses nothing', async () => {
    const { client, socket } = apollo({ retryAttempts: 0, shouldRetry: () => false });
    let subscription;
    let stopped = false;
    try {
      const box = new Mailbox();
      let after;
      const begin = () => {
        const again = () => stopped || setTimeout(begin, 100);
        subscription = client.subscribe({ query: events, variables: { after } }).subscribe({
          next: ({ data, error }) => {
            if (error) return again();
            after = data.deploymentEvents.cursor;
            return box.put(data.deploymentEvents);
          },
          error: again,
        });
      };
      begin();
      await box.take();
      const said = Array.from({ length: 10 }, (_, i) => `apollo-${i}`);
      for (const text of said.slice(0, 5)) await server.say(machine, text);
      await server.process.signal('SIGKILL');
      await server.run();
      for (const text of said.slice(5)) await server.say(machine, text);
      assert.deepEqual(await stepsUntil({ messages: box }, said.at(-1)), said);
    } finally {
      stopped = true;
      subscription?.unsubscribe();
      client.stop();
      await socket.dispose();
    }
  });
});

describe('a client with a bad token', () => {
  let server;
  before(async () => {
    server = await Server.start();
  });
  after(() => server?.stop());

  // Its error comes with the end of the client.
  const subscribeInVain = (client) => client.subscribe({ query: eventsDocument }, { next: () => assert.fail('it was let in'), error: () => {}, complete: () => {} });
  // A client that is connecting ends with the refusal.
  const leave = async (client) => {
    try {
      await client.dispose();
    } catch {
      // that is it
    }
  };
  /** Three seconds after it was refused first; gives how long that was in fact, in seconds. */
  const threeSeconds = async (seen) => {
    const code = await seen.closes.take('the first close');
    const begun = performance.now();
    await new Promise((resolve) => setTimeout(resolve, 3000));
    return { code, seconds: Math.max(3, (performance.now() - begun) / 1000) };
  };

  test('that is patient, as graphql-ws is by itself, connects a few times', async () => {
    const { client, seen } = connect(server, { connectionParams: { authorization: 'Bearer slw_wrong' }, retryWait: undefined });
    subscribeInVain(client);
    const { code, seconds } = await threeSeconds(seen);
    await leave(client);
    assert.equal(code, 4403);
    assert.ok(seen.connecting <= 2 * seconds, `${seen.connecting} connects in ${seconds} s`);
  });

  test('that is impatient is refused before it is upgraded', async () => {
    const { client, seen } = connect(server, { connectionParams: { authorization: 'Bearer slw_wrong' }, retryWait: () => Promise.resolve() });
    subscribeInVain(client);
    const { seconds } = await threeSeconds(seen);
    await leave(client);
    assert.ok(seen.opened <= 10 * seconds, `${seen.opened} sockets in ${seconds} s`);
    // Nobody with a good token behind the same address is held up.
    const good = connect(server);
    const stream = subscribe(good.client);
    await stream.messages.take();
    await good.client.dispose();
  });
});
