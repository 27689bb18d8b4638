import { useApolloClient } from '@apollo/client/react';
import { useCallback, useEffect, useRef, useState } from 'react';

import { useStream } from '@/app/services';
import { RecentEventsDocument, type DeploymentEventFilter, type HistoryRowFragment } from '@/gql/generated/graphql';

/** Events of a page. */
const pageSize = 100;
/** Events that are kept; the oldest are let go when more than these come live. */
export const mostKept = 2000;

export interface History {
  /** The newest first. */
  events: readonly HistoryRowFragment[];
  /** The first page is there. */
  loaded: boolean;
  /** There are older ones. */
  more: boolean;
  busy: boolean;
  error: unknown;
  older: () => void;
  again: () => void;
}

interface Held {
  /** The question that this answers. */
  of: string;
  events: readonly HistoryRowFragment[];
  end: string | null;
  more: boolean;
  loaded: boolean;
}

const nothing: Held = { of: '', events: [], end: null, more: false, loaded: false };

/** Puts newer events in front, each once. */
export function inFront(held: readonly HistoryRowFragment[], arrived: readonly HistoryRowFragment[]): readonly HistoryRowFragment[] {
  const known = new Set(held.map(({ id }) => id));
  const fresh = arrived.filter(({ id }) => !known.has(id));
  return fresh.length === 0 ? held : [...fresh.toReversed(), ...held];
}

/**
 * The history of the fleet that matches: pages backwards from the newest, and
 * what happens meanwhile in front. The tail begins where the first page was
 * read, so nothing is missing between the two.
 */
export function useHistory(filter: DeploymentEventFilter, ask: boolean): History {
  const client = useApolloClient();
  const stream = useStream();
  const [answer, setHeld] = useState<Held>(nothing);
  const [reading, setReading] = useState(false);
  const [failure, setFailure] = useState<{ of: string; error: unknown } | null>(null);
  const [round, setRound] = useState(0);
  const again = useCallback(() => setRound((n) => n + 1), []);
  const question = JSON.stringify(filter);
  const key = `${round} ${question} ${ask}`;
  // What answers another question is not shown any more.
  const held = answer.of === key ? answer : nothing;
  const error = failure?.of === key ? failure.error : null;
  const busy = reading || (ask && !held.loaded && error === null);
  const current = useRef(0);

  useEffect(() => {
    const asked = JSON.parse(question) as DeploymentEventFilter;
    const mine = ++current.current;
    if (!ask) return;
    let unwatch: (() => void) | undefined;
    // Older than the read that follows, so nothing is missed, and newer than what
    // retention takes, as the newest event that matches need not be.
    const before = stream.position();
    const isMine = (): boolean => current.current === mine;
    void (async () => {
      try {
        const { data } = await client.query({ query: RecentEventsDocument, variables: { first: pageSize, filter: asked }, fetchPolicy: 'no-cache' });
        if (!isMine() || data === undefined) return;
        const { nodes, pageInfo } = data.recentEvents;
        setHeld({ of: key, events: nodes, end: pageInfo.endCursor, more: pageInfo.hasNextPage, loaded: true });
        unwatch = stream.watchHistory(asked, before ?? nodes[0]?.cursor ?? null, {
          events: (arrived) =>
            setHeld((now) => {
              const events = inFront(now.events, arrived);
              if (events.length <= mostKept) return { ...now, events };
              // The end goes with them: older ones are asked for from the last that is kept.
              const kept = events.slice(0, mostKept);
              return { ...now, events: kept, end: kept.at(-1)?.cursor ?? now.end, more: true };
            }),
          reset: again,
        });
      } catch (failed) {
        if (isMine()) setFailure({ of: key, error: failed });
      }
    })();
    return () => {
      current.current += 1;
      unwatch?.();
    };
  }, [question, ask, key, client, stream, again]);

  const older = useCallback((): void => {
    if (busy || !held.more) return;
    const mine = current.current;
    setReading(true);
    setFailure(null);
    void client
      .query({ query: RecentEventsDocument, variables: { first: pageSize, before: held.end, filter: JSON.parse(question) as DeploymentEventFilter }, fetchPolicy: 'no-cache' })
      .then(({ data }) => {
        if (current.current !== mine || data === undefined) return;
        const { nodes, pageInfo } = data.recentEvents;
        setHeld((now) => {
          const known = new Set(now.events.map(({ id }) => id));
          return { ...now, events: [...now.events, ...nodes.filter(({ id }) => !known.has(id))], end: pageInfo.endCursor ?? now.end, more: pageInfo.hasNextPage };
        });
      })
      .catch((failed: unknown) => {
        if (current.current === mine) setFailure({ of: key, error: failed });
      })
      .finally(() => {
        setReading(false);
      });
  }, [busy, held.more, held.end, client, question, key]);

  const { events, loaded, more } = held;
  return { events, loaded, more, busy, error, older, again };
}
