package query

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"entgo.io/ent/dialect/sql"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/stats"
	"github.com/slipwayhq/slipway/ent"
	"github.com/slipwayhq/slipway/ent/deployment"
	"github.com/slipwayhq/slipway/ent/phaserun"
	"github.com/slipwayhq/slipway/ent/predicate"
)

// What bounds a series over time.
const (
	MaxBuckets     = 400
	MinBucket      = time.Minute
	MaxSeriesRuns  = 100_000 // runs that one answer is made from
	maxSeriesKinds = 50      // profiles of a success series, those with the most ends
	seriesPart     = 1000    // runs of one statement
)

// SeriesOf says what a series is about and how time is divided.
type SeriesOf struct {
	Provider string // "" = all
	Profile  string // server profile, "" = all
	Phase    string // of a duration series: its phase, "" = whole deployments; not for a success series
	From     time.Time
	To       time.Time // not included
	Bucket   time.Duration
}

// DurationBucket is how long what ended within a bucket took. The percentiles
// are by nearest rank, nil when nothing ended.
type DurationBucket struct {
	Start    time.Time
	Count    int
	P50, P95 *time.Duration
}

// SuccessBucket is how many attempts ended within a bucket.
type SuccessBucket struct {
	Start                       time.Time
	Succeeded, Failed, Canceled int
}

// SuccessSeries are the ends of attempts of one profile.
type SuccessSeries struct {
	Provider string
	Profile  string
	Buckets  []SuccessBucket
}

func (o SeriesOf) check() error {
	var bad []deploy.FieldError
	add := func(field string, code deploy.Code, message string) {
		bad = append(bad, deploy.FieldError{Field: field, Code: code, Message: message})
	}
	if o.Provider != "" && !slices.Contains(phase.Providers(), o.Provider) {
		add("provider", deploy.CodeInvalid, "is not known")
	}
	if def, ok := phase.Lookup(o.Phase); o.Phase != "" && (!ok || def.Terminal) {
		add("phase", deploy.CodeInvalid, "is not a phase that takes time")
	}
	switch {
	case !o.From.Before(o.To):
		add("to", deploy.CodeInvalid, "must be after from")
	case o.Bucket < MinBucket:
		add("bucket", deploy.CodeOutOfRange, "must be at least a minute")
	case o.buckets() > MaxBuckets:
		add("bucket", deploy.CodeOutOfRange, fmt.Sprintf("gives more than %d buckets", MaxBuckets))
	}
	return deploy.Invalid(bad)
}

// buckets counts them; the last one may be cut short.
func (o SeriesOf) buckets() int64 {
	return int64((o.To.Sub(o.From)-1)/o.Bucket) + 1
}

func (o SeriesOf) start(i int) time.Time { return o.From.Add(time.Duration(i) * o.Bucket) }
func (o SeriesOf) at(t time.Time) int    { return int(t.Sub(o.From) / o.Bucket) }

func (o SeriesOf) providers() []string {
	if o.Provider != "" {
		return []string{o.Provider}
	}
	return phase.Providers()
}

// within chooses runs by the time of their end. The status is spelt out, as the
// index of such runs spells it: SQLite uses it for no other.
func (o SeriesOf) within(status string) []predicate.PhaseRun {
	return []predicate.PhaseRun{
		func(s *sql.Selector) { s.Where(sql.ExprP(status)) },
		phaserun.FinishedAtGTE(o.From), phaserun.FinishedAtLT(o.To),
	}
}

// Durations tells how long the phase, or whole deployments without their time in
// the queue, took, by when they ended; only what succeeded counts, and not the
// time that clocks stood. Every bucket of the time is there. Errors: invalid,
// out_of_range (too many buckets, or more than MaxSeriesRuns ended).
func (f *Fleet) Durations(ctx context.Context, o SeriesOf) ([]DurationBucket, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	key := o.Phase
	if key == "" {
		key = stats.Whole
	}
	took := make([][]time.Duration, o.buckets())
	total := 0
	for _, provider := range o.providers() {
		where := append(o.within("status = 'success'"), phaserun.Provider(provider), phaserun.Phase(key))
		if o.Profile != "" {
			where = append(where, phaserun.ServerProfile(o.Profile))
		}
		err := f.endedRuns(ctx, where, &total, func(part []*ent.PhaseRun) error {
			durations := runDurations(part)
			if key == stats.Whole {
				var err error
				if durations, err = f.wholeDurations(ctx, part); err != nil {
					return err
				}
			}
			for i, r := range part {
				if d := durations[i]; d >= 0 {
					took[o.at(*r.FinishedAt)] = append(took[o.at(*r.FinishedAt)], d)
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	out := make([]DurationBucket, len(took))
	for i, list := range took {
		out[i] = DurationBucket{Start: o.start(i), Count: len(list)}
		if len(list) > 0 {
			p50, p95 := stats.Percentile(list, 50), stats.Percentile(list, 95)
			out[i].P50, out[i].P95 = &p50, &p95
		}
	}
	return out, nil
}

// endedRuns reads runs in the order of their ends, part by part.
func (f *Fleet) endedRuns(ctx context.Context, where []predicate.PhaseRun, total *int, each func([]*ent.PhaseRun) error) error {
	var last *ent.PhaseRun
	for {
		q := f.read.PhaseRun.Query().Where(where...).Order(ent.Asc(phaserun.FieldFinishedAt), ent.Asc(phaserun.FieldID)).Limit(seriesPart)
		if last != nil {
			after := last
			q.Where(func(s *sql.Selector) {
				s.Where(sql.CompositeGT([]string{s.C(phaserun.FieldFinishedAt), s.C(phaserun.FieldID)}, *after.FinishedAt, after.ID))
			})
		}
		rows, err := q.Select(phaserun.FieldDeploymentID, phaserun.FieldPhase, phaserun.FieldProvider, phaserun.FieldServerProfile, phaserun.FieldStatus,
			phaserun.FieldEnteredAt, phaserun.FieldFinishedAt, phaserun.FieldStoppedMs).All(ctx)
		if err != nil {
			return fmt.Errorf("read ended runs: %w", err)
		}
		if *total += len(rows); *total > MaxSeriesRuns {
			return &deploy.Error{Code: deploy.CodeOutOfRange, Message: fmt.Sprintf("more than %d runs ended in this time", MaxSeriesRuns), Hint: "ask for a shorter time, or for one profile"}
		}
		if len(rows) > 0 {
			if err := each(rows); err != nil {
				return err
			}
		}
		if len(rows) < seriesPart {
			return nil
		}
		last = rows[len(rows)-1]
	}
}

func runDurations(runs []*ent.PhaseRun) []time.Duration {
	out := make([]time.Duration, len(runs))
	for i, r := range runs {
		out[i] = max(r.FinishedAt.Sub(r.EnteredAt)-time.Duration(r.StoppedMs)*time.Millisecond, 0)
	}
	return out
}

// wholeDurations gives how long the deployments took that ended with these runs,
// -1 for those that were never begun.
func (f *Fleet) wholeDurations(ctx context.Context, runs []*ent.PhaseRun) ([]time.Duration, error) {
	ids := make([]int64, len(runs))
	for i, r := range runs {
		ids[i] = r.DeploymentID
	}
	ids = unique(ids)
	rows, err := f.read.Deployment.Query().Where(deployment.IDIn(ids...), deployment.StartedAtNotNil()).Select(deployment.FieldStartedAt).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("read ended deployments: %w", err)
	}
	started := byID(rows, func(d *ent.Deployment) int64 { return d.ID })
	halts, err := f.read.PhaseRun.Query().Where(phaserun.DeploymentIDIn(ids...), phaserun.StoppedMsGT(0), phaserun.PhaseNEQ(phase.Pending)).
		Select(phaserun.FieldDeploymentID, phaserun.FieldStoppedMs).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("read stopped clocks: %w", err)
	}
	stood := map[int64]time.Duration{}
	for _, h := range halts {
		stood[h.DeploymentID] += time.Duration(h.StoppedMs) * time.Millisecond
	}
	out := make([]time.Duration, len(runs))
	for i, r := range runs {
		out[i] = -1
		if d := started[r.DeploymentID]; d != nil {
			out[i] = max(r.FinishedAt.Sub(*d.StartedAt)-stood[r.DeploymentID], 0)
		}
	}
	return out, nil
}

// Successes counts how attempts ended, by profile and time: deployed, failed, or
// canceled. A deployment that failed and was retried counts once for each
// attempt; cleanups do not count. Every bucket of the time is there for each
// profile. Errors: as those of Durations.
func (f *Fleet) Successes(ctx context.Context, o SeriesOf) ([]SuccessSeries, error) {
	o.Phase = ""
	if err := o.check(); err != nil {
		return nil, err
	}
	type kind struct{ provider, profile string }
	found := map[kind]*SuccessSeries{}
	ends := map[kind]int{}
	count := func(part []*ent.PhaseRun) error {
		for _, r := range part {
			k := kind{r.Provider, r.ServerProfile}
			if found[k] == nil {
				found[k] = &SuccessSeries{Provider: r.Provider, Profile: r.ServerProfile, Buckets: make([]SuccessBucket, o.buckets())}
			}
			ends[k]++
			b := &found[k].Buckets[o.at(*r.FinishedAt)]
			switch r.Status {
			case string(phase.Success):
				b.Succeeded++
			case string(phase.CanceledBy):
				b.Canceled++
			default:
				b.Failed++
			}
		}
		return nil
	}
	total := 0
	narrow := func(where []predicate.PhaseRun) []predicate.PhaseRun {
		if o.Profile != "" {
			where = append(where, phaserun.ServerProfile(o.Profile))
		}
		return where
	}
	for _, provider := range o.providers() {
		if err := f.endedRuns(ctx, narrow(append(o.within("status = 'success'"), phaserun.Provider(provider), phaserun.Phase(phase.Deployed))), &total, count); err != nil {
			return nil, err
		}
	}
	broken := narrow(append(o.within("status IN ('failed', 'timed_out', 'canceled')"), phaserun.PhaseNEQ(phase.Cleanup)))
	if o.Provider != "" {
		broken = append(broken, phaserun.Provider(o.Provider))
	}
	if err := f.endedRuns(ctx, broken, &total, count); err != nil {
		return nil, err
	}
	kinds := make([]kind, 0, len(found))
	for k := range found {
		kinds = append(kinds, k)
	}
	slices.SortFunc(kinds, func(a, b kind) int {
		return cmp.Or(ends[b]-ends[a], cmp.Compare(a.provider, b.provider), cmp.Compare(a.profile, b.profile))
	})
	kinds = kinds[:min(len(kinds), maxSeriesKinds)]
	out := make([]SuccessSeries, len(kinds))
	for i, k := range kinds {
		for n := range found[k].Buckets {
			found[k].Buckets[n].Start = o.start(n)
		}
		out[i] = *found[k]
	}
	return out, nil
}
