package retention

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/feed"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

func TestOldEventsGoToTheArchive(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st)
		dir := filepath.Join(t.TempDir(), "archive")
		removable, active := h.fill()
		before := h.table()
		var original []Row
		rows, err := st.Read.Query(`SELECT `+rowColumns+` FROM deployment_history h WHERE h.deployment_id <> $1 ORDER BY h.position`, active.DeploymentID)
		require.NoError(t, err)
		for rows.Next() {
			r, err := scanRow(rows)
			require.NoError(t, err)
			if r.Details != nil { // white space is not kept
				var short bytes.Buffer
				require.NoError(t, json.Compact(&short, r.Details))
				r.Details = short.Bytes()
			}
			original = append(original, r)
		}
		require.NoError(t, rows.Close())

		k := h.keeper(into(dir))
		res := passOnce(t, k)
		require.Equal(t, Result{Archived: len(removable)}, res)
		require.Equal(t, int64(len(removable)), k.Archived())
		require.Equal(t, removable, archived(t, dir))
		require.Equal(t, without(before, removable), h.table(), "what is active or young stays")
		require.Equal(t, fmt.Sprint(removable[len(removable)-1]), h.setting("stream_floor"))
		require.Empty(t, h.setting(intentID))

		files, err := filepath.Glob(filepath.Join(dir, "*.gz"))
		require.NoError(t, err)
		var kept []Row
		for _, f := range files {
			info, err := os.Stat(f)
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
			day := ""
			n := 0
			require.NoError(t, Read(f, func(r Row) error {
				n++
				if day == "" {
					day = r.RecordedAt.Format(time.DateOnly)
				}
				require.Equal(t, day, r.RecordedAt.Format(time.DateOnly), "a file has one day")
				require.Contains(t, filepath.Base(f), day)
				kept = append(kept, r)
				return nil
			}))
			require.LessOrEqual(t, n, 5)
		}
		require.Equal(t, original[:len(kept)], kept, "every column")
		manifest, torn, err := readManifest(filepath.Join(dir, manifestName))
		require.NoError(t, err)
		require.False(t, torn)
		require.Len(t, manifest, len(files))
		left, err := filepath.Glob(filepath.Join(dir, ".*"))
		require.NoError(t, err)
		require.Empty(t, left)

		require.Equal(t, Result{}, passOnce(t, k), "nothing is left to do")
		h.end(active)
		require.Equal(t, 4, passOnce(t, k).Archived, "its old events may go when it is over")
		require.Len(t, archived(t, dir), len(removable)+4)
	})
}

// without gives a list without the entries of another.
func without(all, gone []int64) []int64 {
	return slices.DeleteFunc(slices.Clone(all), func(p int64) bool { return slices.Contains(gone, p) })
}

func TestOldEventsAreDroppedOnlyWhenItIsSaid(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st)
		removable, _ := h.fill()
		before := h.table()
		require.Equal(t, Result{}, passOnce(t, h.keeper()), "neither archive nor drop")
		require.Equal(t, Result{}, passOnce(t, h.keeper(func(o *Options) { o.Keep, o.Drop = 0, true })), "for ever")
		require.Equal(t, before, h.table())
		require.Empty(t, h.setting("stream_floor"))
		k := h.keeper(func(o *Options) { o.Drop = true })
		require.Equal(t, Result{Dropped: len(removable)}, passOnce(t, k))
		require.Equal(t, int64(len(removable)), k.Dropped())
		require.Equal(t, without(before, removable), h.table())
		require.Equal(t, fmt.Sprint(removable[len(removable)-1]), h.setting("stream_floor"))
		_, err := New(st, Options{Keep: keep, Drop: true, ArchiveDir: t.TempDir()})
		require.Error(t, err)
		_, err = New(st, Options{Keep: -1})
		require.Error(t, err)
	})
}

var errKilled = errors.New("killed")

// steps are all places where a pass tells that it is about to do something.
var steps = []string{"intent", "intended", "write", "sync", "rename", "syncdir", "verify", "manifest", "remove", "commit", "removed"}

// TestKilledAnywhere ends passes at every step of every chunk. Whenever that
// is, each event is in the table or in the archive; in the end each is in
// exactly one of them.
func TestKilledAnywhere(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st)
		dir := t.TempDir()
		removable, active := h.fill()
		all := h.table()
		seen := map[string]bool{}
		for round, done := 0, false; !done; round++ {
			require.Less(t, round, 500)
			k := h.keeper(into(dir))
			// The n-th round ends at the n-th kind of step, the one after it at the next.
			at, step := 0, steps[round%len(steps)]
			k.reached = func(s string) error {
				require.Contains(t, steps, s)
				seen[s] = true
				if s != step {
					return nil
				}
				if at++; at > round%2 { // sometimes of the second chunk
					return errKilled
				}
				return nil
			}
			_, err := k.Pass(t.Context())
			if err != nil {
				require.ErrorIs(t, err, errKilled)
			}
			union := append(archived(t, dir), h.table()...)
			slices.Sort(union)
			require.Equal(t, all, slices.Compact(union), "round %d, killed at %s: an event is lost", round, step)
			require.Empty(t, without(removedOf(all, h.table()), archived(t, dir)))
			done = err == nil && len(h.table()) == len(all)-len(removable)
		}
		require.Len(t, seen, len(steps))
		require.Equal(t, removable, archived(t, dir), "each once")
		h.end(active)
		passOnce(t, h.keeper(into(dir)))
		final := append(archived(t, dir), h.table()...)
		require.Len(t, final, len(all)+1)
	})
}

func removedOf(all, left []int64) []int64 { return without(all, left) }

// TestTornFiles: what a crash of the machine leaves half written does no harm.
func TestTornFiles(t *testing.T) {
	st := storetest.SQLite(t)
	h := open(t, st)
	dir := t.TempDir()
	removable, _ := h.fill()
	k := h.keeper(into(dir))
	k.reached = func(s string) error {
		if s == "manifest" {
			return errKilled
		}
		return nil
	}
	_, err := k.Pass(t.Context())
	require.ErrorIs(t, err, errKilled)
	require.NoError(t, os.WriteFile(filepath.Join(dir, manifestName), []byte(`{"file":"events-x`), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".events-x.tmp"), []byte("half"), 0o600))
	passOnce(t, h.keeper(into(dir)))
	require.Equal(t, removable, archived(t, dir))
	manifest, torn, err := readManifest(filepath.Join(dir, manifestName))
	require.NoError(t, err)
	require.False(t, torn)
	files, err := filepath.Glob(filepath.Join(dir, "events-*"))
	require.NoError(t, err)
	require.Len(t, manifest, len(files))
	require.NoFileExists(t, filepath.Join(dir, ".events-x.tmp"))
}

// TestAFileThatWasDamagedKeepsItsRows: rows go only when the file that has
// them was read back.
func TestAFileThatWasDamagedKeepsItsRows(t *testing.T) {
	st := storetest.SQLite(t)
	h := open(t, st)
	dir := t.TempDir()
	h.fill()
	before := h.table()
	k := h.keeper(into(dir))
	k.reached = func(s string) error {
		if s != "verify" {
			return nil
		}
		files, err := filepath.Glob(filepath.Join(dir, "events-*"))
		if err != nil || len(files) != 1 {
			return fmt.Errorf("%d files, %w", len(files), err)
		}
		text, err := os.ReadFile(files[0])
		if err != nil {
			return err
		}
		text[len(text)/2] ^= 1
		return os.WriteFile(files[0], text, 0o600)
	}
	_, err := k.Pass(t.Context())
	require.ErrorContains(t, err, "SHA-256")
	require.Equal(t, before, h.table())
	_, err = h.keeper(into(dir)).Pass(t.Context())
	require.ErrorContains(t, err, "move it away", "a file that cannot be read is not overwritten")
	files, err := filepath.Glob(filepath.Join(dir, "events-*"))
	require.NoError(t, err)
	require.NoError(t, os.Remove(files[0]))
	passOnce(t, h.keeper(into(dir)))
}

// TestADeploymentThatGoesOn keeps its events, even if their file was written.
func TestADeploymentThatGoesOn(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		for _, step := range []string{"rename", "verify", "remove"} {
			t.Run(step, func(t *testing.T) {
				st := st
				if st.Dialect == store.SQLite {
					st = storetest.SQLite(t)
				} else {
					st = storetest.Postgres(t)
				}
				h := open(t, st)
				dir := t.TempDir()
				removable, _ := h.fill()
				all := h.table()
				var a int64
				require.NoError(t, st.Read.QueryRow(`SELECT d.id FROM deployments d JOIN nodes n ON n.id = d.node_id WHERE n.name = 'a'`).Scan(&a))
				set := func(state string) {
					_, err := st.Write.Exec(`UPDATE deployments SET state = $1 WHERE id = $2`, state, a)
					require.NoError(t, err)
				}
				k := h.keeper(into(dir))
				k.reached = func(s string) error {
					if s == step {
						set(phase.Running)
					}
					return nil
				}
				_, err := k.Pass(t.Context())
				require.ErrorIs(t, err, errChanged)
				require.Equal(t, all, h.table(), "nothing was removed")
				passOnce(t, h.keeper(into(dir))) // takes its events out of the file
				kept := h.numbers(`SELECT position FROM deployment_history WHERE deployment_id = $1 ORDER BY position`, a)
				require.NotEmpty(t, kept)
				require.Equal(t, without(removable, kept), archived(t, dir), "no event is in the archive and in the table")
				set(phase.StateFail)
				passOnce(t, h.keeper(into(dir)))
				require.Equal(t, removable, archived(t, dir))
			})
		}
	})
}

func TestOneReplicaAtATime(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st)
		dir, other := t.TempDir(), t.TempDir()
		removable, _ := h.fill()
		a, b := h.keeper(into(dir)), h.keeper(into(other))
		if st.Dialect == store.PostgreSQL {
			a.reached = func(s string) error {
				if s == "rename" {
					require.True(t, passOnce(t, b).Busy, "another replica is at it")
					a.reached = func(string) error { return errKilled } // at the next step
				}
				return nil
			}
			_, err := a.Pass(t.Context())
			require.ErrorIs(t, err, errKilled)
			// Another replica, with an archive of its own, takes over.
			passOnce(t, b)
			require.Equal(t, removable, archived(t, other))
			// The first one wakes up late: what it holds is no longer its.
			files, err := filepath.Glob(filepath.Join(dir, "events-*"))
			require.NoError(t, err)
			require.Len(t, files, 1)
			require.FileExists(t, filepath.Join(other, filepath.Base(files[0])), "the same name for the same events")
		}
		a.reached = func(string) error { return nil }
		require.ErrorIs(t, a.remove(t.Context(), content{positions: removable[:1]}, "somebody else's"), errChanged)
		c := h.keeper(into(dir))
		c.mu.Lock()
		require.True(t, passOnce(t, c).Busy, "nor two in one process")
		c.mu.Unlock()
		require.False(t, passOnce(t, c).Busy)
	})
}

func TestTwoPassesAtOnce(t *testing.T) {
	st := storetest.Postgres(t)
	h := open(t, st)
	dir := t.TempDir()
	removable, _ := h.fill()
	var wg sync.WaitGroup
	errs := make(chan error, 4)
	for range 4 {
		k := h.keeper(into(dir))
		wg.Go(func() {
			_, err := k.Pass(context.Background())
			errs <- err
		})
	}
	wg.Wait()
	for range 4 {
		require.NoError(t, <-errs)
	}
	passOnce(t, h.keeper(into(dir)))
	require.Equal(t, removable, archived(t, dir))
}

func TestThePolicyMayChange(t *testing.T) {
	st := storetest.SQLite(t)
	h := open(t, st)
	dir := t.TempDir()
	removable, _ := h.fill()
	k := h.keeper(into(dir))
	k.reached = func(s string) error {
		if s == "remove" {
			return errKilled
		}
		return nil
	}
	_, err := k.Pass(t.Context())
	require.ErrorIs(t, err, errKilled)
	require.NotEmpty(t, h.setting(intentID))
	require.Equal(t, Result{Dropped: len(removable)}, passOnce(t, h.keeper(func(o *Options) { o.Drop = true })))
	require.Empty(t, h.setting(intentID))
}

func TestTombstonesAreForgottenWithTheirCursors(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st)
		removable, _ := h.fill()
		floor := removable[len(removable)-1]
		old, young := h.now().Add(-keep-time.Hour), h.now().Add(-time.Hour)
		for i, one := range []struct {
			position int64
			at       time.Time
		}{{1, old}, {floor + 2, old}, {floor + 3, young}} {
			_, err := st.Write.Exec(`INSERT INTO node_tombstones (id, name, changed_position, removed_at) VALUES ($1, 'x', $2, $3)`, 900+i, one.position, one.at)
			require.NoError(t, err)
		}
		passOnce(t, h.keeper(func(o *Options) { o.Drop = true }))
		left := h.numbers(`SELECT changed_position FROM node_tombstones`)
		require.Equal(t, []int64{floor + 3}, left)
		require.Equal(t, fmt.Sprint(floor+2), h.setting("stream_floor"), "who has not heard of that removal must begin anew")
	})
}

// TestCursorsBelowTheFloor: streams, resumed ones, and polls are told that
// they missed something; those above it miss nothing.
func TestCursorsBelowTheFloor(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := open(t, st)
		removable, active := h.fill()
		floor := removable[len(removable)-1]
		before, at := h.feed.Cursor(floor-1), h.feed.Cursor(floor)
		all := feed.Filter{IncludeRefused: true}
		half := h.feed.Events(all, ptr(h.feed.Cursor(0)), 0) // in the middle of a replay when the rows go
		defer half.Close()
		first, err := half.Next(t.Context())
		require.NoError(t, err)
		require.Len(t, first.Events, 3)
		nodes := h.feed.Nodes(ptr(h.feed.Cursor(0)), 0)
		defer nodes.Close()
		passOnce(t, h.keeper(func(o *Options) { o.Drop = true }))

		b, err := half.Next(t.Context())
		require.NoError(t, err)
		require.Equal(t, feed.ResetCursorExpired, b.Reset, "a replay that retention overtakes is told so")
		nb, err := nodes.Next(t.Context())
		require.NoError(t, err)
		require.Equal(t, feed.ResetCursorExpired, nb.Reset)

		for name, filter := range map[string]feed.Filter{"all": all, "only an active one": {DeploymentIDs: []int64{active.DeploymentID}}} {
			s := h.feed.Events(filter, &before, 0)
			b, err := s.Next(t.Context())
			require.NoError(t, err)
			require.Equal(t, feed.ResetCursorExpired, b.Reset, name)
			s.Close()
			page, err := h.feed.Read(t.Context(), filter, &before, 10)
			require.NoError(t, err)
			require.Equal(t, feed.ResetCursorExpired, page.Reset, name)
		}
		page, err := h.feed.Read(t.Context(), all, &at, 100)
		require.NoError(t, err)
		require.Empty(t, page.Reset, "at the floor nothing is missed")
		var got []int64
		for _, e := range page.Events {
			got = append(got, e.Position)
		}
		require.Equal(t, slices.DeleteFunc(h.table(), func(p int64) bool { return p <= floor }), got)
		page, err = h.feed.Read(t.Context(), all, nil, 100)
		require.NoError(t, err)
		require.Empty(t, page.Reset)
		require.Len(t, page.Events, len(got), "without a cursor it begins at the floor")
		s := h.feed.Events(all, &at, 0)
		defer s.Close()
		b, err = s.Next(t.Context())
		require.NoError(t, err)
		require.Empty(t, b.Reset)
	})
}

func ptr[T any](v T) *T { return &v }

func TestPoliciesAreTold(t *testing.T) {
	st := storetest.SQLite(t)
	h := open(t, st)
	h.fill()
	var log strings.Builder
	k := h.keeper(func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	require.NoError(t, k.Run(t.Context()), "it has nothing to do")
	require.Contains(t, log.String(), "neither an archive nor dropping them is set")
	require.False(t, k.Active())
	k = h.keeper(func(o *Options) { o.Logger, o.Drop = slog.New(slog.NewTextHandler(&log, nil)), true })
	passOnce(t, k)
	require.Contains(t, log.String(), "dropped=15")
}
