package lifecycle_test

import (
	"fmt"
	"slices"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
)

// Reporting.

func (m *model) any() *modelDep {
	if len(m.order) == 0 {
		m.Skip("nothing deployed")
	}
	return m.deps[rapid.SampledFrom(m.order).Draw(m.T, "deployment")]
}

var (
	anyPhase  = []string{phase.Failed, phase.Deployed, phase.Canceled, phase.Cleanup, "raid_setup", phase.SSHPolling}
	anyStatus = []phase.Status{phase.InProgress, phase.InProgress, phase.Success, phase.Success, phase.FailedRun}
)

// anyReport is whatever anybody may say.
func (m *model) anyReport() {
	d := m.any()
	keys := slices.Clone(anyPhase)
	for _, p := range phase.Catalogue(d.provider) {
		keys = append(keys, p.Key)
	}
	r := lifecycle.Report{DeploymentID: d.id, Source: deploy.SourceUser, Actor: tester,
		Phase:   rapid.SampledFrom(keys).Draw(m.T, "phase"),
		Status:  rapid.SampledFrom(anyStatus).Draw(m.T, "status"),
		As:      rapid.SampledFrom([]phase.Reporter{phase.ByMachine, phase.ByMachine, phase.ByWorkflow, phase.ByBoot, phase.ByOperator}).Draw(m.T, "reporter"),
		Message: rapid.SampledFrom([]string{"", "a", "b"}).Draw(m.T, "message")}
	if rapid.Bool().Draw(m.T, "with a key") {
		r.IdempotencyKey = rapid.SampledFrom([]string{"k1", "k2", "k3", "k4"}).Draw(m.T, "key")
	}
	if rapid.Bool().Draw(m.T, "with progress") {
		p := rapid.IntRange(0, 3).Draw(m.T, "progress")
		r.Progress = &p
	}
	if r.As == phase.ByMachine {
		r.TokenAttempt = rapid.IntRange(0, d.attempt).Draw(m.T, "token of attempt")
	}
	if m.deps[d.node.current] == d && rapid.Bool().Draw(m.T, "by node") {
		r.DeploymentID, r.NodeID = 0, d.node.id
	}
	m.report(d, r)
}

// forward says what comes next, so that deployments get somewhere.
func (m *model) forward() {
	d := m.any()
	def, _ := phase.Lookup(d.open)
	if !phase.Active(d.state) {
		m.Skip("it has ended")
	}
	switch d.open {
	case phase.MonitoringStart:
		m.bootOf(d)
	case phase.IPXEBoot:
		m.configOf(d)
	case phase.ConfigDownload:
		m.report(d, lifecycle.Report{DeploymentID: d.id, Phase: phase.FoundationStart, Status: phase.InProgress, As: phase.ByMachine, TokenAttempt: d.attempt})
	default:
		m.report(d, lifecycle.Report{DeploymentID: d.id, Phase: d.open, As: phase.Reporter(def.Owner),
			Status: rapid.SampledFrom([]phase.Status{phase.InProgress, phase.Success, phase.Success}).Draw(m.T, "status")})
	}
}

func (m *model) sameAgain() {
	if len(m.last) == 0 {
		m.Skip("nothing said")
	}
	r := rapid.SampledFrom(m.last).Draw(m.T, "report")
	r.OccurredAt = m.now().Add(time.Second)
	m.report(m.deps[r.DeploymentID], r)
}

func said(r lifecycle.Report) string {
	p := -1
	if r.Progress != nil {
		p = *r.Progress
	}
	return fmt.Sprintf("%s|%s|%s|%d|%s", r.Phase, r.Status, r.Message, p, r.Code)
}

// prior finds what r says again.
func (d *modelDep) prior(r lifecycle.Report) int {
	// The owner of the open phase repeats what it said itself in this try, not a
	// step that somebody else did.
	own := phase.Active(d.state) && d.status.Open() && d.open == r.Phase && r.As.Owns(r.Phase) &&
		(r.Status != phase.FailedRun || d.failedAt == "" || d.failedAt == r.Phase)
	for i, e := range slices.Backward(d.events) {
		if e.said == "" || e.outcome == "refused" {
			continue
		}
		if own && r.IdempotencyKey == "" && (e.outcome == "step" || i < d.tried) {
			continue
		}
		if r.IdempotencyKey != "" {
			if e.key == r.IdempotencyKey {
				return i
			}
			continue
		}
		if e.attempt == d.attempt && (e.phase == r.Phase || r.Status == phase.FailedRun && d.failedAt != "" && e.phase == d.failedAt) {
			return i
		}
	}
	return -1
}

func (m *model) report(d *modelDep, r lifecycle.Report) {
	receipt, err := m.h.Report(m.h.t.Context(), r)
	r.DeploymentID, r.NodeID = d.id, 0
	m.last = append(m.last, r)
	m.expect(d, r, receipt, err)
}

// expect plays r in the model and compares the answer.
func (m *model) expect(d *modelDep, r lifecycle.Report, receipt lifecycle.Receipt, err error) {
	before := len(d.events)
	if i := d.prior(r); i >= 0 {
		same := d.events[i].said == said(r)
		if same {
			require.NoError(m, err)
			require.True(m, receipt.Duplicate)
			require.Equal(m, i+1, receipt.Sequence)
			require.Equal(m, d.events[i].outcome, string(receipt.Outcome))
			return
		}
		if r.IdempotencyKey != "" {
			m.wants(err, deploy.CodeIdempotencyConflict)
			return
		}
	}
	require.False(m, receipt.Duplicate)
	v := m.play(d, r)
	if v.Outcome == phase.Refuse {
		m.wants(err, v.Code)
		require.Equal(m, lifecycle.Refused, receipt.Outcome)
		e, _ := deploy.AsError(err)
		require.Equal(m, v.Accepted, e.AcceptedPhases)
		require.Equal(m, len(d.events) > before, receipt.EventID != 0)
	} else {
		require.NoError(m, err)
		require.Equal(m, string(v.Outcome), string(receipt.Outcome))
		require.Equal(m, v.AlreadyPassed, receipt.AlreadyPassed)
	}
	require.Equal(m, []any{d.open, d.status, d.state, d.attempt}, []any{receipt.Phase, receipt.PhaseStatus, receipt.State, receipt.Attempt})
	if receipt.EventID != 0 {
		e := d.events[receipt.Sequence-1]
		require.Equal(m, said(r), e.said, "the receipt names the report's own row")
	}
}

func (m *model) play(d *modelDep, r lifecycle.Report) phase.Verdict {
	own := modelEvent{phase: r.Phase, status: string(r.Status), key: r.IdempotencyKey, said: said(r)}
	v := phase.Decide(d.facts(), phase.Report{Phase: r.Phase, Status: r.Status, As: r.As})
	if r.TokenAttempt != 0 && r.TokenAttempt < d.attempt {
		v = phase.Verdict{Outcome: phase.Refuse, Code: deploy.CodeWrongState}
	}
	switch v.Outcome {
	case phase.Refuse:
		if d.refusals.AllowN(m.now(), 1) {
			own.outcome, own.code = "refused", string(v.Code)
			d.add(own)
		}
		return v
	case phase.Step:
		own.outcome = "step"
		d.add(own)
		return v
	default: // accepted
	}
	for _, mv := range v.Moves {
		if mv.Enter {
			m.enter(d, mv.Phase, mv.Status)
		}
		d.open, d.status = mv.Phase, mv.Status
		switch {
		case !mv.Implied:
			own.phase, own.outcome = v.At, "accepted"
			if mv.Status == phase.CanceledBy {
				own.status = string(phase.CanceledBy)
			}
			if mv.Status == phase.FailedRun {
				own.status, d.failedAt, d.failedCode = string(phase.FailedRun), v.At, firstOf(r.Code, "reported_failure")
			}
			d.add(own)
		case mv.Status != phase.Waiting:
			d.add(modelEvent{phase: mv.Phase, status: string(mv.Status), outcome: "accepted"})
		}
	}
	d.state = v.State
	if d.state == phase.CleanedUp {
		d.node.server = false
	}
	return v
}

// Booting.

func (m *model) boot() { m.bootOf(m.any()) }

func (m *model) bootOf(d *modelDep) {
	a, err := m.h.Boot(m.h.t.Context(), lifecycle.BootRequest{DeploymentID: d.id, Remote: "r"})
	require.NoError(m, err)
	decision := phase.DecideBoot(phase.BootFacts{Provider: d.provider, State: d.state, Open: d.open, Reboots: d.reboots})
	require.Equal(m, decision, a.Decision)
	served := lifecycle.Report{Phase: phase.IPXEBoot, Status: phase.InProgress, As: phase.ByBoot}
	switch decision {
	case phase.BootInstall, phase.BootAgain:
		d.boots++
		served.Message = fmt.Sprintf("boot script served to r (boot %d)", d.boots)
	case phase.BootAttempt:
		d.add(modelEvent{phase: d.open, status: "failed", outcome: "accepted"})
		d.attempt++
		d.reboots++
		d.boots = 1
		m.enter(d, phase.IPXEBoot, phase.Waiting)
		served.Message = fmt.Sprintf("boot script served to r (attempt %d)", d.attempt)
	case phase.BootFail:
		served = lifecycle.Report{Phase: phase.Failed, Status: phase.FailedRun, As: phase.ByBoot, Code: "reboot_loop", Message: fmt.Sprintf("the machine restarted %d times in the middle of its install", d.reboots+1)}
	case phase.BootStop, phase.BootDisk:
		if def, _ := phase.Lookup(d.open); d.state == phase.Canceling && def.Owner != phase.OwnerWorkflow {
			d.state, d.status = phase.StateStop, phase.CanceledBy
			d.add(modelEvent{phase: d.open, status: "canceled", outcome: "accepted"})
			return
		}
		if d.refusals.AllowN(m.now(), 1) {
			d.add(modelEvent{phase: phase.IPXEBoot, status: "in_progress", outcome: "step"})
		}
		return
	default:
		return
	}
	if i := d.prior(served); i >= 0 && d.events[i].said == said(served) {
		return
	}
	m.play(d, served)
	require.Equal(m, []any{d.open, d.state, d.attempt}, []any{a.Phase, a.State, a.Attempt})
}

func (m *model) config() { m.configOf(m.any()) }

func (m *model) configOf(d *modelDep) {
	attempt := rapid.IntRange(1, d.attempt).Draw(m.T, "token of attempt")
	receipt, err := m.h.ConfigServed(m.h.t.Context(), d.id, attempt, "r")
	m.expect(d, lifecycle.Report{DeploymentID: d.id, TokenAttempt: attempt, Phase: phase.ConfigDownload, Status: phase.InProgress, Message: "configuration served to r", As: phase.ByBoot}, receipt, err)
}
