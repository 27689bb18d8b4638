import { useEffect, useState } from 'react';

import { useVerb } from '@/gql/client/ask';
import { CleanupPlanDocument, type CleanupMutationVariables, type CleanupPlanMutation } from '@/gql/generated/graphql';
import { plural } from '@/lib/format';
import { Button, Problems } from '@/ui';
import { StepList } from '../StepList';
import type { DeploymentDetails, NodeDetails } from '../useNode';
import classes from '@/verbs/verbs.module.css';
import { ActionDialog, useConfirmation, type Asking } from '@/verbs/shared';

export interface CleanupDialogProps {
  node: NodeDetails;
  deployment: DeploymentDetails;
  verb: Asking;
  run: (variables: CleanupMutationVariables) => void;
  onClose: () => void;
}

type Plan = CleanupPlanMutation['answer']['plan'];

/** What a cleanup would delete, asked of the server; then the node's name. */
export function CleanupDialog({ node, deployment, verb, run, onClose }: CleanupDialogProps) {
  const [plan, setPlan] = useState<Plan | null>(null);
  const dry = useVerb(CleanupPlanDocument);
  const { typed, confirmed, field } = useConfirmation(node.name);
  const look = dry.run;
  useEffect(() => {
    void look({ id: deployment.id }).then((answer) => {
      if (answer) setPlan(answer.plan);
    });
  }, [look, deployment.id]);

  const deleted = plan?.filter(({ status }) => status !== 'SKIPPED').length ?? 0;
  return (
    <ActionDialog
      title={`Clean up ${node.name}`}
      verb={verb}
      does={deleted === 0 ? 'Clean up' : `Delete ${plural(deleted, 'resource')}`}
      destroys
      wide
      blocked={plan === null || !confirmed}
      onDo={() => run({ id: deployment.id, confirmNodeName: typed })}
      onClose={onClose}
    >
      <p>
        {plan !== null && plan.length === 0 ? (
          'The node holds nothing at the provider; only its addresses are given up here.'
        ) : (
          <>
            This is deleted for good, in this order. <strong>Everything on the machine’s disks is lost.</strong> The history stays, and the name can be used again.
          </>
        )}
      </p>
      {plan === null ? (
        dry.problems.length > 0 ? (
          <>
            <Problems title="What would be deleted could not be found out" problems={dry.problems} />
            <div className={classes.field}>
              <Button size="xs" variant="default" loading={dry.busy} onClick={() => void look({ id: deployment.id }).then((answer) => answer && setPlan(answer.plan))}>
                Look again
              </Button>
            </div>
          </>
        ) : (
          <p role="status" className={classes.loading}>
            Looking at what the node holds …
          </p>
        )
      ) : plan.length === 0 ? null : (
        <div className={classes.plan} tabIndex={0} role="region" aria-label="Plan of the cleanup">
          <StepList steps={plan} label="What will be deleted" planned />
        </div>
      )}
      {field}
    </ActionDialog>
  );
}
