import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { createClient } from '@/gql/client/client';
import { VersionedCache } from '@/gql/client/cache';
import { DeploymentPageDocument, FleetRowFragmentDoc, NodeLiveFragmentDoc, type EventRowFragment } from '@/gql/generated/graphql';
import { problemsOf } from '@/gql/client/ask';
import { FakeSocket } from '@/test/fakeSocket';
import { at, card, event, live, nodeLive, row } from '@/test/fixtures';
import { Backoff } from './backoff';
import { Connection } from './connection';
import { Stream } from './stream';

interface Requested {
  operationName: string;
  variables: Record<string, unknown>;
}

/** A stream with a fake socket; queries are answered by `answer`. */
function setup(answer: (request: Requested) => unknown = () => null) {
  const requests: Requested[] = [];
  const fetch = vi.fn((_: unknown, init?: RequestInit) => {
    const request = JSON.parse(init?.body as string) as Requested;
    requests.push(request);
    const data = answer(request);
    if (data === null) return Promise.reject(new TypeError('network down'));
    return Promise.resolve(
      new Response(JSON.stringify({ data }), { status: 200, headers: { 'content-type': 'application/json' } }),
    );
  });
  const connection = new Connection({
    url: 'ws://test/graphql',
    webSocketImpl: FakeSocket,
    backoff: new Backoff({ random: () => 1 }),
  });
  const checkSession = vi.fn();
  const client = createClient({ socket: connection.link, onSignedOut: vi.fn(), fetch });
  const stream = new Stream({ client, connection, checkSession });
  const nameOf = (id: string): string | undefined => stream.fleet.get().rows.get(id)?.name;
  return { client, stream, requests, fetch, checkSession, nameOf, mode: () => stream.status.get().mode };
}

function versioned(cache: unknown): VersionedCache {
  if (!(cache instanceof VersionedCache)) throw new Error('the client has another cache');
  return cache;
}

const turn = (ms = 0): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);

const snapshot = (nodes: unknown[], cursor: string, last = true) => ({
  __typename: 'FleetSnapshotPage',
  cursor,
  at: at(1),
  last,
  nodes,
});
const delta = (changed: unknown[], cursor: string, removedIds: string[] = [], caughtUp = true) => ({
  __typename: 'FleetDelta',
  cursor,
  at: at(2),
  caughtUp,
  removedIds,
  changed,
  summary: null,
});
const numbers = (cursor: string) => ({
  __typename: 'FleetSummary',
  total: 1,
  active: 1,
  succeededLast24h: 0,
  failedLast24h: 0,
  durationP50: null,
  durationP95: null,
  asOf: at(60),
  cursor,
});

let open: Stream | undefined;

beforeEach(() => {
  vi.useFakeTimers();
  FakeSocket.all = [];
});
afterEach(() => {
  open?.stop();
  vi.useRealTimers();
});

async function started(answer?: (request: Requested) => unknown) {
  const world = setup(answer);
  open = world.stream;
  world.stream.start();
  await turn();
  return world;
}

async function connected(answer?: (request: Requested) => unknown) {
  const world = await started(answer);
  FakeSocket.last.accept();
  await turn();
  return world;
}

describe('the fleet stream', () => {
  it('takes a snapshot in pages and then changes, and says how fresh it is', async () => {
    const { stream, mode } = await started();
    expect(mode()).toBe('connecting');
    FakeSocket.last.accept();
    await turn();
    expect(mode()).toBe('catching-up');
    FakeSocket.last.next('fleetChanges', snapshot([row('node_1')], 'v1:a', false));
    await turn(100);
    expect(stream.fleet.get().complete).toBe(false);
    expect(mode()).toBe('catching-up');
    FakeSocket.last.next('fleetChanges', snapshot([row('node_2')], 'v1:b'));
    await turn(100);
    expect(stream.fleet.get().complete).toBe(true);
    expect(stream.fleet.get().rows.size).toBe(2);
    expect(mode()).toBe('live');
    expect(stream.status.get().asOf).toBe(at(1));

    FakeSocket.last.next('fleetChanges', delta([row('node_3')], 'v1:c', ['node_1']));
    await turn(100);
    expect([...stream.fleet.get().rows.keys()]).toEqual(['node_2', 'node_3']);
    expect(stream.status.get().asOf).toBe(at(2));
  });

  it('applies many messages in one batch, without any HTTP request', async () => {
    const { stream, fetch, client } = await connected();
    FakeSocket.last.next('fleetChanges', snapshot([row('node_1')], 'v1:0'));
    await turn(100);
    const told = vi.fn();
    stream.fleet.subscribe(told);
    const batch = vi.spyOn(client.cache, 'batch');
    for (let i = 2; i < 1002; i++) {
      FakeSocket.last.next('fleetChanges', delta([row('node_1', { version: i, name: `v${i}` })], `v1:${i}`));
    }
    await turn(100);
    expect(batch).toHaveBeenCalledTimes(1);
    expect(told).toHaveBeenCalledTimes(1);
    expect(stream.fleet.get().rows.get('node_1')?.name).toBe('v1001');
    expect(fetch).not.toHaveBeenCalled();
  });

  it('resumes after the cursor of what was applied, and misses nothing', async () => {
    const { nameOf, mode, stream } = await connected();
    FakeSocket.last.next('fleetChanges', snapshot([row('node_1')], 'v1:10'));
    await turn(100);
    // Arrived but not yet applied when the connection is lost.
    FakeSocket.last.next('fleetChanges', delta([row('node_1', { version: 2, name: 'renamed' })], 'v1:11'));
    FakeSocket.last.closeFromServer(1006);
    expect(nameOf('node_1')).toBe('renamed');
    await turn();
    expect(mode()).toBe('reconnecting');
    expect(stream.status.get().nextAttemptAt).toBe(Date.now() + 1000);
    expect(FakeSocket.all).toHaveLength(1);

    await turn(1000);
    expect(FakeSocket.all).toHaveLength(2);
    FakeSocket.last.accept();
    await turn();
    const [resumed, ...more] = FakeSocket.last.subscriptions('fleetChanges');
    expect(more).toEqual([]);
    expect(resumed?.payload?.variables).toMatchObject({ after: 'v1:11' });
    expect(mode()).toBe('catching-up');
    FakeSocket.last.next('fleetChanges', delta([row('node_1', { version: 3, name: 'again' })], 'v1:12'));
    await turn(100);
    expect(nameOf('node_1')).toBe('again');
    expect(mode()).toBe('live');
  });

  it('begins the snapshot again when it was cut off, and forgets nothing meanwhile', async () => {
    const { stream } = await connected();
    FakeSocket.last.next('fleetChanges', snapshot([row('node_1'), row('node_2')], 'v1:10'));
    await turn(100);
    FakeSocket.last.next('fleetChanges', { __typename: 'StreamReset', cursor: 'v1:90', at: at(3), reason: 'CURSOR_EXPIRED' });
    FakeSocket.last.next('fleetChanges', snapshot([row('node_2', { version: 5 })], 'v1:91', false));
    await turn(100);
    FakeSocket.last.closeFromServer(1012);
    await turn(1000);
    FakeSocket.last.accept();
    await turn();
    expect(FakeSocket.last.subscriptions('fleetChanges')[0]?.payload?.variables).toMatchObject({ after: null });
    // The half snapshot removed nothing.
    expect(stream.fleet.get().rows.size).toBe(2);
    FakeSocket.last.next('fleetChanges', snapshot([row('node_2', { version: 5 })], 'v1:92'));
    await turn(100);
    expect([...stream.fleet.get().rows.keys()]).toEqual(['node_2']);
  });

  it('drops a row whose version is smaller than the one held, in the list and in the cache', async () => {
    const { client, nameOf } = await connected();
    FakeSocket.last.next('fleetChanges', snapshot([row('node_1', { version: 7, name: 'new' })], 'v1:1'));
    FakeSocket.last.next('fleetChanges', delta([row('node_1', { version: 6, name: 'old' })], 'v1:2'));
    await turn(100);
    expect(nameOf('node_1')).toBe('new');
    const cached = client.cache.readFragment({
      id: 'BareMetalNode:node_1',
      fragment: FleetRowFragmentDoc,
      fragmentName: 'FleetRow',
    });
    expect(cached).toMatchObject({ name: 'new', version: 7 });
  });

  it('counts as live when a resume has nothing to replay', async () => {
    const { mode } = await connected();
    FakeSocket.last.next('fleetChanges', snapshot([], 'v1:1'));
    await turn(100);
    FakeSocket.last.closeFromServer(1006);
    await turn(1000);
    FakeSocket.last.accept();
    // A server that has not answered yet has not said that there is nothing.
    await turn(14_000);
    expect(mode()).toBe('catching-up');
    FakeSocket.last.next('fleetChanges', { __typename: 'StreamHeartbeat', cursor: 'v1:1', at: at(20), staleSince: null });
    await turn(100);
    expect(mode()).toBe('live');
  });

  it('is catching up for as long as a replay takes', async () => {
    const { mode } = await connected();
    FakeSocket.last.next('fleetChanges', snapshot([row('node_1')], 'v1:10'));
    await turn(100);
    FakeSocket.last.closeFromServer(1006);
    await turn(1000);
    FakeSocket.last.accept();
    await turn();
    for (let version = 2; version < 8; version++) {
      FakeSocket.last.next('fleetChanges', delta([row('node_1', { version })], `v1:${10 * version}`, [], false));
      await turn(5000);
      expect(mode()).toBe('catching-up');
    }
    FakeSocket.last.next('fleetChanges', delta([row('node_1', { version: 8 })], 'v1:80'));
    await turn(100);
    expect(mode()).toBe('live');
  });

  it('is told of changes within a snapshot, which do not make it whole', async () => {
    const { mode } = await connected();
    FakeSocket.last.next('fleetChanges', snapshot([row('node_1')], 'v1:10', false));
    FakeSocket.last.next('fleetChanges', delta([row('node_1', { version: 2 })], 'v1:11'));
    await turn(100);
    expect(mode()).toBe('catching-up');
    FakeSocket.last.next('fleetChanges', snapshot([row('node_2')], 'v1:10'));
    await turn(100);
    expect(mode()).toBe('live');
  });

  it('is stale while the server cannot read its database, as of the time it says, and live again after', async () => {
    const { mode, stream } = await connected();
    const beat = (seconds: number, staleSince: string | null): void =>
      FakeSocket.last.next('fleetChanges', { __typename: 'StreamHeartbeat', cursor: 'v1:1', at: at(seconds), staleSince });
    FakeSocket.last.next('fleetChanges', snapshot([row('node_1')], 'v1:1'));
    beat(20, null);
    await turn(100);
    expect(mode()).toBe('live');
    expect(stream.status.get().asOf).toBe(at(20));
    // The heartbeat is newer than what it stands for.
    beat(40, at(19));
    await turn(100);
    expect(mode()).toBe('stale');
    expect(stream.status.get().asOf).toBe(at(19));
    beat(55, at(19));
    await turn(100);
    expect(mode()).toBe('stale');
    expect(stream.status.get().asOf).toBe(at(19));
    beat(70, null);
    await turn(100);
    expect(mode()).toBe('live');
    expect(stream.status.get().asOf).toBe(at(70));
    // A lost connection is another trouble; the next server says itself what it knows.
    beat(85, at(80));
    await turn(100);
    FakeSocket.last.closeFromServer(1006);
    await turn();
    expect(mode()).toBe('reconnecting');
    expect(stream.status.get().asOf).toBe(at(80));
    await turn(1000);
    FakeSocket.last.accept();
    await turn();
    expect(mode()).toBe('catching-up');
  });

  it('begins a subscription again that failed on a good connection, the second time without its cursor', async () => {
    const { mode, stream } = await connected();
    FakeSocket.last.next('fleetChanges', snapshot([row('node_1')], 'v1:bad'));
    await turn(100);
    const fail = (): void => {
      const id = FakeSocket.last.subscriptions('fleetChanges').at(-1)?.id;
      FakeSocket.last.receive({ id, type: 'error', payload: [{ message: 'bad cursor' }] });
    };
    fail();
    await turn(1000);
    expect(mode()).toBe('catching-up');
    expect(FakeSocket.last.subscriptions('fleetChanges').at(-1)?.payload?.variables).toMatchObject({ after: 'v1:bad' });
    fail();
    await turn(2000);
    expect(FakeSocket.last.subscriptions('fleetChanges').at(-1)?.payload?.variables).toMatchObject({ after: null });
    expect(FakeSocket.all).toHaveLength(1);
    // It says why, until something comes.
    expect(problemsOf(stream.refusal.get()?.error)[0]?.message).toContain('bad cursor');
    FakeSocket.last.next('fleetChanges', snapshot([row('node_1')], 'v1:good'));
    await turn(100);
    expect(stream.refusal.get()).toBeNull();
    expect(mode()).toBe('live');
  });
});

describe('a lost connection', () => {
  it('is polled for after three failed connects, and left again when the socket is back', async () => {
    const world = await started(({ operationName }) =>
      operationName === 'FleetNow'
        ? { fleetSummary: numbers('v1:50') }
        : {
            bareMetalNodes: {
              __typename: 'BareMetalNodeConnection',
              nodes: [row('node_1', { name: 'polled' })],
              pageInfo: { __typename: 'PageInfo', hasNextPage: false, endCursor: 'p1' },
            },
          },
    );
    const { requests, nameOf, mode, checkSession } = world;
    FakeSocket.last.refuse();
    await turn();
    expect(mode()).toBe('reconnecting');
    expect(checkSession).toHaveBeenCalledTimes(1);
    await turn(1000);
    FakeSocket.last.refuse();
    await turn(2000);
    expect(requests).toHaveLength(0);
    FakeSocket.last.refuse();
    await turn(100);
    expect(requests.map(({ operationName }) => operationName)).toEqual(['FleetNow', 'FleetPage']);
    expect(nameOf('node_1')).toBe('polled');
    expect(mode()).toBe('polling');
    expect(world.stream.status.get().asOf).toBe(at(60));

    // It goes on trying, and then resumes from where the poll was.
    await turn(4000);
    expect(FakeSocket.all).toHaveLength(4);
    FakeSocket.last.accept();
    await turn();
    expect(FakeSocket.last.subscriptions('fleetChanges')[0]?.payload?.variables).toMatchObject({ after: 'v1:50' });
    const before = requests.length;
    await turn(30_000);
    expect(requests).toHaveLength(before);
  });

  it('is offline while queries fail too, and never gives up', async () => {
    const { mode } = await started(() => null);
    // Two minutes without a server.
    for (let elapsed = 0; elapsed < 120_000; elapsed += 1000) {
      const socket = FakeSocket.last;
      if (socket.readyState === FakeSocket.CONNECTING) socket.refuse();
      await turn(1000);
    }
    expect(mode()).toBe('offline');
    expect(FakeSocket.all.length).toBeGreaterThan(6);
    expect(FakeSocket.all.length).toBeLessThan(12);
    while (FakeSocket.last.readyState !== FakeSocket.CONNECTING) await turn(1000);
    FakeSocket.last.accept();
    await turn();
    FakeSocket.last.next('fleetChanges', snapshot([], 'v1:1'));
    await turn(100);
    expect(mode()).toBe('live');
  });

  it.each([1000, 1001, 1006, 1012, 4403, 4401])(
    'does not hammer a server that accepts and then closes with %i',
    async (code) => {
      await started();
      for (let elapsed = 0; elapsed < 30_000; elapsed += 100) {
        const socket = FakeSocket.last;
        if (socket.readyState === FakeSocket.CONNECTING) {
          socket.accept();
          await turn();
          socket.closeFromServer(code);
        }
        await turn(100);
      }
      // Pauses of 1, 2, 4, 8, 16 s: six connects in half a minute, not thousands.
      expect(FakeSocket.all.length).toBeGreaterThanOrEqual(4);
      expect(FakeSocket.all.length).toBeLessThanOrEqual(7);
    },
  );

  it('asks whether the sign-in still holds when it is refused by code', async () => {
    const { checkSession } = await connected();
    FakeSocket.last.closeFromServer(4403, 'expired');
    await turn();
    expect(checkSession).toHaveBeenCalled();
  });

  it('gives up a socket that no longer answers pings', async () => {
    const { mode } = await connected();
    FakeSocket.last.next('fleetChanges', snapshot([], 'v1:1'));
    await turn(100);
    expect(mode()).toBe('live');
    FakeSocket.last.answersPings = false;
    await turn(25_000);
    expect(FakeSocket.all.length).toBeGreaterThan(1);
    expect(mode()).not.toBe('live');
  });

  it('gives up a stream without heartbeats although the socket lives', async () => {
    await connected();
    FakeSocket.last.next('fleetChanges', snapshot([], 'v1:1'));
    await turn(30_000);
    expect(FakeSocket.all).toHaveLength(1);
    await turn(10_000);
    expect(FakeSocket.all.length).toBeGreaterThan(1);
  });

  it('connects at once when told to', async () => {
    const { stream } = await connected();
    FakeSocket.last.closeFromServer(1006);
    await turn();
    stream.hurry();
    await turn();
    expect(FakeSocket.all).toHaveLength(2);
  });
});

describe('the events of a machine', () => {
  const batch = (events: unknown[], cursor: string, caughtUp = true) => ({
    __typename: 'DeploymentEventBatch',
    cursor,
    at: at(9),
    caughtUp,
    events,
  });
  const page = (sequences: number[]) => ({
    deployment: {
      ...live(),
      cursor: 'v1:100',
      config: {},
      batch: null,
      node: { __typename: 'BareMetalNode' as const, id: 'node_1', name: 'metal-1', version: 1, stale: false },
      events: {
        __typename: 'DeploymentEventConnection',
        nodes: sequences.map((n) => event(n)),
        pageInfo: { __typename: 'PageInfo', hasPreviousPage: false, startCursor: 'v1:90' },
      },
    },
  });
  const sequences = (cache: VersionedCache): number[] =>
    cache
      .readQuery({ query: DeploymentPageDocument, variables: { id: 'dep_1', last: 100 } })
      ?.deployment?.events.nodes.map(({ sequence }) => sequence) ?? [];

  async function watching() {
    const world = await connected();
    FakeSocket.last.next('fleetChanges', snapshot([row('node_1')], 'v1:1'));
    await turn(100);
    const cache = versioned(world.client.cache);
    cache.writeQuery({ query: DeploymentPageDocument, variables: { id: 'dep_1', last: 100 }, data: page([1, 2]) });
    const listener = { events: vi.fn<(events: readonly EventRowFragment[]) => void>(), reset: vi.fn() };
    const close = world.stream.watchNode('node_1', 'v1:100', listener);
    await turn();
    return { ...world, cache, listener, close };
  }

  it('join the list of their deployment in order, each once', async () => {
    const { cache, listener } = await watching();
    expect(FakeSocket.last.subscriptions('deploymentEvents')[0]?.payload?.variables).toMatchObject({
      after: 'v1:100',
      filter: { nodeIds: ['node_1'] },
    });
    FakeSocket.last.next('deploymentEvents', batch([{ ...event(4), deployment: live(), bareMetalNode: nodeLive() }], 'v1:104'));
    FakeSocket.last.next(
      'deploymentEvents',
      batch([{ ...event(3), deployment: live(), bareMetalNode: nodeLive() }, { ...event(4), deployment: live({ version: 9, progress: 0.8 }), bareMetalNode: nodeLive() }], 'v1:105'),
    );
    await turn(100);
    expect(sequences(cache)).toEqual([1, 2, 3, 4]);
    expect(listener.events).toHaveBeenCalledTimes(1);
    expect(cache.versionOf('Deployment:dep_1')).toBe(9);
  });

  it('bring what changed of the machine itself', async () => {
    const { cache } = await watching();
    const shown = () => cache.readFragment({ id: 'BareMetalNode:node_1', fragment: NodeLiveFragmentDoc, fragmentName: 'NodeLive' });
    const resource = { __typename: 'Resource', id: 'res_1', kind: 'server', role: null, name: 's', cloudId: null, state: 'PRESENT', createdByNumber: 1, heldByNumber: 1, lastError: null, updatedAt: at(3) } as const;
    const told = nodeLive({ version: 5, macAddresses: ['02:00:00:00:00:01'], protected: true, protectNote: 'ours', resources: [resource] });
    FakeSocket.last.next('deploymentEvents', batch([{ ...event(3), deployment: live(), bareMetalNode: told }], 'v1:103'));
    await turn(100);
    expect(shown()).toMatchObject({ macAddresses: ['02:00:00:00:00:01'], protectNote: 'ours', resources: [{ id: 'res_1', state: 'PRESENT' }] });
    // What is told late takes nothing back.
    FakeSocket.last.next('deploymentEvents', batch([{ ...event(4), deployment: live(), bareMetalNode: nodeLive({ version: 4 }) }], 'v1:104'));
    await turn(100);
    expect(shown()).toMatchObject({ version: 5, protected: true });
  });

  it('resume after a drop from their own cursor', async () => {
    const { cache } = await watching();
    FakeSocket.last.next('deploymentEvents', batch([{ ...event(3), deployment: live(), bareMetalNode: nodeLive() }], 'v1:103'));
    FakeSocket.last.closeFromServer(1006);
    await turn(1000);
    FakeSocket.last.accept();
    await turn();
    expect(FakeSocket.last.subscriptions('deploymentEvents')[0]?.payload?.variables).toMatchObject({ after: 'v1:103' });
    FakeSocket.last.next('deploymentEvents', batch([{ ...event(3), deployment: live(), bareMetalNode: nodeLive() }, { ...event(4), deployment: live(), bareMetalNode: nodeLive() }], 'v1:104'));
    await turn(100);
    expect(sequences(cache)).toEqual([1, 2, 3, 4]);
  });

  it('ask for a new read after a reset and go on from there', async () => {
    const { listener } = await watching();
    FakeSocket.last.next('deploymentEvents', { __typename: 'StreamReset', cursor: 'v1:900', at: at(9), reason: 'SLOW_CONSUMER' });
    await turn(100);
    expect(listener.reset).toHaveBeenCalledTimes(1);
    FakeSocket.last.closeFromServer(1006);
    await turn(1000);
    FakeSocket.last.accept();
    await turn();
    expect(FakeSocket.last.subscriptions('deploymentEvents')[0]?.payload?.variables).toMatchObject({ after: 'v1:900' });
  });

  it('are not listened to after the page was left', async () => {
    const { listener, close } = await watching();
    const id = FakeSocket.last.subscriptions('deploymentEvents')[0]?.id;
    FakeSocket.last.next('deploymentEvents', batch([{ ...event(3), deployment: live(), bareMetalNode: nodeLive() }], 'v1:103'));
    close();
    await turn(100);
    expect(listener.events).not.toHaveBeenCalled();
    expect(FakeSocket.last.sent).toContainEqual({ id, type: 'complete' });
  });
});

describe('the cache', () => {
  it('keeps the newer object when a slower query answers after the stream', () => {
    const { client } = setup();
    const { cache } = client;
    const write = (version: number, progress: number): void => {
      cache.writeFragment({
        id: 'BareMetalNode:node_1',
        fragment: FleetRowFragmentDoc,
        fragmentName: 'FleetRow',
        data: row('node_1', { version: 1, currentDeployment: card({ version, progress }) }),
      });
    };
    write(5, 0.9);
    write(4, 0.1);
    const read = cache.readFragment({ id: 'BareMetalNode:node_1', fragment: FleetRowFragmentDoc, fragmentName: 'FleetRow' });
    expect(read?.currentDeployment).toMatchObject({ version: 5, progress: 0.9 });
  });

  it('still takes the events that an older read brings', () => {
    const { client } = setup();
    const cache = versioned(client.cache);
    const write = (version: number, nodes: unknown[]): void => {
      const events = {
        __typename: 'DeploymentEventConnection',
        nodes,
        pageInfo: { __typename: 'PageInfo', hasPreviousPage: false, startCursor: null },
      };
      const deployment = { ...live({ version }), cursor: `v1:${version}`, config: {}, batch: null, node: { __typename: 'BareMetalNode', id: 'node_1', name: 'metal-1', version: 1, stale: false }, events };
      cache.writeQuery({
        query: DeploymentPageDocument,
        variables: { id: 'dep_1', last: 100 },
        data: { deployment } as never,
      });
    };
    write(5, [event(3)]);
    write(4, [event(1), event(2)]);
    const read = cache.readQuery({ query: DeploymentPageDocument, variables: { id: 'dep_1', last: 100 } });
    expect(read?.deployment?.version).toBe(5);
    expect(read?.deployment?.events.nodes.map(({ sequence }) => sequence)).toEqual([1, 2, 3]);
  });
});
