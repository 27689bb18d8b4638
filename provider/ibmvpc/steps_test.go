package ibmvpc_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/provider/conformance"
)

const bootURL = "http://127.0.0.1:8080/boot/d/locator"

func order(change ...func(*deploy.Order)) deploy.Order {
	o := deploy.Order{NodeID: 1, NodeName: "ahv-01", DeploymentID: 7, Attempt: 1, Spec: spec(),
		BootURL: func(context.Context) (string, error) { return bootURL, nil }}
	for _, c := range change {
		c(&o)
	}
	return o
}

// persist orders as the workflow does: again after each temporary failure.
func persist(t *testing.T, c *cloud, p deploy.Provider, o deploy.Order) deploy.Machine {
	t.Helper()
	for range 50 {
		m, err := p.Order(t.Context(), o)
		if err == nil {
			return m
		}
		var e *deploy.ProviderError
		if !errors.As(err, &e) || !e.Temporary {
			t.Fatalf("order: %v", err)
		}
		c.clock.Advance(e.Wait)
	}
	t.Fatal("the order is never done")
	panic("not reached")
}

// until orders again until the failure is a permanent one.
func until(t *testing.T, c *cloud, p deploy.Provider, o deploy.Order) *deploy.ProviderError {
	t.Helper()
	for range 50 {
		_, err := p.Order(t.Context(), o)
		var e *deploy.ProviderError
		if !errors.As(err, &e) {
			t.Fatalf("order: %v", err)
		}
		if !e.Temporary {
			return e
		}
		c.clock.Advance(e.Wait)
	}
	t.Fatal("the order never fails for good")
	panic("not reached")
}

func final(t *testing.T, err error, code deploy.Code) *deploy.ProviderError {
	t.Helper()
	var e *deploy.ProviderError
	if !errors.As(err, &e) || e.Temporary || e.Code != code || e.Hint == "" {
		t.Fatalf("%#v; want a permanent %s with advice", err, code)
	}
	return e
}

func temporary(t *testing.T, err error, code deploy.Code) *deploy.ProviderError {
	t.Helper()
	var e *deploy.ProviderError
	if !errors.As(err, &e) || !e.Temporary || e.Code != code || e.Wait <= 0 {
		t.Fatalf("%#v; want a temporary %s", err, code)
	}
	return e
}

func rowOf(t *testing.T, j *conformance.Journal, kind string) deploy.Resource {
	t.Helper()
	var found deploy.Resource
	for _, r := range j.Rows() {
		if r.Kind == kind {
			found = r
		}
	}
	if found.ID == 0 {
		t.Fatalf("no row of kind %s", kind)
	}
	return found
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// dialRefused is what a dial to a port gives on which nothing listens.
func dialRefused(ctx context.Context) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	address := l.Addr().String()
	l.Close()
	_, err = (&net.Dialer{}).DialContext(ctx, "tcp", address)
	return err
}

// lostIAM is an IAM service that is not well.
type lostIAM struct{}

func (*lostIAM) start(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// keyText is an ed25519 public key that differs for every n (RFC 8709 section 4).
func keyText(n int) string {
	raw := append([]byte{0, 0, 0, 11}, "ssh-ed25519"...)
	raw = append(raw, 0, 0, 0, 32)
	raw = append(raw, make([]byte, 32)...)
	raw[len(raw)-1] = byte(n)
	return base64.StdEncoding.EncodeToString(raw)
}
