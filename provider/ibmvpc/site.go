package ibmvpc

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/IBM/vpc-go-sdk/vpcv1"

	"github.com/slipwayhq/slipway/deploy"
)

// site is where an order goes, in ids.
type site struct {
	vpcID          string
	zone           string
	management     subnet
	workload       []subnet
	vlans          []taggedSubnet
	addresses      []wanted // in the management subnet, the server's own first
	securityGroups []string
	keys           []string
	image          string
}

// all are the subnets of the order, with the fields that name them.
func (s *site) all() []fieldSubnet {
	subnets := []fieldSubnet{{"management_subnet", s.management}}
	for _, sn := range s.workload {
		subnets = append(subnets, fieldSubnet{"workload_subnets", sn})
	}
	for _, v := range s.vlans {
		subnets = append(subnets, fieldSubnet{"vlans", v.subnet})
	}
	return subnets
}

type (
	subnet struct {
		id, name, zone, cidr string
		available            int64
		public               bool // it has a public gateway
	}
	taggedSubnet struct {
		subnet
		id    int // of the VLAN
		float bool
	}
	fieldSubnet struct {
		field string
		subnet
	}
)

// site finds what the order and the settings name. What does not exist is a
// permanent error that names the field. Lists that were read a moment ago are
// believed, unless something is missing from them.
func (p *Provider) site(ctx context.Context, spec deploy.Spec) (site, error) {
	s, err := p.resolveSite(ctx, spec)
	var e *deploy.ProviderError
	if errors.As(err, &e) && !e.Temporary && p.seen.forget() {
		return p.resolveSite(ctx, spec)
	}
	return s, err
}

func (p *Provider) resolveSite(ctx context.Context, spec deploy.Spec) (site, error) {
	vpc, err := p.findVPC(ctx)
	if err != nil {
		return site{}, err
	}
	s := site{vpcID: value(vpc.ID)}
	if bad := p.findSubnets(ctx, spec, &s); len(bad) > 0 {
		return site{}, bad[0]
	}
	if err := p.checkZone(ctx, spec, &s); err != nil {
		return site{}, err
	}
	if s.addresses, err = p.inManagement(spec, s.management); err != nil {
		return site{}, err
	}
	if _, err := p.findProfile(ctx, spec.ServerProfile, s.zone); err != nil {
		return site{}, err
	}
	groups, err := p.findSecurityGroups(ctx, spec, vpc)
	if err != nil {
		return site{}, err
	}
	if len(spec.SecurityGroups) > 0 || len(p.cfg.SecurityGroups) > 0 {
		for _, g := range groups {
			s.securityGroups = append(s.securityGroups, value(g.ID))
		}
	}
	if s.keys, err = p.findKeys(ctx, spec); err != nil {
		return site{}, err
	}
	s.image, err = p.bootImage(ctx, spec)
	return s, err
}

const adviceSettings = "Correct Slipway's settings for IBM VPC, restart it, and deploy again."

func (p *Provider) findVPC(ctx context.Context) (vpcv1.VPC, error) {
	all, err := p.vpcs(ctx)
	if err != nil {
		return vpcv1.VPC{}, err
	}
	for _, v := range all {
		if value(v.ID) == p.cfg.VPC || value(v.Name) == p.cfg.VPC {
			return v, nil
		}
	}
	return vpcv1.VPC{}, permanent(deploy.CodeInvalid, adviceSettings, "there is no VPC %q in region %s (there are: %s)", p.cfg.VPC, p.cfg.Region,
		some(all, func(v vpcv1.VPC) string { return value(v.Name) }))
}

// findSubnets resolves names and ids within the VPC. It gives every error, so
// that a plan can show all.
func (p *Provider) findSubnets(ctx context.Context, spec deploy.Spec, s *site) []error {
	management, workload := spec.ManagementSubnet, spec.WorkloadSubnets
	if management == "" {
		management = p.cfg.ManagementSubnet
	}
	if len(workload) == 0 {
		workload = p.cfg.WorkloadSubnets
	}
	var bad []error
	if management == "" {
		bad = append(bad, permanent(deploy.CodeRequired, "Name a subnet in the order, or set a default one.", "management_subnet: neither the order nor the settings name a management subnet"))
	}
	all, err := p.subnets(ctx, s.vpcID)
	if err != nil {
		return []error{err}
	}
	find := func(field, want string) (found subnet) {
		for _, sn := range all {
			if value(sn.ID) == want || value(sn.Name) == want {
				return subnetOf(sn)
			}
		}
		bad = append(bad, permanent(deploy.CodeInvalid, "Name a subnet of the VPC by its name or id, and deploy again.",
			"%s: there is no subnet %q in the VPC (there are: %s)", field, want, some(all, func(sn vpcv1.Subnet) string { return value(sn.Name) })))
		return subnet{}
	}
	if management != "" {
		s.management = find("management_subnet", management)
	}
	for _, want := range workload {
		s.workload = append(s.workload, find("workload_subnets", want))
	}
	for i, v := range spec.VLANs {
		s.vlans = append(s.vlans, taggedSubnet{find(fmt.Sprintf("vlans.%d.subnet", i), v.Subnet), v.ID, v.Float})
	}
	return bad
}

func subnetOf(sn vpcv1.Subnet) subnet {
	return subnet{id: value(sn.ID), name: value(sn.Name), zone: zoneName(sn.Zone), cidr: value(sn.Ipv4CIDRBlock),
		available: value(sn.AvailableIpv4AddressCount), public: sn.PublicGateway != nil}
}

func zoneName(z *vpcv1.ZoneReference) string {
	if z == nil {
		return ""
	}
	return value(z.Name)
}

// checkZone settles the zone: every subnet must lie in it.
func (p *Provider) checkZone(ctx context.Context, spec deploy.Spec, s *site) error {
	s.zone = spec.Zone
	if s.zone == "" {
		s.zone = p.cfg.Zone
	}
	if s.zone == "" {
		s.zone = s.management.zone
	}
	for _, sn := range s.all() {
		if sn.zone == s.zone {
			continue
		}
		zones, err := p.zones(ctx)
		if err != nil {
			return err
		}
		if !slices.Contains(zones, s.zone) {
			return permanent(deploy.CodeInvalid, "Name one of the region's zones, or none to follow the subnet.",
				"zone: there is no zone %q in region %s (there are: %s)", s.zone, p.cfg.Region, some(zones, func(z string) string { return z }))
		}
		return permanent(deploy.CodeInvalid, "A server's subnets must lie in its zone: choose another subnet or another zone.",
			"zone: the subnet %q lies in zone %s, not in %s", sn.name, sn.zone, s.zone)
	}
	return nil
}

// findProfile reads a server profile, and refuses one that is not offered in
// the zone, where the API tells; an empty zone is any.
func (p *Provider) findProfile(ctx context.Context, name, zone string) (profile, error) {
	found, err := p.profile(ctx, name)
	if isNotFound(err) {
		all, err := p.profiles(ctx)
		if err != nil {
			return profile{}, err
		}
		return profile{}, permanent(deploy.CodeInvalid, "Name one of the region's bare metal profiles; those with d before -metal have local data disks.",
			"server_profile: there is no bare metal profile %q in region %s (there are: %s)", name, p.cfg.Region,
			some(all, func(b vpcv1.BareMetalServerProfile) string { return value(b.Name) }))
	}
	if err == nil && zone != "" && len(found.zones) > 0 && !slices.Contains(found.zones, zone) {
		return profile{}, permanent(deploy.CodeInvalid, "Choose another profile, or a subnet in another zone.",
			"server_profile: the profile %s is not offered in zone %s (but in: %s)", name, zone, strings.Join(found.zones, ", "))
	}
	return found, err
}

// findSecurityGroups gives the groups of the interfaces: those of the order,
// else those of the settings, else the VPC's default one.
func (p *Provider) findSecurityGroups(ctx context.Context, spec deploy.Spec, vpc vpcv1.VPC) ([]vpcv1.SecurityGroup, error) {
	wanted, of := spec.SecurityGroups, ofOrder("security_groups", "Name security groups of the VPC by their names or ids, or none for those of the server's settings.")
	if len(wanted) == 0 {
		wanted, of = p.cfg.SecurityGroups, ofSettings
	}
	if len(wanted) == 0 {
		if vpc.DefaultSecurityGroup == nil {
			return nil, nil
		}
		wanted = []string{value(vpc.DefaultSecurityGroup.ID)}
	}
	all, err := p.securityGroups(ctx, value(vpc.ID))
	if err != nil {
		return nil, err
	}
	return resolve(of, "security group", wanted, all, func(g vpcv1.SecurityGroup) (string, string) { return value(g.ID), value(g.Name) })
}

// findKeys gives the ids of the keys of the server's initialization: those of
// the order, else those of the settings. None are fine: a network boot ignores
// them, since they reach a system as cloud-init's vendor data.
func (p *Provider) findKeys(ctx context.Context, spec deploy.Spec) ([]string, error) {
	wanted, of := spec.Keys, ofOrder("keys", "Name SSH keys of the account by their names or ids, or none for those of the server's settings.")
	if len(wanted) == 0 {
		wanted, of = p.cfg.SSHKeys, ofSettings
	}
	if len(wanted) == 0 {
		return nil, nil
	}
	all, err := p.keys(ctx)
	if err != nil {
		return nil, err
	}
	found, err := resolve(of, "SSH key", wanted, all, func(k vpcv1.Key) (string, string) { return value(k.ID), value(k.Name) })
	var ids []string
	for _, k := range found {
		ids = append(ids, value(k.ID))
	}
	return ids, err
}

// namer is who names something: the order in one of its fields, or the settings.
type namer struct{ field, advice string }

var ofSettings = namer{advice: adviceSettings}

func ofOrder(field, advice string) namer { return namer{field + ": ", advice} }

// resolve finds what the order or the settings name by name or id. A name that
// is nowhere is an error beside what was found.
func resolve[T any](of namer, kind string, wanted []string, all []T, called func(T) (id, name string)) ([]T, error) {
	var found []T
	var bad []error
	for _, want := range wanted {
		i := slices.IndexFunc(all, func(item T) bool { id, name := called(item); return id == want || name == want })
		if i < 0 {
			bad = append(bad, permanent(deploy.CodeInvalid, of.advice, "%sthere is no %s %q (there are: %s)", of.field, kind, want, some(all, func(item T) string { _, name := called(item); return name })))
			continue
		}
		found = append(found, all[i])
	}
	return found, errors.Join(bad...)
}

// some names a few of a list, for an error.
func some[T any](all []T, name func(T) string) string {
	const few = 12
	var names []string
	for _, item := range all {
		names = append(names, name(item))
	}
	slices.Sort(names)
	if len(names) == 0 {
		return "none"
	}
	if len(names) > few {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:few], ", "), len(names)-few)
	}
	return strings.Join(names, ", ")
}

// bootImage gives the id of the image of findBootImage.
func (p *Provider) bootImage(ctx context.Context, spec deploy.Spec) (string, error) {
	image, err := p.findBootImage(ctx, spec)
	return value(image.ID), err
}

// findBootImage finds the image that boots what user_data names: public, its
// user data format ipxe; the one that the order names, else the newest. Its
// name carries a date and its id differs by region, so neither is known
// beforehand. No other image will do, though IBM Cloud takes any: it would boot
// that image's own system, and never ask for the boot URL.
func (p *Provider) findBootImage(ctx context.Context, spec deploy.Spec) (vpcv1.Image, error) {
	all, err := p.bootImages(ctx)
	if err != nil {
		return vpcv1.Image{}, err
	}
	if len(all) == 0 {
		return vpcv1.Image{}, permanent(deploy.CodeNotFound, "Network boot of bare metal servers may not be offered in this region; see IBM's page on it, or use another region.",
			"there is no public image in region %s whose user data format is ipxe", p.cfg.Region)
	}
	if spec.Image == "" {
		return all[0], nil
	}
	found, err := resolve(ofOrder("image", "Name one of these images, or none for the newest: no other image boots from the network."), "image for network boot", []string{spec.Image}, all,
		func(i vpcv1.Image) (string, string) { return value(i.ID), value(i.Name) })
	if err != nil {
		return vpcv1.Image{}, each(err)[0]
	}
	return found[0], nil
}

// gateway is the address of a subnet's gateway: IBM keeps the first address
// after the network's for it (IBM Cloud docs, "About networking for VPC").
func (sn subnet) gateway() string {
	p, err := netip.ParsePrefix(sn.cidr)
	if err != nil {
		return ""
	}
	return p.Masked().Addr().Next().String()
}

// resolvers are IBM's private DNS resolvers, reachable from every VPC (IBM
// Cloud docs, "DNS Services: endpoints").
var resolvers = []string{"161.26.0.7", "161.26.0.8"}
