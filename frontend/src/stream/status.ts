import { createStore, type Store } from '@/lib/store';

/**
 * How fresh the page is:
 * - `connecting`: nothing was shown yet
 * - `catching-up`: connected, what was missed is on its way
 * - `live`
 * - `stale`: connected, but the server cannot read its database; nothing new can come until it can
 * - `reconnecting`: the connection was lost, the next connect is known
 * - `polling`: several connects failed; the same data comes by queries, and connects go on
 * - `offline`: queries fail as well
 */
export type StreamMode = 'connecting' | 'catching-up' | 'live' | 'stale' | 'reconnecting' | 'polling' | 'offline';

export interface StreamStatus {
  mode: StreamMode;
  /** When the next connect begins, by the local clock in ms; null when one is under way or none is needed. */
  nextAttemptAt: number | null;
  /**
   * The server's time of the newest message or poll that was applied; null before the first. While the mode
   * is `stale` it is the time up to which the server knows everything.
   */
  asOf: string | null;
}

/** The state of the stream for the pill; fed by the stream module alone. */
export function createStreamStatus(): Store<StreamStatus> {
  return createStore<StreamStatus>({ mode: 'connecting', nextAttemptAt: null, asOf: null });
}

/** Whether what is on the screen may be behind and should say so. */
export function isBehind(mode: StreamMode): boolean {
  return mode === 'reconnecting' || mode === 'offline' || mode === 'stale';
}
