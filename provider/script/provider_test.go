package script_test

import (
	"encoding/json"
	"errors"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/provider/conformance"
	"github.com/slipwayhq/slipway/provider/script"
)

func orderOf(deployment int64) deploy.Order {
	return deploy.Order{NodeID: 1, NodeName: "node-1", DeploymentID: deployment, Run: keyOf(deployment), Attempt: 1, Spec: deploy.Spec{Provider: deploy.ProviderScript, ManagementIP: "2001:db8::7", Document: json.RawMessage(`{"a": 1}`)}}
}

// applied is a node whose file is written and whose run is over.
func applied(t *testing.T) (*house, *script.Provider, *conformance.Journal) {
	t.Helper()
	h, j := newHouse(t, "rm .markers/deplyment_status/deployment_in_progress"), &conformance.Journal{}
	p := script.New(h.host(), j)
	order(t, p, 7)
	h.start(7)
	h.end(7)
	order(t, p, 7)
	j.End(7)
	return h, p, j
}

func order(t *testing.T, p *script.Provider, deployment int64) deploy.Machine {
	t.Helper()
	m, err := p.Order(t.Context(), orderOf(deployment))
	require.NoError(t, err)
	return m
}

func release(deployment int64) deploy.Release {
	return deploy.Release{NodeID: 1, NodeName: "node-1", DeploymentID: deployment}
}

func TestOrderOfACard(t *testing.T) {
	h, j := newHouse(t, "exit 0"), &conformance.Journal{}
	p := script.New(h.host(), j)
	require.Equal(t, deploy.Machine{ManagementIP: "2001:db8::7"}, order(t, p, 7), "a card knows no MAC address")
	require.Equal(t, deploy.ResourcePresent, j.Rows()[0].State)
	require.Empty(t, j.Rows()[0].CloudID, "which file it is, is not known yet")
	seen, err := p.Observe(t.Context(), 1)
	require.NoError(t, err)
	require.Zero(t, seen)
	h.write(7)
	order(t, p, 7)
	require.Equal(t, "node_01.json", j.Rows()[0].CloudID)
	writes := j.Writes()
	order(t, p, 7)
	require.Equal(t, writes, j.Writes())
	seen, err = p.Observe(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, deploy.Observation{ServerStatus: "stored"}, seen)
	require.NoError(t, os.WriteFile(h.node("node_01.json"), []byte("by hand"), 0o600))
	seen, err = p.Observe(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, "changed", seen.ServerStatus)
	require.Contains(t, seen.Reasons[0], h.node("node_01.json"))
	require.Nil(t, seen.Failed)
}

func TestReleaseKeepsWhatOthersWrote(t *testing.T) {
	h, p, _ := applied(t)
	require.NoError(t, os.WriteFile(h.node("node_01.json"), []byte("by hand"), 0o600))
	plan, err := p.PlanRelease(t.Context(), release(7))
	require.NoError(t, err)
	require.Contains(t, plan[0].Message, "stays")
	steps, err := p.Release(t.Context(), release(7))
	require.NoError(t, err)
	require.Len(t, steps, 1)
	require.Equal(t, deploy.ReleaseKept, steps[0].Status)
	require.Contains(t, steps[0].Message, h.node("node_01.json")+" stays")
	require.True(t, h.has(h.node("node_01.json")))
	again, err := p.Release(t.Context(), release(7))
	require.NoError(t, err)
	require.Equal(t, steps, again)
}

// A node that was applied again has two rows, and one file.
func TestReleaseOfANodeAppliedTwice(t *testing.T) {
	h, p, j := applied(t)
	order(t, p, 8)
	require.NoError(t, h.host().Write(t.Context(), runOf(8, "node_01.json", "second")))
	order(t, p, 8)
	require.Len(t, j.Rows(), 2)
	_, err := p.Release(t.Context(), release(7))
	wantCode(t, err, deploy.CodeWrongState, "deployment 8")
	_, err = p.Order(t.Context(), orderOf(7))
	wantCode(t, err, deploy.CodeConflict, "deployment 8")
	j.End(8)
	steps, err := p.Release(t.Context(), release(8))
	require.NoError(t, err)
	require.Len(t, steps, 2)
	for i, s := range steps {
		require.Equal(t, deploy.ReleaseDone, s.Status)
		require.Equal(t, deploy.ResourceGone, j.Rows()[i].State)
	}
	require.Contains(t, steps[0].Message, "was removed")
	require.False(t, h.has(h.node("node_01.json")))
}

// A script may be reading the files: it is not disturbed.
func TestReleaseWaitsForTheScript(t *testing.T) {
	h, p, _ := applied(t)
	wait, open := h.gate("gate")
	h.script(wait)
	require.NoError(t, h.host().Write(t.Context(), runOf(8, "node_02.json", "{}")))
	h.ends(8)
	_, err := h.host().Start(t.Context(), keyOf(8))
	require.NoError(t, err)
	steps, err := p.Release(t.Context(), release(7))
	wantCode(t, err, deploy.CodeRunActive, "run 8")
	var e *deploy.ProviderError
	require.True(t, errors.As(err, &e) && e.Temporary && e.Wait > 0)
	require.Equal(t, deploy.ReleaseWaiting, steps[0].Status)
	require.True(t, h.has(h.node("node_01.json")))
	open()
	h.end(8)
	_, err = p.Release(t.Context(), release(7))
	require.NoError(t, err)
}

func TestPlan(t *testing.T) {
	h := newHouse(t, "exit 0")
	p := script.New(h.host(), &conformance.Journal{})
	checks := func(o deploy.Order) (document, host deploy.Check) {
		t.Helper()
		c, err := p.Plan(t.Context(), o)
		require.NoError(t, err)
		require.Len(t, c, 2)
		return c[0], c[1]
	}
	document, host := checks(orderOf(0))
	require.True(t, document.Passed && host.Passed, "%+v %+v", document, host)
	document, _ = checks(deploy.Order{})
	require.False(t, document.Passed)
	require.NotEmpty(t, document.Hint)
	h.write(1)
	_, host = checks(orderOf(0))
	require.Equal(t, []any{false, deploy.CheckWarning}, []any{host.Passed, host.Severity})
	require.Contains(t, host.Message, "run 1")
	require.NoError(t, os.Remove(h.scriptPath()))
	_, host = checks(orderOf(0))
	require.Equal(t, []any{false, deploy.CheckError}, []any{host.Passed, host.Severity})
	require.Contains(t, host.Message, h.scriptPath())
	require.NotEmpty(t, host.Hint)
}

func TestHostsThatCannotBe(t *testing.T) {
	_, err := script.NewHost(script.Config{WorkDir: "relative"})
	require.Error(t, err)
	host, err := script.NewHost(script.Config{})
	require.NoError(t, err)
	name, err := os.Hostname()
	require.NoError(t, err)
	require.Equal(t, name, host.Host())
}
