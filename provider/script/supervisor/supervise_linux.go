package supervisor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"os/signal"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/slipwayhq/slipway/provider/script/workdir"
)

// readyFD is the file descriptor of Options.Ready.
const readyFD = 3

// supervision is one supervisor at work.
type supervision struct {
	o        Options
	dir      *workdir.Dir
	log      *slog.Logger
	ready    *os.File   // nil if nobody waits
	locks    []*os.File // of the run and of the host
	children <-chan os.Signal
	out      *logWriter
	kept     chan struct{} // closed when all output is kept
	marker   *markerWatch
}

// Main is a stage of the command.
func Main(ctx context.Context, o Options, stage string, log *slog.Logger) error {
	o = o.defaults()
	s := &supervision{o: o, dir: workdir.New(workdir.Options{Path: o.WorkDir}), log: log.With("run", o.Run.ID)}
	if stage == StageExec {
		return s.become(ctx)
	}
	if o.Ready {
		s.ready = os.NewFile(readyFD, "ready")
	}
	err := s.supervise(ctx)
	if err != nil {
		s.log.ErrorContext(ctx, "supervisor", "err", err)
	}
	s.decided()
	return err
}

// decided tells whoever waits that the script runs, or will not.
func (s *supervision) decided() {
	if s.ready != nil {
		_ = s.ready.Close() // its end is the message; nobody may be listening
		s.ready = nil
	}
}

func (s *supervision) supervise(ctx context.Context) error {
	if err := detach(); err != nil {
		return err
	}
	// What asks a program to end is not for this one: the script is asked, and how
	// it ends is to be written down. Handlers, unlike ignored signals, are not
	// inherited by the script.
	deaf := make(chan os.Signal, 1)
	signal.Notify(deaf, unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGPIPE)
	children := make(chan os.Signal, 1)
	signal.Notify(children, unix.SIGCHLD)
	s.children = children

	mine, err := s.acquire(ctx)
	if err != nil || !mine {
		return err
	}
	state, err := Look(ctx, s.dir, s.o.Run)
	switch {
	case err != nil:
		return err
	case state.Ended != nil:
		return s.unmark(ctx)
	case state.Started != nil:
		return s.takeOver(ctx, *state.Started)
	case state.Canceled:
		return s.end(ctx, Ended{Problem: problemCanceled})
	}
	return s.begin(ctx)
}

const problemCanceled = "it was canceled before it was started"

// detach makes everything that the script leaves behind hang under this process,
// and keeps what this process has open from it.
func detach() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("supervisor: becoming a reaper: %w", err)
	}
	return keepFiles()
}

func keepFiles() error {
	if err := unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return fmt.Errorf("supervisor: %w", err)
	}
	return nil
}

// acquire takes both locks; false if another supervisor is at work, or another
// run's script is still there.
func (s *supervision) acquire(ctx context.Context) (bool, error) {
	run, err := acquire(ctx, s.dir, path.Join(workdir.RunDir(s.o.Run), runLock))
	if err != nil || run == nil {
		return false, err
	}
	host, err := acquire(ctx, s.dir, HostLock)
	if err != nil || host == nil {
		return false, errors.Join(err, run.Close())
	}
	s.locks = []*os.File{run, host}
	before, err := holder(ctx, s.dir)
	if err == nil && before.ID != 0 && before != s.o.Run {
		var other State
		if other, err = Look(ctx, s.dir, before); err == nil && other.Alive {
			s.log.WarnContext(ctx, "another run's script is there", "other", before.ID, "pid", other.Started.PID)
			return false, s.release()
		}
	}
	if err == nil {
		err = hold(host, s.o.Run)
	}
	if err != nil {
		return false, errors.Join(err, s.release())
	}
	me, err := processOf(os.Getpid())
	if err == nil {
		err = s.dir.Record(ctx, s.o.Run, supervisorFile, me)
	}
	return true, err
}

func (s *supervision) release() error {
	var errs []error
	for _, f := range s.locks {
		errs = append(errs, f.Close())
	}
	s.locks = nil
	return errors.Join(errs...)
}

// begin starts the script and stays with it.
func (s *supervision) begin(ctx context.Context) error {
	written, err := s.dir.Written(ctx, s.o.Run)
	if err != nil {
		return err
	}
	if !written {
		return errors.New("supervisor: the files of this run are not written")
	}
	if err := s.dir.Mark(ctx, s.o.Run); err != nil {
		return err
	}
	if err := s.dir.Reserve(ctx, s.o.Run, workdir.EndedFile); err != nil {
		return err
	}
	if err := s.openLog(ctx); err != nil {
		return err
	}
	s.marker = watchMarker(s.dir.MarkerPath())
	defer s.marker.close()
	pid, problem, err := s.start()
	if err != nil {
		problem = err.Error()
	}
	if problem != "" {
		s.log.ErrorContext(ctx, "the script could not be started", "problem", problem)
		return s.end(ctx, Ended{Problem: problem})
	}
	s.log.InfoContext(ctx, "the script was started", "pid", pid)
	s.decided()
	left, at := s.await(ctx, []int{os.Getpid(), pid}, s.canceled, func() bool {
		st, ok := statOf(pid)
		return !ok || st.dead()
	})
	e := Ended{Started: true, Known: true, At: at.UTC()}
	e.ExitCode, e.Signal, err = reap(pid)
	if err != nil {
		e.Known, e.Problem = false, err.Error()
	}
	if err := s.end(ctx, s.judge(ctx, e, left)); err != nil {
		return err
	}
	s.remain()
	return nil
}

func (s *supervision) openLog(ctx context.Context) error {
	root, err := s.dir.OpenLog(ctx, s.o.Run, true)
	if err != nil {
		return err
	}
	s.out, err = newLogWriter(root, s.o.LogLimit)
	if err != nil {
		return workdir.Failure("reading the log in", root.Name(), err)
	}
	return nil
}

// reap asks how the script ended.
func reap(pid int) (code int, sig string, err error) {
	var status unix.WaitStatus
	for {
		_, err = unix.Wait4(pid, &status, 0, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return 0, "", fmt.Errorf("how the script ended cannot be told: %w", err)
	}
	code, sig = verdict(status)
	return code, sig, nil
}

// verdict reads a wait status (wait(2)).
func verdict(status unix.WaitStatus) (code int, sig string) {
	if status.Signaled() {
		if sig = unix.SignalName(status.Signal()); sig == "" {
			sig = fmt.Sprintf("SIG%d", int(status.Signal()))
		}
		return 0, sig
	}
	return status.ExitStatus(), ""
}

// tick is how often what gives no notice is looked at.
const tick = 200 * time.Millisecond

// await waits until the script is over and all that it started has ended, too:
// for that not longer than a moment, unless all is to end. It gives those that
// are left, and when the script was over. The script itself stays unreaped meanwhile, so that its process
// group cannot become another's.
func (s *supervision) await(ctx context.Context, roots []int, all func(context.Context) bool, over func() bool) (left []stat, at time.Time) {
	look := time.NewTicker(tick)
	defer look.Stop()
	kept := s.kept
	for {
		reapOthers(roots)
		if at.IsZero() && over() {
			at = time.Now()
		}
		if !at.IsZero() {
			left = descendants(roots...)
			late := time.Since(at) > s.o.Linger
			if len(left) == 0 && (kept == nil || late) || late && !all(ctx) {
				return left, at
			}
		}
		select {
		case <-s.children:
		case <-kept:
			kept = nil
		case <-look.C:
		}
	}
}

func (s *supervision) canceled(ctx context.Context) bool {
	found, err := s.dir.Recorded(ctx, s.o.Run, cancelFile, &canceled{})
	if err != nil {
		s.log.WarnContext(ctx, "it cannot be told whether the run was canceled", "err", err)
	}
	return found
}

// reapOthers takes leave of what ended under this process, but the script.
func reapOthers(roots []int) {
	me := os.Getpid()
	for _, p := range processes(func(p stat) bool { return p.parent == me && p.dead() }) {
		if p.pid != roots[len(roots)-1] {
			_, _ = unix.Wait4(p.pid, nil, unix.WNOHANG, nil) // nobody asks how
		}
	}
}

// atTheEnd is how long before its end a script may take its marker away: others
// than this one's contract have it do that.
const atTheEnd = time.Second

// judge adds what was odd.
func (s *supervision) judge(ctx context.Context, e Ended, left []stat) Ended {
	var odd []string
	if e.Problem != "" {
		odd = append(odd, e.Problem)
	}
	if s.marker != nil {
		m, err := s.dir.Marker(ctx)
		switch early, ok := s.marker.taken(e.At); {
		case err != nil:
			odd = append(odd, fmt.Sprintf("the marker could not be read: %v", err))
		case m.Present && m.Run == s.o.Run && e.Known && e.ExitCode == 0 && e.Signal == "":
			odd = append(odd, "the script left its marker: it was taken away for it")
		case !m.Present && ok && early > atTheEnd:
			odd = append(odd, fmt.Sprintf("the script took its marker away %s before it ended", early.Round(100*time.Millisecond)))
		}
	}
	if len(left) > 0 {
		var names []string
		for _, p := range left[:min(len(left), 5)] {
			names = append(names, fmt.Sprintf("%d (%s)", p.pid, comm(p.pid)))
		}
		if len(left) > len(names) {
			names = append(names, "…")
		}
		odd = append(odd, fmt.Sprintf("the script left %d processes behind that still run: %s", len(left), strings.Join(names, ", ")))
	}
	select {
	case <-s.kept: // all that wrote is gone
		if s.out != nil && s.out.trouble != nil {
			odd = append(odd, fmt.Sprintf("some of its output could not be kept: %v", s.out.trouble))
		}
	default:
	}
	e.Problem = strings.Join(odd, "; ")
	return e
}

// end writes how it ended, takes the marker away and lets the locks go.
func (s *supervision) end(ctx context.Context, e Ended) error {
	e.Run = s.o.Run
	if e.At.IsZero() {
		e.At = time.Now().UTC()
	}
	if err := s.record(ctx, e); err != nil {
		return err
	}
	s.log.InfoContext(ctx, "the run has ended", "exit_code", e.ExitCode, "signal", e.Signal, "problem", e.Problem)
	return errors.Join(s.unmark(ctx), s.release())
}

// How long, and how often, it is tried to write how a run ended.
const (
	patienceRecord = 10 * time.Minute
	retryRecord    = 500 * time.Millisecond
)

// record writes how it ended. Nobody else knows it, so a file system that is in
// trouble is given time.
func (s *supervision) record(ctx context.Context, e Ended) error {
	again := time.NewTicker(retryRecord)
	defer again.Stop()
	for until := time.Now().Add(patienceRecord); ; {
		err := s.dir.RecordReserved(ctx, s.o.Run, workdir.EndedFile, e)
		if err == nil || time.Now().After(until) {
			return err
		}
		s.log.ErrorContext(ctx, "how the run ended could not be written", "exit_code", e.ExitCode, "signal", e.Signal, "err", err)
		<-again.C
	}
}

func (s *supervision) unmark(ctx context.Context) error { return s.dir.Unmark(ctx, s.o.Run) }

// remain keeps the output of what was left behind, until that has ended, too:
// it would be killed by its next line otherwise.
func (s *supervision) remain() {
	for {
		select {
		case <-s.kept:
			return
		case <-s.children:
			reapOthers([]int{0})
		}
	}
}
