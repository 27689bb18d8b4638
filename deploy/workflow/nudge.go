package workflow

import (
	"context"
	"fmt"
	"time"

	"github.com/riverqueue/river/rivertype"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
)

const (
	// nudgeLimit is how long a step that is under way is waited for.
	nudgeLimit = 2 * time.Second
	// nudgeLook is the pause between looks at it.
	nudgeLook = 25 * time.Millisecond
)

// Nudge has the next attempt to reach a host begin now: what is left of the
// wait for its restart is passed over, the pause between two attempts is cut
// short. An attempt that is under way is not disturbed; if it soon ends without
// success, another follows at once. Errors: not_found, wrong_state (no host is
// being waited for).
func (e *Engine) Nudge(ctx context.Context, w *lifecycle.Writer, deploymentID int64, actor deploy.Actor) error {
	limit := time.NewTimer(nudgeLimit)
	defer limit.Stop()
	look := time.NewTicker(nudgeLook)
	defer look.Stop()
	for first := true; ; first = false {
		// What an attempt found is known a moment before its pause begins: a pause
		// can only be cut short after that.
		busy, err := e.nudge(ctx, w, deploymentID, actor)
		if _, refused := deploy.AsError(err); refused && !first {
			return nil // it needs no attempt any more
		}
		if err != nil || !busy {
			return err
		}
		select {
		case <-look.C:
		case <-limit.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// nudge does it once; busy tells that the step is under way.
func (e *Engine) nudge(ctx context.Context, w *lifecycle.Writer, deploymentID int64, actor deploy.Actor) (busy bool, err error) {
	err = w.Do(ctx, []int64{deploymentID}, nil, func(tx *lifecycle.Tx) error {
		busy = false
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
		var provider string
		if err := tx.SQL().QueryRowContext(ctx, `SELECT provider FROM deployments WHERE id = $1`, deploymentID).Scan(&provider); err != nil {
			return fmt.Errorf("workflow: reading the provider of deployment %d: %w", deploymentID, err)
		}
		found, err := e.client.InsertTx(ctx, tx.SQL(), stepArgs{DeploymentID: deploymentID, Attempt: attempt, Phase: key, Tries: tries}, into(provider, key))
		if err != nil {
			return fmt.Errorf("workflow: finding the step of a host: %w", err)
		}
		job, err := e.client.JobRetryTx(ctx, tx.SQL(), found.Job.ID)
		if err != nil {
			return fmt.Errorf("workflow: waking the step of a host: %w", err)
		}
		busy = job.State == rivertype.JobStateRunning
		return nil
	})
	return busy, err
}
