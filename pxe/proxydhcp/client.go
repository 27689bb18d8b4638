package proxydhcp

import (
	"encoding/binary"
	"slices"
	"strconv"
	"strings"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"

	"github.com/slipwayhq/slipway/pxe/program"
)

// Loader is how a client fetches what it boots.
type Loader string

// The loaders that are told apart.
const (
	PXE  Loader = "pxe"  // firmware that loads a program over TFTP
	HTTP Loader = "http" // UEFI HTTP boot
	IPXE Loader = "ipxe" // iPXE, which runs a script
)

// The vendor classes (option 60) of firmware that boots from the network.
const (
	classPXE  = "PXEClient"  // PXE 2.1 section 2.1.1
	classHTTP = "HTTPClient" // UEFI 2.10 section 24.7.3
)

// client is what a packet says about its sender.
type client struct {
	loader   Loader
	class    string // to be repeated in the answer
	firmware program.Firmware
	arch     iana.Arch
}

// classify finds out what a client is. The reason is empty if it boots from the
// network and is of a kind that is known.
func classify(m *dhcpv4.DHCPv4) (c client, reason string) {
	class := m.ClassIdentifier()
	switch {
	case isClass(class, classPXE):
		c.loader, c.class = PXE, classPXE
	case isClass(class, classHTTP):
		c.loader, c.class = HTTP, classHTTP
	default:
		return c, "it does not boot from the network" // an operating system, a telephone
	}
	// The user class decides before the architecture: iPXE keeps the class and
	// the architecture of the firmware that it was loaded by.
	if isIPXE(m) {
		c.loader = IPXE
		return c, ""
	}
	archs := architectures(m, class)
	if len(archs) == 0 {
		return c, "it does not say what its architecture is"
	}
	for _, a := range archs { // RFC 4578 section 2.1: a client may list several
		if f, loader, ok := firmwareOf(a); ok && loader == c.loader {
			c.firmware, c.arch = f, a
			return c, ""
		}
	}
	c.arch = archs[0]
	return c, "there is no boot program for " + archs[0].String()
}

// isClass reports whether an option 60 is of a class: PXE 2.1 section 2.1.1 has
// "PXEClient:Arch:xxxxx:UNDI:yyyzzz", and some clients the bare word.
func isClass(class, word string) bool {
	rest, ok := strings.CutPrefix(class, word)
	return ok && (rest == "" || rest[0] == ':')
}

// isIPXE reads the user class (option 77). iPXE sends the bare word; RFC 3004
// section 4 has a length before each class.
func isIPXE(m *dhcpv4.DHCPv4) bool {
	const name = "iPXE"
	return string(m.Options.Get(dhcpv4.OptionUserClassInformation)) == name || slices.Contains(m.UserClass(), name)
}

// architectures gives what a client can run, best first: option 93 (RFC 4578
// section 2.1: an even number of octets, at least two), else what option 60 says
// of it.
func architectures(m *dhcpv4.DHCPv4, class string) []iana.Arch {
	if v := m.Options.Get(dhcpv4.OptionClientSystemArchitectureType); m.Options.Has(dhcpv4.OptionClientSystemArchitectureType) {
		if len(v) == 0 || len(v)%2 != 0 {
			return nil // RFC 4578 section 2.1 makes this an invalid option
		}
		out := make([]iana.Arch, 0, len(v)/2)
		for ; len(v) > 0; v = v[2:] {
			out = append(out, iana.Arch(binary.BigEndian.Uint16(v)))
		}
		return out
	}
	fields := strings.Split(class, ":")
	if len(fields) < 3 || fields[1] != "Arch" {
		return nil
	}
	n, err := strconv.ParseUint(fields[2], 10, 16)
	if err != nil {
		return nil
	}
	return []iana.Arch{iana.Arch(n)}
}

// firmwareOf tells which programs a client of an architecture can run. The
// numbers are IANA's ("Processor Architecture Types", from RFC 4578 section 2.1
// and RFC 5970 section 6). RFC 4578 has 7 for EFI byte code and 9 for x86-64,
// IANA has them the other way round since an erratum: both are x86-64 machines.
func firmwareOf(a iana.Arch) (program.Firmware, Loader, bool) {
	switch a {
	case iana.INTEL_X86PC: // 0
		return program.BIOS, PXE, true
	case iana.EFI_IA32: // 6
		return program.EFIIA32, PXE, true
	case iana.EFI_X86_64, iana.EFI_BC: // 7, 9
		return program.EFIX64, PXE, true
	case iana.EFI_ARM64: // 11
		return program.EFIARM64, PXE, true
	case iana.EFI_X86_HTTP: // 15
		return program.EFIIA32, HTTP, true
	case iana.EFI_X86_64_HTTP: // 16
		return program.EFIX64, HTTP, true
	case iana.EFI_ARM64_HTTP: // 19
		return program.EFIARM64, HTTP, true
	default:
		return "", "", false
	}
}
