package rack

import (
	"context"
	"fmt"
	"time"

	"github.com/stmcginnis/gofish/redfish"

	"github.com/slipwayhq/slipway/deploy"
)

// The actions of a release.
const (
	actionOff = "switch off"
	actionLet = "let go"
)

// PlanRelease tells what Release would do, and looks how the machine stands if
// it would switch it off. It changes nothing.
func (p *Provider) PlanRelease(ctx context.Context, r deploy.Release) ([]deploy.ReleaseStep, error) {
	steps, err := p.planRelease(ctx, r)
	return steps, ended(ctx, err)
}

func (p *Provider) planRelease(ctx context.Context, r deploy.Release) ([]deploy.ReleaseStep, error) {
	rows, err := p.released(ctx, r)
	if err != nil {
		return nil, err
	}
	var steps []deploy.ReleaseStep
	for _, row := range rows {
		if row.State == deploy.ResourceGone {
			continue
		}
		step, rec := stepOf(row), recordOf(row)
		switch {
		case step.Action == actionLet && rec.Power.OffAtRelease:
			step.Message = "its controller was not asked for anything yet"
		case step.Action == actionLet:
			step.Message = "it stays as it is: on or off"
		default:
			system, err := p.look(ctx, &rec.Power, row.CloudID)
			switch {
			case isNotFound(err):
				step.Message = "its controller does not have it any more"
			case err != nil:
				return nil, err
			default:
				step.Message = fmt.Sprintf("its controller says %s", short(string(system.PowerState)))
			}
		}
		steps = append(steps, step)
	}
	return steps, nil
}

// Release lets the machine go: it is the owner's, so nothing is taken away. It
// is switched off first if its power settings say so, and then the proof is
// what its controller shows. It may be called again at any time.
func (p *Provider) Release(ctx context.Context, r deploy.Release) ([]deploy.ReleaseStep, error) {
	steps, err := p.release(ctx, r)
	return steps, ended(ctx, err)
}

func (p *Provider) release(ctx context.Context, r deploy.Release) ([]deploy.ReleaseStep, error) {
	rows, err := p.released(ctx, r)
	if err != nil {
		return nil, err
	}
	return deploy.ReleaseEach(rows, stepOf, func(row *deploy.Resource) error { return p.letGo(ctx, row) })
}

// released lists the rows of the node that the deployment holds, what is gone
// included.
func (p *Provider) released(ctx context.Context, r deploy.Release) ([]deploy.Resource, error) {
	if r.NodeID <= 0 || r.DeploymentID <= 0 {
		return nil, permanent(deploy.CodeInvalid, "This is a fault of Slipway's: report it.", "a release needs node and deployment")
	}
	if p.Journal == nil {
		return nil, nil
	}
	all, err := p.Journal.ByNode(ctx, r.NodeID)
	if err != nil {
		return nil, err
	}
	var rows []deploy.Resource
	for _, row := range all {
		switch {
		case row.Provider != deploy.ProviderRack:
		case row.HeldBy == r.DeploymentID:
			if row.Kind != kindPower {
				return nil, permanent(deploy.CodeInvalid, "A newer version of Slipway made it: release the node with that one.", "this version of Slipway does not know how to release the %s %s", row.Kind, row.Name)
			}
			rows = append(rows, row)
		case row.State != deploy.ResourceGone:
			return nil, permanent(deploy.CodeWrongState, "Clean up the deployment that holds it.",
				"deployment %d may not release the power of node %s: deployment %d holds it now", r.DeploymentID, r.NodeName, row.HeldBy)
		}
	}
	return rows, nil
}

func stepOf(row deploy.Resource) deploy.ReleaseStep {
	rec := recordOf(row)
	s := deploy.ReleaseStep{ResourceID: row.ID, Kind: row.Kind, Role: row.Role, Name: row.Name, CloudID: row.CloudID, Action: actionLet, Status: deploy.ReleaseWaiting}
	if rec.Power.OffAtRelease && row.CloudID != "" {
		s.Action = actionOff
	}
	switch row.State {
	case deploy.ResourceReleasing:
		s.Status, s.Message = deploy.ReleaseActive, "its controller was asked to switch it off"
	case deploy.ResourceGone:
		s.Status, s.Message = deploy.ReleaseDone, rec.Proof
	}
	return s
}

// letGo does one step of a row's release, and keeps the row current.
func (p *Provider) letGo(ctx context.Context, row *deploy.Resource) error {
	rec := recordOf(*row)
	if l, now := rec.Lease, p.Now(); l != nil && now.Before(l.Until) {
		return waiting(deploy.CodeConflict, l.Until.Sub(now), "an order that has ended may still be commanding the machine")
	}
	switch {
	case !rec.Power.OffAtRelease:
		return p.gone(ctx, row, rec, "nothing was taken away: the machine is its owner's, and its power was left as it is")
	case row.CloudID == "":
		return p.gone(ctx, row, rec, "nothing was ever asked of its controller")
	}
	c, err := p.open(ctx, &rec.Power)
	if err != nil {
		return err
	}
	defer c.close(ctx)
	system, err := c.system(ctx, row.CloudID)
	switch {
	case isNotFound(err):
		return p.gone(ctx, row, rec, fmt.Sprintf("the controller %s answered not found to GET %s", c.host, row.CloudID))
	case err != nil:
		return err
	case system.PowerState == powerOff:
		return p.gone(ctx, row, rec, fmt.Sprintf("the controller %s answered PowerState Off to GET %s", c.host, row.CloudID))
	}
	var before asked
	if rec.Off != nil {
		before = *rec.Off
	}
	next, err := before.ask(string(switchOff), patienceSwitch, waitSwitch, p.Now())
	if err != nil {
		return err
	}
	rec.Off = &next
	if err := p.settle(ctx, row, deploy.ResourceReleasing, rec); err != nil {
		return err
	}
	if err := c.reset(ctx, system, redfish.ForceOffResetType); err != nil {
		return err
	}
	return waiting(deploy.CodeConflict, waitSwitch, "the controller was asked to switch the machine off")
}

func (p *Provider) gone(ctx context.Context, row *deploy.Resource, rec record, proof string) error {
	rec.Lease, rec.Proof = nil, proof+" at "+p.Now().UTC().Format(time.RFC3339)
	return p.settle(ctx, row, deploy.ResourceGone, rec)
}

func (p *Provider) settle(ctx context.Context, row *deploy.Resource, state string, rec record) error {
	details := rec.json()
	if err := p.Journal.Settle(ctx, row.ID, state, row.CloudID, details, ""); err != nil {
		if deploy.HasCode(err, deploy.CodeWrongState) { // another caller was quicker
			return waiting(deploy.CodeConflict, waitSwitch, "the release goes on elsewhere")
		}
		return err
	}
	row.State, row.Details = state, details
	return nil
}
