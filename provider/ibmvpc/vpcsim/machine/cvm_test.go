//go:build linux

package machine

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/cluster/cvm"
	"github.com/slipwayhq/slipway/deploy/cluster/cvmsim"
)

// cvms are machines of one rack whose controller VMs are spoken with by the
// client that Slipway has, with the keys that it installed and the host keys
// that the machines reported.
type cvms struct {
	*testing.T
	rack    *Rack
	servers []*slipway
	client  *cvm.Client
	vip     netip.Addr
}

func newCVMs(t *testing.T, from, count int) *cvms {
	t.Helper()
	w := &cvms{T: t, vip: netip.MustParseAddr(fmt.Sprintf("127.64.203.%d", from+200))}
	port, prism := 0, 0
	for i := range count {
		s := newSlipway(t, from+i)
		s.cvm = fmt.Sprintf("127.64.203.%d", from+100+i)
		s.spec.Name = fmt.Sprintf("node-%d", i+1)
		if i == 0 {
			w.client = &cvm.Client{Key: s.client, Timeouts: cvm.Timeouts{Dial: time.Minute, Banner: time.Minute, Auth: time.Minute, Command: time.Minute, TLS: time.Minute}}
			port, prism = freePort(t, s.cvm), freePort(t, w.vip.String())
		}
		s.client = w.client.Key // one Slipway has one key
		w.servers = append(w.servers, s)
	}
	w.rack = testRack(t, func(o *Options) { o.CVMSSHPort, o.CVMPrismPort = port, prism })
	return w
}

func (w *cvms) on(i int) {
	w.Helper()
	w.rack.PowerOn(w.servers[i].spec)
	w.awaitUp(i)
}

func (w *cvms) state(i int) (cvmsim.CVMState, bool) {
	for _, s := range w.rack.CVMs().State() {
		if s.Addr.String() == w.servers[i].cvm {
			return s, true
		}
	}
	return cvmsim.CVMState{}, false
}

func (w *cvms) awaitUp(i int) {
	w.Helper()
	waitState(w.T, w.rack, w.servers[i].spec.ServerID, StateRunning)
	eventually(w.T, "the controller VM", func() bool { s, _ := w.state(i); return s.On })
}

// hostKey is what the machine reported last.
func (w *cvms) hostKey(i int) string {
	w.Helper()
	key := ""
	for _, r := range w.servers[i].seen() {
		if r.Phase == "post_install" && r.Status == "success" {
			key, _ = r.Details["cvm_ssh_host_key"].(string)
		}
	}
	require.NotEmpty(w, key, "node-%d reported no host key of its controller VM", i+1)
	return key
}

func (w *cvms) target(i int) cvm.Target {
	w.Helper()
	return cvm.Target{Addr: netip.MustParseAddr(w.servers[i].cvm), Port: w.rack.opts.CVMSSHPort, PrismPort: w.rack.opts.CVMPrismPort, HostKey: w.hostKey(i)}
}

// form makes steps until one ends the formation of all.
func (w *cvms) form(token string) cvm.Step {
	w.Helper()
	r := cvm.FormRequest{Token: token, Spec: cvm.CreateSpec{Name: "prod", RedundancyFactor: cvm.DefaultRedundancyFactor(len(w.servers)), VIP: w.vip}}
	for i := range w.servers {
		r.Members = append(r.Members, w.target(i))
	}
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	for {
		step, err := w.client.Form(ctx, r)
		require.NoError(w, err)
		if step.Action.Ended() {
			return step
		}
	}
}

// TestClusterOfMachines: installed machines form a cluster over SSH, keep it
// through a power cut, and lose it with their disks.
func TestClusterOfMachines(t *testing.T) {
	needRealScripts(t)
	t.Parallel()
	w := newCVMs(t, 40, 3)
	for i := range w.servers {
		w.rack.PowerOn(w.servers[i].spec)
	}
	for i := range w.servers {
		w.awaitUp(i)
		require.Equal(t, fmt.Sprintf("node-%d", i+1), w.rack.CVMs().State()[indexOf(t, w, i)].Name)
	}
	step := w.form("first")
	require.Equal(t, cvm.ActionDone, step.Action, "%s %q", step.Message, step.Evidence)
	require.Equal(t, 1, w.rack.CVMs().Formed())
	_, err := w.client.PrismAnswers(t.Context(), netip.AddrPortFrom(w.vip, uint16(w.rack.opts.CVMPrismPort)))
	require.NoError(t, err)

	// Without power nothing answers; with it, it is the same member again.
	w.rack.PowerOff(w.servers[1].spec.ServerID)
	s, there := w.state(1)
	require.True(t, there && !s.On && s.Cluster == "prod", "%+v", s)
	w.on(1)
	s, _ = w.state(1)
	require.Equal(t, "prod", s.Cluster)
	step = w.form("second")
	require.Equal(t, cvm.ActionDone, step.Action, "%s %q", step.Message, step.Evidence)
	require.Equal(t, 1, w.rack.CVMs().Formed(), "nothing was formed twice")

	// Installed anew it has another host key and no cluster.
	before := w.hostKey(1)
	w.rack.PowerOff(w.servers[1].spec.ServerID)
	w.servers[1].spec.Reinitialized = true
	w.on(1)
	require.NotEqual(t, before, w.hostKey(1))
	s, _ = w.state(1)
	require.Empty(t, s.Cluster)

	// A deleted machine takes it along, and the last one the cluster's address.
	for i := range w.servers {
		require.NoError(t, w.rack.Scrap(w.servers[i].spec.ServerID))
		_, there = w.state(i)
		require.False(t, there)
	}
	_, err = w.client.PrismAnswers(t.Context(), netip.AddrPortFrom(w.vip, uint16(w.rack.opts.CVMPrismPort)))
	require.Error(t, err)
}

func indexOf(t *testing.T, w *cvms, i int) int {
	t.Helper()
	for n, s := range w.rack.CVMs().State() {
		if s.Addr.String() == w.servers[i].cvm {
			return n
		}
	}
	t.Fatalf("node-%d has no controller VM", i+1)
	return -1
}

// TestControllerVMFaults: a rule by the name of the server strikes the controller
// VM of that one, at once, until it is removed.
func TestControllerVMFaults(t *testing.T) {
	needRealScripts(t)
	t.Parallel()
	w := newCVMs(t, 50, 1)
	id, err := w.rack.AddFault(json.RawMessage(`{"match":"node-1","fault":"cvm_host_key"}`))
	require.NoError(t, err)
	other, err := w.rack.AddFault(json.RawMessage(`{"match":"node-2","fault":"cvm_down"}`))
	require.NoError(t, err)
	w.on(0)
	step := w.form("first")
	require.Equal(t, cvm.ReasonWrongHost, step.Reason)
	require.Len(t, w.rack.FaultRules(), 2)
	w.rack.ClearFaults(id)
	require.Len(t, w.rack.FaultRules(), 1)

	_, err = w.rack.AddFault(json.RawMessage(`{"match":"node-*","fault":"cvm_lie","times":1}`))
	require.NoError(t, err)
	step = w.form("second")
	require.Equal(t, cvm.ReasonNotDone, step.Reason)
	step = w.form("third")
	require.Equal(t, cvm.ActionDone, step.Action, "%s %q", step.Message, step.Evidence)
	w.rack.ClearFaults(other)
	w.rack.ClearFaults()
	require.Empty(t, w.rack.FaultRules())
}

// TestNoControllerVM: without an address for one there is none, and no host key.
func TestNoControllerVM(t *testing.T) {
	needRealScripts(t)
	t.Parallel()
	w := newCVMs(t, 55, 1)
	w.servers[0].cvm = ""
	w.rack.PowerOn(w.servers[0].spec)
	waitState(t, w.rack, w.servers[0].spec.ServerID, StateRunning)
	require.NotContains(t, w.servers[0].last("post_install", "success").Details, "cvm_ssh_host_key")
	w.rack.PowerOff(w.servers[0].spec.ServerID) // waits for the machine
	require.Empty(t, w.rack.CVMs().State())
}
