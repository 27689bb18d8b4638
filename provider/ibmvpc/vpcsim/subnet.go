package vpcsim

type subnetAnswer struct {
	AvailableCount int64                  `json:"available_ipv4_address_count"`
	CreatedAt      timestamp              `json:"created_at"`
	CRN            string                 `json:"crn"`
	Href           string                 `json:"href"`
	ID             string                 `json:"id"`
	IPVersion      string                 `json:"ip_version"`
	CIDR           string                 `json:"ipv4_cidr_block"`
	Name           string                 `json:"name"`
	NetworkACL     untypedReference       `json:"network_acl"`
	ResourceGroup  resourceGroupReference `json:"resource_group"`
	ResourceType   string                 `json:"resource_type"`
	RoutingTable   reference              `json:"routing_table"`
	Status         string                 `json:"status"`
	TotalCount     int64                  `json:"total_ipv4_address_count"`
	VPC            reference              `json:"vpc"`
	Zone           zoneReference          `json:"zone"`
}

func (c *call) subnetReference(sn *subnet) reference {
	return reference{
		CRN: crn(sn.zone, "subnet", sn.id), Href: c.href("/subnets/" + sn.id), ID: sn.id, Name: sn.name, ResourceType: "subnet",
	}
}

func (c *call) subnetAnswer(sn *subnet) subnetAnswer {
	ref := c.subnetReference(sn)
	v := c.s.catalogue.vpcs[sn.vpcID]
	total := int64(1) << (32 - sn.prefix.Bits())
	return subnetAnswer{
		AvailableCount: total - int64(len(c.s.reservedIn(sn.id))), CreatedAt: sn.created, CRN: ref.CRN, Href: ref.Href,
		ID: sn.id, IPVersion: "ipv4", CIDR: sn.prefix.String(), Name: sn.name, NetworkACL: c.aclReference(v),
		ResourceGroup: c.resourceGroup(), ResourceType: "subnet", RoutingTable: c.routingTableReference(v),
		Status: "available", TotalCount: total, VPC: c.vpcReference(v), Zone: c.zone(sn.zone),
	}
}

func (c *call) listSubnets() (reply, error) {
	items := list(c.s.catalogue.subnets, func(sn *subnet) bool {
		route := c.routingTableReference(c.s.catalogue.vpcs[sn.vpcID])
		return c.matches("resource_group.id", c.s.catalogue.resourceGroup.id) && c.matches("zone.name", sn.zone) &&
			c.inVPC(sn.vpcID) && c.matches("routing_table.id", route.ID) && c.matches("routing_table.name", route.Name)
	})
	items, meta, err := page(c, items, bySeq[*subnet]())
	if err != nil {
		return reply{}, err
	}
	return ok(struct {
		pageMeta
		Subnets []subnetAnswer `json:"subnets"`
	}{meta, render(items, c.subnetAnswer)}), nil
}

func (c *call) getSubnet() (reply, error) {
	sn, err := c.subnetByPath()
	if err != nil {
		return reply{}, err
	}
	return ok(c.subnetAnswer(sn)), nil
}
