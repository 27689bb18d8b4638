package workdir

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/slipwayhq/slipway/deploy"
)

// The names in the work directory.
const (
	nodesDir  = "cluster/nodes"
	markerDir = ".markers/deplyment_status"
	marker    = markerDir + "/deployment_in_progress"
	script    = ".scripts/deployment_service.sh"
	ourDir    = ".slipway"
	owner     = ourDir + "/marker.json"
	lockName  = ourDir + "/files.lock"
	runPrefix = "run-"
)

// RunDir is the directory of what is known of a run, relative to the work
// directory.
func RunDir(run deploy.RunKey) string { return path.Join(ourDir, runPrefix+run.String()) }

// runOf reads the run in the name of its directory.
func runOf(name string) (deploy.RunKey, bool) {
	key, ok := strings.CutPrefix(name, runPrefix)
	if !ok {
		return deploy.RunKey{}, false
	}
	return deploy.ParseRunKey(key)
}

func planName(run deploy.RunKey) string { return path.Join(RunDir(run), "plan.json") }

func beforeName(run deploy.RunKey, file string) string {
	return path.Join(RunDir(run), beforeDir, file)
}

// How far a run's files are.
const (
	planWriting = "writing"
	planWritten = "written"
	planUndone  = "undone"
)

// plan is what a run writes.
type plan struct {
	Run   deploy.RunKey `json:"run"`
	State string        `json:"state"`
	At    time.Time     `json:"at"` // when it came to this state
	Files []planned     `json:"files"`
}

// planned is one file of a plan.
type planned struct {
	NodeID   int64   `json:"node_id"`
	NodeName string  `json:"node_name"`
	File     string  `json:"file"`
	Sum      string  `json:"sha256"`
	Before   *former `json:"before,omitempty"` // nil: there was no such file
}

func (p planned) target() string { return path.Join(nodesDir, p.File) }

// former is a file as it was; its content is beside the plan.
type former struct {
	Sum   string      `json:"sha256"`
	Mode  fs.FileMode `json:"mode"`
	Mtime time.Time   `json:"mtime"`
}

func sum(body []byte) string {
	s := sha256.Sum256(body)
	return hex.EncodeToString(s[:])
}

// is tells whether a content has a sum; no content has none.
func is(body []byte, info fs.FileInfo, want string) bool { return info != nil && sum(body) == want }

// check tells what is wrong with a run.
func check(run deploy.ScriptRun) error {
	wrong := func(format string, args ...any) error {
		return Refuse(deploy.CodeInvalid, "This is a fault of Slipway's: report it.", format, args...)
	}
	if !run.Valid() || len(run.Documents) == 0 {
		return wrong("a run without number, identity or documents cannot be written")
	}
	var names []string
	for _, d := range run.Documents {
		switch _, ok := deploy.NodeFileNumber(d.File); {
		case !ok:
			return wrong("%q is no name of a node file", d.File)
		case len(d.Body) == 0 || len(d.Body) > maxFile:
			return wrong("the document for %s has %d bytes", d.File, len(d.Body))
		case slices.Contains(names, d.File):
			return wrong("the file %s is there twice", d.File)
		}
		names = append(names, d.File)
	}
	return nil
}

// of tells whether the plan is the run's.
func (p plan) of(run deploy.ScriptRun) bool {
	return slices.EqualFunc(p.Files, run.Documents, func(f planned, d deploy.HostDocument) bool {
		return f.NodeID == d.NodeID && f.File == d.File && f.Sum == sum(d.Body)
	})
}

// load reads a run's plan; nil if it has none.
func (t tree) load(run deploy.RunKey) (*plan, error) {
	var p plan
	found, err := t.record(planName(run), &p)
	if err != nil || !found {
		return nil, err
	}
	return &p, nil
}

// record reads a file of ours.
func (t tree) record(name string, into any) (found bool, err error) {
	body, info, err := t.read(name)
	if err != nil || info == nil {
		return false, err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return false, Refuse(deploy.CodeInvalid, "Only Slipway writes this file: restore it from a backup, or move the directory of this run away.", "reading %s: %v", t.abs(name), err)
	}
	return true, nil
}

// save writes a file of ours.
func (t tree) save(name string, run deploy.RunKey, v any) error {
	body, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("workdir: %w", err)
	}
	return t.write(name, run, append(body, '\n'), 0o600, time.Time{})
}

// enter saves the plan in another state.
func (t tree) enter(p *plan, state string, now time.Time) error {
	next := *p
	next.State, next.At = state, now.UTC()
	if err := t.save(planName(p.Run), p.Run, next); err != nil {
		return err
	}
	*p = next
	return nil
}

// runs lists the runs that left something here, by number; those of another
// database may be among them.
func (t tree) runs() ([]deploy.RunKey, error) {
	names, err := t.list(ourDir)
	if err != nil {
		return nil, err
	}
	var runs []deploy.RunKey
	for _, name := range names {
		if run, ok := runOf(name); ok {
			runs = append(runs, run)
		}
	}
	slices.SortFunc(runs, func(a, b deploy.RunKey) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Identity, b.Identity))
	})
	return runs, nil
}

// capture makes the plan of a run: what is there now is safe when it returns.
func (t tree) capture(run deploy.ScriptRun, now time.Time) (*plan, error) {
	if err := t.mkdirs(path.Join(RunDir(run.RunKey), beforeDir), secretMode); err != nil {
		return nil, err
	}
	p := &plan{Run: run.RunKey}
	for _, d := range run.Documents {
		f := planned{NodeID: d.NodeID, NodeName: d.NodeName, File: d.File, Sum: sum(d.Body)}
		body, info, err := t.read(f.target())
		if err != nil {
			return nil, err
		}
		keep := beforeName(run.RunKey, d.File)
		if info == nil {
			err = t.remove(keep) // of a try before, which was undone
		} else {
			f.Before = &former{Sum: sum(body), Mode: info.Mode().Perm(), Mtime: info.ModTime()}
			err = t.write(keep, run.RunKey, body, info.Mode().Perm(), info.ModTime())
		}
		if err != nil {
			return nil, err
		}
		p.Files = append(p.Files, f)
	}
	return p, t.enter(p, planWriting, now)
}

// apply puts the documents in their files. It goes on where it was left.
func (t tree) apply(p *plan, run deploy.ScriptRun) error {
	for i, f := range p.Files {
		body, info, err := t.read(f.target())
		switch {
		case err != nil:
			return err
		case is(body, info, f.Sum) && info.Mode().Perm() == fileMode:
			continue
		case info == nil && f.Before == nil, f.Before != nil && is(body, info, f.Before.Sum), is(body, info, f.Sum):
			if err := t.write(f.target(), p.Run, run.Documents[i].Body, fileMode, time.Time{}); err != nil {
				return err
			}
		default:
			return Refuse(deploy.CodeConflict, "See who else writes there, then apply the changes again.", "somebody else changed %s while it was being replaced", t.abs(f.target()))
		}
	}
	return nil
}

// takeBack gives every file of the plan its former content. What somebody else
// changed since stays as it is: the error says so, when all else is done.
func (t tree) takeBack(p *plan) error {
	var foreign error
	for _, f := range p.Files {
		if err := t.remove(temp(f.target(), p.Run)); err != nil {
			return err
		}
		body, info, err := t.read(f.target())
		switch {
		case hasCode(err, deploy.CodeInvalid): // it is another kind of thing now
		case err != nil:
			return err
		case f.Before == nil && info == nil, f.Before != nil && is(body, info, f.Before.Sum):
			continue
		}
		if !is(body, info, f.Sum) {
			foreign = errors.Join(foreign, fmt.Errorf("%s was changed by somebody else since and stays as it is", t.abs(f.target())))
			continue
		}
		if err := t.restore(p.Run, f); err != nil {
			return err
		}
	}
	if foreign == nil {
		return nil
	}
	return Refuse(deploy.CodeConflict, fmt.Sprintf("Former contents are in %s.", t.abs(path.Join(RunDir(p.Run), beforeDir))), "%v", foreign)
}

// restore gives one file its former content: the copy is moved there, which
// needs no space. Where it cannot be moved, because another file system is
// mounted, it is copied.
func (t tree) restore(run deploy.RunKey, f planned) error {
	if f.Before == nil {
		if err := t.remove(f.target()); err != nil {
			return err
		}
		return t.sync(nodesDir)
	}
	keep := beforeName(run, f.File)
	body, info, err := t.read(keep)
	switch {
	case err != nil:
		return err
	case !is(body, info, f.Before.Sum):
		return Refuse(deploy.CodeNotFound, "Restore the file from a backup, or apply the changes to this node again.", "the former content of %s is not kept any more", t.abs(f.target()))
	}
	moved, err := t.move(keep, f.target())
	if err != nil || moved {
		return err
	}
	return t.write(f.target(), run, body, f.Before.Mode, f.Before.Mtime)
}
