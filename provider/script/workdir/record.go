package workdir

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"syscall"
	"time"

	"github.com/slipwayhq/slipway/deploy"
)

// Record writes a file of ours in a run's directory, whole and safe on the disk.
// It needs no lock: only one process writes a name.
func (d *Dir) Record(ctx context.Context, run deploy.RunKey, name string, v any) error {
	return d.enter(ctx, func(t tree) error { return t.save(path.Join(RunDir(run), name), run, v) })
}

// Recorded reads one.
func (d *Dir) Recorded(ctx context.Context, run deploy.RunKey, name string, into any) (found bool, err error) {
	err = d.enter(ctx, func(t tree) error {
		found, err = t.record(path.Join(RunDir(run), name), into)
		return err
	})
	return found, err
}

// reserved is more than a record needs.
const reserved = 4096

func reserveName(run deploy.RunKey, name string) string {
	return path.Join(RunDir(run), name+".reserve")
}

// Reserve takes the space that a record will need, so that it can be written on
// a disk that is full by then.
func (d *Dir) Reserve(ctx context.Context, run deploy.RunKey, name string) error {
	return d.enter(ctx, func(t tree) error {
		return t.put(reserveName(run, name), bytes.Repeat([]byte{' '}, reserved), 0o600, time.Time{})
	})
}

// RecordReserved is Record in space that was reserved, if it was.
func (d *Dir) RecordReserved(ctx context.Context, run deploy.RunKey, name string, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("workdir: %w", err)
	}
	if len(body) >= reserved {
		return d.Record(ctx, run, name, v)
	}
	padded := append(append(body, bytes.Repeat([]byte{' '}, reserved-1-len(body))...), '\n')
	return d.enter(ctx, func(t tree) error {
		from := reserveName(run, name)
		if info, err := t.exists(from); err != nil || info == nil {
			return errors.Join(err, t.save(path.Join(RunDir(run), name), run, v))
		}
		err := t.do("writing", from, func() error {
			f, err := t.root.OpenFile(from, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteAt(padded, 0)
			return errors.Join(err, f.Sync(), f.Close())
		})
		if err != nil {
			return err
		}
		return t.rename(from, path.Join(RunDir(run), name))
	})
}

// Open opens a file of ours for reading and writing, and makes it if make says
// so; nil if it is not there. For locks.
func (d *Dir) Open(ctx context.Context, name string, make bool) (f *os.File, err error) {
	err = d.enter(ctx, func(t tree) error {
		flags := os.O_RDWR | syscall.O_NONBLOCK
		if make {
			flags |= os.O_CREATE
			if err := t.mkdirs(path.Dir(name), secretMode); err != nil {
				return err
			}
		}
		return t.do("opening", name, func() error {
			if f, err = t.root.OpenFile(name, flags, 0o600); errors.Is(err, fs.ErrNotExist) && !make {
				f, err = nil, nil
			}
			return err
		})
	})
	return f, err
}

// OpenLog enters the directory of a run's log, and makes it if make says so; nil
// if it is not there.
func (d *Dir) OpenLog(ctx context.Context, run deploy.RunKey, make bool) (root *os.Root, err error) {
	name := path.Join(RunDir(run), LogDir)
	err = d.enter(ctx, func(t tree) error {
		if make {
			if err := t.mkdirs(name, secretMode); err != nil {
				return err
			}
		}
		return t.do("opening", name, func() error {
			if root, err = t.root.OpenRoot(name); errors.Is(err, fs.ErrNotExist) && !make {
				root, err = nil, nil
			}
			return err
		})
	})
	return root, err
}

// ScriptReady tells whether there is a script that can be read.
func (d *Dir) ScriptReady(ctx context.Context) error {
	return d.enter(ctx, tree.scriptReady)
}

// MakeExecutable sets the script's mode to 0755.
func (d *Dir) MakeExecutable(ctx context.Context) error {
	return d.enter(ctx, func(t tree) error {
		return t.do("making executable", script, func() error { return t.root.Chmod(script, 0o755) })
	})
}
