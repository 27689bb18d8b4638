// The app as a person meets it: what its pages say, read from roles and names.
import assert from 'node:assert/strict';

import { eventually } from './eventually.mjs';

/** The words of the page for what the API says. */
export const words = {
  state: { QUEUED: 'Queued', RUNNING: 'Running', SUCCEEDED: 'Deployed', FAILED: 'Failed' },
  phaseRun: { WAITING: 'Waiting', IN_PROGRESS: 'Running', SUCCEEDED: 'Done', FAILED: 'Failed', TIMED_OUT: 'Timed out', SKIPPED: 'Skipped', CANCELED: 'Canceled' },
  event: { WAITING: 'Waiting', IN_PROGRESS: 'In progress', SUCCEEDED: 'Done', FAILED: 'Failed', TIMED_OUT: 'Timed out', SKIPPED: 'Skipped', CANCELED: 'Canceled' },
};

/** The pill that says how fresh the page is. */
export const pill = (page, text) => page.getByRole('banner').getByText(text);

/** The table's row of a node. */
export const rowOf = (page, name) => page.getByRole('row').filter({ has: page.getByRole('link', { name, exact: true }) });

/** A count above the table, which is a filter. */
export const countFilter = (page, word) => page.getByRole('group', { name: 'Filter by state' }).getByRole('button', { name: new RegExp(`^${word}\\b`) });

/**
 * Begins to write down every step that each row of the fleet shows, inside the
 * page: a page that was loaded anew has lost it.
 */
export async function recordSteps(page) {
  await page.evaluate(() => {
    const seen = {};
    const look = () => {
      for (const row of document.querySelectorAll('[role="row"]')) {
        const name = row.querySelector('a')?.textContent;
        const step = row.querySelector('[role="img"]')?.getAttribute('aria-label');
        if (!name || !step) continue;
        const steps = (seen[name] ??= []);
        if (steps.at(-1) !== step) steps.push(step);
      }
    };
    look();
    new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true });
    globalThis.stepsSeen = seen;
  });
}

/** What was written down: for each node the steps in the order of their appearance. */
export async function recordedSteps(page) {
  const seen = await page.evaluate(() => globalThis.stepsSeen);
  assert.ok(seen, 'the page was loaded anew: what it had written down is gone');
  return seen;
}

/** The numbers of the steps "Step 4 of 14: …"; 1000 for one without, the end. */
export const stepNumbers = (steps) => steps.map((step) => Number(/^Step (\d+) of/.exec(step)?.[1] ?? 1000));

/** The event list of a node's page, the oldest first. */
export const readEvents = (page) =>
  page.getByRole('region', { name: 'Events, the newest first' }).evaluate((region) =>
    [...region.querySelectorAll('ol > li')]
      .map((item) => ({
        message: item.querySelector('p')?.textContent ?? '',
        status: item.querySelector('[data-kind]')?.textContent ?? '',
        refused: item.dataset.outcome === 'REFUSED',
      }))
      .toReversed(),
  );

/** The phases of a node's page, those that were reached. */
export const readPhases = (page) =>
  page.getByRole('region', { name: 'Phases as a table' }).evaluate((region) =>
    [...region.querySelectorAll('tbody tr')]
      .map((row) => [...row.children].map((cell) => cell.textContent))
      .filter((cells) => cells.length > 3)
      .map(([label, attempt, status]) => ({ label, attempt: Number(attempt), status })),
  );

/** A node's page shows exactly what the server has: every event once and in order, every phase. */
export async function assertShowsDeployment(page, deployment) {
  assert.deepEqual(
    deployment.events.map(({ sequence }) => sequence),
    deployment.events.map((_, i) => i + 1),
    "the server's own sequence has no gap",
  );
  assert.deepEqual(
    await readEvents(page),
    deployment.events.map(({ message, status, outcome }) => ({ message, status: words.event[status], refused: outcome === 'REFUSED' })),
    'events',
  );
  const byOrder = (a, b) => a.label.localeCompare(b.label) || a.attempt - b.attempt;
  const expected = deployment.phases.filter(({ phase }) => !['DEPLOYED', 'FAILED'].includes(phase)).map(({ label, attempt, status }) => ({ label, attempt, status: words.phaseRun[status] }));
  assert.deepEqual((await readPhases(page)).filter(({ label }) => !['Deployed', 'Failed'].includes(label)).toSorted(byOrder), expected.toSorted(byOrder), 'phases');
}

/** The fleet's page shows exactly what the server has. */
export async function assertShowsFleet(page, fleet) {
  const shown = await page.getByRole('table', { name: 'Nodes' }).evaluate((table) =>
    Object.fromEntries(
      [...table.querySelectorAll('[data-index]')].map((row) => [
        row.querySelector('a').textContent,
        { state: row.querySelector('[data-column="state"]').textContent, progress: Number(row.querySelector('[role="progressbar"]').getAttribute('aria-valuenow')) },
      ]),
    ),
  );
  const expected = Object.fromEntries([...fleet.values()].map(({ name, state, currentDeployment }) => [name, { state: words.state[state], progress: Math.floor(currentDeployment.progress * 100 + 1e-9) }]));
  assert.deepEqual(shown, expected);
}

/** Presses the two keys of a shortcut as one does: the second one at once. */
export const chord = (page, first, second) => Promise.all([page.keyboard.press(first), page.keyboard.press(second)]);

/** Waits until the focus is inside of something that has just opened: it takes it a moment later. */
export const hasFocus = (locator) =>
  eventually('the focus is inside', async () => assert.ok(await locator.evaluate((element) => element.contains(document.activeElement))));

/** Waits until there are exactly so many. */
export const count = (locator, expected, what) => eventually(what ?? `there are ${expected}`, async () => assert.equal(await locator.count(), expected));
