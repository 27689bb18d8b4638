package bulk_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/bulk"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/query"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

var tester = deploy.Actor{Kind: deploy.ActorToken, Name: "tester"}

// house is a writer on one database, and a service that is driven by hand.
type house struct {
	*bulk.Service
	t      *testing.T
	st     *store.Store
	writer *lifecycle.Writer
	fleet  *query.Fleet
	deps   map[string]int64 // deployments by node name
}

func each(t *testing.T, fn func(t *testing.T, h *house)) {
	storetest.Each(t, func(t *testing.T, st *store.Store) { fn(t, build(t, st)) })
}

func build(t *testing.T, st *store.Store, tune ...func(*bulk.Deps)) *house {
	t.Helper()
	h := &house{t: t, st: st, deps: map[string]int64{}}
	h.writer = lifecycle.New(st, lifecycle.Options{Logger: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { h.writer.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	h.fleet = query.NewFleet(st.Ent(), query.NewStatuses(st.Ent(), nil), nil)
	h.Service = h.service(tune...)
	return h
}

// service is another one on the same database, as another replica has.
func (h *house) service(tune ...func(*bulk.Deps)) *bulk.Service {
	d := bulk.Deps{Store: h.st, Writer: h.writer, Fleet: h.fleet, Logger: slog.New(slog.DiscardHandler)}
	for _, f := range tune {
		f(&d)
	}
	return bulk.New(d)
}

// order makes nodes n1, n2 … whose deployments wait for their first boot.
func (h *house) order(prefix string, n int) (ids []int64) {
	h.t.Helper()
	for i := range n {
		name := fmt.Sprintf("%s%d", prefix, i+1)
		d, err := h.writer.Deploy(h.t.Context(), lifecycle.NewDeployment{Name: name, Spec: deploy.Spec{Provider: deploy.ProviderIBMVPC, ServerProfile: "p-" + prefix}, Actor: tester})
		require.NoError(h.t, err)
		h.deps[name] = d.DeploymentID
		ids = append(ids, d.DeploymentID)
		h.say(d.DeploymentID, phase.Pending, phase.Success)
	}
	return ids
}

func (h *house) say(id int64, key string, s phase.Status) {
	h.t.Helper()
	_, err := h.writer.Report(h.t.Context(), lifecycle.Report{DeploymentID: id, Phase: key, Status: s, As: phase.ByWorkflow, Source: deploy.SourceOrchestrator, Actor: deploy.System, Message: "said", Code: "test_failure"})
	require.NoError(h.t, err)
}

// fail fails deployments where their server is ordered.
func (h *house) fail(ids ...int64) {
	h.t.Helper()
	for _, id := range ids {
		h.say(id, phase.ServerRequested, phase.FailedRun)
	}
}

func (h *house) state(id int64) (state string) {
	h.t.Helper()
	require.NoError(h.t, h.st.Read.QueryRowContext(h.t.Context(), `SELECT state FROM deployments WHERE id = $1`, id).Scan(&state))
	return state
}

func (h *house) attempt(id int64) (attempt int) {
	h.t.Helper()
	require.NoError(h.t, h.st.Read.QueryRowContext(h.t.Context(), `SELECT attempt FROM deployments WHERE id = $1`, id).Scan(&attempt))
	return attempt
}

func (h *house) tick() {
	h.t.Helper()
	require.NoError(h.t, h.Tick(h.t.Context()))
}

func (h *house) get(id int64) *bulk.Operation {
	h.t.Helper()
	o, err := h.Get(h.t.Context(), id)
	require.NoError(h.t, err)
	return o
}

func (h *house) items(id int64, states ...string) []bulk.Item {
	h.t.Helper()
	list, more, err := h.Items(h.t.Context(), id, states, 0, bulk.PageMax)
	require.NoError(h.t, err)
	require.False(h.t, more)
	return list
}

func (h *house) start(r bulk.Request) *bulk.Operation {
	h.t.Helper()
	r.Actor = tester
	o, err := h.Start(h.t.Context(), r)
	require.NoError(h.t, err)
	return o
}

func code(t *testing.T, err error) deploy.Code {
	t.Helper()
	var e *deploy.Error
	require.ErrorAs(t, err, &e)
	return e.Code
}

func ids(list ...int64) query.Choice { return query.Choice{IDs: list} }
