import { useNow } from '@/lib/clock';
import { formatDuration } from '@/lib/format';
import { StatusMark } from '@/ui';
import classes from './cards.module.css';
import type { DeploymentDetails } from './useNode';

type Reason = NonNullable<DeploymentDetails['stuckReason']>;

/** Whether it has waited too long: the server says so, of the machine or of the wait. */
export function isLate(reason: Reason, stale: boolean): boolean {
  return stale || reason.code === 'silent' || reason.code === 'overdue';
}

/** What a deployment waits for that has waited too long, and what to do about it. */
export function StuckCard({ reason }: { reason: Reason }) {
  const now = useNow();
  return (
    <aside className={`${classes.space} ${classes.stuck}`} aria-label="Stalled">
      <div className={classes.line}>
        <StatusMark kind="stalled" />
        <span className={classes.awaiting}>Waits for {reason.awaiting}</span>
        <span className={classes.since}>for {formatDuration(now - Date.parse(reason.since))}</span>
      </div>
      {reason.evidence === null || reason.evidence === '' ? null : <p className={classes.quiet}>{reason.evidence}</p>}
      {reason.advice === '' ? null : (
        <p>
          <strong>What to do:</strong> {reason.advice}
        </p>
      )}
    </aside>
  );
}
