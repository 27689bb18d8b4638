package netboot_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim/qemu"
	"github.com/slipwayhq/slipway/tools/present"
)

// box is a virtual machine with two empty disks. Its firmware tries the network
// first at every start, as machines in racks are often set.
type box struct {
	number   int // 1 to 9
	firmware func(t *testing.T, m *box) []string

	dir     string
	started time.Time
	console *output
	off     func()
}

func (m *box) name() string     { return fmt.Sprintf("rack-%d", m.number) }
func (m *box) tap() string      { return fmt.Sprintf("tap%d", m.number) }
func (m *box) mac() string      { return fmt.Sprintf("52:54:00:77:00:5%d", m.number) }
func (m *box) address() string  { return fmt.Sprintf("10.77.0.5%d", m.number) }
func (m *box) bootDisk() string { return fmt.Sprintf("SBOOT%02d", m.number) }
func (m *box) dataDisk() string { return fmt.Sprintf("SDATA%02d", m.number) }

// on switches a machine on; off takes its power away. The disks stay.
func (m *box) on(t *testing.T) {
	t.Helper()
	if m.dir == "" {
		m.dir = t.TempDir()
		for _, serial := range []string{m.bootDisk(), m.dataDisk()} {
			file := filepath.Join(m.dir, serial)
			require.NoError(t, os.WriteFile(file, nil, 0o600))
			require.NoError(t, os.Truncate(file, 4<<30))
		}
	}
	m.console = shown(t, "the console of "+m.name())
	args := []string{
		"-accel", "tcg", "-machine", "q35,graphics=off", "-cpu", "qemu64", "-m", "1024", "-nodefaults", "-no-user-config", "-display", "none", "-vga", "none",
		"-monitor", "none", "-serial", "stdio", "-device", "virtio-rng-pci", "-netdev", "tap,id=n0,ifname=" + m.tap() + ",script=no,downscript=no",
	}
	for i, serial := range []string{m.bootDisk(), m.dataDisk()} {
		args = append(args, "-drive", fmt.Sprintf("if=none,id=d%d,format=raw,cache=unsafe,file=%s", i, filepath.Join(m.dir, serial)),
			"-device", fmt.Sprintf("nvme,drive=d%d,serial=%s,bootindex=%d", i, serial, i+1))
	}
	m.started = time.Now()
	m.off = start(t, m.console, qemu.Program, append(args, m.firmware(t, m)...)...)
}

// says checks the console.
func (m *box) says(t *testing.T, words ...string) {
	t.Helper()
	for _, w := range words {
		require.Contains(t, m.console.String(), w, "the console of %s", m.name())
	}
}

// times lists when some words came on the console first.
func (m *box) times() string {
	var b strings.Builder
	b.WriteString(m.name())
	for _, words := range []string{
		"iPXE 1.", "Slipway: node", "loading the install environment", "slipway-installer: ", "slipway-installer: eth0 has", "foundation_start", "image_download",
		"installation", "post_install", "installed; restarting", "booting from the disk",
		"PXE over IPv6", "HTTP Boot over IPv4", "HTTP Boot over IPv6", "SYSLINUX", "system: ",
	} {
		if at, ok := m.console.when(words); ok {
			fmt.Fprintf(&b, "  %.0f s %s", at.Sub(m.started).Seconds(), strings.TrimSpace(words))
		}
	}
	return b.String()
}

// withoutPXE leaves UEFI firmware HTTP boot alone.
var withoutPXE = []string{
	"-fw_cfg", "name=opt/org.tianocore/IPv4PXESupport,string=n", "-fw_cfg", "name=opt/org.tianocore/IPv6PXESupport,string=n",
}

// uefi is EDK2's firmware. Its own PXE or HTTP client loads the boot program.
func uefi(more ...string) func(*testing.T, *box) []string {
	return func(t *testing.T, m *box) []string {
		t.Helper()
		const code, variables = "/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"
		own := filepath.Join(m.dir, "variables.fd")
		if _, err := os.Stat(own); err != nil {
			store, err := os.ReadFile(variables)
			if err != nil {
				present.Missing(t, "there is no UEFI firmware: apt-get install ovmf")
			}
			require.NoError(t, os.WriteFile(own, store, 0o600))
		}
		return append([]string{
			"-drive", "if=pflash,format=raw,unit=0,readonly=on,file=" + code, "-drive", "if=pflash,format=raw,unit=1,file=" + own,
			// Without the option ROM, which is iPXE, the firmware's own client boots.
			"-device", "virtio-net-pci,netdev=n0,romfile=,bootindex=0,mac=" + m.mac(),
		}, more...)
	}
}

// bios is SeaBIOS with a PXE client that does not say it is iPXE. Every network
// ROM of QEMU is iPXE, so the client is iPXE too, told by a script to call itself
// something else.
func bios(t *testing.T, m *box) []string {
	t.Helper()
	const rom = "/usr/lib/ipxe/ipxe.lkrn"
	if _, err := os.Stat(rom); err != nil {
		present.Missing(t, rom+" is missing: apt-get install ipxe")
	}
	script := filepath.Join(m.dir, "vendor.ipxe")
	require.NoError(t, os.WriteFile(script, []byte("#!ipxe\nset user-class vendor\nautoboot\n"), 0o600))
	return []string{"-kernel", rom, "-initrd", script, "-device", "virtio-net-pci,netdev=n0,romfile=,mac=" + m.mac()}
}
