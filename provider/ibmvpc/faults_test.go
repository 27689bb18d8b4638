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
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/provider/conformance"
	"github.com/slipwayhq/slipway/provider/ibmvpc"
	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim"
)

// Faults of other orchestrators of such servers, each of which lost or
// destroyed something. Here each is a test.

func as(node, deployment int64, name string) deploy.Order {
	return order(func(o *deploy.Order) { o.NodeID, o.DeploymentID, o.NodeName = node, deployment, name })
}

// everything is what there is, in words that can be compared.
func everything(c *cloud) []string {
	s := c.State()
	var all []string
	for _, sv := range s.Servers {
		all = append(all, "server "+sv.ID+" "+sv.Name+" "+sv.UserData)
	}
	for _, a := range s.Addresses {
		all = append(all, "address "+a.Address+" "+a.Name+" on "+a.VNI)
	}
	for _, r := range s.Records {
		all = append(all, r.Type+" "+r.Name+" "+r.Data)
	}
	slices.Sort(all)
	return all
}

func unchanged(t *testing.T, c *cloud, before []string) {
	t.Helper()
	for _, thing := range before {
		if !slices.Contains(everything(c), thing) {
			t.Errorf("lost: %s", thing)
		}
	}
}

func TestFaultOrderingTheNameOfALiveNodeDeletesIt(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	deployed(t, c, j, as(1, 7, "ahv-01"))
	before := everything(c)
	e := until(t, c, c.provider(t, j), as(1, 8, "ahv-01"))
	if e.Code != deploy.CodeConflict {
		t.Error(e)
	}
	unchanged(t, c, before)
	// What the refused one holds is nothing, and its cleanup takes nothing.
	_, err := c.provider(t, j).Release(t.Context(), releaseOf(as(1, 8, "ahv-01")))
	final(t, err, deploy.CodeWrongState)
	unchanged(t, c, before)
}

func TestFaultTheRefusedOfTwoOrdersDeletesTheOther(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	// The same name and the same address, at once: only one can have the address.
	orders := []deploy.Order{as(1, 7, "ahv-01"), as(2, 8, "ahv-01")}
	var all sync.WaitGroup
	errs := make([]error, len(orders))
	for i := range orders {
		orders[i].Spec.ManagementIP = "127.64.0.50"
		all.Go(func() {
			_, errs[i] = repeatOrder(c, c.provider(t, j), orders[i])
		})
	}
	all.Wait()
	won, lost := 0, 1
	if errs[0] != nil {
		won, lost = 1, 0
	}
	if errs[won] != nil {
		t.Fatalf("both were refused: %v", errs)
	}
	final(t, errs[lost], deploy.CodeConflict)
	before := everything(c)
	j.End(orders[lost].DeploymentID)
	released(t, c, j, orders[lost])
	for _, thing := range before {
		if strings.Contains(thing, fmt.Sprintf("-d%d-", orders[won].DeploymentID)) && !slices.Contains(everything(c), thing) {
			t.Errorf("the refused order's cleanup took %s", thing)
		}
	}
	if s := c.State(); s.LiveServers != 1 || s.VNIs != 2 || s.ReservedIPs != 2 {
		t.Errorf("%+v", everything(c))
	}
}

func repeatOrder(c *cloud, p deploy.Provider, o deploy.Order) (deploy.Machine, error) {
	for range 200 {
		m, err := p.Order(context.Background(), o)
		var e *deploy.ProviderError
		if err == nil || !errors.As(err, &e) || !e.Temporary {
			return m, err
		}
		c.clock.Advance(e.Wait)
	}
	return deploy.Machine{}, errors.New("never done")
}

func TestFaultUsingAFailedNameAgainRemovesOldAndNew(t *testing.T) {
	c, j := newCloud(t, func(o *vpcsim.Options) {
		o.Delays = vpcsim.DefaultDelays()
		o.Delays.NameRelease = 30 * time.Minute
	}), &conformance.Journal{}
	capacity(t, c, vpcsim.ReasonCannotStartCapacity)
	deployed(t, c, j, as(1, 7, "ahv-01"))
	j.End(7)
	before := everything(c)
	if e := until(t, c, c.provider(t, j), as(1, 8, "ahv-01")); e.Code != deploy.CodeConflict {
		t.Error(e)
	}
	unchanged(t, c, before)
	released(t, c, j, as(1, 7, "ahv-01"))
	nothingLeft(t, c)
	// The old names are still taken; the new deployment's differ.
	deployed(t, c, j, as(1, 8, "ahv-01"))
	after := everything(c)
	_, err := c.provider(t, j).Release(t.Context(), releaseOf(as(1, 7, "ahv-01")))
	final(t, err, deploy.CodeWrongState)
	unchanged(t, c, after)
}

func TestFaultAPartOfANameDeletesEveryMatchingNode(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	names := []string{"ahv-0", "ahv-01", "ahv-011", "a", "hv-0"}
	for i, name := range names {
		deployed(t, c, j, as(int64(i+1), int64(i+11), name))
	}
	j.End(11)
	released(t, c, j, as(1, 11, "ahv-0"))
	for _, wild := range []string{"%", "", "*", "a%"} { // the name decides nothing
		released(t, c, j, as(1, 11, wild))
	}
	s := c.State()
	if s.LiveServers != 4 || s.VNIs != 8 || s.ReservedIPs != 8 || s.DNSRecords != 8 {
		t.Errorf("%q", everything(c))
	}
	for _, r := range j.Rows() {
		if gone := r.State == deploy.ResourceGone; gone != (r.NodeID == 1) {
			t.Errorf("row %+v", r)
		}
	}
}

func TestFaultTheCleanupForgetsWhatItCouldNotDelete(t *testing.T) {
	for _, operation := range []string{"DeleteBareMetalServer", "DeleteVirtualNetworkInterfaces", "DeleteSubnetReservedIP", "DeleteResourceRecord"} {
		for _, status := range []int{http.StatusForbidden, http.StatusInternalServerError, http.StatusConflict} {
			t.Run(fmt.Sprint(operation, " ", status), func(t *testing.T) {
				c, j := newCloud(t), &conformance.Journal{}
				deployed(t, c, j, order())
				j.End(7)
				id, err := c.AddFault(vpcsim.Fault{Kind: vpcsim.FaultFail, Operation: operation, Status: status})
				if err != nil {
					t.Fatal(err)
				}
				for range 60 {
					_, err = c.provider(t, j).Release(t.Context(), releaseOf(order()))
					var e *deploy.ProviderError
					if !errors.As(err, &e) {
						t.Fatal(err)
					}
					if !e.Temporary {
						break
					}
					c.clock.Advance(e.Wait)
				}
				held, err := j.Held(t.Context(), 1)
				if err != nil || len(held) != c.State().LiveServers+c.State().VNIs+c.State().ReservedIPs+c.State().DNSRecords || len(held) == 0 {
					t.Errorf("%d rows for %q", len(held), everything(c))
				}
				c.ClearFaults(id)
				released(t, c, j, order())
				nothingLeft(t, c)
			})
		}
	}
}

func TestFaultInterfacesOfAnOrderThatFailedAreLeft(t *testing.T) {
	for _, broken := range []string{"CreateSubnetReservedIP", "CreateVirtualNetworkInterface"} {
		for n := range 4 {
			t.Run(fmt.Sprint(broken, " ", n+1), func(t *testing.T) {
				c, j := newCloud(t, func(o *vpcsim.Options) {
					o.Subnets = []vpcsim.SubnetConfig{{Name: vpcsim.DefaultManagementSubnet, CIDR: "127.64.0.0/24"}, {Name: vpcsim.DefaultWorkloadSubnet, CIDR: "127.64.1.0/24"},
						{Name: "second", CIDR: "127.64.2.0/24"}, {Name: "third", CIDR: "127.64.3.0/24"}}
				}), &conformance.Journal{}
				seen := 0
				c.wire.base = roundTrip(func(r *http.Request) (*http.Response, error) {
					if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, map[string]string{"CreateSubnetReservedIP": "reserved_ips", "CreateVirtualNetworkInterface": "virtual_network_interfaces"}[broken]) {
						if seen++; seen == n+1 {
							return answer(r, 400, `{"errors":[{"code":"over_quota","message":"no more"}],"trace":"t"}`), nil
						}
					}
					return http.DefaultTransport.RoundTrip(r)
				})
				o := order(func(o *deploy.Order) {
					o.Spec.WorkloadSubnets = []string{vpcsim.DefaultWorkloadSubnet, "second", "third"}
				})
				if e := until(t, c, c.provider(t, j), o); e.Code != deploy.CodeQuotaExceeded {
					t.Fatal(e)
				}
				j.End(7)
				released(t, c, j, o)
				nothingLeft(t, c)
			})
		}
	}
}

// Killed between the answer and the record, at every create: nothing is ever
// untracked, and the audit tells journal and cloud apart even if the journal
// itself was lost.
func TestFaultACrashLeavesUntrackedThings(t *testing.T) {
	for n := 1; ; n++ {
		c, j := newCloud(t), &conformance.Journal{}
		if !dieAt(t, c, n, func(ctx context.Context) error {
			_, err := c.provider(t, j).Order(ctx, order())
			return err
		}) {
			break
		}
		if drift := audited(t, c.provider(t, j), j); len(drift) > 0 {
			t.Errorf("call %d: %q", n, short(drift))
		}
		s := c.State()
		if drift := audited(t, c.provider(t, &conformance.Journal{}), &conformance.Journal{}); len(drift) != s.LiveServers+s.VNIs+s.ReservedIPs {
			t.Errorf("call %d: without its journal %q for %q", n, short(drift), everything(c))
		}
		j.End(7)
		released(t, c, j, order())
		nothingLeft(t, c)
	}
}

func TestFaultTheWaitForStoppedGivesUp(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	deployed(t, c, j, order())
	if _, err := c.AddFault(vpcsim.Fault{Kind: vpcsim.FaultStuck}); err != nil {
		t.Fatal(err)
	}
	o := attempt(c, 2)
	for began := c.clock.Now(); c.clock.Now().Sub(began) < 6*time.Hour; {
		_, err := c.provider(t, j).Reinstall(t.Context(), o)
		c.clock.Advance(max(temporary(t, err, deploy.CodeConflict).Wait, 10*time.Minute))
		if _, err := c.provider(t, j).Release(t.Context(), releaseOf(o)); err == nil {
			t.Fatal("released a server that runs")
		}
	}
	s := c.State()
	if s.Calls["ReplaceBareMetalServerInitialization"]+s.Calls["DeleteBareMetalServer"]+s.Calls["DeleteVirtualNetworkInterfaces"] > 0 {
		t.Errorf("%v", s.Calls)
	}
}

func TestFaultOnlyTheFirstPageIsRead(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	for _, subnet := range []string{vpcsim.DefaultManagementSubnet, vpcsim.DefaultWorkloadSubnet} {
		for i := range 110 {
			c.request(t, http.MethodPost, "/subnets/"+c.subnetID(t, subnet)+"/reserved_ips", fmt.Sprintf(`{"name":"a-%d"}`, i), 201)
		}
	}
	for i := range 210 {
		c.record(t, http.MethodPost, "", fmt.Sprintf(`{"type":"A","name":"a-%d","rdata":{"ip":"10.0.0.%d"}}`, i, i%250))
	}
	// Every create is lost once, so that all must be found by their names, again
	// by the release.
	for _, operation := range []string{"CreateSubnetReservedIP", "CreateVirtualNetworkInterface", "CreateBareMetalServer", "CreateResourceRecord"} {
		if _, err := c.AddFault(vpcsim.Fault{Kind: vpcsim.FaultDropAfter, Operation: operation, Times: 1}); err != nil {
			t.Fatal(err)
		}
	}
	before := c.State()
	m := persist(t, c, c.provider(t, j), order())
	n := nodeNames
	n.ManagementIP = m.ManagementIP
	for {
		err := c.provider(t, j).RegisterNames(t.Context(), n)
		if err == nil {
			break
		}
		c.clock.Advance(temporary(t, err, deploy.CodeUpstreamUnavailable).Wait)
	}
	if s := c.State(); s.ServersCreated != 1 || s.VNIsCreated != 2 || s.ReservedIPsCreated != before.ReservedIPsCreated+2 || s.DNSRecords != before.DNSRecords+2 {
		t.Errorf("made %d servers, %d interfaces, %d addresses, %d records", s.ServersCreated, s.VNIsCreated, s.ReservedIPsCreated-before.ReservedIPsCreated, s.DNSRecords-before.DNSRecords)
	}
	// As if the ids of one kind had never been recorded: they are known again.
	for _, kind := range []string{"server", "vni", "reserved_ip", "dns_ptr", "dns_a"} {
		forgetful := &conformance.Journal{}
		for _, r := range j.Rows() {
			row, err := forgetful.Intend(t.Context(), deploy.Intent{NodeID: r.NodeID, DeploymentID: r.CreatedBy, Provider: r.Provider, Kind: r.Kind, Role: r.Role, Name: r.Name, Generation: r.Generation, Details: r.Details})
			if err != nil {
				t.Fatal(err)
			}
			state, id := deploy.ResourcePresent, r.CloudID
			if r.Kind == kind {
				state, id = deploy.ResourceDoubtful, ""
			}
			if err := forgetful.Settle(t.Context(), row.ID, state, id, nil, ""); err != nil {
				t.Fatal(err)
			}
		}
		steps, err := c.provider(t, forgetful).PlanRelease(t.Context(), releaseOf(order()))
		if err != nil {
			t.Fatal(err)
		}
		for i, s := range steps {
			if s.CloudID != idOf(j, s) || s.Action == "keep" {
				t.Errorf("step %d without the ids of %s: %+v", i, kind, s)
			}
		}
		if kind == "dns_a" {
			released(t, c, forgetful, order())
		}
	}
	if s := c.State(); s.LiveServers != 0 || s.VNIs != 0 || s.ReservedIPs != before.ReservedIPs || s.DNSRecords != before.DNSRecords {
		t.Errorf("left: %d servers, %d interfaces, %d addresses, %d records", s.LiveServers, s.VNIs, s.ReservedIPs-before.ReservedIPs, s.DNSRecords-before.DNSRecords)
	}
}

// idOf is what a step's thing really has.
func idOf(j *conformance.Journal, s deploy.ReleaseStep) string {
	for _, r := range j.Rows() {
		if r.Kind == s.Kind && r.Role == s.Role {
			return r.CloudID
		}
	}
	return ""
}

func TestFaultAKindOfFailureIsReadFromItsText(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	deployed(t, c, j, order())
	// None of these is a "not found", whatever they say.
	for _, status := range []int{400, 403, 500, 502} {
		id, err := c.AddFault(vpcsim.Fault{Kind: vpcsim.FaultFail, Operation: vpcsim.AnyOperation, Status: status, Code: "not_found", Message: "404 not_found: does not exist"})
		if err != nil {
			t.Fatal(err)
		}
		steps, err := c.provider(t, j).Release(t.Context(), releaseOf(order()))
		if err == nil || slices.ContainsFunc(steps, func(s deploy.ReleaseStep) bool { return s.Status == deploy.ReleaseDone }) {
			t.Errorf("%d is taken for a proof: %+v", status, steps)
		}
		c.ClearFaults(id)
	}
	if s := c.State(); s.LiveServers != 1 || s.VNIs != 2 {
		t.Errorf("%+v", s)
	}
}

func TestFaultAnAddressTakenMeanwhileFailsTheNode(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	ranges := func(config *ibmvpc.Config) { config.ManagementRange = "127.64.0.50-127.64.0.59" }
	subnet, stolen := c.subnetID(t, vpcsim.DefaultManagementSubnet), false
	c.wire.base = roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/reserved_ips") && !stolen {
			stolen = true // right before our call
			c.request(t, http.MethodPost, "/subnets/"+subnet+"/reserved_ips", `{"name":"theirs","address":"127.64.0.50"}`, 201)
		}
		return http.DefaultTransport.RoundTrip(r)
	})
	m := persist(t, c, c.provider(t, j, ranges), order())
	if m.ManagementIP != "127.64.0.51" {
		t.Errorf("%+v", m)
	}
	j.End(7)
	released(t, c, j, order())
	if s := c.State(); s.ReservedIPs != 1 || s.Addresses[0].Name != "theirs" {
		t.Errorf("%+v", s.Addresses)
	}
}
