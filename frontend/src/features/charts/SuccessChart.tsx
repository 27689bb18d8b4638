import { plural } from '@/lib/format';
import type { TimeMode } from '@/lib/format';
import { bucketLabel } from './axis';
import classes from './Charts.module.css';
import type { SuccessSeries } from './series';

const height = 36;
const wide = 10;

/**
 * How attempts of a profile ended over time, a bar a bucket: succeeded from the
 * ground up, failed hanging from above in another colour and with a gap between,
 * so that they differ without colour as well.
 */
export function SuccessChart({ series, bucket, mode, label }: { series: SuccessSeries; bucket: number; mode: TimeMode; label: string }) {
  const { buckets } = series;
  const most = Math.max(1, ...buckets.map(({ succeeded, failed, canceled }) => succeeded + failed + canceled));
  const name = bucketLabel(bucket, mode);
  const scale = (count: number): number => (count === 0 ? 0 : Math.max(2, (count / most) * (height - 2)));
  return (
    <svg viewBox={`0 0 ${buckets.length * wide} ${height}`} preserveAspectRatio="none" className={classes.bars} role="img" aria-label={label}>
      <line x1="0" x2={buckets.length * wide} y1={height - 0.5} y2={height - 0.5} className={classes.ground} />
      {buckets.map(({ start, succeeded, failed, canceled }, index) => {
        const good = scale(succeeded);
        const bad = scale(failed);
        return (
          <g key={start}>
            <title>{`${name(start)}: ${succeeded + failed + canceled === 0 ? 'none ended' : `${succeeded} deployed, ${plural(failed, 'failure')}, ${canceled} canceled`}`}</title>
            <rect x={index * wide} y="0" width={wide} height={height} className={classes.band} />
            <rect x={index * wide + 1} y={height - good} width={wide - 2} height={good} className={classes.good} />
            <rect x={index * wide + 1} y="0" width={wide - 2} height={Math.min(bad, Math.max(0, height - good - (good > 0 ? 2 : 0)))} className={classes.bad} />
          </g>
        );
      })}
    </svg>
  );
}
