package workflow

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store"
)

// slotsLock is the PostgreSQL advisory lock under which slots are counted, so
// that two replicas cannot both take the last one. It is taken after the rows
// of deployments and nodes and before the stream counter.
const slotsLock = 0x736c6970 // "slip"

// admit lets a queued deployment begin when a slot is free, in the order in
// which they were accepted.
func (s *step) admit(ctx context.Context) (again time.Duration, err error) {
	err = s.write(ctx, "admission", func(tx *lifecycle.Tx) error {
		again = 0
		q, err := s.engine.queue(ctx, tx.SQL(), s)
		if err != nil {
			return err
		}
		// Others of this very transaction are not in the tables yet.
		begun, begunInBatch := tx.Begun(s.batchID.Int64)
		q.running += begun
		q.ahead -= begun
		q.batchFull = q.batchFull || s.batchID.Valid && q.inBatch+begunInBatch >= q.parallel
		switch {
		case q.stopped && s.Attempt == 1: // whoever retries one wants it in spite of the others
			r := s.report(phase.FailedRun, fmt.Sprintf("not begun: %d deployments of the batch have failed", q.failed))
			r.Phase, r.Code, r.Hint = phase.Failed, "batch_stopped", "Look at the failures of the batch, then retry this one."
			_, err = tx.Report(r)
		case q.running >= s.engine.opts.Slots || q.ahead >= s.engine.opts.Slots-q.running || q.batchFull:
			// Whoever gives a slot back wakes the first in the queue; this is for
			// when that comes to nothing.
			again = min(5*time.Second+time.Duration(q.ahead)*50*time.Millisecond, time.Minute)
			return tx.Await(s.DeploymentID, s.Phase, "slot", fmt.Sprintf("%d running of %d slots; %s before this one in the queue", q.running, s.engine.opts.Slots, roughly(q.ahead)))
		default:
			_, err = tx.Report(s.report(phase.Success, "a slot is free"))
		}
		if _, refused := deploy.AsError(err); refused {
			return nil
		}
		return err
	})
	return again, err
}

// wakeFirst is how many of the queue are woken for each slot that is given
// back: the first may be of a batch that may not begin more of its own.
const wakeFirst = 8

// Freed lets the first of the queue look at once whether a slot is free.
func (e *Engine) Freed(ctx context.Context, tx *sql.Tx, n int) error {
	pending := `json_extract(args, '$.phase')`
	if e.store.Dialect == store.PostgreSQL {
		pending = `args->>'phase'`
	}
	rows, err := tx.QueryContext(ctx, `SELECT id FROM river_job WHERE kind = $1 AND state IN ('available', 'scheduled') AND `+pending+` = $2 ORDER BY id LIMIT $3`, stepArgs{}.Kind(), phase.Pending, n+wakeFirst)
	if err != nil {
		return fmt.Errorf("workflow: looking for the first of the queue: %w", err)
	}
	defer rows.Close()
	var first []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return fmt.Errorf("workflow: looking for the first of the queue: %w", err)
		}
		first = append(first, id)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return fmt.Errorf("workflow: looking for the first of the queue: %w", err)
	}
	for _, id := range first {
		if _, err := e.client.JobRetryTx(ctx, tx, id); err != nil {
			return fmt.Errorf("workflow: waking the queue: %w", err)
		}
	}
	return nil
}

// roughly counts in steps far back, so that a queue that moves on by one is not
// a change of every node in it.
func roughly(n int) string {
	switch {
	case n < 20:
		return fmt.Sprint(n)
	case n < 200:
		return fmt.Sprintf("about %d", n/10*10)
	}
	return fmt.Sprintf("about %d", n/100*100)
}

// queueFacts is what admission is decided from.
type queueFacts struct {
	running   int // deployments that run, of all
	ahead     int // queued ones that were accepted before, and may begin: not those whose batch is full
	inBatch   int // those of its batch that run
	parallel  int // how many of its batch may
	batchFull bool
	stopped   bool // the batch has had as many failures as it may
	failed    int
}

func (e *Engine) queue(ctx context.Context, tx *sql.Tx, s *step) (queueFacts, error) {
	var q queueFacts
	if e.store.Dialect == store.PostgreSQL {
		if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, slotsLock); err != nil {
			return q, fmt.Errorf("workflow: locking the slots: %w", err)
		}
	}
	err := tx.QueryRowContext(ctx, `SELECT
		(SELECT COUNT(*) FROM deployments WHERE state IN ('running', 'canceling', 'cleaning_up')),
		(SELECT COUNT(*) FROM deployments q WHERE q.state = 'queued' AND q.id < $1 AND (q.batch_id IS NULL OR q.batch_id NOT IN
			(SELECT b.id FROM deployment_batches b WHERE b.id IN (SELECT w.batch_id FROM deployments w WHERE w.state = 'queued' AND w.batch_id IS NOT NULL)
				AND b.max_parallel <= (SELECT COUNT(*) FROM deployments r WHERE r.batch_id = b.id AND r.state IN ('running', 'canceling', 'cleaning_up')))))`, s.DeploymentID).Scan(&q.running, &q.ahead)
	if err != nil {
		return q, fmt.Errorf("workflow: counting slots: %w", err)
	}
	if !s.batchID.Valid {
		return q, nil
	}
	var stop sql.NullInt64
	err = tx.QueryRowContext(ctx, `SELECT b.max_parallel, b.stop_on_failure_count,
		(SELECT COUNT(*) FROM deployments d WHERE d.batch_id = b.id AND d.state IN ('running', 'canceling', 'cleaning_up')),
		(SELECT COUNT(*) FROM deployments d WHERE d.batch_id = b.id AND d.state = 'failed' AND d.failure_code <> 'batch_stopped')
		FROM deployment_batches b WHERE b.id = $1`, s.batchID.Int64).Scan(&q.parallel, &stop, &q.inBatch, &q.failed)
	if err != nil {
		return q, fmt.Errorf("workflow: counting the batch: %w", err)
	}
	q.batchFull = q.inBatch >= q.parallel
	q.stopped = stop.Valid && q.failed >= int(stop.Int64)
	return q, nil
}
