package cluster_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/cluster"
	"github.com/slipwayhq/slipway/deploy/cluster/cvm"
	"github.com/slipwayhq/slipway/deploy/cluster/cvmsim"
)

// killAt makes a step of a node in a process that is killed at a point.
func (h *house) killAt(id int64, name, point string) {
	h.t.Helper()
	h.points = func(p string) {
		if p == point {
			panic(killed{p})
		}
	}
	defer func() {
		h.points = nil
		require.Equal(h.t, killed{point}, recover())
	}()
	h.turn(id, name)
}

// Whoever is killed when a command has begun has written down before that it
// would: what it leaves half-done is known to be ours, and removed.
func TestKilledWhenACreationHasBegun(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		c := h.deploy(h.request("prod", "a", "b", "c"))
		h.install(c.ID, "a", "b", "c")
		h.site.Inject(cvmsim.Fault{Kind: cvmsim.FaultHalfFormed, Addr: h.hosts["c"].Addr(), Times: 1})
		h.killAt(c.ID, "a", "after form")
		require.Equal(t, 1, h.creations())
		f := h.get(c.ID).Formation
		require.Equal(t, []any{f.Token, h.node(c.ID, "a").NodeID, 3}, []any{f.Begun, f.Runner, len(f.Tried)})
		h.blocked(c.ID)
		h.retryFailed(c.ID)
		h.drive(c.ID, cluster.Deployed)
	})
}

// The answer to the command's begin may be lost, which is the same.
func TestACreationWhoseBeginWasNotHeard(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		c := h.deploy(h.request("prod", "a", "b", "c"))
		h.install(c.ID, "a", "b", "c")
		h.site.Inject(cvmsim.Fault{Kind: cvmsim.FaultHalfFormed, Addr: h.hosts["c"].Addr(), Times: 1})
		h.once("after intent", func() { h.site.Inject(cvmsim.Fault{Kind: cvmsim.FaultLoseAnswer, Addr: h.hosts["a"].Addr(), Times: 1}) })
		require.Equal(t, deploy.ClusterGo, h.turn(c.ID, "a").Move)
		require.Len(t, h.get(c.ID).Formation.Tried, 3)
		h.blocked(c.ID)
		h.retryFailed(c.ID)
		h.drive(c.ID, cluster.Deployed)
	})
}

// While controller VMs are looked at anybody may decide: then nothing is begun.
func TestNothingIsBegunForANodeThatWasDecidedAbout(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		c := h.deploy(h.request("prod", "a", "b", "c"))
		h.install(c.ID, "a", "b", "c")
		h.once("before intent", func() { h.cancel(c.ID, "c", true) })
		require.Contains(t, h.turn(c.ID, "a").Message, "somebody decided about a node meanwhile")
		require.Zero(t, h.creations())
		h.must(c2(h.Replace(t.Context(), cluster.Replace{ClusterID: c.ID, NodeID: h.node(c.ID, "c").NodeID, By: cluster.NodeRequest{Name: "d", Spec: h.spec()}, Actor: tester})))
		h.install(c.ID, "d")
		h.drive(c.ID, cluster.Deployed)
		h.deploy(cluster.Request{Operation: cvm.OperationJoin, ClusterID: c.ID, Nodes: h.request("", "e").Nodes, Actor: tester})
		h.install(c.ID, "e")
		h.once("before intent", func() { h.cancel(c.ID, "e", true) })
		stand, err := h.Form(t.Context(), h.node(c.ID, "e").DeploymentID)
		h.must(err)
		require.Contains(t, stand.Message, "somebody decided about a node meanwhile")
		require.Len(t, h.site.State()[0].Members, 3, "a formed cluster is not given a node that nobody wants any more")
		for _, line := range h.site.Ran() {
			require.NotContains(t, line.Line, "node-uuid=")
		}
	})
}
