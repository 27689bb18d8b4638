import { CombinedGraphQLErrors } from '@apollo/client';
import { render, screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { expect, it, vi } from 'vitest';

import { UiProvider } from '@/ui';
import { ErrorPage } from './ErrorPage';

const show = (error: unknown) => {
  const retry = vi.fn();
  render(
    <UiProvider>
      <ErrorPage error={error} retry={retry} />
    </UiProvider>,
  );
  return retry;
};
const refused = (code: string, requestId?: string) =>
  new CombinedGraphQLErrors({ errors: [{ message: 'the database does not answer', extensions: { code, ...(requestId === undefined ? {} : { requestId }) } }], extensions: { requestId: 'req-of-answer' } });

it('says what the server said, with the id of the request, and tries again', async () => {
  const retry = show(refused('UNAVAILABLE', 'req-7'));
  expect(screen.getByRole('alert')).toHaveTextContent('the database does not answer UNAVAILABLE');
  expect(screen.getByText('req-7')).toBeInTheDocument();
  await userEvent.click(screen.getByRole('button', { name: 'Try again' }));
  expect(retry).toHaveBeenCalledTimes(1);
});

it('takes the id of the answer when an error has none of its own', () => {
  show(refused('UNAVAILABLE'));
  expect(screen.getByText('req-of-answer')).toBeInTheDocument();
});

it('offers no second try of what is not allowed', () => {
  show(refused('FORBIDDEN', 'req-8'));
  expect(screen.getByText('You do not have access to this page')).toBeInTheDocument();
  expect(screen.getByText('req-8')).toBeInTheDocument();
  expect(screen.queryByRole('button')).toBeNull();
});

it('tells a server that is away from an error of the page', () => {
  show(new TypeError('Failed to fetch'));
  expect(screen.getByRole('alert')).toHaveTextContent('The server could not be reached.');
});

it('does not blame the server for an error of the page', () => {
  show(new TypeError('Failed to fetch dynamically imported module: /monitoring/assets/x.js'));
  expect(screen.getByRole('alert')).toHaveTextContent('dynamically imported module');
});
