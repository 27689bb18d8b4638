import type { RefusalFragment } from '@/gql/generated/graphql';
import type { Problem } from '@/gql/client/ask';
import { plural } from '@/lib/format';
import { Button, NativeSelect, Panel, Problems, TextInput, Tick } from '@/ui';
import classes from './DeployPage.module.css';
import { inZone, subnetsIn, type Offer, type Order } from './order';

/** A server has at most this many workload interfaces beside the management one. */
const mostWorkloads = 7;

export interface OrderFormProps {
  order: Order;
  /** What can be ordered; null until that is known. */
  offer: Offer | null;
  offerProblems: readonly Problem[];
  onOfferAgain: () => void;
  /** What the last check said of fields. */
  errors: readonly RefusalFragment[];
  busy: boolean;
  checking: boolean;
  onChange: (order: Order) => void;
  onCheck: () => void;
}

/** What is to be deployed. */
export function OrderForm({ order, offer, offerProblems, onOfferAgain, errors, busy, checking, onChange, onCheck }: OrderFormProps) {
  const set = (change: Partial<Order>): void => onChange({ ...order, ...change });
  const wrong = (...path: string[]): string | undefined => errors.find(({ field }) => field !== null && path.every((part) => field.includes(part)))?.message;
  const subnets = subnetsIn(offer, order.zone);
  const profile = offer?.profiles.find(({ name }) => name === order.profile);
  return (
    <Panel title="What to deploy">
      {offerProblems.length > 0 ? (
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
        onSubmit={(event) => {
          event.preventDefault();
          onCheck();
        }}
      >
        <TextInput
          label="Name"
          description="Lower-case letters, digits and hyphens, at most 40"
          required
          withAsterisk={false}
          autoComplete="off"
          autoCapitalize="off"
          spellCheck={false}
          maxLength={63}
          value={order.name}
          error={wrong('name')}
          onChange={(event) => set({ name: event.currentTarget.value })}
        />
        <NativeSelect
          label="Profile"
          description={profile ? sizeOf(profile) : offer ? `${plural(offer.profiles.filter(({ usable }) => usable).length, 'profile')} with local disks` : 'What can be ordered is being read …'}
          required
          withAsterisk={false}
          value={order.profile}
          error={wrong('serverProfile')}
          onChange={(event) => set({ profile: event.currentTarget.value })}
        >
          <option value="">Choose a profile</option>
          {offer?.profiles.map(({ name, usable, why }) => (
            <option key={name} value={name} disabled={!usable}>
              {usable || why === null ? name : `${name}: ${why}`}
            </option>
          ))}
        </NativeSelect>
        <NativeSelect label="Zone" description={offer ? `Region ${offer.region}` : '\u00a0'} value={order.zone} error={wrong('zone')} onChange={(event) => onChange(inZone(order, event.currentTarget.value, offer))}>
          <option value="">The server’s own setting</option>
          {offer?.zones.map((zone) => (
            <option key={zone} value={zone}>
              {zone}
            </option>
          ))}
        </NativeSelect>
        <NativeSelect label="Management subnet" description="The machine boots from here" value={order.managementSubnet} error={wrong('managementSubnet')} onChange={(event) => set({ managementSubnet: event.currentTarget.value })}>
          <option value="">The server’s own setting</option>
          {subnets.map(({ id, name, cidr, zone, availableAddresses }) => (
            <option key={id} value={id}>
              {`${name} · ${cidr} · ${zone} · ${availableAddresses.toLocaleString('en')} free`}
            </option>
          ))}
        </NativeSelect>
        <fieldset className={classes.set}>
          <legend>Workload subnets</legend>
          {subnets.length === 0 ? <p className={classes.quiet}>{offer ? 'There is none in this zone.' : '\u00a0'}</p> : null}
          <div className={classes.subnets}>
            {subnets.map(({ id, name, cidr, zone, availableAddresses }) => {
              const on = order.workloadSubnets.includes(id);
              return (
                <Tick
                  key={id}
                  label={name}
                  description={`${cidr} · ${zone} · ${availableAddresses.toLocaleString('en')} free`}
                  checked={on}
                  disabled={!on && order.workloadSubnets.length >= mostWorkloads}
                  onChange={(checked) => set({ workloadSubnets: checked ? [...order.workloadSubnets, id] : order.workloadSubnets.filter((each) => each !== id) })}
                />
              );
            })}
          </div>
        </fieldset>
        <details className={classes.more}>
          <summary>Addresses, cluster, labels</summary>
          <div className={classes.form}>
            <TextInput label="Management IP" description="Left empty: any that is free" value={order.managementIp} error={wrong('managementIp')} onChange={(event) => set({ managementIp: event.currentTarget.value })} />
            <TextInput label="Hypervisor IP" description="Left empty: one of the server’s range" value={order.ahvIp} error={wrong('ahvIp')} onChange={(event) => set({ ahvIp: event.currentTarget.value })} />
            <TextInput label="Controller VM IP" description="Left empty: one of the server’s range" value={order.cvmIp} error={wrong('cvmIp')} onChange={(event) => set({ cvmIp: event.currentTarget.value })} />
            <TextInput label="Cluster" description="Left empty: stand-alone" value={order.clusterName} error={wrong('clusterName')} onChange={(event) => set({ clusterName: event.currentTarget.value })} />
            <TextInput label="Labels" description="For example row=7, site=fra" value={order.labels} error={wrong('labels')} onChange={(event) => set({ labels: event.currentTarget.value })} />
          </div>
        </details>
        <div className={classes.submit}>
          <Button type="submit" size="sm" variant="default" loading={checking} disabled={busy && !checking}>
            Check
          </Button>
          <span className={classes.quiet}>Nothing is ordered by a check.</span>
        </div>
      </form>
    </Panel>
  );
}

function sizeOf({ cpus, memoryGib, dataDisks, dataDiskGb }: Offer['profiles'][number]): string {
  const disks = dataDisks === 0 ? 'no data disks' : `${dataDisks} × ${(dataDiskGb / 1000).toLocaleString('en', { maximumFractionDigits: 1 })} TB`;
  return `${cpus} CPUs · ${memoryGib} GiB · ${disks}`;
}
