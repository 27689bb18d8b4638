package tftp

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/pxe/program"
)

// patience bounds every wait of these tests; nothing waits so long unless it is
// broken.
const patience = 2 * time.Minute

// house is a server on loopback with two programs.
type house struct {
	t      *testing.T
	server *Server
	addr   netip.AddrPort
	log    *records
	stop   context.CancelFunc
	ended  chan error
}

// content is what the program of a size contains.
func content(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i>>8) ^ byte(i)
	}
	return b
}

const (
	small = "undionly.kpxe" // 1000 bytes: two blocks
	even  = "even.kpxe"     // 1024 bytes: two full blocks and an empty one
	large = "large.kpxe"    // 200 kB
)

func newHouse(t *testing.T, c Config) *house {
	t.Helper()
	var list []program.Program
	for name, size := range map[string]int{small: 1000, even: 1024, large: 200_000} {
		p, err := program.New(name, "1", time.Unix(0, 0), content(size))
		require.NoError(t, err)
		list = append(list, p)
	}
	log := &records{}
	c.Programs, c.Logger = program.NewSet(list...), slog.New(log)
	h := &house{t: t, server: New(c), log: log, ended: make(chan error, 1)}
	l, err := Listen(t.Context(), "127.0.0.1:0")
	require.NoError(t, err)
	h.addr = l.Addr()
	ctx, cancel := context.WithCancel(context.Background())
	h.stop = cancel
	go func() { h.ended <- h.server.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-h.ended:
			require.NoError(t, err)
		case <-time.After(patience):
			t.Error("the server does not stop")
		}
	})
	return h
}

// until waits for the counters, which are set after the last packet.
func (h *house) until(what func(Stats) bool) Stats {
	h.t.Helper()
	require.Eventually(h.t, func() bool { return what(h.server.Stats()) }, patience, time.Millisecond)
	return h.server.Stats()
}

// peer is a TFTP client that does what the test says.
type peer struct {
	t    *testing.T
	conn *net.UDPConn
	from netip.AddrPort // of the last packet
}

func newPeer(t *testing.T, ip string) *peer {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(ip)})
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return &peer{t: t, conn: conn}
}

func (p *peer) send(to netip.AddrPort, packet []byte) {
	p.t.Helper()
	_, err := p.conn.WriteToUDPAddrPort(packet, to)
	require.NoError(p.t, err)
}

// receive gives the next packet.
func (p *peer) receive() []byte {
	p.t.Helper()
	b, ok := p.within(patience)
	require.True(p.t, ok, "no packet comes")
	return b
}

func (p *peer) within(d time.Duration) ([]byte, bool) {
	p.t.Helper()
	b := make([]byte, 66_000)
	require.NoError(p.t, p.conn.SetReadDeadline(time.Now().Add(d)))
	n, from, err := p.conn.ReadFromUDPAddrPort(b)
	if err != nil {
		return nil, false
	}
	p.from = from
	return b[:n], true
}

// ask sends a request: opcode, file, mode, options (RFC 1350 section 5, RFC 2347).
func (p *peer) ask(to netip.AddrPort, file string, options ...string) {
	p.t.Helper()
	p.send(to, request(opRead, file, options...))
}

func request(op uint16, file string, options ...string) []byte {
	b := binary.BigEndian.AppendUint16(nil, op)
	return append(b, strings.Join(append([]string{file, "octet"}, options...), "\x00")+"\x00"...)
}

func (p *peer) ack(block uint16) {
	p.t.Helper()
	p.send(p.from, binary.BigEndian.AppendUint16([]byte{0, 4}, block))
}

// data gives the next packet, which must be this block.
func (p *peer) data(block uint16) []byte {
	p.t.Helper()
	b := p.receive()
	require.Equal(p.t, []byte{0, 3, byte(block >> 8), byte(block)}, b[:4], "not DATA %d but %q", block, b)
	return b[4:]
}

// refused gives code and text of the ERROR packet that must be next.
func (p *peer) refused() (code uint16, text string) {
	p.t.Helper()
	b := p.receive()
	require.Equal(p.t, uint16(opError), binary.BigEndian.Uint16(b), "not an ERROR but %q", b)
	require.Equal(p.t, byte(0), b[len(b)-1], "RFC 1350 section 5: the message ends with a zero")
	return binary.BigEndian.Uint16(b[2:]), string(b[4 : len(b)-1])
}

// oack gives the options of the OACK packet that must be next (RFC 2347).
func (p *peer) oack() map[string]string {
	p.t.Helper()
	b := p.receive()
	require.Equal(p.t, uint16(6), binary.BigEndian.Uint16(b), "not an OACK but %q", b)
	parts := strings.Split(strings.TrimSuffix(string(b[2:]), "\x00"), "\x00")
	require.Zero(p.t, len(parts)%2)
	out := map[string]string{}
	for i := 0; i < len(parts); i += 2 {
		out[parts[i]] = parts[i+1]
	}
	return out
}

// rest takes all blocks from this one on.
func (p *peer) rest(block uint16, size int) []byte {
	p.t.Helper()
	var all bytes.Buffer
	for ; ; block++ {
		b := p.data(block)
		all.Write(b)
		p.ack(block)
		if len(b) < size {
			return all.Bytes()
		}
	}
}

// records keeps what was logged.
type records struct {
	mu   sync.Mutex
	list []string
}

func (*records) Enabled(context.Context, slog.Level) bool { return true }
func (r *records) WithAttrs([]slog.Attr) slog.Handler     { return r }
func (r *records) WithGroup(string) slog.Handler          { return r }

func (r *records) Handle(_ context.Context, rec slog.Record) error {
	line := rec.Level.String() + " " + rec.Message
	rec.Attrs(func(a slog.Attr) bool {
		if a.Key != "duration" {
			line += fmt.Sprintf(" %s=%v", a.Key, a.Value)
		} else if a.Value.Duration() > 0 {
			line += " duration"
		}
		return true
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, line)
	return nil
}

func (r *records) lines() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.list...)
}
