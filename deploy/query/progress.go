package query

import (
	"context"
	"time"

	"github.com/slipwayhq/slipway/deploy/phase"
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
}

// Look says how a deployment stands. n is its node, typical its profile's
// usual durations.
func Look(d *ent.Deployment, n *ent.Node, runs []*ent.PhaseRun, typical Durations, now time.Time) View {
	v := View{Current: current(d, runs)}
	v.Progress = phase.Progress(Facts(d), share(v.Current), typical.weights())
	if phase.Active(d.State) {
		v.Waits = wait(d, n, v.Current, now)
		if left := typical.remaining(d, v.Current, now); left != nil {
			at := now.Add(time.Duration(*left * float64(time.Second))).UTC().Truncate(time.Microsecond)
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

// TypicalOf gives the usual phase durations over all machines of a provider.
// It is at most a minute old.
func (f *Fleet) TypicalOf(ctx context.Context, provider string) (Durations, error) {
	f.mu.Lock()
	t, ok := f.typical[provider]
	f.mu.Unlock()
	now := f.now()
	if ok && now.Sub(t.at) < typicalFor {
		return t, nil
	}
	t, err := medians(ctx, f.read, now, deployment.Provider(provider))
	if err != nil {
		return Durations{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.typical[provider] = t
	return t, nil
}

// Typical gives a profile's usual phase durations.
func (f *Fleet) Typical(ctx context.Context, profile string) (Durations, error) {
	return f.statuses.Typical(ctx, profile)
}

// Now is the reader's clock.
func (f *Fleet) Now() time.Time { return f.now().UTC().Truncate(time.Microsecond) }
