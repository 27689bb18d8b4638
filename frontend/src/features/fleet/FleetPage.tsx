import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { useMemo, useRef, useState } from 'react';

import { useShortcuts } from '@/app/shortcuts';
import { useStream } from '@/app/services';
import { useMay } from '@/app/session';
import { useTitle } from '@/app/useTitle';
import { nodesExport } from '@/lib/exports';
import { formatDuration, plural } from '@/lib/format';
import { handoffFleet } from '@/lib/handoff';
import { useStore } from '@/lib/store';
import { Button, Command, CopyAs, EmptyState, ExportLinks, StatusMark, TextInput } from '@/ui';
import { ColumnChoice } from './ColumnChoice';
import { CountFilters } from './CountFilters';
import classes from './FleetPage.module.css';
import { FleetSkeleton } from './FleetSkeleton';
import { FleetTable } from './FleetTable';
import { countGroups, groupStates, selectRows, shownGroups, toggleGroup, type FleetSearch, type Group, type SortKey } from './filters';
import { useFleet } from './useFleet';
import { useHeldOrder } from './useHeldOrder';

/** All machines: counts that filter, and a table. */
export function FleetPage() {
  const search = useSearch({ from: '/' });
  const navigate = useNavigate({ from: '/' });
  const change = (next: FleetSearch): void => void navigate({ search: next, replace: true });
  const filterInput = useRef<HTMLInputElement>(null);
  const [held, setHeld] = useState(false);

  const fleet = useFleet();
  const { rows, complete, numbers } = fleet;
  // The map of rows is one and the same; the snapshot around it is new after a change.
  const counts = useMemo(() => countGroups(fleet.rows.values()), [fleet]);
  const fresh = useMemo(() => selectRows(fleet.rows.values(), search).map(({ id }) => id), [fleet, search]);
  const { ids, moves, apply } = useHeldOrder(fresh, JSON.stringify({ ...search, cols: undefined }), held);

  useTitle(fleetTitle(counts, rows.size, complete));
  useShortcuts({ '/': () => filterInput.current?.focus() });

  const onSort = (sort: SortKey): void => {
    const same = (search.sort ?? 'attention') === sort;
    const { sort: _, desc: __, ...rest } = search;
    change({ ...rest, ...(sort === 'attention' ? {} : { sort }), ...(same && !search.desc ? { desc: true } : {}) });
  };
  const onColumns = (cols: string | undefined): void => {
    const { cols: _, ...rest } = search;
    change(cols === undefined ? rest : { ...rest, cols });
  };
  const onText = (q: string): void => {
    const { q: _, ...rest } = search;
    change(q === '' ? rest : { ...rest, q });
  };
  const onGroup = (group: Group | null): void => {
    const { show, ...rest } = search;
    const next = group === null ? undefined : toggleGroup(show, group);
    change(next === undefined ? rest : { ...rest, show: next });
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
            aria-label="Filter by name, address, profile or phase"
            placeholder="Filter by name, address, profile, phase …"
            value={search.q ?? ''}
            onChange={(event) => onText(event.currentTarget.value)}
            onKeyDown={(event) => {
              if (event.key === 'Escape') event.currentTarget.blur();
            }}
          />
          <span className={classes.shown}>{complete ? (ids.length === rows.size ? plural(rows.size, 'node') : `${ids.length.toLocaleString('en')} of ${plural(rows.size, 'node')}`) : ''}</span>
          {moves > 0 ? (
            <Button size="compact-xs" variant="default" className={classes.moves} onClick={apply}>
              {plural(moves, 'row')} would move · apply
            </Button>
          ) : null}
          <div className={classes.right}>
            <ExportLinks what="nodes" href={(format) => nodesExport({ text: search.q ?? '', states: groupStates(shownGroups(search.show)), late: search.show === 'late' ? true : null }, format)} />
            <CopyAs handoff={handoffFleet(globalThis.location.origin, { text: search.q ?? '', states: groupStates(shownGroups(search.show)) })} size="compact-xs" />
            <ColumnChoice cols={search.cols} onChange={onColumns} />
          </div>
        </div>
        {ids.length > 0 ? <FleetTable ids={ids} search={search} onSort={onSort} onHold={setHeld} /> : <Nothing complete={complete} total={rows.size} onClear={() => change({})} />}
      </section>
    </>
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
