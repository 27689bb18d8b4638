package program

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/tools/present"
)

// pe is the smallest content that has the header of an EFI program.
func pe(machine uint16, more string) []byte {
	b := make([]byte, 0x40, 0x60)
	b[0], b[1] = 'M', 'Z'
	binary.LittleEndian.PutUint32(b[0x3c:], 0x40)
	b = append(b, "PE\x00\x00"...)
	b = binary.LittleEndian.AppendUint16(b, machine)
	return append(b, more...)
}

// house is a directory tree as Debian's package leaves it.
func house(t *testing.T) Sources {
	t.Helper()
	root := t.TempDir()
	from := Sources{Package: filepath.Join(root, "ipxe"), Dpkg: filepath.Join(root, "dpkg"), Directory: filepath.Join(root, "own")}
	write(t, filepath.Join(from.Package, "undionly.kpxe"), "bios program")
	write(t, filepath.Join(from.Package, "snponly.efi"), string(pe(0x8664, "snp")))
	write(t, filepath.Join(from.Package, "by-hand.kpxe"), "not of the package")
	write(t, filepath.Join(from.Package, "ipxe.iso"), "an image")
	write(t, filepath.Join(root, "boot", "ipxe.efi"), string(pe(0x8664, "all drivers")))
	require.NoError(t, os.Symlink(filepath.Join(root, "boot", "ipxe.efi"), filepath.Join(from.Package, "ipxe.efi")))
	require.NoError(t, os.Symlink(filepath.Join(root, "boot", "gone.efi"), filepath.Join(from.Package, "gone.efi")))
	write(t, filepath.Join(from.Dpkg, "status"), "Package: other\nStatus: install ok installed\nVersion: 9\n\n"+
		"Package: ipxe\nStatus: install ok installed\nArchitecture: all\nVersion: 1.0.0+git-1-5.1\nDescription: PXE boot firmware\n more of it\n\nPackage: last\nStatus: deinstall ok config-files\nVersion: 3\n")
	write(t, filepath.Join(from.Dpkg, "info", "ipxe.list"), strings.Join([]string{"/.", filepath.Join(from.Package, "undionly.kpxe"), filepath.Join(from.Package, "snponly.efi"), filepath.Join(from.Package, "ipxe.efi")}, "\n")+"\n")
	require.NoError(t, os.MkdirAll(from.Directory, 0o755))
	return from
}

func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
}

func names(s *Set) (out []string) {
	for _, p := range s.All() {
		out = append(out, p.Name+" "+string(p.Firmware)+" "+p.Version)
	}
	return out
}

func TestProgramsOfThePackage(t *testing.T) {
	from := house(t)
	s, err := Load(from)
	require.NoError(t, err)
	require.Equal(t, []string{
		"by-hand.kpxe bios ", "ipxe.efi efi-x86-64 1.0.0+git-1-5.1", "snponly.efi efi-x86-64 1.0.0+git-1-5.1", "undionly.kpxe bios 1.0.0+git-1-5.1",
	}, names(s))
	p, ok := s.Get("undionly.kpxe")
	require.True(t, ok)
	sum := sha256.Sum256([]byte("bios program"))
	require.Equal(t, hex.EncodeToString(sum[:]), p.SHA256)
	require.Equal(t, int64(len("bios program")), p.Size)
	require.Equal(t, "application/octet-stream", p.ContentType())
	content, err := io.ReadAll(p.Reader())
	require.NoError(t, err)
	require.Equal(t, "bios program", string(content))
	_, ok = s.Get("ipxe.iso")
	require.False(t, ok, "an ISO image is no boot program")
	notes := strings.Join(s.Notes(), "\n")
	require.Contains(t, notes, "gone.efi leads nowhere")
	require.Contains(t, notes, "no program for efi-arm64")
	require.NotContains(t, notes, "efi-x86-64")
}

// The operator's programs replace the package's, and a VERSION file names them.
func TestProgramsOfTheOperator(t *testing.T) {
	from := house(t)
	write(t, filepath.Join(from.Directory, "snponly.efi"), string(pe(0x8664, "newer")))
	write(t, filepath.Join(from.Directory, "snponly-arm64.efi"), string(pe(0xaa64, "arm")))
	write(t, filepath.Join(from.Directory, "old.efi"), string(pe(0x014c, "ia32")))
	write(t, filepath.Join(from.Directory, "README.txt"), "said of them")
	write(t, filepath.Join(from.Directory, "VERSION"), "1.21.1\nbuilt by hand\n")
	s, err := Load(from)
	require.NoError(t, err)
	require.Contains(t, names(s), "snponly.efi efi-x86-64 1.21.1")
	require.Contains(t, names(s), "snponly-arm64.efi efi-arm64 1.21.1")
	require.Contains(t, names(s), "old.efi efi-ia32 1.21.1")
	require.Contains(t, names(s), "undionly.kpxe bios 1.0.0+git-1-5.1")
	require.NotContains(t, strings.Join(s.Notes(), "\n"), "efi-arm64")
	p, _ := s.Get("snponly-arm64.efi")
	require.Equal(t, "application/efi", p.ContentType())

	for begin, want := range map[string]string{"snponly": "snponly.efi", "ipxe": "ipxe.efi", "nothing": "ipxe.efi"} {
		got, ok := s.For(EFIX64, begin)
		require.True(t, ok)
		require.Equal(t, want, got.Name)
	}
	_, ok := NewSet().For(BIOS, "undionly")
	require.False(t, ok)
}

func TestWhatCannotBeLoaded(t *testing.T) {
	for name, content := range map[string]string{
		"text.efi": "#!ipxe", "cut.efi": string(pe(0x8664, "")[:0x42]), "mips.efi": string(pe(0x0166, "")),
		"far.efi": string(append(append([]byte("MZ"), make([]byte, 0x3a)...), 0xff, 0xff, 0xff, 0xff)), "empty.kpxe": "", "bad name.kpxe": "x",
	} {
		from := house(t)
		write(t, filepath.Join(from.Directory, name), content)
		_, err := Load(from)
		require.ErrorContains(t, err, strings.TrimSuffix(name, filepath.Ext(name)), name)
	}
	from := house(t)
	require.NoError(t, os.Mkdir(filepath.Join(from.Directory, "dir.efi"), 0o755))
	_, err := Load(from)
	require.ErrorContains(t, err, "no regular file")

	from = house(t)
	require.NoError(t, os.Truncate(filepath.Join(from.Package, "undionly.kpxe"), maxSize+1))
	s, err := Load(from)
	require.NoError(t, err, "the package is not the operator's")
	require.Contains(t, strings.Join(s.Notes(), "\n"), "larger than 16 MiB")

	from = house(t)
	from.Directory = filepath.Join(from.Directory, "missing")
	_, err = Load(from)
	require.ErrorIs(t, err, os.ErrNotExist, "the operator named it: it must be there")

	s, err = Load(Sources{Package: "/nonexistent/ipxe", Dpkg: "/nonexistent"})
	require.NoError(t, err, "the package may be missing")
	require.Contains(t, strings.Join(s.Notes(), "\n"), "install Debian's package ipxe")
	require.Empty(t, s.All())
}

// A set that does not exist is an empty one: a server without programs.
func TestNoSet(t *testing.T) {
	var s *Set
	_, ok := s.Get("x")
	require.False(t, ok)
	require.Empty(t, s.All())
	require.Empty(t, s.Notes())
}

// The installed package has what the documentation says, with its version.
func TestDebiansPackage(t *testing.T) {
	if _, err := os.Stat("/usr/lib/ipxe/undionly.kpxe"); err != nil {
		present.Missing(t, "the boot programs are not installed: apt-get install ipxe")
	}
	s, err := Load(Debian())
	require.NoError(t, err)
	for name, firmware := range map[string]Firmware{"undionly.kpxe": BIOS, "snponly.efi": EFIX64, "ipxe.efi": EFIX64} {
		p, ok := s.Get(name)
		require.True(t, ok, name)
		require.Equal(t, firmware, p.Firmware, name)
		require.NotEmpty(t, p.Version, name)
		require.Len(t, p.SHA256, 64)
		require.False(t, p.Modified.After(time.Now()))
	}
}
