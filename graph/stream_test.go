package graph_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/access"
	"github.com/slipwayhq/slipway/deploy/feed"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
	"github.com/slipwayhq/slipway/graph"
	"github.com/slipwayhq/slipway/graph/wstransport"
)

// ids are the ids of a message's events.
func ids(msg m, field string) []string {
	var out []string
	list, _ := msg[field].([]any)
	for _, e := range list {
		out = append(out, dig(e, "id").(string))
	}
	return out
}

// A client that loses its socket again and again, at any moment, and comes
// back with its last cursor sees every event once and in order.
func TestEventsSurviveDrops(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := build(t, st, func(_ *graph.Deps, o *feed.Options) { o.Page = 8 }) // many small batches
		r := rand.New(rand.NewPCG(5, 6))
		var deps []lifecycle.Deployed
		for i := range 4 {
			deps = append(deps, h.order(fmt.Sprintf("n-%d", i)))
		}
		const reports = 120
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := range reports {
				_, err := h.writer.Report(context.Background(), lifecycle.Report{DeploymentID: deps[i%4].DeploymentID, Phase: phase.Pending, Status: phase.InProgress,
					Message: fmt.Sprint(i), As: phase.ByOperator, Source: "user"})
				if err != nil {
					t.Error(err)
				}
			}
		}()
		var got []string
		seen := map[string]bool{}
		after := h.feed.Cursor(0).String()
		drops := 0
		for len(got) < reports+len(deps) {
			s := h.subscribe(operation(t, "Events"), m{"after": after})
			for range 1 + r.IntN(3) {
				msg := s.next()
				if msg["__typename"] == "DeploymentEventBatch" {
					for _, id := range ids(msg, "events") {
						require.False(t, seen[id], "%s came twice", id)
						seen[id] = true
						got = append(got, id)
					}
				}
				after = msg["cursor"].(string)
				if len(got) == reports+len(deps) {
					break
				}
			}
			s.drop()
			drops++
		}
		<-done
		require.Greater(t, drops, 3)
		require.Equal(t, allEvents(t, h), got)

		// The polling twin sees the same.
		var polled []string
		after = ""
		for more := true; more; {
			vars := m{"first": 17}
			if after != "" {
				vars["after"] = after
			}
			a := h.ok(operation(t, "Poll"), vars)
			polled = append(polled, ids(a.get("deploymentEvents").(m), "nodes")...)
			more = a.get("deploymentEvents.pageInfo.hasNextPage").(bool)
			after = a.get("deploymentEvents.pageInfo.endCursor").(string)
		}
		require.Equal(t, got, polled)
		empty := h.ok(operation(t, "Poll"), m{"after": after})
		require.Equal(t, after, empty.get("deploymentEvents.pageInfo.endCursor"))
		require.Empty(t, empty.get("deploymentEvents.nodes"))
	})
}

func allEvents(t *testing.T, h *house) []string {
	t.Helper()
	rows, err := h.st.Read.QueryContext(t.Context(), `SELECT id FROM deployment_history ORDER BY position`)
	require.NoError(t, err)
	defer rows.Close()
	var out []string
	for rows.Next() {
		var id int64
		require.NoError(t, rows.Scan(&id))
		out = append(out, fmt.Sprintf("evt_%d", id))
	}
	require.NoError(t, rows.Err())
	return out
}

// A stream that names deployments ends by itself when they are over, after
// their last event, also when they were over before.
func TestEventsEndWithTheirDeployments(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		a, b := h.order("a"), h.order("b")
		filter := m{"deploymentIds": []string{fmt.Sprintf("dep_%d", a.DeploymentID)}}
		s := h.subscribe(operation(t, "Events"), m{"filter": filter, "after": h.feed.Cursor(0).String()})
		first := s.next()
		for len(ids(first, "events")) == 0 { // the feed had not heard of the order yet
			first = s.next()
		}
		require.Equal(t, "PENDING", dig(first, "events.0.phase"))
		h.report(b, phase.Pending, phase.FailedRun, "other")
		h.report(a, phase.Pending, phase.FailedRun, "over")
		var end any
		for {
			msg := s.message()
			if msg["type"] == "complete" {
				break
			}
			// The last message may be one that only says that nothing is left.
			events, _ := dig(msg, "payload.data.deploymentEvents").(m)["events"].([]any)
			if len(events) > 0 {
				end = events[len(events)-1]
			}
		}
		require.Equal(t, "over", dig(end, "message"))
		require.Equal(t, "a", dig(end, "bareMetalNode.name"))
		require.Equal(t, "FAILED", dig(end, "deployment.phases.0.status"))

		s = h.subscribe(operation(t, "Events"), m{"filter": filter})
		for s.message()["type"] != "complete" {
		}
	})
}

func TestEventsFilterAndHeartbeat(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		a := h.order("a")
		s := h.subscribe(operation(t, "Events"), m{"filter": m{"statuses": []string{"SUCCEEDED"}, "nodeIds": []string{fmt.Sprintf("node_%d", a.NodeID)}}, "heartbeatSeconds": 1})
		// What the filter hides moves the cursor all the same.
		hidden := h.report(a, phase.Pending, phase.InProgress, "hidden").Position
		var beat m
		for {
			beat = s.next()
			require.Equal(t, "StreamHeartbeat", beat["__typename"])
			c, err := feed.ParseCursor(beat["cursor"].(string))
			require.NoError(t, err)
			if c.Position >= hidden {
				break
			}
		}
		h.report(a, phase.Pending, phase.Success, "shown")
		for {
			msg := s.next()
			if msg["__typename"] == "StreamHeartbeat" {
				continue
			}
			require.Equal(t, "shown", dig(msg, "events.0.message"))
			require.Len(t, msg["events"], 1)
			break
		}
	})
}

func TestStreamArguments(t *testing.T) {
	h := build(t, storetest.SQLite(t))
	for _, vars := range []m{{"heartbeatSeconds": 0}, {"heartbeatSeconds": 61}, {"after": "?"}, {"after": strings.Repeat("a", 2000)}} {
		for _, name := range []string{"Events", "Changes"} {
			s := h.subscribe(operation(t, name), vars)
			msg := s.message()
			require.Equal(t, "error", msg["type"], "%v", msg)
			require.Contains(t, []any{"INVALID", "OUT_OF_RANGE"}, dig(msg, "payload.0.extensions.code"))
			require.Equal(t, "req-1", dig(msg, "payload.0.extensions.requestId"))
		}
	}
}

// A cursor of another database: a reset, then the stream goes on from now.
func TestResetForAnUnknownCursor(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		d := h.order("a")
		h.seen(h.report(d, phase.Pending, phase.InProgress, "before").Position)
		foreign := feed.Cursor{Epoch: "elsewhere", Position: 3}.String()
		s := h.subscribe(operation(t, "Events"), m{"after": foreign})
		msg := s.next()
		require.Equal(t, "StreamReset", msg["__typename"])
		require.Equal(t, "CURSOR_UNKNOWN", msg["reason"])
		h.report(d, phase.Pending, phase.InProgress, "after")
		require.Equal(t, "after", dig(s.next(), "events.0.message"))

		s = h.subscribe(operation(t, "Changes"), m{"after": foreign})
		require.Equal(t, "CURSOR_UNKNOWN", s.next()["reason"])
		page := s.next()
		require.Equal(t, "FleetSnapshotPage", page["__typename"])
		require.Equal(t, true, page["last"])
		require.Equal(t, "a", dig(page, "nodes.0.name"))

		a := h.as("viewer", operation(t, "Poll"), m{"after": foreign})
		require.Equal(t, "OUT_OF_RANGE", a.code(t))
	})
}

// A reader that is too slow for the feed is told so, never skipped in silence.
func TestSlowReaderIsReset(t *testing.T) {
	st := storetest.SQLite(t)
	h := build(t, st, func(d *graph.Deps, o *feed.Options) {
		o.Ring, o.Page = 16, 8
		d.Sockets = wstransport.Config{QueueFrames: 2, QueueBytes: 64 << 10, WriteTimeout: time.Minute}
	})
	d := h.order("a")
	slow := h.subscribe(operation(t, "Events"), m{"after": h.feed.Cursor(0).String()})
	require.Equal(t, "DeploymentEventBatch", slow.next()["__typename"])
	// It does not read while far more is said than socket buffers, queue and ring
	// hold. The writer does not wait for it.
	var last lifecycle.Receipt
	for i := range 500 {
		last = h.report(d, phase.Pending, phase.InProgress, fmt.Sprintf("%d %s", i, strings.Repeat("words ", 650)))
	}
	h.seen(last.Position)
	for {
		msg := slow.next()
		if msg["__typename"] == "StreamReset" {
			require.Equal(t, "SLOW_CONSUMER", msg["reason"])
			break
		}
	}
	// From here on it is live again.
	again := h.report(d, phase.Pending, phase.InProgress, "again")
	for {
		if events, ok := slow.next()["events"].([]any); ok && len(events) > 0 {
			require.Equal(t, fmt.Sprintf("evt_%d", again.EventID), dig(events[len(events)-1], "id"))
			break
		}
	}
}

// A socket is open for whom its request or its connection_init identifies, and
// for as long as that holds.
func TestSocketEndsWithItsCredential(t *testing.T) {
	h := build(t, storetest.SQLite(t), func(d *graph.Deps, _ *feed.Options) {
		d.Authenticate = func(_ *http.Request, secret string) (*access.Principal, error) {
			if secret == "good" {
				return &access.Principal{Kind: access.KindToken, Role: access.RoleViewer, Name: "late"}, nil
			}
			return nil, deploy.Errorf(deploy.CodeUnauthenticated, "inner words")
		}
	})
	dial := func(header http.Header, init string) *websocket.Conn {
		d := websocket.Dialer{Subprotocols: []string{wstransport.Subprotocol}}
		ws, _, err := d.Dial("ws"+strings.TrimPrefix(h.srv.URL, "http"), header)
		require.NoError(t, err)
		t.Cleanup(func() { _ = ws.Close() })
		require.NoError(t, ws.WriteMessage(websocket.TextMessage, []byte(init)))
		require.NoError(t, ws.SetReadDeadline(time.Now().Add(2*time.Minute)))
		return ws
	}
	const plain = `{"type":"connection_init"}`
	for name, tc := range map[string]struct {
		header http.Header
		init   string
		ok     bool
	}{
		"nobody":            {nil, plain, false},
		"machine":           {http.Header{"X-Role": {"machine"}}, plain, false},
		"bad secret":        {nil, `{"type":"connection_init","payload":{"authorization":"Bearer bad"}}`, false},
		"no bearer":         {nil, `{"type":"connection_init","payload":{"authorization":"good"}}`, false},
		"request":           {http.Header{"X-Role": {"viewer"}}, plain, true},
		"payload":           {nil, `{"type":"connection_init","payload":{"authorization":"Bearer good"}}`, true},
		"payload, capital":  {nil, `{"type":"connection_init","payload":{"Authorization":"bearer good"}}`, true},
		"payload overrides": {http.Header{"X-Role": {"viewer"}}, `{"type":"connection_init","payload":{"authorization":"Bearer bad"}}`, false},
	} {
		ws := dial(tc.header, tc.init)
		_, b, err := ws.ReadMessage()
		if tc.ok {
			require.NoError(t, err, name)
			require.JSONEq(t, `{"type":"connection_ack"}`, string(b))
			continue
		}
		require.True(t, websocket.IsCloseError(err, 4403), "%s: %v", name, err)
	}
	ws := dial(http.Header{"X-Role": {"viewer"}, "X-Expires-In": {"150ms"}}, plain)
	_, _, err := ws.ReadMessage()
	require.NoError(t, err)
	_, _, err = ws.ReadMessage()
	require.True(t, websocket.IsCloseError(err, 4403), "%v", err)
}

// A mutation over the socket needs its role as well.
func TestRolesHoldOnSockets(t *testing.T) {
	h := build(t, storetest.SQLite(t))
	s := h.subscribe(operation(t, "Deploy"), m{"input": vpc("a")})
	msg := s.message()
	require.Equal(t, "error", msg["type"])
	require.Equal(t, "FORBIDDEN", dig(msg, "payload.0.extensions.code"))
	s.write(m{"type": "subscribe", "id": "2", "payload": m{"query": `{viewer{role}}`}})
	require.Equal(t, "VIEWER", dig(s.message(), "payload.data.viewer.role"))
	require.Equal(t, "complete", s.message()["type"])
}

func TestShutdownClosesSockets(t *testing.T) {
	h := build(t, storetest.SQLite(t))
	s := h.subscribe(operation(t, "Changes"), nil)
	s.next()
	done := make(chan error, 1)
	go func() { done <- h.handler.Shutdown(context.Background(), 0) }()
	for {
		if _, _, err := s.ws.ReadMessage(); err != nil {
			require.True(t, websocket.IsCloseError(err, websocket.CloseServiceRestart), "%v", err)
			break
		}
	}
	require.NoError(t, <-done)
	require.Equal(t, wstransport.Stats{}, h.handler.Stats())
	require.Eventually(t, func() bool { return h.feed.Streams() == 0 }, 2*time.Minute, time.Millisecond, "streams end with their sockets")
}
