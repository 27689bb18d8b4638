package graph_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/access"
	"github.com/slipwayhq/slipway/deploy/bulk"
	"github.com/slipwayhq/slipway/deploy/cluster"
	"github.com/slipwayhq/slipway/deploy/feed"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	ops "github.com/slipwayhq/slipway/deploy/operation"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/query"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/ent"
	"github.com/slipwayhq/slipway/graph"
	"github.com/slipwayhq/slipway/graph/wstransport"
)

// house is the API on a real core and database. Its callers say with headers
// who they are: X-Role, and X-Name.
type house struct {
	t       *testing.T
	st      *store.Store
	writer  *lifecycle.Writer
	feed    *feed.Feed
	handler *graph.Handler
	srv     *httptest.Server
	queries atomic.Int64 // statements on the read pool
	cloud   *cloud       // provider ibm_vpc
	deps    graph.Deps   // what the handler was made with
	bulk    *bulk.Service
	cvms    *controllers
	groups  *cluster.Service
	log     *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func build(t *testing.T, st *store.Store, tune ...func(*graph.Deps, *feed.Options)) *house {
	t.Helper()
	h := &house{t: t, st: st, log: &lockedBuffer{}, cloud: &cloud{}}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	t.Cleanup(func() { cancel(); wg.Wait() })

	name := dialect.Postgres
	if st.Dialect == store.SQLite {
		name = dialect.SQLite
	}
	read := ent.NewClient(ent.Driver(dialect.DebugWithContext(entsql.OpenDB(name, st.Read), func(context.Context, ...any) { h.queries.Add(1) })))
	opts := feed.Options{Logger: slog.New(slog.NewTextHandler(h.log, nil))}
	d := graph.Deps{
		Fleet: query.NewFleet(read, query.NewStatuses(read, nil), nil), Version: "test",
		Logger: slog.New(slog.NewTextHandler(h.log, nil)),
	}
	for _, f := range tune {
		f(&d, &opts)
	}
	h.feed = feed.New(st, opts)
	h.writer = lifecycle.New(st, lifecycle.Options{OnCommit: h.feed.Wake, Logger: d.Logger})
	wg.Go(func() { h.writer.Run(ctx) })
	wg.Go(func() { _ = h.feed.Run(ctx) })
	<-h.feed.Ready()
	d.Feed, d.Commands = h.feed, h.writer
	h.bulk = bulk.New(bulk.Deps{Store: st, Writer: h.writer, Fleet: d.Fleet, Logger: d.Logger})
	d.Bulk, d.Keys, d.BulkEvery = h.bulk, access.New(st), 5*time.Millisecond
	d.Operations = ops.New(ops.Deps{
		Providers: map[string]deploy.Provider{deploy.ProviderIBMVPC: h.cloud}, Store: st, Writer: h.writer,
		Typical: query.NewStatuses(read, nil), BaseURL: "http://slipway.test", Slots: 1, Logger: d.Logger,
	})
	h.cvms = &controllers{}
	h.groups = cluster.New(cluster.Deps{Store: st, Writer: h.writer, CVMs: h.cvms, Planner: d.Operations.(*ops.Service), Installer: "install.sh", Logger: d.Logger})
	d.Clusters = h.groups
	if d.ClusterEvery == 0 {
		d.ClusterEvery = time.Hour // what is followed must be told of by the feed
	}
	h.deps, h.handler = d, graph.NewHandler(d)
	h.srv = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Request-Id", "req-1")
		ctx := r.Context()
		if role := r.Header.Get("X-Role"); role != "" {
			p := &access.Principal{Kind: access.KindToken, Role: access.Role(role), Name: "tester"}
			if n := r.Header.Get("X-Name"); n != "" {
				p.Name = n
			}
			if role == "machine" {
				p.Kind, p.Role = access.KindMachine, ""
			}
			if s := r.Header.Get("X-Expires-In"); s != "" {
				d, err := time.ParseDuration(s)
				if err != nil {
					panic(err)
				}
				p.ExpiresAt = time.Now().Add(d)
			}
			ctx = access.NewContext(ctx, p)
		}
		h.handler.ServeHTTP(w, r.WithContext(ctx))
	}))
	// Small buffers, so that a reader that stops is noticed soon.
	h.srv.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		_ = c.(*net.TCPConn).SetWriteBuffer(socketBuffer)
		return ctx
	}
	h.srv.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		require.NoError(t, h.handler.Shutdown(ctx, 0))
		h.srv.Close()
	})
	return h
}

// documents are the operations of testdata/operations.graphql: the shapes that
// the app and the command line share.
func documents(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("testdata/operations.graphql")
	require.NoError(t, err)
	return string(b)
}

// operation cuts one operation with all fragments out of the documents.
func operation(t *testing.T, name string) string {
	t.Helper()
	var b strings.Builder
	found := false
	for _, part := range strings.Split(documents(t), "\n# --\n") {
		switch head := strings.Fields(part); {
		case head[0] == "fragment":
			// Only fragments that are used may be sent: the validator refuses others.
			if uses(t, name, head[1]) {
				b.WriteString(part)
			}
		case strings.HasPrefix(head[1]+"(", name+"(") || strings.HasPrefix(head[1], name+"("):
			b.WriteString(part)
			found = true
		}
	}
	require.True(t, found, name)
	return b.String()
}

func uses(t *testing.T, operation, fragment string) bool {
	parts := map[string]string{}
	for _, part := range strings.Split(documents(t), "\n# --\n") {
		parts[strings.FieldsFunc(strings.Fields(part)[1], func(r rune) bool { return r == '(' })[0]] = part
	}
	var look func(name string) bool
	look = func(name string) bool {
		for other := range parts {
			if other != name && strings.Contains(parts[name], "..."+other+"\n") && (other == fragment || look(other)) {
				return true
			}
		}
		return false
	}
	return look(operation)
}

type answer struct {
	Status int
	Header http.Header
	Raw    string
	Data   map[string]any
	Errors []struct {
		Message    string
		Extensions map[string]any
	}
}

// get follows a path of keys and indices ("a.0.b") in the data.
func (a answer) get(path string) any { return dig(a.Data, path) }

func dig(v any, path string) any {
	for _, k := range strings.Split(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[k]
		case []any:
			var i int
			if _, err := fmt.Sscan(k, &i); err != nil || i >= len(x) {
				return nil
			}
			v = x[i]
		default:
			return nil
		}
	}
	return v
}

func (a answer) code(t *testing.T) string {
	t.Helper()
	require.NotEmpty(t, a.Errors, a.Raw)
	c, _ := a.Errors[0].Extensions["code"].(string)
	return c
}

func (h *house) send(body string, header ...string) answer {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), http.MethodPost, h.srv.URL, strings.NewReader(body))
	require.NoError(h.t, err)
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return h.do(req)
}

func (h *house) do(req *http.Request) answer {
	h.t.Helper()
	resp, err := http.DefaultClient.Do(req)
	require.NoError(h.t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	require.NoError(h.t, err)
	a := answer{Status: resp.StatusCode, Header: resp.Header, Raw: string(raw)}
	if strings.Contains(resp.Header.Get("Content-Type"), "json") {
		require.NoError(h.t, json.Unmarshal(raw, &a), "%s", raw)
	}
	return a
}

// as runs an operation with a role.
func (h *house) as(role, doc string, vars map[string]any) answer {
	h.t.Helper()
	body, err := json.Marshal(map[string]any{"query": doc, "variables": vars})
	require.NoError(h.t, err)
	return h.send(string(body), "X-Role", role)
}

// ok runs an operation as an operator and wants no request errors.
func (h *house) ok(doc string, vars map[string]any) answer {
	h.t.Helper()
	a := h.as("operator", doc, vars)
	require.Empty(h.t, a.Errors, a.Raw)
	require.Equal(h.t, http.StatusOK, a.Status)
	return a
}

// order deploys a node through the core.
func (h *house) order(name string) lifecycle.Deployed {
	h.t.Helper()
	d, err := h.writer.Deploy(h.t.Context(), lifecycle.NewDeployment{
		Name: name, Spec: deploy.Spec{Provider: deploy.ProviderIBMVPC, ServerProfile: "bx2d-metal-96x384"},
		Actor: deploy.Actor{Kind: deploy.ActorToken, Name: "tester"},
	})
	require.NoError(h.t, err)
	return d
}

// report reports through the core, as an operator.
func (h *house) report(d lifecycle.Deployed, key string, status phase.Status, message string) lifecycle.Receipt {
	h.t.Helper()
	r, err := h.writer.Report(h.t.Context(), lifecycle.Report{
		DeploymentID: d.DeploymentID, Phase: key, Status: status, Message: message, Source: deploy.SourceUser,
		Actor: deploy.Actor{Kind: deploy.ActorToken, Name: "tester"}, As: phase.ByOperator,
	})
	require.NoError(h.t, err)
	return r
}

// seen waits until the feed has what was committed.
func (h *house) seen(position int64) {
	h.t.Helper()
	require.Eventually(h.t, func() bool { return h.feed.Head().Position >= position }, 2*time.Minute, time.Millisecond)
}

const socketBuffer = 16 << 10

// socket is a client of the websocket with one subscription.
type socket struct {
	t  *testing.T
	ws *websocket.Conn
}

func (h *house) subscribe(doc string, vars map[string]any) *socket {
	h.t.Helper()
	d := websocket.Dialer{Subprotocols: []string{wstransport.Subprotocol}, NetDialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err == nil {
			err = c.(*net.TCPConn).SetReadBuffer(socketBuffer)
		}
		return c, err
	}}
	ws, _, err := d.Dial("ws"+strings.TrimPrefix(h.srv.URL, "http"), http.Header{"X-Role": {"viewer"}})
	require.NoError(h.t, err)
	s := &socket{h.t, ws}
	h.t.Cleanup(s.drop)
	s.write(map[string]any{"type": "connection_init"})
	require.Equal(h.t, "connection_ack", s.message()["type"])
	s.write(map[string]any{"type": "subscribe", "id": "1", "payload": map[string]any{"query": doc, "variables": vars}})
	return s
}

func (s *socket) drop() { _ = s.ws.NetConn().Close() }

func (s *socket) write(v any) {
	s.t.Helper()
	require.NoError(s.t, s.ws.WriteJSON(v))
}

func (s *socket) message() map[string]any {
	s.t.Helper()
	for {
		require.NoError(s.t, s.ws.SetReadDeadline(time.Now().Add(2*time.Minute)))
		var m map[string]any
		require.NoError(s.t, s.ws.ReadJSON(&m))
		if m["type"] != "ping" {
			return m
		}
	}
}

// next gives the subscription's next message, whatever its root field is.
func (s *socket) next() map[string]any {
	s.t.Helper()
	m := s.message()
	require.Equal(s.t, "next", m["type"], "%v", m)
	require.Nil(s.t, dig(m, "payload.errors"), "%v", m)
	for _, v := range dig(m, "payload.data").(map[string]any) {
		return v.(map[string]any)
	}
	return nil
}

func specOf() deploy.Spec {
	return deploy.Spec{Provider: deploy.ProviderIBMVPC, ServerProfile: "bx2d-metal-96x384"}
}
