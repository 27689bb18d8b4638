import { createContext, useContext, useEffect, useMemo, useRef, type ReactNode } from 'react';

import { NativeSelect, TextArea, TextInput } from '@/ui';
import type { Card } from './model/card';
import type { Field } from './model/document';
import { fieldId } from './model/fields';
import type { FieldError } from './model/request';

/** What the fields of a card share. */
interface FormOf {
  card: Card;
  errorOf: (field: Field) => string | undefined;
  edit: (change: (card: Card) => Card) => void;
  touch: (field: Field) => void;
}

const FormContext = createContext<FormOf | null>(null);

export interface CardFormProviderProps {
  card: Card;
  /** Those that are to be seen. */
  errors: readonly FieldError[];
  onEdit: (id: string, change: (card: Card) => Card) => void;
  onTouch: (id: string, field: Field) => void;
  children: ReactNode;
}

/** Gives the fields of a card what they need. */
export function CardFormProvider({ card, errors, onEdit, onTouch, children }: CardFormProviderProps) {
  const value = useMemo<FormOf>(
    () => ({
      card,
      errorOf: (field) => errors.find((error) => error.field === field)?.text,
      edit: (change) => onEdit(card.id, change),
      touch: (field) => onTouch(card.id, field),
    }),
    [card, errors, onEdit, onTouch],
  );
  return <FormContext value={value}>{children}</FormContext>;
}

/** The card that a field is in. */
export function useForm(): FormOf {
  const form = useContext(FormContext);
  if (!form) throw new Error('a field is used outside of a card');
  return form;
}

interface FieldProps {
  field: Field;
  label: string;
  value: string;
  description?: string;
  onChange: (value: string) => void;
}

const attributes = { autoComplete: 'off', autoCapitalize: 'off', spellCheck: false, size: 'xs' } as const;

/** A field is judged this long after one has typed in it, in ms. */
const afterTyping = 700;

/** Has a field judged once typing has paused. */
function useTouchSoon(field: Field): () => void {
  const { touch } = useForm();
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  return () => {
    clearTimeout(timer.current);
    timer.current = setTimeout(() => touch(field), afterTyping);
  };
}

/** A line of text. */
export function TextField({ field, label, value, description, onChange, inputMode }: FieldProps & { inputMode?: 'numeric' }) {
  const { card, errorOf, touch } = useForm();
  const touchSoon = useTouchSoon(field);
  return (
    <TextInput
      {...attributes}
      id={fieldId(card.id, field)}
      label={label}
      description={description}
      inputMode={inputMode}
      value={value}
      error={errorOf(field)}
      onBlur={() => touch(field)}
      onChange={(event) => {
        onChange(event.currentTarget.value);
        touchSoon();
      }}
    />
  );
}

/** Some lines of text. */
export function LinesField({ field, label, value, description, onChange }: FieldProps) {
  const { card, errorOf, touch } = useForm();
  return (
    <TextArea {...attributes} rows={3} id={fieldId(card.id, field)} label={label} description={description} value={value} error={errorOf(field)} onBlur={() => touch(field)} onChange={(event) => onChange(event.currentTarget.value)} />
  );
}

/** One of a few values; what a file brought and is none of them is offered, too. */
export function SelectField({ field, label, value, description, onChange, options }: FieldProps & { options: readonly { value: string; label: string }[] }) {
  const { card, errorOf, touch } = useForm();
  const all = options.some((option) => option.value === value) ? options : [...options, { value, label: value === '' ? 'Choose' : value }];
  return (
    <NativeSelect
      size="xs"
      id={fieldId(card.id, field)}
      label={label}
      description={description}
      value={value}
      error={errorOf(field)}
      data={[...all]}
      onBlur={() => touch(field)}
      onChange={(event) => {
        onChange(event.currentTarget.value);
        touch(field);
      }}
    />
  );
}
