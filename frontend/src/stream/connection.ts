import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { createClient, type Client } from 'graphql-ws';

import { Backoff } from './backoff';
import { Limit } from './limit';

/** What a connection tells the stream. */
export interface ConnectionListener {
  /** Subscriptions can be made. */
  up(): void;
  /** Subscriptions are gone; the connection is already being made anew. */
  down(): void;
  /** A connect begins now. */
  connecting(): void;
  /** The server refused with this close code: perhaps the sign-in has ended. */
  refused(code: number): void;
}

export interface ConnectionOptions {
  url: string;
  backoff?: Backoff;
  /** For tests; the browser's own otherwise. */
  webSocketImpl?: unknown;
  /** A ping is sent after this long without one, in milliseconds. */
  keepAlive?: number;
  /** A connection on which nothing comes for this long after a ping is given up, in milliseconds. */
  pongTimeout?: number;
  /** A connect that is neither taken nor refused for this long is given up, in milliseconds. */
  connectTimeout?: number;
}

/** Close codes after which asking again in the same way is useless. */
const final: readonly number[] = [4400, 4401, 4403, 4406];

const closeCode = (event: unknown): number =>
  typeof event === 'object' && event !== null && 'code' in event && typeof event.code === 'number' ? event.code : 0;

// Disposing waits for a connect that is under way, and that may still fail.
const dispose = (client: Client): void => {
  Promise.resolve(client.dispose()).catch(() => undefined);
};

/**
 * The websocket, kept up for as long as the page is open. It never gives up:
 * graphql-ws makes the ordinary reconnects; after a close code that is final to
 * it a new client is made, after the same pause.
 */
export class Connection {
  /** For the Apollo client: subscriptions travel over whatever connection there is. */
  readonly link: GraphQLWsLink;
  readonly backoff: Backoff;

  private readonly options: Required<Omit<ConnectionOptions, 'backoff' | 'webSocketImpl'>> & Pick<ConnectionOptions, 'webSocketImpl'>;
  private listener: ConnectionListener | null = null;
  private client: Client | null = null;
  private readonly pong = new Limit();
  private readonly hanging = new Limit();
  private isUp = false;
  private operations = 0;

  constructor({ url, backoff = new Backoff(), webSocketImpl, keepAlive = 10_000, pongTimeout = 5000, connectTimeout = 10_000 }: ConnectionOptions) {
    this.options = { url, webSocketImpl, keepAlive, pongTimeout, connectTimeout };
    this.backoff = backoff;
    const current = (): Client => {
      if (!this.client) throw new Error('the stream connection has not been started');
      return this.client;
    };
    // The link keeps one client for its life; this one stands for the present one.
    this.link = new GraphQLWsLink({
      on: (event, listener) => current().on(event, listener),
      subscribe: (payload, sink) => current().subscribe(payload, sink),
      iterate: (payload) => current().iterate(payload),
      dispose: () => current().dispose(),
      terminate: () => current().terminate(),
    });
  }

  start(listener: ConnectionListener): void {
    this.listener = listener;
    this.open();
  }

  stop(): void {
    this.listener = null;
    this.stopWaiting();
    const client = this.client;
    this.client = null;
    this.isUp = false;
    if (client) dispose(client);
    this.backoff.hurry();
  }

  /** Gives up a connection that is silent; a new one is made. */
  terminate(): void {
    this.client?.terminate();
  }

  private open(): void {
    const client = createClient({
      url: async () => {
        // Also reached when a socket opened and was closed normally, where
        // graphql-ws itself would reconnect without any pause.
        await this.backoff.wait();
        this.backoff.begin();
        this.listener?.connecting();
        // Where packets are dropped without a word a browser takes minutes to see it.
        this.hanging.begin(this.options.connectTimeout, () => client.terminate());
        return this.options.url;
      },
      webSocketImpl: this.options.webSocketImpl,
      lazy: false,
      keepAlive: this.options.keepAlive,
      connectionAckWaitTimeout: this.options.connectTimeout,
      retryAttempts: Infinity,
      shouldRetry: (event) => !final.includes(closeCode(event)),
      retryWait: () => this.backoff.wait(),
      generateID: () => String(++this.operations),
      onNonLazyError: (event) => {
        if (this.client === client) void this.reopen(client, closeCode(event));
      },
      on: {
        opened: () => this.hanging.clear(),
        connected: () => {
          if (this.client !== client) return;
          this.backoff.opened();
          this.isUp = true;
          this.listener?.up();
        },
        ping: (received) => {
          if (received) return;
          this.pong.begin(this.options.pongTimeout, () => client.terminate());
        },
        // Whatever comes shows that somebody is there; a pong may be behind a thousand messages.
        message: () => this.pong.clear(),
        error: () => this.lost(client),
        closed: () => this.lost(client),
      },
    });
    this.client = client;
  }

  private stopWaiting(): void {
    this.pong.clear();
    this.hanging.clear();
  }

  private lost(client: Client): void {
    if (this.client !== client) return;
    this.stopWaiting();
    const counted = this.backoff.lost();
    if (!counted && !this.isUp) return;
    this.isUp = false;
    this.listener?.down();
  }

  private async reopen(old: Client, code: number): Promise<void> {
    this.lost(old);
    dispose(old);
    if (code !== 0) this.listener?.refused(code);
    await this.backoff.wait();
    // Not the same when it was stopped meanwhile, or asked twice.
    if (this.client === old) this.open();
  }
}
