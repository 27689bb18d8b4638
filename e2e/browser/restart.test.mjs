// The server is killed while machines are being installed, and started anew:
// the page finds its way back by itself.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { assertShowsDeployment, assertShowsFleet, pill, readEvents, recordedSteps, recordSteps, rowOf, stepNumbers } from './support/app.mjs';
import { launch, open } from './support/browser.mjs';
import { eventually, muchPatience } from './support/eventually.mjs';
import { slipway, startServer } from './support/slipway.mjs';

const names = ['metal-1', 'metal-2', 'metal-3'];
const toTheEnd = muchPatience;

describe('a server that is killed and started anew', () => {
  let system;
  let browser;
  let api;
  before(async () => {
    system = await startServer();
    browser = await launch();
    api = await system.api('operator');
  });
  after(async () => {
    await browser?.close();
    await system?.stop();
  });

  it('is found again by an open page, which ends with every node deployed', async (t) => {
    const { context, page, observed } = await open(browser, system.url);
    await page.goto(await system.signInLink('watcher'));
    await page.getByText('No nodes yet').waitFor();
    await recordSteps(page);

    // Ordered while the page is open: they appear by themselves.
    await slipway(['deploy', ...names, '--profile=bx2d-metal-96x384'], { env: { SLIPWAY_SERVER: system.url, SLIPWAY_TOKEN: api.token } });
    for (const name of names) await rowOf(page, name).waitFor();
    const tab = await open(context, system.url);
    const href = await page.getByRole('link', { name: 'metal-2', exact: true }).getAttribute('href');
    await tab.page.goto(new URL(href, system.url).href);
    await tab.page.getByRole('heading', { name: 'metal-2', exact: true }).waitFor();
    // All of the page has come, what is loaded later as well.
    await tab.page.getByRole('region', { name: 'Phases as a table' }).waitFor({ state: 'attached' });

    // In the middle: the machine speaks, and none has ended.
    await eventually(
      'metal-2 is in the installer',
      async () => assert.ok((await api.deploymentOf('metal-2')).phases.some(({ phase }) => phase === 'STORAGE_DISCOVERY')),
      { timeout: toTheEnd },
    );
    await system.server.signal('SIGKILL');
    for (const each of [page, tab.page]) await pill(each, /^(Reconnecting|Polling|Offline)/).waitFor();
    for (const name of names) assert.ok(await rowOf(page, name).isVisible(), 'what was known stays on the screen');
    const before = (await readEvents(tab.page)).length;

    await system.serve();
    for (const each of [page, tab.page]) await pill(each, 'Live').waitFor({ timeout: toTheEnd });
    for (const name of names) await rowOf(page, name).getByText('Deployed').first().waitFor({ timeout: toTheEnd });
    await eventually('the fleet shows what the server has', async () => assertShowsFleet(page, await api.fleet()));
    await eventually('the node shows what the server has', async () => assertShowsDeployment(tab.page, await api.deploymentOf('metal-2')));
    t.diagnostic(`metal-2 had ${before} events on the page when the server was killed, ${(await readEvents(tab.page)).length} at the end`);

    const steps = await recordedSteps(page);
    for (const name of names) {
      const numbers = stepNumbers(steps[name]);
      assert.deepEqual(numbers, numbers.toSorted((a, b) => a - b), `${name} only ever moves on: ${steps[name].join(', ')}`);
    }
    for (const { documents, sockets } of [observed, tab.observed]) {
      assert.equal(documents.length, 1, 'nothing was loaded anew');
      assert.ok(sockets.length >= 2);
    }
    for (const each of [observed, tab.observed]) each.assertClean([/WebSocket connection to .* failed/, /net::ERR_/]);
    await context.close();
  });
});
