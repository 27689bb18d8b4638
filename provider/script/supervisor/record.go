package supervisor

import (
	"context"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/provider/script/workdir"
)

// The names of the records in a run's directory.
const (
	runLock        = "lock"
	cancelFile     = "cancel.json"
	supervisorFile = "supervisor.json"
	// LogFile has what the supervisor itself has to say.
	LogFile = "supervisor.log"
)

// HostLock is held by the supervisor whose script runs; it has that run's number.
const HostLock = ".slipway/host.lock"

// LockOf is the lock that the supervisor of a run holds, relative to the work
// directory.
func LockOf(run deploy.RunKey) string { return workdir.RunDir(run) + "/" + runLock }

// Started is the record of a script's process.
type Started struct {
	Process
	Run  deploy.RunKey `json:"run"`
	Pipe uint64        `json:"pipe"` // inode of the pipe that takes its output
	At   time.Time     `json:"at"`
}

// Ended is the record of a run's end.
type Ended struct {
	Run      deploy.RunKey `json:"run"`
	Started  bool          `json:"started"` // the script ran
	Known    bool          `json:"known"`   // ExitCode and Signal are
	ExitCode int           `json:"exit_code"`
	Signal   string        `json:"signal,omitempty"`
	At       time.Time     `json:"at"`
	Problem  string        `json:"problem,omitempty"`
}

// canceled is the record of a wish.
type canceled struct {
	At time.Time `json:"at"`
}

// State is all that is known of a run's script.
type State struct {
	Started    *Started
	Ended      *Ended
	Canceled   bool
	Supervised bool // a supervisor is at work
	Alive      bool // the script is there; not asked for if Ended
}

// Look reads how a run stands. Records are read in the order in which they are
// the last word: a supervisor writes the end before it lets its lock go.
func Look(ctx context.Context, dir *workdir.Dir, run deploy.RunKey) (s State, err error) {
	var started Started
	found, err := dir.Recorded(ctx, run, workdir.StartedFile, &started)
	if err != nil {
		return s, err
	}
	if s.Supervised, err = held(ctx, dir, LockOf(run)); err != nil {
		return s, err
	}
	if !found && !s.Supervised { // one that was quick has started and ended since
		if found, err = dir.Recorded(ctx, run, workdir.StartedFile, &started); err != nil {
			return s, err
		}
	}
	if found {
		s.Started, s.Alive = &started, started.alive()
	}
	if s.Canceled, err = dir.Recorded(ctx, run, cancelFile, &canceled{}); err != nil {
		return s, err
	}
	var ended Ended
	if found, err = dir.Recorded(ctx, run, workdir.EndedFile, &ended); err != nil {
		return s, err
	}
	if found {
		s.Ended, s.Alive = &ended, false
	}
	return s, nil
}

// Cancel records that the run is to be ended, or not to be started.
func Cancel(ctx context.Context, dir *workdir.Dir, run deploy.RunKey, at time.Time) error {
	return dir.Record(ctx, run, cancelFile, canceled{at.UTC()})
}

// Active gives the run whose script is there, or is being started; zero if none is.
// One whose end is written is over, though its supervisor may not be.
func Active(ctx context.Context, dir *workdir.Dir) (none deploy.RunKey, err error) {
	busy, err := held(ctx, dir, HostLock)
	if err != nil {
		return none, err
	}
	run, err := holder(ctx, dir)
	if err != nil || run == none {
		return none, err
	}
	s, err := Look(ctx, dir, run)
	if err != nil || s.Ended != nil || !busy && !s.Alive {
		return none, err
	}
	return run, nil
}

// Busy tells whether a supervisor has the work directory.
func Busy(ctx context.Context, dir *workdir.Dir) (bool, error) { return held(ctx, dir, HostLock) }

// Supervisor gives the supervisor's process of a run; nil if it had none.
func Supervisor(ctx context.Context, dir *workdir.Dir, run deploy.RunKey) (*Process, error) {
	var p Process
	found, err := dir.Recorded(ctx, run, supervisorFile, &p)
	if err != nil || !found {
		return nil, err
	}
	return &p, nil
}

// AtWork tells whether a process is at work in a run's directory: the supervisor
// that holds its lock, or one that has let it go and still takes what the script
// left behind writes.
func AtWork(ctx context.Context, dir *workdir.Dir, run deploy.RunKey) (bool, error) {
	if busy, err := held(ctx, dir, LockOf(run)); err != nil || busy {
		return busy, err
	}
	p, err := Supervisor(ctx, dir, run)
	return p != nil && p.alive(), err
}
