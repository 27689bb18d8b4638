package query

import (
	"context"
	"fmt"

	"github.com/slipwayhq/slipway/ent"
	"github.com/slipwayhq/slipway/ent/phaserun"
)

// Waiting is the last thing learnt about what a deployment's open phase waits
// for, for instance its place in a queue; empty if there is nothing.
func (m *Machines) Waiting(ctx context.Context, deploymentID int64) (string, error) {
	run, err := m.read.PhaseRun.Query().Where(phaserun.DeploymentID(deploymentID), phaserun.FinishedAtIsNil()).Only(ctx)
	if ent.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the open phase of deployment %d: %w", deploymentID, err)
	}
	return run.Evidence, nil
}
