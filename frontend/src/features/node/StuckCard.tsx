import { useNow } from '@/lib/clock';
import { formatDuration } from '@/lib/format';
import { StatusMark } from '@/ui';
import classes from './cards.module.css';
import type { DeploymentDetails } from './useNode';

/** What a deployment waits for; loud only when it has waited too long. */
export function StuckCard({ reason, stale }: { reason: NonNullable<DeploymentDetails['stuckReason']>; stale: boolean }) {
  const now = useNow();
  const late = stale || reason.code === 'silent' || reason.code === 'overdue';
  return (
    <aside className={`${classes.space} ${classes.stuck}`} data-late={late || undefined} aria-label="What it waits for">
      <div className={classes.line}>
        <StatusMark kind={late ? 'stalled' : 'waiting'} word={late ? 'Stalled' : 'Waits for'} />
        <span className={classes.awaiting}>{reason.awaiting}</span>
        <span className={classes.since}>for {formatDuration(now - Date.parse(reason.since))}</span>
      </div>
      {reason.evidence === null || reason.evidence === '' ? null : <p className={classes.quiet}>{reason.evidence}</p>}
      {late && reason.advice !== '' ? <p>{reason.advice}</p> : null}
    </aside>
  );
}
