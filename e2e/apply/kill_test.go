package apply

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// killAndGoOn kills the server as kill -9 does, has something happen while it is
// away, and starts it again.
func (h *house) killAndGoOn(meanwhile func()) {
	h.t.Helper()
	h.proc.kill()
	if meanwhile != nil {
		meanwhile()
	}
	h.start()
}

// mustBeProven checks what holds of a run that went well, and of its deployments.
func (h *house) mustBeProven(out answered) {
	h.t.Helper()
	for _, r := range out.Results {
		got := h.awaitDeployed(r.DeploymentID)
		require.Equal(h.t, 1, got.Attempt, "nothing was begun anew")
		said := h.history(r.NodeID, r.DeploymentID)
		ends := 0
		for _, e := range said {
			if e.Phase == "deployed" {
				ends++
			}
		}
		require.Equal(h.t, 1, ends)
	}
	run := h.run(out.RunID)
	require.Equal(h.t, []any{"succeeded", 0}, []any{run.State, *run.ExitCode})
	require.Equal(h.t, 1, h.startsOf(out.RunID), "the script ran once")
	require.Regexp(h.t, fmt.Sprintf(`^run %d begins\n(restarting \S+\n)+ends with 0\n$`, out.RunID), h.log(out.RunID))
	for _, d := range run.Documents {
		require.Equal(h.t, d.Content, h.files()[d.File])
	}
	h.mustHaveNoMarker()
}

// TestKilledWhileConfigStored: a deployment that waits until the host is free
// gets its run after the restart, once.
func TestKilledWhileConfigStored(t *testing.T) {
	t.Parallel()
	h := open(t)
	a, b := h.host(), h.host()
	h.want("exit", "3")
	failed := h.apply(b)
	id := failed.deployment(t, b)
	h.awaitFailed(id, "script_failed")
	h.want("exit", "0")
	h.hold()
	out := h.apply(a)
	h.retry(id, "config_stored")
	h.await(id, "waits for the host", func(s standing) bool { return s.PhaseKey == "config_stored" && s.Attempt == 2 })
	h.killAndGoOn(nil)
	require.Equal(t, "config_stored", h.standing(id).PhaseKey)
	require.Len(t, h.starts(), 2)
	h.release()
	require.Equal(t, 2, h.awaitDeployed(id).Attempt)
	h.mustBeProven(out)
	require.Equal(t, []int{1, 1, 1}, []int{h.startsOf(1), h.startsOf(2), h.startsOf(3)})
	require.Len(t, h.starts(), 3)
}

// TestKilledWhileScriptRuns: the script goes on; what it writes and how it ends
// while nobody is there is not lost.
func TestKilledWhileScriptRuns(t *testing.T) {
	t.Parallel()
	h := open(t)
	m := h.host()
	h.hold()
	out := h.apply(m)
	h.awaitScript(out.deployment(t, m))
	pid := *h.run(out.RunID).PID
	h.killAndGoOn(nil) // it is found again
	require.Equal(t, []any{"running", pid}, []any{h.run(out.RunID).State, *h.run(out.RunID).PID})
	h.killAndGoOn(func() {
		h.release()
		eventually(h.ctx, t, "the script has ended", func() bool { return len(h.living()) == 0 })
	})
	h.mustBeProven(out)

	h.want("exit", "42")
	h.hold()
	out = h.apply(m)
	h.awaitScript(out.deployment(t, m))
	h.killAndGoOn(func() {
		h.release()
		eventually(h.ctx, t, "the script has ended", func() bool { return len(h.living()) == 0 })
	})
	h.awaitFailed(out.deployment(t, m), "script_failed")
	run := h.run(out.RunID)
	require.Equal(t, []any{"failed", 42}, []any{run.State, *run.ExitCode})
	require.Contains(t, h.log(out.RunID), "ends with 42")
	require.Equal(t, 1, h.startsOf(out.RunID))
	h.mustHaveNoMarker()
}

// TestKilledWhileCanceling: the wish outlives who was asked.
func TestKilledWhileCanceling(t *testing.T) {
	t.Parallel()
	h := open(t)
	m := h.host()
	h.hold()
	h.want("stubborn", "")
	out := h.apply(m)
	h.awaitScript(out.deployment(t, m))
	eventually(h.ctx, t, "the script does not want to end", func() bool { return h.read("child") != "" })
	require.Equal(t, 202, h.call("POST", fmt.Sprintf("/api/script/runs/%d/cancel", out.RunID), map[string]string{"reason": "enough"}, nil))
	h.killAndGoOn(nil)
	require.Equal(t, "canceled", h.awaitRun(out.RunID).State)
	h.await(out.deployment(t, m), "canceled", func(s standing) bool { return s.State == "CANCELED" })
	require.Equal(t, 1, h.startsOf(out.RunID))
	h.mustHaveNoMarker()
}

// TestKilledWhileRestartIsAwaited: what is left of the wait is waited, no more.
func TestKilledWhileRestartIsAwaited(t *testing.T) {
	t.Parallel()
	const wait = 6 * time.Second
	h := open(t, "--script-poll-wait="+wait.String())
	m := h.host()
	out := h.apply(m)
	id := out.deployment(t, m)
	before := h.await(id, "waits for its restart", func(s standing) bool {
		return s.PhaseKey == "reboot_wait" && s.SSHProbe != nil && s.SSHProbe.NextAttemptAt != nil
	})
	h.killAndGoOn(nil)
	after := h.standing(id)
	if time.Now().Before(*before.SSHProbe.NextAttemptAt) { // else it came back late, on a busy machine
		require.Equal(t, "reboot_wait", after.PhaseKey)
		require.Equal(t, before.SSHProbe.NextAttemptAt, after.SSHProbe.NextAttemptAt)
	}
	h.mustBeProven(out)
	done := h.standing(id)
	require.False(t, done.SSHProbe.LastAttemptAt.Before(*before.SSHProbe.NextAttemptAt), "nobody asked before its time")
}

// TestKilledWhilePolling: attempts are counted on.
func TestKilledWhilePolling(t *testing.T) {
	t.Parallel()
	h := open(t)
	m := h.host()
	m.then(m.stayDown)
	out := h.apply(m)
	id := out.deployment(t, m)
	before := h.awaitClass(id, "refused", 3)
	h.killAndGoOn(nil)
	require.GreaterOrEqual(t, h.standing(id).SSHProbe.Attempt, before.SSHProbe.Attempt)
	h.awaitClass(id, "refused", before.SSHProbe.Attempt+2)
	m.up(h.ctx)
	h.mustBeProven(out)
}

// TestKilledWhileValidating: in the middle of a login.
func TestKilledWhileValidating(t *testing.T) {
	t.Parallel()
	h := open(t)
	m := h.host()
	m.then(func() error { m.holdLogin(2); return m.boot() })
	out := h.apply(m)
	id := out.deployment(t, m)
	eventually(h.ctx, t, "the second login is held", func() bool { return m.booted() == 2 && m.logins() == 2 })
	require.Equal(t, "health_validation", h.standing(id).PhaseKey)
	h.killAndGoOn(m.goOn)
	h.mustBeProven(out)
}
