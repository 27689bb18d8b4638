package rack

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/slipwayhq/slipway/deploy"
)

// Plan tells whether the order names the machine, whether its network is known,
// and whether its controller can be used: it is logged in to, and asked for the
// machine. Nothing is changed.
func (p *Provider) Plan(ctx context.Context, o deploy.Order) ([]deploy.Check, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	checks := []deploy.Check{planMAC(o.Spec), planAddress(o.Spec), p.planNetwork(o.Spec), p.planNames()}
	power, err := p.planPower(ctx, o)
	return append(checks, power...), err
}

// passed is a check whose failure would be an error.
func passed(key, label, field, format string, args ...any) deploy.Check {
	return deploy.Check{Key: key, Label: label, Severity: deploy.CheckError, Passed: true, Field: field, Message: fmt.Sprintf(format, args...)}
}

func (c check) deny(message, hint string) deploy.Check {
	c.Severity, c.Passed, c.Message, c.Hint = deploy.CheckError, false, message, hint
	return deploy.Check(c)
}

// as says what the check's failure would mean.
func (c check) as(severity deploy.CheckSeverity) deploy.Check {
	c.Severity = severity
	return deploy.Check(c)
}

type check deploy.Check

func planMAC(s deploy.Spec) deploy.Check {
	normal, ok := deploy.NormalMAC(s.MAC)
	c := passed("mac", "Boot interface", "mac", "the machine is known by %s", normal)
	serial, numbered := deploy.NormalSerial(s.Serial)
	switch {
	case ok:
		return c
	case s.MAC == "" && numbered:
		c.Message = "the machine is known by its serial number " + serial + "; its boot interface is learnt when it first boots"
		return c
	}
	return check(c).deny("a rack machine is known by the MAC address of its boot interface, or by its serial number, and this is neither", "Give the node its MAC address.")
}

func planAddress(s deploy.Spec) deploy.Check {
	c := passed("addresses", "Addresses", "management_ip", "management %s", s.ManagementIP)
	if s.ManagementIP == "" || len(deploy.CheckIP("", s.ManagementIP)) > 0 {
		return check(c).deny("a rack machine needs a management address", "Give the node its management address.")
	}
	return c
}

func (p *Provider) planNetwork(s deploy.Spec) deploy.Check {
	subnet, ok := s.Subnet(p.Networks)
	c := passed("network", "Network", "netmask", "network %s, no gateway", subnet.Prefix)
	if !ok {
		return check(c).deny("the netmask of the management address is not known", "Give the node its netmask and gateway, or start Slipway with the networks of its machines.")
	}
	if subnet.Gateway.IsValid() {
		c.Message = fmt.Sprintf("network %s, gateway %s", subnet.Prefix, subnet.Gateway)
	}
	return c
}

func (p *Provider) planNames() deploy.Check {
	if p.HasNames() {
		return check(passed("dns_zone", "DNS zone", "", "names are registered")).as(deploy.CheckInfo)
	}
	return check(passed("dns_zone", "DNS zone", "", "no names are registered for rack machines")).as(deploy.CheckInfo)
}

func (p *Provider) planPower(ctx context.Context, o deploy.Order) ([]deploy.Check, error) {
	power := o.Spec.Power
	if power.Manual() {
		return []deploy.Check{check(passed("power", "Power", "power", "%s", awaitingPerson)).as(deploy.CheckInfo)}, nil
	}
	c := passed("power", "Power", "power", "")
	has, err := p.lookForPlan(ctx, o)
	var refused *deploy.ProviderError
	switch {
	case errors.As(err, &refused):
		hint := refused.Hint
		if hint == "" {
			hint = "See whether the controller is up and can be reached from this server."
		}
		return []deploy.Check{check(c).deny(refused.Message, hint)}, nil
	case err != nil:
		return nil, err
	}
	c.Message = "its controller knows it as " + has.system
	return []deploy.Check{c, planInterface(o.Spec, has)}, nil
}

// planInterface warns when the controller does not show the boot interface.
func planInterface(s deploy.Spec, has shown) deploy.Check {
	macs, trouble := has.macs, has.trouble
	mac, ok := deploy.NormalMAC(s.MAC)
	c := check(passed("power_mac", "Controller and machine", "mac", "the controller lists the boot interface %s", mac)).as(deploy.CheckWarning)
	switch {
	case !ok: // known by its serial number: see planSerial
		return planSerial(s, has)
	case trouble != nil:
		c.Message, c.Hint = "the controller's list of interfaces cannot be read: "+short(trouble.Error()), "See that this controller is the one of this machine."
	case len(macs) == 0:
		c.Message, c.Hint = "the controller lists no network interfaces (some do not while the machine is off)", "See that this controller is the one of this machine."
	case !slices.Contains(macs, mac):
		c.Message, c.Hint = fmt.Sprintf("the controller lists other interfaces only: %d of them, not %s", len(macs), mac), "The controller may be another machine's: compare its address and the MAC address."
	default:
		return c
	}
	c.Passed = false
	return c
}

// planSerial warns when the controller shows another serial number.
func planSerial(s deploy.Spec, has shown) deploy.Check {
	serial, _ := deploy.NormalSerial(s.Serial)
	c := check(passed("power_serial", "Controller and machine", "serial", "the controller shows the serial number %s", serial)).as(deploy.CheckWarning)
	switch {
	case has.serial == "":
		c.Message, c.Hint = "the controller shows no serial number", "See that this controller is the one of this machine."
	case has.serial != serial:
		c.Message, c.Hint = fmt.Sprintf("the controller shows the serial number %s, not %s", short(has.serial), serial), "The controller may be another machine's."
	default:
		return c
	}
	c.Passed = false
	return c
}

// shown is what a controller tells of a machine.
type shown struct {
	system, serial string
	macs           []string
	trouble        error // why macs are not all
}

// lookForPlan logs in and reads the machine, and its interfaces as far as that
// goes.
func (p *Provider) lookForPlan(ctx context.Context, o deploy.Order) (shown, error) {
	c, err := p.open(ctx, o.Spec.Power)
	if err != nil {
		return shown{}, err
	}
	defer c.close(ctx)
	s, err := c.choose(ctx, o)
	if err != nil {
		return shown{}, err
	}
	var has shown
	has.macs, has.trouble = c.macs(ctx, s)
	if serial, ok := deploy.NormalSerial(s.SerialNumber); ok {
		has.serial = serial
	}
	state := string(s.PowerState)
	if state == "" {
		state = "in a power state that it does not tell"
	}
	has.system = fmt.Sprintf("%s (%s), %s", short(s.ID), short(s.ODataID), short(state))
	return has, nil
}
