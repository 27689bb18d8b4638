// A large fleet that changes all the time, and a page of the built app that
// follows it: shared by the performance run (perf.mjs) and by the test of what
// does not depend on the machine's speed (e2e/browser/load.test.mjs).
import { startMock } from './mock-server.mjs';

/** Of the browser that is measured: its memory can be collected and looked at. */
export const measuredArgs = ['--js-flags=--expose-gc', '--enable-precise-memory-info'];

/** A fleet with one machine that says how far the page has come. */
export async function startLoad({ nodes }) {
  const mock = await startMock({ port: 0, nodes, rate: 0 });
  let marks = 0;
  // The first row of the table: it failed, and no name comes before its own.
  const marked = mock.fleet.all[1];
  const mark = () => {
    marked.name = `a-mark-${++marks}`;
    marked.version += 1;
    mock.fleet.say(marked);
    return marked.name;
  };
  mark();
  return {
    mock,
    nodes,
    /** Opens the fleet and waits until all of it is there. */
    open: async (page) => {
      await page.goto(mock.url);
      await page.getByText(`${nodes.toLocaleString('en')} nodes`, { exact: true }).waitFor({ timeout: 600_000 });
      await page.getByRole('link', { name: marked.name, exact: true }).waitFor({ timeout: 300_000 });
    },
    /** Each machine that is under way changes once. */
    all: async (page) => {
      const running = mock.fleet.all.filter(({ state }) => state === 'RUNNING');
      for (let i = 0; i < running.length; i++) {
        mock.fleet.change(running[i]);
        if (i % 1000 === 999 || i === running.length - 1) await page.getByRole('link', { name: mark(), exact: true }).waitFor({ timeout: 300_000 });
      }
    },
    /** Machines change; done when the page shows what came after all of that. */
    events: async (page, count) => {
      for (let i = 0; i < count; i++) mock.fleet.change();
      await page.getByRole('link', { name: mark(), exact: true }).waitFor({ timeout: 300_000 });
    },
  };
}

/** Bytes of memory in use after a collection, and elements of the document. */
export async function weigh(page) {
  // Several times: what finalisers and tasks let go is collected by a later one.
  const looks = [];
  for (let i = 0; i < 5; i++) {
    await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve))));
    looks.push(
      await page.evaluate(() => {
        globalThis.gc();
        return performance.memory.usedJSHeapSize;
      }),
    );
  }
  const elements = await page.evaluate(() => document.getElementsByTagName('*').length);
  return { heap: Math.min(...looks), elements };
}

/** Lengths of the page's frames, in ms, the shortest first. */
export async function frames(page, ms) {
  const lengths = await page.evaluate(
    (length) =>
      new Promise((resolve) => {
        const seen = [];
        const begin = performance.now();
        let last = begin;
        const next = (now) => {
          seen.push(now - last);
          last = now;
          if (now - begin < length) requestAnimationFrame(next);
          else resolve(seen.slice(1));
        };
        requestAnimationFrame(next);
      }),
    ms,
  );
  return lengths.sort((a, b) => a - b);
}
