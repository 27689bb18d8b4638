import { Link } from '@tanstack/react-router';

import { useMay } from '@/app/session';
import type { ClusterLiveFragment } from '@/gql/generated/graphql';
import { etaOf } from '@/lib/eta';
import { formatPercent } from '@/lib/format';
import { phaseLabel } from '@/lib/phases';
import { Button, EtaMark, Panel, StatusMark } from '@/ui';
import type { Opened } from './ClusterDialogs';
import classes from './ClusterPage.module.css';
import { isTrouble } from './TroubleCards';
import type { PendingMarks } from './usePending';
import { barrierPassed, choiceOf, memberMark, memberPlace, type Member } from './words';

export interface MemberTableProps {
  cluster: ClusterLiveFragment;
  pending: PendingMarks;
  selected: string | null;
  onSelect: (nodeId: string) => void;
  onOpen: (opened: Opened) => void;
}

/** Every node that belongs to the cluster or ever did: where it is, and what can be done about it. */
export function MemberTable({ cluster, pending, selected, onSelect, onOpen }: MemberTableProps) {
  const passed = barrierPassed(cluster);
  return (
    <div className={classes.space}>
      <Panel title="Nodes" flush>
        <div className={classes.scroll} tabIndex={0} role="region" aria-label="Nodes of the cluster, as a table">
          <table className={classes.table}>
            <thead>
              <tr>
                <th scope="col">Place</th>
                <th scope="col">Node</th>
                <th scope="col">State</th>
                <th scope="col">Where it is</th>
                <th scope="col">Controller VM</th>
                <th scope="col">Expected end</th>
                <th scope="col">What can be done</th>
              </tr>
            </thead>
            <tbody>
              {cluster.members.map((member) => (
                <Row key={`${member.position} ${member.node.id} ${member.addedAt}`} member={member} passed={passed} asked={pending.of(member.node.id)} selected={member.node.id === selected} onSelect={() => onSelect(member.node.id)} onOpen={onOpen} />
              ))}
            </tbody>
          </table>
        </div>
      </Panel>
    </div>
  );
}

function Row({ member, passed, asked, selected, onSelect, onOpen }: { member: Member; passed: boolean; asked: string | null; selected: boolean; onSelect: () => void; onOpen: (opened: Opened) => void }) {
  const may = useMay('operator');
  const { node, deployment, choices } = member;
  const mark = memberMark(member, passed);
  const place = memberPlace(member);
  // What is in the way has its choices in its card.
  const offered = may && !isTrouble(member) ? choices : [];
  return (
    <tr data-selected={selected || undefined}>
      <td>
        <button type="button" className={classes.pick} aria-pressed={selected} aria-label={`Place ${member.position}: show ${node.name} in time`} onClick={onSelect}>
          {member.position}
        </button>
      </td>
      <th scope="row">
        <Link to="/nodes/$nodeId" params={{ nodeId: node.id }}>
          {node.name}
        </Link>
      </th>
      <td className={classes.cell}>
        <StatusMark kind={mark.kind} word={mark.word} />
        {/* That it is released is said by its cleanup, too. */}
        {place === null || place.word === mark.word || (place.kind === 'cleaned' && (mark.kind === 'cleaned' || mark.kind === 'cleaning')) ? null : (
          <p>
            <StatusMark kind={place.kind} word={place.word} />
          </p>
        )}
      </td>
      <td className={classes.where}>
        <p>{whereIs(member, passed)}</p>
        {member.note === null ? null : <p>{member.note}</p>}
        {asked === null ? null : <p role="status">{asked} …</p>}
      </td>
      <td className={classes.cell}>{member.cvmAddress === null ? '–' : <span className={classes.mono}>{member.cvmAddress}</span>}</td>
      <td className={classes.cell}>
        <Expected deployment={deployment} stale={node.stale} />
      </td>
      <td>
        <div className={classes.rowButtons}>
          {offered.map((choice) => (
            <Button key={choice} size="compact-xs" variant="default" disabled={asked !== null} onClick={() => onOpen({ kind: choice, member })}>
              {choiceOf(member, choice)?.label ?? choice.toLowerCase()}
            </Button>
          ))}
        </div>
      </td>
    </tr>
  );
}

/** Where a node is, in a line. */
function whereIs(member: Member, passed: boolean): string {
  const { deployment } = member;
  if (member.state === 'REPLACED') return 'It no longer belongs to the cluster.';
  if (deployment === null) return 'It has no deployment for this cluster.';
  const phase = phaseLabel(deployment.phase, deployment.phaseKey);
  switch (deployment.state) {
    case 'RUNNING':
    case 'CANCELING':
      if (member.ready && !passed && member.state === 'MEMBER') return 'Installed, and waits for the others';
      return member.ready && member.waitsFor !== null ? member.waitsFor : `${phase} · ${formatPercent(deployment.progress)}`;
    case 'FAILED':
      // Why, and what can be done, is told by its card.
      return `Stopped in ${deployment.failure === null ? phase : phaseLabel(deployment.failure.phase, deployment.failure.phaseKey)}${isTrouble(member) ? ', see above' : ''}`;
    case 'SUCCEEDED':
      return member.formedAt === null ? (member.waitsFor ?? 'Deployed') : 'A member, by the cluster’s own word';
    default:
      return member.waitsFor ?? phase;
  }
}

function Expected({ deployment, stale }: { deployment: Member['deployment']; stale: boolean }) {
  if (deployment === null) return '–';
  return <EtaMark of={(now) => etaOf({ ...deployment, stalled: deployment.stalled || stale }, now)} />;
}
