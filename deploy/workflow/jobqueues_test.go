package workflow_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/health"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
	"github.com/slipwayhq/slipway/deploy/workflow"
)

// TestAReplicaWithoutTheScriptLeavesItsSteps: it neither fails nor takes them,
// be they in whatever queue.
func TestAReplicaWithoutTheScriptLeavesItsSteps(t *testing.T) {
	t.Parallel()
	st := storetest.Postgres(t)
	c := newCloud()
	build(t, st, workflow.Options{ReplicaID: "without", Prober: healthy, Providers: map[string]deploy.Provider{deploy.ProviderIBMVPC: c}}, c)
	s := withScript(t, st, back)
	out := s.begin(t, "a", "b", "c")
	for _, item := range out.Items {
		s.until(t, item.DeploymentID, at(phase.ScriptStarted, phase.InProgress))
	}
	// As steps were before there were queues of their own.
	s.eventually(t, "the replica without the script has met a step", func() bool {
		_, err := st.Write.Exec(`UPDATE river_job SET queue = 'default', state = 'available', scheduled_at = now()
			WHERE queue IN ('script', 'default') AND state IN ('available', 'scheduled') AND args->>'phase' = 'script_started'`)
		require.NoError(t, err)
		var met int
		require.NoError(t, st.Read.QueryRow(`SELECT COUNT(*) FROM river_job WHERE state IN ('available', 'scheduled') AND args->>'phase' = 'script_started' AND 'without' = ANY(attempted_by) AND queue LIKE 'script-%'`).Scan(&met))
		return met > 0
	})
	s.host.End(out.Run.ID, 0)
	for _, item := range out.Items {
		events := s.ended(t, item.DeploymentID)
		require.Equal(t, phase.Succeeded, events[len(events)-1].State, describe(events))
	}
	rows, err := st.Read.Query(`SELECT DISTINCT split_part(queue, '-', 1) FROM river_job WHERE args->>'phase' IN ('reboot_wait', 'ssh_polling', 'health_validation')`)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var queue string
		require.NoError(t, rows.Scan(&queue))
		require.Equal(t, "poll", queue)
	}
	require.NoError(t, rows.Err())
}

// TestARetryIsOfTheHostOfItsRun: of two replicas that have a script, the one
// takes it that has the node's files.
func TestARetryIsOfTheHostOfItsRun(t *testing.T) {
	t.Parallel()
	st := storetest.Postgres(t)
	other := withScriptOn(t, st, "other", back)
	s := withScript(t, st, back)
	out := s.begin(t, "a", "b")
	run := out.Run.ID
	for _, item := range out.Items {
		s.until(t, item.DeploymentID, at(phase.ScriptStarted, phase.InProgress))
	}
	s.host.End(run, 1)
	for _, item := range out.Items {
		s.ended(t, item.DeploymentID)
		_, err := s.writer.Retry(t.Context(), lifecycle.Retry{DeploymentID: item.DeploymentID, Actor: operator})
		require.NoError(t, err)
	}
	for range out.Items {
		s.eventually(t, "the next run has begun here", func() bool {
			active, err := s.Active(t.Context())
			require.NoError(t, err)
			if active == nil || active.State != deploy.RunRunning || active.ID == run {
				return false
			}
			run = active.ID
			return true
		})
		s.host.End(run, 0)
	}
	for _, item := range out.Items {
		s.until(t, item.DeploymentID, at(phase.Deployed, phase.Success))
	}
	require.Len(t, s.host.Starts, 3)
	require.Empty(t, other.host.Starts)
	require.Empty(t, other.host.Content())
}

// TestAHostWithoutAReplicaIsNamed: its steps wait, say for whom, and go on when
// it is there again.
func TestAHostWithoutAReplicaIsNamed(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		t.Parallel()
		s := withScript(t, st, back)
		out := s.begin(t, "a")
		id := out.Items[0].DeploymentID
		s.until(t, id, at(phase.ScriptStarted, phase.InProgress))
		s.host.End(out.Run.ID, 1)
		s.ended(t, id)
		_, err := st.Write.Exec(`UPDATE script_runs SET host = 'elsewhere'`)
		require.NoError(t, err)
		_, err = s.writer.Retry(t.Context(), lifecycle.Retry{DeploymentID: id, Actor: operator})
		require.NoError(t, err)
		open := func() (awaiting, evidence string) {
			require.NoError(t, st.Read.QueryRow(`SELECT awaiting, evidence FROM phase_runs WHERE deployment_id = $1 AND finished_at IS NULL`, id).Scan(&awaiting, &evidence))
			return awaiting, evidence
		}
		s.eventually(t, "it says which host is waited for", func() bool {
			awaiting, _ := open()
			return awaiting == "script_replica"
		})
		_, evidence := open()
		require.Contains(t, evidence, "elsewhere")
		require.Len(t, s.host.Starts, 1)
		there := s
		if st.Dialect == store.PostgreSQL {
			there = withScriptOn(t, st, "elsewhere", back)
		} else { // one process: it is called so again
			_, err = st.Write.Exec(`UPDATE script_runs SET host = 'lab'`)
			require.NoError(t, err)
		}
		s.eventually(t, "the script runs again", func() bool {
			active, err := there.Active(t.Context())
			require.NoError(t, err)
			return active != nil && active.State == deploy.RunRunning
		})
		awaiting, _ := open()
		require.NotEqual(t, "script_replica", awaiting)
	})
}

// silence answers before the script runs and is silent after it, until it is
// let go.
type silence struct {
	mu        sync.Mutex
	asked     map[string]bool
	now, most int
	full      chan struct{} // closed when as many as may are asked together
	atOnce    int
	over      chan struct{}
}

func (s *silence) Check(ctx context.Context, to health.Target) health.Result {
	s.mu.Lock()
	first := !s.asked[to.Host]
	s.asked[to.Host] = true
	if !first {
		s.now++
		if s.now > s.most {
			if s.most = s.now; s.most == s.atOnce {
				close(s.full)
			}
		}
	}
	s.mu.Unlock()
	if first {
		return health.Result{Class: health.ClassRefused, Message: "it is off"}
	}
	defer func() { s.mu.Lock(); s.now--; s.mu.Unlock() }()
	select {
	case <-s.over:
		return health.Result{Class: health.ClassOK, BootID: "after", HostKey: theirKey}
	case <-ctx.Done():
		return health.Result{Class: health.ClassCanceled, Message: "the check was given up"}
	}
}

// TestSilentHostsHoldUpNobody: more of them than are asked at once, and others
// begin as ever.
func TestSilentHostsHoldUpNobody(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		t.Parallel()
		const atOnce = 32
		quiet := &silence{asked: map[string]bool{}, full: make(chan struct{}), atOnce: atOnce, over: make(chan struct{})}
		s := withProber(t, st, "lab", quiet)
		var names []string
		for i := range 48 {
			names = append(names, fmt.Sprintf("silent-%d", i))
		}
		out := s.begin(t, names...)
		s.until(t, out.Items[0].DeploymentID, at(phase.ScriptStarted, phase.InProgress))
		s.host.End(out.Run.ID, 0)
		select {
		case <-quiet.full:
		case <-time.After(60 * time.Second):
			t.Fatal("not as many hosts are asked as may")
		}
		machine := s.deploy(t, "machine")
		s.until(t, machine.DeploymentID, at(phase.MonitoringStart, phase.InProgress))
		// A run of another node is no less free to begin; its address is none of those.
		next := s.beginAt(t, 100, "next")
		s.until(t, next.Items[0].DeploymentID, at(phase.ScriptStarted, phase.InProgress))
		close(quiet.over)
		for _, item := range out.Items {
			s.until(t, item.DeploymentID, at(phase.Deployed, phase.Success))
		}
		require.Equal(t, atOnce, quiet.most)
	})
}

// cutOff is a prober that finds nothing out until it is told to stop.
type cutOff struct{}

func (cutOff) Check(ctx context.Context, _ health.Target) health.Result {
	<-ctx.Done()
	return health.Result{Class: health.ClassCanceled, Message: "the check was given up"}
}

// TestAnAttemptThatIsCutOffCounts: as one that had no answer.
func TestAnAttemptThatIsCutOffCounts(t *testing.T) {
	t.Parallel()
	s := withProber(t, storetest.SQLite(t), "lab", cutOff{}, func(p *workflow.Polling) { p.AttemptLimit, p.Attempts = 50*time.Millisecond, 3 })
	out := s.begin(t, "a")
	id := out.Items[0].DeploymentID
	s.until(t, id, at(phase.ScriptStarted, phase.InProgress))
	s.host.End(out.Run.ID, 0)
	s.until(t, id, at(phase.SSHPolling, phase.FailedRun))
	require.Equal(t, "timeout", s.failure(t, id).code)
	probe := s.probe(t, id, phase.SSHPolling)
	require.Equal(t, []any{3, 3, "timeout"}, []any{probe.Attempt, probe.MaxAttempts, probe.Class})
}

// TestStepsThatAskHostsMayTakeAnAttempt: the queue's own limit is no shorter.
func TestStepsThatAskHostsMayTakeAnAttempt(t *testing.T) {
	t.Parallel()
	s := withProber(t, storetest.SQLite(t), "lab", cutOff{}, func(p *workflow.Polling) { p.AttemptLimit = 5 * time.Minute })
	require.Greater(t, s.engine.StepTimeout("poll"), 5*time.Minute)
	require.Greater(t, s.engine.StepTimeout("poll-0123456789abcdef"), 5*time.Minute)
	require.Equal(t, 45*time.Second, s.engine.StepTimeout("script"))
	require.Equal(t, 45*time.Second, s.engine.StepTimeout("default"))
}

func withScriptOn(t *testing.T, st *store.Store, host string, answer func(health.Target, int) health.Result) *scripted {
	t.Helper()
	return withProber(t, st, host, &hosts{answer: answer, asked: map[string]int{}})
}

// TestACleanupIsOfTheHostThatHasTheFiles: a replica without the script would
// only fail it.
func TestACleanupIsOfTheHostThatHasTheFiles(t *testing.T) {
	t.Parallel()
	st := storetest.Postgres(t)
	c := newCloud()
	build(t, st, workflow.Options{ReplicaID: "without", Prober: healthy, Providers: map[string]deploy.Provider{deploy.ProviderIBMVPC: c}}, c)
	s := withScript(t, st, back)
	out := s.begin(t, "a")
	id := out.Items[0].DeploymentID
	s.until(t, id, at(phase.ScriptStarted, phase.InProgress))
	s.host.End(out.Run.ID, 1)
	s.ended(t, id)
	_, err := s.writer.Cleanup(t.Context(), lifecycle.Cleanup{DeploymentID: id, ConfirmName: "a", Actor: operator})
	require.NoError(t, err)
	s.until(t, id, at(phase.CleanupCompleted, phase.Success))
	var queue string
	require.NoError(t, st.Read.QueryRow(`SELECT DISTINCT split_part(queue, '-', 1) FROM river_job WHERE args->>'phase' = 'cleanup'`).Scan(&queue))
	require.Equal(t, "script", queue)
	var others int
	require.NoError(t, st.Read.QueryRow(`SELECT COUNT(*) FROM river_job WHERE args->>'phase' = 'cleanup' AND 'without' = ANY(attempted_by)`).Scan(&others))
	require.Zero(t, others)
}

// TestWhatNobodyTakesIsTold: without any replica that has the script, the
// others say what is waited for, and fail nothing.
func TestWhatNobodyTakesIsTold(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		t.Parallel()
		c := newCloud()
		h := build(t, st, workflow.Options{Prober: healthy, Providers: map[string]deploy.Provider{deploy.ProviderIBMVPC: c}}, c)
		d, err := h.writer.Deploy(t.Context(), lifecycle.NewDeployment{Name: "a", Spec: deploy.Spec{Provider: deploy.ProviderScript, ManagementIP: "192.0.2.20", Document: json.RawMessage(`{}`)}, Actor: operator})
		require.NoError(t, err)
		id := d.DeploymentID
		h.until(t, id, at(phase.Pending, phase.Success))
		_, err = h.writer.Report(t.Context(), lifecycle.Report{DeploymentID: id, Phase: phase.Failed, Status: phase.FailedRun, Message: "over", As: phase.ByOperator, Actor: operator})
		require.NoError(t, err)
		_, err = h.writer.Cleanup(t.Context(), lifecycle.Cleanup{DeploymentID: id, ConfirmName: "a", Actor: operator})
		require.NoError(t, err)
		if st.Dialect == store.PostgreSQL {
			require.NoError(t, h.engine.Repair(t.Context()))
			require.Empty(t, awaitedOf(t, st, id), "another replica may be about to take it")
			_, err := st.Write.Exec(`UPDATE river_job SET scheduled_at = now() - interval '1 minute'`)
			require.NoError(t, err)
		}
		require.NoError(t, h.engine.Repair(t.Context()))
		require.Equal(t, "cleanup script_replica Slipway on a host that has the deployment script is to take it", awaitedOf(t, st, id))
	})
}

// awaitedOf is what the open phase of a deployment waits for.
func awaitedOf(t *testing.T, st *store.Store, id int64) string {
	t.Helper()
	var key, awaiting, evidence string
	require.NoError(t, st.Read.QueryRow(`SELECT phase, awaiting, evidence FROM phase_runs WHERE deployment_id = $1 AND finished_at IS NULL`, id).Scan(&key, &awaiting, &evidence))
	if awaiting == "" {
		return ""
	}
	return key + " " + awaiting + " " + evidence
}
