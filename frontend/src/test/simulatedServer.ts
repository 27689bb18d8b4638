import type { DeploymentLiveFragment, EventRowFragment, FleetRowFragment, NodeLiveFragment } from '@/gql/generated/graphql';
import { card, event, live, nodeLive, row } from './fixtures';
import type { Random } from './random';
import { SimulatedSocket, type Subscribe } from './simulatedSocket';

export type ServerEvent = EventRowFragment & { position: number; deployment: DeploymentLiveFragment & { __typename: string }; bareMetalNode: NodeLiveFragment & { __typename: string; name: string } };

/** Rows of a page, whatever was asked for: so that small fleets have several. */
const pageSize = 4;
/** Changes of one message. */
const batchSize = 3;

interface Change {
  position: number;
  nodeId: string;
}

/** One subscription as the server keeps it. */
interface Feed {
  socket: SimulatedSocket;
  id: string;
  operation: string;
  /** Everything up to here was sent; null while a snapshot is being sent. */
  position: number;
  /** The last machine of the page before, and the place in the stream at which the snapshot began. */
  snapshot: { after: number; begun: number } | null;
  nodeIds: readonly string[] | null;
  /** Of the fleet's numbers: told once after a snapshot or a resume. */
  owed: boolean;
  /** The reader was told that more follows, or came back and was told nothing yet. */
  behind: boolean;
  saidAt: number;
}

/** How the world treats this server. */
export interface Weather {
  /** Connects are taken. */
  reachable: boolean;
  /** A connect is neither taken nor refused. */
  hangs: boolean;
  /** The session holds; without it sockets are closed with 4403 and queries are answered with 401. */
  signedIn: boolean;
  /** Queries are answered. */
  http: 'well' | 'down' | 'broken' | 'hangs';
  /** A message takes up to this long, ms. */
  latency: number;
  /** The share of messages that are sent twice. */
  doubled: number;
  /** How many changes before its cursor a resumed stream is told again. */
  again: number;
  /** The server cannot read its database. */
  blindSince: string | null;
}

export const fair: Readonly<Weather> = { reachable: true, hangs: false, signedIn: true, http: 'well', latency: 0, doubled: 0, again: 0, blindSince: null };

/**
 * The server's side of the stream, with its promises: changes have one order,
 * a resumed stream has all of them after its cursor, and rows are told as they
 * are when the message is made. Everything else goes wrong as `weather` says.
 */
export class SimulatedServer {
  readonly nodes = new Map<string, FleetRowFragment & { __typename: string }>();
  readonly events: ServerEvent[] = [];
  readonly sockets: SimulatedSocket[] = [];
  weather: Weather = { ...fair };
  /** Queries that were asked, by the names of their operations. */
  readonly asked: string[] = [];
  /** Since when queries are answered, or fail, by those that have ended; ms. */
  queries: { answered: boolean; since: number } | null = null;
  readonly random: Random;

  private position = 0;
  private epoch = 1;
  private oldest = 0;
  private made = 0;
  private changes: Change[] = [];
  private removed = new Map<string, number>();
  private feeds = new Set<Feed>();
  private deployments = new Map<string, DeploymentLiveFragment & { __typename: string }>();
  private pumping: ReturnType<typeof setTimeout> | undefined;

  constructor(random: Random, nodes: number) {
    this.random = random;
    for (let i = 0; i < nodes; i++) this.add();
  }

  /** For the client: a websocket of this server. */
  get Socket(): unknown {
    // eslint-disable-next-line @typescript-eslint/no-this-alias -- the class below has another
    const server = this;
    return class extends SimulatedSocket {
      constructor() {
        super(server);
      }
    };
  }

  /** The socket over which subscriptions travel now, as the page knows it. */
  get open(): SimulatedSocket | undefined {
    return this.sockets.find(({ acknowledged, closed }) => acknowledged && !closed);
  }

  cursor(position = this.position): string {
    return `e${this.epoch}:${position}`;
  }

  now(): string {
    return new Date().toISOString();
  }

  /** Nothing is on its way to the page, and nothing is left to be sent. */
  get quiet(): boolean {
    const { open } = this;
    return open !== undefined && !open.frozen && open.inFlight === 0 && this.weather.blindSince === null && [...this.feeds].every((feed) => feed.socket !== open || this.served(feed));
  }

  // ---- what happens at the server ----

  add(): string {
    const number = ++this.made;
    const id = `node_${number}`;
    this.nodes.set(id, row(id, { currentDeployment: card({ id: `dep_${number}` }) }));
    this.deployments.set(id, live({ id: `dep_${number}` }));
    this.committed(id);
    return id;
  }

  remove(id: string): void {
    this.nodes.delete(id);
    this.committed(id);
    this.removed.set(id, this.position);
  }

  /** A report of a machine: its row, its deployment and an event. */
  report(id: string): void {
    const node = this.nodes.get(id);
    const deployment = this.deployments.get(id);
    if (!node || !deployment) return;
    const version = node.version + 1;
    const progress = this.random.int(0, 100) / 100;
    const next = { ...deployment, progress, version };
    this.deployments.set(id, next);
    this.nodes.set(id, { ...node, version, name: `${node.name.split('~')[0] ?? ''}~${version}`, currentDeployment: card({ id: deployment.id, progress, version }) });
    this.committed(id);
    const sequence = this.eventsOf(id).length + 1;
    this.events.push({
      ...event(sequence, { id: `evt_${this.position}` }),
      cursor: this.cursor(),
      position: this.position,
      deployment: next,
      bareMetalNode: { ...nodeLive({ id, version }), name: node.name },
    });
  }

  eventsOf(id: string): ServerEvent[] {
    return this.events.filter(({ bareMetalNode }) => bareMetalNode.id === id);
  }

  /** Old positions can no longer be resumed from. */
  forget(): void {
    this.oldest = this.position;
  }

  /** The readers of all streams were too slow. */
  resetReaders(): void {
    for (const feed of this.feeds) this.reset(feed, 'SLOW_CONSUMER');
  }

  /** Another database: cursors of the one before mean nothing. */
  restore(): void {
    this.epoch += 1;
    for (const each of this.events) each.cursor = this.cursor(each.position);
    this.closeAll(1012);
  }

  closeAll(code: number): void {
    for (const socket of this.sockets) socket.cut(code);
  }

  /** The network stops without a word: what is on its way never arrives. */
  freeze(): void {
    for (const socket of this.sockets) if (!socket.closed) socket.frozen = true;
  }

  stop(): void {
    clearTimeout(this.pumping);
    this.closeAll(1001);
  }

  private committed(nodeId: string): void {
    this.position += 1;
    this.changes.push({ position: this.position, nodeId });
    this.wake();
  }

  // ---- subscriptions ----

  subscribe(socket: SimulatedSocket, { id, operation, variables }: Subscribe): void {
    const after = variables.after as string | null;
    const nodeIds = (variables.filter as { nodeIds?: string[] } | undefined)?.nodeIds ?? null;
    const feed: Feed = { socket, id, operation, position: this.position, snapshot: null, nodeIds, owed: false, behind: false, saidAt: Date.now() };
    this.feeds.add(feed);
    if (operation === 'FleetChanges' && after === null) feed.snapshot = { after: 0, begun: this.position };
    else if (after !== null) {
      const from = this.resumable(after);
      if (typeof from === 'string') this.reset(feed, from);
      else {
        feed.position = Math.max(this.oldest, from - this.weather.again);
        feed.owed = operation === 'FleetChanges';
        feed.behind = true;
      }
    }
    this.wake();
  }

  complete(socket: SimulatedSocket, id: string): void {
    for (const feed of this.feeds) if (feed.socket === socket && feed.id === id) this.feeds.delete(feed);
  }

  gone(socket: SimulatedSocket): void {
    for (const feed of this.feeds) if (feed.socket === socket) this.feeds.delete(feed);
  }

  private resumable(cursor: string): number | 'CURSOR_UNKNOWN' | 'CURSOR_EXPIRED' {
    const [epoch, position] = cursor.slice(1).split(':').map(Number);
    if (epoch !== this.epoch || position === undefined || position > this.position) return 'CURSOR_UNKNOWN';
    return position < this.oldest ? 'CURSOR_EXPIRED' : position;
  }

  private reset(feed: Feed, reason: string): void {
    feed.position = this.position;
    feed.snapshot = null;
    feed.behind = false;
    this.tell(feed, { __typename: 'StreamReset', reason }, this.position);
    if (feed.operation === 'FleetChanges') feed.snapshot = { after: 0, begun: this.position };
    this.wake();
  }

  private tell(feed: Feed, message: Record<string, unknown>, position: number): void {
    feed.saidAt = Date.now();
    const field = feed.operation === 'FleetChanges' ? 'fleetChanges' : 'deploymentEvents';
    const told = { id: feed.id, type: 'next', payload: { data: { [field]: { cursor: this.cursor(position), at: this.now(), ...message } } } };
    feed.socket.say(told);
    if (this.random.chance(this.weather.doubled)) feed.socket.say(told);
  }

  private wake(after = 20): void {
    clearTimeout(this.pumping);
    this.pumping = setTimeout(() => {
      for (const feed of this.feeds) this.serve(feed);
      // Again for what is left, or else for heartbeats.
      if (this.feeds.size > 0) this.wake([...this.feeds].every((feed) => this.served(feed)) ? 500 : 20);
    }, after);
  }

  private served({ snapshot, position, owed, behind }: Feed): boolean {
    return this.weather.blindSince !== null || (snapshot === null && position === this.position && !owed && !behind);
  }

  // One message of a stream, if there is one to send.
  private serve(feed: Feed): void {
    const { blindSince } = this.weather;
    if (blindSince !== null) {
      if (Date.now() - feed.saidAt >= 15_000) this.tell(feed, { __typename: 'StreamHeartbeat', staleSince: blindSince }, feed.position);
      return;
    }
    if (feed.snapshot) {
      this.page(feed, feed.snapshot);
      return;
    }
    const changes = this.changes.filter(({ position }) => position > feed.position).slice(0, batchSize);
    const to = changes.at(-1)?.position ?? feed.position;
    if (feed.operation === 'FleetChanges') this.delta(feed, changes, to);
    else this.batch(feed, to);
    feed.position = to;
    if (Date.now() - feed.saidAt >= 15_000) this.tell(feed, { __typename: 'StreamHeartbeat', staleSince: null }, to);
  }

  private page(feed: Feed, snapshot: { after: number; begun: number }): void {
    const left = [...this.nodes.values()].filter(({ id }) => Number(id.slice(5)) > snapshot.after);
    const nodes = left.slice(0, pageSize);
    const last = left.length <= pageSize;
    this.tell(feed, { __typename: 'FleetSnapshotPage', last, nodes }, snapshot.begun);
    snapshot.after = Number(nodes.at(-1)?.id.slice(5) ?? 0);
    if (!last) return;
    feed.position = snapshot.begun;
    feed.snapshot = null;
    feed.owed = true;
  }

  private delta(feed: Feed, changes: readonly Change[], to: number): void {
    const caughtUp = to === this.position;
    if (changes.length === 0 && !feed.owed && !feed.behind) return;
    const ids = [...new Set(changes.map(({ nodeId }) => nodeId))];
    const changed = ids.flatMap((id) => this.nodes.get(id) ?? []);
    const removedIds = ids.filter((id) => !this.nodes.has(id));
    this.tell(feed, { __typename: 'FleetDelta', changed, removedIds, caughtUp, summary: feed.owed ? this.numbers() : null }, to);
    feed.owed = false;
    feed.behind = !caughtUp;
  }

  private batch(feed: Feed, to: number): void {
    const events = this.events.filter((each) => each.position > feed.position && each.position <= to && this.wanted(each, feed.nodeIds));
    const caughtUp = to === this.position;
    // Who was told that more follows is told when there is no more, too.
    if (events.length > 0 || (feed.behind && caughtUp)) {
      this.tell(feed, { __typename: 'DeploymentEventBatch', events, caughtUp }, to);
      feed.behind = !caughtUp;
    }
  }

  private wanted({ bareMetalNode }: ServerEvent, nodeIds: readonly string[] | null): boolean {
    return nodeIds === null || nodeIds.includes(bareMetalNode.id);
  }

  private numbers() {
    return { __typename: 'FleetSummary', total: this.nodes.size, active: 0, succeededLast24h: 0, failedLast24h: 0, durationP50: null, durationP95: null, asOf: this.now(), cursor: this.cursor() };
  }

  // ---- queries ----

  readonly fetch = async (_: unknown, init?: RequestInit): Promise<Response> => {
    const { operationName, variables } = JSON.parse(init?.body as string) as { operationName: string; variables: Record<string, unknown> };
    this.asked.push(operationName);
    const { http, signedIn, latency } = this.weather;
    await this.pause(latency / 2);
    if (http === 'down' || http === 'hangs') {
      if (http === 'hangs') await new Promise((resolve) => init?.signal?.addEventListener('abort', resolve));
      this.queryEnded(false);
      throw new TypeError('network down');
    }
    const broken = http === 'broken' || !signedIn;
    const answer = broken ? 'Service Unavailable' : JSON.stringify(this.answer(operationName, variables));
    // Made now; what happens while it is on its way is not in it.
    await this.pause(latency / 2);
    this.queryEnded(!broken);
    return new Response(answer, { status: signedIn ? (broken ? 503 : 200) : 401, headers: { 'content-type': broken ? 'text/plain' : 'application/json' } });
  };

  private queryEnded(answered: boolean): void {
    if (this.queries?.answered !== answered) this.queries = { answered, since: Date.now() };
  }

  private pause(most: number): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, this.random.int(0, most)));
  }

  private answer(operation: string, variables: Record<string, unknown>): unknown {
    if (operation === 'FleetNow') return { data: { fleetSummary: this.numbers() } };
    if (operation === 'FleetPage') {
      const after = Number(variables.after ?? 0);
      const left = [...this.nodes.values()].filter(({ id }) => Number(id.slice(5)) > after);
      const nodes = left.slice(0, pageSize);
      const pageInfo = { __typename: 'PageInfo', hasNextPage: left.length > pageSize, endCursor: nodes.at(-1)?.id.slice(5) ?? null };
      return { data: { bareMetalNodes: { __typename: 'BareMetalNodeConnection', nodes, pageInfo } } };
    }
    const from = this.resumable(variables.after as string);
    if (typeof from === 'string') return { data: null, errors: [{ message: `events after this cursor can no longer be given (${from})`, extensions: { code: 'OUT_OF_RANGE' } }] };
    const nodeIds = (variables.filter as { nodeIds?: string[] } | undefined)?.nodeIds ?? null;
    const left = this.events.filter((each) => each.position > from && this.wanted(each, nodeIds));
    const nodes = left.slice(0, pageSize);
    const pageInfo = { __typename: 'PageInfo', hasNextPage: left.length > pageSize, endCursor: nodes.at(-1)?.cursor ?? null };
    return { data: { deploymentEvents: { __typename: 'DeploymentEventConnection', nodes, pageInfo } } };
  }
}
