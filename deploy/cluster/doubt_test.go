package cluster_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/cluster"
	"github.com/slipwayhq/slipway/deploy/cluster/cvm"
	"github.com/slipwayhq/slipway/deploy/cluster/cvmsim"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
)

// adding brings a node to where the command that adds it to a formed cluster has
// begun.
func (h *house) adding() (id int64, d *cluster.Node) {
	h.t.Helper()
	c := h.deploy(h.request("prod", "a", "b", "c"))
	h.install(c.ID, "a", "b", "c")
	h.drive(c.ID, cluster.Deployed)
	h.deploy(cluster.Request{Operation: cvm.OperationJoin, ClusterID: c.ID, Nodes: h.request("", "d").Nodes, Actor: tester})
	h.install(c.ID, "d")
	require.False(h.t, h.node(c.ID, "d").Begun)
	h.turn(c.ID, "d")
	require.Equal(h.t, "add_node", h.get(c.ID).Formation.Action)
	return c.ID, h.node(c.ID, "d")
}

func (h *house) mayBe(err error) {
	h.t.Helper()
	require.Equal(h.t, deploy.CodeWrongState, code(h.t, err))
	require.ErrorContains(h.t, err, "d may be a member of the cluster prod already: it had begun to join")
}

func (h *house) cleanup(n *cluster.Node) error {
	_, err := h.writer.Cleanup(h.t.Context(), lifecycle.Cleanup{DeploymentID: n.DeploymentID, ConfirmName: n.Name, Actor: tester})
	return err
}

// Who has begun to join may be a member before anybody has seen it: nothing ends
// it by itself, or the cluster would lose a node with data.
func TestWhoHasBegunToJoinIsNotLetGoUnseen(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		id, d := h.adding()
		for _, immediate := range []bool{true, false} {
			_, err := h.writer.Cancel(t.Context(), lifecycle.Cancel{DeploymentID: d.DeploymentID, Immediate: immediate, Actor: tester})
			h.mayBe(err)
		}
		require.NotContains(t, h.get(id).AllowedActions(), cluster.ActionCancel)
		require.ErrorContains(t, c2(h.Cancel(t.Context(), cluster.Cancel{ClusterID: id, Immediate: true, Actor: tester})), "d has begun to join")
		h.site.Step() // it is a member, and nobody has looked
		h.must(h.say(d.DeploymentID, phase.ClusterFormation, phase.FailedRun, phase.ByOperator, ""))
		h.mayBe(h.cleanup(d))
		_, err := h.writer.Retry(t.Context(), lifecycle.Retry{DeploymentID: d.DeploymentID, FromPhase: phase.Installation, Actor: tester})
		h.mayBe(err)
		h.mayBe(c2(h.Replace(t.Context(), cluster.Replace{ClusterID: id, NodeID: d.NodeID, By: cluster.NodeRequest{Name: "e", Spec: h.spec()}, Actor: tester})))
		require.Equal(t, []cluster.Choice{cluster.ChoiceRetry, cluster.ChoiceWithout}, h.get(id).Choices(h.node(id, "d")))
		leave := cluster.Leave{ClusterID: id, NodeID: d.NodeID, Actor: tester}
		h.must(c2(h.Leave(t.Context(), leave)))
		h.mayBe(c2(h.Leave(t.Context(), leave)))
		require.Equal(t, []cluster.Choice{cluster.ChoiceRetry}, h.get(id).Choices(h.node(id, "d")))
		_, err = h.writer.Retry(t.Context(), lifecycle.Retry{DeploymentID: d.DeploymentID, Actor: tester})
		h.must(err)
		for live(h.node(id, "d")) {
			h.turn(id, "d")
			h.site.Step()
		}
		require.Len(t, h.get(id).Formed(), 4)
		require.False(t, h.node(id, "d").Begun)
		require.Nil(t, h.get(id).Formation.Adding)
		require.ErrorContains(t, h.cleanup(d), "d is a member of the cluster prod, which")
		// The end of the cluster takes along whoever may be a member.
		h.must(c2(h.Cleanup(t.Context(), cluster.Cleanup{ClusterID: id, ConfirmName: "prod", Actor: tester})))
	})
}

// What was begun is on disk before it begins, however the process ends.
func TestKilledWhenAJoinHasBegun(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		c := h.deploy(h.request("prod", "a", "b", "c"))
		h.install(c.ID, "a", "b", "c")
		h.drive(c.ID, cluster.Deployed)
		h.deploy(cluster.Request{Operation: cvm.OperationJoin, ClusterID: c.ID, Nodes: h.alone("d"), Actor: tester})
		h.killAt(c.ID, "d", "after join")
		d := h.node(c.ID, "d")
		require.True(t, d.Begun)
		// It was deployed before, but is not what it was: a cancel does not give it back.
		require.ErrorContains(t, c2(h.Cancel(t.Context(), cluster.Cancel{ClusterID: c.ID, Actor: tester})), "d has begun to join")
		h.must(c2(h.Cleanup(t.Context(), cluster.Cleanup{ClusterID: c.ID, ConfirmName: "prod", Actor: tester})))
		require.Equal(t, phase.CleaningUp, h.node(c.ID, "d").Deployment)
	})
}

// The cluster refuses it, and does not count it: it is free.
func TestWhomTheClusterRefusesIsSetFree(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		id, d := h.adding()
		h.hosts["d"].PowerOff()
		h.site.Step() // the cluster cannot reach it
		h.turn(id, "d")
		require.True(t, h.node(id, "d").Begun, "it is still waited for")
		h.wait(id, "d")
		require.Equal(t, phase.StateFail, h.node(id, "d").Deployment)
		require.False(t, h.node(id, "d").Begun)
		require.NotContains(t, h.get(id).Formation.Hint, "may be a member")
		require.Contains(t, h.get(id).Choices(h.node(id, "d")), cluster.ChoiceReplace)
		h.must(h.cleanup(d))
		require.Equal(t, 3, h.count(`SELECT COUNT(*) FROM nodes WHERE clustered = $1`, true))
	})
}

// A command that died may have begun an expansion all the same: that is seen
// after a while, or there is none.
func TestACommandThatDiedIsNoProofAtOnce(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		id, d := h.adding()
		h.site.Inject(cvmsim.Fault{Kind: cvmsim.FaultDie, Stage: "add", Times: 1})
		h.site.Step()
		stand := h.turn(id, "d")
		require.Equal(t, "job_died", h.get(id).Formation.Reason)
		require.Contains(t, stand.Failure.Hint, "Retry: a retry is another attempt. It may be a member already")
		h.mayBe(h.cleanup(d))
		retry := func() {
			_, err := h.writer.Retry(t.Context(), lifecycle.Retry{DeploymentID: d.DeploymentID, Actor: tester})
			h.must(err)
			h.turn(id, "d")
		}
		h.hosts["d"].PowerOff()
		retry()
		require.True(t, h.node(id, "d").Begun, "it is too early")
		h.pass(10 * time.Minute)
		h.hosts["a"].PowerOff()
		h.turn(id, "d")
		require.True(t, h.node(id, "d").Begun, "not every member was asked")
		h.must(h.hosts["a"].PowerOn())
		h.turn(id, "d")
		require.False(t, h.node(id, "d").Begun, "%+v", h.get(id).Formation)
		// Its machine does not come back: there is no need to wait for that.
		h.cancel(id, "d", true)
		h.must(c2(h.Replace(t.Context(), cluster.Replace{ClusterID: id, NodeID: d.NodeID, By: cluster.NodeRequest{Name: "e", Spec: h.spec()}, Actor: tester})))
		h.install(id, "e")
		h.drive(id, cluster.Deployed)
		require.Len(t, h.get(id).Formed(), 4)
	})
}
