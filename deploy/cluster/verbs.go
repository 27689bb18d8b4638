package cluster

import (
	"context"
	"fmt"
	"slices"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
)

// Leave asks that a cluster goes on without a node.
type Leave struct {
	ClusterID int64
	NodeID    int64
	Reason    string
	Actor     deploy.Actor
}

// Replace asks that another node takes the place of one.
type Replace struct {
	ClusterID int64
	NodeID    int64 // whose place is taken
	By        NodeRequest
	Actor     deploy.Actor
}

// Cancel asks for the end of the deployments of a cluster's nodes.
type Cancel struct {
	ClusterID int64
	Immediate bool
	Reason    string
	Actor     deploy.Actor
}

// Cleanup asks for everything that a cluster's nodes hold to be released.
type Cleanup struct {
	ClusterID   int64
	ConfirmName string // must equal the cluster's name
	Actor       deploy.Actor
}

// locked reads a cluster in a transaction with its row held, so that what is
// decided about it holds until the end.
func (s *Service) locked(ctx context.Context, tx *lifecycle.Tx, id int64) (*Cluster, error) {
	if err := s.update(ctx, tx, id, `name = name`); err != nil {
		return nil, err
	}
	list, err := s.read(ctx, tx.SQL(), `c.id = $1`, id)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, deploy.Errorf(deploy.CodeNotFound, "there is no cluster %d", id)
	}
	return list[0], nil
}

// change runs a transaction in which a cluster is decided about. Its deployments
// and nodes are locked before its own row, as by whoever writes down a formation.
func (s *Service) change(ctx context.Context, id int64, more []int64, apply func(*lifecycle.Tx, *Cluster) error) error {
	c, err := s.Get(ctx, id)
	if err != nil {
		return err
	}
	var deployments []int64
	nodes := slices.Clone(more)
	for _, n := range c.Nodes {
		nodes = append(nodes, n.NodeID)
		if n.DeploymentID != 0 {
			deployments = append(deployments, n.DeploymentID)
		}
	}
	return s.do(ctx, deployments, nodes, func(tx *lifecycle.Tx) error {
		c, err := s.locked(ctx, tx, id)
		if err != nil {
			return err
		}
		return apply(tx, c)
	})
}

func (c *Cluster) member(nodeID int64) (*Node, error) {
	n := c.Node(nodeID)
	if n == nil {
		return nil, deploy.Errorf(deploy.CodeNotFound, "the node %d does not belong to the cluster %s", nodeID, c.Name)
	}
	return n, nil
}

// Leave has a cluster go on without a node, which may join later. One that left
// before, and whose deployment has ended since, leaves for good. Errors:
// not_found, out_of_range (the rules do not allow so few), wrong_state.
func (s *Service) Leave(ctx context.Context, l Leave) (*Cluster, error) {
	err := s.change(ctx, l.ClusterID, nil, func(tx *lifecycle.Tx, c *Cluster) error {
		n, err := c.member(l.NodeID)
		if err != nil {
			return err
		}
		if err := c.mayLeave(n); err != nil {
			return err
		}
		note := "the cluster goes on without it, by " + l.Actor.Name
		if l.Reason != "" {
			note += ": " + l.Reason
		}
		if n.State == Late {
			if err := tx.SetClustered(n.NodeID, "", false); err != nil {
				return err
			}
			return s.setMember(ctx, tx, n, Replaced, note)
		}
		if err := s.setMember(ctx, tx, n, Late, note); err != nil {
			return err
		}
		return tx.Remark(n.DeploymentID, note+". It joins when it is ready", l.Actor)
	})
	if err != nil {
		return nil, err
	}
	s.audit(l.Actor, "cluster_go_on_without", l.ClusterID, "node", l.NodeID)
	return s.Get(ctx, l.ClusterID)
}

func (s *Service) setMember(ctx context.Context, tx *lifecycle.Tx, n *Node, state MemberState, note string) error {
	_, err := tx.SQL().ExecContext(ctx, `UPDATE cluster_members SET state = $1, note = $2, updated_at = $3 WHERE id = $4`, string(state), note, tx.Now(), n.MemberID)
	if err != nil {
		return fmt.Errorf("cluster: changing a member: %w", err)
	}
	return nil
}

// Replace puts another node into the place of one whose deployment has ended. The
// old node keeps what it holds until it is cleaned up by itself. Errors:
// not_found, run_active, wrong_state, and those of a deployment.
//
// By may name a node that was left out of this cluster, without a specification:
// it takes the place instead of joining later.
func (s *Service) Replace(ctx context.Context, r Replace) (*Cluster, error) {
	if c, err := s.Get(ctx, r.ClusterID); err != nil {
		return nil, err
	} else if c.leftOut(r.By) != nil {
		return s.comeBack(ctx, r)
	}
	by, bad, err := s.ask(ctx, "by", r.By)
	if err != nil {
		return nil, err
	}
	if err := deploy.Invalid(bad); err != nil {
		return nil, err
	}
	var nodes []int64
	if by.id != 0 {
		nodes = []int64{by.id}
	}
	err = s.change(ctx, r.ClusterID, nodes, func(tx *lifecycle.Tx, c *Cluster) error {
		old, err := c.member(r.NodeID)
		if err != nil {
			return err
		}
		if old.DeploymentID != 0 { // somebody may have retried it in this very transaction
			if _, _, _, old.Deployment, err = tx.OpenPhase(old.DeploymentID); err != nil {
				return err
			}
		}
		if err := c.mayReplace(old); err != nil {
			return err
		}
		if err := s.sameVersion(c, old, by); err != nil {
			return err
		}
		if err := s.setMember(ctx, tx, old, Replaced, fmt.Sprintf("replaced by %s, by %s", by.Name, r.Actor.Name)); err != nil {
			return err
		}
		if err := tx.SetClustered(old.NodeID, "", false); err != nil {
			return err
		}
		request := Request{Type: c.Type, Maintenance: false, Actor: r.Actor, Nodes: []NodeRequest{by.NodeRequest}}
		first := 1 // not the one that the address is bound to
		if old.Spec.ClusterVIP != "" {
			request.VIP, first = c.VIP, 0
		}
		return fromNode(s.insertNode(ctx, tx, c.ID, c.Name, old.Position, request, by, first, nil))
	})
	if constraint, twice := s.deps.Store.IsUnique(err); twice {
		return nil, overtaken(constraint)
	}
	if err != nil {
		return nil, err
	}
	s.audit(r.Actor, "cluster_replace_node", r.ClusterID, "node", r.NodeID, "by", by.Name)
	return s.Get(ctx, r.ClusterID)
}

// leftOut finds the late node that a request names as it is, nil if it names none.
func (c *Cluster) leftOut(r NodeRequest) *Node {
	late := c.those(func(n *Node) bool {
		return n.State == Late && r.Spec == nil && (r.NodeID != 0 && n.NodeID == r.NodeID || r.NodeID == 0 && n.Name == r.Name)
	})
	if len(late) == 0 {
		return nil
	}
	return late[0]
}

// comeBack puts a node that was left out into the place of another.
func (s *Service) comeBack(ctx context.Context, r Replace) (*Cluster, error) {
	var name string
	err := s.change(ctx, r.ClusterID, nil, func(tx *lifecycle.Tx, c *Cluster) error {
		old, err := c.member(r.NodeID)
		if err != nil {
			return err
		}
		by := c.leftOut(r.By)
		if by == nil {
			return &deploy.Error{Code: deploy.CodeConflict, Message: "somebody has just decided about the node that was to come back", Retryable: true}
		}
		name = by.Name
		switch err := c.mayReplace(old); {
		case err != nil:
			return err
		case by == old:
			return deploy.Errorf(deploy.CodeConflict, "%s cannot take its own place", by.Name)
		case c.FormedAt != nil:
			return deploy.Errorf(deploy.CodeWrongState, "the cluster %s is formed: %s joins it by itself", c.Name, by.Name)
		case by.Ended() && by.Deployment != phase.StateFail:
			return &deploy.Error{Code: deploy.CodeWrongState, Message: fmt.Sprintf("the deployment of %s is %s", by.Name, by.Deployment), Hint: "replace the node by a new one"}
		case c.holdsVIP(old):
			return &deploy.Error{Code: deploy.CodeWrongState, Message: fmt.Sprintf("the cluster's address %s was bound to %s, and is bound to a machine when that is ordered", c.VIP, old.Name), Hint: "replace the node by a new one"}
		}
		if err := s.setMember(ctx, tx, old, Replaced, fmt.Sprintf("replaced by %s, by %s", by.Name, r.Actor.Name)); err != nil {
			return err
		}
		if err := tx.SetClustered(old.NodeID, "", false); err != nil {
			return err
		}
		if err := s.setMember(ctx, tx, by, Belongs, fmt.Sprintf("it took the place of %s, by %s", old.Name, r.Actor.Name)); err != nil {
			return err
		}
		return tx.Remark(by.DeploymentID, "the cluster waits for it again: it takes the place of "+old.Name, r.Actor)
	})
	if err != nil {
		return nil, err
	}
	s.audit(r.Actor, "cluster_replace_node", r.ClusterID, "node", r.NodeID, "by", name)
	return s.Get(ctx, r.ClusterID)
}

// fromNode lets the fields of a refusal be those of the one node that is asked
// for.
func fromNode(err error) error {
	e, ok := deploy.AsError(err)
	if !ok {
		return err
	}
	refused := *e
	refused.Fields = nil
	for _, f := range e.Fields {
		for _, at := range []string{"nodes.0", "nodes.1"} {
			if len(f.Field) >= len(at) && f.Field[:len(at)] == at {
				f.Field = "by" + f.Field[len(at):]
			}
		}
		refused.Fields = append(refused.Fields, f)
	}
	return &refused
}

// sameVersion refuses a node that would install another version.
func (s *Service) sameVersion(c *Cluster, old *Node, by asked) error {
	for _, n := range c.Members() {
		if n == old || n.Spec.Provider == "" {
			continue
		}
		if has := s.installer(n.Spec.Installer); has != by.installer {
			return deploy.Invalid([]deploy.FieldError{{Field: "by.spec.installer", Code: deploy.CodeConflict, Message: fmt.Sprintf("%q is another than %q of %s: a cluster has one version", by.installer, has, n.Name), Key: "version_differs"}})
		}
		if by.cvmIP != "" && by.cvmIP == n.CVMIP {
			return deploy.Invalid([]deploy.FieldError{{Field: "by.spec.cvm_ip", Code: deploy.CodeConflict, Message: "is that of " + n.Name + " too", Key: "member_address_twice"}})
		}
	}
	return nil
}

// Cancel ends the deployments of all nodes that are under way and do not belong
// to the formed cluster yet. Those that were deployed before and taken as they
// are leave it, and are what they were. Errors: not_found, wrong_state if there
// is none.
func (s *Service) Cancel(ctx context.Context, r Cancel) (*Cluster, error) {
	err := s.change(ctx, r.ClusterID, nil, func(tx *lifecycle.Tx, c *Cluster) error {
		if c.CleanupAt != nil {
			return deploy.Errorf(deploy.CodeWrongState, "the cluster %s is being cleaned up, which is not canceled half-way", c.Name)
		}
		n := 0
		for _, m := range c.those(c.cancelable) {
			n++
			if c.givenBack(m) {
				if err := s.giveBack(ctx, tx, c, m, r); err != nil {
					return err
				}
				continue
			}
			_, err := tx.Cancel(lifecycle.Cancel{DeploymentID: m.DeploymentID, Immediate: r.Immediate, Reason: r.Reason, Actor: r.Actor})
			if err != nil {
				return err
			}
		}
		if n > 0 {
			return nil
		}
		refused := deploy.Errorf(deploy.CodeWrongState, "no deployment of the cluster %s is under way that could be canceled", c.Name)
		if begun := c.those(func(n *Node) bool { return n.Begun }); len(begun) > 0 {
			refused.Message += fmt.Sprintf(": %s has begun to join, and may be a member already", begun[0].Name)
			refused.Hint = doubtHint
		}
		return refused
	})
	if err != nil {
		return nil, err
	}
	s.audit(r.Actor, "cluster_cancel", r.ClusterID)
	return s.Get(ctx, r.ClusterID)
}

// giveBack has a node that was taken as it is leave the cluster.
func (s *Service) giveBack(ctx context.Context, tx *lifecycle.Tx, c *Cluster, n *Node, r Cancel) error {
	why := fmt.Sprintf("the cluster %s was given up, by %s; the node goes on by itself", c.Name, r.Actor.Name)
	if err := s.setMember(ctx, tx, n, Replaced, why); err != nil {
		return err
	}
	if err := tx.SetClustered(n.NodeID, "", false); err != nil {
		return err
	}
	_, err := tx.Dismiss(lifecycle.Dismissal{DeploymentID: n.DeploymentID, Why: why, Actor: r.Actor})
	return err
}

// CleanupPlan tells what a cleanup of a cluster would remove, node by node in the
// order of their positions; it changes nothing.
func (s *Service) CleanupPlan(ctx context.Context, id int64) (*Cluster, map[int64][]deploy.ReleaseStep, error) {
	c, err := s.Get(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	out := map[int64][]deploy.ReleaseStep{}
	for _, n := range c.held() {
		if n.DeploymentID == 0 || n.Deployment == phase.CleanedUp {
			out[n.NodeID] = []deploy.ReleaseStep{}
			continue
		}
		if out[n.NodeID], err = s.deps.Planner.ReleasePlan(ctx, n.DeploymentID); err != nil {
			return c, nil, err
		}
	}
	return c, out, nil
}

// held are the nodes that a cleanup releases.
func (c *Cluster) held() []*Node {
	return c.those(func(n *Node) bool { return n.State != Replaced })
}

// Cleanup releases everything that the cluster's nodes hold, all at once: what
// is still under way is canceled first, and the cluster with all its data is
// lost. A cleanup that failed half-way is taken up again. Errors: not_found,
// confirmation_mismatch, wrong_state (done already, or a node is protected).
func (s *Service) Cleanup(ctx context.Context, r Cleanup) (*Cluster, error) {
	err := s.change(ctx, r.ClusterID, nil, func(tx *lifecycle.Tx, c *Cluster) error {
		if r.ConfirmName != c.Name {
			return &deploy.Error{Code: deploy.CodeConfirmationMismatch, Message: "the confirmation is not the cluster's name; nothing was touched",
				Hint:   "send the cluster's name to confirm that everything of it is to be deleted",
				Fields: []deploy.FieldError{{Field: "confirm", Code: deploy.CodeConfirmationMismatch, Message: "must equal the cluster's name"}}}
		}
		if c.CleanupAt != nil && StateOf(c) != Blocked {
			return deploy.Errorf(deploy.CodeWrongState, "the cluster %s is %s", c.Name, StateOf(c))
		}
		if err := s.update(ctx, tx, c.ID, `cleanup_at = COALESCE(cleanup_at, $3), cleanup_by = $4`, tx.Now(), r.Actor.Name); err != nil {
			return err
		}
		for _, n := range c.held() {
			if err := s.release(ctx, tx, c, n, r.Actor); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.audit(r.Actor, "cluster_cleanup", r.ClusterID)
	return s.Get(ctx, r.ClusterID)
}

// release begins the cleanup of one node.
func (s *Service) release(ctx context.Context, tx *lifecycle.Tx, c *Cluster, n *Node, actor deploy.Actor) error {
	if n.State != Released {
		if err := s.setMember(ctx, tx, n, Released, n.Note); err != nil {
			return err
		}
		if err := tx.SetClustered(n.NodeID, c.Name, false); err != nil {
			return err
		}
	}
	if n.DeploymentID == 0 || n.Deployment == phase.CleanedUp || n.Deployment == phase.CleaningUp {
		return nil
	}
	if phase.Active(n.Deployment) {
		why := "the cluster " + c.Name + " is cleaned up"
		if _, err := tx.Cancel(lifecycle.Cancel{DeploymentID: n.DeploymentID, Immediate: true, Reason: why, Actor: actor}); err != nil {
			return err
		}
	}
	_, err := tx.Cleanup(lifecycle.Cleanup{DeploymentID: n.DeploymentID, ConfirmName: n.Name, Actor: actor})
	return err
}
