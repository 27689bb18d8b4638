package rack

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"time"

	"github.com/slipwayhq/slipway/deploy"
)

// Registrar makes DNS names; another provider can be one.
type Registrar interface {
	RegisterNames(ctx context.Context, n deploy.Names) error
	HasNames() bool
}

// Config is what a provider is made of. The zero value is one for machines
// that people switch on.
type Config struct {
	Names Registrar // nil = no names are registered
	// Journal, Secrets and Controllers are needed for Redfish.
	Journal deploy.Journal
	Secrets Secrets
	// Controllers are the networks that board management controllers may be in.
	// An order names a controller and the secret to show it: without this limit
	// whoever may order could have any secret shown to a host of his own.
	Controllers []netip.Prefix
	// Networks are those of the machines' management addresses, for the
	// check-list: what an order does not say comes from them.
	Networks []deploy.Subnet
	// Timeout bounds one request to a controller; 0 = 20 s.
	Timeout time.Duration
	Now     func() time.Time // nil = the system's clock
	// Wrap is put around the transport to controllers; nil = nothing is.
	Wrap func(http.RoundTripper) http.RoundTripper
}

// Provider is own hardware. It keeps no state and may be used concurrently.
type Provider struct{ Config }

var (
	_ deploy.Provider    = (*Provider)(nil)
	_ deploy.Reinstaller = (*Provider)(nil)
	_ deploy.Releaser    = (*Provider)(nil)
	_ deploy.Planner     = (*Provider)(nil)
)

// New makes a provider for machines that people switch on; names may be nil,
// then none are registered.
func New(names Registrar) *Provider {
	p, err := NewWith(Config{Names: names})
	if err != nil { // nothing of it can be wrong
		panic(err)
	}
	return p
}

// NewWith makes a provider. Controllers without a journal or secrets is an
// error.
func NewWith(c Config) (*Provider, error) {
	if len(c.Controllers) > 0 && (c.Journal == nil || c.Secrets == nil) {
		return nil, errors.New("rack: switching machines by Redfish needs a journal and secrets")
	}
	if c.Timeout <= 0 {
		c.Timeout = 20 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Provider{c}, nil
}

// Order makes the machine that the order describes boot from the network: by
// its controller, once for a deployment and attempt, and not at all when it has
// booted after o.AttemptSince. A machine that a person switches is given back
// as it is described.
func (p *Provider) Order(ctx context.Context, o deploy.Order) (deploy.Machine, error) {
	machine, err := p.order(ctx, o)
	return machine, ended(ctx, err)
}

func (p *Provider) order(ctx context.Context, o deploy.Order) (deploy.Machine, error) {
	machine, err := described(ctx, o)
	if err != nil || o.Spec.Power.Manual() {
		return machine, err
	}
	if err := p.usable(o.Spec.Power); err != nil {
		return deploy.Machine{}, err
	}
	row, err := p.rowOf(ctx, o)
	if err != nil {
		return deploy.Machine{}, err
	}
	if row == nil {
		made, err := p.Journal.Intend(ctx, deploy.Intent{
			NodeID: o.NodeID, DeploymentID: o.DeploymentID, Provider: deploy.ProviderRack, Kind: kindPower, Role: "boot",
			Name: rowName(o), Generation: 1, Details: record{Power: *o.Spec.Power}.json(),
		})
		if err != nil {
			return deploy.Machine{}, err
		}
		row = &made
	}
	machine.ServerStatus, err = p.boot(ctx, o, *row, true)
	return machine, err
}

// Reinstall makes the machine that the node has boot from the network again; see
// deploy.Reinstaller. One that a person switches is given back as it is
// described: Observe says what is awaited.
func (p *Provider) Reinstall(ctx context.Context, o deploy.Order) (deploy.Machine, error) {
	machine, err := p.reinstall(ctx, o)
	return machine, ended(ctx, err)
}

func (p *Provider) reinstall(ctx context.Context, o deploy.Order) (deploy.Machine, error) {
	machine, err := described(ctx, o)
	if err != nil || o.Spec.Power.Manual() {
		return machine, err
	}
	if err := p.usable(o.Spec.Power); err != nil {
		return deploy.Machine{}, err
	}
	row, err := p.rowOf(ctx, o)
	if err != nil {
		return deploy.Machine{}, err
	}
	if row == nil {
		return deploy.Machine{}, permanent(deploy.CodeNotFound, "Cancel this deployment, and deploy the node again.", "nothing was ever asked of the controller of node %s", o.NodeName)
	}
	if o.AttemptSince.IsZero() {
		return machine, nil
	}
	machine.ServerStatus, err = p.boot(ctx, o, *row, false)
	return machine, err
}

// described is the machine as the order has it.
func described(ctx context.Context, o deploy.Order) (deploy.Machine, error) {
	if err := ctx.Err(); err != nil {
		return deploy.Machine{}, err
	}
	var macs []string // none are known of a machine that is registered by its serial number: its first boot brings them
	mac, ok := deploy.NormalMAC(o.Spec.MAC)
	_, numbered := deploy.NormalSerial(o.Spec.Serial)
	switch {
	case ok:
		macs = []string{mac}
	case o.Spec.MAC != "" || !numbered:
		return deploy.Machine{}, permanent(deploy.CodeInvalid, "Give the node its MAC address, and deploy again.",
			"mac: a rack machine is known by the MAC address of its boot interface, or by its serial number, and this is neither")
	}
	if o.Spec.ManagementIP == "" || len(deploy.CheckIP("", o.Spec.ManagementIP)) > 0 {
		return deploy.Machine{}, permanent(deploy.CodeInvalid, "Give the node its management address, and deploy again.",
			"management_ip: a rack machine needs a management address")
	}
	return deploy.Machine{ManagementIP: o.Spec.ManagementIP, MACs: macs}, nil
}

// usable tells why a machine cannot be switched with these settings here.
func (p *Provider) usable(power *deploy.Power) error {
	if bad := power.Check("power."); len(bad) > 0 {
		return permanent(bad[0].Code, "Correct the node's power settings, and deploy again.", "%s: %s", bad[0].Field, bad[0].Message)
	}
	if len(p.Controllers) == 0 {
		return permanent(deploy.CodeInvalid, "Start Slipway with the networks of the controllers, or let a person switch the machine.",
			"power.type: this server may not reach any board management controller")
	}
	return nil
}

// awaitingPerson is what Observe says of a machine that Slipway does not switch.
const awaitingPerson = "a person has to switch this machine on, and let it boot from the network"

// Observe tells whether the machine is on, as its controller says; of one that
// a person switches, what is awaited.
func (p *Provider) Observe(ctx context.Context, nodeID int64) (deploy.Observation, error) {
	seen, err := p.observe(ctx, nodeID)
	return seen, ended(ctx, err)
}

func (p *Provider) observe(ctx context.Context, nodeID int64) (deploy.Observation, error) {
	if err := ctx.Err(); err != nil {
		return deploy.Observation{}, err
	}
	row, err := p.held(ctx, nodeID)
	if err != nil {
		return deploy.Observation{}, err
	}
	if row == nil {
		return deploy.Observation{Reasons: []string{awaitingPerson}}, nil
	}
	if row.CloudID == "" {
		return deploy.Observation{}, nil
	}
	rec := recordOf(*row)
	system, err := p.look(ctx, &rec.Power, row.CloudID)
	if isNotFound(err) {
		return deploy.Observation{Failed: vanished(row)}, nil
	}
	if err != nil {
		return deploy.Observation{}, err
	}
	seen := deploy.Observation{ServerStatus: string(system.PowerState)}
	switch system.PowerState {
	case powerOff:
		seen.Reasons = append(seen.Reasons, "its controller says that it is switched off")
	case "":
		seen.Reasons = append(seen.Reasons, "its controller does not say whether it is on")
	default: // ServerStatus says it
	}
	if h := string(system.Status.Health); h != "" && h != "OK" {
		seen.Reasons = append(seen.Reasons, "its controller reports its health as "+short(h))
	}
	return seen, nil
}

func vanished(row *deploy.Resource) *deploy.ProviderError {
	return permanent(deploy.CodeNotFound, "Look at the controller: was the machine exchanged or renamed? Correct the power settings, and deploy again.",
		"the controller has no system %s any more", row.CloudID)
}

// RegisterNames lets the registrar do it, if there is one.
func (p *Provider) RegisterNames(ctx context.Context, n deploy.Names) error {
	if !p.HasNames() {
		return nil
	}
	return p.Names.RegisterNames(ctx, n)
}

// HasNames reports whether there is a registrar with a zone.
func (p *Provider) HasNames() bool { return p.Names != nil && p.Names.HasNames() }
