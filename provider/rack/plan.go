package rack

import (
	"context"

	"github.com/slipwayhq/slipway/deploy"
)

var _ deploy.Planner = (*Provider)(nil)

// Plan tells whether the order names the machine: nothing else is needed, since
// it exists already.
func (p *Provider) Plan(ctx context.Context, o deploy.Order) ([]deploy.Check, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	mac := deploy.Check{Key: "mac", Label: "Boot interface", Severity: deploy.CheckInfo, Passed: true, Field: "mac"}
	if normal, ok := deploy.NormalMAC(o.Spec.MAC); ok {
		mac.Message = "the machine is known by " + normal
	} else {
		mac.Severity, mac.Passed = deploy.CheckError, false
		mac.Message, mac.Hint = "a rack machine is known by the MAC address of its boot interface, and this is none", "Give the node its MAC address."
	}
	address := deploy.Check{Key: "addresses", Label: "Addresses", Severity: deploy.CheckInfo, Passed: true, Field: "management_ip", Message: "management " + o.Spec.ManagementIP}
	if o.Spec.ManagementIP == "" || len(deploy.CheckIP("", o.Spec.ManagementIP)) > 0 {
		address.Severity, address.Passed = deploy.CheckError, false
		address.Message, address.Hint = "a rack machine needs a management address", "Give the node its management address."
	}
	names := deploy.Check{Key: "dns_zone", Label: "DNS zone", Severity: deploy.CheckInfo, Passed: true, Message: "no names are registered for rack machines"}
	if p.HasNames() {
		names.Message = "names are registered"
	}
	return []deploy.Check{mac, address, names}, nil
}
