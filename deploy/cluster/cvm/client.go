package cvm

import (
	"bytes"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/slipwayhq/slipway/deploy/health"
	"golang.org/x/crypto/ssh"
)

// Timeouts bound the steps of one question. Zero means the default.
type Timeouts struct {
	Dial    time.Duration // TCP connect; default 10 s
	Banner  time.Duration // version and key exchange, until the host key is seen; default 30 s
	Auth    time.Duration // from the host key to the login; default 15 s
	Command time.Duration // one command, from its start to its end; default 90 s
	TLS     time.Duration // Prism's handshake, with its connect; default 15 s
}

func (t Timeouts) orDefault() Timeouts {
	for _, f := range []struct {
		v *time.Duration
		d time.Duration
	}{{&t.Dial, 10 * time.Second}, {&t.Banner, 30 * time.Second}, {&t.Auth, 15 * time.Second}, {&t.Command, 90 * time.Second}, {&t.TLS, 15 * time.Second}} {
		if *f.v <= 0 {
			*f.v = f.d
		}
	}
	return t
}

// DefaultUser is whom Nutanix's commands run as on a controller VM.
const DefaultUser = "nutanix"

// PrismPort is where Prism listens (Nutanix, ports and protocols).
const PrismPort = 9440

// Target is one controller VM.
type Target struct {
	Addr netip.Addr // also its name among the members of a cluster
	Port int        // of SSH; 0 means 22
	User string     // empty means DefaultUser
	// HostKey is the controller VM's own key, "<type> <base64>", as its node
	// reported it. Without one nothing is asked.
	HostKey string
	// PrismPort is 0 for PrismPort.
	PrismPort int
}

func (t Target) sshAddress() string { return netip.AddrPortFrom(t.Addr, port(t.Port, 22)).String() }

func (t Target) prism() netip.AddrPort {
	return netip.AddrPortFrom(t.Addr, port(t.PrismPort, PrismPort))
}

func port(p, otherwise int) uint16 {
	if p <= 0 || p > 65535 {
		return uint16(otherwise) //nolint:gosec // a constant of the callers
	}
	return uint16(p)
}

func (t Target) user() string {
	if t.User == "" {
		return DefaultUser
	}
	return t.User
}

// Client asks controller VMs. It keeps no state and may be used concurrently.
type Client struct {
	// Key logs in: health.LoadOrCreateKey makes it.
	Key ssh.Signer
	// Dial opens connections; nil means a net.Dialer. The context carries the
	// dial time-out.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Timeouts of the steps.
	Timeouts Timeouts
}

// outputLimit is as much of each of a command's two streams as is kept: four
// members' status has some 15 kB.
const outputLimit = 256 << 10

// output is what one command gave.
type output struct {
	stdout, stderr string
	exit           int
	cut            bool // there was more than outputLimit
}

// text is both streams; Nutanix's commands log to stderr.
func (o output) text() string {
	if o.stderr == "" {
		return o.stdout
	}
	return o.stderr + o.stdout
}

// run logs in, runs one command and closes. It never tries again.
func (c *Client) run(ctx context.Context, t Target, op, command string) (output, error) {
	want, err := pinned(t.HostKey)
	if err != nil {
		return output{}, failed(health.ClassWrongHost, op, t.Addr, err, "there is no usable host key to compare with: %v", err)
	}
	if c.Key == nil {
		return output{}, failed(ClassRequest, op, t.Addr, nil, "there is no key to log in with")
	}
	limits := c.Timeouts.orDefault()
	conn, err := c.dial(ctx, t.sshAddress(), limits.Dial)
	if err != nil {
		return output{}, networkError(ctx, op, t.Addr, err, "connecting")
	}
	defer conn.Close()
	// The SSH library knows no context: closing the connection ends its reads.
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	client, err := c.login(ctx, conn, t, op, want, limits)
	if err != nil {
		return output{}, err
	}
	defer client.Close()
	return execute(ctx, conn, client, t, op, command, limits.Command)
}

func (c *Client) dial(ctx context.Context, address string, limit time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	dial := c.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	return dial(ctx, "tcp", address)
}

var errOtherKey = errors.New("host key differs")

// login makes the handshake. The deadlines lie on the connection itself:
// ssh.ClientConfig.Timeout covers the dial only.
func (c *Client) login(ctx context.Context, conn net.Conn, t Target, op string, want ssh.PublicKey, limits Timeouts) (*ssh.Client, error) {
	var seen, matched atomic.Bool // the callback runs on a goroutine of the library
	config := &ssh.ClientConfig{
		User:              t.user(),
		Auth:              []ssh.AuthMethod{ssh.PublicKeys(c.Key)},
		HostKeyAlgorithms: algorithmsOf(want.Type()),
		HostKeyCallback: func(_ string, _ net.Addr, got ssh.PublicKey) error {
			seen.Store(true)
			if subtle.ConstantTimeCompare(got.Marshal(), want.Marshal()) != 1 {
				return errOtherKey
			}
			matched.Store(true)
			return conn.SetDeadline(time.Now().Add(limits.Auth))
		},
	}
	if err := conn.SetDeadline(time.Now().Add(limits.Banner)); err != nil {
		return nil, networkError(ctx, op, t.Addr, err, "handshake")
	}
	sc, channels, requests, err := ssh.NewClientConn(conn, t.sshAddress(), config)
	if err == nil {
		return ssh.NewClient(sc, channels, requests), nil
	}
	var negotiation *ssh.AlgorithmNegotiationError
	switch {
	case ctx.Err() != nil:
		return nil, canceled(ctx, op, t.Addr)
	case seen.Load() && !matched.Load():
		return nil, failed(health.ClassWrongHost, op, t.Addr, err, "it showed another host key than its node reported")
	case errors.As(err, &negotiation) && !seen.Load():
		return nil, failed(health.ClassWrongHost, op, t.Addr, err, "it has no host key of type %s, which is what its node reported", want.Type())
	case matched.Load() && strings.Contains(err.Error(), "authenticat"):
		return nil, failed(health.ClassAuthFailed, op, t.Addr, err, "it does not accept Slipway's key for user %s", t.user())
	}
	return nil, networkError(ctx, op, t.Addr, err, "SSH handshake")
}

// execute runs the command under a deadline of its own.
func execute(ctx context.Context, conn net.Conn, client *ssh.Client, t Target, op, command string, limit time.Duration) (output, error) {
	deadline := time.Now().Add(limit)
	if err := conn.SetDeadline(deadline); err != nil {
		return output{}, networkError(ctx, op, t.Addr, err, "session")
	}
	session, err := client.NewSession()
	if err == nil {
		defer session.Close()
		var stdout, stderr head
		session.Stdout, session.Stderr = &stdout, &stderr
		err = session.Run(command)
		out := output{stdout: stdout.String(), stderr: stderr.String(), cut: stdout.cut || stderr.cut}
		var exit *ssh.ExitError
		if err == nil {
			return out, nil
		}
		if errors.As(err, &exit) && exit.Signal() == "" {
			out.exit = exit.ExitStatus()
			return out, nil
		}
	}
	switch {
	case ctx.Err() != nil:
		return output{}, canceled(ctx, op, t.Addr)
	case !time.Now().Before(deadline):
		// The library hides the deadline behind "wait: remote command exited
		// without exit status".
		return output{}, failed(health.ClassTimeout, op, t.Addr, err, "it did not answer within %v", limit)
	}
	return output{}, failed(health.ClassProtocol, op, t.Addr, err, "the answer was cut: %v", err)
}

func networkError(ctx context.Context, op string, addr netip.Addr, err error, doing string) *Error {
	var netErr net.Error
	var opErr *net.OpError
	class := health.ClassProtocol
	switch {
	case ctx.Err() != nil:
		return canceled(ctx, op, addr)
	case errors.Is(err, syscall.ECONNREFUSED):
		class = health.ClassRefused
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout():
		class = health.ClassTimeout
	case doing == "connecting", errors.As(err, &opErr) && opErr.Op == "dial",
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		class = health.ClassUnreachable
	}
	return failed(class, op, addr, err, "%s: %v", doing, err)
}

func canceled(ctx context.Context, op string, addr netip.Addr) *Error {
	cause := context.Cause(ctx)
	return failed(health.ClassCanceled, op, addr, cause, "given up: %v", cause)
}

// pinned reads "<type> <base64>"; what follows is a comment.
func pinned(s string) (ssh.PublicKey, error) {
	if s == "" {
		return nil, errors.New("none was reported for the controller VM")
	}
	key, _, options, _, err := ssh.ParseAuthorizedKey([]byte(s))
	if err != nil {
		return nil, fmt.Errorf("read the reported host key: %w", err)
	}
	if len(options) > 0 {
		return nil, errors.New("the reported host key carries options")
	}
	return key, nil
}

// algorithmsOf gives the signature algorithms that prove a key type, so that
// a server with several host keys shows the one that we know.
func algorithmsOf(keyType string) []string {
	if keyType == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{keyType}
}

// head keeps the first outputLimit bytes and takes the rest without keeping it.
type head struct {
	buf bytes.Buffer
	cut bool
}

func (h *head) Write(p []byte) (int, error) {
	room := outputLimit - h.buf.Len()
	h.cut = h.cut || len(p) > room
	if room > 0 {
		h.buf.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

func (h *head) String() string { return h.buf.String() }
