package crash

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/access"
	"github.com/slipwayhq/slipway/deploy/cluster"
	"github.com/slipwayhq/slipway/deploy/health"
	"github.com/slipwayhq/slipway/deploy/journal"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/workflow"
	"github.com/slipwayhq/slipway/provider/ibmvpc"
	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim"
)

// What the parent tells a child.
const (
	envDatabase = "SLIPWAY_CRASH_CHILD_DB"    // its URL
	envCloud    = "SLIPWAY_CRASH_CHILD_CLOUD" // base URL of the world
	envEpoch    = "SLIPWAY_CRASH_CHILD_EPOCH" // of the clock
	envAfter    = "SLIPWAY_CRASH_CHILD_AFTER" // number of the point to stand still at; 0 = none
	envPoints   = "SLIPWAY_CRASH_CHILD_STOPS" // points to stand still at, one a line
	envBoot     = "SLIPWAY_CRASH_CHILD_BOOT"  // deadline of the first boot, on the fast clock
	envCVMs     = "SLIPWAY_CRASH_CHILD_CVMS"  // how controller VMs are asked; empty = there are none
)

// Bounds of the child's calls. doubtWindow is on the fast clock and, on the
// machine's, longer than createTimeout: a create that was sent has ended
// before its absence counts.
const (
	createTimeout = 2 * time.Second
	doubtWindow   = 60 * time.Second
)

// core is what runs in a child.
type core struct {
	points   *boundaries
	clock    clock
	store    *store.Store
	access   *access.Service
	writer   *lifecycle.Writer
	journal  deploy.Journal
	provider *hasty
	cloud    string
	clusters *cluster.Service // nil if there are no controller VMs
}

// TestMain is also the child's: the process that the tests kill.
func TestMain(m *testing.M) {
	if os.Getenv(envDatabase) == "" {
		os.Exit(m.Run())
	}
	go func() { // the parent's end is ours
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(3)
	}()
	if err := runCore(context.Background()); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func runCore(ctx context.Context) error {
	c := &core{points: &boundaries{out: os.NewFile(3, "tell")}, cloud: os.Getenv(envCloud)}
	var err error
	if c.clock, err = parseClock(os.Getenv(envEpoch)); err != nil {
		return err
	}
	if c.points.after, err = strconv.Atoi(os.Getenv(envAfter)); err != nil {
		return err
	}
	if points := os.Getenv(envPoints); points != "" {
		c.points.arm(strings.Split(points, "\n"))
	}
	if c.store, err = store.Open(ctx, os.Getenv(envDatabase), store.Options{}); err != nil {
		return err
	}
	listener, err := net.FileListener(os.NewFile(4, "door"))
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo}))
	engine, err := c.build(log)
	if err != nil {
		return err
	}
	go c.writer.Run(ctx)
	failed := make(chan error, 2)
	go func() { failed <- engine.Run(ctx, c.writer) }()
	go func() {
		failed <- (&http.Server{Handler: c.door(), ReadHeaderTimeout: 10 * time.Second}).Serve(listener)
	}()
	return <-failed
}

func (c *core) build(log *slog.Logger) (*workflow.Engine, error) {
	c.access = access.New(c.store, access.WithClock(c.clock.Now), access.WithLogger(log))
	c.journal = &diary{Journal: journal.New(c.store, c.clock.Now), points: c.points, rows: map[int64]string{}}
	ibm, err := ibmvpc.New(ibmvpc.Config{
		Region: vpcsim.DefaultRegion, VPCURL: c.cloud, DNSURL: c.cloud + "/v1", IAMURL: c.cloud, Auth: ibmvpc.AuthNone,
		VPC: vpcsim.DefaultVPC, ManagementSubnet: vpcsim.DefaultManagementSubnet, WorkloadSubnets: []string{vpcsim.DefaultWorkloadSubnet},
		SecurityGroups: []string{vpcsim.DefaultSecurityGroup}, SSHKeys: []string{vpcsim.DefaultSSHKey},
		DNSInstance: vpcsim.DefaultDNSInstance, DNSZone: vpcsim.DefaultDNSZone, GuestAddresses: ibmvpc.GuestsOn,
		CreateTimeout: createTimeout, ReadTimeout: 2 * createTimeout, ReadRetries: 1, RetryWait: 50 * time.Millisecond, DoubtWindow: doubtWindow,
		Journal: c.journal, Now: c.clock.Now,
	})
	if err != nil {
		return nil, err
	}
	c.provider = &hasty{ibm}
	clusters, err := c.gather(os.Getenv(envCVMs), log)
	if err != nil {
		return nil, err
	}
	engine, err := workflow.New(c.store, workflow.Options{
		Clusters: clusters, ReplicaID: "core", Providers: map[string]deploy.Provider{deploy.ProviderIBMVPC: c.provider}, Prober: c,
		BootURL: func(ctx context.Context, nodeID, deploymentID int64) (string, error) {
			locator, err := c.access.CreateLocator(ctx, nodeID, deploymentID)
			return "http://127.0.0.1/boot/d/" + locator, err
		},
		ObserveEvery: 200 * time.Millisecond, ProbeEvery: 100 * time.Millisecond, SweepEvery: 200 * time.Millisecond, ShortestWait: 50 * time.Millisecond,
		Boundary: func(point string) { c.points.at("step: " + point) }, Now: c.clock.Now, Logger: log,
	})
	if err != nil {
		return nil, err
	}
	firstBoot, err := time.ParseDuration(os.Getenv(envBoot))
	if err != nil {
		return nil, err
	}
	c.writer = lifecycle.New(c.store, lifecycle.Options{
		Now: c.clock.Now, Logger: log, StaleAfter: 24 * time.Hour,
		OnEnter: func(ctx context.Context, tx *sql.Tx, e lifecycle.Entered) error {
			c.points.at("in the transaction that enters " + e.Phase)
			return engine.Enqueue(ctx, tx, e)
		},
		// Deadlines are for what never comes, not for slow tests.
		Deadline: func(_, _ string, d phase.Definition) time.Duration {
			if d.Key == phase.MonitoringStart {
				return firstBoot
			}
			return 10 * d.Deadline
		},
	})
	return engine, nil
}

// hasty is the provider in fast time: its waits are on the fast clock.
type hasty struct{ *ibmvpc.Provider }

func hurry(err error) error {
	var known *deploy.ProviderError
	if !errors.As(err, &known) {
		return err
	}
	fast := *known
	fast.Wait /= scale
	return &fast
}

func (h *hasty) Order(ctx context.Context, o deploy.Order) (deploy.Machine, error) {
	m, err := h.Provider.Order(ctx, o)
	return m, hurry(err)
}

func (h *hasty) Observe(ctx context.Context, nodeID int64) (deploy.Observation, error) {
	seen, err := h.Provider.Observe(ctx, nodeID)
	return seen, hurry(err)
}

func (h *hasty) RegisterNames(ctx context.Context, n deploy.Names) error {
	return hurry(h.Provider.RegisterNames(ctx, n))
}

func (h *hasty) Release(ctx context.Context, r deploy.Release) ([]deploy.ReleaseStep, error) {
	steps, err := h.Provider.Release(ctx, r)
	return steps, hurry(err)
}

func (h *hasty) Reinstall(ctx context.Context, o deploy.Order) (deploy.Machine, error) {
	m, err := h.Provider.Reinstall(ctx, o)
	return m, hurry(err)
}

// login is what a machine's SSH server shows.
type login struct {
	HostKey string `json:"host_key"`
	BootID  string `json:"boot_id"`
}

// Check asks the world what a login to the machine would show.
func (c *core) Check(ctx context.Context, t health.Target) health.Result {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.cloud+"/_machines/"+t.Host, nil)
	if err != nil {
		return health.Result{Class: health.ClassUnreachable, Message: err.Error()}
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return health.Result{Class: health.ClassUnreachable, Message: err.Error()}
	}
	defer response.Body.Close()
	var seen login
	switch err := json.NewDecoder(response.Body).Decode(&seen); {
	case response.StatusCode != http.StatusOK:
		return health.Result{Class: health.ClassRefused, Message: "nothing listens"}
	case err != nil:
		return health.Result{Class: health.ClassUnreachable, Message: err.Error()}
	case seen.HostKey != t.HostKey:
		return health.Result{Class: health.ClassWrongHost, Message: "another host key", Hint: "see who has the address"}
	case seen.BootID == t.BootIDBefore:
		return health.Result{Class: health.ClassNotRestarted, Message: "not restarted"}
	}
	return health.Result{Class: health.ClassOK, BootID: seen.BootID}
}
