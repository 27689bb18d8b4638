package hostconfig

import (
	"cmp"
	"encoding/json"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// The types of a row. A node has Primary, and mostly Secondary (default mode),
// or each of the other four (segregated mode).
const (
	TypePrimary         = "Primary"
	TypeSecondary       = "Secondary"
	TypeMgmt            = "Mgmt"
	TypeVXLAN           = "VXLAN"
	TypeStorage         = "Storage"
	TypeExternalTraffic = "External_Traffic"
)

// The roles of a node. RoleNetwork is everybody's and is not chosen.
const (
	RoleControl    = "Control"
	RoleCompute    = "Compute"
	RoleStorage    = "Storage"
	RoleMonitoring = "Monitoring"
	RoleNetwork    = "Network"
)

const (
	// None stands where a VLAN or an MTU could.
	None = "NULL"
	// NotGiven stands in every field of a provider network that there is none of.
	NotGiven = "N/A"

	yes = "YES"
	no  = "NO"
)

var (
	defaultTypes    = []string{TypePrimary, TypeSecondary}
	segregatedTypes = []string{TypeMgmt, TypeVXLAN, TypeStorage, TypeExternalTraffic}
	allTypes        = append(slices.Clone(defaultTypes), segregatedTypes...)
	// addressless are the types of rows that have no address.
	addressless = []string{TypeSecondary, TypeExternalTraffic}
	// chosenRoles are in the order in which they are written.
	chosenRoles = []string{RoleControl, RoleCompute, RoleStorage, RoleMonitoring}
)

// Document is the configuration of one node. Its texts are in canonical form
// where they could be understood and as they came where not; Check tells.
type Document struct {
	Interfaces []Interface
	Hostname   string
	Disks      []string // WWNs, or what else the node calls them
	Roles      []string // chosen ones, without Network
	ServerVIP  string   // of the node's cloud, if it belongs to the first one
	Provider   ProviderNetwork
	Tenant     TenantNetwork

	// garbled are the paths, within the document, of values that could not be
	// read at all: what is missing because of them is not complained of again.
	garbled []string
}

// Interface is an entry of using_interfaces: a plain interface, a bond, or a
// member of a bond.
type Interface struct {
	Key        string      // interface_NN or bondN
	Name       string      // of the device, "eno1"; of a bond, "bond0"
	Types      []string    // exactly one, none for a member
	VLAN       string      // 1 to 4094, or None
	BondSlave  string      // YES for a member, NO for a plain interface, empty for a bond
	Bond       string      // a member's bond, by its Name
	Properties *Properties // where the type has an address

	came string // the key as it came, fit for a path; empty if made by hand
}

// Properties is what an interface with an address has.
type Properties struct {
	IPAddress string
	Netmask   string // dotted for IPv4, prefix length for IPv6
	DNS       string
	MTU       string // 1500, 9000 or None
	Gateway   string // at one interface of the node
}

// ProviderNetwork is the network of a cloud's outside addresses: all fields are
// given, none is, or all are NotGiven.
type ProviderNetwork struct {
	CIDR, Gateway, StartingIP, EndingIP string
}

// TenantNetwork is a cloud's first inner network: all fields are given or none.
type TenantNetwork struct {
	CIDR, Gateway, Nameserver string
}

// given tells whether there is a provider network, or a part of one.
func (p ProviderNetwork) given() bool {
	for _, v := range []string{p.CIDR, p.Gateway, p.StartingIP, p.EndingIP} {
		if v != "" && v != NotGiven {
			return true
		}
	}
	return false
}

// IsBond tells whether the entry is a bond.
func (i *Interface) IsBond() bool { return strings.HasPrefix(i.Key, "bond") }

// IsMember tells whether the entry is a member of a bond.
func (i *Interface) IsMember() bool { return !i.IsBond() && i.BondSlave == yes }

// addressed tells whether the entry has an address, and may.
func (i *Interface) addressed() bool {
	return i.Properties != nil && !i.IsMember() && !slices.Contains(addressless, i.Type())
}

// Type gives the entry's type, empty if it has none or several.
func (i *Interface) Type() string {
	if len(i.Types) != 1 {
		return ""
	}
	return i.Types[0]
}

// segment gives the entry's key for a path.
func (i *Interface) segment() string {
	if i.came != "" {
		return i.came
	}
	return escape(i.Key)
}

// Subnet gives the network of the interface, ok if both its address and its
// mask can be understood.
func (p *Properties) Subnet() (subnet netip.Prefix, ok bool) {
	if p == nil {
		return netip.Prefix{}, false
	}
	addr, ok := parseAddr(p.IPAddress)
	if !ok {
		return netip.Prefix{}, false
	}
	bits, key := maskBits(p.Netmask, addr.Is6())
	if key != "" {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(addr, bits).Masked(), true
}

// Segregated tells whether the document is of the mode in which management has
// an interface of its own.
func (d *Document) Segregated() bool {
	for i := range d.Interfaces {
		if slices.Contains(segregatedTypes, d.Interfaces[i].Type()) {
			return true
		}
	}
	return false
}

// Management gives the interface by which the node is reached: Mgmt in
// segregated mode, Primary otherwise; nil if there is none.
func (d *Document) Management() *Interface {
	want := TypePrimary
	if d.Segregated() {
		want = TypeMgmt
	}
	for i := range d.Interfaces {
		if d.Interfaces[i].Type() == want {
			return &d.Interfaces[i]
		}
	}
	return nil
}

// Target gives the address by which the node is reached once it runs with this
// document: that of its Management interface.
func (d *Document) Target() (netip.Addr, bool) {
	m := d.Management()
	if m == nil || m.Properties == nil {
		return netip.Addr{}, false
	}
	return parseAddr(m.Properties.IPAddress)
}

// Addresses gives every address that the node itself has with this document, in
// the order of its rows; the VIP is not among them.
func (d *Document) Addresses() []netip.Addr {
	var out []netip.Addr
	for _, r := range d.rows() {
		if !r.addressed() {
			continue
		}
		if a, ok := parseAddr(r.Properties.IPAddress); ok {
			out = append(out, a)
		}
	}
	return out
}

// VIP gives the address of the node's cloud.
func (d *Document) VIP() (netip.Addr, bool) { return parseAddr(d.ServerVIP) }

// row is an interface with a type, and a bond's members.
type row struct {
	*Interface
	members []*Interface
	rank    int
}

// rows gives the document's rows in their order. A member of no bond is a row
// by itself.
func (d *Document) rows() []row {
	var out []row
	bonds := map[string]int{} // name -> index in out
	for i := range d.Interfaces {
		e := &d.Interfaces[i]
		if e.IsMember() {
			continue
		}
		if _, twice := bonds[e.Name]; e.IsBond() && e.Name != "" && !twice {
			bonds[e.Name] = len(out)
		}
		out = append(out, row{Interface: e, rank: rank(e)})
	}
	for i := range d.Interfaces {
		e := &d.Interfaces[i]
		if !e.IsMember() {
			continue
		}
		if at, ok := bonds[e.Bond]; ok {
			out[at].members = append(out[at].members, e)
			out[at].rank = min(out[at].rank, rank(e))
			continue
		}
		out = append(out, row{Interface: e, rank: rank(e)})
	}
	slices.SortStableFunc(out, func(a, b row) int { return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.Key, b.Key)) })
	for _, r := range out {
		slices.SortStableFunc(r.members, func(a, b *Interface) int { return cmp.Compare(rank(a), rank(b)) })
	}
	return out
}

// bondRank stands before the number of a bond that has no members.
const bondRank = 1000

// rank gives the number in an entry's key; those of bonds come after all others.
func rank(i *Interface) int {
	if n, err := strconv.Atoi(strings.TrimPrefix(i.Key, "interface_")); err == nil {
		return n
	}
	n, _ := strconv.Atoi(strings.TrimPrefix(i.Key, "bond"))
	return bondRank + n
}

// Card is one document of a request.
type Card struct {
	Key string // of the request's object: the node's address or name; empty in a list
	Doc *Document
	Raw json.RawMessage // as it came
}

// Identity names the node that the card is for: by the key if that is an
// address, else by the document's Target, else by its host name in lower case.
// It is empty if there is none of them.
func (c Card) Identity() string {
	if a, ok := parseAddr(strings.TrimSpace(c.Key)); ok {
		return a.String()
	}
	if c.Doc == nil {
		return ""
	}
	if a, ok := c.Doc.Target(); ok {
		return a.String()
	}
	return strings.ToLower(c.Doc.Hostname)
}

// MarshalJSON gives the canonical form, without white space.
func (d *Document) MarshalJSON() ([]byte, error) { return d.compact(), nil }
