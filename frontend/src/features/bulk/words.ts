import type { BulkItemState, BulkLeftOutReason, BulkLiveFragment, BulkState, DeploymentAction, FleetRowFragment } from '@/gql/generated/graphql';
import { plural } from '@/lib/format';
import type { StatusKind } from '@/lib/states';
import { itemStates } from './search';

/** What can be asked of many, in the order in which to offer it. */
export const bulkActions = ['RETRY', 'CANCEL', 'CLEANUP', 'REINITIALIZE'] as const satisfies readonly DeploymentAction[];
export type BulkActionName = (typeof bulkActions)[number];

interface ActionWords {
  label: string;
  /** What a row says until it shows what became of it. */
  asked: string;
  /** What it means for one deployment. */
  description: string;
  /** Something is lost by it. */
  destroys: boolean;
  /** What will happen, point by point. */
  effects: readonly string[];
}

export const actionWords: Record<BulkActionName, ActionWords> = {
  RETRY: {
    label: 'Retry',
    asked: 'Retry asked',
    description: 'Another attempt of those that failed, from the phase that failed.',
    destroys: false,
    effects: ['What was done before is kept; nothing is ordered twice.', 'Machines that must boot again for it are installed anew: what is on their disks is lost.'],
  },
  CANCEL: {
    label: 'Cancel',
    asked: 'Cancel asked',
    description: 'Ends those that are on their way.',
    destroys: true,
    effects: ['Nothing new is begun, and nothing is undone.', 'What was made at the provider stays, and costs, until it is cleaned up.'],
  },
  CLEANUP: {
    label: 'Clean up',
    asked: 'Cleanup asked',
    description: 'Releases everything that the nodes hold.',
    destroys: true,
    effects: ['Servers, addresses and names that were made for them are deleted at the provider.', 'What is on their disks is lost.'],
  },
  REINITIALIZE: {
    label: 'Reinitialize',
    asked: 'Reinit. asked',
    description: 'Installs the present machines anew.',
    destroys: true,
    effects: ['What is on their disks is lost; their addresses stay.', 'Each becomes a new deployment.'],
  },
};

/** As much of a row as tells what may be asked of it. */
type Askable = Pick<FleetRowFragment, 'state' | 'protected' | 'provider'>;

/**
 * Whether an action is likely possible for a row: only for what is shown before
 * the server has answered. The server decides.
 */
export function mayAsk(action: BulkActionName, row: Askable): boolean {
  const over = row.state === 'SUCCEEDED' || row.state === 'FAILED' || row.state === 'CANCELED';
  switch (action) {
    case 'RETRY':
      return row.state === 'FAILED';
    case 'CANCEL':
      return row.state === 'QUEUED' || row.state === 'RUNNING' || row.state === 'CANCELING';
    case 'CLEANUP':
      return over && !row.protected;
    case 'REINITIALIZE':
      return over && !row.protected && row.provider !== 'SCRIPT';
  }
}

const isBulkAction = (action: DeploymentAction): action is BulkActionName => (bulkActions as readonly string[]).includes(action);

/** An action by its name for people, also one that this app does not know. */
export const actionLabel = (action: DeploymentAction): string => (isBulkAction(action) ? actionWords[action].label : action.toLowerCase().replaceAll('_', ' '));

/** Why one is left out, and why several are. */
const leftOutWords: Record<BulkLeftOutReason, readonly [one: string, several: string]> = {
  NOT_CURRENT: ['has a newer deployment and is', 'have a newer deployment and are'],
  PROTECTED: ['is on a protected node and is', 'are on protected nodes and are'],
  WRONG_STATE: ['is in a state in which it is not possible and is', 'are in a state in which it is not possible and are'],
};

/** How many are left out, and why; a reason of a newer server by its name. */
export function leftOut({ reason, count }: { reason: BulkLeftOutReason; count: number }): string {
  const words = (leftOutWords as Partial<typeof leftOutWords>)[reason];
  const why = words === undefined ? `${count === 1 ? 'is' : 'are'} (${reason})` : words[count === 1 ? 0 : 1];
  return `${count.toLocaleString('en')} ${why} left out.`;
}

export const itemWords: Record<BulkItemState, { word: string; kind: StatusKind }> = {
  WAITING: { word: 'Waiting', kind: 'waiting' },
  RUNNING: { word: 'Under way', kind: 'running' },
  SUCCEEDED: { word: 'Done', kind: 'succeeded' },
  FAILED: { word: 'Failed', kind: 'failed' },
  REFUSED: { word: 'Refused', kind: 'stalled' },
  SKIPPED: { word: 'Skipped', kind: 'skipped' },
};

const stateWords: Record<BulkState, { word: string; kind: StatusKind }> = {
  RUNNING: { word: 'Under way', kind: 'running' },
  STOPPING: { word: 'Stopping', kind: 'canceling' },
  CANCELING: { word: 'Ending', kind: 'canceling' },
  DONE: { word: 'Over', kind: 'succeeded' },
  STOPPED: { word: 'Stopped', kind: 'failed' },
  CANCELED: { word: 'Ended early', kind: 'canceled' },
};

type Counted = Pick<BulkLiveFragment, 'counts' | 'total' | 'state'>;

/** How many stand there. */
export function countOf({ counts }: Pick<Counted, 'counts'>, state: BulkItemState): number {
  return counts.find((each) => each.state === state)?.count ?? 0;
}

/** Which there are, what needs attention first. */
export function countList(operation: Pick<Counted, 'counts'>): { state: BulkItemState; count: number }[] {
  return itemStates.map((state) => ({ state, count: countOf(operation, state) })).filter(({ count }) => count > 0);
}

/** How an operation stands, in a word; one that is over is not "done" when some went wrong. */
export function bulkKind(operation: Counted): { word: string; kind: StatusKind } {
  const known = (stateWords as Partial<typeof stateWords>)[operation.state] ?? { word: operation.state, kind: 'unknown' as const };
  const wrong = countOf(operation, 'FAILED') + countOf(operation, 'REFUSED');
  return operation.state === 'DONE' && wrong > 0 ? { word: `Over, ${plural(wrong, 'problem')}`, kind: 'failed' } : known;
}

/** How far it has come, from 0 to 1: what is over counts. */
export function bulkProgress(operation: Counted): number {
  if (operation.total === 0) return 1;
  return 1 - (countOf(operation, 'WAITING') + countOf(operation, 'RUNNING')) / operation.total;
}

/** No deployment is begun any more. */
export const isEnding = ({ state }: Pick<Counted, 'state'>): boolean => state !== 'RUNNING';
