import { vi } from 'vitest';

import { inFront } from '@/features/history/useHistory';
import { createClient } from '@/gql/client/client';
import { DeploymentPageDocument, FleetRowFragmentDoc, type HistoryRowFragment } from '@/gql/generated/graphql';
import { Backoff, Connection, Stream } from '@/stream';
import { live } from './fixtures';
import type { SimulatedServer } from './simulatedServer';

/** What has arrived is applied within this, ms. */
const aFrame = 100;
/** The server says at least this often how it is, ms. */
const aHeartbeat = 16_000;
/** A round of queries takes no longer, ms. */
const aRound = 20_000;
/** Longer than any pause between connects, and a heartbeat after it. */
export const longEnough = 30_000 + 15_000 + 5000;
/** Without a word for this long a connection is not believed any more: a silence of 37.5 s, or a ping and its pong. */
const tooSilent = 40_000;

/** A page of the app: its stream, a machine's events and the fleet's history, as their pages hold them. */
export class SimulatedPage {
  readonly server: SimulatedServer;
  readonly stream: Stream;
  readonly client: ReturnType<typeof createClient>;
  readonly checkSession = vi.fn();
  readonly signedOut = vi.fn();
  private lastMode = '';
  private modeSince = 0;
  /** The newest first. */
  history: readonly HistoryRowFragment[] = [];
  resets = 0;
  /** History begins here. */
  readonly since: number;
  private endHistory: () => void;

  constructor(server: SimulatedServer) {
    this.server = server;
    const connection = new Connection({ url: 'ws://test/graphql', webSocketImpl: server.Socket, backoff: new Backoff({ random: () => 1 }) });
    this.client = createClient({ socket: connection.link, onSignedOut: this.signedOut, fetch: server.fetch });
    this.stream = new Stream({ client: this.client, connection, checkSession: this.checkSession });
    this.stream.status.subscribe(() => {
      const { mode } = this.stream.status.get();
      if (this.lastMode === mode) return;
      this.lastMode = mode;
      this.modeSince = Date.now();
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
    const { open, queries, weather } = this.server;
    const queriesFor = queries === null ? 0 : Date.now() - queries.since;
    const wrong: string[] = [];
    const connected = mode === 'live' || mode === 'catching-up' || mode === 'stale';
    if (connected !== (open !== undefined)) wrong.push(`${mode} while the connection is ${open ? 'up' : 'down'}`);
    if (connected && open && Date.now() - open.heardAt > tooSilent) wrong.push(`${mode} after ${Date.now() - open.heardAt} ms of silence`);
    if (mode === 'live' && this.server.quiet && open && Date.now() - open.heardAt > aFrame && this.differences().length > 0) wrong.push(`live, but ${this.differences().join('; ')}`);
    if (mode === 'polling' && queries?.answered === false && queriesFor > aRound && Date.now() - this.modeSince > aRound) wrong.push('polling, but queries fail');
    if (mode === 'offline' && (queries === null || (queries.answered && queriesFor > aRound))) wrong.push('offline, but queries are answered');
    if (connected && nextAttemptAt !== null) wrong.push(`${mode} with a next connect`);
    if (nextAttemptAt !== null && (nextAttemptAt < Date.now() || nextAttemptAt > Date.now() + 30_000)) wrong.push(`the next connect is in ${nextAttemptAt - Date.now()} ms`);
    if (asOf !== null && Date.parse(asOf) > Date.now()) wrong.push(`as of ${asOf}, which is yet to come`);
    if (mode === 'stale' && asOf !== weather.blindSince && this.waited > aHeartbeat) wrong.push(`stale as of ${asOf ?? 'nothing'} instead of ${weather.blindSince ?? 'not at all'}`);
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
    const nodes = this.server.eventsOf('node_1').map(({ position: _, deployment: __, bareMetalNode: ___, ...event }) => event);
    const events = { __typename: 'DeploymentEventConnection', nodes, pageInfo: { __typename: 'PageInfo', hasPreviousPage: false, startCursor: null } };
    const deployment = { ...live({ version: 0 }), cursor: this.server.cursor(), config: {}, batch: null, node: { __typename: 'BareMetalNode', id: 'node_1', name: 'metal-1', version: 0, stale: false }, events };
    this.client.cache.writeQuery({ query: DeploymentPageDocument, variables: { id: 'dep_1', last: 100 }, data: { deployment } });
  }
}
