import { formatDuration, formatRough, plural } from '@/lib/format';
import type { TimeMode } from '@/lib/format';
import { useElementSize } from '@/ui';
import { axisLabel, bucketLabel, labelled } from './axis';
import classes from './Charts.module.css';
import { onlyOf, runsOf, ticksOf, type DurationBucket } from './series';

const height = 240;
const left = 58;
const right = 14;
const bottom = 28;
/** Half of the widest label below the axis. */
const half = 22;

/** Median and 95th percentile over time: a solid line with dots, and a dashed one with squares. */
export function DurationChart({ buckets, bucket, mode, label }: { buckets: readonly DurationBucket[]; bucket: number; mode: TimeMode; label: string }) {
  const { ref, width } = useElementSize<HTMLDivElement>();
  const runs = runsOf(buckets);
  const only = onlyOf(runs);
  const ticks = ticksOf(Math.max(0, ...buckets.map(({ p95 }) => p95 ?? 0)), 5);
  // What is written above a mark needs room.
  const top = only === null ? 12 : 26;
  const most = ticks.at(-1) ?? 1;
  const step = Math.max(0, width - left - right) / Math.max(1, buckets.length);
  const x = (index: number): number => left + (index + 0.5) * step;
  const y = (took: number): number => top + (1 - took / most) * (height - top - bottom);
  const at = axisLabel(bucket, mode);
  const name = bucketLabel(bucket, mode);
  const labels = buckets.map(({ start }) => at(Date.parse(start)));
  const line = (points: readonly { index: number; took: number }[]): string => points.map(({ index, took }, i) => `${i === 0 ? 'M' : 'L'}${x(index).toFixed(1)} ${y(took).toFixed(1)}`).join('');
  return (
    <div ref={ref} className={classes.plot}>
      {width === 0 ? null : (
        <svg width={width} height={height} role="img" aria-label={label}>
          {ticks.map((tick) => (
            <g key={tick}>
              <line x1={left} x2={width - right} y1={y(tick)} y2={y(tick)} className={classes.grid} />
              <text x={left - 8} y={y(tick) + 4} textAnchor="end" className={classes.tick}>
                {tick === 0 ? '0' : tick < 1000 ? formatDuration(tick) : formatRough(tick)}
              </text>
            </g>
          ))}
          {labelled(labels, Math.floor(width / 90)).map((index) => (
            <text key={index} x={Math.min(x(index), width - half)} y={height - 9} textAnchor="middle" className={classes.tick}>
              {labels[index]}
            </text>
          ))}
          {runs.map((run) => (
            <g key={run[0]?.index}>
              {run.length > 1 ? null : run.map(({ index, p50, p95 }) => <Alone key={index} from={left + index * step} to={left + (index + 1) * step} p50={y(p50)} p95={y(p95)} />)}
              <path d={line(run.map(({ index, p95 }) => ({ index, took: p95 })))} className={classes.p95} />
              <path d={line(run.map(({ index, p50 }) => ({ index, took: p50 })))} className={classes.p50} />
              {run.map(({ index, p50, p95 }) => (
                <g key={index}>
                  <rect x={x(index) - 3} y={y(p95) - 3} width="6" height="6" className={classes.p95Mark} />
                  <circle cx={x(index)} cy={y(p50)} r="3.5" className={classes.p50Mark} />
                </g>
              ))}
            </g>
          ))}
          {only === null ? null : <Words at={x(only.index)} inLeft={x(only.index) < width / 2} p50={y(only.p50)} p95={y(only.p95)} median={`median ${formatDuration(only.p50)}`} most={`95 of 100 within ${formatDuration(only.p95)}`} />}
          {buckets.map(({ start, count, p50, p95 }, index) => (
            <rect key={start} x={left + index * step} y={top} width={step} height={height - top - bottom} className={classes.band}>
              <title>{`${name(start)}: ${count === 0 ? 'none ended' : `${plural(count, 'end')}, median ${formatDuration(p50)}, 95 % within ${formatDuration(p95)}`}`}</title>
            </rect>
          ))}
        </svg>
      )}
    </div>
  );
}

/** A bucket without neighbours has no line to them: its own length stands for it. */
function Alone({ from, to, p50, p95 }: { from: number; to: number; p50: number; p95: number }) {
  const middle = (from + to) / 2;
  return (
    <>
      <path d={`M${middle} ${p50}V${p95}`} className={classes.grid} />
      <path d={`M${from} ${p95}H${to}`} className={classes.p95} />
      <path d={`M${from} ${p50}H${to}`} className={classes.p50} />
    </>
  );
}

/** The numbers of the only bucket there is, beside its marks: the first day has nothing to be compared with. */
function Words({ at, inLeft, p50, p95, median, most }: { at: number; inLeft: boolean; p50: number; p95: number; median: string; most: string }) {
  const place = inLeft ? ({ x: at - 4, textAnchor: 'start' } as const) : ({ x: at + 4, textAnchor: 'end' } as const);
  const below = p50 + 18;
  return (
    <>
      <text {...place} y={p95 - 9} className={classes.value}>
        {most}
      </text>
      <text {...place} y={below < height - bottom ? below : p50 - 9} className={classes.value}>
        {median}
      </text>
    </>
  );
}

/** What the two lines mean. */
export function DurationKey() {
  return (
    <ul className={classes.key} aria-hidden="true">
      <li>
        <svg width="26" height="10">
          <path d="M1 5h24" className={classes.p50} />
          <circle cx="13" cy="5" r="3.5" className={classes.p50Mark} />
        </svg>
        median
      </li>
      <li>
        <svg width="26" height="10">
          <path d="M1 5h24" className={classes.p95} />
          <rect x="10" y="2" width="6" height="6" className={classes.p95Mark} />
        </svg>
        95 of 100 within
      </li>
    </ul>
  );
}
