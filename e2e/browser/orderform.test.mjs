// The form of a new deployment: what cannot be is said where it stands and moves
// nothing, several machines of one's own are a table and one batch, and what is
// chosen of the account comes with its names.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { pill } from './support/app.mjs';
import { assertAccessible, launch, open, photograph } from './support/browser.mjs';
import { eventually, muchPatience } from './support/eventually.mjs';
import { startServer } from './support/slipway.mjs';

describe('the form of a new deployment', () => {
  let system;
  let browser;
  let api;
  before(async () => {
    system = await startServer();
    browser = await launch();
    api = await system.api('admin');
  });
  after(async () => {
    await browser?.close();
    await system?.stop();
  });

  const form = async (on) => {
    const opened = await open(browser, system.url);
    await opened.page.goto(await system.signInLink(`orders-${on}`, system.url, 'operator'));
    await pill(opened.page, 'Live').waitFor();
    await opened.page.goto(`${system.url}/monitoring/deploy?on=${on}`);
    await opened.page.getByRole('heading', { name: 'New deployment', exact: true }).waitFor();
    return opened;
  };
  const field = (page, label) => page.getByLabel(label, { exact: true });
  /** Where something stands in the form, wherever that is scrolled to. */
  const place = (control) => control.evaluate((node) => Math.round(node.getBoundingClientRect().top - node.form.getBoundingClientRect().top));
  const check = (page) => page.getByRole('button', { name: 'Check', exact: true });
  const verdict = (page, words) => page.getByText(words, { exact: true });
  const invalid = (page, label) => eventually(`${label} says that it is wrong`, async () => assert.equal(await field(page, label).getAttribute('aria-invalid'), 'true'));

  it('has a verdict on what is no address, at its field, and moves nothing', async () => {
    const { context, page, observed } = await form('rack');
    await field(page, 'Name').fill('typed');
    await field(page, 'MAC address').fill('52:54:00:aa:00');
    await field(page, 'Management IP').fill('127.64.0.300');
    await field(page, 'Gateway').fill('here');
    await check(page).focus();
    const was = await place(check(page));
    await page.keyboard.press('Enter');
    await verdict(page, 'It cannot be deployed like this.').waitFor();
    for (const label of ['MAC address', 'Management IP', 'Gateway']) await invalid(page, label);
    assert.ok(Math.abs((await place(check(page))) - was) < 8, 'the button is where it was, to less than a line');
    assert.ok(await check(page).evaluate((button) => button === document.activeElement), 'and has the focus');
    assert.ok(await page.getByRole('button', { name: 'Deploy', exact: true }).isDisabled());
    assert.equal(observed.posts.filter((name) => name === 'Validate').length, 0);
    await photograph(page, 'deploy-no-address');
    await assertAccessible(page, 'form with addresses that are none');

    // What only the server finds is said in the same way.
    await field(page, 'MAC address').fill('52:54:00:aa:00:01');
    await field(page, 'Management IP').fill('127.64.0.0');
    await field(page, 'Gateway').fill('127.64.0.1');
    await field(page, 'Netmask').fill('16');
    await verdict(page, 'The form has changed since: check again.').waitFor();
    await check(page).focus();
    await page.keyboard.press('Enter');
    await verdict(page, 'It cannot be deployed like this.').waitFor();
    await invalid(page, 'Management IP');
    assert.ok(Math.abs((await place(check(page))) - was) < 8, 'the button is where it was, to less than a line');
    observed.assertClean();
    await context.close();
  });

  it('orders several machines of one’s own from a table, as one batch', async () => {
    const { context, page, observed } = await form('rack');
    await page.getByLabel('Several, from a table', { exact: true }).check();
    await field(page, 'Name of the batch').fill('row 7');
    await field(page, 'Table').fill('table-1\t52:54:00:aa:07:01\t127.64.207.11\ntable-2\t7CX1Y23\t127.64.207.300\ntable-3\t7CX1Y24\t127.64.207.11');
    await field(page, 'Netmask').fill('16');
    await field(page, 'Gateway').fill('127.64.0.1');
    const lines = page.getByRole('region', { name: 'Machines of the table' });
    await lines.getByText('“127.64.207.300” is not an IP address.', { exact: true }).waitFor();
    await lines.getByText('The same address stands in line 1.', { exact: true }).waitFor();
    await check(page).click();
    await verdict(page, 'It cannot be deployed like this.').waitFor();
    await photograph(page, 'deploy-table-refused');
    await assertAccessible(page, 'form with a table that has errors');

    // What the server finds of one machine is said at its line.
    await field(page, 'Table').fill('table-1\t52:54:00:aa:07:01\t127.64.207.11\ntable-2\t7CX1Y23\t127.64.0.0');
    await check(page).click();
    await lines.getByText(/is the network address of its subnet/).waitFor({ timeout: muchPatience });
    assert.ok(await page.getByRole('button', { name: 'Deploy 2', exact: true }).isDisabled());

    await field(page, 'Table').fill('table-1\t52:54:00:aa:07:01\t127.64.207.11\ntable-2\t7CX1Y23\t127.64.207.12');
    await check(page).click();
    await page.getByText(/^(Nothing stands in the way\.|It can be deployed, with \d+ warning)/).waitFor({ timeout: muchPatience });
    await photograph(page, 'deploy-table-checked');
    await page.getByRole('button', { name: 'Deploy 2', exact: true }).click();
    await page.getByRole('heading', { name: 'row 7', exact: true }).waitFor({ timeout: muchPatience });
    for (const [name, ip] of [['table-1', '127.64.207.11'], ['table-2', '127.64.207.12']]) {
      const { bareMetalNode } = await api.query('query ($name: String!) { bareMetalNode(by: { name: $name }) { managementIp } }', { name });
      assert.equal(bareMetalNode?.managementIp, ip);
    }
    observed.assertClean();
    await context.close();
  });

  it('offers image, security groups and keys of the account, and says what is the setting', async () => {
    const { context, page, observed } = await form('ibm-vpc');
    const part = page.locator('details').filter({ hasText: 'Image, security groups, keys' });
    await field(page, 'Profile').locator('option[value="bx2d-metal-96x384"]').waitFor({ state: 'attached', timeout: muchPatience });
    await part.locator('summary').click();
    await page.getByText('None chosen: the server’s own setting, slipway-nodes.', { exact: true }).waitFor();
    await field(page, 'Name').fill('chosen');
    await field(page, 'Profile').selectOption('bx2d-metal-96x384');
    await field(page, 'Image').selectOption({ label: 'ibm-ipxe-20240326-amd64-1' });
    await field(page, 'slipway-demo-default').check();
    await check(page).click();
    await page.getByText(/^(Nothing stands in the way\.|It can be deployed, with \d+ warning)/).waitFor({ timeout: muchPatience });
    await photograph(page, 'deploy-chosen');
    await assertAccessible(page, 'form with choices of the account');
    observed.assertClean();
    await context.close();
  });
});
