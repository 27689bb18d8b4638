import type { TimeMode } from '@/lib/format';

const day = 86_400_000;

/** Writes instants on an axis, as short as the length of a bucket allows. */
export function axisLabel(bucket: number, mode: TimeMode): (at: number) => string {
  const zone = mode === 'utc' ? { timeZone: 'UTC' } : {};
  const options: Intl.DateTimeFormatOptions = bucket < day / 8 ? { ...zone, hour: '2-digit', minute: '2-digit' } : { ...zone, day: 'numeric', month: 'short' };
  const format = new Intl.DateTimeFormat('en-GB', options);
  return (at) => format.format(at) + (mode === 'utc' && bucket < day / 8 ? 'Z' : '');
}

/**
 * Which of some buckets have a label below the axis: the first of each label, at most `most` of them, at even distances.
 * The first bucket of all may be the rest of a day; it has none when the next label is near.
 */
export function labelled(labels: readonly string[], most: number): number[] {
  const first = labels.flatMap((label, index) => (label === labels[index - 1] ? [] : [index]));
  const [rest, next, third] = first;
  if (rest !== undefined && next !== undefined && third !== undefined && next - rest < third - next) first.shift();
  const every = Math.max(1, Math.ceil(first.length / Math.max(1, most)));
  return first.filter((_, i) => i % every === 0);
}

/** A bucket by its beginning, in a table or a tooltip. */
export function bucketLabel(bucket: number, mode: TimeMode): (start: string) => string {
  const zone = mode === 'utc' ? { timeZone: 'UTC' } : {};
  const date = { ...zone, day: 'numeric', month: 'short' } as const;
  const format = new Intl.DateTimeFormat('en-GB', bucket < day ? { ...date, hour: '2-digit', minute: '2-digit' } : date);
  return (start) => `from ${format.format(Date.parse(start))}${mode === 'utc' ? ' UTC' : ''}`;
}
