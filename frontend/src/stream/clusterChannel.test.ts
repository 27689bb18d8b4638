// The channel of a cluster: what it asks for, what it keeps, and how it goes on
// after a lost connection and while there is none.
import { afterEach, beforeEach, expect, it, vi } from 'vitest';

import { createClient } from '@/gql/client/client';
import { ClusterLiveFragmentDoc } from '@/gql/generated/graphql';
import { FakeSocket } from '@/test/fakeSocket';
import { at } from '@/test/fixtures';
import { Backoff } from './backoff';
import { Connection } from './connection';
import { Stream } from './stream';

const turn = (ms = 0): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);

const cluster = (over: object = {}) => ({
  __typename: 'Cluster', id: 'clu_1', name: 'prod', type: 'MULTI_NODE', state: 'INSTALLING', redundancyFactor: 2, address: null, progress: 0.5, requestedBy: { __typename: 'Actor', kind: 'USER', name: 'olga' },
  createdAt: at(0), updatedAt: at(0), formedAt: null, version: 3, barrier: { __typename: 'ClusterBarrier', ready: 1, total: 3, waitingFor: [] }, formation: null, health: null,
  dnsServers: [], ntpServers: [], skipDiscovery: false, allowedActions: [], cleanupAt: null, cleanupBy: null, cursor: 'q1', members: [], ...over,
});
const update = (cursor: string, over: object = {}) => ({ __typename: 'ClusterUpdate', cursor, at: at(5), cluster: cluster(over) });

let stream: Stream;

/** A connected stream whose fleet is there; queries of the cluster are answered. */
async function followed() {
  const asked: string[] = [];
  const fetch = vi.fn((_: unknown, init?: RequestInit) => {
    const { operationName } = JSON.parse(init?.body as string) as { operationName: string };
    asked.push(operationName);
    const answers: Record<string, unknown> = {
      ClusterNow: { data: { cluster: cluster({ state: 'FORMING', cursor: 'polled' }) } },
      FleetNow: { data: { fleetSummary: { __typename: 'FleetSummary', total: 0, active: 0, succeededLast24h: 0, failedLast24h: 0, durationP50: null, durationP95: null, asOf: at(60), cursor: 'f9' } } },
      FleetPage: { data: { bareMetalNodes: { __typename: 'BareMetalNodeConnection', nodes: [], pageInfo: { __typename: 'PageInfo', hasNextPage: false, endCursor: null } } } },
    };
    return Promise.resolve(new Response(JSON.stringify(answers[operationName]), { status: 200, headers: { 'content-type': 'application/json' } }));
  });
  const connection = new Connection({ url: 'ws://test/graphql', webSocketImpl: FakeSocket, backoff: new Backoff({ random: () => 1 }) });
  const client = createClient({ socket: connection.link, onSignedOut: vi.fn(), fetch });
  stream = new Stream({ client, connection, checkSession: vi.fn() });
  stream.start();
  await turn();
  FakeSocket.last.accept();
  await turn();
  say('FleetChanges', 'fleetChanges', { __typename: 'FleetSnapshotPage', cursor: 'f1', at: at(1), last: true, nodes: [] });
  await turn(100);
  const close = stream.watchCluster('clu_1');
  await turn();
  const state = () => client.cache.readFragment({ id: 'Cluster:clu_1', fragment: ClusterLiveFragmentDoc, fragmentName: 'ClusterLive' })?.state;
  return { asked, close, state };
}

const subscribed = (name: string) => FakeSocket.last.sent.filter(({ type, payload }) => type === 'subscribe' && payload?.operationName === name);

function say(name: string, field: string, message: unknown): void {
  FakeSocket.last.receive({ id: subscribed(name).at(-1)?.id, type: 'next', payload: { data: { [field]: message } } });
}

beforeEach(() => {
  vi.useFakeTimers({ now: Date.parse(at(0)) });
  FakeSocket.all = [];
});
afterEach(() => {
  stream.stop();
  vi.useRealTimers();
});

it('has the whole cluster with the first message and asks nothing besides', async () => {
  const { asked, state } = await followed();
  expect(stream.status.get().mode).toBe('catching-up');
  say('ClusterChanges', 'clusterChanges', update('c1'));
  await turn(100);
  expect(stream.status.get().mode).toBe('live');
  expect(state()).toBe('INSTALLING');
  // A deployment of a node moves the cluster without another version of it.
  say('ClusterChanges', 'clusterChanges', update('c2', { state: 'BLOCKED' }));
  await turn(100);
  expect(state()).toBe('BLOCKED');
  // An older version that comes late changes nothing.
  say('ClusterChanges', 'clusterChanges', update('c3', { state: 'QUEUED', version: 2 }));
  await turn(100);
  expect(state()).toBe('BLOCKED');
  expect(asked).toEqual([]);
});

it('goes on from its place after a drop, and waits for the whole cluster after a reset', async () => {
  const { state } = await followed();
  say('ClusterChanges', 'clusterChanges', update('c1'));
  await turn(5000);
  FakeSocket.last.closeFromServer(1006);
  await turn(1000);
  FakeSocket.last.accept();
  await turn();
  expect(subscribed('ClusterChanges')[0]?.payload?.variables).toMatchObject({ id: 'clu_1', after: 'c1' });
  say('FleetChanges', 'fleetChanges', { __typename: 'StreamHeartbeat', cursor: 'f2', at: at(6), staleSince: null });
  say('ClusterChanges', 'clusterChanges', { __typename: 'StreamReset', cursor: 'c7', at: at(6), reason: 'TOO_OLD' });
  await turn(100);
  expect(stream.status.get().mode).toBe('catching-up');
  say('ClusterChanges', 'clusterChanges', update('c8', { state: 'DEPLOYED' }));
  await turn(100);
  expect(stream.status.get().mode).toBe('live');
  expect(state()).toBe('DEPLOYED');
});

it('comes by queries while there is no socket, and ends with its reader', async () => {
  const { asked, close, state } = await followed();
  say('ClusterChanges', 'clusterChanges', update('c1'));
  await turn(5000);
  FakeSocket.last.closeFromServer(1006);
  for (const pause of [1000, 2000, 4000]) {
    await turn(pause);
    if (FakeSocket.last.readyState === FakeSocket.CONNECTING) FakeSocket.last.refuse();
    await turn(100);
  }
  expect(asked).toContain('ClusterNow');
  expect(state()).toBe('FORMING');
  close();
  asked.length = 0;
  await turn(20_000);
  expect(asked).not.toContain('ClusterNow');
});
