package qemu

import (
	"context"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim/machine"
)

// The layout of the system's disk image, in bytes.
const (
	bootAt   = 1 << 20  // first partition: FAT with bootloader, kernel and ramdisks
	rootSize = 16 << 20 // second partition: ext4, what the installation changes
)

// What UEFI firmware starts from a disk, and what that loads.
const (
	efiLoader = "/usr/lib/SYSLINUX.EFI/efi64/syslinux.efi"
	efiModule = "/usr/lib/syslinux/modules/efi64/ldlinux.e64"
)

// masterBootRecord is syslinux's: it starts the active partition.
const masterBootRecord = "/usr/lib/syslinux/mbr/mbr.bin"

//go:embed init.sh
var systemInit string

// StandIns writes the artifacts of an installation into dir, for virtual
// machines: kernel and initial ramdisk of the install environment (vmlinuz and
// initrd.img of the directory environment, as `make installer` leaves them), the
// controller VM's image and the installer of package machine, and as the
// hypervisor's image a disk with a boot loader and a small Linux that runs an SSH
// server on port.
func StandIns(ctx context.Context, dir, environment string, pace machine.Pace, port int) ([]machine.File, error) {
	files, err := machine.StandIns(dir, pace)
	if err != nil {
		return nil, err
	}
	for i := range files {
		f := &files[i]
		switch f.Name {
		case machine.KernelName, machine.InitrdName:
			from, err := filepath.Abs(filepath.Join(environment, f.Name))
			if err == nil {
				_, err = os.Stat(from)
			}
			if err != nil {
				return nil, fmt.Errorf("the install environment is not there: make installer: %w", err)
			}
			f.Path, f.Version = from, version(environment)
		case machine.HypervisorName:
			if err := diskImage(ctx, f.Path, environment, port); err != nil {
				return nil, fmt.Errorf("disk image of virtual machines: %w", err)
			}
			f.Version = version(environment)
		}
	}
	return files, nil
}

// version is the install environment's.
func version(environment string) string {
	text, err := os.ReadFile(filepath.Join(environment, "manifest"))
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimPrefix(line, "version ")
}

const bootMenu = "DEFAULT system\nPROMPT 0\nSERIAL 0 115200\nLABEL system\n LINUX /vmlinuz\n INITRD /initrd.img,/system.img\n APPEND console=ttyS0\n"

// diskImage makes an image of a disk that boots by BIOS and UEFI: partition table, FAT with
// syslinux, kernel and ramdisks, and an ext4 file system labelled slipway-system.
func diskImage(ctx context.Context, image, environment string, port int) error {
	work, err := os.MkdirTemp(filepath.Dir(image), "system-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	overlay := archive("init", []byte(strings.ReplaceAll(systemInit, "@PORT@", strconv.Itoa(port))), 0o100755)
	root := filepath.Join(work, "root")
	err = errors.Join(
		os.WriteFile(filepath.Join(work, "system.img"), overlay, 0o600),
		os.WriteFile(filepath.Join(work, "syslinux.cfg"), []byte(bootMenu), 0o600),
		os.MkdirAll(filepath.Join(root, "etc", "ssh"), 0o755), os.Mkdir(filepath.Join(root, "root"), 0o700),
		os.WriteFile(filepath.Join(root, "etc", "passwd"), []byte("root:x:0:0:root:/root:/bin/sh\n"), 0o600),
	)
	if err != nil {
		return err
	}
	boot := []string{filepath.Join(environment, machine.KernelName), filepath.Join(environment, machine.InitrdName), filepath.Join(work, "system.img"), filepath.Join(work, "syslinux.cfg")}
	size := int64(4 << 20)
	for _, f := range boot {
		info, err := os.Stat(f)
		if err != nil {
			return err
		}
		size += info.Size()
	}
	size = (size + 1<<20 - 1) &^ (1<<20 - 1)
	if err := partition(image, size); err != nil {
		return err
	}
	at := image + "@@" + strconv.Itoa(bootAt)
	rootAt := bootAt + size
	for _, args := range [][]string{
		{"mformat", "-i", at, "-T", strconv.FormatInt(size/512, 10), "-h", "255", "-s", "63", "-H", strconv.Itoa(bootAt / 512), "-v", "SLIPWAY", "::"},
		append(append([]string{"mcopy", "-i", at, "-Q"}, boot...), "::"),
		{"mmd", "-i", at, "::/EFI", "::/EFI/BOOT"},
		{"mcopy", "-i", at, "-Q", efiLoader, "::/EFI/BOOT/BOOTX64.EFI"},
		{"mcopy", "-i", at, "-Q", efiModule, filepath.Join(work, "syslinux.cfg"), "::/EFI/BOOT/"},
		{"syslinux", "--offset", strconv.Itoa(bootAt), "--install", image},
		{"mke2fs", "-q", "-F", "-t", "ext4", "-L", "slipway-system", "-E", fmt.Sprintf("root_owner=0:0,offset=%d", rootAt), "-d", root, image, strconv.Itoa(rootSize/1024) + "k"},
	} {
		if err := run(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

// run runs a program; Debian keeps some where not everybody looks.
func run(ctx context.Context, args ...string) error {
	program, err := exec.LookPath(args[0])
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/" + args[0]); err != nil {
			return fmt.Errorf("%s is missing (Debian: syslinux, syslinux-common, syslinux-efi, mtools, e2fsprogs)", args[0])
		}
	}
	out, err := exec.CommandContext(ctx, program, args[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// partition makes the file with boot record and partition table.
func partition(image string, size int64) error {
	record := make([]byte, 512)
	code, err := os.ReadFile(masterBootRecord)
	if err != nil {
		return fmt.Errorf("boot record (Debian: syslinux-common): %w", err)
	}
	copy(record[:440], code)
	entry := func(i int, active, kind byte, at, size int64) {
		e := record[446+16*i:]
		e[0], e[4] = active, kind
		copy(e[1:4], "\xfe\xff\xff") // too far for cylinders: the boot record counts sectors
		copy(e[5:8], "\xfe\xff\xff")
		binary.LittleEndian.PutUint32(e[8:], uint32(at/512))    //nolint:gosec // sectors of an image of some hundred megabytes
		binary.LittleEndian.PutUint32(e[12:], uint32(size/512)) //nolint:gosec // the same
	}
	entry(0, 0x80, 0x0c, bootAt, size)
	entry(1, 0, 0x83, bootAt+size, rootSize)
	copy(record[510:], "\x55\xaa")
	if err := os.WriteFile(image, record, 0o600); err != nil {
		return err
	}
	return os.Truncate(image, bootAt+size+rootSize)
}

// archive is a cpio archive (newc, as the kernel unpacks: its
// Documentation/driver-api/early-userspace/buffer-format.rst) of one file.
func archive(name string, data []byte, mode int) []byte {
	var out []byte
	add := func(name string, data []byte, mode int) {
		out = fmt.Appendf(out, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X", 1, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0)
		out = pad(append(out, name+"\x00"...))
		out = pad(append(out, data...))
	}
	add(name, data, mode)
	add("TRAILER!!!", nil, 0)
	for len(out)%512 != 0 {
		out = append(out, 0)
	}
	return out
}

func pad(b []byte) []byte {
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}
