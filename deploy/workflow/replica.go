package workflow

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
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
// on any more, and tells how long no replica was there. Of several that arrive
// at once, one only sees the downtime.
func (e *Engine) arrive(ctx context.Context) (downtime time.Duration, err error) {
	var now time.Time
	var last *time.Time
	err = e.store.InTx(ctx, func(tx *sql.Tx) error {
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
		_, err = tx.ExecContext(ctx, e.heartbeatSQL(), e.opts.ReplicaID, hostname())
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("workflow: arriving among the replicas: %w", err)
	}
	if last != nil {
		downtime = max(now.Sub(*last), 0)
	}
	if e.store.Dialect == store.SQLite {
		// What runs now was left by a dead process.
		if err := e.handBack(ctx, `1 = 1`); err != nil {
			return 0, err
		}
		if _, err := e.store.Write.ExecContext(ctx, `DELETE FROM river_leader`); err != nil {
			return 0, fmt.Errorf("workflow: forgetting a dead leader: %w", err)
		}
		return downtime, nil
	}
	// What runs under this name was left by its former life.
	return downtime, e.inherit(ctx, e.opts.ReplicaID)
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
	if err := e.handBack(ctx, `attempted_by[array_upper(attempted_by, 1)] = $1`, id); err != nil {
		return err
	}
	if _, err := e.store.Write.ExecContext(ctx, `DELETE FROM river_leader WHERE leader_id = $1`, id); err != nil {
		return fmt.Errorf("workflow: forgetting a dead leader: %w", err)
	}
	return nil
}

// beat renews this replica's heartbeat and hands back the jobs of silent ones.
func (e *Engine) beat(ctx context.Context) error {
	if _, err := e.store.Write.ExecContext(ctx, e.heartbeatSQL(), e.opts.ReplicaID, hostname()); err != nil {
		return fmt.Errorf("workflow: renewing the heartbeat: %w", err)
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

// handBack makes running jobs available again. River's own rescue waits much
// longer, since it cannot know that a worker is dead.
func (e *Engine) handBack(ctx context.Context, where string, args ...any) error {
	res, err := e.store.Write.ExecContext(ctx, `UPDATE river_job SET state = 'available' WHERE state = 'running' AND `+where, args...)
	if err != nil {
		return fmt.Errorf("workflow: handing back jobs: %w", err)
	}
	if n, err := res.RowsAffected(); err == nil && n > 0 {
		e.opts.Logger.Info("jobs of a replica that is gone were handed back", "jobs", n)
	}
	return nil
}
