package crash

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipwayhq/slipway/deploy/store/storetest"
	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim"
)

var update = flag.Bool("update", false, "rewrite testdata/points.txt")

const pointsFile = "testdata/points.txt"

// scenario is a way through the verbs in stages, of which each is to be killed
// at each of its points.
type scenario struct {
	name string
	// prepare lets happen to the node what the scenario is about.
	prepare func(t *testing.T, w *world, node string)
	steps   []step
}

type step struct {
	stage string // empty: it is another scenario's
	do    func(l *life) error
	end   string // the state that it ends in
}

func scenarios() []scenario {
	first := func(l *life) error { return l.order("deploy") }
	again := func(l *life) error { return l.change("retry") }
	clean := func(l *life) error { return l.change("cleanup") }
	return []scenario{
		{name: "whole life", steps: []step{
			{"deploy", first, "succeeded"},
			{"reinitialize", func(l *life) error { return l.order("reinitialize") }, "succeeded"},
			{"cleanup", clean, "cleaned_up"},
		}},
		{name: "install fails", prepare: func(_ *testing.T, w *world, node string) {
			w.fleet.habits = map[string][]habit{node: {installFails}}
		}, steps: []step{
			{"", first, "failed"}, {"retry", again, "succeeded"}, {"", clean, "cleaned_up"},
		}},
		{name: "no capacity", prepare: func(t *testing.T, w *world, _ string) {
			w.arm(t, reasonCapacity, vpcsim.Fault{Kind: vpcsim.FaultServerFailed, Times: 1})
		}, steps: []step{
			{"", first, "failed"},
			{"another server", func(l *life) error {
				l.replaced[l.deployment]++
				return again(l)
			}, "succeeded"},
			{"", clean, "cleaned_up"},
		}},
	}
}

// tour goes through a scenario; entered and left are called around each stage.
func tour(t *testing.T, w *world, s scenario, entered func(stage string), left func(stage string)) {
	t.Helper()
	const node = "tour"
	if s.prepare != nil {
		s.prepare(t, w, node)
	}
	l := w.newLife(t.Context(), node)
	w.start()
	for _, at := range s.steps {
		if at.stage != "" {
			entered(at.stage)
		}
		if err := at.do(l); err != nil {
			t.Fatal(err)
		}
		d, err := l.ended()
		if err != nil {
			t.Fatal(err)
		}
		if d.State != at.end {
			t.Fatalf("it is %s and not %s: %s", d.State, at.end, d.Failure)
		}
		if _, err := w.rest(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		if at.end == "succeeded" {
			if err := w.audited(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if at.stage != "" {
			left(at.stage)
		}
	}
	if err := w.closing(t.Context(), []*life{l}); err != nil {
		t.Error(err)
	}
}

// passing gives the points that a run without a kill passes, with their stages.
func passing(t *testing.T, s scenario, pass int) []string {
	t.Helper()
	w := newWorld(t, storetest.SQLiteURL(t), slower(pass))
	var mu sync.Mutex
	seen, stage := map[string]bool{}, ""
	w.told = func(point string) {
		mu.Lock()
		defer mu.Unlock()
		if stage != "" {
			seen[stage+": "+point] = true
		}
	}
	set := func(to string) {
		mu.Lock()
		defer mu.Unlock()
		stage = to
	}
	tour(t, w, s, set, func(string) { set("") })
	return slices.Sorted(maps.Keys(seen))
}

// passes is how often a run may be repeated that was too slow to see
// everything under way.
const passes = 5

// slower is a cloud for another pass: each takes twice as long as the one before,
// so that everything is seen under way on a machine as busy as can be.
func slower(pass int) func(*vpcsim.Options) {
	return func(o *vpcsim.Options) {
		for _, d := range []*time.Duration{&o.Delays.Provision, &o.Delays.Start, &o.Delays.Stop, &o.Delays.SoftStop, &o.Delays.Restart, &o.Delays.Reinitialize, &o.Delays.Delete, &o.Delays.VNI} {
			*d <<= pass - 1
		}
	}
}

// TestPoints: the boundaries that a core passes are the ones that are known,
// and so are killed at. After a change that was meant, -update writes them.
func TestPoints(t *testing.T) {
	known := list(t)
	if *update {
		known = nil
	}
	var mu sync.Mutex
	var all []string
	each(t, scenarios(), func(s scenario) string { return s.name }, func(t *testing.T, s scenario) {
		var seen []string
		for n := 1; n <= passes && !t.Failed() && (n == 1 || len(without(s.of(known), seen)) > 0); n++ {
			seen = append(seen, passing(t, s, n)...)
		}
		mu.Lock()
		defer mu.Unlock()
		all = append(all, seen...)
	})
	slices.Sort(all)
	all = slices.Compact(all)
	if *update && !t.Failed() {
		if err := os.WriteFile(pointsFile, []byte(strings.Join(all, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		known = all
	}
	for _, missing := range without(known, all) {
		t.Errorf("never passed: %s", missing)
	}
	for _, unknown := range without(all, known) {
		t.Errorf("not in %s: %s", pointsFile, unknown)
	}
}

// of gives the points of a scenario's stages.
func (s scenario) of(points []string) (own []string) {
	for _, p := range points {
		stage, _, _ := strings.Cut(p, ": ")
		if slices.ContainsFunc(s.steps, func(at step) bool { return at.stage == stage }) {
			own = append(own, p)
		}
	}
	return own
}

// list reads the points that are known.
func list(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(pointsFile)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

// without gives what is in a and not in b.
func without(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(p string) bool { return slices.Contains(b, p) })
}

// share is a part of a scenario's points, which one life goes through.
type share struct {
	scenario scenario
	points   []string
	number   int
}

// TestKilledAtEveryPoint kills a core once at each point that is known.
func TestKilledAtEveryPoint(t *testing.T) {
	t.Parallel()
	left := list(t)
	vain := 0 // rounds in which none of them was passed
	for round := 1; len(left) > 0; round++ {
		var mu sync.Mutex
		var missed []string
		each(t, shares(left), func(s share) string { return fmt.Sprintf("%s/%d.%d", s.scenario.name, round, s.number) }, func(t *testing.T, s share) {
			rest := killAll(t, s, 1+vain)
			mu.Lock()
			defer mu.Unlock()
			missed = append(missed, rest...)
		})
		if t.Failed() {
			return
		}
		if len(missed) < len(left) {
			vain = 0
		} else if vain++; vain == passes {
			t.Fatalf("never passed: %q", missed)
		}
		left = missed
	}
}

// perLife is how many kills one life has to stand.
const perLife = 24

// shares spreads points over lives, so that neighbours are in different ones:
// after a kill at one point the next is passed in another way.
func shares(points []string) []share {
	var all []share
	for _, s := range scenarios() {
		own := s.of(points)
		lives := (len(own) + perLife - 1) / perLife
		for n := range lives {
			part := share{scenario: s, number: n + 1}
			for i := n; i < len(own); i += lives {
				part.points = append(part.points, own[i])
			}
			all = append(all, part)
		}
	}
	return all
}

// killAll goes through a scenario, killed at each point once, and gives the
// points that were never passed.
func killAll(t *testing.T, s share, pass int) (missed []string) {
	w := newWorld(t, storetest.SQLiteURL(t), slower(pass))
	var mu sync.Mutex
	left, stage := slices.Clone(s.points), ""
	armed := func() []string {
		mu.Lock()
		defer mu.Unlock()
		var points []string
		for _, p := range left {
			if at, point, _ := strings.Cut(p, ": "); at == stage {
				points = append(points, point)
			}
		}
		return points
	}
	w.next = func() stop { return stop{points: armed()} }
	w.stopped = func(point string) {
		mu.Lock()
		defer mu.Unlock()
		left = without(left, []string{stage + ": " + point})
	}
	set := func(to string) {
		mu.Lock()
		defer mu.Unlock()
		stage = to
	}
	tour(t, w, s.scenario, func(stage string) {
		set(stage)
		if _, err := w.ask(context.WithoutCancel(t.Context()), request{Verb: "arm", Points: armed()}); err != nil {
			t.Fatal(err)
		}
	}, func(string) { set("") })
	t.Logf("killed %d times", len(w.killed))
	return left
}
