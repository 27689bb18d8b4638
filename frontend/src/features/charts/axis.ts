import type { TimeMode } from '@/lib/format';

const day = 86_400_000;

/** Writes instants on an axis, as short as the length of a bucket allows. */
export function axisLabel(bucket: number, mode: TimeMode): (at: number) => string {
  const zone = mode === 'utc' ? { timeZone: 'UTC' } : {};
  const options: Intl.DateTimeFormatOptions = bucket < day / 8 ? { ...zone, hour: '2-digit', minute: '2-digit' } : { ...zone, day: 'numeric', month: 'short' };
  const format = new Intl.DateTimeFormat('en-GB', options);
  return (at) => format.format(at) + (mode === 'utc' && bucket < day / 8 ? 'Z' : '');
}

/** A bucket by its beginning, in a table or a tooltip. */
export function bucketLabel(bucket: number, mode: TimeMode): (start: string) => string {
  const zone = mode === 'utc' ? { timeZone: 'UTC' } : {};
  const date = { ...zone, day: 'numeric', month: 'short' } as const;
  const format = new Intl.DateTimeFormat('en-GB', bucket < day ? { ...date, hour: '2-digit', minute: '2-digit' } : date);
  return (start) => `from ${format.format(Date.parse(start))}${mode === 'utc' ? ' UTC' : ''}`;
}
