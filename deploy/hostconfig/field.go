package hostconfig

// kind is the shape of a field's value.
type kind int

const (
	text    kind = iota // a text
	numeric             // a text, or a number
	flag                // a text, or true or false
	texts               // a list of texts
	oneText             // a list of one text, or the text
)

// field is a row of the table that reading, checking, writing and the schema
// share: one field of an object of type T.
type field[T any] struct {
	name  string
	about string // for people who fill it in
	kind  kind
	one   func(*T) *string
	many  func(*T) *[]string
	format
	badKey string // of a value that its format calls bad
	// required is the key of an absent value; empty if the field may be absent
	// or something else decides.
	required string
	// optional leaves an absent value out of what is written.
	optional bool
}

var propertyFields = []field[Properties]{
	{name: "IP_ADDRESS", about: "the node's address on this network", one: func(p *Properties) *string { return &p.IPAddress },
		format: ownAddress, badKey: KeyAddressBad, required: KeyAddressRequired},
	{name: "Netmask", about: "subnet mask: dotted for IPv4, prefix length for IPv6", kind: numeric, one: func(p *Properties) *string { return &p.Netmask },
		format: mask, badKey: KeyMaskBad, required: KeyMaskRequired},
	{name: "DNS", about: "one DNS server", one: func(p *Properties) *string { return &p.DNS },
		format: resolver, badKey: KeyDNSBad, required: KeyDNSRequired},
	{name: "mtu", about: "largest packet, in bytes", kind: numeric, one: func(p *Properties) *string { return &p.MTU },
		format: mtu, badKey: KeyMTUBad},
	{name: "gateway", about: "the node's default gateway: at the first interface with an address, and only there", one: func(p *Properties) *string { return &p.Gateway },
		format: anyAddress, badKey: KeyGatewayBad, optional: true},
}

// The fields of an interface, without Properties.
const (
	fieldDevice = iota
	fieldType
	fieldVLAN
	fieldSlave
	fieldBond
)

var interfaceFields = []field[Interface]{
	fieldDevice: {name: "interface_name", about: "the network interface, as the node calls it", one: func(i *Interface) *string { return &i.Name },
		format: device, badKey: KeyInterfaceBad, required: KeyInterfaceRequired},
	fieldType: {name: "type", about: "what the interface is for", kind: oneText, many: func(i *Interface) *[]string { return &i.Types },
		format: rowType, badKey: KeyTypeUnknown, required: KeyTypeRequired},
	fieldVLAN: {name: "vlan_id", about: "VLAN 1 to 4094, or NULL for none", kind: numeric, one: func(i *Interface) *string { return &i.VLAN },
		format: vlan, badKey: KeyVLANBad},
	fieldSlave: {name: "Bond_Slave", about: "YES for a member of a bond", kind: flag, one: func(i *Interface) *string { return &i.BondSlave },
		format: slave, badKey: KeyBondSlaveBad},
	fieldBond: {name: "Bond_Interface_Name", about: "the interface_name of the member's bond", one: func(i *Interface) *string { return &i.Bond },
		format: bond, badKey: KeyBondNameBad},
}

// The fields of a document, without using_interfaces.
var (
	hostnameField = field[Document]{name: "hostname", about: "the node's host name", one: func(d *Document) *string { return &d.Hostname },
		format: host, badKey: KeyHostnameBad, required: KeyHostnameRequired}
	diskField = field[Document]{name: "disk", about: "disks for the role Storage, by WWN", kind: texts, many: func(d *Document) *[]string { return &d.Disks },
		format: disk, badKey: KeyDiskBad}
	rolesField = field[Document]{name: "roles", about: "what the node does; Network is always added", kind: texts, many: func(d *Document) *[]string { return &d.Roles },
		format: role, badKey: KeyRoleUnknown, required: KeyRoleRequired}
	vipField = field[Document]{name: "server_vip", about: "address of the cloud, on every node of the first cloud", one: func(d *Document) *string { return &d.ServerVIP },
		format: vipAddress, badKey: KeyVIPBad, optional: true}

	documentFields = append([]field[Document]{hostnameField, diskField, rolesField, vipField}, append(providerFields, tenantFields...)...)

	providerFields = []field[Document]{
		{name: "provider_cidr", about: "the provider network", one: func(d *Document) *string { return &d.Provider.CIDR },
			format: network, badKey: KeyProviderCIDRBad, optional: true},
		{name: "provider_gateway", about: "gateway of the provider network", one: func(d *Document) *string { return &d.Provider.Gateway },
			format: anyAddress, badKey: KeyProviderGatewayBad, optional: true},
		{name: "provider_startingip", about: "first address of the provider network that is given out", one: func(d *Document) *string { return &d.Provider.StartingIP },
			format: anyAddress, badKey: KeyProviderStartBad, optional: true},
		{name: "provider_endingip", about: "last address of the provider network that is given out", one: func(d *Document) *string { return &d.Provider.EndingIP },
			format: anyAddress, badKey: KeyProviderEndBad, optional: true},
	}
	tenantFields = []field[Document]{
		{name: "tenant_cidr", about: "the first tenant network", one: func(d *Document) *string { return &d.Tenant.CIDR },
			format: network, badKey: KeyTenantCIDRBad, optional: true},
		{name: "tenant_gateway", about: "gateway of the tenant network", one: func(d *Document) *string { return &d.Tenant.Gateway },
			format: anyAddress, badKey: KeyTenantGatewayBad, optional: true},
		{name: "tenant_nameserver", about: "DNS server of the tenant network", one: func(d *Document) *string { return &d.Tenant.Nameserver },
			format: cloudResolver, badKey: KeyTenantNameserverBad, optional: true},
	}
)

// The objects inside of a document.
const (
	nameInterfaces = "using_interfaces"
	nameProperties = "Properties"
)

// wrong tells what a value's format says about it: a key and what fills its
// text.
func (f *field[T]) wrong(value string) (key string, fill []string) {
	if f.fault == nil {
		return "", nil
	}
	key, fill = f.fault(value)
	if key == bad {
		key = f.badKey
	}
	return key, fill
}

// canonical gives the canonical form of a value.
func (f *field[T]) canonical(value string) string {
	if f.canon == nil {
		return value
	}
	return f.canon(value)
}
