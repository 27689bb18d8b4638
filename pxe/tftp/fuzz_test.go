package tftp

import (
	"encoding/binary"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/pxe/program"
)

func h4(i int) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(i))
	return netip.AddrFrom4(b)
}

func addrPort(t *testing.T, s string) netip.AddrPort {
	t.Helper()
	a, err := netip.ParseAddrPort(s)
	require.NoError(t, err)
	return a
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	return b
}

// FuzzRequest sends whatever the fuzzer makes to a real server on loopback.
// Whatever it is, the server still answers afterwards, never serves what is not
// in the set, and its answers to what is no read request are well formed.
func FuzzRequest(f *testing.F) {
	for _, packet := range [][]byte{
		request(opRead, small), request(opRead, "/"+small, "blksize", "1432", "tsize", "0"), request(opRead, "../"+small),
		request(opRead, small, "blksize", strings.Repeat("9", 400)), request(opRead, "", "tsize", strings.Repeat("A", 480), "blksize", "+513"),
		request(opWrite, small), {0, 1}, {0, 1, 0, 0}, {0, 3, 0, 1}, {0, 5, 0, 0, 0}, {0, 6, 0, 0}, {},
	} {
		f.Add(packet)
	}
	p, err := program.New(small, "1", time.Unix(0, 0), content(1000))
	if err != nil {
		f.Fatal(err)
	}
	server := New(Config{Programs: program.NewSet(p), Logger: slog.New(slog.DiscardHandler), Timeout: time.Millisecond, Retries: 1, PerClient: math.MaxInt, Total: math.MaxInt, PerSecond: math.MaxInt32, Burst: math.MaxInt32})
	l, err := Listen(f.Context(), "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	ended := make(chan error, 1)
	ctx := f.Context()
	go func() { ended <- server.Serve(ctx, l) }()
	f.Cleanup(func() {
		if err := <-ended; err != nil {
			f.Error(err)
		}
	})
	to := net.UDPAddrFromAddrPort(l.Addr())
	f.Fuzz(func(t *testing.T, packet []byte) {
		if name, ok := programName(string(packet)); ok {
			require.True(t, program.ValidName(name))
			require.NotContains(t, name, "/")
		}
		require.NotContains(t, printable(string(packet)), "\n")
		if reply, _ := answer(packet); reply != nil {
			require.Equal(t, uint16(opError), binary.BigEndian.Uint16(reply))
		}
		odd, err := net.DialUDP("udp4", nil, to)
		require.NoError(t, err)
		defer odd.Close()
		if len(packet) < 60_000 {
			_, err = odd.Write(packet)
			require.NoError(t, err)
		}
		alive := newPeer(t, "127.0.0.1")
		alive.ask(l.Addr(), "is anybody there")
		code, _ := alive.refused()
		require.Equal(t, uint16(1), code)
	})
}
