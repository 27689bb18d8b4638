package crash

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/slipwayhq/slipway/deploy"
)

// life is one node, from its order to its cleanup.
type life struct {
	w          *world
	ctx        context.Context //nolint:containedctx // that of the test
	name       string
	node       int64
	deployment int64
	serial     int // of requests

	canceled bool          // somebody asked for the present deployment's end
	replaced map[int64]int // how often a deployment's server was given up
	ends     []string      // how its deployments ended
	installs int           // no earlier attempt's installation counts
}

func (w *world) newLife(ctx context.Context, name string) *life {
	return &life{w: w, ctx: ctx, name: name, replaced: map[int64]int{}}
}

// request asks for something. A refusal is fine if an earlier try, whose
// answer was lost, was accepted: then the state says so.
func (l *life) request(in request) (answer, error) {
	l.serial++
	in.Key, in.Node, in.Name = fmt.Sprintf("%s-%d", l.name, l.serial), l.node, l.name
	if in.Verb != "deploy" && in.Verb != "reinitialize" {
		in.Deployment = l.deployment
	}
	return l.w.ask(l.ctx, in)
}

// order asks for a deployment, of a new node the first time.
func (l *life) order(verb string) error {
	out, err := l.request(request{Verb: verb})
	if err != nil {
		return err
	}
	if out.Code != "" {
		return fmt.Errorf("%s of %s was refused: %s: %s", verb, l.name, out.Code, out.Message)
	}
	l.node, l.deployment, l.canceled, l.installs = out.Node, out.Deployment, false, 1
	return nil
}

// change asks for another state of the deployment, and makes sure that it has
// left the one it was in. Lost is the refusal of a repeated request whose first
// try was accepted.
func (l *life) change(verb string) error {
	before, err := l.w.state(l.ctx)
	if err != nil {
		return err
	}
	was := before.of(l.deployment)
	out, err := l.request(request{Verb: verb})
	if err != nil || out.Code == "" {
		return err
	}
	now, err := l.w.state(l.ctx)
	if err != nil {
		return err
	}
	if is := now.of(l.deployment); is.Sequence == was.Sequence {
		return fmt.Errorf("%s of %s, which is %s, was refused: %s: %s", verb, l.name, is.State, out.Code, out.Message)
	}
	return nil
}

// cancelAfter asks for the end of the deployment when the cores have passed
// that many points more, if it has not ended by then.
func (l *life) cancelAfter(points int, immediate bool) error {
	begin := l.w.passed()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for looked := time.Now(); l.w.passed() < begin+points; <-tick.C {
		if time.Since(looked) < lookEvery {
			continue
		}
		looked = time.Now()
		s, err := l.w.state(l.ctx)
		if err != nil {
			return err
		}
		if s.restful(l.deployment) {
			return nil
		}
	}
	l.canceled = true
	out, err := l.request(request{Verb: "cancel", Immediate: immediate})
	if err == nil && out.Code != "" && out.Code != deploy.CodeDeploymentEnded {
		err = fmt.Errorf("cancel of %s was refused: %s: %s", l.name, out.Code, out.Message)
	}
	return err
}

func (w *world) passed() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.child == nil {
		return w.past
	}
	return w.past + w.child.told
}

// ended waits for the deployment's end, and tells whether it is true.
func (l *life) ended() (deployment, error) {
	s, err := l.w.rest(l.ctx, l.deployment)
	if err != nil {
		return deployment{}, err
	}
	d := s.of(l.deployment)
	var bad problems
	if d.Open != 0 || d.Sequence != d.Events || d.Sequence != d.Last {
		bad.add("its history has %d events, the highest is %d of %d, and %d phases are open", d.Events, d.Last, d.Sequence, d.Open)
	}
	switch d.State {
	case "succeeded":
		l.succeeded(d, &bad)
	case "canceled":
		if !l.canceled {
			bad.add("nobody canceled it")
		}
	case "failed":
		reason := reasonOf(d)
		if reason == "" || !l.w.struck(reason) {
			bad.add("nothing was done to it that explains its failure in %s: %s: %s", d.FailedIn, d.Code, d.Failure)
		}
	case "cleaned_up":
		l.cleanedUp(s, d, &bad)
	}
	if err := bad.err(); err != nil {
		return d, fmt.Errorf("deployment %d of %s, %s, is %s: %w", d.ID, d.Name, d.Kind, d.State, err)
	}
	return d, nil
}

// succeeded checks that the machine which is said to be deployed is there, and
// runs what was installed since it was last asked to boot anew.
func (l *life) succeeded(d deployment, bad *problems) {
	if d.Phase != "deployed" || d.Successes != 1 {
		bad.add("it is at %s, and was deployed %d times", d.Phase, d.Successes)
	}
	status := "not there"
	for _, s := range l.w.sim.State().Servers {
		if s.ID == d.Server {
			status = s.Status
			if s.IP != d.IP || !s.Powered {
				bad.add("its server has the address %s, not %s, or no power (%v)", s.IP, d.IP, s.Powered)
			}
		}
	}
	if status != "running" {
		bad.add("its server %q is %s", d.Server, status)
	}
	if id, attempt := l.w.fleet.installedOn(d.Server); id != d.ID || attempt < l.installs || attempt > d.Attempt {
		bad.add("on its server is what attempt %d of deployment %d installed, not %d to %d of %d", attempt, id, l.installs, d.Attempt, d.ID)
	}
}

func (l *life) cleanedUp(s *state, d deployment, bad *problems) {
	if d.Phase != "cleanup_completed" || d.Server != "" || d.IP != "" {
		bad.add("it is at %s, and its node has still the server %q at %q", d.Phase, d.Server, d.IP)
	}
	for _, r := range s.Rows {
		if r.NodeID == l.node && r.State != deploy.ResourceGone {
			bad.add("%s %s is %s", r.Kind, r.Name, r.State)
		}
	}
	for _, server := range l.w.sim.State().Servers {
		if strings.Contains(server.Name, l.name+"-") {
			bad.add("the server %s is there still (%s)", server.Name, server.Status)
		}
	}
}

// cleanUp releases everything, however often it must be asked for.
func (l *life) cleanUp() error {
	for range 4 {
		if err := l.change("cleanup"); err != nil {
			return err
		}
		d, err := l.ended()
		if err != nil || d.State == "cleaned_up" {
			return err
		}
	}
	return fmt.Errorf("the cleanup of %s fails again and again", l.name)
}

// retry asks for another attempt of a failed deployment, and takes down
// whether that gives up its server.
func (l *life) retry(d deployment) error {
	if reasonOf(d) == reasonCapacity && d.Kind == deploy.KindInstall {
		l.replaced[d.ID]++
	}
	if d.FailedIn != "dns_registration" && d.FailedIn != "health_validation" {
		l.installs = d.Attempt + 1
	}
	return l.change("retry")
}

// The reasons for which a deployment may fail: what was done to it.
const (
	reasonCapacity  = "no capacity"
	reasonForbidden = "forbidden"
	reasonInstall   = "the install failed"
	reasonNoBoot    = "it never boots"
)

// reasonOf reads a failure; empty if it is none that is provoked.
func reasonOf(d deployment) string {
	switch {
	case d.FailedIn == "monitoring_start" && strings.Contains(d.Failure, "cannot_start_capacity"):
		return reasonCapacity
	case d.Code == string(deploy.CodeForbidden) && strings.Contains(d.Failure, "403"):
		return reasonForbidden
	case d.FailedIn == "installation" && strings.Contains(d.Failure, broken):
		return reasonInstall
	case d.FailedIn == "monitoring_start" && d.Code == "deadline_passed":
		return reasonNoBoot
	}
	return ""
}
