package cluster_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/cluster"
	"github.com/slipwayhq/slipway/deploy/cluster/cvm"
	"github.com/slipwayhq/slipway/deploy/cluster/cvmsim"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/operation"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

var tester = deploy.Actor{Kind: deploy.ActorToken, Name: "tester"}

// planner stands for the check-list of nodes and for the provider's release.
type planner struct{}

func (planner) Plan(_ context.Context, name string, spec deploy.Spec) (operation.Plan, error) {
	return operation.Plan{OK: true, Estimated: time.Minute, Checks: []deploy.Check{{Key: "name", Passed: true, Message: name, Field: "name"}, {Key: "vip", Passed: true, Message: spec.ClusterVIP}}}, nil
}

func (planner) ReleasePlan(_ context.Context, id int64) ([]deploy.ReleaseStep, error) {
	return []deploy.ReleaseStep{{Kind: "server", Name: fmt.Sprintf("server of %d", id), Action: "delete", Status: deploy.ReleaseWaiting}}, nil
}

// house is a writer on one database, simulated controller VMs, and a service
// whose steps the test makes, as the workflow does.
type house struct {
	*cluster.Service
	t      testing.TB
	st     *store.Store
	writer *lifecycle.Writer
	site   *cvmsim.Site
	deps   cluster.Deps
	ports  [2]int
	subnet int
	hosts  map[string]*cvmsim.CVM // by node name
	now    time.Time
	mu     sync.Mutex
	points func(string)
}

// each runs a test on both databases: one for each verb that writes. What is about
// controller VMs, or about what is decided, takes one (SQLite): a database for each
// test is most of what the tests cost.
func each(t *testing.T, fn func(t *testing.T, h *house)) {
	storetest.Each(t, func(t *testing.T, st *store.Store) { fn(t, build(t, st)) })
}

var (
	subnets sync.Mutex
	subnet  int
)

func build(t testing.TB, st *store.Store) *house {
	t.Helper()
	pub, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	key, err := ssh.NewPublicKey(pub)
	require.NoError(t, err)
	signer, err := ssh.NewSignerFromKey(private)
	require.NoError(t, err)
	h := &house{t: t, st: st, hosts: map[string]*cvmsim.CVM{}, ports: [2]int{freePort(t), freePort(t)}, now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
	subnets.Lock()
	subnet++
	h.subnet = subnet
	subnets.Unlock()
	h.site, err = cvmsim.New(cvmsim.Options{Key: key})
	require.NoError(t, err)
	t.Cleanup(h.site.Close)
	h.writer = lifecycle.New(st, lifecycle.Options{Logger: slog.New(slog.DiscardHandler), Now: h.clock})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { h.writer.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	h.deps = cluster.Deps{
		Store: st, Writer: h.writer, Planner: planner{}, CVMs: &cvm.Client{Key: signer}, SSHPort: h.ports[0], PrismPort: h.ports[1], Slots: 25, Installer: "aos-6",
		Now: h.clock, Logger: slog.New(slog.DiscardHandler), Boundary: func(p string) {
			if h.points != nil {
				h.points(p)
			}
		},
	}
	h.Service = cluster.New(h.deps)
	return h
}

func freePort(t testing.TB) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func (h *house) clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *house) pass(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

func (h *house) addr(last int) string {
	return fmt.Sprintf("127.%d.%d.%d", 78+h.subnet>>8, h.subnet&255, last)
}

func (h *house) spec() *deploy.Spec {
	return &deploy.Spec{Provider: deploy.ProviderIBMVPC, ServerProfile: "bx2d-metal-96x384"}
}

// request asks for a cluster of new nodes.
func (h *house) request(name string, nodes ...string) cluster.Request {
	r := cluster.Request{Name: name, DNSServers: []string{"127.0.0.53"}, NTPServers: []string{"pool.ntp.org"}, Actor: tester}
	for _, n := range nodes {
		r.Nodes = append(r.Nodes, cluster.NodeRequest{Name: n, Spec: h.spec()})
	}
	return r
}

func (h *house) deploy(r cluster.Request) *cluster.Cluster {
	h.t.Helper()
	c, err := h.Deploy(context.Background(), r)
	require.NoError(h.t, err)
	return c
}

func (h *house) get(id int64) *cluster.Cluster {
	h.t.Helper()
	c, err := h.Get(context.Background(), id)
	require.NoError(h.t, err)
	return c
}

func (h *house) node(id int64, name string) *cluster.Node {
	h.t.Helper()
	c := h.get(id)
	for i := range c.Nodes {
		if c.Nodes[i].Name == name && c.Nodes[i].State != cluster.Replaced {
			return &c.Nodes[i]
		}
	}
	for i := range c.Nodes {
		if c.Nodes[i].Name == name {
			return &c.Nodes[i]
		}
	}
	h.t.Fatalf("%s is not of the cluster", name)
	return nil
}

func (h *house) say(id int64, key string, s phase.Status, as phase.Reporter, details string) error {
	r := lifecycle.Report{DeploymentID: id, Phase: key, Status: s, As: as, Source: deploy.SourceOrchestrator, Actor: deploy.System, Message: key + " " + string(s), Code: "test_failure"}
	if details != "" {
		r.Details = json.RawMessage(details)
	}
	_, err := h.writer.Report(context.Background(), r)
	return err
}

func (h *house) must(err error) {
	h.t.Helper()
	require.NoError(h.t, err)
}

// boot brings a queued deployment to its install.
func (h *house) boot(id int64) {
	h.t.Helper()
	h.must(h.say(id, phase.Pending, phase.Success, phase.ByWorkflow, ""))
	h.must(h.say(id, phase.ServerRequested, phase.Success, phase.ByWorkflow, ""))
	h.must(h.say(id, phase.IPXEBoot, phase.InProgress, phase.ByBoot, ""))
	h.must(h.say(id, phase.ConfigDownload, phase.Success, phase.ByBoot, ""))
	h.must(h.say(id, phase.FoundationStart, phase.InProgress, phase.ByMachine, ""))
}

// install lets a node's machine be installed: its controller VM runs, and it is
// at the barrier.
func (h *house) install(id int64, names ...string) {
	h.t.Helper()
	for _, name := range names {
		n := h.node(id, name)
		if n.Deployment == phase.Queued {
			h.boot(n.DeploymentID)
		}
		h.cvm(name)
		vm := h.hosts[name]
		h.must(h.writer.Do(context.Background(), []int64{n.DeploymentID}, nil, func(tx *lifecycle.Tx) error {
			return tx.LearnFor(n.DeploymentID, lifecycle.NodeFacts{CVMIP: vm.Addr().String()})
		}))
		h.must(h.say(n.DeploymentID, phase.PostInstall, phase.Success, phase.ByMachine, fmt.Sprintf(`{"ssh_host_key":"k","cvm_ssh_host_key":%q}`, vm.HostKey())))
	}
}

// cvm starts a node's controller VM, once.
func (h *house) cvm(name string) {
	h.t.Helper()
	if h.hosts[name] != nil {
		return
	}
	vm, err := h.site.Add(netip.MustParseAddr(h.addr(10+len(h.hosts))), cvmsim.Place{SSHPort: h.ports[0], PrismPort: h.ports[1]})
	h.must(err)
	h.hosts[name] = vm
}

// turn is a step of the workflow for a node, at whichever of the two phases it
// is; what it was told is done, as the workflow does it.
func (h *house) turn(id int64, name string) deploy.ClusterStand {
	h.t.Helper()
	n := h.node(id, name)
	ask := h.Form
	if n.Phase == phase.HealthValidation {
		ask = h.Validate
	}
	stand, err := ask(context.Background(), n.DeploymentID)
	h.must(err)
	switch stand.Move {
	case deploy.ClusterHold:
		h.must(h.writer.Do(context.Background(), []int64{n.DeploymentID}, nil, func(tx *lifecycle.Tx) error {
			return tx.WaitForOthers(n.DeploymentID, n.Phase, "cluster", stand.Message)
		}))
	case deploy.ClusterGo:
		if h.count(`SELECT COUNT(*) FROM phase_runs WHERE deployment_id = $1 AND finished_at IS NULL AND awaiting = 'cluster'`, n.DeploymentID) == 1 {
			h.must(h.writer.Do(context.Background(), []int64{n.DeploymentID}, nil, func(tx *lifecycle.Tx) error {
				return tx.WithOthers(n.DeploymentID, n.Phase, n.Phase == phase.ClusterFormation)
			}))
		}
		h.must(h.say(n.DeploymentID, n.Phase, phase.InProgress, phase.ByWorkflow, ""))
	case deploy.ClusterDone:
		h.must(h.say(n.DeploymentID, n.Phase, phase.Success, phase.ByWorkflow, ""))
		if n.Phase == phase.ClusterFormation {
			h.must(h.say(n.DeploymentID, phase.DNSRegistration, phase.Success, phase.ByWorkflow, ""))
		}
	case deploy.ClusterAlone:
		h.must(h.writer.Do(context.Background(), []int64{n.DeploymentID}, nil, func(tx *lifecycle.Tx) error {
			_, err := tx.Dismiss(lifecycle.Dismissal{DeploymentID: n.DeploymentID, Attempt: n.Attempt, Why: stand.Message, Actor: deploy.System})
			return err
		}))
	case deploy.ClusterFail:
		h.must(h.say(n.DeploymentID, n.Phase, phase.FailedRun, phase.ByWorkflow, ""))
	}
	return stand
}

// live reports whether the workflow has a step for a node at the moment.
func live(n *cluster.Node) bool {
	return (n.Deployment == phase.Running || n.Deployment == phase.Canceling) && (n.Phase == phase.ClusterFormation || n.Phase == phase.HealthValidation)
}

// drive lets every node make its steps, and time pass on the controller VMs,
// until the cluster is in one of the states.
func (h *house) drive(id int64, until ...cluster.State) *cluster.Cluster {
	h.t.Helper()
	for range 200 {
		c := h.get(id)
		for _, s := range until {
			if c.State() == s {
				return c
			}
		}
		for i := range c.Nodes {
			if n := &c.Nodes[i]; live(n) && n.State != cluster.Replaced {
				h.turn(id, n.Name)
			}
		}
		h.site.Step()
		h.pass(5 * time.Second)
	}
	c := h.get(id)
	h.t.Fatalf("the cluster is %s, not %v; formation %+v, health %+v, nodes %+v", c.State(), until, c.Formation, c.Health, c.Nodes)
	return nil
}

func code(t testing.TB, err error) deploy.Code {
	t.Helper()
	var e *deploy.Error
	require.ErrorAs(t, err, &e)
	return e.Code
}

func fieldsOf(t testing.TB, err error) map[string]string {
	t.Helper()
	var e *deploy.Error
	require.ErrorAs(t, err, &e)
	out := map[string]string{}
	for _, f := range e.Fields {
		out[f.Field] = firstOf(f.Key, string(f.Code))
	}
	return out
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func (h *house) count(query string, args ...any) (n int) {
	h.t.Helper()
	err := h.st.Read.QueryRowContext(context.Background(), query, args...).Scan(&n)
	if !errors.Is(err, sql.ErrNoRows) {
		h.must(err)
	}
	return n
}
