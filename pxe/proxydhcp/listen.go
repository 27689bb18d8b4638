package proxydhcp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// Listener is the two ports of one interface.
type Listener struct {
	dhcp, boot *net.UDPConn
}

// Close closes both ports; a second time is no error.
func (l *Listener) Close() error {
	var errs []error
	for _, c := range []*net.UDPConn{l.dhcp, l.boot} {
		if err := c.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Address finds the first IPv4 address of an interface, for servers that are
// told none.
func Address(name string) (netip.Addr, error) {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("interface %s: %w", name, err)
	}
	addrs, err := i.Addrs()
	if err != nil {
		return netip.Addr{}, fmt.Errorf("interface %s: %w", name, err)
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() {
			return p.Addr(), nil
		}
	}
	return netip.Addr{}, fmt.Errorf("interface %s has no IPv4 address", name)
}
