import { Link } from '@tanstack/react-router';

import { useMay } from '@/app/session';
import type { ClusterLiveFragment } from '@/gql/generated/graphql';
import { phaseLabel } from '@/lib/phases';
import { Button, Instant, Panel, StatusMark } from '@/ui';
import type { Opened } from './ClusterDialogs';
import classes from './ClusterPage.module.css';
import type { PendingMarks } from './usePending';
import { choiceOf, isCounted, type Member } from './words';

/** Whether a node is in the way: it failed, or was canceled, and the cluster counts on it. */
export function isTrouble(member: Member): boolean {
  return isCounted(member) && (member.deployment?.state === 'FAILED' || member.deployment?.state === 'CANCELED');
}

export interface TroubleCardsProps {
  cluster: ClusterLiveFragment;
  pending: PendingMarks;
  onOpen: (opened: Opened) => void;
}

/** Which nodes are in the way, why, and what can be done about each: before anything else. */
export function TroubleCards({ cluster, pending, onOpen }: TroubleCardsProps) {
  const trouble = cluster.members.filter(isTrouble);
  return trouble.map((member) => <TroubleCard key={`${member.position} ${member.node.id}`} member={member} cluster={cluster} asked={pending.of(member.node.id)} onOpen={onOpen} />);
}

function TroubleCard({ member, cluster, asked, onOpen }: { member: Member; cluster: ClusterLiveFragment; asked: string | null; onOpen: (opened: Opened) => void }) {
  const may = useMay('operator');
  const { node, deployment, choices } = member;
  if (deployment === null) return null;
  const { failure } = deployment;
  const failed = deployment.state === 'FAILED';
  const others = cluster.members.filter((each) => each.state === 'MEMBER' && each.ready && each.node.id !== node.id).length;
  return (
    <div className={classes.space}>
      <Panel title={`${node.name} ${failed ? 'failed' : 'was canceled'}`} tone="failed" actions={failure ? <Instant at={failure.at} className={classes.quiet} /> : undefined}>
        <div className={classes.line}>
          <StatusMark kind={failed ? 'failed' : 'canceled'} word={failed && failure ? `Failed in ${phaseLabel(failure.phase, failure.phaseKey)}` : 'Canceled'} />
          {failure ? <code className={classes.code}>{failure.code}</code> : null}
          {failure ? <span className={classes.quiet}>{failure.retryable ? 'Trying again may help.' : 'Trying again without a change will not help.'}</span> : null}
          <span className={classes.quiet}>{others === 0 ? '' : `${others} ${others === 1 ? 'other waits' : 'others wait'} at the barrier; ${others === 1 ? 'its clock stands' : 'their clocks stand'} still.`}</span>
        </div>
        {failure ? <p className={classes.message}>{failure.message}</p> : null}
        {failure?.hint == null || failure.hint === '' ? null : (
          <p className={classes.hint}>
            <strong>What to do:</strong> {failure.hint}
          </p>
        )}
        {failure?.logTail == null || failure.logTail === '' ? null : (
          <details className={classes.details}>
            <summary>Last lines of the machine’s log</summary>
            <pre className={classes.log} tabIndex={0} role="region" aria-label={`Log of ${node.name}`}>
              {failure.logTail.trimEnd()}
            </pre>
          </details>
        )}
        <ul className={classes.choices} aria-label={`What can be done about ${node.name}`}>
          {may
            ? choices.map((choice) => {
                const words = choiceOf(member, choice);
                if (words === undefined) return null;
                return (
                  <li key={choice}>
                    <Button size="xs" {...(choice === 'RETRY' ? {} : { variant: 'default' })} disabled={asked !== null} onClick={() => onOpen({ kind: choice, member })}>
                      {words.label}
                    </Button>
                    <p>{words.means}</p>
                  </li>
                );
              })
            : null}
          <li>
            <Link to="/nodes/$nodeId" params={{ nodeId: node.id }}>
              Open the node
            </Link>
            <p>Its own phases, events, log and resources{may ? '; or give the whole cluster up with “Clean up”, above' : ''}.</p>
          </li>
        </ul>
        <p role="status" className={classes.asked}>
          {asked === null ? '' : `${asked} …`}
        </p>
      </Panel>
    </div>
  );
}
