package vpcsim

import (
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Options describe the account that is simulated. The zero value is the demonstration: one region, one zone, one VPC
// with a management and a workload subnet, one DNS zone.
type Options struct {
	// Region is the region's name; "us-south" if empty.
	Region string
	// Zones are the region's zones; Region + "-1" if empty.
	Zones []string
	// VPCs are the names of the virtual private clouds; one, "slipway-demo", if empty.
	VPCs []string
	// Subnets are the subnets; a management and a workload subnet in the first zone and VPC if empty.
	Subnets []SubnetConfig
	// ResourceGroup is the name of the account's default resource group; "slipway" if empty.
	ResourceGroup string
	// SecurityGroup is the name of a security group in each VPC besides its default one; "slipway-nodes" if empty.
	SecurityGroup string
	// SSHKeys are the account's keys; one made-up ed25519 key "slipway-demo" if nil.
	SSHKeys []KeyConfig
	// BootImages are the names of further available images for network boot, each a day older than the one before;
	// IPXEImage is the newest and is always there.
	BootImages []string
	// DNSInstance is the id of the DNS Services instance; a fixed one (DefaultDNSInstance) if empty.
	DNSInstance string
	// DNSZone is the name of its zone; "demo.slipway.test" if empty.
	DNSZone string
	// DNSServers are the resolvers that machines are told of; IBM's private ones, 161.26.0.7 and 161.26.0.8, if nil.
	DNSServers []string
	// APIKeys, when not empty, makes the simulator demand a bearer token from /identity/token on every VPC and DNS
	// call and accept only these keys there. When empty every call is let in.
	APIKeys []string
	// Delays are the times that changes of state take; DefaultDelays() if zero.
	Delays Delays
	// HideStopping shows a server as "running" while it is being stopped. IBM's SDK has no "stopping" among its
	// statuses, other clients handle one; whether it appears in reality is not known, so that both can be tried.
	HideStopping bool
	// ServerQuota is how many servers the account may have; IBM's 25 if 0.
	ServerQuota int
	// Firmware is the update that every new server has waiting: FirmwareNone if empty.
	Firmware string
	// Clock is the time; the machine's clock if nil.
	Clock Clock
	// Hardware is switched on and off; without it servers run but nothing ever boots.
	Hardware Hardware
	// Logger receives what happens; nothing is logged if nil.
	Logger *slog.Logger
}

// SubnetConfig is one simulated subnet.
type SubnetConfig struct {
	// Name is unique in the VPC.
	Name string
	// CIDR lies inside 127.64.0.0/16, where simulated machines bind their addresses,
	// or inside 10.64.0.0/16, for hardware that has a network of its own. It has at
	// least 8 addresses.
	CIDR string
	// Zone is one of Options.Zones; the first if empty.
	Zone string
	// VPC is one of Options.VPCs; the first if empty.
	VPC string
}

// KeyConfig is one SSH key of the account.
type KeyConfig struct {
	// Name is unique in the region.
	Name string
	// PublicKey is a line as in authorized_keys, of type ssh-rsa or ssh-ed25519.
	PublicKey string
}

// Delays are how long the simulated cloud takes. A delay of zero means "as soon as the clock moves", never "before
// the answer": an answer always shows the state before the change.
type Delays struct {
	// Provision is from create to "starting".
	Provision time.Duration
	// Start is from "starting" to "running", also after a reinitialization.
	Start time.Duration
	// Stop is a hard stop, SoftStop a soft one.
	Stop, SoftStop time.Duration
	// Restart is from "restarting" to "running".
	Restart time.Duration
	// Reinitialize is from "reinitializing" to "starting".
	Reinitialize time.Duration
	// Delete is from "deleting" to gone, for servers, and for VNIs and network attachments.
	Delete time.Duration
	// NameRelease is how long a deleted server's name stays taken; up to half an hour has been seen at IBM.
	NameRelease time.Duration
	// VNI is how long a new virtual network interface is "pending", without a MAC address.
	VNI time.Duration
}

// DefaultDelays are short enough for a test and long enough for every state to be seen by a client that polls.
func DefaultDelays() Delays {
	return Delays{
		Provision: 100 * time.Millisecond, Start: 100 * time.Millisecond,
		Stop: 50 * time.Millisecond, SoftStop: 100 * time.Millisecond, Restart: 100 * time.Millisecond,
		Reinitialize: 100 * time.Millisecond, Delete: 50 * time.Millisecond, VNI: 20 * time.Millisecond,
	}
}

// The names of the default account.
const (
	DefaultRegion           = "us-south"
	DefaultVPC              = "slipway-demo"
	DefaultManagementSubnet = "slipway-management"
	DefaultWorkloadSubnet   = "slipway-workload"
	DefaultResourceGroup    = "slipway"
	DefaultSecurityGroup    = "slipway-nodes"
	DefaultSSHKey           = "slipway-demo"
	DefaultDNSZone          = "demo.slipway.test"
	DefaultDNSInstance      = "5f2c6d0e-8f0b-4a55-9a6e-0c1b7d2f3a41"
)

// simulatedRange holds every simulated subnet: loopback addresses, so that a simulated machine can bind its own.
var simulatedRange = netip.MustParsePrefix("127.64.0.0/16")

// virtualRange is for hardware whose addresses are not this host's, such as virtual machines.
var virtualRange = netip.MustParsePrefix("10.64.0.0/16")

// withDefaults fills what is empty and refuses what cannot be simulated.
func (o Options) withDefaults() (Options, error) {
	setDefault(&o.Region, DefaultRegion)
	setDefault(&o.ResourceGroup, DefaultResourceGroup)
	setDefault(&o.SecurityGroup, DefaultSecurityGroup)
	setDefault(&o.DNSInstance, DefaultDNSInstance)
	setDefault(&o.DNSZone, DefaultDNSZone)
	setDefault(&o.Firmware, FirmwareNone)
	if o.ServerQuota <= 0 {
		o.ServerQuota = maxServers
	}
	if len(o.Zones) == 0 {
		o.Zones = []string{o.Region + "-1"}
	}
	if len(o.VPCs) == 0 {
		o.VPCs = []string{DefaultVPC}
	}
	if len(o.Subnets) == 0 {
		o.Subnets = []SubnetConfig{
			{Name: DefaultManagementSubnet, CIDR: "127.64.0.0/24"},
			{Name: DefaultWorkloadSubnet, CIDR: "127.64.1.0/24"},
		}
	}
	if o.DNSServers == nil {
		o.DNSServers = []string{"161.26.0.7", "161.26.0.8"}
	}
	if o.SSHKeys == nil {
		o.SSHKeys = []KeyConfig{{Name: DefaultSSHKey, PublicKey: demoPublicKey()}}
	}
	if o.Delays == (Delays{}) {
		o.Delays = DefaultDelays()
	}
	if o.Clock == nil {
		o.Clock = systemClock{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.DNSZone = strings.ToLower(strings.TrimSuffix(o.DNSZone, "."))
	o.Subnets = slices.Clone(o.Subnets)
	return o, o.checkSubnets()
}

func setDefault(value *string, def string) {
	if *value == "" {
		*value = def
	}
}

// checkSubnets completes the subnets in place.
func (o Options) checkSubnets() error {
	var seen []netip.Prefix
	for i := range o.Subnets {
		sn := &o.Subnets[i]
		setDefault(&sn.Zone, o.Zones[0])
		setDefault(&sn.VPC, o.VPCs[0])
		if !slices.Contains(o.Zones, sn.Zone) {
			return fmt.Errorf("subnet %s: no zone %q in region %s", sn.Name, sn.Zone, o.Region)
		}
		if !slices.Contains(o.VPCs, sn.VPC) {
			return fmt.Errorf("subnet %s: no VPC %q", sn.Name, sn.VPC)
		}
		prefix, err := netip.ParsePrefix(sn.CIDR)
		if err != nil {
			return fmt.Errorf("subnet %s: %w", sn.Name, err)
		}
		if prefix != prefix.Masked() || prefix.Bits() > 29 || prefix.Bits() < simulatedRange.Bits() ||
			!simulatedRange.Contains(prefix.Addr()) && !virtualRange.Contains(prefix.Addr()) {
			return fmt.Errorf("subnet %s: %s is not a network of 8 addresses or more inside %s or %s",
				sn.Name, sn.CIDR, simulatedRange, virtualRange)
		}
		for _, other := range seen {
			if other.Overlaps(prefix) {
				return fmt.Errorf("subnet %s: %s overlaps %s", sn.Name, prefix, other)
			}
		}
		seen = append(seen, prefix)
	}
	return nil
}
