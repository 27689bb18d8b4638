package vpcsim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/IBM/go-sdk-core/v5/core"
	"github.com/IBM/vpc-go-sdk/vpcv1"
	"github.com/stretchr/testify/require"
)

// rule is one refusal that IBM documents (or that is inferred, where the source says so).
type rule struct {
	name   string
	source string
	status int
	code   string
	do     func(*env) (*core.DetailedResponse, error)
}

func runRules(t *testing.T, rules []rule) {
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			e := newEnv(t, Options{})
			resp, err := r.do(e)
			t.Log("source: " + r.source)
			refused(t, r.status, r.code, resp, err)
			require.Zero(t, e.sim.State().ServersCreated-len(e.sim.State().Servers), "a refusal must leave nothing half made")
		})
	}
}

type (
	vniOptions  = vpcv1.CreateVirtualNetworkInterfaceOptions
	primaryIP   = vpcv1.VirtualNetworkInterfacePrimaryIPPrototype
	secondaryIP = vpcv1.VirtualNetworkInterfaceIPPrototype
)

func primary(p primaryIP) func(*vniOptions) { return func(o *vniOptions) { o.PrimaryIP = &p } }

func TestAddressRules(t *testing.T) {
	runRules(t, []rule{
		{"the provider owns five addresses", "SDK: address must not already be reserved; docs: five reserved addresses", 409, codeAddressReserved,
			func(e *env) (*core.DetailedResponse, error) { _, r, err := e.reserve("a", "127.64.0.3"); return r, err }},
		{"the last address is the provider's", "docs: five reserved addresses", 409, codeAddressReserved,
			func(e *env) (*core.DetailedResponse, error) {
				_, r, err := e.reserve("a", "127.64.0.255")
				return r, err
			}},
		{"an address is reserved once", "SDK: address must not already be reserved on the subnet", 409, codeAddressReserved,
			func(e *env) (*core.DetailedResponse, error) {
				e.mustReserve("a", "127.64.0.10")
				_, r, err := e.reserve("b", "127.64.0.10")
				return r, err
			}},
		{"an address lies in its subnet", "SDK: the IP address to reserve on the subnet", 400, codeBadField,
			func(e *env) (*core.DetailedResponse, error) {
				_, r, err := e.reserve("a", "127.64.1.10")
				return r, err
			}},
		{"reserved IP names are unique in the subnet", "SDK: CreateSubnetReservedIPOptions.Name", 400, codeUniqueFailed,
			func(e *env) (*core.DetailedResponse, error) {
				e.mustReserve("a", "")
				_, r, err := e.reserve("a", "")
				return r, err
			}},
		{"ibm- is the provider's prefix", "SDK: names starting with ibm- are not allowed", 400, codeInvalidName,
			func(e *env) (*core.DetailedResponse, error) { _, r, err := e.reserve("ibm-node", ""); return r, err }},
		{"an unbound reserved IP cannot auto-delete", "SDK: must be false if the reserved IP is unbound", 400, codeBadField,
			func(e *env) (*core.DetailedResponse, error) {
				_, r, err := e.vpc.CreateSubnetReservedIP(e.vpc.NewCreateSubnetReservedIPOptions(e.subnetID(DefaultManagementSubnet)).SetAutoDelete(true))
				return r, err
			}},
		{"the reserved IP of an interface cannot be deleted", "SDK: DeleteSubnetReservedIP", 409, codeReservedIPInUse,
			func(e *env) (*core.DetailedResponse, error) {
				ip := e.mustReserve("a", "")
				e.mustVNI("a", primary(primaryIP{ID: ip.ID}))
				return e.vpc.DeleteSubnetReservedIP(e.vpc.NewDeleteSubnetReservedIPOptions(e.subnetID(DefaultManagementSubnet), *ip.ID))
			}},
		{"the provider's reserved IP cannot be deleted", "SDK: DeleteSubnetReservedIP", 400, codeBadField,
			func(e *env) (*core.DetailedResponse, error) {
				list, _, err := e.vpc.ListSubnetReservedIps(e.vpc.NewListSubnetReservedIpsOptions(e.subnetID(DefaultManagementSubnet)))
				require.NoError(e.t, err)
				return e.vpc.DeleteSubnetReservedIP(e.vpc.NewDeleteSubnetReservedIPOptions(e.subnetID(DefaultManagementSubnet), *list.ReservedIps[0].ID))
			}},
		{"a reserved IP of another subnet is not found", "inferred: ids are looked up below their subnet", 404, codeNotFound,
			func(e *env) (*core.DetailedResponse, error) {
				ip := e.mustReserve("a", "")
				_, r, err := e.vpc.GetSubnetReservedIP(e.vpc.NewGetSubnetReservedIPOptions(e.subnetID(DefaultWorkloadSubnet), *ip.ID))
				return r, err
			}},
	})
}

func TestInterfaceRules(t *testing.T) {
	attempt := func(change ...func(*vniOptions)) func(*env) (*core.DetailedResponse, error) {
		return func(e *env) (*core.DetailedResponse, error) { _, r, err := e.vni("a", change...); return r, err }
	}
	runRules(t, []rule{
		{"interface names are unique in the VPC", "SDK: CreateVirtualNetworkInterfaceOptions.Name", 400, codeUniqueFailed,
			func(e *env) (*core.DetailedResponse, error) { e.mustVNI("a"); return attempt()(e) }},
		{"a standalone interface cannot auto-delete", "SDK: must be false if the interface is unbound", 400, codeBadField,
			attempt(func(o *vniOptions) { o.AutoDelete = ptr(true) })},
		{"a subnet or a reserved IP is needed", "SDK: required if primary_ip does not specify a reserved IP identity", 400, codeRequiredField,
			attempt(func(o *vniOptions) { o.Subnet = nil })},
		{"no spoofing without infrastructure NAT", "SDK: if false, allow_ip_spoofing must be false", 400, codeBadField,
			attempt(func(o *vniOptions) { o.AllowIPSpoofing, o.EnableInfrastructureNat = ptr(true), ptr(false) })},
		{"eight addresses an interface", "docs: quotas", 400, codeOverQuota,
			attempt(func(o *vniOptions) {
				for range 8 {
					o.Ips = append(o.Ips, &secondaryIP{AutoDelete: ptr(true)})
				}
			})},
		{"a reserved IP is bound once", "SDK: the specified reserved IP must be unbound", 409, codeReservedIPInUse,
			func(e *env) (*core.DetailedResponse, error) {
				ip := e.mustReserve("a", "")
				e.mustVNI("b", primary(primaryIP{ID: ip.ID}))
				return attempt(primary(primaryIP{ID: ip.ID}))(e)
			}},
		{"five security groups a target", "docs: quotas", 400, codeOverQuota,
			attempt(func(o *vniOptions) {
				for range 6 {
					o.SecurityGroups = append(o.SecurityGroups, &vpcv1.SecurityGroupIdentity{ID: ptr("r006-x")})
				}
			})},
		{"a bound interface cannot be deleted", "SDK: DeleteVirtualNetworkInterfaces; status inferred", 409, codeVNIInUse,
			func(e *env) (*core.DetailedResponse, error) {
				v := e.mustVNI("a")
				_, _, err := e.server("a", *v.ID)
				require.NoError(e.t, err)
				_, r, err := e.vpc.DeleteVirtualNetworkInterfaces(e.vpc.NewDeleteVirtualNetworkInterfacesOptions(*v.ID))
				return r, err
			}},
		{"If-Match must match", "SDK: If-Match on VNI delete; status inferred", 412, codePrecondition,
			func(e *env) (*core.DetailedResponse, error) {
				v := e.mustVNI("a")
				_, r, err := e.vpc.DeleteVirtualNetworkInterfaces(e.vpc.NewDeleteVirtualNetworkInterfacesOptions(*v.ID).SetIfMatch(`W/"old"`))
				return r, err
			}},
		{"the primary IP cannot be unbound", "SDK: RemoveVirtualNetworkInterfaceIP", 409, codeReservedIPInUse,
			func(e *env) (*core.DetailedResponse, error) {
				v := e.mustVNI("a")
				return e.vpc.RemoveVirtualNetworkInterfaceIP(e.vpc.NewRemoveVirtualNetworkInterfaceIPOptions(*v.ID, *v.PrimaryIP.ID))
			}},
		{"a secondary IP is in the primary's subnet", "SDK: AddVirtualNetworkInterfaceIP", 400, codeBadField,
			func(e *env) (*core.DetailedResponse, error) {
				v := e.mustVNI("a")
				other, _, err := e.vpc.CreateSubnetReservedIP(e.vpc.NewCreateSubnetReservedIPOptions(e.subnetID(DefaultWorkloadSubnet)))
				require.NoError(e.t, err)
				_, r, err := e.vpc.AddVirtualNetworkInterfaceIP(e.vpc.NewAddVirtualNetworkInterfaceIPOptions(*v.ID, *other.ID))
				return r, err
			}},
	})
}

func serverAttempt(change func(*serverProto)) func(*env) (*core.DetailedResponse, error) {
	return func(e *env) (*core.DetailedResponse, error) {
		_, r, err := e.server("node", *e.mustVNI("node").ID, change)
		return r, err
	}
}

func TestServerPrototypeRules(t *testing.T) {
	runRules(t, []rule{
		{"server names are unique in the region", "SDK: name must not be used by another server in the region; code from a user's issue", 400, codeUniqueFailed,
			func(e *env) (*core.DetailedResponse, error) {
				e.mustServer("node")
				_, r, err := e.server("node", *e.mustVNI("other").ID)
				return r, err
			}},
		{"an interface has one target", "docs: one VNI has at most one target; status inferred", 409, codeVNIInUse,
			func(e *env) (*core.DetailedResponse, error) {
				v := e.mustVNI("a")
				_, _, err := e.server("a", *v.ID)
				require.NoError(e.t, err)
				_, r, err := e.server("b", *v.ID)
				return r, err
			}},
		{"the zone exists", "error page: invalid_zone", 400, codeInvalidZone,
			serverAttempt(func(p *serverProto) { p.Zone = &vpcv1.ZoneIdentity{Name: ptr("us-south-9")} })},
		{"the profile exists", "inferred", 404, codeNotFound,
			serverAttempt(func(p *serverProto) {
				p.Profile = &vpcv1.BareMetalServerProfileIdentity{Name: ptr("bx2d-metal-48x192")}
			})},
		{"the image exists", "inferred", 404, codeNotFound,
			serverAttempt(func(p *serverProto) { p.Initialization.Image = &vpcv1.ImageIdentity{ID: ptr("r006-none")} })},
		{"the image allows bare metal", "SDK: properties must adhere to allowed_use", 400, codeBadField,
			func(e *env) (*core.DetailedResponse, error) {
				id := e.imageID("ibm-fedora-coreos-41-amd64-3")
				return serverAttempt(func(p *serverProto) { p.Initialization.Image = &vpcv1.ImageIdentity{ID: &id} })(e)
			}},
		{"the key exists", "inferred", 404, codeNotFound,
			serverAttempt(func(p *serverProto) {
				p.Initialization.Keys = []vpcv1.KeyIdentityIntf{&vpcv1.KeyIdentity{ID: ptr("r006-none")}}
			})},
		{"user data has 64 KB at most", "docs: network boot", 400, codeBadField,
			serverAttempt(func(p *serverProto) { p.Initialization.UserData = ptr("#!ipxe\n" + strings.Repeat("a", 64<<10)) })},
		{"user data is a URL or an iPXE script", "docs: network boot; the refusal is inferred", 400, codeBadField,
			serverAttempt(func(p *serverProto) { p.Initialization.UserData = ptr("#cloud-config\n") })},
		{"the bandwidth is one of the profile's", "SDK: must match one of the profile's values", 400, codeBadField,
			serverAttempt(func(p *serverProto) { p.Bandwidth = ptr[int64](12345) })},
		{"generation 3 keeps its TPM", "docs: tpm_2 and cannot be disabled", 400, codeBadField,
			serverAttempt(func(p *serverProto) {
				p.Profile = &vpcv1.BareMetalServerProfileIdentity{Name: ptr("mx3d-metal-96x1024")}
				p.TrustedPlatformModule = &vpcv1.BareMetalServerTrustedPlatformModulePrototype{Mode: ptr("disabled")}
			})},
		{"the VPC is that of the subnets", "SDK: if specified, it must match the VPC for the subnets", 404, codeNotFound,
			serverAttempt(func(p *serverProto) { p.VPC = &vpcv1.VPCIdentity{ID: ptr("r006-none")} })},
		{"only the account's resource group", "inferred", 404, codeNotFound,
			serverAttempt(func(p *serverProto) { p.ResourceGroup = &vpcv1.ResourceGroupIdentity{ID: ptr("none")} })},
		{"the primary attachment is PCI", "SDK: primary network attachment prototype", 400, codeBadField,
			serverAttempt(func(p *serverProto) {
				p.PrimaryNetworkAttachment.(*vpcv1.BareMetalServerPrimaryNetworkAttachmentPrototype).InterfaceType = ptr("vlan")
			})},
		{"the older network interfaces are not simulated", "this simulator", 501, codeNotSimulated,
			func(e *env) (*core.DetailedResponse, error) {
				_, r, err := e.vpc.CreateBareMetalServer(e.vpc.NewCreateBareMetalServerOptions(&vpcv1.BareMetalServerPrototypeBareMetalServerByNetworkInterface{
					Initialization: e.prototype("x", "y").Initialization, Profile: e.prototype("x", "y").Profile, Zone: e.prototype("x", "y").Zone,
					PrimaryNetworkInterface: &vpcv1.BareMetalServerPrimaryNetworkInterfacePrototype{Subnet: &vpcv1.SubnetIdentity{ID: ptr("z")}},
				}))
				return r, err
			}},
	})
}

// A refused create must take back everything, the interface that it made inline included.
func TestRefusedCreateLeavesNothing(t *testing.T) {
	e := newEnv(t, Options{})
	e.mustServer("taken")
	before := e.sim.State()
	inline := func(name string) func(*serverProto) {
		return func(p *serverProto) {
			p.PrimaryNetworkAttachment = &vpcv1.BareMetalServerPrimaryNetworkAttachmentPrototype{
				VirtualNetworkInterface: &vpcv1.BareMetalServerNetworkAttachmentPrototypeVirtualNetworkInterface{
					Name: &name, Subnet: &vpcv1.SubnetIdentity{ID: ptr(e.subnetID(DefaultManagementSubnet))},
				},
			}
			vlan := &vpcv1.BareMetalServerNetworkAttachmentPrototype{ // refused: no PCI attachment allows VLAN 5
				InterfaceType: ptr("vlan"), Vlan: ptr[int64](5),
				VirtualNetworkInterface: &vpcv1.BareMetalServerNetworkAttachmentPrototypeVirtualNetworkInterface{
					Subnet: &vpcv1.SubnetIdentity{ID: ptr(e.subnetID(DefaultWorkloadSubnet))},
				},
			}
			p.NetworkAttachments = []vpcv1.BareMetalServerNetworkAttachmentPrototypeIntf{vlan}
		}
	}
	_, resp, err := e.server("fresh", "", inline("fresh"))
	refused(t, 400, codeBadField, resp, err)
	after := e.sim.State()
	require.Equal(t, before.VNIs, after.VNIs)
	require.Equal(t, before.VNIsCreated, after.VNIsCreated)
	require.Equal(t, before.ReservedIPs, after.ReservedIPs)
	require.Equal(t, before.ReservedIPsCreated, after.ReservedIPsCreated)
	require.Equal(t, before.ServersCreated, after.ServersCreated)
	e.mustVNI("fresh") // the name is free
}

func TestServerStatusRules(t *testing.T) {
	running := func(e *env) string {
		sv := e.mustServer("node")
		e.settle()
		return *sv.ID
	}
	attach := func(e *env, id, kind string) (*core.DetailedResponse, error) {
		tr := &tour{env: e}
		_, r, err := e.vpc.CreateBareMetalServerNetworkAttachment(e.vpc.NewCreateBareMetalServerNetworkAttachmentOptions(id, tr.attachment(kind, "more")))
		return r, err
	}
	runRules(t, []rule{
		{"delete needs a stopped server", "docs: the server must be powered off; code: users' issues", 409, codeServerStatus,
			func(e *env) (*core.DetailedResponse, error) {
				return e.vpc.DeleteBareMetalServer(e.vpc.NewDeleteBareMetalServerOptions(running(e)))
			}},
		{"delete is refused while pending", "docs: the server must be powered off", 409, codeServerStatus,
			func(e *env) (*core.DetailedResponse, error) {
				return e.vpc.DeleteBareMetalServer(e.vpc.NewDeleteBareMetalServerOptions(*e.mustServer("node").ID))
			}},
		{"start needs a stopped server", "SDK: it will run immediately provided the server is stopped", 409, codeServerStatus,
			func(e *env) (*core.DetailedResponse, error) {
				return e.vpc.StartBareMetalServer(e.vpc.NewStartBareMetalServerOptions(running(e)))
			}},
		{"stop needs a running server", "SDK: it will run immediately provided the server is running", 409, codeServerStatus,
			func(e *env) (*core.DetailedResponse, error) { return e.stop(*e.stopped("node").ID, "hard") }},
		{"restart needs a running server", "SDK: restart", 409, codeServerStatus,
			func(e *env) (*core.DetailedResponse, error) {
				return e.vpc.RestartBareMetalServer(e.vpc.NewRestartBareMetalServerOptions(*e.stopped("node").ID))
			}},
		{"reinitialize needs a stopped server", "SDK: the server must be stopped", 409, codeServerStatus,
			func(e *env) (*core.DetailedResponse, error) {
				_, r, err := e.reinitialize(running(e))
				return r, err
			}},
		{"a start during reinitialization is refused", "user's log: not in the STOPPED status", 409, codeServerStatus,
			func(e *env) (*core.DetailedResponse, error) {
				id := *e.stopped("node").ID
				_, _, err := e.reinitialize(id)
				require.NoError(e.t, err)
				return e.vpc.StartBareMetalServer(e.vpc.NewStartBareMetalServerOptions(id))
			}},
		{"a PCI attachment needs a stopped server", "docs: server_status_conflict", 409, codeServerStatus,
			func(e *env) (*core.DetailedResponse, error) { return attach(e, running(e), "pci") }},
		{"a VLAN attachment needs a PCI one that allows it", "SDK: a pci device that has the vlan in allowed_vlans", 400, codeBadField,
			func(e *env) (*core.DetailedResponse, error) { return attach(e, running(e), "vlan") }},
		{"the primary attachment stays", "SDK: the primary network attachment cannot be deleted", 409, codeInvalidState,
			func(e *env) (*core.DetailedResponse, error) {
				sv := e.stopped("node")
				return e.vpc.DeleteBareMetalServerNetworkAttachment(e.vpc.NewDeleteBareMetalServerNetworkAttachmentOptions(*sv.ID, *sv.PrimaryNetworkAttachment.ID))
			}},
		{"secure boot changes while stopped", "docs: only when stopped", 409, codeServerStatus,
			func(e *env) (*core.DetailedResponse, error) {
				_, r, err := e.vpc.UpdateBareMetalServer(e.vpc.NewUpdateBareMetalServerOptions(running(e), map[string]any{"enable_secure_boot": true}))
				return r, err
			}},
		{"no console while pending", "SDK: stopped, starting, or running", 409, codeServerStatus,
			func(e *env) (*core.DetailedResponse, error) {
				_, r, err := e.vpc.CreateBareMetalServerConsoleAccessToken(e.vpc.NewCreateBareMetalServerConsoleAccessTokenOptions(*e.mustServer("node").ID, "vnc"))
				return r, err
			}},
	})
}

func (e *env) reinitialize(id string) (*vpcv1.BareMetalServerInitialization, *core.DetailedResponse, error) {
	return e.vpc.ReplaceBareMetalServerInitialization(e.vpc.NewReplaceBareMetalServerInitializationOptions(id,
		&vpcv1.ImageIdentity{ID: ptr(e.imageID(IPXEImage))}, []vpcv1.KeyIdentityIntf{}).SetUserData(testUserData + "/again"))
}

// The quota of 25 servers per account (docs: quotas).
func TestServerQuota(t *testing.T) {
	e := newEnv(t, Options{})
	for i := range maxServers {
		e.mustServer(fmt.Sprintf("node-%d", i))
	}
	_, resp, err := e.server("one-more", *e.mustVNI("one-more").ID)
	refused(t, 400, codeOverQuota, resp, err)
	require.Equal(t, maxServers, e.sim.State().ServersCreated)
}

// Every call carries version and generation, in every error the document of the API, with exactly one error.
func TestRequestRules(t *testing.T) {
	e := newEnv(t, Options{})
	for _, test := range []struct {
		name, method, path, query, contentType, body string
		status                                       int
		code                                         string
	}{
		{"no version", "GET", "/v1/vpcs", "generation=2", "", "", 400, codeMissingVersion},
		{"version is no date", "GET", "/v1/vpcs", "version=latest&generation=2", "", "", 400, codeInvalidVersion},
		{"version in the future", "GET", "/v1/vpcs", "version=2027-01-01&generation=2", "", "", 400, codeInvalidVersion},
		{"no generation", "GET", "/v1/vpcs", "version=2026-06-23", "", "", 400, codeMissingGeneration},
		{"generation 1", "GET", "/v1/vpcs", "version=2026-06-23&generation=1", "", "", 400, codeBadRequest},
		{"limit 0", "GET", "/v1/vpcs", "version=2026-06-23&generation=2&limit=0", "", "", 400, codeBadRequest},
		{"limit 101", "GET", "/v1/vpcs", "version=2026-06-23&generation=2&limit=101", "", "", 400, codeBadRequest},
		{"bad start", "GET", "/v1/vpcs", "version=2026-06-23&generation=2&start=x!", "", "", 400, codeBadRequest},
		{"unknown id", "GET", "/v1/vpcs/none", "", "", "", 404, codeNotFound},
		{"not simulated", "GET", "/v1/floating_ips", "", "", "", 501, codeNotSimulated},
		{"method not simulated", "DELETE", "/v1/vpcs/none", "", "", "", 501, codeNotSimulated},
		{"outside", "GET", "/elsewhere", "", "", "", 404, codeNotFound},
		{"no body", "POST", "/v1/bare_metal_servers", "", "application/json", "", 400, codeBadRequest},
		{"body is no JSON", "POST", "/v1/bare_metal_servers", "", "application/json", "{", 400, codeBadRequest},
		{"body is no object", "POST", "/v1/bare_metal_servers", "", "application/json", "[]", 400, codeBadRequest},
		{"wrong type", "POST", "/v1/bare_metal_servers", "", "application/json", `{"name":1}`, 400, codeBadField},
		{"empty prototype", "POST", "/v1/bare_metal_servers", "", "application/json", "{}", 400, codeRequiredField},
		{"content type", "POST", "/v1/bare_metal_servers", "", "text/plain", "{}", 415, codeBadRequest},
		{"content type of PATCH", "PATCH", "/v1/bare_metal_servers/x", "", "application/json", "{}", 415, codeBadRequest},
		{"body too large", "POST", "/v1/keys", "", "application/json", `"` + strings.Repeat("a", maxBody) + `"`, 413, codeBadRequest},
	} {
		t.Run(test.name, func(t *testing.T) {
			resp, body := e.raw(test.method, test.path, test.query, test.contentType, test.body)
			require.Equal(t, test.status, resp.StatusCode, string(body))
			var document errorDocument
			require.NoError(t, json.Unmarshal(body, &document))
			require.Len(t, document.Errors, 1)
			require.Equal(t, test.code, document.Errors[0].Code, string(body))
			require.NotEmpty(t, document.Errors[0].Message)
			require.Equal(t, document.Trace, resp.Header.Get("X-Request-Id"))
			require.Contains(t, resp.Header.Get("Content-Type"), "application/json")
		})
	}
}

// With API keys the IAM authenticator of go-sdk-core works, and nothing else does.
func TestIAM(t *testing.T) {
	e := newEnv(t, Options{APIKeys: []string{"right"}})
	_, resp, err := e.vpc.ListVpcs(e.vpc.NewListVpcsOptions())
	refused(t, http.StatusUnauthorized, codeNotAuthorized, resp, err)
	client := func(key string) *vpcv1.VpcV1 {
		service, err := vpcv1.NewVpcV1(&vpcv1.VpcV1Options{URL: e.url + "/v1", Authenticator: &core.IamAuthenticator{ApiKey: key, URL: e.url}})
		require.NoError(t, err)
		return service
	}
	_, _, err = client("right").ListVpcs(e.vpc.NewListVpcsOptions())
	require.NoError(t, err)
	_, _, err = client("wrong").ListVpcs(e.vpc.NewListVpcsOptions())
	require.ErrorContains(t, err, "API key")
	resp2, _ := e.raw("POST", "/identity/token", "", "application/x-www-form-urlencoded", "grant_type=password")
	require.Equal(t, http.StatusBadRequest, resp2.StatusCode)
}
