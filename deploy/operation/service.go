package operation

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/query"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/ent"
)

// askLimit bounds one question to a provider, auditLimit a comparison of
// everything: it reads many lists.
const (
	askLimit   = 25 * time.Second
	auditLimit = 2 * time.Minute
)

// Artifact is a file that an installation needs, and how it stands.
type Artifact struct {
	Name    string
	SHA256  string // hex; empty if it is not there
	Problem string // why it cannot be served, empty if it can
}

// Adopter writes an adopted node; package lifecycle's Writer does.
type Adopter interface {
	Adopt(ctx context.Context, a lifecycle.Adoption) (lifecycle.Deployed, error)
}

// Durations tells how long phases usually take; query.Statuses does.
type Durations interface {
	Typical(ctx context.Context, provider, profile string) (query.Durations, error)
}

// Deps are what a Service is made of.
type Deps struct {
	Providers map[string]deploy.Provider
	Store     *store.Store
	Writer    Adopter
	Typical   Durations
	// Artifacts lists the files that a deployment with this specification
	// needs. nil = none are checked.
	Artifacts func(ctx context.Context, s deploy.Spec) ([]Artifact, error)
	// Catalogue lists the files that machines can fetch, by name. nil = there are
	// none.
	Catalogue func(ctx context.Context) ([]Stored, error)
	// BaseURL is how machines reach Slipway, without a slash at its end.
	BaseURL string
	// Slots is how many deployments may run at once.
	Slots int
	// Observe counts what was done at a provider: verb, provider and outcome
	// are words from small fixed sets. nil = nobody counts.
	Observe func(verb, provider, outcome string)
	Now     func() time.Time // nil = time.Now
	Logger  *slog.Logger     // nil = slog.Default()
}

// Service answers operators. It is safe for concurrent use.
type Service struct {
	deps   Deps
	read   *ent.Client
	offers offers
	audits singleflight.Group
}

// New makes a Service.
func New(d Deps) *Service {
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Logger == nil {
		d.Logger = slog.Default()
	}
	if d.Observe == nil {
		d.Observe = func(string, string, string) {}
	}
	return &Service{deps: d, read: d.Store.Ent(), offers: offers{known: map[string]deploy.Offer{}}}
}

// Providers lists the providers that are set up, sorted.
func (s *Service) Providers() []string {
	out := make([]string, 0, len(s.deps.Providers))
	for name := range s.deps.Providers {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// ask finds what a provider can do beside ordering; verb completes "the
// provider X cannot …".
func ask[T any](s *Service, provider, verb string) (T, error) {
	var none T
	p, ok := s.deps.Providers[provider]
	if !ok {
		return none, &deploy.Error{
			Code: deploy.CodeNotFound, Message: "the provider " + shown(provider) + " is not set up on this server",
			Fields: []deploy.FieldError{{Field: "provider", Code: deploy.CodeNotFound, Message: "is not set up on this server"}},
		}
	}
	able, ok := p.(T)
	if !ok {
		return none, deploy.Errorf(deploy.CodeWrongState, "the provider %s cannot %s", provider, verb)
	}
	return able, nil
}

// shown bounds a name that a caller made up.
func shown(name string) string {
	if len(name) > 40 {
		name = name[:40] + "…"
	}
	return `"` + name + `"`
}

// refusal turns a provider's error into one that faces may show. ctx is the
// caller's: once it is over, its error stands.
func refusal(ctx context.Context, provider string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := deploy.AsError(err); ok {
		return err
	}
	var p *deploy.ProviderError
	switch {
	case errors.As(err, &p):
		return &deploy.Error{Code: theirs(p.Code), Message: p.Message, Hint: p.Hint, Retryable: p.Temporary}
	case ctx.Err() != nil:
		return err
	case errors.Is(err, context.DeadlineExceeded):
		return &deploy.Error{
			Code: deploy.CodeUpstreamUnavailable, Message: "the provider " + provider + " did not answer in time", Hint: "try again", Retryable: true,
		}
	}
	return err
}

// theirs gives a provider's code as it may reach Slipway's caller: that
// Slipway's own key was refused, or that Slipway asked too often, says nothing
// of the caller's.
func theirs(c deploy.Code) deploy.Code {
	ours := []deploy.Code{deploy.CodeUnauthenticated, deploy.CodeForbidden, deploy.CodeRateLimited, ""}
	if slices.Contains(ours, c) {
		return deploy.CodeUpstreamUnavailable
	}
	return c
}

// audit writes down who did what at a provider, and counts it.
func (s *Service) audit(ctx context.Context, actor deploy.Actor, verb, provider string, err error, attrs ...any) {
	outcome := "done"
	level := slog.LevelInfo
	if err != nil {
		outcome, level = "refused", slog.LevelWarn
		attrs = append(attrs, "error", err)
	}
	s.deps.Observe(verb, provider, outcome)
	attrs = append([]any{"verb", verb, "provider", provider, "outcome", outcome, "actor_kind", string(actor.Kind), "actor", actor.Name}, attrs...)
	s.deps.Logger.Log(ctx, level, "audit", attrs...)
}
