package vpcsim

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/IBM/go-sdk-core/v5/core"
	"github.com/IBM/vpc-go-sdk/vpcv1"
	"github.com/stretchr/testify/require"
)

func TestLifeOfAServerAndItsPower(t *testing.T) {
	e := newEnv(t, Options{})
	d := DefaultDelays()
	ip := e.mustReserve("node-ip", "127.64.0.10")
	v := e.mustVNI("node-vni", primary(primaryIP{ID: ip.ID}))
	sv, _, err := e.server("node", *v.ID)
	require.NoError(t, err)
	id := *sv.ID
	require.Equal(t, "pending", *sv.LifecycleState)
	require.Equal(t, "pending", e.status(id))
	e.clock.Advance(d.Provision)
	require.Equal(t, "starting", e.status(id))
	require.Empty(t, e.hw.events(), "no power before running")
	e.clock.Advance(d.Start)
	require.Equal(t, "running", e.status(id))
	require.Equal(t, []string{"on node"}, e.hw.events())
	e.requireSpec(id, *v.ID)

	_, err = e.vpc.RestartBareMetalServer(e.vpc.NewRestartBareMetalServerOptions(id))
	require.NoError(t, err)
	require.Equal(t, "restarting", e.status(id))
	e.clock.Advance(d.Restart)
	require.Equal(t, []string{"on node", "off node", "on node"}, e.hw.events())
	require.False(t, e.hw.spec().Reinitialized)

	_, err = e.stop(id, "soft")
	require.NoError(t, err)
	require.Equal(t, "stopping", e.status(id))
	require.Len(t, e.hw.events(), 3, "a soft stop leaves the power on until the system is down")
	e.clock.Advance(d.SoftStop)
	require.Equal(t, "stopped", e.status(id))
	require.Equal(t, "off node", e.hw.events()[3])

	_, _, err = e.reinitialize(id)
	require.NoError(t, err)
	require.Equal(t, "reinitializing", e.status(id))
	e.clock.Advance(d.Reinitialize + d.Start)
	require.Equal(t, "running", e.status(id), "it starts by itself")
	spec := e.hw.spec()
	require.True(t, spec.Reinitialized)
	require.Equal(t, testUserData+"/again", spec.UserData)
	require.Equal(t, "127.64.0.10", spec.IP, "reinitialization keeps the addresses")

	_, err = e.stop(id, "hard")
	require.NoError(t, err)
	require.Len(t, e.hw.events(), 6, "a hard stop takes the power at once")
	e.settle()
	_, err = e.vpc.StartBareMetalServer(e.vpc.NewStartBareMetalServerOptions(id))
	require.NoError(t, err)
	e.settle()
	require.False(t, e.hw.spec().Reinitialized, "only the first start after it")
	require.Equal(t, 4, e.sim.State().PowerOns)
}

func (e *env) requireSpec(serverID, vniID string) {
	e.t.Helper()
	v, _, err := e.vpc.GetVirtualNetworkInterface(e.vpc.NewGetVirtualNetworkInterfaceOptions(vniID))
	require.NoError(e.t, err)
	spec := e.hw.spec()
	require.Equal(e.t, serverID, spec.ServerID)
	require.Equal(e.t, "us-south-1", spec.Zone)
	require.Equal(e.t, "bx2d-metal-96x384", spec.Profile)
	require.Equal(e.t, testUserData, spec.UserData)
	require.Equal(e.t, "127.64.0.10", spec.IP)
	require.Equal(e.t, *v.PrimaryIP.Address, spec.IP)
	require.Regexp(e.t, `^02:00(:[0-9a-f]{2}){4}$`, spec.MAC)
	require.Equal(e.t, []Interface{{Name: "net0", MAC: spec.MAC, IP: spec.IP, CIDR: "127.64.0.0/24", Gateway: "127.64.0.1"}}, spec.Interfaces)
	require.Len(e.t, spec.Disks, 9)
	require.True(e.t, spec.Disks[0].Boot)
	require.EqualValues(e.t, 3200, spec.Disks[8].SizeGB)
	require.NotEmpty(e.t, spec.DNSServers)
}

// Release as the product does it: server, interface, reserved IP; each is refused before its turn and gone after it.
func TestReleaseOrder(t *testing.T) {
	e := newEnv(t, Options{})
	subnetID := e.subnetID(DefaultManagementSubnet)
	ip := e.mustReserve("node-ip", "")
	v := e.mustVNI("node-vni", primary(primaryIP{ID: ip.ID}))
	sv, _, err := e.server("node", *v.ID)
	require.NoError(t, err)
	e.settle()
	_, err = e.stop(*sv.ID, "hard")
	require.NoError(t, err)
	e.settle()
	_, err = e.vpc.DeleteBareMetalServer(e.vpc.NewDeleteBareMetalServerOptions(*sv.ID))
	require.NoError(t, err)
	_, resp, err := e.vpc.DeleteVirtualNetworkInterfaces(e.vpc.NewDeleteVirtualNetworkInterfacesOptions(*v.ID))
	refused(t, 409, codeVNIInUse, resp, err)
	e.settle()
	got, _, err := e.vpc.GetVirtualNetworkInterface(e.vpc.NewGetVirtualNetworkInterfaceOptions(*v.ID))
	require.NoError(t, err, "a standalone interface outlives its server")
	require.Nil(t, got.Target)
	_, _, err = e.vpc.DeleteVirtualNetworkInterfaces(e.vpc.NewDeleteVirtualNetworkInterfacesOptions(*v.ID))
	require.NoError(t, err)
	resp, err = e.vpc.DeleteSubnetReservedIP(e.vpc.NewDeleteSubnetReservedIPOptions(subnetID, *ip.ID))
	refused(t, 409, codeReservedIPInUse, resp, err)
	e.settle()
	_, err = e.vpc.DeleteSubnetReservedIP(e.vpc.NewDeleteSubnetReservedIPOptions(subnetID, *ip.ID))
	require.NoError(t, err)
	resp, err = e.vpc.DeleteSubnetReservedIP(e.vpc.NewDeleteSubnetReservedIPOptions(subnetID, *ip.ID))
	refused(t, 404, codeNotFound, resp, err)
	state := e.sim.State()
	require.Zero(t, state.LiveServers+state.VNIs+state.ReservedIPs)
	require.Equal(t, 1, state.ServersCreated)
}

// auto_delete: an inline interface and its address go with the server; a reserved IP that was there before stays.
func TestAutoDelete(t *testing.T) {
	e := newEnv(t, Options{})
	ip := e.mustReserve("kept", "")
	sv, _, err := e.server("node", "", func(p *serverProto) {
		p.PrimaryNetworkAttachment = &vpcv1.BareMetalServerPrimaryNetworkAttachmentPrototype{
			VirtualNetworkInterface: &vpcv1.BareMetalServerNetworkAttachmentPrototypeVirtualNetworkInterface{
				PrimaryIP: &primaryIP{ID: ip.ID}, Ips: []vpcv1.VirtualNetworkInterfaceIPPrototypeIntf{&secondaryIP{Name: ptr("goes")}},
			},
		}
	})
	require.NoError(t, err)
	e.settle()
	require.Equal(t, 2, e.sim.State().ReservedIPs)
	_, err = e.stop(*sv.ID, "hard")
	require.NoError(t, err)
	e.settle()
	_, err = e.vpc.DeleteBareMetalServer(e.vpc.NewDeleteBareMetalServerOptions(*sv.ID))
	require.NoError(t, err)
	e.settle()
	state := e.sim.State()
	require.Zero(t, state.VNIs)
	require.Equal(t, []AddressState{{Address: *ip.Address, Name: "kept"}}, state.Addresses)
}

// A PCI attachment made while the server is stopped is pending until it starts, and is a machine's interface then.
func TestPCIAttachmentBecomesUsableAtStart(t *testing.T) {
	e := newEnv(t, Options{})
	sv := e.stopped("node")
	made, _, err := e.vpc.CreateBareMetalServerNetworkAttachment(e.vpc.NewCreateBareMetalServerNetworkAttachmentOptions(*sv.ID,
		(&tour{env: e}).attachment("pci", "net1")))
	require.NoError(t, err)
	id := *made.(*vpcv1.BareMetalServerNetworkAttachment).ID
	require.Equal(t, "pending", *made.(*vpcv1.BareMetalServerNetworkAttachment).LifecycleState)
	_, err = e.vpc.StartBareMetalServer(e.vpc.NewStartBareMetalServerOptions(*sv.ID))
	require.NoError(t, err)
	e.settle()
	got, _, err := e.vpc.GetBareMetalServerNetworkAttachment(e.vpc.NewGetBareMetalServerNetworkAttachmentOptions(*sv.ID, id))
	require.NoError(t, err)
	require.Equal(t, "stable", *got.(*vpcv1.BareMetalServerNetworkAttachment).LifecycleState)
	require.Len(t, e.hw.spec().Interfaces, 2)
	require.Equal(t, "127.64.1.0/24", e.hw.spec().Interfaces[1].CIDR)
}

// The name of a deleted server may stay taken for a while (docs of the Terraform provider: up to 30 minutes).
func TestNameIsReleasedLate(t *testing.T) {
	delays := DefaultDelays()
	delays.NameRelease = 30 * time.Minute
	e := newEnv(t, Options{Delays: delays})
	sv := e.stopped("node")
	_, err := e.vpc.DeleteBareMetalServer(e.vpc.NewDeleteBareMetalServerOptions(*sv.ID))
	require.NoError(t, err)
	e.settle()
	require.Zero(t, e.sim.State().LiveServers)
	vniID := *e.mustVNI("again").ID
	_, resp, err := e.server("node", vniID)
	refused(t, 400, codeUniqueFailed, resp, err)
	e.clock.Advance(delays.NameRelease)
	_, _, err = e.server("node", vniID)
	require.NoError(t, err)
}

// A server with secure boot does not boot iPXE, one with a stock image does not boot from the network.
func TestWhatDoesNotBoot(t *testing.T) {
	e := newEnv(t, Options{})
	e.mustServer("secure", func(p *serverProto) { p.EnableSecureBoot = ptr(true) })
	e.mustServer("stock", func(p *serverProto) {
		p.Initialization.Image = &vpcv1.ImageIdentity{ID: ptr(e.imageID("ibm-ubuntu-24-04-amd64-3"))}
	})
	e.settle()
	for _, sv := range e.sim.State().Servers {
		require.Equal(t, "running", sv.Status)
		require.False(t, sv.Powered)
	}
	require.Empty(t, e.hw.events())
}

// Two creates with one name, and two with one interface: one of each wins.
func TestConcurrentCreates(t *testing.T) {
	e := newEnv(t, Options{})
	const racers = 8
	ids := make([]string, racers)
	for i := range ids {
		ids[i] = *e.mustVNI("").ID
	}
	race := func(create func(int) error) (won int) {
		var wg sync.WaitGroup
		results := make([]error, racers)
		for i := range racers {
			wg.Go(func() { results[i] = create(i) })
		}
		wg.Wait()
		for _, err := range results {
			if err == nil {
				won++
			}
		}
		return won
	}
	require.Equal(t, 1, race(func(i int) error { _, _, err := e.server("same-name", ids[i]); return err }))
	free := *e.mustVNI("one-interface").ID
	names := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	require.Equal(t, 1, race(func(i int) error { _, _, err := e.server(names[i], free); return err }))
	require.Equal(t, 1, race(func(int) error { _, _, err := e.reserve("same", "127.64.0.77"); return err }))
	require.Equal(t, 1, race(func(int) error { _, _, err := e.vni("same"); return err }))
	require.Equal(t, 2, e.sim.State().ServersCreated)
}

// The hardware may call the API from PowerOn: no lock is held there.
type callingHardware struct {
	recordedHardware
	call func()
}

func (h *callingHardware) PowerOn(s Spec) {
	h.recordedHardware.PowerOn(s)
	h.call()
}

func TestHardwareMayCallBack(t *testing.T) {
	e := newEnv(t, Options{})
	calls := 0
	e.sim.opts.Hardware = &callingHardware{call: func() {
		_, _, err := e.vpc.ListBareMetalServers(e.vpc.NewListBareMetalServersOptions())
		require.NoError(t, err)
		calls++
	}}
	e.mustServer("node")
	e.settle()
	require.Equal(t, 1, calls)
}

// With the machine's clock and no hands: servers get to running by themselves, Wait sees it, Close takes the power.
func TestRealClockAndServe(t *testing.T) {
	hw := &recordedHardware{}
	sim, err := New(Options{Hardware: hw})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	serving, stop := context.WithCancel(ctx)
	listener, err := sim.Serve(serving, "127.0.0.1:0")
	require.NoError(t, err)
	e := &env{t: t, sim: sim, hw: hw, url: listener.URL}
	e.vpc, err = vpcv1.NewVpcV1(&vpcv1.VpcV1Options{
		URL: listener.VPCURL(), Authenticator: &core.IamAuthenticator{ApiKey: "any", URL: listener.IAMURL()},
	})
	require.NoError(t, err)
	e.mustServer("node")
	require.NoError(t, sim.Wait(ctx, func(s State) bool { return len(s.Servers) == 1 && s.Servers[0].Powered }))
	sim.Close()
	require.Equal(t, []string{"on node", "off node"}, hw.events())
	_, resp, err := e.vpc.ListVpcs(e.vpc.NewListVpcsOptions())
	refused(t, 503, "backend_service_unavailable", resp, err)
	stop()
	require.NoError(t, listener.Wait())
	expired, cancelExpired := context.WithCancel(ctx)
	cancelExpired()
	require.ErrorIs(t, sim.Wait(expired, func(State) bool { return false }), context.Canceled)
	for _, addr := range []string{"0.0.0.0:0", "192.0.2.1:0"} {
		_, err = sim.Serve(ctx, addr)
		require.ErrorIs(t, err, ErrNotLoopback)
	}
}

// A call that overtakes another ends it: the soft stop that a hard one overtook must not stop the server later.
func TestOvertakenChangeIsDropped(t *testing.T) {
	delays := DefaultDelays()
	delays.SoftStop = time.Hour
	e := newEnv(t, Options{Delays: delays})
	id := *e.mustServer("node").ID
	e.settle()
	_, err := e.stop(id, "soft")
	require.NoError(t, err)
	_, err = e.stop(id, "hard")
	require.NoError(t, err)
	e.settle()
	_, err = e.vpc.StartBareMetalServer(e.vpc.NewStartBareMetalServerOptions(id))
	require.NoError(t, err)
	e.clock.Advance(2 * time.Hour)
	require.Equal(t, "running", e.status(id))
	require.Equal(t, []string{"on node", "off node", "on node"}, e.hw.events())
}

// slowHardware holds its first PowerOn until it is released.
type slowHardware struct {
	recordedHardware
	once    sync.Once
	entered chan struct{}
	release chan struct{}
}

func (h *slowHardware) PowerOn(s Spec) {
	h.recordedHardware.PowerOn(s)
	h.once.Do(func() { close(h.entered); <-h.release })
}

// While the hardware is busy with one change, others queue up; it learns of them in order, and Close waits for it.
func TestPowerChangesKeepTheirOrder(t *testing.T) {
	e := newEnv(t, Options{})
	hw := &slowHardware{entered: make(chan struct{}), release: make(chan struct{})}
	e.sim.opts.Hardware = hw
	id := *e.mustServer("node").ID
	advanced := make(chan struct{})
	go func() { e.settle(); close(advanced) }()
	<-hw.entered
	_, err := e.stop(id, "hard")
	require.NoError(t, err, "a busy hardware does not hold up the API")
	e.settle()
	_, err = e.vpc.StartBareMetalServer(e.vpc.NewStartBareMetalServerOptions(id))
	require.NoError(t, err)
	e.settle()
	e.mustServer("other")
	e.settle()
	require.Equal(t, []string{"on node"}, hw.events())
	closed := make(chan struct{})
	go func() { e.sim.Close(); close(closed) }()
	require.NoError(t, e.sim.Wait(t.Context(), func(s State) bool { return !s.Servers[0].Powered }))
	select {
	case <-closed:
		t.Fatal("Close returned before the hardware was told")
	default:
	}
	close(hw.release)
	<-advanced
	<-closed
	events := hw.events()
	require.Len(t, events, 6)
	require.Equal(t, []string{"on node", "off node", "on node", "on other"}, events[:4])
	require.ElementsMatch(t, []string{"off node", "off other"}, events[4:])
}
