import { describe, expect, it } from 'vitest';

import { playServer, type Answered } from '@/test/server';
import { check, fieldError, merge } from './check';

const line = (key: string, passed: boolean, message: string) => ({ __typename: 'ValidationCheck' as const, key, label: key, severity: 'ERROR' as const, passed, message, hint: null, field: null });
const result = (ok: boolean, ...checks: ReturnType<typeof line>[]) => ({ __typename: 'DeploymentValidation' as const, ok, ahead: 0, estimatedDuration: null, checks, errors: [] });
const inputs = ['m1', 'm2', 'm3'].map((name) => ({ name, spec: { rack: { managementIp: '10.0.0.1' } } }));

describe('the check of several', () => {
  it('says what all have alike once, and of whom the rest is', () => {
    const merged = merge(['m1', 'm2', 'm3'], [result(true, line('quota', true, 'enough'), line('name', true, 'free')), result(false, line('quota', true, 'enough'), line('name', false, 'taken')), result(true, line('quota', true, 'enough'), line('name', true, 'free'))]);
    expect(merged?.ok).toBe(false);
    expect(merged?.checks.map(({ message }) => message)).toEqual(['enough', 'm1, m3: free', 'm2: taken']);
    const named = merge(['m1', 'm2'], [result(true, line('name', true, 'm1 is free')), result(true, line('name', true, 'm2 is free'))]);
    expect(named?.checks.map(({ message }) => message)).toEqual(['m1 is free; alike for the other 1']);
  });

  it('asks of each and counts', async () => {
    const { client, asked } = playServer(() => ({ data: { validateDeployment: result(true) } }));
    const seen: number[] = [];
    const found = await check(client, inputs, (done) => seen.push(done));
    expect(asked.map(({ variables }) => (variables.input as { name: string }).name).sort()).toEqual(['m1', 'm2', 'm3']);
    expect(seen.at(-1)).toBe(3);
    expect(found).toMatchObject({ result: { ok: true }, problems: [] });
    expect(found.requestId).toMatch(/^req-/);
  });

  it('is none when one could not be done', async () => {
    const answer = (n: number): Answered => (n === 2 ? { status: 502 } : { data: { validateDeployment: result(true) } });
    let n = 0;
    const { client } = playServer(() => answer(++n));
    const found = await check(client, inputs, () => undefined);
    expect(found.result).toBeNull();
    expect(found.problems[0]?.message).toMatch(/502/);
    expect(found.problems[0]?.requestId).toMatch(/^req-/);
  });
});

it('finds what is said of a field, wherever in the input that is', () => {
  const said = [{ field: ['input', 'spec', 'ibmVpc', 'vlans', '1', 'subnet'], message: 'unknown' }, { field: null, message: 'no field' }];
  expect(fieldError(said, 'vlans', '1')).toBe('unknown');
  expect(fieldError(said, 'vlans', '0')).toBeUndefined();
  expect(fieldError(said, 'name')).toBeUndefined();
});
