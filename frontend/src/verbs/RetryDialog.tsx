import { useState } from 'react';

import type { DeploymentLiveFragment, Phase, RetryDeploymentInput } from '@/gql/generated/graphql';
import { phaseLabel } from '@/lib/phases';
import { Choices } from '@/ui';
import { ActionDialog, Effects, type Asking } from './shared';

export interface RetryDialogProps {
  deployment: DeploymentLiveFragment;
  /** Ask from which phase; else it begins where it failed. */
  choose: boolean;
  verb: Asking;
  run: (input: RetryDeploymentInput) => void;
  onClose: () => void;
}

const named = (phase: Phase): string => phaseLabel(phase, phase.toLowerCase());

/** Another attempt, from where it failed or from further back. */
export function RetryDialog({ deployment, choose, verb, run, onClose }: RetryDialogProps) {
  const { retryPhases, retryBeginsAt, failure } = deployment;
  // Phases that only the machine can do all begin with its boot: one choice for them.
  const beginnings = retryPhases.filter(({ phase, beginsAt }) => phase === beginsAt);
  const [from, setFrom] = useState<Phase | null>(beginnings.at(-1)?.phase ?? null);
  const beginsAt = choose ? from : retryBeginsAt;
  const installs = retryPhases.find(({ phase }) => phase === beginsAt)?.installs ?? false;
  return (
    <ActionDialog
      title={`Retry deployment #${deployment.number}`}
      verb={verb}
      does={`Begin attempt ${deployment.attempt + 1}`}
      destroys={installs}
      onDo={() => run({ id: deployment.id, fromPhase: choose ? from : null })}
      onClose={onClose}
    >
      {choose ? (
        <Choices
          legend="Begin at"
          value={from ?? ''}
          onChange={(value) => setFrom(beginnings.find(({ phase }) => phase === value)?.phase ?? null)}
          choices={beginnings.map(({ phase, label }) => {
            const also = retryPhases.filter((each) => each.beginsAt === phase && each.phase !== phase).map((each) => each.label);
            return also.length === 0 ? { value: phase, label } : { value: phase, label, description: `Then again: ${also.join(', ')}` };
          })}
        />
      ) : (
        <p>
          Attempt {deployment.attempt + 1} begins at <strong>{beginsAt === null ? 'the phase that failed' : named(beginsAt)}</strong>
          {failure && beginsAt !== null && beginsAt !== failure.phase ? `, for “${named(failure.phase)}” cannot be repeated by itself` : null}.
        </p>
      )}
      <Effects>
        <li>What was done before that is kept; nothing is ordered twice.</li>
        {installs ? <li>The machine boots and is installed anew: what is on its disks is lost.</li> : <li>The machine is left as it is.</li>}
      </Effects>
    </ActionDialog>
  );
}
