package cluster

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/cluster/cvm"
	"github.com/slipwayhq/slipway/deploy/phase"
)

// leftOver reports whether a formation that was tried earlier explains the
// failure: what it left must go before another can begin.
func leftOver(r cvm.Reason) bool {
	return slices.Contains([]cvm.Reason{cvm.ReasonHalfFormed, cvm.ReasonOtherCluster, cvm.ReasonStopped, cvm.ReasonNotDone, cvm.ReasonVIPTaken}, r)
}

// clearedLimit is how long it may take until nothing is seen any more of what was
// removed: the cluster's address answers for a moment longer than the cluster.
const clearedLimit = time.Minute

// clear removes what an earlier formation of this cluster left half-done. It was
// never formed, so it holds no data; and no controller VM is touched that
// belongs together with another than those that formation was for.
//
// found is why. If it is still so when nothing is left, it was not for what an
// earlier formation left.
func (s *Service) clear(ctx, asking context.Context, c *Cluster, me *Node, f *Formation, found cvm.Step) (deploy.ClusterStand, error) {
	f.Kind = KindClear
	// A node that was deployed for something else since is not what that formation
	// was for any more, although it has its name and perhaps its address: it may
	// hold another cluster by now, with data.
	tried := c.those(func(n *Node) bool {
		return slices.Contains(f.Tried, n.NodeID) && n.CVMIP != "" && n.Key != "" && n.Current && n.Deployment != phase.CleanedUp
	})
	tried = slices.CompactFunc(tried, func(a, b *Node) bool { return a.NodeID == b.NodeID })
	if len(tried) == 0 {
		f.Kind = KindCreate
		return s.stepped(ctx, c, me, f, found)
	}
	// The first one runs the commands: it must be a part of what is to go, as who
	// began to make it is.
	slices.SortStableFunc(tried, func(a, b *Node) int {
		return btoi(b.NodeID == f.Runner) - btoi(a.NodeID == f.Runner)
	})
	if step, stranded, err := s.stranded(ctx, c, f, found); err != nil {
		return deploy.ClusterStand{}, err
	} else if stranded {
		return s.stepped(ctx, c, me, f, step)
	}
	step, err := s.deps.CVMs.Destroy(asking, cvm.DestroyRequest{Members: s.targets(tried), Token: f.Token, Begin: func(ctx context.Context) error { return s.intend(ctx, c, f, f.Members) }})
	for _, n := range tried {
		became := map[MemberState]string{Replaced: "was replaced", Late: "was left out"}[n.State]
		if addr, _ := netip.ParseAddr(n.CVMIP); became != "" && step.Reason == cvm.ReasonUnreached && slices.Contains(step.Members, addr) {
			step.Message += fmt.Sprintf("; %s %s after it had begun to be a member: let it answer, or clean it up", n.Name, became)
		}
	}
	if err != nil {
		return s.unanswered(ctx, c, me, f, step, err)
	}
	if step.Action != cvm.ActionDone {
		return s.stepped(ctx, c, me, f, step)
	}
	now := s.now()
	if f.Cleared == nil {
		f.Cleared = &now
	}
	if now.Sub(*f.Cleared) > clearedLimit {
		f.Kind = KindCreate
		return s.stepped(ctx, c, me, f, found)
	}
	step.Action, step.Message = cvm.ActionWait, "what the last formation left was removed; the cluster is formed anew" // by the next look
	return s.stepped(ctx, c, me, f, step)
}

// stranded finds controller VMs that have begun to be a cluster with one that
// exists no more. Such a cluster is not destroyed, for the command wants every
// member to answer; but nothing is on them yet that a new install would lose.
func (s *Service) stranded(ctx context.Context, c *Cluster, f *Formation, found cvm.Step) (cvm.Step, bool, error) {
	gone, err := s.gone(ctx, c, f)
	if err != nil || len(gone) == 0 {
		return found, false, err
	}
	var who []netip.Addr
	var names []string
	for _, m := range found.Facts.Members {
		lists := func(a netip.Addr) bool { return slices.Contains(m.Status.Members(), a) }
		if m.Err == nil && slices.ContainsFunc(gone, lists) {
			who, names = append(who, m.Addr), append(names, m.Addr.String())
		}
	}
	found.Reason, found.Members = cvm.ReasonHalfFormed, who
	found.Message = fmt.Sprintf("%s had begun to be a cluster with a node that was cleaned up, or deployed for something else, since; that cannot be undone there", strings.Join(names, ", "))
	found.Hint = "retry these nodes from installation: no cluster was formed, so no data is lost"
	return found, len(who) > 0, nil
}

// gone are the addresses of controller VMs that an earlier formation was for and
// that exist no more: their nodes were cleaned up, and nobody else has them; or
// their nodes were deployed for something else since.
func (s *Service) gone(ctx context.Context, c *Cluster, f *Formation) ([]netip.Addr, error) {
	taken, err := s.taken(ctx)
	if err != nil {
		return nil, err
	}
	var out []netip.Addr
	for id, at := range f.TriedAt {
		n := c.Node(id)
		addr, err := netip.ParseAddr(at)
		if err != nil || n == nil {
			continue
		}
		if _, used := taken[addr]; !used && n.Deployment == phase.CleanedUp || !n.Current {
			out = append(out, addr)
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return out, nil
}
