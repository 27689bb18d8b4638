package rack_test

import (
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/provider/conformance"
	"github.com/slipwayhq/slipway/provider/rack"
)

// The certificate of a controller is checked unless the order says otherwise.
func TestCertificates(t *testing.T) {
	h := newHouse(t, nil)
	h.sim.Add("1", "System", macOfOne)
	secure := httptest.NewTLSServer(h.sim)
	t.Cleanup(secure.Close)
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}))
	for name, c := range map[string]struct {
		change func(*deploy.Power)
		says   string
	}{
		"not trusted":     {nil, "power.ca_file: the certificate of"},
		"its own":         {func(p *deploy.Power) { p.CAFile = "lab.pem" }, ""},
		"any":             {func(p *deploy.Power) { p.InsecureTLS = true }, ""},
		"no certificates": {func(p *deploy.Power) { p.CAFile = "lab" }, "power.ca_file: lab has no certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			p := h.provider(t, &conformance.Journal{}, func(c *rack.Config) { c.Secrets = secrets{"lab": password, "lab.pem": ca} })
			_, _, err := h.until(t, p, h.order(func(p *deploy.Power) {
				p.URL = secure.URL
				if c.change != nil {
					c.change(p)
				}
			}))
			if c.says == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			refusal(t, err, deploy.CodeInvalid, c.says)
		})
	}
}

// A controller cannot send the password on: a redirect is not followed.
func TestARedirectIsNotFollowed(t *testing.T) {
	h := newHouse(t, nil)
	asked := make(chan string, 8)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.URL.Path }))
	t.Cleanup(elsewhere.Close)
	front := httptest.NewServer(http.RedirectHandler(elsewhere.URL+"/redfish/v1/", http.StatusTemporaryRedirect))
	t.Cleanup(front.Close)
	_, _, err := h.until(t, h.provider(t, &conformance.Journal{}, nil), h.order(func(p *deploy.Power) { p.URL = front.URL }))
	refusal(t, err, deploy.CodeForbidden, "redirects to another address")
	if len(asked) > 0 {
		t.Errorf("asked %s", <-asked)
	}
}

// What a controller says is bounded.
func TestAnEndlessAnswer(t *testing.T) {
	h := newHouse(t, nil)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		junk := []byte(strings.Repeat("x", 1<<16))
		for {
			if _, err := w.Write(junk); err != nil {
				return
			}
		}
	}))
	t.Cleanup(web.Close)
	_, err := h.provider(t, &conformance.Journal{}, nil).Order(t.Context(), h.order(func(p *deploy.Power) { p.URL = web.URL }))
	var e *deploy.ProviderError
	if !errors.As(err, &e) || !e.Temporary || !strings.Contains(e.Message, "longer than") || len(e.Message) > 400 {
		t.Fatal(err)
	}
}

func TestSecretFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	write("lab", "hunter2\n", 0o600)
	write("open", "hunter3", 0o640)
	write("empty", "\n", 0o600)
	write("ca.pem", "PEM", 0o644)
	s := rack.SecretFiles{Dir: dir, Environment: func(k string) (string, bool) {
		v, ok := map[string]string{"SLIPWAY_SECRET_BMC_ROW_7": "from the environment", "SLIPWAY_SECRET____SHADOW": "x"}[k]
		return v, ok
	}}
	for name, want := range map[string]string{"lab": "hunter2", "bmc.row-7": "from the environment"} {
		if got, err := s.Secret(name); err != nil || got != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for name, says := range map[string]string{"open": "chmod 600", "empty": "is empty", "none": "no such secret", "../shadow": "no such secret", ".": "no such secret", "": "no such secret", filepath.Base(dir) + "/lab": "no such secret"} {
		got, err := s.Secret(name)
		if err == nil || got != "" || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "hunter") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if got, err := s.Certificates("ca.pem"); err != nil || string(got) != "PEM" {
		t.Errorf("%q, %v", got, err)
	}
	for _, name := range []string{"none.pem", "../ca.pem"} {
		if _, err := s.Certificates(name); !errors.Is(err, rack.ErrNoSecret) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := (rack.SecretFiles{}).Secret("lab"); !errors.Is(err, rack.ErrNoSecret) {
		t.Error(err)
	}
}
