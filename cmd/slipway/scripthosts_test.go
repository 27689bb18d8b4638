package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// fakeHosts is a server with the node alpha, whose host is waited for.
type fakeHosts struct {
	mu             sync.Mutex
	known, offered string // fingerprints
	asked          []string
}

func (f *fakeHosts) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	body, _ := io.ReadAll(r.Body) // what is missing shows
	if r.URL.Path == "/graphql" {
		var q struct{ OperationName string }
		_ = json.Unmarshal(body, &q)
		_, _ = io.WriteString(w, `{"data":`+map[string]string{
			"DeploymentStateQuery": `{"deployment":{"id":"dep_9","number":1,"state":"RUNNING","phaseKey":"ssh_polling","cursor":"c","node":{"id":"node_7","name":"alpha"}}}`,
			"NodeByName":           `{"bareMetalNode":{"id":"node_7","currentDeployment":{"id":"dep_9"}}}`,
			"HostKeyQuery": fmt.Sprintf(`{"bareMetalNode":{"id":"node_7","name":"alpha","hostKeyFingerprint":%q,"currentDeployment":{"id":"dep_9","sshProbe":{"target":"192.0.2.11:22","offeredHostKey":"ssh-ed25519 AAAA","offeredFingerprint":%q}}}}`,
				f.known, f.offered),
		}[q.OperationName]+`}`)
		return
	}
	if r.Method == http.MethodPost {
		f.asked = append(f.asked, r.URL.Path+" "+string(body))
	}
	switch {
	case r.URL.Path == "/api/config/nodes/node_7":
		_, _ = io.WriteString(w, `{"id":7,"node_name":"alpha","provider":"script","deployment_id":9}`)
	case strings.HasSuffix(r.URL.Path, "/probe"):
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, `{"deployment_id":9,"message":"the host is being asked"}`)
	case strings.HasSuffix(r.URL.Path, "/skip-polling"):
		w.WriteHeader(http.StatusConflict)
		_, _ = io.WriteString(w, `{"error":"it is not waited for","code":"wrong_state"}`)
	case strings.HasSuffix(r.URL.Path, "/host-key"):
		_, _ = io.WriteString(w, `{"node_id":7,"node_name":"alpha","fingerprint":"SHA256:new"}`)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// A host key is trusted only by the fingerprint that somebody has compared.
func TestAHostKeyIsShownThenTrusted(t *testing.T) {
	f := &fakeHosts{known: "SHA256:old", offered: "SHA256:new"}
	web := httptest.NewServer(f)
	defer web.Close()
	flags := serverFlags{Server: web.URL, Token: "slw_x"}
	var out bytes.Buffer
	require.NoError(t, (&scriptHostKeyCmd{serverFlags: flags, Node: "alpha"}).run(t.Context(), &out))
	require.Contains(t, out.String(), "alpha is known by SHA256:old\n")
	require.Contains(t, out.String(), "192.0.2.11:22 offers SHA256:new\n")
	require.Contains(t, out.String(), "slipway script host-key alpha --accept=SHA256:new\n")
	require.Empty(t, f.asked)

	err := (&scriptHostKeyCmd{serverFlags: flags, Node: "alpha", Accept: "SHA256:other"}).run(t.Context(), &out)
	require.ErrorContains(t, err, "offers SHA256:new and not SHA256:other: nothing was done")
	var code exit
	require.ErrorAs(t, err, &code)
	require.Equal(t, exitFailed, code.code)
	require.Empty(t, f.asked)

	out.Reset()
	require.NoError(t, (&scriptHostKeyCmd{serverFlags: flags, Node: "node_7", Accept: "SHA256:new"}).run(t.Context(), &out))
	require.Equal(t, []string{`/api/nodes/node_7/host-key {"host_key":"ssh-ed25519 AAAA"}`}, f.asked)
	require.Contains(t, out.String(), "alpha is known by SHA256:new now")

	f.known = "SHA256:new" // and what it offered then is nothing new
	out.Reset()
	require.NoError(t, (&scriptHostKeyCmd{serverFlags: flags, Node: "alpha"}).run(t.Context(), &out))
	require.Equal(t, "alpha is known by SHA256:new\n", out.String())
	require.NoError(t, (&scriptHostKeyCmd{serverFlags: flags, Node: "alpha", Accept: "SHA256:new"}).run(t.Context(), &out))
	err = (&scriptHostKeyCmd{serverFlags: flags, Node: "alpha", Accept: "SHA256:old"}).run(t.Context(), &out)
	require.ErrorContains(t, err, "has offered no other key")
	require.Len(t, f.asked, 1)
}

func TestAHostIsAskedNowOrVouchedFor(t *testing.T) {
	f := &fakeHosts{}
	web := httptest.NewServer(f)
	defer web.Close()
	flags := serverFlags{Server: web.URL, Token: "slw_x"}
	var out bytes.Buffer
	require.NoError(t, (&scriptProbeCmd{serverFlags: flags, Target: "alpha"}).run(t.Context(), &out))
	require.Equal(t, "alpha: the host is being asked\n", out.String())
	var code exit
	require.ErrorAs(t, (&scriptSkipCmd{serverFlags: flags, Target: "dep_9", Reason: " "}).run(t.Context(), &out), &code)
	require.Equal(t, exitUsage, code.code)
	err := (&scriptSkipCmd{serverFlags: flags, Target: "dep_9", Reason: "seen at its console"}).run(t.Context(), &out)
	require.ErrorContains(t, err, "alpha: ")
	require.ErrorContains(t, err, "it is not waited for")
	require.Equal(t, []string{`/api/deployments/dep_9/probe {}`, `/api/deployments/dep_9/skip-polling {"reason":"seen at its console"}`}, f.asked)
}
