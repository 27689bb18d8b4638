import { ClusterLink } from '@/features/cluster/ClusterLink';
import { handoffNode } from '@/lib/handoff';
import { providerName } from '@/lib/providers';
import { rowKind } from '@/lib/states';
import { CopyAs, Instant, Progress, StatusMark } from '@/ui';
import { ActionBar } from './actions/ActionBar';
import { ConsoleButton } from './actions/ConsoleButton';
import { DeploymentFacts, Fact } from './DeploymentFacts';
import classes from './NodeHeader.module.css';
import type { DeploymentDetails, NodeDetails } from './useNode';

/** Who the machine is and how its deployment stands. */
export function NodeHeader({ node, deployment, typical }: { node: NodeDetails; deployment: DeploymentDetails | null; /** How long such a deployment takes, in ms. */ typical: number | null }) {
  const kind = rowKind(node);
  const current = node.currentDeployment;
  // The row has the progress of the current one before the rest of it was read.
  const shown = deployment ?? current;
  return (
    <header className={classes.card}>
      <div className={classes.top}>
        <h1 className={classes.name}>{node.name}</h1>
        <StatusMark kind={kind} live />
        {node.protected ? <span className={classes.held}>Protected{node.protectNote === null ? '' : `: ${node.protectNote}`}</span> : null}
        {current && deployment && current.id !== deployment.id ? <span className={classes.note}>Deployment {deployment.number} is shown; the current one is {current.number}.</span> : null}
        <div className={classes.actions}>
          {deployment && current?.id === deployment.id ? <ActionBar node={node} deployment={deployment} /> : null}
          <CopyAs handoff={handoffNode(globalThis.location.origin, node)} />
          <ConsoleButton node={node} />
        </div>
      </div>
      {shown ? (
        <div className={classes.progress}>
          <Progress value={shown.progress} kind={current?.id === shown.id ? kind : 'cleaned'} label={`Progress of deployment ${shown.number}`} />
        </div>
      ) : null}
      <dl className={classes.facts}>
        <Fact name="Provider">{providerName(node.provider)}</Fact>
        {node.serverProfile === '' ? null : <Fact name="Profile">{node.serverProfile}</Fact>}
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
        {node.clusterName === null ? null : (
          <Fact name="Cluster">
            <ClusterLink of={node.id} name={node.clusterName} />
          </Fact>
        )}
        <Fact name="Last seen">
          <Instant at={node.lastSeenAt} className={node.stale ? classes.stale : undefined} />
        </Fact>
        {node.serverStatus === null ? null : <Fact name="Server status">{node.serverStatus}</Fact>}
        {node.labels.map(({ key, value }) => (
          <Fact key={key} name={key}>
            {value}
          </Fact>
        ))}
        {deployment ? <DeploymentFacts deployment={deployment} silent={node.stale} typical={typical} /> : null}
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
