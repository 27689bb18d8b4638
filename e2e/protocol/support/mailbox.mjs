// What callbacks bring, for tests that read it in order.

/** Longest wait for anything, in milliseconds. The machine may be busy. */
export const patience = 120_000;

export class Mailbox {
  items = [];
  #waiting = [];

  put(item) {
    const next = this.#waiting.shift();
    if (next) next(item);
    else this.items.push(item);
  }

  /** The next item. */
  take(what = 'the next message') {
    if (this.items.length > 0) return Promise.resolve(this.items.shift());
    return withDeadline(what, new Promise((resolve) => this.#waiting.push(resolve)));
  }

  /** Takes items up to one that fits; gives all of them. */
  async until(what, fits) {
    const taken = [];
    for (;;) {
      const item = await this.take(what);
      taken.push(item);
      if (fits(item)) return taken;
    }
  }
}

/** A promise, or an error that says what never came. */
export async function withDeadline(what, promise, timeout = patience) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${timeout / 1000} s`)), timeout);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
