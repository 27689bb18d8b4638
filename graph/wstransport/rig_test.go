package wstransport_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"go.uber.org/goleak"

	"github.com/slipwayhq/slipway/graph/wstransport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// executor understands a few words in place of documents:
//
//	once    one response, then the end
//	bad     a request error
//	panic   a panic while executing
//	fail    one response, then a broken stream
//	feed    what comes in on its channel, until the operation ends
//	flood   responses of 32 KiB without end
type executor struct {
	feed    chan string
	started chan struct{}
	ended   chan struct{} // gets one value for every feed or flood that ended

	mu    sync.Mutex
	sent  int // responses of flood
	users []any
}

type userKey struct{}

func (e *executor) CreateOperationContext(_ context.Context, p *graphql.RawParams) (*graphql.OperationContext, gqlerror.List) {
	oc := &graphql.OperationContext{RawQuery: p.Query}
	if p.Query == "bad" {
		return oc, gqlerror.List{{Message: "cannot be"}}
	}
	return oc, nil
}

func (e *executor) DispatchError(_ context.Context, list gqlerror.List) *graphql.Response {
	return &graphql.Response{Errors: list}
}

func (e *executor) PresentRecoveredError(context.Context, any) error {
	return &gqlerror.Error{Message: "presented"}
}

func (e *executor) DispatchOperation(ctx context.Context, oc *graphql.OperationContext) (graphql.ResponseHandler, context.Context) {
	e.mu.Lock()
	e.users = append(e.users, ctx.Value(userKey{}))
	e.mu.Unlock()
	switch oc.RawQuery {
	case "once":
		return graphql.OneShot(&graphql.Response{Data: json.RawMessage(`{"x":1}`)}), ctx
	case "fail":
		n := 0
		return func(context.Context) *graphql.Response {
			if n++; n == 1 {
				return &graphql.Response{Data: json.RawMessage(`{"x":1}`)}
			}
			wstransport.Fail(ctx, &gqlerror.Error{Message: "it broke"})
			wstransport.Fail(ctx, &gqlerror.Error{Message: "later"})
			return nil
		}, ctx
	case "panic":
		return func(context.Context) *graphql.Response { panic("boom") }, ctx
	case "flood":
		data := json.RawMessage(`{"x":"` + strings.Repeat("y", 32<<10) + `"}`)
		context.AfterFunc(ctx, func() { e.ended <- struct{}{} })
		return func(ctx context.Context) *graphql.Response {
			if ctx.Err() != nil {
				return nil
			}
			e.mu.Lock()
			e.sent++
			e.mu.Unlock()
			return &graphql.Response{Data: data}
		}, ctx
	}
	context.AfterFunc(ctx, func() { e.ended <- struct{}{} })
	if e.started != nil {
		e.started <- struct{}{}
	}
	return func(ctx context.Context) *graphql.Response {
		select {
		case <-ctx.Done():
		case v, ok := <-e.feed:
			if ok {
				return &graphql.Response{Data: json.RawMessage(v)}
			}
		}
		return nil
	}, ctx
}

// wsHandler mounts the transport the way gqlgen does it.
type wsHandler struct {
	t    *wstransport.Transport
	exec graphql.GraphExecutor
}

func (h wsHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !h.t.Supports(r) {
		http.Error(w, "no", http.StatusBadRequest)
		return
	}
	h.t.Do(w, r, h.exec)
}

type rig struct {
	t    *testing.T
	tr   *wstransport.Transport
	exec *executor
	srv  *httptest.Server
}

func newRig(t *testing.T, cfg wstransport.Config) *rig {
	t.Helper()
	e := &executor{feed: make(chan string), ended: make(chan struct{}, 100)}
	r := &rig{t: t, tr: wstransport.New(cfg), exec: e}
	r.srv = httptest.NewServer(wsHandler{r.tr, e})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_ = r.tr.Shutdown(ctx, 0)
		r.srv.Close()
	})
	return r
}

func (r *rig) dialWith(h http.Header, protocols ...string) (*client, *http.Response, error) {
	d := websocket.Dialer{Subprotocols: protocols, HandshakeTimeout: time.Minute}
	ws, resp, err := d.Dial("ws"+strings.TrimPrefix(r.srv.URL, "http"), h)
	if err != nil {
		return nil, resp, err
	}
	r.t.Cleanup(func() { _ = ws.Close() })
	return &client{t: r.t, ws: ws}, resp, nil
}

func (r *rig) dial() *client {
	r.t.Helper()
	c, _, err := r.dialWith(nil, wstransport.Subprotocol)
	require.NoError(r.t, err)
	return c
}

func (r *rig) ready() *client {
	r.t.Helper()
	c := r.dial()
	c.send(`{"type":"connection_init"}`)
	require.JSONEq(r.t, `{"type":"connection_ack"}`, c.read())
	return c
}

type client struct {
	t  *testing.T
	ws *websocket.Conn
}

func (c *client) send(s string) {
	c.t.Helper()
	require.NoError(c.t, c.ws.WriteMessage(websocket.TextMessage, []byte(s)))
}

// read gives the next message that is not a protocol ping.
func (c *client) read() string {
	c.t.Helper()
	for {
		require.NoError(c.t, c.ws.SetReadDeadline(time.Now().Add(time.Minute)))
		_, b, err := c.ws.ReadMessage()
		require.NoError(c.t, err)
		if string(b) != `{"type":"ping"}` {
			return string(b)
		}
	}
}

// wantClose reads until the socket is closed and checks code and reason.
func (c *client) wantClose(code int, reason string) {
	c.t.Helper()
	for {
		require.NoError(c.t, c.ws.SetReadDeadline(time.Now().Add(time.Minute)))
		_, _, err := c.ws.ReadMessage()
		if err == nil {
			continue
		}
		var ce *websocket.CloseError
		require.ErrorAs(c.t, err, &ce)
		require.Equal(c.t, code, ce.Code, ce.Text)
		require.Contains(c.t, ce.Text, reason)
		return
	}
}

func subscribe(id, query string) string {
	return fmt.Sprintf(`{"id":%q,"type":"subscribe","payload":{"query":%q}}`, id, query)
}
