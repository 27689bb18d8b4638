import { useState } from 'react';

import type { CancelDeploymentInput, CancelMode, DeploymentLiveFragment } from '@/gql/generated/graphql';
import { phaseLabel } from '@/lib/phases';
import { Choices, TextInput } from '@/ui';
import classes from './verbs.module.css';
import { ActionDialog, Effects, type Asking } from './shared';

export interface CancelDialogProps {
  deployment: DeploymentLiveFragment;
  verb: Asking;
  run: (input: CancelDeploymentInput) => void;
  onClose: () => void;
}

/** How gently a deployment shall end. */
export function CancelDialog({ deployment, verb, run, onClose }: CancelDialogProps) {
  const underWay = deployment.state === 'CANCELING';
  const [mode, setMode] = useState<CancelMode>(underWay ? 'IMMEDIATE' : 'AFTER_CURRENT_PHASE');
  const [reason, setReason] = useState('');
  const here = phaseLabel(deployment.phase, deployment.phaseKey);
  return (
    <ActionDialog title={`Cancel deployment #${deployment.number}`} verb={verb} does="Cancel the deployment" leave="Let it go on" destroys onDo={() => run({ id: deployment.id, mode, reason: reason.trim() === '' ? null : reason.trim() })} onClose={onClose}>
      <Effects>
        <li>Nothing new is begun, and nothing is undone.</li>
        <li>What was made at the provider stays, and costs, until the node is cleaned up.</li>
      </Effects>
      <Choices
        legend="When"
        value={mode}
        onChange={setMode}
        choices={[
          { value: 'AFTER_CURRENT_PHASE', label: underWay ? 'When the phase ends, as was asked' : 'When the phase ends', description: `“${here}” goes on to its end; at once if it only waits.` },
          { value: 'IMMEDIATE', label: 'Now', description: 'The machine may be left half-way through its installation.' },
        ]}
      />
      <div className={classes.field}>
        <TextInput label="Why (kept in the history)" maxLength={400} value={reason} onChange={(event) => setReason(event.currentTarget.value)} />
      </div>
    </ActionDialog>
  );
}
