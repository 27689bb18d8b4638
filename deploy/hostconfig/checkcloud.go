package hostconfig

import (
	"net/netip"
	"slices"
	"strings"
)

func (c *checker) roles(d *Document) {
	f := &rolesField
	chosen := slices.DeleteFunc(slices.Clone(d.Roles), func(r string) bool { return r == RoleNetwork })
	if len(chosen) == 0 {
		c.add(f.name, f.required, "allowed", strings.Join(chosenRoles, ", "))
	}
	c.list(f, chosen, KeyRoleTwice)
	if vip, ok := parseAddr(d.ServerVIP); ok && !c.unclear {
		c.cloudRoles(vip)
	}
}

// cloudRoles checks the roles of a cloud, over its nodes in the request and
// those that are there: Control and Storage, to which Compute and Monitoring
// may come. It is told once, at the cloud's first card.
func (c *checker) cloudRoles(vip netip.Addr) {
	have, named := map[string]bool{}, map[string]bool{}
	for _, u := range c.shared {
		if u.addr != vip {
			continue
		}
		if u.card < c.at {
			return
		}
		d := c.cards[u.card].Doc
		if len(d.Roles) == 0 || slices.ContainsFunc(d.Roles, func(r string) bool { return !slices.Contains(chosenRoles, r) && r != RoleNetwork }) {
			return // its own error says enough
		}
		named[c.own(u.card)] = true
		for _, r := range d.Roles {
			have[r] = true
		}
	}
	for _, m := range c.inv.Members {
		if m.VIP != vip || named[strings.ToLower(m.Node)] {
			continue
		}
		for _, r := range m.Roles {
			have[r] = true
		}
	}
	if have[RoleControl] && have[RoleStorage] {
		return
	}
	var list []string
	for _, r := range chosenRoles {
		if have[r] {
			list = append(list, r)
		}
	}
	c.add(rolesField.name, KeyRolesIncomplete, "vip", vip.String(), "have", strings.Join(list, ", "))
}

func (c *checker) vip(d *Document) {
	f := &vipField
	if d.ServerVIP == "" {
		return
	}
	if key, _ := f.wrong(d.ServerVIP); key != "" {
		c.add(f.name, key)
		return
	}
	vip, _ := parseAddr(d.ServerVIP)
	if m := d.Management(); m != nil {
		if subnet, ok := m.Properties.Subnet(); ok {
			switch {
			case !subnet.Contains(vip):
				c.add(f.name, KeyVIPOutsideSubnet, "subnet", subnet.String(), "interface", m.Key)
			case vip == subnet.Addr():
				c.add(f.name, KeyVIPIsNetwork, "subnet", subnet.String())
			case vip == broadcast(subnet):
				c.add(f.name, KeyVIPIsBroadcast, "subnet", subnet.String())
			}
		}
	}
	if u, ok := c.router[vip]; ok {
		c.add(f.name, KeyVIPIsGateway, "other", c.of(u.card, u.what))
	}
	if u, ok := c.first[vip]; ok {
		c.add(f.name, KeyVIPIsNodeAddress, "value", vip.String(), "other", c.of(u.card, u.what))
	}
	if node := c.held(vip); node != "" && c.vips[vip] == "" {
		c.add(f.name, KeyVIPInInventory, "node", node)
	}
}

// once checks that only one card of a cloud has a network, and notes it.
func (c *checker) once(seen map[string]int, d *Document, field, key string) {
	if other, ok := seen[d.ServerVIP]; ok {
		c.add(field, key, "other", c.title(other))
		return
	}
	seen[d.ServerVIP] = c.at
}

// complete tells whether every field of a network is given, and notes those
// that are not.
func (c *checker) complete(d *Document, fields []field[Document], key string) {
	for i := range fields {
		if v := *fields[i].one(d); v == "" || v == NotGiven {
			c.add(fields[i].name, key)
		}
	}
}

// cidr checks a network; ok if addresses can be compared with it.
func (c *checker) cidr(f *field[Document], d *Document, hostBits, outOfRange string) (netip.Prefix, bool) {
	v := *f.one(d)
	if v == "" || v == NotGiven {
		return netip.Prefix{}, false
	}
	if key, _ := f.wrong(v); key != "" {
		c.add(f.name, key)
		return netip.Prefix{}, false
	}
	p := netip.MustParsePrefix(v)
	if longest := maxMaskFor(p.Addr().Is6()); p.Bits() < minMask || p.Bits() > longest {
		c.add(f.name, outOfRange, bounds(minMask, longest)...)
		return netip.Prefix{}, false
	}
	if p != p.Masked() {
		c.add(f.name, hostBits, "subnet", p.Masked().String())
	}
	return p.Masked(), true
}

// inside checks an address that stands in a network; ok if it can be compared
// with others.
func (c *checker) inside(f *field[Document], d *Document, in netip.Prefix, known bool, outside, unusable string) (netip.Addr, bool) {
	v := *f.one(d)
	if v == "" || v == NotGiven {
		return netip.Addr{}, false
	}
	if key, _ := f.wrong(v); key != "" {
		c.add(f.name, key)
		return netip.Addr{}, false
	}
	a, _ := parseAddr(v)
	switch {
	case !known:
	case !in.Contains(a):
		c.add(f.name, outside, "subnet", in.String())
		return a, false
	case a == in.Addr() || a == broadcast(in):
		c.add(f.name, unusable, "subnet", in.String())
		return a, false
	}
	return a, true
}

func (c *checker) providerNetwork(d *Document) {
	if !d.Provider.given() {
		if d.Provider != (ProviderNetwork{}) && d.Provider != (ProviderNetwork{NotGiven, NotGiven, NotGiven, NotGiven}) {
			c.complete(d, providerFields, KeyProviderIncomplete)
		}
		return
	}
	cidr, gateway, start, end := &providerFields[0], &providerFields[1], &providerFields[2], &providerFields[3]
	c.once(c.provider, d, cidr.name, KeyProviderTwice)
	c.complete(d, providerFields, KeyProviderIncomplete)
	in, known := c.cidr(cidr, d, KeyProviderCIDRHostBits, KeyProviderCIDROutOfRange)
	gw, gwOK := c.inside(gateway, d, in, known, KeyProviderGatewayOutside, KeyProviderGatewayUnusable)
	from, fromOK := c.inside(start, d, in, known, KeyProviderStartOutside, KeyProviderStartUnusable)
	to, toOK := c.inside(end, d, in, known, KeyProviderEndOutside, KeyProviderEndUnusable)
	if !fromOK || !toOK {
		return
	}
	within := func(a netip.Addr) bool {
		return a.BitLen() == from.BitLen() && from.Compare(a) <= 0 && a.Compare(to) <= 0
	}
	if from.BitLen() != to.BitLen() || to.Less(from) {
		c.add(start.name, KeyProviderRangeReversed, "value", to.String())
		return
	}
	if gwOK && within(gw) {
		c.add(gateway.name, KeyProviderGatewayInRange, "range", from.String()+" to "+to.String())
	}
	for _, u := range slices.Concat(c.nodes, c.shared) {
		if within(u.addr) {
			c.add(start.name, KeyProviderRangeHasNode, "value", u.addr.String(), "other", c.of(u.card, u.what))
			return
		}
	}
}

func (c *checker) tenantNetwork(d *Document) {
	if d.Tenant == (TenantNetwork{}) {
		return
	}
	cidr, gateway, nameserver := &tenantFields[0], &tenantFields[1], &tenantFields[2]
	c.once(c.tenant, d, cidr.name, KeyTenantTwice)
	c.complete(d, tenantFields, KeyTenantIncomplete)
	in, known := c.cidr(cidr, d, KeyTenantCIDRHostBits, KeyTenantCIDROutOfRange)
	c.inside(gateway, d, in, known, KeyTenantGatewayOutside, KeyTenantGatewayUnusable)
	if v := d.Tenant.Nameserver; v != "" && v != NotGiven {
		if key, _ := nameserver.wrong(v); key != "" {
			c.add(nameserver.name, key)
		}
	}
}
