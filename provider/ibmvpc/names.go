package ibmvpc

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// nameMax is the longest name that the VPC API takes (the pattern of the API
// reference: lower-case letters, digits and hyphens, 1 to 63 characters).
const nameMax = 63

// Kinds of resources in the journal.
const (
	kindReservedIP = "reserved_ip"
	kindVNI        = "vni"
	kindServer     = "server"
	kindA          = "dns_a"
	kindPTR        = "dns_ptr"
)

// The roles of addresses, interfaces and names. The addresses of AHV, CVM and
// cluster have no interface of their own: they are bound to the management
// interface.
const (
	roleManagement = "management" // the interface that the server boots over
	roleAHV        = "ahv"        // the hypervisor
	roleCVM        = "cvm"        // the controller VM
	roleCluster    = "cluster"    // the cluster that the node creates
)

const (
	workloadRoles = "workload-"
	vlanRoles     = "vlan-"
)

func roleWorkload(n int) string { return fmt.Sprintf(workloadRoles+"%d", n) }

func roleVLAN(id int) string { return fmt.Sprintf(vlanRoles+"%d", id) }

// interfaceOf is the role of the interface that carries a role's address.
func interfaceOf(role string) string {
	switch role {
	case roleAHV, roleCVM, roleCluster:
		return roleManagement
	}
	return role
}

// resourceName is the deterministic name of what a deployment makes: prefix,
// node, deployment and generation, and for addresses and interfaces the role.
// Deployment ids are unique in one Slipway, so that cutting a long node name
// (with eight digits of its hash, to keep it readable which is which) never
// makes two names equal.
func resourceName(prefix, node string, deployment int64, generation int, role string) string {
	tail := fmt.Sprintf("-d%d-g%d", deployment, generation)
	if role != "" {
		tail += "-" + shortRole(role)
	}
	if room := nameMax - len(prefix) - len(tail); len(node) > room {
		sum := sha256.Sum256([]byte(node))
		hash := hex.EncodeToString(sum[:4])
		node = strings.TrimRight(node[:max(0, room-len(hash)-1)], "-") + "-" + hash
	}
	return prefix + node + tail
}

func shortRole(role string) string {
	switch {
	case role == roleManagement:
		return "mgmt"
	case strings.HasPrefix(role, workloadRoles):
		return strings.Replace(role, workloadRoles, "w", 1)
	}
	return strings.Replace(role, vlanRoles, "v", 1)
}
