import { act, renderHook } from '@testing-library/react';
import { expect, it } from 'vitest';

import { useHeldOrder } from './useHeldOrder';

const render = (fresh: string[], question = 'all', held = false) =>
  renderHook((props: { fresh: string[]; question: string; held: boolean }) => useHeldOrder(props.fresh, props.question, props.held), {
    initialProps: { fresh, question, held },
  });

it('follows the order while nobody points at the rows', () => {
  const { result, rerender } = render(['a', 'b', 'c']);
  rerender({ fresh: ['c', 'a', 'b'], question: 'all', held: false });
  expect(result.current).toMatchObject({ ids: ['c', 'a', 'b'], moves: 0 });
});

it('keeps it while somebody does, and says how many rows would move', () => {
  const { result, rerender } = render(['a', 'b', 'c']);
  rerender({ fresh: ['b', 'a', 'c', 'd'], question: 'all', held: true });
  expect(result.current).toMatchObject({ ids: ['a', 'b', 'c'], moves: 3 });
  act(() => result.current.apply());
  expect(result.current).toMatchObject({ ids: ['b', 'a', 'c', 'd'], moves: 0 });
});

it('answers another question at once', () => {
  const { result, rerender } = render(['a', 'b', 'c']);
  rerender({ fresh: ['b'], question: 'failed', held: true });
  expect(result.current.ids).toEqual(['b']);
});

it('lets go when the pointer leaves', () => {
  const { result, rerender } = render(['a', 'b']);
  rerender({ fresh: ['b', 'a'], question: 'all', held: true });
  rerender({ fresh: ['b', 'a'], question: 'all', held: false });
  expect(result.current).toMatchObject({ ids: ['b', 'a'], moves: 0 });
});
