import { createStore, type Store } from './store';
import type { TimeMode } from './format';

const key = 'slipway.time';
const modes: readonly TimeMode[] = ['utc', 'local', 'relative'];

function read(): TimeMode {
  try {
    const saved = localStorage.getItem(key);
    return modes.find((mode) => mode === saved) ?? 'local';
  } catch {
    // Storage may be forbidden; the choice then lasts as long as the page.
    return 'local';
  }
}

/** How this person wants instants shown; remembered in this browser. */
export const timeMode: Store<TimeMode> = createStore(read());

timeMode.subscribe(() => {
  try {
    localStorage.setItem(key, timeMode.get());
  } catch {
    // See read().
  }
});

/** The next mode, for the shortcut that cycles through them. */
export function nextTimeMode(mode: TimeMode): TimeMode {
  return modes[(modes.indexOf(mode) + 1) % modes.length] ?? 'local';
}
