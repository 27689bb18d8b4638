package ibmvpc_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/provider/conformance"
	"github.com/slipwayhq/slipway/provider/ibmvpc"
	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim"
)

func releaseOf(o deploy.Order) deploy.Release {
	return deploy.Release{NodeID: o.NodeID, NodeName: o.NodeName, DeploymentID: o.DeploymentID}
}

// deployed gives a node with its server, which runs, and its names.
func deployed(t *testing.T, c *cloud, j *conformance.Journal, o deploy.Order) deploy.Machine {
	t.Helper()
	p := c.provider(t, j)
	m := persist(t, c, p, o)
	n := deploy.Names{NodeID: o.NodeID, NodeName: o.NodeName, DeploymentID: o.DeploymentID, ManagementIP: m.ManagementIP}
	if err := p.RegisterNames(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	c.clock.Advance(time.Minute)
	return m
}

// released releases until the end, with a new process for every call.
func released(t *testing.T, c *cloud, j *conformance.Journal, o deploy.Order) []deploy.ReleaseStep {
	t.Helper()
	for range 200 {
		steps, err := c.provider(t, j).Release(t.Context(), releaseOf(o))
		if err == nil {
			return steps
		}
		var e *deploy.ProviderError
		if !errors.As(err, &e) || !e.Temporary {
			t.Fatalf("release: %v", err)
		}
		c.clock.Advance(e.Wait)
	}
	t.Fatal("the release is never done")
	panic("not reached")
}

// nothingLeft demands that the account is empty.
func nothingLeft(t *testing.T, c *cloud) {
	t.Helper()
	if s := c.State(); s.LiveServers+s.VNIs+s.ReservedIPs+s.DNSRecords > 0 {
		t.Errorf("left behind: %d servers, %d interfaces, %d addresses %+v, %d records", s.LiveServers, s.VNIs, s.ReservedIPs, s.Addresses, s.DNSRecords)
	}
}

// listen records the calls that change something, and what the look after them
// was answered.
func (c *cloud) listen() func() []string {
	var mu sync.Mutex
	var calls []string
	c.wire.base = roundTrip(func(r *http.Request) (*http.Response, error) {
		response, err := http.DefaultTransport.RoundTrip(r)
		parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/v1/"), "/")
		what := parts[0]
		for _, kind := range []string{"reserved_ips", "resource_records", "stop", "initialization"} {
			if slices.Contains(parts, kind) {
				what = kind
			}
		}
		if what == "resource_records" && strings.Contains(r.URL.Path, "PTR") {
			what = "ptr"
		}
		mu.Lock()
		defer mu.Unlock()
		if r.Method != http.MethodGet {
			calls = append(calls, r.Method+" "+what)
		} else if err == nil && response.StatusCode == http.StatusNotFound {
			calls = append(calls, "404 "+what)
		}
		return response, err
	})
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(calls)
	}
}

func TestReleaseOrder(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	deployed(t, c, j, order())
	calls := c.listen()
	steps := released(t, c, j, order())
	want := []string{
		"POST stop", "DELETE bare_metal_servers", "404 bare_metal_servers",
		"DELETE virtual_network_interfaces", "DELETE virtual_network_interfaces", "404 virtual_network_interfaces", "404 virtual_network_interfaces",
		"DELETE reserved_ips", "404 reserved_ips", "DELETE reserved_ips", "404 reserved_ips",
		"DELETE ptr", "404 ptr", "DELETE resource_records", "404 resource_records",
	}
	if got := calls(); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	nothingLeft(t, c)
	for i, says := range []string{"/bare_metal_servers/", "/virtual_network_interfaces/", "/virtual_network_interfaces/", "/reserved_ips/", "/reserved_ips/", "/resource_records/PTR:", "/resource_records/A:"} {
		if i >= len(steps) || !strings.Contains(steps[i].Message, says) || !strings.Contains(steps[i].Message, "404 not found (2026-11-20T12:") {
			t.Errorf("step %d: %+v; want the proof %s", i, steps, says)
		}
	}
}

// A machine in the middle of an installation does not hear a soft stop. It is
// never taken for stopped before it is.
func TestReleaseCutsThePowerAfterAWhile(t *testing.T) {
	for _, hide := range []bool{false, true} {
		t.Run(fmt.Sprintf("stopping hidden=%v", hide), func(t *testing.T) {
			c, j := newCloud(t, func(o *vpcsim.Options) { o.HideStopping = hide }), &conformance.Journal{}
			deployed(t, c, j, order())
			if _, err := c.AddFault(vpcsim.Fault{Kind: vpcsim.FaultIgnoreSoftStop}); err != nil {
				t.Fatal(err)
			}
			began := c.clock.Now()
			released(t, c, j, order())
			nothingLeft(t, c)
			if took := c.clock.Now().Sub(began); took < 2*time.Minute || took > 3*time.Minute || c.State().Calls["StopBareMetalServer"] != 2 {
				t.Errorf("took %v and %d stops", took, c.State().Calls["StopBareMetalServer"])
			}
		})
	}
}

// The server that never stops is waited for: nothing of it is deleted, however
// long it takes.
func TestReleaseNeverTakesARunningServerForStopped(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	deployed(t, c, j, order())
	id, err := c.AddFault(vpcsim.Fault{Kind: vpcsim.FaultStuck})
	if err != nil {
		t.Fatal(err)
	}
	before := c.State()
	for began := c.clock.Now(); c.clock.Now().Sub(began) < 6*time.Hour; {
		steps, err := c.provider(t, j).Release(t.Context(), releaseOf(order()))
		e := temporary(t, err, deploy.CodeConflict)
		if steps[0].Status != deploy.ReleaseActive || steps[1].Status != deploy.ReleaseWaiting || !strings.Contains(steps[0].Message, "waiting until it is stopped") && !strings.Contains(steps[0].Message, "409") {
			t.Fatalf("%+v", steps)
		}
		c.clock.Advance(max(e.Wait, 10*time.Minute))
	}
	s := c.State()
	for operation, n := range s.Calls {
		if strings.HasPrefix(operation, "Delete") {
			t.Errorf("%d × %s while the server runs", n, operation)
		}
	}
	if s.VNIs != before.VNIs || s.ReservedIPs != before.ReservedIPs || s.DNSRecords != before.DNSRecords {
		t.Errorf("%+v", s)
	}
	c.ClearFaults(id)
	released(t, c, j, order())
	nothingLeft(t, c)
}

func TestReleaseOfAFailedServer(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	if _, err := c.AddFault(vpcsim.Fault{Kind: vpcsim.FaultServerFailed, Times: 1}); err != nil {
		t.Fatal(err)
	}
	deployed(t, c, j, order())
	released(t, c, j, order())
	nothingLeft(t, c)
	if n := c.State().Calls["StopBareMetalServer"]; n != 0 {
		t.Errorf("a server without power was stopped %d times", n)
	}
}

// A create that is still on its way when its deployment is cleaned up: it is
// looked for until it cannot arrive any more.
func TestReleaseFindsALateCreate(t *testing.T) {
	for _, late := range []struct{ method, kind string }{{"CreateSubnetReservedIP", "reserved_ips"}, {"CreateVirtualNetworkInterface", "virtual_network_interfaces"}, {"CreateBareMetalServer", "bare_metal_servers"}, {"CreateResourceRecord", "resource_records"}} {
		t.Run(late.method, func(t *testing.T) {
			c, j := newCloud(t), &conformance.Journal{}
			var held *http.Request
			c.wire.base = roundTrip(func(r *http.Request) (*http.Response, error) {
				if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, late.kind) && held == nil {
					body, err := io.ReadAll(r.Body)
					if err != nil {
						return nil, err
					}
					held = r.Clone(t.Context())
					held.Body = io.NopCloser(strings.NewReader(string(body)))
					return nil, errors.New("connection reset by peer")
				}
				return http.DefaultTransport.RoundTrip(r)
			})
			p := c.provider(t, j)
			for held == nil {
				m, err := p.Order(t.Context(), order())
				if err == nil {
					n := nodeNames
					n.ManagementIP = m.ManagementIP
					err = p.RegisterNames(t.Context(), n)
				}
				c.clock.Advance(temporary(t, err, deploy.CodeUpstreamUnavailable).Wait)
			}
			j.End(7)
			asked := c.clock.Now()
			for c.clock.Now().Sub(asked) < 90*time.Second {
				steps, err := p.Release(t.Context(), releaseOf(order()))
				e := &deploy.ProviderError{}
				if !errors.As(err, &e) || !e.Temporary {
					t.Fatalf("%v before the create can be given up; %+v", err, steps)
				}
				c.clock.Advance(e.Wait)
			}
			response, err := http.DefaultTransport.RoundTrip(held) // it arrives after all
			if err != nil || response.StatusCode >= 300 {
				t.Fatalf("%v, %v", response, err)
			}
			_ = response.Body.Close()
			released(t, c, j, order())
			nothingLeft(t, c)
		})
	}
}

// What has our name and is not ours stays, and the row says why.
func TestReleaseKeepsWhatIsNotOurs(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	subnet, other := c.subnetID(t, vpcsim.DefaultManagementSubnet), c.subnetID(t, vpcsim.DefaultWorkloadSubnet)
	c.request(t, http.MethodPost, "/virtual_network_interfaces", `{"name":"slw-ahv-01-d7-g1-mgmt","subnet":{"id":"`+other+`"}}`, 201)
	c.request(t, http.MethodPost, "/virtual_network_interfaces", `{"name":"slw-ahv-01-d7-g1-w1","subnet":{"id":"`+other+`"}}`, 201)
	c.request(t, http.MethodPost, "/subnets/"+subnet+"/reserved_ips", `{"name":"slw-ahv-01-d7-g1-mgmt","address":"127.64.0.99"}`, 201)
	theirs := deployed(t, c, &conformance.Journal{}, order(func(o *deploy.Order) { o.NodeID, o.NodeName, o.DeploymentID = 9, "theirs", 99 }))
	c.patch(t, "/bare_metal_servers/"+theirs.ServerID, `{"name":"slw-ahv-01-d7-g1"}`)
	before := c.State()
	for _, i := range []deploy.Intent{
		{Kind: "server", Name: "slw-ahv-01-d7-g1", Details: []byte(`{"vnis":["0717-ours"]}`)},
		{Kind: "vni", Role: "management", Name: "slw-ahv-01-d7-g1-mgmt", Details: []byte(`{"subnet":"` + subnet + `"}`)},
		{Kind: "vni", Role: "workload-1", Name: "slw-ahv-01-d7-g1-w1", Details: []byte(`{"subnet":"` + other + `"}`)},
		{Kind: "reserved_ip", Role: "management", Name: "slw-ahv-01-d7-g1-mgmt", Details: []byte(`{"subnet":"` + subnet + `","address":"127.64.0.50"}`)},
		{Kind: "dns_a", Role: "management", Name: "theirs.demo.slipway.test/d7-g1", Details: []byte(`{"dns_name":"theirs.` + vpcsim.DefaultDNSZone + `","address":"127.64.0.50"}`)},
	} {
		i.NodeID, i.DeploymentID, i.Provider, i.Generation = 1, 7, deploy.ProviderIBMVPC, 1
		r, err := j.Intend(t.Context(), i)
		if err != nil {
			t.Fatal(err)
		}
		if err := j.Settle(t.Context(), r.ID, deploy.ResourceDoubtful, "", nil, ""); err != nil {
			t.Fatal(err)
		}
	}
	plan, err := c.provider(t, j).PlanRelease(t.Context(), releaseOf(order()))
	if err != nil {
		t.Fatal(err)
	}
	steps := released(t, c, j, order())
	for i, says := range []string{"interfaces", "subnet", "primary address", "127.64.0.99", theirs.ManagementIP} {
		if s := steps[i]; s.Status != deploy.ReleaseKept || s.Action != "keep" || !strings.Contains(s.Message, says) || !strings.Contains(plan[i].Message, says) || plan[i].Action != "keep" {
			t.Errorf("step %+v, planned %+v; want %q", s, plan[i], says)
		}
	}
	after := c.State()
	if after.LiveServers != before.LiveServers || after.VNIs != before.VNIs || after.ReservedIPs != before.ReservedIPs || after.DNSRecords != before.DNSRecords {
		t.Errorf("before %+v, after %+v", before, after)
	}
	for _, r := range j.Rows() {
		if r.State != deploy.ResourceGone || !strings.Contains(string(r.Details), `"kept"`) {
			t.Errorf("row %+v", r)
		}
	}
}

// An interface that somebody put on another server is waited for, not torn off.
func TestReleaseWaitsForABoundInterface(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	m := deployed(t, c, j, order())
	// As if the row of the server were that of another one.
	c.deleteServer(t, m.ServerID)
	foreign := &conformance.Journal{}
	vni := rowOf(t, j, "vni")
	theirs := deployed(t, c, foreign, order(func(o *deploy.Order) { o.NodeID, o.NodeName, o.DeploymentID = 9, "theirs", 99 }))
	c.request(t, http.MethodPost, "/bare_metal_servers/"+theirs.ServerID+"/stop", `{"type":"hard"}`, http.StatusNoContent)
	c.clock.Advance(time.Minute)
	c.request(t, http.MethodPost, "/bare_metal_servers/"+theirs.ServerID+"/network_attachments", `{"interface_type":"pci","virtual_network_interface":{"id":"`+vni.CloudID+`"}}`, http.StatusCreated)
	var e *deploy.ProviderError
	for range 50 {
		_, err := c.provider(t, j).Release(t.Context(), releaseOf(order()))
		e = temporary(t, err, deploy.CodeConflict)
		c.clock.Advance(e.Wait)
	}
	if !strings.Contains(e.Message, "attached to") || c.State().ReservedIPs != 4 {
		t.Errorf("%v; %d addresses", e, c.State().ReservedIPs)
	}
}

func TestReleaseWithoutTheZoneInTheSettings(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	deployed(t, c, j, order())
	p := c.provider(t, j, func(c *ibmvpc.Config) { c.DNSInstance, c.DNSZone = "", "" })
	for {
		_, err := p.Release(t.Context(), releaseOf(order()))
		var e *deploy.ProviderError
		if !errors.As(err, &e) {
			t.Fatal(err)
		}
		if !e.Temporary {
			final(t, err, deploy.CodeInvalid)
			break
		}
		c.clock.Advance(e.Wait)
	}
	if s := c.State(); s.DNSRecords != 2 || s.ReservedIPs != 0 {
		t.Errorf("%+v", s)
	}
	released(t, c, j, order())
	nothingLeft(t, c)
}

// 429 and 409 in the middle are waited out, as long as the answer says.
func TestReleaseIsToldToWait(t *testing.T) {
	for _, operation := range []string{"GetBareMetalServer", "StopBareMetalServer", "DeleteBareMetalServer", "DeleteVirtualNetworkInterfaces", "DeleteSubnetReservedIP", "DeleteResourceRecord"} {
		for _, status := range []int{http.StatusTooManyRequests, http.StatusConflict, http.StatusServiceUnavailable} {
			t.Run(fmt.Sprint(operation, " ", status), func(t *testing.T) {
				c, j := newCloud(t), &conformance.Journal{}
				deployed(t, c, j, order())
				if _, err := c.AddFault(vpcsim.Fault{Kind: vpcsim.FaultFail, Operation: operation, Status: status, Times: 4}); err != nil {
					t.Fatal(err)
				}
				released(t, c, j, order())
				nothingLeft(t, c)
				if len(c.Faults()) > 0 {
					t.Error("it never came to the fault")
				}
			})
		}
	}
}

// Calls for one zone go one after the other, also between nodes.
func TestReleaseTakesTurnsInTheZone(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	var orders []deploy.Order
	for n := range 6 {
		o := order(func(o *deploy.Order) {
			o.NodeID, o.DeploymentID, o.NodeName = int64(n+1), int64(n+1), fmt.Sprintf("ahv-%d", n)
		})
		deployed(t, c, j, o)
		orders = append(orders, o)
	}
	var mu sync.Mutex
	now, most := 0, 0
	c.wire.base = roundTrip(func(r *http.Request) (*http.Response, error) {
		if strings.Contains(r.URL.Path, "/dnszones") {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			defer func() {
				mu.Lock()
				defer mu.Unlock()
				now--
			}()
		}
		return http.DefaultTransport.RoundTrip(r)
	})
	p := c.provider(t, j)
	var all sync.WaitGroup
	for _, o := range orders {
		all.Go(func() {
			for {
				_, err := p.Release(t.Context(), releaseOf(o))
				var e *deploy.ProviderError
				if !errors.As(err, &e) {
					if err != nil {
						t.Error(err)
					}
					return
				}
				c.clock.Advance(e.Wait)
			}
		})
	}
	all.Wait()
	nothingLeft(t, c)
	if most != 1 {
		t.Errorf("%d calls to the zone at once", most)
	}
}
