// Waiting for something outside of this process: it is looked at again and
// again until it is so, or a deadline has passed.
import { setTimeout as pause } from 'node:timers/promises';

/**
 * Calls probe until it neither throws nor rejects; gives what it returned.
 * After the deadline the last error is thrown, with what was waited for.
 *
 * @template T
 * @param {string} what what is waited for, for the error
 * @param {() => T | Promise<T>} probe
 * @param {{ timeout?: number, every?: number }} [options] in milliseconds
 * @returns {Promise<T>}
 */
export async function eventually(what, probe, { timeout = 60_000, every = 100 } = {}) {
  const deadline = Date.now() + timeout;
  for (;;) {
    try {
      return await probe();
    } catch (error) {
      if (error instanceof GivenUp) throw error.cause;
      if (Date.now() > deadline) throw new Error(`${what}: not within ${timeout / 1000} s: ${error.message}`, { cause: error });
    }
    await pause(every);
  }
}

class GivenUp extends Error {}

/** Thrown out of a probe: waiting longer is of no use. */
export function giveUp(error) {
  return new GivenUp(error.message, { cause: error });
}
