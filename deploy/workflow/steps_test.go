package workflow_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/feed"
	"github.com/slipwayhq/slipway/deploy/health"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
	"github.com/slipwayhq/slipway/deploy/workflow"
)

var healthy = prober(func(health.Target) health.Result { return health.Result{Class: health.ClassOK, BootID: "after"} })

func newCloud() *cloud { return &cloud{orders: map[string]int{}} }

func (c *cloud) set(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

// failure is what the tables say of a failed deployment.
type failure struct{ state, phase, code, message, hint string }

func (h *house) failure(t *testing.T, id int64) (f failure) {
	t.Helper()
	require.NoError(t, h.store.Read.QueryRow(`SELECT state, COALESCE(failure_phase,''), COALESCE(failure_code,''), COALESCE(failure_message,''), COALESCE(failure_hint,'') FROM deployments WHERE id=$1`, id).
		Scan(&f.state, &f.phase, &f.code, &f.message, &f.hint))
	return f
}

// ended waits until a deployment has ended.
func (h *house) ended(t *testing.T, id int64) []*feed.Event {
	t.Helper()
	return h.until(t, id, func(e *feed.Event) bool { return feed.Ended(e.State) })
}

// eventually looks again after every change that the fleet's stream shows,
// until the condition holds.
func (h *house) eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s := h.feed.Nodes(nil, 50*time.Millisecond)
	defer s.Close()
	for !holds() {
		_, err := s.Next(ctx)
		require.NoError(t, err, what)
	}
}

func (h *house) awaiting(t *testing.T, id int64) (what, evidence string) {
	t.Helper()
	require.NoError(t, h.store.Read.QueryRow(`SELECT COALESCE(MAX(awaiting),''), COALESCE(MAX(evidence),'') FROM phase_runs WHERE deployment_id=$1 AND finished_at IS NULL`, id).Scan(&what, &evidence))
	return what, evidence
}

func TestTemporaryErrorsAreAwaited(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		t.Parallel()
		c := newCloud()
		troubles := []error{&deploy.ProviderError{Code: deploy.CodeUpstreamUnavailable, Message: "the cloud is tired", Temporary: true}, errors.New("connection reset")}
		c.orderFn = func(deploy.Order) error {
			if len(troubles) == 0 {
				return nil
			}
			err := troubles[0]
			troubles = troubles[1:]
			return err
		}
		h := build(t, st, workflow.Options{Prober: healthy}, c)
		d := h.deploy(t, "n1")
		h.eventually(t, "the wait is shown", func() bool {
			what, evidence := h.awaiting(t, d.DeploymentID)
			return what == "provider" && evidence == "the cloud is tired"
		})
		h.eventually(t, "and what is learnt", func() bool {
			what, evidence := h.awaiting(t, d.DeploymentID)
			return what == "provider" && evidence == "connection reset"
		})
		events := h.until(t, d.DeploymentID, at(phase.ServerRequested, phase.Success))
		require.Equal(t, "running", events[len(events)-1].State)
		c.set(func() { require.Equal(t, 3, c.orders["n1"]) })
	})
}

func TestPermanentErrorsFail(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		t.Parallel()
		quota := &deploy.ProviderError{Code: deploy.CodeQuotaExceeded, Message: "vpc: instance quota of 25", Hint: "Ask IBM for more."}
		c := newCloud()
		c.orderFn = func(o deploy.Order) error {
			if o.NodeName == "full" {
				return fmt.Errorf("ordering: %w", quota)
			}
			return nil
		}
		h := build(t, st, workflow.Options{Prober: healthy}, c)
		full, dead := h.deploy(t, "full"), h.deploy(t, "dead")
		h.ended(t, full.DeploymentID)
		require.Equal(t, failure{"failed", phase.ServerRequested, "quota_exceeded", quota.Message, quota.Hint}, h.failure(t, full.DeploymentID))
		h.until(t, dead.DeploymentID, at(phase.MonitoringStart, phase.InProgress))
		c.set(func() {
			c.observe = deploy.Observation{ServerStatus: "failed", Failed: &deploy.ProviderError{Code: deploy.CodeConflict, Message: "cannot start: capacity", Hint: "Another zone."}}
		})
		h.ended(t, dead.DeploymentID)
		require.Equal(t, failure{"failed", phase.MonitoringStart, "conflict", "cannot start: capacity", "Another zone."}, h.failure(t, dead.DeploymentID))
		c.set(func() { require.Equal(t, map[string]int{"full": 1, "dead": 1}, c.orders) })
	})
}

func TestProviderThatIsNotSetUp(t *testing.T) {
	t.Parallel()
	h := build(t, storetest.SQLite(t), workflow.Options{Prober: healthy}, newCloud())
	d, err := h.writer.Deploy(t.Context(), lifecycle.NewDeployment{Name: "r1", Spec: deploy.Spec{Provider: deploy.ProviderRack, MAC: "02:00:00:00:00:01", ManagementIP: "127.64.0.1"}, Actor: deploy.System})
	require.NoError(t, err)
	h.ended(t, d.DeploymentID)
	f := h.failure(t, d.DeploymentID)
	require.Equal(t, []string{phase.MonitoringStart, "invalid"}, []string{f.phase, f.code})
	require.NotEmpty(t, f.hint)
}

func TestHealth(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		t.Parallel()
		var tries atomic.Int32
		h := build(t, st, workflow.Options{Prober: prober(func(tg health.Target) health.Result {
			if tg.Host == "127.64.9.1" {
				return health.Result{Class: health.ClassWrongHost, Message: "another key", Hint: "Look for a duplicate address."}
			}
			if n := tries.Add(1); n <= 3 {
				return health.Result{Class: health.ClassRefused, Message: fmt.Sprintf("nothing listens (%d)", n)}
			}
			return health.Result{Class: health.ClassOK, BootID: "after"}
		})}, newCloud())
		wrong := h.deploy(t, "wrong")
		h.until(t, wrong.DeploymentID, at(phase.MonitoringStart, phase.InProgress))
		slow := h.deploy(t, "slow")
		h.machine(t, wrong)
		h.ended(t, wrong.DeploymentID)
		require.Equal(t, failure{"failed", phase.HealthValidation, "wrong_host", "another key", "Look for a duplicate address."}, h.failure(t, wrong.DeploymentID))

		h.until(t, slow.DeploymentID, at(phase.MonitoringStart, phase.InProgress))
		h.machine(t, slow)
		events := h.ended(t, slow.DeploymentID)
		require.Equal(t, "succeeded", events[len(events)-1].State)
		require.EqualValues(t, 4, tries.Load())
		var evidence string
		require.NoError(t, st.Read.QueryRow(`SELECT evidence FROM phase_runs WHERE deployment_id=$1 AND phase='health_validation'`, slow.DeploymentID).Scan(&evidence))
		require.Equal(t, "refused: nothing listens (3)", evidence)
	})
}

func TestHealthWithoutAHostKey(t *testing.T) {
	t.Parallel()
	h := build(t, storetest.SQLite(t), workflow.Options{Prober: healthy}, newCloud())
	d := h.deploy(t, "n1")
	h.until(t, d.DeploymentID, at(phase.MonitoringStart, phase.InProgress))
	h.machineWith(t, d, nil)
	h.ended(t, d.DeploymentID)
	f := h.failure(t, d.DeploymentID)
	require.Equal(t, []string{phase.HealthValidation, "required"}, []string{f.phase, f.code})
}

// byHand is a clock that the test sets.
type byHand struct{ at atomic.Int64 }

func newByHand() *byHand {
	c := &byHand{}
	c.at.Store(time.Now().UnixMicro())
	return c
}
func (c *byHand) now() time.Time       { return time.UnixMicro(c.at.Load()).UTC() }
func (c *byHand) pass(d time.Duration) { c.at.Add(d.Microseconds()) }

func TestNeverBoots(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		t.Parallel()
		clock := newByHand()
		h := build(t, st, workflow.Options{Prober: healthy, Now: clock.now}, newCloud())
		d := h.deploy(t, "n1")
		h.until(t, d.DeploymentID, at(phase.MonitoringStart, phase.InProgress))
		clock.pass(time.Hour)
		h.ended(t, d.DeploymentID)
		f := h.failure(t, d.DeploymentID)
		require.Equal(t, []string{"failed", phase.MonitoringStart, "deadline_passed"}, []string{f.state, f.phase, f.code})
		require.Contains(t, f.hint, "never asked for its boot script")
		require.Contains(t, f.message, "waiting for the first boot request", "the last evidence")
	})
}

// TestPhaseTriedAgain: after a passed deadline the order is tried again, by
// one step only.
func TestPhaseTriedAgain(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		t.Parallel()
		clock := newByHand()
		c := newCloud()
		c.orderFn = func(deploy.Order) error {
			return &deploy.ProviderError{Code: deploy.CodeUpstreamUnavailable, Message: "no answer", Temporary: true}
		}
		h := build(t, st, workflow.Options{Prober: healthy, Now: clock.now}, c)
		d := h.deploy(t, "n1")
		h.until(t, d.DeploymentID, at(phase.ServerRequested, phase.InProgress))
		for try := 2; try <= 3; try++ {
			clock.pass(15 * time.Minute)
			h.eventually(t, "the next try is under way", func() bool {
				var tries int
				var status string
				require.NoError(t, st.Read.QueryRow(`SELECT tries, status FROM phase_runs WHERE deployment_id=$1 AND finished_at IS NULL`, d.DeploymentID).Scan(&tries, &status))
				return tries == try && status == "in_progress"
			})
			h.eventually(t, "the step of the older try is over", func() bool { return h.jobs(t) == 1 })
		}
		clock.pass(15 * time.Minute)
		h.ended(t, d.DeploymentID)
		f := h.failure(t, d.DeploymentID)
		require.Equal(t, []string{"failed", phase.ServerRequested, "deadline_passed"}, []string{f.state, f.phase, f.code})
		require.Contains(t, f.message, "no answer")
		h.eventually(t, "no step is left", func() bool { return h.jobs(t) == 0 })
	})
}

// jobs is how many steps are not over.
func (h *house) jobs(t *testing.T) (n int) {
	t.Helper()
	require.NoError(t, h.store.Read.QueryRow(`SELECT COUNT(*) FROM river_job WHERE state NOT IN ('completed', 'cancelled', 'discarded')`).Scan(&n))
	return n
}

func TestRepair(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		t.Parallel()
		c := newCloud()
		h := build(t, st, workflow.Options{Prober: healthy}, c)
		d := h.deploy(t, "n1")
		h.until(t, d.DeploymentID, at(phase.MonitoringStart, phase.InProgress))
		require.NoError(t, h.engine.Repair(t.Context()))
		h.eventually(t, "a step that is there is not doubled", func() bool { return h.jobs(t) == 1 })
		_, err := st.Write.Exec(`DELETE FROM river_job`)
		require.NoError(t, err)
		require.NoError(t, h.engine.Repair(t.Context()))
		require.NoError(t, h.engine.Repair(t.Context()))
		require.Equal(t, 1, h.jobs(t), "once")
		c.set(func() { c.observe.Failed = &deploy.ProviderError{Code: deploy.CodeConflict, Message: "seen again"} })
		h.ended(t, d.DeploymentID)
		require.Equal(t, "seen again", h.failure(t, d.DeploymentID).message)
	})
}

// drive plays every machine: it boots what waits for a boot and installs it.
func (h *house) drive(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { drive(ctx, h.store, h.feed, h.writer) })
	t.Cleanup(func() { cancel(); wg.Wait() })
}

// mostRunning is how many deployments of those named ran at the same time, by
// the order of commits.
func (h *house) mostRunning(t *testing.T, ids ...int64) int {
	t.Helper()
	page, err := h.feed.Read(t.Context(), feed.Filter{DeploymentIDs: ids}, nil, 100_000)
	require.NoError(t, err)
	running, most := map[int64]bool{}, 0
	for _, e := range page.Events {
		if e.State == phase.Running {
			running[e.DeploymentID] = true
		} else {
			delete(running, e.DeploymentID)
		}
		most = max(most, len(running))
	}
	return most
}

func (h *house) batch(t *testing.T, in lifecycle.NewBatch, names ...string) (ids []int64) {
	t.Helper()
	in.Actor = deploy.System
	for _, n := range names {
		in.Deployments = append(in.Deployments, lifecycle.NewDeployment{Name: n, Spec: deploy.Spec{Provider: deploy.ProviderIBMVPC, ServerProfile: "p"}})
	}
	got, err := h.writer.DeployBatch(t.Context(), in)
	require.NoError(t, err)
	for _, item := range got.Items {
		require.NoError(t, item.Err)
		ids = append(ids, item.DeploymentID)
	}
	return ids
}

// holdSlots takes the lock under which slots are counted. The first admission
// waits for it inside the writer, so that all others come in one group.
func holdSlots(t *testing.T, st *store.Store) (release func()) {
	t.Helper()
	conn, err := st.Write.Conn(t.Context())
	require.NoError(t, err)
	_, err = conn.ExecContext(t.Context(), `SELECT pg_advisory_lock($1)`, workflow.SlotsLock)
	require.NoError(t, err)
	return func() {
		_, err := conn.ExecContext(t.Context(), `SELECT pg_advisory_unlock($1)`, workflow.SlotsLock)
		require.NoError(t, err)
		require.NoError(t, conn.Close())
	}
}

func TestSlots(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		t.Parallel()
		c := newCloud()
		h := build(t, st, workflow.Options{Prober: healthy, Slots: 2}, c)
		h.drive(t)
		release := func() {}
		if st.Dialect == store.PostgreSQL {
			release = holdSlots(t, st)
		}
		ids := h.batch(t, lifecycle.NewBatch{MaxParallel: 10}, "a", "b", "c", "d", "e", "f")
		if st.Dialect == store.PostgreSQL {
			h.eventually(t, "all admissions are under way", func() bool {
				var n int
				require.NoError(t, st.Read.QueryRow(`SELECT COUNT(*) FROM river_job WHERE state = 'running'`).Scan(&n))
				return n == 6
			})
		}
		release()
		for _, id := range ids {
			events := h.ended(t, id)
			require.Equal(t, "succeeded", events[len(events)-1].State)
		}
		require.Equal(t, 2, h.mostRunning(t, ids...), "never more than there are slots, and no slot stays empty")
		c.set(func() {
			for name, n := range c.orders {
				require.Equal(t, 1, n, name)
			}
		})
	})
}

// TestASlotIsTakenWhenItIsFree: the first of the queue does not wait for its
// own next look, which is more than five seconds away, but is woken.
func TestASlotIsTakenWhenItIsFree(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		t.Parallel()
		h := build(t, st, workflow.Options{Prober: healthy, Slots: 1}, newCloud())
		first := h.deploy(t, "first")
		h.until(t, first.DeploymentID, at(phase.MonitoringStart, phase.InProgress))
		second := h.deploy(t, "second")
		require.Eventually(t, func() bool {
			changed, err := st.Write.Exec(`UPDATE river_job SET state = 'scheduled', scheduled_at = $1 WHERE state IN ('available', 'scheduled') AND id = (SELECT MAX(id) FROM river_job) AND EXISTS (SELECT 1 FROM phase_runs WHERE awaiting = 'slot')`,
				time.Now().Add(time.Hour).UTC())
			require.NoError(t, err)
			n, err := changed.RowsAffected()
			require.NoError(t, err)
			return n == 1
		}, time.Minute, 20*time.Millisecond, "it waits, and its next look is an hour away")
		_, err := h.writer.Cancel(t.Context(), lifecycle.Cancel{DeploymentID: first.DeploymentID, Actor: operator})
		require.NoError(t, err)
		h.until(t, second.DeploymentID, at(phase.MonitoringStart, phase.InProgress))
	})
}

func TestBatchInParts(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		t.Parallel()
		h := build(t, st, workflow.Options{Prober: healthy, Slots: 10}, newCloud())
		h.drive(t)
		ids := h.batch(t, lifecycle.NewBatch{MaxParallel: 1}, "a", "b", "c")
		for _, id := range ids {
			h.ended(t, id)
		}
		require.Equal(t, 1, h.mostRunning(t, ids...))
	})
}

func TestBatchStops(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		t.Parallel()
		c := newCloud()
		c.orderFn = func(o deploy.Order) error {
			return &deploy.ProviderError{Code: deploy.CodeQuotaExceeded, Message: "none left"}
		}
		h := build(t, st, workflow.Options{Prober: healthy, Slots: 10}, c)
		one := 1
		ids := h.batch(t, lifecycle.NewBatch{MaxParallel: 1, StopOnFailureCount: &one}, "a", "b", "c")
		codes := map[string]int{}
		for _, id := range ids {
			h.ended(t, id)
			codes[h.failure(t, id).code]++
		}
		require.Equal(t, map[string]int{"quota_exceeded": 1, "batch_stopped": 2}, codes)
		c.set(func() { require.Len(t, c.orders, 1, "what was stopped was never ordered") })
	})
}

// TestABatchDoesNotHoldUpOthers: a batch that may not begin more of its own
// leaves its free slots to those behind it.
func TestABatchDoesNotHoldUpOthers(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		t.Parallel()
		h := build(t, st, workflow.Options{Prober: healthy, Slots: 2}, newCloud())
		ids := h.batch(t, lifecycle.NewBatch{MaxParallel: 1}, "a", "b", "c", "d")
		h.eventually(t, "one of the batch waits for its boot, and stays there", func() bool {
			var n int
			require.NoError(t, st.Read.QueryRow(`SELECT COUNT(*) FROM deployments WHERE phase = 'monitoring_start'`).Scan(&n))
			return n == 1
		})
		single := h.deploy(t, "single")
		h.until(t, single.DeploymentID, at(phase.MonitoringStart, phase.InProgress))
		require.Equal(t, 2, h.mostRunning(t, append(ids, single.DeploymentID)...))
	})
}
