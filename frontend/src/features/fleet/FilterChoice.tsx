import { useMemo, useState } from 'react';

import { phaseLabel } from '@/lib/phases';
import type { FleetSnapshot } from '@/stream';
import { Button, NativeSelect, Popover } from '@/ui';
import classes from './FilterChoice.module.css';
import { chosenParts, offered, partNames, partWords, withPart, type FleetSearch, type PartName } from './parts';

/** From the question of the moment, which may be newer than the one that is drawn. */
type Change = (next: (now: FleetSearch) => FleetSearch) => void;

/** What else the fleet can be narrowed by: what there is now, of each kind. */
export function FilterChoice({ fleet, search, onChange }: { fleet: FleetSnapshot; search: FleetSearch; onChange: Change }) {
  const [opened, setOpened] = useState(false);
  return (
    <Popover opened={opened} onChange={setOpened} position="bottom-start" width={260} shadow="md" trapFocus transitionProps={{ duration: 0 }}>
      <Popover.Target>
        <Button size="compact-xs" variant="default" onClick={() => setOpened(!opened)}>
          Filter…
        </Button>
      </Popover.Target>
      <Popover.Dropdown aria-label="Narrow the table" className={classes.box}>
        {opened ? <Kinds fleet={fleet} search={search} onChange={onChange} /> : null}
      </Popover.Dropdown>
    </Popover>
  );
}

function Kinds({ fleet, search, onChange }: { fleet: FleetSnapshot; search: FleetSearch; onChange: Change }) {
  // As it was when this was opened: a list must not change under one's hand.
  const [rows] = useState(fleet.rows);
  const choices = useMemo(() => offered(rows.values(), search), [rows, search]);
  return (
    <>
      {partNames.map((name) => (
        <NativeSelect
          key={name}
          size="xs"
          label={partWords[name]}
          value=""
          disabled={choices[name].length === 0}
          onChange={(event) => {
            const { value } = event.currentTarget;
            if (value !== '') onChange((now) => withPart(now, name, value, true));
          }}
        >
          <option value="">{choices[name].length === 0 ? 'Nothing to choose from' : name === 'label' ? 'Must have …' : 'Any of …'}</option>
          {choices[name].map(({ value, count }) => (
            <option key={value} value={value}>
              {`${wordOf(name, value)} (${count.toLocaleString('en')})`}
            </option>
          ))}
        </NativeSelect>
      ))}
    </>
  );
}

function wordOf(name: PartName, value: string): string {
  const phase = name === 'phase' || name === 'failure_phase';
  return phase ? phaseLabel(value as Parameters<typeof phaseLabel>[0], value.toLowerCase()) : name === 'failure_code' ? value.replaceAll('_', ' ') : value;
}

/** What the table is narrowed by, each with a way to let it go. */
export function FilterChips({ search, onChange }: { search: FleetSearch; onChange: Change }) {
  const chosen = chosenParts(search);
  if (chosen.length === 0) return null;
  return (
    <div className={classes.chips} role="group" aria-label="The table is narrowed by">
      {chosen.map(({ name, value }) => (
        <span key={`${name} ${value}`} className={classes.chip}>
          <span className={classes.kind}>{partWords[name]}</span>
          <b title={value}>{wordOf(name, value)}</b>
          <button type="button" className={classes.off} aria-label={`Without ${partWords[name].toLowerCase()} ${wordOf(name, value)}`} onClick={() => onChange((now) => withPart(now, name, value, false))}>
            <svg viewBox="0 0 8 8" width="8" height="8" aria-hidden="true">
              <path d="m1 1 6 6M7 1 1 7" stroke="currentColor" strokeWidth="1.5" strokeLinecap="round" />
            </svg>
          </button>
        </span>
      ))}
    </div>
  );
}
