package retention

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store"
)

// Options are the policy; with a zero Keep nothing is ever removed.
type Options struct {
	// Keep is how long events of deployments that have ended stay; 0 = for ever.
	Keep time.Duration
	// ArchiveDir is where they go then. It is made if it does not exist.
	ArchiveDir string
	// Drop removes them without a trace; not together with ArchiveDir. Without
	// either nothing is removed.
	Drop bool
	// Every is the pause between passes. Default 10 minutes.
	Every time.Duration
	// Rows is the most events of one file and one transaction. Default 10,000.
	Rows   int
	Now    func() time.Time // nil = time.Now
	Logger *slog.Logger
}

// Keeper applies the policy. One of all replicas works at a time.
type Keeper struct {
	store *store.Store
	opts  Options
	mu    sync.Mutex // one pass at a time in this process

	archived, dropped, failures atomic.Int64

	// reached is told each step before it is taken; an error ends the pass
	// there, as a crash would. Tests set it.
	reached func(step string) error
}

// New checks the policy and makes a Keeper.
func New(st *store.Store, opts Options) (*Keeper, error) {
	switch {
	case opts.Keep < 0:
		return nil, errors.New("retention: events cannot be kept for a negative time")
	case opts.Drop && opts.ArchiveDir != "":
		return nil, errors.New("retention: old events are either archived or dropped, not both")
	}
	if opts.Every == 0 {
		opts.Every = 10 * time.Minute
	}
	if opts.Rows == 0 {
		opts.Rows = 10_000
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	if opts.ArchiveDir != "" {
		if err := os.MkdirAll(opts.ArchiveDir, 0o750); err != nil {
			return nil, fmt.Errorf("retention: the archive: %w", err)
		}
	}
	return &Keeper{store: st, opts: opts, reached: func(string) error { return nil }}, nil
}

// Active reports whether the policy ever removes anything.
func (k *Keeper) Active() bool { return k.opts.Keep > 0 && (k.opts.Drop || k.opts.ArchiveDir != "") }

// Archived, Dropped and Failures count what this process did since its start:
// events moved to files, events removed without, and passes that failed.
func (k *Keeper) Archived() int64 { return k.archived.Load() }

// Dropped is the number of events removed without being archived.
func (k *Keeper) Dropped() int64 { return k.dropped.Load() }

// Failures is the number of passes that failed.
func (k *Keeper) Failures() int64 { return k.failures.Load() }

// Run makes a pass now and then until ctx ends. What fails is logged, counted
// and repeated.
func (k *Keeper) Run(ctx context.Context) error {
	switch {
	case k.opts.Keep == 0:
		return nil
	case !k.Active():
		k.opts.Logger.Info("old events are kept: neither an archive nor dropping them is set", "keep", k.opts.Keep)
		return nil
	}
	tick := time.NewTicker(k.opts.Every)
	defer tick.Stop()
	for {
		if _, err := k.Pass(ctx); err != nil && ctx.Err() == nil {
			k.failures.Add(1)
			k.opts.Logger.Error("old events were not removed; it will be tried again", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Result is what a pass did.
type Result struct {
	Archived, Dropped int
	Clusters          int // that are gone, and were removed
	// Busy: another replica is at it.
	Busy bool
}

// Pass finishes what an earlier pass has begun, then removes all that is old.
func (k *Keeper) Pass(ctx context.Context) (res Result, err error) {
	if !k.Active() {
		return res, nil
	}
	alone, err := k.alone(ctx, func() error {
		res, err = k.pass(ctx)
		return err
	})
	res.Busy = !alone
	if n := res.Archived + res.Dropped + res.Clusters; n > 0 {
		k.archived.Add(int64(res.Archived))
		k.dropped.Add(int64(res.Dropped))
		k.opts.Logger.Info("old events were removed", "archived", res.Archived, "dropped", res.Dropped, "clusters", res.Clusters, "older_than", k.opts.Keep, "archive", k.opts.ArchiveDir)
	}
	return res, err
}

// passLock is the PostgreSQL advisory lock of a pass. The database frees it
// when the connection ends, however that comes.
const passLock = 0x736c7264 // "slrd"

// alone runs do unless another pass is under way here or in another replica.
func (k *Keeper) alone(ctx context.Context, do func() error) (bool, error) {
	if !k.mu.TryLock() {
		return false, nil
	}
	defer k.mu.Unlock()
	if k.store.Dialect == store.SQLite { // one process owns the file
		return true, do()
	}
	conn, err := k.store.Write.Conn(ctx)
	if err != nil {
		return false, fmt.Errorf("retention: a connection for the lock: %w", err)
	}
	defer conn.Close()
	var got bool
	if err := conn.QueryRowContext(ctx, `SELECT pg_try_advisory_lock($1)`, passLock).Scan(&got); err != nil || !got {
		return false, wrap(err, "taking the lock")
	}
	defer func() {
		free, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if _, err := conn.ExecContext(free, `SELECT pg_advisory_unlock($1)`, passLock); err != nil {
			// The pool must not keep a connection that holds the lock.
			_ = conn.Raw(func(any) error { return driver.ErrBadConn })
		}
	}()
	return true, do()
}

func wrap(err error, what string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("retention: %s: %w", what, err)
}

func (k *Keeper) now() time.Time { return k.opts.Now().UTC().Truncate(time.Microsecond) }

func (k *Keeper) pass(ctx context.Context) (res Result, err error) {
	cutoff := k.now().Add(-k.opts.Keep)
	if res.Archived, err = k.resume(ctx); err != nil {
		return res, err
	}
	var upTo sql.NullInt64
	err = k.store.Read.QueryRowContext(ctx, `SELECT MAX(position) FROM deployment_history WHERE recorded_at < $1`, cutoff).Scan(&upTo)
	if err != nil {
		return res, wrap(err, "looking for old events")
	}
	for after := int64(0); upTo.Valid; {
		begun := time.Now()
		c, err := k.plan(ctx, after, upTo.Int64, cutoff)
		if err != nil {
			return res, err
		}
		if c == nil {
			break
		}
		if k.opts.Drop {
			n, err := k.drop(ctx, *c)
			if res.Dropped += n; err != nil {
				return res, err
			}
		} else {
			n, err := k.archive(ctx, *c)
			if res.Archived += n; err != nil {
				return res, err
			}
		}
		after = c.Last
		// Half of the time belongs to those who report.
		select {
		case <-ctx.Done():
			return res, ctx.Err()
		case <-time.After(time.Since(begun)):
		}
	}
	if res.Clusters, err = k.clusters(ctx, cutoff); err != nil {
		return res, err
	}
	return res, k.forgetTombstones(ctx, cutoff)
}

// chunk is a range of positions whose old events of ended deployments are
// removed together. As JSON it is the intent.
type chunk struct {
	File   string    `json:"file"`
	First  int64     `json:"first"`
	Last   int64     `json:"last"`
	Cutoff time.Time `json:"cutoff"`
	Owner  string    `json:"owner"` // of the pass that works on it
}

// over is the SQL of "this deployment has ended".
var over = func() string {
	var active []string
	for _, s := range phase.States() {
		if phase.Active(s) {
			active = append(active, "'"+s+"'")
		}
	}
	return "d.state NOT IN (" + strings.Join(active, ", ") + ")"
}()

const old = ` FROM deployment_history h JOIN deployments d ON d.id = h.deployment_id WHERE h.position >= $1 AND h.position <= $2 AND h.recorded_at < $3 AND `

// plan chooses the next chunk: events of one day (UTC), at most Options.Rows;
// nil = there are none.
func (k *Keeper) plan(ctx context.Context, after, upTo int64, cutoff time.Time) (*chunk, error) {
	rows, err := k.store.Read.QueryContext(ctx, `SELECT h.position, h.recorded_at`+old+over+fmt.Sprintf(` ORDER BY h.position LIMIT %d`, k.opts.Rows), after+1, upTo, cutoff)
	if err != nil {
		return nil, wrap(err, "planning")
	}
	defer rows.Close()
	var c *chunk
	var day string
	for rows.Next() {
		var position int64
		var at time.Time
		if err := rows.Scan(&position, &at); err != nil {
			return nil, wrap(err, "planning")
		}
		d := at.UTC().Format(time.DateOnly)
		if c == nil {
			c, day = &chunk{First: position, Cutoff: cutoff}, d
		}
		if d != day {
			break
		}
		c.Last = position
	}
	if err := rows.Err(); err != nil || c == nil {
		return nil, wrap(err, "planning")
	}
	c.File = day
	return c, nil
}

// drop removes a chunk without a trace.
func (k *Keeper) drop(ctx context.Context, c chunk) (int, error) {
	rows, err := k.store.Read.QueryContext(ctx, `SELECT h.position, h.deployment_id`+old+over+` ORDER BY h.position`, c.First, c.Last, c.Cutoff)
	if err != nil {
		return 0, wrap(err, "reading old events")
	}
	defer rows.Close()
	var content content
	for rows.Next() {
		var position, deployment int64
		if err := rows.Scan(&position, &deployment); err != nil {
			return 0, wrap(err, "reading old events")
		}
		content.add(position, deployment)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return 0, wrap(err, "reading old events")
	}
	return len(content.positions), k.remove(ctx, content, "")
}

// forgetTombstones removes what only a cursor below the floor would ask for,
// after the floor has moved past the old ones.
func (k *Keeper) forgetTombstones(ctx context.Context, cutoff time.Time) error {
	return k.store.InTx(ctx, func(tx *sql.Tx) error {
		var newest sql.NullInt64
		err := tx.QueryRowContext(ctx, `SELECT MAX(changed_position) FROM node_tombstones WHERE removed_at < $1`, cutoff).Scan(&newest)
		if err != nil {
			return wrap(err, "looking for old tombstones")
		}
		floor, err := k.raise(ctx, tx, newest.Int64)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM node_tombstones WHERE changed_position <= $1`, floor)
		return wrap(err, "removing old tombstones")
	})
}
