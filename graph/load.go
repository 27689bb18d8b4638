package graph

import (
	"context"
	"time"

	"github.com/slipwayhq/slipway/deploy/feed"
	"github.com/slipwayhq/slipway/deploy/health"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/query"
	"github.com/slipwayhq/slipway/ent"
	"github.com/slipwayhq/slipway/graph/model"
)

// loader turns rows into models together with what is selected below them, in
// a constant number of queries for a list of any length.
type loader struct {
	r *Resolver
	// cursor is a stream position from before the rows were read: a stream that
	// begins after it misses nothing of them.
	cursor string
	now    time.Time
}

// load begins a read. It must come before the first row is read.
func (r *Resolver) load() loader {
	return loader{r: r, cursor: r.Feed.Head().String(), now: r.Fleet.Now()}
}

func (l loader) nodes(ctx context.Context, rows []*ent.Node, sel selection) ([]*model.BareMetalNode, error) {
	out := make([]*model.BareMetalNode, len(rows))
	known := make(map[int64]*ent.Node, len(rows))
	var current []int64
	for i, n := range rows {
		out[i] = nodeModel(n)
		known[n.ID] = n
		if n.CurrentDeploymentID != nil {
			current = append(current, *n.CurrentDeploymentID)
		}
	}
	if sel.has("stalled") {
		ids := make([]int64, len(rows))
		for i, n := range rows {
			ids[i] = n.ID
		}
		overdue, err := l.r.Fleet.Overdue(ctx, ids)
		if err != nil {
			return nil, err
		}
		for i, n := range rows {
			out[i].Stalled = phase.Active(n.State) && n.Stale || overdue[n.ID]
		}
	}
	if sel.has("resources") {
		held, err := l.r.Fleet.ResourcesOf(ctx, rows)
		if err != nil {
			return nil, err
		}
		for i, n := range rows {
			for _, h := range held[n.ID] {
				out[i].Resources = append(out[i].Resources, resourceModel(h))
			}
		}
	}
	if sel.has("hostKeyFingerprint") {
		for i, n := range rows {
			if n.SSHHostKey != nil {
				out[i].HostKeyFingerprint = text(health.Fingerprint(*n.SSHHostKey))
			}
		}
	}
	if err := l.stored(ctx, out, sel); err != nil {
		return nil, err
	}
	if err := l.ofNodes(ctx, rows, out, sel); err != nil {
		return nil, err
	}
	if !sel.has("currentDeployment") {
		return out, nil
	}
	deployments, err := l.deploymentsByID(ctx, current, sel.child("currentDeployment"), known)
	if err != nil {
		return nil, err
	}
	for i, n := range rows {
		if n.CurrentDeploymentID != nil {
			out[i].CurrentDeployment = deployments[*n.CurrentDeploymentID]
		}
	}
	return out, nil
}

func (l loader) nodesByID(ctx context.Context, ids []int64, sel selection) (map[int64]*model.BareMetalNode, error) {
	rows, err := l.r.Fleet.NodesByID(ctx, ids)
	if err != nil {
		return nil, err
	}
	return keyed(ctx, rows, sel, l.nodes)
}

func (l loader) deploymentsByID(ctx context.Context, ids []int64, sel selection, known map[int64]*ent.Node) (map[int64]*model.Deployment, error) {
	rows, err := l.r.Fleet.DeploymentsByID(ctx, ids)
	if err != nil {
		return nil, err
	}
	return keyed(ctx, rows, sel, func(ctx context.Context, rows []*ent.Deployment, sel selection) ([]*model.Deployment, error) {
		return l.deployments(ctx, rows, sel, known)
	})
}

// keyed loads the rows of a map and gives the models under the same keys.
func keyed[R, M any](ctx context.Context, rows map[int64]R, sel selection, load func(context.Context, []R, selection) ([]M, error)) (map[int64]M, error) {
	ids, list := make([]int64, 0, len(rows)), make([]R, 0, len(rows))
	for id, r := range rows {
		ids, list = append(ids, id), append(list, r)
	}
	models, err := load(ctx, list, sel)
	if err != nil {
		return nil, err
	}
	out := make(map[int64]M, len(rows))
	for i, id := range ids {
		out[id] = models[i]
	}
	return out, nil
}

// deployments makes models of deployments. known are node rows that were read
// already.
func (l loader) deployments(ctx context.Context, rows []*ent.Deployment, sel selection, known map[int64]*ent.Node) ([]*model.Deployment, error) {
	out := make([]*model.Deployment, len(rows))
	for i, d := range rows {
		out[i] = deploymentModel(d, l.cursor)
	}
	computed := sel.has("progress", "currentPhase", "phases", "stuckReason", "estimatedFinishAt", "late", "stalled")
	actions := sel.has("allowedActions", "retryPhases", "retryBeginsAt")
	if computed || actions || sel.has("node") {
		var err error
		if known, err = l.owners(ctx, rows, known); err != nil {
			return nil, err
		}
	}
	if computed {
		if err := l.look(ctx, rows, out, known, sel.child("stuckReason")); err != nil {
			return nil, err
		}
	}
	probes, err := l.probes(ctx, rows, out, sel)
	if err != nil {
		return nil, err
	}
	if actions {
		for i, d := range rows {
			if n := known[d.NodeID]; n != nil {
				allow(out[i], d, n, probes[d.ID])
			}
		}
	}
	if err := l.scripts(ctx, rows, out, sel); err != nil {
		return nil, err
	}
	if err := l.ofDeployments(ctx, rows, out, sel); err != nil {
		return nil, err
	}
	if sel.has("cleanup") {
		steps, err := l.r.Fleet.Cleanups(ctx, rows)
		if err != nil {
			return nil, err
		}
		for i, d := range rows {
			out[i].Cleanup = cleanupSteps(steps[d.ID])
		}
	}
	if sel.has("node") {
		nodes, err := keyed(ctx, known, sel.child("node"), l.nodes)
		if err != nil {
			return nil, err
		}
		for i, d := range rows {
			out[i].Node = nodes[d.NodeID]
		}
	}
	if sel.has("batch") {
		if err := l.batches(ctx, rows, out); err != nil {
			return nil, err
		}
	}
	return out, l.failures(ctx, rows, out, sel.child("failure"))
}

// owners gives the node rows of deployments, reading those that are not known.
func (l loader) owners(ctx context.Context, rows []*ent.Deployment, known map[int64]*ent.Node) (map[int64]*ent.Node, error) {
	out := make(map[int64]*ent.Node, len(rows))
	var missing []int64
	for _, d := range rows {
		if n, ok := known[d.NodeID]; ok {
			out[d.NodeID] = n
		} else {
			missing = append(missing, d.NodeID)
		}
	}
	read, err := l.r.Fleet.NodesByID(ctx, missing)
	for id, n := range read {
		out[id] = n
	}
	return out, err
}

func (l loader) look(ctx context.Context, rows []*ent.Deployment, out []*model.Deployment, owners map[int64]*ent.Node, stuck selection) error {
	ids := make([]int64, len(rows))
	for i, d := range rows {
		ids[i] = d.ID
	}
	runs, err := l.r.Fleet.Runs(ctx, ids)
	if err != nil {
		return err
	}
	q := queue{stuck: stuck}
	typical := map[[2]string]query.Durations{} // by provider and profile: few, and kept in memory for a while
	for i, d := range rows {
		n := owners[d.NodeID]
		if n == nil {
			continue
		}
		kind := [2]string{d.Provider, n.ServerProfile}
		t, ok := typical[kind]
		if !ok {
			if t, err = l.r.Fleet.Typical(ctx, d.Provider, n.ServerProfile); err != nil {
				return err
			}
			typical[kind] = t
		}
		v := look(out[i], d, n, runs[d.ID], t, l.now)
		q.add(d, v, out[i].StuckReason)
	}
	return q.tell(ctx, l.r.Fleet)
}

func (l loader) batches(ctx context.Context, rows []*ent.Deployment, out []*model.Deployment) error {
	var ids []int64
	for _, d := range rows {
		if d.BatchID != nil {
			ids = append(ids, *d.BatchID)
		}
	}
	batches, err := l.r.Fleet.BatchesByID(ctx, ids)
	if err != nil {
		return err
	}
	for i, d := range rows {
		if d.BatchID == nil {
			continue
		}
		if b, ok := batches[*d.BatchID]; ok {
			out[i].Batch = batchModel(b)
		}
	}
	return nil
}

// failures fills in what is told of the events that failed deployments.
func (l loader) failures(ctx context.Context, rows []*ent.Deployment, out []*model.Deployment, sel selection) error {
	if !sel.has("logTail", "event") {
		return nil
	}
	found, err := l.r.Fleet.FailureEvents(ctx, rows)
	if err != nil || len(found) == 0 {
		return err
	}
	events, err := keyed(ctx, found, sel.child("event"), l.events)
	if err != nil {
		return err
	}
	for i, d := range rows {
		if e := events[d.ID]; e != nil && out[i].Failure != nil {
			out[i].Failure.Event, out[i].Failure.LogTail = e, e.LogTail
		}
	}
	return nil
}

func (l loader) events(ctx context.Context, rows []*feed.Event, sel selection) ([]*model.DeploymentEvent, error) {
	out := make([]*model.DeploymentEvent, len(rows))
	nodeIDs, depIDs := make([]int64, len(rows)), make([]int64, len(rows))
	for i, e := range rows {
		out[i] = eventModel(e, l.r.Feed.Cursor(e.Position).String())
		nodeIDs[i], depIDs[i] = e.NodeID, e.DeploymentID
	}
	if sel.has("bareMetalNode") {
		nodes, err := l.nodesByID(ctx, nodeIDs, sel.child("bareMetalNode"))
		if err != nil {
			return nil, err
		}
		for i, e := range rows {
			out[i].BareMetalNode = nodes[e.NodeID]
		}
	}
	if sel.has("deployment") {
		deployments, err := l.deploymentsByID(ctx, depIDs, sel.child("deployment"), nil)
		if err != nil {
			return nil, err
		}
		for i, e := range rows {
			out[i].Deployment = deployments[e.DeploymentID]
		}
	}
	return out, nil
}
