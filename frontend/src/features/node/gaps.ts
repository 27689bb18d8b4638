// What a page holds of a deployment's events may have gaps; this finds and closes them.

/** What of an event says where it stands. */
interface Placed {
  /** 1, 2, 3 … within its deployment, without gaps at the server. */
  sequence: number;
  cursor: string;
}

/**
 * The place before which events are missing, of the newest gap; null when there
 * is none. What is older than the oldest event is no gap: it is asked for by hand.
 */
export function gapOf(events: readonly Placed[]): string | null {
  const after = events.findLast(({ sequence }, i) => i > 0 && sequence > (events[i - 1]?.sequence ?? 0) + 1);
  return after?.cursor ?? null;
}

/** How many events are missing just before this one. */
export function missingBefore(events: readonly Placed[], index: number): number {
  const [before, event] = [events[index - 1], events[index]];
  return before === undefined || event === undefined ? 0 : event.sequence - before.sequence - 1;
}

const firstPause = 1000;
const longestPause = 30_000;

/** Reads until it succeeds or nobody wants to know any more; the pauses grow. */
export async function insist(read: () => Promise<unknown>, signal: AbortSignal): Promise<void> {
  for (let pause = firstPause; !signal.aborted; pause = Math.min(longestPause, 2 * pause)) {
    try {
      await read();
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }
}
