package deploy

import (
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
)

// The ways in which a rack machine is switched.
const (
	PowerManual  = "manual"  // by a person; the same as no power settings at all
	PowerRedfish = "redfish" // by its board management controller (DMTF DSP0266)
)

// What a rack machine is told to boot from, once.
const (
	BootFromPXE  = "pxe"  // PXE, by BIOS or UEFI
	BootFromHTTP = "http" // UEFI HTTP boot
)

// The firmware modes that a controller can be asked for.
const (
	BootModeUEFI   = "uefi"
	BootModeLegacy = "legacy"
)

// Power is how a rack machine is switched on and off. It is stored with the
// deployment and shown to people, so it has the name of a password and never a
// password.
type Power struct {
	Type string `json:"type"` // manual or redfish
	// URL of the controller without a path: https://10.0.9.12
	URL      string `json:"url,omitempty"`
	Username string `json:"username,omitempty"`
	// PasswordRef names a secret that the server holds.
	PasswordRef string `json:"password_ref,omitempty"`
	// SystemID is the Id of the ComputerSystem. Empty: the only one, else the
	// one with the node's serial number, else the one with its MAC address, else
	// the one with its name.
	SystemID string `json:"system_id,omitempty"`
	// InsecureTLS accepts any certificate.
	InsecureTLS bool `json:"insecure_tls,omitempty"`
	// CAFile names a file with certificates, beside the server's secrets, that
	// the controller's certificate is checked with. Empty: the system's.
	CAFile   string `json:"ca_file,omitempty"`
	BootFrom string `json:"boot_from,omitempty"` // pxe (default) or http
	BootMode string `json:"boot_mode,omitempty"` // uefi or legacy; empty: as it is set
	// OffAtRelease switches the machine off when the node is cleaned up.
	OffAtRelease bool `json:"off_at_release,omitempty"`
}

// Manual reports whether a person has to switch the machine.
func (p *Power) Manual() bool { return p == nil || p.Type == PowerManual }

// secretName is also a plain file name: it begins with no dot and has no slash.
var secretName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// IsSecretName reports whether s can name a secret or a certificate file of the
// server: letters, digits, dots, hyphens and underscores, at most 64.
func IsSecretName(s string) bool { return secretName.MatchString(s) }

// Check tells every bad field; prefix is put before field names.
func (p *Power) Check(prefix string) []FieldError {
	if p == nil {
		return nil
	}
	var bad []FieldError
	add := func(field string, code Code, msg string) {
		bad = append(bad, FieldError{Field: prefix + field, Code: code, Message: msg})
	}
	switch p.Type {
	case PowerManual:
		if *p != (Power{Type: PowerManual}) {
			add("type", CodeInvalid, "manual needs no other setting, and has none")
		}
		return bad
	case PowerRedfish:
	default:
		add("type", CodeInvalid, "must be manual or redfish")
		return bad
	}
	if p.URL == "" {
		add("url", CodeRequired, "is required for redfish")
	} else if u, err := url.Parse(p.URL); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" || len(p.URL) > 256 {
		add("url", CodeInvalid, "must be https:// or http://, a host and perhaps a port, and nothing else")
	}
	if p.Username == "" {
		add("username", CodeRequired, "is required for redfish")
	} else if len(p.Username) > 128 {
		add("username", CodeOutOfRange, "is longer than 128 characters")
	}
	switch {
	case p.PasswordRef == "":
		add("password_ref", CodeRequired, "is required for redfish: the name of a secret that the server holds")
	case !IsSecretName(p.PasswordRef):
		add("password_ref", CodeInvalid, "must be the name of a secret: letters, digits, dots, hyphens and underscores, at most 64")
	}
	if p.CAFile != "" && !IsSecretName(p.CAFile) {
		add("ca_file", CodeInvalid, "must be a plain file name")
	}
	if p.CAFile != "" && p.InsecureTLS {
		add("insecure_tls", CodeConflict, "any certificate or those of ca_file: not both")
	}
	if len(p.SystemID) > 128 {
		add("system_id", CodeOutOfRange, "is longer than 128 characters")
	}
	if p.BootFrom != "" && p.BootFrom != BootFromPXE && p.BootFrom != BootFromHTTP {
		add("boot_from", CodeInvalid, "must be pxe or http")
	}
	if p.BootMode != "" && p.BootMode != BootModeUEFI && p.BootMode != BootModeLegacy {
		add("boot_mode", CodeInvalid, "must be uefi or legacy")
	}
	if p.BootFrom == BootFromHTTP && p.BootMode == BootModeLegacy {
		add("boot_mode", CodeConflict, "HTTP boot is UEFI's")
	}
	return bad
}

// Subnet is what machines on a network must know of it.
type Subnet struct {
	Prefix     netip.Prefix
	Gateway    netip.Addr // the zero Addr: none
	DNSServers []string
}

// ParseMask reads an IPv4 netmask, dotted ("255.255.255.0") or as a prefix
// length ("24"); ok is false if it is neither, or not contiguous.
func ParseMask(s string) (bits int, ok bool) {
	if n, err := strconv.Atoi(s); err == nil {
		return n, n >= 1 && n <= 32 && s == strconv.Itoa(n)
	}
	a, err := netip.ParseAddr(s)
	if err != nil || !a.Is4() {
		return 0, false
	}
	raw := a.As4()
	bits, size := net.IPMask(raw[:]).Size()
	return bits, size == 32 && bits >= 1
}

// Subnet is the management network as the spec has it; where it is silent, the
// first of the known ones that holds the management address. ok is false if
// the netmask is not known.
func (s Spec) Subnet(known []Subnet) (out Subnet, ok bool) {
	own, err := netip.ParseAddr(s.ManagementIP)
	if err != nil {
		return Subnet{}, false
	}
	for _, k := range known {
		if k.Prefix.Contains(own) {
			out, ok = k, true
			break
		}
	}
	if bits, valid := ParseMask(s.Netmask); valid {
		if p, err := own.Prefix(bits); err == nil {
			out.Prefix, ok = p, true
		}
	}
	if g, err := netip.ParseAddr(s.Gateway); err == nil {
		out.Gateway = g
	}
	if !ok {
		return Subnet{}, false
	}
	if out.Gateway.IsValid() && !out.Prefix.Contains(out.Gateway) {
		out.Gateway = netip.Addr{} // the known network's, and the spec's mask is narrower
	}
	return out, true
}

// checkNetwork tells what is wrong with netmask and gateway, by themselves and
// beside the management address.
func (s Spec) checkNetwork(prefix string) []FieldError {
	var bad []FieldError
	add := func(field string, code Code, msg string) {
		bad = append(bad, FieldError{Field: prefix + field, Code: code, Message: msg})
	}
	if s.Provider != ProviderRack {
		if s.Netmask != "" {
			add("netmask", CodeInvalid, "is for rack machines: elsewhere the subnet has it")
		}
		if s.Gateway != "" {
			add("gateway", CodeInvalid, "is for rack machines: elsewhere the subnet has it")
		}
		return bad
	}
	own, err := netip.ParseAddr(s.ManagementIP)
	hasOwn := err == nil && own.Is4()
	if err == nil && !hasOwn {
		add("management_ip", CodeInvalid, "must be IPv4 for a rack machine: the install environment configures no other")
	}
	bits, hasMask := ParseMask(s.Netmask)
	if s.Netmask != "" && !hasMask {
		add("netmask", CodeInvalid, "is neither a contiguous netmask nor a prefix length of 1 to 32")
	}
	var subnet netip.Prefix
	if hasOwn && hasMask {
		subnet = netip.PrefixFrom(own, bits).Masked()
		if what := edge(subnet, own); what != "" {
			add("management_ip", CodeInvalid, "is the "+what+" address of its subnet "+subnet.String())
		}
	}
	if s.Gateway == "" {
		return bad
	}
	gateway, err := netip.ParseAddr(s.Gateway)
	switch {
	case err != nil || !gateway.Is4():
		add("gateway", CodeInvalid, "is not an IPv4 address")
	case hasOwn && gateway == own:
		add("gateway", CodeConflict, "is the node's own address")
	case subnet.IsValid() && !subnet.Contains(gateway):
		add("gateway", CodeOutOfRange, "is not in the node's subnet "+subnet.String())
	case subnet.IsValid() && edge(subnet, gateway) != "":
		add("gateway", CodeInvalid, "is the "+edge(subnet, gateway)+" address of the subnet "+subnet.String())
	}
	return bad
}

// edge names an address that no host can have: a subnet's first (RFC 1122
// section 3.2.1.3) or last (RFC 919 section 7) one. A /31 (RFC 3021) and a /32 have
// none.
func edge(subnet netip.Prefix, a netip.Addr) string {
	if subnet.Bits() >= 31 {
		return ""
	}
	raw := subnet.Addr().As4()
	for i := range raw {
		raw[i] |= ^net.CIDRMask(subnet.Bits(), 32)[i]
	}
	switch a {
	case subnet.Addr():
		return "network"
	case netip.AddrFrom4(raw):
		return "broadcast"
	}
	return ""
}
