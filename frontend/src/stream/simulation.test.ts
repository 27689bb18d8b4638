// The stream against a simulated server and network that go wrong at random:
// the pill never lies, and afterwards nothing is missing and nothing is doubled.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { resetServerClock } from '@/lib/clock';
import { at } from '@/test/fixtures';
import { Random } from '@/test/random';
import { longEnough, SimulatedPage as Page } from '@/test/simulatedPage';
import { fair, SimulatedServer } from '@/test/simulatedServer';

let page: Page | undefined;

vi.setConfig({ testTimeout: 60_000 });

beforeEach(() => {
  vi.useFakeTimers({ now: Date.parse(at(0)) });
  resetServerClock();
});
afterEach(() => {
  page?.stop();
  page = undefined;
  vi.useRealTimers();
});

const faults = {
  'the socket is cut': ({ server }: Page) => server.closeAll(1006),
  'the server restarts': ({ server }: Page) => server.closeAll(1012),
  'the session is refused once': ({ server }: Page) => server.closeAll(4403),
  'too many initialisations are claimed': ({ server }: Page) => server.closeAll(4429),
  'the network goes silent': ({ server }: Page) => server.freeze(),
  'readers are too slow': ({ server }: Page) => server.resetReaders(),
  'old positions are forgotten': ({ server }: Page) => server.forget(),
  'another database is restored': ({ server }: Page) => server.restore(),
  'connects are refused': ({ server }: Page) => {
    server.weather.reachable = false;
    server.closeAll(1006);
  },
  'connects hang': ({ server }: Page) => {
    server.weather.hangs = true;
    server.closeAll(1006);
  },
  'the sign-in ends': ({ server }: Page) => {
    server.weather.signedIn = false;
    server.closeAll(4403);
  },
  'queries find no server': ({ server }: Page) => (server.weather.http = 'down'),
  'queries are answered with 503': ({ server }: Page) => (server.weather.http = 'broken'),
  'queries have no answer': ({ server }: Page) => (server.weather.http = 'hangs'),
  'messages take long': ({ server }: Page) => (server.weather.latency = 3000),
  'messages come twice': ({ server }: Page) => (server.weather.doubled = 0.5),
  'resumed streams begin earlier': ({ server }: Page) => (server.weather.again = 8),
  'the server cannot read its database': ({ server }: Page) => (server.weather.blindSince ??= server.now()),
  'all is well again': ({ server }: Page) => (server.weather = { ...fair }),
  'somebody wants it now': ({ stream }: Page) => stream.hurry(),
} satisfies Record<string, (page: Page) => void>;

type Fault = keyof typeof faults;
const named = Object.keys(faults) as Fault[];

function happens(server: SimulatedServer): void {
  const { random } = server;
  const ids = [...server.nodes.keys()];
  // The first stays: its page is open.
  if (random.chance(0.1) && ids.length > 3) server.remove(random.pick(ids.slice(1)));
  else if (random.chance(0.1)) server.add();
  else server.report(random.chance(0.3) ? 'node_1' : random.pick(ids));
}

/** Plays a random sequence; what it did is in `trace`. */
async function play(seed: number, trace: string[]): Promise<void> {
  const random = new Random(seed);
  page = new Page(new SimulatedServer(random, 9));
  const { server } = page;
  const check = (now: Page): void => expect(now.lies(), `after ${trace.at(-1) ?? 'the start'} and ${now.waited} ms`).toEqual([]);
  for (let step = 0; step < 25; step++) {
    const fault = random.pick(named);
    trace.push(fault);
    page.waited = 0;
    faults[fault](page);
    for (let slice = random.int(1, 6); slice > 0; slice--) {
      if (random.chance(0.8)) happens(server);
      await page.wait(random.pick([20, 150, 1000, 6000, 20_000]));
      check(page);
    }
  }
  trace.push('all is well again, at last');
  server.weather = { ...fair };
  page.waited = 0;
  await page.wait(longEnough);
  expect(page.mode).toBe('live');
  expect(page.differences()).toEqual([]);
  const asked = server.asked.length;
  for (let i = 0; i < 10; i++) {
    happens(server);
    await page.wait(300);
  }
  expect(page.differences()).toEqual([]);
  check(page);
  expect(server.asked.length).toBe(asked);
}

describe('a random sequence of faults', () => {
  // STREAM_SEED repeats one; STREAM_RUNS tries more.
  const { STREAM_SEED, STREAM_RUNS } = (globalThis as unknown as { process: { env: Record<string, string | undefined> } }).process.env;
  const seeds = STREAM_SEED === undefined ? Array.from({ length: Number(STREAM_RUNS ?? 16) }, (_, i) => i + 1) : [Number(STREAM_SEED)];

  it.each(seeds)('leaves the page with what the server has, seed %i', async (seed) => {
    const trace: string[] = [];
    try {
      await play(seed, trace);
    } catch (error) {
      throw new Error(`STREAM_SEED=${seed}, step by step: ${trace.join(', ')}\n${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
  });
});
