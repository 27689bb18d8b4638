package vpcsim

import "encoding/json"

// Hardware is what the simulator switches on and off. Calls for one simulator come one at a time and in the order in
// which the servers' power changed; an implementation must return soon (start a machine, do not run it) and may call
// the simulator's API from any goroutine.
type Hardware interface {
	// PowerOn is called when a server gets power: after it was created, started, restarted or reinitialized. A
	// machine that is already on for the same ServerID is never powered on again without a PowerOff in between.
	PowerOn(spec Spec)
	// PowerOff is called when a server loses power at once: stopped, restarted or deleted. It may name a server
	// that was never powered on.
	PowerOff(serverID string)
}

// Scrapper is a Hardware that keeps something of a machine without power, such as its disks. Scrap is called when the
// server was deleted: nothing of it is needed any more.
type Scrapper interface {
	Scrap(serverID string) error
}

// FaultyHardware is a Hardware with faults of its own, which are set where the simulator's are. A rule is a JSON object
// with the field "fault".
type FaultyHardware interface {
	// AddFault takes a rule and gives its id.
	AddFault(rule json.RawMessage) (id string, err error)
	// FaultRules are the rules that are set, oldest first, with their ids.
	FaultRules() []json.RawMessage
	// ClearFaults removes the rules with these ids, or all when none is given.
	ClearFaults(ids ...string)
}

// ClusteredHardware is a Hardware whose machines can become clusters.
type ClusteredHardware interface {
	// Clusters tells how often a cluster was created, and what each controller VM is now.
	Clusters() (created int, vms []ControllerVM)
}

// ControllerVM is what a machine's controller VM is.
type ControllerVM struct {
	Address string   `json:"address"`
	Cluster string   `json:"cluster,omitempty"` // its name; empty without one
	Members []string `json:"members,omitempty"`
	State   string   `json:"state,omitempty"` // start or stop
	Up      int      `json:"up"`              // services
	Of      int      `json:"of"`
}

// Spec is the machine that a PowerOn is about, as the simulated provider knows it.
type Spec struct {
	// ServerID is the id of the bare metal server; it stays the same through restarts and reinitializations.
	ServerID string
	// Name is the server's name at the time of the power-on.
	Name string
	// Zone is the zone's name, for instance "us-south-1".
	Zone string
	// Profile is the profile's name, for instance "bx2d-metal-96x384".
	Profile string
	// UserData is the user_data of the last create or reinitialize: the URL of an iPXE script, or the text of one
	// that begins with "#!ipxe". The simulator only powers on hardware whose image takes user data in that format.
	UserData string
	// IP is the address of the primary network attachment's virtual network interface, inside 127.64.0.0/16.
	IP string
	// MAC is that interface's hardware address, in lower case as Linux and iPXE print it.
	MAC string
	// DNSServers are the resolvers that DHCP would hand out.
	DNSServers []string
	// Interfaces are the PCI network attachments, the primary one first. (IP and MAC repeat the first.)
	Interfaces []Interface
	// Disks are the server's disks, the boot disk first. Their ids stay the same for the server's life.
	Disks []Disk
	// Reinitialized is true when the provider has rewritten the boot disk since the last power-on, so that the machine
	// boots from the network again. The contents of the other disks are untouched.
	Reinitialized bool
}

// Interface is one PCI network attachment of a machine.
type Interface struct {
	// Name is the attachment's name.
	Name string
	// MAC is the hardware address in lower case.
	MAC string
	// IP is the interface's primary address.
	IP string
	// CIDR is the subnet, for instance "127.64.0.0/24".
	CIDR string
	// Gateway is the subnet's gateway address, the first after the network address.
	Gateway string
}

// Disk is one local disk of a machine.
type Disk struct {
	// ID is the disk's id in the API.
	ID string
	// Name is the disk's name in the API.
	Name string
	// SizeGB is the size in gigabytes of 1000^3 bytes.
	SizeGB int64
	// InterfaceType is DiskInterfaceNVMe or DiskInterfaceSATA.
	InterfaceType string
	// Boot is true for the boot disk.
	Boot bool
}

// The interface types of disks that the simulated profiles have (BareMetalServerDisk.interface_type).
const (
	DiskInterfaceNVMe = "nvme"
	DiskInterfaceSATA = "sata"
)
