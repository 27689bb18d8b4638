package wstransport_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/graph/wstransport"
)

// Whatever clients do, and whatever becomes of groups, each sees what it asked
// for exactly once and in order.
func TestSharedExactlyOnce(t *testing.T) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := newShareRig(t, wstransport.Config{QueueFrames: 6, QueueBytes: 24 << 10, MaxReplays: 3, Pace: -1})
			const end = 1000
			docs := []document{{Of: 1, Pad: 1500}, {Of: 1, Pad: 1500}, {Of: 3, Beats: true}, {Of: 40}}
			tick := make(chan struct{}, 4)
			var clients []*roamer
			var wg sync.WaitGroup
			errs := make(chan error, 20)
			for i := range 16 {
				c := &roamer{r: r, doc: docs[i%len(docs)], random: rand.New(rand.NewPCG(seed, uint64(i))), end: end, tick: tick}
				clients = append(clients, c)
				wg.Go(func() {
					if err := c.roam(); err != nil {
						errs <- err
					}
				})
			}
			random := rand.New(rand.NewPCG(seed, 99))
			pulse := time.NewTicker(time.Millisecond)
			defer pulse.Stop()
			for r.l.Head() < end {
				select {
				case <-tick:
				case <-pulse.C:
				}
				if random.IntN(50) == 0 {
					r.l.resets.Store(1)
				}
				r.l.append(min(end-r.l.Head(), int64(1+random.IntN(4))))
			}
			wg.Wait()
			select {
			case err := <-errs:
				t.Fatal(err)
			default:
			}
			for i, c := range clients {
				var want []int64
				for p := c.doc.Of; p <= end; p += c.doc.Of {
					want = append(want, p)
				}
				require.Equal(t, want, c.got, "client %d", i)
			}
			s := r.tr.Sharing()
			t.Logf("%+v, %d shared executions", s, r.l.executions.Load())
			require.Positive(t, s.Delivered)
			require.Zero(t, r.l.alone.Load())
			r.until("groups end with their members", func(s wstransport.Sharing) bool { return s.Groups == 0 })
		})
	}
}

// Many clients of one operation cost one execution, whatever their ids and
// cursors, and what a message says is the same for all.
func TestOneExecutionForAll(t *testing.T) {
	r := newShareRig(t, wstransport.Config{})
	r.l.append(20)
	var all []*follower
	for i := range int64(10) {
		var after *int64
		if i%2 == 1 {
			after = &i
		}
		f := r.follow(fmt.Sprint("id-", i), document{Of: 1}, after)
		all = append(all, f)
		for at := i; after != nil && at < 20; {
			at = f.want().To
		}
	}
	r.members(10)
	require.EqualValues(t, 1, r.l.executions.Load())
	replays := r.tr.Sharing().Replays
	require.Less(t, replays, int64(15), "replays have their parts in common")
	for range 5 {
		r.l.append(3)
		head := r.l.Head()
		for _, f := range all {
			require.Equal(t, told{IDs: []int64{head - 2, head - 1, head}, To: head}, f.want())
		}
	}
	require.EqualValues(t, 1, r.l.executions.Load())
	require.Equal(t, replays, r.tr.Sharing().Replays)
	require.Equal(t, 1, r.tr.Sharing().Groups)
	require.Equal(t, 10, r.tr.Stats().Operations)

	// Another key is another group; it ends with its last member.
	other := r.follow("x", document{Of: 1, Scope: 2}, nil)
	r.members(11)
	require.Equal(t, 2, r.tr.Sharing().Groups)
	require.NoError(t, other.ws.WriteJSON(map[string]any{"id": "x", "type": "complete"}))
	r.until("one group", func(s wstransport.Sharing) bool { return s.Groups == 1 && s.Members == 10 })
	require.NoError(t, all[0].ws.NetConn().Close())
	r.members(9)
}

// The stream's own end completes everybody.
func TestGroupCompletes(t *testing.T) {
	r := newShareRig(t, wstransport.Config{})
	zero := int64(0)
	r.l.append(1)
	a, b := r.follow("a", document{Of: 1}, nil), r.follow("b", document{Of: 1}, &zero)
	require.EqualValues(t, 1, b.want().To)
	r.members(2)
	r.l.end()
	for _, f := range []*follower{a, b} {
		_, kind, err := f.next()
		require.NoError(t, err)
		require.Equal(t, "complete", kind)
	}
	r.until("nothing left", func(s wstransport.Sharing) bool { return s.Groups == 0 })
	require.Zero(t, r.tr.Stats().Operations)
}

// A panic in a shared execution ends its operations with an error, and nothing
// else.
func TestGroupPanics(t *testing.T) {
	r := newShareRig(t, wstransport.Config{})
	a, b := r.follow("a", document{Of: 1, PanicAt: 2}, nil), r.follow("b", document{Of: 1, PanicAt: 2}, nil)
	other := r.follow("c", document{Of: 1}, nil)
	r.members(3)
	r.l.append(1)
	for _, f := range []*follower{a, b, other} {
		require.EqualValues(t, 1, f.want().To)
	}
	r.l.append(1)
	for _, f := range []*follower{a, b} {
		_, kind, err := f.next()
		require.NoError(t, err)
		require.JSONEq(t, `[{"message":"presented"}]`, kind)
	}
	require.EqualValues(t, 2, other.want().To)
	r.members(1)
}

// Who cannot be served at all hears why, each for itself.
func TestGroupIsRefused(t *testing.T) {
	r := newShareRig(t, wstransport.Config{})
	for range 3 {
		_, kind, err := r.follow("a", document{Of: 1, Refuse: true}, nil).next()
		require.NoError(t, err)
		require.JSONEq(t, `[{"message":"refused"}]`, kind)
	}
	r.until("nothing left", func(s wstransport.Sharing) bool { return s.Groups == 0 })
}

// A snapshot comes first and once, then what comes after it.
func TestSnapshotThenShared(t *testing.T) {
	r := newShareRig(t, wstransport.Config{})
	r.l.append(5)
	for i := range int64(4) {
		f := r.follow("s", document{Of: 1, Snapshot: true}, nil)
		require.Equal(t, told{Snap: true, To: 5 + i}, f.want())
		require.Equal(t, told{Snap: true, To: 5 + i}, f.want())
		r.members(int(i) + 1)
		r.l.append(1)
		require.Equal(t, told{IDs: []int64{6 + i}, To: 6 + i}, f.want())
	}
	require.EqualValues(t, 1, r.l.executions.Load())
}

// A member whose queue is full goes on alone and comes back; meanwhile nobody
// waits for it. One that reads nothing at all is cut by the write deadline.
func TestDetachAndRejoin(t *testing.T) {
	r := newShareRig(t, wstransport.Config{QueueFrames: 4, QueueBytes: 16 << 10, WriteTimeout: 3 * time.Second, Pace: -1})
	doc := document{Of: 1, Pad: 4000}
	slow, stuck, lively := r.follow("slow", doc, nil), r.follow("stuck", doc, nil), r.follow("lively", doc, nil)
	r.members(3)
	step := func() {
		r.l.append(1)
		require.Equal(t, []int64{r.l.Head()}, lively.want().IDs)
	}
	for r.tr.Sharing().Detached < 2 {
		step()
	}
	// The slow one reads now, and gets all of it.
	at := int64(0)
	for at < r.l.Head() {
		m := slow.want()
		for _, id := range m.IDs {
			at++
			require.Equal(t, at, id)
		}
	}
	// Both go on, until the stuck one is gone.
	for r.tr.Stats().Sockets > 2 {
		step()
		require.Equal(t, []int64{r.l.Head()}, slow.want().IDs)
	}
	r.members(2)
	require.NoError(t, stuck.ws.Close())
}

// A credential that ends takes its own operations with it, and no group.
func TestMemberExpires(t *testing.T) {
	expire := make(chan context.CancelFunc, 2)
	r := newShareRig(t, wstransport.Config{Init: func(ctx context.Context, _ *http.Request, _ json.RawMessage) (context.Context, error) {
		ctx, cancel := context.WithCancel(ctx)
		expire <- cancel
		return ctx, nil
	}})
	first := r.follow("a", document{Of: 1}, nil)
	end := <-expire
	second := r.follow("b", document{Of: 1}, nil)
	r.members(2)
	end()
	_, _, err := first.next()
	require.True(t, websocket.IsCloseError(err, 4403), "%v", err)
	r.members(1)
	r.l.append(1)
	require.EqualValues(t, 1, second.want().To)
	require.EqualValues(t, 1, r.l.executions.Load())
	(<-expire)()
}

// Operations count against a socket's limit whether they are shared or not,
// and an id in use stays in use.
func TestLimitsOfMembers(t *testing.T) {
	r := newShareRig(t, wstransport.Config{MaxOperations: 2})
	f := r.follow("1", document{Of: 1}, nil)
	subscribe := func(id string) {
		require.NoError(t, f.ws.WriteJSON(map[string]any{"id": id, "type": "subscribe", "payload": map[string]any{"query": f.doc}}))
	}
	subscribe("2")
	r.members(2)
	subscribe("3")
	_, kind, err := f.next()
	require.NoError(t, err)
	require.Contains(t, kind, "RATE_LIMITED")
	subscribe("1")
	_, _, err = f.next()
	require.True(t, websocket.IsCloseError(err, 4409), "%v", err)
	r.members(0)
}

// An operation that has no plan runs alone, beside shared ones.
func TestAlone(t *testing.T) {
	r := newShareRig(t, wstransport.Config{})
	f := &follower{r: r, doc: `{"of":1,"alone":true}`}
	require.NoError(t, f.connect("a", nil))
	defer f.ws.Close()
	require.Eventually(t, func() bool { return r.l.alone.Load() == 1 }, time.Minute, time.Millisecond)
	r.l.append(1)
	require.EqualValues(t, 1, f.want().To)
	require.Equal(t, wstransport.Sharing{}, r.tr.Sharing())
}

// With many members messages are made less often, and lose nothing by it.
func TestPace(t *testing.T) {
	r := newShareRig(t, wstransport.Config{Pace: 20 * time.Millisecond})
	f := r.follow("a", document{Of: 1}, nil)
	r.members(1)
	r.l.append(1)
	require.Equal(t, []int64{1}, f.want().IDs)
	for range 5 {
		r.l.append(1)
	}
	require.Equal(t, []int64{2, 3, 4, 5, 6}, f.want().IDs, "what happened meanwhile is one message")
}
