import type { FleetNumbersFragment, FleetRowFragment } from '@/gql/generated/graphql';

/** The fleet as the page knows it. A new object after every applied batch. */
export interface FleetSnapshot {
  /** Every row by id. Not to be changed; the same map is reused, `revision` tells changes. */
  rows: ReadonlyMap<string, FleetRowFragment>;
  /** Grows with every applied batch that changed a row. */
  revision: number;
  /** A whole snapshot has arrived once, so "nothing here" is a fact. */
  complete: boolean;
  numbers: FleetNumbersFragment | null;
}

/**
 * All rows in memory, beside the cache: the filters, the counts and the order of
 * the table are computed from them, and membership of the fleet lives here (a
 * cache knows objects, not which of them still belong to a list). Rows are drawn
 * from the cache, one by one.
 */
export class Fleet {
  private readonly rows = new Map<string, FleetRowFragment>();
  private seen: Set<string> | null = null;
  private listeners = new Set<() => void>();
  private snapshot: FleetSnapshot = { rows: this.rows, revision: 0, complete: false, numbers: null };
  private dirty = false;

  get = (): FleetSnapshot => this.snapshot;

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  /** A snapshot begins: what is in none of its pages is gone at its end. Until then all rows stay. */
  beginSnapshot(): void {
    this.seen = new Set();
  }

  /** A snapshot that did not get to its end says nothing about what is gone. */
  abandonSnapshot(): void {
    this.seen = null;
  }

  /** Takes rows of a page or a change. Says which were newer than what was held. */
  put(rows: readonly FleetRowFragment[]): FleetRowFragment[] {
    const taken: FleetRowFragment[] = [];
    for (const row of rows) {
      this.seen?.add(row.id);
      const held = this.rows.get(row.id);
      if (held && held.version > row.version) continue;
      this.rows.set(row.id, row);
      taken.push(row);
    }
    if (taken.length > 0) this.dirty = true;
    return taken;
  }

  remove(ids: readonly string[]): void {
    for (const id of ids) {
      if (this.rows.delete(id)) this.dirty = true;
    }
  }

  /** The last page of a snapshot has been put. */
  endSnapshot(): void {
    const { seen } = this;
    if (seen) this.remove([...this.rows.keys()].filter((id) => !seen.has(id)));
    this.seen = null;
    if (!this.snapshot.complete) {
      this.snapshot = { ...this.snapshot, complete: true };
      this.dirty = true;
    }
  }

  setNumbers(numbers: FleetNumbersFragment): void {
    this.snapshot = { ...this.snapshot, numbers };
    this.dirty = true;
  }

  /** Tells the listeners, once for everything since the last call. */
  commit(): void {
    if (!this.dirty) return;
    this.dirty = false;
    this.snapshot = { ...this.snapshot, revision: this.snapshot.revision + 1 };
    for (const listener of [...this.listeners]) listener();
  }
}
