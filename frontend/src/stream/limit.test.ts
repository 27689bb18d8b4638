import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { Limit } from './limit';

describe('a limit', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('runs out once, on time', () => {
    const over = vi.fn();
    new Limit().begin(5000, over);
    vi.advanceTimersByTime(4999);
    expect(over).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(over).toHaveBeenCalledOnce();
    vi.advanceTimersByTime(60_000);
    expect(over).toHaveBeenCalledOnce();
  });

  it('does not run out once it is cleared, or begun anew', () => {
    const first = vi.fn();
    const second = vi.fn();
    const limit = new Limit();
    limit.begin(5000, first);
    vi.advanceTimersByTime(3000);
    limit.begin(5000, second);
    vi.advanceTimersByTime(3000);
    limit.clear();
    vi.advanceTimersByTime(60_000);
    expect(first).not.toHaveBeenCalled();
    expect(second).not.toHaveBeenCalled();
  });

  it('lets a page that was held up look first at what has come meanwhile', () => {
    const over = vi.fn();
    const limit = new Limit();
    limit.begin(5000, over);
    // The clock goes on while no timer runs.
    vi.setSystemTime(Date.now() + 20_000);
    vi.advanceTimersByTime(5000);
    expect(over).not.toHaveBeenCalled();
    // What it waited for is the next thing that the page sees.
    limit.clear();
    vi.advanceTimersByTime(60_000);
    expect(over).not.toHaveBeenCalled();
  });

  it('runs out after that, if nothing has come', () => {
    const over = vi.fn();
    new Limit().begin(5000, over);
    vi.setSystemTime(Date.now() + 20_000);
    vi.advanceTimersByTime(5000);
    expect(over).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1000);
    expect(over).toHaveBeenCalledOnce();
  });
});
