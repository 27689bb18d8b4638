import { useApolloClient } from '@apollo/client/react';
import { useCallback, useRef, useState } from 'react';

import { ask, type Problem } from '@/gql/client/ask';
import { ApplyConfigsDocument } from '@/gql/generated/graphql';
import { plural } from '@/lib/format';
import { uniqueKey } from '@/lib/key';
import { runNumber } from '@/script/hostState';
import { notify } from '@/script/notices';
import type { Card } from './model/card';
import { requestOf, type Request } from './model/request';

/** How a request ended. */
export type Applied = { runId: string; refused: null } | { runId: null; refused: { cards: readonly Card[]; request: Request; problems: readonly Problem[] } };

/** Sends cards to be applied, once at a time; says at once that it does, and then what happened. */
export function useApply() {
  const client = useApolloClient();
  /** Ids of the cards that are being sent. */
  const [sending, setSending] = useState<readonly string[]>([]);
  const [problems, setProblems] = useState<readonly Problem[]>([]);
  const busy = useRef(false);
  // The same request twice is one run: what became of it may be unknown.
  const last = useRef({ body: '', key: '' });
  const apply = useCallback(
    async (cards: readonly Card[]): Promise<Applied | null> => {
      if (busy.current || cards.length === 0) return null;
      busy.current = true;
      setSending(cards.map(({ id }) => id));
      setProblems([]);
      const request = requestOf(cards);
      const body = JSON.stringify(request.body);
      if (last.current.body !== body) last.current = { body, key: uniqueKey() };
      const { answer, problems: refused } = await ask(client, ApplyConfigsDocument, { input: { documents: request.body, idempotencyKey: last.current.key } });
      busy.current = false;
      setSending([]);
      const run = answer?.run ?? null;
      if (run !== null) {
        // The same cards again are another run from now on.
        last.current = { body: '', key: '' };
        const files = answer?.plans.map(({ file }) => file).join(', ') ?? '';
        notify('succeeded', `Run ${runNumber(run.id)} has started for ${plural(cards.length, 'node')}`, { detail: files, runId: run.id });
        return { runId: run.id, refused: null };
      }
      // A refusal is final; only where nobody knows, the key is kept.
      if (refused.some(({ code }) => code !== null)) last.current = { body: '', key: '' };
      const [first] = refused;
      notify('failed', refused.length === 1 && first ? `Nothing was applied: ${first.message}` : `Nothing was applied: ${plural(refused.length, 'error')}`);
      setProblems(refused);
      return { runId: null, refused: { cards, request, problems: refused } };
    },
    [client],
  );
  const forget = useCallback(() => setProblems([]), []);
  return { apply, sending, problems, forget };
}
