package nodeconfig

import (
	"encoding/json"
	"fmt"
)

// Config is one machine's configuration document.
type Config struct {
	NodeConfig Node       `json:"node_config"`
	Network    Network    `json:"network"`
	Storage    Storage    `json:"storage_config"`
	Resources  Resources  `json:"resources"`
	Cluster    Cluster    `json:"cluster"`
	Artifacts  []Artifact `json:"artifacts"`
	Installer  Installer  `json:"installer"`
	Access     Access     `json:"access"`
	// Scripts lists the served scripts by file name, for example "report.sh".
	// A machine checks what it fetched against these sums.
	Scripts map[string]Script `json:"scripts"`
	Report  Report            `json:"report"`
}

// Node says which machine the document is for.
type Node struct {
	// NodeID is the node's opaque global id.
	NodeID string `json:"node_id"`
	// NodeName is an RFC 1123 label: lower case, at most 40 characters.
	NodeName string `json:"node_name"`
	// MgmtIP is the management address; reports are filed under it.
	MgmtIP string `json:"mgmt_ip"`
	// AHVIP is the hypervisor's own address, empty when it has none.
	AHVIP string `json:"ahv_ip"`
	// CVMIP is the address of the controller virtual machine, empty when it has none.
	CVMIP string `json:"cvm_ip"`
}

// Network is the configuration of the management interface.
type Network struct {
	// Address is an IPv4 address without a prefix length.
	Address string `json:"address"`
	// Netmask is dotted ("255.255.255.0") or a prefix length ("24").
	Netmask string `json:"netmask"`
	// Gateway is the default router, empty for none.
	Gateway    string   `json:"gateway"`
	DNSServers []string `json:"dns_servers"`
	// Domain is the search domain, empty for none.
	Domain string `json:"domain"`
	// MAC names the interface. Without it, the machine takes the interface that
	// already holds Address, else its only one.
	MAC string `json:"mac,omitempty"`
	// MTU in bytes; 0 leaves the interface's own.
	MTU   int    `json:"mtu,omitempty"`
	VLANs []VLAN `json:"vlans"`
}

// VLAN is an IEEE 802.1Q interface on top of the management interface.
type VLAN struct {
	// ID is 1 to 4094.
	ID int `json:"id"`
	// Address and Netmask are both set or both empty.
	Address string `json:"address,omitempty"`
	Netmask string `json:"netmask,omitempty"`
}

// Storage selects disks by what they are, never by a device name.
type Storage struct {
	BootDisk Disk `json:"boot_disk"`
	// DataDrives are resolved in order; a disk is used once, and the boot disk never.
	DataDrives []Disk `json:"data_drives"`
}

// DiskType is the kind of a disk. The kinds exclude each other.
type DiskType string

// The kinds of disk.
const (
	// DiskNVMe is any disk on the NVMe driver.
	DiskNVMe DiskType = "nvme"
	// DiskSSD does not rotate and is not NVMe.
	DiskSSD DiskType = "ssd"
	// DiskHDD rotates.
	DiskHDD DiskType = "hdd"
)

// Disk selects disks: all the criteria that are set must hold. A selector that
// matches another number of disks than Count is an error of the machine's
// storage discovery, so a document never leads to a guess.
type Disk struct {
	// Serial is compared exactly, outer blanks aside.
	Serial string `json:"serial,omitempty"`
	// WWN is compared without case and without a prefix such as "naa.", "eui." or "0x".
	WWN string `json:"wwn,omitempty"`
	// Model is compared exactly, outer blanks aside.
	Model string `json:"model,omitempty"`
	// Size is the exact size in bytes.
	Size int64 `json:"size,omitempty"`
	// MinSize and MaxSize are inclusive bounds in bytes.
	MinSize int64    `json:"min_size,omitempty"`
	MaxSize int64    `json:"max_size,omitempty"`
	Type    DiskType `json:"type,omitempty"`
	// Count is how many disks the selector must match; 0 means 1.
	Count int `json:"count,omitempty"`
}

// Resources of the controller virtual machine.
type Resources struct {
	CVMMemoryGB int `json:"cvm_memory_gb"`
	CVMVCPUs    int `json:"cvm_vcpus"`
}

// Cluster is what the node will belong to; Name is empty for a stand-alone node.
// It is for what an installer sets up on its machine: the cluster itself is
// formed by the server, once all members are installed.
type Cluster struct {
	Name      string `json:"name"`
	Type      string `json:"type"`
	Operation string `json:"operation"`
	// VIP is the cluster's own IPv4 address, empty when it has none.
	VIP string `json:"vip,omitempty"`
	// RedundancyFactor is how many copies the cluster keeps; 0 when it is not known.
	RedundancyFactor int `json:"redundancy_factor,omitempty"`
	// Nodes are the members whose addresses are known, this one among them, the
	// one that creates the cluster first.
	Nodes []ClusterNode `json:"nodes"`
}

// ClusterNode is a member of the cluster.
type ClusterNode struct {
	NodeName string `json:"node_name"`
	MgmtIP   string `json:"mgmt_ip"`
	CVMIP    string `json:"cvm_ip,omitempty"`
}

// Artifact is a file the machine downloads and checks.
type Artifact struct {
	// Name is a plain file name.
	Name string `json:"name"`
	// URL is absolute, http or https.
	URL string `json:"url"`
	// SHA256 is 64 lower-case hexadecimal digits.
	SHA256 string `json:"sha256"`
	// Size in bytes; it drives the progress figure.
	Size int64 `json:"size"`
}

// Installer says which artifact installs the machine. It is run with sh.
type Installer struct {
	// Artifact is the name of one of the document's artifacts.
	Artifact string   `json:"artifact"`
	Args     []string `json:"args"`
	// Timeout in seconds, after which the installer is killed; 0 means 3600.
	Timeout int `json:"timeout"`
}

// Access says how the installed system is reached.
type Access struct {
	User string `json:"user"`
	// AuthorizedKeys are OpenSSH public keys, one line each.
	AuthorizedKeys []string `json:"authorized_keys"`
	SSHPort        int      `json:"ssh_port"`
}

// Script is a served script.
type Script struct {
	URL string `json:"url"`
	// SHA256 is 64 lower-case hexadecimal digits.
	SHA256 string `json:"sha256"`
}

// Report says where and with what token the machine reports.
type Report struct {
	URL   string `json:"url"`
	Token string `json:"token"`
	// Heartbeat is the interval in seconds at which a machine that is busy shows
	// that it lives; 0 means 30.
	Heartbeat int `json:"heartbeat,omitempty"`
}

// JSON renders the document, indented, with every list present even when empty.
func (c Config) JSON() ([]byte, error) {
	b, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("node configuration: %w", err)
	}
	return append(b, '\n'), nil
}

// MarshalJSON writes empty lists as [] and not as null, so that a reader can
// always iterate and the shell rendering always has its _COUNT.
func (c Config) MarshalJSON() ([]byte, error) {
	type plain Config // drops this method, or encoding would recurse
	p := plain(c)
	p.Network.DNSServers = orEmpty(p.Network.DNSServers)
	p.Network.VLANs = orEmpty(p.Network.VLANs)
	p.Storage.DataDrives = orEmpty(p.Storage.DataDrives)
	p.Cluster.Nodes = orEmpty(p.Cluster.Nodes)
	p.Artifacts = orEmpty(p.Artifacts)
	p.Installer.Args = orEmpty(p.Installer.Args)
	p.Access.AuthorizedKeys = orEmpty(p.Access.AuthorizedKeys)
	if p.Scripts == nil {
		p.Scripts = map[string]Script{}
	}
	return json.Marshal(p)
}

func orEmpty[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
