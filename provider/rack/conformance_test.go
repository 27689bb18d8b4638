package rack_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/provider/conformance"
	"github.com/slipwayhq/slipway/provider/rack"
	"github.com/slipwayhq/slipway/provider/rack/bmcsim"
)

// What the suite skips: "several nodes at once" and "an order of another run is
// refused" are about providers that make machines, and these exist already;
// names need a zone, and a registrar is given in one of the fixtures only; the
// audit, adoption and console behaviours need interfaces that a provider of
// one's own machines has no use for: there is no account to compare with, a
// machine is taken in care by registering it, and its console is its
// controller's. The fixtures of machines that people switch call nothing.
func TestConformance(t *testing.T) {
	t.Run("by hand", func(t *testing.T) {
		conformance.Run(t, func(*testing.T) conformance.Fixture { return byHand(nil) })
	})
	t.Run("by hand, with names", func(t *testing.T) {
		conformance.Run(t, func(*testing.T) conformance.Fixture { return byHand(&registrar{}) })
	})
	t.Run("by Redfish", func(t *testing.T) { conformance.Run(t, byRedfish) })
}

// byHand is a provider of machines that people switch. Reinstall and Release
// have nothing to do there, so that the suite, which counts boots and proofs, is
// shown none of them; TestByHand is about them.
func byHand(names *registrar) conformance.Fixture {
	f := conformance.Fixture{
		Provider: func(*testing.T, deploy.Journal) deploy.Provider {
			if names == nil {
				return struct{ deploy.Provider }{rack.New(nil)}
			}
			return struct{ deploy.Provider }{rack.New(names)}
		},
		Spec:    spec,
		Made:    func() map[string]int { return map[string]int{} },
		Advance: func(time.Duration) {},
		BadSpecs: map[string]func(*deploy.Spec){
			"mac":           func(s *deploy.Spec) { s.MAC = "52:54" },
			"management_ip": func(s *deploy.Spec) { s.ManagementIP = "node" },
		},
	}
	if names != nil {
		f.Made, f.NamesMake, f.Hook = names.made, map[string]int{"dns_a": 1}, nil
	}
	return f
}

// byRedfish is a controller of two machines, of which the suite's second node is
// to have one of its own: with the MAC address of its spec listed nowhere, as
// by a controller whose machines are off, they are known by their names.
func byRedfish(t *testing.T) conformance.Fixture {
	h := newHouse(t, nil)
	h.sim.Add("1", "node-a")
	h.sim.Add("2", "node-b")
	breakage := map[conformance.Breakage]bmcsim.Fault{
		conformance.BreakUnavailable: bmcsim.Unavailable, conformance.BreakThrottled: bmcsim.Throttled, conformance.BreakForbidden: bmcsim.Forbidden,
	}
	boots := func() int { return len(h.sim.Boots("1")) }
	return conformance.Fixture{
		Provider: func(t *testing.T, j deploy.Journal) deploy.Provider { return h.provider(t, j, nil) },
		Spec:     h.spec,
		Made:     func() map[string]int { return h.count(func(id string) bool { return len(h.sim.Boots(id)) > 0 }) },
		Live: func() map[string]int {
			return h.count(func(id string) bool { return h.sim.Power(id) != bmcsim.Off && h.sim.Power(id) != "" })
		},
		Boots: func(*testing.T, string) int { return boots() },
		// A rack machine is told no URL: it asks the boot service, which knows
		// the attempt. So every boot from the network is one from the newest.
		BootsFrom: func(t *testing.T, _ string) string {
			url := "http://127.0.0.1:8080/boot/d/locator"
			for i, b := range h.sim.Boots("1") {
				if b.Target != "Pxe" {
					t.Errorf("boot %d was not from the network: %+v", i+1, b)
				}
			}
			if boots() > 1 {
				url += "-again"
			}
			return url
		},
		Now:        h.clock.Now,
		OrderMakes: map[string]int{"power": 1},
		Advance:    h.clock.Advance,
		Hook:       h.hook,
		Break:      func(b conformance.Breakage) { h.sim.SetFaults(breakage[b]) },
		Repair:     func() { h.sim.SetFaults() },
		Remove:     func(*testing.T, string) { h.sim.Remove("1") },
		BadSpecs: map[string]func(*deploy.Spec){
			"mac":                func(s *deploy.Spec) { s.MAC = "52:54" },
			"management_ip":      func(s *deploy.Spec) { s.ManagementIP = "node" },
			"power.system_id":    func(s *deploy.Spec) { s.Power = with(s.Power, func(p *deploy.Power) { p.SystemID = "3" }) },
			"power.password_ref": func(s *deploy.Spec) { s.Power = with(s.Power, func(p *deploy.Power) { p.PasswordRef = "none" }) },
			"power.ca_file":      func(s *deploy.Spec) { s.Power = with(s.Power, func(p *deploy.Power) { p.CAFile = "none" }) },
			"power.url":          func(s *deploy.Spec) { s.Power = with(s.Power, func(p *deploy.Power) { p.URL = "http://192.0.2.1" }) },
		},
	}
}

func with(p *deploy.Power, change func(*deploy.Power)) *deploy.Power {
	c := *p
	change(&c)
	return &c
}

// registrar keeps names in memory.
type registrar struct {
	mu    sync.Mutex
	names map[string]string
}

func (r *registrar) HasNames() bool { return true }

func (r *registrar) RegisterNames(_ context.Context, n deploy.Names) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.names == nil {
		r.names = map[string]string{}
	}
	r.names[n.NodeName] = n.ManagementIP
	if n.ClusterVIP != "" {
		r.names[n.ClusterName] = n.ClusterVIP
	}
	return nil
}

func (r *registrar) made() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return map[string]int{"dns_a": len(r.names)}
}

func TestOnlyARegistrarWithAZoneHasNames(t *testing.T) {
	if rack.New(nil).HasNames() || rack.New(zoneless{}).HasNames() || !rack.New(&registrar{}).HasNames() {
		t.Fatal("wrong")
	}
	if err := rack.New(zoneless{}).RegisterNames(t.Context(), deploy.Names{}); err != nil {
		t.Fatal(err)
	}
}

// The registrar learns of a cluster's address too.
func TestTheRegistrarIsToldOfTheCluster(t *testing.T) {
	names := &registrar{}
	n := deploy.Names{NodeID: 1, NodeName: "a", DeploymentID: 1, ManagementIP: "10.0.0.1", ClusterName: "prod", ClusterVIP: "10.0.0.9"}
	if err := rack.New(names).RegisterNames(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	if names.names["a"] != "10.0.0.1" || names.names["prod"] != "10.0.0.9" {
		t.Errorf("%v", names.names)
	}
}

// zoneless must not be called.
type zoneless struct{ rack.Registrar }

func (zoneless) HasNames() bool { return false }
