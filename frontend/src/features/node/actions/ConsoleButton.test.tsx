import { ApolloProvider } from '@apollo/client/react';
import { render, screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { afterEach, beforeEach, expect, it } from 'vitest';

import { session } from '@/app/session';
import { at } from '@/test/fixtures';
import { playServer, type Answered } from '@/test/server';
import { UiProvider } from '@/ui';
import { ConsoleButton } from './ConsoleButton';

const signIn = (role: string): void => session.set({ status: 'signed-in', name: 'ada', role, expiresAt: at(9999) });
beforeEach(() => signIn('operator'));
afterEach(() => session.set({ status: 'checking' }));

const node = { id: 'node_1', name: 'metal-1', provider: 'IBM_VPC' as const, state: 'RUNNING' as const };
function show(of: Parameters<typeof ConsoleButton>[0]['node'], answered: Answered) {
  const world = playServer(() => answered);
  render(
    <UiProvider>
      <ApolloProvider client={world.client}>
        <ConsoleButton node={of} />
      </ApolloProvider>
    </UiProvider>,
  );
  return { ...world, user: userEvent.setup() };
}
const payload = (over: object): Answered => ({ data: { answer: { __typename: 'OpenConsolePayload', console: null, errors: [], ...over } } });

it('gives an address that is good once', async () => {
  const { asked, user } = show(node, payload({ console: { __typename: 'ConsoleAccess', url: 'wss://console.example/secret', type: 'SERIAL', expiresAt: at(60), forced: true } }));
  await user.click(screen.getByRole('button', { name: 'Console…' }));
  await user.click(screen.getByLabelText('End somebody else’s session'));
  await user.click(screen.getByRole('button', { name: 'Open a way to it' }));
  expect(await screen.findByText('wss://console.example/secret')).toBeInTheDocument();
  expect(screen.getByText(/Somebody else’s session was ended/)).toBeInTheDocument();
  expect(asked[0]?.variables).toEqual({ input: { id: 'node_1', type: 'SERIAL', force: true } });
});

it('says why it could not, with the id of the request', async () => {
  const { user } = show(node, payload({ errors: [{ __typename: 'UserError', code: 'UNSUPPORTED', message: 'the server is stopped', field: null, retryable: false }] }));
  await user.click(screen.getByRole('button', { name: 'Console…' }));
  await user.click(screen.getByRole('button', { name: 'Open a way to it' }));
  expect(await screen.findByRole('alert')).toHaveTextContent('the server is stopped UNSUPPORTEDRequest req-1');
});

it('is not offered where there is no console, nor to those who may only look', () => {
  show({ ...node, provider: 'RACK' }, payload({}));
  show({ ...node, state: 'CLEANED_UP' }, payload({}));
  signIn('viewer');
  show(node, payload({}));
  expect(screen.queryByRole('button')).toBeNull();
});
