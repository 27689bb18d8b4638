import { skipToken, useQuery } from '@apollo/client/react';
import { useMemo, useState } from 'react';

import { announce } from '@/app/announcer';
import { fieldError } from '@/features/deploy/fieldError';
import { rackRows } from '@/features/deploy/rackRows';
import { useFleet } from '@/features/fleet/useFleet';
import { useVerb } from '@/gql/client/ask';
import { OfferDocument, ReplaceClusterNodeDocument } from '@/gql/generated/graphql';
import { ActionDialog, Effects } from '@/verbs/shared';
import verbClasses from '@/verbs/verbs.module.css';
import type { MemberDialogProps } from './ClusterDialogs';
import { deployedRows, emptyNode, exactly, nodeInput, type NodeForm } from './form';
import { NodeEditor } from './NodeEditor';

/** Another node takes the place of one whose deployment has ended. */
export function ReplaceDialog({ cluster, member, pending, onClose }: MemberDialogProps) {
  const verb = useVerb(ReplaceClusterNodeDocument);
  const fleet = useFleet();
  const machines = useMemo(() => rackRows(fleet.rows.values()), [fleet]);
  const deployed = useMemo(() => deployedRows(fleet.rows.values()), [fleet]);
  // As the one that is replaced, under a name that is surely free in the cluster.
  const [by, setBy] = useState<NodeForm>(() => ({
    ...emptyNode,
    source: member.node.provider === 'RACK' ? 'RACK' : 'IBM_VPC',
    order: { ...emptyNode.order, name: freeName(member.node.name, new Set(cluster.members.map(({ node }) => node.name))), profile: member.node.provider === 'IBM_VPC' ? member.node.serverProfile : '' },
  }));
  const offer = useQuery(OfferDocument, by.source === 'IBM_VPC' ? { variables: { provider: 'IBM_VPC' as const }, fetchPolicy: 'cache-and-network' } : skipToken);
  const { node } = member;
  const complete = by.source === 'DEPLOYED' ? by.nodeId !== '' : by.order.name.trim() !== '' && (by.source !== 'IBM_VPC' || by.order.profile !== '');
  return (
    <ActionDialog
      title={`Replace ${node.name}`}
      verb={verb}
      does={by.source === 'DEPLOYED' ? 'Replace it' : 'Replace it and deploy the other'}
      wide
      blocked={!complete}
      onClose={onClose}
      onDo={() =>
        void pending.mark(node.id, 'Replacement asked', verb.run({ input: { id: cluster.id, nodeId: node.id, by: nodeInput(by, by.order.name.trim()) } })).then((answer) => {
          if (answer === null) return;
          announce(`${node.name} is replaced`);
          onClose();
        })
      }
    >
      <Effects>
        <li>The other node takes place {member.position} and is waited for at the barrier.</li>
        <li>What {node.name} holds stays, and costs, until that node is cleaned up by itself.</li>
      </Effects>
      <div className={verbClasses.field}>
        <NodeEditor
          node={by}
          defaultName=""
          shared={false}
          offer={offer.data?.providerOffer ?? null}
          machines={machines}
          deployed={deployed}
          wrong={(...path) => fieldError(verb.problems, 'by', ...path)}
          said={exactly(verb.problems, 'by')}
          onChange={(next) => {
            verb.forget();
            setBy(next);
          }}
        />
      </div>
    </ActionDialog>
  );
}

/** "c-2" becomes "c-2b", or the next letter that is free. */
export function freeName(name: string, taken: ReadonlySet<string>): string {
  const free = Array.from('bcdefghijklmnopqrstuvwxyz').find((letter) => !taken.has(name + letter));
  return name + (free ?? 'x');
}
