package proxydhcp

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"
	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/pxe/program"
)

var (
	machine = net.HardwareAddr{0x52, 0x54, 0x00, 0x00, 0x00, 0x0a}
	server  = netip.MustParseAddr("10.77.0.2")
	uuid    = append([]byte{0}, "0123456789abcdef"...) // RFC 4578 section 2.3
)

const script = "http://10.77.0.2:8080/boot/config?mac=52-54-00-00-00-0a&serial=${serial:uristring}"

// efi is the smallest content that has the header of an EFI program.
func efi(machine uint16) []byte {
	b := make([]byte, 0x46)
	b[0], b[1], b[0x3c] = 'M', 'Z', 0x40
	copy(b[0x40:], "PE\x00\x00")
	binary.LittleEndian.PutUint16(b[0x44:], machine)
	return b
}

func programs(t testing.TB) *program.Set {
	t.Helper()
	var list []program.Program
	for name, content := range map[string][]byte{
		"undionly.kkpxe": {1}, "undionly.kpxe": {1}, "ipxe.pxe": {1}, "snponly.efi": efi(0x8664), "ipxe.efi": efi(0x8664), "snponly-arm64.efi": efi(0xaa64),
	} {
		p, err := program.New(name, "1", time.Unix(0, 0), content)
		require.NoError(t, err)
		list = append(list, p)
	}
	return program.NewSet(list...)
}

func settings(t testing.TB) Settings {
	return Settings{Address: server, BaseURL: "http://10.77.0.2:8080", Programs: programs(t)}
}

// packet is a DHCPDISCOVER as firmware sends it.
func packet(t testing.TB, more ...dhcpv4.Modifier) *dhcpv4.DHCPv4 {
	t.Helper()
	m, err := dhcpv4.NewDiscovery(machine, dhcpv4.PrependModifiers(more,
		dhcpv4.WithTransactionID(dhcpv4.TransactionID{1, 2, 3, 4}),
		generic(dhcpv4.OptionClientMachineIdentifier, uuid...),
		generic(dhcpv4.OptionClientNetworkInterfaceIdentifier, 1, 3, 16), // RFC 4578 section 2.2: UNDI 3.16
	)...)
	require.NoError(t, err)
	return m
}

func generic(code dhcpv4.OptionCode, v ...byte) dhcpv4.Modifier {
	return dhcpv4.WithOption(dhcpv4.OptGeneric(code, v))
}

// firmware is what a client of an architecture says about itself.
func firmware(class string, arch iana.Arch) dhcpv4.Modifier {
	return func(m *dhcpv4.DHCPv4) {
		m.UpdateOption(dhcpv4.OptClassIdentifier(class + ":Arch:" + string('0'+rune(arch/10000%10)) + "00" + string('0'+rune(arch/10%10)) + string('0'+rune(arch%10)) + ":UNDI:003016"))
		m.UpdateOption(dhcpv4.OptClientArch(arch))
	}
}

func without(codes ...dhcpv4.OptionCode) dhcpv4.Modifier {
	return func(m *dhcpv4.DHCPv4) {
		for _, c := range codes {
			m.DeleteOption(c)
		}
	}
}

func kind(t dhcpv4.MessageType) dhcpv4.Modifier { return dhcpv4.WithMessageType(t) }

var ipxe = dhcpv4.WithUserClass("iPXE", false)

// Which machine gets what.
func TestWhatIsBooted(t *testing.T) {
	for name, c := range map[string]struct {
		says   []dhcpv4.Modifier
		boot   string // "" = no answer
		class  string
		loader Loader
	}{
		// RFC 4578 section 2.1 and IANA's "Processor Architecture Types".
		"BIOS, 0":              {says: []dhcpv4.Modifier{firmware("PXEClient", 0)}, boot: "undionly.kpxe", class: "PXEClient", loader: PXE},
		"UEFI x86-64, 7":       {says: []dhcpv4.Modifier{firmware("PXEClient", 7)}, boot: "snponly.efi", class: "PXEClient", loader: PXE},
		"UEFI x86-64, 9":       {says: []dhcpv4.Modifier{firmware("PXEClient", 9)}, boot: "snponly.efi", class: "PXEClient", loader: PXE},
		"UEFI ARM64, 11":       {says: []dhcpv4.Modifier{firmware("PXEClient", 11)}, boot: "snponly-arm64.efi", class: "PXEClient", loader: PXE},
		"UEFI IA32, 6":         {says: []dhcpv4.Modifier{firmware("PXEClient", 6)}, loader: PXE},
		"Itanium, 2":           {says: []dhcpv4.Modifier{firmware("PXEClient", 2)}, loader: PXE},
		"several, best first":  {says: []dhcpv4.Modifier{firmware("PXEClient", 9), dhcpv4.WithOption(dhcpv4.OptClientArch(2, 9, 0))}, boot: "snponly.efi", class: "PXEClient", loader: PXE},
		"BIOS that can HTTP":   {says: []dhcpv4.Modifier{firmware("PXEClient", 20)}, loader: PXE},
		"HTTP boot x86-64, 16": {says: []dhcpv4.Modifier{firmware("HTTPClient", 16)}, boot: "http://10.77.0.2:8080/boot/programs/snponly.efi", class: "HTTPClient", loader: HTTP},
		"HTTP boot ARM64, 19":  {says: []dhcpv4.Modifier{firmware("HTTPClient", 19)}, boot: "http://10.77.0.2:8080/boot/programs/snponly-arm64.efi", class: "HTTPClient", loader: HTTP},
		"HTTP boot IA32, 15":   {says: []dhcpv4.Modifier{firmware("HTTPClient", 15)}, loader: HTTP},
		// A class and an architecture that contradict each other: nothing that
		// the client could load.
		"HTTP class, PXE number": {says: []dhcpv4.Modifier{firmware("HTTPClient", 7)}, loader: HTTP},
		"PXE class, HTTP number": {says: []dhcpv4.Modifier{firmware("PXEClient", 16)}, loader: PXE},
		// Option 93 missing: old ROMs say it in option 60 alone (PXE 2.1 section 2.1.1).
		"without option 93":      {says: []dhcpv4.Modifier{firmware("PXEClient", 7), without(dhcpv4.OptionClientSystemArchitectureType)}, boot: "snponly.efi", class: "PXEClient", loader: PXE},
		"option 93 of 3 octets":  {says: []dhcpv4.Modifier{firmware("PXEClient", 7), generic(dhcpv4.OptionClientSystemArchitectureType, 0, 7, 0)}, loader: PXE},
		"option 93 empty":        {says: []dhcpv4.Modifier{firmware("PXEClient", 7), generic(dhcpv4.OptionClientSystemArchitectureType)}, loader: PXE},
		"no architecture":        {says: []dhcpv4.Modifier{dhcpv4.WithOption(dhcpv4.OptClassIdentifier("PXEClient"))}, loader: PXE},
		"architecture no number": {says: []dhcpv4.Modifier{dhcpv4.WithOption(dhcpv4.OptClassIdentifier("PXEClient:Arch:x:UNDI:1"))}, loader: PXE},
		// Option 77: iPXE whatever firmware it runs on, bare or as RFC 3004 has it.
		"iPXE on BIOS":        {says: []dhcpv4.Modifier{firmware("PXEClient", 0), ipxe}, boot: script, class: "PXEClient", loader: IPXE},
		"iPXE on UEFI":        {says: []dhcpv4.Modifier{firmware("PXEClient", 7), ipxe}, boot: script, class: "PXEClient", loader: IPXE},
		"iPXE on ARM64":       {says: []dhcpv4.Modifier{firmware("PXEClient", 11), dhcpv4.WithUserClass("iPXE", true)}, boot: script, class: "PXEClient", loader: IPXE},
		"iPXE on a strange":   {says: []dhcpv4.Modifier{firmware("PXEClient", 2), ipxe}, boot: script, class: "PXEClient", loader: IPXE},
		"iPXE on HTTP boot":   {says: []dhcpv4.Modifier{firmware("HTTPClient", 16), ipxe}, boot: script, class: "HTTPClient", loader: IPXE},
		"another user class":  {says: []dhcpv4.Modifier{firmware("PXEClient", 0), dhcpv4.WithUserClass("iPXE-like", false)}, boot: "undionly.kpxe", class: "PXEClient", loader: PXE},
		"iPXE without option": {says: []dhcpv4.Modifier{ipxe}},
		// Whoever does not boot from the network is none of ours.
		"an operating system": {},
		"a telephone":         {says: []dhcpv4.Modifier{firmware("PXEClientele", 0)}},
		"Windows":             {says: []dhcpv4.Modifier{dhcpv4.WithOption(dhcpv4.OptClassIdentifier("MSFT 5.0"))}},
	} {
		t.Run(name, func(t *testing.T) {
			r, d := Answer(packet(t, c.says...), PortDHCP, settings(t))
			require.Equal(t, c.loader, d.Loader)
			if c.boot == "" {
				require.Nil(t, r)
				require.Equal(t, Ignored, d.Action)
				require.NotEmpty(t, d.Reason)
				return
			}
			require.Equal(t, c.boot, d.Boot)
			require.Equal(t, c.boot, r.BootFileName)
			require.Equal(t, c.class, r.ClassIdentifier())
		})
	}
}

// What every answer has, clause by clause.
func TestOffer(t *testing.T) {
	m := packet(t, firmware("PXEClient", 0), dhcpv4.WithBroadcast(true), generic(dhcpv4.OptionClientIdentifier, 1, 0x52), generic(dhcpv4.OptionRelayAgentInformation, 1, 1, 9),
		func(m *dhcpv4.DHCPv4) { m.GatewayIPAddr = net.IP{10, 9, 9, 9} })
	r, d := Answer(m, PortDHCP, settings(t))
	require.Equal(t, Decision{Action: Offered, Loader: PXE, Arch: "Intel x86PC", Boot: "undionly.kpxe"}, d)
	r, err := dhcpv4.FromBytes(r.ToBytes()) // as it is on the wire
	require.NoError(t, err)

	require.Equal(t, dhcpv4.OpcodeBootReply, r.OpCode)                                            // RFC 2131 section 4.3.1, table 3: op BOOTREPLY
	require.Equal(t, m.HWType, r.HWType)                                                          // table 3: htype
	require.Equal(t, m.TransactionID, r.TransactionID)                                            // table 3: xid from the client's message
	require.Equal(t, m.Flags, r.Flags)                                                            // table 3: flags from the client's message
	require.Equal(t, m.ClientHWAddr, r.ClientHWAddr)                                              // table 3: chaddr
	require.True(t, m.GatewayIPAddr.Equal(r.GatewayIPAddr))                                       // table 3: giaddr
	require.Equal(t, uint8(0), r.HopCount)                                                        // table 3: hops 0
	require.Equal(t, uint16(0), r.NumSeconds)                                                     // table 3: secs 0
	require.True(t, r.ClientIPAddr.IsUnspecified())                                               // table 3: ciaddr 0 in a DHCPOFFER
	require.True(t, r.YourIPAddr.IsUnspecified())                                                 // PXE 2.1 section 2.2: a proxy gives no address
	require.Equal(t, server.String(), r.ServerIPAddr.String())                                    // table 3: siaddr, the next server
	require.Equal(t, dhcpv4.MessageTypeOffer, r.MessageType())                                    // table 3: option 53
	require.Equal(t, server.String(), r.ServerIdentifier().String())                              // table 3: option 54 MUST be there
	require.False(t, r.Options.Has(dhcpv4.OptionIPAddressLeaseTime))                              // no address, no lease
	require.False(t, r.Options.Has(dhcpv4.OptionSubnetMask))                                      // the DHCP server's to say
	require.False(t, r.Options.Has(dhcpv4.OptionRouter))                                          // as well
	require.Equal(t, "PXEClient", r.ClassIdentifier())                                            // PXE 2.1 section 2.2: option 60
	require.Equal(t, uuid, r.Options.Get(dhcpv4.OptionClientMachineIdentifier))                   // PXE 2.1 section 2.2, RFC 4578 section 2.3: option 97 returned
	require.Equal(t, []byte{6, 1, 8, 255}, r.Options.Get(dhcpv4.OptionVendorSpecificInformation)) // PXE 2.1 table 2-1: tag 6, bit 3; tag 255
	require.False(t, r.Options.Has(dhcpv4.OptionClientNetworkInterfaceIdentifier))                // RFC 4578 section 2.2: option 94 is the client's to send
	require.False(t, r.Options.Has(dhcpv4.OptionClientSystemArchitectureType))                    // and 93
	require.Equal(t, []byte{1, 0x52}, r.Options.Get(dhcpv4.OptionClientIdentifier))               // RFC 6842 section 3: option 61 returned
	require.Equal(t, []byte{1, 1, 9}, r.Options.Get(dhcpv4.OptionRelayAgentInformation))          // RFC 3046 section 2.2: option 82 returned
	require.Equal(t, "undionly.kpxe", r.BootFileName)                                             // RFC 2131 section 2, figure 1: file
	require.False(t, r.Options.Has(dhcpv4.OptionBootfileName))                                    // RFC 2132 section 9.5: only when the field cannot hold it
	raw := r.ToBytes()
	require.GreaterOrEqual(t, len(raw), 300, "RFC 1542 section 2.1: a BOOTP message has 300 octets at least")
	require.LessOrEqual(t, len(raw), 548, "RFC 2131 section 2: what every client takes")
}

// UEFI 2.10 section 24.7.3: the URL is in option 67, the class is returned; the
// options of PXE are not for HTTP boot clients.
func TestOfferOfAURL(t *testing.T) {
	s := settings(t)
	r, _ := Answer(packet(t, firmware("HTTPClient", 16)), PortDHCP, s)
	require.Equal(t, "http://10.77.0.2:8080/boot/programs/snponly.efi", r.BootFileNameOption())
	require.Equal(t, r.BootFileNameOption(), r.BootFileName)
	require.False(t, r.Options.Has(dhcpv4.OptionVendorSpecificInformation))
	require.Equal(t, uuid, r.Options.Get(dhcpv4.OptionClientMachineIdentifier))

	// A URL that does not fit into the header's 128 octets with its zero is in option 67 alone.
	for length, inHeader := range map[int]bool{127: true, 128: false, 200: false} {
		s.BaseURL = "http://10.77.0.2/" + strings.Repeat("x", length-len("http://10.77.0.2/")-len(script)+len("http://10.77.0.2:8080"))
		require.NoError(t, s.Check())
		r, d := Answer(packet(t, firmware("PXEClient", 0), ipxe), PortDHCP, s)
		require.Len(t, d.Boot, length)
		r, err := dhcpv4.FromBytes(r.ToBytes())
		require.NoError(t, err)
		require.Equal(t, d.Boot, r.BootFileNameOption())
		require.Equal(t, inHeader, r.BootFileName == d.Boot, length)
		require.Equal(t, !inHeader, r.BootFileName == "", length)
	}
}

// Which messages are answered on which port.
func TestMessages(t *testing.T) {
	bios := firmware("PXEClient", 0)
	for name, c := range map[string]struct {
		port   int
		change []dhcpv4.Modifier
		want   dhcpv4.MessageType // 0 = none
	}{
		"DISCOVER on 67": {PortDHCP, nil, dhcpv4.MessageTypeOffer},
		// RFC 2131 section 4.3.2: a DHCPREQUEST is for the server that it names;
		// in proxy mode never ours.
		"REQUEST on 67": {PortDHCP, []dhcpv4.Modifier{kind(dhcpv4.MessageTypeRequest)}, 0},
		"REQUEST on 67 that names us": {PortDHCP, []dhcpv4.Modifier{kind(dhcpv4.MessageTypeRequest),
			dhcpv4.WithOption(dhcpv4.OptServerIdentifier(net.IP(server.AsSlice())))}, 0},
		"INFORM on 67":   {PortDHCP, []dhcpv4.Modifier{kind(dhcpv4.MessageTypeInform)}, 0},
		"RELEASE on 67":  {PortDHCP, []dhcpv4.Modifier{kind(dhcpv4.MessageTypeRelease)}, 0},
		"DECLINE on 67":  {PortDHCP, []dhcpv4.Modifier{kind(dhcpv4.MessageTypeDecline)}, 0},
		"OFFER on 67":    {PortDHCP, []dhcpv4.Modifier{kind(dhcpv4.MessageTypeOffer)}, 0},
		"BOOTP on 67":    {PortDHCP, []dhcpv4.Modifier{without(dhcpv4.OptionDHCPMessageType)}, 0},
		"no request":     {PortDHCP, []dhcpv4.Modifier{func(m *dhcpv4.DHCPv4) { m.OpCode = dhcpv4.OpcodeBootReply }}, 0},
		"Infiniband":     {PortDHCP, []dhcpv4.Modifier{dhcpv4.WithHWType(iana.HWTypeInfiniband)}, 0},
		"short hardware": {PortDHCP, []dhcpv4.Modifier{dhcpv4.WithHwAddr(net.HardwareAddr{1, 2, 3})}, 0},
		// PXE 2.1 section 2.2: on 4011 the client asks one server for its file.
		"REQUEST on 4011":  {PortBoot, []dhcpv4.Modifier{kind(dhcpv4.MessageTypeRequest)}, dhcpv4.MessageTypeAck},
		"INFORM on 4011":   {PortBoot, []dhcpv4.Modifier{kind(dhcpv4.MessageTypeInform)}, dhcpv4.MessageTypeAck},
		"DISCOVER on 4011": {PortBoot, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r, d := Answer(packet(t, append([]dhcpv4.Modifier{bios}, c.change...)...), c.port, settings(t))
			if c.want == 0 {
				require.Nil(t, r)
				require.Equal(t, Ignored, d.Action)
				return
			}
			require.Equal(t, c.want, r.MessageType())
			require.Equal(t, "undionly.kpxe", r.BootFileName)
		})
	}
}

func TestAcknowledgement(t *testing.T) {
	m := packet(t, firmware("PXEClient", 7), kind(dhcpv4.MessageTypeRequest), dhcpv4.WithClientIP(net.IP{10, 77, 0, 100}))
	for _, only := range []bool{false, true} { // on this port the file is there in either case
		s := settings(t)
		s.OnlyBootPort = only
		r, d := Answer(m, PortBoot, s)
		require.Equal(t, Decision{Action: Acknowledged, Loader: PXE, Arch: "EFI x86-64", Boot: "snponly.efi"}, d)
		require.Equal(t, dhcpv4.MessageTypeAck, r.MessageType())
		require.Equal(t, "10.77.0.100", r.ClientIPAddr.String()) // RFC 2131 section 4.3.1, table 3: ciaddr of a DHCPACK
		require.True(t, r.YourIPAddr.IsUnspecified())            // PXE 2.1 section 2.2
		require.Equal(t, "snponly.efi", r.BootFileName)
		require.Equal(t, []byte{6, 1, 8, 255}, r.Options.Get(dhcpv4.OptionVendorSpecificInformation))
		require.Equal(t, uuid, r.Options.Get(dhcpv4.OptionClientMachineIdentifier))
	}
}

// An offer with neither file nor option 43 sends PXE clients to port 4011; HTTP
// boot clients know no such port.
func TestFileOnlyOnTheBootPort(t *testing.T) {
	s := settings(t)
	s.OnlyBootPort = true
	for _, c := range []dhcpv4.Modifier{firmware("PXEClient", 0), firmware("PXEClient", 7), func(m *dhcpv4.DHCPv4) { firmware("PXEClient", 0)(m); ipxe(m) }} {
		r, d := Answer(packet(t, c), PortDHCP, s)
		require.Equal(t, Offered, d.Action)
		require.Empty(t, d.Boot)
		require.Empty(t, r.BootFileName)
		require.False(t, r.Options.Has(dhcpv4.OptionBootfileName))
		require.False(t, r.Options.Has(dhcpv4.OptionVendorSpecificInformation))
		require.Equal(t, "PXEClient", r.ClassIdentifier())
		require.Equal(t, server.String(), r.ServerIdentifier().String())
		require.Equal(t, server.String(), r.ServerIPAddr.String())
	}
	r, _ := Answer(packet(t, firmware("HTTPClient", 16)), PortDHCP, s)
	require.Equal(t, "http://10.77.0.2:8080/boot/programs/snponly.efi", r.BootFileNameOption())
}

// RFC 4578 section 2.3: type 0 and 16 octets; anything else is not repeated, and
// the machine boots all the same.
func TestMachineIdentifier(t *testing.T) {
	for name, v := range map[string][]byte{"short": {0, 1}, "empty": {}, "type 1": append([]byte{1}, uuid[1:]...), "long": append(uuid[:17:17], 9)} {
		r, _ := Answer(packet(t, firmware("PXEClient", 0), generic(dhcpv4.OptionClientMachineIdentifier, v...)), PortDHCP, settings(t))
		require.NotNil(t, r, name)
		require.False(t, r.Options.Has(dhcpv4.OptionClientMachineIdentifier), name)
	}
	r, _ := Answer(packet(t, firmware("PXEClient", 0), without(dhcpv4.OptionClientMachineIdentifier)), PortDHCP, settings(t))
	require.NotNil(t, r)
}

// RFC 2131 section 2 and RFC 2132 section 9.10: no answer is larger than the
// client says it takes.
func TestSizeOfTheAnswer(t *testing.T) {
	long := generic(dhcpv4.OptionRelayAgentInformation, make([]byte, 250)...)
	longer := generic(dhcpv4.OptionClientIdentifier, make([]byte, 250)...)
	r, d := Answer(packet(t, firmware("PXEClient", 0), long, longer), PortDHCP, settings(t))
	require.Nil(t, r)
	require.Contains(t, d.Reason, "the client takes 548")
	r, _ = Answer(packet(t, firmware("PXEClient", 0), long, longer, dhcpv4.WithOption(dhcpv4.OptMaxMessageSize(1260))), PortDHCP, settings(t))
	require.NotNil(t, r)
	r, _ = Answer(packet(t, firmware("PXEClient", 0), dhcpv4.WithOption(dhcpv4.OptMaxMessageSize(1))), PortDHCP, settings(t))
	require.NotNil(t, r, "RFC 2132 section 9.10: 576 is the least that counts")
}

// RFC 2131 section 4.1: where an answer goes.
func TestDestination(t *testing.T) {
	from := netip.MustParseAddrPort("0.0.0.0:68")
	for name, c := range map[string]struct {
		from   netip.AddrPort
		port   int
		change dhcpv4.Modifier
		want   string
	}{
		"no address":              {from, PortDHCP, dhcpv4.WithBroadcast(false), "255.255.255.255:68"},
		"broadcast flag":          {from, PortDHCP, dhcpv4.WithBroadcast(true), "255.255.255.255:68"},
		"relay":                   {netip.MustParseAddrPort("10.9.9.9:67"), PortDHCP, dhcpv4.WithGatewayIP(net.IP{10, 9, 9, 9}), "10.9.9.9:67"},
		"an address of its own":   {from, PortDHCP, dhcpv4.WithClientIP(net.IP{10, 77, 0, 100}), "10.77.0.100:68"},
		"EDK2 on 4011":            {netip.MustParseAddrPort("10.77.0.100:4011"), PortBoot, dhcpv4.WithBroadcast(false), "10.77.0.100:4011"},
		"iPXE on 4011":            {netip.MustParseAddrPort("10.77.0.100:68"), PortBoot, dhcpv4.WithClientIP(net.IP{10, 77, 0, 100}), "10.77.0.100:68"},
		"4011 without an address": {from, PortBoot, dhcpv4.WithBroadcast(true), "255.255.255.255:68"},
	} {
		to, err := destination(packet(t, c.change), c.from, c.port, server)
		require.NoError(t, err, name)
		require.Equal(t, c.want, to.String(), name)
	}
}

// What a packet says of relay and client is anybody's word: no answer goes to
// many, to ourselves, or to what is no address of a machine.
func TestDestinationsOfAStranger(t *testing.T) {
	from := netip.MustParseAddrPort("0.0.0.0:68")
	for _, ip := range []net.IP{{255, 255, 255, 255}, {224, 0, 0, 1}, {239, 1, 2, 3}, {127, 0, 0, 1}, server.AsSlice()} {
		for name, change := range map[string]dhcpv4.Modifier{"giaddr": dhcpv4.WithGatewayIP(ip), "ciaddr": dhcpv4.WithClientIP(ip)} {
			to, err := destination(packet(t, change), from, PortDHCP, server)
			require.Error(t, err, "%s %s: %s", name, ip, to)
		}
	}
	for _, source := range []string{"224.0.0.1:68", "10.77.0.100:0", server.String() + ":4011"} {
		_, err := destination(packet(t), netip.MustParseAddrPort(source), PortBoot, server)
		require.Error(t, err, source)
	}
}

func TestSettingsAreChecked(t *testing.T) {
	for name, change := range map[string]func(*Settings){
		"no address":    func(s *Settings) { s.Address = netip.Addr{} },
		"IPv6":          func(s *Settings) { s.Address = netip.MustParseAddr("fd77::1") },
		"every address": func(s *Settings) { s.Address = netip.IPv4Unspecified() },
		"no URL":        func(s *Settings) { s.BaseURL = "10.77.0.2:8080" },
		"long URL":      func(s *Settings) { s.BaseURL = "http://" + strings.Repeat("x", 220) },
	} {
		s := settings(t)
		change(&s)
		_, err := New(Config{Settings: s, Who: everybody{}})
		require.Error(t, err, name)
	}
	_, err := New(Config{Settings: settings(t)})
	require.Error(t, err, "somebody must know who may boot")
	_, err = New(Config{Settings: settings(t), Who: everybody{}})
	require.NoError(t, err)
}
