package vpcsim

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/IBM/go-sdk-core/v5/core"
	"github.com/IBM/networking-go-sdk/dnssvcsv1"
	"github.com/IBM/vpc-go-sdk/vpcv1"
	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/tools/present"
)

// tour calls every method of the simulator through the SDKs and holds each answer against the SDK's structs.
type tour struct {
	*env
	statuses map[string]int // by operation, as the SDK saw them
}

// check is called with the results of an SDK method that returns an object.
func check[T any](tr *tour, op string, result T, resp *core.DetailedResponse, err error) T {
	tr.t.Helper()
	require.NoError(tr.t, err, op)
	for _, problem := range conform(tr.rec.last(), result) {
		tr.t.Errorf("%s: %s", op, problem)
	}
	tr.statuses[op] = resp.StatusCode
	return result
}

// done is called with the results of an SDK method that returns nothing.
func (tr *tour) done(op string, resp *core.DetailedResponse, err error) {
	tr.t.Helper()
	require.NoError(tr.t, err, op)
	require.Empty(tr.t, tr.rec.last(), op)
	tr.statuses[op] = resp.StatusCode
}

func TestEveryMethodThroughTheSDK(t *testing.T) {
	tr := &tour{env: newEnv(t, Options{Firmware: FirmwareOptional}), statuses: map[string]int{}}
	tr.catalogue()
	tr.images()
	tr.access()
	vniID := tr.addresses()
	serverID := tr.servers(vniID)
	tr.attachments(serverID)
	tr.life(serverID)
	tr.release(serverID, vniID)
	tr.records()
	require.ElementsMatch(t, slices.Collect(maps.Keys(tr.sim.ops)), slices.Collect(maps.Keys(tr.statuses)),
		"every operation must have been called")
	t.Run("VPC fixtures", func(t *testing.T) { tr.fixtures(t, "github.com/IBM/vpc-go-sdk", "vpcv1/vpc_v1_test.go", serviceVPC) })
	t.Run("DNS fixtures", func(t *testing.T) {
		tr.fixtures(t, "github.com/IBM/networking-go-sdk", "dnssvcsv1/dns_svcs_v1_test.go", serviceDNS)
	})
}

// get calls an SDK method with its options and checks the answer.
func get[O, R any](tr *tour, op string, method func(O) (R, *core.DetailedResponse, error), opts O) R {
	tr.t.Helper()
	result, resp, err := method(opts)
	return check(tr, op, result, resp, err)
}

func (tr *tour) catalogue() {
	v := tr.vpc
	regions := get(tr, "ListRegions", v.ListRegions, v.NewListRegionsOptions())
	require.Len(tr.t, regions.Regions, 1)
	get(tr, "GetRegion", v.GetRegion, v.NewGetRegionOptions("us-south"))
	get(tr, "ListRegionZones", v.ListRegionZones, v.NewListRegionZonesOptions("us-south"))
	get(tr, "GetRegionZone", v.GetRegionZone, v.NewGetRegionZoneOptions("us-south", "us-south-1"))
	vpcs := get(tr, "ListVpcs", v.ListVpcs, v.NewListVpcsOptions())
	get(tr, "GetVPC", v.GetVPC, v.NewGetVPCOptions(*vpcs.Vpcs[0].ID))
	subnets := get(tr, "ListSubnets", v.ListSubnets, v.NewListSubnetsOptions().SetVPCName(DefaultVPC))
	require.Len(tr.t, subnets.Subnets, 2)
	one := get(tr, "GetSubnet", v.GetSubnet, v.NewGetSubnetOptions(*subnets.Subnets[0].ID))
	require.EqualValues(tr.t, 256-5, *one.AvailableIpv4AddressCount)
	profiles := get(tr, "ListBareMetalServerProfiles", v.ListBareMetalServerProfiles, v.NewListBareMetalServerProfilesOptions())
	require.Len(tr.t, profiles.Profiles, len(profileNames))
	get(tr, "GetBareMetalServerProfile", v.GetBareMetalServerProfile, v.NewGetBareMetalServerProfileOptions("mx3d-metal-96x1024"))
}

func (tr *tour) images() {
	v := tr.vpc
	all := get(tr, "ListImages", v.ListImages, v.NewListImagesOptions())
	require.Greater(tr.t, *all.TotalCount, int64(50))
	require.NotNil(tr.t, all.Next)
	require.False(tr.t, slices.ContainsFunc(all.Images, func(i vpcv1.Image) bool { return *i.UserDataFormat == "ipxe" }),
		"the first page must not hold the image for network boot, or nobody needs the filter")
	found := get(tr, "ListImages", v.ListImages, v.NewListImagesOptions().SetUserDataFormat([]string{"ipxe"}).
		SetStatus([]string{"available", "deprecated"}).SetVisibility("public"))
	require.Len(tr.t, found.Images, 2)
	named := get(tr, "ListImages", v.ListImages, v.NewListImagesOptions().SetName(IPXEImage))
	require.Len(tr.t, named.Images, 1)
	get(tr, "GetImage", v.GetImage, v.NewGetImageOptions(*named.Images[0].ID))
	get(tr, "ListImageBareMetalServerProfiles", v.ListImageBareMetalServerProfiles, v.NewListImageBareMetalServerProfilesOptions(*named.Images[0].ID))
	systems := get(tr, "ListOperatingSystems", v.ListOperatingSystems, v.NewListOperatingSystemsOptions())
	get(tr, "GetOperatingSystem", v.GetOperatingSystem, v.NewGetOperatingSystemOptions(*systems.OperatingSystems[0].Name))
}

const secondKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ second"

func (tr *tour) access() {
	v := tr.vpc
	groups := get(tr, "ListSecurityGroups", v.ListSecurityGroups, v.NewListSecurityGroupsOptions())
	require.Len(tr.t, groups.SecurityGroups, 2)
	get(tr, "GetSecurityGroup", v.GetSecurityGroup, v.NewGetSecurityGroupOptions(*groups.SecurityGroups[0].ID))
	rule := &vpcv1.SecurityGroupRulePrototype{
		Direction: ptr("inbound"), Protocol: ptr("tcp"), PortMin: ptr[int64](22), PortMax: ptr[int64](22),
		Remote: &vpcv1.SecurityGroupRuleRemotePrototype{ID: groups.SecurityGroups[0].ID},
	}
	group := get(tr, "CreateSecurityGroup", v.CreateSecurityGroup, v.NewCreateSecurityGroupOptions(
		&vpcv1.VPCIdentity{ID: groups.SecurityGroups[0].VPC.ID}).SetName("ssh").SetRules([]vpcv1.SecurityGroupRulePrototypeIntf{rule}))
	require.Len(tr.t, group.Rules, 1)
	keys := get(tr, "ListKeys", v.ListKeys, v.NewListKeysOptions())
	require.Len(tr.t, keys.Keys, 1)
	key := get(tr, "CreateKey", v.CreateKey, v.NewCreateKeyOptions(secondKey).SetName("second").SetType("ed25519"))
	get(tr, "GetKey", v.GetKey, v.NewGetKeyOptions(*key.ID))
	resp, err := v.DeleteKey(v.NewDeleteKeyOptions(*key.ID))
	tr.done("DeleteKey", resp, err)
}

// addresses walks reserved IPs and virtual network interfaces and leaves one interface.
func (tr *tour) addresses() (vniID string) {
	v, subnetID := tr.vpc, tr.subnetID(DefaultManagementSubnet)
	ip := get(tr, "CreateSubnetReservedIP", v.CreateSubnetReservedIP, v.NewCreateSubnetReservedIPOptions(subnetID).
		SetName("node-1-mgmt").SetAddress("127.64.0.10"))
	get(tr, "GetSubnetReservedIP", v.GetSubnetReservedIP, v.NewGetSubnetReservedIPOptions(subnetID, *ip.ID))
	patched := get(tr, "UpdateSubnetReservedIP", v.UpdateSubnetReservedIP, v.NewUpdateSubnetReservedIPOptions(subnetID, *ip.ID,
		map[string]any{"name": "node-1-management"}))
	require.Equal(tr.t, "node-1-management", *patched.Name)
	addresses := get(tr, "ListSubnetReservedIps", v.ListSubnetReservedIps, v.NewListSubnetReservedIpsOptions(subnetID).SetSort("-name"))
	require.Len(tr.t, addresses.ReservedIps, 6)
	spare := tr.mustReserve("spare", "")
	resp, err := v.DeleteSubnetReservedIP(v.NewDeleteSubnetReservedIPOptions(subnetID, *spare.ID))
	tr.done("DeleteSubnetReservedIP", resp, err)

	pending := get(tr, "CreateVirtualNetworkInterface", v.CreateVirtualNetworkInterface, v.NewCreateVirtualNetworkInterfaceOptions().
		SetName("node-1").SetPrimaryIP(&vpcv1.VirtualNetworkInterfacePrimaryIPPrototype{ID: ip.ID}))
	require.Nil(tr.t, pending.MacAddress, "absent while pending")
	tr.settle()
	vni, resp, err := v.GetVirtualNetworkInterface(v.NewGetVirtualNetworkInterfaceOptions(*pending.ID))
	check(tr, "GetVirtualNetworkInterface", vni, resp, err)
	require.NotEmpty(tr.t, *vni.MacAddress)
	etag := resp.Headers.Get("ETag")
	get(tr, "UpdateVirtualNetworkInterface", v.UpdateVirtualNetworkInterface, v.NewUpdateVirtualNetworkInterfaceOptions(*vni.ID,
		map[string]any{"name": "node-1-vni", "allow_ip_spoofing": true}).SetIfMatch(etag))
	get(tr, "ListVirtualNetworkInterfaces", v.ListVirtualNetworkInterfaces, v.NewListVirtualNetworkInterfacesOptions())
	second := tr.mustReserve("node-1-second", "127.64.0.11")
	get(tr, "AddVirtualNetworkInterfaceIP", v.AddVirtualNetworkInterfaceIP, v.NewAddVirtualNetworkInterfaceIPOptions(*vni.ID, *second.ID))
	get(tr, "GetVirtualNetworkInterfaceIP", v.GetVirtualNetworkInterfaceIP, v.NewGetVirtualNetworkInterfaceIPOptions(*vni.ID, *second.ID))
	bound := get(tr, "ListVirtualNetworkInterfaceIps", v.ListVirtualNetworkInterfaceIps, v.NewListVirtualNetworkInterfaceIpsOptions(*vni.ID))
	require.Len(tr.t, bound.Ips, 2)
	resp, err = v.RemoveVirtualNetworkInterfaceIP(v.NewRemoveVirtualNetworkInterfaceIPOptions(*vni.ID, *second.ID))
	tr.done("RemoveVirtualNetworkInterfaceIP", resp, err)
	return *vni.ID
}

// servers creates one and reads it in every way.
func (tr *tour) servers(vniID string) (serverID string) {
	v := tr.vpc
	proto := tr.prototype("node-1", vniID)
	proto.Initialization.Keys = []vpcv1.KeyIdentityIntf{&vpcv1.KeyIdentity{ID: ptr(slices.Collect(maps.Keys(tr.sim.keys))[0])}}
	sv := get(tr, "CreateBareMetalServer", v.CreateBareMetalServer, v.NewCreateBareMetalServerOptions(proto))
	require.Equal(tr.t, "pending", *sv.Status)
	tr.settle()
	get(tr, "GetBareMetalServer", v.GetBareMetalServer, v.NewGetBareMetalServerOptions(*sv.ID))
	found := get(tr, "ListBareMetalServers", v.ListBareMetalServers, v.NewListBareMetalServersOptions().SetName("node-1"))
	require.Len(tr.t, found.BareMetalServers, 1)
	require.Equal(tr.t, "running", *found.BareMetalServers[0].Status)
	none := get(tr, "ListBareMetalServers", v.ListBareMetalServers, v.NewListBareMetalServersOptions().SetName("node"))
	require.Empty(tr.t, none.BareMetalServers, "the name filter is exact")
	get(tr, "UpdateBareMetalServer", v.UpdateBareMetalServer, v.NewUpdateBareMetalServerOptions(*sv.ID,
		map[string]any{"name": "node-1b", "metadata_service": map[string]any{"enabled": true}}))
	get(tr, "GetBareMetalServerInitialization", v.GetBareMetalServerInitialization, v.NewGetBareMetalServerInitializationOptions(*sv.ID))
	require.NotContains(tr.t, string(tr.rec.last()), "locator", "user_data is never shown")
	get(tr, "CreateBareMetalServerConsoleAccessToken", v.CreateBareMetalServerConsoleAccessToken,
		v.NewCreateBareMetalServerConsoleAccessTokenOptions(*sv.ID, "serial"))
	disks := get(tr, "ListBareMetalServerDisks", v.ListBareMetalServerDisks, v.NewListBareMetalServerDisksOptions(*sv.ID))
	require.Len(tr.t, disks.Disks, 9)
	get(tr, "GetBareMetalServerDisk", v.GetBareMetalServerDisk, v.NewGetBareMetalServerDiskOptions(*sv.ID, *disks.Disks[0].ID))
	get(tr, "UpdateBareMetalServerDisk", v.UpdateBareMetalServerDisk, v.NewUpdateBareMetalServerDiskOptions(*sv.ID, *disks.Disks[0].ID,
		map[string]any{"name": "boot"}))
	return *sv.ID
}

// attachment is a request for an attachment with a new interface in the workload subnet.
func (tr *tour) attachment(kind, name string) *vpcv1.BareMetalServerNetworkAttachmentPrototype {
	p := &vpcv1.BareMetalServerNetworkAttachmentPrototype{
		InterfaceType: &kind, Name: &name,
		VirtualNetworkInterface: &vpcv1.BareMetalServerNetworkAttachmentPrototypeVirtualNetworkInterface{
			Subnet: &vpcv1.SubnetIdentity{ID: ptr(tr.subnetID(DefaultWorkloadSubnet))},
		},
	}
	if kind == "vlan" {
		p.Vlan, p.AllowToFloat = ptr[int64](7), ptr(false)
	} else {
		p.AllowedVlans = []int64{8}
	}
	return p
}

func (tr *tour) attachments(serverID string) {
	v := tr.vpc
	all := get(tr, "ListBareMetalServerNetworkAttachments", v.ListBareMetalServerNetworkAttachments,
		v.NewListBareMetalServerNetworkAttachmentsOptions(serverID))
	primary := *all.NetworkAttachments[0].(*vpcv1.BareMetalServerNetworkAttachment).ID
	get(tr, "GetBareMetalServerNetworkAttachment", v.GetBareMetalServerNetworkAttachment,
		v.NewGetBareMetalServerNetworkAttachmentOptions(serverID, primary))
	get(tr, "UpdateBareMetalServerNetworkAttachment", v.UpdateBareMetalServerNetworkAttachment,
		v.NewUpdateBareMetalServerNetworkAttachmentOptions(serverID, primary, map[string]any{"allowed_vlans": []int{7}, "name": "mgmt"}))
	made := get(tr, "CreateBareMetalServerNetworkAttachment", v.CreateBareMetalServerNetworkAttachment,
		v.NewCreateBareMetalServerNetworkAttachmentOptions(serverID, tr.attachment("vlan", "vlan7")))
	get(tr, "GetBareMetalServerNetworkAttachment", v.GetBareMetalServerNetworkAttachment,
		v.NewGetBareMetalServerNetworkAttachmentOptions(serverID, *made.(*vpcv1.BareMetalServerNetworkAttachment).ID))
	mirror := get(tr, "ListBareMetalServerNetworkInterfaces", v.ListBareMetalServerNetworkInterfaces,
		v.NewListBareMetalServerNetworkInterfacesOptions(serverID))
	require.Len(tr.t, mirror.NetworkInterfaces, 2)
	get(tr, "GetBareMetalServerNetworkInterface", v.GetBareMetalServerNetworkInterface,
		v.NewGetBareMetalServerNetworkInterfaceOptions(serverID, primary))
	resp, err := v.DeleteBareMetalServerNetworkAttachment(v.NewDeleteBareMetalServerNetworkAttachmentOptions(serverID,
		*made.(*vpcv1.BareMetalServerNetworkAttachment).ID))
	tr.done("DeleteBareMetalServerNetworkAttachment", resp, err)
	tr.settle()
	require.Len(tr.t, tr.sim.State().Addresses, 2, "the inline interface took its address with it")
}

func (tr *tour) life(serverID string) {
	v := tr.vpc
	resp, err := v.RestartBareMetalServer(v.NewRestartBareMetalServerOptions(serverID))
	tr.done("RestartBareMetalServer", resp, err)
	tr.settle()
	resp, err = tr.stop(serverID, "soft")
	tr.done("StopBareMetalServer", resp, err)
	tr.settle()
	update := v.NewUpdateFirmwareForBareMetalServerOptions(serverID).SetAutoStart(false)
	resp, err = v.UpdateFirmwareForBareMetalServer(update)
	tr.done("UpdateFirmwareForBareMetalServer", resp, err)
	resp, err = v.UpdateFirmwareForBareMetalServer(update)
	refused(tr.t, http.StatusConflict, codeInvalidState, resp, err)
	resp, err = v.StartBareMetalServer(v.NewStartBareMetalServerOptions(serverID))
	tr.done("StartBareMetalServer", resp, err)
	tr.settle()
	_, err = tr.stop(serverID, "hard")
	require.NoError(tr.t, err)
	tr.settle()
	opts := v.NewReplaceBareMetalServerInitializationOptions(serverID, &vpcv1.ImageIdentity{ID: ptr(tr.imageID(IPXEImage))}, []vpcv1.KeyIdentityIntf{})
	get(tr, "ReplaceBareMetalServerInitialization", v.ReplaceBareMetalServerInitialization, opts.SetUserData(testUserData+"2"))
	require.Equal(tr.t, "reinitializing", tr.status(serverID))
	tr.settle()
	require.Equal(tr.t, "running", tr.status(serverID), "it starts by itself")
}

func (tr *tour) release(serverID, vniID string) {
	v := tr.vpc
	_, err := tr.stop(serverID, "hard")
	require.NoError(tr.t, err)
	tr.settle()
	resp, err := v.DeleteBareMetalServer(v.NewDeleteBareMetalServerOptions(serverID))
	tr.done("DeleteBareMetalServer", resp, err)
	require.Equal(tr.t, "deleting", tr.status(serverID), "deletion is asynchronous")
	tr.settle()
	_, resp, err = v.GetBareMetalServer(v.NewGetBareMetalServerOptions(serverID))
	refused(tr.t, http.StatusNotFound, codeNotFound, resp, err)
	get(tr, "DeleteVirtualNetworkInterfaces", v.DeleteVirtualNetworkInterfaces, v.NewDeleteVirtualNetworkInterfacesOptions(vniID))
	tr.settle()
	_, resp, err = v.GetVirtualNetworkInterface(v.NewGetVirtualNetworkInterfaceOptions(vniID))
	refused(tr.t, http.StatusNotFound, codeNotFound, resp, err)
}

func (tr *tour) records() {
	d, zone := tr.dns, tr.zoneID()
	zones := get(tr, "ListDnszones", d.ListDnszones, d.NewListDnszonesOptions(DefaultDNSInstance).SetVpcID(tr.vpcID(DefaultVPC)))
	require.Len(tr.t, zones.Dnszones, 1)
	got := get(tr, "GetDnszone", d.GetDnszone, d.NewGetDnszoneOptions(DefaultDNSInstance, *zones.Dnszones[0].ID))
	require.Equal(tr.t, "active", *got.State)
	a, resp, err := tr.record("A", "node-1", &dnssvcsv1.ResourceRecordInputRdata{Ip: ptr("127.64.0.10")})
	check(tr, "CreateResourceRecord", a, resp, err)
	require.Equal(tr.t, "node-1."+DefaultDNSZone, *a.Name)
	require.True(tr.t, strings.HasPrefix(*a.ID, "A:"))
	pointer, _, err := tr.record("PTR", "127.64.0.10", &dnssvcsv1.ResourceRecordInputRdata{Ptrdname: a.Name})
	require.NoError(tr.t, err)
	require.Equal(tr.t, "10.0.64.127.in-addr.arpa", *pointer.Name)
	get(tr, "GetResourceRecord", d.GetResourceRecord, d.NewGetResourceRecordOptions(DefaultDNSInstance, zone, *a.ID))
	found := get(tr, "ListResourceRecords", d.ListResourceRecords, d.NewListResourceRecordsOptions(DefaultDNSInstance, zone).
		SetType("A").SetName("node-1."+DefaultDNSZone))
	require.Len(tr.t, found.ResourceRecords, 1)
	update := d.NewUpdateResourceRecordOptions(DefaultDNSInstance, zone, *a.ID, "node-1",
		&dnssvcsv1.ResourceRecordUpdateInputRdata{Ip: ptr("127.64.0.10")}).SetTTL(120)
	changed := get(tr, "UpdateResourceRecord", d.UpdateResourceRecord, update)
	require.EqualValues(tr.t, 120, *changed.TTL)
	for _, id := range []string{*pointer.ID, *a.ID} {
		resp, err = d.DeleteResourceRecord(d.NewDeleteResourceRecordOptions(DefaultDNSInstance, zone, id))
		tr.done("DeleteResourceRecord", resp, err)
	}
}

// fixtures holds method, path and success status of every operation against the mock servers in the SDK's own tests,
// which are generated from IBM's description of the API.
func (tr *tour) fixtures(t *testing.T, module, file string, which service) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		present.Missing(t, fmt.Sprintf("not checked against the SDK's fixtures: go list -m %s: %v", module, err))
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), file))
	if err != nil {
		present.Missing(t, fmt.Sprintf("not checked against the SDK's fixtures: %v", err))
	}
	checked := 0
	for name, op := range tr.sim.ops {
		if op.service != which {
			continue
		}
		method, path, status := fixture(t, string(text), name)
		require.Equal(t, method, op.method, name)
		require.Equal(t, status, tr.statuses[name], name)
		req, err := http.NewRequest(method, tr.url+"/v1"+path, nil)
		require.NoError(t, err)
		_, pattern := tr.sim.mux.Handler(req)
		require.Equal(t, op.method+" "+op.path, pattern, "%s: %s is answered by another operation", name, path)
		checked++
	}
	t.Logf("%d operations agree with %s", checked, file)
}

var (
	fixturePath   = regexp.MustCompile(`Path := "([^"]+)"`)
	fixtureMethod = regexp.MustCompile(`req\.Method\)\.To\(Equal\("([A-Z]+)"\)\)`)
	fixtureStatus = regexp.MustCompile(`res\.WriteHeader\((\d+)\)`)
)

// fixture reads an operation's mock server from the text of the SDK's tests.
func fixture(t *testing.T, text, name string) (method, path string, status int) {
	t.Helper()
	at := strings.Index(text, "Describe(`"+name+"(")
	require.GreaterOrEqual(t, at, 0, "%s is not in the SDK's tests", name)
	block := text[at:min(len(text), at+20000)]
	find := func(re *regexp.Regexp) string {
		match := re.FindStringSubmatch(block)
		require.NotNil(t, match, "%s: %s", name, re)
		return match[1]
	}
	status, err := strconv.Atoi(find(fixtureStatus))
	require.NoError(t, err)
	return find(fixtureMethod), find(fixturePath), status
}
