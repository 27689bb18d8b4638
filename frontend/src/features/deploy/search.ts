/** What the URL of the form says. */
export interface DeploySearch {
  /** Name to begin with, of a node that is deployed again. */
  name?: string;
}

/** Reads the URL; what makes no sense is left out. */
export function parseDeploySearch(raw: Record<string, unknown>): DeploySearch {
  return typeof raw.name === 'string' && raw.name !== '' && raw.name.length <= 40 ? { name: raw.name } : {};
}
