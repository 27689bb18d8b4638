package feed_test

import (
	"context"
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/feed"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

// remove does what a node's removal does to the stream.
func (h *house) remove(d lifecycle.Deployed) {
	h.t.Helper()
	require.NoError(h.t, h.st.InTx(context.Background(), func(tx *sql.Tx) error {
		id, err := 0, error(nil)
		for _, q := range []string{`DELETE FROM phase_runs WHERE deployment_id IN (SELECT id FROM deployments WHERE node_id = $1)`, `UPDATE nodes SET current_deployment_id = NULL WHERE id = $1`} {
			if _, err := tx.Exec(q, d.NodeID); err != nil {
				return err
			}
		}
		err = h.st.WithRetention(context.Background(), tx, func() error {
			_, err := tx.Exec(`DELETE FROM deployment_history WHERE node_id = $1`, d.NodeID)
			return err
		})
		if err != nil {
			return err
		}
		for _, q := range []string{`DELETE FROM deployments WHERE node_id = $1`, `DELETE FROM nodes WHERE id = $1`} {
			if _, err := tx.Exec(q, d.NodeID); err != nil {
				return err
			}
		}
		if err := tx.QueryRow(`UPDATE stream_counter SET position = position + 1 RETURNING position`).Scan(&id); err != nil {
			return err
		}
		_, err = tx.Exec(`INSERT INTO node_tombstones (id, name, changed_position, removed_at) VALUES ($1, 'x', $2, $3)`, d.NodeID, id, time.Now().UTC())
		return err
	}))
	h.feed.Wake(0)
}

func nextNodes(t *testing.T, s *feed.NodeStream) feed.NodeBatch {
	t.Helper()
	b, err := s.Next(within(t))
	require.NoError(t, err)
	require.Empty(t, b.Reset)
	return b
}

func TestNodes(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st, feed.Options{Page: 4}, false)
		var deps []lifecycle.Deployed
		for i := range 7 {
			deps = append(deps, h.deploy(name(i)))
		}
		h.say(deps[0], "again")
		h.caughtUp()
		zero := h.feed.Cursor(0)
		h = open(t, st, feed.Options{Page: 4}, false) // its ring is empty: it reads the table
		replay := h.feed.Nodes(&zero, 10*time.Millisecond)
		defer replay.Close()
		var got []int64
		for len(got) < 7 {
			b := nextNodes(t, replay)
			got = append(got, b.Changed...)
			require.Equal(t, len(got) == 7, b.CaughtUp)
		}
		require.Equal(t, []int64{deps[1].NodeID, deps[2].NodeID, deps[3].NodeID, deps[4].NodeID, deps[5].NodeID, deps[6].NodeID, deps[0].NodeID}, got, "each once, at its newest change")
		require.True(t, nextNodes(t, replay).Heartbeat)

		// Several changes of one node are one.
		for i := range 3 {
			h.say(deps[2], fmt.Sprint(i))
		}
		h.say(deps[1], "once")
		h.caughtUp()
		b := nextNodes(t, replay)
		require.Equal(t, []int64{deps[2].NodeID, deps[1].NodeID}, b.Changed, "in the order of their newest change")

		// A removal is told, live and after a resume.
		resume := b.Cursor
		h.say(deps[3], "soon gone")
		h.remove(deps[3])
		h.caughtUp()
		b = nextNodes(t, replay)
		require.Equal(t, []int64{deps[3].NodeID}, b.Removed)
		require.NotContains(t, b.Changed, deps[3].NodeID)
		for _, f := range []*feed.Feed{h.feed, open(t, st, feed.Options{}, false).feed} {
			again := f.Nodes(&resume, 0)
			b = nextNodes(t, again)
			require.Equal(t, []int64{deps[3].NodeID}, b.Removed)
			require.Empty(t, b.Changed)
			require.True(t, b.CaughtUp)
			again.Close()
		}
	})
}

// Who was told that more follows is told when nothing does, be it live or a
// replay, from memory or from the database.
func TestNothingFollows(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st, feed.Options{Page: 4}, false)
		zero, live := h.feed.Cursor(0), h.feed.Nodes(nil, 0)
		defer live.Close()
		for i := range 4 {
			h.deploy(name(i))
		}
		_, err := st.Write.Exec(`UPDATE stream_counter SET position = position + 1`) // of no machine
		require.NoError(t, err)
		h.feed.Wake(0)
		h.caughtUp()
		streams := []*feed.NodeStream{live}
		for _, f := range []*feed.Feed{h.feed, open(t, st, feed.Options{Page: 4}, false).feed} {
			s := f.Nodes(&zero, 0)
			defer s.Close()
			streams = append(streams, s)
		}
		for i, s := range streams {
			told := map[int64]bool{}
			b := nextNodes(t, s)
			for ; !b.CaughtUp; b = nextNodes(t, s) {
				require.NotEmpty(t, b.Changed, "stream %d", i)
				for _, id := range b.Changed {
					told[id] = true
				}
			}
			require.True(t, b.Heartbeat, "stream %d", i)
			require.Equal(t, h.head(), b.Cursor.Position, "stream %d", i)
			require.Len(t, told, 4, "stream %d", i)
		}
	})
}

// TestTwoProcesses: what one process writes reaches the feed of another
// through PostgreSQL's notifications, long before a poll.
func TestTwoProcesses(t *testing.T) {
	st := storetest.Postgres(t)
	a, b := open(t, st, feed.Options{Poll: time.Hour}, false), open(t, st, feed.Options{Poll: time.Hour}, true)
	d := a.deploy("n1")
	s := b.feed.Events(feed.Filter{Phases: []string{"note"}}, nil, 0)
	defer s.Close()
	for i := range 20 {
		a.say(d, fmt.Sprint(i))
	}
	events := collect(t, s, 20)
	require.Equal(t, "19", events[19].Message)
	nodes := a.feed.Nodes(nil, 0)
	defer nodes.Close()
	b.say(d, "back")
	require.Equal(t, []int64{d.NodeID}, nextNodes(t, nodes).Changed)
}

// TestCursorOfAnotherProcess: a reader that moves to a process which has not
// read as far yet waits there; its cursor is no stranger's.
func TestCursorOfAnotherProcess(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st, feed.Options{Poll: time.Hour}, true)
		if st.Dialect == store.PostgreSQL {
			_, err := st.Write.Exec(`UPDATE stream_counter SET position = position`) // the listener is up; nothing to tell
			require.NoError(t, err)
		}
		d := h.deploy("n1")
		r := h.say(d, "already seen elsewhere")
		var changed int64
		require.NoError(t, st.Read.QueryRow(`SELECT changed_position FROM nodes WHERE id = $1`, d.NodeID).Scan(&changed))
		at := h.feed.Cursor(max(r.Position, changed))
		s, n := h.feed.Events(feed.Filter{}, &at, 10*time.Millisecond), h.feed.Nodes(&at, 10*time.Millisecond)
		defer s.Close()
		defer n.Close()
		page, err := h.feed.Read(t.Context(), feed.Filter{}, &at, 5)
		require.NoError(t, err)
		require.Equal(t, feed.Page{Cursor: at}, page)
		b := next(t, s)
		require.Empty(t, b.Reset)
		require.Equal(t, at, b.Cursor, "its place is kept")
		nb := nextNodes(t, n)
		require.Empty(t, nb.Changed)
		require.Equal(t, at, nb.Cursor)
		h.say(d, "new")
		h.feed.Wake(0)
		var got []*feed.Event
		for len(got) == 0 {
			b := next(t, s)
			require.Empty(t, b.Reset)
			got = b.Events
		}
		require.Equal(t, []string{"new"}, messages(got))
		for nb = nextNodes(t, n); nb.Heartbeat; nb = nextNodes(t, n) {
		}
		require.Equal(t, []int64{d.NodeID}, nb.Changed)
	})
}
