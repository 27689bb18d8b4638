import { Button, SegmentedControl, Tick } from '@/ui';
import classes from './Card.module.css';
import { CloudFields } from './CloudFields';
import { LinesField, SelectField, TextField, useForm } from './Field';
import { addRow, gatewayRow, hasAddress, isBonded, modeTypes, removeRow, rowLimits, withBonds, withMode, withRow, withType, type Row } from './model/card';
import { fieldId, rowNames } from './model/fields';
import { addressless, mtus, roles } from './model/schema';

/** Everything that is filled in for a node. */
export function CardForm() {
  const { card, edit } = useForm();
  return (
    <div className={classes.form}>
      <div className={classes.top}>
        <TextField field="hostname" label="Host name" value={card.hostname} onChange={(hostname) => edit((each) => ({ ...each, hostname }))} />
        <TextField field="key" label="Known by now as (optional)" description="Address or name, if it changes" value={card.key} onChange={(key) => edit((each) => ({ ...each, key }))} />
        <div className={classes.mode}>
          <span className={classes.legend} id={fieldId(card.id, 'mode')}>
            Networks
          </span>
          <SegmentedControl
            size="xs"
            aria-labelledby={fieldId(card.id, 'mode')}
            value={card.mode}
            onChange={(mode) => edit((each) => withMode(each, mode))}
            data={[
              { value: 'default', label: 'Default' },
              { value: 'segregated', label: 'Segregated' },
            ]}
          />
          <Tick label="Bonds" checked={isBonded(card)} onChange={(on) => edit((each) => withBonds(each, on))} />
        </div>
      </div>
      <Interfaces />
      <div className={classes.bottom}>
        <Gateway />
        <Roles />
        <LinesField field="disks" label="Disks" description="By WWN, one a line; needed for the role Storage" value={card.disks} onChange={(disks) => edit((each) => ({ ...each, disks }))} />
      </div>
      <CloudFields />
    </div>
  );
}

function Interfaces() {
  const { card, edit } = useForm();
  const [least, most] = rowLimits[card.mode];
  return (
    <div>
      <ol className={classes.rows} aria-label="Interfaces">
        {card.rows.map((row, i) => (
          <li key={row.id} className={classes.row}>
            <InterfaceRow row={row} index={i} />
            {card.rows.length > least ? (
              <Button className={classes.rowRemove} size="compact-xs" variant="subtle" color="gray" onClick={() => edit((each) => removeRow(each, i))} aria-label={`Remove the interface ${row.type === '' ? i + 1 : row.type}`}>
                Remove
              </Button>
            ) : null}
          </li>
        ))}
      </ol>
      {card.rows.length < most ? (
        <Button size="compact-xs" variant="default" onClick={() => edit(addRow)}>
          Add an interface
        </Button>
      ) : null}
    </div>
  );
}

function InterfaceRow({ row, index }: { row: Row; index: number }) {
  const { card, edit } = useForm();
  const at = (name: string): string => `rows.${index}.${name}`;
  const set = (change: Partial<Row>): void => edit((each) => withRow(each, index, change));
  const types = modeTypes[card.mode].map((type) => ({ value: type, label: type.replaceAll('_', ' ') }));
  return (
    <>
      <SelectField field={at('type')} label={rowNames.type} value={row.type} options={types} onChange={(type) => edit((each) => withType(each, index, type))} />
      {row.bonded ? (
        <>
          <TextField field={at('bondName')} label={rowNames.bondName} value={row.bondName} onChange={(bondName) => set({ bondName })} />
          {row.members.map((member, j) => (
            <TextField
              // A member has nothing but its place.
              key={j}
              field={at(`members.${j}`)}
              label={`Member ${j + 1}`}
              value={member}
              onChange={(name) => set({ members: j > 1 && name === '' ? row.members.toSpliced(j, 1) : row.members.with(j, name) })}
            />
          ))}
        </>
      ) : (
        <TextField field={at('name')} label={rowNames.name} value={row.name} onChange={(name) => set({ name })} />
      )}
      {hasAddress(row) ? (
        <>
          <TextField field={at('address')} label={rowNames.address} value={row.address} onChange={(address) => set({ address })} />
          <TextField field={at('mask')} label={rowNames.mask} value={row.mask} onChange={(mask) => set({ mask })} />
          <TextField field={at('dns')} label={rowNames.dns} value={row.dns} onChange={(dns) => set({ dns })} />
        </>
      ) : null}
      <TextField field={at('vlan')} label={rowNames.vlan} inputMode="numeric" value={row.vlan} onChange={(vlan) => set({ vlan })} />
      {hasAddress(row) ? (
        <SelectField field={at('mtu')} label={rowNames.mtu} value={row.mtu} options={[{ value: '', label: 'Default' }, ...mtus.map((value) => ({ value, label: value }))]} onChange={(mtu) => set({ mtu })} />
      ) : (
        <p className={classes.noAddress}>No address: {row.type.replaceAll('_', ' ')} has none.</p>
      )}
    </>
  );
}

function Gateway() {
  const { card, edit } = useForm();
  const holder = gatewayRow(card);
  const rows = card.rows.filter((row) => !addressless.has(row.type) || row.id === card.gatewayRow);
  return (
    <div className={classes.pair}>
      <TextField field="gateway" label="Default gateway" value={card.gateway} onChange={(gateway) => edit((each) => ({ ...each, gateway }))} />
      <SelectField
        field="gatewayRow"
        label="Gateway of"
        value={holder?.id ?? ''}
        options={rows.map((row, i) => ({ value: row.id, label: row.type === '' ? `Interface ${i + 1}` : row.type.replaceAll('_', ' ') }))}
        onChange={(id) => edit((each) => ({ ...each, gatewayRow: id }))}
      />
    </div>
  );
}

function Roles() {
  const { card, edit, errorOf, touch } = useForm();
  const error = errorOf('roles');
  const described = `${fieldId(card.id, 'roles')}-error`;
  const all = [...roles, ...card.roles.filter((role) => !roles.includes(role))];
  return (
    <fieldset className={classes.roles} id={fieldId(card.id, 'roles')} tabIndex={-1} aria-describedby={error === undefined ? undefined : described}>
      <legend className={classes.legend}>Roles</legend>
      <div className={classes.roleList}>
        {all.map((role) => (
          <Tick
            key={role}
            label={role}
            checked={card.roles.includes(role)}
            onChange={(on) => {
              edit((each) => ({ ...each, roles: all.filter((name) => (name === role ? on : each.roles.includes(name))) }));
              touch('roles');
            }}
          />
        ))}
      </div>
      {error === undefined ? null : (
        <p className={classes.error} id={described}>
          {error}
        </p>
      )}
    </fieldset>
  );
}
