import { Link } from '@tanstack/react-router';

import { formatDuration } from '@/lib/format';
import { stateKind } from '@/lib/states';
import { Instant, Panel, StatusMark } from '@/ui';
import classes from './DeploymentList.module.css';
import type { NodeDetails } from './useNode';

/** Every deployment of a machine, the newest first. */
export function DeploymentList({ node, shownId }: { node: NodeDetails; shownId: string }) {
  return (
    <Panel title="Deployments of this node" flush>
      <ol className={classes.list}>
        {node.deployments.nodes.map((deployment) => (
          <li key={deployment.id} className={classes.item}>
            <Link
              to="/nodes/$nodeId"
              params={{ nodeId: node.id }}
              search={deployment.id === node.currentDeployment?.id ? {} : { deployment: deployment.id }}
              aria-current={deployment.id === shownId ? 'true' : undefined}
              className={classes.link}
            >
              <span className={classes.number}>#{deployment.number}</span>
              <StatusMark kind={stateKind(deployment.state)} />
              <span className={classes.took}>{formatDuration(deployment.duration)}</span>
              <span className={classes.when}>
                <Instant at={deployment.createdAt} />
                {deployment.kind === 'REINITIALIZE' ? ' · reinitialized' : deployment.kind === 'ADOPT' ? ' · adopted' : ''}
                {deployment.attempt > 1 ? ` · ${deployment.attempt} attempts` : ''} · {deployment.requestedBy.name}
              </span>
            </Link>
          </li>
        ))}
      </ol>
    </Panel>
  );
}
