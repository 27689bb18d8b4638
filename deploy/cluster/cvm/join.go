package cvm

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"github.com/slipwayhq/slipway/deploy/health"
)

// JoinRequest asks for one more controller VM in a cluster.
type JoinRequest struct {
	// Existing are the members that the cluster has, the first of which is told.
	Existing []Target
	New      Target
	Token    string // names the attempt; see Client.Create
	// Begin is called when the node is about to be added; see FormRequest.
	Begin func(context.Context) error
}

// JoinFacts is what one look found before a join. Members of the Facts are the
// existing ones.
type JoinFacts struct {
	Facts
	New MemberFact
}

// Join makes one step towards a larger cluster, in the manner of Form: it looks,
// decides (DecideJoin) and begins `ncli cluster add-node` at most once for a
// token. Done is when the old members and the new one all say that it belongs
// to them and that everything is up.
func (c *Client) Join(ctx context.Context, r JoinRequest) (Step, error) {
	const op = "ncli cluster add-node"
	if len(r.Existing) == 0 || !tokenForm.MatchString(r.Token) {
		return Step{}, failed(ClassRequest, op, r.New.Addr, nil, "a join needs the cluster's members and a token")
	}
	first := r.Existing[0]
	facts := JoinFacts{Facts: Facts{Token: r.Token, Job: c.record(ctx, first, JobAddNode)}}
	all := c.look(ctx, append(slices.Clone(r.Existing), r.New))
	facts.Members, facts.New = all[:len(all)-1], all[len(all)-1]
	if ctx.Err() != nil {
		return Facts{Members: all}.partial(), canceled(ctx, op, first.Addr)
	}
	step := Step{Decision: DecideJoin(facts), Facts: facts.Facts, Outside: facts.outside()}
	if step.Action != ActionAddNode {
		return step, nil
	}
	uuid, found, err := c.discover(ctx, first, r.New.Addr)
	if err != nil || !found {
		d := wait(ReasonUndiscovered, first.Addr.String()+" does not discover "+r.New.Addr.String()+" yet", []netip.Addr{r.New.Addr}, nil)
		if err != nil {
			d.Evidence = []string{err.Error()}
		}
		step.Decision = d
		return step, nil
	}
	if err := announce(ctx, r.Begin); err != nil {
		return step, err
	}
	begun, err := c.AddNode(ctx, first, r.Token, uuid)
	return began(step, begun, err, first.Addr)
}

// outside reports whether the new controller VM was seen to be no member: every
// existing one has answered and does not count it, it does not count itself to
// them, and no command of Slipway's is at work that would change it. Whether it
// answers itself does not matter, or one that is gone could never be told from
// one that is lost. A command that has ended well may yet change it.
func (f JoinFacts) outside() bool {
	if len(f.Members) == 0 || !f.Job.Known || f.Job.Busy {
		return false
	}
	if slices.ContainsFunc(f.Members, func(m MemberFact) bool {
		return !m.reached() || !m.Status.Verdict.Configured() || slices.Contains(m.Status.Members(), f.New.Addr)
	}) {
		return false
	}
	return !f.New.reached() || !f.New.Status.Verdict.Configured() ||
		!slices.ContainsFunc(f.addrs(), func(a netip.Addr) bool { return slices.Contains(f.New.Status.Members(), a) })
}

// DecideJoin says what a join does next. It is a function of the facts alone.
func DecideJoin(f JoinFacts) Decision {
	all := Facts{Members: append(slices.Clone(f.Members), f.New), Job: f.Job, Token: f.Token}
	if d, ok := all.hopeless(); ok {
		return d
	}
	if d, ok := all.waits(); ok {
		return d
	}
	old, who := f.addrs(), []netip.Addr{f.New.Addr}
	slices.SortFunc(old, netip.Addr.Compare)
	grown := all.addrs()
	slices.SortFunc(grown, netip.Addr.Compare)
	if bad, why := f.pick(func(m MemberFact) bool {
		return !slices.Equal(m.Status.Members(), old) && !slices.Equal(m.Status.Members(), grown)
	}); len(bad) > 0 {
		return fail(ReasonOtherCluster, list(bad)+" does not belong to the cluster of the request", bad, why)
	}
	if slices.ContainsFunc(f.Members, func(m MemberFact) bool { return slices.Contains(m.Status.Members(), f.New.Addr) }) {
		return f.decideListed(all, grown)
	}
	switch {
	case f.New.Status.Verdict != VerdictUnconfigured:
		_, why := all.pick(func(m MemberFact) bool { return m.Addr == f.New.Addr })
		return fail(ReasonOtherCluster, f.New.Addr.String()+" belongs to a cluster that does not count it", who, why)
	case len(f.Members) == 1:
		return fail(ReasonNotGrowable, "a cluster of a single node cannot be grown", f.addrs(), nil)
	case f.mine() && f.Job.Ended && f.Job.Exit == 0:
		// add-node only begins the expansion.
		return wait(ReasonStarting, "waits for the cluster to take "+f.New.Addr.String(), who, f.Job.Tail)
	case f.mine():
		return f.jobEnded("ncli cluster add-node", who)
	}
	if d := f.decideConfigured(); d.Action != ActionDone {
		return d
	}
	return Decision{Action: ActionAddNode, Reason: ReasonNotListed, Message: "the cluster is up and " + f.New.Addr.String() + " belongs to none", Members: who}
}

// decideListed judges a cluster one of whose members counts the new one.
func (f JoinFacts) decideListed(all Facts, grown []netip.Addr) Decision {
	if who, why := all.pick(func(m MemberFact) bool { return !slices.Equal(m.Status.Members(), grown) }); len(who) > 0 {
		return wait(ReasonStarting, "waits until "+list(who)+" counts "+f.New.Addr.String()+" too", who, why)
	}
	d := all.decideConfigured()
	if d.Action == ActionDone {
		d.Reason, d.Message = ReasonJoined, "every member says that "+f.New.Addr.String()+" belongs to the cluster"
	}
	return d
}

// discover asks the cluster for the UUID of a node that belongs to none.
func (c *Client) discover(ctx context.Context, t Target, node netip.Addr) (uuid string, found bool, err error) {
	const op = "ncli cluster discover-nodes"
	out, err := c.run(ctx, t, op, profile+op)
	if err != nil {
		return "", false, err
	}
	if out.exit != 0 {
		return "", false, failed(health.ClassCommandFailed, op, t.Addr, nil, "exit status %d: %s", out.exit, clean(out.text()))
	}
	uuid, found = parseDiscovered(out.stdout, node)
	return uuid, found, nil
}

// parseDiscovered finds a node's UUID in lines of the form "name : value", a
// block of them for each node. The name of the UUID's line begins with "Node"
// or is "Uuid"; the node is the one of whose block any value is its address.
func parseDiscovered(text string, node netip.Addr) (string, bool) {
	uuid, ours := "", false
	for line := range strings.Lines(text + "\n\n") {
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			if strings.TrimSpace(line) != "" {
				continue
			}
			if ours && uuid != "" {
				return uuid, true
			}
			uuid, ours = "", false
			continue
		}
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
		if a, err := netip.ParseAddr(value); err == nil && a == node {
			ours = true
		}
		if (name == "uuid" || strings.HasPrefix(name, "node") && strings.HasSuffix(name, "uuid")) && uuidForm.MatchString(value) {
			uuid = value
		}
	}
	return "", false
}
