package rack

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"slices"
	"time"

	"github.com/stmcginnis/gofish/redfish"

	"github.com/slipwayhq/slipway/deploy"
)

// stage is what a machine is being brought to.
type stage string

const (
	stageOff      stage = "off"      // no power
	stageOverride stage = "override" // it will boot from the network once
	stageOn       stage = "on"
)

// command is what is asked of a controller.
type command string

const (
	nothing     command = ""
	switchOff   command = "switch off"
	setOverride command = "set the boot override"
	switchOn    command = "switch on"
)

const (
	powerOff         = redfish.OffPowerState
	powerOn          = redfish.OnPowerState
	powerPoweringOff = redfish.PoweringOffPowerState
	powerPoweringOn  = redfish.PoweringOnPowerState
)

// A controller has so long to show what it was asked for before it is asked
// again, and is asked so often: servers take up to half a minute to lose power.
const (
	patienceSwitch   = 30 * time.Second
	patienceOverride = 15 * time.Second
	asksMax          = 3
	roundsMax        = 2
)

// leaseTime is how long an actor may command a machine; leaseWork is how long
// it does, so that nothing of it comes after the lease has passed.
const (
	leaseTime = 2 * time.Minute
	leaseWork = leaseTime - 30*time.Second
)

// view is what a controller shows of a machine.
type view struct {
	power    redfish.PowerState
	override bool // it will boot from the network once, as it was asked
}

// decide is the whole course of a boot: from what is on record and what the
// controller shows, what is on record next, and what is to be asked. A command
// is recorded before it is given. The error says what is waited for, or that it
// is no use; no command and no error is the end.
func decide(b booting, v view, now time.Time) (booting, command, error) {
	for {
		switch b.Stage {
		case stageOverride:
			switch {
			case v.power == powerOn || v.power == powerPoweringOn:
				if b.Rounds++; b.Rounds > roundsMax {
					return b, nothing, permanent(deploy.CodeConflict, "See who switches it on: another tool, or the controller's power policy.",
						"the machine was switched on %d times by somebody else before it could be told to boot from the network", b.Rounds)
				}
				b.Stage, b.Asked = stageOff, asked{}
			case v.override:
				b.Stage, b.Asked = stageOn, asked{}
			default:
				return b.ask(setOverride, patienceOverride, waitOverride, now)
			}
		case stageOn:
			switch v.power {
			case powerOn:
				b.DoneAt = &now
				return b, nothing, nil
			case powerPoweringOn:
				return b, nothing, waiting(deploy.CodeConflict, waitSwitch, "the machine is being switched on")
			default:
				return b.ask(switchOn, patienceSwitch, waitSwitch, now)
			}
		default:
			switch v.power {
			case powerOff:
				b.Stage, b.Asked = stageOverride, asked{}
				continue
			case powerPoweringOff:
				return b, nothing, waiting(deploy.CodeConflict, waitSwitch, "the machine is being switched off")
			default:
				b.Stage = stageOff
				return b.ask(switchOff, patienceSwitch, waitSwitch, now)
			}
		}
	}
}

// ask counts a command, unless an earlier one still has time to take effect.
func (b booting) ask(c command, patience, wait time.Duration, now time.Time) (booting, command, error) {
	again, err := b.Asked.ask(string(c), patience, wait, now)
	if err != nil {
		return b, nothing, err
	}
	b.Asked = again
	return b, c, nil
}

func (a asked) ask(what string, patience, wait time.Duration, now time.Time) (asked, error) {
	switch {
	case a.At != nil && now.Before(a.At.Add(patience)):
		return a, waiting(deploy.CodeConflict, wait, "the controller was asked to %s; waiting until it shows that it did", what)
	case a.Asks >= asksMax:
		return a, permanent(deploy.CodeUpstreamUnavailable, "Try it in the controller's own console; a reset of the controller may help. Then retry, or let a person switch the machine.",
			"the controller was asked %d times to %s, and shows no effect", a.Asks, what)
	}
	return asked{Asks: a.Asks + 1, At: &now}, nil
}

// boot brings the machine of a row to boot from the network, one command at a
// time; a temporary error says that it is under way. verify has the controller
// asked even if all is done. It gives the power state, as far as it was read.
func (p *Provider) boot(ctx context.Context, o deploy.Order, row deploy.Resource, verify bool) (string, error) {
	if recordOf(row).done(o) {
		if !verify {
			return "", nil
		}
		system, err := p.look(ctx, o.Spec.Power, row.CloudID)
		if isNotFound(err) {
			return "", vanished(&row)
		}
		if err != nil {
			return "", err
		}
		return string(system.PowerState), nil
	}
	ctx, cancel := context.WithTimeout(ctx, leaseWork)
	defer cancel()
	c, err := p.open(ctx, o.Spec.Power)
	if err != nil {
		return "", err
	}
	defer c.close(ctx)
	if row.State == deploy.ResourceIntent {
		if row, err = p.identify(ctx, c, o); err != nil {
			return "", err
		}
	}
	return p.command(ctx, c, o, row)
}

// identify finds the system that the row is about, and records it. The row is
// read again, because the turn at the controller had to be waited for.
func (p *Provider) identify(ctx context.Context, c *controller, o deploy.Order) (deploy.Resource, error) {
	system, err := c.choose(ctx, o)
	if err != nil {
		return deploy.Resource{}, err
	}
	row, err := p.rowOf(ctx, o)
	switch {
	case err != nil:
		return deploy.Resource{}, err
	case row == nil:
		return deploy.Resource{}, permanent(deploy.CodeWrongState, "Look at the node's current deployment.", "the power of node %s was released meanwhile", o.NodeName)
	case row.State == deploy.ResourceIntent:
		row.State, row.CloudID = deploy.ResourcePresent, system.ODataID
		return *row, p.Journal.Settle(ctx, row.ID, row.State, row.CloudID, nil, "")
	}
	return *row, nil
}

// command makes one step under a lease.
func (p *Provider) command(ctx context.Context, c *controller, o deploy.Order, row deploy.Resource) (string, error) {
	by := rand.Text()
	var b booting
	done := false
	err := p.amend(ctx, row.ID, func(r *record) error {
		if done = r.done(o); done {
			return nil
		}
		if l, now := r.Lease, p.Now(); l != nil && now.Before(l.Until) {
			return waiting(deploy.CodeConflict, l.Until.Sub(now), "somebody else is commanding the machine")
		}
		r.Lease, r.Power = &lease{By: by, Until: p.Now().Add(leaseTime)}, *o.Spec.Power
		if r.Boot == nil || r.Boot.Deployment != o.DeploymentID || r.Boot.Attempt != o.Attempt {
			r.Boot = &booting{Deployment: o.DeploymentID, Attempt: o.Attempt, Stage: stageOff}
		}
		b = *r.Boot
		return nil
	})
	if err != nil || done {
		return "", err
	}
	state, verdict := p.step(ctx, c, o.Spec.Power, row, b, by)
	// Whoever is next need not wait for the lease to pass. If this cannot be
	// recorded, he waits.
	if err := p.amend(ctx, row.ID, mine(by, func(r *record) { r.Lease = nil })); err != nil && verdict == nil {
		return "", err
	}
	return state, verdict
}

// step looks, decides, records and commands.
func (p *Provider) step(ctx context.Context, c *controller, power *deploy.Power, row deploy.Resource, b booting, by string) (string, error) {
	system, err := c.system(ctx, row.CloudID) // after the lease: what was seen before may be of another's time
	if isNotFound(err) {
		return "", vanished(&row)
	}
	if err != nil {
		return "", err
	}
	want := override(power)
	next, do, verdict := decide(b, view{power: system.PowerState, override: shows(system.Boot, want)}, p.Now())
	if err := p.amend(ctx, row.ID, mine(by, func(r *record) { r.Boot = &next })); err != nil {
		return "", err
	}
	if verdict != nil || do == nothing {
		return string(system.PowerState), verdict
	}
	switch do {
	case nothing:
	case switchOff:
		err = c.reset(ctx, system, redfish.ForceOffResetType)
	case setOverride:
		err = c.failure(ctx, "setting the boot override", system.SetBoot(want))
	case switchOn:
		err = c.reset(ctx, system, redfish.OnResetType)
	}
	if err != nil {
		return "", err
	}
	wait := waitSwitch
	if do == setOverride {
		wait = waitOverride
	}
	return "", waiting(deploy.CodeConflict, wait, "the controller was asked to %s", do)
}

// override is the boot that is asked for.
func override(p *deploy.Power) redfish.Boot {
	b := redfish.Boot{BootSourceOverrideEnabled: redfish.OnceBootSourceOverrideEnabled, BootSourceOverrideTarget: redfish.PxeBootSourceOverrideTarget}
	if p.BootFrom == deploy.BootFromHTTP {
		b.BootSourceOverrideTarget = redfish.UefiHTTPBootSourceOverrideTarget
	}
	switch p.BootMode {
	case deploy.BootModeUEFI:
		b.BootSourceOverrideMode = redfish.UEFIBootSourceOverrideMode
	case deploy.BootModeLegacy:
		b.BootSourceOverrideMode = redfish.LegacyBootSourceOverrideMode
	}
	return b
}

// shows reports whether the boot that is asked for is set.
func shows(is, want redfish.Boot) bool {
	return is.BootSourceOverrideEnabled == want.BootSourceOverrideEnabled && is.BootSourceOverrideTarget == want.BootSourceOverrideTarget &&
		(want.BootSourceOverrideMode == "" || is.BootSourceOverrideMode == want.BootSourceOverrideMode)
}

// reset asks for a change of power (ComputerSystem.Reset).
func (c *controller) reset(ctx context.Context, s *redfish.ComputerSystem, t redfish.ResetType) error {
	if len(s.SupportedResetTypes) > 0 && !slices.Contains(s.SupportedResetTypes, t) {
		return permanent(deploy.CodeInvalid, "Let a person switch the machine, or see whether newer firmware of the controller can.", "the controller %s does not offer the reset %s", c.host, t)
	}
	return c.failure(ctx, "asking for the reset "+string(t), s.Reset(t))
}

// amend changes a row's record.
func (p *Provider) amend(ctx context.Context, id int64, change func(*record) error) error {
	return p.Journal.Amend(ctx, id, func(details json.RawMessage) (json.RawMessage, error) {
		r := recordOf(deploy.Resource{Details: details})
		if err := change(&r); err != nil {
			return nil, err
		}
		return r.json(), nil
	})
}

// mine makes a change that is refused when the lease is another's meanwhile.
func mine(by string, change func(*record)) func(*record) error {
	return func(r *record) error {
		if r.Lease == nil || r.Lease.By != by {
			return waiting(deploy.CodeConflict, waitSwitch, "somebody else is commanding the machine")
		}
		change(r)
		return nil
	}
}
