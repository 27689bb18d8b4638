package tftp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
)

// Opcodes and error codes of RFC 1350 section 5.
const (
	opRead  = 1
	opWrite = 2
	opError = 5

	codeAccess  = 2 // Access violation.
	codeIllegal = 4 // Illegal TFTP operation.
)

// answer gives the ERROR packet for a packet that is no read request, nil if it
// is to be passed over: an ERROR is never answered (RFC 1350 section 7 ends a
// connection with it), or two servers could talk for ever; neither is what is
// too short to be a packet.
func answer(packet []byte) (reply []byte, write bool) {
	if len(packet) < 4 {
		return nil, false
	}
	switch binary.BigEndian.Uint16(packet) {
	case opError:
		return nil, false
	case opWrite:
		return errorPacket(codeAccess, "this server is read-only"), true
	default:
		return errorPacket(codeIllegal, "this port takes read requests only"), false
	}
}

func errorPacket(code uint16, text string) []byte {
	b := binary.BigEndian.AppendUint16(nil, opError)
	b = binary.BigEndian.AppendUint16(b, code)
	return append(append(b, text...), 0)
}

// refuse answers everything but read requests, until the socket is closed.
func (s *Server) refuse(conn *net.UDPConn) error {
	if conn == nil { // there is no second socket on this system
		return nil
	}
	buf := make([]byte, 1024)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading requests: %w", err)
		}
		reply, write := answer(buf[:n])
		ip := from.Addr().Unmap().WithZone("")
		if write {
			s.count.refused.Add(1)
		} else {
			s.count.malformed.Add(1)
		}
		if reply == nil || !s.mayAnswer(ip) {
			continue
		}
		if write {
			s.noise.Log(context.Background(), slog.LevelWarn, "tftp write request refused", "client", ip)
		}
		// Whoever cannot be reached is not told.
		_, _ = conn.WriteToUDPAddrPort(reply, from)
	}
}

// mayAnswer takes from the address's budget of requests.
func (s *Server) mayAnswer(ip netip.Addr) bool {
	release, err := s.limits.admit(ip, s.now())
	if err != nil {
		return false
	}
	release()
	return true
}
