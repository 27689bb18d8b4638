package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/apply"
	"github.com/slipwayhq/slipway/deploy/apply/applytest"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
	"github.com/slipwayhq/slipway/server"
)

// document is one of the default shape.
func document(name string, last int) string {
	return fmt.Sprintf(`{"using_interfaces":{
		"interface_01":{"interface_name":"eno1","type":["Primary"],"vlan_id":"NULL","Bond_Slave":"NO","Properties":{"IP_ADDRESS":"192.0.2.%d","Netmask":"255.255.255.0","DNS":"192.0.2.2","mtu":"1500","gateway":"192.0.2.1"}},
		"interface_02":{"interface_name":"eno2","type":["Secondary"],"vlan_id":"101","Bond_Slave":"NO"}},
		"hostname":%q,"disk":[],"roles":["Compute"]}`, last, name)
}

func (r *rig) apply(body string, headers ...string) answered {
	r.t.Helper()
	return r.call("POST", "/store-deployment-configs", r.operator, body, append([]string{"Content-Type", jsonType}, headers...)...)
}

// ended waits until a run is seen to have ended.
func (r *rig) ended(run int64) {
	r.t.Helper()
	require.Eventually(r.t, func() bool {
		return r.get(fmt.Sprintf("/api/script/runs/%d", run)).json(r.t)["ended_at"] != nil
	}, 2*time.Minute, 5*time.Millisecond)
}

func TestConfigurationsAreApplied(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		body := `{"192.0.2.11":` + document("alpha", 11) + `,"192.0.2.12":` + document("beta", 12) + `}`
		plan := r.call("POST", "/store-deployment-configs?dry_run=true", r.operator, body, "Content-Type", jsonType)
		golden(t, "apply-plan", plan)
		require.Empty(t, r.host.Content(), "a question writes nothing")
		require.Equal(t, "ok 2 file(s) would be written, and the deployment script started\n",
			r.call("POST", "/store-deployment-configs?dry_run=true", r.operator, body, "Content-Type", jsonType, "Accept", "text/plain").body)

		golden(t, "apply", r.apply(body, "Idempotency-Key", "k1"))
		require.Len(t, r.host.Content(), 2)
		require.Equal(t, plan.json(t)["plans"].([]any)[0].(map[string]any)["content"], r.host.Content()["node_01.json"], "what was shown is what was written")
		golden(t, "script-progress", r.get("/node-deployment-progress"))

		// The same again is the same run; another request has to wait.
		again := r.apply(body, "Idempotency-Key", "k1")
		require.Equal(t, 202, again.status, again.body)
		require.Equal(t, true, again.json(t)["existing"])
		require.EqualValues(t, 1, again.json(t)["run_id"])
		other := r.apply(`[` + document("gamma", 13) + `]`)
		golden(t, "apply-busy", other)
		require.Equal(t, 409, other.status)
		require.Len(t, r.host.Starts, 1)

		r.host.Set(func(h *applytest.Host) { h.Output[1] = []byte("storing\nrebooting\n") })
		r.host.End(1, 0)
		r.ended(1)
		golden(t, "script-run", r.get("/api/script/runs/run_1"))
		golden(t, "script-host", r.get("/api/script"))
		require.Equal(t, false, r.get("/node-deployment-progress").json(t)["in_progress"])
	})
}

var refusedConfigs = map[string]struct {
	body   string
	header []string
	status int
	code   string
	fields map[string]string // with their keys
}{
	"no JSON":       {body: `{"a":`, status: 400, code: "invalid"},
	"nothing":       {body: ``, status: 400, code: "invalid"},
	"two values":    {body: `{} {}`, status: 400, code: "invalid"},
	"a form":        {body: `a=b`, header: []string{"Content-Type", formType}, status: 415, code: "invalid"},
	"no type":       {body: `[]`, header: []string{"Content-Type", ""}, status: 415, code: "invalid"},
	"too large":     {body: `["` + strings.Repeat("x", 257<<10) + `"]`, status: 413, code: "too_large"},
	"null":          {body: `null`, status: 422, fields: map[string]string{"body": "wrong_type"}},
	"no documents":  {body: `[]`, status: 422, fields: map[string]string{"body": "no_cards"}},
	"a strange key": {body: `{"a b":` + document("alpha", 11) + `}`, status: 422, fields: map[string]string{"cards.0.key": "node_key_bad"}},
	"a long key":    {body: `[` + document("alpha", 11) + `]`, header: []string{"Idempotency-Key", strings.Repeat("k", 201)}, status: 422, fields: map[string]string{"idempotency_key": ""}},
	"several errors": {body: `[` + strings.NewReplacer("255.255.255.0", "255.0.255.0", `"101"`, `"5000"`).Replace(document("alpha", 11)) + `,` + document("beta", 300) + `]`, status: 422, fields: map[string]string{
		"cards.0.using_interfaces.interface_01.Properties.Netmask":    "mask_not_contiguous",
		"cards.0.using_interfaces.interface_02.vlan_id":               "vlan_out_of_range",
		"cards.1.using_interfaces.interface_01.Properties.IP_ADDRESS": "address_bad",
	}},
	"the same address": {body: `[` + document("alpha", 11) + `,` + document("beta", 11) + `]`, status: 422},
}

func TestConfigurationsThatAreRefused(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		for name, c := range refusedConfigs {
			for _, query := range []string{"", "?dry_run=true"} {
				got := r.call("POST", "/store-deployment-configs"+query, r.operator, c.body, append([]string{"Content-Type", jsonType}, c.header...)...)
				require.Equal(t, c.status, got.status, "%s: %s", name, got.body)
				doc := got.json(t)
				require.Equal(t, false, doc["success"], name)
				require.NotEmpty(t, doc["request_id"], name)
				if c.code != "" {
					require.Equal(t, c.code, doc["code"], name)
				}
				if c.fields != nil {
					require.Equal(t, c.fields, keys(t, got), name)
				}
			}
		}
		for _, query := range []string{"?dryrun=true", "?dry_run=perhaps", "?%zz"} {
			require.Equal(t, 422, r.call("POST", "/store-deployment-configs"+query, r.operator, `[`+document("alpha", 11)+`]`, "Content-Type", jsonType).status, query)
		}
		require.Equal(t, 403, r.call("POST", "/store-deployment-configs", r.viewer, `[]`, "Content-Type", jsonType).status)
		require.Empty(t, r.host.Content())
		require.Empty(t, r.host.Starts)
		require.Empty(t, r.get("/api/script/runs").json(t)["runs"])
		golden(t, "apply-invalid", r.apply(refusedConfigs["several errors"].body))
	})
}

// keys are the bad fields of an error document with their keys.
func keys(t *testing.T, a answered) map[string]string {
	t.Helper()
	out := map[string]string{}
	list, _ := a.json(t)["fields"].([]any)
	for _, f := range list {
		m := f.(map[string]any)
		key, _ := m["key"].(string)
		out[m["field"].(string)] = key
		require.NotEmpty(t, m["code"])
		require.NotEmpty(t, m["message"])
	}
	return out
}

// TestAHostThatCannot: whatever is wrong with it, it is 503 with the reason,
// and nothing is left behind.
func TestAHostThatCannot(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		last := 10
		for name, change := range map[string]func(h *applytest.Host){
			"no script": func(h *applytest.Host) {
				h.NotReady = &deploy.ProviderError{Code: deploy.CodeNotFound, Message: "there is no script"}
			},
			"may not write": func(h *applytest.Host) {
				h.NotReady = &deploy.ProviderError{Code: deploy.CodeForbidden, Message: "read-only"}
			},
			"disk full": func(h *applytest.Host) {
				h.WriteFails = &deploy.ProviderError{Code: deploy.CodeQuotaExceeded, Message: "no space left"}
			},
			"cannot start": func(h *applytest.Host) {
				h.StartFails = &deploy.ProviderError{Code: deploy.CodeInvalid, Message: "exec format error"}
			},
			"cannot be read": func(h *applytest.Host) {
				h.NotReady = &deploy.ProviderError{Code: deploy.CodeConflict, Message: "is a directory"}
			},
		} {
			r.host.Set(func(h *applytest.Host) { h.NotReady, h.WriteFails, h.StartFails = nil, nil, nil })
			r.host.Set(change)
			last++ // deployments of a run that failed are still to be told so, by the workflow
			got := r.apply(`[` + document(fmt.Sprintf("n%d", last), last) + `]`)
			require.Equal(t, 503, got.status, "%s: %s", name, got.body)
			doc := got.json(t)
			require.Equal(t, false, doc["success"], name)
			require.Regexp(t, `^error: .+`, doc["deployment_script"], name)
			require.Equal(t, "upstream_unavailable", doc["code"], name)
			require.NotEmpty(t, got.header.Get("Retry-After"), name)
			require.Empty(t, r.host.Content(), name)
			require.Equal(t, false, r.get("/node-deployment-progress").json(t)["in_progress"], name)
		}
		r.host.Set(func(h *applytest.Host) {
			h.WriteFails, h.StartFails = nil, nil
			h.NotReady = &deploy.ProviderError{Code: deploy.CodeNotFound, Message: "there is no script", Hint: "put it there"}
		})
		golden(t, "apply-not-ready", r.apply(`[`+document("omega", 31)+`]`))
		plan := r.call("POST", "/store-deployment-configs?dry_run=true", r.operator, `[`+document("omega", 31)+`]`, "Content-Type", jsonType)
		require.Equal(t, 200, plan.status, plan.body)
		require.Equal(t, false, plan.json(t)["success"])
		require.Equal(t, map[string]any{"error": "there is no script", "code": "not_found", "hint": "put it there"}, plan.json(t)["obstacle"])
		require.Len(t, plan.json(t)["plans"], 1)
	})
}

func TestAServerWithoutAScript(t *testing.T) {
	st := storetest.SQLite(t)
	r := newRig(t, st, func(p *server.Parts) { p.Scripts = apply.New(apply.Deps{Store: st}) })
	got := r.apply(`[` + document("alpha", 11) + `]`)
	require.Equal(t, 503, got.status, got.body)
	require.Contains(t, got.json(t)["deployment_script"], "error: no deployment script is set up")
	about := r.get("/api/script").json(t)
	require.Nil(t, about["host"])
	require.Equal(t, "wrong_state", about["obstacle"].(map[string]any)["code"])
	require.Equal(t, 409, r.get("/node-deployment-progress").status, "not false: that would mean that it is over")
	require.Equal(t, 200, r.get("/api/script/runs").status)
	require.Equal(t, 409, r.call("POST", "/api/script/marker/clear", r.operator, "").status)
}

func TestRunsOverREST(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		for i := range 3 {
			require.Equal(t, 202, r.apply(`[`+document(fmt.Sprintf("n%d", i), 20+i)+`]`).status)
			r.host.End(int64(i+1), i)
			r.ended(int64(i + 1))
		}
		page := r.get("/api/script/runs?limit=2").json(t)
		require.Equal(t, []any{3., 2.}, ids(page["runs"]))
		require.Equal(t, "run_2", page["next_cursor"])
		page = r.get("/api/script/runs?limit=2&after=run_2").json(t)
		require.Equal(t, []any{1.}, ids(page["runs"]))
		require.Nil(t, page["next_cursor"])
		for path, status := range map[string]int{
			"/api/script/runs?limit=0": 422, "/api/script/runs?limit=101": 422, "/api/script/runs?after=x": 422, "/api/script/runs/9": 404, "/api/script/runs/x": 422,
			"/api/script/runs/9/log": 404, "/api/script/runs/1/log?offset=-1": 422, "/api/script/runs/1/log?limit=3": 422, "/api/script/runs/1/log?limit=65537": 422,
		} {
			require.Equal(t, status, r.get(path).status, path)
		}
		over := r.call("POST", "/api/script/runs/1/cancel", r.operator, "")
		require.Equal(t, 409, over.status, over.body)
		require.Equal(t, "wrong_state", over.json(t)["code"])
		require.Equal(t, 404, r.call("POST", "/api/script/runs/9/cancel", r.operator, "").status)

		require.Equal(t, 202, r.apply(`[`+document("n4", 24)+`]`).status)
		require.Equal(t, 403, r.call("POST", "/api/script/runs/4/cancel", r.viewer, "").status)
		require.Equal(t, 422, r.call("POST", "/api/script/runs/4/cancel", r.operator, `{"why":"x"}`, "Content-Type", jsonType).status)
		busy := r.call("POST", "/api/script/marker/clear", r.operator, "")
		require.Equal(t, "run_active", busy.json(t)["code"])
		got := r.call("POST", "/api/script/runs/run_4/cancel", r.operator, `{"reason":"a mistake"}`, "Content-Type", jsonType)
		require.Equal(t, 202, got.status, got.body)
		require.Equal(t, "a mistake", got.json(t)["cancel_reason"])
		r.ended(4)
		require.Equal(t, "canceled", r.get("/api/script/runs/4").json(t)["state"])
		require.Equal(t, []string{"4 SIGTERM"}, r.host.Signals)
		golden(t, "marker", r.call("POST", "/api/script/marker/clear", r.operator, ""))
		require.Equal(t, 403, r.call("POST", "/api/script/marker/clear", r.viewer, "").status)
	})
}

func ids(list any) (out []any) {
	for _, one := range list.([]any) {
		out = append(out, one.(map[string]any)["id"])
	}
	return out
}

var eventID = regexp.MustCompile(`(?m)^id: (\d+)$`)

func TestOutputOverREST(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		require.Equal(t, 202, r.apply(`[`+document("alpha", 11)+`]`).status)
		r.host.Set(func(h *applytest.Host) { h.Output[1] = []byte("añb\xff\xc3") }) // the last byte begins a character
		piece := r.get("/api/script/runs/1/log").json(t)
		require.Equal(t, "añb\uFFFD", piece["text"])
		require.EqualValues(t, 5, piece["next_offset"], "what is only begun is left for the next")
		require.Equal(t, false, piece["end"])
		plain := r.get("/api/script/runs/1/log?offset=1&limit=4", "Accept", "text/plain")
		require.Equal(t, "ñb\uFFFD", plain.body)
		require.Equal(t, "5", plain.header.Get("X-Next-Offset"))
		require.Equal(t, "running", plain.header.Get("X-Run-State"))

		// A stream follows until the run has ended.
		req, err := http.NewRequestWithContext(t.Context(), "GET", r.web.URL+"/api/script/runs/1/log?offset=3", nil)
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+r.viewer)
		req.Header.Set("Accept", "text/event-stream")
		res, err := noRedirect.Do(req)
		require.NoError(t, err)
		defer res.Body.Close()
		require.Equal(t, 200, res.StatusCode)
		read := func(until string) string {
			var got strings.Builder
			buf := make([]byte, 512)
			for !strings.Contains(got.String(), until) {
				n, err := res.Body.Read(buf)
				got.Write(buf[:n])
				require.NoError(t, err)
			}
			return got.String()
		}
		require.Contains(t, read("\"next_offset\":5}\n\n"), `{"text":"b�","offset":3,"next_offset":5}`)
		r.host.Set(func(h *applytest.Host) { h.Output[1] = append(h.Output[1], "\xa9 done\n"...) })
		require.Contains(t, read("\n\n"), `{"text":"é done\n","offset":5,"next_offset":13}`)
		r.host.End(1, 3)
		rest, err := io.ReadAll(res.Body) // it ends by itself
		require.NoError(t, err)
		end := string(rest)
		require.Contains(t, end, "event: end\n")
		require.Equal(t, "13", eventID.FindStringSubmatch(end)[1])
		require.Contains(t, end, `"exit_code":3`)

		// Whoever comes back goes on from where it was, and over at its end.
		resumed := r.get("/api/script/runs/1/log", "Accept", "text/event-stream", "Last-Event-ID", "5")
		require.Equal(t, []string{"13", "13"}, []string{eventID.FindAllStringSubmatch(resumed.body, -1)[0][1], eventID.FindAllStringSubmatch(resumed.body, -1)[1][1]}, resumed.body)
		require.NotContains(t, resumed.body, `"offset":0`)
		require.Equal(t, 422, r.get("/api/script/runs/1/log", "Accept", "text/event-stream", "Last-Event-ID", "x").status)
		last := r.get("/api/script/runs/1/log?offset=13").json(t)
		require.Equal(t, true, last["end"])
		require.Equal(t, "failed", last["state"])
	})
}

func FuzzStoredConfigs(f *testing.F) {
	r := newRig(f, storetest.SQLite(f))
	for _, c := range refusedConfigs {
		if len(c.body) < 4096 {
			f.Add(c.body)
		}
	}
	f.Add(`{"192.0.2.11":` + document("alpha", 11) + `}`)
	f.Add(`[` + document("alpha", 11) + `,` + document("beta", 12) + `]`)
	f.Fuzz(func(t *testing.T, body string) {
		on := *r
		on.t = t
		for _, query := range []string{"?dry_run=true", ""} {
			got := on.call("POST", "/store-deployment-configs"+query, r.operator, body, "Content-Type", jsonType)
			if got.status >= 500 || got.status < 200 || got.status >= 300 && got.status < 400 {
				t.Fatalf("%d for %q: %s", got.status, body, got.body)
			}
			var doc struct{ Success *bool }
			if err := json.Unmarshal([]byte(got.body), &doc); err != nil || doc.Success == nil {
				t.Fatalf("answer says nothing about success: %q", got.body)
			}
			// A conflict, and a plan that an active run is in the way of, are no success.
			if *doc.Success && got.status >= 300 {
				t.Fatalf("%d is a success: %s", got.status, got.body)
			}
		}
	})
}
