package machine

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

// installed is what the disk says about the system on it: the files that the
// installer and post-install.sh left below target.
type installed struct {
	hostname string
	hostKey  ssh.Signer
	port     int
	keys     map[string][]ssh.PublicKey // by user
	cvm      *installedCVM              // nil without one
	cvmFault error                      // why the one that is there cannot start
}

// maxSystemFile is more than any of the files read has.
const maxSystemFile = 256 << 10

// readInstalled reads the installed system. The scripts wrote it as they liked,
// so it is read below target only, and nothing but regular files.
func readInstalled(root *os.Root) (*installed, error) {
	target, err := root.OpenRoot("target")
	if err != nil {
		return nil, fmt.Errorf("root file system: %w", err)
	}
	defer target.Close()
	sys := &installed{port: 22, keys: map[string][]ssh.PublicKey{}}
	key, err := readRegular(target, "etc/ssh/ssh_host_ed25519_key")
	if err != nil {
		return nil, fmt.Errorf("SSH host key: %w", err)
	}
	if sys.hostKey, err = ssh.ParsePrivateKey(key); err != nil {
		return nil, fmt.Errorf("SSH host key: %w", err)
	}
	if name, err := readRegular(target, "etc/hostname"); err == nil {
		sys.hostname = strings.TrimSpace(string(name))
	}
	config, err := readRegular(target, "etc/ssh/sshd_config")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("sshd_config: %w", err)
	}
	if sys.port, err = sshdPort(string(config)); err != nil {
		return nil, err
	}
	for user, home := range homes(target) {
		list, err := readRegular(target, path.Join(strings.TrimPrefix(home, "/"), ".ssh/authorized_keys"))
		if err != nil {
			continue // no keys: nobody logs in as this user
		}
		sys.keys[user] = authorizedKeys(list)
	}
	sys.cvm, sys.cvmFault = readCVM(target)
	return sys, nil
}

// sshdPort is the first Port line of an sshd_config, 22 without one (sshd_config(5)).
func sshdPort(config string) (int, error) {
	for line := range strings.Lines(config) {
		words := strings.Fields(line)
		if len(words) != 2 || !strings.EqualFold(words[0], "Port") {
			continue
		}
		port, err := strconv.ParseUint(words[1], 10, 16)
		if err != nil || port == 0 {
			return 0, fmt.Errorf("sshd_config: bad port %q", words[1])
		}
		return int(port), nil
	}
	return 22, nil
}

// homes are the users of a system with their home directories, root's always.
func homes(target *os.Root) map[string]string {
	out := map[string]string{"root": "/root"}
	if entries, err := fs.ReadDir(target.FS(), "home"); err == nil {
		for _, e := range entries {
			out[e.Name()] = "/home/" + e.Name()
		}
	}
	passwd, _ := readRegular(target, "etc/passwd") // without one, the above holds
	for line := range strings.Lines(string(passwd)) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) == 7 && f[0] != "" && path.IsAbs(f[5]) {
			out[f[0]] = path.Clean(f[5])
		}
	}
	return out
}

func authorizedKeys(data []byte) []ssh.PublicKey {
	var out []ssh.PublicKey
	for line := range bytes.Lines(data) { // one bad line does not lock out the others
		if key, _, _, _, err := ssh.ParseAuthorizedKey(line); err == nil {
			out = append(out, key)
		}
	}
	return out
}

// readRegular reads a small regular file below root.
func readRegular(root *os.Root, name string) ([]byte, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxSystemFile {
		return nil, fmt.Errorf("%s is not a small regular file", name)
	}
	data := make([]byte, info.Size())
	n, err := f.ReadAt(data, 0)
	if int64(n) == info.Size() {
		return data, nil
	}
	return nil, err
}

// runSystem boots what is installed and serves SSH until the power goes.
func (c *cycle) runSystem(ctx context.Context) error {
	c.printf("Booting from the local disk\n")
	l := c.layout()
	if l.clear(true); l.err != nil {
		return l.err
	}
	sys, err := readInstalled(c.root)
	if err != nil {
		c.halt("The installed system does not start: " + err.Error())
		return nil
	}
	if err := c.clock.Sleep(ctx, c.pace.System); err != nil {
		return err
	}
	if c.faults.has(FaultWrongHostKey) {
		if sys.hostKey, err = newHostKey(); err != nil {
			return err
		}
	}
	if sys.hostname == "" {
		sys.hostname = c.spec.Name
	}
	addr := net.JoinHostPort(c.spec.IP, strconv.Itoa(sys.port))
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		c.halt("SSH server: " + err.Error())
		return nil
	}
	c.printf("%s login: (SSH on %s, host key %s)\n", sys.hostname, addr, ssh.FingerprintSHA256(sys.hostKey.PublicKey()))
	s := &sshServer{sys: sys, bootID: c.bootID, clock: c.clock, started: c.clock.Now(), print: c.printf, conns: map[net.Conn]bool{}}
	c.setState(StateRunning)
	guest := make(chan struct{})
	go func() {
		defer close(guest)
		c.runCVM(ctx, sys)
	}()
	s.serve(ctx, ln)
	<-guest
	return nil
}

func newHostKey() (ssh.Signer, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	return ssh.NewSignerFromKey(key)
}

// sshServer is the installed system's SSH server.
type sshServer struct {
	sys     *installed
	bootID  string
	clock   Clock
	started time.Time
	print   func(string, ...any)

	mu    sync.Mutex
	conns map[net.Conn]bool
	wg    sync.WaitGroup
}

// handshakeTime is sshd's LoginGraceTime, the default of sshd_config(5).
const handshakeTime = 2 * time.Minute

// serve answers connections until ctx ends; then all of them are cut.
func (s *sshServer) serve(ctx context.Context, ln net.Listener) {
	stop := context.AfterFunc(ctx, func() {
		_ = ln.Close()
		s.mu.Lock()
		defer s.mu.Unlock()
		for conn := range s.conns {
			_ = conn.Close()
		}
	})
	defer stop()
	for {
		conn, err := ln.Accept()
		if ctx.Err() != nil {
			if err == nil {
				_ = conn.Close()
			}
			break
		}
		if err != nil { // out of descriptors, for instance: it passes
			if s.clock.Sleep(ctx, 100*time.Millisecond) != nil {
				break
			}
			continue
		}
		if !s.track(ctx, conn) {
			break
		}
		s.wg.Go(func() {
			defer s.forget(conn)
			s.connection(conn)
		})
	}
	s.wg.Wait()
}

// track remembers conn, unless the power went meanwhile.
func (s *sshServer) track(ctx context.Context, conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() != nil {
		_ = conn.Close()
		return false
	}
	s.conns[conn] = true
	return true
}

func (s *sshServer) forget(conn net.Conn) {
	_ = conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, conn)
}

func (s *sshServer) config() *ssh.ServerConfig {
	config := &ssh.ServerConfig{
		ServerVersion: "SSH-2.0-SlipwaySimulatedMachine",
		PublicKeyCallback: func(meta ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			for _, known := range s.sys.keys[meta.User()] {
				if bytes.Equal(known.Marshal(), key.Marshal()) {
					return nil, nil
				}
			}
			return nil, fmt.Errorf("key %s is not authorized for %q", ssh.FingerprintSHA256(key), meta.User())
		},
	}
	config.AddHostKey(s.sys.hostKey)
	return config
}

func (s *sshServer) connection(raw net.Conn) {
	_ = raw.SetDeadline(time.Now().Add(handshakeTime))
	conn, channels, requests, err := ssh.NewServerConn(raw, s.config())
	if err != nil {
		s.print("sshd: %s: %v\n", raw.RemoteAddr(), err)
		return
	}
	defer conn.Close()
	_ = raw.SetDeadline(time.Time{})
	s.print("sshd: accepted publickey for %q from %s\n", conn.User(), raw.RemoteAddr())
	s.wg.Go(func() { ssh.DiscardRequests(requests) })
	for ch := range channels {
		if ch.ChannelType() != "session" {
			_ = ch.Reject(ssh.UnknownChannelType, "only sessions")
			continue
		}
		channel, reqs, err := ch.Accept()
		if err != nil {
			return
		}
		s.wg.Go(func() { s.session(channel, reqs) })
	}
}

// session runs the one command of a session (RFC 4254 section 6.5).
func (s *sshServer) session(ch ssh.Channel, requests <-chan *ssh.Request) {
	defer ch.Close()
	for req := range requests {
		var payload struct{ Command string }
		if req.Type != "exec" || ssh.Unmarshal(req.Payload, &payload) != nil {
			// No shell and no terminal; env is refused as sshd does by default.
			_ = req.Reply(false, nil)
			continue
		}
		_ = req.Reply(true, nil)
		out, status := s.run(payload.Command)
		if status == 0 {
			_, _ = ch.Write([]byte(out))
		} else {
			_, _ = ch.Stderr().Write([]byte(out))
		}
		code := uint32(status) //nolint:gosec // 0 to 255
		_, _ = ch.SendRequest("exit-status", false, binary.BigEndian.AppendUint32(nil, code))
		return
	}
}

// run answers the few commands that this system has.
func (s *sshServer) run(command string) (output string, status int) {
	switch strings.Join(strings.Fields(command), " ") {
	case "true", ":":
		return "", 0
	case "false":
		return "", 1
	case "hostname":
		return s.sys.hostname + "\n", 0
	case "cat /proc/sys/kernel/random/boot_id":
		return s.bootID + "\n", 0
	case "uptime":
		return uptime(s.clock.Now(), s.started), 0
	}
	name, _, _ := strings.Cut(strings.TrimSpace(command), " ")
	return "sh: " + name + ": not found\n", 127
}

// uptime is a line as uptime(1) prints it.
func uptime(now, since time.Time) string {
	up := now.Sub(since)
	text := fmt.Sprintf("%d min", int(up.Minutes()))
	if up >= time.Hour {
		text = fmt.Sprintf("%2d:%02d", int(up.Hours())%24, int(up.Minutes())%60)
	}
	if days := int(up.Hours()) / 24; days > 0 {
		text = fmt.Sprintf("%d days, %s", days, text)
	}
	return fmt.Sprintf(" %s up %s,  0 users,  load average: 0.00, 0.00, 0.00\n", now.UTC().Format(time.TimeOnly), text)
}
