import { useApolloClient } from '@apollo/client/react';
import { useEffect, useMemo, useRef, useState } from 'react';

import { problemsOf, type Problem } from '@/gql/client/ask';
import { ValidateConfigsDocument, type KeyedRefusalFragment, type PlanRowFragment } from '@/gql/generated/graphql';
import type { Card } from './model/card';
import { placeErrors, requestOf, type FieldError, type Request, type ServerError } from './model/request';

/** What the server said of a card. */
export interface Verdict {
  /** The card as it was then. */
  of: Card;
  errors: readonly FieldError[];
  /** What applying it would write; null while there are errors. */
  plan: PlanRowFragment | null;
}

/** What the server said of all cards. */
export interface Checked {
  byCard: ReadonlyMap<string, Verdict>;
  /** Errors that belong to no card. */
  rest: readonly ServerError[];
  ok: boolean;
  obstacle: KeyedRefusalFragment | null;
}

export interface Validation {
  /** Of the cards as they were when the server last answered. */
  checked: Checked | null;
  /** It is about the cards as they are. */
  fresh: boolean;
  /** Why the server could not be asked. */
  problems: readonly Problem[];
}

/** The server is asked after a pause in typing, in ms. */
const pause = 500;

/** Sorts what the server said by card. */
export function verdicts(cards: readonly Card[], request: Request, errors: readonly ServerError[], plans: readonly PlanRowFragment[]): Pick<Checked, 'byCard' | 'rest'> {
  const { placed, rest } = placeErrors(errors, request);
  const byCard = new Map<string, Verdict>(cards.map((card) => [card.id, { of: card, errors: placed.filter(({ cardId }) => cardId === card.id), plan: null }]));
  for (const plan of plans) {
    const id = request.order[plan.index] ?? '';
    const verdict = byCard.get(id);
    if (verdict) byCard.set(id, { ...verdict, plan });
  }
  return { byCard, rest };
}

/** Has the server look at the cards whenever they have changed and a moment has passed; only its last word counts. */
export function useValidation(cards: readonly Card[], again: unknown): Validation {
  const client = useApolloClient();
  const [state, setState] = useState<{ body: string; checked: Checked | null; problems: readonly Problem[] }>({ body: '', checked: null, problems: [] });
  const request = useMemo(() => requestOf(cards), [cards]);
  const body = useMemo(() => JSON.stringify([request.order, request.body]), [request]);
  const latest = useRef({ cards, request });
  useEffect(() => {
    latest.current = { cards, request };
  });
  const empty = cards.length === 0;
  useEffect(() => {
    if (empty) return;
    const stop = new AbortController();
    const ask = async (): Promise<void> => {
      const asked = latest.current;
      try {
        const { data, error } = await client.query({ query: ValidateConfigsDocument, variables: { input: { documents: asked.request.body } }, fetchPolicy: 'no-cache', context: { fetchOptions: { signal: stop.signal } } });
        if (stop.signal.aborted) return;
        if (data === undefined) {
          setState((before) => ({ ...before, problems: problemsOf(error) }));
          return;
        }
        const { ok, errors, plans, obstacle } = data.validateNodeConfigs;
        setState({ body, checked: { ...verdicts(asked.cards, asked.request, errors, plans), ok, obstacle }, problems: [] });
      } catch (error) {
        if (!stop.signal.aborted) setState((before) => ({ ...before, problems: problemsOf(error) }));
      }
    };
    const timer = setTimeout(() => void ask(), pause);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [client, body, empty, again]);
  return { checked: empty ? null : state.checked, fresh: !empty && state.body === body && state.problems.length === 0, problems: empty ? [] : state.problems };
}
