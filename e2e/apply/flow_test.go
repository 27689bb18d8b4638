package apply

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAppliedAndProven is the whole way, of two nodes, without trouble: what the
// preview shows is what is stored, what the script sees, and what is told
// afterwards, byte for byte.
func TestAppliedAndProven(t *testing.T) {
	t.Parallel()
	h := open(t)
	a, b := h.host(), h.host()
	before := []string{a.read("boot_id"), b.read("boot_id")}
	preview := h.preview(request(a, b))
	require.Nil(t, preview.Obstacle)
	require.Empty(t, h.files(), "a preview writes nothing")
	require.NoFileExists(t, h.marker())
	h.hold()
	out := h.apply(a, b)
	require.FileExists(t, h.marker())
	info, err := os.Stat(h.script())
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o755), info.Mode().Perm(), "made executable")
	for _, m := range h.hosts {
		h.awaitScript(out.deployment(t, m))
	}
	h.release()
	for _, m := range h.hosts {
		h.awaitDeployed(out.deployment(t, m))
		require.Equal(t, wholeWay, phases(h.history(out.node(t, m), out.deployment(t, m))))
	}
	run := h.awaitRun(out.RunID)
	require.Equal(t, "succeeded", run.State)
	require.Equal(t, 0, *run.ExitCode)
	require.Nil(t, run.Problem)
	h.mustHaveNoMarker()
	require.Equal(t, 1, h.startsOf(out.RunID))
	require.NotEqual(t, before, []string{a.read("boot_id"), b.read("boot_id")})
	require.Equal(t, fmt.Sprintf("run %d begins\nrestarting %s\nrestarting %s\nends with 0\n", run.ID, a.ip, b.ip), h.log(run.ID))

	require.Len(t, preview.Plans, 2)
	require.Len(t, run.Documents, 2)
	for i, plan := range preview.Plans {
		require.Equal(t, fmt.Sprintf("node_%02d.json", i+1), plan.File)
		require.Equal(t, plan.Content, h.files()[plan.File])
		require.Equal(t, plan.Content, run.Documents[i].Content)
		require.Equal(t, plan.Content, h.read(filepath.Join("seen", fmt.Sprint(run.ID), plan.File))+"\n", "what the script saw")
		info, err := os.Stat(h.file(plan.File))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o640), info.Mode().Perm())
	}

	// The same again is another run over the same files.
	again := h.apply(a, b)
	require.Equal(t, []string{"unchanged", "unchanged"}, []string{again.Results[0].Action, again.Results[1].Action})
	for _, m := range h.hosts {
		h.awaitDeployed(again.deployment(t, m))
		require.Equal(t, out.node(t, m), again.node(t, m))
		require.NotEqual(t, out.deployment(t, m), again.deployment(t, m))
		require.Equal(t, 3, m.booted())
	}
	require.Len(t, h.files(), 2)
}

// TestEveryErrorAtOnce: nothing is written and nothing is started.
func TestEveryErrorAtOnce(t *testing.T) {
	t.Parallel()
	h := open(t)
	first, second := card("host-01", h.net+".21"), card("host-02", h.net+".21")
	one := first["using_interfaces"].(map[string]any)
	one["interface_01"].(map[string]any)["Properties"].(map[string]any)["Netmask"] = "255.0.255.0"
	one["interface_02"].(map[string]any)["vlan_id"] = "5000"
	out := h.post([]any{first, second})
	require.Equal(t, http.StatusUnprocessableEntity, out.Status)
	keys := map[string]string{}
	for _, f := range out.Fields {
		keys[f.Key] = f.Field
	}
	require.Equal(t, "cards.0.using_interfaces.interface_01.Properties.Netmask", keys["mask_not_contiguous"])
	require.Equal(t, "cards.0.using_interfaces.interface_02.vlan_id", keys["vlan_out_of_range"])
	require.Contains(t, keys, "address_twice")
	require.Empty(t, h.files())
	require.NoFileExists(t, h.marker())
	require.Empty(t, h.starts())
	var runs struct{ Runs []scriptRun }
	require.Equal(t, http.StatusOK, h.call(http.MethodGet, "/api/script/runs", nil, &runs))
	require.Empty(t, runs.Runs)
}

// TestHostsThatAreTrouble: one run, and every host is another kind of trouble
// after it, until it is well. None disturbs another.
func TestHostsThatAreTrouble(t *testing.T) {
	t.Parallel()
	h := open(t, "--script-banner-timeout=400ms")
	late, silent, same, stranger, locked, well := h.host(), h.host(), h.host(), h.host(), h.host(), h.host()
	h.becomeKnown()
	late.then(late.stayDown)
	silent.then(silent.turnSilent)
	same.then(same.serve)
	known := stranger.fingerprint()
	stranger.then(func() error { stranger.newHostKey(); return stranger.boot() })
	locked.then(func() error { locked.write("authorized_keys", ""); return locked.boot() })
	out := h.apply(h.hosts...)

	h.awaitDeployed(out.deployment(t, well))
	t.Run("comes up late", func(t *testing.T) {
		h := h.in(t)
		id := out.deployment(t, late)
		got := h.awaitClass(id, "refused", 3)
		require.Equal(t, late.address(), got.SSHProbe.Target)
		require.Equal(t, 400, got.SSHProbe.MaxAttempts)
		require.NotNil(t, got.SSHProbe.NextAttemptAt)
		late.up(h.ctx)
		require.GreaterOrEqual(t, h.awaitDeployed(id).SSHProbe.Attempt, 1)
		require.Equal(t, wholeWay, phases(h.history(out.node(t, late), id)))
	})
	t.Run("accepts and says nothing", func(t *testing.T) {
		h := h.in(t)
		id := out.deployment(t, silent)
		h.awaitClass(id, "timeout", 2)
		silent.up(h.ctx)
		h.awaitDeployed(id)
	})
	t.Run("has not restarted", func(t *testing.T) {
		h := h.in(t)
		id := out.deployment(t, same)
		h.awaitClass(id, "not_restarted", 2)
		same.down(h.ctx)
		same.up(h.ctx)
		h.awaitDeployed(id)
	})
	t.Run("does not accept the key", func(t *testing.T) {
		h := h.in(t)
		id := out.deployment(t, locked)
		h.awaitClass(id, "auth_failed", 2)
		locked.write("authorized_keys", h.key)
		h.awaitDeployed(id)
	})
	t.Run("is another machine", func(t *testing.T) {
		h := h.in(t)
		id, node := out.deployment(t, stranger), out.node(t, stranger)
		got := h.awaitFailed(id, "wrong_host")
		require.Contains(t, got.Failure.Message, known)
		require.Contains(t, got.Failure.Message, stranger.fingerprint())
		require.Equal(t, []string{known, stranger.fingerprint(), stranger.hostKey()}, []string{got.SSHProbe.KnownFingerprint, got.SSHProbe.OfferedFingerprint, got.SSHProbe.OfferedHostKey})
		require.Equal(t, 0, stranger.logins(), "nobody logs in to a machine that is not ours")

		path := fmt.Sprintf("/api/nodes/%d/host-key", node)
		require.Equal(t, http.StatusConflict, h.call(http.MethodPost, path, map[string]string{"host_key": well.hostKey()}, nil), "it has not offered this one")
		var pinned struct{ Fingerprint string }
		require.Equal(t, http.StatusOK, h.call(http.MethodPost, path, map[string]string{"host_key": stranger.hostKey()}, &pinned))
		require.Equal(t, stranger.fingerprint(), pinned.Fingerprint)
		h.retry(id, "")
		h.awaitDeployed(id)
		require.Equal(t, 1, h.startsOf(out.RunID), "the script has nothing to do with it")
	})
	require.Equal(t, 1, h.startsOf(out.RunID))
	h.mustHaveNoMarker()
}

// becomeKnown applies once without trouble: afterwards the host keys and boot
// ids of all hosts are known, however slow the machine is that plays them.
func (h *house) becomeKnown() {
	h.t.Helper()
	out := h.apply(h.hosts...)
	for _, id := range out.DeploymentIDs {
		h.awaitDeployed(id)
	}
}

// retry asks for another attempt.
func (h *house) retry(id int64, from string) {
	h.t.Helper()
	var out struct{ Error string }
	status := h.call(http.MethodPost, fmt.Sprintf("/api/deployments/dep_%d/retry", id), map[string]string{"from_phase": from}, &out)
	require.Equal(h.t, http.StatusAccepted, status, out.Error)
}

// TestGivenUp: after the last attempt a node has failed with what was wrong
// then; it can be asked again without another run.
func TestGivenUp(t *testing.T) {
	t.Parallel()
	// The last attempt comes late enough for the hosts to be up, on a busy machine too.
	h := open(t, "--script-poll-attempts=4", "--script-poll-wait=3s", "--script-poll-every=2s")
	down, locked, same := h.host(), h.host(), h.host()
	h.becomeKnown()
	down.then(down.stayDown)
	locked.then(func() error { locked.write("authorized_keys", ""); return locked.boot() })
	same.then(same.serve)
	out := h.apply(h.hosts...)
	for m, code := range map[*machine]string{down: "refused", locked: "auth_failed", same: "not_restarted"} {
		got := h.awaitFailed(out.deployment(t, m), code)
		require.Equal(t, "ssh_polling", got.Failure.PhaseKey)
		require.Equal(t, 4, got.SSHProbe.Attempt)
		require.Nil(t, got.SSHProbe.NextAttemptAt)
		require.Contains(t, got.Failure.Message, "4 attempts")
		require.NotEmpty(t, got.Failure.Hint)
	}
	down.up(h.ctx)
	locked.write("authorized_keys", h.key)
	same.then(same.boot)
	same.down(h.ctx)
	same.up(h.ctx)
	for _, m := range h.hosts {
		h.retry(out.deployment(t, m), "ssh_polling")
		require.Equal(t, 2, h.awaitDeployed(out.deployment(t, m)).Attempt)
	}
	require.Equal(t, 1, h.startsOf(out.RunID))
}

// TestAskedNowAndSkipped: with pauses of minutes, an operator has a host asked
// at once, and vouches for another.
func TestAskedNowAndSkipped(t *testing.T) {
	t.Parallel()
	h := open(t, "--script-poll-wait=4m", "--script-poll-every=4m")
	asked, vouched := h.host(), h.host()
	asked.then(asked.stayDown)
	vouched.then(vouched.stayDown)
	out := h.apply(h.hosts...)
	id := out.deployment(t, asked)
	probe := func() {
		t.Helper()
		require.Equal(t, http.StatusAccepted, h.call(http.MethodPost, fmt.Sprintf("/api/deployments/%d/probe", id), map[string]any{}, nil))
	}
	waiting := func(s standing) bool {
		return s.PhaseKey == "reboot_wait" && s.SSHProbe != nil && s.SSHProbe.NextAttemptAt != nil
	}
	h.await(id, "waits for its restart", waiting)
	probe()
	got := h.awaitClass(id, "refused", 1)
	require.Equal(t, 1, got.SSHProbe.Attempt)
	asked.up(h.ctx)
	probe()
	require.Equal(t, 2, h.awaitDeployed(id).SSHProbe.Attempt)

	skipped := out.deployment(t, vouched)
	h.await(skipped, "waits for its restart", waiting)
	path := fmt.Sprintf("/api/deployments/%d/skip-polling", skipped)
	require.Equal(t, http.StatusUnprocessableEntity, h.call(http.MethodPost, path, map[string]any{}, nil), "without a reason")
	require.Equal(t, http.StatusAccepted, h.call(http.MethodPost, path, map[string]string{"reason": "seen at the console"}, nil))
	h.awaitDeployed(skipped)
	said := h.history(out.node(t, vouched), skipped)
	last := said[len(said)-1]
	require.Equal(t, []string{"deployed", "tester"}, []string{last.Phase, last.Actor})
	require.Contains(t, last.Message, "skipped by tester: seen at the console")
	require.Equal(t, http.StatusConflict, h.call(http.MethodPost, path, map[string]string{"reason": "again"}, nil))
}
