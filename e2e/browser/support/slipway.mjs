// Slipway as a person runs it: the built binary, its demonstration, and server
// and simulator as two processes.
import { randomInt } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { Api } from './api.mjs';
import { Process, run } from './process.mjs';
import { takeSimulatorLock } from './simlock.mjs';

/** The top of the repository. */
export const root = fileURLToPath(new URL('../../../', import.meta.url));

/** The binary that is tested. */
export function binary() {
  const path = process.env.SLIPWAY_BINARY;
  if (!path) throw new Error('SLIPWAY_BINARY must name the built slipway binary; `make test` sets it');
  return path;
}

/** Runs a command of the binary to its end. */
export const slipway = async (args, options) => (await run(binary(), args, options)).trim();

/** Whether nothing has this port of loopback now. */
async function isFree(port) {
  const server = createServer();
  const listens = await new Promise((resolve) => server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true)));
  if (listens) await new Promise((resolve) => server.close(resolve));
  return listens;
}

/**
 * A port that is free now, and stays so while a server is away: the kernel gives
 * those above 32767 to whoever connects or listens anywhere, these to nobody.
 */
export async function freePort() {
  for (let i = 0; i < 100; i++) {
    const port = randomInt(12_000, 32_000);
    if (await isFree(port)) return port;
  }
  throw new Error('there is no free port');
}

/** A Slipway with simulated machines; what it made is gone after stop(). */
export class System {
  /** Where people and programs reach it. */
  url = '';
  processes = [];

  static async prepare() {
    binary();
    const system = new System();
    system.release = await takeSimulatorLock();
    system.dir = await mkdtemp(join(tmpdir(), 'slipway-browser-'));
    return system;
  }

  /** A one-time link for a new person with a role; server is where it points, this one unless given. */
  signInLink(name, server = this.url, role = 'operator') {
    return slipway(['token', 'signin', name, `--role=${role}`, `--data-dir=${this.dir}`, `--server=${server}`]);
  }

  /** A client of the API, with a token of its own. */
  async api(role = 'viewer') {
    return new Api(this.url, await slipway(['token', 'create', `browser-${role}`, `--role=${role}`, `--data-dir=${this.dir}`]));
  }

  async stop() {
    try {
      for (const each of this.processes.toReversed()) await each.stop();
    } finally {
      await rm(this.dir, { recursive: true, force: true });
      await this.release();
    }
  }
}

/**
 * The demonstration: orders nodes and prints a sign-in link, system.link.
 *
 * @param {{ pace?: 'demo' | 'quick', nodes?: number, faults?: object[] }} [options]
 */
export async function startDemo({ pace = 'demo', nodes = 3, faults = [] } = {}) {
  const system = await System.prepare();
  try {
    const listen = `127.0.0.1:${await freePort()}`;
    const args = ['demo', `--listen=${listen}`, `--pace=${pace}`, `--nodes=${nodes}`, `--data-dir=${system.dir}`];
    if (faults.length > 0) args.push(`--faults=${JSON.stringify(faults)}`);
    const demo = new Process(binary(), args, { name: 'slipway demo' });
    system.processes.push(demo);
    [, system.link] = await demo.printed(/^App\s+(http:\S+#signin=\S+)$/);
    system.url = new URL(system.link).origin;
    return system;
  } catch (error) {
    await system.stop();
    throw error;
  }
}

/**
 * `slipway serve` on `slipway vpcsim`, two processes; nothing is ordered yet.
 * system.serve() starts the server anew at the same place, system.server is it;
 * system.cloud is where the simulator is reached; system.standins are the files
 * that stand for kernel, ramdisk, images and installer.
 *
 * @param {object} [options]
 * @param {'demo' | 'quick'} [options.pace]
 * @param {boolean} [options.artifacts] whether the catalogue has the stand-ins from the start
 * @param {(system: System) => Promise<string[]>} [options.prepare] more that is needed, and its settings
 */
export async function startServer({ pace = 'demo', artifacts = true, prepare = async () => [] } = {}) {
  const system = await System.prepare();
  try {
    const standins = await run('go', ['run', './tools/standins', join(system.dir, 'standins')], { cwd: root, env: { CGO_ENABLED: '0' } });
    system.standins = standins.trim().split('\n').map((line) => {
      const [name, kind, version, path] = line.split('\t');
      return { name, kind, version, path };
    });
    for (const { name, kind, version, path } of artifacts ? system.standins : []) {
      await slipway(['artifacts', 'add', name, path, `--kind=${kind}`, `--version=${version}`, `--data-dir=${system.dir}`]);
    }
    const more = await prepare(system);
    const simulator = new Process(binary(), ['vpcsim', `--listen=127.0.0.1:${await freePort()}`, `--pace=${pace}`], { name: 'slipway vpcsim' });
    system.processes.push(simulator);
    // It prints the settings that its account needs.
    await simulator.printed(/--ibm-vpc-url=/);
    const settings = simulator.lines.join('\n').match(/--[a-z-]+=[^\s\\]+/g);
    system.cloud = settings.find((each) => each.startsWith('--ibm-vpc-url=')).split('=')[1];
    const listen = `127.0.0.1:${await freePort()}`;
    system.url = `http://${listen}`;
    system.serve = async () => {
      const args = ['serve', `--listen=${listen}`, `--base-url=${system.url}`, `--data-dir=${system.dir}`, '--domain=browser.slipway.test', '--heartbeat=5s', '--observe-every=1s', '--probe-every=1s', ...settings, ...more];
      system.server = new Process(binary(), args, { name: 'slipway serve' });
      system.processes.push(system.server);
      await system.server.printed(/slipway serves/);
    };
    await system.serve();
    return system;
  } catch (error) {
    await system.stop();
    throw error;
  }
}
