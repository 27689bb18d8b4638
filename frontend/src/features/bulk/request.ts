import type { BareMetalNodeFilter, BulkDeploymentActionInput, BulkSelectionInput, CancelMode } from '@/gql/generated/graphql';
import { curlGraphql } from '@/lib/handoff';
import type { BulkActionName } from './words';

/** Which deployments: those that were named, or the newest of every machine that matches. */
export type BulkChoice = { ids: readonly string[] } | { nodeFilter: BareMetalNodeFilter };

/** As much as the server takes of one choice. */
export const mostChosen = 10_000;

/** What the dialog asks for. */
export interface BulkForm {
  action: BulkActionName;
  mode: CancelMode;
  /** As typed. */
  parallel: string;
  /** As typed; empty: never stops. */
  stopAfter: string;
  reason: string;
}

export interface BulkErrors {
  parallel?: string;
  stopAfter?: string;
  reason?: string;
}

const whole = (text: string): number => (/^\d+$/.test(text.trim()) ? Number(text.trim()) : Number.NaN);

/** Checks by the server's rules. */
export function checkBulk({ parallel, stopAfter, reason }: BulkForm): BulkErrors {
  const errors: BulkErrors = {};
  if (!(whole(parallel) >= 1 && whole(parallel) <= 500)) errors.parallel = 'A number from 1 to 500.';
  if (stopAfter.trim() !== '' && !(whole(stopAfter) >= 1 && whole(stopAfter) <= mostChosen)) errors.stopAfter = 'A number from 1 to 10,000, or nothing.';
  if (new TextEncoder().encode(reason.trim()).length > 500) errors.reason = 'At most 500 bytes.';
  return errors;
}

/** What the server is asked to look at. */
export function selectionInput(choice: BulkChoice, action: BulkActionName): BulkSelectionInput {
  return 'ids' in choice ? { action, ids: [...choice.ids] } : { action, nodeFilter: choice.nodeFilter };
}

/** What it is asked to do. */
export function actionInput(choice: BulkChoice, form: BulkForm, { expectedCount, confirm, key }: { expectedCount: number; confirm: string | null; key: string }): BulkDeploymentActionInput {
  const reason = form.reason.trim();
  return {
    ...selectionInput(choice, form.action),
    expectedCount,
    maxParallel: whole(form.parallel),
    idempotencyKey: key,
    ...(form.stopAfter.trim() === '' ? {} : { stopAfterFailures: whole(form.stopAfter) }),
    ...(form.action === 'CANCEL' ? { mode: form.mode } : {}),
    ...(reason === '' ? {} : { reason }),
    ...(confirm === null ? {} : { confirm }),
  };
}

/** An operation with its results, for a terminal or a script: as GraphQL and as a call of it. */
export function handoffBulk(origin: string, id: string): { graphql: string; curl: string } {
  const graphql = `query {
  bulkOperation(id: ${JSON.stringify(id)}) {
    action state total counts { state count } finishedAt
    items(first: 200) {
      nodes { number state code message bareMetalNode { name } deployment { id state } }
      pageInfo { hasNextPage endCursor }
    }
  }
}`;
  return { graphql, curl: curlGraphql(origin, graphql) };
}
