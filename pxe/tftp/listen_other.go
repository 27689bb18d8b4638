//go:build !linux

package tftp

import (
	"context"
	"net"
)

// open gives one socket: everything goes to the library, which refuses what is
// no read request in its own way.
func open(ctx context.Context, network, address string) (*Listener, error) {
	conn, err := packetConn(ctx, net.ListenConfig{}, network, address)
	if err != nil {
		return nil, err
	}
	return &Listener{reads: conn}, nil
}
