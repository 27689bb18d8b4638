// The lock of simulated machines, the same as that of the Go tests (package
// e2e/simlock): simulated machines on one network share a range of loopback
// addresses; one test at a time runs them.
import { spawn } from 'node:child_process';
import { readlinkSync } from 'node:fs';
import { join } from 'node:path';

/** That of the host, or of a network namespace that is not the host's. */
function name() {
  try {
    const [own, host] = ['self', '1'].map((process) => readlinkSync(`/proc/${process}/ns/net`)); // net:[4026531840]
    return own === host ? '' : `-${/\d+/.exec(own)[0]}`;
  } catch {
    return ''; // one may not look
  }
}

// The folder is as Go's os.TempDir finds it.
const path = join(process.env.TMPDIR || '/tmp', `slipway-simulated-machines${name()}.lock`);

/** Waits for the lock; the returned function gives it back. It ends with this process, too. */
export async function takeSimulatorLock() {
  // flock(1) holds it for as long as cat runs, and cat runs for as long as its input is open.
  const holder = spawn('flock', [path, 'sh', '-c', 'echo held; exec cat'], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = new Promise((resolve, reject) => {
    holder.once('error', reject);
    holder.once('close', resolve);
  });
  const held = new Promise((resolve) => holder.stdout.once('data', resolve));
  await Promise.race([
    held,
    ended.then((code) => {
      throw new Error(`flock ${path} ended with ${code}`);
    }),
  ]);
  return async () => {
    holder.stdin.end();
    await ended;
  };
}
