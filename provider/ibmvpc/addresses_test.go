package ibmvpc_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/provider/conformance"
	"github.com/slipwayhq/slipway/provider/ibmvpc"
	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim"
)

// ranged are settings with a range for every role.
func ranged(c *ibmvpc.Config) {
	c.WorkloadSubnets = nil
	c.ManagementRange, c.AHVRange, c.CVMRange = "127.64.0.20-127.64.0.29", "127.64.0.30-127.64.0.39", "127.64.0.40-127.64.0.49"
}

// carried are the addresses of the node's management interface in the cloud.
func carried(t *testing.T, c *cloud, j *conformance.Journal) []string {
	t.Helper()
	var vni struct{ IPs []struct{ Address string } }
	for _, r := range j.Rows() {
		if r.Kind == "vni" && r.Role == "management" {
			decode(t, c.request(t, http.MethodGet, "/virtual_network_interfaces/"+r.CloudID, "", 200), &vni)
		}
	}
	var all []string
	for _, ip := range vni.IPs {
		all = append(all, ip.Address)
	}
	slices.Sort(all)
	return all
}

func TestAddressesOfTheRangesAreBound(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	c.reserve(t, "127.64.0.20")
	p := c.provider(t, j, ranged)
	m := persist(t, c, p, order())
	if m.ManagementIP != "127.64.0.21" || m.AHVIP != "127.64.0.30" || m.CVMIP != "127.64.0.40" {
		t.Errorf("machine %+v, want the lowest free address of each range", m)
	}
	if got := carried(t, c, j); !slices.Equal(got, []string{m.ManagementIP, m.AHVIP, m.CVMIP}) {
		t.Errorf("the interface carries %v", got)
	}
	for role, name := range map[string]string{"ahv": "slw-ahv-01-d7-g1-ahv", "cvm": "slw-ahv-01-d7-g1-cvm"} {
		if r := rowNamed(t, j, "reserved_ip", name); r.Role != role || r.State != deploy.ResourcePresent || r.CloudID == "" {
			t.Errorf("row %+v", r)
		}
	}
	// A new process tells the same.
	if again := persist(t, c, c.provider(t, j, ranged), order()); again.AHVIP != m.AHVIP || again.CVMIP != m.CVMIP || again.ManagementIP != m.ManagementIP {
		t.Errorf("again %+v", again)
	}
	next := persist(t, c, p, order(func(o *deploy.Order) { o.NodeID, o.NodeName, o.DeploymentID = 2, "ahv-02", 8 }))
	if next.ManagementIP != "127.64.0.22" || next.AHVIP != "127.64.0.31" || next.CVMIP != "127.64.0.41" {
		t.Errorf("the next node has %+v", next)
	}
}

// reserve takes an address as somebody else would.
func (c *cloud) reserve(t *testing.T, address string) {
	t.Helper()
	c.request(t, http.MethodPost, "/subnets/"+c.subnetID(t, vpcsim.DefaultManagementSubnet)+"/reserved_ips", `{"address":"`+address+`"}`, 201)
}

func TestAddressesThatTheOrderNames(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	m := persist(t, c, c.provider(t, j), order(func(o *deploy.Order) {
		o.Spec.ManagementIP, o.Spec.AHVIP, o.Spec.CVMIP = "127.64.0.70", "127.64.0.71", "127.64.0.72"
	}))
	if m.ManagementIP != "127.64.0.70" || m.AHVIP != "127.64.0.71" || m.CVMIP != "127.64.0.72" || !slices.Equal(carried(t, c, j), []string{"127.64.0.70", "127.64.0.71", "127.64.0.72"}) {
		t.Errorf("machine %+v, bound %v", m, carried(t, c, j))
	}
}

func TestWhichGuestsHaveAddresses(t *testing.T) {
	for name, want := range map[string]struct {
		guests   ibmvpc.Guests
		ahvRange string
		spec     string
		ahv, cvm bool
	}{
		"automatic, nothing set": {ibmvpc.GuestsAuto, "", "", false, false},
		"automatic, a range":     {ibmvpc.GuestsAuto, "127.64.0.30-127.64.0.31", "", true, false},
		"automatic, an order":    {"", "", "127.64.0.55", true, false},
		"on, any address":        {ibmvpc.GuestsOn, "", "", true, true},
		"off, a range":           {ibmvpc.GuestsOff, "127.64.0.30-127.64.0.31", "", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			c, j := newCloud(t), &conformance.Journal{}
			m := persist(t, c, c.provider(t, j, func(c *ibmvpc.Config) { c.GuestAddresses, c.AHVRange = want.guests, want.ahvRange }),
				order(func(o *deploy.Order) { o.Spec.AHVIP = want.spec }))
			if (m.AHVIP != "") != want.ahv || (m.CVMIP != "") != want.cvm {
				t.Errorf("%+v", m)
			}
			bound := 1
			for _, is := range []bool{want.ahv, want.cvm} {
				if is {
					bound++
				}
			}
			if got := carried(t, c, j); len(got) != bound {
				t.Errorf("bound %v", got)
			}
		})
	}
}

func TestAddressesThatCannotBe(t *testing.T) {
	for name, c := range map[string]struct {
		spec   func(*deploy.Spec)
		config func(*ibmvpc.Config)
		code   deploy.Code
		says   []string
	}{
		"used up":        {nil, func(c *ibmvpc.Config) { c.AHVRange = "127.64.0.60-127.64.0.61" }, deploy.CodeQuotaExceeded, []string{"ahv_ip: ", "127.64.0.60-127.64.0.61", "used up"}},
		"IBM's own":      {nil, func(c *ibmvpc.Config) { c.ManagementRange = "127.64.0.0-127.64.0.3,127.64.0.255" }, deploy.CodeQuotaExceeded, []string{"management_ip: ", "used up"}},
		"another subnet": {nil, func(c *ibmvpc.Config) { c.CVMRange = "127.64.1.5-127.64.1.9" }, deploy.CodeInvalid, []string{"cvm_ip: ", "no address of the subnet"}},
		"outside":        {func(s *deploy.Spec) { s.AHVIP = "10.0.0.1" }, nil, deploy.CodeInvalid, []string{"ahv_ip: ", "not in the subnet"}},
		"gateway":        {func(s *deploy.Spec) { s.CVMIP = "127.64.0.1" }, nil, deploy.CodeInvalid, []string{"cvm_ip: ", "IBM's own"}},
		"broadcast":      {func(s *deploy.Spec) { s.ManagementIP = "127.64.0.255" }, nil, deploy.CodeInvalid, []string{"management_ip: ", "IBM's own"}},
		"twice":          {func(s *deploy.Spec) { s.AHVIP, s.CVMIP = "127.64.0.70", "127.64.0.70" }, nil, deploy.CodeInvalid, []string{"cvm_ip: ", "ahv_ip already"}},
		"guests off":     {func(s *deploy.Spec) { s.AHVIP = "127.64.0.70" }, func(c *ibmvpc.Config) { c.GuestAddresses = ibmvpc.GuestsOff }, deploy.CodeInvalid, []string{"ahv_ip: "}},
		"taken":          {func(s *deploy.Spec) { s.CVMIP = "127.64.0.60" }, nil, deploy.CodeConflict, []string{"cvm_ip: ", "is reserved as"}},
	} {
		t.Run(name, func(t *testing.T) {
			cl, j := newCloud(t), &conformance.Journal{}
			cl.reserve(t, "127.64.0.60")
			cl.reserve(t, "127.64.0.61")
			p := cl.provider(t, j, func(config *ibmvpc.Config) {
				if c.config != nil {
					c.config(config)
				}
			})
			e := until(t, cl, p, order(func(o *deploy.Order) {
				if c.spec != nil {
					c.spec(&o.Spec)
				}
			}))
			final(t, e, c.code)
			for _, says := range c.says {
				if !strings.Contains(e.Message, says) {
					t.Errorf("%q does not say %q", e.Message, says)
				}
			}
			if cl.State().ServersCreated != 0 {
				t.Error("a server was ordered")
			}
		})
	}
}

// A range that serves several subnets, and begins outside of this one.
func TestRangesOfSeveralSubnets(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	p := c.provider(t, j, func(c *ibmvpc.Config) {
		c.ManagementRange = " 127.64.1.10-127.64.1.20 , 127.63.255.250-127.64.0.9"
	})
	if m := persist(t, c, p, order()); m.ManagementIP != "127.64.0.4" {
		t.Errorf("%+v", m)
	}
}

func TestAddressThatANodeHasIsNotChosen(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	var asked []string
	p := c.provider(t, j, ranged, func(c *ibmvpc.Config) {
		c.Holder = func(_ context.Context, node int64, address string) (string, error) {
			asked = append(asked, fmt.Sprint(node, " ", address))
			if address == "127.64.0.20" {
				return "rack-01", nil
			}
			return "", nil
		}
	})
	if m := persist(t, c, p, order()); m.ManagementIP != "127.64.0.21" || len(asked) != 4 || asked[0] != "1 127.64.0.20" {
		t.Errorf("%+v; asked %v", m, asked)
	}
}

// Between the look and the request somebody else takes the address: the next
// one is chosen, and the journal knows it before it is asked for.
func TestAddressTakenInBetween(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	posts := 0
	c.wire.base = roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/reserved_ips") {
			if posts++; posts <= 2 {
				c.reserve(t, fmt.Sprintf("127.64.0.%d", 19+posts))
			}
			if row := rowOf(t, j, "reserved_ip"); row.State != deploy.ResourceDoubtful || !strings.Contains(string(row.Details), `"address":"127.64.0.`) {
				t.Errorf("row %+v at the request", row)
			}
		}
		return http.DefaultTransport.RoundTrip(r)
	})
	m := persist(t, c, c.provider(t, j, ranged), order())
	if m.ManagementIP != "127.64.0.22" {
		t.Errorf("%+v", m)
	}
	var details struct{ Address string }
	decode(t, rowNamed(t, j, "reserved_ip", "slw-ahv-01-d7-g1-mgmt").Details, &details)
	if details.Address != "127.64.0.22" {
		t.Errorf("the journal says %s", details.Address)
	}
}

// As before, but the process dies at any journal write or call of it.
func TestAddressTakenInBetweenAndKilled(t *testing.T) {
	errKilled := errors.New("killed")
	for kill := 1; ; kill++ {
		c, j := newCloud(t), &conformance.Journal{}
		posts, struck := 0, false
		c.wire.base = roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/reserved_ips") {
				if posts++; posts == 1 {
					c.reserve(t, "127.64.0.20")
				}
			}
			return http.DefaultTransport.RoundTrip(r)
		})
		j.Write = func(n int, _ bool) error {
			if n >= kill && !struck {
				struck = true
				return errKilled
			}
			return nil
		}
		for range 50 { // the first process, until it dies
			_, err := c.provider(t, j, ranged).Order(t.Context(), order())
			var e *deploy.ProviderError
			if err == nil || errors.Is(err, errKilled) {
				break
			}
			if !errors.As(err, &e) || !e.Temporary {
				t.Fatal(err)
			}
			c.clock.Advance(e.Wait)
		}
		m := persist(t, c, c.provider(t, j, ranged), order())
		if s := c.State(); m.ManagementIP != "127.64.0.21" || s.ServersCreated != 1 || s.ReservedIPsCreated != 4 || len(carried(t, c, j)) != 3 {
			t.Fatalf("killed at write %d: %+v; %d servers, %d addresses, carried %v", kill, m, s.ServersCreated, s.ReservedIPsCreated, carried(t, c, j))
		}
		if !struck {
			if kill < 10 {
				t.Fatalf("only %d writes", kill)
			}
			return
		}
	}
}

// What somebody takes off the interface before the server is ordered is put
// back, and no server is ordered without.
func TestGuestAddressIsBoundAgain(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	p := c.provider(t, j, ranged)
	_, err := p.Order(t.Context(), order())
	c.clock.Advance(temporary(t, err, deploy.CodeUpstreamUnavailable).Wait)
	vni, ip := rowOf(t, j, "vni").CloudID, rowNamed(t, j, "reserved_ip", "slw-ahv-01-d7-g1-ahv").CloudID
	c.request(t, http.MethodDelete, "/virtual_network_interfaces/"+vni+"/ips/"+ip, "", 204)
	if got := carried(t, c, j); len(got) != 2 {
		t.Fatalf("carries %v", got)
	}
	if _, err := c.AddFault(vpcsim.Fault{Kind: vpcsim.FaultFail, Operation: "AddVirtualNetworkInterfaceIP", Status: 503, Times: 2}); err != nil {
		t.Fatal(err)
	}
	_, err = p.Order(t.Context(), order())
	c.clock.Advance(temporary(t, err, deploy.CodeUpstreamUnavailable).Wait)
	if c.State().ServersCreated != 0 {
		t.Fatal("a server was ordered on an interface that lacks an address")
	}
	persist(t, c, p, order())
	if got := carried(t, c, j); len(got) != 3 {
		t.Errorf("carries %v", got)
	}
}

// The address is another interface's: nobody takes it off there.
func TestGuestAddressOfAnotherInterface(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	p := c.provider(t, j, ranged)
	_, err := p.Order(t.Context(), order())
	c.clock.Advance(temporary(t, err, deploy.CodeUpstreamUnavailable).Wait)
	vni, ip := rowOf(t, j, "vni").CloudID, rowNamed(t, j, "reserved_ip", "slw-ahv-01-d7-g1-cvm").CloudID
	c.request(t, http.MethodDelete, "/virtual_network_interfaces/"+vni+"/ips/"+ip, "", 204)
	var other struct{ ID string }
	decode(t, c.request(t, http.MethodPost, "/virtual_network_interfaces", `{"primary_ip":{"id":"`+ip+`"}}`, 201), &other)
	e := until(t, c, p, order())
	if e.Code != deploy.CodeConflict || !strings.Contains(e.Message, "cannot be bound") || c.State().ServersCreated != 0 {
		t.Errorf("%v", e)
	}
}

// Orders at once never share an address, however tight the range.
func TestOrdersAtOnceShareNoAddress(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	const nodes = 6
	providers := []*ibmvpc.Provider{} // two processes
	for range 2 {
		providers = append(providers, c.provider(t, j, ranged, func(c *ibmvpc.Config) {
			c.ManagementRange, c.AHVRange, c.CVMRange = "127.64.0.20-127.64.0.37", "127.64.0.20-127.64.0.37", "127.64.0.20-127.64.0.37"
		}))
	}
	var all sync.WaitGroup
	machines := [nodes]deploy.Machine{}
	for i := range nodes {
		all.Go(func() {
			o := order(func(o *deploy.Order) {
				o.NodeID, o.NodeName, o.DeploymentID = int64(i+1), fmt.Sprintf("node-%d", i), int64(i+1)
			})
			for range 100 {
				m, err := providers[i%2].Order(t.Context(), o)
				var e *deploy.ProviderError
				if err == nil {
					machines[i] = m
					return
				}
				if !errors.As(err, &e) || !e.Temporary {
					t.Error(err)
					return
				}
				c.clock.Advance(e.Wait)
			}
			t.Error("never done")
		})
	}
	all.Wait()
	seen := map[string]bool{}
	for _, m := range machines {
		for _, ip := range []string{m.ManagementIP, m.AHVIP, m.CVMIP} {
			if ip == "" || seen[ip] {
				t.Errorf("%q is twice in %+v", ip, machines)
			}
			seen[ip] = true
		}
	}
	if s := c.State(); len(seen) != 3*nodes || s.ReservedIPsCreated != 3*nodes {
		t.Errorf("%d addresses, %d reserved", len(seen), s.ReservedIPsCreated)
	}
}

// Everything that an order can have, held to the whole suite.
// With everything that a node can have: addresses of AHV, CVM and cluster, with
// names, and VLANs.
func TestConformanceWithGuestsVLANsAndCluster(t *testing.T) {
	conformance.Run(t, func(t *testing.T) conformance.Fixture {
		f := fixtureOf(t, newCloud(t), ranged)
		f.Spec.VLANs = []deploy.VLAN{{ID: 100, Subnet: vpcsim.DefaultWorkloadSubnet}}
		f.Spec.ClusterVIP, f.Cluster = "127.64.0.60", "Prod_1.east"
		f.OrderMakes = map[string]int{"reserved_ip": 5, "vni": 2, "server": 1}
		f.NamesMake = map[string]int{"dns_a": 3, "dns_ptr": 3}
		f.BadSpecs = map[string]func(*deploy.Spec){
			"cluster_vip":    func(s *deploy.Spec) { s.ClusterVIP = "127.64.1.9" },
			"ahv_ip":         func(s *deploy.Spec) { s.AHVIP = "127.64.0.1" },
			"cvm_ip":         func(s *deploy.Spec) { s.CVMIP = "127.64.1.9" },
			"vlans.0.subnet": func(s *deploy.Spec) { s.VLANs = []deploy.VLAN{{ID: 100, Subnet: "nowhere"}} },
		}
		return f
	})
}

// A thousand orders in a minute do not each list the subnet; nor do they run
// into each other for that.
func TestOrdersShareAListOfAddresses(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	p := c.provider(t, j, ranged)
	for i := range 8 {
		persist(t, c, p, order(func(o *deploy.Order) {
			o.NodeID, o.NodeName, o.DeploymentID = int64(i+1), fmt.Sprintf("node-%d", i), int64(i+1)
		}))
	}
	s := c.State()
	if s.Calls["ListSubnetReservedIps"] != 1 || s.Calls["CreateSubnetReservedIP"] != 24 || s.ReservedIPsCreated != 24 {
		t.Errorf("%d lists, %d requests for %d addresses", s.Calls["ListSubnetReservedIps"], s.Calls["CreateSubnetReservedIP"], s.ReservedIPsCreated)
	}
	// An address that was freed since is found when there is no other.
	for i := range 2 {
		c.reserve(t, fmt.Sprintf("127.64.0.%d", 28+i))
	}
	var list struct {
		IPs []struct{ ID, Address string } `json:"reserved_ips"`
	}
	subnet := c.subnetID(t, vpcsim.DefaultManagementSubnet)
	last := func(o *deploy.Order) { o.NodeID, o.NodeName, o.DeploymentID = 9, "node-9", 9 }
	if e := until(t, c, p, order(last)); e.Code != deploy.CodeQuotaExceeded {
		t.Fatal(e)
	}
	decode(t, c.request(t, http.MethodGet, "/subnets/"+subnet+"/reserved_ips", "", 200), &list)
	for _, ip := range list.IPs {
		if ip.Address == "127.64.0.29" {
			c.request(t, http.MethodDelete, "/subnets/"+subnet+"/reserved_ips/"+ip.ID, "", 204)
		}
	}
	if m := persist(t, c, p, order(last)); m.ManagementIP != "127.64.0.29" {
		t.Errorf("%+v", m)
	}
}

// The API may answer before it has chosen an address: it is waited for, and
// the journal learns it.
func TestAddressThatIsChosenLate(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	late := true
	hide := func(method string) roundTrip {
		return edit(method, "/reserved_ips", func(body map[string]any) {
			if _, is := body["address"]; is && late {
				body["address"] = "0.0.0.0"
			}
		})
	}
	c.wire.base = roundTrip(func(r *http.Request) (*http.Response, error) { return hide(r.Method)(r) })
	p := c.provider(t, j, func(c *ibmvpc.Config) { c.GuestAddresses = ibmvpc.GuestsOn })
	for range 3 {
		_, err := p.Order(t.Context(), order())
		c.clock.Advance(temporary(t, err, deploy.CodeUpstreamUnavailable).Wait)
	}
	if c.State().ServersCreated > 0 {
		t.Fatal("a server was ordered without its addresses")
	}
	late = false
	m := persist(t, c, p, order())
	if m.ManagementIP == "" || m.AHVIP == "" || m.CVMIP == "" || m.AHVIP == m.CVMIP {
		t.Errorf("%+v", m)
	}
	for _, row := range j.Rows() {
		var details struct{ Address string }
		decode(t, row.Details, &details)
		if row.Kind == "reserved_ip" && !strings.HasPrefix(details.Address, "127.64.") {
			t.Errorf("row %+v", row)
		}
	}
}
