// The channels that follow one thing each: what they ask for, what they keep,
// and how they go on after a lost connection.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { createClient } from '@/gql/client/client';
import { BulkLiveFragmentDoc, ProbeRowFragmentDoc, RunLiveFragmentDoc, type HistoryRowFragment } from '@/gql/generated/graphql';
import { FakeSocket } from '@/test/fakeSocket';
import { at, event } from '@/test/fixtures';
import { Backoff } from './backoff';
import { Connection } from './connection';
import type { LogPiece } from './runChannel';
import { Stream } from './stream';
import { readWholeLog } from './wholeLog';

type Answer = (operationName: string, variables: Record<string, unknown>) => unknown;

const turn = (ms = 0): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);
let stream: Stream;

/** A connected stream whose fleet is there; queries are answered by `answer`, or not at all. */
async function connected(answer: Answer = () => null) {
  const asked: string[] = [];
  const fetch = vi.fn((_: unknown, init?: RequestInit) => {
    const { operationName, variables } = JSON.parse(init?.body as string) as { operationName: string; variables: Record<string, unknown> };
    asked.push(operationName);
    const given = answer(operationName, variables);
    if (given === null) return Promise.reject(new TypeError('network down'));
    return Promise.resolve(new Response(JSON.stringify(given), { status: 200, headers: { 'content-type': 'application/json' } }));
  });
  const connection = new Connection({ url: 'ws://test/graphql', webSocketImpl: FakeSocket, backoff: new Backoff({ random: () => 1 }) });
  const client = createClient({ socket: connection.link, onSignedOut: vi.fn(), fetch });
  stream = new Stream({ client, connection, checkSession: vi.fn() });
  stream.start();
  await turn();
  FakeSocket.last.accept();
  await turn();
  const told = FakeSocket.last.subscriptions('fleetChanges').find(({ payload }) => payload?.operationName === 'FleetChanges');
  FakeSocket.last.receive({ id: told?.id, type: 'next', payload: { data: { fleetChanges: { __typename: 'FleetSnapshotPage', cursor: 'f1', at: at(1), last: true, nodes: [] } } } });
  await turn(100);
  expect(stream.status.get().mode).toBe('live');
  return { client, asked };
}

/** The subscription of an operation on the newest socket. */
const subscribed = (operationName: string) => FakeSocket.last.sent.filter(({ type, payload }) => type === 'subscribe' && payload?.operationName === operationName);

function say(operationName: string, field: string, message: unknown): void {
  const id = subscribed(operationName).at(-1)?.id;
  if (id === undefined) throw new Error(`nobody subscribed to ${operationName}`);
  FakeSocket.last.receive({ id, type: 'next', payload: { data: { [field]: message } } });
}
const ends = (operationName: string): void => FakeSocket.last.receive({ id: subscribed(operationName).at(-1)?.id, type: 'complete' });

async function reconnected(): Promise<void> {
  // It has lasted, so the pause is the shortest.
  await turn(5000);
  FakeSocket.last.closeFromServer(1006);
  await turn(1000);
  FakeSocket.last.accept();
  await turn();
}

/** No socket any more, and polls begin. */
async function polled(): Promise<void> {
  FakeSocket.last.closeFromServer(1006);
  for (const pause of [1000, 2000, 4000]) {
    await turn(pause);
    if (FakeSocket.last.readyState === FakeSocket.CONNECTING) FakeSocket.last.refuse();
    await turn(100);
  }
}

const fleet = { data: { fleetSummary: { __typename: 'FleetSummary', total: 0, active: 0, succeededLast24h: 0, failedLast24h: 0, durationP50: null, durationP95: null, asOf: at(60), cursor: 'f9' } } };
const nobody = { data: { bareMetalNodes: { __typename: 'BareMetalNodeConnection', nodes: [], pageInfo: { __typename: 'PageInfo', hasNextPage: false, endCursor: null } } } };

beforeEach(() => {
  vi.useFakeTimers({ now: Date.parse(at(0)) });
  FakeSocket.all = [];
});
afterEach(() => {
  stream.stop();
  vi.useRealTimers();
});

describe('a run of the script', () => {
  const run = (over: object = {}) => ({
    __typename: 'ScriptRun', id: 'run_1', host: 'h', state: 'RUNNING', nodeCount: 1, pid: 7, exitCode: null, signal: null, problem: null, logBytes: 0, logCut: false, cancelRequestedAt: null, cancelRequestedBy: null, cancelReason: null,
    requestedBy: { __typename: 'Actor', kind: 'USER', name: 'ada' }, createdAt: at(0), storedAt: at(0), startedAt: at(0), endedAt: null, duration: null, ...over,
  });
  const piece = (text: string, offset: number, of: object = {}) => ({ __typename: 'ScriptRunLogMessage', run: run({ logBytes: offset + text.length, ...of }), text, offset, next: offset + text.length, at: at(2) });

  async function followed(answer?: Answer) {
    const world = await connected(answer);
    const output: LogPiece[] = [];
    const close = stream.watchRun('run_1', 5, { output: (pieces) => output.push(...pieces) });
    await turn();
    const state = () => world.client.cache.readFragment({ id: 'ScriptRun:run_1', fragment: RunLiveFragmentDoc, fragmentName: 'RunLive' })?.state;
    return { ...world, output, close, state };
  }

  it('is read from a place on, and again from the place after a drop', async () => {
    const { output, state } = await followed();
    expect(subscribed('RunLog')[0]?.payload?.variables).toMatchObject({ id: 'run_1', fromOffset: 5 });
    say('RunLog', 'scriptRunLog', piece('hello ', 5, { logBytes: 99 }));
    await turn(100);
    expect(stream.status.get().mode).toBe('catching-up');
    say('RunLog', 'scriptRunLog', piece('world', 11));
    await turn(100);
    expect(stream.status.get().mode).toBe('live');
    expect(state()).toBe('RUNNING');
    await reconnected();
    expect(subscribed('RunLog')[0]?.payload?.variables).toMatchObject({ fromOffset: 16 });
    // The same piece again goes to nobody, and does not move the place back.
    say('RunLog', 'scriptRunLog', piece('world', 11));
    say('RunLog', 'scriptRunLog', piece('!', 16));
    await turn(100);
    expect(output).toEqual([{ text: 'hello ', offset: 5 }, { text: 'world', offset: 11 }, { text: '!', offset: 16 }]);
    await reconnected();
    expect(subscribed('RunLog')[0]?.payload?.variables).toMatchObject({ fromOffset: 17 });
  });

  it('is over with its end, and not with that of the server', async () => {
    const { state } = await followed();
    say('RunLog', 'scriptRunLog', piece('x', 5));
    ends('RunLog');
    await turn(1100);
    expect(subscribed('RunLog')).toHaveLength(2);
    say('RunLog', 'scriptRunLog', piece('y', 6, { state: 'SUCCEEDED', endedAt: at(3) }));
    ends('RunLog');
    await turn(60_000);
    expect(state()).toBe('SUCCEEDED');
    await reconnected();
    expect(subscribed('RunLog')).toEqual([]);
  });

  it('has its state polled for, its output later', async () => {
    const { output, state, asked } = await followed((operation) => (operation === 'RunNow' ? { data: { scriptRun: run({ state: 'FAILED', logBytes: 50 }) } } : operation === 'FleetNow' ? fleet : nobody));
    await polled();
    expect(asked).toContain('RunNow');
    expect(state()).toBe('FAILED');
    expect(output).toEqual([]);
  });

  it('is heard by nobody who has left', async () => {
    const { output, close } = await followed();
    say('RunLog', 'scriptRunLog', piece('late', 5));
    close();
    await turn(100);
    expect(output).toEqual([]);
  });

  it('can be read whole, up to where it is', async () => {
    const { client } = await connected();
    const whole = readWholeLog(client, 'run_1');
    await turn();
    say('RunLog', 'scriptRunLog', piece('one ', 0, { logBytes: 7 }));
    say('RunLog', 'scriptRunLog', piece('two', 4));
    await expect(whole).resolves.toBe('one two');
    expect(FakeSocket.last.sent.at(-1)?.type).toBe('complete');
  });

  it('is not taken for whole when the connection was lost on the way', async () => {
    const { client } = await connected();
    const whole = readWholeLog(client, 'run_1');
    const failed = expect(whole).rejects.toThrow();
    await turn();
    say('RunLog', 'scriptRunLog', piece('one ', 0, { logBytes: 7 }));
    FakeSocket.last.closeFromServer(4400);
    await turn(100);
    await failed;
  });

  it('does not make the page forget that the database cannot be read', async () => {
    await followed();
    say('FleetChanges', 'fleetChanges', { __typename: 'StreamHeartbeat', cursor: 'f1', at: at(20), staleSince: at(9) });
    await turn(100);
    expect(stream.status.get()).toMatchObject({ mode: 'stale', asOf: at(9) });
    say('RunLog', 'scriptRunLog', piece('still running', 5));
    await turn(100);
    expect(stream.status.get()).toMatchObject({ mode: 'stale', asOf: at(9) });
  });
});

describe('hosts that are being reached', () => {
  const host = (attempt: number, version: number) => ({
    __typename: 'BareMetalNode', id: 'node_1', version,
    currentDeployment: {
      __typename: 'Deployment', id: 'dep_1', version, state: 'RUNNING', allowedActions: [],
      sshProbe: { __typename: 'SshProbe', target: 'h:22', attempt, maxAttempts: 120, nextAttemptAt: null, lastAttemptAt: at(attempt), lastErrorClass: null, lastMessage: null, offeredHostKey: null, offeredFingerprint: null, knownFingerprint: null },
    },
  });
  const change = (attempt: number, cursor: string) => ({ __typename: 'FleetDelta', cursor, at: at(2), caughtUp: true, changed: [host(attempt, attempt)] });
  const attempt = (client: ReturnType<typeof createClient>) => client.cache.readFragment({ id: 'BareMetalNode:node_1', fragment: ProbeRowFragmentDoc, fragmentName: 'ProbeRow' })?.currentDeployment?.sshProbe?.attempt;

  it('are asked for once, however many read, and not any more after the last', async () => {
    const { client } = await connected();
    const closes = [stream.watchProbes(), stream.watchProbes()];
    await turn();
    expect(subscribed('ProbeChanges')).toHaveLength(1);
    expect(subscribed('ProbeChanges')[0]?.payload?.variables).toMatchObject({ filter: { phases: ['REBOOT_WAIT', 'SSH_POLLING'] } });
    closes[0]?.();
    say('ProbeChanges', 'fleetChanges', { __typename: 'FleetSnapshotPage', cursor: 'p1', at: at(1), last: true, nodes: [host(1, 1)] });
    say('ProbeChanges', 'fleetChanges', change(2, 'p2'));
    await turn(100);
    expect(attempt(client)).toBe(2);
    const id = subscribed('ProbeChanges')[0]?.id;
    closes[1]?.();
    expect(FakeSocket.last.sent).toContainEqual({ id, type: 'complete' });
  });

  it('go on after the last whole place, or begin anew', async () => {
    await connected();
    stream.watchProbes();
    await turn();
    const place = () => subscribed('ProbeChanges')[0]?.payload?.variables?.after;
    say('ProbeChanges', 'fleetChanges', { __typename: 'FleetSnapshotPage', cursor: 'p1', at: at(1), last: false, nodes: [host(1, 1)] });
    say('ProbeChanges', 'fleetChanges', change(2, 'p2'));
    await turn(100);
    // Half a snapshot is no place.
    await reconnected();
    expect(place()).toBeNull();
    say('ProbeChanges', 'fleetChanges', { __typename: 'FleetSnapshotPage', cursor: 'p3', at: at(1), last: true, nodes: [] });
    say('ProbeChanges', 'fleetChanges', { __typename: 'StreamHeartbeat', cursor: 'p4', at: at(3), staleSince: null });
    await turn(100);
    await reconnected();
    expect(place()).toBe('p4');
    say('ProbeChanges', 'fleetChanges', { __typename: 'StreamReset', cursor: 'p9', at: at(3), reason: 'CURSOR_EXPIRED' });
    await turn(100);
    await reconnected();
    expect(place()).toBeNull();
  });

  it('are polled page by page', async () => {
    const { client } = await connected((operation, { after }) => {
      if (operation === 'FleetNow') return fleet;
      if (operation !== 'ProbesPage') return nobody;
      const pageInfo = { __typename: 'PageInfo', hasNextPage: after === null, endCursor: 'more' };
      return { data: { bareMetalNodes: { __typename: 'BareMetalNodeConnection', nodes: after === null ? [] : [host(7, 7)], pageInfo } } };
    });
    stream.watchProbes();
    await polled();
    expect(attempt(client)).toBe(7);
  });
});

describe('a bulk operation', () => {
  const operation = (version: number, over: object = {}) => ({
    __typename: 'BulkOperation', id: 'blk_1', action: 'RETRY', mode: null, reason: null, selection: null, state: 'RUNNING', total: 4, counts: [], maxParallel: 2, stopAfterFailures: null,
    requestedBy: { __typename: 'Actor', kind: 'USER', name: 'ada' }, canceledBy: null, createdAt: at(0), updatedAt: at(version), finishedAt: null, version, ...over,
  });
  const message = (version: number, over: object = {}) => ({ __typename: 'BulkOperationMessage', operation: operation(version, over), at: at(version) });
  const held = (client: ReturnType<typeof createClient>) => client.cache.readFragment({ id: 'BulkOperation:blk_1', fragment: BulkLiveFragmentDoc, fragmentName: 'BulkLive' });

  it('is followed to its end, each version once', async () => {
    const { client } = await connected();
    stream.watchBulk('blk_1');
    await turn();
    expect(stream.status.get().mode).toBe('catching-up');
    say('BulkChanges', 'bulkOperationChanges', message(5));
    say('BulkChanges', 'bulkOperationChanges', message(4, { state: 'WAITING' }));
    await turn(100);
    expect(stream.status.get().mode).toBe('live');
    expect(held(client)).toMatchObject({ version: 5, state: 'RUNNING' });
    // The server went away, the operation did not.
    ends('BulkChanges');
    await turn(1100);
    expect(subscribed('BulkChanges')).toHaveLength(2);
    say('BulkChanges', 'bulkOperationChanges', message(6, { state: 'DONE', finishedAt: at(6) }));
    ends('BulkChanges');
    await turn(60_000);
    expect(held(client)).toMatchObject({ version: 6, state: 'DONE' });
    await reconnected();
    expect(subscribed('BulkChanges')).toEqual([]);
  });

  it('is polled, and one that does not exist is no error', async () => {
    const versions = [7, null];
    const { client, asked } = await connected((name) => {
      if (name !== 'BulkNow') return name === 'FleetNow' ? fleet : nobody;
      const version = versions.shift() ?? null;
      return { data: { bulkOperation: version === null ? null : operation(version) } };
    });
    stream.watchBulk('blk_1');
    await polled();
    expect(held(client)).toMatchObject({ version: 7 });
    await turn(6000);
    expect(asked.filter((name) => name === 'BulkNow').length).toBeGreaterThan(1);
    expect(stream.status.get().mode).toBe('polling');
  });
});

describe('the history of the fleet', () => {
  const one = (sequence: number): HistoryRowFragment => ({ ...event(sequence), cursor: `h${sequence}`, bareMetalNode: { __typename: 'BareMetalNode', id: 'node_1', name: 'metal-1' }, deployment: { __typename: 'Deployment', id: 'dep_1', number: 1 } }) as HistoryRowFragment;
  const batch = (sequences: number[], caughtUp = true) => ({ __typename: 'DeploymentEventBatch', cursor: `h${sequences.at(-1) ?? 0}`, at: at(2), caughtUp, events: sequences.map(one) });

  async function followed(answer?: Answer, filter = {}) {
    const world = await connected(answer);
    const heard: number[] = [];
    const reset = vi.fn();
    stream.watchHistory(filter, 'h3', { events: (events) => heard.push(...events.map(({ sequence }) => sequence)), reset });
    await turn();
    return { ...world, heard, reset };
  }

  it('begins where it is told to, tells each event once, and says when it has caught up', async () => {
    const { heard } = await followed();
    expect(subscribed('HistoryTail')[0]?.payload?.variables).toMatchObject({ after: 'h3', filter: {} });
    say('HistoryTail', 'deploymentEvents', batch([4, 5], false));
    say('HistoryTail', 'deploymentEvents', batch([4, 5], false));
    await turn(100);
    expect(heard).toEqual([4, 5]);
    expect(stream.status.get().mode).toBe('catching-up');
    say('HistoryTail', 'deploymentEvents', batch([6]));
    await turn(100);
    expect(stream.status.get().mode).toBe('live');
    // A heartbeat moves the place past what the filter hid.
    say('HistoryTail', 'deploymentEvents', { __typename: 'StreamHeartbeat', cursor: 'h60', at: at(9), staleSince: null });
    await turn(100);
    await reconnected();
    expect(subscribed('HistoryTail')[0]?.payload?.variables).toMatchObject({ after: 'h60' });
  });

  it('is reset, and goes on after it', async () => {
    const { heard, reset } = await followed();
    say('HistoryTail', 'deploymentEvents', { __typename: 'StreamReset', cursor: 'h90', at: at(4), reason: 'SLOW_CONSUMER' });
    say('HistoryTail', 'deploymentEvents', batch([91]));
    await turn(100);
    expect(reset).toHaveBeenCalledTimes(1);
    expect(heard).toEqual([91]);
    await reconnected();
    expect(subscribed('HistoryTail')[0]?.payload?.variables).toMatchObject({ after: 'h91' });
  });

  it('ends with the deployments it was asked for, and otherwise never', async () => {
    await followed(undefined, { deploymentIds: ['dep_1'] });
    ends('HistoryTail');
    await turn(20_000);
    expect(subscribed('HistoryTail')).toHaveLength(1);
    expect(stream.status.get().mode).not.toBe('catching-up');
  });

  it('is polled in pages from its place on', async () => {
    const pages: Record<string, unknown> = { h3: { nodes: [one(4)], next: true, end: 'h4' }, h4: { nodes: [one(5)], next: false, end: 'h5' } };
    const { heard } = await followed((name, { after }) => {
      if (name !== 'HistoryTailPage') return name === 'FleetNow' ? fleet : nobody;
      const { nodes, next, end } = (pages[after as string] ?? { nodes: [], next: false, end: null }) as { nodes: unknown[]; next: boolean; end: string | null };
      return { data: { deploymentEvents: { __typename: 'DeploymentEventConnection', nodes, pageInfo: { __typename: 'PageInfo', hasNextPage: next, endCursor: end } } } };
    });
    await polled();
    await turn(20_000);
    expect(heard).toEqual([4, 5]);
  });

  it('is reset, and not offline, when the server no longer has what a poll asks for', async () => {
    const { reset, asked } = await followed((name, { after }) => {
      if (name !== 'HistoryTailPage') return name === 'FleetNow' ? fleet : nobody;
      if (after === 'h3') return { data: null, errors: [{ message: 'gone', extensions: { code: 'OUT_OF_RANGE' } }] };
      return { data: { deploymentEvents: { __typename: 'DeploymentEventConnection', nodes: [], pageInfo: { __typename: 'PageInfo', hasNextPage: false, endCursor: null } } } };
    });
    await polled();
    await turn(12_000);
    expect(reset).toHaveBeenCalledTimes(1);
    expect(asked.filter((name) => name === 'HistoryTailPage').length).toBeGreaterThan(1);
    expect(stream.status.get().mode).toBe('polling');
  });

  it('does not keep the others from being polled when it cannot be', async () => {
    const { asked } = await followed((name) => {
      if (name === 'HistoryTailPage') return { data: null, errors: [{ message: 'broken', extensions: { code: 'INTERNAL' } }] };
      return name === 'FleetNow' ? fleet : name === 'BulkNow' ? { data: { bulkOperation: null } } : nobody;
    });
    stream.watchBulk('blk_1');
    await polled();
    expect(asked).toContain('BulkNow');
    expect(stream.status.get().mode).toBe('offline');
  });
});
