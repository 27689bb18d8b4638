package netboot_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim/qemu"
	"github.com/slipwayhq/slipway/pxe/netnstest"
	"github.com/slipwayhq/slipway/tools/present"
)

// What the machines' network looks like.
const (
	ourAddress   = "10.77.0.1"
	theirAddress = "10.77.0.2" // of the DHCP server
	sshPort      = 2222
)

// environment variables that the process in the namespace is told things by.
const (
	programEnv = "SLIPWAY_BINARY"
	installEnv = "SLIPWAY_TEST_ENVIRONMENT"
	insideEnv  = "SLIPWAY_TEST_NETNS" // netnstest's
)

// output is what a process has said so far, and when.
type output struct {
	mu    sync.Mutex
	text  bytes.Buffer
	parts []part
}

// part is what was written at once.
type part struct {
	end int // in the text
	at  time.Time
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, err := o.text.Write(p)
	o.parts = append(o.parts, part{o.text.Len(), time.Now()})
	return n, err
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// when tells when some words were first said.
func (o *output) when(words string) (time.Time, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	i := bytes.Index(o.text.Bytes(), []byte(words))
	if i < 0 {
		return time.Time{}, false
	}
	for _, p := range o.parts {
		if p.end > i {
			return p.at, true
		}
	}
	return time.Time{}, false
}

// shown gives what a failed test needs to be understood.
func shown(t *testing.T, what string) *output {
	t.Helper()
	o := &output{}
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		lines := slices.DeleteFunc(strings.SplitAfter(o.String(), "\n"), func(l string) bool { return strings.Contains(l, "route=/graphql") }) // our own questions
		text := strings.Join(lines, "")
		t.Logf("the last of %s:\n%s", what, text[max(0, len(text)-9000):])
	})
	return o
}

// soak skips what takes long, unless it was asked for.
func soak(t *testing.T) {
	t.Helper()
	if os.Getenv("SLIPWAY_SOAK") == "" {
		t.Skip("takes some minutes of two processors: make soak runs it (SLIPWAY_SOAK=1)")
	}
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
	return netnstest.InsideFor(t, 4*limit)
}

// network makes the machines' network: a bridge with our address, a tap for each
// machine, and a cable to a namespace with a DHCP server that also answers for
// IPv6: without that, every stage of iPXE waits for a router, and UEFI firmware a
// minute for an address before it goes on to the next entry of its boot order.
func network(t *testing.T, machines ...*box) {
	t.Helper()
	run := func(args ...string) { netnstest.Run(t, "ip", args...) }
	run("link", "add", "br0", "type", "bridge")
	run("addr", "add", ourAddress+"/24", "dev", "br0")
	run("link", "set", "br0", "up")
	server := []string{
		present.Command(t, "dnsmasq", "dnsmasq-base"), "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--interface=d1", "--bind-interfaces",
		"--dhcp-range=10.77.0.100,10.77.0.200,255.255.255.0,1h", "--dhcp-option=3," + theirAddress, "--dhcp-authoritative",
		"--enable-ra", "--quiet-ra", "--dhcp-range=fd77::100,fd77::1ff,64,1h", "--ra-param=d1,high,3,1800",
		"--dhcp-leasefile=" + filepath.Join(t.TempDir(), "leases"), "--pid-file=", "--user=root", "--group=root", "--log-facility=-", "--no-ping",
	}
	for _, m := range machines {
		run("tuntap", "add", m.tap(), "mode", "tap")
		run("link", "set", m.tap(), "master", "br0", "up")
		server = append(server, "--dhcp-host="+m.mac()+","+m.address())
	}
	run("link", "add", "d0", "type", "veth", "peer", "name", "d1")
	run("link", "set", "d0", "master", "br0", "up")
	cmd := netnstest.Command(t, "sh", "-ec", "read cable; ip addr add "+theirAddress+"/24 dev d1; ip addr add fd77::1/64 dev d1 nodad; ip link set d1 up; exec "+strings.Join(server, " "))
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

// start starts a program that ends with the test, with its process, and when it
// is stopped; stop returns when it is gone.
func start(t *testing.T, out io.Writer, name string, args ...string) (stop func()) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stdout, cmd.Stderr = out, out
	require.NoError(t, cmd.Start())
	stop = sync.OnceFunc(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
	})
	t.Cleanup(stop)
	return stop
}
