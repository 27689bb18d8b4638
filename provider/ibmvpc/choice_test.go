package ibmvpc_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/provider/conformance"
	"github.com/slipwayhq/slipway/provider/ibmvpc"
	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim"
)

const olderImage = "ibm-ipxe-20240115-amd64-1"

// choices is a cloud with something to choose from: a second image for network
// boot, a second key, and the groups "open" and "shut". It gives the ids of
// the groups.
func choices(t *testing.T) (c *cloud, groups map[string]string) {
	t.Helper()
	c = newCloud(t, func(o *vpcsim.Options) { o.BootImages = []string{olderImage} })
	c.request(t, http.MethodPost, "/keys", `{"name":"second","public_key":"ssh-ed25519 `+keyText(1)+`","type":"ed25519"}`, 201)
	var vpcs struct{ VPCs []struct{ ID string } }
	decode(t, c.request(t, http.MethodGet, "/vpcs", "", 200), &vpcs)
	groups = map[string]string{}
	for name, rules := range map[string]string{"open": `{"direction":"outbound","protocol":"any"},{"direction":"inbound","protocol":"any"}`, "shut": ""} {
		var made struct{ ID string }
		decode(t, c.request(t, http.MethodPost, "/security_groups", `{"name":"`+name+`","vpc":{"id":"`+vpcs.VPCs[0].ID+`"},"rules":[`+rules+`]}`, 201), &made)
		groups[name] = made.ID
	}
	return c, groups
}

func chosen(o *deploy.Order) {
	o.Spec.Image, o.Spec.Keys, o.Spec.SecurityGroups = olderImage, []string{"second"}, []string{"open"}
}

// initialized gives the image and the keys that a server was initialized with.
func (c *cloud) initialized(t *testing.T, server string) (image string, keys []string) {
	t.Helper()
	var got struct {
		Image struct{ Name string } `json:"image"`
		Keys  []struct{ Name string }
	}
	decode(t, c.request(t, http.MethodGet, "/bare_metal_servers/"+server+"/initialization", "", 200), &got)
	for _, k := range got.Keys {
		keys = append(keys, k.Name)
	}
	return got.Image.Name, keys
}

// groupsOf gives the security groups of all interfaces in the journal.
func (c *cloud) groupsOf(t *testing.T, j *conformance.Journal) (names []string) {
	t.Helper()
	for _, row := range j.Rows() {
		if row.Kind != "vni" {
			continue
		}
		var vni struct {
			Groups []struct{ Name string } `json:"security_groups"`
		}
		decode(t, c.request(t, http.MethodGet, "/virtual_network_interfaces/"+row.CloudID, "", 200), &vni)
		for _, g := range vni.Groups {
			names = append(names, g.Name)
		}
	}
	return names
}

func (c *cloud) wantChoice(t *testing.T, server string) {
	t.Helper()
	if image, keys := c.initialized(t, server); image != olderImage || !slices.Equal(keys, []string{"second"}) {
		t.Errorf("initialized with %s and %v", image, keys)
	}
}

// What an order chooses is what its server gets, and what the settings say
// does not matter; neither a retry nor writing the disk anew changes that.
func TestOrderChooses(t *testing.T) {
	c, groups := choices(t)
	j := &conformance.Journal{}
	p := c.provider(t, j)
	o := order(chosen, func(o *deploy.Order) { o.Spec.SecurityGroups = []string{groups["open"]} }) // by id
	m := persist(t, c, p, o)
	c.wantChoice(t, m.ServerID)
	if got := c.groupsOf(t, j); !slices.Equal(got, []string{"open", "open"}) {
		t.Errorf("interfaces in %v", got)
	}

	c.clock.Advance(time.Hour)
	again := attempt(c, 2)
	again.Spec = o.Spec
	if _, err := repeat(t, c, func() (deploy.Machine, error) { return p.Reinstall(t.Context(), again) }); err != nil {
		t.Fatal(err)
	}
	if s := c.State().Servers; len(s) != 1 || s[0].UserData != bootURL+"-2" {
		t.Fatalf("not initialized anew: %+v", s)
	}
	c.wantChoice(t, m.ServerID)

	// Another deployment of the same machine may choose otherwise.
	c.clock.Advance(time.Hour)
	other := attempt(c, 3)
	if _, err := repeat(t, c, func() (deploy.Machine, error) { return p.Reinstall(t.Context(), other) }); err != nil {
		t.Fatal(err)
	}
	if image, keys := c.initialized(t, m.ServerID); image != vpcsim.IPXEImage || !slices.Equal(keys, []string{vpcsim.DefaultSSHKey}) {
		t.Errorf("without a choice, initialized with %s and %v", image, keys)
	}
}

// The server that is ordered in place of one that failed is like it.
func TestReplacedServerKeepsTheChoice(t *testing.T) {
	c, _ := choices(t)
	j := &conformance.Journal{}
	p := c.provider(t, j)
	capacity(t, c, vpcsim.ReasonCannotStartCapacity)
	first := persist(t, c, p, order(chosen))
	c.clock.Advance(time.Hour)
	o := attempt(c, 2)
	chosen(&o)
	m, err := repeat(t, c, func() (deploy.Machine, error) { return p.Order(t.Context(), o) })
	if err != nil || m.ServerID == first.ServerID {
		t.Fatalf("%+v, %v", m, err)
	}
	c.wantChoice(t, m.ServerID)
	if got := c.groupsOf(t, j); !slices.Equal(got, []string{"open", "open"}) {
		t.Errorf("interfaces in %v", got)
	}
}

// What the account does not have is refused before anything is made, and the
// plan says so at the field.
func TestChoiceOfWhatIsNotThere(t *testing.T) {
	c, _ := choices(t)
	for field, test := range map[string]struct {
		check, says string
		change      func(*deploy.Spec)
	}{
		"image":           {"boot_image", `no image for network boot "nowhere" (there are: ` + olderImage + ", " + vpcsim.IPXEImage + ")", func(s *deploy.Spec) { s.Image = "nowhere" }},
		"keys":            {"ssh_keys", `no SSH key "nowhere" (there are: second, ` + vpcsim.DefaultSSHKey + ")", func(s *deploy.Spec) { s.Keys = []string{"second", "nowhere"} }},
		"security_groups": {"boot_traffic", `no security group "nowhere"`, func(s *deploy.Spec) { s.SecurityGroups = []string{"open", "nowhere"} }},
	} {
		t.Run(field, func(t *testing.T) {
			change := func(o *deploy.Order) { test.change(&o.Spec) }
			// Also where Slipway's own URL is not set.
			for name, p := range map[string]*ibmvpc.Provider{"booting": c.provider(t, &conformance.Journal{}, booting), "no base URL": c.provider(t, &conformance.Journal{})} {
				checks := planned(t, p, change)
				i := slices.IndexFunc(checks, func(c deploy.Check) bool { return c.Key == test.check && c.Field == field })
				if i < 0 || checks[i].Passed || checks[i].Severity != deploy.CheckError || !strings.Contains(checks[i].Message, test.says) || strings.Contains(checks[i].Hint, "restart") {
					t.Errorf("%s: %s says %q in %+v", name, test.check, messageOf(checks, test.check), checks)
				}
			}
			before := c.State().ReservedIPsCreated
			e := final(t, second(c.provider(t, &conformance.Journal{}).Order(t.Context(), order(change))), deploy.CodeInvalid)
			if !strings.HasPrefix(e.Message, field+": ") || c.State().ReservedIPsCreated != before {
				t.Errorf("%v", e)
			}
		})
	}
	// An image that boots a system of its own will not do, though the account has it.
	e := final(t, second(c.provider(t, &conformance.Journal{}).Order(t.Context(), order(func(o *deploy.Order) { o.Spec.Image = "ibm-debian-12-amd64-3" }))), deploy.CodeInvalid)
	if !strings.HasPrefix(e.Message, "image: ") {
		t.Errorf("%v", e)
	}
}

// The traffic that is judged is that of the groups which the interfaces get.
func TestPlanOfTrafficOfTheChosenGroups(t *testing.T) {
	c, _ := choices(t)
	of := func(settings string, order ...string) deploy.Check {
		t.Helper()
		p := c.provider(t, &conformance.Journal{}, booting, func(c *ibmvpc.Config) { c.SecurityGroups = []string{settings} })
		checks := planned(t, p, func(o *deploy.Order) { o.Spec.SecurityGroups = order })
		return checks[slices.IndexFunc(checks, func(c deploy.Check) bool { return c.Key == "boot_traffic" })]
	}
	if got := of("shut", "open"); !got.Passed {
		t.Errorf("%+v", got)
	}
	if got := of("open", "shut"); got.Passed || got.Field != "security_groups" {
		t.Errorf("%+v", got)
	}
	if got := of("open", "shut", "open"); !got.Passed { // a group only adds
		t.Errorf("%+v", got)
	}
	if got := of("shut"); got.Passed || got.Field != "" {
		t.Errorf("%+v", got)
	}
}
