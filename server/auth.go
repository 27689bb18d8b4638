package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/access"
)

// bodyTimeout is how long a request's body may take to arrive.
const bodyTimeout = time.Minute

// cookieName is the session's cookie.
const cookieName = "slipway_session"

// rule says who may use a route.
type rule int

// The rules. The zero value is none of them, so that a forgotten rule denies.
const (
	ruleNone     rule = iota
	ruleOpen          // everybody
	ruleViewer        // people and programs with this role or more
	ruleOperator      //
	ruleAdmin         //
	ruleMachine       // a machine with its report token; the handler checks whose
	ruleReport        // a machine, or an operator; the token may be in the body, the handler checks
)

var roleOf = map[rule]access.Role{ruleViewer: access.RoleViewer, ruleOperator: access.RoleOperator, ruleAdmin: access.RoleAdmin}

// guard lets through to next whom the rule allows, with their principal in the
// context.
func (s *Server) guard(pattern string, ru rule, next http.Handler) http.Handler {
	refuse := s.refuser(pattern)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		note := noteOf(r.Context())
		note.pattern = pattern
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			// A body that trickles in must not hold a connection for ever.
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout)) // where it can be set
		}
		if ru == ruleOpen {
			next.ServeHTTP(w, r)
			return
		}
		p, err := s.identify(r)
		if err != nil {
			refuse(w, r, err)
			return
		}
		if p != nil {
			note.caller = string(p.Kind) + ":" + p.Name
		}
		if p == nil {
			if open, err := s.openSocket(r, pattern); err != nil {
				refuse(w, r, err)
				return
			} else if open {
				next.ServeHTTP(w, r)
				return
			}
		}
		if err := s.allow(r, ru, p); err != nil {
			refuse(w, r, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(access.NewContext(r.Context(), p)))
	})
}

// allow decides by rule. p is nil when the caller showed nothing.
func (s *Server) allow(r *http.Request, ru rule, p *access.Principal) error {
	switch {
	case ru == ruleReport: // its handler looks into the body before it decides
		return nil
	case p == nil:
		if ru == ruleMachine {
			return s.stranger(r, "no token")
		}
		return errNoCredentials
	case ru == ruleMachine:
		return nil // its handler says what it needs
	case p.May(roleOf[ru]):
		return nil
	case p.Kind == access.KindMachine:
		return deploy.Errorf(deploy.CodeForbidden, "a machine's token can only report for its machine")
	}
	return deploy.Errorf(deploy.CodeForbidden, "this needs the role %s, yours is %s", roleOf[ru], p.Role)
}

var errNoCredentials = &deploy.Error{
	Code: deploy.CodeUnauthenticated, Message: "a token or a session is needed",
	Hint: "send Authorization: Bearer <token>, or sign in",
}

// identify finds out who asks; nil if the request shows nothing.
func (s *Server) identify(r *http.Request) (*access.Principal, error) {
	if h := r.Header.Get("Authorization"); h != "" {
		secret, ok := bearer(h)
		if !ok {
			return nil, s.stranger(r, "an Authorization header that is not Bearer")
		}
		return s.authenticate(r, secret)
	}
	c, err := r.Cookie(cookieName)
	if err != nil || c.Value == "" {
		return nil, nil //nolint:nilnil // nobody is an answer
	}
	p, err := s.Access.Authenticate(r.Context(), c.Value)
	if deploy.HasCode(err, deploy.CodeUnauthenticated) || err == nil && p.Kind != access.KindSession {
		return nil, &deploy.Error{Code: deploy.CodeUnauthenticated, Message: "the session has ended", Hint: "sign in again"}
	}
	if err != nil {
		return nil, err
	}
	if changes(r) && !s.sameOrigin(r) {
		return nil, deploy.Errorf(deploy.CodeForbidden, "a signed-in browser may change things only from Slipway's own pages")
	}
	return p, nil
}

// bearer takes the secret out of an Authorization header (RFC 6750 section 2.1).
func bearer(header string) (string, bool) {
	scheme, secret, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	return strings.TrimSpace(secret), true
}

// Authenticate checks a secret that came another way than in the request's
// header: in a websocket's connection_init. None at all is a bad one too, and
// the caller's address is slowed down for either.
func (s *Server) Authenticate(r *http.Request, secret string) (*access.Principal, error) {
	if secret == "" {
		return nil, s.stranger(r, "no token on a websocket")
	}
	return s.authenticate(r, secret)
}

// openSocket reports whether a request without credentials may go on: a
// websocket may bring its token in connection_init (graphql-transport-ws), and
// is closed if it does not.
func (s *Server) openSocket(r *http.Request, pattern string) (bool, error) {
	if pattern != graphqlPattern || !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		return false, nil
	}
	if wait := s.limiter.Wait(remote(r)); wait > 0 {
		return false, rateLimited(wait)
	}
	return true, nil
}

// authenticate checks a secret; a bad one counts against the caller's address.
func (s *Server) authenticate(r *http.Request, secret string) (*access.Principal, error) {
	p, err := s.Access.Authenticate(r.Context(), secret)
	if deploy.HasCode(err, deploy.CodeUnauthenticated) {
		return nil, s.stranger(r, "a token that is not valid")
	}
	if err != nil {
		return nil, fmt.Errorf("authenticate: %w", err)
	}
	return p, nil
}

// stranger notes who came without a valid secret and gives the answer: 401, or
// 429 when the address does it too often. Only failures count: a good token is
// never held up by others behind the same address.
func (s *Server) stranger(r *http.Request, what string) error {
	from := remote(r)
	if wait := s.limiter.Wait(from); wait > 0 {
		return rateLimited(wait)
	}
	s.limiter.Failed(from)
	if s.Strangers != nil {
		s.Strangers.Stranger(context.WithoutCancel(r.Context()), string(deploy.CodeUnauthenticated), from,
			loggedPath(r.URL.Path), r.Method+" with "+what)
	}
	return &deploy.Error{
		Code: deploy.CodeUnauthenticated, Message: "this token is not valid, or there is none",
		Hint: "it may be mistyped, expired or revoked",
	}
}

// changes reports whether a request may change something. A websocket upgrade
// counts: mutations travel over it.
func changes(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return r.Header.Get("Upgrade") != ""
	}
	return true
}

// sameOrigin reports whether a browser sent the request from Slipway's own
// pages. It needs positive proof: Sec-Fetch-Site, or an Origin that is ours.
func (s *Server) sameOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if s.origins[strings.ToLower(origin)] && origin != "" {
		return true
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" {
		return false
	}
	if origin == "" {
		return r.Header.Get("Sec-Fetch-Site") == "same-origin"
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}

// errorsIsTooLarge reports whether a body was longer than its limit.
func errorsIsTooLarge(err error) bool {
	var e *http.MaxBytesError
	return errors.As(err, &e)
}
