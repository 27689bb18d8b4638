package proxydhcp

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"

	"github.com/slipwayhq/slipway/pxe/program"
)

// The ports of a proxyDHCP server (PXE 2.1 section 2.2).
const (
	PortDHCP = 67   // where clients look for servers, by broadcast
	PortBoot = 4011 // where they ask one server for its file
)

// Programs is what firmware can be told to load.
type Programs interface {
	For(firmware program.Firmware, begin ...string) (program.Program, bool)
}

// Settings are what an operator decides.
type Settings struct {
	// Address is this server's, on the machines' network: where they find TFTP
	// and port 4011.
	Address netip.Addr
	// BaseURL is how machines reach Slipway over HTTP, without a slash at its
	// end.
	BaseURL  string
	Programs Programs
	// OnlyBootPort leaves the file out of offers on port 67, so that PXE clients
	// have to ask for it on port 4011. HTTP boot clients have no second step.
	OnlyBootPort bool
}

// Check tells what is wrong with the settings.
func (s Settings) Check() error {
	if !s.Address.Is4() || s.Address.IsUnspecified() || s.Address.IsMulticast() {
		return fmt.Errorf("proxyDHCP: %s is not an IPv4 address of this server", s.Address)
	}
	if !strings.HasPrefix(s.BaseURL, "http://") && !strings.HasPrefix(s.BaseURL, "https://") {
		return fmt.Errorf("proxyDHCP: base URL %q: http:// or https:// is needed", s.BaseURL)
	}
	const longest = 255 // of a DHCP option (RFC 2132 section 2)
	if n := len(s.scriptURL(make(net.HardwareAddr, 6))); n > longest {
		return fmt.Errorf("proxyDHCP: the base URL is too long: a script's URL would have %d characters, %d at most fit into a DHCP option", n, longest)
	}
	return nil
}

// scriptURL is where iPXE finds a machine's script. The MAC address is the one
// that the machine has sent: iPXE's own ${net0/mac} may be another interface's.
// Its serial number is not in DHCP; iPXE puts it in.
func (s Settings) scriptURL(mac net.HardwareAddr) string {
	return s.BaseURL + "/boot/config?mac=" + strings.ReplaceAll(mac.String(), ":", "-") + "&serial=${serial:uristring}"
}

// Action is what became of a packet.
type Action string

// The actions.
const (
	Offered      Action = "offered"      // DHCPOFFER
	Acknowledged Action = "acknowledged" // DHCPACK, on port 4011
	Ignored      Action = "ignored"
)

// Decision is Answer's result in words, for the log.
type Decision struct {
	Action Action
	Reason string // why it is ignored
	Loader Loader
	Arch   string // in IANA's words; "" = not said, or iPXE
	Boot   string // name or URL; "" = an offer without a file
}

// Answer decides about a packet that came to a port, PortDHCP or PortBoot. The
// answer is nil where none is to be sent. It does not know who may boot.
func Answer(m *dhcpv4.DHCPv4, port int, s Settings) (*dhcpv4.DHCPv4, Decision) {
	kind, reason := expected(m, port)
	if reason != "" {
		return nil, Decision{Action: Ignored, Reason: reason}
	}
	c, reason := classify(m)
	d := Decision{Loader: c.loader}
	if c.firmware != "" || reason != "" && c.arch != 0 {
		d.Arch = c.arch.String()
	}
	var p program.Program
	if reason == "" && c.loader != IPXE {
		p, reason = s.choose(c)
	}
	if reason != "" {
		d.Action, d.Reason = Ignored, reason
		return nil, d
	}
	reply, err := s.reply(m, kind, c)
	if err != nil {
		d.Action, d.Reason = Ignored, err.Error()
		return nil, d
	}
	switch {
	case c.loader == IPXE:
		d.Boot = s.scriptURL(m.ClientHWAddr)
	case c.loader == HTTP:
		d.Boot = s.BaseURL + "/boot/programs/" + p.Name
	default:
		d.Boot = p.Name
	}
	if s.OnlyBootPort && port == PortDHCP && c.loader != HTTP {
		// Neither file nor option 43: the client asks on port 4011.
		d.Boot = ""
	} else {
		name(reply, c, d.Boot)
	}
	if size := len(reply.ToBytes()); size > room(m) {
		d.Action, d.Reason = Ignored, fmt.Sprintf("the answer has %d octets and the client takes %d", size, room(m))
		return nil, d
	}
	d.Action = Offered
	if kind == dhcpv4.MessageTypeAck {
		d.Action = Acknowledged
	}
	return reply, d
}

// expected tells how a packet on a port is answered, or why not.
func expected(m *dhcpv4.DHCPv4, port int) (dhcpv4.MessageType, string) {
	switch {
	case m.OpCode != dhcpv4.OpcodeBootRequest:
		return 0, "it is no request" // RFC 2131 section 2, figure 1: op 1 comes from clients
	case m.HWType != iana.HWTypeEthernet || len(m.ClientHWAddr) != 6:
		return 0, "its hardware address is not Ethernet's" // RFC 2131 section 2: htype 1, hlen 6
	}
	switch t := m.MessageType(); {
	case port == PortDHCP && t == dhcpv4.MessageTypeDiscover:
		return dhcpv4.MessageTypeOffer, ""
	case port == PortBoot && (t == dhcpv4.MessageTypeRequest || t == dhcpv4.MessageTypeInform):
		return dhcpv4.MessageTypeAck, ""
	default:
		// A DHCPREQUEST on port 67 is about an address, which the DHCP server
		// gives (RFC 2131 section 4.3.2); an answer of ours would look like its.
		return 0, fmt.Sprintf("%s on port %d is the DHCP server's to answer", t, port)
	}
}

// choose finds the program for a client. Those come first that drive the card
// through the firmware: ipxe.efi takes the card over with a driver of its own,
// and firmware that it gives the machine back to (EDK2 2022.11) was seen to hang
// there instead of going on to the disk.
func (s Settings) choose(c client) (program.Program, string) {
	if s.Programs != nil {
		if p, ok := s.Programs.For(c.firmware, "undionly.kpxe", "snponly", "ipxe"); ok {
			return p, ""
		}
	}
	return program.Program{}, fmt.Sprintf("there is no boot program for %s", c.firmware)
}

// reply makes what every answer has.
func (s Settings) reply(m *dhcpv4.DHCPv4, kind dhcpv4.MessageType, c client) (*dhcpv4.DHCPv4, error) {
	server := net.IP(s.Address.AsSlice())
	// The library copies xid, flags, giaddr, chaddr and htype (RFC 2131 section
	// 4.3.1, table 3), option 61 (RFC 6842) and option 82 (RFC 3046 section 2.2).
	r, err := dhcpv4.NewReplyFromRequest(m,
		dhcpv4.WithMessageType(kind),
		// RFC 2131 section 4.3.1, table 3: siaddr is the server of the next step.
		// yiaddr stays 0.0.0.0, which makes it a proxy's answer (PXE 2.1 section
		// 2.2); so there is no lease time either.
		dhcpv4.WithServerIP(server),
		// RFC 2131 section 4.3.1, table 3: a server MUST identify itself.
		dhcpv4.WithOption(dhcpv4.OptServerIdentifier(server)),
		// PXE 2.1 section 2.2 and UEFI 2.10 section 24.7.3: without the class in
		// the answer the client does not take it for one to its boot question.
		dhcpv4.WithOption(dhcpv4.OptClassIdentifier(c.class)),
	)
	if err != nil {
		return nil, fmt.Errorf("the answer cannot be made: %w", err)
	}
	if kind == dhcpv4.MessageTypeAck {
		// RFC 2131 section 4.3.1, table 3: ciaddr of a DHCPACK is the request's.
		r.ClientIPAddr = m.ClientIPAddr
	}
	// RFC 4578 section 2.3: the machine's UUID, type 0 and 16 octets. PXE 2.1
	// section 2.2 has servers return it; one that is broken is left out.
	if id := m.Options.Get(dhcpv4.OptionClientMachineIdentifier); len(id) == 17 && id[0] == 0 {
		r.UpdateOption(dhcpv4.OptGeneric(dhcpv4.OptionClientMachineIdentifier, id))
	}
	return r, nil
}

// bootFile is the size of the BOOTP header's field (RFC 2131 section 2, figure
// 1), which ends with a zero.
const bootFile = 128

// name puts the file into an answer.
func name(r *dhcpv4.DHCPv4, c client, boot string) {
	if len(boot) < bootFile {
		r.BootFileName = boot
	}
	if c.loader != PXE || len(boot) >= bootFile {
		// RFC 2132 section 9.5. BIOS ROMs look into the header's field alone, so
		// there it stands whenever it fits.
		r.UpdateOption(dhcpv4.OptBootFileName(boot))
	}
	if c.class == classPXE {
		// PXE 2.1 table 2-1, option 43: tag 6 PXE_DISCOVERY_CONTROL, length 1, bit
		// 3: boot the file of this answer, with no menu and no search for boot
		// servers; tag 255 ends the list.
		const discoveryControl, useTheFile, end = 6, 1 << 3, 255
		r.UpdateOption(dhcpv4.OptGeneric(dhcpv4.OptionVendorSpecificInformation, []byte{discoveryControl, 1, useTheFile, end}))
	}
}

// room is the largest answer that a client takes: 576 octets with the IP header
// (RFC 2131 section 2), or what option 57 says if that is more (RFC 2132 section
// 9.10). An IP and a UDP header are 28.
func room(m *dhcpv4.DHCPv4) int {
	const least, most, headers = 576, 1500, 28
	size := least
	if n, err := m.MaxMessageSize(); err == nil {
		size = min(max(int(n), least), most)
	}
	return size - headers
}

// destination is where an answer goes (RFC 2131 section 4.1); from is where the
// packet came from, own this server's address. What a packet names that is no
// machine's address, or this one's, is an error: anybody can write it there, to
// have an answer sent to many or back to us.
func destination(m *dhcpv4.DHCPv4, from netip.AddrPort, port int, own netip.Addr) (netip.AddrPort, error) {
	known := func(ip net.IP) (netip.Addr, bool) {
		a, ok := netip.AddrFromSlice(ip.To4())
		return a, ok && !a.IsUnspecified()
	}
	to := netip.AddrPortFrom(broadcast, dhcpv4.ClientPort)
	if giaddr, ok := known(m.GatewayIPAddr); ok { // through a relay agent, to its server port
		to = netip.AddrPortFrom(giaddr, dhcpv4.ServerPort)
	} else if port == PortBoot && from.Addr().IsValid() && !from.Addr().IsUnspecified() {
		// The client has an address. EDK2 asks from its port 4011, iPXE from 68.
		to = from
	} else if ciaddr, ok := known(m.ClientIPAddr); ok {
		to = netip.AddrPortFrom(ciaddr, dhcpv4.ClientPort)
	} else {
		// The client has no address and is given none here: whatever its broadcast
		// flag says, there is nothing to send a unicast to.
		return to, nil
	}
	if a := to.Addr(); a == broadcast || a == own || a.IsMulticast() || a.IsLoopback() || to.Port() == 0 {
		return netip.AddrPort{}, fmt.Errorf("%s is not where a machine or a relay can be", to)
	}
	return to, nil
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})
