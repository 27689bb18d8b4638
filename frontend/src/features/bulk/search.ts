import type { BulkItemState } from '@/gql/generated/graphql';

export const itemStates = ['FAILED', 'REFUSED', 'RUNNING', 'WAITING', 'SUCCEEDED', 'SKIPPED'] as const satisfies readonly BulkItemState[];

/** What the URL of an operation's page says. */
export interface BulkSearch {
  /** Only deployments that stand there. */
  show?: BulkItemState;
}

/** Reads the URL; what makes no sense is left out. */
export function parseBulkSearch(raw: Record<string, unknown>): BulkSearch {
  const show = itemStates.find((state) => state.toLowerCase() === raw.show || state === raw.show);
  return show === undefined ? {} : { show };
}
