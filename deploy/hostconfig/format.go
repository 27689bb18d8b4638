package hostconfig

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The bounds of numbers.
const (
	minMask, maxMask4, maxMask6 = 1, 30, 126
	minVLAN, maxVLAN            = 1, 4094
	maxDisk                     = 128
)

// bad says that a value breaks its field's own rule; other words of a format
// are keys by themselves.
const bad = "bad"

// format is what one value must look like, whatever stands around it.
type format struct {
	// canon gives the canonical form of a value, or the value itself if it is
	// none. Empty if every form is canonical.
	canon func(s string) string
	// fault gives bad, a key, or nothing.
	fault func(s string) (key string, fill []string)
	// schema describes the canonical form.
	schema func() member
}

const octet = `(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])`

const (
	patternIPv4     = octet + `(\.` + octet + `){3}`
	patternIPv6     = `[0-9a-f]*:[0-9a-f:]*(:` + patternIPv4 + `)?`
	patternDevice   = `^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$`
	patternBond     = `^bond[A-Za-z0-9_.-]{1,11}$`
	patternHostname = `^([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)$`
	patternDisk     = `^[\x21-\x7e]([\x20-\x7e]{0,126}[\x21-\x7e])?$`
	patternVLAN     = `^([1-9][0-9]{0,2}|[1-3][0-9]{3}|40[0-8][0-9]|409[0-4]|NULL)$`
)

var (
	deviceName  = regexp.MustCompile(patternDevice)
	bondName    = regexp.MustCompile(patternBond)
	hostName    = regexp.MustCompile(patternHostname)
	diskName    = regexp.MustCompile(patternDisk)
	digits      = regexp.MustCompile(`^[0-9]+$`)
	wholeNumber = regexp.MustCompile(`^(0|[1-9][0-9]*)$`)
)

// parseAddr understands an address as it may stand in a document: without a
// zone, and IPv4 as IPv4.
func parseAddr(s string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" || a.Is4In6() {
		return netip.Addr{}, false
	}
	return a, true
}

func canonAddr(s string) string {
	if a, ok := parseAddr(s); ok {
		return a.String()
	}
	return s
}

// localhost is refused as a node's address. The rest of 127.0.0.0/8 is not:
// nodes in a rehearsal on one machine live there.
var localhost = netip.MustParsePrefix("127.0.0.0/16")

// reserved is what RFC 1112 section 4 keeps for later, with the broadcast
// address of RFC 919.
var reserved = netip.MustParsePrefix("240.0.0.0/4")

// thisNetwork are no addresses of destinations (RFC 1122 section 3.2.1.3).
var thisNetwork = netip.MustParsePrefix("0.0.0.0/8")

// unusable tells of an address that no machine can be reached by.
func unusable(a netip.Addr) bool {
	return thisNetwork.Contains(a) || localhost.Contains(a) || reserved.Contains(a) || a.IsUnspecified() ||
		a.IsMulticast() || a.Is6() && (a.IsLoopback() || a.IsLinkLocalUnicast())
}

// broadcast gives the last address of an IPv4 network.
func broadcast(p netip.Prefix) netip.Addr {
	if !p.Addr().Is4() {
		return netip.Addr{}
	}
	b := p.Masked().Addr().As4()
	n := binary.BigEndian.Uint32(b[:]) | ^uint32(0)>>p.Bits()
	binary.BigEndian.PutUint32(b[:], n)
	return netip.AddrFrom4(b)
}

// dotted gives the IPv4 mask of a prefix length.
func dotted(bits int) string {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], ^(^uint32(0) >> bits))
	return netip.AddrFrom4(b).String()
}

// maskBits gives the prefix length of a mask in any of its forms, or the key of
// what is wrong with it beside an address of IPv6 or IPv4.
func maskBits(s string, six bool) (bits int, key string) {
	if a, ok := parseAddr(s); ok && a.Is4() {
		b := a.As4()
		n := binary.BigEndian.Uint32(b[:])
		for bits < 32 && n&(1<<(31-bits)) != 0 {
			bits++
		}
		switch {
		case n != ^(^uint32(0) >> bits):
			return 0, KeyMaskNotContiguous
		case six:
			return 0, KeyMaskBad
		}
	} else {
		s = strings.TrimPrefix(s, "/")
		if !wholeNumber.MatchString(s) {
			return 0, KeyMaskBad
		}
		n, err := strconv.Atoi(s)
		if err != nil {
			return 0, KeyMaskOutOfRange
		}
		bits = n
	}
	if bits < minMask || bits > maxMaskFor(six) {
		return 0, KeyMaskOutOfRange
	}
	return bits, ""
}

func maxMaskFor(six bool) int {
	if six {
		return maxMask6
	}
	return maxMask4
}

// canonMask writes a mask as its address's kind wants it.
func canonMask(s string, six bool) string {
	bits, key := maskBits(s, six)
	switch {
	case key != "":
		return s
	case six:
		return strconv.Itoa(bits)
	}
	return dotted(bits)
}

// fold makes names that mean the same alike.
func fold(s string) string {
	return strings.ToLower(strings.NewReplacer(" ", "", "_", "", "-", "").Replace(s))
}

// oneOf gives a canon that finds a word in any case, or an alias of it.
func oneOf(words []string, aliases map[string]string) func(string) string {
	byFold := map[string]string{}
	for _, w := range words {
		byFold[fold(w)] = w
	}
	for alias, w := range aliases {
		byFold[fold(alias)] = w
	}
	return func(s string) string {
		if w, ok := byFold[fold(s)]; ok {
			return w
		}
		return s
	}
}

func orNone(s string) string {
	if s == "" || strings.EqualFold(s, None) {
		return None
	}
	return s
}

func matching(re *regexp.Regexp) func(string) (string, []string) {
	return func(s string) (string, []string) {
		if re.MatchString(s) {
			return "", nil
		}
		return bad, nil
	}
}

func inWords(words []string, fill ...string) func(string) (string, []string) {
	return func(s string) (string, []string) {
		if slices.Contains(words, s) {
			return "", nil
		}
		return bad, slices.Clone(fill)
	}
}

var (
	anyAddress = format{
		canon: canonAddr,
		fault: func(s string) (string, []string) {
			if _, ok := parseAddr(s); !ok {
				return bad, nil
			}
			return "", nil
		},
		schema: func() member { return member{"$ref", "#/$defs/address"} },
	}
	ownAddress = format{
		canon: canonAddr,
		fault: func(s string) (string, []string) {
			a, ok := parseAddr(s)
			switch {
			case !ok:
				return bad, nil
			case unusable(a):
				return KeyAddressUnusable, nil
			}
			return "", nil
		},
		schema: anyAddress.schema,
	}
	// vipAddress is an address that machines answer to, of no machine.
	vipAddress = format{
		canon: canonAddr,
		fault: func(s string) (string, []string) {
			if a, ok := parseAddr(s); !ok || unusable(a) {
				return bad, nil
			}
			return "", nil
		},
		schema: anyAddress.schema,
	}
	resolver = format{
		canon: canonAddr,
		fault: func(s string) (string, []string) {
			a, ok := parseAddr(s)
			switch {
			case !ok && len(strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(",; \t", r) })) > 1:
				return KeyDNSSeveral, nil
			case !ok, thisNetwork.Contains(a), reserved.Contains(a), a.IsUnspecified(), a.IsMulticast():
				return bad, nil
			}
			return "", nil
		},
		schema: anyAddress.schema,
	}
	cloudResolver = format{
		canon: canonAddr,
		fault: func(s string) (string, []string) {
			if key, _ := resolver.fault(s); key != "" {
				return bad, nil
			}
			return "", nil
		},
		schema: anyAddress.schema,
	}
	network = format{
		canon: func(s string) string {
			if p, err := netip.ParsePrefix(s); err == nil {
				return p.String()
			}
			return s
		},
		fault: func(s string) (string, []string) {
			if p, err := netip.ParsePrefix(s); err != nil || p.Addr().Is4In6() {
				return bad, nil
			}
			return "", nil
		},
		schema: func() member { return member{"$ref", "#/$defs/network"} },
	}
	// mask depends on its address: what is wrong with it is told beside that.
	mask   = format{schema: func() member { return member{"$ref", "#/$defs/mask"} }}
	device = format{fault: matching(deviceName), schema: func() member { return member{"pattern", patternDevice} }}
	bond   = format{fault: matching(bondName), schema: func() member { return member{"pattern", patternBond} }}
	host   = format{
		fault: func(s string) (string, []string) {
			if !hostName.MatchString(s) || digits.MatchString(s) {
				return bad, nil
			}
			return "", nil
		},
		schema: func() member { return member{"$ref", "#/$defs/hostname"} },
	}
	disk = format{fault: matching(diskName), schema: func() member { return member{"pattern", patternDisk} }}
	vlan = format{
		canon: orNone,
		fault: func(s string) (string, []string) {
			if s == None || s == "" {
				return "", nil
			}
			n, err := strconv.Atoi(s)
			switch {
			case !wholeNumber.MatchString(s):
				return bad, nil
			case err != nil || n < minVLAN || n > maxVLAN:
				return KeyVLANOutOfRange, nil
			}
			return "", nil
		},
		schema: func() member { return member{"pattern", patternVLAN} },
	}
	mtu = format{
		canon:  orNone,
		fault:  inWords([]string{"1500", "9000", None, ""}),
		schema: func() member { return member{"enum", []string{"1500", "9000", None}} },
	}
	slave = format{
		canon: oneOf([]string{yes, no}, map[string]string{"true": yes, "false": no}),
		fault: inWords([]string{yes, no, ""}),
	}
	rowType = format{
		canon:  oneOf(allTypes, map[string]string{"management": TypeMgmt}),
		fault:  inWords(allTypes, "allowed", strings.Join(allTypes, ", ")),
		schema: func() member { return member{"enum", allTypes} },
	}
	role = format{
		canon:  oneOf(append(slices.Clone(chosenRoles), RoleNetwork), nil),
		fault:  inWords(chosenRoles, "allowed", strings.Join(chosenRoles, ", ")),
		schema: func() member { return member{"enum", append(slices.Clone(chosenRoles), RoleNetwork)} },
	}
)

func bounds(lo, hi int) []string { return []string{"min", fmt.Sprint(lo), "max", fmt.Sprint(hi)} }
