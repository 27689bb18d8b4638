package query

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/ent"
	"github.com/slipwayhq/slipway/ent/deployment"
	"github.com/slipwayhq/slipway/ent/node"
	"github.com/slipwayhq/slipway/ent/phaserun"
)

// Statuses reads how nodes stand, in the words of the REST face.
type Statuses struct {
	read *ent.Client
	now  func() time.Time

	mu      sync.Mutex
	typical map[group]Durations
}

// NewStatuses reads from a database; now is the clock, nil = time.Now.
func NewStatuses(read *ent.Client, now func() time.Time) *Statuses {
	if now == nil {
		now = time.Now
	}
	return &Statuses{read: read, now: now, typical: map[group]Durations{}}
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

// FailureOf is why a deployment failed, nil if it did not.
func FailureOf(d *ent.Deployment) *Failure {
	if d.FailureCode == nil {
		return nil
	}
	return &Failure{
		Phase: deref(d.FailurePhase), Code: *d.FailureCode, Message: deref(d.FailureMessage),
		Hint: deref(d.FailureHint), Retryable: deref(d.FailureRetryable), At: deref(d.FailedAt),
	}
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
	typ, err := s.Typical(ctx, d.Provider, n.ServerProfile)
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
		out.TimedOut = r.Status == string(phase.TimedOut) || overdue(d, r, now)
	}
	if d.FailureCode != nil {
		out.Failure = FailureOf(d)
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
