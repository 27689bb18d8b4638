package workdir

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/slipwayhq/slipway/deploy"
)

// owned is what marker.json says.
type owned struct {
	Run deploy.RunKey `json:"run"`
}

// Mark is the marker as it is on the disk.
type Mark struct {
	Present bool
	Since   time.Time
	Run     deploy.RunKey // whose it is; zero = it is none of ours
}

// Marker reads the marker.
func (d *Dir) Marker(ctx context.Context) (m Mark, err error) {
	err = d.enter(ctx, func(t tree) error {
		m, err = t.marker()
		return err
	})
	return m, err
}

func (t tree) marker() (Mark, error) {
	info, err := t.exists(marker)
	if err != nil || info == nil {
		return Mark{}, err
	}
	var o owned
	_, err = t.record(owner, &o)
	return Mark{Present: true, Since: info.ModTime().UTC(), Run: o.Run}, err
}

// free tells whether a run may have the marker.
func (t tree) free(run deploy.RunKey) error {
	m, err := t.marker()
	if err != nil || !m.Present || run.ID != 0 && m.Run == run {
		return err
	}
	if m.Run.ID != 0 {
		return Refuse(deploy.CodeRunActive, "Wait for its end. If nothing is running any more, clear the marker.",
			"run %d is in progress since %s: its marker %s is there", m.Run.ID, m.Since.Format(time.RFC3339), t.abs(marker))
	}
	return Refuse(deploy.CodeRunActive, "See whether somebody else runs the deployment script. If nothing is running any more, clear the marker.",
		"the marker %s is there since %s, and no run of Slipway made it", t.abs(marker), m.Since.Format(time.RFC3339))
}

// mark makes the marker for a run. Whose it is going to be is known before.
func (t tree) mark(run deploy.RunKey) error {
	if err := t.free(run); err != nil {
		return err
	}
	m, err := t.marker()
	if err != nil {
		return err
	}
	if !m.Present {
		if err := t.mkdirs(markerDir, dirMode); err != nil {
			return err
		}
		if err := t.save(owner, run, owned{run}); err != nil {
			return err
		}
		err := t.do("making the marker", marker, func() error {
			f, err := t.root.OpenFile(marker, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
			if err != nil {
				return err
			}
			return errors.Join(f.Chmod(fileMode), f.Sync(), f.Close())
		})
		if err != nil {
			return err
		}
	}
	return t.sync(markerDir)
}

// unmark takes a run's marker away; another's stays.
func (t tree) unmark(run deploy.RunKey) error {
	var o owned
	if _, err := t.record(owner, &o); err != nil || o.Run != run {
		return err
	}
	return t.clear()
}

func (t tree) clear() error {
	err := t.do("removing the marker", marker, func() error {
		if err := t.root.Remove(marker); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
	if err != nil {
		return err
	}
	if info, err := t.exists(markerDir); err != nil {
		return err
	} else if info != nil {
		if err := t.sync(markerDir); err != nil {
			return err
		}
	}
	return t.remove(owner)
}

// Mark makes the marker for a run, unless it is there; refused with run_active
// if it is somebody else's.
func (d *Dir) Mark(ctx context.Context, run deploy.RunKey) error {
	return d.locked(ctx, func(t tree) error { return t.mark(run) })
}

// Unmark takes the marker of a run away; another's stays.
func (d *Dir) Unmark(ctx context.Context, run deploy.RunKey) error {
	return d.locked(ctx, func(t tree) error { return t.unmark(run) })
}

// ClearMarker takes the marker away, whoever made it. active is asked first,
// with nobody else changing the directory.
func (d *Dir) ClearMarker(ctx context.Context, active func(context.Context) error) error {
	return d.locked(ctx, func(t tree) error {
		if err := active(ctx); err != nil {
			return err
		}
		return t.clear()
	})
}
