package cvmsim

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"slices"
	"time"
)

// prismCert is the certificate that Prism makes for itself.
type prismCert struct{ tls.Certificate }

// PrismSubject is the common name of Prism's own certificate.
const PrismSubject = "*.nutanix.local"

func newPrismCert() (prismCert, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return prismCert{}, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: PrismSubject, Organization: []string{"Nutanix Inc."}, Country: []string{"US"}},
		NotBefore:    now.Add(-time.Hour), NotAfter: now.AddDate(10, 0, 0),
		DNSNames: []string{PrismSubject},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return prismCert{}, err
	}
	return prismCert{tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}}, nil
}

// prismUp tells whether the service Prism is up on a controller VM. The caller
// holds the lock.
func (s *Site) prismUp(c *CVM) bool {
	return c.cluster != nil && c.on && c.up > slices.Index(serviceNames, "Prism") && !s.down(c.addr) && s.fault(FaultNoPrism, c.addr, "") == nil
}

// servePrism makes handshakes as long as the service Prism is up here.
func (c *CVM) servePrism(conn net.Conn) {
	c.site.mu.Lock()
	up := c.site.prismUp(c)
	c.site.mu.Unlock()
	if up {
		c.site.handshake(conn)
	}
}

// serveVIP is Prism at a cluster's own address: whichever member has it up.
func (s *Site) serveVIP(k *cluster, conn net.Conn) {
	s.mu.Lock()
	up := slices.ContainsFunc(k.members, s.prismUp)
	s.mu.Unlock()
	if up {
		s.handshake(conn)
	}
}

func (s *Site) handshake(conn net.Conn) {
	server := tls.Server(conn, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{s.cert.Certificate}})
	// Nothing is served: whoever made the handshake is let go when it goes.
	_, _ = io.Copy(io.Discard, server)
}
