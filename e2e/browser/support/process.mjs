// Processes of the tests: started, watched line by line, ended by their pid.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

import { eventually, giveUp, muchPatience, patience } from './eventually.mjs';

/** The last lines kept of what a process printed. */
const kept = 2000;

/** A process that runs beside the test. */
export class Process {
  /** What it printed so far, standard output and error together. */
  lines = [];

  /**
   * The kernel ends it when this process dies, however that happens: machines
   * left behind would answer for those of the next run.
   *
   * @param {string} command
   * @param {string[]} args
   * @param {{ env?: Record<string, string>, cwd?: string, name?: string }} [options]
   */
  constructor(command, args, { env = {}, cwd, name = command } = {}) {
    this.name = name;
    this.child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', command, ...args], { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    this.ended = new Promise((resolve) => {
      this.child.once('error', (error) => resolve({ error }));
      this.child.once('close', (code, signal) => resolve({ code, signal }));
    });
    this.running = true;
    void this.ended.then((how) => {
      this.running = false;
      this.how = how;
    });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        this.lines.push(line);
        if (this.lines.length > kept) this.lines.shift();
      });
    }
  }

  get pid() {
    return this.child.pid;
  }

  /** The end of what it printed. */
  tail(lines = 30) {
    return this.lines.slice(-lines).join('\n');
  }

  /** Waits until it has printed a line like this; gives the match. */
  async printed(pattern, timeout = muchPatience) {
    return eventually(
      `${this.name} prints ${pattern}`,
      () => {
        for (const line of this.lines) {
          const match = pattern.exec(line);
          if (match) return match;
        }
        const error = new Error(`it printed:\n${this.tail()}`);
        if (!this.running) throw giveUp(new Error(`${this.name} has ended (${JSON.stringify(this.how)}); ${error.message}`));
        throw error;
      },
      { timeout },
    );
  }

  /** Sends a signal and waits until it is gone. */
  async signal(signal) {
    if (this.running) this.child.kill(signal);
    return this.ended;
  }

  /** Asks it to end, and insists after a while; gives how it ended. */
  async stop(wait = patience) {
    if (!this.running) return this.ended;
    this.child.kill('SIGTERM');
    const insist = setTimeout(() => this.child.kill('SIGKILL'), wait);
    try {
      return await this.ended;
    } finally {
      clearTimeout(insist);
    }
  }
}

/** Runs a command to its end; gives its standard output, or throws with all it printed. */
export async function run(command, args, { env = {}, cwd } = {}) {
  const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (text) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text) => (err += text));
  const [code, signal] = await once(child, 'close');
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code ?? signal}:\n${out}${err}`);
  return out;
}
