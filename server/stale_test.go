package server_test

import (
	"bufio"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/store/storetest"
	"github.com/slipwayhq/slipway/server"
)

// TestStaleHeartbeats: an open stream outlives the database's silence and says
// since when it knows nothing.
func TestStaleHeartbeats(t *testing.T) {
	st := storetest.SQLite(t)
	r := newRig(t, st, func(p *server.Parts) { p.Settings.Heartbeat = 10 * time.Millisecond })
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.web.URL+"/api/status/events", nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+r.viewer)
	resp, err := r.web.Client().Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	in := bufio.NewScanner(resp.Body)
	heartbeat := func() string {
		for in.Scan() {
			if data, ok := strings.CutPrefix(in.Text(), "data: "); ok {
				return data
			}
		}
		require.FailNow(t, "the stream ended", "%v", in.Err())
		return ""
	}
	require.Contains(t, heartbeat(), `"caught_up":true`)
	require.NotContains(t, heartbeat(), "stale_since")
	require.NoError(t, st.Read.Close())
	for !strings.Contains(heartbeat(), `"stale_since":"`) {
	}
}
