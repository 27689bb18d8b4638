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

	"github.com/slipwayhq/slipway/deploy/feed"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
	"github.com/slipwayhq/slipway/graph"
	"github.com/slipwayhq/slipway/graph/wstransport"
)

// sharing waits until shared execution is as wanted.
func (h *house) sharing(what string, ok func(wstransport.Sharing) bool) {
	h.t.Helper()
	require.Eventually(h.t, func() bool { return ok(h.handler.Sharing()) }, 2*time.Minute, time.Millisecond, what)
}

func (h *house) members(groups, members int) {
	h.t.Helper()
	h.sharing(fmt.Sprintf("%d groups with %d members", groups, members), func(s wstransport.Sharing) bool {
		return s.Groups == groups && s.Members == members
	})
}

// write reports n times, concurrently with the test.
func (h *house) write(deps []lifecycle.Deployed, n int) (done chan struct{}) {
	done = make(chan struct{})
	go func() {
		defer close(done)
		for i := range n {
			_, err := h.writer.Report(context.Background(), lifecycle.Report{DeploymentID: deps[i%len(deps)].DeploymentID, Phase: phase.Pending, Status: phase.InProgress,
				Message: fmt.Sprint(i), As: phase.ByOperator, Source: "user"})
			if err != nil {
				h.t.Error(err)
			}
		}
	}()
	return done
}

// Clients that share their executions, come and go at random, and read at
// different paces, each see the table once and in order.
func TestSharedEventsAreTheTable(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		r := rand.New(rand.NewPCG(1, 2))
		deps := []lifecycle.Deployed{h.order("a"), h.order("b"), h.order("c")}
		const reports = 150
		done := h.write(deps, reports)
		type client struct {
			s     *socket
			after string
			got   []string
		}
		clients := make([]*client, 6)
		for i := range clients {
			clients[i] = &client{after: h.feed.Cursor(0).String()}
		}
		for open := len(clients); open > 0; {
			c := clients[r.IntN(len(clients))]
			if len(c.got) == reports+len(deps) {
				continue
			}
			if c.s == nil {
				c.s = h.subscribe(operation(t, "Events"), m{"after": c.after})
			}
			msg := c.s.next()
			c.got, c.after = append(c.got, ids(msg, "events")...), msg["cursor"].(string)
			if len(c.got) == reports+len(deps) {
				open--
			}
			if r.IntN(6) == 0 {
				c.s.drop()
				c.s = nil
			}
		}
		<-done
		want := allEvents(t, h)
		for i, c := range clients {
			require.Equal(t, want, c.got, "client %d", i)
		}
		require.Positive(t, h.handler.Sharing().Delivered)
	})
}

// pump reads messages as they come, until the socket ends: a client that
// others wait for must not become a slow one.
func (s *socket) pump() <-chan m {
	out := make(chan m, 1000)
	require.NoError(s.t, s.ws.SetReadDeadline(time.Now().Add(time.Minute)))
	go func() {
		defer close(out)
		for {
			var msg m
			if s.ws.ReadJSON(&msg) != nil {
				return
			}
			if data, ok := dig(msg, "payload.data").(m); ok {
				for _, v := range data {
					out <- v.(m)
				}
			}
		}
	}()
	return out
}

// Tables that are fed by snapshots of their own and shared deltas end up as
// the fleet is, numbers included.
func TestSharedFleetTables(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		r := rand.New(rand.NewPCG(3, 4))
		var deps []lifecycle.Deployed
		for i := range 5 {
			deps = append(deps, h.order(fmt.Sprintf("n-%d", i)))
		}
		done := h.write(deps, 100)
		type client struct {
			*table
			messages <-chan m
		}
		var clients []*client
		for len(clients) < 5 {
			clients = append(clients, &client{table: &table{rows: map[string]m{}}, messages: h.subscribe(operation(t, "Changes"), nil).pump()})
			for range r.IntN(3) {
				for _, c := range clients {
					select {
					case msg := <-c.messages:
						c.apply(t, msg)
					case <-done: // nothing more may come
					}
				}
			}
		}
		<-done
		added := h.order("the-last")
		h.seen(h.report(added, phase.Pending, phase.InProgress, "x").Position)
		want := m{}
		for _, e := range h.ok(operation(t, "Fleet"), m{"first": 100}).get("bareMetalNodes.edges").([]any) {
			want[dig(e, "node.id").(string)] = dig(e, "node.version")
		}
		for i, c := range clients {
			for {
				have := m{}
				for id, row := range c.rows {
					have[id] = row["version"]
				}
				if fmt.Sprint(have) == fmt.Sprint(want) && fmt.Sprint(c.total) == "6" {
					break
				}
				msg, ok := <-c.messages
				require.True(t, ok, "client %d", i)
				c.apply(t, msg)
			}
			require.Len(t, c.rows, 6, "client %d", i)
		}
		h.members(1, 5)

		// One that comes when all is quiet gets the fleet and its numbers too.
		late := &table{rows: map[string]m{}}
		s := h.subscribe(operation(t, "Changes"), nil)
		for len(late.rows) < 6 || late.total == nil {
			late.apply(t, s.next())
		}
		h.members(1, 6)
	})
}

// subscribeAs subscribes with a role.
func (h *house) subscribeAs(role, doc string, vars m) *socket {
	h.t.Helper()
	d := websocket.Dialer{Subprotocols: []string{wstransport.Subprotocol}}
	ws, _, err := d.Dial("ws"+strings.TrimPrefix(h.srv.URL, "http"), http.Header{"X-Role": {role}, "X-Name": {role}})
	require.NoError(h.t, err)
	s := &socket{h.t, ws}
	h.t.Cleanup(s.drop)
	s.write(m{"type": "connection_init"})
	require.Equal(h.t, "connection_ack", s.message()["type"])
	s.write(m{"type": "subscribe", "id": "other", "payload": m{"query": doc, "variables": vars}})
	return s
}

// What is asked alike with the same role is shared; nothing else is.
func TestWhatIsShared(t *testing.T) {
	h := build(t, storetest.SQLite(t))
	d := h.order("a")
	h.seen(h.report(d, phase.Pending, phase.InProgress, "x").Position)
	events := operation(t, "Events")
	zero, head := h.feed.Cursor(0).String(), h.feed.Head().String()

	h.subscribe(events, nil)
	h.members(1, 1)
	for i, after := range []string{zero, head} {
		s := h.subscribe(events, m{"after": after})
		require.Equal(t, true, s.next()["caughtUp"])
		h.members(1, 2+i)
	}
	h.subscribe(events, m{"heartbeatSeconds": 60})
	h.members(2, 4)
	h.subscribe(events, m{"filter": m{"phases": []string{"FAILED"}}})
	h.members(3, 5)
	h.subscribeAs("operator", events, nil)
	h.members(4, 6)
	h.subscribe("subscription{deploymentEvents{__typename}}", nil)
	h.members(5, 7)
	h.subscribe("subscription($no:Boolean=false){deploymentEvents{__typename ...@skip(if:$no){__typename}}}", nil)
	h.members(6, 8)
	s := h.subscribe(operation(t, "Changes"), nil)
	require.Equal(t, true, s.next()["last"])
	h.members(7, 9)

	require.Eventually(t, func() bool { return h.feed.Streams() == 7 }, 2*time.Minute, time.Millisecond, "one stream a group")
	for i, alone := range []string{
		`subscription{deploymentEvents(after:"` + zero + `"){__typename}}`,
		`subscription($after:Cursor){deploymentEvents(after:$after){... on DeploymentEventBatch{caughtUp events{deployment{events(first:1,after:$after){nodes{id}}}}}}}`,
	} {
		s := h.subscribe(alone, m{"after": zero})
		s.next()
		require.Equal(t, int64(i)+8, h.feed.Streams())
	}
	h.members(7, 9)
}

// A thousandth subscriber of the same costs no further statement.
func TestSharedStatements(t *testing.T) {
	h := build(t, storetest.SQLite(t))
	d := h.order("a")
	cost := func(clients int) int64 {
		var all []*socket
		for range clients {
			all = append(all, h.subscribe(operation(t, "Events"), nil))
		}
		h.members(1, clients)
		h.queries.Store(0)
		h.report(d, phase.Pending, phase.InProgress, fmt.Sprint(clients))
		for _, s := range all {
			require.Len(t, s.next()["events"], 1)
		}
		n := h.queries.Load()
		for _, s := range all {
			s.drop()
		}
		h.members(0, 0)
		return n
	}
	h.seen(1)
	cost(2) // what is remembered for a while is read now
	one := cost(1)
	require.Positive(t, one)
	require.Equal(t, one, cost(20))
}

// The end of what they follow completes all who follow it.
func TestSharedStreamsEnd(t *testing.T) {
	h := build(t, storetest.SQLite(t))
	a := h.order("a")
	vars := m{"filter": m{"deploymentIds": []string{fmt.Sprintf("dep_%d", a.DeploymentID)}}}
	var all []*socket
	for range 4 {
		all = append(all, h.subscribe(operation(t, "Events"), vars))
	}
	h.members(1, 4)
	h.report(a, phase.Pending, phase.FailedRun, "over")
	for _, s := range all {
		for message := s.message(); message["type"] != "complete"; message = s.message() {
			require.Equal(t, "next", message["type"])
		}
	}
	h.members(0, 0)
	require.Eventually(t, func() bool { return h.feed.Streams() == 0 }, 2*time.Minute, time.Millisecond)
}

// A shared stream that falls out of memory goes on from the database: nobody
// who reads fast enough is reset because of it.
func TestSharedStreamOutlivesTheRing(t *testing.T) {
	h := build(t, storetest.SQLite(t), func(d *graph.Deps, o *feed.Options) {
		o.Ring, o.Page = 16, 8
		d.Sockets = wstransport.Config{Pace: time.Second} // 50 ms between two messages
	})
	d := h.order("a")
	h.seen(h.report(d, phase.Pending, phase.InProgress, "before").Position)
	s := h.subscribe(operation(t, "Events"), nil)
	h.members(1, 1)
	done := h.write([]lifecycle.Deployed{d}, 200)
	n := 0
	for n < 200 {
		msg := s.next()
		require.Equal(t, "DeploymentEventBatch", msg["__typename"])
		for _, e := range msg["events"].([]any) {
			require.Equal(t, fmt.Sprint(n), dig(e, "message"))
			n++
		}
	}
	<-done
}
