package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/e2e/simlock"
)

// process is the program, run as its own process.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	stderr bytes.Buffer
	lines  chan string // of its output, closed at its end

	mu  sync.Mutex
	out []string // of its output, so far
}

// runSlipway starts the program with a temporary directory of its own. It is
// killed at the end of the test if it still runs.
func runSlipway(t *testing.T, tmp string, args ...string) *process {
	t.Helper()
	p := &process{t: t, lines: make(chan string, 10_000)}
	p.cmd = exec.Command(os.Args[0], args...)
	p.cmd.Env = append(os.Environ(), asSlipway+"=1", "TMPDIR="+tmp)
	p.cmd.Stderr = &p.stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	go func() {
		defer close(p.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			p.mu.Lock()
			p.out = append(p.out, s.Text())
			p.mu.Unlock()
			p.lines <- s.Text()
		}
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it has ended, or must
		_ = p.cmd.Wait()
		if t.Failed() {
			t.Logf("output of slipway %s:\n%s\n%s", strings.Join(args, " "), strings.Join(p.said(), "\n"), &p.stderr)
		}
	})
	return p
}

func (p *process) said() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.out...)
}

// await reads the output up to a line that matches.
func (p *process) await(ctx context.Context, pattern string) string {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				p.t.Fatalf("the output ended without %s", pattern)
			}
			if re.MatchString(line) {
				return line
			}
		case <-ctx.Done():
			p.t.Fatalf("no line with %s came", pattern)
		}
	}
}

// end reads the rest of the output and gives the exit code.
func (p *process) end(ctx context.Context) int {
	p.t.Helper()
	for open := true; open; {
		select {
		case _, open = <-p.lines:
		case <-ctx.Done():
			p.t.Fatal("it does not end")
		}
	}
	err := p.cmd.Wait()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		p.t.Fatal(err)
	}
	return p.cmd.ProcessState.ExitCode()
}

// demoArgs runs the demonstration as fast as it goes.
func demoArgs(more ...string) []string {
	return append([]string{"demo", "--pace=quick", "--listen=127.0.0.1:0"}, more...)
}

// leftBehind is what is in a directory now, but for the log that was named.
func leftBehind(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var names []string
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".log") {
			names = append(names, e.Name())
		}
	}
	return names
}

// changeLine is a line of the output where it is no terminal.
var changeLine = regexp.MustCompile(`^\d\d:\d\d:\d\d {2}(demo-\d) +([a-z_]+) +(waiting|in_progress|success|skipped|failed) +\S.*$`)

func TestDemoEndsWithZeroWhenAllAreDeployed(t *testing.T) {
	simlock.Take(t)
	ctx, cancel := context.WithTimeout(t.Context(), showLimit)
	defer cancel()
	tmp := reachableDir(t)
	p := runSlipway(t, tmp, demoArgs("--exit-when-done")...)
	require.Equal(t, 0, p.end(ctx), "%s", &p.stderr)
	require.Empty(t, p.stderr.String())
	out := p.said()
	text := strings.Join(out, "\n")
	require.Regexp(t, `(?m)^App +http://127\.0\.0\.1:\d+/monitoring#signin=slc_\S+$`, text)
	require.Regexp(t, `(?m)^Cloud +http://127\.0\.0\.1:\d+ \(simulated`, text)
	require.NotContains(t, text, "\x1b", "escape sequences are for terminals")
	changes := map[string][]string{}
	for _, line := range out {
		if m := changeLine.FindStringSubmatch(line); m != nil {
			changes[m[1]] = append(changes[m[1]], m[2]+" "+m[3])
		}
	}
	for _, name := range []string{"demo-1", "demo-2", "demo-3"} {
		// The order's answer may come when it has been admitted already.
		require.Regexp(t, `^(pending|server_requested) `, changes[name][0])
		require.Equal(t, "deployed success", changes[name][len(changes[name])-1])
		for _, must := range []string{"server_requested success", "ipxe_boot in_progress", "config_download in_progress", "image_download success", "installation in_progress", "installation success", "cluster_formation skipped", "dns_registration success"} {
			require.Contains(t, changes[name], must, name)
		}
		require.Regexp(t, `(?m)^`+name+`: deployed at 127\.64\.\d+\.\d+$`, text)
	}
	require.Regexp(t, `^all 3 deployed in \d+s$`, out[len(out)-1])
	require.Empty(t, leftBehind(t, tmp))
}

func TestDemoEndsWithOneWhenOneFails(t *testing.T) {
	simlock.Take(t)
	ctx, cancel := context.WithTimeout(t.Context(), showLimit)
	defer cancel()
	tmp := reachableDir(t)
	p := runSlipway(t, tmp, demoArgs("--exit-when-done", "--nodes=2", `--faults=[{"match":"slw-demo-2-*","fault":"script_line_fails","tool":"ip"}]`)...)
	require.Equal(t, 1, p.end(ctx))
	text := strings.Join(p.said(), "\n")
	require.Regexp(t, `(?m)^demo-1: deployed at `, text)
	require.Regexp(t, `(?m)^demo-2: failed in network_config: network-config\.sh:\d+: .* \(reported_failure\)$`, text)
	require.NotContains(t, text, "all 2 deployed")
	require.Empty(t, leftBehind(t, tmp))
}

func TestDemoRefusesNonsense(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), showLimit)
	defer cancel()
	for _, args := range [][]string{
		demoArgs("--nodes=0"), demoArgs("--nodes=26"), demoArgs("--faults=nonsense"), demoArgs("--faults=@/does/not/exist"),
		demoArgs("--pace=slow"), {"demo", "--no-such-flag"}, {"no-such-command"},
	} {
		tmp := reachableDir(t)
		p := runSlipway(t, tmp, args...)
		require.Equal(t, exitUsage, p.end(ctx), "%v: %s", args, &p.stderr)
		require.Contains(t, p.stderr.String(), "slipway: ", "%v", args)
		require.Empty(t, leftBehind(t, tmp), "%v", args)
	}
}

// TestInterruptEndsTheDemo: while scripts run, so that there is something to
// end.
func TestInterruptEndsTheDemo(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			simlock.Take(t)
			ctx, cancel := context.WithTimeout(t.Context(), showLimit)
			defer cancel()
			tmp := reachableDir(t)
			p := runSlipway(t, tmp, demoArgs("--nodes=2", `--faults=[{"match":"slw-demo-1-*","fault":"hang_in_installer"}]`)...)
			p.await(ctx, `demo-1 +installation +in_progress `)
			children := descendants(t, p.cmd.Process.Pid)
			require.NotEmpty(t, children, "the scripts should be running")
			require.NoError(t, p.cmd.Process.Signal(sig))
			require.Equal(t, 0, p.end(ctx), "%s", &p.stderr)
			require.Empty(t, p.stderr.String())
			require.Contains(t, p.said(), "stopping")
			for pid, began := range children {
				_, still, err := stat(pid)
				require.False(t, err == nil && still == began, "process %d is still there", pid)
			}
			require.Empty(t, leftBehind(t, tmp))
		})
	}
}

// descendants are the children of a process and theirs, with their start times.
func descendants(t *testing.T, root int) map[int]string {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	require.NoError(t, err)
	parents, began := map[int]int{}, map[int]string{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if parent, start, err := stat(pid); err == nil {
			parents[pid], began[pid] = parent, start
		}
	}
	out := map[int]string{}
	for pid := range parents {
		for up := parents[pid]; up > 1; up = parents[up] {
			if up == root {
				out[pid] = began[pid]
				break
			}
		}
	}
	return out
}

// stat reads a process's parent and start time (proc_pid_stat(5)).
func stat(pid int) (parent int, start string, err error) {
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, "", err
	}
	rest := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:])) // from field 3 on
	if len(rest) < 20 {
		return 0, "", fmt.Errorf("stat of process %d is too short", pid)
	}
	parent, err = strconv.Atoi(rest[1])
	return parent, rest[19], err
}
