// The fleet's table as somebody works with it: rows are selected by the mouse
// and by the keyboard, stay selected and in their places while machines go on,
// and what is selected is held, canceled, released, installed anew. And an
// event that is not in the list, by its link.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { count, rowOf } from './support/app.mjs';
import { assertAccessible, launch, photograph } from './support/browser.mjs';
import { eventually } from './support/eventually.mjs';
import { ask, deployNodes, rackMachine, rackSpec } from './support/fleet.mjs';
import { People } from './support/people.mjs';
import { startServer } from './support/slipway.mjs';

const names = ['pick-1', 'pick-2', 'pick-3', 'pick-4', 'pick-5', 'pick-6', 'pick-7', 'pick-8'];

describe('rows of the fleet', () => {
  let system;
  let browser;
  let api;
  let people;
  const machines = {};
  const order = (list) => ask(api, deployNodes, { nodes: list.map((name) => ({ name, spec: rackSpec(machines[name]) })) });
  const stateOf = async (name) => (await api.fleet()).get(name)?.state;
  const waitsForBoot = (name) =>
    eventually(`${name} waits for its boot`, async () => assert.equal((await api.fleet()).get(name)?.currentDeployment?.phase, 'MONITORING_START'));
  before(async () => {
    system = await startServer({ pace: 'quick' });
    browser = await launch();
    people = new People(browser, system);
    api = await system.api('operator');
    [...names, 'pick-9'].forEach((name, i) => (machines[name] = rackMachine(system, name, i)));
    await order(names);
    for (const name of names) await waitsForBoot(name);
  });
  after(async () => {
    await browser?.close();
    await system?.stop();
  });

  const does = (name, body) => it(name, () => people.leavingPicture(name, body));
  const table = (page) => page.getByRole('table', { name: 'Nodes' });
  const box = (page, name) => table(page).getByRole('checkbox', { name: `Select ${name}`, exact: true });
  const bar = (page) => page.getByRole('group', { name: 'Selected deployments' });
  const dialog = (page) => page.getByRole('dialog');
  const header = (page, word) => page.locator('main header').first().getByText(word, { exact: true });
  /** The rows in their order, with what is selected of them. */
  const rows = (page) =>
    table(page).evaluate((element) =>
      [...element.querySelectorAll('[data-index]')].toSorted((a, b) => a.dataset.index - b.dataset.index).map((row) => ({ name: row.querySelector('a').textContent, picked: row.dataset.picked === 'true' && row.querySelector('input').checked })),
    );
  const shown = async (page) => (await rows(page)).map(({ name }) => name);
  const isPicked = (page, expected) =>
    eventually(`selected are ${expected.join(', ') || 'none'}`, async () => {
      assert.deepEqual((await rows(page)).filter(({ picked }) => picked).map(({ name }) => name), expected);
      if (expected.length > 0) assert.ok(await bar(page).getByText(`${expected.length} selected`, { exact: true }).isVisible());
      else assert.equal(await bar(page).count(), 0);
    });
  const all = (page) => table(page).getByRole('checkbox', { name: 'Select all nodes that are shown' });
  const isIndeterminate = (page, expected) => eventually(`the box of all is ${expected ? 'half' : 'whole'}`, async () => assert.equal(await all(page).evaluate((each) => each.indeterminate), expected));
  /** A key that may be pressed more than once: the page listens a moment after it is seen. */
  const pressUntil = (page, key, probe) =>
    eventually(`${key} is heard`, async () => {
      await page.keyboard.press(key);
      await probe();
    });
  const fleetPage = async (search, role) => {
    const opened = await people.open(search, role);
    await rowOf(opened.page, 'pick-1').waitFor();
    return opened;
  };
  const fail = async (name) => {
    await machines[name].boot();
    await machines[name].fetchConfiguration();
    await machines[name].through('foundation_start');
    await machines[name].report('failed', 'failed', { message: 'no link on eno1', details: { code: 'NO_LINK' } });
  };
  /** Chooses what the bar offers, and waits for what the server says of it. */
  const askOf = async (page, action, possible) => {
    await bar(page).getByRole('button', { name: `${action}…`, exact: true }).click();
    await dialog(page).getByText(possible).waitFor();
  };

  does('are selected with the mouse, one and up to another; they stay so while machines go on', async () => {
    const { context, page, observed } = await fleetPage('?sort=name&q=pick');
    await eventually('all are there', async () => assert.deepEqual(await shown(page), names));
    await isPicked(page, []);
    await box(page, 'pick-2').click();
    await isPicked(page, ['pick-2']);
    await box(page, 'pick-5').click({ modifiers: ['Shift'] });
    await isPicked(page, ['pick-2', 'pick-3', 'pick-4', 'pick-5']);
    await isIndeterminate(page, true);
    await box(page, 'pick-3').click();
    await isPicked(page, ['pick-2', 'pick-4', 'pick-5']);
    await box(page, 'pick-8').click();
    await box(page, 'pick-6').click({ modifiers: ['Shift'] });
    await isPicked(page, ['pick-2', 'pick-4', 'pick-5', 'pick-6', 'pick-7', 'pick-8']);
    await box(page, 'pick-6').click();
    await box(page, 'pick-8').click({ modifiers: ['Shift'] });
    await isPicked(page, ['pick-2', 'pick-4', 'pick-5']);

    // One of them fails meanwhile: it is shown, and nothing is let go.
    await fail('pick-4');
    await rowOf(page, 'pick-4').getByText('Failed', { exact: true }).waitFor();
    await isPicked(page, ['pick-2', 'pick-4', 'pick-5']);
    assert.deepEqual(await shown(page), names);
    await photograph(page, 'fleet-picked');

    // What a dialog is closed with lets go of nothing else.
    await askOf(page, 'Retry', 'It is possible for 1 of 3 selected deployments.');
    await page.keyboard.press('Escape');
    await dialog(page).waitFor({ state: 'detached' });
    await isPicked(page, ['pick-2', 'pick-4', 'pick-5']);
    await page.keyboard.press('Escape');
    await isPicked(page, []);

    await all(page).click();
    await isPicked(page, names);
    await isIndeterminate(page, false);
    await bar(page).getByRole('button', { name: 'Clear', exact: true }).click();
    await isPicked(page, []);
    observed.assertClean();
    await context.close();
  });

  does('are selected with the keyboard alone', async () => {
    const { context, page, observed } = await fleetPage('?sort=name&q=pick');
    await eventually('all are there', async () => assert.deepEqual(await shown(page), names));
    const at = (name) => eventually(`the focus is on ${name}`, async () => assert.equal(await page.evaluate(() => document.activeElement?.textContent), name));
    await pressUntil(page, 'a', () => bar(page).getByText(`${names.length} selected`, { exact: true }).waitFor({ timeout: 1000 }));
    await isPicked(page, names);
    await page.keyboard.press('Escape');
    await isPicked(page, []);
    for (const name of ['pick-1', 'pick-2']) {
      await page.keyboard.press('j');
      await at(name);
    }
    await page.keyboard.press('x');
    await isPicked(page, ['pick-2']);
    for (const name of ['pick-3', 'pick-4']) {
      await page.keyboard.press('j');
      await at(name);
    }
    await page.keyboard.press('Shift+X');
    await isPicked(page, ['pick-2', 'pick-3', 'pick-4']);
    await page.keyboard.press('k');
    await at('pick-3');
    await page.keyboard.press('x');
    await isPicked(page, ['pick-2', 'pick-4']);
    await page.keyboard.press('Escape');
    await isPicked(page, []);
    await at('pick-3');
    // A space ticks a box that has the focus, as everywhere.
    await box(page, 'pick-7').focus();
    await page.keyboard.press('Space');
    await isPicked(page, ['pick-7']);
    observed.assertClean();
    await context.close();
  });

  does('do not move under what is selected, until somebody says so', async () => {
    const { context, page, observed } = await fleetPage('?q=pick');
    await eventually('all are there', async () => assert.equal((await shown(page)).length, names.length));
    await box(page, 'pick-7').click();
    const before = await shown(page);
    // What failed first; and then what is on its way.
    assert.equal(before[0], 'pick-4');
    await fail('pick-8');
    await rowOf(page, 'pick-8').getByText('Failed', { exact: true }).waitFor();
    const apply = page.getByRole('button', { name: /^\d+ rows would move · apply$/ });
    await apply.waitFor();
    assert.deepEqual(await shown(page), before);
    await isPicked(page, ['pick-7']);
    await photograph(page, 'fleet-would-move');
    await assertAccessible(page, 'fleet whose rows would move');
    await apply.click();
    await eventually('what failed is on top', async () => assert.deepEqual((await shown(page)).slice(0, 2).toSorted(), ['pick-4', 'pick-8']));
    await isPicked(page, ['pick-7']);
    await apply.waitFor({ state: 'detached' });
    observed.assertClean();
    await context.close();
  });

  does('are selected by what the filter says: whatever matches when it is asked for', async () => {
    const { context, page, observed } = await fleetPage('?sort=name&q=pick');
    await box(page, 'pick-1').click();
    await bar(page).getByRole('button', { name: `Select all ${names.length} that match the filter`, exact: true }).click();
    await bar(page).getByText('whatever matches the filter when asked', { exact: true }).waitFor();
    await isPicked(page, names);
    // One more is ordered: it counts by itself.
    await order(['pick-9']);
    await bar(page).getByText(`${names.length + 1} selected`, { exact: true }).waitFor();
    await waitsForBoot('pick-9');
    await askOf(page, 'Cancel', `It is possible for 7 of ${names.length + 1} selected deployments.`);
    await dialog(page).getByRole('button', { name: 'Leave it' }).click();
    await dialog(page).waitFor({ state: 'detached' });
    // One row by itself is let go: from here on these rows are meant.
    await box(page, 'pick-3').click();
    await isPicked(page, names.filter((name) => name !== 'pick-3'));
    // Another question is about other rows.
    await page.getByRole('textbox', { name: /^Filter by name/ }).fill('pick-9');
    await eventually('it is alone', async () => assert.deepEqual(await shown(page), ['pick-9']));
    await isPicked(page, []);
    observed.assertClean();
    await context.close();
  });

  does('are held by somebody, canceled and released together', async () => {
    const { context, page, observed } = await fleetPage('?sort=name&q=pick');
    // Held on its own page.
    await rowOf(page, 'pick-6').getByRole('link', { name: 'pick-6', exact: true }).click();
    await page.getByRole('heading', { name: 'pick-6', exact: true }).waitFor();
    await page.getByRole('group', { name: 'Actions' }).getByRole('button', { name: 'Protect…', exact: true }).click();
    await dialog(page).getByLabel(/^Why/).fill('the reference of row 7');
    await photograph(page, 'dialog-protect');
    await assertAccessible(page, 'dialog that protects a node');
    await dialog(page).getByRole('button', { name: 'Protect the node', exact: true }).click();
    await dialog(page).waitFor({ state: 'detached' });
    await page.getByText('Protected: the reference of row 7', { exact: true }).waitFor();
    const { bareMetalNode } = await api.query('{ bareMetalNode(by: {name: "pick-6"}) { protected protectNote } }');
    assert.deepEqual(bareMetalNode, { protected: true, protectNote: 'the reference of row 7' });
    await page.goBack();

    await box(page, 'pick-5').click();
    await box(page, 'pick-7').click({ modifiers: ['Shift'] });
    await isPicked(page, ['pick-5', 'pick-6', 'pick-7']);
    await askOf(page, 'Cancel', 'It is possible for 3 of 3 selected deployments.');
    await dialog(page).getByRole('radio', { name: 'Now' }).check();
    await dialog(page).getByLabel('Why (optional)').fill('the rack moves');
    await dialog(page).getByRole('button', { name: 'Cancel 3', exact: true }).click();
    await page.getByRole('heading', { name: 'Cancel 3 deployments' }).waitFor();
    await header(page, 'Over').waitFor();
    for (const name of ['pick-5', 'pick-6', 'pick-7']) assert.equal(await stateOf(name), 'CANCELED', name);
    assert.equal(await stateOf('pick-8'), 'FAILED', 'and no other one');

    // What is held is left out, and it is said why.
    await page.goto(`${system.url}/monitoring?sort=name&q=pick&show=canceled`);
    await eventually('the canceled ones', async () => assert.deepEqual(await shown(page), ['pick-5', 'pick-6', 'pick-7']));
    await box(page, 'pick-5').click();
    await box(page, 'pick-6').click();
    await isPicked(page, ['pick-5', 'pick-6']);
    await askOf(page, 'Clean up', 'It is possible for 1 of 2 selected deployments.');
    await dialog(page).getByText('1 is on a protected node and is left out.', { exact: true }).waitFor();
    const confirm = dialog(page).getByRole('button', { name: 'Clean up 1', exact: true });
    assert.ok(await confirm.isDisabled(), 'nothing was typed yet');
    await photograph(page, 'dialog-bulk-cleanup');
    await assertAccessible(page, 'dialog of a cleanup of many');
    await dialog(page).getByLabel('Type clean up 1 to confirm').fill('clean up 1');
    await confirm.click();
    await page.getByRole('heading', { name: 'Clean up 1 deployment', exact: true }).waitFor();
    await header(page, 'Over').waitFor();
    assert.deepEqual([await stateOf('pick-5'), await stateOf('pick-6')], ['CLEANED_UP', 'CANCELED']);
    observed.assertClean();
    await context.close();
  });

  does('are asked one after the other, and somebody ends that', async () => {
    const { context, page, observed } = await people.open('?sort=name&q=pick&show=failed');
    await eventually('the failed ones', async () => assert.deepEqual(await shown(page), ['pick-4', 'pick-8']));
    await all(page).click();
    await askOf(page, 'Retry', 'It is possible for 2 of 2 selected deployments.');
    await dialog(page).getByLabel('At the same time').fill('none');
    const retry = dialog(page).getByRole('button', { name: 'Retry 2', exact: true });
    await eventually('no number, no retry', async () => assert.ok(await retry.isDisabled()));
    await dialog(page).getByLabel('At the same time').fill('1');
    await retry.click();
    await page.getByRole('heading', { name: 'Retry 2 deployments' }).waitFor();
    const results = page.getByRole('region', { name: 'Results of the operation' });
    const result = (name) => results.getByRole('row').filter({ has: page.getByRole('link', { name: new RegExp(`^${name} #`) }) });
    await result('pick-4').getByText('Under way', { exact: true }).waitFor();
    await result('pick-8').getByText('Waiting', { exact: true }).waitFor();
    await page.getByRole('button', { name: 'End it…' }).click();
    await dialog(page).getByText('No further deployment has its turn: 1 waiting one will be skipped.').waitFor();
    await photograph(page, 'dialog-bulk-end');
    await assertAccessible(page, 'dialog that ends a bulk operation');
    await dialog(page).getByRole('button', { name: 'End it', exact: true }).click();
    await dialog(page).waitFor({ state: 'detached' });
    await result('pick-8').getByText('Skipped', { exact: true }).waitFor();
    await header(page, 'Ending').waitFor();
    assert.equal(await stateOf('pick-8'), 'FAILED');
    await waitsForBoot('pick-4');
    await fail('pick-4');
    await header(page, 'Ended early').waitFor();
    await result('pick-4').getByText('Failed', { exact: true }).waitFor();
    await count(page.getByRole('button', { name: 'End it…' }), 0);

    // Only some of the results.
    await page.getByRole('group', { name: 'Filter by result' }).getByRole('button', { name: 'Skipped 1' }).click();
    await page.waitForURL(/show=/);
    await result('pick-4').waitFor({ state: 'detached' });
    await result('pick-8').waitFor();
    await page.reload();
    await result('pick-8').waitFor();
    assert.equal(await result('pick-4').count(), 0);
    await photograph(page, 'bulk-ended-early');
    await assertAccessible(page, 'bulk operation that was ended');
    observed.assertClean();
    await context.close();
  });

  does('are installed anew', async () => {
    const { context, page, observed } = await people.open('?q=pick-7');
    await box(page, 'pick-7').click();
    await askOf(page, 'Reinitialize', 'It is possible for 1 of 1 selected deployment.');
    await dialog(page).getByLabel('Type reinitialize 1 to confirm').fill('reinitialize 1');
    await dialog(page).getByRole('button', { name: 'Reinitialize 1', exact: true }).click();
    await page.getByRole('heading', { name: 'Reinitialize 1 deployment', exact: true }).waitFor();
    await page.getByRole('region', { name: 'Results of the operation' }).getByRole('link', { name: 'pick-7 #2', exact: true }).click();
    await page.getByRole('heading', { name: /^pick-7/ }).waitFor();
    await waitsForBoot('pick-7');
    const { bareMetalNode } = await api.query('{ bareMetalNode(by: {name: "pick-7"}) { currentDeployment { number } } }');
    assert.equal(bareMetalNode.currentDeployment.number, 2);
    observed.assertClean();
    await context.close();
  });

  does('have events: one that is not in the list is shown by its link', async () => {
    const { recentEvents } = await api.query('{ recentEvents(first: 100) { nodes { id message status bareMetalNode { name } } } }');
    const event = recentEvents.nodes.find(({ message, bareMetalNode }) => message.includes('no link on eno1') && bareMetalNode.name === 'pick-8');
    assert.ok(event, 'pick-8 has failed');
    // The list is of another machine.
    const { context, page, observed } = await people.open(`/history?q=pick-1&event=${event.id}`, 'viewer');
    const chosen = page.getByRole('list', { name: 'The selected event' });
    const list = page.getByRole('list', { name: 'Events, the newest first' });
    await chosen.getByText('no link on eno1').first().waitFor();
    await list.getByRole('listitem').first().waitFor();
    assert.equal(await list.getByText('no link on eno1').count(), 0);
    await photograph(page, 'history-selected-elsewhere');
    await assertAccessible(page, 'history with an event that is not in the list');
    await page.reload();
    await chosen.getByText('no link on eno1').first().waitFor();
    await page.getByRole('button', { name: 'Select none' }).click();
    await chosen.waitFor({ state: 'detached' });
    assert.equal(new URL(page.url()).searchParams.get('event'), null);
    await page.goBack();
    await chosen.getByText('no link on eno1').first().waitFor();
    await page.goForward();
    await chosen.waitFor({ state: 'detached' });
    await page.goBack();
    await chosen.getByRole('link', { name: 'pick-8', exact: true }).click();
    await page.getByRole('heading', { name: 'pick-8', exact: true }).waitFor();
    // And one that never was.
    await page.goto(`${system.url}/monitoring/history?event=evt_987654321`);
    await page.getByText('There is no such event', { exact: true }).waitFor();
    await assertAccessible(page, 'history with an event that is not there');
    observed.assertClean();
    await context.close();
  });
});
