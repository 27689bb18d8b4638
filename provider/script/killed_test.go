package script_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/provider/script/workdir"
)

// A supervisor that is killed is replaced: output goes on, nothing is lost but
// what it had in its hands, and the end is known if the kernel tells.
func TestSupervisorIsKilled(t *testing.T) {
	h := newHouse(t, "")
	first, openFirst := h.gate("first")
	second, openSecond := h.gate("second")
	h.script("echo before; " + first + "; for i in $(seq 20000); do echo meanwhile $i; done; echo after; " + second + "; exit 5")
	p := h.start(1)
	h.until("output", func() bool { return strings.Contains(h.output(1), "before") })
	pid := h.supervisorPID(1)
	require.NotZero(t, pid)
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	h.until("its end", func() bool { return !running(pid) })
	openFirst() // it writes more than a pipe holds, with nobody reading
	host := h.host()
	now, err := host.Look(t.Context(), keyOf(1))
	require.NoError(t, err)
	require.Equal(t, []any{deploy.ProcessRunning, p.PID}, []any{now.State, now.PID}, "%+v", now)
	require.True(t, h.has(h.markerPath()))
	h.until("the rest of the output", func() bool {
		now, err = host.Look(t.Context(), keyOf(1)) // as Slipway does: it gets another supervisor
		require.NoError(t, err)
		require.Equal(t, deploy.ProcessRunning, now.State)
		return strings.Contains(h.output(1), "\nafter\n")
	})
	require.Empty(t, now.Problem)
	require.Contains(t, h.output(1), "meanwhile 20000\n")
	require.NotEqual(t, pid, h.supervisorPID(1))
	other := h.host()
	wantCode(t, other.ClearMarker(t.Context()), deploy.CodeRunActive, "run 1")
	openSecond()
	end := h.end(1)
	require.NotEmpty(t, end.Problem)
	if kernelTells(t) || end.State == deploy.ProcessEnded {
		require.Equal(t, []any{deploy.ProcessEnded, 5}, []any{end.State, end.ExitCode}, "%+v", end)
	} else {
		require.Equal(t, deploy.ProcessLost, end.State)
	}
	require.Equal(t, deploy.MarkerAbsent, end.Marker)
	require.False(t, h.has(h.markerPath()))
}

// kernelTells reports whether Linux tells how a process ended that is no child:
// since 6.15.
func kernelTells(t *testing.T) bool {
	t.Helper()
	b, err := os.ReadFile("/proc/sys/kernel/osrelease")
	require.NoError(t, err)
	var major, minor int
	_, err = fmt.Sscanf(string(b), "%d.%d", &major, &minor)
	require.NoError(t, err)
	return major > 6 || major == 6 && minor >= 15
}

// Supervisor and script are both killed: that is told, and not made up.
func TestLost(t *testing.T) {
	h := newHouse(t, "echo begun; exec sleep 1000")
	p := h.start(1)
	h.until("output", func() bool { return h.output(1) == "begun\n" })
	pid := h.supervisorPID(1)
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	require.NoError(t, syscall.Kill(-p.PID, syscall.SIGKILL))
	h.until("their end", func() bool { return !running(pid) && !running(p.PID) })
	// The kernel may show the script for a moment more than its end.
	var lost deploy.RunProcess
	h.until("it is lost", func() bool {
		lost = h.look(1)
		return lost.State != deploy.ProcessRunning
	})
	require.Equal(t, deploy.ProcessLost, lost.State, "%+v", lost)
	require.NotEmpty(t, lost.Problem)
	require.Zero(t, lost.ExitCode)
	require.False(t, h.has(h.markerPath()))
	require.Equal(t, lost, h.look(1), "it stays so")
	require.Equal(t, "begun\n", h.output(1))
	h.script("exit 0")
	h.start(2)
	require.Zero(t, h.end(2).ExitCode)
}

// A process that has the script's number, but is another, is not taken for it.
func TestReusedPID(t *testing.T) {
	h := newHouse(t, "exit 0")
	h.start(1)
	h.end(1)
	h.until("its supervisor to end", func() bool { return h.supervisorPID(1) == 0 })
	other := exec.Command("sleep", "1000")
	require.NoError(t, other.Start())
	t.Cleanup(func() {
		_ = other.Process.Kill()
		_ = other.Wait()
	})
	// The run as it would be if its supervisor had died and its number were given
	// again: the end is not known, and the record names a process that is there.
	require.NoError(t, os.Remove(h.path(workdir.RunDir(keyOf(1))+"/ended.json")))
	started, err := os.ReadFile(h.path(workdir.RunDir(keyOf(1)) + "/started.json"))
	require.NoError(t, err)
	forged := strings.Replace(string(started), fmt.Sprintf(`"pid": %d,`, h.pidIn(started)), fmt.Sprintf(`"pid": %d,`, other.Process.Pid), 1)
	require.NotEqual(t, string(started), forged)
	forged = regexp.MustCompile(`"start": (\d+)`).ReplaceAllString(forged, `"start": 1$1`) // the clock has ticks, and both may be of one
	require.NoError(t, os.WriteFile(h.path(workdir.RunDir(keyOf(1))+"/started.json"), []byte(forged), 0o600))
	require.NoError(t, h.host().Stop(t.Context(), keyOf(1), true))
	require.True(t, running(other.Process.Pid), "a stranger was killed")
	require.Equal(t, deploy.ProcessLost, h.look(1).State)
}

func (h *house) pidIn(record []byte) (pid int) {
	_, after, _ := strings.Cut(string(record), `"pid": `)
	_, err := fmt.Sscanf(after, "%d", &pid)
	require.NoError(h.t, err)
	return pid
}

// The supervisor is killed at any moment of the start: one script runs, once,
// and its end is told.
func TestSupervisorIsKilledWhileItStarts(t *testing.T) {
	for i := range 15 {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			h := newHouse(t, "")
			wait, open := h.gate("gate")
			h.script("echo once >>count; " + wait + "; exit 7")
			h.write(1)
			started := make(chan error)
			go func() {
				_, err := h.host().Start(context.Background(), keyOf(1))
				started <- err
			}()
			pid := 0
			h.until("a supervisor", func() bool {
				pid = h.supervisorPID(1)
				return pid != 0
			})
			at := time.NewTimer(rand.N(25 * time.Millisecond))
			defer at.Stop()
			<-at.C
			require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
			require.NoError(t, <-started)
			h.until("the script", func() bool { return h.scripts() > 0 })
			require.Equal(t, 1, h.scripts())
			var p deploy.RunProcess
			h.until("a supervisor", func() bool {
				p = h.look(1)
				return p.State == deploy.ProcessRunning && p.Problem == ""
			})
			wantCode(t, h.host().Ready(t.Context()), deploy.CodeRunActive, "run 1")
			open()
			end := h.end(1)
			if end.State == deploy.ProcessEnded {
				require.Equal(t, []any{7, p.PID}, []any{end.ExitCode, end.PID}, "%+v", end)
			} else { // the one that was killed was still taking leave, and the script was quicker than the next
				require.Equal(t, deploy.ProcessLost, end.State)
				require.NotEmpty(t, end.Problem)
			}
			require.Equal(t, "once\n", string(must(os.ReadFile(h.path("count")))))
			require.False(t, h.has(h.markerPath()))
		})
	}
}
