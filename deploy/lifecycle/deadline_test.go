package lifecycle_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

func (h *house) sweep() {
	h.t.Helper()
	require.NoError(h.t, h.Sweep(h.t.Context()))
}

func TestDeadlines(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st)
		// tries passes the open phase's deadline until it fails, and counts.
		tries := func(d lifecycle.Deployed, key string, limit time.Duration) int {
			for n := 1; ; n++ {
				s := h.state(d)
				require.Equal(t, key, s.openPhase)
				require.Equal(t, n, s.tries)
				require.True(t, h.clock.now().Add(limit).Equal(*s.deadline), "try %d has the whole time", n)
				h.clock.pass(limit - time.Microsecond)
				h.sweep()
				require.Equal(t, s.sequence, h.state(d).sequence, "not a moment too early")
				h.clock.pass(time.Microsecond)
				h.sweep()
				after := sound(t, st, d.DeploymentID)
				require.Equal(t, s.sequence+1, after.sequence)
				if after.state == phase.StateFail {
					require.Equal(t, []any{key, "deadline_passed", after.sequence, phase.Failed}, []any{after.failPhase, after.failCode, after.failSequence, after.nodeStatus})
					require.NotEmpty(t, after.failHint)
					require.Equal(t, "timed_out", h.last(d).status)
					h.sweep()
					require.Equal(t, after.sequence, h.state(d).sequence, "it acts once")
					return n
				}
				require.Equal(t, []any{phase.Running, "waiting"}, []any{after.state, after.status})
			}
		}
		d := h.deploy("order")
		h.bring(d, phase.ServerRequested)
		require.Equal(t, 3, tries(d, phase.ServerRequested, 15*time.Minute), "2 retries")
		d = h.deploy("dns")
		h.bring(d, phase.DNSRegistration)
		require.Equal(t, 4, tries(d, phase.DNSRegistration, 10*time.Minute), "3 retries")
		d = h.deploy("boot")
		h.bring(d, phase.MonitoringStart)
		require.Equal(t, 1, tries(d, phase.MonitoringStart, time.Hour), "no retry")
		require.Contains(t, h.state(d).failMessage, "monitoring_start did not end within 1h0m0s")
		d = h.deploy("queue")
		require.Equal(t, 1, tries(d, phase.Pending, 24*time.Hour))
	})
}

func TestDeadlineOfEveryPhaseActs(t *testing.T) {
	st := storetest.SQLite(t)
	h := open(t, st)
	for i, p := range phase.Catalogue("ibm_vpc") {
		if p.Terminal || p.Key == phase.ClusterFormation {
			continue
		}
		d := h.deploy(fmt.Sprintf("n%d", i))
		h.bring(d, p.Key)
		require.Equal(t, p.Key, h.state(d).openPhase)
		for range p.Retries + 1 {
			h.clock.pass(p.Deadline)
			h.sweep()
		}
		s := sound(t, st, d.DeploymentID)
		require.Equal(t, []any{phase.StateFail, p.Key, "deadline_passed"}, []any{s.state, s.failPhase, s.failCode})
		require.NotEmpty(t, s.failHint, p.Key)
	}
}

func TestRetriedPhaseIsEnqueuedAgain(t *testing.T) {
	st := storetest.SQLite(t)
	var entered []lifecycle.Entered
	h := open(t, st, noting(&entered))
	d := h.deploy("n1")
	h.bring(d, phase.ServerRequested)
	h.say(as(phase.ByWorkflow, d, phase.ServerRequested, phase.InProgress))
	h.clock.pass(15 * time.Minute)
	h.sweep()
	last := entered[len(entered)-1]
	require.Equal(t, lifecycle.Entered{DeploymentID: d.DeploymentID, NodeID: d.NodeID, Provider: "ibm_vpc", Attempt: 1, Phase: phase.ServerRequested, Tries: 2}, last)
	require.Contains(t, h.last(d).message, "try 1 of 3")
}

func TestLastEvidenceIsInTheFailure(t *testing.T) {
	st := storetest.SQLite(t)
	h := open(t, st)
	d := h.deploy("n1")
	h.bring(d, phase.HealthValidation)
	before := h.state(d)
	await := func(key, what, evidence string) {
		require.NoError(t, h.Do(t.Context(), []int64{d.DeploymentID}, nil, func(tx *lifecycle.Tx) error { return tx.Await(d.DeploymentID, key, what, evidence) }))
	}
	await(phase.HealthValidation, "ssh", "refused: nothing listens")
	await(phase.DNSRegistration, "dns", "a step of a phase that was left")
	s := sound(t, st, d.DeploymentID)
	require.Equal(t, []any{"ssh", "refused: nothing listens", before.sequence}, []any{s.awaiting, s.evidence, s.sequence}, "a wait makes no event")
	require.Greater(t, s.changed, before.changed, "but the fleet sees it")
	await(phase.HealthValidation, "ssh", "refused: nothing listens")
	require.Equal(t, s.changed, h.state(d).changed, "once")
	h.clock.pass(20 * time.Minute)
	h.sweep()
	require.Contains(t, h.state(d).failMessage, "refused: nothing listens")
}

func TestMaintenanceStopsTheClocks(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st)
		kept := h.deploy("kept", func(in *lifecycle.NewDeployment) { in.Maintenance = true })
		d := h.deploy("n1")
		h.bring(kept, phase.Installation)
		h.bring(d, phase.Installation)
		before := h.state(kept)
		h.clock.pass(100 * 24 * time.Hour)
		h.sweep()
		after := sound(t, st, kept.DeploymentID)
		require.Equal(t, []any{before.sequence, before.phase, before.state}, []any{after.sequence, after.phase, after.state})
		require.Equal(t, phase.StateFail, h.state(d).state)
	})
}

func TestMaintenanceDoesNotHideOthers(t *testing.T) {
	st := storetest.SQLite(t)
	h := open(t, st)
	batch := lifecycle.NewBatch{MaxParallel: 1, Actor: tester}
	for i := range lifecycle.BatchMax {
		batch.Deployments = append(batch.Deployments, lifecycle.NewDeployment{Name: fmt.Sprintf("kept-%d", i), Spec: vpcSpec(), Maintenance: true})
	}
	_, err := h.DeployBatch(t.Context(), batch)
	require.NoError(t, err)
	h.clock.pass(time.Minute)
	d := h.deploy("n1")
	h.clock.pass(48 * time.Hour)
	h.sweep()
	require.Equal(t, phase.StateFail, h.state(d).state, "a sweep is not filled up by those whose clock stands")
}

func TestStale(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st)
		d, boots := h.deploy("n1"), h.deploy("n2")
		h.bring(d, phase.Installation)
		h.bring(boots, phase.IPXEBoot)
		h.say(as(phase.ByMachine, d, phase.Installation, phase.InProgress))
		before := h.state(d)
		h.clock.pass(2 * time.Minute)
		h.sweep()
		require.False(t, h.state(d).stale, "exactly two minutes are allowed")
		h.clock.pass(time.Microsecond)
		h.sweep()
		s := sound(t, st, d.DeploymentID)
		require.True(t, s.stale)
		require.Greater(t, s.changed, before.changed, "the fleet sees it")
		require.Equal(t, before.sequence, s.sequence, "it is no event")
		require.False(t, h.state(boots).stale, "only a machine that owns the phase can be silent")
		h.sweep()
		require.Equal(t, s.changed, h.state(d).changed, "once")

		// Any sign of life clears it: here a repeated report.
		require.True(t, h.say(as(phase.ByMachine, d, phase.Installation, phase.InProgress)).Duplicate)
		alive := h.state(d)
		require.False(t, alive.stale)
		require.Greater(t, alive.changed, s.changed)

		// So does the end of the machine's part.
		h.clock.pass(3 * time.Minute)
		h.sweep()
		require.True(t, h.state(d).stale)
		fail := as(phase.ByWorkflow, d, phase.Failed, phase.FailedRun)
		h.say(fail)
		require.False(t, h.state(d).stale)
	})
}

func TestAlive(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st)
		d, silent := h.deploy("n1"), h.deploy("n2")
		for _, one := range []lifecycle.Deployed{d, silent} {
			h.bring(one, phase.Installation)
		}
		before, head := h.state(d), h.head()
		h.clock.pass(time.Minute)
		for range 100 {
			h.Alive(d.NodeID)
		}
		h.Alive(999) // nobody
		h.stop()     // writes what is pending
		after := sound(t, st, d.DeploymentID)
		require.True(t, h.clock.now().Equal(*after.lastSeen))
		after.lastSeen = before.lastSeen
		require.Equal(t, before, after, "no event, no version")
		require.Equal(t, head, h.head(), "no position")
		require.False(t, h.clock.now().Equal(*h.state(silent).lastSeen))
	})
}

func TestAliveIsWrittenWhileItRuns(t *testing.T) {
	st := storetest.SQLite(t)
	h := open(t, st)
	d := h.deploy("n1")
	h.bring(d, phase.Installation)
	h.clock.pass(3 * time.Minute)
	h.sweep()
	require.True(t, h.state(d).stale)
	h.mu.Lock()
	commits := len(h.woken)
	h.mu.Unlock()
	h.Alive(d.NodeID)
	require.Eventually(t, func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return len(h.woken) > commits
	}, 2*time.Minute, 10*time.Millisecond, "a stale node that lives again wakes the feed")
	require.False(t, h.state(d).stale)
}

func TestRecover(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st)
		extended := map[string]bool{phase.MonitoringStart: true, phase.IPXEBoot: true, phase.ConfigDownload: true, phase.Installation: true, phase.ServerRequested: false, phase.HealthValidation: false}
		deps, deadlines := map[string]lifecycle.Deployed{}, map[string]time.Time{}
		for key := range extended {
			d := h.deploy("at-" + key[:4] + key[len(key)-1:])
			h.bring(d, key)
			deps[key], deadlines[key] = d, *h.state(d).deadline
		}
		ended := h.deploy("ended")
		h.bring(ended, phase.Deployed)
		require.NoError(t, h.Recover(t.Context(), 0, time.Minute), "no downtime, no change")
		for key, d := range deps {
			require.True(t, deadlines[key].Equal(*h.state(d).deadline))
		}
		h.clock.pass(2 * time.Hour) // the machines went on, and every deadline has passed
		require.NoError(t, h.Recover(t.Context(), 2*time.Hour, time.Minute))
		for key, d := range deps {
			want := deadlines[key]
			if extended[key] {
				want = want.Add(2*time.Hour + time.Minute)
			}
			require.True(t, want.Equal(*sound(t, st, d.DeploymentID).deadline), "%s: want %s", key, want)
		}
		h.sweep()
		for key, d := range deps {
			s := sound(t, st, d.DeploymentID)
			if extended[key] {
				require.Equal(t, phase.Running, s.state, "%s: it was us who were away", key)
			} else {
				require.Equal(t, "orchestrator", h.last(d).source, "%s: our own phases are ours to answer for", key)
			}
		}
	})
}
