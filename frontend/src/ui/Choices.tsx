import { useId, type ReactNode } from 'react';

import classes from './Choices.module.css';

/** One of several ways. */
export interface Choice<T extends string> {
  value: T;
  label: string;
  /** What it means. */
  description?: string;
}

export interface ChoicesProps<T extends string> {
  legend: string;
  choices: readonly Choice<T>[];
  value: T;
  onChange: (value: T) => void;
}

/** Exactly one of several ways, each with what it means. */
export function Choices<T extends string>({ legend, choices, value, onChange }: ChoicesProps<T>) {
  const name = useId();
  return (
    <fieldset className={classes.set}>
      <legend className={classes.legend}>{legend}</legend>
      {choices.map((choice) => (
        <Line key={choice.value} label={choice.label} description={choice.description}>
          {(id, describedBy) => (
            <input id={id} className={classes.input} type="radio" name={name} value={choice.value} checked={choice.value === value} aria-describedby={describedBy} onChange={() => onChange(choice.value)} />
          )}
        </Line>
      ))}
    </fieldset>
  );
}

export interface TickProps {
  label: string;
  description?: string | undefined;
  checked: boolean;
  disabled?: boolean;
  onChange: (checked: boolean) => void;
}

/** Something that is so or not. */
export function Tick({ label, description, checked, disabled = false, onChange }: TickProps) {
  return (
    <Line label={label} description={description}>
      {(id, describedBy) => (
        <input id={id} className={classes.input} type="checkbox" checked={checked} disabled={disabled} aria-describedby={describedBy} onChange={(event) => onChange(event.currentTarget.checked)} />
      )}
    </Line>
  );
}

function Line({ label, description, children }: { label: string; description?: string | undefined; children: (id: string, describedBy: string | undefined) => ReactNode }) {
  const id = useId();
  const described = description === undefined ? undefined : `${id}-d`;
  return (
    <div className={classes.line}>
      {children(id, described)}
      <div>
        <label htmlFor={id} className={classes.label}>
          {label}
        </label>
        {description === undefined ? null : (
          <p id={described} className={classes.description}>
            {description}
          </p>
        )}
      </div>
    </div>
  );
}
