package script

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/provider/script/supervisor"
	"github.com/slipwayhq/slipway/provider/script/workdir"
)

// Config is what a host is made of.
type Config struct {
	Name    string // of the host; empty = os.Hostname
	WorkDir string // absolute; empty = workdir.DefaultPath
	// Program begins the command that runs a supervisor; empty = this program.
	Program []string
	// PassEnv names environment variables that the script gets beside the usual
	// ones (see docs/script.md).
	PassEnv  []string
	LogLimit int64         // of a run's kept output, in bytes; 0 = 16 MiB
	Linger   time.Duration // how long what the script started may outlive it; 0 = 2 s
	KeepRuns int           // how many runs keep log and former contents; 0 = 20
	// KeepRecords is how long what else is known of older runs is kept; 0 = 90
	// days, less than that = for ever.
	KeepRecords time.Duration
	// Patience is how long what is in the way of a start, or of a write, is waited
	// for; 0 = 20 s.
	Patience time.Duration
	Log      *slog.Logger // nil = slog.Default
	Now      func() time.Time
	Step     workdir.Step // told of every operation on the file system; nil = nobody is
}

// Host is this machine as the host of the deployment script.
type Host struct {
	c   Config
	dir *workdir.Dir

	mu      sync.Mutex
	adopted map[deploy.RunKey]time.Time // when a supervisor was last started for a run that had none
}

var _ deploy.ScriptHost = (*Host)(nil)

// NewHost makes a Host; it touches nothing.
func NewHost(c Config) (*Host, error) {
	if c.WorkDir != "" && !filepath.IsAbs(c.WorkDir) {
		return nil, fmt.Errorf("script: the work directory %q is no absolute path", c.WorkDir)
	}
	if c.Name == "" {
		name, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("script: %w", err)
		}
		c.Name = name
	}
	if len(c.Program) == 0 {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("script: %w", err)
		}
		c.Program = []string{self}
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	c.Patience = cmp.Or(c.Patience, patience)
	if c.Now == nil {
		c.Now = time.Now
	}
	c.KeepRecords = cmp.Or(c.KeepRecords, workdir.KeepRecords)
	h := &Host{c: c, adopted: map[deploy.RunKey]time.Time{}}
	h.dir = workdir.New(workdir.Options{Path: c.WorkDir, KeepRuns: c.KeepRuns, KeepRecords: c.KeepRecords, InUse: h.inUse, Now: c.Now, Step: c.Step, LockPatience: c.Patience})
	return h, nil
}

// WorkDir is the path of the work directory.
func (h *Host) WorkDir() string { return h.dir.Path() }

// Host names it.
func (h *Host) Host() string { return h.c.Name }

// Ready tells whether files could be written and the script be run now.
func (h *Host) Ready(ctx context.Context) error {
	if err := h.idle(ctx); err != nil {
		return err
	}
	return h.dir.Ready(ctx)
}

// idle refuses while a run's script is there.
func (h *Host) idle(ctx context.Context) error {
	run, err := supervisor.Active(ctx, h.dir)
	if err != nil || run.ID == 0 {
		return err
	}
	return runActive(run)
}

func runActive(run deploy.RunKey) error {
	return workdir.Refuse(deploy.CodeRunActive, "Wait for its end, or cancel it.", "the deployment script of run %d is running", run.ID)
}

// List gives the node files by number.
func (h *Host) List(ctx context.Context) ([]deploy.NodeFile, error) { return h.dir.List(ctx) }

// Write puts the run's documents in their files and makes the marker; refused
// with run_active while another run's script, or another marker, is there.
func (h *Host) Write(ctx context.Context, run deploy.ScriptRun) error {
	active, err := supervisor.Active(ctx, h.dir)
	if err != nil {
		return err
	}
	if active.ID != 0 && active != run.RunKey {
		return runActive(active)
	}
	return h.dir.Write(ctx, run)
}

// Undo takes back what Write of the run did; refused with run_active while its
// script is there.
func (h *Host) Undo(ctx context.Context, run deploy.ScriptRun) error {
	s, err := supervisor.Look(ctx, h.dir, run.RunKey)
	if err != nil {
		return err
	}
	if s.Ended == nil && (s.Alive || s.Supervised) {
		return runActive(run.RunKey)
	}
	return h.dir.Undo(ctx, run.RunKey)
}

// inUse tells whether somebody is at work in a run's directory.
func (h *Host) inUse(ctx context.Context, run deploy.RunKey) (bool, error) {
	return supervisor.AtWork(ctx, h.dir, run)
}

// Look tells how a run stands, and takes its marker away once it has ended. A
// script whose supervisor was killed gets another one.
func (h *Host) Look(ctx context.Context, run deploy.RunKey) (deploy.RunProcess, error) {
	s, err := supervisor.Look(ctx, h.dir, run)
	if err != nil {
		return deploy.RunProcess{}, err
	}
	orphan := s.Started != nil && s.Ended == nil && !s.Supervised
	if orphan && h.mayAdopt(run) {
		if err := h.spawn(ctx, run); err != nil {
			h.c.Log.WarnContext(ctx, "a deployment script has no supervisor, and none could be started", "run", run.ID, "pid", s.Started.PID, "err", err)
		}
		if s, err = supervisor.Look(ctx, h.dir, run); err != nil {
			return deploy.RunProcess{}, err
		}
	}
	return h.describe(ctx, run, s)
}

// adoptAgain is how long after starting a supervisor for a script without one
// another is tried.
const adoptAgain = time.Second

func (h *Host) mayAdopt(run deploy.RunKey) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now() // about this process, not about what is stored
	if last, ok := h.adopted[run]; ok && now.Sub(last) < adoptAgain {
		return false
	}
	h.adopted[run] = now
	return true
}

// describe puts what is known in the words of package deploy.
func (h *Host) describe(ctx context.Context, run deploy.RunKey, s supervisor.State) (deploy.RunProcess, error) {
	p := deploy.RunProcess{State: deploy.ProcessNone}
	if s.Started != nil {
		p.PID, p.StartedAt = s.Started.PID, s.Started.At
	}
	switch e := s.Ended; {
	case e != nil && !e.Started:
		p.PID, p.StartedAt, p.Problem = 0, time.Time{}, e.Problem
	case e != nil && e.Known:
		p.State, p.EndedAt, p.ExitCode, p.Signal, p.Problem = deploy.ProcessEnded, e.At, e.ExitCode, e.Signal, e.Problem
	case e != nil:
		p.State, p.EndedAt, p.Problem = deploy.ProcessLost, e.At, e.Problem
	case s.Started == nil:
	case s.Supervised:
		p.State = deploy.ProcessRunning
	case s.Alive:
		p.State, p.Problem = deploy.ProcessRunning, "its supervisor was ended: its output waits, and how it ends may stay unknown"
	default:
		p.State, p.Problem = deploy.ProcessLost, "its supervisor was ended, and it is gone"
	}
	if err := h.describeMarker(ctx, run, s, &p); err != nil {
		return p, err
	}
	root, err := h.dir.OpenLog(ctx, run, false)
	if err != nil || root == nil {
		return p, err
	}
	defer root.Close()
	p.LogBytes, p.LogCut, err = supervisor.LogSize(root)
	return p, workdir.Failure("reading the log in", root.Name(), err)
}

// describeMarker tells how the run's marker stands. That of a run that is over is
// taken away; if it cannot be, that is no reason to hide how the run ended.
func (h *Host) describeMarker(ctx context.Context, run deploy.RunKey, s supervisor.State, p *deploy.RunProcess) error {
	p.Marker = deploy.MarkerAbsent
	m, err := h.dir.Marker(ctx)
	if err != nil {
		return err
	}
	over := s.Ended != nil || p.State == deploy.ProcessLost
	switch present := m.Present && m.Run == run; {
	case present && over:
		if err := h.dir.Unmark(ctx, run); err != nil {
			p.Marker = deploy.MarkerPresent
			p.Problem = strings.TrimPrefix(p.Problem+"; its marker could not be taken away: "+err.Error(), "; ")
		}
	case present:
		p.Marker = deploy.MarkerPresent
	case p.State == deploy.ProcessRunning && p.Problem == "":
		p.Problem = "the script has taken its marker away and still runs"
	}
	return nil
}

// Stop asks the script's process group to end; hard ends all that it started. A
// run that was not started yet will not be.
func (h *Host) Stop(ctx context.Context, run deploy.RunKey, hard bool) error {
	s, err := supervisor.Look(ctx, h.dir, run)
	if err != nil || s.Ended != nil {
		return err
	}
	if !s.Canceled {
		if err := supervisor.Cancel(ctx, h.dir, run, h.c.Now()); err != nil {
			return err
		}
	}
	// Looked for again after the wish is written: see supervisor.
	if s, err = supervisor.Look(ctx, h.dir, run); err != nil {
		return err
	}
	super, err := supervisor.Supervisor(ctx, h.dir, run)
	if err != nil {
		return err
	}
	if !s.Supervised {
		super = nil
	}
	return workdir.Failure("ending the script of", h.dir.Script(), supervisor.Kill(s, super, hard))
}

// Log reads the run's output.
func (h *Host) Log(ctx context.Context, run deploy.RunKey, offset int64, limit int) (text []byte, next int64, err error) {
	root, err := h.dir.OpenLog(ctx, run, false)
	if err != nil || root == nil || limit <= 0 {
		return nil, offset, err
	}
	defer root.Close()
	text, next, err = supervisor.ReadLog(root, offset, limit)
	return text, next, workdir.Failure("reading the log in", root.Name(), err)
}

// Marker tells whether a run is in progress, as the script's own sign has it.
func (h *Host) Marker(ctx context.Context) (deploy.Marker, error) {
	m, err := h.dir.Marker(ctx)
	if err != nil {
		return deploy.Marker{}, err
	}
	out := deploy.Marker{Path: h.dir.MarkerPath(), Present: m.Present, Since: m.Since, RunID: m.Run.ID, RunIdentity: m.Run.Identity}
	active, err := supervisor.Active(ctx, h.dir)
	out.Alive = active.ID != 0 && (m.Run.ID == 0 || m.Run == active)
	return out, err
}

// ClearMarker takes a marker away that nothing running belongs to.
func (h *Host) ClearMarker(ctx context.Context) error {
	return h.dir.ClearMarker(ctx, h.idle)
}

// lastWords gives the end of what the run's supervisor had to say.
func (h *Host) lastWords(run deploy.RunKey) string {
	b, err := os.ReadFile(h.dir.Join(run, supervisor.LogFile))
	if err != nil {
		return "it said nothing"
	}
	const enough = 500
	said := strings.Join(strings.Fields(string(b[max(0, len(b)-enough):])), " ")
	return cmp.Or(strings.ToValidUTF8(said, "?"), "it said nothing")
}
