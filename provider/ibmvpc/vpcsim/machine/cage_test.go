//go:build linux

package machine

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// processesOf are the processes on this host that have dir in their arguments.
func processesOf(t *testing.T, dir string) map[int]string {
	t.Helper()
	out := map[int]string{}
	entries, err := os.ReadDir("/proc")
	require.NoError(t, err)
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		env, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "environ"))
		line, err := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if err == nil && pid != os.Getpid() && (bytes.Contains(line, []byte(dir)) || bytes.Contains(env, []byte(dir))) {
			out[pid] = strings.ReplaceAll(string(line), "\x00", " ")
		}
	}
	return out
}

// hasProcess reports whether a program of this name runs on a machine.
func hasProcess(t *testing.T, r *Rack, id, name string) bool {
	t.Helper()
	for _, line := range processesOf(t, r.machine(id).dir) {
		if words := strings.Fields(line); len(words) > 0 && filepath.Base(words[0]) == name {
			return true
		}
	}
	return false
}

// requireGone checks that a process group has no members. In a PID namespace
// that holds at once; elsewhere killed orphans wait for the host's init.
func requireGone(t *testing.T, kind CageKind, pid int) {
	t.Helper()
	require.NotZero(t, pid)
	gone := func() bool { return errors.Is(unix.Kill(-pid, 0), unix.ESRCH) }
	if kind == CageNamespaces {
		require.True(t, gone(), "the process group is gone")
		return
	}
	eventually(t, "the process group is gone", gone)
}

// cages are the kinds that can be tried here.
func cages(t *testing.T) map[CageKind]*cage {
	t.Helper()
	best, err := newCage(DefaultUID, DefaultUID, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	out := map[CageKind]*cage{best.kind: best}
	if best.kind == CageNamespaces {
		user := *best
		user.kind = CageUser
		out[CageUser] = &user
	}
	return out
}

// runIn runs a script in a cage and returns what it printed.
func runIn(t *testing.T, c *cage, writable, script string) (string, int) {
	t.Helper()
	var out bytes.Buffer
	status, err := c.run(context.Background(), job{
		argv: []string{c.sh, "-c", script}, env: []string{"PATH=" + os.Getenv("PATH"), "ROOT=" + writable},
		dir: writable, writable: writable, out: &out,
	})
	require.NoError(t, err)
	return out.String(), status
}

// openDirs are directories like a machine's: reachable, one owned by the cage.
func openDirs(t *testing.T, c *cage) (own, sibling string) {
	t.Helper()
	base, err := os.MkdirTemp("", "slipway-cage-test-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(base) })
	require.NoError(t, os.Chmod(base, 0o711))
	own, sibling = filepath.Join(base, "own"), filepath.Join(base, "sibling")
	for _, d := range []string{own, sibling} {
		require.NoError(t, os.Mkdir(d, 0o700))
		if c.uid >= 0 {
			require.NoError(t, os.Chown(d, c.uid, c.gid))
		}
	}
	return own, sibling
}

func TestCageHasNoPrivileges(t *testing.T) {
	for kind, c := range cages(t) {
		t.Run(string(kind), func(t *testing.T) {
			own, _ := openDirs(t, c)
			out, status := runIn(t, c, own, "id -u; id -G; cat /proc/self/status; exit 7")
			require.Equal(t, 7, status)
			lines := strings.Split(out, "\n")
			require.NotEqual(t, "0", lines[0], "the scripts' user is not root")
			values := map[string]string{}
			for _, l := range lines {
				if name, v, ok := strings.Cut(l, ":"); ok {
					values[name] = strings.TrimSpace(v)
				}
			}
			require.Equal(t, "1", values["NoNewPrivs"])
			for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapAmb"} {
				require.Equal(t, strings.Repeat("0", 16), values[set], set)
			}
			if kind != CagePlain {
				require.Equal(t, "65534", lines[0])
				require.Equal(t, "65534", lines[1], "no other groups")
				require.Equal(t, strings.Repeat("0", 16), values["CapBnd"])
			}
		})
	}
}

// TestCageWritesOnlyInside also tries the places that everyone may write to,
// and a neighbour's directory that belongs to the same user.
func TestCageWritesOnlyInside(t *testing.T) {
	c := cages(t)[CageNamespaces]
	if c == nil {
		t.Skip("needs root and namespaces")
	}
	own, sibling := openDirs(t, c)
	out, status := runIn(t, c, own, `
for d in /tmp /var/tmp /dev/shm /run /etc / "$ROOT/.." `+sibling+`; do
	[ -d "$d" ] || continue
	if (: >"$d/slipway-cage-test") 2>/dev/null; then echo "WROTE $d"; fi
done
: >"$ROOT/inside" && echo inside
echo x >/dev/null && echo null
mount -o remount,rw / 2>/dev/null && echo REMOUNTED
mknod "$ROOT/disk" b 8 0 2>/dev/null && echo MKNOD
ip link set lo down 2>/dev/null && echo LINK
kill -0 `+strconv.Itoa(os.Getpid())+` 2>/dev/null && echo SEES US
exit 0`)
	require.Equal(t, 0, status)
	require.Equal(t, "inside\nnull\n", out)
	require.FileExists(t, filepath.Join(own, "inside"))
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	require.NoError(t, err)
	require.NotContains(t, string(mounts), own, "our own mounts are as before")
	probe, err := os.CreateTemp("", "still-writable-")
	require.NoError(t, err)
	require.NoError(t, probe.Close())
	require.NoError(t, os.Remove(probe.Name()))
}

// TestCageKillsTheWholeGroup: background processes, and in a PID namespace also
// those that left the group, end with the context and with the job.
func TestCageKillsTheWholeGroup(t *testing.T) {
	for kind, c := range cages(t) {
		t.Run(string(kind), func(t *testing.T) {
			own, _ := openDirs(t, c)
			script := `sleep 1000 & (trap "" TERM HUP INT; sleep 1000) & `
			if kind == CageNamespaces {
				script += `setsid sleep 1000 & `
			}
			for _, how := range []string{"killed", "ended"} {
				ctx, cancel := context.WithCancel(context.Background())
				started := make(chan int, 1)
				end := "echo ready; wait"
				if how == "ended" {
					end = "echo ready"
				}
				ready := &signalWriter{ch: make(chan struct{})}
				done := make(chan error, 1)
				go func() {
					_, err := c.run(ctx, job{
						argv: []string{c.sh, "-c", script + end}, env: []string{"PATH=" + os.Getenv("PATH"), "MARK=" + own},
						dir: own, writable: own, out: ready, started: func(pid int) { started <- pid },
					})
					done <- err
				}()
				pid := <-started
				<-ready.ch
				if how == "killed" {
					require.NotEmpty(t, processesOf(t, own))
					cancel()
					require.ErrorIs(t, <-done, context.Canceled)
				} else {
					require.NoError(t, <-done)
				}
				requireGone(t, kind, pid)
				eventually(t, "no process is left", func() bool { return len(processesOf(t, own)) == 0 })
				cancel()
			}
		})
	}
}

// signalWriter closes ch at the first write.
type signalWriter struct {
	ch   chan struct{}
	seen bool
}

func (w *signalWriter) Write(p []byte) (int, error) {
	if !w.seen {
		w.seen = true
		close(w.ch)
	}
	return len(p), nil
}

// TestNoOrphans: the simulator is killed with SIGKILL; nothing of it survives.
// The simulator is this test binary, started again.
func TestNoOrphans(t *testing.T) {
	if kind := os.Getenv("SLIPWAY_TEST_CAGE"); kind != "" {
		c := cages(t)[CageKind(kind)]
		own := os.Getenv("SLIPWAY_TEST_DIR")
		_, _ = c.run(context.Background(), job{
			argv: []string{c.sh, "-c", "sleep 1000 & sh -c 'echo ready; sleep 1000; :'; sleep 1000"},
			env:  []string{"PATH=" + os.Getenv("PATH"), "MARK=" + own}, dir: own, writable: own, out: os.Stderr,
		})
		return
	}
	for kind, c := range cages(t) {
		t.Run(string(kind), func(t *testing.T) {
			own, _ := openDirs(t, c)
			cmd := exec.Command(os.Args[0], "-test.run=^TestNoOrphans$")
			cmd.Env = append(os.Environ(), "SLIPWAY_TEST_CAGE="+string(kind), "SLIPWAY_TEST_DIR="+own)
			stderr, err := cmd.StderrPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			line, err := bufio.NewReader(stderr).ReadString('\n')
			require.NoError(t, err)
			require.Equal(t, "ready\n", line)
			mine := processesOf(t, own)
			require.Greater(t, len(mine), 3, "simulator, shells, sleeps: %v", mine)
			require.NoError(t, cmd.Process.Kill())
			_ = cmd.Wait()
			eventually(t, "orphans end", func() bool { return len(processesOf(t, own)) == 0 })
		})
	}
}

// hostState is what no script may change: links, addresses, routes, block
// devices and mounts of this host.
func hostState(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, args := range [][]string{{"ip", "-o", "link"}, {"ip", "-o", "addr"}, {"ip", "route", "show", "table", "all"}, {"ip", "-6", "route", "show", "table", "all"}} {
		out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
		require.NoError(t, err, "%s", out)
		fmt.Fprintf(&b, "# %v\n%s", args, out)
	}
	blocks, err := filepath.Glob("/sys/block/*")
	require.NoError(t, err)
	for _, dir := range blocks {
		size, _ := os.ReadFile(filepath.Join(dir, "size"))
		stat, _ := os.ReadFile(filepath.Join(dir, "ro"))
		fmt.Fprintf(&b, "%s %s %s\n", dir, strings.TrimSpace(string(size)), strings.TrimSpace(string(stat)))
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	require.NoError(t, err)
	b.Write(mounts)
	return b.String()
}

// TestHostIsUnchanged runs a whole installation, and then a script that tries
// everything that would hurt, and compares the host before and after.
func TestHostIsUnchanged(t *testing.T) {
	needRealScripts(t)
	if os.Geteuid() != 0 {
		t.Skip("only a test when the scripts could have been root")
	}
	before := hostState(t)
	s := newSlipway(t, 30)
	r := testRack(t, nil)
	r.PowerOn(s.spec)
	require.Equal(t, StateRunning, waitState(t, r, s.spec.ServerID, StateRunning, StateHalted, StateInstallFailed).State)
	require.Equal(t, before, hostState(t))
	calls, err := os.ReadFile(filepath.Join(r.machine(s.spec.ServerID).dir, "root/var/log/commands.log"))
	if err == nil { // gone with the ramdisk after the restart
		t.Log(string(calls))
	}

	evil := newSlipway(t, 31)
	evil.scripts = map[string]string{"foundation-init.sh": `
id -u
for ip in ip /sbin/ip /usr/sbin/ip; do
	"$ip" link add slipwaytest type dummy
	"$ip" addr add 127.64.9.9/32 dev lo
	"$ip" link set eth0 down
	"$ip" route add 198.51.100.0/24 dev lo
	"$ip" route del default
done
for disk in /dev/sd? /dev/vd? /dev/nvme?n?; do
	[ -b "$disk" ] && echo x >>"$disk" && echo "WROTE $disk"
done
/sbin/reboot -f; reboot -f
/bin/mount -t tmpfs none /mnt && echo MOUNTED
echo x >/etc/slipway-test && echo "WROTE /etc"
cat "$SLIPWAY_ROOT/var/log/commands.log"
exit 9
`}
	r.PowerOn(evil.spec)
	require.Equal(t, StateInstallFailed, waitState(t, r, evil.spec.ServerID, StateInstallFailed, StateHalted).State)
	out := r.Console(evil.spec.ServerID)
	require.Contains(t, out, "\n65534\n")
	require.Contains(t, out, "\nreboot -f\n", "recorded, not done")
	require.NotContains(t, out, "WROTE")
	require.NotContains(t, out, "MOUNTED")
	require.Equal(t, before, hostState(t))
}

// TestPowerOffEndsScripts: the group of the running scripts is gone when
// PowerOff returns.
func TestPowerOffEndsScripts(t *testing.T) {
	t.Parallel()
	s := newSlipway(t, 32)
	s.scripts = map[string]string{"foundation-init.sh": "trap '' TERM HUP INT\nsleep 1000 &\necho up\nwhile :; do sleep 1000; done\n"}
	r := testRack(t, nil)
	r.PowerOn(s.spec)
	eventually(t, "the script runs", func() bool { return strings.Contains(r.Console(s.spec.ServerID), "\nup\n") })
	pid := r.Status(s.spec.ServerID).PID
	require.NotZero(t, pid)
	begin := time.Now()
	r.PowerOff(s.spec.ServerID)
	require.Less(t, time.Since(begin), time.Minute, "the processes sleep for a quarter of an hour")
	requireGone(t, r.Cage(), pid)
	require.Empty(t, processesOf(t, r.dir))
	require.Zero(t, r.Status(s.spec.ServerID).PID)
}

func TestRackRefusesUnreachableDir(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("an ordinary user's scripts run as that user")
	}
	closed := t.TempDir()
	require.NoError(t, os.Chmod(closed, 0o700))
	_, err := NewRack(Options{Dir: filepath.Join(closed, "machines"), Logger: slog.New(slog.DiscardHandler)})
	require.ErrorContains(t, err, "cannot enter "+closed)
	_, err = NewRack(Options{Shell: "zsh"})
	require.ErrorContains(t, err, `no shell "zsh"`)
	_, err = NewRack(Options{Faults: []Fault{{}}})
	require.Error(t, err)
	_, err = NewRack(Options{UID: -1})
	require.Error(t, err)
}
