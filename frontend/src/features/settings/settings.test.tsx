import { ApolloProvider } from '@apollo/client/react';
import { render, screen, waitFor, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';

import { StreamProvider } from '@/app/services';
import { session } from '@/app/session';
import { createStore } from '@/lib/store';
import type { Stream } from '@/stream';
import { at } from '@/test/fixtures';
import { playServer, type Answered, type Asked } from '@/test/server';
import { UiProvider } from '@/ui';
import { parseSettingsSearch } from './search';
import { Settings } from './SettingsPage';
import { signInLink } from './SignInDialog';
import { checkName } from './WhoFields';

const signIn = (role: string): void => session.set({ status: 'signed-in', name: 'ada', role, expiresAt: at(9999) });
beforeEach(() => signIn('admin'));
afterEach(() => session.set({ status: 'checking' }));

const token = (id: string, over: object = {}) => ({
  __typename: 'ApiToken', id, name: `name-${id}`, role: 'OPERATOR', createdBy: 'ada', createdAt: at(0), expiresAt: null, lastUsedAt: null, revokedAt: null, active: true, current: false, ...over,
});
const tokens = [token('tok_2'), token('tok_1', { revokedAt: at(9), active: false })];
const sessions = [
  { __typename: 'Session', id: 'ses_2', name: 'ada', role: 'ADMIN', createdBy: '', createdAt: at(0), expiresAt: at(99), lastUsedAt: at(1), current: true },
  { __typename: 'Session', id: 'ses_1', name: 'bob', role: 'VIEWER', createdBy: 'ada', createdAt: at(0), expiresAt: at(99), lastUsedAt: null, current: false },
];
const info = { __typename: 'ServerInfo', version: '1.0', schemaHash: 'ab'.repeat(32), now: at(0), maxPageSize: 200, streamRetention: null };

function show(more: (asked: Asked) => Answered | undefined = () => undefined, search = {}) {
  const world = playServer((asked) => {
    const own = more(asked);
    if (own !== undefined) return own;
    if (asked.operationName === 'ServerInfo') return { data: { serverInfo: info } };
    if (asked.operationName === 'ApiTokens') return { data: { apiTokens: tokens } };
    if (asked.operationName === 'Sessions') return { data: { sessions } };
    throw new Error(`nobody asks ${asked.operationName}`);
  });
  const stream = { status: createStore({ mode: 'live', nextAttemptAt: null, asOf: at(0) }) } as unknown as Stream;
  const change = vi.fn();
  render(
    <UiProvider>
      <ApolloProvider client={world.client}>
        <StreamProvider value={stream}>
          <Settings search={search} change={change} />
        </StreamProvider>
      </ApolloProvider>
    </UiProvider>,
  );
  return { ...world, change, user: userEvent.setup() };
}
const of = (asked: readonly Asked[], name: string) => asked.filter(({ operationName }) => operationName === name);

it('asks for no secrets on behalf of those who may not manage access', async () => {
  signIn('operator');
  const { asked } = show();
  expect(await screen.findByText('Access for others')).toBeInTheDocument();
  await waitFor(() => expect(screen.getByText('1.0')).toBeInTheDocument());
  expect(asked.map(({ operationName }) => operationName)).toEqual(['ServerInfo']);
});

it('shows what holds, and on demand what has ended', async () => {
  const { change, user } = show();
  const table = within(await screen.findByRole('region', { name: 'API tokens, as a table' }));
  expect(table.getAllByRole('rowheader').map((each) => each.textContent)).toEqual(['name-tok_2']);
  await user.click(screen.getByRole('button', { name: 'Show 1 ended' }));
  expect(change).toHaveBeenLastCalledWith({ ended: true });
});

it('shows a new secret once, and is not closed by the way', async () => {
  const { asked, user } = show((one) => (one.operationName === 'CreateApiToken' ? { data: { answer: { __typename: 'CreateApiTokenPayload', token: token('tok_3'), secret: 'slw_secret', errors: [] } } } : undefined));
  await user.click(screen.getByRole('button', { name: 'New token…' }));
  const form = within(screen.getByRole('dialog'));
  await user.click(form.getByRole('button', { name: 'Make the token' }));
  expect(form.getByText('A name is required.')).toBeInTheDocument();
  expect(of(asked, 'CreateApiToken')).toEqual([]);
  await user.type(form.getByLabelText('Name'), ' ci ');
  await user.click(form.getByLabelText('operator'));
  await user.selectOptions(form.getByLabelText('Holds'), '30 days');
  await user.click(form.getByRole('button', { name: 'Make the token' }));
  expect(await screen.findByText('slw_secret')).toBeInTheDocument();
  expect(of(asked, 'CreateApiToken')[0]?.variables).toEqual({ input: { name: 'ci', role: 'OPERATOR', days: 30 } });
  await waitFor(() => expect(of(asked, 'ApiTokens')).toHaveLength(2));
  await user.keyboard('{Escape}');
  expect(screen.getByRole('alert')).toHaveTextContent('cannot be shown again');
  await user.click(screen.getByRole('button', { name: 'I have stored it' }));
  await waitFor(() => expect(screen.queryByText('slw_secret')).toBeNull());
});

it('keeps no secret in the cache', async () => {
  const { client, user } = show((one) => (one.operationName === 'CreateApiToken' ? { data: { answer: { __typename: 'CreateApiTokenPayload', token: token('tok_3'), secret: 'slw_secret', errors: [] } } } : undefined));
  await user.click(screen.getByRole('button', { name: 'New token…' }));
  await user.type(screen.getByLabelText('Name'), 'ci{Enter}');
  expect(await screen.findByText('slw_secret')).toBeInTheDocument();
  expect(JSON.stringify(client.cache.extract())).not.toContain('slw_secret');
});

it('revokes after a word of warning; says why it was not done', async () => {
  let refuse = true;
  const { asked, user } = show((one) => {
    if (one.operationName !== 'RevokeApiToken') return undefined;
    const errors = refuse ? [{ __typename: 'UserError', code: 'NOT_FOUND', message: 'there is no token 2', field: null, retryable: false }] : [];
    const answer = { __typename: 'RevokeApiTokenPayload', token: refuse ? null : token('tok_2', { revokedAt: at(20), active: false }), errors };
    refuse = false;
    return { data: { answer } };
  });
  await user.click(await screen.findByRole('button', { name: 'Revoke name-tok_2' }));
  const dialog = within(screen.getByRole('dialog'));
  expect(of(asked, 'RevokeApiToken')).toEqual([]);
  await user.click(dialog.getByRole('button', { name: 'Revoke' }));
  expect(await dialog.findByRole('alert')).toHaveTextContent('NOT_FOUND');
  await user.click(dialog.getByRole('button', { name: 'Revoke' }));
  await waitFor(() => expect(screen.queryByRole('dialog')).toBeNull());
  expect(of(asked, 'RevokeApiToken')[1]?.variables).toEqual({ input: { id: 'tok_2' } });
  expect(await screen.findByText('No valid tokens')).toBeInTheDocument();
});

it('ends the session of another, not this one', async () => {
  const { asked, user } = show((one) => (one.operationName === 'EndSession' ? { data: { answer: { __typename: 'EndSessionPayload', errors: [] } } } : undefined));
  await user.click(await screen.findByRole('button', { name: 'End the session of bob' }));
  expect(screen.queryByRole('button', { name: 'End the session of ada' })).toBeNull();
  await user.click(within(screen.getByRole('dialog')).getByRole('button', { name: 'End it' }));
  await waitFor(() => expect(of(asked, 'Sessions')).toHaveLength(2));
  expect(of(asked, 'EndSession')[0]?.variables).toEqual({ input: { id: 'ses_1' } });
});

it('makes a sign-in link with the code where no server sees it', async () => {
  const { user } = show((one) => (one.operationName === 'CreateSignIn' ? { data: { answer: { __typename: 'CreateSignInPayload', code: 'slc_1', errors: [] } } } : undefined));
  await user.click(await screen.findByRole('button', { name: 'Sign-in link…' }));
  await user.type(screen.getByLabelText('Who'), 'bob{Enter}');
  expect(await screen.findByText(/\/monitoring#signin=slc_1$/)).toBeInTheDocument();
  expect(signInLink('https://s.example', 'slc_a')).toBe('https://s.example/monitoring#signin=slc_a');
});

it('says why the tokens cannot be read', async () => {
  show((one) => (one.operationName === 'ApiTokens' ? { errors: [{ message: 'the database is away', extensions: { code: 'UPSTREAM_UNAVAILABLE', requestId: 'r1' } }] } : undefined));
  expect(await screen.findByRole('alert')).toHaveTextContent('the database is away');
});

it('knows names and URLs', () => {
  expect([checkName(' '), checkName('ci'), checkName('ä'.repeat(51))]).toEqual(['A name is required.', null, 'At most 100 bytes.']);
  expect(parseSettingsSearch({ ended: true, x: 1 })).toEqual({ ended: true });
  expect(parseSettingsSearch({ ended: 'no' })).toEqual({});
});
