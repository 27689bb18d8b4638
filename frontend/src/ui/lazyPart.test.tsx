import { act, render, screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { Suspense, useState, type ComponentType } from 'react';
import { beforeEach, expect, it, vi } from 'vitest';

import { lazyDialog, lazyPart, type LazyPartOptions } from './lazyPart';
import { UiProvider } from './UiProvider';

const Loaded = ({ name }: { name: string }) => <p>hello {name}</p>;
const away = () => Promise.reject(new TypeError('Failed to fetch dynamically imported module'));

/** A part whose code comes as `answers` say, one after the other. */
const show = async (answers: (() => Promise<ComponentType<{ name: string }>>)[], options: LazyPartOptions = {}) => {
  const importer = vi.fn(() => (answers.shift() ?? away)());
  const reload = vi.fn();
  const Part = lazyPart(importer, { answers: () => Promise.resolve(false), reload, ...options });
  // What suspends is awaited.
  await act(async () => {
    render(
      <UiProvider>
        <p>the frame</p>
        <Suspense fallback="loading">
          <Part name="ada" />
        </Suspense>
      </UiProvider>,
    );
    await Promise.resolve();
  });
  return { importer, reload };
};
const there = () => Promise.resolve(Loaded);

beforeEach(() => sessionStorage.clear());

it('is fetched once, when it is needed', async () => {
  const { importer } = await show([there]);
  expect(await screen.findByText('hello ada')).toBeInTheDocument();
  expect(importer).toHaveBeenCalledTimes(1);
});

it('is there at once when it was fetched before', async () => {
  const Part = lazyPart(() => Promise.resolve(Loaded));
  await Part.preload();
  render(<Part name="bob" />);
  expect(screen.getByText('hello bob')).toBeInTheDocument();
});

it('is tried again by hand, in its place, and the page stays', async () => {
  const { importer, reload } = await show([away, away, there]);
  expect(await screen.findByText('Waiting for the server')).toBeInTheDocument();
  expect(screen.getByText('the frame')).toBeInTheDocument();
  await userEvent.click(screen.getByRole('button', { name: 'Try again' }));
  await vi.waitFor(() => expect(importer).toHaveBeenCalledTimes(2));
  await userEvent.click(await screen.findByRole('button', { name: 'Try again' }));
  expect(await screen.findByText('hello ada')).toBeInTheDocument();
  expect(reload).not.toHaveBeenCalled();
});

it('comes by itself when the server is back', async () => {
  vi.useFakeTimers({ shouldAdvanceTime: true });
  try {
    const { importer } = await show([away, away, there]);
    await screen.findByText('Waiting for the server');
    await vi.advanceTimersByTimeAsync(2000);
    await vi.waitFor(() => expect(importer).toHaveBeenCalledTimes(2));
    await vi.advanceTimersByTimeAsync(10_000);
    expect(await screen.findByText('hello ada')).toBeInTheDocument();
  } finally {
    vi.useRealTimers();
  }
});

it('loads the page anew when the server has another version, but not again and again', async () => {
  const { reload, importer } = await show([], { answers: () => Promise.resolve(true) });
  await userEvent.click(await screen.findByRole('button', { name: 'Try again' }));
  await vi.waitFor(() => expect(reload).toHaveBeenCalledTimes(1));
  await userEvent.click(await screen.findByRole('button', { name: 'Try again' }));
  await vi.waitFor(() => expect(importer).toHaveBeenCalledTimes(3));
  expect(reload).toHaveBeenCalledTimes(1);
});

it('says of a dialog that it could not be loaded, can be closed, and asks again when it is opened again', async () => {
  const Opened = ({ onClose }: { onClose: () => void }) => <button onClick={onClose}>the dialog itself</button>;
  const answers = [away, away, () => Promise.resolve(Opened)];
  const Late = lazyDialog('The list', () => (answers.shift() ?? away)(), { answers: () => Promise.resolve(false), reload: vi.fn() });
  function Page() {
    const [opened, setOpened] = useState(false);
    return (
      <UiProvider>
        <main>
          <button onClick={() => setOpened(true)}>open</button>
          <Suspense>{opened ? <Late onClose={() => setOpened(false)} /> : null}</Suspense>
        </main>
      </UiProvider>
    );
  }
  render(<Page />);
  const user = userEvent.setup();
  const opener = screen.getByRole('button', { name: 'open' });
  await user.click(opener);
  const notice = await screen.findByRole('alertdialog', { name: 'The list could not be loaded' });
  expect(screen.getByRole('main')).not.toContainElement(notice);
  expect(screen.getByRole('button', { name: 'Try again' })).toHaveFocus();
  await user.keyboard('{Escape}');
  expect(screen.queryByRole('alertdialog')).toBeNull();
  await vi.waitFor(() => expect(opener).toHaveFocus());
  await user.click(opener);
  await user.click(await screen.findByRole('button', { name: 'Try again' }));
  expect(await screen.findByText('the dialog itself')).toBeInTheDocument();
  expect(screen.queryByRole('alertdialog')).toBeNull();
});
