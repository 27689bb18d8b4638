// What a person does besides acting on one machine: orders one of their own with
// the keyboard alone, asks many at once, gives and takes access, keeps files,
// takes data along, and comes back to the very same view.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';

import { chord, count, countFilter, hasFocus, pill, rowOf } from './support/app.mjs';
import { assertAccessible, keep, launch, open, photograph } from './support/browser.mjs';
import { eventually, muchPatience } from './support/eventually.mjs';
import { ask, deployNodes, rackMachine, rackSpec } from './support/fleet.mjs';
import { run } from './support/process.mjs';
import { binary, startServer } from './support/slipway.mjs';

describe('a person who does more than watch', () => {
  let system;
  let browser;
  let api;
  let latest;
  const people = new Map();
  const machines = Object.fromEntries(['typed', 'many-1', 'many-2', 'many-3', 'many-4'].map((name, i) => [name, { name, number: i }]));
  before(async () => {
    system = await startServer({ pace: 'quick' });
    browser = await launch();
    api = await system.api('admin');
    for (const [name, { number }] of Object.entries(machines)) machines[name] = rackMachine(system, name, number);
    const many = Object.values(machines).filter(({ name }) => name.startsWith('many'));
    await ask(api, deployNodes, { batchName: 'many', nodes: many.map((machine) => ({ name: machine.name, spec: rackSpec(machine) })) });
  });
  after(async () => {
    await browser?.close();
    await system?.stop();
  });

  /** A page of somebody who is signed in once; everybody has a clipboard. */
  const person = async (path = '', role = 'admin') => {
    const opened = await open(browser, system.url, { permissions: ['clipboard-read', 'clipboard-write'], ...(people.has(role) ? { storageState: people.get(role) } : {}) });
    if (!people.has(role)) {
      await opened.page.goto(await system.signInLink(`${role}-of-deeds`, system.url, role));
      await pill(opened.page, 'Live').waitFor();
      people.set(role, await opened.context.storageState());
    }
    latest = opened.page;
    await opened.page.goto(`${system.url}/monitoring${path}`);
    await pill(opened.page, 'Live').waitFor();
    return opened;
  };
  /** A test that leaves a picture of what it failed on. */
  const deed = (name, body) =>
    it(name, async () => {
      try {
        await body();
      } catch (error) {
        await keep(latest, `wrong-${name.replaceAll(/\W+/g, '-').slice(0, 40)}`).catch(() => undefined);
        throw error;
      }
    });
  const dialog = (page, name) => page.getByRole('dialog', name === undefined ? {} : { name });
  const header = (page, word) => page.locator('main header').first().getByText(word, { exact: true });
  const is = (name, state) => eventually(`${name} is ${state}`, async () => assert.equal((await api.fleet()).get(name)?.state, state));
  const waitsForBoot = (name) =>
    eventually(`${name} waits for its boot`, async () => assert.equal((await api.fleet()).get(name)?.currentDeployment?.phase, 'MONITORING_START'), { timeout: muchPatience });
  const fail = async (machine) => {
    await waitsForBoot(machine.name);
    await machine.boot();
    await machine.fetchConfiguration();
    await machine.through('foundation_start');
    await machine.report('failed', 'failed', { message: 'no link on eno1', details: { code: 'NO_LINK' } });
  };
  /** What has the focus, as a person would name it. */
  const focused = (page) =>
    page.evaluate(() => {
      const { activeElement: at } = document;
      const words = at?.labels?.[0]?.querySelector('[id], strong, span')?.textContent ?? at?.labels?.[0]?.textContent ?? at?.getAttribute('aria-label') ?? at?.textContent ?? '';
      return words.trim();
    });
  /** Presses Tab until something of this name has the focus. */
  const tabTo = async (page, name) => {
    const reached = [];
    for (let i = 0; i < 60; i++) {
      await page.keyboard.press('Tab');
      const here = await focused(page);
      reached.push(here);
      if (here === name || (name instanceof RegExp && name.test(here))) return;
    }
    assert.fail(`Tab does not reach ${name}: ${reached.join(' | ')}`);
  };
  const type = async (page, label, text) => {
    await tabTo(page, label);
    await page.keyboard.type(text);
  };

  deed('orders a machine of their own with the keyboard alone, after it was checked', async () => {
    const { context, page, observed } = await person();
    const { typed } = machines;
    await chord(page, 'g', 'd');
    await page.getByRole('heading', { name: 'New deployment', exact: true }).waitFor();
    await page.evaluate(() => document.getElementById('main').focus());
    await tabTo(page, /^A bare metal server of IBM Cloud VPC/);
    await page.keyboard.press('ArrowDown');
    assert.match(await focused(page), /^A machine of your own/);
    await type(page, 'Name', 'typed');
    await type(page, 'MAC address', typed.mac);
    // The network's own address, which no machine can have.
    await type(page, 'Management IP', '127.64.0.0');
    await type(page, 'Netmask', '16');
    await type(page, 'Gateway', '127.64.0.1');
    await tabTo(page, 'Check');
    await page.keyboard.press('Enter');
    await page.getByText('It cannot be deployed like this.').waitFor();
    await eventually('the field says what is wrong', async () => assert.equal(await page.getByLabel('Management IP').getAttribute('aria-invalid'), 'true'));
    assert.ok(await page.getByRole('button', { name: 'Deploy', exact: true }).isDisabled());
    await photograph(page, 'deploy-rack-refused');

    await page.getByLabel('Management IP').focus();
    await page.keyboard.press('Control+a');
    await page.keyboard.type(typed.ip);
    await page.keyboard.press('Enter');
    await page.getByText(/Nothing stands in the way\.|It can be deployed, with \d+ warning/).waitFor();
    assert.ok(!(await api.fleet()).has('typed'), 'a check makes nothing');
    await photograph(page, 'deploy-rack-checked');
    await assertAccessible(page, 'form of a machine of one’s own');
    await tabTo(page, 'Deploy');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'typed', exact: true }).waitFor();
    await waitsForBoot('typed');
    await page.locator('main header').first().getByText("the machine's boot request").waitFor();
    const { bareMetalNode } = await api.query('{ bareMetalNode(by: {name: "typed"}) { provider managementIp macAddresses } }');
    assert.deepEqual(bareMetalNode, { provider: 'RACK', managementIp: typed.ip, macAddresses: [typed.mac.replaceAll('-', ':')] });
    observed.assertClean();
    await context.close();
  });

  deed('finds it by the palette and cancels it, with the keyboard alone', async () => {
    const { context, page, observed } = await person('/history');
    await page.keyboard.press('Control+k');
    await dialog(page, 'Go to').waitFor();
    await eventually('its field has the focus', async () => assert.equal(await focused(page), 'Node, page or action'));
    await page.keyboard.type('type');
    await dialog(page).getByRole('option', { name: /^(\S+ )?typed/ }).waitFor();
    await photograph(page, 'palette');
    await assertAccessible(page, 'palette');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'typed', exact: true }).waitFor();
    await page.getByRole('button', { name: 'Cancel…' }).waitFor();
    await page.evaluate(() => document.getElementById('main').focus());
    await tabTo(page, 'Cancel…');
    await page.keyboard.press('Enter');
    await dialog(page).waitFor();
    await hasFocus(dialog(page));
    for (let i = 0; i < 5 && !(await dialog(page).getByRole('radio', { name: 'When the phase ends' }).evaluate((radio) => radio === document.activeElement)); i++) await page.keyboard.press('Tab');
    await page.keyboard.press('ArrowDown');
    assert.ok(await dialog(page).getByRole('radio', { name: 'Now' }).isChecked());
    await page.keyboard.press('Tab');
    await page.keyboard.type('ordered by mistake');
    await page.keyboard.press('Enter');
    await dialog(page).waitFor({ state: 'detached' });
    await header(page, 'Canceled').waitFor();
    await page.getByText('canceled: ordered by mistake').first().waitFor();
    await is('typed', 'CANCELED');
    observed.assertClean();
    await context.close();
  });

  deed('asks many together: only of as many as was said, and sees what became of each', async () => {
    for (const name of ['many-1', 'many-2']) await fail(machines[name]);
    await waitsForBoot('many-4');
    const { context, page, observed } = await person('?q=many');
    for (const name of ['many-1', 'many-2', 'many-3', 'many-4']) await rowOf(page, name).waitFor();
    assert.equal(await rowOf(page, 'typed').count(), 0);
    await page.getByRole('checkbox', { name: 'Select all nodes that are shown' }).check();
    const bar = page.getByRole('group', { name: 'Selected deployments' });
    await bar.getByText('4 selected').waitFor();
    await photograph(page, 'fleet-selected');
    await assertAccessible(page, 'fleet with a selection');
    await bar.getByRole('button', { name: 'Retry…' }).click();
    await dialog(page).getByText('It is possible for 2 of 4 selected deployments.').waitFor();
    await dialog(page).getByText(/^2 .* left out\.$/).waitFor();
    await photograph(page, 'dialog-bulk');
    await assertAccessible(page, 'dialog of a bulk action');
    // Another one fails meanwhile: what is asked is no longer what was shown.
    await fail(machines['many-3']);
    await dialog(page).getByRole('button', { name: 'Retry 2', exact: true }).click();
    await dialog(page).getByRole('alert').getByText('VERSION_MISMATCH').waitFor();
    assert.equal((await api.query('{ bulkOperations(first: 5) { nodes { id } } }')).bulkOperations.nodes.length, 0, 'nothing was done');
    await dialog(page).getByRole('button', { name: 'Look again' }).click();
    await dialog(page).getByText('It is possible for 3 of 4 selected deployments.').waitFor();
    await dialog(page).getByRole('button', { name: 'Retry 3', exact: true }).click();
    await page.waitForURL(/\/bulk\/bulk_\d+$/);
    await page.getByRole('heading', { name: 'Retry 3 deployments' }).waitFor();
    const results = page.getByRole('region', { name: 'Results of the operation' });
    for (const name of ['many-1', 'many-2', 'many-3']) await results.getByRole('row', { name: new RegExp(name) }).getByText('Under way').waitFor();
    await photograph(page, 'bulk-running');
    await assertAccessible(page, 'bulk operation under way');
    for (const name of ['many-1', 'many-2', 'many-3']) await waitsForBoot(name);

    // All that match, and the other action.
    await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Fleet' }).click();
    await page.getByRole('textbox', { name: /^Filter by name/ }).fill('many');
    await page.waitForURL(/q=many/);
    await rowOf(page, 'typed').waitFor({ state: 'detached' });
    await page.getByRole('checkbox', { name: 'Select many-1' }).check();
    await bar.getByRole('button', { name: 'Select all 4 that match the filter' }).click();
    await bar.getByText('4 selected').waitFor();
    await bar.getByRole('button', { name: 'Cancel…' }).click();
    await dialog(page).getByText('It is possible for 4 of 4 selected deployments.').waitFor();
    await dialog(page).getByRole('radio', { name: 'Now' }).check();
    await dialog(page).getByLabel('Why (optional)').fill('moved to another rack');
    await dialog(page).getByRole('button', { name: 'Cancel 4', exact: true }).click();
    await page.getByRole('heading', { name: 'Cancel 4 deployments' }).waitFor();
    await header(page, 'Over').waitFor();
    await page.locator('main header').first().getByText('moved to another rack').waitFor();
    for (const name of ['many-1', 'many-4']) await is(name, 'CANCELED');
    await page.reload();
    await header(page, 'Over').waitFor();
    await count(results.getByText('Done', { exact: true }), 4, 'each is done');

    await page.getByRole('navigation', { name: 'Breadcrumb' }).getByRole('link', { name: 'Bulk operations' }).click();
    await page.getByRole('link', { name: 'Retry 3', exact: true }).click();
    await results.getByText('Failed', { exact: true }).first().waitFor();
    await header(page, 'Over, 3 problems').waitFor();
    observed.assertClean();
    await context.close();
  });

  deed('gives access to a program and takes it back', async () => {
    const { context, page, observed } = await person('/settings');
    await page.getByRole('button', { name: 'New token…' }).click();
    await eventually('the dialog has the focus', async () => assert.equal(await focused(page), 'Name'));
    await page.keyboard.type('ci-of-deeds');
    await dialog(page).getByRole('radio', { name: 'operator' }).check();
    await page.keyboard.press('Enter');
    await dialog(page, 'Token ci-of-deeds').waitFor();
    const secret = await dialog(page).getByTitle('The token').textContent();
    assert.match(secret, /^slw_/);
    await assertAccessible(page, 'dialog of a new token');
    const status = async () => (await fetch(`${system.url}/api/status/summary`, { headers: { authorization: `Bearer ${secret}` } })).status;
    assert.equal(await status(), 200);
    // Left by the way it warns once: nobody can show it again.
    await page.keyboard.press('Escape');
    await dialog(page).getByText('It cannot be shown again.').waitFor();
    await dialog(page).getByRole('button', { name: 'I have stored it' }).click();
    await dialog(page).waitFor({ state: 'detached' });
    assert.ok(!(await page.content()).includes(secret), 'it is nowhere on the page any more');
    const row = page.getByRole('row').filter({ hasText: 'ci-of-deeds' });
    await row.getByText('Active').waitFor();
    await row.getByRole('button', { name: /^Revoke/ }).click();
    await dialog(page).waitFor();
    await assertAccessible(page, 'dialog that revokes a token');
    await dialog(page).getByRole('button', { name: 'Revoke', exact: true }).click();
    await dialog(page).waitFor({ state: 'detached' });
    assert.equal(await status(), 401);
    await page.getByRole('button', { name: 'Show 1 ended' }).click();
    await row.getByText('Revoked').waitFor();
    observed.assertClean();
    await context.close();
  });

  deed('invites another person, and ends their session', async () => {
    const { context, page, observed } = await person('/settings');
    await page.getByRole('button', { name: 'Sign-in link…' }).click();
    await dialog(page).getByLabel('Who').fill('guest-of-deeds');
    await dialog(page).getByRole('button', { name: 'Make the link' }).click();
    const link = await dialog(page).getByTitle('The sign-in link').textContent();
    await dialog(page).getByRole('button', { name: 'I have stored it' }).click();
    const guest = await open(browser, system.url);
    await guest.page.goto(link);
    await rowOf(guest.page, 'many-1').waitFor();
    assert.equal(await guest.page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Deploy' }).count(), 0, 'a viewer, as was chosen');
    await page.reload();
    await page.getByRole('button', { name: 'End the session of guest-of-deeds' }).click();
    await dialog(page).getByRole('button', { name: 'End it' }).click();
    await dialog(page).waitFor({ state: 'detached' });
    await guest.page.getByText('Your session has ended').waitFor();
    assert.equal(await guest.page.getByText('many-1').count(), 0, 'nothing of the fleet is left');
    observed.assertClean();
    await guest.context.close();
    await context.close();
  });

  deed('puts a file into the catalogue, to the byte, and takes it out', async () => {
    const { context, page, observed } = await person('/artifacts');
    const bytes = randomBytes(300_000);
    const sum = createHash('sha256').update(bytes).digest('hex');
    const served = () => fetch(`${system.url}/boot/images/driver.img`);
    await page.getByRole('button', { name: 'Upload…' }).click();
    await dialog(page).getByLabel('File').setInputFiles({ name: 'driver.img', mimeType: 'application/octet-stream', buffer: bytes });
    await eventually('it is named as the file is', async () => assert.equal(await dialog(page).getByLabel('Name').inputValue(), 'driver.img'));
    await dialog(page).getByLabel('Version (for people)').fill('7');
    await dialog(page).getByLabel(/^SHA-256 that it must have/).fill('0'.repeat(64));
    await dialog(page).getByRole('button', { name: 'Upload', exact: true }).click();
    await dialog(page).getByRole('alert').getByText('It was not stored').waitFor();
    assert.equal((await served()).status, 404);
    await photograph(page, 'dialog-upload');
    await assertAccessible(page, 'dialog of an upload that was refused');
    await dialog(page).getByLabel(/^SHA-256 that it must have/).fill(sum);
    await dialog(page).getByRole('button', { name: 'Upload', exact: true }).click();
    await dialog(page, 'It is in the catalogue').getByText(sum).first().waitFor();
    await dialog(page).getByRole('button', { name: 'Close' }).last().click();
    const row = page.getByRole('row').filter({ hasText: 'driver.img' });
    await row.getByText('Ready').waitFor();
    assert.ok(bytes.equals(Buffer.from(await (await served()).arrayBuffer())), 'the bytes that were sent');
    await row.getByRole('button', { name: 'Remove driver.img' }).click();
    await dialog(page).getByLabel('Type driver.img to confirm').fill('driver.img');
    await page.keyboard.press('Enter');
    await dialog(page).waitFor({ state: 'detached' });
    await row.waitFor({ state: 'detached' });
    assert.equal((await served()).status, 404);
    // What a refused upload is answered with, the browser itself writes down.
    observed.assertClean([/status of 4\d\d/]);
    await context.close();
  });

  deed('takes exactly what is shown along as files', async () => {
    const { context, page, observed } = await person('?q=many-2');
    await rowOf(page, 'many-2').waitFor();
    await rowOf(page, 'many-1').waitFor({ state: 'detached' });
    const download = async (name) => {
      const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name, exact: true }).click()]);
      return (await readFile(await file.path(), 'utf8')).trimEnd().split(/\r?\n/);
    };
    const [head, ...lines] = await download('nodes as CSV');
    assert.deepEqual(head.split(',').slice(0, 2), ['id', 'name']);
    assert.deepEqual(lines.map((line) => line.split(',')[1]), ['many-2']);
    assert.deepEqual((await download('nodes as NDJSON')).map((line) => JSON.parse(line).node_name), ['many-2']);
    await page.goto(`${system.url}/monitoring/history?q=many-2&status=FAILED`);
    const list = page.getByRole('list', { name: 'Events, the newest first' });
    await list.getByText('no link on eno1').first().waitFor();
    const shown = await list.getByRole('listitem').count();
    const events = (await download('events as NDJSON')).map((line) => JSON.parse(line));
    assert.equal(events.length, shown);
    for (const event of events) assert.equal(event.status, 'failed');
    assert.equal((await download('events as CSV')).length, shown + 1);
    observed.assertClean();
    await context.close();
  });

  deed('copies what a page shows as commands, which give the same', async () => {
    const { context, page, observed } = await person('?q=many-2');
    const env = { SLIPWAY_SERVER: system.url, SLIPWAY_TOKEN: api.token };
    const copied = async (label) => {
      await page.getByRole('button', { name: 'Copy as…' }).click();
      const box = page.getByRole('dialog', { name: 'Copy as…' });
      const text = await box.getByTitle(label).textContent();
      await box.getByTitle(label).locator('..').getByRole('button', { name: 'Copy' }).click();
      await eventually('it is copied', async () => assert.equal(await page.evaluate(() => navigator.clipboard.readText()), text));
      await page.keyboard.press('Escape');
      await box.waitFor({ state: 'detached' });
      return text;
    };
    await rowOf(page, 'many-2').waitFor();
    const shell = (command) => run('bash', ['-c', command], { env });
    const curl = await copied('Call by curl');
    assert.doesNotMatch(curl, /slw_/, 'the token is not copied');
    assert.deepEqual((await shell(curl)).trimEnd().split('\n').map((line) => JSON.parse(line).node_name), ['many-2']);
    const { bareMetalNodes } = await api.query(await copied('Document of GraphQL'));
    assert.deepEqual(bareMetalNodes.nodes.map(({ name }) => name), ['many-2']);
    const cli = await shell((await copied('Command of slipway')).replace(/^slipway /, `${binary()} `));
    assert.match(cli, /many-2/);
    assert.doesNotMatch(cli, /many-1/);
    await rowOf(page, 'many-2').getByRole('link', { name: 'many-2' }).click();
    await page.getByRole('heading', { name: 'many-2', exact: true }).waitFor();
    const one = JSON.parse(await shell(await copied('Call by curl')));
    assert.equal(JSON.stringify(one).includes('many-2'), true);
    observed.assertClean();
    await context.close();
  });

  deed('comes back to the same view: after a reload, and by the way back', async () => {
    const { context, page, observed } = await person();
    await rowOf(page, 'many-1').waitFor();
    await countFilter(page, 'Canceled').click();
    await page.getByRole('textbox', { name: /^Filter by name/ }).fill('many');
    const sorted = (how) => page.locator(`[role="columnheader"][data-column="name"][aria-sort="${how}"]`);
    await page.getByRole('columnheader', { name: 'Name' }).getByRole('button').click();
    await sorted('ascending').waitFor();
    await page.getByRole('columnheader', { name: 'Name' }).getByRole('button').click();
    await sorted('descending').waitFor();
    await page.getByRole('button', { name: 'Columns' }).click();
    const choice = page.getByRole('dialog', { name: 'Columns' });
    for (const [column, shown] of [['Provider', true], ['IP address', false]]) {
      await choice.getByLabel(column).click();
      await eventually(`${column} is ${shown ? 'chosen' : 'left out'}`, async () => assert.equal(await choice.getByLabel(column).isChecked(), shown));
    }
    await page.keyboard.press('Escape');
    await choice.waitFor({ state: 'detached' });
    const view = () =>
      page.getByRole('table', { name: 'Nodes' }).evaluate((table) => ({
        columns: [...table.querySelectorAll('[role=columnheader][data-column]')].map((cell) => cell.dataset.column),
        names: [...table.querySelectorAll('[data-index]')].toSorted((a, b) => a.dataset.index - b.dataset.index).map((row) => row.querySelector('a').textContent),
      }));
    const same = { columns: ['state', 'name', 'profile', 'phase', 'progress', 'eta', 'provider', 'seen'], names: ['many-4', 'many-3', 'many-2', 'many-1'] };
    await eventually('it is filtered, sorted, and has these columns', async () => assert.deepEqual(await view(), same));
    const address = page.url();
    await page.reload();
    await eventually('a reload shows the same', async () => assert.deepEqual(await view(), same));
    assert.equal(page.url(), address);

    // A link to one event is a view as well.
    await page.goto(`${system.url}/monitoring/history?q=many-3`);
    const list = page.getByRole('list', { name: 'Events, the newest first' });
    const failed = list.getByRole('listitem').filter({ hasText: 'no link on eno1' }).first();
    await failed.getByRole('link', { name: /^link to event/ }).click();
    await page.waitForURL(/event=evt_\d+/);
    const selected = page.locator('li[aria-current="true"]');
    await selected.getByText('no link on eno1').first().waitFor();
    await page.reload();
    await selected.getByText('no link on eno1').first().waitFor();
    await photograph(page, 'history-selected');
    await assertAccessible(page, 'history with a selected event');
    await selected.getByRole('link', { name: 'many-3', exact: true }).click();
    await page.getByRole('heading', { name: 'many-3', exact: true }).waitFor();
    await page.goBack();
    await selected.getByText('no link on eno1').first().waitFor();
    await page.goBack();
    await page.waitForURL((url) => !url.search.includes('event='));
    await count(selected, 0, 'nothing is selected');
    await page.goBack();
    await eventually('the way back leads to the same table', async () => assert.deepEqual(await view(), same));
    observed.assertClean();
    await context.close();
  });

  deed('keeps theme and times, and finds every shortcut', async () => {
    const { context, page, observed } = await person('/settings');
    const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await background();
    const main = page.getByRole('main');
    await main.getByRole('radiogroup', { name: 'Theme' }).getByText('Dark', { exact: true }).click();
    await main.getByRole('radiogroup', { name: 'Times' }).getByText('UTC', { exact: true }).click();
    await eventually('it is dark', async () => assert.notEqual(await background(), light));
    const dark = await background();
    await main.locator('time').filter({ hasText: /^(\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\dZ$/ }).first().waitFor();
    await page.reload();
    await main.locator('time').filter({ hasText: /^(\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\dZ$/ }).first().waitFor();
    assert.equal(await background(), dark);
    // Another key, another mode; after a reload it still is.
    await page.keyboard.press('t');
    await main.locator('time').filter({ hasNotText: /Z$/ }).first().waitFor();
    await page.keyboard.press('?');
    const shortcuts = dialog(page, 'Keyboard shortcuts');
    await shortcuts.waitFor();
    await photograph(page, 'shortcuts');
    // Each pair of the list that leads somewhere does.
    const pairs = await shortcuts.evaluate((element) => [...element.querySelectorAll('dd')].map((keys) => [...keys.children].map((key) => key.textContent)).filter((keys) => keys.length === 2 && keys[0] === 'g'));
    assert.ok(pairs.length >= 6);
    await page.keyboard.press('Escape');
    await shortcuts.waitFor({ state: 'detached' });
    const places = new Set();
    for (const [first, second] of pairs) {
      const before = page.url();
      await chord(page, first, second);
      await page.waitForURL((url) => url.href !== before);
      await page.getByRole('main').getByRole('heading', { level: 1 }).waitFor();
      places.add(new URL(page.url()).pathname);
    }
    assert.equal(places.size, pairs.length, [...places].join(', '));
    observed.assertClean();
    await context.close();
  });
});
