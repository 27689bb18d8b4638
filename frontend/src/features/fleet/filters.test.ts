import { describe, expect, it } from 'vitest';

import { at, card, row } from '@/test/fixtures';
import { chosenColumns, colsParameter, countGroups, parseSearch, selectRows, shownGroups, toggleGroup } from './filters';

const fleet = [
  row('node_10', { state: 'SUCCEEDED', currentDeployment: card({ state: 'SUCCEEDED', phase: 'DEPLOYED', phaseKey: 'deployed', progress: 1 }) }),
  row('node_2', { state: 'RUNNING', lastSeenAt: at(50) }),
  row('node_3', {
    state: 'FAILED',
    currentDeployment: card({
      state: 'FAILED',
      phase: 'FAILED',
      phaseKey: 'failed',
      failure: {
        phase: 'STORAGE_DISCOVERY',
        phaseKey: 'storage_discovery',
        code: 'reported_failed',
        message: 'no disk',
        hint: null,
        retryable: true,
        at: at(5),
      },
    }),
  }),
  row('node_4', { state: 'RUNNING', stale: true, lastSeenAt: at(3) }),
  row('node_1', { state: null, currentDeployment: null, lastSeenAt: null, managementIp: null }),
];
const names = (search: Parameters<typeof selectRows>[1]): string[] => selectRows(fleet, search).map(({ name }) => name);

describe('the URL of the fleet page', () => {
  it('keeps what makes sense and leaves out the rest', () => {
    expect(parseSearch({ q: 'abc', show: 'running,nonsense,failed', sort: 'name', desc: true })).toEqual({
      q: 'abc',
      show: 'failed,running',
      sort: 'name',
      desc: true,
    });
    expect(parseSearch({ q: '', show: 'nonsense', sort: 'attention', desc: 'perhaps' })).toEqual({});
    expect(parseSearch({ q: { $: 1 }, show: ['failed'], sort: 7 })).toEqual({});
    expect(parseSearch({ q: 42 })).toEqual({ q: '42' });
  });

  it('survives being written and read again', () => {
    const search = parseSearch({ q: 'metal 1', show: 'queued,stalled', sort: 'seen', desc: true });
    expect(parseSearch({ ...search })).toEqual(search);
  });

  it('toggles groups and drops the parameter with the last one', () => {
    expect(toggleGroup(undefined, 'running')).toBe('running');
    expect(toggleGroup('running', 'failed')).toBe('failed,running');
    expect(toggleGroup('failed,running', 'running')).toBe('failed');
    expect(toggleGroup('failed', 'failed')).toBeUndefined();
    expect(shownGroups('failed,failed, stalled')).toEqual(['failed', 'stalled']);
  });
});

describe('the columns', () => {
  it('are the usual ones unless others were chosen', () => {
    expect(parseSearch({})).toEqual({});
    expect(parseSearch({ cols: 'seen,nonsense,server,name' })).toEqual({ cols: 'server,seen' });
    expect(parseSearch({ cols: chosenColumns(undefined).join(',') })).toEqual({});
    expect(chosenColumns('server,seen')).toEqual(['state', 'name', 'server', 'seen']);
  });

  it('always have the state and the name', () => {
    expect(chosenColumns('nonsense')).toEqual(['state', 'name']);
    expect(chosenColumns(colsParameter(['state', 'name']))).toEqual(['state', 'name']);
  });
});

describe('the rows', () => {
  it('are counted once each; a stale run is stalled and not running', () => {
    expect(countGroups(fleet)).toEqual({
      failed: 1,
      stalled: 1,
      late: 0,
      running: 1,
      queued: 0,
      deployed: 1,
      canceled: 0,
      cleaned: 0,
      registered: 1,
    });
  });

  it('tell late from stalled; one that is both is stalled', () => {
    const rows = [row('node_1', { late: true }), row('node_2', { late: true, stalled: true }), row('node_3', { late: true, state: 'SUCCEEDED' })];
    expect(countGroups(rows)).toMatchObject({ late: 1, stalled: 1, deployed: 1, running: 0 });
    expect(selectRows(rows, {}).map(({ id }) => id)).toEqual(['node_2', 'node_1', 'node_3']);
    expect(selectRows(rows, { show: 'late' }).map(({ id }) => id)).toEqual(['node_1']);
  });

  it('come with those first that need attention', () => {
    expect(names({})).toEqual(['metal-3', 'metal-4', 'metal-2', 'metal-1', 'metal-10']);
  });

  it('are sorted naturally by name, both ways', () => {
    expect(names({ sort: 'name' })).toEqual(['metal-1', 'metal-2', 'metal-3', 'metal-4', 'metal-10']);
    expect(names({ sort: 'name', desc: true })).toEqual(['metal-10', 'metal-4', 'metal-3', 'metal-2', 'metal-1']);
  });

  it('are sorted by phase with a failed one at the phase that failed', () => {
    expect(names({ sort: 'phase' })).toEqual(['metal-1', 'metal-3', 'metal-2', 'metal-4', 'metal-10']);
  });

  it('are narrowed by group and by every word of the text', () => {
    expect(names({ show: 'failed,deployed' })).toEqual(['metal-3', 'metal-10']);
    expect(names({ q: 'BX2D metal-1' })).toEqual(['metal-1', 'metal-10']);
    expect(names({ q: '10.0.0.4' })).toEqual(['metal-4']);
    expect(names({ q: 'image_download' })).toEqual(['metal-4', 'metal-2']);
    expect(names({ q: 'reported_failed' })).toEqual(['metal-3']);
    expect(names({ q: 'metal-1 nothing' })).toEqual([]);
  });

  it('have an order that does not depend on arrival', () => {
    expect(selectRows([...fleet].reverse(), { sort: 'profile' })).toEqual(selectRows(fleet, { sort: 'profile' }));
  });
});
