package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/cluster/cvm"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
)

// Form makes one step towards the membership of a deployment's node: it waits
// for the others at the barrier, forms the cluster if it is the one that does,
// joins the one that is formed, and says when the cluster itself counts it as a
// member.
func (s *Service) Form(ctx context.Context, deploymentID int64) (deploy.ClusterStand, error) {
	c, me, err := s.ofDeployment(ctx, deploymentID)
	if err != nil {
		return deploy.ClusterStand{}, err
	}
	if c == nil { // it was cleaned up so long ago that its rows are gone
		return deploy.ClusterStand{Move: deploy.ClusterAlone, Message: "the cluster that it was for exists no more, and the node goes on by itself"}, nil
	}
	if me == nil {
		return failing(deploy.CodeWrongState, "deploy the node again", "the deployment belongs to no cluster any more").ClusterStand, nil
	}
	t := decide(c, me.NodeID)
	switch t.act {
	case actForm:
		return s.create(ctx, c, me, t.token)
	case actJoin:
		return s.join(ctx, c, me, t.token)
	case actNone:
	}
	return t.ClusterStand, nil
}

// create makes one step towards the cluster, on the controller VM of me.
func (s *Service) create(ctx context.Context, c *Cluster, me *Node, token string) (deploy.ClusterStand, error) {
	members := c.Members()
	f := s.formation(c, KindCreate, token, me, members)
	spec := cvm.CreateSpec{Name: c.Name, RedundancyFactor: c.RF, DNS: addresses(c.DNS), NTP: c.NTP, SkipDiscovery: c.SkipDiscovery}
	if a, err := netip.ParseAddr(c.VIP); err == nil {
		spec.VIP = a
	}
	targets := s.targets(members)
	for _, t := range targets {
		spec.Members = append(spec.Members, t.Addr)
	}
	f.Command, _ = spec.Command() // what cannot be sent is told by Form
	s.deps.Boundary("before form")
	asking, asked := context.WithTimeout(ctx, s.deps.AskLimit)
	defer asked()
	step, err := s.deps.CVMs.Form(asking, cvm.FormRequest{Members: targets, Token: token, Spec: spec, Earlier: s.targets(c.earlier(me))})
	s.deps.Boundary("after form")
	if err != nil {
		return s.unanswered(ctx, c, me, f, step, err)
	}
	if step.Acted {
		f.Begun, f.Runner = token, me.NodeID
		f.Tried = union(f.Tried, f.Members)
		f.TriedAt = maps.Clone(f.TriedAt)
		if f.TriedAt == nil {
			f.TriedAt = map[int64]string{}
		}
		for _, m := range members {
			f.TriedAt[m.NodeID] = m.CVMIP
		}
	}
	if step.Action == cvm.ActionFail && leftOver(step.Reason) && f.Begun != token && len(f.Tried) > 0 {
		return s.clear(ctx, asking, c, me, f, step)
	}
	return s.stepped(ctx, c, me, f, step)
}

// earlier is who began a command for an earlier formation and does not lead this
// one: it may have left, or been replaced, while that command runs on.
func (c *Cluster) earlier(me *Node) []*Node {
	if c.Formation == nil || c.Formation.Runner == 0 || c.Formation.Runner == me.NodeID {
		return nil
	}
	n := c.Node(c.Formation.Runner)
	if n == nil || n.CVMIP == "" || n.Key == "" || n.Deployment == phase.CleanedUp || !n.Current {
		return nil // its machine is gone, or was installed anew
	}
	return []*Node{n}
}

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
	step, err := s.deps.CVMs.Destroy(asking, cvm.DestroyRequest{Members: s.targets(tried), Token: f.Token})
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

// join makes one step towards the membership of me in the formed cluster.
func (s *Service) join(ctx context.Context, c *Cluster, me *Node, token string) (deploy.ClusterStand, error) {
	existing := c.Formed()
	f := s.formation(c, KindJoin, token, existing[0], []*Node{me})
	if i := slices.IndexFunc(existing, func(n *Node) bool { return n.CVMIP == "" || n.Key == "" }); i >= 0 {
		return failing(deploy.CodeWrongState, "", "the controller VM of %s is not known any more", existing[i].Name).ClusterStand, nil
	}
	s.deps.Boundary("before join")
	asking, asked := context.WithTimeout(ctx, s.deps.AskLimit)
	defer asked()
	step, err := s.deps.CVMs.Join(asking, cvm.JoinRequest{Existing: s.targets(existing), New: s.targets([]*Node{me})[0], Token: token})
	s.deps.Boundary("after join")
	if err != nil {
		return s.unanswered(ctx, c, me, f, step, err)
	}
	return s.stepped(ctx, c, me, f, step)
}

// formation goes on with the record of this token, or begins one.
func (s *Service) formation(c *Cluster, kind, token string, leader *Node, members []*Node) *Formation {
	f := &Formation{Kind: kind, Token: token, Status: FormationRunning, Leader: leader.NodeID, Since: s.now()}
	if was := c.Formation; was != nil {
		f.Begun, f.Runner, f.Tried, f.TriedAt = was.Begun, was.Runner, slices.Clone(was.Tried), was.TriedAt
		if was.Token == token {
			f.Since, f.Cleared, f.Spent = was.Since, was.Cleared, was.Spent
		}
	}
	for _, m := range members {
		f.Members = append(f.Members, m.NodeID)
	}
	return f
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func union(a, b []int64) []int64 {
	out := slices.Concat(a, b)
	slices.Sort(out)
	return slices.Compact(out)
}

// unanswered is for a request that could not be made. What may pass is waited
// for, within the formation's time; seen is what was seen all the same.
func (s *Service) unanswered(ctx context.Context, c *Cluster, me *Node, f *Formation, seen cvm.Step, err error) (deploy.ClusterStand, error) {
	if ctx.Err() != nil {
		return deploy.ClusterStand{}, ctx.Err()
	}
	step := cvm.Step{Decision: cvm.Decision{Action: cvm.ActionWait, Reason: cvm.Reason(cvm.ClassOf(err)), Message: err.Error()}, Facts: seen.Facts}
	if errors.Is(err, context.DeadlineExceeded) { // of AskLimit
		step.Reason, step.Message = cvm.ReasonUnreached, fmt.Sprintf("not all controller VMs have answered within %s", s.deps.AskLimit)
		if seen.Message != "" {
			step.Message += ": it " + seen.Message
		}
		step.Members, step.Evidence = seen.Members, seen.Evidence
	}
	if cvm.ClassOf(err) == cvm.ClassRequest {
		step.Action = cvm.ActionFail
	}
	return s.stepped(ctx, c, me, f, step)
}

// stepped records a step and says what it means for the member that made it.
func (s *Service) stepped(ctx context.Context, c *Cluster, me *Node, f *Formation, step cvm.Step) (deploy.ClusterStand, error) {
	f.Action, f.Reason, f.Message, f.Hint, f.Evidence = string(step.Action), string(step.Reason), step.Message, step.Hint, step.Evidence
	if step.Acted {
		f.Message = fmt.Sprintf("%s was begun: %s", words[step.Action], step.Message)
	}
	f.Culprits = c.owners(laggards(step))
	f.At = s.now()
	f.Spent += spent(c.Formation, f, me)
	late := step.Action == cvm.ActionWait && f.Spent > s.deps.FormLimit
	if late {
		f.Hint = "look at the controller VMs that it waited for; then retry these nodes, or replace them"
		f.Message = fmt.Sprintf("after %s it still waits: %s", f.Spent.Round(1e9), f.Message)
		if step.Reason == cvm.ReasonJobRuns {
			// Who runs the command is not who keeps it waiting.
			f.Culprits = c.owners(absentees(step))
			f.Hint = "read the output of the command, which goes on; a retry waits for its end, and begins no other before"
		}
	}
	switch {
	case step.Action == cvm.ActionDone:
		f.Status, f.Culprits = FormationDone, nil
		return s.formed(ctx, c, f)
	case step.Action == cvm.ActionFail, late:
		f.Status = FormationFailed
	}
	if err := s.record(ctx, c, f); err != nil {
		return deploy.ClusterStand{}, err
	}
	if f.Status != FormationFailed {
		return deploy.ClusterStand{Move: deploy.ClusterGo, Message: f.Message, Evidence: evidence(f)}, nil
	}
	if f.Kind == KindJoin {
		return failing(deploy.Code(f.Reason), f.Hint, "the node did not join the cluster %s: %s", c.Name, f.Message).ClusterStand, nil
	}
	leader := c.Node(f.Leader)
	return afterFailure(c, leader, leader, f).ClusterStand, nil
}

// unseen is from when on nobody has looked meanwhile: longer than any step takes,
// and the pause between two.
const unseen = 5 * time.Minute

// spent is how much of its time a formation has used up since was, the last
// look. None if nobody looked for so long that Slipway must have been away, if
// the clocks of the node that looks stand, or if the clock went backwards.
func spent(was, f *Formation, me *Node) time.Duration {
	if was == nil || was.Token != f.Token || me.Maintenance {
		return 0
	}
	if gone := f.At.Sub(was.At); gone > 0 && gone <= unseen {
		return gone
	}
	return 0
}

// words name what a step begins.
var words = map[cvm.Action]string{
	cvm.ActionCreate: "cluster create", cvm.ActionAddNode: "adding the node", cvm.ActionStop: "cluster stop", cvm.ActionDestroy: "cluster destroy",
}

// laggards are the controller VMs that a step is about. Where services start,
// every member says the same: they are those that it says it of.
func laggards(step cvm.Step) []netip.Addr {
	if step.Reason != cvm.ReasonStarting && step.Reason != cvm.ReasonMemberDown {
		return step.Members
	}
	var out []netip.Addr
	for _, m := range step.Facts.Members {
		if m.Err != nil {
			continue
		}
		for _, vm := range m.Status.CVMs {
			if (!vm.Up || len(vm.Down()) > 0) && !slices.Contains(out, vm.Addr) {
				out = append(out, vm.Addr)
			}
		}
	}
	if len(out) == 0 {
		return step.Members
	}
	return out
}

// absentees are the controller VMs that a look had no answer of, or that a member
// calls down: a command that takes too long most likely waits for them.
func absentees(step cvm.Step) (out []netip.Addr) {
	for _, m := range step.Facts.Members {
		if m.Err != nil {
			out = append(out, m.Addr)
			continue
		}
		for _, vm := range m.Status.CVMs {
			if !vm.Up && !slices.Contains(out, vm.Addr) {
				out = append(out, vm.Addr)
			}
		}
	}
	return out
}

func evidence(f *Formation) string {
	if len(f.Evidence) == 0 {
		return f.Message
	}
	return f.Evidence[len(f.Evidence)-1]
}

// owners are the nodes of controller VMs.
func (c *Cluster) owners(of []netip.Addr) (out []int64) {
	for _, a := range of {
		for _, n := range c.those(func(n *Node) bool { return n.CVMIP == a.String() && n.State != Replaced }) {
			out = append(out, n.NodeID)
		}
	}
	return out
}

// keptEvery is how far behind a formation's kept time may be.
const keptEvery = time.Minute

// record keeps how a formation stands, if that has changed. That it was looked
// at once more is no change of the cluster, but is kept now and then.
func (s *Service) record(ctx context.Context, c *Cluster, f *Formation) error {
	if was := c.Formation; was != nil {
		same := *f
		same.At, same.Spent = was.At, was.Spent
		if reflect.DeepEqual(&same, was) {
			if ago := f.At.Sub(was.At); ago >= 0 && ago < keptEvery {
				return nil
			}
			_, err := s.deps.Store.Write.ExecContext(ctx, `UPDATE clusters SET formation = $1 WHERE id = $2 AND version = $3`, mustJSON(f), c.ID, c.Version)
			if err != nil {
				return fmt.Errorf("cluster: keeping the formation of cluster %d: %w", c.ID, err)
			}
			return nil
		}
	}
	s.deps.Boundary("before record")
	err := s.deps.Writer.Do(ctx, nil, c.teller(), func(tx *lifecycle.Tx) error {
		return s.update(ctx, tx, c.ID, `formation = $3`, mustJSON(f))
	})
	s.deps.Boundary("after record")
	return err
}

// errOvertaken takes back the end of a formation whose members are not those
// any more that it was looked for.
var errOvertaken = errors.New("cluster: somebody decided about a member meanwhile")

// unchanged is errOvertaken unless these nodes are still at the barrier with the
// attempts that was knows, and the cluster still wants them. While controller
// VMs are asked, which takes a while, anybody may cancel, replace or clean up.
// Where deployments are is asked of the transaction, which may have changed them.
func (c *Cluster) unchanged(tx *lifecycle.Tx, was *Cluster, nodes []int64) error {
	if c.CleanupAt != nil {
		return errOvertaken
	}
	for _, id := range nodes {
		n, before := c.Node(id), was.Node(id)
		if n == nil || before == nil || n.State != Belongs && n.State != Late || n.DeploymentID != before.DeploymentID {
			return errOvertaken
		}
		key, attempt, _, state, err := tx.OpenPhase(n.DeploymentID)
		if err != nil {
			return err
		}
		if key != phase.ClusterFormation || state != phase.Running || attempt != before.Attempt {
			return errOvertaken
		}
	}
	return nil
}

// formed writes down what every member said: who belongs to the cluster. It is
// the end of the formation; a crash before it finds the same answer again. Who
// was left out meanwhile but was counted in by the controller VMs belongs to it.
func (s *Service) formed(ctx context.Context, c *Cluster, f *Formation) (deploy.ClusterStand, error) {
	s.deps.Boundary("before formed")
	err := s.deps.Writer.Do(ctx, nil, append(c.teller(), f.Members...), func(tx *lifecycle.Tx) error {
		now := tx.Now()
		present, err := s.locked(ctx, tx, c.ID)
		if err != nil {
			return err
		}
		if err := present.unchanged(tx, c, f.Members); err != nil {
			return err
		}
		if err := s.update(ctx, tx, c.ID, `formation = $3, formed_at = COALESCE(formed_at, $4)`, mustJSON(f), now); err != nil {
			return err
		}
		for _, id := range f.Members {
			_, err := tx.SQL().ExecContext(ctx, `UPDATE cluster_members SET state = 'member', formed_at = $1, updated_at = $1 WHERE cluster_id = $2 AND node_id = $3 AND state IN ('member', 'late') AND formed_at IS NULL`, now, c.ID, id)
			if err != nil {
				return fmt.Errorf("cluster: keeping a member: %w", err)
			}
			if err := tx.SetClustered(id, c.Name, true); err != nil {
				return err
			}
		}
		return nil
	})
	s.deps.Boundary("after formed")
	if errors.Is(err, errOvertaken) { // the next look sees what is to be done
		return deploy.ClusterStand{Move: deploy.ClusterGo, Message: "somebody decided about a node meanwhile; it is looked at again"}, nil
	}
	if err != nil {
		return deploy.ClusterStand{}, err
	}
	message := fmt.Sprintf("the cluster %s is formed: %s", c.Name, f.Message)
	if f.Kind == KindJoin {
		message = fmt.Sprintf("joined the cluster %s: %s", c.Name, f.Message)
	}
	return deploy.ClusterStand{Move: deploy.ClusterDone, Message: message, Evidence: evidence(f)}, nil
}
