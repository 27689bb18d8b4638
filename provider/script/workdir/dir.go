package workdir

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/slipwayhq/slipway/deploy"
)

// DefaultPath is where deployment scripts have always looked.
const DefaultPath = "/home/pinakasupport/.pinaka_wd"

// defaultKeep is how many runs keep their logs and the former contents of the
// files that they replaced.
const defaultKeep = 20

// Options of a work directory.
type Options struct {
	Path string // absolute; empty = DefaultPath
	// KeepRuns is how many of the newest runs keep log and former contents; 0 = 20.
	KeepRuns int
	Now      func() time.Time // nil = the system's clock
	Step     Step             // nil = nobody is told
}

// Dir is a work directory. It may be used concurrently, also by several
// processes.
type Dir struct {
	o  Options
	mu sync.Mutex // among the goroutines of this process; between processes there is a lock file
}

// New makes a Dir; it touches nothing.
func New(o Options) *Dir {
	o.Path = filepath.Clean(cmp.Or(o.Path, DefaultPath))
	o.KeepRuns = cmp.Or(o.KeepRuns, defaultKeep)
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Dir{o: o}
}

// Path is the work directory.
func (d *Dir) Path() string { return d.o.Path }

// Script is the deployment script's path.
func (d *Dir) Script() string { return filepath.Join(d.o.Path, script) }

// MarkerPath is the marker's path.
func (d *Dir) MarkerPath() string { return filepath.Join(d.o.Path, marker) }

// Join gives the path of something of a run.
func (d *Dir) Join(run int64, name string) string {
	return filepath.Join(d.o.Path, RunDir(run), name)
}

// enter opens the directory for one call.
func (d *Dir) enter(ctx context.Context, use func(tree) error) (err error) {
	t := tree{ctx: ctx, path: d.o.Path, step: d.o.Step}
	err = t.do("opening", ".", func() (err error) {
		t.root, err = os.OpenRoot(d.o.Path)
		return err
	})
	if err != nil {
		return err
	}
	defer t.root.Close()
	if err := use(t); err != nil {
		return err
	}
	return ctx.Err()
}

// locked enters the directory with nobody else changing it.
func (d *Dir) locked(ctx context.Context, use func(tree) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.enter(ctx, func(t tree) error {
		if err := t.mkdirs(ourDir, secretMode); err != nil {
			return err
		}
		unlock, err := t.lock()
		if err != nil {
			return err
		}
		return errors.Join(use(t), unlock())
	})
}

// retryLock is how often a lock that another process has is asked for again.
const retryLock = 10 * time.Millisecond

// lock waits for the lock between processes. The kernel drops it when its
// holder dies.
func (t tree) lock() (unlock func() error, err error) {
	var f *os.File
	err = t.do("locking", lockName, func() (err error) {
		if f, err = t.root.OpenFile(lockName, os.O_RDWR|os.O_CREATE|syscall.O_NONBLOCK, 0o600); err != nil {
			return err
		}
		for {
			err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
			if !errors.Is(err, syscall.EWOULDBLOCK) {
				break
			}
			select {
			case <-t.ctx.Done():
				return errors.Join(t.ctx.Err(), f.Close())
			case <-time.After(retryLock):
			}
		}
		if err != nil {
			return errors.Join(err, f.Close())
		}
		return nil
	})
	if err != nil {
		if f != nil { // the answer was lost, not the lock
			err = errors.Join(err, ignoreClosed(f.Close()))
		}
		return nil, err
	}
	return f.Close, nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}

// List gives the node files by number.
func (d *Dir) List(ctx context.Context) ([]deploy.NodeFile, error) {
	var files []deploy.NodeFile
	err := d.enter(ctx, func(t tree) error {
		names, err := t.list(nodesDir)
		if err != nil {
			return err
		}
		for _, name := range names {
			number, ok := deploy.NodeFileNumber(name)
			if !ok {
				continue
			}
			body, info, err := t.read(path.Join(nodesDir, name))
			if err != nil {
				return err
			}
			if info != nil {
				files = append(files, deploy.NodeFile{Name: name, Number: number, Body: body, Mtime: info.ModTime().UTC()})
			}
		}
		return nil
	})
	slices.SortStableFunc(files, func(a, b deploy.NodeFile) int { return cmp.Compare(a.Number, b.Number) })
	return files, err
}

// Ready tells whether files and marker could be written now. It changes nothing:
// what it tries, it takes away.
func (d *Dir) Ready(ctx context.Context) error {
	return d.enter(ctx, func(t tree) error {
		if err := t.ready(); err != nil {
			return err
		}
		return t.free(0)
	})
}

func (t tree) ready() error {
	if err := t.scriptReady(); err != nil {
		return err
	}
	for _, dir := range []string{nodesDir, markerDir, ourDir} {
		if err := t.probe(dir); err != nil {
			return err
		}
	}
	return nil
}

// scriptReady tells whether there is a script.
func (t tree) scriptReady() error {
	return t.do("looking for", script, func() error {
		info, err := t.root.Stat(script)
		switch {
		case errors.Is(err, os.ErrNotExist):
			return Refuse(deploy.CodeNotFound, "Install the deployment script there.", "the deployment script %s is missing", t.abs(script))
		case err != nil:
			return err
		case !info.Mode().IsRegular():
			return errNotRegular
		}
		f, err := t.root.Open(script)
		if err != nil {
			return err
		}
		return f.Close()
	})
}

// probeSize is what a small disk must still have.
const probeSize = 4096

// probe writes to a directory, or to the one in which it would be made.
func (t tree) probe(dir string) error {
	for {
		info, err := t.exists(dir)
		if err != nil {
			return err
		}
		if info != nil || dir == "." {
			break
		}
		dir = path.Dir(dir)
	}
	name := path.Join(dir, tempPrefix+"probe")
	return t.do("writing", name, func() error {
		f, err := t.nameless(name)
		if err != nil {
			return err
		}
		_, err = f.Write(make([]byte, probeSize))
		return errors.Join(err, f.Sync(), f.Close())
	})
}

// probesAtOnce bounds how often probes may be in each other's way.
const probesAtOnce = 1000

// nameless makes a file that is gone with its last user, whatever becomes of
// him. It has the name for an instant: what a process that was killed in it
// leaves there is taken away by the next one.
func (t tree) nameless(name string) (*os.File, error) {
	remove := func() error {
		if err := t.root.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	}
	for tries := 0; ; tries++ {
		if err := remove(); err != nil {
			return nil, err
		}
		f, err := t.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
		if errors.Is(err, os.ErrExist) && tries < probesAtOnce { // somebody else's, just now
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := remove(); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		return f, nil
	}
}

// FilePath is the path of a node file.
func (d *Dir) FilePath(o Owned) string { return filepath.Join(d.o.Path, nodesDir, o.File) }
