package proxydhcp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/slipwayhq/slipway/pxe/privilege"
)

// Listen opens both ports on an interface. Broadcasts come in and go out there
// and nowhere else. A capability that is lacking is a *privilege.Missing.
func Listen(ctx context.Context, name string) (*Listener, error) {
	dhcp, err := open(ctx, name, PortDHCP)
	if err != nil {
		return nil, fmt.Errorf("proxyDHCP: %w", err)
	}
	boot, err := open(ctx, name, PortBoot)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("proxyDHCP: %w", err), dhcp.Close())
	}
	return &Listener{dhcp: dhcp, boot: boot}, nil
}

// open opens a port on an interface. A DHCP server on the same host may have
// port 67 too: both get every broadcast if both allow it (SO_REUSEADDR in
// socket(7)), as dnsmasq and ISC's server do.
func open(ctx context.Context, name string, port int) (*net.UDPConn, error) {
	var binding error
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) {
			for _, option := range []int{unix.SO_REUSEADDR, unix.SO_BROADCAST} {
				failed = errors.Join(failed, unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, option, 1))
			}
			binding = unix.BindToDevice(int(fd), name)
		})
		return errors.Join(err, failed, binding)
	}}
	conn, err := lc.ListenPacket(ctx, "udp4", net.JoinHostPort("0.0.0.0", strconv.Itoa(port)))
	switch {
	case binding != nil:
		return nil, privilege.Interface(binding, name)
	case err != nil:
		return nil, privilege.Port(err, port)
	}
	udp, ok := conn.(*net.UDPConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("udp4 gives a %T", conn), conn.Close())
	}
	return udp, nil
}

// send sends an answer from the server's own address, which clients compare
// with what they were told: an interface may have several.
func send(conn *net.UDPConn, reply []byte, from netip.Addr, to netip.AddrPort) error {
	_, _, err := conn.WriteMsgUDPAddrPort(reply, unix.PktInfo4(&unix.Inet4Pktinfo{Spec_dst: from.As4()}), to)
	return err
}
