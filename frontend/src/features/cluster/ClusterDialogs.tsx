import { useState } from 'react';

import { announce } from '@/app/announcer';
import { useVerb } from '@/gql/client/ask';
import { CancelClusterDocument, GoOnWithoutNodeDocument, RetryDocument, type CancelMode, type ClusterAction, type ClusterLiveFragment, type ClusterMemberChoice } from '@/gql/generated/graphql';
import { uniqueKey } from '@/lib/key';
import { markPending, takeBack } from '@/lib/pending';
import { Choices, TextInput } from '@/ui';
import { RetryDialog } from '@/verbs/RetryDialog';
import { ActionDialog, Effects } from '@/verbs/shared';
import verbClasses from '@/verbs/verbs.module.css';
import { CleanupClusterDialog } from './CleanupClusterDialog';
import { ReplaceDialog } from './ReplaceDialog';
import type { PendingMarks } from './usePending';
import type { Member } from './words';

/** Which dialog is open. */
export type Opened = { kind: ClusterMemberChoice; member: Member } | { kind: ClusterAction };

export interface DialogProps {
  cluster: ClusterLiveFragment;
  pending: PendingMarks;
  onClose: () => void;
}

export type MemberDialogProps = DialogProps & { member: Member };

/** The dialog that was asked for. Each says what will happen before it is asked of the server. */
export function ClusterDialogs({ opened, ...props }: DialogProps & { opened: Opened }) {
  switch (opened.kind) {
    case 'RETRY':
      return <RetryMember {...props} member={opened.member} />;
    case 'REPLACE':
      return <ReplaceDialog {...props} member={opened.member} />;
    case 'GO_ON_WITHOUT':
      return <WithoutDialog {...props} member={opened.member} />;
    case 'CANCEL':
      return <CancelClusterDialog {...props} />;
    case 'CLEANUP':
      return <CleanupClusterDialog {...props} />;
    default:
      return null;
  }
}

/** Another attempt of one node: the same dialog as on its own page. */
function RetryMember({ member, pending, onClose }: MemberDialogProps) {
  const verb = useVerb(RetryDocument);
  const { node, deployment } = member;
  if (deployment === null) return null;
  return (
    <RetryDialog
      deployment={deployment}
      choose={false}
      verb={verb}
      onClose={onClose}
      run={(input) => {
        // Its row in the fleet shows it, too.
        const key = uniqueKey();
        markPending([node], 'Retry asked', key);
        void pending.mark(node.id, 'Retry asked', verb.run({ input }), deployment).then((answer) => {
          if (answer === null) {
            takeBack(key);
            return;
          }
          announce(`Retry of ${node.name} accepted`);
          onClose();
        });
      }}
    />
  );
}

/** The cluster goes on with fewer nodes. */
function WithoutDialog({ cluster, member: { node, state }, pending, onClose }: MemberDialogProps) {
  const verb = useVerb(GoOnWithoutNodeDocument);
  const [reason, setReason] = useState('');
  // Who was left out already is not counted any more, and leaves for good.
  const forGood = state === 'LATE';
  const left = cluster.barrier.total - 1;
  return (
    <ActionDialog
      title={forGood ? `Let ${node.name} go` : `Go on without ${node.name}`}
      verb={verb}
      does={forGood ? 'Let it go' : `Go on with ${left} nodes`}
      onClose={onClose}
      onDo={() =>
        void pending.mark(node.id, forGood ? 'Letting it go' : 'Going on without it', verb.run({ input: { id: cluster.id, nodeId: node.id, reason: reason.trim() === '' ? null : reason.trim() } })).then((answer) => {
          if (answer === null) return;
          announce(`The cluster goes on without ${node.name}`);
          onClose();
        })
      }
    >
      {forGood ? (
        <Effects>
          <li>{node.name} no longer belongs to the cluster, also when it is retried; another node may take its place.</li>
          <li>What it holds stays, and costs, until it is cleaned up by itself.</li>
        </Effects>
      ) : (
        <Effects>
          <li>
            The barrier counts {left} nodes from now on, and the cluster is formed by them{cluster.formedAt === null ? ' as soon as they are there' : ''}.
          </li>
          <li>{node.name} keeps what it has. When it is retried and installed, it joins the cluster that is there.</li>
          <li>The copies of the data stay as they are: redundancy factor {cluster.redundancyFactor}.</li>
        </Effects>
      )}
      <div className={verbClasses.field}>
        <TextInput label="Why (kept in the history)" maxLength={400} value={reason} onChange={(event) => setReason(event.currentTarget.value)} />
      </div>
    </ActionDialog>
  );
}

/** How gently the deployments of all nodes shall end. */
function CancelClusterDialog({ cluster, pending, onClose }: DialogProps) {
  const verb = useVerb(CancelClusterDocument);
  const active = cluster.members.filter(({ deployment }) => deployment !== null && ['QUEUED', 'RUNNING', 'CANCELING'].includes(deployment.state));
  const underWay = active.some(({ deployment }) => deployment?.state === 'CANCELING');
  const [mode, setMode] = useState<CancelMode>(underWay ? 'IMMEDIATE' : 'AFTER_CURRENT_PHASE');
  const [reason, setReason] = useState('');
  return (
    <ActionDialog
      title={`Cancel the cluster ${cluster.name}`}
      verb={verb}
      does={`Cancel ${active.length} ${active.length === 1 ? 'deployment' : 'deployments'}`}
      leave="Let it go on"
      destroys
      onClose={onClose}
      onDo={() =>
        void pending.mark('', 'Cancel asked', verb.run({ input: { id: cluster.id, mode, reason: reason.trim() === '' ? null : reason.trim() } }), null).then((answer) => {
          if (answer === null) return;
          announce('Cancel accepted');
          onClose();
        })
      }
    >
      <Effects>
        <li>Nothing new is begun on any node, and nothing is undone.</li>
        <li>What was made at the provider stays, and costs, until the cluster is cleaned up.</li>
      </Effects>
      <Choices
        legend="When"
        value={mode}
        onChange={setMode}
        choices={[
          { value: 'AFTER_CURRENT_PHASE', label: underWay ? 'When the phase of each ends, as was asked' : 'When the phase of each ends', description: 'At once where a node only waits, as at the barrier.' },
          { value: 'IMMEDIATE', label: 'Now', description: 'Machines may be left half-way through their installation, and a formation half-way, too.' },
        ]}
      />
      <div className={verbClasses.field}>
        <TextInput label="Why (kept in the history)" maxLength={400} value={reason} onChange={(event) => setReason(event.currentTarget.value)} />
      </div>
    </ActionDialog>
  );
}
