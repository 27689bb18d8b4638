package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
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
	step, err := s.deps.CVMs.Form(asking, cvm.FormRequest{Members: targets, Token: token, Spec: spec, Earlier: s.targets(c.earlier(me)),
		Begin: func(ctx context.Context) error {
			f.begins(me, members)
			return s.intend(ctx, c, f, f.Members)
		}})
	s.deps.Boundary("after form")
	if err != nil {
		return s.unanswered(ctx, c, me, f, step, err)
	}
	if step.Acted {
		f.begins(me, members)
	}
	if step.Action == cvm.ActionFail && leftOver(step.Reason) && f.Begun != token && len(f.Tried) > 0 {
		return s.clear(ctx, asking, c, me, f, step)
	}
	return s.stepped(ctx, c, me, f, step)
}

// begins notes that the formation begins to make a cluster of members, on the
// controller VM of me.
func (f *Formation) begins(me *Node, members []*Node) {
	f.Begun, f.Runner = f.Token, me.NodeID
	f.Tried = union(f.Tried, f.Members)
	f.TriedAt = maps.Clone(f.TriedAt)
	if f.TriedAt == nil {
		f.TriedAt = map[int64]string{}
	}
	for _, m := range members {
		f.TriedAt[m.NodeID] = m.CVMIP
	}
}

// withheld is why nothing was begun on a controller VM.
type withheld struct{ error }

func (w withheld) Unwrap() error { return w.error }

// intend writes down what is about to be begun on controller VMs, if the nodes
// that it is for are still where they were seen: while they were looked at,
// anybody may have canceled, replaced or cleaned up. What is on disk is known
// however this process ends. Who is about to join may be a member from now on.
func (s *Service) intend(ctx context.Context, c *Cluster, f *Formation, nodes []int64) error {
	s.deps.Boundary("before intent")
	err := s.deps.Writer.Do(ctx, nil, append(c.teller(), nodes...), func(tx *lifecycle.Tx) error {
		present, err := s.locked(ctx, tx, c.ID)
		if err != nil {
			return err
		}
		if err := present.unchanged(tx, c, nodes); err != nil {
			return err
		}
		if f.Kind == KindJoin {
			for _, id := range nodes {
				if err := tx.SetClustered(id, c.Name, true); err != nil {
					return err
				}
			}
		}
		if f.Action == "" { // nothing of this attempt was told yet
			f.Action, f.Message, f.At = string(cvm.ActionWait), "it begins", s.now()
		}
		return s.update(ctx, tx, c.ID, `formation = $3`, mustJSON(f))
	})
	s.deps.Boundary("after intent")
	if err != nil {
		return withheld{err}
	}
	return nil
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
	step, err := s.deps.CVMs.Join(asking, cvm.JoinRequest{Existing: s.targets(existing), New: s.targets([]*Node{me})[0], Token: token,
		Begin: func(ctx context.Context) error {
			f.adds(me, s.now())
			return s.intend(ctx, c, f, f.Members)
		}})
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
		f.Begun, f.Runner, f.Tried, f.TriedAt, f.Adding = was.Begun, was.Runner, slices.Clone(was.Tried), was.TriedAt, was.Adding
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
	var no withheld
	switch {
	case errors.Is(err, errOvertaken):
		return meanwhile, nil
	case errors.As(err, &no) && !errors.Is(err, context.DeadlineExceeded): // AskLimit may have passed
		return deploy.ClusterStand{}, err
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
		f.Status, f.Culprits, f.Adding = FormationDone, nil, nil
		return s.formed(ctx, c, f)
	case step.Action == cvm.ActionFail, late:
		f.Status = FormationFailed
	}
	if err := s.record(ctx, c, f, f.doubt(me, step)); err != nil {
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
// at once more is no change of the cluster, but is kept now and then. free, if it
// is not nil, was seen to be no member.
func (s *Service) record(ctx context.Context, c *Cluster, f *Formation, free *Node) error {
	if was := c.Formation; was != nil {
		same := *f
		same.At, same.Spent = was.At, was.Spent
		if free == nil && reflect.DeepEqual(&same, was) {
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
	nodes := c.teller()
	if free != nil {
		nodes = append(nodes, free.NodeID)
	}
	err := s.deps.Writer.Do(ctx, nil, nodes, func(tx *lifecycle.Tx) error {
		if free != nil {
			if err := s.setFree(ctx, tx, c, f, free); err != nil {
				return err
			}
		}
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

// meanwhile is how a member stands that was overtaken: the next look sees what is
// to be done.
var meanwhile = deploy.ClusterStand{Move: deploy.ClusterGo, Message: "somebody decided about a node meanwhile; it is looked at again"}

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
	if errors.Is(err, errOvertaken) {
		return meanwhile, nil
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
