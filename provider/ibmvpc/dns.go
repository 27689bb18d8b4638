package ibmvpc

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/IBM/go-sdk-core/v5/core"
	"github.com/IBM/networking-go-sdk/dnssvcsv1"

	"github.com/slipwayhq/slipway/deploy"
)

// Types of records.
const (
	typeA   = "A"
	typePTR = "PTR"
)

// dnsTTL is the records' time to live in seconds, DNS Services' own default.
const dnsTTL = 900

// zoneActive is the state of a zone whose records are served: it has a
// permitted network.
const zoneActive = "ACTIVE"

// RegisterNames makes the node's A record and then its PTR record, which must
// point at an existing name, and returns when both exist. Without a zone it
// does nothing.
func (p *Provider) RegisterNames(ctx context.Context, n deploy.Names) error {
	if !p.HasNames() {
		return nil
	}
	return asProviderError(p.registerNames(ctx, n))
}

func (p *Provider) registerNames(ctx context.Context, n deploy.Names) error {
	address, err := netip.ParseAddr(n.ManagementIP)
	if err != nil || n.NodeID <= 0 || n.DeploymentID <= 0 || len(deploy.CheckNodeName("", n.NodeName)) > 0 {
		return permanent(deploy.CodeInvalid, "", "names need node, deployment, a node name and a management address")
	}
	if !address.Is4() {
		return permanent(deploy.CodeInvalid, "IBM Cloud's subnets are IPv4.", "the management address %s is no IPv4 address", address)
	}
	end, err := p.takeTurn(ctx)
	if err != nil {
		return err
	}
	defer end()
	zone, err := p.findZone(ctx)
	if err != nil {
		return err
	}
	r := &registration{Provider: p, Names: n, zone: zone, address: address, host: n.NodeName + "." + zone.name}
	if err := r.ensure(ctx, kindA, typeA, r.findA, &dnssvcsv1.ResourceRecordInputRdataRdataARecord{Ip: core.StringPtr(address.String())}, r.host); err != nil {
		return err
	}
	// The service takes the plain address as the name and stores the in-addr.arpa form.
	return r.ensure(ctx, kindPTR, typePTR, r.findPTR, &dnssvcsv1.ResourceRecordInputRdataRdataPtrRecord{Ptrdname: &r.host}, address.String())
}

// takeTurn waits until no other call to the zone is under way; the turn ends
// with end.
func (p *Provider) takeTurn(ctx context.Context) (end func(), err error) {
	select {
	case p.dnsTurn <- struct{}{}:
		return func() { <-p.dnsTurn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

type zone struct{ id, name string }

// findZone resolves the setting, a name or an id.
func (p *Provider) findZone(ctx context.Context) (zone, error) {
	all, err := list(ctx, p, "listing DNS zones", func() (*dnssvcsv1.DnszonesPager, error) {
		return p.dns.NewDnszonesPager(p.dns.NewListDnszonesOptions(p.cfg.DNSInstance))
	})
	if err != nil {
		return zone{}, err
	}
	for _, z := range all {
		if value(z.ID) != p.cfg.DNSZone && bare(value(z.Name)) != bare(p.cfg.DNSZone) {
			continue
		}
		if state := value(z.State); !strings.EqualFold(state, zoneActive) {
			return zone{}, permanent(deploy.CodeWrongState, "Add the VPC to the zone's permitted networks, then retry.", "the DNS zone %s is %s and serves no names", value(z.Name), strings.ToLower(state))
		}
		return zone{value(z.ID), bare(value(z.Name))}, nil
	}
	return zone{}, permanent(deploy.CodeInvalid, adviceSettings, "there is no zone %q in the DNS Services instance (there are: %s)", p.cfg.DNSZone,
		some(all, func(z dnssvcsv1.Dnszone) string { return value(z.Name) }))
}

// bare is a DNS name in the form in which names are compared.
func bare(name string) string { return strings.TrimSuffix(strings.ToLower(name), ".") }

// registration is one node's names being made.
type registration struct {
	*Provider
	deploy.Names
	zone    zone
	address netip.Addr
	host    string // fully qualified, without the last dot
}

func (r *registration) ensure(ctx context.Context, kind, recordType string, find func(context.Context, string) (*dnssvcsv1.ResourceRecord, error),
	data dnssvcsv1.ResourceRecordInputRdataIntf, name string) error {
	before, err := r.handedOver(ctx, kind)
	if err != nil {
		return err
	}
	w := want[dnssvcsv1.ResourceRecord]{
		intent: deploy.Intent{NodeID: r.NodeID, DeploymentID: r.DeploymentID, Kind: kind, Role: roleManagement},
		what:   recordType + " record of " + r.host + ",",
		plan:   record{DNSName: r.host, DNSZone: r.zone.id, Address: r.address.String()},
		// A record's own name is the node's, in every deployment; only the journal's tells them apart.
		name: func(generation int) string {
			if before != "" {
				generation--
			}
			if generation == 0 {
				return before
			}
			return fmt.Sprintf("%s/d%d-g%d", r.host, r.DeploymentID, generation)
		},
		id:   func(rr *dnssvcsv1.ResourceRecord) string { return value(rr.ID) },
		made: func(_ *dnssvcsv1.ResourceRecord, plan record) record { return plan },
		note: func(context.Context, string) {},
		find: find,
		get: func(ctx context.Context, id string) (*dnssvcsv1.ResourceRecord, error) {
			return r.getRecord(ctx, r.zone.id, recordType, id)
		},
		create: func(ctx context.Context, _ string) (*dnssvcsv1.ResourceRecord, error) {
			return create(ctx, r.Provider, "making the "+recordType+" record", func(ctx context.Context) (*dnssvcsv1.ResourceRecord, *core.DetailedResponse, error) {
				return r.dnsCreate.CreateResourceRecordWithContext(ctx, r.dns.NewCreateResourceRecordOptions(r.cfg.DNSInstance, r.zone.id, recordType).
					SetName(name).SetRdata(data).SetTTL(dnsTTL))
			})
		},
	}
	_, _, err = ensure(ctx, r.Provider, w)
	return err
}

// records lists one type, all pages. The filter by name is not used: how the
// service compares names, and which form a PTR's has, is its own affair.
func (p *Provider) records(ctx context.Context, zone, recordType string) ([]dnssvcsv1.ResourceRecord, error) {
	return list(ctx, p, "listing "+recordType+" records", func() (*dnssvcsv1.ResourceRecordsPager, error) {
		return p.dns.NewResourceRecordsPager(p.dns.NewListResourceRecordsOptions(p.cfg.DNSInstance, zone).SetType(recordType))
	})
}

func (p *Provider) getRecord(ctx context.Context, zone, recordType, id string) (*dnssvcsv1.ResourceRecord, error) {
	return get(ctx, p, "reading the "+recordType+" record", func(ctx context.Context) (*dnssvcsv1.ResourceRecord, *core.DetailedResponse, error) {
		return p.dns.GetResourceRecordWithContext(ctx, p.dns.NewGetResourceRecordOptions(p.cfg.DNSInstance, zone, id))
	})
}

// deleteRecord deletes one record in its turn. A PTR record goes before the A
// record that it points at.
func (p *Provider) deleteRecord(ctx context.Context, zone, kind, id string) error {
	end, err := p.takeTurn(ctx)
	if err != nil {
		return err
	}
	defer end()
	_, err = get(ctx, p, "deleting the "+recordTypes[kind]+" record", func(ctx context.Context) (struct{}, *core.DetailedResponse, error) {
		response, err := p.dns.DeleteResourceRecordWithContext(ctx, p.dns.NewDeleteResourceRecordOptions(p.cfg.DNSInstance, zone, id))
		return struct{}{}, response, err
	})
	return err
}

func (r *registration) findA(ctx context.Context, _ string) (*dnssvcsv1.ResourceRecord, error) {
	return r.findRecord(ctx, typeA, "ip", r.address.String(), "name", func(name string) bool { return name == r.host })
}

func (r *registration) findPTR(ctx context.Context, _ string) (*dnssvcsv1.ResourceRecord, error) {
	plain, reversed := r.address.String(), reverse(r.address)
	return r.findRecord(ctx, typePTR, "ptrdname", r.host, "address", func(name string) bool { return name == plain || name == reversed })
}

// findRecord finds the record that is as ours would be. Names of A records
// need not be unique, so that one that leads elsewhere would make the name
// answer with both: that is a conflict.
func (r *registration) findRecord(ctx context.Context, recordType, field, data, what string, named func(string) bool) (*dnssvcsv1.ResourceRecord, error) {
	matches := func(rr dnssvcsv1.ResourceRecord) bool {
		return value(rr.Type) == recordType && named(bare(value(rr.Name)))
	}
	if never, err := r.neverAsked(ctx, recordType); err != nil {
		return nil, err
	} else if never {
		// Many nodes that register at once share one look at the zone. What it
		// shows of this one may be of yesterday: that is looked at anew.
		all, err := remembered(r.Provider, "records/"+r.zone.id+"/"+recordType, func() ([]dnssvcsv1.ResourceRecord, error) {
			return r.records(ctx, r.zone.id, recordType)
		})
		if err != nil || !slices.ContainsFunc(all, matches) {
			return nil, err
		}
	}
	all, err := r.records(ctx, r.zone.id, recordType)
	if err != nil {
		return nil, err
	}
	var found *dnssvcsv1.ResourceRecord
	for i, rr := range all {
		if !matches(rr) {
			continue
		}
		got, _ := rr.Rdata[field].(string)
		if bare(got) != bare(data) {
			return nil, permanent(deploy.CodeNameInUse, "Delete that record or clean up the deployment that made it, or name the node differently; then retry.",
				"the %s %s has a %s record already, for %s and not for %s", what, value(rr.Name), recordType, got, data)
		}
		if found == nil {
			found = &all[i]
		}
	}
	return found, nil
}

// handedOver is the journal's name of the record of this host that an earlier
// deployment of the node made and this one holds now; empty if there is none.
func (r *registration) handedOver(ctx context.Context, kind string) (string, error) {
	held, err := r.journal.Held(ctx, r.NodeID)
	if err != nil {
		return "", err
	}
	for _, row := range held {
		rec := recordOf(row)
		if row.Kind == kind && row.HeldBy == r.DeploymentID && row.CreatedBy != r.DeploymentID && row.State == deploy.ResourcePresent &&
			rec.DNSName == r.host && rec.DNSZone == r.zone.id && rec.Address == r.address.String() {
			return row.Name, nil
		}
	}
	return "", nil
}

// neverAsked reports whether no create of this record can have been sent yet.
func (r *registration) neverAsked(ctx context.Context, recordType string) (bool, error) {
	held, err := r.journal.Held(ctx, r.NodeID)
	if err != nil {
		return false, err
	}
	return !slices.ContainsFunc(held, func(row deploy.Resource) bool {
		return recordTypes[row.Kind] == recordType && row.State != deploy.ResourceIntent
	}), nil
}

// reverse is the name of an IPv4 address in the reverse tree (RFC 1035 section 3.5).
func reverse(a netip.Addr) string {
	b := a.As4()
	return fmt.Sprintf("%d.%d.%d.%d.in-addr.arpa", b[3], b[2], b[1], b[0])
}
