package cvm

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/slipwayhq/slipway/deploy/health"
)

var (
	three   = addrs("10.0.0.1", "10.0.0.2", "10.0.0.3")
	foreign = netip.MustParseAddr("10.0.0.77")
)

// says makes a member's answer that lists the given members.
func says(at netip.Addr, v Verdict, members ...netip.Addr) MemberFact {
	s := Status{Verdict: v, Why: string(v), Evidence: []string{string(v)}}
	if v.Configured() {
		for i, a := range members {
			c := CVM{Addr: a, Up: true}
			for _, n := range essential {
				c.Services = append(c.Services, Service{Name: n, Up: v == VerdictUp})
			}
			if v == VerdictDown && i == len(members)-1 {
				c = CVM{Addr: a}
			}
			s.CVMs = append(s.CVMs, c)
		}
	}
	return MemberFact{Addr: at, Status: s}
}

func silent(at netip.Addr, class Class) MemberFact {
	return MemberFact{Addr: at, Err: failed(class, "cluster status", at, nil, "no answer")}
}

func all(v Verdict) []MemberFact {
	out := make([]MemberFact, len(three))
	for i, a := range three {
		out[i] = says(a, v, three...)
	}
	return out
}

func with(i int, m MemberFact, in []MemberFact) []MemberFact {
	out := slices.Clone(in)
	out[i] = m
	return out
}

var (
	never  = Record{Known: true}
	runs   = Record{Known: true, Busy: true, Token: "a-2", Tail: []string{"works"}}
	died   = Record{Known: true, Token: "a-2"}
	broke  = Record{Known: true, Token: "a-2", Ended: true, Exit: 1, Tail: []string{"CRITICAL it broke"}}
	lied   = Record{Known: true, Token: "a-2", Ended: true, Tail: []string{"ERROR Failed"}}
	before = Record{Known: true, Token: "a-1", Ended: true, Exit: 1}
)

func TestDecide(t *testing.T) {
	blank := all(VerdictUnconfigured)
	for _, c := range []struct {
		name    string
		members []MemberFact
		job     Record
		vip     bool
		action  Action
		reason  Reason
		about   []netip.Addr
	}{
		{name: "nothing yet", members: blank, job: never, action: ActionCreate, reason: ReasonAllUnconfigured, about: three},
		{name: "an earlier attempt failed", members: blank, job: before, action: ActionCreate, reason: ReasonAllUnconfigured, about: three},
		{name: "begun, killed before the first look", members: blank, job: runs, action: ActionWait, reason: ReasonJobRuns, about: three[:1]},
		{name: "the address is taken", members: blank, job: never, vip: true, action: ActionFail, reason: ReasonVIPTaken, about: addrs("10.0.0.9")},
		{name: "creation died early", members: blank, job: died, action: ActionFail, reason: ReasonJobDied, about: three[:1]},
		{name: "creation failed early", members: blank, job: broke, action: ActionFail, reason: ReasonJobFailed, about: three[:1]},
		{name: "exit 0 with failure text", members: blank, job: lied, action: ActionFail, reason: ReasonNotDone, about: three[:1]},
		{name: "the first does not tell of its jobs", members: blank, job: Record{}, action: ActionWait, reason: ReasonUnreached, about: three[:1]},
		{name: "one never answers", members: with(2, silent(three[2], health.ClassTimeout), blank), job: never, action: ActionWait, reason: ReasonUnreached, about: three[2:]},
		{name: "one takes no key", members: with(2, silent(three[2], health.ClassAuthFailed), blank), job: never, action: ActionWait, reason: ReasonUnreached, about: three[2:]},
		{name: "another host", members: with(1, silent(three[1], health.ClassWrongHost), blank), job: runs, action: ActionFail, reason: ReasonWrongHost, about: three[1:2]},
		{name: "garbage", members: with(1, says(three[1], VerdictUnclear), blank), job: never, action: ActionWait, reason: ReasonUnclear, about: three[1:2]},
		{name: "belongs elsewhere", members: with(1, says(three[1], VerdictUp, three[1], foreign), blank), job: never, action: ActionFail, reason: ReasonOtherCluster, about: three[1:2]},
		{name: "half-way", members: with(2, says(three[2], VerdictUnconfigured), all(VerdictForming)), job: runs, action: ActionWait, reason: ReasonJobRuns, about: three[:1]},
		{name: "half-formed, died", members: with(2, says(three[2], VerdictUnconfigured), all(VerdictForming)), job: died, action: ActionFail, reason: ReasonHalfFormed, about: three[2:]},
		{name: "half-formed, failed", members: with(2, says(three[2], VerdictUnconfigured), all(VerdictForming)), job: broke, action: ActionFail, reason: ReasonHalfFormed, about: three[2:]},
		{name: "half-formed, said to be well", members: with(2, says(three[2], VerdictUnconfigured), all(VerdictUp)), job: lied, action: ActionFail, reason: ReasonHalfFormed, about: three[2:]},
		{name: "half-formed by somebody", members: with(0, says(three[0], VerdictUnconfigured), all(VerdictUp)), job: never, action: ActionFail, reason: ReasonHalfFormed, about: three[:1]},
		{name: "one does not count all", members: with(1, says(three[1], VerdictUp, three[:2]...), all(VerdictUp)), job: lied, action: ActionFail, reason: ReasonHalfFormed, about: three[1:2]},
		{name: "each a cluster of its own", members: []MemberFact{says(three[0], VerdictUp, three[0]), says(three[1], VerdictUp, three[1]), says(three[2], VerdictUp, three[2])}, job: never, action: ActionFail, reason: ReasonHalfFormed, about: three},
		{name: "services start", members: all(VerdictForming), job: runs, action: ActionWait, reason: ReasonJobRuns, about: three[:1]},
		{name: "services start, creation failed", members: all(VerdictForming), job: broke, action: ActionWait, reason: ReasonStarting, about: three},
		{name: "services start, creation died", members: all(VerdictForming), job: died, action: ActionWait, reason: ReasonStarting, about: three},
		{name: "one is down for the others", members: with(0, says(three[0], VerdictDown, three...), all(VerdictUp)), job: lied, action: ActionWait, reason: ReasonMemberDown, about: three[2:]},
		{name: "stopped", members: all(VerdictStopped), job: never, action: ActionFail, reason: ReasonStopped, about: three},
		{name: "up, the command is not at its end", members: all(VerdictUp), job: runs, action: ActionWait, reason: ReasonJobRuns, about: three[:1]},
		{name: "up", members: all(VerdictUp), job: lied, action: ActionDone, reason: ReasonFormed, about: three},
		{name: "up although the command failed", members: all(VerdictUp), job: broke, action: ActionDone, reason: ReasonFormed, about: three},
		{name: "up although the command died", members: all(VerdictUp), job: died, action: ActionDone, reason: ReasonFormed, about: three},
		{name: "up before we came", members: all(VerdictUp), job: never, action: ActionDone, reason: ReasonFormed, about: three},
		{name: "up, but one is silent", members: with(2, silent(three[2], health.ClassRefused), all(VerdictUp)), job: lied, action: ActionWait, reason: ReasonUnreached, about: three[2:]},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := Decide(Facts{Members: c.members, Job: c.job, Token: "a-2", VIP: netip.MustParseAddr("10.0.0.9"), VIPAnswers: c.vip})
			if d.Action != c.action || d.Reason != c.reason || !slices.Equal(d.Members, c.about) {
				t.Errorf("%s %s about %v: %s", d.Action, d.Reason, d.Members, d.Message)
			}
			if d.Message == "" || d.Action == ActionFail && d.Hint == "" {
				t.Errorf("%+v says too little", d)
			}
			if c.action == ActionFail && len(d.Evidence) == 0 && c.job.Tail != nil {
				t.Errorf("no evidence")
			}
		})
	}
}

// Over every mixture of three members and every record.
func TestDecideHoldsForAllFacts(t *testing.T) {
	kinds := []func(a netip.Addr) MemberFact{
		func(a netip.Addr) MemberFact { return says(a, VerdictUnconfigured) },
		func(a netip.Addr) MemberFact { return says(a, VerdictForming, three...) },
		func(a netip.Addr) MemberFact { return says(a, VerdictUp, three...) },
		func(a netip.Addr) MemberFact { return says(a, VerdictDown, three...) },
		func(a netip.Addr) MemberFact { return says(a, VerdictStopped, three...) },
		func(a netip.Addr) MemberFact { return says(a, VerdictUnclear) },
		func(a netip.Addr) MemberFact { return says(a, VerdictUp, a) },
		func(a netip.Addr) MemberFact { return says(a, VerdictUp, a, foreign) },
		func(a netip.Addr) MemberFact { return silent(a, health.ClassTimeout) },
		func(a netip.Addr) MemberFact { return silent(a, health.ClassWrongHost) },
	}
	records := []Record{{}, never, runs, died, broke, lied, before}
	created, done := 0, 0
	for _, x := range kinds {
		for _, y := range kinds {
			for _, z := range kinds {
				for _, r := range records {
					f := Facts{Members: []MemberFact{x(three[0]), y(three[1]), z(three[2])}, Job: r, Token: "a-2"}
					d := Decide(f)
					every := func(v Verdict) bool {
						return !slices.ContainsFunc(f.Members, func(m MemberFact) bool { return m.Err != nil || m.Status.Verdict != v })
					}
					whole := !slices.ContainsFunc(f.Members, func(m MemberFact) bool { return len(m.Status.CVMs) != 3 })
					switch d.Action {
					case ActionCreate:
						created++
						if !every(VerdictUnconfigured) || !r.Known || r.Busy || r.Token == "a-2" {
							t.Fatalf("creates by %+v", f)
						}
					case ActionDone:
						done++
						if !every(VerdictUp) || !whole || !r.Known || r.Busy {
							t.Fatalf("done by %+v", f)
						}
					case ActionWait, ActionFail:
						if len(d.Members) == 0 || d.Message == "" {
							t.Fatalf("%+v by %+v", d, f)
						}
					default:
						t.Fatalf("%s", d.Action)
					}
				}
			}
		}
	}
	if created != 2 || done != 5 {
		t.Errorf("created %d times, done %d times", created, done)
	}
}

func TestDecideJoin(t *testing.T) {
	fresh := netip.MustParseAddr("10.0.0.4")
	four := append(slices.Clone(three), fresh)
	grown := func(v Verdict) []MemberFact {
		return []MemberFact{says(three[0], v, four...), says(three[1], v, four...), says(three[2], v, four...)}
	}
	blank := says(fresh, VerdictUnconfigured)
	for _, c := range []struct {
		name   string
		old    []MemberFact
		fresh  MemberFact
		job    Record
		action Action
		reason Reason
	}{
		{"to be added", all(VerdictUp), blank, never, ActionAddNode, ReasonNotListed},
		{"an earlier attempt failed", all(VerdictUp), blank, before, ActionAddNode, ReasonNotListed},
		{"the cluster is not well", all(VerdictForming), blank, never, ActionWait, ReasonStarting},
		{"the cluster is stopped", all(VerdictStopped), blank, never, ActionFail, ReasonStopped},
		{"the new one is silent", all(VerdictUp), silent(fresh, health.ClassRefused), never, ActionWait, ReasonUnreached},
		{"the new one is another host", all(VerdictUp), silent(fresh, health.ClassWrongHost), never, ActionFail, ReasonWrongHost},
		{"runs", all(VerdictUp), blank, runs, ActionWait, ReasonJobRuns},
		{"begun", all(VerdictUp), blank, lied, ActionWait, ReasonStarting},
		{"failed", all(VerdictUp), blank, broke, ActionFail, ReasonJobFailed},
		{"died", all(VerdictUp), blank, died, ActionFail, ReasonJobDied},
		{"listed by some", with(0, grown(VerdictForming)[0], all(VerdictUp)), blank, lied, ActionWait, ReasonStarting},
		{"listed, starts", grown(VerdictForming), says(fresh, VerdictForming, four...), lied, ActionWait, ReasonStarting},
		{"joined", grown(VerdictUp), says(fresh, VerdictUp, four...), lied, ActionDone, ReasonJoined},
		{"joined before", grown(VerdictUp), says(fresh, VerdictUp, four...), never, ActionDone, ReasonJoined},
		{"has its own cluster", all(VerdictUp), says(fresh, VerdictUp, fresh), never, ActionFail, ReasonOtherCluster},
		{"has another's cluster", all(VerdictUp), says(fresh, VerdictUp, fresh, foreign), never, ActionFail, ReasonOtherCluster},
		{"the cluster has more members", with(0, says(three[0], VerdictUp, append(slices.Clone(three), foreign)...), all(VerdictUp)), blank, never, ActionFail, ReasonOtherCluster},
		{"an old one has left", with(0, blankAt(three[0]), all(VerdictUp)), blank, never, ActionFail, ReasonOtherCluster},
		{"a single node", []MemberFact{says(three[0], VerdictUp, three[0])}, blank, never, ActionFail, ReasonNotGrowable},
		{"an old one is silent", with(1, silent(three[1], health.ClassRefused), all(VerdictUp)), blank, never, ActionWait, ReasonUnreached},
		{"counts itself first", all(VerdictUp), says(fresh, VerdictForming, four...), lied, ActionFail, ReasonOtherCluster},
	} {
		t.Run(c.name, func(t *testing.T) {
			facts := JoinFacts{Facts: Facts{Members: c.old, Job: c.job, Token: "a-2"}, New: c.fresh}
			d := DecideJoin(facts)
			if d.Action != c.action || d.Reason != c.reason || d.Message == "" {
				t.Errorf("%s %s: %s", d.Action, d.Reason, d.Message)
			}
			mayBe := []string{"runs", "listed by some", "listed, starts", "joined", "joined before", "an old one has left", "an old one is silent", "counts itself first"}
			if facts.outside() == slices.Contains(mayBe, c.name) {
				t.Errorf("it is called outside: %v", facts.outside())
			}
		})
	}
}

func blankAt(a netip.Addr) MemberFact { return says(a, VerdictUnconfigured) }

func TestDecideDestroy(t *testing.T) {
	for _, c := range []struct {
		name          string
		members       []MemberFact
		stop, destroy Record
		action        Action
		reason        Reason
	}{
		{"runs", all(VerdictUp), never, never, ActionStop, ReasonRuns},
		{"an earlier attempt", all(VerdictForming), before, before, ActionStop, ReasonRuns},
		{"is being stopped", all(VerdictUp), runs, runs, ActionWait, ReasonJobRuns},
		{"would not stop", all(VerdictUp), broke, never, ActionFail, ReasonJobFailed},
		{"said to stop", all(VerdictUp), lied, never, ActionFail, ReasonNotDone},
		{"stopped", all(VerdictStopped), lied, never, ActionDestroy, ReasonIsStopped},
		{"stopped by somebody", all(VerdictStopped), never, never, ActionDestroy, ReasonIsStopped},
		{"is being destroyed", all(VerdictStopped), lied, runs, ActionWait, ReasonJobRuns},
		{"would not go", all(VerdictStopped), lied, broke, ActionFail, ReasonJobFailed},
		{"died", all(VerdictStopped), lied, died, ActionFail, ReasonJobDied},
		{"gone", all(VerdictUnconfigured), lied, lied, ActionDone, ReasonGone},
		{"never was", all(VerdictUnconfigured), never, never, ActionDone, ReasonGone},
		{"one is silent", with(1, silent(three[1], health.ClassTimeout), all(VerdictUp)), never, never, ActionWait, ReasonUnreached},
		{"another's", with(1, says(three[1], VerdictUp, three[1], foreign), all(VerdictUp)), never, never, ActionFail, ReasonOtherCluster},
		{"half gone", with(0, blankAt(three[0]), all(VerdictStopped)), lied, lied, ActionFail, ReasonHalfFormed},
		{"records are not known", all(VerdictUp), Record{}, Record{}, ActionWait, ReasonUnreached},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := DecideDestroy(DestroyFacts{Facts: Facts{Members: c.members, Token: "a-2"}, Stop: c.stop, Destroy: c.destroy, Runner: three[0]})
			if d.Action != c.action || d.Reason != c.reason || d.Message == "" {
				t.Errorf("%s %s: %s", d.Action, d.Reason, d.Message)
			}
		})
	}
}
