package script_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/provider/conformance"
	"github.com/slipwayhq/slipway/provider/script"
	"github.com/slipwayhq/slipway/provider/script/supervisor"
	"github.com/slipwayhq/slipway/provider/script/workdir"
)

// The database was lost: run 1 is another one now, and the host still knows the
// first, with its node files or without.
func TestRunsOfALostDatabase(t *testing.T) {
	for _, left := range []bool{false, true} {
		h := newHouse(t, "echo $SLIPWAY_RUN_ID; exit 3")
		h.start(1)
		require.Equal(t, 3, h.end(1).ExitCode)
		old, err := os.ReadFile(h.node("node_01.json"))
		require.NoError(t, err)
		if !left {
			require.NoError(t, os.Remove(h.node("node_01.json")))
		}
		run := runOf(1, "node_01.json", "of the new database")
		run.Identity = deploy.NewRunIdentity()
		host := h.host()
		seen, err := host.Look(t.Context(), run.RunKey)
		require.NoError(t, err)
		require.Equal(t, deploy.ProcessNone, seen.State)
		require.NoError(t, host.Undo(t.Context(), run), "nothing was written")
		require.Equal(t, left, h.has(h.node("node_01.json")))
		require.NoError(t, host.Write(t.Context(), run))
		require.NoError(t, host.Undo(t.Context(), run))
		if left {
			now, err := os.ReadFile(h.node("node_01.json"))
			require.NoError(t, err)
			require.Equal(t, string(old), string(now))
		} else {
			require.False(t, h.has(h.node("node_01.json")))
		}
		require.NoError(t, host.Write(t.Context(), run))
		h.script("exit 0")
		_, err = host.Start(t.Context(), run.RunKey)
		require.NoError(t, err)
		h.until("the second run to end", func() bool {
			seen, err = host.Look(t.Context(), run.RunKey)
			return err == nil && seen.State == deploy.ProcessEnded
		})
		require.Zero(t, seen.ExitCode)
		require.Equal(t, 3, h.look(1).ExitCode)
	}
}

// A node of another database has the same number: its file is none of ours.
func TestForeignFileIsNotReleased(t *testing.T) {
	h, j := newHouse(t, "exit 0"), &conformance.Journal{}
	h.start(1)
	h.end(1)
	p := script.New(h.host(), j)
	o := orderOf(7)
	o.Run.Identity = deploy.NewRunIdentity()
	_, err := p.Order(t.Context(), o)
	require.NoError(t, err)
	require.Empty(t, j.Rows()[0].CloudID)
	j.End(7)
	_, err = p.Release(t.Context(), release(7))
	require.NoError(t, err)
	require.True(t, h.has(h.node("node_01.json")))
}

func TestStartIsNotForEver(t *testing.T) {
	h := newHouse(t, "exit 0")
	h.write(1)
	f, err := os.OpenFile(filepath.Join(h.dir, supervisor.HostLock), os.O_RDWR|os.O_CREATE, 0o600)
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK}))
	host := h.host(func(c *script.Config) { c.Patience = 30 * time.Millisecond })
	_, err = host.Start(t.Context(), keyOf(1))
	require.True(t, wantCode(t, err, deploy.CodeRunActive, h.path(supervisor.HostLock)).Temporary)
	require.NoError(t, f.Close())
	_, err = h.host().Start(t.Context(), keyOf(1))
	require.NoError(t, err)
	h.end(1)
}

// A run that could not be started was taken back: another try of its deployment
// finds no file, and that is as it should be.
func TestOrderAfterUndo(t *testing.T) {
	h, j := newHouse(t, "exit 0"), &conformance.Journal{}
	p := script.New(h.host(), j)
	order(t, p, 7)
	run := h.write(7)
	order(t, p, 7)
	said := h.path(workdir.RunDir(keyOf(7)) + "/" + supervisor.LogFile)
	require.NoError(t, os.Mkdir(said, 0o700))
	_, err := h.host().Start(t.Context(), keyOf(7))
	require.Error(t, err)
	require.NoError(t, h.host().Undo(t.Context(), run))
	seen, err := p.Observe(t.Context(), 1)
	require.NoError(t, err)
	require.Zero(t, seen)
	order(t, p, 7)
	require.NotContains(t, string(j.Rows()[0].Details), "node_01.json", "it was taken back")
	require.Empty(t, j.Rows()[0].CloudID)
	again := orderOf(7)
	again.Attempt, again.Run = 2, keyOf(8)
	_, err = p.Order(t.Context(), again)
	require.NoError(t, err)
	h.write(8)
	_, err = p.Order(t.Context(), again)
	require.NoError(t, err)
	require.Equal(t, "node_01.json", j.Rows()[0].CloudID)
	require.NoError(t, os.Remove(h.node("node_01.json")))
	_, err = p.Order(t.Context(), again)
	wantCode(t, err, deploy.CodeNotFound, h.node("node_01.json"))
}

func TestReadyWritesNothingThatTheScriptReads(t *testing.T) {
	h := newHouse(t, "exit 0")
	h.start(1)
	h.end(1)
	writes := 0
	host := h.host(func(c *script.Config) {
		c.Step = func(op, name string, do func() error) error {
			if op == "writing" {
				writes++
				require.Equal(t, ".slipway", filepath.Dir(name))
			}
			return do()
		}
	})
	require.NoError(t, host.Ready(t.Context()))
	require.NoError(t, host.Ready(t.Context()))
	require.Equal(t, 1, writes)
	left, young := h.node(".slipway-new-probe-x"), h.node(".slipway-new-probe-y")
	require.NoError(t, os.WriteFile(left, nil, 0o600))
	require.NoError(t, os.WriteFile(young, nil, 0o600))
	long := time.Now().Add(-2 * time.Hour)
	require.NoError(t, os.Chtimes(left, long, long))
	h.write(2)
	require.False(t, h.has(left))
	require.True(t, h.has(young))
}
