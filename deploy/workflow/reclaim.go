package workflow

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/slipwayhq/slipway/deploy/store"
)

// lostAfter is how many looks in a row must find a job marked as running here
// that nobody works on. One may fall between the job's being taken and its
// beginning, or between its end and the note of it.
const lostAfter = 3

// desk knows which jobs this process works on.
type desk struct {
	mu   sync.Mutex
	busy map[int64]bool
	// lost are jobs that the database has as running here and that nobody works
	// on, with the attempt and how often in a row they were found so.
	lost map[int64]sighting
}

type sighting struct{ attempt, looks int }

// begin notes that a job is worked on, until its end is called.
func (d *desk) begin(id int64) (end func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.busy == nil {
		d.busy = map[int64]bool{}
	}
	d.busy[id] = true
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.busy, id)
	}
}

// missing takes in what the database has as running here (attempts by job) and
// gives the jobs that are lost by now.
func (d *desk) missing(running map[int64]int) (lost []int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	seen := map[int64]sighting{}
	for id, attempt := range running {
		if d.busy[id] {
			continue
		}
		s := sighting{attempt, 1}
		if before, ok := d.lost[id]; ok && before.attempt == attempt {
			s.looks = before.looks + 1
		}
		if s.looks >= lostAfter {
			lost = append(lost, id)
			continue
		}
		seen[id] = s
	}
	d.lost = seen
	return lost
}

// reclaim hands back jobs that are marked as running here and are not: the
// answer to taking them, or the note of their end, was lost with the database.
// River itself would wait for RescueStuckJobsAfter. Should the note arrive
// after all, nothing is lost: steps can be repeated.
func (e *Engine) reclaim(ctx context.Context) error {
	running, err := e.runningHere(ctx)
	if err != nil {
		return err
	}
	for _, id := range e.desk.missing(running) {
		if err := e.handBack(ctx, "this replica had lost", `id = $1 AND attempt = $2`, id, running[id]); err != nil {
			return err
		}
	}
	return nil
}

// runningHere are the jobs that the database has as running on this replica.
// On SQLite there is no other.
func (e *Engine) runningHere(ctx context.Context) (map[int64]int, error) {
	query, args := `SELECT id, attempt FROM river_job WHERE state = 'running'`, []any(nil)
	if e.store.Dialect == store.PostgreSQL {
		query, args = query+` AND attempted_by[array_upper(attempted_by, 1)] = $1`, []any{e.opts.ReplicaID}
	}
	rows, err := e.store.Read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("workflow: looking for lost jobs: %w", err)
	}
	defer rows.Close()
	out := map[int64]int{}
	for rows.Next() {
		var id int64
		var attempt int
		if err := rows.Scan(&id, &attempt); err != nil {
			return nil, fmt.Errorf("workflow: looking for lost jobs: %w", err)
		}
		out[id] = attempt
	}
	return out, errors.Join(rows.Err(), rows.Close())
}
