package workflow

import (
	"context"
	"fmt"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
)

// Nudge has the next attempt to reach a host begin now: what is left of the
// wait for its restart is passed over, the pause between two attempts is cut
// short. An attempt that is under way is not disturbed. Errors: not_found,
// wrong_state (no host is being waited for).
func (e *Engine) Nudge(ctx context.Context, w *lifecycle.Writer, deploymentID int64, actor deploy.Actor) error {
	return w.Do(ctx, []int64{deploymentID}, nil, func(tx *lifecycle.Tx) error {
		key, attempt, tries, state, err := tx.OpenPhase(deploymentID)
		if err != nil {
			return err
		}
		if state != phase.Running || !phase.Polls(key) {
			return deploy.Errorf(deploy.CodeWrongState, "the host is not being waited for: the deployment is %s at %s", state, key)
		}
		if key == phase.RebootWait {
			_, err := tx.Report(lifecycle.Report{DeploymentID: deploymentID, Phase: key, Status: phase.Success, Message: "the wait was cut short by " + actor.Name,
				As: phase.ByWorkflow, Source: deploy.SourceUser, Actor: actor})
			return err
		}
		found, err := e.client.InsertTx(ctx, tx.SQL(), stepArgs{DeploymentID: deploymentID, Attempt: attempt, Phase: key, Tries: tries}, nil)
		if err != nil {
			return fmt.Errorf("workflow: finding the step of a host: %w", err)
		}
		if _, err := e.client.JobRetryTx(ctx, tx.SQL(), found.Job.ID); err != nil {
			return fmt.Errorf("workflow: waking the step of a host: %w", err)
		}
		return nil
	})
}
