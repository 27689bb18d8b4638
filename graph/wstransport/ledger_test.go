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
	for page := 0; page < 2 && d.Snapshot && !resumed && !replay; page++ {
		if !say(told{Snap: true}, wstransport.Mark{}) {
			return
		}
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
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
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
	require.Eventually(r.t, func() bool { return ok(r.tr.Sharing()) }, time.Minute, time.Millisecond, what)
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
