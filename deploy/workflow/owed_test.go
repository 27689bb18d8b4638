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
		}, 20*time.Second, 20*time.Millisecond)
		require.Equal(t, time.Hour+time.Minute, deadline().Sub(before), "the downtime, and the longest back-off of the machines")
	})
}
