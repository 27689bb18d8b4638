package ibmvpc

import (
	"context"
	"time"

	"github.com/IBM/vpc-go-sdk/vpcv1"
)

// inventory lists everything of the journal's kinds that is in the VPC and in
// the zone, all pages.
func (p *Provider) inventory(ctx context.Context) ([]item, error) {
	vpc, err := p.findVPC(ctx)
	if err != nil {
		return nil, err
	}
	items, err := p.serverItems(ctx, value(vpc.ID))
	if err != nil {
		return nil, err
	}
	for _, more := range []func(context.Context, string) ([]item, error){p.vniItems, p.addressItems} {
		found, err := more(ctx, value(vpc.ID))
		if err != nil {
			return nil, err
		}
		items = append(items, found...)
	}
	records, err := p.recordItems(ctx)
	return append(items, records...), err
}

func (p *Provider) serverItems(ctx context.Context, vpc string) ([]item, error) {
	all, err := list(ctx, p, "listing servers", func() (*vpcv1.BareMetalServersPager, error) {
		return p.vpc.NewBareMetalServersPager(p.vpc.NewListBareMetalServersOptions().SetVPCID(vpc).SetLimit(pageSize))
	})
	var items []item
	for _, s := range all {
		items = append(items, item{kind: kindServer, id: value(s.ID), name: value(s.Name), status: value(s.Status), zone: zoneName(s.Zone),
			created: time.Time(value(s.CreatedAt)), vnis: attachedVNIs(&s)})
	}
	return items, err
}

func (p *Provider) vniItems(ctx context.Context, vpc string) ([]item, error) {
	all, err := p.allVNIs(ctx)
	var items []item
	for _, v := range all {
		if vpcOf(v.VPC) == vpc {
			items = append(items, item{kind: kindVNI, id: value(v.ID), name: value(v.Name), status: value(v.LifecycleState), zone: zoneName(v.Zone), created: time.Time(value(v.CreatedAt))})
		}
	}
	return items, err
}

func (p *Provider) addressItems(ctx context.Context, vpc string) ([]item, error) {
	subnets, err := p.subnets(ctx, vpc)
	if err != nil {
		return nil, err
	}
	var items []item
	for _, s := range subnets {
		sn := subnetOf(s)
		all, err := p.reservedIn(ctx, sn)
		if err != nil {
			return nil, err
		}
		for _, ip := range all {
			if value(ip.Owner) == ownerUser {
				items = append(items, item{kind: kindReservedIP, id: value(ip.ID), name: value(ip.Name), status: value(ip.LifecycleState), zone: sn.zone, parent: sn.id,
					created: time.Time(value(ip.CreatedAt)), address: value(ip.Address)})
			}
		}
	}
	return items, nil
}

func (p *Provider) recordItems(ctx context.Context) ([]item, error) {
	if !p.HasNames() {
		return nil, nil
	}
	end, err := p.takeTurn(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	zone, err := p.findZone(ctx)
	if err != nil {
		return nil, err
	}
	var items []item
	for _, kind := range []string{kindA, kindPTR} {
		all, err := p.records(ctx, zone.id, recordTypes[kind])
		if err != nil {
			return nil, err
		}
		for _, rr := range all {
			items = append(items, item{kind: kind, id: value(rr.ID), name: value(rr.Name), parent: zone.id, created: time.Time(value(rr.CreatedOn)), leads: target(rr)})
		}
	}
	return items, nil
}
