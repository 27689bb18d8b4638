/**
 * Collects work and does it all at once: with the next frame, or after 100 ms
 * where there are no frames (a page in the background gets none).
 */
export class Batcher<T> {
  private queue: T[] = [];
  private frame: number | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly apply: (items: readonly T[]) => void;

  constructor(apply: (items: readonly T[]) => void) {
    this.apply = apply;
  }

  push(item: T): void {
    this.queue.push(item);
    if (this.timer !== undefined) return;
    this.timer = setTimeout(() => this.flush(), 100);
    if (typeof requestAnimationFrame === 'function') this.frame = requestAnimationFrame(() => this.flush());
  }

  /** Does what is queued now, for when the order matters (before a resume). */
  flush(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (this.frame !== undefined) cancelAnimationFrame(this.frame);
    this.frame = undefined;
    const items = this.queue;
    if (items.length === 0) return;
    this.queue = [];
    this.apply(items);
  }

  /** Forgets what is queued. */
  clear(): void {
    this.queue = [];
    this.flush();
  }
}
