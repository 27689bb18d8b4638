// Machines that come into care: a server that exists is looked at and adopted,
// several are ordered by number as one batch, of another batch only a part is
// taken; the way to a console; and what takes longer than all before it is late.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { count, countFilter, rowOf } from './support/app.mjs';
import { assertAccessible, keep, launch, photograph } from './support/browser.mjs';
import { Cloud } from './support/cloud.mjs';
import { eventually, muchPatience } from './support/eventually.mjs';
import { ask, deployNodes, rackMachine, rackSpec } from './support/fleet.mjs';
import { People } from './support/people.mjs';
import { startServer } from './support/slipway.mjs';

const profile = 'bx2d-metal-96x384';
const batch = ['metal-01', 'metal-02', 'metal-03', 'metal-04', 'metal-05'];

describe('machines that come into care', () => {
  let system;
  let browser;
  let api;
  let cloud;
  let people;
  before(async () => {
    system = await startServer({ pace: 'quick' });
    browser = await launch();
    people = new People(browser, system);
    api = await system.api('operator');
    cloud = new Cloud(system.cloud);
    await cloud.fault({ match: '*late-1*', fault: 'hang_in_installer' });
  });
  after(async () => {
    await browser?.close();
    await system?.stop();
  });

  const does = (name, body) => it(name, () => people.leavingPicture(name, body));
  const header = (page, word) => page.locator('main header').first().getByText(word, { exact: true });
  const dialog = (page) => page.getByRole('dialog');
  const button = (page, name) => page.getByRole('button', { name, exact: true });
  const node = async (name) => (await api.query(`query ($name: String!) { bareMetalNode(by: {name: $name}) { id state protected late managementIp resources { kind cloudId } currentDeployment { id batch { id } } } }`, { name })).bareMetalNode;
  const serverOf = ({ resources }) => resources.find(({ kind }) => kind === 'server')?.cloudId;
  const acceptable = /^(Nothing stands in the way\.|It can be deployed, with \d+ warnings?\.)/;

  does('one that exists is looked at, and adopted as it was found', async () => {
    const old = await cloud.makeServer('old-server', profile);
    const { context, page, observed } = await people.open('/deploy', 'admin');
    await button(page, 'Adopt a server that exists…').click();
    await page.getByRole('heading', { name: 'Adopt a server', exact: true }).waitFor();
    await page.waitForURL(/on=adopt/);
    const adopt = button(page, 'Adopt it');
    assert.ok(await adopt.isDisabled(), 'nothing was looked at yet');

    await page.getByLabel('Server', { exact: true }).fill('no-such-server');
    await page.getByLabel('Name of the node', { exact: true }).fill('old-1');
    await button(page, 'Look at it').click();
    await page.getByRole('alert').getByText('there is no bare metal server "no-such-server"').waitFor();
    assert.ok(await adopt.isDisabled());
    await photograph(page, 'adopt-unknown');
    await assertAccessible(page, 'adoption of a server that is not there');

    await page.getByLabel('Server', { exact: true }).fill('old-server');
    await page.getByLabel('Labels', { exact: true }).fill('row=7');
    await button(page, 'Look at it').click();
    const found = page.getByRole('region', { name: 'What was found', exact: true });
    for (const fact of [old.id, profile, old.primary_network_interface.primary_ip.address]) await found.getByText(fact, { exact: true }).waitFor();
    assert.equal(await node('old-1'), null, 'a look changes nothing');
    await photograph(page, 'adopt-found');
    await assertAccessible(page, 'adoption of a server that was found');

    // What was looked at is what is adopted: another form is another look.
    await page.getByLabel('Labels', { exact: true }).fill('row=8');
    await page.getByText('The form has changed since: look again.').waitFor();
    assert.ok(await adopt.isDisabled());
    await button(page, 'Look at it').click();
    await page.getByText('The form has changed since: look again.').waitFor({ state: 'detached' });
    await adopt.click();
    await page.getByRole('heading', { name: 'old-1', exact: true }).waitFor();
    await header(page, 'Deployed').waitFor();
    const taken = await node('old-1');
    assert.deepEqual([taken.state, serverOf(taken), taken.protected], ['SUCCEEDED', old.id, true]);
    assert.equal(taken.managementIp, old.primary_network_interface.primary_ip.address);
    await eventually('what is protected is not destroyed', async () => assert.deepEqual(await page.getByRole('group', { name: 'Actions' }).getByRole('button').allTextContents(), ['Unprotect…']));
    await page.getByText('Adopted, not installed', { exact: true }).waitFor();
    await photograph(page, 'node-adopted');
    await assertAccessible(page, 'node that was adopted');
    observed.assertClean();
    await context.close();

    const other = await people.open('/deploy?on=adopt', 'operator');
    await other.page.getByText('You need the admin role to adopt servers', { exact: true }).waitFor();
    assert.equal(await other.page.getByRole('button', { name: /^Adopt/ }).count(), 0);
    other.observed.assertClean();
    await other.context.close();
  });

  does('several are ordered by number, as one batch', async () => {
    const { context, page, observed } = await people.open('/deploy');
    const check = button(page, 'Check');
    const order = page.getByRole('button', { name: /^Deploy( \d+)?$/ });
    const field = (label) => page.getByLabel(label, { exact: true });
    await field('Profile').locator(`option[value="${profile}"]`).waitFor({ state: 'attached' });
    await field('Profile').selectOption(profile);
    await field('Name').fill('old-#');
    await page.getByText('old-1 … old-2', { exact: true }).waitFor();
    // One of these is taken: it is said which.
    await check.click();
    await page.getByText('It cannot be deployed like this.').waitFor();
    await page.getByRole('list', { name: 'Checks' }).getByRole('listitem').filter({ hasText: 'Failed' }).filter({ hasText: 'old-1' }).first().waitFor();
    assert.ok(await button(page, 'Deploy 2').isDisabled());

    // What only this page knows is said at the field.
    await field('Name').fill('metal-#-##');
    await page.getByText('The number can stand in one place only.').waitFor();
    assert.ok(await order.isDisabled());
    await field('Name').fill('metal-##');
    await field('How many').fill('51');
    await page.getByText('A number from 1 to 50.', { exact: true }).waitFor();
    assert.ok(await order.isDisabled());
    await field('How many').fill(String(batch.length));
    await page.getByText('metal-01 … metal-05', { exact: true }).waitFor();
    await field('At the same time').fill('4');
    await field('Stop after failures').fill('2');
    await button(page, 'Add a VLAN').click();
    const vlan = page.getByRole('group', { name: 'VLAN attachment 1' });
    await vlan.getByLabel('VLAN', { exact: true }).fill('4095');
    await vlan.getByText('A VLAN from 1 to 4094.').waitFor();
    assert.ok(await order.isDisabled());
    await button(page, 'Remove VLAN attachment 1').click();
    await vlan.waitFor({ state: 'detached' });

    // The form is still there after a reload.
    await page.reload();
    await page.getByText('metal-01 … metal-05', { exact: true }).waitFor();
    assert.equal(await field('Profile').inputValue(), profile);
    await check.click();
    await page.getByText(acceptable).waitFor();
    for (const name of batch) assert.equal(await node(name), null, 'a check makes nothing');
    await photograph(page, 'deploy-many-checked');
    await assertAccessible(page, 'form of several machines');
    await button(page, `Deploy ${batch.length}`).click();

    await page.getByRole('heading', { name: 'metal-##', exact: true }).waitFor();
    await page.waitForURL(/\/batches\/bat_\d+$/);
    const results = page.getByRole('region', { name: 'Results of the batch' });
    const of = (name) => results.getByRole('row').filter({ has: page.getByRole('link', { name: `${name} #1`, exact: true }) });
    for (const name of batch) await of(name).waitFor();
    await photograph(page, 'batch-under-way');
    await assertAccessible(page, 'batch that is under way');
    const id = new URL(page.url()).pathname.split('/').at(-1);
    const { made } = await api.query('query ($id: ID!) { made: deploymentBatch(id: $id) { name total } }', { id });
    assert.deepEqual(made, { name: 'metal-##', total: batch.length });

    await header(page, 'Over').waitFor({ timeout: muchPatience });
    for (const name of batch) {
      await of(name).getByText('Deployed', { exact: true }).first().waitFor();
      const { state, currentDeployment } = await node(name);
      assert.deepEqual([state, currentDeployment.batch.id], ['SUCCEEDED', id], name);
    }
    await page.getByRole('group', { name: 'Filter by state' }).getByRole('button', { name: `Deployed ${batch.length}`, exact: true }).click();
    await page.waitForURL(/show=succeeded/);
    await page.reload();
    await of('metal-05').waitFor();
    // What was ordered is no longer in the form.
    await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Deploy' }).click();
    await page.getByRole('heading', { name: 'New deployment', exact: true }).waitFor();
    assert.equal(await field('Name').inputValue(), '');
    observed.assertClean();
    await context.close();
  });

  does('of some only a part is taken: the rest is named, and the form is kept', async () => {
    const { context, page, observed } = await people.open('/deploy');
    const field = (label) => page.getByLabel(label, { exact: true });
    await field('Name').fill('late-#');
    await field('Profile').locator(`option[value="${profile}"]`).waitFor({ state: 'attached' });
    await field('Profile').selectOption(profile);
    await button(page, 'Check').click();
    await page.getByText(acceptable).waitFor();
    // Somebody else takes one of the names meanwhile.
    await ask(api, deployNodes, { nodes: [{ name: 'late-2', spec: rackSpec(rackMachine(system, 'late-2', 1)) }] });
    await button(page, 'Deploy 2').click();
    await page.getByRole('status').filter({ hasText: '1 of 2 were ordered' }).waitFor();
    await page.getByRole('alert').getByText(/^late-2: /).waitFor();
    assert.equal(await field('Name').inputValue(), 'late-#');
    await photograph(page, 'deploy-partly-taken');
    await assertAccessible(page, 'order of which a part was taken');
    await page.getByRole('link', { name: 'follow the batch', exact: true }).click();
    await page.getByRole('region', { name: 'Results of the batch' }).getByRole('link', { name: 'late-1 #1', exact: true }).waitFor();
    await page.goBack();
    await button(page, 'Clear the form').click();
    await eventually('the form is empty', async () => assert.deepEqual([await field('Name').inputValue(), await field('Profile').inputValue()], ['', '']));
    observed.assertClean();
    await context.close();
  });

  does('they have a console: a way to it, good for one use', async () => {
    const metal = await node('metal-01');
    const { id } = metal;
    const { context, page, observed } = await people.open(`/nodes/${id}`);
    await button(page, 'Console…').click();
    const address = dialog(page).getByTitle('Address of the console');
    await button(page, 'Open a way to it').click();
    const serial = await address.textContent();
    assert.match(serial, new RegExp(`^wss?://\\S+/bare_metal_servers/${serverOf(metal)}/console\\?\\S*access_token=`));
    await dialog(page).getByText('Good for one use').waitFor();
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme });
      await keep(page, `dialog-console-${colorScheme}`);
    }
    await assertAccessible(page, 'dialog of a console');
    // The other kind is another way, and may not be forced.
    await dialog(page).getByRole('radio', { name: 'Screen' }).check();
    await address.waitFor({ state: 'detached' });
    assert.equal(await dialog(page).getByRole('checkbox').count(), 0);
    await button(page, 'Open a way to it').click();
    const screen = await address.textContent();
    assert.notEqual(screen, serial);
    await dialog(page).getByRole('radio', { name: 'Text' }).check();
    await dialog(page).getByRole('checkbox', { name: 'End somebody else’s session' }).check();
    await button(page, 'Open a way to it').click();
    await address.waitFor();
    await button(page, 'Open another way').waitFor();
    await dialog(page).getByRole('button', { name: 'Close', exact: true }).last().click();
    await dialog(page).waitFor({ state: 'detached' });
    assert.ok(!(await page.content()).includes('access_token'), 'its secret is nowhere on the page any more');
    observed.assertClean();
    await context.close();

    const other = await people.open(`/nodes/${id}`, 'viewer');
    await other.page.getByRole('region', { name: 'Resources at the provider' }).waitFor();
    assert.equal(await button(other.page, 'Console…').count(), 0);
    other.observed.assertClean();
    await other.context.close();
  });

  // What is usual is worked out once a minute; this one hangs for as long as it is looked at.
  does('one that takes longer than those before it is late, which is not stalled', async () => {
    const { context, page, observed } = await people.open('?q=late');
    const cell = (column) => rowOf(page, 'late-1').locator(`[data-column="${column}"]`);
    await cell('state').getByText('Late', { exact: true }).waitFor({ timeout: muchPatience });
    await countFilter(page, 'Late').click();
    await page.waitForURL(/show=late/);
    await rowOf(page, 'late-2').waitFor({ state: 'detached' });
    assert.match(await countFilter(page, 'Late').textContent(), /1$/);
    await cell('eta').getByText(/late/i).waitFor();
    await eventually('its title says so', async () => assert.match(await page.title(), /\b1 late\b/));
    const { late, state } = await node('late-1');
    assert.deepEqual([late, state], [true, 'RUNNING']);
    await photograph(page, 'fleet-late');
    await assertAccessible(page, 'fleet with a node that is late');

    await rowOf(page, 'late-1').getByRole('link', { name: 'late-1', exact: true }).click();
    await page.getByRole('heading', { name: 'late-1', exact: true }).waitFor();
    await header(page, 'Late').first().waitFor();
    assert.equal(await header(page, 'Stalled').count(), 0);
    await photograph(page, 'node-late');
    await assertAccessible(page, 'node that is late');

    // It is no longer once it has ended.
    await page.getByRole('group', { name: 'Actions' }).getByRole('button', { name: 'Cancel…', exact: true }).click();
    await dialog(page).getByRole('radio', { name: 'Now' }).check();
    await dialog(page).getByRole('button', { name: 'Cancel the deployment' }).click();
    await header(page, 'Canceled').waitFor();
    await count(header(page, 'Late'), 0);
    observed.assertClean();
    await context.close();
  });
});
