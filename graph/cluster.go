package graph

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/access"
	"github.com/slipwayhq/slipway/deploy/cluster"
	"github.com/slipwayhq/slipway/deploy/cluster/cvm"
	"github.com/slipwayhq/slipway/graph/ident"
	"github.com/slipwayhq/slipway/graph/model"
)

// Clusters makes several nodes one. *cluster.Service is one.
type Clusters interface {
	Plan(ctx context.Context, r cluster.Request) (cluster.Plan, error)
	Deploy(ctx context.Context, r cluster.Request) (*cluster.Cluster, error)
	Get(ctx context.Context, id int64) (*cluster.Cluster, error)
	ByName(ctx context.Context, name string) (*cluster.Cluster, error)
	ByIDs(ctx context.Context, ids []int64) (map[int64]*cluster.Cluster, error)
	OfNodes(ctx context.Context, nodes []int64) (map[int64]int64, error)
	NodesOf(ctx context.Context, id int64) ([]int64, error)
	Find(ctx context.Context, f cluster.Chosen, before int64, limit int) (list []*cluster.Cluster, more bool, err error)
	Leave(ctx context.Context, l cluster.Leave) (*cluster.Cluster, error)
	Replace(ctx context.Context, r cluster.Replace) (*cluster.Cluster, error)
	Cancel(ctx context.Context, r cluster.Cancel) (*cluster.Cluster, error)
	CleanupPlan(ctx context.Context, id int64) (*cluster.Cluster, map[int64][]deploy.ReleaseStep, error)
	Cleanup(ctx context.Context, r cluster.Cleanup) (*cluster.Cluster, error)
	Look(ctx context.Context, id int64) (*cluster.Cluster, error)
}

var errNoClusters = deploy.Errorf(deploy.CodeWrongState, "this server forms no clusters")

// clusterNodesMax is how many nodes of a request are looked at. Nobody has a
// cluster of as many; the rules say so with better words.
const clusterNodesMax = 20

// clusterRequest reads a request. branches are the providers of its nodes, for
// the paths of errors.
func clusterRequest(ctx context.Context, in *model.DeployClusterInput) (q cluster.Request, branches []string, bad []deploy.FieldError) {
	q = cluster.Request{
		Name: deref(in.Name), Operation: cvm.Operation(strings.ToLower(string(deref(in.Operation)))), Type: cvm.Type(strings.ToLower(string(deref(in.Type)))),
		RedundancyFactor: deref(in.RedundancyFactor), VIP: deref(in.Address), DNSServers: in.DNSServers, NTPServers: in.NtpServers,
		SkipDiscovery: deref(in.SkipDiscovery), Maintenance: deref(in.Maintenance), IdempotencyKey: deref(in.IdempotencyKey), Actor: access.FromContext(ctx).Actor(),
	}
	if f := in.RedundancyFactor; f != nil && *f < 1 { // 0 is the core's default
		bad = append(bad, deploy.FieldError{Field: "redundancy_factor", Code: deploy.CodeOutOfRange, Message: "must be at least 1"})
	}
	if in.ClusterID != nil {
		var ok bool
		if q.ClusterID, ok = ident.Of(ident.Cluster, *in.ClusterID); !ok {
			bad = append(bad, deploy.FieldError{Field: "cluster", Code: deploy.CodeNotFound, Message: "names no cluster"})
		}
	}
	if len(in.Nodes) > clusterNodesMax {
		return q, nil, append(bad, deploy.FieldError{Field: "nodes", Code: deploy.CodeOutOfRange, Message: fmt.Sprintf("has more than %d entries", clusterNodesMax)})
	}
	for i, n := range in.Nodes {
		one, wrong := clusterNode(fmt.Sprintf("nodes.%d", i), n)
		bad = append(bad, wrong...)
		provider := ""
		if one.Spec != nil {
			provider = one.Spec.Provider
		}
		q.Nodes, branches = append(q.Nodes, one), append(branches, provider)
	}
	return q, branches, bad
}

// clusterNode reads one node of a request; at is where it stands there.
func clusterNode(at string, in *model.ClusterNodeInput) (out cluster.NodeRequest, bad []deploy.FieldError) {
	out.Name = deref(in.Name)
	if in.NodeID != nil {
		var ok bool
		if out.NodeID, ok = ident.Of(ident.Node, *in.NodeID); !ok {
			bad = append(bad, deploy.FieldError{Field: at + ".node_id", Code: deploy.CodeNotFound, Message: "names no node"})
		}
	} else if out.Name == "" {
		bad = append(bad, deploy.FieldError{Field: at + ".name", Code: deploy.CodeRequired, Message: "is required, or nodeId"})
	}
	var wrong []deploy.FieldError
	if in.Spec != nil {
		var spec deploy.Spec
		spec, wrong = newSpec(in.Spec)
		out.Spec = &spec
		for _, f := range wrong {
			f.Field = at + "." + f.Field
			bad = append(bad, f)
		}
		if spec.Provider == deploy.ProviderScript {
			bad = append(bad, deploy.FieldError{Field: at + ".spec.document", Code: deploy.CodeInvalid, Message: "is of a host that a script configures, which that script puts into a cluster"})
		}
	}
	out.Labels, wrong = labelMap(at+".labels", in.Labels)
	return out, append(bad, wrong...)
}

// clusterPath gives the input's path for a field of the core.
func clusterPath(branches []string) func(string) string {
	return func(field string) string {
		switch field {
		case "vip":
			return "address"
		case "cluster", "existing":
			return "cluster_id"
		}
		rest, ok := strings.CutPrefix(field, "nodes.")
		if !ok {
			return field
		}
		at, rest, found := strings.Cut(rest, ".")
		i, err := strconv.Atoi(at)
		if err != nil || !found || i >= len(branches) {
			return field
		}
		return "nodes." + at + "." + nodePath(branches[i], rest)
	}
}

// nodePath gives the input's path for a field of a cluster's node.
func nodePath(provider, field string) string {
	if provider == "" && strings.HasPrefix(field, "spec.") {
		return "spec"
	}
	return specPath(provider)(field)
}

// clusterErrors are userErrors that say which node they are about.
func clusterErrors(err error, rename func(string) string) ([]*model.UserError, error) {
	list, other := userErrors(err, rename)
	for _, u := range list {
		if len(u.Field) > 1 && u.Field[0] == "nodes" {
			if i, err := strconv.Atoi(u.Field[1]); err == nil {
				u.ElementIndex = &i
				if len(u.Field) == 2 { // of the node as such the core says a whole sentence
					u.Message = strings.TrimPrefix(u.Message, u.Field[1]+" ")
				}
			}
		}
	}
	return list, other
}

func (r *Resolver) planCluster(ctx context.Context, in model.DeployClusterInput) (*model.ClusterPlan, error) {
	out := &model.ClusterPlan{Checks: []*model.ValidationCheck{}, Nodes: []*model.ClusterNodePlan{}}
	q, branches, bad := clusterRequest(ctx, &in)
	err := deploy.Invalid(bad)
	if err == nil && r.Clusters == nil {
		err = errNoClusters
	}
	path := clusterPath(branches)
	if err != nil {
		out.Errors, err = clusterErrors(err, path)
		return out, err
	}
	plan, err := r.Clusters.Plan(ctx, q)
	if out.Errors, err = clusterErrors(err, path); err != nil || len(out.Errors) > 0 {
		return out, err
	}
	out.Ok, out.Command = plan.OK, text(plan.Command)
	if plan.Estimated > 0 {
		out.EstimatedDuration = &plan.Estimated
	}
	out.Checks = checkModels(plan.Checks, path)
	for _, n := range plan.Nodes {
		out.Nodes = append(out.Nodes, &model.ClusterNodePlan{Name: n.Name, Checks: checkModels(n.Checks, path)})
	}
	return out, nil
}

func checkModels(list []deploy.Check, path func(string) string) []*model.ValidationCheck {
	out := make([]*model.ValidationCheck, len(list))
	for i, c := range list {
		out[i] = &model.ValidationCheck{
			Key: c.Key, Label: c.Label, Severity: model.CheckSeverity(strings.ToUpper(string(c.Severity))), Passed: c.Passed,
			Message: c.Message, Hint: text(c.Hint), Field: fieldPath(path(c.Field)),
		}
	}
	return out
}

func (r *Resolver) deployCluster(ctx context.Context, in model.DeployClusterInput) (*model.DeployClusterPayload, error) {
	q, branches, bad := clusterRequest(ctx, &in)
	c, errs, err := r.clusterAfter(ctx, deploy.Invalid(bad), clusterPath(branches), func(all Clusters) (*cluster.Cluster, error) { return all.Deploy(ctx, q) })
	return &model.DeployClusterPayload{Cluster: c, Errors: errs}, err
}

// clusterAfter does something to a cluster and gives it as it is then, or the
// errors. refused is why it is not even tried.
func (r *Resolver) clusterAfter(ctx context.Context, refused error, path func(string) string, do func(Clusters) (*cluster.Cluster, error)) (*model.Cluster, []*model.UserError, error) {
	var c *cluster.Cluster
	l, err := r.load(), refused
	if err == nil && r.Clusters == nil {
		err = errNoClusters
	}
	if err == nil {
		c, err = do(r.Clusters)
	}
	errs, err := clusterErrors(err, path)
	if err != nil || len(errs) > 0 {
		return nil, errs, err
	}
	m, err := one(l.clusters(ctx, []*cluster.Cluster{c}, selected(ctx).child("cluster")))
	return m, errs, err
}

// memberOf reads which node of which cluster is meant.
func memberOf(id, nodeID string) (clusterID, node int64, err error) {
	clusterID, err = named(ident.Cluster, id)
	if err != nil {
		return 0, 0, err
	}
	node, ok := ident.Of(ident.Node, nodeID)
	if !ok {
		return 0, 0, &deploy.Error{Code: deploy.CodeNotFound, Message: "there is no such node",
			Fields: []deploy.FieldError{{Field: "node_id", Code: deploy.CodeNotFound, Message: "names no node"}}}
	}
	return clusterID, node, nil
}

func (r *Resolver) goOnWithoutNode(ctx context.Context, in model.GoOnWithoutNodeInput) (*model.GoOnWithoutNodePayload, error) {
	id, node, err := memberOf(in.ID, in.NodeID)
	reason := ""
	if err == nil {
		reason, err = said("reason", in.Reason)
	}
	c, errs, err := r.clusterAfter(ctx, err, same, func(all Clusters) (*cluster.Cluster, error) {
		return all.Leave(ctx, cluster.Leave{ClusterID: id, NodeID: node, Reason: reason, Actor: access.FromContext(ctx).Actor()})
	})
	return &model.GoOnWithoutNodePayload{Cluster: c, Errors: errs}, err
}

func (r *Resolver) replaceClusterNode(ctx context.Context, in model.ReplaceClusterNodeInput) (*model.ReplaceClusterNodePayload, error) {
	id, node, err := memberOf(in.ID, in.NodeID)
	by, bad := clusterNode("by", in.By)
	if err == nil {
		err = deploy.Invalid(bad)
	}
	provider := ""
	if by.Spec != nil {
		provider = by.Spec.Provider
	}
	path := func(field string) string {
		if rest, ok := strings.CutPrefix(field, "by."); ok {
			return "by." + nodePath(provider, rest)
		}
		return field
	}
	c, errs, err := r.clusterAfter(ctx, err, path, func(all Clusters) (*cluster.Cluster, error) {
		return all.Replace(ctx, cluster.Replace{ClusterID: id, NodeID: node, By: by, Actor: access.FromContext(ctx).Actor()})
	})
	return &model.ReplaceClusterNodePayload{Cluster: c, Errors: errs}, err
}

func (r *Resolver) cancelCluster(ctx context.Context, in model.CancelClusterInput) (*model.CancelClusterPayload, error) {
	id, err := named(ident.Cluster, in.ID)
	reason := ""
	if err == nil {
		reason, err = said("reason", in.Reason)
	}
	c, errs, err := r.clusterAfter(ctx, err, same, func(all Clusters) (*cluster.Cluster, error) {
		return all.Cancel(ctx, cluster.Cancel{ClusterID: id, Immediate: deref(in.Mode) == model.CancelModeImmediate, Reason: reason, Actor: access.FromContext(ctx).Actor()})
	})
	return &model.CancelClusterPayload{Cluster: c, Errors: errs}, err
}

func (r *Resolver) cleanupCluster(ctx context.Context, in model.CleanupClusterInput) (*model.CleanupClusterPayload, error) {
	out := &model.CleanupClusterPayload{Plan: []*model.ClusterNodeCleanup{}}
	id, err := named(ident.Cluster, in.ID)
	var steps map[int64][]deploy.ReleaseStep
	var held *cluster.Cluster
	path := func(field string) string {
		if field == "confirm" {
			return "confirm_name"
		}
		return field
	}
	out.Cluster, out.Errors, err = r.clusterAfter(ctx, err, path, func(all Clusters) (c *cluster.Cluster, err error) {
		if deref(in.DryRun) {
			held, steps, err = all.CleanupPlan(ctx, id)
			return held, err
		}
		return all.Cleanup(ctx, cluster.Cleanup{ClusterID: id, ConfirmName: deref(in.ConfirmName), Actor: access.FromContext(ctx).Actor()})
	})
	if err != nil || len(out.Errors) > 0 || held == nil {
		return out, err
	}
	ids := make([]int64, 0, len(steps))
	for node := range steps {
		ids = append(ids, node)
	}
	nodes, err := r.load().nodesByID(ctx, ids, selected(ctx).path("plan", "node"))
	for i := range held.Nodes {
		n := &held.Nodes[i]
		if list, ok := steps[n.NodeID]; ok && nodes[n.NodeID] != nil {
			out.Plan = append(out.Plan, &model.ClusterNodeCleanup{Node: nodes[n.NodeID], Steps: cleanupSteps(list)})
			delete(steps, n.NodeID) // it may be there twice: replaced, and come back
		}
	}
	return out, err
}

func (r *Resolver) checkClusterHealth(ctx context.Context, in model.CheckClusterHealthInput) (*model.CheckClusterHealthPayload, error) {
	id, err := named(ident.Cluster, in.ID)
	c, errs, err := r.clusterAfter(ctx, err, same, func(all Clusters) (*cluster.Cluster, error) { return all.Look(ctx, id) })
	return &model.CheckClusterHealthPayload{Cluster: c, Errors: errs}, err
}

// readCluster reads one cluster, nil if there is none.
func (r *Resolver) readCluster(ctx context.Context, by model.ClusterBy) (*model.Cluster, error) {
	if (by.ID == nil) == (by.Name == nil) {
		return nil, badArgument(deploy.CodeInvalid, "by", "must have exactly one of id and name")
	}
	if r.Clusters == nil {
		return nil, nil
	}
	l := r.load()
	var c *cluster.Cluster
	var err error
	if by.Name != nil {
		c, err = r.Clusters.ByName(ctx, *by.Name)
	} else {
		id, ok := ident.Of(ident.Cluster, *by.ID)
		if !ok {
			return nil, nil
		}
		c, err = r.Clusters.Get(ctx, id)
	}
	switch {
	case deploy.HasCode(err, deploy.CodeNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return one(l.clusters(ctx, []*cluster.Cluster{c}, selected(ctx)))
}

// clusterPage reads a page of clusters, the newest first. The cursor of one is
// its database id.
func (r *Resolver) clusterPage(ctx context.Context, first *int, after *string, in *model.ClusterFilter) (*model.ClusterConnection, error) {
	limit, before := deref(first), int64(0)
	if limit < 1 || limit > cluster.PageMax {
		return nil, badArgument(deploy.CodeOutOfRange, "first", "must be 1 to %d", cluster.PageMax)
	}
	if after != nil {
		var err error
		if before, err = strconv.ParseInt(*after, 10, 64); err != nil || before < 1 {
			return nil, badArgument(deploy.CodeInvalid, "after", "is not a cursor of this list")
		}
	}
	f := cluster.Chosen{}
	if in != nil {
		if len(in.States) > maxList {
			return nil, badArgument(deploy.CodeOutOfRange, "filter.states", "has more than %d entries", maxList)
		}
		if f.Text = strings.TrimSpace(deref(in.Text)); len(f.Text) > 200 {
			return nil, badArgument(deploy.CodeOutOfRange, "filter.text", "is longer than 200 characters")
		}
		for _, s := range lower(in.States) {
			f.States = append(f.States, cluster.State(s))
		}
	}
	out := &model.ClusterConnection{Edges: []*model.ClusterEdge{}, Nodes: []*model.Cluster{}, PageInfo: &model.PageInfo{HasPreviousPage: after != nil}}
	if r.Clusters == nil {
		return out, nil
	}
	l := r.load()
	list, more, err := r.Clusters.Find(ctx, f, before, limit)
	if err != nil {
		return nil, err
	}
	if out.Nodes, err = l.clusters(ctx, list, selected(ctx).items()); err != nil {
		return nil, err
	}
	out.PageInfo.HasNextPage = more
	for _, c := range out.Nodes {
		out.Edges = append(out.Edges, &model.ClusterEdge{Cursor: strconv.FormatInt(c.Key, 10), Node: c})
	}
	if n := len(out.Edges); n > 0 {
		out.PageInfo.StartCursor, out.PageInfo.EndCursor = &out.Edges[0].Cursor, &out.Edges[n-1].Cursor
	}
	return out, nil
}
