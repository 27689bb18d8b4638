package qemu

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim"
)

// maxConsole is how much of a console is kept.
const maxConsole = 256 << 10

// maxSATA is how many disks fit on the chipset's controller.
const maxSATA = 6

// vm is one virtual server.
type vm struct {
	id   string
	dir  string
	rack *Rack
	log  *slog.Logger
	ip   string // guarded by rack.mu

	mu      sync.Mutex // guards what follows
	text    []byte     // the console's end
	process *os.Process
	ended   chan struct{} // closed when the process is gone
	ssh     string        // where SSH is forwarded from
}

// Write takes what the machine prints.
func (m *vm) Write(p []byte) (int, error) {
	m.mu.Lock()
	m.text = append(m.text, p...)
	if len(m.text) > 2*maxConsole {
		m.text = append(m.text[:0], m.text[len(m.text)-maxConsole:]...)
	}
	m.mu.Unlock()
	if m.rack.opts.OnConsole != nil {
		m.rack.opts.OnConsole(m.id, p)
	}
	return len(p), nil
}

func (m *vm) console() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return strings.ToValidUTF8(string(m.text), "\uFFFD")
}

func (m *vm) running() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.process != nil
}

func (m *vm) forward() (string, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ssh, m.process != nil
}

// on starts QEMU.
func (m *vm) on(spec vpcsim.Spec) error {
	if err := os.MkdirAll(m.dir, 0o700); err != nil {
		return err
	}
	disks, err := m.disks(spec)
	if err != nil {
		return err
	}
	network, forward, err := m.network(spec)
	if err != nil {
		return err
	}
	m.rack.mu.Lock()
	m.ip = spec.IP
	m.rack.mu.Unlock()
	args := []string{
		"-name", spec.Name, "-accel", "tcg", "-machine", "q35,graphics=off", "-cpu", "qemu64", "-m", strconv.Itoa(m.rack.opts.MemoryMB),
		"-nodefaults", "-no-user-config", "-display", "none", "-vga", "none", "-monitor", "none", "-serial", "stdio",
		"-rtc", "base=utc", "-device", "virtio-rng-pci",
	}
	args = append(append(append(args, network...), disks...), m.rack.opts.Arguments...)
	cmd := exec.Command(m.rack.program, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = m.dir, m, m
	fmt.Fprintf(m, "\n*** Power on: %s (%s), QEMU\n", spec.Name, spec.Profile)
	wait, err := start(cmd)
	if err != nil {
		return err
	}
	ended := make(chan struct{})
	m.mu.Lock()
	m.process, m.ended, m.ssh = cmd.Process, ended, forward
	m.mu.Unlock()
	m.log.Info("virtual machine is on", "pid", cmd.Process.Pid, "ssh", forward)
	go func() {
		err := wait()
		m.mu.Lock()
		m.process = nil
		m.mu.Unlock()
		m.log.Info("virtual machine is off", "ended", fmt.Sprint(err))
		close(ended)
	}()
	return nil
}

// off takes the power away.
func (m *vm) off() {
	m.mu.Lock()
	process, ended := m.process, m.ended
	m.mu.Unlock()
	if process == nil {
		return
	}
	if err := process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		m.log.Error("virtual machine cannot be killed", "pid", process.Pid, "error", err)
	}
	<-ended
	fmt.Fprint(m, "\n*** Power off\n")
}

// network is the machine's user network: its own address by DHCP, our host at
// the gateway's, and the boot script's URL as the boot file.
func (m *vm) network(spec vpcsim.Spec) (args []string, forward string, err error) {
	if len(spec.Interfaces) == 0 {
		return nil, "", errors.New("it has no network interface")
	}
	link := spec.Interfaces[0]
	script := strings.TrimSpace(spec.UserData)
	boot := ",bootfile=" + option(script)
	if strings.HasPrefix(script, "#!ipxe") {
		folder := filepath.Join(m.dir, "tftp")
		err := errors.Join(os.MkdirAll(folder, 0o700), os.WriteFile(filepath.Join(folder, "script.ipxe"), []byte(spec.UserData), 0o600))
		if err != nil {
			return nil, "", err
		}
		boot = ",tftp=" + option(folder) + ",bootfile=/script.ipxe"
	}
	if forward, err = freeAddress(); err != nil {
		return nil, "", err
	}
	gateway, err := netip.ParseAddr(link.Gateway)
	if err != nil {
		return nil, "", fmt.Errorf("gateway: %w", err)
	}
	return []string{
		"-netdev", fmt.Sprintf("user,id=n0,ipv6=off,net=%s,host=%s,dns=%s,dhcpstart=%s,hostname=%s,hostfwd=tcp:%s-:%d%s",
			link.CIDR, gateway, gateway.Next(), link.IP, option(spec.Name), forward, m.rack.opts.SSHPort, boot),
		"-device", "virtio-net-pci,netdev=n0,bootindex=1,mac=" + link.MAC,
	}, forward, nil
}

// freeAddress is a loopback address that nobody listens on. Another process may
// take it before QEMU does; then the machine does not start and says so.
func freeAddress() (string, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// option is a value in one of QEMU's lists of options.
func option(s string) string { return strings.ReplaceAll(s, ",", ",,") }

// disks makes the disks that are not there, and the arguments for all.
func (m *vm) disks(spec vpcsim.Spec) (args []string, err error) {
	sata := 0
	for i, d := range spec.Disks {
		file := filepath.Join(m.dir, fmt.Sprintf("disk%d", i))
		if d.Boot && spec.Reinitialized {
			if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
		}
		if err := makeDisk(file, d.SizeGB*1e9); err != nil {
			return nil, fmt.Errorf("disk %s: %w", d.Name, err)
		}
		serial := Serial(d)
		args = append(args, "-drive", fmt.Sprintf("if=none,id=d%d,format=raw,cache=unsafe,discard=unmap,file=%s", i, option(file)))
		device := fmt.Sprintf("nvme,drive=d%d,serial=%s", i, serial)
		if d.InterfaceType != vpcsim.DiskInterfaceNVMe {
			if sata == maxSATA {
				return nil, fmt.Errorf("more than %d SATA disks", maxSATA)
			}
			device = fmt.Sprintf("ide-hd,bus=ide.%d,drive=d%d,serial=%s", sata, i, serial)
			sata++
		}
		if d.Boot {
			device += ",bootindex=0"
		}
		args = append(args, "-device", device)
	}
	return args, nil
}

func makeDisk(file string, size int64) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil // keeps what was written on it
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(size/512*512), f.Close())
}

// Serial is a disk's serial number, the same at every boot.
func Serial(d vpcsim.Disk) string {
	sum := sha256.Sum256([]byte(d.ID + "/" + d.Name))
	return "S" + strings.ToUpper(hex.EncodeToString(sum[:]))[:11]
}
