import type { CleanupStepRowFragment } from '@/gql/generated/graphql';
import { releaseStatus, resourceKind } from '@/lib/resources';
import { StatusMark } from '@/ui';
import classes from './StepList.module.css';

/** What is released, in the order in which it is done: how it stands, and the proof once it is gone. */
export function StepList({ steps, label, planned = false }: { steps: readonly CleanupStepRowFragment[]; label: string; /** Nothing of it has begun. */ planned?: boolean }) {
  return (
    <ol className={classes.list} aria-label={label}>
      {steps.map((step) => (
        <Step key={step.resourceId} step={step} planned={planned} />
      ))}
    </ol>
  );
}

function Step({ step, planned }: { step: CleanupStepRowFragment; planned: boolean }) {
  const { kind, word } = releaseStatus(step.status);
  return (
    <li className={classes.item} data-status={step.status}>
      <div className={classes.state}>
        {planned && step.status === 'WAITING' ? <span className={classes.action}>{step.action}</span> : <StatusMark kind={kind} word={word} />}
      </div>
      <div className={classes.what}>
        <p className={classes.line}>
          <span className={classes.kind}>{resourceKind(step.resourceKind, step.role)}</span>
          <code className={classes.name}>{step.name}</code>
          {step.cloudId === null ? null : <code className={classes.id}>{step.cloudId}</code>}
        </p>
        <p className={classes.message}>{step.message ?? (planned ? null : step.action)}</p>
      </div>
    </li>
  );
}
