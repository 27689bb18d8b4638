import { expect, it } from 'vitest';

import { dropDraft, loadDraft, readDraft, saveDraft } from './draft';
import { emptyOrder, emptyPower, type Order } from './order';

function memory() {
  const kept = new Map<string, string>();
  return { getItem: (key: string) => kept.get(key) ?? null, setItem: (key: string, value: string) => void kept.set(key, value), removeItem: (key: string) => void kept.delete(key) };
}

const order: Order = {
  ...emptyOrder, ground: 'RACK', name: 'rack-1', mac: '52-54-00-12-34-56', workloadSubnets: ['a'], image: 'i', keys: ['k'], securityGroups: ['g', 'h'], table: true, rows: 'r1\t7CX\t10.0.0.9', vlans: [{ id: '7', subnet: 'a', float: true }], maintenance: true,
  power: { ...emptyPower, byController: true, url: 'https://10.0.9.20', passwordRef: 'lab', bootMode: 'UEFI', bootFrom: 'HTTP' },
};

it('survives a reload whole', () => {
  const storage = memory();
  expect(loadDraft(storage)).toBeNull();
  saveDraft(order, storage);
  expect(loadDraft(storage)).toEqual(order);
  dropDraft(storage);
  expect(loadDraft(storage)).toBeNull();
});

it('takes nothing that is not of the form', () => {
  expect(readDraft('no json')).toEqual(emptyOrder);
  expect(readDraft('[1]')).toEqual(emptyOrder);
  expect(readDraft(JSON.stringify({ name: 7, ground: 'MOON', vlans: 'x', workloadSubnets: [1, 'a'], keys: 'k', securityGroups: [{}], image: 1, table: 'yes', power: { bootMode: 'ODD', url: 3 }, password: 'secret' }))).toEqual({ ...emptyOrder, workloadSubnets: ['a'] });
});

it('does without when the browser keeps nothing', () => {
  const refuses = { getItem: () => null, setItem: () => { throw new Error('full'); }, removeItem: () => { throw new Error('no'); } };
  expect(() => {
    saveDraft(order, refuses);
    dropDraft(refuses);
  }).not.toThrow();
});
