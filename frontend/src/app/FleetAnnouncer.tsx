import { useEffect } from 'react';

import { rowKind, statusWords, type StatusKind } from '@/lib/states';
import { announce } from './announcer';
import { useStream } from './services';

// Changes that are worth a word; a phase that merely goes on is not.
const worth: ReadonlySet<StatusKind> = new Set(['succeeded', 'failed', 'stalled', 'late', 'canceled', 'cleaned']);

/** Says aloud when a machine ends or gets stuck, and nothing else. */
export function FleetAnnouncer(): null {
  const { fleet } = useStream();
  useEffect(() => {
    const before = new Map<string, StatusKind>();
    let first = true;
    const look = (): void => {
      const { rows, complete } = fleet.get();
      for (const row of rows.values()) {
        const kind = rowKind(row);
        const old = before.get(row.id);
        before.set(row.id, kind);
        if (!first && old !== kind && worth.has(kind)) announce(`${row.name}: ${statusWords[kind].toLowerCase()}`);
      }
      if (complete) first = false;
    };
    look();
    return fleet.subscribe(look);
  }, [fleet]);
  return null;
}
