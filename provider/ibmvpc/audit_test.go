package ibmvpc_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/provider/conformance"
	"github.com/slipwayhq/slipway/provider/ibmvpc"
	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim"
)

func audited(t *testing.T, p *ibmvpc.Provider, j *conformance.Journal) []deploy.Drift {
	t.Helper()
	drift, err := p.Audit(t.Context(), j.Rows())
	if err != nil {
		t.Fatal(err)
	}
	return drift
}

// list is drift in short.
func short(drift []deploy.Drift) (lines []string) {
	for _, d := range drift {
		lines = append(lines, d.Problem+" "+d.Kind+" "+d.Name)
	}
	return lines
}

func wantShort(t *testing.T, drift []deploy.Drift, want ...string) {
	t.Helper()
	if got := short(drift); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%q, want %q (%+v)", got, want, drift)
	}
}

func TestAuditFindsWhatWasChanged(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	m := deployed(t, c, j, order())
	p := c.provider(t, j)
	c.patch(t, "/bare_metal_servers/"+m.ServerID, `{"name":"renamed"}`)
	c.record(t, http.MethodPost, "", `{"type":"A","name":"ahv-01","rdata":{"ip":"127.64.0.200"}}`) // a second one of the name
	// A row whose name somebody else has, and whose own thing never came to be.
	r, err := j.Intend(t.Context(), deploy.Intent{NodeID: 2, DeploymentID: 8, Provider: deploy.ProviderIBMVPC, Kind: "vni", Role: "management", Name: "slw-other-d8-g1-mgmt", Generation: 1,
		Details: []byte(`{"subnet":"` + c.subnetID(t, vpcsim.DefaultManagementSubnet) + `"}`)})
	if err != nil {
		t.Fatal(err)
	}
	c.request(t, http.MethodPost, "/virtual_network_interfaces", `{"name":"slw-other-d8-g1-mgmt","subnet":{"id":"`+c.subnetID(t, vpcsim.DefaultWorkloadSubnet)+`"}}`, 201)
	wantShort(t, audited(t, p, j), "foreign server renamed", "foreign vni slw-other-d8-g1-mgmt", "orphan dns_a ahv-01."+vpcsim.DefaultDNSZone)
	// A row that has another one of its name.
	if err := j.Settle(t.Context(), r.ID, deploy.ResourcePresent, "0717-lost", nil, ""); err != nil {
		t.Fatal(err)
	}
	wantShort(t, audited(t, p, j), "foreign server renamed", "foreign vni slw-other-d8-g1-mgmt", "missing vni slw-other-d8-g1-mgmt", "orphan dns_a ahv-01."+vpcsim.DefaultDNSZone)
}

// record makes a call to the zone past the provider.
func (c *cloud) record(t *testing.T, method, id, body string) {
	t.Helper()
	var zones struct{ Dnszones []struct{ ID string } }
	decode(t, c.request(t, http.MethodGet, "/instances/"+vpcsim.DefaultDNSInstance+"/dnszones", "", 200), &zones)
	path := "/instances/" + vpcsim.DefaultDNSInstance + "/dnszones/" + zones.Dnszones[0].ID + "/resource_records"
	if id != "" {
		path += "/" + id
	}
	c.request(t, method, path, body, 200)
}

// What was lost is found on a later page as well, and everybody else's things
// are nobody's business.
func TestAuditReadsAllPages(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	subnet := c.subnetID(t, vpcsim.DefaultWorkloadSubnet)
	for i := range 120 {
		c.request(t, http.MethodPost, "/subnets/"+subnet+"/reserved_ips", fmt.Sprintf(`{"name":"a-%d"}`, i), 201)
		c.record(t, http.MethodPost, "", fmt.Sprintf(`{"type":"A","name":"a-%d","rdata":{"ip":"10.0.0.%d"}}`, i, i))
		c.record(t, http.MethodPost, "", fmt.Sprintf(`{"type":"A","name":"b-%d","rdata":{"ip":"10.0.1.%d"}}`, i, i))
	}
	for i := range 101 {
		c.request(t, http.MethodPost, "/virtual_network_interfaces", fmt.Sprintf(`{"name":"slw-mine-%d","subnet":{"id":"%s"}}`, i, subnet), 201)
	}
	lost := order(func(o *deploy.Order) { o.NodeID, o.NodeName, o.DeploymentID = 9, "zz-lost", 99 })
	deployed(t, c, &conformance.Journal{}, lost)
	wantShort(t, audited(t, c.provider(t, j), j), "orphan server slw-zz-lost-d99-g1", "orphan vni slw-zz-lost-d99-g1-mgmt", "orphan vni slw-zz-lost-d99-g1-w1",
		"orphan reserved_ip slw-zz-lost-d99-g1-mgmt", "orphan reserved_ip slw-zz-lost-d99-g1-w1", "orphan dns_a zz-lost."+vpcsim.DefaultDNSZone)
}

// An order that makes things while the lists are read makes no orphans.
func TestAuditDuringAnOrder(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	rows := j.Rows() // read before anything
	deployed(t, c, j, order())
	drift, err := c.provider(t, j).Audit(t.Context(), rows)
	if err != nil || len(drift) > 0 {
		t.Errorf("%q, %v", short(drift), err)
	}
}

func TestOrphansAreRemovedInTheOrderOfTheList(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	deployed(t, c, &conformance.Journal{}, order())
	p := c.provider(t, j)
	all := audited(t, p, j)
	if len(all) != 6 {
		t.Fatalf("%q", short(all))
	}
	// Nothing that is in use goes, and the server's own stop is a soft one first.
	for _, d := range all[1:5] {
		final(t, p.RemoveOrphan(t.Context(), d), deploy.CodeConflict)
	}
	for len(all) > 0 {
		err := p.RemoveOrphan(t.Context(), all[0])
		var e *deploy.ProviderError
		if errors.As(err, &e) && e.Temporary {
			c.clock.Advance(e.Wait)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		all = audited(t, p, j)
	}
	// The PTR record led to a node that nobody remembers: with no row and no
	// address left it is not known as ours.
	if s := c.State(); s.LiveServers+s.VNIs+s.ReservedIPs != 0 {
		t.Errorf("%+v", s)
	}
}

func TestRemoveOrphanRefuses(t *testing.T) {
	c, j := newCloud(t, func(o *vpcsim.Options) {
		o.VPCs = []string{vpcsim.DefaultVPC, "other"}
		o.Subnets = []vpcsim.SubnetConfig{{Name: vpcsim.DefaultManagementSubnet, CIDR: "127.64.0.0/24"}, {Name: vpcsim.DefaultWorkloadSubnet, CIDR: "127.64.1.0/24"}, {Name: "elsewhere", CIDR: "127.64.2.0/24", VPC: "other"}}
	}), &conformance.Journal{}
	vni := func(name, subnet string) deploy.Drift {
		var made struct{ ID string }
		decode(t, c.request(t, http.MethodPost, "/virtual_network_interfaces", `{"name":"`+name+`","subnet":{"id":"`+c.subnetID(t, subnet)+`"}}`, 201), &made)
		return deploy.Drift{Problem: deploy.DriftOrphan, Kind: "vni", Name: name, CloudID: made.ID}
	}
	p := c.provider(t, j)
	theirs, elsewhere, renamed := vni("database", vpcsim.DefaultWorkloadSubnet), vni("slw-a-d1-g1-mgmt", "elsewhere"), vni("slw-b-d1-g1-mgmt", vpcsim.DefaultWorkloadSubnet)
	renamed.Name = "slw-c-d1-g1-mgmt"
	for says, d := range map[string]deploy.Drift{"form of a name": theirs, "another VPC": elsewhere, "is named": renamed} {
		if e := final(t, p.RemoveOrphan(t.Context(), d), deploy.CodeConflict); !strings.Contains(e.Message, says) {
			t.Errorf("%v; want %q", e, says)
		}
	}
	for _, d := range []deploy.Drift{{}, {Kind: "volume", CloudID: "x"}, {Kind: "vni"}} {
		final(t, p.RemoveOrphan(t.Context(), d), deploy.CodeInvalid)
	}
	if n := c.State().VNIs; n != 3 {
		t.Errorf("%d interfaces", n)
	}
	// One that an order has asked for meanwhile is no orphan.
	orphan := vni("slw-d-d1-g1-mgmt", vpcsim.DefaultWorkloadSubnet)
	if _, err := j.Intend(t.Context(), deploy.Intent{NodeID: 1, DeploymentID: 1, Provider: deploy.ProviderIBMVPC, Kind: "vni", Name: "slw-d-d1-g1-mgmt", Generation: 1}); err != nil {
		t.Fatal(err)
	}
	final(t, p.RemoveOrphan(t.Context(), orphan), deploy.CodeConflict)
}

func TestExamineRefuses(t *testing.T) {
	c := newCloud(t, func(o *vpcsim.Options) {
		o.VPCs = []string{vpcsim.DefaultVPC, "other"}
		o.Subnets = []vpcsim.SubnetConfig{{Name: vpcsim.DefaultManagementSubnet, CIDR: "127.64.0.0/24"}, {Name: vpcsim.DefaultWorkloadSubnet, CIDR: "127.64.1.0/24"}, {Name: "elsewhere", CIDR: "127.64.2.0/24", VPC: "other"}}
	})
	m := persist(t, c, c.provider(t, &conformance.Journal{}, func(config *ibmvpc.Config) {
		config.VPC, config.ManagementSubnet, config.WorkloadSubnets = "other", "elsewhere", nil
	}), order())
	p := c.provider(t, &conformance.Journal{})
	for _, name := range []string{m.ServerID, "slw-ahv-01-d7-g1"} {
		if e := final(t, second(p.Examine(t.Context(), name)), deploy.CodeConflict); !strings.Contains(e.Message, "VPC other") {
			t.Error(e)
		}
	}
	for _, name := range []string{"", "  ", "a/../b", "x?y"} {
		final(t, second(p.Examine(t.Context(), name)), deploy.CodeInvalid)
	}
	ours := deployed(t, c, &conformance.Journal{}, order(func(o *deploy.Order) { o.NodeName = "ours" }))
	c.request(t, http.MethodPost, "/bare_metal_servers/"+ours.ServerID+"/stop", `{"type":"hard"}`, 204)
	c.clock.Advance(time.Minute)
	if _, err := c.AddFault(vpcsim.Fault{Kind: vpcsim.FaultStuck}); err != nil {
		t.Fatal(err)
	}
	c.request(t, http.MethodDelete, "/bare_metal_servers/"+ours.ServerID, "", 202)
	final(t, second(p.Examine(t.Context(), ours.ServerID)), deploy.CodeConflict)
}

// A server that people made by hand: interfaces and addresses with names of
// their own, deleted with it.
func TestExamineAServerMadeByHand(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	subnet := c.subnetID(t, vpcsim.DefaultManagementSubnet)
	other := &conformance.Journal{}
	theirs := deployed(t, c, other, order()) // only to learn the image's id
	var initialization struct{ Image struct{ ID string } }
	decode(t, c.request(t, http.MethodGet, "/bare_metal_servers/"+theirs.ServerID+"/initialization", "", 200), &initialization)
	image := initialization.Image.ID
	released(t, c, other, order())
	var made struct{ ID string }
	decode(t, c.request(t, http.MethodPost, "/bare_metal_servers", `{"name":"by-hand","profile":{"name":"bx2d-metal-96x384"},"zone":{"name":"us-south-1"},
		"initialization":{"image":{"id":"`+image+`"},"keys":[],"user_data":"http://127.0.0.1/x"},
		"primary_network_attachment":{"interface_type":"pci","allowed_vlans":[7],"virtual_network_interface":{"name":"nic","subnet":{"id":"`+subnet+`"}}},
		"network_attachments":[{"interface_type":"vlan","vlan":7,"virtual_network_interface":{"name":"seven","subnet":{"id":"`+c.subnetID(t, vpcsim.DefaultWorkloadSubnet)+`"}}}]}`, 201), &made)
	c.clock.Advance(time.Minute)
	p := c.provider(t, j)
	found, err := p.Examine(t.Context(), "by-hand")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range found.Resources {
		j.Take(1, 7, deploy.ProviderIBMVPC, a)
		got = append(got, a.Kind+" "+a.Role)
	}
	want := "reserved_ip management,vni management,reserved_ip vlan-7,vni vlan-7,server "
	if strings.Join(got, ",") != want || found.ManagementIP == "" || found.WorkloadIP == "" || len(found.MACs) != 1 || found.Name != "by-hand" {
		t.Errorf("%q %+v", got, found.Machine)
	}
	wantShort(t, audited(t, p, j))
	j.End(7)
	for _, s := range released(t, c, j, order()) {
		if s.Status != deploy.ReleaseDone {
			t.Errorf("%+v", s)
		}
	}
	nothingLeft(t, c)
}
