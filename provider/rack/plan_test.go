package rack_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/provider/conformance"
	"github.com/slipwayhq/slipway/provider/rack"
	"github.com/slipwayhq/slipway/provider/rack/bmcsim"
)

// found plans, and gives what did not pass by key.
func found(t *testing.T, p *rack.Provider, o deploy.Order) map[string]deploy.Check {
	t.Helper()
	checks, err := p.Plan(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	bad, keys := map[string]deploy.Check{}, []string{}
	for _, c := range checks {
		keys = append(keys, c.Key)
		if c.Label == "" || c.Message == "" || !c.Passed && (c.Severity == deploy.CheckInfo || c.Hint == "" || c.Field == "") {
			t.Errorf("%+v", c)
		}
		if !c.Passed {
			bad[c.Key] = c
		}
	}
	if want := []string{"mac", "addresses", "network", "dns_zone", "power"}; !slices.Equal(keys[:len(want)], want) {
		t.Errorf("checks %q", keys)
	}
	return bad
}

func TestPlan(t *testing.T) {
	if bad := found(t, rack.New(nil), deploy.Order{Spec: spec}); len(bad) > 0 {
		t.Errorf("%v", bad)
	}
	bad := found(t, rack.New(&registrar{}), deploy.Order{Spec: deploy.Spec{MAC: "x", ManagementIP: "node"}})
	if len(bad) != 3 || bad["mac"].Key == "" || bad["addresses"].Key == "" || bad["network"].Key == "" {
		t.Errorf("%v", bad)
	}
	bare := spec
	bare.Netmask, bare.Gateway = "", ""
	if bad := found(t, rack.New(nil), deploy.Order{Spec: bare}); len(bad) != 1 || bad["network"].Severity != deploy.CheckError {
		t.Errorf("%v", bad)
	}
	known, err := rack.NewWith(rack.Config{Networks: []deploy.Subnet{{Prefix: netip.MustParsePrefix("127.0.0.0/24")}}})
	if err != nil {
		t.Fatal(err)
	}
	if bad := found(t, known, deploy.Order{Spec: bare}); len(bad) > 0 {
		t.Errorf("%v", bad)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := rack.New(nil).Plan(ctx, deploy.Order{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestPlanAsksTheController(t *testing.T) {
	for name, c := range map[string]struct {
		mac    string
		faults []bmcsim.Fault
		change func(*deploy.Power)
		key    string
		level  deploy.CheckSeverity
		says   string
	}{
		"all well":            {macOfOne, nil, nil, "", "", ""},
		"another interface":   {"52:54:00:00:00:77", nil, nil, "power_mac", deploy.CheckWarning, "not 52:54:00:ab:cd:ef"},
		"no interfaces":       {macOfOne, []bmcsim.Fault{bmcsim.Hidden}, nil, "power_mac", deploy.CheckWarning, "lists no network interfaces"},
		"does not answer":     {macOfOne, []bmcsim.Fault{bmcsim.Silent}, nil, "power", deploy.CheckError, "does not answer"},
		"out of order":        {macOfOne, []bmcsim.Fault{bmcsim.Unavailable}, nil, "power", deploy.CheckError, "503"},
		"wrong password":      {macOfOne, nil, func(p *deploy.Power) { p.PasswordRef = "wrong" }, "power", deploy.CheckError, "power.password_ref"},
		"not enough rights":   {macOfOne, []bmcsim.Fault{bmcsim.Forbidden}, nil, "power", deploy.CheckError, "403"},
		"somebody else's URL": {macOfOne, nil, func(p *deploy.Power) { p.URL = "http://192.0.2.1" }, "power", deploy.CheckError, "no network"},
	} {
		t.Run(name, func(t *testing.T) {
			h, j := newHouse(t, nil), &conformance.Journal{}
			h.sim.Add("1", "System", c.mac)
			h.sim.SetFaults(c.faults...)
			p := h.provider(t, j, func(r *rack.Config) { r.Timeout = 300 * time.Millisecond })
			bad := found(t, p, h.order(c.change))
			if c.key == "" && len(bad) > 0 || c.key != "" && (len(bad) != 1 || bad[c.key].Severity != c.level || !strings.Contains(bad[c.key].Message, c.says)) {
				t.Errorf("%+v", bad)
			}
			if len(j.Rows()) > 0 || len(h.sim.Resets("1")) > 0 {
				t.Error("a plan did something")
			}
		})
	}
}
