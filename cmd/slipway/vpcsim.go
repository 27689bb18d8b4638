package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/slipwayhq/slipway/provider/ibmvpc"
	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim"
	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim/machine"
	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim/qemu"
)

// simConfig is a simulated cloud with its machines.
type simConfig struct {
	Listen string
	Pace   machine.Pace
	Faults []machine.Fault
	Rules  []json.RawMessage // faults of the cloud, and more of machines, as POST /_sim/faults takes them
	Shell  string
	// CVMSSHPort and CVMPrismPort are where controller VMs listen; the machines' defaults if 0.
	CVMSSHPort, CVMPrismPort int
	Logger                   *slog.Logger
	// Virtual are virtual machines in the place of the simulated ones.
	Virtual *qemu.Rack
}

// simulation is a running simulated cloud.
type simulation struct {
	URL       string
	Simulator *vpcsim.Simulator
	Rack      *machine.Rack // nil with virtual machines
	hardware  io.Closer
	listener  *vpcsim.Listener
	claim     io.Closer // of the machines' addresses
	cancel    context.CancelFunc
}

func startSimulation(ctx context.Context, cfg simConfig) (_ *simulation, err error) {
	s := &simulation{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.release())
		}
	}()
	options := vpcsim.Options{Logger: cfg.Logger}
	if cfg.Virtual != nil {
		options.Hardware, options.Subnets, s.hardware = cfg.Virtual, virtualSubnets(), cfg.Virtual
	} else {
		if options.Subnets, s.claim, err = claimSubnets(ctx); err != nil {
			return nil, err
		}
		if s.Rack, err = machine.NewRack(machine.Options{Pace: cfg.Pace, Faults: cfg.Faults, Shell: cfg.Shell, CVMSSHPort: cfg.CVMSSHPort, CVMPrismPort: cfg.CVMPrismPort, Logger: cfg.Logger}); err != nil {
			return nil, fmt.Errorf("simulated machines: %w", err)
		}
		options.Hardware, s.hardware = s.Rack, s.Rack
	}
	if s.Simulator, err = vpcsim.New(options); err != nil {
		return nil, err
	}
	for _, rule := range cfg.Rules {
		if _, err := s.Simulator.AddFaultRule(rule); err != nil {
			return nil, fmt.Errorf("fault %s: %w", rule, err)
		}
	}
	serving, cancel := context.WithCancel(context.WithoutCancel(ctx))
	if s.listener, err = s.Simulator.Serve(serving, cfg.Listen); err != nil {
		cancel()
		return nil, err
	}
	s.URL, s.cancel = s.listener.URL, cancel
	return s, nil
}

// release gives back what machines hold.
func (s *simulation) release() error {
	var errs []error
	for _, c := range []io.Closer{s.hardware, s.claim} {
		if c != nil {
			errs = append(errs, c.Close())
		}
	}
	return errors.Join(errs...)
}

// Stop ends the listener and switches every machine off.
func (s *simulation) Stop() error {
	s.cancel()
	err := s.listener.Wait()
	s.Simulator.Close()
	return errors.Join(err, s.release())
}

// simulatedIBM are the provider's settings for the simulator's default account.
func simulatedIBM(url string) ibmvpc.Config {
	return ibmvpc.Config{
		Region: vpcsim.DefaultRegion, VPC: vpcsim.DefaultVPC, ManagementSubnet: vpcsim.DefaultManagementSubnet,
		SecurityGroups: []string{vpcsim.DefaultSecurityGroup}, DNSInstance: vpcsim.DefaultDNSInstance, DNSZone: vpcsim.DefaultDNSZone,
		Auth: ibmvpc.AuthNone, VPCURL: url, DNSURL: url,
		// Every machine has a controller VM.
		GuestAddresses: ibmvpc.GuestsOn,
		// The simulator shows at once what it has made.
		DoubtWindow: 3 * time.Second,
	}
}

type vpcsimCmd struct {
	Listen string `help:"Loopback address to listen on." default:"127.0.0.1:8090" env:"SLIPWAY_VPCSIM_LISTEN"`
	Pace   string `help:"demo lets a person watch, quick is as fast as it goes." enum:"demo,quick" default:"demo" env:"SLIPWAY_VPCSIM_PACE"`
	Faults string `help:"JSON list of faults of cloud and machines, or @file; see docs/simulator.md." env:"SLIPWAY_VPCSIM_FAULTS"`
	Seed   uint64 `help:"Random faults of cloud and machines, the same for the same number; 0 is none." env:"SLIPWAY_VPCSIM_SEED"`
	Shell  string `help:"Shell of the install environment: dash or busybox; default: what sh is." env:"SLIPWAY_VPCSIM_SHELL"`

	CVMSSHPort   int `name:"cvm-ssh-port" help:"SSH port of the machines' controller VMs." default:"2222" env:"SLIPWAY_VPCSIM_CVM_SSH_PORT"`
	CVMPrismPort int `name:"cvm-prism-port" help:"Prism's port on them." default:"9440" env:"SLIPWAY_VPCSIM_CVM_PRISM_PORT"`
}

func paceOf(name string) machine.Pace {
	if name == "quick" {
		return machine.QuickPace()
	}
	return machine.DemoPace()
}

// parseFaults reads faults from JSON, or from the file that "@path" names.
func parseFaults(text string) ([]machine.Fault, error) {
	if text == "" {
		return nil, nil
	}
	data := []byte(text)
	if text[0] == '@' {
		var err error
		if data, err = os.ReadFile(text[1:]); err != nil {
			return nil, fmt.Errorf("machine faults: %w", err)
		}
	}
	return machine.ParseFaults(data)
}

// faultRules reads the rules of the cloud's and the machines' faults from a JSON
// list, or from the file that "@path" names; a seed adds random ones.
func faultRules(text string, seed uint64) ([]json.RawMessage, error) {
	var rules []json.RawMessage
	if text != "" {
		data := []byte(text)
		if text[0] == '@' {
			var err error
			if data, err = os.ReadFile(text[1:]); err != nil {
				return nil, fmt.Errorf("faults: %w", err)
			}
		}
		if err := json.Unmarshal(data, &rules); err != nil {
			return nil, fmt.Errorf("faults: not a JSON list: %w", err)
		}
	}
	if seed != 0 {
		rules = append(rules, fmt.Appendf(nil, `{"kind":%q,"seed":%d}`, vpcsim.FaultRandom, seed),
			fmt.Appendf(nil, `{"match":"*","fault":%q,"seed":%d}`, machine.FaultRandom, seed))
	}
	return rules, nil
}

// Run simulates until a signal comes.
func (c *vpcsimCmd) Run(ctx context.Context) error {
	rules, err := faultRules(c.Faults, c.Seed)
	if err != nil {
		return exit{exitUsage, err}
	}
	sim, err := startSimulation(ctx, simConfig{Listen: c.Listen, Pace: paceOf(c.Pace), Rules: rules, Shell: c.Shell, CVMSSHPort: c.CVMSSHPort, CVMPrismPort: c.CVMPrismPort, Logger: slog.Default()})
	if err != nil {
		return err
	}
	ibm := simulatedIBM(sim.URL)
	fmt.Printf("simulated IBM Cloud at %s; serve with:\n\n", sim.URL)
	fmt.Printf("  slipway serve --ibm-region=%s --ibm-vpc=%s --ibm-management-subnet=%s --ibm-security-groups=%s \\\n    --ibm-dns-instance=%s --ibm-dns-zone=%s --ibm-auth=none --ibm-vpc-url=%s --ibm-dns-url=%s --ibm-doubt-window=3s --ibm-guest-addresses=on --ssh-port=2222 --cvm-ssh-port=%d --cvm-prism-port=%d\n\n",
		ibm.Region, ibm.VPC, ibm.ManagementSubnet, ibm.SecurityGroups[0], ibm.DNSInstance, ibm.DNSZone, ibm.VPCURL, ibm.DNSURL, c.CVMSSHPort, c.CVMPrismPort)
	fmt.Printf("faults by rule: POST, GET, DELETE %s/_sim/faults; what has happened so far: GET %s/_sim/state\n", sim.URL, sim.URL)
	<-ctx.Done()
	return sim.Stop()
}
