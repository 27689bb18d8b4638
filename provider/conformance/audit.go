package conformance

import (
	"context"
	"maps"
	"testing"

	"github.com/slipwayhq/slipway/deploy"
)

func audited(t *testing.T, f Fixture, j *Journal) []deploy.Drift {
	t.Helper()
	drift, err := able[deploy.Auditor](t, f, j).Audit(t.Context(), j.Rows())
	if err != nil {
		t.Fatalf("audit: %v", err)
	}
	return drift
}

// wantDrift demands exactly one difference.
func wantDrift(t *testing.T, drift []deploy.Drift, problem, kind, id string) deploy.Drift {
	t.Helper()
	if len(drift) != 1 || drift[0].Problem != problem || drift[0].Kind != kind || drift[0].CloudID != id || drift[0].Message == "" || drift[0].Name == "" {
		t.Fatalf("%+v; want the %s %s as %s", drift, kind, id, problem)
	}
	return drift[0]
}

func persistRemoval(t *testing.T, f Fixture, j *Journal, d deploy.Drift) {
	t.Helper()
	_, err := persist(t.Context(), f, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, able[deploy.Auditor](t, f, j).RemoveOrphan(ctx, d)
	})
	if err != nil {
		t.Fatalf("removing %+v: %v", d, err)
	}
}

func audit(t *testing.T, make func(*testing.T) Fixture) {
	f, j := make(t), &Journal{}
	able[deploy.Auditor](t, f, j)
	m := complete(t, f, j)
	before, writes := f.Live(), j.Writes()
	if drift := audited(t, f, j); len(drift) != 0 {
		t.Fatalf("nothing is amiss, yet %+v", drift)
	}
	kind, id := f.Stray(t)
	orphan := wantDrift(t, audited(t, f, j), deploy.DriftOrphan, kind, id)
	if j.Writes() != writes {
		t.Errorf("an audit wrote %d times", j.Writes()-writes)
	}
	persistRemoval(t, f, j, orphan)
	persistRemoval(t, f, j, orphan) // once more: it is gone
	wantLive(t, f, before)
	if f.Remove == nil {
		return
	}
	f.Remove(t, m.ServerID)
	missing := wantDrift(t, audited(t, f, j), deploy.DriftMissing, "server", m.ServerID)
	if missing.NodeID != nodeID || missing.ResourceID == 0 {
		t.Errorf("%+v names no row", missing)
	}
}

// An order that is under way, or died, is no orphan: its rows say so.
func auditOfHalfAnOrder(t *testing.T, make func(*testing.T) Fixture) {
	f := make(t)
	able[deploy.Auditor](t, f, &Journal{})
	calls := countCalls(t, f, func() { complete(t, f, &Journal{}) })
	eachCut(t, calls, func(t *testing.T, n int, after bool) {
		f, j := make(t), &Journal{}
		p := f.Provider(t, j)
		killUntilDead(t, f, cutAt{n, after}, func(ctx context.Context) error {
			m, err := p.Order(ctx, order(f.Spec))
			if err == nil {
				err = p.RegisterNames(ctx, names(f, m.ManagementIP))
			}
			return err
		})
		if drift := audited(t, f, j); len(drift) != 0 {
			t.Errorf("%+v", drift)
		}
	})
}

// forgotten gives a fixture in which everything of a node is an orphan: the
// journal was lost.
func forgotten(t *testing.T, make func(*testing.T) Fixture) (Fixture, *Journal) {
	t.Helper()
	f := make(t)
	able[deploy.Auditor](t, f, &Journal{})
	persistOrder(t, f, f.Provider(t, &Journal{}), order(f.Spec))
	f.Advance(settled)
	return f, &Journal{}
}

func orphanServer(t *testing.T, f Fixture, j *Journal) deploy.Drift {
	t.Helper()
	for _, d := range audited(t, f, j) {
		if d.Problem == deploy.DriftOrphan && d.Kind == "server" {
			return d
		}
	}
	t.Skip("this provider makes no machines")
	panic("not reached")
}

func orphanKilledAtEveryCall(t *testing.T, make func(*testing.T) Fixture) {
	f, j := forgotten(t, make)
	d := orphanServer(t, f, j)
	calls := countCalls(t, f, func() { persistRemoval(t, f, j, d) })
	eachCut(t, calls, func(t *testing.T, n int, after bool) {
		f, j := forgotten(t, make)
		d := orphanServer(t, f, j)
		killUntilDead(t, f, cutAt{n, after}, func(ctx context.Context) error { return able[deploy.Auditor](t, f, j).RemoveOrphan(ctx, d) })
		persistRemoval(t, f, j, d)
		left := maps.Clone(f.OrderMakes)
		delete(left, "server")
		wantLive(t, f, left)
		// What it leaves behind are orphans as well, and go in the order of the list.
		for drift := audited(t, f, j); len(drift) > 0; drift = audited(t, f, j) {
			persistRemoval(t, f, j, drift[0])
		}
		wantLive(t, f)
	})
}

func heldIsNoOrphan(t *testing.T, make func(*testing.T) Fixture) {
	f, j := make(t), &Journal{}
	able[deploy.Auditor](t, f, j)
	complete(t, f, j)
	before := f.Live()
	for _, r := range j.Rows() {
		d := deploy.Drift{Problem: deploy.DriftOrphan, Kind: r.Kind, Name: r.Name, CloudID: r.CloudID, Parent: f.Parent(r)}
		_ = final(t, able[deploy.Auditor](t, f, j).RemoveOrphan(t.Context(), d))
	}
	// Nor is anything that an interface carries, whoever made it.
	_ = final(t, able[deploy.Auditor](t, f, j).RemoveOrphan(t.Context(), deploy.Drift{Problem: deploy.DriftOrphan, Kind: "server"}))
	if !maps.Equal(before, f.Live()) {
		t.Errorf("the backend has %v, before %v", f.Live(), before)
	}
}

func adopt(t *testing.T, make func(*testing.T) Fixture) {
	f := make(t)
	able[deploy.Adopter](t, f, &Journal{})
	m := complete(t, f, &Journal{}) // by somebody whose journal is not ours
	j, before := &Journal{}, f.Live()
	adopter := able[deploy.Adopter](t, f, j)
	found, err := adopter.Examine(t.Context(), m.ServerID)
	if err != nil {
		t.Fatal(err)
	}
	byName, err := adopter.Examine(t.Context(), found.Name)
	if err != nil || byName.ServerID != m.ServerID {
		t.Fatalf("by its name %s: %+v, %v", found.Name, byName, err)
	}
	if found.ServerID != m.ServerID || found.ManagementIP != m.ManagementIP || found.WorkloadIP != m.WorkloadIP || len(found.MACs) != len(m.MACs) || found.MACs[0] != m.MACs[0] ||
		found.AHVIP != m.AHVIP || found.CVMIP != m.CVMIP || found.Profile != f.Spec.ServerProfile || found.Zone == "" {
		t.Errorf("made %+v, examined %+v", m, found)
	}
	kinds := map[string]int{}
	for _, r := range found.Resources {
		kinds[r.Kind]++
		j.Take(nodeID, deploymentID, f.Spec.Provider, r)
	}
	if !maps.Equal(kinds, before) || !maps.Equal(before, f.Live()) || j.Writes() != 0 {
		t.Fatalf("there is %v, found %v; %d writes", before, kinds, j.Writes())
	}
	if o, err := f.Provider(t, j).Observe(t.Context(), nodeID); err != nil || o.Failed != nil {
		t.Errorf("observe: %+v, %v", o, err)
	}
	if _, ok := f.Provider(t, j).(deploy.Auditor); ok {
		if drift := audited(t, f, j); len(drift) != 0 {
			t.Errorf("audit: %+v", drift)
		}
	}
	_, err = adopter.Examine(t.Context(), m.ServerID)
	if e := final(t, err); e.Code != deploy.CodeConflict {
		t.Errorf("one that is in care already: %v", e)
	}
	_, err = adopter.Examine(t.Context(), "nowhere")
	if e := final(t, err); e.Code != deploy.CodeNotFound {
		t.Errorf("one that is nowhere: %v", e)
	}
	adoptedNode(t, f, j, m)
}

// adoptedNode reinstalls and releases a machine that was taken in care.
func adoptedNode(t *testing.T, f Fixture, j *Journal, m deploy.Machine) {
	t.Helper()
	f.Advance(settled)
	if _, ok := f.Provider(t, j).(deploy.Reinstaller); ok {
		o := nextAttempt(f)
		o.Attempt, o.DeploymentID = 1, deploymentID+1
		j.Move(nodeID, deploymentID, o.DeploymentID)
		persistReinstall(t, f, j, o)
		f.Advance(settled)
		if n := f.Boots(t, m.ServerID); n != 2 {
			t.Errorf("it booted %d times", n)
		}
		j.End(o.DeploymentID)
		if _, ok := f.Provider(t, j).(deploy.Releaser); ok {
			wantReleased(t, f, j, persistRelease(t, f, j, o.DeploymentID))
		}
	}
}

func console(t *testing.T, make func(*testing.T) Fixture) {
	f, j := make(t), &Journal{}
	p := able[deploy.Consoler](t, f, j)
	_, err := p.Console(t.Context(), nodeID, "serial", false)
	if e := final(t, err); e.Code != deploy.CodeNotFound {
		t.Errorf("a node without a machine: %v", e)
	}
	persistOrder(t, f, f.Provider(t, j), order(f.Spec))
	f.Advance(settled)
	for _, kind := range []string{"serial", "vnc"} {
		c, err := p.Console(t.Context(), nodeID, kind, true)
		if err != nil || c.Type != kind || c.URL == "" || !c.Force || !c.ExpiresAt.After(f.Now()) {
			t.Errorf("%s: %v (type %s, force %v, until %v)", kind, err, c.Type, c.Force, c.ExpiresAt)
		}
	}
	_, err = p.Console(t.Context(), nodeID, "telepathy", false)
	if e := final(t, err); e.Code != deploy.CodeInvalid {
		t.Errorf("%v", e)
	}
}
