package workdir_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/provider/script/workdir"
)

// work is a work directory.
type work struct {
	t   *testing.T
	dir string
}

func newWork(t *testing.T) *work {
	t.Helper()
	inMemory(t)
	w := &work{t, t.TempDir()}
	w.put(".scripts/deployment_service.sh", "#!/bin/bash\n")
	return w
}

// inMemory has directories made where a sync costs nothing: thousands are made.
func inMemory(t *testing.T) {
	t.Helper()
	const shared = "/dev/shm"
	if info, err := os.Stat(shared); err == nil && info.IsDir() {
		t.Setenv("TMPDIR", shared)
	}
}

func (w *work) path(name string) string { return filepath.Join(w.dir, name) }
func (w *work) node(name string) string { return w.path("cluster/nodes/" + name) }

const marker = ".markers/deplyment_status/deployment_in_progress"

func (w *work) put(name, body string) {
	w.t.Helper()
	require.NoError(w.t, os.MkdirAll(filepath.Dir(w.path(name)), 0o750))
	require.NoError(w.t, os.WriteFile(w.path(name), []byte(body), 0o600))
}

// open is as a process has it after its start.
func (w *work) open(step workdir.Step) *workdir.Dir {
	return workdir.New(workdir.Options{Path: w.dir, Step: step})
}

// seen is what the script could see: contents and modes, by name.
func (w *work) seen() map[string]string {
	w.t.Helper()
	seen := map[string]string{}
	for _, dir := range []string{"cluster/nodes", ".markers/deplyment_status"} {
		entries, err := os.ReadDir(w.path(dir))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		require.NoError(w.t, err)
		for _, e := range entries {
			info, err := e.Info()
			require.NoError(w.t, err)
			body, err := os.ReadFile(filepath.Join(w.path(dir), e.Name()))
			require.NoError(w.t, err)
			seen[e.Name()] = fmt.Sprintf("%v %s", info.Mode(), body)
		}
	}
	return seen
}

func documents(run int64, filesAndBodies ...string) deploy.ScriptRun {
	r := deploy.ScriptRun{RunKey: keyOf(run)}
	for i := 0; i < len(filesAndBodies); i += 2 {
		r.Documents = append(r.Documents, deploy.HostDocument{NodeID: int64(i + 1), NodeName: "n", File: filesAndBodies[i], Body: []byte(filesAndBodies[i+1])})
	}
	return r
}

func wantCode(t *testing.T, err error, code deploy.Code, about string) {
	t.Helper()
	var e *deploy.ProviderError
	if !errors.As(err, &e) || e.Code != code || e.Hint == "" || !strings.Contains(e.Message, about) {
		t.Fatalf("%v; want %s about %s, with a hint", err, code, about)
	}
}

func TestWriteAndUndo(t *testing.T) {
	w := newWork(t)
	w.put("cluster/nodes/node_01.json", "old")
	long := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	require.NoError(t, os.Chtimes(w.node("node_01.json"), long, long))
	w.put("cluster/nodes/notes.txt", "mine")
	before := w.seen()
	d := w.open(nil)
	run := documents(7, "node_01.json", "new", "node_02.json", "second\n")
	require.NoError(t, d.Write(t.Context(), run))
	require.Equal(t, map[string]string{"node_01.json": "-rw-r----- new", "node_02.json": "-rw-r----- second\n", "notes.txt": before["notes.txt"], "deployment_in_progress": "-rw-r----- "}, w.seen())
	info, err := os.Stat(w.node("node_02.json"))
	require.NoError(t, err)
	require.NoError(t, w.open(nil).Write(t.Context(), run), "again")
	again, err := os.Stat(w.node("node_02.json"))
	require.NoError(t, err)
	require.True(t, os.SameFile(info, again), "written again changes nothing")
	written, err := d.Written(t.Context(), keyOf(7))
	require.NoError(t, err)
	require.True(t, written)
	wantCode(t, d.Write(t.Context(), documents(7, "node_01.json", "other")), deploy.CodeConflict, "run 7")
	m, err := d.Marker(t.Context())
	require.NoError(t, err)
	require.True(t, m.Present && m.Run == keyOf(7), "%+v", m)

	require.NoError(t, d.Undo(t.Context(), keyOf(7)))
	require.Equal(t, before, w.seen())
	info, err = os.Stat(w.node("node_01.json"))
	require.NoError(t, err)
	require.True(t, info.ModTime().Equal(long))
	require.NoError(t, d.Write(t.Context(), documents(8, "node_02.json", "second\n")))
	require.NoError(t, d.Undo(t.Context(), keyOf(7)), "undone already: what is there now is another run's")
	require.Contains(t, w.seen(), "node_02.json")
	require.NoError(t, d.Undo(t.Context(), keyOf(99)), "of a run that never was")
	require.Contains(t, w.seen(), "deployment_in_progress")
}

// The process dies before or after any operation: what a new one finds can be
// finished, and can be taken back.
func TestKilledAtEveryOperation(t *testing.T) {
	prepare := func(t *testing.T) (*work, deploy.ScriptRun) {
		w := newWork(t)
		w.put("cluster/nodes/node_01.json", "old 1")
		w.put("cluster/nodes/node_03.json", "old 3")
		return w, documents(5, "node_01.json", "new 1", "node_02.json", "new 2", "node_03.json", "new 3")
	}
	count := 0
	w, run := prepare(t)
	require.NoError(t, w.open(func(_, _ string, do func() error) error {
		count++
		return do()
	}).Write(t.Context(), run))
	whole := w.seen()
	require.Greater(t, count, 40)
	for n := 1; n <= count; n++ {
		for _, after := range []bool{false, true} {
			for _, then := range []string{"write", "undo", "another run"} {
				w, run := prepare(t)
				before := w.seen()
				ctx, kill := context.WithCancel(t.Context())
				calls := 0
				err := w.open(func(_, _ string, do func() error) error {
					if calls++; calls < n {
						return do()
					}
					if after && calls == n {
						_ = do() // its process ends now
					}
					kill()
					return context.Canceled
				}).Write(ctx, run)
				require.Error(t, err)
				what := fmt.Sprintf("operation %d after=%v, then %s", n, after, then)
				d := w.open(nil)
				switch then {
				case "write":
					require.NoError(t, d.Write(t.Context(), run), what)
					require.Equal(t, whole, w.seen(), what)
					require.NoError(t, d.Undo(t.Context(), run.RunKey), what)
				case "undo":
					require.NoError(t, d.Undo(t.Context(), run.RunKey), what)
				case "another run":
					if m, err := d.Marker(t.Context()); err == nil && m.Present {
						continue // it is refused, and says by what
					}
					require.NoError(t, d.Write(t.Context(), documents(6, "node_04.json", "x")), what)
					require.NoError(t, d.Undo(t.Context(), keyOf(6)), what)
				}
				require.Equal(t, before, w.seen(), what)
			}
		}
	}
}

// The process dies in the middle of taking back.
func TestUndoKilledAtEveryOperation(t *testing.T) {
	for n := 1; ; n++ {
		w := newWork(t)
		w.put("cluster/nodes/node_01.json", "old 1")
		before := w.seen()
		run := documents(5, "node_01.json", "new 1", "node_02.json", "new 2")
		require.NoError(t, w.open(nil).Write(t.Context(), run))
		calls := 0
		err := w.open(func(_, _ string, do func() error) error {
			if calls++; calls >= n {
				return errors.New("killed")
			}
			return do()
		}).Undo(t.Context(), keyOf(5))
		if err == nil {
			require.Greater(t, n, 15)
			return
		}
		require.NoError(t, w.open(nil).Undo(t.Context(), keyOf(5)))
		require.Equal(t, before, w.seen(), "operation %d", n)
	}
}

// Every operation fails once, as on a full or broken disk: all is as it was.
func TestFailedWriteLeavesNothing(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.ENOSPC, syscall.EROFS, syscall.EIO} {
		for n := 1; ; n++ {
			w := newWork(t)
			w.put("cluster/nodes/node_01.json", "old 1")
			before := w.seen()
			run := documents(5, "node_01.json", "new 1", "node_02.json", "new 2")
			calls := 0
			err := w.open(func(op, name string, do func() error) error {
				if calls++; calls == n {
					return &fs.PathError{Op: op, Path: name, Err: errno}
				}
				return do()
			}).Write(t.Context(), run)
			if err == nil {
				require.Greater(t, n, 25)
				break
			}
			wantCode(t, err, map[syscall.Errno]deploy.Code{syscall.ENOSPC: deploy.CodeQuotaExceeded, syscall.EROFS: deploy.CodeForbidden, syscall.EIO: deploy.CodeUpstreamUnavailable}[errno], w.dir)
			require.Equal(t, before, w.seen(), "%v at operation %d", errno, n)
			require.NoError(t, w.open(nil).Write(t.Context(), run), "%v at operation %d", errno, n)
		}
	}
}

// Whoever changes a file meanwhile keeps what he wrote.
func TestUndoKeepsWhatOthersWrote(t *testing.T) {
	w := newWork(t)
	w.put("cluster/nodes/node_01.json", "old 1")
	d := w.open(nil)
	require.NoError(t, d.Write(t.Context(), documents(5, "node_01.json", "new 1", "node_02.json", "new 2")))
	w.put("cluster/nodes/node_01.json", "by hand")
	wantCode(t, d.Undo(t.Context(), keyOf(5)), deploy.CodeConflict, w.node("node_01.json"))
	require.Equal(t, map[string]string{"node_01.json": "-rw-r----- by hand"}, w.seen())
	require.NoError(t, d.Undo(t.Context(), keyOf(5)))
	require.FileExists(t, w.path(workdir.RunDir(keyOf(5))+"/before/node_01.json"))
}

func TestList(t *testing.T) {
	w := newWork(t)
	d := w.open(nil)
	files, err := d.List(t.Context())
	require.NoError(t, err)
	require.Empty(t, files)
	for _, name := range []string{"node_100.json", "node_02.json", "node_9.json", "node_x.json", "readme", ".node_03.json", ".slipway-new-3-node_07.json"} {
		w.put("cluster/nodes/"+name, name)
	}
	require.NoError(t, os.Mkdir(w.node("node_dir"), 0o750))
	files, err = d.List(t.Context())
	require.NoError(t, err)
	var names []string
	for _, f := range files {
		require.Equal(t, f.Name, string(f.Body))
		require.False(t, f.Mtime.IsZero())
		names = append(names, f.Name)
	}
	require.Equal(t, []string{"node_02.json", "node_9.json", "node_100.json"}, names)
	require.Equal(t, 101, deploy.NextNodeFile(files))
}

// Nothing outside is read or written through a link.
func TestLinksLeadNowhere(t *testing.T) {
	outside := t.TempDir()
	secret := filepath.Join(outside, "node_01.json")
	require.NoError(t, os.WriteFile(secret, []byte("secret"), 0o600))
	link := func(name, to string) func(*work) {
		return func(w *work) {
			require.NoError(t, os.MkdirAll(filepath.Dir(w.path(name)), 0o750))
			require.NoError(t, os.Symlink(to, w.path(name)))
		}
	}
	for name, spoil := range map[string]func(*work){
		"the directory of node files": link("cluster/nodes", outside),
		"the one above":               link("cluster", outside),
		"a node file":                 link("cluster/nodes/node_01.json", secret),
		"a node file, to nowhere":     link("cluster/nodes/node_01.json", filepath.Join(outside, "nothing")),
		"the marker's directory":      link(".markers/deplyment_status", outside),
		"Slipway's directory":         link(".slipway", outside),
		"a pipe": func(w *work) {
			require.NoError(t, os.MkdirAll(w.path("cluster/nodes"), 0o750))
			require.NoError(t, syscall.Mkfifo(w.node("node_01.json"), 0o600))
		},
		"a directory": func(w *work) { require.NoError(t, os.MkdirAll(w.node("node_01.json"), 0o750)) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWork(t)
			spoil(w)
			wantCode(t, w.open(nil).Write(t.Context(), documents(1, "node_01.json", "new")), deploy.CodeInvalid, w.dir)
			entries, err := os.ReadDir(outside)
			require.NoError(t, err)
			require.Len(t, entries, 1)
			body, err := os.ReadFile(secret)
			require.NoError(t, err)
			require.Equal(t, "secret", string(body))
			require.NoFileExists(t, w.path(marker))
		})
	}
	w := newWork(t)
	link("cluster/nodes/node_01.json", secret)(w)
	_, err := w.open(nil).List(t.Context())
	wantCode(t, err, deploy.CodeInvalid, w.node("node_01.json"))
	w = newWork(t)
	link("cluster/nodes", outside)(w)
	wantCode(t, w.open(nil).Ready(t.Context()), deploy.CodeInvalid, w.path("cluster/nodes"))
}

func TestRunsThatCannotBe(t *testing.T) {
	w := newWork(t)
	for _, run := range []deploy.ScriptRun{
		{}, documents(1), documents(0, "node_01.json", "x"), documents(1, "../node_01.json", "x"), documents(1, "node_a.json", "x"),
		documents(1, "node_01.json", ""), documents(1, "node_01.json", "x", "node_01.json", "y"), documents(1, "node_01.json/../../x", "x"),
	} {
		wantCode(t, w.open(nil).Write(t.Context(), run), deploy.CodeInvalid, "")
	}
	require.Empty(t, w.seen())
}

// On a file system that is mounted read-only nothing is half done, and it is
// said what is wrong.
func TestReadOnly(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounting needs root")
	}
	w := newWork(t)
	if err := syscall.Mount("slipway-test", w.dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("this place forbids mounting: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(w.dir, syscall.MNT_DETACH)) })
	w.put(".scripts/deployment_service.sh", "")
	w.put("cluster/nodes/node_01.json", "old")
	before := w.seen()
	require.NoError(t, syscall.Mount("slipway-test", w.dir, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, "size=1m"))
	wantCode(t, w.open(nil).Ready(t.Context()), deploy.CodeForbidden, w.dir)
	wantCode(t, w.open(nil).Write(t.Context(), documents(1, "node_01.json", "new")), deploy.CodeForbidden, w.dir)
	require.Equal(t, before, w.seen())
	require.NoError(t, syscall.Mount("slipway-test", w.dir, "tmpfs", syscall.MS_REMOUNT, "size=1m"))
	// Full while it is written: the second file does not fit.
	wantCode(t, w.open(nil).Write(t.Context(), documents(1, "node_01.json", "new", "node_02.json", strings.Repeat("x", 2<<20))), deploy.CodeQuotaExceeded, w.node(""))
	require.Equal(t, before, w.seen())
	require.NoError(t, w.open(nil).Write(t.Context(), documents(1, "node_01.json", "new")))
}

func TestReadyLeavesNothing(t *testing.T) {
	w := newWork(t)
	require.NoError(t, w.open(nil).Ready(t.Context()))
	entries, err := os.ReadDir(w.dir)
	require.NoError(t, err)
	require.Len(t, entries, 1, "only the script's directory")

	// What one left that was killed is taken away by the next; many at once do
	// not disturb each other.
	require.NoError(t, os.WriteFile(w.path(".slipway-new-probe"), []byte("half"), 0o600))
	errs := make([]error, 50)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() { errs[i] = w.open(nil).Ready(t.Context()) })
	}
	all.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	entries, err = os.ReadDir(w.dir)
	require.NoError(t, err)
	require.Len(t, entries, 1)
}

// Runs at the same time, from several processes as it were: one has the marker,
// the others leave nothing.
func TestWritersAtOnce(t *testing.T) {
	w := newWork(t)
	errs := make([]error, 20)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() {
			errs[i] = w.open(nil).Write(t.Context(), documents(int64(i+1), fmt.Sprintf("node_%02d.json", i+1), "x"))
		})
	}
	all.Wait()
	winner := slices.IndexFunc(errs, func(err error) bool { return err == nil })
	for i, err := range errs {
		if i != winner {
			wantCode(t, err, deploy.CodeRunActive, fmt.Sprintf("run %d ", winner+1))
		}
	}
	require.Len(t, w.seen(), 2)
	require.Contains(t, w.seen(), fmt.Sprintf("node_%02d.json", winner+1))
}

func TestOldRunsArePruned(t *testing.T) {
	w := newWork(t)
	d := workdir.New(workdir.Options{Path: w.dir, KeepRuns: 3})
	for run := int64(1); run <= 8; run++ {
		require.NoError(t, d.Write(t.Context(), documents(run, "node_01.json", fmt.Sprint(run))))
		w.put(workdir.RunDir(keyOf(run))+"/log/00000000000000000000", "output")
		if run != 2 { // whose end is not known: nothing of it is taken away
			require.NoError(t, d.Record(t.Context(), keyOf(run), workdir.EndedFile, struct{}{}))
		}
		require.NoError(t, d.Unmark(t.Context(), keyOf(run)))
	}
	for run := int64(1); run <= 8; run++ {
		dir := workdir.RunDir(keyOf(run)) + "/"
		require.FileExists(t, w.path(dir+"plan.json"))
		if run == 2 || run > 4 { // three, and the one that made room
			require.DirExists(t, w.path(dir+"log"), dir)
			require.DirExists(t, w.path(dir+"before"), dir)
		} else {
			require.NoDirExists(t, w.path(dir+"log"), dir)
			require.NoDirExists(t, w.path(dir+"before"), dir)
		}
	}
	o, err := d.FileOf(t.Context(), []deploy.RunKey{keyOf(8), keyOf(1)}, 1)
	require.NoError(t, err)
	require.Equal(t, keyOf(8), o.Run)
}

// keyOf is a run as one database knows it.
func keyOf(run int64) deploy.RunKey {
	return deploy.RunKey{ID: run, Identity: fmt.Sprintf("%032x", run)}
}
