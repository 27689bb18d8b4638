import { useState } from 'react';

import { plural } from '@/lib/format';
import { Choices, NativeSelect, TextInput, Tick } from '@/ui';
import classes from './DeployPage.module.css';
import type { Order, Power } from './order';
import { rackMatches, rackText, withMachine, type RackRow } from './rackRows';
import { RackTable } from './RackTable';
import { told } from './told';

export interface RackFieldsProps {
  order: Order;
  set: (change: Partial<Order>) => void;
  wrong: (...path: string[]) => string | undefined;
  machines: readonly RackRow[];
}

/** Above this many machines a list is no choice: words narrow it. */
const longList = 8;

/** A machine of one's own: who it is, where it is, and who switches it. */
export function RackFields({ order, set, wrong, machines }: RackFieldsProps) {
  const [words, setWords] = useState('');
  const found = rackMatches(machines, words);
  const chosen = machines.find(({ name }) => name === order.name);
  const network = (
    <>
      <div className={classes.pair}>
        <TextInput label="Netmask" {...told('24 or 255.255.255.0; empty: the server’s setting', wrong('netmask'))} value={order.netmask} onChange={(event) => set({ netmask: event.currentTarget.value })} />
        <TextInput label="Gateway" {...told('Empty: the server’s setting', wrong('gateway'))} value={order.gateway} onChange={(event) => set({ gateway: event.currentTarget.value })} />
      </div>
      <Switching power={order.power} several={order.table} set={(power) => set({ power: { ...order.power, ...power } })} wrong={wrong} />
    </>
  );
  if (order.table) {
    return (
      <>
        <RackTable order={order} set={set} wrong={wrong} />
        {network}
      </>
    );
  }
  return (
    <>
      {machines.length === 0 ? (
        <p className={classes.quiet}>No machine of your own is registered without a deployment. What is filled in here makes it known.</p>
      ) : (
        <fieldset className={classes.set}>
          <legend>A registered machine</legend>
          <div className={classes.form}>
            {machines.length > longList ? <TextInput size="xs" label="Find it" placeholder="Name, MAC address or serial number …" value={words} onChange={(event) => setWords(event.currentTarget.value)} /> : null}
            <NativeSelect
              label="Machine"
              description={words === '' ? `${plural(machines.length, 'machine')} without a deployment` : `${found.length.toLocaleString('en')} of ${plural(machines.length, 'machine')}`}
              value={chosen?.id ?? ''}
              onChange={(event) => {
                const machine = machines.find(({ id }) => id === event.currentTarget.value);
                if (machine) set(withMachine(order, machine));
              }}
            >
              <option value="">Another one, described below</option>
              {(chosen && !found.includes(chosen) ? [chosen, ...found] : found).map((machine) => (
                <option key={machine.id} value={machine.id}>
                  {rackText(machine)}
                </option>
              ))}
            </NativeSelect>
          </div>
        </fieldset>
      )}
      <div className={classes.pair}>
        <TextInput label="MAC address" {...told('It boots from this one', wrong('mac'))} placeholder="52-54-00-12-34-56" spellCheck={false} value={order.mac} onChange={(event) => set({ mac: event.currentTarget.value })} />
        <TextInput label="Serial number" {...told('Of its firmware; this or the MAC', wrong('serial'))} spellCheck={false} value={order.serial} onChange={(event) => set({ serial: event.currentTarget.value })} />
      </div>
      <TextInput
        label="Management IP"
        {...told('The machine must ask from this address when it boots', wrong('managementIp'))}
        required
        withAsterisk={false}
        value={order.managementIp}
        onChange={(event) => set({ managementIp: event.currentTarget.value })}
      />
      {network}
    </>
  );
}

function Switching({ power, several, set, wrong }: { power: Power; /** Each has a controller of its own, which the table names. */ several: boolean; set: (change: Partial<Power>) => void; wrong: RackFieldsProps['wrong'] }) {
  return (
    <>
      <Choices
        legend="Switched on by"
        value={power.byController ? 'REDFISH' : 'MANUAL'}
        onChange={(type) => set({ byController: type === 'REDFISH' })}
        choices={[
          { value: 'MANUAL', label: 'A person', description: 'The deployment waits until the machine boots.' },
          { value: 'REDFISH', label: 'Its board management controller', description: 'By Redfish; the check logs in and looks.' },
        ]}
      />
      {wrong('power') !== undefined && !powerFields.some((name) => wrong('power', name) !== undefined) ? <p className={classes.wrong}>{wrong('power')}</p> : null}
      {power.byController ? (
        <div className={classes.form}>
          {several ? null : <TextInput label="Controller" {...told('Where it answers', wrong('power', 'url'))} placeholder="https://10.0.9.20" spellCheck={false} value={power.url} onChange={(event) => set({ url: event.currentTarget.value })} />}
          <div className={classes.pair}>
            <TextInput label="User" {...told('', wrong('power', 'username'))} autoComplete="off" spellCheck={false} value={power.username} onChange={(event) => set({ username: event.currentTarget.value })} />
            <TextInput label="Name of the secret" {...told('That the server holds; never a password', wrong('power', 'passwordRef'))} autoComplete="off" spellCheck={false} value={power.passwordRef} onChange={(event) => set({ passwordRef: event.currentTarget.value })} />
          </div>
          <div className={classes.pair}>
            <NativeSelect
              label="Boots from"
              {...told('', wrong('power', 'bootFrom'))}
              value={power.bootFrom}
              onChange={(event) => set({ bootFrom: event.currentTarget.value === 'HTTP' ? 'HTTP' : 'PXE' })}
              data={[
                { value: 'PXE', label: 'PXE' },
                { value: 'HTTP', label: 'HTTP, by UEFI' },
              ]}
            />
            <NativeSelect
              label="Firmware mode"
              {...told('', wrong('power', 'bootMode'))}
              value={power.bootMode}
              onChange={(event) => set({ bootMode: (['UEFI', 'LEGACY'] as const).find((mode) => mode === event.currentTarget.value) ?? '' })}
              data={[
                { value: '', label: 'As it is set' },
                { value: 'UEFI', label: 'UEFI' },
                { value: 'LEGACY', label: 'BIOS' },
              ]}
            />
          </div>
          <div className={classes.pair}>
            <TextInput label="System" {...told('Of a controller with several', wrong('power', 'systemId'))} spellCheck={false} value={power.systemId} onChange={(event) => set({ systemId: event.currentTarget.value })} />
            <TextInput label="File with its certificate" {...told('Beside the server’s secrets', wrong('power', 'caFile'))} spellCheck={false} value={power.caFile} onChange={(event) => set({ caFile: event.currentTarget.value })} />
          </div>
          <Tick label="Accept any certificate" description="Somebody in between could read the password." checked={power.insecureTls} onChange={(insecureTls) => set({ insecureTls })} />
          <Tick label="Switch it off with a cleanup" checked={power.offAtRelease} onChange={(offAtRelease) => set({ offAtRelease })} />
        </div>
      ) : null}
    </>
  );
}

const powerFields = ['url', 'username', 'passwordRef', 'bootFrom', 'bootMode', 'systemId', 'caFile'];
