package workflow_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
	"github.com/slipwayhq/slipway/deploy/workflow"
)

// TestHostsOfTheScriptNeedNoSlot: they begin when all are taken, take none from
// those that are ordered, and wake nobody when they end.
func TestHostsOfTheScriptNeedNoSlot(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		t.Parallel()
		s := withScript(t, st, back)
		s.engine.SetSlots(1)
		out := s.begin(t, "a", "b")
		for _, item := range out.Items {
			s.until(t, item.DeploymentID, at(phase.ScriptStarted, phase.InProgress))
		}
		first := s.deploy(t, "first") // although two run that have no slot
		s.until(t, first.DeploymentID, at(phase.MonitoringStart, phase.InProgress))
		second, third := s.deploy(t, "second"), s.deploy(t, "third")
		waits := func() (n int) {
			require.NoError(t, st.Read.QueryRow(`SELECT COUNT(*) FROM phase_runs WHERE awaiting = 'slot' AND finished_at IS NULL AND deployment_id IN ($1, $2)`,
				second.DeploymentID, third.DeploymentID).Scan(&n))
			return n
		}
		s.eventually(t, "two wait for the slot", func() bool { return waits() == 2 })
		s.host.End(out.Run.ID, 0)
		for _, item := range out.Items {
			s.until(t, item.DeploymentID, at(phase.Deployed, phase.Success))
		}
		next := s.beginAt(t, 100, "next") // although the slot is taken, and others wait
		s.until(t, next.Items[0].DeploymentID, at(phase.ScriptStarted, phase.InProgress))
		require.Equal(t, 2, waits())
		// The slot that is given back goes to the first of those that need one.
		s.machine(t, first)
		s.until(t, first.DeploymentID, at(phase.Deployed, phase.Success))
		s.until(t, second.DeploymentID, at(phase.MonitoringStart, phase.InProgress))
		require.Equal(t, 1, waits())
	})
}

// TestAHostInTheQueueIsNobodysPlace: one that has not begun yet is not counted
// before those that need a slot.
func TestAHostInTheQueueIsNobodysPlace(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		t.Parallel()
		crowd(t, st, 3)
		for _, table := range []string{"nodes", "deployments"} {
			_, err := st.Write.Exec(`UPDATE ` + table + ` SET provider = 'script'`)
			require.NoError(t, err)
		}
		h := build(t, st, workflow.Options{Prober: healthy, Slots: 1}, newCloud())
		only := h.deploy(t, "only")
		h.until(t, only.DeploymentID, at(phase.MonitoringStart, phase.InProgress))
	})
}
