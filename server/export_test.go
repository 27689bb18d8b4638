package server_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

// table reads CSV as rows by column.
func table(t *testing.T, body string) (out []map[string]string) {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(body)).ReadAll()
	require.NoError(t, err)
	for _, row := range rows[1:] {
		m := map[string]string{}
		for i, c := range rows[0] {
			m[c] = row[i]
		}
		out = append(out, m)
	}
	return out
}

func lines(t *testing.T, body string) (out []map[string]any) {
	t.Helper()
	for line := range strings.Lines(body) {
		var m map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &m), line)
		out = append(out, m)
	}
	return out
}

func TestExportNodes(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.failed("web-02", "10.0.0.2")
		r.order("web-01", "10.0.0.1")
		_, err := r.writer.RegisterNode(t.Context(), lifecycle.NewNode{Name: "spare", Provider: deploy.ProviderRack, ServerProfile: "@SUM(1+1)", MACs: []string{"02:00:00:00:00:01"},
			Labels: map[string]string{"b": "2", "a": "1"}, Actor: deploy.System})
		require.NoError(t, err)

		got := r.get("/api/export/nodes.csv")
		require.Equal(t, 200, got.status, got.body)
		require.Equal(t, "text/csv; charset=utf-8; header=present", got.header.Get("Content-Type"))
		require.Regexp(t, `^attachment; filename="slipway-nodes-\d{8}T\d{6}Z\.csv"$`, got.header.Get("Content-Disposition"))
		require.Equal(t, "no-store", got.header.Get("Cache-Control"))
		require.True(t, strings.HasPrefix(got.body, "id,name,provider,server_profile,"))
		rows := table(t, got.body)
		require.Len(t, rows, 3)
		require.Equal(t, []string{"spare", "web-01", "web-02"}, []string{rows[0]["name"], rows[1]["name"], rows[2]["name"]})
		require.Equal(t, []string{"'@SUM(1+1)", "a=1; b=2", "02:00:00:00:00:01", "", ""}, []string{rows[0]["server_profile"], rows[0]["labels"], rows[0]["mac_addresses"], rows[0]["phase"], rows[0]["failure_hint"]})
		require.Equal(t, []string{"failed", "1", "10.0.0.2"}, []string{rows[2]["state"], rows[2]["deployment_number"], rows[2]["management_ip"]})
		require.NotEmpty(t, rows[2]["failure_code"])

		list := lines(t, r.get("/api/export/nodes.ndjson").body)
		require.Len(t, list, 3)
		require.Equal(t, "@SUM(1+1)", list[0]["server_profile"], "JSON is as it is")
		require.Nil(t, list[0]["current_deployment"])
		require.Equal(t, rows[2]["failure_code"], list[2]["current_deployment"].(map[string]any)["failure_code"])

		for query, want := range map[string]string{
			"state=failed,canceled": "web-02", "text=10.0.0.1": "web-01", "label=a%3D1&label=b%3D2": "spare", "label=a%3D2": "", "stale=true": "", "late=false&state=failed": "web-02",
			"server_profile=" + "%40SUM(1%2B1)": "spare", "failure_code=" + rows[2]["failure_code"]: "web-02", "failure_phase=pending": "",
		} {
			var names []string
			for _, row := range table(t, r.get("/api/export/nodes.csv?"+query).body) {
				names = append(names, row["name"])
			}
			require.Equal(t, want, strings.Join(names, " "), query)
		}
		bad := r.get("/api/export/nodes.csv?state=lost&stale=perhaps&label=x&text=" + strings.Repeat("x", 201))
		require.Equal(t, 422, bad.status)
		require.Len(t, bad.json(t)["fields"], 4)
		require.Empty(t, bad.header.Get("Content-Disposition"))
		head := r.call(http.MethodHead, "/api/export/nodes.csv", r.viewer, "")
		require.Equal(t, []any{200, ""}, []any{head.status, head.body})
	})
}

func TestExportEvents(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		one, two := r.boot("web-01", "10.0.0.1"), r.boot("web-02", "10.0.0.2")
		for _, message := range []string{"=cmd|' /C calc'!A0", "+1", "-1", "\tx", "＝1", "two\nlines, \"quoted\"", "<b>"} {
			require.Equal(t, 200, r.report(one, phase.FoundationStart, "in_progress", "message", message, "details", map[string]any{"m": message}).status)
		}
		r.settle()
		all := table(t, r.get("/api/export/events.csv").body)
		require.Len(t, all, r.events(one.deploymentID)+r.events(two.deploymentID))
		mine := r.get(fmt.Sprintf("/api/export/events.csv?node=node_%d&phase=foundation_start&source=installer_script", one.nodeID))
		require.Regexp(t, `filename="slipway-events-`, mine.header.Get("Content-Disposition"))
		var said []string
		for _, row := range table(t, mine.body) {
			require.Equal(t, "web-01", row["node_name"])
			said = append(said, row["message"])
		}
		require.Equal(t, []string{"'=cmd|' /C calc'!A0", "'+1", "'-1", "'\tx", "'＝1", "two\nlines, \"quoted\"", "<b>"}, said)

		list := lines(t, r.get("/api/export/events.ndjson").body)
		require.Len(t, list, len(all))
		require.Equal(t, "web-01", list[0]["node_name"])
		require.NotEmpty(t, list[0]["cursor"])
		rest := lines(t, r.get("/api/export/events.ndjson?after="+list[2]["cursor"].(string)).body)
		require.Equal(t, list[3:], rest)
		require.Equal(t, "text/csv; charset=utf-8; header=present", r.get("/api/export/events.csv?status=skipped").header.Get("Content-Type"))
		require.Equal(t, 422, r.get("/api/export/events.csv?status=odd").status)
		foreign := r.feed.Cursor(1)
		foreign.Epoch = "elsewhere"
		require.Equal(t, 422, r.get("/api/export/events.csv?after="+foreign.String()).status)
	})
}

// More rows than a part, each exactly once and in order, in little memory.
func TestExportMany(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		r := newRig(t, st)
		const many = 30_000
		pad := strings.Repeat("x", 500)
		_, err := st.Write.ExecContext(t.Context(), fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
			INSERT INTO nodes (name, provider, server_profile, protect_note, created_at, updated_at) SELECT 'n' || (100000 + i), 'rack', 'p', '%s', '2026-11-22 12:00:00+00:00', '2026-11-22 12:00:00+00:00' FROM n`, many, pad))
		require.NoError(t, err)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.web.URL+"/api/export/nodes.ndjson", nil)
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+r.viewer)
		var before, now runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer res.Body.Close()
		dec := json.NewDecoder(res.Body)
		var most uint64
		n := 0
		for ; ; n++ {
			var row struct {
				Name string `json:"node_name"`
			}
			err := dec.Decode(&row)
			if err == io.EOF {
				break
			}
			require.NoError(t, err)
			require.Equal(t, fmt.Sprintf("n%d", 100_001+n), row.Name)
			if n%3000 == 2999 {
				runtime.GC()
				runtime.ReadMemStats(&now)
				most = max(most, now.HeapAlloc)
			}
		}
		require.Equal(t, many, n)
		grown := int64(most) - int64(before.HeapAlloc)
		t.Logf("%d rows, heap grew by at most %d KiB", n, grown>>10)
		require.Less(t, grown, int64(12<<20), "30 MB were sent")
	})
}
