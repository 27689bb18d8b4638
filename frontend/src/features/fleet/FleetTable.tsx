import { useFragment } from '@apollo/client/react';
import { useTable } from '@tanstack/react-table';
import { useWindowVirtualizer } from '@tanstack/react-virtual';
import { memo, useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState, type CSSProperties, type RefObject, type UIEvent } from 'react';

import { useShortcuts } from '@/app/shortcuts';
import { FleetRowFragmentDoc } from '@/gql/generated/graphql';
import type { Pending } from '@/lib/pending';
import { rowKind } from '@/lib/states';
import { StatusMark, useElementSize, useMediaQuery } from '@/ui';
import { columnOf, columns, features, type RowRef } from './columns';
import classes from './FleetTable.module.css';
import { chosenColumns, type ColumnId, type FleetSearch, type SortKey } from './filters';

export interface FleetTableProps {
  ids: readonly string[];
  search: FleetSearch;
  onSort: (sort: SortKey) => void;
  /** Somebody points at a row or is in one: rows should not move. */
  onHold: (held: boolean) => void;
  /** How rows are selected; null for those who may ask nothing of them. */
  picking: Picking | null;
  /** What was asked of machines and is not shown by their rows yet. */
  pending: ReadonlyMap<string, Pending>;
}

export interface Picking {
  isOn: (id: string) => boolean;
  extent: 'none' | 'some' | 'all';
  onPick: (id: string, on: boolean, range: boolean) => void;
  onAll: (on: boolean) => void;
}

/** The fleet's rows, of which only those in view exist. */
export function FleetTable({ ids, search, onSort, onHold, picking, pending }: FleetTableProps) {
  const narrow = useMediaQuery('(max-width: 760px)', false, { getInitialValueInEffect: false });
  const medium = useMediaQuery('(max-width: 1000px)', false, { getInitialValueInEffect: false });
  const wide = useMediaQuery('(min-width: 1121px)', true, { getInitialValueInEffect: false });
  const room = narrow ? 760 : medium ? 920 : wide ? 1280 : 1000;
  const shown = useMemo(() => chosenColumns(search.cols).filter((id) => narrow || (columnOf(id).from ?? 0) <= room), [search.cols, narrow, room]);
  const widths = [...(picking === null ? [] : ['20px']), ...shown.map((id) => columnOf(id).width)];
  const template = widths.join(' ');
  // More columns than the window has room for: the table is scrolled, not the page.
  const { ref: frame, width } = useElementSize<HTMLDivElement>();
  const least = widths.reduce((sum, each) => sum + Number(/\d+/.exec(each)?.[0] ?? 0) + 14, 14);
  const scrolls = !narrow && width > 0 && least > width;
  const head = useRef<HTMLDivElement>(null);
  const around = useRef<HTMLDivElement>(null);
  const bar = useRef<HTMLDivElement>(null);
  const follow = useSideways(template, head, around, bar);
  const rowHeight = narrow ? 82 : 44;
  const data = useMemo<RowRef[]>(() => ids.map((id) => ({ id })), [ids]);
  const table = useTable({ features, columns, data, getRowId: ({ id }) => id });
  const { rows } = table.getRowModel();

  const body = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  // Where the rows begin on the page: what stands above them may wrap or grow.
  useLayoutEffect(() => {
    const measure = (): void => {
      if (body.current) setTop(Math.round(body.current.getBoundingClientRect().top + globalThis.scrollY));
    };
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(document.body);
    return () => observer.disconnect();
  }, []);
  const virtual = useWindowVirtualizer({ count: rows.length, estimateSize: () => rowHeight, overscan: 8, scrollMargin: top });
  useLayoutEffect(() => {
    virtual.measure();
  }, [virtual, rowHeight]);

  // A fast hand presses the next key before the row that the last one led to is drawn.
  const wanted = useRef<number | null>(null);
  const focusRow = (step: 1 | -1): void => {
    const current = wanted.current ?? focusedIndex() ?? (step === 1 ? -1 : rows.length);
    const next = Math.min(rows.length - 1, Math.max(0, current + step));
    wanted.current = next;
    virtual.scrollToIndex(next, { align: 'auto' });
    // The row may only exist after the scroll was drawn.
    requestAnimationFrame(() => {
      if (wanted.current === next) wanted.current = null;
      body.current?.querySelector<HTMLElement>(`[data-index="${next}"] [data-row-link]`)?.focus();
    });
  };
  /** The row that has the focus is selected, or let go; with Shift all from the last one to it. */
  const pickRow = (range: boolean): void => {
    const id = ids[wanted.current ?? focusedIndex() ?? -1];
    if (picking !== null && id !== undefined) picking.onPick(id, range || !picking.isOn(id), range);
  };
  useShortcuts({ j: () => focusRow(1), k: () => focusRow(-1), x: () => pickRow(false), X: () => pickRow(true) });

  return (
    <div ref={frame} className={classes.table} style={{ '--columns': template, '--least': `${least}px` } as CSSProperties} data-scrolls={scrolls || undefined} role="table" aria-label="Nodes" aria-rowcount={rows.length + 1}>
      <div ref={head} role="rowgroup" className={classes.head} onScroll={follow}>
        {table.getHeaderGroups().map((group) => (
          <div key={group.id} role="row" aria-rowindex={1} className={classes.row}>
            {picking === null ? null : <AllCell picking={picking} />}
            {group.headers
              .filter((header) => shown.includes(header.column.id as ColumnId))
              .map((header) => (
                <HeaderCell key={header.id} id={header.column.id as ColumnId} search={search} onSort={onSort} />
              ))}
          </div>
        ))}
      </div>
      <div ref={around} role="presentation" className={classes.rows} onScroll={follow}>
        <div
          ref={body}
          role="rowgroup"
          className={classes.body}
          style={{ height: virtual.getTotalSize() }}
          onPointerEnter={(event) => event.pointerType === 'mouse' && onHold(true)}
          onPointerLeave={() => onHold(false)}
          onFocus={() => onHold(true)}
          onBlur={() => onHold(false)}
        >
          {virtual.getVirtualItems().map(({ index, start }) => {
            const row = rows[index];
            return row ? <Row key={row.id} id={row.id} index={index} offset={start - top} height={rowHeight} shown={shown} picked={picking?.isOn(row.id) ?? false} onPick={picking?.onPick ?? null} asked={pending.get(row.id)?.word ?? null} /> : null;
          })}
        </div>
      </div>
      {scrolls ? (
        <div ref={bar} role="presentation" className={classes.bar} onScroll={follow}>
          <div />
        </div>
      ) : null}
    </div>
  );
}

type Part = RefObject<HTMLDivElement | null>;

/**
 * What scrolls sideways cannot have a head that sticks to the window, nor a bar at
 * the window's edge: so the head, the rows and the bar each scroll, all the same way.
 */
function useSideways(columns: string, head: Part, body: Part, bar: Part) {
  const lead = useCallback(
    (from: HTMLElement | null): void => {
      if (from === null) return;
      for (const { current: part } of [head, body, bar]) if (part !== null && part !== from && part.scrollLeft !== from.scrollLeft) part.scrollLeft = from.scrollLeft;
      from.parentElement?.toggleAttribute('data-shifted', from.scrollLeft > 0);
    },
    [head, body, bar],
  );
  // With other columns there may be less to scroll.
  useLayoutEffect(() => lead(body.current), [columns, lead, body]);
  return (event: UIEvent<HTMLDivElement>): void => lead(event.currentTarget);
}

function focusedIndex(): number | null {
  const index = document.activeElement?.closest('[data-index]')?.getAttribute('data-index') ?? null;
  return index === null ? null : Number(index);
}

function AllCell({ picking }: { picking: Picking }) {
  const box = useRef<HTMLInputElement>(null);
  const some = picking.extent === 'some';
  useEffect(() => {
    if (box.current) box.current.indeterminate = some;
  }, [some]);
  return (
    <div role="columnheader" className={classes.pick}>
      <input ref={box} type="checkbox" aria-label="Select all nodes that are shown" title="Select all that are shown" checked={picking.extent === 'all'} onChange={(event) => picking.onAll(event.currentTarget.checked)} />
    </div>
  );
}

function HeaderCell({ id, search, onSort }: { id: ColumnId; search: FleetSearch; onSort: (sort: SortKey) => void }) {
  const { title, sort } = columnOf(id);
  const sorted = (search.sort ?? 'attention') === sort;
  const direction = search.desc ? 'descending' : 'ascending';
  return (
    <div role="columnheader" aria-sort={sorted ? direction : 'none'} className={classes.cell} data-column={id}>
      <button type="button" className={classes.sort} onClick={() => onSort(sort)} title={sort === 'attention' ? 'What needs attention first' : undefined}>
        {title}
        <svg viewBox="0 0 8 8" width="8" height="8" aria-hidden="true" data-shown={sorted || undefined}>
          <path d={search.desc ? 'M1 2.5h6L4 6.5z' : 'M1 5.5h6L4 1.5z'} fill="currentColor" />
        </svg>
      </button>
    </div>
  );
}

interface RowProps {
  id: string;
  index: number;
  offset: number;
  height: number;
  shown: readonly ColumnId[];
  picked: boolean;
  onPick: Picking['onPick'] | null;
  /** What was asked of it, in a word. */
  asked: string | null;
}

// Drawn again when its own machine changes, and not when another does.
const Row = memo(function Row({ id, index, offset, height, shown, picked, onPick, asked }: RowProps) {
  const { data, complete } = useFragment({
    fragment: FleetRowFragmentDoc,
    fragmentName: 'FleetRow',
    from: { __typename: 'BareMetalNode', id },
  });
  if (!complete) return null;
  return (
    <div
      role="row"
      aria-rowindex={index + 2}
      data-index={index}
      data-stale={data.stale || undefined}
      data-picked={picked || undefined}
      data-asked={asked !== null || undefined}
      className={`${classes.row} ${classes.line}`}
      style={{ height, transform: `translateY(${offset}px)` }}
    >
      {onPick === null ? null : (
        <div role="cell" className={classes.pick}>
          <input
            type="checkbox"
            aria-label={`Select ${data.name}`}
            checked={picked}
            disabled={data.currentDeployment === null}
            title={data.currentDeployment === null ? 'Never deployed: there is nothing to ask of it' : undefined}
            // Text between two clicks is not what is being selected.
            onMouseDown={(event) => event.shiftKey && event.preventDefault()}
            onChange={(event) => onPick(id, event.currentTarget.checked, (event.nativeEvent as MouseEvent).shiftKey)}
          />
        </div>
      )}
      {shown.map((column) => (
        <div key={column} role="cell" className={classes.cell} data-column={column}>
          {column === 'state' && asked !== null ? <StatusMark kind={rowKind(data)} word={asked} /> : columnOf(column).cell(data)}
        </div>
      ))}
    </div>
  );
});
