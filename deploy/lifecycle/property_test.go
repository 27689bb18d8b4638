package lifecycle_test

import (
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"
	"pgregory.net/rapid"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

// TestRandomSequences drives random commands through the writer and holds
// what it answers and what it wrote against a model.
func TestRandomSequences(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		checks := "40"
		if st.Dialect == store.PostgreSQL {
			checks = "6"
		}
		for name, value := range map[string]string{"rapid.checks": checks, "rapid.steps": "80"} {
			if f := flag.Lookup(name); f.Value.String() == f.DefValue {
				require.NoError(t, f.Value.Set(value))
				t.Cleanup(func() { require.NoError(t, f.Value.Set(f.DefValue)) })
			}
		}
		h := open(t, st)
		world, queuedAgain := 0, 0
		rapid.Check(t, func(rt *rapid.T) {
			world++
			m := &model{T: rt, h: h, world: world, deps: map[int64]*modelDep{}, keys: map[string]modelKey{}, queuedAgain: &queuedAgain}
			m.newNode()
			m.deploy()
			rt.Repeat(map[string]func(*rapid.T){
				"deploy":       m.with((*model).deploy),
				"deploy again": m.with((*model).deployAgain),
				"report":       m.with((*model).anyReport),
				"forward":      m.with((*model).forward),
				"onward":       m.with((*model).forward),
				"again":        m.with((*model).sameAgain),
				"boot":         m.with((*model).boot),
				"config":       m.with((*model).config),
				"time passes":  m.with((*model).timePasses),
				"rename":       m.with((*model).rename),
				"learn":        m.with((*model).learn),
				"retry":        m.with((*model).retry),
				"cancel":       m.with((*model).cancel),
				"cleanup":      m.with((*model).cleanup),
				"reinitialize": m.with((*model).reinitialize),
				"protect":      m.with((*model).protect),
				"":             m.with((*model).check),
			})
			m.end()
		})
		onlyOneActive(t, st)
		if st.Dialect == store.SQLite { // the other makes too few sequences to count on it
			require.Positive(t, queuedAgain, "no retry ever waited for a slot")
		}
	})
}

// model is what the tables should say.
type model struct {
	*rapid.T
	h      *house
	world  int
	nodes  []*modelNode
	deps   map[int64]*modelDep
	order  []int64
	keys   map[string]modelKey // idempotency keys of deployments
	last   []lifecycle.Report  // what was reported before, to say again
	counts int
	// queuedAgain counts, over all checks, the retries that wait for a slot.
	queuedAgain *int
}

type modelKey struct {
	request lifecycle.NewDeployment
	made    lifecycle.Deployed
}

type modelNode struct {
	id      int64
	name    string
	current int64
	number  int
	version int

	provider          string
	server, protected bool
}

type modelDep struct {
	id              int64
	node            *modelNode
	provider        string
	state           string
	open            string
	status          phase.Status
	resume          string // where a queued attempt goes on
	attempt, tries  int
	boots, reboots  int
	maintenance     bool
	deadline        time.Time
	failedAt        string // the phase a failure was placed on
	failedCode      string
	events          []modelEvent
	refusals        *rate.Limiter
	version, before int
	tried           int // events before the open phase's present try
}

type modelEvent struct {
	phase, status, outcome, code, key string
	attempt                           int
	said                              string // identity; empty = nobody's report
}

func (m *model) with(f func(*model)) func(*rapid.T) {
	return func(rt *rapid.T) { m.T = rt; f(m) }
}

func (m *model) now() time.Time { return m.h.clock.now() }

func (m *model) newNode() {
	m.nodes = append(m.nodes, &modelNode{name: fmt.Sprintf("w%d-n%d", m.world, len(m.nodes))})
}

func (d *modelDep) facts() phase.Facts {
	return phase.Facts{Provider: d.provider, State: d.state, Open: d.open, OpenStatus: d.status, Skip: []string{phase.ClusterFormation}, Resume: d.resume}
}

func (d *modelDep) add(e modelEvent) {
	e.attempt = d.attempt
	d.events = append(d.events, e)
}

func (m *model) enter(d *modelDep, key string, s phase.Status) {
	def, _ := phase.Lookup(key)
	d.open, d.status, d.tries, d.deadline = key, s, 1, m.now().Add(def.Deadline)
	if key != phase.Pending {
		d.resume = ""
	}
}

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

func (m *model) wants(err error, code deploy.Code) {
	e, ok := deploy.AsError(err)
	require.True(m, ok, "want %s, got %v", code, err)
	require.Equal(m, code, e.Code, e.Message)
}

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

// The rest.

func (m *model) timePasses() {
	now := m.h.clock.pass(time.Duration(rapid.SampledFrom([]int{1, 4, 5, 10, 15, 61, 1441}).Draw(m.T, "minutes")) * time.Minute)
	require.NoError(m, m.h.Sweep(m.h.t.Context()))
	for _, id := range m.order {
		d := m.deps[id]
		if !phase.Active(d.state) || d.maintenance || d.deadline.After(now) {
			continue
		}
		v := phase.TimeOut(d.facts(), d.tries)
		d.status, d.state = v.Moves[0].Status, v.State
		d.add(modelEvent{phase: d.open, status: string(d.status), outcome: "accepted"})
		if phase.Active(d.state) {
			def, _ := phase.Lookup(d.open)
			d.tries++
			d.tried = len(d.events)
			d.deadline = now.Add(def.Deadline)
		} else {
			d.failedAt, d.failedCode = d.open, phase.CodeDeadlinePassed
		}
	}
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func (m *model) known() *modelNode {
	n := rapid.SampledFrom(m.nodes).Draw(m.T, "node")
	if n.id == 0 {
		m.Skip("not made yet")
	}
	return n
}

func (m *model) rename() {
	n := m.known()
	m.counts++
	name := fmt.Sprintf("w%d-r%d", m.world, m.counts)
	off := rapid.IntRange(0, 1).Draw(m.T, "off by")
	version := standingOf(m, m.h.st, n.current).nodeVersion
	err := m.h.UpdateNode(m.h.t.Context(), lifecycle.NodeChange{ID: n.id, ExpectedVersion: version + off, Name: &name})
	if off != 0 {
		m.wants(err, deploy.CodeVersionMismatch)
		return
	}
	if phase.Active(m.deps[n.current].state) {
		m.wants(err, deploy.CodeRunActive)
		return
	}
	require.NoError(m, err)
	require.Equal(m, version+1, standingOf(m, m.h.st, n.current).nodeVersion)
	n.name = name
}

func (m *model) learn() {
	n := m.known()
	status := rapid.SampledFrom([]string{"pending", "starting", "running"}).Draw(m.T, "server status")
	facts := lifecycle.NodeFacts{NodeID: n.id, ServerStatus: status}
	if rapid.Bool().Draw(m.T, "a server") {
		facts.ServerID, n.server = fmt.Sprintf("server-%d-%d", n.id, n.current), true
		_, err := m.h.st.Write.Exec(`INSERT INTO resources (node_id, created_by, held_by, provider, kind, role, name, generation, state, cloud_id, last_error, created_at, updated_at)
			VALUES ($1, $2, $2, 'ibm_vpc', 'server', '', $3, 1, 'present', $3, '', $4, $4) ON CONFLICT DO NOTHING`, n.id, n.current, facts.ServerID, m.now())
		require.NoError(m, err)
	}
	require.NoError(m, m.h.Learn(m.h.t.Context(), facts))
}

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
	case d.node.protected && phase.Installs(d.provider, start):
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

// check compares the tables with the model after every command.
func (m *model) check() {
	for _, id := range m.order {
		d := m.deps[id]
		s := sound(m, m.h.st, id)
		require.Equal(m, []any{d.state, d.open, string(d.status), d.attempt, d.boots, d.reboots, len(d.events)},
			[]any{s.state, s.phase, s.status, s.attempt, s.boots, s.reboots, s.sequence}, "deployment %d", id)
		if phase.Active(d.state) {
			require.True(m, d.deadline.Equal(*s.deadline), "deployment %d: deadline %s, want %s", id, s.deadline, d.deadline)
			require.Equal(m, d.tries, s.tries)
		}
		for i, r := range rowsOf(m, m.h.st, id) {
			e := d.events[i]
			require.Equal(m, modelEvent{r.phase, r.status, r.outcome, r.code, r.key, r.attempt, e.said}, e, "deployment %d, sequence %d", id, i+1)
			require.Equal(m, e.said != "", r.hash != "")
		}
		require.GreaterOrEqual(m, s.version, d.version, "versions grow")
		if len(d.events) > d.before {
			require.Greater(m, s.version, d.version, "an event is a new version")
		}
		d.version, d.before = s.version, len(d.events)
		if d.node.current == id {
			require.GreaterOrEqual(m, s.nodeVersion, d.node.version, "versions grow")
			d.node.version = s.nodeVersion
			require.Equal(m, id, s.current)
		}
	}
	onlyOneActive(m, m.h.st)
}

// end leaves nothing active behind for the next sequence.
func (m *model) end() {
	for _, id := range m.order {
		if d := m.deps[id]; phase.Active(d.state) {
			_, err := m.h.Report(m.h.t.Context(), lifecycle.Report{DeploymentID: id, Phase: phase.Failed, Status: phase.FailedRun, As: phase.ByOperator, Message: "over"})
			require.NoError(m, err)
		}
	}
}
