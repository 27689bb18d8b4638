package server

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/access"
	"github.com/slipwayhq/slipway/deploy/apply"
	"github.com/slipwayhq/slipway/deploy/feed"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/operation"
	"github.com/slipwayhq/slipway/deploy/query"
	"github.com/slipwayhq/slipway/deploy/store"
)

// Lifecycle is what the REST shim asks the one writer for.
type Lifecycle interface {
	Report(ctx context.Context, r lifecycle.Report) (lifecycle.Receipt, error)
	Deploy(ctx context.Context, in lifecycle.NewDeployment) (lifecycle.Deployed, error)
	Retry(ctx context.Context, c lifecycle.Retry) (lifecycle.Receipt, error)
	Cancel(ctx context.Context, c lifecycle.Cancel) (lifecycle.Receipt, error)
	Cleanup(ctx context.Context, c lifecycle.Cleanup) (lifecycle.Receipt, error)
	Reinitialize(ctx context.Context, in lifecycle.Reinitialize) (lifecycle.Deployed, error)
	SetProtection(ctx context.Context, c lifecycle.Protection) error
	SkipPolling(ctx context.Context, c lifecycle.SkipPolling) (lifecycle.Receipt, error)
	PinHostKey(ctx context.Context, c lifecycle.PinHostKey) error
}

// Settings are what an operator decides about the HTTP face.
type Settings struct {
	// BaseURL is how others reach Slipway, without a slash at its end; empty =
	// the host that a request was sent to. Its origin may change state with a
	// session cookie. With https, cookies are Secure.
	BaseURL string
	// TrustedProxies may say for whom they ask (X-Forwarded-For).
	TrustedProxies []netip.Prefix
	// SecureCookies marks cookies Secure although neither the connection nor
	// BaseURL says https.
	SecureCookies bool
	// Version is shown in the OpenAPI document.
	Version string
	// Heartbeat is the longest silence of an event stream; 0 = 15 s.
	Heartbeat time.Duration
	// WriteTimeout is how long a reader of a stream may take to accept what was
	// sent; 0 = 20 s.
	WriteTimeout time.Duration
	// ScriptLogEvery is the pause between looks at the output of a running script
	// that somebody follows; 0 = 300 ms.
	ScriptLogEvery time.Duration
}

// Parts are what a Server is made of.
type Parts struct {
	Settings  Settings
	Store     *store.Store
	Access    *access.Service
	Strangers *access.Strangers
	Lifecycle Lifecycle
	Statuses  *query.Statuses
	// Fleet reads what is exported. nil = such routes are not there.
	Fleet *query.Fleet
	// Operations answers what needs a provider. nil = such routes are not there.
	Operations *operation.Service
	// Scripts are the runs of the deployment script. nil = such routes are not
	// there.
	Scripts *apply.Service
	// Clusters makes several nodes one. nil = such routes are not there.
	Clusters Clusters
	// Nudge has the next attempt to reach a deployment's host begin now; nil = no
	// host is ever waited for.
	Nudge   func(ctx context.Context, deploymentID int64, actor deploy.Actor) error
	Feed    *feed.Feed
	Metrics *Metrics
	// GraphQL answers /graphql, websocket upgrades included. nil = not served.
	GraphQL http.Handler
	// Boot answers everything below /boot/. nil = not served.
	Boot http.Handler
	// Artifacts answers /api/artifacts: the list, and below it uploads (PUT) and
	// removals (DELETE) by name. nil = not served.
	Artifacts http.Handler
	// App is the built monitoring app with index.html at its root; nil = it was
	// not built, and /monitoring says how to.
	App fs.FS
	// CheckStorage tells what is wrong with a disk layout (a JSON object), its
	// fields named from storage_config on. nil = nothing is checked.
	CheckStorage func(layout json.RawMessage) []deploy.FieldError
	// Checks are what must hold beside database, migrations and feed for the
	// process to be ready, by name.
	Checks map[string]func(context.Context) error
	Now    func() time.Time // nil = time.Now
	Log    *slog.Logger     // nil = slog.Default()
}

// Server is the HTTP face.
type Server struct {
	Parts
	limiter *access.Limiter
	mux     *http.ServeMux
	routes  []string // registered patterns
	api     huma.API
	openAPI []byte
	handler http.Handler
	origins map[string]bool // allowed beside the request's own host
	ready   readiness
	large   chan struct{} // seats for bodies over the limit

	draining context.Context
	drain    context.CancelFunc
	once     sync.Once
}

// What an address may fail to identify itself with: a burst, then per second.
const (
	failBurst     = 20
	failPerSecond = 1
	failAddresses = 10_000
)

// New makes the server.
func New(p Parts) (*Server, error) {
	if p.Now == nil {
		p.Now = time.Now
	}
	if p.Log == nil {
		p.Log = slog.Default()
	}
	if p.Settings.Heartbeat == 0 {
		p.Settings.Heartbeat = 15 * time.Second
	}
	if p.Settings.WriteTimeout == 0 {
		p.Settings.WriteTimeout = 20 * time.Second
	}
	if p.Settings.ScriptLogEvery == 0 {
		p.Settings.ScriptLogEvery = 300 * time.Millisecond
	}
	if p.Metrics == nil {
		p.Metrics = NewMetrics()
	}
	s := &Server{
		Parts: p, mux: http.NewServeMux(), origins: map[string]bool{}, large: make(chan struct{}, 4),
		limiter: access.NewLimiter(failPerSecond, failBurst, failAddresses, p.Now),
	}
	s.draining, s.drain = context.WithCancel(context.Background())
	if p.Settings.BaseURL != "" {
		u, err := url.Parse(p.Settings.BaseURL)
		if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || strings.HasSuffix(p.Settings.BaseURL, "/") {
			return nil, fmt.Errorf("base URL %q: must be http:// or https:// with a host and without a slash at its end", p.Settings.BaseURL)
		}
		s.origins[strings.ToLower(u.Scheme+"://"+u.Host)] = true
	}
	p.Metrics.watch(s)
	if err := s.register(); err != nil {
		return nil, err
	}
	s.handler = s.withRequestID(s.withRemote(s.withLog(s.withRecovery(s.withHeaders(s.mux)))))
	return s, nil
}

// ServeHTTP answers every request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Drain makes the server not ready and ends the event streams, so that a
// shutdown does not wait for them. Clients come back with their cursor.
func (s *Server) Drain() { s.once.Do(s.drain) }

// NewHTTPServer gives net/http's server with the time limits that a public
// face needs. There is none on writing: streams and downloads take long, and
// have limits of their own.
func NewHTTPServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// secure reports whether a cookie for the request must travel by TLS only.
func (s *Server) secure(r *http.Request) bool {
	return s.Settings.SecureCookies || r.TLS != nil || strings.HasPrefix(s.Settings.BaseURL, "https://")
}

// actor is the caller as history names it.
func actor(r *http.Request) deploy.Actor {
	if p := access.FromContext(r.Context()); p != nil {
		return p.Actor()
	}
	return deploy.Actor{Kind: deploy.ActorSystem, Name: "unknown"}
}

// Routes lists the patterns that are served.
func (s *Server) Routes() []string { return slices.Clone(s.routes) }
