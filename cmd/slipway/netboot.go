package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/query"
	"github.com/slipwayhq/slipway/pxe/program"
	"github.com/slipwayhq/slipway/pxe/proxydhcp"
	"github.com/slipwayhq/slipway/pxe/tftp"
	"github.com/slipwayhq/slipway/server"
)

// netbootFlags are the settings of network boot for one's own machines. All of
// it is off by default.
type netbootFlags struct {
	BootProgramsDir string `help:"Directory with boot programs of your own, beside those of Debian's package ipxe; a file VERSION there names their version." env:"SLIPWAY_BOOT_PROGRAMS_DIR" type:"path"`
	TFTPListen      string `name:"tftp-listen" help:"Serve the boot programs over TFTP on this address, for instance :69. Default: off, or port 69 of --pxe-address with --proxydhcp=on." env:"SLIPWAY_TFTP_LISTEN"`
	ProxyDHCP       string `name:"proxydhcp" help:"Tell machines what to boot, beside the DHCP server that gives them their addresses." enum:"off,on" default:"off" env:"SLIPWAY_PROXYDHCP"`
	ProxyDHCPFile   string `name:"proxydhcp-file" help:"Where firmware learns its boot file: in the offer, or only when it asks on port 4011." enum:"offer,4011" default:"offer" env:"SLIPWAY_PROXYDHCP_FILE"`
	PXEInterface    string `name:"pxe-interface" help:"Interface that the machines are on; needed for --proxydhcp=on." env:"SLIPWAY_PXE_INTERFACE"`
	PXEAddress      string `name:"pxe-address" help:"This server's IPv4 address on their network; default: the first of --pxe-interface." env:"SLIPWAY_PXE_ADDRESS"`
	PXEAllowUnknown bool   `name:"pxe-allow-unknown" help:"Answer every machine that asks to boot, not only those that a deployment waits for." env:"SLIPWAY_PXE_ALLOW_UNKNOWN"`
}

// sources are where boot programs come from.
func (f netbootFlags) sources() program.Sources {
	from := program.Debian()
	from.Directory = f.BootProgramsDir
	return from
}

// address is the server's address on the machines' network, the zero value if
// network boot is not set up.
func (f netbootFlags) address() (netip.Addr, error) {
	if f.PXEAddress != "" {
		a, err := netip.ParseAddr(f.PXEAddress)
		if err != nil || !a.Is4() {
			return netip.Addr{}, fmt.Errorf("--pxe-address: %q is no IPv4 address", f.PXEAddress)
		}
		return a, nil
	}
	if f.PXEInterface == "" {
		return netip.Addr{}, nil
	}
	a, err := proxydhcp.Address(f.PXEInterface)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("--pxe-interface: %w", err)
	}
	return a, nil
}

// baseURL is how machines on their network reach a server that listens at
// listen: by address, since firmware may know no names. Empty: not known here.
func (f netbootFlags) baseURL(listen net.Addr) string {
	a, err := f.address()
	tcp, ok := listen.(*net.TCPAddr)
	if err != nil || !a.IsValid() || !ok || !tcp.IP.IsUnspecified() {
		return ""
	}
	return fmt.Sprintf("http://%s", netip.AddrPortFrom(a, uint16(tcp.Port))) //nolint:gosec // a port
}

// netboot is the parts of network boot that are on, with their ports open.
type netboot struct {
	programs *program.Set
	tftp     *tftp.Server
	files    *tftp.Listener
	proxy    *proxydhcp.Server
	dhcp     *proxydhcp.Listener
}

// openNetboot reads the programs and opens the ports, so that what is missing is
// told before anything runs.
func openNetboot(ctx context.Context, f netbootFlags, baseURL string, who proxydhcp.Who, log *slog.Logger) (_ *netboot, err error) {
	n := &netboot{}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.close())
		}
	}()
	if n.programs, err = program.Load(f.sources()); err != nil {
		return nil, err
	}
	address, err := f.address()
	if err != nil {
		return nil, err
	}
	listen := f.TFTPListen
	if f.ProxyDHCP == "on" {
		if f.PXEInterface == "" {
			return nil, errors.New("--proxydhcp=on needs --pxe-interface")
		}
		n.proxy, err = proxydhcp.New(proxydhcp.Config{Who: who, Logger: log, Settings: proxydhcp.Settings{
			Address: address, BaseURL: baseURL, Programs: n.programs, OnlyBootPort: f.ProxyDHCPFile == "4011",
		}})
		if err != nil {
			return nil, err
		}
		if n.dhcp, err = proxydhcp.Listen(ctx, f.PXEInterface); err != nil {
			return nil, err
		}
		if listen == "" {
			listen = netip.AddrPortFrom(address, 69).String()
		}
	}
	if listen != "" {
		n.tftp = tftp.New(tftp.Config{Programs: n.programs, Logger: log})
		if n.files, err = tftp.Listen(ctx, listen); err != nil {
			return nil, err
		}
		for _, note := range n.programs.Notes() {
			log.Warn("boot programs", "note", note)
		}
	}
	return n, nil
}

// run starts what is on.
func (n *netboot) run(part func(name string, run func(context.Context) error)) {
	if n.tftp != nil {
		part("tftp", func(ctx context.Context) error { return n.tftp.Serve(ctx, n.files) })
	}
	if n.proxy != nil {
		part("proxydhcp", func(ctx context.Context) error { return n.proxy.Serve(ctx, n.dhcp) })
	}
}

// close gives the ports back; after run they are already closed.
func (n *netboot) close() error {
	if n == nil {
		return nil
	}
	var errs []error
	if n.files != nil {
		errs = append(errs, n.files.Close())
	}
	if n.dhcp != nil {
		errs = append(errs, n.dhcp.Close())
	}
	return errors.Join(errs...)
}

// watch adds the counters to the metrics.
func (n *netboot) watch(metrics *server.Metrics) {
	count := func(name, help string, label string, read map[string]func() int64) {
		for value, f := range read {
			opts := prometheus.CounterOpts{Name: name, Help: help}
			if label != "" {
				opts.ConstLabels = prometheus.Labels{label: value}
			}
			metrics.Registry.MustRegister(prometheus.NewCounterFunc(opts, func() float64 { return float64(f()) }))
		}
	}
	if s := n.tftp; s != nil {
		count("slipway_tftp_requests_total", "TFTP requests by what became of them. A probe is a client that only wanted to know a size.", "outcome", map[string]func() int64{
			"served":    func() int64 { return s.Stats().Served },
			"probe":     func() int64 { return s.Stats().Probes },
			"aborted":   func() int64 { return s.Stats().Aborted },
			"timed_out": func() int64 { return s.Stats().TimedOut },
			"failed":    func() int64 { return s.Stats().Failed },
			"unknown":   func() int64 { return s.Stats().Unknown },
			"limited":   func() int64 { return s.Stats().Limited },
			"write":     func() int64 { return s.Stats().Refused },
			"malformed": func() int64 { return s.Stats().Malformed },
		})
		count("slipway_tftp_bytes_total", "Bytes of boot programs sent over TFTP, repetitions not counted.", "", map[string]func() int64{"": func() int64 { return s.Stats().Bytes }})
		metrics.Registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "slipway_tftp_transfers", Help: "TFTP transfers under way."}, func() float64 { return float64(s.Stats().Active) }))
	}
	if s := n.proxy; s != nil {
		count("slipway_proxydhcp_packets_total", "Packets on the ports of proxyDHCP by what became of them; those of machines that do not boot are in none.", "outcome", map[string]func() int64{
			"offered":      func() int64 { return s.Stats().Offered },
			"acknowledged": func() int64 { return s.Stats().Acknowledged },
			"unknown":      func() int64 { return s.Stats().Unknown },
			"dropped":      func() int64 { return s.Stats().Dropped },
			"malformed":    func() int64 { return s.Stats().Malformed },
			"failed":       func() int64 { return s.Stats().Failed },
		})
	}
}

// guests are the machines that may boot: those whose deployment is not over, or
// all of them.
type guests struct {
	machines interface {
		FindMachine(ctx context.Context, hint query.MachineHint) (query.Machine, error)
	}
	everybody bool
}

// Known implements proxydhcp.Who.
func (g guests) Known(ctx context.Context, mac string) (bool, error) {
	if g.everybody {
		return true, nil
	}
	m, err := g.machines.FindMachine(ctx, query.MachineHint{MAC: mac})
	if deploy.HasCode(err, deploy.CodeNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return m.DeploymentID != 0 && phase.Active(m.State), nil
}
