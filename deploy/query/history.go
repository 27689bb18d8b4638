package query

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/stats"
	"github.com/slipwayhq/slipway/ent"
	"github.com/slipwayhq/slipway/ent/deployment"
	"github.com/slipwayhq/slipway/ent/deploymentevent"
	"github.com/slipwayhq/slipway/ent/node"
	"github.com/slipwayhq/slipway/ent/phaserun"
)

// HistoryRow is one row of deployment_history in the words of the REST face;
// the event stream sends the same.
type HistoryRow struct {
	Phase        string          `json:"phase"`
	Status       string          `json:"status"`
	Message      string          `json:"message"`
	Timestamp    time.Time       `json:"timestamp" doc:"Slipway's clock."`
	OccurredAt   time.Time       `json:"occurred_at" doc:"The reporter's clock."`
	NodeID       int64           `json:"node_id"`
	DeploymentID int64           `json:"deployment_id"`
	Attempt      int             `json:"attempt"`
	Sequence     int             `json:"sequence" doc:"1, 2, 3 … within the deployment, without gaps."`
	EventID      int64           `json:"event_id"`
	Cursor       string          `json:"cursor" doc:"Place in the stream; opaque."`
	State        string          `json:"state" doc:"Of the deployment after this row."`
	Outcome      string          `json:"outcome" enum:"accepted,step,refused"`
	RefusedCode  *string         `json:"refused_code,omitempty"`
	Source       string          `json:"source"`
	Actor        string          `json:"actor,omitempty"`
	Progress     *int            `json:"progress,omitempty"`
	ServerStatus *string         `json:"server_status,omitempty"`
	Details      json.RawMessage `json:"details,omitempty"`
	LogTail      *string         `json:"log_tail,omitempty"`

	Position int64 `json:"-"`
}

// Row gives an event in the words of the REST face, without its cursor.
func Row(e *ent.DeploymentEvent) HistoryRow {
	return HistoryRow{
		Phase: e.Phase, Status: e.Status, Message: e.Message, Timestamp: e.RecordedAt, OccurredAt: e.OccurredAt,
		NodeID: e.NodeID, DeploymentID: e.DeploymentID, Attempt: e.Attempt, Sequence: e.Sequence, EventID: e.ID,
		State: e.State, Outcome: e.Outcome, RefusedCode: e.RefusedCode, Source: e.Source, Actor: e.Actor,
		Progress: e.Progress, ServerStatus: e.ServerStatus, Details: e.Details, LogTail: e.LogTail, Position: e.Position,
	}
}

// HistoryOf says whose history it is.
type HistoryOf struct {
	NodeID   int64
	NodeName string
	ServerIP *string
}

// HistoryFilter narrows a history.
type HistoryFilter struct {
	DeploymentID   int64 // 0 = all of the node's
	After          int64 // position; rows up to it are left out
	IncludeRefused bool
}

// FindNode finds the node that a hint names; not_found if there is none.
func (s *Statuses) FindNode(ctx context.Context, hint MachineHint) (HistoryOf, error) {
	q := s.read.Node.Query()
	if hint.NodeID != 0 {
		q.Where(node.ID(hint.NodeID))
	} else {
		q.Where(node.ManagementIP(hint.IP))
	}
	n, err := q.Select(node.FieldID, node.FieldName, node.FieldManagementIP).Only(ctx)
	if ent.IsNotFound(err) {
		return HistoryOf{}, deploy.Errorf(deploy.CodeNotFound, "there is no such node")
	}
	if err != nil {
		return HistoryOf{}, fmt.Errorf("read node: %w", err)
	}
	return HistoryOf{NodeID: n.ID, NodeName: n.Name, ServerIP: n.ManagementIP}, nil
}

// History reads up to limit rows of a node's history, the oldest first.
func (s *Statuses) History(ctx context.Context, nodeID int64, f HistoryFilter, limit int) ([]HistoryRow, error) {
	q := s.read.DeploymentEvent.Query().Where(deploymentevent.NodeID(nodeID))
	if f.After > 0 {
		q.Where(deploymentevent.PositionGT(f.After))
	}
	if f.DeploymentID != 0 {
		q.Where(deploymentevent.DeploymentID(f.DeploymentID))
	}
	if !f.IncludeRefused {
		q.Where(deploymentevent.OutcomeNEQ("refused"))
	}
	rows, err := q.Order(ent.Asc(deploymentevent.FieldPosition)).Limit(limit).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("read history of node %d: %w", nodeID, err)
	}
	out := make([]HistoryRow, len(rows))
	for i, e := range rows {
		out[i] = Row(e)
	}
	return out, nil
}

// ExpiredEvents counts the events of a node, or of one of its deployments, that
// retention has removed: the sequence of a deployment has no gaps, so it knows
// how many there were. deploymentID 0 = all of the node's; nodeID is not needed
// with a deployment.
func (s *Statuses) ExpiredEvents(ctx context.Context, nodeID, deploymentID int64) (int, error) {
	return expired(ctx, s.read, nodeID, deploymentID)
}

// ExpiredEvents is that of Statuses.
func (f *Fleet) ExpiredEvents(ctx context.Context, nodeID, deploymentID int64) (int, error) {
	return expired(ctx, f.read, nodeID, deploymentID)
}

func expired(ctx context.Context, read *ent.Client, nodeID, deploymentID int64) (int, error) {
	deployments, events := deployment.NodeID(nodeID), deploymentevent.NodeID(nodeID)
	if deploymentID != 0 {
		deployments, events = deployment.ID(deploymentID), deploymentevent.DeploymentID(deploymentID)
		if nodeID != 0 {
			deployments, events = deployment.And(deployments, deployment.NodeID(nodeID)), deploymentevent.And(events, deploymentevent.NodeID(nodeID))
		}
	}
	rows, err := read.Deployment.Query().Where(deployments).Select(deployment.FieldSequence).Ints(ctx)
	if err != nil {
		return 0, fmt.Errorf("read sequences: %w", err)
	}
	// Counted after the sequences were read, so that an event made meanwhile
	// does not look like one that is gone.
	kept, err := read.DeploymentEvent.Query().Where(events).Count(ctx)
	if err != nil {
		return 0, fmt.Errorf("count events: %w", err)
	}
	given := 0
	for _, n := range rows {
		given += n
	}
	return max(given-kept, 0), nil
}

// Summary is the fleet in numbers.
type Summary struct {
	TotalNodes         int            `json:"total_nodes"`
	StatusBreakdown    map[string]int `json:"status_breakdown" doc:"Nodes by deployment_status."`
	ActiveDeployments  []SummaryLine  `json:"active_deployments" doc:"The newest 500."`
	ActiveTotal        int            `json:"active_total"`
	RecentDeployments  []SummaryLine  `json:"recent_deployments" doc:"The ten that were ordered last and have ended."`
	LastUpdated        *time.Time     `json:"last_updated" doc:"The last change of any node."`
	DurationP50Seconds *float64       `json:"duration_p50_seconds" doc:"Of those that succeeded in the last 30 days; null with fewer than five."`
	DurationP95Seconds *float64       `json:"duration_p95_seconds"`
}

// Line is the summary as a shell prints it.
func (s Summary) Line() string {
	return fmt.Sprintf("%d nodes, %d active deployments", s.TotalNodes, s.ActiveTotal)
}

// SummaryLine is a deployment in the summary.
type SummaryLine struct {
	NodeID           int64     `json:"node_id"`
	NodeName         string    `json:"node_name"`
	DeploymentID     int64     `json:"deployment_id"`
	DeploymentNumber int       `json:"deployment_number"`
	State            string    `json:"state"`
	CurrentPhase     string    `json:"current_phase"`
	Status           string    `json:"status"`
	ProgressPercent  float64   `json:"progress_percent"`
	Message          string    `json:"message"`
	Timestamp        time.Time `json:"timestamp" doc:"Its last change."`
}

const (
	summaryActive = 500
	summaryRecent = 10
)

var activeStates = []string{phase.Queued, phase.Running, phase.Canceling, phase.CleaningUp}

// Summary counts and lists.
func (s *Statuses) Summary(ctx context.Context) (Summary, error) {
	out := Summary{StatusBreakdown: map[string]int{}}
	var counts []struct {
		DeploymentStatus string `json:"deployment_status"`
		Count            int    `json:"count"`
	}
	err := s.read.Node.Query().GroupBy(node.FieldDeploymentStatus).Aggregate(ent.Count()).Scan(ctx, &counts)
	if err != nil {
		return out, fmt.Errorf("count nodes: %w", err)
	}
	for _, c := range counts {
		out.StatusBreakdown[c.DeploymentStatus] = c.Count
		out.TotalNodes += c.Count
	}
	newest, err := s.read.Node.Query().Order(ent.Desc(node.FieldUpdatedAt)).Select(node.FieldUpdatedAt).First(ctx)
	switch {
	case err == nil:
		out.LastUpdated = &newest.UpdatedAt
	case !ent.IsNotFound(err):
		return out, fmt.Errorf("read last change: %w", err)
	}
	active := s.read.Deployment.Query().Where(deployment.StateIn(activeStates...))
	if out.ActiveTotal, err = active.Clone().Count(ctx); err != nil {
		return out, fmt.Errorf("count active deployments: %w", err)
	}
	if out.ActiveDeployments, err = s.lines(ctx, active, summaryActive, true); err != nil {
		return out, err
	}
	ended := s.read.Deployment.Query().Where(deployment.StateNotIn(activeStates...))
	if out.RecentDeployments, err = s.lines(ctx, ended, summaryRecent, false); err != nil {
		return out, err
	}
	return out, s.durations(ctx, &out)
}

// lines reads the newest of a set of deployments. Of active ones only the open
// phase run is read, of ended ones all, since the last of them counts.
func (s *Statuses) lines(ctx context.Context, q *ent.DeploymentQuery, limit int, open bool) ([]SummaryLine, error) {
	rows, err := q.WithNode().WithPhaseRuns(func(r *ent.PhaseRunQuery) {
		if open {
			r.Where(phaserun.FinishedAtIsNil())
		}
		r.Order(ent.Asc(phaserun.FieldID))
	}).Order(ent.Desc(deployment.FieldID)).Limit(limit).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("read deployments: %w", err)
	}
	out := make([]SummaryLine, len(rows))
	for i, d := range rows {
		var run *ent.PhaseRun
		for _, r := range d.Edges.PhaseRuns {
			if r.Phase == d.Phase {
				run = r
			}
		}
		var profile string
		if d.Edges.Node != nil {
			profile = d.Edges.Node.ServerProfile
		}
		typical, err := s.Typical(ctx, d.Provider, profile)
		if err != nil {
			return nil, err
		}
		l := SummaryLine{
			NodeID: d.NodeID, DeploymentID: d.ID, DeploymentNumber: d.Number, State: d.State, CurrentPhase: d.Phase,
			Status: d.PhaseStatus, ProgressPercent: math.Round(1000*phase.Progress(Facts(d), share(run), typical.weights(d.Provider))) / 10, Timestamp: d.UpdatedAt,
		}
		if d.Edges.Node != nil {
			l.NodeName = d.Edges.Node.Name
		}
		switch {
		case d.FailureMessage != nil:
			l.Message = *d.FailureMessage
		case run != nil:
			l.Message = run.Message
		}
		out[i] = l
	}
	return out, nil
}

// durations adds how long deployments usually take.
func (s *Statuses) durations(ctx context.Context, out *Summary) error {
	t, err := s.Typical(ctx, stats.AnyProvider, stats.AnyProfile)
	if err != nil {
		return err
	}
	if whole, ok := t.Whole(); ok {
		p50, p95 := seconds(whole.P50), seconds(whole.P95)
		out.DurationP50Seconds, out.DurationP95Seconds = &p50, &p95
	}
	return nil
}

// NodeCard is a node in the words of the REST face.
type NodeCard struct {
	ID               int64             `json:"id"`
	NodeName         string            `json:"node_name"`
	Provider         string            `json:"provider"`
	ServerProfile    string            `json:"server_profile"`
	DeploymentStatus string            `json:"deployment_status" doc:"Phase key of the current deployment, or failed, canceled, cleanup_completed."`
	State            *string           `json:"state" doc:"Of the current deployment; null when never deployed."`
	DeploymentID     *int64            `json:"deployment_id"`
	ManagementIP     *string           `json:"management_ip"`
	WorkloadIP       *string           `json:"workload_ip"`
	MACAddresses     []string          `json:"mac_addresses"`
	ClusterName      *string           `json:"cluster_name"`
	Labels           map[string]string `json:"labels"`
	ServerID         *string           `json:"server_id"`
	ServerStatus     *string           `json:"server_status" doc:"The provider's own word; not a phase."`
	AHVIP            *string           `json:"ahv_ip" doc:"Hypervisor's address, bound to the management interface."`
	CVMIP            *string           `json:"cvm_ip" doc:"Controller VM's address, likewise."`
	Protected        bool              `json:"protected" doc:"It is neither released nor installed anew."`
	ProtectNote      string            `json:"protect_note"`
	Stale            bool              `json:"stale"`
	LastSeenAt       *time.Time        `json:"last_seen_at"`
	CreatedAt        time.Time         `json:"created_at"`
	UpdatedAt        time.Time         `json:"updated_at"`
	Version          int               `json:"version"`
}

// Line is the node as a shell prints it.
func (n NodeCard) Line() string {
	return fmt.Sprintf("%d %s %s %s", n.ID, n.NodeName, n.DeploymentStatus, deref(n.ManagementIP))
}

// NodePage is a page of nodes.
type NodePage struct {
	Nodes      []NodeCard `json:"nodes" doc:"The newest first."`
	NextCursor *string    `json:"next_cursor" doc:"Ask for what comes after this; null on the last page."`
}

// Nodes reads a page of nodes, the newest first; before is the id that the
// page before ended with, 0 = from the start.
func (s *Statuses) Nodes(ctx context.Context, before int64, limit int) (NodePage, error) {
	q := s.read.Node.Query()
	if before > 0 {
		q.Where(node.IDLT(before))
	}
	rows, err := q.Order(ent.Desc(node.FieldID)).Limit(limit + 1).All(ctx)
	if err != nil {
		return NodePage{}, fmt.Errorf("read nodes: %w", err)
	}
	out := NodePage{Nodes: []NodeCard{}}
	if len(rows) > limit {
		rows = rows[:limit]
		next := fmt.Sprintf("node_%d", rows[limit-1].ID)
		out.NextCursor = &next
	}
	for _, n := range rows {
		out.Nodes = append(out.Nodes, card(n))
	}
	return out, nil
}

// Node reads one node; not_found if there is none.
func (s *Statuses) Node(ctx context.Context, id int64) (NodeCard, error) {
	n, err := s.read.Node.Get(ctx, id)
	if ent.IsNotFound(err) {
		return NodeCard{}, deploy.Errorf(deploy.CodeNotFound, "there is no such node")
	}
	if err != nil {
		return NodeCard{}, fmt.Errorf("read node: %w", err)
	}
	return card(n), nil
}

func card(n *ent.Node) NodeCard {
	c := NodeCard{
		ID: n.ID, NodeName: n.Name, Provider: n.Provider, ServerProfile: n.ServerProfile, DeploymentStatus: n.DeploymentStatus,
		DeploymentID: n.CurrentDeploymentID, ManagementIP: n.ManagementIP, WorkloadIP: n.WorkloadIP, MACAddresses: n.MACAddresses,
		ClusterName: n.ClusterName, Labels: n.Labels, ServerID: n.ServerID, ServerStatus: n.ServerStatus, Stale: n.Stale,
		AHVIP: n.AhvIP, CVMIP: n.CvmIP, Protected: n.Protected, ProtectNote: n.ProtectNote,
		LastSeenAt: n.LastSeenAt, CreatedAt: n.CreatedAt, UpdatedAt: n.UpdatedAt, Version: n.Version,
	}
	if n.State != "" {
		c.State = &n.State
	}
	if c.MACAddresses == nil {
		c.MACAddresses = []string{}
	}
	if c.Labels == nil {
		c.Labels = map[string]string{}
	}
	return c
}
