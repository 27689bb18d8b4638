package server_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

func TestADryRunOfAnOrder(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.cloud.checks = []deploy.Check{{Key: "quota", Label: "Quota", Severity: deploy.CheckError, Passed: true, Message: "3 of 25 servers"}}
		before := r.everything()
		got := r.call("POST", "/api/config/nodes?dry_run=true", r.operator, goodOrder, "Content-Type", jsonType)
		require.Equal(t, 200, got.status, got.body)
		golden(t, "plan", got)
		require.Equal(t, before, r.everything())

		bad := r.call("POST", "/api/config/nodes?dry_run=1", r.operator, `{"node_config":{"node_name":"Web_01"},"network_config":{"management_ip":"x","vlans":[{"id":0,"subnet":"a"}]}}`, "Content-Type", jsonType)
		require.Equal(t, 200, bad.status, bad.body)
		doc := bad.json(t)
		require.Equal(t, false, doc["ok"])
		var fields []string
		for _, c := range doc["checks"].([]any) {
			if one := c.(map[string]any); one["passed"] == false && one["severity"] == "error" {
				fields = append(fields, one["field"].(string))
			}
		}
		require.ElementsMatch(t, []string{"node_config.node_name", "node_config.server_profile", "network_config.management_ip", "network_config.vlans.0.id"}, fields, "in the words of this endpoint")
		misspelt := r.call("POST", "/api/config/nodes?dry_run=true", r.operator, strings.Replace(goodOrder, "cluster_type", "clustertype", 1), "Content-Type", jsonType).json(t)
		require.Equal(t, true, misspelt["ok"])
		checks := misspelt["checks"].([]any)
		require.Equal(t, "not known and passed over: cluster_config.clustertype", checks[len(checks)-1].(map[string]any)["message"])
		line := r.call("POST", "/api/config/nodes?dry_run=true", r.operator, `{"node_config":{"node_name":"Web_01"}}`, "Content-Type", jsonType, "Accept", "text/plain")
		require.Regexp(t, `^error would fail: Name: .*\n$`, line.body)
		require.Equal(t, 422, r.call("POST", "/api/config/nodes?dry_run=true", r.operator, `{"node_config":7}`, "Content-Type", jsonType).status)
		require.Equal(t, 403, r.call("POST", "/api/config/nodes?dry_run=true", r.viewer, goodOrder, "Content-Type", jsonType).status)
		// A misspelt question must not order a machine.
		for _, q := range []string{"?dryrun=true", "?dry-run=true", "?dry_run=yes", "?dry_run", "?%zz"} {
			got := r.call("POST", "/api/config/nodes"+q, r.operator, goodOrder, "Content-Type", jsonType)
			require.Equal(t, 422, got.status, "%s: %s", q, got.body)
		}
		require.Equal(t, before, r.everything())
		require.Equal(t, 202, r.post(goodOrder).status)
		taken := r.call("POST", "/api/config/nodes?dry_run=true", r.operator, goodOrder, "Content-Type", jsonType).json(t)
		require.Equal(t, false, taken["ok"])
	})
}

// TestPostingAnExistingNameTouchesNothing: the original deleted the server.
func TestPostingAnExistingNameTouchesNothing(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.failed("web-01", "10.0.0.1") // a failed one's name is no freer
		r.order("web-02", "10.0.0.2")
		before := r.everything()
		for _, name := range []string{"web-01", "web-02"} {
			got := r.post(strings.Replace(goodOrder, "web-01", name, 1))
			require.Equal(t, 409, got.status, got.body)
			require.Equal(t, "name_in_use", got.json(t)["code"])
		}
		require.Equal(t, before, r.everything())
		require.Empty(t, r.cloud.did)
	})
}

// TestTwoPostsAtOnce: one wins, and the other takes nothing away from it.
func TestTwoPostsAtOnce(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		const n = 8
		var all sync.WaitGroup
		codes := make([]int, n)
		for i := range n {
			all.Go(func() { codes[i] = r.post(goodOrder).status })
		}
		all.Wait()
		won := 0
		for _, c := range codes {
			if c == 202 {
				won++
				continue
			}
			require.Equal(t, 409, c)
		}
		require.Equal(t, 1, won)
		require.Len(t, r.get("/api/config/nodes").json(t)["nodes"], 1)
		require.Equal(t, "queued", *jsonText(r.get("/api/config/nodes/1").json(t)["state"]))
	})
}

func jsonText(v any) *string { s, _ := v.(string); return &s }

// TestCleanupTakesIdsOnly: the original took a pattern and removed whatever
// matched it.
func TestCleanupTakesIdsOnly(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		m := r.failed("web-01", "10.0.0.1")
		r.failed("web-02", "10.0.0.2")
		before := r.everything()
		for _, id := range []string{"%25", "_", "*", "web", "web-01", "%2e%2e", "0", "-1", "1e0", "1%20or%201=1", "dep_1", "node_", "1,2", "99999999999999999999", url.PathEscape("'; drop table nodes")} {
			for _, q := range []string{"", "?dry_run=true"} {
				got := r.command("/api/cleanup/node/"+id+q, `{"confirm":"web-01"}`)
				require.Contains(t, []int{404, 422}, got.status, "%s: %s", id, got.body)
			}
		}
		require.Contains(t, []int{404, 405}, r.command("/api/cleanup/node/", `{"confirm":"web-01"}`).status)
		require.Equal(t, 404, r.command("/api/cleanup/node/77", `{"confirm":"web-01"}`).status)
		require.Equal(t, before, r.everything())

		path := fmt.Sprintf("/api/cleanup/node/node_%d", m.nodeID)
		for _, body := range []string{"", `{}`, `{"confirm":""}`, `{"confirm":"web"}`, `{"confirm":"web-0%"}`, `{"confirm":"WEB-01"}`, `{"confirm":"web-02"}`} {
			got := r.command(path, body)
			require.Equal(t, 422, got.status, "%s: %s", body, got.body)
			require.Equal(t, "confirmation_mismatch", got.json(t)["code"])
			require.Contains(t, got.json(t)["hint"], `{"confirm":"web-01"}`)
		}
		for _, tc := range []struct {
			q, body string
			status  int
		}{
			{"?dryrun=true", `{"confirm":"web-01"}`, 422}, {"?dry_run=ja", `{"confirm":"web-01"}`, 422}, {"", `{"confirm":"web-01","dry_run":true}`, 422},
			{"", `{"confirm":true}`, 422}, {"", `[]`, 415}, {"", `{"confirm":`, 400}, {"", strings.Repeat(" ", 300<<10), 413},
		} {
			headers := []string{}
			if tc.status == 415 {
				headers = []string{"Content-Type", "text/csv"}
			}
			require.Equal(t, tc.status, r.command(path+tc.q, tc.body, headers...).status, "%+v", tc)
		}
		require.Equal(t, before, r.everything(), "nothing was touched")
		require.Equal(t, 403, r.call("POST", path, r.viewer, `{"confirm":"web-01"}`, "Content-Type", jsonType).status)
	})
}

func TestCleanup(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		m := r.failed("web-01", "10.0.0.1")
		path := fmt.Sprintf("/api/cleanup/node/%d", m.nodeID)
		before := r.everything()
		plan := r.command(path+"?dry_run=true", "")
		require.Equal(t, 200, plan.status, plan.body)
		golden(t, "cleanup-plan", plan)
		require.Equal(t, before, r.everything())

		require.Equal(t, 200, r.command(fmt.Sprintf("/api/nodes/%d/protection", m.nodeID), `{"protected":true,"note":"ask Ann"}`).status)
		held := r.command(path, `{"confirm":"web-01"}`)
		require.Equal(t, 409, held.status, held.body)
		require.Contains(t, held.body, "ask Ann")
		require.Equal(t, 409, r.command(path+"?dry_run=true", "").status)
		require.Equal(t, 200, r.command(fmt.Sprintf("/api/nodes/%d/protection", m.nodeID), `{"protected":false}`).status)

		got := r.command(path, `{"confirm":"web-01"}`)
		require.Equal(t, 202, got.status, got.body)
		golden(t, "cleanup", got)
		again := r.command(path, `{"confirm":"web-01"}`)
		require.Equal(t, 409, again.status)
		require.Equal(t, "run_active", again.json(t)["code"])
		golden(t, "cleanup-status", r.get("/api/cleanup/status"))

		steps := `{"steps":[{"resource_id":1,"kind":"server","name":"slw-web-01","action":"delete","status":"success","message":"GET gave 404 at 10:00"}]}`
		done := r.call("POST", "/api/status/phase", r.operator, `{"server_ip":"10.0.0.1","phase":"cleanup","status":"success"}`, "Content-Type", jsonType)
		require.Equal(t, 409, done.status, "the end of a cleanup is proven, not reported")
		_, err := r.writer.Report(t.Context(), lifecycle.Report{DeploymentID: m.deploymentID, Phase: phase.Cleanup, Status: phase.InProgress, Details: json.RawMessage(steps),
			Source: deploy.SourceCloudAPI, Actor: deploy.System, As: phase.ByWorkflow})
		require.NoError(t, err)
		r.workflow(m.deploymentID, phase.Cleanup, phase.Success)
		status := r.get("/api/cleanup/status").json(t)
		require.Empty(t, status["cleaning_up"])
		one := status["cleaned_up"].([]any)[0].(map[string]any)
		require.Equal(t, true, one["cleanup_completed"])
		require.Equal(t, "GET gave 404 at 10:00", one["steps"].([]any)[0].(map[string]any)["message"])
		require.Equal(t, status["cleaned_up"], r.get(fmt.Sprintf("/api/cleanup/status?deployment_id=dep_%d", m.deploymentID)).json(t)["cleaned_up"])
		require.Equal(t, 404, r.get("/api/cleanup/status?deployment_id=999").status)
		require.Equal(t, 422, r.get("/api/cleanup/status?deployment_id=%25").status)
		gone := r.command(path, `{"confirm":"web-01"}`)
		require.Equal(t, 409, gone.status)
		require.Equal(t, "wrong_state", gone.json(t)["code"])
	})
}

// TestCleanupBeginsWithoutItsPlan: a cloud that does not answer keeps nobody
// from beginning a cleanup; only a dry run has to tell what there is.
func TestCleanupBeginsWithoutItsPlan(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		m := r.failed("web-01", "10.0.0.1")
		path := fmt.Sprintf("/api/cleanup/node/%d", m.nodeID)
		r.cloud.trouble = &deploy.ProviderError{Code: deploy.CodeUpstreamUnavailable, Message: "the cloud does not answer", Temporary: true}
		require.Equal(t, 503, r.command(path+"?dry_run=true", "").status)
		require.Equal(t, 422, r.command(path, `{"confirm":"web-02"}`).status)
		got := r.command(path, `{"confirm":"web-01"}`)
		require.Equal(t, 202, got.status, got.body)
		require.Nil(t, got.json(t)["plan"])
		require.Equal(t, "web-01 is being cleaned up; the plan could not be read: the cloud does not answer", got.json(t)["message"])
		require.Len(t, r.get("/api/cleanup/status").json(t)["cleaning_up"], 1)
	})
}

// TestSecretsInReasonsAndNotesAreNotKept: what a person pasted by mistake.
func TestSecretsInReasonsAndNotesAreNotKept(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		m := r.order("web-01", "10.0.0.1")
		got := r.command(fmt.Sprintf("/api/nodes/%d/protection", m.nodeID), fmt.Sprintf(`{"protected":true,"note":"mine %s"}`, r.operator))
		require.Equal(t, 200, got.status, got.body)
		require.Equal(t, "mine slw_[removed]", got.json(t)["note"])
		got = r.command(fmt.Sprintf("/api/deployments/%d/cancel", m.deploymentID), fmt.Sprintf(`{"mode":"immediate","reason":"with %s"}`, r.operator))
		require.Equal(t, 202, got.status, got.body)
		history := r.get(fmt.Sprintf("/api/status/history/%d", m.nodeID)).body
		require.Contains(t, history, "with slw_[removed]")
		require.NotContains(t, history, r.operator)
	})
}

// TestCleanupForgetsNoRows: the original removed its notes although the
// deletion had failed.
func TestCleanupForgetsNoRows(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		m := r.failed("web-01", "10.0.0.1")
		list := fmt.Sprintf("/api/resources?node_id=%d", m.nodeID)
		held := r.get(list).json(t)["resources"].([]any)
		require.Len(t, held, 1)
		require.Equal(t, 202, r.command(fmt.Sprintf("/api/cleanup/node/%d", m.nodeID), `{"confirm":"web-01"}`).status)
		r.workflow(m.deploymentID, phase.Cleanup, phase.FailedRun)
		require.Equal(t, held, r.get(list).json(t)["resources"], "what could not be deleted is still known")
		failed := r.get("/api/cleanup/status").json(t)["failed"].([]any)
		require.Len(t, failed, 1)
		require.Equal(t, "cleanup", failed[0].(map[string]any)["failure"].(map[string]any)["phase"])
		again := r.command(fmt.Sprintf("/api/cleanup/node/%d", m.nodeID), `{"confirm":"web-01"}`)
		require.Equal(t, 202, again.status, "and it can be asked for again: %s", again.body)
		r.workflow(m.deploymentID, phase.Cleanup, phase.Success)
		require.Len(t, r.get(list).json(t)["resources"], 1, "also afterwards")
	})
}

func TestRetryAndCancel(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		m := r.failed("web-01", "10.0.0.1")
		retry, cancel := fmt.Sprintf("/api/deployments/dep_%d/retry", m.deploymentID), fmt.Sprintf("/api/deployments/%d/cancel", m.deploymentID)
		ended := r.command(cancel, "")
		require.Equal(t, 409, ended.status)
		require.Equal(t, "deployment_ended", ended.json(t)["code"])
		for _, body := range []string{`{"from_phase":"nonsense"}`, `{"from_phase":"installation"}`, `{"from_phase":7}`, `{"from":"pending"}`} {
			got := r.command(retry, body)
			require.Equal(t, 422, got.status, "%s: %s", body, got.body)
		}
		got := r.command(retry, "")
		require.Equal(t, 202, got.status, got.body)
		golden(t, "retry", got)
		twice := r.command(retry, `{}`)
		require.Equal(t, 409, twice.status)
		require.Equal(t, "wrong_state", twice.json(t)["code"])

		for _, body := range []string{`{"mode":"sideways"}`, `{"mode":["immediate"]}`, `{"reason":"a\nb"}`, fmt.Sprintf(`{"reason":%q}`, strings.Repeat("x", 501)), `{"mod":"immediate"}`} {
			require.Equal(t, 422, r.command(cancel, body).status, body)
		}
		require.Equal(t, 422, r.command(cancel+"?dry_run=true", "").status)
		stopped := r.call("POST", cancel, r.operator, "mode=immediate&reason=not+needed", "Content-Type", formType)
		require.Equal(t, 202, stopped.status, stopped.body)
		golden(t, "cancel", stopped)
		history := r.get(fmt.Sprintf("/api/status/history/%d", m.nodeID)).body
		require.Contains(t, history, "not needed")
		for _, id := range []string{"%25", "web-01", "node_1", "0"} {
			require.Contains(t, []int{404, 422}, r.command("/api/deployments/"+id+"/retry", "").status, id)
			require.Contains(t, []int{404, 422}, r.command("/api/deployments/"+id+"/cancel", "").status, id)
		}
		require.Equal(t, 404, r.command("/api/deployments/999/retry", "").status)
		require.Equal(t, 404, r.command("/api/deployments/999/cancel", "").status)
	})
}

func TestReinitialize(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		m := r.failed("web-01", "10.0.0.1")
		r.failed("web-02", "10.0.0.2")
		before := r.everything()
		for body, status := range map[string]int{
			``: 422, `{}`: 422, `{"node_id":"%"}`: 422, `{"node_id":"web-01"}`: 422, `{"node_id":1.5}`: 422, `{"mgmt_ip":"10.0.0"}`: 422, `{"mgmt_ip":7}`: 422, `{"mgmt_ip":"10.9.9.9"}`: 404,
			`{"node_id":999}`: 404, fmt.Sprintf(`{"node_id":%d,"mgmt_ip":"10.0.0.2"}`, m.nodeID): 422, fmt.Sprintf(`{"node_id":%d,"confirm":"web-02"}`, m.nodeID): 422,
			fmt.Sprintf(`{"node_id":%d,"nodes":"all"}`, m.nodeID): 422,
		} {
			got := r.command("/api/reinitialize", body)
			require.Equal(t, status, got.status, "%s: %s", body, got.body)
		}
		require.Equal(t, before, r.everything())
		protection := fmt.Sprintf("/api/nodes/%d/protection", m.nodeID)
		golden(t, "protection", r.command(protection, `{"protected":"true","note":"in use"}`))
		held := r.command("/api/reinitialize", `{"mgmt_ip":"10.0.0.1"}`)
		require.Equal(t, 409, held.status)
		require.Contains(t, held.body, "in use")
		require.Equal(t, true, r.get(fmt.Sprintf("/api/config/nodes/%d", m.nodeID)).json(t)["protected"])
		require.Equal(t, 200, r.command(protection, `{"protected":false}`).status)

		got := r.command("/api/reinitialize", fmt.Sprintf(`{"node_id":"node_%d","confirm":"web-01"}`, m.nodeID), "Idempotency-Key", "again-1")
		require.Equal(t, 202, got.status, got.body)
		golden(t, "reinitialize", got)
		same := r.command("/api/reinitialize", fmt.Sprintf(`{"node_id":"node_%d","confirm":"web-01"}`, m.nodeID), "Idempotency-Key", "again-1")
		require.Equal(t, 202, same.status)
		require.Equal(t, got.json(t)["deployment_id"], same.json(t)["deployment_id"])
		busy := r.command("/api/reinitialize", `{"mgmt_ip":"10.0.0.1"}`)
		require.Equal(t, 409, busy.status)
		require.Equal(t, "run_active", busy.json(t)["code"])
		// The server is the new deployment's now.
		require.Equal(t, got.json(t)["deployment_id"], r.get(fmt.Sprintf("/api/resources?node_id=%d", m.nodeID)).json(t)["resources"].([]any)[0].(map[string]any)["held_by"])
	})
}

func TestProtectionRefusals(t *testing.T) {
	r := newRig(t, storetest.SQLite(t))
	m := r.failed("web-01", "10.0.0.1")
	path := fmt.Sprintf("/api/nodes/%d/protection", m.nodeID)
	before := r.everything()
	for _, body := range []string{"", `{}`, `{"protected":null}`, `{"protected":"perhaps"}`, `{"protected":7}`, `{"protected":true,"note":7}`, fmt.Sprintf(`{"protected":true,"note":%q}`, strings.Repeat("x", 501)), `{"protected":true,"why":"x"}`} {
		require.Equal(t, 422, r.command(path, body).status, body)
	}
	require.Equal(t, 404, r.command("/api/nodes/999/protection", `{"protected":true}`).status)
	require.Equal(t, 422, r.command("/api/nodes/web-01/protection", `{"protected":true}`).status)
	require.Equal(t, before, r.everything())
}
