package ibmvpc

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/IBM/go-sdk-core/v5/core"
	"github.com/IBM/networking-go-sdk/dnssvcsv1"
	"github.com/IBM/vpc-go-sdk/vpcv1"

	"github.com/slipwayhq/slipway/deploy"
)

// Examine reads a server by its id or its name, and all that belongs to it:
// attachments, interfaces, addresses, and the records that lead to it. It
// changes nothing. A server in another VPC, or one that is a node's already, is
// refused.
func (p *Provider) Examine(ctx context.Context, idOrName string) (deploy.Adopted, error) {
	a, err := p.examine(ctx, strings.TrimSpace(idOrName))
	return a, asProviderError(err)
}

func (p *Provider) examine(ctx context.Context, idOrName string) (deploy.Adopted, error) {
	if idOrName == "" || strings.ContainsAny(idOrName, "/?# ") {
		return deploy.Adopted{}, permanent(deploy.CodeInvalid, "Name the server by its id or its name in IBM Cloud.", "%q is neither a server's id nor a name", idOrName)
	}
	server, err := p.serverByIDOrName(ctx, idOrName)
	if err != nil {
		return deploy.Adopted{}, err
	}
	if err := p.mayAdopt(ctx, server); err != nil {
		return deploy.Adopted{}, err
	}
	x := &examination{Provider: p, server: server, subnets: map[string]*vpcv1.Subnet{}, adopted: deploy.Adopted{
		Name: value(server.Name), Zone: zoneName(server.Zone), Machine: deploy.Machine{ServerID: value(server.ID), ServerStatus: value(server.Status)},
	}}
	if server.Profile != nil {
		x.adopted.Profile = value(server.Profile.Name)
	}
	if err := x.interfaces(ctx); err != nil {
		return deploy.Adopted{}, err
	}
	return x.adopted, x.names(ctx)
}

// serverByIDOrName reads the server; an id is tried first.
func (p *Provider) serverByIDOrName(ctx context.Context, idOrName string) (*vpcv1.BareMetalServer, error) {
	server, err := p.getServer(ctx, idOrName)
	if f, ok := asFailure(err); err == nil || !ok || f.status != 404 && f.status != 400 { // 400: it has not the form of an id
		return server, err
	}
	named, err := p.serversNamed(ctx, idOrName)
	if err != nil {
		return nil, err
	}
	if len(named) == 0 {
		return nil, permanent(deploy.CodeNotFound, "Look up its id or name in IBM Cloud; names are exact.", "there is no bare metal server %q in region %s, or Slipway's identity may not see it", idOrName, p.cfg.Region)
	}
	return &named[0], nil
}

func (p *Provider) mayAdopt(ctx context.Context, s *vpcv1.BareMetalServer) error {
	vpc, err := p.findVPC(ctx)
	if err != nil {
		return err
	}
	if vpcOf(s.VPC) != value(vpc.ID) {
		where := "another VPC"
		if s.VPC != nil {
			where = "the VPC " + value(s.VPC.Name)
		}
		return permanent(deploy.CodeConflict, "This Slipway works in one VPC: run another one for that VPC, or take a server of this one.",
			"the server %s is in %s and not in %s", value(s.Name), where, value(vpc.Name))
	}
	if value(s.Status) == statusDeleting || value(s.LifecycleState) == statusDeleting {
		return permanent(deploy.CodeConflict, "Take another one.", "the server %s is being deleted", value(s.Name))
	}
	if s.PrimaryNetworkAttachment == nil {
		return permanent(deploy.CodeInvalid, "Servers with the older child network interfaces cannot be reinitialized or released here; order a new one.",
			"the server %s has no network attachments", value(s.Name))
	}
	rows, err := p.journal.All(ctx, deploy.ProviderIBMVPC)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if row.Kind == kindServer && row.State != deploy.ResourceGone && (row.CloudID == value(s.ID) || row.CloudID == "" && row.Name == value(s.Name)) {
			return permanent(deploy.CodeConflict, "It is in Slipway's care already.", "the server %s is that of node %d", value(s.Name), row.NodeID)
		}
	}
	return nil
}

// examination is one server being read.
type examination struct {
	*Provider
	server   *vpcv1.BareMetalServer
	adopted  deploy.Adopted
	subnets  map[string]*vpcv1.Subnet
	vnis     []string
	workload int
	cluster  string // the address of the cluster that it created, if a Slipway made that
}

func (x *examination) add(kind, role, name, id string, rec record) {
	x.adopted.Resources = append(x.adopted.Resources, deploy.AdoptedResource{Kind: kind, Role: role, Name: name, CloudID: id, Details: rec.json()})
}

// interfaces reads the attachments, the boot interface first, and then adds
// the server itself.
func (x *examination) interfaces(ctx context.Context) error {
	listed, err := list(ctx, x.Provider, "listing the server's attachments", func() (*vpcv1.BareMetalServerNetworkAttachmentsPager, error) {
		return x.vpc.NewBareMetalServerNetworkAttachmentsPager(x.vpc.NewListBareMetalServerNetworkAttachmentsOptions(value(x.server.ID)).SetLimit(pageSize))
	})
	if err != nil {
		return err
	}
	all, primary := attachmentsOf(listed), value(x.server.PrimaryNetworkAttachment.ID)
	slices.SortStableFunc(all, func(a, b attached) int { return a.order(primary) - b.order(primary) })
	for _, a := range all {
		if err := x.attachment(ctx, a, a.id == primary); err != nil {
			return err
		}
	}
	if x.adopted.ManagementIP == "" {
		return permanent(deploy.CodeUpstreamUnavailable, "Look at the server in IBM Cloud, and try again once its network is ready.", "the server %s shows no primary address", value(x.server.Name))
	}
	m := x.adopted.Machine
	x.add(kindServer, "", x.adopted.Name, m.ServerID, record{Adopted: true, Zone: x.adopted.Zone, Profile: x.adopted.Profile, VNIs: x.vnis, MACs: m.MACs,
		ManagementIP: m.ManagementIP, WorkloadIP: m.WorkloadIP})
	return nil
}

// attached is what matters of an attachment, whatever its type.
type attached struct {
	id, vni string
	vlan    int64
}

// order sorts the primary one first, then PCI, then VLAN.
func (a attached) order(primary string) int {
	switch {
	case a.id == primary:
		return 0
	case a.vlan == 0:
		return 1
	}
	return 2
}

func attachmentsOf(list []vpcv1.BareMetalServerNetworkAttachmentIntf) []attached {
	var all []attached
	for _, item := range list {
		var id *string
		var vni *vpcv1.VirtualNetworkInterfaceReferenceAttachmentContext
		var vlan *int64
		switch a := item.(type) {
		case *vpcv1.BareMetalServerNetworkAttachment:
			id, vni, vlan = a.ID, a.VirtualNetworkInterface, a.Vlan
		case *vpcv1.BareMetalServerNetworkAttachmentByPci:
			id, vni = a.ID, a.VirtualNetworkInterface
		case *vpcv1.BareMetalServerNetworkAttachmentByVlan:
			id, vni, vlan = a.ID, a.VirtualNetworkInterface, a.Vlan
		}
		if vni != nil {
			all = append(all, attached{value(id), value(vni.ID), value(vlan)})
		}
	}
	return all
}

func (x *examination) attachment(ctx context.Context, a attached, primary bool) error {
	v, err := x.getVNI(ctx, a.vni)
	if err != nil {
		return err
	}
	role := roleVLAN(int(a.vlan))
	switch {
	case primary:
		role = roleManagement
	case a.vlan == 0:
		x.workload++
		role = roleWorkload(x.workload)
	}
	mac, _ := deploy.NormalMAC(value(v.MacAddress))
	if a.vlan == 0 {
		x.adopted.MACs = append(x.adopted.MACs, mac)
	}
	x.vnis = append(x.vnis, value(v.ID))
	sn := ""
	if v.Subnet != nil {
		sn = value(v.Subnet.ID)
	}
	if err := x.addresses(ctx, v, sn, role); err != nil {
		return err
	}
	x.add(kindVNI, role, value(v.Name), value(v.ID), record{Adopted: true, Subnet: sn, Zone: x.adopted.Zone, MAC: mac})
	return nil
}

// addresses adds the primary address of an interface and the secondary ones.
func (x *examination) addresses(ctx context.Context, v *vpcv1.VirtualNetworkInterface, subnetID, role string) error {
	rec, err := x.plan(ctx, subnetID)
	if err != nil {
		return err
	}
	var primary string
	if v.PrimaryIP != nil {
		primary, rec.Address = value(v.PrimaryIP.ID), value(v.PrimaryIP.Address)
		x.add(kindReservedIP, role, subnetID+"/"+value(v.PrimaryIP.Name), primary, rec)
	}
	switch {
	case role == roleManagement:
		x.adopted.ManagementIP = rec.Address
	case x.adopted.WorkloadIP == "":
		x.adopted.WorkloadIP = rec.Address
	}
	extra := 0
	for _, ip := range v.Ips {
		if value(ip.ID) == primary {
			continue
		}
		extra++
		rec.Address = value(ip.Address)
		x.add(kindReservedIP, x.guestRole(role, value(ip.Name), extra, rec.Address), subnetID+"/"+value(ip.Name), value(ip.ID), rec)
	}
	return nil
}

// guestRole gives a secondary address its role. What it is for is known only of
// those that a Slipway named.
func (x *examination) guestRole(role, name string, n int, address string) string {
	if role == roleManagement {
		switch {
		case strings.HasSuffix(name, "-"+roleAHV):
			x.adopted.AHVIP = address
			return roleAHV
		case strings.HasSuffix(name, "-"+roleCVM):
			x.adopted.CVMIP = address
			return roleCVM
		case strings.HasSuffix(name, "-"+roleCluster):
			x.cluster = address
			return roleCluster
		}
	}
	return fmt.Sprintf("%s-secondary-%d", role, n)
}

// plan is what is recorded of an address of a subnet.
func (x *examination) plan(ctx context.Context, id string) (record, error) {
	if x.subnets[id] == nil {
		sn, err := get(ctx, x.Provider, "reading the subnet", func(ctx context.Context) (*vpcv1.Subnet, *core.DetailedResponse, error) {
			return x.vpc.GetSubnetWithContext(ctx, x.vpc.NewGetSubnetOptions(id))
		})
		if err != nil {
			return record{}, err
		}
		x.subnets[id] = sn
	}
	sn := subnetOf(*x.subnets[id])
	return record{Adopted: true, Subnet: sn.id, Zone: sn.zone, CIDR: sn.cidr, Gateway: sn.gateway(), DNSServers: resolvers}, nil
}

// names adds the records that lead to the addresses of node, controller VM and
// cluster, and those that lead back.
func (x *examination) names(ctx context.Context) error {
	if !x.HasNames() {
		return nil
	}
	end, err := x.takeTurn(ctx)
	if err != nil {
		return err
	}
	defer end()
	zone, err := x.findZone(ctx)
	if err != nil {
		return err
	}
	for _, kind := range []string{kindA, kindPTR} {
		all, err := x.records(ctx, zone.id, recordTypes[kind])
		if err != nil {
			return err
		}
		for _, rr := range all {
			for role, address := range map[string]string{roleManagement: x.adopted.ManagementIP, roleCVM: x.adopted.CVMIP, roleCluster: x.cluster} {
				if name, ok := nameOf(rr, kind, address); ok {
					// The id makes the row's name unique: the names of records need not be.
					x.add(kind, role, name+"/"+value(rr.ID), value(rr.ID), record{Adopted: true, DNSName: name, DNSZone: zone.id, Address: address})
				}
			}
		}
	}
	return nil
}

// nameOf gives the host name of a record that belongs to an address.
func nameOf(rr dnssvcsv1.ResourceRecord, kind, address string) (string, bool) {
	if address == "" {
		return "", false
	}
	rec := record{Address: address}
	if kind == kindA {
		return bare(value(rr.Name)), leads(rr, kindA, rec)
	}
	return target(rr), named(rr, kindPTR, rec)
}
