import type { DeploymentLiveFragment, PhaseStatus, ProbeNowFragment, RunLiveFragment, ScriptRunState } from '@/gql/generated/graphql';
import { formatDuration } from '@/lib/format';
import { phaseLabel, phaseOrder } from '@/lib/phases';
import { isOver, phaseStatus, type StatusKind } from '@/lib/states';

/** A step of a host on its way, as it is shown. */
export interface HostStep {
  key: string;
  label: string;
  kind: StatusKind;
  word: string;
  /** What it says of itself, if anything. */
  detail: string | null;
  /** How long it took, or has taken so far, in ms; null before it begins. */
  took: number | null;
  /** It is where the host stands. */
  here: boolean;
}

type Host = Pick<DeploymentLiveFragment, 'attempt' | 'phases' | 'state' | 'failure'>;

/** The steps of the present attempt; those to come are there, too. */
export function hostSteps(deployment: Host, now: number): HostStep[] {
  // A retry begins where it failed: steps that it keeps are of an earlier attempt.
  const newest = new Map<string, Host['phases'][number]>();
  for (const run of deployment.phases) {
    const held = newest.get(run.phase);
    if (!held || run.attempt >= held.attempt) newest.set(run.phase, run);
  }
  const order = phaseOrder('SCRIPT').filter((phase) => phase !== 'PENDING');
  const reached = order.findLastIndex((phase) => newest.get(phase)?.attempt === deployment.attempt);
  const over = isOver(deployment.state);
  return order.map((phase, i) => {
    const run = newest.get(phase);
    const label = phaseLabel(phase, phase.toLowerCase());
    // What a retry goes back before is done again.
    if (!run || (i > reached && reached >= 0 && run.attempt < deployment.attempt)) {
      return { key: phase, label, ...(over ? stopped : toCome), detail: null, took: null, here: false };
    }
    const took = run.duration ?? (run.finishedAt === null ? Math.max(0, now - Date.parse(run.enteredAt)) : null);
    return { key: phase, label, ...phaseStatus(run.status), detail: run.message ?? run.awaiting, took, here: isOpen(run.status) && !over };
  });
}

const toCome = { kind: 'queued', word: 'To come' } as const;
const stopped = { kind: 'skipped', word: 'Not reached' } as const;

const isOpen = (status: PhaseStatus): boolean => status === 'WAITING' || status === 'IN_PROGRESS';

const classes: Record<string, string> = {
  ok: 'it answered',
  refused: 'connection refused',
  unreachable: 'unreachable',
  timeout: 'no answer in time',
  protocol_error: 'no SSH server answered',
  auth_failed: 'login refused',
  wrong_host: 'another host key',
  not_restarted: 'not restarted yet',
  command_failed: 'the command failed',
};

/** What an attempt ended with, in words; a class of a newer server by its own name. */
export function errorClass(name: string): string {
  return classes[name] ?? name.replaceAll('_', ' ');
}

/** How the polling of a host stands, in words that change with time. */
export interface ProbeWords {
  /** "Attempt 12 of 120". */
  attempts: string;
  /** "first attempt in 1 min 05 s", "next attempt in 3 s", "an attempt is being made"; null when none follows. */
  next: string | null;
  /** Of the last attempt; null before the first. */
  last: string | null;
}

export function probeWords(probe: ProbeNowFragment, polling: boolean, now: number): ProbeWords {
  const { attempt, maxAttempts, nextAttemptAt, lastErrorClass } = probe;
  const attempts = attempt === 0 ? `No attempt yet, at most ${maxAttempts}` : `Attempt ${attempt} of ${maxAttempts}`;
  const last = lastErrorClass === null || lastErrorClass === '' ? null : errorClass(lastErrorClass);
  if (!polling) return { attempts, next: null, last };
  if (nextAttemptAt === null) return { attempts, next: 'an attempt is being made', last };
  const left = Date.parse(nextAttemptAt) - now;
  const which = attempt === 0 ? 'first' : 'next';
  return { attempts, next: left < 500 ? `the ${which} attempt begins now` : `${which} attempt in ${formatDuration(Math.ceil(left / 1000) * 1000)}`, last };
}

const runKinds: Record<ScriptRunState, { kind: StatusKind; word: string }> = {
  STORING: { kind: 'waiting', word: 'Storing files' },
  RUNNING: { kind: 'running', word: 'Running' },
  SUCCEEDED: { kind: 'succeeded', word: 'Succeeded' },
  FAILED: { kind: 'failed', word: 'Failed' },
  CANCELED: { kind: 'canceled', word: 'Canceled' },
  LOST: { kind: 'unknown', word: 'Lost' },
};

/** Kind and word of a run. */
export function runKind(run: Pick<RunLiveFragment, 'state' | 'cancelRequestedAt'>): { kind: StatusKind; word: string } {
  if (run.state === 'RUNNING' && run.cancelRequestedAt !== null) return { kind: 'canceling', word: 'Being ended' };
  return (runKinds as Partial<Record<string, { kind: StatusKind; word: string }>>)[run.state] ?? { kind: 'unknown', word: run.state.toLowerCase() };
}

/** Whether the script of a run has not ended. */
export const isActive = (run: Pick<RunLiveFragment, 'state'>): boolean => run.state === 'STORING' || run.state === 'RUNNING';

/** How a run ended, in a few words; null while it has not. */
export function runEnd(run: Pick<RunLiveFragment, 'exitCode' | 'signal' | 'state'>): string | null {
  if (run.signal !== null && run.signal !== '') return `ended by ${run.signal}`;
  if (run.exitCode !== null) return `exit code ${run.exitCode}`;
  return isActive(run) ? null : 'how it ended is not known';
}

/** The number that people call a run by. */
export const runNumber = (id: string): string => id.replace(/^.*_/, '');
