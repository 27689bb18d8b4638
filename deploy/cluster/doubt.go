package cluster

import (
	"context"
	"strings"
	"time"

	"github.com/slipwayhq/slipway/deploy/cluster/cvm"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
)

// Adding is what is to be known of a command that adds a node to the formed
// cluster, until it was seen how it ended.
type Adding struct {
	Node int64     `json:"node"`
	At   time.Time `json:"at"` // when the last one was about to begin
	// Token is of the only attempt that began one, empty if there were several.
	Token string `json:"token,omitempty"`
}

// settled is how long a node that has begun to join may turn up as a member
// without anything of it being seen before: the command only begins the
// expansion, and whatever ends the command does not end that.
const settled = 10 * time.Minute

// doubtHint is what can be done about a node that may be a member.
const doubtHint = "retry it: that asks the cluster first, and sets the node free if the cluster does not count it; if its machine does not come back but the cluster counts it, remove it there with Nutanix's own commands, then retry it"

// inDoubt refuses to let go of a node that may be a member.
func (c *Cluster) inDoubt(n *Node) error {
	refused := lifecycle.InCluster(n.Name, c.Name, true)
	refused.Hint = doubtHint
	return refused
}

// adds notes that a command is about to begin which adds me. What was begun so
// long ago that it would have been seen by now is over.
func (f *Formation) adds(me *Node, now time.Time) {
	was := f.Adding
	f.Adding = &Adding{Node: me.NodeID, At: now, Token: f.Token}
	if me.Begun && (was == nil || was.Node != me.NodeID || was.Token != f.Token && now.Sub(was.At) < settled) {
		f.Adding.Token = ""
	}
}

// doubt goes on with the doubt about me, and gives me if a look has ended it: the
// cluster does not count the node, and nothing that was begun can change that any
// more. If it stays with one whose attempt has failed, that is said.
//
// A look that ends nothing, of an attempt which has begun a command, waits for
// what that brings, and does not end the doubt.
func (f *Formation) doubt(me *Node, step cvm.Step) (free *Node) {
	if f.Kind != KindJoin {
		return nil
	}
	if me.Begun && (f.Adding == nil || f.Adding.Node != me.NodeID) {
		f.Adding = &Adding{Node: me.NodeID, At: f.At} // nobody knows since when
	}
	failed := f.Status == FormationFailed
	if me.Begun && step.Outside && (failed || step.Facts.Job.Token != f.Token) && f.Adding.over(step.Facts.Job, f.At) {
		f.Adding = nil
		return me
	}
	if failed && f.Adding != nil {
		f.Hint = strings.TrimPrefix(strings.TrimSuffix(f.Hint, ".")+". It may be a member already, and is not released, replaced or canceled before it is known not to be: "+doubtHint, ". ")
	}
	return nil
}

// over reports whether nothing of what was begun can come any more: the cluster
// has refused the only command, or it was long ago.
func (a *Adding) over(job cvm.Record, now time.Time) bool {
	refused := a.Token != "" && job.Token == a.Token && job.Ended && job.Exit != 0
	return refused || now.Sub(a.At) >= settled
}

// setFree ends the doubt about a node that was seen to be no member, unless
// somebody has begun another command, or has decided about it, meanwhile.
func (s *Service) setFree(ctx context.Context, tx *lifecycle.Tx, was *Cluster, f *Formation, free *Node) error {
	c, err := s.locked(ctx, tx, was.ID)
	if err != nil {
		return err
	}
	n := c.Node(free.NodeID)
	if n == nil || !n.Begun || n.DeploymentID != free.DeploymentID || n.Attempt != free.Attempt || !sameAdding(c.Formation, was.Formation) {
		if c.Formation != nil {
			f.Adding = c.Formation.Adding
		}
		return nil
	}
	return tx.SetClustered(n.NodeID, c.Name, false)
}

func sameAdding(a, b *Formation) bool {
	if a == nil || b == nil || a.Adding == nil || b.Adding == nil {
		return (a == nil || a.Adding == nil) == (b == nil || b.Adding == nil)
	}
	return a.Adding.Node == b.Adding.Node && a.Adding.At.Equal(b.Adding.At)
}
