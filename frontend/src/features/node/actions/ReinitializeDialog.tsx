import { useState } from 'react';

import type { ReinitializeNodeInput } from '@/gql/generated/graphql';
import { uniqueKey } from '@/lib/key';
import type { DeploymentDetails, NodeDetails } from '../useNode';
import { ActionDialog, Effects, useConfirmation, type Asking } from '@/verbs/shared';

export interface ReinitializeDialogProps {
  node: NodeDetails;
  deployment: DeploymentDetails;
  verb: Asking;
  run: (input: ReinitializeNodeInput) => void;
  onClose: () => void;
}

/** The same machine, installed anew. */
export function ReinitializeDialog({ node, deployment, verb, run, onClose }: ReinitializeDialogProps) {
  const { typed, confirmed, field } = useConfirmation(node.name);
  // The same dialog asks for the same thing, however often it is sent.
  const [idempotencyKey] = useState(uniqueKey);
  return (
    <ActionDialog
      title={`Reinitialize ${node.name}`}
      verb={verb}
      does="Erase and install anew"
      destroys
      blocked={!confirmed}
      onDo={() => run({ id: node.id, confirmNodeName: typed, idempotencyKey })}
      onClose={onClose}
    >
      <Effects>
        <li>
          <strong>Everything on the machine’s disks is lost.</strong>
        </li>
        <li>The machine is stopped, boots from the network and is installed as last time.</li>
        <li>Its server, its addresses and its names stay; nothing new is ordered.</li>
        <li>It is recorded as deployment #{deployment.number + 1} of this node.</li>
      </Effects>
      {field}
    </ActionDialog>
  );
}
