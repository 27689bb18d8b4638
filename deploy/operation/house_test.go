package operation_test

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/journal"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/operation"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/query"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

// clock is set by hand.
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

// bare is a provider that can order and nothing else.
type bare struct{ deploy.Provider }

// cloud is a provider that can do everything; what it answers is set by tests.
type cloud struct {
	bare
	plan    func(context.Context, deploy.Order) ([]deploy.Check, error)
	release func(context.Context, deploy.Release) ([]deploy.ReleaseStep, error)
	offer   func(context.Context) (deploy.Offer, error)
	audit   func(context.Context, []deploy.Resource) ([]deploy.Drift, error)
	remove  func(context.Context, deploy.Drift) error
	examine func(context.Context, string) (deploy.Adopted, error)
	console func(context.Context, int64, string, bool) (deploy.Console, error)
}

func (c *cloud) Plan(ctx context.Context, o deploy.Order) ([]deploy.Check, error) {
	return c.plan(ctx, o)
}

func (c *cloud) PlanRelease(ctx context.Context, r deploy.Release) ([]deploy.ReleaseStep, error) {
	return c.release(ctx, r)
}

func (c *cloud) Release(context.Context, deploy.Release) ([]deploy.ReleaseStep, error) {
	panic("a plan releases nothing")
}
func (c *cloud) Offer(ctx context.Context) (deploy.Offer, error) { return c.offer(ctx) }
func (c *cloud) Audit(ctx context.Context, rows []deploy.Resource) ([]deploy.Drift, error) {
	return c.audit(ctx, rows)
}
func (c *cloud) RemoveOrphan(ctx context.Context, d deploy.Drift) error { return c.remove(ctx, d) }
func (c *cloud) Examine(ctx context.Context, name string) (deploy.Adopted, error) {
	return c.examine(ctx, name)
}

func (c *cloud) Console(ctx context.Context, id int64, kind string, force bool) (deploy.Console, error) {
	return c.console(ctx, id, kind, force)
}

// house is a service on a database, with a running writer.
type house struct {
	*operation.Service
	t       *testing.T
	st      *store.Store
	writer  *lifecycle.Writer
	journal *journal.Journal
	cloud   *cloud
	clock   *clock
	log     *bytes.Buffer
	counted []string
	mu      sync.Mutex
}

var tester = deploy.Actor{Kind: deploy.ActorToken, Name: "test"}

func each(t *testing.T, fn func(t *testing.T, h *house)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, st *store.Store) { fn(t, newHouse(t, st)) })
}

func newHouse(t *testing.T, st *store.Store, tune ...func(*operation.Deps)) *house {
	t.Helper()
	h := &house{t: t, st: st, cloud: &cloud{}, log: &bytes.Buffer{}, clock: &clock{at: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)}}
	h.journal = journal.New(st, h.clock.now)
	h.writer = lifecycle.New(st, lifecycle.Options{Now: h.clock.now, Logger: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { h.writer.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	d := operation.Deps{
		Providers: map[string]deploy.Provider{deploy.ProviderIBMVPC: h.cloud, deploy.ProviderRack: bare{}}, Store: st, Writer: h.writer,
		Typical: query.NewStatuses(st.Ent(), h.clock.now), BaseURL: "http://slipway.test:8080", Slots: 2, Now: h.clock.now,
		Logger: slog.New(slog.NewTextHandler(h.log, nil)),
		Observe: func(verb, provider, outcome string) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.counted = append(h.counted, verb+" "+provider+" "+outcome)
		},
	}
	for _, f := range tune {
		f(&d)
	}
	h.Service = operation.New(d)
	return h
}

func vpcSpec() deploy.Spec {
	return deploy.Spec{Provider: deploy.ProviderIBMVPC, ServerProfile: "bx2d-metal-96x384"}
}

func (h *house) deploy(name string, spec deploy.Spec) lifecycle.Deployed {
	h.t.Helper()
	d, err := h.writer.Deploy(h.t.Context(), lifecycle.NewDeployment{Name: name, Spec: spec, Actor: tester})
	require.NoError(h.t, err)
	return d
}

func (h *house) report(deploymentID int64, key string, s phase.Status, details string) {
	h.t.Helper()
	r := lifecycle.Report{DeploymentID: deploymentID, Phase: key, Status: s, Message: key + " " + string(s), Source: deploy.SourceOrchestrator, Actor: deploy.System, As: phase.ByWorkflow}
	if details != "" {
		r.Details = []byte(details)
	}
	_, err := h.writer.Report(h.t.Context(), r)
	require.NoError(h.t, err)
}

// begin takes a deployment out of the queue.
func (h *house) begin(d lifecycle.Deployed) {
	h.t.Helper()
	h.report(d.DeploymentID, phase.Pending, phase.Success, "")
}

// fail ends a running deployment.
func (h *house) fail(d lifecycle.Deployed) {
	h.t.Helper()
	h.report(d.DeploymentID, phase.ServerRequested, phase.FailedRun, "")
}

// hold journals something that a node holds.
func (h *house) hold(d lifecycle.Deployed, kind, name string) deploy.Resource {
	h.t.Helper()
	r, err := h.journal.Intend(h.t.Context(), deploy.Intent{NodeID: d.NodeID, DeploymentID: d.DeploymentID, Provider: deploy.ProviderIBMVPC, Kind: kind, Name: name})
	require.NoError(h.t, err)
	require.NoError(h.t, h.journal.Settle(h.t.Context(), r.ID, deploy.ResourcePresent, "cloud-"+name, nil, ""))
	r.State, r.CloudID = deploy.ResourcePresent, "cloud-"+name
	return r
}

func code(t *testing.T, err error) deploy.Code {
	t.Helper()
	e, ok := deploy.AsError(err)
	require.True(t, ok, "%v", err)
	return e.Code
}

// rows counts everything that a question must not change.
func (h *house) rows() (n [4]int) {
	h.t.Helper()
	for i, table := range []string{"nodes", "deployments", "deployment_history", "resources"} {
		require.NoError(h.t, h.st.Read.QueryRowContext(h.t.Context(), `SELECT count(*) FROM `+table).Scan(&n[i]))
	}
	return n
}
