package cvmsim

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
)

// start lets a controller VM listen. The caller holds the lock.
func (s *Site) start(c *CVM) error {
	sshLn, err := s.listen(c.addr, c.sshPort, c, c.serveSSH)
	if err != nil {
		return fmt.Errorf("SSH server: %w", err)
	}
	prismLn, err := s.listen(c.addr, c.prismPort, c, c.servePrism)
	if err != nil {
		s.shut(sshLn)
		return fmt.Errorf("Prism: %w", err)
	}
	c.sshPort, c.prismPort = portOf(sshLn), portOf(prismLn)
	c.lns, c.on = []net.Listener{sshLn, prismLn}, true
	return nil
}

// shut closes a listener. The caller holds the lock.
func (s *Site) shut(l net.Listener) {
	_ = l.Close() // nothing was written that counts
	delete(s.lns, l)
}

// crash ends what is only in a controller VM's memory.
func (c *CVM) crash() {
	if c.running != nil {
		c.running.dead, c.running = true, nil
	}
	c.up = 0
}

// PowerOff takes a controller VM's power: its jobs and connections die and
// nothing answers on its address. What is on its disk stays.
func (c *CVM) PowerOff() {
	c.site.mu.Lock()
	defer c.site.mu.Unlock()
	c.site.powerOff(c)
}

func (s *Site) powerOff(c *CVM) {
	if !c.on {
		return
	}
	c.crash()
	c.on = false
	for _, l := range c.lns {
		s.shut(l)
	}
	c.lns = nil
	for conn, of := range s.conns {
		if of == c {
			_ = conn.Close() // nothing was written that counts
		}
	}
	if k := c.cluster; k != nil && !slices.ContainsFunc(k.members, func(m *CVM) bool { return m.on }) {
		s.lowerVIP(k)
	}
}

// PowerOn gives a controller VM its power again: it is what its disk says, and
// its services start anew.
func (c *CVM) PowerOn() error {
	s := c.site
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return errors.New("the site is closed")
	case c.gone:
		return fmt.Errorf("the controller VM at %v was destroyed", c.addr)
	case c.on:
		return nil
	}
	if err := s.start(c); err != nil {
		return err
	}
	if k := c.cluster; k != nil && k.vipPort != 0 {
		return s.raiseVIP(k)
	}
	return nil
}

// Destroy takes a controller VM's power and its disk. The members of its cluster
// go on naming it, as one that is down; another one may take its address.
func (c *CVM) Destroy() {
	s := c.site
	s.mu.Lock()
	defer s.mu.Unlock()
	s.powerOff(c)
	c.gone = true
	s.cvms = slices.DeleteFunc(s.cvms, func(o *CVM) bool { return o == c })
}

// raiseVIP lets Prism answer on the cluster's own address, as soon as the
// cluster has been created. The caller holds the lock.
func (s *Site) raiseVIP(k *cluster) error {
	if k.vip == (netip.Addr{}) || k.vipLn != nil || s.closed {
		return nil
	}
	l, err := s.listen(k.vip, k.vipPort, nil, func(conn net.Conn) { s.serveVIP(k, conn) })
	if err != nil {
		return err
	}
	k.vipLn = l
	return nil
}

func (s *Site) lowerVIP(k *cluster) {
	if k.vipLn != nil {
		s.shut(k.vipLn)
		k.vipLn = nil
	}
}
