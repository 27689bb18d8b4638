package query

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/ent"
	"github.com/slipwayhq/slipway/ent/deployment"
	"github.com/slipwayhq/slipway/ent/node"
	"github.com/slipwayhq/slipway/ent/phaserun"
	"github.com/slipwayhq/slipway/ent/predicate"
)

// Statuses reads how nodes stand, in the words of the REST face.
type Statuses struct {
	read *ent.Client
	now  func() time.Time

	mu      sync.Mutex
	typical map[string]Durations // by server profile
}

// NewStatuses reads from a database; now is the clock, nil = time.Now.
func NewStatuses(read *ent.Client, now func() time.Time) *Statuses {
	if now == nil {
		now = time.Now
	}
	return &Statuses{read: read, now: now, typical: map[string]Durations{}}
}

// NodeStatus is how a node and its current deployment stand. Times are UTC,
// durations seconds.
type NodeStatus struct {
	ServerIP                  *string     `json:"server_ip" doc:"Management address, null when it holds none."`
	ServerName                string      `json:"server_name"`
	NodeID                    int64       `json:"node_id"`
	DeploymentID              *int64      `json:"deployment_id" doc:"Null when the node was never deployed."`
	CurrentPhase              string      `json:"current_phase"`
	PhaseStatus               string      `json:"phase_status" enum:"waiting,in_progress,success,failed,timed_out,skipped,canceled"`
	ProgressPercent           float64     `json:"progress_percent" minimum:"0" maximum:"100"`
	ElapsedTimeSeconds        float64     `json:"elapsed_time_seconds"`
	EstimatedRemainingSeconds *float64    `json:"estimated_remaining_seconds" doc:"Null when there is no history to estimate from."`
	TimedOut                  bool        `json:"timed_out" doc:"A deadline passed."`
	LastUpdate                time.Time   `json:"last_update"`
	Message                   string      `json:"message"`
	DeploymentNumber          *int        `json:"deployment_number"`
	Attempt                   *int        `json:"attempt"`
	State                     *string     `json:"state" doc:"queued, running, succeeded, failed, canceling, canceled, cleaning_up or cleaned_up; null when never deployed."`
	Failure                   *Failure    `json:"failure"`
	Phases                    []PhaseLine `json:"phases"`
}

// Line is the status as a shell prints it.
func (s NodeStatus) Line() string {
	return fmt.Sprintf("%s %s %s %.0f%% %s", s.ServerName, s.CurrentPhase, s.PhaseStatus, s.ProgressPercent, s.Message)
}

// Failure is why a deployment failed.
type Failure struct {
	Phase     string    `json:"phase"`
	Code      string    `json:"code"`
	Message   string    `json:"message"`
	Hint      string    `json:"hint"`
	Retryable bool      `json:"retryable"`
	At        time.Time `json:"at"`
}

// PhaseLine is one visit of a phase.
type PhaseLine struct {
	Phase           string     `json:"phase"`
	Label           string     `json:"label"`
	Status          string     `json:"status"`
	Attempt         int        `json:"attempt"`
	Progress        *int       `json:"progress" doc:"As the phase itself reported it, 0 to 100."`
	Message         string     `json:"message"`
	EnteredAt       time.Time  `json:"entered_at"`
	StartedAt       *time.Time `json:"started_at"`
	FinishedAt      *time.Time `json:"finished_at"`
	DeadlineAt      *time.Time `json:"deadline_at"`
	DurationSeconds *float64   `json:"duration_seconds"`
}

// NodeStatus reads the status of the node that a hint names; not_found if
// there is none.
func (s *Statuses) NodeStatus(ctx context.Context, hint MachineHint) (NodeStatus, error) {
	q := s.read.Node.Query()
	if hint.NodeID != 0 {
		q.Where(node.ID(hint.NodeID))
	} else {
		q.Where(node.ManagementIP(hint.IP))
	}
	n, err := q.Only(ctx)
	if ent.IsNotFound(err) {
		return NodeStatus{}, deploy.Errorf(deploy.CodeNotFound, "there is no such node")
	}
	if err != nil {
		return NodeStatus{}, fmt.Errorf("read node: %w", err)
	}
	out := NodeStatus{
		ServerIP: n.ManagementIP, ServerName: n.Name, NodeID: n.ID, CurrentPhase: phase.Pending,
		PhaseStatus: string(phase.Waiting), LastUpdate: latest(&n.UpdatedAt, n.LastSeenAt), Phases: []PhaseLine{},
	}
	if n.CurrentDeploymentID == nil {
		return out, nil
	}
	d, err := s.read.Deployment.Query().Where(deployment.ID(*n.CurrentDeploymentID)).
		WithPhaseRuns(func(q *ent.PhaseRunQuery) { q.Order(ent.Asc(phaserun.FieldID)) }).Only(ctx)
	if err != nil {
		return NodeStatus{}, fmt.Errorf("read deployment %d: %w", *n.CurrentDeploymentID, err)
	}
	if err := s.fill(ctx, &out, n, d); err != nil {
		return NodeStatus{}, err
	}
	return out, nil
}

// fill adds the current deployment.
func (s *Statuses) fill(ctx context.Context, out *NodeStatus, n *ent.Node, d *ent.Deployment) error {
	now := s.now()
	typ, err := s.Typical(ctx, n.ServerProfile)
	if err != nil {
		return err
	}
	out.DeploymentID, out.DeploymentNumber, out.Attempt, out.State = &d.ID, &d.Number, &d.Attempt, &d.State
	out.CurrentPhase, out.PhaseStatus = d.Phase, d.PhaseStatus
	out.LastUpdate = latest(&n.UpdatedAt, n.LastSeenAt, &d.UpdatedAt)
	begun := d.CreatedAt
	if d.StartedAt != nil {
		begun = *d.StartedAt
	}
	finished := now
	if d.FinishedAt != nil {
		finished = *d.FinishedAt
	}
	out.ElapsedTimeSeconds = seconds(finished.Sub(begun))
	for _, r := range d.Edges.PhaseRuns {
		out.Phases = append(out.Phases, phaseLine(r))
	}
	v := Look(d, n, d.Edges.PhaseRuns, typ, now)
	out.ProgressPercent = math.Round(1000*v.Progress) / 10
	if r := v.Current; r != nil {
		out.Message = r.Message
		out.TimedOut = r.Status == string(phase.TimedOut) || r.FinishedAt == nil && r.DeadlineAt != nil && now.After(*r.DeadlineAt)
	}
	if d.FailureCode != nil {
		out.Failure = &Failure{
			Phase: deref(d.FailurePhase), Code: *d.FailureCode, Message: deref(d.FailureMessage),
			Hint: deref(d.FailureHint), Retryable: deref(d.FailureRetryable), At: deref(d.FailedAt),
		}
		out.Message = out.Failure.Message
	}
	if v.EstimatedFinishAt != nil {
		left := max(seconds(v.EstimatedFinishAt.Sub(now)), 0)
		out.EstimatedRemainingSeconds = &left
	}
	return nil
}

// Facts is what package phase must know of a deployment.
func Facts(d *ent.Deployment) phase.Facts {
	return phase.Facts{Provider: d.Provider, State: d.State, Open: d.Phase, OpenStatus: phase.Status(d.PhaseStatus), Skip: d.SkipPhases}
}

// share is how far the open phase is by its own account, 0 to 1.
func share(r *ent.PhaseRun) float64 {
	switch {
	case r == nil:
		return 0
	case r.Status == string(phase.Success):
		return 1
	case r.Progress != nil:
		return float64(*r.Progress) / 100
	}
	return 0
}

func phaseLine(r *ent.PhaseRun) PhaseLine {
	l := PhaseLine{
		Phase: r.Phase, Label: r.Phase, Status: r.Status, Attempt: r.Attempt, Progress: r.Progress, Message: r.Message,
		EnteredAt: r.EnteredAt, StartedAt: r.StartedAt, FinishedAt: r.FinishedAt, DeadlineAt: r.DeadlineAt,
	}
	if def, ok := phase.Lookup(r.Phase); ok {
		l.Label = def.Label
	}
	if r.FinishedAt != nil {
		v := seconds(r.FinishedAt.Sub(r.EnteredAt))
		l.DurationSeconds = &v
	}
	return l
}

// seconds gives a duration in seconds, to the millisecond.
func seconds(d time.Duration) float64 { return math.Round(d.Seconds()*1000) / 1000 }

func latest(times ...*time.Time) time.Time {
	var out time.Time
	for _, t := range times {
		if t != nil && t.After(out) {
			out = *t
		}
	}
	return out
}

// How much history an estimate needs and looks at.
const (
	typicalSamples = 5
	typicalWindow  = 30 * 24 * time.Hour
	typicalRows    = 4000
	typicalFor     = time.Minute // how long it is kept in memory
)

// Durations is how long each phase usually takes: the median of a profile's
// successful runs, for phases with enough of them.
type Durations struct {
	of map[phase.Key]time.Duration
	at time.Time
}

// Of gives a phase's usual duration; ok is false if that is not known.
func (t Durations) Of(k phase.Key) (d time.Duration, ok bool) {
	d, ok = t.of[k]
	return d, ok
}

// Typical gives a profile's usual phase durations: medians over the last 30
// days, only of phases with at least five successful runs. It is at most a
// minute old.
func (s *Statuses) Typical(ctx context.Context, profile string) (Durations, error) {
	s.mu.Lock()
	t, ok := s.typical[profile]
	s.mu.Unlock()
	now := s.now()
	if ok && now.Sub(t.at) < typicalFor {
		return t, nil
	}
	t, err := medians(ctx, s.read, now, deployment.HasNodeWith(node.ServerProfile(profile)))
	if err != nil {
		return Durations{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.typical) > 1000 { // profiles are few; this only bounds nonsense
		clear(s.typical)
	}
	s.typical[profile] = t
	return t, nil
}

// medians gives the usual phase durations of some deployments.
func medians(ctx context.Context, read *ent.Client, now time.Time, of predicate.Deployment) (Durations, error) {
	rows, err := read.PhaseRun.Query().
		Where(phaserun.Status(string(phase.Success)), phaserun.FinishedAtGT(now.Add(-typicalWindow)), phaserun.HasDeploymentWith(of)).
		Order(ent.Desc(phaserun.FieldID)).Limit(typicalRows).
		Select(phaserun.FieldPhase, phaserun.FieldEnteredAt, phaserun.FieldFinishedAt, phaserun.FieldStoppedMs).All(ctx)
	if err != nil {
		return Durations{}, fmt.Errorf("read typical phase durations: %w", err)
	}
	samples := map[phase.Key][]time.Duration{}
	for _, r := range rows {
		took := r.FinishedAt.Sub(r.EnteredAt) - time.Duration(r.StoppedMs)*time.Millisecond
		samples[r.Phase] = append(samples[r.Phase], max(took, 0))
	}
	t := Durations{of: map[phase.Key]time.Duration{}, at: now}
	for k, list := range samples {
		if len(list) >= typicalSamples {
			t.of[k] = Percentile(list, 50)
		}
	}
	return t, nil
}

// Percentile gives the p-th percentile by nearest rank; it sorts its argument.
func Percentile(list []time.Duration, p int) time.Duration {
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	rank := (p*len(list) + 99) / 100
	return list[max(rank, 1)-1]
}

// weights replaces the phase table's weights by seconds once the main phases
// are known; with fewer, a mixture of seconds and weights would mean nothing.
func (t Durations) weights() map[phase.Key]float64 {
	if !t.complete() {
		return nil
	}
	out := make(map[phase.Key]float64, len(t.of))
	for k, d := range t.of {
		out[k] = d.Seconds()
	}
	return out
}

// complete reports whether every phase that a machine's install always visits
// has a typical duration.
func (t Durations) complete() bool {
	for _, k := range []phase.Key{phase.MonitoringStart, phase.IPXEBoot, phase.ConfigDownload, phase.Installation, phase.HealthValidation} {
		if _, ok := t.of[k]; !ok {
			return false
		}
	}
	return true
}

// remaining estimates how long a deployment still takes, nil if that is not
// known.
func (t Durations) remaining(d *ent.Deployment, current *ent.PhaseRun, now time.Time) *float64 {
	if !t.complete() || current == nil {
		return nil
	}
	var sum time.Duration
	reached := false
	for _, def := range phase.Catalogue(d.Provider) {
		switch {
		case def.Key == d.Phase:
			reached = true
			sum += max(t.of[def.Key]-now.Sub(current.EnteredAt), 0)
		case reached && !slices.Contains(d.SkipPhases, def.Key):
			sum += t.of[def.Key]
		}
	}
	if !reached {
		return nil
	}
	v := seconds(sum)
	return &v
}

// Usual is how long a whole deployment of a profile usually takes, 0 if that
// is not known.
func (s *Statuses) Usual(ctx context.Context, provider, profile string) (time.Duration, error) {
	t, err := s.Typical(ctx, profile)
	if err != nil || !t.complete() {
		return 0, err
	}
	var sum time.Duration
	for _, def := range phase.Catalogue(provider) {
		sum += t.of[def.Key]
	}
	return sum, nil
}
