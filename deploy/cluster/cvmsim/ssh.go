package cvmsim

import (
	"bytes"
	"errors"
	"io"
	"net"
	"slices"

	"golang.org/x/crypto/ssh"
)

// reply is what a command gives.
type reply struct {
	stdout, stderr string
	exit           uint32
	hang           bool // no answer ever
	lost           bool // the connection is cut instead of the exit status
}

var errNotYou = errors.New("permission denied")

func (c *CVM) serveSSH(conn net.Conn) {
	c.site.mu.Lock()
	down := c.site.down(c.addr)
	key := c.hostKey
	if c.site.fault(FaultHostKey, c.addr, "") != nil {
		key = c.otherKey
	}
	c.site.mu.Unlock()
	if down {
		return
	}
	config := &ssh.ServerConfig{PublicKeyCallback: func(meta ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		mine := func(k ssh.PublicKey) bool { return bytes.Equal(key.Marshal(), k.Marshal()) }
		if meta.User() != "nutanix" || !slices.ContainsFunc(c.keys, mine) {
			return nil, errNotYou
		}
		return &ssh.Permissions{}, nil
	}}
	config.AddHostKey(key)
	sc, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	c.site.wg.Go(func() { ssh.DiscardRequests(requests) })
	for nc := range channels {
		if nc.ChannelType() != "session" {
			_ = nc.Reject(ssh.UnknownChannelType, "sessions only") // whether the client hears it is its matter
			continue
		}
		ch, reqs, err := nc.Accept()
		if err != nil {
			return
		}
		c.site.wg.Go(func() { c.session(sc, ch, reqs) })
	}
}

// session answers exec requests (RFC 4254 section 6.5); there is no shell.
func (c *CVM) session(sc *ssh.ServerConn, ch ssh.Channel, requests <-chan *ssh.Request) {
	defer ch.Close()
	for r := range requests {
		var p struct{ Command string }
		if r.Type != "exec" || ssh.Unmarshal(r.Payload, &p) != nil {
			_ = r.Reply(false, nil) // a client that is gone needs no refusal
			continue
		}
		_ = r.Reply(true, nil) // the answer below tells whether it is still there
		a := c.site.exec(c, p.Command)
		if a.hang {
			continue
		}
		_, err1 := io.WriteString(ch.Stderr(), a.stderr)
		_, err2 := io.WriteString(ch, a.stdout)
		if err1 != nil || err2 != nil {
			return
		}
		if a.lost {
			_ = sc.Close() // nothing was written that counts
			return
		}
		_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{a.exit})) // it is gone, or it is not
		return
	}
}
