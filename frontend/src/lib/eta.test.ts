import { expect, it } from 'vitest';

import { at, card, row, t0 } from '@/test/fixtures';
import { etaOf, rowEta } from './eta';

it('says about how long it will take', () => {
  expect(etaOf(card({ estimatedFinishAt: at(840) }), t0)).toEqual({ kind: 'waiting', word: '14 min left' });
  expect(etaOf(card({ estimatedFinishAt: at(-5) }), t0)).toEqual({ kind: 'waiting', word: 'any moment' });
});

it('says nothing when nothing is known, or nothing is under way', () => {
  expect(etaOf(card({ estimatedFinishAt: null }), t0)).toBeNull();
  expect(etaOf(card({ state: 'SUCCEEDED', estimatedFinishAt: at(840), late: true }), t0)).toBeNull();
  expect(rowEta(row('node_1', { currentDeployment: null }), t0)).toBeNull();
});

it('keeps late and stalled apart, and says the worse', () => {
  expect(etaOf(card({ late: true, estimatedFinishAt: at(-180) }), t0)).toEqual({ kind: 'late', word: '3 min late' });
  expect(etaOf(card({ late: true, estimatedFinishAt: at(120) }), t0)).toEqual({ kind: 'late', word: 'Late, 2 min left' });
  expect(etaOf(card({ late: true, estimatedFinishAt: at(0.4) }), t0)).toEqual({ kind: 'late', word: 'Late' });
  expect(etaOf(card({ late: true, stalled: true, estimatedFinishAt: at(120) }), t0)).toEqual({ kind: 'stalled', word: 'Stalled' });
});

it('takes a silent machine for stalled', () => {
  expect(rowEta(row('node_1', { stale: true, currentDeployment: card({ estimatedFinishAt: at(60) }) }), t0)?.kind).toBe('stalled');
});
