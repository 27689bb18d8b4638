package ibmvpc_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/provider/conformance"
	"github.com/slipwayhq/slipway/provider/ibmvpc"
	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim"
)

// Calls no other thing than TestConformanceWithGuestsVLANsAndCluster.
func TestConformance(t *testing.T) {
	conformance.Run(t, func(t *testing.T) conformance.Fixture {
		f := newFixture(t)
		f.Sparse = true
		return f
	})
}

var breakages = map[conformance.Breakage]vpcsim.Fault{
	conformance.BreakUnavailable: {Kind: vpcsim.FaultFail, Operation: vpcsim.AnyOperation, Status: http.StatusServiceUnavailable},
	conformance.BreakThrottled:   {Kind: vpcsim.FaultFail, Operation: vpcsim.AnyOperation, Status: http.StatusTooManyRequests},
	conformance.BreakForbidden:   {Kind: vpcsim.FaultFail, Operation: vpcsim.AnyOperation, Status: http.StatusForbidden},
}

func newFixture(t *testing.T) conformance.Fixture { return fixtureOf(t, newCloud(t)) }

// fixtureOf is a cloud as the suite sees it; change sets the provider up.
func fixtureOf(t *testing.T, c *cloud, change ...func(*ibmvpc.Config)) conformance.Fixture {
	return conformance.Fixture{
		Provider: func(t *testing.T, j deploy.Journal) deploy.Provider { return c.provider(t, j, change...) },
		Spec:     spec(),
		Live: func() map[string]int {
			s := c.State()
			live := map[string]int{"reserved_ip": s.ReservedIPs, "vni": s.VNIs, "server": s.LiveServers}
			for _, r := range s.Records {
				live[map[string]string{"A": "dns_a", "PTR": "dns_ptr"}[r.Type]]++
			}
			return live
		},
		Boots:     func(_ *testing.T, id string) int { return c.server(id).PowerOns },
		BootsFrom: func(_ *testing.T, id string) string { return c.server(id).UserData },
		Stray: func(t *testing.T) (string, string) {
			var made struct{ ID string }
			subnet := c.subnetID(t, vpcsim.DefaultManagementSubnet)
			decode(t, c.request(t, http.MethodPost, "/virtual_network_interfaces", `{"name":"slw-lost-d99-g1-mgmt","subnet":{"id":"`+subnet+`"}}`, http.StatusCreated), &made)
			return "vni", made.ID
		},
		Parent: func(r deploy.Resource) string {
			var in struct {
				Subnet string `json:"subnet"`
				Zone   string `json:"dns_zone"`
			}
			if err := json.Unmarshal(r.Details, &in); err != nil {
				t.Fatal(err)
			}
			return in.Subnet + in.Zone
		},
		Now: c.clock.Now,
		Made: func() map[string]int {
			s := c.State()
			made := map[string]int{"reserved_ip": s.ReservedIPsCreated, "vni": s.VNIsCreated, "server": s.ServersCreated}
			for _, r := range s.Records {
				made[map[string]string{"A": "dns_a", "PTR": "dns_ptr"}[r.Type]]++
			}
			return made
		},
		OrderMakes: map[string]int{"reserved_ip": 2, "vni": 2, "server": 1},
		NamesMake:  map[string]int{"dns_a": 1, "dns_ptr": 1},
		Advance:    c.clock.Advance,
		Hook:       c.wire.hook,
		Break: func(b conformance.Breakage) {
			if _, err := c.AddFault(breakages[b]); err != nil {
				t.Fatal(err)
			}
		},
		Repair: func() { c.ClearFaults() },
		Remove: func(t *testing.T, id string) { c.deleteServer(t, id) },
		BadSpecs: map[string]func(*deploy.Spec){
			"server_profile":    func(s *deploy.Spec) { s.ServerProfile = "bx2d-metal-48x192" },
			"zone":              func(s *deploy.Spec) { s.Zone = "us-south-9" },
			"management_subnet": func(s *deploy.Spec) { s.ManagementSubnet = "nowhere" },
			"workload_subnets":  func(s *deploy.Spec) { s.WorkloadSubnets = []string{"nowhere"} },
			"management_ip":     func(s *deploy.Spec) { s.ManagementIP = "127.64.0.1" }, // the gateway, reserved by IBM
		},
	}
}

// server is one that lives.
func (c *cloud) server(id string) vpcsim.ServerState {
	for _, s := range c.State().Servers {
		if s.ID == id {
			return s
		}
	}
	return vpcsim.ServerState{}
}

// deleteServer does what somebody at IBM's console would do.
func (c *cloud) deleteServer(t *testing.T, id string) {
	t.Helper()
	post := func(method, path, body string, want int) {
		t.Helper()
		c.request(t, method, path, body, want)
	}
	const wait = 1e9 // longer than any delay of the simulator
	c.clock.Advance(wait)
	post(http.MethodPost, "/bare_metal_servers/"+id+"/stop", `{"type":"hard"}`, http.StatusNoContent)
	c.clock.Advance(wait)
	post(http.MethodDelete, "/bare_metal_servers/"+id, "", http.StatusAccepted)
	c.clock.Advance(wait)
}
