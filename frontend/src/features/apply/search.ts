/** What the URL of the cards says. */
export interface ApplySearch {
  /** The run whose state the cards show. */
  run?: string;
}

/** Reads the URL; what makes no sense is left out. */
export function parseApplySearch(raw: Record<string, unknown>): ApplySearch {
  return typeof raw.run === 'string' && /^[a-z]+_\d+$/.test(raw.run) ? { run: raw.run } : {};
}
