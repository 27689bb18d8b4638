import { memo, useLayoutEffect, useMemo, useRef } from 'react';

import type { FleetRowFragment, PlanRowFragment, StoredDocumentFragment } from '@/gql/generated/graphql';
import { plural } from '@/lib/format';
import { rowKind } from '@/lib/states';
import { HostPanel } from '@/script/HostPanel';
import { Button, StatusMark } from '@/ui';
import classes from './Card.module.css';
import { CardForm } from './CardForm';
import { CardFormProvider } from './Field';
import { LastApplied } from './LastApplied';
import { nameOf, type Card } from './model/card';
import type { Field } from './model/document';
import { valueAt } from './model/fields';
import { ownAddress } from './model/read';
import { mergeErrors, writtenCard, type FieldError } from './model/request';
import { PlanView } from './PlanView';
import { useNear } from './useNear';
import type { Verdict } from './useValidation';

/** What one can do with a card; the same functions for as long as the page lives. */
export interface CardVerbs {
  edit: (id: string, change: (card: Card) => Card) => void;
  touch: (id: string, field: Field) => void;
  fold: (ids: readonly string[], collapsed: boolean) => void;
  copy: (id: string) => void;
  remove: (ids: readonly string[]) => void;
  replace: (id: string, card: Card) => void;
  apply: (ids: readonly string[]) => void;
}

export interface CardViewProps {
  card: Card;
  index: number;
  verdict: Verdict | undefined;
  /** Fields whose errors are to be seen. */
  shown: 'all' | ReadonlySet<Field> | undefined;
  /** What the shown run stored for this node. */
  stored: StoredDocumentFragment | undefined;
  /** The node's row in the fleet, while that deployment is its current one. */
  row: FleetRowFragment | undefined;
  runId: string | undefined;
  /** Something is being applied, or nothing can be. */
  busy: boolean;
  applying: boolean;
  /** A field that is to have the focus. */
  focus: Field | null;
  /** There are so many that only those near the window are drawn. */
  lazy: boolean;
  onFocused: () => void;
  verbs: CardVerbs;
}

/** What is wrong with a card: the server's word as far as it is about what is typed now, else the form's. */
export function errorsOf(card: Card, verdict: Verdict | undefined): readonly FieldError[] {
  const form = writtenCard(card).errors;
  const server = (verdict?.errors ?? []).filter(({ field }) => verdict !== undefined && (verdict.of === card || field === null || valueAt(verdict.of, field) === valueAt(card, field)));
  return mergeErrors(form, server).get(card.id) ?? [];
}

export const errorsShown = (errors: readonly FieldError[], shown: CardViewProps['shown']): readonly FieldError[] =>
  shown === 'all' ? errors : errors.filter(({ field, by }) => (field === null ? by === 'server' && shown !== undefined : (shown?.has(field) ?? false)));

/** Height of a card that was never drawn, in px: its rows and what is around them. */
const estimate = (card: Card): number => 420 + card.rows.length * 62;

/** A node: who it is, what would be written, how it stands, and its form. */
export const CardView = memo(function CardView({ card, index, verdict, shown, stored, row, runId, busy, applying, focus, lazy, onFocused, verbs }: CardViewProps) {
  const errors = useMemo(() => errorsOf(card, verdict), [card, verdict]);
  const visible = useMemo(() => errorsShown(errors, shown), [errors, shown]);
  const body = useRef<HTMLDivElement>(null);
  const { near: inSight, height, draw } = useNear(body);
  const near = inSight || !lazy;
  // What is to have the focus must be there, and stay.
  if (focus !== null && !near) draw();
  const opened = !card.collapsed || focus !== null;
  const drawn = opened && near;
  useLayoutEffect(() => {
    if (focus === null || !drawn || !body.current) return;
    if (card.collapsed) verbs.fold([card.id], false);
    const target = document.getElementById(`${card.id}.${focus}`) ?? body.current;
    target.focus({ preventScroll: true });
    target.scrollIntoView({ block: 'center' });
    onFocused();
  }, [card.id, card.collapsed, focus, onFocused, drawn, verbs]);
  const name = nameOf(card, index);
  const address = ownAddress(card);
  const title = `${card.id}.title`;
  const plan = verdict?.of === card && errors.length === 0 ? verdict.plan : null;
  return (
    <section className={classes.card} aria-labelledby={title} data-wrong={visible.length > 0 || undefined} data-state={row ? rowKind(row) : undefined}>
      <header className={classes.head}>
        <h2 className={classes.title} id={title}>
          <button type="button" className={classes.toggle} aria-expanded={opened} data-card-toggle onClick={() => verbs.fold([card.id], !card.collapsed)}>
            <span className={classes.chevron} aria-hidden="true" />
            {name}
          </button>
        </h2>
        {address === '' ? null : <code className={classes.address}>{address}</code>}
        {row ? <StatusMark kind={rowKind(row)} live /> : null}
        <Badge errors={visible.length} plan={plan} />
        <div className={classes.verbs}>
          <Button size="compact-sm" variant="default" loading={applying} disabled={busy} onClick={() => verbs.apply([card.id])} aria-label={`Apply changes to ${name} alone`}>
            Apply
          </Button>
          <Button size="compact-sm" variant="default" onClick={() => verbs.copy(card.id)} aria-label={`Copy ${name}`}>
            Copy
          </Button>
          <Button size="compact-sm" variant="default" onClick={() => verbs.remove([card.id])} aria-label={`Remove ${name}`}>
            Remove
          </Button>
        </div>
      </header>
      {stored ? (
        <div className={classes.live}>
          {/* Collapsed cards read nothing: the row of the fleet says enough. */}
          {opened ? near ? <HostPanel deploymentId={stored.deploymentId} {...(runId === undefined ? {} : { runId })} /> : <div className={classes.livePlace} /> : null}
        </div>
      ) : null}
      <div ref={body} className={classes.body} tabIndex={-1} hidden={!opened}>
        {drawn ? (
          <CardFormProvider card={card} errors={visible} onEdit={verbs.edit} onTouch={verbs.touch}>
            <Notes card={card} errors={visible} onDismiss={() => verbs.edit(card.id, (each) => ({ ...each, leftOut: [] }))} />
            <CardForm />
            <LastApplied card={card} plan={plan} node={plan?.node ?? row ?? null} onLoad={(loaded) => verbs.replace(card.id, loaded)} />
            {plan ? <PlanView plan={plan} /> : null}
          </CardFormProvider>
        ) : (
          <Placeholder height={height ?? estimate(card)} />
        )}
      </div>
    </section>
  );
});

function Placeholder({ height }: { height: number }) {
  const box = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    // By script: the content policy allows no style attribute in markup.
    if (box.current) box.current.style.height = `${height}px`;
  }, [height]);
  return <div ref={box} />;
}

const actions = { CREATE: 'new', REPLACE: 'replaces', UNCHANGED: 'unchanged' } as const;

function Badge({ errors, plan }: { errors: number; plan: PlanRowFragment | null }) {
  if (errors > 0) return <span className={classes.wrong}>{plural(errors, 'error')}</span>;
  if (plan === null) return null;
  return (
    <span className={classes.badge}>
      <code>{plan.file}</code> {actions[plan.action]}
      {plan.changedOutside ? ', changed outside' : ''}
    </span>
  );
}

/** What is wrong with the card as a whole, and what a file had that has no place here. */
function Notes({ card, errors, onDismiss }: { card: Card; errors: readonly FieldError[]; onDismiss: () => void }) {
  const whole = errors.filter(({ field }) => field === null);
  return (
    <>
      {whole.length === 0 ? null : (
        <ul className={classes.whole}>
          {whole.map(({ text }) => (
            <li key={text}>This node {text}</li>
          ))}
        </ul>
      )}
      {card.leftOut.length === 0 ? null : (
        <div className={classes.leftOut} role="note">
          <p>The file had what has no place here; it was left out:</p>
          <ul>
            {card.leftOut.map((text) => (
              <li key={text}>{text}</li>
            ))}
          </ul>
          <Button size="compact-xs" variant="default" onClick={onDismiss}>
            I have seen it
          </Button>
        </div>
      )}
    </>
  );
}
