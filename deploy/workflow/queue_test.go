package workflow_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
	"github.com/slipwayhq/slipway/deploy/workflow"
)

// putOff moves the next look of n deployments that wait for a slot an hour away.
func (h *house) putOff(t *testing.T, n int) {
	t.Helper()
	h.eventually(t, "all wait, and none looks by itself", func() bool {
		_, err := h.store.Write.Exec(`UPDATE river_job SET state = 'scheduled', scheduled_at = $1 WHERE state IN ('available', 'scheduled')
			AND (SELECT COUNT(*) FROM phase_runs WHERE awaiting = 'slot' AND finished_at IS NULL) = $2
			AND scheduled_at > $3`, time.Now().Add(time.Hour).UTC(), n, time.Now().Add(time.Second).UTC()) // of those that wait only
		require.NoError(t, err)
		var off int
		require.NoError(t, h.store.Read.QueryRow(`SELECT COUNT(*) FROM river_job WHERE state = 'scheduled' AND scheduled_at > $1`, time.Now().Add(50*time.Minute).UTC()).Scan(&off))
		return off == n
	})
}

// TestMoreSlotsAreFilled: slots that nobody gives back are taken too.
func TestMoreSlotsAreFilled(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		t.Parallel()
		h := build(t, st, workflow.Options{Prober: healthy, Slots: 1}, newCloud())
		first := h.deploy(t, "first")
		h.until(t, first.DeploymentID, at(phase.MonitoringStart, phase.InProgress))
		second, third, fourth := h.deploy(t, "second"), h.deploy(t, "third"), h.deploy(t, "fourth")
		h.putOff(t, 3)
		h.engine.SetSlots(3)
		require.NoError(t, h.engine.Repair(t.Context()))
		h.until(t, second.DeploymentID, at(phase.MonitoringStart, phase.InProgress))
		h.until(t, third.DeploymentID, at(phase.MonitoringStart, phase.InProgress))
		var state string
		require.NoError(t, st.Read.QueryRow(`SELECT state FROM deployments WHERE id = $1`, fourth.DeploymentID).Scan(&state))
		require.Equal(t, "queued", state, "there is no slot for it")
	})
}

// TestEachSlotWakesAnother: slots that are given back one after the other wake
// one after the other, although none of them has begun yet.
func TestEachSlotWakesAnother(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		t.Parallel()
		h := build(t, st, workflow.Options{Prober: healthy, Slots: 2}, newCloud())
		running := []int64{h.deploy(t, "one").DeploymentID, h.deploy(t, "two").DeploymentID}
		for _, id := range running {
			h.until(t, id, at(phase.MonitoringStart, phase.InProgress))
		}
		h.deploy(t, "three")
		h.deploy(t, "four")
		h.putOff(t, 2)
		tx, err := st.Write.Begin()
		require.NoError(t, err)
		defer func() { _ = tx.Rollback() }()
		awake := func() (n int) {
			require.NoError(t, tx.QueryRow(`SELECT COUNT(*) FROM river_job WHERE state = 'available' AND priority = 1
				AND id IN (SELECT id FROM river_job ORDER BY id DESC LIMIT 2)`).Scan(&n))
			return n
		}
		for n, id := range running {
			_, err := tx.Exec(`UPDATE deployments SET state = 'failed' WHERE id = $1`, id)
			require.NoError(t, err)
			require.NoError(t, h.engine.Freed(t.Context(), tx, 1))
			require.Equal(t, n+1, awake())
		}
	})
}

// TestAStoppedBatchIsToldAtOnce: those that will not begin learn it one after
// the other, none by its own look.
func TestAStoppedBatchIsToldAtOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		t.Parallel()
		c := newCloud()
		h := build(t, st, workflow.Options{Prober: healthy, Slots: 1}, c)
		one := 1
		ids := h.batch(t, lifecycle.NewBatch{MaxParallel: 1, StopOnFailureCount: &one}, "a", "b", "c", "d")
		h.until(t, ids[0], at(phase.MonitoringStart, phase.InProgress))
		h.putOff(t, 3)
		_, err := h.writer.Report(t.Context(), lifecycle.Report{DeploymentID: ids[0], Phase: phase.Failed, Status: phase.FailedRun, Message: "it broke", Code: phase.CodeDeadlinePassed,
			As: phase.ByOperator, Source: deploy.SourceUser, Actor: operator})
		require.NoError(t, err)
		for _, id := range ids[1:] {
			h.ended(t, id)
			require.Equal(t, "batch_stopped", h.failure(t, id).code)
		}
	})
}

// TestALostStepOfTheQueueIsMade: who is to be woken and has no step gets one.
func TestALostStepOfTheQueueIsMade(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		t.Parallel()
		h := build(t, st, workflow.Options{Prober: healthy, Slots: 1}, newCloud())
		first := h.deploy(t, "first")
		h.until(t, first.DeploymentID, at(phase.MonitoringStart, phase.InProgress))
		second := h.deploy(t, "second")
		h.putOff(t, 1)
		_, err := st.Write.Exec(`DELETE FROM river_job WHERE state = 'scheduled' AND scheduled_at > $1`, time.Now().Add(50*time.Minute).UTC())
		require.NoError(t, err)
		_, err = h.writer.Cancel(t.Context(), lifecycle.Cancel{DeploymentID: first.DeploymentID, Actor: operator})
		require.NoError(t, err)
		h.until(t, second.DeploymentID, at(phase.MonitoringStart, phase.InProgress))
	})
}

// TestALongQueueIsCountedSoFar: whoever is far back is told no number that
// would have to be counted for each.
func TestALongQueueIsCountedSoFar(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		t.Parallel()
		crowd(t, st, workflow.AheadMost+100)
		h := build(t, st, workflow.Options{Prober: healthy, Slots: 1}, newCloud())
		last := h.deploy(t, "last")
		h.eventually(t, "it knows its place", func() bool {
			var evidence string
			require.NoError(t, st.Read.QueryRow(`SELECT evidence FROM phase_runs WHERE deployment_id = $1 AND finished_at IS NULL`, last.DeploymentID).Scan(&evidence))
			return evidence == fmt.Sprintf("0 running of 1 slots; more than %d before this one in the queue", workflow.AheadMost)
		})
	})
}

// TestWhatRunsComesFirst: steps of what runs are taken before those of what
// waits, however many wait for however long.
func TestWhatRunsComesFirst(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		t.Parallel()
		h := build(t, st, workflow.Options{Prober: healthy, Slots: 1}, newCloud())
		first := h.deploy(t, "first")
		h.until(t, first.DeploymentID, at(phase.MonitoringStart, phase.InProgress))
		h.deploy(t, "second")
		var pending, others int
		require.NoError(t, st.Read.QueryRow(`SELECT COUNT(*) FROM river_job WHERE priority = 2`).Scan(&pending))
		require.Equal(t, 2, pending, "the looks at the queue")
		require.NoError(t, st.Read.QueryRow(`SELECT COUNT(*) FROM river_job WHERE priority = 1`).Scan(&others))
		require.Equal(t, 2, others, "the order and the wait for the boot")
	})
}

// TestTheQueueIsNotReadWhole: what a look at the queue costs depends on what
// runs and on what it counts, not on how many wait or have ended.
func TestTheQueueIsNotReadWhole(t *testing.T) {
	t.Parallel()
	st := storetest.SQLite(t)
	for what, query := range workflow.QueueSQL() {
		rows, err := st.Read.QueryContext(context.Background(), "EXPLAIN QUERY PLAN "+query, 1)
		require.NoError(t, err, what)
		var plan []string
		for rows.Next() {
			var line string
			require.NoError(t, rows.Scan(new(int), new(int), new(int), &line))
			plan = append(plan, line)
		}
		require.NoError(t, rows.Err())
		require.NoError(t, rows.Close())
		all := strings.Join(plan, "\n")
		require.NotRegexp(t, `SCAN (q|r|b|deployments)\b`, all, what)
		require.NotContains(t, all, "FOR ORDER BY", what)
		require.Contains(t, all, "SEARCH q USING", what)
	}
}

// crowd puts n queued deployments without steps into the tables; their nodes
// are the first n.
func crowd(t *testing.T, st *store.Store, n int) {
	t.Helper()
	now := time.Now().UTC()
	for _, insert := range []string{
		`INSERT INTO nodes (name, provider, server_profile, labels, state, deployment_status, created_at, updated_at)
			SELECT 'crowd-' || i, 'ibm_vpc', 'p', '{}', 'queued', 'pending', $2, $2 FROM n`,
		`INSERT INTO deployments (node_id, number, state, phase, phase_status, provider, config, requested_by_kind, requested_by, created_at, updated_at)
			SELECT nodes.id, 1, 'queued', 'pending', 'waiting', 'ibm_vpc', '{}', 'token', 't', $2, $2 FROM n JOIN nodes ON nodes.name = 'crowd-' || i`,
	} {
		series := `SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1`
		_, err := st.Write.Exec(`WITH RECURSIVE n(i) AS (`+series+`) `+insert, n, now)
		require.NoError(t, err)
	}
}
