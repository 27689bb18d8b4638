package query

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
	"github.com/slipwayhq/slipway/ent"
)

// chart fills a database with ends of attempts.
type chart struct {
	t *testing.T
	c *ent.Client
	n int
}

// node makes a node with a deployment.
func (ch *chart) node(state, profile string, change ...func(*ent.DeploymentCreate)) (*ent.Node, *ent.Deployment) {
	ctx := ch.t.Context()
	ch.n++
	n := ch.c.Node.Create().SetName(fmt.Sprintf("n%d", ch.n)).SetProvider("ibm_vpc").SetServerProfile(profile).SetState(state).SetDeploymentStatus(state).SaveX(ctx)
	q := ch.c.Deployment.Create().SetNodeID(n.ID).SetNumber(1).SetState(state).SetPhase(state).SetPhaseStatus("success").SetProvider("ibm_vpc").
		SetConfig([]byte(`{}`)).SetRequestedBy("t").SetRequestedByKind("token")
	for _, f := range change {
		f(q)
	}
	d := q.SaveX(ctx)
	n.Update().SetCurrentDeploymentID(d.ID).ExecX(ctx)
	return n, d
}

func (ch *chart) run(d *ent.Deployment, profile, key, status string, attempt int, entered, finished time.Time, stood time.Duration) {
	ch.c.PhaseRun.Create().SetDeploymentID(d.ID).SetAttempt(attempt).SetPhase(key).SetOrdinal(1).SetStatus(status).SetProvider("ibm_vpc").SetServerProfile(profile).
		SetEnteredAt(entered).SetFinishedAt(finished).SetStoppedMs(stood.Milliseconds()).ExecX(ch.t.Context())
}

func TestSeries(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		ctx := t.Context()
		f := NewFleet(st.Ent(), NewStatuses(st.Ent(), nil), func() time.Time { return noon })
		from := noon.Add(-3 * time.Hour)
		require.NoError(t, st.InTx(ctx, func(tx *sql.Tx) error {
			ch := &chart{t: t, c: st.EntTx(tx)}
			// Ten deployments of p end in the first hour, after 1 to 10 minutes; the
			// clock of each stood for half a minute.
			for i := range 10 {
				finished := from.Add(time.Duration(i) * time.Minute)
				_, d := ch.node(phase.Succeeded, "p", func(q *ent.DeploymentCreate) {
					q.SetStartedAt(finished.Add(-time.Duration(i+1)*time.Minute - 30*time.Second)).SetFinishedAt(finished)
				})
				ch.run(d, "p", phase.Pending, "success", 1, finished.Add(-time.Hour), finished.Add(-time.Hour), time.Hour)
				ch.run(d, "p", phase.Installation, "success", 1, finished.Add(-90*time.Second), finished.Add(-time.Second), 30*time.Second)
				ch.run(d, "p", phase.Deployed, "success", 1, finished, finished, 0)
			}
			// One of q failed twice and succeeded in the third hour; another was canceled.
			_, d := ch.node(phase.CleanedUp, "q", func(q *ent.DeploymentCreate) { q.SetStartedAt(from) })
			ch.run(d, "q", phase.Installation, "failed", 1, from, from.Add(time.Minute), 0)
			ch.run(d, "q", phase.IPXEBoot, "timed_out", 2, from, from.Add(time.Hour), 0)
			ch.run(d, "q", phase.Deployed, "success", 3, from.Add(2*time.Hour), from.Add(2*time.Hour), 0)
			ch.run(d, "q", phase.Cleanup, "failed", 3, from.Add(2*time.Hour), from.Add(2*time.Hour), 0)
			_, d = ch.node(phase.StateStop, "q")
			ch.run(d, "q", phase.Installation, "canceled", 1, from, from.Add(3*time.Hour-time.Microsecond), 0)
			_, d = ch.node(phase.StateStop, "q")
			ch.run(d, "q", phase.Installation, "canceled", 1, from, noon, 0) // the end is not included
			return nil
		}))
		p := func(d time.Duration) *time.Duration { return &d }
		whole, err := f.Durations(ctx, SeriesOf{Profile: "p", From: from, To: noon, Bucket: time.Hour})
		require.NoError(t, err)
		require.Equal(t, []DurationBucket{{from, 10, p(5 * time.Minute), p(10 * time.Minute)}, {Start: from.Add(time.Hour)}, {Start: from.Add(2 * time.Hour)}}, whole)
		whole, err = f.Durations(ctx, SeriesOf{Provider: "ibm_vpc", From: from, To: noon, Bucket: 2 * time.Hour})
		require.NoError(t, err)
		require.Equal(t, []int{10, 1}, []int{whole[0].Count, whole[1].Count})
		require.Equal(t, p(2*time.Hour), whole[1].P50)
		install, err := f.Durations(ctx, SeriesOf{Phase: phase.Installation, From: from, To: noon, Bucket: 4 * time.Hour})
		require.NoError(t, err)
		require.Equal(t, []DurationBucket{{from, 9, p(59 * time.Second), p(59 * time.Second)}}, install, "the first ended before")
		none, err := f.Durations(ctx, SeriesOf{Provider: "rack", From: from, To: noon, Bucket: time.Hour})
		require.NoError(t, err)
		require.Len(t, none, 3)

		ends, err := f.Successes(ctx, SeriesOf{From: from, To: noon, Bucket: time.Hour})
		require.NoError(t, err)
		require.Equal(t, []SuccessSeries{
			{"ibm_vpc", "p", []SuccessBucket{{from, 10, 0, 0}, {Start: from.Add(time.Hour)}, {Start: from.Add(2 * time.Hour)}}},
			{"ibm_vpc", "q", []SuccessBucket{{from, 0, 1, 0}, {from.Add(time.Hour), 0, 1, 0}, {from.Add(2 * time.Hour), 1, 0, 1}}},
		}, ends)
		ends, err = f.Successes(ctx, SeriesOf{Provider: "ibm_vpc", Profile: "q", From: from, To: noon, Bucket: 24 * time.Hour})
		require.NoError(t, err)
		require.Equal(t, []SuccessSeries{{"ibm_vpc", "q", []SuccessBucket{{from, 1, 2, 1}}}}, ends)
	})
}

func TestSeriesRefusals(t *testing.T) {
	f := NewFleet(nil, nil, nil)
	good := SeriesOf{From: noon.Add(-time.Hour), To: noon, Bucket: time.Minute}
	require.EqualValues(t, 60, good.buckets())
	require.NoError(t, good.check())
	for name, bad := range map[string]func(*SeriesOf){
		"provider":      func(o *SeriesOf) { o.Provider = "moon" },
		"phase":         func(o *SeriesOf) { o.Phase = "lunch" },
		"final phase":   func(o *SeriesOf) { o.Phase = phase.Deployed },
		"no time":       func(o *SeriesOf) { o.From = o.To },
		"back":          func(o *SeriesOf) { o.From = o.To.Add(time.Hour) },
		"small buckets": func(o *SeriesOf) { o.Bucket = time.Second },
		"many buckets":  func(o *SeriesOf) { o.From = o.To.Add(-401 * time.Minute) },
	} {
		o := good
		bad(&o)
		_, err := f.Durations(t.Context(), o)
		_, ok := deploy.AsError(err)
		require.True(t, ok, name)
	}
	exact := good
	exact.From = exact.To.Add(-400 * time.Minute)
	require.NoError(t, exact.check())
}

func TestFailures(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		ctx := t.Context()
		f := NewFleet(st.Ent(), NewStatuses(st.Ent(), nil), func() time.Time { return noon })
		var first *ent.Node
		require.NoError(t, st.InTx(ctx, func(tx *sql.Tx) error {
			ch := &chart{t: t, c: st.EntTx(tx)}
			failed := func(key, code string, ago time.Duration) func(*ent.DeploymentCreate) {
				return func(q *ent.DeploymentCreate) {
					q.SetFailurePhase(key).SetFailureCode(code).SetFailureMessage(fmt.Sprint("said ", ago)).SetFailureHint("look").SetFailureRetryable(true).SetFailedAt(noon.Add(-ago))
				}
			}
			first, _ = ch.node(phase.StateFail, "p", failed(phase.Installation, "reported_failure", 3*time.Minute))
			ch.node(phase.StateFail, "p", failed(phase.Installation, "reported_failure", time.Minute))
			ch.node(phase.StateFail, "q", failed(phase.Installation, "reported_failure", 2*time.Minute))
			ch.node(phase.StateFail, "q", failed(phase.Installation, "deadline_passed", time.Hour))
			// What a node has left behind does not count.
			n, _ := ch.node(phase.Running, "q")
			ch.c.Deployment.Create().SetNodeID(n.ID).SetNumber(2).SetState(phase.StateFail).SetPhase("failed").SetPhaseStatus("failed").SetProvider("ibm_vpc").SetConfig([]byte(`{}`)).
				SetRequestedBy("t").SetRequestedByKind("token").SetFailurePhase(phase.Installation).SetFailureCode("deadline_passed").SetFailedAt(noon).SaveX(ctx)
			return nil
		}))
		groups, err := f.Failures(ctx, NodeFilter{})
		require.NoError(t, err)
		require.Len(t, groups, 2)
		require.Equal(t, []any{phase.Installation, "reported_failure", 3, noon.Add(-time.Minute), noon.Add(-3 * time.Minute)},
			[]any{groups[0].Phase, groups[0].Code, groups[0].Count, groups[0].Newest, groups[0].Oldest})
		require.Equal(t, "said 1m0s", *groups[0].Sample.FailureMessage)
		require.Equal(t, 1, groups[1].Count)

		groups, err = f.Failures(ctx, NodeFilter{ServerProfiles: []string{"q"}, Text: "N"})
		require.NoError(t, err)
		require.Equal(t, []int{1, 1}, []int{groups[0].Count, groups[1].Count})
		require.Equal(t, "deadline_passed", groups[0].Code)

		same := NodeFilter{FailurePhases: []string{phase.Installation}, FailureCodes: []string{"reported_failure"}}
		page, err := f.Nodes(ctx, same, NodesByName, false, Page{Limit: 2})
		require.NoError(t, err)
		require.Equal(t, []string{"n1", "n2"}, []string{page.Items[0].Name, page.Items[1].Name})
		require.True(t, page.HasNext)
		n, err := f.CountNodes(ctx, NodeFilter{FailureCodes: []string{"deadline_passed"}})
		require.NoError(t, err)
		require.Equal(t, 1, n)
		groups, err = f.Failures(ctx, NodeFilter{FailureCodes: []string{"deadline_passed"}, Labels: map[string]string{"a": "b"}})
		require.NoError(t, err)
		require.Empty(t, groups)
		chosen, err := f.Candidates(ctx, Choice{Nodes: &same}, 10)
		require.NoError(t, err)
		require.Len(t, chosen, 3)
		require.Equal(t, first.ID, chosen[0].NodeID)
	})
}

// Series and failures cost what they tell of, not all that ever was.
func TestSeriesAndFailuresDoNotReadEverything(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		const old = 20_000
		exec := func(query string, args ...any) {
			_, err := st.Write.ExecContext(t.Context(), query, args...)
			require.NoError(t, err)
		}
		count := fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) `, old)
		exec(`INSERT INTO nodes (name, provider, server_profile, labels, state, deployment_status, created_at, updated_at) VALUES ('n', 'ibm_vpc', 'p', '{}', 'failed', 'failed', $1, $1)`, noon)
		exec(count+`INSERT INTO nodes (name, provider, server_profile, labels, state, deployment_status, created_at, updated_at)
			SELECT 'm' || i, 'ibm_vpc', 'p', '{}', 'succeeded', 'deployed', $1, $1 FROM n`, noon)
		exec(count+`INSERT INTO deployments (node_id, number, state, phase, phase_status, provider, config, requested_by_kind, requested_by, created_at, updated_at, started_at, finished_at, failure_phase, failure_code, failed_at)
			SELECT (SELECT MIN(id) FROM nodes), i, 'failed', 'installation', 'failed', 'ibm_vpc', '{}', 'token', 't', $1, $1, $1, $1, 'installation', 'x', $1 FROM n`, noon.Add(-90*24*time.Hour))
		exec(`UPDATE nodes SET current_deployment_id = (SELECT MAX(id) FROM deployments) WHERE name = 'n'`)
		exec(`INSERT INTO phase_runs (deployment_id, attempt, phase, ordinal, provider, server_profile, status, entered_at, finished_at)
			SELECT id, 1, CASE WHEN number % 2 = 0 THEN 'deployed' ELSE 'installation' END, 1, 'ibm_vpc', 'p', CASE WHEN number % 2 = 0 THEN 'success' ELSE 'failed' END, $1, $1 FROM deployments`,
			noon.Add(-90*24*time.Hour))
		exec(`UPDATE phase_runs SET finished_at = $1 WHERE deployment_id IN (SELECT id FROM deployments WHERE number > $2)`, noon.Add(-time.Minute), old-40)
		exec(`ANALYZE`)

		name := dialect.Postgres
		if st.Dialect == store.SQLite {
			name = dialect.SQLite
		}
		rec := &recorder{Driver: entsql.OpenDB(name, st.Read)}
		f := NewFleet(ent.NewClient(ent.Driver(rec)), nil, func() time.Time { return noon })
		for _, profile := range []string{"", "p"} {
			o := SeriesOf{Profile: profile, From: noon.Add(-time.Hour), To: noon, Bucket: time.Hour}
			d, err := f.Durations(t.Context(), o)
			require.NoError(t, err)
			require.Equal(t, 20, d[0].Count)
			s, err := f.Successes(t.Context(), o)
			require.NoError(t, err)
			require.Equal(t, []SuccessBucket{{o.From, 20, 20, 0}}, s[0].Buckets)
		}
		groups, err := f.Failures(t.Context(), NodeFilter{})
		require.NoError(t, err)
		require.Equal(t, 1, groups[0].Count)
		_, err = f.Nodes(t.Context(), NodeFilter{FailureCodes: []string{"x"}}, NodesByName, false, Page{Limit: 10})
		require.NoError(t, err)
		require.NotEmpty(t, rec.seen)
		for _, q := range rec.seen {
			p := plan(t, st, q)
			for line := range strings.Lines(p) {
				require.NotRegexp(t, `Seq Scan on (deployments|phase_runs|nodes)|SCAN (deployments|phase_runs|nodes|failed|t)\b`, line, "%s\n%s", q.query, p)
			}
		}
	})
}
