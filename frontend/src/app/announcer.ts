import { createStore } from '@/lib/store';

/** What the live region says; a new value is read aloud when the reader is idle. */
export const announcement = createStore('');

const every = 5000;
const most = 3;
let waiting: string[] = [];
let timer: ReturnType<typeof setTimeout> | undefined;

function speak(): void {
  timer = undefined;
  const said = waiting.slice(0, most);
  const rest = waiting.length - said.length;
  waiting = [];
  announcement.set(said.join('. ') + (rest > 0 ? `. And ${rest} more ${rest === 1 ? 'change' : 'changes'}.` : '.'));
}

/** Announces something politely: one sentence for all that happens within five seconds. */
export function announce(text: string): void {
  waiting.push(text);
  timer ??= setTimeout(speak, every);
}

/** Forgets what was not said yet. */
export function resetAnnouncer(): void {
  clearTimeout(timer);
  timer = undefined;
  waiting = [];
  announcement.set('');
}
