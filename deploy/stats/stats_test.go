package stats_test

import (
	"database/sql"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/stats"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
	"github.com/slipwayhq/slipway/ent"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// run is one visit of a phase, as the table has it.
type run struct {
	provider, profile, phase, status string
	finished                         time.Time
	took, stood                      time.Duration
}

// insert writes each run into a deployment of its own.
func insert(t *testing.T, st *store.Store, runs []run) {
	t.Helper()
	ctx := t.Context()
	require.NoError(t, st.InTx(ctx, func(tx *sql.Tx) error {
		c := st.EntTx(tx)
		n := c.Node.Create().SetName(fmt.Sprintf("n-%s-%d", runs[0].phase, time.Now().UnixNano())).SetProvider("rack").SaveX(ctx)
		for i, r := range runs {
			begun := r.finished.Add(-r.took - r.stood)
			d := c.Deployment.Create().SetNodeID(n.ID).SetNumber(i + 1).SetState("succeeded").SetPhase("deployed").SetPhaseStatus("success").SetProvider(r.provider).
				SetConfig([]byte(`{}`)).SetRequestedBy("t").SetRequestedByKind("token").SetStartedAt(begun).SaveX(ctx)
			q := func(key string, stood time.Duration) *ent.PhaseRunCreate {
				return c.PhaseRun.Create().SetDeploymentID(d.ID).SetAttempt(1).SetPhase(key).SetOrdinal(1).SetProvider(r.provider).SetServerProfile(r.profile).
					SetStatus(r.status).SetEnteredAt(begun).SetStoppedMs(stood.Milliseconds())
			}
			if r.phase == stats.Whole { // the final run itself takes no time; what counts is the deployment
				q(phase.Pending, 99*time.Hour).SetFinishedAt(begun).SetStatus("skipped").ExecX(ctx)
				q(phase.Installation, r.stood).SetFinishedAt(r.finished).SetStatus("skipped").ExecX(ctx)
				q(r.phase, 0).SetEnteredAt(r.finished).SetFinishedAt(r.finished).ExecX(ctx)
				continue
			}
			create := q(r.phase, r.stood)
			if r.status != "waiting" {
				create.SetFinishedAt(r.finished)
			}
			create.ExecX(ctx)
		}
		return nil
	}))
}

type row struct {
	p50, p95 *int64
	samples  int
}

func table(t *testing.T, st *store.Store) map[string]row {
	t.Helper()
	rows, err := st.Read.Query(`SELECT provider, server_profile, phase, p50_ms, p95_ms, samples FROM phase_stats`)
	require.NoError(t, err)
	defer rows.Close()
	out := map[string]row{}
	for rows.Next() {
		var provider, profile, key string
		var r row
		require.NoError(t, rows.Scan(&provider, &profile, &key, &r.p50, &r.p95, &r.samples))
		out[provider+"/"+profile+"/"+key] = r
	}
	require.NoError(t, rows.Err())
	return out
}

// want computes the table anew, the slow way.
func want(all []run, now time.Time) map[string]row {
	lists := map[string][]time.Duration{}
	for _, r := range all {
		if r.status != "success" || !r.finished.After(now.Add(-stats.Window)) {
			continue
		}
		keys := []string{r.provider + "/" + r.profile + "/" + r.phase, r.provider + "/*/" + r.phase}
		if r.phase == stats.Whole {
			keys = append(keys, "*/*/"+r.phase)
		}
		for _, k := range keys {
			lists[k] = append(lists[k], r.took)
		}
	}
	out := map[string]row{}
	for k, list := range lists {
		r := row{samples: len(list)}
		if len(list) >= 5 {
			p50, p95 := brute(list, 50).Milliseconds(), brute(list, 95).Milliseconds()
			r.p50, r.p95 = &p50, &p95
		}
		out[k] = r
	}
	return out
}

// brute is the smallest value that at least p in 100 of the list do not exceed.
func brute(list []time.Duration, p int) time.Duration {
	best := time.Duration(1<<63 - 1)
	for _, v := range list {
		n := 0
		for _, w := range list {
			if w <= v {
				n++
			}
		}
		if n*100 >= p*len(list) {
			best = min(best, v)
		}
	}
	return best
}

func TestPercentileAgainstBruteForce(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		list := make([]time.Duration, 1+rnd.IntN(40))
		for i := range list {
			list[i] = time.Duration(rnd.IntN(1 + rnd.IntN(50)))
		}
		for _, p := range []int{1, 50, 95, 99, 100} {
			require.Equal(t, brute(list, p), stats.Percentile(slices.Clone(list), p), "p%d of %v", p, list)
		}
	}
	require.Zero(t, stats.Percentile(nil, 50))
}

func random(rnd *rand.Rand, key string, now time.Time) []run {
	out := make([]run, 1+rnd.IntN(30))
	for i := range out {
		out[i] = run{
			provider: phase.Providers()[rnd.IntN(2)], profile: []string{"", "big", "small"}[rnd.IntN(3)], phase: key,
			status:   []string{"success", "success", "success", "failed", "timed_out"}[rnd.IntN(5)],
			finished: now.Add(-time.Duration(rnd.IntN(35*24)) * time.Hour),
			took:     time.Duration(rnd.IntN(3_600_000)) * time.Millisecond, stood: time.Duration(rnd.IntN(2)*rnd.IntN(60_000)) * time.Millisecond,
		}
	}
	return out
}

// TestTableAgainstBruteForce adds runs of random groups, computes, and compares
// the whole table with what the slow way says.
func TestTableAgainstBruteForce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		rnd := rand.New(rand.NewPCG(7, 7))
		now := noon
		k := stats.New(st, stats.Options{Now: func() time.Time { return now }, Logger: slog.New(slog.DiscardHandler)})
		var all []run
		for round := range 6 {
			var fresh []run
			for _, key := range []string{phase.Installation, phase.MonitoringStart, stats.Whole} {
				more := random(rnd, key, now)
				if round > 0 { // what is added later has finished lately
					for i := range more {
						more[i].finished = now.Add(-time.Duration(rnd.IntN(60)) * time.Second)
					}
				}
				insert(t, st, more)
				fresh = append(fresh, more...)
			}
			all = append(all, fresh...)
			_, err := k.Compute(t.Context())
			require.NoError(t, err)
			require.Equal(t, want(all, now), table(t, st), "round %d", round)
			now = now.Add(time.Minute)
		}
		// Nothing happens for a month: the runs leave the window, and then the rows.
		for range 30 {
			now = now.Add(26 * time.Hour)
			_, err := k.Compute(t.Context())
			require.NoError(t, err)
			require.Equal(t, want(all, now), table(t, st))
		}
		require.Empty(t, table(t, st))
	})
}

func TestFewSamplesSayNothing(t *testing.T) {
	st := storetest.SQLite(t)
	k := stats.New(st, stats.Options{Now: func() time.Time { return noon }})
	runs := make([]run, 4)
	for i := range runs {
		runs[i] = run{"rack", "p", phase.Installation, "success", noon.Add(-time.Hour), time.Minute, 0}
	}
	insert(t, st, runs)
	_, err := k.Compute(t.Context())
	require.NoError(t, err)
	require.Equal(t, row{samples: 4}, table(t, st)["rack/p/installation"])
	insert(t, st, runs[:1])
	_, err = k.Compute(t.Context())
	require.NoError(t, err)
	require.Equal(t, 4, table(t, st)["rack/p/installation"].samples, "it finished before the last pass looked: not what happens, for a run finishes now")
}

func TestOnlyTheNewestCount(t *testing.T) {
	st := storetest.SQLite(t)
	k := stats.New(st, stats.Options{Now: func() time.Time { return noon }})
	runs := make([]run, stats.MaxSamples+500)
	for i := range runs {
		runs[i] = run{"rack", "p", phase.Installation, "success", noon.Add(-time.Duration(i) * time.Second), time.Minute, 0}
		if i >= stats.MaxSamples {
			runs[i].took = time.Hour
		}
	}
	insert(t, st, runs)
	_, err := k.Compute(t.Context())
	require.NoError(t, err)
	got := table(t, st)["rack/p/installation"]
	require.Equal(t, stats.MaxSamples, got.samples)
	require.Equal(t, time.Minute.Milliseconds(), *got.p95)
}

func TestOneReplicaTakesATurn(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		now := noon
		opts := stats.Options{Now: func() time.Time { return now }, Logger: slog.New(slog.DiscardHandler)}
		a, b := stats.New(st, opts), stats.New(st, opts)
		happen := func() {
			insert(t, st, []run{{"rack", "p", phase.Installation, "success", now, time.Minute, 0}})
			_, err := st.Write.Exec(`UPDATE stream_counter SET position = position + 1`)
			require.NoError(t, err)
		}
		tick := func(k *stats.Keeper) int {
			n, err := k.Tick(t.Context())
			require.NoError(t, err)
			return n
		}
		happen()
		require.Equal(t, 2, tick(a))
		require.Zero(t, tick(b), "a has this turn")
		require.Zero(t, tick(a), "nothing happened")
		now = now.Add(time.Minute)
		require.Zero(t, tick(a), "nothing happened")
		require.Positive(t, tick(b), "b has not looked yet")
		now = now.Add(time.Minute)
		happen()
		require.Positive(t, tick(a))
		require.Equal(t, 2, table(t, st)["rack/p/installation"].samples)
		now = now.Add(time.Hour)
		require.Positive(t, tick(b), "old rows are refreshed even if nothing happens")
		// A clock that was wrong does not stop the others.
		now = now.Add(1000 * time.Hour)
		happen()
		require.Positive(t, tick(a))
		now = now.Add(-900 * time.Hour)
		happen()
		require.Positive(t, tick(b))
	})
}

// TestIndexesAreUsed: a pass must not read the whole table.
func TestIndexesAreUsed(t *testing.T) {
	st := storetest.SQLite(t)
	for _, q := range []string{
		`SELECT DISTINCT server_profile FROM phase_runs WHERE status = 'success' AND provider = $1 AND phase = $2 AND finished_at > $3`,
		`SELECT r.entered_at FROM phase_runs r WHERE r.status = 'success' AND r.provider = $1 AND r.phase = $2 AND r.finished_at > $3 ORDER BY r.finished_at DESC LIMIT 2000`,
		`SELECT r.entered_at FROM phase_runs r WHERE r.status = 'success' AND r.provider = $1 AND r.phase = $2 AND r.finished_at > $3 AND r.server_profile = 'p' ORDER BY r.finished_at DESC LIMIT 2000`,
	} {
		rows, err := st.Read.Query(`EXPLAIN QUERY PLAN `+q, "rack", phase.Installation, noon)
		require.NoError(t, err)
		plan := ""
		for rows.Next() {
			var a, b, c int
			var line string
			require.NoError(t, rows.Scan(&a, &b, &c, &line))
			plan += line + "\n"
		}
		require.NoError(t, rows.Err())
		require.NoError(t, rows.Close())
		require.Contains(t, plan, "SEARCH")
		require.Contains(t, plan, "stats", plan)
		require.NotContains(t, plan, "TEMP B-TREE FOR ORDER BY", plan)
	}
}
