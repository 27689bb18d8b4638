package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/apply"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
)

// ErrorDocument is what every error answer of the REST shim looks like.
type ErrorDocument struct {
	Message   string       `json:"error" doc:"What went wrong, for people."`
	Code      string       `json:"code" doc:"The same in one stable word." example:"not_found"`
	RequestID string       `json:"request_id,omitempty"`
	Hint      string       `json:"hint,omitempty" doc:"What to do about it."`
	Fields    []ErrorField `json:"fields,omitempty" doc:"Every bad field of the input."`
	Accepted  *[]string    `json:"accepted_phases,omitempty" doc:"Of a refused report: the phases that would be accepted now."`
	Retryable bool         `json:"retryable,omitempty" doc:"The same call may succeed later."`
	status    int          // of the answer
	header    [2]string    // one more header, if its name is set
	cause     error        // for the log
}

// ErrorField is one bad field.
type ErrorField struct {
	Field   string `json:"field"`
	Code    string `json:"code"`
	Key     string `json:"key,omitempty" doc:"The rule that was broken, in one stable word, where a field has more rules than there are codes." example:"mask_not_contiguous"`
	Message string `json:"message"`
}

// Error makes it an error for huma.
func (d *ErrorDocument) Error() string { return d.Code + ": " + d.Message }

// GetStatus is the HTTP status of the answer.
func (d *ErrorDocument) GetStatus() int { return d.status }

// Line is the error as a shell prints it.
func (d *ErrorDocument) Line() string {
	var b strings.Builder
	fmt.Fprintf(&b, "error %s: %s", d.Code, d.Message)
	for _, f := range d.Fields {
		fmt.Fprintf(&b, "; %s %s", f.Field, f.Message)
	}
	if d.Accepted != nil && len(*d.Accepted) > 0 {
		fmt.Fprintf(&b, "; accepted now: %s", strings.Join(*d.Accepted, ", "))
	}
	return b.String()
}

// codeInternal is the one code beside package deploy's: it is a defect of ours.
const codeInternal = "internal"

var statusOf = map[deploy.Code]int{
	deploy.CodeNotFound:             http.StatusNotFound,
	deploy.CodeUnauthenticated:      http.StatusUnauthorized,
	deploy.CodeForbidden:            http.StatusForbidden,
	deploy.CodeInvalid:              http.StatusUnprocessableEntity,
	deploy.CodeRequired:             http.StatusUnprocessableEntity,
	deploy.CodeOutOfRange:           http.StatusUnprocessableEntity,
	deploy.CodeIdempotencyConflict:  http.StatusUnprocessableEntity,
	deploy.CodeConfirmationMismatch: http.StatusUnprocessableEntity,
	deploy.CodeTooLarge:             http.StatusRequestEntityTooLarge,
	deploy.CodeRateLimited:          http.StatusTooManyRequests,
	deploy.CodeUpstreamUnavailable:  http.StatusServiceUnavailable,
}

// statusError is a refusal whose HTTP status is not that of its code.
type statusError struct {
	err        *deploy.Error
	status     int
	retryAfter int // seconds, 0 = none
}

func (e *statusError) Error() string { return e.err.Error() }

func (e *statusError) Unwrap() error { return e.err }

// malformed is a body that cannot be read at all.
func malformed(format string, args ...any) error {
	return &statusError{err: deploy.Errorf(deploy.CodeInvalid, format, args...), status: http.StatusBadRequest}
}

// document puts an error into the words of the REST shim. What is not a
// deploy.Error never shows its text.
func (s *Server) document(err error) *ErrorDocument {
	var d *ErrorDocument
	if errors.As(err, &d) {
		return d
	}
	var retry int
	status := 0
	if se := (*statusError)(nil); errors.As(err, &se) {
		status, retry = se.status, se.retryAfter
	}
	e, ok := deploy.AsError(err)
	if !ok {
		return s.internal(err)
	}
	if h := (*apply.HostError)(nil); errors.As(err, &h) && (e.Code == deploy.CodeForbidden || e.Code == deploy.CodeQuotaExceeded) {
		// It is the host's files that we may not write, not what the caller may ask.
		status = http.StatusServiceUnavailable
	}
	if status == 0 {
		status = statusOf[e.Code]
	}
	if status == 0 {
		status = http.StatusConflict
	}
	d = &ErrorDocument{Message: e.Message, Code: string(e.Code), Hint: e.Hint, Retryable: e.Retryable, status: status}
	for _, f := range e.Fields {
		d.Fields = append(d.Fields, ErrorField{Field: f.Field, Code: string(f.Code), Key: f.Key, Message: f.Message})
	}
	if e.AcceptedPhases != nil {
		d.Accepted = &e.AcceptedPhases
	}
	switch status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		d.header = [2]string{"Retry-After", strconv.Itoa(max(retry, 1))}
	case http.StatusUnauthorized:
		d.header = [2]string{"WWW-Authenticate", `Bearer realm="slipway"`}
	}
	return d
}

// internal is trouble of ours: passing (503) or a defect (500).
func (s *Server) internal(err error) *ErrorDocument {
	passing := errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) ||
		errors.Is(err, lifecycle.ErrClosed) || s.Store != nil && (s.Store.IsUnavailable(err) || s.Store.IsSerialization(err))
	if passing {
		return &ErrorDocument{
			Message: "Slipway cannot answer at the moment", Code: string(deploy.CodeUpstreamUnavailable), Hint: "try again",
			Retryable: true, status: http.StatusServiceUnavailable, header: [2]string{"Retry-After", "2"}, cause: err,
		}
	}
	return &ErrorDocument{
		Message: "an internal error", Code: codeInternal, Hint: "look for the request id in the server's log",
		status: http.StatusInternalServerError, cause: err,
	}
}

// refuse answers with an error.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	d := s.refused(w, r, err)
	answer(w, r, d.status, &d)
}

// refused gives an error's document for a request, logs what is trouble of
// ours, and sets the error's own header.
func (s *Server) refused(w http.ResponseWriter, r *http.Request, err error) ErrorDocument {
	d := *s.document(err)
	d.RequestID = requestID(r.Context())
	if d.cause != nil && r.Context().Err() == nil {
		s.Log.ErrorContext(r.Context(), "request failed", "request_id", d.RequestID, "route", r.Pattern, "error", d.cause)
	}
	if d.header[0] != "" {
		w.Header().Set(d.header[0], d.header[1])
	}
	return d
}

// liner is an answer that has a one-line form for shells.
type liner interface{ Line() string }

// answer sends a value as JSON, or as its line if the caller prefers text.
func answer(w http.ResponseWriter, r *http.Request, status int, v any) {
	h := w.Header()
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-store")
	}
	if l, ok := v.(liner); ok && prefersText(r.Header.Get("Accept")) {
		h.Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(status)
		_, _ = fmt.Fprintln(w, oneLine(l.Line())) // the client went away: nobody to tell
		return
	}
	h.Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// oneLine makes control characters harmless.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}

// prefersText reports whether an Accept header names text/plain before, or
// with more weight than, JSON (RFC 9110 section 12.5.1).
func prefersText(accept string) bool {
	best, text := 0.0, false
	for part := range strings.SplitSeq(accept, ",") {
		kind, params, _ := strings.Cut(part, ";")
		kind = strings.ToLower(strings.TrimSpace(kind))
		q := 1.0
		for p := range strings.SplitSeq(params, ";") {
			if v, ok := strings.CutPrefix(strings.TrimSpace(p), "q="); ok {
				if f, err := strconv.ParseFloat(v, 64); err == nil {
					q = f
				}
			}
		}
		if q > best && (kind == "text/plain" || kind == "application/json" || kind == "*/*" || kind == "application/*") {
			best, text = q, kind == "text/plain"
		}
	}
	return text
}
