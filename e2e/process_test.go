package e2e

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
	"strings"
	"sync"
	"syscall"
	"testing"

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
	if out, err := exec.Command("go", "build", "-o", binary, "../cmd/slipway").CombinedOutput(); err != nil {
		return 1, fmt.Errorf("building the program: %w\n%s", err, out)
	}
	return m.Run(), nil
}

// process is a run of the program.
type process struct {
	t    testing.TB
	name string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended and all of its output is there

	mu      sync.Mutex
	lines   []string // of both outputs
	stdout  []string
	changed chan struct{} // closed and replaced at every line
}

// start runs the program. It is killed with the test, if it still runs.
func start(t testing.TB, name string, args ...string) *process {
	t.Helper()
	p := &process{t: t, name: name, done: make(chan struct{}), changed: make(chan struct{})}
	p.cmd = exec.Command(binary, args...)
	p.cmd.Env = environment()
	// The test's end is the program's: whatever the way.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stdout, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	stderr, err := p.cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	var reading sync.WaitGroup
	reading.Go(func() { p.read(stdout, true) })
	reading.Go(func() { p.read(stderr, false) })
	go func() {
		reading.Wait()
		_ = p.cmd.Wait() // the state tells
		close(p.done)
	}()
	t.Cleanup(func() {
		p.kill()
		if cries := p.find(`^(WARNING: DATA RACE|panic: |fatal error: )`); cries != "" {
			t.Errorf("%s: %s", p.name, cries)
		}
		if t.Failed() {
			t.Logf("the last of %s:\n%s", p.name, p.tail(40))
		}
	})
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

func (p *process) read(from io.Reader, isOut bool) {
	s := bufio.NewScanner(from)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		p.mu.Lock()
		p.lines = append(p.lines, s.Text())
		if isOut {
			p.stdout = append(p.stdout, s.Text())
		}
		close(p.changed)
		p.changed = make(chan struct{})
		p.mu.Unlock()
	}
}

// find gives the lines from the first that matches on, at most 40; "" if none
// does.
func (p *process) find(pattern string) string {
	re := regexp.MustCompile(pattern)
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, l := range p.lines {
		if re.MatchString(l) {
			return strings.Join(p.lines[i:min(i+40, len(p.lines))], "\n")
		}
	}
	return ""
}

// await waits for a line that matches and gives its submatches.
func (p *process) await(ctx context.Context, pattern string) []string {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	for next := 0; ; {
		p.mu.Lock()
		lines, changed := p.lines[next:], p.changed
		p.mu.Unlock()
		for _, l := range lines {
			next++
			if m := re.FindStringSubmatch(l); m != nil {
				return m
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			p.t.Fatalf("%s: no line with %q came:\n%s", p.name, pattern, p.tail(40))
		case <-p.done:
			p.mu.Lock()
			all := len(p.lines)
			p.mu.Unlock()
			if next == all {
				p.t.Fatalf("%s has ended without a line with %q:\n%s", p.name, pattern, p.tail(40))
			}
		}
	}
}

// end waits for its end and gives its exit code.
func (p *process) end(ctx context.Context) int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-ctx.Done():
		p.t.Fatalf("%s does not end:\n%s", p.name, p.tail(40))
	}
	return p.cmd.ProcessState.ExitCode()
}

// kill ends it as kill -9 does, and waits until it is gone.
func (p *process) kill() {
	select {
	case <-p.done:
		return
	default:
	}
	_ = p.cmd.Process.Kill() // it may end at this moment
	<-p.done
}

// said is what it wrote on its standard output.
func (p *process) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.stdout, "\n")
}

func (p *process) tail(n int) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines[max(0, len(p.lines)-n):], "\n")
}

// result is what a command did.
type result struct {
	code        int
	out, stderr string
}

// slipway runs a command of the program to its end.
func slipway(t testing.TB, env []string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = append(environment(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var out, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &stderr
	err := cmd.Run()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		t.Fatalf("slipway %v: %v", args, err)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), stderr.String()}
}

// must is slipway for commands that have to succeed; it gives their output.
func must(t testing.TB, args ...string) string {
	t.Helper()
	r := slipway(t, nil, args...)
	require.Equal(t, 0, r.code, "slipway %v: %s%s", args, r.out, r.stderr)
	return strings.TrimSpace(r.out)
}
