package proxydhcp

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	pin "github.com/pin/tftp/v3"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/slipwayhq/slipway/pxe/netnstest"
	"github.com/slipwayhq/slipway/pxe/privilege"
	"github.com/slipwayhq/slipway/pxe/program"
	"github.com/slipwayhq/slipway/pxe/tftp"
	"github.com/slipwayhq/slipway/tools/present"
)

// lan is a network with a DHCP server that knows nothing of us: a bridge with
// three cables, to the machine's card in this namespace, and to two others, one
// with dnsmasq and one with our server, as on hosts of their own.
type lan struct {
	t    *testing.T
	card *net.UDPConn // port 68 on the card, which has no address at first
	mac  net.HardwareAddr
	stop func() Stats
}

const (
	serveEnv = "SLIPWAY_TEST_PROXYDHCP" // offer or only: the process is our server
	ready    = "proxyDHCP is ready"
)

func newLAN(t *testing.T, mode string) *lan {
	t.Helper()
	netnstest.Run(t, "ip", "link", "add", "br0", "type", "bridge")
	netnstest.Run(t, "ip", "link", "set", "br0", "up")
	for _, cable := range []string{"c", "d", "p"} {
		netnstest.Run(t, "ip", "link", "add", cable+"0", "type", "veth", "peer", "name", cable+"1")
		netnstest.Run(t, "ip", "link", "set", cable+"0", "master", "br0", "up")
	}
	netnstest.Run(t, "ip", "link", "set", "c1", "up")
	dnsmasq := strings.Join([]string{present.Command(t, "dnsmasq", "dnsmasq-base"), "--keep-in-foreground", "--conf-file=/dev/null", "--port=0",
		"--interface=d1", "--bind-interfaces", "--dhcp-range=10.77.0.100,10.77.0.200,255.255.255.0,1h", "--dhcp-authoritative",
		"--dhcp-leasefile=" + filepath.Join(t.TempDir(), "leases"), "--pid-file=", "--user=root", "--log-facility=-", "--no-ping"}, " ")
	theirs := netnstest.Command(t, "sh", "-ec", "read cable; ip addr add 10.77.0.1/24 dev d1; ip link set d1 up; exec "+dnsmasq)
	theirs.Stdout, theirs.Stderr = t.Output(), t.Output()
	plug(t, theirs, "d1")
	t.Cleanup(func() {
		_ = theirs.Process.Kill() // the context has, or does
		_ = theirs.Wait()
	})
	card, err := net.InterfaceByName("c1")
	require.NoError(t, err)
	l := &lan{t: t, mac: card.HardwareAddr}
	l.serve(mode)
	l.card, err = open(t.Context(), "c1", dhcpv4.ClientPort)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.card.Close() })
	return l
}

// serve starts our server in a namespace of its own and gives it the cable.
func (l *lan) serve(mode string) {
	l.t.Helper()
	cmd := netnstest.Again(l.t, "TestServerProcess", serveEnv+"="+mode, "SLIPWAY_TEST_MAC="+l.mac.String())
	out, err := cmd.StdoutPipe()
	require.NoError(l.t, err)
	in := plug(l.t, cmd, "p1")
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != ready {
	}
	require.Equal(l.t, ready, lines.Text(), "the server does not start")
	l.t.Cleanup(func() { _ = in.Close() }) // it ends then, if it has not yet
	l.stop = func() (s Stats) {
		l.t.Helper()
		require.NoError(l.t, in.Close())
		for lines.Scan() {
			if text, ok := strings.CutPrefix(lines.Text(), "stats "); ok {
				require.NoError(l.t, json.Unmarshal([]byte(text), &s))
			}
		}
		require.NoError(l.t, cmd.Wait())
		return s
	}
}

// plug starts a command and gives it the end of a cable. It learns from a line
// on its standard input that it has it.
func plug(t *testing.T, cmd *exec.Cmd, cable string) io.WriteCloser {
	t.Helper()
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	netnstest.Run(t, "ip", "link", "set", cable, "netns", strconv.Itoa(cmd.Process.Pid))
	_, err = io.WriteString(in, "the cable is in\n")
	require.NoError(t, err)
	return in
}

// one knows one machine.
type one string

func (o one) Known(_ context.Context, mac string) (bool, error) { return mac == string(o), nil }

// nbp is the boot program of these tests.
func nbp() []byte { return bytes.Repeat([]byte("boot program "), 20_000) }

// TestServerProcess is the server's side of the tests below.
func TestServerProcess(t *testing.T) {
	mode := os.Getenv(serveEnv)
	if mode == "" {
		return // not a test by itself
	}
	in := bufio.NewReader(os.Stdin)
	_, err := in.ReadString('\n')
	require.NoError(t, err)
	for _, line := range []string{"addr add 10.77.0.2/24 dev p1", "addr add 10.77.0.3/24 dev p1", "link set lo up", "link set p1 up"} {
		netnstest.Run(t, "ip", strings.Fields(line)...)
	}
	p, err := program.New("undionly.kpxe", "1", time.Unix(0, 0), nbp())
	require.NoError(t, err)
	x64, err := program.New("snponly.efi", "1", time.Unix(0, 0), efi(0x8664))
	require.NoError(t, err)
	set := program.NewSet(p, x64)
	// The second address of the interface: answers must come from the one that is told.
	ours := netip.MustParseAddr("10.77.0.3")
	s, err := New(Config{Who: one(os.Getenv("SLIPWAY_TEST_MAC")), Settings: Settings{Address: ours, BaseURL: "http://10.77.0.3:8080", Programs: set, OnlyBootPort: mode == "only"}})
	require.NoError(t, err)
	l, err := Listen(t.Context(), "p1")
	require.NoError(t, err)
	files, err := tftp.Listen(t.Context(), ":69")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	go func() { ended <- s.Serve(ctx, l) }()
	go func() { ended <- tftp.New(tftp.Config{Programs: set}).Serve(ctx, files) }()
	fmt.Fprintln(os.Stdout, ready)
	_, err = io.Copy(io.Discard, in)
	require.NoError(t, err)
	cancel()
	require.NoError(t, <-ended)
	require.NoError(t, <-ended)
	text, err := json.Marshal(s.Stats())
	require.NoError(t, err)
	fmt.Fprintln(os.Stdout, "stats "+string(text))
}

// ask broadcasts a message until enough says that the answers so far are enough.
func (l *lan) ask(m *dhcpv4.DHCPv4, enough func(*dhcpv4.DHCPv4) bool) {
	l.t.Helper()
	m.SetBroadcast() // the card has no address to send a unicast to
	buf := make([]byte, 1500)
	for begun := time.Now(); time.Since(begun) < 30*time.Second; {
		_, err := l.card.WriteToUDPAddrPort(m.ToBytes(), netip.MustParseAddrPort("255.255.255.255:67"))
		require.NoError(l.t, err)
		require.NoError(l.t, l.card.SetReadDeadline(time.Now().Add(time.Second)))
		for {
			n, err := l.card.Read(buf)
			if err != nil {
				break // the deadline: ask again, as firmware does
			}
			r, err := dhcpv4.FromBytes(buf[:n])
			require.NoError(l.t, err)
			if r.OpCode == dhcpv4.OpcodeBootReply && r.TransactionID == m.TransactionID && enough(r) {
				return
			}
		}
	}
	l.t.Fatal("no answer, or not all")
}

// offers asks the network and gives the answers of dnsmasq and ours; want is how
// many are waited for.
func (l *lan) offers(want int, mac net.HardwareAddr, says ...dhcpv4.Modifier) (theirs, ours *dhcpv4.DHCPv4) {
	l.t.Helper()
	m, err := dhcpv4.NewDiscovery(mac, append(says, generic(dhcpv4.OptionClientMachineIdentifier, uuid...))...)
	require.NoError(l.t, err)
	l.ask(m, func(r *dhcpv4.DHCPv4) bool {
		require.Equal(l.t, dhcpv4.MessageTypeOffer, r.MessageType())
		switch r.ServerIdentifier().String() {
		case "10.77.0.1":
			theirs = r
		case "10.77.0.3":
			ours = r
		default:
			l.t.Errorf("an offer of %s", r.ServerIdentifier())
		}
		return theirs != nil && (ours != nil || want == 1)
	})
	return theirs, ours
}

// lease gets an address as if we were not there, and gives it to the card.
func (l *lan) lease(offer *dhcpv4.DHCPv4, says ...dhcpv4.Modifier) net.IP {
	l.t.Helper()
	request, err := dhcpv4.NewRequestFromOffer(offer, says...)
	require.NoError(l.t, err)
	l.ask(request, func(r *dhcpv4.DHCPv4) bool {
		require.Equal(l.t, dhcpv4.MessageTypeAck, r.MessageType())
		require.Equal(l.t, "10.77.0.1", r.ServerIdentifier().String())
		require.Equal(l.t, offer.YourIPAddr.String(), r.YourIPAddr.String())
		return true
	})
	netnstest.Run(l.t, "ip", "addr", "add", offer.YourIPAddr.String()+"/24", "dev", "c1")
	return offer.YourIPAddr
}

// boot asks port 4011 as a machine that has got its address.
func (l *lan) boot(own net.IP, says ...dhcpv4.Modifier) *dhcpv4.DHCPv4 {
	l.t.Helper()
	conn, err := net.DialUDP("udp4", &net.UDPAddr{IP: own, Port: PortBoot}, &net.UDPAddr{IP: net.IP{10, 77, 0, 3}, Port: PortBoot})
	require.NoError(l.t, err)
	defer conn.Close()
	m, err := dhcpv4.NewDiscovery(l.mac, append(says, kind(dhcpv4.MessageTypeRequest), dhcpv4.WithClientIP(own))...)
	require.NoError(l.t, err)
	_, err = conn.Write(m.ToBytes())
	require.NoError(l.t, err)
	require.NoError(l.t, conn.SetReadDeadline(time.Now().Add(2*time.Minute)))
	buf := make([]byte, 1500)
	n, err := conn.Read(buf) // of a connected socket: only from the address that was asked
	require.NoError(l.t, err)
	r, err := dhcpv4.FromBytes(buf[:n])
	require.NoError(l.t, err)
	return r
}

// Beside a DHCP server that gives addresses, a machine gets both: its address
// from there, its boot file from us, and then the file itself.
func TestBesideADHCPServer(t *testing.T) {
	if !netnstest.Inside(t) {
		return
	}
	l := newLAN(t, "offer")
	bios := firmware("PXEClient", 0)
	theirs, ours := l.offers(2, l.mac, bios)
	require.True(t, bytes.HasPrefix(theirs.YourIPAddr.To4(), []byte{10, 77, 0}), theirs.YourIPAddr)
	require.Empty(t, theirs.BootFileName)
	require.True(t, ours.YourIPAddr.IsUnspecified())
	require.Equal(t, "undionly.kpxe", ours.BootFileName)
	require.Equal(t, "10.77.0.3", ours.ServerIPAddr.String())
	require.Equal(t, uuid, ours.Options.Get(dhcpv4.OptionClientMachineIdentifier))

	own := l.lease(theirs, bios)
	_, ours = l.offers(2, l.mac, firmware("PXEClient", 7))
	require.Equal(t, "snponly.efi", ours.BootFileName)
	_, ours = l.offers(2, l.mac, firmware("HTTPClient", 16))
	require.Equal(t, "http://10.77.0.3:8080/boot/programs/snponly.efi", ours.BootFileNameOption())
	_, ours = l.offers(2, l.mac, bios, ipxe)
	require.Equal(t, "http://10.77.0.3:8080/boot/config?mac="+strings.ReplaceAll(l.mac.String(), ":", "-")+"&serial=${serial:uristring}", ours.BootFileName)
	require.Equal(t, "undionly.kpxe", l.boot(own, bios).BootFileName)

	// Strangers, and machines that boot nothing, get their address and no more.
	theirs, ours = l.offers(1, net.HardwareAddr{2, 0, 0, 0, 0, 9}, bios)
	require.NotNil(t, theirs)
	require.Nil(t, ours)
	theirs, ours = l.offers(1, l.mac)
	require.NotNil(t, theirs)
	require.Nil(t, ours)
	l.fetch()
	s := l.stop()
	require.GreaterOrEqual(t, s.Offered, int64(4))
	require.Equal(t, int64(1), s.Acknowledged, "a REQUEST on port 67 is never answered")
	require.GreaterOrEqual(t, s.Unknown, int64(1))
	require.Zero(t, s.Malformed+s.Failed+s.Dropped)
}

// fetch gets the file as the offer says, over a path of 1500 octets: the block
// size is what fits into it, so that nothing is fragmented.
func (l *lan) fetch() {
	l.t.Helper()
	for asked, want := range map[int]int{1432: 1432, 1468: 1468, 9000: 1472} {
		c, err := pin.NewClient("10.77.0.3:69")
		require.NoError(l.t, err)
		c.SetBlockSize(asked)
		var got bytes.Buffer
		wt, err := c.Receive("undionly.kpxe", "octet")
		require.NoError(l.t, err)
		largest := 0
		_, err = wt.WriteTo(writer(func(b []byte) (int, error) { largest = max(largest, len(b)); return got.Write(b) }))
		require.NoError(l.t, err)
		require.True(l.t, bytes.Equal(nbp(), got.Bytes()))
		require.Equal(l.t, want, largest, "asked for %d", asked)
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

// With the file kept for port 4011 the offer has none, and the second question
// is answered to where it came from.
func TestFileOnlyOnTheBootPortOfANetwork(t *testing.T) {
	if !netnstest.Inside(t) {
		return
	}
	l := newLAN(t, "only")
	theirs, _ := l.offers(1, l.mac)
	own := l.lease(theirs)
	for boot, says := range map[string][]dhcpv4.Modifier{
		"undionly.kpxe": {firmware("PXEClient", 0)}, "snponly.efi": {firmware("PXEClient", 9)},
		"http://10.77.0.3:8080/boot/config?mac=" + strings.ReplaceAll(l.mac.String(), ":", "-") + "&serial=${serial:uristring}": {firmware("PXEClient", 7), ipxe},
	} {
		_, ours := l.offers(2, l.mac, says...)
		require.Empty(t, ours.BootFileName)
		require.Equal(t, "PXEClient", ours.ClassIdentifier())
		ack := l.boot(own, says...)
		require.Equal(t, dhcpv4.MessageTypeAck, ack.MessageType())
		require.Equal(t, boot, ack.BootFileName)
	}
	require.Equal(t, int64(3), l.stop().Acknowledged)
}

// Without the right to port 67 the error names the capability. Binding to the
// interface needs none since Linux 5.7.
func TestPortsNeedACapability(t *testing.T) {
	if !netnstest.Inside(t) {
		return
	}
	for have, ok := range map[uint32]bool{0: false, 1 << unix.CAP_NET_RAW: false, 1 << unix.CAP_NET_BIND_SERVICE: true} {
		ended := make(chan error, 1)
		go func() {
			runtime.LockOSThread() // and never unlocked: the thread ends with its reduced rights
			head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
			data := [2]unix.CapUserData{{Effective: have, Permitted: have}}
			if err := unix.Capset(&head, &data[0]); err != nil {
				ended <- err
				return
			}
			l, err := Listen(t.Context(), "lo")
			if err == nil {
				err = l.Close()
			}
			ended <- err
		}()
		err := <-ended
		if ok {
			require.NoError(t, err)
			continue
		}
		var missing *privilege.Missing
		require.ErrorAs(t, err, &missing)
		require.Equal(t, privilege.BindService, missing.Capability)
		require.ErrorContains(t, err, "UDP port 67")
	}
	_, err := Listen(t.Context(), "nosuch0")
	require.ErrorContains(t, err, "interface nosuch0")
	address, err := Address("lo")
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1", address.String())
	_, err = Address("nosuch0")
	require.Error(t, err)
}
