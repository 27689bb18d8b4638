package operation

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/slipwayhq/slipway/deploy"
)

// offerFor is how long an offer is good: what it is made of are many lists.
const offerFor = time.Minute

// offers keeps the last answer of each provider.
type offers struct {
	flight singleflight.Group
	mu     sync.Mutex
	known  map[string]deploy.Offer
}

func (o *offers) get(provider string, now time.Time) (deploy.Offer, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	offer, ok := o.known[provider]
	// One from the future was asked for before the clock was put back.
	return offer, ok && now.Sub(offer.AsOf) < offerFor && !offer.AsOf.After(now)
}

// Offer tells what can be ordered at a provider. It is at most a minute old
// (AsOf says when it was read), and however many ask, the provider is asked
// once at a time. Errors are not kept.
func (s *Service) Offer(ctx context.Context, provider string) (deploy.Offer, error) {
	offerer, err := ask[deploy.Offerer](s, provider, "tell what can be ordered")
	if err != nil {
		return deploy.Offer{}, err
	}
	if offer, ok := s.offers.get(provider, s.deps.Now()); ok {
		return offer, nil
	}
	offer, err := together(ctx, &s.offers.flight, provider, askLimit, func(ctx context.Context) (deploy.Offer, error) {
		if offer, ok := s.offers.get(provider, s.deps.Now()); ok {
			return offer, nil
		}
		offer, err := offerer.Offer(ctx)
		if err != nil {
			return deploy.Offer{}, err
		}
		offer.AsOf = s.deps.Now().UTC().Truncate(time.Microsecond)
		s.offers.mu.Lock()
		defer s.offers.mu.Unlock()
		s.offers.known[provider] = offer
		return offer, nil
	})
	return offer, refusal(ctx, provider, err)
}

// together does something once for all who ask for it at the same time. It
// goes on when the one who asked first goes away, for at most limit.
func together[T any](ctx context.Context, flight *singleflight.Group, key string, limit time.Duration, do func(context.Context) (T, error)) (T, error) {
	var none T
	done := flight.DoChan(key, func() (any, error) {
		work, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
		defer cancel()
		return do(work)
	})
	select {
	case <-ctx.Done():
		return none, ctx.Err()
	case r := <-done:
		if r.Err != nil {
			return none, r.Err
		}
		v, ok := r.Val.(T)
		if !ok {
			return none, fmt.Errorf("operation: %s gave a %T", key, r.Val)
		}
		return v, nil
	}
}
