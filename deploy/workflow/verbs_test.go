package workflow_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/feed"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
	"github.com/slipwayhq/slipway/deploy/workflow"
)

var operator = deploy.Actor{Kind: deploy.ActorUser, Name: "ada"}

// releaseAnswer is one answer to a release; they come one after the other, the last
// is repeated.
type releaseAnswer struct {
	steps []deploy.ReleaseStep
	err   error
}

func (c *cloud) PlanRelease(context.Context, deploy.Release) ([]deploy.ReleaseStep, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.releases[0].steps, nil
}

func (c *cloud) Release(context.Context, deploy.Release) ([]deploy.ReleaseStep, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	answer := c.releases[0]
	if len(c.releases) > 1 {
		c.releases = c.releases[1:]
	}
	return answer.steps, answer.err
}

func (c *cloud) Reinstall(ctx context.Context, o deploy.Order) (deploy.Machine, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reinstalls = append(c.reinstalls, o)
	if len(c.reinstalls) == 1 {
		return deploy.Machine{}, soon("the server is stopping")
	}
	_, err := o.BootURL(ctx)
	return deploy.Machine{ServerID: "srv-" + o.NodeName, ServerStatus: "starting"}, err
}

func soon(message string) error {
	return &deploy.ProviderError{Code: deploy.CodeConflict, Message: message, Temporary: true, Wait: time.Second}
}

func releasing(server, vni string) []deploy.ReleaseStep {
	return []deploy.ReleaseStep{
		{ResourceID: 1, Kind: "server", Name: "s", Action: "stop and delete", Status: server, Message: "m"},
		{ResourceID: 2, Kind: "vni", Name: "v", Action: "delete", Status: vni},
	}
}

func (h *house) failed(t *testing.T, name string) lifecycle.Deployed {
	t.Helper()
	d := h.deploy(t, name)
	h.until(t, d.DeploymentID, at(phase.MonitoringStart, phase.InProgress))
	_, err := h.writer.Report(t.Context(), lifecycle.Report{DeploymentID: d.DeploymentID, Phase: phase.Failed, Status: phase.FailedRun, Message: "it broke", Code: phase.CodeDeadlinePassed,
		As: phase.ByOperator, Source: deploy.SourceUser, Actor: operator})
	require.NoError(t, err)
	return d
}

func TestCleanup(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		t.Parallel()
		c := newCloud()
		active, waiting, done := deploy.ReleaseActive, deploy.ReleaseWaiting, deploy.ReleaseDone
		c.releases = []releaseAnswer{
			{releasing(active, waiting), soon("the server is stopping")},
			{releasing(active, waiting), soon("the server is stopping")}, // the same standing is not said twice
			{releasing(done, active), soon("the interface is going")},
			{releasing(done, done), nil},
		}
		h := build(t, st, workflow.Options{Prober: healthy}, c)
		d := h.failed(t, "n1")
		_, err := h.writer.Cleanup(t.Context(), lifecycle.Cleanup{DeploymentID: d.DeploymentID, ConfirmName: "n1", Actor: operator})
		require.NoError(t, err)
		all := h.until(t, d.DeploymentID, at(phase.CleanupCompleted, phase.Success))
		var said []string
		for _, e := range all {
			if e.Phase == phase.Cleanup {
				said = append(said, e.Status+": "+e.Message)
			}
		}
		require.Equal(t, []string{"waiting: everything that the node holds is to be released", "in_progress: releasing what the node holds",
			"in_progress: 0 of 2 resources are gone; server s: m", "in_progress: 1 of 2 resources are gone; vni v: ", "success: 2 of 2 resources are gone"}, said)
		last := all[len(all)-1]
		require.Equal(t, phase.CleanedUp, last.State)
		require.Contains(t, string(all[len(all)-2].Details), `"steps"`)
	})
}

func TestCleanupThatFails(t *testing.T) {
	t.Parallel()
	c := newCloud()
	c.releases = []releaseAnswer{{releasing(deploy.ReleaseActive, deploy.ReleaseWaiting), &deploy.ProviderError{Code: deploy.CodeForbidden, Message: "not allowed to delete", Hint: "Give it the role."}}}
	h := build(t, storetest.SQLite(t), workflow.Options{Prober: healthy}, c)
	d := h.failed(t, "n1")
	_, err := h.writer.Cleanup(t.Context(), lifecycle.Cleanup{DeploymentID: d.DeploymentID, ConfirmName: "n1", Actor: operator})
	require.NoError(t, err)
	h.until(t, d.DeploymentID, at(phase.Cleanup, phase.FailedRun))
	require.Equal(t, failure{"failed", phase.Cleanup, "forbidden", "not allowed to delete", "Give it the role."}, h.failure(t, d.DeploymentID))
	c.set(func() { c.releases = []releaseAnswer{{releasing(deploy.ReleaseDone, deploy.ReleaseDone), nil}} })
	_, err = h.writer.Cleanup(t.Context(), lifecycle.Cleanup{DeploymentID: d.DeploymentID, ConfirmName: "n1", Actor: operator})
	require.NoError(t, err)
	h.until(t, d.DeploymentID, at(phase.CleanupCompleted, phase.Success))
}

func TestRetryHasTheMachineBootAgain(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		t.Parallel()
		c := newCloud()
		h := build(t, st, workflow.Options{Prober: healthy}, c)
		d := h.failed(t, "n1")
		c.set(func() { require.Empty(t, c.reinstalls, "the first attempt's machine is as new as it") })
		r, err := h.writer.Retry(t.Context(), lifecycle.Retry{DeploymentID: d.DeploymentID, Actor: operator})
		require.NoError(t, err)
		require.Equal(t, phase.Pending, r.Phase)
		h.until(t, d.DeploymentID, func(e *feed.Event) bool {
			return e.Attempt == 2 && e.Phase == phase.MonitoringStart && e.Status == string(phase.InProgress)
		})
		h.machine(t, d)
		h.until(t, d.DeploymentID, at(phase.Deployed, phase.Success))
		c.set(func() {
			require.GreaterOrEqual(t, len(c.reinstalls), 2)
			for _, o := range c.reinstalls {
				require.Equal(t, 2, o.Attempt)
				require.False(t, o.AttemptSince.IsZero())
			}
			require.Equal(t, 1, c.orders["n1"])
		})
	})
}

// TestAMachineThatBootsBeforeItsOrderIsAnswered: its boot ends the phase of the
// order, and still it is learnt which server it is, at whatever point the
// order's step was interrupted.
func TestAMachineThatBootsBeforeItsOrderIsAnswered(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		t.Parallel()
		c := newCloud()
		var h *house
		ready := make(chan struct{})
		c.orderFn = func(o deploy.Order) error {
			<-ready
			if c.orders["n1"] > 1 {
				return nil
			}
			_, err := h.writer.Boot(context.Background(), lifecycle.BootRequest{DeploymentID: o.DeploymentID})
			if err != nil {
				return err
			}
			return soon("the answer was lost")
		}
		h = build(t, st, workflow.Options{Prober: healthy}, c)
		close(ready)
		d := h.deploy(t, "n1")
		h.eventually(t, "the server is learnt", func() bool {
			var server sql.NullString
			require.NoError(t, st.Read.QueryRow(`SELECT server_id FROM nodes WHERE id = $1`, d.NodeID).Scan(&server))
			return server.String == "srv-n1"
		})
		var at string
		require.NoError(t, st.Read.QueryRow(`SELECT phase FROM deployments WHERE id = $1`, d.DeploymentID).Scan(&at))
		require.Equal(t, phase.IPXEBoot, at)
	})
}

// TestARetryTakesASlot: many retries at once do not make more run than there
// are slots, and nothing is ordered again on the way.
func TestARetryTakesASlot(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		t.Parallel()
		c := newCloud()
		h := build(t, st, workflow.Options{Prober: healthy, Slots: 2}, c)
		var ids []int64
		for _, name := range []string{"a", "b", "c", "d"} {
			ids = append(ids, h.failed(t, name).DeploymentID)
		}
		h.drive(t)
		for _, id := range ids {
			r, err := h.writer.Retry(t.Context(), lifecycle.Retry{DeploymentID: id, Actor: operator})
			require.NoError(t, err)
			require.Equal(t, []any{phase.Queued, phase.Pending}, []any{r.State, r.Phase})
		}
		for _, id := range ids {
			events := h.until(t, id, func(e *feed.Event) bool { return e.Attempt == 2 && feed.Ended(e.State) })
			require.Equal(t, phase.Succeeded, events[len(events)-1].State)
			for _, e := range events {
				require.False(t, e.Attempt == 2 && e.Phase == phase.ServerRequested, "the order is kept")
			}
		}
		require.LessOrEqual(t, h.mostRunning(t, ids...), 2)
	})
}

func TestReinitialize(t *testing.T) {
	t.Parallel()
	c := newCloud()
	st := storetest.SQLite(t)
	h := build(t, st, workflow.Options{Prober: healthy}, c)
	d := h.failed(t, "n1")
	// This cloud keeps no journal: its server is put there.
	_, err := st.Write.Exec(`INSERT INTO resources (node_id, created_by, held_by, provider, kind, role, name, generation, state, cloud_id, last_error, created_at, updated_at)
		VALUES ($1, $2, $2, 'ibm_vpc', 'server', '', 'n1', 1, 'present', 'srv-n1', '', $3, $3)`, d.NodeID, d.DeploymentID, time.Now().UTC())
	require.NoError(t, err)
	again, err := h.writer.Reinitialize(t.Context(), lifecycle.Reinitialize{NodeID: d.NodeID, Actor: operator})
	require.NoError(t, err)
	h.until(t, again.DeploymentID, at(phase.MonitoringStart, phase.InProgress))
	h.machine(t, again)
	h.until(t, again.DeploymentID, at(phase.Deployed, phase.Success))
	c.set(func() {
		require.NotEmpty(t, c.reinstalls)
		require.Equal(t, []any{again.DeploymentID, 1}, []any{c.reinstalls[0].DeploymentID, c.reinstalls[0].Attempt})
	})
}

func TestCancelWhileTheServerIsOrdered(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		t.Parallel()
		c := newCloud()
		asked := false
		c.orderFn = func(deploy.Order) error {
			if asked {
				return nil
			}
			return soon("not yet")
		}
		h := build(t, st, workflow.Options{Prober: healthy}, c)
		d := h.deploy(t, "n1")
		h.until(t, d.DeploymentID, at(phase.ServerRequested, phase.InProgress))
		r, err := h.writer.Cancel(t.Context(), lifecycle.Cancel{DeploymentID: d.DeploymentID, Actor: operator})
		require.NoError(t, err)
		require.Equal(t, phase.Canceling, r.State)
		c.set(func() { asked = true })
		events := h.ended(t, d.DeploymentID)
		require.Equal(t, phase.StateStop, events[len(events)-1].State, "the phase was worked to its end, and nothing after it")
		require.Equal(t, phase.ServerRequested, events[len(events)-1].Phase)
		var server string
		require.NoError(t, st.Read.QueryRow(`SELECT server_id FROM nodes WHERE id = $1`, d.NodeID).Scan(&server))
		require.Equal(t, "srv-n1", server, "what was made is known, and can be cleaned up")
	})
}
