import { render, screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { expect, it, vi } from 'vitest';

import { at, bar, t0 } from '@/test/fixtures';
import { layout } from './geometry';
import { TimelineChart } from './TimelineChart';

const known = [
  { key: 'pending', label: 'Queued' },
  { key: 'ipxe_boot', label: 'Network boot' },
];
const boot = { phase: 'IPXE_BOOT', phaseKey: 'ipxe_boot', label: 'Network boot' } as const;
const now = t0 + 60_000;
const timeline = layout(
  [
    bar(),
    bar({ ...boot, key: '2', status: 'TIMED_OUT', enteredAt: at(10), startedAt: at(12), finishedAt: at(30) }),
    bar({ ...boot, key: '3', status: 'IN_PROGRESS', attempt: 2, enteredAt: at(30), startedAt: at(35), finishedAt: null, deadlineAt: at(120) }),
  ],
  known,
  t0,
  now,
  5,
);

function show() {
  const onSelectPhase = vi.fn();
  const onPoint = vi.fn();
  render(
    <TimelineChart timeline={timeline} now={now} width={400} onWidth={vi.fn()} selectedPhase={null} onSelectPhase={onSelectPhase} onPoint={onPoint} />,
  );
  return { onSelectPhase, onPoint };
}

it('names every bar with its state and lengths', () => {
  show();
  expect(screen.getAllByRole('button').map((each) => each.getAttribute('aria-label'))).toEqual([
    'Queued, attempt 1: done, ran 10 s',
    'Network boot, attempt 1: timed out, waited 2 s, ran 18 s',
    'Network boot, attempt 2: running, waited 5 s, 25 s so far, deadline in 1 min 00 s',
  ]);
});

it('is one stop for Tab, at the open bar; arrows move and Enter selects the phase', async () => {
  const user = userEvent.setup();
  const { onSelectPhase, onPoint } = show();
  await user.tab();
  expect(document.activeElement).toHaveAttribute('data-run', '3');
  await user.keyboard('{ArrowLeft}');
  expect(document.activeElement).toHaveAttribute('data-run', '2');
  await user.keyboard('{ArrowUp}');
  expect(document.activeElement).toHaveAttribute('data-run', '1');
  await user.keyboard('{End}{Enter}');
  expect(onPoint).toHaveBeenLastCalledWith('3');
  expect(onSelectPhase).toHaveBeenCalledExactlyOnceWith('ipxe_boot');
});
