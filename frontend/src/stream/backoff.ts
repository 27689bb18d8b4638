/** Tuning of the pauses between connects. All in milliseconds. */
export interface BackoffOptions {
  /** The first pause; doubled with each failure. */
  base: number;
  /** No pause is longer. */
  cap: number;
  /** A connection that lasted this long was a good one and clears the count. */
  stable: number;
  /** From 0 up to 1; spreads the return of many pages after a restart. */
  random: () => number;
}

const defaults: BackoffOptions = { base: 1000, cap: 30_000, stable: 5000, random: Math.random };

/**
 * When to connect next. A connection that opened and was closed again soon
 * counts as a failure like one that never opened: otherwise a server that
 * accepts and then refuses would be asked thousands of times a second.
 */
export class Backoff {
  private readonly options: BackoffOptions;
  private count = 0;
  private attempting = false;
  private openedAt: number | null = null;
  private notBefore: number | null = null;
  private wake: (() => void) | null = null;

  constructor(options: Partial<BackoffOptions> = {}) {
    this.options = { ...defaults, ...options };
  }

  /** Failed connects in a row, connections that did not last included. */
  get failures(): number {
    return this.count;
  }

  /** When the next connect may begin, by the local clock; null when it may now. */
  get nextAttemptAt(): number | null {
    return this.notBefore;
  }

  /** A connect begins. */
  begin(): void {
    this.attempting = true;
    this.openedAt = null;
    this.notBefore = null;
  }

  /** The connect succeeded. */
  opened(now: number = Date.now()): void {
    this.openedAt = now;
  }

  /**
   * The connect failed or the connection was lost. Browsers report both an
   * error and a close for one loss: only the first counts. Says whether it did.
   */
  lost(now: number = Date.now()): boolean {
    if (!this.attempting) return false;
    this.attempting = false;
    if (this.openedAt !== null && now - this.openedAt >= this.options.stable) this.count = 0;
    this.openedAt = null;
    this.count += 1;
    const full = Math.min(this.options.cap, this.options.base * 2 ** Math.min(this.count - 1, 30));
    this.notBefore = now + full * (0.5 + 0.5 * this.options.random());
    return true;
  }

  /** Resolves when the next connect may begin, or at once after hurry(). */
  async wait(now: number = Date.now()): Promise<void> {
    const pause = (this.notBefore ?? now) - now;
    if (pause <= 0) return;
    await new Promise<void>((resolve) => {
      const finish = (): void => {
        clearTimeout(timer);
        this.wake = null;
        this.notBefore = null;
        resolve();
      };
      const timer = setTimeout(finish, pause);
      this.wake = finish;
    });
  }

  /** Ends a pause: the network is back, or a person asked. */
  hurry(): void {
    this.wake?.();
  }
}
