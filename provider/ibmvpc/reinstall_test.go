package ibmvpc_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/provider/conformance"
	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim"
)

// attempt is the order of a retry that begins now.
func attempt(c *cloud, n int) deploy.Order {
	return order(func(o *deploy.Order) {
		o.Attempt, o.AttemptSince = n, c.clock.Now()
		o.BootURL = func(context.Context) (string, error) { return fmt.Sprintf("%s-%d", bootURL, n), nil }
	})
}

// repeat calls a step as the workflow does, until it is done or fails for good.
func repeat(t *testing.T, c *cloud, step func() (deploy.Machine, error)) (deploy.Machine, error) {
	t.Helper()
	for range 200 {
		m, err := step()
		var e *deploy.ProviderError
		if err == nil || !errors.As(err, &e) || !e.Temporary {
			return m, err
		}
		c.clock.Advance(e.Wait)
	}
	t.Fatal("the step is never done")
	panic("not reached")
}

func capacity(t *testing.T, c *cloud, reason string) {
	t.Helper()
	if _, err := c.AddFault(vpcsim.Fault{Kind: vpcsim.FaultServerFailed, Times: 1, Reason: reason}); err != nil {
		t.Fatal(err)
	}
}

// A server for which there was no machine is kept for reading until the retry,
// which deletes it and orders the next generation on the same interfaces,
// wherever it is killed.
func TestRetryReplacesAFailedServer(t *testing.T) {
	for verb, step := range map[string]func(p deploy.Provider, ctx context.Context, o deploy.Order) (deploy.Machine, error){
		"order": func(p deploy.Provider, ctx context.Context, o deploy.Order) (deploy.Machine, error) {
			return p.Order(ctx, o)
		},
		"reinstall": func(p deploy.Provider, ctx context.Context, o deploy.Order) (deploy.Machine, error) {
			return p.(deploy.Reinstaller).Reinstall(ctx, o)
		},
	} {
		t.Run(verb, func(t *testing.T) {
			for n := 0; ; n++ {
				c, j := newCloud(t), &conformance.Journal{}
				capacity(t, c, vpcsim.ReasonCannotStartCapacity)
				first := persist(t, c, c.provider(t, j), order())
				c.clock.Advance(time.Hour)
				if o, err := c.provider(t, j).Observe(t.Context(), 1); err != nil || o.Failed == nil || o.Failed.Code != deploy.CodeUpstreamUnavailable {
					t.Fatalf("%+v, %v", o, err)
				}
				// Before the retry it is only read.
				if again := persist(t, c, c.provider(t, j), order()); again.ServerID != first.ServerID {
					t.Fatal("replaced before the retry")
				}
				o := attempt(c, 2)
				killed := n > 0 && dieAt(t, c, n, func(ctx context.Context) error {
					_, err := step(c.provider(t, j), ctx, o)
					return err
				})
				next, err := repeat(t, c, func() (deploy.Machine, error) { return step(c.provider(t, j), t.Context(), o) })
				if err != nil {
					t.Fatalf("killed at call %d: %v", n, err)
				}
				c.clock.Advance(time.Hour)
				s := c.State()
				if next.ServerID == first.ServerID || next.ManagementIP != first.ManagementIP || s.LiveServers != 1 || s.ServersCreated != 2 || s.VNIsCreated != 2 ||
					s.Servers[0].Name != "slw-ahv-01-d7-g2" || s.Servers[0].UserData != bootURL+"-2" || s.Servers[0].Status != "running" {
					t.Fatalf("killed at call %d: first %+v, next %+v; %+v", n, first, next, s.Servers)
				}
				j.End(7)
				if steps := released(t, c, j, o); len(steps) != 6 {
					t.Errorf("%d steps; want 2 servers, 2 interfaces, 2 addresses", len(steps))
				}
				nothingLeft(t, c)
				if n > 0 && !killed {
					return // it has fewer calls
				}
			}
		})
	}
}

// dieAt repeats a step until its process dies at the n-th call; false if the
// step ends before.
func dieAt(t *testing.T, c *cloud, n int, step func(ctx context.Context) error) bool {
	t.Helper()
	ctx, kill := context.WithCancel(t.Context())
	defer kill()
	c.wire.hook(conformance.Hooks{After: func(call int) error {
		if call == n {
			kill()
			return errors.New("killed")
		}
		return nil
	}})
	defer c.wire.hook(conformance.Hooks{})
	for range 200 {
		err := step(ctx)
		if ctx.Err() != nil || err == nil {
			return ctx.Err() != nil
		}
		var e *deploy.ProviderError
		if !errors.As(err, &e) || !e.Temporary {
			t.Fatalf("%v", err)
		}
		c.clock.Advance(e.Wait)
	}
	t.Fatal("the step is never done")
	panic("not reached")
}

// A server that ran once for another deployment is never given up for a new
// one: its disks may hold data.
func TestAReinitializedServerIsNotReplaced(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	m := deployed(t, c, j, order())
	j.Move(1, 7, 8)
	o := attempt(c, 1)
	o.DeploymentID = 8
	capacity(t, c, vpcsim.ReasonCannotStartCompute)
	p := c.provider(t, j)
	for i := 0; ; i++ {
		machine, err := repeat(t, c, func() (deploy.Machine, error) { return p.Reinstall(t.Context(), o) })
		if err != nil {
			e := final(t, err, deploy.CodeUpstreamUnavailable)
			if !strings.Contains(e.Message, "cannot_start_compute") {
				t.Error(e)
			}
			break
		}
		if machine.ServerID != m.ServerID || i > 1 {
			t.Fatalf("%+v", machine)
		}
		c.clock.Advance(time.Minute) // until it has failed
	}
	if s := c.State(); s.LiveServers != 1 || s.ServersCreated != 1 {
		t.Errorf("%+v", s.Servers)
	}
}

func TestReinitializationThatFails(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	m := deployed(t, c, j, order())
	capacity(t, c, vpcsim.ReasonCannotReinitialize)
	p, second := c.provider(t, j), attempt(c, 2)
	_, err := repeat(t, c, func() (deploy.Machine, error) { return p.Reinstall(t.Context(), second) })
	if e := final(t, err, deploy.CodeUpstreamUnavailable); !strings.Contains(e.Hint, "reinitialize it again") {
		t.Error(e)
	}
	// The next attempt does it again, with the same server, which has no power.
	stops := c.State().Calls["StopBareMetalServer"]
	third := attempt(c, 3)
	again, err := repeat(t, c, func() (deploy.Machine, error) { return p.Reinstall(t.Context(), third) })
	c.clock.Advance(time.Minute)
	s := c.State()
	if err != nil || again.ServerID != m.ServerID || s.ServersCreated != 1 || s.Servers[0].Status != "running" || s.Servers[0].UserData != bootURL+"-3" || s.Calls["StopBareMetalServer"] != stops {
		t.Errorf("%+v, %v; %+v", again, err, s.Servers)
	}
}

func TestReinstallOfAServerThatIsGone(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	m := deployed(t, c, j, order())
	c.deleteServer(t, m.ServerID)
	_, err := c.provider(t, j).Reinstall(t.Context(), attempt(c, 2))
	final(t, err, deploy.CodeNotFound)
}

// The boot URL is minted right before the call, and a failure of it leaves the
// server stopped, not half done.
func TestReinstallMintsLate(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	deployed(t, c, j, order())
	broken, mints := errors.New("database is away"), 0
	o := attempt(c, 2)
	o.BootURL = func(context.Context) (string, error) {
		mints++
		if mints == 1 {
			return "", broken
		}
		return bootURL + "-late", nil
	}
	p := c.provider(t, j)
	_, err := repeat(t, c, func() (deploy.Machine, error) { return p.Reinstall(t.Context(), o) })
	if !errors.Is(err, broken) || c.State().Servers[0].Status != "stopped" || c.State().Calls["ReplaceBareMetalServerInitialization"] != 0 {
		t.Fatalf("%v; %+v", err, c.State().Servers)
	}
	if _, err := repeat(t, c, func() (deploy.Machine, error) { return p.Reinstall(t.Context(), o) }); err != nil || mints != 2 {
		t.Fatalf("%v; minted %d times", err, mints)
	}
	if s := c.State().Servers[0]; s.UserData != bootURL+"-late" {
		t.Errorf("%+v", s)
	}
}

// A server that comes up between our look and our call is answered 409: it is
// not initialized twice, nor given up.
func TestReinstallRefused(t *testing.T) {
	for _, status := range []int{http.StatusConflict, http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			c, j := newCloud(t), &conformance.Journal{}
			deployed(t, c, j, order())
			if _, err := c.AddFault(vpcsim.Fault{Kind: vpcsim.FaultFail, Operation: "ReplaceBareMetalServerInitialization", Status: status, Times: 2}); err != nil {
				t.Fatal(err)
			}
			p, o := c.provider(t, j), attempt(c, 2)
			_, err := repeat(t, c, func() (deploy.Machine, error) { return p.Reinstall(t.Context(), o) })
			c.clock.Advance(time.Minute)
			if s := c.State().Servers[0]; err != nil || s.PowerOns != 2 || s.UserData != bootURL+"-2" {
				t.Errorf("%v; %+v", err, s)
			}
		})
	}
	c, j := newCloud(t), &conformance.Journal{}
	deployed(t, c, j, order())
	if _, err := c.AddFault(vpcsim.Fault{Kind: vpcsim.FaultFail, Operation: "ReplaceBareMetalServerInitialization", Status: http.StatusBadRequest, Times: 1}); err != nil {
		t.Fatal(err)
	}
	o := attempt(c, 2)
	_, err := repeat(t, c, func() (deploy.Machine, error) { return c.provider(t, j).Reinstall(t.Context(), o) })
	final(t, err, deploy.CodeInvalid)
}

// A machine that somebody stops after it was made to boot anew is left alone.
func TestReinstallIsDoneOnce(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	m := deployed(t, c, j, order())
	p, o := c.provider(t, j), attempt(c, 2)
	if _, err := repeat(t, c, func() (deploy.Machine, error) { return p.Reinstall(t.Context(), o) }); err != nil {
		t.Fatal(err)
	}
	c.clock.Advance(time.Minute)
	c.request(t, http.MethodPost, "/bare_metal_servers/"+m.ServerID+"/stop", `{"type":"hard"}`, http.StatusNoContent)
	c.clock.Advance(time.Minute)
	again, err := p.Reinstall(t.Context(), o)
	if s := c.State(); err != nil || again.ServerStatus != "stopped" || s.Calls["ReplaceBareMetalServerInitialization"] != 1 {
		t.Errorf("%+v, %v; %d initializations", again, err, s.Calls["ReplaceBareMetalServerInitialization"])
	}
}

// An interface that shows its server for a moment longer than the server is
// there does not end the retry.
func TestRetryWaitsForAnInterfaceThatLagsBehind(t *testing.T) {
	c, j := newCloud(t), &conformance.Journal{}
	capacity(t, c, vpcsim.ReasonCannotStartCapacity)
	first := persist(t, c, c.provider(t, j), order())
	c.clock.Advance(time.Hour)
	lag := 0
	c.wire.base = roundTrip(func(r *http.Request) (*http.Response, error) {
		response, err := http.DefaultTransport.RoundTrip(r)
		if err != nil || r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/virtual_network_interfaces/") || c.State().LiveServers > 0 || lag == 6 {
			return response, err
		}
		lag++
		var vni map[string]any
		if err := errors.Join(json.NewDecoder(response.Body).Decode(&vni), response.Body.Close()); err != nil {
			return nil, err
		}
		vni["target"] = map[string]string{"href": c.url + "/v1/bare_metal_servers/" + first.ServerID + "/network_attachments/x", "id": "x", "name": "x", "resource_type": "bare_metal_server_network_attachment"}
		text, err := json.Marshal(vni)
		return answer(r, http.StatusOK, string(text)), err
	})
	p, o := c.provider(t, j), attempt(c, 2)
	if _, err := repeat(t, c, func() (deploy.Machine, error) { return p.Order(t.Context(), o) }); err != nil || lag != 6 || c.State().LiveServers != 1 {
		t.Errorf("%v; %d late answers, %d servers", err, lag, c.State().LiveServers)
	}
}
