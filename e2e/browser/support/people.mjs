// People who are signed in, each once for all tests of a system.
import { pill } from './app.mjs';
import { keep, open } from './browser.mjs';

/** The people of a system, by their roles. */
export class People {
  /** The page that was opened last, for a picture of what a test failed on. */
  latest = null;
  sessions = new Map();

  constructor(browser, system) {
    Object.assign(this, { browser, system });
  }

  /** A page that a person with a role has opened, and that is live. */
  async open(path = '', role = 'operator') {
    const { browser, system, sessions } = this;
    if (!sessions.has(role)) {
      const { context, page } = await open(browser, system.url);
      await page.goto(await system.signInLink(`the-${role}`, system.url, role));
      await pill(page, 'Live').waitFor();
      sessions.set(role, await context.storageState());
      await context.close();
    }
    const opened = await open(browser, system.url, { storageState: sessions.get(role) });
    this.latest = opened.page;
    await opened.page.goto(`${system.url}/monitoring${path}`);
    await pill(opened.page, 'Live').waitFor();
    return opened;
  }

  /** Does what a test does; leaves a picture of what it failed on. */
  async leavingPicture(name, body) {
    try {
      return await body();
    } catch (error) {
      if (this.latest !== null && !this.latest.isClosed()) await keep(this.latest, `wrong-${name.replaceAll(/\W+/g, '-').slice(0, 40)}`).catch(() => undefined);
      throw error;
    }
  }
}
