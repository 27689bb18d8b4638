package tftp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// The sockets' places in the group that shares the port: the order of bind(2).
// A packet that is too short for the filter goes to the first.
const (
	placeRest  = 0
	placeReads = 1
)

// open binds both sockets and tells the kernel how to sort. Packets that come
// between the two steps go to either; firmware asks again.
func open(ctx context.Context, network, address string) (*Listener, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return control(c, func(fd int) error { return prepare(fd, network) })
	}}
	if err := free(ctx, network, address); err != nil {
		return nil, err
	}
	rest, err := packetConn(ctx, lc, network, address)
	if err != nil {
		return nil, err
	}
	reads, err := packetConn(ctx, lc, network, rest.LocalAddr().String())
	if err != nil {
		return nil, errors.Join(err, rest.Close())
	}
	l := &Listener{reads: reads, rest: rest}
	raw, err := reads.SyscallConn()
	if err == nil {
		err = control(raw, sortRequests)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("sorting requests: %w", err), l.Close())
	}
	return l, nil
}

// prepare lets a socket share its port, and has the kernel note with every packet
// where it came in. The library asks for that too, but only once it serves: a
// request that came before would get blocks of 512 bytes, and perhaps an answer
// from the wrong address.
func prepare(fd int, network string) error {
	note := [2]int{unix.IPPROTO_IP, unix.IP_PKTINFO}
	if network == "udp6" {
		note = [2]int{unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO}
	}
	return os.NewSyscallError("setsockopt", errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1),
		unix.SetsockoptInt(fd, note[0], note[1], 1)))
}

// free finds out whether somebody has the port: sockets that share a port would
// also share it with a server of the same user that does so, and each would get
// a part of the requests.
func free(ctx context.Context, network, address string) error {
	alone, err := packetConn(ctx, net.ListenConfig{}, network, address)
	if err != nil {
		return err
	}
	return alone.Close()
}

// sortRequests attaches the filter to the group: a classic BPF program that
// gives the place of the socket (SO_ATTACH_REUSEPORT_CBPF in socket(7)). It sees
// the UDP payload, which begins with TFTP's opcode (RFC 1350 section 5).
func sortRequests(fd int) error {
	program := [...]unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_ABS, K: 0},                     // opcode; too short: place 0
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 0, Jf: 1, K: opRead}, // RRQ?
		{Code: unix.BPF_RET | unix.BPF_K, K: placeReads},
		{Code: unix.BPF_RET | unix.BPF_K, K: placeRest},
	}
	err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF, &unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
	return os.NewSyscallError("setsockopt SO_ATTACH_REUSEPORT_CBPF", err)
}

// control runs f on a connection's descriptor.
func control(c syscall.RawConn, f func(fd int) error) error {
	var failed error
	if err := c.Control(func(fd uintptr) { failed = f(int(fd)) }); err != nil {
		return err
	}
	return failed
}
