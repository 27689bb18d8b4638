package cvmsim

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// Options are a site's settings.
type Options struct {
	// Key may log in as user nutanix on every controller VM that has no keys of
	// its own (Place.Keys).
	Key ssh.PublicKey
	// Pace is the time between two beats; 0 means that only Step makes them.
	Pace time.Duration
}

// Site is a network of controller VMs.
type Site struct {
	opts Options
	cert prismCert
	stop chan struct{}
	wg   sync.WaitGroup

	mu     sync.Mutex
	cvms   []*CVM
	faults []*fault
	ran    []Command
	conns  map[net.Conn]*CVM // whose it is; nil for one to a cluster's own address
	lns    map[net.Listener]bool
	formed int
	closed bool
}

// Command is one line that a controller VM was asked to run, as it came.
type Command struct {
	Addr netip.Addr
	Line string
}

// cluster is what its members share.
type cluster struct {
	name    string
	members []*CVM
	rf      string
	vip     netip.Addr
	state   string // "start" or "stop"
	vipPort int
	vipLn   net.Listener
}

// CVM is one controller VM.
type CVM struct {
	site      *Site
	name      string
	keys      []ssh.PublicKey
	addr      netip.Addr
	uuid      string
	hostKey   ssh.Signer
	otherKey  ssh.Signer
	sshPort   int
	prismPort int

	// Under the site's lock:
	lns     []net.Listener // empty without power
	on      bool
	gone    bool // for good; the other members of its cluster still name it
	cluster *cluster
	ready   bool // Zeus answers, so services start
	up      int  // how many services are up, from the first
	jobs    map[string]*job
	running *job // holds the lock of Slipway's jobs
}

// New makes an empty site. Close it.
func New(o Options) (*Site, error) {
	cert, err := newPrismCert()
	if err != nil {
		return nil, fmt.Errorf("make Prism's certificate: %w", err)
	}
	s := &Site{opts: o, cert: cert, stop: make(chan struct{}), conns: map[net.Conn]*CVM{}, lns: map[net.Listener]bool{}}
	if o.Pace > 0 {
		s.wg.Go(s.beat)
	}
	return s, nil
}

func (s *Site) beat() {
	t := time.NewTicker(s.opts.Pace)
	defer t.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-t.C:
			s.Step()
		}
	}
}

// Close ends all listeners and connections and waits for them.
func (s *Site) Close() {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.stop)
		for l := range s.lns {
			_ = l.Close() // nothing was written that counts
		}
		for c := range s.conns {
			_ = c.Close() // nothing was written that counts
		}
	}
	s.mu.Unlock()
	s.wg.Wait()
}

// Place says where a controller VM listens.
type Place struct {
	// Name is what faults may call it by (Fault.Match).
	Name string
	// Keys may log in as user nutanix; nil is Options.Key.
	Keys      []ssh.PublicKey
	SSHPort   int // 0: any free one
	PrismPort int // 0: any free one
	// HostKey is its SSH host key; nil makes one.
	HostKey ssh.Signer
}

// Add starts a controller VM on a loopback address. It belongs to no cluster.
func (s *Site) Add(addr netip.Addr, at Place) (*CVM, error) {
	if !addr.Is4() || !addr.IsLoopback() {
		return nil, fmt.Errorf("%v is no IPv4 loopback address", addr)
	}
	c := &CVM{site: s, name: at.Name, keys: at.Keys, addr: addr, hostKey: at.HostKey, sshPort: at.SSHPort, prismPort: at.PrismPort, jobs: map[string]*job{}}
	if c.keys == nil && s.opts.Key != nil {
		c.keys = []ssh.PublicKey{s.opts.Key}
	}
	var err error
	if c.hostKey == nil {
		if c.hostKey, err = newHostKey(); err != nil {
			return nil, fmt.Errorf("make host key: %w", err)
		}
	}
	if c.otherKey, err = newHostKey(); err != nil {
		return nil, fmt.Errorf("make host key: %w", err)
	}
	if c.uuid, err = newUUID(); err != nil {
		return nil, fmt.Errorf("make UUID: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errors.New("the site is closed")
	}
	if s.find(addr) != nil {
		return nil, fmt.Errorf("%v is there already", addr)
	}
	if err := s.start(c); err != nil {
		return nil, err
	}
	s.cvms = append(s.cvms, c)
	return c, nil
}

func portOf(l net.Listener) int {
	a, err := netip.ParseAddrPort(l.Addr().String())
	if err != nil {
		return 0
	}
	return int(a.Port())
}

// listen serves connections until the listener or the site is closed; they are
// those of a controller VM, or of a cluster's own address. The caller holds the lock.
func (s *Site) listen(addr netip.Addr, port int, of *CVM, serve func(net.Conn)) (net.Listener, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(addr.String(), fmt.Sprint(port))) //nolint:noctx // it ends with Close
	if err != nil {
		return nil, err
	}
	s.lns[l] = true
	s.wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if !s.enter(l, conn, of) {
				_ = conn.Close() // nothing was written that counts
				return
			}
			s.wg.Go(func() {
				defer s.leave(conn)
				serve(conn)
			})
		}
	})
	return l, nil
}

// enter remembers a connection, unless its listener was closed meanwhile.
func (s *Site) enter(l net.Listener, conn net.Conn, of *CVM) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || !s.lns[l] {
		return false
	}
	s.conns[conn] = of
	return true
}

func (s *Site) leave(conn net.Conn) {
	_ = conn.Close() // nothing was written that counts
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, conn)
}

func (s *Site) find(a netip.Addr) *CVM {
	for _, c := range s.cvms {
		if c.addr == a {
			return c
		}
	}
	return nil
}

// Addr is the controller VM's address.
func (c *CVM) Addr() netip.Addr { return c.addr }

// SSHPort is where its SSH server listens.
func (c *CVM) SSHPort() int { return c.sshPort }

// PrismPort is where Prism listens.
func (c *CVM) PrismPort() int { return c.prismPort }

// HostKey is its SSH host key, "<type> <base64>".
func (c *CVM) HostKey() string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(c.hostKey.PublicKey())))
}

// Preform makes a cluster that is up, as if it had always been.
func (s *Site) Preform(name string, addrs ...netip.Addr) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := &cluster{name: name, state: "start"}
	for _, a := range addrs {
		c := s.find(a)
		if c == nil || c.cluster != nil {
			return fmt.Errorf("%v is not there, or belongs to a cluster", a)
		}
		k.members = append(k.members, c)
	}
	for _, c := range k.members {
		c.cluster, c.ready, c.up = k, true, len(serviceNames)
	}
	return nil
}

// Restart is a power cycle of a controller VM: its jobs and connections die, what
// is on its disk stays, its services start anew.
func (s *Site) Restart(a netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.find(a); c != nil {
		c.crash()
	}
}

// CVMState is what a controller VM is at a moment.
type CVMState struct {
	Name     string
	Addr     netip.Addr
	On       bool
	Cluster  string // the cluster's name; "Unnamed" as Nutanix has it if none was given
	Members  []netip.Addr
	State    string // "start", "stop"; empty without a cluster
	Services int    // how many are up
	Of       int    // how many there are
	RF       string
	VIP      netip.Addr
}

// State tells what every controller VM is, in the order in which they were added.
func (s *Site) State() []CVMState {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]CVMState, 0, len(s.cvms))
	for _, c := range s.cvms {
		st := CVMState{Name: c.name, Addr: c.addr, On: c.on, Services: c.up, Of: len(serviceNames)}
		if k := c.cluster; k != nil {
			st.Cluster, st.State, st.RF, st.VIP, st.Members = k.name, k.state, k.rf, k.vip, k.addrs()
		}
		out = append(out, st)
	}
	return out
}

// Formed counts how often `cluster create` got as far as to change a controller
// VM. More than the clusters that were asked for would be one too many.
func (s *Site) Formed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.formed
}

// Ran lists every line that was to be run, in order.
func (s *Site) Ran() []Command {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ran)
}

// Working reports whether a job runs anywhere.
func (s *Site) Working() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.cvms, func(c *CVM) bool { return c.running != nil })
}

func (k *cluster) addrs() []netip.Addr {
	out := make([]netip.Addr, len(k.members))
	for i, m := range k.members {
		out[i] = m.addr
	}
	return out
}

func newHostKey() (ssh.Signer, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	return ssh.NewSignerFromKey(private)
}

func newUUID() (string, error) {
	b := make([]byte, 16)
	if _, err := io.ReadFull(rand.Reader, b); err != nil {
		return "", err
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80 // RFC 9562 section 5.4
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]), nil
}
