package health_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
)

// answer is what the test server gives to a command.
type answer struct {
	output string
	exit   uint32
	hang   bool // never end
}

// server is a real SSH server on loopback.
type server struct {
	hostKeys []ssh.Signer
	allowed  ssh.PublicKey
	user     string
	commands map[string]answer
	hangAuth chan struct{} // if set, a login waits for it

	mu  sync.Mutex
	ran []string
}

func newSigner(t *testing.T) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func newECDSA(t *testing.T) ssh.Signer {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func line(s ssh.Signer) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(s.PublicKey())))
}

// serve accepts connections until the test ends and gives the port.
func serve(t *testing.T, handle func(net.Conn)) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, l, handle)
}

// serveOn is serve on a listener, which it closes.
func serveOn(t *testing.T, l net.Listener, handle func(net.Conn)) int {
	t.Helper()
	var running sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	running.Add(1)
	go func() {
		defer running.Done()
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, conn)
			mu.Unlock()
			running.Add(1)
			go func() {
				defer running.Done()
				handle(conn)
			}()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	return l.Addr().(*net.TCPAddr).Port
}

func (s *server) start(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return s.startOn(t, l)
}

// startOn is start on a listener, which it closes.
func (s *server) startOn(t *testing.T, l net.Listener) int {
	t.Helper()
	config := &ssh.ServerConfig{
		PublicKeyCallback: func(meta ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if s.hangAuth != nil {
				<-s.hangAuth
			}
			if meta.User() != s.user || string(key.Marshal()) != string(s.allowed.Marshal()) {
				return nil, errors.New("no")
			}
			return nil, nil
		},
	}
	for _, k := range s.hostKeys {
		config.AddHostKey(k)
	}
	port := serveOn(t, l, func(conn net.Conn) {
		defer conn.Close()
		sc, channels, requests, err := ssh.NewServerConn(conn, config)
		if err != nil {
			return
		}
		defer sc.Close()
		go ssh.DiscardRequests(requests)
		for ch := range channels {
			go s.session(ch)
		}
	})
	if s.hangAuth != nil {
		// Registered last, so it runs before serve waits for its goroutines.
		t.Cleanup(func() { close(s.hangAuth) })
	}
	return port
}

func (s *server) session(nc ssh.NewChannel) {
	ch, requests, err := nc.Accept()
	if err != nil {
		return
	}
	for r := range requests {
		if r.Type != "exec" {
			_ = r.Reply(false, nil)
			continue
		}
		var p struct{ Command string }
		_ = ssh.Unmarshal(r.Payload, &p)
		_ = r.Reply(true, nil)
		s.mu.Lock()
		s.ran = append(s.ran, p.Command)
		s.mu.Unlock()
		a, ok := s.commands[p.Command]
		if !ok {
			a = answer{exit: 127}
		}
		if a.hang {
			continue
		}
		_, _ = ch.Write([]byte(a.output))
		_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{a.exit}))
		ch.Close()
	}
}

func (s *server) commandsRan() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.ran...)
}
