package vpcsim

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// maxBody is the largest request body that is read; user_data may have 64 KB, JSON may escape each byte of it.
const maxBody = 1 << 20

// operation is one method of the API under its name in the SDK.
type operation struct {
	name    string
	method  string
	path    string // http.ServeMux pattern
	service service
	handle  func(*call) (reply, error)
}

type service int

const (
	serviceVPC service = iota
	serviceDNS
)

// call is one request being answered. Handlers run under the simulator's lock.
type call struct {
	s     *Simulator
	op    *operation
	r     *http.Request
	base  string // scheme and host that the client used, for hrefs
	body  []byte
	trace string
	undo  []func() // what to take back if the handler fails, in order of doing
}

// onUndo registers how to take back a change if the call is refused after all.
func (c *call) onUndo(f func()) { c.undo = append(c.undo, f) }

func (c *call) rollback() {
	for i := len(c.undo) - 1; i >= 0; i-- {
		c.undo[i]()
	}
	c.undo = nil
}

// reply is the answer of a handler that succeeded; a nil body sends none.
type reply struct {
	status int
	body   any
	etag   string
}

func ok(body any) reply { return reply{status: http.StatusOK, body: body} }

func created(body any) reply { return reply{status: http.StatusCreated, body: body} }

func noContent() reply { return reply{status: http.StatusNoContent} }

// routes fills the router from the tables of operations.
func (s *Simulator) routes() {
	s.mux = http.NewServeMux()
	s.ops = map[string]*operation{}
	for _, table := range [][]operation{
		catalogueOperations(), addressOperations(), vniOperations(), serverOperations(), dnsOperations(),
	} {
		for i := range table {
			op := &table[i]
			s.ops[op.name] = op
			s.mux.HandleFunc(op.method+" "+op.path, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, op) })
		}
	}
	s.mux.HandleFunc("POST /identity/token", s.serveToken)
	s.controlRoutes()
	s.mux.HandleFunc("/v1/", func(w http.ResponseWriter, r *http.Request) {
		s.count("unknown")
		s.fail(w, newTrace(), notSimulated(r.Method+" "+r.URL.Path))
	})
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.fail(w, newTrace(), notFound("path", r.URL.Path))
	})
}

// ServeHTTP answers one request.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

func newTrace() string { return uuid.NewString() }

func (s *Simulator) count(name string) {
	s.mu.Lock()
	s.counts.calls[name]++
	s.mu.Unlock()
}

// serve takes one call through authorization, faults, checks and its handler.
func (s *Simulator) serve(w http.ResponseWriter, r *http.Request, op *operation) {
	c := &call{s: s, op: op, r: r, base: baseURL(r), trace: newTrace()}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		s.count(op.name)
		s.fail(w, c.trace, &apiError{Status: http.StatusRequestEntityTooLarge, Code: codeBadRequest, Message: "The body is too large."})
		return
	}
	c.body = body
	answer, end, err := c.run()
	if end != answered {
		s.log.Info("connection dropped by a fault", "operation", op.name, "trace", c.trace)
		panic(http.ErrAbortHandler) // net/http closes the connection without an answer and without a log line
	}
	if err != nil {
		s.log.Info("refused", "operation", op.name, "path", r.URL.Path, "error", err, "trace", c.trace)
		s.fail(w, c.trace, err)
		return
	}
	s.log.Debug("answered", "operation", op.name, "path", r.URL.Path, "status", answer.status, "trace", c.trace)
	if answer.etag != "" {
		w.Header().Set("ETag", answer.etag)
	}
	s.write(w, c.trace, answer.status, answer.body)
}

// ending is what a call ends with.
type ending int

const (
	answered ending = iota
	dropped         // the connection is closed
	silent          // nothing comes until the caller has enough, then the same
)

// run performs the call and tells whether a fault wants the answer withheld.
func (c *call) run() (answer reply, end ending, err error) {
	s := c.s
	s.mu.Lock()
	s.counts.calls[c.op.name]++
	delay := c.takeLatency()
	s.notify()
	s.mu.Unlock()
	if delay > 0 {
		if err := s.sleep(c.r.Context(), delay); err != nil {
			return reply{}, dropped, nil //nolint:nilerr // the caller has gone away: there is nobody to tell
		}
	}
	s.mu.Lock()
	answer, end, delay, err = c.locked()
	s.notify()
	s.mu.Unlock()
	s.drain()
	switch {
	case end == silent && delay > 0:
		_ = s.sleep(c.r.Context(), delay) // either way the connection is closed now
	case end == silent:
		<-c.r.Context().Done()
	}
	return answer, end, err
}

// locked performs the call under the lock; held is how long a silent ending lasts, 0 until the caller goes away.
func (c *call) locked() (answer reply, end ending, held time.Duration, err error) {
	if c.s.closed {
		return reply{}, answered, 0, &apiError{Status: http.StatusServiceUnavailable, Code: "backend_service_unavailable", Message: "The simulator is closed."}
	}
	if err := c.authorize(); err != nil {
		return reply{}, answered, 0, err
	}
	drop, refusal := c.takeRefusal()
	if drop {
		return reply{}, dropped, 0, nil
	}
	if refusal != nil {
		return reply{}, answered, 0, refusal
	}
	if err := c.checkRequest(); err != nil {
		return reply{}, answered, 0, err
	}
	if answer, err = c.op.handle(c); err != nil {
		c.rollback()
		return reply{}, answered, 0, err
	}
	end, held = c.takeLoss()
	return answer, end, held, nil
}

// sleep waits for the injected clock.
func (s *Simulator) sleep(ctx context.Context, d time.Duration) error {
	done := make(chan struct{})
	stop := s.clock.AfterFunc(d, func() { close(done) })
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		stop()
		return ctx.Err()
	}
}

// checkRequest holds what every VPC call must carry: version (a date not in the future) and generation=2; and the
// content types of bodies.
func (c *call) checkRequest() error {
	contentType, _, _ := strings.Cut(c.r.Header.Get("Content-Type"), ";")
	want := "application/json"
	if c.op.method == http.MethodPatch {
		want = "application/merge-patch+json"
	}
	if len(c.body) > 0 && !strings.EqualFold(strings.TrimSpace(contentType), want) {
		return &apiError{Status: http.StatusUnsupportedMediaType, Code: codeBadRequest, Message: "The content type must be " + want + "."}
	}
	if c.op.service != serviceVPC {
		return nil
	}
	query := c.r.URL.Query()
	version := query.Get("version")
	if version == "" {
		return badParameter(codeMissingVersion, "version", "", "The version parameter is required.")
	}
	date, err := time.Parse(time.DateOnly, version)
	if err != nil {
		return badParameter(codeInvalidVersion, "version", version, "The version must be a date of the form YYYY-MM-DD.")
	}
	if date.After(c.s.clock.Now().UTC()) {
		return badParameter(codeInvalidVersion, "version", version, "The version must not be in the future.")
	}
	switch generation := query.Get("generation"); generation {
	case "2":
		return nil
	case "":
		return badParameter(codeMissingGeneration, "generation", "", "The generation parameter is required.")
	default:
		return badParameter(codeBadRequest, "generation", generation, "The generation must be 2.")
	}
}

// decode reads the body as a JSON object into v.
func (c *call) decode(v any) error {
	if len(c.body) == 0 {
		return &apiError{Status: http.StatusBadRequest, Code: codeBadRequest, Message: "A JSON body is required."}
	}
	err := json.Unmarshal(c.body, v)
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) && wrong.Field != "" {
		return badField(wrong.Field, "", "The field %s must not be a JSON %s.", wrong.Field, wrong.Value)
	}
	if err != nil {
		return &apiError{Status: http.StatusBadRequest, Code: codeBadRequest, Message: "The body is not a JSON object."}
	}
	return nil
}

// path is a part of the request's path.
func (c *call) path(name string) string { return c.r.PathValue(name) }

// query is a filter of the request and whether it was given.
func (c *call) query(name string) (string, bool) {
	values, given := c.r.URL.Query()[name]
	if !given || len(values) == 0 {
		return "", false
	}
	return values[0], true
}

// matches reports whether a filter is absent or names exactly this value.
func (c *call) matches(filter, value string) bool {
	want, given := c.query(filter)
	return !given || want == value
}

// href builds the URL of a resource from its path below /v1.
func (c *call) href(path string) string { return c.base + "/v1" + path }

func baseURL(r *http.Request) string {
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// fail writes the error document.
func (s *Simulator) fail(w http.ResponseWriter, trace string, err error) {
	var refusal *apiError
	if !errors.As(err, &refusal) {
		refusal = &apiError{Status: http.StatusInternalServerError, Code: codeInternal, Message: "The simulator failed."}
		s.log.Error("simulator failure", "error", err, "trace", trace)
	}
	if refusal.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(refusal.RetryAfter))
	}
	s.write(w, trace, refusal.Status, refusal.document(trace))
}

// write sends an answer with the headers that IBM's carry.
func (s *Simulator) write(w http.ResponseWriter, trace string, status int, body any) {
	header := w.Header()
	header.Set("X-Request-Id", trace)
	header.Set("X-Correlation-Id", trace)
	header.Set("Transaction-Id", trace)
	header.Set("Cache-Control", "no-store")
	if body == nil {
		w.WriteHeader(status)
		return
	}
	text, err := json.Marshal(body)
	if err != nil {
		s.log.Error("answer cannot be written as JSON", "error", err, "trace", trace)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	header.Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	if _, err := w.Write(append(text, '\n')); err != nil {
		s.log.Debug("client went away", "error", err, "trace", trace)
	}
}
