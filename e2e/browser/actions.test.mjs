// What a person does with machines besides watching: order one after a check,
// try a failed one again, cancel, clean up, reinitialize, protect, and delete
// what nobody holds. The server decides; the page says what will happen first.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { assertShowsDeployment, count, pill, rowOf } from './support/app.mjs';
import { assertAccessible, launch, open, photograph } from './support/browser.mjs';
import { Cloud } from './support/cloud.mjs';
import { eventually, muchPatience, patience } from './support/eventually.mjs';
import { slipway, startServer } from './support/slipway.mjs';

const profile = 'bx2d-metal-96x384';
const toTheEnd = muchPatience;

describe('a person who acts', () => {
  let system;
  let browser;
  let api;
  let cloud;
  let session;
  before(async () => {
    // However slowly they are looked at, no machine that waits has become a stalled one.
    system = await startServer({ pace: 'quick', prepare: async () => ['--stale-after=1h'] });
    browser = await launch();
    api = await system.api('operator');
    cloud = new Cloud(system.cloud);
  });
  after(async () => {
    await browser?.close();
    await system?.stop();
  });

  const deploy = (...names) => slipway(['deploy', ...names, `--profile=${profile}`], { env: { SLIPWAY_SERVER: system.url, SLIPWAY_TOKEN: api.token } });
  // One operator is signed in for all of it.
  const operator = async (path = '') => {
    const opened = await open(browser, system.url, session ? { storageState: session } : {});
    if (session) {
      await opened.page.goto(`${system.url}/monitoring${path}`);
    } else {
      await opened.page.goto(await system.signInLink('olga'));
      await pill(opened.page, 'Live').waitFor();
      session = await opened.context.storageState();
      if (path !== '') await opened.page.goto(`${system.url}/monitoring${path}`);
    }
    return opened;
  };
  const pageOf = async (name) => {
    const node = (await api.fleet()).get(name);
    assert.ok(node, name);
    const opened = await operator(`/nodes/${node.id}`);
    await opened.page.getByRole('heading', { name, exact: true }).waitFor();
    return opened;
  };
  const until = (name, state, timeout = toTheEnd) =>
    eventually(`${name} is ${state}`, async () => assert.equal((await api.fleet()).get(name)?.state, state), { timeout });
  const actions = (page) => page.getByRole('group', { name: 'Actions' });
  const act = (page, name) => actions(page).getByRole('button', { name, exact: true }).click();
  const buttons = (page, expected) => eventually(`the buttons are ${expected.join(', ')}`, async () => assert.deepEqual(await actions(page).getByRole('button').allTextContents(), expected));
  /** What the machine holds. */
  const present = (page) => page.getByRole('region', { name: 'Resources at the provider', exact: true });
  const header = (page, word) => page.locator('main header').first().getByText(word, { exact: true });
  const dialog = (page) => page.getByRole('dialog');
  const closed = (page) => dialog(page).waitFor({ state: 'detached' });

  it('orders a machine with the form, only after it was checked', async () => {
    const { context, page, observed } = await operator();
    await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Deploy' }).click();
    await page.getByRole('heading', { name: 'New deployment' }).waitFor();
    const order = page.getByRole('button', { name: 'Deploy', exact: true });
    const check = page.getByRole('button', { name: 'Check', exact: true });
    const checks = page.getByRole('list', { name: 'Checks' });
    const found = (label) => checks.getByRole('listitem').filter({ hasText: label });
    await page.getByLabel('Profile').locator(`option[value="${profile}"]`).waitFor({ state: 'attached' });
    assert.ok(await order.isDisabled(), 'nothing was checked yet');
    await photograph(page, 'deploy-empty');
    await assertAccessible(page, 'form of a new deployment');

    // What is wrong is said at the field and in the list, and cannot be ordered.
    await page.getByLabel('Name').fill('Not A Name');
    await page.getByLabel('Profile').selectOption(profile);
    await check.click();
    await page.getByText('It cannot be deployed like this.').waitFor();
    await eventually('the field says what is wrong', async () => assert.equal(await page.getByLabel('Name').getAttribute('aria-invalid'), 'true'));
    await found('Name').getByText('Failed').waitFor();
    assert.ok(await order.isDisabled());
    await photograph(page, 'deploy-refused');
    await assertAccessible(page, 'form with a name that is none');

    // Another name: the old answer no longer counts.
    await page.getByLabel('Name').fill('metal-form');
    await page.getByText('The form has changed since: check again.').waitFor();
    assert.ok(await order.isDisabled());
    const subnet = await page.getByLabel('Management subnet').locator('option').nth(1).getAttribute('value');
    await page.getByLabel('Management subnet').selectOption(subnet);
    await check.click();
    await page.getByText(/Nothing stands in the way\.|It can be deployed, with \d+ warning/).waitFor();
    for (const label of ['Quota', 'Artifacts', 'Queue', 'Expected time']) await found(label).first().waitFor();
    assert.equal((await api.fleet()).size, 0, 'a check makes nothing');
    assert.deepEqual(await cloud.servers(), []);
    await photograph(page, 'deploy-checked');
    await assertAccessible(page, 'form that was checked');

    await order.click();
    await page.getByRole('heading', { name: 'metal-form', exact: true }).waitFor();
    await header(page, 'Deployed').waitFor({ timeout: toTheEnd });
    await eventually('the page shows what the server has', async () => assertShowsDeployment(page, await api.deploymentOf('metal-form')));
    const resources = present(page);
    await resources.getByText('Server', { exact: true }).waitFor();
    await eventually('every resource is there', async () => assert.equal(await resources.getByText('Present', { exact: true }).count(), (await resources.getByRole('row').count()) - 1));
    assert.equal(observed.posts.filter((name) => name === 'Deploy').length, 1);
    assert.equal(observed.documents.length, 1, 'nothing was loaded anew');
    const reads = observed.posts.filter((name) => name === 'NodePage' || name === 'DeploymentPage');
    assert.ok(reads.length <= 5, `the page follows the stream and does not read again and again: ${reads.join(', ')}`);
    await buttons(page, ['Clean up…', 'Reinitialize…', 'Protect…']);
    await photograph(page, 'node-actions');
    await assertAccessible(page, 'node with its actions');
    observed.assertClean();
    await context.close();
  });

  it('tries a failed machine again, from where it failed or from further back', async () => {
    await cloud.fault({ match: '*metal-disk*', fault: 'disk_fails', disk: 'boot' });
    await cloud.fault({ match: '*metal-key*', fault: 'wrong_host_key' });
    await deploy('metal-disk', 'metal-key');
    await until('metal-disk', 'FAILED');
    await until('metal-key', 'FAILED');
    await cloud.mend();

    const { context, page, observed } = await pageOf('metal-disk');
    await page.getByRole('region', { name: 'Failure' }).waitFor();
    await buttons(page, ['Retry…', 'Retry from…', 'Clean up…', 'Reinitialize…', 'Protect…']);
    await act(page, 'Retry…');
    await dialog(page).getByText('Attempt 2 begins at').waitFor();
    await dialog(page).getByText('what is on its disks is lost').waitFor();
    await photograph(page, 'dialog-retry');
    await assertAccessible(page, 'dialog of a retry');
    await page.keyboard.press('Escape');
    await closed(page);
    await eventually('the focus is back at the button', async () => assert.equal(await page.evaluate(() => document.activeElement?.textContent), 'Retry…'));
    await page.keyboard.press('Enter');
    await dialog(page).getByRole('button', { name: 'Begin attempt 2' }).click();
    await closed(page);
    await page.getByRole('region', { name: 'Failure' }).waitFor({ state: 'detached' });
    await header(page, 'Deployed').waitFor({ timeout: toTheEnd });
    await page.locator('main header').first().getByText('#1, attempt 2', { exact: true }).waitFor();
    observed.assertClean();
    await context.close();

    const other = await pageOf('metal-key');
    await act(other.page, 'Retry from…');
    await dialog(other.page).getByRole('radio', { name: 'Health check' }).waitFor();
    await dialog(other.page).getByRole('radio', { name: 'Waiting for boot' }).check();
    await photograph(other.page, 'dialog-retry-from');
    await assertAccessible(other.page, 'dialog of a retry from a phase');
    await dialog(other.page).getByRole('button', { name: 'Begin attempt 2' }).click();
    await closed(other.page);
    await header(other.page, 'Deployed').waitFor({ timeout: toTheEnd });
    assert.equal((await cloud.servers()).filter((name) => name.includes('metal-key')).length, 1, 'the same server');
    other.observed.assertClean();
    await other.context.close();
  });

  it('hears why something was refused, and the request to quote', async () => {
    const { context, page, observed } = await pageOf('metal-key');
    await act(page, 'Clean up…');
    await dialog(page).getByRole('list', { name: 'What will be deleted' }).waitFor();
    // Somebody else is faster.
    const { id } = (await api.fleet()).get('metal-key');
    await api.query('mutation ($input: SetNodeProtectionInput!) { setNodeProtection(input: $input) { errors { code } } }', { input: { id, protected: true, note: 'needed until Friday' } });
    await header(page, 'Protected: needed until Friday').waitFor();
    await dialog(page).getByLabel('Type metal-key to confirm').fill('metal-key');
    await dialog(page).getByRole('button', { name: /^Delete \d+ resources$/ }).click();
    const alert = dialog(page).getByRole('alert');
    await alert.getByText('metal-key is protected: needed until Friday').waitFor();
    await alert.getByText('WRONG_STATE').waitFor();
    assert.match(await alert.textContent(), /Request \S{6,}/);
    await photograph(page, 'dialog-refused');
    await assertAccessible(page, 'dialog with a refusal');
    await dialog(page).getByRole('button', { name: 'Leave it' }).click();
    await closed(page);
    await buttons(page, ['Unprotect…']); // none that destroys
    await photograph(page, 'node-protected');
    await act(page, 'Unprotect…');
    await dialog(page).getByRole('button', { name: 'Take the protection away' }).click();
    await closed(page);
    await buttons(page, ['Clean up…', 'Reinitialize…', 'Protect…']);
    observed.assertClean();
    await context.close();
  });

  it('cancels gently, and then at once', async () => {
    await cloud.fault({ match: '*metal-hang*', fault: 'hang_in_installer' });
    await deploy('metal-hang');
    await eventually(
      'metal-hang is in the installer',
      async () => assert.ok((await api.deploymentOf('metal-hang')).phases.some(({ phase, status }) => phase === 'INSTALLATION' && status === 'IN_PROGRESS')),
      { timeout: toTheEnd },
    );
    const { context, page, observed } = await pageOf('metal-hang');
    await buttons(page, ['Cancel…', 'Protect…']);
    await act(page, 'Cancel…');
    assert.ok(await dialog(page).getByRole('radio', { name: 'When the phase ends' }).isChecked());
    await photograph(page, 'dialog-cancel');
    await assertAccessible(page, 'dialog of a cancellation');
    await dialog(page).getByRole('button', { name: 'Cancel the deployment' }).click();
    await closed(page);
    await header(page, 'Canceling').waitFor();
    await act(page, 'Cancel…');
    assert.ok(await dialog(page).getByRole('radio', { name: 'Now' }).isChecked());
    await dialog(page).getByLabel(/^Why/).fill('it hangs');
    await dialog(page).getByRole('button', { name: 'Cancel the deployment' }).click();
    await closed(page);
    await header(page, 'Canceled').waitFor();
    await page.getByText('canceled: it hangs').first().waitFor();
    await buttons(page, ['Clean up…', 'Reinitialize…', 'Protect…']); // what is left is to clean up
    await cloud.mend();
    observed.assertClean();
    await context.close();
  });

  it('cleans up by name, and sees the proof of each thing', async () => {
    const { context, page, observed } = await pageOf('metal-hang');
    assert.equal((await cloud.servers()).filter((name) => name.includes('metal-hang')).length, 1);
    await act(page, 'Clean up…');
    const plan = dialog(page).getByRole('list', { name: 'What will be deleted' });
    await plan.getByText('stop and delete').waitFor();
    const planned = await plan.getByRole('listitem').count();
    const button = dialog(page).getByRole('button', { name: `Delete ${planned} resources` });
    assert.ok(await button.isDisabled(), 'the name was not typed yet');
    await dialog(page).getByLabel('Type metal-hang to confirm').fill('metal-form');
    assert.ok(await button.isDisabled(), 'another name is no confirmation');
    await photograph(page, 'dialog-cleanup');
    await assertAccessible(page, 'dialog of a cleanup');
    assert.equal((await cloud.servers()).filter((name) => name.includes('metal-hang')).length, 1, 'a plan deletes nothing');
    await dialog(page).getByLabel('Type metal-hang to confirm').fill('metal-hang');
    await page.keyboard.press('Enter');
    await closed(page);
    // It may be over before anybody looks.
    await header(page, 'Cleaning up').or(header(page, 'Cleaned up')).first().waitFor();
    const steps = page.getByRole('list', { name: 'What is released' });
    await steps.waitFor();
    await photograph(page, 'node-cleaning');
    await assertAccessible(page, 'node that is cleaned up');
    await header(page, 'Cleaned up').waitFor({ timeout: toTheEnd });
    await eventually('each thing is gone, with its proof', async () => {
      const lines = await steps.getByRole('listitem').allTextContents();
      assert.equal(lines.length, planned);
      for (const line of lines) assert.match(line, /^Gone.*not found/is);
    });
    assert.deepEqual((await cloud.servers()).filter((name) => name.includes('metal-hang')), []);
    assert.deepEqual((await cloud.interfaces()).filter((name) => name.includes('metal-hang')), []);
    await present(page).getByText('holds nothing', { exact: true }).waitFor();
    await buttons(page, []);
    await photograph(page, 'node-cleaned');
    await assertAccessible(page, 'node that was cleaned up');
    assert.equal(observed.documents.length, 1);

    // The name can be used again, with the form.
    await actions(page).getByRole('link', { name: 'Deploy again' }).click();
    await page.getByRole('heading', { name: 'New deployment' }).waitFor();
    await eventually('the form has its name', async () => assert.equal(await page.getByLabel('Name').inputValue(), 'metal-hang'));
    observed.assertClean();
    await context.close();
  });

  it('installs a machine anew', async () => {
    const { context, page, observed } = await pageOf('metal-form');
    await act(page, 'Reinitialize…');
    await dialog(page).getByLabel('Type metal-form to confirm').fill('metal-form');
    await photograph(page, 'dialog-reinitialize');
    await assertAccessible(page, 'dialog of a reinitialization');
    await dialog(page).getByRole('button', { name: 'Erase and install anew' }).click();
    await closed(page);
    await page.locator('main header').first().getByText('#2, attempt 1, reinitialized', { exact: true }).waitFor();
    await header(page, 'Deployed').waitFor({ timeout: toTheEnd });
    const deployments = page.getByRole('region', { name: 'Deployments of this node' });
    await deployments.getByText('#1', { exact: true }).click();
    await page.getByText('Deployment 1 is shown; the current one is 2.').waitFor();
    await count(actions(page), 0, 'nothing can be asked of a deployment that was left behind');
    assert.equal((await cloud.servers()).filter((name) => name.includes('metal-form')).length, 1, 'the same server');
    observed.assertClean();
    await context.close();
  });

  it('shows a viewer no actions, and would not take them', async () => {
    const { context, page, observed } = await open(browser, system.url);
    await page.goto(await system.signInLink('vera', system.url, 'viewer'));
    await rowOf(page, 'metal-form').waitFor();
    assert.equal(await page.getByRole('link', { name: 'Deploy' }).count(), 0);
    await page.getByRole('link', { name: 'metal-form', exact: true }).click();
    await page.getByRole('heading', { name: 'metal-form', exact: true }).waitFor();
    await page.getByRole('region', { name: 'Resources at the provider' }).waitFor();
    assert.equal(await actions(page).count(), 0);
    await photograph(page, 'node-viewer');
    await page.goto(`${system.url}/monitoring/deploy`);
    await page.getByText('You need the operator role to deploy').waitFor();
    await page.goto(`${system.url}/monitoring/resources`);
    await page.getByText('You need the admin role to see orphans').waitFor();
    await assertAccessible(page, 'page for administrators, seen by a viewer');
    const { id } = (await api.fleet()).get('metal-form').currentDeployment;
    const answer = await context.request.post(`${system.url}/graphql`, { headers: { origin: system.url }, data: { query: `mutation { cancelDeployment(input: {id: "${id}"}) { errors { code } } }` } });
    assert.equal(answer.status(), 403);
    assert.equal((await answer.json()).errors[0].extensions.code, 'FORBIDDEN');
    observed.assertClean();
    await context.close();
  });

  it('lets an administrator delete what nobody holds', async () => {
    await cloud.makeInterface('slw-metal-lost-d99-g1-mgmt');
    const { context, page, observed } = await open(browser, system.url);
    await page.goto(await system.signInLink('ada', system.url, 'admin'));
    await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Orphans' }).click();
    const orphans = page.getByRole('list', { name: 'Orphans' });
    await orphans.getByText('slw-metal-lost-d99-g1-mgmt').first().waitFor();
    assert.equal(observed.posts.filter((name) => name === 'DriftReport').length, 1);
    await photograph(page, 'orphans');
    await assertAccessible(page, 'orphans');
    await page.getByRole('button', { name: 'Delete slw-metal-lost-d99-g1-mgmt' }).click();
    await dialog(page).getByLabel('Type slw-metal-lost-d99-g1-mgmt to confirm').fill('slw-metal-lost-d99-g1-mgmt');
    await photograph(page, 'dialog-orphan');
    await assertAccessible(page, 'dialog of an orphan');
    await dialog(page).getByRole('button', { name: 'Delete', exact: true }).click();
    await closed(page);
    await orphans.getByText(/^(Gone|Being deleted)$/).first().waitFor();
    await eventually('it is gone at the cloud', async () => assert.ok(!(await cloud.interfaces()).includes('slw-metal-lost-d99-g1-mgmt')));
    // What the journal says of it may come a moment after.
    await eventually('journal and cloud agree', async () => {
      await page.getByRole('button', { name: 'Compare again' }).click();
      await page.getByText('Journal and cloud agree').waitFor({ timeout: patience / 6 });
    }, { timeout: muchPatience });
    observed.assertClean();
    await context.close();
  });
});
