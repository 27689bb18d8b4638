package ibmvpc_test

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/slipwayhq/slipway/provider/conformance"
	"github.com/slipwayhq/slipway/provider/ibmvpc"
)

func TestPlanOfTraffic(t *testing.T) {
	const (
		all    = `{"direction":"outbound","protocol":"any"},{"direction":"inbound","protocol":"any"}`
		web    = `{"direction":"outbound","protocol":"tcp","port_min":8000,"port_max":8090,"remote":{"cidr_block":"10.1.0.0/16"}}`
		dns    = `{"direction":"outbound","protocol":"udp","port_min":53,"port_max":53,"remote":{"cidr_block":"161.26.0.0/24"}}`
		dhcp   = `{"direction":"outbound","protocol":"udp","port_min":67,"port_max":68}`
		ssh    = `{"direction":"inbound","protocol":"tcp","port_min":22,"port_max":22,"remote":{"address":"10.1.2.3"}}`
		sshAny = `{"direction":"inbound","protocol":"tcp","port_min":22,"port_max":22,"remote":{"cidr_block":"192.168.0.0/16"}}`
	)
	for name, c := range map[string]struct {
		rules []string
		url   string
		want  string // severity, empty if all is well
		says  string
	}{
		"everything":                   {[]string{all}, "http://10.1.2.3:8080", "", ""},
		"just what is needed":          {[]string{web, dns, dhcp, ssh}, "http://10.1.2.3:8080", "", ""},
		"another port":                 {[]string{web, dns, dhcp, ssh}, "http://10.1.2.3:9000", "error", "TCP port 9000"},
		"the standard port":            {[]string{web, dns, dhcp, ssh}, "http://10.1.2.3", "error", "TCP port 80"},
		"another network":              {[]string{web, dns, dhcp, ssh}, "http://10.2.2.3:8080", "error", "reach 10.2.2.3"},
		"no DNS, but an address":       {[]string{web, dhcp, ssh}, "http://10.1.2.3:8080", "warning", "UDP port 53"},
		"no DNS, and a name":           {[]string{web, dhcp, ssh}, "http://slipway.internal:8080", "error", "slipway.internal is a name"},
		"a name":                       {[]string{web, dns, dhcp, ssh}, "http://slipway.internal:8080", "", ""},
		"a name that nobody knows":     {[]string{all}, "http://nobody.internal:8080", "warning", "cannot be resolved"},
		"no DHCP":                      {[]string{web, dns, ssh}, "http://10.1.2.3:8080", "warning", "DHCP"},
		"nobody is let in":             {[]string{web, dns, dhcp}, "http://10.1.2.3:8080", "error", "let nobody in to TCP port 22"},
		"others are let in":            {[]string{web, dns, dhcp, sshAny}, "http://10.1.2.3:8080", "warning", "let 10.1.2.3 in"},
		"a public address, no gateway": {[]string{all}, "https://8.8.8.8", "warning", "public gateway"},
		"no base URL":                  {[]string{all}, "", "warning", "not checked because"},
		"no rules":                     {nil, "http://10.1.2.3:8080", "error", "let machines reach"},
	} {
		t.Run(name, func(t *testing.T) {
			cl := newCloud(t)
			var vpcs struct{ VPCs []struct{ ID string } }
			decode(t, cl.request(t, http.MethodGet, "/vpcs", "", 200), &vpcs)
			cl.request(t, http.MethodPost, "/security_groups", `{"name":"tight","vpc":{"id":"`+vpcs.VPCs[0].ID+`"},"rules":[`+strings.Join(c.rules, ",")+`]}`, 201)
			p := cl.provider(t, &conformance.Journal{}, func(config *ibmvpc.Config) {
				config.SecurityGroups, config.BootURL = []string{"tight"}, c.url
				config.Resolve = func(_ context.Context, host string) ([]netip.Addr, error) {
					if host == "slipway.internal" {
						return []netip.Addr{netip.MustParseAddr("10.1.2.3")}, nil
					}
					return nil, errors.New("no such host")
				}
			})
			checks := planned(t, p)
			says := messageOf(checks, "boot_traffic")
			if got := open(checks); c.want == "" && len(got) > 0 || c.want != "" && !slices.Contains(got, "boot_traffic "+c.want) || !strings.Contains(says, c.says) {
				t.Errorf("open %v, want %q; says %q, want %q", got, c.want, says, c.says)
			}
		})
	}
}

// A rule for another group's members may or may not fit.
func TestPlanOfTrafficToAGroup(t *testing.T) {
	c := newCloud(t)
	var vpcs struct{ VPCs []struct{ ID string } }
	decode(t, c.request(t, http.MethodGet, "/vpcs", "", 200), &vpcs)
	var group struct{ ID string }
	decode(t, c.request(t, http.MethodPost, "/security_groups", `{"name":"slipway","vpc":{"id":"`+vpcs.VPCs[0].ID+`"}}`, 201), &group)
	c.request(t, http.MethodPost, "/security_groups", `{"name":"tight","vpc":{"id":"`+vpcs.VPCs[0].ID+`"},"rules":[
		{"direction":"outbound","protocol":"any","remote":{"id":"`+group.ID+`"}},{"direction":"inbound","protocol":"any"},{"direction":"outbound","protocol":"udp"}]}`, 201)
	p := c.provider(t, &conformance.Journal{}, func(c *ibmvpc.Config) {
		c.SecurityGroups, c.BootURL = []string{"tight"}, "http://10.1.2.3:8080"
	})
	checks := planned(t, p)
	if got := open(checks); !slices.Equal(got, []string{"boot_traffic warning"}) || !strings.Contains(messageOf(checks, "boot_traffic"), "only if it is in another security group") {
		t.Errorf("open %v: %s", got, messageOf(checks, "boot_traffic"))
	}
}

// Protocols and words that IBM adds later must not break a plan.
func TestPlanWithUnknownWords(t *testing.T) {
	c := newCloud(t)
	c.wire.base = edit(http.MethodGet, "/security_groups", func(body map[string]any) {
		for _, g := range body["security_groups"].([]any) {
			group := g.(map[string]any)
			group["rules"] = append(group["rules"].([]any), map[string]any{"direction": "sideways", "protocol": "quantum", "id": "x", "href": "x", "name": "x",
				"ip_version": "ipv9", "resource_type": "security_group_rule", "remote": map[string]any{"planet": "Mars"}, "local": map[string]any{}})
		}
	})
	if got := open(planned(t, c.provider(t, &conformance.Journal{}, booting))); len(got) > 0 {
		t.Errorf("open %v", got)
	}
}

// Without a public gateway only private addresses are reached; with one, all.
func TestPlanOfAPublicGateway(t *testing.T) {
	c := newCloud(t)
	c.wire.base = edit(http.MethodGet, "/subnets", func(body map[string]any) {
		subnets, _ := body["subnets"].([]any)
		for _, sn := range subnets {
			sn.(map[string]any)["public_gateway"] = map[string]any{"id": "x", "name": "gateway", "crn": "x", "href": "x", "resource_type": "public_gateway"}
		}
	})
	p := c.provider(t, &conformance.Journal{}, func(c *ibmvpc.Config) { c.BootURL = "https://8.8.8.8" })
	if got := open(planned(t, p)); len(got) > 0 {
		t.Errorf("open %v", got)
	}
}

// A loopback address is reached in a simulation only.
func TestPlanOfALoopbackAddress(t *testing.T) {
	c := newCloud(t)
	base := strings.TrimPrefix(c.url, "http://")
	c.wire.base = roundTrip(func(r *http.Request) (*http.Response, error) {
		r = r.Clone(r.Context())
		r.URL.Host = base
		return http.DefaultTransport.RoundTrip(r)
	})
	p := c.provider(t, &conformance.Journal{}, booting, func(c *ibmvpc.Config) { c.VPCURL = "http://vpc.example" })
	checks := planned(t, p)
	if got := open(checks); !slices.Equal(got, []string{"boot_traffic error"}) || !strings.Contains(messageOf(checks, "boot_traffic"), "own loopback") {
		t.Errorf("open %v", got)
	}
}
