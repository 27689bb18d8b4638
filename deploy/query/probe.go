package query

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/ent"
	"github.com/slipwayhq/slipway/ent/phaserun"
)

// Probes tells where the polling of the hosts of deployments stands in their
// present attempt, by deployment. What the polling itself says goes before
// what was announced while its host was left alone. Deployments whose host was
// not waited for are left out.
func (f *Fleet) Probes(ctx context.Context, rows []*ent.Deployment) (map[int64]*deploy.Probe, error) {
	attempt := map[int64]int{}
	ids := []int64{}
	for _, d := range rows {
		if d.Provider == deploy.ProviderScript {
			attempt[d.ID] = d.Attempt
			ids = append(ids, d.ID)
		}
	}
	out := map[int64]*deploy.Probe{}
	if len(ids) == 0 {
		return out, nil
	}
	runs, err := f.read.PhaseRun.Query().Where(phaserun.DeploymentIDIn(unique(ids)...), phaserun.ProbeNotNil(), phaserun.PhaseIn(phase.RebootWait, phase.SSHPolling)).
		Select(phaserun.FieldDeploymentID, phaserun.FieldAttempt, phaserun.FieldPhase, phaserun.FieldProbe).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("read probes: %w", err)
	}
	for _, r := range runs {
		if r.Attempt != attempt[r.DeploymentID] || r.Phase == phase.RebootWait && out[r.DeploymentID] != nil {
			continue
		}
		p := &deploy.Probe{}
		if err := json.Unmarshal(r.Probe, p); err != nil {
			return nil, fmt.Errorf("the probe of deployment %d: %w", r.DeploymentID, err)
		}
		out[r.DeploymentID] = p
	}
	return out, nil
}
