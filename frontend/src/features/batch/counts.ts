import type { BatchMemberFragment } from '@/gql/generated/graphql';
import { rowKind, statusWords, type StatusKind } from '@/lib/states';

/** How a member of a batch stands, with its machine's silence and lateness. */
export function memberKind(member: BatchMemberFragment): StatusKind {
  return rowKind({ state: member.state, stale: member.node.stale, late: member.node.late, stalled: member.node.stalled });
}

const order: readonly StatusKind[] = ['failed', 'stalled', 'late', 'canceling', 'cleaning', 'running', 'queued', 'unknown', 'canceled', 'cleaned', 'succeeded'];

/** Which members are in which kind, what needs attention first. */
export function memberCounts(members: readonly BatchMemberFragment[]): { kind: StatusKind; word: string; count: number }[] {
  const counts = new Map<StatusKind, number>();
  for (const member of members) counts.set(memberKind(member), (counts.get(memberKind(member)) ?? 0) + 1);
  return [...counts].map(([kind, count]) => ({ kind, word: statusWords[kind], count })).sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind));
}

/** The members, what needs attention first; equal ones by name. */
export function sortMembers(members: readonly BatchMemberFragment[]): BatchMemberFragment[] {
  return members.toSorted((a, b) => order.indexOf(memberKind(a)) - order.indexOf(memberKind(b)) || a.node.name.localeCompare(b.node.name, 'en', { numeric: true }));
}

/** How far the whole has come: the mean of its members, where what is over counts as done. */
export function batchProgress(members: readonly BatchMemberFragment[]): number {
  if (members.length === 0) return 0;
  const over = new Set(['SUCCEEDED', 'FAILED', 'CANCELED', 'CLEANED_UP']);
  return members.reduce((sum, { state, progress }) => sum + (over.has(state) ? 1 : progress), 0) / members.length;
}
