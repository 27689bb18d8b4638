/** What the URL of a node's page says. */
export interface NodeSearch {
  /** The deployment to look at; the current one when left out. */
  deployment?: string;
  /** Only events of this phase, by its key. */
  phase?: string;
  /** The phases as a table instead of a chart. */
  view?: 'table';
}

/** Reads the URL; what makes no sense is left out. */
export function parseNodeSearch(raw: Record<string, unknown>): NodeSearch {
  const search: NodeSearch = {};
  if (typeof raw.deployment === 'string' && /^dep_\d+$/.test(raw.deployment)) search.deployment = raw.deployment;
  if (typeof raw.phase === 'string' && raw.phase !== '') search.phase = raw.phase;
  if (raw.view === 'table') search.view = 'table';
  return search;
}
