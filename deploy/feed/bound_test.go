package feed_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/feed"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

// Bounded streams that follow each other at random bounds, from the ring and
// from the database, give the table exactly once; each says once, at its end,
// that the reader has caught up.
func TestBoundedStreams(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st, feed.Options{Page: 7, Ring: 40}, false)
		d := h.deploy("a")
		for i := range 150 {
			h.say(d, fmt.Sprint(i))
		}
		h.caughtUp()
		head := h.head()
		r := rand.New(rand.NewPCG(3, 4))
		var seen []int64
		at := h.feed.Cursor(0)
		for at.Position < head {
			until := min(head, at.Position+int64(r.IntN(30)))
			s := h.feed.Events(feed.Filter{}, &at, time.Minute)
			s.Until(until)
			told := 0
			for {
				b, err := s.Next(within(t))
				if err != nil {
					require.ErrorIs(t, err, feed.ErrReached)
					break
				}
				require.Zero(t, told, "nothing comes after the end")
				for _, e := range b.Events {
					seen = append(seen, e.Position)
				}
				if b.CaughtUp {
					told++
				}
				at = b.Cursor
			}
			require.Equal(t, 1, told)
			require.Equal(t, until, at.Position)
			s.Close()
		}
		require.Equal(t, h.table(), seen)

		// One who was told already is not told again.
		s := h.feed.Events(feed.Filter{}, &at, time.Minute)
		defer s.Close()
		s.Continue(false)
		s.Until(head)
		_, err := s.Next(within(t))
		require.ErrorIs(t, err, feed.ErrReached)
	})
}

// A bounded stream waits for a bound that is not committed yet.
func TestBoundAhead(t *testing.T) {
	h := open(t, storetest.SQLite(t), feed.Options{}, false)
	d := h.deploy("a")
	h.say(d, "first")
	h.caughtUp()
	head := h.head()
	at := h.feed.Cursor(head)
	s := h.feed.Events(feed.Filter{}, &at, time.Minute)
	defer s.Close()
	s.Continue(false)
	s.Until(head + 1)
	h.say(d, "second")
	require.Equal(t, []string{"second"}, messages(next(t, s).Events))
	_, err := s.Next(within(t))
	require.ErrorIs(t, err, feed.ErrReached)
}

// One who must have kept up and did not is reset, one who need not is served
// from the database.
func TestContinue(t *testing.T) {
	h := open(t, storetest.SQLite(t), feed.Options{Page: 4, Ring: 16}, false)
	d := h.deploy("a")
	for i := range 100 {
		h.say(d, fmt.Sprint(i))
	}
	h.caughtUp()
	at := h.feed.Cursor(10)
	for _, live := range []bool{true, false} {
		e, n := h.feed.Events(feed.Filter{}, &at, time.Minute), h.feed.Nodes(&at, time.Minute)
		for _, s := range []interface {
			Continue(live bool)
			Until(position int64)
		}{e, n} {
			s.Continue(live)
			s.Until(40)
		}
		b, nb := next(t, e), feed.NodeBatch{}
		if live {
			require.Equal(t, feed.ResetSlowConsumer, b.Reset)
			require.Equal(t, h.head(), b.Cursor.Position)
		} else {
			require.EqualValues(t, 11, b.Events[0].Position)
		}
		e.Close()
		nb, err := n.Next(within(t))
		if live && err == nil {
			require.Equal(t, feed.ResetSlowConsumer, nb.Reset)
		} else {
			require.ErrorIs(t, err, feed.ErrReached, "its one machine changed later")
		}
		n.Close()
	}
}

func TestBoundedNodes(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st, feed.Options{Page: 3, Ring: 16}, false)
		for i := range 10 {
			h.deploy(name(i))
		}
		h.caughtUp()
		head := h.head()
		at := h.feed.Cursor(0)
		seen := map[int64]int{}
		for at.Position < head {
			until := min(head, at.Position+4)
			s := h.feed.Nodes(&at, time.Minute)
			s.Until(until)
			for {
				b, err := s.Next(within(t))
				if err != nil {
					require.ErrorIs(t, err, feed.ErrReached)
					break
				}
				require.LessOrEqual(t, b.Cursor.Position, until)
				for _, id := range b.Changed {
					seen[id]++
				}
			}
			s.Close()
			at.Position = until
		}
		require.Len(t, seen, 10)
		for id, n := range seen {
			require.Equal(t, 1, n, "%d", id)
		}
	})
}
