import { describe, expect, it } from 'vitest';

import type { ClusterLiveFragment } from '@/gql/generated/graphql';
import { at, bar, live, t0 } from '@/test/fixtures';
import { readClusterDraft } from './draft';
import { emptyForm, emptyNode, exactly, inputOf, missing, nodeName, ofNode, ownErrors, readable, resized, type ClusterForm } from './form';
import { handoffClusters, handoffNewCluster } from './handoff';
import { lanesOf, moveInLanes, type Typical } from './lanes';
import { parseClusterSearch, parseClustersSearch, parseNewClusterSearch } from './search';
import { barrierPassed, clusterEta, clusterState, clusterStates, memberMark, waitsFor, type Member } from './words';

type Run = ReturnType<typeof bar>;

const run = (key: string, phaseKey: string, from: number, to: number | null, over: Partial<Run> = {}): Run =>
  bar({ key, phaseKey, label: phaseKey, enteredAt: at(from), startedAt: at(from), finishedAt: to === null ? null : at(to), status: to === null ? 'IN_PROGRESS' : 'SUCCEEDED', ...over });

/** A node: installed from 0 to `installed`, then at the barrier; still on its way with null. */
function member(position: number, installed: number | null, over: Partial<Member> = {}, deployment: Parameters<typeof live>[0] = {}): Member {
  const phases = installed === null ? [run('1', 'installation', 0, null)] : [run('1', 'installation', 0, installed), run('2', 'cluster_formation', installed, null, { startedAt: null, status: 'WAITING' })];
  return {
    position,
    state: 'MEMBER',
    note: null,
    cvmAddress: `10.0.0.${position}`,
    ready: installed !== null,
    addedAt: at(0),
    formedAt: null,
    waitsFor: null,
    choices: [],
    node: { id: `node_${position}`, name: `c-${position}`, provider: 'IBM_VPC', serverProfile: 'p', managementIp: null, state: 'RUNNING', stale: false, stalled: false, late: false, protected: false, version: 1 },
    deployment: live({ id: `dep_${position}`, phaseKey: installed === null ? 'installation' : 'cluster_formation', phases, ...deployment }),
    ...over,
  };
}

function cluster(members: Member[], over: Partial<ClusterLiveFragment> = {}): ClusterLiveFragment {
  const ready = members.filter((each) => each.ready || each.formedAt !== null).length;
  const waitingFor = members.filter((each) => !each.ready && each.formedAt === null).map(({ position, node }) => ({ position, why: 'is at “Installation”', node }));
  return {
    id: 'clu_1', name: 'prod', type: 'MULTI_NODE', state: 'INSTALLING', redundancyFactor: 2, address: null, progress: 0.5, requestedBy: { kind: 'USER', name: 'olga' }, createdAt: at(0), updatedAt: at(0), formedAt: null, version: 1,
    barrier: { ready, total: members.length, waitingFor }, formation: null, health: null, dnsServers: [], ntpServers: [], skipDiscovery: false, allowedActions: [], cleanupAt: null, cleanupBy: null, cursor: 'c', members, ...over,
  };
}

const nothing: Typical = new Map();
const now = t0 + 100_000;

describe('lanes', () => {
  it('hatches who waits for the others until now, and leaves the barrier open while nobody can say when', () => {
    const lanes = lanesOf(cluster([member(1, 40), member(2, 60), member(3, null)]), nothing, now, 8);
    expect(lanes.barrier).toMatchObject({ is: 'open', ready: 2, total: 3, at: lanes.domain.to });
    const [, wait] = lanes.lanes[0]?.bars ?? [];
    expect(wait).toMatchObject({ held: true, waiting: { from: t0 + 40_000, to: now }, running: null });
    expect(lanes.lanes[2]?.bars).toMatchObject([{ held: false, open: true }]);
    expect(lanes.open).toBe(true);
  });

  it('expects the barrier when the slowest has gone through what is left', () => {
    const typical: Typical = new Map([['installation', 150_000], ['post_install', 20_000]]);
    const lanes = lanesOf(cluster([member(1, 40), member(2, null)]), typical, now, 8);
    // 150 s of installation, of which 100 s are gone, and 20 s after it.
    expect(lanes.barrier).toMatchObject({ is: 'expected', at: now + 70_000 });
    expect(lanes.domain.to).toBeGreaterThanOrEqual(lanes.barrier.at);
  });

  it('does not expect it in the past, nor with a phase of which nothing is known', () => {
    const slow: Typical = new Map([['installation', 10_000]]);
    expect(lanesOf(cluster([member(1, null)]), slow, now, 8).barrier).toMatchObject({ is: 'expected', at: now });
    const unknown: Typical = new Map([['installation', 10_000], ['post_install', null]]);
    expect(lanesOf(cluster([member(1, null)]), unknown, now, 8).barrier.is).toBe('open');
  });

  it('puts the barrier where the last one came, and the formation behind it', () => {
    const formation = { kind: 'CREATE', status: 'RUNNING', action: 'create', reason: '', message: 'm', hint: null, evidence: [], command: null, leader: null, members: [], culprits: [], since: at(61), at: at(62) } as unknown as ClusterLiveFragment['formation'];
    const lanes = lanesOf(cluster([member(1, 40), member(2, 60)], { state: 'FORMING', formation }), nothing, now, 8);
    expect(lanes.barrier).toMatchObject({ is: 'reached', at: t0 + 60_000 });
    expect(lanes.lanes[0]?.bars[1]).toMatchObject({ held: false, waiting: { from: t0 + 40_000, to: t0 + 60_000 }, running: { from: t0 + 60_000 } });
    expect(lanes.lanes[1]?.bars[1]?.waiting ?? null).toBeNull();
    expect(lanes.steps).toEqual([{ key: 'formation', label: 'Formation', kind: 'running', span: { from: t0 + 61_000, to: now } }]);
  });

  it('leaves the barrier where it was when a node joins later, and when all is over', () => {
    const done = (position: number, installed: number) =>
      member(position, installed, { ready: false, formedAt: at(70) }, { state: 'SUCCEEDED', finishedAt: at(80), phases: [run('1', 'installation', 0, installed), run('2', 'cluster_formation', installed, 70), run('3', 'health_validation', 72, 80)] });
    const late = member(3, null, {}, { phases: [run('1', 'installation', 200, null)] });
    const lanes = lanesOf(cluster([done(1, 40), done(2, 60), late], { state: 'GROWING', formedAt: at(70) }), nothing, t0 + 260_000, 8);
    expect(lanes.barrier).toMatchObject({ is: 'reached', at: t0 + 60_000 });
    expect(lanes.steps.map(({ key, kind, span }) => [key, kind, span.from - t0, span.to - t0])).toEqual([
      ['formation', 'succeeded', 60_000, 70_000],
      ['validation', 'succeeded', 70_000, 80_000],
    ]);
    const over = lanesOf(cluster([done(1, 40), done(2, 60)], { state: 'DEPLOYED', formedAt: at(70) }), nothing, t0 + 9_000_000, 8);
    expect(over.open).toBe(false);
    expect(over.domain.to - t0).toBeCloseTo(81_600, -2);
    // A cleanup later does not lengthen what the cluster did.
    const gone = (position: number, installed: number) => ({ ...done(position, installed), state: 'RELEASED' as const });
    const cleaned = lanesOf(cluster([gone(1, 40), gone(2, 60)], { state: 'CLEANED_UP', formedAt: at(70), cleanupAt: at(500) }), nothing, t0 + 9_000_000, 8);
    expect(cleaned.barrier).toMatchObject({ is: 'reached', at: t0 + 60_000 });
    expect(cleaned.steps).toEqual(over.steps);
  });

  it('leaves out what a node did before it belonged to the cluster', () => {
    const adopted = member(1, null, { ready: true }, { phases: [run('1', 'installation', -500, -400), run('2', 'cluster_formation', 5, null, { startedAt: null, status: 'WAITING' })] });
    const lanes = lanesOf(cluster([adopted]), nothing, now, 8);
    expect(lanes.lanes[0]?.bars.map(({ run: { phaseKey } }) => phaseKey)).toEqual(['cluster_formation']);
    expect(lanes.domain.from).toBe(t0);
  });

  it('names bars by their deployment, and moves between them by arrows', () => {
    const { lanes } = lanesOf(cluster([member(1, 40), member(2, 60), member(3, null)]), nothing, now, 8);
    expect(moveInLanes(lanes, null, 'next')).toBe('dep_1 1');
    expect(moveInLanes(lanes, 'dep_1 1', 'next')).toBe('dep_1 2');
    expect(moveInLanes(lanes, 'dep_1 2', 'next')).toBe('dep_1 2');
    expect(moveInLanes(lanes, 'dep_1 2', 'down')).toBe('dep_2 2');
    expect(moveInLanes(lanes, 'dep_2 2', 'down')).toBe('dep_3 1');
    expect(moveInLanes(lanes, 'dep_3 1', 'down')).toBe('dep_3 1');
    expect(moveInLanes(lanes, 'dep_2 2', 'first')).toBe('dep_2 1');
  });
});

describe('words', () => {
  it('has one for every state, and for one that it does not know', () => {
    for (const state of clusterStates) expect(clusterState(state).kind).not.toBe('unknown');
    expect(clusterState('SOMETHING_NEW' as never)).toMatchObject({ kind: 'unknown', word: 'something new' });
  });

  it('tells who waits at the barrier from who is being formed', () => {
    const waiting = member(1, 40);
    expect(memberMark(waiting, false).word).toBe('At the barrier');
    expect(memberMark(waiting, true).word).toBe('Forming');
    expect(memberMark(member(1, null, { state: 'REPLACED', deployment: null }), false).word).toBe('Replaced');
    expect(memberMark(member(1, null, { node: { ...waiting.node, stale: true } }), false).kind).toBe('stalled');
  });

  it('says what is waited for', () => {
    const some = cluster([member(1, 40), member(2, null)]);
    expect(waitsFor(some)).toBe('c-2 (at “Installation”)');
    expect(waitsFor(cluster([member(1, null), member(2, null)], { state: 'GROWING' }))).toBe('c-1 (at “Installation”)');
    expect(waitsFor({ ...some, state: 'DEPLOYED' })).toBeNull();
    expect(barrierPassed(some)).toBe(false);
    expect(barrierPassed(cluster([member(1, 40)]))).toBe(true);
  });

  it('expects the end with the slowest, and says nothing when a person has to decide', () => {
    const some = cluster([member(1, null, {}, { estimatedFinishAt: at(200) }), member(2, null, {}, { estimatedFinishAt: at(160) })]);
    expect(clusterEta(some, now)).toEqual({ kind: 'waiting', word: '2 min left' });
    expect(clusterEta({ ...some, state: 'BLOCKED' }, now)).toBeNull();
  });
});

describe('the form', () => {
  const filled: ClusterForm = { ...emptyForm, name: 'Prod', common: { ...emptyForm.common, profile: 'bx2d-metal-96x384' } };

  it('says what is missing, and asks for nodes that are called after the cluster', () => {
    expect(missing(emptyForm)).toEqual(['the name', 'the profile of the servers']);
    expect(missing(filled)).toEqual([]);
    expect(inputOf(filled, 'k')).toEqual({
      operation: 'CREATE_NEW', name: 'Prod', type: 'MULTI_NODE', redundancyFactor: 2, idempotencyKey: 'k',
      nodes: [1, 2, 3].map((i) => ({ name: `prod-${i}`, spec: { ibmVpc: { serverProfile: 'bx2d-metal-96x384', zone: null, managementSubnet: null } } })),
    });
    expect(inputOf(resized(filled, 1))).toMatchObject({ type: 'SINGLE_NODE', redundancyFactor: 1 });
  });

  it('takes nodes of every sort, and what is their own', () => {
    const own = { ...emptyNode, order: { ...emptyNode.order, name: 'x', profile: 'other', cvmIp: '10.0.0.9' } };
    const rack = { ...emptyNode, source: 'RACK' as const, order: { ...emptyNode.order, mac: '52-54-00-00-00-01', managementIp: '10.0.0.5', cvmIp: '10.0.0.8' } };
    const there = { ...emptyNode, source: 'DEPLOYED' as const, nodeId: 'node_7' };
    const { nodes } = inputOf({ ...filled, nodes: [own, rack, there] });
    expect(nodes[0]).toMatchObject({ name: 'x', spec: { ibmVpc: { serverProfile: 'other', network: { cvmIp: '10.0.0.9' } } } });
    expect(nodes[1]).toMatchObject({ name: 'prod-2', spec: { rack: { managementIp: '10.0.0.5', cvmIp: '10.0.0.8', ahvIp: null } } });
    expect(nodes[2]).toEqual({ nodeId: 'node_7' });
  });

  it('joins with the nodes alone, called after the places that they get', () => {
    const join: ClusterForm = { ...filled, operation: 'JOIN_EXISTING', clusterId: 'clu_4', nodes: [emptyNode] };
    expect(inputOf(join, undefined, 4)).toEqual({ operation: 'JOIN_EXISTING', clusterId: 'clu_4', nodes: [expect.objectContaining({ name: 'prod-4' })] });
    expect(nodeName(join, emptyNode, 0, 4)).toBe('prod-4');
  });

  it('tells addresses that are none before the server has to', () => {
    const wrong: ClusterForm = { ...filled, address: '10.0.0.999', nodes: [emptyNode, { ...emptyNode, order: { ...emptyNode.order, cvmIp: 'here' } }, emptyNode] };
    const said = ownErrors(wrong);
    expect(said.map(({ field }) => field.join('.'))).toEqual(['address', 'nodes.1.spec.cvmIp']);
    expect(ofNode(said, 1, 'cvmIp')).toBe('This is no address.');
    expect(ofNode(said, 0, 'cvmIp')).toBeUndefined();
    expect(ownErrors(filled)).toEqual([]);
  });

  it('puts what the server says where it belongs, without its own names', () => {
    const check = { key: 'k', label: 'Cluster', severity: 'ERROR' as const, passed: false, message: 'nodes.1.spec.cvm_ip is required', hint: null, field: ['nodes', '1', 'spec', 'rack', 'cvmIp'] };
    const shown = readable(check);
    expect([shown.label, shown.message]).toEqual(['Node 2, Controller VM IP', 'Is required']);
    expect(readable({ ...check, field: ['nodes', '1'], message: 'nodes.1 c-2 belongs to the cluster old' }).message).toBe('C-2 belongs to the cluster old');
    expect(exactly([{ field: ['nodes', '1'], message: 'm' }], 'nodes', '1')).toBe('m');
    expect(exactly([{ field: ['nodes', '1', 'name'], message: 'm' }], 'nodes', '1')).toBeUndefined();
  });

  it('survives as a draft, and what is none is left out', () => {
    expect(readClusterDraft(JSON.stringify(filled))).toEqual(filled);
    expect(readClusterDraft('{"nodes":[1,2],"name":7}')).toEqual(emptyForm);
    expect(readClusterDraft('nonsense')).toEqual(emptyForm);
  });
});

describe('addresses and copies', () => {
  it('reads what makes sense', () => {
    expect(parseClusterSearch({ view: 'table', node: 'node_3', x: 1 })).toEqual({ view: 'table', node: 'node_3' });
    expect(parseClusterSearch({ view: 'x', node: '3' })).toEqual({});
    expect(parseClustersSearch({ q: 7, state: 'blocked' })).toEqual({ q: '7', state: 'blocked' });
    expect(parseClustersSearch({ q: '', state: 'BLOCKED' })).toEqual({});
    expect(parseNewClusterSearch({ join: 'clu_2' })).toEqual({ join: 'clu_2' });
    expect(parseNewClusterSearch({ join: 'node_2' })).toEqual({});
  });

  it('writes enumerations bare and leaves out what is not set', () => {
    expect(handoffNewCluster('http://h', { operation: 'JOIN_EXISTING', clusterId: 'clu_1', nodes: [{ name: 'a', spec: { ibmVpc: { serverProfile: 'p', zone: null } } }] }).graphql).toContain(
      'deployCluster(input: { operation: JOIN_EXISTING, clusterId: "clu_1", nodes: [{ name: "a", spec: { ibmVpc: { serverProfile: "p" } } }] })',
    );
    expect(handoffClusters('http://h', { states: ['BLOCKED'], text: '-x y' }).cli).toBe("slipway cluster list --status=blocked -- '-x y'");
  });
});
