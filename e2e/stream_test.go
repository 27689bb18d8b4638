package e2e

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/client"
	"github.com/slipwayhq/slipway/deploy/feed"
)

// brokenSockets drops the socket again and again while nodes are deployed, and
// resumes with the last cursor: what came in all is the table, in order, once.
func (y *system) brokenSockets(t *testing.T) {
	random := dice(t)
	names := []string{"torn-1", "torn-2", "torn-3"}
	before := y.table()
	cursor := before[len(before)-1].Cursor
	y.order(y.ctx, names...)
	type seen struct{ cursor, text string }
	var got []seen
	drops, deployed := 0, 0
	for deployed < len(names) {
		s := y.subscribe(y.ctx, t, eventsQuery, map[string]any{"after": cursor, "beat": 1})
		for left := 1 + random.IntN(12); left > 0 && deployed < len(names); left-- {
			m := s.next(t)
			require.NotEqual(t, "StreamReset", m.Type, m.Reason)
			require.NotEmpty(t, m.Cursor)
			for _, e := range m.Events {
				got = append(got, seen{e.Cursor, fmt.Sprintf("%d %s %s", e.Sequence, e.PhaseKey, e.Message)})
				if e.PhaseKey == "deployed" {
					deployed++
				}
			}
			cursor = m.Cursor
		}
		s.drop()
		drops++
	}
	var want []seen
	for _, r := range y.table()[len(before):] {
		want = append(want, seen{r.Cursor, fmt.Sprintf("%d %s %s", r.Sequence, r.Phase, r.Message)})
	}
	require.Equal(t, want, got)
	require.Greater(t, drops, 3)
	t.Logf("%d events over %d sockets", len(got), drops)

	t.Run("heartbeat", func(t *testing.T) {
		s := y.subscribe(y.ctx, t, eventsQuery, map[string]any{"after": cursor, "beat": 1})
		defer s.drop()
		// Every second, not as usual: of many the fastest, on a busy machine.
		for range 20 {
			began := time.Now()
			m := s.next(t)
			for m.Type != "StreamHeartbeat" {
				m = s.next(t)
			}
			require.NotEmpty(t, m.Cursor)
			if time.Since(began) < 10*time.Second {
				return
			}
		}
		t.Fatal("no heartbeat came within ten seconds of the one before")
	})
	t.Run("a cursor of another database", func(t *testing.T) {
		s := y.subscribe(y.ctx, t, eventsQuery, map[string]any{"after": feed.Cursor{Epoch: "another", Position: 1}.String()})
		defer s.drop()
		m := s.next(t)
		require.Equal(t, "StreamReset", m.Type)
		require.NotEmpty(t, m.Cursor)
	})
}

// fleet resumes the fleet's table: after a drop only what has changed comes,
// and both together are the fleet.
func (y *system) fleet(t *testing.T) {
	held := map[string]fleetNode{}
	take := func(m message) {
		for _, n := range append(m.Nodes, m.Changed...) {
			held[n.ID] = n
		}
		for _, id := range m.RemovedIDs {
			delete(held, id)
		}
	}
	s := y.subscribe(y.ctx, t, fleetQuery, map[string]any{"beat": 1})
	var cursor string
	for last := false; !last; {
		m := s.next(t)
		require.Equal(t, "FleetSnapshotPage", m.Type)
		take(m)
		last, cursor = m.Last, m.Cursor
	}
	s.drop()
	require.Len(t, held, len(y.nodes(t)))

	id := y.order(y.ctx, "torn-4")["torn-4"].ID
	y.events.until(y.ctx, "torn-4 is deployed", func(e []client.Event) bool {
		_, ok := find(e, func(e client.Event) bool { return "dep_"+text(e.DeploymentID) == id && e.Phase == "deployed" })
		return ok
	})
	s = y.subscribe(y.ctx, t, fleetQuery, map[string]any{"after": cursor, "beat": 1})
	defer s.drop()
	changed := 0
	for {
		m := s.next(t)
		if m.Type == "StreamHeartbeat" {
			break
		}
		require.Equal(t, "FleetDelta", m.Type)
		changed += len(m.Changed)
		take(m)
	}
	require.Positive(t, changed)
	require.Less(t, changed, len(held), "not the whole fleet again")
	want := y.nodes(t)
	require.Len(t, held, len(want))
	require.True(t, slices.ContainsFunc(want, func(n client.Node) bool { return n.Name == "torn-4" && n.DeploymentStatus == "deployed" }))
	for _, n := range want {
		require.Equal(t, n.DeploymentStatus, held[n.Id].DeploymentStatus, n.Name)
	}
}

// nodes is the fleet as the API tells it.
func (y *system) nodes(t *testing.T) []client.Node {
	t.Helper()
	var all []client.Node
	require.NoError(t, y.api.Nodes(context.Background(), nil, func(n client.Node) error {
		all = append(all, n)
		return nil
	}))
	return all
}
