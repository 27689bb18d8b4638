package query

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/stats"
	"github.com/slipwayhq/slipway/ent"
	"github.com/slipwayhq/slipway/ent/phasestat"
)

// typicalFor is how long statistics are kept in memory; they are computed once
// a minute.
const typicalFor = 15 * time.Second

// group is whose statistics they are.
type group struct{ provider, profile string }

// Durations is how long each phase usually takes, by the statistics of a
// provider and server profile.
type Durations struct {
	of map[phase.Key]Usual
	at time.Time
}

// Usual is how long one phase usually takes.
type Usual struct {
	P50, P95 time.Duration
	Samples  int // with fewer than stats.MinSamples the rest is zero and says nothing
}

// Of gives a phase's median duration; ok is false if that is not known.
func (t Durations) Of(k phase.Key) (d time.Duration, ok bool) {
	u := t.of[k]
	if def, _ := phase.Lookup(k); def.Terminal {
		return 0, false
	}
	return u.P50, u.Samples >= stats.MinSamples
}

// Whole gives the statistics of whole deployments, without their time in the
// queue; ok is false if they are not known.
func (t Durations) Whole() (u Usual, ok bool) {
	u = t.of[stats.Whole]
	return u, u.Samples >= stats.MinSamples
}

// Typical gives how long the phases of a provider's server profile usually
// take. It is at most some seconds behind the table.
func (s *Statuses) Typical(ctx context.Context, provider, profile string) (Durations, error) {
	g, now := group{provider, profile}, s.now()
	s.mu.Lock()
	t, ok := s.typical[g]
	s.mu.Unlock()
	if ok && now.Sub(t.at) < typicalFor {
		return t, nil
	}
	rows, err := s.read.PhaseStat.Query().Where(phasestat.Provider(provider), phasestat.ServerProfile(profile)).All(ctx)
	if err != nil {
		return Durations{}, fmt.Errorf("read typical phase durations: %w", err)
	}
	t = durations(rows, now)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.typical) > 1000 { // profiles are few; this only bounds nonsense
		clear(s.typical)
	}
	s.typical[g] = t
	return t, nil
}

func durations(rows []*ent.PhaseStat, at time.Time) Durations {
	t := Durations{of: map[phase.Key]Usual{}, at: at}
	for _, r := range rows {
		u := Usual{Samples: r.Samples}
		if r.P50Ms != nil && r.P95Ms != nil {
			u.P50, u.P95 = time.Duration(*r.P50Ms)*time.Millisecond, time.Duration(*r.P95Ms)*time.Millisecond
		}
		t.of[r.Phase] = u
	}
	return t
}

// weights gives a provider's phases their share of progress: the phases whose
// durations are known share by time what the table gives to all of them
// together, the others keep the table's weight. nil = the table's weights.
func (t Durations) weights(provider string) map[phase.Key]float64 {
	var weight, seconds float64
	known := map[phase.Key]float64{}
	for _, def := range phase.Catalogue(provider) {
		if d, ok := t.Of(def.Key); ok && def.Weight > 0 {
			known[def.Key] = d.Seconds()
			weight += def.Weight
			seconds += d.Seconds()
		}
	}
	if seconds == 0 {
		return nil
	}
	for k := range known {
		known[k] *= weight / seconds
	}
	return known
}

// remaining estimates how long a deployment still takes: what the open phase
// usually takes beyond what has passed, and all that follow. nil = one of them
// is not known, or no end is in sight.
func (t Durations) remaining(d *ent.Deployment, current *ent.PhaseRun, now time.Time) *time.Duration {
	if current == nil || d.Maintenance || d.State != phase.Queued && d.State != phase.Running {
		return nil
	}
	var sum time.Duration
	reached := false
	for _, def := range phase.Catalogue(d.Provider) {
		usual, known := t.Of(def.Key)
		switch {
		case def.Terminal:
		case def.Key == d.Phase && !known:
			return nil
		case def.Key == d.Phase:
			reached = true
			sum += max(usual-elapsed(current, now), 0)
		case !reached || slices.Contains(d.SkipPhases, def.Key) || t.passedOver(def):
		case !known:
			return nil
		default:
			sum += usual
		}
	}
	if !reached {
		return nil
	}
	return &sum
}

// passedOver reports whether machines of this kind go past a phase: enough of
// them were deployed, and none has ever been in it.
func (t Durations) passedOver(def phase.Definition) bool {
	_, enough := t.Whole()
	return def.MachineMaySkip && enough && t.of[def.Key].Samples == 0
}

// elapsed is how long a run has lasted, without the time its clock stood.
func elapsed(r *ent.PhaseRun, now time.Time) time.Duration {
	end := now
	if r.ClockStoppedAt != nil {
		end = *r.ClockStoppedAt
	}
	return max(end.Sub(r.EnteredAt)-time.Duration(r.StoppedMs)*time.Millisecond, 0)
}

// Usual is how long a whole deployment of a profile usually takes once it has
// left the queue, 0 if that is not known.
func (s *Statuses) Usual(ctx context.Context, provider, profile string) (time.Duration, error) {
	t, err := s.Typical(ctx, provider, profile)
	if err != nil {
		return 0, err
	}
	whole, _ := t.Whole()
	return whole.P50, nil
}
