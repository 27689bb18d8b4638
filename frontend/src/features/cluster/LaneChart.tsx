import { useEffect, useId, useRef, useState, type KeyboardEvent } from 'react';

import { describeBar } from '@/features/timeline/describe';
import { position, type Move } from '@/features/timeline/geometry';
import { formatPercent } from '@/lib/format';
import { phaseStatus } from '@/lib/states';
import { StatusMark, useElementSize } from '@/ui';
import classes from './LaneChart.module.css';
import { moveInLanes, type Lane, type LaneBar, type Lanes, type Step } from './lanes';
import { memberMark } from './words';

export interface LaneChartProps {
  lanes: Lanes;
  /** By the server's clock. */
  now: number;
  width: number;
  onWidth: (width: number) => void;
  /** Id of the node that is selected. */
  selected: string | null;
  onSelect: (nodeId: string) => void;
  /** The bar that is pointed at, by its key. */
  onPoint: (key: string | null) => void;
}

const axis = 46;
const laneHeight = 46;
const barTop = 13;
const barHeight = 20;
const stepsHeight = 40;
const moves: Partial<Record<string, Move>> = { ArrowRight: 'next', ArrowLeft: 'previous', ArrowUp: 'up', ArrowDown: 'down', Home: 'first', End: 'last' };
/** About the width of a letter of a label, in px. */
const letter = 6.6;

/** A lane for each node, one barrier through all of them, and what the cluster does after it. */
export function LaneChart({ lanes, now, width, onWidth, selected, onSelect, onPoint }: LaneChartProps) {
  const { domain, ticks, barrier, steps, open } = lanes;
  const { ref, width: measured } = useElementSize<HTMLDivElement>();
  useEffect(() => {
    if (measured > 0) onWidth(measured);
  }, [measured, onWidth]);
  const hatch = useId();
  const svg = useRef<SVGSVGElement>(null);
  const [focused, setFocused] = useState<string | null>(null);
  const all = lanes.lanes.flatMap(({ bars }) => bars);
  // One bar is reached by Tab; the arrows go to the others.
  const tabStop = all.some(({ run }) => run.key === focused) ? focused : (all.find((bar) => bar.open) ?? all[0])?.run.key;
  const onKeyDown = (event: KeyboardEvent<SVGSVGElement>): void => {
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    const next = moveInLanes(lanes.lanes, focused, move);
    if (next !== null) svg.current?.querySelector<SVGGElement>(`[data-run="${CSS.escape(next)}"]`)?.focus();
  };
  const x = (at: number): number => position(at, domain, width);
  const below = axis + lanes.lanes.length * laneHeight;
  const height = below + stepsHeight;
  return (
    <div className={classes.chart}>
      <div aria-hidden="true">
        <div style={{ height: axis }} />
        {lanes.lanes.map(({ key, member }) => (
          <div key={key} className={classes.label} style={{ height: laneHeight }} data-selected={member.node.id === selected || undefined} data-gone={member.state === 'REPLACED' || undefined}>
            <span className={classes.name}>{member.node.name}</span>
          </div>
        ))}
        <div className={classes.label} style={{ height: stepsHeight }}>
          <span className={classes.name}>The cluster</span>
        </div>
      </div>
      <div ref={ref} className={classes.plot}>
        <svg ref={svg} width={width} height={height} role="group" aria-label="Nodes in time. Arrow keys move along a node and between nodes, Enter selects the node." onKeyDown={onKeyDown}>
          <defs>
            <pattern id={hatch} width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
              <line x1="0" y1="0" x2="0" y2="5" className={classes.hatch} />
            </pattern>
          </defs>
          {ticks.map(({ at, label }, i) => (
            <g key={label} aria-hidden="true">
              <line x1={x(at)} x2={x(at)} y1={axis - 4} y2={height} className={classes.grid} />
              {/* The barrier goes through where a label would stand. */}
              <text x={x(at)} y={axis - 9} opacity={Math.abs(x(at) - x(barrier.at)) < 24 ? 0 : 1} className={classes.tick} textAnchor={i === 0 ? 'start' : x(at) > width - 24 ? 'end' : 'middle'}>
                {label}
              </text>
            </g>
          ))}
          {lanes.lanes.map((lane, i) => (
            <LaneShape
              key={lane.key}
              lane={lane}
              top={axis + i * laneHeight}
              width={width}
              x={x}
              hatch={hatch}
              now={now}
              tabStop={tabStop ?? null}
              selected={lane.member.node.id === selected}
              onFocus={(key) => {
                setFocused(key);
                onPoint(key);
              }}
              onPoint={onPoint}
              onSelect={() => onSelect(lane.member.node.id)}
            />
          ))}
          <line x1="0" x2={width} y1={below} y2={below} className={classes.strong} aria-hidden="true" />
          {steps.map((step) => (
            <StepShape key={step.key} step={step} x={x} top={below} />
          ))}
          <BarrierLine lanes={lanes} at={x(barrier.at)} width={width} height={below} />
          {open ? <line x1={x(now)} x2={x(now)} y1={axis - 6} y2={height} className={classes.now} aria-hidden="true" /> : null}
        </svg>
      </div>
      <div className={classes.marks} aria-hidden="true">
        <div style={{ height: axis }} />
        {lanes.lanes.map(({ key, member }) => {
          const { kind, word } = memberMark(member, barrier.is === 'reached');
          return (
            <div key={key} className={classes.mark} style={{ height: laneHeight }}>
              <StatusMark kind={kind} word={word} />
              {member.deployment?.state === 'RUNNING' && !member.ready ? <span className={classes.quiet}>{formatPercent(member.deployment.progress)}</span> : null}
            </div>
          );
        })}
        <div className={classes.mark} style={{ height: stepsHeight }} />
      </div>
    </div>
  );
}

interface LaneShapeProps {
  lane: Lane;
  top: number;
  width: number;
  x: (at: number) => number;
  hatch: string;
  now: number;
  tabStop: string | null;
  selected: boolean;
  onFocus: (key: string) => void;
  onPoint: (key: string | null) => void;
  onSelect: () => void;
}

function LaneShape({ lane, top, width, x, hatch, now, tabStop, selected, onFocus, onPoint, onSelect }: LaneShapeProps) {
  return (
    <g data-gone={lane.member.state === 'REPLACED' || undefined} className={classes.lane}>
      {selected ? <rect x="0" y={top} width={width} height={laneHeight} className={classes.chosen} aria-hidden="true" /> : null}
      <line x1="0" x2={width} y1={top} y2={top} className={classes.rule} aria-hidden="true" />
      {lane.bars.map((bar) => (
        <LaneBarShape key={bar.run.key} bar={bar} name={lane.member.node.name} x={x} y={top + barTop} hatch={hatch} now={now} tabStop={bar.run.key === tabStop} pressed={selected} onFocus={() => onFocus(bar.run.key)} onPoint={(on) => onPoint(on ? bar.run.key : null)} onSelect={onSelect} />
      ))}
    </g>
  );
}

interface LaneBarShapeProps {
  bar: LaneBar;
  name: string;
  x: (at: number) => number;
  y: number;
  hatch: string;
  now: number;
  tabStop: boolean;
  pressed: boolean;
  onFocus: () => void;
  onPoint: (on: boolean) => void;
  onSelect: () => void;
}

function LaneBarShape({ bar, name, x, y, hatch, now, tabStop, pressed, onFocus, onPoint, onSelect }: LaneBarShapeProps) {
  const { run, waiting, running, skipped, held } = bar;
  const { kind } = phaseStatus(run.status);
  const entered = Date.parse(run.enteredAt);
  const from = x(waiting?.from ?? running?.from ?? entered);
  const to = Math.max(from + 3, x(running?.to ?? waiting?.to ?? entered));
  const solid = running === null ? 0 : x(running.to) - x(running.from);
  const fits = solid > run.label.length * letter + 12;
  return (
    <g
      role="button"
      tabIndex={tabStop ? 0 : -1}
      aria-label={`${name}: ${describeBar(bar, now)}${held ? ', waits for the other nodes' : ''}`}
      aria-pressed={pressed}
      data-run={run.key}
      data-kind={kind}
      data-held={held || undefined}
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
      <rect className={classes.hit} x={from} y={y - 6} width={Math.max(4, to - from)} height={barHeight + 12} />
      {waiting === null ? null : <rect className={classes.waiting} fill={`url(#${hatch})`} x={x(waiting.from)} y={y + 3} width={Math.max(2, x(waiting.to) - x(waiting.from))} height={barHeight - 6} rx="2" />}
      {running === null ? null : <rect className={classes.running} x={x(running.from) + 0.5} y={y + 0.5} width={Math.max(2.5, solid - 1)} height={barHeight - 1} rx="2.5" />}
      {skipped ? <path className={classes.skipped} d={`M${from + 1} ${y + 6}l4 4-4 4M${from + 6} ${y + 6}l4 4-4 4`} /> : null}
      {fits && running !== null ? (
        <text x={x(running.from) + 7} y={y + 14} className={classes.text} aria-hidden="true">
          {run.label}
        </text>
      ) : null}
      <rect className={classes.ring} x={from - 3} y={y - 3} width={Math.max(6, to - from + 6)} height={barHeight + 6} rx="4" />
    </g>
  );
}

function StepShape({ step, x, top }: { step: Step; x: (at: number) => number; top: number }) {
  const from = x(step.span.from);
  const length = Math.max(3, x(step.span.to) - from);
  return (
    <g data-kind={step.kind} className={classes.bar} aria-hidden="true">
      <rect className={classes.running} x={from + 0.5} y={top + 10.5} width={Math.max(2.5, length - 1)} height={barHeight - 1} rx="2.5" />
      {length > step.label.length * letter + 12 ? (
        <text x={from + 7} y={top + 24} className={classes.text}>
          {step.label}
        </text>
      ) : null}
    </g>
  );
}

const barrierWords = { reached: '', expected: ', expected', open: '' } as const;

function BarrierLine({ lanes: { barrier }, at, width, height }: { lanes: Lanes; at: number; width: number; height: number }) {
  const text = `${barrier.ready} of ${barrier.total} ready${barrierWords[barrier.is]}`;
  const wide = text.length * letter + 16;
  const left = Math.min(Math.max(0, at - wide / 2), Math.max(0, width - wide));
  // The line stays within the picture.
  const line = Math.min(at, width - 1.5);
  return (
    <g className={classes.barrier} data-is={barrier.is} aria-hidden="true">
      <line x1={line} x2={line} y1={20} y2={height} />
      <rect x={left} y="1" width={wide} height="20" rx="10" />
      <text x={left + wide / 2} y="15" textAnchor="middle">
        {text}
      </text>
    </g>
  );
}
