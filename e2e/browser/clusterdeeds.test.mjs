// What a person decides about clusters: to end the formation of one, to go on
// without a node that failed and take it in later, to put another in the place
// of one, and to add one more. The cluster itself says afterwards that it is so.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { count } from './support/app.mjs';
import { assertAccessible, launch, photograph } from './support/browser.mjs';
import { Cloud } from './support/cloud.mjs';
import { eventually, giveUp, muchPatience } from './support/eventually.mjs';
import { ask, deployCluster } from './support/fleet.mjs';
import { People } from './support/people.mjs';
import { startServer } from './support/slipway.mjs';

const profile = 'bx2d-metal-96x384';

const clusterQuery = `query ($id: ID!) {
  cluster(by: {id: $id}) {
    name state formedAt barrier { ready total }
    members { position state ready formedAt choices node { name } deployment { state attempt failure { code message } } }
    formation { kind status message }
  }
}`;

describe('somebody who decides about clusters', () => {
  let system;
  let browser;
  let api;
  let cloud;
  let people;
  const ids = {};
  const ends = {};
  before(async () => {
    system = await startServer({ pace: 'quick' });
    browser = await launch();
    people = new People(browser, system);
    api = await system.api('operator');
    cloud = new Cloud(system.cloud);
    await cloud.fault({ match: 'slw-quit-1*', fault: 'cvm_hang' });
    ends.four = await cloud.fault({ match: 'slw-four-4*', fault: 'disk_fails' });
    ends.three = await cloud.fault({ match: 'slw-three-3-*', fault: 'disk_fails' });
    for (const [name, size] of [['quit', 1], ['four', 4], ['three', 3]]) {
      const nodes = Array.from({ length: size }, (_, i) => ({ name: `${name}-${i + 1}`, spec: { ibmVpc: { serverProfile: profile } } }));
      ids[name] = (await ask(api, deployCluster, { name, nodes })).cluster.id;
    }
  });
  after(async () => {
    await browser?.close();
    await system?.stop();
  });

  const does = (name, body) => it(name, () => people.leavingPicture(name, body));
  const clusterNow = async (name) => (await api.query(clusterQuery, { id: ids[name] })).cluster;
  const member = ({ members }, name) => members.find(({ node }) => node.name === name);
  /** Waits until a cluster is in a state, and the rest of what is asked for; another end is one. */
  const until = (name, state, rest = () => undefined) =>
    eventually(
      `${name} is ${state}`,
      async () => {
        const now = await clusterNow(name);
        if (now.state === 'BLOCKED' && state !== 'BLOCKED') throw giveUp(new Error(JSON.stringify(now)));
        assert.equal(now.state, state);
        rest(now);
        return now;
      },
      { timeout: muchPatience },
    );
  const header = (page, word) => page.locator('main header').first().getByText(word, { exact: true });
  const region = (page, name) => page.getByRole('region', { name, exact: true });
  const dialog = (page) => page.getByRole('dialog');
  const button = (inside, name) => inside.getByRole('button', { name, exact: true });
  const done = (page) => dialog(page).waitFor({ state: 'detached' });
  const row = (page, name) => region(page, 'Nodes of the cluster, as a table').getByRole('row').filter({ has: page.getByRole('link', { name, exact: true }) });
  const pageOf = async (name) => {
    const opened = await people.open(`/clusters/${ids[name]}`);
    await opened.page.getByRole('heading', { name, exact: true }).waitFor();
    return opened;
  };
  const inList = (page, name) => region(page, `${name} failed`).getByRole('list', { name: `What can be done about ${name}` });

  does('ends the formation of one', async () => {
    const { context, page, observed } = await pageOf('quit');
    await header(page, 'Forming').waitFor({ timeout: muchPatience });
    await page.getByRole('group', { name: 'Actions' }).getByRole('button', { name: 'Cancel…', exact: true }).click();
    assert.ok(await dialog(page).getByRole('radio', { name: /^When the phase of each ends/ }).isChecked());
    await dialog(page).getByRole('radio', { name: 'Now' }).check();
    await dialog(page).getByLabel(/^Why/).fill('the wrong rack');
    await photograph(page, 'dialog-cluster-cancel');
    await assertAccessible(page, 'dialog that cancels a cluster');
    await button(dialog(page), 'Cancel 1 deployment').click();
    await done(page);
    await header(page, 'Canceled').waitFor();
    const { state, formedAt, members } = await clusterNow('quit');
    assert.deepEqual([state, formedAt, members[0].deployment.state], ['CANCELED', null, 'CANCELED']);
    await region(page, 'quit-1 was canceled').waitFor();
    await page.getByText('canceled: the wrong rack').first().waitFor();
    await photograph(page, 'cluster-canceled');
    await assertAccessible(page, 'cluster that was canceled');
    observed.assertClean();
    await context.close();
  });

  does('goes on without a node, and takes it in later', async () => {
    await until('four', 'BLOCKED', ({ barrier }) => assert.deepEqual(barrier, { ready: 3, total: 4 }));
    const { context, page, observed } = await pageOf('four');
    const choices = inList(page, 'four-4');
    await choices.waitFor();
    assert.deepEqual(await choices.getByRole('button').allTextContents(), ['Retry this node…', 'Replace it…', 'Go on without it…']);
    await button(choices, 'Go on without it…').click();
    await dialog(page).getByText('The barrier counts 3 nodes from now on').waitFor();
    await dialog(page).getByLabel(/^Why/).fill('no spare disk');
    await photograph(page, 'dialog-cluster-without');
    await assertAccessible(page, 'dialog to go on without a node');
    await button(dialog(page), 'Go on with 3 nodes').click();
    await done(page);
    await row(page, 'four-4').getByText('Joins later', { exact: true }).waitFor();
    await header(page, 'Deployed').waitFor({ timeout: muchPatience });
    const formed = await until('four', 'DEPLOYED');
    assert.deepEqual(formed.barrier, { ready: 3, total: 3 });
    assert.deepEqual(formed.members.map(({ node, state, formedAt }) => [node.name, state, formedAt !== null]), [['four-1', 'MEMBER', true], ['four-2', 'MEMBER', true], ['four-3', 'MEMBER', true], ['four-4', 'LATE', false]]);
    await photograph(page, 'cluster-without');
    await assertAccessible(page, 'cluster that went on without a node');

    // Its disk was changed: it is retried, and joins by itself while the next test goes on.
    await ends.four();
    await button(inList(page, 'four-4'), 'Retry this node…').click();
    await button(dialog(page), 'Begin attempt 2').click();
    await done(page);
    await eventually('its attempt has begun', async () => assert.equal(member(await clusterNow('four'), 'four-4').deployment.attempt, 2));
    await region(page, 'four-4 failed').waitFor({ state: 'detached' });
    observed.assertClean();
    await context.close();
  });

  does('puts another node in the place of one that failed', async () => {
    await until('three', 'BLOCKED', ({ barrier }) => assert.deepEqual(barrier, { ready: 2, total: 3 }));
    const { context, page, observed } = await pageOf('three');
    await inList(page, 'three-3').waitFor();
    assert.deepEqual(await inList(page, 'three-3').getByRole('button').allTextContents(), ['Retry this node…', 'Replace it…'], 'three do not go on as two');
    await button(inList(page, 'three-3'), 'Replace it…').click();
    const name = dialog(page).getByLabel('Name', { exact: true });
    // A name that is taken is refused where it stands, and nothing is lost.
    await name.fill('three-1');
    await button(dialog(page), 'Replace it and deploy the other').click();
    await dialog(page).getByRole('alert').first().waitFor();
    assert.equal(await name.inputValue(), 'three-1');
    await photograph(page, 'dialog-cluster-replace-refused');
    await assertAccessible(page, 'dialog of a replacement that was refused');
    await name.fill('three-3b');
    await button(dialog(page), 'Replace it and deploy the other').click();
    await done(page);
    await row(page, 'three-3b').waitFor();
    await row(page, 'three-3').getByText('Replaced', { exact: true }).waitFor();
    await header(page, 'Deployed').waitFor({ timeout: muchPatience });
    const { members } = await until('three', 'DEPLOYED');
    assert.deepEqual(
      members.map(({ node, position, state }) => [node.name, position, state]).toSorted(),
      [['three-1', 1, 'MEMBER'], ['three-2', 2, 'MEMBER'], ['three-3', 3, 'REPLACED'], ['three-3b', 3, 'MEMBER']],
    );
    assert.ok((await cloud.servers()).some((each) => each.startsWith('slw-three-3-')), 'what it holds stays until it is cleaned up');
    await photograph(page, 'cluster-replaced');
    await assertAccessible(page, 'cluster of which a node was replaced');
    observed.assertClean();
    await context.close();
  });

  does('adds one more', async () => {
    const { context, page, observed } = await pageOf('three');
    await page.getByRole('group', { name: 'Actions' }).getByRole('link', { name: 'Add a node…', exact: true }).click();
    await page.getByRole('heading', { name: 'More nodes for a cluster', exact: true }).waitFor();
    assert.equal(await page.getByLabel('Cluster', { exact: true }).inputValue(), ids.three);
    await page.getByRole('group', { name: 'Node 4', exact: true }).waitFor();
    await page.getByLabel('Profile').first().locator(`option[value="${profile}"]`).waitFor({ state: 'attached' });
    await page.getByLabel('Profile').first().selectOption(profile);
    const add = button(page, 'Add the node');
    await page.getByText(/^(Nothing stands in the way\.|It can be deployed, with \d+ warnings?\.)/).waitFor();
    await region(page, 'Checks of three-4').waitFor();
    await photograph(page, 'cluster-join');
    await assertAccessible(page, 'form that adds a node');
    await add.click();
    await page.getByRole('heading', { name: 'three', exact: true }).waitFor();
    await row(page, 'three-4').waitFor();
    await eventually('it is a node of the cluster', async () => assert.equal(member(await clusterNow('three'), 'three-4')?.position, 4));
    // It grows, and then all four say so, those that were there before as well.
    await header(page, 'Growing').or(header(page, 'Deployed')).first().waitFor();
    const everybody = ({ barrier, members }) => {
      assert.deepEqual(barrier, { ready: 4, total: 4 });
      assert.equal(members.filter(({ state, formedAt }) => state === 'MEMBER' && formedAt !== null).length, 4);
    };
    await until('three', 'DEPLOYED', everybody);
    await header(page, 'Deployed').waitFor();
    await row(page, 'three-4').getByText('A member, by the cluster’s own word').waitFor();
    await count(page.getByRole('link', { name: 'Add a node…' }), 0, 'nothing can be added to four');
    await photograph(page, 'cluster-grown');
    await assertAccessible(page, 'cluster that has grown');

    // The node that came late belongs to the other one by now.
    await until('four', 'DEPLOYED', everybody);
    await page.goto(`${system.url}/monitoring/clusters/${ids.four}`);
    await row(page, 'four-4').getByText('A member, by the cluster’s own word').waitFor();
    observed.assertClean();
    await context.close();
  });
});
