package query

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/stats"
	"github.com/slipwayhq/slipway/ent"
	"github.com/slipwayhq/slipway/ent/deployment"
)

// View is what can be said of a deployment with its phase runs: a pure
// function of facts, see Look.
type View struct {
	Current           *ent.PhaseRun // the open run, or the last one
	Progress          float64       // 0 to 1
	EstimatedFinishAt *time.Time    // nil if that is not known
	Waits             *Wait         // nil when the deployment has ended
	Late              bool          // the open phase, or all of it, takes longer than 95 in 100 did
	Stalled           bool          // the machine is silent, or a deadline has passed
}

// Look says how a deployment stands. n is its node, typical its profile's
// usual durations.
func Look(d *ent.Deployment, n *ent.Node, runs []*ent.PhaseRun, typical Durations, now time.Time) View {
	v := View{Current: current(d, runs)}
	v.Progress = phase.Progress(Facts(d), share(v.Current), typical.weights(d.Provider))
	if phase.Active(d.State) {
		is := n != nil && n.CurrentDeploymentID != nil && *n.CurrentDeploymentID == d.ID
		v.Late = is && n.Late
		v.Stalled = is && n.Stale || overdue(d, v.Current, now)
		v.Waits = wait(d, n, v.Current, now)
		if left := typical.remaining(d, v.Current, now); left != nil {
			at := now.Add(*left).UTC().Truncate(time.Microsecond)
			v.EstimatedFinishAt = &at
		}
	}
	return v
}

// current is the run of the phase a deployment is in: the open one if there
// is one, else the newest of that phase, else the newest of all.
func current(d *ent.Deployment, runs []*ent.PhaseRun) *ent.PhaseRun {
	var last, same *ent.PhaseRun
	for _, r := range runs {
		if r.FinishedAt == nil {
			return r
		}
		last = r
		if r.Phase == d.Phase {
			same = r
		}
	}
	if same != nil {
		return same
	}
	return last
}

// Ahead tells, of deployments that wait in the queue, how many were accepted
// before them and wait too.
func (f *Fleet) Ahead(ctx context.Context, ids []int64) (map[int64]int, error) {
	out := map[int64]int{}
	if len(ids) == 0 {
		return out, nil
	}
	queued, err := f.read.Deployment.Query().Where(deployment.State(phase.Queued), deployment.IDLTE(slices.Max(ids))).Order(ent.Asc(deployment.FieldID)).IDs(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the queue: %w", err)
	}
	for _, id := range ids {
		if at, ok := slices.BinarySearch(queued, id); ok {
			out[id] = at
		}
	}
	return out, nil
}

// Queued tells a wait in the queue its place there.
func (w *Wait) Queued(ahead int) {
	w.Evidence = fmt.Sprintf("%d before this one in the queue", ahead)
}

// TypicalOf gives the usual phase durations over all machines of a provider.
func (f *Fleet) TypicalOf(ctx context.Context, provider string) (Durations, error) {
	return f.statuses.Typical(ctx, provider, stats.AnyProfile)
}

// Typical gives the usual phase durations of a provider's server profile.
func (f *Fleet) Typical(ctx context.Context, provider, profile string) (Durations, error) {
	return f.statuses.Typical(ctx, provider, profile)
}

// Now is the reader's clock.
func (f *Fleet) Now() time.Time { return f.now().UTC().Truncate(time.Microsecond) }
