import { ApolloProvider } from '@apollo/client/react';
import { act, renderHook, waitFor } from '@testing-library/react';
import type { ReactNode } from 'react';
import { expect, it, vi } from 'vitest';

import { StreamProvider } from '@/app/services';
import type { HistoryRowFragment } from '@/gql/generated/graphql';
import type { HistoryListener, Stream } from '@/stream';
import { event } from '@/test/fixtures';
import { playServer, type Asked } from '@/test/server';
import { inFront, useHistory } from './useHistory';

const one = (n: number): HistoryRowFragment =>
  ({ ...event(n), cursor: `v1:${n}`, bareMetalNode: { __typename: 'BareMetalNode', id: 'node_1', name: 'metal-1' }, deployment: { __typename: 'Deployment', id: 'dep_1', number: 1 } }) as HistoryRowFragment;

function build(answer: (asked: Asked) => number[]) {
  const { client, asked } = playServer((request) => {
    const numbers = answer(request);
    return { data: { recentEvents: { __typename: 'DeploymentEventConnection', nodes: numbers.map(one), pageInfo: { __typename: 'PageInfo', hasNextPage: (numbers.at(-1) ?? 1) > 1, endCursor: numbers.length === 0 ? null : `v1:${numbers.at(-1) ?? 0}` } } } };
  });
  const watched: { cursor: string | null; listener: HistoryListener; filter: unknown }[] = [];
  const unwatch = vi.fn();
  const stream = {
    position: () => 'v1:0',
    watchHistory: (filter: unknown, cursor: string | null, listener: HistoryListener) => {
      watched.push({ filter, cursor, listener });
      return unwatch;
    },
  } as unknown as Stream;
  const wrapper = ({ children }: { children: ReactNode }) => (
    <ApolloProvider client={client}>
      <StreamProvider value={stream}>{children}</StreamProvider>
    </ApolloProvider>
  );
  return { asked, watched, unwatch, wrapper };
}

const numbers = (events: readonly HistoryRowFragment[]) => events.map(({ sequence }) => sequence);

it('reads backwards and follows from where it began, with nothing twice', async () => {
  const { asked, watched, wrapper } = build(({ variables }) => (variables.before === undefined ? [6, 5, 4] : [4, 3, 2, 1]));
  const { result } = renderHook(() => useHistory({ includeRefused: false }, true), { wrapper });
  await waitFor(() => expect(numbers(result.current.events)).toEqual([6, 5, 4]));
  expect(watched.map(({ cursor }) => cursor)).toEqual(['v1:0']);
  act(() => watched[0]?.listener.events([one(6), one(7), one(8)]));
  expect(numbers(result.current.events)).toEqual([8, 7, 6, 5, 4]);
  act(() => result.current.older());
  await waitFor(() => expect(result.current.more).toBe(false));
  expect(numbers(result.current.events)).toEqual([8, 7, 6, 5, 4, 3, 2, 1]);
  expect(asked[1]?.variables.before).toBe('v1:4');
});

it('follows from a known place when nothing matches yet', async () => {
  const { watched, wrapper } = build(() => []);
  const { result } = renderHook(() => useHistory({ statuses: ['FAILED'] }, true), { wrapper });
  await waitFor(() => expect(result.current.loaded).toBe(true));
  expect(watched[0]?.cursor).toBe('v1:0');
  act(() => watched[0]?.listener.events([one(1)]));
  expect(numbers(result.current.events)).toEqual([1]);
});

it('answers another question and forgets the first', async () => {
  const { unwatch, watched, wrapper } = build(({ variables }) => ((variables.filter as { phases?: string[] }).phases ? [9] : [2, 1]));
  const { result, rerender } = renderHook((filter: { phases?: ['DEPLOYED'] }) => useHistory(filter, true), { wrapper, initialProps: {} });
  await waitFor(() => expect(numbers(result.current.events)).toEqual([2, 1]));
  rerender({ phases: ['DEPLOYED'] });
  await waitFor(() => expect(numbers(result.current.events)).toEqual([9]));
  expect(unwatch).toHaveBeenCalledTimes(1);
  expect(watched).toHaveLength(2);
});

it('reads again after a reset, and asks nothing that cannot be answered', async () => {
  const { asked, watched, wrapper } = build(() => [3]);
  const { result, rerender } = renderHook((ask: boolean) => useHistory({}, ask), { wrapper, initialProps: false });
  expect(asked).toHaveLength(0);
  rerender(true);
  await waitFor(() => expect(result.current.loaded).toBe(true));
  act(() => watched[0]?.listener.reset());
  await waitFor(() => expect(asked).toHaveLength(2));
});

it('keeps what is held when nothing is new', () => {
  const held = [one(2), one(1)];
  expect(inFront(held, [one(2)])).toBe(held);
});
