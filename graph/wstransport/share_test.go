package wstransport_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/slipwayhq/slipway/graph/wstransport"
)

// ledger is a stream of positions 1, 2, 3 …, and an executor whose operations
// follow it. A document is JSON: {"of": n} gives the positions that n divides,
// and more to provoke what can go wrong.
type ledger struct {
	mu    sync.Mutex
	head  int64
	moved chan struct{}
	over  bool // the stream ends at its head

	resets atomic.Int64 // how many more messages of shared executions become resets

	executions atomic.Int64 // shared ones
	alone      atomic.Int64 // without a run
}

type document struct {
	Of       int64 `json:"of"`
	Pad      int   `json:"pad"`      // bytes in every message
	Beats    bool  `json:"beats"`    // empty messages where nothing is to be told
	Snapshot bool  `json:"snapshot"` // begins with two messages at the head
	PanicAt  int64 `json:"panicAt"`  // shared executions panic at this position
	Refuse   bool  `json:"refuse"`   // every execution is refused
	Scope    int   `json:"scope"`    // only tells documents apart
}

// told is what a message of the ledger says.
type told struct {
	IDs   []int64 `json:"ids"`
	To    int64   `json:"to"`
	Snap  bool    `json:"snap,omitempty"`
	Reset bool    `json:"reset,omitempty"`
	Pad   string  `json:"pad,omitempty"`
}

func newLedger() *ledger { return &ledger{moved: make(chan struct{})} }

func (l *ledger) append(n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.head += n
	close(l.moved)
	l.moved = make(chan struct{})
}

func (l *ledger) end() {
	l.mu.Lock()
	l.over = true
	l.mu.Unlock()
	l.append(0)
}

func (l *ledger) look() (head int64, over bool, moved chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.head, l.over, l.moved
}

func (l *ledger) Head() int64 { h, _, _ := l.look(); return h }

func (l *ledger) CreateOperationContext(_ context.Context, p *graphql.RawParams) (*graphql.OperationContext, gqlerror.List) {
	return &graphql.OperationContext{RawQuery: p.Query, Variables: p.Variables}, nil
}

func (l *ledger) DispatchError(_ context.Context, list gqlerror.List) *graphql.Response {
	return &graphql.Response{Errors: list}
}

func (l *ledger) PresentRecoveredError(context.Context, any) error {
	return &gqlerror.Error{Message: "presented"}
}

func (l *ledger) share(_ context.Context, oc *graphql.OperationContext) *wstransport.Plan {
	if strings.Contains(oc.RawQuery, `"alone"`) {
		return nil
	}
	p := &wstransport.Plan{Piece: 8, Key: oc.RawQuery, Begin: wstransport.BeginNow, Head: l.Head, Context: context.Background}
	if strings.Contains(oc.RawQuery, `"snapshot":true`) {
		p.Begin = wstransport.BeginSnapshot
	}
	if after, ok := oc.Variables["after"].(json.Number); ok {
		p.Begin = wstransport.BeginReplay
		p.Position, _ = after.Int64()
	}
	return p
}

func (l *ledger) DispatchOperation(ctx context.Context, oc *graphql.OperationContext) (graphql.ResponseHandler, context.Context) {
	var d document
	if err := json.Unmarshal([]byte(oc.RawQuery), &d); err != nil {
		panic(err)
	}
	if d.Refuse {
		return graphql.OneShot(&graphql.Response{Errors: gqlerror.List{{Message: "refused"}}}), ctx
	}
	pos, replay := l.Head(), false
	if after, ok := oc.Variables["after"].(json.Number); ok {
		pos, _ = after.Int64()
		replay = true
	}
	out := make(chan told)
	run := wstransport.RunFrom(ctx)
	if run == nil {
		l.alone.Add(1)
	}
	go func() {
		defer close(out)
		l.follow(ctx, d, run, pos, replay, out)
	}()
	return func(ctx context.Context) *graphql.Response {
		select {
		case m, ok := <-out:
			if !ok {
				return nil
			}
			if d.PanicAt > 0 && m.To >= d.PanicAt {
				panic("at its place")
			}
			b, _ := json.Marshal(m)
			return &graphql.Response{Data: b}
		case <-ctx.Done():
			return nil
		}
	}, ctx
}

// follow is the resolver's stream: small batches, and a message ahead of who
// reads it, as the real one is.
func (l *ledger) follow(ctx context.Context, d document, run *wstransport.Run, pos int64, replay bool, out chan<- told) {
	say := func(m told, mark wstransport.Mark) bool {
		m.To, mark.To, m.Pad = pos, pos, strings.Repeat("x", d.Pad)
		run.Tell(mark)
		select {
		case out <- m:
			return true
		case <-ctx.Done():
			return false
		}
	}
	from, resumed := run.Resume()
	_, bounded := run.Until()
	caughtUp := !replay
	if resumed {
		pos = from
		caughtUp, _ = run.Told()
		caughtUp = caughtUp || run.Partial()
	}
	shared := resumed && !bounded
	if shared {
		l.executions.Add(1)
	}
	if d.Snapshot && !resumed && !replay && (!say(told{Snap: true}, wstransport.Mark{}) || !say(told{Snap: true}, wstransport.Mark{})) {
		return
	}
	for {
		if run.Ready(ctx) != nil {
			return
		}
		if !l.next(ctx, d, run, &pos, &caughtUp, shared, say) {
			return
		}
	}
}

// next makes one message. It reports false at the end.
func (l *ledger) next(ctx context.Context, d document, run *wstransport.Run, pos *int64, caughtUp *bool, shared bool, say func(told, wstransport.Mark) bool) bool {
	until, bounded := run.Until()
	for {
		head, over, moved := l.look()
		to := min(head, *pos+7)
		if bounded {
			to = max(*pos, min(to, until))
		}
		var ids []int64
		for p := *pos + 1; p <= to; p++ {
			if p%d.Of == 0 {
				ids = append(ids, p)
			}
		}
		was := *pos
		*pos = to
		end := bounded && to >= until
		if len(ids) > 0 && shared && l.resets.Add(-1) >= 0 {
			*pos = head
			return say(told{Reset: true}, wstransport.Mark{Reset: true})
		}
		if len(ids) > 0 || (end || to == head) && !*caughtUp || d.Beats && to > was {
			*caughtUp = *caughtUp || to == head || end
			mark := wstransport.Mark{Empty: len(ids) == 0}
			if len(ids) > 0 {
				mark.From = ids[0] - 1
			}
			return say(told{IDs: ids}, mark)
		}
		if end {
			return false
		}
		if to < head {
			continue
		}
		if over {
			run.Complete()
			return false
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return false
		}
	}
}

// tight makes the kernel's buffers small, so that a slow reader is noticed.
type tight struct{ net.Listener }

func (l tight) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(4 << 10)
	}
	return c, err
}

type shareRig struct {
	t   *testing.T
	tr  *wstransport.Transport
	l   *ledger
	srv *httptest.Server
}

func newShareRig(t *testing.T, cfg wstransport.Config) *shareRig {
	t.Helper()
	l := newLedger()
	cfg.Share = l.share
	r := &shareRig{t: t, tr: wstransport.New(cfg), l: l}
	r.srv = httptest.NewUnstartedServer(wsHandler{r.tr, l})
	r.srv.Listener = tight{r.srv.Listener}
	r.srv.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = r.tr.Shutdown(ctx, 0)
		r.srv.Close()
	})
	return r
}

// open gives a socket that is ready for operations.
func (r *shareRig) open(header http.Header) (*websocket.Conn, error) {
	d := websocket.Dialer{
		Subprotocols: []string{wstransport.Subprotocol},
		NetDialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, network, address)
			if err == nil {
				_ = c.(*net.TCPConn).SetReadBuffer(4 << 10)
			}
			return c, err
		},
	}
	ws, _, err := d.Dial("ws"+strings.TrimPrefix(r.srv.URL, "http"), header)
	if err != nil {
		return nil, err
	}
	if err := ws.WriteMessage(websocket.TextMessage, []byte(`{"type":"connection_init"}`)); err != nil {
		return nil, err
	}
	_, _, err = ws.ReadMessage()
	return ws, err
}

type envelope struct {
	ID      string          `json:"id"`
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload"`
}

// follower is a client with one subscription of a ledger.
type follower struct {
	r   *shareRig
	doc string
	ws  *websocket.Conn
}

func (r *shareRig) follow(id string, d document, after *int64) *follower {
	r.t.Helper()
	b, err := json.Marshal(d)
	require.NoError(r.t, err)
	f := &follower{r: r, doc: string(b)}
	require.NoError(r.t, f.connect(id, after))
	r.t.Cleanup(func() { _ = f.ws.Close() })
	return f
}

func (f *follower) connect(id string, after *int64) (err error) {
	if f.ws, err = f.r.open(nil); err != nil {
		return err
	}
	vars := map[string]any{}
	if after != nil {
		vars["after"] = *after
	}
	return f.ws.WriteJSON(map[string]any{"id": id, "type": "subscribe", "payload": map[string]any{"query": f.doc, "variables": vars}})
}

// next gives the next message of the operation.
func (f *follower) next() (told, string, error) {
	for {
		if err := f.ws.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
			return told{}, "", err
		}
		var e envelope
		if err := f.ws.ReadJSON(&e); err != nil {
			return told{}, "", err
		}
		var p struct{ Data told }
		switch e.Type {
		case "ping":
			continue
		case "next":
			if err := json.Unmarshal(e.Payload, &p); err != nil {
				return told{}, "", err
			}
		case "error":
			return told{}, string(e.Payload), nil
		}
		return p.Data, e.Type, nil
	}
}

func (f *follower) want() told {
	f.r.t.Helper()
	m, kind, err := f.next()
	require.NoError(f.r.t, err)
	require.Equal(f.r.t, "next", kind)
	return m
}

func (r *shareRig) until(what string, ok func(wstransport.Sharing) bool) {
	r.t.Helper()
	require.Eventually(r.t, func() bool { return ok(r.tr.Sharing()) }, 10*time.Second, time.Millisecond, what)
}

func (r *shareRig) members(n int) {
	r.t.Helper()
	r.until(fmt.Sprintf("%d members", n), func(s wstransport.Sharing) bool { return s.Members == n })
}

// roamer follows one document from the beginning to the end of the ledger,
// over connections that it drops at random, at random paces.
type roamer struct {
	r      *shareRig
	doc    document
	random *rand.Rand
	end    int64
	tick   chan<- struct{}
	got    []int64
	at     int64
}

func (c *roamer) roam() error {
	b, _ := json.Marshal(c.doc)
	f := &follower{r: c.r, doc: string(b)}
	for c.at < c.end {
		if err := f.connect(fmt.Sprint(c.random.IntN(1e9)), &c.at); err != nil {
			return err
		}
		err := c.read(f)
		_ = f.ws.NetConn().Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// read follows one connection for a while. A slow one reads nothing until the
// ledger has grown by much.
func (c *roamer) read(f *follower) error {
	slow := c.random.IntN(3) == 0
	for range 1 + c.random.IntN(60) {
		if slow && c.random.IntN(10) == 0 {
			head, _, moved := c.r.l.look()
			for goal := min(head+80, c.end); head < goal; head, _, moved = c.r.l.look() {
				<-moved
			}
		}
		m, kind, err := f.next()
		if err != nil || kind != "next" || m.Reset {
			return fmt.Errorf("at %d: %s %+v %w", c.at, kind, m, err)
		}
		if len(m.IDs) > 0 && m.IDs[0] <= c.at || m.To < c.at {
			return fmt.Errorf("went back from %d: %+v", c.at, m)
		}
		c.got, c.at = append(c.got, m.IDs...), m.To
		select {
		case c.tick <- struct{}{}:
		default:
		}
		if c.at >= c.end {
			break
		}
	}
	return nil
}

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
	r := newShareRig(t, wstransport.Config{QueueFrames: 4, QueueBytes: 16 << 10, WriteTimeout: time.Second, Pace: -1})
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
	require.Eventually(t, func() bool { return r.l.alone.Load() == 1 }, 10*time.Second, time.Millisecond)
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
