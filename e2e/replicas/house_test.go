package replicas_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience bounds every wait for an outside process. The machine may be busy.
const patience = 3 * time.Minute

// binary gives the path of the program under test: $SLIPWAY_BINARY, or one
// built from the working tree, once.
var binary = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("SLIPWAY_BINARY"); path != "" {
		return path, nil
	}
	dir, err := os.MkdirTemp("", "slipway-binary-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "slipway")
	cmd := exec.Command("go", "build", "-o", path, "./cmd/slipway")
	cmd.Dir = filepath.Join("..", "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building slipway: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if os.Getenv("SLIPWAY_BINARY") == "" {
		if path, err := binary(); err == nil {
			_ = os.RemoveAll(filepath.Dir(path))
		}
	}
	os.Exit(code)
}

// lines keeps what a process prints and wakes who waits for a line.
type lines struct {
	mu      sync.Mutex
	part    []byte
	all     []string
	arrived chan struct{} // closed and replaced with every line
}

func newLines() *lines { return &lines{arrived: make(chan struct{})} }

// Write is io.Writer's.
func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.part = append(l.part, b...)
	for {
		line, rest, ok := bytes.Cut(l.part, []byte("\n"))
		if !ok {
			return len(b), nil
		}
		l.all, l.part = append(l.all, string(line)), rest
		close(l.arrived)
		l.arrived = make(chan struct{})
	}
}

// find looks for a line from an index on; it gives the match, the index behind
// it, and what to wait for if there is none.
func (l *lines) find(re *regexp.Regexp, from int) (match []string, next int, wait <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := from; i < len(l.all); i++ {
		if m := re.FindStringSubmatch(l.all[i]); m != nil {
			return m, i + 1, nil
		}
	}
	return nil, len(l.all), l.arrived
}

func (l *lines) tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.all[max(0, len(l.all)-40):], "\n")
}

// process is a program that runs beside the test and ends with it.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	out   *lines
	ended chan struct{}
	err   error // how it ended
}

func start(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, out: newLines(), ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.out, p.out
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL // should the test itself be killed
	cmd.WaitDelay = 5 * time.Second             // for what its children hold open
	require.NoError(t, cmd.Start())
	go func() {
		p.err = cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s printed at the end:\n%s", filepath.Base(cmd.Path), p.out.tail())
		}
	})
	return p
}

// printed waits for a line.
func (p *process) printed(pattern string) []string {
	p.t.Helper()
	re, from := regexp.MustCompile(pattern), 0
	deadline := time.After(patience)
	for {
		match, next, wait := p.out.find(re, from)
		if match != nil {
			return match
		}
		from = next
		select {
		case <-wait:
		case <-p.ended:
			if match, _, _ := p.out.find(re, 0); match != nil {
				return match
			}
			require.FailNow(p.t, "the process has ended", "%v, waiting for %s:\n%s", p.err, pattern, p.out.tail())
		case <-deadline:
			require.FailNow(p.t, "not printed in time", "%s; the end of it is:\n%s", pattern, p.out.tail())
		}
	}
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may be gone
	<-p.ended
}

// stop asks it to end and gives how it did.
func (p *process) stop() error {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-p.ended:
	case <-time.After(patience):
		require.FailNow(p.t, "it did not stop", p.out.tail())
	}
	return p.err
}

// eventually repeats check, which looks at something outside of this process,
// until it gives nil.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			require.FailNow(t, "not in time: "+what, "%v", err)
		}
	}
}

// slipway is `slipway serve`.
type slipway struct {
	*process
	t        *testing.T
	URL      string
	token    string // of an operator
	database string
	dir      string
}

// serve starts a replica on a database.
func serve(t *testing.T, database string, flags ...string) *slipway {
	t.Helper()
	path, err := binary()
	require.NoError(t, err)
	s := &slipway{t: t, database: database, dir: t.TempDir()}
	args := append([]string{"serve", "--listen=127.0.0.1:0", "--data-dir=" + s.dir, "--database=" + database}, flags...)
	cmd := exec.Command(path, args...)
	cmd.Env = clean()
	s.process = start(t, cmd)
	s.URL = s.printed(`slipway serves" url=(http\S+)`)[1]
	return s
}

// clean is the environment without settings of Slipway.
func clean() (env []string) {
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "SLIPWAY_") {
			env = append(env, e)
		}
	}
	return env
}

// mint makes a token; it holds on every replica.
func mint(t *testing.T, database, role string) string {
	t.Helper()
	path, err := binary()
	require.NoError(t, err)
	cmd := exec.Command(path, "token", "create", "test "+role, "--role="+role, "--data-dir="+t.TempDir(), "--database="+database)
	cmd.Env = clean()
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	require.NoError(t, err, complaint.String())
	return strings.TrimSpace(string(out))
}

var web = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}, Timeout: patience}

// reply is an HTTP answer.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func (r reply) String() string { return fmt.Sprintf("%d %s", r.status, r.body) }

func call(ctx context.Context, token, method, url string, body any) (reply, error) {
	var in io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return reply{}, err
		}
		in = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, in)
	if err != nil {
		return reply{}, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := web.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, raw}, err
}

// node is a rack machine under deployment.
type node struct {
	ID           int64 `json:"node_id"`
	DeploymentID int64 `json:"deployment_id"`
	IP           string
}

// order makes rack machine number n. Nothing is ordered anywhere; it waits for
// its boot.
func (s *slipway) order(n int) node {
	s.t.Helper()
	ip := fmt.Sprintf("127.64.200.%d", n)
	r, err := call(s.t.Context(), s.token, http.MethodPost, s.URL+"/api/config/nodes", map[string]any{
		"node_config":    map[string]any{"node_name": fmt.Sprintf("rack-%d", n), "server_profile": "own", "provider": "rack", "mac": fmt.Sprintf("52:54:00:00:00:%02x", n)},
		"network_config": map[string]any{"management_ip": ip},
	})
	require.NoError(s.t, err)
	require.Equal(s.t, http.StatusAccepted, r.status, r.String())
	out := node{IP: ip}
	require.NoError(s.t, json.Unmarshal(r.body, &out))
	return out
}

// say reports a step, which is one event that moves nothing.
func (s *slipway) say(ctx context.Context, n node, message string) (reply, error) {
	return call(ctx, s.token, http.MethodPost, s.URL+"/api/status/phase", map[string]any{
		"server_ip": n.IP, "phase": "note", "status": "in_progress", "message": message, "idempotency_key": message,
	})
}

// must says a step that must be taken.
func (s *slipway) must(n node, message string) {
	s.t.Helper()
	r, err := s.say(s.t.Context(), n, message)
	require.NoError(s.t, err)
	require.Equal(s.t, http.StatusOK, r.status, r.String())
}

// end fails the deployment, which ends it.
func (s *slipway) end(n node) {
	s.t.Helper()
	r, err := call(s.t.Context(), s.token, http.MethodPost, s.URL+"/api/status/phase", map[string]any{
		"server_ip": n.IP, "phase": "failed", "status": "failed", "message": "ended by the test",
	})
	require.NoError(s.t, err)
	require.Equal(s.t, http.StatusOK, r.status, r.String())
}

// row is an event as REST shows it.
type row struct {
	ID           int64  `json:"id"`
	DeploymentID int64  `json:"deployment_id"`
	Sequence     int    `json:"sequence"`
	Phase        string `json:"phase"`
	Message      string `json:"message"`
}

// table is every event that the database has, in commit order, by the pages
// of the polling twin.
func (s *slipway) table() (out []row) {
	s.t.Helper()
	after := ""
	for {
		r, err := call(s.t.Context(), s.token, http.MethodGet, s.URL+"/api/status/events?include=refused&limit=100&after="+url.QueryEscape(after), nil)
		require.NoError(s.t, err)
		require.Equal(s.t, http.StatusOK, r.status, r.String())
		var page struct {
			Events  []row  `json:"events"`
			Cursor  string `json:"cursor"`
			HasMore bool   `json:"has_more"`
			Reset   string `json:"reset"`
		}
		require.NoError(s.t, json.Unmarshal(r.body, &page))
		require.Empty(s.t, page.Reset)
		out, after = append(out, page.Events...), page.Cursor
		if !page.HasMore {
			return out
		}
	}
}

func messagesOf(rows []row) (out []string) {
	for _, r := range rows {
		if r.Phase == "note" {
			out = append(out, r.Message)
		}
	}
	return out
}

var errRefused = errors.New("refused")
