package query

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
	"github.com/slipwayhq/slipway/ent"
)

// recorder keeps the queries that pass through it.
type recorder struct {
	dialect.Driver
	mu   sync.Mutex
	seen []asked
}

type asked struct {
	query string
	args  []any
}

// Query is dialect.Driver's.
func (r *recorder) Query(ctx context.Context, query string, args, v any) error {
	list, _ := args.([]any)
	r.mu.Lock()
	r.seen = append(r.seen, asked{query, list})
	r.mu.Unlock()
	return r.Driver.Query(ctx, query, args, v)
}

// plan is how the database would do a query.
func plan(t *testing.T, st *store.Store, q asked) string {
	t.Helper()
	explain := "EXPLAIN "
	if st.Dialect == store.SQLite {
		explain = "EXPLAIN QUERY PLAN "
	}
	rows, err := st.Read.QueryContext(t.Context(), explain+q.query, q.args...)
	require.NoError(t, err, q.query)
	defer rows.Close()
	var out strings.Builder
	for rows.Next() {
		var line string
		to := []any{&line}
		if st.Dialect == store.SQLite {
			to = []any{new(int), new(int), new(int), &line}
		}
		require.NoError(t, rows.Scan(to...))
		out.WriteString(line + "\n")
	}
	require.NoError(t, rows.Err())
	return out.String()
}

// What the summary tells of deployments that have ended costs what ended
// lately, not all that ever has.
func TestTheSummaryDoesNotReadAllThatHasEnded(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		const old = 20_000
		_, err := st.Write.ExecContext(t.Context(), `INSERT INTO nodes (name, provider, server_profile, labels, state, deployment_status, created_at, updated_at)
			VALUES ('n', 'ibm_vpc', 'p', '{}', 'succeeded', 'deployed', $1, $1)`, noon)
		require.NoError(t, err)
		_, err = st.Write.ExecContext(t.Context(), fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
			INSERT INTO deployments (node_id, number, state, phase, phase_status, provider, config, requested_by_kind, requested_by, created_at, updated_at, started_at, finished_at)
			SELECT (SELECT MAX(id) FROM nodes), i, CASE WHEN i %% 3 = 0 THEN 'failed' ELSE 'succeeded' END, 'deployed', 'success', 'ibm_vpc', '{}', 'token', 't', $1, $1, $1, $1 FROM n`, old),
			noon.Add(-90*24*time.Hour))
		require.NoError(t, err)
		_, err = st.Write.ExecContext(t.Context(), `UPDATE deployments SET finished_at = $1 WHERE number > $2`, noon.Add(-time.Hour), old-30)
		require.NoError(t, err)
		_, err = st.Write.ExecContext(t.Context(), `ANALYZE`)
		require.NoError(t, err)

		name := dialect.Postgres
		if st.Dialect == store.SQLite {
			name = dialect.SQLite
		}
		rec := &recorder{Driver: entsql.OpenDB(name, st.Read)}
		read := ent.NewClient(ent.Driver(rec))
		f := NewFleet(read, NewStatuses(read, nil), func() time.Time { return noon })
		for _, filter := range []NodeFilter{{}, {ServerProfiles: []string{"p"}}} {
			s, err := f.Summary(t.Context(), filter)
			require.NoError(t, err)
			require.Equal(t, 30, s.SucceededLast24h+s.FailedLast24h)
		}
		looked := 0
		for _, q := range rec.seen {
			if !strings.Contains(q.query, "finished_at") || !strings.Contains(q.query, "deployments") || strings.Contains(q.query, "phase_runs") {
				continue
			}
			looked++
			p := plan(t, st, q)
			require.Contains(t, p, "deployment_state_finished_at", "%s\n%s", q.query, p)
			for line := range strings.Lines(p) {
				require.NotRegexp(t, `Seq Scan on deployments|SCAN deployments|SCAN t`, line, "%s\n%s", q.query, p)
			}
		}
		require.Equal(t, 3, looked, "counts without and with a filter, durations with one")
	})
}
