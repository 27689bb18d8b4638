package ibmvpc_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/provider/conformance"
	"github.com/slipwayhq/slipway/provider/ibmvpc"
	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim"
)

func TestVLANAttachments(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	m := persist(t, c, c.provider(t, j, func(c *ibmvpc.Config) { c.WorkloadSubnets = nil }), order(func(o *deploy.Order) {
		o.Spec.VLANs = []deploy.VLAN{{ID: 100, Subnet: vpcsim.DefaultWorkloadSubnet}, {ID: 200, Subnet: vpcsim.DefaultWorkloadSubnet, Float: true}}
	}))
	if len(m.MACs) != 1 || !strings.HasPrefix(m.WorkloadIP, "127.64.1.") {
		t.Errorf("machine %+v", m)
	}
	var answer struct {
		Attachments []map[string]any `json:"network_attachments"`
	}
	decode(t, c.request(t, http.MethodGet, "/bare_metal_servers/"+m.ServerID+"/network_attachments", "", 200), &answer)
	got := map[string]string{}
	for _, a := range answer.Attachments {
		text, err := json.Marshal([]any{a["interface_type"], a["allowed_vlans"], a["vlan"], a["allow_to_float"]})
		if err != nil {
			t.Fatal(err)
		}
		got[fmt.Sprint(a["name"])] = string(text)
	}
	want := map[string]string{
		"management": `["pci",[100,200],null,null]`,
		"vlan-100":   `["vlan",null,100,false]`,
		"vlan-200":   `["vlan",null,200,true]`,
	}
	for name, text := range want {
		if got[name] != text || len(got) != len(want) {
			t.Errorf("attachment %s is %s, want %s", name, got[name], text)
		}
	}
	for _, role := range []string{"vlan-100", "vlan-200"} {
		name := "slw-ahv-01-d7-g1-" + strings.Replace(role, "vlan-", "v", 1)
		var details struct{ Address, CIDR string }
		decode(t, rowNamed(t, j, "reserved_ip", name).Details, &details)
		if rowNamed(t, j, "vni", name).Role != role || details.CIDR != "127.64.1.0/24" || !strings.HasPrefix(details.Address, "127.64.1.") {
			t.Errorf("%s: %+v", role, details)
		}
	}
}

// A lost answer to the order of a server with VLANs is found again.
func TestServerWithVLANsIsKnownAgain(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	if _, err := c.AddFault(vpcsim.Fault{Kind: vpcsim.FaultDropAfter, Operation: "CreateBareMetalServer", Times: 1}); err != nil {
		t.Fatal(err)
	}
	withVLAN := func(o *deploy.Order) { o.Spec.VLANs = []deploy.VLAN{{ID: 7, Subnet: vpcsim.DefaultWorkloadSubnet}} }
	persist(t, c, c.provider(t, j, ranged), order(withVLAN))
	if s := c.State(); s.ServersCreated != 1 || s.Calls["CreateBareMetalServer"] != 1 {
		t.Errorf("%d servers, %d calls", s.ServersCreated, s.Calls["CreateBareMetalServer"])
	}
	// One of the same name and primary interface, but without the VLAN, is not ours.
	j2 := &conformance.Journal{}
	c2 := newCloud(t)
	first := persist(t, c2, c2.provider(t, j2, ranged), order())
	row := rowOf(t, j2, "server")
	if err := j2.Settle(t.Context(), row.ID, deploy.ResourceDoubtful, "", json.RawMessage(`{}`), ""); err != nil {
		t.Fatal(err)
	}
	e := until(t, c2, c2.provider(t, j2, ranged), order(withVLAN))
	if e.Code != deploy.CodeConflict || !strings.Contains(e.Message, "interfaces") {
		t.Errorf("%v (server %s)", e, first.ServerID)
	}
}

// However much there is in the account, an order makes the same calls.
func TestCallsOfAnOrderDoNotGrow(t *testing.T) {
	calls := func(t *testing.T, others int, change ...func(*ibmvpc.Config)) map[string]int {
		c, j := newCloud(t), &conformance.Journal{}
		subnet := c.subnetID(t, vpcsim.DefaultWorkloadSubnet)
		for i := range others {
			c.request(t, http.MethodPost, "/virtual_network_interfaces", fmt.Sprintf(`{"name":"a-%d","subnet":{"id":"%s"}}`, i, subnet), 201)
		}
		c.clock.Advance(1e9)
		before := c.State().Calls
		persist(t, c, c.provider(t, j, change...), order())
		made := map[string]int{}
		for operation, n := range c.State().Calls {
			if n -= before[operation]; n > 0 {
				made[operation] = n
			}
		}
		return made
	}
	few, many := calls(t, 0), calls(t, 240)
	if fmt.Sprint(few) != fmt.Sprint(many) {
		t.Errorf("alone %v\namong others %v", few, many)
	}
	sum := 0
	for _, n := range many {
		sum += n
	}
	t.Logf("%d calls: %v; with ranges %v", sum, many, calls(t, 0, ranged))
	for _, operation := range []string{"ListVirtualNetworkInterfaces", "ListSubnetReservedIps", "ListBareMetalServers"} {
		if many[operation] != 0 {
			t.Errorf("%s was called %d times", operation, many[operation])
		}
	}
	if sum > 16 {
		t.Errorf("%d calls", sum)
	}
}

// An interface that is being made is looked at soon, and then less often.
func TestPendingInterfaceIsLookedAtSoon(t *testing.T) {
	c := newCloud(t, func(o *vpcsim.Options) {
		o.Delays = vpcsim.DefaultDelays()
		o.Delays.VNI = 60e9
	})
	p := c.provider(t, &conformance.Journal{})
	var waits []string
	for {
		_, err := p.Order(t.Context(), order())
		if err == nil {
			break
		}
		e := temporary(t, err, deploy.CodeUpstreamUnavailable)
		waits = append(waits, e.Wait.String())
		c.clock.Advance(e.Wait)
	}
	if len(waits) < 8 || len(waits) > 24 || waits[0] != "500ms" || waits[1] != "500ms" || waits[len(waits)-1] != "5s" {
		t.Errorf("waits %v", waits)
	}
}
