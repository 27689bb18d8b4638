package script

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/provider/script/supervisor"
	"github.com/slipwayhq/slipway/provider/script/workdir"
)

const (
	// retryLook is how often another process's work is looked at again.
	retryLook = 10 * time.Millisecond
	// tries is how many supervisors are started for a run that none of them
	// starts and that nobody else is in the way of.
	tries = 3
)

// Start starts the script of a run whose files are written, unless it was
// started before. Several processes may call it at once: one script runs.
func (h *Host) Start(ctx context.Context, run int64) (deploy.RunProcess, error) {
	for spawned := 0; ; {
		s, err := supervisor.Look(ctx, h.dir, run)
		if err != nil {
			return deploy.RunProcess{}, err
		}
		if s.Started != nil || s.Ended != nil {
			return h.startedBy(ctx, run, spawned > 0)
		}
		now, err := h.mayStart(ctx, run, s)
		if err != nil {
			return deploy.RunProcess{State: deploy.ProcessNone, Marker: deploy.MarkerAbsent}, err
		}
		if !now {
			select {
			case <-ctx.Done():
				return deploy.RunProcess{}, ctx.Err()
			case <-time.After(retryLook):
			}
			continue
		}
		if spawned == tries {
			err := workdir.Refuse(deploy.CodeUpstreamUnavailable, "See "+h.dir.Join(run, supervisor.LogFile)+".",
				"the supervisor of run %d does not start the script: %s", run, h.lastWords(run))
			h.c.Log.ErrorContext(ctx, "the deployment script could not be started", "run", run, "err", err)
			return deploy.RunProcess{State: deploy.ProcessNone, Marker: deploy.MarkerAbsent}, err
		}
		spawned++
		if spawned == 1 {
			h.makeExecutable(ctx, run)
		}
		if err := h.spawn(ctx, run); err != nil {
			h.c.Log.ErrorContext(ctx, "the deployment script could not be started", "run", run, "err", err)
			return deploy.RunProcess{State: deploy.ProcessNone, Marker: deploy.MarkerAbsent}, err
		}
	}
}

// startedBy tells how a run stands that was started, or could not be.
func (h *Host) startedBy(ctx context.Context, run int64, here bool) (deploy.RunProcess, error) {
	p, err := h.Look(ctx, run)
	if err != nil {
		return p, err
	}
	if p.State == deploy.ProcessNone {
		if here {
			h.c.Log.ErrorContext(ctx, "the deployment script could not be started", "run", run, "problem", p.Problem)
		}
		return p, workdir.Refuse(deploy.CodeWrongState, "Put right what it says, then apply the changes again.", "the deployment script of run %d could not be started: %s", run, p.Problem)
	}
	if here {
		h.c.Log.InfoContext(ctx, "the deployment script was started", "run", run, "pid", p.PID, "script", h.dir.Script())
	}
	return p, nil
}

// mayStart tells whether a supervisor is to be started now; false: what goes on
// ends by itself.
func (h *Host) mayStart(ctx context.Context, run int64, s supervisor.State) (bool, error) {
	if s.Supervised { // somebody is starting it
		return false, nil
	}
	if s.Canceled {
		return false, workdir.Refuse(deploy.CodeWrongState, "Apply the changes again if they are wanted.", "run %d was canceled before it was started", run)
	}
	active, err := supervisor.Active(ctx, h.dir)
	if err != nil {
		return false, err
	}
	if active != 0 && active != run {
		return false, runActive(active)
	}
	busy, err := supervisor.Busy(ctx, h.dir)
	if err != nil || busy { // it is about to say whose it is, or to let it go
		return false, err
	}
	written, err := h.dir.Written(ctx, run)
	if err != nil {
		return false, err
	}
	if !written {
		return false, workdir.Refuse(deploy.CodeWrongState, "Apply the changes again.", "the files of run %d are not written", run)
	}
	if m, err := h.dir.Marker(ctx); err != nil {
		return false, err
	} else if m.Present && m.Run != run {
		return false, workdir.Refuse(deploy.CodeRunActive, "See whether somebody else runs the deployment script. If nothing is running any more, clear the marker.",
			"the marker %s is there, and it is not of run %d", h.dir.MarkerPath(), run)
	}
	return true, nil
}

// makeExecutable does what programs before did. The script is run by its
// interpreter, so that it works without.
func (h *Host) makeExecutable(ctx context.Context, run int64) {
	if err := h.dir.MakeExecutable(ctx); err != nil && ctx.Err() == nil {
		h.c.Log.WarnContext(ctx, "the deployment script could not be made executable; it is run all the same", "run", run, "script", h.dir.Script(), "err", err)
	}
}

// spawn starts a supervisor in a session of its own and waits until it has
// started the script, or will not.
func (h *Host) spawn(ctx context.Context, run int64) error {
	o := supervisor.Options{WorkDir: h.dir.Path(), Run: run, LogLimit: h.c.LogLimit, Linger: h.c.Linger, Ready: true}
	out, err := h.dir.Open(ctx, workdir.RunDir(run)+"/"+supervisor.LogFile, true)
	if err != nil {
		return err
	}
	defer out.Close()
	if _, err := out.Seek(0, io.SeekEnd); err != nil {
		return workdir.Failure("writing", out.Name(), err)
	}
	wait, ready, err := os.Pipe()
	if err != nil {
		return workdir.Failure("starting", h.c.Program[0], err)
	}
	defer wait.Close()
	args := append(append([]string(nil), h.c.Program[1:]...), supervisor.Args(o, supervisor.StageSupervise)...)
	cmd := exec.Command(h.c.Program[0], args...) // without a context: it is to outlive this process
	cmd.Env = h.environment()
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = out, out
	cmd.ExtraFiles = []*os.File{ready}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	if err = errors.Join(err, ready.Close()); err != nil {
		return workdir.Failure("starting", h.c.Program[0], err)
	}
	go func() { _ = cmd.Wait() }() // how the run ended is in its records
	stop := context.AfterFunc(ctx, func() { _ = wait.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := io.Copy(io.Discard, wait); err != nil {
		return fmt.Errorf("script: waiting for the supervisor: %w", errors.Join(ctx.Err(), err))
	}
	return nil
}

// usualEnv are the variables that a script gets. Slipway's own may be secrets.
var usualEnv = []string{"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "XDG_RUNTIME_DIR"}

// usualPath is for a Slipway that was started without one.
const usualPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func (h *Host) environment() []string {
	var env []string
	path := false
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		passed := strings.HasPrefix(name, "LC_")
		for _, n := range append(usualEnv, h.c.PassEnv...) {
			passed = passed || n == name
		}
		if passed {
			env, path = append(env, v), path || name == "PATH"
		}
	}
	if !path {
		env = append(env, "PATH="+usualPath)
	}
	return env
}
