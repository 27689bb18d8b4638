package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/client"
)

func TestPlansAreShownWithMarks(t *testing.T) {
	var out bytes.Buffer
	printPlan(&out, "web-01", client.Plan{Checks: []client.Check{
		{Label: "Name", Severity: "error", Passed: true, Message: "web-01 is free"},
		{Label: "Quota", Severity: "error", Message: "25 of 25 servers", Hint: "clean one up\x1b[2J"},
		{Label: "Zone", Severity: "warning", Message: "is degraded"},
		{Label: "Queue", Severity: "info", Passed: true, Message: "starts at once"},
	}})
	require.Equal(t, strings.Join([]string{
		"web-01",
		"  ✓ Name   web-01 is free",
		"  ✗ Quota  25 of 25 servers",
		"           -> clean one up [2J",
		"  ! Zone   is degraded",
		"  · Queue  starts at once",
		"It would be refused, or fail: 1 problem. Nothing was done.", "",
	}, "\n"), out.String())
	out.Reset()
	seconds := 2400.0
	printPlan(&out, "web-01", client.Plan{OK: true, EstimatedSeconds: &seconds})
	require.Equal(t, "web-01\nIt can be deployed, in about 40m0s. Nothing was done.\n", out.String())
}

func TestAFailureShowsTheLastLinesOfTheLog(t *testing.T) {
	var d client.State
	require.NoError(t, json.Unmarshal([]byte(`{"node":{"name":"web-1"},"failure":{"phaseKey":"installation","code":"reported_failure","message":"no\nroom","hint":"look","logTail":"1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n\u001b[2J13\n"}}`), &d))
	var out bytes.Buffer
	printFailure(&out, &d)
	require.Regexp(t, `^web-1: failed in installation: no room \(reported_failure\)\n       -> look\n       \| 2\n(       \| \d+\n){10}       \|  \[2J13\n$`, out.String())
	d.Failure.LogTail = nil
	out.Reset()
	printFailure(&out, &d)
	require.NotContains(t, out.String(), "|")
}

func TestDriftForPrograms(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, printDrift(&out, nil))
	require.Empty(t, out.String())
	err := printDrift(&out, []client.Document[client.Drift]{{JSON: []byte(`{"problem":"orphan"}`)}, {JSON: []byte(`{"problem":"missing"}`)}})
	require.Equal(t, exitFailed, exitOf(t, err), "there are differences")
	require.Equal(t, []string{`{"problem":"orphan"}`, `{"problem":"missing"}`}, strings.Fields(out.String()))
}

func TestConfirmation(t *testing.T) {
	code := func(err error) int {
		var e exit
		require.ErrorAs(t, err, &e)
		return e.code
	}
	var out bytes.Buffer
	typed := func(text string) console {
		return console{in: strings.NewReader(text), out: &out, person: true}
	}
	for _, text := range []string{"web-01\n", "  web-01 \n", "web-01"} {
		name, err := typed(text).confirm("", "web-01", "delete all of this")
		require.NoError(t, err)
		require.Equal(t, "web-01", name)
	}
	require.Contains(t, out.String(), "To delete all of this, type the node's name: ")
	for _, text := range []string{"", "\n", "y\n", "yes\n", "web\n", "WEB-01\n", "web-01 x\n"} {
		_, err := typed(text).confirm("", "web-01", "delete")
		require.Equal(t, exitFailed, code(err), "%q", text)
	}
	out.Reset()
	_, err := console{in: strings.NewReader("web-01\n"), out: &out}.confirm("", "web-01", "delete")
	require.Equal(t, exitUsage, code(err), "a pipe is nobody who can be asked")
	require.ErrorContains(t, err, "--confirm=web-01")
	_, err = console{}.confirm("web-02", "web-01", "delete")
	require.Equal(t, exitFailed, code(err))
	name, err := console{}.confirm("web-01", "web-01", "delete")
	require.NoError(t, err)
	require.Equal(t, "web-01", name)
	require.Empty(t, out.String())
}

// TestNothingIsAskedForWithoutConfirmation: the server is never told to delete.
func TestNothingIsAskedForWithoutConfirmation(t *testing.T) {
	var asked []string
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.RequestURI())
		w.Header().Set("Content-Type", "application/json")
		switch {
		case strings.HasPrefix(r.URL.Path, "/api/config/nodes/"):
			_, _ = w.Write([]byte(`{"id":7,"node_name":"web-01","deployment_id":9}`))
		case r.URL.RawQuery == "dry_run=true":
			_, _ = w.Write([]byte(`{"node_name":"web-01","deployment_id":9,"dry_run":true,"message":"would remove 1 thing","plan":[{"kind":"server","name":"slw-web-01","action":"delete","status":"waiting"}]}`))
		default:
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	defer web.Close()
	flags := serverFlags{Server: web.URL, Token: "slw_x"}
	var out bytes.Buffer
	var e exit
	err := (&cleanupCmd{serverFlags: flags, Node: "node_7"}).run(t.Context(), console{in: strings.NewReader("no\n"), out: &out, person: true})
	require.ErrorAs(t, err, &e)
	require.Contains(t, out.String(), "slw-web-01")
	require.NoError(t, (&cleanupCmd{serverFlags: flags, Node: "7", DryRun: true, Confirm: "web-01"}).run(t.Context(), console{out: &out}))
	require.ErrorAs(t, (&reinitializeCmd{serverFlags: flags, Node: "7", Confirm: "web-02"}).run(t.Context(), console{out: &out}), &e)
	require.Equal(t, []string{
		"GET /api/config/nodes/node_7", "POST /api/cleanup/node/7?dry_run=true", "GET /api/config/nodes/7", "POST /api/cleanup/node/7?dry_run=true", "GET /api/config/nodes/7",
	}, asked)
}

// TestCleanupGoesOnWithoutItsPlan: a cloud that does not answer is said, and
// keeps nobody from confirming; other refusals and dry runs end it.
func TestCleanupGoesOnWithoutItsPlan(t *testing.T) {
	code, begun := "upstream_unavailable", 0
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/api/config/nodes/"):
			_, _ = w.Write([]byte(`{"id":7,"node_name":"web-01","deployment_id":9}`))
		case r.URL.RawQuery == "dry_run=true":
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(`{"error":"the cloud does not answer","code":"` + code + `"}`))
		case r.URL.Path == "/graphql":
			_, _ = w.Write([]byte(`{"data":{"deployment":{"id":"dep_9","number":1,"node":{"id":"node_7","name":"web-01"}}}}`))
		default:
			begun++
			w.WriteHeader(http.StatusAccepted)
			_, _ = w.Write([]byte(`{"message":"web-01 is being cleaned up"}`))
		}
	}))
	defer web.Close()
	clean := cleanupCmd{serverFlags: serverFlags{Server: web.URL, Token: "slw_x"}, Node: "7"}
	var out bytes.Buffer
	dry, named := clean, clean
	dry.DryRun, named.Confirm = true, "web-01"
	require.ErrorContains(t, dry.run(t.Context(), console{out: &out}), "the cloud does not answer")
	require.Zero(t, begun)
	require.NoError(t, named.run(t.Context(), console{out: &out}))
	require.Contains(t, out.String(), "web-01: the plan could not be read: the cloud does not answer")
	require.NoError(t, clean.run(t.Context(), console{in: strings.NewReader("web-01\n"), out: &out, person: true}))
	require.Contains(t, out.String(), "To delete everything that web-01 holds, which could not be listed, type")
	require.Equal(t, 2, begun)
	code = "wrong_state"
	require.Error(t, named.run(t.Context(), console{out: &out}))
	require.Equal(t, 2, begun)
}

func TestRefusalsAreShownWhole(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = w.Write([]byte(`{"error":"2 field(s) are not acceptable","code":"invalid","hint":"read","fields":[{"field":"a","code":"required","message":"is required"},{"field":"b","code":"invalid","message":"is no id"}]}`))
	}))
	defer web.Close()
	api, err := client.New(web.URL, "slw_x")
	require.NoError(t, err)
	_, err = api.Retry(t.Context(), "dep_1", "")
	var refused *client.APIError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, 422, refused.Status)
	require.Equal(t, "2 field(s) are not acceptable (invalid); a is required; b is no id; read", err.Error())
	require.NotErrorIs(t, err, client.ErrNotFound)
}

func TestOfferIsShown(t *testing.T) {
	var out bytes.Buffer
	o := client.Offer{Region: "us-south", Zones: []string{"us-south-1"}, Servers: 3, Quota: 25, Images: []client.OfferNamed{{ID: "i-1", Name: "ipxe"}}, SSHKeys: []client.OfferNamed{{ID: "k-1", Name: "ops", Default: true}},
		Profiles: []client.OfferProfile{{Name: "bx2-metal", CPUs: 96, MemoryGiB: 384, Why: "no local disks"}}}
	require.NoError(t, printOffer(&out, o))
	require.Regexp(t, `(?m)^bx2-metal +96 +384 GiB +0 x 0 GB +no: no local disks$`, out.String())
	require.Regexp(t, `(?m)^ipxe +- +i-1$`, out.String())
	require.Regexp(t, `(?m)^ops \(default\) +- +k-1$`, out.String())
	require.Contains(t, out.String(), "3 servers, quota 25")
}
