package workflow_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/health"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
	"github.com/slipwayhq/slipway/deploy/workflow"
)

// TestHostsOfTheScriptAreOwedDowntimeToo: nobody asked them meanwhile.
func TestHostsOfTheScriptAreOwedDowntimeToo(t *testing.T) {
	t.Parallel()
	for key, change := range map[string]func(*workflow.Polling){
		phase.RebootWait:       func(p *workflow.Polling) { p.Wait = time.Hour },
		phase.SSHPolling:       func(p *workflow.Polling) { p.Attempts = 100_000 },
		phase.HealthValidation: func(*workflow.Polling) {},
	} {
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			s := withScript(t, storetest.SQLite(t), func(to health.Target, attempt int) health.Result {
				if key == phase.HealthValidation && attempt == 2 { // the one that ends the polling
					return back(to, attempt)
				}
				return health.Result{Class: health.ClassTimeout, Message: "no answer"}
			}, change)
			out := s.begin(t, "a")
			s.host.End(out.Run.ID, 0)
			id := out.Items[0].DeploymentID
			s.until(t, id, at(key, phase.InProgress))
			deadline := func() (at time.Time) {
				require.NoError(t, s.store.Read.QueryRow(`SELECT deadline_at FROM phase_runs WHERE finished_at IS NULL AND deployment_id = $1`, id).Scan(store.Time(&at)))
				return at
			}
			before := deadline()
			require.NoError(t, s.writer.Recover(t.Context(), time.Hour, time.Minute))
			require.Equal(t, time.Hour+time.Minute, deadline().Sub(before))
		})
	}
}

// A replica noted how long nobody was there and was killed before the machines
// got that time: another gives it, and no deadline acts before.
func TestDowntimeIsOwedUntilItIsGiven(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := build(t, st, workflow.Options{SilentAfter: time.Second, Prober: prober(func(health.Target) health.Result { return health.Result{} })},
			&cloud{orders: map[string]int{}, observe: deploy.Observation{ServerStatus: "starting"}})
		d := h.deploy(t, "n1")
		h.until(t, d.DeploymentID, at(phase.MonitoringStart, phase.InProgress))
		deadline := func() (at time.Time) {
			require.NoError(t, st.Read.QueryRow(`SELECT deadline_at FROM phase_runs WHERE finished_at IS NULL AND deployment_id = $1`, d.DeploymentID).Scan(store.Time(&at)))
			return at
		}
		before := deadline()
		_, err := st.Write.Exec(`INSERT INTO settings (id, value, updated_at) VALUES ('downtime_owed', '3600000', $1)`, time.Now().UTC().Add(-time.Minute))
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			var left int
			require.NoError(t, st.Read.QueryRow(`SELECT COUNT(*) FROM settings WHERE id = 'downtime_owed'`).Scan(&left))
			return left == 0
		}, time.Minute, 20*time.Millisecond)
		require.Equal(t, time.Hour+time.Minute, deadline().Sub(before), "the downtime, and the longest back-off of the machines")
	})
}
