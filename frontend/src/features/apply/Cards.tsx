import { useCallback, useEffect, useMemo, useRef, useState } from 'react';

import { announce } from '@/app/announcer';
import { useStream } from '@/app/services';
import { useShortcuts } from '@/app/shortcuts';
import type { HostQuery } from '@/gql/generated/graphql';
import { plural } from '@/lib/format';
import { isOver } from '@/lib/states';
import { useStore } from '@/lib/store';
import { isActive } from '@/script/hostState';
import { LogPane } from '@/script/LogPane';
import { notify } from '@/script/notices';
import { RunPanel } from '@/script/RunPanel';
import { useProbes, useRowsOf, useRun, useRunEvents, useRunNow, type RunDetails } from '@/script/useHost';
import { Button, EmptyState, Problems, StatusMark } from '@/ui';
import classes from './ApplyPage.module.css';
import { CardView, errorsOf, errorsShown, type CardVerbs } from './CardView';
import { ErrorSummary } from './ErrorSummary';
import { HostBanner } from './HostBanner';
import { ImportDialog } from './ImportDialog';
import { nameOf, newCard, type Card } from './model/card';
import type { Field } from './model/document';
import { DraftStore } from './model/drafts';
import { readDocument, readRequest } from './model/read';
import { asFile } from './model/request';
import { useApply } from './useApply';
import { useValidation, verdicts, type Checked, type Verdict } from './useValidation';

type Host = NonNullable<HostQuery['scriptHost']>;

/** The cards of this browser, one for the whole app. */
const drafts = new DraftStore();

/** More cards than this come closed, and are drawn only near the window. */
const manyCards = 8;
const noCards: readonly string[] = [];

type Shown = ReadonlyMap<string, 'all' | ReadonlySet<Field>>;

export interface CardsProps {
  host: Host;
  /** The run whose state the cards show. */
  runId: string | undefined;
  onRun: (id: string) => void;
  /** How the host stands may have changed. */
  onChanged: () => void;
}

/** All cards, what is wrong with them, and the button. */
export function Cards({ host, runId, onRun, onChanged }: CardsProps) {
  const { cards, removed } = useStore(drafts.state);
  const { run, cursor, error: unread } = useRun(runId);
  const { apply, sending, problems, forget } = useApply();
  const [shown, setShown] = useState<Shown>(new Map());
  const [refused, setRefused] = useState<Pick<Checked, 'byCard' | 'rest'> | null>(null);
  const [focus, setFocus] = useState<{ cardId: string; field: Field } | null>(null);
  const [importing, setImporting] = useState(false);
  const [dropping, setDropping] = useState(false);
  // A run that was begun here and was not read yet: until then nobody may begin another by a second click.
  const [begun, setBegun] = useState<string | null>(null);
  if (begun !== null && run?.id === begun) setBegun(null);
  const validation = useValidation(cards, `${run?.id ?? ''} ${run?.state ?? ''}`);
  const verdictOf = useCallback((id: string): Verdict | undefined => refused?.byCard.get(id) ?? validation.checked?.byCard.get(id), [refused, validation.checked]);

  const live = useLive(run, cursor, onChanged);
  useBorrowedCards(cards, run);

  const reveal = useCallback((ids: readonly string[]) => setShown((before) => new Map([...before, ...ids.map((id) => [id, 'all'] as const)])), []);
  const touch = useTouch(setShown);
  const go = useCallback((cardId: string, field: Field | null) => setFocus({ cardId, field: field ?? 'hostname' }), []);
  const focused = useCallback(() => setFocus(null), []);

  const send = useCallback(
    async (ids: readonly string[]): Promise<void> => {
      const chosen = drafts.state.get().cards.filter(({ id }) => ids.includes(id));
      reveal(ids);
      setRefused(null);
      const wrong = chosen.filter((card) => errorsOf(card, validation.checked?.byCard.get(card.id)).length > 0);
      if (wrong.length > 0) {
        announce(`Nothing was applied: ${plural(wrong.length, 'node')} to be put right`);
        drafts.fold(wrong.map(({ id }) => id), false);
        requestAnimationFrame(() => document.getElementById('apply-errors')?.focus());
        return;
      }
      const outcome = await apply(chosen);
      if (outcome === null) return;
      if (outcome.runId === null) setRefused(verdicts(outcome.refused.cards, outcome.refused.request, outcome.refused.problems, []));
      else {
        setBegun(outcome.runId);
        onRun(outcome.runId);
      }
      onChanged();
    },
    [apply, onChanged, onRun, reveal, validation.checked],
  );

  const verbs = useMemo<CardVerbs>(
    () => ({
      edit: (id, change) => {
        drafts.change(id, change);
        setRefused(null);
        forget();
      },
      touch,
      fold: drafts.fold,
      copy: (id) => {
        const made = drafts.copy(id);
        if (made !== null) setFocus({ cardId: made, field: 'hostname' });
      },
      remove: (ids) => {
        drafts.remove(ids);
        announce(`${plural(ids.length, 'node')} removed. Undo brings it back.`);
      },
      replace: (id, card) => {
        drafts.replace(id, card);
        reveal([id]);
      },
      apply: (ids) => void send(ids),
    }),
    [forget, reveal, send, touch],
  );

  const add = (): void => {
    const card = newCard({ hostname: cards.length === 0 ? 'SQDN-001' : '' });
    drafts.add([card]);
    setFocus({ cardId: card.id, field: 'hostname' });
  };
  const take = (read: readonly Card[]): void => {
    const made = read.map((card) => (read.length > manyCards ? { ...card, collapsed: true } : card));
    drafts.add(made);
    reveal(made.map(({ id }) => id));
    setImporting(false);
    notify('told', `${plural(made.length, 'node')} imported`, { detail: made.some(({ leftOut }) => leftOut.length > 0) ? 'Some of what the file had has no place here; the cards say what.' : null });
  };
  const all = useMemo(() => cards.map(({ id }) => id), [cards]);
  useCardKeys(add, () => void send(all));

  const errors = useMemo(() => new Map(cards.map((card) => [card.id, errorsShown(errorsOf(card, verdictOf(card.id)), shown.get(card.id))])), [cards, shown, verdictOf]);
  const wrongCount = [...errors.values()].reduce((sum, each) => sum + each.length, 0);
  const busy = sending.length > 0 || (begun !== null && !unread) || live.active;
  // What the server says of the request as a whole, unless it stands at the fields.
  const whole = refused ? problems.filter(({ message }) => refused.rest.some((error) => error.message === message)) : problems;
  return (
    <div
      className={classes.page}
      data-dropping={dropping || undefined}
      onDragOver={(event) => {
        event.preventDefault();
        setDropping(true);
      }}
      onDragLeave={() => setDropping(false)}
      onDrop={(event) => {
        event.preventDefault();
        setDropping(false);
        void event.dataTransfer.files[0]?.text().then((text) => takeText(text, take));
      }}
    >
      <div className={classes.bar}>
        <div role="group" aria-label="Cards" className={classes.tools}>
          <Button size="compact-sm" variant="default" onClick={add}>
            Add a node
          </Button>
          <Button size="compact-sm" variant="default" onClick={() => setImporting(true)}>
            Import…
          </Button>
          <Button size="compact-sm" variant="default" disabled={cards.length === 0} onClick={() => download(asFile(cards))}>
            Export
          </Button>
          {cards.length > 1 ? (
            <>
              <Button size="compact-sm" variant="default" onClick={() => drafts.fold('all', cards.some(({ collapsed }) => !collapsed))}>
                {cards.some(({ collapsed }) => !collapsed) ? 'Close all' : 'Open all'}
              </Button>
              <Button size="compact-sm" variant="default" onClick={() => verbs.remove(all)}>
                Remove all
              </Button>
            </>
          ) : null}
        </div>
        <span role="status" className={classes.state} data-wrong={wrongCount > 0 || undefined}>
          {sending.length > 0 ? `Applying to ${plural(sending.length, 'node')} …` : stateLine(cards, wrongCount, validation)}
        </span>
        <Button size="sm" loading={sending.length > 0} disabled={cards.length === 0 || busy} onClick={() => void send(all)}>
          Apply changes
        </Button>
      </div>

      <HostBanner host={host} obstacle={validation.checked?.obstacle ?? host.obstacle} onChanged={onChanged} />
      <Problems title="Nothing was applied" problems={whole} />
      {validation.problems.length > 0 ? <Problems title="The server could not look at the cards" problems={validation.problems} /> : null}
      <ErrorSummary cards={cards} errors={errors} rest={refused?.rest.length ? [] : (validation.checked?.rest ?? [])} onGo={go} />
      {removed.length > 0 ? (
        <div className={classes.undo}>
          <span>{removed.length === 1 && removed[0] ? `${nameOf(removed[0].card, removed[0].index)} was removed.` : `${removed.length} nodes were removed.`}</span>
          <Button size="compact-sm" variant="default" onClick={drafts.undo}>
            Undo
          </Button>
        </div>
      ) : null}
      {cards.length === 0 ? <Nothing onAdd={add} onImport={() => setImporting(true)} /> : null}
      <div className={classes.cards}>
        {cards.map((card, index) => {
          const stored = live.stored.get(card.hostname.trim().toLowerCase());
          return (
            <CardView
              key={card.id}
              card={card}
              index={index}
              verdict={verdictOf(card.id)}
              shown={shown.get(card.id)}
              stored={stored}
              row={stored ? live.rows.get(stored.deploymentId) : undefined}
              runId={runId}
              busy={busy}
              applying={sending.includes(card.id)}
              lazy={cards.length > manyCards}
              focus={focus?.cardId === card.id ? focus.field : null}
              onFocused={focused}
              verbs={verbs}
            />
          );
        })}
      </div>
      {run ? <Shown key={run.id} run={run} /> : null}
      {importing ? <ImportDialog onClose={() => setImporting(false)} onImport={take} /> : null}
    </div>
  );
}

function takeText(text: string, take: (cards: readonly Card[]) => void): void {
  const read = readRequest(text);
  if (read.problem === null) take(read.cards);
  else notify('failed', 'The file was not read', { detail: read.problem });
}

/** Hands a file to the browser. */
function download(text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type: 'application/json' }));
  const link = document.createElement('a');
  link.href = url;
  link.download = 'nodes.json';
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

function stateLine(cards: readonly Card[], wrong: number, { checked, fresh, problems }: ReturnType<typeof useValidation>): string {
  if (cards.length === 0) return '';
  if (wrong > 0) return `${plural(wrong, 'error')} to be put right`;
  if (problems.length > 0) return '';
  if (!fresh || checked === null) return 'Being looked at …';
  const plans = [...checked.byCard.values()].flatMap(({ plan }) => (plan ? [plan.action] : []));
  if (plans.length === 0) return 'Something is still missing';
  const count = (action: string): number => plans.filter((each) => each === action).length;
  const parts = [[count('CREATE'), 'new'], [count('REPLACE'), 'replaced'], [count('UNCHANGED'), 'unchanged']].flatMap(([n, word]) => (n === 0 ? [] : [`${String(n)} ${String(word)}`]));
  return `${plural(plans.length, 'file')}: ${parts.join(', ')}`;
}

/** The run that the cards show, with its output. */
function Shown({ run }: { run: RunDetails }) {
  const now = useRunNow(run);
  return (
    <>
      <RunPanel run={run} />
      <LogPane runId={run.id} bytes={run.logBytes} cut={now.logCut} active={isActive(now)} />
    </>
  );
}

function Nothing({ onAdd, onImport }: { onAdd: () => void; onImport: () => void }) {
  return (
    <div className={classes.empty}>
      <EmptyState title="No nodes yet" mark={<StatusMark kind="registered" word="Nothing to apply" />}>
        <p>Fill in a card for each node and apply them all at once. Slipway stores the configurations, runs the deployment script, and asks each node until it is proven back.</p>
        <div className={classes.firstSteps}>
          <Button size="sm" onClick={onAdd}>
            Add the first node
          </Button>
          <Button size="sm" variant="default" onClick={onImport}>
            Import nodes…
          </Button>
        </div>
        <p>Cards are kept in this browser until they are applied. A JSON file can be dropped on the page.</p>
      </EmptyState>
    </div>
  );
}

/** How the nodes of the shown run stand. */
function useLive(run: RunDetails | null, cursor: string | null, onChanged: () => void) {
  const ids = useMemo(() => run?.documents.map(({ deploymentId }) => deploymentId) ?? noCards, [run]);
  const rows = useRowsOf(ids);
  useProbes();
  useRunEvents(run, cursor, rows);
  const stored = useMemo(() => new Map((run?.documents ?? []).map((document) => [document.nodeName.toLowerCase(), document])), [run]);
  const active = run !== null && isActive(run);
  // When the script ends, the next run may begin.
  const before = useRef(active);
  useEffect(() => {
    if (before.current && !active) onChanged();
    before.current = active;
  }, [active, onChanged]);
  return { rows, stored, active };
}

/**
 * In a browser that has no cards of its own, those of a run that is under way
 * are shown, as they were stored.
 */
function useBorrowedCards(cards: readonly Card[], run: RunDetails | null): void {
  const stream = useStream();
  const { rows, revision } = useStore(stream.fleet);
  const done = useRef(false);
  useEffect(() => {
    if (run === null || done.current) return;
    const current = new Set([...rows.values()].flatMap(({ currentDeployment }) => (currentDeployment && !isOver(currentDeployment.state) ? [currentDeployment.id] : [])));
    if (!isActive(run) && !run.documents.some(({ deploymentId }) => current.has(deploymentId))) return;
    done.current = true;
    if (cards.length > 0) return;
    const read = run.documents.flatMap((document) => {
      const card = readDocument(document.content);
      return card ? [{ ...card, changedAt: document.createdAt, collapsed: run.documents.length > manyCards }] : [];
    });
    drafts.add(read);
    // The map is changed in place; its revision tells.
  }, [cards.length, run, rows, revision]);
}

/** Has a field judged once one leaves it, or has stopped typing in it. */
function useTouch(setShown: (change: (before: Shown) => Shown) => void): (id: string, field: Field) => void {
  return useCallback(
    (id: string, field: Field) =>
      setShown((before) => {
        const held = before.get(id);
        if (held === 'all' || held?.has(field)) return before;
        return new Map(before).set(id, new Set([...(held ?? []), field]));
      }),
    [setShown],
  );
}

/** Keys of the page: from card to card, a new one, and all to be applied. */
function useCardKeys(add: () => void, apply: () => void): void {
  const step = (by: 1 | -1): void => {
    const toggles = [...document.querySelectorAll<HTMLElement>('[data-card-toggle]')];
    const at = toggles.findIndex((each) => each.closest('section')?.contains(document.activeElement));
    toggles[Math.min(toggles.length - 1, Math.max(0, at < 0 && by < 0 ? toggles.length - 1 : at + by))]?.focus();
  };
  useShortcuts({ j: () => step(1), k: () => step(-1), n: add });
  const latest = useRef(apply);
  useEffect(() => {
    latest.current = apply;
  });
  useEffect(() => {
    const listen = (event: KeyboardEvent): void => {
      if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey) || document.querySelector('[role="dialog"]')) return;
      event.preventDefault();
      latest.current();
    };
    document.addEventListener('keydown', listen);
    return () => document.removeEventListener('keydown', listen);
  }, []);
}
