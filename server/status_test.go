package server_test

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var scrubs = []struct {
	re *regexp.Regexp
	to string
}{
	{regexp.MustCompile(`"\d{4}-\d\d-\d\dT[0-9:.]+Z"`), `"<time>"`},
	{regexp.MustCompile(`since \d{4}-\d\d-\d\dT[0-9:.]+Z`), `since <time>`},
	{regexp.MustCompile(`"(cursor|next_cursor)":"[A-Za-z0-9_-]{20,}"`), `"$1":"<cursor>"`},
	{regexp.MustCompile(`"request_id":"[0-9a-f]{24}"`), `"request_id":"<id>"`},
	{regexp.MustCompile(`"(elapsed_time_seconds|duration_seconds)":[0-9.]+`), `"$1":0`},
}

// golden compares an answer, without what changes by the clock, with a file.
func golden(t *testing.T, name string, got answered) {
	t.Helper()
	body := got.body
	for _, s := range scrubs {
		body = s.re.ReplaceAllString(body, s.to)
	}
	body = strings.ReplaceAll(body, ",\"", ",\n\"")
	text := fmt.Sprintf("%d %s\n%s", got.status, got.header.Get("Content-Type"), body)
	path := filepath.Join("testdata", name+".golden")
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), text, name)
}

func TestStatusAnswers(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		m := r.boot("web-01", "10.0.0.1")
		require.Equal(t, 200, r.report(m, "image_download", "in_progress", "progress", 50, "message", "half").status)
		golden(t, "node-status", r.get(fmt.Sprintf("/api/status/nodes/%d", m.nodeID)))
		golden(t, "node-status", r.get(fmt.Sprintf("/api/status/nodes/node_%d", m.nodeID)))
		golden(t, "node-status", r.get("/api/status/deployment/"+m.ip))
		golden(t, "node-status-text", r.get("/api/status/deployment/"+m.ip, "Accept", "text/plain"))
		golden(t, "history", r.get(fmt.Sprintf("/api/status/history/%d", m.nodeID)))
		golden(t, "history", r.get("/api/status/history?server_ip="+m.ip))
		golden(t, "report", r.report(m, "installation", "running"))
		golden(t, "report-duplicate", r.report(m, "installation", "running"))
		golden(t, "report-refused", r.report(m, "foundation_start", "ok"))
		golden(t, "report-refused-text", r.call("POST", "/api/status/phase", m.token,
			"server_ip="+m.ip+"&phase=foundation_start&status=ok&message=x", "Content-Type", formType, "Accept", "text/plain"))
		golden(t, "report-invalid", r.report(m, "", "perhaps", "progress", 200))
		require.Equal(t, 200, r.report(m, "installation", "failed", "message", "disk died").status)
		golden(t, "node-status-failed", r.get("/api/status/nodes/1"))
		golden(t, "report-ended", r.report(m, "post_install", "success"))
		r.order("web-02", "10.0.0.2")
		golden(t, "summary", r.get("/api/status/summary"))
		golden(t, "summary-text", r.get("/api/status/summary", "Accept", "text/plain"))
		golden(t, "node", r.get("/api/config/nodes/node_1"))
		golden(t, "nodes", r.get("/api/config/nodes?limit=1"))
		golden(t, "not-found", r.get("/api/status/nodes/99"))
		golden(t, "not-found-text", r.get("/api/status/nodes/99", "Accept", "text/plain"))
		golden(t, "no-credentials", r.call("GET", "/api/status/nodes/1", "", ""))
	})
}

func TestANodeThatWasNeverDeployed(t *testing.T) {
	r := newRig(t, storetest.SQLite(t))
	require.NoError(t, r.st.InTx(t.Context(), func(tx *sql.Tx) error {
		return r.st.EntTx(tx).Node.Create().SetName("spare").SetProvider("rack").SetManagementIP("10.0.0.9").Exec(t.Context())
	}))
	got := r.get("/api/status/deployment/10.0.0.9")
	require.Equal(t, 200, got.status)
	doc := got.json(t)
	require.Equal(t, "pending", doc["current_phase"])
	require.Equal(t, "waiting", doc["phase_status"])
	require.Nil(t, doc["deployment_id"])
	require.Equal(t, []any{}, doc["phases"])
	require.Equal(t, []any{}, r.get("/api/status/history?server_ip=10.0.0.9").json(t)["deployment_history"])
	got = r.call("POST", "/api/status/phase", r.operator, `{"server_ip":"10.0.0.9","phase":"installation","status":"ok"}`, "Content-Type", jsonType)
	require.Equal(t, 404, got.status, got.body)
}

func TestReadsRefuseBadParameters(t *testing.T) {
	r := newRig(t, storetest.SQLite(t))
	m := r.boot("web-01", "10.0.0.1")
	huge := strings.Repeat("9", 30)
	long := strings.Repeat("x", 3000)
	for path, status := range map[string]int{
		"/api/status/nodes/abc":                                      422,
		"/api/status/nodes/0":                                        422,
		"/api/status/nodes/-1":                                       422,
		"/api/status/nodes/" + huge:                                  422,
		"/api/status/nodes/dep_1":                                    422,
		"/api/status/nodes/" + long:                                  422,
		"/api/status/nodes/1%00":                                     422,
		"/api/status/nodes/1'%20or%201=1":                            422,
		"/api/status/nodes/9223372036854775807":                      404,
		"/api/status/deployment/10.0.0":                              422,
		"/api/status/deployment/10.0.0.2":                            404,
		"/api/status/deployment/%00":                                 422,
		"/api/status/deployment/::ffff:10.0.0.1":                     200,
		"/api/status/history":                                        422,
		"/api/status/history?server_ip=x":                            422,
		"/api/status/history?server_ip=10.0.0.2":                     404,
		"/api/status/history/x":                                      422,
		"/api/status/history/9":                                      404,
		"/api/status/history/1?limit=0":                              422,
		"/api/status/history/1?limit=1001":                           422,
		"/api/status/history/1?limit=x":                              422,
		"/api/status/history/1?limit=" + huge:                        422,
		"/api/status/history/1?after=x":                              422,
		"/api/status/history/1?after=" + long:                        422,
		"/api/status/history/1?deployment=node_1":                    422,
		"/api/status/history/1?deployment=99":                        200,
		"/api/status/history/1?include=all":                          422,
		"/api/status/history/1?include=refused":                      200,
		"/api/status/history/1?limit=%zz":                            200,
		"/api/status/events?after=x":                                 422,
		"/api/status/events?deployment=x":                            422,
		"/api/status/events?deployment=" + strings.Repeat("1,", 501): 422,
		"/api/status/events?node=node_x":                             422,
		"/api/status/events?batch=x":                                 422,
		"/api/status/events?status=perhaps":                          422,
		"/api/status/events?source=me":                               422,
		"/api/status/events?phase=" + strings.Repeat("a,", 51):       422,
		"/api/status/events?include=x":                               422,
		"/api/config/nodes?limit=x":                                  422,
		"/api/config/nodes?after=x":                                  422,
		"/api/config/nodes/x":                                        422,
		"/api/config/nodes/9":                                        404,
	} {
		got := r.get(path)
		require.Equal(t, status, got.status, "%s: %s", path, got.body)
		if status >= 400 {
			require.NotEmpty(t, got.json(t)["code"], path)
		}
	}
	require.Equal(t, "invalid", r.get("/api/status/history/x?limit=x&after=x").fields(t)["limit"], "every bad parameter at once")
	require.Len(t, r.get("/api/status/history/x?limit=x&after=x").fields(t), 3)
	_ = m
}

func TestHistoryIsCompleteOrPaged(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		m := r.boot("web-01", "10.0.0.1")
		const rows = 1203 // more than two reads
		require.NoError(t, r.st.InTx(t.Context(), func(tx *sql.Tx) error {
			c := r.st.EntTx(tx)
			for i := range rows {
				err := c.DeploymentEvent.Create().SetID(int64(100_000 + i)).SetPosition(int64(100_000 + i)).SetDeploymentID(m.deploymentID).SetNodeID(m.nodeID).
					SetSequence(1000 + i).SetAttempt(1).SetPhase("x").SetStatus("in_progress").SetOutcome("step").SetSource("user").SetState("running").
					Exec(t.Context())
				if err != nil {
					return err
				}
			}
			return nil
		}))
		path := fmt.Sprintf("/api/status/history/%d", m.nodeID)
		whole := r.get(path, "Accept-Encoding", "identity").json(t)["deployment_history"].([]any)
		require.Greater(t, len(whole), rows)

		var paged []any
		after := ""
		for {
			got := r.get(path + "?limit=500&after=" + after).json(t)
			paged = append(paged, got["deployment_history"].([]any)...)
			next, more := got["next_cursor"].(string)
			if !more {
				break
			}
			after = next
		}
		require.Equal(t, whole, paged)
		var last float64
		for _, row := range whole {
			seq := row.(map[string]any)["sequence"].(float64)
			require.Greater(t, seq, last, "oldest first")
			last = seq
		}
	})
}

func TestProgressAndEstimates(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		m := r.boot("web-01", "10.0.0.1")
		path := fmt.Sprintf("/api/status/nodes/%d", m.nodeID)
		var seen float64
		for _, k := range []string{"foundation_start", "network_config", "storage_discovery", "image_download", "installation", "post_install"} {
			require.Equal(t, 200, r.report(m, k, "in_progress").status, k)
			require.Equal(t, 200, r.report(m, k, "success").status, k)
			now := r.get(path).json(t)["progress_percent"].(float64)
			require.Greater(t, now, seen, k)
			seen = now
		}
		require.Nil(t, r.get(path).json(t)["estimated_remaining_seconds"], "no history, no estimate")
		r.workflow(m.deploymentID, phase.DNSRegistration, phase.Success)
		r.workflow(m.deploymentID, phase.HealthValidation, phase.Success)
		doc := r.get(path).json(t)
		require.InDelta(t, 100, doc["progress_percent"], 0)
		require.Equal(t, "succeeded", doc["state"])
		require.Equal(t, "deployed", doc["current_phase"])
	})
}

// stream reads Server-Sent Events from a path until it ends, in a channel.
type event struct{ kind, id, data string }

func (r *rig) stream(ctx context.Context, path string, headers ...string) <-chan event {
	r.t.Helper()
	return openStream(ctx, r, path, headers...)
}

func next(t *testing.T, ch <-chan event) (event, bool) {
	t.Helper()
	select {
	case e, ok := <-ch:
		return e, ok
	case <-time.After(2 * time.Minute):
		t.Fatal("nothing came")
		return event{}, false
	}
}
