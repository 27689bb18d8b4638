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

// Intend adds the row, or gives the one of the same provider, kind and name.
func (j *Journal) Intend(ctx context.Context, i deploy.Intent) (row deploy.Resource, err error) {
	err = j.write(ctx, func() error {
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

// Settle changes a row.
func (j *Journal) Settle(ctx context.Context, id int64, state, cloudID string, details json.RawMessage, _ string) error {
	return j.write(ctx, func() error {
		if id < 1 || id > int64(len(j.rows)) {
			return deploy.Errorf(deploy.CodeNotFound, "there is no resource %d", id)
		}
		r := &j.rows[id-1]
		r.State = state
		if cloudID != "" {
			r.CloudID = cloudID
		}
		if details != nil {
			r.Details = details
		}
		return nil
	})
}

// Held lists a node's rows that are not gone.
func (j *Journal) Held(ctx context.Context, nodeID int64) ([]deploy.Resource, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var held []deploy.Resource
	for _, r := range j.Rows() {
		if r.NodeID == nodeID && r.State != deploy.ResourceGone {
			held = append(held, r)
		}
	}
	return held, nil
}
