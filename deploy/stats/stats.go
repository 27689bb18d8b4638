package stats

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store"
)

// What the rows stand for that are not about one provider and profile.
const (
	AnyProvider = "*"
	AnyProfile  = "*"
)

// Whole is the phase under which the durations of whole deployments are kept:
// from the end of the queue to the final phase.
const Whole = phase.Deployed

// What is looked at.
const (
	// MinSamples is the fewest runs that say anything; with fewer the
	// percentiles are NULL.
	MinSamples = 5
	// Window is how far back runs count.
	Window = 30 * 24 * time.Hour
	// MaxSamples bounds the runs that one row is made from: the newest ones.
	MaxSamples = 2000

	refreshAfter = time.Hour       // rows in which nothing happened lose runs that leave the window
	refreshMost  = 200             // rows of one pass that are only refreshed
	overlap      = 2 * time.Minute // a run is visible later than it finished: its transaction is bounded by this
)

// Options tune a Keeper; zero values are the defaults.
type Options struct {
	// Every is the least time between two passes of all replicas together.
	// Default 1 minute.
	Every  time.Duration
	Now    func() time.Time // nil = time.Now
	Logger *slog.Logger
}

// Keeper computes the statistics. One of all replicas does each pass.
type Keeper struct {
	store *store.Store
	opts  Options
	seen  int64 // stream position at the last pass: without a newer one nothing finished
	full  time.Time
}

// New makes a Keeper.
func New(st *store.Store, opts Options) *Keeper {
	if opts.Every == 0 {
		opts.Every = time.Minute
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	return &Keeper{store: st, opts: opts, seen: -1}
}

// Run computes at once and then as often as the options say, until ctx ends.
// What fails is logged and repeated.
func (k *Keeper) Run(ctx context.Context) error {
	tick := time.NewTicker(k.opts.Every)
	defer tick.Stop()
	for {
		if _, err := k.Tick(ctx); err != nil && ctx.Err() == nil {
			k.opts.Logger.Warn("phase statistics were not computed; they will be tried again", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (k *Keeper) now() time.Time { return k.opts.Now().UTC().Truncate(time.Microsecond) }

// Tick does a pass if something happened since the last one and no other
// replica has taken this turn; rows is how many rows it wrote.
func (k *Keeper) Tick(ctx context.Context) (rows int, err error) {
	var position int64
	if err := k.store.Read.QueryRowContext(ctx, `SELECT position FROM stream_counter WHERE id = 1`).Scan(&position); err != nil {
		return 0, fmt.Errorf("stats: reading the stream's position: %w", err)
	}
	now := k.now()
	if position == k.seen && now.Sub(k.full) < refreshAfter {
		return 0, nil
	}
	mine, err := k.turn(ctx, now)
	if err != nil || !mine {
		return 0, err
	}
	if rows, err = k.Compute(ctx); err == nil {
		k.seen, k.full = position, now
	}
	return rows, err
}

// turn takes the next pass for this replica. The row's time is the last pass
// of any; one from the future was written by a wrong clock.
func (k *Keeper) turn(ctx context.Context, now time.Time) (bool, error) {
	res, err := k.store.Write.ExecContext(ctx, `INSERT INTO settings (id, value, updated_at) VALUES ('phase_stats_turn', '', $1)
		ON CONFLICT (id) DO UPDATE SET updated_at = $1 WHERE settings.updated_at <= $2 OR settings.updated_at > $3`,
		now, now.Add(-k.opts.Every*9/10), now.Add(k.opts.Every))
	if err != nil {
		return false, fmt.Errorf("stats: taking the turn: %w", err)
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

// group is what one row is about.
type group struct{ provider, profile, phase string }

type percentiles struct {
	samples  int
	p50, p95 *int64 // milliseconds
}

// Compute brings every row up to date in which a run finished since the last
// pass, and the oldest others. Its cost is bounded by the number of such rows
// times MaxSamples, each read from an index.
func (k *Keeper) Compute(ctx context.Context) (rows int, err error) {
	now := k.now()
	groups, err := k.touched(ctx, now)
	if err != nil {
		return 0, err
	}
	found := make(map[group]percentiles, len(groups))
	for _, g := range groups {
		if found[g], err = k.percentiles(ctx, g, now); err != nil {
			return 0, err
		}
	}
	if len(groups) == 0 {
		return 0, nil
	}
	return len(groups), k.store.InTx(ctx, func(tx *sql.Tx) error {
		for _, g := range groups {
			p := found[g]
			query, args := `INSERT INTO phase_stats (phase, provider, server_profile, p50_ms, p95_ms, samples, computed_at) VALUES ($1,$2,$3,$4,$5,$6,$7)
				ON CONFLICT (provider, server_profile, phase) DO UPDATE SET p50_ms = $4, p95_ms = $5, samples = $6, computed_at = $7`,
				[]any{g.phase, g.provider, g.profile, p.p50, p.p95, p.samples, now}
			if p.samples == 0 {
				query, args = `DELETE FROM phase_stats WHERE phase = $1 AND provider = $2 AND server_profile = $3`, args[:3]
			}
			if _, err := tx.ExecContext(ctx, query, args...); err != nil {
				return fmt.Errorf("stats: writing %s of %s/%s: %w", g.phase, g.provider, g.profile, err)
			}
		}
		return nil
	})
}

// touched lists the rows to compute, sorted.
func (k *Keeper) touched(ctx context.Context, now time.Time) ([]group, error) {
	var last *time.Time
	if err := k.store.Read.QueryRowContext(ctx, `SELECT MAX(computed_at) FROM phase_stats`).Scan(store.NullTime(&last)); err != nil {
		return nil, fmt.Errorf("stats: reading the last pass: %w", err)
	}
	since := now.Add(-Window)
	if last != nil && last.Add(-overlap).After(since) {
		since = last.Add(-overlap)
	}
	set := map[group]bool{}
	for _, provider := range phase.Providers() {
		for _, key := range keys(provider) {
			profiles, err := texts(ctx, k.store.Read, 1, `SELECT DISTINCT server_profile FROM phase_runs WHERE status = 'success' AND provider = $1 AND phase = $2 AND finished_at > $3`, provider, key, since)
			if err != nil {
				return nil, err
			}
			for _, p := range profiles {
				set[group{provider, p[0], key}] = true
				set[group{provider, AnyProfile, key}] = true
				if key == Whole {
					set[group{AnyProvider, AnyProfile, Whole}] = true
				}
			}
		}
	}
	old, err := texts(ctx, k.store.Read, 3, fmt.Sprintf(`SELECT provider, server_profile, phase FROM phase_stats WHERE computed_at < $1 ORDER BY computed_at, id LIMIT %d`, refreshMost), now.Add(-refreshAfter))
	if err != nil {
		return nil, err
	}
	for _, g := range old {
		set[group{g[0], g[1], g[2]}] = true
	}
	out := make([]group, 0, len(set))
	for g := range set {
		out = append(out, g)
	}
	slices.SortFunc(out, func(a, b group) int {
		return slices.Compare([]string{a.provider, a.profile, a.phase}, []string{b.provider, b.profile, b.phase})
	})
	return out, nil
}

// keys are the phases of a provider that take time, and the whole.
func keys(provider string) []string {
	out := []string{phase.Cleanup, Whole}
	for _, d := range phase.Catalogue(provider) {
		if !d.Terminal {
			out = append(out, d.Key)
		}
	}
	return out
}

func texts(ctx context.Context, db *sql.DB, columns int, query string, args ...any) (out [][]string, err error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("stats: looking for what has finished: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		row, into := make([]string, columns), make([]any, columns)
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, fmt.Errorf("stats: looking for what has finished: %w", err)
		}
		out = append(out, row)
	}
	return out, rows.Err()
}

type sample struct {
	finished time.Time
	took     time.Duration
}

func (k *Keeper) percentiles(ctx context.Context, g group, now time.Time) (percentiles, error) {
	var list []sample
	providers := []string{g.provider}
	if g.provider == AnyProvider {
		providers = phase.Providers()
	}
	for _, p := range providers {
		more, err := k.samples(ctx, group{p, g.profile, g.phase}, now)
		if err != nil {
			return percentiles{}, err
		}
		list = append(list, more...)
	}
	if len(list) > MaxSamples {
		slices.SortFunc(list, func(a, b sample) int { return b.finished.Compare(a.finished) })
		list = list[:MaxSamples]
	}
	took := make([]time.Duration, len(list))
	for i, s := range list {
		took[i] = s.took
	}
	out := percentiles{samples: len(took)}
	if len(took) >= MinSamples {
		p50, p95 := Percentile(took, 50).Milliseconds(), Percentile(took, 95).Milliseconds()
		out.p50, out.p95 = &p50, &p95
	}
	return out, nil
}

// samples reads the newest succeeded runs of a group, without the time that
// their clocks stood.
func (k *Keeper) samples(ctx context.Context, g group, now time.Time) (out []sample, err error) {
	what := `r.entered_at, r.finished_at, r.stopped_ms FROM phase_runs r`
	if g.phase == Whole {
		// In the queue no clock of the deployment itself runs. What was deployed
		// before, and went on for a cluster, says nothing of a whole deployment.
		what = `d.started_at, r.finished_at, (SELECT COALESCE(SUM(x.stopped_ms), 0) FROM phase_runs x WHERE x.deployment_id = d.id AND x.phase <> 'pending')
			FROM phase_runs r JOIN deployments d ON d.id = r.deployment_id AND d.started_at IS NOT NULL
				AND NOT EXISTS (SELECT 1 FROM phase_runs e WHERE e.deployment_id = d.id AND e.phase = r.phase AND e.attempt < r.attempt)`
	}
	where, args := ``, []any{g.provider, g.phase, now.Add(-Window)}
	if g.profile != AnyProfile {
		where, args = ` AND r.server_profile = $4`, append(args, g.profile)
	}
	rows, err := k.store.Read.QueryContext(ctx, `SELECT `+what+` WHERE r.status = 'success' AND r.provider = $1 AND r.phase = $2 AND r.finished_at > $3`+where+
		fmt.Sprintf(` ORDER BY r.finished_at DESC LIMIT %d`, MaxSamples), args...)
	if err != nil {
		return nil, fmt.Errorf("stats: reading runs of %s: %w", g.phase, err)
	}
	defer rows.Close()
	for rows.Next() {
		var from time.Time
		var s sample
		var stopped int64
		if err := rows.Scan(&from, &s.finished, &stopped); err != nil {
			return nil, fmt.Errorf("stats: reading runs of %s: %w", g.phase, err)
		}
		s.took = max(s.finished.Sub(from)-time.Duration(stopped)*time.Millisecond, 0)
		out = append(out, s)
	}
	return out, errors.Join(rows.Err(), rows.Close())
}

// Percentile gives the p-th percentile by nearest rank, 0 of an empty list; it
// sorts its argument.
func Percentile(list []time.Duration, p int) time.Duration {
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	rank := (p*len(list) + 99) / 100
	return list[max(rank, 1)-1]
}
