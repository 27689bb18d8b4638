import { Link } from '@tanstack/react-router';
import type { ReactNode } from 'react';

import { useNow } from '@/lib/clock';
import { etaOf } from '@/lib/eta';
import { formatDuration, formatRough } from '@/lib/format';
import { isOver } from '@/lib/states';
import { EtaMark } from '@/ui';
import classes from './NodeHeader.module.css';
import { isLate } from './StuckCard';
import type { DeploymentDetails } from './useNode';

/** Something that is known, with its name. */
export function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div className={classes.fact}>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

const kinds: Partial<Record<DeploymentDetails['kind'], string>> = { REINITIALIZE: ', reinitialized', ADOPT: ', adopted' };

/** How a deployment stands: who asked for it, how long it takes, when it will end. */
export function DeploymentFacts({ deployment, silent, typical }: { deployment: DeploymentDetails; silent: boolean; typical: number | null }) {
  const over = isOver(deployment.state);
  const now = useNow(!over);
  const begin = Date.parse(deployment.startedAt ?? deployment.createdAt);
  const elapsed = deployment.duration ?? (deployment.finishedAt === null ? now : Date.parse(deployment.finishedAt)) - begin;
  const eta = deployment.estimatedFinishAt;
  return (
    <>
      <Fact name="Deployment">
        <Link to="/deployments/$deploymentId" params={{ deploymentId: deployment.id }}>
          #{deployment.number}
        </Link>
        , attempt {deployment.attempt}
        {kinds[deployment.kind]}
      </Fact>
      <Fact name="Requested by">
        {deployment.requestedBy.name} <span className={classes.quiet}>({deployment.requestedBy.kind.toLowerCase()})</span>
      </Fact>
      <Fact name={over ? 'Took' : 'Running for'}>
        <span className={classes.number}>{formatDuration(elapsed)}</span>
      </Fact>
      {deployment.state !== 'RUNNING' || (eta === null && !deployment.late && !deployment.stalled) ? null : (
        <Fact name="Expected end">
          <EtaMark of={(at) => etaOf({ ...deployment, stalled: deployment.stalled || silent }, at)} />
          {typical === null || typical < 1000 ? null : <span className={classes.quiet}> (typical {formatRough(typical)})</span>}
        </Fact>
      )}
      {deployment.stuckReason === null || isLate(deployment.stuckReason, false) ? null : (
        <Fact name="Waits for">
          {deployment.stuckReason.awaiting}
          {deployment.stuckReason.position === null ? null : `, place ${deployment.stuckReason.position.toLocaleString('en')} in the queue`}{' '}
          <span className={classes.quiet}>({formatDuration(now - Date.parse(deployment.stuckReason.since))})</span>
        </Fact>
      )}
      {deployment.maintenance ? <Fact name="Maintenance">Clocks are stopped</Fact> : null}
    </>
  );
}
