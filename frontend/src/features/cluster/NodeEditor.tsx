import { AccountFields } from '@/features/deploy/AccountFields';
import { RackFields } from '@/features/deploy/RackFields';
import type { RackRow } from '@/features/deploy/rackRows';
import { subnetsIn, type Offer, type Order } from '@/features/deploy/order';
import type { FleetRowFragment } from '@/gql/generated/graphql';
import { plural } from '@/lib/format';
import { NativeSelect, TextInput, Tick } from '@/ui';
import classes from './NewClusterPage.module.css';
import type { NodeForm, Source } from './form';

export interface NodeEditorProps {
  node: NodeForm;
  /** What it is called when no name is typed; empty: a name is needed. */
  defaultName: string;
  /** Its server has what all have alike; else it has settings of its own. */
  shared: boolean;
  offer: Offer | null;
  machines: readonly RackRow[];
  deployed: readonly FleetRowFragment[];
  /** What is said of one of its fields. */
  wrong: (...path: string[]) => string | undefined;
  /** What is said of it as a whole. */
  said: string | undefined;
  onChange: (node: NodeForm) => void;
}

const sources: { value: Source; label: string }[] = [
  { value: 'IBM_VPC', label: 'New server, IBM Cloud VPC' },
  { value: 'RACK', label: 'A machine of one’s own' },
  { value: 'DEPLOYED', label: 'A deployed node, as it is' },
];

/** One node of a cluster: where it comes from, and what is its own. */
export function NodeEditor({ node, defaultName, shared, offer, machines, deployed, wrong, said, onChange }: NodeEditorProps) {
  const { order, source } = node;
  const set = (change: Partial<Order>): void => onChange({ ...node, order: { ...order, ...change } });
  return (
    <div className={classes.form}>
      <div className={classes.pair}>
        <NativeSelect
          label="Which machine"
          data={sources}
          value={source}
          onChange={(event) => onChange({ ...node, source: sources.find(({ value }) => value === event.currentTarget.value)?.value ?? 'IBM_VPC' })}
        />
        {source === 'DEPLOYED' ? (
          <NativeSelect label="Node" value={node.nodeId} error={said ?? wrong('nodeId')} onChange={(event) => onChange({ ...node, nodeId: event.currentTarget.value })}>
            <option value="">{deployed.length === 0 ? 'No node is deployed' : 'Choose a node'}</option>
            {deployed.map(({ id, name, managementIp, clusterName }) => (
              <option key={id} value={id}>
                {[name, managementIp, clusterName === null ? null : `of ${clusterName}`].filter((part) => part !== null).join(' · ')}
              </option>
            ))}
          </NativeSelect>
        ) : (
          <TextInput label="Name" placeholder={defaultName} autoComplete="off" autoCapitalize="off" spellCheck={false} maxLength={63} value={order.name} error={wrong('name') ?? said} onChange={(event) => set({ name: event.currentTarget.value })} />
        )}
      </div>
      {source === 'RACK' ? (
        <>
          <RackFields order={order} set={set} wrong={wrong} machines={machines} />
          <Addresses order={order} set={set} wrong={wrong} required />
        </>
      ) : null}
      {source === 'IBM_VPC' && !shared ? <ServerFields order={order} set={set} offer={offer} wrong={wrong} /> : null}
      {source === 'IBM_VPC' ? (
        <details className={classes.more} open={[order.profile === '' || !shared ? '' : order.profile, order.managementIp, order.ahvIp, order.cvmIp].some((text) => text !== '') || ['managementIp', 'ahvIp', 'cvmIp'].some((field) => wrong(field) !== undefined) || undefined}>
          <summary>{shared ? 'Its own profile and addresses' : 'Addresses'}</summary>
          <div className={classes.form}>
            {shared ? <Profile order={order} set={set} offer={offer} empty="As all servers" wrong={undefined} /> : null}
            <div className={classes.pair}>
              <TextInput label="Management IP" description="Left empty: any that is free" value={order.managementIp} error={wrong('managementIp')} onChange={(event) => set({ managementIp: event.currentTarget.value })} />
            </div>
            <Addresses order={order} set={set} wrong={wrong} />
          </div>
        </details>
      ) : null}
    </div>
  );
}

interface FieldsProps {
  order: Order;
  set: (change: Partial<Order>) => void;
  wrong: (...path: string[]) => string | undefined;
}

function Addresses({ order, set, wrong, required = false }: FieldsProps & { required?: boolean }) {
  return (
    <div className={classes.pair}>
      <TextInput label="Controller VM IP" description={required ? 'The cluster is formed by it' : 'Left empty: one of the server’s range'} value={order.cvmIp} error={wrong('cvmIp')} onChange={(event) => set({ cvmIp: event.currentTarget.value })} />
      <TextInput label="Hypervisor IP" description={required ? 'Left empty: the management IP' : 'Left empty: one of the server’s range'} value={order.ahvIp} error={wrong('ahvIp')} onChange={(event) => set({ ahvIp: event.currentTarget.value })} />
    </div>
  );
}

function Profile({ order, set, offer, empty, wrong }: Pick<FieldsProps, 'order' | 'set'> & { offer: Offer | null; empty: string; wrong: string | undefined }) {
  const profile = offer?.profiles.find(({ name }) => name === order.profile);
  return (
    <NativeSelect
      label="Profile"
      description={profile ? `${profile.cpus} CPUs · ${profile.memoryGib} GiB · ${plural(profile.dataDisks, 'data disk')}` : offer ? `${plural(offer.profiles.filter(({ usable }) => usable).length, 'profile')} with local disks` : 'What can be ordered is being read …'}
      value={order.profile}
      error={wrong}
      onChange={(event) => set({ profile: event.currentTarget.value })}
    >
      <option value="">{empty}</option>
      {order.profile !== '' && profile === undefined ? <option value={order.profile}>{order.profile}</option> : null}
      {offer?.profiles.map(({ name, usable, why }) => (
        <option key={name} value={name} disabled={!usable}>
          {usable || why === null ? name : `${name}: ${why}`}
        </option>
      ))}
    </NativeSelect>
  );
}

/** A server that is ordered: what it is and where. */
export function ServerFields({ order, set, wrong, offer }: FieldsProps & { offer: Offer | null }) {
  const subnets = subnetsIn(offer, order.zone);
  const inZone = (zone: string): void => {
    const there = new Set(subnetsIn(offer, zone).map(({ id }) => id));
    set({ zone, managementSubnet: there.has(order.managementSubnet) ? order.managementSubnet : '', workloadSubnets: order.workloadSubnets.filter((id) => there.has(id)) });
  };
  return (
    <>
      <div className={classes.pair}>
        <Profile order={order} set={set} offer={offer} empty="Choose a profile" wrong={wrong('serverProfile')} />
        <NativeSelect label="Zone" description={offer ? `Region ${offer.region}` : '\u00a0'} value={order.zone} error={wrong('zone')} onChange={(event) => inZone(event.currentTarget.value)}>
          <option value="">The server’s own setting</option>
          {order.zone !== '' && !offer?.zones.includes(order.zone) ? <option value={order.zone}>{order.zone}</option> : null}
          {offer?.zones.map((zone) => (
            <option key={zone} value={zone}>
              {zone}
            </option>
          ))}
        </NativeSelect>
      </div>
      <NativeSelect label="Management subnet" description="Machines boot from here; all nodes of a cluster share one" value={order.managementSubnet} error={wrong('managementSubnet')} onChange={(event) => set({ managementSubnet: event.currentTarget.value })}>
        <option value="">The server’s own setting</option>
        {order.managementSubnet !== '' && !subnets.some(({ id }) => id === order.managementSubnet) ? <option value={order.managementSubnet}>{order.managementSubnet}</option> : null}
        {subnets.map(({ id, name, cidr, zone, availableAddresses }) => (
          <option key={id} value={id}>
            {`${name} · ${cidr} · ${zone} · ${availableAddresses.toLocaleString('en')} free`}
          </option>
        ))}
      </NativeSelect>
      {subnets.length === 0 ? null : (
        <details className={classes.more} open={order.workloadSubnets.length > 0 || wrong('workloadSubnets') !== undefined || undefined}>
          <summary>Workload subnets</summary>
          {wrong('workloadSubnets') === undefined ? null : <p className={classes.wrong}>{wrong('workloadSubnets')}</p>}
          <div className={classes.subnets}>
            {subnets.map(({ id, name, cidr, zone }) => (
              <Tick key={id} label={name} description={`${cidr} · ${zone}`} checked={order.workloadSubnets.includes(id)} onChange={(on) => set({ workloadSubnets: on ? [...order.workloadSubnets, id] : order.workloadSubnets.filter((each) => each !== id) })} />
            ))}
          </div>
        </details>
      )}
      <details className={classes.more} open={order.image !== '' || order.keys.length > 0 || order.securityGroups.length > 0 || ['image', 'keys', 'securityGroups'].some((field) => wrong(field) !== undefined) || undefined}>
        <summary>Image, security groups, keys</summary>
        <div className={classes.form}>
          <AccountFields order={order} offer={offer} set={set} wrong={wrong} />
        </div>
      </details>
    </>
  );
}
