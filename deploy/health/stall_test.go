package health_test

import (
	"context"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/slipwayhq/slipway/deploy/health"
	"golang.org/x/crypto/ssh"
)

// Wherever a peer stops, the deadline of that step lies on the connection.
func TestPeersThatStopHalfWay(t *testing.T) {
	stop := func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }
	t.Run("after its version", func(t *testing.T) {
		w := newWorld(t)
		w.target.Port = serve(t, func(conn net.Conn) {
			_, _ = conn.Write([]byte("SSH-2.0-stalled\r\n"))
			stop(conn)
		})
		got := (&health.Checker{Key: w.key, Timeouts: silentAtFirst}).Check(t.Context(), w.target)
		if got.Class != health.ClassTimeout || !strings.Contains(got.Message, "handshake") {
			t.Fatalf("got %+v", got)
		}
	})
	t.Run("in the middle of the first packet", func(t *testing.T) {
		w := newWorld(t)
		w.target.Port = serve(t, func(conn net.Conn) {
			_, _ = conn.Write([]byte("SSH-2.0-stalled\r\n\x00\x00\x01\x00\x04"))
			stop(conn)
		})
		got := (&health.Checker{Key: w.key, Timeouts: silentAtFirst}).Check(t.Context(), w.target)
		if got.Class != health.ClassTimeout {
			t.Fatalf("got %+v", got)
		}
	})
	t.Run("after the login", func(t *testing.T) {
		w := newWorld(t)
		config := &ssh.ServerConfig{PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) { return &ssh.Permissions{}, nil }}
		config.AddHostKey(w.server.hostKeys[0])
		w.target.Port = serve(t, func(conn net.Conn) {
			sc, _, requests, err := ssh.NewServerConn(conn, config)
			if err != nil {
				return
			}
			go ssh.DiscardRequests(requests) // channels are asked for, and nobody answers
			_ = sc.Wait()
		})
		got := (&health.Checker{Key: w.key, Timeouts: silentInside}).Check(t.Context(), w.target)
		if got.Class != health.ClassTimeout || !strings.Contains(got.Message, readID) {
			t.Fatalf("got %+v", got)
		}
	})
}

// A machine with an IPv6 address is dialled as such, and the rest is the same.
func TestAnIPv6Target(t *testing.T) {
	for _, host := range []string{"fd00::7", "fe80::7%eth0"} {
		w := newWorld(t)
		port := w.server.start(t)
		w.target.Host, w.target.Port = host, 2222
		checker := &health.Checker{Key: w.key, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			if network != "tcp" || address != "["+host+"]:2222" {
				t.Errorf("dialled %s %s", network, address)
			}
			return (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		}}
		if got := checker.Check(t.Context(), w.target); got.Class != health.ClassOK || got.BootID != newBoot {
			t.Fatalf("%s: got %+v", host, got)
		}
	}
}
