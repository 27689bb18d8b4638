package ibmvpc

import (
	"context"
	"net/netip"
	"slices"

	"github.com/IBM/go-sdk-core/v5/core"
	"github.com/IBM/networking-go-sdk/dnssvcsv1"
	"github.com/IBM/vpc-go-sdk/vpcv1"

	"github.com/slipwayhq/slipway/deploy"
)

// thing is what a look at the cloud found of a row.
type thing struct {
	id      string // empty: nothing is there, and proof says how that is known
	proof   gone
	foreign string // it has the row's name and is not what the row describes: why
	status  string // for people
	held    string // why it cannot be deleted now
	name    string // the cloud's
	vpc     string // of a server or an interface
	server  *vpcv1.BareMetalServer
}

const (
	notFoundAnswer = "404 not found"
	notListed      = "a list without it"
)

// absent gives the proof that a call found nothing.
func absent(call, answer string) thing {
	return thing{proof: gone{Asked: call, Answer: answer}}
}

// looked looks at the thing of a row: by its id if that is known, else by its
// name, and then takes it for the row's only if it is as the row says.
func (r *release) looked(ctx context.Context, row deploy.Resource) (thing, error) {
	switch row.Kind {
	case kindServer:
		return r.lookServer(ctx, row)
	case kindVNI:
		return r.lookVNI(ctx, row)
	case kindReservedIP:
		return r.lookAddress(ctx, row)
	default:
		return r.lookRecord(ctx, row)
	}
}

// remove asks for the removal of what was found.
func (r *release) remove(ctx context.Context, row *deploy.Resource, found thing) error {
	switch row.Kind {
	case kindServer:
		return r.takeDown(ctx, found.server, recordOf(*row).Stop, func(ctx context.Context, s stopping) error {
			rec := recordOf(*row)
			rec.Stop = &s
			return r.releasing(ctx, row, rec)
		})
	case kindVNI:
		return r.deleteVNI(ctx, found.id)
	case kindReservedIP:
		return r.deleteAddress(ctx, recordOf(*row).Subnet, found.id)
	default:
		zone, err := r.recordZone(ctx, *row)
		if err != nil {
			return err
		}
		return r.deleteRecord(ctx, zone, row.Kind, found.id)
	}
}

func (r *release) lookServer(ctx context.Context, row deploy.Resource) (thing, error) {
	if row.CloudID != "" {
		s, err := r.getServer(ctx, row.CloudID)
		if isNotFound(err) {
			return absent("GET /bare_metal_servers/"+row.CloudID, notFoundAnswer), nil
		}
		if err != nil {
			return thing{}, err
		}
		return serverThing(s), nil
	}
	all, err := r.serversNamed(ctx, row.Name)
	if err != nil {
		return thing{}, err
	}
	if len(all) == 0 {
		return absent("GET /bare_metal_servers?name="+row.Name, notListed), nil
	}
	found := serverThing(&all[0])
	found.foreign, err = r.foreignServer(ctx, found.server, recordOf(row))
	return found, err
}

func serverThing(s *vpcv1.BareMetalServer) thing {
	return thing{id: value(s.ID), name: value(s.Name), vpc: vpcOf(s.VPC), server: s, status: "it is " + value(s.Status)}
}

// serversNamed lists the servers of a name, which is unique in the region.
func (p *Provider) serversNamed(ctx context.Context, name string) ([]vpcv1.BareMetalServer, error) {
	all, err := list(ctx, p, "looking for the server", func() (*vpcv1.BareMetalServersPager, error) {
		return p.vpc.NewBareMetalServersPager(p.vpc.NewListBareMetalServersOptions().SetName(name).SetLimit(pageSize))
	})
	return slices.DeleteFunc(all, func(s vpcv1.BareMetalServer) bool { return value(s.Name) != name }), err
}

// foreignServer tells why a server of a row's name is not the row's, by the
// same marks by which an order takes over what it finds.
func (p *Provider) foreignServer(ctx context.Context, s *vpcv1.BareMetalServer, rec record) (string, error) {
	vpc, err := p.findVPC(ctx)
	if err != nil {
		return "", err
	}
	if why := differ([3]string{"VPC", value(vpc.ID), vpcOf(s.VPC)}, p.groupPair(s.ResourceGroup)); why != "" {
		return why, nil
	}
	if len(rec.VNIs) == 0 || !slices.ContainsFunc(attachedVNIs(s), func(id string) bool { return slices.Contains(rec.VNIs, id) }) {
		return "its interfaces are not the ones that were made for it", nil
	}
	return "", nil
}

func vpcOf(v *vpcv1.VPCReference) string {
	if v == nil {
		return ""
	}
	return value(v.ID)
}

func (r *release) lookVNI(ctx context.Context, row deploy.Resource) (thing, error) {
	if row.CloudID != "" {
		v, err := r.getVNI(ctx, row.CloudID)
		if isNotFound(err) {
			return absent("GET /virtual_network_interfaces/"+row.CloudID, notFoundAnswer), nil
		}
		if err != nil {
			return thing{}, err
		}
		return boundVNI(v), nil
	}
	vpc, err := r.findVPC(ctx)
	if err != nil {
		return thing{}, err
	}
	all, err := r.allVNIs(ctx)
	if err != nil {
		return thing{}, err
	}
	for i := range all {
		v := &all[i]
		if value(v.Name) == row.Name && vpcOf(v.VPC) == value(vpc.ID) {
			found := boundVNI(v)
			found.foreign = r.foreignVNIOf(v, row)
			return found, nil
		}
	}
	return absent("GET /virtual_network_interfaces", notListed), nil
}

func boundVNI(v *vpcv1.VirtualNetworkInterface) thing {
	found := thing{id: value(v.ID), name: value(v.Name), vpc: vpcOf(v.VPC), status: "it is free"}
	if to := vniTarget(v); to != "" {
		found.status, found.held = "it is attached", "it is attached to "+to
	}
	return found
}

func (p *Provider) allVNIs(ctx context.Context) ([]vpcv1.VirtualNetworkInterface, error) {
	return list(ctx, p, "listing interfaces", func() (*vpcv1.VirtualNetworkInterfacesPager, error) {
		return p.vpc.NewVirtualNetworkInterfacesPager(p.vpc.NewListVirtualNetworkInterfacesOptions().SetLimit(pageSize))
	})
}

// foreignVNIOf tells why an interface of a row's name is not the row's: it must
// lie in the subnet and have the address that was made for it.
func (r *release) foreignVNIOf(v *vpcv1.VirtualNetworkInterface, row deploy.Resource) string {
	var subnetID, ip string
	if v.Subnet != nil {
		subnetID = value(v.Subnet.ID)
	}
	if v.PrimaryIP != nil {
		ip = value(v.PrimaryIP.ID)
	}
	if why := differ([3]string{"subnet", recordOf(row).Subnet, subnetID}, r.groupPair(v.ResourceGroup)); why != "" {
		return why
	}
	ours := slices.ContainsFunc(r.rows, func(a deploy.Resource) bool {
		return a.Kind == kindReservedIP && a.Role == row.Role && a.CloudID != "" && a.CloudID == ip
	})
	if !ours {
		return "its primary address is not the one that was made for it"
	}
	return ""
}

func (p *Provider) deleteVNI(ctx context.Context, id string) error {
	_, err := get(ctx, p, "deleting the interface", func(ctx context.Context) (*vpcv1.VirtualNetworkInterface, *core.DetailedResponse, error) {
		return p.vpc.DeleteVirtualNetworkInterfacesWithContext(ctx, p.vpc.NewDeleteVirtualNetworkInterfacesOptions(id))
	})
	return err
}

func (r *release) lookAddress(ctx context.Context, row deploy.Resource) (thing, error) {
	sn := recordOf(row).Subnet
	if row.CloudID != "" {
		ip, err := get(ctx, r.Provider, "reading the reserved address", func(ctx context.Context) (*vpcv1.ReservedIP, *core.DetailedResponse, error) {
			return r.vpc.GetSubnetReservedIPWithContext(ctx, r.vpc.NewGetSubnetReservedIPOptions(sn, row.CloudID))
		})
		if isNotFound(err) {
			return absent("GET /subnets/"+sn+"/reserved_ips/"+row.CloudID, notFoundAnswer), nil
		}
		if err != nil {
			return thing{}, err
		}
		return boundAddress(ip), nil
	}
	all, err := r.reservedIn(ctx, subnet{id: sn})
	if isNotFound(err) {
		return absent("GET /subnets/"+sn+"/reserved_ips", notFoundAnswer), nil
	}
	if err != nil {
		return thing{}, err
	}
	for i := range all {
		if ip := &all[i]; value(ip.Name) == row.Name {
			found := boundAddress(ip)
			found.foreign = differ([3]string{"owner", ownerUser, value(ip.Owner)})
			if want := recordOf(row).Address; found.foreign == "" && want != "" {
				found.foreign = differ([3]string{"address", want, value(ip.Address)})
			}
			return found, nil
		}
	}
	return absent("GET /subnets/"+sn+"/reserved_ips", notListed), nil
}

func boundAddress(ip *vpcv1.ReservedIP) thing {
	found := thing{id: value(ip.ID), name: value(ip.Name), status: value(ip.Address)}
	if to, ok := ip.Target.(*vpcv1.ReservedIPTarget); ok && to != nil {
		found.status, found.held = value(ip.Address)+" is bound", "it is bound to "+value(to.Name)
	}
	return found
}

func (p *Provider) deleteAddress(ctx context.Context, subnetID, id string) error {
	_, err := get(ctx, p, "deleting the reserved address", func(ctx context.Context) (struct{}, *core.DetailedResponse, error) {
		response, err := p.vpc.DeleteSubnetReservedIPWithContext(ctx, p.vpc.NewDeleteSubnetReservedIPOptions(subnetID, id))
		return struct{}{}, response, err
	})
	return err
}

// recordTypes are the kinds of records as DNS Services calls them.
var recordTypes = map[string]string{kindA: typeA, kindPTR: typePTR}

// recordZone is the id of the zone that a record's row is in.
func (r *release) recordZone(ctx context.Context, row deploy.Resource) (string, error) {
	if !r.HasNames() {
		return "", permanent(deploy.CodeInvalid, "Set the DNS Services instance and the zone that the record was made in, restart Slipway, and clean up again.",
			"%s is in a DNS zone, but the settings name none", describe(row))
	}
	if zone := recordOf(row).DNSZone; zone != "" {
		return zone, nil
	}
	zone, err := r.findZone(ctx)
	return zone.id, err
}

func (r *release) lookRecord(ctx context.Context, row deploy.Resource) (thing, error) {
	zone, err := r.recordZone(ctx, row)
	if err != nil {
		return thing{}, err
	}
	end, err := r.takeTurn(ctx)
	if err != nil {
		return thing{}, err
	}
	defer end()
	path := "/dnszones/" + zone + "/resource_records"
	if row.CloudID != "" {
		rr, err := r.getRecord(ctx, zone, recordTypes[row.Kind], row.CloudID)
		if isNotFound(err) {
			return absent("GET "+path+"/"+row.CloudID, notFoundAnswer), nil
		}
		if err != nil {
			return thing{}, err
		}
		return thing{id: row.CloudID, name: value(rr.Name), status: value(rr.Name)}, nil
	}
	all, err := r.records(ctx, zone, recordTypes[row.Kind])
	if isNotFound(err) {
		return absent("GET "+path, notFoundAnswer), nil
	}
	if err != nil {
		return thing{}, err
	}
	rec := recordOf(row)
	for _, rr := range all {
		if named(rr, row.Kind, rec) && leads(rr, row.Kind, rec) {
			found := thing{id: value(rr.ID), status: value(rr.Name)}
			// Records have no name of Slipway's that would tell whose they are.
			if row.State == deploy.ResourceIntent {
				found.foreign = "Slipway never asked for one, so that somebody else made it"
			}
			return found, nil
		}
	}
	for _, rr := range all {
		if named(rr, row.Kind, rec) {
			return thing{id: value(rr.ID), foreign: "it leads to " + target(rr) + ", not to what was registered"}, nil
		}
	}
	return absent("GET "+path, notListed), nil
}

// named tells whether a record has the name that a row's would have.
func named(rr dnssvcsv1.ResourceRecord, kind string, rec record) bool {
	name := bare(value(rr.Name))
	if kind == kindA {
		return name == bare(rec.DNSName)
	}
	a, err := netip.ParseAddr(rec.Address)
	return err == nil && a.Is4() && (name == rec.Address || name == reverse(a))
}

// leads tells whether a record's data are what a row's would be.
func leads(rr dnssvcsv1.ResourceRecord, kind string, rec record) bool {
	if kind == kindA {
		return target(rr) == rec.Address
	}
	return target(rr) == bare(rec.DNSName)
}

// target is what a record leads to: an address, or a name.
func target(rr dnssvcsv1.ResourceRecord) string {
	for _, field := range []string{"ip", "ptrdname"} {
		if text, ok := rr.Rdata[field].(string); ok && text != "" {
			return bare(text)
		}
	}
	return ""
}
