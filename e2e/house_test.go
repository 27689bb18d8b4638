package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/client"
	"github.com/slipwayhq/slipway/e2e/simlock"
	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim"
	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim/machine"
)

const profile = "bx2d-metal-96x384"

// cloud is the simulator with its machines, a process of its own.
type cloud struct {
	*process
	url   string
	flags []string // what it tells to serve with
}

// testLimit bounds a test, from when it has the machines for itself. Most are over
// in seconds; where much else runs, in minutes.
const testLimit = 8 * time.Minute

// deadline bounds a test with machines, which no other test's machines may take
// time from.
func deadline(t *testing.T) context.Context {
	t.Helper()
	simlock.Take(t)
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	t.Cleanup(cancel)
	return ctx
}

// startCloud starts a simulator. Nodes whose name begins with "dark" get power
// and never boot, so that a test can be the machine itself.
func startCloud(ctx context.Context, t *testing.T) *cloud {
	t.Helper()
	c := &cloud{process: start(t, "vpcsim", "vpcsim", "--listen=127.0.0.1:0", "--pace=quick", `--faults=[{"match":"slw-dark*","fault":"never_boot"}]`)}
	c.url = c.await(ctx, `^simulated IBM Cloud at (http://\S+); serve with:$`)[1]
	c.await(ctx, `--ibm-vpc-url=`)
	c.flags = regexp.MustCompile(`--[a-z-]+=\S+`).FindAllString(c.said(), -1)
	require.NotEmpty(t, c.flags)
	return c
}

func (c *cloud) state(t testing.TB) vpcsim.State {
	t.Helper()
	resp, err := http.Get(c.url + "/_sim/state")
	require.NoError(t, err)
	defer resp.Body.Close()
	var s vpcsim.State
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&s))
	return s
}

// fault arms a fault; the function it gives disarms it.
func (c *cloud) fault(t testing.TB, f vpcsim.Fault) (clear func()) {
	t.Helper()
	body, err := json.Marshal(f)
	require.NoError(t, err)
	resp, err := http.Post(c.url+"/_sim/faults", "application/json", bytes.NewReader(body))
	require.NoError(t, err)
	answer, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusCreated, resp.StatusCode, "%s", answer)
	var made struct{ ID string }
	require.NoError(t, json.Unmarshal(answer, &made))
	require.NotEmpty(t, made.ID)
	return func() { // this one: those of the dark machines stay
		r, err := http.NewRequest(http.MethodDelete, c.url+"/_sim/faults/"+made.ID, nil)
		require.NoError(t, err)
		resp, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
	}
}

// mustCount checks how many of everything were ever made, and are there.
func (c *cloud) mustCount(t testing.TB, servers int) {
	t.Helper()
	s := c.state(t)
	for what, n := range map[string]int{
		"servers created": s.ServersCreated, "servers": s.LiveServers, "interfaces created": s.VNIsCreated, "interfaces": s.VNIs,
	} {
		require.Equal(t, servers, n, what)
	}
	// Of machine, hypervisor and controller VM.
	require.Equal(t, []int{3 * servers, 3 * servers}, []int{s.ReservedIPsCreated, s.ReservedIPs}, "addresses created, and addresses")
}

// eventually asks until the answer is yes. It is for what other processes do
// and tell nobody.
func eventually(ctx context.Context, t testing.TB, what string, ask func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ask() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited for this in vain: %s", what)
		}
	}
}

// server is a `slipway serve` that can be killed and started again.
type server struct {
	t     *testing.T
	name  string
	data  []string // flags that say where its data is
	args  []string
	addr  string
	base  string
	proc  *process
	ready time.Time // when it last said that it serves
	token string    // of an operator
	api   *client.Client
}

// newServer prepares one in a data directory of its own, with the artifacts of
// an installation; more are flags.
func newServer(t *testing.T, c *cloud, name string, more ...string) *server {
	t.Helper()
	dir := t.TempDir()
	s := &server{t: t, name: name, addr: freeAddress(t), data: []string{"--data-dir=" + dir}}
	s.base = "http://" + s.addr
	for _, m := range more {
		if strings.HasPrefix(m, "--database=") {
			s.data = append(s.data, m)
		}
	}
	files, err := machine.StandIns(t.TempDir(), machine.QuickPace())
	require.NoError(t, err)
	for _, f := range files {
		out := must(t, "artifacts", "add", "--data-dir="+dir, "--kind="+f.Kind, "--version="+f.Version, f.Name, f.Path)
		require.Regexp(t, `^[0-9a-f]{64}  `+regexp.QuoteMeta(f.Name)+`  \d+ bytes$`, out)
	}
	// A work directory without a script: what would apply changes is there, and says that it cannot.
	s.args = append([]string{"serve", "--listen=" + s.addr, "--script-work-dir=" + t.TempDir(), "--domain=" + vpcsim.DefaultDNSZone, "--kernel-args=console=ttyS0",
		"--heartbeat=1s", "--observe-every=1s", "--probe-every=1s"}, c.flags...)
	s.args = append(append(s.args, s.data...), more...)
	if !slices.ContainsFunc(more, func(m string) bool { return strings.HasPrefix(m, "--base-url=") }) {
		s.args = append(s.args, "--base-url="+s.base)
	}
	return s
}

// start runs it and waits until it serves.
func (s *server) start(ctx context.Context) {
	s.t.Helper()
	s.proc = start(s.t, s.name, s.args...)
	s.proc.await(ctx, `msg="slipway serves"`)
	s.ready = time.Now()
	if s.token != "" {
		return
	}
	s.useToken(must(s.t, append([]string{"token", "create", "tester", "--role=operator"}, s.data...)...))
}

func (s *server) useToken(token string) {
	s.t.Helper()
	s.token = token
	var err error
	s.api, err = client.New(s.base, token)
	require.NoError(s.t, err)
}

// cli runs a command against it.
func (s *server) cli(args ...string) result {
	s.t.Helper()
	return slipway(s.t, []string{"SLIPWAY_SERVER=" + s.base, "SLIPWAY_TOKEN=" + s.token}, args...)
}

// get reads a JSON document.
func (s *server) get(path string, out any) {
	s.t.Helper()
	r, err := http.NewRequest(http.MethodGet, s.base+path, nil)
	require.NoError(s.t, err)
	r.Header.Set("Authorization", "Bearer "+s.token)
	r.Header.Set("Accept", "application/json")
	resp, err := http.DefaultClient.Do(r)
	require.NoError(s.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(s.t, err)
	require.Equal(s.t, http.StatusOK, resp.StatusCode, "%s: %s", path, body)
	require.NoError(s.t, json.Unmarshal(body, out), path)
}

// order deploys nodes and gives their deployments by name.
func (s *server) order(ctx context.Context, names ...string) map[string]client.Deployment {
	s.t.Helper()
	parallel := len(names)
	in := client.DeployNodesInput{MaxParallel: &parallel}
	for _, n := range names {
		in.Nodes = append(in.Nodes, client.DeployNodeInput{Name: n, Spec: client.DeploySpec{IbmVpc: &client.IbmVpcSpec{ServerProfile: profile}}})
	}
	list, err := s.api.Deploy(ctx, in)
	require.NoError(s.t, err)
	out := map[string]client.Deployment{}
	for _, d := range list {
		require.NoError(s.t, d.Err)
		out[d.NodeName] = d
	}
	return out
}

// row is a row of the history, as far as tests look at it.
type row struct {
	Phase, Status, Message, State, Outcome, Source, Actor, Cursor string
	RefusedCode                                                   string    `json:"refused_code"`
	Timestamp                                                     time.Time `json:"timestamp"`
	EventID                                                       int64     `json:"event_id"`
	NodeID                                                        int64     `json:"node_id"`
	DeploymentID                                                  int64     `json:"deployment_id"`
	Sequence, Attempt                                             int
	Details                                                       json.RawMessage
	LogTail                                                       string `json:"log_tail"`
}

// table is the whole stream as it is in the database, in commit order.
func (s *server) table() []row {
	s.t.Helper()
	var all []row
	for path, more := "/api/status/events?limit=1000&include=refused&after=", true; more; {
		var page struct {
			Events  []row
			Cursor  string
			HasMore bool `json:"has_more"`
		}
		after := ""
		if len(all) > 0 {
			after = all[len(all)-1].Cursor
		}
		s.get(path+after, &page)
		all, more = append(all, page.Events...), page.HasMore
	}
	return all
}

// mustBeWhole checks that each deployment's rows are numbered without a gap.
func mustBeWhole(t testing.TB, rows []row) {
	t.Helper()
	last := map[int64]int{}
	for _, r := range rows {
		require.Equal(t, last[r.DeploymentID]+1, r.Sequence, "of deployment %d", r.DeploymentID)
		last[r.DeploymentID] = r.Sequence
	}
}

// freeAddress is a loopback address with a port that is free now.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// dice are this test's random choices.
func dice(t testing.TB) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("SLIPWAY_E2E_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
		seed = n
	}
	t.Logf("SLIPWAY_E2E_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

// file writes a file for a command to read.
func file(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func text(v any) string { return fmt.Sprint(v) }
