// A cluster of three, ordered in the form. One node fails; the page says which,
// why and what can be done; it is retried alone, and the cluster becomes
// deployed. At the end all of it is cleaned up, by its name and with proof.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { count, pill } from './support/app.mjs';
import { assertAccessible, forgetJumps, launch, layoutJumps, open, photograph, watchLayout } from './support/browser.mjs';
import { Cloud } from './support/cloud.mjs';
import { eventually, giveUp, muchPatience } from './support/eventually.mjs';
import { startServer } from './support/slipway.mjs';

const profile = 'bx2d-metal-96x384';
const nodes = ['prod-1', 'prod-2', 'prod-3'];
const toTheEnd = muchPatience;

const clusterQuery = `query {
  clusters(first: 10) {
    nodes {
      id name state formedAt barrier { ready total }
      members { ready formedAt choices node { name } deployment { id attempt state failure { phaseKey code message hint } cleanup { name status } } }
      formation { status command message evidence }
      health { ok at checks { name ok message } }
    }
  }
}`;

describe('a cluster', () => {
  let system;
  let browser;
  let api;
  let cloud;
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

  const clusters = async () => (await api.query(clusterQuery)).clusters.nodes;
  const theCluster = async () => {
    const [cluster, ...others] = await clusters();
    assert.deepEqual(others, []);
    return cluster;
  };
  const header = (page, word) => page.locator('main header').first().getByText(word, { exact: true });
  /** What the header says of the cluster, one of these: nobody knows how far it is when the page is drawn. */
  const stands = (page, ...words) => words.slice(1).reduce((found, word) => found.or(header(page, word)), header(page, words[0])).first().waitFor();
  const says = (what, locator, value) => eventually(what, async () => assert.equal(await locator.inputValue(), value));
  const invalid = (what, locator) => eventually(what, async () => assert.equal(await locator.getAttribute('aria-invalid'), 'true'));
  const assertStill = async (page) => {
    const jumps = await layoutJumps(page);
    assert.ok(jumps.every(({ value }) => value < 0.1), JSON.stringify(jumps));
  };
  const region = (page, name) => page.getByRole('region', { name, exact: true });

  // Somebody who may not act looks at it without buttons; what is not there is said.
  const lookOnly = async () => {
    const { context, page, observed } = await open(browser, system.url);
    await page.goto(await system.signInLink('vera', system.url, 'viewer'));
    await pill(page, 'Live').waitFor();
    await page.goto(`${system.url}/monitoring/clusters`);
    await page.getByRole('link', { name: 'prod', exact: true }).click();
    await page.getByRole('heading', { name: 'prod', exact: true }).waitFor();
    await region(page, 'Nodes of the cluster, as a table').waitFor();
    assert.equal(await page.getByRole('group', { name: 'Actions' }).count(), 0);
    await page.goto(`${system.url}/monitoring/clusters/new`);
    await page.getByText('You need the operator role to make a cluster').waitFor();
    await assertAccessible(page, 'form for a viewer');
    await page.goto(`${system.url}/monitoring/clusters/clu_4711`);
    await page.getByRole('heading', { name: 'There is no such cluster' }).waitFor();
    observed.assertClean([/status of 404/]);
    await context.close();
  };

  it('is ordered, loses a node, gets it back alone, and is deployed; then it is gone', async () => {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, reducedMotion: 'reduce' });
    await watchLayout(context);
    const { page, observed } = await open(context, system.url);
    await page.goto(await system.signInLink('olga'));
    await pill(page, 'Live').waitFor();

    // Nothing is there yet.
    await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Clusters' }).click();
    await page.getByText('No clusters yet').waitFor();
    await assertAccessible(page, 'no clusters');
    await page.getByRole('link', { name: 'New cluster' }).click();
    await page.getByRole('heading', { name: 'New cluster', exact: true }).waitFor();

    // The form: what it lacks, then what would become of it, at once and by itself.
    const order = page.getByRole('button', { name: 'Deploy the cluster' });
    await page.getByText('To be filled in: the name, the profile of the servers.').waitFor();
    assert.ok(await order.isDisabled());
    await page.getByLabel('Profile').first().locator(`option[value="${profile}"]`).waitFor({ state: 'attached' });
    await page.getByLabel('Name of the cluster').fill('prod');
    await page.getByLabel('Profile').first().selectOption(profile);
    await page.getByText(/Nothing stands in the way\.|It can be deployed, with \d+ warning/).waitFor();

    // What is wrong with one node stands at its field, and nothing is lost.
    const second = page.getByRole('group', { name: 'Node 2', exact: true });
    await second.getByText('Its own profile and addresses').click();
    await second.getByLabel('Controller VM IP').fill('not an address');
    await page.getByText('It cannot be deployed like this.').waitFor();
    await invalid('the field is marked', second.getByLabel('Controller VM IP'));
    assert.ok(await order.isDisabled());
    await page.reload();
    await says('the form survives a reload', page.getByLabel('Name of the cluster'), 'prod');
    await says('and what was wrong in it', second.getByLabel('Controller VM IP'), 'not an address');
    await second.getByLabel('Controller VM IP').fill('');
    await second.getByLabel('Name').fill('Not A Name');
    await page.getByRole('region', { name: 'Checks of The cluster' }).getByText('Node 2, Name').waitFor();
    await invalid("the server's word stands at the field, too", second.getByLabel('Name'));
    assert.ok(await order.isDisabled());
    await assertAccessible(page, 'form with a name that is none');
    await second.getByLabel('Name').fill('');
    await page.getByText(/Nothing stands in the way\.|It can be deployed, with \d+ warning/).waitFor();
    for (const name of ['The cluster', ...nodes]) await page.getByRole('region', { name: `Checks of ${name}` }).waitFor();
    await region(page, 'Command that makes the cluster').getByText('chosen when the servers are ordered').waitFor();
    assert.deepEqual(await cloud.servers(), [], 'a plan makes nothing');
    assert.deepEqual(await clusters(), []);
    await photograph(page, 'cluster-form');
    await assertAccessible(page, 'form of a cluster');

    // One machine will not take its installation.
    await cloud.fault({ match: '*prod-2*', fault: 'disk_fails' });
    await order.click();
    await page.getByRole('heading', { name: 'prod', exact: true }).waitFor();
    await stands(page, 'Queued', 'Installing', 'Blocked');
    // All of the page has been read.
    await page.locator('[aria-label="Events of all nodes, the newest first"][aria-busy="false"]').waitFor();
    const posts = observed.posts.length;

    // The page says which, why, and what can be done; the others wait at the barrier.
    const trouble = region(page, 'prod-2 failed');
    await trouble.waitFor({ timeout: toTheEnd });
    // Replacing it would be possible.
    await trouble.getByRole('button', { name: 'Replace it…' }).click();
    const dialog = page.getByRole('dialog');
    await says('a name is proposed', dialog.getByLabel('Name'), 'prod-2b');
    await assertAccessible(page, 'dialog that replaces a node');
    await dialog.getByRole('button', { name: 'Leave it' }).click();
    await eventually('the others are at the barrier', async () => {
      const { barrier, state } = await theCluster();
      assert.deepEqual([barrier, state], [{ ready: 2, total: 3 }, 'BLOCKED']);
    }, { timeout: toTheEnd });
    await header(page, 'Blocked').waitFor();
    const { members: [, failed] } = await theCluster();
    assert.equal(failed.node.name, 'prod-2');
    for (const text of [failed.deployment.failure.code, failed.deployment.failure.message]) await trouble.getByText(text).first().waitFor();
    if (failed.deployment.failure.hint) await trouble.getByText(failed.deployment.failure.hint).first().waitFor();
    await trouble.getByText('2 others wait at the barrier').waitFor();
    await page.locator('[data-is="open"]').getByText('2 of 3 ready').waitFor();
    const held = page.locator('[data-held]');
    await count(held, 2, 'two lanes are held');
    await eventually('two things can be done', async () => assert.deepEqual(await trouble.getByRole('list', { name: 'What can be done about prod-2' }).getByRole('button').allTextContents(), ['Retry this node…', 'Replace it…']));
    assert.deepEqual(observed.posts.slice(posts).filter((name) => name === 'ClusterNow' || name === 'RecentEvents'), [], 'the page was read once; the rest comes by the stream');
    await photograph(page, 'cluster-blocked');
    await assertAccessible(page, 'cluster with a node that failed');

    // The lanes by keyboard, the selection and the table in the address.
    const bars = page.getByRole('group', { name: /^Nodes in time/ }).getByRole('button');
    await bars.first().focus();
    await page.keyboard.press('End');
    const at = (pattern) => eventually(`the focus is at ${pattern}`, async () => assert.match(await page.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? ''), pattern));
    await at(/^prod-1: .*waits for the other nodes$/);
    await page.keyboard.press('ArrowDown');
    await at(/^prod-2: /);
    await page.keyboard.press('Enter');
    await page.waitForURL(/node=node_\d+/);
    await page.getByText('Table', { exact: true }).click();
    await page.waitForURL(/view=table/);
    await region(page, 'Nodes in time as a table').getByText('Waits for the others').first().waitFor();
    await page.reload();
    await region(page, 'Nodes in time as a table').getByText('Waits for the others').first().waitFor();
    await page.getByText('Chart', { exact: true }).click();

    // It is retried alone.
    await cloud.mend();
    await trouble.getByRole('button', { name: 'Retry this node…' }).click();
    await dialog.getByRole('button', { name: 'Begin attempt 2' }).click();
    await trouble.waitFor({ state: 'detached' });
    const underWay = ['Installing', 'Forming', 'Checking', 'Deployed'];
    await stands(page, ...underWay);

    // A reload in the middle.
    await page.reload();
    await stands(page, ...underWay);

    // Meanwhile it is in the list, and its nodes lead to it.
    await page.getByRole('navigation', { name: 'Breadcrumb' }).getByRole('link', { name: 'Clusters' }).click();
    const row = page.getByRole('row').filter({ has: page.getByRole('link', { name: 'prod', exact: true }) });
    await row.getByText(/^[23] of 3$/).waitFor();
    await photograph(page, 'clusters');
    await assertAccessible(page, 'list of clusters');
    await page.getByLabel('State', { exact: true }).selectOption('cleaned_up');
    await page.getByText('No cluster matches the filter').waitFor();
    await page.waitForURL(/state=cleaned_up/);
    await page.getByRole('button', { name: 'Show all clusters' }).click();
    await row.getByRole('link', { name: 'prod', exact: true }).click();
    await region(page, 'Nodes of the cluster, as a table').getByRole('link', { name: 'prod-3' }).click();
    await page.getByRole('heading', { name: 'prod-3', exact: true }).waitFor();
    await page.locator('main header').first().getByRole('link', { name: 'prod', exact: true }).click();
    await page.getByRole('heading', { name: 'prod', exact: true }).waitFor();

    // Live to the end.
    await header(page, 'Deployed').waitFor({ timeout: toTheEnd });
    const deployed = await eventually('deployed', async () => {
      const cluster = await theCluster();
      if (cluster.state === 'BLOCKED') throw giveUp(new Error(JSON.stringify(cluster)));
      assert.equal(cluster.state, 'DEPLOYED');
      return cluster;
    });
    assert.deepEqual(deployed.members.map(({ node, deployment }) => [node.name, deployment.attempt]), [['prod-1', 1], ['prod-2', 2], ['prod-3', 1]], 'one node was retried alone');
    assert.ok(deployed.members.every(({ formedAt }) => formedAt !== null));
    await page.locator('[data-is="reached"]').getByText('3 of 3 ready').waitFor();
    const formation = region(page, 'Formation');
    await formation.getByText('Formed', { exact: true }).waitFor();
    await count(formation.getByTitle('Command on the controller VM'), deployed.formation.command ? 1 : 0);
    const health = region(page, 'Health');
    await health.getByText('Healthy', { exact: true }).waitFor();
    await count(health.getByText('Passed', { exact: true }), deployed.health.checks.length, 'every check is shown');
    await photograph(page, 'cluster-deployed');
    await assertAccessible(page, 'cluster that is deployed');

    // Looking again is a look: the time of it is another one.
    await health.getByRole('button', { name: 'Check again' }).click();
    await eventually('looked again, and shown', async () => {
      const { health: now } = await theCluster();
      assert.notEqual(now.at, deployed.health.at);
      assert.equal(await health.locator(`time[datetime="${now.at}"]`).count(), 1);
    });

    // Everything is given up: the plan first, then the name, then the proof.
    await page.getByRole('group', { name: 'Actions' }).getByRole('button', { name: 'Clean up…' }).click();
    const plan = dialog.getByRole('region', { name: 'Plan of the cleanup' });
    for (const each of nodes) await plan.getByRole('heading', { name: each }).waitFor();
    const confirm = dialog.getByRole('button', { name: /^Delete \d+ resources$/ });
    assert.ok(await confirm.isDisabled(), 'its name must be typed');
    await assertAccessible(page, 'plan of a cleanup');
    await dialog.getByLabel(/^Type/).fill('prod');
    await assertStill(page);
    await confirm.click();
    await dialog.waitFor({ state: 'detached' });
    for (const each of nodes) await page.getByRole('list', { name: `What is released of ${each}` }).getByRole('listitem').first().waitFor({ timeout: toTheEnd });
    await forgetJumps(page);
    await lookOnly();
    await header(page, 'Cleaned up').waitFor({ timeout: toTheEnd });
    const gone = await theCluster();
    assert.equal(gone.state, 'CLEANED_UP');
    const proof = region(page, 'Cleaned up: the proof');
    const things = gone.members.flatMap(({ deployment }) => deployment.cleanup);
    assert.ok(things.length >= 6, `${things.length} things`);
    await eventually('every thing is shown as gone', async () => assert.equal(await proof.getByText('Gone', { exact: true }).count(), things.filter(({ status }) => status === 'SUCCEEDED').length));
    assert.deepEqual(await cloud.servers(), []);
    await photograph(page, 'cluster-cleaned-up');
    await assertAccessible(page, 'cluster that is cleaned up');

    await assertStill(page);
    observed.assertClean();
    await context.close();
  });
});
