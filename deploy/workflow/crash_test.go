package workflow_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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

// drive plays all machines from what the tables say, so that it can go on
// after a crash as real machines would.
func drive(ctx context.Context, st *store.Store, f *feed.Feed, w *lifecycle.Writer) {
	zero := f.Cursor(0)
	s := f.Events(feed.Filter{}, &zero, 0)
	defer s.Close()
	for {
		b, err := s.Next(ctx)
		if err != nil {
			return
		}
		moved := map[int64]bool{}
		for _, e := range b.Events {
			moved[e.DeploymentID] = true
		}
		for id := range moved {
			advance(ctx, st, w, id)
		}
	}
}

// advance does what the machine of a deployment does next.
func advance(ctx context.Context, st *store.Store, w *lifecycle.Writer, id int64) {
	var open string
	var attempt int
	err := st.Read.QueryRowContext(ctx, `SELECT r.phase, r.attempt FROM phase_runs r JOIN deployments d ON d.id = r.deployment_id WHERE d.id = $1 AND d.state = 'running' AND r.finished_at IS NULL AND (r.phase <> 'monitoring_start' OR r.status = 'in_progress')`, id).Scan(&open, &attempt)
	if err != nil {
		return // it has ended, or we have
	}
	report := lifecycle.Report{DeploymentID: id, TokenAttempt: attempt, Phase: open, Status: phase.Success, As: phase.ByMachine, Source: deploy.SourceInstallerScript}
	switch def, _ := phase.Lookup(open); {
	case open == phase.MonitoringStart:
		_, _ = w.Boot(ctx, lifecycle.BootRequest{DeploymentID: id, Remote: "127.64.0.9"})
		return
	case open == phase.IPXEBoot:
		_, _ = w.ConfigServed(ctx, id, attempt, "127.64.0.9")
		return
	case open == phase.ConfigDownload:
		report.Phase = phase.FoundationStart
	case def.Owner != phase.OwnerMachine:
		return
	}
	if report.Phase == phase.PostInstall {
		report.Details = []byte(`{"ssh_host_key":"ssh-ed25519 AAAA","boot_id":"before","ssh_port":2222}`)
	}
	_, _ = w.Report(ctx, report)
}

// The child is a whole core in a process of its own, to be killed.

const (
	childDB    = "SLIPWAY_TEST_CHILD_DB"
	childDir   = "SLIPWAY_TEST_CHILD_DIR"
	childID    = "SLIPWAY_TEST_CHILD_ID"
	childPoint = "SLIPWAY_TEST_CHILD_POINT"
)

// fileCloud keeps its servers as files, which outlive the process.
type fileCloud struct {
	st    *store.Store
	dir   string
	point string // where it stops for ever
	mu    sync.Mutex
	out   io.Writer
}

func (c *fileCloud) say(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _ = fmt.Fprintf(c.out, format+"\n", args...)
}

func (c *fileCloud) at(point string) {
	c.say("at %s", point)
	if c.point == point {
		select {}
	}
}

func (c *fileCloud) Order(ctx context.Context, o deploy.Order) (deploy.Machine, error) {
	var open string
	if err := c.st.Read.QueryRowContext(ctx, `SELECT phase FROM deployments WHERE id = $1`, o.DeploymentID).Scan(&open); err != nil {
		return deploy.Machine{}, err
	}
	if open != phase.ServerRequested {
		c.say("violation: %s is ordered in %s", o.NodeName, open)
	}
	c.at("order")
	server := filepath.Join(c.dir, o.NodeName)
	f, err := os.OpenFile(server, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	switch {
	case err == nil:
		_ = f.Close()
		c.say("made %s", o.NodeName)
	case !errors.Is(err, os.ErrExist):
		return deploy.Machine{}, err
	}
	c.at("ordered")
	return deploy.Machine{ServerID: "srv-" + o.NodeName, ServerStatus: "pending", ManagementIP: fmt.Sprintf("127.64.9.%d", o.NodeID)}, nil
}

func (c *fileCloud) Observe(context.Context, int64) (deploy.Observation, error) {
	c.at("observe")
	return deploy.Observation{ServerStatus: "starting"}, nil
}

func (c *fileCloud) RegisterNames(_ context.Context, n deploy.Names) error {
	c.at("names")
	tired := filepath.Join(c.dir, "tired-"+n.NodeName)
	if c.point == "tired" {
		if f, err := os.OpenFile(tired, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); err == nil {
			_ = f.Close()
			return &deploy.ProviderError{Code: deploy.CodeUpstreamUnavailable, Message: "come again in six seconds", Temporary: true, Wait: 6 * time.Second}
		}
	}
	return nil
}

func (c *fileCloud) HasNames() bool { return true }

func (c *fileCloud) Check(context.Context, health.Target) health.Result {
	c.at("probe")
	return health.Result{Class: health.ClassOK, BootID: "after"}
}

// TestChild is not a test: it is the process that the tests below start.
func TestChild(t *testing.T) {
	url := os.Getenv(childDB)
	if url == "" {
		t.Skip("only as a child process")
	}
	ctx := context.Background()
	st, err := store.Open(ctx, url, store.Options{})
	require.NoError(t, err)
	c := &fileCloud{st: st, dir: os.Getenv(childDir), point: os.Getenv(childPoint), out: os.NewFile(3, "tell")}
	engine, f, w := core(t, st, os.Getenv(childID), c)
	go w.Run(ctx)
	go func() { _ = f.Run(ctx) }()
	<-f.Ready()
	go drive(ctx, st, f, w)
	go tellWaits(ctx, f, c)
	c.say("ready")
	t.Fatal(engine.Run(ctx, w)) // until it is killed
}

func core(t *testing.T, st *store.Store, id string, c *fileCloud) (*workflow.Engine, *feed.Feed, *lifecycle.Writer) {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	engine, err := workflow.New(st, workflow.Options{ReplicaID: id, Providers: map[string]deploy.Provider{deploy.ProviderIBMVPC: c}, Prober: c, Slots: 100, Logger: logger,
		BootURL:      func(context.Context, int64, int64) (string, error) { return "http://127.0.0.1/", nil },
		ObserveEvery: 50 * time.Millisecond, ProbeEvery: 50 * time.Millisecond, SweepEvery: 100 * time.Millisecond})
	require.NoError(t, err)
	f := feed.New(st, feed.Options{Logger: logger})
	return engine, f, lifecycle.New(st, lifecycle.Options{OnEnter: engine.Enqueue, OnCommit: f.Wake, Logger: logger})
}

// tellWaits tells the parent of waits and ends, from the streams.
func tellWaits(ctx context.Context, f *feed.Feed, c *fileCloud) {
	zero := f.Cursor(0)
	s := f.Nodes(&zero, 0)
	defer s.Close()
	for {
		if _, err := s.Next(ctx); err != nil {
			return
		}
		var awaiting, active int
		if c.st.Read.QueryRowContext(ctx, `SELECT (SELECT COUNT(*) FROM phase_runs WHERE finished_at IS NULL AND evidence = 'come again in six seconds'), (SELECT COUNT(*) FROM deployments WHERE state IN ('queued', 'running'))`).Scan(&awaiting, &active) != nil {
			return
		}
		if awaiting > 0 && snoozed(ctx, c.st) {
			c.say("awaiting")
		}
		if active == 0 {
			c.say("done")
		}
	}
}

// snoozed waits until no step is running: the wait is on disk.
func snoozed(ctx context.Context, st *store.Store) bool {
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for range 500 {
		var running int
		if st.Read.QueryRowContext(ctx, `SELECT COUNT(*) FROM river_job WHERE state = 'running'`).Scan(&running) == nil && running == 0 {
			return true
		}
		<-look.C
	}
	return false
}

// crash is a database, the cloud's files, and the children that work on them.
type crash struct {
	t        *testing.T
	url, dir string
	ids      []int64
}

func newCrash(t *testing.T, url string, nodes int) *crash {
	t.Helper()
	c := &crash{t: t, url: url, dir: t.TempDir()}
	c.with(func(st *store.Store) {
		engine, _, w := core(t, st, "setup", &fileCloud{})
		_ = engine
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		wg.Go(func() { w.Run(ctx) })
		for i := range nodes {
			d, err := w.Deploy(ctx, lifecycle.NewDeployment{Name: fmt.Sprintf("n%d", i), Spec: deploy.Spec{Provider: deploy.ProviderIBMVPC, ServerProfile: "p"}, Actor: deploy.System})
			require.NoError(t, err)
			c.ids = append(c.ids, d.DeploymentID)
		}
		cancel()
		wg.Wait()
	})
	return c
}

// with opens the database for a moment.
func (c *crash) with(f func(*store.Store)) {
	c.t.Helper()
	st, err := store.Open(context.Background(), c.url, store.Options{})
	require.NoError(c.t, err)
	f(st)
	require.NoError(c.t, st.Close())
}

type child struct {
	t       *testing.T
	cmd     *exec.Cmd
	lines   chan string
	started time.Time
	made    *int
}

func (c *crash) start(id, point string, made *int) *child {
	c.t.Helper()
	read, write, err := os.Pipe()
	require.NoError(c.t, err)
	cmd := exec.Command(os.Args[0], "-test.run=^TestChild$")
	cmd.Env = append(os.Environ(), childDB+"="+c.url, childDir+"="+c.dir, childID+"="+id, childPoint+"="+point)
	cmd.ExtraFiles = []*os.File{write}
	p := &child{t: c.t, cmd: cmd, lines: make(chan string, 100_000), started: time.Now(), made: made}
	require.NoError(c.t, cmd.Start())
	require.NoError(c.t, write.Close())
	go func() {
		defer close(p.lines)
		defer read.Close()
		for s := bufio.NewScanner(read); s.Scan(); {
			p.lines <- s.Text()
		}
	}()
	c.t.Cleanup(p.kill)
	return p
}

// kill ends the child at once and takes in what it still told.
func (p *child) kill() {
	if p.cmd.ProcessState != nil {
		return
	}
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
	for line := range p.lines {
		p.note(line)
	}
}

func (p *child) note(line string) {
	if strings.HasPrefix(line, "made ") {
		*p.made++
	}
	if strings.HasPrefix(line, "violation") {
		p.t.Error(line)
	}
}

// until waits for a line, and gives how long after the start it came.
func (p *child) until(line string, patience time.Duration) time.Duration {
	p.t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		select {
		case got, ok := <-p.lines:
			if !ok {
				p.t.Fatalf("the child ended before it told %q", line)
			}
			p.note(got)
			if got == line {
				return time.Since(p.started)
			}
		case <-timeout.C:
			p.t.Fatalf("the child did not tell %q within %s", line, patience)
		}
	}
}

// finished checks that all ended well and nothing was made twice.
func (c *crash) finished(made int) {
	c.t.Helper()
	require.Equal(c.t, len(c.ids), made, "each server is made once")
	c.with(func(st *store.Store) {
		for _, id := range c.ids {
			var state string
			var attempt, sequence, rows, deployed, highest int
			require.NoError(c.t, st.Read.QueryRow(`SELECT state, attempt, sequence FROM deployments WHERE id=$1`, id).Scan(&state, &attempt, &sequence))
			require.NoError(c.t, st.Read.QueryRow(`SELECT COUNT(*), MAX(sequence), COUNT(CASE WHEN phase='deployed' THEN 1 END) FROM deployment_history WHERE deployment_id=$1`, id).Scan(&rows, &highest, &deployed))
			require.Equal(c.t, []any{"succeeded", 1, sequence, sequence, 1}, []any{state, attempt, rows, highest, deployed})
		}
		var stuck sql.NullInt64
		require.NoError(c.t, st.Read.QueryRow(`SELECT COUNT(*) FROM phase_runs WHERE finished_at IS NULL`).Scan(&stuck))
		require.Zero(c.t, stuck.Int64)
	})
}

var points = []string{"order", "ordered", "observe", "names", "probe"}

// patience is for what another process does, on a machine that may be busy.
const patience = 3 * time.Minute

// again tries what has to be in time, and may not be because the machine is busy.
func again(t *testing.T, inTime func() bool) {
	t.Helper()
	for range 6 {
		if inTime() {
			return
		}
	}
	t.Fatal("never in time")
}

// TestKilledInEveryStep: on SQLite the next process goes on within 3 s.
func TestKilledInEveryStep(t *testing.T) {
	for _, point := range points {
		t.Run(point, func(t *testing.T) {
			again(t, func() bool {
				c := newCrash(t, storetest.SQLiteURL(t), 1)
				made := 0
				first := c.start("one", point, &made)
				first.until("at "+point, patience)
				first.kill()
				second := c.start("two", "", &made)
				took := second.until("at "+point, patience)
				second.until("done", patience)
				second.kill()
				c.finished(made)
				t.Logf("resumed %s after the restart", took)
				return took < 3*time.Second
			})
		})
	}
}

// TestKilledAtRandom kills a process again and again at no moment in
// particular.
func TestKilledAtRandom(t *testing.T) {
	c := newCrash(t, storetest.SQLiteURL(t), 3)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	made := 0
	for i := range 8 {
		p := c.start(fmt.Sprintf("life-%d", i), "", &made)
		p.until("ready", patience)
		moment := time.NewTimer(time.Duration(random.IntN(400)) * time.Millisecond)
		<-moment.C
		p.kill()
	}
	last := c.start("last", "", &made)
	last.until("done", patience)
	last.kill()
	c.finished(made)
}

// TestKilledWhileItWaits: a wait that was to end at a time ends then, whoever
// was killed meanwhile.
func TestKilledWhileItWaits(t *testing.T) {
	t.Parallel()
	again(t, func() bool {
		c := newCrash(t, storetest.SQLiteURL(t), 1)
		made := 0
		first := c.start("one", "tired", &made)
		first.until("awaiting", patience)
		wait := time.Now()
		first.kill()
		second := c.start("two", "tired", &made)
		second.until("at names", patience)
		took := time.Since(wait)
		second.until("done", patience)
		second.kill()
		c.finished(made)
		t.Logf("it went on after %s", took)
		// The wait goes on, and ends in its time, at most 3 s late.
		return took > 4*time.Second && took < 9*time.Second
	})
}

// TestKilledReplica: on PostgreSQL another replica goes on soon.
func TestKilledReplica(t *testing.T) {
	for _, point := range []string{"ordered", "probe"} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			c := newCrash(t, storetest.PostgresURL(t), 2)
			made := 0
			first := c.start("one", point, &made)
			first.until("at "+point, patience)
			second := c.start("two", "", &made)
			second.until("ready", patience) // it has come too early to inherit anything
			killed := time.Now()
			first.kill()
			second.until("done", patience)
			require.Less(t, time.Since(killed), time.Minute, "River alone would find it after 90 s")
			second.kill()
			c.finished(made)
		})
	}
}

// TestRestartedReplica: a replica that comes back under its own name, as one
// that is named after its host does, need not wait to be found silent.
func TestRestartedReplica(t *testing.T) {
	again(t, func() bool {
		c := newCrash(t, storetest.PostgresURL(t), 1)
		made := 0
		first := c.start("host", "ordered", &made)
		first.until("at ordered", patience)
		first.kill()
		second := c.start("host", "", &made)
		took := second.until("at ordered", patience)
		second.until("done", patience)
		second.kill()
		c.finished(made)
		t.Logf("resumed %s after the restart", took)
		return took < 5*time.Second
	})
}
