package hostconfig

import (
	"strings"

	"github.com/slipwayhq/slipway/deploy"
)

// The keys of errors: each names one rule. They are stable.
const (
	// The request as a whole.
	KeyTooLarge      = "too_large"
	KeyJSONMalformed = "json_malformed"
	KeyTooDeep       = "too_deep"
	KeyNoCards       = "no_cards"
	KeyTooManyCards  = "too_many_cards"
	KeyNodeKeyBad    = "node_key_bad"
	KeyNodeTwice     = "node_twice"
	KeyMoreErrors    = "more_errors"

	// The form of a document.
	KeyWrongType      = "wrong_type"
	KeyUnknownField   = "unknown_field"
	KeyDuplicateField = "duplicate_field"

	// Interfaces.
	KeyInterfacesRequired = "interfaces_required"
	KeyTooManyInterfaces  = "too_many_interfaces"
	KeyInterfaceRequired  = "interface_required"
	KeyInterfaceBad       = "interface_bad"
	KeyInterfaceTwice     = "interface_twice"
	KeyTypeRequired       = "type_required"
	KeyTypeSeveral        = "type_several"
	KeyTypeUnknown        = "type_unknown"
	KeyTypeTwice          = "type_twice"
	KeyTypesMixed         = "types_mixed"
	KeyTypeMissing        = "type_missing"
	KeyBondSlaveBad       = "bond_slave_bad"
	KeyVLANBad            = "vlan_bad"
	KeyVLANOutOfRange     = "vlan_out_of_range"

	// Bonds.
	KeyBondNameRequired   = "bond_name_required"
	KeyBondNameBad        = "bond_name_bad"
	KeyBondNameTwice      = "bond_name_twice"
	KeyBondMembers        = "bond_members"
	KeyBondUnknown        = "bond_unknown"
	KeyBondIsMember       = "bond_is_member"
	KeyMemberHasSettings  = "member_has_settings"
	KeyBondNameUnexpected = "bond_name_unexpected"

	// Addresses of an interface.
	KeyPropertiesRequired   = "properties_required"
	KeyPropertiesUnexpected = "properties_unexpected"
	KeyAddressRequired      = "address_required"
	KeyAddressBad           = "address_bad"
	KeyAddressUnusable      = "address_unusable"
	KeyAddressIsNetwork     = "address_is_network"
	KeyAddressIsBroadcast   = "address_is_broadcast"
	KeyAddressTwice         = "address_twice"
	KeyAddressInInventory   = "address_in_inventory"
	KeyMaskRequired         = "mask_required"
	KeyMaskBad              = "mask_bad"
	KeyMaskNotContiguous    = "mask_not_contiguous"
	KeyMaskOutOfRange       = "mask_out_of_range"
	KeyDNSRequired          = "dns_required"
	KeyDNSBad               = "dns_bad"
	KeyDNSSeveral           = "dns_several"
	KeyMTUBad               = "mtu_bad"
	KeyGatewayRequired      = "gateway_required"
	KeyGatewaySeveral       = "gateway_several"
	KeyGatewayNotFirst      = "gateway_not_first"
	KeyGatewayBad           = "gateway_bad"
	KeyGatewayOutsideSubnet = "gateway_outside_subnet"
	KeyGatewayIsOwnAddress  = "gateway_is_own_address"
	KeyGatewayIsNetwork     = "gateway_is_network"
	KeyGatewayIsBroadcast   = "gateway_is_broadcast"
	KeyGatewayIsNodeAddress = "gateway_is_node_address"

	// Host name, roles and disks.
	KeyHostnameRequired    = "hostname_required"
	KeyHostnameBad         = "hostname_bad"
	KeyHostnameTwice       = "hostname_twice"
	KeyHostnameInInventory = "hostname_in_inventory"
	KeyRoleRequired        = "role_required"
	KeyRoleUnknown         = "role_unknown"
	KeyRoleTwice           = "role_twice"
	KeyRolesIncomplete     = "roles_incomplete"
	KeyDiskRequired        = "disk_required"
	KeyDiskBad             = "disk_bad"
	KeyDiskTwice           = "disk_twice"

	// The cloud's address.
	KeyVIPBad           = "vip_bad"
	KeyVIPOutsideSubnet = "vip_outside_subnet"
	KeyVIPIsNetwork     = "vip_is_network"
	KeyVIPIsBroadcast   = "vip_is_broadcast"
	KeyVIPIsGateway     = "vip_is_gateway"
	KeyVIPIsNodeAddress = "vip_is_node_address"
	KeyVIPInInventory   = "vip_in_inventory"

	// The provider network.
	KeyProviderIncomplete      = "provider_incomplete"
	KeyProviderTwice           = "provider_twice"
	KeyProviderCIDRBad         = "provider_cidr_bad"
	KeyProviderCIDRHostBits    = "provider_cidr_host_bits"
	KeyProviderCIDROutOfRange  = "provider_cidr_out_of_range"
	KeyProviderGatewayBad      = "provider_gateway_bad"
	KeyProviderGatewayOutside  = "provider_gateway_outside"
	KeyProviderGatewayUnusable = "provider_gateway_unusable"
	KeyProviderGatewayInRange  = "provider_gateway_in_range"
	KeyProviderStartBad        = "provider_start_bad"
	KeyProviderStartOutside    = "provider_start_outside"
	KeyProviderStartUnusable   = "provider_start_unusable"
	KeyProviderEndBad          = "provider_end_bad"
	KeyProviderEndOutside      = "provider_end_outside"
	KeyProviderEndUnusable     = "provider_end_unusable"
	KeyProviderRangeReversed   = "provider_range_reversed"
	KeyProviderRangeHasNode    = "provider_range_has_node"

	// The tenant network.
	KeyTenantIncomplete      = "tenant_incomplete"
	KeyTenantTwice           = "tenant_twice"
	KeyTenantCIDRBad         = "tenant_cidr_bad"
	KeyTenantCIDRHostBits    = "tenant_cidr_host_bits"
	KeyTenantCIDROutOfRange  = "tenant_cidr_out_of_range"
	KeyTenantGatewayBad      = "tenant_gateway_bad"
	KeyTenantGatewayOutside  = "tenant_gateway_outside"
	KeyTenantGatewayUnusable = "tenant_gateway_unusable"
	KeyTenantNameserverBad   = "tenant_nameserver_bad"
)

// Key describes the errors of one rule.
type Key struct {
	Key  string      `json:"key"`
	Code deploy.Code `json:"code"`
	Text string      `json:"text"` // English, with {places} to fill in; to be read after the field's name
}

var keys = []Key{
	{KeyTooLarge, deploy.CodeTooLarge, "has more than {max} bytes"},
	{KeyJSONMalformed, deploy.CodeInvalid, "is not JSON: {reason}"},
	{KeyTooDeep, deploy.CodeInvalid, "is nested deeper than {max} levels"},
	{KeyNoCards, deploy.CodeRequired, "has no node: an object of documents by address or name, or a list of documents, is expected"},
	{KeyTooManyCards, deploy.CodeTooLarge, "has more than {max} nodes"},
	{KeyNodeKeyBad, deploy.CodeInvalid, "names no node: an IP address or a host name is expected"},
	{KeyNodeTwice, deploy.CodeAlreadyExists, "is the same node as {other}"},
	{KeyMoreErrors, deploy.CodeInvalid, "has more errors than the {max} that are shown"},
	{KeyWrongType, deploy.CodeInvalid, "must be {expected}"},
	{KeyUnknownField, deploy.CodeInvalid, "is not a field of the document"},
	{KeyDuplicateField, deploy.CodeInvalid, "comes twice"},
	{KeyInterfacesRequired, deploy.CodeRequired, "needs the interfaces of the node"},
	{KeyTooManyInterfaces, deploy.CodeOutOfRange, "has more than {max} entries"},
	{KeyInterfaceRequired, deploy.CodeRequired, "needs the name of a network interface"},
	{KeyInterfaceBad, deploy.CodeInvalid, "is not the name of a network interface: 1 to 15 letters, digits, dots, hyphens and underscores are expected"},
	{KeyInterfaceTwice, deploy.CodeAlreadyExists, "uses {value}, as {other} does"},
	{KeyTypeRequired, deploy.CodeRequired, "needs a type"},
	{KeyTypeSeveral, deploy.CodeInvalid, "must have one type only"},
	{KeyTypeUnknown, deploy.CodeInvalid, "is none of {allowed}"},
	{KeyTypeTwice, deploy.CodeAlreadyExists, "is {value}, as {other} is"},
	{KeyTypesMixed, deploy.CodeInvalid, "mixes the types Primary and Secondary with Mgmt, VXLAN, Storage and External_Traffic"},
	{KeyTypeMissing, deploy.CodeRequired, "lacks the type {missing}"},
	{KeyBondSlaveBad, deploy.CodeInvalid, "must be YES or NO"},
	{KeyVLANBad, deploy.CodeInvalid, "is not a VLAN: a number from 1 to 4094, or NULL, is expected"},
	{KeyVLANOutOfRange, deploy.CodeOutOfRange, "must be from 1 to 4094"},
	{KeyBondNameRequired, deploy.CodeRequired, "needs the name of a bond"},
	{KeyBondNameBad, deploy.CodeInvalid, `is not the name of a bond: it begins with "bond" and has 5 to 15 letters, digits, dots, hyphens and underscores`},
	{KeyBondNameTwice, deploy.CodeAlreadyExists, "is {value}, as {other} is"},
	{KeyBondMembers, deploy.CodeInvalid, "must have exactly two members, and has {count}"},
	{KeyBondUnknown, deploy.CodeInvalid, "names no bond of this node"},
	{KeyBondIsMember, deploy.CodeInvalid, "is a bond, and cannot be a member of one"},
	{KeyMemberHasSettings, deploy.CodeInvalid, "belongs to the bond, not to its member"},
	{KeyBondNameUnexpected, deploy.CodeInvalid, "is only for a member of a bond"},
	{KeyPropertiesRequired, deploy.CodeRequired, "needs an address, for its type is {type}"},
	{KeyPropertiesUnexpected, deploy.CodeInvalid, "has no place where the type is {type}: it has no address"},
	{KeyAddressRequired, deploy.CodeRequired, "needs an IP address"},
	{KeyAddressBad, deploy.CodeInvalid, "is not an IP address"},
	{KeyAddressUnusable, deploy.CodeInvalid, "is not an address that a machine can have"},
	{KeyAddressIsNetwork, deploy.CodeInvalid, "is the address of the network {subnet} itself"},
	{KeyAddressIsBroadcast, deploy.CodeInvalid, "is the broadcast address of {subnet}"},
	{KeyAddressTwice, deploy.CodeAlreadyExists, "is {value}, as {other} is"},
	{KeyAddressInInventory, deploy.CodeAlreadyExists, "is held by {node}"},
	{KeyMaskRequired, deploy.CodeRequired, "needs a subnet mask"},
	{KeyMaskBad, deploy.CodeInvalid, "is not a subnet mask: 255.255.255.0, 24 or /24 is expected"},
	{KeyMaskNotContiguous, deploy.CodeInvalid, "is not a subnet mask: its ones must come before its zeros"},
	{KeyMaskOutOfRange, deploy.CodeOutOfRange, "must be a prefix length from {min} to {max}"},
	{KeyDNSRequired, deploy.CodeRequired, "needs the address of a DNS server"},
	{KeyDNSBad, deploy.CodeInvalid, "is not the IP address of a DNS server"},
	{KeyDNSSeveral, deploy.CodeInvalid, "must be one address only"},
	{KeyMTUBad, deploy.CodeOutOfRange, "must be 1500, 9000 or NULL"},
	{KeyGatewayRequired, deploy.CodeRequired, "needs the default gateway"},
	{KeyGatewaySeveral, deploy.CodeAlreadyExists, "stands at {other} already: a node has one gateway"},
	{KeyGatewayNotFirst, deploy.CodeInvalid, "must stand at {other}, the first interface with an address"},
	{KeyGatewayBad, deploy.CodeInvalid, "is not an IP address"},
	{KeyGatewayOutsideSubnet, deploy.CodeInvalid, "is outside of {subnet}"},
	{KeyGatewayIsOwnAddress, deploy.CodeInvalid, "is the interface's own address"},
	{KeyGatewayIsNetwork, deploy.CodeInvalid, "is the address of the network {subnet} itself"},
	{KeyGatewayIsBroadcast, deploy.CodeInvalid, "is the broadcast address of {subnet}"},
	{KeyGatewayIsNodeAddress, deploy.CodeInvalid, "is {value}, as {other} is"},
	{KeyHostnameRequired, deploy.CodeRequired, "needs a host name"},
	{KeyHostnameBad, deploy.CodeInvalid, "is not a host name: 1 to 63 letters, digits and hyphens, a letter or digit at both ends, not digits alone (RFC 1123)"},
	{KeyHostnameTwice, deploy.CodeAlreadyExists, "is {value}, as {other} is"},
	{KeyHostnameInInventory, deploy.CodeAlreadyExists, "is the name of another node"},
	{KeyRoleRequired, deploy.CodeRequired, "needs at least one of {allowed}"},
	{KeyRoleUnknown, deploy.CodeInvalid, "has {value}, which is none of {allowed}"},
	{KeyRoleTwice, deploy.CodeAlreadyExists, "has {value} twice"},
	{KeyRolesIncomplete, deploy.CodeInvalid, "over all nodes of {vip} there are {have}; a cloud needs Control and Storage, and may have Compute and Monitoring"},
	{KeyDiskRequired, deploy.CodeRequired, "needs a disk, for the role Storage is chosen"},
	{KeyDiskBad, deploy.CodeInvalid, "has {value}, which is not the name of a disk: 1 to 128 printable ASCII characters are expected"},
	{KeyDiskTwice, deploy.CodeAlreadyExists, "has {value} twice"},
	{KeyVIPBad, deploy.CodeInvalid, "is not an IP address"},
	{KeyVIPOutsideSubnet, deploy.CodeInvalid, "is outside of {subnet}, the subnet of {interface}"},
	{KeyVIPIsNetwork, deploy.CodeInvalid, "is the address of the network {subnet} itself"},
	{KeyVIPIsBroadcast, deploy.CodeInvalid, "is the broadcast address of {subnet}"},
	{KeyVIPIsGateway, deploy.CodeInvalid, "is the gateway of {other}"},
	{KeyVIPIsNodeAddress, deploy.CodeAlreadyExists, "is {value}, as {other} is"},
	{KeyVIPInInventory, deploy.CodeAlreadyExists, "is held by {node}"},
	{KeyProviderIncomplete, deploy.CodeRequired, "is required, for a part of the provider network is given"},
	{KeyProviderTwice, deploy.CodeAlreadyExists, "is given at {other} already: it stands at one node only"},
	{KeyProviderCIDRBad, deploy.CodeInvalid, "is not a network: 192.0.2.0/24 is expected"},
	{KeyProviderCIDRHostBits, deploy.CodeInvalid, "is an address inside of a network; the network is {subnet}"},
	{KeyProviderCIDROutOfRange, deploy.CodeOutOfRange, "must have a prefix length from {min} to {max}"},
	{KeyProviderGatewayBad, deploy.CodeInvalid, "is not an IP address"},
	{KeyProviderGatewayOutside, deploy.CodeInvalid, "is outside of {subnet}"},
	{KeyProviderGatewayUnusable, deploy.CodeInvalid, "is the network's or the broadcast address of {subnet}"},
	{KeyProviderGatewayInRange, deploy.CodeInvalid, "is inside of the range that is given out, {range}"},
	{KeyProviderStartBad, deploy.CodeInvalid, "is not an IP address"},
	{KeyProviderStartOutside, deploy.CodeInvalid, "is outside of {subnet}"},
	{KeyProviderStartUnusable, deploy.CodeInvalid, "is the network's or the broadcast address of {subnet}"},
	{KeyProviderEndBad, deploy.CodeInvalid, "is not an IP address"},
	{KeyProviderEndOutside, deploy.CodeInvalid, "is outside of {subnet}"},
	{KeyProviderEndUnusable, deploy.CodeInvalid, "is the network's or the broadcast address of {subnet}"},
	{KeyProviderRangeReversed, deploy.CodeInvalid, "is after the end of the range, {value}"},
	{KeyProviderRangeHasNode, deploy.CodeAlreadyExists, "begins a range that holds {value}, the address of {other}"},
	{KeyTenantIncomplete, deploy.CodeRequired, "is required, for a part of the tenant network is given"},
	{KeyTenantTwice, deploy.CodeAlreadyExists, "is given at {other} already: it stands at one node only"},
	{KeyTenantCIDRBad, deploy.CodeInvalid, "is not a network: 10.0.0.0/24 is expected"},
	{KeyTenantCIDRHostBits, deploy.CodeInvalid, "is an address inside of a network; the network is {subnet}"},
	{KeyTenantCIDROutOfRange, deploy.CodeOutOfRange, "must have a prefix length from {min} to {max}"},
	{KeyTenantGatewayBad, deploy.CodeInvalid, "is not an IP address"},
	{KeyTenantGatewayOutside, deploy.CodeInvalid, "is outside of {subnet}"},
	{KeyTenantGatewayUnusable, deploy.CodeInvalid, "is the network's or the broadcast address of {subnet}"},
	{KeyTenantNameserverBad, deploy.CodeInvalid, "is not the IP address of a DNS server"},
}

var keyByName = func() map[string]Key {
	m := make(map[string]Key, len(keys))
	for _, k := range keys {
		m[k.Key] = k
	}
	return m
}()

// Keys lists every key of an error, by the part of the document that it is about.
func Keys() []Key { return append([]Key(nil), keys...) }

// fault makes an error of a rule; fill holds place, value, place, value, …
func fault(field, key string, fill ...string) deploy.FieldError {
	k := keyByName[key]
	for i := 0; i+1 < len(fill); i += 2 {
		fill[i] = "{" + fill[i] + "}"
	}
	return deploy.FieldError{Field: field, Code: k.Code, Message: strings.NewReplacer(fill...).Replace(k.Text), Key: k.Key}
}
