package feed_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/feed"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

// TestStale: a stream says up to when it knows everything, from the moment the
// database does not answer.
func TestStale(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		begun := time.Now()
		h := open(t, st, feed.Options{Poll: 5 * time.Millisecond}, false)
		h.deploy("n1")
		h.caughtUp()
		events := h.feed.Events(feed.Filter{}, nil, 5*time.Millisecond)
		defer events.Close()
		nodes := h.feed.Nodes(nil, 5*time.Millisecond)
		defer nodes.Close()

		require.NoError(t, st.Read.Close())
		var since time.Time
		for b := next(t, events); since.IsZero(); b = next(t, events) {
			require.True(t, b.Heartbeat)
			since = b.StaleSince
		}
		require.WithinRange(t, since, begun, time.Now())
		n, err := nodes.Next(within(t))
		require.NoError(t, err)
		require.True(t, n.Heartbeat)
		require.Equal(t, since, n.StaleSince)
		got, stale := h.feed.StaleSince()
		require.True(t, stale)
		require.Equal(t, since, got)
	})
}

// Who comes back while the database is silent is told so at once, not with the
// next heartbeat: having caught up with what is known is not being up to date.
func TestWhoComesBackHearsThatItIsStale(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st, feed.Options{Poll: 5 * time.Millisecond}, false)
		h.deploy("n1")
		h.caughtUp()
		head := h.feed.Head()
		require.NoError(t, st.Read.Close())
		require.Eventually(t, func() bool { _, stale := h.feed.StaleSince(); return stale }, 2*time.Minute, time.Millisecond)

		events := h.feed.Events(feed.Filter{}, &head, time.Hour)
		defer events.Close()
		b := next(t, events)
		require.True(t, b.CaughtUp)
		require.Empty(t, b.Events)
		b = next(t, events)
		require.True(t, b.Heartbeat)
		require.False(t, b.StaleSince.IsZero())

		nodes := h.feed.Nodes(&head, time.Hour)
		defer nodes.Close()
		n, err := nodes.Next(within(t))
		require.NoError(t, err)
		require.True(t, n.Heartbeat)
		require.False(t, n.StaleSince.IsZero())
	})
}
