package workdir_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/provider/script/workdir"
)

// What is known of a run is forgotten when its time is over, unless something of
// it is still there: a node file as it wrote it, what its script left behind, or
// a script whose end is not known.
func TestOldRunsAreForgotten(t *testing.T) {
	w := newWork(t)
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	const days = 24 * time.Hour
	used := map[deploy.RunKey]bool{keyOf(3): true}
	open := func(records time.Duration) *workdir.Dir {
		return workdir.New(workdir.Options{Path: w.dir, KeepRuns: 2, KeepRecords: records, Now: func() time.Time { return now },
			InUse: func(_ context.Context, run deploy.RunKey) (bool, error) { return used[run], nil }})
	}
	d := open(30 * days)
	write := func(run int64, over bool, file string) {
		t.Helper()
		require.NoError(t, d.Write(t.Context(), documents(run, file, fmt.Sprint("of run ", run))))
		if over {
			require.NoError(t, d.Record(t.Context(), keyOf(run), workdir.EndedFile, struct{}{}))
		}
		require.NoError(t, d.Unmark(t.Context(), keyOf(run)))
		now = now.Add(time.Hour)
	}
	write(1, true, "node_01.json")  // replaced by run 6
	write(2, false, "node_01.json") // lost: nobody told how it ended
	write(3, true, "node_01.json")  // left something behind that is still at work
	write(4, true, "node_02.json")  // its file is still there
	require.NoError(t, d.Write(t.Context(), documents(5, "node_03.json", "taken back")))
	require.NoError(t, d.Undo(t.Context(), keyOf(5)))
	write(6, true, "node_01.json")
	dead := workdir.RunDir(keyOf(99))
	w.put(dead+"/before/node_01.json", "of a process that ended before it had a plan")
	require.NoError(t, os.Chtimes(w.path(dead), now.Add(-5*time.Hour), now.Add(-5*time.Hour)))
	known := func() (runs []int64) {
		t.Helper()
		for _, run := range []int64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 99} {
			if _, err := os.Stat(w.path(workdir.RunDir(keyOf(run)))); err == nil {
				runs = append(runs, run)
			}
		}
		return runs
	}
	write(7, true, "node_04.json")
	require.Equal(t, []int64{1, 2, 3, 4, 5, 6, 7, 99}, known(), "none is old")
	now = now.Add(31 * days)
	d = open(0)
	write(8, true, "node_05.json")
	require.Equal(t, []int64{1, 2, 3, 4, 5, 6, 7, 8, 99}, known(), "they are kept for ever")
	d = open(30 * days)
	write(9, true, "node_06.json")
	require.Equal(t, []int64{2, 3, 4, 6, 7, 8, 9}, known())
	used = nil
	now = now.Add(31 * days)
	require.NoError(t, os.WriteFile(w.node("node_02.json"), []byte("by hand"), 0o600))
	write(10, true, "node_01.json") // until now run 6 has this file: its directory stays
	require.Equal(t, []int64{2, 6, 7, 8, 9, 10}, known())
	for _, run := range []int64{6, 10} {
		o, err := d.FileOf(t.Context(), []deploy.RunKey{keyOf(run), keyOf(1)}, 1)
		require.NoError(t, err)
		require.Equal(t, keyOf(run), o.Run)
	}
	none, err := d.FileOf(t.Context(), []deploy.RunKey{keyOf(1)}, 1)
	require.NoError(t, err)
	require.Nil(t, none)
	left, err := filepath.Glob(w.path(".slipway/run-*"))
	require.NoError(t, err)
	require.Len(t, left, 6)
}
