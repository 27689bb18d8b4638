package proxydhcp

import (
	"context"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// stuck is a database that answers when the test lets it.
type stuck struct{ open chan struct{} }

func (s stuck) Known(context.Context, string) (bool, error) {
	<-s.open
	return false, nil
}

// Whatever comes in while all workers are busy is dropped: it costs no goroutine,
// and the server goes on.
func TestFlood(t *testing.T) {
	const workers, packets = 4, 400
	who := stuck{make(chan struct{})}
	s, err := New(Config{Settings: settings(t), Who: who, Workers: workers})
	require.NoError(t, err)
	var l Listener
	for _, c := range []**net.UDPConn{&l.dhcp, &l.boot} {
		*c, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		require.NoError(t, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, &l) }()
	to, err := net.DialUDP("udp4", nil, l.dhcp.LocalAddr().(*net.UDPAddr))
	require.NoError(t, err)
	defer to.Close()
	until := func(what func(Stats) bool) {
		t.Helper()
		require.Eventually(t, func() bool { return what(s.Stats()) }, 2*time.Minute, time.Millisecond)
	}
	before := runtime.NumGoroutine()
	raw := packet(t, firmware("PXEClient", 0)).ToBytes()
	for n := range packets {
		_, err := to.Write(raw)
		require.NoError(t, err)
		until(func(s Stats) bool { return s.Packets == int64(n+1) }) // the kernel drops none
	}
	until(func(s Stats) bool { return s.Dropped == packets-workers })
	require.Less(t, runtime.NumGoroutine(), before+workers+20)
	close(who.open)
	until(func(s Stats) bool { return s.Unknown == workers })
	_, err = to.Write(raw)
	require.NoError(t, err)
	until(func(s Stats) bool { return s.Packets == packets+1 && s.Unknown+s.Dropped == packets+1 })
	cancel()
	require.NoError(t, <-ended)
}
