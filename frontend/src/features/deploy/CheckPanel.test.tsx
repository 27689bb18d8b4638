import { render, screen, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { expect, it, vi } from 'vitest';

import type { CheckRowFragment } from '@/gql/generated/graphql';
import { UiProvider } from '@/ui';
import type { Checked } from './check';
import { CheckPanel, type CheckPanelProps } from './CheckPanel';
import { emptyOrder } from './order';

const check = (key: string, over: Partial<CheckRowFragment> = {}): CheckRowFragment => ({ key, label: key, severity: 'ERROR', passed: true, message: `${key} is fine`, hint: null, field: null, ...over });
const found = (result: Partial<NonNullable<Checked['result']>> = {}): Checked => ({
  of: emptyOrder,
  each: [],
  problems: [],
  requestId: 'r-0',
  result: { ok: true, ahead: 0, estimatedDuration: null, checks: [], errors: [], ...result },
});
const show = (over: Partial<CheckPanelProps>) => {
  const onDeploy = vi.fn();
  render(
    <UiProvider>
      <CheckPanel checked={null} fresh={false} checking={false} deploying={false} problems={[]} onDeploy={onDeploy} {...over} />
    </UiProvider>,
  );
  return { onDeploy, button: screen.getByRole('button', { name: 'Deploy' }) };
};

it('orders nothing that was not checked', () => {
  expect(show({}).button).toBeDisabled();
});

it('has what needs attention first, each with a word and what to do', () => {
  const checks = [check('name'), check('slots', { severity: 'INFO' }), check('vpc', { severity: 'INFO' }), check('addresses', { severity: 'WARNING', passed: false, message: 'nearly used up', hint: 'widen the range' }), check('quota', { passed: false, message: '25 of 25', hint: 'ask for more' })];
  const { button } = show({ checked: found({ ok: false, ahead: 2, checks }), fresh: true });
  expect(within(screen.getByRole('list', { name: 'Checks' })).getAllByRole('listitem').map((item) => item.textContent)).toEqual([
    'Failedquota25 of 25What to do: ask for more',
    'Warningaddressesnearly used upWhat to do: widen the range',
    'Passednamename is fine',
    'Noteslotsslots is fine',
    'Passedvpcvpc is fine',
  ]);
  expect(button).toBeDisabled();
  expect(screen.getByText('It cannot be deployed like this.')).toBeInTheDocument();
});

it('lets warnings be overruled, with the expected time and the queue in view', async () => {
  const { button, onDeploy } = show({ checked: found({ ahead: 2, estimatedDuration: 1_680_000, checks: [check('a', { severity: 'WARNING', passed: false })] }), fresh: true });
  expect(screen.getByText('It can be deployed, with 1 warning. Takes about 28 min. Waits for 2 deployments before it.')).toBeInTheDocument();
  await userEvent.click(button);
  expect(onDeploy).toHaveBeenCalledTimes(1);
});

it('wants another check once the form has changed', () => {
  expect(show({ checked: found(), fresh: false }).button).toBeDisabled();
  expect(screen.getByText('The form has changed since: check again.')).toBeInTheDocument();
});

it('says why there is no check, and why an order was refused', () => {
  const problem = { code: 'FORBIDDEN', message: 'it needs the role operator', field: null, requestId: 'r-1' };
  show({ checked: { of: emptyOrder, result: null, each: [], problems: [problem], requestId: 'r-1' }, fresh: true, problems: [{ ...problem, code: 'NAME_IN_USE' }] });
  expect(screen.getAllByRole('alert').map((each) => each.textContent)).toEqual([expect.stringContaining('NAME_IN_USE'), expect.stringContaining('FORBIDDEN')]);
  expect(screen.getByText('It could not be checked.')).toBeInTheDocument();
});

it('shows what is not acceptable with the id of its request', () => {
  show({ checked: found({ ok: false, errors: [{ __typename: 'UserError', code: 'INVALID', message: 'is no name', field: ['name'], retryable: false }] as never }), fresh: true });
  expect(screen.getByRole('alert')).toHaveTextContent('is no name INVALIDRequest r-0');
});
