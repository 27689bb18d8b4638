package ibmvpc

import (
	"context"
	"fmt"
	"slices"

	"github.com/IBM/vpc-go-sdk/vpcv1"

	"github.com/slipwayhq/slipway/deploy"
)

// Order makes what is missing of the node's addresses, interfaces and server,
// and returns once IBM Cloud has accepted the server. It may be called again
// at any time, also after it was killed; failures are deploy.ProviderError.
func (p *Provider) Order(ctx context.Context, o deploy.Order) (deploy.Machine, error) {
	machine, err := p.order(ctx, o)
	return machine, asProviderError(err)
}

func (p *Provider) order(ctx context.Context, o deploy.Order) (deploy.Machine, error) {
	if err := checkOrder(o); err != nil {
		return deploy.Machine{}, err
	}
	if err := p.retire(ctx, o); err != nil {
		return deploy.Machine{}, err
	}
	held, err := p.journal.Held(ctx, o.NodeID)
	if err != nil {
		return deploy.Machine{}, err
	}
	machine, accepted, err := p.accepted(ctx, o, held)
	if err != nil || accepted {
		return machine, err
	}
	where, err := p.site(ctx, o.Spec)
	if err != nil {
		return deploy.Machine{}, err
	}
	job := &job{Provider: p, Order: o, site: where, rows: held, looked: map[string]bool{}, pools: map[string]pool{}}
	interfaces, err := job.interfaces(ctx)
	if err != nil {
		return deploy.Machine{}, err
	}
	return job.server(ctx, interfaces)
}

func checkOrder(o deploy.Order) error {
	if o.NodeID <= 0 || o.DeploymentID <= 0 || len(deploy.CheckNodeName("", o.NodeName)) > 0 || o.BootURL == nil {
		return permanent(deploy.CodeInvalid, "", "an order needs node, deployment, a node name and a boot URL")
	}
	if len(o.Spec.WorkloadSubnets) > 7 {
		return permanent(deploy.CodeOutOfRange, "A server has at most 8 PCI attachments, one of them for management.", "workload_subnets: at most 7, got %d", len(o.Spec.WorkloadSubnets))
	}
	return nil
}

// accepted looks in the journal for the node's server: that of this deployment
// is the answer, that of another one forbids a second, and so does one that is
// on its way out. One in doubt, whichever deployment asked for it, is what
// job.server goes on with: see current.
func (p *Provider) accepted(ctx context.Context, o deploy.Order, held []deploy.Resource) (deploy.Machine, bool, error) {
	for _, row := range held {
		if row.Provider != deploy.ProviderIBMVPC || row.Kind != kindServer {
			continue
		}
		if row.State == deploy.ResourceReleasing && row.HeldBy == o.DeploymentID {
			return deploy.Machine{}, false, waiting(deploy.CodeConflict, waitConflict, "the server %s of node %s is being released", row.Name, o.NodeName)
		}
		if row.HeldBy != o.DeploymentID {
			if row.State == deploy.ResourceIntent { // its create was refused, or never sent
				continue
			}
			return deploy.Machine{}, false, permanent(deploy.CodeConflict, "Clean up that deployment first, or reinitialize the node.",
				"node %s still has the server %s of deployment %d", o.NodeName, row.Name, row.HeldBy)
		}
		if row.State != deploy.ResourcePresent {
			continue
		}
		server, err := p.getServer(ctx, row.CloudID)
		if isNotFound(err) {
			return deploy.Machine{}, false, permanent(deploy.CodeConflict, "Somebody deleted it outside Slipway. Clean up this deployment, then deploy again.",
				"the server %s (%s) that was ordered for this node is gone", row.Name, row.CloudID)
		}
		if err != nil {
			return deploy.Machine{}, false, err
		}
		return withGuests(machineOf(row, server), held), true, nil
	}
	return deploy.Machine{}, false, nil
}

func machineOf(row deploy.Resource, server *vpcv1.BareMetalServer) deploy.Machine {
	r := recordOf(row)
	return deploy.Machine{ServerID: row.CloudID, ServerStatus: value(server.Status), ManagementIP: r.ManagementIP, WorkloadIP: r.WorkloadIP, MACs: r.MACs}
}

// withGuests adds the addresses of hypervisor and controller VM from the
// journal.
func withGuests(m deploy.Machine, held []deploy.Resource) deploy.Machine {
	for _, row := range held {
		if row.Provider != deploy.ProviderIBMVPC || row.Kind != kindReservedIP || row.State != deploy.ResourcePresent {
			continue
		}
		switch row.Role {
		case roleAHV:
			m.AHVIP = recordOf(row).Address
		case roleCVM:
			m.CVMIP = recordOf(row).Address
		}
	}
	return m
}

// job is one order being carried out.
type job struct {
	*Provider
	deploy.Order
	site   site
	rows   []deploy.Resource // what the node held when the order began
	looked map[string]bool   // by kind and name, see neverAsked
	pools  map[string]pool   // by subnet
}

// held gives the row of a role that this deployment held when the order began;
// a zero one if there is none.
func (j *job) held(kind, role string) deploy.Resource {
	return heldRow(j.rows, j.intent(kind, role), nil)
}

// neverAsked tells, the first time in an order, that a name need not be looked
// for: its row says that it was never asked for, or refused for certain, since
// a row becomes doubtful before the call. Names carry the deployment's id, and
// a name that somebody else has is refused by the create, which is looked into.
// So an order costs the same number of calls however much there is in the
// account.
func (j *job) neverAsked(kind, name string) bool {
	key := kind + "/" + name
	if j.looked[key] {
		return false
	}
	j.looked[key] = true
	for _, row := range j.rows {
		if row.Provider == deploy.ProviderIBMVPC && row.Kind == kind && row.Name == name {
			return row.State == deploy.ResourceIntent
		}
	}
	return true
}

func (j *job) intent(kind, role string) deploy.Intent {
	return deploy.Intent{NodeID: j.NodeID, DeploymentID: j.DeploymentID, Kind: kind, Role: role}
}

// name names what has no row yet. What has one keeps its name: see current.
func (j *job) name(role string) func(generation int) string {
	return func(generation int) string {
		return resourceName(j.cfg.Prefix, j.NodeName, j.DeploymentID, generation, role)
	}
}

func (j *job) tell(ctx context.Context, message string) {
	if j.Note != nil {
		j.Note(ctx, message)
	}
}

// network is one interface of the server, made and ready.
type network struct {
	role    string
	vlan    int // 0 for a port of its own
	float   bool
	vni     string
	address string
	mac     string
	bound   string // the server it is bound to, as the API names it; empty if none
}

// link is an interface that the order needs, with its addresses, its own first.
type link struct {
	role      string
	sn        subnet
	vlan      int
	float     bool
	addresses []wanted
}

// links lists what the order needs: the management interface, a port for each
// workload subnet, and a VLAN of the management port for each of the others.
func (j *job) links() []link {
	all := []link{{role: roleManagement, sn: j.site.management, addresses: j.site.addresses}}
	for n, sn := range j.site.workload {
		role := roleWorkload(n + 1)
		all = append(all, link{role: role, sn: sn, addresses: []wanted{{role: role, sn: sn}}})
	}
	for _, v := range j.site.vlans {
		role := roleVLAN(v.id)
		all = append(all, link{role: role, sn: v.subnet, vlan: v.id, float: v.float, addresses: []wanted{{role: role, sn: v.subnet}}})
	}
	return all
}

// interfaces makes the addresses and interfaces of all roles, then waits for
// all: the MAC and the address of an interface are known before its server
// exists.
func (j *job) interfaces(ctx context.Context) ([]network, error) {
	links := j.links()
	made := make([]*vpcv1.VirtualNetworkInterface, len(links))
	reserved := make([][]*vpcv1.ReservedIP, len(links))
	for n, l := range links {
		for _, a := range l.addresses {
			ip, err := j.address(ctx, a)
			if err != nil {
				return nil, err
			}
			reserved[n] = append(reserved[n], ip)
		}
		var err error
		if made[n], err = j.vni(ctx, l.role, l.sn, reserved[n]); err != nil {
			return nil, err
		}
	}
	networks := make([]network, 0, len(made))
	for n, vni := range made {
		ready, err := j.ready(links[n].role, vni)
		if err != nil {
			return nil, err
		}
		for _, ip := range reserved[n] {
			if a := value(ip.Address); a == "" || a == unchosen {
				return nil, waiting(deploy.CodeUpstreamUnavailable, j.soon(ip.CreatedAt), "the address %s is being chosen", value(ip.Name))
			}
		}
		if err := j.bind(ctx, vni, reserved[n]); err != nil {
			return nil, err
		}
		ready.vlan, ready.float = links[n].vlan, links[n].float
		networks = append(networks, ready)
	}
	return networks, nil
}

// ready tells what is known of an interface, or that it is to be waited for.
func (j *job) ready(role string, vni *vpcv1.VirtualNetworkInterface) (network, error) {
	n := network{role: role, vni: value(vni.ID), bound: vniTarget(vni)}
	switch state := value(vni.LifecycleState); state {
	case vpcv1.VirtualNetworkInterfaceLifecycleStateFailedConst, vpcv1.VirtualNetworkInterfaceLifecycleStateSuspendedConst,
		vpcv1.VirtualNetworkInterfaceLifecycleStateDeletingConst:
		return n, permanent(deploy.CodeConflict, "Clean up this deployment, then deploy again.", "the %s interface %s is %s", role, value(vni.Name), state)
	}
	if vni.PrimaryIP != nil {
		n.address = value(vni.PrimaryIP.Address)
	}
	mac, ok := deploy.NormalMAC(value(vni.MacAddress))
	if !ok || n.address == "" || n.address == "0.0.0.0" {
		return n, waiting(deploy.CodeUpstreamUnavailable, j.soon(vni.CreatedAt), "the %s interface %s is being made", role, value(vni.Name))
	}
	n.mac = mac
	return n, nil
}

// addresses takes the networks together: the machine's own addresses, the MACs
// of its ports, and all interfaces, the one to boot over first. A VLAN has no
// port of its own, but does for the workload's address if nothing else does.
func addresses(networks []network) (management, workload string, macs, vnis []string) {
	for _, n := range networks {
		vnis = append(vnis, n.vni)
		if n.vlan == 0 {
			macs = append(macs, n.mac)
		}
	}
	management = networks[0].address
	if len(networks) > 1 {
		workload = networks[1].address
	}
	return management, workload, macs, vnis
}

// sameSet compares without order.
func sameSet(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}

func foreign(what, name, why string) error {
	return permanent(deploy.CodeConflict, "Slipway never takes over what it did not make. Rename or delete it in IBM Cloud, or give this Slipway another name prefix.",
		"there is a %s named %s in IBM Cloud already, and it is not ours: %s", what, name, why)
}

// differ tells the first difference between what is ours and what was found.
func differ(pairs ...[3]string) string {
	for _, pair := range pairs {
		if pair[1] != pair[2] {
			return fmt.Sprintf("its %s is %q and not %q", pair[0], pair[2], pair[1])
		}
	}
	return ""
}
