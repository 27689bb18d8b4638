package rack

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/slipwayhq/slipway/deploy"
)

// kindPower is the journal's kind of a machine whose power Slipway commands.
const kindPower = "power"

// record is the details of a row: everything that must be known without the
// order, and how far its boot is. It has no secret.
type record struct {
	Power deploy.Power `json:"power"`
	Lease *lease       `json:"lease,omitempty"`
	Boot  *booting     `json:"boot,omitempty"`
	Off   *asked       `json:"off,omitempty"` // of a release
	Proof string       `json:"proof,omitempty"`
}

// lease is one actor's right to command the machine. It outlives every request
// that is made under it, so that no request of an earlier actor comes late.
type lease struct {
	By    string    `json:"by"`
	Until time.Time `json:"until"`
}

// asked counts how often the same thing was asked for.
type asked struct {
	Asks int        `json:"asks,omitempty"`
	At   *time.Time `json:"at,omitempty"` // the last time
}

// booting is how far a machine is on its way to booting from the network, for
// one attempt of one deployment.
type booting struct {
	Deployment int64      `json:"deployment"`
	Attempt    int        `json:"attempt"`
	Stage      stage      `json:"stage"`
	Asked      asked      `json:"asked,omitzero"`    // for this stage
	Rounds     int        `json:"rounds,omitempty"`  // how often somebody else switched it on in between
	DoneAt     *time.Time `json:"done_at,omitempty"` // it was seen on
}

func recordOf(row deploy.Resource) record {
	var r record
	_ = json.Unmarshal(row.Details, &r) // only this package writes them
	return r
}

func (r record) json() json.RawMessage {
	b, err := json.Marshal(r)
	if err != nil { // texts, numbers and times can always be written
		panic(err)
	}
	return b
}

// done reports whether what the order wants has happened.
func (r record) done(o deploy.Order) bool {
	b := r.Boot
	if b == nil || b.DoneAt == nil {
		return false
	}
	return b.Deployment == o.DeploymentID && b.Attempt >= o.Attempt || !o.AttemptSince.IsZero() && b.DoneAt.After(o.AttemptSince)
}

// rowName is unique for all time: a name is given again only after a cleanup,
// and then to another deployment.
func rowName(o deploy.Order) string { return fmt.Sprintf("%s-%d", o.NodeName, o.DeploymentID) }

// held gives the node's row; nil if it has none.
func (p *Provider) held(ctx context.Context, nodeID int64) (*deploy.Resource, error) {
	if p.Journal == nil {
		return nil, nil
	}
	rows, err := p.Journal.Held(ctx, nodeID)
	if err != nil {
		return nil, err
	}
	for i := len(rows) - 1; i >= 0; i-- {
		if rows[i].Provider == deploy.ProviderRack && rows[i].Kind == kindPower {
			return &rows[i], nil
		}
	}
	return nil, nil
}

// rowOf gives the node's row, which the order's deployment must hold.
func (p *Provider) rowOf(ctx context.Context, o deploy.Order) (*deploy.Resource, error) {
	row, err := p.held(ctx, o.NodeID)
	switch {
	case err != nil || row == nil:
		return nil, err
	case row.HeldBy != o.DeploymentID:
		return nil, permanent(deploy.CodeConflict, "Look at the node's current deployment.", "the power of node %s is held by deployment %d now", o.NodeName, row.HeldBy)
	case row.State == deploy.ResourceReleasing:
		return nil, permanent(deploy.CodeWrongState, "Wait for the cleanup, then deploy again.", "the power of node %s is being released", o.NodeName)
	}
	return row, nil
}
