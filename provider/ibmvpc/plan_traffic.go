package ibmvpc

import (
	"context"
	"encoding/json"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"

	"github.com/IBM/vpc-go-sdk/vpcv1"
)

// bootAddresses are the addresses of the host that machines boot from.
func (p *Provider) bootAddresses(ctx context.Context) ([]netip.Addr, error) {
	u, err := url.Parse(p.cfg.BootURL)
	if err != nil || u.Hostname() == "" {
		return nil, nil //nolint:nilerr // was checked at the start; an empty one is none
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil {
		return []netip.Addr{a.Unmap()}, nil
	}
	found, err := p.cfg.Resolve(ctx, u.Hostname())
	for i := range found {
		found[i] = found[i].Unmap()
	}
	return found, err
}

// verdict says whether security groups let something through.
type verdict int

const (
	shut    verdict = iota
	perhaps         // to or from members of another group, which nobody can tell from here
	open
)

// rule is a security group's rule in the one form that all of the SDK's have.
type rule struct {
	Direction string `json:"direction"`
	Protocol  string `json:"protocol"`
	IPVersion string `json:"ip_version"`
	PortMin   *int   `json:"port_min"`
	PortMax   *int   `json:"port_max"`
	Remote    struct {
		Address string `json:"address"`
		CIDR    string `json:"cidr_block"`
		ID      string `json:"id"`
	} `json:"remote"`
}

// rulesOf reads the rules of groups. They add up: what one group allows is allowed.
func rulesOf(groups []vpcv1.SecurityGroup) []rule {
	var rules []rule
	for _, g := range groups {
		text, err := json.Marshal(g.Rules)
		if err != nil {
			continue // the SDK has read it from JSON
		}
		var more []rule
		if json.Unmarshal(text, &more) == nil {
			rules = append(rules, more...)
		}
	}
	return rules
}

// The protocols of a rule that cover TCP and UDP, by their names of all times:
// "all" was renamed in December 2025.
var wideProtocols = []string{"any", "all", "icmp_tcp_udp"}

// covers tells whether a rule is about the traffic, whoever the other end is.
func (r rule) covers(direction, protocol string, port int) bool {
	return r.Direction == direction && (r.Protocol == protocol || slices.Contains(wideProtocols, r.Protocol)) &&
		(r.IPVersion == "" || r.IPVersion == "ipv4") && (r.PortMin == nil || *r.PortMin <= port) && (r.PortMax == nil || port <= *r.PortMax)
}

// admits tells whether the rule's other end is, or has, the address.
func (r rule) admits(a netip.Addr) verdict {
	if r.Remote.ID != "" {
		return perhaps
	}
	if own, err := netip.ParseAddr(r.Remote.Address); err == nil && own == a {
		return open
	}
	if block, err := netip.ParsePrefix(r.Remote.CIDR); err == nil && block.Contains(a) {
		return open
	}
	return shut
}

func allows(rules []rule, direction, protocol string, port int, remote netip.Addr) verdict {
	best := shut
	for _, r := range rules {
		if r.covers(direction, protocol, port) {
			best = max(best, r.admits(remote))
		}
	}
	return best
}

// judgeTraffic tells whether the machine can reach what it boots from, and
// Slipway can log in to it afterwards.
func (s *survey) judgeTraffic() {
	switch {
	case s.vpcFound.err != nil:
		s.unknown(CheckBootTraffic, "the VPC is not known")
		return
	case s.groups.err != nil:
		for _, err := range each(s.groups.err) {
			s.sorry(CheckBootTraffic, err)
		}
		return
	case s.cfg.BootURL == "":
		s.unknown(CheckBootTraffic, "the URL that machines reach Slipway by is not set (--base-url)")
		return
	case len(s.groups.value) == 0:
		s.unknown(CheckBootTraffic, "IBM Cloud does not tell which security group the VPC's interfaces have")
		return
	case s.boot.err != nil || len(s.boot.value) == 0:
		s.warn(CheckBootTraffic, "Use a name that machines in the VPC can resolve, or an address (--base-url).", "the host of %s cannot be resolved from here: %v", s.cfg.BootURL, s.boot.err)
		return
	}
	before := len(s.checks[CheckBootTraffic])
	rules := rulesOf(s.groups.value)
	s.judgeBoot(rules)
	s.judgeLogin(rules)
	if len(s.Spec.SecurityGroups) > 0 { // the order chose them
		for i := range s.checks[CheckBootTraffic][before:] {
			s.checks[CheckBootTraffic][before+i].Field = "security_groups"
		}
	}
	if len(s.checks[CheckBootTraffic]) == before {
		s.pass(CheckBootTraffic, "the security groups let machines reach %s, DHCP and DNS, and let Slipway in to port %d; network ACLs were not looked at", s.cfg.BootURL, s.cfg.SSHPort)
	}
}

func (s *survey) judgeBoot(rules []rule) {
	const advice = "Add an outbound rule to a security group of the interfaces."
	u, err := url.Parse(s.cfg.BootURL)
	if err != nil {
		return
	}
	port, named := portOf(u), net.ParseIP(u.Hostname()) == nil
	for _, a := range s.boot.value {
		switch allows(rules, "outbound", "tcp", port, a) {
		case shut:
			s.fail(CheckBootTraffic, advice, "the security groups do not let machines reach %s, TCP port %d, from which they boot", a, port)
		case perhaps:
			s.warn(CheckBootTraffic, advice, "the security groups let machines reach %s, TCP port %d, only if it is in another security group", a, port)
		case open:
		}
		if s.where.management.id != "" && !s.where.management.public && public(a) {
			s.warn(CheckBootTraffic, "Use a private address for Slipway, or attach a public gateway to the subnet.",
				"%s is a public address, and the subnet %s has no public gateway: its machines reach private addresses only", a, s.where.management.name)
		}
		if a.IsLoopback() && !s.simulated() {
			s.fail(CheckBootTraffic, "Set --base-url to an address that the VPC can reach.", "machines cannot reach %s: it is this machine's own loopback address", a)
		}
	}
	names := s.Spec.DNSServers
	if len(names) == 0 {
		names = resolvers
	}
	for _, text := range names {
		a, err := netip.ParseAddr(text)
		if err != nil || allows(rules, "outbound", "udp", 53, a) == open {
			continue
		}
		if named {
			s.fail(CheckBootTraffic, advice, "the security groups do not let machines reach the name server %s, UDP port 53, and %s is a name", a, u.Hostname())
		} else {
			s.warn(CheckBootTraffic, advice, "the security groups do not let machines reach the name server %s, UDP port 53", a)
		}
	}
	if !slices.ContainsFunc(rules, func(r rule) bool { return r.covers("outbound", "udp", 67) }) {
		s.warn(CheckBootTraffic, advice, "the security groups let no DHCP out, UDP port 67, by which a machine gets its address to boot")
	}
}

// judgeLogin takes the host of the boot URL for where Slipway calls from, which
// a proxy or a load balancer would make wrong: so it only warns, unless nobody
// at all is let in.
func (s *survey) judgeLogin(rules []rule) {
	const advice = "Add an inbound rule to a security group of the interfaces."
	if !slices.ContainsFunc(rules, func(r rule) bool { return r.covers("inbound", "tcp", s.cfg.SSHPort) }) {
		s.fail(CheckBootTraffic, advice, "the security groups let nobody in to TCP port %d, by which Slipway looks at the installed system", s.cfg.SSHPort)
		return
	}
	for _, a := range s.boot.value {
		if allows(rules, "inbound", "tcp", s.cfg.SSHPort, a) != open {
			s.warn(CheckBootTraffic, advice, "the security groups do not let %s in to TCP port %d; if Slipway logs in from there, that fails", a, s.cfg.SSHPort)
		}
	}
}

// simulated tells that the VPC service is one on this machine.
func (p *Provider) simulated() bool {
	u, err := url.Parse(p.cfg.VPCURL)
	if err != nil {
		return false
	}
	a, err := netip.ParseAddr(u.Hostname())
	return err == nil && a.IsLoopback() || u.Hostname() == "localhost"
}

func portOf(u *url.URL) int {
	if port, err := strconv.Atoi(u.Port()); err == nil {
		return port
	}
	if u.Scheme == "https" {
		return 443
	}
	return 80
}

// private are the addresses beside those of RFC 1918 that a machine reaches
// without a public gateway: shared address space (RFC 6598), and IBM's own
// services (IBM Cloud docs, "Service endpoints for VPC").
var private = []netip.Prefix{netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("161.26.0.0/16"), netip.MustParsePrefix("166.8.0.0/14")}

func public(a netip.Addr) bool {
	return !a.IsPrivate() && !a.IsLoopback() && !a.IsLinkLocalUnicast() && !slices.ContainsFunc(private, func(p netip.Prefix) bool { return p.Contains(a) })
}
