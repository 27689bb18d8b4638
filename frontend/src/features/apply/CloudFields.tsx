import { useState } from 'react';

import classes from './Card.module.css';
import { SelectField, TextField, useForm } from './Field';
import { noCloud, type Cloud, type ProviderKind } from './model/card';

const kinds: readonly { value: ProviderKind; label: string }[] = [
  { value: 'unsaid', label: 'Not at this node' },
  { value: 'given', label: 'Given below' },
  { value: 'none', label: 'There is none' },
];

/** What the nodes of the first cloud have besides: its address, and once its networks. */
export function CloudFields() {
  const { card, edit, errorOf } = useForm();
  const { cloud } = card;
  const used = Object.keys(noCloud).some((name) => cloud[name as keyof Cloud] !== noCloud[name as keyof Cloud]);
  const [opened, setOpened] = useState(used);
  const wrong = Object.keys(noCloud).some((name) => errorOf(name) !== undefined);
  const set = (change: Partial<Cloud>): void => edit((each) => ({ ...each, cloud: { ...each.cloud, ...change } }));
  const field = (name: keyof Cloud, label: string) => <TextField field={name} label={label} value={cloud[name]} onChange={(value) => set({ [name]: value })} />;
  return (
    <details className={classes.cloud} open={opened || wrong} onToggle={(event) => setOpened(event.currentTarget.open)}>
      <summary>First cloud: VIP, provider and tenant network {used ? '' : <span className={classes.quiet}>(not filled in)</span>}</summary>
      <div className={classes.cloudFields}>
        {field('vip', 'VIP of the cloud')}
        <SelectField field="provider" label="Provider network" value={cloud.provider} options={kinds} onChange={(provider) => set({ provider: provider as ProviderKind })} />
        {cloud.provider === 'given' ? (
          <>
            {field('providerCidr', 'Provider network (CIDR)')}
            {field('providerGateway', 'Provider gateway')}
            {field('providerStart', 'First address')}
            {field('providerEnd', 'Last address')}
          </>
        ) : null}
        {field('tenantCidr', 'Tenant network (CIDR)')}
        {field('tenantGateway', 'Tenant gateway')}
        {field('tenantNameserver', 'Tenant name server')}
      </div>
    </details>
  );
}
