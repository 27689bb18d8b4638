package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/provider/script/workdir"
)

// Locks are of open file descriptions (fcntl_locking(2)): a process inherits
// them, and they can be asked for without being taken.

// acquire takes a lock; nil if somebody has it.
func acquire(ctx context.Context, dir *workdir.Dir, name string) (*os.File, error) {
	f, err := dir.Open(ctx, name, true)
	if err != nil {
		return nil, err
	}
	err = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return nil, f.Close()
	}
	if err != nil {
		return nil, errors.Join(workdir.Failure("locking", f.Name(), err), f.Close())
	}
	return f, nil
}

// held tells whether somebody has a lock.
func held(ctx context.Context, dir *workdir.Dir, name string) (bool, error) {
	f, err := dir.Open(ctx, name, false)
	if err != nil || f == nil {
		return false, err
	}
	defer f.Close()
	l := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &l); err != nil {
		return false, workdir.Failure("looking at the lock", f.Name(), err)
	}
	return l.Type != unix.F_UNLCK, nil
}

// holderSize is the size of what is in the host's lock: it is written at once,
// so that nobody reads half a key. A number has 19 digits at most.
const holderSize = 64

// holder gives the run that has, or last had, the host's lock.
func holder(ctx context.Context, dir *workdir.Dir) (none deploy.RunKey, err error) {
	f, err := dir.Open(ctx, HostLock, false)
	if err != nil || f == nil {
		return none, err
	}
	defer f.Close()
	b := make([]byte, holderSize)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return none, workdir.Failure("reading", f.Name(), err)
	}
	run, _ := deploy.ParseRunKey(strings.TrimSpace(string(b[:n]))) // zero: nobody had it yet
	return run, nil
}

// hold writes who has the host's lock.
func hold(f *os.File, run deploy.RunKey) error {
	if _, err := fmt.Fprintf(io.NewOffsetWriter(f, 0), "%*s", holderSize, run.String()); err != nil {
		return workdir.Failure("writing", f.Name(), err)
	}
	if err := f.Sync(); err != nil {
		return workdir.Failure("writing", f.Name(), err)
	}
	return nil
}
