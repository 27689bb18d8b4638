// Made-up machines that go through their phases, for the mock server.

import { resourcesOf, verbs, verbsOf } from './mock-verbs.mjs';

const order = ['pending', 'server_requested', 'monitoring_start', 'ipxe_boot', 'config_download', 'foundation_start', 'network_config', 'storage_discovery', 'image_download', 'installation', 'post_install', 'cluster_formation', 'dns_registration', 'health_validation'];
const labels = ['Queued', 'Server ordered', 'Waiting for boot', 'Network boot', 'Configuration', 'Installer start', 'Network setup', 'Disk discovery', 'Image download', 'Installation', 'Post-install', 'Cluster formation', 'DNS records', 'Health check'];
const typical = [2, 55, 640, 40, 12, 25, 20, 35, 260, 480, 70, 0, 14, 60];
const weights = [0, 2, 20, 3, 2, 3, 3, 3, 16, 26, 6, 8, 2, 6];
const machineFrom = 5;
const profiles = ['bx2d-metal-96x384', 'cx2d-metal-96x192', 'mx2d-metal-96x768'];
const messages = { image_download: 'hypervisor.img: 412 MiB of 1.1 GiB', installation: 'writing system to nvme0n1', storage_discovery: '9 disks found, boot disk nvme0n1', monitoring_start: 'power on requested, waiting for the first boot request' };

function random(seed) {
  let state = seed;
  return () => {
    state = (state * 1664525 + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

const page = (all, { first, after, last, before }) => {
  let from = after ? Number(after.slice(3)) : 0;
  let to = before ? Number(before.slice(3)) - 1 : all.length;
  if (first != null) to = Math.min(to, from + first);
  if (last != null) from = Math.max(from, to - last);
  const nodes = all.slice(from, to);
  return {
    nodes,
    edges: nodes.map((node, i) => ({ node, cursor: `v1:${from + i + 1}` })),
    totalCount: all.length,
    pageInfo: { hasNextPage: to < all.length, hasPreviousPage: from > 0, startCursor: nodes.length ? `v1:${from + 1}` : null, endCursor: nodes.length ? `v1:${to}` : null },
  };
};

const wantedBy = (filter, event) =>
  (!filter?.nodeIds || filter.nodeIds.includes(event.bareMetalNode.id)) && (!filter?.phases || filter.phases.includes(event.phase)) && (!filter?.statuses || filter.statuses.includes(event.status)) &&
  (!filter?.sources || filter.sources.includes(event.source)) && (!filter?.deploymentIds || filter.deploymentIds.includes(event.deployment.id));

/** Builds a fleet; `root` and `subscription` answer the schema, `step` lets something happen. */
export function createFleet({ nodes: size, seed }) {
  const rnd = random(seed);
  const iso = (ms) => new Date(ms).toISOString();
  const all = [];
  const log = [];
  const listeners = new Set();
  let ids = 0;

  const cursor = () => `v1:${log.length}`;
  const say = (node) => listeners.forEach((listener) => listener(node));

  function record(deployment, key, status, at, over = {}) {
    const event = {
      __typename: 'DeploymentEvent', id: `evt_${log.length + 1}`, sequence: deployment.log.length + 1, cursor: `v1:${log.length + 1}`,
      deployment, bareMetalNode: deployment.node, phase: key.toUpperCase(), phaseKey: key, status, state: deployment.state,
      message: status === 'IN_PROGRESS' ? (messages[key] ?? '') : '', progress: null, outcome: 'ACCEPTED', refusedCode: null,
      source: order.indexOf(key) >= machineFrom && order.indexOf(key) <= 10 ? 'INSTALLER_SCRIPT' : order.indexOf(key) === 1 ? 'CLOUD_API' : order.indexOf(key) === 3 ? 'BOOT_SERVICE' : 'ORCHESTRATOR',
      attempt: deployment.attempt, serverStatus: null, occurredAt: iso(at), recordedAt: iso(at + 140), details: null, logTail: null, ...over,
    };
    deployment.log.push(event);
    log.push(event);
    deployment.version += 1;
    deployment.node.version += 1;
    deployment.node.updatedAt = iso(at);
    if (event.source === 'INSTALLER_SCRIPT') deployment.node.lastSeenAt = iso(at);
    return event;
  }

  function newDeployment(node, at, attempt = 1) {
    const deployment = {
      __typename: 'Deployment', id: `dep_${++ids}`, node, batch: null, number: node.list.length + 1, attempt, provider: 'IBM_VPC', state: 'QUEUED',
      phase: 'PENDING', phaseKey: 'pending', phaseStatus: 'WAITING', phases: [], currentPhase: null, log: [], progress: 0, version: 1, maintenance: false,
      requestedBy: { kind: rnd() < 0.6 ? 'TOKEN' : 'USER', name: rnd() < 0.6 ? 'ci-deploy' : 'ada' }, failure: null, createdAt: iso(at), startedAt: null,
      finishedAt: null, duration: null, config: { serverProfile: node.serverProfile }, cursor, events: (args) => page(deployment.log, args),
      estimatedFinishAt: () => (deployment.state === 'RUNNING' ? iso(deployment.slow ? Date.now() - 190e3 : Date.now() + (1 - deployment.progress) * 1500e3) : null),
      late: () => deployment.state === 'RUNNING' && deployment.slow === true, stalled: () => deployment.state === 'RUNNING' && node.stale,
      stuckReason: () => stuck(deployment),
    };
    Object.assign(deployment, verbsOf(deployment));
    node.list.unshift(deployment);
    return deployment;
  }

  function stuck(deployment) {
    const run = deployment.phases.at(-1);
    if (deployment.state === 'QUEUED') return { code: 'slot', awaiting: 'a free slot', since: deployment.createdAt, evidence: '2 before this one in the queue', advice: 'It starts by itself when another deployment ends.', position: 3 };
    if (!run || run.finishedAt || deployment.state !== 'RUNNING') return null;
    const silent = deployment.node.stale;
    return {
      code: silent ? 'silent' : 'report', awaiting: silent ? 'the next report of the machine' : `the end of ${run.label.toLowerCase()}`, since: run.startedAt ?? run.enteredAt,
      evidence: silent ? 'Last heartbeat during image_download at 37 %; the provider says the server is running.' : null,
      advice: silent ? 'Open the serial console. If the installer has stopped, retry the deployment.' : 'Nothing to do yet.',
    };
  }

  function enter(deployment, i, at) {
    const run = {
      key: `${deployment.phases.length + 1}`, phase: order[i].toUpperCase(), phaseKey: order[i], label: labels[i], ordinal: i + 1, owner: 'WORKFLOW', attempt: deployment.attempt,
      status: 'WAITING', enteredAt: iso(at), startedAt: null, finishedAt: null, duration: null, typicalDuration: typical[i] > 0 ? typical[i] * 1000 : null,
      deadlineAt: iso(at + Math.max(300, typical[i] * 3) * 1000), progress: null, awaiting: 'the first report', message: null,
    };
    deployment.phases.push(run);
    Object.assign(deployment, { phase: run.phase, phaseKey: run.phaseKey, phaseStatus: 'WAITING', currentPhase: run, state: i === 0 ? 'QUEUED' : 'RUNNING' });
    if (i > 0) deployment.startedAt ??= iso(at);
    if (order[i] === 'cluster_formation') {
      Object.assign(run, { status: 'SKIPPED', finishedAt: iso(at), duration: 0, deadlineAt: null });
      record(deployment, order[i], 'SKIPPED', at);
      enter(deployment, i + 1, at);
    }
  }

  function begin(deployment, at) {
    const run = deployment.phases.at(-1);
    Object.assign(run, { status: 'IN_PROGRESS', startedAt: iso(at), awaiting: 'its end', message: messages[run.phaseKey] ?? null });
    deployment.phaseStatus = 'IN_PROGRESS';
    record(deployment, run.phaseKey, 'IN_PROGRESS', at);
  }

  function end(deployment, at) {
    const run = deployment.phases.at(-1);
    const i = order.indexOf(run.phaseKey);
    Object.assign(run, { status: 'SUCCEEDED', finishedAt: iso(at), duration: at - Date.parse(run.enteredAt), deadlineAt: null, progress: null, awaiting: null });
    deployment.progress = Math.min(0.99, weights.slice(0, i + 1).reduce((a, b) => a + b, 0) / 100);
    record(deployment, run.phaseKey, 'SUCCEEDED', at, run.phaseKey === 'storage_discovery' ? { details: { disks: [{ name: 'nvme0n1', size: '960 GB', serial: 'S64FNE0R' }, { name: 'nvme1n1', size: '3.2 TB', serial: 'PHLN9342' }] } } : {});
    if (i < order.length - 1) return enter(deployment, i + 1, at);
    Object.assign(deployment, { state: 'SUCCEEDED', phase: 'DEPLOYED', phaseKey: 'deployed', phaseStatus: 'SUCCEEDED', progress: 1, finishedAt: iso(at), duration: at - Date.parse(deployment.startedAt) });
    record(deployment, 'deployed', 'SUCCEEDED', at);
  }

  function fail(deployment, at, code, message, hint, logTail) {
    const run = deployment.phases.at(-1);
    Object.assign(run, { status: code === 'deadline_passed' ? 'TIMED_OUT' : 'FAILED', finishedAt: iso(at), duration: at - Date.parse(run.enteredAt), deadlineAt: null, awaiting: null, message });
    deployment.failure = { phase: run.phase, phaseKey: run.phaseKey, code, message, hint, retryable: code !== 'checksum_mismatch', at: iso(at), logTail, event: null };
    Object.assign(deployment, { state: 'FAILED', phase: 'FAILED', phaseKey: 'failed', phaseStatus: 'FAILED', finishedAt: iso(at), duration: at - Date.parse(deployment.startedAt) });
    record(deployment, run.phaseKey, 'FAILED', at, { message, logTail });
  }

  // Plays a deployment up to a phase in the past, so that it stands there now.
  function play(deployment, upTo, share, pace = 1) {
    const spent = (i) => typical[i] * 1000 * pace * (0.7 + rnd() * 0.6);
    const lengths = order.map((_, i) => spent(i));
    let at = Date.now() - lengths.slice(0, upTo).reduce((a, b) => a + b, 0) - (lengths[upTo] ?? 0) * share;
    deployment.createdAt = iso(at);
    enter(deployment, 0, at);
    for (let guard = 0; guard < 30; guard++) {
      const i = order.indexOf(deployment.phases.at(-1).phaseKey);
      if (i >= upTo) break;
      begin(deployment, at + lengths[i] * 0.12);
      at += lengths[i];
      end(deployment, at);
      if (deployment.state === 'SUCCEEDED') return at;
    }
    const run = deployment.phases.at(-1);
    if (run.status === 'WAITING' && share > 0.15) begin(deployment, Date.parse(run.enteredAt) + (lengths[upTo] ?? 0) * 0.1);
    return Date.now();
  }

  for (let n = 1; n <= size; n++) {
    const node = {
      __typename: 'BareMetalNode', id: `node_${n}`, name: `metal-${['fra', 'dal', 'tok'][n % 3]}-${String(n).padStart(2, '0')}`, provider: 'IBM_VPC', serverProfile: profiles[n % 3],
      managementIp: `10.240.${Math.floor(n / 250)}.${(n % 250) + 4}`, workloadIp: null, macAddresses: [`02:00:0a:f0:00:${(n % 256).toString(16).padStart(2, '0')}`], clusterName: null,
      labels: [{ key: 'zone', value: `eu-de-${(n % 3) + 1}` }], serverStatus: 'running', ahvIp: n === 1 ? '10.240.0.105' : null, cvmIp: n === 1 ? '10.240.0.106' : null, protected: n === 24, protectNote: n === 24 ? 'holds the demonstration' : null, resources: () => resourcesOf(node), lastSeenAt: null, stale: false, get stalled() { return node.stale; }, get late() { return node.list[0]?.late() ?? false; }, version: 1, createdAt: iso(Date.now() - 9e8), updatedAt: iso(Date.now()), list: [],
      get currentDeployment() { return node.list[0] ?? null; }, get state() { return node.list[0]?.state ?? null; }, get deploymentStatus() { return node.list[0]?.phaseKey ?? 'pending'; },
      deployments: (args) => page(node.list, args),
    };
    all.push(node);
    const kind = n <= 12 ? n : Math.floor(rnd() * 40);
    if (kind === 1) { // A second attempt after a boot that did not come.
      const d = newDeployment(node, Date.now());
      play(d, 3, 0.9, 0.5);
      const failed = d.phases.at(-1);
      Object.assign(failed, { status: 'TIMED_OUT', finishedAt: iso(Date.now() - 300e3), duration: 60e3, deadlineAt: null, message: 'no configuration request after the boot script' });
      for (const run of d.phases) { run.enteredAt = iso(Date.parse(run.enteredAt) - 420e3); if (run.startedAt) run.startedAt = iso(Date.parse(run.startedAt) - 420e3); if (run.finishedAt && run !== failed) run.finishedAt = iso(Date.parse(run.finishedAt) - 420e3); }
      d.createdAt = d.phases[0].enteredAt;
      d.attempt = 2;
      let at = Date.now() - 300e3;
      enter(d, 3, at);
      for (const i of [3, 4, 5, 6, 7, 8]) { begin(d, at + 4000); if (i === 8) break; at += typical[i] * 1000; end(d, at); }
      Object.assign(d.phases.at(-1), { progress: 0.37, message: messages.image_download });
      node.lastSeenAt = iso(Date.now() - 3000);
    } else if (kind === 2) {
      const d = newDeployment(node, Date.now());
      play(d, 8, 0.6);
      fail(d, Date.now() - 42e3, 'checksum_mismatch', 'hypervisor.img: sha256 is 9f1c…e0, expected 4b7d…12', 'The file on the image server is not the one in the catalogue. Add the right one, then retry from image_download.', 'foundation-init: downloading hypervisor.img\ncurl: 1153433600 bytes, 200 OK\nsha256sum: 9f1c0d3a…e0\nfoundation-init.sh:212: checksum mismatch for hypervisor.img, giving up\n');
      newDeployment(node, Date.now() - 9e7);
      const old = node.list.shift();
      node.list.push(old);
      old.number = 1; d.number = 2;
      play(old, 14, 1);
    } else if (kind === 3) {
      play(newDeployment(node, Date.now()), 8, 0.8);
      node.stale = true;
      node.lastSeenAt = iso(Date.now() - 740e3);
    } else if (kind === 4) play(newDeployment(node, Date.now()), 0, 0);
    else if (kind === 5) node.managementIp = null;
    else if (kind === 6) { const d = newDeployment(node, Date.now()); play(d, 2, 0.9); Object.assign(d.phases.at(-1), { status: 'CANCELED', finishedAt: iso(Date.now()), deadlineAt: null }); Object.assign(d, { state: 'CANCELED', phase: 'CANCELED', phaseKey: 'canceled', phaseStatus: 'CANCELED', finishedAt: iso(Date.now()), duration: 400e3 }); }
    else if (kind === 7) { const d = newDeployment(node, Date.now()); play(d, 14, 1); Object.assign(d, { state: 'CLEANING_UP', phase: 'CLEANUP', phaseKey: 'cleanup', phaseStatus: 'IN_PROGRESS' }); }
    else if (kind === 8) { const d = newDeployment(node, Date.now()); play(d, 2, 0.95, 3); fail(d, Date.now() - 5000, 'deadline_passed', 'No boot request within 60 minutes', 'Check that the network boots the server from Slipway; see its serial console.', null); }
    else if (kind === 9) { const d = newDeployment(node, Date.now()); play(d, 9, 0.9, 2.4); d.slow = true; node.lastSeenAt = iso(Date.now() - 9000); }
    else if (kind < 24) play(newDeployment(node, Date.now()), 2 + Math.floor(rnd() * 11), 0.2 + rnd() * 0.6, 0.4 + rnd());
    else { play(newDeployment(node, Date.now()), 14, 1); node.lastSeenAt = iso(Date.now() - rnd() * 9e6); }
  }

  const summary = () => ({
    total: all.length, active: all.filter(({ state }) => state === 'RUNNING' || state === 'QUEUED').length, stalled: all.filter(({ stale }) => stale).length, late: all.filter(({ late }) => late).length, byState: [], byPhase: [],
    succeededLast24h: all.filter(({ state }) => state === 'SUCCEEDED').length, failedLast24h: all.filter(({ state }) => state === 'FAILED').length, durationP50: 1702000, durationP95: 2544000, asOf: iso(Date.now()), cursor: cursor(),
  });

  // One running machine moves a little; some finish, others begin.
  function step() {
    const node = all[Math.floor(rnd() * all.length)];
    const d = node?.currentDeployment;
    if (!d || node.stale || (d.state !== 'RUNNING' && d.state !== 'QUEUED')) return;
    const run = d.phases.at(-1);
    const at = Date.now();
    if (run.status === 'WAITING') begin(d, at);
    else if (['image_download', 'installation'].includes(run.phaseKey) && (run.progress ?? 0) < 0.9) {
      run.progress = Math.min(0.95, (run.progress ?? 0) + 0.06 + rnd() * 0.08);
      record(d, run.phaseKey, 'IN_PROGRESS', at, { progress: run.progress });
    } else end(d, at);
    say(node);
  }

  // One machine that is under way changes, for sure: what a test of speed needs.
  function change(which) {
    for (let tries = 0; tries < 1000; tries++) {
      const node = which ?? all[Math.floor(rnd() * all.length)];
      const d = node?.currentDeployment;
      if (d?.state !== 'RUNNING') continue;
      const run = d.phases.at(-1);
      run.progress = rnd();
      d.progress = Math.min(0.99, rnd());
      d.version += 1;
      node.version += 1;
      node.lastSeenAt = iso(Date.now());
      return say(node);
    }
  }

  async function* follow(map, heartbeatSeconds) {
    const queue = [];
    let wake = () => undefined;
    const listener = (node) => { queue.push(node); wake(); };
    listeners.add(listener);
    try {
      for (;;) {
        if (queue.length === 0) {
          const timer = new Promise((resolve) => { wake = resolve; setTimeout(resolve, heartbeatSeconds * 1000).unref(); });
          await timer;
        }
        const changed = [...new Set(queue.splice(0))];
        yield changed.length > 0 ? map(changed) : { __typename: 'StreamHeartbeat', cursor: cursor(), at: iso(Date.now()) };
      }
    } finally {
      listeners.delete(listener);
    }
  }

  async function* fleetChanges({ after, heartbeatSeconds }) {
    if (after == null) {
      for (let i = 0; i === 0 || i < all.length; i += 500) yield { fleetChanges: { __typename: 'FleetSnapshotPage', nodes: all.slice(i, i + 500), last: i + 500 >= all.length, cursor: cursor(), at: iso(Date.now()) } };
    } else {
      const changed = [...new Set(log.slice(Number(after.slice(3))).map((event) => event.bareMetalNode))];
      yield { fleetChanges: { __typename: 'FleetDelta', changed, removedIds: [], caughtUp: true, summary: summary(), cursor: cursor(), at: iso(Date.now()) } };
    }
    yield { fleetChanges: { __typename: 'FleetDelta', changed: [], removedIds: [], caughtUp: true, summary: summary(), cursor: cursor(), at: iso(Date.now()) } };
    for await (const message of follow((changed) => ({ __typename: 'FleetDelta', changed, removedIds: [], caughtUp: true, summary: summary(), cursor: cursor(), at: iso(Date.now()) }), heartbeatSeconds)) yield { fleetChanges: message };
  }

  async function* deploymentEvents({ filter, after, heartbeatSeconds }) {
    let position = after == null ? log.length : Number(after.slice(3));
    const wanted = (event) => wantedBy(filter, event);
    const batch = () => {
      const events = log.slice(position).filter(wanted);
      position = log.length;
      return events.length > 0 ? { __typename: 'DeploymentEventBatch', events, caughtUp: true, cursor: cursor(), at: iso(Date.now()) } : { __typename: 'StreamHeartbeat', cursor: cursor(), at: iso(Date.now()) };
    };
    yield { deploymentEvents: batch() };
    for await (const message of follow(batch, heartbeatSeconds)) {
      if (message.__typename === 'DeploymentEventBatch' || Math.random() < 0.1) yield { deploymentEvents: message };
    }
  }

  // Ended deployments by the time of their end.
  const buckets = (from, to, length, of) => {
    const ended = all.flatMap(({ list }) => list).filter(({ finishedAt }) => finishedAt !== null);
    const out = [];
    for (let at = Date.parse(from); at < Date.parse(to); at += length) out.push({ start: iso(at), ...of(ended.filter((d) => Date.parse(d.finishedAt) >= at && Date.parse(d.finishedAt) < at + length)) });
    return out;
  };
  const byId = (id) => all.find((node) => node.id === id) ?? all.flatMap(({ list }) => list).find((d) => d.id === id) ?? null;
  const root = {
    ...verbs({ byId, changed: say }),
    node: ({ id }) => byId(id),
    deployment: ({ id }) => byId(id),
    bareMetalNodes: (args) => page(all, args),
    fleetSummary: summary,
    phaseCatalog: () => order.map((key, i) => ({ phase: key.toUpperCase(), key, label: labels[i], description: labels[i], ordinal: i + 1, owner: 'WORKFLOW', timeout: 600e3, weight: weights[i], typicalDuration: null, terminal: false })),
    recentEvents: ({ first, before, filter }) => {
      const found = log.slice(0, before == null ? log.length : Number(before.slice(3)) - 1).filter((event) => wantedBy(filter, event)).toReversed();
      const nodes = found.slice(0, first);
      return { nodes, edges: [], pageInfo: { hasNextPage: found.length > first, hasPreviousPage: before != null, startCursor: nodes[0]?.cursor ?? null, endCursor: nodes.at(-1)?.cursor ?? null } };
    },
    deployments: ({ first, filter }) => {
      const found = all.flatMap(({ list }) => list).filter(({ state }) => !filter?.states || filter.states.includes(state)).sort((a, b) => (a.createdAt < b.createdAt ? 1 : -1));
      return page(found, { first });
    },
    failureGroups: () => {
      const byWhy = new Map();
      for (const node of all.filter(({ state }) => state === 'FAILED')) {
        const { failure } = node.currentDeployment;
        byWhy.set(`${failure.phaseKey} ${failure.code}`, [...(byWhy.get(`${failure.phaseKey} ${failure.code}`) ?? []), node]);
      }
      return [...byWhy.values()].sort((a, b) => b.length - a.length).map((nodes) => {
        const { phase, phaseKey, code, message, hint, retryable, at } = nodes[0].currentDeployment.failure;
        return { phase, phaseKey, code, message, hint, retryable, count: nodes.length, newestAt: at, oldestAt: at, nodes: (args) => page(nodes, args) };
      });
    },
    durationSeries: ({ from, to, bucket, serverProfile }) =>
      buckets(from, to, bucket, (inside) => {
        const took = inside.filter((d) => d.state === 'SUCCEEDED' && (serverProfile == null || d.node.serverProfile === serverProfile)).map(({ duration }) => duration).sort((a, b) => a - b);
        return { count: took.length, p50: took[took.length >> 1] ?? null, p95: took[Math.floor(took.length * 0.95)] ?? null };
      }),
    successSeries: ({ from, to, bucket }) =>
      profiles.map((serverProfile) => ({
        provider: 'IBM_VPC', serverProfile,
        buckets: buckets(from, to, bucket, (inside) => {
          const count = (state) => inside.filter((d) => d.state === state && d.node.serverProfile === serverProfile).length;
          return { succeeded: count('SUCCEEDED'), failed: count('FAILED'), canceled: count('CANCELED') };
        }),
      })),
    deploymentBatch: ({ id }) => (id === 'bat_1' ? { __typename: 'DeploymentBatch', id, name: 'rack 7, second half', createdAt: iso(Date.now() - 4e6), requestedBy: { kind: 'TOKEN', name: 'ci-deploy' }, total: 12, countsByState: [], deployments: (args) => page(all.slice(0, 14).flatMap(({ list }) => list.slice(0, 1)).slice(0, 12), args) } : null),
    serverInfo: () => ({ version: '0.9.0-mock', schemaHash: '3f6f19a2c0'.repeat(6) + '0000', now: iso(Date.now()), maxPageSize: 200, streamRetention: 7 * 864e5 }),
    deploymentEvents: ({ first, after, filter }) => {
      const from = after == null ? 0 : Number(after.slice(3));
      const events = log.slice(from).filter((event) => !filter?.nodeIds || filter.nodeIds.includes(event.bareMetalNode.id)).slice(0, first);
      return { nodes: events, edges: [], pageInfo: { hasNextPage: false, hasPreviousPage: from > 0, startCursor: null, endCursor: cursor() } };
    },
  };
  return { root, subscription: { fleetChanges, deploymentEvents }, step, change, say, all };
}
