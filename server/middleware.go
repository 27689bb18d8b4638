package server

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/access"
)

type requestIDKey struct{}

// requestID is the id of the request that ctx belongs to.
func requestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// withRequestID gives every request an id: the caller's if it is a plain word,
// else a random one.
func (s *Server) withRequestID(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get("X-Request-Id")
		if !plainWord(id) {
			var b [12]byte
			_, _ = rand.Read(b[:]) // never fails
			id = hex.EncodeToString(b[:])
		}
		w.Header().Set("X-Request-Id", id)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), requestIDKey{}, id)))
	})
}

func plainWord(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.') {
			return false
		}
	}
	return true
}

// withRemote puts the caller's address into RemoteAddr when a trusted proxy
// says for whom it asks. Of a chain, the last address that is no proxy of ours
// counts: what is before it is what the caller claims.
func (s *Server) withRemote(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if addr, ok := s.forwardedFor(r); ok {
			c := *r
			c.RemoteAddr = netip.AddrPortFrom(addr, 0).String()
			r = &c
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) forwardedFor(r *http.Request) (netip.Addr, bool) {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !s.trusted(peer.Addr()) {
		return netip.Addr{}, false
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		addr, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			return netip.Addr{}, false
		}
		if addr = addr.Unmap(); !s.trusted(addr) {
			return addr, true
		}
	}
	return netip.Addr{}, false
}

func (s *Server) trusted(addr netip.Addr) bool {
	addr = addr.Unmap()
	for _, p := range s.Settings.TrustedProxies {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// remote is the caller's address without the port.
func remote(r *http.Request) string {
	if ap, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		return ap.Addr().Unmap().WithZone("").String()
	}
	return r.RemoteAddr
}

// withRecovery answers 500 when a handler panics.
func (s *Server) withRecovery(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(p)
			}
			s.Log.ErrorContext(r.Context(), "a handler panicked", "request_id", requestID(r.Context()), "route", r.Pattern, "panic", p, "stack", string(debug.Stack()))
			if rec, ok := w.(*recorder); ok && rec.status != 0 {
				panic(http.ErrAbortHandler) // an answer has begun: cut it, so that nobody takes it for whole
			}
			s.refuse(w, r, &ErrorDocument{
				Message: "an internal error", Code: codeInternal,
				Hint: "look for the request id in the server's log", status: http.StatusInternalServerError,
			})
		}()
		next.ServeHTTP(w, r)
	})
}

// withHeaders sets what every answer carries.
func (s *Server) withHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		if s.secure(r) {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		next.ServeHTTP(w, r)
	})
}

// withLog writes one line a request and measures it. Paths that carry a secret
// are named by their pattern only.
func (s *Server) withLog(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun := time.Now()
		rec := &recorder{ResponseWriter: w}
		// The mux writes the pattern into the request it is given; a copy made
		// on the way down would hide it, so it is handed up in the context.
		note := &routeNote{}
		r = r.WithContext(context.WithValue(r.Context(), routeNoteKey{}, note))
		defer func() {
			status := rec.status
			if status == 0 {
				status = http.StatusOK
			}
			route := note.pattern
			if route == "" {
				route = "none"
			}
			took := time.Since(begun)
			s.Metrics.request(r.Method, route, status, took)
			attrs := []any{
				"request_id", requestID(r.Context()), "method", r.Method, "route", route, "path", loggedPath(r.URL.Path),
				"status", status, "bytes", rec.bytes, "took", took.Round(time.Microsecond), "remote", remote(r),
			}
			if note.caller != "" {
				attrs = append(attrs, "caller", note.caller)
			}
			s.Log.InfoContext(r.Context(), "request", attrs...)
		}()
		next.ServeHTTP(rec, r)
	})
}

type routeNoteKey struct{}

// routeNote is what inner handlers tell the log.
type routeNote struct {
	pattern string
	caller  string
}

func noteOf(ctx context.Context) *routeNote {
	n, _ := ctx.Value(routeNoteKey{}).(*routeNote)
	if n == nil {
		n = &routeNote{}
	}
	return n
}

// loggedPath hides the locator and whatever else looks like a secret, and cuts
// what is too long.
func loggedPath(path string) string {
	if strings.HasPrefix(path, "/boot/d/") {
		return "/boot/d/…"
	}
	path = access.Redact(path)
	if len(path) > 200 {
		path = path[:200] + "…"
	}
	return path
}

// recorder remembers status and size of an answer and keeps what the server's
// own ResponseWriter can do: flush, hijack, and send files by sendfile.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(b)
	r.bytes += int64(n)
	return n, err
}

// ReadFrom keeps sendfile working.
func (r *recorder) ReadFrom(src io.Reader) (int64, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := io.Copy(r.ResponseWriter, src) // uses the ReaderFrom of what it wraps
	r.bytes += n
	return n, err
}

// Flush sends what is buffered.
func (r *recorder) Flush() {
	if f, ok := r.ResponseWriter.(http.Flusher); ok {
		if r.status == 0 {
			r.status = http.StatusOK
		}
		f.Flush()
	}
}

// Hijack hands the connection over, for websockets.
func (r *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	h, ok := r.ResponseWriter.(http.Hijacker)
	if !ok {
		return nil, nil, http.ErrNotSupported
	}
	c, rw, err := h.Hijack()
	if err == nil && r.status == 0 {
		r.status = http.StatusSwitchingProtocols
	}
	return c, rw, err
}

// Unwrap is for http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// rateLimited is the answer to who failed too often.
func rateLimited(wait time.Duration) error {
	seconds := int(wait/time.Second) + 1
	return &statusError{
		err: &deploy.Error{
			Code: deploy.CodeRateLimited, Message: "too many failed attempts from this address",
			Hint: "try again in " + strconv.Itoa(seconds) + " s", Retryable: true,
		},
		status: http.StatusTooManyRequests, retryAfter: seconds,
	}
}
