package graph_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/feed"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
	"github.com/slipwayhq/slipway/graph"
)

// Heartbeats of subscriptions say since when the database does not answer.
func TestHeartbeatsAreStaleWhileTheDatabaseIsSilent(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := build(t, st, func(_ *graph.Deps, o *feed.Options) { o.Poll = 10 * time.Millisecond })
		h.order("a")
		h.cluster("deploy", m{"name": "one", "nodes": []m{hv(1)}})
		begun := time.Now()
		streams := map[string]*socket{
			"deploymentEvents": h.subscribe(`subscription{deploymentEvents(heartbeatSeconds:1){__typename ... on StreamHeartbeat{cursor at staleSince}}}`, nil),
			"fleetChanges":     h.subscribe(`subscription{fleetChanges(heartbeatSeconds:1){__typename ... on StreamHeartbeat{cursor at staleSince}}}`, nil),
			"clusterChanges":   h.subscribe(`subscription{clusterChanges(id:"clu_1",heartbeatSeconds:1){__typename ... on StreamHeartbeat{cursor at staleSince}}}`, nil),
		}
		beat := func(s *socket) map[string]any {
			for {
				if m := s.next(); m["__typename"] == "StreamHeartbeat" {
					return m
				}
			}
		}
		for _, s := range streams {
			for beat(s)["staleSince"] != nil { // a busy machine may miss five polls
			}
		}
		require.NoError(t, st.Read.Close())
		for name, s := range streams {
			m := beat(s)
			for m["staleSince"] == nil {
				m = beat(s)
			}
			since, err := time.Parse(time.RFC3339Nano, m["staleSince"].(string))
			require.NoError(t, err, name)
			at, err := time.Parse(time.RFC3339Nano, m["at"].(string))
			require.NoError(t, err, name)
			require.WithinRange(t, since, begun.Truncate(time.Microsecond), at, name)
			require.True(t, since.Before(at), "%s: the heartbeat is newer than what it stands for", name)
		}
	})
}

// That the database cannot be used for the moment is told as that, over POST
// and on an open socket, and nothing of the inner text with it.
func TestAnOutageIsNoInternalError(t *testing.T) {
	st := storetest.SQLite(t)
	const lost = "sql: database is closed" // stands for a connection that was lost
	h := build(t, st, func(d *graph.Deps, _ *feed.Options) {
		d.Unavailable = func(err error) bool { return strings.Contains(err.Error(), lost) }
	})
	s := h.subscribe(`subscription{deploymentEvents{__typename}}`, nil)
	require.NoError(t, st.Read.Close())
	a := h.as("viewer", `{fleetSummary{total}}`, nil)
	require.Equal(t, http.StatusOK, a.Status, "it was begun, so there is a data entry")
	require.Contains(t, a.Raw, `"data":null`)
	require.Equal(t, "UPSTREAM_UNAVAILABLE", a.code(t))
	require.Equal(t, true, a.Errors[0].Extensions["retryable"])
	require.Equal(t, "req-1", a.Errors[0].Extensions["requestId"])
	require.NotContains(t, a.Raw, "sql")
	require.Contains(t, h.log.String(), lost)

	s.write(m{"type": "subscribe", "id": "2", "payload": m{"query": `{fleetSummary{total}}`}})
	for {
		got := s.message()
		if got["id"] != "2" {
			continue
		}
		require.Equal(t, "next", got["type"], "%v", got)
		require.Equal(t, "UPSTREAM_UNAVAILABLE", dig(got, "payload.errors.0.extensions.code"))
		require.Equal(t, true, dig(got, "payload.errors.0.extensions.retryable"))
		return
	}
}
