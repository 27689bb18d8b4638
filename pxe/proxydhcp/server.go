package proxydhcp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/slipwayhq/slipway/pxe/quiet"
)

// Who knows which machines may boot.
type Who interface {
	// Known reports whether a machine with this MAC address, in lower case with
	// colons, is to be told what to boot.
	Known(ctx context.Context, mac string) (bool, error)
}

// Config is what a Server is made of.
type Config struct {
	Settings Settings
	Who      Who
	Workers  int          // packets that are answered at once, 0 = 16
	Logger   *slog.Logger // nil = slog.Default()
}

// Server is a proxyDHCP server.
type Server struct {
	set   Settings
	who   Who
	log   *slog.Logger
	noise *quiet.Log // what strangers cause
	free  chan struct{}
	count counters
}

// New makes a server; settings that cannot work are an error.
func New(c Config) (*Server, error) {
	if err := c.Settings.Check(); err != nil {
		return nil, err
	}
	if c.Who == nil {
		return nil, errors.New("proxyDHCP: nobody knows who may boot")
	}
	s := &Server{set: c.Settings, who: c.Who, log: c.Logger, free: make(chan struct{}, cmp.Or(c.Workers, 16))}
	if s.log == nil {
		s.log = slog.Default()
	}
	s.noise = quiet.New(s.log, time.Now)
	return s, nil
}

// Stats is what a server has done since it was made.
type Stats struct {
	Packets      int64 // that came in on either port
	Offered      int64
	Acknowledged int64
	Unknown      int64 // of machines that may not boot
	Dropped      int64 // while all workers were busy
	Malformed    int64
	Failed       int64 // could not be looked up or sent
}

type counters struct {
	packets, offered, acknowledged, unknown, dropped, malformed, failed atomic.Int64
}

// Stats reads the counters.
func (s *Server) Stats() Stats {
	c := &s.count
	return Stats{
		Packets: c.packets.Load(), Offered: c.offered.Load(), Acknowledged: c.acknowledged.Load(), Unknown: c.unknown.Load(),
		Dropped: c.dropped.Load(), Malformed: c.malformed.Load(), Failed: c.failed.Load(),
	}
}

// Serve answers on both ports until ctx ends, and closes them.
func (s *Server) Serve(ctx context.Context, l *Listener) error {
	var workers sync.WaitGroup
	failed := make(chan error, 2)
	for port, conn := range map[int]*net.UDPConn{PortDHCP: l.dhcp, PortBoot: l.boot} {
		go func() { failed <- s.read(ctx, conn, port, &workers) }()
	}
	var err error
	left := 2
	select {
	case <-ctx.Done():
	case err = <-failed:
		left--
	}
	err = errors.Join(err, l.Close())
	for range left {
		err = errors.Join(err, <-failed)
	}
	workers.Wait()
	if err != nil {
		return fmt.Errorf("proxyDHCP: %w", err)
	}
	return nil
}

// read takes packets until the socket is closed.
func (s *Server) read(ctx context.Context, conn *net.UDPConn, port int, workers *sync.WaitGroup) error {
	for {
		buf := make([]byte, 2048) // a DHCP message fits into an Ethernet frame
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading port %d: %w", port, err)
		}
		s.count.packets.Add(1)
		select {
		case s.free <- struct{}{}:
		default:
			s.count.dropped.Add(1) // the machine asks again
			continue
		}
		workers.Go(func() {
			defer func() { <-s.free }()
			s.handle(ctx, buf[:n], from, port, func(reply []byte, to netip.AddrPort) error {
				return send(conn, reply, s.set.Address, to)
			})
		})
	}
}

// patience is how long it may take to find out who a machine is. After that it
// has asked again.
const patience = 3 * time.Second

// handle answers a packet.
func (s *Server) handle(ctx context.Context, packet []byte, from netip.AddrPort, port int, send func([]byte, netip.AddrPort) error) {
	defer func() {
		// Packets come from anybody and another's library takes them apart: what
		// it does not expect must not end the process.
		if r := recover(); r != nil {
			s.count.failed.Add(1)
			s.noise.Log(ctx, slog.LevelError, "proxyDHCP: a packet could not be handled", "from", from, "panic", r, "stack", string(debug.Stack()))
		}
	}()
	m, err := dhcpv4.FromBytes(packet)
	if err != nil {
		s.count.malformed.Add(1)
		s.log.Debug("proxyDHCP: not a DHCP packet", "from", from, "error", err)
		return
	}
	reply, d := Answer(m, port, s.set)
	mac := m.ClientHWAddr.String()
	attrs := []any{"mac", mac, "port", port, "loader", d.Loader, "arch", d.Arch}
	if reply == nil {
		level := slog.LevelDebug
		if d.Loader != "" { // it wants to boot from the network
			level = slog.LevelInfo
		}
		s.noise.Log(ctx, level, "proxyDHCP: not answered", append(attrs, "reason", d.Reason)...)
		return
	}
	ask, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	known, err := s.who.Known(ask, mac)
	switch {
	case err != nil:
		s.count.failed.Add(1)
		s.noise.Log(ctx, slog.LevelWarn, "proxyDHCP: cannot find out who a machine is", append(attrs, "error", err)...)
		return
	case !known:
		s.count.unknown.Add(1)
		s.noise.Log(ctx, slog.LevelDebug, "proxyDHCP: not answered", append(attrs, "reason", "no deployment waits for this machine")...)
		return
	}
	to, err := destination(m, from, port, s.set.Address)
	if err != nil {
		s.count.malformed.Add(1)
		s.noise.Log(ctx, slog.LevelInfo, "proxyDHCP: not answered", append(attrs, "reason", err)...)
		return
	}
	if err := send(reply.ToBytes(), to); err != nil {
		s.count.failed.Add(1)
		s.noise.Log(ctx, slog.LevelWarn, "proxyDHCP: cannot send", append(attrs, "to", to, "error", err)...)
		return
	}
	if d.Action == Acknowledged {
		s.count.acknowledged.Add(1)
	} else {
		s.count.offered.Add(1)
	}
	s.noise.Log(ctx, slog.LevelInfo, "proxyDHCP: a machine was told what to boot", append(attrs, "answer", d.Action, "boot", d.Boot, "to", to)...)
}
