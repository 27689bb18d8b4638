// The pictures of the documentation, made anew when SLIPWAY_PICTURES names the
// directory that they are kept in.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** The most that a picture may have, in bytes. */
const largest = 150 * 1024;

/**
 * Keeps what the window shows, as WebP; the highest quality that is small enough.
 *
 * @param {import('playwright-core').Page} page
 * @param {{ name: string, height?: number }} picture height of the window, in px
 */
export async function takePicture(page, { name, height = 900 }) {
  const directory = process.env.SLIPWAY_PICTURES;
  if (!directory) return;
  const before = page.viewportSize();
  await page.setViewportSize({ ...before, height });
  await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
  await mkdir(directory, { recursive: true });
  const browser = await page.context().newCDPSession(page);
  for (const quality of [90, 80, 70, 60]) {
    const { data } = await browser.send('Page.captureScreenshot', { format: 'webp', quality });
    const bytes = Buffer.from(data, 'base64');
    if (bytes.length > largest && quality > 60) continue;
    await writeFile(join(directory, `${name}.webp`), bytes);
    break;
  }
  await browser.detach();
  await page.setViewportSize(before);
}
