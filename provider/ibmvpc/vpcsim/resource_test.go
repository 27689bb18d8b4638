package vpcsim

import (
	"testing"

	"github.com/IBM/go-sdk-core/v5/core"
	"github.com/IBM/vpc-go-sdk/vpcv1"
	"github.com/stretchr/testify/require"
)

// An identity may be an id, a CRN, a URL or, for keys, a fingerprint (SDK: the ...Identity types).
func TestIdentities(t *testing.T) {
	e := newEnv(t, Options{})
	v := e.mustVNI("node")
	image, _, err := e.vpc.GetImage(e.vpc.NewGetImageOptions(e.imageID(IPXEImage)))
	require.NoError(t, err)
	keys, _, err := e.vpc.ListKeys(e.vpc.NewListKeysOptions())
	require.NoError(t, err)
	sv, _, err := e.server("node", "", func(p *serverProto) {
		p.Initialization.Image = &vpcv1.ImageIdentity{CRN: image.CRN}
		p.Initialization.Keys = []vpcv1.KeyIdentityIntf{&vpcv1.KeyIdentity{Fingerprint: keys.Keys[0].Fingerprint}}
		p.Zone = &vpcv1.ZoneIdentity{Href: ptr(e.url + "/v1/regions/us-south/zones/us-south-1")}
		p.Profile = &vpcv1.BareMetalServerProfileIdentity{Href: ptr(e.url + "/v1/bare_metal_server/profiles/bx2-metal-96x384")}
		p.VPC = &vpcv1.VPCIdentity{CRN: v.VPC.CRN}
		p.ResourceGroup = &vpcv1.ResourceGroupIdentity{ID: v.ResourceGroup.ID}
		p.PrimaryNetworkAttachment.(*vpcv1.BareMetalServerPrimaryNetworkAttachmentPrototype).VirtualNetworkInterface =
			&vpcv1.BareMetalServerNetworkAttachmentPrototypeVirtualNetworkInterface{Href: v.Href}
	})
	require.NoError(t, err)
	require.Equal(t, "bx2-metal-96x384", *sv.Profile.Name)
	require.Len(t, sv.Disks, 1)
	init, _, err := e.vpc.GetBareMetalServerInitialization(e.vpc.NewGetBareMetalServerInitializationOptions(*sv.ID))
	require.NoError(t, err)
	require.Equal(t, keys.Keys[0].ID, init.Keys[0].ID)
	got, _, err := e.vpc.GetVirtualNetworkInterface(e.vpc.NewGetVirtualNetworkInterfaceOptions(*v.ID))
	require.NoError(t, err)
	target := got.Target.(*vpcv1.VirtualNetworkInterfaceTarget)
	require.Equal(t, "bare_metal_server_network_attachment", *target.ResourceType)
	require.Equal(t, sv.PrimaryNetworkAttachment.ID, target.ID)
}

// A reserved IP may be made for an interface; only then may it be deleted with it.
func TestReservedIPForAnInterface(t *testing.T) {
	e := newEnv(t, Options{})
	v, subnetID := e.mustVNI("node"), e.subnetID(DefaultManagementSubnet)
	opts := e.vpc.NewCreateSubnetReservedIPOptions(subnetID).SetName("second").SetAutoDelete(true)
	ip, _, err := e.vpc.CreateSubnetReservedIP(opts.SetTarget(&vpcv1.ReservedIPTargetPrototypeVirtualNetworkInterfaceIdentity{ID: v.ID}))
	require.NoError(t, err)
	require.Equal(t, v.ID, ip.Target.(*vpcv1.ReservedIPTarget).ID)
	bound, _, err := e.vpc.ListSubnetReservedIps(e.vpc.NewListSubnetReservedIpsOptions(subnetID).SetTargetID(*v.ID).
		SetTargetName("node").SetTargetResourceType("virtual_network_interface").SetTargetCRN(*v.CRN))
	require.NoError(t, err)
	require.Len(t, bound.ReservedIps, 2)
	_, err = e.vpc.RemoveVirtualNetworkInterfaceIP(e.vpc.NewRemoveVirtualNetworkInterfaceIPOptions(*v.ID, *ip.ID))
	require.NoError(t, err)
	_, resp, err := e.vpc.GetSubnetReservedIP(e.vpc.NewGetSubnetReservedIPOptions(subnetID, *ip.ID))
	refused(t, 404, codeNotFound, resp, err)
}

// The address that the provider chooses reads 0.0.0.0 until it is chosen (SDK: ReservedIP.address).
func TestChosenAddressIsHiddenWhilePending(t *testing.T) {
	e := newEnv(t, Options{})
	v := e.mustVNI("node")
	require.Equal(t, "pending", *v.LifecycleState)
	require.Equal(t, "0.0.0.0", *v.PrimaryIP.Address)
	e.settle()
	v, _, err := e.vpc.GetVirtualNetworkInterface(e.vpc.NewGetVirtualNetworkInterfaceOptions(*v.ID))
	require.NoError(t, err)
	require.Equal(t, "stable", *v.LifecycleState)
	require.Equal(t, "127.64.0.4", *v.PrimaryIP.Address)
}

func TestFreedAddressesAndNamesAreTakenAgain(t *testing.T) {
	e := newEnv(t, Options{})
	subnetID := e.subnetID(DefaultManagementSubnet)
	reserve := func(name string) *vpcv1.ReservedIP {
		ip, _, err := e.vpc.CreateSubnetReservedIP(e.vpc.NewCreateSubnetReservedIPOptions(subnetID).SetName(name))
		require.NoError(t, err)
		return ip
	}
	first, second := reserve("a"), reserve("b")
	_, resp, err := e.vpc.CreateSubnetReservedIP(e.vpc.NewCreateSubnetReservedIPOptions(subnetID).SetName("a"))
	require.Error(t, err)
	require.Equal(t, 400, resp.StatusCode, "%s", resp)
	patch, err := (&vpcv1.ReservedIPPatch{Name: core.StringPtr("c")}).AsPatch()
	require.NoError(t, err)
	_, _, err = e.vpc.UpdateSubnetReservedIP(e.vpc.NewUpdateSubnetReservedIPOptions(subnetID, *second.ID, patch))
	require.NoError(t, err)
	third := reserve("b")
	_, err = e.vpc.DeleteSubnetReservedIP(e.vpc.NewDeleteSubnetReservedIPOptions(subnetID, *first.ID))
	require.NoError(t, err)
	again := reserve("a")
	require.Equal(t, *first.Address, *again.Address, "the lowest that is free")
	require.NotEqual(t, *third.Address, *reserve("d").Address)
}

// A subnet of 8 addresses has three for the user.
func TestSubnetRunsOut(t *testing.T) {
	e := newEnv(t, Options{Subnets: []SubnetConfig{{Name: DefaultManagementSubnet, CIDR: "127.64.9.8/29"}}})
	for range 3 {
		e.mustReserve("", "")
	}
	_, resp, err := e.reserve("", "")
	refused(t, 409, "insufficient_ips", resp, err)
}

func TestPatchRules(t *testing.T) {
	patchIP := func(e *env, id string, patch map[string]any) (*core.DetailedResponse, error) {
		_, r, err := e.vpc.UpdateSubnetReservedIP(e.vpc.NewUpdateSubnetReservedIPOptions(e.subnetID(DefaultManagementSubnet), id, patch))
		return r, err
	}
	patchVNI := func(patch map[string]any) func(*env) (*core.DetailedResponse, error) {
		return func(e *env) (*core.DetailedResponse, error) {
			e.mustVNI("taken")
			_, r, err := e.vpc.UpdateVirtualNetworkInterface(e.vpc.NewUpdateVirtualNetworkInterfaceOptions(*e.mustVNI("a").ID, patch))
			return r, err
		}
	}
	patchServer := func(patch map[string]any) func(*env) (*core.DetailedResponse, error) {
		return func(e *env) (*core.DetailedResponse, error) {
			e.mustServer("taken")
			_, r, err := e.vpc.UpdateBareMetalServer(e.vpc.NewUpdateBareMetalServerOptions(*e.stopped("a").ID, patch))
			return r, err
		}
	}
	runRules(t, []rule{
		{"a reserved IP's new name is unique", "SDK: ReservedIPPatch.Name", 400, codeUniqueFailed,
			func(e *env) (*core.DetailedResponse, error) {
				e.mustReserve("taken", "")
				return patchIP(e, *e.mustReserve("a", "").ID, map[string]any{"name": "taken"})
			}},
		{"an unbound reserved IP cannot be made to auto-delete", "SDK: ReservedIPPatch.AutoDelete", 400, codeBadField,
			func(e *env) (*core.DetailedResponse, error) {
				return patchIP(e, *e.mustReserve("a", "").ID, map[string]any{"auto_delete": true})
			}},
		{"the provider's reserved IP cannot be updated", "SDK: UpdateSubnetReservedIP", 400, codeBadField,
			func(e *env) (*core.DetailedResponse, error) {
				list, _, err := e.vpc.ListSubnetReservedIps(e.vpc.NewListSubnetReservedIpsOptions(e.subnetID(DefaultManagementSubnet)))
				require.NoError(e.t, err)
				return patchIP(e, *list.ReservedIps[0].ID, map[string]any{"name": "mine"})
			}},
		{"an interface's new name is unique", "SDK: VirtualNetworkInterfacePatch.Name", 400, codeUniqueFailed, patchVNI(map[string]any{"name": "taken"})},
		{"an unbound interface cannot be made to auto-delete", "SDK: VirtualNetworkInterfacePatch.AutoDelete", 400, codeBadField, patchVNI(map[string]any{"auto_delete": true})},
		{"a filtering mode is one of three", "SDK: enumeration", 400, codeBadField, patchVNI(map[string]any{"protocol_state_filtering_mode": "maybe"})},
		{"a server's new name is unique", "SDK: BareMetalServer.Name", 400, codeUniqueFailed, patchServer(map[string]any{"name": "taken"})},
		{"a server's new name is valid", "SDK: names", 400, codeInvalidName, patchServer(map[string]any{"name": "Not Valid"})},
		{"a TPM mode is the profile's", "SDK: supported_modes", 400, codeBadField, patchServer(map[string]any{"trusted_platform_module": map[string]any{"mode": "tpm_3"}})},
		{"a policy is one of three", "SDK: enumeration", 400, codeBadField, patchServer(map[string]any{"reservation_affinity": map[string]any{"policy": "maybe"}})},
		{"a metadata protocol is one of two", "SDK: enumeration", 400, codeBadField, patchServer(map[string]any{"metadata_service": map[string]any{"protocol": "ftp"}})},
	})
}

func TestAttachmentRules(t *testing.T) {
	e := newEnv(t, Options{})
	tr := &tour{env: e}
	sv := e.mustServer("node", func(p *serverProto) {
		p.PrimaryNetworkAttachment.(*vpcv1.BareMetalServerPrimaryNetworkAttachmentPrototype).AllowedVlans = []int64{7, 9}
	})
	e.settle()
	attach := func(change func(*vpcv1.BareMetalServerNetworkAttachmentPrototype)) (*core.DetailedResponse, error) {
		p := tr.attachment("vlan", "")
		p.Name = nil
		change(p)
		_, r, err := e.vpc.CreateBareMetalServerNetworkAttachment(e.vpc.NewCreateBareMetalServerNetworkAttachmentOptions(*sv.ID, p))
		return r, err
	}
	_, err := attach(func(*vpcv1.BareMetalServerNetworkAttachmentPrototype) {})
	require.NoError(t, err, "VLAN attachments are made while the server runs")
	resp, err := attach(func(p *vpcv1.BareMetalServerNetworkAttachmentPrototype) {
		p.VirtualNetworkInterface = &vpcv1.BareMetalServerNetworkAttachmentPrototypeVirtualNetworkInterface{
			Subnet: &vpcv1.SubnetIdentity{ID: ptr(e.subnetID(DefaultManagementSubnet))},
		}
	})
	refused(t, 400, codeBadField, resp, err) // one VLAN id means one subnet within a server
	require.Equal(t, 2, e.sim.State().VNIs, "the refused attachment's interface is gone")
	for _, wrong := range []int64{0, 4095} {
		resp, err = attach(func(p *vpcv1.BareMetalServerNetworkAttachmentPrototype) { p.Vlan = &wrong })
		refused(t, 400, codeBadField, resp, err)
	}
	resp, err = attach(func(p *vpcv1.BareMetalServerNetworkAttachmentPrototype) { p.Vlan = nil })
	refused(t, 400, codeRequiredField, resp, err)
	resp, err = attach(func(p *vpcv1.BareMetalServerNetworkAttachmentPrototype) { p.Name = ptr("net0") })
	refused(t, 400, codeUniqueFailed, resp, err) // names are unique within the server
	patch := func(vlans ...int) (*core.DetailedResponse, error) {
		_, r, err := e.vpc.UpdateBareMetalServerNetworkAttachment(e.vpc.NewUpdateBareMetalServerNetworkAttachmentOptions(*sv.ID,
			*sv.PrimaryNetworkAttachment.ID, map[string]any{"allowed_vlans": vlans}))
		return r, err
	}
	resp, err = patch(9)
	refused(t, 409, codeInvalidState, resp, err) // VLAN 7 is in use
	_, err = patch(7)
	require.NoError(t, err)
}

func TestSecurityGroupsAndKeys(t *testing.T) {
	vpcOf := func(e *env) *vpcv1.VPCIdentity { return &vpcv1.VPCIdentity{ID: ptr(e.vpcID(DefaultVPC))} }
	group := func(change func(*vpcv1.CreateSecurityGroupOptions)) func(*env) (*core.DetailedResponse, error) {
		return func(e *env) (*core.DetailedResponse, error) {
			opts := e.vpc.NewCreateSecurityGroupOptions(vpcOf(e))
			change(opts)
			_, r, err := e.vpc.CreateSecurityGroup(opts)
			return r, err
		}
	}
	withRule := func(r vpcv1.SecurityGroupRulePrototype) func(*env) (*core.DetailedResponse, error) {
		return group(func(o *vpcv1.CreateSecurityGroupOptions) { o.Rules = []vpcv1.SecurityGroupRulePrototypeIntf{&r} })
	}
	key := func(text, name string) func(*env) (*core.DetailedResponse, error) {
		return func(e *env) (*core.DetailedResponse, error) {
			_, _, err := e.vpc.CreateKey(e.vpc.NewCreateKeyOptions(secondKey).SetName("second"))
			require.NoError(e.t, err)
			_, r, err := e.vpc.CreateKey(e.vpc.NewCreateKeyOptions(text).SetName(name))
			return r, err
		}
	}
	const dsa = "ssh-dss AAAAB3NzaC1kc3MAAAAJAIG8eP"
	runRules(t, []rule{
		{"group names are unique in the VPC", "SDK: security groups", 400, codeUniqueFailed,
			group(func(o *vpcv1.CreateSecurityGroupOptions) { o.Name = ptr(DefaultSecurityGroup) })},
		{"the VPC exists", "inferred", 404, codeNotFound,
			group(func(o *vpcv1.CreateSecurityGroupOptions) { o.VPC = &vpcv1.VPCIdentity{ID: ptr("r006-none")} })},
		{"a direction is one of two", "SDK: enumeration", 400, codeBadField, withRule(vpcv1.SecurityGroupRulePrototype{Direction: ptr("up"), Protocol: ptr("any")})},
		{"ports come in pairs", "SDK: port_max must be given with port_min", 400, codeBadField,
			withRule(vpcv1.SecurityGroupRulePrototype{Direction: ptr("inbound"), Protocol: ptr("tcp"), PortMin: ptr[int64](1)})},
		{"other protocols are not simulated", "this simulator", 501, codeNotSimulated, withRule(vpcv1.SecurityGroupRulePrototype{Direction: ptr("inbound"), Protocol: ptr("gre")})},
		{"a remote block is one", "SDK: CIDR block", 400, codeBadField, withRule(vpcv1.SecurityGroupRulePrototype{
			Direction: ptr("inbound"), Protocol: ptr("any"), Remote: &vpcv1.SecurityGroupRuleRemotePrototype{CIDRBlock: ptr("10.0.0.0")}})},
		{"a remote group exists", "inferred", 404, codeNotFound, withRule(vpcv1.SecurityGroupRulePrototype{
			Direction: ptr("inbound"), Protocol: ptr("any"), Remote: &vpcv1.SecurityGroupRuleRemotePrototype{ID: ptr("r006-none")}})},
		{"a key is imported once", "docs: a key's fingerprint is unique in the region", 400, codeUniqueFailed, key(secondKey, "other")},
		{"key names are unique in the region", "SDK: CreateKeyOptions.Name", 400, codeUniqueFailed, key(demoPublicKey()+"x", "second")},
		{"a key is a key", "SDK: CreateKeyOptions.PublicKey", 400, codeBadField, key(dsa, "dsa")},
	})
}

// An interface shows up as a target of its security groups.
func TestSecurityGroupTargets(t *testing.T) {
	e := newEnv(t, Options{})
	groups, _, err := e.vpc.ListSecurityGroups(e.vpc.NewListSecurityGroupsOptions())
	require.NoError(t, err)
	nodes := groups.SecurityGroups[1]
	v := e.mustVNI("node", func(o *vniOptions) {
		o.SecurityGroups = []vpcv1.SecurityGroupIdentityIntf{&vpcv1.SecurityGroupIdentity{ID: nodes.ID}}
	})
	require.Equal(t, DefaultSecurityGroup, *v.SecurityGroups[0].Name)
	tr := &tour{env: e, statuses: map[string]int{}}
	got := get(tr, "GetSecurityGroup", e.vpc.GetSecurityGroup, e.vpc.NewGetSecurityGroupOptions(*nodes.ID))
	require.Len(t, got.Targets, 1)
	require.Equal(t, v.ID, got.Targets[0].(*vpcv1.SecurityGroupTargetReference).ID)
}
