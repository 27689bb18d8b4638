import { ApolloProvider } from '@apollo/client/react';
import { act, render, screen, waitFor, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { afterEach, expect, it, vi } from 'vitest';

import { StreamProvider } from '@/app/services';
import { labelled } from './axis';
import { createStore } from '@/lib/store';
import type { Stream } from '@/stream';
import { Fleet } from '@/stream/fleet';
import { at, card, row } from '@/test/fixtures';
import { playServer } from '@/test/server';
import { UiProvider } from '@/ui';
import { handoffInsights } from './handoff';
import { Insights } from './InsightsPage';
import { parseInsightsSearch, type InsightsSearch } from './search';
import { endsOf, onlyOf, rangeOf, rateOf, runsOf, ticksOf, type DurationBucket } from './series';

// Charts are drawn; a busy machine needs some seconds for that.
vi.setConfig({ testTimeout: 60_000 });
afterEach(() => vi.useRealTimers());

const bucket = (start: string, count: number, p50: number | null, p95: number | null): DurationBucket => ({ __typename: 'DurationBucket', start, count, p50, p95 }) as DurationBucket;
const durations = [bucket('2026-11-20T00:00:00Z', 0, null, null), bucket('2026-11-20T06:00:00Z', 2, 60_000, 120_000), bucket('2026-11-20T12:00:00Z', 0, null, null), bucket('2026-11-20T18:00:00Z', 1, 90_000, 90_000)];
const series = [
  { __typename: 'SuccessSeries', provider: 'IBM_VPC', serverProfile: 'bx2d', buckets: [{ __typename: 'SuccessBucket', start: '2026-11-20T06:00:00Z', succeeded: 3, failed: 1, canceled: 2 }] },
  { __typename: 'SuccessSeries', provider: 'RACK', serverProfile: '', buckets: [{ __typename: 'SuccessBucket', start: '2026-11-20T06:00:00Z', succeeded: 0, failed: 0, canceled: 1 }] },
];

function show(search: InsightsSearch, durationSeries: unknown = durations, successSeries: unknown = series) {
  const world = playServer(({ operationName }) =>
    operationName === 'DurationSeries'
      ? durationSeries === null
        ? { errors: [{ message: 'more than 100000 runs ended in this time', extensions: { code: 'OUT_OF_RANGE', requestId: 'r9' } }] }
        : { data: { durationSeries } }
      : { data: { successSeries } },
  );
  const fleet = new Fleet();
  fleet.endSnapshot();
  fleet.commit();
  const stream = { status: createStore({ mode: 'live', nextAttemptAt: null, asOf: at(0) }), fleet } as unknown as Stream;
  const change = vi.fn();
  render(
    <UiProvider>
      <ApolloProvider client={world.client}>
        <StreamProvider value={stream}>
          <Insights search={search} change={change} />
        </StreamProvider>
      </ApolloProvider>
    </UiProvider>,
  );
  /** The stream brings a row. */
  const told = (over: object): void => {
    fleet.put([row('node_1', over)]);
    act(() => fleet.commit());
  };
  return { ...world, change, told, user: userEvent.setup() };
}

it('asks for whole buckets that hold now, and for the same a moment later', () => {
  const now = Date.parse('2026-11-22T18:10:00Z');
  expect(rangeOf({}, now)).toEqual({ from: '2026-11-16T00:00:00.000Z', to: '2026-11-23T00:00:00.000Z', bucket: 6 * 3_600_000 });
  expect(rangeOf({}, now + 60_000)).toEqual(rangeOf({}, now));
  for (const span of ['24h', '30d', '90d'] as const) {
    const { from, to, bucket: each } = rangeOf({ span }, now);
    expect((Date.parse(to) - Date.parse(from)) % each).toBe(0);
    expect((Date.parse(to) - Date.parse(from)) / each).toBeLessThanOrEqual(400);
    expect(Date.parse(to)).toBeGreaterThan(now);
    expect(Date.parse(to) - now).toBeLessThanOrEqual(each);
  }
});

it('draws no line over a time in which nothing ended', () => {
  expect(runsOf(durations).map((run) => run.map(({ index }) => index))).toEqual([[1], [3]]);
  expect(runsOf([durations[1], durations[3]] as DurationBucket[])).toHaveLength(1);
});

it('knows a first day, whose numbers are written beside its marks', () => {
  expect(onlyOf(runsOf(durations))).toBeNull();
  expect(onlyOf(runsOf(durations.slice(0, 3)))).toEqual({ index: 1, p50: 60_000, p95: 120_000 });
  expect(onlyOf(runsOf([durations[1], durations[3]] as DurationBucket[]))).toBeNull();
});

it('has round ticks beyond the longest', () => {
  for (const longest of [0, 80, 42_000, 9e6, 9e9]) {
    const ticks = ticksOf(longest, 5);
    expect(ticks.at(-1)).toBeGreaterThanOrEqual(longest);
    expect(ticks.length).toBeLessThanOrEqual(6);
  }
});

it('does not hold a cancellation against the rate', () => {
  expect(rateOf(endsOf({ buckets: [{ start: '', succeeded: 3, failed: 1, canceled: 9 }] as never }))).toBe(0.75);
  expect(rateOf({ succeeded: 0, failed: 0, canceled: 1 })).toBeNull();
});

it('reads its URL', () => {
  expect(parseInsightsSearch({ span: '30d', provider: 'RACK', profile: 'bx2d', phase: 'image_download', x: 1 })).toEqual({ span: '30d', provider: 'RACK', profile: 'bx2d', phase: 'image_download' });
  expect(parseInsightsSearch({ span: '7d', provider: 'X', profile: '', phase: 'DROP TABLE' })).toEqual({});
});

it('writes each day below the axis once, where it begins', () => {
  const quarters = (...days: string[]): string[] => days.flatMap((day) => [day, day, day, day]);
  expect(labelled(quarters('16', '17', '18'), 10)).toEqual([0, 4, 8]);
  // The rest of a day that has begun before says nothing.
  expect(labelled(['15', ...quarters('16', '17', '18')], 10)).toEqual([1, 5, 9]);
  expect(labelled(quarters('1', '2', '3', '4', '5', '6'), 3)).toEqual([0, 8, 16]);
  expect(labelled(['one'], 3)).toEqual([0]);
  expect(labelled([], 3)).toEqual([]);
});

it('asks for what the URL says, and has every number in a table', async () => {
  const { asked } = show({ profile: 'bx2d', phase: 'image_download', provider: 'IBM_VPC' });
  const table = within(await screen.findByRole('region', { name: 'Durations as a table', hidden: true }));
  expect(table.getAllByRole('row', { hidden: true }).map((row) => within(row).queryAllByRole('cell', { hidden: true }).map((cell) => cell.textContent))).toEqual([[], ['1', '1 min 30 s', '1 min 30 s'], ['0', '–', '–'], ['2', '1 min 00 s', '2 min 00 s'], ['0', '–', '–']]);
  expect(asked.find(({ operationName }) => operationName === 'DurationSeries')?.variables).toMatchObject({ provider: 'IBM_VPC', serverProfile: 'bx2d', phase: 'IMAGE_DOWNLOAD', bucket: 6 * 3_600_000 });
  // The others stay there to be compared with.
  expect(asked.find(({ operationName }) => operationName === 'SuccessSeries')?.variables).toMatchObject({ serverProfile: null });
  expect(await screen.findByRole('row', { name: /^bx2d.* 75 %/ })).toBeInTheDocument();
});

it('keeps what is chosen in the URL', async () => {
  const { change, user } = show({ span: '30d' });
  await user.click(await screen.findByRole('button', { name: 'bx2d' }));
  expect(change).toHaveBeenLastCalledWith({ span: '30d', profile: 'bx2d' });
  await user.selectOptions(screen.getByLabelText('Phase'), 'Image download');
  expect(change).toHaveBeenLastCalledWith({ span: '30d', phase: 'image_download' });
  await user.click(screen.getByText('7 days'));
  expect(change).toHaveBeenLastCalledWith({});
});

it('is read again when a deployment has ended, and not for what has not', async () => {
  vi.useFakeTimers();
  const { asked, told } = show({});
  const pass = (ms: number): Promise<unknown> => act(() => vi.advanceTimersByTimeAsync(ms));
  await pass(500);
  expect(asked).toHaveLength(2);
  for (let version = 2; version < 12; version++) {
    told({ version });
    await pass(500);
  }
  expect(asked).toHaveLength(2);
  told({ version: 20, state: 'SUCCEEDED', currentDeployment: card({ state: 'SUCCEEDED', finishedAt: at(100) }) });
  await pass(500);
  expect(asked).toHaveLength(4);
  // The next ends are waited for together.
  for (let version = 21; version < 30; version++) {
    told({ version, currentDeployment: card({ state: 'FAILED', finishedAt: at(80 + version) }) });
    await pass(500);
  }
  expect(asked).toHaveLength(4);
  await pass(15_000);
  expect(asked).toHaveLength(6);
  vi.useRealTimers();
});

it('says when nothing has ended, and why it cannot tell', async () => {
  show({}, null, []);
  expect(await screen.findByRole('alert')).toHaveTextContent('more than 100000 runs ended');
  await waitFor(() => expect(screen.getByText('No attempts ended in the last 7 days')).toBeInTheDocument());
});

it('hands over the same question', () => {
  const { graphql, curl } = handoffInsights('https://s.example', { profile: 'b"x', phase: 'ipxe_boot' }, { from: 'F', to: 'T', bucket: 5 });
  expect(graphql).toContain('durationSeries(serverProfile: "b\\"x", phase: IPXE_BOOT, from: "F", to: "T", bucket: 5)');
  expect(curl).toContain('https://s.example/graphql');
});

it('is read again by hand where it could not be read', async () => {
  let down = true;
  const { client } = playServer(({ operationName }) =>
    down
      ? { errors: [{ message: 'the database cannot be read', extensions: { code: 'UNAVAILABLE', requestId: `id-of-${operationName}` } }] }
      : { data: operationName === 'DurationSeries' ? { durationSeries: durations } : { successSeries: series } },
  );
  const stream = { status: createStore({ mode: 'live', nextAttemptAt: null, asOf: at(0) }), fleet: new Fleet() } as unknown as Stream;
  render(
    <UiProvider>
      <ApolloProvider client={client}>
        <StreamProvider value={stream}>
          <Insights search={{}} change={vi.fn()} />
        </StreamProvider>
      </ApolloProvider>
    </UiProvider>,
  );
  const patiently = { timeout: 30_000 };
  await waitFor(() => expect(screen.getAllByRole('alert').map((alert) => /id-of-\w+/.exec(alert.textContent)?.[0])).toEqual(['id-of-DurationSeries', 'id-of-SuccessSeries']), patiently);
  down = false;
  const again = screen.getAllByRole('button', { name: 'Try again' });
  expect(again).toHaveLength(2);
  act(() => again[0]?.click());
  await waitFor(() => expect(screen.queryByRole('alert')).toBeNull(), patiently);
  expect(await screen.findByRole('button', { name: 'bx2d' }, patiently)).toBeInTheDocument();
});
