package artifact

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"time"
)

// APIPrefix is the path of the catalogue for people and tools. A single
// artifact is below it.
const APIPrefix = "/api/artifacts"

// stall is how long nothing of an upload may arrive.
const stall = time.Minute

// API lets people look at the catalogue and change it over HTTP: GET APIPrefix
// lists it, PUT APIPrefix/{name} uploads a file, DELETE APIPrefix/{name} takes
// one out. A file of the server's disk cannot be registered this way: whoever
// could would read every file of the server. Who may do what is the router's.
type API struct {
	Catalogue *Catalogue
	MaxSize   int64 // of an upload, in bytes
	// InUse gives by artifact the names of the nodes that may still fetch it:
	// those are neither removed nor replaced by other bytes.
	InUse func(context.Context) (map[string][]string, error)
}

// Row is how an artifact is shown.
type Row struct {
	Name       string    `json:"name"`
	Kind       Kind      `json:"kind"`
	Version    string    `json:"version"`
	Size       int64     `json:"size"`
	SHA256     string    `json:"sha256"`
	State      string    `json:"state"`   // ready or broken
	Problem    *string   `json:"problem"` // why it is broken
	InPlace    bool      `json:"in_place"`
	Registered time.Time `json:"registered_at"`
	InUseBy    []string  `json:"in_use_by"`
}

// InPlace reports whether the file lies where it was when it was registered.
func (a Artifact) InPlace() bool { return strings.HasPrefix(a.File, "/") }

func row(a Artifact, used []string) Row {
	r := Row{
		Name: a.Name, Kind: a.Kind, Version: a.Version, Size: a.Size, SHA256: a.SHA256, State: "ready",
		InPlace: a.InPlace(), Registered: a.Registered, InUseBy: used,
	}
	if a.Broken != "" {
		r.State, r.Problem = "broken", &a.Broken
	}
	if used == nil {
		r.InUseBy = []string{}
	}
	return r
}

// ServeHTTP answers for the whole catalogue or, where the router has found a
// {name}, for one artifact.
func (s *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	var err error
	switch name := r.PathValue("name"); {
	case name == "" && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		err = s.list(w, r)
	case name != "" && r.Method == http.MethodPut:
		err = s.put(w, r, name)
	case name != "" && r.Method == http.MethodDelete:
		err = s.remove(w, r, name)
	default:
		refuse(w, http.StatusMethodNotAllowed, "invalid", "this method is not possible here")
	}
	if err != nil {
		s.refuse(w, r, err)
	}
}

func (s *API) list(w http.ResponseWriter, r *http.Request) error {
	all, err := s.Catalogue.List()
	if err != nil {
		return err
	}
	used, err := s.InUse(r.Context())
	if err != nil {
		return err
	}
	rows := make([]Row, len(all))
	for i, a := range all {
		rows[i] = row(a, used[a.Name])
	}
	answer(w, http.StatusOK, struct {
		Artifacts []Row `json:"artifacts"`
	}{rows})
	return nil
}

// errInUse refuses what would take an artifact away from machines.
type errInUse struct {
	name  string
	nodes []string
}

func (e *errInUse) Error() string {
	shown, more := e.nodes, ""
	if len(shown) > 5 {
		shown, more = shown[:5], fmt.Sprintf(" and %d more", len(e.nodes)-5)
	}
	return fmt.Sprintf("%s is in use: the deployments of %s%s may still fetch it", e.name, strings.Join(shown, ", "), more)
}

// free is nil if no machine may still fetch the artifact.
func (s *API) free(ctx context.Context, name string) error {
	used, err := s.InUse(ctx)
	if err != nil {
		return err
	}
	if nodes := used[name]; len(nodes) > 0 {
		return &errInUse{name, nodes}
	}
	return nil
}

// put receives an artifact. What can be refused is refused before the body is
// read, so that a client that waits for it (Expect: 100-continue) sends nothing.
func (s *API) put(w http.ResponseWriter, r *http.Request, name string) error {
	q := r.URL.Query()
	in := Incoming{Name: name, Version: q.Get("version"), Kind: Kind(q.Get("kind")), SHA256: strings.ToLower(r.Header.Get("X-Checksum-Sha256")), Limit: s.MaxSize}
	if in.Kind == "" {
		in.Kind = KindImage
	}
	if err := in.check(); err != nil {
		return err
	}
	if r.ContentLength > s.MaxSize {
		return fmt.Errorf("%q: %w: at most %d bytes", name, ErrTooLarge, s.MaxSize)
	}
	known, err := s.Catalogue.Get(name)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	status := http.StatusCreated
	if err == nil {
		status = http.StatusOK
		if same := known.SHA256 == in.SHA256 && known.Kind == in.Kind && known.Version == in.Version; same && known.Broken == "" {
			answer(w, status, row(known, nil))
			return nil
		}
	}
	in.Agree = func() error { // the same bytes under the same name disturb nobody
		now, err := s.Catalogue.Get(name)
		if errors.Is(err, ErrNotFound) || err == nil && in.SHA256 != "" && now.SHA256 == in.SHA256 {
			return nil
		}
		if err != nil {
			return err
		}
		return s.free(r.Context(), name)
	}
	if err := in.Agree(); err != nil {
		return err
	}
	a, err := s.Catalogue.Receive(r.Context(), in, &steady{r.Body, http.NewResponseController(w)})
	if err != nil {
		return err
	}
	answer(w, status, row(a, nil))
	return nil
}

// steady gives a large body as much time as it needs, as long as it comes.
type steady struct {
	body io.Reader
	conn *http.ResponseController
}

func (s *steady) Read(p []byte) (int, error) {
	_ = s.conn.SetReadDeadline(time.Now().Add(stall)) // where it can be set
	n, err := s.body.Read(p)
	switch {
	case errors.Is(err, io.EOF):
		_ = s.conn.SetReadDeadline(time.Time{}) // bringing it onto the disk takes what it takes
	case err != nil:
		err = &errCut{err}
	}
	return n, err
}

// errCut is an upload that did not come to its end.
type errCut struct{ err error }

func (e *errCut) Error() string { return "the upload was cut off: " + e.err.Error() }
func (e *errCut) Unwrap() error { return e.err }

func (s *API) remove(w http.ResponseWriter, r *http.Request, name string) error {
	if _, err := s.Catalogue.Get(name); err != nil {
		return err
	}
	if err := s.free(r.Context(), name); err != nil {
		return err
	}
	if err := s.Catalogue.Remove(name); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// refuse answers with the error form that every endpoint shares. Whatever is
// left of a body is not read: the connection ends.
func (s *API) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if r.Method == http.MethodPut {
		w.Header().Set("Connection", "close")
	}
	var used *errInUse
	var cut *errCut
	switch {
	case errors.As(err, &used):
		refuse(w, http.StatusConflict, "conflict", err.Error())
	case errors.As(err, &cut):
		refuse(w, http.StatusBadRequest, "invalid", err.Error())
	case errors.Is(err, ErrNotFound):
		refuse(w, http.StatusNotFound, "not_found", "no such artifact")
	case errors.Is(err, ErrName), errors.Is(err, ErrKind), errors.Is(err, ErrChecksum):
		refuse(w, http.StatusUnprocessableEntity, "invalid", err.Error())
	case errors.Is(err, ErrTooLarge):
		refuse(w, http.StatusRequestEntityTooLarge, "too_large", err.Error())
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		s.Catalogue.log.ErrorContext(r.Context(), "an artifact does not fit on the disk", "error", err)
		refuse(w, http.StatusInsufficientStorage, "quota_exceeded", "there is no room for it on the server's disk")
	default:
		s.Catalogue.log.ErrorContext(r.Context(), "artifact catalogue", "method", r.Method, "error", err)
		w.Header().Set("Retry-After", "5")
		refuse(w, http.StatusServiceUnavailable, "upstream_unavailable", "the artifact catalogue cannot be used at the moment")
	}
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client went away: nobody to tell
}
