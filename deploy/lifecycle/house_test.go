package lifecycle_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store"
)

// clock is set by hand.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
	return c.at
}

// house is a running writer on one database.
type house struct {
	*lifecycle.Writer
	t     *testing.T
	st    *store.Store
	clock *clock
	stop  func() // ends the writer and waits for it
	mu    sync.Mutex
	woken []int64 // positions that OnCommit was told
}

func open(t *testing.T, st *store.Store, tune ...func(*lifecycle.Options)) *house {
	t.Helper()
	h := &house{t: t, st: st, clock: newClock()}
	opts := lifecycle.Options{Now: h.clock.now, Logger: slog.New(slog.DiscardHandler), OnCommit: func(p int64) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.woken = append(h.woken, p)
	}}
	for _, f := range tune {
		f(&opts)
	}
	h.Writer = lifecycle.New(st, opts)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { h.Run(ctx) })
	h.stop = func() { cancel(); wg.Wait() }
	t.Cleanup(h.stop)
	return h
}

var tester = deploy.Actor{Kind: deploy.ActorToken, Name: "test"}

func vpcSpec() deploy.Spec {
	return deploy.Spec{Provider: deploy.ProviderIBMVPC, ServerProfile: "bx2d-metal-96x384"}
}

func rackSpec(i int) deploy.Spec {
	return deploy.Spec{Provider: deploy.ProviderRack, MAC: fmt.Sprintf("02:00:00:00:01:%02x", i), ManagementIP: fmt.Sprintf("127.64.1.%d", i)}
}

func (h *house) deploy(name string, tune ...func(*lifecycle.NewDeployment)) lifecycle.Deployed {
	h.t.Helper()
	in := lifecycle.NewDeployment{Name: name, Spec: vpcSpec(), Actor: tester}
	for _, f := range tune {
		f(&in)
	}
	d, err := h.Deploy(h.t.Context(), in)
	require.NoError(h.t, err)
	return d
}

// cleanUp takes an ended deployment to the end of its cleanup.
func (h *house) cleanUp(d lifecycle.Deployed, name string) {
	h.t.Helper()
	_, err := h.Cleanup(h.t.Context(), lifecycle.Cleanup{DeploymentID: d.DeploymentID, ConfirmName: name, Actor: tester})
	require.NoError(h.t, err)
	h.say(as(phase.ByWorkflow, d, phase.Cleanup, phase.InProgress))
	h.say(as(phase.ByWorkflow, d, phase.Cleanup, phase.Success))
}

func as(r phase.Reporter, d lifecycle.Deployed, key string, s phase.Status) lifecycle.Report {
	source := map[phase.Reporter]deploy.Source{phase.ByWorkflow: deploy.SourceOrchestrator, phase.ByBoot: deploy.SourceBootService, phase.ByMachine: deploy.SourceInstallerScript, phase.ByOperator: deploy.SourceUser}[r]
	return lifecycle.Report{DeploymentID: d.DeploymentID, Phase: key, Status: s, As: r, Source: source, Actor: deploy.Actor{Kind: deploy.ActorSystem, Name: string(r)}}
}

// say reports and expects it to be recorded.
func (h *house) say(r lifecycle.Report) lifecycle.Receipt {
	h.t.Helper()
	receipt, err := h.Report(h.t.Context(), r)
	require.NoError(h.t, err)
	return receipt
}

func (h *house) boot(d lifecycle.Deployed) lifecycle.BootAnswer {
	h.t.Helper()
	a, err := h.Boot(h.t.Context(), lifecycle.BootRequest{DeploymentID: d.DeploymentID, Remote: "127.64.0.9"})
	require.NoError(h.t, err)
	return a
}

// bring takes a new deployment to the phase where key is open.
func (h *house) bring(d lifecycle.Deployed, key string) {
	h.t.Helper()
	state := h.state(d)
	for _, p := range phase.Catalogue(state.provider) {
		if p.Key == key {
			return
		}
		switch {
		case p.Key == phase.MonitoringStart:
			h.boot(d)
		case p.Key == phase.IPXEBoot:
			if key == phase.IPXEBoot {
				return
			}
			_, err := h.ConfigServed(h.t.Context(), d.DeploymentID, 0, "127.64.0.9")
			require.NoError(h.t, err)
		case p.Key == phase.ConfigDownload:
			h.say(as(phase.ByMachine, d, phase.FoundationStart, phase.InProgress))
		case p.Key == phase.ClusterFormation:
		default:
			r := as(phase.Reporter(p.Owner), d, p.Key, phase.Success)
			h.say(r)
		}
	}
}

// standing is what the tables say of a deployment and its node.
type standing struct {
	id, nodeID                                         int64
	number, attempt, sequence, version, boots, reboots int
	state, phase, status, provider                     string
	failPhase, failCode, failMessage, failHint         string
	failSequence                                       int
	started, finished                                  *time.Time
	openRuns                                           int
	openPhase, openStatus, awaiting, evidence          string
	tries                                              int
	deadline                                           *time.Time
	nodeStatus, nodeState                              string
	nodeVersion                                        int
	changed                                            int64
	stale                                              bool
	lastSeen                                           *time.Time
	current                                            int64
}

func (h *house) state(d lifecycle.Deployed) standing { return standingOf(h.t, h.st, d.DeploymentID) }

func standingOf(t require.TestingT, st *store.Store, id int64) standing {
	s := standing{id: id}
	err := st.Read.QueryRow(`SELECT d.node_id, d.number, d.attempt, d.sequence, d.version, d.boots, d.reboots, d.state, d.phase, d.phase_status, d.provider,
		COALESCE(d.failure_phase,''), COALESCE(d.failure_code,''), COALESCE(d.failure_message,''), COALESCE(d.failure_hint,''), COALESCE(d.failure_sequence,0), d.started_at, d.finished_at,
		n.deployment_status, n.state, n.version, n.changed_position, n.stale, n.last_seen_at, COALESCE(n.current_deployment_id,0),
		(SELECT COUNT(*) FROM phase_runs WHERE deployment_id = d.id AND finished_at IS NULL)
		FROM deployments d JOIN nodes n ON n.id = d.node_id WHERE d.id = $1`, id).
		Scan(&s.nodeID, &s.number, &s.attempt, &s.sequence, &s.version, &s.boots, &s.reboots, &s.state, &s.phase, &s.status, &s.provider,
			&s.failPhase, &s.failCode, &s.failMessage, &s.failHint, &s.failSequence, &s.started, &s.finished,
			&s.nodeStatus, &s.nodeState, &s.nodeVersion, &s.changed, &s.stale, &s.lastSeen, &s.current, &s.openRuns)
	require.NoError(t, err)
	if s.openRuns == 1 {
		err := st.Read.QueryRow(`SELECT phase, status, tries, deadline_at, awaiting, evidence FROM phase_runs WHERE deployment_id = $1 AND finished_at IS NULL`, id).
			Scan(&s.openPhase, &s.openStatus, &s.tries, &s.deadline, &s.awaiting, &s.evidence)
		require.NoError(t, err)
	}
	return s
}

// row is one row of deployment_history.
type row struct {
	id, position              int64
	dep                       int64
	sequence, attempt         int
	phase, status, outcome    string
	code, message, key, state string
	source                    string
	hash                      string
	progress                  *int
	details                   json.RawMessage
	occurred, recorded        time.Time
}

func (h *house) rows(d lifecycle.Deployed) []row { return rowsOf(h.t, h.st, d.DeploymentID) }

func rowsOf(t require.TestingT, st *store.Store, id int64) []row {
	rows, err := st.Read.Query(`SELECT id, position, deployment_id, sequence, attempt, phase, status, outcome, COALESCE(refused_code,''), message, COALESCE(idempotency_key,''), state,
		source, hash, progress, details, occurred_at, recorded_at FROM deployment_history WHERE deployment_id = $1 ORDER BY position`, id)
	require.NoError(t, err)
	defer rows.Close()
	var out []row
	for rows.Next() {
		var r row
		var details []byte
		require.NoError(t, rows.Scan(&r.id, &r.position, &r.dep, &r.sequence, &r.attempt, &r.phase, &r.status, &r.outcome, &r.code, &r.message, &r.key, &r.state,
			&r.source, &r.hash, &r.progress, &details, &r.occurred, &r.recorded))
		r.details = details
		out = append(out, r)
	}
	require.NoError(t, rows.Err())
	return out
}

func (h *house) last(d lifecycle.Deployed) row {
	h.t.Helper()
	all := h.rows(d)
	require.NotEmpty(h.t, all)
	return all[len(all)-1]
}

func (h *house) head() (position int64) {
	h.t.Helper()
	require.NoError(h.t, h.st.Read.QueryRow(`SELECT position FROM stream_counter`).Scan(&position))
	return position
}

// refused expects a typed refusal.
func refused(t *testing.T, err error, code deploy.Code) *deploy.Error {
	t.Helper()
	e, ok := deploy.AsError(err)
	require.True(t, ok, "want %s, got %v", code, err)
	require.Equal(t, code, e.Code, e.Message)
	return e
}

// sound checks what holds of every deployment's rows.
func sound(t require.TestingT, st *store.Store, id int64) standing {
	s, all := standingOf(t, st, id), rowsOf(t, st, id)
	require.Len(t, all, s.sequence, "deployment %d: one row a sequence", id)
	var position int64
	at := map[int]int{}
	ended := false
	for i, r := range all {
		require.Equal(t, i+1, r.sequence, "deployment %d: sequence has no gaps, and follows the positions", id)
		require.Greater(t, r.position, position, "deployment %d: positions grow", id)
		position = r.position
		require.Equal(t, r.outcome == "refused", r.code != "", "a refusal has its code")
		if r.outcome != "accepted" {
			continue
		}
		if phase.Active(r.state) && (at[r.attempt] == 0 || r.phase == phase.Cleanup && r.state == phase.CleaningUp) {
			ended = false // somebody asked for another attempt, or for the node to be cleaned up
		}
		require.False(t, ended && r.phase != phase.Deployed, "deployment %d: an accepted report after the end: %+v", id, r)
		def, known := phase.Lookup(r.phase)
		require.True(t, known, "an unknown phase was accepted: %s", r.phase)
		require.GreaterOrEqual(t, def.Ordinal, at[r.attempt], "deployment %d: the order went back in attempt %d: %+v", id, r.attempt, r)
		at[r.attempt] = def.Ordinal
		ended = !phase.Active(r.state)
	}
	active := phase.Active(s.state)
	if active {
		require.Equal(t, 1, s.openRuns, "deployment %d: one open phase run", id)
		require.NotNil(t, s.deadline, "deployment %d: the open phase has a deadline", id)
		require.Equal(t, s.phase, s.openPhase)
		require.Equal(t, s.status, s.openStatus)
		require.Nil(t, s.finished)
	} else {
		require.Zero(t, s.openRuns, "deployment %d has ended: no open phase run", id)
		require.NotNil(t, s.finished)
	}
	if s.current == id {
		want := map[string]string{phase.StateFail: phase.Failed, phase.StateStop: phase.Canceled, phase.CleanedUp: phase.CleanupCompleted}[s.state]
		if want == "" {
			want = s.phase
		}
		require.Equal(t, want, s.nodeStatus, "the node shows its deployment")
		require.Equal(t, s.state, s.nodeState)
	}
	return s
}

// onlyOneActive checks every node of the database.
func onlyOneActive(t require.TestingT, st *store.Store) {
	var n int
	require.NoError(t, st.Read.QueryRow(`SELECT COALESCE(MAX(c), 0) FROM (SELECT COUNT(*) AS c FROM deployments WHERE state IN ('queued','running','canceling','cleaning_up') GROUP BY node_id) AS a`).Scan(&n))
	require.LessOrEqual(t, n, 1, "at most one active deployment a node")
}
