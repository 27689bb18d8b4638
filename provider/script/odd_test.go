package script_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/provider/script"
	"github.com/slipwayhq/slipway/provider/script/workdir"
)

func TestMarkerThatTheScriptTakesAway(t *testing.T) {
	h := newHouse(t, "")
	wait, open := h.gate("gate")
	h.script("rm .markers/deplyment_status/deployment_in_progress; echo gone; " + wait)
	h.start(1)
	h.until("the marker to go", func() bool { return h.output(1) == "gone\n" })
	now := h.look(1)
	require.Equal(t, []any{deploy.ProcessRunning, deploy.MarkerAbsent}, []any{now.State, now.Marker})
	require.Contains(t, now.Problem, "taken its marker away")
	wantCode(t, h.host().Write(t.Context(), runOf(2, "node_02.json", "{}")), deploy.CodeRunActive, "run 1")
	open()
	p := h.end(1)
	require.Equal(t, []any{deploy.ProcessEnded, 0}, []any{p.State, p.ExitCode})
}

func TestMarkerTakenAwayEarlyIsTold(t *testing.T) {
	h := newHouse(t, "rm .markers/deplyment_status/deployment_in_progress; sleep 2")
	h.start(1)
	// Two seconds, or more of them on a busy machine.
	problem := h.end(1).Problem
	said := regexp.MustCompile(`took its marker away ([\dms.]+) before it ended`).FindStringSubmatch(problem)
	require.NotNil(t, said, problem)
	early, err := time.ParseDuration(said[1])
	require.NoError(t, err, problem)
	require.GreaterOrEqual(t, early, time.Second, problem)
}

func TestMarkerTakenAwayAtTheEndIsFine(t *testing.T) {
	h := newHouse(t, "exec rm .markers/deplyment_status/deployment_in_progress")
	h.start(1)
	p := h.end(1)
	require.Empty(t, p.Problem)
	m, err := h.host().Marker(t.Context())
	require.NoError(t, err)
	require.Equal(t, deploy.Marker{Path: h.markerPath()}, m)
}

func TestMarkerThatIsLeft(t *testing.T) {
	h := newHouse(t, "exit 0")
	h.start(1)
	p := h.end(1)
	require.Contains(t, p.Problem, "left its marker")
	require.Equal(t, deploy.MarkerAbsent, p.Marker)
	require.False(t, h.has(h.markerPath()))
}

// A marker of somebody else's, found at start.
func TestStaleMarker(t *testing.T) {
	h := newHouse(t, "exit 0")
	require.NoError(t, os.MkdirAll(filepath.Dir(h.markerPath()), 0o750))
	require.NoError(t, os.WriteFile(h.markerPath(), nil, 0o640))
	host := h.host()
	m, err := host.Marker(t.Context())
	require.NoError(t, err)
	require.True(t, m.Present && !m.Alive && m.RunID == 0 && !m.Since.IsZero(), "%+v", m)
	wantCode(t, host.Ready(t.Context()), deploy.CodeRunActive, h.markerPath())
	wantCode(t, host.Write(t.Context(), runOf(1, "node_01.json", "{}")), deploy.CodeRunActive, h.markerPath())
	require.False(t, h.has(h.node("node_01.json")))
	require.True(t, h.has(h.markerPath()), "the undo of a write takes only its own marker away")
	require.NoError(t, host.ClearMarker(t.Context()))
	require.False(t, h.has(h.markerPath()))
	require.NoError(t, host.ClearMarker(t.Context()))
	require.NoError(t, host.Ready(t.Context()))
}

func TestScriptVanishesBeforeItsStart(t *testing.T) {
	h := newHouse(t, "exit 0")
	require.NoError(t, h.host().Ready(t.Context()))
	h.write(1)
	require.NoError(t, os.Remove(h.scriptPath()))
	p, err := h.host().Start(t.Context(), keyOf(1))
	wantCode(t, err, deploy.CodeWrongState, h.scriptPath())
	require.Equal(t, []any{deploy.ProcessNone, deploy.MarkerAbsent, 0}, []any{p.State, p.Marker, p.PID})
	require.Contains(t, p.Problem, "missing")
	require.False(t, h.has(h.markerPath()))
	require.Contains(t, h.log.String(), "level=ERROR")
	require.Equal(t, p, h.look(1))
	h.script("exit 0") // it comes back: this run stays over
	_, err = h.host().Start(t.Context(), keyOf(1))
	wantCode(t, err, deploy.CodeWrongState, h.scriptPath())
	require.NoError(t, h.host().Undo(t.Context(), deploy.ScriptRun{RunKey: keyOf(1)}))
	require.False(t, h.has(h.node("node_01.json")))
}

func TestNotReady(t *testing.T) {
	h := newHouse(t, "exit 0")
	require.NoError(t, os.Remove(h.scriptPath()))
	wantCode(t, h.host().Ready(t.Context()), deploy.CodeNotFound, h.scriptPath())
	require.NoError(t, os.Mkdir(h.scriptPath(), 0o750))
	wantCode(t, h.host().Ready(t.Context()), deploy.CodeInvalid, h.scriptPath())
	require.NoError(t, os.Remove(h.scriptPath()))
	require.NoError(t, os.Symlink("/bin/true", h.scriptPath()))
	wantCode(t, h.host().Ready(t.Context()), deploy.CodeInvalid, h.scriptPath())
	nowhere := h.host(func(c *script.Config) { c.WorkDir = h.path("nowhere") })
	wantCode(t, nowhere.Ready(t.Context()), deploy.CodeNotFound, h.path("nowhere"))
	wantCode(t, nowhere.Write(t.Context(), runOf(1, "node_01.json", "{}")), deploy.CodeNotFound, h.path("nowhere"))
	_, err := nowhere.Start(t.Context(), keyOf(1))
	wantCode(t, err, deploy.CodeNotFound, h.path("nowhere"))
}

func TestStartNeedsItsFiles(t *testing.T) {
	h := newHouse(t, "touch ran")
	_, err := h.host().Start(t.Context(), keyOf(1))
	wantCode(t, err, deploy.CodeWrongState, "run 1")
	run := h.write(1)
	require.NoError(t, h.host().Undo(t.Context(), run))
	_, err = h.host().Start(t.Context(), keyOf(1))
	wantCode(t, err, deploy.CodeWrongState, "run 1")
	require.False(t, h.has(h.path("ran")))
}

func TestSupervisorThatDoesNotWork(t *testing.T) {
	h := newHouse(t, "touch ran")
	h.write(1)
	_, err := h.host(func(c *script.Config) { c.Program = []string{h.path("nothing")} }).Start(t.Context(), keyOf(1))
	wantCode(t, err, deploy.CodeNotFound, h.path("nothing"))
	_, err = h.host(func(c *script.Config) { c.Program = []string{"/bin/sh", "-c", "echo out of order >&2"} }).Start(t.Context(), keyOf(1))
	wantCode(t, err, deploy.CodeUpstreamUnavailable, "out of order")
	require.Contains(t, h.log.String(), "level=ERROR")
	require.False(t, h.has(h.path("ran")))
	p, err := h.host().Start(t.Context(), keyOf(1)) // repaired
	require.NoError(t, err)
	require.NotZero(t, p.PID)
	h.end(1)
	require.True(t, h.has(h.path("ran")))
}

// The script is run by its interpreter: a mode that cannot be changed is no
// obstacle.
func TestModeThatCannotBeChanged(t *testing.T) {
	h := newHouse(t, "echo ran")
	p := h.start(1, func(c *script.Config) {
		c.Step = func(op, name string, do func() error) error {
			if op == "making executable" {
				return &os.PathError{Op: "chmod", Path: name, Err: syscall.EPERM}
			}
			return do()
		}
	})
	require.NotZero(t, p.PID)
	require.Zero(t, h.end(1).ExitCode)
	require.Equal(t, "ran\n", h.output(1))
	require.Contains(t, h.log.String(), "level=WARN")
	require.Contains(t, h.log.String(), "could not be made executable")
	info, err := os.Stat(h.scriptPath())
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o640), info.Mode().Perm())
	h.start(2)
	info, err = os.Stat(h.scriptPath())
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o755), info.Mode().Perm())
	h.end(2)
}

// 100 MB of output: what is kept is bounded all the time, offsets stay true, and
// it can be read while it is written.
func TestMuchOutput(t *testing.T) {
	const limit, total = 1 << 20, 100 << 20
	h := newHouse(t, fmt.Sprintf(`seq -f '%%015.0f' 1 %d`, total/16))
	h.start(1, func(c *script.Config) { c.LogLimit = limit })
	host := h.host()
	used := func() (n int64) {
		files, err := filepath.Glob(h.path(workdir.RunDir(keyOf(1)) + "/log/*"))
		require.NoError(t, err)
		for _, f := range files {
			if info, err := os.Stat(f); err == nil { // it may be given up meanwhile
				n += info.Size()
			}
		}
		return n
	}
	// check compares a piece of the log with what the script writes.
	check := func(offset int64, text []byte) {
		for first := (16 - offset%16) % 16; first+16 <= int64(len(text)); first += 16 {
			want := fmt.Sprintf("%015d\n", (offset+first)/16+1)
			if got := string(text[first : first+16]); got != want {
				t.Fatalf("at %d: %q, want %q", offset+first, got, want)
			}
		}
	}
	gaps, next := 0, int64(0)
	var p deploy.RunProcess
	h.until("the end of the output", func() bool {
		p = h.look(1)
		require.LessOrEqual(t, used(), int64(limit+limit/8), "while it is written")
		text, after, err := host.Log(t.Context(), keyOf(1), next, 100_000)
		require.NoError(t, err)
		if bytes.HasPrefix(text, []byte("[slipway: ")) {
			require.Equal(t, fmt.Sprintf("[slipway: %d bytes of output are not kept: the log had reached its limit, or the disk was full]\n", after-next), string(text))
			gaps++
		} else {
			check(next, text)
			require.Equal(t, next+int64(len(text)), after)
		}
		next = after
		return p.State == deploy.ProcessEnded && len(text) == 0
	})
	require.Equal(t, int64(total), next)
	require.Equal(t, []any{int64(total), true}, []any{p.LogBytes, p.LogCut})
	require.NotZero(t, gaps)
	require.LessOrEqual(t, used(), int64(limit))
	require.Greater(t, used(), int64(limit*3/4))
	head, after, err := host.Log(t.Context(), keyOf(1), 0, limit)
	require.NoError(t, err)
	require.Equal(t, int64(limit/2), after, "the beginning is kept")
	check(0, head)
	tail, after, err := host.Log(t.Context(), keyOf(1), total-limit/4, limit)
	require.NoError(t, err)
	require.Equal(t, int64(total), after, "and the end")
	check(total-limit/4, tail)
	none, after, err := host.Log(t.Context(), keyOf(1), total+5, 10)
	require.NoError(t, err)
	require.Empty(t, none)
	require.Equal(t, int64(total+5), after)
}

func TestLogInCharacters(t *testing.T) {
	h := newHouse(t, "printf 'aé€x'")
	h.start(1)
	h.end(1)
	host := h.host()
	for _, c := range []struct {
		offset int64
		limit  int
		want   string
		next   int64
	}{{0, 2, "a", 1}, {1, 2, "é", 3}, {3, 3, "€", 6}, {3, 100, "€x", 7}, {1, 1, "\xc3", 2}, {7, 5, "", 7}, {-4, 1, "a", 1}, {0, 0, "", 0}} {
		text, next, err := host.Log(t.Context(), keyOf(1), c.offset, c.limit)
		require.NoError(t, err)
		require.Equal(t, []any{c.want, c.next}, []any{string(text), next}, "%+v", c)
	}
	text, next, err := host.Log(t.Context(), keyOf(99), 5, 10)
	require.NoError(t, err)
	require.Empty(t, text)
	require.Equal(t, int64(5), next)
}

// A full disk takes output away, never the exit code.
func TestExitCodeOnAFullDisk(t *testing.T) {
	dir := smallDisk(t)
	h := &house{t: t, dir: dir}
	wait, open := h.gate("gate")
	h.script("echo begun; " + wait + "; cat /dev/zero >fill 2>/dev/null; for i in $(seq 100000); do echo line $i; done; exit 9")
	h.start(1)
	h.until("output", func() bool { return h.output(1) == "begun\n" })
	open()
	p := h.end(1)
	require.Equal(t, []any{deploy.ProcessEnded, 9}, []any{p.State, p.ExitCode}, "%+v", p)
	require.Contains(t, p.Problem, "no space left on device")
	require.True(t, strings.HasPrefix(h.output(1), "begun\n"))
	require.False(t, h.has(h.markerPath()))
	_ = os.WriteFile(h.path("fill2"), make([]byte, 1<<20), 0o600) // what the end of the run has freed
	err := h.host().Ready(t.Context())
	wantCode(t, err, deploy.CodeQuotaExceeded, dir)
	wantCode(t, h.host().Write(t.Context(), runOf(2, "node_01.json", strings.Repeat("x", 1<<16))), deploy.CodeQuotaExceeded, dir)
	require.JSONEq(t, `{"run": 1}`, string(must(os.ReadFile(h.node("node_01.json")))))
	require.NoError(t, os.Remove(h.path("fill")))
	require.NoError(t, os.Remove(h.path("fill2")))
	require.NoError(t, h.host().Ready(t.Context()))
}

// smallDisk mounts a file system of 1 MiB.
func smallDisk(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("mounting needs root")
	}
	dir := t.TempDir()
	if err := syscall.Mount("slipway-test", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("this place forbids mounting: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// A file system in trouble delays the exit code, and does not lose it.
func TestExitCodeThatCannotBeWritten(t *testing.T) {
	h := newHouse(t, "")
	wait, open := h.gate("gate")
	h.script(wait + "; exit 6")
	h.start(1)
	run, away := h.path(workdir.RunDir(keyOf(1))), h.path(".slipway/away")
	require.NoError(t, os.Rename(run, away))
	open()
	log := func() string { return string(must(os.ReadFile(filepath.Join(away, "supervisor.log")))) }
	h.until("the supervisor to try", func() bool { return strings.Contains(log(), "could not be written") })
	require.NoError(t, os.Rename(away, run))
	p := h.end(1)
	require.Equal(t, []any{deploy.ProcessEnded, 6}, []any{p.State, p.ExitCode}, "%+v", p)
	require.False(t, h.has(h.markerPath()))
}
