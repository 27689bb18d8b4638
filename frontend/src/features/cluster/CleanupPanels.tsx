import { StepList } from '@/features/node/StepList';
import type { ClusterLiveFragment } from '@/gql/generated/graphql';
import { plural } from '@/lib/format';
import { stateKind } from '@/lib/states';
import { Panel, Progress, StatusMark } from '@/ui';
import classes from './ClusterPage.module.css';
import type { Member } from './words';

const isGone = ({ status }: { status: string }): boolean => status === 'SUCCEEDED' || status === 'SKIPPED';

/** The release of what the nodes hold, node by node: how far it is, and the proof once a thing is gone. */
export function CleanupPanels({ cluster }: { cluster: ClusterLiveFragment }) {
  const held = cluster.members.filter(({ deployment }) => deployment !== null);
  const steps = held.flatMap(({ deployment }) => deployment?.cleanup ?? []);
  const gone = steps.filter(isGone).length;
  const over = cluster.state === 'CLEANED_UP';
  return (
    <div className={classes.space}>
      <Panel title={over ? 'Cleaned up: the proof' : 'Cleanup'} flush actions={<span className={classes.quiet}>{steps.length === 0 ? '' : `${gone} of ${plural(steps.length, 'resource')} done`}</span>}>
        {over ? null : (
          <div className={classes.pad}>
            <Progress value={steps.length === 0 ? 0 : gone / steps.length} kind={cluster.state === 'CLEANING_UP' ? 'cleaning' : 'failed'} label="Progress of the cleanup" />
          </div>
        )}
        {held.map((member) => (
          <Released key={`${member.position} ${member.node.id}`} member={member} />
        ))}
      </Panel>
    </div>
  );
}

function Released({ member: { node, deployment } }: { member: Member }) {
  if (deployment === null) return null;
  const { cleanup } = deployment;
  const gone = cleanup.filter(isGone).length;
  return (
    <details className={classes.released} open>
      <summary>
        <strong>{node.name}</strong>
        <StatusMark kind={stateKind(deployment.state)} />
        <span className={classes.quiet}>{cleanup.length === 0 ? 'What it holds is being looked up.' : `${gone} of ${plural(cleanup.length, 'resource')} done`}</span>
      </summary>
      {deployment.failure === null ? null : <p className={classes.pad}>{deployment.failure.message}</p>}
      <StepList steps={cleanup} label={`What is released of ${node.name}`} />
    </details>
  );
}
