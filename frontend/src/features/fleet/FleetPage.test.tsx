import { ApolloProvider } from '@apollo/client/react';
import { createMemoryHistory, createRootRoute, createRoute, createRouter, RouterProvider } from '@tanstack/react-router';
import { act, render, screen, waitFor, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';

import { StreamProvider } from '@/app/services';
import { session } from '@/app/session';
import { FleetRowFragmentDoc, type FleetRowFragment } from '@/gql/generated/graphql';
import { pending } from '@/lib/pending';
import { createStore } from '@/lib/store';
import type { FleetSnapshot, Stream } from '@/stream';
import { at, card, row } from '@/test/fixtures';
import { playServer, type Answered, type Asked } from '@/test/server';
import { UiProvider } from '@/ui';
import { FleetPage } from './FleetPage';
import { parseSearch } from './filters';

// A busy machine needs some seconds for a page and what is clicked on it.
vi.setConfig({ testTimeout: 60_000 });

const signIn = (role: string): void => session.set({ status: 'signed-in', name: 'ada', role, expiresAt: at(9999) });
beforeEach(() => {
  signIn('operator');
  pending.set(new Map());
});
afterEach(() => session.set({ status: 'checking' }));

const failed = (n: number): FleetRowFragment => row(`node_${n}`, { state: 'FAILED', currentDeployment: card({ id: `dep_${n}`, state: 'FAILED', phase: 'FAILED', phaseKey: 'failed' }) });
const rows = [failed(1), failed(2), failed(3), row('node_4'), row('node_5', { state: null, currentDeployment: null })];

const counts = (of: Record<string, number>) => Object.entries(of).map(([state, count]) => ({ __typename: 'BulkItemCount', state, count }));
const operation = {
  __typename: 'BulkOperation', id: 'blk_1', action: 'RETRY', mode: null, reason: null, selection: null, state: 'RUNNING', total: 3, counts: counts({ WAITING: 3 }), maxParallel: 10, stopAfterFailures: 3,
  requestedBy: { __typename: 'Actor', kind: 'USER', name: 'ada' }, canceledBy: null, createdAt: at(0), updatedAt: at(1), finishedAt: null, version: 1,
};
const answer = ({ operationName }: Asked): Answered =>
  operationName === 'BulkPreview'
    ? { data: { bulkPreview: { __typename: 'BulkPreview', chosen: 3, matched: 3, leftOut: [], confirmation: null, errors: [] } } }
    : { data: { answer: { __typename: 'BulkDeploymentActionPayload', operation, matched: 3, errors: [] } } };

async function show(address: string, answered: (asked: Asked) => Answered = answer) {
  const world = playServer(answered);
  const write = (each: FleetRowFragment): void => void world.client.cache.writeFragment({ id: world.client.cache.identify({ __typename: 'BareMetalNode', id: each.id }) ?? '', fragment: FleetRowFragmentDoc, fragmentName: 'FleetRow', data: each });
  rows.forEach(write);
  const held = new Map(rows.map((each) => [each.id, each]));
  const fleet = createStore<FleetSnapshot>({ rows: held, revision: 1, complete: true, numbers: null });
  const stream = { status: createStore({ mode: 'live', nextAttemptAt: null, asOf: at(0) }), fleet, watchBulk: () => () => undefined } as unknown as Stream;
  const root = createRootRoute();
  const here = createRoute({ getParentRoute: () => root, path: '/', validateSearch: parseSearch, component: FleetPage });
  const bulk = createRoute({ getParentRoute: () => root, path: '/bulk/$bulkId', component: () => <p>The page of the operation</p> });
  const node = createRoute({ getParentRoute: () => root, path: '/nodes/$nodeId', component: () => null });
  const router = createRouter({ routeTree: root.addChildren([here, bulk, node]), history: createMemoryHistory({ initialEntries: [address] }) });
  render(
    <UiProvider>
      <ApolloProvider client={world.client}>
        <StreamProvider value={stream}>
          <RouterProvider router={router as never} />
        </StreamProvider>
      </ApolloProvider>
    </UiProvider>,
  );
  await screen.findByRole('table', { name: 'Nodes' });
  const change = (next: FleetRowFragment): void =>
    act(() => {
      write(next);
      held.set(next.id, next);
      fleet.update((now) => ({ ...now, revision: now.revision + 1 }));
    });
  return { ...world, router, change, user: userEvent.setup() };
}
const bar = () => screen.getByRole('group', { name: 'Selected deployments' });
const box = (name: string) => screen.getByRole('checkbox', { name: `Select ${name}` });

it('asks by the filter that is shown, with the number that was seen', async () => {
  const { asked, user } = await show('/?show=failed');
  await user.click(box('metal-1'));
  expect(bar()).toHaveTextContent('1 selected');
  await user.click(screen.getByRole('button', { name: 'Select all 3 that match the filter' }));
  expect(bar()).toHaveTextContent('3 selected');
  expect(box('metal-3')).toBeChecked();
  await user.click(within(bar()).getByRole('button', { name: 'Retry…' }));
  await user.click(await screen.findByRole('button', { name: 'Retry 3' }));
  expect(await screen.findByText('The page of the operation')).toBeInTheDocument();
  expect(asked.find(({ operationName }) => operationName === 'BulkAction')?.variables.input).toMatchObject({ action: 'RETRY', nodeFilter: { groups: ['FAILED'] }, expectedCount: 3 });
});

it('shows at once what was asked of rows, until they are newer', async () => {
  const { router, change, user } = await show('/');
  await user.click(box('metal-1'));
  await user.click(within(bar()).getByRole('button', { name: 'Retry…' }));
  await user.click(await screen.findByRole('button', { name: 'Retry 3' }));
  await screen.findByText('The page of the operation');
  await act(() => router.navigate({ to: '/' } as never));
  expect(await screen.findByText('Retry asked')).toBeInTheDocument();
  change({ ...failed(1), version: 2, state: 'RUNNING' });
  await waitFor(() => expect(screen.queryByText('Retry asked')).toBeNull());
});

it('takes the mark back when it is refused', async () => {
  const { user } = await show('/', (asked) =>
    asked.operationName === 'BulkPreview' ? answer(asked) : { data: { answer: { __typename: 'BulkDeploymentActionPayload', operation: null, matched: 0, errors: [{ __typename: 'UserError', code: 'VERSION_MISMATCH', message: '2 match now', field: null, retryable: false }] } } },
  );
  await user.click(box('metal-1'));
  await user.click(within(bar()).getByRole('button', { name: 'Retry…' }));
  await user.click(await screen.findByRole('button', { name: 'Retry 3' }));
  expect(await screen.findByText(/2 match now/)).toBeInTheDocument();
  expect(pending.get().size).toBe(0);
});

it('selects by keys, and not what was never deployed', async () => {
  const { user } = await show('/');
  expect(box('metal-5')).toBeDisabled();
  await user.keyboard('a');
  expect(bar()).toHaveTextContent('4 selected');
  await user.keyboard('{Escape}');
  expect(screen.queryByRole('group', { name: 'Selected deployments' })).toBeNull();
  await user.click(box('metal-1'));
  await user.keyboard('{Shift>}');
  await user.click(box('metal-3'));
  await user.keyboard('{/Shift}');
  expect(bar()).toHaveTextContent('3 selected');
});

it('forgets the selection with another filter', async () => {
  const { user } = await show('/');
  await user.click(box('metal-1'));
  await user.click(screen.getByRole('button', { name: /^Running/ }));
  await waitFor(() => expect(screen.queryByRole('group', { name: 'Selected deployments' })).toBeNull());
});

it('keeps both of two changes that follow each other before the page is drawn', async () => {
  const { router, user } = await show('/');
  // Where there is no layout the choice is never placed: it counts as hidden, and the trap of the focus says so.
  const told = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
  await user.click(screen.getByRole('button', { name: 'Columns' }));
  const [provider, attempt] = ['Provider', 'Attempt'].map((name) => screen.getByRole('checkbox', { name, hidden: true }));
  act(() => {
    provider?.click();
    attempt?.click();
    screen.getByRole('button', { name: 'Name' }).click();
    screen.getByRole('button', { name: 'Name' }).click();
  });
  await waitFor(() => expect(router.state.location.search).toEqual({ cols: 'profile,ip,phase,progress,eta,attempt,provider,seen', sort: 'name', desc: true }));
  told.mockRestore();
});

it('has nothing to select for those who may only look', async () => {
  signIn('viewer');
  await show('/');
  expect(screen.queryByRole('checkbox')).toBeNull();
});
