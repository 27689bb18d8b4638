import type { SimulatedServer } from './simulatedServer';

/** A subscription that is asked for. */
export interface Subscribe {
  id: string;
  operation: string;
  variables: Record<string, unknown>;
}

interface Frame {
  id?: string;
  type: string;
  payload?: { operationName?: string; variables?: Record<string, unknown> };
}

/** A websocket to the simulated server. Messages keep their order, take their time, and are lost with the connection. */
export class SimulatedSocket {
  static readonly CONNECTING = 0;
  static readonly OPEN = 1;
  static readonly CLOSING = 2;
  static readonly CLOSED = 3;

  readyState: number = SimulatedSocket.CONNECTING;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onerror: ((event: unknown) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  /** The page knows that it may subscribe. */
  acknowledged = false;
  /** Nothing arrives any more, in either direction, and nobody is told. */
  frozen = false;
  /** Messages on their way to the page. */
  inFlight = 0;
  /** When the page heard of it last, ms. */
  heardAt = Date.now();

  private readonly server: SimulatedServer;
  private freeAt = 0;
  private takenAt = 0;

  constructor(server: SimulatedServer) {
    this.server = server;
    server.sockets.push(this);
    this.later(() => this.connect());
  }

  get closed(): boolean {
    return this.readyState === SimulatedSocket.CLOSED;
  }

  // ---- the page's side ----

  send(data: string): void {
    const frame = JSON.parse(data) as Frame;
    this.later(() => this.receive(frame));
  }

  close(code = 1000, reason = ''): void {
    this.cut(code, reason);
  }

  // ---- the server's side ----

  /** Sends a message; it arrives after those before it. */
  say(message: unknown): void {
    this.inFlight += 1;
    const { random, weather } = this.server;
    this.freeAt = Math.max(this.freeAt, Date.now() + random.int(0, weather.latency));
    setTimeout(() => {
      this.inFlight -= 1;
      if (this.closed || this.frozen) return;
      this.heardAt = Date.now();
      if ((message as Frame).type === 'connection_ack') this.acknowledged = true;
      this.onmessage?.({ data: JSON.stringify(message) });
    }, this.freeAt - Date.now());
  }

  /** Ends it. What was on its way is lost. */
  cut(code: number, reason = ''): void {
    if (this.closed) return;
    const wasOpen = this.readyState === SimulatedSocket.OPEN;
    this.readyState = SimulatedSocket.CLOSED;
    this.server.gone(this);
    // A browser tells both of a connect that failed.
    if (!wasOpen) this.onerror?.({ type: 'error' });
    this.onclose?.({ code: wasOpen ? code : 1006, reason });
  }

  private connect(): void {
    const { reachable, hangs } = this.server.weather;
    if (this.closed || hangs) return;
    if (!reachable) {
      this.cut(1006);
      return;
    }
    this.readyState = SimulatedSocket.OPEN;
    this.heardAt = Date.now();
    this.onopen?.();
  }

  private receive(frame: Frame): void {
    if (this.closed || this.frozen) return;
    switch (frame.type) {
      case 'connection_init':
        if (this.server.weather.signedIn) this.say({ type: 'connection_ack' });
        else this.cut(4403, 'Forbidden');
        return;
      case 'ping':
        this.say({ type: 'pong' });
        return;
      case 'subscribe':
        this.server.subscribe(this, { id: frame.id ?? '', operation: frame.payload?.operationName ?? '', variables: frame.payload?.variables ?? {} });
        return;
      case 'complete':
        this.server.complete(this, frame.id ?? '');
        return;
      default:
    }
  }

  // What the page says keeps its order, too.
  private later(what: () => void): void {
    const { random, weather } = this.server;
    this.takenAt = Math.max(this.takenAt, Date.now() + random.int(0, weather.latency));
    setTimeout(what, this.takenAt - Date.now());
  }
}
