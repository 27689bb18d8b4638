import { useEffect, useId, useRef, useState, type KeyboardEvent } from 'react';

import { formatDuration, formatPercent } from '@/lib/format';
import { phaseStatus } from '@/lib/states';
import { StatusMark, useElementSize } from '@/ui';
import { describeBar } from './describe';
import { moveFocus, position, type Bar, type Move, type Row, type Timeline } from './geometry';
import classes from './Timeline.module.css';

export interface TimelineChartProps {
  timeline: Timeline;
  /** Where the now-line stands; null when everything is over. */
  now: number | null;
  width: number;
  onWidth: (width: number) => void;
  selectedPhase: string | null;
  onSelectPhase: (key: string) => void;
  onPoint: (key: string | null) => void;
}

const axis = 24;
const lane = 16;
const pad = 6;
const moves: Partial<Record<string, Move>> = { ArrowRight: 'next', ArrowLeft: 'previous', ArrowUp: 'up', ArrowDown: 'down', Home: 'first', End: 'last' };

const heightOf = (row: Row): number => Math.max(1, row.lanes.length) * lane + 2 * pad;

/** A row per phase, a lane per attempt; labels and lengths stand beside it as text. */
export function TimelineChart({ timeline, now, width, onWidth, selectedPhase, onSelectPhase, onPoint }: TimelineChartProps) {
  const { rows, domain, ticks } = timeline;
  const { ref, width: measured } = useElementSize<HTMLDivElement>();
  useEffect(() => {
    if (measured > 0) onWidth(measured);
  }, [measured, onWidth]);
  const hatch = useId();
  const svg = useRef<SVGSVGElement>(null);
  const [focused, setFocused] = useState<string | null>(null);
  const all = rows.flatMap(({ lanes }) => lanes.flatMap(({ bars }) => bars));
  // One bar is reached by Tab; the arrows go to the others.
  const tabStop = all.some(({ run }) => run.key === focused) ? focused : (all.find(({ open }) => open) ?? all[0])?.run.key;

  const onKeyDown = (event: KeyboardEvent<SVGSVGElement>): void => {
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    const next = moveFocus(rows, focused, move);
    if (next !== null) svg.current?.querySelector<SVGGElement>(`[data-run="${CSS.escape(next)}"]`)?.focus();
  };

  const offsets: number[] = [];
  let height = axis;
  for (const row of rows) {
    offsets.push(height);
    height += heightOf(row);
  }
  const x = (at: number): number => position(at, domain, width);

  return (
    <div className={classes.chart}>
      <div className={classes.labels} aria-hidden="true">
        <div className={classes.corner} />
        {rows.map((row) => (
          <div key={row.phaseKey} className={classes.label} style={{ height: heightOf(row) }} data-todo={row.lanes.length === 0 || undefined} data-selected={row.phaseKey === selectedPhase || undefined}>
            <span>{row.label}</span>
          </div>
        ))}
      </div>
      <div ref={ref} className={classes.plot}>
        <svg ref={svg} width={width} height={height} role="group" aria-label="Timeline of the phases. Arrow keys move between bars, Enter shows the events of a phase." onKeyDown={onKeyDown}>
          <defs>
            <pattern id={hatch} width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
              <line x1="0" y1="0" x2="0" y2="5" className={classes.hatch} />
            </pattern>
          </defs>
          {ticks.map(({ at, label }, i) => (
            <g key={label} aria-hidden="true">
              <line x1={x(at)} x2={x(at)} y1={axis - 4} y2={height} className={classes.grid} />
              <text x={x(at)} y={axis - 9} className={classes.tick} textAnchor={i === 0 ? 'start' : x(at) > width - 24 ? 'end' : 'middle'}>
                {label}
              </text>
            </g>
          ))}
          {rows.map((row, i) => {
            const top = offsets[i] ?? 0;
            return (
              <g key={row.phaseKey}>
                <line x1="0" x2={width} y1={top} y2={top} className={classes.rule} />
                {row.lanes.flatMap(({ bars }, j) =>
                  bars.map((bar) => (
                    <BarShape
                      key={bar.run.key}
                      bar={bar}
                      x={x}
                      end={domain.to}
                      y={top + pad + j * lane}
                      hatch={hatch}
                      now={now ?? 0}
                      tabStop={bar.run.key === tabStop}
                      pressed={row.phaseKey === selectedPhase}
                      onFocus={() => {
                        setFocused(bar.run.key);
                        onPoint(bar.run.key);
                      }}
                      onPoint={(on) => onPoint(on ? bar.run.key : null)}
                      onSelect={() => onSelectPhase(row.phaseKey)}
                    />
                  )),
                )}
              </g>
            );
          })}
          {now === null ? null : <line x1={x(now)} x2={x(now)} y1={axis - 6} y2={height} className={classes.now} aria-hidden="true" />}
        </svg>
      </div>
      <div className={classes.lengths} aria-hidden="true">
        <div className={classes.corner} />
        {rows.map((row) => (
          <div key={row.phaseKey} className={classes.length} style={{ height: heightOf(row) }}>
            <Length row={row} />
          </div>
        ))}
      </div>
    </div>
  );
}

interface BarShapeProps {
  bar: Bar;
  x: (at: number) => number;
  /** The end of the axis. */
  end: number;
  y: number;
  hatch: string;
  now: number;
  tabStop: boolean;
  pressed: boolean;
  onFocus: () => void;
  onPoint: (on: boolean) => void;
  onSelect: () => void;
}

const inner = lane - 4;

function BarShape({ bar, x, end, y, hatch, now, tabStop, pressed, onFocus, onPoint, onSelect }: BarShapeProps) {
  const { run, waiting, running, typical, deadline, skipped } = bar;
  const { kind } = phaseStatus(run.status);
  const from = x(waiting?.from ?? running?.from ?? Date.parse(run.enteredAt));
  const to = Math.max(from + 3, x(running?.to ?? waiting?.to ?? Date.parse(run.enteredAt)));
  return (
    <g
      role="button"
      tabIndex={tabStop ? 0 : -1}
      aria-label={describeBar(bar, now)}
      aria-pressed={pressed}
      data-run={run.key}
      data-kind={kind}
      className={classes.bar}
      onFocus={onFocus}
      onPointerEnter={() => onPoint(true)}
      onPointerLeave={() => onPoint(false)}
      onClick={onSelect}
      onKeyDown={(event) => {
        if (event.key !== 'Enter' && event.key !== ' ') return;
        event.preventDefault();
        onSelect();
      }}
    >
      <rect className={classes.hit} x={from - 5} y={y - 1} width={Math.max(14, to - from + 10)} height={lane} rx="4" />
      {typical === null ? null : <rect className={classes.typical} x={x(typical.from)} y={y + 1} width={Math.max(2, x(typical.to) - x(typical.from))} height={inner} rx="3" />}
      {waiting === null ? null : <rect className={classes.waiting} fill={`url(#${hatch})`} x={x(waiting.from)} y={y + 3} width={Math.max(2, x(waiting.to) - x(waiting.from))} height={inner - 4} rx="2" />}
      {running === null ? null : <rect className={classes.running} x={x(running.from)} y={y + 1} width={Math.max(3, x(running.to) - x(running.from))} height={inner} rx="2.5" />}
      {skipped ? <path className={classes.skipped} d={`M${from + 1} ${y + 3}l4 4-4 4M${from + 6} ${y + 3}l4 4-4 4`} /> : null}
      {deadline === null || deadline > end ? null : <path className={classes.deadline} d={`M${x(deadline)} ${y - 2}v${lane}`} />}
      <rect className={classes.ring} x={from - 3} y={y - 1.5} width={Math.max(6, to - from + 6)} height={lane + 1} rx="4" />
    </g>
  );
}

/** The state and length of a phase's last visit, beside the chart. */
function Length({ row }: { row: Row }) {
  const bar = row.lanes.at(-1)?.bars.at(-1);
  if (!bar) return null;
  const { kind, word } = phaseStatus(bar.run.status);
  const span = bar.running ?? bar.waiting;
  return (
    <>
      <span className={classes.lengthText}>
        {bar.skipped ? 'skipped' : bar.open && bar.run.progress !== null ? formatPercent(bar.run.progress) : span === null ? word : formatDuration(span.to - span.from)}
      </span>
      <StatusMark kind={kind} word={word} compact />
    </>
  );
}
