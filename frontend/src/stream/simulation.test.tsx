// The stream against a simulated server and network: whatever goes wrong, the
// pill never lies, and afterwards nothing is missing and nothing is doubled.
import { act, render, screen } from '@testing-library/react';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { FreshnessPill } from '@/app/FreshnessPill';
import { StreamProvider } from '@/app/services';
import { inFront } from '@/features/history/useHistory';
import { createClient } from '@/gql/client/client';
import { DeploymentPageDocument, FleetRowFragmentDoc, type HistoryRowFragment } from '@/gql/generated/graphql';
import { resetServerClock } from '@/lib/clock';
import { timeMode } from '@/lib/preferences';
import { at, live } from '@/test/fixtures';
import { Random } from '@/test/random';
import { fair, SimulatedServer } from '@/test/simulatedServer';
import { Backoff } from './backoff';
import { Connection } from './connection';
import { Stream } from './stream';

/** What has arrived is applied within this, ms. */
const aFrame = 100;
/** Longer than any pause between connects, and a heartbeat after it. */
const longEnough = 30_000 + 15_000 + 5000;
/** Without a word for this long a connection is not believed any more: a silence of 37.5 s, or a ping and its pong. */
const tooSilent = 40_000;

/** A page of the app: its stream, a machine's events and the fleet's history, as their pages hold them. */
class Page {
  readonly server: SimulatedServer;
  readonly stream: Stream;
  readonly client: ReturnType<typeof createClient>;
  readonly checkSession = vi.fn();
  /** Every mode that was shown, in order. */
  readonly modes: string[] = [];
  /** The newest first. */
  history: readonly HistoryRowFragment[] = [];
  resets = 0;
  /** History begins here. */
  readonly since: number;
  private endHistory: () => void;

  constructor(server: SimulatedServer) {
    this.server = server;
    const connection = new Connection({ url: 'ws://test/graphql', webSocketImpl: server.Socket, backoff: new Backoff({ random: () => 1 }) });
    this.client = createClient({ socket: connection.link, onSignedOut: vi.fn(), fetch: server.fetch as typeof fetch });
    this.stream = new Stream({ client: this.client, connection, checkSession: this.checkSession });
    this.stream.status.subscribe(() => {
      const { mode } = this.stream.status.get();
      if (this.modes.at(-1) !== mode) this.modes.push(mode);
    });
    this.readDeployment();
    this.stream.watchNode('node_1', server.cursor(), { events: () => undefined, reset: () => this.readDeployment() });
    this.since = server.events.length;
    this.endHistory = this.watchHistory();
    this.stream.start();
  }

  get mode(): string {
    return this.stream.status.get().mode;
  }

  get sequences(): number[] {
    return this.client.cache.readQuery({ query: DeploymentPageDocument, variables: { id: 'dep_1', last: 100 } })?.deployment?.events.nodes.map(({ sequence }) => sequence) ?? [];
  }

  /** What is held differs from what the server has. */
  differences(): string[] {
    const { rows } = this.stream.fleet.get();
    const wrong: string[] = [];
    const compare = (what: string, shown: unknown, real: unknown): void => {
      if (JSON.stringify(shown) !== JSON.stringify(real)) wrong.push(`${what}: ${JSON.stringify(shown)} instead of ${JSON.stringify(real)}`);
    };
    compare('machines', [...rows.keys()].sort(), [...this.server.nodes.keys()].sort());
    for (const [id, { name, version, currentDeployment }] of this.server.nodes) {
      const real = { name, version, progress: currentDeployment?.progress };
      const shown = rows.get(id);
      compare(id, shown && { name: shown.name, version: shown.version, progress: shown.currentDeployment?.progress }, real);
      const cached = this.client.cache.readFragment({ id: `BareMetalNode:${id}`, fragment: FleetRowFragmentDoc, fragmentName: 'FleetRow' });
      compare(`${id} in the cache`, cached && { name: cached.name, version: cached.version, progress: cached.currentDeployment?.progress }, real);
    }
    compare('events of node_1', this.sequences, this.server.eventsOf('node_1').map(({ sequence }) => sequence));
    compare('history', this.history.map(({ id }) => id), this.server.events.slice(this.since).map(({ id }) => id).toReversed());
    return wrong;
  }

  /** What the pill says now that is not so. */
  lies(): string[] {
    const { mode, nextAttemptAt, asOf } = this.stream.status.get();
    const { open, lastQuery, weather } = this.server;
    const wrong: string[] = [];
    const connected = mode === 'live' || mode === 'catching-up' || mode === 'stale';
    if (connected !== (open !== undefined)) wrong.push(`${mode} while the connection is ${open ? 'up' : 'down'}`);
    if (connected && open && Date.now() - open.heardAt > tooSilent) wrong.push(`${mode} after ${Date.now() - open.heardAt} ms of silence`);
    if (mode === 'live' && this.server.quiet && open && Date.now() - open.heardAt > aFrame && this.differences().length > 0) wrong.push(`live, but ${this.differences().join('; ')}`);
    if (mode === 'polling' && lastQuery === 'failed' && this.waited > 12_000) wrong.push('polling, but queries fail');
    if (mode === 'offline' && lastQuery !== 'failed') wrong.push('offline, but queries are answered');
    if (connected && nextAttemptAt !== null) wrong.push(`${mode} with a next connect`);
    if (nextAttemptAt !== null && (nextAttemptAt < Date.now() || nextAttemptAt > Date.now() + 30_000)) wrong.push(`the next connect is in ${nextAttemptAt - Date.now()} ms`);
    if (asOf !== null && Date.parse(asOf) > Date.now()) wrong.push(`as of ${asOf}, which is yet to come`);
    if (mode === 'stale' && asOf !== weather.blindSince && this.waited > 100) wrong.push(`stale as of ${asOf ?? 'nothing'} instead of ${weather.blindSince ?? 'not at all'}`);
    return wrong;
  }

  /** Milliseconds since the weather changed. */
  waited = 0;

  async wait(ms: number): Promise<void> {
    this.waited += ms;
    await vi.advanceTimersByTimeAsync(ms);
  }

  stop(): void {
    this.stream.stop();
    this.server.stop();
  }

  // As the page of the history does: read the newest, follow from there.
  private watchHistory(): () => void {
    const read = this.server.events.slice(this.since);
    this.history = read.toReversed();
    return this.stream.watchHistory({}, read.at(-1)?.cursor ?? this.server.cursor(), {
      events: (events) => (this.history = inFront(this.history, events)),
      reset: () => {
        this.resets += 1;
        this.endHistory();
        this.endHistory = this.watchHistory();
      },
    });
  }

  private readDeployment(): void {
    const nodes = this.server.eventsOf('node_1').map(({ cursor: _, position: __, deployment: ___, bareMetalNode: ____, ...event }) => event);
    const events = { __typename: 'DeploymentEventConnection', nodes, pageInfo: { __typename: 'PageInfo', hasPreviousPage: false, startCursor: null } };
    const deployment = { ...live({ version: 0 }), cursor: this.server.cursor(), config: {}, batch: null, node: { __typename: 'BareMetalNode', id: 'node_1', name: 'metal-1', version: 0, stale: false }, events };
    this.client.cache.writeQuery({ query: DeploymentPageDocument, variables: { id: 'dep_1', last: 100 }, data: { deployment } as never });
  }
}

let page: Page | undefined;

beforeEach(() => {
  vi.useFakeTimers({ now: Date.parse(at(0)) });
  resetServerClock();
});
afterEach(() => {
  page?.stop();
  page = undefined;
  vi.useRealTimers();
});

const faults = {
  'the socket is cut': ({ server }: Page) => server.closeAll(1006),
  'the server restarts': ({ server }: Page) => server.closeAll(1012),
  'the session is refused once': ({ server }: Page) => server.closeAll(4403),
  'too many initialisations are claimed': ({ server }: Page) => server.closeAll(4429),
  'the network goes silent': ({ server }: Page) => server.freeze(),
  'readers are too slow': ({ server }: Page) => server.resetReaders(),
  'old positions are forgotten': ({ server }: Page) => server.forget(),
  'another database is restored': ({ server }: Page) => server.restore(),
  'connects are refused': ({ server }: Page) => {
    server.weather.reachable = false;
    server.closeAll(1006);
  },
  'connects hang': ({ server }: Page) => {
    server.weather.hangs = true;
    server.closeAll(1006);
  },
  'the sign-in ends': ({ server }: Page) => {
    server.weather.signedIn = false;
    server.closeAll(4403);
  },
  'queries find no server': ({ server }: Page) => (server.weather.http = 'down'),
  'queries are answered with 503': ({ server }: Page) => (server.weather.http = 'broken'),
  'queries have no answer': ({ server }: Page) => (server.weather.http = 'hangs'),
  'messages take long': ({ server }: Page) => (server.weather.latency = 3000),
  'messages come twice': ({ server }: Page) => (server.weather.doubled = 0.5),
  'resumed streams begin earlier': ({ server }: Page) => (server.weather.again = 8),
  'the server cannot read its database': ({ server }: Page) => (server.weather.blindSince ??= server.now()),
  'all is well again': ({ server }: Page) => (server.weather = { ...fair }),
  'somebody wants it now': ({ stream }: Page) => stream.hurry(),
} satisfies Record<string, (page: Page) => void>;

type Fault = keyof typeof faults;
const named = Object.keys(faults) as Fault[];

function happens(server: SimulatedServer): void {
  const { random } = server;
  const ids = [...server.nodes.keys()];
  // The first stays: its page is open.
  if (random.chance(0.1) && ids.length > 3) server.remove(random.pick(ids.slice(1)));
  else if (random.chance(0.1)) server.add();
  else server.report(random.chance(0.3) ? 'node_1' : random.pick(ids));
}

/** Plays a random sequence; what it did is in `trace`. */
async function play(seed: number, trace: string[]): Promise<void> {
  const random = new Random(seed);
  page = new Page(new SimulatedServer(random, 9));
  const { server } = page;
  const check = (now: Page): void => expect(now.lies(), `after ${trace.at(-1) ?? 'the start'} and ${now.waited} ms`).toEqual([]);
  for (let step = 0; step < 25; step++) {
    const fault = random.pick(named);
    trace.push(fault);
    page.waited = 0;
    faults[fault](page);
    for (let slice = random.int(1, 6); slice > 0; slice--) {
      if (random.chance(0.8)) happens(server);
      await page.wait(random.pick([20, 150, 1000, 6000, 20_000]));
      check(page);
    }
  }
  trace.push('all is well again, at last');
  server.weather = { ...fair };
  page.waited = 0;
  await page.wait(longEnough);
  expect(page.mode).toBe('live');
  expect(page.differences()).toEqual([]);
  const asked = server.asked.length;
  for (let i = 0; i < 10; i++) {
    happens(server);
    await page.wait(300);
  }
  expect(page.differences()).toEqual([]);
  check(page);
  expect(server.asked.length).toBe(asked);
}

describe('a random sequence of faults', () => {
  // STREAM_SEED repeats one; STREAM_RUNS tries more.
  const { STREAM_SEED, STREAM_RUNS } = (globalThis as unknown as { process: { env: Record<string, string | undefined> } }).process.env;
  const seeds = STREAM_SEED === undefined ? Array.from({ length: Number(STREAM_RUNS ?? 40) }, (_, i) => i + 1) : [Number(STREAM_SEED)];

  it.each(seeds)('leaves the page with what the server has, seed %i', async (seed) => {
    const trace: string[] = [];
    try {
      await play(seed, trace);
    } catch (error) {
      throw new Error(`STREAM_SEED=${seed}, step by step: ${trace.join(', ')}\n${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
  });
});
