package tftp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"github.com/slipwayhq/slipway/pxe/privilege"
)

// Listener is a TFTP port. Where the system can do it (Linux) two sockets share
// the port and the kernel sorts the packets: read requests to the one that the
// library serves, all others to one of ours. The library would open a socket and
// a goroutine for a write request and answer it with the wrong code, and it
// needs the socket itself, not something in front of it: that is how it learns
// which of the host's addresses a client has called, and the interface's MTU.
type Listener struct {
	reads *net.UDPConn
	rest  *net.UDPConn // nil where the kernel does not sort
}

// Listen opens a port, "" for the host being all addresses. A capability that
// is lacking is a *privilege.Missing.
func Listen(ctx context.Context, address string) (*Listener, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("tftp address: %w", err)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("tftp address %q: the port is not a number", address)
	}
	network := "udp4" // firmware boots over IPv4
	if ip, err := netip.ParseAddr(host); err == nil && ip.Is6() {
		network = "udp6"
	}
	l, err := open(ctx, network, address)
	if err != nil {
		return nil, fmt.Errorf("tftp on %s: %w", address, privilege.Port(err, int(number)))
	}
	return l, nil
}

// Addr is where the listener listens.
func (l *Listener) Addr() netip.AddrPort {
	udp, ok := l.reads.LocalAddr().(*net.UDPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	return udp.AddrPort()
}

// Close closes the port; a second time is no error.
func (l *Listener) Close() error {
	l.closeRest()
	if err := l.reads.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("closing: %w", err)
	}
	return nil
}

func (l *Listener) closeRest() {
	if l.rest != nil {
		_ = l.rest.Close() // nothing is buffered
	}
}

func packetConn(ctx context.Context, lc net.ListenConfig, network, address string) (*net.UDPConn, error) {
	conn, err := lc.ListenPacket(ctx, network, address)
	if err != nil {
		return nil, err
	}
	udp, ok := conn.(*net.UDPConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%s gives a %T", network, conn), conn.Close())
	}
	return udp, nil
}
