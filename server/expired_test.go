package server_test

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/retention"
)

// TestOldEventsAreMissedAloud: what retention has removed is told by the
// stream, its polling twin and the history.
func TestOldEventsAreMissedAloud(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		over, active := r.boot("web-01", "10.0.0.1"), r.boot("web-02", "10.0.0.2")
		require.Equal(t, 200, r.report(over, "installation", "failed", "message", "x").status)
		r.settle()
		before := r.feed.Cursor(1).String()
		whole := r.get(fmt.Sprintf("/api/status/history/%d", over.nodeID)).json(t)
		rows := len(whole["deployment_history"].([]any))
		require.NotContains(t, whole, "expired_rows")

		keeper, err := retention.New(r.st, retention.Options{Keep: time.Hour, Drop: true, Logger: slog.New(slog.DiscardHandler),
			Now: func() time.Time { return time.Now().Add(2 * time.Hour) }})
		require.NoError(t, err)
		res, err := keeper.Pass(t.Context())
		require.NoError(t, err)
		require.Equal(t, rows, res.Dropped)

		// The page reads from the database. A stream that the process can still
		// give whole from memory loses nothing; from now on it knows better.
		page := r.get("/api/status/events?after="+before, "Accept", "application/json").json(t)
		require.Equal(t, "cursor_expired", page["reset"])
		require.Empty(t, page["events"])
		e, ok := next(t, r.stream(t.Context(), "/api/status/events?after="+before))
		require.True(t, ok)
		require.Equal(t, "reset", e.kind)
		require.JSONEq(t, `{"reason":"cursor_expired"}`, e.data)
		require.NotEmpty(t, e.id)
		e, _ = next(t, r.stream(t.Context(), "/api/status/events?after="+page["cursor"].(string)))
		require.NotEqual(t, "reset", e.kind, "the new cursor goes on")

		for _, path := range []string{"/api/status/history/%d", "/api/status/history/%d?limit=5"} {
			got := r.get(fmt.Sprintf(path, over.nodeID)).json(t)
			require.Empty(t, got["deployment_history"])
			require.InDelta(t, rows, got["expired_rows"], 0)
			got = r.get(fmt.Sprintf(path, active.nodeID)).json(t)
			require.NotEmpty(t, got["deployment_history"], "one that is active keeps all")
			require.NotContains(t, got, "expired_rows")
		}
	})
}
