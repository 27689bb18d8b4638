package rack_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/provider/conformance"
	"github.com/slipwayhq/slipway/provider/rack"
	"github.com/slipwayhq/slipway/provider/rack/bmcsim"
)

const macOfOne = "52:54:00:ab:cd:ef"

// order is a first attempt.
func (h *house) order(change func(*deploy.Power)) deploy.Order {
	s := h.spec
	if change != nil {
		s.Power = with(s.Power, change)
	}
	return deploy.Order{NodeID: 11, NodeName: "node-a", DeploymentID: 7, Attempt: 1, Spec: s}
}

// until repeats an order as the workflow does, and tells what it waited for.
func (h *house) until(t *testing.T, p *rack.Provider, o deploy.Order) (deploy.Machine, []string, error) {
	t.Helper()
	var waited []string
	for range 100 {
		m, err := p.Order(t.Context(), o)
		var e *deploy.ProviderError
		if !errors.As(err, &e) || !e.Temporary {
			return m, waited, err
		}
		waited = append(waited, e.Message)
		h.clock.Advance(e.Wait)
	}
	t.Fatalf("no end: %q", waited)
	return deploy.Machine{}, nil, nil
}

func (h *house) must(t *testing.T, p *rack.Provider, o deploy.Order) (deploy.Machine, []string) {
	t.Helper()
	m, waited, err := h.until(t, p, o)
	if err != nil {
		t.Fatalf("%v, after %q", err, waited)
	}
	return m, waited
}

func refusal(t *testing.T, err error, code deploy.Code, says string) *deploy.ProviderError {
	t.Helper()
	var e *deploy.ProviderError
	if !errors.As(err, &e) || e.Temporary || e.Code != code || !strings.Contains(e.Message, says) || e.Hint == "" {
		t.Fatalf("%v; want %s with %q and a hint", err, code, says)
	}
	return e
}

func TestAMachineIsSwitchedToBootFromTheNetworkOnce(t *testing.T) {
	for name, c := range map[string]struct {
		before string
		change func(*deploy.Power)
		resets []string
		boot   bmcsim.Boot
	}{
		"off":         {bmcsim.Off, nil, []string{"On"}, bmcsim.Boot{Target: "Pxe", Mode: "UEFI"}},
		"on":          {bmcsim.On, nil, []string{"ForceOff", "On"}, bmcsim.Boot{Target: "Pxe", Mode: "UEFI"}},
		"BIOS":        {bmcsim.Off, func(p *deploy.Power) { p.BootMode = "legacy" }, []string{"On"}, bmcsim.Boot{Target: "Pxe", Mode: "Legacy"}},
		"UEFI's HTTP": {bmcsim.On, func(p *deploy.Power) { p.BootFrom, p.BootMode = "http", "uefi" }, []string{"ForceOff", "On"}, bmcsim.Boot{Target: "UefiHttp", Mode: "UEFI"}},
	} {
		t.Run(name, func(t *testing.T) {
			h, j := newHouse(t, func(o *bmcsim.Options) { o.Sessions = 1 }), &conformance.Journal{}
			h.sim.Add("1", "System", macOfOne)
			if c.before == bmcsim.On {
				h.sim.Press("1", bmcsim.On)
			}
			before := len(h.sim.Boots("1"))
			m, waited := h.must(t, h.provider(t, j, nil), h.order(c.change))
			if m.ManagementIP != "127.0.0.9" || m.MACs[0] != macOfOne || m.ServerID != "" {
				t.Errorf("%+v", m)
			}
			for range 3 {
				h.must(t, h.provider(t, j, nil), h.order(c.change))
			}
			boots := h.sim.Boots("1")[before:]
			if len(boots) != 1 || boots[0].Target != c.boot.Target || boots[0].Mode != c.boot.Mode {
				t.Errorf("booted %+v", boots)
			}
			if got := h.sim.Resets("1"); !slices.Equal(got, c.resets) {
				t.Errorf("resets %q", got)
			}
			if len(waited) == 0 || !strings.Contains(strings.Join(waited, "; "), "set the boot override") {
				t.Errorf("people were told %q", waited)
			}
			if open, logins := h.sim.Open(); open != 0 || logins == 0 {
				t.Errorf("%d of %d sessions were left behind", open, logins)
			}
			if strings.Contains(string(j.Rows()[0].Details), password) {
				t.Error("the password is in the journal")
			}
		})
	}
}

// Killed before or after any request of an order, the machine boots once.
func TestABootHappensOnce(t *testing.T) {
	run := func(t *testing.T, cut int, after bool) (calls int) {
		h, j := newHouse(t, nil), &conformance.Journal{}
		h.sim.Add("1", "System", macOfOne)
		h.sim.Press("1", bmcsim.On)
		before := len(h.sim.Boots("1"))
		ctx, kill := context.WithCancel(t.Context())
		defer kill()
		act := func(n int) error {
			calls = max(calls, n)
			if n == cut {
				kill()
				return context.Canceled
			}
			return nil
		}
		if after {
			h.hook(conformance.Hooks{After: act})
		} else {
			h.hook(conformance.Hooks{Before: act})
		}
		for range 100 {
			_, err := h.provider(t, j, nil).Order(ctx, h.order(nil))
			var e *deploy.ProviderError
			if err == nil || ctx.Err() != nil {
				break
			}
			if !errors.As(err, &e) || !e.Temporary {
				t.Fatal(err)
			}
			h.clock.Advance(e.Wait)
		}
		h.hook(conformance.Hooks{})
		h.must(t, h.provider(t, j, nil), h.order(nil))
		h.clock.Advance(time.Hour)
		if boots := h.sim.Boots("1")[before:]; len(boots) != 1 || boots[0].Target != "Pxe" {
			t.Errorf("booted %+v", boots)
		}
		return calls
	}
	calls := run(t, 0, false)
	for n := 1; n <= calls; n++ {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("request %d after=%v", n, after), func(t *testing.T) { run(t, n, after) })
		}
	}
}

// An actor that stands still between his record and his command is waited for:
// another one does not take over before the lease has passed.
func TestOneActorAtATime(t *testing.T) {
	h, j := newHouse(t, nil), &conformance.Journal{}
	h.sim.Add("1", "System", macOfOne)
	ctx, kill := context.WithCancel(t.Context())
	var posts int
	h.hook(conformance.Hooks{Before: func(n int) error {
		if posts++; len(j.Rows()) > 0 && strings.Contains(string(j.Rows()[0].Details), `"lease"`) {
			kill() // it dies with the lease in hand
			return context.Canceled
		}
		return nil
	}})
	_, err := h.provider(t, j, nil).Order(ctx, h.order(nil))
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	h.hook(conformance.Hooks{})
	_, err = h.provider(t, j, nil).Order(t.Context(), h.order(nil))
	var e *deploy.ProviderError
	if !errors.As(err, &e) || !e.Temporary || !strings.Contains(e.Message, "somebody else") || e.Wait <= time.Minute {
		t.Fatalf("%v", err)
	}
	j.End(7)
	_, err = h.provider(t, j, nil).Release(t.Context(), deploy.Release{NodeID: 11, NodeName: "node-a", DeploymentID: 7})
	if !errors.As(err, &e) || !e.Temporary || !strings.Contains(e.Message, "may still be commanding") {
		t.Fatalf("%v", err)
	}
	h.clock.Advance(e.Wait)
	steps, err := h.provider(t, j, nil).Release(t.Context(), deploy.Release{NodeID: 11, NodeName: "node-a", DeploymentID: 7})
	if err != nil || len(steps) != 1 || steps[0].Status != deploy.ReleaseDone || !strings.Contains(steps[0].Message, "PowerState Off") {
		t.Fatalf("%+v, %v", steps, err)
	}
	if len(h.sim.Boots("1")) != 0 {
		t.Error("it booted")
	}
}

// A controller that says OK and does nothing is found out, and so is one that
// cannot do it.
func TestControllersThatDoNotDoIt(t *testing.T) {
	for name, c := range map[string]struct {
		options func(*bmcsim.Options)
		faults  []bmcsim.Fault
		power   func(*deploy.Power)
		code    deploy.Code
		says    string
	}{
		"override ignored":    {nil, []bmcsim.Fault{bmcsim.DeafOverride}, nil, deploy.CodeUpstreamUnavailable, "3 times to set the boot override"},
		"reset ignored":       {nil, []bmcsim.Fault{bmcsim.DeafReset}, nil, deploy.CodeUpstreamUnavailable, "3 times to switch off"},
		"no such reset":       {func(o *bmcsim.Options) { o.Resets = []string{"GracefulRestart"} }, nil, nil, deploy.CodeInvalid, "does not offer the reset ForceOff"},
		"wrong password":      {nil, nil, func(p *deploy.Power) { p.PasswordRef = "wrong" }, deploy.CodeUnauthenticated, "power.password_ref: "},
		"no such secret":      {nil, nil, func(p *deploy.Power) { p.PasswordRef = "none" }, deploy.CodeInvalid, "power.password_ref: "},
		"links elsewhere":     {nil, []bmcsim.Fault{bmcsim.Elsewhere}, nil, deploy.CodeForbidden, "points to another host"},
		"not allowed network": {nil, nil, func(p *deploy.Power) { p.URL = "http://192.0.2.1" }, deploy.CodeForbidden, "no network that this server may reach"},
		"no such system":      {nil, nil, func(p *deploy.Power) { p.SystemID = "7" }, deploy.CodeNotFound, "power.system_id: "},
	} {
		t.Run(name, func(t *testing.T) {
			h, j := newHouse(t, c.options), &conformance.Journal{}
			h.sim.Add("1", "System", macOfOne)
			h.sim.Press("1", bmcsim.On)
			h.sim.SetFaults(c.faults...)
			_, waited, err := h.until(t, h.provider(t, j, nil), h.order(c.power))
			e := refusal(t, err, c.code, c.says)
			if told := e.Message + strings.Join(waited, " "); strings.Contains(told, password) || strings.Contains(told, "incorrect") {
				t.Errorf("a password is told: %s", told)
			}
			if open, _ := h.sim.Open(); open != 0 {
				t.Errorf("%d sessions are left behind", open)
			}
		})
	}
}

func TestAControllerInTroubleIsWaitedFor(t *testing.T) {
	for fault, want := range map[bmcsim.Fault]struct {
		code deploy.Code
		wait time.Duration
	}{
		bmcsim.Unavailable: {deploy.CodeUpstreamUnavailable, 10 * time.Second},
		bmcsim.Throttled:   {deploy.CodeRateLimited, 10 * time.Second},
		bmcsim.NoSessions:  {deploy.CodeUpstreamUnavailable, 10 * time.Second},
		bmcsim.Silent:      {deploy.CodeUpstreamUnavailable, 10 * time.Second},
	} {
		t.Run(string(fault), func(t *testing.T) {
			h, j := newHouse(t, nil), &conformance.Journal{}
			h.sim.Add("1", "System", macOfOne)
			h.sim.SetFaults(fault)
			p := h.provider(t, j, func(c *rack.Config) { c.Timeout = 200 * time.Millisecond })
			_, err := p.Order(t.Context(), h.order(nil))
			var e *deploy.ProviderError
			if !errors.As(err, &e) || !e.Temporary || e.Code != want.code || e.Wait < want.wait {
				t.Fatalf("%#v", err)
			}
			h.sim.SetFaults()
			h.must(t, h.provider(t, j, nil), h.order(nil))
		})
	}
}

// A caller who gives up is not held by a silent controller.
func TestCanceledBeforeASilentController(t *testing.T) {
	h, j := newHouse(t, nil), &conformance.Journal{}
	h.sim.Add("1", "System", macOfOne)
	h.sim.SetFaults(bmcsim.Silent)
	ctx, cancel := context.WithCancel(t.Context())
	h.hook(conformance.Hooks{Before: func(int) error { cancel(); return nil }})
	if _, err := h.provider(t, j, nil).Order(ctx, h.order(nil)); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

// Somebody presses the button before the machine could be told what to boot:
// it is switched off again, and boots from the network.
func TestSomebodySwitchesItOnInBetween(t *testing.T) {
	h, j := newHouse(t, func(o *bmcsim.Options) { o.Switching = 0 }), &conformance.Journal{}
	h.sim.Add("1", "System", macOfOne)
	h.sim.Press("1", bmcsim.On)
	p := h.provider(t, j, nil)
	if _, err := p.Order(t.Context(), h.order(nil)); err == nil { // switched off
		t.Fatal("done already")
	}
	h.clock.Advance(3 * time.Second)
	if _, err := p.Order(t.Context(), h.order(nil)); err == nil { // override asked
		t.Fatal("done already")
	}
	h.sim.Press("1", bmcsim.On) // takes the override with it
	h.clock.Advance(2 * time.Second)
	h.must(t, p, h.order(nil))
	boots := h.sim.Boots("1")
	if last := boots[len(boots)-1]; last.Target != "Pxe" {
		t.Errorf("%+v", boots)
	}
}

func TestWhichSystem(t *testing.T) {
	two := func(h *house) {
		h.sim.Add("blade1", "Blade 1", "52:54:00:00:00:01", "52:54:00:00:00:02")
		h.sim.Add("blade2", "Blade 2", "52:54:00:00:00:03", macOfOne)
	}
	for name, c := range map[string]struct {
		add    func(*house)
		faults []bmcsim.Fault
		power  func(*deploy.Power)
		want   string
		says   string
	}{
		"the only one":            {func(h *house) { h.sim.Add("x", "X") }, nil, nil, "x", ""},
		"by its interface":        {two, nil, nil, "blade2", ""},
		"by its id":               {two, nil, func(p *deploy.Power) { p.SystemID = "blade1" }, "blade1", ""},
		"by its name":             {func(h *house) { two(h); h.sim.Add("3", "node-a") }, []bmcsim.Fault{bmcsim.Hidden}, nil, "3", ""},
		"by nothing":              {two, []bmcsim.Fault{bmcsim.Hidden}, nil, "", "blade1, blade2"},
		"two with its interface":  {func(h *house) { two(h); h.sim.Add("blade3", "Blade 3", macOfOne) }, nil, nil, "", "blade1, blade2, blade3"},
		"none at all":             {func(*house) {}, nil, nil, "", "none is known"},
		"an id that is not there": {two, nil, func(p *deploy.Power) { p.SystemID = "blade9" }, "", "blade1, blade2"},
	} {
		t.Run(name, func(t *testing.T) {
			h, j := newHouse(t, nil), &conformance.Journal{}
			c.add(h)
			h.sim.SetFaults(c.faults...)
			_, _, err := h.until(t, h.provider(t, j, nil), h.order(c.power))
			if c.want == "" {
				var e *deploy.ProviderError
				if !errors.As(err, &e) || e.Temporary || !strings.HasPrefix(e.Message, "power.system_id: ") || !strings.Contains(e.Message, c.says) {
					t.Fatal(err)
				}
				return
			}
			if err != nil || len(h.sim.Boots(c.want)) != 1 || j.Rows()[0].CloudID != "/redfish/v1/Systems/"+c.want {
				t.Fatalf("%v; boots %v, row %+v", err, h.sim.Boots(c.want), j.Rows()[0])
			}
		})
	}
}

func TestByHand(t *testing.T) {
	for name, p := range map[string]*rack.Provider{"bare": rack.New(nil), "with Redfish": newHouse(t, nil).provider(t, &conformance.Journal{}, nil)} {
		for _, power := range []*deploy.Power{nil, {Type: deploy.PowerManual}} {
			s := spec
			s.Power = power
			o := deploy.Order{NodeID: 11, NodeName: "node-a", DeploymentID: 7, Attempt: 2, AttemptSince: epoch, Spec: s}
			for what, do := range map[string]func(context.Context, deploy.Order) (deploy.Machine, error){"order": p.Order, "reinstall": p.Reinstall} {
				m, err := do(t.Context(), o)
				if err != nil || m.ServerID != "" || m.ManagementIP != "127.0.0.9" || len(m.MACs) != 1 || m.MACs[0] != macOfOne {
					t.Errorf("%s %s: %+v, %v", name, what, m, err)
				}
			}
			seen, err := p.Observe(t.Context(), 11)
			if err != nil || seen.Failed != nil || len(seen.Reasons) != 1 || !strings.Contains(seen.Reasons[0], "a person has to switch this machine on") {
				t.Errorf("%s: %+v, %v", name, seen, err)
			}
			r := deploy.Release{NodeID: 11, NodeName: "node-a", DeploymentID: 7}
			for what, do := range map[string]func(context.Context, deploy.Release) ([]deploy.ReleaseStep, error){"plan": p.PlanRelease, "release": p.Release} {
				if steps, err := do(t.Context(), r); err != nil || len(steps) != 0 {
					t.Errorf("%s %s: %+v, %v", name, what, steps, err)
				}
			}
		}
	}
	o := newHouse(t, nil).order(nil)
	_, err := rack.New(nil).Order(t.Context(), o)
	refusal(t, err, deploy.CodeInvalid, "power.type: this server may not reach")
	if _, err := rack.NewWith(rack.Config{Controllers: loopback}); err == nil {
		t.Error("Redfish without a journal")
	}
}

// Without the setting, a release takes nothing and asks nobody, so that a
// controller that is gone holds nothing up.
func TestAReleaseLeavesThePowerAlone(t *testing.T) {
	h, j := newHouse(t, nil), &conformance.Journal{}
	h.sim.Add("1", "System", macOfOne)
	p := h.provider(t, j, nil)
	h.must(t, p, h.order(func(p *deploy.Power) { p.OffAtRelease = false }))
	j.End(7)
	h.web.Close()
	r := deploy.Release{NodeID: 11, NodeName: "node-a", DeploymentID: 7}
	plan, err := p.PlanRelease(t.Context(), r)
	if err != nil || len(plan) != 1 || plan[0].Action != "let go" || !strings.Contains(plan[0].Message, "stays as it is") {
		t.Fatalf("%+v, %v", plan, err)
	}
	steps, err := p.Release(t.Context(), r)
	if err != nil || len(steps) != 1 || steps[0].Status != deploy.ReleaseDone || !strings.Contains(steps[0].Message, "left as it is at 2026-") {
		t.Fatalf("%+v, %v", steps, err)
	}
	if h.sim.Power("1") != bmcsim.On {
		t.Error("it was switched off")
	}
}

// A release whose controller says OK and leaves the machine on does not end
// well.
func TestAReleaseThatHasNoEffect(t *testing.T) {
	h, j := newHouse(t, nil), &conformance.Journal{}
	h.sim.Add("1", "System", macOfOne)
	h.must(t, h.provider(t, j, nil), h.order(nil))
	j.End(7)
	h.sim.SetFaults(bmcsim.DeafReset)
	for range 100 {
		steps, err := h.provider(t, j, nil).Release(t.Context(), deploy.Release{NodeID: 11, NodeName: "node-a", DeploymentID: 7})
		var e *deploy.ProviderError
		if !errors.As(err, &e) {
			t.Fatalf("%+v, %v", steps, err)
		}
		if !e.Temporary {
			refusal(t, err, deploy.CodeUpstreamUnavailable, "3 times to switch off")
			if steps[0].Status != deploy.ReleaseActive || j.Rows()[0].State != deploy.ResourceReleasing {
				t.Errorf("%+v", steps)
			}
			return
		}
		h.clock.Advance(e.Wait)
	}
	t.Fatal("no end")
}

func TestObserve(t *testing.T) {
	h, j := newHouse(t, nil), &conformance.Journal{}
	h.sim.Add("1", "System", macOfOne)
	p := h.provider(t, j, nil)
	h.must(t, p, h.order(nil))
	seen, err := p.Observe(t.Context(), 11)
	if err != nil || seen.ServerStatus != "On" || len(seen.Reasons) != 0 {
		t.Errorf("%+v, %v", seen, err)
	}
	h.sim.Press("1", bmcsim.Off)
	if seen, err = p.Observe(t.Context(), 11); err != nil || seen.ServerStatus != "Off" || len(seen.Reasons) != 1 || seen.Failed != nil {
		t.Errorf("%+v, %v", seen, err)
	}
}
