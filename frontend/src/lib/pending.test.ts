import { beforeEach, expect, it } from 'vitest';

import { markPending, operationOver, operationTaken, pending, pendingOperations, reconcile, takeBack } from './pending';

const ids = (): string => [...pending.get().keys()].join(' ');
const rows = (versions: Record<string, number>) => new Map(Object.entries(versions).map(([id, version]) => [id, { version }]));

beforeEach(() => pending.set(new Map()));

it('marks at once and lets go when the row is newer, or gone', () => {
  markPending([{ id: 'a', version: 3 }, { id: 'b', version: 1 }, { id: 'c', version: 1 }], 'Retry asked', 'k');
  expect(pending.get().get('a')?.word).toBe('Retry asked');
  reconcile(rows({ a: 3, b: 2 }));
  expect(ids()).toBe('a');
  reconcile(rows({ a: 4 }));
  expect(ids()).toBe('');
});

it('takes back what was refused, and nothing else', () => {
  markPending([{ id: 'a', version: 1 }], 'Cancel asked', 'one');
  markPending([{ id: 'b', version: 1 }], 'Cancel asked', 'two');
  takeBack('one');
  expect(ids()).toBe('b');
});

it('goes with the end of its operation', () => {
  markPending([{ id: 'a', version: 1 }], 'Retry asked', 'one');
  markPending([{ id: 'b', version: 1 }], 'Retry asked', 'two');
  operationTaken('one', 'blk_1');
  expect(pendingOperations(pending.get())).toEqual(['blk_1']);
  operationOver('blk_1');
  expect(ids()).toBe('b');
});

it('tells nobody when nothing changed', () => {
  const before = pending.get();
  reconcile(rows({}));
  takeBack('nobody');
  expect(pending.get()).toBe(before);
});
