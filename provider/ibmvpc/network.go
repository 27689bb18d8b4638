package ibmvpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/IBM/go-sdk-core/v5/core"
	"github.com/IBM/vpc-go-sdk/vpcv1"

	"github.com/slipwayhq/slipway/deploy"
)

// unchosen is what an address reads until the API has chosen one.
const unchosen = "0.0.0.0"

// ownerUser marks a reserved IP that is not the provider's own.
const ownerUser = "user"

// reserve makes the reserved IP of a role; address may be empty for any.
func (j *job) reserve(ctx context.Context, a wanted, address string) (*vpcv1.ReservedIP, error) {
	role, sn := a.role, a.sn
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
			if j.neverAsked(kindReservedIP, name) {
				return nil, nil
			}
			return j.findReserved(ctx, a, name, address)
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
	row, ip, err := ensure(ctx, j.Provider, w)
	if err != nil {
		return nil, err
	}
	// The API may choose an address later than it answers.
	if w.made(ip, recordOf(row)).Address == recordOf(row).Address {
		return ip, nil
	}
	return ip, j.journal.Amend(ctx, row.ID, func(details json.RawMessage) (json.RawMessage, error) {
		return w.made(ip, recordOf(deploy.Resource{Details: details})).json(), nil
	})
}

// findReserved looks for the name, and for somebody else's hold on the address.
func (j *job) findReserved(ctx context.Context, a wanted, name, address string) (*vpcv1.ReservedIP, error) {
	all, err := j.reservedIn(ctx, a.sn)
	if err != nil {
		return nil, err
	}
	j.listed(a.sn, all)
	var found *vpcv1.ReservedIP
	var holder *string
	for i, ip := range all {
		switch {
		case value(ip.Name) == name:
			found = &all[i]
		case address != "" && value(ip.Address) == address:
			holder = ip.Name
		}
	}
	if holder != nil && (found == nil || a.explicit != "") {
		return nil, &addressTaken{address: address, ProviderError: permanent(deploy.CodeConflict, "Choose another "+a.field+", or none; or clean up what holds it.",
			"%s: the address %s is reserved as %q in subnet %s already", a.field, address, value(holder), a.sn.name)}
	}
	if found == nil {
		return nil, nil
	}
	pairs := [][3]string{{"owner", ownerUser, value(found.Owner)}}
	if a.explicit != "" { // of those that are chosen, any will do: the name is ours
		pairs = append(pairs, [3]string{"address", a.explicit, value(found.Address)})
	}
	if target, ok := found.Target.(*vpcv1.ReservedIPTarget); ok && target != nil && !j.ourInterface(value(target.Name), interfaceOf(a.role)) {
		// It may be bound by now, but only to an interface that carries it.
		pairs = append(pairs, [3]string{"target", j.name(interfaceOf(a.role))(1), value(target.Name)})
	}
	if why := differ(pairs...); why != "" {
		return nil, foreign("reserved address", name, why)
	}
	if value(found.AutoDelete) {
		return nil, foreign("reserved address", name, "it is deleted with its interface (auto_delete)")
	}
	return found, nil
}

// ourInterface tells whether a name is that of this order's interface of a
// role, in any generation, or of the one that the journal has.
func (j *job) ourInterface(name, role string) bool {
	if name == j.held(kindVNI, role).Name {
		return true
	}
	for generation := range generationsKnown {
		if name == j.name(role)(generation+1) {
			return true
		}
	}
	return false
}

// generationsKnown is how many generations of an interface's name are known
// again: each is one release within one deployment.
const generationsKnown = 100

// vni makes the virtual network interface of a role, bound to the first of the
// reserved IPs as its own, and to the others as secondary ones: an address that
// is only reserved carries no traffic.
func (j *job) vni(ctx context.Context, role string, sn subnet, ips []*vpcv1.ReservedIP) (*vpcv1.VirtualNetworkInterface, error) {
	primary := value(ips[0].ID)
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
			if j.neverAsked(kindVNI, name) {
				return nil, nil
			}
			return j.findVNI(ctx, name, sn, primary)
		},
		create: func(ctx context.Context, name string) (*vpcv1.VirtualNetworkInterface, error) {
			return create(ctx, j.Provider, "making the "+role+" interface", func(ctx context.Context) (*vpcv1.VirtualNetworkInterface, *core.DetailedResponse, error) {
				return j.vpcCreate.CreateVirtualNetworkInterfaceWithContext(ctx, j.vniOptions(name, sn, ips))
			})
		},
	}
	_, vni, err := ensure(ctx, j.Provider, w)
	return vni, err
}

func (j *job) vniOptions(name string, sn subnet, ips []*vpcv1.ReservedIP) *vpcv1.CreateVirtualNetworkInterfaceOptions {
	options := j.vpc.NewCreateVirtualNetworkInterfaceOptions().SetName(name).SetAutoDelete(false).
		SetSubnet(&vpcv1.SubnetIdentityByID{ID: &sn.id}).
		SetPrimaryIP(&vpcv1.VirtualNetworkInterfacePrimaryIPPrototypeReservedIPIdentityVirtualNetworkInterfacePrimaryIPContextByID{ID: ips[0].ID})
	var more []vpcv1.VirtualNetworkInterfaceIPPrototypeIntf
	for _, ip := range ips[1:] {
		more = append(more, &vpcv1.VirtualNetworkInterfaceIPPrototypeReservedIPIdentityVirtualNetworkInterfaceIPsContextByID{ID: ip.ID})
	}
	if more != nil {
		options.SetIps(more)
	}
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
	all, err := j.listVNIs(ctx)
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
func (p *Provider) groupPair(g *vpcv1.ResourceGroupReference) [3]string {
	var id string
	if g != nil {
		id = value(g.ID)
	}
	if p.cfg.ResourceGroup == "" {
		return [3]string{"resource group", id, id}
	}
	return [3]string{"resource group", p.cfg.ResourceGroup, id}
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

// bind makes sure that the interface carries every one of the addresses. They
// are part of its creation; this is for what somebody took away since, and for
// interfaces that were made before there were such addresses. The call is a
// PUT: made again it changes nothing.
func (j *job) bind(ctx context.Context, vni *vpcv1.VirtualNetworkInterface, ips []*vpcv1.ReservedIP) error {
	bound := map[string]bool{}
	if vni.PrimaryIP != nil {
		bound[value(vni.PrimaryIP.ID)] = true
	}
	for _, ip := range vni.Ips {
		bound[value(ip.ID)] = true
	}
	for _, ip := range ips {
		if bound[value(ip.ID)] {
			continue
		}
		j.tell(ctx, fmt.Sprintf("binding the address %s to the interface %s", value(ip.Address), value(vni.Name)))
		_, err := get(ctx, j.Provider, "binding an address to the interface", func(ctx context.Context) (*vpcv1.ReservedIPReference, *core.DetailedResponse, error) {
			return j.vpc.AddVirtualNetworkInterfaceIPWithContext(ctx, j.vpc.NewAddVirtualNetworkInterfaceIPOptions(value(vni.ID), value(ip.ID)))
		})
		var f *callFailure
		if errors.As(err, &f) && f.status == http.StatusConflict {
			return permanent(deploy.CodeConflict, "See in IBM Cloud what the address is bound to, and free it; then retry.",
				"the address %s cannot be bound to the interface %s: %s", value(ip.Address), value(vni.Name), f.Error())
		}
		if err != nil {
			return err
		}
	}
	return nil
}
