package ibmvpc

import (
	"context"
	"fmt"

	"github.com/IBM/go-sdk-core/v5/core"
	"github.com/IBM/vpc-go-sdk/vpcv1"

	"github.com/slipwayhq/slipway/deploy"
)

// The types of attachments: a port of its own on the server, and a VLAN of one.
const (
	pci  = "pci"
	vlan = "vlan"
)

// server orders the server on its interfaces.
func (j *job) server(ctx context.Context, networks []network) (deploy.Machine, error) {
	management, workload, macs, vnis := addresses(networks)
	var bootURL string
	w := want[vpcv1.BareMetalServer]{
		intent: j.intent(kindServer, ""), what: "server", name: j.name(""), note: j.tell,
		plan: record{Zone: j.site.zone, Profile: j.Spec.ServerProfile, VNIs: vnis, MACs: macs, ManagementIP: management, WorkloadIP: workload},
		id:   func(s *vpcv1.BareMetalServer) string { return value(s.ID) },
		made: func(_ *vpcv1.BareMetalServer, r record) record { return r },
		get:  j.getServer,
		find: func(ctx context.Context, name string) (*vpcv1.BareMetalServer, error) {
			if j.neverAsked(kindServer, name) {
				return nil, nil
			}
			return j.findServer(ctx, name, vnis)
		},
		prepare: func(ctx context.Context, name string) (err error) {
			if err := unbound(name, networks); err != nil {
				return j.lingering(ctx, networks, err)
			}
			// The last thing before the create: every call of it mints a locator.
			if bootURL, err = j.BootURL(ctx); err != nil {
				return fmt.Errorf("making the boot URL: %w", err)
			}
			return nil
		},
		create: func(ctx context.Context, name string) (*vpcv1.BareMetalServer, error) {
			return create(ctx, j.Provider, "ordering the server", func(ctx context.Context) (*vpcv1.BareMetalServer, *core.DetailedResponse, error) {
				return j.vpcCreate.CreateBareMetalServerWithContext(ctx, j.vpc.NewCreateBareMetalServerOptions(j.prototype(name, bootURL, networks)))
			})
		},
	}
	row, server, err := ensure(ctx, j.Provider, w)
	if err != nil {
		return deploy.Machine{}, err
	}
	machine := machineOf(row, server)
	held, err := j.journal.Held(ctx, j.NodeID)
	if err != nil {
		return deploy.Machine{}, err
	}
	return withGuests(machine, held), nil
}

// unbound refuses to order on an interface that has a server already: no
// server of our name was found, so it is somebody else's.
func unbound(name string, networks []network) error {
	for _, n := range networks {
		if n.bound != "" {
			return permanent(deploy.CodeConflict, "See in IBM Cloud what the interface is attached to. If it is a server that somebody renamed, delete it or clean up this deployment.",
				"the %s interface of %s is attached to something else already: %s", n.role, name, n.bound)
		}
	}
	return nil
}

// prototype is the server as it is asked for: booting from the network by the
// URL in its user data, on interfaces that exist.
func (j *job) prototype(name, bootURL string, networks []network) *vpcv1.BareMetalServerPrototypeBareMetalServerByNetworkAttachment {
	keys := []vpcv1.KeyIdentityIntf{} // must be in the request, may be empty
	for i := range j.site.keys {
		keys = append(keys, &vpcv1.KeyIdentityByID{ID: &j.site.keys[i]})
	}
	prototype := &vpcv1.BareMetalServerPrototypeBareMetalServerByNetworkAttachment{
		Name: &name,
		Initialization: &vpcv1.BareMetalServerInitializationPrototype{
			Image: &vpcv1.ImageIdentityByID{ID: &j.site.image}, Keys: keys, UserData: &bootURL,
		},
		Profile: &vpcv1.BareMetalServerProfileIdentityByName{Name: &j.Spec.ServerProfile},
		Zone:    &vpcv1.ZoneIdentityByName{Name: &j.site.zone},
		VPC:     &vpcv1.VPCIdentityByID{ID: &j.site.vpcID},
		// The iPXE image is not signed for secure boot.
		EnableSecureBoot: core.BoolPtr(false),
		PrimaryNetworkAttachment: &vpcv1.BareMetalServerPrimaryNetworkAttachmentPrototypeBareMetalServerPrimaryNetworkAttachmentByPciPrototype{
			Name: core.StringPtr(roleManagement), InterfaceType: core.StringPtr(pci), VirtualNetworkInterface: vniIdentity(networks[0].vni),
			AllowedVlans: vlansOf(networks),
		},
	}
	for _, n := range networks[1:] {
		prototype.NetworkAttachments = append(prototype.NetworkAttachments, n.attachment())
	}
	if j.cfg.ResourceGroup != "" {
		prototype.ResourceGroup = &vpcv1.ResourceGroupIdentityByID{ID: &j.cfg.ResourceGroup}
	}
	return prototype
}

// attachment is how the server gets the network: by a port, or by a VLAN of the
// management port.
func (n network) attachment() vpcv1.BareMetalServerNetworkAttachmentPrototypeIntf {
	if n.vlan == 0 {
		return &vpcv1.BareMetalServerNetworkAttachmentPrototypeBareMetalServerNetworkAttachmentByPciPrototype{
			Name: &n.role, InterfaceType: core.StringPtr(pci), VirtualNetworkInterface: vniIdentity(n.vni),
		}
	}
	return &vpcv1.BareMetalServerNetworkAttachmentPrototypeBareMetalServerNetworkAttachmentByVlanPrototype{
		Name: &n.role, InterfaceType: core.StringPtr(vlan), VirtualNetworkInterface: vniIdentity(n.vni),
		Vlan: core.Int64Ptr(int64(n.vlan)), AllowToFloat: &n.float,
	}
}

// vlansOf are the VLANs that the management port must let through.
func vlansOf(networks []network) []int64 {
	var ids []int64
	for _, n := range networks {
		if n.vlan != 0 {
			ids = append(ids, int64(n.vlan))
		}
	}
	return ids
}

func vniIdentity(id string) vpcv1.BareMetalServerNetworkAttachmentPrototypeVirtualNetworkInterfaceIntf {
	return &vpcv1.BareMetalServerNetworkAttachmentPrototypeVirtualNetworkInterfaceVirtualNetworkInterfaceIdentityVirtualNetworkInterfaceIdentityByID{ID: &id}
}

func (p *Provider) getServer(ctx context.Context, id string) (*vpcv1.BareMetalServer, error) {
	return get(ctx, p, "reading the server", func(ctx context.Context) (*vpcv1.BareMetalServer, *core.DetailedResponse, error) {
		return p.vpc.GetBareMetalServerWithContext(ctx, p.vpc.NewGetBareMetalServerOptions(id))
	})
}

// findServer looks for the name in the region, where it is unique, and takes
// it for ours only with our VPC, resource group and interfaces.
func (j *job) findServer(ctx context.Context, name string, vnis []string) (*vpcv1.BareMetalServer, error) {
	all, err := list(ctx, j.Provider, "looking for the server", func() (*vpcv1.BareMetalServersPager, error) {
		return j.vpc.NewBareMetalServersPager(j.vpc.NewListBareMetalServersOptions().SetName(name).SetLimit(pageSize))
	})
	if err != nil {
		return nil, err
	}
	for i := range all {
		s := &all[i]
		if value(s.Name) != name {
			continue
		}
		var vpcID, primary string
		if s.VPC != nil {
			vpcID = value(s.VPC.ID)
		}
		if s.PrimaryNetworkAttachment != nil {
			primary = attachedVNI(*s.PrimaryNetworkAttachment)
		}
		why := differ([3]string{"VPC", j.site.vpcID, vpcID}, j.groupPair(s.ResourceGroup), [3]string{"primary interface", vnis[0], primary})
		if why == "" && !sameSet(vnis, attachedVNIs(s)) {
			why = "its interfaces are not the ones that were made for it"
		}
		if why != "" {
			return nil, foreign("bare metal server", name, why)
		}
		return s, nil
	}
	return nil, nil
}

func attachedVNI(a vpcv1.BareMetalServerNetworkAttachmentReference) string {
	if a.VirtualNetworkInterface == nil {
		return ""
	}
	return value(a.VirtualNetworkInterface.ID)
}

func attachedVNIs(s *vpcv1.BareMetalServer) []string {
	var ids []string
	for _, a := range s.NetworkAttachments {
		ids = append(ids, attachedVNI(a))
	}
	return ids
}
