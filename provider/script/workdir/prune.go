package workdir

import (
	"cmp"
	"path"
	"slices"
	"time"

	"github.com/slipwayhq/slipway/deploy"
)

// prune takes away what is old of runs that are over: log and former contents of
// all but the newest, and all that is left of one when its time is over too.
// Which ones are old is told by when they came to their state: numbers of runs of
// several databases say nothing.
func (d *Dir) prune(t tree, but deploy.RunKey) error {
	runs, err := t.runs()
	if err != nil || len(runs) <= d.o.KeepRuns {
		return err
	}
	var plans []*plan
	for _, run := range runs {
		p, err := t.load(run)
		if err != nil {
			return err
		}
		if p == nil {
			p = &plan{Run: run} // whose process ended before it had one
			info, err := t.exists(RunDir(run))
			if err != nil {
				return err
			}
			if info != nil {
				p.At = info.ModTime()
			}
		}
		plans = append(plans, p)
	}
	slices.SortFunc(plans, func(a, b *plan) int { return cmp.Or(b.At.Compare(a.At), cmp.Compare(b.Run.ID, a.Run.ID)) })
	for _, p := range plans[min(d.o.KeepRuns, len(plans)):] {
		if p.Run == but {
			continue
		}
		if err := d.pruneRun(t, p); err != nil {
			return err
		}
	}
	return nil
}

func (d *Dir) pruneRun(t tree, p *plan) error {
	names, err := t.list(RunDir(p.Run))
	if err != nil {
		return err
	}
	has := func(name string) bool { return slices.Contains(names, name) }
	if p.State == planWriting || (p.State == planWritten || has(StartedFile)) && !has(EndedFile) {
		return nil
	}
	forget, err := d.forgettable(t, p)
	if err != nil {
		return err
	}
	if forget {
		return t.removeAll(RunDir(p.Run))
	}
	for _, old := range []string{beforeDir, LogDir} {
		if p.State != "" && has(old) {
			if err := t.removeAll(path.Join(RunDir(p.Run), old)); err != nil {
				return err
			}
		}
	}
	return nil
}

// forgettable tells whether nothing of a run that is over is needed any more: its
// time is over, nobody supervises what it left behind, and no node file is in
// place as it wrote it, for then its plan says whose the file is.
func (d *Dir) forgettable(t tree, p *plan) (bool, error) {
	if d.o.KeepRecords <= 0 || d.o.Now().Sub(p.At) < d.o.KeepRecords {
		return false, nil
	}
	if d.o.InUse != nil {
		if used, err := d.o.InUse(t.ctx, p.Run); err != nil || used {
			return false, err
		}
	}
	for _, f := range p.Files {
		if p.State == planUndone {
			break
		}
		state, err := t.state(Owned{Run: p.Run, File: f.File, Sum: f.Sum})
		if err != nil || state == FileSame {
			return false, err
		}
	}
	return true, nil
}

// removeAll takes a directory away with all that is in it.
func (t tree) removeAll(name string) error {
	return t.do("removing", name, func() error { return t.root.RemoveAll(name) })
}

// KeepRecords is how long the records of runs are kept if no setting says so.
const KeepRecords = 90 * 24 * time.Hour
