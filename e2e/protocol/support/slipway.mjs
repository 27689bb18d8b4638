// A real server for the protocol's tests, and the clients' libraries, which are
// the app's own: nothing is installed twice.
import { createRequire } from 'node:module';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Process } from '../../browser/support/process.mjs';
import { binary, freePort, root, slipway } from '../../browser/support/slipway.mjs';

const require = createRequire(join(root, 'frontend', 'package.json'));
export const { createClient } = require('graphql-ws');
export const WebSocket = require('ws');
// Apollo's link looks for it as browsers have it; Node 20 has none.
globalThis.WebSocket ??= WebSocket;
export const { ApolloClient, InMemoryCache, gql } = require('@apollo/client');
export const { GraphQLWsLink } = require('@apollo/client/link/subscriptions');

/** `slipway serve` on a SQLite file of its own, without any machine. */
export class Server {
  static async start(flags = []) {
    const server = new Server();
    server.dir = await mkdtemp(join(tmpdir(), 'slipway-protocol-'));
    server.flags = flags;
    server.listen = `127.0.0.1:${await freePort()}`;
    server.url = `http://${server.listen}`;
    server.ws = `ws://${server.listen}/graphql`;
    try {
      await server.run();
      server.operator = await server.token('operator');
      return server;
    } catch (error) {
      await server.stop();
      throw error;
    }
  }

  /** Starts the process; after a stop, anew at the same place. */
  async run() {
    this.process = new Process(binary(), ['serve', `--listen=${this.listen}`, `--data-dir=${this.dir}`, ...this.flags], { name: 'slipway serve' });
    await this.process.printed(/slipway serves/);
  }

  /** How long it has had a processor by now, in seconds: that says more of what it did than the clock of a busy machine. */
  async worked() {
    const fields = (await readFile(`/proc/${this.process.pid}/stat`, 'utf8')).replace(/^.*\) /s, '').split(' ');
    return (Number(fields[11]) + Number(fields[12])) / 100;
  }

  token(role, ...flags) {
    return slipway(['token', 'create', `protocol ${role}`, `--role=${role}`, `--data-dir=${this.dir}`, ...flags]);
  }

  async stop() {
    await this.process?.stop();
    await rm(this.dir, { recursive: true, force: true });
  }

  async #post(path, body) {
    const answer = await fetch(this.url + path, {
      method: 'POST',
      headers: { authorization: `Bearer ${this.operator}`, 'content-type': 'application/json', accept: 'application/json' },
      body: JSON.stringify(body),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${path} answered ${answer.status}: ${text}`);
    return JSON.parse(text);
  }

  /** A rack machine: nothing is ordered, it waits for its boot. */
  async order(n) {
    const ip = `127.64.201.${n}`;
    const made = await this.#post('/api/config/nodes', {
      node_config: { node_name: `rack-${n}`, server_profile: 'own', provider: 'rack', mac: `52:54:00:00:01:${n.toString(16).padStart(2, '0')}` },
      network_config: { management_ip: ip },
    });
    return { ip, node: `node_${made.node_id}`, deployment: `dep_${made.deployment_id}` };
  }

  /** Reports a step: one event, which moves nothing. */
  say(machine, message) {
    return this.#post('/api/status/phase', { server_ip: machine.ip, phase: 'note', status: 'in_progress', message, idempotency_key: message });
  }

  /** Fails the deployment, which ends it. */
  end(machine) {
    return this.#post('/api/status/phase', { server_ip: machine.ip, phase: 'failed', status: 'failed', message: 'the test has ended it' });
  }

  /** A query or mutation by POST. */
  graphql(query, variables = {}, token = this.operator) {
    return fetch(`${this.url}/graphql`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ query, variables }),
    });
  }
}

export const eventsDocument = `subscription Events($filter: DeploymentEventFilter, $after: Cursor) {
  deploymentEvents(filter: $filter, after: $after, heartbeatSeconds: 1) {
    __typename
    ... on DeploymentEventBatch { events { id sequence phaseKey message } caughtUp cursor }
    ... on StreamHeartbeat { cursor }
    ... on StreamReset { reason cursor }
  }
}`;

export const fleetDocument = `subscription Fleet($filter: BareMetalNodeFilter, $after: Cursor) {
  fleetChanges(filter: $filter, after: $after, heartbeatSeconds: 1) {
    __typename
    ... on FleetSnapshotPage { nodes { id name state } last cursor }
    ... on FleetDelta { changed { id name state } removedIds cursor }
    ... on StreamHeartbeat { cursor }
    ... on StreamReset { reason cursor }
  }
}`;
