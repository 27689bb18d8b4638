import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { checkSession, openSession, session, signOut, takeCode } from './session';

const json = (status: number, body: unknown): Response => new Response(JSON.stringify(body), { status });
const me = { name: 'ada', role: 'operator', expires_at: '2026-11-23T00:00:00Z' };

let calls: [string, string, unknown][];
let answers: (() => Response)[];

beforeEach(() => {
  calls = [];
  answers = [];
  session.set({ status: 'checking' });
  vi.stubGlobal(
    'fetch',
    vi.fn((url: string, init: RequestInit = {}) => {
      calls.push([init.method ?? 'GET', url, init.body]);
      const answer = answers.shift();
      return answer ? Promise.resolve(answer()) : Promise.reject(new TypeError('down'));
    }),
  );
});
afterEach(() => {
  vi.unstubAllGlobals();
});

describe('the code of a sign-in link', () => {
  it('is taken out of the address at once and the rest is kept', () => {
    const replaceState = vi.fn();
    const location = { hash: '#signin=slc_abc%2B1', pathname: '/monitoring', search: '?q=1' };
    expect(takeCode(location, { replaceState })).toBe('slc_abc+1');
    expect(replaceState).toHaveBeenCalledWith(null, '', '/monitoring?q=1');
  });

  it('is not looked for in other fragments', () => {
    const replaceState = vi.fn();
    expect(takeCode({ hash: '#signin=', pathname: '/', search: '' }, { replaceState })).toBeNull();
    expect(takeCode({ hash: '#events', pathname: '/', search: '' }, { replaceState })).toBeNull();
    expect(replaceState).not.toHaveBeenCalled();
  });
});

describe('the session', () => {
  it('begins with a good code', async () => {
    answers = [() => new Response(null, { status: 204 }), () => json(200, me)];
    await openSession('slc_1');
    expect(calls).toEqual([
      ['POST', '/api/session', '{"code":"slc_1"}'],
      ['GET', '/api/session', undefined],
    ]);
    expect(session.get()).toEqual({ status: 'signed-in', name: 'ada', role: 'operator', expiresAt: me.expires_at });
  });

  it('says that a link was used, but not to someone who is signed in', async () => {
    answers = [() => json(401, { error: 'used' }), () => json(401, {})];
    await openSession('slc_1');
    expect(session.get()).toEqual({ status: 'signed-out', reason: 'link-used' });
    answers = [() => json(401, { error: 'used' }), () => json(200, me)];
    await openSession('slc_1');
    expect(session.get().status).toBe('signed-in');
  });

  it('keeps a code that the server could not be given', async () => {
    await openSession('slc_1');
    expect(session.get()).toEqual({ status: 'unreachable' });
    answers = [() => new Response(null, { status: 204 }), () => json(200, me)];
    await openSession();
    expect(calls.filter(([method]) => method === 'POST')).toHaveLength(2);
    expect(session.get().status).toBe('signed-in');
  });

  it('ends when the server says so, and not when it is away', async () => {
    answers = [() => json(200, me)];
    await openSession();
    await checkSession();
    expect(session.get().status).toBe('signed-in');
    answers = [() => json(401, {})];
    await checkSession();
    expect(session.get()).toEqual({ status: 'signed-out', reason: 'ended' });
  });

  it('is ended on the server by signing out', async () => {
    answers = [() => new Response(null, { status: 204 })];
    await signOut();
    expect(calls).toEqual([['DELETE', '/api/session', undefined]]);
    expect(session.get()).toEqual({ status: 'signed-out', reason: 'none' });
  });
});
