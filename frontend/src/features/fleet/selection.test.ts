import { expect, it } from 'vitest';

import { extent, nothingSelected, select, selectAll, type Selection } from './selection';

const order = ['a', 'b', 'c', 'd', 'e'];
const may = (id: string): boolean => id !== 'c';
const of = ({ ids }: Selection): string => order.filter((id) => ids.has(id)).join('');
const click = (selection: Selection, id: string, on = true): Selection => select(selection, id, on, false, order, may);
const shiftClick = (selection: Selection, id: string, on = true): Selection => select(selection, id, on, true, order, may);

it('selects a row, and lets go of it', () => {
  const one = click(nothingSelected, 'b');
  expect(of(one)).toBe('b');
  expect(of(click(one, 'b', false))).toBe('');
  expect(of(click(one, 'c'))).toBe('b');
});

it('selects from the last clicked row to this one, both ways, and lets go of a range', () => {
  expect(of(shiftClick(click(nothingSelected, 'b'), 'd'))).toBe('bd');
  expect(of(shiftClick(click(nothingSelected, 'e'), 'b'))).toBe('bde');
  expect(of(shiftClick(click(selectAll(order, may), 'd', false), 'b', false))).toBe('ae');
  expect(of(shiftClick(nothingSelected, 'd'))).toBe('d');
});

it('takes only the row itself when the anchor is not shown any more', () => {
  expect(of(shiftClick({ ids: new Set(), anchor: 'gone', byFilter: false }, 'd'))).toBe('d');
});

it('becomes rows again when one is let go of what the filter chose', () => {
  const all: Selection = { ids: new Set(), anchor: null, byFilter: true };
  expect(extent(all, order, may)).toBe('all');
  const fewer = click(all, 'a', false);
  expect(fewer.byFilter).toBe(false);
  expect(of(fewer)).toBe('bde');
});

it('says whether all, some or none are selected', () => {
  expect(extent(nothingSelected, order, may)).toBe('none');
  expect(extent(click(nothingSelected, 'a'), order, may)).toBe('some');
  expect(extent(selectAll(order, may), order, may)).toBe('all');
  expect(extent(nothingSelected, [], may)).toBe('none');
});
