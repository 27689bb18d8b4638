package cluster_test

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/cluster"
	"github.com/slipwayhq/slipway/deploy/cluster/cvm"
	"github.com/slipwayhq/slipway/deploy/cluster/cvmsim"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
)

// alone deploys nodes by themselves, each with its controller VM.
func (h *house) alone(names ...string) (out []cluster.NodeRequest) {
	h.t.Helper()
	for _, name := range names {
		d, err := h.writer.Deploy(h.t.Context(), lifecycle.NewDeployment{Name: name, Spec: *h.spec(), Actor: tester})
		h.must(err)
		h.boot(d.DeploymentID)
		h.cvm(name)
		h.must(h.writer.Do(h.t.Context(), []int64{d.DeploymentID}, nil, func(tx *lifecycle.Tx) error {
			return tx.LearnFor(d.DeploymentID, lifecycle.NodeFacts{CVMIP: h.hosts[name].Addr().String(), CVMHostKey: h.hosts[name].HostKey()})
		}))
		h.must(h.say(d.DeploymentID, phase.PostInstall, phase.Success, phase.ByMachine, ""))
		h.finish(d.DeploymentID)
		out = append(out, cluster.NodeRequest{Name: name})
	}
	return out
}

// finish lets a deployment of no cluster come to its end.
func (h *house) finish(id int64) {
	h.t.Helper()
	h.must(h.say(id, phase.DNSRegistration, phase.Success, phase.ByWorkflow, ""))
	h.must(h.say(id, phase.HealthValidation, phase.Success, phase.ByWorkflow, ""))
}

func (h *house) stateOf(name string) (s phase.State) {
	h.t.Helper()
	h.must(h.st.Read.QueryRowContext(h.t.Context(), `SELECT state FROM nodes WHERE name = $1`, name).Scan(&s))
	return s
}

// What was deployed before a cluster was asked for is not lost with the cluster.
func TestACancelGivesBackWhatWasTakenAsItIs(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		nodes := append(h.alone("a", "b"), h.request("", "c").Nodes...)
		c := h.deploy(cluster.Request{Name: "prod", Nodes: nodes, Actor: tester})
		h.turn(c.ID, "a")
		a, b := h.node(c.ID, "a"), h.node(c.ID, "b")
		h.cancel(c.ID, "b", true) // by itself, which ends it
		require.Equal(t, phase.StateStop, h.stateOf("b"))
		h.must(c2(h.Cancel(t.Context(), cluster.Cancel{ClusterID: c.ID, Actor: tester})))
		c = h.get(c.ID)
		require.Equal(t, cluster.Canceled, c.State())
		require.Equal(t, cluster.Replaced, c.Node(a.NodeID).State)
		require.Contains(t, c.Node(a.NodeID).Note, "was given up, by tester")
		for _, n := range []*cluster.Node{a, b} {
			h.finish(n.DeploymentID)
			require.Equal(t, phase.Succeeded, h.stateOf(n.Name))
		}
		// They are free, and the cleanup of what is left of the cluster is not of them.
		h.must(c2(h.Cleanup(t.Context(), cluster.Cleanup{ClusterID: c.ID, ConfirmName: "prod", Actor: tester})))
		require.Equal(t, phase.Succeeded, h.stateOf("a"))
		other := h.deploy(cluster.Request{Name: "other", Nodes: append(nodes[:2:2], h.request("", "d").Nodes...), Actor: tester})
		h.install(other.ID, "d")
		h.drive(other.ID, cluster.Deployed)
		require.Equal(t, cluster.CleaningUp, h.get(c.ID).State())
	})
}

// A cluster that has given back all of its nodes can be ended too.
func TestAClusterWithoutNodesIsCleanedUp(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		c := h.deploy(cluster.Request{Name: "prod", Nodes: h.alone("a", "b", "c"), Actor: tester})
		h.must(c2(h.Cancel(t.Context(), cluster.Cancel{ClusterID: c.ID, Actor: tester})))
		require.Equal(t, cluster.Canceled, h.get(c.ID).State())
		require.Equal(t, []cluster.Action{cluster.ActionCleanup}, h.get(c.ID).AllowedActions())
		h.must(c2(h.Cleanup(t.Context(), cluster.Cleanup{ClusterID: c.ID, ConfirmName: "prod", Actor: tester})))
		require.Equal(t, cluster.CleanedUp, h.get(c.ID).State())
		h.deploy(h.request("prod", "x"))
	})
}

// Whom a formation has touched is not called as it was.
func TestWhatAFormationHasTouchedIsNotGivenBack(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		c := h.deploy(cluster.Request{Name: "prod", Nodes: h.alone("a", "b", "c"), Actor: tester})
		h.turn(c.ID, "a")
		require.Equal(t, 1, h.creations())
		h.must(c2(h.Cancel(t.Context(), cluster.Cancel{ClusterID: c.ID, Immediate: true, Actor: tester})))
		require.Equal(t, phase.StateStop, h.stateOf("b"))
	})
}

// A node that lost its place goes on by itself when it is retried, and one that
// was canceled is taken again as it is: nothing is installed anew.
func TestANodeThatLostItsPlaceIsNotLost(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		c := h.deploy(h.request("prod", "a", "b", "c"))
		h.install(c.ID, "a", "b", "c")
		h.site.Inject(cvmsim.Fault{Kind: cvmsim.FaultHostKey, Addr: h.hosts["c"].Addr()})
		h.blocked(c.ID)
		old := h.node(c.ID, "c")
		h.must(c2(h.Replace(t.Context(), cluster.Replace{ClusterID: c.ID, NodeID: old.NodeID, By: cluster.NodeRequest{Name: "d", Spec: h.spec()}, Actor: tester})))
		h.site.Clear()
		_, err := h.writer.Retry(t.Context(), lifecycle.Retry{DeploymentID: old.DeploymentID, Actor: tester})
		h.must(err)
		require.Equal(t, deploy.ClusterAlone, h.turn(c.ID, "c").Move)
		h.finish(old.DeploymentID)
		require.Equal(t, phase.Succeeded, h.stateOf("c"))
		h.cancel(c.ID, "b", true)
		b := h.node(c.ID, "b")
		h.must(c2(h.Replace(t.Context(), cluster.Replace{ClusterID: c.ID, NodeID: b.NodeID, By: cluster.NodeRequest{Name: "c"}, Actor: tester})))
		h.install(c.ID, "d")
		h.drive(c.ID, cluster.Deployed)
		solo := h.deploy(cluster.Request{Name: "solo", Nodes: []cluster.NodeRequest{{Name: "b"}}, Actor: tester})
		h.drive(solo.ID, cluster.Deployed)
		require.Equal(t, 1, h.node(solo.ID, "b").Number)
	})
}

func TestALateNodeTakesTheFailedOnesPlace(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		c := h.deploy(h.request("prod", "a", "b", "c", "d"))
		h.install(c.ID, "a", "b")
		d := h.node(c.ID, "d")
		h.must(c2(h.Leave(t.Context(), cluster.Leave{ClusterID: c.ID, NodeID: d.NodeID, Actor: tester})))
		h.install(c.ID, "d")
		h.cancel(c.ID, "c", true)
		replace := cluster.Replace{ClusterID: c.ID, NodeID: h.node(c.ID, "c").NodeID, By: cluster.NodeRequest{Name: "d"}, Actor: tester}
		c, err := h.Replace(t.Context(), replace)
		h.must(err)
		require.Equal(t, []cluster.MemberState{cluster.Replaced, cluster.Belongs}, []cluster.MemberState{c.Node(replace.NodeID).State, c.Node(d.NodeID).State})
		require.Equal(t, cluster.Forming, c.State())
		c = h.drive(c.ID, cluster.Deployed)
		require.Len(t, c.Formed(), 3)
		require.Equal(t, 1, h.site.Formed())
		require.Equal(t, 1, h.node(c.ID, "d").Attempt, "nothing was installed anew")
	})
}

// One that was left out and then canceled leaves for good, and comes as it is.
func TestALateNodeThatWasGivenUpJoinsAsItIs(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		c := h.deploy(h.request("prod", "a", "b", "c", "d"))
		h.install(c.ID, "a", "b", "c")
		d := h.node(c.ID, "d")
		leave := cluster.Leave{ClusterID: c.ID, NodeID: d.NodeID, Actor: tester}
		h.must(c2(h.Leave(t.Context(), leave)))
		h.install(c.ID, "d")
		require.Equal(t, deploy.CodeWrongState, code(t, c2(h.Leave(t.Context(), leave))), "it is on its way")
		h.cancel(c.ID, "d", true)
		h.drive(c.ID, cluster.Deployed)
		require.Contains(t, h.get(c.ID).Choices(h.node(c.ID, "d")), cluster.ChoiceWithout)
		h.must(c2(h.Leave(t.Context(), leave)))
		h.deploy(cluster.Request{Operation: cvm.OperationJoin, ClusterID: c.ID, Nodes: []cluster.NodeRequest{{Name: "d"}}, Actor: tester})
		require.Equal(t, cluster.Growing, h.get(c.ID).State())
		c = h.drive(c.ID, cluster.Deployed)
		require.Len(t, c.Formed(), 4)
	})
}

// What an earlier formation left is removed, and only that: a node of it that was
// deployed anew since may hold another cluster, at the same address.
func TestWhatIsRemovedIsNotAnotherClusters(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		c := h.deploy(h.request("prod", "a", "b", "c"))
		h.install(c.ID, "a", "b", "c")
		h.site.Inject(cvmsim.Fault{Kind: cvmsim.FaultNeverUp, Addr: h.hosts["c"].Addr()})
		for range 40 {
			h.turn(c.ID, "a")
			h.site.Step()
		}
		old := h.node(c.ID, "a")
		h.cancel(c.ID, "a", true)
		h.must(c2(h.Replace(t.Context(), cluster.Replace{ClusterID: c.ID, NodeID: old.NodeID, By: cluster.NodeRequest{Name: "d", Spec: h.spec()}, Actor: tester})))
		_, err := h.writer.Cleanup(t.Context(), lifecycle.Cleanup{DeploymentID: old.DeploymentID, ConfirmName: "a", Actor: tester})
		h.must(err)
		h.must(h.say(old.DeploymentID, phase.Cleanup, phase.Success, phase.ByWorkflow, ""))
		h.hosts["a"].Destroy()
		h.site.Clear()
		h.hosts["a"], err = h.site.Add(netip.MustParseAddr(old.CVMIP), cvmsim.Place{SSHPort: h.ports[0], PrismPort: h.ports[1]})
		h.must(err)
		solo := h.deploy(h.request("solo", "a"))
		h.install(solo.ID, "a")
		h.drive(solo.ID, cluster.Deployed)

		h.install(c.ID, "d")
		h.spin(c.ID, 15)
		for _, s := range h.site.State() {
			if s.Addr.String() == old.CVMIP {
				require.Equal(t, []string{"start", "solo"}, []string{s.State, s.Cluster}, "it holds data")
			}
		}
		require.Equal(t, "half_formed", h.get(c.ID).Formation.Reason)
		require.Contains(t, h.get(c.ID).Formation.Hint, "retry these nodes from installation")
	})
}
