package herd

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim"
)

// system is what an installation leaves on the boot disk.
type system struct {
	hostKey ssh.Signer
	keys    []ssh.PublicKey
	user    string
	port    int
	name    string
	guest   *guest // the controller VM; nil without one
}

// guest is what an installation leaves of a controller VM.
type guest struct {
	addr    netip.Addr
	hostKey ssh.Signer
}

func newGuest(ip string) (*guest, error) {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return nil, fmt.Errorf("address of the controller VM: %w", err)
	}
	key, err := newHostKey()
	return &guest{addr, key}, err
}

func newHostKey() (ssh.Signer, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	return ssh.NewSignerFromKey(private)
}

func newSystem(config configuration, spec vpcsim.Spec) (*system, error) {
	s := &system{user: config.Access.User, port: config.Access.SSHPort, name: spec.Name}
	var err error
	if s.hostKey, err = newHostKey(); err != nil {
		return nil, err
	}
	for _, line := range config.Access.AuthorizedKeys {
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
		if err != nil {
			return nil, fmt.Errorf("access key: %w", err)
		}
		s.keys = append(s.keys, key)
	}
	return s, nil
}

func (s *system) publicKey() string { return keyText(s.hostKey) }

func keyText(key ssh.Signer) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key.PublicKey())))
}

// startCVM gives power to the controller VM, as it is on the disks. One that
// cannot start stays off, as the hypervisor's log would say.
func (c *cycle) startCVM(ctx context.Context) {
	g := c.installed.guest
	if g == nil {
		return
	}
	for {
		var err error
		if c.cvm != nil {
			err = c.cvm.PowerOn()
		} else {
			at := c.opts.CVMPorts
			at.Name, at.Keys, at.HostKey = c.spec.Name, slices.Concat([]ssh.PublicKey{}, c.installed.keys), g.hostKey
			c.cvm, err = c.opts.CVMs.Add(g.addr, at)
		}
		if err == nil {
			return
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			c.opts.Logger.Error("the controller VM does not start", "server", c.spec.Name, "error", err)
			return
		}
		if sleep(ctx, c.opts.Retry) != nil {
			return
		}
	}
}

// dropCVM destroys the machine's controller VM, if it has one.
func (m *machine) dropCVM() {
	if m.cvm != nil {
		m.cvm.Destroy()
		m.cvm = nil
	}
}

// serve is the installed system: an SSH server at the machine's address until
// the power goes.
func (c *cycle) serve(ctx context.Context) error {
	sys := c.installed
	listener, err := c.listen(ctx, net.JoinHostPort(c.spec.IP, strconv.Itoa(sys.port)))
	if err != nil {
		return fmt.Errorf("sshd: %w", err)
	}
	var wg sync.WaitGroup
	defer func() {
		wg.Wait()
		if c.cvm != nil {
			c.cvm.PowerOff()
		}
	}()
	wg.Go(func() { c.startCVM(ctx) })
	defer context.AfterFunc(ctx, func() { _ = listener.Close() })()
	server := &ssh.ServerConfig{PublicKeyCallback: func(meta ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		for _, known := range sys.keys {
			if meta.User() == sys.user && bytes.Equal(known.Marshal(), key.Marshal()) {
				return &ssh.Permissions{}, nil
			}
		}
		return nil, fmt.Errorf("key %s is not authorized for %q", ssh.FingerprintSHA256(key), meta.User())
	}}
	server.AddHostKey(sys.hostKey)
	for {
		raw, err := listener.Accept()
		if err != nil {
			return ctx.Err()
		}
		wg.Go(func() { c.connection(ctx, raw, server) })
	}
}

// listen waits while the port is in use: a call that this machine has just made
// may still have it as its own end, by chance.
func (c *cycle) listen(ctx context.Context, address string) (net.Listener, error) {
	var config net.ListenConfig
	for {
		listener, err := config.Listen(ctx, "tcp", address)
		if !errors.Is(err, syscall.EADDRINUSE) {
			return listener, err
		}
		if err := sleep(ctx, c.opts.Retry); err != nil {
			return nil, err
		}
	}
}

func (c *cycle) connection(ctx context.Context, raw net.Conn, server *ssh.ServerConfig) {
	defer raw.Close()
	defer context.AfterFunc(ctx, func() { _ = raw.Close() })()
	_ = raw.SetDeadline(time.Now().Add(30 * time.Second))
	conn, channels, requests, err := ssh.NewServerConn(raw, server)
	if err != nil {
		return
	}
	defer conn.Close()
	go ssh.DiscardRequests(requests) // ends with the connection
	for ch := range channels {
		if ch.ChannelType() != "session" {
			_ = ch.Reject(ssh.UnknownChannelType, "only sessions")
			continue
		}
		channel, reqs, err := ch.Accept()
		if err != nil {
			return
		}
		c.session(channel, reqs)
	}
}

// session runs the one command of a session (RFC 4254 section 6.5).
func (c *cycle) session(ch ssh.Channel, requests <-chan *ssh.Request) {
	defer ch.Close()
	for req := range requests {
		var payload struct{ Command string }
		if req.Type != "exec" || ssh.Unmarshal(req.Payload, &payload) != nil {
			_ = req.Reply(false, nil)
			continue
		}
		_ = req.Reply(true, nil)
		var code uint32
		switch payload.Command {
		case "true":
		case "hostname":
			_, _ = fmt.Fprintln(ch, c.installed.name)
		case "cat /proc/sys/kernel/random/boot_id":
			_, _ = fmt.Fprintln(ch, c.bootID)
		default:
			code = 127
		}
		_, _ = ch.SendRequest("exit-status", false, binary.BigEndian.AppendUint32(nil, code))
		return
	}
}
