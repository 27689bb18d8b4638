package rack_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/provider/conformance"
	"github.com/slipwayhq/slipway/provider/rack"
	"github.com/slipwayhq/slipway/provider/rack/bmcsim"
)

const password = "correct horse"

var (
	spec     = deploy.Spec{Provider: deploy.ProviderRack, MAC: "52-54-00-AB-CD-EF", ManagementIP: "127.0.0.9", Netmask: "24", Gateway: "127.0.0.1"}
	loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	epoch    = time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
)

// clock is a time that passes when it is told to.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// secrets are held in memory.
type secrets map[string]string

func (s secrets) Secret(name string) (string, error) {
	if v, ok := s[name]; ok {
		return v, nil
	}
	return "", rack.ErrNoSecret
}

func (s secrets) Certificates(name string) ([]byte, error) {
	v, err := s.Secret(name)
	return []byte(v), err
}

// house is a controller with machines, and providers that talk to it.
type house struct {
	clock *clock
	sim   *bmcsim.Simulator
	web   *httptest.Server
	spec  deploy.Spec

	mu    sync.Mutex
	hooks conformance.Hooks
	calls int
}

func newHouse(t *testing.T, change func(*bmcsim.Options)) *house {
	t.Helper()
	h := &house{clock: &clock{now: epoch}}
	o := bmcsim.Options{Username: "slipway", Password: password, Switching: 5 * time.Second, Now: h.clock.Now}
	if change != nil {
		change(&o)
	}
	h.sim = bmcsim.New(o)
	h.web = httptest.NewServer(h.sim)
	t.Cleanup(func() {
		h.sim.Close()
		h.web.Close()
	})
	h.spec = spec
	h.spec.Power = &deploy.Power{Type: deploy.PowerRedfish, URL: h.web.URL, Username: "slipway", PasswordRef: "lab", OffAtRelease: true}
	return h
}

// provider is as a process has it after its start.
func (h *house) provider(t *testing.T, j deploy.Journal, change func(*rack.Config)) *rack.Provider {
	t.Helper()
	c := rack.Config{Journal: j, Secrets: secrets{"lab": password, "wrong": "incorrect"}, Controllers: loopback, Now: h.clock.Now, Wrap: h.wrap}
	if change != nil {
		change(&c)
	}
	p, err := rack.NewWith(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (h *house) hook(hooks conformance.Hooks) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hooks, h.calls = hooks, 0
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// wrap tells the hooks of every request.
func (h *house) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTrip(func(r *http.Request) (*http.Response, error) {
		h.mu.Lock()
		h.calls++
		n, hooks := h.calls, h.hooks
		h.mu.Unlock()
		if hooks.Read != nil && r.Method == http.MethodGet {
			hooks.Read(n)
		}
		if hooks.Before != nil {
			if err := hooks.Before(n); err != nil {
				return nil, err
			}
		}
		res, err := next.RoundTrip(r)
		if err == nil && hooks.After != nil {
			if lost := hooks.After(n); lost != nil {
				res.Body.Close()
				return nil, lost
			}
		}
		return res, err
	})
}

func (h *house) count(is func(id string) bool) map[string]int {
	n := 0
	for _, id := range []string{"1", "2"} {
		if is(id) {
			n++
		}
	}
	return map[string]int{"power": n}
}
