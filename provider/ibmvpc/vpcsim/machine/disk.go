package machine

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim"
)

// disk is one disk as the install environment's kernel shows it.
type disk struct {
	name       string // kernel name, as in /sys/block
	size       int64  // bytes
	serial     string
	wwid       string
	model      string
	vendor     string
	rotational bool
	removable  bool
	boot       bool
}

const sector = 512

// virtualMedia is the BMC's virtual drive that real servers have and that takes
// the first name: scripts that guess /dev/sda would wipe the wrong thing.
const virtualMediaSize = 64 << 20

// inventory gives the disks of a machine their kernel names and identities.
// Both follow from the server's ids, so they are the same at every boot, but
// the boot disk is not always the first: kernels name disks as they find them.
func inventory(spec vpcsim.Spec) []disk {
	out := []disk{{
		name: "sda", size: virtualMediaSize, serial: "VM" + digest(spec.ServerID)[:10], vendor: "AMI",
		model: "Virtual Media", removable: true,
	}}
	var nvme, sata []vpcsim.Disk
	for _, d := range spec.Disks {
		if d.InterfaceType == vpcsim.DiskInterfaceNVMe {
			nvme = append(nvme, d)
		} else {
			sata = append(sata, d)
		}
	}
	for i, d := range rotate(sata, spec.ServerID) {
		out = append(out, newDisk(d, "sd"+letters(i+1), "naa.5002538", "ATA", "Simulated SATA SSD"))
	}
	for i, d := range rotate(nvme, spec.ServerID) {
		out = append(out, newDisk(d, fmt.Sprintf("nvme%dn1", i), "eui.0025385", "", "Simulated NVMe SSD"))
	}
	return out
}

func newDisk(d vpcsim.Disk, name, wwidPrefix, vendor, model string) disk {
	id := digest(d.ID + "/" + d.Name)
	return disk{
		name: name, size: d.SizeGB * 1e9 / sector * sector, boot: d.Boot, vendor: vendor,
		serial: "S" + strings.ToUpper(id[:11]), wwid: wwidPrefix + id[11:20], model: model,
	}
}

// rotate moves some disks from the front to the end, how many follows from key.
func rotate(disks []vpcsim.Disk, key string) []vpcsim.Disk {
	if len(disks) == 0 {
		return nil
	}
	sum := sha256.Sum256([]byte(key))
	n := int(sum[0]) % len(disks)
	return append(append([]vpcsim.Disk{}, disks[n:]...), disks[:n]...)
}

// letters is the n-th (from 0) of a, b, …, z, aa, ab, … as in sda, sdaa.
func letters(n int) string {
	s := ""
	for n++; n > 0; n = (n - 1) / 26 {
		s = string(rune('a'+(n-1)%26)) + s
	}
	return s
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// What the firmware finds in a disk's first sector.
type bootRecord int

const (
	recordNone   bootRecord = iota // no boot signature: not bootable
	recordIPXE                     // the provider's network boot image
	recordSystem                   // anything else that boots
)

// bootSignature ends a boot sector (bytes 510 and 511).
var bootSignature = []byte{0x55, 0xaa}

// ipxeMark tells the provider's network boot image from an installed system.
var ipxeMark = []byte("iPXE network boot image")

func ipxeSector() []byte {
	b := make([]byte, sector)
	copy(b, ipxeMark)
	copy(b[sector-2:], bootSignature)
	return b
}

// makeDisks makes the disks that are not there yet as sparse files dev/<name>,
// and writes the network boot image on the boot disk when it is new or when the
// provider has rewritten it.
func makeDisks(root *os.Root, disks []disk, rewrite bool, own func(string) error) error {
	if err := root.MkdirAll("dev", 0o755); err != nil {
		return err
	}
	if err := own("dev"); err != nil {
		return err
	}
	for _, d := range disks {
		if err := makeDisk(root, d, rewrite, own); err != nil {
			return fmt.Errorf("disk %s: %w", d.name, err)
		}
	}
	return nil
}

func makeDisk(root *os.Root, d disk, rewrite bool, own func(string) error) error {
	name := "dev/" + d.name
	if d.boot && rewrite {
		if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil // keeps what was written on it
	}
	if err != nil {
		return err
	}
	err = f.Truncate(d.size)
	if d.boot && err == nil {
		_, err = f.WriteAt(ipxeSector(), 0)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return own(name)
}

// readBootRecord looks at the first sector of the boot disk. The scripts could
// write what they liked into dev, so it is opened below root and only believed
// when it is a regular file.
func readBootRecord(root *os.Root, disks []disk) bootRecord {
	for _, d := range disks {
		if !d.boot {
			continue
		}
		f, err := root.OpenFile("dev/"+d.name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			return recordNone
		}
		defer f.Close()
		first := make([]byte, sector)
		if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
			return recordNone
		}
		if _, err := io.ReadFull(f, first); err != nil || !bytes.HasSuffix(first, bootSignature) {
			return recordNone
		}
		if bytes.HasPrefix(first, ipxeMark) {
			return recordIPXE
		}
		return recordSystem
	}
	return recordNone
}
