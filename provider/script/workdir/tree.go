package workdir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/slipwayhq/slipway/deploy"
)

const (
	dirMode    = 0o750
	secretMode = 0o700 // of .slipway: former contents and logs
	fileMode   = 0o640
	// maxFile is more than any node file or record has.
	maxFile = 8 << 20
	// tempPrefix begins the names of what is not there yet. Scripts look for
	// node_*.json.
	tempPrefix = ".slipway-new-"
)

// Step is told of every operation on the file system before it is done, and
// does it; it may fail it instead. Names are relative to the work directory.
type Step func(op, name string, do func() error) error

// tree is the work directory, entered for one call.
type tree struct {
	ctx  context.Context
	root *os.Root
	path string
	step Step
}

// do makes one operation.
func (t tree) do(doing, name string, fn func() error) error {
	if err := t.ctx.Err(); err != nil {
		return err
	}
	step := func() error { return fn() }
	if t.step != nil {
		step = func() error { return t.step(doing, name, fn) }
	}
	return Failure(doing, t.abs(name), step())
}

func (t tree) abs(name string) string { return filepath.Join(t.path, name) }

// errNotRegular is a file of another kind where a regular one belongs.
var errNotRegular = errors.New("it is no regular file")

// read gives a file's content; nil info if there is none.
func (t tree) read(name string) (body []byte, info fs.FileInfo, err error) {
	err = t.do("reading", name, func() error {
		body, info, err = readRegular(t.root, name)
		return err
	})
	return body, info, err
}

func readRegular(root *os.Root, name string) ([]byte, fs.FileInfo, error) {
	before, err := root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	if !before.Mode().IsRegular() {
		return nil, nil, errNotRegular
	}
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) { // removed meanwhile
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() { // exchanged meanwhile
		return nil, nil, errNotRegular
	}
	body, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(body) > maxFile {
		err = fmt.Errorf("it is larger than %d bytes", maxFile)
	}
	return body, info, err
}

// exists tells whether something has the name, without following a link.
func (t tree) exists(name string) (info fs.FileInfo, err error) {
	err = t.do("looking for", name, func() error {
		info, err = t.root.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) {
			info, err = nil, nil
		}
		return err
	})
	return info, err
}

// list gives the names in a directory; none if there is no directory.
func (t tree) list(name string) (names []string, err error) {
	err = t.do("reading", name, func() error {
		d, err := t.root.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		defer d.Close()
		names, err = d.Readdirnames(-1)
		return err
	})
	slices.Sort(names)
	return names, err
}

// mkdirs makes a directory and what is missing above it.
func (t tree) mkdirs(name string, mode fs.FileMode) error {
	if name == "." {
		return nil
	}
	info, err := t.exists(name)
	if err != nil || info != nil {
		return err // what it is shows when it is used
	}
	if err := t.mkdirs(path.Dir(name), mode); err != nil {
		return err
	}
	err = t.do("making", name, func() error {
		if err := t.root.Mkdir(name, mode); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		return nil
	})
	if err != nil {
		return err
	}
	return t.sync(path.Dir(name))
}

// temp is the name under which a file is written first. It is the same for
// every try of a run, so that nothing is left behind.
func temp(name string, run deploy.RunKey) string {
	return path.Join(path.Dir(name), tempPrefix+run.String()+"-"+path.Base(name))
}

// write puts a file in place, whole and safe on the disk, or leaves what was.
func (t tree) write(name string, run deploy.RunKey, body []byte, mode fs.FileMode, mtime time.Time) error {
	if err := t.put(temp(name, run), body, mode, mtime); err != nil {
		return err
	}
	return t.rename(temp(name, run), name)
}

// put writes a new file and syncs it; one of that name that is left from before
// is removed first.
func (t tree) put(name string, body []byte, mode fs.FileMode, mtime time.Time) error {
	if err := t.remove(name); err != nil {
		return err
	}
	return t.do("writing", name, func() error {
		f, err := t.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
		if err != nil {
			return err
		}
		_, err = f.Write(body)
		err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()) // the umask may have narrowed the mode
		if err == nil && !mtime.IsZero() {
			err = t.root.Chtimes(name, time.Time{}, mtime)
		}
		if err != nil {
			err = errors.Join(err, t.root.Remove(name)) // it would hold the space that is missing
		}
		return err
	})
}

// rename makes a file be where it belongs, and makes that safe.
func (t tree) rename(from, to string) error {
	if err := t.do("writing", to, func() error { return t.root.Rename(from, to) }); err != nil {
		return err
	}
	return t.sync(path.Dir(to))
}

// move is rename, unless the two names are on different file systems.
func (t tree) move(from, to string) (moved bool, err error) {
	err = t.do("writing", to, func() error {
		err := t.root.Rename(from, to)
		if errors.Is(err, syscall.EXDEV) {
			return nil
		}
		moved = err == nil
		return err
	})
	if err == nil && moved {
		err = t.sync(path.Dir(to))
	}
	return moved, err
}

// remove takes a file away, if it is there.
func (t tree) remove(name string) error {
	return t.do("removing", name, func() error {
		if err := t.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
}

// sync makes safe what was renamed or removed in a directory.
func (t tree) sync(name string) error {
	return t.do("syncing", name, func() error {
		d, err := t.root.Open(name)
		if err != nil {
			return err
		}
		return errors.Join(d.Sync(), d.Close())
	})
}
