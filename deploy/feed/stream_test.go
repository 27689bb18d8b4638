package feed_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/feed"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

// TestReplayThenLive has readers drop and resume at random while writers
// write; each must have seen the whole table, once and in order.
func TestReplayThenLive(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		const writers, each, readers = 8, 60, 6
		h := open(t, st, feed.Options{Page: 16}, false)
		var deps []lifecycle.Deployed
		for i := range writers {
			deps = append(deps, h.deploy(name(i)))
		}
		var reading, writing sync.WaitGroup
		seen := make([][]int64, readers)
		errs := make([]error, readers)
		last := make(chan int64)
		var end int64
		go func() { end = <-last; close(last) }()
		for i := range readers {
			reading.Go(func() { seen[i], errs[i] = readAll(within(t), h.feed, uint64(i), last, &end) })
		}
		for i := range writers {
			writing.Go(func() {
				for n := range each {
					h.say(deps[i], fmt.Sprintf("%d-%d", i, n))
				}
			})
		}
		writing.Wait()
		final := h.say(deps[0], "the last")
		last <- final.Position
		reading.Wait()
		want := h.table()
		require.Len(t, want, writers+writers*each+1)
		for i := range readers {
			require.NoError(t, errs[i])
			require.Equal(t, want, seen[i], "reader %d: exactly once, in order", i)
		}
		require.Zero(t, h.feed.Streams())
	})
}

// readAll follows the stream from its beginning, dropping the connection at
// random and resuming after the last cursor it was given.
func readAll(ctx context.Context, f *feed.Feed, seed uint64, last chan int64, end *int64) (seen []int64, err error) {
	random := rand.New(rand.NewPCG(1, seed))
	at := f.Cursor(0)
	for {
		s := f.Events(feed.Filter{IncludeRefused: true}, &at, 20*time.Millisecond)
		for range 1 + random.IntN(6) {
			b, err := s.Next(ctx)
			if err != nil {
				return seen, err
			}
			if b.Reset != feed.ResetNone {
				return seen, fmt.Errorf("reset: %s", b.Reset)
			}
			for _, e := range b.Events {
				seen = append(seen, e.Position)
			}
			at, err = feed.ParseCursor(b.Cursor.String())
			if err != nil {
				return seen, err
			}
		}
		s.Close()
		select {
		case <-last:
			if at.Position >= *end {
				return seen, nil
			}
		default:
		}
	}
}

func TestFilters(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st, feed.Options{Page: 3}, false)
		batch, err := h.DeployBatch(t.Context(), lifecycle.NewBatch{MaxParallel: 1, Actor: deploy.System, Deployments: []lifecycle.NewDeployment{
			{Name: "b1", Spec: deploy.Spec{Provider: deploy.ProviderIBMVPC, ServerProfile: "p"}}, {Name: "b2", Spec: deploy.Spec{Provider: deploy.ProviderIBMVPC, ServerProfile: "p"}}}})
		require.NoError(t, err)
		a, b := batch.Items[0].Deployed, batch.Items[1].Deployed
		c := h.deploy("c")
		for i := range 5 {
			h.say(a, fmt.Sprint(i))
			h.say(b, fmt.Sprint(i))
			h.say(c, fmt.Sprint(i))
		}
		_, err = h.Report(t.Context(), lifecycle.Report{DeploymentID: a.DeploymentID, Phase: phase.HealthValidation, Status: phase.Success, As: phase.ByWorkflow, Source: deploy.SourceOrchestrator})
		require.True(t, deploy.HasCode(err, deploy.CodeIllegalJump))
		h.end(a)
		h.caughtUp()
		for want, filter := range map[int]feed.Filter{
			19: {},
			20: {IncludeRefused: true},
			7:  {DeploymentIDs: []int64{a.DeploymentID}},
			8:  {DeploymentIDs: []int64{a.DeploymentID}, IncludeRefused: true},
			12: {NodeIDs: []int64{b.NodeID, c.NodeID}},
			13: {BatchID: batch.BatchID},
			4:  {Phases: []string{phase.Pending}},
			15: {Statuses: []string{"in_progress"}, Sources: []string{"installer_script"}},
			1:  {Statuses: []string{"failed"}, DeploymentIDs: []int64{a.DeploymentID}},
			0:  {DeploymentIDs: []int64{999}},
		} {
			zero := h.feed.Cursor(0)
			s := h.feed.Events(filter, &zero, 5*time.Millisecond)
			var got []*feed.Event
			for {
				batch, err := s.Next(within(t))
				if errors.Is(err, io.EOF) || batch.Heartbeat {
					break
				}
				require.NoError(t, err)
				got = append(got, batch.Events...)
			}
			s.Close()
			require.Len(t, got, want, "%+v: %v", filter, messages(got))
			for _, e := range got {
				require.True(t, filter.Match(e))
			}
			// The same, by pages.
			var paged []*feed.Event
			var after *feed.Cursor
			for {
				p, err := h.feed.Read(t.Context(), filter, after, 4)
				require.NoError(t, err)
				require.Empty(t, p.Reset)
				require.LessOrEqual(t, len(p.Events), 4)
				paged = append(paged, p.Events...)
				after = &p.Cursor
				if !p.HasMore {
					require.Equal(t, h.head(), p.Cursor.Position)
					break
				}
				require.Len(t, p.Events, 4)
			}
			require.Equal(t, got, paged, "the paged twin gives the same")
		}
		_, err = h.feed.Read(t.Context(), feed.Filter{}, nil, 0)
		require.Error(t, err)
	})
}

func TestAnEventIsWhole(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st, feed.Options{}, false)
		d := h.deploy("n1")
		s := h.feed.Events(feed.Filter{}, nil, 0)
		defer s.Close()
		seven := 7
		at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
		r, err := h.Report(t.Context(), lifecycle.Report{DeploymentID: d.DeploymentID, Phase: "note", Status: phase.InProgress, Message: "m", As: phase.ByMachine, Source: deploy.SourceInstallerScript,
			Actor: deploy.Actor{Kind: deploy.ActorMachine, Name: "mac"}, Progress: &seven, ServerStatus: "s", Details: []byte(`{"a":1}`), LogTail: "log", IdempotencyKey: "k", OccurredAt: at})
		require.NoError(t, err)
		var e *feed.Event
		for e == nil {
			for _, got := range next(t, s).Events {
				if got.Phase == "note" {
					e = got
				}
			}
		}
		require.JSONEq(t, `{"a":1}`, string(e.Details))
		require.WithinDuration(t, time.Now(), e.RecordedAt, time.Minute)
		e.Details, e.RecordedAt = nil, time.Time{}
		require.Equal(t, &feed.Event{ID: r.EventID, Position: r.Position, DeploymentID: d.DeploymentID, NodeID: d.NodeID, Sequence: 2, Attempt: 1, Phase: "note", Status: "in_progress", Message: "m",
			Outcome: "step", Source: "installer_script", Actor: "mac", Progress: &seven, ServerStatus: "s", LogTail: "log", IdempotencyKey: "k", State: "queued", OccurredAt: at}, e)
	})
}

func TestCaughtUpHeartbeatAndContext(t *testing.T) {
	h := open(t, storetest.SQLite(t), feed.Options{Page: 4}, false)
	d := h.deploy("n1")
	for i := range 9 {
		h.say(d, fmt.Sprint(i))
	}
	h.caughtUp()
	zero := h.feed.Cursor(0)
	s := h.feed.Events(feed.Filter{Phases: []string{"note"}}, &zero, 10*time.Millisecond)
	defer s.Close()
	told, events := 0, 0
	for told == 0 {
		b := next(t, s)
		require.False(t, b.Heartbeat)
		events += len(b.Events)
		if b.CaughtUp {
			told++
		}
	}
	require.Equal(t, 9, events)
	b := next(t, s)
	require.True(t, b.Heartbeat)
	require.Empty(t, b.Events)
	require.Equal(t, h.head(), b.Cursor.Position, "a heartbeat moves the cursor on, over what the filter leaves out")

	live := h.feed.Events(feed.Filter{}, nil, 0)
	defer live.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := live.Next(ctx)
	require.ErrorIs(t, err, context.Canceled)

	// A stream that replays nothing says so at once.
	head := h.feed.Head()
	quiet := h.feed.Events(feed.Filter{}, &head, 0)
	defer quiet.Close()
	require.Equal(t, feed.Batch{CaughtUp: true, Cursor: head}, next(t, quiet))
	require.EqualValues(t, 3, h.feed.Streams())
	quiet.Close()
	quiet.Close()
	require.EqualValues(t, 2, h.feed.Streams())
}

func TestEndOfNamedDeployments(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st, feed.Options{Page: 2}, false)
		a, b := h.deploy("a"), h.deploy("b")
		both := feed.Filter{DeploymentIDs: []int64{a.DeploymentID, b.DeploymentID}}
		h.caughtUp()
		zero := h.feed.Cursor(0)
		live, replay := h.feed.Events(both, nil, 20*time.Millisecond), h.feed.Events(both, &zero, 20*time.Millisecond)
		filtered := h.feed.Events(feed.Filter{DeploymentIDs: []int64{a.DeploymentID}, Phases: []string{"nothing"}}, nil, 20*time.Millisecond)
		h.end(a)
		h.caughtUp()
		quiet := func(s *feed.EventStream) (events int) {
			for {
				got := next(t, s)
				events += len(got.Events)
				if got.Heartbeat {
					return events
				}
			}
		}
		require.Equal(t, 1, quiet(live), "one of them goes on: not the end")
		require.Equal(t, 3, quiet(replay))
		last := h.end(b)
		toEnd := func(s *feed.EventStream) (events []*feed.Event) {
			defer s.Close()
			for {
				got, err := s.Next(within(t))
				if errors.Is(err, io.EOF) {
					_, again := s.Next(within(t))
					require.Equal(t, io.EOF, again)
					return events
				}
				require.NoError(t, err)
				events = append(events, got.Events...)
			}
		}
		for _, s := range []*feed.EventStream{live, replay} {
			got := toEnd(s)
			require.NotEmpty(t, got, "the last event comes before the end")
			require.Equal(t, last.Position, got[len(got)-1].Position)
		}
		require.Empty(t, toEnd(filtered), "a filter that leaves out the last event ends too")
		require.Empty(t, toEnd(h.feed.Events(both, nil, 0)), "nothing comes of what has ended")
		require.Len(t, toEnd(h.feed.Events(both, &zero, 0)), 4)
		head := h.feed.Head()
		require.Empty(t, toEnd(h.feed.Events(both, &head, 0)))
	})
}

func TestResets(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st, feed.Options{}, false)
		d := h.deploy("n1")
		h.say(d, "before")
		h.caughtUp()
		head := h.feed.Head()
		for _, c := range []feed.Cursor{{Epoch: "another", Position: 1}, {Epoch: head.Epoch, Position: head.Position + 1000}} {
			s := h.feed.Events(feed.Filter{}, &c, 0)
			require.Equal(t, feed.Batch{Reset: feed.ResetCursorUnknown, Cursor: h.feed.Head()}, next(t, s))
			n := h.feed.Nodes(&c, 0)
			nb, err := n.Next(within(t))
			require.NoError(t, err)
			require.Equal(t, feed.NodeBatch{Reset: feed.ResetCursorUnknown, Cursor: h.feed.Head()}, nb)
			p, err := h.feed.Read(t.Context(), feed.Filter{}, &c, 10)
			require.NoError(t, err)
			require.Equal(t, feed.ResetCursorUnknown, p.Reset)
			require.Empty(t, p.Events)
			h.say(d, fmt.Sprint("after ", c))
			require.Equal(t, []string{fmt.Sprint("after ", c)}, messages(collect(t, s, 1)), "then it is live")
			nb, err = n.Next(within(t))
			require.NoError(t, err)
			require.Equal(t, []int64{d.NodeID}, nb.Changed)
			s.Close()
			n.Close()
			h.caughtUp()
		}
	})
}

func TestExpired(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st, feed.Options{Poll: 10 * time.Millisecond}, false)
		d := h.deploy("n1")
		h.say(d, "old")
		floor := h.say(d, "gone")
		kept := h.say(d, "kept")
		h.caughtUp()
		_, err := st.Write.Exec(`INSERT INTO settings (id, value, updated_at) VALUES ('stream_floor', $1, $2)`, fmt.Sprint(floor.Position), time.Now().UTC())
		require.NoError(t, err)
		check := func(f *feed.Feed) {
			old, at := f.Cursor(floor.Position-1), f.Cursor(floor.Position)
			s := f.Events(feed.Filter{}, &old, 0)
			defer s.Close()
			require.Equal(t, feed.ResetCursorExpired, next(t, s).Reset)
			n := f.Nodes(&old, 0)
			defer n.Close()
			nb, err := n.Next(within(t))
			require.NoError(t, err)
			require.Equal(t, feed.ResetCursorExpired, nb.Reset)
			p, err := f.Read(t.Context(), feed.Filter{}, &old, 10)
			require.NoError(t, err)
			require.Equal(t, feed.ResetCursorExpired, p.Reset)
			good := f.Events(feed.Filter{}, &at, 0)
			defer good.Close()
			require.Equal(t, kept.Position, collect(t, good, 1)[0].Position)
			p, err = f.Read(t.Context(), feed.Filter{}, nil, 10)
			require.NoError(t, err)
			require.Empty(t, p.Reset, "from the beginning is from what is kept")
			require.Equal(t, []string{"kept"}, messages(p.Events))
		}
		check(open(t, st, feed.Options{}, false).feed)
		// One that was already running learns of it.
		require.Eventually(t, func() bool {
			old := h.feed.Cursor(0)
			p, err := h.feed.Read(t.Context(), feed.Filter{}, &old, 1)
			return err == nil && p.Reset == feed.ResetCursorExpired
		}, 2*time.Minute, 10*time.Millisecond)
		check(h.feed)
	})
}

func TestSlowConsumer(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st, feed.Options{Ring: 8, Page: 4}, false)
		d := h.deploy("n1")
		h.caughtUp()
		slow, replay := h.feed.Events(feed.Filter{}, nil, 0), h.feed.Events(feed.Filter{}, ptr(h.feed.Cursor(0)), 0)
		nodes := h.feed.Nodes(nil, 0)
		defer slow.Close()
		defer replay.Close()
		defer nodes.Close()
		for i := range 30 {
			h.say(d, fmt.Sprint(i))
			h.caughtUp() // changes of a node that are read together are one
		}
		b := next(t, slow)
		require.Equal(t, feed.Batch{Reset: feed.ResetSlowConsumer, Cursor: h.feed.Head()}, b)
		nb, err := nodes.Next(within(t))
		require.NoError(t, err)
		require.Equal(t, feed.ResetSlowConsumer, nb.Reset)
		require.Len(t, collect(t, replay, 31), 31, "who replays reads the table, however small the ring")
		h.say(d, "live")
		require.Equal(t, []string{"live"}, messages(collect(t, slow, 1)))
		nb, err = nodes.Next(within(t))
		require.NoError(t, err)
		require.Equal(t, []int64{d.NodeID}, nb.Changed)
	})
}

func ptr[T any](v T) *T { return &v }

// TestTheEndIsNotToldTooEarly: the tables say that a deployment has ended
// before this process has read its last event. The event comes first.
func TestTheEndIsNotToldTooEarly(t *testing.T) {
	h := open(t, storetest.SQLite(t), feed.Options{Poll: time.Hour}, true)
	d := h.deploy("n1")
	s := h.feed.Events(feed.Filter{DeploymentIDs: []int64{d.DeploymentID}, Phases: []string{phase.Pending}}, nil, 20*time.Millisecond)
	defer s.Close()
	last := h.end(d)
	nothing(t, s)
	h.feed.Wake(0)
	events := collect(t, s, 2)
	require.Equal(t, last.Position, events[1].Position)
	_, err := s.Next(within(t))
	require.Equal(t, io.EOF, err)
}

// TestABurstInPages: what was committed in one burst is read page by page.
func TestABurstInPages(t *testing.T) {
	h := open(t, storetest.SQLite(t), feed.Options{Poll: time.Hour, Page: 4}, true)
	d := h.deploy("n1")
	s := h.feed.Events(feed.Filter{IncludeRefused: true}, nil, 0)
	defer s.Close()
	_, err := h.Report(t.Context(), lifecycle.Report{DeploymentID: d.DeploymentID, Phase: phase.Pending, Status: phase.Success, As: phase.ByWorkflow})
	require.NoError(t, err)
	require.NoError(t, h.Do(t.Context(), []int64{d.DeploymentID}, nil, func(tx *lifecycle.Tx) error {
		for i := range 30 { // their positions follow each other without a gap
			if _, err := tx.Report(lifecycle.Report{DeploymentID: d.DeploymentID, Phase: "note", Status: phase.InProgress, Message: fmt.Sprint(i), As: phase.ByMachine}); err != nil {
				return err
			}
		}
		return nil
	}))
	h.feed.Wake(0)
	var got []int64
	for _, e := range collect(t, s, 32) {
		got = append(got, e.Position)
	}
	require.Equal(t, h.table(), got)
}
