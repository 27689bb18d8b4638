package wstransport_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/graph/wstransport"
)

func TestCloseCodes(t *testing.T) {
	long := strings.Repeat("i", 300)
	for _, tc := range []struct {
		name   string
		send   []string
		code   int
		reason string
	}{
		{"not JSON", []string{`{`}, 4400, "Invalid JSON"},
		{"not UTF-8", []string{"{\"type\":\"ping\",\"payload\":{\"a\":\"\xff\"}}"}, 4400, "must be UTF-8"},
		{"not an object", []string{`[]`}, 4400, "Invalid JSON"},
		{"no type", []string{`{}`}, 4400, "needs a type"},
		{"type of the old protocol", []string{`{"type":"start","id":"1"}`}, 4400, "Unknown message type"},
		{"init payload that is no object", []string{`{"type":"connection_init","payload":"x"}`}, 4400, "must be an object"},
		{"ping payload that is no object", []string{`{"type":"ping","payload":[1]}`}, 4400, "must be an object"},
		{"subscribe without id", []string{`{"type":"connection_init"}`, `{"type":"subscribe","payload":{"query":"once"}}`}, 4400, "needs an id"},
		{"subscribe with an empty id", []string{`{"type":"connection_init"}`, subscribe("", "once")}, 4400, "needs an id"},
		{"subscribe with a long id", []string{`{"type":"connection_init"}`, subscribe(long, "once")}, 4400, "needs an id"},
		{"subscribe without payload", []string{`{"type":"connection_init"}`, `{"type":"subscribe","id":"1"}`}, 4400, "object with a query"},
		{"subscribe without query", []string{`{"type":"connection_init"}`, `{"type":"subscribe","id":"1","payload":{}}`}, 4400, "object with a query"},
		{"variables that are no object", []string{`{"type":"connection_init"}`, `{"type":"subscribe","id":"1","payload":{"query":"once","variables":[]}}`}, 4400, "object with a query"},
		{"complete without id", []string{`{"type":"connection_init"}`, `{"type":"complete"}`}, 4400, "needs an id"},
		{"subscribe before init", []string{subscribe("1", "once")}, 4401, "Unauthorized"},
		{"second init", []string{`{"type":"connection_init"}`, `{"type":"connection_init"}`}, 4429, "Too many initialisation requests"},
		{"duplicate id", []string{`{"type":"connection_init"}`, subscribe("a", "feed"), subscribe("a", "feed")}, 4409, "Subscriber for a already exists"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newRig(t, wstransport.Config{}).dial()
			for _, s := range tc.send {
				c.send(s)
			}
			c.wantClose(tc.code, tc.reason)
		})
	}
}

func TestBinaryMessageIsRefused(t *testing.T) {
	c := newRig(t, wstransport.Config{}).ready()
	require.NoError(t, c.ws.WriteMessage(websocket.BinaryMessage, []byte(`{"type":"ping"}`)))
	c.wantClose(4400, "text")
}

func TestInitTimeout(t *testing.T) {
	c := newRig(t, wstransport.Config{InitTimeout: 30 * time.Millisecond}).dial()
	c.wantClose(4408, "initialisation timeout")
}

func TestInitRefusal(t *testing.T) {
	refusal := errors.New("inner words")
	r := newRig(t, wstransport.Config{Init: func(ctx context.Context, _ *http.Request, p json.RawMessage) (context.Context, error) {
		if strings.Contains(string(p), "slow") {
			return nil, &wstransport.CloseError{Code: 4499, Reason: strings.Repeat("é", 100)}
		}
		return nil, refusal
	}})
	c := r.dial()
	c.send(`{"type":"connection_init","payload":{}}`)
	c.wantClose(4403, "Forbidden")
	c = r.dial()
	c.send(`{"type":"connection_init","payload":{"slow":true}}`)
	c.wantClose(4499, strings.Repeat("é", 61))
}

func TestInitGivesContextAndExpires(t *testing.T) {
	var expire context.CancelFunc
	r := newRig(t, wstransport.Config{Init: func(ctx context.Context, r *http.Request, p json.RawMessage) (context.Context, error) {
		ctx, expire = context.WithCancel(context.WithValue(ctx, userKey{}, r.Header.Get("X-User")+string(p)))
		return ctx, nil
	}})
	r.exec.started = make(chan struct{})
	c, _, err := r.dialWith(http.Header{"X-User": {"ann"}}, wstransport.Subprotocol)
	require.NoError(t, err)
	c.send(`{"type":"connection_init","payload":{"a":1}}`)
	require.JSONEq(t, `{"type":"connection_ack"}`, c.read())
	c.send(subscribe("1", "feed"))
	<-r.exec.started
	expire()
	c.wantClose(4403, "Forbidden")
	<-r.exec.ended
	require.Equal(t, []any{`ann{"a":1}`}, r.exec.users)
}

func TestUpgradeRefusals(t *testing.T) {
	r := newRig(t, wstransport.Config{Origins: []string{"https://app.example.com"}})
	for _, tc := range []struct {
		name      string
		header    http.Header
		protocols []string
		status    int
	}{
		{"no subprotocol", nil, nil, 400},
		{"old subprotocol", nil, []string{"graphql-ws"}, 400},
		{"foreign origin", http.Header{"Origin": {"https://evil.example.com"}}, []string{wstransport.Subprotocol}, 403},
		{"null origin", http.Header{"Origin": {"null"}}, []string{wstransport.Subprotocol}, 403},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, resp, err := r.dialWith(tc.header, tc.protocols...)
			require.Error(t, err)
			require.Equal(t, tc.status, resp.StatusCode)
		})
	}
	for _, origin := range []string{"https://app.example.com", r.srv.URL, ""} {
		h := http.Header{}
		if origin != "" {
			h.Set("Origin", origin)
		}
		c, resp, err := r.dialWith(h, "graphql-ws", wstransport.Subprotocol)
		require.NoError(t, err, origin)
		require.Equal(t, wstransport.Subprotocol, resp.Header.Get("Sec-WebSocket-Protocol"))
		_ = c.ws.Close()
	}
}

func TestTooManySockets(t *testing.T) {
	r := newRig(t, wstransport.Config{MaxSockets: 1})
	r.ready()
	_, resp, err := r.dialWith(nil, wstransport.Subprotocol)
	require.Error(t, err)
	require.Equal(t, 503, resp.StatusCode)
	require.NotEmpty(t, resp.Header.Get("Retry-After"))
}

func TestOperations(t *testing.T) {
	r := newRig(t, wstransport.Config{})
	c := r.ready()

	c.send(subscribe(`q"1`, "once"))
	require.JSONEq(t, `{"id":"q\"1","type":"next","payload":{"data":{"x":1}}}`, c.read())
	require.JSONEq(t, `{"id":"q\"1","type":"complete"}`, c.read())

	c.send(subscribe("b", "bad"))
	require.JSONEq(t, `{"id":"b","type":"error","payload":[{"message":"cannot be"}]}`, c.read())

	c.send(subscribe("p", "panic"))
	require.JSONEq(t, `{"id":"p","type":"error","payload":[{"message":"presented"}]}`, c.read())

	c.send(subscribe("f", "fail"))
	require.Contains(t, c.read(), "next")
	require.JSONEq(t, `{"id":"f","type":"error","payload":[{"message":"it broke"}]}`, c.read())

	// An id is free again as soon as its operation has ended.
	for range 50 {
		c.send(subscribe("p", "once"))
		require.Contains(t, c.read(), "next")
		require.Contains(t, c.read(), "complete")
	}

	c.send(subscribe("s", "feed"))
	r.exec.feed <- `{"n":1}`
	require.JSONEq(t, `{"id":"s","type":"next","payload":{"data":{"n":1}}}`, c.read())
	c.send(`{"id":"s","type":"complete"}`)
	<-r.exec.ended

	// After the peer's complete nothing more comes for it, and the id is free.
	c.send(subscribe("s", "once"))
	require.Contains(t, c.read(), "next")
	require.JSONEq(t, `{"id":"s","type":"complete"}`, c.read())

	// The end of a stream completes it.
	c.send(subscribe("e", "feed"))
	r.exec.feed <- `{"n":2}`
	require.Contains(t, c.read(), `"n":2`)
	close(r.exec.feed)
	require.JSONEq(t, `{"id":"e","type":"complete"}`, c.read())
}

func TestMaxOperations(t *testing.T) {
	r := newRig(t, wstransport.Config{MaxOperations: 2})
	r.exec.started = make(chan struct{})
	c := r.ready()
	for _, id := range []string{"1", "2"} {
		c.send(subscribe(id, "feed"))
		<-r.exec.started
	}
	c.send(subscribe("3", "feed"))
	require.Contains(t, c.read(), `{"id":"3","type":"error","payload":[{"message":"at most 2 operations`)
	c.send(`{"id":"1","type":"complete"}`)
	<-r.exec.ended
	c.send(subscribe("3", "feed"))
	<-r.exec.started
	require.Equal(t, 2, r.tr.Stats().Operations)
}

func TestPings(t *testing.T) {
	r := newRig(t, wstransport.Config{PingInterval: time.Second}) // a client on a busy machine has two of them to answer
	c := r.ready()

	// The client's pings, on both levels.
	c.send(`{"type":"ping"}`)
	require.JSONEq(t, `{"type":"pong"}`, c.read())
	c.send(`{"type":"ping","payload":{"a":1}}`)
	require.JSONEq(t, `{"type":"pong","payload":{"a":1}}`, c.read())
	pong := make(chan string, 1)
	c.ws.SetPongHandler(func(s string) error { pong <- s; return nil })
	require.NoError(t, c.ws.WriteControl(websocket.PingMessage, []byte("hey"), time.Now().Add(time.Second)))

	// The server's pings, on both levels; answering one level keeps it alive.
	pings := make(chan struct{}, 100)
	c.ws.SetPingHandler(func(s string) error {
		pings <- struct{}{}
		return c.ws.WriteControl(websocket.PongMessage, []byte(s), time.Now().Add(time.Second))
	})
	protocol := 0
	for protocol < 6 { // six intervals are three times the deadline
		_, b, err := c.ws.ReadMessage()
		require.NoError(t, err)
		require.JSONEq(t, `{"type":"ping"}`, string(b))
		protocol++
	}
	require.GreaterOrEqual(t, len(pings), 6)
	require.Equal(t, "hey", <-pong)

	// Without any answer it is cut.
	c.ws.SetPingHandler(func(string) error { return nil })
	for {
		if _, _, err := c.ws.ReadMessage(); err != nil {
			break
		}
	}
	require.Eventually(t, func() bool { return r.tr.Stats().Sockets == 0 }, time.Minute, time.Millisecond)
}

func TestReadLimit(t *testing.T) {
	c := newRig(t, wstransport.Config{}).ready()
	c.send(fmt.Sprintf(`{"type":"ping","payload":{"a":%q}}`, strings.Repeat("x", 200<<10)))
	require.Contains(t, c.read(), "pong")
	c.send(fmt.Sprintf(`{"type":"ping","payload":{"a":%q}}`, strings.Repeat("x", 1<<20)))
	c.wantClose(websocket.CloseMessageTooBig, "")
}

// A peer that does not read is cut by the write deadline, its operations end,
// and meanwhile it has cost its bounded queue only and held up nobody.
func TestStuckReader(t *testing.T) {
	r := newRig(t, wstransport.Config{WriteTimeout: 2 * time.Second, QueueFrames: 8, QueueBytes: 128 << 10})
	stuck := r.ready()
	stuck.send(subscribe("1", "flood"))
	stuck.send(subscribe("2", "flood"))

	lively := r.ready()
	for i := range 100 {
		lively.send(subscribe(fmt.Sprint(i), "once"))
		require.Contains(t, lively.read(), "next")
		require.Contains(t, lively.read(), "complete")
	}
	require.LessOrEqual(t, r.tr.Stats().Queued, 8)
	<-r.exec.ended
	<-r.exec.ended
	require.Eventually(t, func() bool { return r.tr.Stats().Sockets == 1 }, time.Minute, time.Millisecond)
	// What it was sent is what kernel buffers and the queue hold: far from endless.
	r.exec.mu.Lock()
	defer r.exec.mu.Unlock()
	require.Less(t, r.exec.sent, 1000)
}

// A peer that provokes answers without reading them is cut as well.
func TestAnswersThatNobodyReads(t *testing.T) {
	r := newRig(t, wstransport.Config{WriteTimeout: 2 * time.Second, QueueFrames: 4})
	c := r.ready()
	ping := []byte(fmt.Sprintf(`{"type":"ping","payload":{"a":%q}}`, strings.Repeat("x", 100<<10)))
	_ = c.ws.SetWriteDeadline(time.Now().Add(time.Minute))
	for {
		if err := c.ws.WriteMessage(websocket.TextMessage, ping); err != nil {
			break
		}
	}
	require.Eventually(t, func() bool { return r.tr.Stats().Sockets == 0 }, time.Minute, time.Millisecond)
}

// A dropped connection ends its operations.
func TestDrop(t *testing.T) {
	r := newRig(t, wstransport.Config{})
	r.exec.started = make(chan struct{})
	c := r.ready()
	c.send(subscribe("1", "feed"))
	c.send(subscribe("2", "flood"))
	<-r.exec.started
	require.NoError(t, c.ws.NetConn().Close())
	<-r.exec.ended
	<-r.exec.ended
	require.Eventually(t, func() bool { return r.tr.Stats() == wstransport.Stats{} }, time.Minute, time.Millisecond)
}

// The peer's close frame is answered with the same code.
func TestPeerCloses(t *testing.T) {
	r := newRig(t, wstransport.Config{})
	c := r.ready()
	require.NoError(t, c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1001, "bye"), time.Now().Add(time.Second)))
	c.wantClose(1001, "")
	require.Eventually(t, func() bool { return r.tr.Stats().Sockets == 0 }, time.Minute, time.Millisecond)
}

func TestShutdown(t *testing.T) {
	r := newRig(t, wstransport.Config{})
	r.exec.started = make(chan struct{})
	var cs []*client
	for range 10 {
		c := r.ready()
		c.send(subscribe("1", "feed"))
		<-r.exec.started
		cs = append(cs, c)
	}
	done := make(chan error, 1)
	go func() { done <- r.tr.Shutdown(context.Background(), 20*time.Millisecond) }()
	for _, c := range cs {
		c.wantClose(1012, "Service restart")
	}
	require.NoError(t, <-done)
	_, resp, err := r.dialWith(nil, wstransport.Subprotocol)
	require.Error(t, err)
	require.Equal(t, 503, resp.StatusCode)
	require.NoError(t, r.tr.Shutdown(context.Background(), 0), "again is no harm")
}

// A peer that does not answer the close frame does not hold up a shutdown.
func TestShutdownCutsTheDeaf(t *testing.T) {
	r := newRig(t, wstransport.Config{CloseTimeout: time.Hour})
	r.ready()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, r.tr.Shutdown(ctx, 0), context.DeadlineExceeded)
	require.Eventually(t, func() bool { return r.tr.Stats().Sockets == 0 }, time.Minute, time.Millisecond)
}

// Many sockets, many operations, clients that come and go: nothing is left.
func TestNothingLeaks(t *testing.T) {
	r := newRig(t, wstransport.Config{})
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			ws, _, err := (&websocket.Dialer{Subprotocols: []string{wstransport.Subprotocol}}).Dial("ws"+strings.TrimPrefix(r.srv.URL, "http"), nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer ws.Close()
			for _, m := range []string{`{"type":"connection_init"}`, subscribe("a", "flood"), subscribe("b", "feed")} {
				if err := ws.WriteMessage(websocket.TextMessage, []byte(m)); err != nil {
					t.Error(err)
				}
			}
			for range i {
				if _, _, err := ws.ReadMessage(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	require.Eventually(t, func() bool { return r.tr.Stats() == wstransport.Stats{} }, time.Minute, time.Millisecond)
}

// Frames of every length form of RFC 6455, section 5.2, arrive whole and in order.
func TestFrameLengths(t *testing.T) {
	r := newRig(t, wstransport.Config{})
	c := r.ready()
	c.send(subscribe("1", "feed"))
	var want []string
	for _, n := range []int{1, 80, 81, 82, 83, 84, 85, 86, 87, 88, 125, 126, 200, 32 << 10, 65480, 65490, 65500, 65535, 65536, 200 << 10} {
		want = append(want, fmt.Sprintf(`{"n":%q}`, strings.Repeat("z", n)))
	}
	go func() {
		for _, v := range want {
			r.exec.feed <- v
		}
		close(r.exec.feed)
	}()
	for _, v := range want {
		require.JSONEq(t, `{"id":"1","type":"next","payload":{"data":`+v+`}}`, c.read())
	}
	require.Contains(t, c.read(), "complete")
}
