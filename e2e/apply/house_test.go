package apply

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
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
)

// testLimit bounds one test; most are over in seconds.
const testLimit = 2 * time.Minute

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
	t     *testing.T
	ctx   context.Context
	lab   string // where hosts live, and what the test wants of the script is said
	work  string
	data  string
	net   string // first three numbers of its hosts' addresses
	port  int
	addr  string
	args  []string
	key   string // public, that hosts accept
	gate  *os.File
	proc  *process
	token string
	hosts []*machine
}

// open makes a house and starts the server in it; more are flags that replace
// its own.
func open(t *testing.T, more ...string) *house {
	t.Helper()
	h := prepare(t, more...)
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
		"--script-connect-timeout=5s", "--script-banner-timeout=5s", "--script-kill-after=1s"}, more...)
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
	h.token = must(h.t, "token", "create", "tester", "--role=operator", "--data-dir="+h.data)
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
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
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
func document(m *machine) map[string]any { return card(m.name, m.ip) }

func card(name, ip string) map[string]any {
	return map[string]any{
		"using_interfaces": map[string]any{
			"interface_01": map[string]any{"interface_name": "eno1", "type": []string{"Primary"}, "vlan_id": "NULL", "Bond_Slave": "NO",
				"Properties": map[string]any{"IP_ADDRESS": ip, "Netmask": "255.255.255.0", "DNS": "192.0.2.2", "mtu": "1500", "gateway": ip[:strings.LastIndex(ip, ".")] + ".1"}},
			"interface_02": map[string]any{"interface_name": "eno2", "type": []string{"Secondary"}, "vlan_id": "101", "Bond_Slave": "NO"},
		},
		"hostname": name, "disk": []string{}, "roles": []string{"Compute"},
	}
}

// request is the body of a request for hosts, by address.
func request(hosts ...*machine) map[string]any {
	out := map[string]any{}
	for _, m := range hosts {
		out[m.ip] = document(m)
	}
	return out
}

// answered is what the endpoint for documents answers.
type answered struct {
	Status  int `json:"-"`
	Results []struct {
		Node, File, Status, Action string
		NodeID                     int64  `json:"node_id"`
		NodeName                   string `json:"node_name"`
		DeploymentID               int64  `json:"deployment_id"`
	}
	Marker        string
	Script        string  `json:"deployment_script"`
	RunID         int64   `json:"run_id"`
	DeploymentIDs []int64 `json:"deployment_ids"`
	Success       bool
	Existing      bool
	Error, Code   string
	Fields        []struct{ Field, Key, Code, Message string }
	ActiveRun     *scriptRun `json:"active_run"`
	Plans         []struct {
		File, Action, Content, Target string
		Number                        int
	}
	Obstacle *struct {
		Error, Code string
	}
}

// scriptRun is a run of the script as REST tells it.
type scriptRun struct {
	ID               int64
	State            string
	Nodes            int
	PID              *int
	ExitCode         *int `json:"exit_code"`
	Signal, Problem  *string
	LogBytes         int64      `json:"log_bytes"`
	RequestedBy      string     `json:"requested_by"`
	StartedAt        *time.Time `json:"started_at"`
	EndedAt          *time.Time `json:"ended_at"`
	CancelRequestedB *string    `json:"cancel_requested_by"`
	Documents        []struct {
		File, Content, SHA256 string
		NodeName              string `json:"node_name"`
		DeploymentID          int64  `json:"deployment_id"`
		Attempt               int
	}
}

// call asks the server and gives the status; out may be nil.
func (h *house) call(method, path string, in, out any) int {
	h.t.Helper()
	status, err := h.ask(method, path, in, out)
	require.NoError(h.t, err, "%s %s", method, path)
	return status
}

// ask is call for whoever may not end the test. headers are "Name: value".
func (h *house) ask(method, path string, in, out any, headers ...string) (status int, err error) {
	raw, err := json.Marshal(in)
	if err != nil {
		return 0, err
	}
	r, err := http.NewRequestWithContext(h.ctx, method, "http://"+h.addr+path, bytes.NewReader(raw))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Authorization", "Bearer "+h.token)
	r.Header.Set("Content-Type", "application/json")
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	body, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil || out == nil {
		return resp.StatusCode, err
	}
	if text, ok := out.(*string); ok {
		*text = string(body)
		return resp.StatusCode, nil
	}
	if err := json.Unmarshal(body, out); err != nil {
		return resp.StatusCode, fmt.Errorf("%s: %w", body, err)
	}
	return resp.StatusCode, nil
}

// post sends documents, whatever the answer.
func (h *house) post(in any) (out answered) {
	h.t.Helper()
	out.Status = h.call(http.MethodPost, "/store-deployment-configs", in, &out)
	return out
}

// preview asks what would be written.
func (h *house) preview(in any) (out answered) {
	h.t.Helper()
	out.Status = h.call(http.MethodPost, "/store-deployment-configs?dry_run=true", in, &out)
	require.Equal(h.t, http.StatusOK, out.Status, "%+v", out)
	return out
}

// apply sends documents that are to be accepted.
func (h *house) apply(hosts ...*machine) answered {
	h.t.Helper()
	out := h.post(request(hosts...))
	require.Equal(h.t, http.StatusAccepted, out.Status, "%+v", out)
	require.True(h.t, out.Success)
	require.Equal(h.t, "started", out.Script)
	require.Equal(h.t, h.marker(), out.Marker)
	require.Len(h.t, out.DeploymentIDs, len(hosts))
	return out
}

// deployment gives the deployment of a host in an answer.
func (a answered) deployment(t testing.TB, m *machine) int64 {
	t.Helper()
	for _, r := range a.Results {
		if r.NodeName == m.name {
			return r.DeploymentID
		}
	}
	t.Fatalf("%s is not in the answer %+v", m.name, a)
	return 0
}

func (a answered) node(t testing.TB, m *machine) int64 {
	t.Helper()
	for _, r := range a.Results {
		if r.NodeName == m.name {
			return r.NodeID
		}
	}
	t.Fatalf("%s is not in the answer %+v", m.name, a)
	return 0
}

func (h *house) run(id int64) (out scriptRun) {
	h.t.Helper()
	require.Equal(h.t, http.StatusOK, h.call(http.MethodGet, fmt.Sprintf("/api/script/runs/%d", id), nil, &out))
	return out
}

// awaitRun waits until a run has ended.
func (h *house) awaitRun(id int64) (out scriptRun) {
	h.t.Helper()
	eventually(h.ctx, h.t, fmt.Sprintf("run %d has ended", id), func() bool {
		out = h.run(id)
		return out.EndedAt != nil
	})
	return out
}

// log reads the whole output of a run.
func (h *house) log(run int64) string {
	h.t.Helper()
	var page struct {
		Text string
		End  bool
		Next int64 `json:"next_offset"`
	}
	var all strings.Builder
	for !page.End {
		require.Equal(h.t, http.StatusOK, h.call(http.MethodGet, fmt.Sprintf("/api/script/runs/%d/log?offset=%d", run, page.Next), nil, &page))
		all.WriteString(page.Text)
	}
	return all.String()
}

// standing is how a deployment stands.
type standing struct {
	State       string
	PhaseKey    string
	PhaseStatus string
	Attempt     int
	Failure     *struct{ PhaseKey, Code, Message, Hint, LogTail string }
	SSHProbe    *struct {
		Target                                               string
		Attempt, MaxAttempts                                 int
		NextAttemptAt, LastAttemptAt                         *time.Time
		LastErrorClass, LastMessage                          string
		OfferedHostKey, OfferedFingerprint, KnownFingerprint string
	}
}

const standingQuery = `query($id: ID!) { deployment(id: $id) { state phaseKey phaseStatus attempt failure { phaseKey code message hint }
	sshProbe { target attempt maxAttempts nextAttemptAt lastAttemptAt lastErrorClass lastMessage offeredHostKey offeredFingerprint knownFingerprint } } }`

func (h *house) standing(id int64) standing {
	h.t.Helper()
	var out struct {
		Data   struct{ Deployment *standing }
		Errors json.RawMessage
	}
	in := map[string]any{"query": standingQuery, "variables": map[string]any{"id": fmt.Sprintf("dep_%d", id)}}
	require.Equal(h.t, http.StatusOK, h.call(http.MethodPost, "/graphql", in, &out))
	require.NotNil(h.t, out.Data.Deployment, "%s", out.Errors)
	return *out.Data.Deployment
}

// await waits until a deployment stands as asked for.
func (h *house) await(id int64, what string, is func(standing) bool) (out standing) {
	h.t.Helper()
	var last string
	defer func() {
		if h.ctx.Err() != nil {
			h.t.Logf("deployment %d was last seen as %s", id, last)
		}
	}()
	eventually(h.ctx, h.t, fmt.Sprintf("deployment %d: %s", id, what), func() bool {
		out = h.standing(id)
		raw, err := json.Marshal(out)
		require.NoError(h.t, err)
		last = string(raw)
		if out.State != "QUEUED" && out.State != "RUNNING" && out.State != "CANCELING" && !is(out) {
			h.t.Fatalf("deployment %d: waiting for %q: %s", id, what, last)
		}
		return is(out)
	})
	return out
}

func (h *house) awaitDeployed(id int64) standing {
	h.t.Helper()
	return h.await(id, "deployed", func(s standing) bool { return s.State == "SUCCEEDED" })
}

// awaitScript waits until a deployment is seen waiting for the script's end.
func (h *house) awaitScript(id int64) standing {
	h.t.Helper()
	return h.await(id, "the script runs", func(s standing) bool { return s.PhaseKey == "script_started" && s.PhaseStatus == "IN_PROGRESS" })
}

func (h *house) awaitFailed(id int64, code string) standing {
	h.t.Helper()
	got := h.await(id, "failed: "+code, func(s standing) bool { return s.State == "FAILED" })
	require.NotNil(h.t, got.Failure)
	require.Equal(h.t, code, got.Failure.Code, "%+v", got.Failure)
	return got
}

// awaitClass waits until polling has met a class of failure at least n times.
func (h *house) awaitClass(id int64, class string, n int) standing {
	h.t.Helper()
	return h.await(id, fmt.Sprintf("%s in attempt %d", class, n), func(s standing) bool {
		require.NotEqual(h.t, "SUCCEEDED", s.State, "it was not to be found well")
		return s.PhaseKey == "ssh_polling" && s.SSHProbe != nil && s.SSHProbe.Attempt >= n && s.SSHProbe.LastErrorClass == class
	})
}

// event is a row of a node's history.
type event struct {
	Phase, Status, Message, State, Outcome, Source, Actor string
	Sequence, Attempt                                     int
	DeploymentID                                          int64  `json:"deployment_id"`
	LogTail                                               string `json:"log_tail"`
}

// history is all that happened to a deployment; it must be numbered without a
// gap.
func (h *house) history(node, deployment int64) []event {
	h.t.Helper()
	var out struct {
		History []event `json:"deployment_history"`
	}
	require.Equal(h.t, http.StatusOK, h.call(http.MethodGet, fmt.Sprintf("/api/status/history/%d?deployment=dep_%d", node, deployment), nil, &out))
	for i, e := range out.History {
		require.Equal(h.t, i+1, e.Sequence)
	}
	return out.History
}

// phases is the way that a history tells, without repetitions.
func phases(list []event) string {
	var out []string
	for _, e := range list {
		if step := e.Phase + " " + e.Status; len(out) == 0 || out[len(out)-1] != step {
			out = append(out, step)
		}
	}
	return strings.Join(out, ", ")
}

// wholeWay is the history of a deployment that nothing went wrong with.
const wholeWay = "pending waiting, pending success, config_stored in_progress, config_stored success, script_started in_progress, script_started success, " +
	"reboot_wait in_progress, reboot_wait success, ssh_polling in_progress, ssh_polling success, health_validation in_progress, health_validation success, deployed success"

func (h *house) file(name string) string { return filepath.Join(h.work, "cluster", "nodes", name) }

// files is what is in the directory of node files.
func (h *house) files() map[string]string {
	h.t.Helper()
	out := map[string]string{}
	list, err := os.ReadDir(filepath.Join(h.work, "cluster", "nodes"))
	if errors.Is(err, os.ErrNotExist) {
		return out
	}
	require.NoError(h.t, err)
	for _, e := range list {
		b, err := os.ReadFile(h.file(e.Name()))
		require.NoError(h.t, err)
		out[e.Name()] = string(b)
	}
	return out
}

func (h *house) read(name string) string {
	b, err := os.ReadFile(filepath.Join(h.lab, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func (h *house) want(name, content string) {
	h.t.Helper()
	require.NoError(h.t, os.WriteFile(filepath.Join(h.lab, name), []byte(content), 0o600))
}

// hold has the next runs of the script wait until release.
func (h *house) hold() { h.t.Helper(); h.want("held", "") }

// release lets the script that waits go on, and those that come.
func (h *house) release() {
	h.t.Helper()
	require.NoError(h.t, os.Remove(filepath.Join(h.lab, "held")))
	_, err := h.gate.WriteString("\n")
	require.NoError(h.t, err)
}

// starts lists the runs whose script was started, once for each start.
func (h *house) starts() []string {
	if text := h.read("starts"); text != "" {
		return strings.Split(text, "\n")
	}
	return nil
}

// startsOf counts how often the script of a run was started.
func (h *house) startsOf(run int64) (n int) {
	for _, line := range h.starts() {
		if strings.HasPrefix(line, fmt.Sprintf("%d ", run)) {
			n++
		}
	}
	return n
}

// mustHaveNoMarker checks that no run is in progress, as the script's own sign
// has it.
func (h *house) mustHaveNoMarker() {
	h.t.Helper()
	require.NoFileExists(h.t, h.marker())
}

func freePort(t testing.TB, ip string) int {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(ip, "0"))
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
