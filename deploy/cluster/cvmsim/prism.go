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

// servePrism makes handshakes as long as the service Prism is up here.
func (c *CVM) servePrism(conn net.Conn) {
	c.site.mu.Lock()
	at := slices.Index(serviceNames, "Prism")
	up := c.cluster != nil && c.up > at && !c.site.down(c.addr) && c.site.fault(FaultNoPrism, c.addr, "") == nil
	c.site.mu.Unlock()
	if !up {
		return
	}
	server := tls.Server(conn, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{c.site.cert.Certificate}})
	// Nothing is served: whoever made the handshake is let go when it goes.
	_, _ = io.Copy(io.Discard, server)
}
