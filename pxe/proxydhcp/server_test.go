package proxydhcp

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/stretchr/testify/require"
)

type everybody struct{}

func (everybody) Known(context.Context, string) (bool, error) { return true, nil }

// guests knows some machines and notes who was asked for.
type guests struct {
	known map[string]bool
	err   error
	asked []string
}

func (g *guests) Known(_ context.Context, mac string) (bool, error) {
	g.asked = append(g.asked, mac)
	return g.known[mac], g.err
}

// sent is what a server sent for a packet.
func sent(t *testing.T, s *Server, packet []byte, port int) (replies []*dhcpv4.DHCPv4) {
	t.Helper()
	s.handle(t.Context(), packet, netip.MustParseAddrPort("0.0.0.0:68"), port, func(reply []byte, to netip.AddrPort) error {
		require.Equal(t, "255.255.255.255:68", to.String())
		m, err := dhcpv4.FromBytes(reply)
		require.NoError(t, err)
		replies = append(replies, m)
		return nil
	})
	return replies
}

// Only machines that are known are answered, and nobody is looked up who would
// not be answered anyway.
func TestOnlyKnownMachines(t *testing.T) {
	who := &guests{known: map[string]bool{"52:54:00:00:00:0a": true}}
	s, err := New(Config{Settings: settings(t), Who: who})
	require.NoError(t, err)
	bios := firmware("PXEClient", 0)
	require.Len(t, sent(t, s, packet(t, bios).ToBytes(), PortDHCP), 1)
	require.Empty(t, sent(t, s, packet(t, bios, dhcpv4.WithHwAddr([]byte{2, 0, 0, 0, 0, 1})).ToBytes(), PortDHCP))
	require.Equal(t, []string{"52:54:00:00:00:0a", "02:00:00:00:00:01"}, who.asked)
	require.Empty(t, sent(t, s, packet(t).ToBytes(), PortDHCP), "it does not boot from the network")
	require.Empty(t, sent(t, s, packet(t, bios, kind(dhcpv4.MessageTypeRequest)).ToBytes(), PortDHCP))
	require.Len(t, who.asked, 2)
	require.Len(t, sent(t, s, packet(t, bios, kind(dhcpv4.MessageTypeRequest)).ToBytes(), PortBoot), 1)

	who.err = errors.New("the database is away")
	require.Empty(t, sent(t, s, packet(t, bios).ToBytes(), PortDHCP), "when in doubt, no answer")
	for _, junk := range [][]byte{nil, {1}, make([]byte, 240), packet(t, bios).ToBytes()[:250]} {
		require.Empty(t, sent(t, s, junk, PortDHCP))
	}
	require.Equal(t, Stats{Offered: 1, Acknowledged: 1, Unknown: 1, Failed: 1, Malformed: 4}, s.Stats())
}

type trouble struct{}

func (trouble) Known(context.Context, string) (bool, error) { panic("not foreseen") }

// Whatever goes wrong with one packet, the process goes on.
func TestPanicIsContained(t *testing.T) {
	s, err := New(Config{Settings: settings(t), Who: trouble{}})
	require.NoError(t, err)
	require.Empty(t, sent(t, s, packet(t, firmware("PXEClient", 0)).ToBytes(), PortDHCP))
	require.Equal(t, int64(1), s.Stats().Failed)
}

// FuzzPacket gives Answer whatever the DHCP library takes for a packet. Nothing
// panics; no answer gives an address, goes to somebody who does not boot from
// the network, or is larger than a frame; and every one can be read back.
func FuzzPacket(f *testing.F) {
	for _, m := range []*dhcpv4.DHCPv4{
		packet(f, firmware("PXEClient", 0)), packet(f, firmware("PXEClient", 7), ipxe), packet(f, firmware("HTTPClient", 16)),
		packet(f, firmware("PXEClient", 9), kind(dhcpv4.MessageTypeRequest)), packet(f), packet(f, generic(dhcpv4.OptionUserClassInformation)),
		packet(f, firmware("PXEClient", 11), generic(dhcpv4.OptionClientSystemArchitectureType, 0)),
	} {
		f.Add(m.ToBytes(), true, false)
		f.Add(m.ToBytes(), false, true)
	}
	base := settings(f)
	f.Fuzz(func(t *testing.T, raw []byte, dhcp, only bool) {
		m, err := dhcpv4.FromBytes(raw)
		if err != nil {
			return
		}
		s, port := base, PortBoot
		s.OnlyBootPort = only
		if dhcp {
			port = PortDHCP
		}
		r, d := Answer(m, port, s)
		to, err := destination(m, netip.MustParseAddrPort("10.77.0.100:68"), port, server)
		require.Equal(t, err == nil, to.IsValid())
		require.False(t, to.Addr().IsMulticast() || to.Addr().IsLoopback() || to.Addr() == server)
		if r == nil {
			require.Equal(t, Ignored, d.Action)
			require.NotEmpty(t, d.Reason)
			return
		}
		require.Empty(t, d.Reason)
		out := r.ToBytes()
		require.LessOrEqual(t, len(out), 1472)
		back, err := dhcpv4.FromBytes(out)
		require.NoError(t, err)
		require.True(t, back.YourIPAddr.IsUnspecified())
		require.Equal(t, dhcpv4.OpcodeBootReply, back.OpCode)
		require.Equal(t, m.TransactionID, back.TransactionID)
		require.Contains(t, []string{"PXEClient", "HTTPClient"}, back.ClassIdentifier())
		require.Contains(t, m.ClassIdentifier(), back.ClassIdentifier())
		if port == PortDHCP {
			require.Equal(t, dhcpv4.MessageTypeDiscover, m.MessageType())
			require.Equal(t, dhcpv4.MessageTypeOffer, back.MessageType())
		} else {
			require.Equal(t, dhcpv4.MessageTypeAck, back.MessageType())
		}
	})
}
