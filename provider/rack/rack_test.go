package rack_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/provider/conformance"
	"github.com/slipwayhq/slipway/provider/rack"
)

var spec = deploy.Spec{Provider: deploy.ProviderRack, MAC: "52-54-00-AB-CD-EF", ManagementIP: "127.0.0.9"}

func TestConformance(t *testing.T) {
	t.Run("without names", func(t *testing.T) {
		conformance.Run(t, func(*testing.T) conformance.Fixture { return fixture(nil) })
	})
	t.Run("with names", func(t *testing.T) {
		conformance.Run(t, func(*testing.T) conformance.Fixture { return fixture(&registrar{}) })
	})
}

func fixture(names *registrar) conformance.Fixture {
	f := conformance.Fixture{
		Provider: func(*testing.T, deploy.Journal) deploy.Provider {
			if names == nil {
				return rack.New(nil)
			}
			return rack.New(names)
		},
		Spec:    spec,
		Made:    func() map[string]int { return map[string]int{} },
		Advance: func(time.Duration) {},
		BadSpecs: map[string]func(*deploy.Spec){
			"mac":           func(s *deploy.Spec) { s.MAC = "52:54" },
			"management_ip": func(s *deploy.Spec) { s.ManagementIP = "node" },
		},
	}
	if names != nil {
		f.Made, f.NamesMake, f.Hook = names.made, map[string]int{"dns_a": 1}, nil
	}
	return f
}

// registrar keeps names in memory.
type registrar struct {
	mu    sync.Mutex
	names map[string]string
}

func (r *registrar) HasNames() bool { return true }

func (r *registrar) RegisterNames(_ context.Context, n deploy.Names) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.names == nil {
		r.names = map[string]string{}
	}
	r.names[n.NodeName] = n.ManagementIP
	return nil
}

func (r *registrar) made() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return map[string]int{"dns_a": len(r.names)}
}

func TestMachineIsAsDescribed(t *testing.T) {
	m, err := rack.New(nil).Order(t.Context(), deploy.Order{Spec: spec})
	if err != nil || m.ServerID != "" || m.ManagementIP != "127.0.0.9" || len(m.MACs) != 1 || m.MACs[0] != "52:54:00:ab:cd:ef" {
		t.Fatalf("%+v, %v", m, err)
	}
}

func TestOnlyARegistrarWithAZoneHasNames(t *testing.T) {
	if rack.New(nil).HasNames() || rack.New(zoneless{}).HasNames() || !rack.New(&registrar{}).HasNames() {
		t.Fatal("wrong")
	}
	if err := rack.New(zoneless{}).RegisterNames(t.Context(), deploy.Names{}); err != nil {
		t.Fatal(err)
	}
}

// zoneless must not be called.
type zoneless struct{ rack.Registrar }

func (zoneless) HasNames() bool { return false }
