package query

import (
	"context"
	"fmt"
	"time"

	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/stats"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/ent"
	"github.com/slipwayhq/slipway/ent/deployment"
	"github.com/slipwayhq/slipway/ent/node"
	"github.com/slipwayhq/slipway/ent/phaserun"
	"github.com/slipwayhq/slipway/ent/predicate"
)

// FleetSummary is the fleet in numbers.
type FleetSummary struct {
	Total            int
	Active           int
	Stalled          int // active, and stale or past a deadline
	Late             int // running, and longer than 95 in 100 took
	ByState          map[string]int
	ByPhase          []PhaseCount // of active deployments, in the order of phases
	SucceededLast24h int
	FailedLast24h    int
	// Of the deployments that succeeded in the last 30 days; nil with fewer
	// than five.
	P50, P95 *time.Duration
	AsOf     time.Time
}

// PhaseCount is how many nodes are in a phase.
type PhaseCount struct {
	Phase  string
	Count  int
	Oldest *time.Time // when the one longest in it entered it
}

const day = 24 * time.Hour

// Summary counts the nodes that a filter chooses, in a constant number of
// queries.
func (f *Fleet) Summary(ctx context.Context, filter NodeFilter) (FleetSummary, error) {
	now := f.Now()
	out := FleetSummary{ByState: map[string]int{}, AsOf: now}
	chosen := filter.predicates(f.Now())
	var groups []struct {
		State            string `json:"state"`
		DeploymentStatus string `json:"deployment_status"`
		Count            int    `json:"count"`
	}
	err := f.read.Node.Query().Where(chosen...).GroupBy(node.FieldState, node.FieldDeploymentStatus).Aggregate(ent.Count()).Scan(ctx, &groups)
	if err != nil {
		return out, fmt.Errorf("count nodes: %w", err)
	}
	phases := map[string]int{}
	for _, g := range groups {
		out.Total += g.Count
		if g.State != "" {
			out.ByState[g.State] += g.Count
		}
		if phase.Active(g.State) {
			out.Active += g.Count
			phases[g.DeploymentStatus] += g.Count
		}
	}
	out.Stalled, err = f.read.Node.Query().Where(chosen...).Where(node.StateIn(activeStates...), node.Or(node.Stale(true), isOverdue(now))).Count(ctx)
	if err != nil {
		return out, fmt.Errorf("count stalled nodes: %w", err)
	}
	out.Late, err = f.read.Node.Query().Where(chosen...).Where(node.State(phase.Running), node.Late(true)).Count(ctx)
	if err != nil {
		return out, fmt.Errorf("count late nodes: %w", err)
	}
	if out.ByPhase, err = f.byPhase(ctx, filter, phases); err != nil {
		return out, err
	}
	return out, f.ended(ctx, filter, &out)
}

// isOverdue chooses nodes whose open phase is past a deadline that acts.
func isOverdue(now time.Time) predicate.Node {
	return node.HasDeploymentsWith(deployment.StateIn(activeStates...), deployment.Maintenance(false),
		deployment.HasPhaseRunsWith(phaserun.FinishedAtIsNil(), phaserun.ClockStoppedAtIsNil(), phaserun.DeadlineAtLT(now)))
}

// Overdue tells which of the nodes are past a deadline.
func (f *Fleet) Overdue(ctx context.Context, ids []int64) (map[int64]bool, error) {
	out := map[int64]bool{}
	if len(ids) == 0 {
		return out, nil
	}
	found, err := f.read.Node.Query().Where(node.IDIn(unique(ids)...), node.StateIn(activeStates...), isOverdue(f.Now())).IDs(ctx)
	if err != nil {
		return nil, fmt.Errorf("read overdue nodes: %w", err)
	}
	for _, id := range found {
		out[id] = true
	}
	return out, nil
}

// oldest scans MIN(entered_at), which SQLite gives as text.
type oldest struct{ at time.Time }

func (o *oldest) Scan(src any) error { return store.Time(&o.at).Scan(src) }

func (f *Fleet) byPhase(ctx context.Context, filter NodeFilter, counts map[string]int) ([]PhaseCount, error) {
	q := f.read.PhaseRun.Query().Where(phaserun.FinishedAtIsNil())
	if chosen := filter.predicates(f.Now()); len(chosen) > 0 {
		q.Where(phaserun.HasDeploymentWith(deployment.HasNodeWith(chosen...)))
	}
	var rows []struct {
		Phase  string `json:"phase"`
		Oldest oldest `json:"oldest"`
	}
	err := q.GroupBy(phaserun.FieldPhase).Aggregate(ent.As(ent.Min(phaserun.FieldEnteredAt), "oldest")).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("read oldest phase runs: %w", err)
	}
	since := map[string]time.Time{}
	for _, r := range rows {
		since[r.Phase] = r.Oldest.at
	}
	var out []PhaseCount
	for _, def := range phase.All() {
		if counts[def.Key] == 0 {
			continue
		}
		c := PhaseCount{Phase: def.Key, Count: counts[def.Key]}
		if at, ok := since[def.Key]; ok {
			c.Oldest = &at
		}
		out = append(out, c)
	}
	return out, nil
}

// ended adds what is told of deployments that have ended.
func (f *Fleet) ended(ctx context.Context, filter NodeFilter, out *FleetSummary) error {
	q := f.read.Deployment.Query()
	if chosen := filter.predicates(f.Now()); len(chosen) > 0 {
		q.Where(deployment.HasNodeWith(chosen...))
	}
	var counts []struct {
		State string `json:"state"`
		Count int    `json:"count"`
	}
	err := q.Clone().Where(deployment.FinishedAtGT(out.AsOf.Add(-day)), deployment.StateIn(phase.Succeeded, phase.StateFail)).
		GroupBy(deployment.FieldState).Aggregate(ent.Count()).Scan(ctx, &counts)
	if err != nil {
		return fmt.Errorf("count ended deployments: %w", err)
	}
	for _, c := range counts {
		if c.State == phase.Succeeded {
			out.SucceededLast24h = c.Count
		} else {
			out.FailedLast24h = c.Count
		}
	}
	return f.usual(ctx, filter, q, out)
}

// summaryRows bounds the deployments that a filter's percentiles are made of.
const summaryRows = 5000

// usual adds how long deployments take: of all from the statistics, of some
// from their rows.
func (f *Fleet) usual(ctx context.Context, filter NodeFilter, q *ent.DeploymentQuery, out *FleetSummary) error {
	if filter.Empty() {
		t, err := f.statuses.Typical(ctx, stats.AnyProvider, stats.AnyProfile)
		if whole, ok := t.Whole(); ok {
			out.P50, out.P95 = &whole.P50, &whole.P95
		}
		return err
	}
	rows, err := q.Where(deployment.State(phase.Succeeded), deployment.StartedAtNotNil(), deployment.FinishedAtGT(out.AsOf.Add(-stats.Window))).
		Order(ent.Desc(deployment.FieldID)).Limit(summaryRows).
		Select(deployment.FieldStartedAt, deployment.FieldFinishedAt).All(ctx)
	if err != nil {
		return fmt.Errorf("read durations: %w", err)
	}
	if len(rows) < stats.MinSamples {
		return nil
	}
	took := make([]time.Duration, len(rows))
	for i, d := range rows {
		took[i] = d.FinishedAt.Sub(*d.StartedAt)
	}
	p50, p95 := stats.Percentile(took, 50), stats.Percentile(took, 95)
	out.P50, out.P95 = &p50, &p95
	return nil
}
