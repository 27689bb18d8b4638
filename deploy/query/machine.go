package query

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/ent"
	"github.com/slipwayhq/slipway/ent/clustermember"
	"github.com/slipwayhq/slipway/ent/deployment"
	"github.com/slipwayhq/slipway/ent/node"
	"github.com/slipwayhq/slipway/ent/predicate"
	"github.com/slipwayhq/slipway/ent/resource"
)

// Machines reads what the boot service must know of a machine.
type Machines struct{ read *ent.Client }

// NewMachines reads from a database.
func NewMachines(read *ent.Client) *Machines { return &Machines{read: read} }

// MachineHint names a node by the first of its fields that is set.
type MachineHint struct {
	NodeID int64
	IP     string // management address
	MAC    string // boot interface, lower case with colons
	Serial string // as deploy.NormalSerial gives it
}

// Machine is a node with one of its deployments.
type Machine struct {
	NodeID       int64
	NodeName     string
	Provider     string
	ManagementIP string
	MAC          string // boot interface, "" if not known
	Serial       string // as deploy.NormalSerial gives it, "" if not known
	// Cluster is what the node belongs to; its name is the node's own word where
	// it is a member of none that Slipway forms.
	Cluster MachineCluster

	// Of the deployment; zero when the node was never deployed.
	DeploymentID int64
	Number       int
	Attempt      int
	State        string
	Phase        string
	Reboots      int
	Spec         deploy.Spec

	// Peers are the members of the same cluster, this one among them, by position;
	// or else the nodes with the same cluster name, by name. Those without an
	// address yet are not among them.
	Peers     []Peer
	addresses map[string]Address // by role
}

// MachineCluster is a machine's cluster.
type MachineCluster struct {
	ID               int64  // 0 = the node is a member of none that Slipway forms
	Name             string // empty = it stands alone
	Type             string // single_node or multi_node
	VIP              string // the cluster's own address, "" without one
	RedundancyFactor int
}

// Peer is a member of a machine's cluster.
type Peer struct {
	NodeName     string
	ManagementIP string
	CVMIP        string
}

// Address is an address that a provider holds for a machine, as it wrote it
// into the details of the journal's reserved_ip row.
type Address struct {
	IP         string   `json:"address"`
	CIDR       string   `json:"cidr"` // of the subnet
	Gateway    string   `json:"gateway"`
	MTU        int      `json:"mtu"`
	DNSServers []string `json:"dns_servers"`
}

// Address gives what is held for a role: management, ahv, cvm, workload-1,
// vlan-100.
func (m Machine) Address(role string) Address { return m.addresses[role] }

// AddressHolder names the node that has an address, of any kind, other than
// the given one; empty if none has.
func (m *Machines) AddressHolder(ctx context.Context, nodeID int64, address string) (string, error) {
	n, err := m.read.Node.Query().Where(node.IDNEQ(nodeID),
		node.Or(node.ManagementIP(address), node.WorkloadIP(address), node.AhvIP(address), node.CvmIP(address))).First(ctx)
	if ent.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("find the node with the address %s: %w", address, err)
	}
	return n.Name, nil
}

// Machine reads a deployment and its node.
func (m *Machines) Machine(ctx context.Context, deploymentID int64) (Machine, error) {
	d, err := m.read.Deployment.Query().Where(deployment.ID(deploymentID)).WithNode().Only(ctx)
	if ent.IsNotFound(err) {
		return Machine{}, deploy.Errorf(deploy.CodeNotFound, "there is no deployment %d", deploymentID)
	}
	if err != nil {
		return Machine{}, fmt.Errorf("read deployment %d: %w", deploymentID, err)
	}
	return m.fill(ctx, d.Edges.Node, d)
}

// FindMachine reads the node that a hint names, with its current deployment.
func (m *Machines) FindMachine(ctx context.Context, hint MachineHint) (Machine, error) {
	q := m.read.Node.Query()
	switch {
	case hint.NodeID != 0:
		q.Where(node.ID(hint.NodeID))
	case hint.IP != "":
		q.Where(node.ManagementIP(hint.IP))
	case hint.MAC != "":
		q.Where(node.MAC(hint.MAC))
	default:
		q.Where(node.Serial(hint.Serial))
	}
	n, err := q.Only(ctx)
	if ent.IsNotFound(err) {
		return Machine{}, deploy.Errorf(deploy.CodeNotFound, "there is no such node")
	}
	if err != nil {
		return Machine{}, fmt.Errorf("find node: %w", err)
	}
	if n.CurrentDeploymentID == nil {
		return m.fill(ctx, n, nil)
	}
	d, err := m.read.Deployment.Get(ctx, *n.CurrentDeploymentID)
	if err != nil {
		return Machine{}, fmt.Errorf("read deployment %d: %w", *n.CurrentDeploymentID, err)
	}
	return m.fill(ctx, n, d)
}

func (m *Machines) fill(ctx context.Context, n *ent.Node, d *ent.Deployment) (Machine, error) {
	out := Machine{
		NodeID: n.ID, NodeName: n.Name, Provider: n.Provider, ManagementIP: deref(n.ManagementIP),
		MAC: deref(n.MAC), Serial: deref(n.Serial), Cluster: MachineCluster{Name: deref(n.ClusterName)}, addresses: map[string]Address{},
	}
	if out.MAC == "" && len(n.MACAddresses) > 0 {
		out.MAC = n.MACAddresses[0]
	}
	if d != nil {
		out.DeploymentID, out.Number, out.Attempt, out.State, out.Phase, out.Reboots = d.ID, d.Number, d.Attempt, d.State, d.Phase, d.Reboots
		if err := json.Unmarshal(d.Config, &out.Spec); err != nil {
			return Machine{}, fmt.Errorf("read config of deployment %d: %w", d.ID, err)
		}
	}
	var err error
	if out.addresses, err = m.held(ctx, n.ID); err != nil {
		return Machine{}, err
	}
	// A provider that keeps no journal of addresses leaves them in the node, or
	// in the order alone.
	out.fallBack("ahv", n.AhvIP, out.Spec.AHVIP)
	out.fallBack("cvm", n.CvmIP, out.Spec.CVMIP)
	if err := m.join(ctx, &out); err != nil {
		return Machine{}, err
	}
	return out, nil
}

// join adds the machine's cluster and its peers.
func (m *Machines) join(ctx context.Context, out *Machine) error {
	place, err := m.read.ClusterMember.Query().Where(clustermember.NodeID(out.NodeID), activeMember).WithCluster().Only(ctx)
	if err != nil && !ent.IsNotFound(err) {
		return fmt.Errorf("read the cluster of node %d: %w", out.NodeID, err)
	}
	if err == nil {
		c := place.Edges.Cluster
		out.Cluster = MachineCluster{ID: c.ID, Name: c.Name, Type: c.Type, VIP: deref(c.Vip), RedundancyFactor: c.RedundancyFactor}
		out.Peers, err = m.members(ctx, c.ID)
		return err
	}
	if out.Cluster.Name != "" {
		out.Peers, err = m.peers(ctx, node.ClusterName(out.Cluster.Name))
		return err
	}
	return nil
}

// activeMember keeps those that belong to a cluster or may still join it.
var activeMember = clustermember.StateIn("member", "late")

// members reads who belongs to a cluster, by position.
func (m *Machines) members(ctx context.Context, clusterID int64) ([]Peer, error) {
	rows, err := m.read.ClusterMember.Query().Where(clustermember.ClusterID(clusterID), activeMember).Order(ent.Asc(clustermember.FieldPosition)).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("read members of cluster %d: %w", clusterID, err)
	}
	var out []Peer
	for _, r := range rows {
		one, err := m.peers(ctx, node.ID(r.NodeID)) // four of them at most
		if err != nil {
			return nil, err
		}
		out = append(out, one...)
	}
	return out, nil
}

// fallBack gives a role that no resource is held for the node's address, else
// the order's.
func (m Machine) fallBack(role string, known *string, ordered string) {
	if _, held := m.addresses[role]; held {
		return
	}
	if a := deref(known); a != "" {
		m.addresses[role] = Address{IP: a}
	} else if ordered != "" {
		m.addresses[role] = Address{IP: ordered}
	}
}

// held reads the addresses that a node's provider recorded, by role.
func (m *Machines) held(ctx context.Context, nodeID int64) (map[string]Address, error) {
	rows, err := m.read.Resource.Query().
		Where(resource.NodeID(nodeID), resource.Kind("reserved_ip"), resource.State(deploy.ResourcePresent)).
		Order(ent.Asc(resource.FieldID)).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("read addresses of node %d: %w", nodeID, err)
	}
	out := make(map[string]Address, len(rows))
	for _, r := range rows {
		var a Address
		if len(r.Details) > 0 {
			if err := json.Unmarshal(r.Details, &a); err != nil {
				return nil, fmt.Errorf("read details of resource %d: %w", r.ID, err)
			}
		}
		out[r.Role] = a // a later generation replaces an earlier one
	}
	return out, nil
}

// peers reads nodes that have a management address, by name.
func (m *Machines) peers(ctx context.Context, those predicate.Node) ([]Peer, error) {
	rows, err := m.read.Node.Query().Where(those, node.ManagementIPNotNil()).
		WithResources(func(q *ent.ResourceQuery) {
			q.Where(resource.Kind("reserved_ip"), resource.Role("cvm"), resource.State(deploy.ResourcePresent))
		}).Order(ent.Asc(node.FieldName)).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("read nodes of cluster: %w", err)
	}
	out := make([]Peer, len(rows))
	for i, n := range rows {
		out[i] = Peer{NodeName: n.Name, ManagementIP: deref(n.ManagementIP), CVMIP: deref(n.CvmIP)}
		for _, r := range slices.Backward(n.Edges.Resources) {
			var a Address
			if json.Unmarshal(r.Details, &a) == nil && a.IP != "" {
				out[i].CVMIP = a.IP
				break
			}
		}
	}
	return out, nil
}

func deref[T any](p *T) T {
	var zero T
	if p == nil {
		return zero
	}
	return *p
}
