package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/access"
	"github.com/slipwayhq/slipway/deploy/admission"
	"github.com/slipwayhq/slipway/deploy/apply"
	"github.com/slipwayhq/slipway/deploy/bulk"
	"github.com/slipwayhq/slipway/deploy/cluster"
	"github.com/slipwayhq/slipway/deploy/cluster/cvm"
	"github.com/slipwayhq/slipway/deploy/feed"
	"github.com/slipwayhq/slipway/deploy/health"
	"github.com/slipwayhq/slipway/deploy/journal"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/operation"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/query"
	"github.com/slipwayhq/slipway/deploy/retention"
	"github.com/slipwayhq/slipway/deploy/stats"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/workflow"
	"github.com/slipwayhq/slipway/frontend"
	"github.com/slipwayhq/slipway/graph"
	"github.com/slipwayhq/slipway/graph/wstransport"
	"github.com/slipwayhq/slipway/provider/ibmvpc"
	"github.com/slipwayhq/slipway/provider/rack"
	"github.com/slipwayhq/slipway/provider/script"
	"github.com/slipwayhq/slipway/pxe"
	"github.com/slipwayhq/slipway/pxe/artifact"
	"github.com/slipwayhq/slipway/pxe/nodeconfig"
	"github.com/slipwayhq/slipway/pxe/scripts"
	"github.com/slipwayhq/slipway/server"
)

// appConfig is everything that a running Slipway is made from.
type appConfig struct {
	Data           dataFlags
	Listen         string
	BaseURL        string
	MachineHost    string // host by which machines reach this server, when people use another
	TrustedProxies []netip.Prefix
	SecureCookies  bool
	IBM            ibmvpc.Config // Region empty = the provider is off
	Rack           rackFlags
	Script         scriptFlags
	Install        installFlags
	Artifacts      artifactFlags
	SSHKeyFile     string
	Retention      retentionFlags
	Netboot        netbootFlags
	Dial           func(ctx context.Context, network, address string) (net.Conn, error) // to installed nodes; nil = the network
	Now            func() time.Time                                                     // nil = the system's clock
	Logger         *slog.Logger
}

// app is a running Slipway.
type app struct {
	URL    string
	Access *access.Service
	Writer *lifecycle.Writer
	Feed   *feed.Feed
	Store  *store.Store

	machineURL string // as machines call it

	graph     *graph.Handler
	server    *server.Server
	http      *http.Server
	artifacts *artifact.Catalogue
	downloads *admission.Service
	netboot   *netboot
	apply     *apply.Service
	bulk      *bulk.Service
	clusters  *cluster.Service
	plans     *operation.Service
	// nudge has the next attempt to reach a deployment's host begin now.
	nudge      func(ctx context.Context, deploymentID int64, actor deploy.Actor) error
	scriptHost *script.Host // nil = the deployment script does not run here
	log        *slog.Logger
	unlock     func() error

	cancel  context.CancelFunc // parts that may stop at once
	writing context.CancelFunc // the writer, which stops last
	parts   sync.WaitGroup
	writer  sync.WaitGroup
	failed  chan error // a part that ended by itself
}

// startApp opens the database, starts every part, and listens.
func startApp(ctx context.Context, cfg appConfig) (_ *app, err error) {
	a := &app{log: cfg.Logger, failed: make(chan error, 8)}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.release())
		}
	}()
	if err := os.MkdirAll(cfg.Data.DataDir, 0o750); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if a.unlock, err = lockFile(filepath.Join(cfg.Data.DataDir, "slipway.lock")); err != nil {
		return nil, fmt.Errorf("data directory %s: %w", cfg.Data.DataDir, err)
	}
	if a.Store, err = store.Open(ctx, cfg.Data.database(), store.Options{Logger: cfg.Logger}); err != nil {
		return nil, err
	}
	if err := a.Store.Migrate(ctx); err != nil {
		return nil, err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("--listen=%s: %w", cfg.Listen, err)
	}
	a.URL = cfg.BaseURL
	if a.URL == "" {
		a.URL = cfg.Netboot.baseURL(listener.Addr())
	}
	if a.URL == "" {
		a.URL = "http://" + reachable(listener.Addr().String())
	}
	a.machineURL = a.URL
	if cfg.MachineHost != "" {
		_, port, err := net.SplitHostPort(listener.Addr().String())
		if err != nil {
			return nil, errors.Join(err, listener.Close())
		}
		a.machineURL = "http://" + net.JoinHostPort(cfg.MachineHost, port)
	}
	who := guests{machines: query.NewMachines(a.Store.Ent()), everybody: cfg.Netboot.PXEAllowUnknown}
	if a.netboot, err = openNetboot(ctx, cfg.Netboot, a.URL, who, cfg.Logger); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	if err := a.build(cfg); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	a.parts.Go(func() {
		if err := a.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			a.failed <- fmt.Errorf("http: %w", err)
		}
	})
	return a, nil
}

// reachable replaces an unspecified address by one that can be called.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if name, err := os.Hostname(); err == nil {
			host = name
		}
	}
	return net.JoinHostPort(host, port)
}

// build makes the parts and starts all but the HTTP listener.
func (a *app) build(cfg appConfig) error {
	deadlines, err := cfg.Install.deadlines()
	if err != nil {
		return err
	}
	deadlines.allow(phase.RebootWait, cfg.Script.PollWait+time.Minute)
	deadlines.allow(phase.SSHPolling, time.Duration(cfg.Script.Attempts)*cfg.Script.PollEvery+cfg.Script.Connect+cfg.Script.Banner+cfg.Script.Auth+time.Minute)
	a.Access = access.New(a.Store, access.WithLogger(cfg.Logger))
	if a.scriptHost, err = cfg.Script.host(cfg); err != nil {
		return err
	}
	providers, err := a.providers(cfg)
	if err != nil {
		return err
	}
	keyFile := cfg.SSHKeyFile
	if keyFile == "" {
		keyFile = filepath.Join(cfg.Data.DataDir, "ssh", "id_ed25519")
	}
	key, err := health.LoadOrCreateKey(keyFile)
	if err != nil {
		return fmt.Errorf("access key: %w", err)
	}
	var polling workflow.Polling
	if a.apply, polling, err = a.applying(cfg, key); err != nil {
		return err
	}
	formation, _ := phase.Lookup(phase.ClusterFormation)
	a.clusters = cluster.New(cluster.Deps{
		// Before the deadline, which would name only who forms the cluster.
		FormLimit: deadlines.of(deploy.ProviderIBMVPC, "", formation) * 5 / 6,
		Store:     a.Store, Writer: later{a}, Planner: later{a}, CVMs: &cvm.Client{Key: key.Signer, Dial: cfg.Dial},
		SSHPort: cfg.Install.CVMSSHPort, PrismPort: cfg.Install.CVMPrismPort, Slots: cfg.Install.Slots, Installer: cfg.Install.Installer, Now: cfg.Now, Logger: cfg.Logger,
	})
	engine, err := workflow.New(a.Store, workflow.Options{
		Clusters:  a.clusters,
		ReplicaID: uuid.NewString(), Providers: providers, Prober: &health.Checker{Key: key.Signer, Dial: cfg.Dial},
		BootURL: func(ctx context.Context, nodeID, deploymentID int64) (string, error) {
			locator, err := a.Access.CreateLocator(ctx, nodeID, deploymentID)
			return a.machineURL + "/boot/d/" + locator, err
		},
		Polling: polling, AccessUser: cfg.Install.AccessUser, SSHPort: cfg.Install.SSHPort, Slots: cfg.Install.Slots,
		ObserveEvery: cfg.Install.ObserveEvery, ProbeEvery: cfg.Install.ProbeEvery, Now: cfg.Now, Logger: cfg.Logger,
	})
	if err != nil {
		return err
	}
	a.Feed = feed.New(a.Store, feed.Options{Logger: cfg.Logger})
	metrics := server.NewMetrics()
	a.Writer = lifecycle.New(a.Store, lifecycle.Options{
		Now: cfg.Now, OnEnter: engine.Enqueue, OnFreed: engine.Freed, OnCommit: a.Feed.Wake, OnOutcome: metrics.Report, StaleAfter: cfg.Install.StaleAfter, Logger: cfg.Logger,
		Deadline: deadlines.of,
		Accept: func(s deploy.Spec) error {
			if providers[s.Provider] != nil {
				return nil
			}
			return &deploy.Error{Code: deploy.CodeInvalid, Message: fmt.Sprintf("the provider %s is not set up on this server", s.Provider), Hint: "start Slipway with its settings (slipway serve --help)",
				Fields: []deploy.FieldError{{Field: "spec.provider", Code: deploy.CodeInvalid, Message: "is not set up on this server"}}}
		},
		Skip: func(s deploy.Spec) []phase.Key {
			skip := []phase.Key{phase.ClusterFormation}
			if p := providers[s.Provider]; p == nil || !p.HasNames() {
				skip = append(skip, phase.DNSRegistration)
			}
			return skip
		},
	})
	a.nudge = func(ctx context.Context, deploymentID int64, actor deploy.Actor) error {
		return engine.Nudge(ctx, a.Writer, deploymentID, actor)
	}
	keeper, err := retention.New(a.Store, cfg.Retention.options(cfg.Now, cfg.Logger))
	if err != nil {
		return err
	}
	watchRetention(metrics, keeper)
	a.netboot.watch(metrics)
	if err := a.faces(cfg, providers, key, metrics, keeper); err != nil {
		return err
	}
	return a.start(engine, keeper, stats.New(a.Store, stats.Options{Now: cfg.Now, Logger: cfg.Logger}))
}

// later is what clusters need of parts that are made after them.
type later struct{ app *app }

// Do is the writer's.
func (l later) Do(ctx context.Context, deployments, nodes []int64, apply func(*lifecycle.Tx) error) error {
	return l.app.Writer.Do(ctx, deployments, nodes, apply)
}

// Plan is the check-list's.
func (l later) Plan(ctx context.Context, name string, spec deploy.Spec) (operation.Plan, error) {
	return l.app.plans.Plan(ctx, name, spec)
}

// ReleasePlan is the cleanup's.
func (l later) ReleasePlan(ctx context.Context, deploymentID int64) ([]deploy.ReleaseStep, error) {
	return l.app.plans.ReleasePlan(ctx, deploymentID)
}

// watchRetention adds what became of old events to the metrics.
func watchRetention(metrics *server.Metrics, keeper *retention.Keeper) {
	for name, of := range map[string]struct {
		help string
		read func() int64
	}{
		"slipway_events_archived_total":    {"Old events moved to archive files by this process.", keeper.Archived},
		"slipway_events_dropped_total":     {"Old events removed without being archived by this process.", keeper.Dropped},
		"slipway_retention_failures_total": {"Passes over old events that failed.", keeper.Failures},
	} {
		metrics.Registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: of.help}, func() float64 { return float64(of.read()) }))
	}
}

func (a *app) providers(cfg appConfig) (map[string]deploy.Provider, error) {
	own, err := cfg.Rack.config(cfg.Data, cfg.Now)
	if err != nil {
		return nil, err
	}
	own.Journal = journal.New(a.Store, cfg.Now)
	racks, err := rack.NewWith(own)
	if err != nil {
		return nil, err
	}
	out := map[string]deploy.Provider{deploy.ProviderRack: racks}
	if a.scriptHost != nil {
		out[deploy.ProviderScript] = script.New(a.scriptHost, journal.New(a.Store, cfg.Now))
	}
	if cfg.IBM.Region == "" {
		return out, nil
	}
	cfg.IBM.Journal = journal.New(a.Store, cfg.Now)
	cfg.IBM.BootURL, cfg.IBM.SSHPort = a.machineURL, cfg.Install.SSHPort
	cfg.IBM.Holder = query.NewMachines(a.Store.Ent()).AddressHolder
	ibm, err := ibmvpc.New(cfg.IBM)
	if err != nil {
		return nil, fmt.Errorf("settings of --ibm-… (see slipway serve --help): %w", err)
	}
	out[deploy.ProviderIBMVPC] = ibm
	return out, nil
}

// faces makes GraphQL, the boot service and the HTTP server.
func (a *app) faces(cfg appConfig, providers map[string]deploy.Provider, key health.Key, metrics *server.Metrics, keeper *retention.Keeper) error {
	var err error
	if a.artifacts, err = artifact.Open(filepath.Join(cfg.Data.DataDir, "artifacts"), artifact.WithLogger(cfg.Logger)); err != nil {
		return err
	}
	if err := serveEnvironment(context.Background(), a.artifacts, cfg.Install, cfg.Logger); err != nil {
		return err
	}
	storage, err := cfg.Install.storage()
	if err != nil {
		return err
	}
	networks, err := cfg.Rack.subnets()
	if err != nil {
		return err
	}
	statuses := query.NewStatuses(a.Store.Ent(), cfg.Now)
	operations := a.operations(cfg, providers, statuses, metrics)
	a.plans = operations
	var kept time.Duration // 0 = for ever
	if keeper.Active() {
		kept = time.Duration(cfg.Retention.KeepEvents)
	}
	fleet := query.NewFleet(a.Store.Ent(), statuses, cfg.Now)
	a.bulk = bulk.New(bulk.Deps{Store: a.Store, Writer: a.Writer, Fleet: fleet, Now: cfg.Now, Logger: cfg.Logger})
	a.graph = graph.NewHandler(graph.Deps{
		Fleet: fleet, Bulk: a.bulk, Clusters: a.clusters, Keys: a.Access, Feed: a.Feed, Commands: a.Writer, Operations: operations, Scripts: a.apply, Nudge: a.nudge,
		Authenticate: func(r *http.Request, secret string) (*access.Principal, error) {
			return a.server.Authenticate(r, secret)
		},
		Watch: a.Access.Watch, Unavailable: a.passing, Version: versionText(), StreamRetention: kept, Logger: cfg.Logger, Sockets: wstransport.Config{Origins: origins(cfg.BaseURL)},
	})
	metrics.WatchSockets(a.figures)
	strangers := access.NewStrangers(a.Writer.Stranger, cfg.Now, cfg.Logger)
	a.downloads = admission.New(a.Store, a.Writer, admission.Options{
		Slots: cfg.Install.DownloadSlots, Budget: cfg.Install.DownloadBudget, Heartbeat: cfg.Install.Heartbeat, Now: cfg.Now, Logger: cfg.Logger,
	})
	boot, err := pxe.New(pxe.Parts{
		Settings: pxe.Settings{
			BaseURL: a.machineURL, Kernel: cfg.Install.Kernel, Initrd: cfg.Install.Initrd, KernelArgs: cfg.Install.KernelArgs,
			Installer: cfg.Install.Installer, InstallerTimeout: int(cfg.Install.InstallerTimeout.Seconds()), Images: cfg.Install.Images,
			Access:    nodeconfig.Access{User: cfg.Install.AccessUser, AuthorizedKeys: append([]string{key.Authorized}, cfg.Install.AccessKeys...), SSHPort: cfg.Install.SSHPort},
			Resources: nodeconfig.Resources{CVMMemoryGB: cfg.Install.CVMMemoryGB, CVMVCPUs: cfg.Install.CVMVCPUs},
			Storage:   storage, Networks: networks, DNSServers: cfg.Install.DNSServers, Domain: cfg.Install.Domain, Heartbeat: int(max(cfg.Install.Heartbeat, time.Second).Seconds()),
		},
		Lifecycle: a.Writer, Secrets: a.Access, Machines: query.NewMachines(a.Store.Ent()), Artifacts: a.artifacts, Scripts: scripts.Set{}, Programs: a.netboot.programs, Strangers: strangers, Admission: a.downloads, Log: cfg.Logger,
	})
	if err != nil {
		return err
	}
	parts := server.Parts{
		Settings: server.Settings{BaseURL: cfg.BaseURL, TrustedProxies: cfg.TrustedProxies, SecureCookies: cfg.SecureCookies, Version: versionText()},
		Store:    a.Store, Access: a.Access, Strangers: strangers, Lifecycle: a.Writer, Statuses: statuses, Fleet: fleet, Operations: operations, Scripts: a.apply, Clusters: a.clusters, Nudge: a.nudge, Feed: a.Feed, Metrics: metrics,
		GraphQL: a.graph, Boot: boot, Artifacts: &artifact.API{Catalogue: a.artifacts, MaxSize: cfg.Artifacts.maxUpload(), InUse: operations.ArtifactsInUse}, CheckStorage: pxe.CheckStorage, Now: cfg.Now, Log: cfg.Logger,
	}
	if frontend.Built() {
		parts.App = frontend.FS()
	}
	if a.server, err = server.New(parts); err != nil {
		return err
	}
	a.http = server.NewHTTPServer(a.server, cfg.Logger)
	return nil
}

// passing tells the errors after which the same call may succeed a little
// later: the database is away, or the writer is stopping.
func (a *app) passing(err error) bool {
	return a.Store.IsUnavailable(err) || a.Store.IsSerialization(err) || errors.Is(err, lifecycle.ErrClosed)
}

// figures are those of the websockets.
func (a *app) figures() server.SocketFigures {
	now, shared := a.graph.Stats(), a.graph.Sharing()
	return server.SocketFigures{
		Sockets: now.Sockets, Operations: now.Operations, Queued: now.Queued, Groups: shared.Groups, Members: shared.Members,
		Messages: shared.Messages, Delivered: shared.Delivered, Detached: shared.Detached, Replays: shared.Replays,
	}
}

// origins are what may open a websocket beside the server's own host.
func origins(base string) []string {
	if base == "" {
		return nil
	}
	return []string{base}
}

// start runs the parts that work by themselves.
func (a *app) start(engine *workflow.Engine, keeper *retention.Keeper, usual *stats.Keeper) error {
	writing, stopWriting := context.WithCancel(context.Background())
	parts, cancel := context.WithCancel(context.Background())
	a.writing, a.cancel = stopWriting, cancel
	a.writer.Go(func() { a.Writer.Run(writing) })
	part := func(name string, run func(context.Context) error) {
		a.parts.Go(func() {
			if err := run(parts); err != nil && parts.Err() == nil {
				a.failed <- fmt.Errorf("%s: %w", name, err)
			}
		})
	}
	part("access", a.Access.Run)
	part("feed", a.Feed.Run)
	part("statistics", usual.Run)
	part("retention", keeper.Run)
	part("downloads", a.downloads.Run)
	a.netboot.run(part)
	part("deployment script", func(ctx context.Context) error { a.apply.Run(ctx); return nil })
	part("bulk operations", func(ctx context.Context) error { a.bulk.Run(ctx); return nil })
	part("workflow", func(ctx context.Context) error { return engine.Run(ctx, a.Writer) })
	select {
	case <-a.Feed.Ready():
		return nil
	case err := <-a.failed:
		return err
	}
}

// Wait blocks until ctx ends, or a part fails.
func (a *app) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-a.failed:
		return err
	}
}

// Stop ends in order: no new readers, sockets told to come back elsewhere,
// running steps finished, the writer, the database.
func (a *app) Stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	a.server.Drain()
	errs := []error{a.graph.Shutdown(ctx, 500*time.Millisecond)}
	if err := a.http.Shutdown(ctx); err != nil {
		errs = append(errs, a.http.Close())
	}
	return errors.Join(append(errs, a.release())...)
}

func (a *app) release() error {
	if a.cancel != nil {
		a.cancel()
		if a.http != nil {
			_ = a.http.Close() // it has been shut down, or never began
		}
		a.parts.Wait()
		a.writing()
		a.writer.Wait()
	}
	errs := []error{a.netboot.close()}
	if a.artifacts != nil {
		errs = append(errs, a.artifacts.Close())
	}
	if a.Store != nil {
		errs = append(errs, a.Store.Close())
	}
	if a.unlock != nil {
		errs = append(errs, a.unlock())
	}
	return errors.Join(errs...)
}

func trimLine(s string) string { return strings.TrimSpace(s) }
