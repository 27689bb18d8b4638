import { describe, expect, it } from 'vitest';

import { at, bar, t0 } from '@/test/fixtures';
import { heldSpan, layout, moveFocus, position, ticksOf, type Row } from './geometry';

const known = [
  { key: 'pending', label: 'Queued' },
  { key: 'ipxe_boot', label: 'Network boot' },
  { key: 'image_download', label: 'Image download' },
];
const boot = { phase: 'IPXE_BOOT', phaseKey: 'ipxe_boot', label: 'Network boot', ordinal: 2 } as const;
const only = (rows: Row[], key: string) => {
  const found = rows.find(({ phaseKey }) => phaseKey === key);
  if (!found) throw new Error(`no row ${key}`);
  return found;
};

describe('the layout of a deployment', () => {
  it('has a row for every known phase, visited or not', () => {
    const { rows } = layout([bar()], known, t0, t0 + 20_000, 6);
    expect(rows.map(({ label }) => label)).toEqual(['Queued', 'Network boot', 'Image download']);
    expect(only(rows, 'image_download').lanes).toEqual([]);
  });

  it('cuts a bar into waiting and running, and lets an open one grow to now', () => {
    const open = bar({ ...boot, key: '2', status: 'IN_PROGRESS', enteredAt: at(10), startedAt: at(14), finishedAt: null });
    const { rows } = layout([bar(), open], known, t0, t0 + 30_000, 6);
    const [drawn] = only(rows, 'ipxe_boot').lanes[0]?.bars ?? [];
    expect(drawn?.waiting).toEqual({ from: t0 + 10_000, to: t0 + 14_000 });
    expect(drawn?.running).toEqual({ from: t0 + 14_000, to: t0 + 30_000 });
    expect(drawn?.open).toBe(true);
  });

  it('shows an unreported phase as waiting only', () => {
    const waiting = bar({ ...boot, key: '2', status: 'WAITING', enteredAt: at(10), startedAt: null, finishedAt: null });
    const { rows } = layout([waiting], known, t0, t0 + 25_000, 6);
    const [drawn] = only(rows, 'ipxe_boot').lanes[0]?.bars ?? [];
    expect(drawn?.waiting).toEqual({ from: t0 + 10_000, to: t0 + 25_000 });
    expect(drawn?.running).toBeNull();
  });

  it('gives each attempt its own lane', () => {
    const first = bar({ ...boot, key: '2', status: 'FAILED', attempt: 1, enteredAt: at(10), finishedAt: at(20) });
    const second = bar({ ...boot, key: '3', attempt: 2, enteredAt: at(30), finishedAt: at(40) });
    const { rows } = layout([second, first], known, t0, t0 + 50_000, 6);
    expect(only(rows, 'ipxe_boot').lanes.map(({ attempt }) => attempt)).toEqual([1, 2]);
  });

  it('keeps a step that the catalogue does not name', () => {
    const step = bar({ key: '9', phase: 'CUSTOM', phaseKey: 'firmware_update', label: 'firmware_update' });
    const { rows } = layout([bar(), step], known, t0, t0 + 50_000, 6);
    expect(rows.at(-1)?.phaseKey).toBe('firmware_update');
  });

  it('has a ghost of the typical length and a deadline only while open', () => {
    const run = { ...boot, key: '2', enteredAt: at(10), startedAt: at(10), typicalDuration: 60_000, deadlineAt: at(900) };
    const openBar = layout([bar({ ...run, status: 'IN_PROGRESS', finishedAt: null })], known, t0, t0 + 20_000, 6);
    expect(only(openBar.rows, 'ipxe_boot').lanes[0]?.bars[0]).toMatchObject({
      typical: { from: t0 + 10_000, to: t0 + 70_000 },
      deadline: t0 + 900_000,
    });
    const ended = layout([bar({ ...run, finishedAt: at(20) })], known, t0, t0 + 20_000, 6);
    expect(only(ended.rows, 'ipxe_boot').lanes[0]?.bars[0]?.deadline).toBeNull();
  });

  it('never draws a bar backwards, whatever the clocks say', () => {
    const ahead = bar({ ...boot, key: '2', status: 'IN_PROGRESS', enteredAt: at(10), startedAt: at(30), finishedAt: null });
    const [drawn] = only(layout([ahead], known, t0, t0 + 20_000, 6).rows, 'ipxe_boot').lanes[0]?.bars ?? [];
    expect(drawn?.running).toEqual({ from: t0 + 30_000, to: t0 + 30_000 });
  });

  it('holds the axis still while time goes on', () => {
    const run = bar({ ...boot, key: '2', status: 'IN_PROGRESS', finishedAt: null });
    const at1 = layout([run], known, t0, t0 + 130_000, 6).domain;
    const at2 = layout([run], known, t0, t0 + 250_000, 6).domain;
    expect(at1).toEqual(at2);
    expect(layout([run], known, t0, t0 + 300_000, 6).domain.to).toBeGreaterThan(at2.to);
  });

  it('ends with its last bar when everything is over', () => {
    const { domain } = layout([bar()], known, t0, t0 + 9_000_000, 6);
    expect(domain.to - domain.from).toBeCloseTo(10_200);
  });
});

describe('the axis', () => {
  it('is held in steps and always longer than the time that has passed', () => {
    for (const elapsed of [0, 500, 59_000, 61_000, 3_599_000, 100 * 3_600_000]) {
      expect(heldSpan(elapsed)).toBeGreaterThan(elapsed);
    }
  });

  it('has round ticks, few enough for its width', () => {
    expect(ticksOf({ from: t0, to: t0 + 300_000 }, 6).map(({ label }) => label)).toEqual(['0', '1 min', '2 min', '3 min', '4 min', '5 min']);
    expect(ticksOf({ from: t0, to: t0 + 20_000 }, 5).map(({ label }) => label)).toEqual(['0', '5 s', '10 s', '15 s', '20 s']);
    expect(ticksOf({ from: t0, to: t0 + 90_000_000 }, 5).length).toBeLessThanOrEqual(6);
  });

  it('puts instants in their place and cuts at its ends', () => {
    const domain = { from: t0, to: t0 + 1000 };
    expect(position(t0 + 250, domain, 200)).toBe(50);
    expect(position(t0 - 5, domain, 200)).toBe(0);
    expect(position(t0 + 5000, domain, 200)).toBe(200);
  });
});

describe('moving between bars', () => {
  const { rows } = layout(
    [
      bar({ key: 'a' }),
      bar({ ...boot, key: 'b', attempt: 1, enteredAt: at(10) }),
      bar({ ...boot, key: 'c', attempt: 2, enteredAt: at(30) }),
      bar({ key: 'd', phase: 'IMAGE_DOWNLOAD', phaseKey: 'image_download', attempt: 2, enteredAt: at(40) }),
    ],
    known,
    t0,
    t0 + 50_000,
    6,
  );

  it('goes through time and stops at the ends', () => {
    expect(moveFocus(rows, null, 'next')).toBe('a');
    expect(moveFocus(rows, 'a', 'next')).toBe('b');
    expect(moveFocus(rows, 'd', 'next')).toBe('d');
    expect(moveFocus(rows, 'a', 'previous')).toBe('a');
    expect(moveFocus(rows, 'b', 'last')).toBe('d');
    expect(moveFocus(rows, 'd', 'first')).toBe('a');
  });

  it('goes up and down by phase, within its attempt where it can', () => {
    expect(moveFocus(rows, 'd', 'up')).toBe('c');
    expect(moveFocus(rows, 'a', 'down')).toBe('b');
    expect(moveFocus(rows, 'a', 'up')).toBe('a');
  });
});
