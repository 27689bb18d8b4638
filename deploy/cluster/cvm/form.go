package cvm

import (
	"context"
	"net/netip"
	"slices"
	"time"
)

// FormRequest asks for a cluster of exactly these controller VMs.
type FormRequest struct {
	// Members, the first of which creates. Their addresses are those of
	// Spec.Members, which may be left empty.
	Members []Target
	// Token names the attempt; see Client.Create. A retry that a person asks for
	// takes another one.
	Token string
	Spec  CreateSpec
	// Earlier are controller VMs on which a command of an earlier attempt may
	// still be at work, although they create no more: nothing is begun before
	// each was seen idle.
	Earlier []Target
	// Begin is called when a creation is about to begin, every member having been
	// seen to belong to no cluster; with its error nothing is begun. nil = nobody.
	Begin func(context.Context) error
}

// Form makes one step towards a cluster: it looks at every member, decides
// (Decide), acts at most once, and tells what it waits for. It keeps nothing:
// called again, by whomever and after whatever died, it goes on from what is.
// It returns within a few time-outs; the caller asks again until the action has
// Ended, or its own deadline. The error is of a request that cannot be sent, or
// the context's; with the context's the step tells what was seen until then, and
// whom it waited for, and nothing was begun.
func (c *Client) Form(ctx context.Context, r FormRequest) (Step, error) {
	spec := r.Spec
	if len(spec.Members) == 0 {
		for _, t := range r.Members {
			spec.Members = append(spec.Members, t.Addr)
		}
	}
	if err := r.check(spec); err != nil {
		return Step{}, err
	}
	facts := Facts{Token: r.Token, VIP: spec.VIP}
	// The job first: a job that ends between the two looks is then seen as
	// running and looked at again. The other order could see members before it
	// ended and a record after, and call a good formation failed.
	facts.Job = c.record(ctx, r.Members[0], JobCreate)
	for _, t := range r.Earlier {
		facts.Earlier = append(facts.Earlier, EarlierFact{Addr: t.Addr, Job: c.record(ctx, t, JobCreate)})
	}
	facts.Members = c.look(ctx, r.Members)
	if spec.VIP.IsValid() && facts.untouched() {
		facts.VIPAnswers = c.answers(ctx, netip.AddrPortFrom(spec.VIP, r.Members[0].prism().Port()))
	}
	if ctx.Err() != nil {
		return facts.partial(), canceled(ctx, "cluster create", r.Members[0].Addr)
	}
	step := Step{Decision: Decide(facts), Facts: facts}
	if step.Action != ActionCreate {
		return step, nil
	}
	if err := announce(ctx, r.Begin); err != nil {
		return step, err
	}
	begun, err := c.Create(ctx, r.Members[0], r.Token, spec)
	return began(step, begun, err, r.Members[0].Addr)
}

func (r FormRequest) check(spec CreateSpec) error {
	const op = "cluster create"
	if len(r.Members) == 0 {
		return failed(ClassRequest, op, netip.Addr{}, nil, "a cluster needs members")
	}
	first := r.Members[0].Addr
	if !tokenForm.MatchString(r.Token) {
		return failed(ClassRequest, op, first, nil, "%q is no token of an attempt", r.Token)
	}
	if !slices.EqualFunc(r.Members, spec.Members, func(t Target, a netip.Addr) bool { return t.Addr == a }) {
		return failed(ClassRequest, op, first, nil, "the members to ask are not those to create with")
	}
	if _, err := spec.args(); err != nil {
		return failed(ClassRequest, op, first, err, "%v", err)
	}
	return nil
}

// announce tells the caller that something is about to begin.
func announce(ctx context.Context, begin func(context.Context) error) error {
	if begin == nil {
		return nil
	}
	return begin(ctx)
}

// began tells what became of an act. One whose answer was lost is waited for:
// the next look knows whether it began.
func began(step Step, begun Begun, err error, who netip.Addr) (Step, error) {
	e := asError(err, string(step.Action), who)
	switch {
	case e != nil && e.Class == ClassRequest:
		return step, e
	case e != nil:
		step.Decision = wait(ReasonUnreached, "it is not known whether "+string(step.Action)+" was begun", []netip.Addr{who}, []string{e.Error()})
	case begun == BegunNow:
		step.Acted = true
	default:
		step.Decision = wait(ReasonJobRuns, "another look or command was quicker on "+who.String(), []netip.Addr{who}, nil)
	}
	return step, nil
}

// untouched reports whether every member was seen, and to belong to no cluster.
func (f Facts) untouched() bool {
	return !slices.ContainsFunc(f.Members, func(m MemberFact) bool {
		return m.Err != nil || m.Status.Verdict != VerdictUnconfigured
	})
}

// vipLimit is enough for a neighbour to answer; a free address costs it whole.
const vipLimit = 3 * time.Second

// answers tells whether something takes a connection.
func (c *Client) answers(ctx context.Context, at netip.AddrPort) bool {
	conn, err := c.dial(ctx, at.String(), min(vipLimit, c.Timeouts.orDefault().Dial))
	if err != nil {
		return false
	}
	_ = conn.Close() // it has told what it was asked for
	return true
}

// Decide says what a formation does next. It is a function of the facts alone.
//
// It begins a creation only if every member was seen to belong to no cluster, no
// job runs, and this attempt has not begun one. It calls a cluster formed only
// if every member itself says that exactly the wanted members are there with
// every service up; what the command's exit status was matters to neither.
func Decide(f Facts) Decision {
	if d, ok := f.hopeless(); ok {
		return d
	}
	if d, ok := f.waits(); ok {
		return d
	}
	if f.untouched() {
		return f.decideUntouched()
	}
	if who, why := f.pick(func(m MemberFact) bool { return m.Status.Verdict == VerdictUnconfigured }); len(who) > 0 {
		return fail(ReasonHalfFormed, "the cluster was formed without "+list(who)+", and no command runs that would change it", who, append(why, f.Job.Tail...))
	}
	want := f.addrs()
	slices.SortFunc(want, netip.Addr.Compare)
	if who, why := f.pick(func(m MemberFact) bool { return !slices.Equal(m.Status.Members(), want) }); len(who) > 0 {
		return fail(ReasonHalfFormed, list(who)+" does not count all members to the cluster", who, why)
	}
	return f.decideConfigured()
}

func (f Facts) decideUntouched() Decision {
	if f.mine() {
		return f.jobEnded("cluster create", []netip.Addr{f.runner()})
	}
	if f.VIPAnswers {
		return fail(ReasonVIPTaken, "something answers on the cluster's address "+f.VIP.String()+" although there is no cluster", []netip.Addr{f.VIP}, nil)
	}
	for _, e := range f.Earlier {
		if !e.Job.Known {
			return wait(ReasonUnreached, "waits for "+e.Addr.String()+" to tell whether what an earlier attempt began there still runs", []netip.Addr{e.Addr}, nil)
		}
	}
	_, why := f.pick(func(MemberFact) bool { return true })
	return Decision{Action: ActionCreate, Reason: ReasonAllUnconfigured, Message: "no member belongs to a cluster", Members: f.addrs(), Evidence: why}
}

// decideConfigured judges members that all count the wanted ones.
func (f Facts) decideConfigured() Decision {
	verdict := func(v Verdict) func(MemberFact) bool {
		return func(m MemberFact) bool { return m.Status.Verdict == v }
	}
	if who, why := f.pick(verdict(VerdictStopped)); len(who) > 0 {
		return fail(ReasonStopped, "the cluster is formed but stopped, says "+list(who), who, why)
	}
	if who, why := f.pick(verdict(VerdictDown)); len(who) > 0 {
		down := f.down()
		return wait(ReasonMemberDown, "waits for "+list(down)+", which "+list(who)+" cannot reach", down, why)
	}
	if who, why := f.pick(verdict(VerdictForming)); len(who) > 0 {
		return wait(ReasonStarting, "services start: "+f.starting(), who, why)
	}
	_, why := f.pick(func(MemberFact) bool { return true })
	return Decision{Action: ActionDone, Reason: ReasonFormed, Message: "every member says that the cluster is up", Members: f.addrs(), Evidence: why}
}

// down lists the members that any other calls down.
func (f Facts) down() []netip.Addr {
	var out []netip.Addr
	for _, m := range f.Members {
		for _, c := range m.Status.CVMs {
			if !c.Up && !slices.Contains(out, c.Addr) {
				out = append(out, c.Addr)
			}
		}
	}
	return out
}

// starting tells which services are not up yet, by the first member's word.
func (f Facts) starting() string {
	for _, m := range f.Members {
		if m.Status.Verdict == VerdictForming {
			return m.Status.Why
		}
	}
	return ""
}
