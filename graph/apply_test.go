package graph_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/apply"
	"github.com/slipwayhq/slipway/deploy/apply/applytest"
	"github.com/slipwayhq/slipway/deploy/feed"
	"github.com/slipwayhq/slipway/deploy/health"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
	"github.com/slipwayhq/slipway/graph"
)

// ordering is a provider that takes every order.
type ordering struct{ deploy.Provider }

func (ordering) Order(context.Context, deploy.Order) (deploy.Machine, error) {
	return deploy.Machine{}, nil
}

// applied is a house whose server runs the deployment script.
type applied struct {
	*house
	host   *applytest.Host
	nudged []int64
}

// late is a writer that is known later.
type late struct{ h *applied }

func (l late) Do(ctx context.Context, deployments, nodes []int64, change func(*lifecycle.Tx) error) error {
	return l.h.writer.Do(ctx, deployments, nodes, change)
}

func applying(t *testing.T, st *store.Store) *applied {
	t.Helper()
	h := &applied{host: applytest.New("lab")}
	scripts := apply.New(apply.Deps{Host: h.host, Provider: ordering{}, Store: st, Writer: late{h}, LookEvery: 5 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	h.house = build(t, st, func(d *graph.Deps, _ *feed.Options) {
		d.Scripts, d.ScriptLogEvery = scripts, 5*time.Millisecond
		d.Nudge = func(_ context.Context, id int64, _ deploy.Actor) error {
			h.nudged = append(h.nudged, id)
			return nil
		}
	})
	ctx, cancel := context.WithCancel(context.Background())
	var driving sync.WaitGroup
	driving.Go(func() { scripts.Run(ctx) })
	t.Cleanup(func() { cancel(); driving.Wait() })
	return h
}

func eachApplied(t *testing.T, fn func(t *testing.T, h *applied)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, st *store.Store) { fn(t, applying(t, st)) })
}

// hostDocument is one of the default shape.
func hostDocument(name string, last int) m {
	return m{
		"using_interfaces": m{
			"interface_01": m{"interface_name": "eno1", "type": []string{"Primary"}, "vlan_id": "NULL", "Bond_Slave": "NO",
				"Properties": m{"IP_ADDRESS": fmt.Sprintf("192.0.2.%d", last), "Netmask": "255.255.255.0", "DNS": "192.0.2.2", "mtu": "1500", "gateway": "192.0.2.1"}},
			"interface_02": m{"interface_name": "eno2", "type": []string{"Secondary"}, "vlan_id": "101", "Bond_Slave": "NO"},
		},
		"hostname": name, "disk": []string{}, "roles": []string{"Compute"},
	}
}

const (
	wrong     = `errors{code key field message retryable}`
	planned   = `plans{index identity node{name} nodeName target file number action content changes{path kind before after} changedOutside}`
	applyDoc  = `mutation($input:ApplyNodeConfigsInput!){x:applyNodeConfigs(input:$input){run{id state host nodeCount pid documents{nodeName file deploymentId attempt content run{id}}} deployments{id state node{name}} ` + planned + ` ` + wrong + `}}`
	checkDoc  = `query($input:ApplyNodeConfigsInput!){x:validateNodeConfigs(input:$input){ok ` + planned + ` obstacle{code message} ` + wrong + `}}`
	markerDoc = `{scriptHost{name activeRun{id} obstacle{code message} marker{path present stale}}}`
)

func (h *applied) apply(docs any) answer {
	h.t.Helper()
	a := h.ok(applyDoc, m{"input": m{"documents": docs}})
	require.Empty(h.t, errs(a, "x.errors"), a.Raw)
	return a
}

// end ends the script of a run, and waits until that is known.
func (h *applied) end(run int64, code int) {
	h.t.Helper()
	h.host.End(run, code)
	require.Eventually(h.t, func() bool {
		return h.ok(fmt.Sprintf(`{scriptRun(id:"run_%d"){endedAt}}`, run), nil).get("scriptRun.endedAt") != nil
	}, 2*time.Minute, 5*time.Millisecond)
}

func TestConfigurationsAreCheckedAndApplied(t *testing.T) {
	eachApplied(t, func(t *testing.T, h *applied) {
		for _, doc := range []string{checkDoc, applyDoc} {
			require.Equal(t, "FORBIDDEN", h.as("viewer", doc, m{"input": m{"documents": []any{}}}).code(t))
		}
		require.Equal(t, m{"name": "lab", "activeRun": nil, "obstacle": nil, "marker": m{"path": "/marker", "present": false, "stale": false}}, h.ok(markerDoc, nil).get("scriptHost"))

		// All errors at once, each with its rule and its place as the document spells it.
		bad := hostDocument("alpha", 11)
		dig(bad, "using_interfaces.interface_01.Properties").(m)["Netmask"] = "255.0.255.0"
		dig(bad, "using_interfaces.interface_02").(m)["vlan_id"] = "5000"
		want := []any{
			m{"code": "INVALID", "key": "mask_not_contiguous", "field": []any{"cards", "0", "using_interfaces", "interface_01", "Properties", "Netmask"}, "message": "Netmask is not a subnet mask: its ones must come before its zeros", "retryable": false},
			m{"code": "OUT_OF_RANGE", "key": "vlan_out_of_range", "field": []any{"cards", "0", "using_interfaces", "interface_02", "vlan_id"}, "message": "vlan_id must be from 1 to 4094", "retryable": false},
		}
		for _, doc := range []string{checkDoc, applyDoc} {
			a := h.ok(doc, m{"input": m{"documents": []any{bad}}})
			require.Equal(t, want, a.get("x.errors"))
			require.Empty(t, a.get("x.plans"))
		}
		require.Empty(t, h.host.Content())

		good := m{"documents": m{"192.0.2.12": hostDocument("beta", 12), "192.0.2.11": hostDocument("alpha", 11)}, "idempotencyKey": "k"}
		plan := h.ok(checkDoc, m{"input": good})
		require.Equal(t, true, plan.get("x.ok"), plan.Raw)
		require.Equal(t, []any{"192.0.2.11", "node_01.json", "CREATE", nil}, []any{plan.get("x.plans.0.identity"), plan.get("x.plans.0.file"), plan.get("x.plans.0.action"), plan.get("x.plans.0.node")}, "in the order of the names")
		a := h.ok(applyDoc, m{"input": good})
		require.Empty(t, errs(a, "x.errors"), a.Raw)
		require.Equal(t, plan.get("x.plans.0.content"), h.host.Content()["node_01.json"])
		require.Equal(t, []any{"run_1", "RUNNING", 2., 4001.}, []any{a.get("x.run.id"), a.get("x.run.state"), a.get("x.run.nodeCount"), a.get("x.run.pid")})
		require.Equal(t, []any{"alpha", "beta", "run_1"}, []any{a.get("x.deployments.0.node.name"), a.get("x.run.documents.1.nodeName"), a.get("x.run.documents.1.run.id")})
		require.Equal(t, "alpha", a.get("x.plans.0.node.name"))
		require.Equal(t, "run_1", h.ok(applyDoc, m{"input": good}).get("x.run.id"), "the same key is the same run")

		busy := h.ok(applyDoc, m{"input": m{"documents": []any{hostDocument("gamma", 13)}}})
		require.Equal(t, "RUN_ACTIVE", busy.get("x.errors.0.code"))
		require.Equal(t, true, busy.get("x.errors.0.retryable"))
		require.Nil(t, busy.get("x.run"))
		check := h.ok(checkDoc, m{"input": m{"documents": []any{hostDocument("gamma", 13)}}})
		require.Equal(t, []any{false, "RUN_ACTIVE"}, []any{check.get("x.ok"), check.get("x.obstacle.code")})
		require.Len(t, check.get("x.plans"), 1)
		require.Equal(t, "run_1", h.ok(markerDoc, nil).get("scriptHost.activeRun.id"))
		clearing := h.ok(`mutation{clearScriptMarker{marker{present} `+wrong+`}}`, nil)
		require.Equal(t, "RUN_ACTIVE", clearing.get("clearScriptMarker.errors.0.code"))

		const cancel = `mutation($input:CancelScriptRunInput!){x:cancelScriptRun(input:$input){run{id cancelReason cancelRequestedBy} ` + wrong + `}}`
		require.Equal(t, "NOT_FOUND", h.ok(cancel, m{"input": m{"id": "run_9"}}).get("x.errors.0.code"))
		require.Equal(t, "NOT_FOUND", h.ok(cancel, m{"input": m{"id": "dep_1"}}).get("x.errors.0.code"))
		require.Equal(t, m{"id": "run_1", "cancelReason": "wrong rack", "cancelRequestedBy": "tester"}, h.ok(cancel, m{"input": m{"id": "run_1", "reason": " wrong rack "}}).get("x.run"))
		require.Eventually(t, func() bool {
			return h.ok(`{node(id:"run_1"){...on ScriptRun{state}}}`, nil).get("node.state") == "CANCELED"
		}, 2*time.Minute, 5*time.Millisecond)
		require.Equal(t, "WRONG_STATE", h.ok(cancel, m{"input": m{"id": "run_1"}}).get("x.errors.0.code"))
		require.Equal(t, m{"marker": m{"present": false}, "errors": []any{}}, h.ok(`mutation{clearScriptMarker{marker{present} `+wrong+`}}`, nil).get("clearScriptMarker"))
	})
}

func TestAHostThatCannotRunTheScript(t *testing.T) {
	eachApplied(t, func(t *testing.T, h *applied) {
		h.host.Set(func(x *applytest.Host) {
			x.StartFails = &deploy.ProviderError{Code: deploy.CodeUpstreamUnavailable, Message: "exec format error"}
		})
		a := h.ok(applyDoc, m{"input": m{"documents": []any{hostDocument("alpha", 11)}}})
		require.Equal(t, "UPSTREAM_UNAVAILABLE", a.get("x.errors.0.code"))
		require.Equal(t, "FAILED", a.get("x.run.state"), "the run that failed is told beside the error")
		h.host.Set(func(x *applytest.Host) {
			x.NotReady = &deploy.ProviderError{Code: deploy.CodeNotFound, Message: "there is no script", Hint: "put it there"}
		})
		check := h.ok(checkDoc, m{"input": m{"documents": []any{hostDocument("beta", 12)}}})
		require.Equal(t, m{"code": "NOT_FOUND", "message": "there is no script; put it there"}, check.get("x.obstacle"))
		require.Equal(t, "NOT_FOUND", h.ok(markerDoc, nil).get("scriptHost.obstacle.code"))
	})
}

func TestAServerWithoutAScript(t *testing.T) {
	h := build(t, storetest.SQLite(t))
	in := m{"input": m{"documents": []any{hostDocument("alpha", 11)}}}
	require.Equal(t, "WRONG_STATE", h.ok(applyDoc, in).get("x.errors.0.code"))
	require.Equal(t, "WRONG_STATE", h.ok(checkDoc, in).get("x.obstacle.code"))
	a := h.ok(`{scriptHost{name} scriptRun(id:"run_1"){id} scriptRuns{nodes{id} pageInfo{hasNextPage}} node(id:"run_1"){id}}`, nil)
	require.Equal(t, m{"scriptHost": nil, "scriptRun": nil, "node": nil, "scriptRuns": m{"nodes": []any{}, "pageInfo": m{"hasNextPage": false}}}, a.Data)
	d := h.order("alpha")
	a = h.ok(`query($id:ID!){deployment(id:$id){sshProbe{target} scriptRun{id} nodeDocument{file} node{documents{file} hostKeyFingerprint}}}`, m{"id": global(d)})
	require.Equal(t, m{"sshProbe": nil, "scriptRun": nil, "nodeDocument": nil, "node": m{"documents": []any{}, "hostKeyFingerprint": nil}}, a.get("deployment"))
	probe := h.ok(`mutation($id:ID!){probeNow(input:{id:$id}){deployment{id} `+wrong+`}}`, m{"id": global(d)})
	require.Equal(t, "WRONG_STATE", probe.get("probeNow.errors.0.code"))
	deployed := h.ok(`mutation($d:JSONObject!){deployNode(input:{name:"beta",spec:{script:{document:$d}}}){`+wrong+`}}`, m{"d": hostDocument("beta", 12)})
	require.Equal(t, "WRONG_STATE", deployed.get("deployNode.errors.0.code"))
	several := h.ok(`mutation($d:JSONObject!){deployNodes(input:{nodes:[{name:"beta",spec:{script:{document:$d}}},{name:"gamma",spec:{ibmVpc:{serverProfile:"p"}}}]}){results{index deployment{node{name}} errors{code}} errors{code elementIndex}}}`, m{"d": hostDocument("beta", 12)})
	require.Equal(t, []any{m{"code": "WRONG_STATE", "elementIndex": 0.}}, several.get("deployNodes.errors"))
	require.Equal(t, "gamma", several.get("deployNodes.results.1.deployment.node.name"), "the other one is accepted")
}

// Host keys of nobody, in the form of RFC 8709.
const (
	keyA = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA0BAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
	keyB = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB4BAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
)

// polled makes deployments whose hosts are being asked, by name.
func (h *applied) polled(names ...string) (out []lifecycle.Deployed) {
	h.t.Helper()
	var docs []any
	for i, n := range names {
		docs = append(docs, hostDocument(n, 11+i))
	}
	a := h.apply(docs)
	var run int64
	_, err := fmt.Sscanf(a.get("x.run.id").(string), "run_%d", &run)
	require.NoError(h.t, err)
	h.end(run, 0)
	for i := range names {
		var d lifecycle.Deployed
		_, err := fmt.Sscanf(a.get(fmt.Sprintf("x.deployments.%d.id", i)).(string), "dep_%d", &d.DeploymentID)
		require.NoError(h.t, err)
		require.NoError(h.t, h.st.Read.QueryRow(`SELECT node_id FROM deployments WHERE id = $1`, d.DeploymentID).Scan(&d.NodeID))
		for _, k := range []string{phase.ConfigStored, phase.ScriptStarted} {
			h.flow(d, k, phase.Success)
		}
		h.flow(d, phase.RebootWait, phase.InProgress)
		out = append(out, d)
	}
	return out
}

func (h *applied) flow(d lifecycle.Deployed, key string, s phase.Status) {
	h.t.Helper()
	_, err := h.writer.Report(h.t.Context(), lifecycle.Report{DeploymentID: d.DeploymentID, Phase: key, Status: s, Message: key, Source: deploy.SourceOrchestrator, Actor: deploy.System, As: phase.ByWorkflow})
	require.NoError(h.t, err)
}

func (h *applied) probe(d lifecycle.Deployed, key string, p deploy.Probe) {
	h.t.Helper()
	require.NoError(h.t, h.writer.Do(h.t.Context(), []int64{d.DeploymentID}, nil, func(tx *lifecycle.Tx) error { return tx.Probe(d.DeploymentID, key, p) }))
}

func TestAHostThatIsPolled(t *testing.T) {
	eachApplied(t, func(t *testing.T, h *applied) {
		d := h.polled("alpha")[0]
		const read = `query($id:ID!){deployment(id:$id){allowedActions sshProbe{target attempt maxAttempts nextAttemptAt lastErrorClass offeredHostKey offeredFingerprint knownFingerprint} scriptRun{id state} nodeDocument{file attempt}}}`
		soon := time.Now().Add(time.Minute).UTC().Truncate(time.Microsecond)
		h.probe(d, phase.RebootWait, deploy.Probe{Target: "192.0.2.11:22", MaxAttempts: 120, NextAt: &soon})
		a := h.ok(read, m{"id": global(d)})
		require.Equal(t, m{"id": "run_1", "state": "SUCCEEDED"}, a.get("deployment.scriptRun"))
		require.Equal(t, m{"file": "node_01.json", "attempt": 1.}, a.get("deployment.nodeDocument"))
		require.Equal(t, []any{"CANCEL", "SKIP_POLLING", "PROBE_NOW"}, a.get("deployment.allowedActions"))
		require.Equal(t, []any{0., 120., soon.Format(time.RFC3339Nano)}, []any{a.get("deployment.sshProbe.attempt"), a.get("deployment.sshProbe.maxAttempts"), a.get("deployment.sshProbe.nextAttemptAt")})

		probed := h.ok(`mutation($id:ID!){probeNow(input:{id:$id}){deployment{id} `+wrong+`}}`, m{"id": global(d)})
		require.Empty(t, errs(probed, "probeNow.errors"))
		require.Equal(t, []int64{d.DeploymentID}, h.nudged)

		// The polling's own word goes before the wait's.
		h.flow(d, phase.RebootWait, phase.Success)
		h.flow(d, phase.SSHPolling, phase.InProgress)
		require.Equal(t, 0., h.ok(read, m{"id": global(d)}).get("deployment.sshProbe.attempt"))
		h.probe(d, phase.SSHPolling, deploy.Probe{Target: "192.0.2.11:22", Attempt: 4, MaxAttempts: 120, Class: "wrong_host", OfferedKey: keyB, Fingerprint: health.Fingerprint(keyB), PinnedPrint: health.Fingerprint(keyA)})
		a = h.ok(read, m{"id": global(d)})
		require.Equal(t, []any{"CANCEL", "SKIP_POLLING", "PROBE_NOW", "ACCEPT_HOST_KEY"}, a.get("deployment.allowedActions"))
		require.Equal(t, []any{"CANCEL", "SKIP_POLLING", "PROBE_NOW", "ACCEPT_HOST_KEY"}, h.actions(d), "without the probe being selected")
		require.Equal(t, []any{4., "wrong_host", keyB, health.Fingerprint(keyA)}, []any{a.get("deployment.sshProbe.attempt"), a.get("deployment.sshProbe.lastErrorClass"), a.get("deployment.sshProbe.offeredHostKey"), a.get("deployment.sshProbe.knownFingerprint")})

		const accept = `mutation($input:AcceptHostKeyInput!){x:acceptHostKey(input:$input){bareMetalNode{hostKeyFingerprint} ` + wrong + `}}`
		require.Equal(t, "FORBIDDEN", h.as("viewer", accept, m{"input": m{"nodeId": nodeOf(d), "hostKey": keyB}}).code(t))
		require.Equal(t, "CONFLICT", h.ok(accept, m{"input": m{"nodeId": nodeOf(d), "hostKey": keyA}}).get("x.errors.0.code"))
		require.Equal(t, m{"code": "NOT_FOUND", "key": nil, "field": []any{"nodeId"}, "message": "there is no such node", "retryable": false}, h.ok(accept, m{"input": m{"nodeId": "dep_1", "hostKey": keyB}}).get("x.errors.0"))
		require.Equal(t, health.Fingerprint(keyB), h.ok(accept, m{"input": m{"nodeId": nodeOf(d), "hostKey": keyB}}).get("x.bareMetalNode.hostKeyFingerprint"))

		const skip = `mutation($input:SkipPollingInput!){x:skipPolling(input:$input){deployment{state phase allowedActions} ` + wrong + `}}`
		require.Equal(t, "REQUIRED", h.ok(skip, m{"input": m{"id": global(d), "reason": " "}}).get("x.errors.0.code"))
		require.Equal(t, "OUT_OF_RANGE", h.ok(skip, m{"input": m{"id": global(d), "reason": strings.Repeat("x", 501)}}).get("x.errors.0.code"))
		require.Equal(t, m{"state": "SUCCEEDED", "phase": "DEPLOYED", "allowedActions": []any{"CLEANUP"}}, h.ok(skip, m{"input": m{"id": global(d), "reason": "seen on the console"}}).get("x.deployment"))
		require.Equal(t, "WRONG_STATE", h.ok(skip, m{"input": m{"id": global(d), "reason": "again"}}).get("x.errors.0.code"))
	})
}

// TestWhatAListOfHostsCosts: no more statements for many than for one, and none
// that was not asked for.
func TestWhatAListOfHostsCosts(t *testing.T) {
	eachApplied(t, func(t *testing.T, h *applied) {
		const all = `query($f:Int!){bareMetalNodes(first:$f){nodes{name hostKeyFingerprint documents(first:2){file run{id documents{nodeName}}} currentDeployment{allowedActions sshProbe{attempt} scriptRun{id} nodeDocument{file run{state}}}}}}`
		const few = `query($f:Int!){bareMetalNodes(first:$f){nodes{name currentDeployment{id state}}}}`
		names := []string{"a1", "a2", "a3", "a4", "a5", "a6"}
		for _, d := range h.polled(names...) {
			h.probe(d, phase.RebootWait, deploy.Probe{Target: "t", MaxAttempts: 120})
		}
		cost := func(doc string, n int) int64 {
			h.ok(doc, m{"f": n})
			before := h.queries.Load()
			a := h.ok(doc, m{"f": n})
			require.Len(t, a.get("bareMetalNodes.nodes"), n)
			return h.queries.Load() - before
		}
		require.Equal(t, cost(all, 1), cost(all, 6))
		require.Equal(t, cost(few, 1), cost(few, 6))
		a := h.ok(all, m{"f": 6})
		for i, n := range names {
			at := fmt.Sprintf("bareMetalNodes.nodes.%d.", i)
			require.Equal(t, n, a.get(at+"name"))
			require.Equal(t, fmt.Sprintf("node_%02d.json", i+1), a.get(at+"documents.0.file"))
			require.Len(t, a.get(at+"documents.0.run.documents"), 6)
			require.Equal(t, 0., a.get(at+"currentDeployment.sshProbe.attempt"))
			require.Equal(t, "SUCCEEDED", a.get(at+"currentDeployment.nodeDocument.run.state"))
		}
	})
}

func TestDocumentsAndRunsInPages(t *testing.T) {
	eachApplied(t, func(t *testing.T, h *applied) {
		for i := range 3 {
			doc := hostDocument("alpha", 11)
			dig(doc, "using_interfaces.interface_02").(m)["vlan_id"] = fmt.Sprint(100 + i)
			a := h.apply([]any{doc})
			h.end(int64(i+1), 0)
			var d lifecycle.Deployed
			_, err := fmt.Sscanf(a.get("x.deployments.0.id").(string), "dep_%d", &d.DeploymentID)
			require.NoError(t, err)
			_, err = h.writer.Cancel(t.Context(), lifecycle.Cancel{DeploymentID: d.DeploymentID, Immediate: true, Actor: deploy.System})
			require.NoError(t, err)
		}
		page := h.ok(`{scriptRuns(first:2){nodes{id} edges{cursor} pageInfo{hasNextPage endCursor}}}`, nil)
		require.Equal(t, []any{"run_3", "run_2", true}, []any{page.get("scriptRuns.nodes.0.id"), page.get("scriptRuns.nodes.1.id"), page.get("scriptRuns.pageInfo.hasNextPage")})
		page = h.ok(`query($a:Cursor){scriptRuns(first:2,after:$a){nodes{id documents{nodeName}} pageInfo{hasNextPage}}}`, m{"a": page.get("scriptRuns.pageInfo.endCursor")})
		require.Equal(t, m{"nodes": []any{m{"id": "run_1", "documents": []any{m{"nodeName": "alpha"}}}}, "pageInfo": m{"hasNextPage": false}}, page.get("scriptRuns"))
		for _, bad := range []string{`{scriptRuns(first:0){nodes{id}}}`, `{scriptRuns(first:101){nodes{id}}}`} {
			require.Equal(t, "OUT_OF_RANGE", h.as("viewer", bad, nil).code(t))
		}
		require.Equal(t, "INVALID", h.as("viewer", `{scriptRuns(after:"x"){nodes{id}}}`, nil).code(t))

		a := h.ok(`query($n:Int){bareMetalNode(by:{name:"alpha"}){documents(first:$n){content} all:documents{run{id} sha256}}}`, m{"n": 1})
		require.Len(t, a.get("bareMetalNode.documents"), 1)
		require.Contains(t, a.get("bareMetalNode.documents.0.content"), `"102"`, "the newest first")
		require.Equal(t, []any{"run_3", "run_2", "run_1"}, []any{a.get("bareMetalNode.all.0.run.id"), a.get("bareMetalNode.all.1.run.id"), a.get("bareMetalNode.all.2.run.id")})
		require.Equal(t, "OUT_OF_RANGE", h.as("viewer", `{bareMetalNode(by:{name:"alpha"}){documents(first:101){file}}}`, nil).code(t))
	})
}

func TestDeployingOneHost(t *testing.T) {
	eachApplied(t, func(t *testing.T, h *applied) {
		const deployDoc = `mutation($input:DeployNodeInput!){x:deployNode(input:$input){deployment{provider config node{name managementIp}} ` + wrong + `}}`
		in := func(doc m) m { return m{"input": m{"name": "alpha", "spec": m{"script": m{"document": doc}}}} }
		bad := hostDocument("alpha", 11)
		dig(bad, "using_interfaces.interface_01.Properties").(m)["Netmask"] = "255.0.255.0"
		bad["colour"] = "red"
		got := h.ok(deployDoc, in(bad))
		require.ElementsMatch(t, []any{"mask_not_contiguous", "unknown_field"}, []any{got.get("x.errors.0.key"), got.get("x.errors.1.key")}, got.Raw)
		fields := []any{got.get("x.errors.0.field"), got.get("x.errors.1.field")}
		require.ElementsMatch(t, []any{[]any{"spec", "script", "document", "using_interfaces", "interface_01", "Properties", "Netmask"}, []any{"spec", "script", "document", "colour"}}, fields)
		plan := h.ok(`query($input:DeployNodeInput!){x:validateDeployment(input:$input){ok errors{key} checks{key passed}}}`, in(bad))
		require.Equal(t, []any{false, 2}, []any{plan.get("x.ok"), len(plan.get("x.errors").([]any))}, plan.Raw)
		require.Zero(t, h.count("deployments"))
		both := in(hostDocument("alpha", 11))
		dig(both, "input.spec").(m)["rack"] = m{"mac": "02-00-00-00-00-01", "managementIp": "10.0.0.7"}
		require.Equal(t, []any{"spec"}, h.ok(deployDoc, both).get("x.errors.0.field"))

		good := h.ok(deployDoc, in(hostDocument("alpha", 11)))
		require.Empty(t, errs(good, "x.errors"), good.Raw)
		require.Equal(t, []any{"SCRIPT", "192.0.2.11"}, []any{good.get("x.deployment.provider"), good.get("x.deployment.node.managementIp")})
		require.Equal(t, []any{"Compute", "Network"}, good.get("x.deployment.config.document.roles"), "in its canonical form")
		taken := h.ok(deployDoc, m{"input": m{"name": "beta", "spec": m{"script": m{"document": hostDocument("beta", 11)}}}})
		require.Equal(t, []any{"spec", "script", "document"}, taken.get("x.errors.0.field").([]any)[:3], taken.Raw)
	})
}

func TestTheOutputOfARun(t *testing.T) {
	eachApplied(t, func(t *testing.T, h *applied) {
		const doc = `subscription($id:ID!,$from:ByteSize,$beat:Int){scriptRunLog(id:$id,fromOffset:$from,heartbeatSeconds:$beat){text offset next run{id state exitCode}}}`
		h.apply([]any{hostDocument("alpha", 11)})
		h.host.Set(func(x *applytest.Host) { x.Output[1] = []byte("one\ntw\xc3") })
		s := h.subscribe(doc, m{"id": "run_1"})
		first := s.next()
		require.Equal(t, []any{"one\ntw", 0., 6., "RUNNING"}, []any{first["text"], first["offset"], first["next"], dig(first, "run.state")}, "a character that is only begun waits for its end")
		h.host.Set(func(x *applytest.Host) { x.Output[1] = append(x.Output[1], "\xb6\n"...) })
		second := s.next()
		require.Equal(t, []any{"ö\n", 6., 9.}, []any{second["text"], second["offset"], second["next"]})

		// Another reader begins where it wants; pieces are bounded.
		long := strings.Repeat("x", 3*apply.LogMax)
		h.host.Set(func(x *applytest.Host) { x.Output[1] = append(x.Output[1], long...) })
		other := h.subscribe(doc, m{"id": "run_1", "from": 4})
		require.Equal(t, 4., other.next()["offset"])
		got := 0
		for got < len(long) {
			p := s.next()
			require.LessOrEqual(t, len(p["text"].(string)), apply.LogMax)
			got += len(p["text"].(string))
		}
		h.host.End(1, 3)
		for {
			p := s.next()
			if dig(p, "run.state") == "FAILED" {
				require.Equal(t, 3., dig(p, "run.exitCode"))
				if p["text"] == "" {
					break
				}
			}
		}
		require.Equal(t, "complete", s.message()["type"])

		// Of a run that is over all is told, then it is complete.
		over := h.subscribe(doc, m{"id": "run_1", "from": 9 + len(long)})
		require.Equal(t, "FAILED", dig(over.next(), "run.state"))
		require.Equal(t, "complete", over.message()["type"])
		for _, bad := range []m{{"id": "run_9"}, {"id": "dep_1"}, {"id": "run_1", "from": -1}, {"id": "run_1", "beat": 0}} {
			require.Equal(t, "error", refusedOf(h.subscribe(doc, bad)), "%v", bad)
		}
	})
}

// refusedOf tells how a subscription that is refused ends: as an error of its
// own, or as a message with errors.
func refusedOf(s *socket) string {
	s.t.Helper()
	got := s.message()
	if got["type"] == "next" && dig(got, "payload.errors") != nil {
		return "error"
	}
	return got["type"].(string)
}

func TestSignsOfLifeOfARunsOutput(t *testing.T) {
	h := applying(t, storetest.SQLite(t))
	h.apply([]any{hostDocument("alpha", 11)})
	s := h.subscribe(`subscription{scriptRunLog(id:"run_1",heartbeatSeconds:1){text run{state cancelReason}}}`, nil)
	require.Equal(t, "RUNNING", dig(s.next(), "run.state"))
	quiet := s.next() // after a second without output
	require.Empty(t, quiet["text"])
	h.host.Set(func(x *applytest.Host) { x.IgnoresTerm = true })
	h.ok(`mutation{cancelScriptRun(input:{id:"run_1",reason:"enough"}){errors{message}}}`, nil)
	require.Equal(t, "enough", dig(s.next(), "run.cancelReason"), "what changes is told at once")
}
