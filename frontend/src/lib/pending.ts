import { createStore } from './store';

/** Something that was asked of a machine and that its row does not show yet. */
export interface Pending {
  /** In a word: "Retry asked". */
  word: string;
  /** The row's version when it was asked: a newer one is the answer. */
  version: number;
  /** The bulk operation that it is part of; null until it is known, or when it is none. */
  operation: string | null;
  /** Names the asking, so that a refusal takes back what it marked and nothing else. */
  key: string;
}

/** What is pending, by the machine's id. A new map after every change. */
export const pending = createStore<ReadonlyMap<string, Pending>>(new Map());

/** Marks machines at once, before the server has answered. */
export function markPending(rows: Iterable<{ id: string; version: number }>, word: string, key: string): void {
  pending.update((held) => {
    const next = new Map(held);
    for (const { id, version } of rows) next.set(id, { word, version, operation: null, key });
    return next.size === held.size && next.size === 0 ? held : next;
  });
}

function keep(wanted: (id: string, mark: Pending) => boolean): void {
  pending.update((held) => {
    const next = new Map([...held].filter(([id, mark]) => wanted(id, mark)));
    return next.size === held.size ? held : next;
  });
}

/** It was refused, or nobody knows whether it was taken: the rows are as they were. */
export function takeBack(key: string): void {
  keep((_, mark) => mark.key !== key);
}

/** It was taken as an operation: those that it does not reach are let go with its end. */
export function operationTaken(key: string, operation: string): void {
  pending.update((held) => new Map([...held].map(([id, mark]) => [id, mark.key === key ? { ...mark, operation } : mark])));
}

/** The operation is over: every machine shows by itself what became of it. */
export function operationOver(operation: string): void {
  keep((_, mark) => mark.operation !== operation);
}

/** Lets go of what rows show by now: a newer version, or the row is gone. */
export function reconcile(rows: ReadonlyMap<string, { version: number }>): void {
  if (pending.get().size === 0) return;
  keep((id, mark) => {
    const row = rows.get(id);
    return row !== undefined && row.version <= mark.version;
  });
}

/** Operations that something waits for. */
export function pendingOperations(held: ReadonlyMap<string, Pending>): string[] {
  return [...new Set([...held.values()].map(({ operation }) => operation))].filter((id) => id !== null);
}
