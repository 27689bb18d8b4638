import { useLayoutEffect } from 'react';

/**
 * Gives the focus back to where it was, also when the dialog is taken away as a
 * whole; to the page's content if what opened it is no longer there.
 */
export function useFocusBack(opened: boolean): void {
  useLayoutEffect(() => {
    if (!opened) return;
    const before = document.activeElement;
    return () => {
      // After this change of the page is complete: the button may go with it.
      setTimeout(() => {
        if (document.activeElement !== null && document.activeElement !== document.body) return;
        const back = before instanceof HTMLElement && before !== document.body && before.isConnected && !before.matches(':disabled') ? before : document.querySelector<HTMLElement>('main');
        back?.focus({ preventScroll: true });
      }, 0);
    };
  }, [opened]);
}
