package qemu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim"
)

// Program is QEMU's, for machines of x86-64.
const Program = "qemu-system-x86_64"

// Options say how machines are made. The zero value works.
type Options struct {
	// Dir is where machines keep their disks; a temporary directory, removed by
	// Close, if empty.
	Dir string
	// MemoryMB is each machine's memory, 1024 if 0: the install environment keeps
	// what it downloads there.
	MemoryMB int
	// SSHPort is where installed systems listen, 22 if 0.
	SSHPort int
	// Arguments are more arguments of QEMU.
	Arguments []string
	// Logger gets consoles and changes of power; slog's default if nil.
	Logger *slog.Logger
	// OnConsole, if set, gets what machines print as they print it.
	OnConsole func(serverID string, text []byte)
}

// Rack is a set of virtual machines. It implements vpcsim.Hardware.
type Rack struct {
	opts    Options
	program string
	dir     string
	temp    bool

	power sync.Mutex // one change of power at a time

	mu       sync.Mutex // guards what follows
	machines map[string]*vm
	closed   bool
}

var (
	_ vpcsim.Hardware = (*Rack)(nil)
	_ vpcsim.Scrapper = (*Rack)(nil)
)

// New prepares a rack without machines; it fails when QEMU is not installed.
func New(opts Options) (*Rack, error) {
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	if opts.MemoryMB <= 0 {
		opts.MemoryMB = 1024
	}
	if opts.SSHPort <= 0 {
		opts.SSHPort = 22
	}
	program, err := exec.LookPath(Program)
	if err != nil {
		return nil, fmt.Errorf("virtual machines: %w (Debian: qemu-system-x86, seabios, ipxe-qemu)", err)
	}
	r := &Rack{opts: opts, program: program, dir: opts.Dir, machines: map[string]*vm{}}
	if r.dir == "" {
		r.dir, err = os.MkdirTemp("", "slipway-qemu-")
		r.temp = true
	} else {
		err = os.MkdirAll(r.dir, 0o700)
	}
	if err != nil {
		return nil, fmt.Errorf("directory of virtual machines: %w", err)
	}
	return r, nil
}

// PowerOn starts a machine and returns at once. Its disks stay as they are,
// unless the provider has rewritten the boot disk (Spec.Reinitialized): then it
// is empty, and the machine boots from the network.
func (r *Rack) PowerOn(spec vpcsim.Spec) {
	r.power.Lock()
	defer r.power.Unlock()
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return
	}
	m := r.machines[spec.ServerID]
	if m == nil {
		m = &vm{
			id: spec.ServerID, dir: filepath.Join(r.dir, "machine-"+url.PathEscape(spec.ServerID)), rack: r,
			log: r.opts.Logger.With("server_id", spec.ServerID, "server", spec.Name, "ip", spec.IP),
		}
		r.machines[spec.ServerID] = m
	}
	r.mu.Unlock()
	m.off()
	if err := m.on(spec); err != nil {
		m.log.Error("virtual machine could not be started", "error", err)
		fmt.Fprintf(m, "\n*** The virtual machine could not be started: %v\n", err)
	}
}

// PowerOff takes a machine's power away: when it returns, QEMU is gone. Its
// disks keep what was written.
func (r *Rack) PowerOff(serverID string) {
	r.power.Lock()
	defer r.power.Unlock()
	if m := r.machine(serverID); m != nil {
		m.off()
	}
}

// Scrap takes a machine's power away and throws it away with its disks.
func (r *Rack) Scrap(serverID string) error {
	r.power.Lock()
	defer r.power.Unlock()
	m := r.machine(serverID)
	if m == nil {
		return nil
	}
	m.off()
	r.mu.Lock()
	delete(r.machines, serverID)
	r.mu.Unlock()
	return os.RemoveAll(m.dir)
}

// Close powers everything off. The rack cannot be used after that.
func (r *Rack) Close() error {
	r.power.Lock()
	defer r.power.Unlock()
	r.mu.Lock()
	r.closed = true
	machines := make([]*vm, 0, len(r.machines))
	for _, m := range r.machines {
		machines = append(machines, m)
	}
	r.mu.Unlock()
	for _, m := range machines {
		m.off()
	}
	if r.temp {
		return os.RemoveAll(r.dir)
	}
	return nil
}

func (r *Rack) machine(serverID string) *vm {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.machines[serverID]
}

// Servers are the ids of the machines that exist.
func (r *Rack) Servers() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]string, 0, len(r.machines))
	for id := range r.machines {
		out = append(out, id)
	}
	return out
}

// Console is the end of what a machine has printed on its serial line; empty for
// one that does not exist.
func (r *Rack) Console(serverID string) string {
	if m := r.machine(serverID); m != nil {
		return m.console()
	}
	return ""
}

// On tells whether a machine has power.
func (r *Rack) On(serverID string) bool {
	m := r.machine(serverID)
	return m != nil && m.running()
}

// errNoMachine is what a call to an address without a machine gets.
var errNoMachine = errors.New("no virtual machine has this address")

// Dial connects to a machine at its own address, as a network would: the SSH
// port of a machine with power is reached through QEMU's forwarding, which
// accepts a connection before the machine does. Any other address is dialled as
// it is.
func (r *Rack) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	var found *vm
	r.mu.Lock()
	for _, m := range r.machines {
		if m.ip == host {
			found = m
		}
	}
	r.mu.Unlock()
	if found == nil {
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	forward, ok := found.forward()
	if !ok {
		return nil, &net.OpError{Op: "dial", Net: network, Err: errNoMachine}
	}
	return new(net.Dialer).DialContext(ctx, network, forward)
}

var _ io.Writer = (*vm)(nil)
