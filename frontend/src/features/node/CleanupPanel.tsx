import { plural } from '@/lib/format';
import { Panel, Progress } from '@/ui';
import classes from './cards.module.css';
import { StepList } from './StepList';
import type { DeploymentDetails } from './useNode';

/** The release of what a node holds, thing by thing, while it happens and after it. */
export function CleanupPanel({ deployment }: { deployment: DeploymentDetails }) {
  const { cleanup, state } = deployment;
  if (cleanup.length === 0 && state !== 'CLEANING_UP') return null;
  const gone = cleanup.filter(({ status }) => status === 'SUCCEEDED' || status === 'SKIPPED').length;
  const title = state === 'CLEANED_UP' ? 'Cleaned up' : 'Cleanup';
  return (
    <div className={classes.space}>
      <Panel title={title} flush actions={cleanup.length === 0 ? null : <span className={classes.quiet}>{`${gone} of ${plural(cleanup.length, 'resource')} done`}</span>}>
        {cleanup.length === 0 ? (
          <p className={classes.pad}>What the node holds is being looked up at the provider.</p>
        ) : (
          <>
            {state === 'CLEANING_UP' ? (
              <div className={classes.pad}>
                <Progress value={gone / cleanup.length} kind="cleaning" label="Progress of the cleanup" />
              </div>
            ) : null}
            <StepList steps={cleanup} label="What is released" />
          </>
        )}
      </Panel>
    </div>
  );
}
