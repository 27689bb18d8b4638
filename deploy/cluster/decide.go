package cluster

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/cluster/cvm"
	"github.com/slipwayhq/slipway/deploy/phase"
)

// act is what a member's step has to do itself.
type act string

const (
	actNone act = ""
	actForm act = "form" // it is the one that makes the cluster
	actJoin act = "join" // the cluster is there, it joins
)

// turn is what a member does next at cluster_formation.
type turn struct {
	deploy.ClusterStand
	act   act
	token string
}

func hold(format string, args ...any) turn {
	return turn{ClusterStand: deploy.ClusterStand{Move: deploy.ClusterHold, Message: fmt.Sprintf(format, args...)}}
}

func failing(code deploy.Code, hint, format string, args ...any) turn {
	m := fmt.Sprintf(format, args...)
	return turn{ClusterStand: deploy.ClusterStand{Move: deploy.ClusterFail, Message: m, Failure: &deploy.ProviderError{Code: code, Message: m, Hint: hint}}}
}

// decide says what a node does next. It is a function of the facts alone: who
// belongs to the cluster, where their deployments are, and how the last
// formation of just these attempts ended.
func decide(c *Cluster, nodeID int64) turn {
	me := c.Node(nodeID)
	switch {
	case me != nil && me.State == Replaced && me.Ready():
		return turn{ClusterStand: deploy.ClusterStand{Move: deploy.ClusterAlone, Message: fmt.Sprintf("the node has no place in the cluster %s any more, and goes on by itself", c.Name)}}
	case me == nil || me.State == Replaced || me.State == Released:
		return failing(deploy.CodeWrongState, "clean the node up, or deploy it by itself", "the node no longer belongs to the cluster %s", c.Name)
	case me.FormedAt != nil:
		return turn{ClusterStand: deploy.ClusterStand{Move: deploy.ClusterDone, Message: fmt.Sprintf("%s says that it is a member of the cluster %s", me.CVMIP, c.Name)}}
	case me.CVMIP == "":
		return failing(deploy.CodeRequired, "give the node a controller VM address (cvm_ip), or let its provider choose one, and deploy it again", "%s has no controller VM address", me.Name)
	case me.Key == "":
		return failing(deploy.CodeRequired, "the installer must leave the controller VM's SSH host key for post-install.sh to report; see docs/nutanix.md, then retry from installation",
			"%s never reported its controller VM's host key, so the controller VM cannot be proven to be the right one", me.Name)
	}
	if c.FormedAt != nil {
		return joining(c, me)
	}
	if me.State == Late {
		return hold("the cluster %s is formed without it; it joins afterwards", c.Name)
	}
	members := c.Members()
	leader, token := members[0], tokenOf(c, KindCreate, members)
	f := c.Formation
	failed := f != nil && f.Token == token && f.Status == FormationFailed
	if failed && slices.Contains(f.Culprits, me.NodeID) { // also if another of them has failed already
		return afterFailure(c, me, leader, f)
	}
	if t, waits := barrier(c, members); waits {
		return t
	}
	if failed {
		return afterFailure(c, me, leader, f)
	}
	if me == leader {
		return turn{act: actForm, token: token}
	}
	t := hold("%s forms the cluster", leader.Name)
	if f != nil && f.Token == token {
		t.Message = fmt.Sprintf("%s forms the cluster: %s", leader.Name, f.Message)
	}
	return t
}

// barrier waits until every member is there.
func barrier(c *Cluster, members []*Node) (turn, bool) {
	ready := 0
	var waits []string
	for _, m := range members {
		if m.Ready() {
			ready++
			continue
		}
		waits = append(waits, where(m))
	}
	if ready == len(members) {
		return turn{}, false
	}
	return hold("%d of %d nodes of %s are ready; it waits for %s", ready, len(members), c.Name, strings.Join(waits, "; ")), true
}

// where tells of a member that is not at the barrier.
func where(m *Node) string {
	switch {
	case m.DeploymentID == 0:
		return m.Name + " (not deployed)"
	case m.Failure != nil && m.Deployment == phase.StateFail:
		return fmt.Sprintf("%s, which failed at %s: %s", m.Name, m.Failure.Phase, m.Failure.Message)
	case m.Ended():
		return fmt.Sprintf("%s, whose deployment is %s", m.Name, m.Deployment)
	case m.Deployment == phase.Queued:
		return m.Name + " (waits for a slot)"
	}
	return fmt.Sprintf("%s (%s)", m.Name, m.Phase)
}

// afterFailure is what becomes of a member when the formation failed: those it
// failed for fail, the others wait for what is decided about these.
func afterFailure(c *Cluster, me, leader *Node, f *Formation) turn {
	mine := slices.Contains(f.Culprits, me.NodeID) || me == leader && !someOf(c, f.Culprits)
	if mine {
		return failing(deploy.Code(f.Reason), f.Hint, "the cluster %s was not formed: %s", c.Name, f.Message)
	}
	return hold("the cluster was not formed: %s", f.Message)
}

// someOf reports whether one of the nodes is a member.
func someOf(c *Cluster, ids []int64) bool {
	return slices.ContainsFunc(c.Members(), func(n *Node) bool { return slices.Contains(ids, n.NodeID) })
}

// joining is for a node that comes to a cluster which is formed.
func joining(c *Cluster, me *Node) turn {
	formed := c.Formed()
	switch {
	case c.Type == cvm.TypeSingleNode:
		return failing(deploy.CodeWrongState, "clean the node up, or deploy it by itself", "the cluster %s has a single node, which cannot be grown", c.Name)
	case len(formed) >= mostNodes:
		return failing(deploy.CodeOutOfRange, "clean the node up, or deploy it by itself", "the cluster %s has %d nodes, the most that there may be", c.Name, len(formed))
	}
	return turn{act: actJoin, token: tokenOf(c, KindJoin, []*Node{me})}
}

// mostNodes is how many nodes a cluster of Community Edition has at the most.
const mostNodes = 4

// tokenOf names a formation on controller VMs. It follows from the cluster and
// from the attempts of its members, so after a restart it is the same, and
// whatever is tried again by anybody's word is another one.
func tokenOf(c *Cluster, kind string, members []*Node) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s %s", c.Identity, kind)
	for _, m := range members {
		fmt.Fprintf(h, " %d/%d", m.DeploymentID, m.Attempt)
	}
	return fmt.Sprintf("c%d-%s-%s", c.ID, kind, hex.EncodeToString(h.Sum(nil)[:8]))
}

// Choice is something that can be done about a member.
type Choice string

// The choices.
const (
	ChoiceRetry   Choice = "retry"         // its deployment alone, and the cluster goes on
	ChoiceReplace Choice = "replace"       // by another node
	ChoiceWithout Choice = "go_on_without" // it may join later; for good, if it was left out before
)

// Choices lists what can be done about a member now, beside giving the cluster
// up. It is advice; each is decided again when it is asked for.
func (c *Cluster) Choices(n *Node) []Choice {
	out := []Choice{}
	if c.CleanupAt != nil || n.State != Belongs || n.FormedAt != nil {
		if n.State == Late && n.Deployment == phase.StateFail || n.State == Belongs && c.CleanupAt == nil && n.Deployment == phase.StateFail {
			out = append(out, ChoiceRetry)
		}
		if n.State == Late && c.mayReplace(n) == nil {
			out = append(out, ChoiceReplace)
		}
		if n.State == Late && c.mayLeave(n) == nil {
			out = append(out, ChoiceWithout)
		}
		return out
	}
	if n.Deployment == phase.StateFail {
		out = append(out, ChoiceRetry)
	}
	if c.mayReplace(n) == nil {
		out = append(out, ChoiceReplace)
	}
	if c.mayLeave(n) == nil {
		out = append(out, ChoiceWithout)
	}
	return out
}

// mayReplace tells why a member cannot be replaced.
func (c *Cluster) mayReplace(n *Node) error {
	switch {
	case c.CleanupAt != nil:
		return deploy.Errorf(deploy.CodeWrongState, "the cluster %s is being cleaned up", c.Name)
	case n.State != Belongs && n.State != Late:
		return deploy.Errorf(deploy.CodeWrongState, "%s no longer belongs to the cluster %s", n.Name, c.Name)
	case n.FormedAt != nil:
		return deploy.Errorf(deploy.CodeWrongState, "%s is a member of the formed cluster %s: it is not replaced, since its disks hold a part of the data", n.Name, c.Name)
	case n.Begun:
		return c.inDoubt(n)
	case !n.Ended():
		return &deploy.Error{Code: deploy.CodeRunActive, Message: fmt.Sprintf("the deployment of %s is %s", n.Name, n.Deployment), Hint: "cancel it first"}
	case c.holdsVIP(n) && n.Deployment != phase.CleanedUp:
		return &deploy.Error{Code: deploy.CodeWrongState, Message: fmt.Sprintf("the cluster's address %s is bound to %s", c.VIP, n.Name), Hint: "clean that node up first, then replace it"}
	}
	return nil
}

// mayLeave tells why the cluster cannot go on without a member.
func (c *Cluster) mayLeave(n *Node) error {
	switch {
	case c.CleanupAt != nil:
		return deploy.Errorf(deploy.CodeWrongState, "the cluster %s is being cleaned up", c.Name)
	case n.State == Late && n.FormedAt == nil && n.Ended() && n.Begun:
		return c.inDoubt(n)
	case n.State == Late && n.FormedAt == nil && n.Ended():
		return nil // for good
	case n.State != Belongs:
		return deploy.Errorf(deploy.CodeWrongState, "%s is not waited for", n.Name)
	case n.FormedAt != nil:
		return deploy.Errorf(deploy.CodeWrongState, "%s is a member of the formed cluster %s already", n.Name, c.Name)
	case c.FormedAt == nil && len(c.Members()) != mostNodes:
		return &deploy.Error{Code: deploy.CodeOutOfRange, Message: fmt.Sprintf("%s has %d nodes, and a cluster has 1, 3 or 4: it can go on without one of four only", c.Name, len(c.Members())), Hint: "retry the node, or replace it"}
	case c.runs(n):
		return &deploy.Error{Code: deploy.CodeWrongState, Message: fmt.Sprintf("%s forms the cluster %s at this moment", n.Name, c.Name), Hint: "wait for the end of the formation, or cancel the node"}
	case c.FormedAt == nil && c.holdsVIP(n):
		return &deploy.Error{Code: deploy.CodeWrongState, Message: fmt.Sprintf("the cluster's address %s is bound to %s", c.VIP, n.Name), Hint: "retry the node, or clean it up and replace it"}
	}
	return nil
}

// runs reports whether a command that was begun may be at work on the node's
// controller VM: who leaves now would be a part of what it makes, and another
// would begin one beside it.
func (c *Cluster) runs(n *Node) bool {
	f := c.Formation
	return f != nil && f.Leader == n.NodeID && (f.Status == FormationRunning || f.Status == FormationVoid) && f.Begun == f.Token && n.Ready()
}

// holdsVIP reports whether the cluster's address is bound to the node's machine.
func (c *Cluster) holdsVIP(n *Node) bool {
	return c.VIP != "" && n.Spec.ClusterVIP != "" && n.Provider == deploy.ProviderIBMVPC
}

// late counts the nodes that may still join: not those that are gone.
func (c *Cluster) late() int {
	return len(c.those(func(n *Node) bool { return n.State == Late && n.Deployment != phase.CleanedUp }))
}

// Action is something that can be asked of a whole cluster.
type Action string

// The actions.
const (
	ActionCancel  Action = "cancel"
	ActionCleanup Action = "cleanup"
	ActionAddNode Action = "add_node"
)

// AllowedActions lists what can be asked of the cluster now.
func (c *Cluster) AllowedActions() []Action {
	out := []Action{}
	if c.CleanupAt == nil && len(c.those(c.cancelable)) > 0 {
		out = append(out, ActionCancel)
	}
	if c.CleanupAt == nil || StateOf(c) == Blocked {
		out = append(out, ActionCleanup)
	}
	if c.mayGrow() == nil {
		out = append(out, ActionAddNode)
	}
	return out
}

// cancelable reports whether a cancel of the cluster ends what the node does for
// it. A member of the formed cluster, or who may be one, is not left half-way: it
// comes to its end, or fails and is retried.
func (c *Cluster) cancelable(n *Node) bool {
	return (n.State == Belongs || n.State == Late) && n.FormedAt == nil && !n.Begun && (phase.Active(n.Deployment) && n.Deployment != phase.CleaningUp || c.givenBack(n))
}

// givenBack reports whether a cancel of the cluster lets the node be what it was:
// it was deployed before it was asked for as it is, and no formation has touched
// its controller VM yet.
func (c *Cluster) givenBack(n *Node) bool {
	tried := c.Formation != nil && slices.Contains(c.Formation.Tried, n.NodeID)
	waits := (n.Deployment == phase.Running || n.Deployment == phase.Canceling) && n.Phase == phase.ClusterFormation
	return n.Before && n.Current && !tried && !n.Begun && (waits || n.GivenUp())
}

// mayGrow tells why no node can be added.
func (c *Cluster) mayGrow() error {
	late := c.late()
	switch {
	case c.CleanupAt != nil:
		return deploy.Errorf(deploy.CodeWrongState, "the cluster %s is being cleaned up", c.Name)
	case c.FormedAt == nil:
		return &deploy.Error{Code: deploy.CodeWrongState, Message: fmt.Sprintf("the cluster %s is not formed yet", c.Name), Hint: "wait for its formation, or ask for a cluster of four"}
	case c.Type == cvm.TypeSingleNode:
		return deploy.Errorf(deploy.CodeWrongState, "the cluster %s has a single node, which cannot be grown", c.Name)
	case len(c.Members())+late >= mostNodes:
		return deploy.Errorf(deploy.CodeOutOfRange, "the cluster %s has %d nodes, the most that there may be", c.Name, len(c.Members())+late)
	}
	return nil
}
