package ibmvpc_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/provider/conformance"
	"github.com/slipwayhq/slipway/provider/ibmvpc"
	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim"
)

func planned(t *testing.T, p *ibmvpc.Provider, change ...func(*deploy.Order)) []deploy.Check {
	t.Helper()
	checks, err := p.Plan(t.Context(), order(change...))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range checks {
		if c.Key == "" || c.Label == "" || c.Message == "" || !c.Passed && c.Hint == "" || c.Passed && c.Severity != deploy.CheckError {
			t.Errorf("check %+v", c)
		}
	}
	return checks
}

// open gives the keys of the checks that did not pass, with their severities.
func open(checks []deploy.Check) []string {
	var keys []string
	for _, c := range checks {
		if key := c.Key + " " + string(c.Severity); !c.Passed && !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	return keys
}

func booting(c *ibmvpc.Config) { c.BootURL = "http://127.0.0.1:8080" }

func TestPlanOfAnOrderThatWillDo(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	p := c.provider(t, j, ranged, booting)
	before := c.State()
	checks := planned(t, p, func(o *deploy.Order) { o.NodeID, o.DeploymentID = 0, 0 })
	if got := open(checks); len(got) > 0 {
		t.Errorf("open %v in %+v", got, checks)
	}
	var keys []string
	for _, c := range checks {
		keys = append(keys, c.Key)
	}
	want := []string{"permissions", "vpc", "server", "quota", "zone", "profile", "local_disks", "subnets", "addresses", "names", "dns_zone", "boot_image", "boot_traffic", "ssh_keys"}
	if !slices.Equal(keys, want) {
		t.Errorf("checks %v, want %v", keys, want)
	}
	for operation, n := range c.State().Calls {
		if n > before.Calls[operation] && !strings.HasPrefix(operation, "List") && !strings.HasPrefix(operation, "Get") {
			t.Errorf("the plan called %s", operation)
		}
	}
	if len(j.Rows()) > 0 {
		t.Errorf("the plan wrote %+v", j.Rows())
	}
	// What is planned is what is done.
	m := persist(t, c, p, order())
	says := messageOf(checks, "addresses")
	for _, ip := range []string{m.ManagementIP, m.AHVIP, m.CVMIP} {
		if !strings.Contains(says, ip) {
			t.Errorf("planned %q, got %+v", says, m)
		}
	}
}

func messageOf(checks []deploy.Check, key string) string {
	var all []string
	for _, c := range checks {
		if c.Key == key {
			all = append(all, c.Message)
		}
	}
	return strings.Join(all, "; ")
}

// One finding does not hide another.
func TestPlanFindsEverythingAtOnce(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	for range 2 {
		o := order(func(o *deploy.Order) {
			o.NodeID, o.NodeName, o.DeploymentID = 50+int64(c.State().ServersCreated), fmt.Sprintf("other-%d", c.State().ServersCreated), 50+int64(c.State().ServersCreated)
		})
		persist(t, c, c.provider(t, &conformance.Journal{}), o)
	}
	p := c.provider(t, j, booting, func(c *ibmvpc.Config) {
		c.ServerQuota, c.SSHKeys, c.DNSZone = 2, []string{"nowhere", vpcsim.DefaultSSHKey}, "nowhere.example"
		c.SecurityGroups = []string{"no-group"}
	})
	checks := planned(t, p, func(o *deploy.Order) {
		o.Spec.ServerProfile, o.Spec.ManagementIP, o.Spec.AHVIP = "bx2d-metal-48x192", "127.64.0.1", "127.64.0.4"
		o.Spec.WorkloadSubnets = []string{"nowhere", "neither"}
	})
	want := []string{"quota error", "zone warning", "profile error", "local_disks warning", "subnets error", "addresses error", "dns_zone error", "boot_traffic error", "ssh_keys error"}
	if got := open(checks); !slices.Equal(got, want) {
		t.Errorf("open %v, want %v", got, want)
	}
	for key, says := range map[string]string{
		"quota": "has 2 bare metal servers", "zone": "not checked because a subnet", "profile": `no bare metal profile "bx2d-metal-48x192"`, "local_disks": "not checked because the server profile",
		"subnets": `no subnet "nowhere"`, "addresses": "127.64.0.1 is one of the five", "dns_zone": "nowhere.example", "boot_traffic": `no security group "no-group"`, "ssh_keys": `no SSH key "nowhere"`,
	} {
		if got := messageOf(checks, key); !strings.Contains(got, says) {
			t.Errorf("%s says %q, not %q", key, got, says)
		}
	}
	fields := map[string]bool{}
	for _, c := range checks {
		fields[c.Field] = true
	}
	if got := slices.Sorted(maps.Keys(fields)); !slices.Equal(got, []string{"", "management_ip", "server_profile", "workload_subnets"}) || strings.Count(messageOf(checks, "subnets"), "no subnet") != 2 {
		t.Errorf("fields %v; %s", got, messageOf(checks, "subnets"))
	}
}

func TestPlanOfAddresses(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	c.reserve(t, "127.64.0.60")
	p := c.provider(t, j, func(c *ibmvpc.Config) {
		c.AHVRange, c.CVMRange = "127.64.0.60", "127.64.0.61"
		c.Holder = func(_ context.Context, _ int64, address string) (string, error) {
			if address == "127.64.0.62" {
				return "rack-01", nil
			}
			return "", nil
		}
	})
	checks := planned(t, p, func(o *deploy.Order) { o.Spec.ManagementIP, o.Spec.CVMIP = "127.64.0.62", "127.64.0.60" })
	says := messageOf(checks, "addresses")
	for _, want := range []string{"the node rack-01 has the address 127.64.0.62", "the range 127.64.0.60 of the subnet slipway-management is used up", "the address 127.64.0.60 is reserved"} {
		if !strings.Contains(says, want) {
			t.Errorf("%q does not say %q", says, want)
		}
	}
	// Two roles that share a range get two addresses.
	checks = planned(t, c.provider(t, j, func(c *ibmvpc.Config) { c.AHVRange, c.CVMRange = "127.64.0.60-127.64.0.62", "127.64.0.60-127.64.0.62" }))
	if says := messageOf(checks, "addresses"); !strings.Contains(says, "ahv 127.64.0.61, cvm 127.64.0.62") {
		t.Error(says)
	}
}

func TestPlanOfASubnetThatIsFull(t *testing.T) {
	c := newCloud(t, func(o *vpcsim.Options) {
		o.Subnets = []vpcsim.SubnetConfig{{Name: vpcsim.DefaultManagementSubnet, CIDR: "127.64.0.0/29"}, {Name: vpcsim.DefaultWorkloadSubnet, CIDR: "127.64.1.0/24"}}
	})
	p := c.provider(t, &conformance.Journal{}, func(c *ibmvpc.Config) { c.GuestAddresses = ibmvpc.GuestsOn })
	if got := open(planned(t, p)); slices.Contains(got, "subnets error") {
		t.Errorf("three addresses are free, and three needed: %v", got)
	}
	c.reserve(t, "127.64.0.5")
	if says := messageOf(planned(t, p), "subnets"); !strings.Contains(says, "has 2 free addresses, and 3 are needed") {
		t.Error(says)
	}
}

func TestPlanOfNames(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	old := &conformance.Journal{}
	m := persist(t, c, c.provider(t, old), order())
	names := nodeNames
	names.ManagementIP = m.ManagementIP
	if err := c.provider(t, old).RegisterNames(t.Context(), names); err != nil {
		t.Fatal(err)
	}
	without := func(o *deploy.Order) { o.NodeID, o.DeploymentID = 0, 0 }
	// The journal knows nothing of them: leftovers.
	checks := planned(t, c.provider(t, j), without)
	if got := open(checks); !slices.Contains(got, "names warning") || !slices.Contains(got, "names error") {
		t.Errorf("open %v", got)
	}
	for _, want := range []string{"the bare metal server slw-ahv-01-d7-g1 of an earlier deployment", "the virtual network interface slw-ahv-01-d7-g1-mgmt", "ahv-01.demo.slipway.test has an A record already"} {
		if says := messageOf(checks, "names"); !strings.Contains(says, want) {
			t.Errorf("%q does not say %q", says, want)
		}
	}
	// With the deployment's number they are in its way.
	if got := open(planned(t, c.provider(t, j))); !slices.Contains(got, "names error") {
		t.Errorf("open %v", got)
	}
	// Another node's are not; nor are those that the journal knows.
	if got := open(planned(t, c.provider(t, j), without, func(o *deploy.Order) { o.NodeName = "ahv-0" })); slices.Contains(got, "names warning") {
		t.Errorf("open %v", got)
	}
	if got := open(planned(t, c.provider(t, old))); slices.Contains(got, "names error") || slices.Contains(got, "names warning") || slices.Contains(got, "server error") {
		t.Errorf("open %v", got)
	}
	// A new deployment of a node that has its server is refused, as Order would.
	checks = planned(t, c.provider(t, old), func(o *deploy.Order) { o.DeploymentID = 8 })
	if says := messageOf(checks, "server"); !strings.Contains(says, "still has the server slw-ahv-01-d7-g1 of deployment 7") {
		t.Error(says)
	}
}

func TestPlanOfAPTRThatLeadsElsewhere(t *testing.T) {
	c := newCloud(t)
	old := &conformance.Journal{}
	names := nodeNames
	names.NodeName, names.ManagementIP = "other", "127.64.0.80"
	if err := c.provider(t, old).RegisterNames(t.Context(), names); err != nil {
		t.Fatal(err)
	}
	checks := planned(t, c.provider(t, &conformance.Journal{}), func(o *deploy.Order) { o.Spec.ManagementIP = "127.64.0.80" })
	if says := messageOf(checks, "names"); !strings.Contains(says, "the address 127.64.0.80 has a PTR record already") {
		t.Error(says)
	}
}

func TestPlanOfProfiles(t *testing.T) {
	for profile, want := range map[string]string{
		"bx2d-metal-96x384":  "",
		"mx3de-metal-48x512": "",
		"bx2-metal-96x384":   "local_disks error",
		"vx2d-metal-96x1536": "local_disks error", // the API says that it has none, whatever its name
	} {
		t.Run(profile, func(t *testing.T) {
			c := newCloud(t)
			if profile == "vx2d-metal-96x1536" {
				c.wire.base = edit(http.MethodGet, "/bare_metal_server/profiles/", func(body map[string]any) {
					body["disks"] = body["disks"].([]any)[:1]
				})
			}
			got := open(planned(t, c.provider(t, &conformance.Journal{}, booting), func(o *deploy.Order) { o.Spec.ServerProfile = profile }))
			if want == "" && len(got) > 0 || want != "" && !slices.Equal(got, []string{want}) {
				t.Errorf("open %v, want %q", got, want)
			}
		})
	}
	t.Run("disks that are other than documented", func(t *testing.T) {
		c := newCloud(t)
		c.wire.base = edit(http.MethodGet, "/bare_metal_server/profiles/", func(body map[string]any) {
			body["disks"].([]any)[1].(map[string]any)["quantity"].(map[string]any)["value"] = 6
		})
		p := c.provider(t, &conformance.Journal{}, booting)
		checks := planned(t, p)
		if says := messageOf(checks, "local_disks"); !slices.Equal(open(checks), []string{"local_disks warning"}) || !strings.Contains(says, "6 data disks of 3200 GB, but Slipway expects") {
			t.Errorf("%v, %s", open(checks), says)
		}
		if got := open(planned(t, p, func(o *deploy.Order) { o.Spec.Storage = json.RawMessage(`{"boot_disk":{"serial":"x"}}`) })); len(got) > 0 {
			t.Errorf("the order names its disks, but open are %v", got)
		}
	})
	t.Run("zones that the API tells", func(t *testing.T) {
		for zone, ok := range map[string]bool{"us-south-1": true, "us-south-3": false} {
			c := newCloud(t)
			c.wire.base = edit(http.MethodGet, "/bare_metal_server/profiles/", func(body map[string]any) {
				body["zones"] = []any{map[string]any{"name": zone, "href": "x"}}
			})
			p := c.provider(t, &conformance.Journal{}, booting)
			if got := open(planned(t, p)); ok && len(got) > 0 || !ok && !slices.Equal(got, []string{"profile error"}) {
				t.Errorf("offered in %s: open %v", zone, got)
			}
			if !ok {
				e := final(t, second(p.Order(t.Context(), order())), deploy.CodeInvalid)
				if !strings.HasPrefix(e.Message, "server_profile: ") || !strings.Contains(e.Message, "us-south-3") {
					t.Error(e)
				}
			}
		}
	})
}

// edit changes the body of an answer.
func edit(method, path string, change func(map[string]any)) roundTrip {
	return func(r *http.Request) (*http.Response, error) {
		response, err := http.DefaultTransport.RoundTrip(r)
		if err != nil || r.Method != method || !strings.Contains(r.URL.Path, path) || response.StatusCode >= 300 || response.StatusCode == http.StatusNoContent {
			return response, err
		}
		raw, err := io.ReadAll(response.Body)
		if err = errors.Join(err, response.Body.Close()); err != nil {
			return nil, err
		}
		var body map[string]any
		if err := json.Unmarshal(raw, &body); err != nil {
			return nil, err
		}
		change(body)
		if raw, err = json.Marshal(body); err != nil {
			return nil, err
		}
		return answer(r, response.StatusCode, string(raw)), nil
	}
}

func TestPlanWhenIBMDoesNotAnswerWell(t *testing.T) {
	for name, c := range map[string]struct {
		fault vpcsim.Fault
		err   bool
		open  []string
		says  map[string]string
	}{
		"nothing":            {vpcsim.Fault{Operation: vpcsim.AnyOperation, Status: 503}, true, nil, nil},
		"too many calls":     {vpcsim.Fault{Operation: vpcsim.AnyOperation, Status: 429}, true, nil, nil},
		"may not read":       {vpcsim.Fault{Operation: "ListVirtualNetworkInterfaces", Status: 403}, false, []string{"permissions error", "names warning"}, map[string]string{"names": "not checked because IBM Cloud does not let Slipway look"}},
		"one list is broken": {vpcsim.Fault{Operation: "ListBareMetalServers", Status: 500}, false, []string{"quota warning", "names warning"}, map[string]string{"quota": "not checked because"}},
		"no credentials": {vpcsim.Fault{Operation: vpcsim.AnyOperation, Status: 401}, false, []string{"permissions error", "vpc warning", "server warning", "quota warning", "zone warning", "profile warning", "local_disks warning",
			"subnets warning", "addresses warning", "names warning", "dns_zone warning", "boot_image warning", "boot_traffic warning", "ssh_keys warning"},
			map[string]string{"quota": "does not take Slipway's credentials"}},
		"no VPC to be seen": {vpcsim.Fault{Operation: "ListVpcs", Status: 403}, false, []string{"permissions error", "vpc warning", "zone warning", "subnets warning", "addresses warning", "boot_traffic warning"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			cl := newCloud(t)
			c.fault.Kind = vpcsim.FaultFail
			if _, err := cl.AddFault(c.fault); err != nil {
				t.Fatal(err)
			}
			p := cl.provider(t, &conformance.Journal{}, booting)
			if c.err {
				_, err := p.Plan(t.Context(), order())
				var e *deploy.ProviderError
				if !errors.As(err, &e) || !e.Temporary {
					t.Fatalf("%v", err)
				}
				return
			}
			checks := planned(t, p)
			if got := open(checks); !slices.Equal(got, c.open) {
				t.Errorf("open %v, want %v", got, c.open)
			}
			for key, says := range c.says {
				if got := messageOf(checks, key); !strings.Contains(got, says) {
					t.Errorf("%s says %q", key, got)
				}
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newCloud(t).provider(t, &conformance.Journal{}).Plan(ctx, order()); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// More than a page of everything that a plan and an offer list.
func TestOffer(t *testing.T) {
	c := newCloud(t)
	subnet := c.subnetID(t, vpcsim.DefaultWorkloadSubnet)
	for i := range 110 {
		c.request(t, http.MethodPost, "/keys", fmt.Sprintf(`{"name":"key-%d","public_key":"ssh-ed25519 %s","type":"ed25519"}`, i, keyText(i)), 201)
	}
	var vpcs struct{ VPCs []struct{ ID string } }
	decode(t, c.request(t, http.MethodGet, "/vpcs", "", 200), &vpcs)
	for i := range 60 {
		c.request(t, http.MethodPost, "/security_groups", fmt.Sprintf(`{"name":"group-%d","vpc":{"id":"%s"}}`, i, vpcs.VPCs[0].ID), 201)
	}
	c.request(t, http.MethodPost, "/subnets/"+subnet+"/reserved_ips", `{}`, 201)
	persist(t, c, c.provider(t, &conformance.Journal{}), order())
	o, err := c.provider(t, &conformance.Journal{}).Offer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if o.Region != "us-south" || !slices.Equal(o.Zones, []string{"us-south-1"}) || o.Servers != 1 || o.Quota != 25 || !o.AsOf.Equal(c.clock.Now()) {
		t.Errorf("%+v", o)
	}
	if len(o.SSHKeys) != 111 || len(o.SecurityGroups) != 62 || len(o.Images) != 1 || o.Images[0].Name != vpcsim.IPXEImage || len(o.Subnets) != 2 || len(o.DNSZones) != 1 || o.DNSZones[0].Name != vpcsim.DefaultDNSZone {
		t.Errorf("%d keys, %d groups, images %+v, subnets %+v, zones %+v", len(o.SSHKeys), len(o.SecurityGroups), o.Images, o.Subnets, o.DNSZones)
	}
	for kind, list := range map[string][]deploy.OfferNamed{vpcsim.IPXEImage: o.Images, vpcsim.DefaultSSHKey: o.SSHKeys, vpcsim.DefaultSecurityGroup: o.SecurityGroups} {
		for _, n := range list {
			if n.Default != (n.Name == kind) {
				t.Errorf("%s is offered as the default: %v", n.Name, n.Default)
			}
		}
	}
	if sn := o.Subnets[1]; sn.Name != vpcsim.DefaultWorkloadSubnet || sn.ID != subnet || sn.Available != 256-5-2 || sn.CIDR != "127.64.1.0/24" || sn.Zone != "us-south-1" {
		t.Errorf("subnet %+v", sn)
	}
	usable := map[string]bool{}
	for _, p := range o.Profiles {
		if usable[p.Name] = p.Usable; p.Usable != (p.Why == "") || p.CPUs == 0 || p.MemoryGiB == 0 || p.Family == "" {
			t.Errorf("profile %+v", p)
		}
		if p.Name == "bx2d-metal-96x384" && (p.DataDisks != 8 || p.DataDiskGB != 3200 || p.MemoryGiB != 384) {
			t.Errorf("profile %+v", p)
		}
	}
	for name := range ibmvpc.Layouts() {
		if !usable[name] {
			t.Errorf("%s is not usable", name)
		}
	}
	if usable["bx2-metal-96x384"] {
		t.Error("a profile without data disks is usable")
	}
	if _, err := c.AddFault(vpcsim.Fault{Kind: vpcsim.FaultFail, Operation: "ListKeys", Status: 403}); err != nil {
		t.Fatal(err)
	}
	_, err = c.provider(t, &conformance.Journal{}).Offer(t.Context())
	final(t, err, deploy.CodeForbidden)
}
