interface Frame {
  id?: string;
  type: string;
  payload?: { variables?: Record<string, unknown>; query?: string; operationName?: string };
}

/** A websocket whose server side is played by the test. */
export class FakeSocket {
  static readonly CONNECTING = 0;
  static readonly OPEN = 1;
  static readonly CLOSING = 2;
  static readonly CLOSED = 3;
  static all: FakeSocket[] = [];

  /** The newest socket that was asked for. */
  static get last(): FakeSocket {
    const socket = FakeSocket.all.at(-1);
    if (!socket) throw new Error('no socket was asked for');
    return socket;
  }

  readyState: number = FakeSocket.CONNECTING;
  readonly sent: Frame[] = [];
  /** Whether the server side answers pings. */
  answersPings = true;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onerror: ((event: unknown) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  readonly url: string;

  constructor(url: string) {
    this.url = url;
    FakeSocket.all.push(this);
  }

  send(data: string): void {
    const frame = JSON.parse(data) as Frame;
    this.sent.push(frame);
    // Answers never arrive before send() has returned, as in life.
    if (frame.type === 'connection_init') queueMicrotask(() => this.receive({ type: 'connection_ack' }));
    if (frame.type === 'ping' && this.answersPings) queueMicrotask(() => this.receive({ type: 'pong' }));
  }

  close(code = 1000, reason = ''): void {
    this.closeFromServer(code, reason);
  }

  // ---- the server's side ----

  /** Accepts the upgrade; the hello of the protocol follows by itself. */
  accept(): void {
    this.readyState = FakeSocket.OPEN;
    this.onopen?.();
  }

  /** Nobody listens, or the upgrade is refused: all a browser tells is an error and 1006. */
  refuse(): void {
    this.readyState = FakeSocket.CLOSED;
    this.onerror?.({ type: 'error' });
    this.onclose?.({ code: 1006, reason: '' });
  }

  closeFromServer(code = 1006, reason = ''): void {
    if (this.readyState === FakeSocket.CLOSED) return;
    this.readyState = FakeSocket.CLOSED;
    this.onclose?.({ code, reason });
  }

  receive(message: unknown): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }

  /** The subscriptions asked for on this socket whose document holds the field. */
  subscriptions(field: string): Frame[] {
    return this.sent.filter((frame) => frame.type === 'subscribe' && frame.payload?.query?.includes(`${field}(`));
  }

  /** Sends a message of the newest subscription of a field. */
  next(field: string, message: unknown): void {
    const subscription = this.subscriptions(field).at(-1);
    if (!subscription) throw new Error(`nobody subscribed to ${field}`);
    this.receive({ id: subscription.id, type: 'next', payload: { data: { [field]: message } } });
  }
}
