import { useEffect, useRef, useState, type RefObject } from 'react';

/** Parts this far outside of the window are drawn already, in px. */
const margin = '900px';

/**
 * Whether a part of the page is in the window or near it, so that only those of
 * a hundred cards are drawn that one may see soon. What was drawn keeps its
 * height when it goes, and what holds the focus does not go.
 */
export function useNear(box: RefObject<HTMLElement | null>): { near: boolean; height: number | null; draw: () => void } {
  const [near, setNear] = useState(false);
  const [height, setHeight] = useState<number | null>(null);
  const drawn = useRef(false);
  useEffect(() => {
    drawn.current = near;
  }, [near]);
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const observer = new IntersectionObserver(
      ([entry]) => {
        if (!entry) return;
        if (!entry.isIntersecting) {
          if (element.contains(document.activeElement)) return;
          if (drawn.current) setHeight(element.getBoundingClientRect().height);
        }
        setNear(entry.isIntersecting);
      },
      { rootMargin: `${margin} 0px` },
    );
    observer.observe(element);
    return () => observer.disconnect();
  }, [box]);
  return { near, height, draw: () => setNear(true) };
}
