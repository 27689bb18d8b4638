package ibmvpc_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/provider/conformance"
	"github.com/slipwayhq/slipway/provider/ibmvpc"
	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim"
)

// cloud is a simulated account behind real HTTP, with a clock that only the
// test moves.
type cloud struct {
	*vpcsim.Simulator
	clock *vpcsim.ManualClock
	url   string
	wire  *wire
}

func newCloud(t *testing.T, change ...func(*vpcsim.Options)) *cloud {
	t.Helper()
	clock := vpcsim.NewManualClock(time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC))
	options := vpcsim.Options{Clock: clock}
	for _, c := range change {
		c(&options)
	}
	sim, err := vpcsim.New(options)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(sim)
	t.Cleanup(func() {
		server.Close()
		sim.Close()
	})
	return &cloud{Simulator: sim, clock: clock, url: server.URL, wire: &wire{base: server.Client().Transport}}
}

// config are settings that fit the cloud.
func (c *cloud) config(j deploy.Journal) ibmvpc.Config {
	return ibmvpc.Config{
		Region: vpcsim.DefaultRegion, VPCURL: c.url, DNSURL: c.url + "/v1", IAMURL: c.url, Auth: ibmvpc.AuthNone,
		VPC: vpcsim.DefaultVPC, ManagementSubnet: vpcsim.DefaultManagementSubnet, WorkloadSubnets: []string{vpcsim.DefaultWorkloadSubnet},
		SecurityGroups: []string{vpcsim.DefaultSecurityGroup}, SSHKeys: []string{vpcsim.DefaultSSHKey},
		DNSInstance: vpcsim.DefaultDNSInstance, DNSZone: vpcsim.DefaultDNSZone,
		ReadRetries: 1, RetryWait: time.Millisecond, Journal: j, Now: c.clock.Now, Transport: c.wire,
	}
}

func (c *cloud) provider(t *testing.T, j deploy.Journal, change ...func(*ibmvpc.Config)) *ibmvpc.Provider {
	t.Helper()
	config := c.config(j)
	for _, f := range change {
		f(&config)
	}
	p, err := ibmvpc.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// wire carries the calls and lets a test cut them.
type wire struct {
	base  http.RoundTripper
	mu    sync.Mutex
	calls int
	hooks conformance.Hooks
}

func (w *wire) hook(h conformance.Hooks) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls, w.hooks = 0, h
}

// RoundTrip sends a request between the hooks. The answer is read whole
// before the second one, so that the call has had all its effect.
func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	w.calls++
	n, hooks := w.calls, w.hooks
	w.mu.Unlock()
	if hooks.Read != nil && r.Method == http.MethodGet {
		hooks.Read(n)
	}
	if hooks.Before != nil {
		if err := hooks.Before(n); err != nil {
			return nil, err
		}
	}
	response, err := w.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(response.Body)
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return nil, err
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	if hooks.After != nil {
		if err := hooks.After(n); err != nil {
			return nil, err
		}
	}
	return response, nil
}

func spec() deploy.Spec {
	return deploy.Spec{Provider: deploy.ProviderIBMVPC, ServerProfile: "bx2d-metal-96x384"}
}

// request makes a call to the VPC API past the provider and gives the answer.
func (c *cloud) request(t *testing.T, method, path, body string, want int) []byte {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, c.url+"/v1"+path+"?version=2026-06-23&generation=2", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != want {
		t.Fatalf("%s %s: %d %s, %v; want %d", method, path, response.StatusCode, text, err, want)
	}
	return text
}

// patch changes something past the provider.
func (c *cloud) patch(t *testing.T, path, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, c.url+"/v1"+path+"?version=2026-06-23&generation=2", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/merge-patch+json")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("PATCH %s: %d", path, response.StatusCode)
	}
}
