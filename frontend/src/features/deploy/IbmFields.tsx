import { plural } from '@/lib/format';
import { Button, NativeSelect, TextInput, Tick } from '@/ui';
import { AccountFields } from './AccountFields';
import classes from './DeployPage.module.css';
import { inZone, isSeveral, subnetsIn, type Offer, type Order, type Vlan } from './order';
import { told } from './told';

/** A server has at most this many workload interfaces beside the management one. */
const mostWorkloads = 7;
/** The most VLANs that the server takes. */
const mostVlans = 16;

export interface IbmFieldsProps {
  order: Order;
  offer: Offer | null;
  set: (change: Partial<Order>) => void;
  onChange: (order: Order) => void;
  wrong: (...path: string[]) => string | undefined;
  /** What is wrong with a VLAN as it is typed, by its place. */
  vlanErrors: readonly (string | null)[];
}

const subnetText = ({ name, cidr, zone, availableAddresses }: Offer['subnets'][number]): string => `${name} · ${cidr} · ${zone} · ${availableAddresses.toLocaleString('en')} free`;

/** A server that is ordered: what there is, as the provider says. */
export function IbmFields({ order, offer, set, onChange, wrong, vlanErrors }: IbmFieldsProps) {
  const subnets = subnetsIn(offer, order.zone);
  const profile = offer?.profiles.find(({ name }) => name === order.profile);
  const several = isSeveral(order);
  return (
    <>
      <NativeSelect
        label="Profile"
        {...told(profile ? sizeOf(profile) : offer ? `${plural(offer.profiles.filter(({ usable }) => usable).length, 'profile')} with local disks` : 'What can be ordered is being read …', wrong('serverProfile'))}
        required
        withAsterisk={false}
        value={order.profile}
        onChange={(event) => set({ profile: event.currentTarget.value })}
      >
        <option value="">Choose a profile</option>
        {order.profile !== '' && profile === undefined ? <option value={order.profile}>{order.profile}</option> : null}
        {offer?.profiles.map(({ name, usable, why }) => (
          <option key={name} value={name} disabled={!usable}>
            {usable || why === null ? name : `${name}: ${why}`}
          </option>
        ))}
      </NativeSelect>
      <NativeSelect label="Zone" {...told(offer ? `Region ${offer.region}` : '', wrong('zone'))} value={order.zone} onChange={(event) => onChange(inZone(order, event.currentTarget.value, offer))}>
        <option value="">The server’s own setting</option>
        {order.zone !== '' && !offer?.zones.includes(order.zone) ? <option value={order.zone}>{order.zone}</option> : null}
        {offer?.zones.map((zone) => (
          <option key={zone} value={zone}>
            {zone}
          </option>
        ))}
      </NativeSelect>
      <NativeSelect label="Management subnet" {...told('The machine boots from here', wrong('managementSubnet'))} value={order.managementSubnet} onChange={(event) => set({ managementSubnet: event.currentTarget.value })}>
        <option value="">The server’s own setting</option>
        {order.managementSubnet !== '' && !subnets.some(({ id }) => id === order.managementSubnet) ? <option value={order.managementSubnet}>{order.managementSubnet}</option> : null}
        {subnets.map((subnet) => (
          <option key={subnet.id} value={subnet.id}>
            {subnetText(subnet)}
          </option>
        ))}
      </NativeSelect>
      <fieldset className={classes.set}>
        <legend>Workload subnets</legend>
        {subnets.length === 0 ? <p className={classes.quiet}>{offer ? 'There is none in this zone.' : '\u00a0'}</p> : null}
        {wrong('workloadSubnets') === undefined ? null : <p className={classes.wrong}>{wrong('workloadSubnets')}</p>}
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
      <Vlans order={order} subnets={subnets} set={set} wrong={wrong} errors={vlanErrors} />
      <details className={classes.more} open={[order.managementIp, order.ahvIp, order.cvmIp].some((ip) => ip !== '') || wrong('managementIp') !== undefined || wrong('ahvIp') !== undefined || wrong('cvmIp') !== undefined || undefined}>
        <summary>Addresses</summary>
        {several ? <p className={classes.quiet}>Several machines cannot share an address: each gets one that is free.</p> : null}
        <div className={classes.form}>
          <TextInput label="Management IP" {...told('Left empty: any that is free', wrong('managementIp'))} disabled={several} value={several ? '' : order.managementIp} onChange={(event) => set({ managementIp: event.currentTarget.value })} />
          <TextInput label="Hypervisor IP" {...told('Left empty: one of the server’s range', wrong('ahvIp'))} disabled={several} value={several ? '' : order.ahvIp} onChange={(event) => set({ ahvIp: event.currentTarget.value })} />
          <TextInput label="Controller VM IP" {...told('Left empty: one of the server’s range', wrong('cvmIp'))} disabled={several} value={several ? '' : order.cvmIp} onChange={(event) => set({ cvmIp: event.currentTarget.value })} />
        </div>
      </details>
      <details className={classes.more} open={order.image !== '' || order.keys.length > 0 || order.securityGroups.length > 0 || wrong('image') !== undefined || wrong('keys') !== undefined || wrong('securityGroups') !== undefined || undefined}>
        <summary>Image, security groups, keys</summary>
        <div className={classes.form}>
          <AccountFields order={order} offer={offer} set={set} wrong={wrong} />
          {offer === null ? null : <p className={classes.quiet}>{`The account has ${offer.quota === null ? plural(offer.servers, 'server') : `${offer.servers.toLocaleString('en')} of ${plural(offer.quota, 'server')}`} in this region. DNS zones: ${offer.dnsZones.map(({ name }) => name).join(', ') || 'none'}.`}</p>}
        </div>
      </details>
    </>
  );
}

function Vlans({ order, subnets, set, wrong, errors }: { order: Order; subnets: Offer['subnets']; set: (change: Partial<Order>) => void; wrong: IbmFieldsProps['wrong']; errors: readonly (string | null)[] }) {
  const change = (i: number, part: Partial<Vlan>): void => set({ vlans: order.vlans.map((vlan, at) => (at === i ? { ...vlan, ...part } : vlan)) });
  return (
    <fieldset className={classes.set}>
      <legend>VLANs on the first port</legend>
      {wrong('vlans') !== undefined && !order.vlans.some((_, i) => wrong('vlans', String(i)) !== undefined) ? <p className={classes.wrong}>{wrong('vlans')}</p> : null}
      {order.vlans.map((vlan, i) => (
        // A row has no identity but its place: there is nothing else to tell two empty ones apart.
        <div key={i} className={classes.vlan} role="group" aria-label={`VLAN attachment ${i + 1}`}>
          <TextInput size="xs" label="VLAN" inputMode="numeric" placeholder="1 to 4094" value={vlan.id} {...told('', wrong('vlans', String(i)) ?? (vlan.id === '' && vlan.subnet === '' ? undefined : (errors[i] ?? undefined)))} onChange={(event) => change(i, { id: event.currentTarget.value })} />
          <NativeSelect size="xs" label="Subnet" description={'\u00a0'} value={vlan.subnet} onChange={(event) => change(i, { subnet: event.currentTarget.value })}>
            <option value="">Choose a subnet</option>
            {subnets.map((subnet) => (
              <option key={subnet.id} value={subnet.id}>
                {subnetText(subnet)}
              </option>
            ))}
          </NativeSelect>
          <Button size="compact-xs" variant="default" aria-label={`Remove VLAN attachment ${i + 1}`} onClick={() => set({ vlans: order.vlans.filter((_, at) => at !== i) })}>
            Remove
          </Button>
          <Tick label="May move to another server with a virtual machine" checked={vlan.float} onChange={(float) => change(i, { float })} />
        </div>
      ))}
      <Button size="compact-xs" variant="default" disabled={order.vlans.length >= mostVlans} onClick={() => set({ vlans: [...order.vlans, { id: '', subnet: '', float: false }] })}>
        Add a VLAN
      </Button>
    </fieldset>
  );
}

function sizeOf({ cpus, memoryGib, dataDisks, dataDiskGb }: Offer['profiles'][number]): string {
  const disks = dataDisks === 0 ? 'no data disks' : `${dataDisks} × ${(dataDiskGb / 1000).toLocaleString('en', { maximumFractionDigits: 1 })} TB`;
  return `${cpus} CPUs · ${memoryGib} GiB · ${disks}`;
}
