package health

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

// Timeouts bound the steps of one check. Zero means the default.
type Timeouts struct {
	Dial    time.Duration // TCP connect; default 10 s
	Banner  time.Duration // version and key exchange, until the host key is seen; default 30 s
	Auth    time.Duration // from the host key to the login; default 15 s
	Command time.Duration // one command; default 15 s
}

func (t Timeouts) orDefault() Timeouts {
	for _, f := range []struct {
		v *time.Duration
		d time.Duration
	}{{&t.Dial, 10 * time.Second}, {&t.Banner, 30 * time.Second}, {&t.Auth, 15 * time.Second}, {&t.Command, 15 * time.Second}} {
		if *f.v <= 0 {
			*f.v = f.d
		}
	}
	return t
}

// Checker checks machines. It keeps no state and may be used concurrently.
type Checker struct {
	// Key logs in; see LoadOrCreateKey.
	Key ssh.Signer
	// Dial opens connections; nil means a net.Dialer. The context carries the
	// dial time-out.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Timeouts of the steps.
	Timeouts Timeouts
}

// Target is the machine to check.
type Target struct {
	Host string // IP address, or a name
	Port int    // 0 means 22
	User string // empty means root
	// HostKey is the key that the machine reported, "<type> <base64>" as in
	// authorized_keys (RFC 4253 section 6.6 inside).
	HostKey string
	// TrustFirst takes whatever key the machine shows if HostKey is empty: the
	// caller pins it then.
	TrustFirst bool
	// BootIDBefore is the boot id that the machine reported before its restart;
	// empty if not known.
	BootIDBefore string
}

func (t Target) user() string {
	if t.User == "" {
		return "root"
	}
	return t.User
}

// Check connects once and tells what it found. It never retries: the caller
// does, until its deadline.
func (c *Checker) Check(ctx context.Context, t Target) Result {
	var want ssh.PublicKey
	var err error
	if t.HostKey != "" || !t.TrustFirst {
		want, err = parseHostKey(t.HostKey)
	}
	if err != nil {
		return result(ClassWrongHost, fmt.Sprintf("there is no usable host key to compare with: %v", err))
	}
	limits := c.Timeouts.orDefault()
	port := t.Port
	if port == 0 {
		port = 22
	}
	address := net.JoinHostPort(t.Host, strconv.Itoa(port))

	conn, err := c.dial(ctx, address, limits.Dial)
	if err != nil {
		return c.networkResult(ctx, err, "connecting to "+address)
	}
	defer conn.Close()
	// The SSH library knows no context: closing the connection is what ends
	// its reads when the caller gives up.
	defer context.AfterFunc(ctx, func() { conn.Close() })()

	client, shown, res := c.login(ctx, conn, address, t, want, limits)
	if client != nil {
		defer client.Close()
		res = c.prove(ctx, conn, client, t, limits)
	}
	if shown == nil && res.Class == ClassWrongHost {
		shown = c.look(ctx, address, t, limits)
	}
	if shown != nil {
		res.HostKey = strings.TrimSpace(string(ssh.MarshalAuthorizedKey(shown)))
		res.Fingerprint = ssh.FingerprintSHA256(shown)
	}
	return res
}

// Fingerprint gives a host key's SHA-256 as OpenSSH prints it; empty if the
// text is no host key.
func Fingerprint(hostKey string) string {
	key, err := parseHostKey(hostKey)
	if err != nil {
		return ""
	}
	return ssh.FingerprintSHA256(key)
}

func (c *Checker) dial(ctx context.Context, address string, limit time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	dial := c.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	return dial(ctx, "tcp", address)
}

// login makes the handshake. The deadlines lie on the connection itself,
// because ssh.ClientConfig.Timeout covers the dial only: a peer that accepts
// and never speaks would hold us for ever.
// A nil want takes any key. shown is the key that the peer showed, if it came
// to that.
func (c *Checker) login(ctx context.Context, conn net.Conn, address string, t Target, want ssh.PublicKey, limits Timeouts) (client *ssh.Client, shown ssh.PublicKey, res Result) {
	// The callback runs on a goroutine of the SSH library.
	var seen atomic.Pointer[ssh.PublicKey]
	var matched atomic.Bool
	config := &ssh.ClientConfig{
		User: t.user(),
		Auth: []ssh.AuthMethod{ssh.PublicKeys(c.Key)},
		HostKeyCallback: func(_ string, _ net.Addr, got ssh.PublicKey) error {
			seen.Store(&got)
			if want != nil && subtle.ConstantTimeCompare(got.Marshal(), want.Marshal()) != 1 {
				return errors.New("host key differs")
			}
			matched.Store(true)
			return conn.SetDeadline(time.Now().Add(limits.Auth))
		},
	}
	if want != nil {
		config.HostKeyAlgorithms = algorithmsOf(want.Type())
	}
	if err := conn.SetDeadline(time.Now().Add(limits.Banner)); err != nil {
		return nil, nil, result(ClassUnreachable, fmt.Sprintf("%s: %v", address, err))
	}
	sshConn, channels, requests, err := ssh.NewClientConn(conn, address, config)
	if key := seen.Load(); key != nil {
		shown = *key
	}
	if err == nil {
		return ssh.NewClient(sshConn, channels, requests), shown, Result{}
	}
	return nil, shown, c.loginFailed(ctx, err, address, t, want, shown != nil, matched.Load())
}

// errSeen ends a handshake whose only purpose was to see the host key.
var errSeen = errors.New("the host key was seen")

// look connects once more, to see which key a machine shows that has none of
// the wanted type; nil if it shows none. Nothing is sent to it.
func (c *Checker) look(ctx context.Context, address string, t Target, limits Timeouts) ssh.PublicKey {
	conn, err := c.dial(ctx, address, limits.Dial)
	if err != nil {
		return nil
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if conn.SetDeadline(time.Now().Add(limits.Banner)) != nil {
		return nil
	}
	var seen atomic.Pointer[ssh.PublicKey]
	// It always fails: the callback refuses.
	_, _, _, _ = ssh.NewClientConn(conn, address, &ssh.ClientConfig{User: t.user(), HostKeyCallback: func(_ string, _ net.Addr, got ssh.PublicKey) error {
		seen.Store(&got)
		return errSeen
	}})
	if key := seen.Load(); key != nil {
		return *key
	}
	return nil
}

// loginFailed finds the class of a handshake or login that failed: seen tells
// whether a host key was shown, matched whether it was the right one.
func (c *Checker) loginFailed(ctx context.Context, err error, address string, t Target, want ssh.PublicKey, seen, matched bool) Result {
	var negotiation *ssh.AlgorithmNegotiationError
	switch {
	case ctx.Err() != nil:
		return canceled(ctx)
	case seen && !matched:
		return result(ClassWrongHost, address+" showed another host key than the machine reported")
	case want != nil && errors.As(err, &negotiation) && strings.Contains(negotiation.What, "host key"):
		return result(ClassWrongHost, fmt.Sprintf("%s has no host key of type %s, which is what the machine reported", address, want.Type()))
	case matched && strings.Contains(err.Error(), "authenticat"):
		return result(ClassAuthFailed, fmt.Sprintf("%s does not accept Slipway's key for user %s", address, t.user()))
	case matched:
		return c.networkResult(ctx, err, "logging in to "+address)
	}
	return c.networkResult(ctx, err, "SSH handshake with "+address)
}

// networkResult finds the class of a network failure.
func (c *Checker) networkResult(ctx context.Context, err error, doing string) Result {
	var netErr net.Error
	var opErr *net.OpError
	message := fmt.Sprintf("%s: %v", doing, err)
	switch {
	case ctx.Err() != nil:
		return canceled(ctx)
	case errors.Is(err, syscall.ECONNREFUSED):
		return result(ClassRefused, message)
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout():
		return result(ClassTimeout, message)
	case errors.As(err, &opErr) && opErr.Op == "dial":
		return result(ClassUnreachable, message)
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return result(ClassUnreachable, message)
	case strings.HasPrefix(doing, "connecting"):
		return result(ClassUnreachable, message)
	}
	return result(ClassProtocol, message)
}

func canceled(ctx context.Context) Result {
	return result(ClassCanceled, fmt.Sprintf("the check was given up: %v", context.Cause(ctx)))
}

// parseHostKey reads "<type> <base64>"; what follows is a comment.
func parseHostKey(s string) (ssh.PublicKey, error) {
	if strings.TrimSpace(s) == "" {
		return nil, errors.New("the machine has not reported one")
	}
	key, _, options, _, err := ssh.ParseAuthorizedKey([]byte(s))
	if err != nil {
		return nil, err
	}
	if len(options) > 0 {
		return nil, errors.New("it carries options")
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
