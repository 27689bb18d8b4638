package cvm

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Prism is what a TLS handshake with Prism showed.
type Prism struct {
	Address     netip.AddrPort
	Version     string // "TLS 1.3"
	CipherSuite string
	Subject     string // of the certificate, RFC 2253
	Issuer      string
	SelfSigned  bool // subject and issuer are the same; Prism's first certificate is
	NotBefore   time.Time
	NotAfter    time.Time
	// Fingerprint is the certificate's SHA-256 in lower-case hex.
	Fingerprint string
}

// Evidence is one line for people.
func (p Prism) Evidence() string {
	return clean(fmt.Sprintf("%s, certificate %q, sha256 %s, until %s", p.Version, p.Subject, p.Fingerprint, p.NotAfter.UTC().Format(time.DateOnly)))
}

// PrismAnswers makes a TLS handshake with Prism and tells what it saw. The
// certificate is not judged: Prism makes its own, which nobody has signed. It is
// evidence, not trust, and nothing is sent.
func (c *Client) PrismAnswers(ctx context.Context, at netip.AddrPort) (Prism, error) {
	const op = "TLS handshake with Prism"
	limits := c.Timeouts.orDefault()
	ctx, cancel := context.WithTimeout(ctx, limits.TLS)
	defer cancel()
	conn, err := c.dial(ctx, at.String(), min(limits.Dial, limits.TLS))
	if err != nil {
		return Prism{}, tlsError(ctx, op, at, err, "connecting")
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(limits.TLS)); err != nil {
		return Prism{}, tlsError(ctx, op, at, err, "handshake")
	}
	client := tls.Client(conn, &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, //nolint:gosec // the certificate is looked at, not trusted, and nothing is sent
	})
	if err := client.HandshakeContext(ctx); err != nil {
		e := tlsError(ctx, op, at, err, "handshake")
		if e.Class == "protocol_error" {
			e.Class, e.Hint = ClassTLS, hints[ClassTLS]
		}
		return Prism{}, e
	}
	state := client.ConnectionState()
	if len(state.PeerCertificates) == 0 {
		return Prism{}, failed(ClassTLS, op, at.Addr(), nil, "it showed no certificate")
	}
	cert := state.PeerCertificates[0]
	sum := sha256.Sum256(cert.Raw)
	return Prism{
		Address: at, Version: tls.VersionName(state.Version), CipherSuite: tls.CipherSuiteName(state.CipherSuite),
		Subject: cert.Subject.String(), Issuer: cert.Issuer.String(), SelfSigned: strings.EqualFold(cert.Subject.String(), cert.Issuer.String()),
		NotBefore: cert.NotBefore, NotAfter: cert.NotAfter, Fingerprint: hex.EncodeToString(sum[:]),
	}, nil
}

// tlsError knows that its own limit is a time-out, not the caller's giving up.
func tlsError(ctx context.Context, op string, at netip.AddrPort, err error, doing string) *Error {
	if context.Cause(ctx) == context.DeadlineExceeded { //nolint:errorlint // the cause itself, not what it wraps
		return failed("timeout", op, at.Addr(), err, "%s %s: it did not answer in time", doing, at)
	}
	return networkError(ctx, op, at.Addr(), err, doing)
}
