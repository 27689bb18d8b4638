package cluster_test

import (
	"context"
	"strings"
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

func TestThreeNodesBecomeACluster(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		r := h.request("prod-1", "a", "b", "c")
		r.VIP = h.addr(200)
		c := h.deploy(r)
		require.Equal(t, cluster.Queued, c.State())
		require.Equal(t, []any{cvm.TypeMultiNode, 2}, []any{c.Type, c.RF})
		for _, n := range c.Members() {
			require.Equal(t, phase.Queued, n.Deployment)
			require.Equal(t, n.Name == "a", n.Spec.ClusterVIP != "", "the address is bound to the one that creates")
		}

		h.install(c.ID, "b", "a")
		h.boot(h.node(c.ID, "c").DeploymentID)
		require.Equal(t, cluster.Installing, h.get(c.ID).State())
		for _, name := range []string{"a", "b"} {
			stand := h.turn(c.ID, name)
			require.Equal(t, deploy.ClusterHold, stand.Move)
			require.Equal(t, "2 of 3 nodes of prod-1 are ready; it waits for c (foundation_start)", stand.Message)
		}
		require.Empty(t, h.site.Ran(), "no controller VM is asked anything before all are there")
		require.Equal(t, 2, h.count(`SELECT COUNT(*) FROM phase_runs WHERE phase = 'cluster_formation' AND clock_stopped_at IS NOT NULL AND awaiting = 'cluster'`), "their clocks stand")

		h.install(c.ID, "c")
		require.Equal(t, cluster.Forming, h.get(c.ID).State())
		require.Equal(t, deploy.ClusterHold, h.turn(c.ID, "b").Move, "only the first one forms it")
		require.Equal(t, deploy.ClusterGo, h.turn(c.ID, "a").Move)
		c = h.drive(c.ID, cluster.Validating)
		require.NotNil(t, c.FormedAt)
		require.Equal(t, cluster.FormationDone, c.Formation.Status)
		require.Contains(t, c.Formation.Command, "--cluster_external_ip="+r.VIP)
		require.Equal(t, 1, h.site.Formed())
		c = h.drive(c.ID, cluster.Deployed)
		require.True(t, c.Health.OK)
		for _, k := range c.Health.Checks {
			require.NotEmpty(t, k.Evidence, k.Name)
		}
		require.Equal(t, []cluster.Action{cluster.ActionCleanup, cluster.ActionAddNode}, c.AllowedActions(), "a cluster of three takes a fourth")
	})
}

// address of a node's deployment that created the cluster, and of the others.
func TestTheClustersAddressIsNamedOnce(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		r := h.request("prod", "a", "b", "c")
		r.VIP = h.addr(200)
		c := h.deploy(r)
		h.install(c.ID, "a", "b", "c")
		h.drive(c.ID, cluster.Validating)
		named := 0
		for _, n := range h.get(c.ID).Members() {
			name, vip, err := h.Address(t.Context(), n.DeploymentID)
			require.NoError(t, err)
			if vip != "" {
				named++
				require.Equal(t, []string{"a", "prod", r.VIP}, []string{n.Name, name, vip})
			}
		}
		require.Equal(t, 1, named)
	})
}

func TestASingleNode(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		c := h.deploy(h.request("one", "solo"))
		require.Equal(t, []any{cvm.TypeSingleNode, 1}, []any{c.Type, c.RF})
		h.install(c.ID, "solo")
		c = h.drive(c.ID, cluster.Deployed)
		require.NotContains(t, c.AllowedActions(), cluster.ActionAddNode)
		_, err := h.Deploy(t.Context(), cluster.Request{Operation: cvm.OperationJoin, ClusterID: c.ID, Nodes: h.request("", "x").Nodes, Actor: tester})
		require.Contains(t, fieldsOf(t, err), "cluster")
	})
}

func TestANodeThatNeverComes(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		c := h.deploy(h.request("prod", "a", "b", "c"))
		h.install(c.ID, "a", "b")
		id := h.node(c.ID, "c").DeploymentID
		h.boot(id)
		h.must(h.say(id, phase.ImageDownload, phase.FailedRun, phase.ByMachine, ""))
		c = h.get(c.ID)
		require.Equal(t, cluster.Blocked, c.State())
		stand := h.turn(c.ID, "a")
		require.Equal(t, deploy.ClusterHold, stand.Move)
		require.Contains(t, stand.Message, "c, which failed at image_download: image_download failed")
		n := h.node(c.ID, "c")
		require.Equal(t, []cluster.Choice{cluster.ChoiceRetry, cluster.ChoiceReplace}, c.Choices(n), "three cannot go on as two")
		_, err := h.Leave(t.Context(), cluster.Leave{ClusterID: c.ID, NodeID: n.NodeID, Actor: tester})
		require.Equal(t, deploy.CodeOutOfRange, code(t, err))
		// A day later the others still stand where they were.
		h.pass(24 * time.Hour)
		h.turn(c.ID, "a")
		h.turn(c.ID, "b")
		h.must(h.writer.Sweep(t.Context()))
		require.Equal(t, phase.Running, h.node(c.ID, "a").Deployment)
		// That node alone is tried again, and the cluster goes on.
		_, err = h.writer.Retry(t.Context(), lifecycle.Retry{DeploymentID: id, Actor: tester})
		h.must(err)
		h.must(h.say(id, phase.Pending, phase.Success, phase.ByWorkflow, ""))
		h.must(h.say(id, phase.IPXEBoot, phase.InProgress, phase.ByBoot, ""))
		h.must(h.say(id, phase.ConfigDownload, phase.Success, phase.ByBoot, ""))
		h.must(h.say(id, phase.FoundationStart, phase.InProgress, phase.ByMachine, ""))
		h.install(c.ID, "c")
		c = h.drive(c.ID, cluster.Deployed)
		for _, m := range c.Members() {
			require.Equal(t, map[bool]int{true: 2, false: 1}[m.Name == "c"], m.Attempt)
		}
	})
}

func TestFourGoOnAsThreeAndTheLateOneJoins(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		c := h.deploy(h.request("prod", "a", "b", "c", "d"))
		h.install(c.ID, "a", "b", "c")
		late := h.node(c.ID, "d")
		require.Contains(t, c.Choices(late), cluster.ChoiceWithout)
		c, err := h.Leave(t.Context(), cluster.Leave{ClusterID: c.ID, NodeID: late.NodeID, Reason: "its disk is slow", Actor: tester})
		h.must(err)
		require.Equal(t, cluster.Late, c.Node(late.NodeID).State)
		require.Contains(t, c.Node(late.NodeID).Note, "tester: its disk is slow")
		_, err = h.Leave(t.Context(), cluster.Leave{ClusterID: c.ID, NodeID: late.NodeID, Actor: tester})
		require.Equal(t, deploy.CodeWrongState, code(t, err))
		c = h.drive(c.ID, cluster.Deployed)
		require.Len(t, c.Members(), 3)
		h.install(c.ID, "d")
		for range 60 {
			if n := h.node(c.ID, "d"); !live(n) {
				break
			}
			h.turn(c.ID, "d")
			h.site.Step()
		}
		c = h.get(c.ID)
		require.Equal(t, cluster.Deployed, c.State())
		require.Len(t, c.Formed(), 4)
		require.Equal(t, 1, h.site.Formed())
		require.Len(t, h.site.State()[0].Members, 4, "the cluster itself says so")
	})
}

func TestAFourthNodeJoins(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		c := h.deploy(h.request("prod", "a", "b", "c"))
		early := cluster.Request{Operation: cvm.OperationJoin, Name: "prod", Nodes: h.request("", "d").Nodes, Actor: tester}
		_, err := h.Deploy(t.Context(), early)
		require.Contains(t, fieldsOf(t, err), "cluster", "it is not formed yet")
		h.install(c.ID, "a", "b", "c")
		h.drive(c.ID, cluster.Deployed)
		h.deploy(early)
		require.Equal(t, cluster.Growing, h.get(c.ID).State())
		_, err = h.Deploy(t.Context(), cluster.Request{Operation: cvm.OperationJoin, Name: "prod", Nodes: h.request("", "e").Nodes, Actor: tester})
		require.Contains(t, fieldsOf(t, err), "cluster", "four are the most")
		h.install(c.ID, "d")
		c = h.drive(c.ID, cluster.Deployed)
		require.Len(t, c.Formed(), 4)
	})
}

func TestDeployedNodesAreTakenAsTheyAre(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		var list []cluster.NodeRequest
		for _, name := range []string{"a", "b", "c"} {
			d, err := h.writer.Deploy(t.Context(), lifecycle.NewDeployment{Name: name, Spec: *h.spec(), Actor: tester})
			h.must(err)
			h.boot(d.DeploymentID)
			h.cvm(name)
			h.must(h.writer.Do(t.Context(), []int64{d.DeploymentID}, nil, func(tx *lifecycle.Tx) error {
				return tx.LearnFor(d.DeploymentID, lifecycle.NodeFacts{CVMIP: h.hosts[name].Addr().String(), CVMHostKey: h.hosts[name].HostKey()})
			}))
			h.must(h.say(d.DeploymentID, phase.PostInstall, phase.Success, phase.ByMachine, ""))
			_, err = h.Deploy(t.Context(), cluster.Request{Name: "soon", Nodes: []cluster.NodeRequest{{NodeID: d.NodeID}}, Actor: tester})
			require.Equal(t, "wrong_state", fieldsOf(t, err)["nodes.0"], "it is not deployed yet")
			h.must(h.say(d.DeploymentID, phase.DNSRegistration, phase.Success, phase.ByWorkflow, ""))
			h.must(h.say(d.DeploymentID, phase.HealthValidation, phase.Success, phase.ByWorkflow, ""))
			list = append(list, cluster.NodeRequest{Name: name})
		}
		c := h.deploy(cluster.Request{Name: "old", Nodes: list, Actor: tester})
		c = h.drive(c.ID, cluster.Deployed)
		for _, n := range c.Members() {
			require.Equal(t, []int{1, 2}, []int{n.Number, n.Attempt}, "nothing was installed")
		}
		_, err := h.Deploy(t.Context(), cluster.Request{Name: "again", Nodes: list, Actor: tester})
		require.Equal(t, "conflict", fieldsOf(t, err)["nodes.1"])
	})
}

func TestANodeThatFailsBehindTheBarrier(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		c := h.deploy(h.request("prod", "a", "b", "c"))
		h.install(c.ID, "a", "b", "c")
		// Another machine answers on b's address: nothing is begun, and it is b that fails.
		h.site.Inject(cvmsim.Fault{Kind: cvmsim.FaultHostKey, Addr: h.hosts["b"].Addr()})
		c = h.drive(c.ID, cluster.Blocked)
		require.Equal(t, 0, h.site.Formed())
		require.Equal(t, "wrong_host", c.Formation.Reason)
		for _, n := range c.Members() {
			require.Equal(t, map[bool]phase.State{true: phase.StateFail, false: phase.Running}[n.Name == "b"], n.Deployment, n.Name)
		}
		require.Contains(t, h.turn(c.ID, "a").Message, "b, which failed at cluster_formation")
		require.Equal(t, []cluster.Choice{cluster.ChoiceRetry, cluster.ChoiceReplace}, c.Choices(h.node(c.ID, "b")))
		require.Empty(t, c.Choices(h.node(c.ID, "c")))
		// Retried alone, after somebody has seen to it.
		h.site.Clear()
		_, err := h.writer.Retry(t.Context(), lifecycle.Retry{DeploymentID: h.node(c.ID, "b").DeploymentID, Actor: tester})
		h.must(err)
		c = h.drive(c.ID, cluster.Deployed)
		require.Equal(t, 1, h.site.Formed())
		require.Equal(t, 1, h.node(c.ID, "a").Attempt)
	})
}

func TestAFailedNodeIsReplaced(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		c := h.deploy(h.request("prod", "a", "b", "c"))
		h.install(c.ID, "a", "b")
		old := h.node(c.ID, "c")
		replace := cluster.Replace{ClusterID: c.ID, NodeID: old.NodeID, By: cluster.NodeRequest{Name: "d", Spec: h.spec()}, Actor: tester}
		_, err := h.Replace(t.Context(), replace)
		require.Equal(t, deploy.CodeRunActive, code(t, err), "it is still under way")
		_, err = h.writer.Cancel(t.Context(), lifecycle.Cancel{DeploymentID: old.DeploymentID, Immediate: true, Actor: tester})
		h.must(err)
		other := replace
		other.By = cluster.NodeRequest{Name: "d", Spec: h.spec()}
		other.By.Spec.Installer = "aos-7"
		_, err = h.Replace(t.Context(), other)
		require.Equal(t, "version_differs", fieldsOf(t, err)["by.spec.installer"])
		require.Equal(t, 0, h.count(`SELECT COUNT(*) FROM nodes WHERE name = 'd'`), "nothing was made")
		taken := replace
		taken.By = cluster.NodeRequest{Name: "a", Spec: h.spec()}
		_, err = h.Replace(t.Context(), taken)
		require.NotEmpty(t, fieldsOf(t, err))
		c, err = h.Replace(t.Context(), replace)
		h.must(err)
		require.Equal(t, cluster.Replaced, c.Node(old.NodeID).State)
		require.Equal(t, cluster.Installing, c.State())
		_, err = h.Replace(t.Context(), replace)
		require.Equal(t, deploy.CodeConflict, code(t, err), "its place is taken, and d is a member")
		h.install(c.ID, "d")
		c = h.drive(c.ID, cluster.Deployed)
		require.Len(t, c.Members(), 3)
		require.Equal(t, old.Position, h.node(c.ID, "d").Position)
		// The old node stands by itself, and is cleaned up by itself.
		_, err = h.writer.Cleanup(t.Context(), lifecycle.Cleanup{DeploymentID: old.DeploymentID, ConfirmName: "c", Actor: tester})
		h.must(err)
		require.Equal(t, cluster.Deployed, h.get(c.ID).State())
	})
}

func TestWhatWasLeftHalfFormedIsRemovedFirst(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		c := h.deploy(h.request("prod", "a", "b", "c"))
		h.install(c.ID, "a", "b", "c")
		h.site.Inject(cvmsim.Fault{Kind: cvmsim.FaultHalfFormed, Addr: h.hosts["c"].Addr(), Times: 1})
		c = h.drive(c.ID, cluster.Blocked)
		require.Equal(t, "half_formed", c.Formation.Reason, c.Formation.Message)
		var failed []string
		for _, n := range c.Members() {
			if n.Deployment == phase.StateFail {
				failed = append(failed, n.Name)
				_, err := h.writer.Retry(t.Context(), lifecycle.Retry{DeploymentID: n.DeploymentID, Actor: tester})
				h.must(err)
			}
		}
		require.NotEmpty(t, failed)
		c = h.drive(c.ID, cluster.Deployed, cluster.Blocked)
		require.Equal(t, cluster.Deployed, c.State(), "%+v", c.Formation)
		destroyed := 0
		for _, cmd := range h.site.Ran() {
			if strings.Contains(cmd.Line, "destroy") && strings.Contains(cmd.Line, "I agree") || strings.Contains(cmd.Line, "cluster destroy") {
				destroyed++
			}
		}
		require.Positive(t, destroyed)
	})
}

func TestAFormationThatHangsNamesWhomItWaitedFor(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		c := h.deploy(h.request("prod", "a", "b", "c"))
		h.install(c.ID, "a", "b", "c")
		h.site.Inject(cvmsim.Fault{Kind: cvmsim.FaultNeverUp, Addr: h.hosts["c"].Addr()})
		for range 40 {
			h.turn(c.ID, "a")
			h.site.Step()
		}
		require.Equal(t, cluster.Forming, h.get(c.ID).State())
		h.wait(c.ID, "a")
		c = h.drive(c.ID, cluster.Blocked)
		require.Equal(t, phase.StateFail, h.node(c.ID, "c").Deployment, "the one that did not come up: %+v", c.Formation)
		require.Contains(t, c.Formation.Message, "still waits")
	})
}

func TestNothingOfAFormedClusterIsTakenOrInstalledAnew(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		c := h.deploy(h.request("prod", "a", "b", "c"))
		h.install(c.ID, "a", "b", "c")
		c = h.drive(c.ID, cluster.Deployed)
		n := h.node(c.ID, "b")
		_, err := h.writer.Cleanup(t.Context(), lifecycle.Cleanup{DeploymentID: n.DeploymentID, ConfirmName: "b", Actor: tester})
		require.Equal(t, deploy.CodeWrongState, code(t, err))
		require.ErrorContains(t, err, "prod")
		_, err = h.writer.Reinitialize(t.Context(), lifecycle.Reinitialize{NodeID: n.NodeID, Actor: tester})
		require.Equal(t, deploy.CodeWrongState, code(t, err))
		require.Equal(t, deploy.CodeWrongState, code(t, c2(h.Replace(t.Context(), cluster.Replace{ClusterID: c.ID, NodeID: n.NodeID, By: cluster.NodeRequest{Name: "z", Spec: h.spec()}, Actor: tester}))))
		require.Equal(t, deploy.CodeWrongState, code(t, c2(h.Leave(t.Context(), cluster.Leave{ClusterID: c.ID, NodeID: n.NodeID, Actor: tester}))))
	})
}

func c2(_ *cluster.Cluster, err error) error { return err }

func TestCleanupOfACluster(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		c := h.deploy(h.request("prod", "a", "b", "c", "d"))
		h.install(c.ID, "a", "b", "c")
		h.must(c2(h.Leave(t.Context(), cluster.Leave{ClusterID: c.ID, NodeID: h.node(c.ID, "d").NodeID, Actor: tester})))
		c = h.drive(c.ID, cluster.Deployed)
		_, plan, err := h.CleanupPlan(t.Context(), c.ID)
		h.must(err)
		require.Len(t, plan, 4, "the late one too")
		_, err = h.Cleanup(t.Context(), cluster.Cleanup{ClusterID: c.ID, ConfirmName: "prd", Actor: tester})
		require.Equal(t, deploy.CodeConfirmationMismatch, code(t, err))
		require.Equal(t, cluster.Deployed, h.get(c.ID).State())
		c, err = h.Cleanup(t.Context(), cluster.Cleanup{ClusterID: c.ID, ConfirmName: "prod", Actor: tester})
		h.must(err)
		require.Equal(t, cluster.CleaningUp, c.State())
		for _, n := range c.Members() {
			require.Equal(t, phase.CleaningUp, n.Deployment, n.Name)
		}
		require.Equal(t, deploy.CodeWrongState, code(t, c2(h.Cleanup(t.Context(), cluster.Cleanup{ClusterID: c.ID, ConfirmName: "prod", Actor: tester}))))
		members := c.Members()
		for i, n := range members {
			if i == 2 { // one fails half-way, and the cleanup is taken up again
				h.must(h.say(n.DeploymentID, phase.Cleanup, phase.FailedRun, phase.ByWorkflow, ""))
				continue
			}
			h.must(h.say(n.DeploymentID, phase.Cleanup, phase.Success, phase.ByWorkflow, ""))
		}
		require.Equal(t, cluster.Blocked, h.get(c.ID).State())
		h.must(c2(h.Cleanup(t.Context(), cluster.Cleanup{ClusterID: c.ID, ConfirmName: "prod", Actor: tester})))
		h.must(h.say(members[2].DeploymentID, phase.Cleanup, phase.Success, phase.ByWorkflow, ""))
		require.Equal(t, cluster.CleanedUp, h.get(c.ID).State())
		// The name and the nodes are free again.
		again := h.deploy(h.request("prod", "a", "b", "c"))
		require.NotEqual(t, c.ID, again.ID)
		require.Equal(t, cluster.CleanedUp, h.get(c.ID).State(), "what the nodes do next is not this cluster's any more")
	})
}

func TestCancelOfACluster(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		c := h.deploy(h.request("prod", "a", "b", "c"))
		h.install(c.ID, "a")
		h.boot(h.node(c.ID, "b").DeploymentID)
		h.must(c2(h.Cancel(t.Context(), cluster.Cancel{ClusterID: c.ID, Immediate: true, Reason: "changed our mind", Actor: tester})))
		require.Equal(t, cluster.Canceled, h.get(c.ID).State())
		require.Equal(t, deploy.CodeWrongState, code(t, c2(h.Cancel(t.Context(), cluster.Cancel{ClusterID: c.ID, Actor: tester}))))
		require.Equal(t, deploy.CodeNotFound, code(t, c2(h.Cancel(t.Context(), cluster.Cancel{ClusterID: 999, Actor: tester}))))
	})
}

func TestWhatIsWrongWithARequestIsToldAtOnce(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		before := h.count(`SELECT COUNT(*) FROM nodes`)
		r := h.request("prod", "a", "b")
		r.VIP, r.DNSServers, r.RedundancyFactor = "x", []string{"1.2.3"}, 1
		r.Nodes[1].Spec = &deploy.Spec{Provider: deploy.ProviderRack, MAC: "zz"}
		_, err := h.Deploy(t.Context(), r)
		got := fieldsOf(t, err)
		for field, key := range map[string]string{"vip": "invalid", "dns_servers.0": "invalid", "nodes": "member_count", "nodes.1.spec.cvm_ip": "member_address_required", "nodes.1.spec.mac": "invalid", "nodes.1.spec.management_ip": "required"} {
			require.Equal(t, key, got[field], "%s in %v", field, got)
		}
		r = h.request("prod", "a", "b", "c")
		r.Nodes[2].Name = "A B"
		r.Nodes = append(r.Nodes, cluster.NodeRequest{Name: "nobody"}, cluster.NodeRequest{NodeID: 99})
		got = fieldsOf(t, c2(h.Deploy(t.Context(), r)))
		require.Equal(t, []string{"invalid", "not_found", "not_found"}, []string{got["nodes.2.name"], got["nodes.3.name"], got["nodes.4.node_id"]})
		require.Equal(t, before, h.count(`SELECT COUNT(*) FROM nodes`))
		r = h.request("A_a", "a-a", "b", "c")
		r.VIP = h.addr(200)
		require.Equal(t, "conflict", fieldsOf(t, c2(h.Deploy(t.Context(), r)))["name"], "both would be a-a in DNS")
		// Half-way refused in the transaction: nothing of it stays.
		r = h.request("prod", "a", "b", "c")
		r.Nodes[2].Spec.ManagementIP, r.Nodes[1].Spec.ManagementIP = "10.0.0.7", "10.0.0.7"
		require.Error(t, c2(h.Deploy(t.Context(), r)))
		require.Equal(t, []int{before, 0, 0}, []int{h.count(`SELECT COUNT(*) FROM nodes`), h.count(`SELECT COUNT(*) FROM clusters`), h.count(`SELECT COUNT(*) FROM deployments`)})
	})
}

func TestTheSameRequestTwice(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		r := h.request("prod", "a", "b", "c")
		r.IdempotencyKey = "k1"
		c := h.deploy(r)
		require.Equal(t, c.ID, h.deploy(r).ID)
		r.Name = "other"
		require.Equal(t, deploy.CodeIdempotencyConflict, code(t, c2(h.Deploy(t.Context(), r))))
		r = h.request("prod", "d", "e", "f")
		require.Equal(t, "name_in_use", fieldsOf(t, c2(h.Deploy(t.Context(), r)))["name"])
	})
}

func TestThePlanChangesNothing(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		r := h.request("prod", "a", "b", "c")
		r.VIP = h.addr(200)
		p, err := h.Plan(t.Context(), r)
		h.must(err)
		require.True(t, p.OK)
		require.Len(t, p.Nodes, 3)
		require.Equal(t, "nodes.1.name", p.Nodes[1].Checks[0].Field)
		require.Equal(t, r.VIP, p.Nodes[0].Checks[1].Message)
		require.Empty(t, p.Nodes[1].Checks[1].Message)
		require.Equal(t, time.Minute, p.Estimated)
		r.Nodes = r.Nodes[:2]
		p, err = h.Plan(t.Context(), r)
		h.must(err)
		require.False(t, p.OK)
		require.Equal(t, 0, h.count(`SELECT COUNT(*) FROM clusters`)+h.count(`SELECT COUNT(*) FROM nodes`))
	})
}

func TestTwoClustersAtOnce(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		one, two := h.deploy(h.request("one", "a", "b", "c")), h.deploy(h.request("two", "d", "e", "f"))
		h.install(one.ID, "a", "b")
		h.install(two.ID, "d", "e", "f")
		h.install(one.ID, "c")
		for range 60 {
			for _, id := range []int64{one.ID, two.ID} {
				c := h.get(id)
				for i := range c.Nodes {
					if live(&c.Nodes[i]) {
						h.turn(id, c.Nodes[i].Name)
					}
				}
			}
			h.site.Step()
		}
		require.Equal(t, []cluster.State{cluster.Deployed, cluster.Deployed}, []cluster.State{h.get(one.ID).State(), h.get(two.ID).State()})
		require.Equal(t, 2, h.site.Formed())
		for _, s := range h.site.State() {
			require.Len(t, s.Members, 3)
		}
	})
}

func TestListAndNames(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		var ids []int64
		for _, name := range []string{"x", "y", "z"} {
			ids = append(ids, h.deploy(h.request(name, name+"1")).ID)
		}
		page, more, err := h.List(t.Context(), 0, 2)
		h.must(err)
		require.True(t, more)
		require.Equal(t, []int64{ids[2], ids[1]}, []int64{page[0].ID, page[1].ID})
		page, more, err = h.List(t.Context(), page[1].ID, 2)
		h.must(err)
		require.False(t, more)
		require.Len(t, page, 1)
		c, err := h.ByName(t.Context(), "y")
		h.must(err)
		require.Equal(t, ids[1], c.ID)
		require.Equal(t, deploy.CodeNotFound, code(t, c2(h.ByName(t.Context(), "nobody"))))
		require.Equal(t, deploy.CodeNotFound, code(t, c2(h.Get(context.Background(), 12345))))
		of, err := h.OfNode(t.Context(), c.Nodes[0].NodeID)
		h.must(err)
		require.Equal(t, c.ID, of.ID)
	})
}
