package cvm

import (
	"context"
	"net/netip"
	"slices"
)

// DestroyRequest asks that a cluster of exactly these controller VMs be no more.
type DestroyRequest struct {
	Members []Target
	Token   string // names the attempt; see Client.Create
	// Begin is called when something is about to be stopped or destroyed; see
	// FormRequest.
	Begin func(context.Context) error
}

// DestroyFacts is what one look found before a destruction. Facts.Job is not
// used: there are two jobs, on one runner.
type DestroyFacts struct {
	Facts
	Stop, Destroy Record
	// Runner is the member on which the jobs run.
	Runner netip.Addr
}

// Destroy makes one step towards members that belong to no cluster, in the
// manner of Form: stop, destroy, and a look at each member. All data of the
// cluster is lost; that somebody wants this is asked before. It touches no
// cluster with a member that is not in the request.
func (c *Client) Destroy(ctx context.Context, r DestroyRequest) (Step, error) {
	const op = "cluster destroy"
	if len(r.Members) == 0 || !tokenForm.MatchString(r.Token) {
		return Step{}, failed(ClassRequest, op, netip.Addr{}, nil, "a destruction needs the cluster's members and a token")
	}
	// The jobs run on the first member always: where they run must not depend
	// on what is left of the cluster.
	first := r.Members[0]
	facts := DestroyFacts{Facts: Facts{Token: r.Token}, Runner: first.Addr}
	facts.Stop = c.record(ctx, first, JobStop)
	facts.Destroy = c.record(ctx, first, JobDestroy)
	facts.Members = c.look(ctx, r.Members)
	if ctx.Err() != nil {
		return facts.partial(), canceled(ctx, op, first.Addr)
	}
	step := Step{Decision: DecideDestroy(facts), Facts: facts.Facts}
	if step.Action == ActionStop || step.Action == ActionDestroy {
		if err := announce(ctx, r.Begin); err != nil {
			return step, err
		}
	}
	if step.Action == ActionStop {
		begun, err := c.StopCluster(ctx, first, r.Token)
		return began(step, begun, err, first.Addr)
	}
	if step.Action == ActionDestroy {
		begun, err := c.DestroyCluster(ctx, first, r.Token)
		return began(step, begun, err, first.Addr)
	}
	return step, nil
}

// DecideDestroy says what a destruction does next. It is a function of the facts
// alone.
func DecideDestroy(f DestroyFacts) Decision {
	busy := f.Facts
	busy.Job = Record{Known: f.Stop.Known && f.Destroy.Known, Busy: f.Stop.Busy || f.Destroy.Busy, Tail: f.Destroy.Tail}
	if d, ok := busy.hopeless(); ok {
		return d
	}
	if d, ok := busy.waits(); ok {
		return d
	}
	if f.untouched() {
		_, why := f.pick(func(MemberFact) bool { return true })
		return Decision{Action: ActionDone, Reason: ReasonGone, Message: "no member belongs to a cluster", Members: f.addrs(), Evidence: why}
	}
	configured := func(m MemberFact) bool { return m.Status.Verdict.Configured() }
	who, why := f.pick(configured)
	stopped := !slices.ContainsFunc(f.Members, func(m MemberFact) bool { return configured(m) && m.Status.Verdict != VerdictStopped })
	job, what, act := f.Stop, "cluster stop", Decision{Action: ActionStop, Reason: ReasonRuns, Message: "the cluster runs"}
	if stopped {
		job, what, act = f.Destroy, "cluster destroy", Decision{Action: ActionDestroy, Reason: ReasonIsStopped, Message: "the cluster is stopped"}
	}
	if !slices.Contains(who, f.Runner) {
		return fail(ReasonHalfFormed, list(who)+" belongs to a cluster of which "+f.Runner.String()+" is no part (any more)", who, why)
	}
	if at := (Facts{Job: job, Token: f.Token}); at.mine() {
		return at.jobEnded(what, who)
	}
	act.Members, act.Evidence = who, why
	return act
}
