package query

import (
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
	"github.com/slipwayhq/slipway/ent"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func TestSummary(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		ctx := t.Context()
		f := NewFleet(st.Ent(), NewStatuses(st.Ent(), nil), func() time.Time { return noon })
		empty, err := f.Summary(ctx, NodeFilter{})
		require.NoError(t, err)
		require.Equal(t, FleetSummary{ByState: map[string]int{}, AsOf: noon}, empty)

		require.NoError(t, st.InTx(ctx, func(tx *sql.Tx) error {
			c := st.EntTx(tx)
			add := func(i int, state, at, profile string, stale bool) *ent.Deployment {
				n := c.Node.Create().SetName(fmt.Sprintf("n%d", i)).SetProvider("ibm_vpc").SetServerProfile(profile).SetState(state).SetDeploymentStatus(at).SetStale(stale).SaveX(ctx)
				if state == "" {
					return nil
				}
				d := c.Deployment.Create().SetNodeID(n.ID).SetNumber(1).SetState(state).SetPhase(at).SetPhaseStatus("in_progress").SetProvider("ibm_vpc").
					SetConfig([]byte(`{}`)).SetRequestedBy("t").SetRequestedByKind("token").SaveX(ctx)
				n.Update().SetCurrentDeploymentID(d.ID).ExecX(ctx)
				return d
			}
			add(1, "", "pending", "p", false)
			for i, entered := range []time.Duration{-5 * time.Minute, -20 * time.Minute} {
				d := add(2+i, phase.Running, phase.Installation, "p", i == 1)
				c.PhaseRun.Create().SetDeploymentID(d.ID).SetAttempt(1).SetPhase(phase.Installation).SetOrdinal(10).SetStatus("in_progress").
					SetEnteredAt(noon.Add(entered)).SetDeadlineAt(noon.Add(time.Hour)).ExecX(ctx)
			}
			_, err := tx.Exec(`UPDATE nodes SET late = $1 WHERE name IN ('n2', 'n10')`, true)
			if err != nil {
				return err
			}
			c.PhaseStat.Create().SetProvider("*").SetServerProfile("*").SetPhase(phase.Deployed).SetP50Ms(60_000).SetP95Ms(120_000).SetSamples(77).ExecX(ctx)
			late := add(4, phase.Running, phase.IPXEBoot, "p", false)
			c.PhaseRun.Create().SetDeploymentID(late.ID).SetAttempt(1).SetPhase(phase.IPXEBoot).SetOrdinal(4).SetStatus("waiting").
				SetEnteredAt(noon.Add(-time.Hour)).SetDeadlineAt(noon.Add(-time.Minute)).ExecX(ctx)
			for i := range 6 {
				took := time.Duration(i+1) * time.Minute
				finished := noon.Add(-time.Hour)
				if i == 5 {
					finished = noon.Add(-48 * time.Hour)
				}
				add(10+i, phase.Succeeded, phase.Deployed, "q", false).Update().SetStartedAt(finished.Add(-took)).SetFinishedAt(finished).ExecX(ctx)
			}
			add(20, phase.StateFail, phase.Failed, "q", false).Update().SetFinishedAt(noon.Add(-time.Minute)).ExecX(ctx)
			return nil
		}))

		f = NewFleet(st.Ent(), NewStatuses(st.Ent(), nil), func() time.Time { return noon }) // the other keeps what it knows for a while
		s, err := f.Summary(ctx, NodeFilter{})
		require.NoError(t, err)
		p50, p95 := time.Minute, 2*time.Minute
		oldInstall, oldBoot := noon.Add(-20*time.Minute), noon.Add(-time.Hour)
		require.Equal(t, FleetSummary{
			Total: 11, Active: 3, Stalled: 2, Late: 1, ByState: map[string]int{"running": 3, "succeeded": 6, "failed": 1},
			ByPhase:          []PhaseCount{{phase.IPXEBoot, 1, &oldBoot}, {phase.Installation, 2, &oldInstall}},
			SucceededLast24h: 5, FailedLast24h: 1, P50: &p50, P95: &p95, AsOf: noon,
		}, s)

		s, err = f.Summary(ctx, NodeFilter{ServerProfiles: []string{"p"}})
		require.NoError(t, err)
		require.Equal(t, 4, s.Total)
		require.Equal(t, 0, s.SucceededLast24h)
		require.Nil(t, s.P50)
		require.Len(t, s.ByPhase, 2)
		s, err = f.Summary(ctx, NodeFilter{ServerProfiles: []string{"q"}})
		require.NoError(t, err)
		p50, p95 = 3*time.Minute, 6*time.Minute
		require.Equal(t, []*time.Duration{&p50, &p95}, []*time.Duration{s.P50, s.P95}, "of what the filter chooses")
		yes := true
		n, err := f.CountNodes(ctx, NodeFilter{Late: &yes})
		require.NoError(t, err)
		require.Equal(t, 1, n)
		some, err := f.Overdue(ctx, []int64{1, 2, 3, 4, 5})
		require.NoError(t, err)
		require.Equal(t, map[int64]bool{4: true}, some)
	})
}

func TestLook(t *testing.T) {
	entered := noon.Add(-10 * time.Minute)
	deadline := noon.Add(time.Hour)
	passed := noon.Add(-time.Second)
	d := func(p string) *ent.Deployment {
		return &ent.Deployment{Provider: "ibm_vpc", State: phase.Running, Phase: p, Attempt: 1, SkipPhases: []string{phase.ClusterFormation}}
	}
	run := func(p, status string) *ent.PhaseRun {
		return &ent.PhaseRun{Phase: p, Status: status, Attempt: 1, EnteredAt: entered, DeadlineAt: &deadline, Message: "said"}
	}
	quiet := &ent.Node{}
	for name, tc := range map[string]struct {
		d    *ent.Deployment
		n    *ent.Node
		run  *ent.PhaseRun
		code string
	}{
		"slot":        {d(phase.Pending), quiet, run(phase.Pending, "waiting"), WaitSlot},
		"workflow":    {d(phase.ServerRequested), quiet, run(phase.ServerRequested, "waiting"), WaitWorkflow},
		"provider":    {d(phase.ServerRequested), quiet, run(phase.ServerRequested, "in_progress"), WaitProvider},
		"boot":        {d(phase.MonitoringStart), quiet, run(phase.MonitoringStart, "in_progress"), WaitBoot},
		"config":      {d(phase.IPXEBoot), quiet, run(phase.IPXEBoot, "in_progress"), WaitConfig},
		"report":      {d(phase.Installation), quiet, run(phase.Installation, "in_progress"), WaitReport},
		"silent":      {d(phase.Installation), &ent.Node{Stale: true, LastSeenAt: &entered}, run(phase.Installation, "in_progress"), WaitSilent},
		"overdue":     {d(phase.Installation), &ent.Node{Stale: true}, &ent.PhaseRun{Phase: phase.Installation, Status: "in_progress", EnteredAt: entered, DeadlineAt: &passed}, WaitOverdue},
		"noted":       {d(phase.ServerRequested), quiet, &ent.PhaseRun{Phase: phase.ServerRequested, EnteredAt: entered, Awaiting: "provider", AwaitingSince: &passed}, WaitProvider},
		"newer word":  {d(phase.ServerRequested), quiet, &ent.PhaseRun{Phase: phase.ServerRequested, EnteredAt: entered, Awaiting: "moon"}, "moon"},
		"maintenance": {&ent.Deployment{Provider: "ibm_vpc", State: phase.Running, Phase: phase.Pending, Maintenance: true}, quiet, run(phase.Pending, "waiting"), WaitMaintenance},
		"no run":      {d(phase.Pending), quiet, nil, WaitWorkflow},
	} {
		var runs []*ent.PhaseRun
		if tc.run != nil {
			runs = append(runs, tc.run)
		}
		v := Look(tc.d, tc.n, runs, Durations{}, noon)
		require.NotNil(t, v.Waits, name)
		require.Equal(t, tc.code, v.Waits.Code, name)
		require.NotEmpty(t, v.Waits.Awaiting, name)
		require.NotEmpty(t, v.Waits.Advice, name)
		require.Nil(t, v.EstimatedFinishAt, "no history, no estimate")
		require.Equal(t, tc.run, v.Current)
	}

	// Progress: what is done counts, the open phase by its own account.
	half := 50
	inst := run(phase.Installation, "in_progress")
	before := Look(d(phase.Installation), quiet, []*ent.PhaseRun{inst}, Durations{}, noon).Progress
	inst.Progress = &half
	after := Look(d(phase.Installation), quiet, []*ent.PhaseRun{inst}, Durations{}, noon).Progress
	require.Greater(t, before, 0.4)
	require.Greater(t, after, before)
	require.Less(t, after, 1.0)

	// The end: progress 1, nothing awaited, the last run is current.
	over := run(phase.HealthValidation, "success")
	over.FinishedAt = &passed
	v := Look(&ent.Deployment{Provider: "ibm_vpc", State: phase.Succeeded, Phase: phase.Deployed}, quiet, []*ent.PhaseRun{inst, over}, Durations{}, noon)
	require.Equal(t, 1.0, v.Progress)
	require.Nil(t, v.Waits)
}
