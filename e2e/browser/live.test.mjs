// One demonstration, watched by two people: one whose network is good, and one
// whose network is cut in the middle. Both must see the same.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { assertShowsDeployment, assertShowsFleet, pill, readEvents, recordedSteps, recordSteps, rowOf, stepNumbers } from './support/app.mjs';
import { assertAccessible, launch, open, photograph } from './support/browser.mjs';
import { eventually, muchPatience } from './support/eventually.mjs';
import { Proxy } from './support/proxy.mjs';
import { startDemo } from './support/slipway.mjs';

const names = ['demo-1', 'demo-2', 'demo-3'];
/** The whole run, on a machine that is busy with other things. */
const toTheEnd = muchPatience;

describe('a demonstration, from order to deployed', { concurrency: true }, () => {
  let system;
  let browser;
  let api;
  before(async () => {
    system = await startDemo();
    browser = await launch();
    api = await system.api();
  });
  after(async () => {
    await browser?.close();
    await system?.stop();
  });

  it('is followed live, without a reload', async (t) => {
    const { context, page, observed } = await open(browser, system.url);
    await page.goto(system.link);
    await pill(page, 'Live').waitFor();
    assert.equal(page.url(), `${system.url}/monitoring`, 'the code has left the address');
    for (const name of names) await rowOf(page, name).waitFor();
    await recordSteps(page);
    // How far they have come by now: a busy machine may be late with its pages.
    const reached = async () => new Map(await Promise.all(names.map(async (name) => [name, (await api.deploymentOf(name)).phases.length])));
    const reachedAtFirst = await reached();

    // Somebody else of the same session looks at a node from early on.
    const tab = await open(context, system.url);
    const href = await page.getByRole('link', { name: 'demo-1', exact: true }).getAttribute('href');
    await tab.page.goto(new URL(href, system.url).href);
    await tab.page.getByRole('heading', { name: 'demo-1', exact: true }).waitFor();
    await tab.page.getByRole('region', { name: 'Events, the newest first' }).getByRole('listitem').first().waitFor();
    await pill(tab.page, 'Live').waitFor();
    await tab.page.getByRole('region', { name: 'Phases as a table' }).waitFor({ state: 'attached' });
    const askedAtFirst = tab.observed.posts.length;
    const eventsAtFirst = (await readEvents(tab.page)).length;
    const recordedAtFirst = (await api.deploymentOf('demo-1')).events.length;

    // A third tab has its picture taken while the machines are at work.
    const camera = await open(context, system.url);
    await camera.page.goto(`${system.url}/monitoring`);
    // Somebody who comes late sees them where they are by then.
    await camera.page.getByRole('row').getByText(/^(Running|Late|Deployed)$/).first().waitFor();
    await photograph(camera.page, 'fleet-running');
    await assertAccessible(camera.page, 'fleet, running');
    await camera.page.getByRole('link', { name: 'demo-2', exact: true }).click();
    await camera.page.getByRole('heading', { name: 'demo-2', exact: true }).waitFor();
    await camera.page.getByRole('region', { name: 'Events, the newest first' }).getByRole('listitem').first().waitFor();
    await photograph(camera.page, 'node-running');
    await assertAccessible(camera.page, 'node, running');
    camera.observed.assertClean();

    for (const name of names) await rowOf(page, name).getByText('Deployed').first().waitFor({ timeout: toTheEnd });
    await eventually('the fleet shows what the server has', async () => assertShowsFleet(page, await api.fleet()));

    const steps = await recordedSteps(page);
    const reachedAtEnd = await reached();
    for (const name of names) {
      const numbers = stepNumbers(steps[name]);
      assert.deepEqual(numbers, numbers.toSorted((a, b) => a - b), `${name} only ever moves on: ${steps[name].join(', ')}`);
      // Steps that follow each other closely are drawn as one.
      const moved = reachedAtEnd.get(name) - reachedAtFirst.get(name);
      assert.ok(numbers.length >= Math.min(5, 1 + Math.floor(moved / 3)), `${name} was seen moving by ${moved} phases: ${steps[name].join(', ')}`);
      assert.equal(numbers.at(-1), 1000, `${name} has come to its end: ${steps[name].join(', ')}`);
    }
    assert.equal(observed.documents.length, 1, `documents that were loaded: ${observed.documents.join(', ')}`);
    assert.equal(observed.sockets.length, 1, 'one websocket');
    assert.equal(observed.sockets[0].url, `${system.url.replace('http', 'ws')}/graphql`);
    t.diagnostic(`fleet page: ${observed.posts.length} queries by POST, ${observed.sockets[0].received.length} messages by websocket`);
    assert.deepEqual(observed.posts, [], 'the fleet page asks for nothing but its subscription');
    observed.assertClean();

    await eventually('the node shows what the server has', async () => assertShowsDeployment(tab.page, await api.deploymentOf('demo-1')));
    await tab.page.getByRole('banner').waitFor();
    const eventsAtEnd = (await readEvents(tab.page)).length;
    t.diagnostic(`node page: ${tab.observed.posts.length} queries by POST (${tab.observed.posts.join(', ')}), ${eventsAtEnd - eventsAtFirst} events came live`);
    assert.ok(eventsAtEnd - eventsAtFirst >= Math.min(10, eventsAtEnd - recordedAtFirst), 'events came while the page was open');
    assert.ok(askedAtFirst <= 3, `the node page asked at first: ${tab.observed.posts.join(', ')}`);
    assert.equal(tab.observed.posts.length, askedAtFirst, `no event made it ask again: ${tab.observed.posts.join(', ')}`);
    assert.equal(tab.observed.documents.length, 1);
    tab.observed.assertClean();

    await photograph(page, 'fleet-deployed');
    await photograph(tab.page, 'node-deployed');
    await assertAccessible(tab.page, 'node, deployed');
    await context.close();
  });

  it('misses nothing when the network is cut in the middle', async (t) => {
    const proxy = await Proxy.to(system.url);
    t.after(() => proxy.close());
    const { context, page: fleet, observed: ofFleet } = await open(browser, proxy.url);
    await fleet.goto(await system.signInLink('elsewhere', proxy.url));
    await rowOf(fleet, 'demo-3').waitFor();
    await recordSteps(fleet);
    const { page: node, observed: ofNode } = await open(context, proxy.url);
    const href = await fleet.getByRole('link', { name: 'demo-3', exact: true }).getAttribute('href');
    await node.goto(new URL(href, proxy.url).href);
    await node.getByRole('heading', { name: 'demo-3', exact: true }).waitFor();
    await node.evaluate(() => (globalThis.sameDocument = true));

    const eventsOnServer = async () => (await api.deploymentOf('demo-3')).events.length;
    // So many, or all that there will be: where pages are very late it has come to its end before them.
    const atLeast = (events) =>
      eventually(
        `demo-3 has ${events} events, or its end`,
        async () => {
          const { state, events: there } = await api.deploymentOf('demo-3');
          assert.ok(there.length >= events || state === 'SUCCEEDED', `${there.length} events, ${state}`);
          return there.length;
        },
        { timeout: toTheEnd },
      );
    // Both pages have a newer websocket than these, and are live. A person need
    // not wait for the end of a pause, which is long after many failures.
    const backToLive = async (before) => {
      for (const [i, page] of [fleet, node].entries()) {
        const waiting = page.getByRole('banner').getByRole('button', { name: /Reconnecting|Polling|Offline/ });
        await eventually(
          'the page is live again',
          async () => {
            if (await waiting.isVisible()) await waiting.click({ timeout: 5_000 });
            assert.ok([ofFleet, ofNode][i].sockets.length > before[i], 'there is a new websocket');
            assert.ok(await pill(page, 'Live').isVisible(), 'it says so');
          },
          { timeout: toTheEnd },
        );
      }
    };
    await atLeast(8);
    for (const page of [fleet, node]) await pill(page, 'Live').waitFor();
    // All of the page has come, what is loaded later as well.
    await node.getByRole('region', { name: 'Phases as a table' }).waitFor({ state: 'attached' });

    const sockets = () => [ofFleet, ofNode].map((observed) => observed.sockets.length);
    let before = sockets();
    proxy.cut();
    for (const page of [fleet, node]) await pill(page, /^(Reconnecting|Polling|Offline)/).waitFor();
    // What had come before the cut may be drawn a moment after it.
    const settled = () => node.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => setTimeout(() => requestAnimationFrame(() => setTimeout(resolve, 100)), 100))));
    await settled();
    const shown = await readEvents(node);
    assert.ok(shown.length >= 1, 'what was known stays on the screen');
    const there = await atLeast(shown.length + 8);
    t.diagnostic(`${there - shown.length} events while it was cut`);
    assert.deepEqual(await readEvents(node), shown, 'nothing can have come');

    proxy.mend();
    await backToLive(before);
    await eventually('the node has caught up', async () => assert.ok((await readEvents(node)).length >= there));

    // Short ones, at whatever moment it is.
    for (let i = 0; i < 2; i++) {
      t.diagnostic(`a short cut at ${await eventsOnServer()} events`);
      before = sockets();
      proxy.blink();
      await backToLive(before);
    }

    for (const name of names) await rowOf(fleet, name).getByText('Deployed').first().waitFor({ timeout: toTheEnd });
    await eventually('the fleet shows what the server has', async () => assertShowsFleet(fleet, await api.fleet()));
    await eventually('the node shows what the server has', async () => assertShowsDeployment(node, await api.deploymentOf('demo-3')));

    const numbers = stepNumbers((await recordedSteps(fleet))['demo-3']);
    assert.deepEqual(numbers, numbers.toSorted((a, b) => a - b), 'the fleet never shows an older step');
    assert.ok(await node.evaluate(() => globalThis.sameDocument), 'the node page was not loaded anew');
    for (const observed of [ofFleet, ofNode]) {
      assert.equal(observed.documents.length, 1);
      const subscribed = observed.sockets.flatMap(({ sent }) => sent.map((text) => JSON.parse(text)).filter(({ type }) => type === 'subscribe'));
      const last = subscribed.filter(({ payload }) => payload.operationName === 'FleetChanges').at(-1);
      assert.ok(last.payload.variables.after, 'the stream was resumed at its cursor, not begun anew');
      t.diagnostic(`${observed.sockets.length} websockets, queries by POST: ${observed.posts.join(', ') || 'none'}`);
      // The browser itself writes down each connection that could not be made.
      observed.assertClean([/WebSocket connection to .* failed/, /net::ERR_/]);
    }
    await context.close();
  });
});
