package query

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/ent"
	"github.com/slipwayhq/slipway/ent/deployment"
	"github.com/slipwayhq/slipway/ent/deploymentevent"
	"github.com/slipwayhq/slipway/ent/phaserun"
	"github.com/slipwayhq/slipway/ent/predicate"
	"github.com/slipwayhq/slipway/ent/resource"
)

// Held is a row of the journal with the numbers of the deployments that made
// it and hold it; 0 if such a deployment is not there any more.
type Held struct {
	*ent.Resource
	CreatedByNumber, HeldByNumber int
}

// ResourcesOf reads what was made for nodes at their providers, the oldest
// first: all that is not gone, and what is gone of their current deployments.
func (f *Fleet) ResourcesOf(ctx context.Context, nodes []*ent.Node) (map[int64][]Held, error) {
	out := make(map[int64][]Held, len(nodes))
	ids := make([]int64, len(nodes))
	var current []int64
	for i, n := range nodes {
		ids[i] = n.ID
		if n.CurrentDeploymentID != nil {
			current = append(current, *n.CurrentDeploymentID)
		}
	}
	var numbered []int64
	for part := range slices.Chunk(unique(ids), MaxPage) {
		rows, err := f.read.Resource.Query().
			Where(resource.NodeIDIn(part...), resource.Or(resource.StateNEQ(deploy.ResourceGone), resource.HeldByIn(current...))).
			Order(ent.Asc(resource.FieldID)).All(ctx)
		if err != nil {
			return nil, fmt.Errorf("read resources: %w", err)
		}
		for _, r := range rows {
			out[r.NodeID] = append(out[r.NodeID], Held{Resource: r})
			numbered = append(numbered, r.CreatedBy, r.HeldBy)
		}
	}
	if len(numbered) == 0 {
		return out, nil
	}
	number, err := f.numbers(ctx, numbered)
	if err != nil {
		return nil, err
	}
	for _, list := range out {
		for i := range list {
			list[i].CreatedByNumber, list[i].HeldByNumber = number[list[i].CreatedBy], number[list[i].HeldBy]
		}
	}
	return out, nil
}

// numbers gives what people call deployments by.
func (f *Fleet) numbers(ctx context.Context, ids []int64) (map[int64]int, error) {
	out := map[int64]int{}
	for part := range slices.Chunk(unique(ids), MaxPage) {
		rows, err := f.read.Deployment.Query().Where(deployment.IDIn(part...)).Select(deployment.FieldID, deployment.FieldNumber).All(ctx)
		if err != nil {
			return nil, fmt.Errorf("read the numbers of deployments: %w", err)
		}
		for _, d := range rows {
			out[d.ID] = d.Number
		}
	}
	return out, nil
}

// Cleanups reads how the releases of deployments' nodes stand, by deployment:
// the steps as the workflow last told of them. Those that were never begun are
// left out.
func (f *Fleet) Cleanups(ctx context.Context, rows []*ent.Deployment) (map[int64][]deploy.ReleaseStep, error) {
	var begun []int64
	for _, d := range rows {
		if d.State == phase.CleaningUp || d.State == phase.CleanedUp || deref(d.FailurePhase) == phase.Cleanup {
			begun = append(begun, d.ID)
		}
	}
	out := make(map[int64][]deploy.ReleaseStep, len(begun))
	for part := range slices.Chunk(begun, MaxPage) {
		var newest []struct {
			DeploymentID int64 `json:"deployment_id"`
			Sequence     int   `json:"max"`
		}
		err := f.read.DeploymentEvent.Query().
			Where(deploymentevent.DeploymentIDIn(part...), deploymentevent.Phase(phase.Cleanup), deploymentevent.Source(string(deploy.SourceCloudAPI)), deploymentevent.DetailsNotNil()).
			GroupBy(deploymentevent.FieldDeploymentID).Aggregate(ent.Max(deploymentevent.FieldSequence)).Scan(ctx, &newest)
		if err != nil {
			return nil, fmt.Errorf("look for cleanups: %w", err)
		}
		which := make([]predicate.DeploymentEvent, len(newest))
		for i, e := range newest {
			which[i] = deploymentevent.And(deploymentevent.DeploymentID(e.DeploymentID), deploymentevent.Sequence(e.Sequence))
		}
		if len(which) == 0 {
			continue
		}
		events, err := f.read.DeploymentEvent.Query().Where(deploymentevent.Or(which...)).All(ctx)
		if err != nil {
			return nil, fmt.Errorf("read cleanups: %w", err)
		}
		for _, e := range events {
			var told struct {
				Steps []deploy.ReleaseStep `json:"steps"`
			}
			if json.Unmarshal(e.Details, &told) == nil { // else it is not the workflow's
				out[e.DeploymentID] = told.Steps
			}
		}
	}
	return out, nil
}

// AheadInDownload tells, of deployments that wait for a download slot, how many
// wait longer.
func (f *Fleet) AheadInDownload(ctx context.Context, ids []int64) (map[int64]int, error) {
	out := map[int64]int{}
	if len(ids) == 0 {
		return out, nil
	}
	runs, err := f.read.PhaseRun.Query().
		Where(phaserun.Phase(phase.ImageDownload), phaserun.FinishedAtIsNil(), phaserun.AdmittedAtIsNil(), phaserun.Awaiting(WaitDownload)).
		Order(ent.Asc(phaserun.FieldAwaitingSince, phaserun.FieldID)).Select(phaserun.FieldDeploymentID).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the queue of downloads: %w", err)
	}
	for i, r := range runs {
		if slices.Contains(ids, r.DeploymentID) {
			out[r.DeploymentID] = i
		}
	}
	return out, nil
}
