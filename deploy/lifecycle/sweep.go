package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store"
)

// sweepLimit bounds one sweep; the next one goes on.
const sweepLimit = 500

// duty is one thing that a sweep looks for: deployments that from and where
// choose, and what is done to each under its lock.
type duty struct {
	what  string
	where string // SQL after FROM deployments d; its parameters are $1 …
	args  []any
	order string
	act   func(tx *Tx, deploymentID int64) error
}

// Sweep lets passed deadlines act, marks silent machines as stale, and marks
// those that are late. Every replica may sweep: each claims what it works on,
// passes over what another has claimed, and decides again under the
// deployment's lock.
func (w *Writer) Sweep(ctx context.Context) error {
	var errs []error
	for _, d := range w.duties(w.now()) {
		due, err := w.column(ctx, d.choice(), d.args...)
		if err != nil {
			return fmt.Errorf("lifecycle: looking for %s: %w", d.what, err)
		}
		errs = append(errs, w.fulfil(ctx, d, due))
	}
	return errors.Join(append(errs, w.sweepLate(ctx))...)
}

// duties are those of one sweep but for sweepLate, which computes.
func (w *Writer) duties(now time.Time) []duty {
	// The node is found by its key: without n.id SQLite reads all nodes.
	const open = ` JOIN phase_runs r ON r.deployment_id = d.id AND r.finished_at IS NULL JOIN nodes n ON n.id = d.node_id AND n.current_deployment_id = d.id `
	duties := []duty{{
		what:  "passed deadlines",
		where: open + `WHERE r.clock_stopped_at IS NULL AND d.maintenance = $1 AND r.deadline_at <= $2`,
		args:  []any{false, now}, order: "r.deadline_at", act: (*Tx).timeOut,
	}}
	if silent := now.Add(-w.opts.StaleAfter); !w.begun.After(silent) {
		duties = append(duties, duty{
			what: "silent machines",
			where: open + `WHERE d.state = 'running' AND n.stale = $1 AND d.maintenance = $1 AND r.phase IN ` + machinePhases + `
				AND COALESCE(n.last_seen_at, r.entered_at) < $2 AND r.entered_at < $2`,
			args: []any{false, silent}, order: "d.id", act: (*Tx).markStale,
		})
	}
	return duties
}

// choice is the SQL of the deployments that the duty is due for.
func (d duty) choice() string {
	return `SELECT d.id FROM deployments d` + d.where + ` ORDER BY ` + d.order + fmt.Sprintf(` LIMIT %d`, sweepLimit)
}

// fulfil does a duty to deployments, in few transactions. What fails in the
// company of others is tried alone, so that one cannot hold up the rest.
func (w *Writer) fulfil(ctx context.Context, d duty, ids []int64) error {
	var errs []error
	for part := range slices.Chunk(ids, MaxGroup) {
		err := w.claim(ctx, d, part)
		if err == nil || ctx.Err() != nil {
			errs = append(errs, err)
			continue
		}
		w.opts.Logger.Warn("a sweep is redone one by one", "for", d.what, "deployments", len(part), "error", err)
		for _, id := range part {
			if err := w.claim(ctx, d, []int64{id}); err != nil {
				errs = append(errs, fmt.Errorf("deployment %d: %w", id, err))
			}
		}
	}
	return errors.Join(errs...)
}

// claim locks those of the deployments that the duty still chooses and that
// no other replica has in hand, and does it to them.
func (w *Writer) claim(ctx context.Context, d duty, ids []int64) error {
	lock := ""
	if w.store.Dialect == store.PostgreSQL {
		lock = ` FOR UPDATE OF d SKIP LOCKED`
	}
	args := slices.Clone(d.args)
	list := "("
	for i, id := range ids {
		if i > 0 {
			list += ","
		}
		args = append(args, id)
		list += fmt.Sprintf("$%d", len(args))
	}
	query := `SELECT d.id FROM deployments d` + d.where + ` AND d.id IN ` + list + `) ORDER BY d.id` + lock
	return w.Do(ctx, nil, nil, func(tx *Tx) error {
		claimed, err := tx.column("claiming "+d.what, query, args...)
		if err != nil || len(claimed) == 0 {
			return err
		}
		if err := tx.lock([]*item{{deps: claimed}}); err != nil {
			return err
		}
		for _, id := range claimed {
			if err := d.act(tx, id); err != nil {
				return err
			}
		}
		return nil
	})
}

func (tx *Tx) column(what, query string, args ...any) (out []int64, err error) {
	rows, err := tx.sql.QueryContext(tx.ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("lifecycle: %s: %w", what, err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("lifecycle: %s: %w", what, err)
		}
		out = append(out, id)
	}
	return out, rows.Err()
}

// machinePhases is the SQL list of the phases that the machine itself owns.
var machinePhases = func() string {
	var keys []string
	for _, d := range phase.All() {
		if d.Owner == phase.OwnerMachine {
			keys = append(keys, "'"+d.Key+"'")
		}
	}
	return "(" + strings.Join(keys, ", ") + ")"
}()

func (w *Writer) column(ctx context.Context, query string, args ...any) ([]int64, error) {
	rows, err := w.store.Read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		out = append(out, id)
	}
	return out, rows.Err()
}

// markStale shows that the machine of a deployment has fallen silent.
func (tx *Tx) markStale(id int64) error {
	d, n, err := tx.deployment(id)
	if err != nil || n.stale || !n.current.Valid || n.current.Int64 != id {
		return err
	}
	def, _ := phase.Lookup(d.phase)
	if d.open == nil || d.state != phase.Running || def.Owner != phase.OwnerMachine || d.maintenance {
		return nil
	}
	limit := tx.at.Add(-tx.w.opts.StaleAfter)
	if d.open.entered.After(limit) || n.lastSeen != nil && n.lastSeen.After(limit) {
		return nil
	}
	n.stale, n.dirty = true, true
	return nil
}
