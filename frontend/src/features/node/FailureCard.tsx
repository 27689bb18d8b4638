import { Link } from '@tanstack/react-router';

import { phaseLabel } from '@/lib/phases';
import { Instant, Panel, StatusMark } from '@/ui';
import classes from './cards.module.css';
import type { DeploymentDetails } from './useNode';

/** Why it failed, before anything else, and where to look next. What can be done about it is asked for right above. */
export function FailureCard({ failure, deploymentId }: { failure: NonNullable<DeploymentDetails['failure']>; deploymentId: string }) {
  return (
    <div className={classes.space}>
      <Panel title="Failure" tone="failed" actions={<Instant at={failure.at} className={classes.quiet} />}>
        <div className={classes.line}>
          <StatusMark kind="failed" word={`Failed in ${phaseLabel(failure.phase, failure.phaseKey)}`} />
          <code className={classes.code}>{failure.code}</code>
          <span className={classes.quiet}>{failure.retryable ? 'Trying again may help.' : 'Trying again without a change will not help.'}</span>
        </div>
        <p className={classes.message}>{failure.message}</p>
        {failure.hint === null || failure.hint === '' ? null : (
          <p className={classes.hint}>
            <strong>What to do:</strong> {failure.hint}
          </p>
        )}
        <p className={classes.next}>
          <Link to="/" search={{ failure_phase: failure.phase, failure_code: failure.code }}>
            All nodes that failed like this
          </Link>
          <Link to="/history" search={{ deployment: deploymentId, refused: true }}>
            Everything that was reported of it, refused reports as well
          </Link>
        </p>
        {failure.logTail === null || failure.logTail === '' ? null : (
          <details className={classes.details} open>
            <summary>Last lines of the machine’s log</summary>
            <pre className={classes.log} tabIndex={0} role="region" aria-label="Log">
              {failure.logTail.trimEnd()}
            </pre>
          </details>
        )}
      </Panel>
    </div>
  );
}
