package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// takeOver stays with a script whose supervisor was killed, to its end.
func (s *supervision) takeOver(ctx context.Context, started Started) error {
	e := Ended{Started: true, Problem: "its supervisor was ended, and how the script ended cannot be told"}
	fd, err := unix.PidfdOpen(started.PID, 0)
	if err != nil || !started.alive() {
		return s.end(ctx, e)
	}
	defer unix.Close(fd)
	s.log.WarnContext(ctx, "a script without a supervisor was taken over", "pid", started.PID)
	if err := s.openLog(ctx); err != nil {
		return err
	}
	if pipe := reopen(started); pipe != nil {
		_, _ = s.out.Write([]byte("\n[slipway: the supervisor was ended here and replaced; a little of the output may be missing]\n")) // it does not fail
		s.keep(pipe)
	}
	s.marker = watchMarker(s.dir.MarkerPath())
	defer s.marker.close()
	s.decided()
	over := make(chan struct{})
	var status unix.WaitStatus
	told := false
	go func() {
		defer close(over)
		waitFor(fd)
		status, told = askAfter(fd, started.Process)
	}()
	// What it leaves behind does not hang under this process: it may not even be
	// found, and is not waited for.
	never := func(context.Context) bool { return false }
	left, at := s.await(ctx, []int{started.PID}, never, func() bool {
		select {
		case <-over:
			return true
		default:
			return false
		}
	})
	e.At = at.UTC()
	if told {
		e.Known, e.Problem = true, "its supervisor was ended and replaced while it ran"
		e.ExitCode, e.Signal = verdict(status)
	}
	if err := s.end(ctx, s.judge(ctx, e, left)); err != nil {
		return err
	}
	if s.kept != nil {
		s.remain()
	}
	return nil
}

// reopen finds the script's output pipe in what it has open; nil if it closed
// it.
func reopen(started Started) *os.File {
	dir := "/proc/" + strconv.Itoa(started.PID) + "/fd"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		var st unix.Stat_t
		name := dir + "/" + e.Name()
		if unix.Stat(name, &st) != nil || st.Ino != started.Pipe || st.Mode&unix.S_IFMT != unix.S_IFIFO {
			continue
		}
		if f, err := os.OpenFile(name, os.O_RDONLY, 0); err == nil {
			return f
		}
	}
	return nil
}

// waitFor waits for the end of a process that is no child.
func waitFor(fd int) {
	for {
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1) //nolint:gosec // descriptors are small
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// patienceExit is how long whoever inherited the script may take to ask how it
// ended: only then the kernel tells others.
const patienceExit = 2 * time.Second

// askAfter asks how a process ended that is no child. As long as whoever
// inherited it has not asked, /proc has the answer; after that Linux tells since
// 6.15 (PIDFD_GET_INFO). false if nobody tells.
func askAfter(fd int, p Process) (unix.WaitStatus, bool) {
	until := time.Now().Add(patienceExit)
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for time.Now().Before(until) {
		if s, ok := p.there(); ok && s.dead() {
			return s.status, true
		}
		info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_EXIT}
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.PIDFD_GET_INFO, uintptr(unsafe.Pointer(&info))) //nolint:gosec // the kernel fills a struct that x/sys defines
		if errno == 0 && info.Mask&unix.PIDFD_INFO_EXIT != 0 {
			return unix.WaitStatus(info.Exit_code), true //nolint:gosec // the kernel's own bits
		}
		if errno != 0 && !errors.Is(errno, unix.ESRCH) {
			return 0, false
		}
		<-look.C
	}
	return 0, false
}

// Kill ends the script's process group, and with hard all that it started, in
// whatever group it is. A script that is over is left alone: its number may be
// another's.
func Kill(state State, super *Process, hard bool) error {
	if state.Started == nil || state.Ended != nil {
		return nil
	}
	script, there := state.Started.there()
	sig := unix.SIGTERM
	if hard {
		sig = unix.SIGKILL
	}
	var errs []error
	if there {
		// Dead or alive, it keeps the number of its group from being another's.
		if err := gone(unix.Kill(-script.pid, sig)); err != nil {
			errs = append(errs, fmt.Errorf("supervisor: ending process group %d: %w", script.pid, err))
		}
	}
	if !hard {
		return errors.Join(errs...)
	}
	var roots []int
	if there {
		roots = append(roots, script.pid)
	}
	if super != nil && super.alive() {
		roots = append(roots, super.PID)
	}
	for range 5 { // one that forks while it is looked for is found next time
		left := descendants(roots...)
		if len(left) == 0 {
			break
		}
		for _, p := range left {
			if err := p.signal(unix.SIGKILL); err != nil {
				errs = append(errs, fmt.Errorf("supervisor: ending process %d: %w", p.pid, err))
			}
		}
	}
	return errors.Join(errs...)
}
