package bulk

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
)

// Tick takes every operation that is not over as far as it goes now.
func (s *Service) Tick(ctx context.Context) error {
	open, err := s.ids(ctx, `SELECT id FROM bulk_operations WHERE finished_at IS NULL ORDER BY id`)
	if err != nil {
		return err
	}
	var failed error
	for _, id := range open {
		if err := s.drive(ctx, id); err != nil {
			failed = errors.Join(failed, err)
		}
	}
	return failed
}

func (s *Service) ids(ctx context.Context, query string, args ...any) (out []int64, err error) {
	rows, err := s.deps.Store.Read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("bulk: looking for work: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("bulk: looking for work: %w", err)
		}
		out = append(out, id)
	}
	return out, errors.Join(rows.Err(), rows.Close())
}

// drive goes on with an operation until there is nothing to do but wait. What
// is left to do is all in the tables, so it may be given up anywhere.
func (s *Service) drive(ctx context.Context, id int64) error {
	for ctx.Err() == nil {
		settled, err := s.settle(ctx, id)
		if err != nil {
			return err
		}
		over, err := s.advance(ctx, id)
		if err != nil || over {
			return err
		}
		begun, err := s.begin(ctx, id)
		if err != nil {
			return err
		}
		if settled == 0 && begun == 0 {
			return nil
		}
	}
	return ctx.Err()
}

// outcome is how an item ended.
type outcome struct{ state, code, message string }

// judge says what a deployment's state means for what was asked of it; ok is
// false as long as it is awaited.
func judge(action, state, code, message string) (o outcome, ok bool) {
	if phase.Active(state) {
		return outcome{}, false
	}
	wanted := map[string]string{phase.ActionCancel: phase.StateStop, phase.ActionRetry: phase.Succeeded, phase.ActionReinitialize: phase.Succeeded, phase.ActionCleanup: phase.CleanedUp}[action]
	switch {
	case state == wanted:
		return outcome{state: ItemSucceeded}, true
	case state == phase.StateFail && action != phase.ActionCancel:
		return outcome{ItemFailed, code, message}, true
	case action == phase.ActionCancel:
		return outcome{ItemFailed, string(deploy.CodeDeploymentEnded), "it ended before it could be canceled: " + state}, true
	}
	return outcome{ItemFailed, state, "it ended otherwise: " + state}, true
}

// settle records the ends that have come.
func (s *Service) settle(ctx context.Context, id int64) (settled int, err error) {
	type ended struct {
		item int64
		outcome
	}
	var list []ended
	rows, err := s.deps.Store.Read.QueryContext(ctx, `SELECT i.id, o.action, d.state, COALESCE(d.failure_code, ''), COALESCE(d.failure_message, '')
		FROM bulk_items i JOIN bulk_operations o ON o.id = i.operation_id JOIN deployments d ON d.id = i.result_id
		WHERE i.operation_id = $1 AND i.state = 'running' ORDER BY i.number`, id)
	if err != nil {
		return 0, fmt.Errorf("bulk: looking at what is under way: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var e ended
		var action, state, code, message string
		if err := rows.Scan(&e.item, &action, &state, &code, &message); err != nil {
			return 0, fmt.Errorf("bulk: looking at what is under way: %w", err)
		}
		var over bool
		if e.outcome, over = judge(action, state, code, message); over {
			list = append(list, e)
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil || len(list) == 0 {
		return 0, err
	}
	s.deps.Boundary("settle")
	now := s.now()
	err = s.deps.Store.InTx(ctx, func(tx *sql.Tx) error {
		settled = 0
		if _, err := s.lock(ctx, tx, id); err != nil {
			return err
		}
		for _, e := range list {
			res, err := tx.ExecContext(ctx, `UPDATE bulk_items SET state = $2, code = $3, message = $4, finished_at = $5 WHERE id = $1 AND state = 'running'`, e.item, e.state, e.code, e.message, now)
			if err != nil {
				return err
			}
			n, err := res.RowsAffected()
			if err != nil {
				return err
			}
			settled += int(n)
		}
		return s.touch(ctx, tx, id, now)
	})
	if err != nil {
		return 0, fmt.Errorf("bulk: recording ends: %w", err)
	}
	return settled, nil
}

// standing is an operation's row under its lock, with what decides its course.
type standing struct {
	action, state, reason      string
	immediate                  bool
	parallel                   int
	stop                       sql.NullInt64
	actor                      deploy.Actor
	waiting, running, failures int
}

// lock locks an operation. It is taken after deployments and nodes, and before
// the stream counter.
func (s *Service) lock(ctx context.Context, tx *sql.Tx, id int64) (st standing, err error) {
	var kind string
	err = tx.QueryRowContext(ctx, `SELECT action, state, reason, immediate, max_parallel, stop_after_failures, requested_by_kind, requested_by FROM bulk_operations WHERE id = $1`+s.deps.Store.ForUpdate(), id).
		Scan(&st.action, &st.state, &st.reason, &st.immediate, &st.parallel, &st.stop, &kind, &st.actor.Name)
	if err != nil {
		return st, err
	}
	st.actor.Kind = deploy.ActorKind(kind)
	return st, nil
}

// stand is lock with counts; they are exact as long as the lock is held. Not
// all items are counted: of those that wait it is enough that there are any, and
// of those that went wrong that they are too many.
func (s *Service) stand(ctx context.Context, tx *sql.Tx, id int64) (standing, error) {
	st, err := s.lock(ctx, tx, id)
	if err != nil {
		return st, err
	}
	err = tx.QueryRowContext(ctx, `SELECT (SELECT COUNT(*) FROM (SELECT 1 FROM bulk_items WHERE operation_id = $1 AND state = 'waiting' LIMIT 1) AS w),
		(SELECT COUNT(*) FROM bulk_items WHERE operation_id = $1 AND state = 'running'),
		(SELECT COUNT(*) FROM (SELECT 1 FROM bulk_items WHERE operation_id = $1 AND state IN ('failed', 'refused') LIMIT $2) AS f)`, id, st.stop.Int64).Scan(&st.waiting, &st.running, &st.failures)
	return st, err
}

func (st standing) tooMany() bool { return st.stop.Valid && st.failures >= int(st.stop.Int64) }

// touch notes a change of an operation.
func (s *Service) touch(ctx context.Context, tx *sql.Tx, id int64, now time.Time) error {
	_, err := tx.ExecContext(ctx, `UPDATE bulk_operations SET version = version + 1, updated_at = $2 WHERE id = $1`, id, now)
	return err
}

// advance moves the operation's own state: it is stopped after too many
// failures, what still waits is skipped, and it is over when nothing is left.
func (s *Service) advance(ctx context.Context, id int64) (over bool, err error) {
	s.deps.Boundary("advance")
	now := s.now()
	err = s.deps.Store.InTx(ctx, func(tx *sql.Tx) error {
		over = false
		st, err := s.stand(ctx, tx, id)
		if err != nil {
			return err
		}
		state := st.state
		if state == Running && st.tooMany() && st.waiting > 0 {
			state = Stopping
		}
		if st.waiting > 0 && state != Running {
			code, message := "stopped", "not begun: too many before it went wrong"
			if state == Canceling {
				code, message = "canceled", "not begun: the operation was canceled"
			}
			if _, err := tx.ExecContext(ctx, `UPDATE bulk_items SET state = 'skipped', code = $2, message = $3, finished_at = $4 WHERE operation_id = $1 AND state = 'waiting'`, id, code, message, now); err != nil {
				return err
			}
			st.waiting = 0
		}
		var finished any
		if st.waiting+st.running == 0 {
			over = true
			finished = now
			if next, moves := map[string]string{Running: Done, Stopping: Stopped, Canceling: Canceled}[state]; moves {
				state = next
			}
		}
		if state == st.state {
			return nil
		}
		_, err = tx.ExecContext(ctx, `UPDATE bulk_operations SET state = $2, finished_at = $3, version = version + 1, updated_at = $4 WHERE id = $1`, id, state, finished, now)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("bulk: advancing operation %d: %w", id, err)
	}
	return over, nil
}

// turn is an item whose turn has come.
type turn struct{ item, deployment, node int64 }

// group is how many items are asked for at once: the writer commits as many
// together.
const group = lifecycle.MaxGroup

// begin asks the verb of the next deployments, as many as there are free places.
func (s *Service) begin(ctx context.Context, id int64) (begun int, err error) {
	rows, err := s.deps.Store.Read.QueryContext(ctx, `SELECT i.id, i.deployment_id, i.node_id FROM bulk_items i
		WHERE i.operation_id = $1 AND i.state = 'waiting' AND (SELECT state FROM bulk_operations WHERE id = $1) = 'running' ORDER BY i.number
		LIMIT (SELECT CASE WHEN o.max_parallel > r.n THEN CASE WHEN o.max_parallel - r.n > $2 THEN $2 ELSE o.max_parallel - r.n END ELSE 0 END
			FROM bulk_operations o, (SELECT COUNT(*) AS n FROM bulk_items WHERE operation_id = $1 AND state = 'running') AS r WHERE o.id = $1)`, id, group)
	if err != nil {
		return 0, fmt.Errorf("bulk: looking for the next: %w", err)
	}
	defer rows.Close()
	var next []turn
	for rows.Next() {
		var t turn
		if err := rows.Scan(&t.item, &t.deployment, &t.node); err != nil {
			return 0, fmt.Errorf("bulk: looking for the next: %w", err)
		}
		next = append(next, t)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return 0, fmt.Errorf("bulk: looking for the next: %w", err)
	}
	var all sync.WaitGroup
	done, errs := make([]bool, len(next)), make([]error, len(next))
	for i, t := range next {
		all.Go(func() { done[i], errs[i] = s.take(ctx, id, t) })
	}
	all.Wait()
	for _, ok := range done {
		if ok {
			begun++
		}
	}
	return begun, errors.Join(errs...)
}

// take asks the verb of one deployment, and records that in the same
// transaction. A refusal is its end. It does nothing if the turn has passed: the
// operation stands otherwise by now, or another replica was first.
func (s *Service) take(ctx context.Context, id int64, t turn) (taken bool, err error) {
	s.deps.Boundary("take")
	err = s.deps.Writer.Do(ctx, []int64{t.deployment}, []int64{t.node}, func(tx *lifecycle.Tx) error {
		taken = false
		st, err := s.stand(ctx, tx.SQL(), id)
		if err != nil {
			return fmt.Errorf("bulk: locking operation %d: %w", id, err)
		}
		if st.state != Running || st.running >= st.parallel || st.tooMany() {
			return nil
		}
		var waiting int
		if err := tx.SQL().QueryRowContext(ctx, `SELECT COUNT(*) FROM bulk_items WHERE id = $1 AND state = 'waiting'`, t.item).Scan(&waiting); err != nil || waiting == 0 {
			return err
		}
		result, o, err := ask(ctx, tx, st, id, t)
		if err != nil {
			return err
		}
		taken = true
		var resultID, finished any
		if result != 0 {
			resultID = result
		}
		if o.state != ItemRunning {
			finished = tx.Now()
		}
		if _, err := tx.SQL().ExecContext(ctx, `UPDATE bulk_items SET state = $2, code = $3, message = $4, result_id = $5, started_at = $6, finished_at = $7 WHERE id = $1`,
			t.item, o.state, o.code, o.message, resultID, tx.Now(), finished); err != nil {
			return fmt.Errorf("bulk: recording what was asked: %w", err)
		}
		return s.touch(ctx, tx.SQL(), id, tx.Now())
	})
	s.deps.Boundary("taken")
	if err != nil {
		return false, fmt.Errorf("bulk: asking deployment %d: %w", t.deployment, err)
	}
	return taken, nil
}

// ask asks the verb. result is the deployment whose end is awaited.
func ask(ctx context.Context, tx *lifecycle.Tx, st standing, id int64, t turn) (result int64, o outcome, err error) {
	result = t.deployment
	var receipt *lifecycle.Receipt
	switch st.action {
	case phase.ActionCancel:
		receipt, err = tx.Cancel(lifecycle.Cancel{DeploymentID: t.deployment, Immediate: st.immediate, Reason: st.reason, Actor: st.actor})
	case phase.ActionRetry:
		receipt, err = tx.Retry(lifecycle.Retry{DeploymentID: t.deployment, Actor: st.actor})
	default:
		var name string
		var current sql.NullInt64
		if err := tx.SQL().QueryRowContext(ctx, `SELECT name, current_deployment_id FROM nodes WHERE id = $1`, t.node).Scan(&name, &current); err != nil {
			return 0, o, fmt.Errorf("bulk: reading node %d: %w", t.node, err)
		}
		if st.action == phase.ActionCleanup {
			receipt, err = tx.Cleanup(lifecycle.Cleanup{DeploymentID: t.deployment, ConfirmName: name, Actor: st.actor})
			break
		}
		if current.Int64 != t.deployment {
			err = deploy.Errorf(deploy.CodeWrongState, "%s has been deployed again since it was chosen", name)
			break
		}
		var made lifecycle.Deployed
		made, err = tx.Reinitialize(lifecycle.Reinitialize{NodeID: t.node, ConfirmName: name, IdempotencyKey: fmt.Sprintf("bulk-%d-%d", id, t.item), Actor: st.actor})
		result = made.DeploymentID
	}
	if refusal, ok := deploy.AsError(err); ok {
		message := refusal.Message
		if refusal.Hint != "" {
			message += "; " + refusal.Hint
		}
		return 0, outcome{ItemRefused, string(refusal.Code), message}, nil
	}
	if err != nil {
		return 0, o, err
	}
	o.state = ItemRunning
	if receipt != nil {
		if ended, over := judge(st.action, receipt.State, "", ""); over {
			o = ended
		}
	}
	return result, o, nil
}
