package graph

import (
	"context"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/feed"
	"github.com/slipwayhq/slipway/deploy/query"
	"github.com/slipwayhq/slipway/ent"
	"github.com/slipwayhq/slipway/graph/ident"
	"github.com/slipwayhq/slipway/graph/model"
)

// one gives the only model of a list, or the zero value.
func one[T any](list []T, err error) (T, error) {
	var zero T
	if err != nil || len(list) == 0 {
		return zero, err
	}
	return list[0], nil
}

// readNode reads one machine, nil if there is none.
func (r *Resolver) readNode(ctx context.Context, by query.NodeBy, sel selection) (*model.BareMetalNode, error) {
	l := r.load()
	n, err := r.Fleet.FindNode(ctx, by)
	if err != nil || n == nil {
		return nil, err
	}
	return one(l.nodes(ctx, []*ent.Node{n}, sel))
}

// readDeployment reads one deployment, nil if there is none.
func (r *Resolver) readDeployment(ctx context.Context, id int64, sel selection) (*model.Deployment, error) {
	all, err := r.load().deploymentsByID(ctx, []int64{id}, sel, nil)
	return all[id], err
}

// readBatch reads one batch, nil if there is none.
func (r *Resolver) readBatch(ctx context.Context, id int64) (*model.DeploymentBatch, error) {
	all, err := r.Fleet.BatchesByID(ctx, []int64{id})
	if err != nil {
		return nil, err
	}
	b, ok := all[id]
	if !ok {
		return nil, nil
	}
	return batchModel(b), nil
}

// readEvent reads one event, nil if there is none.
func (r *Resolver) readEvent(ctx context.Context, id int64, sel selection) (*model.DeploymentEvent, error) {
	l := r.load()
	all, err := r.Fleet.EventsByID(ctx, []int64{id})
	if err != nil || all[id] == nil {
		return nil, err
	}
	return one(l.events(ctx, []*feed.Event{all[id]}, sel))
}

// readAll reads things of any kind by their global ids, in the same order, nil
// where there is none; one read a kind.
func (r *Resolver) readAll(ctx context.Context, global []string, sel selection) ([]model.Node, error) {
	if len(global) > maxList {
		return nil, badArgument(deploy.CodeOutOfRange, "ids", "has more than %d entries", maxList)
	}
	wanted := map[ident.Kind][]int64{}
	for _, g := range global {
		if k, id, ok := ident.Parse(g); ok {
			wanted[k] = append(wanted[k], id)
		}
	}
	l := r.load()
	found := map[string]model.Node{}
	nodes, err := l.nodesByID(ctx, wanted[ident.Node], sel)
	if err != nil {
		return nil, err
	}
	for _, n := range nodes {
		found[n.ID] = n
	}
	deployments, err := l.deploymentsByID(ctx, wanted[ident.Deployment], sel, nil)
	if err != nil {
		return nil, err
	}
	for _, d := range deployments {
		found[d.ID] = d
	}
	batches, err := r.Fleet.BatchesByID(ctx, wanted[ident.Batch])
	if err != nil {
		return nil, err
	}
	for _, b := range batches {
		found[ident.Format(ident.Batch, b.ID)] = batchModel(b)
	}
	runs, err := l.runsByID(ctx, wanted[ident.Run], sel)
	if err != nil {
		return nil, err
	}
	for _, one := range runs {
		found[one.ID] = one
	}
	clusters, err := l.clustersByID(ctx, wanted[ident.Cluster], sel)
	if err != nil {
		return nil, err
	}
	for _, c := range clusters {
		found[c.ID] = c
	}
	for _, id := range wanted[ident.Bulk] {
		o, err := r.readBulk(ctx, ident.Format(ident.Bulk, id))
		if err != nil {
			return nil, err
		}
		if o != nil {
			found[o.ID] = o
		}
	}
	rows, err := r.Fleet.EventsByID(ctx, wanted[ident.Event])
	if err != nil {
		return nil, err
	}
	events, err := keyed(ctx, rows, sel, l.events)
	if err != nil {
		return nil, err
	}
	for _, e := range events {
		found[e.ID] = e
	}
	out := make([]model.Node, len(global))
	for i, g := range global {
		out[i] = found[g]
	}
	return out, nil
}

// nodePage reads a page of machines.
func (r *Resolver) nodePage(ctx context.Context, in *model.BareMetalNodeFilter, order *model.BareMetalNodeOrder, p query.Page, sel selection) (*model.BareMetalNodeConnection, error) {
	filter, err := nodeFilter(in)
	if err != nil {
		return nil, err
	}
	by, desc := query.NodesByName, false
	if order != nil {
		by, desc = query.NodeOrder(lower([]model.BareMetalNodeOrderField{order.Field})[0]), order.Direction == model.OrderDirectionDesc
	}
	l := r.load()
	s, err := r.Fleet.Nodes(ctx, filter, by, desc, p)
	if err != nil {
		return nil, err
	}
	nodes, err := l.nodes(ctx, s.Items, sel.items())
	if err != nil {
		return nil, err
	}
	out := &model.BareMetalNodeConnection{Edges: make([]*model.BareMetalNodeEdge, len(nodes)), PageInfo: pageInfo(s)}
	for i, n := range nodes {
		out.Edges[i] = &model.BareMetalNodeEdge{Cursor: s.Cursors[i], Node: n}
	}
	out.Count = func(ctx context.Context) (int, error) { return r.Fleet.CountNodes(ctx, filter) }
	return out, nil
}

// deploymentPage reads a page of deployments.
func (r *Resolver) deploymentPage(ctx context.Context, filter query.DeploymentFilter, order *model.DeploymentOrder, p query.Page, sel selection) (*model.DeploymentConnection, error) {
	desc := order == nil || order.Direction == model.OrderDirectionDesc
	l := r.load()
	s, err := r.Fleet.Deployments(ctx, filter, desc, p)
	if err != nil {
		return nil, err
	}
	deployments, err := l.deployments(ctx, s.Items, sel.items(), nil)
	if err != nil {
		return nil, err
	}
	out := &model.DeploymentConnection{Edges: make([]*model.DeploymentEdge, len(deployments)), PageInfo: pageInfo(s)}
	for i, d := range deployments {
		out.Edges[i] = &model.DeploymentEdge{Cursor: s.Cursors[i], Node: d}
	}
	out.Count = func(ctx context.Context) (int, error) { return r.Fleet.CountDeployments(ctx, filter) }
	return out, nil
}

// eventPage reads a page of one deployment's events.
func (r *Resolver) eventPage(ctx context.Context, deploymentID int64, in *model.DeploymentEventFilter, p query.Page, sel selection) (*model.DeploymentEventConnection, error) {
	after, err := r.position("after", text(p.After))
	if err != nil {
		return nil, err
	}
	before, err := r.position("before", text(p.Before))
	if err != nil {
		return nil, err
	}
	f, err := r.eventFilter(ctx, in)
	if err != nil {
		return nil, err
	}
	l := r.load()
	filter := query.EventFilter{Phases: f.Phases, Statuses: f.Statuses, Sources: f.Sources, IncludeRefused: f.IncludeRefused}
	s, err := r.Fleet.Events(ctx, deploymentID, filter, p, after, before)
	if err != nil {
		return nil, err
	}
	out, err := l.eventConnection(ctx, s.Items, &model.PageInfo{HasNextPage: s.HasNext, HasPreviousPage: s.HasPrev}, sel)
	if err == nil {
		out.Expired = func(ctx context.Context) (int, error) { return r.Fleet.ExpiredEvents(ctx, 0, deploymentID) }
	}
	return out, err
}

// eventConnection makes a connection whose cursors are places in the stream.
func (l loader) eventConnection(ctx context.Context, rows []*feed.Event, info *model.PageInfo, sel selection) (*model.DeploymentEventConnection, error) {
	events, err := l.events(ctx, rows, sel.items())
	if err != nil {
		return nil, err
	}
	out := &model.DeploymentEventConnection{Edges: make([]*model.DeploymentEventEdge, len(events)), PageInfo: info}
	for i, e := range events {
		out.Edges[i] = &model.DeploymentEventEdge{Cursor: e.Cursor, Node: e}
	}
	if n := len(events); n > 0 {
		info.StartCursor = &events[0].Cursor
		if info.EndCursor == nil {
			info.EndCursor = &events[n-1].Cursor
		}
	}
	return out, nil
}

// recent reads the fleet's events backwards from a place in the stream.
func (r *Resolver) recent(ctx context.Context, first *int, before *string, in *model.DeploymentEventFilter, sel selection) (*model.DeploymentEventConnection, error) {
	p, err := page(first, nil, nil, nil)
	if err != nil {
		return nil, err
	}
	position, err := r.position("before", before)
	if err != nil {
		return nil, err
	}
	filter, err := r.eventFilter(ctx, in)
	if err != nil {
		return nil, err
	}
	l := r.load()
	rows, more, err := r.Fleet.RecentEvents(ctx, filter, position, p.Limit)
	if err != nil {
		return nil, err
	}
	return l.eventConnection(ctx, rows, &model.PageInfo{HasNextPage: more, HasPreviousPage: before != nil}, sel)
}

// poll is the polling twin of the stream of events.
func (r *Resolver) poll(ctx context.Context, first *int, after *string, in *model.DeploymentEventFilter, sel selection) (*model.DeploymentEventConnection, error) {
	p, err := page(first, nil, nil, nil)
	if err != nil {
		return nil, err
	}
	start, err := streamStart(after)
	if err != nil {
		return nil, err
	}
	filter, err := r.eventFilter(ctx, in)
	if err != nil {
		return nil, err
	}
	l := r.load()
	read, err := r.Feed.Read(ctx, filter, start, p.Limit)
	if err != nil {
		return nil, err
	}
	if read.Reset != feed.ResetNone {
		return nil, &deploy.Error{
			Code: deploy.CodeOutOfRange, Message: "events after this cursor can no longer be given (" + string(read.Reset) + ")",
			Hint: "read the present state again and go on from its cursor",
		}
	}
	// The place to go on from lies beyond events that the filter hid, and exists
	// on an empty page too.
	end := read.Cursor.String()
	return l.eventConnection(ctx, read.Events, &model.PageInfo{HasNextPage: read.HasMore, HasPreviousPage: after != nil, EndCursor: &end}, sel)
}
