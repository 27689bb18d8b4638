package conformance

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/slipwayhq/slipway/deploy"
)

func failuresAreTyped(t *testing.T, make func(*testing.T) Fixture) {
	for _, c := range []struct {
		breakage  Breakage
		code      deploy.Code
		temporary bool
	}{
		{BreakUnavailable, deploy.CodeUpstreamUnavailable, true},
		{BreakThrottled, deploy.CodeRateLimited, true},
		{BreakForbidden, deploy.CodeForbidden, false},
	} {
		t.Run(string(c.breakage), func(t *testing.T) {
			f, j := make(t), &Journal{}
			if f.Break == nil {
				t.Skip("this provider calls nothing")
			}
			p := f.Provider(t, j)
			check := func(what string, err error) {
				t.Helper()
				e := &deploy.ProviderError{}
				if c.temporary {
					e = temporary(t, err)
				} else {
					e = final(t, err)
				}
				if e.Code != c.code {
					t.Errorf("%s: code %s, want %s (%v)", what, e.Code, c.code, e)
				}
			}
			f.Break(c.breakage)
			_, err := p.Order(t.Context(), order(f.Spec))
			check("order", err)
			f.Repair()
			m := persistOrder(t, f, p, order(f.Spec))
			f.Break(c.breakage)
			_, err = p.Observe(t.Context(), nodeID)
			check("observe", err)
			if p.HasNames() {
				check("names", p.RegisterNames(t.Context(), names(f, m.ManagementIP)))
				f.Repair()
				persistNames(t, f, p, names(f, m.ManagementIP))
				wantMade(t, f, f.OrderMakes, f.NamesMake)
			}
		})
	}
}

func badFieldsAreNamed(t *testing.T, make func(*testing.T) Fixture) {
	for _, field := range slices.Sorted(maps.Keys(make(t).BadSpecs)) {
		t.Run(field, func(t *testing.T) {
			f, j := make(t), &Journal{}
			spec := f.Spec
			f.BadSpecs[field](&spec)
			_, err := f.Provider(t, j).Order(t.Context(), order(spec))
			if e := final(t, err); !strings.HasPrefix(e.Message, field+": ") {
				t.Errorf("the message %q does not begin with the field %s", e.Message, field)
			}
			wantMade(t, f)
		})
	}
}

func canceledOrder(t *testing.T, make func(*testing.T) Fixture) {
	f, j := make(t), &Journal{}
	if f.Hook == nil {
		t.Skip("this provider calls nothing")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Provider(t, j).Order(ctx, order(f.Spec)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	wantMade(t, f)
}

func observe(t *testing.T, make func(*testing.T) Fixture) {
	f, j := make(t), &Journal{}
	p := f.Provider(t, j)
	o, err := p.Observe(t.Context(), nodeID)
	if err != nil {
		t.Fatalf("a node without a machine: %v", err)
	}
	if makes := f.OrderMakes["server"] > 0; makes != (o.Failed != nil) {
		t.Fatalf("a node without a machine: %+v", o)
	}
	m := persistOrder(t, f, p, order(f.Spec))
	if o, err = p.Observe(t.Context(), nodeID); err != nil || o.Failed != nil {
		t.Fatalf("a machine that is coming: %+v, %v", o, err)
	}
	if f.Remove == nil {
		return
	}
	f.Remove(t, m.ServerID)
	if o, err = p.Observe(t.Context(), nodeID); err != nil || o.Failed == nil {
		t.Fatalf("a machine that somebody removed: %+v, %v", o, err)
	}
	_ = final(t, o.Failed)
	_, err = p.Order(t.Context(), order(f.Spec))
	_ = final(t, err)
	wantMade(t, f, f.OrderMakes)
}

// named gives a fixture whose node has its machine.
func named(t *testing.T, make func(*testing.T) Fixture) (Fixture, *Journal, deploy.Names) {
	t.Helper()
	f, j := make(t), &Journal{}
	p := f.Provider(t, j)
	if !p.HasNames() {
		if err := p.RegisterNames(t.Context(), names(f, "127.0.0.1")); err != nil {
			t.Fatalf("a provider without names: %v", err)
		}
		wantMade(t, f)
		t.Skip("this provider registers no names")
	}
	return f, j, names(f, persistOrder(t, f, p, order(f.Spec)).ManagementIP)
}

func namesOnce(t *testing.T, make func(*testing.T) Fixture) {
	f, j, n := named(t, make)
	for range 3 {
		persistNames(t, f, f.Provider(t, j), n)
	}
	wantMade(t, f, f.OrderMakes, f.NamesMake)
}

func namesKilledAtEveryCall(t *testing.T, make func(*testing.T) Fixture) {
	f, j, n := named(t, make)
	calls := countCalls(t, f, func() { persistNames(t, f, f.Provider(t, j), n) })
	eachCut(t, calls, func(t *testing.T, k int, after bool) {
		f, j, n := named(t, make)
		killUntilDead(t, f, cutAt{k, after}, func(ctx context.Context) error { return f.Provider(t, j).RegisterNames(ctx, n) })
		persistNames(t, f, f.Provider(t, j), n)
		wantMade(t, f, f.OrderMakes, f.NamesMake)
	})
}

func namesAnswerLost(t *testing.T, make func(*testing.T) Fixture) {
	f, j, n := named(t, make)
	calls := countCalls(t, f, func() { persistNames(t, f, f.Provider(t, j), n) })
	eachCut(t, calls, func(t *testing.T, k int, after bool) {
		f, j, n := named(t, make)
		f.Hook(cut(k, after, func() error { return errors.New("connection reset by peer") }))
		persistNames(t, f, f.Provider(t, j), n)
		wantMade(t, f, f.OrderMakes, f.NamesMake)
	})
}

func namesRace(t *testing.T, make func(*testing.T) Fixture) {
	f, j, n := named(t, make)
	p := f.Provider(t, j)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if err := tryNames(t.Context(), f, p, n); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	wantMade(t, f, f.OrderMakes, f.NamesMake)
}

func secondOrder(t *testing.T, make func(*testing.T) Fixture) {
	f, j := make(t), &Journal{}
	if f.OrderMakes["server"] == 0 {
		t.Skip("this provider makes no machines")
	}
	p := f.Provider(t, j)
	persistOrder(t, f, p, order(f.Spec))
	second := order(f.Spec)
	second.DeploymentID++
	_, err := p.Order(t.Context(), second)
	if e := final(t, err); e.Code != deploy.CodeConflict {
		t.Errorf("a second machine for the node: %v", e)
	}
	wantMade(t, f, f.OrderMakes)
}
