// How the fleet page bears a large fleet that changes all the time: frames, and
// memory after as many events as an hour brings, against the mock server. Run
// after `npm run build`, on a machine that has nothing else to do.
//
//   node dev/perf.mjs                     10,000 machines, 100 changes a second, 30 s of frames
//   PERF_NODES=… PERF_RATE=… PERF_SECONDS=… PERF_EVENTS=…
import { chromium } from 'playwright-core';

import { startMock } from './mock-server.mjs';

const nodes = Number(process.env.PERF_NODES ?? 10_000);
const rate = Number(process.env.PERF_RATE ?? 100);
const seconds = Number(process.env.PERF_SECONDS ?? 30);
/** Events between the two looks at memory. */
const events = Number(process.env.PERF_EVENTS ?? 20_000);
/** Two frames at 60 Hz, with the clock's grain. */
const mostFrame = 1000 / 30 + 0.1;
const mostGrowth = 0.1;

const mock = await startMock({ port: 0, nodes, rate: 0 });
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--js-flags=--expose-gc', '--enable-precise-memory-info', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run'],
});
const page = await (await browser.newContext({ viewport: { width: 1280, height: 900 }, reducedMotion: 'reduce' })).newPage();
await page.goto(mock.url);
await page.getByText(`${nodes.toLocaleString('en')} nodes`).waitFor({ timeout: 120_000 });
const posts = () => mock.counts.http;
const postsAtFirst = posts();

const heap = async () => {
  await page.evaluate(() => globalThis.gc());
  return page.evaluate(() => performance.memory.usedJSHeapSize);
};
const change = (count) => {
  for (let i = 0; i < count; i++) mock.fleet.change();
};

// Warm: every code path has run before the first look.
change(500);
await page.waitForTimeout(3000);
const before = await heap();

const ticking = setInterval(() => change(Math.round(rate / 10)), 100);
const frames = await page.evaluate(
  (length) =>
    new Promise((resolve) => {
      const lengths = [];
      const begin = performance.now();
      let last = begin;
      const next = (now) => {
        lengths.push(now - last);
        last = now;
        if (now - begin < length) requestAnimationFrame(next);
        else resolve(lengths.slice(1));
      };
      requestAnimationFrame(next);
    }),
  seconds * 1000,
);
clearInterval(ticking);
frames.sort((a, b) => a - b);
const at = (share) => frames[Math.min(frames.length - 1, Math.floor(frames.length * share))];

// As many events as there shall be, as fast as the page takes them.
for (let done = 0; done < events; done += 1000) {
  change(1000);
  await page.waitForTimeout(200);
}
await page.waitForTimeout(3000);
const after = await heap();
const growth = after / before - 1;

console.log(
  JSON.stringify({ nodes, rate, frames: frames.length, p50: Math.round(at(0.5) * 10) / 10, p95: Math.round(at(0.95) * 10) / 10, longest: Math.round(at(1)), heapBeforeMb: Math.round(before / 1e6), heapAfterMb: Math.round(after / 1e6), growth: Math.round(growth * 1000) / 1000, events, queries: posts() - postsAtFirst }),
);
await browser.close();
await mock.close();
if (at(0.95) > mostFrame || growth > mostGrowth || posts() !== postsAtFirst) process.exitCode = 1;
