// A demonstration in which one machine fails, and all that a person does with
// the page besides watching: filters, the keyboard, links that no longer work.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { assertShowsDeployment, chord, countFilter, hasFocus, pill, rowOf } from './support/app.mjs';
import { assertAccessible, launch, open, photograph } from './support/browser.mjs';
import { eventually, muchPatience } from './support/eventually.mjs';
import { slipway, startDemo } from './support/slipway.mjs';

describe('a fleet with a machine that failed', () => {
  let system;
  let browser;
  let api;
  let session;
  before(async () => {
    system = await startDemo({ pace: 'quick', faults: [{ match: '*demo-2*', fault: 'wrong_host_key' }] });
    browser = await launch();
    api = await system.api();
    await eventually(
      'demo-1 and demo-3 are deployed, demo-2 has failed',
      async () => {
        const fleet = await api.fleet();
        assert.deepEqual(['demo-1', 'demo-2', 'demo-3'].map((name) => fleet.get(name)?.state), ['SUCCEEDED', 'FAILED', 'SUCCEEDED']);
      },
      { timeout: muchPatience },
    );
  });
  after(async () => {
    await browser?.close();
    await system?.stop();
  });

  // One person is signed in for all that needs no sign-in of its own.
  const signedIn = async () => {
    if (!session) {
      const { context, page } = await open(browser, system.url);
      await page.goto(system.link);
      await rowOf(page, 'demo-2').waitFor();
      session = await context.storageState();
      await context.close();
    }
    return open(browser, system.url, { storageState: session });
  };

  it('signs in once with a link, and says clearly that it works no second time', async () => {
    await (await signedIn()).context.close();
    const { context, page, observed } = await open(browser, system.url);
    const answers = [];
    page.on('response', (answer) => answers.push(`${answer.request().method()} ${new URL(answer.url()).pathname} ${answer.status()}`));
    await page.goto(system.link);
    await page.getByText('This link has been used or is too old').waitFor();
    assert.equal(page.url(), `${system.url}/monitoring`, 'the code has left the address');
    await eventually('the answer was a refusal', () => assert.ok(answers.includes('POST /api/session 401'), answers.join(', ')));
    assert.deepEqual(await context.cookies(), [], 'no session');
    assert.equal(observed.sockets.length, 0, 'nothing is asked for without a session');
    await photograph(page, 'sign-in-link-used');
    await assertAccessible(page, 'used link');
    // The browser itself writes down each answer that is an error.
    observed.assertClean([/status of 401/]);
    await context.close();
  });

  it('shows somebody who is not signed in how to sign in', async () => {
    const { context, page, observed } = await open(browser, system.url);
    await page.goto(`${system.url}/monitoring/nodes/node_1`);
    await page.getByText('Sign in with a link').waitFor();
    assert.equal(await page.getByText('demo-').count(), 0, 'nothing of the fleet is shown');
    await photograph(page, 'sign-in');
    await assertAccessible(page, 'sign-in');

    // What it says works: the command, and its link in the same tab.
    const [program, ...args] = (await page.getByTitle('Command that makes a sign-in link').textContent()).replace('NAME', 'somebody').split(' ');
    assert.equal(program, 'slipway');
    const link = await slipway([...args, `--data-dir=${system.dir}`, `--server=${system.url}`]);
    await page.goto(link.replace('/monitoring#', '/monitoring/nodes/node_1#'));
    await page.getByRole('heading', { name: /^demo-/ }).waitFor();
    assert.equal(page.url(), `${system.url}/monitoring/nodes/node_1`, 'the code has left the address');
    assert.equal(observed.documents.length, 1, 'nothing was loaded anew');
    observed.assertClean([/status of 401/]);
    await context.close();
  });

  it('tells where, why and what to do', async () => {
    const { context, page, observed } = await signedIn();
    await page.goto(`${system.url}/monitoring`);
    const row = rowOf(page, 'demo-2');
    await row.getByText('Failed', { exact: true }).waitFor();
    const { failure } = (await api.fleet()).get('demo-2').currentDeployment;
    assert.equal(failure.phase, 'HEALTH_VALIDATION');
    assert.ok(failure.hint, 'the server has a hint');
    await row.getByText(`Health check · ${failure.code.replaceAll('_', ' ')}`).waitFor();
    await photograph(page, 'fleet-failed');
    await assertAccessible(page, 'fleet with a failed node');

    await row.getByRole('link', { name: 'demo-2', exact: true }).click();
    const card = page.getByRole('region', { name: 'Failure', exact: true });
    await card.getByText('Failed in Health check').waitFor();
    for (const text of [failure.code, failure.message, failure.hint]) await card.getByText(text).first().waitFor();
    assert.match(failure.message, /host key/i);
    await eventually('the page shows what the server has', async () => assertShowsDeployment(page, await api.deploymentOf('demo-2')));
    await photograph(page, 'node-failed');
    await assertAccessible(page, 'node that failed');
    observed.assertClean();
    await context.close();
  });

  it('filters by a count, and keeps the filter in the address', async () => {
    const { context, page, observed } = await signedIn();
    await page.goto(`${system.url}/monitoring`);
    await rowOf(page, 'demo-1').waitFor();
    const failed = countFilter(page, 'Failed');
    await failed.getByText('1', { exact: true }).waitFor();
    await countFilter(page, 'Deployed').getByText('2', { exact: true }).waitFor();
    await failed.click();
    const onlyTheFailed = async () => {
      await page.waitForURL(/\/monitoring\/?\?show=failed$/);
      await rowOf(page, 'demo-2').waitFor();
      await rowOf(page, 'demo-1').waitFor({ state: 'detached' });
      await eventually('the count is pressed', async () => assert.equal(await countFilter(page, 'Failed').getAttribute('aria-pressed'), 'true'));
    };
    await onlyTheFailed();
    await page.reload();
    await onlyTheFailed();
    await page.getByRole('link', { name: 'demo-2', exact: true }).click();
    await page.getByRole('heading', { name: 'demo-2' }).waitFor();
    await page.goBack();
    await onlyTheFailed();
    await page.goForward();
    await page.getByRole('heading', { name: 'demo-2' }).waitFor();
    await page.goBack();
    await page.getByRole('group', { name: 'Filter by state' }).getByRole('button', { name: /^All/ }).click();
    await rowOf(page, 'demo-1').waitFor();
    assert.equal(new URL(page.url()).search, '');
    observed.assertClean();
    await context.close();
  });

  it('has pages for addresses that name nothing', async () => {
    const { context, page, observed } = await signedIn();
    await page.goto(`${system.url}/monitoring/no/such/page`);
    await page.getByRole('heading', { name: 'This page does not exist' }).waitFor();
    await photograph(page, 'not-found');
    await assertAccessible(page, 'not found');
    await page.goto(`${system.url}/monitoring/nodes/node_4711`);
    await page.getByRole('heading', { name: 'There is no such node' }).waitFor();
    await assertAccessible(page, 'no such node');
    await page.getByRole('link', { name: 'Go to the fleet' }).click();
    await rowOf(page, 'demo-1').waitFor();
    observed.assertClean([/status of 404/]);
    await context.close();
  });

  it('is used with the keyboard alone', async () => {
    const { context, page, observed } = await signedIn();
    await page.goto(`${system.url}/monitoring`);
    await rowOf(page, 'demo-3').waitFor();
    const focused = () => page.evaluate(() => document.activeElement?.textContent?.trim() ?? '');
    const press = (key) => page.keyboard.press(key);

    await press('Tab');
    assert.equal(await focused(), 'Skip to content');
    assert.ok(await page.getByRole('link', { name: 'Skip to content' }).isVisible());
    const { y, height } = await page.getByRole('link', { name: 'Skip to content' }).boundingBox();
    assert.ok(y >= 0 && height > 0, 'the skip link is in view once it has the focus');
    await press('Enter');
    await eventually('the content has the focus', async () => assert.equal(await page.evaluate(() => document.activeElement?.id), 'main'));

    // Tab reaches the rows, in their order, past filters and headings.
    const reached = [];
    for (let i = 0; i < 40 && !reached.includes('demo-3'); i++) {
      await press('Tab');
      reached.push(await focused());
    }
    assert.deepEqual(reached.filter((text) => text.startsWith('demo-')), ['demo-2', 'demo-1', 'demo-3'], 'what needs attention is first');

    await press('?');
    const dialog = page.getByRole('dialog', { name: 'Keyboard shortcuts' });
    await dialog.waitFor();
    await hasFocus(dialog);
    await assertAccessible(page, 'dialog of shortcuts');
    await press('Escape');
    await dialog.waitFor({ state: 'detached' });
    await eventually('the focus is back in the row', async () => assert.equal(await focused(), 'demo-3'));

    await press('k');
    await eventually('k goes up', async () => assert.equal(await focused(), 'demo-1'));
    await press('j');
    await eventually('j goes down', async () => assert.equal(await focused(), 'demo-3'));
    await press('Enter');
    await page.getByRole('heading', { name: 'demo-3' }).waitFor();
    await chord(page, 'g', 'f');
    await rowOf(page, 'demo-2').waitFor();
    // The page listens to its keys a moment after it is seen.
    const filter = page.getByRole('textbox', { name: /^Filter by name/ });
    const filters = () => filter.evaluate((element) => element === document.activeElement);
    await eventually('the filter has the focus', async () => {
      if (!(await filters())) await press('/');
      assert.ok(await filters());
    });
    await page.keyboard.type('demo-2');
    await rowOf(page, 'demo-1').waitFor({ state: 'detached' });
    await page.waitForURL(/q=demo-2/);
    observed.assertClean();
    await context.close();
  });

  it('signs out', async () => {
    const { context, page, observed } = await open(browser, system.url);
    await page.goto(await system.signInLink('leaving'));
    await pill(page, 'Live').waitFor();
    await page.getByRole('button', { name: 'Settings' }).focus();
    await page.keyboard.press('Enter');
    const menu = page.getByRole('dialog', { name: 'Settings' });
    await menu.getByText('leaving').waitFor();
    await hasFocus(menu);
    await page.getByRole('button', { name: 'Sign out' }).focus();
    await page.keyboard.press('Enter');
    await page.getByText('Sign in with a link').waitFor();
    await eventually('the websocket is closed', () => assert.ok(observed.sockets.every(({ closed }) => closed)));
    assert.equal((await context.request.get(`${system.url}/api/session`)).status(), 401, 'the session is over on the server as well');
    observed.assertClean([/status of 401/]);
    await context.close();
  });

  it('runs nothing inline, and needs no exception from the strictest content policy', async () => {
    const { context, page, observed } = await signedIn();
    const answer = await page.goto(`${system.url}/monitoring`);
    const policy = new Map((answer.headers()['content-security-policy'] ?? '').split(';').map((text) => text.trim().split(/\s+/)).map(([name, ...sources]) => [name, sources]));
    for (const name of ['script-src', 'style-src', 'connect-src', 'font-src']) assert.deepEqual(policy.get(name) ?? policy.get('default-src'), ["'self'"], name);
    for (const name of ['object-src', 'base-uri', 'frame-ancestors']) assert.deepEqual(policy.get(name), ["'none'"], name);

    // The policy is in force, not only announced.
    await rowOf(page, 'demo-1').waitFor();
    const refused = page.waitForEvent('console', { predicate: (message) => message.type() === 'error' && /Content Security Policy/.test(message.text()) });
    await page.evaluate(() => {
      const script = document.createElement('script');
      script.textContent = 'globalThis.inlineRan = true';
      document.body.append(script);
    });
    await refused;
    assert.equal(await page.evaluate(() => globalThis.inlineRan), undefined);
    observed.assertClean([/Content Security Policy/]);

    // All of the app works under that policy, which has no exception for
    // inline code or styles.
    const strict = await open(context, system.url);
    const strictAnswer = await strict.page.goto(`${system.url}/monitoring`);
    assert.doesNotMatch(strictAnswer.headers()['content-security-policy'], /unsafe/);
    await strict.page.getByRole('button', { name: 'Settings' }).click();
    await strict.page.getByRole('button', { name: 'Sign out' }).waitFor();
    // A key is heard where the focus is, and shortcuts where nothing is open.
    const menu = strict.page.getByRole('dialog', { name: 'Settings' });
    await hasFocus(menu);
    await strict.page.keyboard.press('Escape');
    await menu.waitFor({ state: 'detached' });
    await strict.page.keyboard.press('?');
    const shortcuts = strict.page.getByRole('dialog', { name: 'Keyboard shortcuts' });
    await shortcuts.waitFor();
    await strict.page.keyboard.press('Escape');
    await shortcuts.waitFor({ state: 'detached' });
    await strict.page.getByRole('link', { name: 'demo-2', exact: true }).click();
    await strict.page.getByRole('region', { name: 'Failure', exact: true }).waitFor();
    await strict.page.getByText('Table', { exact: true }).click();
    await strict.page.getByRole('columnheader', { name: 'Deadline' }).waitFor();
    strict.observed.assertClean();
    await context.close();
  });

  it('lets the demonstration end cleanly', async () => {
    assert.match(await slipway(['version']), /\S/);
    const [demo] = system.processes;
    const { code, signal } = await demo.stop(muchPatience);
    assert.equal(code, 0, `it ended with ${code ?? signal}:\n${demo.tail()}`);
  });
});
