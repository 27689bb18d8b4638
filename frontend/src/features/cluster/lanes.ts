import { heldSpan, layout, ticksOf, type Bar, type Move, type Span, type Tick } from '@/features/timeline/geometry';
import type { ClusterLiveFragment, PhaseRunBarFragment } from '@/gql/generated/graphql';
import { barrierPassed, isCounted, isReleased, isSettled, type Member } from './words';

/** A bar of a lane: a visit of a phase by a node. */
export interface LaneBar extends Bar {
  /** It waits for the others, at the barrier. */
  held: boolean;
}

/** A node in time. */
export interface Lane {
  key: string;
  member: Member;
  bars: LaneBar[];
}

/** What the cluster itself does, after the barrier. */
export interface Step {
  key: 'formation' | 'validation' | 'join';
  label: string;
  span: Span;
  kind: 'running' | 'succeeded' | 'failed';
}

/** The line at which the nodes wait for each other. */
export interface Barrier {
  /** Where it stands. */
  at: number;
  /**
   * - `reached`: everybody was there then
   * - `expected`: when the slowest is expected, by how long such phases usually take
   * - `open`: nobody can say when; it stands at the end of the axis
   */
  is: 'reached' | 'expected' | 'open';
  ready: number;
  total: number;
}

export interface Lanes {
  lanes: Lane[];
  steps: Step[];
  barrier: Barrier;
  domain: Span;
  ticks: Tick[];
  /** Something still goes on: there is a now-line. */
  open: boolean;
}

/** How long a phase usually takes, in ms, by its key, in the order of the phases; those after the barrier left out. */
export type Typical = ReadonlyMap<string, number | null>;

const formationKey = 'cluster_formation';
const healthKey = 'health_validation';

const latest = (of: readonly number[]): number | null => (of.length === 0 ? null : Math.max(...of));
const instant = (at: string | null): number | null => (at === null ? null : Date.parse(at));

/** When a node was last at the barrier; null when it was not. */
function arrival({ deployment }: Member): number | null {
  if (deployment === null) return null;
  const runs = deployment.phases.filter(({ phaseKey, attempt, status }) => phaseKey === formationKey && attempt === deployment.attempt && status !== 'SKIPPED');
  return latest(runs.map(({ enteredAt }) => Date.parse(enteredAt)));
}

/**
 * When a node that is on its way is expected at the barrier: what its open phase
 * has left, and the phases that follow. Null when one of them is not known.
 */
function expectedAt({ deployment }: Member, typical: Typical, now: number): number | null {
  if (deployment?.state !== 'RUNNING') return null;
  const order = [...typical.keys()];
  const here = order.indexOf(deployment.phaseKey);
  if (here < 0) return null;
  const run = deployment.phases.findLast(({ phaseKey, attempt }) => phaseKey === deployment.phaseKey && attempt === deployment.attempt);
  let at = now;
  for (const key of order.slice(here)) {
    const own = deployment.phases.findLast(({ phaseKey }) => phaseKey === key)?.typicalDuration ?? null;
    const length = own ?? typical.get(key) ?? null;
    if (length === null) return null;
    at += run !== undefined && key === run.phaseKey ? Math.max(0, length - (now - Date.parse(run.enteredAt))) : length;
  }
  return at;
}

function barrierOf(cluster: ClusterLiveFragment, typical: Typical, now: number): Omit<Barrier, 'at'> & { at: number | null } {
  const { ready, total } = cluster.barrier;
  const counted = { ready, total };
  const formedAt = instant(cluster.formedAt);
  if (barrierPassed(cluster) || cluster.cleanupAt !== null) {
    // Those that made the cluster were all there before it was formed; who joins later passes no barrier.
    const those = cluster.members.filter(({ state }) => state === 'MEMBER' || state === 'RELEASED');
    const there = those.map(arrival).filter((at) => at !== null && (formedAt === null || at <= formedAt)) as number[];
    const at = latest(there);
    if (at !== null && (formedAt !== null || there.length === total)) return { ...counted, at, is: 'reached' };
    return { ...counted, at: formedAt, is: formedAt === null ? 'open' : 'reached' };
  }
  const missing = cluster.members.filter((member) => member.state === 'MEMBER' && !member.ready && member.formedAt === null);
  const expected = missing.map((member) => expectedAt(member, typical, now));
  if (expected.length === 0 || expected.includes(null)) return { ...counted, at: null, is: 'open' };
  return { ...counted, at: Math.max(now, ...expected.filter((at) => at !== null)), is: 'expected' };
}

function stepsOf(cluster: ClusterLiveFragment, barrierAt: number | null, now: number): Step[] {
  const { formation, formedAt, state } = cluster;
  const formed = instant(formedAt);
  const steps: Step[] = [];
  const ended = (status: NonNullable<typeof formation>['status'], at: string): Pick<Step, 'kind'> & { to: number } =>
    status === 'RUNNING' && !isReleased(state) ? { kind: 'running', to: now } : { kind: status === 'FORMED' ? 'succeeded' : status === 'RUNNING' ? 'running' : 'failed', to: Date.parse(at) };
  const creation = formation !== null && formation.kind !== 'JOIN' ? formation : null;
  if (formed !== null && barrierAt !== null) steps.push({ key: 'formation', label: 'Formation', kind: 'succeeded', span: { from: Math.min(barrierAt, formed), to: formed } });
  else if (creation !== null) {
    const { to, kind } = ended(creation.status, creation.at);
    const from = Date.parse(creation.since);
    steps.push({ key: 'formation', label: 'Formation', kind, span: { from, to: Math.max(from, to) } });
  }
  if (formed !== null) {
    const first = cluster.members.filter((member) => member.formedAt !== null && Math.abs(Date.parse(member.formedAt) - formed) < 1000 && member.deployment !== null);
    // Not the end of the deployment: that moves with its cleanup.
    const ends = first.map(({ deployment }) => instant(deployment?.phases.findLast(({ phaseKey }) => phaseKey === healthKey)?.finishedAt ?? null));
    const over = ends.every((at) => at !== null) && ends.length > 0;
    const failed = first.some(({ deployment }) => deployment?.state === 'FAILED');
    const to = over ? Math.max(formed, ...ends) : isSettled(state) || isReleased(state) ? formed : now;
    if (to > formed) steps.push({ key: 'validation', label: 'Names and health', kind: over ? (failed ? 'failed' : 'succeeded') : 'running', span: { from: formed, to } });
  }
  if (formation?.kind === 'JOIN') {
    const { to, kind } = ended(formation.status, formation.at);
    const from = Date.parse(formation.since);
    steps.push({ key: 'join', label: 'A node joins', kind, span: { from, to: Math.max(from, to) } });
  }
  return steps;
}

/** Cuts the visit of the barrier's phase into waiting for the others and being formed. */
function cut(bar: Bar, barrierAt: number | null, reached: boolean): LaneBar {
  if (bar.run.phaseKey !== formationKey || bar.skipped) return { ...bar, held: false };
  const from = bar.waiting?.from ?? bar.running?.from ?? Date.parse(bar.run.enteredAt);
  const to = bar.running?.to ?? bar.waiting?.to ?? from;
  // Who came after the barrier was passed, or left before, has not waited for it.
  const until = !reached || barrierAt === null ? to : Math.min(to, Math.max(from, barrierAt));
  const held = bar.open && !reached;
  return { ...bar, waiting: until > from ? { from, to: until } : null, running: to > until ? { from: until, to } : null, typical: null, held };
}

/**
 * Lays a cluster out in time: a lane for each node with its phases one behind the
 * other, one barrier for all of them, and what the cluster does after it. The
 * axis begins with the first node and is held still until the time outgrows it.
 */
export function lanesOf(cluster: ClusterLiveFragment, typical: Typical, now: number, mostTicks: number): Lanes {
  const begin = Date.parse(cluster.createdAt);
  const barrier = barrierOf(cluster, typical, now);
  const reached = barrier.is === 'reached';
  const members = cluster.members.filter((member) => isCounted(member) || member.deployment !== null || member.state === 'REPLACED');
  const lanes = members.map((member): Lane => {
    const id = member.deployment?.id ?? member.node.id;
    const runs: PhaseRunBarFragment[] = (member.deployment?.phases ?? []).filter(({ phaseKey }) => !terminal.has(phaseKey)).map((run) => ({ ...run, key: `${id} ${run.key}` }));
    // A node that was deployed before it became a member brings a past that is not the cluster's.
    const bars = layout(runs, [], begin, now, 2).rows.flatMap((row) => row.lanes.flatMap((lane) => lane.bars));
    const recent = bars.filter(({ running, waiting, run }) => Math.max(running?.to ?? 0, waiting?.to ?? 0, Date.parse(run.enteredAt)) >= begin - 1000);
    return { key: `${member.position} ${member.node.id}`, member, bars: recent.map((bar) => cut(bar, barrier.at, reached)).sort((a, b) => Date.parse(a.run.enteredAt) - Date.parse(b.run.enteredAt) || a.run.ordinal - b.run.ordinal) };
  });
  const steps = stepsOf(cluster, reached ? barrier.at : null, now);
  const bars = lanes.flatMap((lane) => lane.bars);
  const open = (!isSettled(cluster.state) || bars.some((bar) => bar.open)) && cluster.state !== 'CLEANED_UP';
  const ends = [...bars.flatMap(({ waiting, running }) => [waiting?.to ?? begin, running?.to ?? begin]), ...steps.map(({ span }) => span.to), ...(open ? [now] : []), ...(barrier.at === null ? [] : [barrier.at])];
  const last = Math.max(begin, ...ends);
  const length = open ? heldSpan(Math.max(1000, last - begin)) : Math.max(1000, (last - begin) * 1.02);
  const domain = { from: begin, to: begin + length };
  return { lanes, steps, barrier: { ...barrier, at: barrier.at ?? domain.to }, domain, ticks: ticksOf(domain, mostTicks), open };
}

const terminal: ReadonlySet<string> = new Set(['deployed', 'failed', 'canceled', 'cleanup', 'cleanup_completed']);

const middle = (bar: LaneBar): number => {
  const from = bar.waiting?.from ?? bar.running?.from ?? Date.parse(bar.run.enteredAt);
  return (from + (bar.running?.to ?? bar.waiting?.to ?? from)) / 2;
};

/** The bar to go to from another: previous and next within its lane, above and below the nearest in time. */
export function moveInLanes(lanes: readonly Lane[], from: string | null, move: Move): string | null {
  const full = lanes.filter(({ bars }) => bars.length > 0);
  const row = full.findIndex(({ bars }) => bars.some(({ run }) => run.key === from));
  const lane = full[row];
  const at = lane?.bars.findIndex(({ run }) => run.key === from) ?? -1;
  const here = lane?.bars[at];
  if (lane === undefined || here === undefined) return full[0]?.bars[0]?.run.key ?? null;
  if (move === 'first') return lane.bars[0]?.run.key ?? null;
  if (move === 'last') return lane.bars.at(-1)?.run.key ?? null;
  if (move === 'next' || move === 'previous') return lane.bars[Math.min(lane.bars.length - 1, Math.max(0, at + (move === 'next' ? 1 : -1)))]?.run.key ?? null;
  const other = full[row + (move === 'down' ? 1 : -1)];
  if (other === undefined) return from;
  const wanted = middle(here);
  return other.bars.reduce((best, bar) => (Math.abs(middle(bar) - wanted) < Math.abs(middle(best) - wanted) ? bar : best)).run.key;
}
