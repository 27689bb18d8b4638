package rack_test

import (
	"context"
	"errors"
	"testing"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/provider/rack"
)

func TestPlan(t *testing.T) {
	failed := func(p *rack.Provider, s deploy.Spec) map[string]bool {
		t.Helper()
		checks, err := p.Plan(t.Context(), deploy.Order{Spec: s})
		if err != nil || len(checks) != 3 {
			t.Fatalf("%+v, %v", checks, err)
		}
		bad := map[string]bool{}
		for _, c := range checks {
			if c.Label == "" || c.Message == "" || c.Passed != (c.Severity == deploy.CheckInfo) || !c.Passed && (c.Hint == "" || c.Field == "") {
				t.Errorf("%+v", c)
			}
			if !c.Passed {
				bad[c.Key] = true
			}
		}
		return bad
	}
	if bad := failed(rack.New(nil), spec); len(bad) > 0 {
		t.Errorf("%v", bad)
	}
	if bad := failed(rack.New(&registrar{}), deploy.Spec{MAC: "x", ManagementIP: "node"}); !bad["mac"] || !bad["addresses"] || bad["dns_zone"] {
		t.Errorf("%v", bad)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := rack.New(nil).Plan(ctx, deploy.Order{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
