package vpcsim

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/IBM/networking-go-sdk/dnssvcsv1"
	"github.com/stretchr/testify/require"
)

func (e *env) fault(f Fault) string {
	e.t.Helper()
	id, err := e.sim.AddFault(f)
	require.NoError(e.t, err)
	return id
}

func TestFaultFail(t *testing.T) {
	e := newEnv(t, Options{})
	e.fault(Fault{Kind: FaultFail, Operation: "CreateBareMetalServer", Times: 2, Status: 503, RetryAfterSeconds: 7})
	vniID := *e.mustVNI("node").ID
	for range 2 {
		_, resp, err := e.server("node", vniID)
		refused(t, 503, "backend_service_unavailable", resp, err)
		require.Equal(t, "7", resp.Headers.Get("Retry-After"))
	}
	_, _, err := e.server("node", vniID)
	require.NoError(t, err, "the fault is used up")
	state := e.sim.State()
	require.Equal(t, 1, state.ServersCreated)
	require.Equal(t, 3, state.Calls["CreateBareMetalServer"])
	require.Empty(t, e.sim.Faults())
}

// What go-sdk-core does when retries are on for creates, and why the product must not: the POST is repeated.
func TestFaultShowsThatRetriesRepeatCreates(t *testing.T) {
	e := newEnv(t, Options{})
	e.fault(Fault{Kind: FaultDropAfter, Operation: "CreateVirtualNetworkInterface", Times: 1})
	e.vpc.EnableRetries(3, time.Millisecond)
	_, _, err := e.vni("node")
	require.ErrorContains(t, err, "not unique", "the retried POST meets what the first one made")
	state := e.sim.State()
	require.Equal(t, 2, state.Calls["CreateVirtualNetworkInterface"])
	require.Equal(t, 1, state.VNIsCreated)
}

func TestFaultDrop(t *testing.T) {
	e := newEnv(t, Options{})
	vniID := *e.mustVNI("node").ID
	e.fault(Fault{Kind: FaultDropBefore, Operation: "CreateBareMetalServer", Times: 1})
	_, resp, err := e.server("node", vniID)
	require.Error(t, err)
	require.Nil(t, resp, "a dropped connection has no response")
	require.Zero(t, e.sim.State().ServersCreated)
	e.fault(Fault{Kind: FaultDropAfter, Operation: "CreateBareMetalServer", Times: 1})
	_, resp, err = e.server("node", vniID)
	require.Error(t, err)
	require.Nil(t, resp)
	require.Equal(t, 1, e.sim.State().ServersCreated, "the create was performed")
	found, _, err := e.vpc.ListBareMetalServers(e.vpc.NewListBareMetalServersOptions().SetName("node"))
	require.NoError(t, err)
	require.Len(t, found.BareMetalServers, 1, "and can be found by name")
}

func TestFaultTarget(t *testing.T) {
	e := newEnv(t, Options{})
	e.fault(Fault{Kind: FaultFail, Operation: AnyOperation, Target: "bad", Status: 500})
	e.mustVNI("good")
	_, resp, err := e.vni("bad")
	refused(t, 500, codeInternal, resp, err)
	e.sim.ClearFaults()
	bad := e.mustVNI("bad")
	e.fault(Fault{Kind: FaultFail, Operation: "GetVirtualNetworkInterface", Target: "bad", Status: 404})
	_, resp, err = e.vpc.GetVirtualNetworkInterface(e.vpc.NewGetVirtualNetworkInterfaceOptions(*bad.ID))
	refused(t, 404, codeNotFound, resp, err)
}

func TestFaultLatency(t *testing.T) {
	e := newEnv(t, Options{})
	e.fault(Fault{Kind: FaultLatency, Operation: "ListVpcs", LatencyMS: 5000, Times: 1})
	done := make(chan error, 1)
	go func() {
		_, _, err := e.vpc.ListVpcs(e.vpc.NewListVpcsOptions())
		done <- err
	}()
	// The call is counted before it sleeps; its timer is there when the clock has one.
	require.NoError(t, e.sim.Wait(t.Context(), func(s State) bool { return s.Calls["ListVpcs"] == 1 }))
	for {
		select {
		case err := <-done:
			require.NoError(t, err)
			require.False(t, e.clock.Now().Before(testNow.Add(5*time.Second)))
			return
		default:
			e.clock.Advance(time.Second)
		}
	}
}

func TestServerFaults(t *testing.T) {
	e := newEnv(t, Options{})
	e.fault(Fault{Kind: FaultNeverBoot, Target: "dark"})
	e.fault(Fault{Kind: FaultServerFailed, Target: "failing"})
	e.fault(Fault{Kind: FaultStuck, Target: "stuck", Operation: "CreateBareMetalServer"})
	e.fault(Fault{Kind: FaultSlow, Target: "slow", LatencyMS: 600_000, Times: 1})
	e.fault(Fault{Kind: FaultStuck, Target: "halfway", InStatus: "starting"})
	for _, name := range []string{"dark", "failing", "stuck", "halfway", "slow", "fine"} {
		e.mustServer(name)
	}
	e.settle()
	got := map[string]string{}
	for _, sv := range e.sim.State().Servers {
		got[sv.Name] = sv.Status
	}
	require.Equal(t, map[string]string{
		"dark": "running", "failing": "failed", "stuck": "pending", "halfway": "starting", "slow": "pending", "fine": "running",
	}, got)
	require.Equal(t, []string{"on fine"}, e.hw.events())
	e.clock.Advance(10 * time.Minute)
	require.Equal(t, []string{"on fine", "on slow"}, e.hw.events())
	list, _, err := e.vpc.ListBareMetalServers(e.vpc.NewListBareMetalServersOptions().SetName("failing"))
	require.NoError(t, err)
	failed := list.BareMetalServers[0]
	require.Equal(t, ReasonCannotStartCapacity, *failed.StatusReasons[0].Code)
	require.NotEmpty(t, *failed.StatusReasons[0].Message)
	_, err = e.vpc.DeleteBareMetalServer(e.vpc.NewDeleteBareMetalServerOptions(*failed.ID))
	require.NoError(t, err, "a failed server can be deleted")
	e.settle()
	require.Equal(t, 5, e.sim.State().LiveServers)
}

// A soft stop that no operating system answers, and the hard stop that ends it (SDK: a soft stop may not complete).
func TestFaultIgnoredSoftStop(t *testing.T) {
	for _, hide := range []bool{false, true} {
		e := newEnv(t, Options{HideStopping: hide})
		id := *e.mustServer("node").ID
		e.settle()
		e.fault(Fault{Kind: FaultIgnoreSoftStop, Times: 1})
		_, err := e.stop(id, "soft")
		require.NoError(t, err)
		e.settle()
		require.Equal(t, map[bool]string{false: "stopping", true: "running"}[hide], e.status(id))
		require.Equal(t, []string{"on node"}, e.hw.events())
		_, err = e.stop(id, "hard")
		require.NoError(t, err)
		e.settle()
		require.Equal(t, "stopped", e.status(id))
		require.Equal(t, []string{"on node", "off node"}, e.hw.events())
	}
}

// A failed reinitialization can be tried again without a stop (docs: stopped, or failed with cannot_reinitialize).
func TestFaultCannotReinitialize(t *testing.T) {
	e := newEnv(t, Options{})
	id := *e.stopped("node").ID
	e.fault(Fault{Kind: FaultServerFailed, Operation: "ReplaceBareMetalServerInitialization", Reason: ReasonCannotReinitialize, Times: 1})
	_, _, err := e.reinitialize(id)
	require.NoError(t, err)
	e.settle()
	require.Equal(t, "failed", e.status(id))
	_, _, err = e.reinitialize(id)
	require.NoError(t, err)
	e.settle()
	require.Equal(t, "running", e.status(id))
	require.True(t, e.hw.spec().Reinitialized)
}

func TestDNSRules(t *testing.T) {
	e := newEnv(t, Options{})
	e.fault(Fault{Kind: FaultFail, Operation: "CreateResourceRecord", Status: http.StatusTooManyRequests, Times: 1})
	a := func(name, ip string) (*dnssvcsv1.ResourceRecord, error) {
		r, _, err := e.record("A", name, &dnssvcsv1.ResourceRecordInputRdata{Ip: &ip})
		return r, err
	}
	pointer := func(ip, host string) (*dnssvcsv1.ResourceRecord, error) {
		r, _, err := e.record("PTR", ip, &dnssvcsv1.ResourceRecordInputRdata{Ptrdname: &host})
		return r, err
	}
	_, resp, err := e.record("A", "node", &dnssvcsv1.ResourceRecordInputRdata{Ip: ptr("127.64.0.10")})
	refused(t, 429, codeRateLimit, resp, err)
	first, err := a("node", "127.64.0.10")
	require.NoError(t, err)
	second, err := a("node", "127.64.0.10")
	require.NoError(t, err, "names of A records need not be unique")
	require.NotEqual(t, *first.ID, *second.ID)
	require.EqualValues(t, 900, *first.TTL)
	for _, wrong := range [][2]string{{"", "127.64.0.1"}, {"node", "none"}, {"node", "::1"}, {"no de", "127.64.0.1"}, {"-node", "127.64.0.1"}} {
		_, err = a(wrong[0], wrong[1])
		require.Error(t, err, "%v", wrong)
	}
	full := "node." + DefaultDNSZone
	_, err = pointer("127.64.0.11", full)
	require.ErrorContains(t, err, "no A record")
	reverse, err := pointer("127.64.0.10", full)
	require.NoError(t, err)
	_, err = pointer("127.64.0.10", full)
	require.ErrorContains(t, err, "already")
	remove := func(id string) error {
		_, err := e.dns.DeleteResourceRecord(e.dns.NewDeleteResourceRecordOptions(DefaultDNSInstance, e.zoneID(), id))
		return err
	}
	require.NoError(t, remove(*second.ID), "its twin still carries the PTR record")
	require.ErrorContains(t, remove(*first.ID), "deleted first")
	update := e.dns.NewUpdateResourceRecordOptions(DefaultDNSInstance, e.zoneID(), *first.ID, "node",
		&dnssvcsv1.ResourceRecordUpdateInputRdata{Ip: ptr("127.64.0.12")})
	_, _, err = e.dns.UpdateResourceRecord(update)
	require.ErrorContains(t, err, "deleted first")
	require.NoError(t, remove(*reverse.ID))
	_, _, err = e.dns.UpdateResourceRecord(update)
	require.NoError(t, err)
	_, _, err = e.dns.UpdateResourceRecord(update.SetTTL(59))
	require.ErrorContains(t, err, "TTL")
	require.Equal(t, []RecordState{{"A", full, "127.64.0.12"}}, e.sim.State().Records)
	require.NoError(t, remove(*first.ID))
	require.Error(t, remove(*first.ID))
	require.Equal(t, 3, e.sim.State().DNSRecordsCreated)
	_, _, err = e.dns.ListDnszones(e.dns.NewListDnszonesOptions("another-instance"))
	require.ErrorContains(t, err, "not found")
}

func TestControlEndpoints(t *testing.T) {
	e := newEnv(t, Options{})
	post := func(body string) (int, map[string]any) {
		resp, text := e.raw("POST", "/_sim/faults", "", "application/json", body)
		var document map[string]any
		require.NoError(t, json.Unmarshal(text, &document))
		return resp.StatusCode, document
	}
	for _, body := range []string{
		`{}`, `{"kind":"explode"}`, `{"kind":"fail"}`, `{"kind":"fail","operation":"NoSuchThing"}`, `{"kind":"never_boot","targt":"x"}`,
		`{"kind":"fail","operation":"*","status":200}`, `{"kind":"slow"}`, `{"kind":"server_failed","reason":"bored"}`,
		`{"kind":"stuck","times":-1}`, `{"kind":"never_boot","in_status":"running"}`, `not json`,
	} {
		status, document := post(body)
		require.Equal(t, http.StatusBadRequest, status, body)
		require.Contains(t, document, "errors", body)
	}
	status, document := post(`{"kind":"fail","operation":"ListVpcs","status":429,"code":"slow_down","times":5}`)
	require.Equal(t, http.StatusCreated, status)
	_, resp, err := e.vpc.ListVpcs(e.vpc.NewListVpcsOptions())
	refused(t, 429, "slow_down", resp, err)
	_, text := e.raw("GET", "/_sim/faults", "", "", "")
	var listed struct{ Faults []Fault }
	require.NoError(t, json.Unmarshal(text, &listed))
	require.Len(t, listed.Faults, 1)
	require.Equal(t, 1, listed.Faults[0].Used)
	gone, _ := e.raw("DELETE", "/_sim/faults/"+document["id"].(string), "", "", "")
	require.Equal(t, http.StatusNoContent, gone.StatusCode)
	_, _, err = e.vpc.ListVpcs(e.vpc.NewListVpcsOptions())
	require.NoError(t, err)
	post(`{"kind":"never_boot"}`)
	e.raw("DELETE", "/_sim/faults", "", "", "")
	require.Empty(t, e.sim.Faults())
	e.mustServer("node")
	_, text = e.raw("GET", "/_sim/state", "", "", "")
	var state State
	require.NoError(t, json.Unmarshal(text, &state))
	require.Equal(t, e.sim.State(), state)
	require.Equal(t, 1, state.ServersCreated)
	require.Equal(t, 2, state.Calls["ListVpcs"])
}
