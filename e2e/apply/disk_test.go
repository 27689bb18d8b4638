package apply

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// openOnSmallDisk is open with a work directory on a disk of its own, which
// only the server sees: at h.work are its contents as it has them.
func openOnSmallDisk(t *testing.T) *house {
	t.Helper()
	if out, err := exec.Command("unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt").CombinedOutput(); err != nil {
		t.Skipf("nothing can be mounted here: %v: %s", err, out)
	}
	h := prepare(t)
	mount := h.work
	script, err := os.ReadFile(h.script())
	require.NoError(t, err)
	h.proc = start(t, append([]string{"unshare", "--mount", "--propagation=private", "sh", "-c",
		`mount -t tmpfs -o size=512k,mode=755 none "$0" && mkdir "$0/.scripts" && exec "$@"`, mount, binary}, h.args...)...)
	h.proc.await(h.ctx, `msg="slipway serves"`)
	h.sign()
	h.work = filepath.Join(fmt.Sprintf("/proc/%d/root", h.proc.cmd.Process.Pid), mount)
	require.NoError(t, os.WriteFile(h.script(), script, 0o644))
	return h
}

// inside runs a command where the server's disk is.
func (h *house) inside(args ...string) {
	h.t.Helper()
	out, err := exec.Command("nsenter", append([]string{"--target", fmt.Sprint(h.proc.cmd.Process.Pid), "--mount"}, args...)...).CombinedOutput()
	require.NoError(h.t, err, "%s", out)
}

// TestDiskInTrouble: a disk that is full, or mounted read-only, refuses the
// whole request; what was there is as it was, and no marker is left.
func TestDiskInTrouble(t *testing.T) {
	t.Parallel()
	h := openOnSmallDisk(t)
	m := h.host()
	out := h.post(request(m))
	require.Equal(t, http.StatusAccepted, out.Status, "%+v", out)
	h.awaitDeployed(out.DeploymentIDs[0])
	before := h.files()
	require.Len(t, before, 1)

	more := request(m)
	for i := range 60 { // with what is there, more than the disk has
		ip := fmt.Sprintf("%s.%d", h.net, 100+i)
		more[ip] = card(fmt.Sprintf("ghost-%d", i), ip)
	}
	more[m.ip].(map[string]any)["roles"] = []string{"Compute", "Monitoring"}
	refused := func(why string) {
		t.Helper()
		starts := len(h.starts())
		got := h.post(more)
		require.Equal(t, http.StatusServiceUnavailable, got.Status, "%+v", got)
		require.False(t, got.Success)
		require.Regexp(t, `^error: .*`+why, got.Script)
		require.Equal(t, before, h.files(), "byte for byte what was there")
		require.NoFileExists(t, h.marker())
		require.Len(t, h.starts(), starts)
		left, err := filepath.Glob(h.file(".slipway-new-*"))
		require.NoError(t, err)
		require.Empty(t, left)
		for _, id := range got.DeploymentIDs { // it had been accepted before the disk was full
			h.awaitFailed(id, "script_not_started")
		}
	}
	hog := filepath.Join(h.work, "hog")
	for _, left := range []int{0, 4096, 32 << 10, 100 << 10} {
		fill(t, hog)
		info, err := os.Stat(hog)
		require.NoError(t, err)
		require.NoError(t, os.Truncate(hog, info.Size()-int64(left)))
		refused("no space left on device")
	}
	require.NoError(t, os.Remove(hog))
	h.inside("mount", "-o", "remount,ro", h.mounted())
	refused("read-only file system")
	h.inside("mount", "-o", "remount,rw,size=8m", h.mounted())
	got := h.post(more)
	require.Equal(t, http.StatusAccepted, got.Status, "%+v", got)
	require.Equal(t, "replace", got.Results[indexOf(got, m.name)].Action)
	require.Len(t, h.files(), 61)
	require.Equal(t, "succeeded", h.awaitRun(got.RunID).State)
	h.mustHaveNoMarker()
}

func (h *house) mounted() string {
	path, err := filepath.Rel(fmt.Sprintf("/proc/%d/root", h.proc.cmd.Process.Pid), h.work)
	require.NoError(h.t, err)
	return "/" + path
}

func indexOf(a answered, name string) int {
	for i, r := range a.Results {
		if r.NodeName == name {
			return i
		}
	}
	return -1
}

// fill takes all the room that a disk has.
func fill(t testing.TB, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	require.NoError(t, err)
	defer f.Close()
	_, err = io.Copy(f, zeros{})
	require.ErrorIs(t, err, syscall.ENOSPC)
}

// zeros has no end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
