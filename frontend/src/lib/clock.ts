import { useSyncExternalStore } from 'react';

/**
 * The server's clock, as well as this page knows it. Elapsed times and the
 * now-line use it, because a desk's clock may be minutes off. The offset is the
 * largest seen of (server time in a message − time of its arrival): transport
 * only ever makes that difference smaller.
 */
let offsetMs: number | null = null;

/** Learns from the time stamp of a message that has just arrived. */
export function observeServerTime(at: string, now: number = Date.now()): void {
  const difference = Date.parse(at) - now;
  if (!Number.isFinite(difference)) return;
  // A jump of more than ten seconds is a changed clock, not transport.
  if (offsetMs === null || difference > offsetMs || offsetMs - difference > 10_000) offsetMs = difference;
}

/** Milliseconds since the epoch by the server's clock. */
export function serverNow(now: number = Date.now()): number {
  return now + (offsetMs ?? 0);
}

/** Forgets what was learnt. For tests. */
export function resetServerClock(): void {
  offsetMs = null;
}

let tick: number | null = null;
const listeners = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  if (timer === undefined) {
    tick = serverNow();
    timer = setInterval(() => {
      tick = serverNow();
      for (const each of [...listeners]) each();
    }, 1000);
  }
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
  };
}

// Stable between ticks, as React demands of a snapshot.
const current = (): number => (tick ??= serverNow());

const never = (): (() => void) => () => undefined;

/** The server's time, once a second while `running`; all users share one timer. */
export function useNow(running = true): number {
  return useSyncExternalStore(running ? subscribe : never, current);
}
