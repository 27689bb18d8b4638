import type {
  DeploymentCardFragment,
  DeploymentLiveFragment,
  EventRowFragment,
  FleetRowFragment,
  NodeLiveFragment,
  PhaseRunBarFragment,
} from '@/gql/generated/graphql';

type Typed<T> = T & { __typename: string };

/** The instant all fixtures are about. */
export const t0 = Date.parse('2026-11-22T10:00:00Z');

/** An instant some seconds after t0. */
export const at = (seconds: number): string => new Date(t0 + seconds * 1000).toISOString();

export function card(over: Partial<DeploymentCardFragment> = {}): Typed<DeploymentCardFragment> {
  return {
    __typename: 'Deployment',
    id: 'dep_1',
    number: 1,
    attempt: 1,
    provider: 'IBM_VPC',
    state: 'RUNNING',
    phase: 'IMAGE_DOWNLOAD',
    phaseKey: 'image_download',
    phaseStatus: 'IN_PROGRESS',
    progress: 0.4,
    createdAt: at(0),
    startedAt: at(1),
    finishedAt: null,
    duration: null,
    estimatedFinishAt: null,
    late: false,
    stalled: false,
    version: 1,
    failure: null,
    ...over,
  };
}

export function row(id: string, over: Partial<FleetRowFragment> = {}): Typed<FleetRowFragment> {
  const number = id.replace('node_', '');
  return {
    __typename: 'BareMetalNode',
    id,
    name: `metal-${number}`,
    provider: 'IBM_VPC',
    serverProfile: 'bx2d-metal-96x384',
    managementIp: `10.0.0.${number}`,
    workloadIp: null,
    macAddresses: [],
    serial: null,
    clusterName: null,
    labels: [],
    state: 'RUNNING',
    serverStatus: 'running',
    protected: false,
    lastSeenAt: at(10),
    stale: false,
    late: false,
    stalled: false,
    version: 1,
    createdAt: at(0),
    currentDeployment: card({ id: `dep_${number}` }),
    ...over,
  };
}

export function live(over: Partial<DeploymentLiveFragment> = {}): Typed<DeploymentLiveFragment> {
  return {
    ...card(),
    kind: 'INSTALL',
    maintenance: false,
    allowedActions: [],
    retryBeginsAt: null,
    retryPhases: [],
    cleanup: [],
    requestedBy: { __typename: 'Actor', kind: 'TOKEN', name: 'ci' } as DeploymentLiveFragment['requestedBy'],
    stuckReason: null,
    phases: [],
    sshProbe: null,
    ...over,
    failure: over.failure ?? null,
  };
}

export function nodeLive(over: Partial<NodeLiveFragment> = {}): Typed<NodeLiveFragment> {
  return {
    __typename: 'BareMetalNode',
    id: 'node_1',
    version: 1,
    managementIp: '10.0.0.1',
    workloadIp: null,
    ahvIp: null,
    cvmIp: null,
    macAddresses: [],
    serverStatus: 'running',
    protected: false,
    protectNote: null,
    resources: [],
    ...over,
  };
}

export function event(sequence: number, over: Partial<EventRowFragment> = {}): Typed<EventRowFragment> {
  return {
    __typename: 'DeploymentEvent',
    id: `evt_${sequence}`,
    sequence,
    cursor: `v1:${sequence}`,
    phase: 'IMAGE_DOWNLOAD',
    phaseKey: 'image_download',
    status: 'IN_PROGRESS',
    state: 'RUNNING',
    message: `event ${sequence}`,
    progress: null,
    outcome: 'ACCEPTED',
    refusedCode: null,
    source: 'INSTALLER_SCRIPT',
    attempt: 1,
    serverStatus: null,
    occurredAt: at(sequence),
    recordedAt: at(sequence),
    details: null,
    logTail: null,
    ...over,
  };
}

export function bar(over: Partial<PhaseRunBarFragment> = {}): Typed<PhaseRunBarFragment> {
  return {
    __typename: 'PhaseRun',
    key: '1',
    phase: 'PENDING',
    phaseKey: 'pending',
    label: 'Queued',
    ordinal: 1,
    attempt: 1,
    status: 'SUCCEEDED',
    enteredAt: at(0),
    startedAt: at(0),
    finishedAt: at(10),
    duration: 10_000,
    typicalDuration: null,
    deadlineAt: null,
    progress: null,
    awaiting: null,
    message: null,
    ...over,
  };
}
