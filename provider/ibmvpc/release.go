package ibmvpc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/slipwayhq/slipway/deploy"
)

// The actions of a release.
const (
	actionServer = "stop and delete"
	actionDelete = "delete"
	actionLook   = "look for"
	actionKeep   = "keep"
)

// stages are the kinds in the order in which they are removed. Each must be
// gone before the next is touched: an interface cannot go while its server is
// there, nor an address under its interface, nor a name under its pointer.
var stages = []string{kindServer, kindVNI, kindReservedIP, kindPTR, kindA}

// PlanRelease tells what Release would do with what the node holds, and looks
// how each thing stands. It changes nothing.
func (p *Provider) PlanRelease(ctx context.Context, r deploy.Release) ([]deploy.ReleaseStep, error) {
	steps, err := p.planRelease(ctx, r)
	return steps, asProviderError(err)
}

func (p *Provider) planRelease(ctx context.Context, r deploy.Release) ([]deploy.ReleaseStep, error) {
	rows, err := p.released(ctx, r)
	if err != nil {
		return nil, err
	}
	release := &release{Provider: p, rows: rows}
	var steps []deploy.ReleaseStep
	for _, row := range rows {
		if row.State == deploy.ResourceGone {
			continue
		}
		found, err := release.looked(ctx, row)
		if err != nil {
			return nil, err
		}
		step := stepOf(row)
		step.Message = found.status
		switch {
		case found.foreign != "":
			step.Action, step.Message = actionKeep, found.foreign
		case found.id == "":
			step.Message = "nothing is there"
		case step.Message == "":
			step.Message = "it is there"
		}
		step.CloudID = found.id
		steps = append(steps, step)
	}
	return steps, nil
}

// Release removes what the node holds as far as that can be done now, in the
// safe order, and gives all steps. A temporary deploy.ProviderError says that
// something is not proven gone yet; nil, that everything is. It may be called
// again at any time, also after it was killed, and by several callers at once.
func (p *Provider) Release(ctx context.Context, r deploy.Release) ([]deploy.ReleaseStep, error) {
	steps, err := p.releaseAll(ctx, r)
	return steps, asProviderError(err)
}

func (p *Provider) releaseAll(ctx context.Context, r deploy.Release) ([]deploy.ReleaseStep, error) {
	rows, err := p.released(ctx, r)
	if err != nil {
		return nil, err
	}
	steps := make([]deploy.ReleaseStep, len(rows))
	for i, row := range rows {
		steps[i] = stepOf(row)
	}
	release := &release{Provider: p, rows: rows}
	for _, kind := range stages {
		if err := release.stage(ctx, kind, steps); err != nil {
			return steps, err
		}
	}
	return steps, nil
}

// released lists the rows that a release is about: all that the deployment
// holds for the node, what is gone already included, in the order of removal.
func (p *Provider) released(ctx context.Context, r deploy.Release) ([]deploy.Resource, error) {
	if r.NodeID <= 0 || r.DeploymentID <= 0 {
		return nil, permanent(deploy.CodeInvalid, "", "a release needs node and deployment")
	}
	all, err := p.journal.ByNode(ctx, r.NodeID)
	if err != nil {
		return nil, err
	}
	var rows []deploy.Resource
	for _, row := range all {
		switch {
		case row.Provider != deploy.ProviderIBMVPC:
		case row.HeldBy == r.DeploymentID:
			if !slices.Contains(stages, row.Kind) {
				return nil, permanent(deploy.CodeInvalid, "A newer version of Slipway made it: release the node with that one.", "this version of Slipway does not know how to release %s", describe(row))
			}
			rows = append(rows, row)
		case row.State != deploy.ResourceGone:
			return nil, permanent(deploy.CodeWrongState, "Clean up the deployment that holds it.",
				"deployment %d may not release %s of node %s: deployment %d holds it now", r.DeploymentID, describe(row), r.NodeName, row.HeldBy)
		}
	}
	slices.SortStableFunc(rows, func(a, b deploy.Resource) int {
		return slices.Index(stages, a.Kind) - slices.Index(stages, b.Kind)
	})
	return rows, nil
}

// nouns are the kinds for people.
var nouns = map[string]string{
	kindServer: "server", kindVNI: "interface", kindReservedIP: "address", kindPTR: "PTR record", kindA: "A record",
}

// describe names a row for people.
func describe(row deploy.Resource) string {
	what := nouns[row.Kind]
	if what == "" {
		what = row.Kind
	}
	if row.Role != "" {
		what = row.Role + " " + what
	}
	return fmt.Sprintf("the %s %s", what, row.Name)
}

// stepOf tells how a row stands before anything is asked.
func stepOf(row deploy.Resource) deploy.ReleaseStep {
	s := deploy.ReleaseStep{ResourceID: row.ID, Kind: row.Kind, Role: row.Role, Name: row.Name, CloudID: row.CloudID, Action: actionDelete, Status: deploy.ReleaseWaiting}
	switch {
	case row.CloudID == "":
		s.Action = actionLook
	case row.Kind == kindServer:
		s.Action = actionServer
	}
	switch row.State {
	case deploy.ResourceReleasing:
		s.Status = deploy.ReleaseActive
	case deploy.ResourceGone:
		s.Status = deploy.ReleaseDone
		if proof := recordOf(row).Gone; proof != nil {
			s.Message = proof.String()
			if proof.Kept != "" {
				s.Status, s.Action = deploy.ReleaseKept, actionKeep
			}
		}
	}
	return s
}

// gone is the proof that something is not there, or why it was left alone.
type gone struct {
	Asked  string    `json:"asked,omitempty"`  // the call that was made
	Answer string    `json:"answer,omitempty"` // and what came back
	Kept   string    `json:"kept,omitempty"`   // something of the name is there, but it is not ours: why
	At     time.Time `json:"at"`
}

// String is the proof in a sentence.
func (g gone) String() string {
	if g.Kept != "" {
		return fmt.Sprintf("kept, as it is not ours: %s (%s)", g.Kept, g.At.Format(time.RFC3339))
	}
	return fmt.Sprintf("gone: %s was answered %s (%s)", g.Asked, g.Answer, g.At.Format(time.RFC3339))
}

// release is one release under way.
type release struct {
	*Provider
	rows []deploy.Resource // all that the deployment holds, in the order of removal
}

// stage removes one kind and gives why it is not gone yet: the first failure
// that no waiting cures, else the shortest wait.
func (r *release) stage(ctx context.Context, kind string, steps []deploy.ReleaseStep) error {
	var worst error
	for i := range r.rows {
		row := &r.rows[i]
		if row.Kind != kind || row.State == deploy.ResourceGone {
			continue
		}
		err := r.row(ctx, row)
		steps[i] = stepOf(*row)
		if err == nil {
			continue
		}
		var typed *deploy.ProviderError
		if err = asProviderError(err); !errors.As(err, &typed) {
			return err
		}
		steps[i].Message = typed.Message
		worst = worse(worst, typed)
	}
	return worst
}

// worse gives the failure that matters more.
func worse(a error, b *deploy.ProviderError) error {
	var first *deploy.ProviderError
	switch {
	case !errors.As(a, &first):
		return b
	case !first.Temporary || b.Temporary && first.Wait <= b.Wait:
		return a
	}
	return b
}

// row removes one thing as far as that goes now, and keeps the row as it is in
// the journal afterwards. nil means that it is gone.
func (r *release) row(ctx context.Context, row *deploy.Resource) error {
	found, err := r.looked(ctx, *row)
	if err != nil {
		return err
	}
	if found.foreign != "" {
		return r.settled(ctx, row, gone{Kept: found.foreign})
	}
	if found.id == "" {
		if wait := r.uncertain(*row); wait > 0 {
			return waiting(deploy.CodeUpstreamUnavailable, min(wait, waitLook), "it is not known whether %s was made; looking for it", describe(*row))
		}
		return r.settled(ctx, row, found.proof)
	}
	if found.held != "" {
		return waiting(deploy.CodeConflict, waitConflict, "%s cannot be deleted yet: %s", describe(*row), found.held)
	}
	if row.State != deploy.ResourceReleasing || row.CloudID != found.id {
		row.CloudID = found.id
		if err := r.releasing(ctx, row, recordOf(*row)); err != nil {
			return err
		}
	}
	if err := r.remove(ctx, row, found); err != nil && !isNotFound(err) {
		return err
	}
	if found, err = r.looked(ctx, *row); err != nil {
		return err
	}
	if found.id == "" {
		return r.settled(ctx, row, found.proof)
	}
	return waiting(deploy.CodeConflict, waitPending, "%s is being deleted", describe(*row))
}

// uncertain tells for how long yet a create that may have been sent must be
// looked for before its absence is proven.
func (p *Provider) uncertain(row deploy.Resource) time.Duration {
	if row.State != deploy.ResourceDoubtful {
		return 0
	}
	asked := row.UpdatedAt
	if at := recordOf(row).AskedAt; at != nil {
		asked = *at
	}
	return asked.Add(p.cfg.CreateTimeout + p.cfg.DoubtWindow).Sub(p.now())
}

// releasing records that the removal is about to be asked for.
func (p *Provider) releasing(ctx context.Context, row *deploy.Resource, rec record) error {
	if err := p.journal.Settle(ctx, row.ID, deploy.ResourceReleasing, row.CloudID, rec.json(), ""); err != nil {
		return raced(*row, err)
	}
	row.State, row.Details = deploy.ResourceReleasing, rec.json()
	return nil
}

// raced tells that another caller was quicker to record the end.
func raced(row deploy.Resource, err error) error {
	if deploy.HasCode(err, deploy.CodeWrongState) {
		return waiting(deploy.CodeConflict, waitPending, "%s is being released by somebody else at the same time", describe(row))
	}
	return err
}

// settled records the end of a thing with its proof.
func (p *Provider) settled(ctx context.Context, row *deploy.Resource, proof gone) error {
	rec := recordOf(*row)
	proof.At = p.now()
	rec.Gone = &proof
	if err := p.settle(ctx, row.ID, deploy.ResourceGone, row.CloudID, rec, ""); err != nil {
		return err
	}
	row.State, row.Details = deploy.ResourceGone, rec.json()
	return nil
}
