import { useEffect, useRef } from 'react';

/**
 * Asks the server again when what the answer depends on has changed: soon after
 * the first change, at most once in `every` ms, and always after the last one.
 * A mark of null is not known yet; the first that is known was asked with.
 */
export function useAgain(mark: string | null, every: number, again: () => void): void {
  const asked = useRef({ mark, at: 0 });
  const ask = useRef(again);
  useEffect(() => {
    ask.current = again;
  });
  useEffect(() => {
    asked.current.mark ??= mark;
    if (mark === null || mark === asked.current.mark) return;
    const wait = Math.max(0, asked.current.at + every - Date.now());
    const timer = setTimeout(() => {
      asked.current = { mark, at: Date.now() };
      ask.current();
    }, wait);
    return () => clearTimeout(timer);
  }, [mark, every]);
}
