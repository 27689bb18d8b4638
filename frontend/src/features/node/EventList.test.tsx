import { fireEvent, render, screen, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { beforeEach, expect, it, vi } from 'vitest';

import { timeMode } from '@/lib/preferences';
import { at, event } from '@/test/fixtures';
import { UiProvider } from '@/ui';
import { EventList, type EventListProps } from './EventList';

beforeEach(() => timeMode.set('utc'));

const props: EventListProps = { events: [event(1), event(2)], phase: null, onClearPhase: vi.fn(), hasOlder: false, onOlder: () => Promise.resolve() };
const list = (over: Partial<EventListProps> = {}) => (
  <UiProvider>
    <EventList {...props} {...over} />
  </UiProvider>
);
const messages = (): (string | null)[] => screen.getAllByText(/^event \d+$/).map((each) => each.textContent);

it('has the newest first', () => {
  render(list());
  expect(messages()).toEqual(['event 2', 'event 1']);
});

it('follows until one scrolls away, then says how many are new', async () => {
  const { rerender } = render(list());
  const region = screen.getByRole('region', { name: /newest first/ });
  expect(screen.getByRole('button', { name: /Following/ })).toHaveAttribute('aria-pressed', 'true');
  region.scrollTop = 200;
  fireEvent.scroll(region);
  rerender(list({ events: [...props.events, event(3), event(4)] }));
  const follow = screen.getByRole('button', { name: 'Follow · 2 new events' });
  await userEvent.click(follow);
  expect(screen.getByRole('button', { name: /Following/ })).toBeInTheDocument();
});

it('shows the reporter’s clock when it is another, and why a report was refused', () => {
  render(
    list({
      events: [event(1, { occurredAt: at(-3600), outcome: 'REFUSED', refusedCode: 'OUT_OF_ORDER', logTail: 'line 212: no disk' })],
    }),
  );
  const item = screen.getByRole('listitem');
  expect(within(item).getByText(/reporter:/)).toHaveTextContent('09:00:00Z');
  expect(within(item).getByText('refused: out of order')).toBeInTheDocument();
  expect(within(item).getByText('line 212: no disk')).toBeInTheDocument();
});

it('narrows to a phase and lets go of it', async () => {
  const onClearPhase = vi.fn();
  render(list({ phase: 'ipxe_boot', onClearPhase, events: [event(1), event(2, { phase: 'IPXE_BOOT', phaseKey: 'ipxe_boot' })] }));
  expect(messages()).toEqual(['event 2']);
  await userEvent.click(screen.getByRole('button', { name: /Only Network boot/ }));
  expect(onClearPhase).toHaveBeenCalledTimes(1);
});

it('says where events are missing that are still being read', () => {
  render(list({ events: [event(1), event(2), event(6)] }));
  expect(screen.getAllByRole('listitem').map((item) => /event \d+$|\d+ events in between/.exec(item.textContent)?.[0])).toEqual(['event 6', '3 events in between', 'event 2', 'event 1']);
});
