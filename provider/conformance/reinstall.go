package conformance

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/slipwayhq/slipway/deploy"
)

// secondURL is what a second attempt boots from.
const secondURL = bootURL + "-again"

// ordered gives a fixture whose machine runs, and the order of its next
// attempt, which begins now.
func ordered(t *testing.T, make func(*testing.T) Fixture) (Fixture, *Journal, deploy.Machine, deploy.Order) {
	t.Helper()
	f, j := make(t), &Journal{}
	able[deploy.Reinstaller](t, f, j)
	m := persistOrder(t, f, f.Provider(t, j), order(f.Spec))
	f.Advance(settled)
	if n := f.Boots(t, m.ServerID); n != 1 {
		t.Fatalf("the machine booted %d times", n)
	}
	return f, j, m, nextAttempt(f)
}

// settled is longer than anything takes a backend.
const settled = time.Hour

func nextAttempt(f Fixture) deploy.Order {
	o := order(f.Spec)
	o.Attempt, o.AttemptSince = 2, f.Now()
	o.BootURL = func(context.Context) (string, error) { return secondURL, nil }
	return o
}

func persistReinstall(t *testing.T, f Fixture, j *Journal, o deploy.Order) deploy.Machine {
	t.Helper()
	m, err := persist(t.Context(), f, func(ctx context.Context) (deploy.Machine, error) {
		return able[deploy.Reinstaller](t, f, j).Reinstall(ctx, o)
	})
	if err != nil {
		t.Fatalf("reinstall: %v", err)
	}
	return m
}

// wantBoots demands that the machine booted so often, the last time from url,
// and that nothing was made or lost.
func wantBoots(t *testing.T, f Fixture, id string, n int, url string) {
	t.Helper()
	f.Advance(settled)
	if got := f.Boots(t, id); got != n || f.BootsFrom(t, id) != url {
		t.Errorf("the machine booted %d times, last from %s; want %d, from %s", got, f.BootsFrom(t, id), n, url)
	}
	wantMade(t, f, f.OrderMakes)
	wantLive(t, f, f.OrderMakes)
}

func reinstallOnce(t *testing.T, make func(*testing.T) Fixture) {
	f, j, m, o := ordered(t, make)
	for range 3 {
		again := persistReinstall(t, f, j, o)
		if again.ServerID != m.ServerID || again.ManagementIP != m.ManagementIP || len(again.MACs) != len(m.MACs) {
			t.Errorf("before %+v, now %+v", m, again)
		}
		f.Advance(settled)
	}
	wantBoots(t, f, m.ServerID, 2, secondURL)
	third := nextAttempt(f)
	third.Attempt++
	persistReinstall(t, f, j, third)
	wantBoots(t, f, m.ServerID, 3, secondURL)
}

func reinstallNotNeeded(t *testing.T, make func(*testing.T) Fixture) {
	f, j := make(t), &Journal{}
	able[deploy.Reinstaller](t, f, j)
	before := nextAttempt(f)
	f.Advance(time.Second)
	m := persistOrder(t, f, f.Provider(t, j), order(f.Spec))
	if again := persistReinstall(t, f, j, before); again.ServerID != m.ServerID {
		t.Errorf("%+v", again)
	}
	first := order(f.Spec)
	persistReinstall(t, f, j, first)
	wantBoots(t, f, m.ServerID, 1, bootURL)
	none := first
	none.NodeID++
	_, err := able[deploy.Reinstaller](t, f, j).Reinstall(t.Context(), none)
	if e := final(t, err); e.Code != deploy.CodeNotFound {
		t.Errorf("a node without a machine: %v", e)
	}
}

func reinstallKilledAtEveryCall(t *testing.T, make func(*testing.T) Fixture) {
	f, j, _, o := ordered(t, make)
	calls := countCalls(t, f, func() { persistReinstall(t, f, j, o) })
	eachCut(t, calls, func(t *testing.T, n int, after bool) {
		f, j, m, o := ordered(t, make)
		killUntilDead(t, f, cutAt{n, after}, func(ctx context.Context) error {
			_, err := able[deploy.Reinstaller](t, f, j).Reinstall(ctx, o)
			return err
		})
		persistReinstall(t, f, j, o)
		wantBoots(t, f, m.ServerID, 2, secondURL)
	})
}

func reinstallAnswerLost(t *testing.T, make func(*testing.T) Fixture) {
	f, j, _, o := ordered(t, make)
	calls := countCalls(t, f, func() { persistReinstall(t, f, j, o) })
	eachCut(t, calls, func(t *testing.T, n int, after bool) {
		f, j, m, o := ordered(t, make)
		f.Hook(cut(n, after, func() error { return errLost }))
		persistReinstall(t, f, j, o)
		wantBoots(t, f, m.ServerID, 2, secondURL)
	})
}

func reinstallKilledAtEveryWrite(t *testing.T, make func(*testing.T) Fixture) {
	f, j, _, o := ordered(t, make)
	before := j.Writes()
	persistReinstall(t, f, j, o)
	eachWrite(t, before, j.Writes(), func(t *testing.T, n int, after bool) {
		f, j, m, o := ordered(t, make)
		killAtWrite(t, f, j, cutAt{n, after}, func() error {
			_, err := able[deploy.Reinstaller](t, f, j).Reinstall(t.Context(), o)
			return err
		})
		persistReinstall(t, f, j, o)
		wantBoots(t, f, m.ServerID, 2, secondURL)
	})
}

func reinstallRaces(t *testing.T, make func(*testing.T) Fixture) {
	f, j, m, o := ordered(t, make)
	var all sync.WaitGroup
	for range 4 {
		p := able[deploy.Reinstaller](t, f, j)
		all.Go(func() {
			_, err := persist(t.Context(), f, func(ctx context.Context) (deploy.Machine, error) { return p.Reinstall(ctx, o) })
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	wantBoots(t, f, m.ServerID, 2, secondURL)
}

func reinstallAfterTheEnd(t *testing.T, make func(*testing.T) Fixture) {
	f, j, m, o := ordered(t, make)
	j.End(deploymentID)
	_, err := able[deploy.Reinstaller](t, f, j).Reinstall(t.Context(), o)
	if e := final(t, err); e.Code != deploy.CodeWrongState {
		t.Errorf("%v", e)
	}
	wantBoots(t, f, m.ServerID, 1, bootURL)
	// Nor for one that no longer holds the node.
	j.Move(nodeID, deploymentID, deploymentID+1)
	_, err = able[deploy.Reinstaller](t, f, j).Reinstall(t.Context(), o)
	if e := final(t, err); e.Code != deploy.CodeConflict && e.Code != deploy.CodeWrongState {
		t.Errorf("%v", e)
	}
	// The new one may: its machine is older than the attempt.
	o.DeploymentID, o.Attempt = deploymentID+1, 1
	persistReinstall(t, f, j, o)
	wantBoots(t, f, m.ServerID, 2, secondURL)
}
