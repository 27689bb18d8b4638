package bulk

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/query"
)

// Start takes an operation. Its deployments are those that the verb can be asked
// of now; their number must be the one that was expected. Nothing is done when
// it is refused. Errors: invalid, out_of_range, version_mismatch (the message
// has the true number), confirmation_mismatch, idempotency_conflict.
//
// The same key of the same actor with the same request gives the operation that
// was made before.
func (s *Service) Start(ctx context.Context, r Request) (*Operation, error) {
	if err := deploy.Invalid(r.check()); err != nil {
		return nil, err
	}
	hash, err := r.hash()
	if err != nil {
		return nil, err
	}
	if known, err := s.known(ctx, r, hash); known != nil || err != nil {
		return known, err
	}
	p, err := s.Preview(ctx, r.Action, r.Choice)
	if err != nil {
		return nil, err
	}
	if err := r.guard(p); err != nil {
		return nil, err
	}
	id, err := s.insert(ctx, r, hash, p.matched)
	if _, twice := s.deps.Store.IsUnique(err); twice && r.IdempotencyKey != "" {
		if known, lookErr := s.known(ctx, r, hash); known != nil || lookErr != nil {
			return known, lookErr // the same was asked at the same time
		}
	}
	if err != nil {
		return nil, fmt.Errorf("bulk: taking an operation: %w", err)
	}
	s.deps.Logger.Info("audit", "verb", "bulk_"+r.Action, "outcome", "done", "actor_kind", string(r.Actor.Kind), "actor", r.Actor.Name, "operation", id, "deployments", p.Matched)
	s.hurry()
	return s.Get(ctx, id)
}

// guard compares what was expected and typed with what would be done.
func (r *Request) guard(p Preview) error {
	if p.Matched != r.Expected {
		message := fmt.Sprintf("%d deployments match now, not %d; nothing was done", p.Matched, r.Expected)
		return &deploy.Error{Code: deploy.CodeVersionMismatch, Message: message, Hint: "look at them again and send their number",
			Fields: []deploy.FieldError{{Field: "expected_count", Code: deploy.CodeVersionMismatch, Message: fmt.Sprintf("%d deployments match", p.Matched)}}}
	}
	if p.Confirmation != "" && strings.TrimSpace(r.Confirm) != p.Confirmation {
		return &deploy.Error{Code: deploy.CodeConfirmationMismatch, Message: fmt.Sprintf("the confirmation must be %q; nothing was done", p.Confirmation),
			Fields: []deploy.FieldError{{Field: "confirm", Code: deploy.CodeConfirmationMismatch, Message: fmt.Sprintf("must be %q", p.Confirmation)}}}
	}
	return nil
}

func (r *Request) hash() (string, error) {
	same := *r
	same.IdempotencyKey = ""
	same.Choice.IDs = slices.Clone(same.Choice.IDs)
	slices.Sort(same.Choice.IDs)
	b, err := json.Marshal(same)
	if err != nil {
		return "", fmt.Errorf("bulk: encoding a request: %w", err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}

// known finds the operation that was made with the request's key, nil if none.
func (s *Service) known(ctx context.Context, r Request, hash string) (*Operation, error) {
	if r.IdempotencyKey == "" {
		return nil, nil
	}
	var id int64
	var was string
	err := s.deps.Store.Read.QueryRowContext(ctx, `SELECT id, request_hash FROM bulk_operations WHERE requested_by = $1 AND idempotency_key = $2`, r.Actor.Name, r.IdempotencyKey).Scan(&id, &was)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("bulk: looking for a key: %w", err)
	case was != hash:
		return nil, &deploy.Error{Code: deploy.CodeIdempotencyConflict, Message: "the idempotency key was used for another operation",
			Fields: []deploy.FieldError{{Field: "idempotency_key", Code: deploy.CodeIdempotencyConflict, Message: "was used for another operation"}}}
	}
	return s.Get(ctx, id)
}

// itemsPart bounds the rows of one statement.
const itemsPart = 500

func (s *Service) insert(ctx context.Context, r Request, hash string, list []query.Candidate) (id int64, err error) {
	now := s.now()
	var key, selection any
	if r.IdempotencyKey != "" {
		key = r.IdempotencyKey
	}
	if len(r.Selection) > 0 {
		selection = string(r.Selection)
	}
	err = s.deps.Store.InTx(ctx, func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, `INSERT INTO bulk_operations (action, immediate, reason, selection, total, max_parallel, stop_after_failures, state, canceled_by,
			requested_by_kind, requested_by, idempotency_key, request_hash, version, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, 'running', '', $8, $9, $10, $11, 1, $12, $12) RETURNING id`,
			r.Action, r.Immediate, r.Reason, selection, len(list), r.MaxParallel, r.StopAfterFailures, string(r.Actor.Kind), r.Actor.Name, key, hash, now).Scan(&id)
		if err != nil {
			return err
		}
		number := 0
		for part := range slices.Chunk(list, itemsPart) {
			var rows []string
			var args []any
			for _, c := range part {
				number++
				n := len(args)
				rows = append(rows, fmt.Sprintf("($%d, $%d, $%d, $%d, 'waiting', '', '')", n+1, n+2, n+3, n+4))
				args = append(args, id, number, c.DeploymentID, c.NodeID)
			}
			if _, err := tx.ExecContext(ctx, `INSERT INTO bulk_items (operation_id, number, deployment_id, node_id, state, code, message) VALUES `+strings.Join(rows, ", "), args...); err != nil {
				return err
			}
		}
		return nil
	})
	return id, err
}

// Cancel begins no further deployment of an operation; those under way go on.
// Canceling what is being canceled changes nothing. Errors: not_found,
// wrong_state (it is over).
func (s *Service) Cancel(ctx context.Context, id int64, actor deploy.Actor) (*Operation, error) {
	res, err := s.deps.Store.Write.ExecContext(ctx, `UPDATE bulk_operations SET state = 'canceling', canceled_by = $2, version = version + 1, updated_at = $3
		WHERE id = $1 AND state IN ('running', 'stopping')`, id, actor.Name, s.now())
	if err != nil {
		return nil, fmt.Errorf("bulk: canceling operation %d: %w", id, err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return nil, fmt.Errorf("bulk: canceling operation %d: %w", id, err)
	}
	o, err := s.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	if n == 0 && o.Over() {
		return nil, deploy.Errorf(deploy.CodeWrongState, "the operation is over: %s", o.State)
	}
	s.deps.Logger.Info("audit", "verb", "bulk_cancel_operation", "outcome", "done", "actor_kind", string(actor.Kind), "actor", actor.Name, "operation", id)
	s.hurry()
	return o, nil
}
