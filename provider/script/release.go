package script

import (
	"context"
	"fmt"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/provider/script/supervisor"
	"github.com/slipwayhq/slipway/provider/script/workdir"
)

// actionRemove is what a release does with a file.
const actionRemove = "remove if unchanged"

// PlanRelease tells what Release would do. It changes nothing.
func (p *Provider) PlanRelease(ctx context.Context, r deploy.Release) ([]deploy.ReleaseStep, error) {
	steps, err := p.planRelease(ctx, r)
	return steps, ended(ctx, err)
}

func (p *Provider) planRelease(ctx context.Context, r deploy.Release) ([]deploy.ReleaseStep, error) {
	rows, err := p.released(ctx, r)
	if err != nil {
		return nil, err
	}
	runs := runsOf(rows)
	var steps []deploy.ReleaseStep
	for _, row := range rows {
		if row.State == deploy.ResourceGone {
			continue
		}
		step := stepOf(row)
		owned, state, err := p.owned(ctx, row, runs)
		switch {
		case err != nil:
			return nil, err
		case owned == nil:
			step.Message = "no file was written for it"
		default:
			step.CloudID = owned.File
			step.Message = fmt.Sprintf("%s: %s", p.path(*owned), planned[state])
		}
		steps = append(steps, step)
	}
	return steps, nil
}

// planned says what would become of a file.
var planned = map[string]string{
	workdir.FileSame:    "it is as Slipway wrote it, and is removed",
	workdir.FileChanged: "it was changed by somebody since, and stays",
	workdir.FileAbsent:  "it is not there any more",
}

// owned gives the file that a row is about: what the newest of the node's runs
// wrote for it or, if that run is not known here any more, what the row says.
func (p *Provider) owned(ctx context.Context, row deploy.Resource, runs []deploy.RunKey) (*workdir.Owned, string, error) {
	owned, err := p.host.dir.FileOf(ctx, runs, row.NodeID)
	if err != nil {
		return nil, "", err
	}
	if said := recordOf(row).File; owned == nil && said != nil {
		known, err := p.host.dir.Known(ctx, said.Run)
		if err != nil {
			return nil, "", err
		}
		if !known {
			owned = said
		}
	}
	if owned == nil {
		return nil, workdir.FileAbsent, nil
	}
	state, err := p.host.dir.State(ctx, *owned)
	return owned, state, err
}

// Release removes the node's file if it still is what Slipway wrote. It waits
// while a script may be reading it.
func (p *Provider) Release(ctx context.Context, r deploy.Release) ([]deploy.ReleaseStep, error) {
	steps, err := p.release(ctx, r)
	return steps, ended(ctx, err)
}

func (p *Provider) release(ctx context.Context, r deploy.Release) ([]deploy.ReleaseStep, error) {
	rows, err := p.released(ctx, r)
	if err != nil {
		return nil, err
	}
	runs := runsOf(rows)
	return deploy.ReleaseEach(rows, stepOf, func(row *deploy.Resource) error { return p.letGo(ctx, row, runs) })
}

// released lists the rows of the node's files that the deployment, or one before
// it, holds: they are about one file.
func (p *Provider) released(ctx context.Context, r deploy.Release) ([]deploy.Resource, error) {
	if r.NodeID <= 0 || r.DeploymentID <= 0 {
		return nil, workdir.Refuse(deploy.CodeInvalid, "This is a fault of Slipway's: report it.", "a release needs node and deployment")
	}
	all, err := p.journal.ByNode(ctx, r.NodeID)
	if err != nil {
		return nil, err
	}
	var rows []deploy.Resource
	for _, row := range all {
		switch {
		case row.Provider != deploy.ProviderScript:
		case row.HeldBy > r.DeploymentID && row.State != deploy.ResourceGone:
			return nil, workdir.Refuse(deploy.CodeWrongState, "Clean up the deployment that holds it.",
				"deployment %d may not release the file of node %s: deployment %d holds it now", r.DeploymentID, r.NodeName, row.HeldBy)
		case row.HeldBy > r.DeploymentID:
		case row.Kind != kindFile:
			return nil, workdir.Refuse(deploy.CodeInvalid, "A newer version of Slipway made it: release the node with that one.", "this version of Slipway does not know how to release the %s %s", row.Kind, row.Name)
		case row.HeldBy == r.DeploymentID || row.State != deploy.ResourceGone:
			rows = append(rows, row)
		}
	}
	return rows, nil
}

func stepOf(row deploy.Resource) deploy.ReleaseStep {
	rec := recordOf(row)
	s := deploy.ReleaseStep{ResourceID: row.ID, Kind: row.Kind, Role: row.Role, Name: row.Name, CloudID: row.CloudID, Action: actionRemove, Status: deploy.ReleaseWaiting}
	switch {
	case row.State == deploy.ResourceGone && rec.Kept:
		s.Status, s.Message = deploy.ReleaseKept, rec.Proof
	case row.State == deploy.ResourceGone:
		s.Status, s.Message = deploy.ReleaseDone, rec.Proof
	}
	return s
}

// letGo ends a row, and keeps it current.
func (p *Provider) letGo(ctx context.Context, row *deploy.Resource, runs []deploy.RunKey) error {
	active, err := supervisor.Active(ctx, p.host.dir)
	if err != nil {
		return err
	}
	if active.ID != 0 {
		return &deploy.ProviderError{Code: deploy.CodeRunActive, Message: fmt.Sprintf("the deployment script of run %d may be reading the node files", active.ID),
			Hint: "Wait for its end, or cancel it.", Temporary: true, Wait: waitRun}
	}
	rec := recordOf(*row)
	owned, _, err := p.owned(ctx, *row, runs)
	if err != nil {
		return err
	}
	if owned == nil {
		return p.gone(ctx, row, rec, "no file was written for it")
	}
	state, err := p.host.dir.Remove(ctx, *owned)
	if err != nil {
		return err
	}
	row.CloudID = owned.File
	switch path := p.path(*owned); state {
	case workdir.FileChanged:
		rec.Kept = true
		return p.gone(ctx, row, rec, fmt.Sprintf("%s stays: somebody changed it since run %d wrote it", path, owned.Run.ID))
	case workdir.FileAbsent:
		return p.gone(ctx, row, rec, fmt.Sprintf("%s is not there", path))
	default:
		return p.gone(ctx, row, rec, fmt.Sprintf("%s was removed: it was as run %d wrote it (SHA-256 %.12s…)", path, owned.Run.ID, owned.Sum))
	}
}

func (p *Provider) gone(ctx context.Context, row *deploy.Resource, rec record, proof string) error {
	rec.Proof = proof + ", at " + p.host.c.Now().UTC().Format(time.RFC3339)
	details := rec.json()
	if err := p.journal.Settle(ctx, row.ID, deploy.ResourceGone, row.CloudID, details, ""); err != nil {
		return err
	}
	row.State, row.Details = deploy.ResourceGone, details
	return nil
}
