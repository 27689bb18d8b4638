// A table of more columns than the window has room for is scrolled within itself:
// its head stays at the window's top, the name of each row at its left, and the bar
// to scroll it by at the window's bottom. The machines are those of the app's mock server.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { startLoad } from '../../frontend/dev/load.mjs';
import { pill } from './support/app.mjs';
import { findings, keep, launch, open, tooWide } from './support/browser.mjs';
import { eventually } from './support/eventually.mjs';

const columns = 'profile,ip,phase,progress,eta,attempt,server,provider,created,seen';

/** Where parts of the table are in the window, in whole pixels; what is not there is null. */
const places = (page) =>
  page.getByRole('table', { name: 'Nodes' }).evaluate((table) => {
    const box = (element) => {
      if (!element) return null;
      const { left, right, top, bottom } = element.getBoundingClientRect();
      return { left: Math.round(left), right: Math.round(right), top: Math.round(top), bottom: Math.round(bottom) };
    };
    const rows = [...table.querySelectorAll('[role="row"][data-index]')];
    const row = rows[Math.floor(rows.length / 2)];
    const head = table.querySelector('[role="row"][aria-rowindex="1"]');
    // Head, rows, and the bar when there is one.
    const bar = table.children[2];
    return {
      table: box(table),
      banner: box(document.querySelector('header')),
      head: box(head),
      bar: bar !== undefined && bar.scrollWidth > bar.clientWidth ? box(bar) : null,
      window: { width: document.documentElement.clientWidth, height: document.documentElement.clientHeight },
      headers: Object.fromEntries([...head.querySelectorAll('[data-column]')].map((cell) => [cell.dataset.column, box(cell)])),
      cells: Object.fromEntries([...row.querySelectorAll('[data-column]')].map((cell) => [cell.dataset.column, box(cell)])),
    };
  });

/** Turns a wheel over the rows. */
async function turn(page, x, y) {
  await page.mouse.move(640, 600);
  await page.mouse.wheel(x, y);
}

describe('a fleet with every column', () => {
  let load;
  let browser;
  before(async () => {
    load = await startLoad({ nodes: 300 });
    browser = await launch();
  });
  after(async () => {
    await browser?.close();
    await load?.mock.close();
  });

  const wide = async () => {
    const { page, observed } = await open(browser, new URL(load.mock.url).origin, { viewport: { width: 1280, height: 800 } });
    await load.open(page);
    await pill(page, 'Live').waitFor();
    await page.goto(`${new URL(load.mock.url).origin}/monitoring?sort=name&cols=${columns}`);
    await page.getByRole('table', { name: 'Nodes' }).getByRole('link').first().waitFor();
    return { page, observed };
  };

  it('keeps its head and its names in view, whichever way it is scrolled', async () => {
    const { page, observed } = await wide();
    assert.equal(await tooWide(page), 0, 'the page itself is not scrolled sideways');
    await turn(page, 0, 3000);
    await eventually('the head is at the top, below the bar of the app', async () => {
      const { head, banner, bar, window } = await places(page);
      assert.ok(Math.abs(head.top - banner.bottom) <= 1, JSON.stringify({ head, banner }));
      assert.ok(bar !== null && Math.abs(bar.bottom - window.height) <= 1, JSON.stringify({ bar, window }));
    });
    await turn(page, 5000, 0);
    await eventually('all of it is scrolled to the end', async () => {
      const { table, head, banner, headers, cells } = await places(page);
      assert.ok(Math.abs(cells.seen.right - table.right) < 30, JSON.stringify({ cells: cells.seen, table }));
      assert.ok(Math.abs(cells.name.left - table.left) <= 1, JSON.stringify({ name: cells.name, table }));
      assert.ok(cells.profile.right < cells.name.right, 'others go below the name');
      for (const [column, { left }] of Object.entries(cells)) assert.equal(headers[column].left, left, `the head of ${column} is above it`);
      assert.ok(Math.abs(head.top - banner.bottom) <= 1, 'and the head is still there');
    });
    await keep(page, 'wide-fleet-end');
    assert.deepEqual(await findings(page), []);
    observed.assertClean();
    await page.close();
  });

  it('is scrolled by its bar, and back by a head that takes the focus', async () => {
    const { page } = await wide();
    const table = page.getByRole('table', { name: 'Nodes' });
    await table.evaluate((element) => (element.children[2].scrollLeft = 10_000));
    await eventually('the rows follow the bar', async () => {
      const { headers, cells, table: box } = await places(page);
      assert.equal(headers.ip.left, cells.ip.left);
      assert.ok(Math.abs(cells.name.left - box.left) <= 1, JSON.stringify(cells.name));
    });
    await table.getByRole('button', { name: 'State', exact: true }).focus();
    await eventually('what has the focus is in view, and its column with it', async () => {
      const { headers, cells, table: box } = await places(page);
      assert.ok(headers.state.left >= box.left - 1, JSON.stringify({ state: headers.state, box }));
      assert.equal(headers.state.left, cells.state.left);
    });
    await page.close();
  });

  it('still leads to a machine from anywhere in its row', async () => {
    const { page } = await wide();
    await turn(page, 5000, 0);
    await eventually('it is scrolled', async () => {
      const { cells, table } = await places(page);
      assert.ok(cells.seen.right <= table.right + 1);
    });
    const { cells } = await places(page);
    await page.mouse.click(cells.created.left + 20, cells.created.top + 8);
    await page.waitForURL(/\/nodes\/node_\d+/);
    await page.close();
  });

  it('needs no bar where there is room', async () => {
    const { page } = await wide();
    await page.goto(`${new URL(load.mock.url).origin}/monitoring?sort=name`);
    await page.getByRole('table', { name: 'Nodes' }).getByRole('link').first().waitFor();
    await eventually('the bar is gone', async () => {
      const { bar, cells, headers } = await places(page);
      assert.equal(bar, null);
      assert.equal(headers.seen.left, cells.seen.left);
    });
    await page.close();
  });
});
