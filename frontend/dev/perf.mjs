// How the fleet page bears a large fleet that changes all the time: the length
// of its frames, and its memory after as many events as an hour brings, against
// the mock server. Run after `npm run build`, on a machine that has nothing
// else to do. Prints lines that benchstat reads; `make bench` runs it.
//
//   node dev/perf.mjs                     10,000 machines, 100 changes a second, 30 s of frames
//   PERF_NODES=… PERF_RATE=… PERF_SECONDS=… PERF_COUNT=…
//   PERF_EVENTS=360000 …                  events between the two looks at memory; 20,000 unless given
//   PERF_ENFORCE=1 …                      ends with 1 if a goal is missed
import { chromium } from 'playwright-core';

import { frames, measuredArgs, startLoad, weigh } from './load.mjs';

const nodes = Number(process.env.PERF_NODES ?? 10_000);
const rate = Number(process.env.PERF_RATE ?? 100);
const seconds = Number(process.env.PERF_SECONDS ?? 30);
const events = Number(process.env.PERF_EVENTS ?? 20_000);
const count = Number(process.env.PERF_COUNT ?? 1);
/** Two frames at 60 Hz, with the clock's grain. */
const mostFrame = 1000 / 30 + 0.1;
const mostGrowth = 0.1;

async function run() {
  const load = await startLoad({ nodes });
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--headless', '--no-sandbox', '--disable-gpu', ...measuredArgs, '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run'],
  });
  try {
    const page = await (await browser.newContext({ viewport: { width: 1280, height: 900 }, reducedMotion: 'reduce' })).newPage();
    await load.open(page);
    const { counts, fleet } = load.mock;
    const asked = counts.http;

    // Warm: every code path has run, and every row that can change has, before the first look.
    await load.all(page);
    const before = await weigh(page);

    const ticking = setInterval(() => {
      for (let i = 0; i < rate / 10; i++) fleet.change();
    }, 100);
    const lengths = await frames(page, seconds * 1000);
    clearInterval(ticking);
    const at = (share) => lengths[Math.min(lengths.length - 1, Math.floor(lengths.length * share))];

    for (let done = 0; done < events; done += 1000) await load.events(page, Math.min(1000, events - done));
    const after = await weigh(page);
    return { frames: lengths.length, p50: at(0.5), p95: at(0.95), longest: at(1), before: before.heap, after: after.heap, elements: after.elements, queries: counts.http - asked };
  } finally {
    await browser.close();
    await load.mock.close();
  }
}

for (let i = 0; i < count; i++) {
  const { frames: n, p50, p95, longest, before, after, elements, queries } = await run();
  const growth = after / before - 1;
  const metrics = [[p50, 'p50-ms/frame'], [p95, 'p95-ms/frame'], [longest, 'longest-ms/frame'], [before / 1e6, 'heap-before-MB'], [after / 1e6, 'heap-after-MB'], [growth * 100, 'heap-growth-%'], [elements, 'elements'], [queries, 'queries']];
  console.log(`BenchmarkFleetPage/nodes=${nodes}/rate=${rate}/events=${events} ${n} ${metrics.map(([value, unit]) => `${Math.round(value * 100) / 100} ${unit}`).join(' ')}`);
  if (process.env.PERF_ENFORCE && (p95 > mostFrame || growth > mostGrowth || queries > 0)) process.exitCode = 1;
}
