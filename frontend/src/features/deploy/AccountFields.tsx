import { NativeSelect, Tick } from '@/ui';
import classes from './DeployPage.module.css';
import type { Offer, Order } from './order';
import { told } from './told';

/** An interface has at most this many security groups. */
const mostGroups = 5;

export interface AccountFieldsProps {
  order: Pick<Order, 'image' | 'keys' | 'securityGroups'>;
  offer: Offer | null;
  set: (change: Partial<Order>) => void;
  wrong: (...path: string[]) => string | undefined;
}

/** What a server gets of the account’s own: the image that it boots, SSH keys, security groups. */
export function AccountFields({ order, offer, set, wrong }: AccountFieldsProps) {
  const [newest] = offer?.images ?? [];
  return (
    <>
      <NativeSelect label="Image" {...told('Boots what Slipway serves; no other image does', wrong('image'))} value={order.image} onChange={(event) => set({ image: event.currentTarget.value })}>
        <option value="">{newest === undefined ? 'The newest' : `The newest: ${newest.name}`}</option>
        {order.image !== '' && !offer?.images.some(({ id }) => id === order.image) ? <option value={order.image}>{order.image}</option> : null}
        {offer?.images.map(({ id, name }) => (
          <option key={id} value={id}>
            {name}
          </option>
        ))}
      </NativeSelect>
      <Several legend="Security groups" none="the VPC’s own one" items={offer?.securityGroups} chosen={order.securityGroups} most={mostGroups} error={wrong('securityGroups')} onChange={(securityGroups) => set({ securityGroups })} />
      <Several legend="SSH keys" note="A network boot ignores them, and so does what is installed." none="none" items={offer?.sshKeys} chosen={order.keys} most={Number.POSITIVE_INFINITY} error={wrong('keys')} onChange={(keys) => set({ keys })} />
    </>
  );
}

interface SeveralProps {
  legend: string;
  note?: string;
  /** What the server's settings come to when they choose none of those there are. */
  none: string;
  items: Offer['sshKeys'] | undefined;
  chosen: readonly string[];
  most: number;
  error: string | undefined;
  onChange: (chosen: string[]) => void;
}

/** Any of a list; none of it is the server's own setting. */
function Several({ legend, note, none, items = [], chosen, most, error, onChange }: SeveralProps) {
  const usual = items.filter((item) => item.default).map(({ name }) => name);
  // What was chosen and is no longer there can be let go of.
  const all = [...items.map(({ id, name }) => ({ id, name })), ...chosen.filter((id) => !items.some((item) => item.id === id)).map((id) => ({ id, name: id }))];
  return (
    <fieldset className={classes.set}>
      <legend>{legend}</legend>
      {error === undefined ? (
        <p className={classes.quiet}>
          {chosen.length === 0 ? `None chosen: the server’s own setting, ${usual.length === 0 ? none : usual.join(', ')}.` : `These, in place of the server’s own setting, ${usual.length === 0 ? none : usual.join(', ')}.`}
          {note === undefined ? '' : ` ${note}`}
        </p>
      ) : (
        <p className={classes.wrong}>{error}</p>
      )}
      <div className={classes.subnets}>
        {all.map(({ id, name }) => {
          const on = chosen.includes(id);
          return <Tick key={id} label={name} checked={on} disabled={!on && chosen.length >= most} onChange={(checked) => onChange(checked ? [...chosen, id] : chosen.filter((each) => each !== id))} />;
        })}
      </div>
    </fieldset>
  );
}
