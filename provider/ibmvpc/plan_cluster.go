package ibmvpc

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// What Slipway calls on controller VMs: the SSH server, by which a cluster is
// formed, and Prism.
const (
	cvmSSHPort = 22
	prismPort  = 9440
)

// singleNode is the type of a cluster (deploy.Spec) that has one member.
const singleNode = "single_node"

// amongMembers are TCP ports by which controller VMs of a cluster talk to each
// other: one each of Stargate, Genesis, Medusa (Cassandra) and Zeus (Zookeeper).
// There are many more, and releases differ; who lets these through lets all
// through, or has listed them.
var amongMembers = []int{2009, 2100, 7000, 9876}

// judgeCluster tells whether controller VMs let Slipway in to form their cluster,
// and reach each other. They have addresses of the management subnet, behind the
// same interface and its security groups as the host. It only warns: what runs in
// them is Nutanix's, and where Slipway calls from is not known for certain.
func (s *survey) judgeCluster() {
	if s.Spec.ClusterType == "" {
		return
	}
	if s.vpcFound.err != nil || s.groups.err != nil || len(s.groups.value) == 0 || s.boot.err != nil {
		s.unknown(CheckClusterTraffic, "the security groups, or the address of Slipway, are not known")
		return
	}
	rules := rulesOf(s.groups.value)
	before := len(s.checks[CheckClusterTraffic])
	for _, a := range s.boot.value {
		for _, port := range []int{cvmSSHPort, prismPort} {
			if allows(rules, "inbound", "tcp", port, a) != open {
				s.warn(CheckClusterTraffic, fmt.Sprintf("Add an inbound rule for TCP port %d from %s to a security group of the interfaces.", port, a),
					"the security groups do not let %s in to TCP port %d of controller VMs, by which Slipway %s", a, port,
					map[int]string{cvmSSHPort: "forms the cluster", prismPort: "looks at its health"}[port])
			}
		}
	}
	if s.Spec.ClusterType != singleNode {
		s.judgeAmongMembers(rules)
	}
	if len(s.checks[CheckClusterTraffic]) == before {
		s.pass(CheckClusterTraffic, "the security groups let Slipway in to controller VMs, TCP ports %d and %d, and controller VMs reach each other; network ACLs were not looked at", cvmSSHPort, prismPort)
	}
}

func (s *survey) judgeAmongMembers(rules []rule) {
	subnet, err := netip.ParsePrefix(s.where.management.cidr)
	if err != nil {
		s.unknown(CheckClusterTraffic, "the management subnet is not known")
		return
	}
	var own []string
	for _, g := range s.groups.value {
		own = append(own, value(g.ID))
	}
	for _, direction := range []string{"inbound", "outbound"} {
		var shutPorts []string
		for _, port := range amongMembers {
			if !slices.ContainsFunc(rules, func(r rule) bool { return r.covers(direction, "tcp", port) && r.admitsAll(subnet, own) }) {
				shutPorts = append(shutPorts, fmt.Sprint(port))
			}
		}
		if len(shutPorts) > 0 {
			s.warn(CheckClusterTraffic, "Add an "+direction+" rule for all protocols, whose remote is the security group of the interfaces itself: controller VMs of a cluster talk to each other by many ports.",
				"the security groups do not let the controller VMs of a cluster reach each other, %s: TCP port %s of %s", direction, strings.Join(shutPorts, ", "), subnet)
		}
	}
}

// admitsAll reports whether the rule's other end is everybody of a subnet: by its
// block, or as members of the groups that all of them have.
func (r rule) admitsAll(subnet netip.Prefix, own []string) bool {
	if r.Remote.ID != "" {
		return slices.Contains(own, r.Remote.ID)
	}
	block, err := netip.ParsePrefix(r.Remote.CIDR)
	return err == nil && block.Bits() <= subnet.Bits() && block.Contains(subnet.Addr())
}
