package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/slipwayhq/slipway/client"
)

// written puts a text into a file.
func written(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "nodes.json")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestAllErrorsOfConfigurationsAreShownAtOnce(t *testing.T) {
	var asked []string
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.RequestURI())
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = io.WriteString(w, `{"error":"3 field(s) are not acceptable","code":"invalid","success":false,"fields":[
			{"field":"cards.0.using_interfaces.interface_01.Properties.Netmask","code":"invalid","key":"mask_not_contiguous","message":"is not a subnet mask"},
			{"field":"cards.1.hostname","code":"required","key":"hostname_required","message":"is required\u001b[2J"},
			{"field":"body","code":"invalid","key":"more_errors","message":"has more errors"}]}`)
	}))
	defer web.Close()
	var out, complaints bytes.Buffer
	c := applyCmd{serverFlags: serverFlags{Server: web.URL, Token: "slw_x"}, File: written(t, `{"192.0.2.11":{},"192.0.2.12":{}}`)}
	err := c.run(t.Context(), console{out: &out}, &complaints)
	var e exit
	require.ErrorAs(t, err, &e)
	require.Equal(t, exitFailed, e.code)
	lines := strings.Split(strings.TrimSpace(complaints.String()), "\n")
	require.Len(t, lines, 4)
	require.Regexp(t, `: 3 error\(s\), nothing was written$`, lines[0])
	require.Regexp(t, `^  card 1 \(192\.0\.2\.11\)  using_interfaces\.interface_01\.Properties\.Netmask  mask_not_contiguous  is not a subnet mask$`, lines[1])
	require.Regexp(t, `^  card 2 \(192\.0\.2\.12\)  hostname +hostname_required +is required \[2J$`, lines[2])
	require.Regexp(t, `^  - +body +more_errors +has more errors$`, lines[3])
	require.Equal(t, []string{"POST /store-deployment-configs?dry_run=true"}, asked, "nothing was applied")

	require.Equal(t, []string{"alpha", "", "beta"}, cardNames([]byte(`[{"hostname":"alpha"},7,{"hostname":"beta"}]`)))
	require.Equal(t, []string{"a"}, cardNames([]byte(`{"a":{},"b":`)))
	require.Empty(t, cardNames([]byte(`x`)))
}

const applyPlanned = `{"plans":[{"node":"192.0.2.11","node_id":7,"node_name":"alpha","target":"192.0.2.11","file":"node_01.json","number":1,"action":"replace","content":"{}\n","changed_outside":true,
	"changes":[{"path":"mtu","kind":"changed","before":"1500","after":"9000"},{"path":"disk","kind":"added","after":"[]"},{"path":"server_vip","kind":"removed","before":"192.0.2.9"}]},
	{"node":"beta","node_id":null,"node_name":"beta","target":"","file":"node_02.json","number":2,"action":"create","content":"{}\n","changes":[]}],"obstacle":%s,"success":%t,"dry_run":true,"message":"%s"}`

// fakeApply is a server that plans, applies, and tells the output of run 3.
type fakeApply struct {
	mu     sync.Mutex
	plan   string
	asked  []string
	bodies []string
	keys   []string
	logs   []string // what each connection to the output is given
	from   []string // where each began
}

func (f *fakeApply) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, r.Method+" "+r.URL.RequestURI())
	switch {
	case r.URL.RawQuery == "dry_run=true":
		_, _ = io.WriteString(w, f.plan)
	case r.URL.Path == "/store-deployment-configs":
		body, _ := io.ReadAll(r.Body) // what is missing shows
		f.bodies, f.keys = append(f.bodies, string(body)), append(f.keys, r.Header.Get("Idempotency-Key"))
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, `{"results":[{"node":"alpha","deployment_id":9}],"run_id":3,"deployment_ids":[9],"success":true,"message":"run 3 of the deployment script covers 1 node(s)"}`)
	case r.URL.Path == "/api/script/runs/run_3/log":
		f.from = append(f.from, r.Header.Get("Last-Event-ID"))
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, f.logs[0])
		f.logs = f.logs[1:]
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func logEvent(next int, text string) string {
	data, err := json.Marshal(map[string]any{"text": text, "next_offset": next})
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf("event: log\nid: %d\ndata: %s\n\n", next, data)
}

func endEvent(next int, state, problem string) string {
	return fmt.Sprintf("event: end\nid: %d\ndata: {\"id\":3,\"state\":%q,\"problem\":%q}\n\n", next, state, problem)
}

func TestConfigurationsAreShownThenAppliedThenFollowed(t *testing.T) {
	f := &fakeApply{plan: fmt.Sprintf(applyPlanned, "null", true, "2 file(s) would be written"), logs: []string{
		": alive\n\n" + logEvent(7, "one\n  tw"), // the connection breaks here
		logEvent(9, "o\r\n") + logEvent(14, "\x1b[31mred"), endEvent(14, "failed", "exited with 3"),
	}}
	f.logs[1] += f.logs[2]
	web := httptest.NewServer(f)
	defer web.Close()
	flags := serverFlags{Server: web.URL, Token: "slw_x"}
	const documents = "[ {\"hostname\":\"alpha\"} ]\n"
	var out, complaints bytes.Buffer
	dry := applyCmd{serverFlags: flags, File: written(t, documents), DryRun: true, Log: true}
	require.NoError(t, dry.run(t.Context(), console{out: &out}, &complaints))
	require.Equal(t, strings.Join([]string{
		"node_01.json  replace  alpha  at 192.0.2.11",
		"  ! the file that is there is not what was applied last: somebody else wrote it",
		"  ~ mtu: 1500 -> 9000",
		"  + disk: []",
		"  - server_vip: 192.0.2.9",
		"node_02.json  create  beta (new)  at -", "",
	}, "\n"), out.String())
	require.Equal(t, []string{"POST /store-deployment-configs?dry_run=true"}, f.asked)

	out.Reset()
	whole := applyCmd{serverFlags: flags, File: "-", Log: true, IdempotencyKey: "k1"}
	err := whole.run(t.Context(), console{in: strings.NewReader(documents), out: &out}, &complaints)
	var e exit
	require.ErrorAs(t, err, &e)
	require.Equal(t, exitFailed, e.code)
	require.ErrorContains(t, err, "run_3: failed: exited with 3")
	require.Equal(t, []string{documents}, f.bodies, "byte for byte")
	require.Equal(t, []string{"k1"}, f.keys)
	require.Equal(t, []string{"0", "7"}, f.from, "it went on where it was")
	require.Contains(t, out.String(), "run_3 started: run 3 of the deployment script covers 1 node(s)\none\n  two\n [31mred\n")

	f.plan = fmt.Sprintf(applyPlanned, `{"error":"another run is active","code":"run_active","hint":"wait"}`, false, "nothing could be run now")
	out.Reset()
	err = dry.run(t.Context(), console{out: &out}, &complaints)
	require.ErrorAs(t, err, &e)
	require.Equal(t, exitFailed, e.code)
	require.Contains(t, out.String(), "It cannot be run now: another run is active\n  -> wait\n")

	for state, code := range map[string]int{"succeeded": exitOK, "canceled": exitCanceled, "lost": exitFailed} {
		f.logs = []string{endEvent(0, state, "")}
		err := (&scriptLogCmd{serverFlags: flags, ID: "3"}).Run(t.Context())
		if code == exitOK {
			require.NoError(t, err)
			continue
		}
		require.ErrorAs(t, err, &e)
		require.Equal(t, code, e.code, state)
	}
	missing := applyCmd{serverFlags: flags, File: filepath.Join(t.TempDir(), "none.json")}
	require.ErrorIs(t, missing.run(t.Context(), console{out: &out}, &complaints), os.ErrNotExist)
	large := applyCmd{serverFlags: flags, File: written(t, strings.Repeat(" ", inputMost+1))}
	require.ErrorContains(t, large.run(t.Context(), console{out: &out}, &complaints), "more than 262144 bytes")
}

func TestRefusalsOfARunAreShown(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery != "" {
			_, _ = fmt.Fprintf(w, applyPlanned, "null", true, "")
			return
		}
		w.WriteHeader(http.StatusConflict)
		_, _ = io.WriteString(w, `{"error":"the deployment script runs as process 77 on lab since 2026-01-02T03:04:05Z: run 2 of ada, for 4 node(s)","code":"run_active","hint":"wait for its end","success":false}`)
	}))
	defer web.Close()
	c := applyCmd{serverFlags: serverFlags{Server: web.URL, Token: "slw_x"}, File: written(t, `[]`)}
	err := c.run(t.Context(), console{out: io.Discard}, io.Discard)
	require.ErrorContains(t, err, "nothing was written: the deployment script runs as process 77 on lab since 2026-01-02T03:04:05Z: run 2 of ada, for 4 node(s) (run_active); wait for its end")
}

func TestPollingIsShownWithoutEveryAttempt(t *testing.T) {
	var out bytes.Buffer
	show := &lines{out: &out, complaints: &out}
	text := func(s string) *string { return &s }
	at := func(deployment, attempt int, class string) client.Polling {
		return client.Polling{PhaseKey: "ssh_polling", Attempt: deployment, SshProbe: &client.PollingQueryNodesDeploymentSshProbe{
			Target: "192.0.2.11:22", Attempt: attempt, MaxAttempts: 120, LastErrorClass: text(class), LastMessage: text("because\nof it"),
		}}
	}
	show.polled("alpha", client.Polling{})
	show.polled("alpha", at(1, 0, ""))
	for i := 1; i <= 30; i++ {
		show.polled("alpha", at(1, i, "refused"))
		show.polled("alpha", at(1, i, "refused"))
	}
	show.polled("alpha", at(1, 31, "timeout"))
	show.polled("alpha", at(2, 1, "timeout"))
	var shown []string
	for _, line := range strings.Split(strings.TrimSpace(out.String()), "\n") {
		_, line, _ = strings.Cut(line, "attempt ")
		shown = append(shown, line)
	}
	require.Equal(t, []string{
		"1/120: refused: because of it", "13/120: refused: because of it", "25/120: refused: because of it", "31/120: timeout: because of it", "1/120: timeout: because of it",
	}, shown)

	next := time.Now().Add(90 * time.Second)
	row := &barRow{}
	b := &bars{rows: map[string]*barRow{"alpha": row}}
	waiting := at(1, 0, "")
	waiting.PhaseKey, waiting.SshProbe.NextAttemptAt = "reboot_wait", &next
	b.polled("alpha", waiting)
	require.Regexp(t, `next in (8\d|90)s`, row.label(decor.Statistics{}))
}

func TestRunsOfTheScriptAreShown(t *testing.T) {
	run := `{"id":"run_3","host":"lab","state":"FAILED","nodeCount":2,"pid":77,"exitCode":3,"problem":"exited with 3","logBytes":12,"requestedBy":{"name":"ada"},"createdAt":"2026-01-02T03:04:05Z","duration":61500,"documents":[{"nodeName":"alpha","deploymentId":"dep_9","attempt":1,"file":"node_01.json","sha256":"aa"}]}`
	var sent []string
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct {
			OperationName string
			Variables     json.RawMessage
		}
		if json.NewDecoder(r.Body).Decode(&q) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		sent = append(sent, q.OperationName+string(q.Variables))
		marker := `{"path":"/srv/marker","present":%t,"since":"2026-01-02T03:04:05Z","stale":%t}`
		_, _ = fmt.Fprint(w, `{"data":`+map[string]string{
			"ScriptRunsQuery":           `{"scriptRuns":{"nodes":[` + run + `],"pageInfo":{"hasNextPage":false}}}`,
			"ScriptRunQuery":            `{"scriptRun":` + run + `}`,
			"ScriptHostQuery":           `{"scriptHost":{"name":"lab","marker":` + fmt.Sprintf(marker, true, true) + `}}`,
			"ClearScriptMarkerMutation": `{"clearScriptMarker":{"marker":` + fmt.Sprintf(marker, false, false) + `,"errors":[]}}`,
			"CancelScriptRunMutation":   `{"cancelScriptRun":{"run":null,"errors":[{"code":"WRONG_STATE","message":"run 3 has ended"}]}}`,
		}[q.OperationName]+`}`)
	}))
	defer web.Close()
	flags := serverFlags{Server: web.URL, Token: "slw_x"}
	var out bytes.Buffer
	require.NoError(t, (&scriptRunsCmd{serverFlags: flags, Limit: 5}).run(t.Context(), &out))
	require.Regexp(t, `(?m)^run_3 +failed +2 +lab +ada +2026-01-02T03:04:05Z +1m1\.5s +exited with 3$`, out.String())
	out.Reset()
	require.NoError(t, (&scriptShowCmd{serverFlags: flags, ID: "3"}).run(t.Context(), &out))
	require.Contains(t, out.String(), "  exit code 3\n")
	require.Regexp(t, `(?m)^alpha +node_01\.json +dep_9 +1 +aa$`, out.String())
	out.Reset()
	require.NoError(t, (&scriptMarkerCmd{serverFlags: flags}).run(t.Context(), &out))
	require.Contains(t, out.String(), "present since 2026-01-02T03:04:05Z, but no living script of Slipway's has made it (--clear removes it)")
	out.Reset()
	require.NoError(t, (&scriptMarkerCmd{serverFlags: flags, Clear: true}).run(t.Context(), &out))
	require.Equal(t, "/srv/marker on lab: absent\n", out.String())
	err := (&scriptCancelCmd{serverFlags: flags, ID: "run_3", Reason: "x", Force: true}).run(t.Context(), &out)
	require.ErrorContains(t, err, "run_3: wrong_state: run 3 has ended")
	require.Contains(t, sent[len(sent)-1], `"force":true`)
	require.Contains(t, sent[len(sent)-1], `"id":"run_3"`)
}
