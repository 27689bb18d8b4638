package hostconfig_test

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/hostconfig"
)

// edit is a change of a request: path, value, path, value, …
type edit []any

// rule is a change of a good request and all that it is refused for.
type rule struct {
	name  string
	shape string
	cloud bool // the two nodes make a cloud
	edit  edit
	inv   hostconfig.Inventory
	want  []string // "path key", without "cards."
}

const (
	i1 = "using_interfaces.interface_01."
	i2 = "using_interfaces.interface_02."
	p1 = i1 + "Properties."
	b1 = "using_interfaces.bond1."
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func held(pairs ...string) hostconfig.Inventory {
	inv := hostconfig.Inventory{Addresses: map[netip.Addr]string{}}
	for i := 0; i < len(pairs); i += 2 {
		inv.Addresses[addr(pairs[i])] = pairs[i+1]
	}
	return inv
}

// value makes rules of one field that is wrong in several ways.
func value(path, key string, values ...any) []rule {
	var out []rule
	for _, v := range values {
		out = append(out, rule{name: fmt.Sprintf("%s = %v", path, v), cloud: true, edit: edit{"0." + path, v}, want: []string{"0." + path + " " + key}})
	}
	return out
}

// holes are what the old form and its server let through.
var holes = slices.Concat(
	value(p1+"Netmask", "mask_not_contiguous", "255.0.255.0", "255.255.0.255", "0.0.0.255", "255.255.255.1"),
	value(p1+"Netmask", "mask_out_of_range", "0.0.0.0", "255.255.255.255", "255.255.255.254", "/0", "0", "31", "/32", "33", 64, 128, 99999999999999999),
	value(p1+"Netmask", "mask_bad", "255.255.255", "255.255.255.0.", "255.255.255.00", "256.0.0.0", "/", "//24", "024", "+24", "24.0", -1, "ffff::", "0xffffff00"),
	value(p1+"Netmask", "mask_required", "", nil, remove{}),
	value(p1+"IP_ADDRESS", "address_bad", "10.20.0.21.", "999.1.1.1", "10.20.0.256", "10.20.0.021", "10.20.0", "10.20.0.21/24", "node-1", "::ffff:10.20.0.21", "fe80::1%eth0", "10.20.0.21 10.20.0.22"),
	value(p1+"IP_ADDRESS", "address_required", "", "  ", nil, remove{}),
	value(p1+"DNS", "dns_bad", "192.0.2.2.", "dns.example.com", "0.0.0.0", "255.255.255.255", "224.0.0.1", "192.0.2.0x2", "::"),
	value(p1+"DNS", "dns_several", "192.0.2.2,192.0.2.3", "192.0.2.2 192.0.2.3", "192.0.2.2; 192.0.2.3"),
	value(p1+"DNS", "dns_required", "", nil, remove{}),
	value(p1+"gateway", "gateway_bad", "10.20.0.1.", "999.1.1.1", "10.20.0.1/24", "router"),
	value(p1+"gateway", "gateway_outside_subnet", "10.20.1.1", "192.0.2.1", "0.0.0.0", "255.255.255.255", "2001:db8::1"),
	value(p1+"gateway", "gateway_required", "", nil, remove{}),
	value(p1+"gateway", "gateway_is_own_address", "10.20.0.21"),
	value(p1+"gateway", "gateway_is_network", "10.20.0.0"),
	value(p1+"gateway", "gateway_is_broadcast", "10.20.0.255"),
	value(p1+"gateway", "gateway_is_node_address", "10.20.0.22"),
	value(p1+"mtu", "mtu_bad", "1400", "9001", 1501, "jumbo", "1500.0", "01500", 1e3),
	value(i1+"vlan_id", "vlan_out_of_range", "0", "4095", "5000", 5000, "99999999999999999999"),
	value(i1+"vlan_id", "vlan_bad", "-1", "1.5", "0x10", "007", "vlan7", "1-4", 1.5),
	value(i1+"interface_name", "interface_required", "", nil, remove{}),
	value(i1+"interface_name", "interface_bad", "eno 1", "eno1/2", "-", "../eno1", "a234567890123456", "eno1;reboot"),
	value(i1+"Bond_Slave", "bond_slave_bad", "maybe", "y"),
	value("hostname", "hostname_required", "", nil, remove{}, " "),
	value("hostname", "hostname_bad", "-a", "a-", "a_b", "a.b", "12345", "a b", strings.Repeat("a", 64), "nöde"),
	value("disk", "disk_required", nil, remove{}, []any{}),
	value("disk", "disk_bad", []any{""}, []any{"a\nb"}, []any{strings.Repeat("x", 129)}, []any{"dísk"}),
	value("disk", "disk_twice", []any{"a", "a"}),
	value("roles", "role_twice", []any{"Control", "Storage", "control"}),
	value("roles", "roles_incomplete", []any{"Control"}, []any{"Compute", "Monitoring", "Network"}),
	value("server_vip", "vip_bad", "10.20.0.10.", "999.1.1.1", "0.0.0.0", "255.255.255.255", "224.1.1.1", "127.0.0.1", "cloud"),
	value("provider_cidr", "provider_cidr_bad", "999.1.1.1/24", "198.51.100.0", "198.51.100.0/33", "198.51.100.0/024", "net", "::ffff:198.51.100.0/120"),
	value("provider_cidr", "provider_incomplete", "", nil, remove{}, "N/A"),
	value("provider_cidr", "provider_cidr_host_bits", "198.51.100.7/24"),
	value("provider_gateway", "provider_incomplete", remove{}, "N/A"),
	value("provider_gateway", "provider_gateway_bad", "198.51.100.1.", "gw"),
	value("provider_gateway", "provider_gateway_outside", "198.51.101.1", "2001:db8::1"),
	value("provider_gateway", "provider_gateway_unusable", "198.51.100.0", "198.51.100.255"),
	value("provider_gateway", "provider_gateway_in_range", "198.51.100.10", "198.51.100.99", "198.51.100.200"),
	value("provider_startingip", "provider_incomplete", remove{}),
	value("provider_startingip", "provider_start_bad", "198.51.100.300"),
	value("provider_startingip", "provider_start_outside", "198.51.99.10"),
	value("provider_startingip", "provider_start_unusable", "198.51.100.255"),
	value("provider_startingip", "provider_range_reversed", "198.51.100.201"),
	value("provider_endingip", "provider_incomplete", nil),
	value("provider_endingip", "provider_end_bad", "198.51.100.200."),
	value("provider_endingip", "provider_end_outside", "198.51.101.20"),
	value("provider_endingip", "provider_end_unusable", "198.51.100.255"),
	value("tenant_cidr", "tenant_incomplete", "", remove{}, "N/A"),
	value("tenant_cidr", "tenant_cidr_bad", "10.0.0.0", "10.0.0.0/40"),
	value("tenant_cidr", "tenant_cidr_host_bits", "10.0.0.1/24"),
	value("tenant_cidr", "tenant_cidr_out_of_range", "10.0.0.0/31", "0.0.0.0/0"),
	value("tenant_gateway", "tenant_incomplete", remove{}),
	value("tenant_gateway", "tenant_gateway_bad", "10.0.0.1."),
	value("tenant_gateway", "tenant_gateway_outside", "10.0.1.1"),
	value("tenant_gateway", "tenant_gateway_unusable", "10.0.0.0", "10.0.0.255"),
	value("tenant_nameserver", "tenant_incomplete", remove{}, "N/A"),
	value("tenant_nameserver", "tenant_nameserver_bad", "8.8.8", "8.8.8.8,1.1.1.1", "0.0.0.0"),
	value("unknown", "unknown_field", "x", nil, map[string]any{}),
	value("default_gateway", "unknown_field", "10.20.0.1"),
	value(p1+"NETMASK", "unknown_field", "24"),
	value(i1+"bond_slave", "unknown_field", "NO"),
	value("hostname", "wrong_type", 5, true, []any{}, map[string]any{}),
	value("disk", "wrong_type", "0x5", 5),
	value("roles", "wrong_type", "Control", map[string]any{}),
	value("using_interfaces", "wrong_type", []any{}, "eno1"),
	value("using_interfaces", "interfaces_required", map[string]any{}, nil, remove{}),
	value(p1[:len(p1)-1], "wrong_type", []any{}, "10.20.0.21"),
	value(p1+"IP_ADDRESS", "wrong_type", 10, []any{"10.20.0.21"}),
)

// rules are those of holes that need more than one value or have more effects.
var rules = []rule{
	{name: "0.0.0.0 as an address", edit: edit{"0." + p1 + "IP_ADDRESS", "0.0.0.0"}, want: []string{"0." + p1 + "IP_ADDRESS address_unusable", "0." + p1 + "gateway gateway_outside_subnet"}},
	{name: "255.255.255.255 as an address", edit: edit{"0." + p1 + "IP_ADDRESS", "255.255.255.255"}, want: []string{"0." + p1 + "IP_ADDRESS address_unusable", "0." + p1 + "gateway gateway_outside_subnet"}},
	{name: "127.0.0.1 as an address", edit: edit{"0." + p1 + "IP_ADDRESS", "127.0.0.1", "0." + p1 + "gateway", "127.0.0.2"}, want: []string{"0." + p1 + "IP_ADDRESS address_unusable"}},
	{name: "a rehearsal in 127/8", edit: edit{"0." + p1 + "IP_ADDRESS", "127.64.0.21", "0." + p1 + "gateway", "127.64.0.1"}, want: []string{}},
	{name: "link-local", edit: edit{"0." + p1 + "IP_ADDRESS", "fe80::1", "0." + p1 + "gateway", "fe80::2", "0." + p1 + "Netmask", "64"}, want: []string{"0." + p1 + "IP_ADDRESS address_unusable"}},
	{name: "IPv6", edit: edit{"0." + p1 + "IP_ADDRESS", "2001:db8::21", "0." + p1 + "gateway", "2001:db8::1", "0." + p1 + "Netmask", "/64", "0." + p1 + "DNS", "2001:db8::53"}, want: []string{}},
	{name: "IPv6 with a dotted mask", edit: edit{"0." + p1 + "IP_ADDRESS", "2001:db8::21", "0." + p1 + "gateway", "2001:db8::1"}, want: []string{"0." + p1 + "Netmask mask_bad"}},
	{name: "IPv6 /127", edit: edit{"0." + p1 + "IP_ADDRESS", "2001:db8::21", "0." + p1 + "gateway", "2001:db8::1", "0." + p1 + "Netmask", "127"}, want: []string{"0." + p1 + "Netmask mask_out_of_range"}},
	{name: "IPv6 subnet-router address", edit: edit{"0." + p1 + "IP_ADDRESS", "2001:db8::", "0." + p1 + "gateway", "2001:db8::1", "0." + p1 + "Netmask", "64"}, want: []string{"0." + p1 + "IP_ADDRESS address_is_network"}},
	{name: "the network's address", edit: edit{"0." + p1 + "IP_ADDRESS", "10.20.0.0"}, want: []string{"0." + p1 + "IP_ADDRESS address_is_network"}},
	{name: "the broadcast address", edit: edit{"0." + p1 + "IP_ADDRESS", "10.20.0.255"}, want: []string{"0." + p1 + "IP_ADDRESS address_is_broadcast"}},
	{name: "the broadcast address of a small network", edit: edit{"0." + p1 + "IP_ADDRESS", "10.20.0.31", "0." + p1 + "gateway", "10.20.0.17", "0." + p1 + "Netmask", "28"}, want: []string{"0." + p1 + "IP_ADDRESS address_is_broadcast"}},
	{name: "the same address on two cards", edit: edit{"1." + p1 + "IP_ADDRESS", "10.20.0.21"}, want: []string{"1." + p1 + "IP_ADDRESS address_twice"}},
	{name: "the same address on two cards, written otherwise", edit: edit{
		"0." + p1 + "IP_ADDRESS", "2001:DB8::0021", "0." + p1 + "gateway", "2001:db8::1", "0." + p1 + "Netmask", 64,
		"1." + p1 + "IP_ADDRESS", "2001:db8:0:0::21", "1." + p1 + "gateway", "2001:db8::1", "1." + p1 + "Netmask", 64}, want: []string{"1." + p1 + "IP_ADDRESS address_twice"}},
	{name: "the same address twice on a card", shape: "segregated", edit: edit{"0." + i2 + "Properties.IP_ADDRESS", "10.20.2.21", "0." + i2 + "Properties.Netmask", "10.20.1.0"},
		want: []string{"0." + i2 + "Properties.Netmask mask_not_contiguous", "0.using_interfaces.interface_03.Properties.IP_ADDRESS address_twice"}},
	{name: "an address of another node", inv: held("10.20.0.22", "old"), edit: edit{"1.hostname", "SQDN-002"}, want: []string{}},
	{name: "its own address, by name", inv: held("10.20.0.22", "sqdn-002"), want: []string{}},
	{name: "an address on a second interface of another node", shape: "segregated", inv: held("10.20.1.22", "old"), want: []string{"1." + i2 + "Properties.IP_ADDRESS address_in_inventory"}},
	{name: "the host name of another node", inv: held("10.20.0.22", "old", "10.9.9.9", "sqdn-002"), want: []string{"1.hostname hostname_in_inventory"}},
	{name: "the address of another cloud", inv: hostconfig.Inventory{Members: []hostconfig.Member{{Node: "m", VIP: addr("10.20.0.21"), Roles: nil}}}, want: []string{"0." + p1 + "IP_ADDRESS address_in_inventory"}},
	{name: "a type too many", edit: edit{"0." + i1 + "type", []any{"Primary", "Secondary"}}, want: []string{"0." + i1 + "type type_several"}},
	{name: "no type", edit: edit{"0." + i1 + "type", remove{}}, want: []string{"0." + i1 + "type type_required"}},
	{name: "an empty type", edit: edit{"0." + i1 + "type", []any{""}}, want: []string{"0." + i1 + "type type_required"}},
	{name: "an unknown type", edit: edit{"0." + i1 + "type.0", "Tertiary"}, want: []string{"0." + i1 + "type type_unknown"}},
	{name: "a type of the wrong kind", edit: edit{"0." + i1 + "type.0", 7}, want: []string{"0." + i1 + "type.0 wrong_type"}},
	{name: "Primary twice", edit: edit{"0." + i2 + "type.0", "Primary", "0." + i2 + "Properties", map[string]any{"IP_ADDRESS": "10.20.1.21", "Netmask": 24, "DNS": "10.20.1.1"}}, want: []string{"0." + i2 + "type type_twice"}},
	{name: "Secondary alone", edit: edit{"0.using_interfaces.interface_01", remove{}}, want: []string{"0.using_interfaces type_missing"}},
	{name: "a type missing", shape: "segregated", edit: edit{"0.using_interfaces.interface_04", remove{}}, want: []string{"0.using_interfaces type_missing"}},
	{name: "mixed modes", shape: "segregated", edit: edit{"0.using_interfaces.interface_04.type.0", "Secondary"}, want: []string{"0.using_interfaces types_mixed"}},
	{name: "no Properties", edit: edit{"0." + i1 + "Properties", remove{}}, want: []string{"0." + i1 + "Properties properties_required"}},
	{name: "Properties of Secondary", edit: edit{"0." + i2 + "Properties", map[string]any{"DNS": "10.20.1.1"}}, want: []string{"0." + i2 + "Properties properties_unexpected"}},
	{name: "Properties of External_Traffic", shape: "segregated", edit: edit{"0.using_interfaces.interface_04.Properties", map[string]any{"mtu": 1500}}, want: []string{"0.using_interfaces.interface_04.Properties properties_unexpected"}},
	{name: "two gateways", shape: "segregated", edit: edit{"0." + i2 + "Properties.gateway", "10.20.1.1"}, want: []string{"0." + i2 + "Properties.gateway gateway_several"}},
	{name: "the gateway elsewhere", shape: "segregated", edit: edit{"0." + p1 + "gateway", remove{}, "0." + i2 + "Properties.gateway", "10.20.1.1"}, want: []string{"0." + i2 + "Properties.gateway gateway_not_first"}},
	{name: "an interface twice", edit: edit{"0." + i2 + "interface_name", "eno1"}, want: []string{"0." + i2 + "interface_name interface_twice"}},
	{name: "a key twice in two ways", edit: edit{"0.using_interfaces.interface_1", map[string]any{}}, want: []string{"0.using_interfaces.interface_1 duplicate_field"}},
	{name: "an unknown entry", edit: edit{"0.using_interfaces.eth0", map[string]any{}}, want: []string{"0.using_interfaces.eth0 unknown_field"}},
	{name: "an entry with a strange name", edit: edit{"0.using_interfaces.interface 01", map[string]any{}}, want: []string{"0.using_interfaces.interface%2001 unknown_field"}},
	{name: "interface_00", edit: edit{"0.using_interfaces.interface_00", map[string]any{}}, want: []string{"0.using_interfaces.interface_00 unknown_field"}},
	{name: "an entry that is no object", edit: edit{"0.using_interfaces.interface_02", "eno2"}, want: []string{"0.using_interfaces.interface_02 wrong_type"}},
	{name: "a bond's name on a plain interface", edit: edit{"0." + i2 + "Bond_Interface_Name", "bond0"}, want: []string{"0." + i2 + "Bond_Interface_Name bond_name_unexpected"}},
	{name: "one member", shape: "default-bond", edit: edit{"0.using_interfaces.interface_02", remove{}}, want: []string{"0.using_interfaces.bond1 bond_members"}},
	{name: "no member", shape: "default-bond", edit: edit{"0.using_interfaces.interface_01", remove{}, "0.using_interfaces.interface_02", remove{}}, want: []string{"0.using_interfaces.bond1 bond_members"}},
	{name: "three members", shape: "default-bond", edit: edit{"0.using_interfaces.interface_05", map[string]any{"interface_name": "eno5", "Bond_Slave": "yes", "Bond_Interface_Name": "bond0"}}, want: []string{"0.using_interfaces.bond1 bond_members"}},
	{name: "a member twice", shape: "default-bond", edit: edit{"0." + i2 + "interface_name", "eno1"}, want: []string{"0." + i2 + "interface_name interface_twice"}},
	{name: "a member of two bonds", shape: "default-bond", edit: edit{"0.using_interfaces.interface_03.interface_name", "eno1"}, want: []string{"0.using_interfaces.interface_03.interface_name interface_twice"}},
	{name: "a bond in itself", shape: "default-bond", edit: edit{"0." + i1 + "interface_name", "bond0"}, want: []string{"0." + i1 + "interface_name bond_is_member"}},
	{name: "a bond in another", shape: "default-bond", edit: edit{"0." + i1 + "interface_name", "bond1"}, want: []string{"0." + i1 + "interface_name bond_is_member"}},
	{name: "a bond that says it is a member", shape: "default-bond", edit: edit{"0." + b1 + "Bond_Slave", "YES"}, want: []string{"0." + b1 + "Bond_Slave bond_is_member"}},
	{name: "a bond of a bond", shape: "default-bond", edit: edit{"0." + b1 + "Bond_Interface_Name", "bond1"}, want: []string{"0." + b1 + "Bond_Interface_Name bond_is_member"}},
	{name: "a bond of another name", shape: "default-bond", edit: edit{"0." + b1 + "interface_name", "team0"}, want: []string{
		"0." + b1 + "interface_name bond_name_bad", "0.using_interfaces.bond1 bond_members", "0." + i1 + "Bond_Interface_Name bond_unknown", "0." + i2 + "Bond_Interface_Name bond_unknown"}},
	{name: "a bond without a name", shape: "default-bond", edit: edit{"0." + b1 + "interface_name", ""}, want: []string{
		"0." + b1 + "interface_name bond_name_required", "0." + i1 + "Bond_Interface_Name bond_unknown", "0." + i2 + "Bond_Interface_Name bond_unknown"}},
	{name: "two bonds of one name", shape: "default-bond", edit: edit{"0.using_interfaces.bond2.interface_name", "bond0", "0.using_interfaces.interface_03", remove{}, "0.using_interfaces.interface_04", remove{}},
		want: []string{"0.using_interfaces.bond2.interface_name bond_name_twice"}},
	{name: "a member of no bond", shape: "default-bond", edit: edit{"0." + i2 + "Bond_Interface_Name", ""}, want: []string{"0.using_interfaces.bond1 bond_members", "0." + i2 + "Bond_Interface_Name bond_name_required"}},
	{name: "a member of a strange bond", shape: "default-bond", edit: edit{"0." + i2 + "Bond_Interface_Name", "br0"}, want: []string{"0.using_interfaces.bond1 bond_members", "0." + i2 + "Bond_Interface_Name bond_name_bad"}},
	{name: "a member of an unknown bond", shape: "default-bond", edit: edit{"0." + i2 + "Bond_Interface_Name", "bond7"}, want: []string{"0.using_interfaces.bond1 bond_members", "0." + i2 + "Bond_Interface_Name bond_unknown"}},
	{name: "a member with settings", shape: "default-bond", edit: edit{"0." + i1 + "type", []any{"Secondary"}, "0." + i1 + "vlan_id", 7, "0." + i1 + "Properties", map[string]any{"mtu": 9000}},
		want: []string{"0." + i1 + "type member_has_settings", "0." + i1 + "vlan_id member_has_settings", "0." + i1 + "Properties member_has_settings"}},
	{name: "a member with settings that say nothing", shape: "default-bond", edit: edit{"0." + i1 + "type", []any{}, "0." + i1 + "vlan_id", "NULL", "0." + i1 + "Properties", map[string]any{}}, want: []string{}},
	{name: "a bond beside a plain interface", shape: "default-bond", edit: edit{"0.using_interfaces.bond2", remove{}, "0.using_interfaces.interface_04", remove{},
		"0.using_interfaces.interface_03", map[string]any{"interface_name": "eno3", "type": "Secondary"}}, want: []string{}},
	{name: "a member by a word of JSON", shape: "default-bond", edit: edit{"0." + i1 + "Bond_Slave", true}, want: []string{}},
	{name: "the same host name", edit: edit{"1.hostname", "sqdn-001"}, want: []string{"1.hostname hostname_twice"}},
	{name: "no role", edit: edit{"0.roles", []any{}, "0.disk", nil}, want: []string{"0.roles role_required"}},
	{name: "Network alone", edit: edit{"0.roles", []any{"Network"}}, want: []string{"0.roles role_required"}},
	{name: "an unknown role", cloud: true, edit: edit{"0.roles", []any{"Control", "Storage", "Backup"}}, want: []string{"0.roles role_unknown"}},
	{name: "any role without a cloud", edit: edit{"0.roles", []any{"Monitoring"}}, want: []string{}},
	{name: "Control and Storage on two nodes", cloud: true, edit: edit{"0.roles", []any{"Control"}, "1.roles", []any{"Storage", "Monitoring"}, "1.disk", []any{"d"}}, want: []string{}},
	{name: "roles over two clouds", cloud: true, edit: edit{"1.server_vip", "10.20.0.11"}, want: []string{"1.roles roles_incomplete"}},
	{name: "roles with a node that is there", cloud: true, edit: edit{"0.roles", []any{"Compute"}}, want: []string{},
		inv: hostconfig.Inventory{Members: []hostconfig.Member{{Node: "n9", VIP: addr("10.20.0.10"), Roles: []string{"Control", "Storage"}}}}},
	{name: "former roles of a node do not count", cloud: true, edit: edit{"0.roles", []any{"Compute"}}, want: []string{"0.roles roles_incomplete"},
		inv: hostconfig.Inventory{Members: []hostconfig.Member{{Node: "sqdn-001", VIP: addr("10.20.0.10"), Roles: []string{"Control", "Storage"}}}}},
	{name: "the VIP outside", cloud: true, edit: edit{"0.server_vip", "10.20.1.10", "1.server_vip", "10.20.1.10"}, want: []string{"0.server_vip vip_outside_subnet", "1.server_vip vip_outside_subnet"}},
	{name: "the VIP of the network", cloud: true, edit: edit{"0.server_vip", "10.20.0.0", "1.server_vip", remove{}}, want: []string{"0.server_vip vip_is_network"}},
	{name: "the VIP of broadcast", cloud: true, edit: edit{"0.server_vip", "10.20.0.255", "1.server_vip", remove{}}, want: []string{"0.server_vip vip_is_broadcast"}},
	{name: "the VIP of the gateway", cloud: true, edit: edit{"0.server_vip", "10.20.0.1", "1.server_vip", remove{}}, want: []string{"0.server_vip vip_is_gateway"}},
	{name: "the VIP of a node", cloud: true, edit: edit{"0.server_vip", "10.20.0.22", "1.server_vip", remove{}}, want: []string{"0.server_vip vip_is_node_address"}},
	{name: "the VIP of the node", cloud: true, edit: edit{"0.server_vip", "10.20.0.21", "1.server_vip", remove{}}, want: []string{"0.server_vip vip_is_node_address"}},
	{name: "the VIP of a node that is there", cloud: true, inv: held("10.20.0.10", "n9"), want: []string{"0.server_vip vip_in_inventory", "1.server_vip vip_in_inventory"}},
	{name: "the VIP of a cloud that is there", cloud: true, want: []string{},
		inv: hostconfig.Inventory{Addresses: map[netip.Addr]string{addr("10.20.0.10"): "n9"}, Members: []hostconfig.Member{{Node: "n9", VIP: addr("10.20.0.10")}}}},
	{name: "two provider networks", cloud: true, edit: edit{"1.provider_cidr", "203.0.113.0/24", "1.provider_gateway", "203.0.113.1", "1.provider_startingip", "203.0.113.9", "1.provider_endingip", "203.0.113.9"}, want: []string{"1.provider_cidr provider_twice"}},
	{name: "two tenant networks", cloud: true, edit: edit{"1.tenant_cidr", "10.1.0.0/24", "1.tenant_gateway", "10.1.0.1", "1.tenant_nameserver", "8.8.8.8"}, want: []string{"1.tenant_cidr tenant_twice"}},
	{name: "a provider network that is too small", cloud: true, edit: edit{"0.provider_cidr", "198.51.100.0/31"}, want: []string{"0.provider_cidr provider_cidr_out_of_range"}},
	{name: "a provider network of which nothing is there", cloud: true, edit: edit{"0.provider_cidr", "N/A", "0.provider_gateway", "n/a", "0.provider_startingip", "", "0.provider_endingip", remove{}}, want: []string{}},
	{name: "a provider range over a node", cloud: true, edit: edit{"0.provider_cidr", "10.20.0.0/24", "0.provider_gateway", "10.20.0.1", "0.provider_startingip", "10.20.0.11", "0.provider_endingip", "10.20.0.21"}, want: []string{"0.provider_startingip provider_range_has_node"}},
	{name: "a provider range over the VIP", cloud: true, edit: edit{"0.provider_cidr", "10.20.0.0/24", "0.provider_gateway", "10.20.0.1", "0.provider_startingip", "10.20.0.10", "0.provider_endingip", "10.20.0.20"}, want: []string{"0.provider_startingip provider_range_has_node"}},
	{name: "everything at once", cloud: true, edit: edit{"0." + p1 + "Netmask", "255.0.255.0", "0." + i2 + "vlan_id", 5000, "0.hostname", "", "0.disk", []any{}, "0.server_vip", "x", "1." + p1 + "IP_ADDRESS", "10.20.0.21", "1.roles", []any{}},
		want: []string{"0." + p1 + "Netmask mask_not_contiguous", "0." + i2 + "vlan_id vlan_out_of_range", "0.hostname hostname_required", "0.disk disk_required", "0.server_vip vip_bad", "1." + p1 + "IP_ADDRESS address_twice", "1.roles role_required"}},
}

func TestRules(t *testing.T) {
	for _, r := range append(slices.Clone(holes), rules...) {
		t.Run(r.name, func(t *testing.T) {
			shape := r.shape
			if shape == "" {
				shape = "default"
			}
			request := pair(t, shapes[shape], r.cloud)
			_, errs := hostconfig.Validate(encode(t, request), hostconfig.Inventory{})
			require.Empty(t, errs)
			for i := 0; i < len(r.edit); i += 2 {
				set(request, r.edit[i].(string), r.edit[i+1])
			}
			_, errs = hostconfig.Validate(encode(t, request), r.inv)
			require.ElementsMatch(t, r.want, told(errs))
			for _, e := range errs {
				wellFormed(t, e.Field, e.Key, e.Message)
				assert.Equal(t, keyNames()[e.Key], e.Code)
			}
		})
	}
}

var path = regexp.MustCompile(`^(body|cards\.[0-9]+(\.[A-Za-z0-9_%-]+)*)$`)

func wellFormed(t require.TestingT, field, key, message string) {
	assert.Regexp(t, path, field)
	assert.Contains(t, keyNames(), key)
	assert.NotRegexp(t, `\{[a-z]+\}`, message, "a place in the text of %s is not filled", key)
}

func TestBodies(t *testing.T) {
	doc := examples["default bond"]
	for name, c := range map[string]struct {
		body string
		want []string
	}{
		"nothing":             {"", []string{"body json_malformed"}},
		"no JSON":             {"{", []string{"body json_malformed"}},
		"more than one":       {"[]{}", []string{"body json_malformed"}},
		"null":                {"null", []string{"body wrong_type"}},
		"a text":              {`"x"`, []string{"body wrong_type"}},
		"no cards":            {"{}", []string{"body no_cards"}},
		"an empty list":       {"[]", []string{"body no_cards"}},
		"null as a card":      {"[null]", []string{"0 wrong_type"}},
		"a text as a card":    {`{"192.0.2.1":"x"}`, []string{"0 wrong_type"}},
		"deep":                {"[" + strings.Repeat(`{"a":`, 8) + "1" + strings.Repeat("}", 8) + "]", []string{"body too_deep"}},
		"very deep":           {strings.Repeat("[", 100000) + strings.Repeat("]", 100000), []string{"body json_malformed"}},
		"large":               {"[" + strings.Repeat(" ", hostconfig.MaxBytes) + "]", []string{"body too_large"}},
		"many cards":          {"[" + strings.Repeat("{},", 1000) + "{}]", []string{"body too_many_cards"}},
		"a name as key":       {`{"sqdn-001":` + doc + `}`, []string{}},
		"a position as key":   {`{"1":` + doc + `}`, []string{}},
		"an address as key":   {`{"192.0.2.21":` + doc + `}`, []string{}},
		"no address as key":   {`{"999.1.1.1":` + doc + `}`, []string{"0.key node_key_bad"}},
		"no name as key":      {`{"a b":` + doc + `}`, []string{"0.key node_key_bad"}},
		"a key twice":         {`{"a":` + doc + `,"a":` + doc + `}`, []string{"1.key duplicate_field"}},
		"a field twice":       {`[` + strings.Replace(doc, `"disk":[]`, `"disk":[],"disk":[]`, 1) + `]`, []string{"0.disk duplicate_field"}},
		"an entry twice":      {`[` + strings.Replace(doc, `"interface_02"`, `"interface_01"`, 1) + `]`, []string{"0.using_interfaces.interface_01 duplicate_field", "0.using_interfaces.bond1 bond_members"}},
		"an address twice":    {`[` + strings.Replace(doc, `"gateway"`, `"IP_ADDRESS"`, 1) + `]`, []string{"0." + b1 + "Properties.IP_ADDRESS duplicate_field", "0." + b1 + "Properties.gateway gateway_required"}},
		"a disk of no text":   {`[` + strings.Replace(doc, `"disk":[]`, `"disk":[null,7]`, 1) + `]`, []string{"0.disk.0 wrong_type", "0.disk.1 wrong_type"}},
		"a document as it is": {doc, []string{"0 x", "1.key x", "1 x", "2 x", "3 x"}},
	} {
		t.Run(name, func(t *testing.T) {
			cards, errs := hostconfig.Validate([]byte(c.body), hostconfig.Inventory{})
			if name == "a document as it is" {
				require.NotEmpty(t, errs)
				return
			}
			require.ElementsMatch(t, c.want, told(append(errs[:0:0], errs...)))
			for _, e := range errs {
				wellFormed(t, e.Field, e.Key, e.Message)
			}
			if len(c.want) == 0 {
				require.Len(t, cards, 1)
			}
		})
	}
	many := map[string]any{}
	for i := range 33 {
		many[fmt.Sprintf("interface_%d", i+1)] = map[string]any{}
	}
	request := pair(t, shapes["default"], false)
	set(request, "0.using_interfaces", many)
	_, errs := hostconfig.Validate(encode(t, request), hostconfig.Inventory{})
	require.Equal(t, []string{"0.using_interfaces too_many_interfaces"}, told(errs))
	for i := range 600 {
		set(request, fmt.Sprintf("1.x%d", i), i)
	}
	_, errs = hostconfig.Validate(encode(t, request), hostconfig.Inventory{})
	require.Equal(t, hostconfig.MaxErrors+1, len(errs)) //nolint:testifylint // Len prints them all
	require.Equal(t, "body more_errors", told(errs)[hostconfig.MaxErrors])
}

// A card is for the node that its key names, else the one that holds its
// address, else the one of its host name.
func TestWhoseAddressesAreItsOwn(t *testing.T) {
	l, nets := shapes["default"], plainNetworks()
	doc := func(host int, name string) any {
		d := build(l, 0, host, nets)
		d.Hostname = name
		return tree(t, d)
	}
	inv := held("10.20.0.21", "n1", "10.20.0.22", "n2")
	at := "0." + p1 + "IP_ADDRESS address_in_inventory"
	for name, c := range map[string]struct {
		body any
		want []string
	}{
		"list: the holder of its address":             {[]any{doc(21, "new-name")}, []string{}},
		"list: with the name of another":              {[]any{doc(21, "n2")}, []string{"0.hostname hostname_in_inventory"}},
		"key: its own address stays":                  {map[string]any{"10.20.0.21": doc(21, "x")}, []string{}},
		"key: it moves":                               {map[string]any{"10.20.0.21": doc(33, "n1")}, []string{}},
		"key: it moves onto another":                  {map[string]any{"10.20.0.21": doc(22, "n1")}, []string{at}},
		"key: a new node on another's address":        {map[string]any{"10.20.0.99": doc(21, "x")}, []string{at}},
		"key: as found, known by its host name":       {map[string]any{"10.20.0.99": doc(21, "N1")}, []string{}},
		"name: its own":                               {map[string]any{"n1": doc(21, "x")}, []string{}},
		"name: another's address":                     {map[string]any{"n1": doc(22, "x")}, []string{at}},
		"name: another's host name":                   {map[string]any{"N1": doc(21, "n2")}, []string{"0.hostname hostname_in_inventory"}},
		"name: that nobody has, on another's address": {map[string]any{"n9": doc(22, "x")}, []string{at}},
	} {
		t.Run(name, func(t *testing.T) {
			_, errs := hostconfig.Validate(encode(t, c.body), inv)
			require.Equal(t, c.want, told(errs))
		})
	}
	body := fmt.Sprintf(`{"2001:db8::1":%s,"2001:DB8:0::1":%s}`, encode(t, doc(21, "a")), encode(t, doc(22, "b")))
	_, errs := hostconfig.Validate([]byte(body), hostconfig.Inventory{})
	require.Equal(t, []string{"1.key node_twice"}, told(errs))
}

// A body within the limit that is wrong everywhere costs little.
func TestErrorsAreBounded(t *testing.T) {
	for name, body := range map[string]string{
		"values": `[{"disk":[` + strings.Repeat("1,", 100_000) + `1]}]`,
		"disks":  `[{"disk":[` + strings.Repeat(`"",`, 80_000) + `""]}]`,
		"names":  `[{` + strings.Repeat(`"":1,`, 50_000) + `"":1}]`,
		"cards":  `[` + strings.Repeat(`{},`, 999) + `{}]`,
	} {
		t.Run(name, func(t *testing.T) {
			_, errs := hostconfig.Validate([]byte(body), hostconfig.Inventory{})
			require.Equal(t, hostconfig.MaxErrors+1, len(errs)) //nolint:testifylint // Len prints them all
			require.Equal(t, "more_errors", errs[hostconfig.MaxErrors].Key)
		})
	}
}

// Every key of the list is told by a test above.
func TestEveryKeyIsTested(t *testing.T) {
	seen := map[string]bool{"too_large": true, "json_malformed": true, "too_deep": true, "no_cards": true, "too_many_cards": true, "node_key_bad": true,
		"node_twice": true, "more_errors": true, "too_many_interfaces": true, "duplicate_field": true} // TestBodies, TestWhoseAddressesAreItsOwn
	for _, r := range append(slices.Clone(holes), rules...) {
		for _, w := range r.want {
			seen[w[strings.LastIndex(w, " ")+1:]] = true
		}
	}
	for key := range keyNames() {
		assert.True(t, seen[key], "no test is refused for %s", key)
		delete(seen, key)
	}
	assert.Empty(t, seen, "are no keys")
	assert.Len(t, hostconfig.Keys(), len(keyNames()), "a key comes twice")
}
