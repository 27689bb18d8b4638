package bulk_test

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/bulk"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/query"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

func TestPreview(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		a, b := h.order("a", 4), h.order("b", 2)
		h.fail(a[:3]...)
		require.NoError(t, h.writer.SetProtection(t.Context(), lifecycle.Protection{NodeID: h.node(a[0]), Protected: true, Actor: tester}))

		profile := query.Choice{Nodes: &query.NodeFilter{ServerProfiles: []string{"p-a"}}}
		p, err := h.Preview(t.Context(), phase.ActionCleanup, profile)
		require.NoError(t, err)
		require.Equal(t, []int{4, 2}, []int{p.Chosen, p.Matched})
		require.Equal(t, map[string]int{bulk.LeftProtected: 1, bulk.LeftState: 1}, p.LeftOut)
		require.Equal(t, "clean up 2", p.Confirmation)

		p, err = h.Preview(t.Context(), phase.ActionCancel, query.Choice{Deployments: &query.DeploymentFilter{States: []string{phase.Running}}})
		require.NoError(t, err)
		require.Equal(t, []int{3, 3}, []int{p.Chosen, p.Matched})
		require.Empty(t, p.Confirmation)

		// What the node has left behind is not asked.
		_, err = h.writer.Cancel(t.Context(), lifecycle.Cancel{DeploymentID: b[0], Immediate: true, Actor: tester})
		require.NoError(t, err)
		h.cleanUp("b1")
		again, err := h.writer.Deploy(t.Context(), lifecycle.NewDeployment{NodeID: h.node(b[0]), Name: "b1", Spec: deploy.Spec{Provider: deploy.ProviderIBMVPC, ServerProfile: "p-b"}, Actor: tester})
		require.NoError(t, err)
		p, err = h.Preview(t.Context(), phase.ActionCancel, ids(b[0], b[1], 999_999))
		require.NoError(t, err)
		require.Equal(t, []int{2, 1}, []int{p.Chosen, p.Matched})
		require.Equal(t, map[string]int{bulk.LeftOld: 1}, p.LeftOut)
		p, err = h.Preview(t.Context(), phase.ActionCancel, query.Choice{Deployments: &query.DeploymentFilter{NodeIDs: []int64{h.node(b[0])}}})
		require.NoError(t, err)
		require.Equal(t, 1, p.Chosen, "only the newest, %d", again.DeploymentID)

		for _, bad := range []query.Choice{{}, {IDs: a, Nodes: &query.NodeFilter{}}} {
			_, err = h.Preview(t.Context(), phase.ActionCancel, bad)
			require.Equal(t, deploy.CodeInvalid, code(t, err))
		}
		_, err = h.Preview(t.Context(), phase.ActionProbeNow, ids(a...))
		require.Equal(t, deploy.CodeInvalid, code(t, err))
	})
}

func TestNothingIsDoneWithoutTheRightNumber(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		a := h.order("a", 3)
		h.fail(a...)
		base := bulk.Request{Action: phase.ActionCleanup, Choice: ids(a...), Expected: 2, Confirm: "clean up 2", Actor: tester}
		_, err := h.Start(t.Context(), base)
		require.Equal(t, deploy.CodeVersionMismatch, code(t, err))
		require.ErrorContains(t, err, "3 deployments match now, not 2")
		base.Expected = 3
		for _, typed := range []string{"", "clean up 2", "a1"} {
			base.Confirm = typed
			_, err = h.Start(t.Context(), base)
			require.Equal(t, deploy.CodeConfirmationMismatch, code(t, err), typed)
		}
		zero, many := 0, bulk.MostParallel+1
		_, err = h.Start(t.Context(), bulk.Request{Action: phase.ActionCleanup, Choice: ids(a...), MaxParallel: many, StopAfterFailures: &zero, Immediate: true, Actor: tester})
		var refused *deploy.Error
		require.ErrorAs(t, err, &refused)
		require.Len(t, refused.Fields, 4, "all at once: %v", refused.Fields)
		list, _, err := h.List(t.Context(), 0, 10)
		require.NoError(t, err)
		require.Empty(t, list)
		h.tick()
		require.Equal(t, phase.StateFail, h.state(a[0]))

		base.Confirm, base.IdempotencyKey = "clean up 3", "k"
		first, again := h.start(base), h.start(base)
		require.Equal(t, first.ID, again.ID)
		base.MaxParallel = 3
		_, err = h.Start(t.Context(), base)
		require.Equal(t, deploy.CodeIdempotencyConflict, code(t, err))
	})
}

func TestCancelMany(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		a := h.order("a", 70) // more than the writer commits together
		o := h.start(bulk.Request{Action: phase.ActionCancel, Immediate: true, Reason: "power cut", Choice: query.Choice{Nodes: &query.NodeFilter{ServerProfiles: []string{"p-a"}}},
			Selection: json.RawMessage(`{"serverProfiles":["p-a"]}`), Expected: 70, MaxParallel: 7})
		require.Equal(t, bulk.Running, o.State)
		require.Equal(t, map[string]int{bulk.ItemWaiting: 70}, o.Counts)
		h.tick()
		o = h.get(o.ID)
		require.Equal(t, bulk.Done, o.State)
		require.Equal(t, map[string]int{bulk.ItemSucceeded: 70}, o.Counts)
		require.NotNil(t, o.FinishedAt)
		require.JSONEq(t, `{"serverProfiles":["p-a"]}`, string(o.Selection))
		var said int
		require.NoError(t, h.st.Read.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM deployment_history WHERE message = 'canceled: power cut' AND actor = 'tester'`).Scan(&said))
		require.Equal(t, 70, said)
		require.Equal(t, phase.StateStop, h.state(a[69]))
		h.tick() // of what is over nothing is done any more
		require.Equal(t, o.Version, h.get(o.ID).Version)
	})
}

func TestRetryManyAFewAtATime(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		a := h.order("a", 5)
		h.fail(a...)
		two := 2
		o := h.start(bulk.Request{Action: phase.ActionRetry, Choice: ids(a...), Expected: 5, MaxParallel: 2, StopAfterFailures: &two})
		h.tick()
		h.tick()
		require.Equal(t, map[string]int{bulk.ItemRunning: 2, bulk.ItemWaiting: 3}, h.get(o.ID).Counts)
		require.Equal(t, []int{2, 2, 1}, []int{h.attempt(a[0]), h.attempt(a[1]), h.attempt(a[2])})

		// One ends badly: the next has its turn. Another: none has any more.
		h.say(a[0], phase.Pending, phase.Success)
		h.fail(a[0])
		h.tick()
		require.Equal(t, map[string]int{bulk.ItemFailed: 1, bulk.ItemRunning: 2, bulk.ItemWaiting: 2}, h.get(o.ID).Counts)
		h.say(a[1], phase.Pending, phase.Success)
		h.fail(a[1])
		h.tick()
		now := h.get(o.ID)
		require.Equal(t, bulk.Stopping, now.State)
		require.Equal(t, map[string]int{bulk.ItemFailed: 2, bulk.ItemRunning: 1, bulk.ItemSkipped: 2}, now.Counts)
		require.Equal(t, phase.StateFail, h.state(a[3]), "never begun")
		_, err := h.writer.Cancel(t.Context(), lifecycle.Cancel{DeploymentID: a[2], Immediate: true, Actor: tester})
		require.NoError(t, err)
		h.tick()
		now = h.get(o.ID)
		require.Equal(t, bulk.Stopped, now.State)
		failed := h.items(o.ID, bulk.ItemFailed)
		require.Len(t, failed, 3)
		require.Equal(t, []string{"test_failure", "said"}, []string{failed[0].Code, failed[0].Message})
		require.Equal(t, phase.StateStop, failed[2].Code)
		require.Equal(t, "stopped", h.items(o.ID, bulk.ItemSkipped)[0].Code)
		_, err = h.Cancel(t.Context(), o.ID, tester)
		require.Equal(t, deploy.CodeWrongState, code(t, err))
	})
}

func TestEndAnOperation(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		a := h.order("a", 3)
		h.fail(a...)
		o := h.start(bulk.Request{Action: phase.ActionRetry, Choice: ids(a...), Expected: 3, MaxParallel: 1})
		h.tick()
		for range 2 { // twice is once
			ended, err := h.Cancel(t.Context(), o.ID, tester)
			require.NoError(t, err)
			require.Equal(t, []string{bulk.Canceling, "tester"}, []string{ended.State, ended.CanceledBy})
		}
		h.tick()
		require.Equal(t, map[string]int{bulk.ItemRunning: 1, bulk.ItemSkipped: 2}, h.get(o.ID).Counts, "what is under way goes on")
		h.say(a[0], phase.Pending, phase.Success)
		h.fail(a[0])
		h.tick()
		require.Equal(t, bulk.Canceled, h.get(o.ID).State)
		_, err := h.Get(t.Context(), 4711)
		require.Equal(t, deploy.CodeNotFound, code(t, err))
	})
}

func TestCleanupMany(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		a := h.order("a", 3)
		h.fail(a...)
		o := h.start(bulk.Request{Action: phase.ActionCleanup, Choice: ids(a...), Expected: 3, Confirm: " clean up 3 ", MaxParallel: 3})
		// One is protected before its turn: it is refused, and stays.
		require.NoError(t, h.writer.SetProtection(t.Context(), lifecycle.Protection{NodeID: h.node(a[1]), Protected: true, Actor: tester}))
		h.tick()
		require.Equal(t, map[string]int{bulk.ItemRunning: 2, bulk.ItemRefused: 1}, h.get(o.ID).Counts)
		refused := h.items(o.ID, bulk.ItemRefused)[0]
		require.Equal(t, []any{2, "wrong_state"}, []any{refused.Number, refused.Code})
		require.Contains(t, refused.Message, "protected")
		require.Equal(t, phase.StateFail, h.state(a[1]))
		for _, id := range []int64{a[0], a[2]} {
			require.Equal(t, phase.CleaningUp, h.state(id))
			h.say(id, phase.Cleanup, phase.InProgress)
			h.say(id, phase.Cleanup, phase.Success)
		}
		h.tick()
		o = h.get(o.ID)
		require.Equal(t, bulk.Done, o.State)
		require.Equal(t, map[string]int{bulk.ItemSucceeded: 2, bulk.ItemRefused: 1}, o.Counts)
	})
}

func TestReinitializeMany(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		var list []int64
		for i := range 2 {
			d, err := h.writer.Deploy(t.Context(), lifecycle.NewDeployment{Name: fmt.Sprintf("r%d", i), Actor: tester,
				Spec: deploy.Spec{Provider: deploy.ProviderRack, MAC: fmt.Sprintf("02:00:00:00:01:%02x", i), ManagementIP: fmt.Sprintf("127.64.1.%d", i+1)}})
			require.NoError(t, err)
			_, err = h.writer.Cancel(t.Context(), lifecycle.Cancel{DeploymentID: d.DeploymentID, Immediate: true, Actor: tester})
			require.NoError(t, err)
			list = append(list, d.DeploymentID)
		}
		o := h.start(bulk.Request{Action: phase.ActionReinitialize, Choice: ids(list...), Expected: 2, Confirm: "reinitialize 2"})
		h.tick()
		running := h.items(o.ID, bulk.ItemRunning)
		require.Len(t, running, 2)
		for i, item := range running {
			require.NotEqual(t, list[i], item.ResultID, "another deployment is awaited")
			require.Equal(t, phase.Queued, h.state(item.ResultID))
			_, err := h.writer.Cancel(t.Context(), lifecycle.Cancel{DeploymentID: item.ResultID, Immediate: true, Actor: tester})
			require.NoError(t, err)
		}
		h.tick()
		require.Equal(t, map[string]int{bulk.ItemFailed: 2}, h.get(o.ID).Counts)
		require.Equal(t, bulk.Done, h.get(o.ID).State)
	})
}

// A process is killed at every point; another goes on, and each verb is asked
// exactly once.
func TestKilledAnywhere(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		a := h.order("a", 4)
		h.fail(a...)
		o := h.start(bulk.Request{Action: phase.ActionRetry, Choice: ids(a...), Expected: 4, MaxParallel: 1})
		for point := 0; !h.get(o.ID).Over(); point++ {
			require.Less(t, point, 200)
			var passed atomic.Int64
			broken := h.service(func(d *bulk.Deps) {
				d.Boundary = func(string) {
					if int(passed.Add(1)) > point%5 {
						runtime.Goexit() // and so does whoever goes on after it
					}
				}
			})
			killed(func() { _ = broken.Tick(t.Context()) })
			for _, item := range h.items(o.ID, bulk.ItemRunning) {
				if h.state(item.DeploymentID) == phase.Queued {
					h.say(item.DeploymentID, phase.Pending, phase.Success)
					h.fail(item.DeploymentID)
				}
			}
		}
		require.Equal(t, map[string]int{bulk.ItemFailed: 4}, h.get(o.ID).Counts)
		for _, id := range a {
			require.Equal(t, 2, h.attempt(id), "retried once")
		}
	})
}

// killed does something that may end in the middle.
func killed(do func()) {
	var alone sync.WaitGroup
	alone.Go(do)
	alone.Wait()
}

func TestPrune(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		a := h.order("a", 2)
		old := h.start(bulk.Request{Action: phase.ActionCancel, Immediate: true, Choice: ids(a[0]), Expected: 1})
		h.tick()
		h.fail(a[1])
		open := h.start(bulk.Request{Action: phase.ActionRetry, Choice: ids(a[1]), Expected: 1})
		h.tick()
		ahead := bulk.Keep - time.Minute
		later := h.service(func(d *bulk.Deps) { d.Now = func() time.Time { return time.Now().Add(ahead) } })
		removed, err := later.Prune(t.Context())
		require.NoError(t, err)
		require.Zero(t, removed)
		ahead = bulk.Keep + time.Minute
		removed, err = later.Prune(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, 1, removed)
		_, err = h.Get(t.Context(), old.ID)
		require.Equal(t, deploy.CodeNotFound, code(t, err))
		require.Empty(t, h.items(old.ID))
		require.Equal(t, bulk.Running, h.get(open.ID).State, "what is not over stays, however old")
	})
}

// Several replicas drive one operation: never more than allowed are under way,
// and no verb is asked twice.
func TestReplicas(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := build(t, st)
		a := h.order("a", 30)
		h.fail(a...)
		o := h.start(bulk.Request{Action: phase.ActionRetry, Choice: ids(a...), Expected: 30, MaxParallel: 4})
		other := h.writer
		if st.Dialect == store.PostgreSQL { // SQLite has one writer
			other = lifecycle.New(st, lifecycle.Options{})
			ctx, cancel := context.WithCancel(context.Background())
			var wg sync.WaitGroup
			wg.Go(func() { other.Run(ctx) })
			defer wg.Wait()
			defer cancel()
		}
		replicas := []*bulk.Service{h.Service, h.service(func(d *bulk.Deps) { d.Writer = other })}
		for round := 0; !h.get(o.ID).Over(); round++ {
			require.Less(t, round, 100)
			var all sync.WaitGroup
			for _, s := range replicas {
				all.Go(func() { require.NoError(t, s.Tick(t.Context())) })
			}
			all.Wait()
			running := h.items(o.ID, bulk.ItemRunning)
			require.LessOrEqual(t, len(running), 4)
			for _, item := range running {
				h.say(item.DeploymentID, phase.Pending, phase.Success)
				h.fail(item.DeploymentID)
			}
		}
		for _, id := range a {
			require.Equal(t, 2, h.attempt(id))
		}
	})
}

// Run does it all by itself, and wakes at once for what is new.
func TestRun(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := build(t, st, func(d *bulk.Deps) { d.LookEvery = 1 << 62 }) // only what it is told
		a := h.order("a", 3)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { h.Run(ctx) })
		defer wg.Wait()
		defer cancel()
		o := h.start(bulk.Request{Action: phase.ActionCancel, Immediate: true, Choice: ids(a...), Expected: 3})
		require.Eventually(t, func() bool { return h.get(o.ID).Over() }, 2*time.Minute, 5*time.Millisecond)
		require.Equal(t, bulk.Done, h.get(o.ID).State)
	})
}

func (h *house) node(deployment int64) (id int64) {
	h.t.Helper()
	require.NoError(h.t, h.st.Read.QueryRowContext(h.t.Context(), `SELECT node_id FROM deployments WHERE id = $1`, deployment).Scan(&id))
	return id
}

func (h *house) cleanUp(name string) {
	h.t.Helper()
	id := h.deps[name]
	_, err := h.writer.Cleanup(h.t.Context(), lifecycle.Cleanup{DeploymentID: id, ConfirmName: name, Actor: tester})
	require.NoError(h.t, err)
	h.say(id, phase.Cleanup, phase.InProgress)
	h.say(id, phase.Cleanup, phase.Success)
}
