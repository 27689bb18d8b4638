package vpcsim

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/IBM/go-sdk-core/v5/core"
	"github.com/IBM/networking-go-sdk/dnssvcsv1"
	"github.com/IBM/vpc-go-sdk/vpcv1"
	"github.com/stretchr/testify/require"
)

// testNow is after every version date that the SDK sends.
var testNow = time.Date(2026, time.November, 22, 12, 0, 0, 0, time.UTC)

// env is a simulator behind a real port with a manual clock, the SDKs pointed at it, and recorded hardware.
type env struct {
	t     *testing.T
	sim   *Simulator
	clock *ManualClock
	url   string
	web   *http.Client
	vpc   *vpcv1.VpcV1
	dns   *dnssvcsv1.DnsSvcsV1
	hw    *recordedHardware
	rec   *recorder
}

func newEnv(t *testing.T, opts Options) *env {
	t.Helper()
	e := &env{t: t, clock: NewManualClock(testNow), hw: &recordedHardware{}, rec: &recorder{}}
	opts.Clock, opts.Hardware = e.clock, e.hw
	sim, err := New(opts)
	require.NoError(t, err)
	server := httptest.NewServer(sim)
	t.Cleanup(func() { server.Close(); sim.Close() })
	e.sim, e.url, e.web = sim, server.URL, &http.Client{Transport: e.rec}
	e.vpc, err = vpcv1.NewVpcV1(&vpcv1.VpcV1Options{URL: server.URL + "/v1", Authenticator: &core.NoAuthAuthenticator{}})
	require.NoError(t, err)
	e.vpc.Service.SetHTTPClient(e.web)
	e.dns, err = dnssvcsv1.NewDnsSvcsV1(&dnssvcsv1.DnsSvcsV1Options{URL: server.URL + "/v1", Authenticator: &core.NoAuthAuthenticator{}})
	require.NoError(t, err)
	e.dns.Service.SetHTTPClient(e.web)
	return e
}

// settle lets everything under way come to its end.
func (e *env) settle() { e.clock.Advance(time.Minute) }

// recorder keeps the last answer's body as it was on the wire.
type recorder struct {
	mu   sync.Mutex
	body []byte
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.body = body
	r.mu.Unlock()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

func (r *recorder) last() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.body
}

// recordedHardware writes down what it is told.
type recordedHardware struct {
	mu    sync.Mutex
	log   []string
	specs []Spec
}

func (h *recordedHardware) PowerOn(s Spec) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.log, h.specs = append(h.log, "on "+s.Name), append(h.specs, s)
}

func (h *recordedHardware) PowerOff(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	name := id
	for _, s := range h.specs {
		if s.ServerID == id {
			name = s.Name
		}
	}
	h.log = append(h.log, "off "+name)
}

func (h *recordedHardware) events() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.log)
}

func (h *recordedHardware) spec() Spec {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.specs[len(h.specs)-1]
}

// The ids of the default account.
func (e *env) subnetID(name string) string {
	for id, sn := range e.sim.catalogue.subnets {
		if sn.name == name {
			return id
		}
	}
	e.t.Fatalf("no subnet %s", name)
	return ""
}

func (e *env) vpcID(name string) string {
	for id, v := range e.sim.catalogue.vpcs {
		if v.name == name {
			return id
		}
	}
	e.t.Fatalf("no VPC %s", name)
	return ""
}

func (e *env) imageID(name string) string {
	for id, img := range e.sim.catalogue.images {
		if img.name == name {
			return id
		}
	}
	e.t.Fatalf("no image %s", name)
	return ""
}

func (e *env) zoneID() string { return e.sim.catalogue.dnsZone.id }

// reserve reserves an address in the management subnet.
func (e *env) reserve(name, address string) (*vpcv1.ReservedIP, *core.DetailedResponse, error) {
	opts := e.vpc.NewCreateSubnetReservedIPOptions(e.subnetID(DefaultManagementSubnet))
	if name != "" {
		opts.Name = &name
	}
	if address != "" {
		opts.Address = &address
	}
	return e.vpc.CreateSubnetReservedIP(opts)
}

func (e *env) mustReserve(name, address string) *vpcv1.ReservedIP {
	e.t.Helper()
	ip, _, err := e.reserve(name, address)
	require.NoError(e.t, err)
	return ip
}

func (e *env) vni(name string, change ...func(*vpcv1.CreateVirtualNetworkInterfaceOptions)) (*vpcv1.VirtualNetworkInterface, *core.DetailedResponse, error) {
	opts := e.vpc.NewCreateVirtualNetworkInterfaceOptions()
	if name != "" {
		opts.Name = &name
	}
	opts.Subnet = &vpcv1.SubnetIdentity{ID: ptr(e.subnetID(DefaultManagementSubnet))}
	for _, f := range change {
		f(opts)
	}
	return e.vpc.CreateVirtualNetworkInterface(opts)
}

func (e *env) mustVNI(name string, change ...func(*vpcv1.CreateVirtualNetworkInterfaceOptions)) *vpcv1.VirtualNetworkInterface {
	e.t.Helper()
	v, _, err := e.vni(name, change...)
	require.NoError(e.t, err)
	return v
}

const testUserData = "http://127.0.0.1:8080/boot/d/locator"

type serverProto = vpcv1.BareMetalServerPrototypeBareMetalServerByNetworkAttachment

// prototype is the request for a server on an interface, as a network boot needs it.
func (e *env) prototype(name, vniID string) *serverProto {
	return &serverProto{
		Name: &name,
		Initialization: &vpcv1.BareMetalServerInitializationPrototype{
			Image: &vpcv1.ImageIdentity{ID: ptr(e.imageID(IPXEImage))}, Keys: []vpcv1.KeyIdentityIntf{}, UserData: ptr(testUserData),
		},
		Profile: &vpcv1.BareMetalServerProfileIdentity{Name: ptr("bx2d-metal-96x384")},
		Zone:    &vpcv1.ZoneIdentity{Name: ptr("us-south-1")},
		PrimaryNetworkAttachment: &vpcv1.BareMetalServerPrimaryNetworkAttachmentPrototype{
			Name: ptr("net0"), InterfaceType: ptr("pci"), AllowedVlans: []int64{},
			VirtualNetworkInterface: &vpcv1.BareMetalServerNetworkAttachmentPrototypeVirtualNetworkInterface{ID: &vniID},
		},
	}
}

func (e *env) server(name, vniID string, change ...func(*serverProto)) (*vpcv1.BareMetalServer, *core.DetailedResponse, error) {
	proto := e.prototype(name, vniID)
	for _, f := range change {
		f(proto)
	}
	return e.vpc.CreateBareMetalServer(e.vpc.NewCreateBareMetalServerOptions(proto))
}

// mustServer makes an interface and a server on it, both with the name.
func (e *env) mustServer(name string, change ...func(*serverProto)) *vpcv1.BareMetalServer {
	e.t.Helper()
	sv, _, err := e.server(name, *e.mustVNI(name).ID, change...)
	require.NoError(e.t, err)
	return sv
}

func (e *env) status(id string) string {
	e.t.Helper()
	sv, _, err := e.vpc.GetBareMetalServer(e.vpc.NewGetBareMetalServerOptions(id))
	require.NoError(e.t, err)
	return *sv.Status
}

func (e *env) stop(id, how string) (*core.DetailedResponse, error) {
	return e.vpc.StopBareMetalServer(e.vpc.NewStopBareMetalServerOptions(id, how))
}

// stopped makes a server and stops it.
func (e *env) stopped(name string) *vpcv1.BareMetalServer {
	e.t.Helper()
	sv := e.mustServer(name)
	e.settle()
	_, err := e.stop(*sv.ID, "hard")
	require.NoError(e.t, err)
	e.settle()
	require.Equal(e.t, "stopped", e.status(*sv.ID))
	return sv
}

func (e *env) record(kind, name string, rdata *dnssvcsv1.ResourceRecordInputRdata) (*dnssvcsv1.ResourceRecord, *core.DetailedResponse, error) {
	opts := e.dns.NewCreateResourceRecordOptions(DefaultDNSInstance, e.zoneID(), kind)
	opts.Name, opts.Rdata = &name, rdata
	return e.dns.CreateResourceRecord(opts)
}

// raw sends a request outside the SDK; query "" means the usual version and generation.
func (e *env) raw(method, path, query, contentType, body string) (*http.Response, []byte) {
	e.t.Helper()
	if query == "" {
		query = "version=2026-06-23&generation=2"
	}
	req, err := http.NewRequest(method, e.url+path+"?"+query, strings.NewReader(body))
	require.NoError(e.t, err)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := e.web.Do(req)
	require.NoError(e.t, err)
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	require.NoError(e.t, err)
	return resp, text
}

// errorCode is the code of the one error in an SDK response.
func errorCode(resp *core.DetailedResponse) string {
	if resp == nil {
		return ""
	}
	document, _ := resp.Result.(map[string]any)
	list, _ := document["errors"].([]any)
	if len(list) != 1 {
		return fmt.Sprintf("%d errors", len(list))
	}
	first, _ := list[0].(map[string]any)
	code, _ := first["code"].(string)
	return code
}

// refused requires a refusal with this status and code.
func refused(t *testing.T, status int, code string, resp *core.DetailedResponse, err error) {
	t.Helper()
	require.Error(t, err)
	require.NotNil(t, resp)
	require.Equal(t, status, resp.StatusCode, "%v", err)
	require.Equal(t, code, errorCode(resp), "%v", err)
	require.NotEmpty(t, resp.Headers.Get("X-Request-Id"))
}

func ptr[T any](v T) *T { return &v }
