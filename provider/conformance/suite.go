package conformance

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"sync"
	"testing"

	"github.com/slipwayhq/slipway/deploy"
)

// Run holds a provider to the suite; make gives a fresh fixture.
func Run(t *testing.T, make func(t *testing.T) Fixture) {
	all := map[string]func(*testing.T, func(*testing.T) Fixture){
		"order is idempotent":                orderIsIdempotent,
		"one order by several processes":     orderRaces,
		"several nodes at once":              severalNodes,
		"journal comes before the call":      journalComesFirst,
		"killed at every call":               killedAtEveryCall,
		"every answer lost once":             everyAnswerLost,
		"killed at every journal write":      killedAtEveryWrite,
		"failures are typed":                 failuresAreTyped,
		"bad fields are named":               badFieldsAreNamed,
		"a canceled order says so":           canceledOrder,
		"observe":                            observe,
		"names are registered once":          namesOnce,
		"names killed at every call":         namesKilledAtEveryCall,
		"names, every answer lost once":      namesAnswerLost,
		"names by several callers":           namesRace,
		"an order of another run is refused": secondOrder,
	}
	maps.Copy(all, verbs())
	for name, test := range all {
		t.Run(name, func(t *testing.T) { test(t, make) })
	}
}

// errKilled stands for the end of the process.
var errKilled = errors.New("killed")

func orderIsIdempotent(t *testing.T, make func(*testing.T) Fixture) {
	f, j := make(t), &Journal{}
	first := persistOrder(t, f, f.Provider(t, j), order(f.Spec))
	if first.ManagementIP == "" || len(first.MACs) == 0 {
		t.Fatalf("the machine has no address or no MAC: %+v", first)
	}
	if (first.ServerID != "") != (f.OrderMakes["server"] > 0) {
		t.Fatalf("server id %q, though an order makes %v", first.ServerID, f.OrderMakes)
	}
	for range 3 {
		again := persistOrder(t, f, f.Provider(t, j), order(f.Spec))
		again.ServerStatus = first.ServerStatus
		if !reflect.DeepEqual(again, first) {
			t.Fatalf("called again it gives %+v, before %+v", again, first)
		}
	}
	wantMade(t, f, f.OrderMakes)
	for _, r := range j.Rows() {
		if r.State != deploy.ResourcePresent || r.CloudID == "" || r.NodeID != nodeID || r.HeldBy != deploymentID {
			t.Errorf("row %+v is not settled", r)
		}
	}
}

func orderRaces(t *testing.T, make func(*testing.T) Fixture) {
	f, j := make(t), &Journal{}
	machines := [4]deploy.Machine{}
	var all sync.WaitGroup
	for i := range machines {
		p := f.Provider(t, j)
		all.Go(func() { machines[i] = tryOrder(t, f, p, order(f.Spec)) })
	}
	all.Wait()
	for _, m := range machines {
		if m.ServerID != machines[0].ServerID || m.ManagementIP != machines[0].ManagementIP {
			t.Errorf("got %+v and %+v", machines[0], m)
		}
	}
	wantMade(t, f, f.OrderMakes)
}

// tryOrder is persistOrder for a goroutine of its own.
func tryOrder(t *testing.T, f Fixture, p deploy.Provider, o deploy.Order) deploy.Machine {
	m, err := persist(t.Context(), f, func(ctx context.Context) (deploy.Machine, error) { return p.Order(ctx, o) })
	if err != nil {
		t.Errorf("order: %v", err)
	}
	return m
}

func severalNodes(t *testing.T, make func(*testing.T) Fixture) {
	f, j := make(t).withoutCluster(), &Journal{}
	if f.OrderMakes["server"] == 0 {
		t.Skip("this provider makes no machines")
	}
	p := f.Provider(t, j)
	const nodes = 5
	machines := [nodes]deploy.Machine{}
	var all sync.WaitGroup
	for i := range machines {
		o := order(f.Spec)
		o.NodeID, o.DeploymentID, o.NodeName = int64(100+i), int64(200+i), fmt.Sprintf("node-%d", i)
		all.Go(func() { machines[i] = tryOrder(t, f, p, o) })
	}
	all.Wait()
	seen := map[string]bool{}
	for _, m := range machines {
		for _, unique := range append([]string{m.ServerID, m.ManagementIP}, m.MACs...) {
			if seen[unique] {
				t.Errorf("%s belongs to two machines", unique)
			}
			seen[unique] = true
		}
	}
	var want []map[string]int
	for range nodes {
		want = append(want, f.OrderMakes)
	}
	wantMade(t, f, want...)
}

func journalComesFirst(t *testing.T, make func(*testing.T) Fixture) {
	f, j := make(t), &Journal{}
	if f.Hook == nil {
		t.Skip("this provider calls nothing")
	}
	calls := 0
	f.Hook(Hooks{After: func(int) error {
		calls++
		rows := map[string]int{}
		for _, r := range j.Rows() {
			if r.State != deploy.ResourceIntent { // what may have been asked for shows that
				rows[r.Kind]++
			}
		}
		for kind, n := range f.Made() {
			if rows[kind] < n {
				t.Errorf("call %d made a %s before the journal knew: %v", calls, kind, rows)
			}
		}
		return nil
	}})
	p := f.Provider(t, j)
	m := persistOrder(t, f, p, order(f.Spec))
	if p.HasNames() {
		persistNames(t, f, p, names(f, m.ManagementIP))
	}
	if calls == 0 {
		t.Fatal("the hook saw no calls")
	}
}

// calls are those that a step makes, repeats included.
type calls struct {
	n      int
	reads  map[int]bool // those that change nothing
	sparse bool
}

// countCalls gives the calls of a step.
func countCalls(t *testing.T, f Fixture, step func()) calls {
	t.Helper()
	c := calls{reads: map[int]bool{}, sparse: f.Sparse}
	if f.Hook == nil {
		return c
	}
	var mu sync.Mutex
	f.Hook(Hooks{
		Before: func(n int) error {
			mu.Lock()
			defer mu.Unlock()
			c.n = max(c.n, n)
			return nil
		},
		Read: func(n int) {
			mu.Lock()
			defer mu.Unlock()
			c.reads[n] = true
		},
	})
	step()
	mu.Lock()
	defer mu.Unlock()
	if c.n == 0 {
		t.Fatal("the hook saw no calls")
	}
	return c
}

// at is a hook that acts on the n-th call of the fixture only.
func at(n int, act func() error) func(int) error {
	return func(call int) error {
		if call == n {
			return act()
		}
		return nil
	}
}

// cut gives the hooks that act before or after the n-th call.
func cut(n int, after bool, act func() error) Hooks {
	if after {
		return Hooks{After: at(n, act)}
	}
	return Hooks{Before: at(n, act)}
}

func orderStep(t *testing.T, f Fixture, j *Journal) {
	persistOrder(t, f, f.Provider(t, j), order(f.Spec))
}

// eachCut runs a test for every call and both sides of it. A call that changes
// nothing leaves the same behind whether it was never sent or its answer was
// lost: its second side is for SLIPWAY_SOAK=1, as is what a sparse fixture leaves
// out.
func eachCut(t *testing.T, c calls, test func(t *testing.T, n int, after bool)) {
	if c.n == 0 {
		t.Skip("this provider calls nothing")
	}
	soak := os.Getenv("SLIPWAY_SOAK") != ""
	reads := 0
	for n := 1; n <= c.n; n++ {
		sides := []bool{false, true}
		if c.reads[n] && !soak {
			sides = sides[:1]
			if reads++; c.sparse && reads%4 != 1 {
				continue
			}
		}
		for _, after := range sides {
			t.Run(fmt.Sprintf("call %d after=%v", n, after), func(t *testing.T) { test(t, n, after) })
		}
	}
}

func killedAtEveryCall(t *testing.T, make func(*testing.T) Fixture) {
	f := make(t)
	calls := countCalls(t, f, func() { orderStep(t, f, &Journal{}) })
	eachCut(t, calls, func(t *testing.T, n int, after bool) {
		f, j := make(t), &Journal{}
		killUntilDead(t, f, cutAt{n, after}, func(ctx context.Context) error {
			_, err := f.Provider(t, j).Order(ctx, order(f.Spec))
			return err
		})
		orderStep(t, f, j)
		wantMade(t, f, f.OrderMakes)
	})
}

type cutAt struct {
	n     int
	after bool
}

// killUntilDead repeats a step until the cut kills its process, and takes the
// hooks away again.
func killUntilDead(t *testing.T, f Fixture, c cutAt, step func(ctx context.Context) error) {
	t.Helper()
	ctx, kill := context.WithCancel(t.Context())
	defer kill()
	f.Hook(cut(c.n, c.after, func() error {
		kill()
		return errKilled
	}))
	for range patience {
		err := step(ctx)
		if ctx.Err() != nil {
			var typed *deploy.ProviderError
			if err == nil || errors.As(err, &typed) && !typed.Temporary {
				t.Fatalf("a step that was killed says %v", err)
			}
			f.Hook(Hooks{})
			return
		}
		if err == nil {
			t.Fatal("the step ended before the call at which it was to be killed")
		}
		f.Advance(temporary(t, err).Wait)
	}
	t.Fatal("the step was never killed")
}

func everyAnswerLost(t *testing.T, make func(*testing.T) Fixture) {
	f := make(t)
	calls := countCalls(t, f, func() { orderStep(t, f, &Journal{}) })
	eachCut(t, calls, func(t *testing.T, n int, after bool) {
		f, j := make(t), &Journal{}
		f.Hook(cut(n, after, func() error { return errors.New("connection reset by peer") }))
		orderStep(t, f, j)
		wantMade(t, f, f.OrderMakes)
	})
}

func killedAtEveryWrite(t *testing.T, make func(*testing.T) Fixture) {
	count := &Journal{}
	orderStep(t, make(t), count)
	if count.Writes() == 0 {
		t.Skip("this provider writes nothing")
	}
	for n := 1; n <= count.Writes(); n++ {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("write %d after=%v", n, after), func(t *testing.T) {
				f, j := make(t), &Journal{}
				dead := false
				j.Write = func(write int, afterIt bool) error {
					if dead = dead || write == n && afterIt == after; dead {
						return errKilled
					}
					return nil
				}
				p := f.Provider(t, j)
				for range patience {
					_, err := p.Order(t.Context(), order(f.Spec))
					if errors.Is(err, errKilled) {
						break
					}
					f.Advance(temporary(t, err).Wait)
				}
				if !dead {
					t.Fatal("the order was never killed")
				}
				j.Write = nil
				orderStep(t, f, j)
				wantMade(t, f, f.OrderMakes)
			})
		}
	}
}
