package admission

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

// A machine that asks for a slot costs what downloads, not what waits to begin.
func TestDownloadsAreFoundByWhatRuns(t *testing.T) {
	st := storetest.SQLite(t)
	for what, query := range map[string]string{"count": countQuery, "sweep": sweepQuery} {
		rows, err := st.Read.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, 1, 2, 3)
		require.NoError(t, err, what)
		var plan []string
		for rows.Next() {
			var line string
			require.NoError(t, rows.Scan(new(int), new(int), new(int), &line))
			plan = append(plan, line)
		}
		require.NoError(t, rows.Err())
		require.NoError(t, rows.Close())
		all := strings.Join(plan, "\n")
		require.NotContains(t, all, "SCAN", what)
		require.Contains(t, all, "SEARCH r USING INDEX phase_runs_one_open", what)
	}
}
