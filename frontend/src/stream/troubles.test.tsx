// One trouble after the other, and what the pill says at every step of it.
import { act, cleanup, render } from '@testing-library/react';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { FreshnessPill } from '@/app/FreshnessPill';
import { StreamProvider } from '@/app/services';
import { resetServerClock } from '@/lib/clock';
import { timeMode } from '@/lib/preferences';
import { at } from '@/test/fixtures';
import { Random } from '@/test/random';
import { longEnough, SimulatedPage } from '@/test/simulatedPage';
import { fair, SimulatedServer } from '@/test/simulatedServer';

let page: SimulatedPage;
let server: SimulatedServer;
/** Messages take a moment, as they do. */
const usual = { ...fair, latency: 200 };

/** What the pill said, each change once. */
let said: string[];
let pill: HTMLElement;

const word = (): string => pill.textContent.replace(/(no data yet|as of .*)$/, '');
const asOf = (): string => /(no data yet|as of .*)$/.exec(pill.textContent)?.[0] ?? '';

/** Time passes; the pill is read five times a second, and must not lie once. */
async function pass(seconds: number): Promise<void> {
  for (let i = 0; i < seconds * 5; i++) {
    await act(() => page.wait(200));
    if (said.at(-1) !== word()) said.push(word());
    expect(page.lies(), word()).toEqual([]);
  }
}

/** What is said after one lost connection. */
const dropped = ['Reconnecting in 1 s', 'Reconnecting · trying now', 'Catching up', 'Live'];

/** What was said since the last time. */
const heard = (): string[] => said.splice(0);

function happens(times: number): void {
  for (let i = 0; i < times; i++) server.report(server.random.pick(['node_1', ...server.nodes.keys()]));
}

async function arrives(nodes = 9): Promise<void> {
  server = new SimulatedServer(new Random(1), nodes);
  server.weather = { ...usual };
  page = new SimulatedPage(server);
  ({ container: pill } = render(
    <StreamProvider value={page.stream}>
      <FreshnessPill />
    </StreamProvider>,
  ));
  said = [word()];
  await pass(5);
  expect(page.differences()).toEqual([]);
}

/** All is well in the end: live, nothing missing, nothing doubled, and no query is asked any more. */
async function isWell(): Promise<void> {
  expect(word()).toBe('Live');
  expect(page.differences()).toEqual([]);
  const asked = server.asked.length;
  happens(10);
  await pass(2);
  expect(page.differences()).toEqual([]);
  expect(server.asked.length).toBe(asked);
}

// Minutes go by in each; a busy machine needs some seconds for that.
vi.setConfig({ testTimeout: 60_000 });

beforeEach(() => {
  vi.useFakeTimers({ now: Date.parse(at(0)) });
  resetServerClock();
  timeMode.set('utc');
});
afterEach(() => {
  cleanup();
  page.stop();
  vi.useRealTimers();
});

it('connects, catches up and is live', async () => {
  await arrives();
  expect(heard()).toEqual(['Connecting', 'Catching up', 'Live']);
  expect(asOf()).toMatch(/^as of 10:00:0\dZ$/);
  await isWell();
  expect(server.asked).toEqual([]);
});

it('is dropped: counts down, resumes, misses nothing', async () => {
  await arrives();
  heard();
  happens(3);
  server.closeAll(1006);
  happens(10);
  server.add();
  server.remove('node_5');
  await pass(6);
  expect(heard()).toEqual(dropped);
  await isWell();
});

it('is told late: live only when nothing is on its way', async () => {
  await arrives();
  heard();
  server.weather.latency = 3000;
  server.closeAll(1006);
  happens(20);
  await pass(longEnough / 1000);
  expect(new Set(heard())).toEqual(new Set(['Reconnecting in 1 s', 'Reconnecting · trying now', 'Catching up', 'Live']));
  server.weather.latency = usual.latency;
  await pass(5);
  await isWell();
});

it('has missed much: a long replay says Catching up until it is done', async () => {
  await arrives();
  heard();
  server.closeAll(1006);
  // Machines that are new to the fleet, and no event of any.
  for (let i = 0; i < 900; i++) server.add();
  let whileBehind = 0;
  for (let i = 0; i < 60; i++) {
    await pass(0.2);
    const held = page.stream.fleet.get().rows.size;
    if (word() === 'Live') expect(held).toBe(server.nodes.size);
    else if (held > 9 && held < server.nodes.size) whileBehind += 1;
  }
  expect(whileBehind).toBeGreaterThan(15);
  expect(heard()).toEqual(dropped);
  await isWell();
});

describe('is refused', () => {
  it.each([1000, 1001, 1011, 1012, 4400, 4401, 4403, 4406, 4429, 4500])('once, with %i, and comes back by itself', async (code) => {
    await arrives();
    heard();
    server.closeAll(code);
    happens(10);
    await pass(6);
    expect(heard()).toEqual(dropped);
    // Codes that may be about the sign-in make it ask.
    expect(page.checkSession).toHaveBeenCalled();
    await isWell();
  });

  it('because the sign-in has ended: asks for it, polls, and says that it knows nothing', async () => {
    await arrives();
    heard();
    server.weather.signedIn = false;
    server.closeAll(4403);
    happens(5);
    await pass(12);
    expect(page.checkSession).toHaveBeenCalled();
    // What a query is told then is what brings the sign-in page.
    expect(page.signedOut).toHaveBeenCalled();
    expect(word()).toMatch(/^Offline/);
    expect(said).not.toContain('Live');
    server.weather.signedIn = true;
    page.stream.hurry();
    await pass(longEnough / 1000);
    await isWell();
  });

  it('or rather not answered at all: gives up on it and polls', async () => {
    await arrives();
    heard();
    server.weather.hangs = true;
    server.closeAll(1006);
    happens(5);
    await pass(40);
    // Two connects of ten seconds each have been given up, and the first that was lost.
    expect(word()).toMatch(/^Polling/);
    expect(said).toContain('Reconnecting · trying now');
    server.weather.hangs = false;
    await pass(longEnough / 1000);
    await isWell();
  });
});

it('is told twice, and again from before its place, by a server that others write to', async () => {
  await arrives();
  server.weather.doubled = 1;
  server.weather.again = 20;
  for (let i = 0; i < 5; i++) {
    happens(6);
    server.closeAll(1012);
    happens(6);
    await pass(6);
  }
  await isWell();
});

it('was too slow: keeps the rows until the new ones are whole', async () => {
  await arrives(13);
  heard();
  server.remove('node_3');
  server.resetReaders();
  happens(4);
  // One page after the other; the machine that is gone goes with the last.
  const sizes = new Set<number>();
  const unsubscribe = page.stream.fleet.subscribe(() => sizes.add(page.stream.fleet.get().rows.size));
  await pass(6);
  unsubscribe();
  expect([...sizes].every((size) => size >= 12)).toBe(true);
  expect(page.resets).toBeGreaterThan(0);
  expect(heard()).not.toContain('Connecting');
  await isWell();
});

it.each([
  ['its place is forgotten', () => server.forget()],
  ['the database is another one', () => server.restore()],
])('begins anew when %s', async (_, trouble) => {
  await arrives();
  server.closeAll(1006);
  happens(10);
  server.remove('node_7');
  trouble();
  happens(2);
  await pass(6);
  expect(page.resets).toBe(1);
  await isWell();
});

it('notices a network that says nothing, and says so', async () => {
  await arrives();
  await pass(20);
  heard();
  server.freeze();
  happens(10);
  // A ping every ten seconds, five for its pong, and then as if it had been dropped.
  await pass(22);
  expect(heard()).toEqual(['Live', ...dropped]);
  await isWell();
});

it('is stale while the server cannot read its database, as of the time it says', async () => {
  await arrives();
  heard();
  server.weather.blindSince = server.now();
  happens(5);
  await pass(20);
  expect(heard().at(-1)).toBe('Stale');
  expect(asOf()).toBe('as of 10:00:05Z');
  server.weather.blindSince = null;
  page.waited = 0;
  await pass(20);
  expect(heard().at(-1)).toBe('Live');
  await isWell();
});

it('has no server for two minutes: offline, the rows stay, and then all of it is there', async () => {
  await arrives();
  heard();
  const rows = page.stream.fleet.get().rows.size;
  const before = asOf();
  const sockets = server.sockets.length;
  server.weather = { ...usual, reachable: false, http: 'down' };
  server.closeAll(1006);
  await pass(120);
  // Whether a connect is seen while it is tried depends on how long it takes.
  const words = heard().filter((each) => each !== 'Reconnecting · trying now');
  expect(words.slice(0, 3)).toEqual(['Reconnecting in 1 s', 'Reconnecting in 2 s', 'Reconnecting in 1 s']);
  // Polling begins with the third failure, and fails at once.
  expect(words[3]).toMatch(/^(Polling|Offline) · next try in 4 s$/);
  expect(words.slice(4).every((each) => /^Offline · (next try in \d+ s|trying now)$/.test(each))).toBe(true);
  // It counts down to 30 s at most and never gives up.
  expect(words).toContain('Offline · next try in 30 s');
  expect(server.sockets.length - sockets).toBeGreaterThanOrEqual(6);
  expect(server.sockets.length - sockets).toBeLessThanOrEqual(9);
  expect(page.stream.fleet.get().rows.size).toBe(rows);
  expect(asOf()).toBe(before);

  happens(50);
  server.add();
  server.remove('node_4');
  server.weather = { ...usual };
  await pass(36);
  expect(heard().slice(-2)).toEqual(['Catching up', 'Live']);
  await isWell();
});

it('polls where websockets do not pass, and leaves that as soon as one does', async () => {
  await arrives();
  heard();
  server.weather.reachable = false;
  server.closeAll(1006);
  await pass(4);
  expect(word()).toMatch(/^Polling · next try in \d s$/);
  for (let i = 0; i < 3; i++) {
    happens(12);
    server.add();
    server.remove(server.random.pick([...server.nodes.keys()].slice(1)));
    // A round, the pause that is nine times as long, and another round.
    await pass(40);
    expect(page.differences()).toEqual([]);
    expect(word()).toMatch(/^Polling/);
  }
  // Even what the server has already removed from the stream.
  happens(3);
  server.forget();
  await pass(40);
  expect(page.differences()).toEqual([]);
  expect(page.resets).toBe(1);
  expect(word()).toMatch(/^Polling/);

  server.weather.reachable = true;
  happens(5);
  await pass(36);
  expect(heard().slice(-2)).toEqual(['Catching up', 'Live']);
  await isWell();
});

it('does not take a poll that was overtaken by the stream', async () => {
  await arrives();
  server.weather.reachable = false;
  server.closeAll(1006);
  await pass(4);
  server.weather.latency = 4000;
  await pass(5);
  server.weather.latency = usual.latency;
  // The answers that are on their way are older than what the socket brings now.
  server.weather.reachable = true;
  page.stream.hurry();
  happens(10);
  server.remove('node_2');
  await pass(10);
  await isWell();
});

it('gives up on queries that are never answered, and asks again', async () => {
  await arrives();
  server.weather = { ...usual, reachable: false, http: 'hangs' };
  server.closeAll(1006);
  await pass(30);
  expect(word()).toMatch(/^Offline/);
  server.weather.http = 'well';
  happens(5);
  // The one that hangs takes fifteen seconds, and its successor a round.
  await pass(25);
  expect(word()).toMatch(/^Polling/);
  expect(page.differences()).toEqual([]);
});

it('asks nothing by HTTP during a thousand events', async () => {
  await arrives();
  for (let i = 0; i < 40; i++) {
    happens(25);
    await pass(0.2);
  }
  await pass(12);
  expect(server.events.length).toBe(1000);
  expect(page.differences()).toEqual([]);
  expect(server.asked).toEqual([]);
});
