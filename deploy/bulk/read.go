package bulk

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/store"
)

// PageMax is the largest page of operations or items.
const PageMax = 200

const operationColumns = `id, action, immediate, reason, selection, total, max_parallel, stop_after_failures, state, canceled_by,
	requested_by_kind, requested_by, version, created_at, updated_at, finished_at`

func scanOperation(rows *sql.Rows) (*Operation, error) {
	o := &Operation{Counts: map[string]int{}}
	var selection []byte
	var stop sql.NullInt64
	var kind string
	err := rows.Scan(&o.ID, &o.Action, &o.Immediate, &o.Reason, &selection, &o.Total, &o.MaxParallel, &stop, &o.State, &o.CanceledBy,
		&kind, &o.RequestedBy.Name, &o.Version, store.Time(&o.CreatedAt), store.Time(&o.UpdatedAt), store.NullTime(&o.FinishedAt))
	if err != nil {
		return nil, fmt.Errorf("bulk: reading an operation: %w", err)
	}
	o.RequestedBy.Kind = deploy.ActorKind(kind)
	if len(selection) > 0 {
		o.Selection = selection
	}
	if stop.Valid {
		n := int(stop.Int64)
		o.StopAfterFailures = &n
	}
	return o, nil
}

// Get reads an operation; not_found if there is none.
func (s *Service) Get(ctx context.Context, id int64) (*Operation, error) {
	list, err := s.operations(ctx, `WHERE id = $1`, id)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, deploy.Errorf(deploy.CodeNotFound, "there is no bulk operation %d", id)
	}
	return list[0], nil
}

// List reads operations, the newest first; before is the id that the page before
// ended with, 0 = from the start.
func (s *Service) List(ctx context.Context, before int64, limit int) (list []*Operation, more bool, err error) {
	where, args := ``, []any{limit + 1}
	if before > 0 {
		where, args = `WHERE id < $2 `, append(args, before)
	}
	if list, err = s.operations(ctx, where+`ORDER BY id DESC LIMIT $1`, args...); err != nil {
		return nil, false, err
	}
	if len(list) > limit {
		list, more = list[:limit], true
	}
	return list, more, nil
}

func (s *Service) operations(ctx context.Context, where string, args ...any) ([]*Operation, error) {
	rows, err := s.deps.Store.Read.QueryContext(ctx, `SELECT `+operationColumns+` FROM bulk_operations `+where, args...)
	if err != nil {
		return nil, fmt.Errorf("bulk: reading operations: %w", err)
	}
	defer rows.Close()
	var list []*Operation
	for rows.Next() {
		o, err := scanOperation(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, o)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, fmt.Errorf("bulk: reading operations: %w", err)
	}
	return list, s.count(ctx, list)
}

// count adds how the items of operations stand.
func (s *Service) count(ctx context.Context, list []*Operation) error {
	if len(list) == 0 {
		return nil
	}
	of := map[int64]*Operation{}
	var marks []string
	var args []any
	for _, o := range list {
		of[o.ID] = o
		args = append(args, o.ID)
		marks = append(marks, fmt.Sprintf("$%d", len(args)))
	}
	rows, err := s.deps.Store.Read.QueryContext(ctx, `SELECT operation_id, state, COUNT(*) FROM bulk_items WHERE operation_id IN (`+strings.Join(marks, ", ")+`) GROUP BY operation_id, state`, args...)
	if err != nil {
		return fmt.Errorf("bulk: counting items: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var state string
		var n int
		if err := rows.Scan(&id, &state, &n); err != nil {
			return fmt.Errorf("bulk: counting items: %w", err)
		}
		of[id].Counts[state] = n
	}
	return errors.Join(rows.Err(), rows.Close())
}

// Items reads items of an operation by their numbers, those after a number; of
// the given states, none = of all.
func (s *Service) Items(ctx context.Context, id int64, states []string, after, limit int) (list []Item, more bool, err error) {
	where, args := ``, []any{id, after, limit + 1}
	if len(states) > 0 {
		var marks []string
		for _, state := range states {
			args = append(args, state)
			marks = append(marks, fmt.Sprintf("$%d", len(args)))
		}
		where = ` AND state IN (` + strings.Join(marks, ", ") + `)`
	}
	rows, err := s.deps.Store.Read.QueryContext(ctx, `SELECT number, deployment_id, node_id, result_id, state, code, message, started_at, finished_at
		FROM bulk_items WHERE operation_id = $1 AND number > $2`+where+` ORDER BY number LIMIT $3`, args...)
	if err != nil {
		return nil, false, fmt.Errorf("bulk: reading items of operation %d: %w", id, err)
	}
	defer rows.Close()
	for rows.Next() {
		var i Item
		var result sql.NullInt64
		if err := rows.Scan(&i.Number, &i.DeploymentID, &i.NodeID, &result, &i.State, &i.Code, &i.Message, store.NullTime(&i.StartedAt), store.NullTime(&i.FinishedAt)); err != nil {
			return nil, false, fmt.Errorf("bulk: reading items of operation %d: %w", id, err)
		}
		i.ResultID = result.Int64
		list = append(list, i)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, false, fmt.Errorf("bulk: reading items of operation %d: %w", id, err)
	}
	if len(list) > limit {
		list, more = list[:limit], true
	}
	return list, more, nil
}
