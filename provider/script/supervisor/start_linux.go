package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/provider/script/workdir"
)

// shell runs the script.
const shell = "/bin/bash"

// The file descriptors of the process that becomes the script.
const (
	execRunLock = 3 + iota
	execHostLock
	execStatus
)

// EnvRun has the run's number in the script's environment.
const EnvRun = "SLIPWAY_RUN_ID"

// pipeSize is how much output a script can have before somebody must read it, as
// far as the system lets it.
const pipeSize = 1 << 20

// outputPipe makes the pipe for the script's output. The script's end can be
// read as well: without a supervisor the script waits instead of being ended by
// SIGPIPE, and the next supervisor opens the pipe again through it.
func outputPipe() (read, both *os.File, err error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	both, err = os.OpenFile("/proc/self/fd/"+strconv.Itoa(int(write.Fd())), os.O_RDWR, 0)
	if err = errors.Join(err, write.Close()); err != nil {
		return nil, nil, errors.Join(err, read.Close())
	}
	_, _ = unix.FcntlInt(both.Fd(), unix.F_SETPIPE_SZ, pipeSize) // less may be allowed
	return read, both, nil
}

// start makes the process that becomes the script. The problem says why it did
// not.
func (s *supervision) start() (pid int, problem string, err error) {
	read, both, err := outputPipe()
	if err != nil {
		return 0, "", fmt.Errorf("making the output's pipe: %w", err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, "", errors.Join(err, read.Close(), both.Close())
	}
	status, tell, err := os.Pipe()
	if err != nil {
		return 0, "", errors.Join(err, read.Close(), both.Close(), null.Close())
	}
	defer status.Close()
	argv := append([]string{os.Args[0]}, Args(s.o, StageExec)...)
	p, err := os.StartProcess("/proc/self/exe", argv, &os.ProcAttr{
		Files: []*os.File{null, both, both, s.locks[0], s.locks[1], tell},
		Env:   os.Environ(),
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err := errors.Join(err, both.Close(), null.Close(), tell.Close()); err != nil {
		return 0, "", errors.Join(err, read.Close())
	}
	s.keep(read)
	said, err := io.ReadAll(status) // ends when the process is the script, or has ended
	if err != nil || len(said) > 0 {
		_, _, waited := reap(p.Pid)
		return 0, string(said), errors.Join(err, waited)
	}
	return p.Pid, "", nil
}

// keep copies output to the log until nobody can write any more.
func (s *supervision) keep(read *os.File) {
	s.kept = make(chan struct{})
	go func() {
		defer close(s.kept)
		defer read.Close()
		_, _ = io.CopyBuffer(struct{ io.Writer }{s.out}, struct{ io.Reader }{read}, make([]byte, 64<<10)) // the log does not fail, and a pipe ends
		s.out.close()
	}()
}

// become makes this process the script. It returns only if that failed, which it
// says to the supervisor.
func (s *supervision) become(ctx context.Context) error {
	// A script that is asked to end is not to lose that to a handler, and is not to
	// inherit what somebody before Slipway ignored: handlers end with exec.
	signal.Reset(unix.SIGTERM)
	signal.Notify(make(chan os.Signal, 1), unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGPIPE, unix.SIGCHLD)
	status := os.NewFile(execStatus, "status")
	err := keepFiles()
	if err == nil {
		err = s.turn(ctx)
	}
	text := err.Error()
	if typed := (*deploy.ProviderError)(nil); errors.As(err, &typed) {
		text = typed.Message
	}
	_, said := status.WriteString(strings.ReplaceAll(text, "\n", "; "))
	return errors.Join(err, said)
}

func (s *supervision) turn(ctx context.Context) error {
	if err := s.dir.ScriptReady(ctx); err != nil {
		return err
	}
	me, err := processOf(os.Getpid())
	if err != nil {
		return err
	}
	var out unix.Stat_t
	if err := unix.Fstat(unix.Stdout, &out); err != nil {
		return fmt.Errorf("supervisor: %w", err)
	}
	err = s.dir.Record(ctx, s.o.Run, workdir.StartedFile, Started{Process: me, Run: s.o.Run, Pipe: out.Ino, At: time.Now().UTC()})
	if err != nil {
		return err
	}
	// Whoever cancels writes that first and then looks for the process: either he
	// finds it, or this finds his word.
	if s.canceled(ctx) {
		return errors.New(problemCanceled)
	}
	if err := os.Chdir(s.dir.Path()); err != nil {
		return fmt.Errorf("supervisor: %w", err)
	}
	env := append(os.Environ(), EnvRun+"="+strconv.FormatInt(s.o.Run.ID, 10))
	if err := syscall.Exec(shell, []string{shell, s.dir.Script()}, env); err != nil {
		return fmt.Errorf("running %s: %w", shell, err)
	}
	return nil
}
