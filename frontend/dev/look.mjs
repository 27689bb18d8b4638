// Opens every page of the built app against the mock server, in both themes
// and two widths: screenshots to dev/shots, axe and the content policy must
// find nothing. Run after `npm run build`.
import { mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

import { chromium } from 'playwright-core';

import { startMock } from './mock-server.mjs';

const shots = fileURLToPath(new URL('./shots/', import.meta.url));
const axeSource = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const only = process.argv[2];

const button = (page, name) => page.getByRole('button', { name, exact: true }).click();
const fillIn = async (page) => {
  await page.getByLabel('Profile').selectOption('bx2d-metal-96x384');
  await button(page, 'Check');
};

const pages = [
  { name: 'fleet', path: '', ready: 'text=metal-fra-03' },
  { name: 'fleet-filtered', path: '?show=failed,stalled', ready: 'text=metal-fra-03' },
  { name: 'fleet-nothing', path: '?q=nothing-like-this', ready: 'text=No node matches' },
  { name: 'fleet-columns', path: '?cols=eta,attempt,server,created,seen&sort=eta', ready: 'text=metal-fra-03', act: (page) => button(page, 'Columns'), then: 'text=The usual columns' },
  { name: 'overview', path: '/overview', ready: 'text=Success by profile', then: 'text=median' },
  { name: 'insights', path: '/insights', ready: 'text=Success by profile', then: 'text=median' },
  { name: 'overview-empty', path: '/overview', ready: 'text=No failures', nodes: 0 },
  { name: 'history', path: '/history', ready: 'text=Show older events' },
  { name: 'history-filtered', path: '/history?status=FAILED&refused=true', ready: 'text=checksum' },
  { name: 'history-nobody', path: '/history?q=nobody', ready: 'text=No machine is called' },
  { name: 'deployment', path: '/deployments/dep_2', ready: 'text=What was ordered' },
  { name: 'deployment-unknown', path: '/deployments/dep_9999', ready: 'text=There is no such deployment' },
  { name: 'deployment-copy', path: '/deployments/dep_1', ready: 'text=What was ordered', act: (page) => button(page, 'Copy as…'), then: 'text=slipway watch' },
  { name: 'batch', path: '/batches/bat_1', ready: 'text=rack 7' },
  { name: 'settings-page', path: '/settings', ready: 'text=OpenAPI' },
  { name: 'palette', path: '', ready: 'text=metal-fra-03', act: (page) => page.keyboard.press('Control+k').then(() => page.keyboard.type('dal-0')), then: '[role=option]' },
  { name: 'node-late', path: '/nodes/node_9', ready: 'text=late' },
  { name: 'node-running', path: '/nodes/node_1', ready: 'text=Image download' },
  { name: 'node-failed', path: '/nodes/node_2', ready: 'text=What to do' },
  { name: 'node-stalled', path: '/nodes/node_3', ready: 'text=Stalled' },
  { name: 'node-table', path: '/nodes/node_1?view=table', ready: 'text=Image download' },
  { name: 'node-queued', path: '/nodes/node_4', ready: 'text=in the queue' },
  { name: 'node-never', path: '/nodes/node_5', ready: 'text=Never deployed' },
  { name: 'node-cleaning', path: '/nodes/node_7', ready: 'text=is stopping' },
  { name: 'node-deployed', path: '/nodes/node_30', ready: 'text=Resources at the provider' },
  { name: 'node-viewer', path: '/nodes/node_2', ready: 'text=What to do', role: 'viewer' },
  { name: 'act-cancel', path: '/nodes/node_1', ready: 'text=Image download', act: (page) => button(page, 'Cancel…'), then: 'text=When the phase ends' },
  { name: 'act-retry', path: '/nodes/node_2', ready: 'text=What to do', act: (page) => button(page, 'Retry…'), then: 'text=cannot be repeated' },
  {
    name: 'act-retry-from', path: '/nodes/node_2', ready: 'text=What to do', then: '[role=alert] code',
    act: async (page) => {
      await button(page, 'Retry from…');
      await button(page, 'Begin attempt 2');
    },
  },
  { name: 'act-reinitialize', path: '/nodes/node_2', ready: 'text=What to do', act: (page) => button(page, 'Reinitialize…'), then: 'text=Erase and install' },
  { name: 'act-cleanup', path: '/nodes/node_2', ready: 'text=What to do', act: (page) => button(page, 'Clean up…'), then: 'text=stop and delete' },
  { name: 'act-protect', path: '/nodes/node_2', ready: 'text=What to do', act: (page) => button(page, 'Protect…'), then: 'text=shown to whoever' },
  { name: 'deploy', path: '/deploy?name=metal-new', ready: 'text=metal-workload-3' },
  { name: 'deploy-checked', path: '/deploy?name=metal-new', ready: 'text=metal-workload-3', act: fillIn, then: 'text=with 1 warning' },
  { name: 'deploy-refused', path: '/deploy?name=taken', ready: 'text=metal-workload-3', act: fillIn, then: 'text=cannot be deployed' },
  { name: 'deploy-viewer', path: '/deploy', ready: 'text=not deploy', role: 'viewer' },
  { name: 'drift', path: '/resources', ready: 'text=slw-metal-old-1' },
  { name: 'drift-remove', path: '/resources', ready: 'text=slw-metal-old-1', act: (page) => button(page, 'Delete slw-metal-old-1'), then: 'text=deleted for good' },
  { name: 'node-unknown', path: '/nodes/node_999', ready: 'text=There is no such node' },
  { name: 'shortcuts', path: '', ready: 'text=metal-fra-03', act: (page) => page.keyboard.press('?'), then: 'text=Keyboard shortcuts' },
  { name: 'settings', path: '', ready: 'text=metal-fra-03', act: (page) => page.getByLabel('Settings').click(), then: 'text=Sign out' },
  { name: 'empty', path: '', ready: 'text=No nodes yet', nodes: 0 },
  { name: 'offline', path: '', ready: 'text=metal-fra-03', act: (_, mock) => mock.drop(true), then: 'text=Reconnecting', after: (mock) => mock.accept() },
  { name: 'signed-out', path: '', ready: 'text=Sign in with a link', signedIn: false },
];

await mkdir(shots, { recursive: true });
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run'],
});
const findings = [];
for (const entry of pages) {
  if (only && !entry.name.startsWith(only)) continue;
  const mock = await startMock({ port: 0, nodes: entry.nodes ?? 40, signedIn: entry.signedIn ?? true, role: entry.role ?? 'admin' });
  for (const colorScheme of ['light', 'dark']) {
    for (const width of [1280, 420]) {
      const where = `${entry.name} ${colorScheme} ${width}`;
      const context = await browser.newContext({ viewport: { width, height: width === 420 ? 860 : 900 }, colorScheme, reducedMotion: 'reduce' });
      const page = await context.newPage();
      page.on('console', (message) => {
        if (message.type() === 'error' && !(entry.name === 'offline' && /WebSocket/.test(message.text())) && !/401/.test(message.text())) findings.push(`${where}: console: ${message.text()}`);
      });
      page.on('pageerror', (error) => findings.push(`${where}: error: ${error.message}`));
      await page.goto(mock.url + entry.path);
      try {
        await page.waitForSelector(entry.ready, { timeout: 8000, state: 'attached' });
        await entry.act?.(page, mock);
        if (entry.then) await page.waitForSelector(entry.then, { timeout: 8000, state: 'attached' });
        await page.waitForTimeout(400);
      } catch (error) {
        findings.push(`${where}: ${error.message.split('\n')[0]}`);
      }
      await page.screenshot({ path: `${shots}${entry.name}-${colorScheme}-${width}.png`, fullPage: width === 1280 && entry.name.startsWith('node') });
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      if (overflow > 0) findings.push(`${where}: ${overflow} px wider than the window`);
      await page.evaluate(axeSource);
      const { violations } = await page.evaluate(() => globalThis.axe.run());
      for (const { id, nodes } of violations) findings.push(`${where}: axe ${id}: ${nodes.map(({ html, failureSummary }) => `${html.slice(0, 160)} :: ${failureSummary}`).slice(0, 3).join(' | ')}`);
      await context.close();
      entry.after?.(mock);
    }
  }
  await mock.close();
}
await browser.close();
for (const finding of findings) console.error(finding);
console.log(findings.length === 0 ? `nothing found; screenshots are in ${shots}` : `${findings.length} findings`);
process.exitCode = findings.length === 0 ? 0 : 1;
