package rack_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/journal"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

// The same with the journal in a database: an order, its next attempt, nothing
// after a cancel, and the release.
func TestWithADatabase(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		writing, stop := context.WithCancel(context.Background())
		w, done := lifecycle.New(st, lifecycle.Options{}), make(chan struct{})
		go func() { w.Run(writing); close(done) }()
		t.Cleanup(func() { stop(); <-done })
		h := newHouse(t, nil)
		h.sim.Add("1", "System", macOfOne)
		p := h.provider(t, journal.New(st, h.clock.Now), nil)

		d, err := w.Deploy(t.Context(), lifecycle.NewDeployment{Name: "node-a", Spec: h.spec, Actor: deploy.System})
		require.NoError(t, err)
		_, err = w.Report(t.Context(), lifecycle.Report{DeploymentID: d.DeploymentID, Phase: phase.Pending, Status: phase.Success, As: phase.ByWorkflow, Source: deploy.SourceOrchestrator, Actor: deploy.System})
		require.NoError(t, err)
		o := h.order(nil)
		o.NodeID, o.DeploymentID = d.NodeID, d.DeploymentID
		h.must(t, p, o)
		require.Len(t, h.sim.Boots("1"), 1)

		next := o
		next.Attempt, next.AttemptSince = 2, h.clock.Now()
		h.clock.Advance(time.Minute)
		h.must(t, p, next)
		require.Len(t, h.sim.Boots("1"), 2)
		m, err := p.Reinstall(t.Context(), next)
		require.NoError(t, err)
		require.Equal(t, "127.0.0.9", m.ManagementIP)

		_, err = w.Report(t.Context(), lifecycle.Report{DeploymentID: d.DeploymentID, Phase: phase.Failed, Status: phase.FailedRun, Message: "no", As: phase.ByWorkflow, Source: deploy.SourceOrchestrator, Actor: deploy.System})
		require.NoError(t, err)
		third := next
		third.Attempt, third.AttemptSince = 3, h.clock.Now()
		_, err = p.Order(t.Context(), third)
		refusal(t, err, deploy.CodeWrongState, "")
		require.Len(t, h.sim.Boots("1"), 2)

		r := deploy.Release{NodeID: d.NodeID, NodeName: "node-a", DeploymentID: d.DeploymentID}
		for range 10 {
			steps, err := p.Release(t.Context(), r)
			require.Len(t, steps, 1)
			if err == nil {
				require.Equal(t, deploy.ReleaseDone, steps[0].Status)
				require.Contains(t, steps[0].Message, "PowerState Off")
				break
			}
			h.clock.Advance(5 * time.Second)
		}
		require.Equal(t, "Off", h.sim.Power("1"))
		var text string
		require.NoError(t, st.Read.QueryRow(`SELECT CAST(details AS TEXT) FROM resources WHERE kind = 'power' AND state = 'gone'`).Scan(&text))
		require.NotContains(t, text, password)
	})
}
