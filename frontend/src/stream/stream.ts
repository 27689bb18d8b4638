import type { ApolloClient } from '@apollo/client';

import { observeServerTime } from '@/lib/clock';
import { createStore, type Store } from '@/lib/store';
import { Batcher } from './batcher';
import { BulkChannel } from './bulkChannel';
import type { ApplyInBatch, Ask, Channel, StreamedMessage } from './channel';
import { ClusterChannel } from './clusterChannel';
import type { Connection } from './connection';
import { Fleet } from './fleet';
import { FleetChannel } from './fleetChannel';
import { HistoryChannel, type HistoryFilter, type HistoryListener } from './historyChannel';
import { Limit } from './limit';
import { NodeChannel, type NodeListener } from './nodeChannel';
import { asking, heartbeatSeconds, wasAnswered } from './operations';
import { ProbeChannel } from './probeChannel';
import { RunChannel, type RunListener } from './runChannel';
import { createStreamStatus, type StreamMode, type StreamStatus } from './status';

/** After this many failed connects in a row the same data comes by queries. */
const failuresBeforePolling = 3;
const pollEvery = 5000;
/** A connected stream that says nothing for this long is given up. */
const silence = heartbeatSeconds * 2500;
/** Messages that are made from the database; only a heartbeat is made without it, and says so. */
const tellsOfDatabase: ReadonlySet<string> = new Set(['FleetSnapshotPage', 'FleetDelta', 'DeploymentEventBatch', 'StreamReset', 'StreamHeartbeat', 'ClusterUpdate']);

export interface StreamOptions {
  client: ApolloClient;
  connection: Connection;
  /** Asks the server whether the sign-in still holds; called when connects fail. */
  checkSession: () => void;
}

interface Opened {
  channel: Channel;
  close: (() => void) | null;
  caughtUp: boolean;
  errors: number;
  retry: ReturnType<typeof setTimeout> | undefined;
  /** What the server said when it ended the subscription last; gone with its next message. */
  problem?: unknown;
}

interface Arrived {
  opened: Opened;
  message: StreamedMessage;
}

/**
 * Owns the page's subscriptions, outside React: keeps their cursors, applies
 * what arrives in one cache batch per frame, resumes after a lost connection,
 * polls while there is none, and says all this in `status`.
 */
export class Stream {
  readonly status: Store<StreamStatus> = createStreamStatus();
  /** Why a subscription is refused again and again on a connection that stands; null when none is. */
  readonly refusal: Store<{ error: unknown } | null> = createStore<{ error: unknown } | null>(null);
  readonly fleet = new Fleet();

  private readonly options: StreamOptions;
  private readonly ask: Ask;
  private readonly channels = new Set<Opened>();
  private readonly batcher = new Batcher<Arrived>((items) => this.applyAll(items));
  private connected = false;
  private running = false;
  private polling: ReturnType<typeof setTimeout> | undefined;
  private pollingEra = 0;
  private pollFailed = false;
  private staleSince: string | null = null;
  private probeReaders = 0;
  private endProbes: () => void = () => undefined;
  private readonly silent = new Limit();

  constructor(options: StreamOptions) {
    this.options = options;
    this.ask = asking(options.client);
  }

  /** Connects and follows the fleet. */
  start(): void {
    if (this.running) return;
    this.running = true;
    const channel = new FleetChannel(this.options.client, this.fleet);
    this.channels.add({ channel, close: null, caughtUp: false, errors: 0, retry: undefined });
    this.options.connection.start({
      up: () => this.up(),
      down: () => this.down(),
      connecting: () => this.show(),
      refused: () => this.options.checkSession(),
    });
    globalThis.addEventListener('online', this.hurry);
    document.addEventListener('visibilitychange', this.hurryWhenVisible);
  }

  stop(): void {
    if (!this.running) return;
    this.running = false;
    globalThis.removeEventListener('online', this.hurry);
    document.removeEventListener('visibilitychange', this.hurryWhenVisible);
    for (const opened of this.channels) this.close(opened);
    this.channels.clear();
    this.batcher.clear();
    this.silent.clear();
    this.stopPolling();
    this.connected = false;
    this.options.connection.stop();
  }

  /** Follows the events of one machine from a cursor on; the returned function ends it. */
  watchNode(nodeId: string, cursor: string | null, listener: NodeListener): () => void {
    return this.watchNodes([nodeId], cursor, listener);
  }

  /** The same for some machines, of which there is at least one. */
  watchNodes(nodeIds: readonly string[], cursor: string | null, listener: NodeListener): () => void {
    return this.watch(new NodeChannel(this.options.client, nodeIds, cursor, listener));
  }

  /** Follows a run of the deployment script and its output, from a place in it on; ends by itself with the run. */
  watchRun(runId: string, from: number, listener: RunListener): () => void {
    return this.watch(new RunChannel(this.options.client, runId, from, listener));
  }

  /** Follows the attempts to reach hosts, while there are readers. */
  watchProbes(): () => void {
    this.probeReaders += 1;
    if (this.probeReaders === 1) this.endProbes = this.watch(new ProbeChannel(this.options.client));
    return () => {
      this.probeReaders -= 1;
      if (this.probeReaders === 0) this.endProbes();
    };
  }

  /** Follows the events of the whole fleet that match, from a place in the stream on. */
  watchHistory(filter: HistoryFilter, cursor: string | null, listener: HistoryListener): () => void {
    return this.watch(new HistoryChannel(filter, cursor, listener));
  }

  /** Follows a bulk operation until it is over. */
  watchBulk(id: string): () => void {
    return this.watch(new BulkChannel(this.options.client, id));
  }

  /** Follows a cluster and the deployments of its nodes. */
  watchCluster(id: string): () => void {
    return this.watch(new ClusterChannel(this.options.client, id));
  }

  /** A place in the stream that everything shown of the fleet is at least as new as; null before the first snapshot. */
  position(): string | null {
    for (const { channel } of this.channels) if (channel instanceof FleetChannel) return channel.cursor;
    return null;
  }

  private watch(channel: Channel): () => void {
    const opened: Opened = { channel, close: null, caughtUp: false, errors: 0, retry: undefined };
    this.channels.add(opened);
    if (this.connected) this.open(opened);
    // There is something to catch up with now.
    this.show();
    return () => {
      this.close(opened);
      this.channels.delete(opened);
      this.show();
    };
  }

  /** Connects now instead of at the end of the pause. */
  readonly hurry = (): void => this.options.connection.backoff.hurry();

  private readonly hurryWhenVisible = (): void => {
    if (document.visibilityState === 'visible') this.hurry();
  };

  private up(): void {
    this.connected = true;
    this.stopPolling();
    this.heard();
    for (const opened of this.channels) this.open(opened);
    this.show();
  }

  private down(): void {
    this.connected = false;
    this.silent.clear();
    // Whatever arrived counts, so that the cursors are those of what is shown.
    this.batcher.flush();
    // What the next server knows, it says itself.
    this.staleSince = null;
    for (const opened of this.channels) this.close(opened);
    const { failures } = this.options.connection.backoff;
    // A refused upgrade looks like any other failure to a browser; only the
    // session can tell. Asked at the first and then at every third.
    if (failures % failuresBeforePolling === 1) this.options.checkSession();
    if (failures >= failuresBeforePolling) this.startPolling();
    this.show();
  }

  private open(opened: Opened): void {
    if (opened.close || opened.channel.over) return;
    opened.caughtUp = false;
    opened.close = opened.channel.open(this.options.client, {
      message: (message) => {
        this.heard();
        this.batcher.push({ opened, message });
      },
      ended: (error) => this.ended(opened, error),
    });
  }

  private close(opened: Opened): void {
    clearTimeout(opened.retry);
    const { close } = opened;
    opened.close = null;
    opened.caughtUp = false;
    close?.();
  }

  // A subscription that ended while the connection stands: begin it again, later
  // each time, and from the beginning when its cursor may be the reason.
  private ended(opened: Opened, error: unknown): void {
    this.batcher.flush();
    this.close(opened);
    if (opened.channel.over) {
      opened.caughtUp = true;
      this.show();
      return;
    }
    if (!this.connected) return;
    opened.errors += 1;
    opened.problem = error;
    if (error !== null && opened.errors >= 2 && opened.channel.snapshot) opened.channel.cursor = null;
    const pause = Math.min(30_000, 1000 * 2 ** Math.min(opened.errors - 1, 5));
    opened.retry = setTimeout(() => {
      if (this.connected && this.channels.has(opened)) this.open(opened);
    }, pause);
    this.show();
  }

  private heard(): void {
    this.silent.begin(silence, () => {
      if (this.connected) this.options.connection.terminate();
    });
  }

  private applyAll(items: readonly Arrived[]): void {
    const touched = new Set<Channel>();
    this.options.client.cache.batch({
      update: () => {
        for (const { opened, message } of items) {
          // A channel that was given up meanwhile has no reader any more.
          if (!this.channels.has(opened)) continue;
          opened.channel.apply(message);
          opened.errors = 0;
          opened.problem = undefined;
          opened.caughtUp = caughtUp(opened, message);
          touched.add(opened.channel);
        }
      },
    });
    for (const channel of touched) channel.settled?.();
    const newest = items.at(-1);
    // Messages of other kinds come from elsewhere than the database, or while it is read no more.
    const telling = items.findLast(({ message }) => tellsOfDatabase.has(message.__typename));
    if (telling) this.staleSince = telling.message.staleSince ?? null;
    if (newest) this.learn(newest.message.at);
    this.show();
  }

  private learn(at: string): void {
    observeServerTime(at);
    const { staleSince } = this;
    if (staleSince !== null) {
      // The server's clock goes on, what it knows does not: this may go back.
      this.status.update((status) => (status.asOf === staleSince ? status : { ...status, asOf: staleSince }));
      return;
    }
    this.status.update((status) => (status.asOf !== null && status.asOf >= at ? status : { ...status, asOf: at }));
  }

  private startPolling(): void {
    if (this.polling !== undefined) return;
    const era = ++this.pollingEra;
    const round = async (): Promise<void> => {
      const began = Date.now();
      await this.pollOnce(era);
      // Polling may have ended, and even begun again, while this round was under way.
      if (this.polling === undefined || this.pollingEra !== era) return;
      // A large fleet takes long to read; the server gets at least nine times that in peace.
      const pause = this.pollFailed ? pollEvery : Math.max(pollEvery, 9 * (Date.now() - began));
      this.polling = setTimeout(() => void round(), pause);
    };
    this.polling = setTimeout(() => void round(), 0);
  }

  private stopPolling(): void {
    clearTimeout(this.polling);
    this.polling = undefined;
    // An answer that is still on its way belongs to no round any more.
    this.pollingEra += 1;
    this.pollFailed = false;
  }

  private async pollOnce(era: number): Promise<void> {
    let failed = false;
    for (const opened of [...this.channels].filter(({ channel }) => !channel.over)) {
      try {
        await this.pollChannel(opened, era);
      } catch (error) {
        // Shown as offline; the next round tries again.
        failed = true;
        // One that the server cannot answer does not keep the others from theirs.
        if (!wasAnswered(error)) break;
      }
    }
    if (this.pollingEra !== era) return;
    this.pollFailed = failed;
    this.show();
  }

  private async pollChannel(opened: Opened, era: number): Promise<void> {
    // Too late when the socket came back, if only for a while, or the reader went: the stream knows better.
    const late = (): boolean => this.connected || this.pollingEra !== era || !this.channels.has(opened);
    const applyInBatch: ApplyInBatch = (work) => {
      if (late()) return false;
      this.options.client.cache.batch({ update: work });
      opened.channel.settled?.();
      return true;
    };
    const { at } = await opened.channel.poll(this.ask, applyInBatch);
    if (at !== null && !late()) this.learn(at);
  }

  private show(): void {
    if (!this.running) return;
    const { nextAttemptAt } = this.options.connection.backoff;
    const mode = this.mode();
    const refused = this.connected ? [...this.channels].find(({ errors, problem }) => errors >= 2 && problem != null) : undefined;
    this.refusal.update((held) => (held?.error === refused?.problem ? held : refused ? { error: refused.problem } : null));
    this.status.update((status) =>
      status.mode === mode && status.nextAttemptAt === nextAttemptAt ? status : { ...status, mode, nextAttemptAt },
    );
  }

  private mode(): StreamMode {
    if (this.connected && this.staleSince !== null) return 'stale';
    if (this.connected) return [...this.channels].every(({ caughtUp, channel }) => caughtUp || channel.over) ? 'live' : 'catching-up';
    if (this.polling !== undefined) return this.pollFailed ? 'offline' : 'polling';
    if (this.options.connection.backoff.failures === 0) return 'connecting';
    return 'reconnecting';
  }
}

function caughtUp(opened: Opened, message: StreamedMessage): boolean {
  const own = opened.channel.caughtUp?.(message);
  if (own !== undefined) return own;
  switch (message.__typename) {
    case 'FleetSnapshotPage':
      return (message as StreamedMessage & { last: boolean }).last;
    case 'DeploymentEventBatch':
      return (message as StreamedMessage & { caughtUp: boolean }).caughtUp;
    case 'FleetDelta':
      // Within a snapshot nothing makes it whole but its last page.
      return (message as StreamedMessage & { caughtUp: boolean }).caughtUp && inPlace(opened);
    case 'StreamReset':
      // The fleet's snapshot follows; events go on live.
      return opened.channel.snapshot !== true;
    case 'StreamHeartbeat':
      // Sent when there is nothing else to send.
      return inPlace(opened);
    default:
      return opened.caughtUp;
  }
}

/** Not within a snapshot. */
function inPlace({ channel }: Opened): boolean {
  return channel.cursor !== null || channel.snapshot !== true;
}
