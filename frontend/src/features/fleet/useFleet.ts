import { useCallback, useRef, useSyncExternalStore } from 'react';

import { useStream } from '@/app/services';
import type { FleetSnapshot } from '@/stream';

/** A fleet of this size is ordered and counted less often, so that frames stay short. */
const large = 1500;

/**
 * The fleet, as often as its order and counts need it: four times a second, once
 * a second for a large one. The rows themselves are drawn from the cache, at once.
 */
export function useFleet(): FleetSnapshot {
  const { fleet } = useStream();
  const seen = useRef(fleet.get());
  const subscribe = useCallback(
    (changed: () => void) => {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const take = (): void => {
        timer = undefined;
        seen.current = fleet.get();
        changed();
      };
      take();
      const unsubscribe = fleet.subscribe(() => {
        // The first rows are shown without delay.
        if (!seen.current.complete) take();
        else timer ??= setTimeout(take, fleet.get().rows.size > large ? 1000 : 250);
      });
      return () => {
        clearTimeout(timer);
        unsubscribe();
      };
    },
    [fleet],
  );
  return useSyncExternalStore(subscribe, () => seen.current);
}
