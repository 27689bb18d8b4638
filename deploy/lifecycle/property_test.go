package lifecycle_test

import (
	"flag"
	"fmt"
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
		sequence := func(rt *rapid.T) {
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
		}
		rapid.Check(t, sequence)
		// By chance none may have retried what waits for a slot: then there are more.
		for more := 0; st.Dialect == store.SQLite && queuedAgain == 0 && more < 4; more++ {
			rapid.Check(t, sequence)
		}
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

func (m *model) wants(err error, code deploy.Code) {
	e, ok := deploy.AsError(err)
	require.True(m, ok, "want %s, got %v", code, err)
	require.Equal(m, code, e.Code, e.Message)
}

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
