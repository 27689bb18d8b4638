package program

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Firmware is what can run a program.
type Firmware string

// The firmwares that Slipway tells apart.
const (
	BIOS     Firmware = "bios"       // PC BIOS with a PXE ROM
	EFIX64   Firmware = "efi-x86-64" // UEFI on x86-64
	EFIIA32  Firmware = "efi-ia32"   // UEFI on 32-bit x86
	EFIARM64 Firmware = "efi-arm64"  // UEFI on 64-bit ARM
)

// Program is a boot program in memory. It is never changed after it was loaded.
type Program struct {
	Name     string   // in TFTP requests and URLs
	Firmware Firmware // what can run it
	Version  string   // of the Debian package or the directory's VERSION file; "" = not known
	SHA256   string   // hex
	Size     int64    // bytes
	Path     string   // where it was read from
	Modified time.Time
	content  []byte
}

// Reader reads the program from its first byte on.
func (p Program) Reader() *bytes.Reader { return bytes.NewReader(p.content) }

// New makes a program from its content. The firmware is read from the content:
// of EFI programs from the PE header, whatever they are called.
func New(name, version string, modified time.Time, content []byte) (Program, error) {
	if !ValidName(name) {
		return Program{}, fmt.Errorf("%q cannot be the name of a boot program: letters, digits, dot, dash and underscore, at most 64", name)
	}
	firmware, err := firmwareOf(name, content)
	if err != nil {
		return Program{}, fmt.Errorf("%s: %w", name, err)
	}
	sum := sha256.Sum256(content)
	return Program{
		Name: name, Firmware: firmware, Version: version, SHA256: hex.EncodeToString(sum[:]),
		Size: int64(len(content)), Modified: modified, content: content,
	}, nil
}

var validName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// ValidName reports whether a program may have this name.
func ValidName(name string) bool { return validName.MatchString(name) }

// ContentType is the media type of a program in HTTP answers: application/efi
// for EFI programs (registered with IANA by the UEFI Forum), which is one of the
// two ways for HTTP boot firmware to know what it gets.
func (p Program) ContentType() string {
	if p.Firmware == BIOS {
		return "application/octet-stream"
	}
	return "application/efi"
}

// The machine types of PE/COFF headers (Microsoft PE format, "Machine Types").
const (
	peIA32  = 0x014c
	peX64   = 0x8664
	peARM64 = 0xaa64
)

// firmwareOf finds out what can run a program: the suffix tells BIOS programs
// (they have no header of their own) from EFI ones, the PE header the rest.
func firmwareOf(name string, content []byte) (Firmware, error) {
	if path.Ext(name) != ".efi" {
		if len(content) == 0 {
			return "", fmt.Errorf("is empty")
		}
		return BIOS, nil
	}
	const offsetField = 0x3c // e_lfanew: where the PE header is
	if len(content) < offsetField+4 || content[0] != 'M' || content[1] != 'Z' {
		return "", fmt.Errorf("is no EFI program: the PE header is missing")
	}
	at := uint64(binary.LittleEndian.Uint32(content[offsetField:]))
	if at+6 > uint64(len(content)) || string(content[at:at+4]) != "PE\x00\x00" {
		return "", fmt.Errorf("is no EFI program: the PE header is missing")
	}
	switch machine := binary.LittleEndian.Uint16(content[at+4:]); machine {
	case peIA32:
		return EFIIA32, nil
	case peX64:
		return EFIX64, nil
	case peARM64:
		return EFIARM64, nil
	default:
		return "", fmt.Errorf("is an EFI program for a machine that is not known (PE type %#04x)", machine)
	}
}

// Set is all boot programs that there are, by name. It is never changed after
// it was made and may be used by any number of goroutines.
type Set struct {
	programs map[string]Program
	notes    []string
}

// NewSet makes a set; of two programs with one name the later one counts.
func NewSet(programs ...Program) *Set {
	s := &Set{programs: map[string]Program{}}
	for _, p := range programs {
		s.programs[p.Name] = p
	}
	return s
}

// Get gives the program of this name.
func (s *Set) Get(name string) (Program, bool) {
	if s == nil {
		return Program{}, false
	}
	p, ok := s.programs[name]
	return p, ok
}

// All lists the programs by name.
func (s *Set) All() []Program {
	if s == nil {
		return nil
	}
	return slices.SortedFunc(maps.Values(s.programs), func(a, b Program) int { return cmp.Compare(a.Name, b.Name) })
}

// For gives the program that a firmware should load: the first that runs there
// and whose name begins with the first of the given words, then the second, then
// any that runs there.
func (s *Set) For(firmware Firmware, begin ...string) (Program, bool) {
	all := s.All()
	for _, word := range append(slices.Clone(begin), "") {
		for _, p := range all {
			if p.Firmware == firmware && strings.HasPrefix(p.Name, word) {
				return p, true
			}
		}
	}
	return Program{}, false
}

// Notes says in words what is not there and what follows from it: directories
// and links that lead nowhere, firmwares without a program.
func (s *Set) Notes() []string {
	if s == nil {
		return nil
	}
	notes := slices.Clone(s.notes)
	for _, f := range []struct {
		firmware Firmware
		what     string
	}{
		{BIOS, "BIOS machines cannot boot: Debian's package ipxe has undionly.kpxe"},
		{EFIX64, "x86-64 UEFI machines cannot boot: Debian's package ipxe has snponly.efi and ipxe.efi"},
		{EFIARM64, "64-bit ARM UEFI machines cannot boot: put an iPXE that was built for arm64 into the directory of boot programs, named snponly-arm64.efi or ipxe-arm64.efi (the package ipxe of Debian 12 has none)"},
	} {
		if _, ok := s.For(f.firmware); !ok {
			notes = append(notes, fmt.Sprintf("no program for %s: %s", f.firmware, f.what))
		}
	}
	return notes
}
