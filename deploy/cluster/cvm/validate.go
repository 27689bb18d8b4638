package cvm

import (
	"net/netip"
	"slices"
	"strconv"

	"github.com/slipwayhq/slipway/deploy"
)

// Type is the kind of a cluster.
type Type string

// The types.
const (
	TypeSingleNode Type = "single_node"
	TypeMultiNode  Type = "multi_node"
)

// Operation is what is asked for.
type Operation string

// The operations.
const (
	OperationCreate Operation = "create_new"
	OperationJoin   Operation = "join_existing"
)

// Member is a node of a request.
type Member struct {
	Node    string     // its name
	Addr    netip.Addr // its controller VM's
	Version string     // of the software to be installed; empty if not known
}

// Request is a cluster as it is asked for, with what has to be known to judge it.
type Request struct {
	Name      string
	Type      Type      // empty: by the number of nodes
	Operation Operation // empty: create_new
	Members   []Member  // the new nodes
	// Existing are the members that a cluster to join has.
	Existing         []Member
	RedundancyFactor int        // 0: by the number of nodes
	VIP              netip.Addr // zero: none
	DNS              []netip.Addr
	NTP              []string

	// Subnet is where the controller VMs are; the zero prefix is not compared with.
	Subnet  netip.Prefix
	Gateway netip.Addr
	// Taken tells who holds an address that is in use, by the books. A member's
	// own address there is no conflict.
	Taken map[netip.Addr]string
}

// maxServers is more than a cluster takes of either kind.
const maxServers = 8

// DefaultRedundancyFactor is the only factor that Community Edition has for a
// number of nodes: 1 for a single node, 2 for three or four.
func DefaultRedundancyFactor(nodes int) int {
	if nodes <= 1 {
		return 1
	}
	return 2
}

// Validate tells everything that is wrong with a request, in the order of its
// fields: name, type, operation, members, existing, redundancy_factor, vip,
// dns_servers, ntp_servers. Positions count from 0: "members.2.address".
func Validate(r Request) []deploy.FieldError {
	v := &validator{r: r}
	v.name()
	v.members()
	v.existing()
	v.redundancy()
	v.vip()
	v.servers()
	return v.errs
}

type validator struct {
	r    Request
	errs []deploy.FieldError
}

func (v *validator) add(field, key string, fill ...string) {
	v.errs = append(v.errs, fault(field, key, fill...))
}

func (v *validator) joins() bool { return v.r.Operation == OperationJoin }

// total is how many nodes the cluster would have.
func (v *validator) total() int {
	if v.joins() {
		return len(v.r.Members) + len(v.r.Existing)
	}
	return len(v.r.Members)
}

func (v *validator) name() {
	switch {
	case v.r.Name == "":
		v.add("name", KeyNameRequired)
	case !clusterName.MatchString(v.r.Name):
		v.add("name", KeyNameBad)
	}
	switch v.r.Type {
	case "", TypeSingleNode, TypeMultiNode:
	default:
		v.add("type", KeyTypeUnknown)
	}
	switch v.r.Operation {
	case "", OperationCreate, OperationJoin:
	default:
		v.add("operation", KeyOperationUnknown)
	}
}

func (v *validator) members() {
	if len(v.r.Members) == 0 {
		v.add("members", KeyMembersRequired)
		return
	}
	n := v.total()
	count := strconv.Itoa(n)
	if n != 1 && n != 3 && n != 4 {
		v.add("members", KeyMemberCount, "count", count)
	} else if v.r.Type == TypeSingleNode && n != 1 || v.r.Type == TypeMultiNode && n == 1 {
		v.add("type", KeyTypeCount, "type", string(v.r.Type), "count", count)
	}
	names, addrs := map[string]bool{}, map[netip.Addr]string{}
	if v.joins() {
		for _, m := range v.r.Existing {
			names[m.Node], addrs[m.Addr] = true, m.Node
		}
	}
	wanted := v.wantedVersion()
	for i, m := range v.r.Members {
		at := "members." + strconv.Itoa(i)
		if names[m.Node] {
			v.add(at, KeyMemberTwice, "value", m.Node)
			continue
		}
		names[m.Node] = true
		v.address(at+".address", m, addrs)
		if m.Version != "" && m.Version != wanted.Version {
			v.add(at+".version", KeyVersionDiffers, "value", m.Version, "wanted", wanted.Version, "other", wanted.Node)
		}
	}
}

// wantedVersion is the first member whose version is known, the cluster's own
// before a new one.
func (v *validator) wantedVersion() Member {
	all := v.r.Members
	if v.joins() {
		all = slices.Concat(v.r.Existing, v.r.Members)
	}
	for _, m := range all {
		if m.Version != "" {
			return m
		}
	}
	return Member{}
}

func (v *validator) address(field string, m Member, addrs map[netip.Addr]string) {
	switch {
	case !m.Addr.IsValid():
		v.add(field, KeyAddressRequired)
		return
	case !m.Addr.Is4():
		v.add(field, KeyAddressNotIPv4, "value", m.Addr.String())
		return
	}
	if other, ok := addrs[m.Addr]; ok {
		v.add(field, KeyAddressTwice, "value", m.Addr.String(), "other", other)
		return
	}
	addrs[m.Addr] = m.Node
	v.inSubnet(field, m.Addr, KeyAddressOutside, KeyAddressUnusable)
}

// inSubnet compares with the subnet, if it is known.
func (v *validator) inSubnet(field string, a netip.Addr, outside, unusable string) {
	if !v.r.Subnet.IsValid() {
		return
	}
	subnet := v.r.Subnet.Masked()
	switch {
	case !subnet.Contains(a):
		v.add(field, outside, "value", a.String(), "subnet", subnet.String())
	case subnet.Bits() < 31 && (a == subnet.Addr() || !subnet.Contains(a.Next())):
		v.add(field, unusable, "value", a.String(), "subnet", subnet.String())
	}
}

func (v *validator) existing() {
	switch {
	case !v.joins() && len(v.r.Existing) > 0:
		v.add("existing", KeyExistingUnexpected)
	case v.joins() && len(v.r.Existing) == 0:
		v.add("existing", KeyExistingRequired)
	case v.joins() && len(v.r.Existing) == 1:
		v.add("existing", KeySingleNotGrown)
	}
}

func (v *validator) redundancy() {
	rf := v.r.RedundancyFactor
	switch {
	case rf == 0 || len(v.r.Members) == 0:
	case v.joins():
		v.add("redundancy_factor", KeyJoinSetting)
	case v.total() == 1 && rf != 1:
		v.add("redundancy_factor", KeyRedundancySingle)
	case v.total() > 1 && rf != 2:
		v.add("redundancy_factor", KeyRedundancyMulti)
	}
}

func (v *validator) vip() {
	vip := v.r.VIP
	switch {
	case !vip.IsValid():
		return
	case v.joins():
		v.add("vip", KeyJoinSetting)
		return
	case !vip.Is4():
		v.add("vip", KeyVIPNotIPv4)
		return
	}
	v.inSubnet("vip", vip, KeyVIPOutside, KeyVIPUnusable)
	if i := slices.IndexFunc(v.r.Members, func(m Member) bool { return m.Addr == vip }); i >= 0 {
		v.add("vip", KeyVIPIsMember, "other", v.r.Members[i].Node)
		return
	}
	if vip == v.r.Gateway {
		v.add("vip", KeyVIPIsGateway)
	} else if who, ok := v.r.Taken[vip]; ok {
		v.add("vip", KeyVIPTaken, "other", who)
	}
}

func (v *validator) servers() {
	if v.joins() {
		if len(v.r.DNS) > 0 {
			v.add("dns_servers", KeyJoinSetting)
		}
		if len(v.r.NTP) > 0 {
			v.add("ntp_servers", KeyJoinSetting)
		}
		return
	}
	if len(v.r.DNS) > maxServers {
		v.add("dns_servers", KeyTooManyServers, "most", strconv.Itoa(maxServers))
	}
	for i, a := range v.r.DNS[:min(len(v.r.DNS), maxServers)] {
		at := "dns_servers." + strconv.Itoa(i)
		if !a.Is4() {
			v.add(at, KeyDNSNotIPv4, "value", a.String())
		} else if slices.Contains(v.r.DNS[:i], a) {
			v.add(at, KeyDNSTwice, "value", a.String())
		}
	}
	if len(v.r.NTP) > maxServers {
		v.add("ntp_servers", KeyTooManyServers, "most", strconv.Itoa(maxServers))
	}
	for i, s := range v.r.NTP[:min(len(v.r.NTP), maxServers)] {
		at := "ntp_servers." + strconv.Itoa(i)
		if !validServer(s) {
			v.add(at, KeyNTPBad)
		} else if slices.Contains(v.r.NTP[:i], s) {
			v.add(at, KeyNTPTwice)
		}
	}
}

// Spec gives what `cluster create` is told for a request that Validate accepts.
func (r Request) Spec() CreateSpec {
	spec := CreateSpec{Name: r.Name, RedundancyFactor: r.RedundancyFactor, VIP: r.VIP, DNS: r.DNS, NTP: r.NTP}
	for _, m := range r.Members {
		spec.Members = append(spec.Members, m.Addr)
	}
	if spec.RedundancyFactor == 0 {
		spec.RedundancyFactor = DefaultRedundancyFactor(len(spec.Members))
	}
	return spec
}
