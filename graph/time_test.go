package graph_test

import (
	"context"
	"log/slog"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/retention"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

// usually writes statistics: each phase of the tests' profile takes p50.
func (h *house) usually(p50, p95 time.Duration) {
	h.t.Helper()
	for _, profile := range []string{"bx2d-metal-96x384", "*"} {
		for _, def := range phase.Catalogue("ibm_vpc") {
			_, err := h.st.Write.Exec(`INSERT INTO phase_stats (phase, provider, server_profile, p50_ms, p95_ms, samples, computed_at) VALUES ($1, 'ibm_vpc', $2, $3, $4, 9, $5)`,
				def.Key, profile, p50.Milliseconds(), p95.Milliseconds(), time.Now().UTC())
			require.NoError(h.t, err)
		}
	}
}

// sweepAhead sweeps as a replica would whose clock is ahead.
func (h *house) sweepAhead(ahead time.Duration) {
	h.t.Helper()
	w := lifecycle.New(h.st, lifecycle.Options{Now: func() time.Time { return time.Now().Add(ahead) }, OnCommit: h.feed.Wake, Logger: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(h.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { w.Run(ctx) })
	require.NoError(h.t, w.Sweep(ctx))
	cancel()
	wg.Wait()
}

const times = `query($id: ID!) { deployment(id: $id) { version late stalled maintenance estimatedFinishAt progress
	stuckReason { code awaiting since evidence advice } currentPhase { typicalDuration deadlineAt } node { late stalled stale } events(first: 5) { expiredCount nodes { sequence } } } }`

func TestTimeIsTold(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := build(t, st)
		d := h.order("web-01")
		id := globalID("dep", d.DeploymentID)
		got := h.ok(times, m{"id": id})
		require.Equal(t, []any{"slot", "0 before this one in the queue", nil, nil}, []any{got.get("deployment.stuckReason.code"), got.get("deployment.stuckReason.evidence"),
			got.get("deployment.estimatedFinishAt"), got.get("deployment.currentPhase.typicalDuration")}, "without history there is no guess")
		second := h.order("web-02")
		require.Equal(t, "1 before this one in the queue", h.ok(times, m{"id": globalID("dep", second.DeploymentID)}).get("deployment.stuckReason.evidence"))
	})
}

func TestLateIsShownByTheFleetStream(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := build(t, st)
		h.usually(time.Minute, 2*time.Minute)
		d := h.order("web-01")
		h.report(d, phase.Pending, phase.Success, "")
		id := globalID("dep", d.DeploymentID)
		got := h.ok(times, m{"id": id})
		require.Equal(t, []any{false, false, 60000.0}, []any{got.get("deployment.late"), got.get("deployment.stalled"), got.get("deployment.currentPhase.typicalDuration")})
		at, err := time.Parse(time.RFC3339Nano, got.get("deployment.estimatedFinishAt").(string))
		require.NoError(t, err)
		require.WithinDuration(t, time.Now().Add(12*time.Minute), at, time.Minute, "12 phases of a minute each, cluster_formation is not needed")
		require.InDelta(t, 60000, h.ok(`{phaseCatalog(provider:IBM_VPC){typicalDuration}}`, nil).get("phaseCatalog.5.typicalDuration"), 0)

		h.seen(h.head())
		s := h.subscribe(`subscription { fleetChanges { __typename ... on FleetSnapshotPage { last } ... on FleetDelta { changed { name late stalled version } summary { late stalled } } } }`, nil)
		for dig(s.message(), "payload.data.fleetChanges.last") != true {
		}
		h.sweepAhead(3 * time.Minute)
		for {
			m := s.message()
			if dig(m, "payload.data.fleetChanges.changed.0.late") == true {
				require.Equal(t, false, dig(m, "payload.data.fleetChanges.changed.0.stalled"), "late and stalled are two things")
				break
			}
		}
		require.InDelta(t, 1, h.ok(`{fleetSummary{late stalled}}`, nil).get("fleetSummary.late"), 0)
		got = h.ok(`{bareMetalNodes(filter:{late:true}){nodes{name late stalled currentDeployment{late stalled}}}}`, nil)
		require.Equal(t, m{"name": "web-01", "late": true, "stalled": false, "currentDeployment": map[string]any{"late": true, "stalled": false}}, got.get("bareMetalNodes.nodes.0"))
	})
}

func TestSetMaintenance(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := build(t, st)
		d := h.order("web-01")
		id := globalID("dep", d.DeploymentID)
		const doc = `mutation($in: SetMaintenanceInput!) { setMaintenance(input: $in) { errors { code field retryable } deployment { maintenance version stuckReason { code } currentPhase { deadlineAt } estimatedFinishAt } } }`
		set := func(id string, on bool, version any) answer {
			return h.ok(doc, m{"in": m{"id": id, "maintenance": on, "expectedVersion": version}})
		}
		version := h.ok(times, m{"id": id}).get("deployment.version")
		require.Equal(t, "FORBIDDEN", h.as("viewer", doc, m{"in": m{"id": id, "maintenance": true, "expectedVersion": version}}).code(t))
		require.Equal(t, "VERSION_MISMATCH", set(id, true, 99).get("setMaintenance.errors.0.code"))
		require.Equal(t, "NOT_FOUND", set("dep_999", true, 1).get("setMaintenance.errors.0.code"))
		require.Equal(t, "NOT_FOUND", set("node_1", true, 1).get("setMaintenance.errors.0.code"))

		got := set(id, true, version)
		require.Empty(t, got.get("setMaintenance.errors"), got.Raw)
		require.Equal(t, []any{true, "maintenance", nil}, []any{got.get("setMaintenance.deployment.maintenance"), got.get("setMaintenance.deployment.stuckReason.code"), got.get("setMaintenance.deployment.currentPhase.deadlineAt")}, "its clock stands")
		got = set(id, false, got.get("setMaintenance.deployment.version"))
		require.Equal(t, []any{false, "slot"}, []any{got.get("setMaintenance.deployment.maintenance"), got.get("setMaintenance.deployment.stuckReason.code")})
		require.NotNil(t, got.get("setMaintenance.deployment.currentPhase.deadlineAt"))
		h.report(d, phase.Failed, phase.FailedRun, "x")
		got = set(id, true, h.ok(times, m{"id": id}).get("deployment.version"))
		require.Equal(t, "DEPLOYMENT_ENDED", got.get("setMaintenance.errors.0.code"))
	})
}

func TestOldEventsAreMissedAloud(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := build(t, st)
		over, active := h.order("web-01"), h.order("web-02")
		last := h.report(over, phase.Failed, phase.FailedRun, "x")
		h.seen(last.Position)
		early := h.feed.Cursor(1).String()
		keeper, err := retention.New(st, retention.Options{Keep: time.Hour, Drop: true, Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return time.Now().Add(2 * time.Hour) }})
		require.NoError(t, err)
		_, err = keeper.Pass(t.Context())
		require.NoError(t, err)

		got := h.ok(times, m{"id": globalID("dep", over.DeploymentID)})
		require.InDelta(t, 2, got.get("deployment.events.expiredCount"), 0)
		require.Empty(t, got.get("deployment.events.nodes"))
		got = h.ok(times, m{"id": globalID("dep", active.DeploymentID)})
		require.InDelta(t, 0, got.get("deployment.events.expiredCount"), 0)
		require.Len(t, got.get("deployment.events.nodes"), 1, "what is active keeps all")

		poll := h.as("viewer", `query($after: Cursor) { deploymentEvents(after: $after) { expiredCount pageInfo { endCursor } } }`, m{"after": early})
		require.Equal(t, "OUT_OF_RANGE", poll.code(t))
		require.Contains(t, poll.Errors[0].Message, "cursor_expired")
		require.Nil(t, h.ok(`{deploymentEvents{expiredCount}}`, nil).get("deploymentEvents.expiredCount"))
		for name, doc := range map[string]string{
			"deploymentEvents": `subscription($after: Cursor) { deploymentEvents(after: $after) { __typename ... on StreamReset { reason cursor } } }`,
			"fleetChanges":     `subscription($after: Cursor) { fleetChanges(after: $after) { __typename ... on StreamReset { reason cursor } } }`,
		} {
			reset := dig(h.subscribe(doc, m{"after": early}).message(), "payload.data."+name)
			require.Equal(t, []any{"StreamReset", "CURSOR_EXPIRED"}, []any{dig(reset, "__typename"), dig(reset, "reason")}, name)
		}
	})
}

func TestServerInfoTellsTheRetention(t *testing.T) {
	st := storetest.SQLite(t)
	require.Nil(t, build(t, st).ok(`{serverInfo{streamRetention}}`, nil).get("serverInfo.streamRetention"))
}

func (h *house) head() (position int64) {
	h.t.Helper()
	require.NoError(h.t, h.st.Read.QueryRow(`SELECT position FROM stream_counter`).Scan(&position))
	return position
}

func globalID(kind string, id int64) string { return kind + "_" + strconv.FormatInt(id, 10) }
