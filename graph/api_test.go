package graph_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

func each(t *testing.T, fn func(t *testing.T, h *house)) {
	storetest.Each(t, func(t *testing.T, st *store.Store) { fn(t, build(t, st)) })
}

type m = map[string]any

func vpc(name string) m {
	return m{"name": name, "spec": m{"ibmVpc": m{"serverProfile": "bx2d-metal-96x384", "zone": "us-south-1"}}}
}

// errs gives code, field and index of a payload's errors.
func errs(a answer, path string) []string {
	var out []string
	list, _ := a.get(path).([]any)
	for _, e := range list {
		line := fmt.Sprint(dig(e, "code"))
		if f, ok := dig(e, "field").([]any); ok {
			parts := make([]string, len(f))
			for i, p := range f {
				parts[i] = p.(string)
			}
			line += " " + strings.Join(parts, ".")
		}
		if i := dig(e, "elementIndex"); i != nil {
			line += fmt.Sprintf(" #%v", i)
		}
		out = append(out, line)
	}
	return out
}

func TestDeployAndRead(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		in := vpc("alpha")
		in["labels"] = []m{{"key": "b", "value": "2"}, {"key": "a", "value": "1"}}
		in["idempotencyKey"] = "k1"
		a := h.ok(operation(t, "Deploy"), m{"input": in})
		require.Empty(t, errs(a, "deployNode.errors"))
		d := a.get("deployNode.deployment").(m)
		require.Equal(t, "QUEUED", d["state"])
		require.Equal(t, "PENDING", d["phase"])
		require.Equal(t, "WAITING", d["phaseStatus"])
		require.EqualValues(t, 0, d["progress"])
		require.EqualValues(t, 1, d["number"])
		require.Equal(t, m{"kind": "TOKEN", "name": "tester"}, d["requestedBy"])
		require.Equal(t, "slot", dig(d, "stuckReason.code"))
		require.Equal(t, "us-south-1", dig(d, "config.zone"))
		require.Nil(t, d["estimatedFinishAt"])
		require.Equal(t, []any{m{"key": "a", "value": "1"}, m{"key": "b", "value": "2"}}, dig(d, "node.labels"))
		require.Equal(t, "IBM_VPC", dig(d, "node.provider"))
		require.Equal(t, d["id"], dig(d, "node.currentDeployment.id"))

		// The same again is the same; the same key for something else is refused.
		again := h.ok(operation(t, "Deploy"), m{"input": in})
		require.Equal(t, d["id"], again.get("deployNode.deployment.id"))
		other := vpc("beta")
		other["idempotencyKey"] = "k1"
		a = h.ok(operation(t, "Deploy"), m{"input": other})
		require.Equal(t, []string{"IDEMPOTENCY_CONFLICT idempotencyKey"}, errs(a, "deployNode.errors"))
		require.Nil(t, a.get("deployNode.deployment"))

		// The name is taken.
		a = h.ok(operation(t, "Deploy"), m{"input": vpc("alpha")})
		require.Equal(t, []string{"NAME_IN_USE name"}, errs(a, "deployNode.errors"))

		// Read by each way.
		node := d["node"].(m)
		byID := h.ok(operation(t, "NodePage"), m{"id": node["id"]})
		require.Equal(t, "BareMetalNode", byID.get("node.__typename"))
		require.EqualValues(t, 1, byID.get("node.deployments.totalCount"))
		require.Equal(t, node["version"], byID.get("node.version"))
		dep := h.ok(operation(t, "DeploymentPage"), m{"id": d["id"], "first": 10})
		require.Equal(t, "alpha", dep.get("deployment.node.name"))
		require.Equal(t, "WAITING", dep.get("deployment.phases.0.status"))
		require.Equal(t, "a free slot", dep.get("deployment.phases.0.awaiting"))
		require.NotNil(t, dep.get("deployment.phases.0.deadlineAt"))
		event := dep.get("deployment.events.nodes.0").(m)
		require.EqualValues(t, 1, event["sequence"])
		require.Equal(t, "QUEUED", event["state"])
		ev := h.ok(operation(t, "EventPage"), m{"id": event["id"]})
		require.Equal(t, d["id"], ev.get("node.deployment.id"))
		require.Equal(t, "alpha", ev.get("node.bareMetalNode.name"))
		for _, by := range []m{{"id": node["id"]}, {"name": "alpha"}} {
			a := h.ok(`query($by:BareMetalNodeBy!){bareMetalNode(by:$by){name}}`, m{"by": by})
			require.Equal(t, "alpha", a.get("bareMetalNode.name"))
		}
		a = h.ok(`query($ids:[ID!]!){nodes(ids:$ids){id} deployment(id:"dep_999999"){id} bareMetalNode(by:{name:"nobody"}){id} deploymentBatch(id:"node_1"){id}}`,
			m{"ids": []any{event["id"], "node_0", node["id"], "x", d["id"], "bat_77"}})
		require.Equal(t, event["id"], a.get("nodes.0.id"))
		require.Nil(t, a.get("nodes.1"))
		require.Equal(t, node["id"], a.get("nodes.2.id"))
		require.Nil(t, a.get("nodes.3"))
		require.Equal(t, d["id"], a.get("nodes.4.id"))
		require.Nil(t, a.get("deployment"))
		require.Nil(t, a.get("bareMetalNode"))
	})
}

func TestDeployRefusals(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		rack := m{"mac": "02-00-00-00-00-01", "managementIp": "10.0.0.7"}
		for name, tc := range map[string]struct {
			input m
			want  []string
		}{
			"no branch":       {m{"name": "a1", "spec": m{}}, []string{"INVALID spec"}},
			"both branches":   {m{"name": "a1", "spec": m{"ibmVpc": m{"serverProfile": "p"}, "rack": rack}}, []string{"INVALID spec"}},
			"name":            {m{"name": "Not-A-Label", "spec": m{"rack": rack}}, []string{"INVALID name"}},
			"empty name":      {m{"name": "", "spec": m{"rack": rack}}, []string{"REQUIRED name"}},
			"all at once":     {m{"name": strings.Repeat("n", 41), "spec": m{"ibmVpc": m{"serverProfile": ""}}}, []string{"OUT_OF_RANGE name", "REQUIRED spec.ibmVpc.serverProfile"}},
			"label twice":     {m{"name": "a1", "spec": m{"rack": rack}, "labels": []m{{"key": "k", "value": "1"}, {"key": "k", "value": "2"}}}, []string{"INVALID labels.1.key"}},
			"too many DNS":    {m{"name": "a1", "spec": m{"ibmVpc": m{"serverProfile": "p", "network": m{"dnsServers": []string{"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"}}}}}, []string{"OUT_OF_RANGE spec.ibmVpc.network.dnsServers"}},
			"too many nets":   {m{"name": "a1", "spec": m{"ibmVpc": m{"serverProfile": "p", "workloadSubnets": []string{"1", "2", "3", "4", "5", "6", "7", "8"}}}}, []string{"OUT_OF_RANGE spec.ibmVpc.workloadSubnets"}},
			"long everything": {m{"name": "a1", "spec": m{"ibmVpc": m{"serverProfile": strings.Repeat("p", 200)}}, "clusterName": strings.Repeat("c", 64)}, []string{"OUT_OF_RANGE spec.ibmVpc.serverProfile", "OUT_OF_RANGE clusterName"}},
		} {
			a := h.ok(operation(t, "Deploy"), m{"input": tc.input})
			require.ElementsMatch(t, tc.want, errs(a, "deployNode.errors"), name)
			require.Nil(t, a.get("deployNode.deployment"), name)
			for _, e := range a.get("deployNode.errors").([]any) {
				require.NotEmpty(t, dig(e, "message"))
			}
		}
		count := h.ok(`{bareMetalNodes{totalCount}}`, nil)
		require.EqualValues(t, 0, count.get("bareMetalNodes.totalCount"), "nothing was made")

		// What is no value of its scalar is a request error that names it.
		for _, v := range []any{m{"mac": "xx", "managementIp": "10.0.0.7"}, m{"mac": "02:00:00:00:00:01", "managementIp": "10.0.0"}, m{"mac": "02:00:00:00:00:01", "managementIp": "10.0.0.7", "storage": []any{}}} {
			a := h.as("operator", operation(t, "Deploy"), m{"input": m{"name": "a1", "spec": m{"rack": v}}})
			require.Contains(t, []string{"INVALID", "GRAPHQL_VALIDATION_FAILED"}, a.code(t), a.Raw)
			require.NotContains(t, a.Raw, "internal")
		}
	})
}

func TestRackRegisterUpdate(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		reg := m{"name": "rack-1", "serverProfile": "r740", "managementIp": "10.0.0.7", "macAddresses": []string{"02-00-00-00-00-AA"}, "labels": []m{{"key": "row", "value": "7"}}}
		a := h.ok(operation(t, "Register"), m{"input": reg})
		require.Empty(t, errs(a, "registerNode.errors"))
		n := a.get("registerNode.bareMetalNode").(m)
		require.Equal(t, []any{"02:00:00:00:00:aa"}, n["macAddresses"])
		require.Equal(t, "RACK", n["provider"])
		require.Equal(t, "pending", n["deploymentStatus"])
		require.Nil(t, n["state"])
		require.Nil(t, n["currentDeployment"])

		a = h.ok(operation(t, "Register"), m{"input": reg})
		require.Equal(t, []string{"NAME_IN_USE name"}, errs(a, "registerNode.errors"))
		reg["name"] = "rack-2"
		a = h.ok(operation(t, "Register"), m{"input": reg})
		require.Equal(t, []string{"ALREADY_EXISTS managementIp"}, errs(a, "registerNode.errors"))
		a = h.ok(operation(t, "Register"), m{"input": m{"name": "x", "serverProfile": strings.Repeat("p", 129), "provider": "SCRIPT"}})
		require.Equal(t, []string{"OUT_OF_RANGE serverProfile"}, errs(a, "registerNode.errors"))
		a = h.ok(operation(t, "Register"), m{"input": m{"name": "x", "serverProfile": "p", "provider": "SCRIPT"}})
		require.Equal(t, []string{"INVALID provider"}, errs(a, "registerNode.errors"))

		// Rename and label; an old version is refused; labels alone stay.
		up := func(v any, more m) answer {
			in := m{"id": n["id"], "expectedVersion": v}
			for k, x := range more {
				in[k] = x
			}
			return h.ok(operation(t, "Update"), m{"input": in})
		}
		a = up(n["version"], m{"name": "rack-7", "labels": []m{}})
		require.Empty(t, errs(a, "updateNode.errors"))
		require.Equal(t, "rack-7", a.get("updateNode.bareMetalNode.name"))
		require.Equal(t, []any{}, a.get("updateNode.bareMetalNode.labels"))
		require.EqualValues(t, n["version"].(float64)+1, a.get("updateNode.bareMetalNode.version"))
		a = up(n["version"], m{"name": "late"})
		require.Equal(t, []string{"VERSION_MISMATCH"}, errs(a, "updateNode.errors"))
		require.Equal(t, true, a.get("updateNode.errors.0.retryable"))
		for _, id := range []string{"node_424242", "dep_1", "?"} {
			a = h.ok(operation(t, "Update"), m{"input": m{"id": id, "expectedVersion": 1}})
			require.Contains(t, errs(a, "updateNode.errors")[0], "NOT_FOUND")
		}

		// Deploying a registered name deploys that machine.
		a = h.ok(operation(t, "Deploy"), m{"input": m{"name": "rack-7", "spec": m{"rack": m{"mac": "02:00:00:00:00:aa", "managementIp": "10.0.0.7"}}}})
		require.Empty(t, errs(a, "deployNode.errors"))
		require.Equal(t, n["id"], a.get("deployNode.deployment.node.id"))
		a = h.ok(`query($by:BareMetalNodeBy!){bareMetalNode(by:$by){name}}`, m{"by": m{"managementIp": "10.0.0.7"}})
		require.Equal(t, "rack-7", a.get("bareMetalNode.name"))
		// The validator does not check @oneOf in variables.
		for _, by := range []m{{}, {"name": "rack-7", "managementIp": "10.0.0.7"}} {
			a := h.as("viewer", `query($by:BareMetalNodeBy!){bareMetalNode(by:$by){name}}`, m{"by": by})
			require.Contains(t, []string{"INVALID", "GRAPHQL_VALIDATION_FAILED"}, a.code(t))
		}
	})
}

func TestDeployMany(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.order("taken")
		both := m{"name": "b3", "spec": m{"ibmVpc": m{"serverProfile": "p"}, "rack": m{"mac": "02:00:00:00:00:01", "managementIp": "10.0.0.7"}}}
		in := m{"nodes": []any{vpc("b1"), vpc("taken"), both, vpc("b2"), vpc("")}, "batchName": "friday", "maxParallel": 3, "idempotencyKey": "batch-1"}
		a := h.ok(operation(t, "DeployMany"), m{"input": in})
		require.Equal(t, []string{"NAME_IN_USE nodes.1.name #1", "INVALID nodes.2.spec #2", "REQUIRED nodes.4.name #4"}, errs(a, "deployNodes.errors"))
		for i, name := range []any{"b1", nil, nil, "b2", nil} {
			require.EqualValues(t, i, a.get(fmt.Sprintf("deployNodes.results.%d.index", i)))
			require.Equal(t, name, a.get(fmt.Sprintf("deployNodes.results.%d.deployment.node.name", i)))
		}
		require.Equal(t, "friday", a.get("deployNodes.batch.name"))
		require.Equal(t, []any{m{"state": "QUEUED", "count": 2.0}}, a.get("deployNodes.batch.countsByState"))
		require.Equal(t, a.get("deployNodes.batch.id"), a.get("deployNodes.results.0.deployment.batch.id"))

		again := h.ok(operation(t, "DeployMany"), m{"input": in})
		require.Equal(t, a.get("deployNodes.batch.id"), again.get("deployNodes.batch.id"))
		require.Equal(t, a.get("deployNodes.results.3.deployment.id"), again.get("deployNodes.results.3.deployment.id"))
		in["maxParallel"] = 4
		again = h.ok(operation(t, "DeployMany"), m{"input": in})
		require.Equal(t, []string{"IDEMPOTENCY_CONFLICT idempotencyKey"}, errs(again, "deployNodes.errors"))

		page := h.ok(operation(t, "BatchPage"), m{"id": a.get("deployNodes.batch.id")})
		require.EqualValues(t, 2, page.get("deploymentBatch.deployments.totalCount"))
		list := h.ok(`query($b:ID!){deployments(filter:{batchId:$b}){totalCount} none:deployments(filter:{batchId:"bat_9"}){totalCount} odd:deployments(filter:{nodeIds:["x"]}){totalCount} all:deployments{totalCount}}`, m{"b": a.get("deployNodes.batch.id")})
		require.EqualValues(t, 2, list.get("deployments.totalCount"))
		require.EqualValues(t, 0, list.get("none.totalCount"))
		require.EqualValues(t, 0, list.get("odd.totalCount"))
		require.EqualValues(t, 3, list.get("all.totalCount"))

		for name, bad := range map[string]m{
			"nodes":              {"nodes": []any{}},
			"maxParallel":        {"nodes": []any{vpc("c1")}, "maxParallel": 0},
			"stopOnFailureCount": {"nodes": []any{vpc("c1")}, "stopOnFailureCount": 0},
			"batchName":          {"nodes": []any{vpc("c1")}, "batchName": strings.Repeat("n", 129)},
		} {
			a := h.ok(operation(t, "DeployMany"), m{"input": bad})
			require.Equal(t, []string{"OUT_OF_RANGE " + name}, errs(a, "deployNodes.errors"))
			require.Equal(t, []any{}, a.get("deployNodes.results"))
		}
	})
}

func TestReportPhase(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		a := h.ok(operation(t, "Deploy"), m{"input": vpc("alpha")})
		id := a.get("deployNode.deployment.id")
		report := func(key, status string, more m) answer {
			in := m{"node": m{"name": "alpha"}, "phaseKey": key, "status": status}
			for k, v := range more {
				in[k] = v
			}
			return h.ok(operation(t, "Report"), m{"input": in})
		}
		a = report("pending", "SUCCEEDED", nil)
		require.Empty(t, errs(a, "reportPhase.errors"))
		require.Equal(t, "SERVER_REQUESTED", a.get("reportPhase.deployment.phase"))
		require.Equal(t, "RUNNING", a.get("reportPhase.deployment.state"))
		a = report(" Server_Requested ", "IN_PROGRESS", m{"progress": 0.5, "message": "ordering", "details": m{"vni": 2}, "deploymentId": id, "idempotencyKey": "r1", "occurredAt": "2026-11-22T10:00:00.1234567+02:00"})
		require.Equal(t, m{"vni": 2.0}, a.get("reportPhase.event.details"))
		require.Equal(t, "2026-11-22T08:00:00.123456Z", a.get("reportPhase.event.occurredAt"))
		require.EqualValues(t, 0.5, a.get("reportPhase.event.progress"))
		require.Equal(t, "USER", a.get("reportPhase.event.source"))
		require.Equal(t, false, a.get("reportPhase.duplicate"))

		// The same again is one event; the same key for another report is refused.
		again := report(" Server_Requested ", "IN_PROGRESS", m{"progress": 0.5, "message": "ordering", "details": m{"vni": 2}, "deploymentId": id, "idempotencyKey": "r1"})
		require.Equal(t, true, again.get("reportPhase.duplicate"))
		require.Equal(t, a.get("reportPhase.event.id"), again.get("reportPhase.event.id"))
		again = report("server_requested", "IN_PROGRESS", m{"message": "other", "idempotencyKey": "r1"})
		require.Equal(t, []string{"IDEMPOTENCY_CONFLICT"}, errs(again, "reportPhase.errors"))

		// A key that the server does not know is a step.
		a = report("my_step", "SUCCEEDED", nil)
		require.Equal(t, "STEP", a.get("reportPhase.event.outcome"))
		require.Equal(t, "CUSTOM", a.get("reportPhase.event.phase"))
		require.Equal(t, "my_step", a.get("reportPhase.event.phaseKey"))

		// Out of order: refused, recorded, with what would be accepted.
		a = report("pending", "SUCCEEDED", m{"message": "late"})
		require.Equal(t, []string{"OUT_OF_ORDER"}, errs(a, "reportPhase.errors"))
		require.Equal(t, "REFUSED", a.get("reportPhase.event.outcome"))
		require.Equal(t, "OUT_OF_ORDER", a.get("reportPhase.event.refusedCode"))
		require.Contains(t, a.get("reportPhase.acceptedPhases"), "server_requested")

		// A failure, with its log.
		a = report("server_requested", "FAILED", m{"message": "no quota", "logTail": strings.Repeat("x", 70<<10) + "\nlast line"})
		require.Equal(t, "FAILED", a.get("reportPhase.deployment.state"))
		require.Equal(t, "SERVER_REQUESTED", a.get("reportPhase.deployment.failure.phase"))
		require.Equal(t, "no quota", a.get("reportPhase.deployment.failure.message"))
		require.NotEmpty(t, a.get("reportPhase.deployment.failure.hint"))
		require.Equal(t, a.get("reportPhase.event.id"), a.get("reportPhase.deployment.failure.event.id"))
		tail := a.get("reportPhase.deployment.failure.logTail").(string)
		require.LessOrEqual(t, len(tail), 64<<10)
		require.True(t, strings.HasSuffix(tail, "\nlast line"))
		require.Nil(t, a.get("reportPhase.deployment.stuckReason"))
		a = report("server_requested", "SUCCEEDED", nil)
		require.Equal(t, []string{"DEPLOYMENT_ENDED"}, errs(a, "reportPhase.errors"))

		// Refusals are left out unless asked for.
		list := h.ok(`query($d:ID!){deployment(id:$d){a:events{nodes{outcome}} b:events(filter:{includeRefused:true}){nodes{outcome}} c:events(filter:{statuses:[FAILED]}){nodes{status}} d:events(filter:{phases:[PENDING],sources:[USER]}){nodes{phase}}}}`, m{"d": id})
		require.NotContains(t, fmt.Sprint(list.get("deployment.a")), "REFUSED")
		require.Contains(t, fmt.Sprint(list.get("deployment.b")), "REFUSED")
		require.Len(t, list.get("deployment.c.nodes"), 1)
		require.NotEmpty(t, list.get("deployment.d.nodes"))

		for want, more := range map[string]m{
			"NOT_FOUND node":              {"node": m{"name": "nobody"}},
			"NOT_FOUND deploymentId":      {"deploymentId": "dep_424242"},
			"OUT_OF_RANGE progress":       {"progress": 1.5},
			"OUT_OF_RANGE message":        {"message": strings.Repeat("m", 5000)},
			"OUT_OF_RANGE details":        {"details": m{"x": strings.Repeat("d", 70<<10)}},
			"OUT_OF_RANGE idempotencyKey": {"idempotencyKey": strings.Repeat("k", 129)},
			"OUT_OF_RANGE phaseKey":       {"phaseKey": strings.Repeat("p", 65)},
			"REQUIRED phaseKey":           {"phaseKey": " "},
			"INVALID node":                {"node": m{}},
		} {
			a := report("server_requested", "IN_PROGRESS", more)
			require.Equal(t, []string{want}, errs(a, "reportPhase.errors"))
			require.Nil(t, a.get("reportPhase.event"))
		}
	})
}

// A list of any length is read in the same number of statements.
func TestNoQueryPerRow(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		statements := func(doc string, vars m) int64 {
			before := h.queries.Load()
			h.ok(doc, vars)
			return h.queries.Load() - before
		}
		fill := func(from, to int) {
			var last lifecycle.Receipt
			for i := from; i < to; i++ {
				d := h.order(fmt.Sprintf("n-%02d", i))
				last = h.report(d, phase.Pending, phase.Success, "")
				if i%2 == 0 {
					last = h.report(d, phase.ServerRequested, phase.FailedRun, "no")
				}
			}
			h.seen(last.Position)
		}
		fill(0, 3)
		const deep = `{deployments{totalCount nodes{progress batch{id} failure{logTail} node{name currentDeployment{phases{key} node{name}}}}}
			deploymentEvents{nodes{id deployment{progress node{name}} bareMetalNode{currentDeployment{progress}}}}}`
		statements(operation(t, "Fleet"), m{"first": 200}) // fills the minute-long memory of typical durations
		list, nested := statements(operation(t, "Fleet"), m{"first": 200}), statements(deep, nil)
		fill(3, 20)
		require.Equal(t, list, statements(operation(t, "Fleet"), m{"first": 200}))
		require.Equal(t, nested, statements(deep, nil))
		require.LessOrEqual(t, list, int64(5))
	})
}

func TestPages(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		for i := range 7 {
			h.order(fmt.Sprintf("n-%d", i))
		}
		names := func(a answer) string {
			var out []string
			for i := range a.get("bareMetalNodes.edges").([]any) {
				out = append(out, a.get(fmt.Sprintf("bareMetalNodes.edges.%d.node.name", i)).(string))
			}
			return strings.Join(out, " ")
		}
		fleet := operation(t, "Fleet")
		a := h.ok(fleet, m{"first": 3})
		require.Equal(t, "n-0 n-1 n-2", names(a))
		require.EqualValues(t, 7, a.get("bareMetalNodes.totalCount"))
		require.Equal(t, true, a.get("bareMetalNodes.pageInfo.hasNextPage"))
		require.Equal(t, false, a.get("bareMetalNodes.pageInfo.hasPreviousPage"))
		require.Equal(t, a.get("bareMetalNodes.edges.2.cursor"), a.get("bareMetalNodes.pageInfo.endCursor"))
		b := h.ok(fleet, m{"first": 10, "after": a.get("bareMetalNodes.pageInfo.endCursor")})
		require.Equal(t, "n-3 n-4 n-5 n-6", names(b))
		c := h.ok(fleet, m{"last": 2, "before": b.get("bareMetalNodes.pageInfo.startCursor")})
		require.Equal(t, "n-1 n-2", names(c))
		d := h.ok(fleet, m{"last": 2, "orderBy": m{"field": "CREATED_AT", "direction": "DESC"}})
		require.Equal(t, "n-1 n-0", names(d))
		e := h.ok(fleet, m{"filter": m{"text": "N-5", "states": []string{"QUEUED"}, "phases": []string{"PENDING", "CUSTOM"}, "serverProfiles": []string{"bx2d-metal-96x384"}, "stale": false}})
		require.Equal(t, "n-5", names(e))
		require.Empty(t, names(h.ok(fleet, m{"filter": m{"states": []string{"FAILED"}}})))

		for _, bad := range []m{
			{"first": 0}, {"first": 201}, {"first": -1}, {"last": 0}, {"first": 1, "last": 1}, {"after": "nonsense"},
			{"after": h.feed.Head().String()}, {"after": d.get("bareMetalNodes.edges.0.cursor")},
			{"filter": m{"text": strings.Repeat("x", 201)}}, {"filter": m{"labels": []m{{"key": "a", "value": "1"}, {"key": "a", "value": "2"}}}},
		} {
			a := h.as("viewer", fleet, bad)
			require.Contains(t, []string{"INVALID", "OUT_OF_RANGE"}, a.code(t), "%v", bad)
		}

		// Events, in both directions, by places in the stream.
		dep := h.ok(`{bareMetalNode(by:{name:"n-0"}){currentDeployment{id}}}`, nil).get("bareMetalNode.currentDeployment.id")
		for i := range 5 {
			h.ok(operation(t, "Report"), m{"input": m{"node": m{"name": "n-0"}, "phaseKey": "pending", "status": "IN_PROGRESS", "message": fmt.Sprint(i)}})
		}
		seqs := func(a answer) string {
			var out []string
			for i := range a.get("deployment.events.nodes").([]any) {
				out = append(out, fmt.Sprint(a.get(fmt.Sprintf("deployment.events.nodes.%d.sequence", i))))
			}
			return strings.Join(out, " ")
		}
		page := operation(t, "DeploymentPage")
		first := h.ok(page, m{"id": dep, "first": 2})
		require.Equal(t, "1 2", seqs(first))
		require.Equal(t, "3 4", seqs(h.ok(page, m{"id": dep, "first": 2, "after": first.get("deployment.events.pageInfo.endCursor")})))
		last := h.ok(page, m{"id": dep, "last": 2})
		require.Equal(t, "5 6", seqs(last))
		require.Equal(t, true, last.get("deployment.events.pageInfo.hasPreviousPage"))
		require.Equal(t, "3 4", seqs(h.ok(page, m{"id": dep, "last": 2, "before": last.get("deployment.events.pageInfo.startCursor")})))
		require.Equal(t, "INVALID", h.as("viewer", page, m{"id": dep, "first": 2, "after": a.get("bareMetalNodes.pageInfo.endCursor")}).code(t))
	})
}

func TestCatalogueAndSummary(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		a := h.ok(`{phaseCatalog(provider:IBM_VPC){phase key label description ordinal owner timeout weight typicalDuration terminal} rack:phaseCatalog(provider:RACK){key} script:phaseCatalog(provider:SCRIPT){key}
			serverInfo{version schemaHash now maxPageSize streamRetention} viewer{role}}`, nil)
		list := a.get("phaseCatalog").([]any)
		require.Len(t, list, 19)
		require.Equal(t, m{"phase": "PENDING", "key": "pending", "label": "Queued", "description": "Accepted; waits for a free slot.", "ordinal": 1.0,
			"owner": "WORKFLOW", "timeout": 86400000.0, "weight": 0.0, "typicalDuration": nil, "terminal": false}, list[0])
		require.Equal(t, "CLEANUP_COMPLETED", dig(list[18], "phase"))
		require.Nil(t, dig(list[18], "timeout"))
		require.Len(t, a.get("rack"), 18)
		require.Len(t, a.get("script"), 11)
		require.Equal(t, "test", a.get("serverInfo.version"))
		require.EqualValues(t, 200, a.get("serverInfo.maxPageSize"))

		d := h.order("s-1")
		h.order("s-2")
		h.seen(h.report(d, phase.Pending, phase.Success, "").Position)
		s := h.ok(operation(t, "Summary"), nil)
		require.EqualValues(t, 2, s.get("fleetSummary.total"))
		require.EqualValues(t, 2, s.get("fleetSummary.active"))
		require.Equal(t, []any{m{"state": "QUEUED", "count": 1.0}, m{"state": "RUNNING", "count": 1.0}}, s.get("fleetSummary.byState"))
		require.Equal(t, "PENDING", s.get("fleetSummary.byPhase.0.phase"))
		require.Equal(t, "server_requested", s.get("fleetSummary.byPhase.1.phaseKey"))
		require.NotNil(t, s.get("fleetSummary.byPhase.1.oldestStartedAt"))
		one := h.ok(operation(t, "Summary"), m{"filter": m{"text": "s-2"}})
		require.EqualValues(t, 1, one.get("fleetSummary.total"))
	})
}

// deployTo takes a deployment through all phases to its end.
func (h *house) finish(d lifecycle.Deployed) {
	h.t.Helper()
	for _, def := range phase.Catalogue("ibm_vpc") {
		if def.Terminal || def.Key == phase.ClusterFormation {
			continue
		}
		h.report(d, def.Key, phase.Success, "")
	}
}

func TestAFinishedDeployment(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		d := h.order("done")
		h.finish(d)
		a := h.ok(operation(t, "DeploymentPage"), m{"id": fmt.Sprintf("dep_%d", d.DeploymentID), "first": 100})
		require.Equal(t, "SUCCEEDED", a.get("deployment.state"))
		require.Equal(t, "DEPLOYED", a.get("deployment.phase"))
		require.EqualValues(t, 1, a.get("deployment.progress"))
		require.NotNil(t, a.get("deployment.finishedAt"))
		require.NotNil(t, a.get("deployment.duration"))
		require.Nil(t, a.get("deployment.stuckReason"))
		require.NotNil(t, a.get("deployment.currentPhase"))
		skipped := false
		for _, r := range a.get("deployment.phases").([]any) {
			require.NotContains(t, []any{"WAITING", "IN_PROGRESS"}, dig(r, "status"))
			require.Nil(t, dig(r, "awaiting"))
			require.Nil(t, dig(r, "deadlineAt"))
			skipped = skipped || dig(r, "status") == "SKIPPED" && dig(r, "phase") == "CLUSTER_FORMATION"
		}
		require.True(t, skipped)
	})
}
