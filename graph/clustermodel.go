package graph

import (
	"context"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/slipwayhq/slipway/deploy/cluster"
	"github.com/slipwayhq/slipway/ent"
	"github.com/slipwayhq/slipway/graph/ident"
	"github.com/slipwayhq/slipway/graph/model"
)

// clusters makes models of clusters with what is selected below them, for all of
// them at once.
func (l loader) clusters(ctx context.Context, list []*cluster.Cluster, sel selection) ([]*model.Cluster, error) {
	nodes, err := l.clusterNodes(ctx, list, sel)
	if err != nil {
		return nil, err
	}
	deployments, err := l.clusterDeployments(ctx, list, sel)
	if err != nil {
		return nil, err
	}
	out := make([]*model.Cluster, len(list))
	for i, c := range list {
		out[i] = clusterModel(c, l.cursor, nodes, deployments)
	}
	return out, nil
}

// clusterNodes loads the nodes that are selected anywhere below clusters.
func (l loader) clusterNodes(ctx context.Context, list []*cluster.Cluster, sel selection) (map[int64]*model.BareMetalNode, error) {
	f := sel.child("formation")
	below := slices.Concat(sel.path("members", "node"), sel.path("barrier", "waitingFor", "node"), f.child("leader"), f.child("members"), f.child("culprits"))
	if len(below) == 0 {
		return nil, nil
	}
	var ids []int64
	for _, c := range list {
		for i := range c.Nodes {
			ids = append(ids, c.Nodes[i].NodeID)
		}
	}
	return l.nodesByID(ctx, distinct(ids), below)
}

// clusterDeployments loads the deployments of members, if they are selected or
// the cluster's progress is.
func (l loader) clusterDeployments(ctx context.Context, list []*cluster.Cluster, sel selection) (map[int64]*model.Deployment, error) {
	below := sel.path("members", "deployment")
	if sel.has("progress") {
		below = append(slices.Clone(below), ast.SelectionSet{&ast.Field{Name: "progress"}})
	}
	if len(below) == 0 {
		return nil, nil
	}
	var ids []int64
	for _, c := range list {
		for i := range c.Nodes {
			if id := c.Nodes[i].DeploymentID; id != 0 {
				ids = append(ids, id)
			}
		}
	}
	return l.deploymentsByID(ctx, distinct(ids), below, nil)
}

func distinct(ids []int64) []int64 {
	slices.Sort(ids)
	return slices.Compact(ids)
}

// clustersByID loads clusters by their ids.
func (l loader) clustersByID(ctx context.Context, ids []int64, sel selection) (map[int64]*model.Cluster, error) {
	if l.r.Clusters == nil || len(ids) == 0 {
		return nil, nil
	}
	rows, err := l.r.Clusters.ByIDs(ctx, distinct(ids))
	if err != nil {
		return nil, err
	}
	return keyed(ctx, rows, sel, l.clusters)
}

// ofNodes fills in the clusters of nodes.
func (l loader) ofNodes(ctx context.Context, rows []*ent.Node, out []*model.BareMetalNode, sel selection) error {
	if !sel.has("cluster") || l.r.Clusters == nil || len(rows) == 0 {
		return nil
	}
	ids := make([]int64, len(rows))
	for i, n := range rows {
		ids[i] = n.ID
	}
	of, err := l.r.Clusters.OfNodes(ctx, ids)
	if err != nil {
		return err
	}
	var wanted []int64
	for _, id := range of {
		wanted = append(wanted, id)
	}
	found, err := l.clustersByID(ctx, wanted, sel.child("cluster"))
	for i, n := range rows {
		out[i].Cluster = found[of[n.ID]]
	}
	return err
}

// ofDeployments fills in the clusters that deployments are for.
func (l loader) ofDeployments(ctx context.Context, rows []*ent.Deployment, out []*model.Deployment, sel selection) error {
	if !sel.has("cluster") || l.r.Clusters == nil {
		return nil
	}
	var wanted []int64
	for _, d := range rows {
		if d.ClusterID != nil {
			wanted = append(wanted, *d.ClusterID)
		}
	}
	found, err := l.clustersByID(ctx, wanted, sel.child("cluster"))
	for i, d := range rows {
		if d.ClusterID != nil {
			out[i].Cluster = found[*d.ClusterID]
		}
	}
	return err
}

func clusterModel(c *cluster.Cluster, cursor string, nodes map[int64]*model.BareMetalNode, deployments map[int64]*model.Deployment) *model.Cluster {
	out := &model.Cluster{
		ID: ident.Format(ident.Cluster, c.ID), Key: c.ID, Name: c.Name, Type: model.ClusterType(strings.ToUpper(string(c.Type))), State: model.ClusterState(strings.ToUpper(string(c.State()))),
		RedundancyFactor: c.RF, Address: text(c.VIP), DNSServers: texts0(c.DNS), NtpServers: texts0(c.NTP), SkipDiscovery: c.SkipDiscovery,
		Members: []*model.ClusterMember{}, Barrier: barrierModel(c, nodes), AllowedActions: []model.ClusterAction{},
		RequestedBy: actorModel(string(c.RequestedBy.Kind), c.RequestedBy.Name), CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt,
		FormedAt: c.FormedAt, CleanupAt: c.CleanupAt, CleanupBy: text(c.CleanupBy), Version: c.Version, Cursor: cursor,
	}
	for _, a := range c.AllowedActions() {
		out.AllowedActions = append(out.AllowedActions, model.ClusterAction(strings.ToUpper(string(a))))
	}
	for i := range c.Nodes {
		out.Members = append(out.Members, memberModel(c, &c.Nodes[i], nodes, deployments))
	}
	members := c.Members()
	for _, n := range members {
		if d := deployments[n.DeploymentID]; d != nil {
			out.Progress += d.Progress / float64(len(members))
		}
	}
	out.Progress = min(out.Progress, 1)
	if f := c.Formation; f != nil {
		out.Formation = formationModel(f, nodes)
	}
	if h := c.Health; h != nil {
		out.Health = healthModel(h)
	}
	return out
}

// texts0 is never nil.
func texts0(list []string) []string { return append([]string{}, list...) }

func memberModel(c *cluster.Cluster, n *cluster.Node, nodes map[int64]*model.BareMetalNode, deployments map[int64]*model.Deployment) *model.ClusterMember {
	out := &model.ClusterMember{
		Position: n.Position, State: model.ClusterMemberState(strings.ToUpper(string(n.State))), Note: text(n.Note), Node: nodes[n.NodeID], CvmAddress: text(n.CVMIP),
		AddedAt: n.AddedAt, FormedAt: n.FormedAt, WaitsFor: text(c.WaitsFor(n)), Choices: []model.ClusterMemberChoice{},
	}
	// The current deployment of a node that no longer belongs here may be for
	// something else.
	if n.State != cluster.Replaced {
		out.Deployment, out.Ready = deployments[n.DeploymentID], n.Ready()
	}
	for _, x := range c.Choices(n) {
		out.Choices = append(out.Choices, model.ClusterMemberChoice(strings.ToUpper(string(x))))
	}
	return out
}

func barrierModel(c *cluster.Cluster, nodes map[int64]*model.BareMetalNode) *model.ClusterBarrier {
	b := c.Barrier()
	out := &model.ClusterBarrier{Ready: b.Ready, Total: b.Total, WaitingFor: []*model.ClusterWait{}}
	for _, w := range b.WaitingFor {
		out.WaitingFor = append(out.WaitingFor, &model.ClusterWait{Position: w.Node.Position, Node: nodes[w.Node.NodeID], Why: w.Why})
	}
	return out
}

func formationModel(f *cluster.Formation, nodes map[int64]*model.BareMetalNode) *model.ClusterFormation {
	known := func(ids []int64) []*model.BareMetalNode {
		out := []*model.BareMetalNode{}
		for _, id := range ids {
			if n := nodes[id]; n != nil {
				out = append(out, n)
			}
		}
		return out
	}
	return &model.ClusterFormation{
		Kind: model.ClusterFormationKind(strings.ToUpper(f.Kind)), Status: model.ClusterFormationStatus(strings.ToUpper(string(f.Status))),
		Leader: nodes[f.Leader], Members: known(f.Members), Culprits: known(f.Culprits),
		Action: f.Action, Reason: f.Reason, Message: f.Message, Hint: text(f.Hint), Evidence: texts0(f.Evidence), Command: text(f.Command), Since: f.Since, At: f.At,
	}
}

func healthModel(h *cluster.Health) *model.ClusterHealth {
	out := &model.ClusterHealth{Ok: h.OK, At: h.At, Checks: []*model.ClusterHealthCheck{}}
	for _, k := range h.Checks {
		out.Checks = append(out.Checks, &model.ClusterHealthCheck{
			Name: k.Name, Address: text(k.Address), NodeName: text(k.Node), Ok: k.OK, Class: text(k.Class), Message: k.Message, Hint: text(k.Hint), Evidence: texts0(k.Evidence),
		})
	}
	return out
}
