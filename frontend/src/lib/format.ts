/** How instants are shown. */
export type TimeMode = 'utc' | 'local' | 'relative';

const two = (n: number): string => String(n).padStart(2, '0');

/**
 * A length of time for people: "850 ms", "42 s", "3 min 05 s", "2 h 04 min",
 * "3 d 2 h". A dash when there is none; never negative.
 */
export function formatDuration(ms: number | null | undefined): string {
  if (ms == null || !Number.isFinite(ms)) return '–';
  const value = Math.max(0, ms);
  if (value > 0 && value < 1000) return `${Math.round(value)} ms`;
  const seconds = Math.floor(value / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${two(seconds % 60)} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${two(minutes % 60)} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** The same with one unit, for estimates and axes: "42 s", "3 min", "2 h". */
export function formatRough(ms: number): string {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.round(seconds / 360) / 10} h`;
  return `${Math.round(seconds / 86_400)} d`;
}

/** How long ago, or how soon. */
export function formatRelative(at: number, now: number): string {
  const difference = now - at;
  if (Math.abs(difference) < 1500) return 'just now';
  return difference >= 0 ? `${formatRough(difference)} ago` : `in ${formatRough(-difference)}`;
}

function clock(date: Date, utc: boolean): string {
  return utc
    ? `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())}`
    : `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

function day(date: Date, utc: boolean): string {
  return utc
    ? `${date.getUTCFullYear()}-${two(date.getUTCMonth() + 1)}-${two(date.getUTCDate())}`
    : `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

/**
 * An instant in the chosen mode. The day is left out when it is today's, so
 * that a column of times stays narrow; UTC says so with a Z.
 */
export function formatInstant(iso: string, mode: TimeMode, now: number): string {
  const at = Date.parse(iso);
  if (!Number.isFinite(at)) return '–';
  if (mode === 'relative') return formatRelative(at, now);
  const utc = mode === 'utc';
  const date = new Date(at);
  const time = clock(date, utc) + (utc ? 'Z' : '');
  const today = day(date, utc) === day(new Date(now), utc);
  return today ? time : `${day(date, utc)} ${time}`;
}

/** Both clocks, whole, for a tooltip and for assistive technology. */
export function formatFull(iso: string): string {
  const at = Date.parse(iso);
  if (!Number.isFinite(at)) return 'unknown time';
  const date = new Date(at);
  return `${day(date, true)} ${clock(date, true)} UTC · ${day(date, false)} ${clock(date, false)} local`;
}

/** A fraction as whole percent; 100 only when it is really complete. */
export function formatPercent(fraction: number): string {
  if (!Number.isFinite(fraction)) return '–';
  const percent = Math.min(100, Math.max(0, fraction * 100));
  return `${percent >= 100 ? 100 : Math.min(99, Math.floor(percent + 1e-9))} %`;
}

/** "1 node", "3 nodes". */
export function plural(n: number, one: string, many = `${one}s`): string {
  return `${n.toLocaleString('en')} ${n === 1 ? one : many}`;
}
