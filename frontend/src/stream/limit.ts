/** By this much a timer may come late without the page having been held up, in ms. */
const late = 250;
/** What came while the page was held up is looked at within this time, in ms. */
const grace = 1000;

/**
 * How long something of others may take. It does not run out over what has come
 * already: a page that was busy or asleep meanwhile has its timers and its
 * messages at once, in any order.
 */
export class Limit {
  private timer: ReturnType<typeof setTimeout> | undefined;

  /** Begins anew: over is called after so many ms, unless it is cleared. */
  begin(ms: number, over: () => void): void {
    this.clear();
    const due = Date.now() + ms;
    this.timer = setTimeout(() => {
      if (Date.now() - due > late) this.begin(grace, over);
      else over();
    }, ms);
  }

  clear(): void {
    clearTimeout(this.timer);
  }
}
