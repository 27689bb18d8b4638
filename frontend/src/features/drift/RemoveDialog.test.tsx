import { ApolloProvider } from '@apollo/client/react';
import { render, screen, waitFor } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { expect, it, vi } from 'vitest';

import type { DriftRowFragment } from '@/gql/generated/graphql';
import { playServer, type Answered } from '@/test/server';
import { UiProvider } from '@/ui';
import { RemoveDialog } from './RemoveDialog';

const orphan: DriftRowFragment = { problem: 'ORPHAN', kind: 'vni', name: 'slw-old-d1-g1-mgmt', cloudId: '0717-1', zone: null, status: null, createdAt: null, message: 'nobody holds it', bareMetalNode: null };

function show(answered: Answered) {
  const { client, asked } = playServer(() => answered);
  const onRemoved = vi.fn();
  render(
    <UiProvider>
      <ApolloProvider client={client}>
        <RemoveDialog orphan={orphan} onClose={() => undefined} onRemoved={onRemoved} />
      </ApolloProvider>
    </UiProvider>,
  );
  return { asked, onRemoved, user: userEvent.setup() };
}

it('deletes only what was typed to the letter', async () => {
  const { asked, onRemoved, user } = show({ data: { answer: { __typename: 'RemoveOrphanPayload', done: false, message: 'it is attached', errors: [] } } });
  const field = screen.getByLabelText('Type slw-old-d1-g1-mgmt to confirm');
  await user.type(field, 'slw-old{Enter}');
  expect(screen.getByRole('button', { name: 'Delete' })).toBeDisabled();
  expect(asked).toEqual([]);
  await user.type(field, '-d1-g1-mgmt{Enter}');
  await waitFor(() => expect(onRemoved).toHaveBeenCalledWith(expect.objectContaining({ done: false, message: 'it is attached' })));
  expect(asked[0]?.variables).toEqual({ input: { provider: 'IBM_VPC', kind: 'vni', cloudId: '0717-1', name: 'slw-old-d1-g1-mgmt' } });
});

it('says why it was not done', async () => {
  const refusal = { __typename: 'UserError', code: 'NOT_FOUND', message: 'there is no such orphan', field: null, retryable: false };
  const { onRemoved, user } = show({ data: { answer: { __typename: 'RemoveOrphanPayload', done: false, message: null, errors: [refusal] } } });
  await user.type(screen.getByLabelText(/^Type/), 'slw-old-d1-g1-mgmt{Enter}');
  expect(await screen.findByRole('alert')).toHaveTextContent('NOT_FOUND');
  expect(onRemoved).not.toHaveBeenCalled();
});
