import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { useCallback, useEffect, useMemo, useRef, useState } from 'react';

import { useShortcuts } from '@/app/shortcuts';
import { useStream } from '@/app/services';
import { useMay } from '@/app/session';
import { useTitle } from '@/app/useTitle';
import { BulkBar } from '@/features/bulk/BulkBar';
import { mayAsk } from '@/features/bulk/words';
import { nodesExport } from '@/lib/exports';
import { formatDuration, plural } from '@/lib/format';
import { handoffFleet } from '@/lib/handoff';
import { useStore } from '@/lib/store';
import type { BareMetalNodeFilter } from '@/gql/generated/graphql';
import type { FleetSnapshot } from '@/stream';
import { Button, Command, CopyAs, EmptyState, ExportLinks, StatusMark, TextInput, useTyped } from '@/ui';
import { ColumnChoice } from './ColumnChoice';
import { CountFilters } from './CountFilters';
import classes from './FleetPage.module.css';
import { FleetSkeleton } from './FleetSkeleton';
import { FilterChips, FilterChoice } from './FilterChoice';
import { FleetTable, type Picking } from './FleetTable';
import { countGroups, fleetFilter, longest, selectRows, shownGroups, toggleGroup, type FleetSearch, type Group, type SortKey } from './filters';
import { extent, nothingSelected, select, selectAll, type Selection } from './selection';
import { useFleet } from './useFleet';
import { useHeldOrder } from './useHeldOrder';
import { usePending } from './usePending';

/** All machines: counts that filter, and a table. */
export function FleetPage() {
  const search = useSearch({ from: '/' });
  const navigate = useNavigate({ from: '/' });
  // What is asked for by now, which is not drawn yet when two changes follow each other.
  const change = (next: (now: FleetSearch) => FleetSearch): void => void navigate({ search: next, replace: true });
  const filterInput = useRef<HTMLInputElement>(null);
  const [held, setHeld] = useState(false);

  const fleet = useFleet();
  const { rows, complete, numbers } = fleet;
  // The map of rows is one and the same; the snapshot around it is new after a change.
  const counts = useMemo(() => countGroups(fleet.rows.values()), [fleet]);
  const fresh = useMemo(() => selectRows(fleet.rows.values(), search).map(({ id }) => id), [fleet, search]);
  const filter = useMemo(() => fleetFilter(search), [search]);
  const { selection, change: choose, forget } = useSelection(JSON.stringify(filter));
  const chosen = selection.byFilter || selection.ids.size > 0;
  // Nobody selects what moves: while something is selected, rows stay as well.
  const { ids, moves, apply } = useHeldOrder(fresh, JSON.stringify({ ...search, cols: undefined }), held || chosen);
  const pending = usePending();
  const may = useMay('operator');
  const picking = usePicking(may, ids, fleet.rows, selection, choose);

  useTitle(fleetTitle(counts, rows.size, complete));
  useShortcuts({ '/': () => filterInput.current?.focus(), ...(picking === null ? {} : { a: () => picking.onAll(true), Escape: forget }) });

  const onSort = (sort: SortKey): void => {
    change(({ sort: before, desc, ...rest }) => ({ ...rest, ...(sort === 'attention' ? {} : { sort }), ...((before ?? 'attention') === sort && !desc ? { desc: true } : {}) }));
  };
  const onColumns = (next: (cols: string | undefined) => string | undefined): void => {
    change(({ cols: before, ...rest }) => {
      const cols = next(before);
      return cols === undefined ? rest : { ...rest, cols };
    });
  };
  const typed = useTyped(search.q ?? '', (q) => change(({ q: _, ...rest }) => (q === '' ? rest : { ...rest, q })));
  const onGroup = (group: Group | null): void => {
    change(({ show: before, ...rest }) => {
      const show = group === null ? undefined : toggleGroup(before, group);
      return show === undefined ? rest : { ...rest, show };
    });
  };

  return (
    <>
      <div className={classes.top}>
        <h1 className={classes.title}>Fleet</h1>
        <p className={classes.numbers}>
          {numbers ? (
            <>
              Last 24 h: {numbers.succeededLast24h.toLocaleString('en')} deployed, {numbers.failedLast24h.toLocaleString('en')} failed
              {numbers.durationP50 === null ? null : ` · median ${formatDuration(numbers.durationP50)}`}
            </>
          ) : (
            '\u00a0'
          )}
        </p>
      </div>
      <CountFilters counts={counts} total={rows.size} shown={shownGroups(search.show)} onToggle={onGroup} onAll={() => onGroup(null)} />
      <section className={classes.panel} aria-label="Nodes">
        <div className={classes.tools}>
          <TextInput
            ref={filterInput}
            className={classes.filter}
            size="xs"
            maxLength={longest}
            aria-label="Filter by name, address, profile or phase"
            placeholder="Name, address, profile, cluster, failure …"
            {...typed}
            onKeyDown={(event) => {
              if (event.key === 'Escape') event.currentTarget.blur();
            }}
          />
          <FilterChoice fleet={fleet} search={search} onChange={change} />
          <span className={classes.shown}>{complete ? (ids.length === rows.size ? plural(rows.size, 'node') : `${ids.length.toLocaleString('en')} of ${plural(rows.size, 'node')}`) : ''}</span>
          {moves > 0 ? (
            <Button size="compact-xs" variant="default" className={classes.moves} onClick={apply}>
              {plural(moves, 'row')} would move · apply
            </Button>
          ) : null}
          <div className={classes.right}>
            <ExportLinks what="nodes" href={(format) => nodesExport(filter, format)} />
            <CopyAs handoff={handoffFleet(globalThis.location.origin, filter)} size="compact-xs" />
            <ColumnChoice cols={search.cols} onChange={onColumns} />
          </div>
        </div>
        <FilterChips search={search} onChange={change} />
        {ids.length > 0 ? <FleetTable ids={ids} search={search} onSort={onSort} onHold={setHeld} picking={picking} pending={pending} /> : <Nothing complete={complete} total={rows.size} onClear={() => change(() => ({}))} />}
        {/* Below the rows, so that none of them moves under the pointer when the first one is selected. */}
        {picking !== null && chosen ? <Chosen selection={selection} fleet={fleet} fresh={fresh} filter={filter} onFilter={() => choose(() => ({ ...nothingSelected, byFilter: true }))} onClear={forget} /> : null}
      </section>
    </>
  );
}

/** What is selected; another filter selects nothing. */
function useSelection(filter: string) {
  const [held, setHeld] = useState({ selection: nothingSelected, filter });
  const selection = held.filter === filter ? held.selection : nothingSelected;
  const change = useCallback(
    (next: (now: Selection) => Selection): void => setHeld((now) => ({ selection: next(now.filter === filter ? now.selection : nothingSelected), filter })),
    [filter],
  );
  const forget = useCallback(() => change(() => nothingSelected), [change]);
  return { selection, change, forget };
}

/** How rows are selected; null for those who may ask nothing of them. */
function usePicking(may: boolean, ids: readonly string[], rows: FleetSnapshot['rows'], selection: Selection, choose: (next: (now: Selection) => Selection) => void): Picking | null {
  const order = useRef(ids);
  useEffect(() => {
    order.current = ids;
  }, [ids]);
  // The same as long as the rows are: a row is drawn again only when it changes.
  const able = useCallback((id: string): boolean => rows.get(id)?.currentDeployment != null, [rows]);
  const onPick = useCallback((id: string, on: boolean, range: boolean): void => choose((now) => select(now, id, on, range, order.current, able)), [choose, able]);
  if (!may) return null;
  return {
    isOn: (id) => (selection.byFilter ? able(id) : selection.ids.has(id)),
    extent: extent(selection, ids, able),
    onPick,
    onAll: (on) => choose(() => (on ? selectAll(ids, able) : nothingSelected)),
  };
}

interface ChosenProps {
  selection: Selection;
  fleet: FleetSnapshot;
  /** What matches now, also while the shown rows are held. */
  fresh: readonly string[];
  filter: BareMetalNodeFilter;
  onFilter: () => void;
  onClear: () => void;
}

/** What is selected, and what can be asked of it. */
function Chosen({ selection, fleet, fresh, filter, onFilter, onClear }: ChosenProps) {
  const matching = fresh.filter((id) => fleet.rows.get(id)?.currentDeployment != null);
  const there = selection.byFilter ? matching : [...selection.ids].filter((id) => fleet.rows.get(id)?.currentDeployment != null);
  const match = new Set(matching);
  const left = selection.byFilter ? 0 : there.filter((id) => !match.has(id)).length;
  const rows = there.flatMap((id) => fleet.rows.get(id) ?? []);
  const choice = selection.byFilter ? { nodeFilter: filter } : { ids: rows.flatMap(({ currentDeployment }) => currentDeployment?.id ?? []) };
  const everything = Object.keys(filter).length === 0;
  return (
    <div className={classes.chosen}>
      <BulkBar choice={choice} count={there.length} onClear={onClear} targets={(action) => rows.filter((row) => mayAsk(action, row))}>
        {selection.byFilter ? (
          <span className={classes.shown}>{everything ? 'the whole fleet, as it is when asked' : 'whatever matches the filter when asked'}</span>
        ) : (
          <Button size="compact-xs" variant="subtle" onClick={onFilter}>
            {everything ? `Select all ${matching.length.toLocaleString('en')} of the fleet` : `Select all ${matching.length.toLocaleString('en')} that match the filter`}
          </Button>
        )}
        {left > 0 ? <span className={classes.shown}>{`${left.toLocaleString('en')} no longer ${left === 1 ? 'matches' : 'match'}`}</span> : null}
      </BulkBar>
    </div>
  );
}

function fleetTitle(counts: Record<Group, number>, total: number, complete: boolean): string {
  if (!complete && total === 0) return 'Fleet';
  const parts = [counts.failed > 0 ? `${counts.failed} failed` : '', counts.stalled > 0 ? `${counts.stalled} stalled` : '', counts.late > 0 ? `${counts.late} late` : '', counts.running > 0 ? `${counts.running} running` : ''].filter((part) => part !== '');
  return parts.length > 0 ? parts.join(', ') : plural(total, 'node');
}

/** Why there are no rows, and the next step. */
function Nothing({ complete, total, onClear }: { complete: boolean; total: number; onClear: () => void }) {
  const stream = useStream();
  const { mode } = useStore(stream.status);
  const may = useMay('operator');
  if (total > 0) {
    return (
      <EmptyState title="No node matches the filter">
        <p>{plural(total, 'node')} in the fleet, none of them like this.</p>
        <Button size="xs" variant="default" onClick={onClear}>
          Show all nodes
        </Button>
      </EmptyState>
    );
  }
  if (complete) {
    return (
      <EmptyState title="No nodes yet" mark={<StatusMark kind="registered" word="Empty fleet" />}>
        <p>
          {may ? (
            <>
              <Link to="/deploy">Deploy the first one here</Link>, or from the command line
            </>
          ) : (
            'Deploy the first one from the command line'
          )}
          ; it appears here by itself. Every option is in the help.
        </p>
        <Command label="Command that shows how to deploy a node">slipway deploy --help</Command>
      </EmptyState>
    );
  }
  if (mode === 'offline') {
    return (
      <EmptyState title="The server does not answer" mark={<StatusMark kind="stalled" word="Not reachable" />}>
        <p>Nothing has been loaded yet. The connection is tried again by itself.</p>
        <Button size="xs" variant="default" onClick={stream.hurry}>
          Try now
        </Button>
      </EmptyState>
    );
  }
  return <FleetSkeleton />;
}
