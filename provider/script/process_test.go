package script_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/provider/script"
	"github.com/slipwayhq/slipway/provider/script/supervisor"
)

// gate makes a script wait until the test lets it go on, without a clock: it
// reads a named pipe.
func (h *house) gate(name string) (inScript string, open func()) {
	h.t.Helper()
	path := h.path(name)
	require.NoError(h.t, syscall.Mkfifo(path, 0o600))
	return "read -r _ <" + path, func() {
		h.t.Helper()
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		require.NoError(h.t, err)
		_, err = f.WriteString("go\n")
		require.NoError(h.t, err)
		require.NoError(h.t, f.Close())
	}
}

func (h *house) supervisorPID(run int64) int {
	h.t.Helper()
	for _, dir := range procs(h.t) {
		args := strings.Split(string(must(os.ReadFile(dir+"/cmdline"))), "\x00")
		if len(args) > 4 && args[1] == supervisor.Command && args[2] == "--stage="+supervisor.StageSupervise && args[3] == "--work-dir="+h.dir && args[4] == "--run="+keyOf(run).String() {
			pid, err := strconv.Atoi(filepath.Base(dir))
			require.NoError(h.t, err)
			return pid
		}
	}
	return 0
}

func procs(t *testing.T) []string {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	require.NoError(t, err)
	return dirs
}

func must(b []byte, _ error) []byte { return b }

func running(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, after, _ := strings.Cut(string(b), ") ")
	return err == nil && !strings.HasPrefix(after, "Z")
}

func TestExitCodesAndSignals(t *testing.T) {
	for _, c := range []struct {
		name, body string
		code       int
		signal     string
	}{
		{"success", "exit 0", 0, ""},
		{"failure", "exit 3", 3, ""},
		{"highest code", "exit 255", 255, ""},
		{"command not found", "no_such_command_here", 127, ""},
		{"ends itself by a signal", "kill -USR1 $$", 0, "SIGUSR1"},
		{"is killed", "kill -KILL $$", 0, "SIGKILL"},
		{"a syntax error", "if", 2, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t, c.body)
			begun := time.Now().Add(-time.Second)
			first := h.start(1)
			require.NotZero(t, first.PID)
			p := h.end(1)
			require.Equal(t, deploy.ProcessEnded, p.State, "%+v", p)
			require.Equal(t, c.code, p.ExitCode)
			require.Equal(t, c.signal, p.Signal)
			require.Equal(t, first.PID, p.PID)
			require.True(t, p.StartedAt.After(begun) && !p.EndedAt.Before(p.StartedAt), "%+v", p)
			require.Equal(t, deploy.MarkerAbsent, p.Marker)
			require.False(t, h.has(h.markerPath()))
			again, err := h.host().Start(t.Context(), keyOf(1))
			require.NoError(t, err)
			require.Equal(t, p, again, "a run that has ended is not started again")
		})
	}
}

// The script's world: nothing of Slipway's secrets and files, its own session,
// no terminal, no arguments.
func TestWhatTheScriptGets(t *testing.T) {
	t.Setenv("SLIPWAY_IBM_API_KEY", "secret")
	t.Setenv("LC_TIME", "C")
	t.Setenv("ODD_ONE", "passed")
	h := newHouse(t, `echo "args=$#"; echo "run=$SLIPWAY_RUN_ID"; echo "key=${SLIPWAY_IBM_API_KEY:-none}"; echo "lc=$LC_TIME odd=$ODD_ONE"
echo "dir=$PWD"; printf fds=; for f in /proc/$$/fd/*; do [ -e "$f" ] && printf '%s ' "${f##*/}"; done; echo; echo "stdin=$(readlink /proc/$$/fd/0)"
read -r _ _ _ _ group session tty _ < /proc/$$/stat; echo "group=$((group==$$)) session=$((session==$$)) tty=$tty"
echo "zero=$0"; echo "err" >&2; grep -E '^(SigIgn|SigBlk)' /proc/self/status`)
	f, err := os.Open("/dev/null") // inherited by careless children only
	require.NoError(t, err)
	defer f.Close()
	_, _, errno := syscall.Syscall(syscall.SYS_FCNTL, f.Fd(), syscall.F_SETFD, 0)
	require.Zero(t, errno)
	h.start(1, func(c *script.Config) { c.PassEnv = []string{"ODD_ONE"} })
	p := h.end(1)
	require.Zero(t, p.ExitCode, "%+v %s", p, h.output(1))
	out := h.output(1)
	for _, line := range []string{"args=0", "run=1", "key=none", "lc=C odd=passed", "dir=" + h.dir, "stdin=/dev/null", "group=1 session=1 tty=0", "zero=" + h.scriptPath(), "err", "SigBlk:\t0000000000000000"} {
		require.Contains(t, "\n"+out, "\n"+line+"\n")
	}
	require.Regexp(t, `\nSigIgn:\t00000000[08]0000000\n`, out, "signal 32 is the C library's own, where there is one: the race detector brings it")
	require.Regexp(t, `fds=0 1 2 (255 )?\n`, out, "255 is bash's own")
	require.Equal(t, int64(len(out)), p.LogBytes)
	require.False(t, p.LogCut)
	require.Contains(t, h.log.String(), fmt.Sprintf("level=INFO msg=\"the deployment script was started\" run=1 pid=%d", p.PID))
}

// Whoever started it is killed, with its process group, at any moment.
func TestStarterIsKilled(t *testing.T) {
	for i := range 12 {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			h := newHouse(t, "")
			wait, open := h.gate("gate")
			h.script(wait + "; exit 7")
			h.write(1)
			cmd := exec.Command(os.Args[0], starter, h.dir, "1")
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			require.NoError(t, cmd.Start())
			at := time.NewTimer(rand.N(60 * time.Millisecond))
			defer at.Stop()
			<-at.C
			require.NoError(t, syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL))
			_ = cmd.Wait() // it was killed
			p, err := h.host().Start(t.Context(), keyOf(1))
			require.NoError(t, err)
			require.Equal(t, deploy.ProcessRunning, p.State)
			h.until("the script", func() bool { return h.scripts() > 0 })
			require.Equal(t, 1, h.scripts())
			open()
			end := h.end(1)
			require.Equal(t, []any{deploy.ProcessEnded, 7, p.PID}, []any{end.State, end.ExitCode, end.PID}, "%+v", end)
		})
	}
}

// scripts counts the scripts of this house that run.
func (h *house) scripts() int {
	n := 0
	for _, dir := range procs(h.t) {
		args := strings.Split(string(must(os.ReadFile(dir+"/cmdline"))), "\x00")
		if len(args) > 1 && args[0] == "/bin/bash" && args[1] == h.scriptPath() {
			n++
		}
	}
	return n
}

func TestStop(t *testing.T) {
	h := newHouse(t, `trap 'echo asked' TERM; echo ready; while :; do sleep 1000 & wait $!; done`)
	h.start(1)
	host := h.host()
	h.until("the trap", func() bool { return h.output(1) == "ready\n" })
	require.NoError(t, host.Stop(t.Context(), keyOf(1), false))
	h.until("the script to be asked", func() bool { return strings.Contains(h.output(1), "asked") })
	require.Equal(t, deploy.ProcessRunning, h.look(1).State)
	require.NoError(t, host.Stop(t.Context(), keyOf(1), true))
	p := h.end(1)
	require.Equal(t, []any{deploy.ProcessEnded, "SIGKILL"}, []any{p.State, p.Signal}, "%+v", p)
	require.Empty(t, p.Problem)
	require.False(t, h.has(h.markerPath()))
	require.NoError(t, host.Stop(t.Context(), keyOf(1), true), "of a run that has ended")
}

func TestStopAsksTheWholeGroup(t *testing.T) {
	h := newHouse(t, `sleep 1000 & echo $!; wait`)
	h.start(1)
	h.until("the child", func() bool { return strings.HasSuffix(h.output(1), "\n") })
	child, err := strconv.Atoi(strings.TrimSpace(h.output(1)))
	require.NoError(t, err)
	require.NoError(t, h.host().Stop(t.Context(), keyOf(1), false))
	p := h.end(1)
	require.Equal(t, "SIGTERM", p.Signal)
	require.False(t, running(child))
}

// daemon leaves a process behind that is in a session of its own and ignores
// what asks it to end.
const daemon = `setsid bash -c 'trap "" TERM; echo $$ >daemon.pid; echo from the daemon; exec sleep 1000' & until [ -s daemon.pid ]; do :; done; `

func (h *house) daemon() int {
	h.t.Helper()
	pid, err := strconv.Atoi(strings.TrimSpace(string(must(os.ReadFile(h.path("daemon.pid"))))))
	require.NoError(h.t, err)
	h.t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) }) // it may be gone
	return pid
}

func TestDaemonLeftBehind(t *testing.T) {
	h := newHouse(t, daemon+"exit 0")
	h.start(1)
	p := h.end(1)
	pid := h.daemon()
	require.Equal(t, []any{deploy.ProcessEnded, 0}, []any{p.State, p.ExitCode})
	require.Contains(t, p.Problem, fmt.Sprintf("left 1 processes behind that still run: %d (sleep)", pid))
	require.True(t, running(pid), "what a script starts on purpose is its own")
	require.False(t, h.has(h.markerPath()))
	h.script("exit 0") // and is in nobody's way
	h.start(2)
	require.Equal(t, deploy.ProcessEnded, h.end(2).State)
}

// A run that is canceled has ended only when all that it started has.
func TestDaemonOfACanceledRun(t *testing.T) {
	h := newHouse(t, daemon+"echo ready; exec sleep 1000")
	p := h.start(1)
	h.until("the script", func() bool { return strings.Contains(h.output(1), "ready") })
	pid := h.daemon()
	host := h.host()
	require.NoError(t, host.Stop(t.Context(), keyOf(1), false))
	h.until("the script to end", func() bool { return !running(p.PID) })
	require.Equal(t, deploy.ProcessRunning, h.look(1).State)
	require.True(t, running(pid))
	require.NoError(t, host.Stop(t.Context(), keyOf(1), true))
	end := h.end(1)
	require.Equal(t, []any{deploy.ProcessEnded, "SIGTERM", ""}, []any{end.State, end.Signal, end.Problem}, "%+v", end)
	require.False(t, running(pid))
}

func TestCanceledBeforeItsStart(t *testing.T) {
	h := newHouse(t, "touch ran")
	h.write(1)
	host := h.host()
	require.NoError(t, host.Stop(t.Context(), keyOf(1), false))
	p, err := host.Start(t.Context(), keyOf(1))
	wantCode(t, err, deploy.CodeWrongState, "canceled")
	require.Equal(t, deploy.ProcessNone, p.State)
	require.Equal(t, deploy.ProcessNone, h.look(1).State)
	require.False(t, h.has(h.path("ran")))
}

// Canceled at any moment of the start: either it does not run, or it is ended.
func TestCanceledWhileItStarts(t *testing.T) {
	for i := range 12 {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			h := newHouse(t, "exec sleep 1000")
			h.write(1)
			started := make(chan struct{})
			go func() {
				defer close(started)
				_, _ = h.host().Start(context.Background(), keyOf(1)) // how it ended is asked for below
			}()
			at := time.NewTimer(rand.N(40 * time.Millisecond))
			defer at.Stop()
			<-at.C
			require.NoError(t, h.host().Stop(t.Context(), keyOf(1), false))
			<-started
			h.until("its end", func() bool {
				p := h.look(1)
				return p.State == deploy.ProcessNone || p.State == deploy.ProcessEnded && p.Signal == "SIGTERM"
			})
			require.Zero(t, h.scripts())
		})
	}
}

func TestOneRunIsStartedOnceByEightProcesses(t *testing.T) {
	h := newHouse(t, "")
	wait, open := h.gate("gate")
	h.script("echo once >>count; " + wait)
	h.write(1)
	pids := h.eight(func(int) string { return "1" })
	for _, pid := range pids {
		require.Equal(t, pids[0], pid)
	}
	open()
	h.end(1)
	require.Equal(t, "once\n", string(must(os.ReadFile(h.path("count")))))
}

// eight starts runs from eight processes at once and gives what they say.
func (h *house) eight(run func(i int) string) [8]string {
	h.t.Helper()
	var said [8]string
	var all sync.WaitGroup
	for i := range said {
		cmd := exec.Command(os.Args[0], starter, h.dir, run(i))
		out, err := cmd.StdoutPipe()
		require.NoError(h.t, err)
		require.NoError(h.t, cmd.Start())
		all.Go(func() {
			said[i], _ = bufio.NewReader(out).ReadString('\n') // nothing is what the test does not want
			_ = cmd.Wait()                                     // what it says is asked for
		})
	}
	all.Wait()
	return said
}

// Two runs whose files are both there, which the marker forbids and a person can
// bring about: one script runs.
func TestTwoRunsAtOnce(t *testing.T) {
	h := newHouse(t, "")
	wait, open := h.gate("gate")
	h.script("echo once >>count; " + wait)
	h.write(1)
	require.NoError(t, h.host().ClearMarker(t.Context()))
	h.write(2)
	require.NoError(t, os.Remove(h.markerPath()))
	said := h.eight(func(i int) string { return strconv.Itoa(i%2 + 1) })
	pid := ""
	for _, s := range said {
		if _, err := strconv.Atoi(strings.TrimSpace(s)); err == nil {
			require.Contains(t, []string{"", s}, pid, "two scripts: %v", said)
			pid = s
		} else {
			require.Contains(t, s, "run_active", "%v", said)
		}
	}
	require.NotEmpty(t, pid, "%v", said)
	h.until("the script", func() bool { return h.scripts() > 0 })
	require.Equal(t, 1, h.scripts())
	open()
	h.until("the end", func() bool { return h.look(1).State == deploy.ProcessEnded || h.look(2).State == deploy.ProcessEnded })
	require.Equal(t, "once\n", string(must(os.ReadFile(h.path("count")))))
}

func TestSecondRunIsRefused(t *testing.T) {
	h := newHouse(t, "")
	wait, open := h.gate("gate")
	h.script(wait)
	h.start(1)
	host := h.host()
	wantCode(t, host.Ready(t.Context()), deploy.CodeRunActive, "run 1")
	wantCode(t, host.Write(t.Context(), runOf(2, "node_02.json", "{}")), deploy.CodeRunActive, "run 1")
	require.False(t, h.has(h.node("node_02.json")))
	wantCode(t, host.Undo(t.Context(), runOf(1, "node_01.json", "{}")), deploy.CodeRunActive, "run 1")
	m, err := host.Marker(t.Context())
	require.NoError(t, err)
	require.Equal(t, []any{h.markerPath(), true, int64(1), true}, []any{m.Path, m.Present, m.RunID, m.Alive})
	wantCode(t, host.ClearMarker(t.Context()), deploy.CodeRunActive, "run 1")
	require.True(t, h.has(h.markerPath()))
	open()
	h.end(1)
	require.NoError(t, host.Ready(t.Context()))
	require.NoError(t, host.Write(t.Context(), runOf(2, "node_02.json", "{}")))
}
