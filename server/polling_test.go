package server_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/health"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
	"github.com/slipwayhq/slipway/server"
)

// Host keys of nobody, in the form of RFC 8709.
const (
	keyA = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA0BAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
	keyB = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB4BAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
)

// polled makes a node whose host is being asked, and has offered keyB.
func (r *rig) polled(name string, last int) (deploymentID, nodeID int64) {
	r.t.Helper()
	got := r.apply(`[` + document(name, last) + `]`)
	require.Equal(r.t, 202, got.status, got.body)
	result := got.json(r.t)["results"].([]any)[0].(map[string]any)
	run := int64(got.json(r.t)["run_id"].(float64))
	r.host.End(run, 0)
	r.ended(run)
	deploymentID, nodeID = int64(result["deployment_id"].(float64)), int64(result["node_id"].(float64))
	for _, k := range []string{phase.ConfigStored, phase.ScriptStarted, phase.RebootWait} {
		r.workflow(deploymentID, k, phase.Success)
	}
	r.workflow(deploymentID, phase.SSHPolling, phase.InProgress)
	require.NoError(r.t, r.writer.Do(r.t.Context(), []int64{deploymentID}, nil, func(tx *lifecycle.Tx) error {
		if err := tx.LearnFor(deploymentID, lifecycle.NodeFacts{SSHHostKey: keyA}); err != nil {
			return err
		}
		return tx.Probe(deploymentID, phase.SSHPolling, deploy.Probe{Target: "192.0.2.11:22", Attempt: 3, MaxAttempts: 120, Class: "wrong_host", OfferedKey: keyB, Fingerprint: health.Fingerprint(keyB)})
	}))
	return deploymentID, nodeID
}

func TestHostsThatArePolledOverREST(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		d, n := r.polled("alpha", 11)
		probe := fmt.Sprintf("/api/deployments/dep_%d/probe", d)
		require.Equal(t, 403, r.call("POST", probe, r.viewer, "").status)
		require.Equal(t, 422, r.call("POST", probe, r.operator, `{"now":true}`, "Content-Type", jsonType).status)
		require.Empty(t, r.nudged)
		golden(t, "probe", r.call("POST", probe, r.operator, ""))
		require.Equal(t, []int64{d}, r.nudged)

		key := fmt.Sprintf("/api/nodes/%d/host-key", n)
		require.Equal(t, 403, r.call("POST", key, r.viewer, `{}`, "Content-Type", jsonType).status)
		for body, want := range map[string]int{`{}`: 422, `{"host_key":"x"}`: 422, `{"host_key":7}`: 422, `{"key":"` + keyB + `"}`: 422, `{"host_key":"` + keyA + `"}`: 409} {
			got := r.call("POST", key, r.operator, body, "Content-Type", jsonType)
			require.Equal(t, want, got.status, "%s: %s", body, got.body)
		}
		require.Equal(t, 404, r.call("POST", "/api/nodes/99/host-key", r.operator, `{"host_key":"`+keyB+`"}`, "Content-Type", jsonType).status)
		golden(t, "host-key", r.call("POST", key, r.operator, `{"host_key":"`+keyB+`"}`, "Content-Type", jsonType))
		var known string
		require.NoError(t, r.st.Read.QueryRow(`SELECT ssh_host_key FROM nodes WHERE id = $1`, n).Scan(&known))
		require.Equal(t, keyB, known)

		skip := fmt.Sprintf("/api/deployments/%d/skip-polling", d)
		require.Equal(t, 403, r.call("POST", skip, r.viewer, `{"reason":"x"}`, "Content-Type", jsonType).status)
		for _, body := range []string{"", `{}`, `{"reason":" "}`, `{"why":"x"}`} {
			got := r.call("POST", skip, r.operator, body, "Content-Type", jsonType)
			require.Equal(t, 422, got.status, "%s: %s", body, got.body)
		}
		golden(t, "skip-polling", r.call("POST", skip, r.operator, `{"reason":"seen on the console"}`, "Content-Type", jsonType))
		require.Equal(t, 409, r.call("POST", skip, r.operator, `{"reason":"again"}`, "Content-Type", jsonType).status)
		require.Contains(t, r.get(fmt.Sprintf("/api/status/history/%d", n)).body, "skipped by operator-token: seen on the console")
	})
}

func TestAServerThatWaitsForNoHosts(t *testing.T) {
	r := newRig(t, storetest.SQLite(t), func(p *server.Parts) { p.Nudge = nil })
	got := r.call("POST", "/api/deployments/1/probe", r.operator, "")
	require.Equal(t, "wrong_state", got.json(t)["code"])
}
