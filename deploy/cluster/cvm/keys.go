package cvm

import (
	"strings"

	"github.com/slipwayhq/slipway/deploy"
)

// The keys of errors of a cluster request: each names one rule. They are stable.
const (
	KeyNameRequired       = "cluster_name_required"
	KeyNameBad            = "cluster_name_bad"
	KeyTypeUnknown        = "cluster_type_unknown"
	KeyOperationUnknown   = "cluster_operation_unknown"
	KeyMembersRequired    = "members_required"
	KeyMemberCount        = "member_count"
	KeyTypeCount          = "type_count"
	KeyMemberTwice        = "member_twice"
	KeyAddressRequired    = "member_address_required"
	KeyAddressNotIPv4     = "member_address_not_ipv4"
	KeyAddressTwice       = "member_address_twice"
	KeyAddressOutside     = "member_address_outside"
	KeyAddressUnusable    = "member_address_unusable"
	KeyVersionDiffers     = "version_differs"
	KeyRedundancySingle   = "redundancy_single"
	KeyRedundancyMulti    = "redundancy_multi"
	KeyVIPNotIPv4         = "vip_not_ipv4"
	KeyVIPOutside         = "vip_outside"
	KeyVIPUnusable        = "vip_unusable"
	KeyVIPIsMember        = "vip_is_member"
	KeyVIPIsGateway       = "vip_is_gateway"
	KeyVIPTaken           = "vip_taken"
	KeyDNSNotIPv4         = "dns_not_ipv4"
	KeyDNSTwice           = "dns_twice"
	KeyNTPBad             = "ntp_bad"
	KeyNTPTwice           = "ntp_twice"
	KeyTooManyServers     = "too_many_servers"
	KeyExistingRequired   = "existing_required"
	KeyExistingUnexpected = "existing_unexpected"
	KeySingleNotGrown     = "single_node_not_grown"
	KeyJoinSetting        = "join_setting"
)

// Key is a rule of a cluster request.
type Key struct {
	Key  string
	Code deploy.Code
	// Text is a template; {name} stands for a value that the error fills in. It
	// is read after the field's name.
	Text string
}

var keys = []Key{
	{KeyNameRequired, deploy.CodeRequired, "is required"},
	{KeyNameBad, deploy.CodeInvalid, "has letters, digits, dots, hyphens and underscores only, begins with a letter or digit, and has at most 75 characters"},
	{KeyTypeUnknown, deploy.CodeInvalid, "is one of single_node, multi_node"},
	{KeyOperationUnknown, deploy.CodeInvalid, "is one of create_new, join_existing"},
	{KeyMembersRequired, deploy.CodeRequired, "needs at least one node"},
	{KeyMemberCount, deploy.CodeOutOfRange, "would make a cluster of {count} nodes: Community Edition has 1, 3 or 4"},
	{KeyTypeCount, deploy.CodeConflict, "{type} does not fit {count} nodes"},
	{KeyMemberTwice, deploy.CodeConflict, "{value} is named twice"},
	{KeyAddressRequired, deploy.CodeRequired, "has no controller VM address"},
	{KeyAddressNotIPv4, deploy.CodeInvalid, "{value} is no IPv4 address"},
	{KeyAddressTwice, deploy.CodeConflict, "{value} is that of {other} too"},
	{KeyAddressOutside, deploy.CodeInvalid, "{value} is outside of {subnet}"},
	{KeyAddressUnusable, deploy.CodeInvalid, "{value} is the network's or the broadcast address of {subnet}"},
	{KeyVersionDiffers, deploy.CodeConflict, "{value} is another than {wanted} of {other}: a cluster has one version"},
	{KeyRedundancySingle, deploy.CodeOutOfRange, "is 1 for a single node"},
	{KeyRedundancyMulti, deploy.CodeOutOfRange, "is 2 for three or four nodes"},
	{KeyVIPNotIPv4, deploy.CodeInvalid, "is no IPv4 address"},
	{KeyVIPOutside, deploy.CodeInvalid, "is outside of {subnet}, where the controller VMs are"},
	{KeyVIPUnusable, deploy.CodeInvalid, "is the network's or the broadcast address of {subnet}"},
	{KeyVIPIsMember, deploy.CodeConflict, "is the controller VM's address of {other}"},
	{KeyVIPIsGateway, deploy.CodeConflict, "is the gateway's address"},
	{KeyVIPTaken, deploy.CodeConflict, "is in use by {other}"},
	{KeyDNSNotIPv4, deploy.CodeInvalid, "{value} is no IPv4 address"},
	{KeyDNSTwice, deploy.CodeConflict, "{value} is named twice"},
	{KeyNTPBad, deploy.CodeInvalid, "is neither a host name nor an IPv4 address"},
	{KeyNTPTwice, deploy.CodeConflict, "is named twice"},
	{KeyTooManyServers, deploy.CodeOutOfRange, "has more than {most} entries"},
	{KeyExistingRequired, deploy.CodeRequired, "is required to join: which cluster?"},
	{KeyExistingUnexpected, deploy.CodeConflict, "is given, but a new cluster is asked for"},
	{KeySingleNotGrown, deploy.CodeConflict, "has a single node: it cannot be grown"},
	{KeyJoinSetting, deploy.CodeConflict, "is the existing cluster's, and is not set by a join"},
}

var keyByName = func() map[string]Key {
	m := make(map[string]Key, len(keys))
	for _, k := range keys {
		m[k.Key] = k
	}
	return m
}()

// Keys lists every key of an error.
func Keys() []Key { return append([]Key(nil), keys...) }

// fault makes an error of a rule; fill holds place, value, place, value, …
func fault(field, key string, fill ...string) deploy.FieldError {
	k := keyByName[key]
	pairs := append([]string(nil), fill...)
	for i := 0; i+1 < len(pairs); i += 2 {
		pairs[i] = "{" + pairs[i] + "}"
	}
	return deploy.FieldError{Field: field, Code: k.Code, Message: strings.NewReplacer(pairs...).Replace(k.Text), Key: k.Key}
}
