package ibmvpc

import (
	"context"

	"github.com/IBM/go-sdk-core/v5/core"
	"github.com/IBM/vpc-go-sdk/vpcv1"

	"github.com/slipwayhq/slipway/deploy"
)

// unchosen is what an address reads until the API has chosen one.
const unchosen = "0.0.0.0"

// ownerUser marks a reserved IP that is not the provider's own.
const ownerUser = "user"

// reserve makes the reserved IP of a role; address may be empty for any.
func (j *job) reserve(ctx context.Context, role string, sn subnet, address string) (*vpcv1.ReservedIP, error) {
	w := want[vpcv1.ReservedIP]{
		intent: j.intent(kindReservedIP, role), what: role + " address", name: j.name(role), note: j.tell,
		plan: record{Subnet: sn.id, Zone: sn.zone, Address: address, CIDR: sn.cidr, Gateway: sn.gateway(), DNSServers: resolvers},
		id:   func(ip *vpcv1.ReservedIP) string { return value(ip.ID) },
		made: func(ip *vpcv1.ReservedIP, r record) record {
			if got := value(ip.Address); got != unchosen {
				r.Address = got
			}
			return r
		},
		get: func(ctx context.Context, id string) (*vpcv1.ReservedIP, error) {
			return get(ctx, j.Provider, "reading the reserved address", func(ctx context.Context) (*vpcv1.ReservedIP, *core.DetailedResponse, error) {
				return j.vpc.GetSubnetReservedIPWithContext(ctx, j.vpc.NewGetSubnetReservedIPOptions(sn.id, id))
			})
		},
		find: func(ctx context.Context, name string) (*vpcv1.ReservedIP, error) {
			return j.findReserved(ctx, sn, name, address)
		},
		create: func(ctx context.Context, name string) (*vpcv1.ReservedIP, error) {
			return create(ctx, j.Provider, "reserving the "+role+" address", func(ctx context.Context) (*vpcv1.ReservedIP, *core.DetailedResponse, error) {
				options := j.vpc.NewCreateSubnetReservedIPOptions(sn.id).SetName(name).SetAutoDelete(false)
				if address != "" {
					options.SetAddress(address)
				}
				return j.vpcCreate.CreateSubnetReservedIPWithContext(ctx, options)
			})
		},
	}
	_, ip, err := ensure(ctx, j.Provider, w)
	return ip, err
}

// findReserved looks for the name, and for somebody else's hold on the address.
func (j *job) findReserved(ctx context.Context, sn subnet, name, address string) (*vpcv1.ReservedIP, error) {
	all, err := list(ctx, j.Provider, "listing reserved addresses", func() (*vpcv1.SubnetReservedIpsPager, error) {
		return j.vpc.NewSubnetReservedIpsPager(j.vpc.NewListSubnetReservedIpsOptions(sn.id).SetLimit(pageSize))
	})
	if err != nil {
		return nil, err
	}
	var found *vpcv1.ReservedIP
	for i, ip := range all {
		switch {
		case value(ip.Name) == name:
			found = &all[i]
		case address != "" && value(ip.Address) == address:
			return nil, permanent(deploy.CodeConflict, "Choose another management_ip, or none; or clean up what holds it.",
				"management_ip: the address %s is reserved as %q in subnet %s already", address, value(ip.Name), sn.name)
		}
	}
	if found == nil {
		return nil, nil
	}
	pairs := [][3]string{{"owner", ownerUser, value(found.Owner)}}
	if address != "" {
		pairs = append(pairs, [3]string{"address", address, value(found.Address)})
	}
	if found.Target != nil {
		// It may be bound by now, but only to the interface of the same name.
		if target, ok := found.Target.(*vpcv1.ReservedIPTarget); ok {
			pairs = append(pairs, [3]string{"target", name, value(target.Name)})
		}
	}
	if why := differ(pairs...); why != "" {
		return nil, foreign("reserved address", name, why)
	}
	if value(found.AutoDelete) {
		return nil, foreign("reserved address", name, "it is deleted with its interface (auto_delete)")
	}
	return found, nil
}

// vni makes the virtual network interface of a role, bound to the reserved IP.
func (j *job) vni(ctx context.Context, role string, sn subnet, ip *vpcv1.ReservedIP) (*vpcv1.VirtualNetworkInterface, error) {
	primary := value(ip.ID)
	w := want[vpcv1.VirtualNetworkInterface]{
		intent: j.intent(kindVNI, role), what: role + " interface", name: j.name(role), note: j.tell,
		plan: record{Subnet: sn.id, Zone: sn.zone},
		id:   func(v *vpcv1.VirtualNetworkInterface) string { return value(v.ID) },
		made: func(v *vpcv1.VirtualNetworkInterface, r record) record {
			r.MAC, _ = deploy.NormalMAC(value(v.MacAddress))
			return r
		},
		get: j.getVNI,
		find: func(ctx context.Context, name string) (*vpcv1.VirtualNetworkInterface, error) {
			return j.findVNI(ctx, name, sn, primary)
		},
		create: func(ctx context.Context, name string) (*vpcv1.VirtualNetworkInterface, error) {
			return create(ctx, j.Provider, "making the "+role+" interface", func(ctx context.Context) (*vpcv1.VirtualNetworkInterface, *core.DetailedResponse, error) {
				return j.vpcCreate.CreateVirtualNetworkInterfaceWithContext(ctx, j.vniOptions(name, sn, primary))
			})
		},
	}
	_, vni, err := ensure(ctx, j.Provider, w)
	return vni, err
}

func (j *job) vniOptions(name string, sn subnet, primary string) *vpcv1.CreateVirtualNetworkInterfaceOptions {
	options := j.vpc.NewCreateVirtualNetworkInterfaceOptions().SetName(name).SetAutoDelete(false).
		SetSubnet(&vpcv1.SubnetIdentityByID{ID: &sn.id}).
		SetPrimaryIP(&vpcv1.VirtualNetworkInterfacePrimaryIPPrototypeReservedIPIdentityVirtualNetworkInterfacePrimaryIPContextByID{ID: &primary})
	if j.cfg.ResourceGroup != "" {
		options.SetResourceGroup(&vpcv1.ResourceGroupIdentityByID{ID: &j.cfg.ResourceGroup})
	}
	var groups []vpcv1.SecurityGroupIdentityIntf
	for i := range j.site.securityGroups {
		groups = append(groups, &vpcv1.SecurityGroupIdentityByID{ID: &j.site.securityGroups[i]})
	}
	if groups != nil {
		options.SetSecurityGroups(groups)
	}
	return options
}

func (p *Provider) getVNI(ctx context.Context, id string) (*vpcv1.VirtualNetworkInterface, error) {
	return get(ctx, p, "reading the interface", func(ctx context.Context) (*vpcv1.VirtualNetworkInterface, *core.DetailedResponse, error) {
		return p.vpc.GetVirtualNetworkInterfaceWithContext(ctx, p.vpc.NewGetVirtualNetworkInterfaceOptions(id))
	})
}

// findVNI looks for the name in the VPC, where it is unique. The list has no
// filter by name or VPC.
func (j *job) findVNI(ctx context.Context, name string, sn subnet, primary string) (*vpcv1.VirtualNetworkInterface, error) {
	all, err := list(ctx, j.Provider, "listing interfaces", func() (*vpcv1.VirtualNetworkInterfacesPager, error) {
		return j.vpc.NewVirtualNetworkInterfacesPager(j.vpc.NewListVirtualNetworkInterfacesOptions().SetLimit(pageSize))
	})
	if err != nil {
		return nil, err
	}
	for i := range all {
		v := &all[i]
		if value(v.Name) != name || v.VPC == nil || value(v.VPC.ID) != j.site.vpcID {
			continue
		}
		if why := j.foreignVNI(v, sn, primary); why != "" {
			return nil, foreign("virtual network interface", name, why)
		}
		return v, nil
	}
	return nil, nil
}

func (j *job) foreignVNI(v *vpcv1.VirtualNetworkInterface, sn subnet, primary string) string {
	var subnetID, ip string
	if v.Subnet != nil {
		subnetID = value(v.Subnet.ID)
	}
	if v.PrimaryIP != nil {
		ip = value(v.PrimaryIP.ID)
	}
	if why := differ([3]string{"subnet", sn.id, subnetID}, [3]string{"primary address", primary, ip}, j.groupPair(v.ResourceGroup)); why != "" {
		return why
	}
	if value(v.AutoDelete) {
		return "it is deleted with its server (auto_delete)"
	}
	return ""
}

// groupPair compares resource groups, if the settings name one.
func (j *job) groupPair(g *vpcv1.ResourceGroupReference) [3]string {
	var id string
	if g != nil {
		id = value(g.ID)
	}
	if j.cfg.ResourceGroup == "" {
		return [3]string{"resource group", id, id}
	}
	return [3]string{"resource group", j.cfg.ResourceGroup, id}
}

// vniTarget names what an interface is bound to.
func vniTarget(v *vpcv1.VirtualNetworkInterface) string {
	target, ok := v.Target.(*vpcv1.VirtualNetworkInterfaceTarget)
	if !ok || target == nil {
		return ""
	}
	for _, s := range []string{value(target.Href), value(target.ID), value(target.Name)} {
		if s != "" {
			return s
		}
	}
	return "something"
}
