package apply

import (
	"context"
	"sync"
	"time"

	"github.com/slipwayhq/slipway/deploy/health"
)

// lookLimit bounds the look at hosts before the script runs if no setting does:
// most answer at once or, being off, refuse at once, and somebody waits for the
// answer. A host that takes longer has no boot id from before, and so no proof
// that it restarted.
const lookLimit = 10 * time.Second

// lookAtOnce is how many hosts are looked at together: all of a request, for
// those that do not answer take all the time that there is.
const lookAtOnce = 1000

// look tells what the hosts that answer now show of themselves, by card. A host
// is asked at the address that its node is known by, or at the one that the
// card was given for.
func (s *Service) look(ctx context.Context, plans []Plan) map[int]health.Result {
	out := map[int]health.Result{}
	if s.deps.Prober == nil {
		return out
	}
	ctx, cancel := context.WithTimeout(ctx, s.deps.LookLimit)
	defer cancel()
	var mu sync.Mutex
	var looks sync.WaitGroup
	free := make(chan struct{}, lookAtOnce)
	for _, p := range plans {
		t := health.Target{Host: p.address(), Port: s.deps.Port, User: s.deps.User, TrustFirst: true}
		if t.Host == "" {
			continue
		}
		if p.known != nil {
			t.HostKey = p.known.hostKey
		}
		looks.Go(func() {
			select {
			case free <- struct{}{}:
				defer func() { <-free }()
			case <-ctx.Done():
				return
			}
			if seen := s.deps.Prober.Check(ctx, t); seen.OK() {
				mu.Lock()
				defer mu.Unlock()
				out[p.Index] = seen
			} else {
				s.deps.Logger.Info("a host did not tell its boot id before the script runs", "node", p.NodeName, "host", t.Host, "class", seen.Class, "reason", seen.Message)
			}
		})
	}
	looks.Wait()
	return out
}

// address is where a card's host is to be found before the script runs.
func (p *Plan) address() string {
	if p.Key != "" {
		return p.Key
	}
	if p.known != nil && p.known.ip != "" {
		return p.known.ip
	}
	return p.Target
}
