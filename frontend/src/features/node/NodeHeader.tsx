import type { ReactNode } from 'react';

import { useNow } from '@/lib/clock';
import { formatDuration, formatRelative } from '@/lib/format';
import { isOver, rowKind } from '@/lib/states';
import { Instant, Progress, StatusMark } from '@/ui';
import { ActionBar } from './actions/ActionBar';
import classes from './NodeHeader.module.css';
import { isLate } from './StuckCard';
import type { DeploymentDetails, NodeDetails } from './useNode';

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div className={classes.fact}>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** Who the machine is and how its deployment stands. */
export function NodeHeader({ node, deployment }: { node: NodeDetails; deployment: DeploymentDetails | null }) {
  const kind = rowKind(node);
  const current = node.currentDeployment;
  return (
    <header className={classes.card}>
      <div className={classes.top}>
        <h1 className={classes.name}>{node.name}</h1>
        <StatusMark kind={kind} live />
        {node.protected ? <span className={classes.held}>Protected{node.protectNote === null ? '' : `: ${node.protectNote}`}</span> : null}
        {current && deployment && current.id !== deployment.id ? <span className={classes.note}>Deployment {deployment.number} is shown; the current one is {current.number}.</span> : null}
        <div className={classes.actions}>{deployment && current?.id === deployment.id ? <ActionBar node={node} deployment={deployment} /> : null}</div>
      </div>
      {deployment ? (
        <div className={classes.progress}>
          <Progress value={deployment.progress} kind={current?.id === deployment.id ? kind : 'cleaned'} label={`Progress of deployment ${deployment.number}`} />
        </div>
      ) : null}
      <dl className={classes.facts}>
        <Fact name="Profile">{node.serverProfile}</Fact>
        <Fact name="Management IP">
          <span className={classes.mono}>{node.managementIp ?? '–'}</span>
        </Fact>
        <Address name="Workload IP" ip={node.workloadIp} />
        <Address name="Hypervisor IP" ip={node.ahvIp} />
        <Address name="Controller VM IP" ip={node.cvmIp} />
        {node.macAddresses.length > 0 ? (
          <Fact name="MAC">
            <span className={classes.mono}>{node.macAddresses.join(', ')}</span>
          </Fact>
        ) : null}
        {node.clusterName === null ? null : <Fact name="Cluster">{node.clusterName}</Fact>}
        <Fact name="Last seen">
          <Instant at={node.lastSeenAt} className={node.stale ? classes.stale : undefined} />
        </Fact>
        {node.serverStatus === null ? null : <Fact name="Server (provider)">{node.serverStatus}</Fact>}
        {deployment ? <DeploymentFacts deployment={deployment} /> : null}
        {node.labels.map(({ key, value }) => (
          <Fact key={key} name={key}>
            {value}
          </Fact>
        ))}
      </dl>
    </header>
  );
}

/** An address of the machine, when it holds one. */
function Address({ name, ip }: { name: string; ip: string | null }) {
  if (ip === null) return null;
  return (
    <Fact name={name}>
      <span className={classes.mono}>{ip}</span>
    </Fact>
  );
}

const kinds: Partial<Record<DeploymentDetails['kind'], string>> = { REINITIALIZE: ', reinitialized', ADOPT: ', adopted' };

function DeploymentFacts({ deployment }: { deployment: DeploymentDetails }) {
  const over = isOver(deployment.state);
  const now = useNow(!over);
  const begin = Date.parse(deployment.startedAt ?? deployment.createdAt);
  const elapsed = deployment.duration ?? (deployment.finishedAt === null ? now : Date.parse(deployment.finishedAt)) - begin;
  const eta = deployment.estimatedFinishAt;
  return (
    <>
      <Fact name="Deployment">
        {deployment.number}, attempt {deployment.attempt}
        {kinds[deployment.kind]}
      </Fact>
      <Fact name="Requested by">
        {deployment.requestedBy.name} <span className={classes.quiet}>({deployment.requestedBy.kind.toLowerCase()})</span>
      </Fact>
      <Fact name={over ? 'Took' : 'Running for'}>
        <span className={classes.number}>{formatDuration(elapsed)}</span>
      </Fact>
      {over || eta === null ? null : (
        <Fact name="Expected end">
          {Date.parse(eta) > now ? `about ${formatRelative(Date.parse(eta), now)}` : <span className={classes.stale}>late, was expected {formatRelative(Date.parse(eta), now)}</span>}
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
