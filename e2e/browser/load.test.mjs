// The fleet page under load, in what does not depend on the machine's speed: ten
// thousand machines, more than twenty thousand changes. How fast it is, `make
// bench` says (frontend/dev/perf.mjs). The server is the app's mock server, with
// the real schema: nothing else makes so many changes so soon.
import assert from 'node:assert/strict';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { after, before, describe, it } from 'node:test';

import { measuredArgs, startLoad, weigh } from '../../frontend/dev/load.mjs';
import { countFilter, pill } from './support/app.mjs';
import { launch, open } from './support/browser.mjs';
import { eventually } from './support/eventually.mjs';

const nodes = 10_000;
/** Of one message or few, at most; the page is waited for after each. */
const burst = 1000;
const bursts = 21;
/**
 * The heap's growth that is allowed, as a share. Twice the goal of an hour, which `make bench` measures: one look
 * differs from the next by up to a tenth. Who keeps but 400 bytes of each event is found out.
 */
const mostGrowth = 0.2;

/** What the rows that are drawn say. */
const drawn = (page) =>
  page.getByRole('table', { name: 'Nodes' }).evaluate((table) =>
    [...table.querySelectorAll('[role="row"][data-index]')].map((row) => ({
      index: Number(row.dataset.index),
      name: row.querySelector('a')?.textContent,
      progress: row.querySelector('[role="progressbar"]')?.getAttribute('aria-valuenow') ?? null,
    })),
  );

describe('a large fleet', () => {
  let load;
  let browser;
  before(async () => {
    load = await startLoad({ nodes });
    browser = await launch(measuredArgs);
  });
  after(async () => {
    await browser?.close();
    await load?.mock.close();
  });

  it('is followed through twenty thousand changes, without a query, without growing, and is right afterwards', async (t) => {
    const { page, observed } = await open(browser, new URL(load.mock.url).origin);
    await load.open(page);
    await pill(page, 'Live').waitFor();
    const asked = load.mock.counts.http;
    const held = monitorEventLoopDelay();
    held.enable();

    // Every code path has run, and every row that can change has, before the first look.
    await load.all(page);
    const first = await weigh(page);
    for (let i = 0; i < bursts; i++) await load.events(page, burst);
    let last = await weigh(page);
    // What is not collected at once is no growth; what is held stays, however often one looks.
    for (let i = 0; i < 10 && last.heap > first.heap * (1 + mostGrowth); i++) last = await weigh(page);
    const growth = last.heap / first.heap - 1;
    t.diagnostic(`heap ${(first.heap / 1e6).toFixed(1)} MB, after ${bursts * burst} events ${(last.heap / 1e6).toFixed(1)} MB; ${last.elements} elements`);
    assert.ok(growth <= mostGrowth, `the heap has grown by ${Math.round(growth * 100)} %`);
    assert.ok(last.elements < 3000, `${last.elements} elements: only rows in view may exist`);
    assert.ok(Math.abs(last.elements - first.elements) < 300, `${first.elements} elements before, ${last.elements} after`);
    assert.equal(load.mock.counts.http, asked, 'no event has made the page ask by HTTP');
    assert.deepEqual(observed.posts.slice(asked), [], 'nor has it tried');
    held.disable();
    t.diagnostic(`the server was held up for at most ${(held.max / 1e6).toFixed(0)} ms, ${observed.sockets.length} websockets`);
    // A page gives up on a server that does not answer for seconds: this process is the server.
    if (held.max < 2e9) assert.equal(observed.sockets.length, 1, 'one websocket, never broken');

    // Counts are made from all rows, whether they are drawn or not.
    const { all } = load.mock.fleet;
    assert.equal(await page.getByRole('table', { name: 'Nodes' }).getAttribute('aria-rowcount'), String(nodes + 1));
    for (const [word, state] of [['Failed', 'FAILED'], ['Queued', 'QUEUED'], ['Deployed', 'SUCCEEDED']]) {
      const count = all.filter((node) => node.state === state).length;
      await countFilter(page, word).getByText(count.toLocaleString('en'), { exact: true }).waitFor();
    }

    // Rows all over the table, and of each what it says.
    const byName = new Map(all.map((node) => [node.name, node]));
    const height = await page.evaluate(() => document.documentElement.scrollHeight);
    const seen = new Set();
    let before = '';
    for (let i = 0; i <= 30; i++) {
      await page.evaluate((to) => globalThis.scrollTo(0, to), (height / 30) * i);
      const rows = await eventually('rows of this place are drawn', async () => {
        const there = await drawn(page);
        assert.notEqual(there[0]?.name, before);
        return there;
      });
      before = rows[0].name;
      for (const { index, name, progress } of rows) {
        const node = byName.get(name);
        assert.ok(node, `row ${index} is ${name}, which is no machine`);
        const deployment = node.currentDeployment;
        if (deployment !== null) assert.equal(progress, percent(deployment.progress), `progress of ${name}`);
        seen.add(name);
      }
    }
    t.diagnostic(`${seen.size} rows compared`);
    assert.ok(seen.size >= 600, `${seen.size} rows were drawn while scrolling through all`);
    observed.assertClean();
  });
});

/** As the page tells it. */
const percent = (fraction) => String(Math.floor(fraction * 100 + 1e-9));
