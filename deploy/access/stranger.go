package access

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// How many of the strangers' attempts are kept: a burst, then one in a while.
// All of them are counted.
const (
	strangerBurst = 20
	strangerEvery = 5 * time.Second
)

// Strangers counts what comes from somebody without a right to send it, and
// keeps some of it. Nobody can fill the disk or the log with it.
type Strangers struct {
	keep  func(ctx context.Context, code, remote, path, summary string) error
	now   func() time.Time
	log   *slog.Logger
	limit *rate.Limiter

	mu     sync.Mutex
	counts map[string]int64
}

// NewStrangers makes the counter; keep writes one entry of the bounded log.
// now nil = time.Now, log nil = slog.Default().
func NewStrangers(keep func(ctx context.Context, code, remote, path, summary string) error, now func() time.Time, log *slog.Logger) *Strangers {
	if now == nil {
		now = time.Now
	}
	if log == nil {
		log = slog.Default()
	}
	return &Strangers{
		keep: keep, now: now, log: log, counts: map[string]int64{},
		limit: rate.NewLimiter(rate.Every(strangerEvery), strangerBurst),
	}
}

// Stranger notes one attempt: a code of package deploy, the remote address, the
// path without secrets, and what was wanted.
func (s *Strangers) Stranger(ctx context.Context, code, remote, path, summary string) {
	s.mu.Lock()
	if len(s.counts) < 100 { // codes are few; this only bounds a mistake
		s.counts[code]++
	}
	s.mu.Unlock()
	if !s.limit.AllowN(s.now(), 1) {
		return
	}
	if err := s.keep(ctx, code, remote, path, Redact(summary)); err != nil && ctx.Err() == nil {
		s.log.WarnContext(ctx, "a stranger's attempt was not kept", "error", err)
	}
}

// Counts is how many attempts there were since the start, by code.
func (s *Strangers) Counts() map[string]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[string]int64, len(s.counts))
	for k, n := range s.counts {
		out[k] = n
	}
	return out
}
