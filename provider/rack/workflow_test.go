package rack_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/feed"
	"github.com/slipwayhq/slipway/deploy/health"
	"github.com/slipwayhq/slipway/deploy/journal"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
	"github.com/slipwayhq/slipway/deploy/workflow"
	"github.com/slipwayhq/slipway/provider/rack"
)

type prober func(health.Target) health.Result

func (p prober) Check(_ context.Context, t health.Target) health.Result { return p(t) }

// The workflow has a rack machine switched on when its turn comes, once an
// attempt, and learns what its controller says.
func TestTheWorkflowSwitchesRackMachines(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := newHouse(t, nil)
		h.clock.now = time.Now()
		h.sim.Add("1", "System", macOfOne)
		var wg, last sync.WaitGroup
		ctx, cancel := context.WithCancel(context.Background())
		writing, stop := context.WithCancel(context.Background())
		t.Cleanup(func() { cancel(); wg.Wait(); stop(); last.Wait() })
		// The provider's waits are real: its clock is the test's, which advances with them.
		p := h.provider(t, journal.New(st, nil), func(c *rack.Config) {
			c.Now = time.Now
		})
		opts := workflow.Options{ReplicaID: t.Name(), Providers: map[string]deploy.Provider{deploy.ProviderRack: p},
			Prober:       prober(func(health.Target) health.Result { return health.Result{Class: health.ClassOK, BootID: "after"} }),
			BootURL:      func(context.Context, int64, int64) (string, error) { return "http://127.0.0.1/boot/d/x", nil },
			ObserveEvery: 50 * time.Millisecond, ProbeEvery: 50 * time.Millisecond, SweepEvery: 100 * time.Millisecond}
		engine, err := workflow.New(st, opts)
		require.NoError(t, err)
		f := feed.New(st, feed.Options{})
		w := lifecycle.New(st, lifecycle.Options{OnEnter: engine.Enqueue, OnFreed: engine.Freed, OnCommit: f.Wake})
		last.Go(func() { w.Run(writing) })
		wg.Go(func() { _ = f.Run(ctx) })
		wg.Go(func() { _ = engine.Run(ctx, w) })
		<-f.Ready()
		d, err := w.Deploy(t.Context(), lifecycle.NewDeployment{Name: "node-a", Spec: h.spec, Actor: deploy.System})
		require.NoError(t, err)
		follow, done := context.WithTimeout(t.Context(), 60*time.Second)
		defer done()
		zero := f.Cursor(0)
		s := f.Events(feed.Filter{DeploymentIDs: []int64{d.DeploymentID}}, &zero, 0)
		defer s.Close()
		wg.Go(func() { // simulated power takes simulated time
			ticks := time.NewTicker(200 * time.Millisecond)
			defer ticks.Stop()
			for {
				select {
				case <-follow.Done():
					return
				case <-ticks.C:
					h.clock.Advance(5 * time.Second)
				}
			}
		})
		var all []string
		for seen := false; !seen; {
			b, err := s.Next(follow)
			require.NoError(t, err, all)
			for _, e := range b.Events {
				all = append(all, e.Phase+" "+e.Status+" "+e.Message)
				seen = seen || strings.Contains(e.Message, "the server is On")
			}
		}
		t.Log(strings.Join(all, "\n"))
		require.Len(t, h.sim.Boots("1"), 1)
		var macs, status string
		require.NoError(t, st.Read.QueryRow(`SELECT mac, server_status FROM nodes WHERE id=$1`, d.NodeID).Scan(&macs, &status))
		require.Equal(t, []string{macOfOne, "On"}, []string{macs, status})
	})
}
