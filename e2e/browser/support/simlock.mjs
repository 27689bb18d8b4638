// The host's lock of simulated machines, the same as that of the Go tests
// (package e2e/simlock): simulated machines of this host share a range of
// loopback addresses and its cores; one test at a time runs them.
import { spawn } from 'node:child_process';
import { join } from 'node:path';

// As Go's os.TempDir finds it.
const path = join(process.env.TMPDIR || '/tmp', 'slipway-simulated-machines.lock');

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
