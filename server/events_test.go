package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/feed"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
	"github.com/slipwayhq/slipway/server"
)

// openStream connects and gives events as they come; the channel is closed
// when the stream ends.
func openStream(ctx context.Context, r *rig, path string, headers ...string) <-chan event {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.web.URL+path, nil)
	require.NoError(r.t, err)
	req.Header.Set("Authorization", "Bearer "+r.viewer)
	req.Header.Set("Accept", "text/event-stream")
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(r.t, err)
	require.Equal(r.t, 200, res.StatusCode)
	require.Equal(r.t, "text/event-stream; charset=utf-8", res.Header.Get("Content-Type"))
	require.Equal(r.t, "no", res.Header.Get("X-Accel-Buffering"))
	out := make(chan event, 1000)
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 1<<20)
	require.True(r.t, lines.Scan(), "the stream opens with a line of its own")
	go func() {
		defer res.Body.Close()
		defer close(out)
		var e event
		for lines.Scan() {
			switch line := lines.Text(); {
			case line == "" && e.kind != "":
				out <- e
				e = event{}
			case strings.HasPrefix(line, "event: "):
				e.kind = line[7:]
			case strings.HasPrefix(line, "id: "):
				e.id = line[4:]
			case strings.HasPrefix(line, "data: "):
				e.data = line[6:]
			}
		}
	}()
	return out
}

// phases reads n phase events.
func phases(t *testing.T, ch <-chan event, n int) (rows []map[string]any, cursor string) {
	t.Helper()
	for len(rows) < n {
		e, ok := next(t, ch)
		require.True(t, ok, "the stream ended early")
		if e.kind != "phase" {
			continue
		}
		var row map[string]any
		require.NoError(t, json.Unmarshal([]byte(e.data), &row))
		require.Equal(t, e.id, row["cursor"])
		rows, cursor = append(rows, row), e.id
	}
	return rows, cursor
}

func TestEventsAreResumedWithoutALoss(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		m := r.boot("web-01", "10.0.0.1")
		r.settle()
		start := r.feed.Head().String()
		ctx, cut := context.WithCancel(t.Context())
		live := r.stream(ctx, "/api/status/events?after="+start)
		for i := range 5 {
			require.Equal(t, 200, r.report(m, "image_download", "running", "progress", i).status)
		}
		rows, cursor := phases(t, live, 2)
		cut()
		for i := range 5 {
			require.Equal(t, 200, r.report(m, "image_download", "running", "progress", 10+i).status)
		}
		again := r.stream(t.Context(), "/api/status/events?after=ignored-by-the-header-that-follows", "Last-Event-ID", cursor)
		whole, _ := phases(t, r.stream(t.Context(), "/api/status/events?after="+start), 1)
		require.Equal(t, rows[0]["sequence"], whole[0]["sequence"])

		history := r.get(fmt.Sprintf("/api/status/history/%d?after=%s", m.nodeID, start)).json(t)["deployment_history"].([]any)
		rest, _ := phases(t, again, len(history)-2)
		for i, row := range append(rows, rest...) {
			require.Equal(t, history[i].(map[string]any), row, "the same rows and keys as the history")
		}
	})
}

func TestEventsEndWithTheDeploymentsTheyName(t *testing.T) {
	r := newRig(t, storetest.SQLite(t))
	m, other := r.boot("web-01", "10.0.0.1"), r.boot("web-02", "10.0.0.2")
	ch := r.stream(t.Context(), fmt.Sprintf("/api/status/events?deployment=%d,dep_%d&phase=installation", m.deploymentID, m.deploymentID))
	first, ok := next(t, ch)
	require.True(t, ok)
	require.Equal(t, "heartbeat", first.kind, "a place to resume from comes at once")
	require.NotEmpty(t, first.id)
	require.Equal(t, 200, r.report(other, "installation", "failed").status)
	require.Equal(t, 200, r.report(m, "image_download", "running").status)
	require.Equal(t, 200, r.report(m, "installation", "failed", "message", "x").status)
	var kinds []string
	for {
		e, ok := next(t, ch)
		if !ok {
			break
		}
		if e.kind == "heartbeat" {
			continue
		}
		require.NotContains(t, e.data, `"node_id":2`)
		kinds = append(kinds, e.kind)
	}
	require.Equal(t, "end", kinds[len(kinds)-1])
	require.Contains(t, kinds, "phase")

	// One that has ended already: what was missed, then the end.
	late := r.stream(t.Context(), fmt.Sprintf("/api/status/events?deployment=%d&after=%s", m.deploymentID, r.feed.Cursor(0)))
	n := 0
	for e := range late {
		n++
		require.Contains(t, []string{"phase", "end"}, e.kind)
	}
	require.Greater(t, n, 5)
}

func TestEventsHeartbeatResetAndDrain(t *testing.T) {
	r := newRig(t, storetest.SQLite(t), func(p *server.Parts) { p.Settings.Heartbeat = 20 * time.Millisecond })
	ch := r.stream(t.Context(), "/api/status/events")
	e, _ := next(t, ch)
	require.Equal(t, "heartbeat", e.kind)
	require.NotEmpty(t, e.id)
	require.Contains(t, e.data, `"at":`)

	foreign := feed.Cursor{Epoch: "other", Position: 1}.String()
	e, _ = next(t, r.stream(t.Context(), "/api/status/events?after="+foreign))
	require.Equal(t, "reset", e.kind)
	require.JSONEq(t, `{"reason":"cursor_unknown"}`, e.data)

	r.srv.Drain()
	for range ch { // until it ends
	}
}

func TestEventsAsPages(t *testing.T) {
	r := newRig(t, storetest.SQLite(t))
	m := r.boot("web-01", "10.0.0.1")
	for i := range 7 {
		require.Equal(t, 200, r.report(m, "image_download", "running", "progress", i).status)
	}
	require.Equal(t, 409, r.report(m, "foundation_start", "ok").status)
	r.settle()
	var seen []float64
	cursor, pages := "", 0
	for more := true; more; pages++ {
		got := r.get("/api/status/events?limit=4&after="+cursor, "Accept", "application/json")
		require.Equal(t, 200, got.status, got.body)
		doc := got.json(t)
		for _, e := range doc["events"].([]any) {
			seen = append(seen, e.(map[string]any)["sequence"].(float64))
			require.NotEqual(t, "refused", e.(map[string]any)["outcome"])
		}
		cursor, more = doc["cursor"].(string), doc["has_more"].(bool)
	}
	require.Greater(t, pages, 2)
	for i := 1; i < len(seen); i++ {
		require.Greater(t, seen[i], seen[i-1])
	}
	refused := r.get("/api/status/events?include=refused&limit=1000", "Accept", "application/json").json(t)["events"].([]any)
	require.Len(t, refused, len(seen)+1)
}
