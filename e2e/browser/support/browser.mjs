// The browser, and an observer that writes down what a page does.
import assert from 'node:assert/strict';
import { access, mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';

import { muchPatience, patience, slowness } from './eventually.mjs';
import { root } from './slipway.mjs';

// The app's own development dependencies; nothing is installed twice.
const require = createRequire(join(root, 'frontend', 'package.json'));
const { chromium } = require('playwright-core');
const axe = await readFile(require.resolve('axe-core/axe.min.js'), 'utf8');

const artifacts = join(root, 'e2e', 'artifacts');

/** Starts the browser; `more` are arguments that one test alone needs. */
export async function launch(more = []) {
  const executablePath = process.env.CHROMIUM || '/usr/bin/chromium';
  await access(executablePath).catch(() => {
    throw new Error(`there is no browser at ${executablePath}: install Debian's package chromium, or set CHROMIUM`);
  });
  await mkdir(artifacts, { recursive: true });
  return chromium.launch({
    executablePath,
    timeout: muchPatience,
    // The browser itself must not speak to anybody, and nothing here has a GPU.
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', ...more],
  });
}

/** What a page did since it was opened. */
export class Observer {
  /** Whole documents that were loaded. */
  documents = [];
  /** Operations that went to /graphql by POST. */
  posts = [];
  /** Websockets: url, frames each way, whether it is over. */
  sockets = [];
  /** Errors in the console, of the content policy among them. */
  errors = [];
  /** Requests that left the page's origin. */
  strangers = [];

  constructor(page, origin) {
    const sameHost = (url) => new URL(url).host === new URL(origin).host;
    page.on('request', (request) => {
      const url = request.url();
      if (!/^(data|blob):/.test(url) && !sameHost(url)) this.strangers.push(url);
      if (request.isNavigationRequest() && request.frame() === page.mainFrame()) this.documents.push(url);
      if (request.method() === 'POST' && new URL(url).pathname === '/graphql') this.posts.push(request.postDataJSON()?.operationName ?? '?');
    });
    page.on('websocket', (socket) => {
      if (!sameHost(socket.url())) this.strangers.push(socket.url());
      const seen = { url: socket.url(), sent: [], received: [], closed: false };
      this.sockets.push(seen);
      socket.on('framesent', ({ payload }) => seen.sent.push(String(payload)));
      socket.on('framereceived', ({ payload }) => seen.received.push(String(payload)));
      socket.on('close', () => (seen.closed = true));
    });
    page.on('console', (message) => {
      if (message.type() === 'error') this.errors.push(`${message.text()} (${message.location().url})`);
    });
    page.on('pageerror', (error) => this.errors.push(error.stack ?? error.message));
  }

  /**
   * Nothing went wrong and nothing left the origin.
   *
   * @param {RegExp[]} [expected] errors that a test has caused itself
   */
  assertClean(expected = []) {
    assert.deepEqual(this.errors.filter((error) => !expected.some((pattern) => pattern.test(error))), [], 'errors in the console');
    assert.deepEqual(this.strangers, [], 'requests that left the origin');
  }
}

/** Opens a page in its own session, or in that of a context. */
export async function open(browserOrContext, origin, options = {}) {
  const context = browserOrContext.newContext ? await browserOrContext.newContext({ viewport: { width: 1280, height: 900 }, reducedMotion: 'reduce', ...options }) : browserOrContext;
  const page = await context.newPage();
  page.setDefaultTimeout(patience);
  if (slowness > 1) await (await context.newCDPSession(page)).send('Emulation.setCPUThrottlingRate', { rate: slowness });
  return { context, page, observed: new Observer(page, origin) };
}

const themes = ['light', 'dark'];
const widths = [1280, 420];

const settled = (page) => page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));

/**
 * Writes down each jump of the layout from now on, in every page of a context,
 * with what jumped.
 */
export const watchLayout = (context) =>
  context.addInitScript(() => {
    globalThis.layoutJumps = [];
    const name = (node) => (node instanceof Element ? `${node.tagName.toLowerCase()}.${[...node.classList].join('.')} "${(node.textContent ?? '').trim().slice(0, 40)}"` : String(node?.nodeName));
    new PerformanceObserver((list) => {
      for (const { startTime, value, hadRecentInput, sources } of list.getEntries()) {
        if (!hadRecentInput) globalThis.layoutJumps.push({ at: startTime, value, what: sources.map(({ node, previousRect: a, currentRect: b }) => `${name(node)} from ${a.x},${a.y} ${a.width}x${a.height} to ${b.x},${b.y} ${b.width}x${b.height}`) });
      }
    }).observe({ type: 'layout-shift', buffered: true });
  });

/** What has jumped since the page was opened, or since forgetJumps, in a context with watchLayout. */
export async function layoutJumps(page) {
  await settled(page);
  return page.evaluate(() => globalThis.layoutJumps.filter(({ at }) => at >= (globalThis.jumpsSince ?? 0)));
}

/**
 * What has jumped until now was asked for. A browser forgives what follows
 * a key or a click within half a second; a busy machine needs longer.
 */
export async function forgetJumps(page) {
  await settled(page);
  await page.evaluate(() => void (globalThis.jumpsSince = performance.now()));
}

/** How much wider than its window the page is, in px. */
export const tooWide = (page) => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);

/** What axe finds in the page as it is, in words. */
export async function findings(page) {
  await settled(page);
  if (!(await page.evaluate(() => 'axe' in globalThis))) await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run({ resultTypes: ['violations'] }));
  return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html, failureSummary }) => `${html.slice(0, 160)} ${failureSummary}`).join(' | ')}`);
}

/**
 * A picture of the page as it is, kept as output of the tests; of a page that is
 * very long, as much as the window shows.
 */
export async function keep(page, name) {
  // What is fixed to the window would be in the middle of a picture of the whole page.
  await page.evaluate(() => globalThis.scrollTo(0, 0));
  await settled(page);
  const fullPage = await page.evaluate(() => document.documentElement.scrollHeight < 3000);
  await page.screenshot({ path: join(artifacts, `${name}.png`), fullPage });
}

/** Pictures of a page in both themes and two widths; none may be wider than its window. */
export async function photograph(page, name) {
  const before = page.viewportSize();
  for (const colorScheme of themes) {
    await page.emulateMedia({ colorScheme });
    for (const width of widths) {
      await page.setViewportSize({ width, height: 900 });
      await page.evaluate(() => globalThis.scrollTo(0, 0));
      await settled(page);
      await page.screenshot({ path: join(artifacts, `${name}-${colorScheme}-${width}.png`), fullPage: true });
      const over = await tooWide(page);
      assert.equal(over, 0, `${name}, ${colorScheme}, ${width} px: ${over} px wider than the window`);
    }
  }
  await page.setViewportSize(before);
  await page.emulateMedia({ colorScheme: null });
}

/** axe finds nothing, in either theme. */
export async function assertAccessible(page, name) {
  for (const colorScheme of themes) {
    await page.emulateMedia({ colorScheme });
    assert.deepEqual(await findings(page), [], `${name}, ${colorScheme}`);
  }
  await page.emulateMedia({ colorScheme: null });
}
