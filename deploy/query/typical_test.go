package query

import (
	"database/sql"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/stats"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
	"github.com/slipwayhq/slipway/ent"
)

// known makes statistics in which every phase of a provider takes its ordinal
// in minutes, but for those left out.
func known(provider string, without ...phase.Key) Durations {
	t := Durations{of: map[phase.Key]Usual{}}
	for _, def := range phase.Catalogue(provider) {
		if !slices.Contains(without, def.Key) {
			t.of[def.Key] = Usual{P50: time.Duration(def.Ordinal) * time.Minute, P95: time.Hour, Samples: 9}
		}
	}
	return t
}

func TestEstimate(t *testing.T) {
	at := func(key, state string) *ent.Deployment {
		return &ent.Deployment{Provider: "ibm_vpc", State: state, Phase: key, Attempt: 1, SkipPhases: []string{phase.ClusterFormation}}
	}
	run := func(key string, since time.Duration) *ent.PhaseRun {
		return &ent.PhaseRun{Phase: key, Status: "in_progress", EnteredAt: noon.Add(-since)}
	}
	left := func(d *ent.Deployment, r *ent.PhaseRun, typical Durations) any {
		v := Look(d, &ent.Node{}, []*ent.PhaseRun{r}, typical, noon)
		if v.EstimatedFinishAt == nil {
			return nil
		}
		return v.EstimatedFinishAt.Sub(noon)
	}
	all := known("ibm_vpc")
	d, r := at(phase.Installation, phase.Running), run(phase.Installation, 4*time.Minute)
	rest := (11 + 13 + 14) * time.Minute // post_install, dns, health
	require.Equal(t, 6*time.Minute+rest, left(d, r, all), "what is left of the open phase and all that follow but for the skipped one")
	require.Equal(t, rest, left(d, run(phase.Installation, time.Hour), all), "beyond its usual time nothing is left of the open one")
	stood := run(phase.Installation, 4*time.Minute)
	stood.StoppedMs = (3 * time.Minute).Milliseconds()
	require.Equal(t, 9*time.Minute+rest, left(d, stood, all), "the time that the clock stood does not count")
	stopped := noon.Add(-2 * time.Minute)
	stood.ClockStoppedAt = &stopped
	require.Equal(t, 10*time.Minute+rest, left(d, stood, all))

	require.Nil(t, left(d, r, Durations{}), "no history")
	require.Nil(t, left(d, r, known("ibm_vpc", phase.Installation)), "nothing is known of the open phase")
	require.Nil(t, left(d, r, known("ibm_vpc", phase.DNSRegistration)), "nor of one that follows")
	require.Equal(t, 6*time.Minute+rest, left(d, r, known("ibm_vpc", phase.NetworkConfig)), "what is past does not matter")
	few := known("ibm_vpc")
	few.of[phase.HealthValidation] = Usual{P50: time.Minute, Samples: 4}
	require.Nil(t, left(d, r, few), "four are too few")
	require.Equal(t, 6*time.Minute+(13+14)*time.Minute, left(d, r, known("ibm_vpc", phase.PostInstall)), "machines of this kind pass over it")
	require.Nil(t, left(d, r, known("ibm_vpc", phase.PostInstall, phase.Deployed)), "too few were deployed to say so")

	held := at(phase.Installation, phase.Running)
	held.Maintenance = true
	require.Nil(t, left(held, r, all), "maintenance has no end that we know")
	for _, state := range []string{phase.Canceling, phase.CleaningUp, phase.StateFail, phase.Succeeded} {
		require.Nil(t, left(at(phase.Installation, state), r, all), "%s does not lead to deployed", state)
	}
	require.NotNil(t, left(at(phase.Pending, phase.Queued), run(phase.Pending, time.Minute), all))
}

func TestWeightsFollowTime(t *testing.T) {
	progress := func(key string, typical Durations) float64 {
		d := &ent.Deployment{Provider: "ibm_vpc", State: phase.Running, Phase: key, SkipPhases: []string{phase.ClusterFormation}}
		return Look(d, &ent.Node{}, []*ent.PhaseRun{{Phase: key, Status: "in_progress", EnteredAt: noon}}, typical, noon).Progress
	}
	require.Nil(t, Durations{}.weights("ibm_vpc"))
	// Everything is known: progress is the share of time. Up to installation 2 … 9 of 2 … 14 minutes; the queue has no share,
	// and what will be skipped counts as done once it is passed.
	var before, total int
	for i := 2; i <= 14; i++ {
		total += i
		if i < 10 {
			before += i
		}
	}
	require.InDelta(t, float64(before)/float64(total), progress(phase.Installation, known("ibm_vpc")), 1e-9)
	// One phase is known: it keeps the share that the table gives it.
	one := Durations{of: map[phase.Key]Usual{phase.Installation: {P50: time.Hour, Samples: 5}}}
	require.InDelta(t, progress(phase.Installation, Durations{}), progress(phase.Installation, one), 1e-9)
	require.InDelta(t, progress(phase.PostInstall, Durations{}), progress(phase.PostInstall, one), 1e-9)
	// Two are known: together they keep their share, and divide it by time.
	two := Durations{of: map[phase.Key]Usual{phase.Installation: {P50: 3 * time.Hour, Samples: 5}, phase.ImageDownload: {P50: time.Hour, Samples: 5}}}
	require.InDelta(t, progress(phase.PostInstall, Durations{}), progress(phase.PostInstall, two), 1e-9)
	start := progress(phase.ImageDownload, two)
	require.InDelta(t, 0.25, (progress(phase.Installation, two)-start)/(progress(phase.PostInstall, two)-start), 1e-9)
}

// TestEveryPhaseSaysWhatItAwaits goes through every phase of every provider, in
// every state that is not final, with and without a report of it.
func TestEveryPhaseSaysWhatItAwaits(t *testing.T) {
	entered, passed := noon.Add(-time.Minute), noon.Add(-time.Second)
	seen := map[string]bool{}
	check := func(d *ent.Deployment, n *ent.Node, runs []*ent.PhaseRun) {
		t.Helper()
		v := Look(d, n, runs, Durations{}, noon)
		where := fmt.Sprintf("%s %s %s", d.Provider, d.State, d.Phase)
		require.NotNil(t, v.Waits, where)
		w := v.Waits
		for what, text := range map[string]string{"code": w.Code, "awaiting": w.Awaiting, "evidence": w.Evidence, "advice": w.Advice} {
			require.NotEmpty(t, text, "%s: %s", where, what)
		}
		require.False(t, w.Since.IsZero(), where)
		require.False(t, w.Since.After(noon), where)
		require.Contains(t, waits, w.Code, where)
		seen[w.Code] = true
	}
	for _, provider := range phase.Providers() {
		for _, def := range phase.All() {
			if def.Terminal {
				continue
			}
			for _, state := range phase.States() {
				if !phase.Active(state) {
					continue
				}
				for _, status := range []phase.Status{phase.Waiting, phase.InProgress} {
					for _, maintenance := range []bool{false, true} {
						for _, n := range []*ent.Node{{}, {LastSeenAt: &passed}, {Stale: true, LastSeenAt: &entered}, nil} {
							for _, deadline := range []time.Time{passed, noon.Add(time.Hour)} {
								d := &ent.Deployment{Provider: provider, State: state, Phase: def.Key, Maintenance: maintenance, UpdatedAt: entered}
								r := &ent.PhaseRun{Phase: def.Key, Status: string(status), EnteredAt: entered, DeadlineAt: &deadline}
								check(d, n, []*ent.PhaseRun{r})
								check(d, n, nil)
							}
						}
					}
				}
			}
		}
	}
	// What nothing but the note on the run tells.
	for code, where := range map[string]phase.Key{WaitDownload: phase.ImageDownload, WaitScriptRun: phase.ScriptStarted, WaitScriptHost: phase.ConfigStored, WaitReplica: phase.ConfigStored, WaitFormation: phase.ClusterFormation, WaitHealth: phase.HealthValidation} {
		check(&ent.Deployment{Provider: "ibm_vpc", State: phase.Running, Phase: where, UpdatedAt: entered}, nil,
			[]*ent.PhaseRun{{Phase: where, Status: "in_progress", EnteredAt: entered, Awaiting: code, Evidence: "3 before this one"}})
	}
	for code := range waits {
		require.True(t, seen[code], "no phase ever waits for %s", code)
	}
}

func TestWaitsTellTheirEvidence(t *testing.T) {
	entered, seen := noon.Add(-10*time.Minute), noon.Add(-3*time.Minute)
	d := &ent.Deployment{Provider: "ibm_vpc", State: phase.Running, Phase: phase.Installation}
	r := &ent.PhaseRun{Phase: phase.Installation, Status: "in_progress", EnteredAt: entered, Message: "writing disk 1 of 2"}
	w := Look(d, &ent.Node{LastSeenAt: &seen}, []*ent.PhaseRun{r}, Durations{}, noon).Waits
	require.Equal(t, Wait{Code: WaitReport, Awaiting: "the machine's next report", Since: seen, Evidence: "writing disk 1 of 2; the machine was last seen at 2026-11-22 11:57:00 UTC", Advice: w.Advice}, *w)
	noted := &ent.PhaseRun{Phase: phase.HealthValidation, Status: "in_progress", EnteredAt: entered, Awaiting: WaitSSH, Evidence: "refused: nothing listens on port 22", AwaitingSince: &seen, Message: "x"}
	w = Look(&ent.Deployment{Provider: "ibm_vpc", State: phase.Running, Phase: phase.HealthValidation}, &ent.Node{}, []*ent.PhaseRun{noted}, Durations{}, noon).Waits
	require.Equal(t, []any{WaitSSH, "refused: nothing listens on port 22", seen}, []any{w.Code, w.Evidence, w.Since})
	stopped := noon.Add(-time.Minute)
	r.ClockStoppedAt = &stopped
	d.Maintenance = true
	require.Equal(t, stopped, Look(d, &ent.Node{}, []*ent.PhaseRun{r}, Durations{}, noon).Waits.Since)
}

func TestLateAndStalledAreNotTheSame(t *testing.T) {
	id, other := int64(7), int64(8)
	passed, ahead := noon.Add(-time.Second), noon.Add(time.Hour)
	for name, tc := range map[string]struct {
		n             *ent.Node
		deadline      time.Time
		maintenance   bool
		state         string
		late, stalled bool
	}{
		"in time":             {&ent.Node{CurrentDeploymentID: &id}, ahead, false, phase.Running, false, false},
		"late":                {&ent.Node{CurrentDeploymentID: &id, Late: true}, ahead, false, phase.Running, true, false},
		"silent":              {&ent.Node{CurrentDeploymentID: &id, Stale: true}, ahead, false, phase.Running, false, true},
		"both":                {&ent.Node{CurrentDeploymentID: &id, Stale: true, Late: true}, ahead, false, phase.Running, true, true},
		"past its deadline":   {&ent.Node{CurrentDeploymentID: &id}, passed, false, phase.Running, false, true},
		"its clock stands":    {&ent.Node{CurrentDeploymentID: &id}, passed, true, phase.Running, false, false},
		"an older deployment": {&ent.Node{CurrentDeploymentID: &other, Late: true, Stale: true}, ahead, false, phase.Running, false, false},
		"over":                {&ent.Node{CurrentDeploymentID: &id, Late: true, Stale: true}, passed, false, phase.Succeeded, false, false},
	} {
		d := &ent.Deployment{ID: id, Provider: "rack", State: tc.state, Phase: phase.Installation, Maintenance: tc.maintenance}
		v := Look(d, tc.n, []*ent.PhaseRun{{Phase: phase.Installation, EnteredAt: noon, DeadlineAt: &tc.deadline}}, Durations{}, noon)
		require.Equal(t, []bool{tc.late, tc.stalled}, []bool{v.Late, v.Stalled}, name)
	}
}

func TestAheadInTheQueue(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		ctx := t.Context()
		f := NewFleet(st.Ent(), NewStatuses(st.Ent(), nil), nil)
		var ids []int64
		require.NoError(t, st.InTx(ctx, func(tx *sql.Tx) error {
			c := st.EntTx(tx)
			for i, state := range []string{phase.Queued, phase.Running, phase.Queued, phase.Queued} {
				n := c.Node.Create().SetName(fmt.Sprintf("n%d", i)).SetProvider("rack").SaveX(ctx)
				d := c.Deployment.Create().SetNodeID(n.ID).SetNumber(1).SetState(state).SetPhase(phase.Pending).SetPhaseStatus("waiting").SetProvider("rack").
					SetConfig([]byte(`{}`)).SetRequestedBy("t").SetRequestedByKind("token").SaveX(ctx)
				ids = append(ids, d.ID)
			}
			return nil
		}))
		got, err := f.Ahead(ctx, []int64{ids[3], ids[0], ids[1]})
		require.NoError(t, err)
		require.Equal(t, map[int64]int{ids[0]: 0, ids[3]: 2}, got, "one that left the queue has no place in it")
		w := &Wait{}
		w.Queued(2)
		require.Equal(t, "2 before this one in the queue", w.Evidence)
		_, err = f.Typical(ctx, "rack", stats.AnyProfile)
		require.NoError(t, err)
	})
}
