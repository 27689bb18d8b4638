package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/cluster"
)

// TestDemoCluster: three simulated servers are ordered, install themselves, wait
// for each other, and become one cluster, by the word of their controller VMs.
func TestDemoCluster(t *testing.T) {
	s := startShow(t, showLimit, demoOptions{})
	r := cluster.Request{Name: "demo", Actor: deploy.Actor{Kind: deploy.ActorToken, Name: "tester"}}
	for _, n := range []string{"c-1", "c-2", "c-3"} {
		r.Nodes = append(r.Nodes, cluster.NodeRequest{Name: n, Spec: &deploy.Spec{Provider: deploy.ProviderIBMVPC, ServerProfile: "bx2d-metal-96x384"}})
	}
	c, err := s.app.clusters.Deploy(s.ctx, r)
	require.NoError(t, err)
	for c.State() != cluster.Deployed {
		select {
		case <-s.ctx.Done():
			t.Fatalf("the cluster is %s: %+v\n%+v", c.State(), c.Formation, c.Nodes)
		case <-time.After(200 * time.Millisecond):
		}
		c, err = s.app.clusters.Get(s.ctx, c.ID)
		require.NoError(t, err)
		require.NotEqual(t, cluster.Blocked, c.State(), "%+v\n%+v", c.Formation, c.Nodes)
	}
	t.Logf("%+v %+v", c.Formation, c.Health)
}
