import { ApolloProvider } from '@apollo/client/react';
import { createMemoryHistory, createRootRoute, createRouter, RouterProvider } from '@tanstack/react-router';
import { render, screen, waitFor, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';

import { StreamProvider } from '@/app/services';
import { session } from '@/app/session';
import { createStore } from '@/lib/store';
import type { Stream } from '@/stream';
import { at } from '@/test/fixtures';
import { playServer, type Answered } from '@/test/server';
import { UiProvider } from '@/ui';
import { Catalogue } from './ArtifactsPage';
import type { ArtifactsSearch } from './search';
import type { Artifact } from './select';

const signIn = (role: string): void => session.set({ status: 'signed-in', name: 'ada', role, expiresAt: at(9999) });
beforeEach(() => signIn('admin'));
afterEach(() => {
  session.set({ status: 'checking' });
  vi.unstubAllGlobals();
});

const artifact = (name: string, over: Partial<Artifact> = {}): unknown => ({
  __typename: 'Artifact', name, kind: 'image', version: '', size: 2048, sha256: 'ab'.repeat(32), state: 'READY', problem: null, inPlace: false, registeredAt: at(0), inUseBy: [], ...over,
});
const some = [artifact('initrd'), artifact('ahv.img', { inUseBy: ['m1', 'm2', 'm3', 'm4', 'm5', 'm6'] }), artifact('old.img', { state: 'BROKEN', problem: 'its file is missing' })];

async function show(artifacts: unknown[] | Answered, search: ArtifactsSearch = {}) {
  const world = playServer(() => (Array.isArray(artifacts) ? { data: { artifacts } } : artifacts));
  const stream = { status: createStore({ mode: 'live', nextAttemptAt: null, asOf: at(0) }) } as unknown as Stream;
  const change = vi.fn();
  const router = createRouter({ routeTree: createRootRoute({ component: () => <Catalogue search={search} change={change} /> }), history: createMemoryHistory() });
  render(
    <UiProvider>
      <ApolloProvider client={world.client}>
        <StreamProvider value={stream}>
          <RouterProvider router={router as never} />
        </StreamProvider>
      </ApolloProvider>
    </UiProvider>,
  );
  await screen.findByRole('heading', { name: 'Artifacts' });
  return { ...world, change, user: userEvent.setup() };
}

const names = () => screen.getAllByRole('rowheader').map((each) => each.textContent);

it('lists broken ones first, with who needs them', async () => {
  await show(some);
  expect(names()).toEqual(['old.imgits file is missing', 'ahv.img', 'initrd']);
  const row = screen.getByRole('row', { name: /ahv\.img/ });
  expect(within(row).getAllByRole('link').map((each) => each.textContent)).toEqual(['m1', 'm2', 'm3', 'm4']);
  expect(row).toHaveTextContent('and 2 more');
  expect(within(row).getByRole('button', { name: 'Remove ahv.img' })).toBeDisabled();
  expect(within(screen.getByRole('row', { name: /initrd/ })).getByRole('button', { name: 'Remove initrd' })).toBeEnabled();
});

it('shows those who may not change it no way to', async () => {
  signIn('operator');
  await show(some);
  expect(screen.queryByRole('button', { name: /Remove|Upload/ })).toBeNull();
});

it('says what to do when there is nothing, and when nothing matches', async () => {
  await show([]);
  expect(screen.getByText('The catalogue is empty')).toBeInTheDocument();
});

it('keeps its filters in the URL', async () => {
  const { change, user } = await show(some, { show: 'used', q: 'nothing' });
  await user.click(screen.getByRole('button', { name: 'Show all files' }));
  expect(change).toHaveBeenLastCalledWith({});
  await user.click(screen.getByRole('button', { name: 'Broken 1' }));
  expect(change).toHaveBeenLastCalledWith({ q: 'nothing', show: 'broken' });
});

it('copies the whole sum', async () => {
  const { user } = await show([artifact('initrd')]);
  await user.click(screen.getByRole('button', { name: 'Copy SHA-256 of initrd' }));
  expect(await navigator.clipboard.readText()).toBe('ab'.repeat(32));
});

it('removes once the name was typed, and reads the catalogue again', async () => {
  const fetch = vi.fn<typeof globalThis.fetch>().mockResolvedValueOnce(new Response(JSON.stringify({ error: 'initrd is in use', code: 'conflict' }), { status: 409 })).mockResolvedValueOnce(new Response(null, { status: 204 }));
  const { user, asked } = await show(some);
  vi.stubGlobal('fetch', fetch);
  await user.click(screen.getByRole('button', { name: 'Remove initrd' }));
  const dialog = within(screen.getByRole('dialog'));
  expect(dialog.getByRole('button', { name: 'Remove' })).toBeDisabled();
  await user.type(dialog.getByLabelText(/^Type/), 'initrd{Enter}');
  expect(await dialog.findByRole('alert')).toHaveTextContent('initrd is in use CONFLICT');
  const before = asked.length;
  await user.click(dialog.getByRole('button', { name: 'Remove' }));
  await waitFor(() => expect(screen.queryByRole('dialog')).toBeNull());
  await waitFor(() => expect(asked.length).toBe(before + 1));
  expect(fetch).toHaveBeenCalledTimes(2);
});

it('tells what is wrong before it uploads, and warns of what is replaced', async () => {
  const { user } = await show(some);
  await user.click(screen.getByRole('button', { name: 'Upload…' }));
  const dialog = within(screen.getByRole('dialog'));
  await user.click(dialog.getByRole('button', { name: 'Upload' }));
  expect(dialog.getByText('Choose a file.')).toBeInTheDocument();
  expect(dialog.getByLabelText('File')).toHaveAccessibleDescription('Choose a file.');
  await user.upload(dialog.getByLabelText('File'), new File(['x'], 'ahv.img'));
  expect(dialog.getByLabelText(/^Name/)).toHaveValue('ahv.img');
  expect(dialog.getByLabelText('Kind')).toHaveValue('hypervisor');
  expect(dialog.getByText(/m1, m2, m3, …/)).toBeInTheDocument();
  expect(dialog.getByRole('button', { name: 'Replace' })).toBeInTheDocument();
});
