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
	// KeepRecords is how long what else is known of older runs is kept; 0 = for
	// ever. What says whose a node file is stays as long as the file.
	KeepRecords time.Duration
	// InUse tells whether a process is still at work in a run's directory, though
	// the run is over; nil = none ever is.
	InUse func(ctx context.Context, run deploy.RunKey) (bool, error)
	Now   func() time.Time // nil = the system's clock
	Step  Step             // nil = nobody is told
	// LockPatience is how long another process's lock of the files is waited for;
	// 0 = 20 s.
	LockPatience time.Duration
}

// lockPatience is how long whoever holds the lock of the files is waited for:
// nobody holds it for longer than a write takes.
const lockPatience = 20 * time.Second

// probeAgain is for how long a directory that could be written is believed to be
// so by who only asks: to ask is not to write to the disk every time.
const probeAgain = 5 * time.Second

// Dir is a work directory. It may be used concurrently, also by several
// processes.
type Dir struct {
	o  Options
	mu sync.Mutex // among the goroutines of this process; between processes there is a lock file

	probing sync.Mutex
	probed  time.Time // when writing was last tried, with success
}

// New makes a Dir; it touches nothing.
func New(o Options) *Dir {
	o.Path = filepath.Clean(cmp.Or(o.Path, DefaultPath))
	o.LockPatience = cmp.Or(o.LockPatience, lockPatience)
	if o.KeepRuns <= 0 {
		o.KeepRuns = defaultKeep
	}
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
func (d *Dir) Join(run deploy.RunKey, name string) string {
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
		unlock, err := t.lock(d.o.LockPatience)
		if err != nil {
			return err
		}
		return errors.Join(use(t), unlock())
	})
}

// retryLock is how often a lock that another process has is asked for again.
const retryLock = 10 * time.Millisecond

// lock waits for the lock between processes, but not for ever. The kernel drops
// it when its holder dies.
func (t tree) lock(patience time.Duration) (unlock func() error, err error) {
	var f *os.File
	late := time.NewTimer(patience)
	defer late.Stop()
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
			case <-late.C:
				return errors.Join(Held(t.abs(lockName), patience), f.Close())
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

// Ready tells whether files and marker could be written now. The directories
// that the script reads are only asked about; whether there is space is tried
// beside Slipway's own records, once in a while, and what is tried is taken away.
func (d *Dir) Ready(ctx context.Context) error {
	return d.enter(ctx, func(t tree) error {
		if err := t.ready(d.writable); err != nil {
			return err
		}
		return t.free(deploy.RunKey{})
	})
}

func (t tree) ready(writable func(tree) error) error {
	if err := t.scriptReady(); err != nil {
		return err
	}
	for _, dir := range []string{nodesDir, markerDir, ourDir} {
		if err := t.allowed(dir); err != nil {
			return err
		}
	}
	return writable(t)
}

// writable tries to write, unless that has just succeeded.
func (d *Dir) writable(t tree) error {
	d.probing.Lock()
	defer d.probing.Unlock()
	if since := d.o.Now().Sub(d.probed); since >= 0 && since < probeAgain {
		return nil
	}
	err := t.probe(ourDir)
	if err == nil {
		d.probed = d.o.Now()
	}
	return err
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

// there gives a directory, or the one in which it would be made.
func (t tree) there(dir string) (string, error) {
	for {
		info, err := t.exists(dir)
		if err != nil || info != nil || dir == "." {
			return dir, err
		}
		dir = path.Dir(dir)
	}
}

// allowed tells whether this process may write to a directory (access(2)), or to
// the one in which it would be made. It writes nothing.
func (t tree) allowed(dir string) error {
	dir, err := t.there(dir)
	if err != nil {
		return err
	}
	return t.do("writing to", dir, func() error {
		d, err := t.root.OpenRoot(dir) // never out of the work directory
		if err != nil {
			return err
		}
		defer d.Close()
		f, err := d.Open(".")
		if err != nil {
			return err
		}
		defer f.Close()
		return mayWrite(f)
	})
}

// probe writes to a directory, or to the one in which it would be made.
func (t tree) probe(dir string) error {
	dir, err := t.there(dir)
	if err != nil {
		return err
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
