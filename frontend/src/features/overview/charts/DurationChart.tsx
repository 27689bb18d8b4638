import { formatDuration, formatRough } from '@/lib/format';
import { useElementSize } from '@/ui';
import { durationTicks, median, type Point } from './series';
import classes from './charts.module.css';

const height = 220;
const left = 58;
const right = 20;
const top = 10;
const bottom = 26;

const day = (at: number): string => new Date(at).toLocaleDateString('en-GB', { day: 'numeric', month: 'short' });
const hour = (at: number): string => new Date(at).toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' });
const second = (at: number): string => new Date(at).toLocaleTimeString('en-GB');

/** Instants as short as their distance allows: four marks of one axis never say the same. */
const labelOf = (length: number): ((at: number) => string) => (length > 4 * 86_400_000 ? day : length > 36 * 3_600_000 ? (at) => `${day(at)} ${hour(at)}` : length > 4 * 60_000 ? hour : second);

/** How long deployments took, by the time of their end: a dot for each that succeeded, a cross for each that failed. */
export function DurationChart({ points }: { points: readonly Point[] }) {
  const { ref, width } = useElementSize<HTMLDivElement>();
  const begin = points[0]?.at ?? 0;
  const end = points.at(-1)?.at ?? 1;
  const ticks = durationTicks(Math.max(0, ...points.map(({ took }) => took)), 5);
  const most = ticks.at(-1) ?? 1;
  const x = (at: number): number => left + (end === begin ? 0.5 : (at - begin) / (end - begin)) * Math.max(0, width - left - right);
  const y = (took: number): number => top + (1 - took / most) * (height - top - bottom);
  const middle = median(points.flatMap(({ took, succeeded }) => (succeeded ? took : [])));
  const label = labelOf(end - begin);
  const failed = points.filter(({ succeeded }) => !succeeded).length;
  const marks = end === begin ? [begin] : [0, 1, 2, 3].map((i) => begin + ((end - begin) * i) / 3);

  return (
    <div ref={ref} className={classes.plot}>
      {width === 0 ? null : (
        <svg
          width={width}
          height={height}
          role="img"
          aria-label={`Durations of ${points.length} deployments, ${failed} of them failed${middle === null ? '' : `; the median of those that succeeded is ${formatDuration(middle)}`}. The table below has each.`}
        >
          {ticks.map((tick) => (
            <g key={tick}>
              <line x1={left} x2={width - right} y1={y(tick)} y2={y(tick)} className={classes.grid} />
              <text x={left - 8} y={y(tick) + 4} textAnchor="end" className={classes.tick}>
                {tick === 0 ? '0' : formatRough(tick)}
              </text>
            </g>
          ))}
          {marks.map((at, i) => (
            <text key={at} x={x(at)} y={height - 8} textAnchor={marks.length === 1 ? 'middle' : i === 0 ? 'start' : i === 3 ? 'end' : 'middle'} className={classes.tick}>
              {label(at)}
            </text>
          ))}
          {middle === null ? null : (
            <>
              <line x1={left} x2={width - right} y1={y(middle)} y2={y(middle)} className={classes.median} />
              <text x={width - right} y={y(middle) - 5} textAnchor="end" className={classes.medianText}>
                median {formatDuration(middle)}
              </text>
            </>
          )}
          {points.map((point) => (
            <g key={point.id} className={point.succeeded ? classes.good : classes.bad}>
              <title>{`${point.name} #${point.number}: ${point.succeeded ? 'deployed' : 'failed'} after ${formatDuration(point.took)}`}</title>
              {point.succeeded ? (
                <circle cx={x(point.at)} cy={y(point.took)} r="3.5" />
              ) : (
                <path d={`M${x(point.at) - 4} ${y(point.took) - 4}l8 8m0-8l-8 8`} />
              )}
            </g>
          ))}
        </svg>
      )}
    </div>
  );
}
