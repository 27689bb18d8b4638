package deploy

import (
	"encoding/json"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// The providers.
const (
	ProviderIBMVPC = "ibm_vpc" // orders and releases servers in an IBM Cloud VPC
	ProviderRack   = "rack"    // own hardware that network-boots
	ProviderScript = "script"  // a host that a deployment script configures
)

// Spec is what was asked for, in words that hold for every provider. It is
// stored as the deployment's config; it carries no secrets.
type Spec struct {
	Provider         string   `json:"provider"`
	ServerProfile    string   `json:"server_profile,omitempty"`
	Zone             string   `json:"zone,omitempty"`
	ManagementSubnet string   `json:"management_subnet,omitempty"` // id or name
	WorkloadSubnets  []string `json:"workload_subnets,omitempty"`  // ids or names
	// VLANs are workload networks that share the management interface's port.
	VLANs []VLAN `json:"vlans,omitempty"`
	// Image is what the server's boot disk is initialized with, Keys the SSH keys
	// that are given to its initialization, and SecurityGroups those of its
	// interfaces, each by id or name; empty: those of the server's settings.
	Image          string   `json:"image,omitempty"`
	Keys           []string `json:"keys,omitempty"`
	SecurityGroups []string `json:"security_groups,omitempty"`
	ManagementIP   string   `json:"management_ip,omitempty"`
	AHVIP          string   `json:"ahv_ip,omitempty"` // empty: one of the configured range
	CVMIP          string   `json:"cvm_ip,omitempty"`
	DNSServers     []string `json:"dns_servers,omitempty"`
	MAC            string   `json:"mac,omitempty"` // rack: the boot interface
	// Serial is the serial number in a rack machine's firmware (NormalSerial).
	// A machine that is known by it alone has its MAC address learnt when it
	// first boots from its management address.
	Serial    string          `json:"serial,omitempty"`
	Installer string          `json:"installer,omitempty"` // artifact name; empty = the server's default
	Storage   json.RawMessage `json:"storage,omitempty"`   // storage_config of the node configuration
	Power     *Power          `json:"power,omitempty"`     // rack: how the machine is switched; nil = by a person
	// Netmask (dotted, or a prefix length) and Gateway of a rack machine's
	// management address; empty: those of the server's settings.
	Netmask string `json:"netmask,omitempty"`
	Gateway string `json:"gateway,omitempty"`
	// Document is what the deployment script is to read of the node, as it is
	// written.
	Document         json.RawMessage `json:"document,omitempty"`
	ClusterRole      string          `json:"cluster_role,omitempty"`
	ClusterType      string          `json:"cluster_type,omitempty"`
	ClusterOperation string          `json:"cluster_operation,omitempty"`
	// ClusterVIP is the cluster's own address, on the spec of the member that
	// creates the cluster: its provider binds the address to that machine.
	ClusterVIP string `json:"cluster_vip,omitempty"`
}

// VLAN is a network that a machine reaches over a VLAN of its first port.
type VLAN struct {
	ID     int    `json:"id"`     // 1 to 4094 (IEEE 802.1Q)
	Subnet string `json:"subnet"` // id or name
	Float  bool   `json:"float,omitempty"`
}

// NodeNameMax is the longest node name, in characters.
const NodeNameMax = 40

var (
	nodeName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)
	letter   = regexp.MustCompile(`[a-z]`)
	macAddr  = regexp.MustCompile(`^([0-9a-f]{2}:){5}[0-9a-f]{2}$`)
)

// CheckNodeName tells what is wrong with a node's name: it must be an RFC 1123
// label in lower case, at most 40 characters, with at least one letter.
func CheckNodeName(field, name string) []FieldError {
	switch {
	case name == "":
		return []FieldError{{Field: field, Code: CodeRequired, Message: "is required"}}
	case len(name) > NodeNameMax:
		return []FieldError{{Field: field, Code: CodeOutOfRange, Message: "is longer than 40 characters"}}
	case !nodeName.MatchString(name) || !letter.MatchString(name):
		return []FieldError{{Field: field, Code: CodeInvalid, Message: "must be lower-case letters, digits and hyphens, begin and end with a letter or digit, and contain a letter (RFC 1123)"}}
	}
	return nil
}

// CheckIP tells what is wrong with an address; empty is allowed.
func CheckIP(field, ip string) []FieldError {
	if ip == "" {
		return nil
	}
	if a, err := netip.ParseAddr(ip); err != nil || a.Zone() != "" {
		return []FieldError{{Field: field, Code: CodeInvalid, Message: "is not an IP address"}}
	}
	return nil
}

// NormalMAC gives a MAC address in lower case with colons; ok is false if it
// is none.
func NormalMAC(s string) (mac string, ok bool) {
	mac = strings.ReplaceAll(strings.ToLower(strings.TrimSpace(s)), "-", ":")
	return mac, macAddr.MatchString(mac)
}

// Check tells every bad field of a spec; prefix is put before field names.
func (s Spec) Check(prefix string) []FieldError {
	var bad []FieldError
	add := func(field string, code Code, msg string) {
		bad = append(bad, FieldError{Field: prefix + field, Code: code, Message: msg})
	}
	switch s.Provider {
	case ProviderIBMVPC:
		if s.ServerProfile == "" {
			add("server_profile", CodeRequired, "is required")
		}
		if s.Power != nil {
			add("power", CodeInvalid, "is for rack machines")
		}
		if s.Serial != "" {
			add("serial", CodeInvalid, "is for rack machines")
		}
	case ProviderRack:
		if s.MAC == "" && s.Serial == "" {
			add("mac", CodeRequired, "is required for a rack machine, unless its serial number is given")
		}
		bad = append(bad, CheckSerial(prefix+"serial", s.Serial)...)
		if s.ManagementIP == "" {
			add("management_ip", CodeRequired, "is required for a rack machine")
		}
		bad = append(bad, s.Power.Check(prefix+"power.")...)
	case ProviderScript:
		if len(s.Document) == 0 {
			add("document", CodeRequired, "is required for a host that a script configures")
		}
	default:
		add("provider", CodeInvalid, "must be ibm_vpc, rack or script")
	}
	if s.MAC != "" {
		if _, ok := NormalMAC(s.MAC); !ok {
			add("mac", CodeInvalid, "is not a MAC address")
		}
	}
	for name, v := range map[string]string{"server_profile": s.ServerProfile, "zone": s.Zone, "management_subnet": s.ManagementSubnet, "installer": s.Installer} {
		if len(v) > 128 {
			add(name, CodeOutOfRange, "is longer than 128 characters")
		}
	}
	bad = append(bad, CheckIP(prefix+"management_ip", s.ManagementIP)...)
	bad = append(bad, CheckIP(prefix+"ahv_ip", s.AHVIP)...)
	bad = append(bad, CheckIP(prefix+"cvm_ip", s.CVMIP)...)
	bad = append(bad, CheckIP(prefix+"cluster_vip", s.ClusterVIP)...)
	bad = append(bad, s.checkNetwork(prefix)...)
	bad = append(bad, s.checkVLANs(prefix)...)
	bad = append(bad, s.checkAccount(prefix)...)
	if len(s.WorkloadSubnets) > 7 {
		add("workload_subnets", CodeOutOfRange, "at most 7 (a server has at most 8 PCI attachments)")
	}
	for _, d := range s.DNSServers {
		bad = append(bad, CheckIP(prefix+"dns_servers", d)...)
	}
	return bad
}

const (
	// SecurityGroupsMax is how many security groups an interface has at most
	// (IBM Cloud docs, "Quotas and service limits for VPC").
	SecurityGroupsMax = 5
	// KeysMax is how many SSH keys an order names at most: as many as a region of
	// an account has (the same page).
	KeysMax = 200
)

// checkAccount looks at what an order names of the account's own.
func (s Spec) checkAccount(prefix string) []FieldError {
	var bad []FieldError
	add := func(field string, code Code, msg string) {
		bad = append(bad, FieldError{Field: prefix + field, Code: code, Message: msg})
	}
	list := func(field string, entries []string, most int) {
		seen := map[string]bool{}
		for _, name := range entries {
			switch {
			case s.Provider != ProviderIBMVPC:
				add(field, CodeInvalid, "is for servers of IBM Cloud VPC")
			case strings.TrimSpace(name) == "":
				add(field, CodeInvalid, "has an empty entry")
			case len(name) > 128:
				add(field, CodeOutOfRange, "has an entry that is longer than 128 characters")
			case seen[name]:
				add(field, CodeAlreadyExists, "names "+name+" twice")
			default:
				seen[name] = true
				continue
			}
			return // one complaint about a field is enough
		}
		if len(entries) > most {
			add(field, CodeOutOfRange, "at most "+strconv.Itoa(most))
		}
	}
	if s.Image != "" {
		list("image", []string{s.Image}, 1)
	}
	list("keys", s.Keys, KeysMax)
	list("security_groups", s.SecurityGroups, SecurityGroupsMax)
	return bad
}

func (s Spec) checkVLANs(prefix string) []FieldError {
	var bad []FieldError
	if len(s.VLANs) > 16 {
		bad = append(bad, FieldError{Field: prefix + "vlans", Code: CodeOutOfRange, Message: "at most 16"})
	}
	seen := map[int]bool{}
	for i, v := range s.VLANs {
		field := prefix + "vlans." + strconv.Itoa(i) + "."
		switch {
		case v.ID < 1 || v.ID > 4094:
			bad = append(bad, FieldError{Field: field + "id", Code: CodeOutOfRange, Message: "must be 1 to 4094"})
		case seen[v.ID]:
			bad = append(bad, FieldError{Field: field + "id", Code: CodeAlreadyExists, Message: "is used twice"})
		}
		seen[v.ID] = true
		if v.Subnet == "" {
			bad = append(bad, FieldError{Field: field + "subnet", Code: CodeRequired, Message: "is required"})
		}
	}
	return bad
}
