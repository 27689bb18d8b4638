package health_test

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/slipwayhq/slipway/deploy/health"
	"golang.org/x/crypto/ssh"
)

const (
	oldBoot = "11111111-2222-3333-4444-555555555555"
	newBoot = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
	readID  = "cat /proc/sys/kernel/random/boot_id"
)

// soon ends the step in which a peer is silent; the steps before may take their
// time, on a machine that is busy.
const soon, patience = 300 * time.Millisecond, 2 * time.Minute

var (
	silentAtFirst = health.Timeouts{Dial: patience, Banner: soon, Auth: patience, Command: patience}
	silentAtLogin = health.Timeouts{Dial: patience, Banner: patience, Auth: soon, Command: patience}
	silentInside  = health.Timeouts{Dial: patience, Banner: patience, Auth: patience, Command: soon}
)

type world struct {
	key    ssh.Signer
	server *server
	target health.Target
}

func newWorld(t *testing.T) *world {
	key, host := newSigner(t), newSigner(t)
	return &world{
		key: key,
		server: &server{
			hostKeys: []ssh.Signer{host}, allowed: key.PublicKey(), user: "root",
			commands: map[string]answer{readID: {output: newBoot + "\n"}},
		},
		target: health.Target{Host: "127.0.0.1", HostKey: line(host), BootIDBefore: oldBoot},
	}
}

func TestCheck(t *testing.T) {
	cases := []struct {
		name      string
		change    func(t *testing.T, w *world)
		timeouts  health.Timeouts
		want      health.Class
		permanent bool
		bootID    string
		says      string
	}{
		{name: "right machine, restarted", want: health.ClassOK, bootID: newBoot},
		{name: "boot id before not known", change: func(_ *testing.T, w *world) { w.target.BootIDBefore = "" }, want: health.ClassOK, bootID: newBoot},
		{name: "another user", change: func(_ *testing.T, w *world) { w.target.User, w.server.user = "nutanix", "nutanix" }, want: health.ClassOK, bootID: newBoot},
		{name: "not restarted", change: func(_ *testing.T, w *world) { w.target.BootIDBefore = newBoot }, want: health.ClassNotRestarted, bootID: newBoot},
		{name: "no boot id, but commands run", change: func(_ *testing.T, w *world) {
			w.server.commands = map[string]answer{"true": {}}
		}, want: health.ClassOK},
		{name: "boot id is no boot id", change: func(_ *testing.T, w *world) {
			w.server.commands = map[string]answer{readID: {output: strings.Repeat("x y ", 5000)}, "true": {}}
		}, want: health.ClassOK},
		{name: "no command runs", change: func(_ *testing.T, w *world) { w.server.commands = nil }, want: health.ClassCommandFailed, says: "true"},
		{name: "command hangs", change: func(_ *testing.T, w *world) {
			w.server.commands[readID] = answer{hang: true}
		}, timeouts: silentInside, want: health.ClassTimeout, says: readID},
		{name: "wrong host key", change: func(t *testing.T, w *world) { w.target.HostKey = line(newSigner(t)) }, want: health.ClassWrongHost, permanent: true, says: "another host key"},
		{name: "host key of another type", change: func(t *testing.T, w *world) { w.target.HostKey = line(newECDSA(t)) }, want: health.ClassWrongHost, permanent: true, says: "ecdsa-sha2-nistp256"},
		{name: "several host keys, ours among them", change: func(t *testing.T, w *world) {
			other := newECDSA(t)
			w.server.hostKeys = append([]ssh.Signer{other}, w.server.hostKeys...)
		}, want: health.ClassOK, bootID: newBoot},
		{name: "no host key reported", change: func(_ *testing.T, w *world) { w.target.HostKey = "" }, want: health.ClassWrongHost, permanent: true, says: "not reported"},
		{name: "host key is garbage", change: func(_ *testing.T, w *world) { w.target.HostKey = "ssh-ed25519 AAAA" }, want: health.ClassWrongHost, permanent: true},
		{name: "key not accepted", change: func(t *testing.T, w *world) { w.server.allowed = newSigner(t).PublicKey() }, want: health.ClassAuthFailed, says: "user root"},
		{name: "login hangs", change: func(_ *testing.T, w *world) { w.server.hangAuth = make(chan struct{}) }, timeouts: silentAtLogin, want: health.ClassTimeout, says: "logging in"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			if c.change != nil {
				c.change(t, w)
			}
			w.target.Port = w.server.start(t)
			checker := &health.Checker{Key: w.key, Timeouts: c.timeouts}
			got := checker.Check(t.Context(), w.target)
			if got.Class != c.want || got.Permanent() != c.permanent || got.BootID != c.bootID || !strings.Contains(got.Message, c.says) {
				t.Fatalf("got %+v (permanent %v), want %s", got, got.Permanent(), c.want)
			}
			if got.OK() == (got.Hint != "") {
				t.Fatalf("a failure has a hint and a success has none: %+v", got)
			}
			if ran := w.server.commandsRan(); c.want == health.ClassWrongHost && len(ran) > 0 {
				t.Fatalf("commands %q were sent to a machine that is not ours", ran)
			}
		})
	}
}

func TestIPv6(t *testing.T) {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skipf("this machine has no IPv6 loopback: %v", err)
	}
	w := newWorld(t)
	w.target.Host, w.target.Port = "::1", w.server.startOn(t, l)
	if got := (&health.Checker{Key: w.key}).Check(t.Context(), w.target); !got.OK() || got.BootID != newBoot {
		t.Fatalf("got %+v", got)
	}
}

// The key that was shown is told, whether it was the right one or not: it is
// what is pinned at first sight, and what an operator may trust afterwards.
func TestTheKeyThatWasShown(t *testing.T) {
	check := func(t *testing.T, change func(w *world)) (health.Result, *world) {
		w := newWorld(t)
		change(w)
		w.target.Port = w.server.start(t)
		return (&health.Checker{Key: w.key}).Check(t.Context(), w.target), w
	}
	t.Run("first sight", func(t *testing.T) {
		got, w := check(t, func(w *world) { w.target.HostKey, w.target.TrustFirst = "", true })
		want := line(w.server.hostKeys[0])
		if !got.OK() || got.HostKey != want || got.Fingerprint != health.Fingerprint(want) || !strings.HasPrefix(got.Fingerprint, "SHA256:") {
			t.Fatalf("got %+v, want %s", got, want)
		}
	})
	t.Run("first sight does not weaken a pin", func(t *testing.T) {
		got, w := check(t, func(w *world) { w.target.HostKey, w.target.TrustFirst = line(newSigner(t)), true })
		if got.Class != health.ClassWrongHost || got.HostKey != line(w.server.hostKeys[0]) {
			t.Fatalf("got %+v", got)
		}
	})
	t.Run("a key of another type", func(t *testing.T) {
		got, w := check(t, func(w *world) { w.target.HostKey = line(newECDSA(t)) })
		if got.Class != health.ClassWrongHost || got.HostKey != line(w.server.hostKeys[0]) {
			t.Fatalf("got %+v", got)
		}
		if ran := w.server.commandsRan(); len(ran) > 0 {
			t.Fatalf("commands %q were sent", ran)
		}
	})
	t.Run("not accepted at first sight", func(t *testing.T) {
		got, w := check(t, func(w *world) {
			w.target.HostKey, w.target.TrustFirst, w.server.allowed = "", true, newSigner(t).PublicKey()
		})
		if got.Class != health.ClassAuthFailed || got.HostKey != line(w.server.hostKeys[0]) {
			t.Fatalf("got %+v", got)
		}
	})
}

// A wrong machine must not even be offered our key.
func TestWrongHostSeesNoLogin(t *testing.T) {
	w := newWorld(t)
	asked := make(chan struct{}, 1)
	config := &ssh.ServerConfig{PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) {
		asked <- struct{}{}
		return nil, errors.New("no")
	}}
	config.AddHostKey(newSigner(t))
	done := make(chan struct{})
	w.target.Port = serve(t, func(conn net.Conn) {
		defer close(done)
		defer conn.Close()
		if _, _, _, err := ssh.NewServerConn(conn, config); err == nil {
			t.Error("somebody logged in")
		}
	})
	if got := (&health.Checker{Key: w.key}).Check(t.Context(), w.target); got.Class != health.ClassWrongHost {
		t.Fatalf("got %+v", got)
	}
	<-done
	if len(asked) > 0 {
		t.Fatal("our key was offered to a machine with a wrong host key")
	}
}

func TestSilentAndStrangePeers(t *testing.T) {
	t.Run("accepts and never speaks", func(t *testing.T) {
		w := newWorld(t)
		w.target.Port = serve(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
		got := (&health.Checker{Key: w.key, Timeouts: silentAtFirst}).Check(t.Context(), w.target)
		if got.Class != health.ClassTimeout || !strings.Contains(got.Message, "handshake") {
			t.Fatalf("got %+v", got)
		}
	})
	t.Run("speaks something else", func(t *testing.T) {
		w := newWorld(t)
		w.target.Port = serve(t, func(conn net.Conn) {
			defer conn.Close()
			_, _ = conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n" + strings.Repeat("garbage\r\n", 10000)))
			_, _ = io.Copy(io.Discard, conn)
		})
		got := (&health.Checker{Key: w.key}).Check(t.Context(), w.target)
		if got.Class != health.ClassProtocol {
			t.Fatalf("got %+v", got)
		}
	})
	t.Run("closes at once", func(t *testing.T) {
		w := newWorld(t)
		w.target.Port = serve(t, func(conn net.Conn) { conn.Close() })
		got := (&health.Checker{Key: w.key}).Check(t.Context(), w.target)
		if got.Class != health.ClassProtocol && got.Class != health.ClassUnreachable {
			t.Fatalf("got %+v", got)
		}
	})
	t.Run("nothing listens", func(t *testing.T) {
		w := newWorld(t)
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		w.target.Port = l.Addr().(*net.TCPAddr).Port
		l.Close()
		got := (&health.Checker{Key: w.key}).Check(t.Context(), w.target)
		if got.Class != health.ClassRefused {
			t.Fatalf("got %+v", got)
		}
	})
}

func TestDialFailures(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want health.Class
	}{
		"no route":  {&net.OpError{Op: "dial", Err: syscall.EHOSTUNREACH}, health.ClassUnreachable},
		"refused":   {&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, health.ClassRefused},
		"timed out": {&net.OpError{Op: "dial", Err: syscall.ETIMEDOUT}, health.ClassTimeout},
		"deadline":  {context.DeadlineExceeded, health.ClassTimeout},
		"odd":       {errors.New("proxy says no"), health.ClassUnreachable},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			var asked []string
			checker := &health.Checker{Key: w.key, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
				if _, ok := ctx.Deadline(); !ok {
					t.Error("the dial has no deadline")
				}
				asked = append(asked, network+" "+address)
				return nil, c.err
			}}
			w.target.Host = "fd00::7"
			got := checker.Check(t.Context(), w.target)
			if got.Class != c.want || got.Permanent() {
				t.Fatalf("got %+v, want %s", got, c.want)
			}
			if !slices.Equal(asked, []string{"tcp [fd00::7]:22"}) {
				t.Fatalf("dialled %q", asked)
			}
		})
	}
}

// A caller that gives up ends the check at once, whatever the peer does.
func TestCanceledWhileSilent(t *testing.T) {
	w := newWorld(t)
	accepted := make(chan struct{})
	w.target.Port = serve(t, func(conn net.Conn) {
		close(accepted)
		_, _ = io.Copy(io.Discard, conn)
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-accepted
		cancel()
	}()
	if got := (&health.Checker{Key: w.key}).Check(ctx, w.target); got.Class != health.ClassCanceled || got.Permanent() {
		t.Fatalf("got %+v", got)
	}
}
