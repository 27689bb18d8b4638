package scale

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/access"
	"github.com/slipwayhq/slipway/deploy/admission"
	"github.com/slipwayhq/slipway/deploy/feed"
	"github.com/slipwayhq/slipway/deploy/health"
	"github.com/slipwayhq/slipway/deploy/journal"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/query"
	"github.com/slipwayhq/slipway/deploy/stats"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/workflow"
	"github.com/slipwayhq/slipway/provider/ibmvpc"
	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim"
	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim/herd"
	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim/machine"
	"github.com/slipwayhq/slipway/pxe"
	"github.com/slipwayhq/slipway/pxe/artifact"
	"github.com/slipwayhq/slipway/pxe/nodeconfig"
	"github.com/slipwayhq/slipway/pxe/scripts"
	"github.com/slipwayhq/slipway/server"
)

const profile = "bx2d-metal-96x384"

// house is a whole Slipway with its cloud and its machines.
type house struct {
	st     *store.Store
	writer *lifecycle.Writer
	sim    *vpcsim.Simulator
	herd   *herd.Herd
	stop   func()
}

// settings are what a run changes.
type settings struct {
	nodes, slots, downloads int
}

// subnet is a part of the simulated range that is large enough for n nodes.
func subnet(n int) string {
	bits := 32
	for 1<<(32-bits) < n+16 {
		bits--
	}
	return netip.PrefixFrom(netip.MustParseAddr("127.64.64.0"), min(bits, 24)).Masked().String()
}

func open(t testing.TB, st *store.Store, set settings) *house {
	t.Helper()
	logger := slog.New(slog.NewTextHandler(benchLog{t}, &slog.HandlerOptions{Level: slog.LevelWarn}))
	h := &house{st: st, herd: herd.New(herd.Options{Logger: logger})}
	delays := vpcsim.DefaultDelays()
	delays.VNI = time.Millisecond
	delays.Start = 3 * time.Second // a machine never boots before its order is on record
	var err error
	h.sim, err = vpcsim.New(vpcsim.Options{Hardware: h.herd, ServerQuota: set.nodes, Delays: delays,
		Subnets: []vpcsim.SubnetConfig{{Name: vpcsim.DefaultManagementSubnet, CIDR: subnet(set.nodes)}}})
	require.NoError(t, err)
	serving, stopServing := context.WithCancel(context.Background())
	cloud, err := h.sim.Serve(serving, "127.0.0.1:0")
	require.NoError(t, err)

	socket, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	base := "http://" + socket.Addr().String()
	// The machines' port is our own, so that another simulation on this host may
	// have machines at the same addresses.
	sshPort := socket.Addr().(*net.TCPAddr).Port
	ibm, err := ibmvpc.New(ibmvpc.Config{
		Region: vpcsim.DefaultRegion, VPC: vpcsim.DefaultVPC, ManagementSubnet: vpcsim.DefaultManagementSubnet, SecurityGroups: []string{vpcsim.DefaultSecurityGroup},
		DNSInstance: vpcsim.DefaultDNSInstance, DNSZone: vpcsim.DefaultDNSZone, Auth: ibmvpc.AuthNone, VPCURL: cloud.URL, DNSURL: cloud.URL,
		DoubtWindow: 3 * time.Second, ServerQuota: set.nodes, BootURL: base, SSHPort: sshPort, Journal: journal.New(st, nil),
	})
	require.NoError(t, err)
	providers := map[string]deploy.Provider{deploy.ProviderIBMVPC: ibm}
	key, err := health.LoadOrCreateKey(filepath.Join(t.TempDir(), "id_ed25519"))
	require.NoError(t, err)
	secrets := access.New(st, access.WithLogger(logger))
	engine, err := workflow.New(st, workflow.Options{
		ReplicaID: t.Name() + time.Now().String(), Providers: providers, Prober: &health.Checker{Key: key.Signer},
		BootURL: func(ctx context.Context, nodeID, deploymentID int64) (string, error) {
			locator, err := secrets.CreateLocator(ctx, nodeID, deploymentID)
			return base + "/boot/d/" + locator, err
		},
		SSHPort: sshPort, Slots: set.slots, Logger: logger,
	})
	require.NoError(t, err)
	events := feed.New(st, feed.Options{Logger: logger})
	metrics := server.NewMetrics()
	h.writer = lifecycle.New(st, lifecycle.Options{OnEnter: engine.Enqueue, OnFreed: engine.Freed, OnCommit: events.Wake, OnOutcome: metrics.Report, Logger: logger,
		Skip: func(deploy.Spec) []phase.Key { return []phase.Key{phase.ClusterFormation} }})
	downloads := admission.New(st, h.writer, admission.Options{Slots: set.downloads, Logger: logger})
	web := server.NewHTTPServer(h.faces(t, base, sshPort, key, secrets, events, metrics, downloads, logger), logger)

	writing, stopWriting := context.WithCancel(context.Background())
	running, stopRunning := context.WithCancel(context.Background())
	var writer, parts sync.WaitGroup
	writer.Go(func() { h.writer.Run(writing) })
	for name, run := range map[string]func(context.Context) error{
		"access": secrets.Run, "feed": events.Run, "statistics": stats.New(st, stats.Options{Logger: logger}).Run, "downloads": downloads.Run,
		"workflow": func(ctx context.Context) error { return engine.Run(ctx, h.writer) },
	} {
		parts.Go(func() {
			if err := run(running); err != nil && running.Err() == nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	parts.Go(func() {
		if err := web.Serve(socket); !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("http: %v", err)
		}
	})
	<-events.Ready()
	h.stop = func() {
		h.sim.Close()
		h.herd.Close()
		_ = web.Close() // requests under way are of machines that have no power any more
		stopRunning()
		parts.Wait()
		stopWriting()
		writer.Wait()
		stopServing()
		_ = cloud.Wait() // its connections were cut
	}
	return h
}

// faces are what machines and people reach by HTTP.
func (h *house) faces(t testing.TB, base string, sshPort int, key health.Key, secrets *access.Service, events *feed.Feed, metrics *server.Metrics, downloads *admission.Service, logger *slog.Logger) http.Handler {
	t.Helper()
	dir := t.TempDir()
	files, err := artifact.Open(filepath.Join(dir, "artifacts"), artifact.WithLogger(logger))
	require.NoError(t, err)
	t.Cleanup(func() { _ = files.Close() })
	// Small images: what is measured is Slipway, not how fast bytes are copied.
	standIns, err := machine.StandIns(filepath.Join(dir, "standins"), machine.Pace{ImageBytes: 64 << 10})
	require.NoError(t, err)
	for _, f := range standIns {
		_, err := files.Register(t.Context(), f.Name, f.Version, artifact.Kind(f.Kind), f.Path)
		require.NoError(t, err)
	}
	strangers := access.NewStrangers(h.writer.Stranger, nil, logger)
	boot, err := pxe.New(pxe.Parts{
		Settings: pxe.Settings{
			BaseURL: base, Kernel: machine.KernelName, Initrd: machine.InitrdName, Installer: machine.InstallerName,
			Access:    nodeconfig.Access{User: "root", AuthorizedKeys: []string{key.Authorized}, SSHPort: sshPort},
			Resources: nodeconfig.Resources{CVMMemoryGB: 48, CVMVCPUs: 16}, Storage: map[string]nodeconfig.Storage{"": {BootDisk: nodeconfig.Disk{Type: nodeconfig.DiskSSD}}},
			Heartbeat: 30,
		},
		Lifecycle: h.writer, Secrets: secrets, Machines: query.NewMachines(h.st.Ent()), Artifacts: files, Scripts: scripts.Set{}, Strangers: strangers, Admission: downloads, Log: logger,
	})
	require.NoError(t, err)
	face, err := server.New(server.Parts{
		Store: h.st, Access: secrets, Strangers: strangers, Lifecycle: h.writer, Statuses: query.NewStatuses(h.st.Ent(), nil), Feed: events, Metrics: metrics, Boot: boot, Log: logger,
	})
	require.NoError(t, err)
	return face
}

// order deploys n nodes in batches of the largest size.
func (h *house) order(ctx context.Context, n int) error {
	for from := 0; from < n; from += lifecycle.BatchMax {
		size := min(lifecycle.BatchMax, n-from)
		in := lifecycle.NewBatch{Name: fmt.Sprintf("batch-%d", from), MaxParallel: size, Actor: deploy.System}
		for i := range size {
			in.Deployments = append(in.Deployments, lifecycle.NewDeployment{Name: fmt.Sprintf("node-%05d", from+i), Spec: deploy.Spec{Provider: deploy.ProviderIBMVPC, ServerProfile: profile}})
		}
		out, err := h.writer.DeployBatch(ctx, in)
		if err != nil {
			return err
		}
		for _, item := range out.Items {
			if item.Err != nil {
				return item.Err
			}
		}
	}
	return nil
}

type benchLog struct{ t testing.TB }

func (l benchLog) Write(p []byte) (int, error) { l.t.Logf("%s", p); return len(p), nil }
