/** What the URL says of how a deployment is shown. */
export interface DeploymentSearch {
  /** Only events of this phase, by its key. */
  phase?: string;
  /** The phases as a table instead of a chart. */
  view?: 'table';
}

/** What the URL of a node's page says. */
export interface NodeSearch extends DeploymentSearch {
  /** The deployment to look at; the current one when left out. */
  deployment?: string;
}

/** Reads the URL; what makes no sense is left out. */
export function parseDeploymentSearch(raw: Record<string, unknown>): DeploymentSearch {
  const search: DeploymentSearch = {};
  if (typeof raw.phase === 'string' && raw.phase !== '') search.phase = raw.phase;
  if (raw.view === 'table') search.view = 'table';
  return search;
}

/** The same of a node's page. */
export function parseNodeSearch(raw: Record<string, unknown>): NodeSearch {
  const named = typeof raw.deployment === 'string' && /^dep_\d+$/.test(raw.deployment) ? { deployment: raw.deployment } : {};
  return { ...named, ...parseDeploymentSearch(raw) };
}
