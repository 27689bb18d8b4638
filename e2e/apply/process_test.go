package apply

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// binary is the program under test.
var binary string

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	if binary = os.Getenv("SLIPWAY_BINARY"); binary != "" {
		binary, err = filepath.Abs(binary)
		if err != nil {
			return 1, err
		}
		return m.Run(), nil
	}
	dir, err := os.MkdirTemp("", "slipway-e2e-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	binary = filepath.Join(dir, "slipway")
	if out, err := exec.Command("go", "build", "-o", binary, "../../cmd/slipway").CombinedOutput(); err != nil {
		return 1, fmt.Errorf("building the program: %w\n%s", err, out)
	}
	return m.Run(), nil
}

// process is a run of the program.
type process struct {
	t    testing.TB
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended and all of its output is there

	mu      sync.Mutex
	lines   []string
	changed chan struct{} // closed and replaced at every line
}

// start runs a command of the program. It is killed with the test.
func start(t testing.TB, command ...string) *process {
	t.Helper()
	p := &process{t: t, done: make(chan struct{}), changed: make(chan struct{})}
	p.cmd = exec.Command(command[0], command[1:]...)
	p.cmd.Env = environment()
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stderr, err := p.cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	go func() {
		p.read(stderr)
		_ = p.cmd.Wait() // the state tells
		close(p.done)
	}()
	return p
}

// environment is ours without settings of the program.
func environment() []string {
	var out []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "SLIPWAY_") {
			out = append(out, e)
		}
	}
	return out
}

func (p *process) read(from io.Reader) {
	s := bufio.NewScanner(from)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		p.mu.Lock()
		p.lines = append(p.lines, s.Text())
		close(p.changed)
		p.changed = make(chan struct{})
		p.mu.Unlock()
	}
}

// find gives the lines that match.
func (p *process) find(pattern string) []string {
	re := regexp.MustCompile(pattern)
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []string
	for _, l := range p.lines {
		if re.MatchString(l) {
			out = append(out, l)
		}
	}
	return out
}

// await waits for a line that matches.
func (p *process) await(ctx context.Context, pattern string) {
	p.t.Helper()
	for {
		p.mu.Lock()
		changed := p.changed
		p.mu.Unlock()
		if len(p.find(pattern)) > 0 {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			p.t.Fatalf("no line with %q came:\n%s", pattern, p.tail(40))
		case <-p.done:
			if len(p.find(pattern)) == 0 {
				p.t.Fatalf("it has ended without a line with %q:\n%s", pattern, p.tail(40))
			}
		}
	}
}

// kill ends it as kill -9 does, and waits until it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
}

// tail gives the last lines that are not about requests.
func (p *process) tail(n int) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	lines := slices.DeleteFunc(slices.Clone(p.lines), func(l string) bool { return strings.Contains(l, "msg=request ") })
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// must runs a command of the program to its end and gives its output.
func must(t testing.TB, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = environment()
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, "slipway %v: %s", args, &stderr)
	return strings.TrimSpace(string(out))
}

// eventually asks until the answer is yes. It is for what other processes do
// and tell nobody.
func eventually(ctx context.Context, t testing.TB, what string, ask func() bool) {
	t.Helper()
	tick := time.NewTicker(40 * time.Millisecond)
	defer tick.Stop()
	for !ask() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited for this in vain: %s", what)
		}
	}
}
