import { describe, expect, it } from 'vitest';

import { formatDuration, formatFull, formatInstant, formatPercent, formatRelative, formatRough, plural } from './format';

describe('lengths of time', () => {
  it.each([
    [null, '–'],
    [Number.NaN, '–'],
    [-5, '0 s'],
    [0, '0 s'],
    [850, '850 ms'],
    [1000, '1 s'],
    [59_999, '59 s'],
    [185_000, '3 min 05 s'],
    [3_600_000, '1 h 00 min'],
    [7_440_000, '2 h 04 min'],
    [266_400_000, '3 d 2 h'],
  ])('%s is %s', (ms, text) => expect(formatDuration(ms)).toBe(text));

  it.each([
    [42_000, '42 s'],
    [180_000, '3 min'],
    [5_400_000, '1.5 h'],
    [259_200_000, '3 d'],
  ])('%s is roughly %s', (ms, text) => expect(formatRough(ms)).toBe(text));
});

describe('instants', () => {
  const now = Date.parse('2026-11-22T10:00:00Z');

  it('are relative to the server, in both directions', () => {
    expect(formatRelative(now - 500, now)).toBe('just now');
    expect(formatRelative(now - 42_000, now)).toBe('42 s ago');
    expect(formatRelative(now + 600_000, now)).toBe('in 10 min');
  });

  it('say UTC when they are, and the day only when it is another', () => {
    expect(formatInstant('2026-11-22T08:40:05.770099Z', 'utc', now)).toBe('08:40:05Z');
    expect(formatInstant('2026-11-22T10:40:05+02:00', 'utc', now)).toBe('08:40:05Z');
    expect(formatInstant('2026-11-20T08:40:05Z', 'utc', now)).toBe('2026-11-20 08:40:05Z');
    expect(formatInstant('nonsense', 'utc', now)).toBe('–');
    expect(formatFull('2026-11-22T08:40:05Z')).toContain('2026-11-22 08:40:05 UTC');
  });
});

describe('numbers', () => {
  it('never say 100 % before it is so', () => {
    expect(formatPercent(0.999)).toBe('99 %');
    expect(formatPercent(1)).toBe('100 %');
    expect(formatPercent(0)).toBe('0 %');
    expect(formatPercent(0.29)).toBe('29 %');
  });

  it('agree with their noun', () => {
    expect(plural(1, 'node')).toBe('1 node');
    expect(plural(1200, 'node')).toBe('1,200 nodes');
  });
});
