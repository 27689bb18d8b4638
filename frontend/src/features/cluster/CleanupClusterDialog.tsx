import { useEffect, useState } from 'react';

import { announce } from '@/app/announcer';
import { StepList } from '@/features/node/StepList';
import { useVerb } from '@/gql/client/ask';
import { CleanupClusterDocument, ClusterCleanupPlanDocument, type ClusterCleanupPlanMutation } from '@/gql/generated/graphql';
import { plural } from '@/lib/format';
import { Button, Problems } from '@/ui';
import { ActionDialog, useConfirmation } from '@/verbs/shared';
import verbClasses from '@/verbs/verbs.module.css';
import type { DialogProps } from './ClusterDialogs';
import classes from './ClusterPage.module.css';

type Plan = ClusterCleanupPlanMutation['answer']['plan'];

/** What a cleanup would delete, node by node, asked of the server; then the cluster's name. */
export function CleanupClusterDialog({ cluster, pending, onClose }: DialogProps) {
  const verb = useVerb(CleanupClusterDocument);
  const dry = useVerb(ClusterCleanupPlanDocument);
  const [plan, setPlan] = useState<Plan | null>(null);
  const { typed, confirmed, field } = useConfirmation(cluster.name);
  const look = dry.run;
  const { id } = cluster;
  useEffect(() => {
    void look({ id }).then((answer) => {
      if (answer) setPlan(answer.plan);
    });
  }, [look, id]);
  const deleted = plan?.flatMap(({ steps }) => steps).filter(({ status }) => status !== 'SKIPPED').length ?? 0;
  return (
    <ActionDialog
      title={`Clean up the cluster ${cluster.name}`}
      verb={verb}
      does={deleted === 0 ? 'Clean up' : `Delete ${plural(deleted, 'resource')}`}
      destroys
      wide
      blocked={plan === null || !confirmed}
      onClose={onClose}
      onDo={() =>
        void pending.mark('', 'Cleanup asked', verb.run({ input: { id, confirmName: typed } })).then((answer) => {
          if (answer === null) return;
          announce('Cleanup accepted');
          onClose();
        })
      }
    >
      <p>
        This is deleted for good, on all nodes at the same time. <strong>The cluster and everything on its disks is lost.</strong> What is on its way is canceled first. The history stays, and the name can be used again.
      </p>
      {plan === null ? (
        dry.problems.length > 0 ? (
          <>
            <Problems title="What would be deleted could not be found out" problems={dry.problems} />
            <div className={verbClasses.field}>
              <Button size="xs" variant="default" loading={dry.busy} onClick={() => void look({ id }).then((answer) => answer && setPlan(answer.plan))}>
                Look again
              </Button>
            </div>
          </>
        ) : (
          <p role="status" className={verbClasses.loading}>
            Looking at what the nodes hold …
          </p>
        )
      ) : (
        <div className={classes.plan} tabIndex={0} role="region" aria-label="Plan of the cleanup">
          {plan.map(({ node, steps }) => (
            <section key={node.id} aria-label={node.name}>
              <h3>{node.name}</h3>
              {steps.length === 0 ? <p className={classes.planNone}>It holds nothing at the provider.</p> : <StepList steps={steps} label={`What will be deleted of ${node.name}`} planned />}
            </section>
          ))}
        </div>
      )}
      {field}
    </ActionDialog>
  );
}
