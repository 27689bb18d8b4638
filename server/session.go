package server

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/access"
)

// sessionAnswer says who is signed in.
type sessionAnswer struct {
	Name      string     `json:"name"`
	Role      string     `json:"role"`
	ExpiresAt *time.Time `json:"expires_at" doc:"Null when it holds until it is revoked."`
}

// signInRequest is the body of POST /api/session.
type signInRequest struct {
	Code string `json:"code" doc:"The code of a sign-in link; it works once, within ten minutes."`
}

// signIn changes a sign-in code into a session cookie.
func (s *Server) signIn(w http.ResponseWriter, r *http.Request) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		// A page elsewhere cannot send JSON without asking first, so it cannot
		// sign a visitor in as somebody else.
		s.refuse(w, r, unsupported("application/json"))
		return
	}
	if r.Header.Get("Origin") != "" && !s.sameOrigin(r) {
		s.refuse(w, r, deploy.Errorf(deploy.CodeForbidden, "sign in on Slipway's own page"))
		return
	}
	var in signInRequest
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, sessionBody))
	if err == nil {
		err = json.Unmarshal(body, &in)
	}
	if err != nil {
		if errorsIsTooLarge(err) {
			err = deploy.Errorf(deploy.CodeTooLarge, "the request is too large")
		} else {
			err = malformed("the body must be JSON with a code")
		}
		s.refuse(w, r, err)
		return
	}
	if in.Code == "" {
		s.refuse(w, r, deploy.Invalid([]deploy.FieldError{{Field: "code", Code: deploy.CodeRequired, Message: "is required"}}))
		return
	}
	if wait := s.limiter.Wait(remote(r)); wait > 0 {
		s.refuse(w, r, rateLimited(wait))
		return
	}
	secret, p, err := s.Access.SignIn(r.Context(), in.Code)
	if deploy.HasCode(err, deploy.CodeUnauthenticated) {
		_ = s.stranger(r, "a sign-in code that is not valid") // noted and counted; the answer is clearer than its own
		err = &deploy.Error{
			Code: deploy.CodeUnauthenticated, Message: "this sign-in link was used already, or is too old",
			Hint: "make another one",
		}
	}
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	s.setCookie(w, r, secret, p.ExpiresAt)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) setCookie(w http.ResponseWriter, r *http.Request, secret string, until time.Time) {
	c := &http.Cookie{
		Name: cookieName, Value: secret, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: s.secure(r),
		MaxAge: int(until.Sub(s.Now()) / time.Second),
	}
	if secret == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// session says who asks, and lets the browser keep a session that slid on.
func (s *Server) session(w http.ResponseWriter, r *http.Request) {
	p := access.FromContext(r.Context())
	out := sessionAnswer{Name: p.Name, Role: string(p.Role)}
	if !p.ExpiresAt.IsZero() {
		out.ExpiresAt = &p.ExpiresAt
	}
	if c, err := r.Cookie(cookieName); err == nil && p.Kind == access.KindSession {
		s.setCookie(w, r, c.Value, p.ExpiresAt)
	}
	answer(w, r, http.StatusOK, out)
}

// signOut ends the session.
func (s *Server) signOut(w http.ResponseWriter, r *http.Request) {
	p := access.FromContext(r.Context())
	if p.Kind == access.KindSession {
		if err := s.Access.SignOut(r.Context(), p.TokenID); err != nil {
			s.refuse(w, r, err)
			return
		}
	}
	s.setCookie(w, r, "", s.Now())
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
}

// unsupported is the answer to a body of another type.
func unsupported(want string) error {
	return &statusError{
		err:    deploy.Errorf(deploy.CodeInvalid, "the Content-Type must be %s", want),
		status: http.StatusUnsupportedMediaType,
	}
}
