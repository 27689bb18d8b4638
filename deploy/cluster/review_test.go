package cluster_test

import (
	"net"
	"net/netip"
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

// spin lets every node make its steps n times, with deadlines acting.
func (h *house) spin(id int64, n int) {
	h.t.Helper()
	for range n {
		c := h.get(id)
		for i := range c.Nodes {
			if m := &c.Nodes[i]; live(m) && m.State != cluster.Replaced {
				h.turn(id, m.Name)
			}
		}
		h.site.Step()
		h.pass(5 * time.Second)
		h.must(h.writer.Sweep(h.t.Context()))
	}
}

// blocked lets steps be made until somebody has to decide.
func (h *house) blocked(id int64) *cluster.Cluster {
	h.t.Helper()
	for range 400 {
		if c := h.get(id); c.State() == cluster.Blocked {
			return c
		}
		h.spin(id, 1)
	}
	h.t.Fatalf("the cluster is %s", h.get(id).State())
	return nil
}

func (h *house) retryFailed(id int64) {
	h.t.Helper()
	for _, n := range h.get(id).Members() {
		if n.Deployment == phase.StateFail {
			_, err := h.writer.Retry(h.t.Context(), lifecycle.Retry{DeploymentID: n.DeploymentID, Actor: tester})
			h.must(err)
		}
	}
}

func (h *house) cancel(id int64, name string, immediate bool) {
	h.t.Helper()
	_, err := h.writer.Cancel(h.t.Context(), lifecycle.Cancel{DeploymentID: h.node(id, name).DeploymentID, Immediate: immediate, Actor: tester})
	h.must(err)
}

// once calls do at the first time that a point is reached.
func (h *house) once(point string, do func()) {
	h.points = func(p string) {
		if p == point {
			h.points = nil
			do()
		}
	}
}

// One that is to be canceled when its phase ends only waits for others, who wait
// for it.
func TestALeaderCanceledWhileItForms(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		c := h.deploy(h.request("prod", "a", "b", "c"))
		h.install(c.ID, "a", "b", "c")
		require.Equal(t, deploy.ClusterGo, h.turn(c.ID, "a").Move)
		h.cancel(c.ID, "a", false)
		require.Equal(t, phase.Canceling, h.node(c.ID, "a").Deployment)
		h.spin(c.ID, 2)
		c = h.get(c.ID)
		require.Equal(t, cluster.Blocked, c.State())
		require.Equal(t, phase.StateStop, h.node(c.ID, "a").Deployment)
		require.Contains(t, h.turn(c.ID, "b").Message, "a, whose deployment is canceled")
		require.Contains(t, c.Choices(h.node(c.ID, "a")), cluster.ChoiceReplace)
	})
}

// A cluster's cancel leaves alone who belongs to the formed cluster: nothing
// leads back from there but the end of the cluster.
func TestMembersOfAFormedClusterAreNotCanceledWithIt(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		c := h.deploy(h.request("prod", "a", "b", "c"))
		h.install(c.ID, "a", "b", "c")
		c = h.drive(c.ID, cluster.Validating)
		require.NotContains(t, c.AllowedActions(), cluster.ActionCancel)
		require.Equal(t, deploy.CodeWrongState, code(t, c2(h.Cancel(t.Context(), cluster.Cancel{ClusterID: c.ID, Immediate: true, Actor: tester}))))
		h.deploy(cluster.Request{Operation: cvm.OperationJoin, ClusterID: c.ID, Nodes: h.request("", "d").Nodes, Actor: tester})
		h.must(c2(h.Cancel(t.Context(), cluster.Cancel{ClusterID: c.ID, Immediate: true, Actor: tester})))
		require.Equal(t, phase.StateStop, h.node(c.ID, "d").Deployment)
		require.Equal(t, phase.Running, h.node(c.ID, "c").Deployment)
	})
}

// Controller VMs are asked for a while; what is decided meanwhile holds.
func TestACleanupWhileTheFormationIsLookedAt(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		c := h.deploy(h.request("prod", "a", "b", "c"))
		h.install(c.ID, "a", "b", "c")
		h.once("before formed", func() {
			h.must(c2(h.Cleanup(t.Context(), cluster.Cleanup{ClusterID: c.ID, ConfirmName: "prod", Actor: tester})))
		})
		for h.points != nil {
			_, err := h.Form(t.Context(), h.node(c.ID, "a").DeploymentID)
			h.must(err)
			h.site.Step()
		}
		c = h.get(c.ID)
		require.Equal(t, cluster.CleaningUp, c.State())
		require.Nil(t, c.FormedAt)
		require.Zero(t, h.count(`SELECT COUNT(*) FROM nodes WHERE clustered = $1`, true), "they are being released")
		// One fails half-way: the cleanup is taken up again.
		h.must(h.say(h.node(c.ID, "b").DeploymentID, phase.Cleanup, phase.FailedRun, phase.ByWorkflow, ""))
		h.must(c2(h.Cleanup(t.Context(), cluster.Cleanup{ClusterID: c.ID, ConfirmName: "prod", Actor: tester})))
	})
}

func TestAReplacementWhileTheFormationIsLookedAt(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		c := h.deploy(h.request("prod", "a", "b", "c"))
		h.install(c.ID, "a", "b", "c")
		old := h.node(c.ID, "c")
		h.once("before formed", func() {
			h.cancel(c.ID, "c", true)
			h.must(c2(h.Replace(t.Context(), cluster.Replace{ClusterID: c.ID, NodeID: old.NodeID, By: cluster.NodeRequest{Name: "d", Spec: h.spec()}, Actor: tester})))
		})
		for h.points != nil {
			h.turn(c.ID, "a")
			h.site.Step()
		}
		require.Nil(t, h.get(c.ID).FormedAt, "the controller VMs count c, who is no member any more")
		h.install(c.ID, "d")
		c = h.drive(c.ID, cluster.Deployed)
		require.Len(t, c.Formed(), 3)
		require.Equal(t, 3, h.count(`SELECT COUNT(*) FROM nodes WHERE clustered = $1`, true))
		_, err := h.writer.Cleanup(t.Context(), lifecycle.Cleanup{DeploymentID: old.DeploymentID, ConfirmName: "c", Actor: tester})
		h.must(err)
	})
}

// A formation that waited for another node until its time was over must not have
// used up the time of the next one.
func TestAnotherFormationHasItsWholeTime(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		c := h.deploy(h.request("prod", "a", "b", "c"))
		h.install(c.ID, "a", "b", "c")
		h.site.Inject(cvmsim.Fault{Kind: cvmsim.FaultDown, Addr: h.hosts["c"].Addr()})
		for h.get(c.ID).State() != cluster.Blocked {
			h.pass(time.Minute)
			h.spin(c.ID, 1)
		}
		require.Equal(t, phase.StateFail, h.node(c.ID, "c").Deployment)
		h.spin(c.ID, 1)
		h.pass(time.Hour)
		h.site.Clear()
		h.retryFailed(c.ID)
		h.spin(c.ID, 1)
		h.pass(10 * time.Minute)
		h.must(h.writer.Sweep(t.Context()))
		require.Equal(t, phase.Running, h.node(c.ID, "a").Deployment)
		h.drive(c.ID, cluster.Deployed)
	})
}

func TestWhatIsWrongIsToldEvenAfterAFormationThatFailed(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		r := h.request("prod", "a", "b", "c")
		r.VIP = h.addr(200)
		c := h.deploy(r)
		h.install(c.ID, "a", "b", "c")
		h.site.Inject(cvmsim.Fault{Kind: cvmsim.FaultDie, Stage: "certificates", Times: 1})
		h.blocked(c.ID)
		l, err := net.Listen("tcp", netip.AddrPortFrom(netip.MustParseAddr(r.VIP), uint16(h.ports[1])).String())
		h.must(err)
		h.retryFailed(c.ID)
		c = h.blocked(c.ID)
		require.Equal(t, "vip_taken", c.Formation.Reason)
		require.Contains(t, c.Formation.Message, r.VIP)
		h.must(l.Close())
		h.retryFailed(c.ID)
		h.drive(c.ID, cluster.Deployed)
	})
}

// The clock of somebody runs whoever is deployed already.
func TestAJoinedNodeDoesNotWaitForeverForTheHealthOfAnother(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		c := h.deploy(h.request("prod", "a", "b", "c"))
		h.install(c.ID, "a", "b", "c")
		h.drive(c.ID, cluster.Deployed)
		h.deploy(cluster.Request{Operation: cvm.OperationJoin, ClusterID: c.ID, Nodes: h.request("", "d").Nodes, Actor: tester})
		h.install(c.ID, "d")
		h.drive(c.ID, cluster.Validating)
		h.site.Inject(cvmsim.Fault{Kind: cvmsim.FaultNoPrism, Addr: h.hosts["b"].Addr()})
		h.spin(c.ID, 1)
		h.pass(time.Hour)
		h.spin(c.ID, 2)
		c = h.get(c.ID)
		require.Equal(t, cluster.Blocked, c.State())
		require.Equal(t, []cluster.Choice{cluster.ChoiceRetry}, c.Choices(h.node(c.ID, "d")))
		h.site.Clear()
		h.retryFailed(c.ID)
		h.drive(c.ID, cluster.Deployed)
	})
}

func TestWhoFormsTheClusterDoesNotLeaveInTheMiddle(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		c := h.deploy(h.request("prod", "a", "b", "c", "d"))
		h.install(c.ID, "a", "b", "c", "d")
		h.turn(c.ID, "a")
		require.Equal(t, deploy.CodeWrongState, code(t, c2(h.Leave(t.Context(), cluster.Leave{ClusterID: c.ID, NodeID: h.node(c.ID, "a").NodeID, Actor: tester}))))
		c = h.drive(c.ID, cluster.Deployed)
		require.Len(t, c.Formed(), 4)
		require.Equal(t, 1, h.site.Formed())
	})
}

func TestANodeThatLeftAndWasCleanedUpMakesRoom(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		c := h.deploy(h.request("prod", "a", "b", "c", "d"))
		h.install(c.ID, "a", "b", "c")
		d := h.node(c.ID, "d")
		h.must(c2(h.Leave(t.Context(), cluster.Leave{ClusterID: c.ID, NodeID: d.NodeID, Actor: tester})))
		h.drive(c.ID, cluster.Deployed)
		join := cluster.Request{Operation: cvm.OperationJoin, ClusterID: c.ID, Nodes: h.request("", "e").Nodes, Actor: tester}
		require.Contains(t, fieldsOf(t, c2(h.Deploy(t.Context(), join))), "cluster", "d may still come")
		h.cancel(c.ID, "d", true)
		require.Equal(t, []cluster.Choice{cluster.ChoiceReplace, cluster.ChoiceWithout}, h.get(c.ID).Choices(h.node(c.ID, "d")))
		_, err := h.writer.Cleanup(t.Context(), lifecycle.Cleanup{DeploymentID: d.DeploymentID, ConfirmName: "d", Actor: tester})
		h.must(err)
		h.must(h.say(d.DeploymentID, phase.Cleanup, phase.Success, phase.ByWorkflow, ""))
		h.deploy(join)
	})
}

// Who waits for others says nothing: nothing was seen of its machine.
func TestWaitingForOthersIsNoSignOfLife(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		c := h.deploy(h.request("prod", "a", "b", "c"))
		h.install(c.ID, "a")
		seen := h.now
		h.pass(time.Hour)
		h.turn(c.ID, "a")
		h.turn(c.ID, "a")
		require.Zero(t, h.count(`SELECT COUNT(*) FROM nodes WHERE last_seen_at > $1`, seen))
	})
}

// A controller VM that takes a command and never answers ends the step before
// the workflow does, so that the wait is told of and has an end.
func TestAControllerVMThatHangs(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		h.deps.AskLimit = 300 * time.Millisecond
		h.Service = cluster.New(h.deps)
		c := h.deploy(h.request("prod", "a", "b", "c"))
		h.install(c.ID, "a", "b", "c")
		h.site.Inject(cvmsim.Fault{Kind: cvmsim.FaultHang, Addr: h.hosts["c"].Addr()})
		stand := h.turn(c.ID, "a")
		require.Equal(t, deploy.ClusterGo, stand.Move)
		require.Contains(t, stand.Message, "not all controller VMs have answered within 300ms")
		h.wait(c.ID, "a")
		h.turn(c.ID, "c")
		require.Equal(t, cluster.Blocked, h.get(c.ID).State())
	})
}

func TestMaintenanceOfTheLeaderStopsTheFormationsTime(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		c := h.deploy(h.request("prod", "a", "b", "c"))
		h.install(c.ID, "a", "b", "c")
		h.turn(c.ID, "a")
		id := h.node(c.ID, "a").DeploymentID
		maintenance := func(on bool) {
			h.must(h.writer.SetMaintenance(t.Context(), lifecycle.MaintenanceChange{DeploymentID: id, On: on, ExpectedVersion: h.count(`SELECT version FROM deployments WHERE id = $1`, id), Actor: tester}))
		}
		maintenance(true)
		h.pass(3 * time.Hour)
		h.spin(c.ID, 1)
		require.Equal(t, cluster.Forming, h.get(c.ID).State())
		maintenance(false)
		h.drive(c.ID, cluster.Deployed)
	})
}

// What is deployed already and cannot be proven is refused before anything of it
// changes.
func TestADeployedNodeWithoutAControllerVMsKeyIsNotTaken(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		d, err := h.writer.Deploy(t.Context(), lifecycle.NewDeployment{Name: "a", Spec: *h.spec(), Actor: tester})
		h.must(err)
		h.boot(d.DeploymentID)
		h.must(h.writer.Do(t.Context(), []int64{d.DeploymentID}, nil, func(tx *lifecycle.Tx) error {
			return tx.LearnFor(d.DeploymentID, lifecycle.NodeFacts{CVMIP: h.addr(99)})
		}))
		for _, k := range []string{phase.PostInstall, phase.DNSRegistration, phase.HealthValidation} {
			as := phase.ByWorkflow
			if k == phase.PostInstall {
				as = phase.ByMachine
			}
			h.must(h.say(d.DeploymentID, k, phase.Success, as, ""))
		}
		_, err = h.Deploy(t.Context(), cluster.Request{Name: "one", Nodes: []cluster.NodeRequest{{Name: "a"}}, Actor: tester})
		require.Equal(t, "required", fieldsOf(t, err)["nodes.0"])
	})
}

// The machine of a member dies before the cluster is up; it is replaced. The others
// know of it for ever: they say so, and are installed anew.
func TestAMemberThatDiedInTheMiddleIsReplaced(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		c := h.deploy(h.request("prod", "a", "b", "c"))
		h.install(c.ID, "a", "b", "c")
		h.site.Inject(cvmsim.Fault{Kind: cvmsim.FaultNeverUp, Addr: h.hosts["c"].Addr()})
		for range 80 {
			h.turn(c.ID, "a")
			h.site.Step()
		}
		h.wait(c.ID, "a")
		h.blocked(c.ID)
		old := h.node(c.ID, "c")
		require.Equal(t, phase.StateFail, old.Deployment)
		h.hosts["c"].PowerOff()
		h.must(c2(h.Replace(t.Context(), cluster.Replace{ClusterID: c.ID, NodeID: old.NodeID, By: cluster.NodeRequest{Name: "d", Spec: h.spec()}, Actor: tester})))
		h.install(c.ID, "d")
		h.spin(c.ID, 3)
		require.Contains(t, h.get(c.ID).Formation.Message, "c was replaced after it had begun to be a member")
		_, err := h.writer.Cleanup(t.Context(), lifecycle.Cleanup{DeploymentID: old.DeploymentID, ConfirmName: "c", Actor: tester})
		h.must(err)
		h.must(h.say(old.DeploymentID, phase.Cleanup, phase.Success, phase.ByWorkflow, ""))
		for range 30 {
			h.spin(c.ID, 1)
			if h.node(c.ID, "a").Deployment == phase.StateFail && h.node(c.ID, "b").Deployment == phase.StateFail {
				break
			}
		}
		c = h.get(c.ID)
		require.Equal(t, "half_formed", c.Formation.Reason)
		require.Contains(t, c.Formation.Hint, "retry these nodes from installation")
		for _, name := range []string{"a", "b"} {
			n := h.node(c.ID, name)
			_, err := h.writer.Retry(t.Context(), lifecycle.Retry{DeploymentID: n.DeploymentID, FromPhase: phase.Installation, Actor: tester})
			h.must(err)
			h.hosts[name].Destroy()
			delete(h.hosts, name)
			h.hosts["old "+name] = nil // the next address
			h.reinstall(c.ID, name)
		}
		c = h.drive(c.ID, cluster.Deployed)
		require.Len(t, c.Formed(), 3)
	})
}
