package hostconfig

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

func interfacePath(i *Interface) string { return nameInterfaces + "." + i.segment() }

func propertiesPath(i *Interface) string { return interfacePath(i) + "." + nameProperties }

// shape is what is gathered over the interfaces of a document.
type shape struct {
	devices map[string]string // name of a device -> key of its entry
	bonds   map[string]string // name of a bond -> key of its entry
	types   map[string]string // type -> key of its entry
	unclear bool              // a row's type is not known
}

func (c *checker) interfaces(d *Document) {
	if len(d.Interfaces) == 0 {
		c.add(nameInterfaces, KeyInterfacesRequired)
		return
	}
	s := &shape{devices: map[string]string{}, bonds: map[string]string{}, types: map[string]string{}}
	rows := d.rows()
	for _, r := range rows {
		if r.IsBond() {
			c.bondName(s, r)
		}
	}
	for _, r := range rows {
		c.entry(s, r.Interface)
		for _, m := range r.members {
			c.entry(s, m)
		}
	}
	c.modes(d, s)
	c.gatewayOnce(rows)
}

// bondName checks a bond by itself: its name and its members.
func (c *checker) bondName(s *shape, r row) {
	at := interfacePath(r.Interface)
	name := at + "." + interfaceFields[fieldDevice].name
	key, _ := interfaceFields[fieldBond].wrong(r.Name)
	switch {
	case r.Name == "":
		c.add(name, KeyBondNameRequired)
		return
	case key != "":
		c.add(name, key)
	case s.bonds[r.Name] != "":
		c.add(name, KeyBondNameTwice, "value", r.Name, "other", s.bonds[r.Name])
		return
	}
	s.bonds[r.Name] = r.Key
	if len(r.members) != 2 {
		c.add(at, KeyBondMembers, "count", strconv.Itoa(len(r.members)))
	}
}

// entry checks one interface; those of bonds have had their names checked.
func (c *checker) entry(s *shape, e *Interface) {
	at := interfacePath(e) + "."
	if !e.IsBond() {
		c.device(s, e, at)
	}
	slave := &interfaceFields[fieldSlave]
	toBond := at + interfaceFields[fieldBond].name
	if key, _ := slave.wrong(e.BondSlave); key != "" {
		c.add(at+slave.name, key)
	}
	switch {
	case e.IsMember():
		c.member(s, e, at)
		return
	case e.IsBond() && e.BondSlave == yes:
		c.add(at+slave.name, KeyBondIsMember)
	case e.IsBond() && e.Bond != "":
		c.add(toBond, KeyBondIsMember)
	case e.Bond != "":
		c.add(toBond, KeyBondNameUnexpected)
	}
	tag := &interfaceFields[fieldVLAN]
	if key, _ := tag.wrong(e.VLAN); key != "" {
		c.add(at+tag.name, key)
	}
	c.rowType(s, e, at+interfaceFields[fieldType].name)
	c.place(e)
}

// device checks the name of a plain interface or a member.
func (c *checker) device(s *shape, e *Interface, at string) {
	f := &interfaceFields[fieldDevice]
	at += f.name
	key, _ := f.wrong(e.Name)
	switch {
	case e.Name == "":
		c.add(at, f.required)
		return
	case key != "":
		c.add(at, key)
		return
	case s.bonds[e.Name] != "" && e.IsMember():
		c.add(at, KeyBondIsMember)
	case s.bonds[e.Name] != "":
		c.add(at, KeyInterfaceTwice, "value", e.Name, "other", s.bonds[e.Name])
	case s.devices[e.Name] != "":
		c.add(at, KeyInterfaceTwice, "value", e.Name, "other", s.devices[e.Name])
	default:
		s.devices[e.Name] = e.Key
	}
}

// member checks what a member of a bond has, and that it has no more.
func (c *checker) member(s *shape, e *Interface, at string) {
	f := &interfaceFields[fieldBond]
	switch key, _ := f.wrong(e.Bond); {
	case e.Bond == "":
		c.add(at+f.name, KeyBondNameRequired)
	case key != "":
		c.add(at+f.name, key)
	case s.bonds[e.Bond] == "":
		c.add(at+f.name, KeyBondUnknown)
	}
	if len(e.Types) > 0 {
		c.add(at+interfaceFields[fieldType].name, KeyMemberHasSettings)
	}
	if orNone(e.VLAN) != None {
		c.add(at+interfaceFields[fieldVLAN].name, KeyMemberHasSettings)
	}
	if e.Properties != nil && *e.Properties != (Properties{MTU: None}) && *e.Properties != (Properties{}) {
		c.add(at+nameProperties, KeyMemberHasSettings)
	}
}

func (c *checker) rowType(s *shape, e *Interface, at string) {
	f := &interfaceFields[fieldType]
	if len(e.Types) != 1 {
		s.unclear = true
		key := f.required
		if len(e.Types) > 1 {
			key = KeyTypeSeveral
		}
		c.add(at, key)
		return
	}
	t := e.Types[0]
	if key, fill := f.wrong(t); key != "" {
		s.unclear = true
		c.add(at, key, fill...)
		return
	}
	if other := s.types[t]; other != "" {
		c.add(at, KeyTypeTwice, "value", t, "other", other)
		return
	}
	s.types[t] = e.Key
}

// modes checks that the types together are those of one mode. A node may do
// without Secondary.
func (c *checker) modes(d *Document, s *shape) {
	want := []string{TypePrimary}
	if d.Segregated() {
		want = segregatedTypes
		if s.types[TypePrimary] != "" || s.types[TypeSecondary] != "" {
			c.add(nameInterfaces, KeyTypesMixed)
			return
		}
	}
	var missing []string
	for _, t := range want {
		if s.types[t] == "" {
			missing = append(missing, t)
		}
	}
	if len(missing) > 0 && !s.unclear {
		c.add(nameInterfaces, KeyTypeMissing, "missing", strings.Join(missing, ", "))
	}
}

// place checks that an address stands where its type wants one, and the address.
func (c *checker) place(e *Interface) {
	at := propertiesPath(e)
	t := e.Type()
	switch {
	case slices.Contains(addressless, t):
		if e.Properties != nil {
			c.add(at, KeyPropertiesUnexpected, "type", t)
		}
		return
	case e.Properties == nil:
		if slices.Contains(allTypes, t) {
			c.add(at, KeyPropertiesRequired, "type", t)
		}
		return
	}
	c.properties(e.Properties, at)
}

func (c *checker) properties(p *Properties, at string) {
	addr, known := parseAddr(p.IPAddress)
	for i := range propertyFields {
		f := &propertyFields[i]
		v := *f.one(p)
		if v == "" {
			if f.required != "" {
				c.add(at+"."+f.name, f.required)
			}
			continue
		}
		if key, fill := f.wrong(v); key != "" {
			c.add(at+"."+f.name, key, fill...)
		}
	}
	six := addr.Is6() && known
	if _, key := maskBits(p.Netmask, six); key != "" && p.Netmask != "" {
		c.add(at+".Netmask", key, bounds(minMask, maxMaskFor(six))...)
	}
	if known {
		c.address(p, addr, at+".IP_ADDRESS")
	}
	if gw, ok := parseAddr(p.Gateway); ok {
		c.gateway(p, gw, at+".gateway")
	}
}

// address checks a node's address beside its subnet and all other addresses.
func (c *checker) address(p *Properties, addr netip.Addr, at string) {
	if unusable(addr) {
		return
	}
	if subnet, ok := p.Subnet(); ok {
		switch addr {
		case subnet.Addr():
			c.add(at, KeyAddressIsNetwork, "subnet", subnet.String())
		case broadcast(subnet):
			c.add(at, KeyAddressIsBroadcast, "subnet", subnet.String())
		}
	}
	if u, ok := c.first[addr]; ok && (u.card != c.at || u.path != at) {
		c.add(at, KeyAddressTwice, "value", addr.String(), "other", c.of(u.card, u.what))
	}
	if node := c.held(addr); node != "" {
		c.add(at, KeyAddressInInventory, "node", node)
	} else if node := c.vips[addr]; node != "" && c.inv.Addresses[addr] == "" {
		c.add(at, KeyAddressInInventory, "node", "the cloud of "+node)
	}
}

func (c *checker) gateway(p *Properties, gw netip.Addr, at string) {
	if subnet, ok := p.Subnet(); ok {
		switch {
		case !subnet.Contains(gw):
			c.add(at, KeyGatewayOutsideSubnet, "subnet", subnet.String())
			return
		case gw == subnet.Addr():
			c.add(at, KeyGatewayIsNetwork, "subnet", subnet.String())
			return
		case gw == broadcast(subnet):
			c.add(at, KeyGatewayIsBroadcast, "subnet", subnet.String())
			return
		}
	}
	if own, ok := parseAddr(p.IPAddress); ok && own == gw {
		c.add(at, KeyGatewayIsOwnAddress)
	} else if u, ok := c.first[gw]; ok {
		c.add(at, KeyGatewayIsNodeAddress, "value", gw.String(), "other", c.of(u.card, u.what))
	}
}

// gatewayOnce checks that the gateway stands at the first row with an address,
// and nowhere else.
func (c *checker) gatewayOnce(rows []row) {
	var first, has *Interface
	for _, r := range rows {
		if !r.addressed() {
			continue
		}
		if first == nil {
			first = r.Interface
		}
		if r.Properties.Gateway == "" {
			continue
		}
		at := propertiesPath(r.Interface) + ".gateway"
		switch {
		case has != nil:
			c.add(at, KeyGatewaySeveral, "other", has.Key)
		case r.Interface != first:
			c.add(at, KeyGatewayNotFirst, "other", first.Key)
		}
		if has == nil {
			has = r.Interface
		}
	}
	if first != nil && has == nil {
		c.add(propertiesPath(first)+".gateway", KeyGatewayRequired)
	}
}
