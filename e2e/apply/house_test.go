package apply

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

// testLimit bounds one test; most are over in seconds, where nothing else runs.
const testLimit = 6 * time.Minute

// killAfter is what a script has to end by itself.
const killAfter = 3 * time.Second

// deploymentService plays the deployment script: it keeps a copy of what it was
// to apply, and restarts the hosts. What the test wants of it is in files.
const deploymentService = `#!/bin/bash
lab=%q
echo "$SLIPWAY_RUN_ID $$" >> "$lab/starts"
mkdir -p "$lab/seen/$SLIPWAY_RUN_ID" && cp cluster/nodes/*.json "$lab/seen/$SLIPWAY_RUN_ID/"
[ -e .markers/deplyment_status/deployment_in_progress ] || echo "there is no marker"
echo "run $SLIPWAY_RUN_ID begins"
if [ -e "$lab/stubborn" ]; then
	trap 'echo "was asked to end"' TERM
	(trap "" TERM; exec sleep 1000) &
	echo $! > "$lab/child"
fi
if [ -e "$lab/held" ]; then
	read -r _ < "$lab/gate" || exit 99
fi
for ip in $(grep -ho '"IP_ADDRESS": "[^"]*"' cluster/nodes/*.json | cut -d'"' -f4); do
	pid="$lab/$ip/sshd.pid"
	if [ -e "$pid" ]; then
		echo "restarting $ip"
		kill "$(cat "$pid")"
	fi
done
code=$(cat "$lab/exit" 2>/dev/null || echo 0)
echo "ends with $code" >&2
[ "$code" != 0 ] || rm .markers/deplyment_status/deployment_in_progress
exit "$code"
`

// networks counts the tests: each has a network of its own.
var networks atomic.Int32

// house is a server with a work directory and hosts.
type house struct {
	t    *testing.T
	ctx  context.Context
	lab  string // where hosts live, and what the test wants of the script is said
	work string
	data string
	// database is PostgreSQL's; empty = SQLite in data.
	database string
	net      string // first three numbers of its hosts' addresses
	port     int
	addr     string
	args     []string
	key      string // public, that hosts accept
	gate     *os.File
	proc     *process
	token    string
	hosts    []*machine
}

// open makes a house and starts the server in it; more are flags that replace
// its own.
func open(t *testing.T, more ...string) *house {
	t.Helper()
	h := prepare(t, more...)
	h.start()
	return h
}

// openOnPostgres is open with a database of PostgreSQL.
func openOnPostgres(t *testing.T, more ...string) *house {
	t.Helper()
	database := storetest.PostgresURL(t)
	h := prepare(t, append(more, "--database="+database)...)
	h.database = database
	h.start()
	return h
}

func prepare(t *testing.T, more ...string) *house {
	t.Helper()
	sshd(t)
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	t.Cleanup(cancel)
	h := &house{t: t, ctx: ctx, lab: t.TempDir(), data: t.TempDir(), net: fmt.Sprintf("127.66.%d", networks.Add(1))}
	h.work = filepath.Join(t.TempDir(), "wd")
	require.NoError(t, os.MkdirAll(filepath.Join(h.work, ".scripts"), 0o755))
	h.install(deploymentService)
	require.NoError(t, syscall.Mkfifo(filepath.Join(h.lab, "gate"), 0o600))
	var err error
	h.gate, err = os.OpenFile(filepath.Join(h.lab, "gate"), os.O_RDWR, 0)
	require.NoError(t, err)
	t.Cleanup(h.vacate)
	keygen(t, filepath.Join(h.lab, "key"))
	public, err := os.ReadFile(filepath.Join(h.lab, "key.pub"))
	require.NoError(t, err)
	h.key = string(public)
	h.port = freePort(t, h.net+".10")
	h.addr = net.JoinHostPort(h.net+".1", strconv.Itoa(freePort(t, h.net+".1")))
	h.args = append([]string{"serve", "--listen=" + h.addr, "--base-url=http://" + h.addr, "--data-dir=" + h.data,
		"--script-work-dir=" + h.work, "--script-host=lab", "--script-ssh-user=" + me(t), "--script-ssh-key=" + filepath.Join(h.lab, "key"),
		"--script-ssh-port=" + strconv.Itoa(h.port), "--script-poll-wait=100ms", "--script-poll-every=250ms", "--script-poll-attempts=400",
		"--script-connect-timeout=30s", "--script-banner-timeout=30s", "--script-kill-after=" + killAfter.String()}, more...)
	return h
}

// in is the house for a part of a test.
func (h *house) in(t *testing.T) *house {
	part := *h
	part.t = t
	return &part
}

// install puts a deployment script in its place.
func (h *house) install(text string) {
	h.t.Helper()
	require.NoError(h.t, os.WriteFile(h.script(), fmt.Appendf(nil, text, h.lab), 0o644))
}

func (h *house) script() string { return filepath.Join(h.work, ".scripts", "deployment_service.sh") }

func (h *house) marker() string {
	return filepath.Join(h.work, ".markers", "deplyment_status", "deployment_in_progress")
}

// start runs the server and waits until it serves.
func (h *house) start() {
	h.t.Helper()
	h.proc = start(h.t, append([]string{binary}, h.args...)...)
	h.proc.await(h.ctx, `msg="slipway serves"`)
	if h.token == "" {
		h.sign()
	}
}

// sign gets the tests a token.
func (h *house) sign() {
	h.t.Helper()
	args := []string{"token", "create", "tester", "--role=operator", "--data-dir=" + h.data}
	if h.database != "" {
		args = append(args, "--database="+h.database)
	}
	h.token = must(h.t, args...)
}

// vacate ends everything that is in the house, and looks that it is gone.
func (h *house) vacate() {
	if h.proc != nil {
		h.proc.kill()
		if cries := h.proc.find(`^(WARNING: DATA RACE|panic: |fatal error: )`); len(cries) > 0 {
			h.t.Errorf("the server: %s", cries)
		}
		if h.t.Failed() {
			h.t.Logf("the last of the server:\n%s", h.proc.tail(40))
		}
	}
	defer h.gate.Close()
	for _, m := range h.hosts {
		m.remove()
	}
	if pid := h.read("child"); pid != "" {
		if n, err := strconv.Atoi(pid); err == nil && h.isOurs(n) {
			_ = syscall.Kill(n, syscall.SIGKILL)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	defer func() {
		if living := h.living(); len(living) > 0 {
			out, _ := exec.Command("ps", "-o", "pid,ppid,stat,wchan:20,args", "-p", strings.Trim(strings.Join(strings.Fields(fmt.Sprint(living)), ","), "[]")).Output()
			h.t.Logf("left behind:\n%s", out)
		}
	}()
	eventually(ctx, h.t, "supervisors and scripts have ended", func() bool {
		if len(h.living()) == 0 {
			return true
		}
		_, _ = h.gate.WriteString("\n") // one that waits there goes on
		return false
	})
}

// isOurs tells whether a process still has the work directory as its own.
func (h *house) isOurs(pid int) bool {
	at, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
	return err == nil && at == h.work
}

// living lists the processes that supervise or are the script of this house.
func (h *house) living() (pids []int) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	require.NoError(h.t, err)
	for _, d := range dirs {
		pid, err := strconv.Atoi(filepath.Base(d))
		require.NoError(h.t, err)
		line, _ := os.ReadFile(filepath.Join(d, "cmdline")) // it may have ended
		if h.isOurs(pid) || bytes.Contains(line, []byte("run-script")) && bytes.Contains(line, []byte(h.work)) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// host makes a host that is up.
func (h *house) host() *machine {
	h.t.Helper()
	n := len(h.hosts) + 1
	ip := fmt.Sprintf("%s.%d", h.net, 10+n)
	m := install(h.t, filepath.Join(h.lab, ip), ip, fmt.Sprintf("host-%02d", n), h.port, h.key)
	h.hosts = append(h.hosts, m)
	return m.up(h.ctx)
}

// document is the configuration of a host, of the default shape.

func freePort(t testing.TB, ip string) int {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(ip, "0"))
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
