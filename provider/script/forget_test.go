package script_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/provider/script"
	"github.com/slipwayhq/slipway/provider/script/workdir"
)

// The directory of an old run stays as long as what its script left behind is
// watched over there.
func TestWhatADaemonWritesToIsKept(t *testing.T) {
	h := newHouse(t, daemon+"exit 0")
	h.ending = map[int64]bool{1: true} // nothing is left of it to end
	h.start(1)
	h.end(1)
	pid := h.daemon()
	dir := h.path(workdir.RunDir(keyOf(1)))
	later := func(c *script.Config) {
		c.KeepRuns, c.KeepRecords = 1, time.Hour
		c.Now = func() time.Time { return time.Now().Add(48 * time.Hour) }
	}
	h.script("exit 0")
	write := func(run int64) {
		h.ends(run)
		require.NoError(t, h.host(later).Write(t.Context(), runOf(run, "node_01.json", "{}")))
		_, err := h.host(later).Start(t.Context(), keyOf(run))
		require.NoError(t, err)
		h.end(run)
	}
	write(2) // which replaces run 1's file
	write(3)
	require.NotZero(t, h.supervisorPID(1))
	require.True(t, h.has(dir))
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	h.until("its supervisor to end", func() bool { return h.supervisorPID(1) == 0 })
	write(4)
	require.False(t, h.has(dir))
}
