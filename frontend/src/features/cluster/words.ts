import type { ClusterAction, ClusterFormationKind, ClusterFormationStatus, ClusterLiveFragment, ClusterMemberChoice, ClusterMemberState, ClusterRowFragment, ClusterState, ClusterType } from '@/gql/generated/graphql';
import { etaOf, type Eta } from '@/lib/eta';
import { rowKind, statusWords, type StatusKind } from '@/lib/states';

export type Member = ClusterLiveFragment['members'][number];
export type Formation = NonNullable<ClusterLiveFragment['formation']>;
export type Health = NonNullable<ClusterLiveFragment['health']>;

/** What something is, as a shape and a word. */
export interface Marked {
  kind: StatusKind;
  word: string;
}

interface StateWords extends Marked {
  /** What it means. */
  says: string;
}

const states: Record<ClusterState, StateWords> = {
  QUEUED: { kind: 'queued', word: 'Queued', says: 'Every node waits for a slot.' },
  INSTALLING: { kind: 'running', word: 'Installing', says: 'The nodes are on their way to the barrier.' },
  FORMING: { kind: 'running', word: 'Forming', says: 'All nodes are there; the cluster is being made.' },
  VALIDATING: { kind: 'running', word: 'Checking', says: 'The cluster is formed; names and health are what is left.' },
  GROWING: { kind: 'running', word: 'Growing', says: 'The cluster is formed, and another node is to join.' },
  DEPLOYED: { kind: 'succeeded', word: 'Deployed', says: 'Every node is deployed and belongs to the cluster, by the cluster’s own word.' },
  BLOCKED: { kind: 'failed', word: 'Blocked', says: 'A node failed or was canceled: somebody has to decide.' },
  CANCELED: { kind: 'canceled', word: 'Canceled', says: 'The deployment of every node was canceled.' },
  CLEANING_UP: { kind: 'cleaning', word: 'Cleaning up', says: 'Everything that the nodes hold is being released.' },
  CLEANED_UP: { kind: 'cleaned', word: 'Cleaned up', says: 'Everything that the nodes held is proven gone.' },
};

/** The states to choose from, in the order of a cluster's life. */
export const clusterStates = Object.keys(states) as readonly ClusterState[];

/** How a cluster stands; a state of a newer server is unknown, not an error. */
export function clusterState(state: ClusterState): StateWords {
  return (states as Partial<Record<string, StateWords>>)[state] ?? { kind: 'unknown', word: state.toLowerCase().replaceAll('_', ' '), says: '' };
}

/** Whether nothing more happens to such a cluster by itself. */
export const isSettled = (state: ClusterState): boolean => state === 'DEPLOYED' || state === 'BLOCKED' || state === 'CANCELED' || state === 'CLEANED_UP';

/** Whether its cleanup was asked for. */
export const isReleased = (state: ClusterState): boolean => state === 'CLEANING_UP' || state === 'CLEANED_UP';

export const typeWords: Record<ClusterType, string> = { SINGLE_NODE: 'single node', MULTI_NODE: 'several nodes' };

const memberStates: Record<Exclude<ClusterMemberState, 'MEMBER'>, Marked> = {
  LATE: { kind: 'waiting', word: 'Joins later' },
  REPLACED: { kind: 'skipped', word: 'Replaced' },
  RELEASED: { kind: 'cleaned', word: 'Released' },
};

/** What a node is to the cluster beside being a member of it; null for a member. */
export function memberPlace({ state }: Pick<Member, 'state'>): Marked | null {
  if (state === 'MEMBER') return null;
  return (memberStates as Partial<Record<string, Marked>>)[state] ?? { kind: 'unknown', word: state.toLowerCase() };
}

/** Whether the cluster still counts on a node, now or later. */
export const isCounted = ({ state }: Pick<Member, 'state'>): boolean => state === 'MEMBER' || state === 'LATE';

/** How a node of the cluster stands: held at the barrier and formed are states of their own. */
export function memberMark(member: Pick<Member, 'state' | 'ready' | 'formedAt' | 'deployment' | 'node'>, barrierPassed: boolean): Marked {
  const { deployment, node } = member;
  if (member.state === 'REPLACED') return memberStates.REPLACED;
  if (deployment === null) return { kind: 'registered', word: 'Not deployed' };
  const kind = rowKind({ state: deployment.state, stale: node.stale, stalled: deployment.stalled, late: deployment.late });
  if (deployment.state === 'RUNNING' && member.ready && kind !== 'stalled') {
    if (member.state === 'LATE' || barrierPassed) return { kind: 'running', word: member.formedAt === null ? 'Forming' : 'Joined' };
    return { kind: 'waiting', word: 'At the barrier' };
  }
  return { kind, word: statusWords[kind] };
}

const choiceWords: Record<ClusterMemberChoice, { label: string; means: string }> = {
  RETRY: { label: 'Retry this node…', means: 'Another attempt of this node alone; the others wait where they are, and the cluster goes on when it is there.' },
  REPLACE: { label: 'Replace it…', means: 'Another node takes its place. What this one holds stays until it is cleaned up by itself.' },
  GO_ON_WITHOUT: { label: 'Go on without it…', means: 'The cluster is formed by the others; this node joins when it is ready.' },
};

/**
 * What can be done about one node, in words; undefined for a choice of a newer
 * server. Who was left out already, and has ended since, leaves for good.
 */
export function choiceOf({ state }: Pick<Member, 'state'>, choice: ClusterMemberChoice): { label: string; means: string } | undefined {
  if (choice === 'GO_ON_WITHOUT' && state === 'LATE') return { label: 'Let it go…', means: 'It leaves the cluster for good. What it holds stays until it is cleaned up by itself.' };
  return (choiceWords as Partial<typeof choiceWords>)[choice];
}

export const actionWords: Record<ClusterAction, { label: string; destroys?: true }> = {
  ADD_NODE: { label: 'Add a node…' },
  CANCEL: { label: 'Cancel…' },
  CLEANUP: { label: 'Clean up…', destroys: true },
};

const formationKinds: Record<ClusterFormationKind, string> = { CREATE: 'Formation', JOIN: 'A node joins', CLEAR: 'What was left half-done is removed' };
const formationStatuses: Record<ClusterFormationStatus, Marked> = {
  RUNNING: { kind: 'running', word: 'Under way' },
  FAILED: { kind: 'failed', word: 'Failed' },
  FORMED: { kind: 'succeeded', word: 'Formed' },
  VOID: { kind: 'canceled', word: 'Not brought to its end' },
};

export const formationTitle = (kind: ClusterFormationKind): string => (formationKinds as Partial<Record<string, string>>)[kind] ?? 'Formation';
export const formationStatus = (status: ClusterFormationStatus): Marked => (formationStatuses as Partial<Record<string, Marked>>)[status] ?? { kind: 'unknown', word: status.toLowerCase() };

const checks: Record<string, string> = {
  cvm_answers: 'Controller VM answers',
  cvm_services: 'Its services are up',
  prism_answers: 'Prism answers over TLS',
  cluster_normal: 'The members agree, and all are up',
};

/** A check of the health, for people; one that this app does not know by its own name. */
export const checkLabel = (name: string): string => checks[name] ?? name.replaceAll('_', ' ');

export const healthMark = ({ ok, checks: all }: { ok: boolean; checks: readonly { ok: boolean }[] }): Marked =>
  ok ? { kind: 'succeeded', word: 'Healthy' } : { kind: 'failed', word: `${all.filter((check) => !check.ok).length} of ${all.length} failed` };

const first = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

/** What a cluster waits for, in a line; null when it waits for nothing. */
export function waitsFor({ state, barrier, formation }: Pick<ClusterRowFragment, 'state' | 'barrier' | 'formation'>): string | null {
  if (state === 'BLOCKED' && formation?.status === 'FAILED') return first(formation.message);
  if (state === 'QUEUED' || state === 'INSTALLING' || state === 'BLOCKED') {
    return barrier.waitingFor.length === 0 ? null : barrier.waitingFor.map(whoWaits).join('; ');
  }
  if (state === 'FORMING') return formation === null ? 'the formation to begin' : first(formation.message);
  if (state === 'VALIDATING') return 'DNS records and the health check';
  if (state === 'GROWING') {
    const [newest] = barrier.waitingFor;
    return newest ? whoWaits(newest) : formation?.status === 'RUNNING' ? first(formation.message) : null;
  }
  return null;
}

/** A node that is not there, and why: "c-2 (at “Installation”)". */
const whoWaits = ({ node, why }: ClusterRowFragment['barrier']['waitingFor'][number]): string => `${node.name} (${why.replace(/^is /, '')})`;

/** Whether all that are waited for were at the barrier, or the cluster was formed. */
export const barrierPassed = ({ barrier, formedAt }: Pick<ClusterRowFragment, 'barrier' | 'formedAt'>): boolean => formedAt !== null || (barrier.total > 0 && barrier.ready >= barrier.total);

/** When a cluster will be deployed: as late as its slowest node. Null when nothing is under way or nobody knows. */
export function clusterEta({ state, members }: Pick<ClusterLiveFragment, 'state' | 'members'>, now: number): Eta | null {
  if (isSettled(state) || isReleased(state)) return null;
  const underWay = members.flatMap((member) => (isCounted(member) && member.deployment?.state === 'RUNNING' ? [{ ...member.deployment, stalled: member.deployment.stalled || member.node.stale }] : []));
  if (underWay.length === 0) return null;
  const ends = underWay.flatMap(({ estimatedFinishAt }) => (estimatedFinishAt === null ? [] : [estimatedFinishAt]));
  return etaOf({ state: 'RUNNING', estimatedFinishAt: ends.length === 0 ? null : ends.reduce((a, b) => (Date.parse(a) > Date.parse(b) ? a : b)), late: underWay.some(({ late }) => late), stalled: underWay.some(({ stalled }) => stalled) }, now);
}
