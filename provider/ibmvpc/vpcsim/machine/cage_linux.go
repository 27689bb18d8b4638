package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// run starts j and waits until it and its whole process group are gone. When
// ctx ends first, the group is killed. The status is -1 when a signal ended it.
func (c *cage) run(ctx context.Context, j job) (int, error) {
	type result struct {
		status int
		err    error
	}
	done := make(chan result, 1)
	onOwnThread(func() {
		status, err := c.runOnThread(ctx, j)
		done <- result{status, err}
	})
	r := <-done
	return r.status, r.err
}

// onOwnThread runs f on a thread that does nothing else and ends with f. Two
// things demand it: the parent-death signal is sent when the *thread* that
// forked ends, and a thread that left the mount namespace must not run other
// goroutines. The main thread cannot end, so f never runs there.
func onOwnThread(f func()) {
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		if unix.Gettid() == unix.Getpid() {
			done := make(chan struct{})
			onOwnThread(func() { defer close(done); f() })
			<-done
			return
		}
		f()
	}()
}

func (c *cage) runOnThread(ctx context.Context, j job) (int, error) {
	if err := ctx.Err(); err != nil {
		return -1, err
	}
	line, err := c.newLifeline()
	if err != nil {
		return -1, err
	}
	defer line.close()
	argv := c.wrap(j.argv)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = j.env, j.dir, j.out, j.out
	cmd.ExtraFiles = line.files()
	cmd.WaitDelay = 2 * time.Second // for output pipes held by what left its group
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	if c.kind == CageNamespaces {
		if err := confineMounts(j.writable); err != nil {
			return -1, fmt.Errorf("cage: %w", err)
		}
		// Its death takes every process of the namespace along.
		cmd.SysProcAttr.Cloneflags = unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS
	}
	if err := cmd.Start(); err != nil {
		return -1, fmt.Errorf("cage: %w", err)
	}
	if j.started != nil {
		j.started(cmd.Process.Pid)
	}
	return waitGroup(ctx, cmd)
}

// waitGroup waits for cmd, kills what is left of its group and only then reaps
// it: until it is reaped, its number cannot belong to another group.
func waitGroup(ctx context.Context, cmd *exec.Cmd) (int, error) {
	pid := cmd.Process.Pid
	var mu sync.Mutex
	reaped := false
	kill := func() {
		mu.Lock()
		defer mu.Unlock()
		if !reaped {
			_ = unix.Kill(-pid, unix.SIGKILL) // ESRCH: nobody is left
		}
	}
	stop := context.AfterFunc(ctx, kill)
	defer stop()
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	kill()
	mu.Lock()
	err := cmd.Wait()
	reaped = true
	mu.Unlock()
	if ctx.Err() != nil {
		return -1, ctx.Err()
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) {
		return -1, fmt.Errorf("cage: %w", err)
	}
	return cmd.ProcessState.ExitCode(), nil
}

// confineMounts gives the calling thread a mount namespace in which only
// writable can be written. What it forks inherits that.
func confineMounts(writable string) error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("unshare mounts: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount(writable, writable, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s: %w", writable, err)
	}
	ro := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID}
	if err := unix.MountSetattr(unix.AT_FDCWD, "/", unix.AT_RECURSIVE, ro); err != nil {
		return fmt.Errorf("make mounts read-only: %w", err)
	}
	rw := &unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY, Attr_set: unix.MOUNT_ATTR_NODEV}
	if err := unix.MountSetattr(unix.AT_FDCWD, writable, 0, rw); err != nil {
		return fmt.Errorf("make %s writable: %w", writable, err)
	}
	return nil
}

// lifeline is a pipe that nobody writes to: it ends when the process that
// simulates the machine does, however that happens. Where no PID namespace takes
// all of a job's processes along, a watcher in their group waits for that end.
type lifeline struct{ r, w *os.File }

// watcher runs a command in the same process group as a watcher of descriptor 3.
const watcher = `(read -r _ <&3; kill -9 0) >/dev/null 2>&1 & exec "$@" 3<&-`

func (c *cage) newLifeline() (*lifeline, error) {
	if c.kind == CageNamespaces {
		return nil, nil
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("cage: %w", err)
	}
	return &lifeline{r, w}, nil
}

// files are handed to the job, the first as descriptor 3.
func (l *lifeline) files() []*os.File {
	if l == nil {
		return nil
	}
	return []*os.File{l.r}
}

// close is called when the job is gone.
func (l *lifeline) close() {
	if l != nil {
		_ = l.r.Close()
		_ = l.w.Close()
	}
}
