package lifecycle_test

import (
	"fmt"
	"slices"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"
	"pgregory.net/rapid"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
)

// Deploying.

func (m *model) deploy() {
	if len(m.nodes) < 3 && rapid.Bool().Draw(m.T, "a new node") {
		m.newNode()
	}
	n := rapid.SampledFrom(m.nodes).Draw(m.T, "node")
	in := lifecycle.NewDeployment{Name: n.name, Spec: vpcSpec(), Actor: tester}
	if rapid.Bool().Draw(m.T, "rack") {
		in.Spec = m.rack(n)
	}
	in.Maintenance = rapid.IntRange(0, 9).Draw(m.T, "maintenance") == 0
	m.order1(in, n, func() deploy.Code {
		if n.id != 0 && (n.provider != in.Spec.Provider || m.deps[n.current].state != phase.CleanedUp) {
			return deploy.CodeNameInUse
		}
		return ""
	})
}

func (m *model) rack(n *modelNode) deploy.Spec {
	i := slices.Index(m.nodes, n)
	return deploy.Spec{Provider: deploy.ProviderRack, MAC: fmt.Sprintf("02:00:%02x:%02x:00:%02x", m.world/256, m.world%256, i), ManagementIP: fmt.Sprintf("127.%d.%d.%d", 64+m.world/256, m.world%256, i)}
}

func (m *model) deployAgain() {
	n := rapid.SampledFrom(m.nodes).Draw(m.T, "node")
	if n.id == 0 {
		m.Skip("never deployed")
	}
	in := lifecycle.NewDeployment{NodeID: n.id, Spec: vpcSpec(), Actor: tester}
	if n.provider == deploy.ProviderRack {
		in.Spec = m.rack(n)
	}
	m.order1(in, n, func() deploy.Code {
		switch state := m.deps[n.current].state; {
		case phase.Active(state):
			return deploy.CodeRunActive
		case state != phase.CleanedUp:
			return deploy.CodeWrongState
		}
		return ""
	})
}

func (m *model) order1(in lifecycle.NewDeployment, n *modelNode, refusal func() deploy.Code) {
	if rapid.Bool().Draw(m.T, "with a key") {
		in.IdempotencyKey = fmt.Sprintf("w%d-%d", m.world, rapid.IntRange(0, 2).Draw(m.T, "key"))
	}
	got, err := m.h.Deploy(m.h.t.Context(), in)
	if prior, used := m.keys[in.IdempotencyKey]; used {
		if !sameRequest(prior.request, in) {
			m.wants(err, deploy.CodeIdempotencyConflict)
			return
		}
		require.NoError(m, err)
		want := prior.made
		want.Existing = true
		require.Equal(m, want, got)
		return
	}
	if code := refusal(); code != "" {
		m.wants(err, code)
		return
	}
	require.NoError(m, err)
	if n.id == 0 {
		n.id, n.provider = got.NodeID, in.Spec.Provider
	}
	m.made(n, got, in.Maintenance)
	if in.IdempotencyKey != "" {
		m.keys[in.IdempotencyKey] = modelKey{in, got}
	}
}

// made notes a new deployment.
func (m *model) made(n *modelNode, got lifecycle.Deployed, maintenance bool) {
	n.number++
	require.Equal(m, lifecycle.Deployed{NodeID: n.id, DeploymentID: got.DeploymentID, Number: n.number}, got)
	d := &modelDep{id: got.DeploymentID, node: n, provider: n.provider, state: phase.Queued, attempt: 1, maintenance: maintenance, refusals: rate.NewLimiter(rate.Every(10*time.Second), 50)}
	m.enter(d, phase.Pending, phase.Waiting)
	d.add(modelEvent{phase: phase.Pending, status: "waiting", outcome: "accepted"})
	m.deps[d.id], n.current = d, d.id
	m.order = append(m.order, d.id)
}

func sameRequest(a, b lifecycle.NewDeployment) bool {
	return a.Name == b.Name && a.NodeID == b.NodeID && a.Spec.Provider == b.Spec.Provider && a.Maintenance == b.Maintenance
}
