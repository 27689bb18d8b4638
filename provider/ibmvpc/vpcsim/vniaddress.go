package vpcsim

import "slices"

// bindAddresses gives a new interface its primary and secondary addresses.
func (c *call) bindAddresses(v *vni, sn *subnet, p vniPrototype) error {
	primary := reservedIPPrototype{}
	if p.PrimaryIP != nil {
		primary = *p.PrimaryIP
	}
	for _, item := range append([]reservedIPPrototype{primary}, p.IPs...) {
		if err := v.mayAdd(sn); err != nil {
			return err
		}
		ip, err := c.addressFor(v, sn, item)
		if err != nil {
			return err
		}
		v.ips = append(v.ips, ip)
	}
	return nil
}

// addressFor binds an existing reserved IP, or reserves one. A new one is deleted with its interface unless the
// request says otherwise.
func (c *call) addressFor(v *vni, sn *subnet, p reservedIPPrototype) (*reservedIP, error) {
	if id := p.key(); id != "" {
		ip := c.s.reservedIPs[id]
		if ip == nil {
			return nil, notFoundField("reserved IP", "ips", id)
		}
		if ip.subnetID != sn.id {
			return nil, badField("ips", id, "The reserved IP must be in the subnet of the primary IP, %s.", sn.id)
		}
		if err := ip.bind(v); err != nil {
			return nil, err
		}
		c.onUndo(func() { ip.vni = nil })
		return ip, nil
	}
	ip, err := c.reserve(sn, p, isSet(p.AutoDelete, true))
	if err != nil {
		return nil, err
	}
	c.onUndo(func() { c.s.forgetReservedIP(ip); c.s.counts.reservedIPs-- })
	ip.vni, ip.hidden = v, p.Address == nil
	return ip, nil
}

func (c *call) listVNIAddresses() (reply, error) {
	v, err := c.vniByPath()
	if err != nil {
		return reply{}, err
	}
	order, err := c.reservedIPOrder()
	if err != nil {
		return reply{}, err
	}
	items, meta, err := page(c, slices.Clone(v.ips), order)
	if err != nil {
		return reply{}, err
	}
	return ok(struct {
		pageMeta
		IPs []reservedIPReference `json:"ips"`
	}{meta, render(items, c.reservedIPReference)}), nil
}

// vniAddressByPath finds the interface and, among its addresses, the one of the path.
func (c *call) vniAddressByPath() (*vni, *reservedIP, error) {
	v, err := c.vniByPath()
	if err != nil {
		return nil, nil, err
	}
	i := slices.IndexFunc(v.ips, func(ip *reservedIP) bool { return ip.id == c.path("ip") })
	if i < 0 {
		return v, nil, notFound("reserved IP", c.path("ip"))
	}
	return v, v.ips[i], nil
}

func (c *call) getVNIAddress() (reply, error) {
	_, ip, err := c.vniAddressByPath()
	if err != nil {
		return reply{}, err
	}
	return ok(c.reservedIPReference(ip)), nil
}

func (c *call) addVNIAddress() (reply, error) {
	v, bound, err := c.vniAddressByPath()
	if v == nil {
		return reply{}, err
	}
	if bound != nil { // PUT is idempotent
		return ok(c.reservedIPReference(bound)), nil
	}
	ip := c.s.reservedIPs[c.path("ip")]
	if ip == nil {
		return reply{}, notFound("reserved IP", c.path("ip"))
	}
	if err := v.mayAdd(c.s.catalogue.subnets[ip.subnetID]); err != nil {
		return reply{}, err
	}
	if err := ip.bind(v); err != nil {
		return reply{}, err
	}
	v.ips = append(v.ips, ip)
	v.version++
	return ok(c.reservedIPReference(ip)), nil
}

func (c *call) removeVNIAddress() (reply, error) {
	v, ip, err := c.vniAddressByPath()
	if err != nil {
		return reply{}, err
	}
	if ip == v.primary() {
		return reply{}, conflict(codeReservedIPInUse, "The primary IP cannot be unbound.")
	}
	v.ips = slices.DeleteFunc(v.ips, func(other *reservedIP) bool { return other == ip })
	v.version++
	c.s.unbind(ip)
	return noContent(), nil
}
