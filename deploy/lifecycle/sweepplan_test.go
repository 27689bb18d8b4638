package lifecycle

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

// What is done every second reads what runs, or what is due: never all nodes,
// deployments or phase runs that ever were.
func TestSweepsReadWhatIsOpen(t *testing.T) {
	st := storetest.SQLite(t)
	w := New(st, Options{})
	w.begun = time.Time{} // long ago: machines may have fallen silent
	queries := map[string]string{"late deployments": openPaces}
	for _, d := range w.duties(time.Now()) {
		queries[d.what] = d.choice()
	}
	require.Len(t, queries, 3)
	for what, query := range queries {
		rows, err := st.Read.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, false, time.Now())
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
		require.Contains(t, all, "SEARCH n USING INTEGER PRIMARY KEY", what)
	}
}
