package workflow_test

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
	"github.com/slipwayhq/slipway/deploy/feed"
	"github.com/slipwayhq/slipway/deploy/health"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
	"github.com/slipwayhq/slipway/deploy/workflow"
)

// cloud is a provider that answers at once, and can be told to fail.
type cloud struct {
	mu      sync.Mutex
	orders  map[string]int
	orderFn func(o deploy.Order) error
	observe deploy.Observation
	names   int
	named   deploy.Names // the last

	releases   []releaseAnswer
	reinstalls []deploy.Order
}

func (c *cloud) Order(ctx context.Context, o deploy.Order) (deploy.Machine, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.orders[o.NodeName]++
	if c.orderFn != nil {
		if err := c.orderFn(o); err != nil {
			return deploy.Machine{}, err
		}
	}
	if _, err := o.BootURL(ctx); err != nil {
		return deploy.Machine{}, err
	}
	return deploy.Machine{ServerID: "srv-" + o.NodeName, ServerStatus: "pending", ManagementIP: fmt.Sprintf("127.64.9.%d", o.NodeID), MACs: []string{fmt.Sprintf("02:00:00:00:00:%02x", o.NodeID)}}, nil
}

func (c *cloud) Observe(context.Context, int64) (deploy.Observation, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.observe, nil
}

func (c *cloud) RegisterNames(_ context.Context, n deploy.Names) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.names++
	c.named = n
	return nil
}
func (c *cloud) HasNames() bool { return true }

type prober func(t health.Target) health.Result

func (p prober) Check(_ context.Context, t health.Target) health.Result { return p(t) }

// house is a whole core on one database.
type house struct {
	store  *store.Store
	engine *workflow.Engine
	writer *lifecycle.Writer
	feed   *feed.Feed
	cloud  *cloud
}

func build(t *testing.T, st *store.Store, opts workflow.Options, c *cloud) *house {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	writing, stopWriting := context.WithCancel(context.Background())
	var wg, last sync.WaitGroup
	t.Cleanup(func() { cancel(); wg.Wait(); stopWriting(); last.Wait() }) // the writer goes last: steps still report
	logger := slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: slog.LevelWarn}))
	opts.Logger = logger
	if opts.ReplicaID == "" {
		opts.ReplicaID = t.Name()
	}
	if opts.Providers == nil {
		opts.Providers = map[string]deploy.Provider{deploy.ProviderIBMVPC: c, deploy.ProviderScript: newCloudless()}
	}
	opts.BootURL = func(context.Context, int64, int64) (string, error) { return "http://127.0.0.1/boot/d/x", nil }
	opts.ObserveEvery, opts.ProbeEvery, opts.SweepEvery = 50*time.Millisecond, 50*time.Millisecond, 100*time.Millisecond
	engine, err := workflow.New(st, opts)
	require.NoError(t, err)
	f := feed.New(st, feed.Options{Logger: logger})
	w := lifecycle.New(st, lifecycle.Options{OnEnter: engine.Enqueue, OnFreed: engine.Freed, OnCommit: f.Wake, Logger: logger, Now: opts.Now})
	last.Go(func() { w.Run(writing) })
	wg.Go(func() { _ = f.Run(ctx) })
	wg.Go(func() { _ = engine.Run(ctx, w) })
	<-f.Ready()
	return &house{store: st, engine: engine, writer: w, feed: f, cloud: c}
}

type testLog struct{ t *testing.T }

func (l testLog) Write(p []byte) (int, error) { l.t.Logf("%s", p); return len(p), nil }

func (h *house) deploy(t *testing.T, name string) lifecycle.Deployed {
	t.Helper()
	d, err := h.writer.Deploy(t.Context(), lifecycle.NewDeployment{Name: name, Spec: deploy.Spec{Provider: deploy.ProviderIBMVPC, ServerProfile: "bx2d-metal-96x384"}, Actor: deploy.Actor{Kind: deploy.ActorToken, Name: "test"}})
	require.NoError(t, err)
	return d
}

// until follows a deployment's events to the first one that is wanted.
func (h *house) until(t *testing.T, id int64, want func(*feed.Event) bool) []*feed.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	zero := h.feed.Cursor(0)
	s := h.feed.Events(feed.Filter{DeploymentIDs: []int64{id}}, &zero, 0)
	defer s.Close()
	var all []*feed.Event
	for {
		b, err := s.Next(ctx)
		require.NoError(t, err, "events so far: %s", describe(all))
		for _, e := range b.Events {
			all = append(all, e)
			if want(e) {
				return all
			}
		}
	}
}

func describe(events []*feed.Event) string {
	out := ""
	for _, e := range events {
		out += fmt.Sprintf("%d %s %s %s (%s)\n", e.Sequence, e.Phase, e.Status, e.Message, e.State)
	}
	return out
}

func at(key string, status phase.Status) func(*feed.Event) bool {
	return func(e *feed.Event) bool { return e.Phase == key && e.Status == string(status) }
}

func (h *house) machine(t *testing.T, d lifecycle.Deployed) {
	t.Helper()
	h.machineWith(t, d, json.RawMessage(`{"ssh_host_key":"ssh-ed25519 AAAA","boot_id":"before","ssh_port":2222}`))
}

// machineWith plays the machine from its boot to the end of the install, and
// lets it say of itself what is given.
func (h *house) machineWith(t *testing.T, d lifecycle.Deployed, said json.RawMessage) {
	t.Helper()
	answer, err := h.writer.Boot(t.Context(), lifecycle.BootRequest{DeploymentID: d.DeploymentID, Remote: "127.64.0.9"})
	require.NoError(t, err)
	require.Contains(t, []phase.BootDecision{phase.BootInstall, phase.BootAgain}, answer.Decision)
	_, err = h.writer.ConfigServed(t.Context(), d.DeploymentID, answer.Attempt, "127.64.0.9")
	require.NoError(t, err)
	for _, k := range []string{phase.FoundationStart, phase.NetworkConfig, phase.StorageDiscovery, phase.ImageDownload, phase.Installation, phase.PostInstall} {
		for _, s := range []phase.Status{phase.InProgress, phase.Success} {
			var details json.RawMessage
			if k == phase.PostInstall && s == phase.Success {
				details = said
			}
			_, err := h.writer.Report(t.Context(), lifecycle.Report{NodeID: d.NodeID, TokenAttempt: answer.Attempt, Phase: k, Status: s, Details: details, As: phase.ByMachine,
				Source: deploy.SourceInstallerScript, Actor: deploy.Actor{Kind: deploy.ActorMachine, Name: "m"}})
			require.NoError(t, err)
		}
	}
}

func TestFromOrderToDeployed(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		t.Parallel()
		var seen health.Target
		h := build(t, st, workflow.Options{Prober: prober(func(tg health.Target) health.Result {
			seen = tg
			return health.Result{Class: health.ClassOK, BootID: "after"}
		})}, &cloud{orders: map[string]int{}, observe: deploy.Observation{ServerStatus: "starting"}})
		d := h.deploy(t, "n1")
		h.until(t, d.DeploymentID, at(phase.MonitoringStart, phase.InProgress))
		h.machine(t, d)
		events := h.until(t, d.DeploymentID, at(phase.Deployed, phase.Success))
		require.Equal(t, "succeeded", events[len(events)-1].State)
		for i, e := range events {
			require.Equal(t, i+1, e.Sequence, "sequence has no gaps")
		}
		require.Equal(t, health.Target{Host: "127.64.9.1", Port: 2222, User: "root", HostKey: "ssh-ed25519 AAAA", BootIDBefore: "before"}, seen)
		require.Equal(t, 1, h.cloud.orders["n1"])
		var status string
		require.NoError(t, st.Read.QueryRow(`SELECT deployment_status FROM nodes WHERE id=$1`, d.NodeID).Scan(&status))
		require.Equal(t, "deployed", status)
		t.Log("\n" + describe(events))
	})
}
