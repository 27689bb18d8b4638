import { cleanup, render, screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { describe, expect, it, vi } from 'vitest';

import { UiProvider } from '@/ui';
import { refusedHere } from './check';
import { fieldError, type Said } from './fieldError';
import fields from './fields.json';
import { impossible } from './impossible';
import { emptyOrder, emptyPower, type Ground, type Offer, type Order } from './order';
import { OrderForm } from './OrderForm';

vi.mock('@tanstack/react-router', () => ({ Link: ({ children }: { children: string }) => <a href="#x">{children}</a> }));

// A form is drawn whole for each: slow on a machine that has much else to do.
vi.setConfig({ testTimeout: 60_000 });

interface Field {
  ground: Ground;
  key: string;
  label: string;
  path: string;
  nonsense: unknown;
}
const all = fields as Field[];

const item = (id: string) => ({ id, name: id, status: null, default: false });
const subnet = (id: string) => ({ id, name: id, zone: 'z1', cidr: '10.0.0.0/24', availableAddresses: 9 });
const offer: Offer = {
  region: 'r', zones: ['z1'], profiles: [], subnets: [subnet('a'), subnet('b')], images: [item('img-1')], sshKeys: [item('key-1')], securityGroups: [item('group-1'), { ...item('group-2'), default: true }], dnsZones: [], servers: 1, quota: 25, asOf: '',
};

/** The form with every part open, so that every field is there. */
const filled: Record<Ground, Order> = {
  IBM_VPC: { ...emptyOrder, name: 'a', vlans: [{ id: '7', subnet: 'a', float: false }] },
  RACK: { ...emptyOrder, ground: 'RACK', name: 'a', mac: '52:54:00:12:34:56', managementIp: '10.0.0.9', power: { ...emptyPower, byController: true } },
};

function show(order: Order, said: Said = []) {
  const onCheck = vi.fn();
  const onChange = vi.fn<(order: Order) => void>();
  render(
    <UiProvider>
      <OrderForm order={order} offer={offer} offerProblems={[]} onOfferAgain={vi.fn()} installers={[]} machines={[]} said={said} busy={false} checking={null} passed={false} onChange={onChange} onCheck={onCheck} onClear={vi.fn()} />
    </UiProvider>,
  );
  return { onCheck, onChange };
}

describe('the fields of the form', () => {
  it('are all known', () => {
    // Not of one field of the input: what is deployed on, yes and no, choices that cannot be wrong, and what only the page knows.
    const others = ['ground', 'maintenance', 'vlans.float', 'power.byController', 'power.insecureTls', 'power.bootFrom', 'power.offAtRelease', 'table', 'rows', 'count', 'first', 'parallel', 'stopAfter'];
    const nested = { vlans: Object.keys(filled.IBM_VPC.vlans[0] ?? {}), power: Object.keys(emptyPower) };
    const keys = Object.keys(emptyOrder).flatMap((key) => (key === 'vlans' || key === 'power' ? nested[key].map((below) => `${key}.${below}`) : [key]));
    expect([...new Set([...all.map(({ key }) => key), ...others])].sort()).toEqual(keys.sort());
  });

  it.each(['IBM_VPC', 'RACK'] as const)('say each what is wrong with it: %s', (ground) => {
    const here = all.filter((field) => field.ground === ground);
    const message = ({ key }: Field): string => `what the server said of ${key}`;
    // Of a VLAN one thing is said at a time.
    for (const said of [here.filter(({ key }) => key !== 'vlans.subnet'), here.filter(({ key }) => key === 'vlans.subnet')]) {
      show(filled[ground], said.map((field) => ({ field: field.path.split('.'), message: message(field) })));
      for (const field of said) {
        // At the field itself, or in the group that it is a part of.
        const shown = screen.getByText(message(field));
        const group = ['workloadSubnets', 'keys', 'securityGroups'].includes(field.key) ? field.label : field.key === 'vlans.subnet' ? 'VLAN attachment 1' : null;
        if (group !== null) {
          expect(screen.getByRole('group', { name: group })).toContainElement(shown);
          continue;
        }
        const control = screen.getByLabelText(field.label, { selector: 'input, select' });
        expect(control).toHaveAttribute('aria-invalid', 'true');
        expect(control).toHaveAccessibleDescription(message(field));
      }
      cleanup();
    }
  });
});

/** What a person types of a field's nonsense, where it can be typed. */
const typed: Record<string, (order: Order) => Order> = {
  'RACK managementIp': (order) => ({ ...order, managementIp: '127.64.0.300' }),
  'RACK mac': (order) => ({ ...order, mac: '52:54:00:12:34' }),
  'RACK gateway': (order) => ({ ...order, gateway: '10.0.0.256' }),
  'RACK dnsServers': (order) => ({ ...order, dnsServers: '10.0.0.2, 10.0.0.300' }),
  'IBM_VPC managementIp': (order) => ({ ...order, managementIp: '127.64.0.300' }),
  'IBM_VPC ahvIp': (order) => ({ ...order, ahvIp: '10.0.0' }),
  'IBM_VPC cvmIp': (order) => ({ ...order, cvmIp: 'fe80::1%eth0' }),
  'IBM_VPC dnsServers': (order) => ({ ...order, dnsServers: 'one' }),
  'IBM_VPC vlans.id': (order) => ({ ...order, vlans: [{ id: '4095', subnet: 'a', float: false }] }),
};

describe('a form that the server could not read', () => {
  it.each(Object.entries(typed))('has a verdict, at its field: %s', (of, change) => {
    const [ground, key] = of.split(' ');
    const field = all.find((each) => each.ground === ground && each.key === key);
    const order = change(filled[ground as Ground]);
    const verdict = refusedHere(order);
    expect(verdict).toMatchObject({ of: order, problems: [], result: { ok: false, checks: [] } });
    const path = (field?.path ?? '').split('.').filter((part) => part !== 'id');
    expect(verdict?.result?.errors.map((error) => error.field)).toEqual([path]);
    expect(fieldError(verdict?.result?.errors ?? [], ...path.slice(2))).toBeDefined();
  });

  it('says all that is wrong at once', () => {
    expect(impossible({ ...filled.RACK, mac: 'x', managementIp: '', gateway: 'y', dnsServers: 'z' }).map(({ field }) => field.at(-1)).sort()).toEqual(['dnsServers', 'gateway', 'mac', 'managementIp']);
    expect(impossible({ ...emptyOrder, name: 'm#-#', count: '0', first: 'x', parallel: '0', stopAfter: '0' }).map(({ field }) => field[0]).sort()).toEqual(['count', 'first', 'name', 'parallel', 'stopAfter']);
    expect(impossible({ ...filled.RACK, power: emptyPower, table: true, rows: 'a 7CX 10.0.0.1\nb 7CY 10.0.0.300', managementIp: 'of the other way' }).map(({ field }) => field)).toEqual([['rows', '2']]);
    expect(impossible({ ...filled.RACK, table: true }).map(({ field }) => field)).toEqual([['rows']]);
  });

  it('is asked about when nothing is wrong that is known here', () => {
    for (const order of Object.values(filled)) expect(refusedHere(order)).toBeNull();
    expect(refusedHere({ ...filled.RACK, power: emptyPower, table: true, rows: 'a 7CX 10.0.0.1' })).toBeNull();
    expect(refusedHere({ ...filled.IBM_VPC, managementIp: 'fd00::7', dnsServers: '10.0.0.2 fd00::1' })).toBeNull();
  });

  it('can be checked by keyboard, whatever is in it', async () => {
    const user = userEvent.setup();
    const { onCheck } = show({ ...emptyOrder, ground: 'RACK', managementIp: '127.64.0.300', name: '' });
    screen.getByRole('button', { name: 'Check' }).focus();
    await user.keyboard('{Enter}');
    expect(onCheck).toHaveBeenCalledTimes(1);
    screen.getByLabelText('Management IP').focus();
    await user.keyboard('{Enter}');
    expect(onCheck).toHaveBeenCalledTimes(2);
  });
});

describe('what an order chooses of the account', () => {
  it('is the server’s own setting until something is chosen', async () => {
    const user = userEvent.setup();
    const { onChange } = show(filled.IBM_VPC);
    expect(screen.getByText('None chosen: the server’s own setting, group-2.')).toBeInTheDocument();
    expect(screen.getByText(/^None chosen: the server’s own setting, none\. A network boot ignores them/)).toBeInTheDocument();
    expect(screen.getByRole('option', { name: 'The newest: img-1', hidden: true })).toBeInTheDocument();
    await user.click(screen.getByLabelText('group-1'));
    expect(onChange).toHaveBeenLastCalledWith({ ...filled.IBM_VPC, securityGroups: ['group-1'] });
    await user.selectOptions(screen.getByLabelText('Image'), 'img-1');
    expect(onChange).toHaveBeenLastCalledWith({ ...filled.IBM_VPC, image: 'img-1' });
  });

  it('can be let go of when it is no longer there', async () => {
    const user = userEvent.setup();
    const order = { ...filled.IBM_VPC, keys: ['gone'], securityGroups: ['1', '2', '3', '4', '5'] };
    const { onChange } = show(order);
    expect(screen.getByLabelText('group-1')).toBeDisabled();
    await user.click(screen.getByLabelText('gone'));
    expect(onChange).toHaveBeenLastCalledWith({ ...order, keys: [] });
  });
});

it('says at the line of a table what is wrong with it', () => {
  const order = { ...filled.RACK, table: true, power: emptyPower, rows: 'rack-1 7CX 10.0.0.1\nrack-2 7CY 10.0.0.300\nrack-3 7CZ 10.0.0.3' };
  show(order, [{ field: ['rows', '3'], message: 'taken' }]);
  const lines = screen.getByRole('region', { name: 'Machines of the table' });
  expect([...lines.querySelectorAll('tbody')].map((line) => line.textContent)).toEqual(['1rack-17CX10.0.0.1', '2rack-27CY10.0.0.300“10.0.0.300” is not an IP address.', '3rack-37CZ10.0.0.3taken']);
  expect(screen.getByLabelText('Table')).toHaveAccessibleDescription('2 lines of 3 cannot be ordered like this.');
  expect(screen.queryByLabelText('Management IP')).toBeNull();
});
