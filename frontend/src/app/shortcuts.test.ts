import { act, renderHook } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { afterEach, expect, it, vi } from 'vitest';

import { useShortcuts } from './shortcuts';

afterEach(() => document.body.replaceChildren());

const openDialog = (): HTMLElement => {
  const dialog = document.createElement('div');
  dialog.setAttribute('role', 'dialog');
  document.body.append(dialog);
  return dialog;
};

it('leaves the key that closes a dialog to the dialog', async () => {
  const Escape = vi.fn();
  renderHook(() => useShortcuts({ Escape }));
  const dialog = openDialog();
  // As the dialogs do: it is gone before the page below hears of the key.
  const close = (): void => dialog.remove();
  globalThis.addEventListener('keydown', close, true);
  await act(() => userEvent.keyboard('{Escape}'));
  globalThis.removeEventListener('keydown', close, true);
  expect(dialog.isConnected).toBe(false);
  expect(Escape).not.toHaveBeenCalled();
  await act(() => userEvent.keyboard('{Escape}'));
  expect(Escape).toHaveBeenCalledTimes(1);
});

it('hears nothing while a dialog is open', async () => {
  const j = vi.fn();
  renderHook(() => useShortcuts({ j }));
  const dialog = openDialog();
  await act(() => userEvent.keyboard('j'));
  expect(j).not.toHaveBeenCalled();
  dialog.remove();
  await act(() => userEvent.keyboard('j'));
  expect(j).toHaveBeenCalledTimes(1);
});
