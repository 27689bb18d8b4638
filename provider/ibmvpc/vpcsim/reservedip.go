package vpcsim

import (
	"encoding/hex"
	"net/netip"
	"slices"
)

// maxReservedIPs is the quota of reserved IPs per region (IBM's quotas page).
const maxReservedIPs = 20000

// Owners of a reserved IP (ReservedIP.owner).
const (
	ownerProvider = "provider"
	ownerUser     = "user"
)

// Lifecycle states that the simulator uses.
const (
	lifecyclePending  = "pending"
	lifecycleStable   = "stable"
	lifecycleDeleting = "deleting"
)

const vniType = "virtual_network_interface"

type reservedIP struct {
	base
	name       string
	address    netip.Addr
	subnetID   string
	owner      string
	autoDelete bool
	vni        *vni // the virtual network interface it is bound to, if any
	hidden     bool // chosen by the provider and not told yet: the interface is still pending
}

func addressOperations() []operation {
	const one, all = "/v1/subnets/{subnet_id}/reserved_ips/{id}", "/v1/subnets/{subnet_id}/reserved_ips"
	return []operation{
		{name: "ListSubnets", method: "GET", path: "/v1/subnets", handle: (*call).listSubnets},
		{name: "GetSubnet", method: "GET", path: "/v1/subnets/{subnet_id}", handle: (*call).getSubnet},
		{name: "ListSubnetReservedIps", method: "GET", path: all, handle: (*call).listReservedIPs},
		{name: "CreateSubnetReservedIP", method: "POST", path: all, handle: (*call).createReservedIP},
		{name: "GetSubnetReservedIP", method: "GET", path: one, handle: (*call).getReservedIP},
		{name: "UpdateSubnetReservedIP", method: "PATCH", path: one, handle: (*call).updateReservedIP},
		{name: "DeleteSubnetReservedIP", method: "DELETE", path: one, handle: (*call).deleteReservedIP},
	}
}

// addProviderAddresses takes the five addresses of every subnet that are the provider's: network, gateway, two more,
// and broadcast (IBM's page on reserved IPs).
func (s *Simulator) addProviderAddresses(sn *subnet) {
	names := []string{"ibm-network-address", "ibm-default-gateway", "ibm-dns-address", "ibm-reserved-address"}
	addr := sn.prefix.Addr()
	for _, name := range names {
		s.addReservedIP(sn, addr, name, ownerProvider, false)
		addr = addr.Next()
	}
	s.addReservedIP(sn, lastAddress(sn.prefix), "ibm-broadcast-address", ownerProvider, false)
}

func lastAddress(prefix netip.Prefix) netip.Addr {
	raw := prefix.Addr().As4()
	for bit := prefix.Bits(); bit < 32; bit++ {
		raw[bit/8] |= 1 << (7 - bit%8)
	}
	return netip.AddrFrom4(raw)
}

// gateway is the second address of a subnet.
func (sn *subnet) gateway() netip.Addr { return sn.prefix.Addr().Next() }

func (s *Simulator) addReservedIP(sn *subnet, addr netip.Addr, name, owner string, autoDelete bool) *reservedIP {
	ip := &reservedIP{
		base: s.newBase(s.zonalID(sn.zone)), name: name, address: addr, subnetID: sn.id, owner: owner, autoDelete: autoDelete,
	}
	s.keepReservedIP(ip)
	return ip
}

// reservedIn are the reserved IPs of one subnet.
func (s *Simulator) reservedIn(subnetID string) []*reservedIP {
	return list(s.reservedIPs, func(ip *reservedIP) bool { return ip.subnetID == subnetID })
}

// reservedIPPrototype is a new reserved IP, or (with ID or Href) one that exists.
type reservedIPPrototype struct {
	identity
	Address    *string `json:"address"`
	AutoDelete *bool   `json:"auto_delete"`
	Name       string  `json:"name"`
}

// key hides the embedded one, for which a name would be an identity.
func (p *reservedIPPrototype) key() string {
	if p == nil {
		return ""
	}
	return (&identity{ID: p.ID, Href: p.Href}).key()
}

// reserve makes a reserved IP in a subnet: a free address, a free name, within the quota.
func (c *call) reserve(sn *subnet, p reservedIPPrototype, autoDelete bool) (*reservedIP, error) {
	if c.s.usersIPs >= maxReservedIPs {
		return nil, overQuota("The region has as many reserved IPs as it may have.")
	}
	addr, err := c.s.chooseAddress(sn, p.Address)
	if err != nil {
		return nil, err
	}
	name, err := chooseName(p.Name, true, func(name string) bool { return c.s.taken.has(reservedNameKey(sn.id, name)) })
	if err != nil {
		return nil, err
	}
	ip := c.s.addReservedIP(sn, addr, name, ownerUser, autoDelete)
	c.s.counts.reservedIPs++
	return ip, nil
}

// chooseAddress checks the address that was asked for, or takes the lowest one that is free.
func (s *Simulator) chooseAddress(sn *subnet, requested *string) (netip.Addr, error) {
	used := func(a netip.Addr) bool { return s.taken.has(addressKey(sn.id, a)) }
	if requested != nil {
		addr, err := netip.ParseAddr(*requested)
		if err != nil || !addr.Is4() || !sn.prefix.Contains(addr) {
			return addr, badField("address", *requested, "The address %q is not in the subnet %s.", *requested, sn.prefix)
		}
		if used(addr) {
			return addr, conflict(codeAddressReserved, "The address %s is already reserved in the subnet.", addr)
		}
		return addr, nil
	}
	if !sn.lowest.IsValid() {
		sn.lowest = sn.prefix.Addr()
	}
	for ; sn.prefix.Contains(sn.lowest); sn.lowest = sn.lowest.Next() {
		if !used(sn.lowest) {
			return sn.lowest, nil
		}
	}
	return netip.Addr{}, conflict("insufficient_ips", "The subnet has no free address.") // code inferred
}

// bind ties a reserved IP to an interface; it must be unbound and the user's.
func (ip *reservedIP) bind(v *vni) error {
	if ip.owner != ownerUser {
		return badField("reserved_ip", ip.id, "The reserved IP %s is owned by the provider.", ip.name)
	}
	if ip.vni != nil {
		return conflict(codeReservedIPInUse, "The reserved IP %s is bound to %s.", ip.id, ip.vni.id)
	}
	ip.vni = v
	return nil
}

// unbind lets go of an address; one that is to be deleted automatically goes.
func (s *Simulator) unbind(ip *reservedIP) {
	ip.vni = nil
	if ip.autoDelete {
		s.forgetReservedIP(ip)
	}
}

type reservedIPAnswer struct {
	Address        string     `json:"address"`
	AutoDelete     bool       `json:"auto_delete"`
	CreatedAt      timestamp  `json:"created_at"`
	Href           string     `json:"href"`
	ID             string     `json:"id"`
	LifecycleState string     `json:"lifecycle_state"`
	Name           string     `json:"name"`
	Owner          string     `json:"owner"`
	ResourceType   string     `json:"resource_type"`
	Target         *reference `json:"target,omitempty"`
}

type reservedIPReference struct {
	Address      string `json:"address"`
	Href         string `json:"href"`
	ID           string `json:"id"`
	Name         string `json:"name"`
	ResourceType string `json:"resource_type"`
}

// shownAddress is 0.0.0.0 until the provider has chosen (SDK comment on ReservedIP.address).
func (ip *reservedIP) shownAddress() string {
	if ip.hidden {
		return "0.0.0.0"
	}
	return ip.address.String()
}

func (c *call) reservedIPReference(ip *reservedIP) reservedIPReference {
	return reservedIPReference{
		Address: ip.shownAddress(), Href: c.href("/subnets/" + ip.subnetID + "/reserved_ips/" + ip.id), ID: ip.id,
		Name: ip.name, ResourceType: "subnet_reserved_ip",
	}
}

func (c *call) reservedIPAnswer(ip *reservedIP) reservedIPAnswer {
	ref := c.reservedIPReference(ip)
	answer := reservedIPAnswer{
		Address: ref.Address, AutoDelete: ip.autoDelete, CreatedAt: ip.created, Href: ref.Href, ID: ip.id,
		LifecycleState: lifecycleStable, Name: ip.name, Owner: ip.owner, ResourceType: ref.ResourceType,
	}
	if ip.hidden {
		answer.LifecycleState = lifecyclePending
	}
	if ip.vni != nil {
		target := c.vniReference(ip.vni)
		answer.Target = &target
	}
	return answer
}

func (c *call) subnetByPath() (*subnet, error) {
	sn := c.s.catalogue.subnets[c.path("subnet_id")]
	if sn == nil {
		return nil, notFound("subnet", c.path("subnet_id"))
	}
	return sn, nil
}

func (c *call) reservedIPByPath() (*reservedIP, error) {
	sn, err := c.subnetByPath()
	if err != nil {
		return nil, err
	}
	ip := c.s.reservedIPs[c.path("id")]
	if ip == nil || ip.subnetID != sn.id {
		return nil, notFound("reserved IP", c.path("id"))
	}
	return ip, nil
}

// reservedIPOrder reads the sort parameter; without one the list goes by address.
func (c *call) reservedIPOrder() (ordering[*reservedIP], error) {
	order := ordering[*reservedIP]{seq: (*reservedIP).serial}
	sort, _ := c.query("sort")
	if len(sort) > 0 && sort[0] == '-' {
		order.desc, sort = true, sort[1:]
	}
	switch sort {
	case "", "address":
		order.key = func(ip *reservedIP) string { return hex.EncodeToString(ip.address.AsSlice()) }
	case "created_at":
		order.key = func(ip *reservedIP) string { return ip.created.sortKey() }
	case "name":
		order.key = func(ip *reservedIP) string { return ip.name }
	default:
		return order, badParameter(codeBadRequest, "sort", sort, "The list cannot be sorted by %q.", sort)
	}
	return order, nil
}

func (c *call) listReservedIPs() (reply, error) {
	sn, err := c.subnetByPath()
	if err != nil {
		return reply{}, err
	}
	order, err := c.reservedIPOrder()
	if err != nil {
		return reply{}, err
	}
	items := slices.DeleteFunc(c.s.reservedIn(sn.id), func(ip *reservedIP) bool {
		var target reference
		if ip.vni != nil {
			target = c.vniReference(ip.vni)
		}
		return !c.matches("target.id", target.ID) || !c.matches("target.crn", target.CRN) ||
			!c.matches("target.name", target.Name) || !c.matches("target.resource_type", target.ResourceType)
	})
	items, meta, err := page(c, items, order)
	if err != nil {
		return reply{}, err
	}
	return ok(struct {
		pageMeta
		IPs []reservedIPAnswer `json:"reserved_ips"`
	}{meta, render(items, c.reservedIPAnswer)}), nil
}

func (c *call) getReservedIP() (reply, error) {
	ip, err := c.reservedIPByPath()
	if err != nil {
		return reply{}, err
	}
	return ok(c.reservedIPAnswer(ip)), nil
}

func (c *call) createReservedIP() (reply, error) {
	sn, err := c.subnetByPath()
	if err != nil {
		return reply{}, err
	}
	var p struct {
		Address    *string   `json:"address"`
		AutoDelete bool      `json:"auto_delete"`
		Name       string    `json:"name"`
		Target     *identity `json:"target"`
	}
	if err := c.decode(&p); err != nil {
		return reply{}, err
	}
	var target *vni
	if p.Target != nil {
		if target = c.s.vnis[p.Target.key()]; target == nil {
			return reply{}, notFoundField("virtual network interface", "target", p.Target.key())
		}
		if err := target.mayAdd(sn); err != nil {
			return reply{}, err
		}
	} else if p.AutoDelete {
		return reply{}, badField("auto_delete", "true", "auto_delete must be false if the reserved IP is unbound.")
	}
	ip, err := c.reserve(sn, reservedIPPrototype{Address: p.Address, Name: p.Name}, p.AutoDelete)
	if err != nil {
		return reply{}, err
	}
	if target != nil {
		ip.vni = target
		target.ips = append(target.ips, ip)
	}
	return created(c.reservedIPAnswer(ip)), nil
}

func (c *call) updateReservedIP() (reply, error) {
	ip, err := c.reservedIPByPath()
	if err != nil {
		return reply{}, err
	}
	var p struct {
		AutoDelete *bool   `json:"auto_delete"`
		Name       *string `json:"name"`
	}
	if err := c.decode(&p); err != nil {
		return reply{}, err
	}
	if ip.owner == ownerProvider {
		return reply{}, badField("id", ip.id, "A provider-owned reserved IP is not allowed to be updated.")
	}
	if p.AutoDelete != nil && *p.AutoDelete && ip.vni == nil {
		return reply{}, badField("auto_delete", "true", "auto_delete must be false if the reserved IP is unbound.")
	}
	if p.Name != nil && *p.Name != ip.name {
		name, err := renamed(ip.name, *p.Name, true, func(name string) bool { return c.s.taken.has(reservedNameKey(ip.subnetID, name)) })
		if err != nil {
			return reply{}, err
		}
		c.s.taken.drop(ip.keys()...)
		ip.name = name
		c.s.taken.add(ip.keys()...)
	}
	if p.AutoDelete != nil {
		ip.autoDelete = *p.AutoDelete
	}
	return ok(c.reservedIPAnswer(ip)), nil
}

// renamed checks a new name and returns it, or the old one with the error.
func renamed(old, name string, providerPrefix bool, taken func(string) bool) (string, error) {
	if err := checkName(name, providerPrefix); err != nil {
		return old, err
	}
	if taken(name) {
		return old, notUnique(name)
	}
	return name, nil
}

// deleteReservedIP refuses the provider's addresses and bound ones. The SDK names the primary IP as one that is
// required; that a bound secondary IP is refused as well is inferred.
func (c *call) deleteReservedIP() (reply, error) {
	ip, err := c.reservedIPByPath()
	if err != nil {
		return reply{}, err
	}
	if ip.owner == ownerProvider {
		return reply{}, badField("id", ip.id, "A provider-owned reserved IP is not allowed to be deleted.")
	}
	if ip.vni != nil {
		return reply{}, conflict(codeReservedIPInUse, "The reserved IP is bound to %s.", ip.vni.id)
	}
	c.s.forgetReservedIP(ip)
	return noContent(), nil
}
