package cvm

import (
	"context"
	"net/netip"
	"slices"
	"sync"

	"github.com/slipwayhq/slipway/deploy/health"
)

// MemberFact is what one look found of one member.
type MemberFact struct {
	Addr netip.Addr
	// Status is of worth if Err is nil.
	Status Status
	Err    *Error
}

// reached reports whether it gave an answer that is understood.
func (m MemberFact) reached() bool { return m.Err == nil && m.Status.Verdict != VerdictUnclear }

// Facts is what one look found of all members, in the order of the request.
// Functions of them decide; they ask nobody.
type Facts struct {
	Members []MemberFact
	// Job is the record of the job that the step is about, on the member that
	// runs it.
	Job Record
	// Token is the attempt that the step is made for.
	Token string
	// VIPAnswers: something answers on the cluster's address already. It is
	// looked at only as long as no member belongs to a cluster.
	VIPAnswers bool
	VIP        netip.Addr
	// Earlier are those on which an earlier attempt may still be at work.
	Earlier []EarlierFact
}

// EarlierFact is the record of a job on a controller VM that does not run this
// attempt's.
type EarlierFact struct {
	Addr netip.Addr
	Job  Record
}

// Action is what a step does.
type Action string

// The actions.
const (
	ActionCreate  Action = "create"   // begin cluster create
	ActionAddNode Action = "add_node" // begin ncli cluster add-node
	ActionStop    Action = "stop"     // begin cluster stop
	ActionDestroy Action = "destroy"  // begin cluster destroy
	ActionWait    Action = "wait"     // look again later
	ActionDone    Action = "done"     // it is as it was asked for
	ActionFail    Action = "fail"     // it will not become so by itself
)

// Ended reports whether the same step need not be asked again.
func (a Action) Ended() bool { return a == ActionDone || a == ActionFail }

// Reason names in one stable word why an action was chosen.
type Reason string

// The reasons. Those of ActionFail say what a person can do in their Hint.
const (
	ReasonAllUnconfigured Reason = "all_unconfigured"      // create: nothing is there yet
	ReasonFormed          Reason = "formed"                // done: every member says so
	ReasonJobRuns         Reason = "job_runs"              // wait
	ReasonUnreached       Reason = "member_unreached"      // wait
	ReasonUnclear         Reason = "member_unclear"        // wait
	ReasonStarting        Reason = "services_starting"     // wait
	ReasonMemberDown      Reason = "member_down"           // wait
	ReasonWrongHost       Reason = "wrong_host"            // fail
	ReasonOtherCluster    Reason = "belongs_elsewhere"     // fail
	ReasonHalfFormed      Reason = "half_formed"           // fail
	ReasonJobFailed       Reason = "job_failed"            // fail
	ReasonJobDied         Reason = "job_died"              // fail
	ReasonNotDone         Reason = "said_done_but_is_not"  // fail
	ReasonStopped         Reason = "cluster_stopped"       // fail
	ReasonVIPTaken        Reason = "vip_taken"             // fail
	ReasonNotGrowable     Reason = "single_node_not_grown" // fail
	ReasonNotListed       Reason = "not_listed"            // add_node
	ReasonJoined          Reason = "joined"                // done
	ReasonUndiscovered    Reason = "not_discovered"        // wait
	ReasonRuns            Reason = "runs"                  // stop
	ReasonIsStopped       Reason = "is_stopped"            // destroy
	ReasonGone            Reason = "gone"                  // done
)

// Decision is what a step does, why, and whom it is about.
type Decision struct {
	Action  Action
	Reason  Reason
	Message string       // one sentence, for people
	Hint    string       // what a person can do, if it failed
	Members []netip.Addr // the culprits, or those that are waited for
	// Evidence is what it rests on: lines of `cluster status` or of the job.
	Evidence []string
}

// Step is a decision, what it rests on, and what became of it.
type Step struct {
	Decision
	Facts Facts
	// Acted: a job was begun by this very call.
	Acted bool
	// Outside is of Join: when it looked, the new controller VM belonged to the
	// cluster by nobody's word; see JoinFacts.
	Outside bool
}

var failHints = map[Reason]string{
	ReasonWrongHost:    "See which machine answers on this address; retry the node, or replace it.",
	ReasonOtherCluster: "These controller VMs hold another cluster. Take other nodes, or destroy that cluster by hand if it is not needed: Slipway does not touch it.",
	ReasonHalfFormed:   "The cluster has to be given up: clean it (cluster destroy) and form it anew, if need be without the named member.",
	ReasonJobFailed:    "Read the output, mend what it names, and retry: a retry is another attempt.",
	ReasonJobDied:      "The controller VM may have restarted. Retry: a retry is another attempt.",
	ReasonNotDone:      "Read the output: the command ended as if all were well. Mend what it names, and retry.",
	ReasonStopped:      "Run `cluster start` on a controller VM, then retry; or clean the cluster.",
	ReasonVIPTaken:     "Take another cluster address, or free this one.",
	ReasonNotGrowable:  "A cluster of a single node cannot be grown. Form a cluster of three or four nodes.",
}

// fail makes a decision that ends the attempt.
func fail(reason Reason, message string, members []netip.Addr, evidence []string) Decision {
	return Decision{Action: ActionFail, Reason: reason, Message: message, Hint: failHints[reason], Members: members, Evidence: evidence}
}

func wait(reason Reason, message string, members []netip.Addr, evidence []string) Decision {
	return Decision{Action: ActionWait, Reason: reason, Message: message, Members: members, Evidence: evidence}
}

func (f Facts) addrs() []netip.Addr {
	out := make([]netip.Addr, len(f.Members))
	for i, m := range f.Members {
		out[i] = m.Addr
	}
	return out
}

// pick gives the addresses and the evidence of the members that are meant.
func (f Facts) pick(meant func(MemberFact) bool) (addrs []netip.Addr, evidence []string) {
	for _, m := range f.Members {
		if !meant(m) {
			continue
		}
		addrs = append(addrs, m.Addr)
		if m.Err != nil {
			evidence = append(evidence, m.Err.Error())
			continue
		}
		for i, l := range m.Status.Evidence {
			if i == 0 || i <= maxCVMEvidence {
				evidence = append(evidence, m.Addr.String()+": "+l)
			}
		}
	}
	return addrs, evidence
}

// maxCVMEvidence lines of each member are enough for a decision: the state and
// its four members.
const maxCVMEvidence = 6

// mine reports whether the job's record is of this attempt.
func (f Facts) mine() bool { return f.Job.Token != "" && f.Job.Token == f.Token }

// hopeless judges what no waiting mends, and what has to be waited for before
// anything can be concluded. ok tells whether it decided.
func (f Facts) hopeless() (Decision, bool) {
	if who, why := f.pick(func(m MemberFact) bool { return m.Err != nil && m.Err.Class == health.ClassWrongHost }); len(who) > 0 {
		return fail(ReasonWrongHost, list(who)+": the host key is not the one that was reported", who, why), true
	}
	want := f.addrs()
	foreign := func(m MemberFact) bool {
		return m.reached() && m.Status.Verdict.Configured() &&
			slices.ContainsFunc(m.Status.Members(), func(a netip.Addr) bool { return !slices.Contains(want, a) })
	}
	if who, why := f.pick(foreign); len(who) > 0 {
		return fail(ReasonOtherCluster, list(who)+" belongs to a cluster with controller VMs that are not in this request", who, why), true
	}
	return Decision{}, false
}

// waits tells what a conclusion has to wait for.
func (f Facts) waits() (Decision, bool) {
	for _, e := range f.Earlier {
		if e.Job.Busy {
			return wait(ReasonJobRuns, "what an earlier attempt began on "+e.Addr.String()+" still runs", []netip.Addr{e.Addr}, e.Job.Tail), true
		}
	}
	if f.Job.Busy {
		message := "a command of Slipway's runs on " + f.runner().String()
		if len(f.Job.Tail) > 0 {
			message += ": " + lastLine(f.Job.Tail)
		}
		return wait(ReasonJobRuns, message, []netip.Addr{f.runner()}, f.Job.Tail), true
	}
	if who, why := f.pick(func(m MemberFact) bool { return m.Err != nil }); len(who) > 0 {
		return wait(ReasonUnreached, "waits for an answer of "+list(who), who, why), true
	}
	if who, why := f.pick(func(m MemberFact) bool { return m.Status.Verdict == VerdictUnclear }); len(who) > 0 {
		return wait(ReasonUnclear, "the answer of "+list(who)+" is not clear", who, why), true
	}
	if !f.Job.Known {
		return wait(ReasonUnreached, "waits for "+f.runner().String()+" to tell of its jobs", []netip.Addr{f.runner()}, nil), true
	}
	return Decision{}, false
}

// partial is the step of a look that its context ended: what was seen until then,
// and whom it waited for.
func (f Facts) partial() Step {
	who, why := f.pick(func(m MemberFact) bool { return m.Err != nil })
	if len(who) == 0 {
		who = []netip.Addr{f.runner()}
	}
	return Step{Decision: wait(ReasonUnreached, "waits for an answer of "+list(who), who, why), Facts: f}
}

// runner is the member on which jobs of a formation run.
func (f Facts) runner() netip.Addr {
	if len(f.Members) == 0 {
		return netip.Addr{}
	}
	return f.Members[0].Addr
}

// jobEnded judges an attempt whose job is over although its end was not reached.
func (f Facts) jobEnded(what string, who []netip.Addr) Decision {
	switch {
	case !f.Job.Ended:
		return fail(ReasonJobDied, what+" was begun and ended without an exit status", who, f.Job.Tail)
	case f.Job.Exit != 0:
		return fail(ReasonJobFailed, what+" failed: "+lastLine(f.Job.Tail), who, f.Job.Tail)
	}
	return fail(ReasonNotDone, what+" ended with success, but it is not so: "+lastLine(f.Job.Tail), who, f.Job.Tail)
}

func lastLine(tail []string) string {
	if len(tail) == 0 {
		return "it printed nothing"
	}
	return tail[len(tail)-1]
}

func list(addrs []netip.Addr) string {
	names := make([]string, len(addrs))
	for i, a := range addrs {
		names[i] = a.String()
	}
	return some(names)
}

// look asks every member at once; each answer has its own deadline.
func (c *Client) look(ctx context.Context, targets []Target) []MemberFact {
	out := make([]MemberFact, len(targets))
	var all sync.WaitGroup
	for i, t := range targets {
		all.Go(func() {
			status, err := c.Status(ctx, t)
			out[i] = MemberFact{Addr: t.Addr, Status: status, Err: asError(err, "cluster status", t.Addr)}
		})
	}
	all.Wait()
	return out
}

// record looks at a job; who cannot be asked leaves a record that is not known.
func (c *Client) record(ctx context.Context, t Target, job Job) Record {
	r, err := c.Job(ctx, t, job)
	if err != nil {
		return Record{}
	}
	return r
}
