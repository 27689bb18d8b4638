package netboot_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/client"
	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim/machine"
	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim/qemu"
	"github.com/slipwayhq/slipway/pxe/netnstest"
	"github.com/slipwayhq/slipway/tools/present"
)

// What the machines' network looks like.
const (
	ourAddress     = "10.77.0.1"
	theirAddress   = "10.77.0.2" // of the DHCP server
	machineAddress = "10.77.0.50"
	machineMAC     = "52:54:00:77:00:50"
	sshPort        = 2222
	limit          = 4 * time.Minute
)

// environment variables that the process in the namespace is told things by.
const (
	programEnv = "SLIPWAY_BINARY"
	installEnv = "SLIPWAY_TEST_ENVIRONMENT"
	insideEnv  = "SLIPWAY_TEST_NETNS" // netnstest's
)

// output is what a process has said so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// shown gives what a failed test needs to be understood.
func shown(t *testing.T, what string) *output {
	t.Helper()
	o := &output{}
	t.Cleanup(func() {
		if text := o.String(); t.Failed() {
			t.Logf("the last of %s:\n%s", what, text[max(0, len(text)-9000):])
		}
	})
	return o
}

// inside prepares, in the first process, what takes long or needs the network,
// and reports true in the one that has a network namespace of its own.
func inside(t *testing.T) bool {
	t.Helper()
	if testing.Short() {
		t.Skip("a virtual machine takes a minute or two")
	}
	for name, debian := range map[string]string{
		qemu.Program: "qemu-system-x86", "dnsmasq": "dnsmasq-base", "syslinux": "syslinux", "mcopy": "mtools", "mke2fs": "e2fsprogs", "ip": "iproute2", "cpio": "cpio",
	} {
		present.Command(t, name, debian)
	}
	if os.Getenv(installEnv) == "" {
		if os.Geteuid() != 0 {
			present.Missing(t, "a network namespace needs root")
		}
		environment, err := filepath.Abs("../../.cache/installer")
		require.NoError(t, err)
		if out, err := exec.CommandContext(t.Context(), "../../installer/build.sh", environment).CombinedOutput(); err != nil {
			present.Missing(t, fmt.Sprintf("the install environment cannot be built: %v\n%s", err, out))
		}
		t.Setenv(installEnv, environment)
		program := os.Getenv(programEnv)
		if program == "" {
			program = filepath.Join(t.TempDir(), "slipway")
			out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../../cmd/slipway").CombinedOutput()
			require.NoError(t, err, "%s", out)
		}
		t.Setenv(programEnv, program)
	}
	if os.Getenv(insideEnv) != "" {
		return netnstest.Inside(t)
	}
	// As netnstest.Inside, with the time that a virtual machine takes.
	cmd := netnstest.Again(t, t.Name(), insideEnv+"=1")
	cmd.Args = append(cmd.Args, "-test.timeout=6m")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	t.Log(out.String())
	require.NoError(t, err, "in its network namespace")
	require.Contains(t, out.String(), "--- PASS: "+t.Name(), "the test did not run in its network namespace")
	return false
}

// network makes the machines' network: a bridge with our address, a tap for the
// machine, and a cable to a namespace with a DHCP server and router
// advertisements, without which iPXE waits for them at every stage.
func network(t *testing.T) {
	t.Helper()
	run := func(args ...string) { netnstest.Run(t, "ip", args...) }
	run("link", "add", "br0", "type", "bridge")
	run("addr", "add", ourAddress+"/24", "dev", "br0")
	run("link", "set", "br0", "up")
	run("tuntap", "add", "tap0", "mode", "tap")
	run("link", "set", "tap0", "master", "br0", "up")
	run("link", "add", "d0", "type", "veth", "peer", "name", "d1")
	run("link", "set", "d0", "master", "br0", "up")
	server := strings.Join([]string{
		present.Command(t, "dnsmasq", "dnsmasq-base"), "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--interface=d1", "--bind-interfaces",
		"--dhcp-range=10.77.0.100,10.77.0.200,255.255.255.0,1h", "--dhcp-host=" + machineMAC + "," + machineAddress, "--dhcp-option=3," + theirAddress, "--dhcp-authoritative",
		"--enable-ra", "--dhcp-range=fd77::,ra-only,64,1h", "--ra-param=d1,high,3,1800",
		"--dhcp-leasefile=" + filepath.Join(t.TempDir(), "leases"), "--pid-file=", "--user=root", "--log-facility=-", "--log-dhcp", "--no-ping",
	}, " ")
	cmd := netnstest.Command(t, "sh", "-ec", "read cable; ip addr add "+theirAddress+"/24 dev d1; ip addr add fd77::1/64 dev d1 nodad; ip link set d1 up; exec "+server)
	log := shown(t, "dnsmasq")
	cmd.Stdout, cmd.Stderr = log, log
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // the context has, or does
		_ = cmd.Wait()
	})
	run("link", "set", "d1", "netns", strconv.Itoa(cmd.Process.Pid))
	_, err = io.WriteString(in, "the cable is in\n")
	require.NoError(t, err)
}

// start starts a program that ends with the test, and with its process.
func start(t *testing.T, out io.Writer, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stdout, cmd.Stderr = out, out
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
	})
}

// slipway is a server in our namespace.
type slipway struct {
	dir string
	log *output
	api *client.Client
}

func (s *slipway) command(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), os.Getenv(programEnv), append(args, "--data-dir="+s.dir)...).Output()
	require.NoError(t, err, "slipway %s", strings.Join(args, " "))
	return strings.TrimSpace(string(out))
}

// serve registers the artifacts and starts the server.
func serve(t *testing.T) *slipway {
	t.Helper()
	s := &slipway{dir: t.TempDir(), log: shown(t, "slipway")}
	files, err := qemu.StandIns(t.Context(), filepath.Join(s.dir, "standins"), os.Getenv(installEnv), machine.QuickPace(), sshPort)
	require.NoError(t, err)
	for _, f := range files {
		s.command(t, "artifacts", "add", f.Name, f.Path, "--kind="+f.Kind, "--version="+f.Version, "--in-place")
	}
	start(t, s.log, os.Getenv(programEnv), "serve", "--data-dir="+s.dir, "--listen=:8080", "--pxe-interface=br0", "--proxydhcp=on",
		"--kernel-args=console=ttyS0", "--ssh-port="+strconv.Itoa(sshPort), "--probe-every=1s", "--heartbeat=5s")
	base := "http://" + ourAddress + ":8080"
	require.Eventually(t, func() bool { return exec.Command("curl", "-fs", "-o", "/dev/null", base+"/readyz").Run() == nil }, 30*time.Second, 200*time.Millisecond, "the server is not ready")
	s.api, err = client.New(base, s.command(t, "token", "create", "tester"))
	require.NoError(t, err)
	return s
}

// order deploys the machine and gives the deployment's id.
func (s *slipway) order(t *testing.T) string {
	t.Helper()
	storage := json.RawMessage(`{"boot_disk":{"serial":"SBOOT01"},"data_drives":[{"serial":"SDATA01"}]}`)
	mask := "24"
	list, err := s.api.Deploy(t.Context(), client.DeployNodesInput{Nodes: []client.DeployNodeInput{
		{Name: "rack-1", Spec: client.DeploySpec{Rack: &client.RackSpec{Mac: machineMAC, ManagementIp: machineAddress, Netmask: &mask, Storage: &storage}}},
	}})
	require.NoError(t, err)
	require.NoError(t, list[0].Err)
	return list[0].ID
}

// power starts the machine. Its disks, with these serial numbers, are empty.
func power(t *testing.T, firmware ...string) *output {
	t.Helper()
	dir := t.TempDir()
	console := shown(t, "the console")
	args := []string{
		"-accel", "tcg", "-machine", "q35,graphics=off", "-cpu", "qemu64", "-m", "1024", "-nodefaults", "-no-user-config", "-display", "none", "-vga", "none",
		"-monitor", "none", "-serial", "stdio", "-device", "virtio-rng-pci", "-netdev", "tap,id=n0,ifname=tap0,script=no,downscript=no",
	}
	for i, serial := range []string{"SBOOT01", "SDATA01"} {
		file := filepath.Join(dir, serial)
		require.NoError(t, os.WriteFile(file, nil, 0o600))
		require.NoError(t, os.Truncate(file, 4<<30))
		args = append(args, "-drive", fmt.Sprintf("if=none,id=d%d,format=raw,cache=unsafe,file=%s", i, file),
			"-device", fmt.Sprintf("nvme,drive=d%d,serial=%s,bootindex=%d", i, serial, i+1))
	}
	start(t, console, qemu.Program, append(args, firmware...)...)
	return console
}

// deployed follows the deployment to its end.
func (s *slipway) deployed(t *testing.T, id string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	began := time.Now()
	var last string
	for {
		now, err := s.api.Deployment(ctx, id)
		require.NoError(t, err, "last: %s", last)
		if text := fmt.Sprintf("%s %s", now.State, now.PhaseKey); text != last {
			t.Logf("%4.0f s  %s", time.Since(began).Seconds(), text)
			last = text
		}
		switch now.State {
		case "SUCCEEDED":
			return
		case "FAILED", "CANCELED":
			t.Fatalf("%s: %+v", now.State, now.Failure)
		default: // it is on its way
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			t.Fatalf("not deployed within %s; last: %s", limit, last)
		}
	}
}

// TestUEFI: EDK2's PXE client learns from proxyDHCP what to load, loads iPXE over
// TFTP, and iPXE the rest over HTTP.
func TestUEFI(t *testing.T) {
	if !inside(t) {
		return
	}
	const code, variables = "/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"
	store, err := os.ReadFile(variables)
	if err != nil {
		present.Missing(t, "there is no UEFI firmware: apt-get install ovmf")
	}
	own := filepath.Join(t.TempDir(), "variables.fd")
	require.NoError(t, os.WriteFile(own, store, 0o600))
	network(t)
	s := serve(t)
	id := s.order(t)
	console := power(t,
		"-drive", "if=pflash,format=raw,unit=0,readonly=on,file="+code, "-drive", "if=pflash,format=raw,unit=1,file="+own,
		// The disk comes first, and has nothing to boot yet. Without the card's option
		// ROM, which is iPXE, the firmware's own client boots from the network.
		"-device", "virtio-net-pci,netdev=n0,romfile=,bootindex=3,mac="+machineMAC)
	s.deployed(t, id)
	for _, said := range []string{">>Start PXE over IPv4", "iPXE", "Slipway: node rack-1", "slipway-installer: eth0 has " + machineAddress, "system: rack-1 is up"} {
		require.Contains(t, console.String(), said)
	}
}

// TestBIOS: a PXE client that does not say it is iPXE loads undionly.kpxe over
// TFTP, which loads the rest over HTTP. Every network ROM of QEMU is iPXE, so the
// first client is iPXE too, told by a script to call itself something else.
func TestBIOS(t *testing.T) {
	if os.Getenv("SLIPWAY_SOAK") == "" {
		t.Skip("takes two minutes of two processors: make soak runs it (SLIPWAY_SOAK=1)")
	}
	if !inside(t) {
		return
	}
	const rom = "/usr/lib/ipxe/ipxe.lkrn"
	if _, err := os.Stat(rom); err != nil {
		present.Missing(t, rom+" is missing: apt-get install ipxe")
	}
	script := filepath.Join(t.TempDir(), "vendor.ipxe")
	require.NoError(t, os.WriteFile(script, []byte("#!ipxe\nset user-class vendor\nautoboot\n"), 0o600))
	network(t)
	s := serve(t)
	id := s.order(t)
	console := power(t, "-kernel", rom, "-initrd", script, "-device", "virtio-net-pci,netdev=n0,romfile=,mac="+machineMAC)
	s.deployed(t, id)
	for _, said := range []string{"undionly.kpxe", "Slipway: node rack-1", "slipway-installer: eth0 has " + machineAddress, "system: rack-1 is up"} {
		require.Contains(t, console.String(), said)
	}
}
