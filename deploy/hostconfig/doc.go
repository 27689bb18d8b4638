// Package hostconfig holds the configuration document of a node that the
// deployment script reads: its types, what is accepted on reading, every rule
// it must keep, the bytes that are written, and the difference of two of them.
// It is pure: no input or output, no clock. It may import deploy and the
// standard library.
//
// # Reading and writing
//
// Parse is lenient in form and strict in content. Accepted, and written in the
// canonical form by Render:
//
//   - types and roles in any case, and the names "management" and "external
//     traffic"; a type as a text instead of a list;
//   - numbers where the document has texts: mtu 1500, vlan_id 101, Netmask 24;
//   - a mask as 255.255.255.0, 24 or /24. IPv4 masks are written dotted, since
//     that is the only form that scripts for the first documents had to read;
//     IPv6 has no dotted form, so its prefix length is written ("64");
//   - null, "" and "NULL" for no VLAN and no MTU, written "NULL"; null and ""
//     for every other absent field, which is left out;
//   - the role Network, which is always written, as the last;
//   - "N/A" in all four provider_ fields, which says that there is no provider
//     network, and is written as it came, since scripts may look for it;
//   - interface_1 and interface_001 for interface_01;
//   - spaces around a text.
//
// A field that is not known, a field that comes twice, a wrong type of value or
// a body beyond the limits is a problem, never passed over.
//
// The DNS of an interface is exactly one address: the field never held more, and
// its reader may not split a list.
//
// # Rows
//
// An interface with an address or a type is a row: a plain interface
// (interface_NN) or a bond (bondN) with its two members, which are interface_NN
// too. Rows are in the order of the lowest interface number that they hold, a
// bond's members follow it, and so they are written; the order of the request's
// keys has no meaning. The gateway stands once, in the first row with an
// address.
//
// # Field paths
//
// The Field of an error is a path of segments joined by dots:
//
//	path    = "body" | "cards" "." index [ "." segment ]*
//	index   = position in the request, from 0, of an object's keys as of a list
//	segment = name of a field as it came in the request, or a position in a list from 0
//
// A byte of a name that is not a letter, digit, "_" or "-" is written %XX, and
// a name longer than 64 bytes is cut, an empty one is "%", so that a path can always be split at its
// dots. "cards.0.key" is the key of a card in a request that is an object;
// "body" is the request as a whole. Examples:
//
//	cards.0.using_interfaces.interface_01.Properties.Netmask
//	cards.2.roles
//
// What is wrong with one of the roles, disks or types is told of the whole list,
// as people choose it; only a value of the wrong JSON type is told by its
// position.
//
// # Errors
//
// Every error has a key of Keys, whose text is a template in English; its
// message is that template filled in, to be read after the field's name.
package hostconfig

//go:generate go run ./schemagen ../../frontend/src/features/apply/schema.json
