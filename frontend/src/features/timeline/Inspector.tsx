import { formatPercent } from '@/lib/format';
import { phaseStatus } from '@/lib/states';
import { Instant, StatusMark } from '@/ui';
import { factsOf, ranWords } from './describe';
import type { Bar } from './geometry';
import classes from './Timeline.module.css';

/** The bar that is pointed at, or the present one, in words. Its place is always there: nothing jumps. */
export function Inspector({ bar, now }: { bar: Bar | null; now: number }) {
  if (bar === null) return <div className={classes.inspector}>No phase has begun yet.</div>;
  const { run } = bar;
  const { kind } = phaseStatus(run.status);
  const { word, waited, ran, typical, deadline } = factsOf(bar, now);
  return (
    <div className={classes.inspector}>
      <div className={classes.facts}>
        <StatusMark kind={kind} word={word} />
        <strong>{run.label}</strong>
        {run.progress === null || !bar.open ? null : <span>{formatPercent(run.progress)}</span>}
        {run.attempt > 1 ? <span>attempt {run.attempt}</span> : null}
        {waited === null ? null : <span>waited {waited}</span>}
        {ran === null ? null : <span>{ranWords(bar, ran)}</span>}
        {typical === null ? null : <span>typical {typical}</span>}
        {deadline === null ? null : <span>deadline {deadline}</span>}
        <span className={classes.since}>
          since <Instant at={run.enteredAt} />
        </span>
      </div>
      <p className={classes.note}>{run.message ?? run.awaiting ?? '\u00a0'}</p>
    </div>
  );
}
