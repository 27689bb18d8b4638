package herd

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/slipwayhq/slipway/deploy/cluster/cvmsim"
	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim"
)

// Options tune a Herd. The zero value works.
type Options struct {
	// Firmware is the time from power to the first boot request; Step the time
	// between two reports. Zero is as fast as it goes.
	Firmware, Step time.Duration
	// Retry is the pause after a request that failed; 200 ms if 0.
	Retry time.Duration
	// CVMs, if set, is the network of the machines' controller VMs: a machine that is
	// installed with an address for one runs one there, on CVMPorts.
	CVMs     *cvmsim.Site
	CVMPorts cvmsim.Place // of which the ports count
	// OnBoot, if set, is told every boot. It must not block.
	OnBoot func(serverID string)
	// Logger gets what goes wrong; nothing is logged if nil.
	Logger *slog.Logger
}

// Herd is a set of machines. It implements vpcsim.Hardware.
type Herd struct {
	opts Options

	mu       sync.Mutex
	machines map[string]*machine
	closed   bool
}

var (
	_ vpcsim.Hardware = (*Herd)(nil)
	_ vpcsim.Scrapper = (*Herd)(nil)
)

// New returns a herd without machines.
func New(opts Options) *Herd {
	if opts.Retry == 0 {
		opts.Retry = 200 * time.Millisecond
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	return &Herd{opts: opts, machines: map[string]*machine{}}
}

// machine is one server.
type machine struct {
	id        string
	installed *system     // what is on the boot disk; nil is the network boot image
	cvm       *cvmsim.CVM // on the disks; nil if none
	cancel    context.CancelFunc
	done      chan struct{}
}

// PowerOn starts a machine and returns at once.
func (h *Herd) PowerOn(spec vpcsim.Spec) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	m := h.machines[spec.ServerID]
	if m == nil {
		m = &machine{id: spec.ServerID}
		h.machines[spec.ServerID] = m
	}
	before := m.done
	if m.cancel != nil {
		m.cancel()
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	m.cancel, m.done = cancel, done
	go func() {
		defer close(done)
		if before != nil {
			<-before // of an earlier power cycle
		}
		if spec.Reinitialized {
			m.installed = nil
			m.dropCVM()
		}
		c := &cycle{machine: m, opts: h.opts, spec: spec, client: newClient(spec.IP)}
		defer c.client.CloseIdleConnections()
		if err := c.live(ctx); err != nil && ctx.Err() == nil {
			h.opts.Logger.Error("simulated machine broke", "server", spec.Name, "error", err)
		}
	}()
}

// PowerOff takes a machine's power; it has ended when this returns.
func (h *Herd) PowerOff(serverID string) { h.off(serverID, false) }

// Scrap takes a machine's power and forgets it.
func (h *Herd) Scrap(serverID string) error {
	h.off(serverID, true)
	return nil
}

func (h *Herd) off(serverID string, forget bool) {
	h.mu.Lock()
	m := h.machines[serverID]
	if forget {
		delete(h.machines, serverID)
	}
	h.mu.Unlock()
	if m != nil && m.cancel != nil {
		m.cancel()
		<-m.done
	}
	if m != nil && forget {
		m.dropCVM()
	}
}

// Close takes the power of all machines and waits for their end.
func (h *Herd) Close() {
	h.mu.Lock()
	h.closed = true
	all := make([]*machine, 0, len(h.machines))
	for _, m := range h.machines {
		m.cancel()
		all = append(all, m)
	}
	h.mu.Unlock()
	for _, m := range all {
		<-m.done
	}
}

// newClient calls from a machine's own address, with a connection a request as
// curl has.
func newClient(ip string) *http.Client {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}, Timeout: 10 * time.Second}
	return &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true, DisableCompression: true}, Timeout: time.Minute}
}
