package workflow

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/riverqueue/river/rivertype"

	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store"
)

// slotsLock is the PostgreSQL advisory lock under which slots are counted, so
// that two replicas cannot both take the last one. It is taken after the rows
// of deployments and nodes and before the stream counter.
const slotsLock = 0x736c6970 // "slip"

// runs is the SQL of the states in which a deployment has begun and not ended.
const runs = `state IN ('running', 'canceling', 'cleaning_up')`

// holdsSlot is the SQL of the deployments that have a slot. Hosts that the
// deployment script configures need none: nothing is ordered for them, and one
// script runs at a time anyway. One that waits for its cluster has given its
// slot back, or clusters that wait for their last nodes could keep these from
// ever beginning.
const holdsSlot = runs + ` AND provider <> 'script' AND phase <> 'cluster_formation'`

// mayBegin is the SQL of the queued deployments q that nothing but a slot keeps
// from beginning: not those whose batch is full. A batch is full only if some
// of it run, so what it costs to know the full ones is bounded by the slots.
// finished_at lets the index of the states give them in their order.
const mayBegin = `q.state = 'queued' AND q.finished_at IS NULL AND q.provider <> 'script' AND (q.batch_id IS NULL OR q.batch_id NOT IN
	(SELECT b.id FROM deployments r JOIN deployment_batches b ON b.id = r.batch_id WHERE r.` + runs + ` GROUP BY b.id, b.max_parallel HAVING COUNT(*) >= b.max_parallel))`

// aheadMost is how far the queue is counted: nobody who is further back is
// interested in more, and counting ten thousand for each of ten thousand is
// what a queue must not do.
const aheadMost = 1000

// queueFacts is what admission is decided from.
type queueFacts struct {
	running   int // deployments that run, of all
	ahead     int // queued ones that were accepted before, and may begin: not those whose batch is full; aheadMost at the most
	inBatch   int // those of its batch that run
	parallel  int // how many of its batch may
	batchFull bool
	stopped   bool // the batch has had as many failures as it may
	failed    int
}

// slots is how many deployments may run at once.
func (e *Engine) slots() int { return int(e.most.Load()) }

// placeInQueue is the SQL of how many run, and how many wait before deployment
// $1.
func placeInQueue() string {
	return fmt.Sprintf(`SELECT (SELECT COUNT(*) FROM deployments WHERE `+holdsSlot+`),
		(SELECT COUNT(*) FROM (SELECT 1 FROM deployments q WHERE `+mayBegin+` AND q.id < $1 LIMIT %d) AS ahead)`, aheadMost)
}

// firstOfQueue is the SQL of the pending phases, $1, of n that may begin, after
// the first few.
func firstOfQueue(after, n int) string {
	return fmt.Sprintf(`SELECT q.id, r.attempt, r.phase, r.tries FROM deployments q JOIN phase_runs r ON r.deployment_id = q.id AND r.finished_at IS NULL
		WHERE r.phase = $1 AND `+mayBegin+` ORDER BY q.id LIMIT %d OFFSET %d`, n, after)
}

func (e *Engine) queue(ctx context.Context, tx *sql.Tx, s *step) (queueFacts, error) {
	var q queueFacts
	if e.store.Dialect == store.PostgreSQL {
		if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, slotsLock); err != nil {
			return q, fmt.Errorf("workflow: locking the slots: %w", err)
		}
	}
	err := tx.QueryRowContext(ctx, placeInQueue(), s.DeploymentID).Scan(&q.running, &q.ahead)
	if err != nil {
		return q, fmt.Errorf("workflow: counting slots: %w", err)
	}
	if !s.batchID.Valid {
		return q, nil
	}
	var stop sql.NullInt64
	err = tx.QueryRowContext(ctx, `SELECT b.max_parallel, b.stop_on_failure_count,
		(SELECT COUNT(*) FROM deployments d WHERE d.batch_id = b.id AND d.`+runs+`),
		(SELECT COUNT(*) FROM deployments d WHERE d.batch_id = b.id AND d.state = 'failed' AND d.failure_code <> 'batch_stopped')
		FROM deployment_batches b WHERE b.id = $1`, s.batchID.Int64).Scan(&q.parallel, &stop, &q.inBatch, &q.failed)
	if err != nil {
		return q, fmt.Errorf("workflow: counting the batch: %w", err)
	}
	q.batchFull = q.inBatch >= q.parallel
	if q.stopped = stop.Valid && q.failed >= int(stop.Int64); q.stopped {
		e.lookSoon() // it will take no slot: the next ones are to hear of theirs, or that they are stopped too
	}
	return q, nil
}

// patience is when one that waits looks again by itself. Whoever gives a slot
// back wakes the first of the queue; this is for what it shows of its place,
// and for when the wake comes to nothing. It grows with the place, so that each
// looks a few times on its way to the front, however long the queue is.
func (q queueFacts) patience() time.Duration {
	if q.ahead >= aheadMost {
		return 10 * time.Minute
	}
	return 5*time.Second + time.Duration(q.ahead)*250*time.Millisecond
}

// roughly counts in steps far back, so that a queue that moves on by one is not
// a change of every node in it.
func roughly(n int) string {
	switch {
	case n < 20:
		return fmt.Sprint(n)
	case n < 200:
		return fmt.Sprintf("about %d", n/10*10)
	case n < aheadMost:
		return fmt.Sprintf("about %d", n/100*100)
	}
	return fmt.Sprintf("more than %d", aheadMost)
}

// Freed lets as many of the queue look at once whether a slot is free as gave
// theirs back: not the very first where others gave back theirs before, for
// whom those were woken.
func (e *Engine) Freed(ctx context.Context, tx *sql.Tx, n int) error {
	var running int
	if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM deployments WHERE `+holdsSlot).Scan(&running); err != nil {
		return fmt.Errorf("workflow: counting slots: %w", err)
	}
	return e.wake(ctx, tx, max(0, e.slots()-running-n), n)
}

// wake lets n of the queue, after the first few, look at once.
func (e *Engine) wake(ctx context.Context, tx *sql.Tx, after, n int) error {
	first, err := e.first(ctx, tx, after, n)
	if err != nil {
		return fmt.Errorf("workflow: looking for the first of the queue: %w", err)
	}
	for _, step := range first {
		// A step is unique, so this finds the one that is there, by an index;
		// by its arguments the database would read all steps that ever were.
		found, err := e.client.InsertTx(ctx, tx, step, nil)
		switch {
		case err != nil:
			return fmt.Errorf("workflow: finding a step of the queue: %w", err)
		case found.Job.State == rivertype.JobStateRunning:
			e.lookSoon() // it may have looked before this slot was free
			continue
		case found.UniqueSkippedAsDuplicate: // else it was lost, and is made now
			if _, err := e.client.JobRetryTx(ctx, tx, found.Job.ID); err != nil {
				return fmt.Errorf("workflow: waking the queue: %w", err)
			}
		}
		// Whoever may begin comes before those that only want to know their place.
		if _, err := tx.ExecContext(ctx, `UPDATE river_job SET priority = 1 WHERE id = $1 AND priority <> 1`, found.Job.ID); err != nil {
			return fmt.Errorf("workflow: waking the queue: %w", err)
		}
	}
	return nil
}

// first are the steps of n that may begin, after the first few.
func (e *Engine) first(ctx context.Context, tx *sql.Tx, after, n int) (out []stepArgs, err error) {
	rows, err := tx.QueryContext(ctx, firstOfQueue(after, n), phase.Pending)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var a stepArgs
		if err := rows.Scan(&a.DeploymentID, &a.Attempt, &a.Phase, &a.Tries); err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, errors.Join(rows.Err(), rows.Close())
}

// Looks at the queue that are still to come after something asked for them.
const (
	looksAfter = 8
	looksEvery = 250 * time.Millisecond
)

// lookSoon asks for looks at the queue. There are several, for the transaction
// that asks may not have been committed at the first of them.
func (e *Engine) lookSoon() { e.looks.Store(looksAfter) }

// look fills free slots if somebody asked for it.
func (e *Engine) look(ctx context.Context) error {
	if e.looks.Load() <= 0 {
		return nil
	}
	e.looks.Add(-1)
	return e.fill(ctx)
}

// fill wakes as many of the queue as there are free slots. It is for slots that
// nobody gives back, since there are more than before the last restart, and for
// wakes that met a step at work.
func (e *Engine) fill(ctx context.Context) error {
	var running int
	var waiting bool
	err := e.store.Read.QueryRowContext(ctx, `SELECT (SELECT COUNT(*) FROM deployments WHERE `+holdsSlot+`), EXISTS (SELECT 1 FROM deployments WHERE state = 'queued' AND finished_at IS NULL AND provider <> 'script')`).Scan(&running, &waiting)
	if err != nil {
		return fmt.Errorf("workflow: looking at the queue: %w", err)
	}
	free := e.slots() - running
	if free <= 0 || !waiting {
		return nil
	}
	return e.store.InTx(ctx, func(tx *sql.Tx) error { return e.wake(ctx, tx, 0, free) })
}
