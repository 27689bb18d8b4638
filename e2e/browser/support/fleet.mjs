// A fleet in which something of everything has happened: machines of a cloud,
// of a rack and of a script; deployed, failed, waiting, silent, canceled,
// cleaned up; a batch, bulk operations, runs, artifacts, something that nobody holds.
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { addScript, layScript } from './apply.mjs';
import { Cloud } from './cloud.mjs';
import { eventually, muchPatience } from './eventually.mjs';
import { RackMachine } from './rack.mjs';
import { root, slipway, startServer } from './slipway.mjs';

const profile = 'bx2d-metal-96x384';

/**
 * A server with all providers and nothing in it, not even artifacts.
 *
 * @param {{ flags?: string[], hosts?: number }} [options]
 */
export function startWhole({ flags = [], hosts = 1 } = {}) {
  return startServer({
    pace: 'quick',
    artifacts: false,
    prepare: async (system) => {
      const { args, ...lab } = await layScript(system.dir, { hosts });
      addScript(system, lab);
      return [...args, ...flags];
    },
  });
}

/** Sends the stand-ins to the running server. */
export async function uploadArtifacts(system, admin) {
  for (const { name, kind, version, path } of system.standins) {
    await slipway(['artifacts', 'upload', name, path, `--kind=${kind}`, `--version=${version}`], { env: { SLIPWAY_SERVER: system.url, SLIPWAY_TOKEN: admin.token } });
  }
}

/** Machines of a rack, known by a name and a number. */
export const rackMachine = (system, name, number) =>
  new RackMachine(system.url, { name, ip: `127.64.210.${10 + number}`, mac: `52-54-00-aa-00-${number.toString(16).padStart(2, '0')}` });

export const rackSpec = ({ ip, mac }) => ({ rack: { mac, managementIp: ip, netmask: '255.255.0.0', gateway: '127.64.0.1', dnsServers: ['127.64.0.2'], storage: { boot_disk: { serial: 'S4EVNF0M' }, data_drives: [{ type: 'nvme' }] } } });

/** An answer's errors are a failure. */
export async function ask(api, document, input) {
  const { answer } = await api.query(document, { input });
  assert.deepEqual(answer.errors, [], document);
  return answer;
}

export const deployNodes = 'mutation ($input: DeployNodesInput!) { answer: deployNodes(input: $input) { batch { id } errors { code message } results { errors { code message } } } }';
export const deployCluster = 'mutation ($input: DeployClusterInput!) { answer: deployCluster(input: $input) { cluster { id } errors { code message } } }';
export const bulkAction = 'mutation ($input: BulkDeploymentActionInput!) { answer: bulkDeploymentAction(input: $input) { operation { id } errors { code message } } }';

/** A document of a node for the script, at a host's address. */
export async function nodeDocument(name, ip) {
  const document = JSON.parse(await readFile(join(root, 'deploy/hostconfig/testdata/golden/default.json'), 'utf8'));
  document.hostname = name;
  Object.assign(document.using_interfaces.interface_01.Properties, { IP_ADDRESS: ip, Netmask: '255.255.0.0', DNS: '127.64.0.2', gateway: '127.64.0.1' });
  return document;
}

/** How long the slowest of it may take. */
const patience = { timeout: muchPatience };

/**
 * Fills the server. Gives what the pages are asked for, ids by name, and
 * stop(): one of the machines speaks until then.
 *
 * @param {import('./slipway.mjs').System} system as startWhole gives it
 * @param {import('./api.mjs').Api} api of an administrator
 */
export async function fill(system, api) {
  const cloud = new Cloud(system.cloud);
  const env = { SLIPWAY_SERVER: system.url, SLIPWAY_TOKEN: api.token };
  await uploadArtifacts(system, api);
  await cloud.fault({ match: '*metal-3*', fault: 'wrong_host_key' });
  const machines = Object.fromEntries(['rack-waits', 'rack-silent', 'rack-failed', 'rack-twin', 'rack-writes', 'rack-canceled', 'rack-gone'].map((name, i) => [name, rackMachine(system, name, i)]));

  const ordered = await ask(api, deployNodes, { batchName: 'metal, row 7', nodes: ['metal-1', 'metal-2', 'metal-3'].map((name) => ({ name, spec: { ibmVpc: { serverProfile: profile } } })) });
  await ask(api, deployNodes, { batchName: 'rack 12', nodes: Object.values(machines).map((machine) => ({ name: machine.name, spec: rackSpec(machine) })) });
  // A cluster whose machine never speaks: it stays as it is.
  await cloud.fault({ match: '*prism*', fault: 'never_boot' });
  const { cluster } = await ask(api, deployCluster, { name: 'prism-1', nodes: [{ name: 'prism-1-a', spec: { ibmVpc: { serverProfile: profile } } }] });
  await system.let();
  const documents = join(system.dir, 'nodes.json');
  await writeFile(documents, JSON.stringify([await nodeDocument('SQDN-001', system.hosts[0].ip)]));
  await slipway(['apply', '-f', documents], { env });

  const waitsForBoot = (name) =>
    eventually(`${name} waits for its boot`, async () => assert.equal((await api.fleet()).get(name)?.currentDeployment.phase, 'MONITORING_START'), patience);
  const begin = async (name) => {
    await waitsForBoot(name);
    await machines[name].boot();
    await machines[name].fetchConfiguration();
  };
  // The silent one first: its silence must last.
  await begin('rack-silent');
  // In a phase that has long to its deadline.
  await machines['rack-silent'].through('foundation_start', 'network_config', 'storage_discovery');
  await machines['rack-silent'].report('image_download', 'in_progress', { progress: 10, message: 'hypervisor.img' });
  for (const name of ['rack-failed', 'rack-twin']) {
    await begin(name);
    await machines[name].through('foundation_start', 'network_config', 'storage_discovery');
    await machines[name].report('image_download', 'in_progress', { progress: 40, message: 'hypervisor.img' });
    await machines[name].report('failed', 'failed', {
      message: 'hypervisor.img: sha256 is not the one that was promised',
      details: { code: 'CHECKSUM_MISMATCH', script: 'foundation-init.sh', line: 212 },
      log_tail: 'fetching hypervisor.img (1 of 2)\n  256 KiB of 256 KiB\nsha256sum: WARNING: 1 computed checksum did NOT match\nhypervisor.img: expected 3b1f…, got 91cc…\nfoundation-init.sh: line 212: giving up after 3 attempts',
    });
  }
  await begin('rack-writes');
  await machines['rack-writes'].through('foundation_start', 'network_config', 'storage_discovery', 'image_download');
  const lifeSign = () => machines['rack-writes'].report('installation', 'in_progress', { progress: 40, message: 'writing hypervisor.img on sda' });
  await lifeSign();
  // As its installer would, until the end of the test.
  const heart = setInterval(() => void lifeSign().catch((error) => console.error(`rack-writes: ${error.message}`)), 3000);

  // Canceled together, and one of them cleaned up together.
  for (const name of ['rack-waits', 'rack-canceled', 'rack-gone']) await waitsForBoot(name);
  const fleet = await api.fleet();
  const deploymentOf = (name) => fleet.get(name).currentDeployment.id;
  await ask(api, bulkAction, { action: 'CANCEL', mode: 'IMMEDIATE', reason: 'wrong VLAN', ids: ['rack-canceled', 'rack-gone'].map(deploymentOf), expectedCount: 2 });
  const until = (name, state) => eventually(`${name} is ${state}`, async () => assert.equal((await api.fleet()).get(name)?.state, state), patience);
  for (const name of ['rack-canceled', 'rack-gone']) await until(name, 'CANCELED');
  await ask(api, bulkAction, { action: 'CLEANUP', ids: [deploymentOf('rack-gone')], expectedCount: 1, confirm: 'clean up 1' });
  await until('rack-gone', 'CLEANED_UP');

  for (const name of ['metal-1', 'metal-2', 'sqdn-001']) await until(name, 'SUCCEEDED');
  await until('metal-3', 'FAILED');
  // Another attempt that fails as the first did: the fault is still there.
  const retried = await ask(api, bulkAction, { action: 'RETRY', ids: [fleet.get('metal-3').currentDeployment.id], expectedCount: 1, stopAfterFailures: 1 });
  await eventually('the retry is over', async () => assert.equal((await api.query('query ($id: ID!) { bulkOperation(id: $id) { finishedAt } }', { id: retried.operation.id })).bulkOperation.finishedAt === null, false), patience);
  await cloud.makeInterface('slw-metal-lost-d99-g1-mgmt');
  await eventually('rack-silent is stale', async () => assert.equal((await api.query('{ bareMetalNode(by: {name: "rack-silent"}) { stale } }')).bareMetalNode.stale, true), patience);

  const nodes = Object.fromEntries([...(await api.fleet()).values()].map(({ name, id, currentDeployment }) => [name, { id, deployment: currentDeployment.id }]));
  const { scriptRuns } = await api.query('{ scriptRuns(first: 1) { nodes { id } } }');
  return { cloud, machines, nodes, cluster: cluster.id, batch: ordered.batch.id, bulk: retried.operation.id, run: scriptRuns.nodes[0].id, stop: () => clearInterval(heart) };
}
