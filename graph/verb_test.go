package graph_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
)

const failing = "errors{code message field retryable}"

const acts = `deployment{id number kind attempt state phase allowedActions retryPhases{phase phaseKey label beginsAt installs} cleanup{resourceId resourceKind role name cloudId action status message}
	stuckReason{code position} node{name protected protectNote state}} ` + failing

var verbs = map[string]string{
	"cancel":       `mutation($input:CancelDeploymentInput!){x:cancelDeployment(input:$input){` + acts + `}}`,
	"retry":        `mutation($input:RetryDeploymentInput!){x:retryDeployment(input:$input){` + acts + `}}`,
	"cleanup":      `mutation($input:CleanupDeploymentInput!){x:cleanupDeployment(input:$input){plan{resourceId resourceKind name action status} ` + acts + `}}`,
	"reinitialize": `mutation($input:ReinitializeNodeInput!){x:reinitializeNode(input:$input){` + acts + `}}`,
	"protect":      `mutation($input:SetNodeProtectionInput!){x:setNodeProtection(input:$input){bareMetalNode{protected protectNote version currentDeployment{allowedActions}} ` + failing + `}}`,
}

// do runs a verb as an operator.
func (h *house) verb(name string, input m) answer {
	h.t.Helper()
	return h.ok(verbs[name], m{"input": input})
}

func global(d lifecycle.Deployed) string { return fmt.Sprintf("dep_%d", d.DeploymentID) }
func nodeOf(d lifecycle.Deployed) string { return fmt.Sprintf("node_%d", d.NodeID) }

// actions reads what may be asked of a deployment.
func (h *house) actions(d lifecycle.Deployed) []any {
	h.t.Helper()
	return h.ok(`query($id:ID!){deployment(id:$id){allowedActions}}`, m{"id": global(d)}).get("deployment.allowedActions").([]any)
}

func (h *house) count(table string) int {
	h.t.Helper()
	var n int
	require.NoError(h.t, h.st.Read.QueryRowContext(h.t.Context(), "SELECT count(*) FROM "+table).Scan(&n))
	return n
}

func TestVerbsAreForOperators(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		d := h.order("alpha")
		for name, input := range map[string]m{
			"cancel": {"id": global(d)}, "retry": {"id": global(d)}, "cleanup": {"id": global(d), "dryRun": true},
			"reinitialize": {"id": nodeOf(d), "confirmNodeName": "alpha"}, "protect": {"id": nodeOf(d), "protected": true},
		} {
			require.Equal(t, "FORBIDDEN", h.as("viewer", verbs[name], m{"input": input}).code(t), name)
		}
		require.Equal(t, []any{"CANCEL"}, h.actions(d), "nothing was done")
	})
}

func TestCancel(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		// One that only waits ends at once.
		d := h.order("waits")
		a := h.verb("cancel", m{"id": global(d), "reason": " a mistake "})
		require.Empty(t, errs(a, "x.errors"))
		require.Equal(t, "CANCELED", a.get("x.deployment.state"))
		require.Equal(t, "CANCELED", a.get("x.deployment.node.state"))
		require.Equal(t, []any{"CLEANUP", "REINITIALIZE"}, a.get("x.deployment.allowedActions"))
		history := h.ok(`query($id:ID!){deployment(id:$id){events(last:1){nodes{message source status}}}}`, m{"id": global(d)})
		require.Equal(t, m{"message": "canceled: a mistake", "source": "USER", "status": "CANCELED"}, history.get("deployment.events.nodes.0"))

		// One that does something ends with its phase, unless that cannot wait.
		d = h.order("works")
		h.report(d, phase.Pending, phase.Success, "")
		h.report(d, phase.ServerRequested, phase.InProgress, "")
		a = h.verb("cancel", m{"id": global(d)})
		require.Equal(t, "CANCELING", a.get("x.deployment.state"))
		require.Equal(t, []any{"CANCEL"}, a.get("x.deployment.allowedActions"))
		version := h.count("deployment_history")
		a = h.verb("cancel", m{"id": global(d)})
		require.Empty(t, errs(a, "x.errors"), "it is so already")
		require.Equal(t, version, h.count("deployment_history"))
		a = h.verb("cancel", m{"id": global(d), "mode": "IMMEDIATE"})
		require.Equal(t, "CANCELED", a.get("x.deployment.state"))

		a = h.verb("cancel", m{"id": global(d)})
		require.Equal(t, []string{"DEPLOYMENT_ENDED"}, errs(a, "x.errors"))
		require.Nil(t, a.get("x.deployment"))
		require.Equal(t, []string{"OUT_OF_RANGE reason"}, errs(h.verb("cancel", m{"id": global(d), "reason": strings.Repeat("r", 501)}), "x.errors"))
		for _, id := range []string{"dep_424242", nodeOf(d), "?"} {
			require.Contains(t, errs(h.verb("cancel", m{"id": id}), "x.errors")[0], "NOT_FOUND", id)
		}
	})
}

func TestRetry(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		d := h.order("alpha")
		require.Equal(t, []string{"WRONG_STATE"}, errs(h.verb("retry", m{"id": global(d)}), "x.errors"), "it is on its way")
		for _, k := range []string{phase.Pending, phase.ServerRequested, phase.MonitoringStart, phase.IPXEBoot, phase.ConfigDownload} {
			h.report(d, k, phase.Success, "")
		}
		h.report(d, phase.FoundationStart, phase.FailedRun, "no disk")
		a := h.ok(`query($id:ID!){x:node(id:$id){... on Deployment{allowedActions retryBeginsAt retryPhases{phase phaseKey label beginsAt installs}}}}`, m{"id": global(d)})
		require.Equal(t, []any{"RETRY", "RETRY_FROM_PHASE", "CLEANUP", "REINITIALIZE"}, a.get("x.allowedActions"))
		require.Equal(t, "MONITORING_START", a.get("x.retryBeginsAt"))
		phases := a.get("x.retryPhases").([]any)
		require.Equal(t, m{"phase": "SERVER_REQUESTED", "phaseKey": "server_requested", "label": "Server ordered", "beginsAt": "SERVER_REQUESTED", "installs": true}, phases[0])
		require.Equal(t, "MONITORING_START", dig(phases[len(phases)-1], "beginsAt"))
		require.Equal(t, "FOUNDATION_START", dig(phases[len(phases)-1], "phase"))

		require.Equal(t, []string{"OUT_OF_RANGE fromPhase"}, errs(h.verb("retry", m{"id": global(d), "fromPhase": "DNS_REGISTRATION"}), "x.errors"))
		require.Equal(t, []string{"INVALID fromPhase"}, errs(h.verb("retry", m{"id": global(d), "fromPhase": "CUSTOM"}), "x.errors"))
		require.Equal(t, []string{"INVALID fromPhase"}, errs(h.verb("retry", m{"id": global(d), "fromPhase": "SCRIPT_STARTED"}), "x.errors"))

		a = h.verb("retry", m{"id": global(d)})
		require.Empty(t, errs(a, "x.errors"))
		require.Equal(t, "QUEUED", a.get("x.deployment.state"), "what installs waits for a slot")
		require.EqualValues(t, 2, a.get("x.deployment.attempt"))
		require.Equal(t, []any{}, a.get("x.deployment.retryPhases"))
		require.Equal(t, []string{"WRONG_STATE"}, errs(h.verb("retry", m{"id": global(d)}), "x.errors"), "a second click makes no second attempt")

		h.report(d, phase.Pending, phase.Success, "")
		a = h.ok(`query($id:ID!){deployment(id:$id){phase retryBeginsAt}}`, m{"id": global(d)})
		require.Equal(t, "MONITORING_START", a.get("deployment.phase"), "the machine boots again")
		require.Nil(t, a.get("deployment.retryBeginsAt"))
		h.report(d, phase.MonitoringStart, phase.FailedRun, "it never booted")
		a = h.ok(`query($id:ID!){deployment(id:$id){retryBeginsAt}}`, m{"id": global(d)})
		require.Equal(t, "SERVER_REQUESTED", a.get("deployment.retryBeginsAt"), "the server was given up")
		a = h.verb("retry", m{"id": global(d), "fromPhase": "SERVER_REQUESTED"})
		require.EqualValues(t, 3, a.get("x.deployment.attempt"))
		require.Contains(t, errs(h.verb("retry", m{"id": "dep_77"}), "x.errors")[0], "NOT_FOUND")
	})
}

func released(status string) deploy.ReleaseStep {
	return deploy.ReleaseStep{ResourceID: 7, Kind: "server", Name: "slw-alpha-1", CloudID: "0717-1", Action: "stop and delete", Status: status, Message: "about it"}
}

func TestCleanup(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		d := h.order("alpha")
		require.Equal(t, []string{"RUN_ACTIVE"}, errs(h.verb("cleanup", m{"id": global(d), "confirmNodeName": "alpha"}), "x.errors"))
		require.Equal(t, []string{"RUN_ACTIVE"}, errs(h.verb("cleanup", m{"id": global(d), "dryRun": true}), "x.errors"))
		h.finish(d)

		// The plan changes nothing, and needs no name.
		h.cloud.release = func(r deploy.Release) ([]deploy.ReleaseStep, error) {
			require.Equal(t, "alpha", r.NodeName)
			return []deploy.ReleaseStep{released(deploy.ReleaseWaiting)}, nil
		}
		before := h.count("deployment_history")
		a := h.verb("cleanup", m{"id": global(d), "dryRun": true})
		require.Empty(t, errs(a, "x.errors"))
		require.Equal(t, []any{m{"resourceId": "res_7", "resourceKind": "server", "name": "slw-alpha-1", "action": "stop and delete", "status": "WAITING"}}, a.get("x.plan"))
		require.Equal(t, "SUCCEEDED", a.get("x.deployment.state"))
		require.Equal(t, before, h.count("deployment_history"))
		h.cloud.release = nil
		a = h.verb("cleanup", m{"id": global(d), "dryRun": true})
		require.Equal(t, []string{"UPSTREAM_UNAVAILABLE"}, errs(a, "x.errors"))
		require.Equal(t, true, a.get("x.errors.0.retryable"))
		require.Contains(t, a.get("x.errors.0.message"), "the cloud does not answer; wait")

		// The name must be right.
		for _, name := range []any{nil, "", "Alpha", "alpha "} {
			a = h.verb("cleanup", m{"id": global(d), "confirmNodeName": name})
			require.Equal(t, []string{"CONFIRMATION_MISMATCH confirmNodeName"}, errs(a, "x.errors"), "%v", name)
		}
		// A hold refuses it.
		h.verb("protect", m{"id": nodeOf(d), "protected": true, "note": "holds the demo"})
		a = h.verb("cleanup", m{"id": global(d), "confirmNodeName": "alpha"})
		require.Equal(t, []string{"WRONG_STATE"}, errs(a, "x.errors"))
		require.Contains(t, a.get("x.errors.0.message"), "holds the demo")
		h.verb("protect", m{"id": nodeOf(d), "protected": false})

		a = h.verb("cleanup", m{"id": global(d), "confirmNodeName": "alpha"})
		require.Empty(t, errs(a, "x.errors"))
		require.Equal(t, "CLEANING_UP", a.get("x.deployment.state"))
		require.Equal(t, []any{}, a.get("x.deployment.allowedActions"))
		require.Equal(t, []any{}, a.get("x.deployment.cleanup"), "it has not begun yet")
		require.Equal(t, []any{}, a.get("x.plan"))
		require.Equal(t, []string{"RUN_ACTIVE"}, errs(h.verb("cleanup", m{"id": global(d), "confirmNodeName": "alpha"}), "x.errors"))

		// Its steps are shown as the workflow tells of them, and stay.
		tell := func(status phase.Status, details string) {
			_, err := h.writer.Report(t.Context(), lifecycle.Report{
				DeploymentID: d.DeploymentID, Phase: phase.Cleanup, Status: status, Details: []byte(details), Message: details,
				Source: deploy.SourceCloudAPI, Actor: deploy.System, As: phase.ByWorkflow,
			})
			require.NoError(t, err)
		}
		steps := func() any {
			return h.ok(`query($id:ID!){deployment(id:$id){state cleanup{resourceId resourceKind role name cloudId action status message}}}`, m{"id": global(d)}).get("deployment.cleanup")
		}
		tell(phase.InProgress, `{"steps":[{"resource_id":7,"kind":"server","name":"slw-alpha-1","cloud_id":"0717-1","action":"stop and delete","status":"in_progress","message":"stopping"}]}`)
		want := m{"resourceId": "res_7", "resourceKind": "server", "role": nil, "name": "slw-alpha-1", "cloudId": "0717-1", "action": "stop and delete", "status": "IN_PROGRESS", "message": "stopping"}
		require.Equal(t, []any{want}, steps())
		h.report(d, "note", phase.InProgress, "a person looked at it") // no step of the release
		tell(phase.Success, `{"steps":[{"resource_id":7,"kind":"server","name":"slw-alpha-1","cloud_id":"0717-1","action":"stop and delete","status":"success","message":"404 at 10:00"}]}`)
		want["status"], want["message"] = "SUCCEEDED", "404 at 10:00"
		require.Equal(t, []any{want}, steps())
		require.Equal(t, []string{"WRONG_STATE"}, errs(h.verb("cleanup", m{"id": global(d), "confirmNodeName": "alpha"}), "x.errors"))
		require.Empty(t, h.actions(d))

		// The name can be used again, and the old deployment touches nothing of the new one.
		again := h.order("alpha")
		require.Equal(t, 2, again.Number)
		require.Equal(t, []string{"WRONG_STATE"}, errs(h.verb("cleanup", m{"id": global(d), "confirmNodeName": "alpha"}), "x.errors"))
	})
}

func TestReinitialize(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		d := h.order("alpha")
		in := m{"id": nodeOf(d), "confirmNodeName": "alpha", "idempotencyKey": "again"}
		require.Equal(t, []string{"RUN_ACTIVE"}, errs(h.verb("reinitialize", in), "x.errors"))
		h.finish(d)
		require.Equal(t, []string{"WRONG_STATE"}, errs(h.verb("reinitialize", in), "x.errors"), "it has no machine")
		_, err := h.st.Write.ExecContext(t.Context(), `UPDATE nodes SET server_id = '0717-1' WHERE id = $1`, d.NodeID)
		require.NoError(t, err)
		_, err = h.st.Write.ExecContext(t.Context(), `INSERT INTO resources (node_id, created_by, held_by, provider, kind, role, name, generation, state, cloud_id, last_error, created_at, updated_at)
			VALUES ($1, $2, $2, 'ibm_vpc', 'server', '', 'slw-alpha', 1, 'present', '0717-1', '', $3, $3)`, d.NodeID, d.DeploymentID, time.Now().UTC())
		require.NoError(t, err)

		for name, tc := range map[string]struct {
			change m
			want   string
		}{
			"other name":    {m{"confirmNodeName": "beta"}, "CONFIRMATION_MISMATCH confirmNodeName"},
			"no name":       {m{"confirmNodeName": ""}, "REQUIRED confirmNodeName"},
			"no such node":  {m{"id": "node_424242"}, "NOT_FOUND"},
			"not a node":    {m{"id": global(d)}, "NOT_FOUND id"},
			"two providers": {m{"spec": m{"ibmVpc": m{"serverProfile": "p"}, "rack": m{"mac": "02:00:00:00:00:01", "managementIp": "10.0.0.7"}}}, "INVALID spec"},
			"bad VLAN":      {m{"spec": m{"ibmVpc": m{"serverProfile": "p", "vlans": []m{{"id": 4095, "subnet": "s"}}}}}, "OUT_OF_RANGE spec.ibmVpc.vlans.0.id"},
			"other owner":   {m{"spec": m{"rack": m{"mac": "02:00:00:00:00:01", "managementIp": "10.0.0.7"}}}, "INVALID spec.rack.provider"},
			"long key":      {m{"idempotencyKey": strings.Repeat("k", 129)}, "OUT_OF_RANGE idempotencyKey"},
		} {
			bad := m{}
			for k, v := range in {
				bad[k] = v
			}
			for k, v := range tc.change {
				bad[k] = v
			}
			require.Equal(t, []string{tc.want}, errs(h.verb("reinitialize", bad), "x.errors"), name)
		}
		require.Equal(t, 1, h.count("deployments"))

		a := h.verb("reinitialize", in)
		require.Empty(t, errs(a, "x.errors"))
		require.Equal(t, "REINITIALIZE", a.get("x.deployment.kind"))
		require.EqualValues(t, 2, a.get("x.deployment.number"))
		require.Equal(t, "QUEUED", a.get("x.deployment.state"))
		again := h.verb("reinitialize", in)
		require.Equal(t, a.get("x.deployment.id"), again.get("x.deployment.id"))
		require.Empty(t, h.actions(d), "the first one is left behind")
		require.Equal(t, []string{"WRONG_STATE"}, errs(h.verb("cleanup", m{"id": global(d), "confirmNodeName": "alpha"}), "x.errors"))
		first := h.ok(`query($id:ID!){deployment(id:$id){kind}}`, m{"id": global(d)})
		require.Equal(t, "INSTALL", first.get("deployment.kind"))
	})
}

func TestProtect(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		d := h.order("alpha")
		h.finish(d)
		require.Equal(t, []any{"CLEANUP", "REINITIALIZE"}, h.actions(d))
		a := h.verb("protect", m{"id": nodeOf(d), "protected": true, "note": "ours"})
		require.Empty(t, errs(a, "x.errors"))
		n := a.get("x.bareMetalNode").(m)
		require.Equal(t, true, n["protected"])
		require.Equal(t, "ours", n["protectNote"])
		require.Equal(t, []any{}, dig(n, "currentDeployment.allowedActions"))
		again := h.verb("protect", m{"id": nodeOf(d), "protected": true, "note": "ours", "expectedVersion": n["version"]})
		require.Equal(t, n["version"], again.get("x.bareMetalNode.version"), "nothing changed")
		require.Equal(t, []string{"WRONG_STATE"}, errs(h.verb("reinitialize", m{"id": nodeOf(d), "confirmNodeName": "alpha"}), "x.errors"))

		stale := h.verb("protect", m{"id": nodeOf(d), "protected": false, "expectedVersion": n["version"].(float64) - 1})
		require.Equal(t, []string{"VERSION_MISMATCH"}, errs(stale, "x.errors"))
		require.Equal(t, true, stale.get("x.errors.0.retryable"))
		require.Equal(t, []string{"OUT_OF_RANGE note"}, errs(h.verb("protect", m{"id": nodeOf(d), "protected": true, "note": strings.Repeat("n", 501)}), "x.errors"))
		require.Equal(t, []string{"NOT_FOUND id"}, errs(h.verb("protect", m{"id": global(d), "protected": true}), "x.errors"))
		require.Equal(t, []string{"NOT_FOUND"}, errs(h.verb("protect", m{"id": "node_9999", "protected": true}), "x.errors"))

		a = h.verb("protect", m{"id": nodeOf(d), "protected": false, "note": "forgotten"})
		require.Equal(t, false, a.get("x.bareMetalNode.protected"))
		require.Nil(t, a.get("x.bareMetalNode.protectNote"))
		require.Equal(t, []any{"CLEANUP", "REINITIALIZE"}, a.get("x.bareMetalNode.currentDeployment.allowedActions"))
	})
}

func TestPlacesInQueues(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		places := func() string {
			a := h.ok(`{bareMetalNodes{nodes{name currentDeployment{stuckReason{code position evidence}}}}}`, nil)
			var out []string
			for _, n := range a.get("bareMetalNodes.nodes").([]any) {
				w := dig(n, "currentDeployment.stuckReason")
				out = append(out, fmt.Sprint(dig(n, "name"), " ", dig(w, "code"), " ", dig(w, "position")))
			}
			return strings.Join(out, ", ")
		}
		var made []lifecycle.Deployed
		for _, name := range []string{"a", "b", "c", "d"} {
			made = append(made, h.order(name))
		}
		require.Equal(t, "a slot 1, b slot 2, c slot 3, d slot 4", places())
		h.report(made[0], phase.Pending, phase.Success, "")
		require.Equal(t, "a workflow <nil>, b slot 1, c slot 2, d slot 3", places())
		// The workflow's own note of the place does not take the number away.
		_, err := h.st.Write.ExecContext(t.Context(), `UPDATE phase_runs SET awaiting = 'slot', evidence = 'noted' WHERE deployment_id = $1`, made[2].DeploymentID)
		require.NoError(t, err)
		require.Equal(t, "a workflow <nil>, b slot 1, c slot 2, d slot 3", places())

		// In the queue of downloads who has waited longest is the next.
		for i, d := range []lifecycle.Deployed{made[3], made[1]} {
			for _, k := range []string{phase.Pending, phase.ServerRequested, phase.MonitoringStart, phase.IPXEBoot, phase.ConfigDownload, phase.FoundationStart, phase.NetworkConfig, phase.StorageDiscovery} {
				if d != made[0] {
					h.report(d, k, phase.Success, "")
				}
			}
			h.report(d, phase.ImageDownload, phase.InProgress, "")
			_, err := h.st.Write.ExecContext(t.Context(), `UPDATE phase_runs SET awaiting = 'download_slot', awaiting_since = $1 WHERE deployment_id = $2 AND finished_at IS NULL`,
				fmt.Sprintf("2026-11-22 10:00:0%d+00:00", i), d.DeploymentID)
			require.NoError(t, err)
		}
		require.Equal(t, "a workflow <nil>, b download_slot 2, c slot 1, d download_slot 1", places())
	})
}
