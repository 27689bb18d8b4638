import { ApolloProvider } from '@apollo/client/react';
import { createMemoryHistory, createRootRoute, createRouter, RouterProvider } from '@tanstack/react-router';
import { act, fireEvent, render, screen } from '@testing-library/react';
import { afterEach, expect, it, vi } from 'vitest';

import type { FleetRowFragment } from '@/gql/generated/graphql';
import { createStore, useStore } from '@/lib/store';
import type { FleetSnapshot } from '@/stream';
import { at, card, row } from '@/test/fixtures';
import { playServer, type Answered } from '@/test/server';
import { UiProvider } from '@/ui';
import { Failures } from './Failures';

const failed = (number: number, code = 'deadline_passed') =>
  row(`node_${number}`, { state: 'FAILED', currentDeployment: card({ state: 'FAILED', failure: { phase: 'IPXE_BOOT', phaseKey: 'ipxe_boot', code, message: `message ${number}`, hint: 'look', retryable: true, at: at(number) } }) });

/** A server that groups what the test says has failed. */
function show(rows: FleetRowFragment[], trouble: () => Answered | null = () => null) {
  let real = rows;
  const snapshotOf = (list: FleetRowFragment[]): FleetSnapshot => ({ rows: new Map(list.map((each) => [each.id, each])), revision: 1, complete: true, numbers: null });
  const world = playServer(() => {
    const wrong = trouble();
    if (wrong !== null) return wrong;
    const failures = real.flatMap(({ id, name, currentDeployment }) => (currentDeployment?.failure ? [{ id, name, failure: currentDeployment.failure }] : []));
    const codes = [...new Set(failures.map(({ failure }) => failure.code))];
    const groups = codes.map((code) => {
      const of = failures.filter(({ failure }) => failure.code === code);
      const newest = of.at(-1)?.failure;
      return { __typename: 'FailureGroup', phase: 'IPXE_BOOT', phaseKey: 'ipxe_boot', code, count: of.length, newestAt: newest?.at, message: newest?.message, hint: newest?.hint, retryable: true, nodes: { __typename: 'BareMetalNodeConnection', nodes: of.slice(0, 6).map(({ id, name }) => ({ __typename: 'BareMetalNode', id, name })) } };
    });
    return { data: { failureGroups: groups } };
  });
  const fleet = createStore(snapshotOf(rows));
  const Shown = () => <Failures fleet={useStore(fleet)} />;
  const router = createRouter({ routeTree: createRootRoute({ component: Shown }), history: createMemoryHistory() });
  render(
    <UiProvider>
      <ApolloProvider client={world.client}>
        <RouterProvider router={router as never} />
      </ApolloProvider>
    </UiProvider>,
  );
  /** The stream brings these rows. */
  const become = (next: FleetRowFragment[]): void => {
    real = next;
    act(() => fleet.set(snapshotOf(next)));
  };
  return { ...world, become };
}

const pass = (ms: number): Promise<unknown> => act(() => vi.advanceTimersByTimeAsync(ms));
const sizes = (): string[] => screen.queryAllByRole('listitem').map((item) => item.querySelector('a')?.textContent ?? '');

afterEach(() => vi.useRealTimers());

it('shows the groups of the server, and how many more there are', async () => {
  vi.useFakeTimers();
  show([1, 2, 3, 4, 5, 6, 7, 8].map((number) => failed(number)));
  await pass(100);
  expect(screen.getByText('Failures: 8 nodes')).toBeInTheDocument();
  expect(sizes()).toEqual(['8']);
  expect(screen.getByText('message 8')).toBeInTheDocument();
  expect(screen.getByText('and 2 more')).toBeInTheDocument();
});

it('leads to exactly the machines of a group', async () => {
  vi.useFakeTimers();
  show([failed(1)]);
  await pass(100);
  const link = screen.getByRole('link', { name: '1 node failed in Network boot with deadline_passed: show them' });
  expect(Object.fromEntries(new URL(link.getAttribute('href') ?? '', 'http://x').searchParams)).toEqual({ show: 'failed', failure_phase: 'IPXE_BOOT', failure_code: 'deadline_passed' });
});

it('says why the groups could not be read, with the request’s id, and tries again on demand', async () => {
  let down = true;
  const { asked } = show([failed(1)], () => (down ? { errors: [{ message: 'the database cannot be read', extensions: { code: 'UNAVAILABLE', requestId: 'req-of-groups' } }] } : null));
  const alert = await screen.findByRole('alert', {}, { timeout: 30_000 });
  expect(alert).toHaveTextContent('the database cannot be read');
  expect(alert).toHaveTextContent('req-of-groups');
  down = false;
  fireEvent.click(screen.getByRole('button', { name: 'Try again' }));
  expect(await screen.findByText('message 1', {}, { timeout: 30_000 })).toBeInTheDocument();
  expect(screen.queryByRole('alert')).toBeNull();
  expect(asked).toHaveLength(2);
});

it('asks again when others have failed, seldom enough, and not for anything else', async () => {
  vi.useFakeTimers();
  const { asked, become } = show([failed(1), row('node_50')]);
  await pass(100);
  expect(asked).toHaveLength(1);
  for (let version = 2; version < 30; version++) {
    become([failed(1), row('node_50', { version })]);
    await pass(100);
  }
  expect(asked).toHaveLength(1);

  become([failed(1), failed(2, 'checksum_mismatch')]);
  await pass(100);
  expect(asked).toHaveLength(2);
  expect(sizes()).toEqual(['1', '1']);
  // Thirty more within three seconds: the last of them counts, too.
  for (let number = 3; number < 33; number++) {
    become(Array.from({ length: number }, (_, i) => failed(i + 1)));
    await pass(100);
  }
  await pass(3000);
  expect(asked.length).toBeLessThanOrEqual(4);
  expect(sizes()).toEqual(['32']);
});

it('is empty as soon as nothing has failed any more', async () => {
  vi.useFakeTimers();
  const { become } = show([failed(1)]);
  await pass(100);
  expect(sizes()).toEqual(['1']);
  become([row('node_1')]);
  expect(screen.getByText('No failures')).toBeInTheDocument();
  expect(sizes()).toEqual([]);
});
