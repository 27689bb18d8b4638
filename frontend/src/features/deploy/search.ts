/** Ways to a node that the page has, as its address says them. */
export const ways = ['ibm-vpc', 'rack', 'adopt'] as const;
export type Way = (typeof ways)[number];

/** What the URL of the form says. */
export interface DeploySearch {
  /** Name to begin with, of a node that is deployed again. */
  name?: string;
  /** What to deploy on, or "adopt"; what was chosen last when left out. */
  on?: Way;
}

/** Reads the URL; what makes no sense is left out. */
export function parseDeploySearch(raw: Record<string, unknown>): DeploySearch {
  const on = ways.find((way) => way === raw.on);
  return {
    ...(typeof raw.name === 'string' && raw.name !== '' && raw.name.length <= 40 ? { name: raw.name } : {}),
    ...(on === undefined ? {} : { on }),
  };
}
