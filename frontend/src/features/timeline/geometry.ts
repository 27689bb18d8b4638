import type { PhaseRunBarFragment } from '@/gql/generated/graphql';

/** A stretch of time, in ms since the epoch. */
export interface Span {
  from: number;
  to: number;
}

/** One visit of a phase, cut into what is drawn of it. */
export interface Bar {
  run: PhaseRunBarFragment;
  /** Entered and waiting for its owner: hatched. */
  waiting: Span | null;
  /** Under way or ended: solid. */
  running: Span | null;
  /** The typical length from its begin: a ghost behind the bar. */
  typical: Span | null;
  /** When its deadline acts; only of an open run. */
  deadline: number | null;
  /** Still open: it grows. */
  open: boolean;
  /** Passed over: a mark without length. */
  skipped: boolean;
}

export interface Lane {
  attempt: number;
  bars: Bar[];
}

export interface Row {
  phaseKey: string;
  label: string;
  lanes: Lane[];
}

export interface Timeline {
  rows: Row[];
  domain: Span;
  ticks: Tick[];
}

export interface Tick {
  at: number;
  /** Time since the beginning, "5 min". */
  label: string;
}

/** A phase that the provider's catalogue names, visited or not. */
export interface KnownPhase {
  key: string;
  label: string;
}

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;

/** Lengths that the axis may have while a deployment runs: it is held still until the time outgrows it. */
const heldSpans = [30 * second, minute, 2 * minute, 5 * minute, 10 * minute, 20 * minute, 30 * minute, 45 * minute, hour, 1.5 * hour, 2 * hour, 3 * hour, 4 * hour, 6 * hour, 8 * hour, 12 * hour, 24 * hour];

const tickSteps = [second, 2 * second, 5 * second, 10 * second, 15 * second, 30 * second, minute, 2 * minute, 5 * minute, 10 * minute, 15 * minute, 30 * minute, hour, 2 * hour, 4 * hour, 6 * hour, 12 * hour, 24 * hour, 48 * hour, 168 * hour];

/** The axis' length while running: steps, so that bars do not shift with every second. */
export function heldSpan(elapsed: number): number {
  const wanted = elapsed * 1.08;
  const held = heldSpans.find((span) => span >= wanted);
  return held ?? Math.ceil(wanted / (24 * hour)) * 24 * hour;
}

/** Ticks at round distances from the beginning, at most `most` of them. */
export function ticksOf(domain: Span, most: number): Tick[] {
  const length = domain.to - domain.from;
  const step = tickSteps.find((each) => length / each <= most) ?? Math.ceil(length / most / (168 * hour)) * 168 * hour;
  const ticks: Tick[] = [];
  for (let offset = 0; offset <= length; offset += step) ticks.push({ at: domain.from + offset, label: tickLabel(offset, step) });
  return ticks;
}

function tickLabel(offset: number, step: number): string {
  if (offset === 0) return '0';
  if (step < minute && offset < 2 * minute) return `${Math.round(offset / second)} s`;
  const minutes = offset / minute;
  if (offset < 2 * hour) return Number.isInteger(minutes) ? `${minutes} min` : `${Math.floor(minutes)}:${String(Math.round((offset % minute) / second)).padStart(2, '0')}`;
  const hours = offset / hour;
  if (offset < 48 * hour) return Number.isInteger(hours) ? `${hours} h` : `${Math.floor(hours)} h ${Math.round((offset % hour) / minute)}`;
  return `${Math.round((offset / (24 * hour)) * 10) / 10} d`;
}

function barOf(run: PhaseRunBarFragment, now: number): Bar {
  const entered = Date.parse(run.enteredAt);
  const started = run.startedAt === null ? null : Date.parse(run.startedAt);
  const finished = run.finishedAt === null ? null : Date.parse(run.finishedAt);
  const skipped = run.status === 'SKIPPED';
  const open = finished === null && !skipped;
  // A clock of ours that is a little behind must not turn a bar inside out.
  const end = Math.max(finished ?? now, started ?? entered);
  const waitingEnd = started ?? end;
  return {
    run,
    waiting: skipped || waitingEnd <= entered ? null : { from: entered, to: waitingEnd },
    running: skipped || started === null ? null : { from: started, to: end },
    typical: run.typicalDuration === null || skipped ? null : { from: entered, to: entered + run.typicalDuration },
    deadline: open && run.deadlineAt !== null ? Date.parse(run.deadlineAt) : null,
    open,
    skipped,
  };
}

/**
 * Lays out a deployment: a row for each phase in the provider's order (and any
 * that is not in it, where it happened), a lane for each attempt that visited it.
 */
export function layout(runs: readonly PhaseRunBarFragment[], known: readonly KnownPhase[], begin: number, now: number, mostTicks: number): Timeline {
  const rows: Row[] = known.map(({ key, label }) => ({ phaseKey: key, label, lanes: [] }));
  for (const run of runs) {
    let row = rows.find(({ phaseKey }) => phaseKey === run.phaseKey);
    if (!row) {
      row = { phaseKey: run.phaseKey, label: run.label, lanes: [] };
      rows.push(row);
    }
    let lane = row.lanes.find(({ attempt }) => attempt === run.attempt);
    if (!lane) {
      lane = { attempt: run.attempt, bars: [] };
      row.lanes.push(lane);
      row.lanes.sort((a, b) => a.attempt - b.attempt);
    }
    lane.bars.push(barOf(run, now));
  }

  const bars = rows.flatMap(({ lanes }) => lanes.flatMap((lane) => lane.bars));
  const ends = bars.flatMap(({ waiting, running }) => [waiting?.to ?? begin, running?.to ?? begin]);
  const begins = bars.map(({ run }) => Date.parse(run.enteredAt));
  const from = Math.min(begin, ...begins);
  const last = Math.max(from, ...ends);
  const open = bars.some((bar) => bar.open);
  const length = open ? heldSpan(last - from) : Math.max(second, (last - from) * 1.02);
  const domain = { from, to: from + length };
  return { rows, domain, ticks: ticksOf(domain, mostTicks) };
}

/** Where an instant lies on an axis of a width, cut at its ends. */
export function position(at: number, domain: Span, width: number): number {
  const fraction = (at - domain.from) / (domain.to - domain.from);
  return Math.min(1, Math.max(0, fraction)) * width;
}

/** A key of the keyboard that moves between bars. */
export type Move = 'next' | 'previous' | 'up' | 'down' | 'first' | 'last';

/** The bar to go to from another: next and previous in time, up and down by phase. Null when there is none. */
export function moveFocus(rows: readonly Row[], from: string | null, move: Move): string | null {
  const placed = rows.flatMap((row, index) => row.lanes.flatMap((lane) => lane.bars.map((bar) => ({ index, bar }))));
  const inTime = placed.toSorted(
    (a, b) => Date.parse(a.bar.run.enteredAt) - Date.parse(b.bar.run.enteredAt) || a.index - b.index,
  );
  const key = (at: number): string | null => inTime[at]?.bar.run.key ?? null;
  const here = inTime.findIndex(({ bar }) => bar.run.key === from);
  const current = inTime[here];
  if (!current || move === 'first') return key(0);
  if (move === 'last') return key(inTime.length - 1);
  if (move === 'next') return key(Math.min(here + 1, inTime.length - 1));
  if (move === 'previous') return key(Math.max(here - 1, 0));
  const direction = move === 'up' ? -1 : 1;
  const others = placed.filter(({ index }) => Math.sign(index - current.index) === direction);
  const nearest = others.toSorted(
    (a, b) =>
      Math.abs(a.index - current.index) - Math.abs(b.index - current.index) ||
      Number(b.bar.run.attempt === current.bar.run.attempt) - Number(a.bar.run.attempt === current.bar.run.attempt),
  )[0];
  return nearest?.bar.run.key ?? from;
}
