import { afterEach, beforeEach, expect, it, vi } from 'vitest';

import { announce, announcement, resetAnnouncer } from './announcer';

beforeEach(() => vi.useFakeTimers());
afterEach(() => {
  resetAnnouncer();
  vi.useRealTimers();
});

it('says what happened within five seconds in one sentence', () => {
  for (const name of ['a', 'b', 'c', 'd', 'e']) announce(`metal-${name} deployed`);
  vi.advanceTimersByTime(4999);
  expect(announcement.get()).toBe('');
  vi.advanceTimersByTime(1);
  expect(announcement.get()).toBe('metal-a deployed. metal-b deployed. metal-c deployed. And 2 more changes.');
  vi.advanceTimersByTime(60_000);
  announce('metal-f failed');
  vi.advanceTimersByTime(5000);
  expect(announcement.get()).toBe('metal-f failed.');
});
