// What the mock server answers to verbs: what may be asked of a made-up machine,
// what it holds, an offer, a check-list, a few differences.

const iso = (ms) => new Date(ms).toISOString();
const made = [
  ['reserved_ip', 'management', 'gone'], ['reserved_ip', 'ahv', 'gone'], ['reserved_ip', 'cvm', 'gone'], ['vni', 'management', 'gone'], ['server', null, 'gone'], ['dns_a', null, 'gone'],
];

/** What was made for a machine. */
export function resourcesOf(node) {
  if (node.list.length === 0) return [];
  return made.map(([kind, role], i) => ({
    id: `res_${node.id.slice(5)}${i}`, kind, role, name: `slw-${node.name}-${role ?? kind}-1`.replaceAll('_', '-'), cloudId: kind === 'server' ? `0717-3f6f19a2-${i}` : `r010-88d0c1fa-${i}`,
    state: node.state === 'CLEANING_UP' && i < 2 ? 'GONE' : node.state === 'CLEANING_UP' && i === 4 ? 'RELEASING' : 'PRESENT', provider: 'IBM_VPC', createdByNumber: 1, heldByNumber: node.list[0].number,
    lastError: null, createdAt: iso(Date.now() - 3e6), updatedAt: iso(Date.now() - 2e6),
  }));
}

const step = (resource, status, message = null) => ({
  resourceId: resource.id, resourceKind: resource.kind, role: resource.role, name: resource.name, cloudId: resource.cloudId, action: resource.kind === 'server' ? 'stop and delete' : 'delete', status, message,
});

/** In the safe order: names, the server, what it stood on. */
const plan = (node) => resourcesOf(node).toReversed().map((resource) => step(resource, 'WAITING'));

/** The fields of a deployment that say what may be asked of it. */
export function verbsOf(deployment) {
  const current = () => deployment.node.list[0] === deployment;
  const held = () => deployment.node.protected;
  const after = () => (held() ? [] : ['CLEANUP', 'REINITIALIZE']);
  return {
    kind: deployment.number > 1 ? 'REINITIALIZE' : 'INSTALL',
    allowedActions: () => {
      if (!current()) return [];
      if (['QUEUED', 'RUNNING', 'CANCELING'].includes(deployment.state)) return ['CANCEL'];
      if (deployment.state === 'FAILED') return ['RETRY', 'RETRY_FROM_PHASE', ...after()];
      return ['SUCCEEDED', 'CANCELED'].includes(deployment.state) ? after() : [];
    },
    retryBeginsAt: () => (deployment.state === 'FAILED' ? 'MONITORING_START' : null),
    retryPhases: () =>
      deployment.state === 'FAILED'
        ? [
            { phase: 'SERVER_REQUESTED', phaseKey: 'server_requested', label: 'Server ordered', beginsAt: 'SERVER_REQUESTED', installs: true },
            { phase: 'MONITORING_START', phaseKey: 'monitoring_start', label: 'Waiting for boot', beginsAt: 'MONITORING_START', installs: true },
            ...['Network boot', 'Configuration', 'Installer start', 'Network setup', 'Disk discovery', 'Image download'].map((label) => ({ phase: 'IPXE_BOOT', phaseKey: 'ipxe_boot', label, beginsAt: 'MONITORING_START', installs: true })),
          ]
        : [],
    cleanup: () =>
      deployment.state === 'CLEANING_UP'
        ? plan(deployment.node).map((each, i) => ({ ...each, status: ['SUCCEEDED', 'IN_PROGRESS'][i] ?? 'WAITING', message: ['GET zones/…/resource_records/a-1: not found at 10:02:11 UTC', 'the server is stopping, status “stopping”'][i] ?? null }))
        : [],
  };
}

const refused = (code, message) => ({ errors: [{ code, message, field: null, elementIndex: null, retryable: false }] });

/** Root fields. `byId` finds a thing, `changed` tells the streams. */
export function verbs({ byId, changed }) {
  const finish = (deployment, state, phase) => {
    Object.assign(deployment, { state, phase, phaseKey: phase.toLowerCase(), phaseStatus: 'CANCELED', finishedAt: iso(Date.now()), version: deployment.version + 1 });
    deployment.node.version += 1;
    changed(deployment.node);
    return { deployment, errors: [], plan: [] };
  };
  const end = (id, state, phase) => finish(byId(id), state, phase);
  return {
    cancelDeployment: ({ input }) => end(input.id, 'CANCELED', 'CANCELED'),
    retryDeployment: () => refused('WRONG_STATE', 'deployment #2 of metal-tok-02 is running; only a failed one is retried'),
    cleanupDeployment: ({ input }) => {
      const deployment = byId(input.id);
      if (input.dryRun) return { deployment, plan: plan(deployment.node), errors: [] };
      if (input.confirmNodeName !== deployment.node.name) return { plan: [], ...refused('CONFIRMATION_MISMATCH', "the confirmation is not the node's name; nothing was touched") };
      return end(input.id, 'CLEANING_UP', 'CLEANUP');
    },
    reinitializeNode: () => refused('UPSTREAM_UNAVAILABLE', 'the mock installs nothing; use the real one'),
    setNodeProtection: ({ input }) => {
      const node = byId(input.id);
      Object.assign(node, { protected: input.protected, protectNote: input.protected ? (input.note ?? null) : null, version: node.version + 1 });
      changed(node);
      return { bareMetalNode: node, errors: [] };
    },
    providerOffer: () => ({
      region: 'us-south', zones: ['us-south-1', 'us-south-2', 'us-south-3'],
      profiles: [
        { name: 'bx2d-metal-96x384', family: 'balanced', cpus: 96, memoryGib: 384, dataDisks: 8, dataDiskGb: 3200, usable: true, why: null },
        { name: 'cx2d-metal-96x192', family: 'compute', cpus: 96, memoryGib: 192, dataDisks: 8, dataDiskGb: 3200, usable: true, why: null },
        { name: 'bx2-metal-96x384', family: 'balanced', cpus: 96, memoryGib: 384, dataDisks: 0, dataDiskGb: 0, usable: false, why: 'it has no local data disks' },
      ],
      subnets: [1, 2, 3].flatMap((zone) => [
        { id: `0717-mgmt-${zone}`, name: `metal-management-${zone}`, zone: `us-south-${zone}`, cidr: `10.240.${zone}.0/24`, availableAddresses: 231 },
        { id: `0717-work-${zone}`, name: `metal-workload-${zone}`, zone: `us-south-${zone}`, cidr: `10.241.${zone}.0/24`, availableAddresses: 1203 },
      ]),
      securityGroups: [], sshKeys: [], images: [], dnsZones: [], servers: 7, quota: 25, asOf: iso(Date.now()),
    }),
    validateDeployment: ({ input }) => {
      const good = input.name !== 'taken';
      return {
        ok: good, ahead: 2, estimatedDuration: 1702000, errors: good ? [] : [{ code: 'NAME_IN_USE', message: 'a node named taken exists', field: ['name'], elementIndex: null, retryable: false }],
        checks: [
          { key: 'spec', label: 'Specification', severity: 'ERROR', passed: true, message: 'every field is acceptable', hint: null, field: null },
          { key: 'name', label: 'Name', severity: 'ERROR', passed: good, message: good ? `${input.name} is free` : 'a node named taken exists and is deployed; nothing of it would be touched', hint: good ? null : 'choose another name, or clean that node up first', field: ['name'] },
          { key: 'quota', label: 'Quota', severity: 'ERROR', passed: true, message: '7 of 25 servers are in use', hint: null, field: null },
          { key: 'boot_traffic', label: 'Boot traffic', severity: 'WARNING', passed: false, message: 'the security group metal lets nothing in on TCP 8080 from 10.240.0.0/16', hint: 'add a rule for it, or choose another group', field: null },
          { key: 'artifacts', label: 'Artifacts', severity: 'ERROR', passed: true, message: 'present, with sha256: kernel, initrd, installer.iso', hint: null, field: null },
          { key: 'slots', label: 'Queue', severity: 'INFO', passed: true, message: 'waits until 2 before it have ended: 4 of 4 slots are in use, 1 in the queue', hint: null, field: null },
          { key: 'duration', label: 'Expected time', severity: 'INFO', passed: true, message: '28m22s, and 95 in 100 end within 42m24s (61 deployments of this profile)', hint: null, field: null },
        ],
      };
    },
    deployNode: () => refused('UPSTREAM_UNAVAILABLE', 'the mock deploys nothing; use the real one'),
    driftReport: () => [
      { problem: 'ORPHAN', kind: 'server', name: 'slw-metal-old-1', cloudId: '0717-77f1a2', zone: 'us-south-1', status: 'running', createdAt: iso(Date.now() - 9e8), resourceId: null, bareMetalNode: null, message: 'it has our name and no row of the journal holds it' },
      { problem: 'ORPHAN', kind: 'vni', name: 'slw-metal-old-management-1', cloudId: '0717-11aa', zone: 'us-south-1', status: 'stable', createdAt: iso(Date.now() - 9e8), resourceId: null, bareMetalNode: null, message: 'it has our name and no row of the journal holds it' },
      { problem: 'MISSING', kind: 'dns_a', name: 'metal-dal-01.metal.example', cloudId: null, zone: null, status: null, createdAt: null, resourceId: 'res_12', bareMetalNode: byId('node_1'), message: 'the row says present, the zone has no such record' },
    ],
    removeOrphan: ({ input }) => ({ orphan: null, done: input.kind !== 'server', message: input.kind === 'server' ? 'the server is stopping' : 'not found at 10:03:02 UTC', errors: [] }),
  };
}
