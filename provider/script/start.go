package script

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
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
	// patience is how long what is in the way of a start is waited for: whoever
	// called may hold up others.
	patience = 20 * time.Second
	// tries is how many supervisors are started for a run that none of them
	// starts and that nobody else is in the way of.
	tries = 3
)

// Start starts the script of a run whose files are written, unless it was
// started before. Several processes may call it at once: one script runs.
func (h *Host) Start(ctx context.Context, run deploy.RunKey) (deploy.RunProcess, error) {
	late := time.NewTimer(h.c.Patience)
	defer late.Stop()
	for spawned := 0; ; {
		s, err := supervisor.Look(ctx, h.dir, run)
		if err != nil {
			return deploy.RunProcess{}, err
		}
		if s.Started != nil || s.Ended != nil {
			return h.startedBy(ctx, run, spawned > 0)
		}
		lock, err := h.mayStart(ctx, run, s)
		if err != nil {
			return deploy.RunProcess{State: deploy.ProcessNone, Marker: deploy.MarkerAbsent}, err
		}
		if lock != "" {
			select {
			case <-ctx.Done():
				return deploy.RunProcess{}, ctx.Err()
			case <-late.C:
				err := workdir.Held(filepath.Join(h.dir.Path(), lock), h.c.Patience)
				h.c.Log.ErrorContext(ctx, "the deployment script could not be started", "run", run.ID, "err", err)
				return deploy.RunProcess{State: deploy.ProcessNone, Marker: deploy.MarkerAbsent}, err
			case <-time.After(retryLook):
			}
			continue
		}
		if spawned == tries {
			err := workdir.Refuse(deploy.CodeUpstreamUnavailable, "See "+h.dir.Join(run, supervisor.LogFile)+".",
				"the supervisor of run %d does not start the script: %s", run.ID, h.lastWords(run))
			h.c.Log.ErrorContext(ctx, "the deployment script could not be started", "run", run.ID, "err", err)
			return deploy.RunProcess{State: deploy.ProcessNone, Marker: deploy.MarkerAbsent}, err
		}
		spawned++
		if spawned == 1 {
			h.makeExecutable(ctx, run)
		}
		if err := h.spawn(ctx, run); err != nil {
			h.c.Log.ErrorContext(ctx, "the deployment script could not be started", "run", run.ID, "err", err)
			return deploy.RunProcess{State: deploy.ProcessNone, Marker: deploy.MarkerAbsent}, err
		}
	}
}

// startedBy tells how a run stands that was started, or could not be.
func (h *Host) startedBy(ctx context.Context, run deploy.RunKey, here bool) (deploy.RunProcess, error) {
	p, err := h.Look(ctx, run)
	if err != nil {
		return p, err
	}
	if p.State == deploy.ProcessNone {
		if here {
			h.c.Log.ErrorContext(ctx, "the deployment script could not be started", "run", run.ID, "problem", p.Problem)
		}
		return p, workdir.Refuse(deploy.CodeWrongState, "Put right what it says, then apply the changes again.", "the deployment script of run %d could not be started: %s", run.ID, p.Problem)
	}
	if here {
		h.c.Log.InfoContext(ctx, "the deployment script was started", "run", run.ID, "pid", p.PID, "script", h.dir.Script())
	}
	return p, nil
}

// mayStart tells whether a supervisor is to be started now: then it names no
// lock. One that it names is let go by itself soon, if all is well.
func (h *Host) mayStart(ctx context.Context, run deploy.RunKey, s supervisor.State) (lock string, err error) {
	if s.Supervised { // somebody is starting it
		return supervisor.LockOf(run), nil
	}
	if s.Canceled {
		return "", workdir.Refuse(deploy.CodeWrongState, "Apply the changes again if they are wanted.", "run %d was canceled before it was started", run.ID)
	}
	active, err := supervisor.Active(ctx, h.dir)
	if err != nil {
		return "", err
	}
	if active.ID != 0 && active != run {
		return "", runActive(active)
	}
	busy, err := supervisor.Busy(ctx, h.dir)
	if err != nil {
		return "", err
	}
	if busy { // it is about to say whose it is, or to let it go
		return supervisor.HostLock, nil
	}
	written, err := h.dir.Written(ctx, run)
	if err != nil {
		return "", err
	}
	if !written {
		return "", workdir.Refuse(deploy.CodeWrongState, "Apply the changes again.", "the files of run %d are not written", run.ID)
	}
	if m, err := h.dir.Marker(ctx); err != nil {
		return "", err
	} else if m.Present && m.Run != run {
		return "", workdir.Refuse(deploy.CodeRunActive, "See whether somebody else runs the deployment script. If nothing is running any more, clear the marker.",
			"the marker %s is there, and it is not of run %d", h.dir.MarkerPath(), run.ID)
	}
	return "", nil
}

// makeExecutable does what programs before did. The script is run by its
// interpreter, so that it works without.
func (h *Host) makeExecutable(ctx context.Context, run deploy.RunKey) {
	if err := h.dir.MakeExecutable(ctx); err != nil && ctx.Err() == nil {
		h.c.Log.WarnContext(ctx, "the deployment script could not be made executable; it is run all the same", "run", run.ID, "script", h.dir.Script(), "err", err)
	}
}

// spawn starts a supervisor in a session of its own and waits until it has
// started the script, or will not.
func (h *Host) spawn(ctx context.Context, run deploy.RunKey) error {
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
