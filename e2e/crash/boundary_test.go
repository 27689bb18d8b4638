package crash

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/slipwayhq/slipway/deploy"
)

// boundaries tells the parent each point that is passed, and stands still at
// the one that the parent has chosen.
type boundaries struct {
	out *os.File

	mu    sync.Mutex
	told  int
	after int             // stand still at the point of this number; 0 = never
	stops map[string]bool // stand still at any of these
}

// at is called at a boundary. It does not return from the chosen one.
func (b *boundaries) at(point string) {
	if b.tell(point) {
		select {}
	}
}

func (b *boundaries) tell(point string) (stop bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.told++
	word := "at"
	if stop = b.told == b.after || b.stops[point]; stop {
		word = "stop"
		b.after, b.stops = 0, nil // one is enough
	}
	_, _ = fmt.Fprintf(b.out, "%s %s\n", word, point)
	return stop
}

func (b *boundaries) arm(points []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stops = map[string]bool{}
	for _, p := range points {
		b.stops[p] = true
	}
}

func (b *boundaries) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.told
}

// diary is a journal whose every change is between two boundaries.
type diary struct {
	deploy.Journal
	points *boundaries

	mu   sync.Mutex
	rows map[int64]string // kind and role by id
}

func (d *diary) Intend(ctx context.Context, i deploy.Intent) (deploy.Resource, error) {
	what := strings.TrimSpace("journal: intend " + i.Kind + " " + i.Role)
	d.points.at("before " + what)
	row, err := d.Journal.Intend(ctx, i)
	if err == nil {
		d.know(row)
	}
	d.points.at("after " + what)
	return row, err
}

func (d *diary) Settle(ctx context.Context, id int64, state, cloudID string, details json.RawMessage, problem string) error {
	what := "journal: " + d.name(id) + " " + state + progress(details)
	d.points.at("before " + what)
	err := d.Journal.Settle(ctx, id, state, cloudID, details, problem)
	d.points.at("after " + what)
	return err
}

func (d *diary) Amend(ctx context.Context, id int64, change func(details json.RawMessage) (json.RawMessage, error)) error {
	what := "journal: amend " + d.name(id)
	d.points.at("before " + what)
	err := d.Journal.Amend(ctx, id, func(details json.RawMessage) (json.RawMessage, error) {
		details, err := change(details)
		if err == nil {
			what += progress(details)
			d.points.at("inside " + what)
		}
		return details, err
	})
	d.points.at("after " + what)
	return err
}

func (d *diary) Held(ctx context.Context, nodeID int64) ([]deploy.Resource, error) {
	rows, err := d.Journal.Held(ctx, nodeID)
	d.know(rows...)
	return rows, err
}

func (d *diary) ByNode(ctx context.Context, nodeID int64) ([]deploy.Resource, error) {
	rows, err := d.Journal.ByNode(ctx, nodeID)
	d.know(rows...)
	return rows, err
}

func (d *diary) know(rows ...deploy.Resource) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range rows {
		d.rows[r.ID] = strings.TrimSpace(r.Kind + " " + r.Role)
	}
}

func (d *diary) name(id int64) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rows[id]
}

// progress tells how far a row's details say that a removal or another
// installation is: the fields that are there, without their values.
func progress(details json.RawMessage) string {
	var parts struct {
		Stop      map[string]any `json:"stop"`
		Reinstall map[string]any `json:"reinstall"`
		Gone      map[string]any `json:"gone"`
	}
	if json.Unmarshal(details, &parts) != nil {
		return ""
	}
	text := fields(" stop", parts.Stop) + fields(" reinstall", parts.Reinstall)
	if kept, _ := parts.Gone["kept"].(string); kept != "" {
		text += " kept"
	}
	return text
}

func fields(name string, of map[string]any) string {
	var names []string
	for _, key := range slices.Sorted(maps.Keys(of)) {
		switch value := of[key].(type) {
		case map[string]any:
			names = append(names, strings.TrimSpace(fields(key, value)))
		default:
			if key != "attempt" && key != "deployment" {
				names = append(names, key)
			}
		}
	}
	if len(names) == 0 {
		return ""
	}
	return name + "(" + strings.Join(names, " ") + ")"
}
