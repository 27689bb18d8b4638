import { ApolloProvider } from '@apollo/client/react';
import { createMemoryHistory, createRootRoute, createRoute, createRouter, RouterProvider } from '@tanstack/react-router';
import { render, screen, waitFor, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import type { ReactNode } from 'react';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { StreamProvider } from '@/app/services';
import { session } from '@/app/session';
import type { BulkLiveFragment } from '@/gql/generated/graphql';
import { createStore } from '@/lib/store';
import type { Stream } from '@/stream';
import { at } from '@/test/fixtures';
import { playServer, type Answered, type Asked } from '@/test/server';
import { UiProvider } from '@/ui';
import { BulkBar } from './BulkBar';
import { BulkListPage } from './BulkListPage';
import { Bulk } from './BulkPage';
import { actionInput, checkBulk, type BulkForm } from './request';
import { parseBulkSearch } from './search';
import { bulkKind, bulkProgress, countList } from './words';

const signIn = (role: string): void => session.set({ status: 'signed-in', name: 'ada', role, expiresAt: at(9999) });
beforeEach(() => signIn('operator'));
afterEach(() => session.set({ status: 'checking' }));

const counts = (of: Record<string, number>) => Object.entries(of).map(([state, count]) => ({ __typename: 'BulkItemCount', state, count }));
const operation = (over: Partial<BulkLiveFragment> = {}): BulkLiveFragment =>
  ({
    __typename: 'BulkOperation', id: 'blk_1', action: 'RETRY', mode: null, reason: null, selection: null, state: 'RUNNING', total: 4, counts: counts({ WAITING: 1, RUNNING: 1, SUCCEEDED: 1, FAILED: 1 }), maxParallel: 2, stopAfterFailures: 3,
    requestedBy: { __typename: 'Actor', kind: 'USER', name: 'ada' }, canceledBy: null, createdAt: at(0), updatedAt: at(1), finishedAt: null, version: 3, ...over,
  }) as BulkLiveFragment;
const item = (number: number, state: string, over: object = {}) => ({
  __typename: 'BulkItem', number, state, code: null, message: null, startedAt: at(0), finishedAt: at(5),
  bareMetalNode: { __typename: 'BareMetalNode', id: `node_${number}`, name: `metal-${number}`, version: 1 },
  deployment: { __typename: 'Deployment', id: `dep_${number}`, number: 1, state: 'RUNNING', phase: 'IPXE_BOOT', phaseKey: 'ipxe_boot', progress: 0.1, version: 1 }, newDeployment: null, ...over,
});
const preview = (over: object = {}) => ({ data: { bulkPreview: { __typename: 'BulkPreview', chosen: 5, matched: 4, leftOut: [{ __typename: 'BulkLeftOut', reason: 'PROTECTED', count: 1 }], confirmation: null, errors: [], ...over } } });
const taken = { data: { answer: { __typename: 'BulkDeploymentActionPayload', operation: operation(), matched: 4, errors: [] } } };

function show(page: ReactNode, answer: (asked: Asked) => Answered) {
  const world = playServer(answer);
  const watched: string[] = [];
  const stream = {
    status: createStore({ mode: 'live', nextAttemptAt: null, asOf: at(0) }),
    watchBulk: (id: string) => {
      watched.push(id);
      return () => watched.splice(watched.indexOf(id), 1);
    },
  } as unknown as Stream;
  const root = createRootRoute();
  const here = createRoute({ getParentRoute: () => root, path: '/', component: () => page });
  const there = createRoute({ getParentRoute: () => root, path: '/bulk/$bulkId', component: () => <p>The page of the operation</p> });
  const router = createRouter({ routeTree: root.addChildren([here, there]), history: createMemoryHistory() });
  render(
    <UiProvider>
      <ApolloProvider client={world.client}>
        <StreamProvider value={stream}>
          <RouterProvider router={router as never} />
        </StreamProvider>
      </ApolloProvider>
    </UiProvider>,
  );
  return { ...world, watched, router, user: userEvent.setup() };
}
const of = (asked: readonly Asked[], name: string) => asked.filter(({ operationName }) => operationName === name);
const never = (): Answered => {
  throw new Error('nothing was to be asked');
};

describe('an operation in words', () => {
  it('has what needs attention first', () => {
    expect(countList(operation()).map(({ state }) => state)).toEqual(['FAILED', 'RUNNING', 'WAITING', 'SUCCEEDED']);
    expect(bulkProgress(operation())).toBe(0.5);
  });
  it('is not well when it is over and some went wrong', () => {
    expect(bulkKind(operation({ state: 'DONE', counts: counts({ SUCCEEDED: 3, REFUSED: 1 }) as never }))).toEqual({ word: 'Over, 1 problem', kind: 'failed' });
    expect(bulkKind(operation({ state: 'DONE', counts: counts({ SUCCEEDED: 4 }) as never })).kind).toBe('succeeded');
    expect(bulkKind(operation({ state: 'STRANGE' as never })).kind).toBe('unknown');
  });
  it('reads its URL', () => {
    expect(parseBulkSearch({ show: 'failed' })).toEqual({ show: 'FAILED' });
    expect(parseBulkSearch({ show: 'x' })).toEqual({});
  });
});

describe('what is asked', () => {
  const form: BulkForm = { action: 'RETRY', mode: 'IMMEDIATE', parallel: ' 7 ', stopAfter: '', reason: ' ' };
  it('has no more than was said', () => {
    expect(actionInput({ ids: ['dep_1'] }, form, { expectedCount: 1, confirm: null, key: 'k' })).toEqual({ action: 'RETRY', ids: ['dep_1'], expectedCount: 1, maxParallel: 7, idempotencyKey: 'k' });
    expect(actionInput({ nodeFilter: { states: ['FAILED'] } }, { ...form, action: 'CANCEL', stopAfter: '2', reason: 'power' }, { expectedCount: 9, confirm: 'x', key: 'k' })).toEqual({
      action: 'CANCEL', nodeFilter: { states: ['FAILED'] }, expectedCount: 9, maxParallel: 7, idempotencyKey: 'k', stopAfterFailures: 2, mode: 'IMMEDIATE', reason: 'power', confirm: 'x',
    });
  });
  it('is held against the rules of the server', () => {
    expect(checkBulk(form)).toEqual({});
    expect(Object.keys(checkBulk({ ...form, parallel: '501', stopAfter: '0', reason: 'ä'.repeat(251) }))).toEqual(['parallel', 'stopAfter', 'reason']);
    expect(checkBulk({ ...form, parallel: '1.5' })).toHaveProperty('parallel');
  });
});

describe('the bar', () => {
  it('is for operators, with something selected', () => {
    signIn('viewer');
    show(<BulkBar choice={{ ids: ['dep_1'] }} count={1} onClear={() => undefined} />, never);
    expect(screen.queryByRole('group')).toBeNull();
  });

  it('asks the server of how many it is possible, guards that number, and goes to the results', async () => {
    const onClear = vi.fn();
    const { asked, user, router } = show(<BulkBar choice={{ ids: ['dep_1', 'dep_2'] }} count={5} onClear={onClear} />, ({ operationName }) => (operationName === 'BulkPreview' ? preview() : taken));
    await user.click(await screen.findByRole('button', { name: 'Retry…' }));
    expect(await screen.findByText('It is possible for 4')).toBeInTheDocument();
    expect(screen.getByText('1 is on a protected node and is left out.')).toBeInTheDocument();
    const parallel = screen.getByLabelText(/^At the same time/);
    await user.clear(parallel);
    expect(screen.getByRole('button', { name: 'Retry 4' })).toBeDisabled();
    await user.type(parallel, '2');
    await user.click(screen.getByRole('button', { name: 'Retry 4' }));
    expect(await screen.findByText('The page of the operation')).toBeInTheDocument();
    expect(router.state.location.pathname).toBe('/bulk/blk_1');
    expect(onClear).toHaveBeenCalledOnce();
    expect(of(asked, 'BulkAction')[0]?.variables).toMatchObject({ input: { action: 'RETRY', ids: ['dep_1', 'dep_2'], expectedCount: 4, maxParallel: 2, stopAfterFailures: 3 } });
  });

  it('wants what destroys typed', async () => {
    const { asked, user } = show(<BulkBar choice={{ ids: ['dep_1'] }} count={4} onClear={() => undefined} />, ({ operationName }) => (operationName === 'BulkPreview' ? preview({ confirmation: 'clean up 4', leftOut: [] }) : taken));
    await user.click(await screen.findByRole('button', { name: 'Clean up…' }));
    const field = await screen.findByLabelText('Type clean up 4 to confirm');
    await user.type(field, 'clean up{Enter}');
    expect(of(asked, 'BulkAction')).toEqual([]);
    await user.type(field, ' 4{Enter}');
    await waitFor(() => expect(of(asked, 'BulkAction')[0]?.variables).toMatchObject({ input: { confirm: 'clean up 4' } }));
  });

  it('does nothing when another number matches by now, and looks again', async () => {
    const refused = { data: { answer: { __typename: 'BulkDeploymentActionPayload', operation: null, matched: 0, errors: [{ __typename: 'UserError', code: 'VERSION_MISMATCH', message: '3 deployments match now, not 4; nothing was done', field: null, retryable: false }] } } };
    let looks = 0;
    const { user, asked } = show(<BulkBar choice={{ ids: ['dep_1'] }} count={4} onClear={() => undefined} />, ({ operationName }) => (operationName === 'BulkPreview' ? preview({ matched: ++looks === 1 ? 4 : 3 }) : refused));
    await user.click(await screen.findByRole('button', { name: 'Retry…' }));
    await user.click(await screen.findByRole('button', { name: 'Retry 4' }));
    expect(await screen.findByRole('alert')).toHaveTextContent('3 deployments match now');
    expect(screen.getByRole('button', { name: 'Retry 4' })).toBeDisabled();
    await user.click(screen.getByRole('button', { name: 'Look again' }));
    await user.click(await screen.findByRole('button', { name: 'Retry 3' }));
    await waitFor(() => expect(of(asked, 'BulkAction')).toHaveLength(2));
    const [one, two] = of(asked, 'BulkAction').map(({ variables }) => (variables.input as { idempotencyKey: string; expectedCount: number }));
    expect([one?.expectedCount, two?.expectedCount]).toEqual([4, 3]);
    expect(one?.idempotencyKey).not.toBe(two?.idempotencyKey);
  });
});

describe('the page of an operation', () => {
  const answer = ({ operationName, variables }: Asked): Answered => {
    if (operationName === 'BulkNow') return { data: { bulkOperation: variables.id === 'blk_1' ? operation() : null } };
    if (operationName === 'CancelBulk') return { data: { answer: { __typename: 'CancelBulkOperationPayload', operation: operation({ state: 'CANCELING', canceledBy: 'ada', version: 4 }), errors: [] } } };
    const nodes = [item(1, 'FAILED', { code: 'test_failure', message: 'no disk' }), item(2, 'RUNNING', { finishedAt: null }), item(3, 'WAITING', { bareMetalNode: null, deployment: null, startedAt: null, finishedAt: null })];
    return { data: { bulkOperation: { __typename: 'BulkOperation', id: 'blk_1', version: 3, items: { __typename: 'BulkItemConnection', nodes, pageInfo: { __typename: 'PageInfo', hasNextPage: false, endCursor: null } } } } };
  };

  it('follows it, and says what became of each', async () => {
    const { watched, asked } = show(<Bulk id="blk_1" search={{ show: 'FAILED' }} change={() => undefined} />, answer);
    const table = within(await screen.findByRole('region', { name: 'Results of the operation' }));
    expect(table.getAllByRole('rowheader').map((each) => each.textContent)).toEqual(['metal-1 #1', 'metal-2 #1', 'a removed node']);
    expect(table.getByText('no disk')).toBeInTheDocument();
    expect(table.getByText('Running: Network boot')).toBeInTheDocument();
    expect(watched).toEqual(['blk_1']);
    expect(of(asked, 'BulkItems')[0]?.variables).toMatchObject({ states: ['FAILED'] });
  });

  it('reads the items again when the stream says that something changed, not at every word of it', async () => {
    const { client, asked } = show(<Bulk id="blk_1" search={{}} change={() => undefined} />, answer);
    await screen.findByRole('region', { name: 'Results of the operation' });
    const { BulkNowDocument } = await import('@/gql/generated/graphql');
    for (const version of [4, 5, 6]) client.writeQuery({ query: BulkNowDocument, variables: { id: 'blk_1' }, data: { bulkOperation: operation({ version }) } });
    await waitFor(() => expect(of(asked, 'BulkItems')).toHaveLength(2));
  });

  it('can be ended, after a word of what that means', async () => {
    const { asked, user } = show(<Bulk id="blk_1" search={{}} change={() => undefined} />, answer);
    await user.click(await screen.findByRole('button', { name: 'End it…' }));
    expect(screen.getByText(/1 waiting one will be skipped/)).toBeInTheDocument();
    await user.click(within(screen.getByRole('dialog')).getByRole('button', { name: 'End it' }));
    expect(await screen.findByText(/ended by ada/)).toBeInTheDocument();
    expect(of(asked, 'CancelBulk')[0]?.variables).toEqual({ input: { id: 'blk_1' } });
    await waitFor(() => expect(screen.queryByRole('button', { name: 'End it…' })).toBeNull());
  });

  it('keeps the filter in the URL; knows when there is none', async () => {
    const change = vi.fn();
    const { user } = show(<Bulk id="blk_1" search={{}} change={change} />, answer);
    await user.click(await screen.findByRole('button', { name: 'Failed 1' }));
    expect(change).toHaveBeenCalledWith({ show: 'FAILED' });
  });

  it('says when there is no such operation', async () => {
    show(<Bulk id="blk_9" search={{}} change={() => undefined} />, answer);
    expect(await screen.findByText('There is no such bulk operation')).toBeInTheDocument();
  });
});

it('lists operations; says how one comes about when there are none', async () => {
  show(<BulkListPage />, () => ({ data: { bulkOperations: { __typename: 'BulkOperationConnection', nodes: [], pageInfo: { __typename: 'PageInfo', hasNextPage: false, endCursor: null } } } }));
  expect(await screen.findByText('No bulk operations yet')).toBeInTheDocument();
});
