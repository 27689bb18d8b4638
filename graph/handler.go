package graph

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/extension"
	"github.com/99designs/gqlgen/graphql/handler/lru"
	"github.com/gorilla/websocket"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/formatter"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/access"
	"github.com/slipwayhq/slipway/deploy/feed"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/query"
	"github.com/slipwayhq/slipway/graph/generated"
	"github.com/slipwayhq/slipway/graph/wstransport"
)

// Commands are what the API can change: the one writer's part for people and
// programs. *lifecycle.Writer is one.
type Commands interface {
	RegisterNode(ctx context.Context, in lifecycle.NewNode) (nodeID int64, err error)
	UpdateNode(ctx context.Context, c lifecycle.NodeChange) error
	Deploy(ctx context.Context, in lifecycle.NewDeployment) (lifecycle.Deployed, error)
	DeployBatch(ctx context.Context, in lifecycle.NewBatch) (lifecycle.BatchResult, error)
	Report(ctx context.Context, r lifecycle.Report) (lifecycle.Receipt, error)
	SetMaintenance(ctx context.Context, c lifecycle.MaintenanceChange) error
	Cancel(ctx context.Context, c lifecycle.Cancel) (lifecycle.Receipt, error)
	Retry(ctx context.Context, c lifecycle.Retry) (lifecycle.Receipt, error)
	Cleanup(ctx context.Context, c lifecycle.Cleanup) (lifecycle.Receipt, error)
	Reinitialize(ctx context.Context, in lifecycle.Reinitialize) (lifecycle.Deployed, error)
	SetProtection(ctx context.Context, c lifecycle.Protection) error
	SkipPolling(ctx context.Context, c lifecycle.SkipPolling) (lifecycle.Receipt, error)
	PinHostKey(ctx context.Context, c lifecycle.PinHostKey) error
}

// Deps is what the API stands on.
type Deps struct {
	Fleet    *query.Fleet
	Feed     *feed.Feed
	Commands Commands
	// Operations are what needs a provider; nil = no provider is set up.
	Operations Operations
	// Bulk asks one verb of many deployments; nil = that is refused.
	Bulk Bulk
	// BulkEvery is the pause between looks at a bulk operation that somebody
	// follows; 0 = 500 ms.
	BulkEvery time.Duration
	// Clusters makes several nodes one; nil = that is refused.
	Clusters Clusters
	// ClusterEvery is the longest pause between looks at the row of a cluster that
	// somebody follows, whose changes the feed tells of; 0 = 15 s.
	ClusterEvery time.Duration
	// Keys manages API tokens and sessions; nil = that is refused.
	Keys Keys
	// Scripts are the runs of the deployment script; nil = there are none.
	Scripts Scripts
	// ScriptLogEvery is the pause between looks at the output of a running script
	// that somebody follows; 0 = 300 ms.
	ScriptLogEvery time.Duration
	// Nudge has the next attempt to reach a deployment's host begin now; nil = no
	// host is ever waited for.
	Nudge func(ctx context.Context, deploymentID int64, actor deploy.Actor) error
	// Authenticate tells whose secret it is, for websockets that bring theirs in
	// connection_init ({"authorization": "Bearer …"}); nil = the upgrade request
	// must have brought it. Everything else finds the caller's principal in the
	// request's context (access.FromContext).
	// It is asked with an empty secret for a socket that brought none at all, so
	// that it can count those.
	Authenticate func(r *http.Request, secret string) (*access.Principal, error)
	// Watch gives a context that ends when a principal's credential is taken
	// back; websockets end with it. nil = they end with its expiry only.
	Watch func(ctx context.Context, p *access.Principal) context.Context
	// Unavailable tells errors that mean no more than that the database cannot
	// be used for the moment; nil = none do.
	Unavailable func(error) bool
	Version     string
	// StreamRetention is for how long events are kept; 0 = for ever.
	StreamRetention time.Duration
	Logger          *slog.Logger // nil = slog.Default()
	// Sockets tunes the websocket transport: allowed origins, limits, times. Its
	// Init and Share are set here.
	Sockets wstransport.Config
	// Timeout bounds queries and mutations over HTTP; 0 = 30 s.
	Timeout time.Duration
}

// Handler serves the API: POST and websocket upgrades on one path.
type Handler struct {
	server  *handler.Server
	sockets *wstransport.Transport
	timeout time.Duration
}

// NewHandler makes the API.
func NewHandler(d Deps) *Handler {
	if d.Logger == nil {
		d.Logger = slog.Default()
	}
	if d.Timeout <= 0 {
		d.Timeout = 30 * time.Second
	}
	if d.BulkEvery <= 0 {
		d.BulkEvery = 500 * time.Millisecond
	}
	if d.ClusterEvery <= 0 {
		d.ClusterEvery = 15 * time.Second
	}
	if d.ScriptLogEvery <= 0 {
		d.ScriptLogEvery = 300 * time.Millisecond
	}
	r := &Resolver{Deps: d, schemaHash: SchemaHash(), summaries: &summaries{}}
	cfg := generated.Config{Resolvers: r, Complexity: costs()}
	es := generated.NewExecutableSchema(cfg)
	d.Sockets.Init = initSocket(d)
	d.Sockets.Share = r.share
	h := &Handler{server: handler.New(es), sockets: wstransport.New(d.Sockets), timeout: d.Timeout}
	h.server.AddTransport(h.sockets)
	h.server.AddTransport(post{})
	h.server.SetQueryCache(lru.New[*ast.QueryDocument](500))
	h.server.SetParserTokenLimit(MaxTokens)
	h.server.SetErrorPresenter(presenter(d.Logger, d.Unavailable))
	h.server.SetRecoverFunc(recovered(d.Logger))
	// In this order: whether it can be walked safely (before it is validated), who
	// asks, whether its texts can be kept, what it costs.
	h.server.Use(newShape())
	h.server.Use(&authorise{})
	h.server.Use(texts{})
	h.server.Use(extension.FixedComplexityLimit(MaxComplexity))
	return h
}

// ServeHTTP serves a request. The principal, if any, is in its context; the
// request's id is the answer's X-Request-Id, if one was set before.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	if id := w.Header().Get("X-Request-Id"); id != "" {
		ctx = context.WithValue(ctx, requestIDKey{}, id)
	}
	if !h.sockets.Supports(r) {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, h.timeout)
		defer cancel()
	}
	h.server.ServeHTTP(w, r.WithContext(ctx))
}

// Shutdown closes the websockets with 1012, spread over a while, so that
// clients do not all come back at once. http.Server.Shutdown does not know
// them.
func (h *Handler) Shutdown(ctx context.Context, spread time.Duration) error {
	return h.sockets.Shutdown(ctx, spread)
}

// Stats are gauges of the websockets.
func (h *Handler) Stats() wstransport.Stats { return h.sockets.Stats() }

// Sharing are figures of subscriptions that are executed once for many.
func (h *Handler) Sharing() wstransport.Sharing { return h.sockets.Sharing() }

// initSocket decides on a websocket's connection_init: who the upgrade request
// or the payload says it is. The socket ends with the credential.
func initSocket(d Deps) wstransport.InitFunc {
	return func(ctx context.Context, r *http.Request, payload json.RawMessage) (context.Context, error) {
		p := access.FromContext(ctx)
		if secret := payloadSecret(payload); (secret != "" || p == nil) && d.Authenticate != nil {
			// The upgrade's own context has ended with its handler.
			var err error
			if p, err = d.Authenticate(r.WithContext(ctx), secret); err != nil {
				return nil, refusedSocket(err)
			}
		}
		if !p.May(access.RoleViewer) {
			return nil, &wstransport.CloseError{Code: wstransport.CloseForbidden, Reason: "Forbidden"}
		}
		ctx = access.NewContext(ctx, p)
		// The socket's own context ends with the socket, and these with it.
		if d.Watch != nil {
			ctx = d.Watch(ctx, p)
		}
		if !p.ExpiresAt.IsZero() {
			var cancel context.CancelFunc
			ctx, cancel = context.WithDeadline(ctx, p.ExpiresAt)
			context.AfterFunc(ctx, cancel)
		}
		return ctx, nil
	}
}

// refusedSocket tells a refusal (4403) from not knowing: clients take the one
// for the end of their sign-in, and come back by themselves after the other.
func refusedSocket(err error) error {
	if _, ok := deploy.AsError(err); ok {
		return err
	}
	return &wstransport.CloseError{Code: websocket.CloseTryAgainLater, Reason: "Try again later"}
}

func payloadSecret(payload json.RawMessage) string {
	var p struct {
		Authorization string `json:"authorization"`
		Capitalised   string `json:"Authorization"`
	}
	if json.Unmarshal(payload, &p) != nil {
		return ""
	}
	value := p.Authorization
	if value == "" {
		value = p.Capitalised
	}
	scheme, secret, ok := strings.Cut(value, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(secret)
}

// Schema is the schema in SDL, all files as one.
func Schema() string {
	var b strings.Builder
	formatter.NewFormatter(&b).FormatSchema(generated.NewExecutableSchema(generated.Config{}).Schema())
	return b.String()
}

// SchemaHash is the SHA-256 of the schema, in hexadecimal digits.
func SchemaHash() string {
	sum := sha256.Sum256([]byte(Schema()))
	return hex.EncodeToString(sum[:])
}
