package admission_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/admission"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// house is the admission of one process on a database.
type house struct {
	*admission.Service
	t      *testing.T
	st     *store.Store
	writer *lifecycle.Writer
	clock  *clock
}

func open(t *testing.T, st *store.Store, opts admission.Options) *house {
	t.Helper()
	h := &house{t: t, st: st, clock: &clock{at: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)}}
	h.writer = lifecycle.New(st, lifecycle.Options{Now: h.clock.now, Logger: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { h.writer.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	opts.Now, opts.Logger = h.clock.now, slog.New(slog.DiscardHandler)
	h.Service = admission.New(st, h.writer, opts)
	return h
}

// machine is a deployment whose machine begins to download.
func (h *house) machine(name string) int64 {
	h.t.Helper()
	id := h.booted(name)
	h.say(id, phase.ImageDownload, phase.InProgress, phase.ByMachine)
	return id
}

// booted is a deployment whose machine has its configuration.
func (h *house) booted(name string) int64 {
	h.t.Helper()
	d, err := h.writer.Deploy(h.t.Context(), lifecycle.NewDeployment{Name: name, Spec: deploy.Spec{Provider: deploy.ProviderIBMVPC, ServerProfile: "bx2d-metal-96x384"}, Actor: deploy.System})
	require.NoError(h.t, err)
	h.say(d.DeploymentID, phase.Pending, phase.Success, phase.ByWorkflow)
	h.say(d.DeploymentID, phase.ServerRequested, phase.Success, phase.ByWorkflow)
	_, err = h.writer.Boot(h.t.Context(), lifecycle.BootRequest{DeploymentID: d.DeploymentID, Remote: "127.64.0.9"})
	require.NoError(h.t, err)
	_, err = h.writer.ConfigServed(h.t.Context(), d.DeploymentID, 1, "127.64.0.9")
	require.NoError(h.t, err)
	return d.DeploymentID
}

func (h *house) say(id int64, key phase.Key, s phase.Status, as phase.Reporter) {
	h.t.Helper()
	_, err := h.writer.Report(h.t.Context(), lifecycle.Report{DeploymentID: id, Phase: key, Status: s, As: as, Message: h.clock.now().String(), Source: deploy.SourceInstallerScript, Actor: deploy.System})
	require.NoError(h.t, err)
}

func (h *house) maintain(id int64) {
	h.t.Helper()
	version := 0
	require.NoError(h.t, h.st.Read.QueryRowContext(h.t.Context(), `SELECT version FROM deployments WHERE id = $1`, id).Scan(&version))
	require.NoError(h.t, h.writer.SetMaintenance(h.t.Context(), lifecycle.MaintenanceChange{DeploymentID: id, On: true, ExpectedVersion: version, Actor: deploy.System}))
}

func (h *house) ask(id, bytes int64) admission.Answer {
	h.t.Helper()
	a, err := h.Request(h.t.Context(), id, 1, bytes)
	require.NoError(h.t, err)
	return a
}

// seen is what the run of a deployment shows.
type seen struct {
	awaiting, evidence string
	deadline           time.Time
	stopped            bool
	stood              time.Duration
}

func (h *house) run(id int64) seen {
	h.t.Helper()
	var s seen
	var ms int64
	require.NoError(h.t, h.st.Read.QueryRowContext(h.t.Context(), `SELECT awaiting, evidence, deadline_at, clock_stopped_at IS NOT NULL, stopped_ms
		FROM phase_runs WHERE deployment_id = $1 AND finished_at IS NULL`, id).Scan(&s.awaiting, &s.evidence, store.Time(&s.deadline), &s.stopped, &ms))
	s.stood = time.Duration(ms) * time.Millisecond
	return s
}

func TestFirstComeFirstServed(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st, admission.Options{Slots: 2})
		var ids []int64
		for i := range 5 {
			ids = append(ids, h.machine(fmt.Sprintf("web-%02d", i)))
		}
		// Not in the order of their ids, so that it is the asking that counts.
		order := []int64{ids[3], ids[0], ids[4], ids[2], ids[1]}
		for i, id := range order {
			a := h.ask(id, 100)
			require.Equal(t, i < 2, a.Admitted, "machine %d", i)
			if !a.Admitted {
				require.Equal(t, i-2, a.Position)
				require.Equal(t, 2, a.Running)
			}
			h.clock.pass(time.Second)
		}
		require.Equal(t, "0 before this one, 2 downloading", h.run(order[2]).evidence)
		require.Equal(t, admission.Awaiting, h.run(order[2]).awaiting)

		h.say(order[0], phase.ImageDownload, phase.Success, phase.ByMachine)
		require.False(t, h.ask(order[4], 100).Admitted, "the slot is for another")
		require.False(t, h.ask(order[3], 100).Admitted)
		require.True(t, h.ask(order[2], 100).Admitted)
		require.True(t, h.ask(order[2], 100).Admitted, "it stays admitted")
		require.Equal(t, 0, h.ask(order[3], 100).Position)
		require.Empty(t, h.run(order[2]).awaiting)
		require.Empty(t, h.run(order[2]).evidence)

		h.say(order[1], phase.Failed, phase.FailedRun, phase.ByMachine)
		require.True(t, h.ask(order[3], 100).Admitted, "a failed machine's slot is free")
		require.False(t, h.ask(order[4], 100).Admitted)
	})
}

func TestBudgetOfBytes(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st, admission.Options{Slots: 10, Budget: 100})
		first, large, small := h.machine("a1"), h.machine("a2"), h.machine("a3")
		require.True(t, h.ask(first, 60).Admitted)
		require.False(t, h.ask(large, 500).Admitted)
		h.clock.pass(time.Second)
		require.Equal(t, 1, h.ask(small, 1).Position, "it would fit, but it is behind the large one")
		h.say(first, phase.ImageDownload, phase.Success, phase.ByMachine)
		require.False(t, h.ask(small, 1).Admitted)
		require.True(t, h.ask(large, 500).Admitted, "alone it may be larger than the budget")
		require.False(t, h.ask(small, 1).Admitted)
		h.say(large, phase.ImageDownload, phase.Success, phase.ByMachine)
		require.True(t, h.ask(small, 1).Admitted)
	})
}

func TestTheClockStandsWhileAMachineWaits(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st, admission.Options{Slots: 1, Heartbeat: 30 * time.Second})
		holder, waiter := h.machine("a1"), h.machine("a2")
		before := h.run(waiter).deadline
		require.True(t, h.ask(holder, 1).Admitted)
		h.maintain(holder)             // so that its own deadline does not free the slot
		h.clock.pass(10 * time.Second) // of its own time
		for range 200 {                // 100 minutes, more than the phase's deadline
			require.False(t, h.ask(waiter, 1).Admitted)
			require.True(t, h.run(waiter).stopped)
			h.clock.pass(30 * time.Second)
			h.say(holder, phase.ImageDownload, phase.InProgress, phase.ByMachine)
			require.NoError(t, h.writer.Sweep(t.Context()))
			require.NoError(t, h.Sweep(t.Context()))
		}
		h.say(holder, phase.ImageDownload, phase.Success, phase.ByMachine)
		require.True(t, h.ask(waiter, 1).Admitted)
		after := h.run(waiter)
		require.False(t, after.stopped)
		require.Equal(t, 100*time.Minute, after.stood)
		require.Equal(t, before.Add(100*time.Minute), after.deadline, "it has all the time it had when it began to wait")
	})
}

func TestSilentMachinesHoldNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st, admission.Options{Slots: 1, Heartbeat: 10 * time.Second})
		holder, dead, waiter := h.machine("a1"), h.machine("a2"), h.machine("a3")
		require.True(t, h.ask(holder, 1).Admitted)
		require.False(t, h.ask(dead, 1).Admitted)
		h.clock.pass(time.Second)
		for range 3 {
			require.False(t, h.ask(waiter, 1).Admitted)
			require.NoError(t, h.Sweep(t.Context()))
			require.True(t, h.run(dead).stopped, "not quite three heartbeats")
			h.clock.pass(10 * time.Second)
		}
		require.True(t, h.ask(waiter, 1).Admitted, "neither holder nor the one before it have given a sign of life")
		deadline := h.run(dead).deadline
		require.NoError(t, h.Sweep(t.Context()))
		require.False(t, h.run(dead).stopped, "its clock runs again")
		require.WithinDuration(t, deadline.Add(31*time.Second), h.run(dead).deadline, time.Second)

		h.clock.pass(46 * time.Minute)
		require.NoError(t, h.writer.Sweep(t.Context()))
		var state string
		require.NoError(t, st.Read.QueryRowContext(t.Context(), `SELECT state FROM deployments WHERE id = $1`, dead).Scan(&state))
		require.Equal(t, phase.StateFail, state)
	})
}

func TestOurOwnDowntimeIsNotSilence(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st, admission.Options{Slots: 1, Heartbeat: 10 * time.Second})
		holder, waiter := h.machine("a1"), h.machine("a2")
		require.True(t, h.ask(holder, 1).Admitted)
		h.clock.pass(time.Hour)
		h.Service = admission.New(st, h.writer, admission.Options{Slots: 1, Heartbeat: 10 * time.Second, Now: h.clock.now})
		require.False(t, h.ask(waiter, 1).Admitted, "the holder could not reach us")
	})
}

func TestMaintenanceKeepsTheClockStopped(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st, admission.Options{Slots: 1})
		holder, waiter := h.machine("a1"), h.machine("a2")
		require.True(t, h.ask(holder, 1).Admitted)
		require.False(t, h.ask(waiter, 1).Admitted)
		h.maintain(waiter)
		h.say(holder, phase.ImageDownload, phase.Success, phase.ByMachine)
		require.True(t, h.ask(waiter, 1).Admitted)
		require.True(t, h.run(waiter).stopped, "maintenance goes on")
	})
}

func TestWhoMayAsk(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st, admission.Options{Slots: 1})
		early, id := h.booted("a1"), h.machine("a2")
		_, err := h.Request(t.Context(), early, 1, 1)
		require.True(t, deploy.HasCode(err, deploy.CodeOutOfOrder), "%v", err)
		_, err = h.Request(t.Context(), 999, 1, 1)
		require.True(t, deploy.HasCode(err, deploy.CodeNotFound), "%v", err)
		_, err = h.Request(t.Context(), id, 1, -1)
		require.True(t, deploy.HasCode(err, deploy.CodeOutOfRange), "%v", err)
		_, err = h.Request(t.Context(), id, 0, 1)
		require.True(t, deploy.HasCode(err, deploy.CodeWrongState), "%v", err)
		h.say(id, phase.ImageDownload, phase.Success, phase.ByMachine)
		require.True(t, h.ask(id, 1).Admitted, "beyond the phase there is nothing to wait for")
		h.say(id, phase.Failed, phase.FailedRun, phase.ByMachine)
		_, err = h.Request(t.Context(), id, 1, 1)
		require.True(t, deploy.HasCode(err, deploy.CodeDeploymentEnded), "%v", err)
	})
}

// TestNeverMoreThanTheSlots lets many machines ask at once, of two processes
// where the database allows it; each lets go as soon as it was admitted.
func TestNeverMoreThanTheSlots(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		const machines, slots = 40, 3
		h := open(t, st, admission.Options{Slots: slots})
		services := []*admission.Service{h.Service}
		if st.Dialect == store.PostgreSQL {
			other := open(t, st, admission.Options{Slots: slots})
			services = append(services, other.Service)
		}
		var ids []int64
		for i := range machines {
			ids = append(ids, h.machine(fmt.Sprintf("web-%02d", i)))
		}
		var mu sync.Mutex
		running, most := 0, 0
		var wg sync.WaitGroup
		for i, id := range ids {
			wg.Go(func() {
				for n := 0; ; n++ {
					a, err := services[(i+n)%len(services)].Request(t.Context(), id, 1, 1)
					if err != nil {
						t.Errorf("machine %d: %v", i, err)
						return
					}
					if a.Admitted {
						break
					}
				}
				mu.Lock()
				running++
				most = max(most, running)
				mu.Unlock()
				mu.Lock()
				running--
				mu.Unlock()
				h.say(id, phase.ImageDownload, phase.Success, phase.ByMachine)
			})
		}
		wg.Wait()
		require.LessOrEqual(t, most, slots)
		var overlap int
		require.NoError(t, st.Read.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM phase_runs WHERE phase = 'image_download' AND admitted_at IS NOT NULL AND status = 'success'`).Scan(&overlap))
		require.Equal(t, machines, overlap)
	})
}
