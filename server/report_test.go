package server_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

func TestReportAccepted(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		m := r.boot("web-01", "10.0.0.1")
		got := r.report(m, "foundation_start", "started", "message", "hello", "occurred_at", "2026-01-02T03:04:05+01:00",
			"details", map[string]any{"b": 1, "a": "x\u0000y"}, "idempotency_key", "k1", "unknown_field", true)
		require.Equal(t, 200, got.status, got.body)
		doc := got.json(t)
		require.Equal(t, "status updated", doc["message"])
		require.Equal(t, true, doc["accepted"])
		require.Equal(t, "foundation_start", doc["phase"])
		require.Equal(t, "in_progress", doc["phase_status"])
		require.Equal(t, false, doc["duplicate"])
		seq := doc["sequence"].(float64)

		again := r.report(m, "foundation_start", "started", "message", "hello", "occurred_at", "2027-01-02T03:04:05Z",
			"details", map[string]any{"b": 1, "a": "x\u0000y"}, "idempotency_key", "k1").json(t)
		require.Equal(t, true, again["duplicate"])
		require.Equal(t, seq, again["sequence"])

		other := r.report(m, "foundation_start", "started", "message", "another", "idempotency_key", "k1")
		require.Equal(t, 422, other.status)
		require.Equal(t, "idempotency_conflict", other.json(t)["code"])

		row := lastRow(t, r, m)
		require.Equal(t, "2026-01-02T02:04:05Z", row["occurred_at"])
		require.Equal(t, map[string]any{"b": float64(1), "a": "x\ufffdy"}, row["details"])
		require.Equal(t, "installer_script", row["source"])
		require.NotEqual(t, row["occurred_at"], row["timestamp"])
	})
}

func lastRow(t *testing.T, r *rig, m machine) map[string]any {
	t.Helper()
	got := r.get(fmt.Sprintf("/api/status/history/%d?include=refused", m.nodeID))
	require.Equal(t, 200, got.status, got.body)
	rows := got.json(t)["deployment_history"].([]any)
	return rows[len(rows)-1].(map[string]any)
}

func TestReportWaysIn(t *testing.T) {
	r := newRig(t, storetest.SQLite(t))
	m := r.boot("web-01", "10.0.0.1")
	body := fmt.Sprintf(`{"server_ip":%q,"phase":"foundation_start","status":"in_progress","message":"json %%d"}`, m.ip)
	form := url.Values{"server_ip": {m.ip}, "phase": {"foundation_start"}, "status": {"in_progress"}}
	n := 0
	ok := func(name string, got answered) {
		t.Helper()
		require.Equal(t, 200, got.status, "%s: %s", name, got.body)
		require.Equal(t, false, got.json(t)["duplicate"], name)
	}
	say := func() string { n++; return fmt.Sprintf(body, n) }
	post := func(token, body string, h ...string) answered {
		return r.call("POST", "/api/status/phase", token, body, h...)
	}
	ok("JSON", post(m.token, say(), "Content-Type", "application/json; charset=utf-8"))
	ok("JSON called a form, as curl -d sends it", post(m.token, "  "+say(), "Content-Type", formType))
	ok("JSON without a type", post(m.token, say()))
	ok("form", post(m.token, form.Encode()+"&message=form", "Content-Type", formType))
	ok("a form with a lone percent sign", post(m.token, form.Encode()+"&message=disk+100%+full", "Content-Type", formType))
	require.Equal(t, "disk 100% full", lastRow(t, r, m)["message"])
	ok("a form with numbers and details", post(m.token, form.Encode()+"&progress=7&details=%7B%22a%22%3A1%7D&occurred_at=1767323045", "Content-Type", formType))
	require.Equal(t, "2026-01-02T03:04:05Z", lastRow(t, r, m)["occurred_at"])
	require.InEpsilon(t, 7, lastRow(t, r, m)["progress"], 0.001)
	ok("token in a form", post("", form.Encode()+"&message=token+in+body&token="+m.token, "Content-Type", formType))
	ok("token in JSON", post("", strings.Replace(say(), "{", `{"token":"`+m.token+`",`, 1), "Content-Type", jsonType))
	ok("operator", post(r.operator, say(), "Content-Type", jsonType))
	require.Equal(t, "user", lastRow(t, r, m)["source"])
	text := post(m.token, say(), "Content-Type", jsonType, "Accept", "text/plain")
	require.Equal(t, 200, text.status)
	require.Regexp(t, `^ok foundation_start in_progress \d+: status updated\n$`, text.body)
	text = post(m.token, `{"server_ip":"10.0.0.1","phase":"x y"}`, "Content-Type", jsonType, "Accept", "text/plain")
	require.Equal(t, 422, text.status)
	require.Equal(t, "error invalid: 2 field(s) are not acceptable; status is required; phase must be letters, digits and any of _ . : -\n", text.body)
}

func TestReportRefusals(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		m, other := r.boot("web-01", "10.0.0.1"), r.boot("web-02", "10.0.0.2")
		require.Equal(t, 200, r.report(m, "storage_discovery", "in_progress").status)
		before := r.events(m.deploymentID)

		early := r.report(m, "foundation_start", "success")
		require.Equal(t, 409, early.status)
		require.Equal(t, "out_of_order", early.json(t)["code"])
		require.Contains(t, early.json(t)["accepted_phases"], "storage_discovery")
		require.Equal(t, before+1, r.events(m.deploymentID), "a refusal is recorded")
		require.Equal(t, "refused", lastRow(t, r, m)["outcome"])

		step := r.report(m, "my_own_step", "ok", "message", "made coffee")
		require.Equal(t, 200, step.status)
		require.Equal(t, "step", step.json(t)["outcome"])
		require.Equal(t, "storage_discovery", step.json(t)["phase"], "nothing moved")

		m.ip = other.ip
		foreign := r.report(m, "installation", "in_progress")
		require.Equal(t, 403, foreign.status)
		require.Equal(t, "forbidden", foreign.json(t)["code"])
		m.ip = "10.9.9.9"
		require.Equal(t, 403, r.report(m, "installation", "in_progress").status)
		m.ip = "10.0.0.1"

		unknown := r.call("POST", "/api/status/phase", r.operator, `{"server_ip":"10.9.9.9","phase":"installation","status":"ok"}`, "Content-Type", jsonType)
		require.Equal(t, 404, unknown.status)

		require.Equal(t, 200, r.report(m, "installation", "failed", "message", "disk died").status)
		dup := r.report(m, "installation", "failed", "message", "disk died")
		require.Equal(t, 200, dup.status, "a repeated last report is a duplicate even after the end")
		require.Equal(t, true, dup.json(t)["duplicate"])
		late := r.report(m, "post_install", "success")
		require.Equal(t, 409, late.status)
		require.Equal(t, "deployment_ended", late.json(t)["code"])
		require.Equal(t, []any{}, late.json(t)["accepted_phases"])
	})
}

func TestReportWithoutOrWithAWrongToken(t *testing.T) {
	r := newRig(t, storetest.SQLite(t))
	m := r.boot("web-01", "10.0.0.1")
	before := r.events(m.deploymentID)
	good := `{"server_ip":"10.0.0.1","phase":"installation","status":"failed"}`
	for name, got := range map[string]answered{
		"none":                  r.call("POST", "/api/status/phase", "", good, "Content-Type", jsonType),
		"wrong":                 r.call("POST", "/api/status/phase", "slr_"+strings.Repeat("A", 43), good, "Content-Type", jsonType),
		"wrong in the body":     r.call("POST", "/api/status/phase", "", strings.Replace(good, "{", `{"token":"x",`, 1), "Content-Type", jsonType),
		"number in the body":    r.call("POST", "/api/status/phase", "", strings.Replace(good, "{", `{"token":1,`, 1), "Content-Type", jsonType),
		"malformed and none":    r.call("POST", "/api/status/phase", "", `{`, "Content-Type", jsonType),
		"other type and none":   r.call("POST", "/api/status/phase", "", `<x/>`, "Content-Type", "text/xml"),
		"locator-like":          r.call("POST", "/api/status/phase", strings.Repeat("A", 43), good, "Content-Type", jsonType),
		"large, none, and fail": r.call("POST", "/api/status/phase", "", `{"status":"failed","log_tail":"`+strings.Repeat("x", 300<<10)+`"}`, "Content-Type", jsonType),
	} {
		require.Equal(t, 401, got.status, name)
		require.Equal(t, "unauthenticated", got.json(t)["code"], name)
	}
	require.Equal(t, before, r.events(m.deploymentID), "no row of the history")
	var kept int
	require.NoError(t, r.st.Read.QueryRowContext(t.Context(), "SELECT count(*) FROM stranger_reports").Scan(&kept))
	require.Equal(t, 8, kept)
}

// bodies of reports that can be read and are not acceptable, with every bad field.
var badReports = []struct {
	name, body string
	bad        map[string]string
}{
	{"empty object", `{}`, map[string]string{"server_ip": "required", "phase": "required", "status": "required"}},
	{"nulls", `{"server_ip":null,"phase":null,"status":null,"message":null,"details":null}`, map[string]string{"server_ip": "required", "phase": "required", "status": "required"}},
	{"blanks", `{"server_ip":" ","phase":" ","status":" "}`, map[string]string{"server_ip": "required", "phase": "required", "status": "required"}},
	{"wrong types", `{"server_ip":1,"phase":[],"status":{},"message":1,"server_status":true,"progress":{},"details":[],"log_tail":1,"occurred_at":[],"idempotency_key":1}`, map[string]string{
		"server_ip": "invalid", "phase": "invalid", "status": "invalid", "message": "invalid", "server_status": "invalid", "progress": "invalid",
		"details": "invalid", "log_tail": "invalid", "occurred_at": "invalid", "idempotency_key": "invalid"}},
	{"bad values", `{"server_ip":"10.0.0.256","phase":"a b","status":"maybe","progress":101,"occurred_at":"yesterday","details":"x"}`, map[string]string{
		"server_ip": "invalid", "phase": "invalid", "status": "invalid", "progress": "out_of_range", "occurred_at": "invalid", "details": "invalid"}},
	{"too long", fmt.Sprintf(`{"server_ip":"10.0.0.1","phase":%q,"status":"success","message":%q,"server_status":%q,"idempotency_key":%q,"details":{"a":%q}}`,
		strings.Repeat("p", 65), strings.Repeat("m", 5000), strings.Repeat("s", 65), strings.Repeat("k", 129), strings.Repeat("d", 70000)), map[string]string{
		"phase": "out_of_range", "message": "out_of_range", "server_status": "out_of_range", "idempotency_key": "out_of_range", "details": "out_of_range"}},
	{"negative progress", `{"server_ip":"10.0.0.1","phase":"x","status":"ok","progress":-1}`, map[string]string{"progress": "out_of_range"}},
	{"half a percent", `{"server_ip":"10.0.0.1","phase":"x","status":"ok","progress":0.5}`, map[string]string{"progress": "invalid"}},
	{"huge progress", `{"server_ip":"10.0.0.1","phase":"x","status":"ok","progress":1e999}`, map[string]string{"progress": "out_of_range"}},
	{"NaN progress", `{"server_ip":"10.0.0.1","phase":"x","status":"ok","progress":"NaN"}`, map[string]string{"progress": "invalid"}},
	{"huge number in details", `{"server_ip":"10.0.0.1","phase":"x","status":"ok","details":{"n":1e999999}}`, map[string]string{"details": "invalid"}},
	{"deep details", `{"server_ip":"10.0.0.1","phase":"x","status":"ok","details":{"n":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}}`, map[string]string{"details": "invalid"}},
	{"zone in the address", `{"server_ip":"fe80::1%eth0","phase":"x","status":"ok"}`, map[string]string{"server_ip": "invalid"}},
	{"year 10000", `{"server_ip":"10.0.0.1","phase":"x","status":"ok","occurred_at":999999999999}`, map[string]string{"occurred_at": "invalid"}},
	{"before 1970", `{"server_ip":"10.0.0.1","phase":"x","status":"ok","occurred_at":"0001-01-01T00:00:00Z"}`, map[string]string{"occurred_at": "out_of_range"}},
	{"control character", `{"server_ip":"10.0.0.1","phase":"x","status":"ok","idempotency_key":"a\u0000b","server_status":"a\nb"}`, map[string]string{"idempotency_key": "invalid", "server_status": "invalid"}},
	{"final phase is no report", `{"server_ip":"","phase":"failed","status":"failed"}`, map[string]string{"server_ip": "required"}},
}

func TestEveryBadFieldIsToldAtOnce(t *testing.T) {
	r := newRig(t, storetest.SQLite(t))
	m := r.boot("web-01", "10.0.0.1")
	before := r.events(m.deploymentID)
	for _, tc := range badReports {
		got := r.call("POST", "/api/status/phase", m.token, tc.body, "Content-Type", jsonType)
		require.Equal(t, 422, got.status, "%s: %s", tc.name, got.body)
		require.Equal(t, tc.bad, got.fields(t), tc.name)
		require.NotEmpty(t, got.json(t)["request_id"])
	}
	for name, tc := range map[string]struct {
		kind, body string
		status     int
	}{
		"nothing":          {jsonType, ``, 400},
		"array":            {jsonType, `[]`, 400},
		"string":           {jsonType, `"x"`, 400},
		"cut":              {jsonType, `{"server_ip":"10.0`, 400},
		"two objects":      {jsonType, `{} {}`, 400},
		"trailing comma":   {jsonType, `{"a":1,}`, 400},
		"bad JSON in form": {formType, `{"server_ip"`, 400},
		"xml":              {"text/xml", `<x/>`, 415},
		"multipart":        {"multipart/form-data; boundary=x", `--x--`, 415},
		"no type":          {"", `server_ip=10.0.0.1`, 415},
		"broken type":      {"a/b/c;;", `{}`, 415},
		"empty form":       {formType, ``, 422},
		"form of garbage":  {formType, "\x00\xff%zz&&==&a", 422},
	} {
		got := r.call("POST", "/api/status/phase", m.token, tc.body, "Content-Type", tc.kind)
		require.Equal(t, tc.status, got.status, "%s: %s", name, got.body)
	}
	require.Equal(t, before, r.events(m.deploymentID))
}

func TestStrangeTextIsKeptOnBothDatabases(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		m := r.boot("web-01", "10.0.0.1")
		body := `{"server_ip":"10.0.0.1","phase":"foundation_start","status":"running","message":"a\u0000b \ud800 ` + "\xff" + `'; DROP TABLE nodes; --",` +
			`"details":{"k\u0000":["\ud800",{"n":1.5e300}]},"log_tail":"\u0000` + strings.Repeat("é", 40000) + `end"}`
		got := r.call("POST", "/api/status/phase", m.token, body, "Content-Type", jsonType)
		require.Equal(t, 200, got.status, got.body)
		row := lastRow(t, r, m)
		require.Contains(t, row["message"], "DROP TABLE")
		tail := row["log_tail"].(string)
		require.LessOrEqual(t, len(tail), 64<<10)
		require.True(t, strings.HasSuffix(tail, "éend"))
		require.NotContains(t, tail, "\ufffd", "it begins with a whole character")
	})
}

func TestSizes(t *testing.T) {
	r := newRig(t, storetest.SQLite(t))
	m := r.boot("web-01", "10.0.0.1")
	big := strings.Repeat("line of a log\n", 30000) // 420 kB
	got := r.report(m, "installation", "in_progress", "log_tail", big)
	require.Equal(t, 413, got.status)
	require.Equal(t, "too_large", got.json(t)["code"])
	got = r.report(m, "installation", "failed", "log_tail", big, "message", strings.Repeat("m", 9000), "details", map[string]string{"d": big})
	require.Equal(t, 200, got.status, got.body)
	row := lastRow(t, r, m)
	require.Len(t, row["message"], 4096)
	require.LessOrEqual(t, len(row["log_tail"].(string)), 64<<10)

	// Beyond what is read whole, the fields before the log still count.
	m = r.boot("web-02", "10.0.0.2")
	got = r.call("POST", "/api/status/phase", m.token, `{"server_ip":"10.0.0.2","phase":"installation","status":"failed","message":"huge","log_tail":"`+
		strings.Repeat("x", 9<<20)+`"}`, "Content-Type", jsonType)
	require.Equal(t, 200, got.status, got.body)
	require.Equal(t, "huge", lastRow(t, r, m)["message"])
}

func TestSecretsInReportsAreRemoved(t *testing.T) {
	r := newRig(t, storetest.SQLite(t))
	m := r.boot("web-01", "10.0.0.1")
	require.Equal(t, 200, r.report(m, "foundation_start", "running", "message", "url?token="+m.token, "log_tail", "+ curl -H "+m.token,
		"details", map[string]string{"cmd": m.token}).status)
	got := r.get(fmt.Sprintf("/api/status/history/%d", m.nodeID))
	require.NotContains(t, got.body, m.token)
	require.Contains(t, got.body, "slr_[removed]")
}

func TestPhaseFailedMeansFailedWhateverTheStatus(t *testing.T) {
	r := newRig(t, storetest.SQLite(t))
	m := r.boot("web-01", "10.0.0.1")
	got := r.report(m, "failed", "running", "message", "gave up")
	require.Equal(t, 200, got.status, got.body)
	require.Equal(t, phase.StateFail, got.json(t)["state"])
}

func FuzzReportBody(f *testing.F) {
	r := newRig(f, storetest.SQLite(f))
	m := r.boot("web-01", "10.0.0.1")
	for _, tc := range badReports {
		f.Add(true, tc.body)
	}
	f.Add(false, "server_ip=10.0.0.1&phase=x&status=ok&progress=%zz")
	f.Add(false, `{"server_ip":"10.0.0.1"`)
	f.Add(true, `{"server_ip":"10.0.0.1","phase":"foundation_start","status":"ok","details":{"a":[1,"x"]}}`)
	f.Fuzz(func(t *testing.T, asJSON bool, body string) {
		kind := formType
		if asJSON {
			kind = jsonType
		}
		on := *r
		on.t = t
		req := on.call("POST", "/api/status/phase", m.token, body, "Content-Type", kind)
		if req.status >= 500 {
			t.Fatalf("%d for %q: %s", req.status, body, req.body)
		}
		if !json.Valid([]byte(req.body)) {
			t.Fatalf("answer is not JSON: %q", req.body)
		}
	})
}
