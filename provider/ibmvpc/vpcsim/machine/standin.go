package machine

import (
	"bytes"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// File is one stand-in artifact, ready to be registered in a catalogue.
type File struct {
	Name    string // as boot scripts and configurations call it
	Version string
	Kind    string // kernel, initrd, hypervisor, cvm, installer
	Path    string // absolute
}

// The names of the stand-ins.
const (
	KernelName     = "vmlinuz"
	InitrdName     = "initrd.img"
	HypervisorName = "hypervisor.img"
	CVMName        = "cvm.img"
	InstallerName  = "installer.sh"
)

// standInVersion changes when the content of the stand-ins does.
const standInVersion = "2"

//go:embed installer.sh
var installerScript string

// StandIns writes the artifacts of an installation into dir: small real files
// with the same bytes every time, and an installer that really writes the
// images on the disks it is given, in pace.InstallSteps parts with
// pace.InstallStep between them.
func StandIns(dir string, pace Pace) ([]File, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("stand-in artifacts: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("stand-in artifacts: %w", err)
	}
	size := pace.ImageBytes
	if size <= 0 {
		size = 768 << 10
	}
	size = max(size, 16<<10)
	hypervisor := standIn("hypervisor image", size)
	copy(hypervisor[sector-2:], bootSignature) // firmware boots what ends its first sector so
	var out []File
	for _, f := range []struct {
		name, kind string
		data       []byte
	}{
		{KernelName, "kernel", standIn("Linux kernel of the install environment", size/4)},
		{InitrdName, "initrd", standIn("initial ramdisk of the install environment", size/2)},
		{HypervisorName, "hypervisor", hypervisor},
		{CVMName, "cvm", standIn("controller VM image", size*2/3)},
		{InstallerName, "installer", installer(pace)},
	} {
		path := filepath.Join(dir, f.name)
		if err := os.WriteFile(path, f.data, 0o644); err != nil {
			return nil, fmt.Errorf("stand-in artifacts: %w", err)
		}
		out = append(out, File{Name: f.name, Version: standInVersion, Kind: f.kind, Path: path})
	}
	return out, nil
}

// standIn is size bytes of numbered lines that say what the file stands for.
func standIn(what string, size int) []byte {
	var b bytes.Buffer
	b.Grow(size + 128)
	for n := 1; b.Len() < size; n++ {
		fmt.Fprintf(&b, "Slipway stand-in for a %s, version %s, line %d\n", what, standInVersion, n)
	}
	return b.Bytes()[:size]
}

func installer(pace Pace) []byte {
	pause := strconv.FormatFloat(pace.InstallStep.Round(time.Millisecond).Seconds(), 'f', -1, 64)
	return []byte(strings.NewReplacer("@STEPS@", strconv.Itoa(max(1, pace.InstallSteps)), "@PAUSE@", pause).Replace(installerScript))
}
