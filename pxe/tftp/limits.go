package tftp

import (
	"errors"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

var (
	errRate      = errors.New("too many requests from this address, try again later")
	errPerClient = errors.New("too many transfers to this address, try again later")
	errTotal     = errors.New("the server is busy, try again later")
)

// limits bound what one address and all of them may use.
type limits struct {
	perClient, total int
	perSecond        rate.Limit
	burst            int

	mu      sync.Mutex
	active  int
	clients map[netip.Addr]*client
}

// client is what is remembered of an address.
type client struct {
	active int
	pace   *rate.Limiter
	seen   time.Time
}

// Addresses are forgotten once they have been silent for forgetAfter and more
// than keep are known. Of forged ones there can be many.
const (
	forgetAfter = time.Minute
	keep        = 4096
)

func newLimits(perClient, total int, perSecond float64, burst int) *limits {
	return &limits{perClient: perClient, total: total, perSecond: rate.Limit(perSecond), burst: burst, clients: map[netip.Addr]*client{}}
}

// admit takes a place for a transfer. release gives it back.
func (l *limits) admit(ip netip.Addr, now time.Time) (release func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.clients) > keep {
		l.forget(now)
	}
	c := l.clients[ip]
	if c == nil {
		c = &client{pace: rate.NewLimiter(l.perSecond, l.burst)}
		l.clients[ip] = c
	}
	c.seen = now
	switch {
	case !c.pace.AllowN(now, 1):
		return nil, errRate
	case c.active >= l.perClient:
		return nil, errPerClient
	case l.active >= l.total:
		return nil, errTotal
	}
	c.active++
	l.active++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		c.active--
		l.active--
	}, nil
}

// forget drops addresses that have no transfer: the silent ones, and if that is
// not enough, all of them. Their budget begins anew then, which costs less than
// memory without bound.
func (l *limits) forget(now time.Time) {
	for _, silent := range []time.Duration{forgetAfter, 0} {
		for ip, c := range l.clients {
			if c.active == 0 && now.Sub(c.seen) >= silent {
				delete(l.clients, ip)
			}
		}
		if len(l.clients) <= keep {
			return
		}
	}
}
