import { plural } from '@/lib/format';
import classes from './ApplyPage.module.css';
import { nameOf, type Card } from './model/card';
import type { Field } from './model/document';
import { fieldName } from './model/fields';
import type { FieldError, ServerError } from './model/request';

export interface ErrorSummaryProps {
  cards: readonly Card[];
  /** Those that are to be seen, by card. */
  errors: ReadonlyMap<string, readonly FieldError[]>;
  /** What belongs to no card. */
  rest: readonly ServerError[];
  onGo: (cardId: string, field: Field | null) => void;
}

/** More links than this are of no use to anybody. */
const most = 50;

/** Every error in one place; each leads to its field. */
export function ErrorSummary({ cards, errors, rest, onGo }: ErrorSummaryProps) {
  const all = cards.flatMap((card, index) => (errors.get(card.id) ?? []).map((error) => ({ card, index, error })));
  const count = all.length + rest.length;
  if (count === 0) return null;
  return (
    <section className={classes.summary} aria-label="Errors" id="apply-errors" tabIndex={-1}>
      <p className={classes.summaryTitle}>{count === 1 ? 'One thing is to be put right' : `${plural(count, 'thing')} are to be put right`}</p>
      <ul className={classes.summaryList}>
        {rest.map(({ message }) => (
          <li key={message}>{message}</li>
        ))}
        {all.slice(0, most).map(({ card, index, error }) => (
          <li key={`${card.id} ${error.field ?? error.text}`}>
            <button type="button" className={classes.go} onClick={() => onGo(card.id, error.field)}>
              {nameOf(card, index)}
              {error.field === null ? '' : `, ${fieldName(card, error.field)}`}
            </button>{' '}
            {error.text}
          </li>
        ))}
        {all.length > most ? <li>and {all.length - most} more</li> : null}
      </ul>
    </section>
  );
}
