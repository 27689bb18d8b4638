package ibmvpc_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/provider/conformance"
	"github.com/slipwayhq/slipway/provider/ibmvpc"
)

// What a single host needs is less than what its cluster does.
func TestPlanOfAClustersTraffic(t *testing.T) {
	const (
		out   = `{"direction":"outbound","protocol":"any"}`
		ssh   = `{"direction":"inbound","protocol":"tcp","port_min":22,"port_max":22,"remote":{"address":"10.1.2.3"}}`
		prism = `{"direction":"inbound","protocol":"tcp","port_min":9440,"port_max":9440,"remote":{"cidr_block":"10.1.0.0/16"}}`
		most  = `{"direction":"inbound","protocol":"tcp","port_min":2000,"port_max":7100,"remote":{"cidr_block":"127.64.0.0/16"}}`
		some  = `{"direction":"inbound","protocol":"any","remote":{"cidr_block":"127.64.0.0/30"}}`
		subn  = `{"direction":"inbound","protocol":"any","remote":{"cidr_block":"127.0.0.0/8"}}`
	)
	for name, c := range map[string]struct {
		rules []string
		kind  string
		says  []string // nil: the check is not made; one empty: all is well
	}{
		"no cluster":               {[]string{out, ssh}, "", nil},
		"a single node":            {[]string{out, ssh, prism}, "single_node", []string{"controller VMs reach each other"}},
		"no Prism":                 {[]string{out, ssh}, "single_node", []string{"do not let 10.1.2.3 in to TCP port 9440"}},
		"the subnet":               {[]string{out, ssh, prism, subn}, "multi_node", []string{"controller VMs reach each other"}},
		"nobody of them":           {[]string{out, ssh, prism}, "multi_node", []string{"inbound: TCP port 2009, 2100, 7000, 9876 of 127.64."}},
		"some of them":             {[]string{out, ssh, prism, some}, "multi_node", []string{"inbound: TCP port 2009"}},
		"not all ports":            {[]string{out, ssh, prism, most}, "multi_node", []string{"inbound: TCP port 9876 of"}},
		"everything is still open": {[]string{out, `{"direction":"inbound","protocol":"any"}`}, "multi_node", []string{"controller VMs reach each other"}},
	} {
		t.Run(name, func(t *testing.T) {
			cl := newCloud(t)
			var vpcs struct{ VPCs []struct{ ID string } }
			decode(t, cl.request(t, http.MethodGet, "/vpcs", "", 200), &vpcs)
			cl.request(t, http.MethodPost, "/security_groups", `{"name":"tight","vpc":{"id":"`+vpcs.VPCs[0].ID+`"},"rules":[`+strings.Join(c.rules, ",")+`]}`, 201)
			p := cl.provider(t, &conformance.Journal{}, func(config *ibmvpc.Config) {
				config.SecurityGroups, config.BootURL = []string{"tight"}, "http://10.1.2.3:8080"
			})
			checks := planned(t, p, func(o *deploy.Order) { o.Spec.ClusterType = c.kind })
			says := messageOf(checks, "cluster_traffic")
			if c.says == nil && slices.ContainsFunc(checks, func(k deploy.Check) bool { return k.Key == "cluster_traffic" }) {
				t.Errorf("it says %q of a node without a cluster", says)
			}
			for _, want := range c.says {
				if !strings.Contains(says, want) {
					t.Errorf("it says %q, want %q", says, want)
				}
			}
		})
	}
}

// A rule for members of the very group is what the hint asks for.
func TestPlanOfTrafficAmongAGroup(t *testing.T) {
	c := newCloud(t)
	var vpcs struct{ VPCs []struct{ ID string } }
	decode(t, c.request(t, http.MethodGet, "/vpcs", "", 200), &vpcs)
	var group struct{ ID string }
	decode(t, c.request(t, http.MethodPost, "/security_groups", `{"name":"tight","vpc":{"id":"`+vpcs.VPCs[0].ID+`"},"rules":[{"direction":"outbound","protocol":"any"},
		{"direction":"inbound","protocol":"tcp","port_min":1,"port_max":65535,"remote":{"address":"10.1.2.3"}}]}`, 201), &group)
	p := c.provider(t, &conformance.Journal{}, func(c *ibmvpc.Config) {
		c.SecurityGroups, c.BootURL = []string{"tight"}, "http://10.1.2.3:8080"
	})
	ofCluster := func(o *deploy.Order) { o.Spec.ClusterType = "multi_node" }
	if got := open(planned(t, p, ofCluster)); !slices.Equal(got, []string{"cluster_traffic warning"}) {
		t.Errorf("open %v", got)
	}
	c.wire.base = edit(http.MethodGet, "/security_groups", func(body map[string]any) {
		for _, g := range body["security_groups"].([]any) {
			of := g.(map[string]any)
			of["rules"] = append(of["rules"].([]any), map[string]any{"direction": "inbound", "protocol": "any", "id": "x", "href": "x", "name": "x", "ip_version": "ipv4",
				"remote": map[string]any{"id": group.ID, "name": "tight", "crn": "x", "href": "x"}, "local": map[string]any{"cidr_block": "0.0.0.0/0"}})
		}
	})
	if got := open(planned(t, p, ofCluster)); len(got) > 0 {
		t.Errorf("open %v", got)
	}
}
