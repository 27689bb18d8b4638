package ibmvpc

import (
	"cmp"
	"context"
	"slices"

	"github.com/IBM/go-sdk-core/v5/core"
	"github.com/IBM/networking-go-sdk/dnssvcsv1"
	"github.com/IBM/vpc-go-sdk/vpcv1"
	"golang.org/x/sync/errgroup"

	"github.com/slipwayhq/slipway/deploy"
)

// Offer tells what can be ordered in the VPC now, from lists that are read to
// their ends.
func (p *Provider) Offer(ctx context.Context) (deploy.Offer, error) {
	p.seen.forget() // an offer is of now
	offer, err := p.offer(ctx)
	return offer, asProviderError(err)
}

func (p *Provider) offer(ctx context.Context) (deploy.Offer, error) {
	vpc, err := p.findVPC(ctx)
	if err != nil {
		return deploy.Offer{}, err
	}
	id := value(vpc.ID)
	o := deploy.Offer{Region: p.cfg.Region, Quota: max(p.cfg.ServerQuota, 0), AsOf: p.now()}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	fill(g, &o.Zones, func() ([]string, error) { return p.zones(ctx) }, func(z string) string { return z })
	fill(g, &o.Profiles, func() ([]vpcv1.BareMetalServerProfile, error) { return p.profiles(ctx) }, offeredProfile)
	fill(g, &o.Subnets, func() ([]vpcv1.Subnet, error) { return p.subnets(ctx, id) }, func(sn vpcv1.Subnet) deploy.OfferSubnet {
		s := subnetOf(sn)
		return deploy.OfferSubnet{ID: s.id, Name: s.name, Zone: s.zone, CIDR: s.cidr, Available: s.available}
	})
	fill(g, &o.SecurityGroups, func() ([]vpcv1.SecurityGroup, error) { return p.securityGroups(ctx, id) }, func(s vpcv1.SecurityGroup) deploy.OfferNamed {
		return deploy.OfferNamed{ID: value(s.ID), Name: value(s.Name), Default: p.givesGroup(vpc, s)}
	})
	fill(g, &o.SSHKeys, func() ([]vpcv1.Key, error) { return p.keys(ctx) }, func(k vpcv1.Key) deploy.OfferNamed {
		return deploy.OfferNamed{ID: value(k.ID), Name: value(k.Name), Default: namedIn(p.cfg.SSHKeys, value(k.ID), value(k.Name))}
	})
	fill(g, &o.Images, func() ([]vpcv1.Image, error) { return p.bootImages(ctx) }, func(i vpcv1.Image) deploy.OfferNamed {
		return deploy.OfferNamed{ID: value(i.ID), Name: value(i.Name), Status: value(i.Status)}
	})
	if p.HasNames() {
		fill(g, &o.DNSZones, func() ([]dnssvcsv1.Dnszone, error) { return p.dnsZones(ctx) }, func(z dnssvcsv1.Dnszone) deploy.OfferNamed {
			return deploy.OfferNamed{ID: value(z.ID), Name: bare(value(z.Name)), Status: value(z.State)}
		})
	}
	g.Go(func() (err error) {
		o.Servers, err = p.countServers(ctx)
		return err
	})
	if err := g.Wait(); err != nil {
		return deploy.Offer{}, err
	}
	if len(o.Images) > 0 {
		o.Images[0].Default = true // the newest: see findBootImage
	}
	slices.SortFunc(o.Profiles, func(a, b deploy.OfferProfile) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(o.Subnets, func(a, b deploy.OfferSubnet) int { return cmp.Compare(a.Name, b.Name) })
	return o, nil
}

// givesGroup tells whether the interfaces of an order that names no group get
// this one: see findSecurityGroups.
func (p *Provider) givesGroup(vpc vpcv1.VPC, g vpcv1.SecurityGroup) bool {
	if len(p.cfg.SecurityGroups) > 0 {
		return namedIn(p.cfg.SecurityGroups, value(g.ID), value(g.Name))
	}
	return vpc.DefaultSecurityGroup != nil && value(vpc.DefaultSecurityGroup.ID) == value(g.ID)
}

func namedIn(by []string, id, name string) bool {
	return slices.Contains(by, id) || slices.Contains(by, name)
}

// fill turns what one question gives into a part of the offer; a list that is
// empty is one, and not nothing.
func fill[A, B any](g *errgroup.Group, into *[]B, ask func() ([]A, error), turn func(A) B) {
	*into = []B{}
	g.Go(func() error {
		all, err := ask()
		for _, a := range all {
			*into = append(*into, turn(a))
		}
		return err
	})
}

func offeredProfile(b vpcv1.BareMetalServerProfile) deploy.OfferProfile {
	d := disksOf(b)
	o := deploy.OfferProfile{Name: value(b.Name), Family: value(b.Family), DataDisks: d.data, DataDiskGB: d.dataGB, Why: d.why(false)}
	if cores, ok := b.CpuCoreCount.(*vpcv1.BareMetalServerProfileCpuCoreCount); ok && cores != nil {
		o.CPUs = int(either(cores.Value, cores.Default))
	}
	if memory, ok := b.Memory.(*vpcv1.BareMetalServerProfileMemory); ok && memory != nil {
		o.MemoryGiB = int(either(memory.Value, memory.Default))
	}
	o.Usable = o.Why == ""
	return o
}

func (p *Provider) dnsZones(ctx context.Context) ([]dnssvcsv1.Dnszone, error) {
	return list(ctx, p, "listing DNS zones", func() (*dnssvcsv1.DnszonesPager, error) {
		return p.dns.NewDnszonesPager(p.dns.NewListDnszonesOptions(p.cfg.DNSInstance))
	})
}

// serverList are the account's servers in the region. total is the API's own
// count.
type serverList struct {
	all   []vpcv1.BareMetalServer
	total int
}

// countServers asks for one server, for the count that comes with it.
func (p *Provider) countServers(ctx context.Context) (int, error) {
	page, err := p.serverPage(ctx, nil, 1)
	if err != nil {
		return 0, err
	}
	return int(value(page.TotalCount)), nil
}

// listServers reads all pages.
func (p *Provider) listServers(ctx context.Context) (serverList, error) {
	var servers serverList
	var start *string
	for {
		page, err := p.serverPage(ctx, start, pageSize)
		if err != nil {
			return servers, err
		}
		servers.all = append(servers.all, page.BareMetalServers...)
		servers.total = max(int(value(page.TotalCount)), len(servers.all))
		if start, err = page.GetNextStart(); err != nil || start == nil {
			return servers, err
		}
	}
}

func (p *Provider) serverPage(ctx context.Context, start *string, limit int64) (*vpcv1.BareMetalServerCollection, error) {
	return get(ctx, p, "listing servers", func(ctx context.Context) (*vpcv1.BareMetalServerCollection, *core.DetailedResponse, error) {
		options := p.vpc.NewListBareMetalServersOptions().SetLimit(limit)
		options.Start = start
		return p.vpc.ListBareMetalServersWithContext(ctx, options)
	})
}

// listVNIs lists the region's interfaces, all pages.
func (p *Provider) listVNIs(ctx context.Context) ([]vpcv1.VirtualNetworkInterface, error) {
	return list(ctx, p, "listing interfaces", func() (*vpcv1.VirtualNetworkInterfacesPager, error) {
		return p.vpc.NewVirtualNetworkInterfacesPager(p.vpc.NewListVirtualNetworkInterfacesOptions().SetLimit(pageSize))
	})
}
