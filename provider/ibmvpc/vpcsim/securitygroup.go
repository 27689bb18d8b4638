package vpcsim

import (
	"net/netip"
	"slices"
)

// maxSecurityGroups is the quota of security groups per VPC (IBM's quotas page).
const maxSecurityGroups = 100

// anywhere is what a rule without a remote or local part means (SDK comments).
const anywhere = "0.0.0.0/0"

type securityGroup struct {
	base
	name  string
	vpcID string
	rules []securityRule
}

type securityRule struct {
	id, name, direction, protocol string
	local, remote                 ruleSide
	portMin, portMax              *int
	icmpType, icmpCode            *int
}

// ruleSide is one end of a rule: an address, a block of addresses, or a security group.
type ruleSide struct {
	Address   string `json:"address"`
	CIDRBlock string `json:"cidr_block"`
	identity
}

func (s *Simulator) defaultRules() []securityRule {
	open := ruleSide{CIDRBlock: anywhere}
	return []securityRule{
		{id: s.regionalID(), name: "allow-outbound", direction: "outbound", protocol: "any", local: open, remote: open},
		{id: s.regionalID(), name: "allow-inbound", direction: "inbound", protocol: "any", local: open, remote: open},
	}
}

func (s *Simulator) addSecurityGroup(v *vpc, name string, rules []securityRule) *securityGroup {
	g := &securityGroup{
		base: s.newBase(s.fixedID(s.regionPrefix(), "security_group", v.name+"/"+name)), name: name, vpcID: v.id, rules: rules,
	}
	s.securityGroups[g.id] = g
	return g
}

type securityGroupAnswer struct {
	CreatedAt     timestamp              `json:"created_at"`
	CRN           string                 `json:"crn"`
	Href          string                 `json:"href"`
	ID            string                 `json:"id"`
	Name          string                 `json:"name"`
	ResourceGroup resourceGroupReference `json:"resource_group"`
	Rules         []securityRuleAnswer   `json:"rules"`
	Targets       []securityTarget       `json:"targets"`
	VPC           reference              `json:"vpc"`
}

type securityRuleAnswer struct {
	Direction    string `json:"direction"`
	Href         string `json:"href"`
	ID           string `json:"id"`
	IPVersion    string `json:"ip_version"`
	Local        any    `json:"local"`
	Name         string `json:"name"`
	Protocol     string `json:"protocol"`
	Remote       any    `json:"remote"`
	ResourceType string `json:"resource_type"`
	Code         *int   `json:"code,omitempty"`
	Type         *int   `json:"type,omitempty"`
	PortMin      *int   `json:"port_min,omitempty"`
	PortMax      *int   `json:"port_max,omitempty"`
}

// securityTarget is a virtual network interface in the group.
type securityTarget struct {
	reference
	PrimaryIP reservedIPReference `json:"primary_ip"`
	Subnet    reference           `json:"subnet"`
}

type cidrBlock struct {
	CIDRBlock string `json:"cidr_block"`
}

func (c *call) securityGroupReference(g *securityGroup) untypedReference {
	return untypedReference{
		CRN: crn(c.s.opts.Region, "security-group", g.id), Href: c.href("/security_groups/" + g.id), ID: g.id, Name: g.name,
	}
}

func (c *call) securityGroupAnswer(g *securityGroup) securityGroupAnswer {
	ref := c.securityGroupReference(g)
	members := list(c.s.vnis, func(v *vni) bool { return slices.Contains(v.securityGroups, g.id) })
	slices.SortFunc(members, func(a, b *vni) int { return int(a.seq - b.seq) })
	return securityGroupAnswer{
		CreatedAt: g.created, CRN: ref.CRN, Href: ref.Href, ID: g.id, Name: g.name, ResourceGroup: c.resourceGroup(),
		Rules: render(g.rules, func(r securityRule) securityRuleAnswer {
			return securityRuleAnswer{
				Direction: r.direction, Href: ref.Href + "/rules/" + r.id, ID: r.id, IPVersion: "ipv4",
				Local: c.ruleSide(r.local), Name: r.name, Protocol: r.protocol, Remote: c.ruleSide(r.remote),
				ResourceType: "security_group_rule", Code: r.icmpCode, Type: r.icmpType, PortMin: r.portMin, PortMax: r.portMax,
			}
		}),
		Targets: render(members, func(v *vni) securityTarget {
			return securityTarget{
				c.vniReference(v), c.reservedIPReference(v.primary()), c.subnetReference(c.s.catalogue.subnets[v.subnetID]),
			}
		}),
		VPC: c.vpcReference(c.s.catalogue.vpcs[g.vpcID]),
	}
}

func (c *call) ruleSide(side ruleSide) any {
	switch {
	case side.Address != "":
		return address{side.Address}
	case side.CIDRBlock != "":
		return cidrBlock{side.CIDRBlock}
	default:
		return c.securityGroupReference(c.s.securityGroups[side.key()])
	}
}

func (c *call) listSecurityGroups() (reply, error) {
	items := list(c.s.securityGroups, func(g *securityGroup) bool {
		return c.matches("resource_group.id", c.s.catalogue.resourceGroup.id) && c.inVPC(g.vpcID)
	})
	items, meta, err := page(c, items, bySeq[*securityGroup]())
	if err != nil {
		return reply{}, err
	}
	return ok(struct {
		pageMeta
		Groups []securityGroupAnswer `json:"security_groups"`
	}{meta, render(items, c.securityGroupAnswer)}), nil
}

func (c *call) getSecurityGroup() (reply, error) {
	g := c.s.securityGroups[c.path("id")]
	if g == nil {
		return reply{}, notFound("security group", c.path("id"))
	}
	return ok(c.securityGroupAnswer(g)), nil
}

type securityGroupPrototype struct {
	VPC           *identity               `json:"vpc"`
	Name          string                  `json:"name"`
	ResourceGroup *identity               `json:"resource_group"`
	Rules         []securityRulePrototype `json:"rules"`
}

type securityRulePrototype struct {
	Direction string    `json:"direction"`
	IPVersion string    `json:"ip_version"`
	Local     *ruleSide `json:"local"`
	Name      string    `json:"name"`
	Protocol  string    `json:"protocol"`
	Remote    *ruleSide `json:"remote"`
	Code      *int      `json:"code"`
	Type      *int      `json:"type"`
	PortMin   *int      `json:"port_min"`
	PortMax   *int      `json:"port_max"`
}

func (c *call) createSecurityGroup() (reply, error) {
	var p securityGroupPrototype
	if err := c.decode(&p); err != nil {
		return reply{}, err
	}
	if p.VPC.key() == "" {
		return reply{}, requiredField("vpc")
	}
	v := c.s.catalogue.vpcs[p.VPC.key()]
	if v == nil {
		return reply{}, notFoundField("VPC", "vpc", p.VPC.key())
	}
	if err := c.checkResourceGroup(p.ResourceGroup); err != nil {
		return reply{}, err
	}
	inVPC := list(c.s.securityGroups, func(g *securityGroup) bool { return g.vpcID == v.id })
	if len(inVPC) >= maxSecurityGroups {
		return reply{}, overQuota("The VPC has as many security groups as it may have.")
	}
	name, err := chooseName(p.Name, true, func(name string) bool {
		return slices.ContainsFunc(inVPC, func(g *securityGroup) bool { return g.name == name })
	})
	if err != nil {
		return reply{}, err
	}
	rules := make([]securityRule, 0, len(p.Rules))
	for _, rule := range p.Rules {
		made, err := c.securityRule(rule, rules)
		if err != nil {
			return reply{}, err
		}
		rules = append(rules, made)
	}
	g := &securityGroup{base: c.s.newBase(c.s.regionalID()), name: name, vpcID: v.id, rules: rules}
	c.s.securityGroups[g.id] = g
	return created(c.securityGroupAnswer(g)), nil
}

func (c *call) securityRule(p securityRulePrototype, before []securityRule) (securityRule, error) {
	r := securityRule{
		id: c.s.regionalID(), direction: p.Direction, protocol: p.Protocol, portMin: p.PortMin, portMax: p.PortMax,
		icmpType: p.Type, icmpCode: p.Code,
	}
	if err := oneOf("rules.direction", p.Direction, "inbound", "outbound"); err != nil {
		return r, err
	}
	if !slices.Contains([]string{"any", "tcp", "udp", "icmp", "icmp_tcp_udp"}, p.Protocol) {
		return r, notSimulated("security group rules of protocol " + p.Protocol)
	}
	if (p.PortMin == nil) != (p.PortMax == nil) || p.PortMin != nil && *p.PortMin > *p.PortMax {
		return r, badField("rules.port_min", "", "port_min and port_max must be given together and in order.")
	}
	var err error
	if r.name, err = chooseName(p.Name, true, func(name string) bool {
		return slices.ContainsFunc(before, func(o securityRule) bool { return o.name == name })
	}); err != nil {
		return r, err
	}
	if r.local, err = c.checkSide("rules.local", p.Local); err != nil {
		return r, err
	}
	r.remote, err = c.checkSide("rules.remote", p.Remote)
	return r, err
}

func (c *call) checkSide(field string, side *ruleSide) (ruleSide, error) {
	switch {
	case side == nil:
		return ruleSide{CIDRBlock: anywhere}, nil
	case side.Address != "":
		if _, err := netip.ParseAddr(side.Address); err != nil {
			return *side, badField(field+".address", side.Address, "%q is not an address.", side.Address)
		}
	case side.CIDRBlock != "":
		if _, err := netip.ParsePrefix(side.CIDRBlock); err != nil {
			return *side, badField(field+".cidr_block", side.CIDRBlock, "%q is not a block of addresses.", side.CIDRBlock)
		}
	case c.s.securityGroups[side.key()] == nil:
		return *side, notFoundField("security group", field, side.key())
	}
	return *side, nil
}
