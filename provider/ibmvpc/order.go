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
	machine, accepted, err := p.accepted(ctx, o)
	if err != nil || accepted {
		return machine, err
	}
	where, err := p.site(ctx, o.Spec)
	if err != nil {
		return deploy.Machine{}, err
	}
	job := &job{Provider: p, Order: o, site: where}
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
// is the answer, that of another one forbids a second.
func (p *Provider) accepted(ctx context.Context, o deploy.Order) (deploy.Machine, bool, error) {
	held, err := p.journal.Held(ctx, o.NodeID)
	if err != nil {
		return deploy.Machine{}, false, err
	}
	for _, row := range held {
		if row.Provider != deploy.ProviderIBMVPC || row.Kind != kindServer {
			continue
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
		return machineOf(row, server), true, nil
	}
	return deploy.Machine{}, false, nil
}

func machineOf(row deploy.Resource, server *vpcv1.BareMetalServer) deploy.Machine {
	r := recordOf(row)
	return deploy.Machine{ServerID: row.CloudID, ServerStatus: value(server.Status), ManagementIP: r.ManagementIP, WorkloadIP: r.WorkloadIP, MACs: r.MACs}
}

// job is one order being carried out.
type job struct {
	*Provider
	deploy.Order
	site site
}

func (j *job) intent(kind, role string) deploy.Intent {
	return deploy.Intent{NodeID: j.NodeID, DeploymentID: j.DeploymentID, Kind: kind, Role: role}
}

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
	vni     string
	address string
	mac     string
	bound   string // the server it is bound to, as the API names it; empty if none
}

// interfaces makes the addresses and interfaces of all roles, then waits for
// all: the MAC and the address of an interface are known before its server
// exists.
func (j *job) interfaces(ctx context.Context) ([]network, error) {
	subnets := append([]subnet{j.site.management}, j.site.workload...)
	var made []*vpcv1.VirtualNetworkInterface
	var roles []string
	for n, sn := range subnets {
		role, address := roleManagement, j.Spec.ManagementIP
		if n > 0 {
			role, address = roleWorkload(n), ""
		}
		ip, err := j.reserve(ctx, role, sn, address)
		if err != nil {
			return nil, err
		}
		vni, err := j.vni(ctx, role, sn, ip)
		if err != nil {
			return nil, err
		}
		made, roles = append(made, vni), append(roles, role)
	}
	networks := make([]network, 0, len(made))
	for n, vni := range made {
		ready, err := ready(roles[n], vni)
		if err != nil {
			return nil, err
		}
		networks = append(networks, ready)
	}
	return networks, nil
}

// ready tells what is known of an interface, or that it is to be waited for.
func ready(role string, vni *vpcv1.VirtualNetworkInterface) (network, error) {
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
		return n, waiting(deploy.CodeUpstreamUnavailable, waitPending, "the %s interface %s is being made", role, value(vni.Name))
	}
	n.mac = mac
	return n, nil
}

func addresses(networks []network) (management, workload string, macs, vnis []string) {
	for _, n := range networks {
		macs, vnis = append(macs, n.mac), append(vnis, n.vni)
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
