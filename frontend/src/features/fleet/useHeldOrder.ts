import { useState } from 'react';

export interface HeldOrder {
  /** The ids to show, in order. */
  ids: readonly string[];
  /** How many rows would move, come or go if the order were applied. */
  moves: number;
  /** Applies the order although it is held. */
  apply: () => void;
}

/** How many places of two orders differ. */
export function countMoves(shown: readonly string[], fresh: readonly string[]): number {
  let moves = 0;
  for (let i = 0; i < Math.max(shown.length, fresh.length); i++) if (shown[i] !== fresh[i]) moves += 1;
  return moves;
}

interface Shown {
  ids: readonly string[];
  question: string;
}

/**
 * Keeps the order of rows while somebody points at them: a row must not move
 * away under a click. `question` stands for what the person asked for (filter
 * and sort); another question is answered at once.
 */
export function useHeldOrder(fresh: readonly string[], question: string, held: boolean): HeldOrder {
  const [shown, setShown] = useState<Shown>({ ids: fresh, question });
  const stay = held && shown.question === question && shown.ids.length > 0;
  if (!stay && (shown.ids !== fresh || shown.question !== question)) {
    // React's way of following a value: set while rendering, before children see the old one.
    setShown({ ids: fresh, question });
    return { ids: fresh, moves: 0, apply: () => undefined };
  }
  return {
    ids: shown.ids,
    moves: stay ? countMoves(shown.ids, fresh) : 0,
    apply: () => setShown({ ids: fresh, question }),
  };
}
