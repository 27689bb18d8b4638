package cvm

import (
	"context"
	"net/netip"
	"slices"
	"sync"
)

// CheckName names one check of a cluster.
type CheckName string

// The checks, in the order in which they are told.
const (
	CheckAnswers CheckName = "cvm_answers"    // each: it answers `cluster status`
	CheckMember  CheckName = "cvm_services"   // each: it calls itself up, with every service
	CheckPrism   CheckName = "prism_answers"  // each, and the cluster's address: TLS on Prism's port
	CheckNormal  CheckName = "cluster_normal" // all: every member says the same, and that all is up
)

// Check is one check with its evidence.
type Check struct {
	Name     CheckName
	Addr     netip.Addr // whom it is about; zero for the cluster
	OK       bool
	Class    Class // why there was no answer; empty if there was one
	Message  string
	Hint     string
	Evidence []string
	// Prism is set for a handshake that was made.
	Prism *Prism
}

// Report is the health of a cluster.
type Report struct{ Checks []Check }

// OK reports whether every check is.
func (r Report) OK() bool {
	return len(r.Checks) > 0 && !slices.ContainsFunc(r.Checks, func(c Check) bool { return !c.OK })
}

// Bad lists the checks that are not well.
func (r Report) Bad() []Check {
	return slices.DeleteFunc(slices.Clone(r.Checks), func(c Check) bool { return c.OK })
}

// Health asks every member and Prism on each, and on the cluster's address if
// vip is one. All is asked at once; each question has its own deadline.
func (c *Client) Health(ctx context.Context, members []Target, vip netip.Addr) Report {
	var facts []MemberFact
	var all sync.WaitGroup
	all.Go(func() { facts = c.look(ctx, members) })
	at := make([]netip.AddrPort, 0, len(members)+1)
	for _, t := range members {
		at = append(at, t.prism())
	}
	if vip.IsValid() && len(members) > 0 {
		at = append(at, netip.AddrPortFrom(vip, members[0].prism().Port()))
	}
	prism := make([]Check, len(at))
	for i, a := range at {
		all.Go(func() { prism[i] = c.checkPrism(ctx, a) })
	}
	all.Wait()
	r := Report{}
	for _, m := range facts {
		r.Checks = append(r.Checks, checkAnswers(m), checkMember(m))
	}
	r.Checks = append(r.Checks, prism...)
	if len(members) > 0 {
		r.Checks = append(r.Checks, checkNormal(Facts{Members: facts}))
	}
	return r
}

func (c *Client) checkPrism(ctx context.Context, at netip.AddrPort) Check {
	p, err := c.PrismAnswers(ctx, at)
	if e := asError(err, "TLS handshake with Prism", at.Addr()); e != nil {
		return Check{Name: CheckPrism, Addr: at.Addr(), Class: e.Class, Message: e.Message, Hint: e.Hint}
	}
	return Check{Name: CheckPrism, Addr: at.Addr(), OK: true, Message: "Prism answers on " + at.String(), Evidence: []string{p.Evidence()}, Prism: &p}
}

func checkAnswers(m MemberFact) Check {
	k := Check{Name: CheckAnswers, Addr: m.Addr}
	switch {
	case m.Err != nil:
		k.Class, k.Message, k.Hint = m.Err.Class, m.Err.Message, m.Err.Hint
	case m.Status.Verdict == VerdictUnclear:
		k.Class, k.Message, k.Hint, k.Evidence = ClassUnclear, m.Status.Why, hints[ClassUnclear], m.Status.Evidence
	default:
		k.OK, k.Message, k.Evidence = true, "it answers: "+m.Status.Why, m.Status.Evidence
	}
	return k
}

// checkMember judges a member by its own word.
func checkMember(m MemberFact) Check {
	k := Check{Name: CheckMember, Addr: m.Addr}
	if !m.reached() {
		k.Class, k.Message = ClassOf(errOf(m)), "it gave no answer to judge by"
		return k
	}
	own, ok := m.Status.Member(m.Addr)
	switch {
	case !ok:
		k.Message = "it does not count itself to a cluster"
	case !own.Up:
		k.Message = "it calls itself down"
	case len(own.Down()) > 0:
		k.Message = "services that are not up: " + some(own.Down())
	default:
		k.OK, k.Message = true, "all of its services are up"
	}
	k.Evidence = m.Status.Evidence
	return k
}

func errOf(m MemberFact) error {
	if m.Err != nil {
		return m.Err
	}
	return &Error{Class: ClassUnclear}
}

// checkNormal asks the same question as a formation: is it what was wanted?
func checkNormal(f Facts) Check {
	f.Job.Known = true
	k := Check{Name: CheckNormal}
	d := Decide(f)
	k.OK, k.Message, k.Hint, k.Evidence = d.Action == ActionDone, d.Message, d.Hint, d.Evidence
	if d.Action == ActionCreate {
		k.OK, k.Message = false, "there is no cluster: no member belongs to one"
	}
	return k
}
