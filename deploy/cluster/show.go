package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/slipwayhq/slipway/deploy/phase"
)

// Barrier tells how the wait of a cluster's members for each other stands.
type Barrier struct {
	Ready, Total int // of its members; who has passed it is ready
	WaitingFor   []Waiting
}

// Waiting is a member that is not at the barrier.
type Waiting struct {
	Node *Node
	Why  string
}

// Barrier tells who of the members is at the barrier, or has passed it.
func (c *Cluster) Barrier() Barrier {
	b := Barrier{WaitingFor: []Waiting{}}
	for _, m := range c.Members() {
		b.Total++
		if m.Ready() || m.FormedAt != nil {
			b.Ready++
			continue
		}
		b.WaitingFor = append(b.WaitingFor, Waiting{Node: m, Why: absent(m)})
	}
	return b
}

// WaitsFor says what a member waits for or, while it is on its way, what the
// cluster waits for with it. It is empty for one that belongs to the formed
// cluster, and for a node that no longer belongs to it.
func (c *Cluster) WaitsFor(n *Node) string {
	if c.CleanupAt != nil || n.FormedAt != nil || n.State != Belongs && n.State != Late {
		return ""
	}
	if !n.Ready() {
		return absent(n)
	}
	t := decide(c, n.NodeID)
	f := c.Formation
	switch {
	case t.Message != "":
		return t.Message
	case f != nil && f.Token == t.token:
		return f.Message
	case t.act == actJoin:
		return "it is about to join the cluster"
	}
	return "it is about to form the cluster"
}

// absent tells why a member is not at the barrier.
func absent(m *Node) string {
	switch {
	case m.DeploymentID == 0:
		return "not deployed"
	case m.Failure != nil && m.Deployment == phase.StateFail:
		return fmt.Sprintf("failed at %s: %s", named(m.Failure.Phase), m.Failure.Message)
	case m.Ended():
		return "its deployment is " + m.Deployment
	case m.Deployment == phase.Queued:
		return "waits for a slot"
	case m.Deployment == phase.Running:
		return "is at " + named(m.Phase)
	}
	return "is " + strings.ReplaceAll(m.Deployment, "_", " ")
}

// named is a phase as people know it.
func named(key string) string {
	if d, ok := phase.Lookup(key); ok && d.Label != "" {
		key = d.Label
	}
	return "“" + key + "”"
}

// ByIDs reads clusters by their ids; those that do not exist are left out.
func (s *Service) ByIDs(ctx context.Context, ids []int64) (map[int64]*Cluster, error) {
	out := make(map[int64]*Cluster, len(ids))
	if len(ids) == 0 {
		return out, nil
	}
	in, args := places(ids)
	list, err := s.read(ctx, s.deps.Store.Read, `c.id IN (`+in+`)`, args...)
	if err != nil {
		return nil, err
	}
	for _, c := range list {
		out[c.ID] = c
	}
	return out, nil
}

// OfNodes tells to which cluster nodes belong, or may still come. A node that was
// released still belongs to the cluster until it is deployed for something else.
func (s *Service) OfNodes(ctx context.Context, nodes []int64) (map[int64]int64, error) {
	out := make(map[int64]int64, len(nodes))
	if len(nodes) == 0 {
		return out, nil
	}
	in, args := places(nodes)
	rows, err := s.deps.Store.Read.QueryContext(ctx, `SELECT m.node_id, m.cluster_id FROM cluster_members m JOIN nodes n ON n.id = m.node_id
		LEFT JOIN deployments d ON d.id = n.current_deployment_id
		WHERE m.node_id IN (`+in+`) AND (m.state IN ('member', 'late') OR m.state = 'released' AND d.cluster_id = m.cluster_id) ORDER BY m.id`, args...)
	if err != nil {
		return nil, fmt.Errorf("cluster: looking for the clusters of nodes: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var node, of int64
		if err := rows.Scan(&node, &of); err != nil {
			return nil, fmt.Errorf("cluster: looking for the clusters of nodes: %w", err)
		}
		out[node] = of
	}
	return out, errors.Join(rows.Err(), rows.Close())
}

// NodesOf tells which nodes belong to a cluster, or ever did; none for a cluster
// that does not exist.
func (s *Service) NodesOf(ctx context.Context, id int64) (nodes []int64, err error) {
	rows, err := s.deps.Store.Read.QueryContext(ctx, `SELECT DISTINCT node_id FROM cluster_members WHERE cluster_id = $1 ORDER BY node_id`, id)
	if err != nil {
		return nil, fmt.Errorf("cluster: reading the nodes of a cluster: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var node int64
		if err := rows.Scan(&node); err != nil {
			return nil, fmt.Errorf("cluster: reading the nodes of a cluster: %w", err)
		}
		nodes = append(nodes, node)
	}
	return nodes, errors.Join(rows.Err(), rows.Close())
}

// Chosen says which clusters to list; an empty field chooses all.
type Chosen struct {
	States []State
	Text   string // part of its name, of its address, or of a node's name
}

// Empty reports whether all are chosen.
func (f Chosen) Empty() bool { return len(f.States) == 0 && f.Text == "" }

// Match reports whether a cluster is chosen.
func (f Chosen) Match(c *Cluster) bool {
	if len(f.States) > 0 {
		now, in := StateOf(c), false
		for _, s := range f.States {
			in = in || s == now
		}
		if !in {
			return false
		}
	}
	if f.Text == "" {
		return true
	}
	has := func(s string) bool { return strings.Contains(strings.ToLower(s), strings.ToLower(f.Text)) }
	if has(c.Name) || has(c.VIP) {
		return true
	}
	for i := range c.Nodes {
		if n := &c.Nodes[i]; n.State != Replaced && has(n.Name) {
			return true
		}
	}
	return false
}

// Find is List of those that are chosen. How far a cluster is follows from its
// members and is in no column, so the others are read too, a page at a time.
func (s *Service) Find(ctx context.Context, f Chosen, before int64, limit int) (list []*Cluster, more bool, err error) {
	if f.Empty() {
		return s.List(ctx, before, limit)
	}
	limit = min(max(limit, 1), PageMax)
	for {
		page, others, err := s.List(ctx, before, PageMax)
		if err != nil {
			return nil, false, err
		}
		for _, c := range page {
			if before = c.ID; !f.Match(c) {
				continue
			}
			if len(list) == limit {
				return list, true, nil
			}
			list = append(list, c)
		}
		if !others {
			return list, false, nil
		}
	}
}

// places gives the parameters $1, $2, … for ids.
func places(ids []int64) (in string, args []any) {
	marks := make([]string, len(ids))
	args = make([]any, len(ids))
	for i, id := range ids {
		marks[i], args[i] = fmt.Sprintf("$%d", i+1), id
	}
	return strings.Join(marks, ", "), args
}
