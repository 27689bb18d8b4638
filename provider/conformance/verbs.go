package conformance

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"sync"
	"testing"

	"github.com/slipwayhq/slipway/deploy"
)

// verbs are the behaviours of what a provider may offer beside ordering. One
// that does not offer it skips them.
func verbs() map[string]func(*testing.T, func(*testing.T) Fixture) {
	return map[string]func(*testing.T, func(*testing.T) Fixture){
		"a release removes everything, with proof":      releaseIsIdempotent,
		"a planned release changes nothing":             releasePlan,
		"a release killed at every call":                releaseKilledAtEveryCall,
		"a release, every answer lost once":             releaseAnswerLost,
		"a release killed at every journal write":       releaseKilledAtEveryWrite,
		"a release by several callers":                  releaseRaces,
		"a release of half an order":                    releaseOfHalfAnOrder,
		"a release of an order whose answer was lost":   releaseOfALostOrder,
		"a release leaves other nodes alone":            releaseLeavesOthers,
		"a release after somebody removed the machine":  releaseAfterRemoval,
		"a release by a deployment that lost its node":  releaseByAnOldDeployment,
		"failures of a release are typed":               releaseFailures,
		"a reinstall happens once an attempt":           reinstallOnce,
		"a reinstall that is not needed":                reinstallNotNeeded,
		"a reinstall killed at every call":              reinstallKilledAtEveryCall,
		"a reinstall, every answer lost once":           reinstallAnswerLost,
		"a reinstall killed at every journal write":     reinstallKilledAtEveryWrite,
		"a reinstall by several callers":                reinstallRaces,
		"a reinstall for a deployment that has ended":   reinstallAfterTheEnd,
		"an audit finds what was done behind the back":  audit,
		"an audit of half an order finds no orphans":    auditOfHalfAnOrder,
		"an orphan is removed, killed at every call":    orphanKilledAtEveryCall,
		"what a node holds is no orphan":                heldIsNoOrphan,
		"a machine of somebody else's is taken in care": adopt,
		"a console": console,
	}
}

// able gives the provider as T, or skips the test.
func able[T any](t *testing.T, f Fixture, j *Journal) T {
	t.Helper()
	p, ok := f.Provider(t, j).(T)
	if !ok {
		t.Skipf("this provider is no %s", reflect.TypeFor[T]())
	}
	return p
}

func releaseOf(deployment int64) deploy.Release {
	return deploy.Release{NodeID: nodeID, NodeName: nodeName, DeploymentID: deployment}
}

// whole gives a fixture with a node that has everything an order and its
// names make, and whose deployment has ended.
func whole(t *testing.T, make func(*testing.T) Fixture) (Fixture, *Journal, deploy.Machine) {
	t.Helper()
	f, j := make(t), &Journal{}
	able[deploy.Releaser](t, f, j)
	m := complete(t, f, j)
	j.End(deploymentID)
	return f, j, m
}

// complete orders, and registers the names.
func complete(t *testing.T, f Fixture, j *Journal) deploy.Machine {
	t.Helper()
	p := f.Provider(t, j)
	m := persistOrder(t, f, p, order(f.Spec))
	if p.HasNames() {
		persistNames(t, f, p, names(f, m.ManagementIP))
	}
	return m
}

// tryRelease releases with a new process for every call.
func tryRelease(t *testing.T, f Fixture, j *Journal, deployment int64) ([]deploy.ReleaseStep, error) {
	t.Helper()
	return persist(t.Context(), f, func(ctx context.Context) ([]deploy.ReleaseStep, error) {
		return able[deploy.Releaser](t, f, j).Release(ctx, releaseOf(deployment))
	})
}

func persistRelease(t *testing.T, f Fixture, j *Journal, deployment int64) []deploy.ReleaseStep {
	t.Helper()
	steps, err := tryRelease(t, f, j, deployment)
	if err != nil {
		t.Fatalf("release: %v", err)
	}
	return steps
}

func wantLive(t *testing.T, f Fixture, parts ...map[string]int) {
	t.Helper()
	want := map[string]int{}
	for _, part := range parts {
		for kind, n := range part {
			want[kind] += n
		}
	}
	got := f.Live()
	maps.DeleteFunc(got, func(_ string, n int) bool { return n == 0 })
	if !maps.Equal(got, want) {
		t.Fatalf("the backend has %v, want %v", got, want)
	}
}

// wantReleased demands that nothing is left, and that every step and every row
// says so with a proof.
func wantReleased(t *testing.T, f Fixture, j *Journal, steps []deploy.ReleaseStep) {
	t.Helper()
	wantLive(t, f)
	proven := map[int64]bool{}
	for _, s := range steps {
		if s.Status != deploy.ReleaseDone || s.Message == "" || s.Action == "" || s.Kind == "" || s.Name == "" {
			t.Errorf("step %+v is not done, or has no proof", s)
		}
		proven[s.ResourceID] = true
	}
	for _, r := range j.Rows() {
		if r.NodeID == nodeID && (r.State != deploy.ResourceGone || !proven[r.ID]) {
			t.Errorf("row %+v is not proven gone", r)
		}
	}
}

func releaseIsIdempotent(t *testing.T, make func(*testing.T) Fixture) {
	f, j, _ := whole(t, make)
	made := f.Made()
	first := persistRelease(t, f, j, deploymentID)
	wantReleased(t, f, j, first)
	if len(first) != len(j.Rows()) {
		t.Errorf("%d steps for %d rows", len(first), len(j.Rows()))
	}
	for range 3 {
		again := persistRelease(t, f, j, deploymentID)
		for i := range again {
			if again[i] != first[i] {
				t.Errorf("called again: %+v, before %+v", again[i], first[i])
			}
		}
	}
	for kind, n := range f.Made() {
		if n > made[kind] {
			t.Errorf("a release made a %s", kind)
		}
	}
	// Nothing can be asked for any more.
	_, err := f.Provider(t, j).Order(t.Context(), order(f.Spec))
	if e := final(t, err); e.Code != deploy.CodeWrongState {
		t.Errorf("an order after the release: %v", e)
	}
	wantLive(t, f)
}

func releasePlan(t *testing.T, make func(*testing.T) Fixture) {
	f, j, m := whole(t, make)
	before, writes, boots := f.Live(), j.Writes(), f.Boots(t, m.ServerID)
	steps, err := able[deploy.Releaser](t, f, j).PlanRelease(t.Context(), releaseOf(deploymentID))
	if err != nil {
		t.Fatal(err)
	}
	held, err := j.Held(t.Context(), nodeID)
	if err != nil || len(steps) != len(held) {
		t.Fatalf("%d steps for %d things, %v", len(steps), len(held), err)
	}
	kinds := map[string]int{}
	for _, s := range steps {
		if s.Status != deploy.ReleaseWaiting || s.Action == "" || s.CloudID == "" || s.Message == "" {
			t.Errorf("step %+v", s)
		}
		kinds[s.Kind]++
	}
	wantLive(t, f, kinds)
	if !maps.Equal(before, f.Live()) || j.Writes() != writes || f.Boots(t, m.ServerID) != boots {
		t.Errorf("the plan changed something: %v, before %v; %d writes", f.Live(), before, j.Writes()-writes)
	}
}

func releaseKilledAtEveryCall(t *testing.T, make func(*testing.T) Fixture) {
	f, j, _ := whole(t, make)
	calls := countCalls(t, f, func() { persistRelease(t, f, j, deploymentID) })
	eachCut(t, calls, func(t *testing.T, n int, after bool) {
		f, j, _ := whole(t, make)
		killUntilDead(t, f, cutAt{n, after}, func(ctx context.Context) error {
			_, err := able[deploy.Releaser](t, f, j).Release(ctx, releaseOf(deploymentID))
			return err
		})
		wantReleased(t, f, j, persistRelease(t, f, j, deploymentID))
	})
}

func releaseAnswerLost(t *testing.T, make func(*testing.T) Fixture) {
	f, j, _ := whole(t, make)
	calls := countCalls(t, f, func() { persistRelease(t, f, j, deploymentID) })
	eachCut(t, calls, func(t *testing.T, n int, after bool) {
		f, j, _ := whole(t, make)
		f.Hook(cut(n, after, func() error { return errLost }))
		wantReleased(t, f, j, persistRelease(t, f, j, deploymentID))
	})
}

func releaseKilledAtEveryWrite(t *testing.T, make func(*testing.T) Fixture) {
	f, j, _ := whole(t, make)
	before := j.Writes()
	persistRelease(t, f, j, deploymentID)
	eachWrite(t, before, j.Writes(), func(t *testing.T, n int, after bool) {
		f, j, _ := whole(t, make)
		killAtWrite(t, f, j, cutAt{n, after}, func() error {
			_, err := able[deploy.Releaser](t, f, j).Release(t.Context(), releaseOf(deploymentID))
			return err
		})
		wantReleased(t, f, j, persistRelease(t, f, j, deploymentID))
	})
}

// eachWrite runs a test for every write between two counts, and both sides of it.
func eachWrite(t *testing.T, from, to int, test func(t *testing.T, n int, after bool)) {
	t.Helper()
	if from == to {
		t.Fatal("nothing was written")
	}
	for n := from + 1; n <= to; n++ {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("write %d after=%v", n-from, after), func(t *testing.T) { test(t, n, after) })
		}
	}
}

// killAtWrite repeats a step until its process dies at a write.
func killAtWrite(t *testing.T, f Fixture, j *Journal, c cutAt, step func() error) {
	t.Helper()
	dead := false
	j.Write = func(write int, after bool) error {
		if dead = dead || write == c.n && after == c.after; dead {
			return errKilled
		}
		return nil
	}
	for range patience {
		err := step()
		if errors.Is(err, errKilled) {
			break
		}
		f.Advance(temporary(t, err).Wait)
	}
	if !dead {
		t.Fatal("the step was never killed")
	}
	j.Write = nil
}

func releaseRaces(t *testing.T, make func(*testing.T) Fixture) {
	f, j, _ := whole(t, make)
	var all sync.WaitGroup
	for range 4 {
		p := able[deploy.Releaser](t, f, j)
		all.Go(func() {
			_, err := persist(t.Context(), f, func(ctx context.Context) ([]deploy.ReleaseStep, error) {
				return p.Release(ctx, releaseOf(deploymentID))
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	wantReleased(t, f, j, persistRelease(t, f, j, deploymentID))
}

// errLost is an answer that does not come.
var errLost = errors.New("connection reset by peer")

func releaseOfHalfAnOrder(t *testing.T, make func(*testing.T) Fixture) {
	f := make(t)
	able[deploy.Releaser](t, f, &Journal{})
	calls := countCalls(t, f, func() { complete(t, f, &Journal{}) })
	eachCut(t, calls, func(t *testing.T, n int, after bool) {
		f, j := make(t), &Journal{}
		p := f.Provider(t, j)
		var m deploy.Machine
		killUntilDead(t, f, cutAt{n, after}, func(ctx context.Context) (err error) {
			if m, err = p.Order(ctx, order(f.Spec)); err == nil {
				err = p.RegisterNames(ctx, names(f, m.ManagementIP))
			}
			return err
		})
		j.End(deploymentID)
		wantReleased(t, f, j, persistRelease(t, f, j, deploymentID))
	})
}

func releaseOfALostOrder(t *testing.T, make func(*testing.T) Fixture) {
	f := make(t)
	able[deploy.Releaser](t, f, &Journal{})
	calls := countCalls(t, f, func() { orderStep(t, f, &Journal{}) })
	eachCut(t, calls, func(t *testing.T, n int, after bool) {
		f, j := make(t), &Journal{}
		p, lost := f.Provider(t, j), false
		f.Hook(cut(n, after, func() error {
			lost = true
			return errLost
		}))
		for range patience {
			_, err := p.Order(t.Context(), order(f.Spec))
			if err == nil || lost {
				break
			}
			f.Advance(temporary(t, err).Wait)
		}
		j.End(deploymentID)
		f.Hook(Hooks{})
		wantReleased(t, f, j, persistRelease(t, f, j, deploymentID))
	})
}

func releaseLeavesOthers(t *testing.T, make func(*testing.T) Fixture) {
	f, j, _ := whole(t, make)
	other := order(f.withoutCluster().Spec)
	other.NodeID, other.DeploymentID, other.NodeName = nodeID+1, deploymentID+1, "node-b"
	persistOrder(t, f, f.Provider(t, j), other)
	persistRelease(t, f, j, deploymentID)
	wantLive(t, f, f.withoutCluster().OrderMakes)
	for _, r := range j.Rows() {
		if r.NodeID == other.NodeID && r.State != deploy.ResourcePresent {
			t.Errorf("row %+v", r)
		}
	}
}

func releaseAfterRemoval(t *testing.T, make func(*testing.T) Fixture) {
	f, j, m := whole(t, make)
	f.Remove(t, m.ServerID)
	wantReleased(t, f, j, persistRelease(t, f, j, deploymentID))
}

// A node that was reinitialized belongs to the new deployment: neither a
// cleanup of the old one before, nor one after, may take the machine.
func releaseByAnOldDeployment(t *testing.T, make func(*testing.T) Fixture) {
	f, j, _ := whole(t, make)
	j.Move(nodeID, deploymentID, deploymentID+1)
	before := f.Live()
	_, err := tryRelease(t, f, j, deploymentID)
	if e := final(t, err); e.Code != deploy.CodeWrongState {
		t.Errorf("%v", e)
	}
	_, err = able[deploy.Releaser](t, f, j).PlanRelease(t.Context(), releaseOf(deploymentID))
	if e := final(t, err); e.Code != deploy.CodeWrongState {
		t.Errorf("%v", e)
	}
	if !maps.Equal(before, f.Live()) {
		t.Fatalf("the backend has %v, before %v", f.Live(), before)
	}
	j.End(deploymentID + 1)
	wantReleased(t, f, j, persistRelease(t, f, j, deploymentID+1))
	if steps := persistRelease(t, f, j, deploymentID); len(steps) != 0 {
		t.Errorf("the old one holds nothing, yet %+v", steps)
	}
}

func releaseFailures(t *testing.T, make func(*testing.T) Fixture) {
	for breakage, code := range map[Breakage]deploy.Code{BreakUnavailable: deploy.CodeUpstreamUnavailable, BreakThrottled: deploy.CodeRateLimited, BreakForbidden: deploy.CodeForbidden} {
		t.Run(string(breakage), func(t *testing.T) {
			f, j, _ := whole(t, make)
			f.Break(breakage)
			steps, err := able[deploy.Releaser](t, f, j).Release(t.Context(), releaseOf(deploymentID))
			e := &deploy.ProviderError{}
			if breakage == BreakForbidden {
				e = final(t, err)
			} else {
				e = temporary(t, err)
			}
			if e.Code != code || len(steps) != len(j.Rows()) {
				t.Errorf("%v beside %d steps", e, len(steps))
			}
			_, err = able[deploy.Releaser](t, f, j).PlanRelease(t.Context(), releaseOf(deploymentID))
			if !errors.As(err, &e) || e.Code != code {
				t.Errorf("the plan: %v", err)
			}
			f.Repair()
			wantReleased(t, f, j, persistRelease(t, f, j, deploymentID))
		})
	}
}
