import { render, screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { expect, it, vi } from 'vitest';

import { useTyped } from './useTyped';

function Field({ kept, keep }: { kept: string; keep: (text: string) => void }) {
  return <input aria-label="Filter" {...useTyped(kept, keep)} />;
}

it('loses no letter while the address is not written yet, and follows it afterwards', async () => {
  const keep = vi.fn();
  const user = userEvent.setup();
  const { rerender } = render(<Field kept="" keep={keep} />);
  const field = screen.getByRole('textbox', { name: 'Filter' });
  await user.type(field, 'metal');
  expect(field).toHaveValue('metal');
  expect(keep).toHaveBeenLastCalledWith('metal');
  await user.tab();
  rerender(<Field kept="from elsewhere" keep={keep} />);
  expect(field).toHaveValue('from elsewhere');
});
