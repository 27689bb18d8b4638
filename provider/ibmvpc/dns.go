package ibmvpc

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

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
// point at an existing name; then those of its controller VM (deploy.CVMHost),
// if that has an address of the journal's; then those of the cluster's address,
// if the order is to. It returns when all exist. Without a zone it does nothing.
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
	hosts := []hostName{{roleManagement, n.NodeName, address, "name the node differently"}}
	if n.ClusterVIP != "" {
		cluster, err := clusterHost(n)
		if err != nil {
			return err
		}
		hosts = append(hosts, cluster)
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
	guest, err := p.cvmHost(ctx, n)
	if err != nil {
		return err
	}
	for _, h := range slices.Insert(hosts, 1, guest...) {
		r := &registration{Provider: p, Names: n, zone: zone, hostName: h, host: h.label + "." + zone.name}
		if err := r.register(ctx); err != nil {
			return err
		}
	}
	return nil
}

// hostName is a name that an address gets.
type hostName struct {
	role    string
	label   string
	address netip.Addr
	rename  string // what people can do if the name is somebody else's
}

func clusterHost(n deploy.Names) (hostName, error) {
	address, err := netip.ParseAddr(n.ClusterVIP)
	if err != nil || !address.Is4() {
		return hostName{}, permanent(deploy.CodeInvalid, "IBM Cloud's subnets are IPv4.", "cluster_vip: the cluster's address %s is no IPv4 address", n.ClusterVIP)
	}
	label, ok := deploy.ClusterLabel(n.ClusterName)
	if !ok {
		return hostName{}, permanent(deploy.CodeInvalid, "Give the cluster a shorter name of letters, digits and hyphens, or no address of its own.",
			"cluster_name: %q cannot be a name in DNS, whose labels have at most 63 characters", n.ClusterName)
	}
	return hostName{role: roleCluster, label: label, address: address, rename: "name the cluster differently"}, nil
}

// cvmHost is the name of the node's controller VM, if it has an address in the
// journal; none or one.
func (p *Provider) cvmHost(ctx context.Context, n deploy.Names) ([]hostName, error) {
	held, err := p.journal.Held(ctx, n.NodeID)
	if err != nil {
		return nil, err
	}
	row := heldRow(held, deploy.Intent{DeploymentID: n.DeploymentID, Kind: kindReservedIP, Role: roleCVM}, nil)
	address, err := netip.ParseAddr(recordOf(row).Address)
	if row.State != deploy.ResourcePresent || err != nil || !address.Is4() || recordOf(row).Adopted {
		return nil, nil //nolint:nilerr // what has no address gets no name
	}
	return []hostName{{role: roleCVM, label: deploy.CVMHost(n.NodeName), address: address, rename: "name the node differently"}}, nil
}

// register makes the A record of one name, then its PTR record.
func (r *registration) register(ctx context.Context) error {
	if err := r.keepHost(ctx); err != nil {
		return err
	}
	if err := r.ensure(ctx, kindA, typeA, r.findA, &dnssvcsv1.ResourceRecordInputRdataRdataARecord{Ip: core.StringPtr(r.address.String())}, r.host); err != nil {
		return err
	}
	// The service takes the plain address as the name and stores the in-addr.arpa form.
	return r.ensure(ctx, kindPTR, typePTR, r.findPTR, &dnssvcsv1.ResourceRecordInputRdataRdataPtrRecord{Ptrdname: &r.host}, r.address.String())
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

// registration is one of a node's names being made.
type registration struct {
	*Provider
	deploy.Names
	hostName
	zone zone
	host string // fully qualified, without the last dot
}

func (r *registration) ensure(ctx context.Context, kind, recordType string, find func(context.Context, string) (*dnssvcsv1.ResourceRecord, error),
	data dnssvcsv1.ResourceRecordInputRdataIntf, name string) error {
	w := want[dnssvcsv1.ResourceRecord]{
		intent: deploy.Intent{NodeID: r.NodeID, DeploymentID: r.DeploymentID, Kind: kind, Role: r.role},
		what:   recordType + " record of " + r.host + ",",
		plan:   record{DNSName: r.host, DNSZone: r.zone.id, Address: r.address.String()},
		// A record's own name is the node's, in every deployment; only the journal's tells them apart.
		name: func(generation int) string {
			if r.role == roleManagement {
				return fmt.Sprintf("%s/d%d-g%d", r.host, r.DeploymentID, generation)
			}
			return fmt.Sprintf("%s/d%d-g%d-%s", r.host, r.DeploymentID, generation, r.role)
		},
		same: r.same,
		id:   func(rr *dnssvcsv1.ResourceRecord) string { return value(rr.ID) },
		made: func(_ *dnssvcsv1.ResourceRecord, plan record) record { return plan },
		note: func(context.Context, string) {},
		find: find,
		get: func(ctx context.Context, id string) (*dnssvcsv1.ResourceRecord, error) {
			return r.getRecord(ctx, r.zone.id, recordType, id)
		},
		create: func(ctx context.Context, _ string) (*dnssvcsv1.ResourceRecord, error) {
			// Before it is asked: what may be there is looked for.
			if known, ok := r.seen.recall(namesKey(r.zone.id, recordType), r.now()); ok {
				if known, ok := known.(*knownNames); ok {
					known.add(name)
				}
			}
			return create(ctx, r.Provider, "making the "+recordType+" record", func(ctx context.Context) (*dnssvcsv1.ResourceRecord, *core.DetailedResponse, error) {
				return r.dnsCreate.CreateResourceRecordWithContext(ctx, r.dns.NewCreateResourceRecordOptions(r.cfg.DNSInstance, r.zone.id, recordType).
					SetName(name).SetRdata(data).SetTTL(dnsTTL))
			})
		},
	}
	_, _, err := ensure(ctx, r.Provider, w)
	return err
}

// records lists one type, all pages. The filter by name is not used: how the
// service compares names, and which form a PTR's has, is its own affair.
func (p *Provider) records(ctx context.Context, zone, recordType string) ([]dnssvcsv1.ResourceRecord, error) {
	return list(ctx, p, "listing "+recordType+" records", func() (*dnssvcsv1.ResourceRecordsPager, error) {
		return p.dns.NewResourceRecordsPager(p.dns.NewListResourceRecordsOptions(p.cfg.DNSInstance, zone).SetType(recordType))
	})
}

// knownNames are the names, bare, that had a record of a type a moment ago, and
// those that this process has given one since.
type knownNames struct {
	mu    sync.Mutex
	names map[string]bool
}

func (k *knownNames) add(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.names[bare(name)] = true
}

func (k *knownNames) any(names []string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.ContainsFunc(names, func(name string) bool { return k.names[name] })
}

func namesKey(zone, recordType string) string { return "names/" + zone + "/" + recordType }

func (p *Provider) namesOf(ctx context.Context, zone, recordType string) (*knownNames, error) {
	all, err := p.records(ctx, zone, recordType)
	if err != nil {
		return nil, err
	}
	known := &knownNames{names: make(map[string]bool, len(all))}
	for _, rr := range all {
		if value(rr.Type) == recordType {
			known.add(value(rr.Name))
		}
	}
	return known, nil
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

// How to get a record out of the way.
const advicePTR = "Delete that record or clean up the deployment that made it, or choose another address; then retry."

func adviceA(rename string) string {
	return "Delete that record or clean up the deployment that made it, or " + rename + "; then retry."
}

func (r *registration) findA(ctx context.Context, row string) (*dnssvcsv1.ResourceRecord, error) {
	return r.findRecord(ctx, row, sought{kindA, "ip", r.address.String(), "name", adviceA(r.rename), []string{r.host}})
}

func (r *registration) findPTR(ctx context.Context, row string) (*dnssvcsv1.ResourceRecord, error) {
	plain, reversed := r.address.String(), reverse(r.address)
	return r.findRecord(ctx, row, sought{kindPTR, "ptrdname", r.host, "address", advicePTR, []string{plain, reversed}})
}

// sought is a record that is looked for.
type sought struct {
	kind        string
	field, data string   // what its data are, and where they are
	what        string   // its name, for people
	advice      string   // on one that is in the way
	names       []string // what it may be called, bare
}

// findRecord finds the record of a row that is as ours would be. Names of A
// records need not be unique, so that one that leads elsewhere would make the
// name answer with both: that is a conflict. So is one that leads where ours
// would, but was never asked for: somebody else made it, and would lose it in
// our cleanup.
func (r *registration) findRecord(ctx context.Context, row string, s sought) (*dnssvcsv1.ResourceRecord, error) {
	recordType := recordTypes[s.kind]
	matches := func(rr dnssvcsv1.ResourceRecord) bool {
		return value(rr.Type) == recordType && slices.Contains(s.names, bare(value(rr.Name)))
	}
	never, err := r.neverAsked(ctx, s.kind, row)
	if err != nil {
		return nil, err
	}
	if never {
		// Many nodes that register at once share one look at the zone. What it
		// shows of this one may be of yesterday: that is looked at anew.
		known, err := remembered(ctx, r.Provider, namesKey(r.zone.id, recordType), func() (*knownNames, error) {
			return r.namesOf(ctx, r.zone.id, recordType)
		})
		if err != nil || !known.any(s.names) {
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
		got, _ := rr.Rdata[s.field].(string)
		if bare(got) != bare(s.data) {
			return nil, permanent(deploy.CodeNameInUse, s.advice, "the %s %s has a %s record already, for %s and not for %s", s.what, value(rr.Name), recordType, got, s.data)
		}
		if found == nil {
			found = &all[i]
		}
	}
	if found == nil || !never {
		return found, nil
	}
	// Another process may have asked since: its row said so before it did.
	if never, err = r.neverAsked(ctx, s.kind, row); err != nil {
		return nil, err
	}
	if never {
		return nil, permanent(deploy.CodeNameInUse, s.advice, "the %s %s has the %s record for %s already, and Slipway did not make it", s.what, value(found.Name), recordType, s.data)
	}
	return found, nil
}

// same tells whether a row is of a record of this host, zone and address.
func (r *registration) same(row deploy.Resource) bool {
	rec := recordOf(row)
	return rec.DNSName == r.host && r.here(rec)
}

func (r *registration) here(rec record) bool {
	return rec.DNSZone == r.zone.id && rec.Address == r.address.String()
}

// keepHost keeps the name under which the address has its records, or may have
// them, also if it was renamed since: a second name would be one too many, and
// the address leads back to the first. What was adopted was named by others.
func (r *registration) keepHost(ctx context.Context) error {
	held, err := r.journal.Held(ctx, r.NodeID)
	if err != nil {
		return err
	}
	for _, kind := range []string{kindA, kindPTR} {
		asked := func(row deploy.Resource) bool { return row.State != deploy.ResourceIntent && r.here(recordOf(row)) }
		i := deploy.Intent{DeploymentID: r.DeploymentID, Kind: kind, Role: r.role}
		if heldRow(held, i, func(row deploy.Resource) bool { return asked(row) && r.same(row) }).ID != 0 {
			return nil
		}
		if row := heldRow(held, i, func(row deploy.Resource) bool { return asked(row) && !recordOf(row).Adopted }); row.ID != 0 {
			r.host = recordOf(row).DNSName
			return nil
		}
	}
	return nil
}

// neverAsked reports whether no create for this row can have been sent yet.
func (r *registration) neverAsked(ctx context.Context, kind, name string) (bool, error) {
	held, err := r.journal.Held(ctx, r.NodeID)
	if err != nil {
		return false, err
	}
	return !slices.ContainsFunc(held, func(row deploy.Resource) bool {
		return row.Provider == deploy.ProviderIBMVPC && row.Kind == kind && row.Name == name && row.State != deploy.ResourceIntent
	}), nil
}

// reverse is the name of an IPv4 address in the reverse tree (RFC 1035 section 3.5).
func reverse(a netip.Addr) string {
	b := a.As4()
	return fmt.Sprintf("%d.%d.%d.%d.in-addr.arpa", b[3], b[2], b[1], b[0])
}
