package lifecycle_test

import (
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
)

// What operators ask for.

// asked compares an answer with a refusal, if one is due.
func (m *model) asked(err error, code deploy.Code) (done bool) {
	if code != "" {
		m.wants(err, code)
		return false
	}
	require.NoError(m, err)
	return true
}

// broken is a deployment, a failed one if there is any, mostly.
func (m *model) broken() *modelDep {
	var failed []int64
	for _, id := range m.order {
		if m.deps[id].state == phase.StateFail {
			failed = append(failed, id)
		}
	}
	if len(failed) == 0 || rapid.IntRange(0, 4).Draw(m.T, "any") == 0 {
		return m.any()
	}
	return m.deps[rapid.SampledFrom(failed).Draw(m.T, "failed one")]
}

func (m *model) retry() {
	d := m.broken()
	from := ""
	if rapid.Bool().Draw(m.T, "from a phase") {
		from = rapid.SampledFrom(append(phase.RetryFrom(d.provider, phase.HealthValidation), "raid_setup", phase.Deployed)).Draw(m.T, "phase")
	}
	start, bad := phase.Retry(d.provider, d.failedAt, d.failedCode, from, phase.ClusterFormation)
	code := deploy.Code("")
	switch {
	case d.node.current != d.id || d.state != phase.StateFail:
		code = deploy.CodeWrongState
	case bad != nil:
		code = bad.Code
	case d.node.protected && (start == phase.Pending || phase.Installs(d.provider, start)):
		code = deploy.CodeWrongState
	}
	receipt, err := m.h.Retry(m.h.t.Context(), lifecycle.Retry{DeploymentID: d.id, FromPhase: from, Actor: tester})
	if !m.asked(err, code) {
		return
	}
	d.attempt++
	d.boots, d.reboots, d.failedAt, d.failedCode = 0, 0, "", ""
	d.state, d.resume = phase.Running, ""
	if phase.Installs(d.provider, start) {
		d.resume, start = start, phase.Pending
	}
	if start == phase.Pending {
		d.state = phase.Queued
	}
	if d.resume != "" {
		*m.queuedAgain++
	}
	m.enter(d, start, phase.Waiting)
	d.add(modelEvent{phase: start, status: "waiting", outcome: "accepted"})
	require.Equal(m, []any{start, d.state, d.attempt, len(d.events)}, []any{receipt.Phase, receipt.State, receipt.Attempt, receipt.Sequence})
}

func (m *model) cancel() {
	d := m.any()
	immediate := rapid.Bool().Draw(m.T, "now")
	v, bad := phase.Cancel(d.facts(), immediate)
	code := deploy.Code("")
	if bad != nil {
		code = bad.Code
	}
	receipt, err := m.h.Cancel(m.h.t.Context(), lifecycle.Cancel{DeploymentID: d.id, Immediate: immediate, Actor: tester})
	if !m.asked(err, code) {
		return
	}
	require.Equal(m, v.State == d.state, receipt.Duplicate)
	if v.State == d.state {
		return
	}
	d.state = v.State
	if len(v.Moves) > 0 {
		d.status = phase.CanceledBy
	}
	d.add(modelEvent{phase: d.open, status: string(d.status), outcome: "accepted"})
}

func (m *model) cleanup() {
	d := m.any()
	name := d.node.name
	if rapid.IntRange(0, 4).Draw(m.T, "wrong name") == 0 {
		name += "x"
	}
	code := deploy.Code("")
	switch {
	case name != d.node.name:
		code = deploy.CodeConfirmationMismatch
	case d.node.current != d.id:
		code = deploy.CodeWrongState
	case phase.Active(d.state):
		code = deploy.CodeRunActive
	case d.state == phase.CleanedUp, d.node.protected:
		code = deploy.CodeWrongState
	}
	_, err := m.h.Cleanup(m.h.t.Context(), lifecycle.Cleanup{DeploymentID: d.id, ConfirmName: name, Actor: tester})
	if !m.asked(err, code) {
		return
	}
	if d.failedAt == phase.Cleanup {
		d.attempt++
		d.failedAt = ""
	}
	d.state, d.maintenance = phase.CleaningUp, false
	m.enter(d, phase.Cleanup, phase.Waiting)
	d.add(modelEvent{phase: phase.Cleanup, status: "waiting", outcome: "accepted"})
}

func (m *model) reinitialize() {
	n := m.known()
	d := m.deps[n.current]
	code := deploy.Code("")
	switch {
	case phase.Active(d.state):
		code = deploy.CodeRunActive
	case d.state == phase.CleanedUp, d.failedAt == phase.Cleanup, n.provider == deploy.ProviderIBMVPC && !n.server, n.protected:
		code = deploy.CodeWrongState
	}
	got, err := m.h.Reinitialize(m.h.t.Context(), lifecycle.Reinitialize{NodeID: n.id, Actor: tester})
	if m.asked(err, code) {
		m.made(n, got, false)
	}
}

func (m *model) protect() {
	n := m.known()
	on := rapid.Bool().Draw(m.T, "on")
	err := m.h.SetProtection(m.h.t.Context(), lifecycle.Protection{NodeID: n.id, Protected: on, Note: "why", Actor: tester})
	if on && !n.protected && m.deps[n.current].state == phase.CleaningUp {
		m.wants(err, deploy.CodeRunActive)
		return
	}
	require.NoError(m, err)
	if on != n.protected {
		d := m.deps[n.current]
		d.add(modelEvent{phase: d.open, status: string(d.status), outcome: "step"})
	}
	n.protected = on
}
