import { describe, expect, it } from 'vitest';

import { playServer, type Answered } from '@/test/server';
import { check, merge, ofLines, refusedHere } from './check';
import { fieldError } from './fieldError';
import { emptyOrder } from './order';

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

const refusal = (field: string[], message: string) => ({ __typename: 'UserError' as const, code: 'INVALID' as const, message, field, retryable: false });

describe('a form that cannot be', () => {
  it('has a verdict when the server could not even read it', async () => {
    const error = { message: 'an IPAddress is an IPv4 or IPv6 address', path: ['validateDeployment', 'input', 'spec', 'rack', 'managementIp'], extensions: { code: 'INVALID' } };
    const found = await check(playServer(() => ({ errors: [error] })).client, inputs.slice(0, 1), () => undefined);
    expect(found).toMatchObject({ problems: [], result: { ok: false, checks: [], errors: [{ message: error.message, field: ['spec', 'rack', 'managementIp'] }] } });
    expect(found.requestId).toMatch(/^req-/);
  });

  it('has none when something else is wrong with the request', async () => {
    const error = { message: 'it needs the role operator', path: ['validateDeployment'], extensions: { code: 'FORBIDDEN' } };
    expect(await check(playServer(() => ({ errors: [error] })).client, inputs.slice(0, 1), () => undefined)).toMatchObject({ result: null, problems: [{ code: 'FORBIDDEN', field: null }] });
  });

  it('is refused before the server is asked', () => {
    expect(refusedHere({ ...emptyOrder, ground: 'RACK', managementIp: '127.64.0.300', mac: '52:54:00:12:34:56' })?.result).toMatchObject({ ok: false, errors: [{ field: ['spec', 'rack', 'managementIp'] }] });
  });
});

it('says of each machine of a table what is wrong with that one, at its line', () => {
  const of = { ...emptyOrder, ground: 'RACK' as const, table: true, rows: '# row 7\nm1 7CX 10.0.0.1\nm2 7CY 10.0.0.2\nm3 7CZ 10.0.0.3' };
  const gateway = refusal(['spec', 'rack', 'gateway'], 'not in the subnet');
  const each = [result(false, line('name', false, 'm1 is taken')), { ...result(false, line('spec', false, 'said once')), errors: [refusal(['spec', 'rack', 'managementIp'], 'held by another'), gateway] }, { ...result(false), errors: [gateway] }];
  expect(ofLines({ of, result: null, each, problems: [], requestId: null })).toEqual([
    { field: ['rows', '2'], message: 'm1 is taken' },
    { field: ['rows', '3'], message: 'held by another' },
  ]);
  expect(ofLines({ of: { ...of, table: false }, result: null, each, problems: [], requestId: null })).toEqual([]);
});

it('finds what is said of a field, wherever in the input that is', () => {
  const said = [{ field: ['input', 'spec', 'ibmVpc', 'vlans', '1', 'subnet'], message: 'unknown' }, { field: null, message: 'no field' }];
  expect(fieldError(said, 'vlans', '1')).toBe('unknown');
  expect(fieldError(said, 'vlans', '0')).toBeUndefined();
  expect(fieldError(said, 'name')).toBeUndefined();
  expect(fieldError([{ field: ['spec', 'ibmVpc', 'serverProfile'], message: 'serverProfile is required' }], 'serverProfile')).toBe('This is required');
});
