import { createStore, useStore } from '@/lib/store';

/** Who is looking at the page, as far as is known. */
export type Session =
  | { status: 'checking' }
  | { status: 'unreachable' }
  | { status: 'signed-out'; reason: 'none' | 'link-used' | 'ended' }
  | { status: 'signed-in'; name: string; role: string; expiresAt: string };

export const session = createStore<Session>({ status: 'checking' });

const roles = ['viewer', 'operator', 'admin'] as const;

/**
 * Whether whoever is signed in may do what needs a role. Only for what to show:
 * the server decides again.
 */
export function useMay(needed: (typeof roles)[number]): boolean {
  const current = useStore(session);
  return current.status === 'signed-in' && roles.findIndex((role) => role === current.role) >= roles.indexOf(needed);
}

const endpoint = '/api/session';

/**
 * Takes the one-time code out of the address, so that it stays in no history
 * and no copied link; null when there is none.
 */
export function takeCode(location: Pick<Location, 'hash' | 'pathname' | 'search'>, history: Pick<History, 'replaceState'>): string | null {
  const match = /^#signin=(.+)$/.exec(location.hash);
  if (!match?.[1]) return null;
  history.replaceState(null, '', location.pathname + location.search);
  try {
    return decodeURIComponent(match[1]);
  } catch {
    // Not something this server made; it will say so itself.
    return match[1];
  }
}

/** Signs in with a code. False when the code was used before, or is too old. */
async function redeem(code: string): Promise<boolean> {
  const answer = await fetch(endpoint, {
    method: 'POST',
    credentials: 'same-origin',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ code }),
  });
  if (answer.ok) return true;
  if (answer.status >= 500 || answer.status === 429) throw new Error(`sign-in answered ${answer.status}`);
  return false;
}

async function whoAmI(): Promise<Session> {
  const answer = await fetch(endpoint, { credentials: 'same-origin', headers: { accept: 'application/json' } });
  if (answer.status === 401) return { status: 'signed-out', reason: 'none' };
  if (!answer.ok) throw new Error(`the session answered ${answer.status}`);
  const { name, role, expires_at: expiresAt } = (await answer.json()) as { name: string; role: string; expires_at: string };
  return { status: 'signed-in', name, role, expiresAt };
}

// Kept until the server has seen it: a code is not lost to an unreachable server.
let pendingCode: string | null = null;

/** Signs in when there is a code, then learns who that is. */
export async function openSession(code: string | null = null): Promise<void> {
  pendingCode = code ?? pendingCode;
  try {
    let used = false;
    if (pendingCode !== null) {
      used = !(await redeem(pendingCode));
      pendingCode = null;
    }
    const found = await whoAmI();
    // A used link with a session still good: someone reloaded, nothing is wrong.
    session.set(found.status === 'signed-out' && used ? { status: 'signed-out', reason: 'link-used' } : found);
  } catch {
    session.set({ status: 'unreachable' });
  }
}

/** Asks whether the session still holds; an answer that does not come says nothing about it. */
export async function checkSession(): Promise<void> {
  if (session.get().status !== 'signed-in') return;
  try {
    const found = await whoAmI();
    if (found.status === 'signed-out') sessionEnded();
  } catch {
    // The stream already shows that the server is away.
  }
}

/** The server said that nobody is signed in any more. */
export function sessionEnded(): void {
  if (session.get().status === 'signed-in') session.set({ status: 'signed-out', reason: 'ended' });
}

/** Signs out here and on the server. */
export async function signOut(): Promise<void> {
  try {
    await fetch(endpoint, { method: 'DELETE', credentials: 'same-origin' });
    session.set({ status: 'signed-out', reason: 'none' });
  } catch {
    // Still signed in there: saying otherwise would be untrue.
    session.set({ status: 'unreachable' });
  }
}
