// The lock of simulated machines, the same as that of the Go tests (package
// e2e/simlock): simulated machines on one network share a range of loopback
// addresses; one test at a time runs them.
import { spawn } from 'node:child_process';
import { join } from 'node:path';

// The folder is as Go's os.TempDir finds it; a network of the tests' own has its
// own lock (scripts/apart.sh).
const apart = process.env.SLIPWAY_TEST_APART ? `-${process.env.SLIPWAY_TEST_APART}` : '';
const path = join(process.env.TMPDIR || '/tmp', `slipway-simulated-machines${apart}.lock`);

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
