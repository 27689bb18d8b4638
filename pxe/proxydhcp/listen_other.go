//go:build !linux

package proxydhcp

import (
	"context"
	"errors"
	"net"
	"net/netip"
)

// Listen says that proxyDHCP is for Linux: a socket cannot be bound to an
// interface in the same way elsewhere.
func Listen(context.Context, string) (*Listener, error) {
	return nil, errors.New("proxyDHCP runs on Linux only")
}

func send(conn *net.UDPConn, reply []byte, _ netip.Addr, to netip.AddrPort) error {
	_, err := conn.WriteToUDPAddrPort(reply, to)
	return err
}
