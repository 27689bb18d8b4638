package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"time"
)

// readiness keeps the last look for a moment, so that an open endpoint cannot
// be used to load the database.
type readiness struct {
	mu     sync.Mutex
	at     time.Time
	answer readyAnswer
}

// readyAnswer says what works.
type readyAnswer struct {
	Status string            `json:"status" enum:"ready,not_ready"`
	Checks map[string]string `json:"checks" doc:"By name: ok or failing. The reason is in the server's log."`
	// StaleSince is nil while the database answers.
	StaleSince *time.Time `json:"stale_since,omitempty" doc:"Streams and pages are complete up to here only: the database does not answer."`
}

// Line is the answer as a shell prints it.
func (a readyAnswer) Line() string { return a.Status }

const (
	readyFor     = time.Second
	readyTimeout = 2 * time.Second
	// feedSilent is how long the feed may be unable to read before the process
	// is not ready.
	feedSilent = 5 * time.Second
)

// healthAnswer says that the process lives.
type healthAnswer struct {
	Status string `json:"status" enum:"ok"`
}

// Line is the answer as a shell prints it.
func (a healthAnswer) Line() string { return a.Status }

// healthz says that the process answers; nothing else is looked at.
func (s *Server) healthz(w http.ResponseWriter, r *http.Request) {
	answer(w, r, http.StatusOK, healthAnswer{"ok"})
}

// readyz says whether the process can do its work.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	a := s.look(r.Context())
	status := http.StatusOK
	if a.Status != "ready" {
		status = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", "2")
	}
	answer(w, r, status, a)
}

func (s *Server) look(ctx context.Context) readyAnswer {
	s.ready.mu.Lock()
	defer s.ready.mu.Unlock()
	if s.draining.Err() == nil && s.ready.answer.Checks != nil && s.Now().Sub(s.ready.at) < readyFor {
		return s.ready.answer
	}
	// Not the caller's context: the answer is for others too.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyTimeout)
	defer cancel()
	a := readyAnswer{Status: "ready", Checks: map[string]string{}}
	for name, check := range s.checks() {
		a.Checks[name] = "ok"
		if err := check(ctx); err != nil {
			a.Checks[name], a.Status = "failing", "not_ready"
			s.Log.WarnContext(ctx, "not ready", "check", name, "error", err)
		}
	}
	if s.Feed != nil {
		if since, stale := s.Feed.StaleSince(); stale {
			since = since.UTC()
			a.StaleSince = &since
		}
	}
	s.ready.at, s.ready.answer = s.Now(), a
	return a
}

func (s *Server) checks() map[string]func(context.Context) error {
	checks := map[string]func(context.Context) error{
		"serving": func(context.Context) error {
			if s.draining.Err() != nil {
				return errors.New("shutting down")
			}
			return nil
		},
	}
	if s.Store != nil {
		checks["database"] = s.Store.Ping
		checks["migrations"] = func(ctx context.Context) error {
			pending, err := s.Store.Pending(ctx)
			if err == nil && len(pending) > 0 {
				err = fmt.Errorf("%d migrations are not applied", len(pending))
			}
			return err
		}
	}
	if s.Feed != nil {
		checks["feed"] = s.feedAlive
	}
	maps.Copy(checks, s.Checks)
	return checks
}

func (s *Server) feedAlive(context.Context) error {
	select {
	case <-s.Feed.Ready():
	default:
		return errors.New("the feed has not begun")
	}
	if since, stale := s.Feed.StaleSince(); stale && time.Since(since) > feedSilent {
		return fmt.Errorf("the feed could not read since %s", since.Format(time.RFC3339))
	}
	return nil
}
