import { Link } from '@tanstack/react-router';

import type { RackRow } from './rackRows';
import type { Problem } from '@/gql/client/ask';
import { Button, Choices, NativeSelect, Panel, Problems, TextInput, Tick } from '@/ui';
import { fieldError, type Said } from './fieldError';
import classes from './DeployPage.module.css';
import { IbmFields } from './IbmFields';
import { formErrors, isSeveral, mostAtOnce, namesOf, type Ground, type Offer, type Order } from './order';
import { RackFields } from './RackFields';
import { told } from './told';

export interface OrderFormProps {
  order: Order;
  /** What can be ordered; null until that is known. */
  offer: Offer | null;
  offerProblems: readonly Problem[];
  onOfferAgain: () => void;
  /** Names of installers of the catalogue. */
  installers: readonly string[];
  /** Machines of one's own that are registered. */
  machines: readonly RackRow[];
  /** What the last check, or the refusal of the order, said of fields. */
  said: Said;
  busy: boolean;
  /** How many were checked of how many; null while none is. */
  checking: { done: number; of: number } | null;
  /** It was checked as it is, and can be deployed: checking is not the next step any more. */
  passed: boolean;
  onChange: (order: Order) => void;
  onCheck: () => void;
  onClear: () => void;
}

/** What is to be deployed. */
export function OrderForm({ order, offer, offerProblems, onOfferAgain, installers, machines, said, busy, checking, passed, onChange, onCheck, onClear }: OrderFormProps) {
  const set = (change: Partial<Order>): void => onChange({ ...order, ...change });
  const wrong = (...path: string[]): string | undefined => fieldError(said, ...path);
  const own = formErrors(order);
  return (
    <Panel title="What to deploy" actions={<Button size="compact-xs" variant="default" onClick={onClear}>Clear the form</Button>}>
      {offerProblems.length > 0 && order.ground === 'IBM_VPC' ? (
        <div className={classes.again}>
          <Problems title="What can be ordered could not be found out" problems={offerProblems} />
          <Button size="xs" variant="default" onClick={onOfferAgain}>
            Try again
          </Button>
        </div>
      ) : null}
      <form
        className={classes.form}
        aria-label="New deployment"
        // What is missing is said by the check, with everything else that is wrong.
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          if (!busy) onCheck();
        }}
      >
        <Choices<Ground>
          legend="Deploy on"
          value={order.ground}
          onChange={(ground) => set({ ground })}
          choices={[
            { value: 'IBM_VPC', label: 'A bare metal server of IBM Cloud VPC', description: 'It is ordered, and costs from then on.' },
            { value: 'RACK', label: 'A machine of your own', description: 'It boots from the network; nothing is ordered.' },
          ]}
        />
        <p className={classes.quiet}>
          A host that a deployment script configures has its own form: <Link to="/apply">apply changes</Link>.
        </p>
        {order.ground === 'RACK' ? (
          <Choices
            legend="How many machines"
            value={order.table ? 'TABLE' : 'ONE'}
            onChange={(way) => set({ table: way === 'TABLE' })}
            choices={[
              { value: 'ONE', label: 'One' },
              { value: 'TABLE', label: 'Several, from a table', description: 'Typed or pasted, a line each; one batch.' },
            ]}
          />
        ) : null}
        <TextInput
          label={order.ground === 'RACK' && order.table ? 'Name of the batch' : 'Name'}
          {...told(
            order.ground === 'IBM_VPC' ? 'Lower-case letters, digits and hyphens, at most 40; # stands for a number, to deploy several: metal-##' : order.table ? 'For people; may be empty' : 'Lower-case letters, digits and hyphens, at most 40',
            own.name ?? (order.ground === 'RACK' && order.table ? wrong('batchName') : wrong('name')),
          )}
          required={!(order.ground === 'RACK' && order.table)}
          withAsterisk={false}
          autoComplete="off"
          autoCapitalize="off"
          spellCheck={false}
          maxLength={63}
          value={order.name}
          onChange={(event) => set({ name: event.currentTarget.value })}
        />
        {isSeveral(order) ? <Several order={order} own={own} set={set} room={offer === null || offer.quota === null ? null : offer.quota - offer.servers} /> : null}
        {order.ground === 'RACK' ? <RackFields order={order} set={set} wrong={wrong} machines={machines} /> : <IbmFields order={order} offer={offer} set={set} onChange={onChange} wrong={wrong} vlanErrors={own.vlans} />}
        <details className={classes.more} open={order.installer !== '' || order.clusterName !== '' || order.labels !== '' || order.dnsServers !== '' || order.maintenance || wrong('installer') !== undefined || wrong('labels') !== undefined || wrong('clusterName') !== undefined || wrong('dnsServers') !== undefined || undefined}>
          <summary>Installer, cluster, labels, DNS</summary>
          <div className={classes.form}>
            <NativeSelect label="Installer" {...told(installers.length === 0 ? 'The catalogue has no artifact of the kind “installer”' : 'An artifact of the catalogue', wrong('installer'))} value={order.installer} onChange={(event) => set({ installer: event.currentTarget.value })}>
              <option value="">The server’s own setting</option>
              {[...new Set([...installers, ...(order.installer === '' ? [] : [order.installer])])].map((name) => (
                <option key={name} value={name}>
                  {name}
                </option>
              ))}
            </NativeSelect>
            <TextInput label="Cluster" {...told('Left empty: stand-alone', wrong('clusterName'))} value={order.clusterName} onChange={(event) => set({ clusterName: event.currentTarget.value })} />
            <TextInput label="Labels" {...told('For example row=7, site=fra', wrong('labels'))} value={order.labels} onChange={(event) => set({ labels: event.currentTarget.value })} />
            <TextInput label="DNS servers" {...told('At most 3, apart by commas; left empty: the server’s own setting', wrong('dnsServers'))} value={order.dnsServers} onChange={(event) => set({ dnsServers: event.currentTarget.value })} />
            <Tick label="Begin in maintenance" description="Its clocks stand: no deadline acts until the maintenance ends." checked={order.maintenance} onChange={(maintenance) => set({ maintenance })} />
          </div>
        </details>
        <div className={classes.submit}>
          <Button type="submit" size="sm" {...(passed ? { variant: 'default' } : {})} loading={checking !== null} disabled={busy && checking === null}>
            Check
          </Button>
          <span className={classes.quiet} role="status">
            {checking !== null && checking.of > 1 ? `${checking.done} of ${checking.of} checked …` : 'Nothing is ordered by a check, and it costs nothing.'}
          </span>
        </div>
      </form>
    </Panel>
  );
}

/** How many, and how. */
function Several({ order, own, set, room }: { order: Order; own: ReturnType<typeof formErrors>; set: (change: Partial<Order>) => void; /** Servers that the quota still allows; null when that is not known. */ room: number | null }) {
  const names = namesOf(order);
  const [first] = names;
  return (
    <fieldset className={classes.set}>
      <legend>Several, as one batch</legend>
      <div className={classes.pair}>
        {order.ground === 'RACK' ? null : (
          <>
            <TextInput label="How many" {...told(`At most ${mostAtOnce}`, own.count)} inputMode="numeric" value={order.count} onChange={(event) => set({ count: event.currentTarget.value })} />
            <TextInput label="First number" {...told('', own.first)} inputMode="numeric" value={order.first} onChange={(event) => set({ first: event.currentTarget.value })} />
          </>
        )}
        <TextInput label="At the same time" {...told('On their way at once', own.parallel)} inputMode="numeric" value={order.parallel} onChange={(event) => set({ parallel: event.currentTarget.value })} />
        <TextInput label="Stop after failures" {...told('Begins no more then', own.stopAfter)} placeholder="never" inputMode="numeric" value={order.stopAfter} onChange={(event) => set({ stopAfter: event.currentTarget.value })} />
      </div>
      {order.ground === 'IBM_VPC' && room !== null && names.length > room ? <p className={classes.wrong}>{`The provider’s quota allows ${Math.max(0, room)} more: the check of each machine looks at that machine alone.`}</p> : null}
      <p className={classes.quiet}>{first === undefined || order.ground === 'RACK'  ? '\u00a0' : names.length === 1 ? first : `${first} … ${names.at(-1) ?? ''}`}</p>
    </fieldset>
  );
}
