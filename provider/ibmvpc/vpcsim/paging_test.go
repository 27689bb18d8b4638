package vpcsim

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/IBM/networking-go-sdk/dnssvcsv1"
	"github.com/IBM/vpc-go-sdk/vpcv1"
	"github.com/stretchr/testify/require"
)

// pages drains an SDK pager and requires that it took several pages and repeated nothing.
func pages[T any](t *testing.T, pager interface {
	HasNext() bool
	GetNext() ([]T, error)
}, newErr error, id func(T) string) []string {
	t.Helper()
	require.NoError(t, newErr)
	var ids []string
	count := 0
	for pager.HasNext() {
		items, err := pager.GetNext()
		require.NoError(t, err)
		count++
		for _, item := range items {
			ids = append(ids, id(item))
		}
	}
	require.GreaterOrEqual(t, count, 2, "pages")
	sorted := slices.Sorted(slices.Values(ids))
	require.Len(t, slices.Compact(sorted), len(ids), "an item was repeated")
	return ids
}

func TestPagers(t *testing.T) {
	e := newEnv(t, Options{
		VPCs: []string{"one", "two", "three"},
		Subnets: []SubnetConfig{
			{Name: DefaultManagementSubnet, CIDR: "127.64.0.0/24"}, {Name: "b", CIDR: "127.64.1.0/29"}, {Name: "c", CIDR: "127.64.2.0/29"},
		},
	})
	v, two := e.vpc, int64(2)
	for i := range 5 {
		e.mustServer(fmt.Sprintf("node-%d", i))
	}
	images, err := v.NewImagesPager(v.NewListImagesOptions().SetLimit(50))
	require.Len(t, pages(t, images, err, func(i vpcv1.Image) string { return *i.ID }), len(e.sim.catalogue.images))
	filtered, err := v.NewImagesPager(v.NewListImagesOptions().SetLimit(1).SetUserDataFormat([]string{"ipxe"}))
	require.Len(t, pages(t, filtered, err, func(i vpcv1.Image) string { return *i.ID }), 3)
	systems, err := v.NewOperatingSystemsPager(v.NewListOperatingSystemsOptions().SetLimit(10))
	require.Len(t, pages(t, systems, err, func(o vpcv1.OperatingSystem) string { return *o.Name }), len(e.sim.catalogue.systems))
	profiles, err := v.NewBareMetalServerProfilesPager(v.NewListBareMetalServerProfilesOptions().SetLimit(10))
	names := pages(t, profiles, err, func(p vpcv1.BareMetalServerProfile) string { return *p.Name })
	require.True(t, slices.IsSorted(names))
	compatible, err := v.NewImageBareMetalServerProfilesPager(v.NewListImageBareMetalServerProfilesOptions(e.imageID(IPXEImage)).SetLimit(10))
	require.Equal(t, names, pages(t, compatible, err, func(p vpcv1.BareMetalServerProfileReference) string { return *p.Name }))
	servers, err := v.NewBareMetalServersPager(v.NewListBareMetalServersOptions().SetLimit(two))
	require.Len(t, pages(t, servers, err, func(s vpcv1.BareMetalServer) string { return *s.ID }), 5)
	vnis, err := v.NewVirtualNetworkInterfacesPager(v.NewListVirtualNetworkInterfacesOptions().SetLimit(two))
	require.Len(t, pages(t, vnis, err, func(i vpcv1.VirtualNetworkInterface) string { return *i.ID }), 5)
	vpcs, err := v.NewVpcsPager(v.NewListVpcsOptions().SetLimit(two))
	require.Len(t, pages(t, vpcs, err, func(v vpcv1.VPC) string { return *v.ID }), 3)
	subnets, err := v.NewSubnetsPager(v.NewListSubnetsOptions().SetLimit(two))
	require.Len(t, pages(t, subnets, err, func(s vpcv1.Subnet) string { return *s.ID }), 3)
	groups, err := v.NewSecurityGroupsPager(v.NewListSecurityGroupsOptions().SetLimit(two))
	require.Len(t, pages(t, groups, err, func(g vpcv1.SecurityGroup) string { return *g.ID }), 6)
	_, _, err = v.CreateKey(v.NewCreateKeyOptions(secondKey))
	require.NoError(t, err)
	keys, err := v.NewKeysPager(v.NewListKeysOptions().SetLimit(1))
	require.Len(t, pages(t, keys, err, func(k vpcv1.Key) string { return *k.ID }), 2)
}

// Reserved IPs by every sort order, up and down.
func TestReservedIPsSorted(t *testing.T) {
	e := newEnv(t, Options{})
	for i, name := range []string{"delta", "alpha", "charlie", "bravo"} {
		e.clock.Advance(time.Second)
		e.mustReserve(name, fmt.Sprintf("127.64.0.%d", 100-30*i))
	}
	for sort, want := range map[string][]string{
		"name": {"alpha", "bravo", "charlie", "delta"}, "-name": {"delta", "charlie", "bravo", "alpha"},
		"created_at": {"delta", "alpha", "charlie", "bravo"}, "-created_at": {"bravo", "charlie", "alpha", "delta"},
		"address": {"bravo", "charlie", "alpha", "delta"}, "-address": {"delta", "alpha", "charlie", "bravo"},
	} {
		pager, err := e.vpc.NewSubnetReservedIpsPager(e.vpc.NewListSubnetReservedIpsOptions(e.subnetID(DefaultManagementSubnet)).SetLimit(2).SetSort(sort))
		got := pages(t, pager, err, func(ip vpcv1.ReservedIP) string { return *ip.Name })
		got = slices.DeleteFunc(got, func(name string) bool { return len(name) > 4 && name[:4] == "ibm-" })
		require.Equal(t, want, got, sort)
	}
}

func TestSmallPagers(t *testing.T) {
	e := newEnv(t, Options{})
	v := e.vpc
	vni := e.mustVNI("node", func(o *vniOptions) {
		o.Ips = []vpcv1.VirtualNetworkInterfaceIPPrototypeIntf{&secondaryIP{}, &secondaryIP{}}
	})
	ips, err := v.NewVirtualNetworkInterfaceIpsPager(v.NewListVirtualNetworkInterfaceIpsOptions(*vni.ID).SetLimit(2))
	require.Len(t, pages(t, ips, err, func(ip vpcv1.ReservedIPReference) string { return *ip.ID }), 3)
	sv := e.stopped("other")
	_, _, err = v.CreateBareMetalServerNetworkAttachment(v.NewCreateBareMetalServerNetworkAttachmentOptions(*sv.ID, (&tour{env: e}).attachment("pci", "net1")))
	require.NoError(t, err)
	attachments, err := v.NewBareMetalServerNetworkAttachmentsPager(v.NewListBareMetalServerNetworkAttachmentsOptions(*sv.ID).SetLimit(1))
	require.Len(t, pages(t, attachments, err, func(a vpcv1.BareMetalServerNetworkAttachmentIntf) string {
		return *a.(*vpcv1.BareMetalServerNetworkAttachment).ID
	}), 2)
	interfaces, err := v.NewBareMetalServerNetworkInterfacesPager(v.NewListBareMetalServerNetworkInterfacesOptions(*sv.ID).SetLimit(1))
	require.Len(t, pages(t, interfaces, err, func(i vpcv1.BareMetalServerNetworkInterfaceIntf) string {
		return *i.(*vpcv1.BareMetalServerNetworkInterfaceByPci).ID
	}), 2)
	for i := range 5 {
		_, _, err := e.record("A", fmt.Sprintf("node-%d", i), &dnssvcsv1.ResourceRecordInputRdata{Ip: ptr("127.64.0.9")})
		require.NoError(t, err)
	}
	records, err := e.dns.NewResourceRecordsPager(e.dns.NewListResourceRecordsOptions(DefaultDNSInstance, e.zoneID()).SetLimit(2))
	require.Len(t, pages(t, records, err, func(r dnssvcsv1.ResourceRecord) string { return *r.ID }), 5)
}

// What is deleted between two pages hides nothing else.
func TestPagesSurviveDeletes(t *testing.T) {
	e := newEnv(t, Options{})
	var ids []string
	for range 4 {
		ids = append(ids, *e.mustVNI("").ID)
	}
	first, _, err := e.vpc.ListVirtualNetworkInterfaces(e.vpc.NewListVirtualNetworkInterfacesOptions().SetLimit(2))
	require.NoError(t, err)
	for _, id := range ids[:2] {
		_, _, err = e.vpc.DeleteVirtualNetworkInterfaces(e.vpc.NewDeleteVirtualNetworkInterfacesOptions(id))
		require.NoError(t, err)
	}
	e.settle()
	start, err := first.GetNextStart()
	require.NoError(t, err)
	second, _, err := e.vpc.ListVirtualNetworkInterfaces(e.vpc.NewListVirtualNetworkInterfacesOptions().SetLimit(2).SetStart(*start))
	require.NoError(t, err)
	require.Len(t, second.VirtualNetworkInterfaces, 2)
	require.Equal(t, ids[2], *second.VirtualNetworkInterfaces[0].ID)
}
