import { describe, expect, it } from 'vitest';

import type { ProbeNowFragment } from '@/gql/generated/graphql';
import { at, bar, live, t0 } from '@/test/fixtures';
import { errorClass, hostSteps, probeWords, runEnd, runKind } from './hostState';
import { lineDiff } from './lineDiff';
import { LogBuffer } from './logBuffer';
import { plainLine } from './plainLine';

const ESC = '\u001b';
const probe = (over: Partial<ProbeNowFragment> = {}): ProbeNowFragment => ({
  target: '192.0.2.21:22', attempt: 0, maxAttempts: 120, nextAttemptAt: at(90), lastAttemptAt: null, lastErrorClass: null, lastMessage: null, offeredHostKey: null, offeredFingerprint: null, knownFingerprint: null, ...over,
});
const script = (...phases: Parameters<typeof bar>[0][]) => live({ provider: 'SCRIPT', phases: phases.map((phase) => bar(phase)) });

describe('the steps of a host', () => {
  it('are those of the provider, with what they say and how long they take', () => {
    const deployment = script(
      { phase: 'CONFIG_STORED', status: 'SUCCEEDED', duration: 40, message: 'node_01.json' },
      { phase: 'SCRIPT_STARTED', status: 'SUCCEEDED', duration: 61_000, message: null },
      { phase: 'REBOOT_WAIT', status: 'WAITING', finishedAt: null, duration: null, enteredAt: at(62), awaiting: 'the end of the restart wait' },
    );
    expect(hostSteps(deployment, t0 + 72_000).map(({ label, word, detail, took, here }) => [label, word, detail, took, here])).toEqual([
      ['Configuration stored', 'Done', 'node_01.json', 40, false],
      ['Script run', 'Done', null, 61_000, false],
      ['Restart wait', 'Waiting', 'the end of the restart wait', 10_000, true],
      ['SSH polling', 'To come', null, null, false],
      ['Health check', 'To come', null, null, false],
    ]);
  });

  it('are those of the present attempt; what came before a retry is kept, what is done again is to come', () => {
    const deployment = { ...script(
      { phase: 'CONFIG_STORED', attempt: 1, status: 'SUCCEEDED' },
      { phase: 'SCRIPT_STARTED', attempt: 1, status: 'SUCCEEDED' },
      { phase: 'REBOOT_WAIT', attempt: 1, status: 'SUCCEEDED' },
      { phase: 'SSH_POLLING', attempt: 1, status: 'TIMED_OUT' },
      { phase: 'SCRIPT_STARTED', attempt: 2, status: 'IN_PROGRESS', finishedAt: null, duration: null },
    ), attempt: 2 };
    expect(hostSteps(deployment, t0).map(({ word }) => word)).toEqual(['Done', 'Running', 'To come', 'To come', 'To come']);
  });

  it('that were not reached are not to come any more once it has ended', () => {
    const deployment = { ...script({ phase: 'CONFIG_STORED', status: 'SUCCEEDED' }, { phase: 'SCRIPT_STARTED', status: 'FAILED', message: 'exit code 3' }), state: 'FAILED' as const };
    expect(hostSteps(deployment, t0).map(({ word, here }) => [word, here])).toEqual([['Done', false], ['Failed', false], ['Not reached', false], ['Not reached', false], ['Not reached', false]]);
  });
});

describe('the polling of a host', () => {
  it('counts down to the first attempt', () => {
    expect(probeWords(probe(), true, t0)).toEqual({ attempts: 'No attempt yet, at most 120', next: 'first attempt in 1 min 30 s', last: null });
    expect(probeWords(probe(), true, t0 + 89_100).next).toBe('first attempt in 1 s');
    expect(probeWords(probe(), true, t0 + 95_000).next).toBe('the first attempt begins now');
  });

  it('tells which attempt it is, what the last one ended with, and when the next begins', () => {
    expect(probeWords(probe({ attempt: 12, nextAttemptAt: at(5), lastErrorClass: 'refused' }), true, t0)).toEqual({ attempts: 'Attempt 12 of 120', next: 'next attempt in 5 s', last: 'connection refused' });
    expect(probeWords(probe({ attempt: 12, nextAttemptAt: null }), true, t0).next).toBe('an attempt is being made');
    expect(probeWords(probe({ attempt: 120, nextAttemptAt: null, lastErrorClass: 'timeout' }), false, t0)).toEqual({ attempts: 'Attempt 120 of 120', next: null, last: 'no answer in time' });
    expect(errorClass('quite_new')).toBe('quite new');
  });
});

describe('a run', () => {
  const run = { state: 'RUNNING' as const, cancelRequestedAt: null, exitCode: null, signal: null };
  it('has a word for every end', () => {
    expect(runKind(run).word).toBe('Running');
    expect(runKind({ ...run, cancelRequestedAt: at(1) }).word).toBe('Being ended');
    expect(runKind({ ...run, state: 'PAUSED' as never })).toEqual({ kind: 'unknown', word: 'paused' });
    expect(runEnd(run)).toBeNull();
    expect(runEnd({ ...run, state: 'FAILED', exitCode: 3 })).toBe('exit code 3');
    expect(runEnd({ ...run, state: 'CANCELED', signal: 'SIGTERM' })).toBe('ended by SIGTERM');
    expect(runEnd({ ...run, state: 'LOST' })).toBe('how it ended is not known');
  });
});

describe('a log', () => {
  it('is read without colours, titles and what was written over', () => {
    expect(plainLine(`${ESC}[1;31mred${ESC}[0m and ${ESC}]0;title\u0007plain${ESC}(B`)).toBe('red and plain');
    expect(plainLine('10 %\r50 %\r100 %')).toBe('100 %');
    expect(plainLine('done\r')).toBe('done');
    expect(plainLine(`half ${ESC}[3`)).toBe('half ');
    expect(plainLine('bell\u0007 tab\tstays')).toBe('bell tab\tstays');
  });

  it('is put together from pieces, one of which may come twice', () => {
    const log = new LogBuffer();
    log.add([{ text: 'one\ntw', offset: 0 }]);
    expect(log.view().text).toBe('one\ntw');
    log.add([{ text: 'one\ntw', offset: 0 }, { text: `o\n${ESC}[3`, offset: 6 }]);
    log.add([{ text: '2mthree\n', offset: 12 }]);
    expect(log.view()).toMatchObject({ text: 'one\ntwo\nthree', hidden: 0, cutBefore: false });
  });

  it('is bounded, and says what is not drawn', () => {
    const log = new LogBuffer();
    for (let i = 0; i < 50; i++) log.add([{ text: Array.from({ length: 100 }, (_, n) => `line ${i * 100 + n}\n`).join(''), offset: i * 1000 }]);
    const view = log.view();
    expect(view.hidden).toBe(3000);
    expect(view.text.split('\n')).toHaveLength(2000);
    expect(view.text).toMatch(/^line 3000\n/);
    const endless = new LogBuffer();
    for (let i = 0; i < 100; i++) endless.add([{ text: 'x'.repeat(10_000), offset: i * 10_000 }]);
    expect(endless.view().text.length).toBeLessThan(20_000);
  });

  it('that is not read from its beginning begins with a whole line', () => {
    const log = new LogBuffer();
    log.add([{ text: 'alf a line\nwhole\n', offset: 5000 }]);
    expect(log.view()).toMatchObject({ text: 'whole', cutBefore: true });
  });
});

describe('two documents', () => {
  it('differ in the fewest lines', () => {
    expect(lineDiff('a\nb\nc\n', 'a\nx\nc\nd\n').map(({ kind, text }) => `${{ same: ' ', added: '+', removed: '-' }[kind]}${text}`)).toEqual([' a', '-b', '+x', ' c', '+d']);
    expect(lineDiff('', 'a\n')).toEqual([{ kind: 'added', text: 'a' }]);
    expect(lineDiff('a\n', 'a\n')).toEqual([{ kind: 'same', text: 'a' }]);
  });
});
