package vpcsim

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// catalogue is what the account has from the start and never loses: regions, zones, VPCs, subnets, images, operating
// systems, profiles.
type catalogue struct {
	resourceGroup resourceGroup
	vpcs          map[string]*vpc
	subnets       map[string]*subnet
	images        map[string]*image
	systems       map[string]*operatingSystem
	profiles      map[string]*profile
	dnsZone       dnsZone
}

type resourceGroup struct{ id, name string }

type vpc struct {
	base
	name            string
	aclID, routeID  string
	securityGroupID string // the default one
}

type subnet struct {
	base
	name   string
	zone   string
	vpcID  string
	prefix netip.Prefix
	lowest netip.Addr // no address below it is free
}

func (s *Simulator) fillCatalogue() error {
	region := s.regionPrefix()
	s.catalogue = catalogue{
		resourceGroup: resourceGroup{
			id: strings.ReplaceAll(s.fixedID("", "resource_group", s.opts.ResourceGroup), "-", ""), name: s.opts.ResourceGroup,
		},
		vpcs: map[string]*vpc{}, subnets: map[string]*subnet{},
		images: map[string]*image{}, systems: map[string]*operatingSystem{}, profiles: map[string]*profile{},
	}
	ids := map[string]string{}
	for _, name := range s.opts.VPCs {
		v := &vpc{
			base: s.newBase(s.fixedID(region, "vpc", name)), name: name,
			aclID: s.fixedID(region, "acl", name), routeID: s.fixedID(region, "routing_table", name),
		}
		ids[name] = v.id
		s.catalogue.vpcs[v.id] = v
		v.securityGroupID = s.addSecurityGroup(v, name+"-default", s.defaultRules()).id
		s.addSecurityGroup(v, s.opts.SecurityGroup, s.defaultRules())
	}
	for _, config := range s.opts.Subnets {
		prefix, err := netip.ParsePrefix(config.CIDR)
		if err != nil {
			return err
		}
		sn := &subnet{
			base: s.newBase(s.fixedID(s.zonePrefix(config.Zone), "subnet", config.VPC+"/"+config.Name)),
			name: config.Name, zone: config.Zone, vpcID: ids[config.VPC], prefix: prefix,
		}
		s.catalogue.subnets[sn.id] = sn
		s.addProviderAddresses(sn)
	}
	for _, config := range s.opts.SSHKeys {
		if _, err := s.addKey(s.fixedID(region, "key", config.Name), config.Name, config.PublicKey, ""); err != nil {
			return err
		}
	}
	s.fillProfiles()
	s.fillImages()
	s.fillDNS()
	return nil
}

func catalogueOperations() []operation {
	get := func(name, path string, handle func(*call) (reply, error)) operation {
		return operation{name: name, method: "GET", path: "/v1" + path, handle: handle}
	}
	return []operation{
		get("ListRegions", "/regions", (*call).listRegions),
		get("GetRegion", "/regions/{region}", (*call).getRegion),
		get("ListRegionZones", "/regions/{region}/zones", (*call).listZones),
		get("GetRegionZone", "/regions/{region}/zones/{zone}", (*call).getZone),
		get("ListVpcs", "/vpcs", (*call).listVPCs),
		get("GetVPC", "/vpcs/{id}", (*call).getVPC),
		get("ListImages", "/images", (*call).listImages),
		get("GetImage", "/images/{id}", (*call).getImage),
		get("ListImageBareMetalServerProfiles", "/images/{id}/bare_metal_server_profiles", (*call).listImageProfiles),
		get("ListOperatingSystems", "/operating_systems", (*call).listSystems),
		get("GetOperatingSystem", "/operating_systems/{name}", (*call).getSystem),
		get("ListBareMetalServerProfiles", "/bare_metal_server/profiles", (*call).listProfiles),
		get("GetBareMetalServerProfile", "/bare_metal_server/profiles/{name}", (*call).getProfile),
		get("ListSecurityGroups", "/security_groups", (*call).listSecurityGroups),
		{name: "CreateSecurityGroup", method: "POST", path: "/v1/security_groups", handle: (*call).createSecurityGroup},
		get("GetSecurityGroup", "/security_groups/{id}", (*call).getSecurityGroup),
		get("ListKeys", "/keys", (*call).listKeys),
		{name: "CreateKey", method: "POST", path: "/v1/keys", handle: (*call).createKey},
		get("GetKey", "/keys/{id}", (*call).getKey),
		{name: "DeleteKey", method: "DELETE", path: "/v1/keys/{id}", handle: (*call).deleteKey},
	}
}

// Small references that many answers carry.
type (
	// reference has the fields of VPCReference, SubnetReference, ImageReference and others of their shape.
	reference struct {
		CRN          string `json:"crn"`
		Href         string `json:"href"`
		ID           string `json:"id"`
		Name         string `json:"name"`
		ResourceType string `json:"resource_type"`
	}
	// untypedReference is the same without resource_type: NetworkACLReference, SecurityGroupReference.
	untypedReference struct {
		CRN  string `json:"crn"`
		Href string `json:"href"`
		ID   string `json:"id"`
		Name string `json:"name"`
	}
	zoneReference struct {
		Href string `json:"href"`
		Name string `json:"name"`
	}
	resourceGroupReference struct {
		Href string `json:"href"`
		ID   string `json:"id"`
		Name string `json:"name"`
	}
)

func (c *call) resourceGroup() resourceGroupReference {
	g := c.s.catalogue.resourceGroup
	return resourceGroupReference{
		Href: "https://resource-controller.cloud.ibm.com/v2/resource_groups/" + g.id, ID: g.id, Name: g.name,
	}
}

// checkResourceGroup refuses any group but the account's one; none given means the default, which is that one.
func (c *call) checkResourceGroup(group *identity) error {
	if group == nil {
		return nil
	}
	if group.key() != c.s.catalogue.resourceGroup.id {
		return notFoundField("resource group", "resource_group", group.key())
	}
	return nil
}

func (c *call) region() zoneReference {
	return zoneReference{Href: c.href("/regions/" + c.s.opts.Region), Name: c.s.opts.Region}
}

func (c *call) zone(name string) zoneReference {
	return zoneReference{Href: c.href("/regions/" + c.s.opts.Region + "/zones/" + name), Name: name}
}

type regionAnswer struct {
	Endpoint string `json:"endpoint"`
	Href     string `json:"href"`
	Name     string `json:"name"`
	Status   string `json:"status"`
}

type zoneAnswer struct {
	DataCenter    string        `json:"data_center"`
	Href          string        `json:"href"`
	Name          string        `json:"name"`
	Region        zoneReference `json:"region"`
	Status        string        `json:"status"`
	UniversalName string        `json:"universal_name"`
}

func (c *call) regionAnswer() regionAnswer {
	ref := c.region()
	return regionAnswer{Endpoint: c.base, Href: ref.Href, Name: ref.Name, Status: "available"}
}

func (c *call) zoneAnswer(name string) zoneAnswer {
	return zoneAnswer{
		DataCenter: "sim01", Href: c.zone(name).Href, Name: name, Region: c.region(), Status: "available",
		UniversalName: name + "-sim",
	}
}

func (c *call) listRegions() (reply, error) {
	return ok(struct {
		Regions []regionAnswer `json:"regions"`
	}{[]regionAnswer{c.regionAnswer()}}), nil
}

func (c *call) checkRegion() error {
	if c.path("region") != c.s.opts.Region {
		return notFound("region", c.path("region"))
	}
	return nil
}

func (c *call) getRegion() (reply, error) {
	if err := c.checkRegion(); err != nil {
		return reply{}, err
	}
	return ok(c.regionAnswer()), nil
}

func (c *call) listZones() (reply, error) {
	if err := c.checkRegion(); err != nil {
		return reply{}, err
	}
	return ok(struct {
		Zones []zoneAnswer `json:"zones"`
	}{render(c.s.opts.Zones, c.zoneAnswer)}), nil
}

func (c *call) getZone() (reply, error) {
	if err := c.checkRegion(); err != nil {
		return reply{}, err
	}
	if !slices.Contains(c.s.opts.Zones, c.path("zone")) {
		return reply{}, notFound("zone", c.path("zone"))
	}
	return ok(c.zoneAnswer(c.path("zone"))), nil
}

type vpcAnswer struct {
	ClassicAccess       bool                   `json:"classic_access"`
	CreatedAt           timestamp              `json:"created_at"`
	CRN                 string                 `json:"crn"`
	CSESourceIPs        []cseSourceIP          `json:"cse_source_ips"`
	DefaultNetworkACL   untypedReference       `json:"default_network_acl"`
	DefaultRoutingTable reference              `json:"default_routing_table"`
	DefaultSecurity     untypedReference       `json:"default_security_group"`
	DNS                 vpcDNS                 `json:"dns"`
	HealthReasons       []struct{}             `json:"health_reasons"`
	HealthState         string                 `json:"health_state"`
	Href                string                 `json:"href"`
	ID                  string                 `json:"id"`
	Name                string                 `json:"name"`
	PublicAddressRanges []struct{}             `json:"public_address_ranges"`
	ResourceGroup       resourceGroupReference `json:"resource_group"`
	ResourceType        string                 `json:"resource_type"`
	Status              string                 `json:"status"`
}

type cseSourceIP struct {
	IP   address       `json:"ip"`
	Zone zoneReference `json:"zone"`
}

type address struct {
	Address string `json:"address"`
}

type vpcDNS struct {
	EnableHub              bool        `json:"enable_hub"`
	ResolutionBindingCount int         `json:"resolution_binding_count"`
	Resolver               vpcResolver `json:"resolver"`
}

type vpcResolver struct {
	Servers       []address `json:"servers"`
	Type          string    `json:"type"`
	Configuration string    `json:"configuration"`
}

func (c *call) vpcReference(v *vpc) reference {
	return reference{
		CRN: crn(c.s.opts.Region, "vpc", v.id), Href: c.href("/vpcs/" + v.id), ID: v.id, Name: v.name, ResourceType: "vpc",
	}
}

func (c *call) aclReference(v *vpc) untypedReference {
	return untypedReference{
		CRN: crn(c.s.opts.Region, "network-acl", v.aclID), Href: c.href("/network_acls/" + v.aclID), ID: v.aclID,
		Name: v.name + "-acl",
	}
}

func (c *call) routingTableReference(v *vpc) reference {
	return reference{
		CRN:  crn(c.s.opts.Region, "vpc-routing-table", v.id+"/"+v.routeID),
		Href: c.href("/vpcs/" + v.id + "/routing_tables/" + v.routeID), ID: v.routeID,
		Name: v.name + "-routes", ResourceType: "routing_table",
	}
}

func (c *call) vpcAnswer(v *vpc) vpcAnswer {
	ref := c.vpcReference(v)
	return vpcAnswer{
		CreatedAt: v.created, CRN: ref.CRN, CSESourceIPs: []cseSourceIP{},
		DefaultNetworkACL: c.aclReference(v), DefaultRoutingTable: c.routingTableReference(v),
		DefaultSecurity: c.securityGroupReference(c.s.securityGroups[v.securityGroupID]),
		DNS: vpcDNS{Resolver: vpcResolver{
			Servers: render(c.s.opts.DNSServers, func(a string) address { return address{a} }),
			Type:    "system", Configuration: "private_resolver",
		}},
		HealthReasons: []struct{}{}, HealthState: "ok", Href: ref.Href, ID: v.id, Name: v.name,
		PublicAddressRanges: []struct{}{}, ResourceGroup: c.resourceGroup(), ResourceType: "vpc", Status: "available",
	}
}

func (c *call) listVPCs() (reply, error) {
	items := list(c.s.catalogue.vpcs, func(*vpc) bool {
		return c.matches("resource_group.id", c.s.catalogue.resourceGroup.id) && c.matches("classic_access", "false")
	})
	items, meta, err := page(c, items, bySeq[*vpc]())
	if err != nil {
		return reply{}, err
	}
	return ok(struct {
		pageMeta
		VPCs []vpcAnswer `json:"vpcs"`
	}{meta, render(items, c.vpcAnswer)}), nil
}

func (c *call) getVPC() (reply, error) {
	v := c.s.catalogue.vpcs[c.path("id")]
	if v == nil {
		return reply{}, notFound("VPC", c.path("id"))
	}
	return ok(c.vpcAnswer(v)), nil
}

// inVPC applies the filters vpc.id, vpc.crn and vpc.name.
func (c *call) inVPC(id string) bool {
	v := c.s.catalogue.vpcs[id]
	return c.matches("vpc.id", id) && c.matches("vpc.crn", crn(c.s.opts.Region, "vpc", id)) && c.matches("vpc.name", v.name)
}

// date is a fixed day of the past, for things that were there before the simulator.
func date(year int, month time.Month, day int) timestamp {
	return timestamp(time.Date(year, month, day, 0, 0, 0, 0, time.UTC))
}
