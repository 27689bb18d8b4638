package graph_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/cluster"
	"github.com/slipwayhq/slipway/deploy/cluster/cvm"
	"github.com/slipwayhq/slipway/deploy/feed"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
	"github.com/slipwayhq/slipway/graph"
)

// controllers are controller VMs whose answers a test sets; without one a
// cluster is formed at once and is well.
type controllers struct {
	mu   sync.Mutex
	form cvm.Decision
}

func (c *controllers) say(d cvm.Decision) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.form = d
}

func (c *controllers) step() (cvm.Step, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.form.Action != "" {
		return cvm.Step{Decision: c.form}, nil
	}
	return cvm.Step{Decision: cvm.Decision{Action: cvm.ActionDone, Reason: cvm.ReasonFormed, Message: "every member says so", Evidence: []string{"The state of the cluster: start"}}}, nil
}

func (c *controllers) Form(context.Context, cvm.FormRequest) (cvm.Step, error) { return c.step() }
func (c *controllers) Join(context.Context, cvm.JoinRequest) (cvm.Step, error) { return c.step() }
func (c *controllers) Destroy(context.Context, cvm.DestroyRequest) (cvm.Step, error) {
	return c.step()
}

func (c *controllers) Health(_ context.Context, members []cvm.Target, _ netip.Addr) cvm.Report {
	return cvm.Report{Checks: []cvm.Check{{Name: cvm.CheckAnswers, Addr: members[0].Addr, OK: true, Message: "it answers", Evidence: []string{"up"}}}}
}

const clusterFields = `id name type state redundancyFactor address dnsServers ntpServers skipDiscovery progress version cursor allowedActions requestedBy{kind name} createdAt updatedAt formedAt cleanupAt cleanupBy
	members{position state note ready cvmAddress addedAt formedAt waitsFor choices node{id name cluster{id}} deployment{id state phase progress cluster{id name}}}
	barrier{ready total waitingFor{position node{name} why}}
	formation{kind status leader{name} members{name} action reason message hint culprits{name} evidence command since at}
	health{ok at checks{name address nodeName ok class message hint evidence}}`

const clusterErrs = "errors{code key message field elementIndex retryable}"

var clusterVerbs = map[string]string{
	"deploy":  `mutation($input:DeployClusterInput!){x:deployCluster(input:$input){cluster{` + clusterFields + `} ` + clusterErrs + `}}`,
	"plan":    `query($input:DeployClusterInput!){x:planCluster(input:$input){ok checks{key passed severity message field} nodes{name checks{key passed field}} estimatedDuration command ` + clusterErrs + `}}`,
	"without": `mutation($input:GoOnWithoutNodeInput!){x:goOnWithoutNode(input:$input){cluster{` + clusterFields + `} ` + clusterErrs + `}}`,
	"replace": `mutation($input:ReplaceClusterNodeInput!){x:replaceClusterNode(input:$input){cluster{` + clusterFields + `} ` + clusterErrs + `}}`,
	"cancel":  `mutation($input:CancelClusterInput!){x:cancelCluster(input:$input){cluster{` + clusterFields + `} ` + clusterErrs + `}}`,
	"cleanup": `mutation($input:CleanupClusterInput!){x:cleanupCluster(input:$input){cluster{` + clusterFields + `} plan{node{name} steps{resourceKind name action}} ` + clusterErrs + `}}`,
	"health":  `mutation($input:CheckClusterHealthInput!){x:checkClusterHealth(input:$input){cluster{` + clusterFields + `} ` + clusterErrs + `}}`,
}

func (h *house) cluster(verb string, input m) answer {
	h.t.Helper()
	return h.ok(clusterVerbs[verb], m{"input": input})
}

// hv is a node of a request in full.
func hv(i int) m {
	return m{"name": fmt.Sprintf("hv%02d", i), "spec": m{"ibmVpc": m{"serverProfile": "bx2d-metal-96x384", "network": m{"cvmIp": fmt.Sprintf("10.240.0.%d", 100+i)}}}}
}

func lab(n int) m {
	nodes := []m{}
	for i := range n {
		nodes = append(nodes, hv(i+1))
	}
	return m{"name": "lab", "address": "10.240.0.50", "dnsServers": []string{"10.240.0.2"}, "ntpServers": []string{"ntp.example"}, "nodes": nodes}
}

// barrier brings a deployment to where it waits for the others.
func (h *house) barrier(d lifecycle.Deployed) {
	h.t.Helper()
	require.NoError(h.t, h.writer.Learn(h.t.Context(), lifecycle.NodeFacts{NodeID: d.NodeID, CVMHostKey: "ssh-ed25519 AAAA"}))
	for _, def := range phase.Catalogue(deploy.ProviderIBMVPC) {
		if def.Key == phase.ClusterFormation {
			return
		}
		h.report(d, def.Key, phase.Success, "")
	}
}

func (h *house) lanes(name string) (out []lifecycle.Deployed) {
	h.t.Helper()
	c, err := h.groups.ByName(h.t.Context(), name)
	require.NoError(h.t, err)
	for _, n := range c.Members() {
		out = append(out, lifecycle.Deployed{NodeID: n.NodeID, DeploymentID: n.DeploymentID})
	}
	return out
}

func (h *house) form(d lifecycle.Deployed) deploy.ClusterStand {
	h.t.Helper()
	stand, err := h.groups.Form(h.t.Context(), d.DeploymentID)
	require.NoError(h.t, err)
	return stand
}

func TestClusterLife(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		in := lab(3)
		plan := h.cluster("plan", in)
		require.Empty(t, errs(plan, "x.errors"))
		require.Contains(t, plan.get("x.command"), "'--cluster_external_ip=10.240.0.50'")
		require.Len(t, plan.get("x.nodes"), 3)
		require.Equal(t, "provider", dig(plan.get("x.nodes.0.checks"), "2.key"), plan.Raw)
		require.Equal(t, false, plan.get("x.ok"), "the cloud of this test does not answer")
		require.Nil(t, h.ok(`{cluster(by:{name:"lab"}){id}}`, nil).get("cluster"), "nothing was made")

		in["idempotencyKey"] = "k1"
		a := h.cluster("deploy", in)
		require.Empty(t, errs(a, "x.errors"))
		c := a.get("x.cluster").(m)
		require.Equal(t, "clu_1", c["id"])
		require.Equal(t, "QUEUED", c["state"])
		require.Equal(t, "MULTI_NODE", c["type"])
		require.EqualValues(t, 2, c["redundancyFactor"])
		require.Equal(t, []any{"CANCEL", "CLEANUP"}, c["allowedActions"])
		require.Equal(t, m{"kind": "TOKEN", "name": "tester"}, c["requestedBy"])
		require.EqualValues(t, 0, c["progress"])
		require.Equal(t, "waits for a slot", dig(c, "members.0.waitsFor"))
		require.Equal(t, "clu_1", dig(c, "members.2.node.cluster.id"))
		require.Equal(t, "lab", dig(c, "members.2.deployment.cluster.name"))
		require.Equal(t, "clu_1", h.cluster("deploy", in).get("x.cluster.id"), "the same again is the same")
		other := lab(1)
		other["idempotencyKey"] = "k1"
		require.Equal(t, []string{"IDEMPOTENCY_CONFLICT idempotencyKey"}, errs(h.cluster("deploy", other), "x.errors"))

		list := h.lanes("lab")
		h.barrier(list[0])
		h.barrier(list[1])
		require.Equal(t, deploy.ClusterHold, h.form(list[0]).Move)
		read := func() m {
			return h.ok(`query($by:ClusterBy!){cluster(by:$by){`+clusterFields+`}}`, m{"by": m{"name": "lab"}}).get("cluster").(m)
		}
		c = read()
		require.Equal(t, "INSTALLING", c["state"])
		require.Equal(t, m{"ready": 2.0, "total": 3.0, "waitingFor": []any{m{"position": 3.0, "node": m{"name": "hv03"}, "why": "waits for a slot"}}}, c["barrier"])
		require.Equal(t, true, dig(c, "members.0.ready"))
		require.Contains(t, dig(c, "members.0.waitsFor"), "2 of 3 nodes of lab are ready")
		require.InDelta(t, (2*dig(c, "members.0.deployment.progress").(float64))/3, c["progress"], 1e-9, "the mean of all three")

		h.barrier(list[2])
		h.cvms.say(cvm.Decision{Action: cvm.ActionWait, Reason: cvm.ReasonUnreached, Message: "10.240.0.102 does not answer", Members: []netip.Addr{netip.MustParseAddr("10.240.0.102")}, Evidence: []string{"i/o timeout"}})
		require.Equal(t, deploy.ClusterGo, h.form(list[0]).Move)
		c = read()
		require.Equal(t, "FORMING", c["state"])
		f := c["formation"].(m)
		require.Equal(t, []any{"CREATE", "RUNNING", m{"name": "hv01"}, "wait", "member_unreached", []any{m{"name": "hv02"}}, []any{"i/o timeout"}}, []any{f["kind"], f["status"], f["leader"], f["action"], f["reason"], f["culprits"], f["evidence"]})
		require.Contains(t, f["command"], "create")
		require.Len(t, f["members"], 3)
		require.Equal(t, "10.240.0.102 does not answer", dig(c, "members.0.waitsFor"))
		require.Equal(t, "hv01 forms the cluster: 10.240.0.102 does not answer", dig(c, "members.1.waitsFor"))
		h.cvms.say(cvm.Decision{})
		for _, d := range list {
			require.Equal(t, deploy.ClusterDone, h.form(d).Move)
		}
		require.Equal(t, "VALIDATING", read()["state"])
		a = h.cluster("health", m{"id": "clu_1"})
		require.Empty(t, errs(a, "x.errors"))
		require.Equal(t, m{"name": "cvm_answers", "address": "10.240.0.101", "nodeName": "hv01", "ok": true, "class": nil, "message": "it answers", "hint": nil, "evidence": []any{"up"}}, a.get("x.cluster.health.checks.0"))

		// Grown, gone on without the new one, and cleaned up.
		join := m{"operation": "JOIN_EXISTING", "clusterId": "clu_1", "nodes": []m{hv(4)}}
		require.Equal(t, "GROWING", h.cluster("deploy", join).get("x.cluster.state"))
		require.Equal(t, []string{"OUT_OF_RANGE clusterId"}, errs(h.cluster("deploy", m{"operation": "JOIN_EXISTING", "clusterId": "clu_1", "nodes": []m{hv(5)}}), "x.errors"))
		four := h.lanes("lab")[3]
		require.Equal(t, []string{"WRONG_STATE"}, errs(h.cluster("without", m{"id": "clu_1", "nodeId": nodeOf(list[0])}), "x.errors"))
		a = h.cluster("without", m{"id": "clu_1", "nodeId": nodeOf(four), "reason": "slow"})
		require.Equal(t, "LATE", a.get("x.cluster.members.3.state"))
		require.Contains(t, a.get("x.cluster.members.3.note"), "slow")

		require.Equal(t, []string{"CONFIRMATION_MISMATCH confirmName"}, errs(h.cluster("cleanup", m{"id": "clu_1", "confirmName": "LAB"}), "x.errors"))
		require.Equal(t, []string{"CONFIRMATION_MISMATCH confirmName"}, errs(h.cluster("cleanup", m{"id": "clu_1"}), "x.errors"))
		h.cloud.release = func(r deploy.Release) ([]deploy.ReleaseStep, error) {
			return []deploy.ReleaseStep{{ResourceID: 1, Kind: "server", Name: "slw-" + r.NodeName, Action: "delete", Status: deploy.ReleaseWaiting}}, nil
		}
		a = h.cluster("cleanup", m{"id": "clu_1", "dryRun": true})
		require.Empty(t, errs(a, "x.errors"))
		require.Len(t, a.get("x.plan"), 4)
		require.Equal(t, m{"node": m{"name": "hv02"}, "steps": []any{m{"resourceKind": "server", "name": "slw-hv02", "action": "delete"}}}, a.get("x.plan.1"))
		require.Nil(t, read()["cleanupAt"], "nothing was done")
		a = h.cluster("cleanup", m{"id": "clu_1", "confirmName": "lab"})
		require.Equal(t, "CLEANING_UP", a.get("x.cluster.state"), a.Raw)
		require.Equal(t, "tester", a.get("x.cluster.cleanupBy"))
		require.Equal(t, []string{"WRONG_STATE"}, errs(h.cluster("cleanup", m{"id": "clu_1", "confirmName": "lab"}), "x.errors"))
		require.Equal(t, []string{"WRONG_STATE"}, errs(h.cluster("cancel", m{"id": "clu_1"}), "x.errors"))
		require.Equal(t, []string{"WRONG_STATE"}, errs(h.cluster("health", m{"id": "clu_1"}), "x.errors"))
	})
}

// What becomes of a node afterwards is not the cluster's any more.
func TestACleanedUpClusterStaysSo(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.cluster("deploy", m{"name": "one", "nodes": []m{hv(1)}})
		list := h.lanes("one")
		require.Empty(t, errs(h.cluster("cleanup", m{"id": "clu_1", "confirmName": "one"}), "x.errors"))
		_, err := h.writer.Report(t.Context(), lifecycle.Report{
			DeploymentID: list[0].DeploymentID, Phase: phase.Cleanup, Status: phase.Success, Source: deploy.SourceOrchestrator, Actor: deploy.System, As: phase.ByWorkflow,
		})
		require.NoError(t, err)
		const doc = `{cluster(by:{name:"one"}){state members{state node{cluster{id}} deployment{id state}}}}`
		was := m{"id": "dep_1", "state": "CLEANED_UP"}
		a := h.ok(doc, nil)
		require.Equal(t, []any{"CLEANED_UP", was, "clu_1"}, []any{a.get("cluster.state"), a.get("cluster.members.0.deployment"), a.get("cluster.members.0.node.cluster.id")})
		h.order("hv01")
		a = h.ok(doc, nil)
		require.Equal(t, []any{"CLEANED_UP", was}, []any{a.get("cluster.state"), a.get("cluster.members.0.deployment")})
		require.Nil(t, a.get("cluster.members.0.node.cluster"))
		require.Empty(t, errs(h.cluster("deploy", m{"name": "one", "nodes": []m{hv(2)}}), "x.errors"), "the name is free")
		require.Equal(t, "QUEUED", h.ok(doc, nil).get("cluster.state"), "a name is that of the one that is there")
	})
}

func TestClusterErrorsNameTheirFields(t *testing.T) {
	h := build(t, storetest.SQLite(t))
	with := func(change func(in m)) m {
		in := lab(3)
		change(in)
		return in
	}
	node := func(in m, i int) m { return in["nodes"].([]m)[i] }
	for name, tc := range map[string]struct {
		in   m
		want []string
	}{
		"no name":       {with(func(in m) { delete(in, "name") }), []string{"REQUIRED name"}},
		"two nodes":     {lab(2), []string{"OUT_OF_RANGE nodes"}},
		"no nodes":      {lab(0), []string{"REQUIRED nodes"}},
		"too many":      {lab(21), []string{"OUT_OF_RANGE nodes"}},
		"type":          {with(func(in m) { in["type"] = "SINGLE_NODE" }), []string{"CONFLICT type"}},
		"redundancy":    {with(func(in m) { in["redundancyFactor"] = 1 }), []string{"OUT_OF_RANGE redundancyFactor"}},
		"none":          {with(func(in m) { in["redundancyFactor"] = 0 }), []string{"OUT_OF_RANGE redundancyFactor"}},
		"address":       {with(func(in m) { in["address"] = "10.240.0.102" }), []string{"CONFLICT address"}},
		"twice":         {with(func(in m) { in["nodes"].([]m)[2] = hv(1) }), []string{"CONFLICT nodes.2 #2"}},
		"address twice": {with(func(in m) { node(in, 2)["spec"] = hv(1)["spec"] }), []string{"CONFLICT nodes.2.spec.ibmVpc.network.cvmIp #2"}},
		"name of node":  {with(func(in m) { node(in, 1)["name"] = "HV" }), []string{"INVALID nodes.1.name #1"}},
		"no node":       {with(func(in m) { in["nodes"].([]m)[1] = m{} }), []string{"REQUIRED nodes.1.name #1"}},
		"unknown":       {with(func(in m) { in["nodes"].([]m)[1] = m{"nodeId": "node_77"} }), []string{"NOT_FOUND nodes.1.nodeId #1"}},
		"no id":         {with(func(in m) { in["nodes"].([]m)[1] = m{"nodeId": "dep_1"} }), []string{"NOT_FOUND nodes.1.nodeId #1"}},
		"no such name":  {with(func(in m) { in["nodes"].([]m)[1] = m{"name": "hv77"} }), []string{"NOT_FOUND nodes.1.name #1"}},
		"two specs": {with(func(in m) {
			node(in, 0)["spec"] = m{"ibmVpc": m{"serverProfile": "p"}, "rack": m{"managementIp": "10.0.0.1"}}
		}), []string{"INVALID nodes.0.spec #0"}},
		"script":  {with(func(in m) { node(in, 0)["spec"] = m{"script": m{"document": m{}}} }), []string{"INVALID nodes.0.spec.script.document #0"}},
		"profile": {with(func(in m) { node(in, 0)["spec"] = m{"ibmVpc": m{"serverProfile": ""}} }), []string{"REQUIRED nodes.0.spec.ibmVpc.serverProfile #0"}},
		"rack": {with(func(in m) {
			node(in, 0)["spec"] = m{"rack": m{"managementIp": "10.240.0.9", "mac": "52:54:00:00:00:01"}}
		}), []string{"REQUIRED nodes.0.spec.rack.cvmIp #0"}},
		"labels":     {with(func(in m) { node(in, 0)["labels"] = []m{{"key": "a", "value": "1"}, {"key": "a", "value": "2"}} }), []string{"INVALID nodes.0.labels.1.key #0"}},
		"cluster":    {with(func(in m) { in["clusterId"] = "clu_9" }), []string{"CONFLICT clusterId"}},
		"no cluster": {m{"operation": "JOIN_EXISTING", "clusterId": "clu_9", "nodes": []m{hv(1)}}, []string{"NOT_FOUND clusterId"}},
		"which":      {m{"operation": "JOIN_EXISTING", "nodes": []m{hv(1)}}, []string{"REQUIRED clusterId"}},
		"no id of a": {m{"operation": "JOIN_EXISTING", "clusterId": "node_1", "nodes": []m{hv(1)}}, []string{"NOT_FOUND clusterId"}},
		"key":        {with(func(in m) { in["idempotencyKey"] = strings.Repeat("k", 201) }), []string{"OUT_OF_RANGE idempotencyKey"}},
	} {
		t.Run(name, func(t *testing.T) {
			a := h.cluster("deploy", tc.in)
			require.Subset(t, errs(a, "x.errors"), tc.want, a.Raw)
			require.Nil(t, a.get("x.cluster"))
			require.NotRegexp(t, `^\d+ `, a.get("x.errors.0.message"), "a message is no path")
			plan := h.cluster("plan", tc.in)
			require.NotEqual(t, true, plan.get("x.ok"), plan.Raw)
		})
	}
	require.Zero(t, h.count("clusters"))
	require.Zero(t, h.count("nodes"), "nothing was made")
	for verb, in := range map[string]m{
		"without": {"id": "clu_9", "nodeId": "node_1"}, "replace": {"id": "clu_9", "nodeId": "node_1", "by": hv(7)}, "cancel": {"id": "clu_9"}, "cleanup": {"id": "clu_9", "confirmName": "x"}, "health": {"id": "clu_9"},
	} {
		require.Equal(t, []string{"NOT_FOUND"}, errs(h.cluster(verb, in), "x.errors"), verb)
		in["id"] = "lab"
		require.Equal(t, []string{"NOT_FOUND id"}, errs(h.cluster(verb, in), "x.errors"), verb)
	}
	require.Equal(t, []string{"NOT_FOUND nodeId"}, errs(h.cluster("without", m{"id": "clu_1", "nodeId": "?"}), "x.errors"))
	require.Equal(t, []string{"REQUIRED by.name"}, errs(h.cluster("replace", m{"id": "clu_1", "nodeId": "node_1", "by": m{}}), "x.errors"))
	require.Equal(t, []string{"OUT_OF_RANGE reason"}, errs(h.cluster("cancel", m{"id": "clu_1", "reason": strings.Repeat("r", 501)}), "x.errors"))
}

func TestWhoMayDoWhatWithClusters(t *testing.T) {
	h := build(t, storetest.SQLite(t))
	for verb, in := range map[string]m{
		"deploy": lab(3), "plan": lab(3), "without": {"id": "clu_1", "nodeId": "node_1"}, "replace": {"id": "clu_1", "nodeId": "node_1", "by": hv(7)},
		"cancel": {"id": "clu_1"}, "cleanup": {"id": "clu_1", "dryRun": true}, "health": {"id": "clu_1"},
	} {
		require.Equal(t, "FORBIDDEN", h.as("viewer", clusterVerbs[verb], m{"input": in}).code(t), verb)
	}
	require.Zero(t, h.count("clusters"))
	require.Empty(t, h.as("viewer", `{clusters{nodes{`+clusterFields+`}} cluster(by:{id:"clu_1"}){id}}`, nil).Errors)
}

func TestClustersWithoutTheService(t *testing.T) {
	h := build(t, storetest.SQLite(t))
	d := h.deps
	d.Clusters = nil
	h.handler = graph.NewHandler(d)
	for verb, in := range map[string]m{"deploy": lab(3), "plan": lab(3), "health": {"id": "clu_1"}} {
		require.Equal(t, []string{"WRONG_STATE"}, errs(h.cluster(verb, in), "x.errors"), verb)
	}
	a := h.ok(`{clusters{nodes{id}} cluster(by:{name:"lab"}){id} bareMetalNodes{nodes{cluster{id}}}}`, nil)
	require.Empty(t, a.get("clusters.nodes"))
	require.Nil(t, a.get("cluster"))
}

func TestAMemberIsReplaced(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.cluster("deploy", lab(3))
		list := h.lanes("lab")
		require.Equal(t, []string{"RUN_ACTIVE"}, errs(h.cluster("replace", m{"id": "clu_1", "nodeId": nodeOf(list[1]), "by": hv(7)}), "x.errors"))
		h.report(list[1], phase.Pending, phase.Success, "")
		h.report(list[1], phase.ServerRequested, phase.FailedRun, "no capacity")
		c := h.ok(`{cluster(by:{id:"clu_1"}){`+clusterFields+`}}`, nil).get("cluster").(m)
		require.Equal(t, "BLOCKED", c["state"])
		require.Equal(t, []any{"RETRY", "REPLACE"}, dig(c, "members.1.choices"))
		require.Equal(t, "failed at “Server ordered”: no capacity", dig(c, "members.1.waitsFor"))
		by := func(change m) m { return m{"id": "clu_1", "nodeId": nodeOf(list[1]), "by": change} }
		bad := hv(7)
		bad["spec"] = m{"ibmVpc": m{"serverProfile": ""}}
		require.Equal(t, []string{"REQUIRED by.spec.ibmVpc.serverProfile"}, errs(h.cluster("replace", by(bad)), "x.errors"))
		require.Equal(t, []string{"CONFLICT by.spec.ibmVpc.network.cvmIp"}, errs(h.cluster("replace", by(m{"name": "hv07", "spec": hv(1)["spec"]})), "x.errors"))
		require.Equal(t, []string{"CONFLICT by"}, errs(h.cluster("replace", by(m{"name": "hv01"})), "x.errors"), "it is a member already")
		a := h.cluster("replace", by(hv(7)))
		require.Empty(t, errs(a, "x.errors"))
		require.Equal(t, "QUEUED", a.get("x.cluster.state"), "it is not blocked any more")
		var seen []string
		for _, one := range a.get("x.cluster.members").([]any) {
			seen = append(seen, fmt.Sprint(dig(one, "position"), " ", dig(one, "node.name"), " ", dig(one, "state"), " ", dig(one, "node.cluster.id"), " ", dig(one, "deployment.id") != nil))
		}
		require.Equal(t, []string{"1 hv01 MEMBER clu_1 true", "2 hv02 REPLACED <nil> false", "2 hv07 MEMBER clu_1 true", "3 hv03 MEMBER clu_1 true"}, seen)
	})
}

func TestClustersArePagedAndChosen(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		for i := range 5 {
			require.Empty(t, errs(h.cluster("deploy", m{"name": fmt.Sprintf("lab%d", i), "nodes": []m{hv(i + 1)}}), "x.errors"))
		}
		require.Equal(t, "CANCELED", h.cluster("cancel", m{"id": "clu_4"}).get("x.cluster.state"))
		read := func(filter m) (names []string) {
			var after any
			for {
				a := h.ok(`query($after:Cursor,$filter:ClusterFilter){clusters(first:2,after:$after,filter:$filter){pageInfo{hasNextPage hasPreviousPage endCursor} edges{cursor node{name}} nodes{name}}}`, m{"after": after, "filter": filter})
				require.Equal(t, after != nil, a.get("clusters.pageInfo.hasPreviousPage"))
				for _, n := range a.get("clusters.nodes").([]any) {
					names = append(names, dig(n, "name").(string))
				}
				if a.get("clusters.pageInfo.hasNextPage") != true {
					return names
				}
				after = a.get("clusters.pageInfo.endCursor")
			}
		}
		require.Equal(t, []string{"lab4", "lab3", "lab2", "lab1", "lab0"}, read(nil))
		require.Equal(t, []string{"lab4", "lab2", "lab1", "lab0"}, read(m{"states": []string{"QUEUED"}}))
		require.Equal(t, []string{"lab3"}, read(m{"text": " HV04 "}))
		require.Empty(t, read(m{"states": []string{"DEPLOYED"}, "text": "lab"}))
		for _, bad := range []string{`first:0`, `first:201`, `after:"x"`, `filter:{text:"` + strings.Repeat("x", 201) + `"}`} {
			require.Contains(t, []string{"OUT_OF_RANGE", "INVALID"}, h.as("viewer", `{clusters(`+bad+`){nodes{id}}}`, nil).code(t), bad)
		}
		require.Equal(t, "INVALID", h.as("viewer", `query($by:ClusterBy!){cluster(by:$by){id}}`, m{"by": m{"id": "clu_1", "name": "lab0"}}).code(t))
		a := h.ok(`{nodes(ids:["clu_2","clu_99","node_1"]){__typename id ... on Cluster{name members{node{name}}}} node(id:"clu_1"){id}}`, nil)
		require.Equal(t, []any{m{"__typename": "Cluster", "id": "clu_2", "name": "lab1", "members": []any{m{"node": m{"name": "hv02"}}}}, nil, m{"__typename": "BareMetalNode", "id": "node_1"}}, a.get("nodes"))
		require.Equal(t, "clu_1", a.get("node.id"))
	})
}

// However many clusters and nodes are read, the number of questions is the same.
func TestClustersAreReadAtOnce(t *testing.T) {
	h := build(t, storetest.SQLite(t))
	const doc = `{clusters(first:10){nodes{name progress members{node{name cluster{name members{node{name}}}} deployment{state progress cluster{name}}} barrier{waitingFor{node{name}}}}} bareMetalNodes{nodes{cluster{name}}}}`
	questions := func() int64 {
		before := h.queries.Load()
		h.ok(doc, nil)
		return h.queries.Load() - before
	}
	h.cluster("deploy", lab(3))
	few := questions()
	for i := range 4 {
		require.Empty(t, errs(h.cluster("deploy", m{"name": fmt.Sprintf("one%d", i), "nodes": []m{hv(10 + i)}}), "x.errors"))
	}
	require.Equal(t, few, questions())
	require.Equal(t, "QUERY_TOO_COMPLEX", strings.Replace(h.as("viewer", `{clusters(first:200){nodes{members{deployment{phases{key}} node{deployments(first:200){nodes{id}}}}}}}`, nil).code(t), "COMPLEXITY_LIMIT_EXCEEDED", "QUERY_TOO_COMPLEX", 1))
}

const clusterChanges = `subscription($id:ID!,$after:Cursor){clusterChanges(id:$id,after:$after,heartbeatSeconds:1){__typename ... on ClusterUpdate{cursor at cluster{state version progress members{state deployment{state phase}} formation{message} cursor}} ... on StreamHeartbeat{cursor staleSince} ... on StreamReset{reason cursor}}}`

// update waits for the next cluster that is as wanted.
func (s *socket) update(want func(c m) bool) m {
	s.t.Helper()
	for {
		got := s.next()
		if got["__typename"] == "ClusterUpdate" && want(got["cluster"].(m)) {
			return got
		}
	}
}

func TestClusterIsFollowed(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.cluster("deploy", lab(3))
		list := h.lanes("lab")
		s := h.subscribe(clusterChanges, m{"id": "clu_1"})
		first := s.next()
		require.Equal(t, "QUEUED", dig(first, "cluster.state"))
		for _, d := range list {
			h.barrier(d)
		}
		s.update(func(c m) bool { return c["state"] == "INSTALLING" })
		forming := s.update(func(c m) bool { return c["state"] == "FORMING" })
		// The row of the cluster changes, and no node of it.
		h.cvms.say(cvm.Decision{Action: cvm.ActionWait, Reason: cvm.ReasonStarting, Message: "services start"})
		h.form(list[0])
		told := s.update(func(c m) bool { return dig(c, "formation.message") == "services start" })
		require.Greater(t, dig(told, "cluster.version"), dig(forming, "cluster.version"))
		s.drop()

		// What happened meanwhile is in the first message; then it is live again.
		h.cvms.say(cvm.Decision{})
		for _, d := range list {
			h.form(d)
		}
		s = h.subscribe(clusterChanges, m{"id": "clu_1", "after": told["cursor"]})
		require.Equal(t, "VALIDATING", dig(s.next(), "cluster.state"))
		last := h.report(list[0], phase.ClusterFormation, phase.Success, "")
		s.update(func(c m) bool { return dig(c, "members.0.deployment.phase") != "CLUSTER_FORMATION" })
		h.order("stranger") // of no concern
		beat := s.next()
		for beat["__typename"] != "StreamHeartbeat" {
			require.Equal(t, "ClusterUpdate", beat["__typename"], "nothing else is told")
			beat = s.next()
		}
		c, err := feed.ParseCursor(beat["cursor"].(string))
		require.NoError(t, err)
		require.GreaterOrEqual(t, c.Position, last.Position, "a sign of life moves the cursor")
		require.Nil(t, beat["staleSince"])
	})
}

// What no transaction of ours told of is found all the same, only later.
func TestAClustersRowThatNobodyToldOf(t *testing.T) {
	h := build(t, storetest.SQLite(t), func(d *graph.Deps, _ *feed.Options) { d.ClusterEvery = 5 * time.Millisecond })
	h.cluster("deploy", lab(3))
	s := h.subscribe(clusterChanges, m{"id": "clu_1"})
	first := s.next()
	_, err := h.st.Write.ExecContext(t.Context(), `UPDATE clusters SET version = version + 1`)
	require.NoError(t, err)
	s.update(func(c m) bool { return dig(c, "version").(float64) > dig(first, "cluster.version").(float64) })
}

func TestClusterStreamRefusesAndBeginsAnew(t *testing.T) {
	h := build(t, storetest.SQLite(t))
	h.cluster("deploy", lab(3))
	for _, id := range []string{"clu_99", "node_1", "lab"} {
		msg := h.subscribe(clusterChanges, m{"id": id}).message()
		require.Contains(t, fmt.Sprint(msg), "NOT_FOUND", id)
	}
	require.Contains(t, fmt.Sprint(h.subscribe(clusterChanges, m{"id": "clu_1", "after": "x"}).message()), "INVALID")
	foreign := h.feed.Head()
	foreign.Epoch = strings.Repeat("0", len(foreign.Epoch))
	s := h.subscribe(clusterChanges, m{"id": "clu_1", "after": foreign.String()})
	reset := s.next()
	require.Equal(t, []any{"StreamReset", "CURSOR_UNKNOWN"}, []any{reset["__typename"], reset["reason"]})
	require.Equal(t, "QUEUED", dig(s.next(), "cluster.state"), "what follows is the cluster as it is")
}

// Events are those of the machines that belong to the cluster.
func TestEventsOfACluster(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.cluster("deploy", lab(3))
		other := h.order("stranger")
		last := h.report(h.lanes("lab")[0], phase.Pending, phase.Success, "")
		h.seen(last.Position)
		const doc = `query($f:DeploymentEventFilter){deploymentEvents(first:50,filter:$f){nodes{bareMetalNode{name}}} recentEvents(first:50,filter:$f){nodes{bareMetalNode{name}}}}`
		names := func(filter m) map[string]bool {
			out := map[string]bool{}
			a := h.ok(doc, m{"f": filter})
			require.Len(t, a.get("recentEvents.nodes"), len(a.get("deploymentEvents.nodes").([]any)))
			for _, n := range a.get("deploymentEvents.nodes").([]any) {
				out[dig(n, "bareMetalNode.name").(string)] = true
			}
			return out
		}
		require.Equal(t, map[string]bool{"hv01": true, "hv02": true, "hv03": true}, names(m{"clusterId": "clu_1"}))
		require.Equal(t, map[string]bool{"hv01": true}, names(m{"clusterId": "clu_1", "nodeIds": []string{nodeOf(h.lanes("lab")[0]), nodeOf(other)}}))
		for _, none := range []m{{"clusterId": "clu_9"}, {"clusterId": "x"}, {"clusterId": "clu_1", "nodeIds": []string{nodeOf(other)}}} {
			require.Empty(t, names(none))
		}
		s := h.subscribe(`subscription($f:DeploymentEventFilter){deploymentEvents(filter:$f){... on DeploymentEventBatch{events{bareMetalNode{name} phase}}}}`, m{"f": m{"clusterId": "clu_1"}})
		defer s.drop()
		require.Eventually(t, func() bool { return h.feed.Streams() > 0 }, 2*time.Minute, time.Millisecond)
		h.report(other, phase.Pending, phase.Success, "")
		h.report(h.lanes("lab")[1], phase.Pending, phase.Success, "")
		for {
			if got, _ := s.next()["events"].([]any); len(got) > 0 {
				require.Equal(t, "hv02", dig(got[0], "bareMetalNode.name"))
				return
			}
		}
	})
}

var _ cluster.CVMs = (*controllers)(nil)
