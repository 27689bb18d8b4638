package vpcsim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/IBM/vpc-go-sdk/vpcv1"
	"github.com/stretchr/testify/require"
)

// A call that times out at the client was performed all the same.
func TestFaultTimeout(t *testing.T) {
	e := newEnv(t, Options{})
	e.fault(Fault{Kind: FaultTimeout, Operation: "CreateVirtualNetworkInterface", Times: 1})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, _, err := e.vpc.CreateVirtualNetworkInterfaceWithContext(ctx, e.vpc.NewCreateVirtualNetworkInterfaceOptions().SetName("lost").SetSubnet(&vpcv1.SubnetIdentity{ID: ptr(e.subnetID(DefaultManagementSubnet))}))
		done <- err
	}()
	require.NoError(t, e.sim.Wait(t.Context(), func(s State) bool { return s.VNIsCreated == 1 }))
	select {
	case err := <-done:
		t.Fatalf("an answer came: %v", err)
	default:
	}
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	_, _, err := e.vni("lost")
	require.ErrorContains(t, err, "not unique")

	// A POST: net/http repeats a GET by itself when a connection that was used before is closed.
	e.fault(Fault{Kind: FaultTimeout, Operation: "CreateVirtualNetworkInterface", LatencyMS: 5000, Times: 1})
	go func() {
		_, _, err := e.vpc.CreateVirtualNetworkInterface(e.vpc.NewCreateVirtualNetworkInterfaceOptions().SetName("late").SetSubnet(&vpcv1.SubnetIdentity{ID: ptr(e.subnetID(DefaultManagementSubnet))}))
		done <- err
	}()
	require.NoError(t, e.sim.Wait(t.Context(), func(s State) bool { return s.VNIsCreated == 2 }))
	for {
		select {
		case err := <-done:
			require.Error(t, err, "the connection is closed without an answer")
			return
		default:
			e.clock.Advance(time.Second)
		}
	}
}

// A name, and an interface, that are slow to go by rule.
func TestFaultSlowNameAndSlowInterface(t *testing.T) {
	e := newEnv(t, Options{})
	e.fault(Fault{Kind: FaultSlowName, Target: "node", LatencyMS: (30 * time.Minute).Milliseconds(), Times: 1})
	for _, name := range []string{"node", "other"} {
		sv := e.stopped(name)
		_, err := e.vpc.DeleteBareMetalServer(e.vpc.NewDeleteBareMetalServerOptions(*sv.ID))
		require.NoError(t, err)
		e.settle()
	}
	vniID := *e.mustVNI("again").ID
	_, resp, err := e.server("node", vniID)
	refused(t, 400, codeUniqueFailed, resp, err)
	_, _, err = e.server("other", *e.mustVNI("another").ID)
	require.NoError(t, err, "only the one name")
	e.clock.Advance(30 * time.Minute)
	_, _, err = e.server("node", vniID)
	require.NoError(t, err)

	e.fault(Fault{Kind: FaultSlow, Operation: "DeleteVirtualNetworkInterfaces", Target: "late", LatencyMS: time.Hour.Milliseconds()})
	late := e.mustVNI("late")
	_, _, err = e.vpc.DeleteVirtualNetworkInterfaces(e.vpc.NewDeleteVirtualNetworkInterfacesOptions(*late.ID))
	require.NoError(t, err)
	e.settle()
	got, _, err := e.vpc.GetVirtualNetworkInterface(e.vpc.NewGetVirtualNetworkInterfaceOptions(*late.ID))
	require.NoError(t, err)
	require.Equal(t, "deleting", *got.LifecycleState)
	e.clock.Advance(time.Hour)
	_, resp, err = e.vpc.GetVirtualNetworkInterface(e.vpc.NewGetVirtualNetworkInterfaceOptions(*late.ID))
	refused(t, 404, codeNotFound, resp, err)
}

// fate is what a seed does to a sequence of calls and servers.
func fate(t *testing.T, seed uint64, rate float64, noise bool) (fates []string) {
	e := newEnv(t, Options{})
	e.fault(Fault{Kind: FaultRandom, Seed: seed, Rate: rate})
	e.fault(Fault{Kind: FaultRandom, Seed: seed, Rate: rate, Kinds: []FaultKind{FaultServerFailed, FaultNeverBoot}})
	for i := range 12 {
		if noise { // other calls between them change nothing
			_, _, _ = e.vni(fmt.Sprintf("noise-%d", i))
		}
		_, resp, err := e.vni(fmt.Sprintf("node-%d", i))
		switch {
		case err == nil:
			fates = append(fates, "ok")
		case resp == nil:
			fates = append(fates, "dropped")
		default:
			fates = append(fates, fmt.Sprintf("%d retry after %q", resp.StatusCode, resp.Headers.Get("Retry-After")))
		}
	}
	return fates
}

func TestSeedsAreReproducible(t *testing.T) {
	first := fate(t, 7, 0.5, false)
	require.Equal(t, first, fate(t, 7, 0.5, false), "the same seed, the same fate")
	require.Equal(t, first, fate(t, 7, 0.5, true), "whatever else is called")
	require.NotEqual(t, first, fate(t, 8, 0.5, false))
	kinds := map[string]int{}
	for seed := range uint64(8) {
		for _, f := range fate(t, seed, 0.5, false) {
			kinds[f]++
		}
	}
	for _, kind := range []string{"ok", "dropped", `500 retry after ""`, `429 retry after "1"`} {
		require.NotZero(t, kinds[kind], "%v", kinds)
	}
	for _, f := range fate(t, 7, 0.0000001, false) {
		require.Equal(t, "ok", f)
	}
}

func TestRandomServerFaults(t *testing.T) {
	e := newEnv(t, Options{ServerQuota: 100})
	e.fault(Fault{Kind: FaultRandom, Seed: 3, Rate: 0.8, Kinds: []FaultKind{FaultServerFailed, FaultNeverBoot}})
	for i := range 40 {
		e.mustServer(fmt.Sprintf("node-%d", i))
	}
	e.settle()
	failed, dark, fine := 0, 0, 0
	for _, sv := range e.sim.State().Servers {
		switch {
		case sv.Status == "failed":
			require.Equal(t, []string{ReasonCannotStartCapacity}, sv.StatusReasons)
			failed++
		case !sv.Powered:
			dark++
		default:
			fine++
		}
	}
	require.Equal(t, 40, failed+dark+fine)
	require.NotZero(t, failed*dark*fine, "%d failed, %d dark, %d fine", failed, dark, fine)
}

func TestRandomFaultsAreChecked(t *testing.T) {
	e := newEnv(t, Options{})
	for _, f := range []Fault{
		{Kind: FaultRandom, Rate: 1.5}, {Kind: FaultRandom, Rate: -1}, {Kind: FaultRandom, Kinds: []FaultKind{"explode"}}, {Kind: FaultRandom, Kinds: []FaultKind{FaultRandom}},
		{Kind: FaultRandom, Kinds: []FaultKind{FaultLatency}}, {Kind: FaultRandom, Kinds: []FaultKind{FaultServerFailed}, Reason: "bored"},
		{Kind: FaultFail, Operation: AnyOperation, Seed: 1}, {Kind: FaultRandom, Status: 200}, {Kind: FaultSlowName},
	} {
		_, err := e.sim.AddFault(f)
		require.Error(t, err, "%+v", f)
	}
	id := e.fault(Fault{Kind: FaultRandom, Rate: 1, Kinds: []FaultKind{FaultFail}, Status: 503, Times: 2})
	for range 2 {
		_, resp, err := e.vpc.ListVpcs(e.vpc.NewListVpcsOptions())
		refused(t, 503, "backend_service_unavailable", resp, err)
	}
	_, _, err := e.vpc.ListVpcs(e.vpc.NewListVpcsOptions())
	require.NoError(t, err, "%s is used up", id)
}

// faultyHardware keeps rules and remembers what was scrapped.
type faultyHardware struct {
	recordedHardware
	rules    []json.RawMessage
	scrapped []string
}

func (h *faultyHardware) AddFault(rule json.RawMessage) (string, error) {
	if len(h.rules) > 0 {
		return "", errors.New("one is enough")
	}
	h.rules = append(h.rules, rule)
	return "m1", nil
}
func (h *faultyHardware) FaultRules() []json.RawMessage { return h.rules }
func (h *faultyHardware) ClearFaults(ids ...string) {
	if len(ids) == 0 || ids[0] == "m1" {
		h.rules = nil
	}
}
func (h *faultyHardware) Scrap(id string) error { h.scrapped = append(h.scrapped, id); return nil }

// Faults of machines are set where those of the cloud are; a deleted server's machine is thrown away.
func TestFaultsOfMachines(t *testing.T) {
	e := newEnv(t, Options{})
	post := func(body string) int {
		resp, _ := e.raw("POST", "/_sim/faults", "", "application/json", body)
		return resp.StatusCode
	}
	const rule = `{"match":"node-*","fault":"boots_twice"}`
	require.Equal(t, http.StatusBadRequest, post(rule), "this hardware has no faults")
	hw := &faultyHardware{}
	e.sim.opts.Hardware = hw
	require.Equal(t, http.StatusCreated, post(rule))
	require.Equal(t, http.StatusBadRequest, post(rule))
	_, text := e.raw("GET", "/_sim/faults", "", "", "")
	require.JSONEq(t, `{"faults":[],"machine_faults":[`+rule+`]}`, string(text))
	e.raw("DELETE", "/_sim/faults/other", "", "", "")
	require.Len(t, hw.rules, 1)
	e.raw("DELETE", "/_sim/faults/m1", "", "", "")
	require.Empty(t, hw.rules)

	sv := e.stopped("node")
	_, err := e.vpc.DeleteBareMetalServer(e.vpc.NewDeleteBareMetalServerOptions(*sv.ID))
	require.NoError(t, err)
	require.Empty(t, hw.scrapped)
	e.settle()
	require.Equal(t, []string{*sv.ID}, hw.scrapped)
}
