import { announce } from '@/app/announcer';
import { uniqueKey } from '@/lib/key';
import { createStore } from '@/lib/store';

/** Something that happened, and that one may want to read again. */
export interface Notice {
  id: string;
  kind: 'succeeded' | 'failed' | 'told';
  text: string;
  /** More of it, if there is more. */
  detail: string | null;
  /** ISO. */
  at: string;
  /** The run that it is about. */
  runId: string | null;
  seen: boolean;
}

const key = 'slipway.notices';
const most = 30;

function read(): readonly Notice[] {
  try {
    const saved: unknown = JSON.parse(sessionStorage.getItem(key) ?? '[]');
    return Array.isArray(saved) ? (saved as Notice[]).filter(({ id, text }) => typeof id === 'string' && typeof text === 'string').map((each) => ({ ...each, seen: true })) : [];
  } catch {
    return [];
  }
}

/** What happened while this tab was open, the newest first; a reload keeps it. */
export const notices = createStore<readonly Notice[]>(read());

notices.subscribe(() => {
  try {
    sessionStorage.setItem(key, JSON.stringify(notices.get()));
  } catch {
    // They then last as long as the page.
  }
});

/** Says what happened: seen for a while, heard, and kept in the list. */
export function notify(kind: Notice['kind'], text: string, { detail = null, runId = null }: { detail?: string | null; runId?: string | null } = {}): void {
  notices.update((all) => [{ id: uniqueKey(), kind, text, detail, runId, at: new Date().toISOString(), seen: false }, ...all].slice(0, most));
  announce(text);
}

/** Takes one out of sight; it stays in the list. */
export function seen(id: string): void {
  notices.update((all) => all.map((each) => (each.id === id ? { ...each, seen: true } : each)));
}

export function clearNotices(): void {
  notices.set([]);
}
