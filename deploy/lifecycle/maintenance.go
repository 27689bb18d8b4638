package lifecycle

import (
	"context"
	"fmt"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/phase"
)

// MaintenanceChange begins or ends the maintenance of a deployment.
type MaintenanceChange struct {
	DeploymentID    int64
	On              bool
	ExpectedVersion int
	Actor           deploy.Actor
}

// SetMaintenance stops the clocks of a deployment or lets them go on; then its
// deadline moves by the time they stood. It is recorded as a step. Errors:
// not_found, version_mismatch, deployment_ended. What is already so changes
// nothing.
func (w *Writer) SetMaintenance(ctx context.Context, c MaintenanceChange) error {
	return w.Do(ctx, []int64{c.DeploymentID}, nil, func(tx *Tx) error { return tx.setMaintenance(c) })
}

func (tx *Tx) setMaintenance(c MaintenanceChange) error {
	d, n, err := tx.deployment(c.DeploymentID)
	if err != nil {
		return err
	}
	var version int
	if err := tx.sql.QueryRowContext(tx.ctx, `SELECT version FROM deployments WHERE id = $1`, d.id).Scan(&version); err != nil {
		return fmt.Errorf("lifecycle: reading the version of deployment %d: %w", d.id, err)
	}
	if d.dirty {
		version++ // somebody in this very transaction was faster
	}
	if version != c.ExpectedVersion {
		return &deploy.Error{Code: deploy.CodeVersionMismatch, Message: fmt.Sprintf("the deployment is at version %d, not %d", version, c.ExpectedVersion), Hint: "read it again and repeat the change", Retryable: true}
	}
	if !phase.Active(d.state) || d.open == nil {
		return deploy.Errorf(deploy.CodeDeploymentEnded, "deployment #%d is %s; it has no clock to stop", d.number, d.state)
	}
	if d.maintenance == c.On {
		return nil
	}
	message := "maintenance begins: the clocks stand"
	d.maintenance, d.open.dirty = c.On, true
	if c.On {
		d.open.resume(tx.at) // it may stand already, for a wait that we impose
		d.open.stoppedAt = &tx.at
		n.stale, n.late = false, false
	} else {
		before := d.open.stood(tx.at)
		d.open.resume(tx.at)
		message = fmt.Sprintf("maintenance ends: the clock of %s stood for %s", d.open.phase, before.Round(time.Second))
	}
	e := tx.event(d, d.phase, d.phaseStatus, Report{Message: message, OccurredAt: tx.at, Source: deploy.SourceUser, Actor: c.Actor}, "")
	e.outcome = Step
	n.dirty = true
	return nil
}
