import { ApolloProvider } from '@apollo/client/react';
import { act, renderHook, waitFor } from '@testing-library/react';
import type { ReactNode } from 'react';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';

import { StreamProvider } from '@/app/services';
import { DeploymentLiveFragmentDoc, DeploymentEventListFragmentDoc } from '@/gql/generated/graphql';
import type { NodeListener, Stream } from '@/stream';
import { event, live } from '@/test/fixtures';
import { playServer, type Answered, type Asked } from '@/test/server';
import { gapOf, missingBefore } from './gaps';
import { useDeployment, useNodeEvents } from './useNode';

const upTo = (n: number, from = 1): number[] => Array.from({ length: n - from + 1 }, (_, i) => from + i);

/** A server whose deployment has had so many events, and a page that shows it. */
function build(happened: number, trouble: (asked: Asked) => Answered | null = () => null) {
  const world = { happened };
  const { client, asked } = playServer((request) => {
    const wrong = trouble(request);
    if (wrong !== null) return wrong;
    const { last, before } = request.variables as { last: number; before?: string };
    const all = upTo(before === undefined ? world.happened : Number(before.slice(3)) - 1);
    const nodes = all.slice(-last).map((n) => event(n));
    const pageInfo = { __typename: 'PageInfo', hasPreviousPage: all.length > nodes.length, startCursor: nodes[0]?.cursor ?? null };
    const node = { __typename: 'BareMetalNode', id: 'node_1', name: 'metal-1', version: 1, stale: false };
    return { data: { deployment: { ...live({ version: world.happened }), cursor: `v1:${world.happened}`, config: {}, batch: null, node, events: { __typename: 'DeploymentEventConnection', nodes, pageInfo } } } };
  });
  let listener: NodeListener | undefined;
  const unwatch = vi.fn();
  const stream = {
    watchNode: (_: string, __: string | null, told: NodeListener) => {
      listener = told;
      return unwatch;
    },
  } as unknown as Stream;
  const wrapper = ({ children }: { children: ReactNode }) => (
    <ApolloProvider client={client}>
      <StreamProvider value={stream}>{children}</StreamProvider>
    </ApolloProvider>
  );
  const rereadNode = vi.fn(() => Promise.resolve());
  const open = () =>
    renderHook(
      () => {
        const shown = useDeployment('dep_1');
        useNodeEvents('node_1', shown.deployment?.cursor, shown.refetch, rereadNode);
        return shown;
      },
      { wrapper },
    );
  /** The stream tells of the newest event, as its channel does. */
  const tell = (sequence: number): void => {
    const id = client.cache.identify({ __typename: 'Deployment', id: 'dep_1' }) ?? '';
    client.cache.writeFragment({ id, fragment: DeploymentLiveFragmentDoc, fragmentName: 'DeploymentLive', data: live({ version: sequence }) });
    const events = { __typename: 'DeploymentEventConnection', nodes: [event(sequence)] };
    client.cache.writeFragment({ id, fragment: DeploymentEventListFragmentDoc, fragmentName: 'DeploymentEventList', data: { __typename: 'Deployment', id: 'dep_1', events } as never });
  };
  return { world, asked, open, tell, rereadNode, unwatch, reset: () => listener?.reset() };
}

const sequences = ({ current }: { current: ReturnType<typeof useDeployment> }): number[] => current.deployment?.events.nodes.map(({ sequence }) => sequence) ?? [];
const patiently = { timeout: 30_000 };

beforeEach(() => vi.setConfig({ testTimeout: 60_000 }));
afterEach(() => vi.useRealTimers());

it('loses nothing when the stream is reset during a thousand events', async () => {
  const { world, asked, open, tell, reset, rereadNode } = build(50);
  const { result } = open();
  await waitFor(() => expect(sequences(result)).toEqual(upTo(50)), patiently);
  act(() => tell(51));
  world.happened = 1051;
  act(() => reset());
  await waitFor(() => expect(sequences(result)).toEqual(upTo(1051)), patiently);
  // What the events would have told of the machine itself is read as well.
  expect(rereadNode).toHaveBeenCalledTimes(1);
  // And then nothing more is asked.
  const questions = asked.length;
  expect(questions).toBeLessThan(10);
  act(() => tell(1052));
  await waitFor(() => expect(sequences(result).at(-1)).toBe(1052), patiently);
  expect(asked).toHaveLength(questions);
  expect(result.current.deployment?.events.pageInfo.hasPreviousPage).toBe(false);
});

it('has the beginning where it was: older events are still asked for by hand', async () => {
  const { world, open, reset } = build(500);
  const { result } = open();
  await waitFor(() => expect(sequences(result)).toEqual(upTo(500, 401)), patiently);
  world.happened = 900;
  act(() => reset());
  await waitFor(() => expect(sequences(result)).toEqual(upTo(900, 401)), patiently);
  expect(result.current.deployment?.events.pageInfo).toMatchObject({ hasPreviousPage: true, startCursor: 'v1:401' });
  await act(() => result.current.fetchMore({ variables: { before: 'v1:401' } }));
  await waitFor(() => expect(sequences(result)).toEqual(upTo(900, 301)), patiently);
});

it('closes the gap that a long absence has left', async () => {
  const { world, open, unwatch } = build(80);
  const first = open();
  await waitFor(() => expect(sequences(first.result)).toEqual(upTo(80)), patiently);
  first.unmount();
  expect(unwatch).toHaveBeenCalledTimes(1);
  world.happened = 700;
  const second = open();
  await waitFor(() => expect(sequences(second.result)).toEqual(upTo(700)), patiently);
});

it('goes on when a question fails, with pauses', async () => {
  vi.useFakeTimers({ shouldAdvanceTime: true });
  let failures = 0;
  let down = false;
  const { world, open, reset } = build(50, () => {
    if (!down) return null;
    failures += 1;
    return { status: 502 };
  });
  const { result } = open();
  await waitFor(() => expect(sequences(result)).toEqual(upTo(50)), patiently);
  world.happened = 600;
  down = true;
  act(() => reset());
  await act(() => vi.advanceTimersByTimeAsync(10_000));
  // Now, after 1 s, after 3 s, after 7 s.
  expect(failures).toBe(4);
  down = false;
  await act(() => vi.advanceTimersByTimeAsync(10_000));
  await waitFor(() => expect(sequences(result)).toEqual(upTo(600)), patiently);
});

it('gives up when the page is left', async () => {
  vi.useFakeTimers({ shouldAdvanceTime: true });
  let down = false;
  const { asked, open, reset } = build(50, () => (down ? { status: 502 } : null));
  const { result, unmount } = open();
  await waitFor(() => expect(sequences(result)).toEqual(upTo(50)), patiently);
  down = true;
  act(() => reset());
  await act(() => vi.advanceTimersByTimeAsync(500));
  unmount();
  const questions = asked.length;
  await vi.advanceTimersByTimeAsync(120_000);
  expect(asked).toHaveLength(questions);
});

it('finds the newest gap, and says how large each is', () => {
  const events = [1, 2, 5, 6, 9].map((n) => event(n));
  expect(gapOf(events)).toBe('v1:9');
  expect(gapOf(events.slice(0, 4))).toBe('v1:5');
  expect(gapOf(events.slice(2, 4))).toBeNull();
  expect(gapOf([])).toBeNull();
  expect(events.map((_, i) => missingBefore(events, i))).toEqual([0, 0, 2, 0, 2]);
});
