package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/store/storetest"
	"github.com/slipwayhq/slipway/server"
)

// The figures of the websockets are read once whenever somebody looks, each
// under its own name.
func TestSocketMetrics(t *testing.T) {
	looks := 0
	r := newRig(t, storetest.SQLite(t), func(p *server.Parts) {
		p.Metrics.WatchSockets(func() server.SocketFigures {
			looks++
			return server.SocketFigures{Sockets: 1, Operations: 2, Queued: 3, Groups: 4, Members: 5, Messages: 6, Delivered: 7, Detached: 8, Replays: int64(8 + looks)}
		})
	})
	got := r.get("/metrics")
	require.Equal(t, http.StatusOK, got.status)
	for name, want := range map[string]string{
		"slipway_websockets": "gauge 1", "slipway_websocket_operations": "gauge 2", "slipway_websocket_queued_frames": "gauge 3",
		"slipway_shared_executions": "gauge 4", "slipway_shared_members": "gauge 5", "slipway_shared_messages_total": "counter 6",
		"slipway_shared_deliveries_total": "counter 7", "slipway_shared_detached_total": "counter 8", "slipway_shared_replays_total": "counter 9",
	} {
		kind, value, _ := strings.Cut(want, " ")
		require.Contains(t, got.body, "# TYPE "+name+" "+kind+"\n"+name+" "+value+"\n")
	}
	require.Contains(t, r.get("/metrics").body, "slipway_shared_replays_total 10\n")
}
