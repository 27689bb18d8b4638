package workflow

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/slipwayhq/slipway/deploy/store"
)

// now is the clock that replicas compare heartbeats by: PostgreSQL's own, for
// hosts may disagree; on SQLite there is one process only.
func (e *Engine) nowSQL() string {
	if e.store.Dialect == store.PostgreSQL {
		return "now()"
	}
	return "strftime('%Y-%m-%d %H:%M:%f', 'now') || '+00:00'"
}

// arrive says that this replica is there, takes over jobs that nobody works
// on any more, and notes how long no replica was there, in the transaction of
// its first heartbeat: killed right after it, the machines are still owed that
// time. Of several that arrive at once, one only sees the downtime.
func (e *Engine) arrive(ctx context.Context) error {
	var now time.Time
	var last *time.Time
	err := e.store.InTx(ctx, func(tx *sql.Tx) error {
		if e.store.Dialect == store.PostgreSQL {
			if _, err := tx.ExecContext(ctx, `LOCK TABLE replicas IN SHARE ROW EXCLUSIVE MODE`); err != nil {
				return err
			}
		}
		err := tx.QueryRowContext(ctx, `SELECT `+e.nowSQL()+`, MAX(heartbeat_at) FROM replicas`).Scan(store.Time(&now), store.NullTime(&last))
		if err != nil {
			return err
		}
		if e.store.Dialect == store.SQLite {
			// One process owns the file: the others are dead.
			if _, err := tx.ExecContext(ctx, `DELETE FROM replicas`); err != nil {
				return err
			}
		}
		if last != nil && now.Sub(*last) > e.opts.SilentAfter {
			// A debt that is still open stands: it began before this one.
			_, err = tx.ExecContext(ctx, `INSERT INTO settings (id, value, updated_at) VALUES ($1, $2, `+e.nowSQL()+`) ON CONFLICT (id) DO NOTHING`,
				owedID, strconv.FormatInt(now.Sub(*last).Milliseconds(), 10))
			if err != nil {
				return err
			}
		}
		_, err = tx.ExecContext(ctx, e.heartbeatSQL(), e.opts.ReplicaID, hostname())
		return err
	})
	if err != nil {
		return fmt.Errorf("workflow: arriving among the replicas: %w", err)
	}
	if e.store.Dialect == store.SQLite {
		// What runs now was left by a dead process.
		if err := e.handBack(ctx, "a dead process", `1 = 1`); err != nil {
			return err
		}
		if _, err := e.store.Write.ExecContext(ctx, `DELETE FROM river_leader`); err != nil {
			return fmt.Errorf("workflow: forgetting a dead leader: %w", err)
		}
		return nil
	}
	// What runs under this name was left by its former life.
	return e.inherit(ctx, e.opts.ReplicaID)
}

// owedID is the setting that says how long all of Slipway was away, in
// milliseconds, until the machines' deadlines have been moved by it.
const owedID = "downtime_owed"

// owed tells what is still to be given, and for how long nobody has.
func (e *Engine) owed(ctx context.Context) (downtime, waiting time.Duration, err error) {
	var text string
	var since, now time.Time
	err = e.store.Read.QueryRowContext(ctx, `SELECT value, updated_at, `+e.nowSQL()+` FROM settings WHERE id = $1`, owedID).Scan(&text, store.Time(&since), store.Time(&now))
	if errors.Is(err, sql.ErrNoRows) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, fmt.Errorf("workflow: reading the downtime owed: %w", err)
	}
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, 0, fmt.Errorf("workflow: reading the downtime owed: %w", err)
	}
	return time.Duration(ms) * time.Millisecond, now.Sub(since), nil
}

// repay gives machines the time that all of Slipway was away. The replica
// that arrived first does it at once; another steps in when it has not been
// done for a while. Interrupted, it is done again: a machine may get more time
// than it is owed, never less.
func (e *Engine) repay(ctx context.Context, arriving bool) error {
	downtime, waiting, err := e.owed(ctx)
	if err != nil || downtime == 0 || !arriving && waiting < 2*e.opts.SilentAfter {
		return err
	}
	e.opts.Logger.Info("deadlines of machines are extended by our downtime", "downtime", downtime.Round(time.Second))
	if err := e.writer.Recover(ctx, downtime, e.opts.ReportGrace); err != nil {
		return err
	}
	if _, err := e.store.Write.ExecContext(ctx, `DELETE FROM settings WHERE id = $1`, owedID); err != nil {
		return fmt.Errorf("workflow: settling the downtime owed: %w", err)
	}
	return nil
}

func (e *Engine) heartbeatSQL() string {
	now := e.nowSQL()
	return `INSERT INTO replicas (id, host, started_at, heartbeat_at) VALUES ($1, $2, ` + now + `, ` + now + `)
		ON CONFLICT (id) DO UPDATE SET heartbeat_at = ` + now
}

// inherit takes from a replica that is gone (PostgreSQL) the jobs it was the
// last to take, and River's leadership: without a leader nobody wakes what was
// put off for longer, until the dead one's term is over.
func (e *Engine) inherit(ctx context.Context, id string) error {
	if err := e.handBack(ctx, "a replica that is gone", `attempted_by[array_upper(attempted_by, 1)] = $1`, id); err != nil {
		return err
	}
	if _, err := e.store.Write.ExecContext(ctx, `DELETE FROM river_leader WHERE leader_id = $1`, id); err != nil {
		return fmt.Errorf("workflow: forgetting a dead leader: %w", err)
	}
	return nil
}

// beat renews this replica's heartbeat and hands back jobs that nobody works
// on: its own that were lost, and those of silent replicas.
func (e *Engine) beat(ctx context.Context) error {
	if _, err := e.store.Write.ExecContext(ctx, e.heartbeatSQL(), e.opts.ReplicaID, hostname()); err != nil {
		return fmt.Errorf("workflow: renewing the heartbeat: %w", err)
	}
	if err := e.reclaim(ctx); err != nil {
		return err
	}
	if e.store.Dialect == store.SQLite {
		return nil
	}
	silent, err := e.silent(ctx)
	if err != nil {
		return err
	}
	for _, id := range silent {
		if err := e.inherit(ctx, id); err != nil {
			return err
		}
		if _, err := e.store.Write.ExecContext(ctx, `DELETE FROM replicas WHERE id = $1`, id); err != nil {
			return fmt.Errorf("workflow: forgetting a silent replica: %w", err)
		}
	}
	return nil
}

func (e *Engine) silent(ctx context.Context) ([]string, error) {
	rows, err := e.store.Read.QueryContext(ctx, `SELECT id FROM replicas WHERE id <> $1 AND heartbeat_at < now() - $2 * interval '1 millisecond'`,
		e.opts.ReplicaID, e.opts.SilentAfter.Milliseconds())
	if err != nil {
		return nil, fmt.Errorf("workflow: looking for silent replicas: %w", err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("workflow: looking for silent replicas: %w", err)
		}
		out = append(out, id)
	}
	return out, errors.Join(rows.Err(), rows.Close())
}

// handBack makes running jobs available again; whose says in the log who had
// them. River's own rescue waits much longer, since it cannot know that a
// worker is dead.
func (e *Engine) handBack(ctx context.Context, whose, where string, args ...any) error {
	res, err := e.store.Write.ExecContext(ctx, `UPDATE river_job SET state = 'available' WHERE state = 'running' AND `+where, args...)
	if err != nil {
		return fmt.Errorf("workflow: handing back jobs: %w", err)
	}
	if n, err := res.RowsAffected(); err == nil && n > 0 {
		e.opts.Logger.Info("jobs were handed back", "had_by", whose, "jobs", n)
	}
	return nil
}
