package store

import (
	"context"
	"net"
	"sync"
	"time"
)

// answerWithin is how long PostgreSQL may be silent in the middle of an
// exchange. lib/pq waits for ever, whatever the context says: it can only ask
// the server to cancel, and a server that hangs, or is beyond a network that
// swallows packets, does not listen. No statement of Slipway's is silent for
// so long, but those of migrations, which have no limit.
const answerWithin = 15 * time.Second

// patientDialer makes connections that give up on a silent server.
type patientDialer struct {
	net.Dialer
	silence time.Duration
}

// DialTimeout is pq.Dialer's.
func (d patientDialer) DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return d.DialContext(ctx, network, address)
}

// Dial is pq.Dialer's.
func (d patientDialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

// DialContext is pq.DialerContext's.
func (d patientDialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := d.Dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &patientConn{Conn: c, silence: d.silence}, nil
}

// patientConn bounds every single read and write. A deadline set from outside,
// as for the handshake, holds if it is earlier. lib/pq reads only while it
// waits for an answer, so an idle connection is never cut.
type patientConn struct {
	net.Conn
	silence time.Duration

	mu   sync.Mutex
	last time.Time // the deadline set from outside; zero = none
}

func (c *patientConn) deadline() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := time.Now().Add(c.silence)
	if !c.last.IsZero() && c.last.Before(at) {
		return c.last
	}
	return at
}

// SetDeadline is net.Conn's.
func (c *patientConn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = t
	return c.Conn.SetDeadline(t)
}

// Read is net.Conn's.
func (c *patientConn) Read(b []byte) (int, error) {
	if err := c.SetReadDeadline(c.deadline()); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

// Write is net.Conn's.
func (c *patientConn) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(c.deadline()); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}
