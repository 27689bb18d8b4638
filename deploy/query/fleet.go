package query

import (
	"context"
	"fmt"
	"slices"
	"time"

	"entgo.io/ent/dialect/sql"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/feed"
	"github.com/slipwayhq/slipway/ent"
	"github.com/slipwayhq/slipway/ent/deployment"
	"github.com/slipwayhq/slipway/ent/deploymentbatch"
	"github.com/slipwayhq/slipway/ent/deploymentevent"
	"github.com/slipwayhq/slipway/ent/node"
	"github.com/slipwayhq/slipway/ent/phaserun"
	"github.com/slipwayhq/slipway/ent/predicate"
)

// Fleet reads pages of nodes, deployments and events, and what belongs to many
// of them at once.
type Fleet struct {
	read     *ent.Client
	statuses *Statuses
	now      func() time.Time
}

// NewFleet reads from a database; now is the clock, nil = time.Now.
func NewFleet(read *ent.Client, statuses *Statuses, now func() time.Time) *Fleet {
	if now == nil {
		now = time.Now
	}
	return &Fleet{read: read, statuses: statuses, now: now}
}

// NodeOrder is what nodes are sorted by.
type NodeOrder string

// The orders of nodes.
const (
	NodesByName    NodeOrder = "name"
	NodesByCreated NodeOrder = "created_at"
	NodesByUpdated NodeOrder = "updated_at"
)

func (o NodeOrder) column() (column, func(*ent.Node) mark, error) {
	c := column{list: "node." + string(o), name: string(o), decode: timeValue}
	switch o {
	case NodesByName:
		c.decode = textValue
		return c, func(n *ent.Node) mark { return mark{n.Name, n.ID} }, nil
	case NodesByCreated:
		return c, func(n *ent.Node) mark { return mark{timeText(n.CreatedAt), n.ID} }, nil
	case NodesByUpdated:
		return c, func(n *ent.Node) mark { return mark{timeText(n.UpdatedAt), n.ID} }, nil
	}
	return c, nil, deploy.Errorf(deploy.CodeInvalid, "nodes cannot be sorted by %q", string(o))
}

// Nodes reads a page of nodes.
func (f *Fleet) Nodes(ctx context.Context, filter NodeFilter, by NodeOrder, desc bool, p Page) (Slice[*ent.Node], error) {
	c, of, err := by.column()
	if err != nil {
		return Slice[*ent.Node]{}, err
	}
	where, order, err := c.seek(p, desc)
	if err != nil {
		return Slice[*ent.Node]{}, err
	}
	q := f.read.Node.Query().Where(filter.predicates(f.Now())...).Order(order).Limit(p.Limit + 1)
	for _, w := range where {
		q.Where(w)
	}
	rows, err := q.All(ctx)
	if err != nil {
		return Slice[*ent.Node]{}, fmt.Errorf("read nodes: %w", err)
	}
	return slice(c, p, rows, of), nil
}

// CountNodes counts the nodes that a filter chooses.
func (f *Fleet) CountNodes(ctx context.Context, filter NodeFilter) (int, error) {
	n, err := f.read.Node.Query().Where(filter.predicates(f.Now())...).Count(ctx)
	if err != nil {
		return 0, fmt.Errorf("count nodes: %w", err)
	}
	return n, nil
}

// NodesByID reads nodes; ids that do not exist are left out.
func (f *Fleet) NodesByID(ctx context.Context, ids []int64) (map[int64]*ent.Node, error) {
	return f.nodesWhere(ctx, ids, NodeFilter{})
}

// NodesMatching reads those of the nodes that a filter chooses.
func (f *Fleet) NodesMatching(ctx context.Context, ids []int64, filter NodeFilter) (map[int64]*ent.Node, error) {
	return f.nodesWhere(ctx, ids, filter)
}

func (f *Fleet) nodesWhere(ctx context.Context, ids []int64, filter NodeFilter) (map[int64]*ent.Node, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	rows, err := f.read.Node.Query().Where(node.IDIn(unique(ids)...)).Where(filter.predicates(f.Now())...).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("read nodes by id: %w", err)
	}
	return byID(rows, func(n *ent.Node) int64 { return n.ID }), nil
}

// NodeBy names a node by the first of its fields that is set.
type NodeBy struct {
	ID           int64
	Name         string
	ManagementIP string
}

// FindNode reads a node, nil if there is none.
func (f *Fleet) FindNode(ctx context.Context, by NodeBy) (*ent.Node, error) {
	var p predicate.Node
	switch {
	case by.ID != 0:
		p = node.ID(by.ID)
	case by.Name != "":
		p = node.Name(by.Name)
	default:
		p = node.ManagementIP(by.ManagementIP)
	}
	n, err := f.read.Node.Query().Where(p).Only(ctx)
	if ent.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("find node: %w", err)
	}
	return n, nil
}

var deploymentsByCreated = column{list: "dep.created_at", name: deployment.FieldCreatedAt, decode: timeValue}

// Deployments reads a page of deployments, by the time they were asked for.
func (f *Fleet) Deployments(ctx context.Context, filter DeploymentFilter, desc bool, p Page) (Slice[*ent.Deployment], error) {
	where, order, err := deploymentsByCreated.seek(p, desc)
	if err != nil {
		return Slice[*ent.Deployment]{}, err
	}
	q := f.read.Deployment.Query().Where(filter.predicates()...).Order(order).Limit(p.Limit + 1)
	for _, w := range where {
		q.Where(w)
	}
	rows, err := q.All(ctx)
	if err != nil {
		return Slice[*ent.Deployment]{}, fmt.Errorf("read deployments: %w", err)
	}
	return slice(deploymentsByCreated, p, rows, func(d *ent.Deployment) mark { return mark{timeText(d.CreatedAt), d.ID} }), nil
}

// CountDeployments counts the deployments that a filter chooses.
func (f *Fleet) CountDeployments(ctx context.Context, filter DeploymentFilter) (int, error) {
	n, err := f.read.Deployment.Query().Where(filter.predicates()...).Count(ctx)
	if err != nil {
		return 0, fmt.Errorf("count deployments: %w", err)
	}
	return n, nil
}

// DeploymentsByID reads deployments; ids that do not exist are left out.
func (f *Fleet) DeploymentsByID(ctx context.Context, ids []int64) (map[int64]*ent.Deployment, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	rows, err := f.read.Deployment.Query().Where(deployment.IDIn(unique(ids)...)).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("read deployments by id: %w", err)
	}
	return byID(rows, func(d *ent.Deployment) int64 { return d.ID }), nil
}

// Runs reads the phase runs of deployments, each in the order they were
// entered in.
func (f *Fleet) Runs(ctx context.Context, deploymentIDs []int64) (map[int64][]*ent.PhaseRun, error) {
	if len(deploymentIDs) == 0 {
		return nil, nil
	}
	rows, err := f.read.PhaseRun.Query().Where(phaserun.DeploymentIDIn(unique(deploymentIDs)...)).Order(ent.Asc(phaserun.FieldID)).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("read phase runs: %w", err)
	}
	out := make(map[int64][]*ent.PhaseRun, len(deploymentIDs))
	for _, r := range rows {
		out[r.DeploymentID] = append(out[r.DeploymentID], r)
	}
	return out, nil
}

// Batch is a batch with how its deployments stand.
type Batch struct {
	*ent.DeploymentBatch
	Counts map[string]int // by state
}

// BatchesByID reads batches; ids that do not exist are left out.
func (f *Fleet) BatchesByID(ctx context.Context, ids []int64) (map[int64]Batch, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	ids = unique(ids)
	rows, err := f.read.DeploymentBatch.Query().Where(deploymentbatch.IDIn(ids...)).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("read batches: %w", err)
	}
	var counts []struct {
		BatchID int64  `json:"batch_id"`
		State   string `json:"state"`
		Count   int    `json:"count"`
	}
	err = f.read.Deployment.Query().Where(deployment.BatchIDIn(ids...)).
		GroupBy(deployment.FieldBatchID, deployment.FieldState).Aggregate(ent.Count()).Scan(ctx, &counts)
	if err != nil {
		return nil, fmt.Errorf("count deployments of batches: %w", err)
	}
	out := make(map[int64]Batch, len(rows))
	for _, r := range rows {
		out[r.ID] = Batch{DeploymentBatch: r, Counts: map[string]int{}}
	}
	for _, c := range counts {
		if b, ok := out[c.BatchID]; ok {
			b.Counts[c.State] = c.Count
		}
	}
	return out, nil
}

// Events reads a page of a deployment's events, the oldest first. The page's
// cursors are not used: after and before are positions in the stream, 0 = none.
func (f *Fleet) Events(ctx context.Context, deploymentID int64, filter EventFilter, p Page, after, before int64) (Slice[*feed.Event], error) {
	q := f.read.DeploymentEvent.Query().Where(deploymentevent.DeploymentID(deploymentID)).Where(filter.predicates()...).Limit(p.Limit + 1)
	if after > 0 {
		q.Where(deploymentevent.PositionGT(after))
	}
	if before > 0 {
		q.Where(deploymentevent.PositionLT(before))
	}
	if p.Backward {
		q.Order(deploymentevent.ByPosition(sql.OrderDesc()))
	} else {
		q.Order(deploymentevent.ByPosition())
	}
	rows, err := q.All(ctx)
	if err != nil {
		return Slice[*feed.Event]{}, fmt.Errorf("read events of deployment %d: %w", deploymentID, err)
	}
	more := len(rows) > p.Limit
	if more {
		rows = rows[:p.Limit]
	}
	out := Slice[*feed.Event]{HasNext: more, HasPrev: after > 0}
	if p.Backward {
		slices.Reverse(rows)
		out.HasPrev, out.HasNext = more, before > 0
	}
	for _, e := range rows {
		out.Items = append(out.Items, eventOf(e))
	}
	return out, nil
}

// EventsByID reads events; ids that do not exist are left out.
func (f *Fleet) EventsByID(ctx context.Context, ids []int64) (map[int64]*feed.Event, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	rows, err := f.read.DeploymentEvent.Query().Where(deploymentevent.IDIn(unique(ids)...)).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("read events by id: %w", err)
	}
	out := make(map[int64]*feed.Event, len(rows))
	for _, e := range rows {
		out[e.ID] = eventOf(e)
	}
	return out, nil
}

// FailureEvents reads the events that failed deployments, by deployment.
func (f *Fleet) FailureEvents(ctx context.Context, failed []*ent.Deployment) (map[int64]*feed.Event, error) {
	var which []predicate.DeploymentEvent
	for _, d := range failed {
		if d.FailureSequence != nil {
			which = append(which, deploymentevent.And(deploymentevent.DeploymentID(d.ID), deploymentevent.Sequence(*d.FailureSequence)))
		}
	}
	out := map[int64]*feed.Event{}
	for part := range slices.Chunk(which, MaxPage) { // a bounded statement
		rows, err := f.read.DeploymentEvent.Query().Where(deploymentevent.Or(part...)).All(ctx)
		if err != nil {
			return nil, fmt.Errorf("read failures: %w", err)
		}
		for _, e := range rows {
			out[e.DeploymentID] = eventOf(e)
		}
	}
	return out, nil
}

func eventOf(e *ent.DeploymentEvent) *feed.Event {
	return &feed.Event{
		ID: e.ID, Position: e.Position, DeploymentID: e.DeploymentID, NodeID: e.NodeID, BatchID: deref(e.BatchID),
		Sequence: e.Sequence, Attempt: e.Attempt, Phase: e.Phase, Status: e.Status, Message: e.Message,
		Outcome: e.Outcome, RefusedCode: deref(e.RefusedCode), Source: e.Source, Actor: e.Actor, Progress: e.Progress,
		ServerStatus: deref(e.ServerStatus), Details: e.Details, LogTail: deref(e.LogTail), IdempotencyKey: deref(e.IdempotencyKey),
		State: e.State, OccurredAt: e.OccurredAt.UTC(), RecordedAt: e.RecordedAt.UTC(),
	}
}

func unique(ids []int64) []int64 {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	return slices.Compact(ids)
}

func byID[T any](rows []T, id func(T) int64) map[int64]T {
	out := make(map[int64]T, len(rows))
	for _, r := range rows {
		out[id(r)] = r
	}
	return out
}
