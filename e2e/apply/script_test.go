package apply

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestScriptFails: every node of the run has failed with the end of its output;
// a retry of one is a run for that one.
func TestScriptFails(t *testing.T) {
	t.Parallel()
	h := open(t)
	a, b := h.host(), h.host()
	h.want("exit", "7")
	out := h.apply(a, b)
	for _, m := range h.hosts {
		id := out.deployment(t, m)
		got := h.awaitFailed(id, "script_failed")
		require.Equal(t, "script_started", got.Failure.PhaseKey)
		require.Contains(t, got.Failure.Message, "exited with 7")
		said := h.history(out.node(t, m), id)
		last := said[len(said)-1]
		require.Equal(t, "failed", last.Status)
		require.Equal(t, h.log(out.RunID), last.LogTail)
		require.Contains(t, last.LogTail, "ends with 7")
	}
	run := h.run(out.RunID)
	require.Equal(t, []any{"failed", 7, "exited with 7"}, []any{run.State, *run.ExitCode, *run.Problem})
	h.mustHaveNoMarker()
	require.Len(t, h.files(), 2, "what was stored stays")

	h.want("exit", "0")
	id := out.deployment(t, a)
	h.retry(id, "")
	require.Equal(t, 2, h.awaitDeployed(id).Attempt)
	require.Equal(t, "FAILED", h.standing(out.deployment(t, b)).State)
	second := h.run(out.RunID + 1)
	require.Equal(t, []any{"succeeded", 1, "tester"}, []any{second.State, second.Nodes, second.RequestedBy})
	require.Equal(t, []any{a.name, 2, id}, []any{second.Documents[0].NodeName, second.Documents[0].Attempt, second.Documents[0].DeploymentID})
	require.Equal(t, run.Documents[0].Content, second.Documents[0].Content)
	require.Equal(t, []int{1, 1}, []int{h.startsOf(run.ID), h.startsOf(second.ID)})
	h.mustHaveNoMarker()
}

// TestNoScript: what cannot be run is found before anything is written.
func TestNoScript(t *testing.T) {
	t.Parallel()
	h := open(t)
	elsewhere := filepath.Join(t.TempDir(), "script.sh")
	require.NoError(t, os.WriteFile(elsewhere, []byte("exit 0\n"), 0o755))
	for name, breakIt := range map[string]func() error{
		"missing":               func() error { return os.Remove(h.script()) },
		"a directory":           func() error { return os.Mkdir(h.script(), 0o755) },
		"a link to elsewhere":   func() error { return os.Symlink(elsewhere, h.script()) },
		"a link to nothing":     func() error { return os.Symlink("nowhere", h.script()) },
		"its directory missing": func() error { return os.Remove(filepath.Dir(h.script())) },
		"no work directory":     func() error { return os.RemoveAll(h.work) },
		"no nodes but a file": func() error {
			h.install(deploymentService)
			return os.WriteFile(filepath.Join(h.work, "cluster"), nil, 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := h.in(t)
			require.NoError(t, os.RemoveAll(h.work))
			require.NoError(t, os.MkdirAll(filepath.Dir(h.script()), 0o755))
			if name != "a directory" && name != "a link to elsewhere" && name != "a link to nothing" && name != "its directory missing" {
				h.install(deploymentService)
			}
			require.NoError(t, breakIt())
			in := map[string]any{h.net + ".200": card("ghost", h.net+".200")}
			out := h.post(in)
			require.Equal(t, http.StatusServiceUnavailable, out.Status, "%+v", out)
			require.False(t, out.Success)
			require.Regexp(t, `^error: .`, out.Script)
			require.Equal(t, "upstream_unavailable", out.Code)
			require.NoFileExists(t, h.marker())
			require.NoFileExists(t, h.file("node_01.json"))
			require.Empty(t, h.starts())
			var runs struct{ Runs []scriptRun }
			require.Equal(t, http.StatusOK, h.call(http.MethodGet, "/api/script/runs", nil, &runs))
			require.Empty(t, runs.Runs)
			require.Equal(t, http.StatusNotFound, h.call(http.MethodGet, "/api/status/deployment/"+h.net+".200", nil, nil), "no node was made")
		})
	}
	require.NoError(t, os.RemoveAll(h.work))
	require.NoError(t, os.MkdirAll(filepath.Dir(h.script()), 0o755))
	h.install(deploymentService)
	m := h.host()
	h.awaitDeployed(h.apply(m).deployment(t, m))
}

// TestMarkerOfNobody: a marker that was left behind is seen at the start, stops
// everything, and can be taken away; that of a run cannot.
func TestMarkerOfNobody(t *testing.T) {
	t.Parallel()
	h := prepare(t)
	require.NoError(t, os.MkdirAll(filepath.Dir(h.marker()), 0o755))
	require.NoError(t, os.WriteFile(h.marker(), nil, 0o644))
	h.start()
	h.proc.await(h.ctx, `level=WARN .*marker.*`+h.marker())
	m := h.host()
	var host struct {
		Marker struct {
			Path           string
			Present, Stale bool
			Since          *time.Time
		}
		Obstacle *struct{ Error, Code string }
	}
	require.Equal(t, http.StatusOK, h.call(http.MethodGet, "/api/script", nil, &host))
	require.Equal(t, []any{h.marker(), true, true}, []any{host.Marker.Path, host.Marker.Present, host.Marker.Stale})
	require.NotNil(t, host.Marker.Since)
	require.NotNil(t, host.Obstacle)
	out := h.post(request(m))
	require.Equal(t, http.StatusConflict, out.Status)
	require.Equal(t, "run_active", out.Code)
	require.Empty(t, h.files())
	require.FileExists(t, h.marker(), "it is not ours to take away unasked")

	require.Equal(t, http.StatusOK, h.call(http.MethodPost, "/api/script/marker/clear", map[string]any{}, nil))
	h.mustHaveNoMarker()
	h.hold()
	done := h.apply(m)
	h.awaitScript(done.deployment(t, m))
	var refused struct{ Code string }
	require.Equal(t, http.StatusConflict, h.call(http.MethodPost, "/api/script/marker/clear", map[string]any{}, &refused))
	require.Equal(t, "run_active", refused.Code)
	require.FileExists(t, h.marker())
	h.release()
	h.awaitDeployed(done.deployment(t, m))
	h.mustHaveNoMarker()
}

// TestCanceled: a script is asked to end, with all of its process group; one
// that does not is ended.
func TestCanceled(t *testing.T) {
	t.Parallel()
	h := open(t)
	m := h.host()
	cancel := func(run int64, reason string) {
		t.Helper()
		require.Equal(t, http.StatusAccepted, h.call(http.MethodPost, fmt.Sprintf("/api/script/runs/run_%d/cancel", run), map[string]string{"reason": reason}, nil))
	}
	canceled := func(s standing) bool { return s.State == "CANCELED" }
	h.hold()
	out := h.apply(m)
	h.awaitScript(out.deployment(t, m))
	cancel(out.RunID, "a mistake")
	run := h.awaitRun(out.RunID)
	require.Equal(t, []any{"canceled", "SIGTERM", "tester"}, []any{run.State, *run.Signal, *run.CancelRequestedB})
	h.await(out.deployment(t, m), "canceled", canceled)
	said := h.history(out.node(t, m), out.deployment(t, m))
	require.Contains(t, said[len(said)-1].Message, "a mistake")
	require.Equal(t, "tester", said[len(said)-1].Actor)
	h.mustHaveNoMarker()
	require.Equal(t, 1, m.booted(), "it did not come to that")
	require.Equal(t, http.StatusConflict, h.call(http.MethodPost, fmt.Sprintf("/api/script/runs/%d/cancel", out.RunID), map[string]string{}, nil), "it has ended")

	h.want("stubborn", "")
	out = h.apply(m)
	h.awaitScript(out.deployment(t, m))
	eventually(h.ctx, t, "the script has a child", func() bool { return h.read("child") != "" })
	child, err := strconv.Atoi(h.read("child"))
	require.NoError(t, err)
	cancel(out.RunID, "")
	run = h.awaitRun(out.RunID)
	require.Equal(t, []any{"canceled", "SIGKILL"}, []any{run.State, *run.Signal})
	require.GreaterOrEqual(t, run.EndedAt.Sub(*run.StartedAt), killAfter, "the grace")
	require.Contains(t, h.log(out.RunID), "was asked to end")
	require.False(t, h.isOurs(child), "what it started has ended too")
	h.await(out.deployment(t, m), "canceled", canceled)
	h.mustHaveNoMarker()
}

// TestScriptAndItsMarker: what a script does with its marker is told, and no
// marker outlives it.
func TestScriptAndItsMarker(t *testing.T) {
	t.Parallel()
	h := open(t)
	m := h.host()
	h.install(strings.Replace(deploymentService, "rm .markers/", "ls .markers/", 1))
	out := h.apply(m)
	run := h.awaitRun(out.RunID)
	require.Equal(t, "succeeded", run.State)
	require.Contains(t, *run.Problem, "left its marker")
	h.mustHaveNoMarker()
	h.awaitDeployed(out.DeploymentIDs[0])

	h.install("rm .markers/deplyment_status/deployment_in_progress\nread -r _ < %q/gate\n")
	id := h.apply(m).RunID
	eventually(h.ctx, t, "it is noticed", func() bool { run := h.run(id); return run.Problem != nil })
	run = h.run(id)
	require.Equal(t, "running", run.State)
	require.Contains(t, *run.Problem, "taken its marker away and still runs")
	require.Equal(t, http.StatusConflict, h.post(request(m)).Status, "no marker, but a script")
	_, err := h.gate.WriteString("\n")
	require.NoError(t, err)
	require.Equal(t, "succeeded", h.awaitRun(id).State)
	h.mustHaveNoMarker()
}

// TestOutputIsSeenLive: what the script writes comes while it runs, and the end
// of it comes last.
func TestOutputIsSeenLive(t *testing.T) {
	t.Parallel()
	h := open(t)
	m := h.host()
	h.hold()
	id := h.apply(m).RunID
	r, err := http.NewRequestWithContext(h.ctx, http.MethodGet, fmt.Sprintf("http://%s/api/script/runs/%d/log", h.addr, id), nil)
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+h.token)
	r.Header.Set("Accept", "text/event-stream")
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	var all string
	event, held := "", true
	lines := bufio.NewScanner(resp.Body)
	for event != "end" && lines.Scan() {
		if name, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			event = name
		}
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok || event != "log" {
			continue
		}
		var chunk struct {
			Text   string
			Offset int
		}
		require.NoError(t, json.Unmarshal([]byte(data), &chunk))
		require.Equal(t, len(all), chunk.Offset)
		if all += chunk.Text; held && strings.Contains(all, "begins\n") {
			require.NotContains(t, all, "ends")
			h.release()
			held = false
		}
	}
	require.NoError(t, lines.Err())
	require.Equal(t, "end", event)
	require.Equal(t, fmt.Sprintf("run %d begins\nrestarting %s\nends with 0\n", id, m.ip), all)
	require.Equal(t, h.log(id), all)
}
