// Every page of the app, in every state it can be in, looked at one after the
// other: what must be so of all of them is asked of each.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { pill } from './support/app.mjs';
import { findings, keep, launch, layoutJumps, open, tooWide, watchLayout } from './support/browser.mjs';
import { eventually, muchPatience } from './support/eventually.mjs';
import { failQuestions, refuseEverything } from './support/faulty.mjs';
import { fill, startWhole } from './support/fleet.mjs';
import { takePicture } from './support/pictures.mjs';
import { root } from './support/slipway.mjs';

const wide = { width: 1280, height: 900 };
const narrow = { width: 390, height: 844 };

/**
 * @typedef {object} Look
 * @property {string} name of its pictures
 * @property {string} route as the router has it
 * @property {string} [path] where that is, when it has parameters
 * @property {RegExp | string} heading
 * @property {RegExp | string} [shows] a text that is there once all is loaded
 * @property {string} [picture] of the documentation
 */

describe('every page', () => {
  let system;
  let browser;
  let filled;
  const people = new Map();
  /** Routes that were looked at with something in them. */
  const looked = new Set();

  before(async () => {
    system = await startWhole({ flags: ['--stale-after=30s'] });
    browser = await launch();
  });
  after(async () => {
    await filled?.stop();
    await browser?.close();
    await system?.stop();
  });

  /** Somebody who is signed in, once for all pages. */
  const person = async (role) => {
    if (!people.has(role)) {
      const opened = await open(browser, system.url, { viewport: wide, colorScheme: 'light' });
      await opened.page.goto(await system.signInLink(`${role}-of-pages`, system.url, role));
      await pill(opened.page, 'Live').waitFor();
      await opened.page.close();
      await watchLayout(opened.context);
      people.set(role, opened.context);
    }
    return people.get(role);
  };

  const nobody = async () => {
    const context = await browser.newContext({ viewport: wide, reducedMotion: 'reduce' });
    await watchLayout(context);
    return context;
  };

  /** All that must be so of a page, whatever it is. */
  const look = async (role, { name, path, heading, shows, picture }, { prepare, meanwhile, errors = [], still = 0.01, brief = false } = {}) => {
    const context = role === null ? await nobody() : await person(role);
    const { page, observed } = await open(context, system.url);
    try {
      await page.setViewportSize(wide);
      await page.emulateMedia({ colorScheme: 'light' });
      await prepare?.(page);
      await page.goto(`${system.url}/monitoring${path}`);
      await meanwhile?.(page);
      const main = page.getByRole('main');
      await main.getByRole('heading', { level: 1, name: heading }).waitFor();
      if (shows !== undefined) await main.getByText(shows).first().waitFor();
      await page.waitForFunction(() => document.querySelector('[role="status"][aria-label^="Loading"], [role="status"][aria-label^="Reading"]') === null && document.fonts.status === 'loaded');

      const wrong = [];
      const headings = await page.getByRole('heading', { level: 1 }).count();
      if (headings !== 1) wrong.push(`${headings} main headings`);
      // It is given a moment after the page is drawn.
      await page.waitForFunction(() => /^\S.* · Slipway$/.test(document.title)).catch(async () => wrong.push(`its title is ${await page.title()}`));
      const jumps = await layoutJumps(page);
      const jumped = jumps.reduce((sum, { value }) => sum + value, 0);
      if (jumped >= still) wrong.push(`the layout has jumped by ${jumped.toFixed(4)}: ${JSON.stringify(jumps)}`);
      for (const colorScheme of ['light', 'dark']) {
        await page.emulateMedia({ colorScheme });
        wrong.push(...(await findings(page)).map((finding) => `${colorScheme}: ${finding}`));
        await keep(page, `page-${name}-${colorScheme}`);
        if (picture?.theme === colorScheme) await takePicture(page, picture);
      }
      for (const window of [wide, narrow]) {
        await page.setViewportSize(window);
        const over = await tooWide(page);
        if (over > 0) wrong.push(`${over} px wider than a window of ${window.width} px`);
      }
      await keep(page, `page-${name}-narrow`);
      if (!brief) wrong.push(...(await findings(page)).map((finding) => `narrow: ${finding}`));
      assert.deepEqual(wrong, []);
      observed.assertClean(errors);
    } catch (error) {
      await keep(page, `page-${name}-wrong`).catch(() => undefined);
      throw error;
    } finally {
      await page.close();
      if (role === null) await context.close();
    }
  };

  describe('before anything was ever done', () => {
    for (const each of [
      { name: 'sign-in', role: null, path: '', heading: 'Slipway', shows: 'Sign in with a link', errors: [/status of 401/] },
      { name: 'first-overview', path: '/overview', heading: 'Overview', shows: 'No failures' },
      { name: 'first-fleet', path: '', heading: 'Fleet', shows: 'No nodes yet' },
      { name: 'first-history', path: '/history', heading: 'History', shows: 'Nothing has happened yet' },
      { name: 'first-insights', path: '/insights', heading: 'Insights' },
      { name: 'first-deploy', path: '/deploy', heading: 'New deployment' },
      { name: 'first-bulk', path: '/bulk', heading: 'Bulk operations', shows: 'No bulk operations yet' },
      { name: 'first-clusters', path: '/clusters', heading: 'Clusters', shows: 'No clusters yet' },
      { name: 'first-artifacts', path: '/artifacts', heading: 'Artifacts', shows: 'The catalogue is empty' },
      { name: 'first-resources', path: '/resources', heading: 'Resources and orphans', shows: 'Journal and cloud agree' },
      { name: 'first-apply', path: '/apply', heading: 'Apply changes', shows: 'No nodes yet' },
      { name: 'first-runs', path: '/apply/runs', heading: 'Runs of the deployment script', shows: 'No runs yet' },
      { name: 'first-settings', path: '/settings', heading: 'Settings', shows: 'Signed-in browsers' },
    ]) {
      it(each.name, () => look(each.role === undefined ? 'admin' : each.role, each, { ...each, brief: true }));
    }
  });

  describe('with a fleet', () => {
    before(async () => {
      filled = await fill(system, await system.api('admin'));
    });
    const node = (name) => `/nodes/${filled.nodes[name].id}`;
    const deployment = (name) => `/deployments/${filled.nodes[name].deployment}`;

    for (const each of [
      { name: 'overview', route: '/overview', heading: 'Overview', shows: 'Success by profile', picture: { name: 'overview', theme: 'light' } },
      { name: 'fleet', route: '/', heading: 'Fleet', shows: 'sqdn-001', picture: { name: 'fleet', theme: 'light' } },
      { name: 'fleet-all-columns', route: '/', path: () => '?cols=profile,ip,phase,progress,eta,attempt,server,provider,created,seen&sort=name', heading: 'Fleet', shows: 'sqdn-001' },
      { name: 'fleet-nothing', route: '/', path: () => '?q=nothing-like-this', heading: 'Fleet', shows: 'No node matches the filter' },
      { name: 'node-deployed', route: '/nodes/$nodeId', path: () => node('metal-1'), heading: 'metal-1', shows: 'Resources at the provider', picture: { name: 'node', theme: 'dark' } },
      { name: 'node-failed', route: '/nodes/$nodeId', path: () => node('rack-failed'), heading: 'rack-failed', shows: 'What to do', picture: { name: 'failure', theme: 'light' } },
      { name: 'node-failed-twice', route: '/nodes/$nodeId', path: () => `${node('metal-3')}?view=table`, heading: 'metal-3', shows: 'What to do' },
      { name: 'node-silent', route: '/nodes/$nodeId', path: () => node('rack-silent'), heading: 'rack-silent', shows: 'Stalled' },
      { name: 'node-running', route: '/nodes/$nodeId', path: () => node('rack-writes'), heading: 'rack-writes', shows: 'writing hypervisor.img' },
      { name: 'node-waits', route: '/nodes/$nodeId', path: () => node('rack-waits'), heading: 'rack-waits', shows: 'Waiting' },
      { name: 'node-canceled', route: '/nodes/$nodeId', path: () => node('rack-canceled'), heading: 'rack-canceled', shows: 'wrong VLAN' },
      { name: 'node-cleaned', route: '/nodes/$nodeId', path: () => node('rack-gone'), heading: 'rack-gone', shows: 'Cleaned up' },
      { name: 'node-script', route: '/nodes/$nodeId', path: () => node('sqdn-001'), heading: 'sqdn-001', shows: 'Configurations that were applied' },
      { name: 'node-unknown', route: '/nodes/$nodeId', path: () => '/nodes/node_4711', heading: 'There is no such node' },
      { name: 'deployment', route: '/deployments/$deploymentId', path: () => deployment('metal-3'), heading: /metal-3/, shows: 'What was ordered' },
      { name: 'deployment-unknown', route: '/deployments/$deploymentId', path: () => '/deployments/dep_4711', heading: 'There is no such deployment' },
      { name: 'history', route: '/history', heading: 'History', shows: 'Show older events' },
      { name: 'history-nothing', route: '/history', path: () => '/history?q=nobody', heading: 'History', shows: 'No machine has this name or address' },
      { name: 'insights', route: '/insights', heading: 'Insights', shows: 'without a profile', picture: { name: 'insights', theme: 'light' } },
      { name: 'deploy', route: '/deploy', heading: 'New deployment', shows: 'Profile' },
      { name: 'batch', route: '/batches/$batchId', path: () => `/batches/${filled.batch}`, heading: 'metal, row 7', shows: 'metal-1', picture: { name: 'batch', theme: 'light' } },
      { name: 'batch-unknown', route: '/batches/$batchId', path: () => '/batches/bat_4711', heading: 'There is no such batch' },
      { name: 'bulk-list', route: '/bulk', heading: 'Bulk operations', shows: 'Clean up 1' },
      { name: 'bulk', route: '/bulk/$bulkId', path: () => `/bulk/${filled.bulk}`, heading: /Retry/, shows: 'metal-3', picture: { name: 'bulk', theme: 'light' } },
      { name: 'bulk-unknown', route: '/bulk/$bulkId', path: () => '/bulk/bulk_4711', heading: 'There is no such bulk operation' },
      { name: 'clusters', route: '/clusters', heading: 'Clusters', shows: 'prism-1' },
      { name: 'cluster-new', route: '/clusters/new', heading: /cluster/i },
      { name: 'cluster', route: '/clusters/$clusterId', path: () => `/clusters/${filled.cluster}`, heading: 'prism-1', shows: 'prism-1-a', picture: { name: 'cluster', theme: 'dark' } },
      { name: 'cluster-unknown', route: '/clusters/$clusterId', path: () => '/clusters/clu_4711', heading: 'There is no such cluster' },
      { name: 'artifacts', route: '/artifacts', heading: 'Artifacts', shows: 'hypervisor.img' },
      { name: 'resources', route: '/resources', heading: 'Resources and orphans', shows: 'slw-metal-lost' },
      { name: 'settings', route: '/settings', heading: 'Settings', shows: 'Signed-in browsers', picture: { name: 'settings', theme: 'light' } },
      { name: 'apply', route: '/apply', heading: 'Apply changes', shows: 'Run 1 of the deployment script' },
      { name: 'runs', route: '/apply/runs', heading: 'Runs of the deployment script', shows: 'Run 1' },
      { name: 'run', route: '/apply/runs/$runId', path: () => `/apply/runs/${filled.run}`, heading: 'Run 1', shows: 'all hosts restart' },
      { name: 'run-unknown', route: '/apply/runs/$runId', path: () => '/apply/runs/run_4711', heading: 'There is no such run' },
      { name: 'not-found', route: null, path: () => '/no/such/page', heading: 'This page does not exist' },
    ]) {
      it(each.name, async () => {
        await look('admin', { ...each, path: each.path?.() ?? (each.route === '/' ? '' : each.route) }, { errors: [/status of 404/] });
        looked.add(each.route);
      });
    }

    it('and that were all of them', async () => {
      const router = await readFile(join(root, 'frontend/src/app/router.tsx'), 'utf8');
      const routes = [...router.matchAll(/\bpath: '([^']+)'/g)].map(([, path]) => path);
      assert.ok(routes.length >= 16, `the router has ${routes.length} routes`);
      assert.deepEqual(routes.filter((route) => !looked.has(route)), [], 'routes that no test looks at');
    });

    describe('seen by somebody who may only look', () => {
      for (const each of [
        { name: 'viewer-fleet', path: () => '', heading: 'Fleet', shows: 'sqdn-001' },
        { name: 'viewer-node', path: () => node('rack-failed'), heading: 'rack-failed', shows: 'What to do' },
        { name: 'viewer-deploy', path: () => '/deploy', heading: 'New deployment', shows: 'You need the operator role to deploy' },
        { name: 'viewer-artifacts', path: () => '/artifacts', heading: 'Artifacts', shows: 'hypervisor.img' },
        { name: 'viewer-resources', path: () => '/resources', heading: 'Resources and orphans', shows: 'You need the admin role to see orphans' },
        { name: 'viewer-settings', path: () => '/settings', heading: 'Settings', shows: 'Access for others' },
        { name: 'viewer-apply', path: () => '/apply', heading: 'Apply changes', shows: 'You need the operator role to apply changes' },
      ]) {
        it(each.name, async () => {
          await look('viewer', { ...each, path: each.path() }, { brief: true });
        });
      }
    });

    describe('when the server answers with an error', () => {
      const failed = 'the database cannot be read';
      for (const each of [
        { name: 'error-node', path: () => node('metal-1'), heading: 'This could not be loaded', shows: failed },
        { name: 'error-deployment', path: () => deployment('metal-1'), heading: 'This could not be loaded', shows: failed },
        { name: 'error-history', path: () => '/history', heading: 'History', shows: failed },
        { name: 'error-insights', path: () => '/insights', heading: 'Insights', shows: failed },
        { name: 'error-deploy', path: () => '/deploy', heading: 'New deployment', shows: failed },
        { name: 'error-batch', path: () => `/batches/${filled.batch}`, heading: 'This could not be loaded', shows: failed },
        { name: 'error-bulk-list', path: () => '/bulk', heading: 'This could not be loaded', shows: failed },
        { name: 'error-bulk', path: () => `/bulk/${filled.bulk}`, heading: 'This could not be loaded', shows: failed },
        { name: 'error-clusters', path: () => '/clusters', heading: 'This could not be loaded', shows: failed },
        { name: 'error-cluster', path: () => `/clusters/${filled.cluster}`, heading: 'This could not be loaded', shows: failed },
        { name: 'error-artifacts', path: () => '/artifacts', heading: 'This could not be loaded', shows: failed },
        { name: 'error-resources', path: () => '/resources', heading: 'Resources and orphans', shows: failed },
        { name: 'error-settings', path: () => '/settings', heading: 'Settings', shows: failed },
        { name: 'error-apply', path: () => '/apply', heading: 'Apply changes', shows: failed },
        { name: 'error-runs', path: () => '/apply/runs', heading: 'Runs of the deployment script', shows: failed },
        { name: 'error-run', path: () => `/apply/runs/${filled.run}`, heading: 'This could not be loaded', shows: failed },
      ]) {
        it(each.name, async () => {
          // What went wrong is told where there is room for it, which moves the rest a little, once.
          await look('admin', { ...each, path: each.path() }, { prepare: failQuestions, still: 0.1, brief: true });
        });
      }

      for (const each of [
        { name: 'away-overview', path: '/overview', heading: 'Overview', shows: 'The server does not answer' },
        { name: 'away-fleet', path: '', heading: 'Fleet', shows: 'The server does not answer' },
      ]) {
        it(`${each.name}: or not at all`, async () => {
          const meanwhile = (page) =>
            eventually('the page has given up waiting', async () => {
              const again = page.getByRole('banner').getByRole('button', { name: /^(Reconnecting|Polling)/ });
              if (await again.isVisible()) await again.click({ timeout: 5_000 });
              assert.ok(await page.getByRole('banner').getByText(/^Offline/).isVisible());
            }, { timeout: muchPatience });
          await look('admin', each, { prepare: refuseEverything, meanwhile, errors: [/WebSocket connection to .* failed/, /status of 503/], still: 0.1, brief: true });
        });
      }
    });
  });
});
