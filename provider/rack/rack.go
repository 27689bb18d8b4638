package rack

import (
	"context"

	"github.com/slipwayhq/slipway/deploy"
)

// Registrar makes DNS names; another provider can be one.
type Registrar interface {
	RegisterNames(ctx context.Context, n deploy.Names) error
	HasNames() bool
}

// Provider is own hardware. It keeps no state and may be used concurrently.
type Provider struct{ names Registrar }

var _ deploy.Provider = (*Provider)(nil)

// New makes a provider; names may be nil, then none are registered.
func New(names Registrar) *Provider { return &Provider{names: names} }

// Order gives the machine that the order describes: it exists already, so
// nothing is made. Deployments of rack machines skip the phase that calls it.
func (p *Provider) Order(ctx context.Context, o deploy.Order) (deploy.Machine, error) {
	if err := ctx.Err(); err != nil {
		return deploy.Machine{}, err
	}
	mac, ok := deploy.NormalMAC(o.Spec.MAC)
	if !ok {
		return deploy.Machine{}, &deploy.ProviderError{Code: deploy.CodeInvalid, Message: "mac: a rack machine is known by the MAC address of its boot interface, and this is none",
			Hint: "Give the node its MAC address, and deploy again."}
	}
	if o.Spec.ManagementIP == "" || len(deploy.CheckIP("", o.Spec.ManagementIP)) > 0 {
		return deploy.Machine{}, &deploy.ProviderError{Code: deploy.CodeInvalid, Message: "management_ip: a rack machine needs a management address",
			Hint: "Give the node its management address, and deploy again."}
	}
	return deploy.Machine{ManagementIP: o.Spec.ManagementIP, MACs: []string{mac}}, nil
}

// Observe knows nothing about the machine until it speaks for itself.
func (p *Provider) Observe(ctx context.Context, _ int64) (deploy.Observation, error) {
	return deploy.Observation{}, ctx.Err()
}

// RegisterNames lets the registrar do it, if there is one.
func (p *Provider) RegisterNames(ctx context.Context, n deploy.Names) error {
	if !p.HasNames() {
		return nil
	}
	return p.names.RegisterNames(ctx, n)
}

// HasNames reports whether there is a registrar with a zone.
func (p *Provider) HasNames() bool { return p.names != nil && p.names.HasNames() }
