package rack_test

import (
	"strings"
	"testing"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/provider/conformance"
	"github.com/slipwayhq/slipway/provider/rack"
)

// numbered is an order of a machine that is known by its serial number alone.
func numbered(o deploy.Order) deploy.Order {
	o.Spec.MAC, o.Spec.Serial = "", "7cx1y23"
	return o
}

func TestAMachineIsKnownByItsSerialNumber(t *testing.T) {
	o := numbered(deploy.Order{NodeID: 1, DeploymentID: 1, NodeName: "rack-01", Attempt: 1, Spec: spec})
	p := rack.New(nil)
	if bad := found(t, p, o); len(bad) > 0 {
		t.Error(bad)
	}
	m, err := p.Order(t.Context(), o)
	if err != nil || m.ManagementIP != spec.ManagementIP || len(m.MACs) != 0 {
		t.Errorf("%+v, %v", m, err)
	}
	for _, bad := range []deploy.Spec{
		{ManagementIP: "127.0.0.9", Netmask: "24"},
		{ManagementIP: "127.0.0.9", Netmask: "24", Serial: "Default string"},
		{ManagementIP: "127.0.0.9", Netmask: "24", Serial: "7CX1Y23", MAC: "x"},
	} {
		o.Spec = bad
		_, err := p.Order(t.Context(), o)
		refusal(t, err, deploy.CodeInvalid, "mac: ")
		if found(t, p, o)["mac"].Key == "" {
			t.Errorf("%+v: the check-list has nothing against it", bad)
		}
	}
}

// A controller with several machines is asked for the one of the number.
func TestAControllerIsAskedForTheSerialNumber(t *testing.T) {
	for name, c := range map[string]struct {
		one, two string // serial numbers; empty: none
		key      string // of the check that does not pass
		says     string
	}{
		"one of two":     {"9ZZZ999", " 7CX1Y23", "", ""},
		"neither":        {"9ZZZ999", "8YYY888", "power", "none is known by 7CX1Y23"},
		"both, of a box": {"7CX1Y23", "7CX1Y23", "power", "none is known by 7CX1Y23"},
		"not shown":      {"", "", "power", "none is known by 7CX1Y23"},
	} {
		t.Run(name, func(t *testing.T) {
			h, j := newHouse(t, nil), &conformance.Journal{}
			h.sim.Add("1", "System", "52:54:00:00:00:01")
			h.sim.Add("2", "System", "52:54:00:00:00:02")
			h.sim.SetSerial("1", c.one)
			h.sim.SetSerial("2", c.two)
			bad := found(t, h.provider(t, j, nil), numbered(h.order(nil)))
			if c.key == "" && len(bad) > 0 || c.key != "" && !strings.Contains(bad[c.key].Message, c.says) {
				t.Errorf("%+v", bad)
			}
		})
	}
}

// The only machine of a controller is taken, and one with another number is
// warned of.
func TestAControllersOnlyMachineHasANumber(t *testing.T) {
	for serial, says := range map[string]string{"7CX1Y23": "", "9ZZZ999": "shows the serial number 9ZZZ999, not 7CX1Y23", "To be filled by O.E.M.": "shows no serial number"} {
		h, j := newHouse(t, nil), &conformance.Journal{}
		h.sim.Add("1", "System", "52:54:00:00:00:01")
		h.sim.SetSerial("1", serial)
		bad := found(t, h.provider(t, j, nil), numbered(h.order(nil)))
		if c := bad["power_serial"]; says == "" && len(bad) > 0 || says != "" && (len(bad) != 1 || c.Severity != deploy.CheckWarning || !strings.Contains(c.Message, says)) {
			t.Errorf("%s: %+v", serial, bad)
		}
	}
}
