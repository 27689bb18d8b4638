package ibmvpc_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/provider/conformance"
	"github.com/slipwayhq/slipway/provider/ibmvpc"
	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim"
)

// creator is an order of the node that creates a cluster.
func creator(o *deploy.Order) {
	o.Spec.ManagementIP, o.Spec.AHVIP, o.Spec.CVMIP, o.Spec.ClusterVIP = "127.64.0.70", "127.64.0.71", "127.64.0.72", "127.64.0.90"
}

func clusterNames(name string) deploy.Names {
	return deploy.Names{NodeID: 1, NodeName: "ahv-01", DeploymentID: 7, ManagementIP: "127.64.0.70", ClusterName: name, ClusterVIP: "127.64.0.90"}
}

// recordsOf are the cloud's records, one in a line.
func recordsOf(c *cloud) []string {
	var all []string
	for _, r := range c.State().Records {
		all = append(all, r.Type+" "+r.Name+" "+r.Data)
	}
	return all
}

// The cluster's address is the node's to carry and to release; its names come
// after the node's and go before their addresses' names.
func TestClusterAddress(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	p := c.provider(t, j, booting)
	persist(t, c, p, order(creator))
	if got := carried(t, c, j); !slices.Equal(got, []string{"127.64.0.70", "127.64.0.71", "127.64.0.72", "127.64.0.90"}) {
		t.Errorf("the interface carries %v", got)
	}
	if r := rowNamed(t, j, "reserved_ip", "slw-ahv-01-d7-g1-cluster"); r.Role != "cluster" || r.State != deploy.ResourcePresent {
		t.Errorf("row %+v", r)
	}
	for range 2 { // twice makes nothing more
		if err := p.RegisterNames(t.Context(), clusterNames("Prod_1")); err != nil {
			t.Fatal(err)
		}
	}
	zone := "." + vpcsim.DefaultDNSZone
	want := []string{
		"A ahv-01" + zone + " 127.64.0.70", "PTR 70.0.64.127.in-addr.arpa ahv-01" + zone,
		"A ahv-01-cvm" + zone + " 127.64.0.72", "PTR 72.0.64.127.in-addr.arpa ahv-01-cvm" + zone,
		"A prod-1" + zone + " 127.64.0.90", "PTR 90.0.64.127.in-addr.arpa prod-1" + zone,
	}
	if got := recordsOf(c); !slices.Equal(got, want) {
		t.Errorf("records, in the order in which they were made:\n%s", strings.Join(got, "\n"))
	}
	wantShort(t, audited(t, p, j))
	plan, err := p.PlanRelease(t.Context(), deploy.Release{NodeID: 1, NodeName: "ahv-01", DeploymentID: 7})
	if err != nil {
		t.Fatal(err)
	}
	var planned []string
	for _, s := range plan {
		if s.Role == "cluster" {
			planned = append(planned, s.Kind)
		}
	}
	if !slices.Equal(planned, []string{"reserved_ip", "dns_ptr", "dns_a"}) {
		t.Errorf("the plan of the release has %v of the cluster", planned)
	}
	releaseAll(t, c, p)
	if s := c.State(); s.LiveServers+s.VNIs+s.ReservedIPs+s.DNSRecords != 0 {
		t.Errorf("left: %+v", s)
	}
}

func releaseAll(t *testing.T, c *cloud, p *ibmvpc.Provider) {
	t.Helper()
	for range 50 {
		_, err := p.Release(t.Context(), deploy.Release{NodeID: 1, NodeName: "ahv-01", DeploymentID: 7})
		if err == nil {
			return
		}
		var e *deploy.ProviderError
		if !errors.As(err, &e) || !e.Temporary {
			t.Fatal(err)
		}
		c.clock.Advance(e.Wait)
	}
	t.Fatal("the release does not end")
}

// A name that cannot be a label, or that is another's, is refused; the node's
// own names stay.
func TestClusterNameInDNS(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	p := c.provider(t, j)
	e := final(t, p.RegisterNames(t.Context(), clusterNames(strings.Repeat("a", 64))), deploy.CodeInvalid)
	if !strings.HasPrefix(e.Message, "cluster_name: ") || len(c.State().Records) != 0 {
		t.Errorf("%+v, %v", e, recordsOf(c))
	}
	n := clusterNames("prod")
	n.ClusterVIP = "fd00::1"
	if e := final(t, p.RegisterNames(t.Context(), n), deploy.CodeInvalid); !strings.HasPrefix(e.Message, "cluster_vip: ") {
		t.Errorf("%+v", e)
	}
	// The name of another cluster, or of the node itself.
	c.record(t, "POST", "", `{"type":"A","name":"prod","rdata":{"ip":"127.64.0.91"}}`)
	for _, name := range []string{"Prod", "ahv-01"} {
		e = final(t, p.RegisterNames(t.Context(), clusterNames(name)), deploy.CodeNameInUse)
		if !strings.Contains(e.Hint, "name the cluster differently") || len(c.State().Records) != 3 {
			t.Errorf("%s: %+v, %v", name, e, recordsOf(c))
		}
	}
}

// A plan finds an address of a cluster that is in the way, or leads somewhere.
func TestPlanOfAClusterAddress(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*testing.T, *cloud, *deploy.Order)
		key    string
		field  string
		says   string
	}{
		"taken":          {func(t *testing.T, c *cloud, _ *deploy.Order) { c.reserve(t, "127.64.0.90") }, ibmvpc.CheckAddresses, "cluster_vip", "is reserved as"},
		"another subnet": {func(_ *testing.T, _ *cloud, o *deploy.Order) { o.Spec.ClusterVIP = "127.64.1.90" }, ibmvpc.CheckAddresses, "cluster_vip", "is not in the subnet"},
		"IBM's":          {func(_ *testing.T, _ *cloud, o *deploy.Order) { o.Spec.ClusterVIP = "127.64.0.1" }, ibmvpc.CheckAddresses, "cluster_vip", "five addresses"},
		"the node's":     {func(_ *testing.T, _ *cloud, o *deploy.Order) { o.Spec.ClusterVIP = o.Spec.CVMIP }, ibmvpc.CheckAddresses, "cluster_vip", "is the cvm_ip already"},
		"a pointer's": {func(t *testing.T, c *cloud, _ *deploy.Order) {
			c.record(t, "POST", "", `{"type":"A","name":"old","rdata":{"ip":"127.64.0.90"}}`)
			c.record(t, "POST", "", `{"type":"PTR","name":"127.64.0.90","rdata":{"ptrdname":"old.`+vpcsim.DefaultDNSZone+`"}}`)
		}, ibmvpc.CheckNames, "", "127.64.0.90 has a PTR record already"},
		"controller VM's": {func(t *testing.T, c *cloud, _ *deploy.Order) {
			c.record(t, "POST", "", `{"type":"A","name":"ahv-01-cvm","rdata":{"ip":"127.64.0.99"}}`)
		}, ibmvpc.CheckNames, "", "ahv-01-cvm." + vpcsim.DefaultDNSZone + " has an A record already"},
		"nothing's amiss ": {func(*testing.T, *cloud, *deploy.Order) {}, "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			c, j := newCloud(t), &conformance.Journal{}
			checks := planned(t, c.provider(t, j, booting), func(o *deploy.Order) {
				creator(o)
				tt.change(t, c, o)
			})
			for _, check := range checks {
				if check.Severity != deploy.CheckError || check.Passed {
					continue
				}
				if check.Key != tt.key || check.Field != tt.field || !strings.Contains(check.Message, tt.says) {
					t.Errorf("%+v", check)
				}
				tt.key = "found"
			}
			if tt.key != "found" && tt.key != "" {
				t.Errorf("not found in %+v", checks)
			}
		})
	}
}

// What was adopted with a cluster's address keeps it, with its names.
func TestAdoptionOfAClusterAddress(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	p := c.provider(t, j)
	m := persist(t, c, p, order(creator))
	if err := p.RegisterNames(t.Context(), clusterNames("prod")); err != nil {
		t.Fatal(err)
	}
	found, err := c.provider(t, &conformance.Journal{}).Examine(t.Context(), m.ServerID)
	if err != nil {
		t.Fatal(err)
	}
	roles := map[string][]string{}
	for _, r := range found.Resources {
		roles[r.Role] = append(roles[r.Role], r.Kind)
	}
	for _, role := range []string{"management", "cvm", "cluster"} {
		slices.Sort(roles[role])
		want := []string{"dns_a", "dns_ptr", "reserved_ip"}
		if role == "management" {
			want = append(want, "vni")
		}
		if !slices.Equal(roles[role], want) {
			t.Errorf("%s: %v, want %v", role, roles[role], want)
		}
	}
}
