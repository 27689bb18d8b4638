import { formatPercent } from '@/lib/format';
import type { StatusKind } from '@/lib/states';
import classes from './Progress.module.css';

/** How far something has come, as a bar and a number. */
export function Progress({ value, kind, label }: { value: number; kind: StatusKind; label: string }) {
  const percent = Math.min(100, Math.max(0, value * 100));
  return (
    <span
      className={classes.progress}
      data-kind={kind}
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={Math.floor(percent + 1e-9)}
    >
      <svg className={classes.track} viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
        <rect className={classes.rest} width="100" height="6" />
        <rect className={classes.done} width={percent} height="6" />
      </svg>
      <span className={classes.number} aria-hidden="true">
        {formatPercent(value)}
      </span>
    </span>
  );
}
