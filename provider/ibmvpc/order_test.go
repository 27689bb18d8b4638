package ibmvpc_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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

func TestOrderMakesAServerThatBootsFromTheNetwork(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	var notes []string
	m := persist(t, c, c.provider(t, j), order(func(o *deploy.Order) {
		o.Spec.ManagementIP = "127.64.0.77"
		o.Note = func(_ context.Context, message string) { notes = append(notes, message) }
	}))
	s := c.State()
	if len(s.Servers) != 1 {
		t.Fatalf("%d servers", len(s.Servers))
	}
	got := s.Servers[0]
	if got.ID != m.ServerID || got.Name != "slw-ahv-01-d7-g1" || got.Zone != "us-south-1" || got.Profile != "bx2d-metal-96x384" || got.UserData != bootURL || got.IP != "127.64.0.77" {
		t.Errorf("the cloud has %+v", got)
	}
	if m.ManagementIP != "127.64.0.77" || !strings.HasPrefix(m.WorkloadIP, "127.64.1.") || len(m.MACs) != 2 || m.MACs[0] != strings.ToLower(got.MAC) || m.ServerStatus != "pending" {
		t.Errorf("machine %+v", m)
	}
	var server struct {
		SecureBoot bool `json:"enable_secure_boot"`
		Primary    struct {
			Name string                `json:"name"`
			VNI  struct{ Name string } `json:"virtual_network_interface"`
		} `json:"primary_network_attachment"`
		Attachments []struct {
			ID   string `json:"id"`
			Name string `json:"name"`
		} `json:"network_attachments"`
	}
	decode(t, c.request(t, http.MethodGet, "/bare_metal_servers/"+m.ServerID, "", 200), &server)
	if server.SecureBoot || server.Primary.Name != "management" || server.Primary.VNI.Name != "slw-ahv-01-d7-g1-mgmt" || len(server.Attachments) != 2 {
		t.Errorf("server %+v", server)
	}
	for _, a := range server.Attachments {
		var attachment struct {
			Type string `json:"interface_type"`
		}
		decode(t, c.request(t, http.MethodGet, "/bare_metal_servers/"+m.ServerID+"/network_attachments/"+a.ID, "", 200), &attachment)
		if attachment.Type != "pci" {
			t.Errorf("attachment %s is %s", a.Name, attachment.Type)
		}
	}
	var initialization struct {
		Image struct{ Name string } `json:"image"`
		Keys  []struct{ Name string }
	}
	decode(t, c.request(t, http.MethodGet, "/bare_metal_servers/"+m.ServerID+"/initialization", "", 200), &initialization)
	if initialization.Image.Name != vpcsim.IPXEImage || len(initialization.Keys) != 1 {
		t.Errorf("initialization %+v", initialization)
	}
	var vni struct {
		AutoDelete bool `json:"auto_delete"`
		PrimaryIP  struct {
			Address string
			Name    string
		} `json:"primary_ip"`
		Groups []struct{ Name string } `json:"security_groups"`
	}
	decode(t, c.request(t, http.MethodGet, "/virtual_network_interfaces/"+rowNamed(t, j, "vni", "slw-ahv-01-d7-g1-mgmt").CloudID, "", 200), &vni)
	if vni.AutoDelete || vni.PrimaryIP.Address != "127.64.0.77" || vni.PrimaryIP.Name != "slw-ahv-01-d7-g1-mgmt" || len(vni.Groups) != 1 || vni.Groups[0].Name != vpcsim.DefaultSecurityGroup {
		t.Errorf("interface %+v", vni)
	}
	if len(notes) != 5 || !strings.Contains(notes[4], "server slw-ahv-01-d7-g1") {
		t.Errorf("notes %q", notes)
	}
}

func decode(t *testing.T, text []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

func rowNamed(t *testing.T, j *conformance.Journal, kind, name string) deploy.Resource {
	t.Helper()
	rows := j.Rows()
	i := slices.IndexFunc(rows, func(r deploy.Resource) bool { return r.Kind == kind && r.Name == name })
	if i < 0 {
		t.Fatalf("no row %s %s in %+v", kind, name, rows)
	}
	return rows[i]
}

// Names and ids are both taken, in the settings and in the order.
func TestOrderByIDs(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	id := func(path, list, name string) string {
		t.Helper()
		var answer map[string]json.RawMessage
		decode(t, c.request(t, http.MethodGet, path, "", 200), &answer)
		var items []struct{ ID, Name string }
		decode(t, answer[list], &items)
		for _, item := range items {
			if item.Name == name {
				return item.ID
			}
		}
		t.Fatalf("no %s %s", list, name)
		return ""
	}
	p := c.provider(t, j, func(config *ibmvpc.Config) {
		config.VPC = id("/vpcs", "vpcs", vpcsim.DefaultVPC)
		config.ManagementSubnet, config.WorkloadSubnets = "", nil
		config.SecurityGroups = []string{id("/security_groups", "security_groups", vpcsim.DefaultSecurityGroup)}
		config.SSHKeys = []string{id("/keys", "keys", vpcsim.DefaultSSHKey)}
		config.Zone = "us-south-1"
	})
	final(t, second(p.Order(t.Context(), order())), deploy.CodeRequired)
	m := persist(t, c, p, order(func(o *deploy.Order) {
		o.Spec.ManagementSubnet = id("/subnets", "subnets", vpcsim.DefaultManagementSubnet)
	}))
	if len(m.MACs) != 1 || m.WorkloadIP != "" {
		t.Errorf("machine %+v", m)
	}
}

func second[A any](_ A, err error) error { return err }

func TestSettingsThatNameNothing(t *testing.T) {
	for name, change := range map[string]func(*ibmvpc.Config){
		"VPC \"nowhere\"":            func(c *ibmvpc.Config) { c.VPC = "nowhere" },
		"security group \"nowhere\"": func(c *ibmvpc.Config) { c.SecurityGroups = []string{"nowhere"} },
		"SSH key \"nowhere\"":        func(c *ibmvpc.Config) { c.SSHKeys = []string{"nowhere"} },
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t)
			e := final(t, second(c.provider(t, &conformance.Journal{}, change).Order(t.Context(), order())), deploy.CodeInvalid)
			if !strings.Contains(e.Message, name) || c.State().ReservedIPsCreated != 0 {
				t.Errorf("%v", e)
			}
		})
	}
}

func TestSubnetInAnotherZone(t *testing.T) {
	c := newCloud(t, func(o *vpcsim.Options) { o.Zones = []string{"us-south-1", "us-south-2"} })
	_, err := c.provider(t, &conformance.Journal{}).Order(t.Context(), order(func(o *deploy.Order) { o.Spec.Zone = "us-south-2" }))
	if e := final(t, err, deploy.CodeInvalid); !strings.Contains(e.Message, "lies in zone us-south-1") {
		t.Error(e)
	}
}

// A create is sent once, whatever comes of it; the window decides when again.
func TestDoubtfulCreate(t *testing.T) {
	for _, lost := range []struct {
		name  string
		fault vpcsim.Fault
		posts int // all in all
	}{
		{"dropped before", vpcsim.Fault{Kind: vpcsim.FaultDropBefore}, 2},
		{"dropped after", vpcsim.Fault{Kind: vpcsim.FaultDropAfter}, 1},
		{"503", vpcsim.Fault{Kind: vpcsim.FaultFail, Status: 503}, 2},
		{"500", vpcsim.Fault{Kind: vpcsim.FaultFail, Status: 500}, 2},
		{"408", vpcsim.Fault{Kind: vpcsim.FaultFail, Status: 408}, 2},
	} {
		t.Run(lost.name, func(t *testing.T) {
			c, j := newCloud(t), &conformance.Journal{}
			fault := lost.fault
			fault.Operation, fault.Times = "CreateBareMetalServer", 1
			if _, err := c.AddFault(fault); err != nil {
				t.Fatal(err)
			}
			posts := func() int { return c.State().Calls["CreateBareMetalServer"] }
			p := c.provider(t, j)
			began := c.clock.Now()
			for posts() == 0 {
				if _, err := p.Order(t.Context(), order()); posts() == 0 {
					c.clock.Advance(temporary(t, err, deploy.CodeUpstreamUnavailable).Wait)
				} else if lost.posts == 1 && err != nil {
					t.Fatalf("the server is there, but: %v", err)
				} else if lost.posts > 1 {
					temporary(t, err, deploy.CodeUpstreamUnavailable)
				}
			}
			if posts() != 1 {
				t.Fatalf("one order posted %d times", posts())
			}
			asked := c.clock.Now()
			m := persist(t, c, p, order())
			s := c.State()
			if posts() != lost.posts || s.ServersCreated != 1 || m.ServerID != s.Servers[0].ID {
				t.Errorf("%d posts, %d servers; want %d, 1", posts(), s.ServersCreated, lost.posts)
			}
			if waited := c.clock.Now().Sub(asked); lost.posts > 1 && (waited < time.Minute || waited > 70*time.Second) {
				t.Errorf("posted again after %v, want the window of a minute (began %v)", waited, began)
			}
		})
	}
}

// A list that is late must not lead to a second post within the window.
func TestListThatIsLate(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	late := true
	c.wire.base = roundTrip(func(r *http.Request) (*http.Response, error) {
		response, err := http.DefaultTransport.RoundTrip(r)
		if err == nil && late && r.URL.Path == "/v1/bare_metal_servers" {
			response.Body.Close()
			if r.Method == http.MethodPost {
				return nil, errors.New("connection reset by peer")
			}
			return answer(r, 200, `{"bare_metal_servers":[],"limit":100,"total_count":0,"first":{"href":"x"}}`), nil
		}
		return response, err
	})
	p := c.provider(t, j)
	for c.State().ServersCreated == 0 {
		_, err := p.Order(t.Context(), order())
		c.clock.Advance(temporary(t, err, deploy.CodeUpstreamUnavailable).Wait)
	}
	for range 5 {
		_, err := p.Order(t.Context(), order())
		c.clock.Advance(temporary(t, err, deploy.CodeUpstreamUnavailable).Wait)
	}
	late = false
	m := persist(t, c, p, order())
	if s := c.State(); s.ServersCreated != 1 || s.Calls["CreateBareMetalServer"] != 1 || m.ServerID != s.Servers[0].ID {
		t.Errorf("%d servers, %d posts", s.ServersCreated, s.Calls["CreateBareMetalServer"])
	}
}

func TestNameIsSomebodyElses(t *testing.T) {
	t.Run("server", func(t *testing.T) {
		c, j := newCloud(t), &conformance.Journal{}
		theirs := persist(t, c, c.provider(t, &conformance.Journal{}), order(func(o *deploy.Order) { o.NodeName, o.DeploymentID = "other", 99 }))
		c.patch(t, "/bare_metal_servers/"+theirs.ServerID, `{"name":"slw-ahv-01-d7-g1"}`)
		e := until(t, c, c.provider(t, j), order())
		if e.Code != deploy.CodeConflict || !strings.Contains(e.Message, "not ours") || !strings.Contains(e.Message, "primary interface") {
			t.Errorf("%v", e)
		}
		if s := c.State(); s.ServersCreated != 1 || rowOf(t, j, "server").State != deploy.ResourceIntent {
			t.Errorf("%d servers; row %+v", s.ServersCreated, rowOf(t, j, "server"))
		}
	})
	t.Run("interface", func(t *testing.T) {
		c, j := newCloud(t), &conformance.Journal{}
		subnet := c.subnetID(t, vpcsim.DefaultManagementSubnet)
		c.request(t, http.MethodPost, "/virtual_network_interfaces", `{"name":"slw-ahv-01-d7-g1-mgmt","subnet":{"id":"`+subnet+`"}}`, 201)
		e := until(t, c, c.provider(t, j), order())
		if e.Code != deploy.CodeConflict || !strings.Contains(e.Message, "primary address") {
			t.Errorf("%v", e)
		}
	})
	t.Run("address", func(t *testing.T) {
		c, j := newCloud(t), &conformance.Journal{}
		subnet := c.subnetID(t, vpcsim.DefaultManagementSubnet)
		c.request(t, http.MethodPost, "/subnets/"+subnet+"/reserved_ips", `{"name":"theirs","address":"127.64.0.50"}`, 201)
		e := until(t, c, c.provider(t, j), order(func(o *deploy.Order) { o.Spec.ManagementIP = "127.64.0.50" }))
		if e.Code != deploy.CodeConflict || !strings.Contains(e.Message, `"theirs"`) || c.State().ReservedIPsCreated != 1 {
			t.Errorf("%v", e)
		}
	})
	t.Run("address of our name with another value", func(t *testing.T) {
		c, j := newCloud(t), &conformance.Journal{}
		subnet := c.subnetID(t, vpcsim.DefaultManagementSubnet)
		c.request(t, http.MethodPost, "/subnets/"+subnet+"/reserved_ips", `{"name":"slw-ahv-01-d7-g1-mgmt","address":"127.64.0.50"}`, 201)
		e := until(t, c, c.provider(t, j), order(func(o *deploy.Order) { o.Spec.ManagementIP = "127.64.0.51" }))
		if e.Code != deploy.CodeConflict || !strings.Contains(e.Message, "127.64.0.50") {
			t.Errorf("%v", e)
		}
	})
	t.Run("our interface on another server", func(t *testing.T) {
		c, j := newCloud(t), &conformance.Journal{}
		p := c.provider(t, j)
		m := persist(t, c, p, order())
		// As if the row of the server had never been settled and somebody had renamed the server.
		c.patch(t, "/bare_metal_servers/"+m.ServerID, `{"name":"renamed"}`)
		if err := j.Settle(t.Context(), rowOf(t, j, "server").ID, deploy.ResourceIntent, "", nil, ""); err != nil {
			t.Fatal(err)
		}
		e := until(t, c, p, order())
		if e.Code != deploy.CodeConflict || !strings.Contains(e.Message, "attached to something else") || c.State().Calls["CreateBareMetalServer"] != 1 {
			t.Errorf("%v", e)
		}
	})
}

// IBM keeps a deleted server's name for up to half an hour, without listing it.
func TestNameTakenButNotListed(t *testing.T) {
	c := newCloud(t, func(o *vpcsim.Options) {
		o.Delays = vpcsim.DefaultDelays()
		o.Delays.NameRelease = 30 * time.Minute
	})
	theirs := persist(t, c, c.provider(t, &conformance.Journal{}), order(func(o *deploy.Order) { o.NodeName, o.DeploymentID = "other", 99 }))
	c.patch(t, "/bare_metal_servers/"+theirs.ServerID, `{"name":"slw-ahv-01-d7-g1"}`)
	c.deleteServer(t, theirs.ServerID)
	j := &conformance.Journal{}
	e := until(t, c, c.provider(t, j), order())
	if e.Code != deploy.CodeConflict || !strings.Contains(e.Message, "does not list it") || rowOf(t, j, "server").State != deploy.ResourceDoubtful {
		t.Errorf("%v; row %+v", e, rowOf(t, j, "server"))
	}
	c.clock.Advance(31 * time.Minute)
	persist(t, c, c.provider(t, j), order())
	if s := c.State(); s.LiveServers != 1 {
		t.Errorf("%d live servers", s.LiveServers)
	}
}

// What was lost must be found on a later page as well.
func TestAdoptionFromALaterPage(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	subnet := c.subnetID(t, vpcsim.DefaultManagementSubnet)
	for i := range 110 {
		c.request(t, http.MethodPost, "/virtual_network_interfaces", fmt.Sprintf(`{"name":"a-%d","subnet":{"id":"%s"}}`, i, subnet), 201)
	}
	for _, operation := range []string{"CreateSubnetReservedIP", "CreateVirtualNetworkInterface", "CreateBareMetalServer"} {
		if _, err := c.AddFault(vpcsim.Fault{Kind: vpcsim.FaultDropAfter, Operation: operation, Times: 1}); err != nil {
			t.Fatal(err)
		}
	}
	before := c.State()
	persist(t, c, c.provider(t, j, func(config *ibmvpc.Config) { config.WorkloadSubnets = nil }), order())
	s := c.State()
	if s.VNIsCreated != before.VNIsCreated+1 || s.ReservedIPsCreated != before.ReservedIPsCreated+1 || s.ServersCreated != 1 || len(c.Faults()) > 0 {
		t.Errorf("made %d interfaces, %d addresses, %d servers", s.VNIsCreated-before.VNIsCreated, s.ReservedIPsCreated-before.ReservedIPsCreated, s.ServersCreated)
	}
	for _, operation := range []string{"CreateSubnetReservedIP", "CreateBareMetalServer"} {
		if s.Calls[operation] != 1 {
			t.Errorf("%s was called %d times", operation, s.Calls[operation])
		}
	}
}

func TestRefusedCreate(t *testing.T) {
	for _, c := range []struct {
		status    int
		code      string
		want      deploy.Code
		temporary bool
	}{
		{400, "over_quota", deploy.CodeQuotaExceeded, false},
		{403, "not_authorized", deploy.CodeForbidden, false},
		{401, "not_authorized", deploy.CodeUnauthenticated, false},
		{400, "bad_field", deploy.CodeInvalid, false},
		{400, "insufficient_capacity", deploy.CodeUpstreamUnavailable, false},
		{404, "not_found", deploy.CodeNotFound, false},
		{409, "server_status_conflict", deploy.CodeConflict, true},
		{429, "rate_limit_exceeded", deploy.CodeRateLimited, true},
		{501, "not_offered", deploy.CodeInvalid, false},
	} {
		t.Run(fmt.Sprint(c.status, " ", c.code), func(t *testing.T) {
			cl, j := newCloud(t), &conformance.Journal{}
			fault := vpcsim.Fault{Kind: vpcsim.FaultFail, Operation: "CreateBareMetalServer", Times: 1, Status: c.status, Code: c.code, Message: "no", RetryAfterSeconds: 40}
			if _, err := cl.AddFault(fault); err != nil {
				t.Fatal(err)
			}
			p := cl.provider(t, j)
			var err error
			for cl.State().Calls["CreateBareMetalServer"] == 0 {
				if _, err = p.Order(t.Context(), order()); err == nil {
					t.Fatal("no failure")
				}
				cl.clock.Advance(3 * time.Second)
			}
			if c.temporary {
				if e := temporary(t, err, c.want); e.Wait != 40*time.Second {
					t.Errorf("waits %v, though the answer asks for 40 s", e.Wait)
				}
			} else {
				final(t, err, c.want)
			}
			if row := rowOf(t, j, "server"); row.State != deploy.ResourceIntent {
				t.Errorf("row %+v is in doubt, though the refusal was clear", row)
			}
			persist(t, cl, p, order())
			if s := cl.State(); s.ServersCreated != 1 {
				t.Errorf("%d servers", s.ServersCreated)
			}
		})
	}
}

// A released server is followed by one of the next generation, on the same interfaces.
func TestNextGeneration(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	p := c.provider(t, j)
	first := persist(t, c, p, order())
	row := rowOf(t, j, "server")
	if err := j.Settle(t.Context(), row.ID, deploy.ResourceReleasing, "", nil, ""); err != nil {
		t.Fatal(err)
	}
	temporary(t, second(p.Order(t.Context(), order())), deploy.CodeConflict)
	c.deleteServer(t, first.ServerID)
	if err := j.Settle(t.Context(), row.ID, deploy.ResourceGone, "", nil, ""); err != nil {
		t.Fatal(err)
	}
	next := persist(t, c, p, order())
	s := c.State()
	if next.ServerID == first.ServerID || next.ManagementIP != first.ManagementIP || s.VNIsCreated != 2 || s.Servers[0].Name != "slw-ahv-01-d7-g2" {
		t.Errorf("first %+v, next %+v; %+v", first, next, s.Servers)
	}
}

func TestBootURLFailureMakesNoDoubt(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	p := c.provider(t, j)
	broken := errors.New("database is away")
	var err error
	for range 10 {
		_, err = p.Order(t.Context(), order(func(o *deploy.Order) {
			o.BootURL = func(context.Context) (string, error) { return "", broken }
		}))
		if errors.Is(err, broken) {
			break
		}
		c.clock.Advance(temporary(t, err, deploy.CodeUpstreamUnavailable).Wait)
	}
	if !errors.Is(err, broken) || rowOf(t, j, "server").State != deploy.ResourceIntent {
		t.Fatalf("%v; %+v", err, rowOf(t, j, "server"))
	}
	persist(t, c, p, order())
}

func (c *cloud) subnetID(t *testing.T, name string) string {
	t.Helper()
	var answer struct{ Subnets []struct{ ID, Name string } }
	decode(t, c.request(t, http.MethodGet, "/subnets", "", 200), &answer)
	for _, s := range answer.Subnets {
		if s.Name == name {
			return s.ID
		}
	}
	t.Fatalf("no subnet %s", name)
	return ""
}
