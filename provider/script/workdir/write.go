package workdir

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/slipwayhq/slipway/deploy"
)

// Write puts every document of the run in its file and then makes the marker, or
// leaves everything as it was. If it cannot even do that, or its process dies,
// the next Write of the run goes on, and Undo takes back what there is.
func (d *Dir) Write(ctx context.Context, run deploy.ScriptRun) error {
	if err := check(run); err != nil {
		return err
	}
	return d.locked(ctx, func(t tree) error {
		p, err := t.load(run.RunKey)
		switch {
		case err != nil:
			return err
		case p == nil || p.State == planUndone:
			p, err = d.begin(t, run)
		case !p.of(run):
			return Refuse(deploy.CodeConflict, "This is a fault of Slipway's: report it.", "run %d has written other files", run.ID)
		case p.State == planWritten:
			return nil
		}
		if err == nil {
			err = d.finish(t, p, run)
		}
		if err != nil && p != nil && ctx.Err() == nil {
			if undone := d.undo(t, p); undone != nil {
				return fmt.Errorf("%w; and it could not be taken back: %w", err, undone)
			}
		}
		return err
	})
}

// begin saves what is there now.
func (d *Dir) begin(t tree, run deploy.ScriptRun) (*plan, error) {
	if err := t.free(run.RunKey); err != nil {
		return nil, err
	}
	if err := d.settle(t, run.RunKey); err != nil {
		return nil, err
	}
	for _, dir := range []string{nodesDir, markerDir} {
		if err := t.mkdirs(dir, dirMode); err != nil {
			return nil, err
		}
	}
	if err := d.prune(t, run.RunKey); err != nil {
		return nil, err
	}
	if err := t.sweep(d.o.Now()); err != nil {
		return nil, err
	}
	return t.capture(run, d.o.Now())
}

// finish writes the files and makes the marker.
func (d *Dir) finish(t tree, p *plan, run deploy.ScriptRun) error {
	if err := t.apply(p, run); err != nil {
		return err
	}
	if err := t.mark(run.RunKey); err != nil {
		return err
	}
	return t.enter(p, planWritten, d.o.Now())
}

// settle takes back what another run left half done: nobody went on with it.
func (d *Dir) settle(t tree, but deploy.RunKey) error {
	runs, err := t.runs()
	if err != nil {
		return err
	}
	for _, run := range runs {
		if run == but {
			continue
		}
		p, err := t.load(run)
		if err != nil {
			return err
		}
		if p != nil && p.State == planWriting {
			// What somebody else changed meanwhile is his.
			if err := d.undo(t, p); err != nil && !hasCode(err, deploy.CodeConflict) {
				return err
			}
		}
	}
	return nil
}

// Undo takes back what Write of this run did. Files that somebody else changed
// since are left alone, which is an error when all else is done. Called again it
// does nothing.
func (d *Dir) Undo(ctx context.Context, run deploy.RunKey) error {
	return d.locked(ctx, func(t tree) error {
		p, err := t.load(run)
		switch {
		case err != nil:
			return err
		case p == nil || p.State == planUndone:
			return t.unmark(run)
		}
		return d.undo(t, p)
	})
}

func (d *Dir) undo(t tree, p *plan) error {
	t.ctx = context.WithoutCancel(t.ctx)
	if err := t.unmark(p.Run); err != nil {
		return err
	}
	foreign := t.takeBack(p)
	if foreign != nil && !hasCode(foreign, deploy.CodeConflict) {
		return foreign
	}
	return errors.Join(foreign, t.enter(p, planUndone, d.o.Now()))
}

// Written tells whether the files of a run are in place.
func (d *Dir) Written(ctx context.Context, run deploy.RunKey) (written bool, err error) {
	err = d.enter(ctx, func(t tree) error {
		p, err := t.load(run)
		written = p != nil && p.State == planWritten
		return err
	})
	return written, err
}

// leftAfter is how old a file under a temporary name is that nobody writes any
// more.
const leftAfter = time.Hour

// sweep removes what was written under a temporary name by a process that died,
// and that no run of those that are known takes away.
func (t tree) sweep(now time.Time) error {
	for _, dir := range []string{".", ourDir, nodesDir, markerDir} {
		names, err := t.list(dir)
		if err != nil {
			return err
		}
		for _, name := range names {
			if !strings.HasPrefix(name, tempPrefix) {
				continue
			}
			name = path.Join(dir, name)
			info, err := t.exists(name)
			if err != nil {
				return err
			}
			if info == nil || !info.Mode().IsRegular() || now.Sub(info.ModTime()) < leftAfter {
				continue
			}
			if err := t.remove(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// The names in a run's directory that tell of its script.
const (
	StartedFile = "started.json"
	EndedFile   = "ended.json"
	LogDir      = "log"
	beforeDir   = "before" // and of what it replaced
)

// Owned is the node file that a node has by what a run wrote.
type Owned struct {
	Run      deploy.RunKey
	NodeName string
	File     string // "node_03.json"
	Sum      string // SHA-256 of what was written
	At       time.Time
}

// FileOf gives the file that a node has by the first of these runs that wrote
// one for it and did not take it back; nil if none of them did. Other runs than
// these, which may be of another database, are not looked at.
func (d *Dir) FileOf(ctx context.Context, runs []deploy.RunKey, nodeID int64) (owned *Owned, err error) {
	err = d.enter(ctx, func(t tree) error {
		owned, err = t.fileOf(runs, nodeID)
		return err
	})
	return owned, err
}

func (t tree) fileOf(runs []deploy.RunKey, nodeID int64) (*Owned, error) {
	for _, run := range runs {
		p, err := t.load(run)
		if err != nil {
			return nil, err
		}
		if p == nil || p.State == planUndone {
			continue
		}
		for _, f := range p.Files {
			if f.NodeID == nodeID {
				return &Owned{Run: run, NodeName: f.NodeName, File: f.File, Sum: f.Sum, At: p.At}, nil
			}
		}
	}
	return nil, nil
}

// Known tells whether anything of what a run writes is known here.
func (d *Dir) Known(ctx context.Context, run deploy.RunKey) (known bool, err error) {
	err = d.enter(ctx, func(t tree) error {
		p, err := t.load(run)
		known = p != nil
		return err
	})
	return known, err
}

// The states of a node file beside what was written.
const (
	FileSame    = "same"
	FileChanged = "changed"
	FileAbsent  = "absent"
)

// State tells how a node's file stands.
func (d *Dir) State(ctx context.Context, o Owned) (state string, err error) {
	err = d.enter(ctx, func(t tree) error {
		state, err = t.state(o)
		return err
	})
	return state, err
}

func (t tree) state(o Owned) (string, error) {
	body, info, err := t.read(path.Join(nodesDir, o.File))
	switch {
	case hasCode(err, deploy.CodeInvalid):
		return FileChanged, nil
	case err != nil:
		return "", err
	case info == nil:
		return FileAbsent, nil
	case !is(body, info, o.Sum):
		return FileChanged, nil
	}
	return FileSame, nil
}

// Remove takes a node's file away if it is still what was written, and tells how
// it stood. What a write that was killed left beside it goes as well.
func (d *Dir) Remove(ctx context.Context, o Owned) (state string, err error) {
	err = d.locked(ctx, func(t tree) error {
		name := path.Join(nodesDir, o.File)
		if err := t.remove(temp(name, o.Run)); err != nil {
			return err
		}
		if state, err = t.state(o); err != nil || state != FileSame {
			return err
		}
		if err := t.remove(name); err != nil {
			return err
		}
		return t.sync(nodesDir)
	})
	return state, err
}
