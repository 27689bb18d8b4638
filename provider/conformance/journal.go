package conformance

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/slipwayhq/slipway/deploy"
)

// Journal is a deploy.Journal in memory that can be made to die: what was
// written stays, as in a database.
type Journal struct {
	mu   sync.Mutex
	rows []deploy.Resource
	// Write is told of the n-th write, from 1, before and after it; an error
	// ends it. Nil: nobody is told.
	Write func(n int, after bool) error
	n     int
	ended map[int64]bool
}

var _ deploy.Journal = (*Journal)(nil)

// Rows are all rows, oldest first.
func (j *Journal) Rows() []deploy.Resource {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]deploy.Resource(nil), j.rows...)
}

// Writes is how many writes there were.
func (j *Journal) Writes() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.n
}

// write makes one write between its two hooks.
func (j *Journal) write(ctx context.Context, fn func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.n++
	if j.Write != nil {
		if err := j.Write(j.n, false); err != nil {
			return err
		}
	}
	if err := fn(); err != nil {
		return err
	}
	if j.Write != nil {
		return j.Write(j.n, true)
	}
	return nil
}

// End lets a deployment end: nothing is intended for it any more.
func (j *Journal) End(deploymentID int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.ended == nil {
		j.ended = map[int64]bool{}
	}
	j.ended[deploymentID] = true
}

// Move gives all that the node holds to another deployment, as a
// reinitialization does, and ends the one before.
func (j *Journal) Move(nodeID, from, to int64) {
	j.End(from)
	j.mu.Lock()
	defer j.mu.Unlock()
	for i, r := range j.rows {
		if r.NodeID == nodeID && r.State != deploy.ResourceGone {
			j.rows[i].HeldBy = to
		}
	}
}

// fence is what the real journal does: see deploy.Journal.
func (j *Journal) fence(deploymentID int64) error {
	if j.ended[deploymentID] {
		return deploy.Errorf(deploy.CodeWrongState, "deployment %d is over: nothing is made for it any more", deploymentID)
	}
	return nil
}

// Intend adds the row, or gives the one of the same provider, kind and name.
func (j *Journal) Intend(ctx context.Context, i deploy.Intent) (row deploy.Resource, err error) {
	err = j.write(ctx, func() error {
		if err := j.fence(i.DeploymentID); err != nil {
			return err
		}
		for _, r := range j.rows {
			if r.Provider == i.Provider && r.Kind == i.Kind && r.Name == i.Name {
				if r.NodeID != i.NodeID {
					return deploy.Errorf(deploy.CodeConflict, "the %s %q belongs to another node", i.Kind, i.Name)
				}
				row = r
				return nil
			}
		}
		row = deploy.Resource{ID: int64(len(j.rows) + 1), NodeID: i.NodeID, CreatedBy: i.DeploymentID, HeldBy: i.DeploymentID, Provider: i.Provider,
			Kind: i.Kind, Role: i.Role, Name: i.Name, Generation: i.Generation, State: deploy.ResourceIntent, Details: i.Details}
		j.rows = append(j.rows, row)
		return nil
	})
	if err != nil {
		return deploy.Resource{}, err
	}
	return row, nil
}

// Take adds a row as adopting a machine does.
func (j *Journal) Take(nodeID, deploymentID int64, provider string, a deploy.AdoptedResource) deploy.Resource {
	j.mu.Lock()
	defer j.mu.Unlock()
	r := deploy.Resource{ID: int64(len(j.rows) + 1), NodeID: nodeID, CreatedBy: deploymentID, HeldBy: deploymentID, Provider: provider,
		Kind: a.Kind, Role: a.Role, Name: a.Name, Generation: 1, State: deploy.ResourcePresent, CloudID: a.CloudID, Details: a.Details}
	j.rows = append(j.rows, r)
	return r
}

// row finds a row for a change.
func (j *Journal) row(id int64) (*deploy.Resource, error) {
	if id < 1 || id > int64(len(j.rows)) {
		return nil, deploy.Errorf(deploy.CodeNotFound, "there is no resource %d", id)
	}
	return &j.rows[id-1], nil
}

// Settle changes a row.
func (j *Journal) Settle(ctx context.Context, id int64, state, cloudID string, details json.RawMessage, problem string) error {
	return j.write(ctx, func() error {
		r, err := j.row(id)
		if err != nil {
			return err
		}
		if state == deploy.ResourceDoubtful {
			if err := j.fence(r.HeldBy); err != nil {
				return err
			}
		}
		if r.State == deploy.ResourceGone && state != deploy.ResourceGone && state != deploy.ResourcePresent {
			return deploy.Errorf(deploy.CodeWrongState, "the resource %d is gone and cannot become %s", id, state)
		}
		r.State, r.LastError = state, problem
		switch cloudID {
		case "":
		case deploy.NoCloudID:
			r.CloudID = ""
		default:
			r.CloudID = cloudID
		}
		if details != nil {
			r.Details = details
		}
		return nil
	})
}

// Amend changes the details of a row that is present.
func (j *Journal) Amend(ctx context.Context, id int64, change func(details json.RawMessage) (json.RawMessage, error)) error {
	return j.write(ctx, func() error {
		r, err := j.row(id)
		if err != nil {
			return err
		}
		if err := j.fence(r.HeldBy); err != nil {
			return err
		}
		if r.State != deploy.ResourcePresent {
			return deploy.Errorf(deploy.CodeWrongState, "the resource %d is %s and not present", id, r.State)
		}
		details, err := change(r.Details)
		if err == nil {
			r.Details = details
		}
		return err
	})
}

// Held lists a node's rows that are not gone.
func (j *Journal) Held(ctx context.Context, nodeID int64) ([]deploy.Resource, error) {
	return j.where(ctx, func(r deploy.Resource) bool { return r.NodeID == nodeID && r.State != deploy.ResourceGone })
}

// ByNode lists a node's rows.
func (j *Journal) ByNode(ctx context.Context, nodeID int64) ([]deploy.Resource, error) {
	return j.where(ctx, func(r deploy.Resource) bool { return r.NodeID == nodeID })
}

// All lists a provider's rows.
func (j *Journal) All(ctx context.Context, provider string) ([]deploy.Resource, error) {
	return j.where(ctx, func(r deploy.Resource) bool { return r.Provider == provider })
}

func (j *Journal) where(ctx context.Context, is func(deploy.Resource) bool) ([]deploy.Resource, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var some []deploy.Resource
	for _, r := range j.Rows() {
		if is(r) {
			some = append(some, r)
		}
	}
	return some, nil
}
