package workflow_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/health"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
	"github.com/slipwayhq/slipway/deploy/workflow"
)

// job is how the newest job of a deployment stands.
func (h *house) job(t *testing.T, d lifecycle.Deployed) (id int64, state string, attempt int) {
	t.Helper()
	args := "args::text"
	if h.store.Dialect == store.SQLite {
		args = "json(args)"
	}
	rows, err := h.store.Read.Query(`SELECT id, state, attempt, ` + args + ` FROM river_job ORDER BY id`)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var i int64
		var s, a string
		var n int
		require.NoError(t, rows.Scan(&i, &s, &n, &a))
		var of struct {
			DeploymentID int64 `json:"deployment_id"`
		}
		require.NoError(t, json.Unmarshal([]byte(a), &of))
		if of.DeploymentID == d.DeploymentID {
			id, state, attempt = i, s, n
		}
	}
	require.NoError(t, rows.Err())
	return id, state, attempt
}

// The note that a step has ended was lost with the database: River has it as
// running for 90 s more. It is found, and done again, within a few heartbeats.
func TestALostJobIsFound(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		t.Parallel()
		h := build(t, st, workflow.Options{Slots: 1, Prober: prober(func(health.Target) health.Result { return health.Result{} })},
			&cloud{orders: map[string]int{}, observe: deploy.Observation{ServerStatus: "starting"}})
		first := h.deploy(t, "n1")
		h.until(t, first.DeploymentID, at(phase.MonitoringStart, phase.InProgress))
		waits := h.deploy(t, "n2") // for the slot, two seconds at a time
		require.Eventually(t, func() bool {
			id, state, _ := h.job(t, waits)
			if state == "running" {
				return false
			}
			// It was taken here once, and waits to be taken again.
			res, err := st.Write.Exec(`UPDATE river_job SET state = 'running' WHERE id = $1 AND state <> 'running' AND attempted_by IS NOT NULL`, id)
			require.NoError(t, err)
			n, err := res.RowsAffected()
			require.NoError(t, err)
			return n == 1
		}, time.Minute, 10*time.Millisecond)
		_, err := h.writer.Report(t.Context(), lifecycle.Report{DeploymentID: first.DeploymentID, Phase: phase.Failed, Status: phase.FailedRun,
			Message: "the slot is free", Source: deploy.SourceUser, Actor: deploy.System, As: phase.ByOperator})
		require.NoError(t, err)
		h.until(t, waits.DeploymentID, at(phase.ServerRequested, phase.InProgress)) // within a minute
	})
}

// A step that takes its time is nobody's to hand back, however often one looks.
func TestARunningJobIsNotLost(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		t.Parallel()
		ordering, goOn := make(chan struct{}), make(chan struct{})
		c := &cloud{orders: map[string]int{}, observe: deploy.Observation{ServerStatus: "starting"}}
		c.orderFn = func(deploy.Order) error {
			close(ordering) // a second order would panic
			<-goOn
			return nil
		}
		h := build(t, st, workflow.Options{Prober: prober(func(health.Target) health.Result { return health.Result{} })}, c)
		d := h.deploy(t, "n1")
		<-ordering
		_, _, attempt := h.job(t, d)
		for range 2 * workflow.LostAfter {
			require.NoError(t, h.engine.Reclaim(t.Context()))
			_, state, now := h.job(t, d)
			require.Equal(t, "running", state)
			require.Equal(t, attempt, now)
		}
		close(goOn)
		h.until(t, d.DeploymentID, at(phase.MonitoringStart, phase.InProgress))
	})
}
