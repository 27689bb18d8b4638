// A server with a deployment script, and hosts that it restarts: OpenSSH's
// server at loopback addresses, each with a kernel of its own to answer for.
import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { userInfo } from 'node:os';

import { eventually } from './eventually.mjs';
import { Process, run } from './process.mjs';
import { binary, freePort, System } from './slipway.mjs';

const sshd = '/usr/sbin/sshd';

/** How often a host is asked, each second, before it is given up: pages have time to show it. */
export const attempts = 900;

const answering = (dir) => `#!/bin/bash
case "$SSH_ORIGINAL_COMMAND" in
"cat /proc/sys/kernel/random/boot_id") exec cat "${dir}/boot_id" ;;
*) exec /bin/sh -c "$SSH_ORIGINAL_COMMAND" ;;
esac
`;

/** A host that boots again when its SSH server is ended. */
class Host {
  /** What becomes of it then: 'boots', 'boots with another key', 'stays down'. */
  fate = 'boots';
  /** How long that takes, in ms. */
  downFor = 1500;
  over = false;
  #held = Promise.resolve();

  /** Keeps it down, once it goes down, until the returned function is called. */
  keepDown() {
    let release;
    this.#held = new Promise((resolve) => (release = resolve));
    return release;
  }

  static async install(dir, ip, port, key) {
    const host = new Host();
    Object.assign(host, { dir, ip, port });
    await mkdir(dir, { recursive: true });
    await writeFile(join(dir, 'authorized_keys'), key);
    await writeFile(join(dir, 'answer'), answering(dir));
    await chmod(join(dir, 'answer'), 0o755);
    await host.newKey();
    await writeFile(
      join(dir, 'sshd_config'),
      [`Port ${port}`, `ListenAddress ${ip}`, `HostKey ${dir}/host_key`, `PidFile ${dir}/sshd.pid`, `AuthorizedKeysFile ${dir}/authorized_keys`, `ForceCommand ${dir}/answer`,
        'PasswordAuthentication no', 'KbdInteractiveAuthentication no', 'PermitRootLogin prohibit-password', 'StrictModes no', 'UsePAM no', 'UseDNS no', ''].join('\n'),
    );
    return host;
  }

  async newKey() {
    for (const name of ['host_key', 'host_key.pub']) await rm(join(this.dir, name), { force: true });
    await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(this.dir, 'host_key')]);
  }

  /** As OpenSSH tells it. */
  async fingerprint() {
    return (await run('ssh-keygen', ['-l', '-f', join(this.dir, 'host_key.pub')])).split(' ')[1];
  }

  async boot() {
    const id = randomBytes(16).toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
    await writeFile(join(this.dir, 'boot_id'), `${id}\n`);
    this.process = new Process(sshd, ['-D', '-f', join(this.dir, 'sshd_config'), '-E', join(this.dir, 'sshd.log')], { name: `sshd of ${this.ip}` });
    void this.process.ended.then(() => this.#ended());
    await eventually(`${this.ip} listens`, async () => {
      if (!(await readFile(join(this.dir, 'sshd.log'), 'utf8')).includes('Server listening')) throw new Error('not yet');
    });
  }

  async #ended() {
    if (this.over || this.fate === 'stays down') return;
    await Promise.all([pause(this.downFor), this.#held]);
    if (this.over) return;
    if (this.fate === 'boots with another key') await this.newKey();
    await writeFile(join(this.dir, 'sshd.log'), '');
    await this.boot();
  }

  async remove() {
    this.over = true;
    await this.process?.stop();
  }
}

// It says what it does, waits until the test lets it go on, and restarts the hosts.
const script = (work, lab) => `#!/bin/bash
echo "deployment_service: $(ls ${work}/cluster/nodes | wc -l) configurations"
for file in ${work}/cluster/nodes/node_*.json; do
  printf '\\033[32mapplying\\033[0m %s\\n' "$(basename "$file")"
done
exec 9<> ${lab}/never
while [ ! -e ${lab}/go ]; do read -r -t 0.1 -u 9 || true; done
if [ -e ${lab}/exit ]; then echo "cannot reach the switch"; exit "$(cat ${lab}/exit)"; fi
for pid in ${lab}/*/sshd.pid; do [ -e "$pid" ] && kill "$(cat "$pid")"; done
echo "all hosts restart"
`;

/**
 * A deployment script and the hosts that it restarts, in a directory; for the
 * settings in args. let() lets the script go on, hold() has the next one wait,
 * failWith(code) has it end like this.
 */
export async function layScript(dir, { hosts: count }) {
  const work = join(dir, 'work');
  const lab = join(dir, 'lab');
  await mkdir(join(work, '.scripts'), { recursive: true });
  await mkdir(lab, { recursive: true });
  // What its start script does.
  if (process.getuid() === 0) await mkdir('/run/sshd', { recursive: true });
  await run('mkfifo', [join(lab, 'never')]);
  await writeFile(join(work, '.scripts', 'deployment_service.sh'), script(work, lab));
  await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(lab, 'key')]);
  const key = await readFile(join(lab, 'key.pub'), 'utf8');
  const port = await freePort();
  const hosts = [];
  const remove = async () => {
    for (const host of hosts) await host.remove();
  };
  try {
    for (let i = 0; i < count; i++) {
      const host = await Host.install(join(lab, `host${i + 1}`), `127.64.200.${21 + i}`, port, key);
      hosts.push(host);
      await host.boot();
    }
  } catch (error) {
    await remove();
    throw error;
  }
  return {
    work,
    hosts,
    remove,
    args: [`--script-work-dir=${work}`, '--script-host=lab', `--script-ssh-user=${userInfo().username}`, `--script-ssh-key=${join(lab, 'key')}`,
      `--script-ssh-port=${port}`, '--script-poll-wait=4s', '--script-poll-every=1s', `--script-poll-attempts=${attempts}`, '--script-connect-timeout=2s', '--script-banner-timeout=2s', '--script-kill-after=1s'],
    let: () => writeFile(join(lab, 'go'), ''),
    hold: () => rm(join(lab, 'go'), { force: true }),
    failWith: (code) => (code === 0 ? rm(join(lab, 'exit'), { force: true }) : writeFile(join(lab, 'exit'), String(code))),
    files: () => readdir(join(work, 'cluster', 'nodes')).catch(() => []),
    marker: join(work, '.markers', 'deplyment_status', 'deployment_in_progress'),
  };
}

/** Has what the script leaves behind removed with the system. */
export function addScript(system, lab) {
  Object.assign(system, lab);
  const stop = system.stop.bind(system);
  system.stop = async () => {
    await lab.remove();
    await stop();
  };
}

/**
 * A server that runs the deployment script over hosts; system.hosts are they,
 * and system has what layScript gives.
 *
 * @param {{ hosts?: number, flags?: string[] }} [options]
 */
export async function startApply({ hosts = 2, flags = [] } = {}) {
  const system = await System.prepare();
  try {
    const { args: settings, ...lab } = await layScript(system.dir, { hosts });
    addScript(system, lab);
    const listen = `127.0.0.1:${await freePort()}`;
    system.url = `http://${listen}`;
    const args = ['serve', `--listen=${listen}`, `--base-url=${system.url}`, `--data-dir=${system.dir}`, ...settings, ...flags];
    system.serve = async () => {
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
