// Waiting for something outside of this process: it is looked at again and
// again until it is so, or a deadline has passed.
import { setTimeout as pause } from 'node:timers/promises';

/** How often slower than it is the processor of the pages is made, to see what holds on a busy machine. */
export const slowness = Math.max(1, Number(process.env.SLIPWAY_BROWSER_SLOW || 1));

/** Longest wait for what takes a moment, in ms: the machine may be busy with other things. */
export const patience = 60_000 * Math.max(1, slowness / 2);

/** Longest wait for the end of something that goes on for a while, in ms. */
export const muchPatience = 5 * patience;

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
export async function eventually(what, probe, { timeout = patience, every = 100 } = {}) {
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
