package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path"
	"strconv"

	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim"
)

// layout makes the tree that the install environment sees as its root
// (SLIPWAY_ROOT). The scripts of an earlier boot could write there and leave
// links behind, so every access goes through os.Root and stays below it.
type layout struct {
	root     *os.Root
	uid, gid int // owner of what the scripts may write; -1: leave it ours
	err      error
}

// own gives name to the user that the scripts run as.
func (l *layout) own(name string) error {
	if l.uid < 0 {
		return nil
	}
	return l.root.Lchown(name, l.uid, l.gid)
}

// dir makes a directory that the scripts may write.
func (l *layout) dir(name string) {
	l.parents(name)
	if l.err == nil {
		l.err = l.own(name)
	}
}

// parents makes name and the directories above it, readable whatever our umask.
func (l *layout) parents(name string) {
	if name == "." || l.err != nil {
		return
	}
	l.parents(path.Dir(name))
	if l.err != nil {
		return
	}
	if err := l.root.Mkdir(name, 0o755); err == nil {
		l.err = l.root.Chmod(name, 0o755)
	} else if !errors.Is(err, fs.ErrExist) {
		l.err = err
	}
}

// file makes a file that the scripts can read and not change: /proc and /sys
// are the kernel's.
func (l *layout) file(name, content string) {
	l.parents(path.Dir(name))
	if l.err == nil {
		l.err = errors.Join(l.root.WriteFile(name, []byte(content), 0o644), l.root.Chmod(name, 0o444))
	}
}

// runFile makes a file that the scripts' tools write on.
func (l *layout) runFile(name, content string) {
	l.file(name, content)
	if l.err == nil {
		l.err = errors.Join(l.root.Chmod(name, 0o644), l.own(name))
	}
}

// leases are the addresses that DHCP gave the install environment, one line each.
func leases(spec vpcsim.Spec) string {
	out := ""
	for i, nic := range interfaces(spec) {
		if prefix, err := netip.ParsePrefix(nic.CIDR); err == nil && nic.IP != "" {
			out += fmt.Sprintf("%s %s/%d\n", nicName(i), nic.IP, prefix.Bits())
		}
	}
	return out
}

// clear removes what was in memory at the last boot: everything but the disks
// and what is on them, which is dev and target.
func (l *layout) clear(keepTarget bool) {
	entries, err := fs.ReadDir(l.root.FS(), ".")
	if err != nil {
		l.err = err
		return
	}
	for _, e := range entries {
		if e.Name() == "dev" || keepTarget && e.Name() == "target" {
			continue
		}
		if l.err == nil {
			l.err = l.root.RemoveAll(e.Name())
		}
	}
}

// build makes the tree for one boot of the install environment.
func (l *layout) build(spec vpcsim.Spec, disks []disk, cmdline, bootID string) error {
	l.clear(false)
	for _, d := range []string{"etc", "root", "run", "tmp", "var", "var/log", "var/lib", "mnt"} {
		l.dir(d)
	}
	// The mark by which the scripts know that they may configure this machine.
	l.file("etc/slipway-installer", "simulated install environment\n")
	l.file("proc/cmdline", cmdline+"\n")
	l.file("proc/sys/kernel/random/boot_id", bootID+"\n")
	for _, d := range disks {
		l.sysBlock(d)
	}
	for i, nic := range interfaces(spec) {
		base := "sys/class/net/" + nicName(i) + "/"
		l.file(base+"address", nic.MAC+"\n")
		l.file(base+"operstate", "up\n")
		l.file(base+"carrier", "1\n")
		l.file(base+"type", "1\n") // ARPHRD_ETHER, linux/if_arp.h
		l.file(base+"mtu", "1500\n")
		l.file(base+"device/vendor", "0x1dd8\n") // Pensando, as IBM's bare metal has
	}
	l.runFile("run/addresses", leases(spec))
	l.runFile("run/links", "")
	l.file("sys/class/net/lo/address", "00:00:00:00:00:00\n")
	l.file("sys/class/net/lo/type", "772\n") // ARPHRD_LOOPBACK
	l.file("sys/class/net/lo/operstate", "unknown\n")
	return l.err
}

// nicName is the kernel name of interface n.
func nicName(n int) string { return fmt.Sprintf("ens%df0", n+1) }

// sysBlock describes a disk as /sys/block does (Linux,
// Documentation/ABI/stable/sysfs-block): size in 512-byte sectors.
func (l *layout) sysBlock(d disk) {
	base := "sys/block/" + d.name + "/"
	l.file(base+"size", strconv.FormatInt(d.size/sector, 10)+"\n")
	l.file(base+"removable", flag(d.removable))
	l.file(base+"ro", "0\n")
	l.file(base+"queue/rotational", flag(d.rotational))
	l.file(base+"queue/logical_block_size", "512\n")
	l.file(base+"device/serial", d.serial+"\n")
	l.file(base+"device/model", fmt.Sprintf("%-40s\n", d.model)) // padded, as controllers do
	if d.vendor != "" {
		l.file(base+"device/vendor", fmt.Sprintf("%-8s\n", d.vendor))
	}
	if d.wwid != "" {
		l.file(base+"wwid", d.wwid+"\n") // where NVMe has it
		l.file(base+"device/wwid", d.wwid+"\n")
	}
}

func flag(b bool) string {
	if b {
		return "1\n"
	}
	return "0\n"
}
