package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func (y *system) orders(t *testing.T) {
	order := func(body string, more ...string) reply {
		return y.curlWith(t, []byte(body), "/api/config/nodes", args(bearer(y.token), []string{"--data-binary", "@-"}, more)...)
	}
	// What an order could make or change; what the watch over a server writes down
	// meanwhile is not the order's.
	type ordered struct {
		ID           int64  `json:"id"`
		NodeName     string `json:"node_name"`
		DeploymentID int64  `json:"deployment_id"`
		Profile      string `json:"server_profile"`
		ManagementIP string `json:"management_ip"`
		ServerID     string `json:"server_id"`
		State        string `json:"state"`
		Status       string `json:"deployment_status"`
		CreatedAt    string `json:"created_at"`
	}
	var before, after struct{ Nodes []ordered }
	y.get("/api/config/nodes?limit=1000", &before)
	got := order(`{"node_config":{},"network_config":[],"cluster_config":{"cluster_type":7}}`, jsonType...)
	mustRefuse(t, got, 422, "invalid")
	require.Equal(t, map[string]string{
		"node_config.node_name": "required", "node_config.server_profile": "required", "network_config": "invalid", "cluster_config.cluster_type": "invalid",
	}, fields(t, got), "every bad field at once")
	for _, name := range []string{"Upper", "under_score", "123", "-a", "a-", "ä", strings.Repeat("a", 41)} {
		got = order(fmt.Sprintf(`{"node_config":{"node_name":%q,"server_profile":"p"}}`, name), jsonType...)
		require.Equal(t, 422, got.status, "%s: %s", name, got.body)
		require.Contains(t, fields(t, got), "node_config.node_name", name)
	}
	got = order(`{"node_config":{"node_name":"disks","server_profile":"p","storage_config":{"boot_disk":{"min_size":"big"}}}}`, jsonType...)
	mustRefuse(t, got, 422, "invalid")
	mustRefuse(t, order(`{"node_config":`, jsonType...), 400, "invalid")
	mustRefuse(t, order(`[]`, jsonType...), 400, "invalid")
	mustRefuse(t, order(`a=b`), 415, "invalid")
	mustRefuse(t, order(`{"x":"`+strings.Repeat("x", 300<<10)+`"}`, jsonType...), 413, "too_large")
	mustRefuse(t, y.curl(t, "/api/config/nodes", args(jsonType, []string{"-d", "{}"})...), 401, "unauthenticated")
	mustRefuse(t, y.curl(t, "/api/config/nodes", args(bearer(y.viewer), jsonType, []string{"-d", "{}"})...), 403, "forbidden")
	y.get("/api/config/nodes?limit=1000", &after)
	require.Equal(t, before, after, "a refused order makes nothing")

	g := y.dark(t, "dark-order")
	var was, is ordered
	y.get(fmt.Sprintf("/api/config/nodes/%d", g.nodeID), &was)
	got = order(fmt.Sprintf(`{"node_config":{"node_name":"dark-order","server_profile":%q}}`, profile), jsonType...)
	mustRefuse(t, got, 409, "name_in_use")
	y.get(fmt.Sprintf("/api/config/nodes/node_%d", g.nodeID), &is)
	require.Equal(t, was, is, "nothing of the existing node is touched")
	require.Equal(t, "dark-order", is.NodeName)
	require.Equal(t, g.deploymentID, is.DeploymentID)
	require.Equal(t, "monitoring_start", is.Status)
	require.Equal(t, g.ip, is.ManagementIP)
}

// reports plays a machine from its boot to its end, good and bad.
func (y *system) reports(t *testing.T) {
	g, other := y.dark(t, "dark-report"), y.dark(t, "dark-other")

	t.Run("before and at the boot", func(t *testing.T) {
		head := y.curl(t, g.userData, "-I")
		require.Equal(t, 200, head.status)
		require.Equal(t, "monitoring_start", g.last(t).Phase, "HEAD has no effect")
		strange := y.curl(t, y.base+"/boot/d/"+strings.Repeat("A", 43))
		require.Equal(t, 200, strange.status)
		require.NotContains(t, strange.body, "kernel ")
		require.Contains(t, strange.body, "not known")
		g.boot(t)
		other.boot(t)
		require.Equal(t, "ipxe_boot in_progress boot_service", g.last(t).Phase+" "+g.last(t).Status+" "+g.last(t).Source)
	})
	t.Run("the configuration is its own", func(t *testing.T) {
		mustRefuse(t, y.curl(t, "/boot/server/"+g.ip), 401, "unauthenticated")
		mustRefuse(t, y.curl(t, "/boot/server/"+other.ip, bearer(g.token)...), 403, "forbidden")
		mustRefuse(t, y.curl(t, "/boot/server/nonsense", bearer(g.token)...), 422, "invalid")
		mustRefuse(t, y.curl(t, "/boot/server/"+g.ip, bearer(y.token)...), 403, "forbidden")
		require.Equal(t, "ipxe_boot", g.last(t).Phase, "nothing was served")
		require.Equal(t, 200, y.curl(t, "/boot/server/"+g.ip, bearer(g.token)...).status)
		require.Equal(t, "config_download", g.last(t).Phase)
	})
	t.Run("ways in", g.waysIn)
	t.Run("bad input", g.badInput)
	t.Run("who may not", func(t *testing.T) {
		before := len(g.history(t))
		body := fmt.Sprintf(`{"server_ip":%q,"phase":"foundation_start","status":"failed"}`, g.ip)
		mustRefuse(t, y.curl(t, "/api/status/phase", args(jsonType, []string{"-d", body})...), 401, "unauthenticated")
		mustRefuse(t, y.curl(t, "/api/status/phase", args(bearer("slr_"+strings.Repeat("A", 43)), jsonType, []string{"-d", body})...), 401, "unauthenticated")
		mustRefuse(t, y.curl(t, "/api/status/phase", args(bearer(other.token), jsonType, []string{"-d", body})...), 403, "forbidden")
		mustRefuse(t, y.curl(t, "/api/status/phase", args(bearer(y.viewer), jsonType, []string{"-d", body})...), 403, "forbidden")
		mustRefuse(t, y.curl(t, "/api/status/summary", bearer(g.token)...), 403, "forbidden")
		mustRefuse(t, y.curl(t, "/api/status/phase", args(bearer(y.token), jsonType, []string{"-d", `{"server_ip":"10.9.9.9","phase":"installation","status":"ok"}`})...), 404, "not_found")
		require.Len(t, g.history(t), before, "what strangers send is no row of the history")
	})
	t.Run("order of phases", g.phases)
	t.Run("the end", g.finish)
}

func (g *guest) waysIn(t *testing.T) {
	form := []string{"-d", "server_ip=" + g.ip, "-d", "phase=foundation_start", "-d", "status=running"}
	url := "/api/status/phase"
	ok := func(message string, got reply) {
		t.Helper()
		require.Equal(t, 200, got.status, got.body)
		d := got.json(t)
		require.Equal(t, map[string]any{"accepted": true, "duplicate": false, "phase": "foundation_start"},
			map[string]any{"accepted": d["accepted"], "duplicate": d["duplicate"], "phase": d["phase"]})
		last := g.last(t)
		require.Equal(t, message, last.Message)
		require.InDelta(t, last.Sequence, d["sequence"], 0)
		require.Equal(t, "in_progress", last.Status, "running means in_progress")
	}
	ok("form", g.curl(t, url, args(bearer(g.token), form, []string{"-d", "message=form"})...))
	ok("disk 100% full", g.curl(t, url, args(bearer(g.token), form, []string{"-d", "message=disk 100% full"})...))
	ok("JSON", g.say(t, "foundation_start", "in_progress", `"message":"JSON"`))
	ok("called a form", g.post(t, fmt.Sprintf(`{"server_ip":%q,"phase":"foundation_start","status":"started","message":"called a form"}`, g.ip)))
	ok("token in the form", g.curl(t, url, args(form, []string{"-d", "token=" + g.token, "-d", "message=token in the form"})...))
	plain := g.say(t, "foundation_start", "in_progress", `"message":"plain"`, "-H", "Accept: text/plain")
	require.Equal(t, 200, plain.status)
	require.Regexp(t, `^ok foundation_start in_progress \d+: status updated\n$`, plain.body)
	require.Regexp(t, `^text/plain`, plain.header["content-type"])
	plain = g.post(t, `{"phase":"x y"}`, args(jsonType, []string{"-H", "Accept: text/plain"})...)
	require.Equal(t, 422, plain.status)
	require.Regexp(t, `^error invalid: .*server_ip is required.*\n$`, plain.body)
}

func (g *guest) badInput(t *testing.T) {
	before := len(g.history(t))
	got := g.post(t, `{"server_ip":1,"phase":"a b","status":"maybe","message":2,"progress":101,"details":[],"occurred_at":"yesterday","idempotency_key":3}`, jsonType...)
	mustRefuse(t, got, 422, "invalid")
	require.Equal(t, map[string]string{
		"server_ip": "invalid", "phase": "invalid", "status": "invalid", "message": "invalid", "progress": "out_of_range", "details": "invalid",
		"occurred_at": "invalid", "idempotency_key": "invalid",
	}, fields(t, got))
	got = g.post(t, `{}`, jsonType...)
	mustRefuse(t, got, 422, "required")
	require.Equal(t, map[string]string{"server_ip": "required", "phase": "required", "status": "required"}, fields(t, got))
	got = g.say(t, strings.Repeat("p", 65), "success", fmt.Sprintf(`"message":%q`, strings.Repeat("m", 5000)))
	mustRefuse(t, got, 422, "out_of_range")
	require.Equal(t, map[string]string{"phase": "out_of_range", "message": "out_of_range"}, fields(t, got))
	for name, tc := range map[string]struct {
		status int
		kind   string
		body   string
	}{
		"nothing": {400, "application/json", ""}, "cut": {400, "application/json", `{"server_ip":"1`}, "two": {400, "application/json", `{} {}`},
		"array": {400, "application/json", `[]`}, "XML": {415, "text/xml", `<x/>`}, "multipart": {415, "multipart/form-data; boundary=x", `--x--`},
		"broken type": {415, "a/b/c;;", `{}`}, "garbage": {422, "application/x-www-form-urlencoded", "\x00\xff%zz&&==&a"},
	} {
		got := g.post(t, tc.body, "-H", "Content-Type: "+tc.kind)
		require.Equal(t, tc.status, got.status, "%s: %s", name, got.body)
		require.NotEmpty(t, got.json(t)["code"], name)
	}
	mustRefuse(t, g.say(t, "foundation_start", "in_progress", `"log_tail":"`+strings.Repeat("x", 300<<10)+`"`), 413, "too_large")
	mustRefuse(t, g.curl(t, "/api/status/phase", bearer(g.token)...), 405, "invalid")
	require.Len(t, g.history(t), before, "what cannot be read is no row of the history")
}

func (g *guest) phases(t *testing.T) {
	first := g.say(t, "network_config", "in_progress", `"message":"up"`)
	require.Equal(t, 200, first.status)
	rows := len(g.history(t))
	again := g.say(t, "network_config", "in_progress", `"message":"up"`)
	require.Equal(t, 200, again.status)
	require.Equal(t, true, again.json(t)["duplicate"])
	require.Equal(t, first.json(t)["sequence"], again.json(t)["sequence"])
	require.Len(t, g.history(t), rows, "a duplicate makes no row")

	early := g.say(t, "foundation_start", "success", "")
	mustRefuse(t, early, 409, "out_of_order")
	require.Contains(t, early.json(t)["accepted_phases"], "network_config")
	require.NotContains(t, early.json(t)["accepted_phases"], "foundation_start")
	require.Equal(t, "refused out_of_order", g.last(t).Outcome+" "+g.last(t).RefusedCode)

	foreign := g.say(t, "dns_registration", "success", "")
	require.Equal(t, 200, foreign.status)
	require.Equal(t, "step", foreign.json(t)["outcome"], "not the machine's to move")
	unknown := g.say(t, "bios.update", "success", `"message":"new","details":{"version":"2.1"}`)
	require.Equal(t, 200, unknown.status)
	require.Equal(t, "network_config", unknown.json(t)["phase"], "nothing moved")
	require.Equal(t, "bios.update step", g.last(t).Phase+" "+g.last(t).Outcome)
	require.JSONEq(t, `{"version":"2.1"}`, string(g.last(t).Details))

	keyed := `"idempotency_key":"k-1","message":"one"`
	require.Equal(t, 200, g.say(t, "network_config", "in_progress", keyed).status)
	require.Equal(t, true, g.say(t, "network_config", "in_progress", keyed).json(t)["duplicate"])
	mustRefuse(t, g.say(t, "network_config", "in_progress", `"idempotency_key":"k-1","message":"two"`), 422, "idempotency_conflict")

	skip := g.say(t, "image_download", "in_progress", `"progress":40,"occurred_at":"2026-01-02T03:04:05Z"`)
	require.Equal(t, 200, skip.status, "its own phases a machine may pass over")
	var status struct {
		CurrentPhase string `json:"current_phase"`
		Phases       []struct{ Phase, Status string }
	}
	g.get("/api/status/deployment/"+g.ip, &status)
	require.Equal(t, "image_download", status.CurrentPhase)
	require.Contains(t, status.Phases, struct{ Phase, Status string }{"storage_discovery", "skipped"})
}

func (g *guest) finish(t *testing.T) {
	failed := g.say(t, "image_download", "error", `"message":"disk died","log_tail":"`+strings.Repeat("line of a log ", 40_000)+`end"`)
	require.Equal(t, 200, failed.status, "a failed report is never refused for its size: %s", failed.body)
	require.Equal(t, "failed", failed.json(t)["state"])
	last := g.last(t)
	require.LessOrEqual(t, len(last.LogTail), 64<<10)
	require.True(t, strings.HasSuffix(last.LogTail, "end"))
	late := g.say(t, "installation", "in_progress", "")
	mustRefuse(t, late, 409, "deployment_ended")
	require.Equal(t, []any{}, late.json(t)["accepted_phases"])
	require.Equal(t, "refused deployment_ended", g.last(t).Outcome+" "+g.last(t).RefusedCode)
	var shown struct {
		Rows []row `json:"deployment_history"`
	}
	g.get(fmt.Sprintf("/api/status/history/%d", g.nodeID), &shown)
	for _, r := range shown.Rows {
		require.NotEqual(t, "refused", r.Outcome, "refusals are shown only to those who ask")
	}
	stop := g.curl(t, g.userData)
	require.Equal(t, 200, stop.status)
	require.NotContains(t, stop.body, "slr_", "no token for a deployment that has ended")
	require.Contains(t, stop.body, "nothing is changed on this machine")
}

func (y *system) reads(t *testing.T) {
	g := y.dark(t, "dark-read")
	got := y.as(t, fmt.Sprintf("/api/status/nodes/%d", g.nodeID))
	require.Equal(t, 200, got.status)
	d := got.json(t)
	for _, key := range []string{"server_ip", "server_name", "node_id", "deployment_id", "current_phase", "phase_status", "progress_percent", "elapsed_time_seconds",
		"estimated_remaining_seconds", "timed_out", "last_update", "message", "deployment_number", "attempt", "state", "failure", "phases"} {
		require.Contains(t, d, key)
	}
	require.Equal(t, got.json(t)["node_id"], y.as(t, fmt.Sprintf("/api/status/nodes/node_%d", g.nodeID)).json(t)["node_id"])
	require.Equal(t, d["deployment_id"], y.as(t, "/api/status/deployment/"+g.ip).json(t)["deployment_id"])
	plain := y.as(t, "/api/status/deployment/"+g.ip, "-H", "Accept: text/plain")
	require.Regexp(t, `^dark-read monitoring_start in_progress \d+% .*\n$`, plain.body)

	whole := y.as(t, fmt.Sprintf("/api/status/history/%d", g.nodeID)).json(t)
	require.Equal(t, "dark-read", whole["node_name"])
	rows := whole["deployment_history"].([]any)
	require.Equal(t, rows, y.as(t, "/api/status/history?server_ip="+g.ip).json(t)["deployment_history"])
	page := y.as(t, fmt.Sprintf("/api/status/history/%d?limit=2", g.nodeID)).json(t)
	require.Equal(t, rows[:2], page["deployment_history"])
	page = y.as(t, fmt.Sprintf("/api/status/history/%d?limit=2&after=%v", g.nodeID, page["next_cursor"])).json(t)
	require.Equal(t, rows[2:4], page["deployment_history"])

	summary := y.as(t, "/api/status/summary").json(t)
	for _, key := range []string{"total_nodes", "status_breakdown", "active_deployments", "recent_deployments", "last_updated", "duration_p50_seconds", "duration_p95_seconds"} {
		require.Contains(t, summary, key)
	}
	huge := strings.Repeat("9", 30)
	for path, status := range map[string]int{
		"/api/status/nodes/abc": 422, "/api/status/nodes/0": 422, "/api/status/nodes/" + huge: 422, "/api/status/nodes/1'%20or%201=1": 422, "/api/status/nodes/999999": 404,
		"/api/status/deployment/10.0.0": 422, "/api/status/deployment/10.0.0.2": 404, "/api/status/history": 422, "/api/status/history?server_ip=10.0.0.2": 404,
		"/api/status/history/x?limit=x&after=x": 422, "/api/status/history/1?limit=1001": 422, "/api/status/history/1?after=x": 422, "/api/status/history/1?include=all": 422,
		"/api/status/events?after=x": 422, "/api/status/events?status=perhaps": 422, "/api/status/events?deployment=x": 422,
		"/api/config/nodes?limit=x": 422, "/api/config/nodes/999999": 404, "/nowhere": 404,
	} {
		got := y.as(t, path)
		require.Equal(t, status, got.status, "%s: %s", path, got.body)
		require.NotEmpty(t, got.json(t)["code"], path)
	}
	for _, path := range []string{"/boot/images/..%2f..%2fslipway.db", "/boot/images/none.img", "/boot/scripts/..%2fdoc.go", "/boot/scripts/none.sh", "/boot/images/.lock"} {
		require.Equal(t, 404, y.curl(t, path, "--path-as-is").status, path)
	}
	named := y.curl(t, "/boot/config?mgmt_ip="+g.ip)
	require.Equal(t, 200, named.status)
	require.Contains(t, named.body, "dark-read")
	require.NotContains(t, named.body, "slr_")
	require.Contains(t, y.curl(t, "/boot/config?mgmt_ip=10.9.9.9").body, "unknown machine")

	stream := y.as(t, fmt.Sprintf("/api/status/events?after=%v&deployment=%d", rows[0].(map[string]any)["cursor"], g.deploymentID), "-H", "Accept: application/json")
	require.Len(t, stream.json(t)["events"], len(rows)-1)
	for path, want := range map[string]string{"/healthz": "", "/readyz": ""} {
		got := y.curl(t, path)
		require.Equal(t, 200, got.status, "%s%s", path, want)
	}
	require.Equal(t, 401, y.curl(t, "/metrics").status)
	require.Contains(t, y.as(t, "/metrics").body, "slipway_")
}
