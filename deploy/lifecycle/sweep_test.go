package lifecycle_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

// usual writes how long a phase of the test's profile takes.
func usual(t *testing.T, st *store.Store, key string, p50, p95 time.Duration) {
	t.Helper()
	_, err := st.Write.Exec(`INSERT INTO phase_stats (phase, provider, server_profile, p50_ms, p95_ms, samples, computed_at) VALUES ($1,$2,$3,$4,$5,9,$6)
		ON CONFLICT (provider, server_profile, phase) DO UPDATE SET p50_ms = $4, p95_ms = $5`,
		key, deploy.ProviderIBMVPC, vpcSpec().ServerProfile, p50.Milliseconds(), p95.Milliseconds(), time.Now().UTC())
	require.NoError(t, err)
}

func (h *house) late(d lifecycle.Deployed) (late bool) {
	h.t.Helper()
	require.NoError(h.t, h.st.Read.QueryRow(`SELECT late FROM nodes WHERE id = $1`, d.NodeID).Scan(&late))
	return late
}

func TestLate(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st)
		usual(t, st, phase.Installation, 10*time.Minute, 20*time.Minute)
		usual(t, st, phase.Deployed, time.Hour, 28*time.Minute)
		d, other := h.deploy("n1"), h.deploy("n2", func(in *lifecycle.NewDeployment) { in.Spec.ServerProfile = "never-seen" })
		for _, one := range []lifecycle.Deployed{d, other} {
			h.bring(one, phase.Installation)
		}
		h.clock.pass(20 * time.Minute)
		h.say(as(phase.ByMachine, d, phase.Installation, phase.InProgress))
		before := h.state(d)
		h.sweep()
		require.False(t, h.late(d), "exactly the 95th percentile is not beyond it")
		h.clock.pass(time.Microsecond)
		h.sweep()
		require.True(t, h.late(d))
		require.False(t, h.late(other), "nothing is known of its profile")
		s := sound(t, st, d.DeploymentID)
		require.Greater(t, s.changed, before.changed, "the fleet sees it")
		require.Greater(t, s.nodeVersion, before.nodeVersion)
		require.Equal(t, before.sequence, s.sequence, "it is no event")
		h.sweep()
		require.Equal(t, s.changed, h.state(d).changed, "once")

		h.say(as(phase.ByMachine, d, phase.Installation, phase.Success))
		h.sweep()
		require.False(t, h.late(d), "the next phase is in time")

		h.clock.pass(10 * time.Minute) // in all 30: the whole takes too long, although nothing is known of post_install
		h.sweep()
		require.True(t, h.late(d))
		usual(t, st, phase.Deployed, time.Hour, 3*time.Hour)
		h.sweep()
		require.False(t, h.late(d), "the measure has changed")
		usual(t, st, phase.PostInstall, time.Second, time.Second)
		h.sweep()
		require.True(t, h.late(d))
		h.say(as(phase.ByWorkflow, d, phase.Failed, phase.FailedRun))
		require.False(t, h.late(d), "what has ended is not late")
	})
}

func TestRunsKnowTheirProviderAndProfile(t *testing.T) {
	st := storetest.SQLite(t)
	h := open(t, st)
	d := h.deploy("n1")
	h.bring(d, phase.Installation)
	h.say(as(phase.ByWorkflow, d, phase.Failed, phase.FailedRun))
	h.cleanUp(d, "n1")
	again := h.deploy("n1", func(in *lifecycle.NewDeployment) { in.NodeID, in.Spec.ServerProfile = d.NodeID, "another" })
	var first, second int
	require.NoError(t, st.Read.QueryRow(`SELECT (SELECT COUNT(*) FROM phase_runs WHERE deployment_id = $1 AND provider = 'ibm_vpc' AND server_profile = 'bx2d-metal-96x384'),
		(SELECT COUNT(*) FROM phase_runs WHERE deployment_id = $2 AND provider = 'ibm_vpc' AND server_profile = 'another')`, d.DeploymentID, again.DeploymentID).Scan(&first, &second))
	require.Equal(t, []int{12, 1}, []int{first, second})
}

func TestSetMaintenance(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st)
		usual(t, st, phase.Installation, time.Minute, 30*time.Minute)
		d := h.deploy("n1")
		h.bring(d, phase.Installation)
		set := func(on bool, version int) error {
			return h.SetMaintenance(t.Context(), lifecycle.MaintenanceChange{DeploymentID: d.DeploymentID, On: on, ExpectedVersion: version, Actor: tester})
		}
		h.clock.pass(10 * time.Minute)
		h.sweep()
		before := h.state(d)
		require.True(t, before.stale)
		refused(t, set(true, before.version+1), deploy.CodeVersionMismatch)
		refused(t, h.SetMaintenance(t.Context(), lifecycle.MaintenanceChange{DeploymentID: 999, On: true}), deploy.CodeNotFound)
		require.NoError(t, set(true, before.version))
		s := sound(t, st, d.DeploymentID)
		require.Equal(t, []any{before.version + 1, before.sequence + 1, before.phase, false}, []any{s.version, s.sequence, s.phase, s.stale})
		require.Greater(t, s.changed, before.changed)
		last := h.last(d)
		require.Equal(t, []any{"step", "user", "maintenance begins: the clocks stand"}, []any{last.outcome, last.source, last.message})
		require.NoError(t, set(true, s.version), "what is so already is no change")
		require.Equal(t, s, h.state(d))

		h.clock.pass(50 * time.Hour) // nothing acts, nothing is late or silent
		h.sweep()
		require.Equal(t, s, h.state(d))
		require.False(t, h.late(d))

		// The machine goes on meanwhile: the next phase's clock stands from its beginning.
		h.say(as(phase.ByMachine, d, phase.Installation, phase.Success))
		entered := h.state(d)
		require.Equal(t, phase.PostInstall, entered.phase)
		h.clock.pass(5 * time.Hour)
		require.NoError(t, set(false, h.state(d).version))
		s = sound(t, st, d.DeploymentID)
		require.True(t, entered.deadline.Add(5*time.Hour).Equal(*s.deadline), "the deadline moves by the time it stood")
		require.True(t, h.clock.now().Add(15*time.Minute).Equal(*s.deadline))
		require.Contains(t, h.last(d).message, "stood for 5h0m0s")
		var stopped []int64
		rows, err := st.Read.Query(`SELECT stopped_ms FROM phase_runs WHERE deployment_id = $1 AND phase IN ('installation', 'post_install') ORDER BY id`, d.DeploymentID)
		require.NoError(t, err)
		for rows.Next() {
			var ms int64
			require.NoError(t, rows.Scan(&ms))
			stopped = append(stopped, ms)
		}
		require.NoError(t, rows.Err())
		require.NoError(t, rows.Close())
		require.Equal(t, []int64{(50 * time.Hour).Milliseconds(), (5 * time.Hour).Milliseconds()}, stopped)

		h.clock.pass(15*time.Minute - time.Microsecond)
		h.sweep()
		require.Equal(t, phase.Running, h.state(d).state)
		h.clock.pass(time.Microsecond)
		h.sweep()
		s = h.state(d)
		require.Equal(t, phase.StateFail, s.state)
		refused(t, set(true, s.version), deploy.CodeDeploymentEnded)
	})
}

func TestMaintenanceOutlivesOurOwnDowntime(t *testing.T) {
	st := storetest.SQLite(t)
	h := open(t, st)
	d := h.deploy("n1", func(in *lifecycle.NewDeployment) { in.Maintenance = true })
	h.bring(d, phase.Installation)
	before := h.state(d)
	h.clock.pass(time.Hour)
	require.NoError(t, h.Recover(t.Context(), time.Hour, time.Minute))
	require.NoError(t, h.SetMaintenance(t.Context(), lifecycle.MaintenanceChange{DeploymentID: d.DeploymentID, ExpectedVersion: h.state(d).version, Actor: tester}))
	require.True(t, before.deadline.Add(time.Hour).Equal(*h.state(d).deadline), "the hour counts once")
}

func TestNobodyIsStaleForOurOwnSilence(t *testing.T) {
	st := storetest.SQLite(t)
	h := open(t, st)
	d := h.deploy("n1")
	h.bring(d, phase.Installation)
	h.stop()
	again := open(t, st) // its clock begins anew, two hours later
	again.clock.pass(2 * time.Hour)
	restarted := &house{t: t, st: st, clock: again.clock, Writer: lifecycle.New(st, lifecycle.Options{Now: again.clock.now})}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { restarted.Run(ctx) })
	defer wg.Wait()
	defer cancel()
	require.NoError(t, restarted.Recover(t.Context(), 2*time.Hour, time.Minute))
	restarted.sweep()
	require.False(t, restarted.state(d).stale, "it may have called while nobody was there")
	again.clock.pass(2*time.Minute + time.Microsecond)
	restarted.sweep()
	require.True(t, restarted.state(d).stale)
}

// TestReplicasShareASweep: what another transaction has in hand is passed
// over without waiting, and what two replicas sweep at once is done once.
func TestReplicasShareASweep(t *testing.T) {
	st := storetest.Postgres(t)
	h := open(t, st)
	other := &house{t: t, st: st, clock: h.clock, Writer: lifecycle.New(st, lifecycle.Options{Now: h.clock.now})}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { other.Run(ctx) })
	var deps []lifecycle.Deployed
	for i := range 150 {
		deps = append(deps, h.deploy(fmt.Sprintf("n%d", i)))
	}
	h.clock.pass(24 * time.Hour)

	held, err := st.Write.Begin()
	require.NoError(t, err)
	_, err = held.Exec(`SELECT id FROM deployments WHERE id <= $1 FOR UPDATE`, deps[49].DeploymentID)
	require.NoError(t, err)
	bounded, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	require.NoError(t, h.Sweep(bounded), "it does not wait for those that are locked")
	for i, d := range deps {
		want := phase.StateFail
		if i < 50 {
			want = phase.Queued
		}
		require.Equal(t, want, h.state(d).state, "deployment %d", i)
	}
	require.NoError(t, held.Rollback())

	for i := range 150 {
		deps = append(deps, h.deploy(fmt.Sprintf("m%d", i)))
	}
	h.clock.pass(24 * time.Hour)
	errs := make(chan error, 2)
	for _, one := range []*house{h, other} {
		wg.Go(func() { errs <- one.Sweep(ctx) })
	}
	require.NoError(t, <-errs)
	require.NoError(t, <-errs)
	h.sweep()
	for _, d := range deps {
		s := sound(t, st, d.DeploymentID)
		require.Equal(t, []any{phase.StateFail, 2}, []any{s.state, s.sequence}, "each deadline acts once")
	}
}
