// What a person narrows, follows and looks up: the ways from the overview into
// the table, its filters and columns, the history and a machine's own events,
// the charts and the catalogue. What is chosen stands in the address.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { count, rowOf } from './support/app.mjs';
import { assertAccessible, launch, open, photograph } from './support/browser.mjs';
import { eventually, muchPatience } from './support/eventually.mjs';
import { ask, deployNodes, rackMachine, rackSpec } from './support/fleet.mjs';
import { People } from './support/people.mjs';
import { startServer } from './support/slipway.mjs';

const profile = 'bx2d-metal-96x384';

describe('what is looked for', () => {
  let system;
  let browser;
  let api;
  let people;
  const machines = {};
  const waitsForBoot = (name) =>
    eventually(`${name} waits for its boot`, async () => assert.equal((await api.fleet()).get(name)?.currentDeployment?.phase, 'MONITORING_START'));
  const begin = async (name) => {
    await waitsForBoot(name);
    await machines[name].boot();
    await machines[name].fetchConfiguration();
    await machines[name].through('foundation_start');
  };
  const fail = (name, message) => machines[name].report('failed', 'failed', { message });
  before(async () => {
    system = await startServer({ pace: 'quick' });
    browser = await launch();
    people = new People(browser, system);
    api = await system.api('operator');
    const names = ['look-a', 'look-b', 'look-c', 'look-d', 'look-e'];
    names.forEach((name, i) => (machines[name] = rackMachine(system, name, i)));
    await ask(api, deployNodes, { nodes: [{ name: 'metal-1', spec: { ibmVpc: { serverProfile: profile } } }, ...names.map((name, i) => ({ name, labels: [{ key: 'row', value: String(7 + (i % 2)) }], spec: rackSpec(machines[name]) }))] });
    for (const name of ['look-a', 'look-b', 'look-c']) await begin(name);
    for (const name of ['look-a', 'look-b']) await fail(name, 'no link on eno1');
    await machines['look-c'].through('network_config');
    await fail('look-c', 'no disk is large enough');
    // What is said after the end is refused, and kept.
    await assert.rejects(machines['look-c'].report('storage_discovery', 'in_progress', { message: 'I am still here' }));
    await waitsForBoot('look-d');
    await begin('look-e');
    await machines['look-e'].report('network_config', 'in_progress');
  });
  after(async () => {
    await browser?.close();
    await system?.stop();
  });

  const does = (name, body) => it(name, () => people.leavingPicture(name, body));
  const table = (page) => page.getByRole('table', { name: 'Nodes' });
  const shows = (page, names) =>
    eventually(`the table shows ${names.join(', ')}`, async () => assert.deepEqual(await table(page).evaluate((element) => [...element.querySelectorAll('[data-index] a')].map((link) => link.textContent).toSorted()), names));
  const address = (page, name, value) => page.waitForURL((url) => url.searchParams.get(name) === value);
  const button = (inside, name) => inside.getByRole('button', { name, exact: true });

  does('is a step from the overview', async () => {
    const { context, page, observed } = await people.open('/overview', 'viewer');
    const failures = page.getByRole('list', { name: 'Failures by phase and code' });
    await failures.getByRole('link', { name: /^2 nodes failed in Network setup with / }).click();
    await shows(page, ['look-a', 'look-b']);
    await page.goBack();
    await failures.getByRole('link', { name: /^1 node failed in / }).click();
    await shows(page, ['look-c']);
    await page.goBack();
    await page.getByRole('list', { name: 'Nodes by state' }).getByRole('link', { name: /^Failed/ }).click();
    await address(page, 'show', 'failed');
    await shows(page, ['look-a', 'look-b', 'look-c']);
    await page.goBack();
    await page.getByRole('list', { name: 'Nodes by phase' }).getByRole('link', { name: /^Waiting for boot/ }).click();
    await rowOf(page, 'look-d').waitFor();
    await page.goBack();
    await failures.getByRole('link', { name: 'look-c', exact: true }).click();
    await page.getByRole('heading', { name: 'look-c', exact: true }).waitFor();
    observed.assertClean();
    await context.close();
  });

  does('is narrowed by what there is, step by step, and widened again', async () => {
    const { context, page, observed } = await people.open('', 'viewer');
    const narrow = page.getByRole('dialog', { name: 'Filter…' });
    const chips = page.getByRole('group', { name: 'The table is narrowed by' });
    await button(page, 'Filter…').click();
    await narrow.getByLabel('Failed in', { exact: true }).selectOption('NETWORK_CONFIG');
    await chips.getByText('Network setup', { exact: true }).waitFor();
    await shows(page, ['look-a', 'look-b']);
    await narrow.getByLabel('Label', { exact: true }).selectOption('row=7');
    await shows(page, ['look-a']);
    await photograph(page, 'fleet-narrowing');
    await assertAccessible(page, 'fleet that is being narrowed');
    await page.keyboard.press('Escape');
    await narrow.waitFor({ state: 'detached' });
    await page.reload();
    await shows(page, ['look-a']);
    await button(chips, 'Without failed in Network setup').click();
    await shows(page, ['look-a', 'look-c', 'look-e']);
    await button(chips, 'Without label row=7').click();
    await rowOf(page, 'metal-1').waitFor();
    await count(chips, 0);

    await page.getByRole('textbox', { name: /^Filter by name/ }).fill('nothing-like-this');
    await button(page, 'Show all nodes').click();
    await rowOf(page, 'metal-1').waitFor();

    // Columns of one's own, and the usual ones again.
    const columns = () => table(page).evaluate((element) => [...element.querySelectorAll('[role=columnheader][data-column]')].map((cell) => cell.dataset.column));
    const usual = await columns();
    await button(page, 'Columns').click();
    const choice = page.getByRole('dialog', { name: 'Columns' });
    await choice.getByLabel('Provider', { exact: true }).check();
    await choice.getByLabel('Progress', { exact: true }).uncheck();
    await eventually('other columns', async () => assert.deepEqual(await columns(), usual.filter((id) => id !== 'progress').flatMap((id) => (id === 'seen' ? ['provider', id] : [id]))));
    await button(choice, 'The usual columns').click();
    await eventually('the usual columns', async () => assert.deepEqual(await columns(), usual));
    assert.equal(new URL(page.url()).search, '');
    observed.assertClean();
    await context.close();
  });

  does('is found in the history, also what was refused', async () => {
    const { context, page, observed } = await people.open('/history', 'viewer');
    const list = page.getByRole('list', { name: 'Events, the newest first' });
    const filter = page.getByRole('search', { name: 'Filter the history' });
    const events = () => list.evaluate((element) => [...element.children].map((item) => ({ status: item.querySelector('[data-kind]').textContent, text: item.textContent })));
    await filter.getByLabel('Status', { exact: true }).selectOption('FAILED');
    await address(page, 'status', 'FAILED');
    await eventually('only what failed', async () => {
      const all = await events();
      assert.equal(all.length, 3);
      assert.ok(all.every(({ status }) => status === 'Failed'));
    });
    await filter.getByLabel('Phase', { exact: true }).selectOption('STORAGE_DISCOVERY');
    await eventually('only of that phase', async () => assert.deepEqual((await events()).map(({ text }) => /no disk is large enough/.test(text)), [true]));
    await filter.getByLabel('Status', { exact: true }).selectOption('');
    await filter.getByLabel('Source', { exact: true }).selectOption('INSTALLER_SCRIPT');
    await address(page, 'source', 'INSTALLER_SCRIPT');
    assert.equal(await list.getByText('I am still here').count(), 0);
    await filter.getByLabel('Refused as well').check();
    await list.getByText('I am still here').waitFor();
    await list.getByText(/^refused/).first().waitFor();
    await photograph(page, 'history-refused');
    await assertAccessible(page, 'history with what was refused');
    await page.reload();
    await list.getByText('I am still here').waitFor();

    // Held where it is, while more happens; then it follows again.
    await page.goto(`${system.url}/monitoring/history?q=look-e`);
    await list.getByRole('listitem').first().waitFor();
    await button(page, '✓ Following').click();
    await button(page, 'Follow').waitFor();
    const before = await events();
    await machines['look-e'].report('network_config', 'success', { message: 'eno1 has its address' });
    await button(page, 'Follow · 1 new event').waitFor();
    assert.deepEqual((await events()).length, before.length);
    await button(page, 'Follow · 1 new event').click();
    await list.getByText('eno1 has its address').waitFor();
    await button(page, '✓ Following').waitFor();

    const { id } = (await api.fleet()).get('look-a').currentDeployment;
    await page.goto(`${system.url}/monitoring/history?deployment=${id}&status=WAITING`);
    await button(page, `Only ${id} · all`).click();
    await page.waitForURL((url) => !url.searchParams.has('deployment'));
    await list.getByRole('link', { name: 'metal-1', exact: true }).first().waitFor();
    observed.assertClean();
    await context.close();
  });

  does('is read on a machine’s own page, phase by phase', async () => {
    const { id } = (await api.fleet()).get('look-c');
    const { context, page, observed } = await people.open(`/nodes/${id}`, 'viewer');
    const events = page.getByRole('region', { name: 'Events, the newest first' });
    await events.getByText('no disk is large enough').waitFor();
    const bar = page.getByRole('group', { name: /^Timeline of the phases/ }).getByRole('button', { name: /^Network setup/ });
    await bar.focus();
    await page.keyboard.press('Enter');
    await page.waitForURL(/phase=network_config/);
    await count(events.getByText('no disk is large enough'), 0);
    await page.reload();
    await events.getByRole('listitem').first().waitFor();
    assert.equal(await events.getByText('no disk is large enough').count(), 0);
    await button(page, 'Only Network setup · show all').click();
    await events.getByText('no disk is large enough').waitFor();
    await page.waitForURL((url) => !url.searchParams.has('phase'));
    observed.assertClean();
    await context.close();
  });

  does('is drawn over time: how long, how often, of what', async () => {
    await eventually('metal-1 is deployed', async () => assert.equal((await api.fleet()).get('metal-1').state, 'SUCCEEDED'), { timeout: muchPatience });
    const { context, page, observed } = await people.open('/insights', 'viewer');
    const filters = page.getByRole('group', { name: 'What the charts are about' });
    await page.getByRole('img', { name: /^Whole deployments over the last 7 days: 1 end, / }).waitFor();
    await filters.getByText('24 hours', { exact: true }).click();
    await address(page, 'span', '24h');
    await page.getByRole('img', { name: /^Whole deployments over the last 24 hours: 1 end, / }).waitFor();
    await filters.getByLabel('Provider', { exact: true }).selectOption('RACK');
    await page.getByText('Nothing succeeded in the last 24 hours').waitFor();
    await filters.getByLabel('Phase', { exact: true }).selectOption('foundation_start');
    await page.getByRole('img', { name: /over the last 24 hours: 4 ends, / }).waitFor();
    await page.reload();
    await page.getByRole('img', { name: /over the last 24 hours: 4 ends, / }).waitFor();
    await photograph(page, 'insights-of-a-phase');
    await assertAccessible(page, 'insights of one phase');
    await filters.getByLabel('Provider', { exact: true }).selectOption('');
    const chosen = page.getByRole('region', { name: 'Each profile' }).getByRole('button', { name: profile, exact: true });
    await chosen.click();
    await address(page, 'profile', profile);
    await eventually('it is pressed', async () => assert.equal(await chosen.getAttribute('aria-pressed'), 'true'));
    assert.equal(await filters.getByLabel('Server profile', { exact: true }).inputValue(), profile);
    await page.getByText('As a table', { exact: true }).first().click();
    await page.getByRole('region', { name: 'Durations as a table' }).getByRole('row').nth(1).waitFor();
    await button(page, 'Refresh').click();
    await chosen.click();
    await page.waitForURL((url) => !url.searchParams.has('profile'));
    observed.assertClean();
    await context.close();
  });

  does('is found in the catalogue', async () => {
    const { context, page, observed } = await people.open('/artifacts', 'viewer');
    const catalogue = page.getByRole('region', { name: 'The catalogue' });
    const row = (name) => catalogue.getByRole('row').filter({ has: page.getByText(name, { exact: true }) });
    await row('hypervisor.img').waitFor();
    await page.getByRole('textbox', { name: 'Filter the catalogue' }).fill('hypervisor.img');
    await address(page, 'q', 'hypervisor.img');
    await count(catalogue.getByRole('row'), 2, 'the heading, and one file');
    await row('hypervisor.img').getByRole('button', { name: 'Copy SHA-256 of hypervisor.img', exact: true }).click();
    await page.getByRole('textbox', { name: 'Filter the catalogue' }).fill('nothing-like-this');
    await button(page, 'Show all files').click();
    await row('hypervisor.img').waitFor();
    await page.getByRole('group', { name: 'Filter by state' }).getByRole('button', { name: /^Needed \d+$/ }).click();
    await address(page, 'show', 'used');
    await button(page, 'Refresh').click();
    await row('hypervisor.img').waitFor();
    await assertAccessible(page, 'catalogue that is narrowed');
    observed.assertClean();
    await context.close();
  });

  does('is no longer there for who has left', async () => {
    const { context, page, observed } = await open(browser, system.url);
    await page.goto(await system.signInLink('leaves', system.url, 'viewer'));
    await rowOf(page, 'look-a').waitFor();
    await page.goto(`${system.url}/monitoring/settings`);
    await button(page.getByRole('main'), 'Sign out').click();
    await page.getByText('Sign in with a link').waitFor();
    await page.goto(`${system.url}/monitoring/overview`);
    await page.getByText('Sign in with a link').waitFor();
    assert.equal(await page.getByText('look-a').count(), 0);
    observed.assertClean([/status of 401/]);
    await context.close();
  });
});
