package lifecycle

import (
	"context"
	"fmt"
	"time"

	"github.com/slipwayhq/slipway/deploy/phase"
)

// pace is what a running deployment is measured by: how long 95 in 100 took.
type pace struct {
	phase        string         // the open one
	limit, whole *time.Duration // of it, and of the whole deployment; nil = not known
	stood        time.Duration  // how long its clock stood in phases that are over
}

// late reports whether a running deployment is beyond its pace at a time.
func (p pace) late(entered time.Time, started *time.Time, stood time.Duration, at time.Time) bool {
	if p.limit != nil && at.Sub(entered)-stood > *p.limit {
		return true
	}
	return p.whole != nil && started != nil && at.Sub(*started)-p.stood-stood > *p.whole
}

// sweepLate marks running deployments that became late, and those that are no
// longer: they went on, or the measure has changed.
func (w *Writer) sweepLate(ctx context.Context) error {
	paces, flipped, err := w.paces(ctx)
	if err != nil {
		return fmt.Errorf("lifecycle: looking for late deployments: %w", err)
	}
	return w.fulfil(ctx, duty{what: "late deployments", where: ` WHERE d.state = 'running'`, act: func(tx *Tx, id int64) error {
		return tx.markLate(id, paces[id])
	}}, flipped)
}

// openPaces is the SQL of the running deployments that can be late. It begins
// with what runs; the node is found by its key, or SQLite would read all of them.
// One that was deployed before, and goes on for a cluster, has no whole duration.
const openPaces = `SELECT d.id, d.started_at, EXISTS (SELECT 1 FROM phase_runs e WHERE e.deployment_id = d.id AND e.phase = $1), r.phase, r.entered_at, r.stopped_ms, r.clock_stopped_at, n.late, p.p95_ms, s.p95_ms,
			(SELECT COALESCE(SUM(x.stopped_ms), 0) FROM phase_runs x WHERE x.deployment_id = d.id AND x.finished_at IS NOT NULL AND x.phase <> 'pending')
		FROM phase_runs r JOIN deployments d ON d.id = r.deployment_id JOIN nodes n ON n.id = d.node_id AND n.current_deployment_id = d.id
		LEFT JOIN phase_stats p ON p.provider = r.provider AND p.server_profile = r.server_profile AND p.phase = r.phase
		LEFT JOIN phase_stats s ON s.provider = r.provider AND s.server_profile = r.server_profile AND s.phase = $1
		WHERE r.finished_at IS NULL AND d.state = 'running' AND (p.p95_ms IS NOT NULL OR s.p95_ms IS NOT NULL OR n.late = $2)`

// paces reads the running deployments that can be late, and which of them are
// marked wrongly.
func (w *Writer) paces(ctx context.Context) (out map[int64]pace, flipped []int64, err error) {
	rows, err := w.store.Read.QueryContext(ctx, openPaces, phase.Deployed, true)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	out, now := map[int64]pace{}, w.now()
	for rows.Next() {
		var id, stopped int64
		var started *time.Time
		var marked, again bool
		var p pace
		var run runRow
		var limit, whole *int64
		err := rows.Scan(&id, &started, &again, &p.phase, &run.entered, &run.stoppedMS, &run.stoppedAt, &marked, &limit, &whole, &stopped)
		if err != nil {
			return nil, nil, err
		}
		p.limit, p.stood = milliseconds(limit), time.Duration(stopped)*time.Millisecond
		if !again {
			p.whole = milliseconds(whole)
		}
		want := run.stoppedAt == nil && p.late(run.entered, started, run.stood(now), now)
		if want != marked && len(flipped) < sweepLimit {
			out[id] = p
			flipped = append(flipped, id)
		}
	}
	return out, flipped, rows.Err()
}

func milliseconds(ms *int64) *time.Duration {
	if ms == nil {
		return nil
	}
	d := time.Duration(*ms) * time.Millisecond
	return &d
}

// markLate decides again, under the lock, whether a deployment is late.
func (tx *Tx) markLate(id int64, p pace) error {
	d, n, err := tx.deployment(id)
	if err != nil || d.open == nil || d.state != phase.Running || d.open.phase != p.phase || !n.current.Valid || n.current.Int64 != id {
		return err // it went on meanwhile: the next sweep looks again
	}
	late := d.open.stoppedAt == nil && p.late(d.open.entered, d.started, d.open.stood(tx.at), tx.at)
	if n.late != late {
		n.late, n.dirty = late, true
	}
	return nil
}
