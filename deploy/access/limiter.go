package access

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Limiter slows down who fails to identify themselves, by remote address. The
// number of addresses it remembers is bounded; those it has not seen for the
// longest time, and that are therefore full again, are forgotten first.
type Limiter struct {
	every rate.Limit
	burst int
	max   int
	now   func() time.Time

	mu    sync.Mutex
	seats map[string]*seat
}

type seat struct {
	l    *rate.Limiter
	seen time.Time
}

// NewLimiter allows an address burst failures at once and then perSecond of
// them, for at most size addresses at a time.
func NewLimiter(perSecond float64, burst, size int, now func() time.Time) *Limiter {
	if now == nil {
		now = time.Now
	}
	return &Limiter{every: rate.Limit(perSecond), burst: burst, max: size, now: now, seats: map[string]*seat{}}
}

// Wait tells how long the address must wait before it may try again; 0 = now.
// It takes nothing from its allowance.
func (l *Limiter) Wait(remote string) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, ok := l.seats[remote]
	if !ok {
		return 0
	}
	tokens := s.l.TokensAt(l.now())
	if tokens >= 1 {
		return 0
	}
	return time.Duration((1 - tokens) / float64(l.every) * float64(time.Second))
}

// Failed takes one failure from the address's allowance.
func (l *Limiter) Failed(remote string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	s, ok := l.seats[remote]
	if !ok {
		if len(l.seats) >= l.max {
			l.makeRoom()
		}
		s = &seat{l: rate.NewLimiter(l.every, l.burst)}
		l.seats[remote] = s
	}
	s.seen = now
	s.l.AllowN(now, 1)
}

// makeRoom forgets the older half of the addresses.
func (l *Limiter) makeRoom() {
	oldest, newest := time.Time{}, time.Time{}
	for _, s := range l.seats {
		if oldest.IsZero() || s.seen.Before(oldest) {
			oldest = s.seen
		}
		if s.seen.After(newest) {
			newest = s.seen
		}
	}
	middle := oldest.Add(newest.Sub(oldest) / 2)
	for k, s := range l.seats {
		if !s.seen.After(middle) {
			delete(l.seats, k)
		}
	}
}

// Len is the number of addresses remembered.
func (l *Limiter) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.seats)
}
