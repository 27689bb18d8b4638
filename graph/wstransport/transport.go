package wstransport

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/gorilla/websocket"
)

// Subprotocol is the only one that is served.
const Subprotocol = "graphql-transport-ws"

// InitFunc decides on a connection_init. It gets the payload as it came (nil
// when there was none) and the request of the upgrade, and gives the context
// that every operation of the socket runs under. When that context ends, the
// socket is closed with 4403, so a credential's expiry can be its deadline. An
// error closes the socket: with its code and reason if it is a *CloseError,
// with 4403 otherwise.
type InitFunc func(ctx context.Context, r *http.Request, payload json.RawMessage) (context.Context, error)

// Config says how sockets are served. The zero value of a field means its default.
type Config struct {
	// Init decides on a connection_init; nil accepts everybody.
	Init InitFunc
	// Origins are the origins ("https://example.com") that may connect beside
	// the server's own host. Requests without an Origin header are no
	// browser's and pass.
	Origins []string
	// InitTimeout is how long a socket may take to send connection_init
	// (default 10 s).
	InitTimeout time.Duration
	// PingInterval is how often a socket is pinged, on both levels; a socket
	// from which nothing came for twice as long is cut (default 15 s).
	PingInterval time.Duration
	// WriteTimeout is how long one write may take (default 10 s).
	WriteTimeout time.Duration
	// CloseTimeout is how long the peer may take to answer a close frame
	// (default 2 s).
	CloseTimeout time.Duration
	// ReadLimit is the largest message that is accepted, in bytes (default 256 KiB).
	ReadLimit int64
	// MaxOperations is how many operations may run on a socket at the same
	// time (default 20).
	MaxOperations int
	// QueueFrames and QueueBytes bound what waits to be written to a socket
	// (defaults 256 frames, 1 MiB). One frame always fits. An operation waits
	// for room; a shared one goes on alone then.
	QueueFrames int
	QueueBytes  int
	// Share says which operations are executed once for many clients; nil = none.
	Share ShareFunc
	// MaxReplays bounds how many clients' own executions of shared operations
	// work at the same time (default 16).
	MaxReplays int
	// Pace is how long a shared execution waits after a message, per member and
	// 50 ms at most, before it makes the next one of what has happened since
	// (default 10 µs; negative = not at all).
	Pace time.Duration
	// MaxSockets bounds the sockets of the transport (default 20,000).
	MaxSockets int
}

func (c Config) withDefaults() Config {
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	num := func(n *int, v int) {
		if *n <= 0 {
			*n = v
		}
	}
	def(&c.InitTimeout, 10*time.Second)
	def(&c.PingInterval, 15*time.Second)
	def(&c.WriteTimeout, 10*time.Second)
	def(&c.CloseTimeout, 2*time.Second)
	if c.ReadLimit <= 0 {
		c.ReadLimit = 256 << 10
	}
	num(&c.MaxOperations, 20)
	num(&c.QueueFrames, 256)
	num(&c.QueueBytes, 1<<20)
	num(&c.MaxSockets, 20_000)
	num(&c.MaxReplays, 16)
	if c.Pace == 0 {
		c.Pace = 10 * time.Microsecond
	}
	return c
}

// Transport is a graphql.Transport and the register of its sockets.
type Transport struct {
	cfg      Config
	upgrader websocket.Upgrader
	hub      *hub

	mu       sync.Mutex
	sockets  map[*socket]struct{}
	draining bool
	empty    chan struct{} // closed when draining and no socket is left
}

var _ graphql.Transport = (*Transport)(nil)

// New makes a transport.
func New(cfg Config) *Transport {
	t := &Transport{cfg: cfg.withDefaults(), sockets: map[*socket]struct{}{}, empty: make(chan struct{})}
	t.hub = newHub(&t.cfg)
	t.upgrader = websocket.Upgrader{
		Subprotocols: []string{Subprotocol},
		// A small read buffer of its own instead of net/http's 4 KiB, and no
		// write buffer at all: frames are written by this package.
		ReadBufferSize:  512,
		WriteBufferPool: &sync.Pool{},
		CheckOrigin:     t.originAllowed,
	}
	return t
}

// Supports reports whether r asks for a websocket.
func (t *Transport) Supports(r *http.Request) bool { return r.Header.Get("Upgrade") != "" }

// Do upgrades the connection and returns; the socket lives on by itself.
func (t *Transport) Do(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor) {
	switch {
	case !websocket.IsWebSocketUpgrade(r):
		refuse(w, http.StatusBadRequest, "this is not a websocket upgrade")
		return
	case !slices.Contains(websocket.Subprotocols(r), Subprotocol):
		refuse(w, http.StatusBadRequest, "the subprotocol must be "+Subprotocol)
		return
	case !t.originAllowed(r):
		refuse(w, http.StatusForbidden, "this origin may not connect")
		return
	case !t.hasRoom():
		w.Header().Set("Retry-After", "1")
		refuse(w, http.StatusServiceUnavailable, "no further connection is taken at the moment")
		return
	}
	ws, err := t.upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // gorilla has answered, or the peer is gone
	}
	// The request's context ends when this handler returns; its values stay.
	s := newSocket(context.WithoutCancel(r.Context()), t, ws, r, exec)
	if !t.add(s) {
		s.abort()
		return
	}
	go s.serve()
}

func refuse(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n"))
}

func (t *Transport) originAllowed(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	if slices.ContainsFunc(t.cfg.Origins, func(o string) bool { return strings.EqualFold(o, origin) }) {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}

func (t *Transport) hasRoom() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.draining && len(t.sockets) < t.cfg.MaxSockets
}

func (t *Transport) add(s *socket) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.draining {
		return false
	}
	t.sockets[s] = struct{}{}
	return true
}

func (t *Transport) remove(s *socket) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.sockets[s]; !ok {
		return
	}
	delete(t.sockets, s)
	if t.draining && len(t.sockets) == 0 {
		close(t.empty)
	}
}

// Stats are gauges of a transport.
type Stats struct {
	Sockets    int // open sockets
	Operations int // running operations
	Queued     int // frames that wait to be written
}

// Stats counts sockets, operations and waiting frames.
func (t *Transport) Stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	st := Stats{Sockets: len(t.sockets)}
	for s := range t.sockets {
		s.mu.Lock()
		st.Operations += len(s.ops)
		st.Queued += len(s.queue)
		s.mu.Unlock()
	}
	return st
}

// Shutdown takes no further socket, closes every open one with 1012 (service
// restart; clients come back by themselves) at a random moment within spread,
// and returns when all are gone. When ctx ends first, what is left is cut and
// ctx's error returned. http.Server.Shutdown does not know hijacked
// connections, so this must be called beside it.
func (t *Transport) Shutdown(ctx context.Context, spread time.Duration) error {
	t.mu.Lock()
	if !t.draining {
		t.draining = true
		if len(t.sockets) == 0 {
			close(t.empty)
		}
	}
	open := make([]*socket, 0, len(t.sockets))
	for s := range t.sockets {
		open = append(open, s)
	}
	t.mu.Unlock()
	for _, s := range open {
		if spread <= 0 {
			s.close(websocket.CloseServiceRestart, "Service restart")
			continue
		}
		pause := rand.N(spread) //nolint:gosec // jitter is no secret
		time.AfterFunc(pause, func() { s.close(websocket.CloseServiceRestart, "Service restart") })
	}
	select {
	case <-t.empty:
		return nil
	case <-ctx.Done():
	}
	t.mu.Lock()
	open = open[:0]
	for s := range t.sockets {
		open = append(open, s)
	}
	t.mu.Unlock()
	for _, s := range open {
		s.abort()
	}
	return errors.Join(errors.New("wstransport: sockets were cut at shutdown"), ctx.Err())
}
