import { act, render, screen } from '@testing-library/react';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { resetServerClock } from '@/lib/clock';
import { timeMode } from '@/lib/preferences';
import { createStore } from '@/lib/store';
import type { Stream, StreamStatus } from '@/stream';
import { FreshnessPill } from './FreshnessPill';
import { StreamProvider } from './services';

const status = createStore<StreamStatus>({ mode: 'connecting', nextAttemptAt: null, asOf: null });
const hurry = vi.fn();

beforeEach(() => {
  vi.useFakeTimers({ now: Date.parse('2026-11-22T10:00:00Z') });
  resetServerClock();
  timeMode.set('utc');
  status.set({ mode: 'connecting', nextAttemptAt: null, asOf: null });
});
afterEach(() => vi.useRealTimers());

const show = () =>
  render(
    <StreamProvider value={{ status, hurry } as unknown as Stream}>
      <FreshnessPill />
    </StreamProvider>,
  );

describe('the pill', () => {
  it('says that there is nothing yet, then how old the newest data is', () => {
    show();
    expect(screen.getByText('Connecting')).toBeInTheDocument();
    expect(screen.getByText('no data yet')).toBeInTheDocument();
    act(() => status.set({ mode: 'live', nextAttemptAt: null, asOf: '2026-11-22T09:59:58Z' }));
    expect(screen.getByText('Live')).toBeInTheDocument();
    expect(screen.getByText('as of 09:59:58Z')).toBeInTheDocument();
    expect(screen.queryByRole('button')).toBeNull();
  });

  it('counts down to the next connect, and connects at once on a click', () => {
    show();
    act(() => status.set({ mode: 'reconnecting', nextAttemptAt: Date.now() + 4000, asOf: null }));
    expect(screen.getByText('Reconnecting in 4 s')).toBeInTheDocument();
    act(() => void vi.advanceTimersByTime(1000));
    expect(screen.getByText('Reconnecting in 3 s')).toBeInTheDocument();
    screen.getByRole('button').click();
    expect(hurry).toHaveBeenCalledTimes(1);
    act(() => void vi.advanceTimersByTime(3000));
    expect(screen.getByText('Reconnecting · trying now')).toBeInTheDocument();
  });

  it('says since when the server knows nothing', () => {
    show();
    act(() => status.set({ mode: 'stale', nextAttemptAt: null, asOf: '2026-11-22T09:58:00Z' }));
    expect(screen.getByText('Stale')).toBeInTheDocument();
    expect(screen.getByText('as of 09:58:00Z')).toBeInTheDocument();
    expect(screen.getByTitle(/cannot read its database/)).toBeInTheDocument();
    expect(screen.queryByRole('button')).toBeNull();
  });

  it.each([
    ['polling', 'Polling · next try in 9 s'],
    ['offline', 'Offline · next try in 9 s'],
  ] as const)('has a word for %s', (mode, text) => {
    show();
    act(() => status.set({ mode, nextAttemptAt: Date.now() + 9000, asOf: null }));
    expect(screen.getByText(text)).toBeInTheDocument();
  });
});
