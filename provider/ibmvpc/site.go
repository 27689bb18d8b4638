package ibmvpc

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/IBM/go-sdk-core/v5/core"
	"github.com/IBM/vpc-go-sdk/vpcv1"

	"github.com/slipwayhq/slipway/deploy"
)

// site is where an order goes, in ids.
type site struct {
	vpcID          string
	zone           string
	management     subnet
	workload       []subnet
	securityGroups []string
	keys           []string
}

type subnet struct{ id, name, zone, cidr string }

// site finds what the order and the settings name. What does not exist is a
// permanent error that names the field.
func (p *Provider) site(ctx context.Context, spec deploy.Spec) (site, error) {
	vpc, err := p.findVPC(ctx)
	if err != nil {
		return site{}, err
	}
	s := site{vpcID: vpc}
	if err := p.findSubnets(ctx, spec, &s); err != nil {
		return site{}, err
	}
	if err := p.checkZone(ctx, spec, &s); err != nil {
		return site{}, err
	}
	if err := p.checkProfile(ctx, spec.ServerProfile); err != nil {
		return site{}, err
	}
	if s.securityGroups, err = p.findSecurityGroups(ctx, vpc); err != nil {
		return site{}, err
	}
	s.keys, err = p.findKeys(ctx)
	return s, err
}

const adviceSettings = "Correct Slipway's settings for IBM VPC, restart it, and deploy again."

func (p *Provider) findVPC(ctx context.Context) (string, error) {
	all, err := list(ctx, p, "listing VPCs", func() (*vpcv1.VpcsPager, error) {
		return p.vpc.NewVpcsPager(p.vpc.NewListVpcsOptions().SetLimit(pageSize))
	})
	if err != nil {
		return "", err
	}
	for _, v := range all {
		if value(v.ID) == p.cfg.VPC || value(v.Name) == p.cfg.VPC {
			return value(v.ID), nil
		}
	}
	return "", permanent(deploy.CodeInvalid, adviceSettings, "there is no VPC %q in region %s (there are: %s)", p.cfg.VPC, p.cfg.Region,
		some(all, func(v vpcv1.VPC) string { return value(v.Name) }))
}

// findSubnets resolves names and ids within the VPC.
func (p *Provider) findSubnets(ctx context.Context, spec deploy.Spec, s *site) error {
	management, workload := spec.ManagementSubnet, spec.WorkloadSubnets
	if management == "" {
		management = p.cfg.ManagementSubnet
	}
	if len(workload) == 0 {
		workload = p.cfg.WorkloadSubnets
	}
	if management == "" {
		return permanent(deploy.CodeRequired, "Name a subnet in the order, or set a default one.", "management_subnet: neither the order nor the settings name a management subnet")
	}
	all, err := list(ctx, p, "listing subnets", func() (*vpcv1.SubnetsPager, error) {
		return p.vpc.NewSubnetsPager(p.vpc.NewListSubnetsOptions().SetVPCID(s.vpcID).SetLimit(pageSize))
	})
	if err != nil {
		return err
	}
	find := func(field, want string) (subnet, error) {
		for _, sn := range all {
			if value(sn.ID) == want || value(sn.Name) == want {
				return subnet{value(sn.ID), value(sn.Name), zoneName(sn.Zone), value(sn.Ipv4CIDRBlock)}, nil
			}
		}
		return subnet{}, permanent(deploy.CodeInvalid, "Name a subnet of the VPC by its name or id, and deploy again.",
			"%s: there is no subnet %q in the VPC (there are: %s)", field, want, some(all, func(sn vpcv1.Subnet) string { return value(sn.Name) }))
	}
	if s.management, err = find("management_subnet", management); err != nil {
		return err
	}
	for _, want := range workload {
		sn, err := find("workload_subnets", want)
		if err != nil {
			return err
		}
		s.workload = append(s.workload, sn)
	}
	return nil
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
	for _, sn := range append([]subnet{s.management}, s.workload...) {
		if sn.zone == s.zone {
			continue
		}
		zones, err := get(ctx, p, "listing zones", func(ctx context.Context) (*vpcv1.ZoneCollection, *core.DetailedResponse, error) {
			return p.vpc.ListRegionZonesWithContext(ctx, p.vpc.NewListRegionZonesOptions(p.cfg.Region))
		})
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(zones.Zones, func(z vpcv1.Zone) bool { return value(z.Name) == s.zone }) {
			return permanent(deploy.CodeInvalid, "Name one of the region's zones, or none to follow the subnet.",
				"zone: there is no zone %q in region %s (there are: %s)", s.zone, p.cfg.Region, some(zones.Zones, func(z vpcv1.Zone) string { return value(z.Name) }))
		}
		return permanent(deploy.CodeInvalid, "A server's subnets must lie in its zone: choose another subnet or another zone.",
			"zone: the subnet %q lies in zone %s, not in %s", sn.name, sn.zone, s.zone)
	}
	return nil
}

func (p *Provider) checkProfile(ctx context.Context, profile string) error {
	_, err := get(ctx, p, "reading the server profile", func(ctx context.Context) (*vpcv1.BareMetalServerProfile, *core.DetailedResponse, error) {
		return p.vpc.GetBareMetalServerProfileWithContext(ctx, p.vpc.NewGetBareMetalServerProfileOptions(profile))
	})
	if !isNotFound(err) {
		return err
	}
	all, err := list(ctx, p, "listing server profiles", func() (*vpcv1.BareMetalServerProfilesPager, error) {
		return p.vpc.NewBareMetalServerProfilesPager(p.vpc.NewListBareMetalServerProfilesOptions().SetLimit(pageSize))
	})
	if err != nil {
		return err
	}
	return permanent(deploy.CodeInvalid, "Name one of the region's bare metal profiles; those with d before -metal have local data disks.",
		"server_profile: there is no bare metal profile %q in region %s (there are: %s)", profile, p.cfg.Region,
		some(all, func(b vpcv1.BareMetalServerProfile) string { return value(b.Name) }))
}

func (p *Provider) findSecurityGroups(ctx context.Context, vpc string) ([]string, error) {
	if len(p.cfg.SecurityGroups) == 0 {
		return nil, nil
	}
	all, err := list(ctx, p, "listing security groups", func() (*vpcv1.SecurityGroupsPager, error) {
		return p.vpc.NewSecurityGroupsPager(p.vpc.NewListSecurityGroupsOptions().SetVPCID(vpc).SetLimit(pageSize))
	})
	if err != nil {
		return nil, err
	}
	return resolve("security group", p.cfg.SecurityGroups, all, func(g vpcv1.SecurityGroup) (string, string) { return value(g.ID), value(g.Name) })
}

func (p *Provider) findKeys(ctx context.Context) ([]string, error) {
	if len(p.cfg.SSHKeys) == 0 {
		return nil, nil
	}
	all, err := list(ctx, p, "listing SSH keys", func() (*vpcv1.KeysPager, error) {
		return p.vpc.NewKeysPager(p.vpc.NewListKeysOptions().SetLimit(pageSize))
	})
	if err != nil {
		return nil, err
	}
	return resolve("SSH key", p.cfg.SSHKeys, all, func(k vpcv1.Key) (string, string) { return value(k.ID), value(k.Name) })
}

// resolve turns names and ids of the settings into ids.
func resolve[T any](kind string, wanted []string, all []T, of func(T) (id, name string)) ([]string, error) {
	var ids []string
	for _, want := range wanted {
		i := slices.IndexFunc(all, func(item T) bool { id, name := of(item); return id == want || name == want })
		if i < 0 {
			return nil, permanent(deploy.CodeInvalid, adviceSettings, "there is no %s %q (there are: %s)", kind, want, some(all, func(item T) string { _, name := of(item); return name }))
		}
		id, _ := of(all[i])
		ids = append(ids, id)
	}
	return ids, nil
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

// bootImage finds the image that boots what user_data names: public, its
// user data format ipxe, the newest. Its name carries a date and its id
// differs by region, so neither is known beforehand.
func (p *Provider) bootImage(ctx context.Context) (string, error) {
	all, err := list(ctx, p, "listing images for network boot", func() (*vpcv1.ImagesPager, error) {
		return p.vpc.NewImagesPager(p.vpc.NewListImagesOptions().SetLimit(pageSize).
			SetUserDataFormat([]string{vpcv1.ListImagesOptionsUserDataFormatIpxeConst}).
			SetStatus([]string{vpcv1.ListImagesOptionsStatusAvailableConst}).
			SetVisibility(vpcv1.ListImagesOptionsVisibilityPublicConst))
	})
	if err != nil {
		return "", err
	}
	var newest *vpcv1.Image
	for i, image := range all {
		if value(image.UserDataFormat) != vpcv1.ImageUserDataFormatIpxeConst || value(image.Status) != vpcv1.ImageStatusAvailableConst {
			continue
		}
		if newest == nil || time.Time(value(image.CreatedAt)).After(time.Time(value(newest.CreatedAt))) {
			newest = &all[i]
		}
	}
	if newest == nil {
		return "", permanent(deploy.CodeNotFound, "Network boot of bare metal servers may not be offered in this region; see IBM's page on it, or use another region.",
			"there is no public image in region %s whose user data format is ipxe", p.cfg.Region)
	}
	return value(newest.ID), nil
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
