import { useEffect, useRef } from 'react';

/** Every shortcut of the app, for the dialog that lists them. */
export const shortcutList: readonly { keys: readonly string[]; does: string; where: string }[] = [
  { keys: ['?'], does: 'Show these shortcuts', where: 'Everywhere' },
  { keys: ['Ctrl', 'K'], does: 'Go to a node, page or action; ⌘K on a Mac', where: 'Everywhere' },
  { keys: ['t'], does: 'Switch times: local, relative, UTC', where: 'Everywhere' },
  { keys: ['g', 'f'], does: 'Go to the fleet', where: 'Everywhere' },
  { keys: ['g', 'o'], does: 'Go to the overview', where: 'Everywhere' },
  { keys: ['g', 'c'], does: 'Go to the clusters', where: 'Everywhere' },
  { keys: ['g', 'h'], does: 'Go to the history', where: 'Everywhere' },
  { keys: ['g', 'i'], does: 'Go to the insights', where: 'Everywhere' },
  { keys: ['g', 'b'], does: 'Go to the bulk operations', where: 'Everywhere' },
  { keys: ['g', 'p'], does: 'Go to the cards to apply', where: 'Everywhere' },
  { keys: ['g', 'r'], does: 'Go to the runs of the script', where: 'Everywhere' },
  { keys: ['g', 'd'], does: 'Go to the form that deploys', where: 'Everywhere' },
  { keys: ['g', 'a'], does: 'Go to the artifacts', where: 'Everywhere' },
  { keys: ['g', 's'], does: 'Go to the settings', where: 'Everywhere' },
  { keys: ['/'], does: 'Filter the table', where: 'Fleet' },
  { keys: ['j', 'k'], does: 'Next and previous node', where: 'Fleet' },
  { keys: ['Enter'], does: 'Open the node', where: 'Fleet' },
  { keys: ['x'], does: 'Select the node, or let it go', where: 'Fleet' },
  { keys: ['Shift x'], does: 'Select from the last one to here', where: 'Fleet' },
  { keys: ['a'], does: 'Select all that are shown', where: 'Fleet' },
  { keys: ['Esc'], does: 'Select nothing', where: 'Fleet' },
  { keys: ['j', 'k'], does: 'Next and previous card', where: 'Apply changes' },
  { keys: ['n'], does: 'Add a node', where: 'Apply changes' },
  { keys: ['Ctrl Enter'], does: 'Apply all cards', where: 'Apply changes' },
  { keys: ['←', '→'], does: 'Previous and next bar in time', where: 'Timeline' },
  { keys: ['↑', '↓'], does: 'Bar of the phase above and below', where: 'Timeline' },
  { keys: ['Enter'], does: 'Show only the events of that phase', where: 'Timeline' },
];

// A box that is ticked takes no letters.
const notTyped: ReadonlySet<string> = new Set(['checkbox', 'radio', 'button', 'submit', 'range', 'file']);

function isTyping(target: EventTarget | null): boolean {
  if (target instanceof HTMLInputElement && notTyped.has(target.type)) return false;
  return target instanceof HTMLElement && (target.isContentEditable || ['INPUT', 'TEXTAREA', 'SELECT'].includes(target.tagName));
}

/**
 * Keys that were pressed while a dialog was open, or in a notice that is about one. Asked before anybody else
 * hears of them: the key that closes a dialog is not meant for the page below,
 * although the dialog may be gone when the page is told.
 */
const forDialog = new WeakSet<Event>();
globalThis.addEventListener(
  'keydown',
  (event) => {
    if (document.querySelector('[role="dialog"]') || (event.target instanceof Element && event.target.closest('[role="alertdialog"]'))) forDialog.add(event);
  },
  true,
);

/** Two keys of one shortcut follow each other within this time, in ms. */
const chordTime = 1000;

/** Listens to plain keys ("j") and pairs ("g f"), not while someone types or a dialog is open. */
export function useShortcuts(actions: Record<string, () => void>): void {
  const latest = useRef(actions);
  useEffect(() => {
    latest.current = actions;
  });
  useEffect(() => {
    let before: { key: string; at: number } | null = null;
    const listen = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || isTyping(event.target)) return;
      if (forDialog.has(event)) return;
      const chord = before && event.timeStamp - before.at < chordTime ? `${before.key} ${event.key}` : null;
      const action = (chord === null ? undefined : latest.current[chord]) ?? latest.current[event.key];
      before = { key: event.key, at: event.timeStamp };
      if (!action) return;
      event.preventDefault();
      action();
    };
    document.addEventListener('keydown', listen);
    return () => document.removeEventListener('keydown', listen);
  }, []);
}
